// SPDX-License-Identifier: GPL-2.0
/*
 * Clients: requests waiting to be ordered, and replies kept for retransmission.
 *
 * The truth about sessions is with the application; here is what this core saw
 * go by, enough to order each client's requests in their order, to notice those
 * that a primary neglects, and to answer twice.
 */
#include "internal.h"

/* ---- the table ------------------------------------------------------- */

static struct pbft_client **bucket(const struct pbft_core *c, u32 id)
{
	return (struct pbft_client **)&c->clients[id % PBFT_CLIENT_BUCKETS];
}

struct pbft_client *pbft_client_find(const struct pbft_core *c, u32 id)
{
	struct pbft_client *cl = *bucket(c, id);

	while (cl && cl->id != id)
		cl = cl->hash_next;
	return cl;
}

int pbft_client_add(struct pbft_core *c, u32 id)
{
	struct pbft_client *cl;

	if (pbft_client_find(c, id))
		return -EEXIST;
	if (c->client_count >= c->cfg.clients_max)
		return -ENOSPC;
	/* also called on a running replica, under the shell's lock */
	cl = kzalloc(sizeof(*cl), GFP_ATOMIC);
	if (!cl)
		return -ENOMEM;
	cl->id = id;
	INIT_LIST_HEAD(&cl->wait_node);
	INIT_LIST_HEAD(&cl->prop_node);
	cl->hash_next = *bucket(c, id);
	*bucket(c, id) = cl;
	c->client_count++;
	return 0;
}

static void reply_drop(struct pbft_core *c, struct pbft_client *cl, u32 i)
{
	if (!cl->replies[i].buf)
		return;
	c->client_memory -= cl->replies[i].buf->cap;
	pbft_buf_put(cl->replies[i].buf);
	cl->replies[i].buf = NULL;
}

static void pending_remove(struct pbft_core *c, struct pbft_client *cl,
			   struct pbft_pending *p)
{
	u64 t;

	c->client_memory -= p->buf->cap;
	pbft_buf_put(p->buf);
	p->buf = NULL;
	p->msg = NULL;
	cl->pend_count--;
	c->pending_total--;
	/* who is queued has its next request here */
	if (cl->prop_session == cl->pend_session && cl->prop_next == p->t)
		list_del_init(&cl->prop_node);
	if (!cl->pend_count || p->t != cl->pend_low)
		return;
	for (t = cl->pend_low + 1;; t++) {
		struct pbft_pending *o = &cl->pending[t % PBFT_CLIENT_WINDOW];

		if (o->buf && o->t == t)
			break;
	}
	cl->pend_low = t;
}

static void pending_drop_all(struct pbft_core *c, struct pbft_client *cl)
{
	u32 i;

	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		if (cl->pending[i].buf)
			pending_remove(c, cl, &cl->pending[i]);
}

/* Executed, waiting to be answered once more: not where later requests need the place. */
static void pending_drop_executed(struct pbft_core *c, struct pbft_client *cl)
{
	if (cl->session != cl->pend_session)
		return;
	while (cl->pend_count && cl->pend_low < cl->next)
		pending_remove(c, cl, &cl->pending[cl->pend_low % PBFT_CLIENT_WINDOW]);
	if (!cl->pend_count || cl->prop_next < cl->next)
		list_del_init(&cl->prop_node);
}

void pbft_client_del(struct pbft_core *c, u32 id)
{
	struct pbft_client **at = bucket(c, id), *cl;
	u32 i;

	while (*at && (*at)->id != id)
		at = &(*at)->hash_next;
	cl = *at;
	if (!cl)
		return;
	*at = cl->hash_next;
	pending_drop_all(c, cl);
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		reply_drop(c, cl, i);
	list_del_init(&cl->wait_node);
	list_del_init(&cl->prop_node);
	kfree(cl->endorse);
	kfree(cl);
	c->client_count--;
}

static bool pending_at(const struct pbft_client *cl, u64 t)
{
	const struct pbft_pending *p = &cl->pending[t % PBFT_CLIENT_WINDOW];

	return p->buf && p->t == t;
}

struct pbft_pending *pbft_pending_find(struct pbft_client *cl, u64 session, u64 t)
{
	return cl->pend_session == session && pending_at(cl, t) ?
	       &cl->pending[t % PBFT_CLIENT_WINDOW] : NULL;
}

/* ---- what a client waits for ------------------------------------------- */

/* The first request waiting here from number @t on that counts; NULL: none. */
static struct pbft_pending *first_counting(struct pbft_core *c,
					   struct pbft_client *cl, u64 t)
{
	if (!cl->pend_count)
		return NULL;
	for (t = max(t, cl->pend_low); t < cl->pend_low + PBFT_CLIENT_WINDOW; t++) {
		struct pbft_pending *p = &cl->pending[t % PBFT_CLIENT_WINDOW];

		if (pending_at(cl, t) && pbft_guard_counts(c, cl, p))
			return p;
	}
	return NULL;
}

/*
 * What does the primary owe this client? Not what is executed and waits for its
 * answer only, nor what only some replicas could authenticate. A gap before it is
 * no excuse: after a while the primary orders what there is, and the application
 * answers that it is out of order.
 */
static struct pbft_pending *owed(struct pbft_core *c, struct pbft_client *cl)
{
	bool known = cl->session == cl->pend_session;

	return first_counting(c, cl, known ? cl->next : 0);
}

/* The request timer runs from now for the client's first request, or not at all. */
void pbft_client_wait(struct pbft_core *c, struct pbft_client *cl)
{
	list_del_init(&cl->wait_node);
	if (!owed(c, cl))
		return;
	cl->wait_since = c->now;
	list_add_tail(&cl->wait_node, &c->waiting);
}

/* The request timers that expired are why the view ends. */
void pbft_clients_expired(struct pbft_core *c, u64 timeout)
{
	struct pbft_client *cl, *next;

	list_for_each_entry_safe(cl, next, &c->waiting, wait_node) {
		if (cl->wait_since + timeout > c->now)
			break;
		pbft_guard_expired(c, cl);
	}
}

/* Queue the client for the next batch if its next request is here. */
void pbft_client_proposable(struct pbft_core *c, struct pbft_client *cl)
{
	struct pbft_pending *p;

	if (!list_empty(&cl->prop_node) || !cl->pend_count)
		return;
	if (cl->prop_session != cl->pend_session) {
		if (cl->pend_session == cl->session)
			cl->prop_next = cl->next;
		else if (cl->pend_low == 1)
			cl->prop_next = 1;
		else
			return;
		cl->prop_session = cl->pend_session;
	}
	/* already executed ones come again only if they wait here */
	while (cl->session == cl->prop_session && cl->prop_next < cl->next &&
	       !pbft_pending_find(cl, cl->prop_session, cl->prop_next))
		cl->prop_next++;
	p = pbft_pending_find(cl, cl->prop_session, cl->prop_next);
	if (p && pbft_guard_counts(c, cl, p))
		list_add_tail(&cl->prop_node, &c->proposable);
}

/* A batch on its way holds these: do not propose them again. */
void pbft_clients_proposed(struct pbft_core *c, const struct pbft_batch *b, u64 seq)
{
	u32 i;

	for (i = 0; i < pbft_batch_count(b); i++) {
		const struct pbft_batch_item *it = &b->items[i];
		struct pbft_client *cl = pbft_client_find(c, it->client);

		if (!cl || (cl->prop_session != it->session &&
			    cl->pend_session > it->session))
			continue;
		if (cl->prop_session != it->session) {
			cl->prop_session = it->session;
			cl->prop_next = it->t;
		}
		if (it->t >= cl->prop_next && it->t < cl->prop_next + PBFT_CLIENT_WINDOW)
			cl->prop_next = it->t + 1;
		cl->prop_seq = max(cl->prop_seq, seq);
		list_del_init(&cl->prop_node);
		pbft_client_proposable(c, cl);
	}
}

static void propose_from_start(struct pbft_core *c, struct pbft_client *cl)
{
	list_del_init(&cl->prop_node);
	cl->prop_session = cl->session;
	cl->prop_next = cl->next;
	cl->prop_seq = 0;
	pbft_client_proposable(c, cl);
}

/* A view begins: what waits has waited since the view change began. */
void pbft_clients_new_view(struct pbft_core *c)
{
	u64 first = max(c->executed.seq, c->h > c->cfg.l ? c->h - c->cfg.l : 0) + 1;
	u64 seq, since = c->vc_timer ? c->vc_timer : c->now;
	struct pbft_client *cl;
	u32 i;

	for (i = 0; i < PBFT_CLIENT_BUCKETS; i++) {
		for (cl = c->clients[i]; cl; cl = cl->hash_next) {
			propose_from_start(c, cl);
			pbft_client_wait(c, cl);
			cl->wait_since = since;
		}
	}
	/* what the ring holds, however far the application lags */
	for (seq = first; seq <= min(c->max_seen, pbft_high(c)); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (s && s->committed)
			pbft_clients_proposed(c, s->cbatch, seq);
	}
}

/* The application's state jumped ahead: sessions are where we saw them, or later. */
void pbft_clients_forget(struct pbft_core *c)
{
	struct pbft_client *cl;
	u32 i;

	for (i = 0; i < PBFT_CLIENT_BUCKETS; i++) {
		for (cl = c->clients[i]; cl; cl = cl->hash_next) {
			cl->unsure = cl->session != 0;
			propose_from_start(c, cl);
			pbft_client_wait(c, cl);
		}
	}
}

/*
 * Requests that wait although nothing of their client is on its way: a session
 * we know nothing of may begin anywhere, after our own restart for example.
 * @all: also those that came just now.
 */
void pbft_clients_rescan(struct pbft_core *c, bool all)
{
	struct pbft_client *cl;
	struct pbft_pending *p;
	bool gap;
	u32 i;

	for (i = 0; c->pending_total && i < PBFT_CLIENT_BUCKETS; i++) {
		for (cl = c->clients[i]; cl; cl = cl->hash_next) {
			if (!cl->pend_count || !list_empty(&cl->prop_node) ||
			    cl->prop_seq > c->executed.seq)
				continue;
			p = first_counting(c, cl, 0);
			if (!p)
				continue;
			gap = cl->session == cl->pend_session && !cl->unsure &&
			      p->t > cl->next;
			if (gap && pbft_within(c, p->arrived, c->cfg.t_base / 2))
				continue;
			if (!all && pbft_within(c, p->arrived, c->cfg.t_resend))
				continue;
			cl->prop_session = cl->pend_session;
			cl->prop_next = p->t;
			pbft_client_proposable(c, cl);
		}
	}
}

/* ---- replies --------------------------------------------------------------- */

/* Bytes of the result to send: everyone sends small ones, the replier large ones. */
u32 pbft_reply_wanted(const struct pbft_core *c, u8 replier, u32 len)
{
	return len <= PBFT_REPLY_INLINE || replier == c->self ||
	       replier == PBFT_REPLIER_ALL ? len : 0;
}

/* A copy of a kept reply as it is due now, with @len bytes of the result. */
static struct pbft_buf *reply_copy(struct pbft_core *c, const struct pbft_buf *kept,
				   u32 len)
{
	const struct pbft_reply *from = (const void *)kept->data;
	struct pbft_buf *buf = pbft_msg(c, PBFT_REPLY, sizeof(*from) + len, c->view,
					le64_to_cpu(from->hdr.seq));
	struct pbft_reply *m;

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	memcpy((u8 *)m + sizeof(m->hdr), (const u8 *)from + sizeof(m->hdr),
	       sizeof(*m) - sizeof(m->hdr) + len);
	m->result_len = cpu_to_le32(len);
	if (len < le32_to_cpu(from->full_len))
		m->flags |= PBFT_REPLY_DIGEST_ONLY;
	return buf;
}

/* One that is kept. */
static void resend_reply(struct pbft_core *c, struct pbft_client *cl, u64 t, u8 replier)
{
	struct pbft_buf *kept = cl->replies[t % PBFT_CLIENT_WINDOW].buf;
	const struct pbft_reply *m = (const void *)kept->data;

	pbft_send_client(c, cl->id,
			 reply_copy(c, kept, pbft_reply_wanted(c, replier,
							       le32_to_cpu(m->full_len))));
	c->cnt.replies++;
}

static bool reply_kept(const struct pbft_client *cl, u64 session, u64 t)
{
	u32 i = t % PBFT_CLIENT_WINDOW;

	return cl->replies[i].buf && cl->replies[i].t == t &&
	       cl->replies[i].session == session;
}

static struct pbft_buf *reply_build(struct pbft_core *c,
				    const struct pbft_batch_item *it, u64 seq,
				    const struct pbft_result *res)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_REPLY,
					sizeof(struct pbft_reply) + res->len,
					c->view, seq);
	struct pbft_reply *m;

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->client = cpu_to_le32(it->client);
	m->status = res->status;
	m->flags = 0;
	m->reserved = 0;
	m->session = cpu_to_le64(it->session);
	m->t = cpu_to_le64(it->t);
	pbft_result_digest(&m->result_digest, res->status, res->data, res->len);
	m->result_len = cpu_to_le32(res->len);
	m->full_len = cpu_to_le32(res->len);
	if (res->len)
		memcpy(m->result, res->data, res->len);
	return buf;
}

static void send_reply(struct pbft_core *c, struct pbft_client *cl,
		       const struct pbft_batch_item *it, u64 seq,
		       const struct pbft_result *res)
{
	struct pbft_buf *buf = reply_build(c, it, seq, res);
	u32 i = it->t % PBFT_CLIENT_WINDOW;

	c->cnt.replies++;
	if (!buf) {
		c->cnt.out_dropped++;
		return;
	}
	if (pbft_reply_wanted(c, it->msg->replier, res->len) == res->len)
		pbft_send_client(c, cl->id, pbft_buf_get(buf));
	else
		pbft_send_client(c, cl->id, reply_copy(c, buf, 0));
	if (res->status == PBFT_ST_OK || res->status == PBFT_ST_APP_ERROR) {
		reply_drop(c, cl, i);
		cl->replies[i].buf = buf;
		c->client_memory += buf->cap;
		cl->replies[i].session = it->session;
		cl->replies[i].t = it->t;
	} else {
		pbft_buf_put(buf);
	}
}

void pbft_client_executed(struct pbft_core *c, const struct pbft_batch_item *it,
			  const struct pbft_digest *d, u64 seq,
			  const struct pbft_result *res)
{
	struct pbft_client *cl = pbft_client_find(c, it->client);
	struct pbft_pending *p;

	if (!cl)
		return;
	send_reply(c, cl, it, seq, res);
	if (res->status == PBFT_ST_OK || res->status == PBFT_ST_APP_ERROR) {
		if (it->session > cl->session) {
			cl->session = it->session;
			cl->next = it->t + 1;
			cl->unsure = false;
		} else if (it->session == cl->session && it->t >= cl->next) {
			cl->next = it->t + 1;
			cl->unsure = false;
		}
	}
	p = pbft_pending_find(cl, it->session, it->t);
	if (p)
		pending_remove(c, cl, p);
	pbft_guard_executed(c, cl);
	pbft_client_wait(c, cl);
	if (cl->prop_session == cl->session &&
	    (seq >= cl->prop_seq || cl->prop_next < cl->next)) {
		cl->prop_next = cl->next;
		list_del_init(&cl->prop_node);
	}
	pbft_client_proposable(c, cl);
}

/* ---- arrival ---------------------------------------------------------------- */

static void relay_to_primary(struct pbft_core *c, struct pbft_pending *p)
{
	struct pbft_buf *buf;

	if (pbft_is_primary(c) || c->pending ||
	    pbft_within(c, p->relayed, c->cfg.t_resend))
		return;
	p->relayed = c->now;
	buf = pbft_msg(c, PBFT_RELAY, sizeof(struct pbft_relay) + p->msg_len,
		       c->view, 0);
	if (buf)
		memcpy(((struct pbft_relay *)buf->data)->inner, p->msg, p->msg_len);
	pbft_send(c, BIT_ULL(pbft_primary(c, c->view)), PBFT_AUTH_MAC, buf);
}

/* Requests that have waited long may never have reached the primary. */
void pbft_clients_remind(struct pbft_core *c)
{
	struct pbft_client *cl;
	struct pbft_pending *p;

	list_for_each_entry(cl, &c->waiting, wait_node) {
		if (pbft_within(c, cl->wait_since, c->cfg.t_base / 2))
			break;
		if (pbft_within(c, cl->reminded, c->cfg.t_base / 2))
			continue;
		cl->reminded = c->now;
		p = owed(c, cl);
		if (p)
			relay_to_primary(c, p);
	}
}

/*
 * A backup asks for an order that was executed: it missed that, and learns it
 * only from the log. Now and then the primary repeats one for it.
 */
static bool repeat_for(struct pbft_core *c, struct pbft_client *cl)
{
	if (c->pending || !pbft_is_primary(c) ||
	    pbft_within(c, cl->repeated, c->cfg.t_base / 2))
		return false;
	cl->repeated = c->now;
	return true;
}

/* Has it been executed, or is it out of what the client may have outstanding? */
static bool refused(struct pbft_core *c, struct pbft_client *cl, u64 session, u64 t,
		    u8 replier, bool relayed)
{
	if (session < cl->session || session < cl->pend_session)
		return true;
	if (session == cl->session) {
		if (t < cl->next && reply_kept(cl, session, t)) {
			c->cnt.requests_dup++;
			resend_reply(c, cl, t, replier);
			if (!relayed || !repeat_for(c, cl))
				return true;
		}
		if (t + PBFT_CLIENT_WINDOW < cl->next ||
		    (t >= cl->next + PBFT_CLIENT_WINDOW && !cl->unsure))
			return true;
	}
	if (session > cl->pend_session) {
		pending_drop_all(c, cl);
		list_del_init(&cl->prop_node);
		cl->pend_session = session;
	}
	if (cl->pend_count && t >= cl->pend_low + PBFT_CLIENT_WINDOW)
		pending_drop_executed(c, cl);
	return cl->pend_count &&
	       (t >= cl->pend_low + PBFT_CLIENT_WINDOW ||
		t + PBFT_CLIENT_WINDOW <= cl->pend_low);
}

void pbft_request_add(struct pbft_core *c, struct pbft_buf *buf,
		      const struct pbft_request *msg, u32 msg_len, bool relayed)
{
	u64 session = le64_to_cpu(msg->session), t = le64_to_cpu(msg->hdr.seq);
	struct pbft_client *cl = pbft_client_find(c, le32_to_cpu(msg->hdr.sender));
	struct pbft_pending *p;

	if (!cl)
		return;
	if (refused(c, cl, session, t, msg->replier, relayed)) {
		if (relayed && session == cl->session && t < cl->next &&
		    reply_kept(cl, session, t))
			pbft_guard_answered(c, msg);
		return;
	}
	p = &cl->pending[t % PBFT_CLIENT_WINDOW];
	if (p->buf) {
		/* the first one stays, whatever else the client says */
		c->cnt.requests_dup++;
		if (relayed)
			return;
		if (p->t == t && msg->replier == PBFT_REPLIER_ALL)
			relay_to_primary(c, p);
		pbft_guard_request(c, cl, p, true);
		return;
	}
	p->buf = pbft_buf_get(buf);
	c->client_memory += buf->cap;
	p->msg = msg;
	p->msg_len = msg_len;
	p->t = t;
	p->arrived = c->now;
	p->relayed = 0;
	p->endorsed = 0;
	pbft_request_digest(&p->digest, cl->id, session, t, msg->op,
			    le32_to_cpu(msg->op_len));
	cl->pend_low = cl->pend_count ? min(cl->pend_low, t) : t;
	cl->pend_count++;
	c->pending_total++;
	c->cnt.requests++;
	if (list_empty(&cl->wait_node))
		pbft_client_wait(c, cl);
	pbft_guard_request(c, cl, p, !relayed);
	pbft_client_proposable(c, cl);
	if (!relayed && msg->replier == PBFT_REPLIER_ALL)
		relay_to_primary(c, p);
	if (c->held_count)
		pbft_try_all_held(c);
	pbft_take_entries(c);
}

void pbft_on_request(struct pbft_core *c, const struct pbft_packet *pkt)
{
	pbft_request_add(c, pkt->buf, pkt->data, pkt->len, false);
}

void pbft_on_hello(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_hello *m = pkt->data;
	struct pbft_buf *buf;

	if (!pbft_client_find(c, pkt->head.sender))
		return;
	buf = pbft_msg(c, PBFT_HELLO_ACK, sizeof(struct pbft_hello_ack), c->view,
		       pkt->head.seq);
	if (buf)
		((struct pbft_hello_ack *)buf->data)->session = m->session;
	pbft_send_client(c, pkt->head.sender, buf);
}
