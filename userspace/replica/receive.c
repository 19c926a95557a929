// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: format, sender, MAC, and only then the message's own business.
 *
 * Datagrams lie in buffers for whatever may come, many in one. What the core keeps
 * of a message is therefore a copy of the right size.
 */
#include <errno.h>
#include "replica_priv.h"

/* A message, and where it came from. */
struct arrival {
	struct rep_peer *from;
	const u8 *data;
	u32 len;
	struct pbft_buf *buf;	/* that it fills; NULL: it has none of its own */
	struct pbft_head head;
	const union pbft_udp_addr *addr;
	socklen_t addr_len;
};

/* ---- authenticity -------------------------------------------------------- */

/* Our MAC of a message: the only one, or the authenticator's entry for us. */
static const u8 *our_mac(const struct pbft_replica *r, const u8 *data,
			 const struct pbft_head *head)
{
	data += head->len;
	if (pbft_wire_auth(head->type) == PBFT_AUTH_VECTOR)
		data += r->self * PBFT_MAC_LEN;
	return data;
}

/* @m knows data and length; then who sent it and what it is. */
static enum pbft_drop check(struct pbft_replica *r, struct arrival *m)
{
	enum pbft_drop drop = pbft_wire_check(&r->wire, m->data, m->len, &m->head);

	if (drop != PBFT_OK)
		return drop;
	m->from = rep_peer(r, m->head.sender);
	if (!m->from)
		return PBFT_DROP_SENDER;
	return rep_authentic(r, m->from, m->head.key_id, m->data, m->head.len,
			     our_mac(r, m->data, &m->head));
}

static void check_inner(struct pbft_replica *r, const void *data, u32 len,
			struct pbft_verdict *verdict)
{
	struct rep_peer *from;
	struct pbft_inner it;
	bool more;

	memset(verdict, 0, sizeof(*verdict));
	for (more = pbft_inner_first(data, len, r->wire.n, &it);
	     more && it.index < PBFT_BATCH_MAX;
	     more = pbft_inner_next(data, len, r->wire.n, &it)) {
		if (!it.data)
			continue;
		from = rep_peer(r, it.head.sender);
		if (from && rep_authentic(r, from, it.head.key_id, it.data,
					  it.head.len,
					  our_mac(r, it.data, &it.head)) == PBFT_OK)
			__set_bit(it.index, verdict->inner_ok);
		else
			r->stats.inner_bad++;
	}
}

/* ---- by type --------------------------------------------------------------- */

static bool carries_others(u8 type)
{
	return type == PBFT_PRE_PREPARE || type == PBFT_BATCH ||
	       type == PBFT_RELAY;
}

static struct pbft_buf *copy_of(const struct arrival *m)
{
	struct pbft_buf *buf = pbft_buf_alloc(m->len);

	if (!buf)
		return NULL;
	memcpy(buf->data, m->data, m->len);
	buf->len = m->len;
	return buf;
}

static void step_packet(struct pbft_replica *r, const struct pbft_packet *pkt)
{
	bool others = carries_others(pkt->head.type);
	struct pbft_verdict verdict;

	if (others)
		check_inner(r, pkt->data, pkt->len, &verdict);
	if (!rep_disk_ready(r))
		rep_disk_commit(r);
	pbft_step(r->core, r->now, pkt, others ? &verdict : NULL);
	rep_drain(r);
}

static enum pbft_drop step(struct pbft_replica *r, const struct arrival *m)
{
	struct pbft_packet pkt = {
		.data = m->data, .len = m->len, .head = m->head, .buf = m->buf,
	};
	struct pbft_buf *copy = NULL;

	if (!m->buf && pbft_wire_retained(m->head.type)) {
		copy = copy_of(m);
		if (!copy)
			return PBFT_DROP_NOMEM;
		pkt.data = copy->data;
		pkt.buf = copy;
	}
	step_packet(r, &pkt);
	pbft_buf_put(copy);
	return PBFT_OK;
}

/* Where a client's replies go is what its newest HELLO says, nothing else. */
static void hello(struct pbft_replica *r, const struct arrival *m)
{
	const struct pbft_hello *msg = (const void *)m->data;
	u64 session = le64_to_cpu(msg->session), seq = m->head.seq;
	struct rep_peer *from = m->from;
	struct pbft_hello_ack *ack;
	struct pbft_buf *buf;

	if (session < from->session ||
	    (session == from->session && seq <= from->hello)) {
		r->stats.hellos_old++;
		return;
	}
	/* what is queued for it, or shares a packet with that, goes where it was */
	if (from->addr_len && memcmp(&from->addr, m->addr, m->addr_len))
		rep_flush(r);
	from->session = session;
	from->hello = seq;
	from->addr = *m->addr;
	from->addr_len = m->addr_len;
	r->stats.hellos++;

	buf = pbft_buf_alloc(sizeof(*ack));
	if (!buf)
		return;
	ack = (void *)buf->data;
	pbft_wire_header(&ack->hdr, &r->wire, PBFT_HELLO_ACK, sizeof(*ack),
			 r->self, r->view, seq);
	ack->session = msg->session;
	buf->len = sizeof(*ack);
	rep_send_to(r, from, buf);
	pbft_buf_put(buf);
}

static enum pbft_drop dispatch(struct pbft_replica *r, const struct arrival *m);

static enum pbft_drop fragment(struct pbft_replica *r, const struct arrival *m)
{
	struct rep_peer *from = m->from;
	bool client = from->id >= PBFT_CLIENT_ID_MIN;
	u32 largest = client ? sizeof(struct pbft_request) + PBFT_OP_MAX :
			       PBFT_MSG_MAX;
	struct arrival whole = { .addr = m->addr, .addr_len = m->addr_len };
	enum pbft_drop drop;

	if (!from->reasm) {
		from->reasm = calloc(1, sizeof(*from->reasm));
		if (!from->reasm)
			return PBFT_DROP_NOMEM;
	}
	whole.buf = pbft_reasm_add(from->reasm, (const void *)m->data,
				   largest + r->wire.n * PBFT_MAC_LEN, &drop);
	if (!whole.buf)
		return drop;
	whole.data = whole.buf->data;
	whole.len = whole.buf->len;
	drop = check(r, &whole);
	/* Only what it may send in one piece may it send in several. */
	if (drop == PBFT_OK && (whole.from != from || whole.head.type == PBFT_FRAGMENT))
		drop = PBFT_DROP_MALFORMED;
	if (drop == PBFT_OK)
		drop = dispatch(r, &whole);
	pbft_buf_put(whole.buf);
	return drop;
}

static enum pbft_drop dispatch(struct pbft_replica *r, const struct arrival *m)
{
	switch (m->head.type) {
	case PBFT_FRAGMENT:
		return fragment(r, m);
	case PBFT_HELLO:
		hello(r, m);
		return PBFT_OK;
	case PBFT_PEER_DATA:
		if (r->ops->peer_recv)
			r->ops->peer_recv(r->arg, m->from->id,
					  m->data + sizeof(struct pbft_peer_data),
					  m->head.len - sizeof(struct pbft_peer_data));
		return PBFT_OK;
	case PBFT_REPLY:
	case PBFT_HELLO_ACK:
		return PBFT_DROP_TYPE;	/* for clients */
	default:
		return step(r, m);
	}
}

/* ---- datagrams --------------------------------------------------------------- */

static void arrived(void *arg, const void *data, u32 len,
		    const union pbft_udp_addr *addr, socklen_t addr_len)
{
	struct arrival m = {
		.data = data, .len = len, .addr = addr, .addr_len = addr_len,
	};
	enum pbft_drop drop = PBFT_DROP_LENGTH;
	struct pbft_replica *r = arg;

	if (data)
		drop = check(r, &m);
	if (drop == PBFT_OK)
		drop = dispatch(r, &m);
	r->stats.drops[drop]++;
}

int rep_receive(struct pbft_replica *r, bool *more)
{
	return pbft_udp_rx(&r->rx, arrived, r, more);
}
