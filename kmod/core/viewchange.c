// SPDX-License-Identifier: GPL-2.0
/*
 * Leaving a view (section 4.5 of the paper): when, the VIEW-CHANGE itself, and
 * the acks that let the new primary prove others' VIEW-CHANGEs without
 * signatures.
 */
#include "internal.h"

void pbft_vc_body_set(struct pbft_vc_body *at, const struct pbft_vc_body *body)
{
	if (body->buf)
		pbft_buf_get(body->buf);
	pbft_buf_put(at->buf);
	*at = *body;
}

/* Replicas known to want @view or a later one, ourselves included. */
unsigned int pbft_vc_count(const struct pbft_core *c, u64 view)
{
	unsigned int count = 0;
	u32 i;

	for (i = 0; i < c->n; i++)
		if (c->vc[i].body.buf && c->vc[i].view >= view)
			count++;
	return count;
}

/* T(v) starts with the q-th VIEW-CHANGE, not with our own. */
void pbft_vc_timer(struct pbft_core *c)
{
	if (c->pending && !c->vc_timer && pbft_vc_count(c, c->view) >= c->q)
		c->vc_timer = c->now;
}

/* ---- our own VIEW-CHANGE ----------------------------------------------- */

static void count_pq(struct pbft_core *c, u32 *np, u32 *nq)
{
	u64 seq;
	u32 i;

	*np = 0;
	*nq = 0;
	for (seq = c->h + 1; seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (!s)
			continue;
		*np += s->p_set;
		for (i = 0; i < PBFT_Q_RING; i++)
			*nq += s->q[i].used;
	}
}

static void put_pq(struct pbft_vc_pq *e, u64 seq, u64 view,
		   const struct pbft_digest *d)
{
	e->seq = cpu_to_le64(seq);
	e->view = cpu_to_le64(view);
	e->digest = *d;
}

/* The ring's entries, latest view first. */
static struct pbft_vc_pq *put_q(struct pbft_vc_pq *out, const struct pbft_slot *s)
{
	const struct pbft_qent *sorted[PBFT_Q_RING];
	u32 i, j, n = 0;

	for (i = 0; i < PBFT_Q_RING; i++) {
		if (!s->q[i].used)
			continue;
		for (j = n++; j > 0 && sorted[j - 1]->view < s->q[i].view; j--)
			sorted[j] = sorted[j - 1];
		sorted[j] = &s->q[i];
	}
	for (i = 0; i < n; i++)
		put_pq(out++, s->seq, sorted[i]->view, &sorted[i]->d);
	return out;
}

static struct pbft_buf *build_vc(struct pbft_core *c)
{
	struct pbft_view_change *m;
	struct pbft_vc_pq *p, *q;
	struct pbft_vc_c *cs;
	struct pbft_buf *buf;
	u32 np, nq, i;
	u64 seq;

	count_pq(c, &np, &nq);
	buf = pbft_msg(c, PBFT_VIEW_CHANGE,
		       sizeof(*m) + c->own_count * sizeof(*cs) +
		       (np + nq) * sizeof(*p), c->view, 0);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->h = cpu_to_le64(c->h);
	m->c_count = cpu_to_le32(c->own_count);
	m->p_count = cpu_to_le32(np);
	m->q_count = cpu_to_le32(nq);
	m->reserved = 0;
	cs = (void *)m->body;
	for (i = 0; i < c->own_count; i++) {
		cs[i].seq = cpu_to_le64(c->own[i].seq);
		cs[i].digest = c->own[i].d;
	}
	p = (void *)&cs[i];
	q = p + np;
	for (seq = c->h + 1; seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (!s)
			continue;
		if (s->p_set)
			put_pq(p++, seq, s->p_view, &s->p_d);
		q = put_q(q, s);
	}
	return buf;
}

/* Promise: from here on no vote in a lower view. */
static void promise(struct pbft_core *c)
{
	struct pbft_vc_rec *rec = &c->vc[c->self];
	struct pbft_vc_body body = { .buf = build_vc(c) };

	if (!body.buf)
		return;	/* tick tries again: pending without a VIEW-CHANGE */
	body.vc = (void *)body.buf->data;
	body.len = body.buf->len;
	pbft_vc_body_set(&rec->body, &body);
	rec->view = c->view;
	pbft_vc_digest(&rec->dv, body.vc);
	pbft_persist(c, PBFT_REC_VIEW_CHANGE, 0, c->view, NULL, NULL, body.buf);
	pbft_send(c, pbft_others(c), PBFT_AUTH_VECTOR, body.buf);
	c->vc_resend = c->now;
}

/* An amnesiac may not repeat, with other contents, a promise it has forgotten. */
bool pbft_may_promise(const struct pbft_core *c, u64 view)
{
	return !c->rec.active ||
	       (c->rec.estimated && c->h >= c->rec.point &&
		view >= c->rec.min_view);
}

/* Pending from here on, for @view. */
void pbft_leave_view(struct pbft_core *c, u64 view)
{
	u32 i;

	c->view = view;
	c->primary = view % c->n;
	c->pending = true;
	c->vc_timer = 0;
	c->view_batches = 0;
	for (i = 0; i < c->ring; i++)
		if (c->slots[i].seq)
			pbft_slot_leave_view(c, &c->slots[i]);
	if (c->nv.view < view)
		pbft_nv_release(&c->nv);
}

void pbft_start_vc(struct pbft_core *c, u64 view)
{
	u32 i;

	if (view < c->view || (view == c->view && (c->vc[c->self].view == view ||
						   !c->pending)))
		return;
	if (view > c->view) {
		pbft_leave_view(c, view);
		c->cnt.view_changes++;
		pbft_event(c, PBFT_EV_VIEW_CHANGE, 0, 0);
	}
	if (pbft_may_promise(c, view)) {
		promise(c);
		for (i = 0; i < c->n; i++)
			if (i != c->self && c->vc[i].view == view)
				pbft_send_ack(c, i, BIT_ULL(pbft_primary(c, view)));
	}
	pbft_vc_timer(c);
	pbft_join(c);
	if (c->pending && c->view == view) {
		pbft_try_new_view(c);
		pbft_check_new_view(c);
	}
}

/*
 * The (f + 1)-th largest view wanted: one of those replicas is correct. Not the
 * smallest of f + 1 that are ahead of us, which one faulty sender can drag.
 */
void pbft_join(struct pbft_core *c)
{
	u64 top[PBFT_N_MAX];
	u32 i, j, n = 0;

	for (i = 0; i < c->n; i++) {
		u64 v = c->vc[i].view;

		if (i == c->self || !c->vc[i].body.buf)
			continue;
		for (j = n++; j > 0 && top[j - 1] < v; j--)
			top[j] = top[j - 1];
		top[j] = v;
	}
	if (n > c->f && top[c->f] > c->view)
		pbft_start_vc(c, top[c->f]);
}

/* ---- others' VIEW-CHANGEs ------------------------------------------------- */

void pbft_send_ack(struct pbft_core *c, u32 origin, u64 to)
{
	const struct pbft_vc_rec *rec = &c->vc[origin];
	struct pbft_vc_ack *m;
	struct pbft_buf *buf;

	/* the primary's own needs none, and we do not vouch for ourselves */
	if (!rec->body.buf || origin == c->self ||
	    origin == pbft_primary(c, rec->view) ||
	    !pbft_may_promise(c, rec->view) || !(to & pbft_others(c)))
		return;
	buf = pbft_msg(c, PBFT_VIEW_CHANGE_ACK, sizeof(*m), rec->view, 0);
	if (buf) {
		m = (void *)buf->data;
		m->origin = cpu_to_le32(origin);
		m->reserved = 0;
		m->digest = rec->dv;
	}
	pbft_send(c, to, PBFT_AUTH_MAC, buf);
}

static bool store_vc(struct pbft_core *c, u32 origin, const struct pbft_vc_body *body,
		     const struct pbft_digest *dv)
{
	struct pbft_vc_rec *rec = &c->vc[origin];
	u64 view = le64_to_cpu(body->vc->hdr.view);

	if (rec->body.buf && view <= rec->view) {
		if (view == rec->view && !pbft_digest_eq(dv, &rec->dv))
			pbft_evidence(c, origin);
		return false;
	}
	pbft_vc_body_set(&rec->body, body);
	rec->view = view;
	rec->dv = *dv;
	return true;
}

/*
 * @authentic: its authenticator holds here. One that does not, passed on by
 * another replica, can still be a body that a NEW-VIEW refers to.
 */
void pbft_on_view_change(struct pbft_core *c, const struct pbft_vc_body *body,
			 bool authentic, u32 from)
{
	u32 origin = le32_to_cpu(body->vc->hdr.sender);
	u64 view = le64_to_cpu(body->vc->hdr.view);
	struct pbft_digest dv;
	bool fresh;

	if (origin == c->self)
		return;
	if (!pbft_vc_valid(body->vc, c->cfg.k, c->cfg.l)) {
		if (authentic)
			pbft_evidence(c, origin);
		return;
	}
	pbft_vc_digest(&dv, body->vc);
	pbft_offer_vc(c, body, &dv);
	if (!authentic)
		return;
	fresh = store_vc(c, origin, body, &dv);
	if (fresh && !c->pending && view > c->view && from == origin &&
	    origin == pbft_primary(c, c->view)) {
		/* the primary itself has given up the view */
		pbft_start_vc(c, c->view + 1);
	}
	pbft_join(c);
	if (c->pending && view == c->view && c->vc[origin].view == view)
		pbft_send_ack(c, origin, BIT_ULL(pbft_primary(c, view)));
	pbft_vc_timer(c);
	if (c->pending) {
		pbft_try_new_view(c);
		pbft_check_new_view(c);
	}
}

/* ---- acks ------------------------------------------------------------------- */

static const struct pbft_ack_rec *ack(const struct pbft_core *c, u32 origin, u32 by)
{
	return &c->acks[origin * c->n + by];
}

/* Acks for @dv of @origin in @view, but for those of the origin and the primary. */
unsigned int pbft_ack_count(const struct pbft_core *c, u32 origin, u64 view,
			    const struct pbft_digest *dv)
{
	unsigned int count = 0;
	u32 i;

	for (i = 0; i < c->n; i++) {
		const struct pbft_ack_rec *a = ack(c, origin, i);

		if (i == origin || i == pbft_primary(c, view) || i == c->self)
			continue;
		if (a->view == view && pbft_digest_eq(&a->dv, dv))
			count++;
	}
	return count;
}

/* At the new primary: may this VIEW-CHANGE enter S? */
bool pbft_vc_certified(const struct pbft_core *c, u32 origin)
{
	const struct pbft_vc_rec *rec = &c->vc[origin];

	if (!rec->body.buf || rec->view != c->view)
		return false;
	return origin == c->self ||
	       pbft_ack_count(c, origin, c->view, &rec->dv) >= pbft_ack_quorum(c->f);
}

void pbft_on_vc_ack(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_vc_ack *m = pkt->data;
	u32 origin = le32_to_cpu(m->origin);
	struct pbft_ack_rec *a = &c->acks[origin * c->n + pkt->head.sender];

	/*
	 * The first stands. Another is no evidence: an ack says what its sender
	 * authenticated, not more, and after a crash it may be what else a faulty
	 * origin has sent.
	 */
	if (pkt->head.view <= a->view || pkt->head.view < c->view)
		return;
	a->view = pkt->head.view;
	a->dv = m->digest;
	if (c->pending && pkt->head.view == c->view) {
		pbft_try_new_view(c);
		pbft_check_new_view(c);
	}
}
