// SPDX-License-Identifier: GPL-2.0
/*
 * Batches whose digest is known but which are not here: named by votes, by a
 * NEW-VIEW, by a proof, or by a PRE-PREPARE with requests that travelled apart.
 * They are asked for by digest, of those who should have them, in turn; the
 * answer needs no trust, it hashes to what was asked for.
 */
#include "internal.h"

/* Who claims to know the digest we want, or leads the view. */
static u64 holders(const struct pbft_core *c, const struct pbft_slot *s)
{
	u64 who = BIT_ULL(pbft_primary(c, c->view));
	u32 i;

	for (i = 0; i < c->n; i++) {
		u64 bit = BIT_ULL(i);

		if ((s->prep_seen & bit && pbft_digest_eq(&s->prep[i], &s->want_d)) ||
		    (s->commit_seen & bit && pbft_digest_eq(&s->commit[i], &s->want_d)) ||
		    (s->proof_seen & bit && pbft_digest_eq(&s->proof[i], &s->want_d)))
			who |= bit;
	}
	return who & pbft_others(c);
}

static void ask(struct pbft_core *c, struct pbft_slot *s)
{
	u64 who = holders(c, s);
	struct pbft_buf *buf = pbft_msg(c, PBFT_FETCH, sizeof(struct pbft_fetch),
					c->view, s->seq);
	u32 turn = s->want_turn++ + c->self, i;

	s->want_asked = c->now;
	c->cnt.fetches++;
	/* every third time ask all: the holders named may all be lying */
	if (!who || s->want_turn % 3 == 0) {
		who = pbft_others(c);
	} else {
		for (i = turn % hweight64(who); i; i--)
			who &= who - 1;
		who &= -who;
	}
	if (buf)
		((struct pbft_fetch *)buf->data)->digest = s->want_d;
	pbft_send(c, who, PBFT_AUTH_MAC, buf);
}

void pbft_want(struct pbft_core *c, struct pbft_slot *s, const struct pbft_digest *d,
	       bool at_once)
{
	if (s->want && pbft_digest_eq(&s->want_d, d))
		return;
	/* what is committed goes before what is only proposed */
	if (s->want && s->committed && pbft_digest_eq(&s->want_d, &s->cd))
		return;
	if (!s->want)
		c->want_count++;
	s->want = true;
	s->want_d = *d;
	s->want_turn = 0;
	s->want_asked = c->now;
	if (at_once)
		ask(c, s);
}

void pbft_unwant(struct pbft_core *c, struct pbft_slot *s)
{
	if (!s->want)
		return;
	s->want = false;
	c->want_count--;
}

void pbft_fetch_tick(struct pbft_core *c)
{
	u32 left = c->want_count, i;

	for (i = 0; left && i < c->ring; i++) {
		struct pbft_slot *s = &c->slots[i];

		if (!s->seq || !s->want)
			continue;
		left--;
		if (!pbft_within(c, s->want_asked, c->cfg.t_resend))
			ask(c, s);
	}
}

/* A peer may cost us so many bytes of answers per resend interval. */
bool pbft_answer_budget(struct pbft_core *c, u32 from, u32 bytes)
{
	struct pbft_peer *p = &c->peers[from];

	if (!pbft_within(c, p->fetch_from, c->cfg.t_resend)) {
		p->fetch_from = c->now;
		p->fetch_bytes = 0;
	}
	if (p->fetch_bytes > 2 * PBFT_MSG_MAX)
		return false;
	p->fetch_bytes += bytes;
	return true;
}

void pbft_on_fetch(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_fetch *m = pkt->data;
	const struct pbft_slot *s = pbft_slot(c, pkt->head.seq);
	struct pbft_batch *b = s ? pbft_slot_body(s, &m->digest) : NULL;

	if (!b || !pbft_answer_budget(c, pkt->head.sender, pbft_batch_wire_size(b)))
		return;
	pbft_send(c, BIT_ULL(pkt->head.sender), PBFT_AUTH_MAC,
		  pbft_batch_message(c, PBFT_BATCH, 0, b));
}

/* The held PRE-PREPARE gets its missing requests; what was authentic stays so. */
static void complete_held(struct pbft_core *c, struct pbft_slot *s,
			  struct pbft_batch *b)
{
	pbft_batch_inherit(b, s->held_batch);
	pbft_batch_put(s->held_batch);
	s->held_batch = pbft_batch_get(b);
	pbft_try_held(c, s);
}

void pbft_on_batch(struct pbft_core *c, const struct pbft_packet *pkt,
		   const struct pbft_verdict *verdict)
{
	const struct pbft_pre_prepare *m = pkt->data;
	struct pbft_slot *s = pbft_slot(c, pkt->head.seq);
	struct pbft_batch *b;

	if (!s || !s->want || !pbft_digest_eq(&s->want_d, &m->digest))
		return;
	b = pbft_batch_parse(c, pkt, verdict);
	if (!b)
		return;
	pbft_unwant(c, s);
	pbft_batch_put(s->spare);
	s->spare = pbft_batch_get(b);
	if (s->held && pbft_digest_eq(&s->held_d, &b->digest))
		complete_held(c, s, b);
	if (s->committed && !s->cbatch && pbft_digest_eq(&s->cd, &b->digest)) {
		s->cbatch = pbft_batch_get(b);
		pbft_advance_committed(c);
	}
	pbft_batch_put(b);
	pbft_take_entries(c);
	pbft_try_new_view(c);
}
