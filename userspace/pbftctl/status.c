// SPDX-License-Identifier: GPL-2.0
/* pbftctl: an instance's status as one line and as JSON, for show and monitor. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "pbftctl.h"

static const struct {
	u32 flag;
	const char *name;	/* in a sentence */
	const char *key;	/* in JSON */
} flags[] = {
	{ PBFT_F_PENDING, "view-change-pending", "pending" },
	{ PBFT_F_MUTE, "mute", "mute" },
	{ PBFT_F_BOUND, "bound", "bound" },
	{ PBFT_F_FETCHING, "fetching-state", "fetching" },
	{ PBFT_F_GENESIS, "genesis", "genesis" },
};

/* 100 only when all is here. */
unsigned int fetch_percent(const struct pbft_nl_status *st)
{
	if (st->fetch_done >= st->fetch_total)
		return 100;
	return min((unsigned int)(100.0 * st->fetch_done / st->fetch_total), 99u);
}

void print_recovery(FILE *f, const struct pbft_nl_status *st)
{
	const struct pbft_nl_recovery *r = &st->recovery;
	time_t ended = r->ended / 1000000000;
	struct tm tm;
	char when[32];

	fprintf(f, "recovery %s%s, %u of %u pages checked", pbft_nl_recovery_name(r->state),
		r->scheduled ? " by schedule" : "", r->checked, r->total);
	if (r->seq)
		fprintf(f, " at %" PRIu64, (u64)r->seq);
	fprintf(f, ", %u damaged, %u repaired", r->damaged, r->repaired);
	if (r->state == PBFT_RECOVERY_RUNNING || !gmtime_r(&ended, &tm) ||
	    !strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm))
		return;
	fprintf(f, ", ended %s", when);
}

void print_status_line(FILE *f, const struct pbft_nl_status *st)
{
	fprintf(f, "%s view %" PRIu64 " primary %u executed %" PRIu64
		" committed %" PRIu64 " stable %" PRIu64,
		pbft_nl_state_name(st->state), (u64)st->view, st->primary,
		(u64)st->head.seq, (u64)st->committed, (u64)st->stable);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		if (st->flags & flags[i].flag)
			fprintf(f, " %s", flags[i].name);
	if (st->flags & PBFT_F_FETCHING)
		fprintf(f, " target %" PRIu64, (u64)st->fetch_target);
	if (st->fetch_total)
		fprintf(f, " (%u%% of %" PRIu64 " bytes here)", fetch_percent(st),
			(u64)st->fetch_total);
	if (st->flags & PBFT_F_MUTE && st->recover_point)
		fprintf(f, " recover-point %" PRIu64 " recover-view %" PRIu64,
			(u64)st->recover_point, (u64)st->recover_view);
	if (st->recovery.state == PBFT_RECOVERY_RUNNING)
		fprintf(f, " recovering (%u of %u pages checked)",
			st->recovery.checked, st->recovery.total);
	if (st->reason[0])
		fprintf(f, " reason: %s", st->reason);
}

void hex_text(char *out, const u8 *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		sprintf(out + 2 * i, "%02x", bytes[i]);
	out[2 * len] = 0;
}

/* json-c takes ownership of the value only when it succeeds. */
void put_json(struct json_object *o, const char *key, struct json_object *v)
{
	if (!v || json_object_object_add(o, key, v)) {
		fprintf(stderr, "pbftctl: out of memory\n");
		exit(EXIT_FAILED);
	}
}

void put_u64(struct json_object *o, const char *key, u64 v)
{
	put_json(o, key, json_object_new_uint64(v));
}

void put_string(struct json_object *o, const char *key, const char *v)
{
	put_json(o, key, json_object_new_string(v));
}

static void put_hex(struct json_object *o, const char *key, const u8 *bytes,
		    size_t len)
{
	char text[2 * PBFT_DIGEST_LEN + 1];

	hex_text(text, bytes, len);
	put_string(o, key, text);
}

static void put_recovery(struct json_object *o, const struct pbft_nl_recovery *r)
{
	put_string(o, "recovery", pbft_nl_recovery_name(r->state));
	if (r->state == PBFT_RECOVERY_NONE)
		return;
	put_json(o, "recovery_scheduled", json_object_new_boolean(r->scheduled));
	put_u64(o, "recovery_seq", r->seq);
	put_u64(o, "pages", r->total);
	put_u64(o, "pages_checked", r->checked);
	put_u64(o, "pages_damaged", r->damaged);
	put_u64(o, "pages_repaired", r->repaired);
	put_u64(o, "recovery_ended", r->ended);
}

struct json_object *status_json(const struct pbft_nl_status *st)
{
	struct json_object *o = json_object_new_object();

	/* the keys are the fields of the core's struct pbft_status */
	put_string(o, "name", st->name);
	put_u64(o, "self", st->self);
	put_string(o, "state", pbft_nl_state_name(st->state));
	if (st->reason[0])
		put_string(o, "reason", st->reason);
	put_u64(o, "view", st->view);
	put_u64(o, "primary", st->primary);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
		put_json(o, flags[i].key,
			 json_object_new_boolean(st->flags & flags[i].flag));
	put_u64(o, "h", st->stable);
	put_u64(o, "last_committed", st->committed);
	put_u64(o, "last_exec", st->head.seq);
	put_u64(o, "time", st->head.time);
	put_hex(o, "chain", st->head.chain, sizeof(st->head.chain));
	put_u64(o, "checkpoint", st->checkpoint);
	put_hex(o, "checkpoint_digest", st->checkpoint_digest,
		sizeof(st->checkpoint_digest));
	put_u64(o, "fetch_target", st->fetch_target);
	if (st->fetch_total) {
		put_u64(o, "fetch_done", st->fetch_done);
		put_u64(o, "fetch_total", st->fetch_total);
	}
	put_u64(o, "recover_point", st->recover_point);
	put_u64(o, "recover_view", st->recover_view);
	put_u64(o, "pending_requests", st->pending);
	put_u64(o, "memory", st->memory);
	put_u64(o, "key_id", st->key_id);
	put_recovery(o, &st->recovery);
	return o;
}

struct json_object *counters_json(const struct pbft_nl_counters *cs)
{
	struct json_object *o = json_object_new_object();

	for (u32 i = 0; i < cs->count; i++)
		put_u64(o, cs->c[i].name, cs->c[i].value);
	return o;
}
