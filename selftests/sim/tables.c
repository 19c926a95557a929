// SPDX-License-Identifier: GPL-2.0
/*
 * How full the bounded tables of a core become, against what bounds them. More
 * than the bound is a violation; how near a run came is printed at the end.
 */
#include "ghost.h"
#include "internal.h"

static const char * const names[SIM_TABLES] = {
	[SIM_T_MEMORY] = "bytes allocated",
	[SIM_T_BATCHES] = "bytes of requests and batches",
	[SIM_T_OUTBOX] = "out queue",
	[SIM_T_PENDING] = "requests pending",
	[SIM_T_HELD] = "PRE-PREPAREs held",
	[SIM_T_WANTED] = "batches wanted",
	[SIM_T_SLOTS] = "slots in use",
	[SIM_T_Q] = "Q entries",
	[SIM_T_CLAIMS] = "checkpoint claims",
	[SIM_T_OWN] = "own checkpoints",
	[SIM_T_CLIENTS] = "clients",
	[SIM_T_REPLIES] = "replies kept",
	[SIM_T_GUARDED] = "clients guarded",
};

const char *table_name(enum sim_table t)
{
	return names[t];
}

static void note(struct sim_node *node, enum sim_table t, u64 value, u64 bound)
{
	struct sim_full *f = &node->sim->stats.full[t];

	if (value > bound)
		sim_violation(node->sim, "15 bounds: replica %u has %llu %s, the bound is %llu",
			      node->id, llu(value), names[t], llu(bound));
	f->bound = bound;
	f->high = max(f->high, value);
}

void tables_look(struct sim_node *node)
{
	const struct pbft_core *c = node->core;

	note(node, SIM_T_OUTBOX, c->out_len, c->out_cap);
	note(node, SIM_T_PENDING, c->pending_total, c->client_count * PBFT_CLIENT_WINDOW);
	note(node, SIM_T_HELD, c->held_count, c->cfg.l);
	note(node, SIM_T_WANTED, c->want_count, c->ring);
	note(node, SIM_T_OWN, c->own_count, c->own_cap);
}

static void look_at_slots(struct sim_node *node)
{
	const struct pbft_core *c = node->core;
	u32 i, j, used = 0, q = 0, held = 0, want = 0;

	for (i = 0; i < c->ring; i++) {
		const struct pbft_slot *s = &c->slots[i];

		used += s->seq != 0;
		held += s->held;
		want += s->want;
		for (j = 0; j < PBFT_Q_RING; j++)
			q += s->q[j].used;
	}
	note(node, SIM_T_SLOTS, used, c->ring);
	note(node, SIM_T_Q, q, (u64)c->cfg.l * PBFT_Q_RING);
	if (held != c->held_count || want != c->want_count)
		sim_violation(node->sim, "15 bounds: replica %u holds %u PRE-PREPAREs and wants %u batches, it counts %u and %u",
			      node->id, held, want, c->held_count, c->want_count);
}

static void look_at_clients(struct sim_node *node)
{
	struct pbft_core *c = node->core;
	u32 i, j, replies = 0, guarded = 0, pending = 0;

	for (i = 0; i < node->sim->client_count; i++) {
		const struct pbft_client *cl = pbft_client_find(c, PBFT_CLIENT_ID_MIN + i);

		guarded += cl->guarded;
		for (j = 0; j < PBFT_CLIENT_WINDOW; j++) {
			replies += cl->replies[j].buf ? 1 : 0;
			pending += cl->pending[j].buf ? 1 : 0;
		}
	}
	note(node, SIM_T_CLIENTS, c->client_count, c->cfg.clients_max);
	note(node, SIM_T_REPLIES, replies, c->client_count * PBFT_CLIENT_WINDOW);
	note(node, SIM_T_GUARDED, guarded, c->client_count);
	if (pending != c->pending_total)
		sim_violation(node->sim, "15 bounds: replica %u has %u requests pending, it counts %u",
			      node->id, pending, c->pending_total);
}

/* The slow ones, now and then. */
void tables_audit(struct sim_node *node)
{
	const struct pbft_core *c = node->core;
	struct sim *sim = node->sim;
	u32 i, claims = 0, places = (c->ck_ring + 2) * c->n;
	struct pbft_status st;

	pbft_status_get(c, &st);
	note(node, SIM_T_MEMORY, sim_alloc.live[node->id + 1], sim->stats.memory_bound);
	note(node, SIM_T_BATCHES, st.memory, sim->stats.memory_bound);
	for (i = 0; i < 2 * c->n; i++)
		claims += c->claims_high[i].seq != 0;
	for (i = 0; i < c->ck_ring * c->n; i++)
		claims += c->claims[i].seq != 0;
	note(node, SIM_T_CLAIMS, claims, places);
	look_at_slots(node);
	look_at_clients(node);
}
