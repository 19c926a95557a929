// SPDX-License-Identifier: GPL-2.0
/*
 * The commands of scenario files; selftests/scenarios/README lists them. Each
 * acts on the cluster and leaves what happened in the transcript.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include "internal.h"
#include "scenario.h"

#define ARGS_MAX 32

/* ---- parsing --------------------------------------------------------------- */

const char *arg_value(char **args, u32 count, const char *name)
{
	size_t len = strlen(name);
	u32 i;

	for (i = 0; i < count; i++)
		if (!strncmp(args[i], name, len) && args[i][len] == '=')
			return args[i] + len + 1;
	return NULL;
}

u64 arg_number(char **args, u32 count, const char *name, u64 otherwise)
{
	const char *v = arg_value(args, count, name);

	return v ? strtoull(v, NULL, 0) : otherwise;
}

static bool flag(char **args, u32 count, const char *name)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (!strcmp(args[i], name))
			return true;
	return false;
}

/* "r0,r2", "*" */
bool parse_replicas(const char *s, u64 *set)
{
	u32 n = scene.sim->id.n;

	*set = 0;
	if (!strcmp(s, "*")) {
		*set = (1ull << n) - 1;
		return true;
	}
	while (*s == 'r' && isdigit((unsigned char)s[1])) {
		char *end;
		unsigned long i = strtoul(s + 1, &end, 10);

		if (i >= n)
			return false;
		*set |= 1ull << i;
		if (!*end)
			return true;
		if (*end != ',')
			return false;
		s = end + 1;
	}
	return false;
}

/* "r1", "c0", "*" for any */
static bool end_matches(const char *s, u32 end)
{
	char name[16];

	if (!strcmp(s, "*"))
		return true;
	snprintf(name, sizeof(name), "%s", trace_end(end));
	while (*s) {
		size_t len = strcspn(s, ",");

		if (strlen(name) == len && !strncmp(s, name, len))
			return true;
		s += len + (s[len] == ',');
	}
	return false;
}

/* A name from the transcript, "null", or "x.WORD" for one that nothing has. */
bool parse_digest(const char *s, struct pbft_digest *d)
{
	struct ghost *g = scene.sim->ghost;
	u64 i;
	u32 k;

	pbft_null_digest(d);
	if (!strcmp(s, "null"))
		return true;
	if (!strncmp(s, "x.", 2)) {
		struct pbft_iov iov = { s, strlen(s) };

		pbft_hash(d, &iov, 1);
		return true;
	}
	for (i = 0; i < g->slot_count; i++)
		for (k = 0; k < g->slots[i].pp_count; k++)
			if (!strcmp(scene_digest(&g->slots[i].pp[k].d), s)) {
				*d = g->slots[i].pp[k].d;
				return true;
			}
	for (k = 0; k < g->vc_count; k++)
		if (!strcmp(scene_digest(&g->vcs[k].dv), s)) {
			*d = g->vcs[k].dv;
			return true;
		}
	return false;
}

/* ---- the cluster --------------------------------------------------------------- */

static const char *cmd_cluster(char **args, u32 count)
{
	struct sim_plan plan = { .delay_min = 1000, .delay_max = 2000 };
	struct pbft_config *c = &plan.cfg;
	const char *wrong, *byz = arg_value(args, count, "byz");

	pbft_config_default(c);
	c->cluster = 1;
	c->epoch = 1;
	c->n = arg_number(args, count, "n", 4);
	c->f = arg_number(args, count, "f", pbft_max_faults(c->n));
	c->k = arg_number(args, count, "k", 4);
	c->l = arg_number(args, count, "l", 2 * c->k);
	c->pipeline = arg_number(args, count, "pipeline", 4);
	c->batch_max = arg_number(args, count, "batch", 8);
	c->clients_max = SIM_CLIENTS_MAX;
	c->t_base = arg_number(args, count, "timeout", 1000) * MS;
	c->t_status = arg_number(args, count, "status", 60000) * MS;
	c->t_resend = min_t(u64, c->t_status, arg_number(args, count, "resend", 50) * MS);
	c->t_heartbeat = arg_number(args, count, "heartbeat", 600000) * MS;
	c->clock_skew = 0;
	wrong = pbft_config_check(c);
	if (wrong)
		return wrong;
	plan.clients = min_t(u64, arg_number(args, count, "clients", 2), SIM_CLIENTS_MAX);
	plan.window = PBFT_CLIENT_WINDOW;
	plan.ops = 0;
	plan.think = 0;
	plan.keys = KV_KEYS - KV_WILD;
	plan.large = PBFT_MSG_MAX;
	plan.app_delay = 2000;
	plan.durable_ppm = 1000000;
	scene_start(&plan);
	scene.show_status = flag(args, count, "show-status");
	/* their cores stay honest: what lies is said by send */
	if (byz && !parse_replicas(byz, &scene.sim->plan.byz))
		return "byz= must name replicas, as in r0,r3";
	return NULL;
}

static void print_status(struct sim_node *node)
{
	struct pbft_status st;

	if (!node->up) {
		scene_print("r%u: down\n", node->id);
		return;
	}
	pbft_status_get(node->core, &st);
	scene_print("r%u: view %llu%s%s h %llu committed %llu executed %llu%s\n", node->id,
		    llu(st.view), st.pending ? " pending" : "", st.mute ? " mute" : "",
		    llu(st.h), llu(st.last_committed), llu(st.last_exec),
		    st.fetching ? " fetching" : "");
}

static const char *cmd_status(char **args, u32 count)
{
	u64 set = 0;
	u32 i;

	if (!parse_replicas(count ? args[0] : "*", &set))
		return "status takes replicas, as in r0,r2";
	for (i = 0; i < scene.sim->id.n; i++)
		if (set >> i & 1)
			print_status(&scene.sim->nodes[i]);
	return NULL;
}

/* What each replica holds as committed, in its window. */
static const char *cmd_log(char **args, u32 count)
{
	struct sim *sim = scene.sim;
	u32 i;

	for (i = 0; i < sim->id.n; i++) {
		struct pbft_core *c = sim->nodes[i].core;
		struct pbft_digest d;
		u64 seq;

		scene_print("r%u:", i);
		for (seq = 1; c && seq <= pbft_high(c); seq++)
			if (!pbft_committed_digest(c, seq, &d))
				scene_print(" %llu=%s", llu(seq), scene_digest(&d));
		scene_print("\n");
	}
	return NULL;
}

static const char *cmd_crash(char **args, u32 count)
{
	u64 set;
	u32 i;

	if (!count || !parse_replicas(args[0], &set))
		return "crash takes replicas, as in r0,r2";
	for (i = 0; i < scene.sim->id.n; i++) {
		if (!(set >> i & 1))
			continue;
		scene.sim->forgetful |= 1ull << i;
		replica_stop(&scene.sim->nodes[i]);
	}
	return NULL;
}

static const char *cmd_restart(char **args, u32 count)
{
	u64 set;
	u32 i;

	if (!count || !parse_replicas(args[0], &set))
		return "restart takes replicas, as in r0,r2";
	for (i = 0; i < scene.sim->id.n; i++) {
		struct sim_node *node = &scene.sim->nodes[i];

		if (!(set >> i & 1) || node->up)
			continue;
		app_reset(node, flag(args, count, "wiped"));
		replica_start(node, false);
	}
	return NULL;
}

static const char *set_mask(char **args, u32 count, u64 *mask, const char *usage)
{
	*mask = 0;
	return count && !parse_replicas(args[0], mask) ? usage : NULL;
}

/* ---- packets -------------------------------------------------------------------- */

/* FROM->TO [TYPE] [seq=N] [view=N] */
static bool wanted(const struct waiting *w, char **args, u32 count)
{
	const struct pbft_hdr *h = (const void *)w->buf->data;
	u32 i;

	for (i = 0; i < count; i++) {
		char from[64], to[64], *arrow = strstr(args[i], "->");

		if (arrow) {
			snprintf(from, sizeof(from), "%.*s", (int)(arrow - args[i]), args[i]);
			snprintf(to, sizeof(to), "%s", arrow + 2);
			if (!end_matches(from, w->from) || !end_matches(to, w->to))
				return false;
		} else if (!strncmp(args[i], "seq=", 4)) {
			if (le64_to_cpu(h->seq) != strtoull(args[i] + 4, NULL, 0))
				return false;
		} else if (!strncmp(args[i], "view=", 5)) {
			if (le64_to_cpu(h->view) != strtoull(args[i] + 5, NULL, 0))
				return false;
		} else if (strcmp(args[i], "all") &&
			   strcmp(args[i], pbft_type_name(h->type))) {
			return false;
		}
	}
	return true;
}

/* What waits now and matches; with "all", also what that brings about. */
static const char *cmd_deliver(char **args, u32 count)
{
	u32 i = 0, now = scene.count, taken = 0, most = 20000;
	bool all = flag(args, count, "all");

	while (i < (all ? scene.count : now) && most-- && !sim_failed(scene.sim)) {
		if (!wanted(&scene.waiting[i], args, count)) {
			i++;
			continue;
		}
		scene_deliver(i);
		taken++;
		now--;
		if (all)
			i = 0;
	}
	if (!taken)
		scene_line(scene.sim, "(nothing)");
	return NULL;
}

static const char *cmd_drop(char **args, u32 count)
{
	u32 i = 0, dropped = 0;

	while (i < scene.count) {
		if (!wanted(&scene.waiting[i], args, count)) {
			i++;
			continue;
		}
		scene_drop(i);
		dropped++;
	}
	scene_print("%u dropped\n", dropped);
	return NULL;
}

static const char *cmd_waiting(char **args, u32 count)
{
	u32 i;

	for (i = 0; i < scene.count; i++) {
		const struct waiting *w = &scene.waiting[i];
		char text[200], line[256];

		if (!wanted(w, args, count))
			continue;
		trace_message(w->buf->data, text, sizeof(text));
		snprintf(line, sizeof(line), "%s -> %s %s", trace_end(w->from),
			 trace_end(w->to), text);
		scene_line(scene.sim, line);
	}
	return NULL;
}

/* ---- clients, time ---------------------------------------------------------------- */

/* cN: one more operation; "unsent": only for a liar's PRE-PREPARE to name. */
static const char *cmd_op(char **args, u32 count)
{
	struct sim_client *c;
	u32 i = count && args[0][0] == 'c' ? strtoul(args[0] + 1, NULL, 10) : ~0u;
	bool unsent = flag(args, count, "unsent");

	if (i >= scene.sim->client_count)
		return "op takes a client, as in c0";
	c = &scene.sim->clients[i];
	c->quota++;
	c->ops = realloc(c->ops, (c->op_count + 2) * sizeof(*c->ops));
	c->next_issue = 0;
	c->timer_at = 0;
	if (unsent)
		scene.sim->intercept = NULL;
	client_timer(c);
	scene.sim->intercept = scene_packet;
	return NULL;
}

static const char *cmd_tick(char **args, u32 count)
{
	char *end;
	u64 n = count ? strtoull(args[0], &end, 10) : 0;

	if (!n || (strcmp(end, "ms") && strcmp(end, "s")))
		return "tick takes a time, as in 200ms or 3s";
	scene_run(n * (strcmp(end, "ms") ? SEC : MS));
	return NULL;
}

/* rN->rM,rK TYPE FIELD=VALUE...: a message of a liar's making, properly authenticated */
static const char *cmd_send(char **args, u32 count)
{
	char *arrow = count > 1 ? strstr(args[0], "->") : NULL;
	const char *wrong;
	u64 from, to;

	if (!arrow)
		return "send takes FROM->TO TYPE and fields";
	*arrow = 0;
	if (!parse_replicas(args[0], &from) || hweight64(from) != 1 ||
	    !parse_replicas(arrow + 2, &to))
		return "send takes one sender and some receivers, as in r0->r1,r2";
	if (!(scene.sim->plan.byz & from))
		return "send is for replicas named in cluster byz=";
	scene.forging = __ffs64(from) + 1;
	wrong = scene_forge(__ffs64(from), to & ~from, args[1], args + 2, count - 2);
	scene.forging = 0;
	return wrong;
}

/* ---- the table ---------------------------------------------------------------------- */

static const char *cmd_isolate(char **args, u32 count)
{
	return set_mask(args, count, &scene.isolated, "isolate takes replicas, or nothing to end it");
}

static const char *cmd_silence(char **args, u32 count)
{
	return set_mask(args, count, &scene.silent, "silence takes replicas, or nothing to end it");
}

static const struct {
	const char *name;
	const char *(*run)(char **args, u32 count);
} commands[] = {
	{ "cluster", cmd_cluster }, { "op", cmd_op }, { "deliver", cmd_deliver },
	{ "drop", cmd_drop }, { "waiting", cmd_waiting }, { "tick", cmd_tick },
	{ "isolate", cmd_isolate }, { "silence", cmd_silence }, { "send", cmd_send },
	{ "crash", cmd_crash }, { "restart", cmd_restart }, { "status", cmd_status },
	{ "log", cmd_log },
};

const char *scene_command(char *line)
{
	char *args[ARGS_MAX], *save = NULL, *word;
	u32 count = 0, i;

	for (word = strtok_r(line, " \t", &save); word && count < ARGS_MAX;
	     word = strtok_r(NULL, " \t", &save))
		args[count++] = word;
	if (!count)
		return "empty command";
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i].name, args[0]))
			break;
	if (i == ARRAY_SIZE(commands))
		return "no such command";
	if (i && !scene.sim)
		return "no cluster yet";
	return commands[i].run(args + 1, count - 1);
}
