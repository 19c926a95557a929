// SPDX-License-Identifier: GPL-2.0
/*
 * Clients whose authenticators do not hold everywhere.
 *
 * A faulty client can give valid MACs to the primary only: no backup can accept
 * the batch, and the honest primary is blamed (the "big MAC attack", Clement et
 * al., NSDI 2009). Or to one backup only: the primary cannot order what that
 * backup waits for, and is blamed again. So a backup that must hold a batch says
 * which clients are the reason (NACK), and a client is guarded here if f + 1
 * replicas named it, or if its request outlasted two views.
 *
 * A guarded client's request counts once 2f + 1 replicas said that they could
 * authenticate it (ENDORSE): only then the primary proposes it, only then
 * backups wait for it; f + 1 stand in for a MAC that does not hold here. After a
 * number of operations, doubled each time, the client is trusted again. Honest
 * clients of honest primaries never come here.
 */
#include "internal.h"

#define PROBATION_FIRST	8	/* operations */
#define PROBATION_MAX	65536
#define VIEWS_OUTLASTED	2

static void put_under_guard(struct pbft_core *c, struct pbft_client *cl)
{
	u32 i;

	if (cl->guarded)
		return;
	cl->endorse = kzalloc(PBFT_CLIENT_WINDOW * sizeof(*cl->endorse), GFP_ATOMIC);
	if (!cl->endorse)
		return;
	cl->guarded = true;
	cl->probation = min_t(u32, max_t(u32, 2 * cl->probation, PROBATION_FIRST),
			      PROBATION_MAX);
	cl->probation_left = cl->probation;
	list_del_init(&cl->prop_node);
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		if (cl->pending[i].buf)
			pbft_guard_request(c, cl, &cl->pending[i], true);
	pbft_client_wait(c, cl);
}

/* An operation of the client executed. */
void pbft_guard_executed(struct pbft_core *c, struct pbft_client *cl)
{
	cl->outlasted = 0;
	if (!cl->guarded || --cl->probation_left)
		return;
	cl->guarded = false;
	cl->nacked_by = 0;
	kfree(cl->endorse);
	cl->endorse = NULL;
}

/* The client's request timer expired and ends the view. */
void pbft_guard_expired(struct pbft_core *c, struct pbft_client *cl)
{
	if (++cl->outlasted >= VIEWS_OUTLASTED)
		put_under_guard(c, cl);
}

static void nacked(struct pbft_core *c, u32 client, u32 by)
{
	struct pbft_client *cl = pbft_client_find(c, client);

	if (!cl)
		return;
	cl->nacked_by |= BIT_ULL(by);
	if (hweight64(cl->nacked_by) >= c->f + 1)
		put_under_guard(c, cl);
}

/*
 * This batch is held for requests we cannot authenticate: tell, and go on telling
 * as often as the primary repeats it. Who can answers with an ENDORSE.
 */
void pbft_guard_hold(struct pbft_core *c, struct pbft_slot *s)
{
	const struct pbft_batch *b = s->held_batch;
	u32 i, n = 0, size;
	struct pbft_nack *m;
	struct pbft_buf *buf;

	if (pbft_within(c, s->nacked, c->cfg.t_resend) || !pbft_may_vote(c))
		return;
	size = sizeof(*m) + ALIGN(b->count * sizeof(__le32), 8);
	buf = pbft_msg(c, PBFT_NACK, size, c->view, s->seq);
	if (!buf)
		return;
	s->nacked = c->now;
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

/*
 * Count @by's word. What we authenticated ourselves has the place and its digest
 * is the one that counts; the word of others alone has it until other word comes.
 */
static void endorse(struct pbft_core *c, struct pbft_client *cl, u64 session, u64 t,
		    const struct pbft_digest *d, u32 by)
{
	struct pbft_endorsement *e = &cl->endorse[t % PBFT_CLIENT_WINDOW];

	if (e->session != session || e->t != t || !pbft_digest_eq(&e->digest, d)) {
		if (by != c->self && e->by & BIT_ULL(c->self))
			return;
		e->session = session;
		e->t = t;
		e->digest = *d;
		e->by = 0;
	}
	e->by |= BIT_ULL(by);
}

static void send_endorse(struct pbft_core *c, u32 client, u64 session, u64 t,
			 const struct pbft_digest *d, u64 to, u32 flags)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_ENDORSE, sizeof(struct pbft_endorse),
					c->view, 0);
	struct pbft_endorse *m;

	if (buf) {
		m = (void *)buf->data;
		m->client = cpu_to_le32(client);
		m->flags = cpu_to_le32(flags);
		m->session = cpu_to_le64(session);
		m->t = cpu_to_le64(t);
		m->digest = *d;
	}
	pbft_send(c, to, PBFT_AUTH_MAC, buf);
}

/*
 * Another replica holds a batch for these clients' requests. What it once heard from
 * us it may have lost, or counted for another request of the same number: say again
 * which of them are authentic here.
 */
static void answer_nack(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_nack *m = pkt->data;
	const struct pbft_slot *s = pbft_slot(c, pkt->head.seq);
	const struct pbft_batch *b = s ? pbft_slot_body(s, &m->digest) : NULL;
	u32 i, n = 0, count = le32_to_cpu(m->count);

	if (!b || !pbft_answer_budget(c, pkt->head.sender,
				      count * sizeof(struct pbft_endorse)))
		return;
	/* they are named in the batch's order */
	for (i = 0; i < b->count && n < count; i++) {
		const struct pbft_batch_item *it = &b->items[i];

		if (it->client != le32_to_cpu(m->clients[n]))
			continue;
		n++;
		if (it->authentic)
			send_endorse(c, it->client, it->session, it->t, &b->digests[i],
				     BIT_ULL(pkt->head.sender), 0);
	}
}

void pbft_on_nack(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_nack *m = pkt->data;
	u32 i;

	for (i = 0; i < le32_to_cpu(m->count); i++)
		nacked(c, le32_to_cpu(m->clients[i]), pkt->head.sender);
	answer_nack(c, pkt);
}

/*
 * A request that another replica passed on is authentic here, and was executed
 * and answered, so it does not wait here. Others may lack the answer, and the
 * primary may need our word to order it once more for them.
 */
void pbft_guard_answered(struct pbft_core *c, const struct pbft_request *msg)
{
	u64 session = le64_to_cpu(msg->session), t = le64_to_cpu(msg->hdr.seq);
	u32 client = le32_to_cpu(msg->hdr.sender);
	struct pbft_digest d;

	if (c->pending || pbft_is_primary(c))
		return;
	pbft_request_digest(&d, client, session, t, msg->op, le32_to_cpu(msg->op_len));
	send_endorse(c, client, session, t, &d, BIT_ULL(pbft_primary(c, c->view)), 0);
}

/*
 * A guarded client's request that is authentic here: say so to all, and ask them.
 * @pass_on: it did not come from another replica, so they may not have it. What
 * others pass on is never passed on again, or it would go round for ever.
 */
void pbft_guard_request(struct pbft_core *c, struct pbft_client *cl,
			struct pbft_pending *p, bool pass_on)
{
	struct pbft_buf *buf;

	if (!cl->guarded || pbft_within(c, p->endorsed, c->cfg.t_resend))
		return;
	p->endorsed = c->now;
	endorse(c, cl, cl->pend_session, p->t, &p->digest, c->self);
	if (pass_on) {
		p->relayed = c->now;
		buf = pbft_msg(c, PBFT_RELAY, sizeof(struct pbft_relay) + p->msg_len,
			       c->view, 0);
		if (buf)
			memcpy(((struct pbft_relay *)buf->data)->inner, p->msg,
			       p->msg_len);
		pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
	}
	send_endorse(c, cl->id, cl->pend_session, p->t, &p->digest, pbft_others(c),
		     PBFT_ENDORSE_ASK);
}

/* Word of what a held batch waits for is kept with it: nothing else takes its place. */
static void vouch_held(struct pbft_core *c, const struct pbft_endorse *m, u32 by)
{
	u64 seq;
	u32 i;

	for (seq = c->h + 1; c->held_count && seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);
		struct pbft_batch *b = s && s->held ? s->held_batch : NULL;

		for (i = 0; i < pbft_batch_count(b); i++)
			if (b->items[i].client == le32_to_cpu(m->client) &&
			    pbft_digest_eq(&b->digests[i], &m->digest))
				b->items[i].vouched |= BIT_ULL(by);
	}
}

void pbft_on_endorse(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_endorse *m = pkt->data;
	struct pbft_client *cl = pbft_client_find(c, le32_to_cpu(m->client));
	u64 session = le64_to_cpu(m->session), t = le64_to_cpu(m->t);
	struct pbft_pending *p;

	if (!cl)
		return;
	p = pbft_pending_find(cl, session, t);
	if (p && le32_to_cpu(m->flags) & PBFT_ENDORSE_ASK &&
	    pbft_digest_eq(&p->digest, &m->digest))
		send_endorse(c, cl->id, session, t, &p->digest, BIT_ULL(pkt->head.sender), 0);
	if (cl->guarded) {
		endorse(c, cl, session, t, &m->digest, pkt->head.sender);
		if (list_empty(&cl->wait_node))
			pbft_client_wait(c, cl);
		pbft_client_proposable(c, cl);
	}
	vouch_held(c, m, pkt->head.sender);
	if (c->held_count)
		pbft_try_all_held(c);
	pbft_take_entries(c);
}

/* May it be proposed, and must the primary order it? */
bool pbft_guard_counts(struct pbft_core *c, struct pbft_client *cl,
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

	if (hweight64(it->vouched) >= c->f + 1)
		return true;
	if (!cl || !cl->guarded)
		return false;
	e = endorsement(cl, it->session, it->t);
	return e && pbft_digest_eq(&e->digest, d) &&
	       hweight64(e->by) >= c->f + 1;
}
