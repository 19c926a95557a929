// SPDX-License-Identifier: GPL-2.0
/*
 * STATUS: every replica says now and then where it is, and peers send what it
 * lacks. There is no other retransmission and no acknowledgement (section 5.2
 * of Castro's thesis). Answers are bounded by count, and a peer gets one set of
 * them per resend interval.
 */
#include "internal.h"

/* Votes and PRE-PREPAREs in one answer. */
#define ANSWER_MAX	64

static u8 slot_state(struct pbft_core *c, u64 seq)
{
	const struct pbft_slot *s = pbft_slot(c, seq);

	if (!s)
		return PBFT_STB_NONE;
	if (s->committed && (s->cbatch || pbft_digest_eq(&s->cd, &c->null_d)))
		return PBFT_STB_COMMITTED;
	if (s->prepared)
		return PBFT_STB_PREPARED;
	return s->pp ? PBFT_STB_PRE_PREPARED : PBFT_STB_NONE;
}

static u64 status_seq(const struct pbft_core *c)
{
	/* what we fetch as state we do not want as batches */
	return c->fetching ? max(c->last_committed, c->fetch.seq) : c->last_committed;
}

static u64 vcs_held(const struct pbft_core *c)
{
	u64 have = 0;
	u32 i;

	for (i = 0; i < c->n; i++)
		if (c->vc[i].body.buf && c->vc[i].view == c->view)
			have |= BIT_ULL(i);
	return have;
}

void pbft_send_status(struct pbft_core *c)
{
	u64 from = status_seq(c), to = max(from, c->max_seen), i;
	struct pbft_status_msg *m;
	struct pbft_buf *buf;
	u32 bits, flags = 0;

	bits = min_t(u64, to - from, 2 * c->cfg.l);
	buf = pbft_msg(c, PBFT_STATUS, sizeof(*m) + ALIGN(DIV_ROUND_UP(bits, 4), 8),
		       c->view, from);
	if (!buf)
		return;
	if (c->pending)
		flags |= PBFT_STF_PENDING;
	if (c->nv.buf && c->nv.view == c->view)
		flags |= PBFT_STF_HAVE_NEW_VIEW;
	if (!pbft_may_vote(c))
		flags |= PBFT_STF_MUTE;
	/* rises over restarts too, as long as the clock does */
	c->status_nonce = max(c->status_nonce + 1, c->now + c->wall_offset);
	m = (void *)buf->data;
	m->h = cpu_to_le64(c->h);
	m->nonce = cpu_to_le64(c->status_nonce);
	m->vc_have = cpu_to_le64(vcs_held(c));
	m->vc_need = cpu_to_le64(c->nv.view == c->view ? pbft_new_view_need(c) : 0);
	m->flags = cpu_to_le32(flags);
	m->bits = cpu_to_le32(bits);
	memset(m->map, 0, ALIGN(DIV_ROUND_UP(bits, 4), 8));
	for (i = 0; i < bits; i++)
		m->map[i / 4] |= slot_state(c, from + 1 + i) << (i % 4 * 2);
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

/* ---- answering ------------------------------------------------------------ */

struct asker {
	u32 id;
	u64 view, seq, h;
	bool pending;
	const struct pbft_status_msg *m;
};

static u8 asker_state(const struct asker *a, u64 seq)
{
	u64 i;

	if (seq <= a->seq)
		return PBFT_STB_COMMITTED;
	i = seq - a->seq - 1;
	if (i >= le32_to_cpu(a->m->bits))
		return PBFT_STB_NONE;
	return a->m->map[i / 4] >> (i % 4 * 2) & 3;
}

static void send_to(struct pbft_core *c, u32 id, u8 auth, struct pbft_buf *buf)
{
	pbft_send(c, BIT_ULL(id), auth, buf);
}

/* A message of another, authenticator and all, or of our own. */
static void pass_on(struct pbft_core *c, u32 to, const void *msg, u32 len)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_RELAY,
					sizeof(struct pbft_relay) + len, c->view, 0);

	if (buf)
		memcpy(((struct pbft_relay *)buf->data)->inner, msg, len);
	send_to(c, to, PBFT_AUTH_MAC, buf);
}

static void send_own_vc(struct pbft_core *c, u32 to)
{
	struct pbft_vc_rec *rec = &c->vc[c->self];

	if (rec->body.buf && rec->view == c->view)
		send_to(c, to, PBFT_AUTH_VECTOR, pbft_buf_get(rec->body.buf));
}

/* Bodies of VIEW-CHANGEs in @set, from a NEW-VIEW's V or as last received; and our acks. */
static void send_vcs(struct pbft_core *c, const struct asker *a, u64 set)
{
	u32 i;

	for (i = 0; i < c->n; i++) {
		const struct pbft_vc_body *body = &c->nv_in.vc[i];

		if (!(set & BIT_ULL(i)) || i == c->self || i == a->id)
			continue;
		if (!body->buf || c->nv_in.view != c->view)
			body = &c->vc[i].body;
		if (body->buf && le64_to_cpu(body->vc->hdr.view) == c->view)
			pass_on(c, a->id, body->vc, body->len);
		if (c->vc[i].view == c->view)
			pbft_send_ack(c, i, BIT_ULL(a->id));
	}
}

/* The NEW-VIEW that made our view, and what it takes to believe it. */
static void send_new_view(struct pbft_core *c, const struct asker *a, u64 vcs)
{
	struct pbft_peer *p = &c->peers[a->id];
	const struct pbft_nv_rec *nv = &c->nv_in;

	if (!nv->buf || nv->view != c->view || pbft_within(c, p->nv_sent, c->cfg.t_resend))
		return;
	p->nv_sent = c->now;
	if (pbft_is_primary(c))
		send_to(c, a->id, PBFT_AUTH_VECTOR, pbft_buf_get(nv->buf));
	else
		pass_on(c, a->id, nv->nv, nv->len);
	send_vcs(c, a, vcs);
}

static void answer_view(struct pbft_core *c, const struct asker *a)
{
	u64 have = le64_to_cpu(a->m->vc_have), need = le64_to_cpu(a->m->vc_need);
	u64 in_v = 0;
	u32 i;

	for (i = 0; i < c->n; i++)
		if (c->nv_in.buf && c->nv_in.vc[i].buf)
			in_v |= BIT_ULL(i);
	if (a->view < c->view) {
		send_own_vc(c, a->id);
		if (!c->pending)
			send_new_view(c, a, in_v);
		return;
	}
	if (a->view > c->view || !a->pending)
		return;
	if (!(have & BIT_ULL(c->self)))
		send_own_vc(c, a->id);
	if (!c->pending) {
		send_new_view(c, a, in_v & (need | ~have));
		return;
	}
	if (need)
		send_vcs(c, a, need);
	else if (a->id == pbft_primary(c, c->view))
		/* it may lack VIEW-CHANGEs, or acks for those it has */
		send_vcs(c, a, vcs_held(c));
}

/* Our own PRE-PREPARE for this slot, once more. */
static void resend_pre_prepare(struct pbft_core *c, u32 to, const struct pbft_slot *s)
{
	const struct pbft_hdr *hdr;
	struct pbft_buf *buf;

	if (!s->batch) {
		buf = pbft_msg(c, PBFT_PRE_PREPARE, sizeof(struct pbft_pre_prepare),
			       c->view, s->seq);
		if (buf) {
			struct pbft_pre_prepare *null = (void *)buf->data;

			null->digest = c->null_d;
			null->time = 0;
			null->count = 0;
			null->reserved = 0;
		}
		send_to(c, to, PBFT_AUTH_MAC, buf);
		return;
	}
	hdr = (const void *)s->batch->buf->data;
	/* what we remember from an earlier life came in another message */
	if (hdr->type == PBFT_PRE_PREPARE && le32_to_cpu(hdr->sender) == c->self &&
	    le64_to_cpu(hdr->view) == c->view)
		buf = pbft_buf_get(s->batch->buf);
	else
		buf = pbft_batch_message(c, PBFT_PRE_PREPARE, c->view, s->batch);
	send_to(c, to, PBFT_AUTH_MAC, buf);
}

static void resend_vote(struct pbft_core *c, u32 to, u8 type, const struct pbft_slot *s)
{
	struct pbft_buf *buf = pbft_msg(c, type, sizeof(struct pbft_vote), c->view,
					s->seq);

	if (buf)
		((struct pbft_vote *)buf->data)->digest = s->d;
	send_to(c, to, PBFT_AUTH_MAC, buf);
}

static void answer_votes(struct pbft_core *c, const struct asker *a)
{
	u64 seq, sent = 0;

	for (seq = max(c->h, a->h) + 1; seq <= pbft_high(c) && sent < ANSWER_MAX; seq++) {
		const struct pbft_slot *s = pbft_slot(c, seq);
		u8 state = asker_state(a, seq);

		if (!s || !s->voted || state == PBFT_STB_COMMITTED ||
		    pbft_within(c, s->active, c->cfg.t_resend))
			continue;
		sent++;
		if (pbft_is_primary(c)) {
			if (state == PBFT_STB_NONE && seq > c->nv_max)
				resend_pre_prepare(c, a->id, s);
		} else if (state < PBFT_STB_PREPARED) {
			resend_vote(c, a->id, PBFT_PREPARE, s);
		}
		if (s->prepared)
			resend_vote(c, a->id, PBFT_COMMIT, s);
	}
}

/* What is committed here and not there, as far back as we remember. */
static void answer_committed(struct pbft_core *c, const struct asker *a)
{
	const struct pbft_slot *first = pbft_slot(c, a->seq + 1);
	struct pbft_committed *m;
	struct pbft_buf *buf;
	u32 count, i;

	if (a->seq >= c->last_committed || !first ||
	    pbft_within(c, first->active, c->cfg.t_resend))
		return;
	count = min_t(u64, c->last_committed - a->seq, PBFT_COMMITTED_MAX);
	for (i = 0; i < count; i++) {
		const struct pbft_slot *s = pbft_slot(c, a->seq + 1 + i);

		if (!s || !s->committed)
			break;
	}
	count = i;
	if (!count)
		return;
	buf = pbft_msg(c, PBFT_COMMITTED, sizeof(*m) + count * sizeof(struct pbft_digest),
		       c->view, a->seq + 1);
	if (buf) {
		m = (void *)buf->data;
		m->count = cpu_to_le32(count);
		m->reserved = 0;
		for (i = 0; i < count; i++)
			m->digests[i] = pbft_slot(c, a->seq + 1 + i)->cd;
	}
	send_to(c, a->id, PBFT_AUTH_MAC, buf);
}

static void answer_checkpoints(struct pbft_core *c, const struct asker *a)
{
	struct pbft_ck_own *own = pbft_own_find(c, c->h);
	u32 i;

	if (a->h < c->h) {
		if (own)
			send_to(c, a->id, PBFT_AUTH_MAC, pbft_checkpoint_message(c, own));
		return;
	}
	/* checkpoints not stable there yet need our claim; so does one it only knows by h */
	for (i = 0; i < c->own_count; i++) {
		own = &c->own[i];
		if (own->held && (own->seq > a->h || (own->seq == a->h && a->seq < a->h)))
			send_to(c, a->id, PBFT_AUTH_MAC, pbft_checkpoint_message(c, own));
	}
}

/* Once per interval; a replayed STATUS must not use up the turn of a new one. */
static bool due(struct pbft_core *c, u32 from, u64 nonce)
{
	struct pbft_peer *p = &c->peers[from];

	if (pbft_within(c, p->status_at, c->cfg.t_resend))
		return false;
	/* its clock may have been set back: not for ever */
	if (nonce <= p->status_nonce &&
	    pbft_within(c, p->status_at, 8 * c->cfg.t_status))
		return false;
	p->status_at = c->now;
	p->status_nonce = nonce;
	return true;
}

void pbft_on_status(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_status_msg *m = pkt->data;
	struct asker a = {
		.id = pkt->head.sender, .view = pkt->head.view, .seq = pkt->head.seq,
		.h = le64_to_cpu(m->h), .m = m,
		.pending = le32_to_cpu(m->flags) & PBFT_STF_PENDING,
	};

	if (a.seq > U64_MAX / 2 || a.h > U64_MAX / 2 || !due(c, a.id, le64_to_cpu(m->nonce)))
		return;
	pbft_help_ahead(c, a.id, a.view, a.pending);
	/* it is ahead of us: let it know where we are */
	if (a.view > c->view || a.seq > c->last_committed || a.h > c->h)
		c->status_soon = true;
	answer_checkpoints(c, &a);
	answer_view(c, &a);
	if (a.view == c->view && !a.pending && !c->pending)
		answer_votes(c, &a);
	answer_committed(c, &a);
}

/* ---- COMMITTED-PROOF ------------------------------------------------------- */

/*
 * f + 1 replicas say that a digest committed: one of them is correct. This is
 * how a replica left out of the votes catches up without waiting for the next
 * checkpoint (Berger, Reiser and Bessani, SRDS 2021).
 */
static void committed_proof(struct pbft_core *c, u64 seq, u32 from,
			    const struct pbft_digest *d)
{
	struct pbft_slot *s = pbft_slot_get(c, seq);
	u32 i, count = 0;

	if (!s || s->committed)
		return;
	s->proof[from] = *d;
	s->proof_seen |= BIT_ULL(from);
	for (i = 0; i < c->n; i++)
		if (s->proof_seen & BIT_ULL(i) && pbft_digest_eq(&s->proof[i], d))
			count++;
	if (count < c->f + 1)
		return;
	c->cnt.proofs++;
	pbft_commit_slot(c, s, d, PBFT_VIEW_UNKNOWN);
	c->status_soon = true;
}

void pbft_on_committed(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_committed *m = pkt->data;
	u32 i;

	for (i = 0; i < le32_to_cpu(m->count) && !c->stopped; i++)
		if (pkt->head.seq + i > c->last_committed)
			committed_proof(c, pkt->head.seq + i, pkt->head.sender,
					&m->digests[i]);
}
