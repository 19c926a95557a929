// SPDX-License-Identifier: GPL-2.0
/*
 * What a client sends: REQUEST, whole or in fragments, and HELLO.
 *
 * Datagrams of all clients of a transport are collected and leave in one
 * sendmmsg(). A REQUEST carries the same authenticator to every replica, so it is
 * sent from its slot without a copy; a fragment is built once and followed by each
 * destination's own MAC.
 */
#include <stdlib.h>

#include "libpbft/client_priv.h"

/*
 * Send what was collected. What a full socket does not take in time is lost, as
 * on a network, and sent again by the timer.
 */
void pbft_transport_flush(struct pbft_transport *t)
{
	pbft_udp_tx_send(&t->tx);
	t->frags = 0;
	t->batch++;
}

void pbft_client_settle(struct pbft_client *c, const struct slot *s)
{
	if (s->batch == c->transport->batch)
		pbft_transport_flush(c->transport);
}

/* Queue one datagram; with @mac, append the peer's MAC over it. */
static void tx_add(struct pbft_client *c, u32 replica, const void *data, u32 len,
		   bool mac)
{
	struct pbft_transport *t = c->transport;
	struct iovec part[2] = { { (void *)data, len } };
	const struct address *to = &t->replicas[replica];

	if (mac) {
		part[1].iov_base = t->mac[t->tx.count];
		part[1].iov_len = PBFT_MAC_LEN;
		pbft_mac(&c->peers[replica].tx, data, len, part[1].iov_base);
	}
	pbft_udp_tx_add(&t->tx, &to->addr, to->len, part);
}

/* To every replica in @to; @data stays as it is until pbft_transport_flush(). */
static void tx_add_set(struct pbft_client *c, u64 to, const void *data, u32 len,
		       bool mac)
{
	if (pbft_udp_tx_left(&c->transport->tx) < hweight64(to))
		pbft_transport_flush(c->transport);
	for (; to; to &= to - 1)
		tx_add(c, __ffs64(to), data, len, mac);
}

/* ---- REQUEST -------------------------------------------------------- */

void pbft_client_build(struct pbft_client *c, struct slot *s, const void *op, u32 len)
{
	struct pbft_request *m = (void *)s->msg.data;

	s->msg.len = sizeof(*m) + len;
	pbft_wire_header(&m->hdr, &c->wire, PBFT_REQUEST, s->msg.len, c->id, 0,
			 s->t);
	m->session = cpu_to_le64(c->session);
	m->flags = 0;
	m->reserved = 0;
	m->op_len = cpu_to_le32(len);
	if (len)
		memcpy(m->op, op, len);
	s->sealed = false;
}

/*
 * Repliers take turns, so that large results load all replicas alike. One that
 * failed is passed over, but for one request now and then to see if it is back.
 */
static u8 choose_replier(struct pbft_client *c, const struct slot *s, u64 now)
{
	u32 first = (s->t + c->id) % c->n, i;

	if (s->to_all)
		return PBFT_REPLIER_ALL;
	for (i = 0; i < c->n; i++) {
		struct peer *p = &c->peers[(first + i) % c->n];

		if (p->avoid_until > now)
			continue;
		if (p->avoid_until)
			p->avoid_until = now + AVOID_NS;
		return (first + i) % c->n;
	}
	return first;
}

/* Name the replier and authenticate. */
static void seal(struct pbft_client *c, struct slot *s, u64 now)
{
	struct pbft_request *m = (void *)s->msg.data;
	u8 *mac = s->msg.data + s->msg.len;
	u32 i;

	s->replier = choose_replier(c, s, now);
	m->replier = s->replier;
	for (i = 0; i < c->n; i++)
		pbft_mac(&c->peers[i].tx, m, s->msg.len, mac + i * PBFT_MAC_LEN);
	s->sealed = true;
}

static u64 destinations(const struct pbft_client *c, const struct slot *s)
{
	u32 op_len = s->msg.len - sizeof(struct pbft_request);

	/* large operations travel apart from the batch: every replica needs them */
	if (s->to_all || op_len > c->cluster->cfg.inline_max)
		return all_replicas(c);
	return 1ull << c->view % c->n;
}

static void transmit_fragments(struct pbft_client *c, u64 to, const void *msg,
			       u32 len)
{
	u32 mtu = c->cluster->mtu, stride = ALIGN(mtu, 8), i, part;
	struct pbft_transport *t = c->transport;
	u32 count = pbft_frag_count(mtu, len);
	u64 id = pbft_frag_id(msg, len);
	void *frag;

	if (!t->frag)
		t->frag = malloc((size_t)TX_FRAGS * stride);
	if (!t->frag)
		return;
	for (i = 0; i < count; i++) {
		if (t->frags == TX_FRAGS ||
		    pbft_udp_tx_left(&t->tx) < hweight64(to))
			pbft_transport_flush(t);
		frag = t->frag + (size_t)t->frags++ * stride;
		part = pbft_frag_build(frag, mtu, &c->wire, c->id, msg, len, id, i);
		tx_add_set(c, to, frag, part, true);
	}
}

void pbft_client_transmit(struct pbft_client *c, struct slot *s, u64 now)
{
	u64 to = destinations(c, s);
	u32 len = slot_bytes(c, s);

	if (!s->sealed) {
		pbft_client_settle(c, s);
		seal(c, s, now);
	}
	if (len <= c->cluster->mtu) {
		tx_add_set(c, to, s->msg.data, len, false);
		s->batch = c->transport->batch;
	} else {
		transmit_fragments(c, to, s->msg.data, len);
	}
	s->last_sent = now;
	s->resend_at = now + pbft_client_timeout(c);
}

/* ---- HELLO ---------------------------------------------------------- */

/*
 * Replicas learn our address from this message alone. Its number rises, so that
 * nobody can move us back to an old address by replaying one.
 */
void pbft_client_hello(struct pbft_client *c, u64 to)
{
	struct pbft_transport *t = c->transport;
	struct pbft_hello *m = &t->hello;

	pbft_transport_flush(t);
	pbft_wire_header(&m->hdr, &c->wire, PBFT_HELLO, sizeof(*m), c->id, 0,
			 ++c->hello_seq);
	m->session = cpu_to_le64(c->session);
	tx_add_set(c, to, m, sizeof(*m), true);
	pbft_transport_flush(t);
}
