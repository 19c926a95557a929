// SPDX-License-Identifier: GPL-2.0
/*
 * Slots: a ring of 2L, one for each sequence number in (h - L, h + L]. The upper
 * half is the window that votes are cast in; the lower half is kept for
 * replicas, and an application of our own, that lag by less than a window.
 *
 * P and Q (protocol.rst, "What a replica remembers"): P is the digest prepared
 * in the latest view. Q is a ring of pre-prepared digests with the latest view
 * of each; the lowest view is evicted, but never P's digest, so that the second
 * highest view, which the decision relies on, is what it would be with all.
 */
#include "internal.h"

struct pbft_slot *pbft_slot(struct pbft_core *c, u64 seq)
{
	struct pbft_slot *s = &c->slots[seq % c->ring];

	return seq && s->seq == seq ? s : NULL;
}

struct pbft_slot *pbft_slot_get(struct pbft_core *c, u64 seq)
{
	struct pbft_slot *s = &c->slots[seq % c->ring];

	if (s->seq == seq)
		return s;
	if (!seq || seq < s->seq || seq > pbft_high(c) ||
	    seq + c->cfg.l <= c->h)
		return NULL;
	pbft_slot_clear(c, s);
	s->seq = seq;
	return s;
}

/*
 * What is committed has the word of f + 1 and stands against one proposal. That
 * is not always a lie: a primary that missed the view where it was committed may
 * still propose in its own.
 */
bool pbft_slot_agrees(const struct pbft_slot *s, const struct pbft_digest *d)
{
	return !s->committed || pbft_digest_eq(d, &s->cd);
}

void pbft_slot_unhold(struct pbft_core *c, struct pbft_slot *s)
{
	if (!s->held)
		return;
	s->held = false;
	pbft_batch_put(s->held_batch);
	s->held_batch = NULL;
	c->held_count--;
}

/* Votes count in one view only. P, Q and what is committed stay. */
void pbft_slot_leave_view(struct pbft_core *c, struct pbft_slot *s)
{
	pbft_slot_unhold(c, s);
	if (s->pp)
		pbft_batch_put(s->batch);
	s->batch = NULL;
	s->pp = false;
	s->voted = false;
	s->prepared = false;
	s->nacked = 0;
	s->prep_seen = 0;
	s->prep_ok = 0;
	s->commit_seen = 0;
	s->commit_ok = 0;
	pbft_batch_put(s->spare);
	s->spare = NULL;
	if (s->want && !s->committed)
		pbft_unwant(c, s);
}

void pbft_slot_drop_pq(struct pbft_slot *s)
{
	u32 i;

	s->p_set = false;
	for (i = 0; i < PBFT_Q_RING; i++) {
		pbft_batch_put(s->q[i].batch);
		s->q[i].batch = NULL;
		s->q[i].used = false;
	}
}

void pbft_slot_clear(struct pbft_core *c, struct pbft_slot *s)
{
	struct pbft_digest *prep = s->prep, *commit = s->commit, *proof = s->proof;

	pbft_slot_leave_view(c, s);
	pbft_slot_drop_pq(s);
	if (s->want)
		pbft_unwant(c, s);
	pbft_batch_put(s->cbatch);
	memset(s, 0, sizeof(*s));
	s->prep = prep;
	s->commit = commit;
	s->proof = proof;
}

static struct pbft_qent *q_victim(struct pbft_slot *s)
{
	struct pbft_qent *victim = NULL;
	u32 i;

	for (i = 0; i < PBFT_Q_RING; i++) {
		struct pbft_qent *e = &s->q[i];

		if (!e->used)
			return e;
		if (s->p_set && pbft_digest_eq(&e->d, &s->p_d))
			continue;
		if (!victim || e->view < victim->view)
			victim = e;
	}
	return victim;
}

void pbft_q_add(struct pbft_slot *s, const struct pbft_digest *d, u64 view,
		struct pbft_batch *batch)
{
	struct pbft_qent *e;
	u32 i;

	for (i = 0; i < PBFT_Q_RING; i++) {
		if (s->q[i].used && pbft_digest_eq(&s->q[i].d, d)) {
			s->q[i].view = view;
			return;
		}
	}
	e = q_victim(s);
	pbft_batch_put(e->batch);
	e->used = true;
	e->view = view;
	e->d = *d;
	e->batch = batch ? pbft_batch_get(batch) : NULL;
}

static bool body_is(const struct pbft_batch *b, const struct pbft_digest *d)
{
	return b && !b->missing && pbft_digest_eq(&b->digest, d);
}

struct pbft_batch *pbft_slot_body(const struct pbft_slot *s,
				  const struct pbft_digest *d)
{
	u32 i;

	if (s->pp && body_is(s->batch, d))
		return s->batch;
	if (body_is(s->cbatch, d))
		return s->cbatch;
	if (body_is(s->spare, d))
		return s->spare;
	if (s->held && body_is(s->held_batch, d))
		return s->held_batch;
	for (i = 0; i < PBFT_Q_RING; i++)
		if (s->q[i].used && body_is(s->q[i].batch, d))
			return s->q[i].batch;
	return NULL;
}
