// SPDX-License-Identifier: GPL-2.0
/*
 * Faults aimed at moments: when a replica has prepared, committed, made a
 * checkpoint stable or entered a view, the network around it is cut at that very
 * instant, now and then. Chance alone seldom hits the few microseconds between
 * two messages on which a view change turns.
 */
#include "internal.h"
#include "sim.h"

static const u32 odds[] = {		/* ppm of such moments, while nothing is cut */
	[SIM_AT_PREPARED] = 8000,
	[SIM_AT_COMMITTED] = 8000,
	[SIM_AT_STABLE] = 20000,
	[SIM_AT_NEW_VIEW] = 150000,
};

static const char * const names[] = { "prepared", "committed", "stable", "new view" };

static bool anything_cut(const struct sim *sim)
{
	u32 i;

	for (i = 0; i < sim->id.n; i++)
		if (sim->net.cut[i])
			return true;
	return false;
}

/* What @who sends reaches nobody. */
static void mute(struct sim *sim, u32 who)
{
	sim->net.cut[who] = ~0ull;
}

/* Nothing sent reaches @who. */
static void deafen(struct sim *sim, u32 who)
{
	u32 i;

	for (i = 0; i < SIM_ENDS_MAX; i++)
		sim->net.cut[i] |= 1ull << who;
}

/* Only @who hears the others; they hear one another no more. */
static void confide(struct sim *sim, u32 who)
{
	u32 i;

	for (i = 0; i < sim->id.n; i++)
		sim->net.cut[i] = ~(1ull << who);
}

void aim_at(struct sim_node *node, enum sim_moment what)
{
	struct sim *sim = node->sim;
	struct prng *r = &sim->rng_aim;
	u32 primary = node->core->view % sim->id.n;

	if (sim->phase != SIM_CHAOS || !(sim->plan.faults >> (SIM_F_AT_PREPARED + what) & 1) ||
	    !prng_chance(r, odds[what]) || anything_cut(sim))
		return;
	switch (prng_below(r, 6)) {
	case 0:
		mute(sim, node->id);
		deafen(sim, node->id);
		break;
	case 1:
		mute(sim, node->id);
		break;
	case 2:
		deafen(sim, node->id);
		break;
	case 3:
		confide(sim, node->id);
		break;
	case 4:
		mute(sim, primary);
		deafen(sim, primary);
		break;
	case 5:			/* and another, so that others must do without both */
		mute(sim, node->id);
		deafen(sim, prng_below(r, sim->id.n));
		break;
	}
	trace(sim, "chaos: cut around %s, %s", trace_end(node->id), names[what]);
	sim_event_add(sim, sim->now + prng_range(r, MS, 6 * sim->plan.cfg.t_base),
		      SIM_EV_REPAIR, 0)->arg = SIM_F_PARTITION;
}
