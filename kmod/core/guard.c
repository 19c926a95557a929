// SPDX-License-Identifier: GPL-2.0
/*
 * Clients whose authenticators do not hold everywhere.
 *
 * A faulty client can give valid MACs to the primary only: no backup can accept
 * the batch, the honest primary is blamed, and the next one after it (the "big
 * MAC attack", Clement et al., NSDI 2009). So a backup that must hold a batch
 * says which clients are the reason (NACK). A client named by f + 1 replicas is
 * guarded from then on: its requests are proposed only after 2f + 1 replicas
 * said that they could authenticate them (ENDORSE), and f + 1 endorsements stand
 * in for a MAC that does not hold here. Honest clients never pay for this.
 */
#include "internal.h"

static bool guard(struct pbft_core *c, struct pbft_client *cl)
{
	u32 i;

	if (cl->guarded)
		return true;
	cl->endorse = kzalloc(PBFT_CLIENT_WINDOW * sizeof(*cl->endorse), GFP_ATOMIC);
	if (!cl->endorse)
		return false;
	cl->guarded = true;
	list_del_init(&cl->prop_node);
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		if (cl->pending[i].buf)
			pbft_guard_request(c, cl, &cl->pending[i]);
	return true;
}

static void nacked(struct pbft_core *c, u32 client, u32 by)
{
	struct pbft_client *cl = pbft_client_find(c, client);

	if (!cl)
		return;
	cl->nacked_by |= BIT_ULL(by);
	if (hweight64(cl->nacked_by) >= c->f + 1)
		guard(c, cl);
}

void pbft_on_nack(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_nack *m = pkt->data;
	u32 i;

	for (i = 0; i < le32_to_cpu(m->count); i++)
		nacked(c, le32_to_cpu(m->clients[i]), pkt->head.sender);
}

/* This batch is held for requests we cannot authenticate: tell, once. */
void pbft_guard_hold(struct pbft_core *c, struct pbft_slot *s)
{
	const struct pbft_batch *b = s->held_batch;
	u32 i, n = 0, size;
	struct pbft_nack *m;
	struct pbft_buf *buf;

	if (s->nacked || !pbft_may_vote(c))
		return;
	s->nacked = true;
	size = sizeof(*m) + ALIGN(b->count * sizeof(__le32), 8);
	buf = pbft_msg(c, PBFT_NACK, size, c->view, s->seq);
	if (!buf)
		return;
	m = (void *)buf->data;
	memset(m->clients, 0, size - sizeof(*m));
	for (i = 0; i < b->count; i++) {
		if (b->items[i].authentic)
			continue;
		m->clients[n++] = cpu_to_le32(b->items[i].client);
		nacked(c, b->items[i].client, c->self);
	}
	size = sizeof(*m) + ALIGN(n * sizeof(__le32), 8);
	m->digest = b->digest;
	m->count = cpu_to_le32(n);
	m->reserved = 0;
	m->hdr.length = cpu_to_le32(size);
	buf->len = size;
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

static struct pbft_endorsement *endorsement(struct pbft_client *cl, u64 session,
					    u64 t)
{
	struct pbft_endorsement *e = &cl->endorse[t % PBFT_CLIENT_WINDOW];

	return e->session == session && e->t == t ? e : NULL;
}

/* Count @by's word for a request; what we hold authentic ourselves decides the digest. */
static void endorse(struct pbft_core *c, struct pbft_client *cl, u64 session, u64 t,
		    const struct pbft_digest *d, u32 by)
{
	struct pbft_endorsement *e = &cl->endorse[t % PBFT_CLIENT_WINDOW];

	if (session < e->session || (session == e->session && t < e->t))
		return;
	if (session != e->session || t != e->t ||
	    (by == c->self && !pbft_digest_eq(&e->digest, d))) {
		e->session = session;
		e->t = t;
		e->digest = *d;
		e->by = 0;
	}
	if (pbft_digest_eq(&e->digest, d))
		e->by |= BIT_ULL(by);
}

/* A guarded client's request that is authentic here: say so to all. */
void pbft_guard_request(struct pbft_core *c, struct pbft_client *cl,
			struct pbft_pending *p)
{
	struct pbft_endorse *m;
	struct pbft_buf *buf;

	if (!cl->guarded || pbft_within(c, p->relayed, c->cfg.t_resend))
		return;
	p->relayed = c->now;
	endorse(c, cl, cl->pend_session, p->t, &p->digest, c->self);
	buf = pbft_msg(c, PBFT_ENDORSE, sizeof(*m), c->view, 0);
	if (buf) {
		m = (void *)buf->data;
		m->client = cpu_to_le32(cl->id);
		m->reserved = 0;
		m->session = cpu_to_le64(cl->pend_session);
		m->t = cpu_to_le64(p->t);
		m->digest = p->digest;
	}
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
	/* it may have come to us alone */
	buf = pbft_msg(c, PBFT_RELAY, sizeof(struct pbft_relay) + p->msg_len,
		       c->view, 0);
	if (buf)
		memcpy(((struct pbft_relay *)buf->data)->inner, p->msg, p->msg_len);
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

void pbft_on_endorse(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_endorse *m = pkt->data;
	struct pbft_client *cl = pbft_client_find(c, le32_to_cpu(m->client));

	if (!cl || !cl->guarded)
		return;
	endorse(c, cl, le64_to_cpu(m->session), le64_to_cpu(m->t), &m->digest,
		pkt->head.sender);
	pbft_client_proposable(c, cl);
	if (c->held_count)
		pbft_try_all_held(c);
}

bool pbft_guard_may_propose(struct pbft_core *c, struct pbft_client *cl,
			    const struct pbft_pending *p)
{
	struct pbft_endorsement *e;

	if (!cl->guarded)
		return true;
	e = endorsement(cl, cl->pend_session, p->t);
	return e && pbft_digest_eq(&e->digest, &p->digest) &&
	       hweight64(e->by) >= 2 * c->f + 1;
}

bool pbft_guard_endorsed(struct pbft_core *c, const struct pbft_batch_item *it,
			 const struct pbft_digest *d)
{
	struct pbft_client *cl = pbft_client_find(c, it->client);
	struct pbft_endorsement *e;

	if (!cl || !cl->guarded)
		return false;
	e = endorsement(cl, it->session, it->t);
	return e && pbft_digest_eq(&e->digest, d) &&
	       hweight64(e->by) >= c->f + 1;
}
