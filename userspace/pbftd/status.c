// SPDX-License-Identifier: GPL-2.0
/*
 * The status file of a userspace replica, in JSON, with the keys that pbftctl
 * show --json has for an instance in the kernel. Readers never see half a file.
 */
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <unistd.h>
#include "libpbft/journal_file.h"
#include "libpbft/nl.h"
#include "linux/pbft.h"
#include "replica/replica.h"
#include "status.h"

static void put_hex(struct json_object *o, const char *key,
		    const struct pbft_digest *d)
{
	char text[2 * PBFT_DIGEST_LEN + 1];
	u32 i;

	for (i = 0; i < PBFT_DIGEST_LEN; i++)
		snprintf(text + 2 * i, 3, "%02x", d->b[i]);
	json_object_object_add(o, key, json_object_new_string(text));
}

static void put_u64(struct json_object *o, const char *key, u64 v)
{
	json_object_object_add(o, key, json_object_new_uint64(v));
}

static void put_bool(struct json_object *o, const char *key, bool v)
{
	json_object_object_add(o, key, json_object_new_boolean(v));
}

static void put_string(struct json_object *o, const char *key, const char *v)
{
	json_object_object_add(o, key, json_object_new_string(v));
}

static void put_counter(void *arg, const char *name, u64 value)
{
	put_u64(arg, name, value);
}

static struct json_object *xfer_json(const struct pbft_xfer_stats *s)
{
	struct json_object *o = json_object_new_object();

	put_u64(o, "fetches", s->fetches);
	put_u64(o, "installed", s->installed);
	put_u64(o, "nodes", s->nodes);
	put_u64(o, "pages", s->pages);
	put_u64(o, "indexes", s->indexes);
	put_u64(o, "pages_kept", s->pages_kept);
	put_u64(o, "bytes", s->bytes);
	put_u64(o, "bytes_kept", s->bytes_kept);
	put_u64(o, "timeouts", s->timeouts);
	put_u64(o, "bad", s->bad);
	put_u64(o, "unexpected", s->unexpected);
	put_u64(o, "served", s->served);
	put_u64(o, "served_none", s->served_none);
	put_u64(o, "throttled", s->throttled);
	return o;
}

static struct json_object *journal_json(const struct pbft_replica_journal *j)
{
	struct json_object *o = json_object_new_object();

	put_string(o, "mode", pbft_journal_mode_name(j->mode));
	put_u64(o, "size", j->stats.size);
	put_u64(o, "used", j->stats.used);
	put_u64(o, "records", j->stats.records);
	put_u64(o, "frames", j->stats.frames);
	put_u64(o, "syncs", j->stats.syncs);
	put_u64(o, "bytes", j->stats.bytes);
	put_u64(o, "compactions", j->stats.compactions);
	put_u64(o, "replayed", j->replayed);
	put_bool(o, "torn", j->flags & PBFT_JF_TORN);
	put_bool(o, "damaged", j->flags & PBFT_JF_DAMAGED);
	put_bool(o, "failed", j->flags & PBFT_JF_FAILED);
	return o;
}

static void put_recovery(struct json_object *o, const struct pbft_recovery_report *r)
{
	put_string(o, "recovery", pbft_nl_recovery_name(r ? r->state :
							PBFT_RECOVERY_NONE));
	if (!r || r->state == PBFT_RECOVERY_NONE)
		return;
	put_bool(o, "recovery_scheduled", r->scheduled);
	put_u64(o, "recovery_seq", r->seq);
	put_u64(o, "pages", r->total);
	put_u64(o, "pages_checked", r->checked);
	put_u64(o, "pages_damaged", r->damaged);
	put_u64(o, "pages_repaired", r->repaired);
}

static struct json_object *status_json(struct pbft_backend *b,
				       const struct pbft_app *app)
{
	struct json_object *o = json_object_new_object();
	struct json_object *counters = json_object_new_object();
	struct pbft_replica_journal journal;
	struct pbft_status st;
	struct pbft_xfer_progress p;

	b->ops->status(b, &st);
	put_u64(o, "self", b->self);
	put_string(o, "state", st.stopped ? "stopped" : "up");
	if (st.stopped && st.reason)
		put_string(o, "reason", st.reason);
	put_u64(o, "view", st.view);
	put_u64(o, "primary", st.primary);
	put_bool(o, "pending", st.pending);
	put_bool(o, "mute", st.mute);
	put_bool(o, "bound", st.bound);
	put_bool(o, "fetching", st.fetching);
	put_u64(o, "h", st.h);
	put_u64(o, "last_committed", st.last_committed);
	put_u64(o, "last_exec", st.last_exec);
	put_u64(o, "time", st.head.time);
	put_hex(o, "chain", &st.head.chain);
	put_u64(o, "checkpoint", st.checkpoint);
	put_hex(o, "checkpoint_digest", &st.checkpoint_app);
	put_u64(o, "fetch_target", st.fetch_target);
	if (st.fetching && pbft_app_progress(app, &p)) {
		put_u64(o, "fetch_done", p.done);
		put_u64(o, "fetch_total", p.total);
	}
	put_u64(o, "recover_point", st.recover_point);
	put_u64(o, "recover_view", st.recover_view);
	put_u64(o, "pending_requests", st.pending_requests);
	put_u64(o, "memory", st.memory);
	put_u64(o, "key_id", b->generation);
	put_recovery(o, pbft_app_recovery(app));
	b->ops->journal(b, &journal);
	json_object_object_add(o, "journal", journal_json(&journal));
	b->ops->counters(b, put_counter, counters);
	json_object_object_add(o, "counters", counters);
	json_object_object_add(o, "state_transfer",
			       xfer_json(pbft_app_xfer_stats(app)));
	return o;
}

int pbft_status_write(const char *path, struct pbft_backend *b,
		      const struct pbft_app *app)
{
	struct json_object *o = status_json(b, app);
	char tmp[4096];
	int rc = 0;
	FILE *f;

	if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp)) {
		json_object_put(o);
		return -ENAMETOOLONG;
	}
	f = fopen(tmp, "we");
	if (!f) {
		json_object_put(o);
		return -errno;
	}
	fprintf(f, "%s\n", json_object_to_json_string_ext(o,
		JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
		JSON_C_TO_STRING_NOSLASHESCAPE));
	if (ferror(f))
		rc = -EIO;
	if (fclose(f) && !rc)
		rc = -errno;
	if (!rc && rename(tmp, path))
		rc = -errno;
	if (rc)
		unlink(tmp);
	json_object_put(o);
	return rc;
}
