// SPDX-License-Identifier: GPL-2.0
/*
 * Remembering: the records of an earlier life, told in order, leave the core
 * with the promises it had given (protocol.rst, "What must be on record"). What
 * is not a promise, it learns again from its peers: votes, bodies of others'
 * VIEW-CHANGEs, what is committed. And the reverse: everything that must not be
 * forgotten, said once more, so that older records can go.
 *
 * Records may come twice: a journal that was being written anew when the power
 * failed is read from where it began before.
 */
#include "internal.h"

/* ---- one record ------------------------------------------------------------ */

/* The message a record holds, as a packet; its authenticator may be missing. */
static int open_message(const struct pbft_core *c, const struct pbft_record *rec,
			u8 type, struct pbft_packet *pkt)
{
	const struct pbft_hdr *hdr;
	u32 body, whole;

	if (!rec->buf || rec->buf->len < sizeof(*hdr))
		return -EBADMSG;
	hdr = (const void *)rec->buf->data;
	body = le32_to_cpu(hdr->length);
	if (body > PBFT_MSG_MAX || body > rec->buf->len)
		return -EBADMSG;
	whole = body + pbft_wire_auth_len(type, c->n);
	if (rec->buf->len > whole || rec->buf->cap < whole ||
	    pbft_wire_check(&c->wire, hdr, whole, &pkt->head) != PBFT_OK ||
	    pkt->head.type != type)
		return -EBADMSG;
	pkt->data = hdr;
	pkt->len = whole;
	pkt->buf = rec->buf;
	return 0;
}

/* NULL for the null batch. */
static int open_batch(struct pbft_core *c, const struct pbft_record *rec,
		      struct pbft_batch **out)
{
	struct pbft_packet pkt;
	int err;

	*out = NULL;
	if (pbft_digest_eq(&rec->digest, &c->null_d))
		return 0;
	err = open_message(c, rec, PBFT_BATCH, &pkt);
	if (err)
		return err;
	*out = pbft_batch_parse(c, &pkt, NULL);
	if (!*out)
		return -ENOMEM;
	if (pkt.head.seq == rec->head.seq && !(*out)->missing &&
	    pbft_digest_eq(&(*out)->digest, &rec->digest))
		return 0;
	pbft_batch_put(*out);
	return -EBADMSG;
}

static int restore_pre_prepared(struct pbft_core *c, const struct pbft_record *rec)
{
	struct pbft_batch *batch;
	struct pbft_slot *s;
	int err;

	if (rec->head.seq <= c->h)
		return 0;
	s = pbft_slot_get(c, rec->head.seq);
	if (!s)
		return -EBADMSG;
	err = open_batch(c, rec, &batch);
	if (err)
		return err;
	pbft_q_add(s, &rec->digest, rec->view, batch);
	pbft_batch_put(batch);
	c->max_seen = max(c->max_seen, rec->head.seq);
	return 0;
}

static struct pbft_qent *q_find(struct pbft_slot *s, const struct pbft_digest *d)
{
	u32 i;

	for (i = 0; i < PBFT_Q_RING; i++)
		if (s->q[i].used && pbft_digest_eq(&s->q[i].d, d))
			return &s->q[i];
	return NULL;
}

static int restore_prepared(struct pbft_core *c, const struct pbft_record *rec)
{
	struct pbft_slot *s = pbft_slot(c, rec->head.seq);

	if (rec->head.seq <= c->h)
		return 0;
	if (!s || !q_find(s, &rec->digest))
		return -EBADMSG;
	s->p_set = true;
	s->p_view = rec->view;
	s->p_d = rec->digest;
	return 0;
}

static int restore_view_change(struct pbft_core *c, const struct pbft_record *rec)
{
	struct pbft_vc_rec *own = &c->vc[c->self];
	struct pbft_vc_body body = { .buf = rec->buf };
	struct pbft_packet pkt;
	int err;

	if (rec->view < c->view || rec->view > S64_MAX)
		return -EBADMSG;
	/* said again, when we had entered that view already: stay in it */
	if (rec->view > c->view)
		pbft_leave_view(c, rec->view);
	if (!rec->buf)
		return 0;
	err = open_message(c, rec, PBFT_VIEW_CHANGE, &pkt);
	if (err)
		return err;
	if (pkt.head.sender != c->self || pkt.head.view != rec->view)
		return -EBADMSG;
	body.vc = pkt.data;
	body.len = pkt.head.len;
	pbft_vc_body_set(&own->body, &body);
	own->view = rec->view;
	pbft_vc_digest(&own->dv, body.vc);
	return 0;
}

static int restore_new_view(struct pbft_core *c, const struct pbft_record *rec)
{
	struct pbft_packet pkt;
	int err = open_message(c, rec, PBFT_NEW_VIEW, &pkt);

	if (err)
		return err;
	return pkt.head.view == rec->view ? pbft_new_view_restore(c, rec->buf) : -EBADMSG;
}

static int restore_checkpoint(struct pbft_core *c, const struct pbft_record *rec)
{
	struct pbft_ck_claim claim = {
		.seq = rec->head.seq, .time = rec->head.time, .app = rec->digest,
		.chain = rec->head.chain,
	};

	if (claim.seq % c->cfg.k || claim.seq > S64_MAX)
		return -EBADMSG;
	pbft_checkpoint_digest(&claim.d, &c->wire, claim.seq, &claim.app, &claim.chain,
			       claim.time);
	switch (rec->code) {
	case PBFT_REC_CHECKPOINT:
		pbft_own_restore(c, &claim);
		break;
	case PBFT_REC_BASE:
		pbft_add_base(c, claim.seq, &rec->digest);
		break;
	case PBFT_REC_STABLE:
		claim.stable = true;
		pbft_raise_h(c, claim.seq, &claim);
		break;
	case PBFT_REC_RAISED:
		pbft_raise_h(c, claim.seq, NULL);
		break;
	}
	return 0;
}

int pbft_restore(struct pbft_core *c, const struct pbft_record *rec)
{
	if (!c->restoring)
		return -EBADMSG;
	switch (rec->code) {
	case PBFT_REC_PRE_PREPARED:
		return restore_pre_prepared(c, rec);
	case PBFT_REC_PREPARED:
		return restore_prepared(c, rec);
	case PBFT_REC_VIEW_CHANGE:
		return restore_view_change(c, rec);
	case PBFT_REC_NEW_VIEW:
		return restore_new_view(c, rec);
	case PBFT_REC_CHECKPOINT:
	case PBFT_REC_BASE:
	case PBFT_REC_STABLE:
	case PBFT_REC_RAISED:
		return restore_checkpoint(c, rec);
	case PBFT_REC_REMEMBERS:
	case PBFT_REC_FORGOT:
		c->remembers = rec->code == PBFT_REC_REMEMBERS;
		return 0;
	}
	return -EBADMSG;
}

/* ---- resuming ---------------------------------------------------------------- */

/* Votes of the view we are in stand as they were cast. */
static void resume_slot(struct pbft_core *c, struct pbft_slot *s)
{
	struct pbft_qent *e = NULL;
	u32 i;

	for (i = 0; i < PBFT_Q_RING; i++)
		if (s->q[i].used && s->q[i].view == c->view)
			e = &s->q[i];
	if (!e || s->seq <= c->low)
		return;
	s->pp = true;
	s->voted = true;
	s->d = e->d;
	s->batch = e->batch ? pbft_batch_get(e->batch) : NULL;
	c->next_seq = max(c->next_seq, s->seq + 1);
	if (!pbft_is_primary(c)) {
		s->prep[c->self] = s->d;
		s->prep_seen = BIT_ULL(c->self);
		s->prep_ok = BIT_ULL(c->self);
	}
	if (s->p_set && s->p_view == c->view) {
		s->prepared = true;
		s->commit[c->self] = s->d;
		s->commit_seen = BIT_ULL(c->self);
		s->commit_ok = BIT_ULL(c->self);
	}
}

void pbft_restored(struct pbft_core *c, u64 now)
{
	u64 seq;

	c->restoring = false;
	c->now = max(c->now, now);
	c->primary_life = c->now;
	c->commit_progress = c->now;
	c->last_pp = c->now;
	c->v_progress = c->view;
	c->status_soon = true;
	if (!c->remembers) {
		pbft_recover_start(c);
		return;
	}
	c->rec.active = false;
	for (seq = c->h + 1; !c->pending && seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (s)
			resume_slot(c, s);
	}
	c->next_seq = max(c->next_seq, c->nv_max + 1);
	c->next_seq = max(c->next_seq, c->h + 1);
	pbft_take_entries(c);
}

bool pbft_remembers(const struct pbft_core *c)
{
	return !c->rec.active;
}

/* ---- all of it, once more -------------------------------------------------------- */

static void persist_q(struct pbft_core *c, const struct pbft_slot *s)
{
	const struct pbft_qent *sorted[PBFT_Q_RING];
	u32 i, j, n = 0;

	/* the oldest first: in the order in which they came */
	for (i = 0; i < PBFT_Q_RING; i++) {
		if (!s->q[i].used)
			continue;
		for (j = n++; j > 0 && sorted[j - 1]->view > s->q[i].view; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = &s->q[i];
	}
	for (i = 0; i < n; i++)
		pbft_persist(c, PBFT_REC_PRE_PREPARED, s->seq, sorted[i]->view,
			     &sorted[i]->d, sorted[i]->batch, NULL);
	if (s->p_set)
		pbft_persist(c, PBFT_REC_PREPARED, s->seq, s->p_view, &s->p_d, NULL, NULL);
}

static void persist_view(struct pbft_core *c)
{
	struct pbft_vc_rec *own = &c->vc[c->self];
	bool have = own->body.buf && own->view == c->view;

	if (!c->view)
		return;
	pbft_persist(c, PBFT_REC_VIEW_CHANGE, 0, c->view, NULL, NULL,
		     have ? own->body.buf : NULL);
	if (!c->pending && c->nv_in.buf && c->nv_in.view == c->view)
		pbft_persist(c, PBFT_REC_NEW_VIEW, c->low, c->view,
			     &c->nv_in.nv->base_digest, NULL, c->nv_in.buf);
}

void pbft_persist_all(struct pbft_core *c)
{
	u64 seq;

	c->again = true;
	pbft_persist(c, c->rec.active ? PBFT_REC_FORGOT : PBFT_REC_REMEMBERS, 0, 0,
		     NULL, NULL, NULL);
	pbft_persist_checkpoints(c);
	for (seq = c->h + 1; seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (s)
			persist_q(c, s);
	}
	persist_view(c);
	c->again = false;
}
