// SPDX-License-Identifier: GPL-2.0
/* Commands about what breaks: replicas, their daemons, clocks that stand, clients. */
#include <stdio.h>
#include <stdlib.h>
#include "internal.h"
#include "scenario.h"

/* ---- replicas and clients ---------------------------------------------------- */

static void crash_client(struct sim_client *c)
{
	trace(scene.sim, "%s crashes", trace_end(c->id));
	c->byz = true;	/* from here on nobody counts on it */
}

const char *cmd_crash(char **args, u32 count)
{
	u64 set;
	u32 i;

	if (count && parse_client(args[0], &i)) {
		crash_client(&scene.sim->clients[i]);
		return NULL;
	}
	if (!count || !parse_replicas(args[0], &set))
		return "crash takes replicas, as in r0,r2, or a client";
	for (i = 0; i < scene.sim->id.n; i++) {
		if (!(set >> i & 1))
			continue;
		scene.sim->forgetful |= 1ull << i;
		replica_stop(&scene.sim->nodes[i]);
	}
	return NULL;
}

const char *cmd_restart(char **args, u32 count)
{
	u64 set;
	u32 i;

	if (!count || !parse_replicas(args[0], &set))
		return "restart takes replicas, as in r0,r2";
	for (i = 0; i < scene.sim->id.n; i++) {
		struct sim_node *node = &scene.sim->nodes[i];

		if (!(set >> i & 1) || node->up)
			continue;
		app_reset(node, arg_flag(args, count, "wiped"));
		replica_start(node, false);
	}
	return NULL;
}

/* The machine stands still: it neither hears nor sees time pass. */
const char *cmd_pause(char **args, u32 count)
{
	u64 set, ns;
	u32 i;

	if (count < 2 || !parse_replicas(args[0], &set) || !parse_time(args[1], &ns))
		return "pause takes replicas and a time, as in r2,r3 1800s";
	for (i = 0; i < scene.sim->id.n; i++)
		if (set >> i & 1)
			scene.sim->nodes[i].paused_until = scene.sim->now + ns;
	return NULL;
}

/* cN rM,rK: a faulty client, its authenticators do not hold at these replicas; without them: they do. */
const char *cmd_spoil(char **args, u32 count)
{
	u64 set = 0;
	u32 i;

	if (!count || !parse_client(args[0], &i) ||
	    (count > 1 && !parse_replicas(args[1], &set)))
		return "spoil takes a client and replicas, as in c1 r1,r2";
	scene.spoiled[i] = set;
	return NULL;
}

/* ---- daemons -------------------------------------------------------------------- */

/* Somebody's copy of the state after @seq, which was everybody's; NULL: none has one. */
static const struct kv_state *copy_of(u64 seq)
{
	u32 i, k;

	for (i = 0; i < scene.sim->id.n; i++) {
		const struct sim_app *app = &scene.sim->nodes[i].app;

		for (k = 0; k < app->snapshot_count; k++)
			if (app->snapshots[k]->head.seq == seq)
				return app->snapshots[k];
	}
	return NULL;
}

/* rN dies [at=SEQ]|forgets|binds|slow TIME */
const char *cmd_daemon(char **args, u32 count)
{
	u64 set, ns = 0, at = arg_number(args, count, "at", 0);
	static struct kv_state was;
	u32 i;

	if (count < 2 || !parse_replicas(args[0], &set) ||
	    (strcmp(args[1], "dies") && strcmp(args[1], "binds") && strcmp(args[1], "forgets") &&
	     (strcmp(args[1], "slow") || count < 3 || !parse_time(args[2], &ns))))
		return "daemon takes replicas and one of: dies, forgets, binds, slow TIME";
	if (at && strcmp(args[1], "dies"))
		return "at= goes with dies";
	if (at) {
		const struct kv_state *copy = copy_of(at);

		if (!copy)
			return "at= names no checkpoint that a daemon has a copy of";
		was = *copy;
	}
	for (i = 0; i < scene.sim->id.n; i++) {
		struct sim_node *node = &scene.sim->nodes[i];

		if (!(set >> i & 1))
			continue;
		if (ns)
			node->app.slow_until = scene.sim->now + ns;
		else if (!strcmp(args[1], "dies"))
			app_unbind(node, false);
		else if (!strcmp(args[1], "forgets"))
			app_forget_copies(node);
		else
			app_bind(node);
		if (at)
			node->app.durable = node->app.state = was;
	}
	return NULL;
}

/* FROM->TO: no state is handed out there, as long as it lasts; without: all do. */
const char *cmd_stall(char **args, u32 count)
{
	char *arrow = count ? strstr(args[0], "->") : NULL;
	u64 from, to;
	u32 i;

	if (!count) {
		memset(scene.stalled, 0, sizeof(scene.stalled));
		scene_cut_daemons();
		return NULL;
	}
	if (!arrow)
		return "stall takes FROM->TO, or nothing to end it";
	*arrow = 0;
	if (!parse_replicas(args[0], &from) || !parse_replicas(arrow + 2, &to))
		return "stall takes replicas, as in r0,r1->r3";
	for (i = 0; i < scene.sim->id.n; i++)
		if (from >> i & 1)
			scene.stalled[i] |= to;
	scene_cut_daemons();
	return NULL;
}

/* The state, or with "snapshots" the copies it hands out, differ in one value. */
const char *cmd_corrupt(char **args, u32 count)
{
	u64 set;
	u32 i, k;

	if (!count || !parse_replicas(args[0], &set) || set & ~scene.sim->plan.byz)
		return "corrupt takes replicas named in cluster byz=";
	for (i = 0; i < scene.sim->id.n; i++) {
		struct sim_node *node = &scene.sim->nodes[i];

		if (!(set >> i & 1))
			continue;
		if (!arg_flag(args, count, "snapshots")) {
			node->byz = true;	/* no invariant holds for it any more */
			node->app.state.values[KV_KEYS - 1] ^= 1;
			continue;
		}
		for (k = 0; k < node->app.snapshot_count; k++)
			node->app.snapshots[k]->values[KV_KEYS - 1] ^= 1;
	}
	return NULL;
}
