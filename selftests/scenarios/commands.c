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

bool arg_flag(char **args, u32 count, const char *name)
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

bool parse_client(const char *s, u32 *index)
{
	char *end;

	if (*s != 'c' || !isdigit((unsigned char)s[1]))
		return false;
	*index = strtoul(s + 1, &end, 10);
	return !*end && *index < scene.sim->client_count;
}

/* "200ms", "3s" */
bool parse_time(const char *s, u64 *ns)
{
	char *end;

	*ns = strtoull(s, &end, 10) * (strcmp(end, "ms") ? SEC : MS);
	return *ns && (!strcmp(end, "ms") || !strcmp(end, "s"));
}

/*
 * A name from the transcript, "null", "forged" (scene.forged), or "x.WORD" for one
 * that nothing has.
 */
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
	if (!strcmp(s, "forged")) {
		*d = scene.forged;
		return true;
	}
	for (i = 0; i < g->slot_count; i++)
		for (k = 0; k < g->slots[i].pp_count; k++)
			if (!strcmp(scene_digest(&g->slots[i].pp[k].d), s)) {
				*d = g->slots[i].pp[k].d;
				return true;
			}
	for (i = 0; i < g->slot_count; i++)
		if (g->slots[i].checkpointed && !strcmp(scene_digest(&g->slots[i].ck), s)) {
			*d = g->slots[i].ck;
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
	c->t_rejoin = arg_number(args, count, "rejoin", 10000) * MS;
	c->clock_skew = arg_number(args, count, "skew", 0) * MS;
	wrong = pbft_config_check(c);
	if (wrong)
		return wrong;
	plan.clients = min_t(u64, arg_number(args, count, "clients", 2), SIM_CLIENTS_MAX);
	plan.window = PBFT_CLIENT_WINDOW;
	plan.ops = 0;
	plan.think = 0;
	plan.keys = KV_KEYS - KV_WILD;
	plan.large = PBFT_MSG_MAX;
	plan.app_delay = arg_number(args, count, "app", 2000);
	plan.durable_ppm = 1000000;
	scene_start(&plan);
	scene.show_status = arg_flag(args, count, "show-status");
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

/* What the daemons' registers hold: equal letters are equal values. */
static const char *cmd_states(char **args, u32 count)
{
	struct sim *sim = scene.sim;
	struct pbft_digest d;
	u32 i;

	for (i = 0; i < sim->id.n; i++) {
		const struct kv_state *state = &sim->nodes[i].app.state;
		struct pbft_iov iov = { state->values, sizeof(state->values) };

		pbft_hash(&d, &iov, 1);
		scene_print("r%u: %llu %s\n", i, llu(state->head.seq),
			    scene_digest(&d));
	}
	return NULL;
}

/* How long each waits in its view, as a multiple of timeout=. */
static const char *cmd_patience(char **args, u32 count)
{
	u64 set = 0;
	u32 i;

	if (!parse_replicas(count ? args[0] : "*", &set))
		return "patience takes replicas, as in r0,r2";
	for (i = 0; i < scene.sim->id.n; i++) {
		const struct pbft_core *c = scene.sim->nodes[i].core;

		if (c && set >> i & 1)
			scene_print("r%u: view %llu, %llu timeouts\n", i, llu(c->view),
				    llu(pbft_timeout(c, c->view) / c->cfg.t_base));
	}
	return NULL;
}

/* ---- clients, time ---------------------------------------------------------------- */

/*
 * cN [times=]: the next operations, as many at once as a client may have open;
 * "unsent": only for a liar's PRE-PREPARE to name.
 */
static const char *cmd_op(char **args, u32 count)
{
	u64 times = arg_number(args, count, "times", 1), n;
	bool unsent = arg_flag(args, count, "unsent");
	struct sim_client *c;
	u32 i;

	if (!count || !parse_client(args[0], &i) || !times || times > 10000)
		return "op takes a client, as in c0, and times= of 1 to 10000";
	c = &scene.sim->clients[i];
	c->quota += times;
	c->ops = realloc(c->ops, (c->op_count + times + 1) * sizeof(*c->ops));
	if (unsent)
		scene.sim->intercept = NULL;
	for (n = 0; n < times; n++) {
		c->next_issue = 0;
		c->timer_at = 0;
		client_timer(c);
	}
	scene.sim->intercept = scene_packet;
	return NULL;
}

static const char *cmd_tick(char **args, u32 count)
{
	u64 ns;

	if (!count || !parse_time(args[0], &ns))
		return "tick takes a time, as in 200ms or 3s";
	scene_run(ns);
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

static const struct {
	const char *name;
	const char *(*run)(char **args, u32 count);
} commands[] = {
	{ "cluster", cmd_cluster }, { "op", cmd_op }, { "deliver", cmd_deliver },
	{ "drop", cmd_drop }, { "waiting", cmd_waiting }, { "tick", cmd_tick },
	{ "isolate", cmd_isolate }, { "silence", cmd_silence }, { "send", cmd_send },
	{ "crash", cmd_crash }, { "restart", cmd_restart }, { "status", cmd_status },
	{ "log", cmd_log }, { "hold", cmd_hold }, { "lose", cmd_lose },
	{ "replay", cmd_replay }, { "show", cmd_show }, { "until", cmd_until },
	{ "pause", cmd_pause }, { "stall", cmd_stall }, { "spoil", cmd_spoil },
	{ "corrupt", cmd_corrupt }, { "daemon", cmd_daemon }, { "states", cmd_states },
	{ "patience", cmd_patience }, { "simulate", cmd_simulate },
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
	if (!scene.sim && commands[i].run != cmd_cluster && commands[i].run != cmd_simulate)
		return "no cluster yet";
	return commands[i].run(args + 1, count - 1);
}
