// SPDX-License-Identifier: GPL-2.0
/*
 * Faults that come and go: the network's, the machines', the daemons'. Replicas
 * that lose their memory count against f, together with the liars, until they
 * have recovered.
 */
#include "sim.h"

static struct prng *rng(struct sim *sim)
{
	return &sim->rng_chaos;
}

static u64 everyone(const struct sim *sim)
{
	return (1ull << sim->id.n) - 1;
}

static void repair_later(struct sim *sim, u32 end, u32 fault, u64 most)
{
	u64 at = sim->now + prng_range(rng(sim), sim->plan.cfg.t_base / 4, most);

	sim_event_add(sim, at, SIM_EV_REPAIR, end)->arg = fault;
}

/* Two sides; clients fall to one of them each. */
static void partition(struct sim *sim)
{
	u64 side = prng_u64(rng(sim)) & everyone(sim);
	u32 i;

	for (i = 0; i < sim->id.n; i++)
		sim->net.cut[i] = side >> i & 1 ? ~side : side;
	for (i = 0; i < sim->client_count; i++)
		sim->net.cut[PBFT_N_MAX + i] = prng_chance(rng(sim), 500000) ? side : ~side;
	trace(sim, "chaos: partition %llx", (unsigned long long)side);
}

static void isolate(struct sim *sim)
{
	u32 i, who = prng_below(rng(sim), sim->id.n);

	for (i = 0; i < SIM_ENDS_MAX; i++)
		sim->net.cut[i] |= 1ull << who;
	sim->net.cut[who] = ~0ull;
	trace(sim, "chaos: isolate %u", who);
}

static void one_way(struct sim *sim)
{
	u32 i;

	for (i = 0; i < sim->id.n; i++)
		sim->net.cut[i] = prng_u64(rng(sim)) & prng_u64(rng(sim)) & ~(1ull << i);
	trace(sim, "chaos: one way cuts");
}

/* Everybody sees the hub only. */
static void star(struct sim *sim)
{
	u32 i, hub = prng_below(rng(sim), sim->id.n);

	for (i = 0; i < sim->id.n; i++)
		sim->net.cut[i] = i == hub ? 0 : ~(1ull << hub | 1ull << i);
	trace(sim, "chaos: star around %u", hub);
}

static void links(struct sim *sim, u64 *set, const char *what)
{
	u32 i;

	for (i = 0; i < SIM_ENDS_MAX; i++)
		set[i] = prng_u64(rng(sim)) & prng_u64(rng(sim));
	trace(sim, "chaos: %s links", what);
}

/* ---- machines -------------------------------------------------------------- */

static struct sim_node *some_correct(struct sim *sim)
{
	u32 i, tries = 20;

	while (tries--) {
		i = prng_below(rng(sim), sim->id.n);
		if (!sim->nodes[i].byz)
			return &sim->nodes[i];
	}
	return NULL;
}

static void crash(struct sim *sim, u32 fault)
{
	struct sim_node *node = some_correct(sim);
	u64 bad;

	if (!node || !node->up)
		return;
	bad = sim->plan.byz | sim->forgetful | sim->corrupt | 1ull << node->id;
	if (!node->disk.on || fault != SIM_F_CRASH) {
		if (hweight64(bad) > sim->plan.cfg.f)
			return;
		sim->forgetful |= 1ull << node->id;
		sim->crashed_ever |= 1ull << node->id;
	}
	if (fault == SIM_F_ROT)
		disk_rot(node);
	sim->stats.crashes++;
	replica_stop(node);
	if (fault == SIM_F_WIPE) {
		disk_wipe(node);
		app_reset(node, true);
	} else if (node->disk.on || prng_chance(rng(sim), 500000)) {
		app_unbind(node, true);
	}
	repair_later(sim, node->id, fault, 6 * sim->plan.cfg.t_base);
}

/* The power fails everywhere at once, but for the liars. */
static void blackout(struct sim *sim)
{
	u32 i;

	trace(sim, "chaos: blackout");
	for (i = 0; i < sim->id.n; i++) {
		struct sim_node *node = &sim->nodes[i];

		if (!node->disk.on || !node->up)
			continue;
		sim->stats.crashes++;
		replica_stop(node);
		app_unbind(node, true);
		repair_later(sim, i, SIM_F_CRASH, 3 * sim->plan.cfg.t_base);
	}
}

static void pause(struct sim *sim)
{
	struct sim_node *node = some_correct(sim);

	if (!node)
		return;
	node->paused_until = sim->now + prng_range(rng(sim), MS, 4 * sim->plan.cfg.t_max);
	node->paused_until = min(node->paused_until, sim->plan.chaos);
	trace(sim, "chaos: pause %u", node->id);
}

static void set_skew(struct sim_node *node, s64 skew)
{
	node->wall_skew = skew;
	if (!node->up)
		return;
	replica_enter(node);
	pbft_set_wall_offset(node->core, (s64)(SIM_EPOCH - node->mono) + skew);
	replica_leave(node);
}

static void clock_jump(struct sim *sim)
{
	struct sim_node *node = some_correct(sim);
	s64 skew;

	if (!node)
		return;
	skew = (s64)prng_below(rng(sim), 200 * SEC) - (s64)(100 * SEC);
	if (prng_chance(rng(sim), 500000))
		skew /= 100;
	trace(sim, "chaos: clock of %u off by %lldms", node->id, (long long)skew / 1000000);
	set_skew(node, skew);
	repair_later(sim, node->id, SIM_F_CLOCK, 10 * sim->plan.cfg.t_base);
}

static void daemon_fault(struct sim *sim, u32 fault)
{
	struct sim_node *node = some_correct(sim);

	if (!node || !node->up)
		return;
	if (fault == SIM_F_DAEMON_SLOW) {
		node->app.slow_until = sim->now + prng_below(rng(sim), 8 * sim->plan.cfg.t_base);
		return;
	}
	app_unbind(node, prng_chance(rng(sim), 600000));
	repair_later(sim, node->id, fault, 8 * sim->plan.cfg.t_base);
}

/* Counts against f until it is repaired: it answers, and certifies, what is wrong. */
void chaos_corrupt(struct sim *sim)
{
	u32 who = prng_below(&sim->rng_corrupt, sim->id.n);
	struct sim_node *node = sim_correct(sim, who);
	u64 bad = sim->plan.byz | sim->forgetful | sim->corrupt | 1ull << who;

	if (sim->phase != SIM_CHAOS)
		return;
	sim_event_add(sim, sim->now + prng_range(&sim->rng_corrupt, 1,
						 2 * sim->plan.corrupt_every),
		      SIM_EV_CORRUPT, 0);
	if (node && node->app.bound && hweight64(bad) <= sim->plan.cfg.f)
		app_corrupt(node);
}

/* Faults of disks only happen to those that have them. */
static u32 draw(struct sim *sim)
{
	u32 disk = sim->plan.journal ? SIM_F_MAX - SIM_F_BLACKOUT : 0;
	u32 fault = prng_below(rng(sim), SIM_F_DRAWN + disk);

	return fault < SIM_F_DRAWN ? fault : fault - SIM_F_DRAWN + SIM_F_BLACKOUT;
}

void chaos_act(struct sim *sim)
{
	u32 fault = draw(sim);
	u64 some = 12 * sim->plan.cfg.t_base;
	struct sim_node *node;

	if (sim->phase != SIM_CHAOS)
		return;
	sim_event_add(sim, sim->now + prng_range(rng(sim), 1, 2 * sim->plan.chaos_every),
		      SIM_EV_CHAOS, 0);
	if (!(sim->plan.faults >> fault & 1))
		return;
	switch (fault) {
	case SIM_F_PARTITION:
		partition(sim);
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_ISOLATE:
		isolate(sim);
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_ONE_WAY:
		one_way(sim);
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_STAR:
		star(sim);
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_LOSSY:
		links(sim, sim->net.lossy, "lossy");
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_SLOW_LINK:
		links(sim, sim->net.slow, "slow");
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_LARGE_LOSS:
		sim->net.large_loss = 950000;
		repair_later(sim, 0, fault, some);
		break;
	case SIM_F_BLACKOUT:
		blackout(sim);
		break;
	case SIM_F_CRASH:
	case SIM_F_WIPE:
	case SIM_F_ROT:
		crash(sim, fault);
		break;
	case SIM_F_PAUSE:
		pause(sim);
		break;
	case SIM_F_CLOCK:
		clock_jump(sim);
		break;
	case SIM_F_DAEMON_DIES:
	case SIM_F_DAEMON_SLOW:
		daemon_fault(sim, fault);
		break;
	case SIM_F_NOMEM:
		node = some_correct(sim);
		if (node)
			node->nomem_until = sim->now + prng_below(rng(sim), some);
		break;
	case SIM_F_CLIENT_REBOOT:
		client_reboot(&sim->clients[prng_below(rng(sim), sim->client_count)]);
		break;
	}
}

void chaos_repair(struct sim *sim, u32 end, u32 fault)
{
	struct sim_net *net = &sim->net;
	struct sim_node *node = &sim->nodes[end];

	switch (fault) {
	case SIM_F_PARTITION:
	case SIM_F_ISOLATE:
	case SIM_F_ONE_WAY:
	case SIM_F_STAR:
		memset(net->cut, 0, sizeof(net->cut));
		trace(sim, "chaos: cuts heal");
		break;
	case SIM_F_LOSSY:
		memset(net->lossy, 0, sizeof(net->lossy));
		break;
	case SIM_F_SLOW_LINK:
		memset(net->slow, 0, sizeof(net->slow));
		break;
	case SIM_F_LARGE_LOSS:
		net->large_loss = 0;
		break;
	case SIM_F_CRASH:
	case SIM_F_WIPE:
	case SIM_F_ROT:
		if (!node->up)
			replica_start(node, false);
		break;
	case SIM_F_CLOCK:
		set_skew(node, 0);
		break;
	case SIM_F_DAEMON_DIES:
		app_bind(node);
		break;
	}
}

void chaos_begin(struct sim *sim)
{
	sim->net.loss = sim->plan.loss;
	sim->net.dup = sim->plan.dup;
	sim->net.reorder = sim->plan.reorder;
	sim->net.replay = sim->plan.replay;
	sim->net.corrupt = sim->plan.corrupt;
	sim->net.delay_min = sim->plan.delay_min;
	sim->net.delay_max = sim->plan.delay_max;
	sim_event_add(sim, prng_below(rng(sim), sim->plan.chaos_every + 1), SIM_EV_CHAOS, 0);
	if (sim->plan.corrupt_every)
		sim_event_add(sim, prng_below(&sim->rng_corrupt, sim->plan.corrupt_every),
			      SIM_EV_CORRUPT, 0);
}

/* From here on nothing goes wrong any more, except by intent. */
void chaos_heal(struct sim *sim)
{
	u32 i;

	trace(sim, "chaos: all heals");
	net_heal(sim);
	for (i = 0; i < sim->id.n; i++) {
		struct sim_node *node = &sim->nodes[i];

		node->paused_until = 0;
		node->nomem_until = 0;
		node->app.slow_until = 0;
		node->wall_skew = 0;
		if (!node->up)
			replica_start(node, false);
		set_skew(node, 0);
		app_bind(node);
	}
}
