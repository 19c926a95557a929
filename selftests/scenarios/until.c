// SPDX-License-Identifier: GPL-2.0
/*
 * until: everything arrives that is not held back, and time passes, until what
 * the scenario waits for is the case. So it depends on no timer's value and on
 * no order of messages.
 */
#include <stdio.h>
#include <stdlib.h>
#include "internal.h"
#include "scenario.h"

struct goal {
	u64 who;
	u64 view, pending, exec, h;
	bool have_view, have_pending;
	bool voting, done, synced;
	const char *event;
};

static bool reached_by(const struct goal *g, struct sim_node *node)
{
	struct pbft_status st;

	if (!node->up)
		return false;
	pbft_status_get(node->core, &st);
	return (!g->have_view || (st.view >= g->view && !st.pending)) &&
	       (!g->have_pending || st.view > g->pending ||
		(st.view == g->pending && st.pending)) &&
	       st.last_exec >= g->exec && st.h >= g->h && (!g->voting || !st.mute) &&
	       (!g->synced || !st.fetching);
}

static bool reached(const struct goal *g)
{
	struct sim *sim = scene.sim;
	u32 i;

	for (i = 0; i < sim->id.n; i++)
		if (g->who >> i & 1 && !reached_by(g, &sim->nodes[i]))
			return false;
	for (i = 0; g->done && i < sim->client_count; i++)
		if (!scene.spoiled[i] && !client_done(&sim->clients[i]))
			return false;
	return !g->event || scene.seen;
}

/* One packet arrives; if none may, time goes on to the next event. */
static bool one_step(u64 end)
{
	struct sim *sim = scene.sim;
	struct sim_event ev;
	u32 i;

	for (i = 0; i < scene.count; i++) {
		if (scene_held(&scene.waiting[i]))
			continue;
		scene_deliver(i);
		return true;
	}
	if (!sim->events.count || sim->events.heap[0].at > end)
		return false;
	sim_event_next(sim, &ev);
	sim_dispatch(sim, &ev);
	return true;
}

static const char *parse(struct goal *g, char **args, u32 count, u64 *within)
{
	struct sim *sim = scene.sim;
	const char *v;
	u32 i = 0;

	for (i = 0; i < sim->id.n; i++)
		if (sim->nodes[i].up && !((scene.isolated | scene.silent) >> i & 1))
			g->who |= 1ull << i;
	if (count && args[0][0] == 'r' && !parse_replicas(args[0], &g->who))
		return "until takes replicas, as in r0,r2";
	g->have_view = arg_value(args, count, "view");
	g->view = arg_number(args, count, "view", 0);
	g->have_pending = arg_value(args, count, "pending");
	g->pending = arg_number(args, count, "pending", 0);
	g->exec = arg_number(args, count, "exec", 0);
	g->h = arg_number(args, count, "h", 0);
	g->voting = arg_flag(args, count, "voting");
	g->synced = arg_flag(args, count, "synced");
	g->done = arg_flag(args, count, "done");
	g->event = arg_value(args, count, "line");
	v = arg_value(args, count, "within");
	*within = 600 * SEC;
	if (v && !parse_time(v, within))
		return "within= takes a time, as in 200ms or 3s";
	return NULL;
}

const char *cmd_until(char **args, u32 count)
{
	struct goal g = { 0 };
	u64 steps = 2000000, end;
	const char *wrong = parse(&g, args, count, &end);

	if (wrong)
		return wrong;
	end += scene.sim->now;
	snprintf(scene.awaited, sizeof(scene.awaited), "%s", g.event ? g.event : "");
	scene.seen = false;
	while (!reached(&g) && !sim_failed(scene.sim) && steps-- && one_step(end))
		;
	scene.awaited[0] = 0;
	if (!reached(&g)) {
		scene_flush();
		scene_print("this does not happen\n");
	}
	return NULL;
}
