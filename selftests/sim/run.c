// SPDX-License-Identifier: GPL-2.0
/*
 * One seed from birth to verdict: chaos, then healing, then proof that every
 * operation completes, that all replicas converge, and that views come to rest.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "ghost.h"
#include "internal.h"

#define PHASE_STEP (20 * MS)
#define EVENTS_MAX 3000000ull

void sim_violation(struct sim *sim, const char *fmt, ...)
{
	va_list ap;
	int n;

	if (sim_failed(sim))
		return;
	n = snprintf(sim->violation, sizeof(sim->violation), "at %llu.%06llus: ",
		     llu(sim->now / SEC), llu(sim->now % SEC / 1000));
	va_start(ap, fmt);
	vsnprintf(sim->violation + n, sizeof(sim->violation) - n, fmt, ap);
	va_end(ap);
	trace(sim, "VIOLATION %s", sim->violation);
}

void sim_init(struct sim *sim, u64 seed, const struct sim_plan *plan)
{
	u32 i;

	memset(&sim_alloc, 0, sizeof(sim_alloc));
	prng_seed(&sim_alloc.rng, seed, 7);
	sim->seed = seed;
	sim->plan = *plan;
	sim->id.cluster = plan->cfg.cluster;
	sim->id.epoch = plan->cfg.epoch;
	sim->id.n = plan->cfg.n;
	sim->client_count = plan->clients;
	prng_seed(&sim->rng_net, seed, 1);
	prng_seed(&sim->rng_app, seed, 2);
	prng_seed(&sim->rng_client, seed, 3);
	prng_seed(&sim->rng_chaos, seed, 4);
	prng_seed(&sim->rng_byz, seed, 5);
	prng_seed(&sim->rng_aim, seed, 6);
	prng_seed(&sim->rng_disk, seed, 9);
	prng_seed(&sim->rng_corrupt, seed, 10);
	sim_events_init(&sim->events);
	sim->stats.memory_bound = pbft_config_memory(&plan->cfg);
	sim->nodes = calloc(sim->id.n, sizeof(*sim->nodes));
	sim->clients = calloc(sim->client_count, sizeof(*sim->clients));
	sim->ghost = ghost_new(sim);
	for (i = 0; i < sim->client_count; i++) {
		sim->clients[i].sim = sim;
		client_init(&sim->clients[i], PBFT_CLIENT_ID_MIN + i,
			    i >= plan->clients - plan->byz_clients);
	}
	sim->net.delay_min = plan->delay_min;
	sim->net.delay_max = plan->delay_max;
	for (i = 0; i < sim->id.n; i++) {
		sim->nodes[i].sim = sim;
		sim->nodes[i].id = i;
		sim->nodes[i].byz = plan->byz >> i & 1;
		disk_init(&sim->nodes[i]);
		replica_start(&sim->nodes[i], true);
	}
}

void sim_free(struct sim *sim)
{
	u32 i;

	for (i = 0; i < sim->id.n; i++) {
		replica_stop(&sim->nodes[i]);
		app_free(&sim->nodes[i]);
		disk_free(&sim->nodes[i]);
	}
	sim_events_free(&sim->events);
	net_free(sim);
	for (i = 0; i < sim->id.n; i++) {
		sim->stats.memory = max(sim->stats.memory, sim_alloc.high[i + 1]);
		if (!sim->nodes[i].byz)
			sim->stats.full[SIM_T_MEMORY].high =
				max(sim->stats.full[SIM_T_MEMORY].high, sim_alloc.high[i + 1]);
		if (sim_alloc.live[i + 1])
			sim_violation(sim, "memory: %llu bytes of replica %u leaked",
				      llu(sim_alloc.live[i + 1]), i);
	}
	for (i = 0; i < sim->client_count; i++)
		free(sim->clients[i].ops);
	ghost_free(sim->ghost);
	free(sim->nodes);
	free(sim->clients);
	free(sim->ops);
	free(sim->ring);
	sim->nodes = NULL;
	sim->clients = NULL;
	sim->ghost = NULL;
	sim->ops = NULL;
	sim->ring = NULL;
	sim->op_count = 0;
	sim->op_cap = 0;
}

/* ---- events ---------------------------------------------------------------- */

/* A paused machine hears, and does, everything later. */
static bool postponed(struct sim *sim, struct sim_event *ev)
{
	struct sim_node *node = &sim->nodes[ev->end];
	struct sim_event *later;

	if (sim->now >= node->paused_until)
		return false;
	later = sim_event_add(sim, node->paused_until, ev->type, ev->end);
	later->from = ev->from;
	later->gen = ev->gen;
	later->arg = ev->arg;
	later->ptr = ev->ptr;
	return true;
}

static void replica_event(struct sim *sim, struct sim_event *ev)
{
	struct sim_node *node = &sim->nodes[ev->end];

	if (postponed(sim, ev))
		return;
	switch (ev->type) {
	case SIM_EV_PACKET:
		replica_receive(node, ev->from, ev->buf);
		break;
	case SIM_EV_TIMER:
		if (node->up && ev->gen == node->life)
			replica_timer(node);
		break;
	case SIM_EV_APP:
		if (node->up && ev->gen == node->app.gen)
			app_work(node);
		break;
	case SIM_EV_DISK:
		if (node->up && ev->gen == node->life)
			disk_synced(node);
		break;
	case SIM_EV_STATE_REQ:
		app_state_req(node, ev->from, ev->arg);
		break;
	case SIM_EV_STATE_RESP:
		app_state_resp(node, ev->ptr);
		free(ev->ptr);
		break;
	case SIM_EV_STATE_RETRY:
		if (node->up && ev->gen == node->app.gen)
			app_state_retry(node, ev->arg);
		break;
	}
}

static void byz_event(struct sim *sim, u32 end)
{
	if (end < PBFT_CLIENT_ID_MIN)
		byz_act(&sim->nodes[end]);
	else if (sim->phase <= SIM_SETTLE)
		client_byz_act(&sim->clients[end - PBFT_CLIENT_ID_MIN]);
	sim_event_add(sim, sim->now + prng_range(&sim->rng_byz, 1, sim->plan.cfg.t_base / 4),
		      SIM_EV_BYZ, end);
}

static void phase_event(struct sim *sim);

void sim_dispatch(struct sim *sim, struct sim_event *ev)
{
	sim->now = ev->at;
	sim->stats.events++;
	switch (ev->type) {
	case SIM_EV_PACKET:
		sim->net.delivered++;
		if (ev->end < PBFT_CLIENT_ID_MIN)
			replica_event(sim, ev);
		else
			client_receive(&sim->clients[ev->end - PBFT_CLIENT_ID_MIN], ev->buf);
		break;
	case SIM_EV_CLIENT:
		client_timer(&sim->clients[ev->end - PBFT_CLIENT_ID_MIN]);
		break;
	case SIM_EV_CHAOS:
		chaos_act(sim);
		break;
	case SIM_EV_CORRUPT:
		chaos_corrupt(sim);
		break;
	case SIM_EV_REPAIR:
		chaos_repair(sim, ev->end, ev->arg);
		break;
	case SIM_EV_BYZ:
		byz_event(sim, ev->end);
		break;
	case SIM_EV_PHASE:
		phase_event(sim);
		break;
	default:
		replica_event(sim, ev);
		break;
	}
}

/* ---- phases ------------------------------------------------------------------ */

static void enter(struct sim *sim, enum sim_phase phase, u64 bound)
{
	static const char * const names[] = { "chaos", "settle", "converge", "quiet", "done" };

	sim->phase = phase;
	sim->phase_end = sim->now + bound;
	trace(sim, "phase: %s", names[phase]);
}

static bool all_done(struct sim *sim)
{
	u32 i;

	for (i = 0; i < sim->client_count; i++)
		if (!client_done(&sim->clients[i]))
			return false;
	return true;
}

/*
 * Enough correct replicas are active in one view to go on, and all of them have
 * executed what was committed a while ago. One that left a view alone may wait
 * for the others as long as it keeps up.
 */
static const char *not_converged(struct sim *sim, u64 *who)
{
	u32 i, active = 0, faulty = hweight64(sim->plan.byz);
	u64 view = 0;

	for (i = 0; i < sim->id.n; i++)
		if (!sim->nodes[i].byz && !sim->nodes[i].core->pending)
			view = max(view, sim->nodes[i].core->view);
	for (i = 0; i < sim->id.n; i++) {
		const struct pbft_core *c = sim->nodes[i].core;

		*who = i;
		if (sim->nodes[i].byz)
			continue;
		if (c->executed.seq < sim->quiet_view)
			return "has not caught up";
		if (c->fetching)
			return "is still fetching state";
		if (sim->forgetful >> i & 1)
			return "may still not vote";
		if (sim->corrupt >> i & 1)
			return "has not noticed that its state is corrupt";
		active += !c->pending && c->view == view;
	}
	*who = view;
	return active + faulty >= pbft_quorum(sim->id.n, sim->plan.cfg.f) ? NULL :
	       "misses a quorum in its view";
}

/* What a core knows of a client whose operations hang. */
static void stuck_client(struct sim *sim, const struct sim_node *node,
			 const struct sim_client *c)
{
	const struct pbft_client *cl = pbft_client_find(node->core, c->id);

	trace(sim, "  %s of %s: session %llu next %llu%s, pending %u of session %llu from %llu, proposed to %llu of %llu in %llu, queued %d, blamed %d, guarded %d",
	      trace_end(c->id), trace_end(node->id), llu(cl->session), llu(cl->next),
	      cl->unsure ? "?" : "", cl->pend_count, llu(cl->pend_session),
	      llu(cl->pend_low), llu(cl->prop_next), llu(cl->prop_session),
	      llu(cl->prop_seq), !list_empty(&cl->prop_node), !list_empty(&cl->wait_node),
	      cl->guarded);
}

/* The first slot that keeps a replica from going on. */
static void stuck_slot(struct sim *sim, struct sim_node *node)
{
	u64 seq = node->core->last_committed + 1;
	const struct pbft_slot *s = pbft_slot(node->core, seq);

	if (!s)
		return;
	trace(sim, "  slot %llu:%s%s%s%s%s%s%s%s prepares %llx/%llx commits %llx/%llx proofs %llx",
	      llu(seq), s->pp ? " pre-prepared" : "", s->voted ? " voted" : "",
	      s->prepared ? " prepared" : "", s->committed ? " committed" : "",
	      s->cbatch ? " body" : "", s->held ? " held" : "", s->want ? " wanted" : "",
	      s->delivered ? " delivered" : "", llu(s->prep_ok), llu(s->prep_seen),
	      llu(s->commit_ok), llu(s->commit_seen), llu(s->proof_seen));
}

static void stuck(struct sim *sim, const char *what, u64 who)
{
	struct pbft_status st;
	u32 i, j;

	for (i = 0; i < sim->id.n; i++) {
		if (!sim->nodes[i].up)
			continue;
		pbft_status_get(sim->nodes[i].core, &st);
		trace(sim, "%s%s: view %llu%s%s%s h %llu committed %llu exec %llu pending requests %u fetch %llu recover %llu/%llu",
		      trace_end(i), sim->nodes[i].byz ? " (byz)" : "", llu(st.view),
		      st.pending ? " pending" : "", st.mute ? " mute" : "",
		      st.bound ? "" : " unbound", llu(st.h), llu(st.last_committed),
		      llu(st.last_exec), st.pending_requests, llu(st.fetch_target),
		      llu(st.recover_point), llu(st.recover_view));
		stuck_slot(sim, &sim->nodes[i]);
		for (j = 0; j < sim->client_count; j++)
			if (!client_done(&sim->clients[j]))
				stuck_client(sim, &sim->nodes[i], &sim->clients[j]);
	}
	sim_violation(sim, "20 liveness: %s (%llu)", what, llu(who));
}

/* The last operations are issued; from now on each must complete. */
static void heal(struct sim *sim)
{
	u32 i;

	chaos_heal(sim);
	for (i = 0; i < sim->client_count; i++) {
		struct sim_client *c = &sim->clients[i];

		c->quota = min(c->quota, c->issued + 5);
	}
	enter(sim, SIM_SETTLE, sim->plan.settle);
}

static void settle(struct sim *sim)
{
	u32 i;

	if (all_done(sim)) {
		sim->quiet_view = ghost_committed(sim);
		enter(sim, SIM_CONVERGE, sim->plan.settle);
	} else if (sim->now > sim->phase_end) {
		for (i = 0; client_done(&sim->clients[i]); i++)
			;
		stuck(sim, "operations of a correct client do not complete", i);
	}
}

static void converge(struct sim *sim)
{
	const char *why;
	char text[100];
	u64 who;

	why = not_converged(sim, &who);
	if (!why) {
		sim->quiet_since = sim->now;
		sim->quiet_view = who;
		enter(sim, SIM_QUIET, sim->plan.settle);
	} else if (sim->now > sim->phase_end) {
		snprintf(text, sizeof(text), "a replica %s", why);
		stuck(sim, text, who);
	}
}

static void quiet(struct sim *sim)
{
	u64 top = 0;
	u32 i;

	for (i = 0; i < sim->id.n; i++) {
		const struct sim_node *node = &sim->nodes[i];

		if (!node->byz)
			top = max(top, node->core->view);
	}
	if (top > sim->quiet_view) {
		sim->quiet_view = top;
		sim->quiet_since = sim->now;
	}
	if (sim->now > sim->quiet_since + 2 * sim->plan.cfg.t_max)
		enter(sim, SIM_DONE, 0);
	else if (sim->now > sim->phase_end)
		stuck(sim, "views do not come to rest", sim->quiet_view);
}

static void phase_event(struct sim *sim)
{
	switch (sim->phase) {
	case SIM_CHAOS:
		if (sim->now >= sim->plan.chaos)
			heal(sim);
		break;
	case SIM_SETTLE:
		settle(sim);
		break;
	case SIM_CONVERGE:
		converge(sim);
		break;
	case SIM_QUIET:
		quiet(sim);
		break;
	case SIM_DONE:
		return;
	}
	sim_event_add(sim, sim->now + PHASE_STEP, SIM_EV_PHASE, 0);
}

static void count_up(struct sim *sim)
{
	u32 i;

	for (i = 0; i < sim->id.n; i++) {
		const struct sim_node *node = &sim->nodes[i];

		if (node->byz || !node->up)
			continue;
		sim->stats.view = max(sim->stats.view, node->core->view);
		sim->stats.nulls = max(sim->stats.nulls, node->core->cnt.batches_null);
	}
	for (i = 0; i < sim->client_count; i++)
		sim->stats.ops += sim->clients[i].completed;
	sim->stats.batches = ghost_committed(sim);
	sim->stats.virtual_ns = sim->now;
}

void sim_run(struct sim *sim)
{
	struct sim_event ev;
	u32 i;

	chaos_begin(sim);
	byz_init(sim);
	for (i = 0; i < sim->id.n; i++)
		if (sim->nodes[i].byz)
			sim_event_add(sim, 1, SIM_EV_BYZ, i);
	for (i = 0; i < sim->client_count; i++)
		if (sim->clients[i].byz)
			sim_event_add(sim, 1, SIM_EV_BYZ, PBFT_CLIENT_ID_MIN + i);
	sim_event_add(sim, PHASE_STEP, SIM_EV_PHASE, 0);
	while (!sim_failed(sim) && sim->phase != SIM_DONE && sim_event_next(sim, &ev)) {
		sim_dispatch(sim, &ev);
		if (sim->stats.events > EVENTS_MAX * (1 + sim->id.n * sim->id.n / 16))
			sim_violation(sim, "run: %llu events without an end", llu(sim->stats.events));
	}
	if (!sim_failed(sim))
		linear_check(sim);
	count_up(sim);
}
