// SPDX-License-Identifier: GPL-2.0
/*
 * The ghost: a memory of what every correct replica committed, voted for and
 * promised that no crash erases, and the invariants that follow from comparing
 * one with another. Numbers in messages are those of the list of invariants in
 * Documentation/protocol.rst.
 */
#include <stdlib.h>
#include "ghost.h"

struct ghost *ghost_new(struct sim *sim)
{
	struct ghost *g = calloc(1, sizeof(*g));

	g->sim = sim;
	g->nodes = calloc(sim->id.n, sizeof(*g->nodes));
	g->vote_cap = 1 << 12;
	g->votes = calloc(g->vote_cap, sizeof(*g->votes));
	return g;
}

void ghost_free(struct ghost *g)
{
	u32 i;

	if (!g)
		return;
	for (i = 0; i < g->vc_count; i++)
		free(g->vcs[i].m);
	free(g->vcs);
	free(g->slots);
	free(g->votes);
	free(g->nodes);
	free(g);
}

u64 ghost_committed(const struct sim *sim)
{
	return sim->ghost->highest;
}

struct ghost_slot *ghost_slot(struct ghost *g, u64 seq)
{
	u64 count = g->slot_count;

	if (seq > 10000000) {
		sim_violation(g->sim, "sequence number %llu in a correct replica", llu(seq));
		seq = 0;
	}
	if (seq >= count) {
		while (count <= seq)
			count = count ? 2 * count : 256;
		g->slots = realloc(g->slots, count * sizeof(*g->slots));
		memset(g->slots + g->slot_count, 0,
		       (count - g->slot_count) * sizeof(*g->slots));
		g->slot_count = count;
	}
	return &g->slots[seq];
}

static struct ghost_vote *vote_place(struct ghost_vote *t, u32 cap, u32 node,
				     u8 kind, u64 view, u64 seq)
{
	u64 at = prng_mix(view * 0x9e3779b97f4a7c15ull ^ prng_mix(seq << 16 | kind << 8 | node));
	struct ghost_vote *v;

	for (;; at++) {
		v = &t[at & (cap - 1)];
		if (!v->node || (v->node == node + 1 && v->kind == kind &&
				 v->view == view && v->seq == seq))
			return v;
	}
}

static void votes_grow(struct ghost *g)
{
	struct ghost_vote *old = g->votes, *v;
	u32 i, cap = g->vote_cap;

	g->vote_cap *= 2;
	g->votes = calloc(g->vote_cap, sizeof(*g->votes));
	for (i = 0; i < cap; i++) {
		v = &old[i];
		if (v->node)
			*vote_place(g->votes, g->vote_cap, v->node - 1, v->kind,
				    v->view, v->seq) = *v;
	}
	free(old);
}

/* Found, or free with node == 0: the caller fills it in. Valid until the next call. */
struct ghost_vote *ghost_vote(struct ghost *g, u32 node, u8 kind, u64 view, u64 seq)
{
	if (2 * g->vote_count > g->vote_cap)
		votes_grow(g);
	return vote_place(g->votes, g->vote_cap, node, kind, view, seq);
}

static void vote_set(struct ghost *g, struct ghost_vote *v, u32 node, u8 kind,
		     u64 view, u64 seq, const struct pbft_digest *d)
{
	v->node = node + 1;
	v->kind = kind;
	v->view = view;
	v->seq = seq;
	v->d = *d;
	g->vote_count++;
}

struct ghost_pq *ghost_pq(struct ghost *g, struct sim_node *node, u64 seq)
{
	struct ghost_pq *pq = &g->nodes[node->id].pq[seq % GHOST_RING];

	if (pq->seq != seq || pq->memory != node->memory) {
		memset(pq, 0, sizeof(*pq));
		pq->seq = seq;
		pq->memory = node->memory;
	}
	return pq;
}

/* ---- votes ------------------------------------------------------------- */

/* After a commit in lock_view no correct replica may pre-prepare anything else. */
static void check_lock(struct ghost *g, const struct ghost_slot *s, u64 seq)
{
	u32 i;

	if (!s->locked)
		return;
	for (i = 0; i < s->pp_count; i++)
		if (s->pp[i].view > s->lock_view &&
		    !pbft_digest_eq(&s->pp[i].d, &s->lock_d))
			sim_violation(g->sim, "11 post-commit: %llu could commit as %08x in view %llu, but %08x is pre-prepared in view %llu",
				      llu(seq), short_digest(&s->lock_d),
				      llu(s->lock_view), short_digest(&s->pp[i].d),
				      llu(s->pp[i].view));
}

static void note_pp(struct ghost_pp *pp, u32 *count, u64 view,
		    const struct pbft_digest *d)
{
	u32 i, low = 0;

	for (i = 0; i < *count; i++) {
		if (pbft_digest_eq(&pp[i].d, d)) {
			pp[i].view = max(pp[i].view, view);
			return;
		}
		if (pp[i].view < pp[low].view)
			low = i;
	}
	i = *count < GHOST_DIGESTS ? (*count)++ : low;
	pp[i].d = *d;
	pp[i].view = view;
}

/* A vote is cast: is this replica allowed to vote there at all? */
static void check_may_vote(struct sim_node *node, u64 view, u64 seq, const char *what)
{
	struct ghost_node *gn = &node->sim->ghost->nodes[node->id];

	if (view < gn->vc_sent)
		sim_violation(node->sim, "8 promise: replica %u %s in view %llu after VIEW-CHANGE for %llu",
			      node->id, what, llu(view), llu(gn->vc_sent));
	if (!gn->remembers && (seq <= gn->life_voted || view <= gn->life_view))
		sim_violation(node->sim, "19 amnesia: replica %u %s %llu in view %llu; before it forgot it had voted up to %llu, in views up to %llu",
			      node->id, what, llu(seq), llu(view),
			      llu(gn->life_voted), llu(gn->life_view));
	gn->voted_max = max(gn->voted_max, seq);
}

void ghost_preprepared(struct sim_node *node, u64 view, u64 seq,
		       const struct pbft_digest *d)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_vote *v = ghost_vote(g, node->id, GHOST_Q, view, seq);
	struct ghost_slot *s;
	struct ghost_pq *pq;

	if (v->node) {
		if (!pbft_digest_eq(&v->d, d))
			sim_violation(g->sim, "5 equivocation: replica %u pre-prepares %08x and %08x at %llu in view %llu",
				      node->id, short_digest(&v->d), short_digest(d),
				      llu(seq), llu(view));
		return;
	}
	vote_set(g, v, node->id, GHOST_Q, view, seq, d);
	check_may_vote(node, view, seq, "pre-prepares");
	pq = ghost_pq(g, node, seq);
	note_pp(pq->q, &pq->q_count, view, d);
	s = ghost_slot(g, seq);
	note_pp(s->pp, &s->pp_count, view, d);
	check_lock(g, s, seq);
}

void ghost_prepared(struct sim_node *node, u64 view, u64 seq,
		    const struct pbft_digest *d)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_vote *v = ghost_vote(g, node->id, GHOST_P, view, seq);
	struct ghost_vote *all;
	struct ghost_pq *pq;

	if (v->node) {
		if (!pbft_digest_eq(&v->d, d))
			sim_violation(g->sim, "5 equivocation: replica %u prepares %08x and %08x at %llu in view %llu",
				      node->id, short_digest(&v->d), short_digest(d),
				      llu(seq), llu(view));
		return;
	}
	vote_set(g, v, node->id, GHOST_P, view, seq, d);
	check_may_vote(node, view, seq, "prepares");
	v = ghost_vote(g, node->id, GHOST_Q, view, seq);
	if (!v->node || !pbft_digest_eq(&v->d, d))
		sim_violation(g->sim, "14 P in Q: replica %u prepared %08x at %llu in view %llu without having pre-prepared it",
			      node->id, short_digest(d), llu(seq), llu(view));
	all = ghost_vote(g, 0, GHOST_PREPARED, view, seq);
	if (!all->node)
		vote_set(g, all, 0, GHOST_PREPARED, view, seq, d);
	else if (!pbft_digest_eq(&all->d, d))
		sim_violation(g->sim, "6 prepared: %08x and %08x are both prepared at %llu in view %llu",
			      short_digest(&all->d), short_digest(d), llu(seq), llu(view));
	pq = ghost_pq(g, node, seq);
	if (!pq->has_p || view >= pq->p.view) {
		pq->has_p = true;
		pq->p_pruned = false;
		pq->p.view = view;
		pq->p.d = *d;
	}
}

/* A COMMIT leaves; with the liars' help q of them make a certificate. */
void ghost_commit(struct sim_node *node, u64 view, u64 seq,
		  const struct pbft_digest *d)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_vote *v = ghost_vote(g, 0, GHOST_COMMITS, view, seq);
	u32 need = pbft_quorum(g->sim->id.n, g->sim->plan.cfg.f) -
		   hweight64(g->sim->plan.byz);
	struct ghost_slot *s;

	if (!v->node)
		vote_set(g, v, 0, GHOST_COMMITS, view, seq, d);
	v->by |= 1ull << node->id;
	if (hweight64(v->by) < need)
		return;
	s = ghost_slot(g, seq);
	if (s->locked && !pbft_digest_eq(&s->lock_d, d))
		sim_violation(g->sim, "1 agreement: %llu could commit as %08x in view %llu and as %08x in view %llu",
			      llu(seq), short_digest(&s->lock_d), llu(s->lock_view),
			      short_digest(d), llu(view));
	if (!s->locked || view < s->lock_view) {
		s->locked = true;
		s->lock_view = view;
		s->lock_d = *d;
		check_lock(g, s, seq);
	}
}

void ghost_vc_seen(struct ghost *g, u32 from, const struct pbft_view_change *m)
{
	u32 len = le32_to_cpu(m->hdr.length), i;
	struct ghost_vc *vc;
	struct pbft_digest dv;

	pbft_vc_digest(&dv, m);
	for (i = g->vc_count; i--; )
		if (g->vcs[i].from == from && pbft_digest_eq(&g->vcs[i].dv, &dv))
			return;
	if (g->vc_count == g->vc_cap) {
		g->vc_cap = g->vc_cap ? 2 * g->vc_cap : 64;
		g->vcs = realloc(g->vcs, g->vc_cap * sizeof(*g->vcs));
	}
	vc = &g->vcs[g->vc_count++];
	vc->from = from;
	vc->dv = dv;
	vc->m = malloc(len);
	memcpy(vc->m, m, len);
}

void ghost_sent(struct sim *sim, u32 from, u32 to, const void *msg, u32 len)
{
	const struct pbft_hdr *h = msg;
	struct pbft_head head;

	if (h->type == PBFT_VIEW_CHANGE &&
	    pbft_wire_check(&sim->id, msg, len, &head) == PBFT_OK)
		ghost_vc_seen(sim->ghost, from, msg);
}

/* ---- execution ------------------------------------------------------------ */

void ghost_request(struct sim_node *node, u64 seq, u32 index,
		   const struct pbft_batch_req *req, const struct kv_answer *a,
		   bool executed)
{
	struct sim *sim = node->sim;
	struct sim_op *op;

	if (sim->clients[req->client - PBFT_CLIENT_ID_MIN].byz)
		return;
	op = client_op(sim, req->client, req->session, req->t);
	if (!op || !pbft_digest_eq(&op->digest, &req->digest)) {
		sim_violation(sim, "3 validity: replica %u executes a request of client %u (%llu.%llu) at %llu that it never made",
			      node->id, req->client, llu(req->session), llu(req->t),
			      llu(seq));
		return;
	}
	if (!executed)
		return;
	if (!op->exec_seq) {
		op->exec_seq = seq;
		op->exec_index = index;
		op->exec = *a;
		return;
	}
	if (op->exec_seq != seq || op->exec_index != index)
		sim_violation(sim, "4 exactly once: request %u %llu.%llu executes at %llu and at %llu",
			      req->client, llu(req->session), llu(req->t),
			      llu(op->exec_seq), llu(seq));
	if (memcmp(&op->exec, a, sizeof(*a)))
		sim_violation(sim, "4 results: replica %u answers request %u %llu.%llu differently",
			      node->id, req->client, llu(req->session), llu(req->t));
}

void ghost_executed(struct sim_node *node, const struct pbft_log_head *head,
		    u32 count, const struct kv_answer *answers)
{
	struct ghost_slot *s = ghost_slot(node->sim->ghost, head->seq);
	u64 results = count ? sim_hash64(answers, count * sizeof(*answers)) : 0;

	if (node->app.state.corrupt)
		return;
	if (!s->executed) {
		s->executed = true;
		s->results = results;
	} else if (s->results != results) {
		sim_violation(node->sim, "2 execution: replica %u gets other results for batch %llu",
			      node->id, llu(head->seq));
	}
}

void ghost_corrupted(struct sim_node *node, u64 seq)
{
	struct ghost_node *gn = &node->sim->ghost->nodes[node->id];

	gn->corrupt_seq = max(gn->corrupt_seq, seq);
	node->sim->ghost->corrupt_ever = true;
}

bool ghost_same_state(struct sim *sim, const struct pbft_log_head *head,
		      const struct pbft_digest *app)
{
	struct ghost_slot *s = ghost_slot(sim->ghost, head->seq);
	struct pbft_digest d;

	pbft_checkpoint_digest(&d, &sim->id, head->seq, app, &head->chain, head->time);
	return s->checkpointed && pbft_digest_eq(&d, &s->ck);
}

void ghost_installed(struct sim_node *node, const struct pbft_log_head *head,
		     const struct pbft_digest *app)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_node *gn = &g->nodes[node->id];
	struct ghost_slot *s = ghost_slot(g, head->seq);
	struct pbft_digest d;

	pbft_checkpoint_digest(&d, &node->sim->id, head->seq, app, &head->chain,
			       head->time);
	if (s->checkpointed ? !pbft_digest_eq(&d, &s->ck) : !g->corrupt_ever)
		sim_violation(g->sim, "13 checkpoint: replica %u installs a state at %llu that no correct replica had",
			      node->id, llu(head->seq));
	gn->apply_next = head->seq + 1;
	gn->apply_chain = head->chain;
	gn->apply_time = head->time;
	/* what is not here any more is committed anew; repaired, it executes again */
	gn->committed = min(gn->committed, head->seq);
	if (ghost_maybe_corrupt(g, node->id, head->seq))
		gn->exec = min(gn->exec, head->seq);
}

void ghost_born(struct sim_node *node, bool remembers)
{
	struct ghost_node *gn = &node->sim->ghost->nodes[node->id];
	struct pbft_status st;

	gn->remembers = remembers;
	pbft_status_get(node->core, &st);
	if (remembers && st.view < gn->vc_persisted)
		sim_violation(node->sim, "7 journal: replica %u comes back in view %llu; it had promised view %llu",
			      node->id, llu(st.view), llu(gn->vc_persisted));
	if (remembers && st.h < gn->h_persisted)
		sim_violation(node->sim, "9 monotone: replica %u comes back with h = %llu, it was %llu",
			      node->id, llu(st.h), llu(gn->h_persisted));
	gn->life_view = gn->vc_sent;
	gn->life_voted = gn->voted_max;
	gn->view = 0;
	gn->h = 0;
	gn->exec = 0;
	gn->committed = 0;
	gn->checkpoint = 0;
	gn->pending = false;
	gn->proofs = 0;
	/* what a journal says it still repeats, even if it is not all */
	if (remembers || node->disk.on)
		return;
	gn->vc_persisted = 0;
	gn->nv_persisted = 0;
	gn->h_persisted = 0;
}

void ghost_bound(struct sim_node *node, const struct pbft_log_head *head)
{
	struct ghost_node *gn = &node->sim->ghost->nodes[node->id];

	gn->apply_next = head->seq + 1;
	gn->apply_chain = head->chain;
	gn->apply_time = head->time;
	gn->exec = head->seq;
	gn->committed = 0;	/* what is not here any more is committed anew */
}
