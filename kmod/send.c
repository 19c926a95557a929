// SPDX-License-Identifier: GPL-2.0
/*
 * Messages out: copied into an skb (the core's buffers are shared and never
 * written), our key generation set, authenticated, sent. One MAC for each
 * destination, or one authenticator for all. What does not fit into a datagram
 * goes in fragments, each with a MAC of its own.
 */
#include <linux/slab.h>
#include "io.h"
#include "trace.h"

/* Who it goes to, and under which generation of our keys. */
struct route {
	struct pbft_instance *inst;
	struct socket *sock;
	const struct pbft_nodes *nodes;
	u8 key_id;
};

static void set_key_id(void *msg, u8 key_id)
{
	((struct pbft_hdr *)msg)->key_id = key_id;
}

/* Append the one MAC for @peer at @msg + @len. */
static bool append_mac(const struct route *r, struct pbft_peer *peer, void *msg,
		       u32 len)
{
	struct pbft_key *key = pbft_key_find(peer->tx, r->key_id);

	if (key && !pbft_mac(key, msg, len, (u8 *)msg + len))
		return true;
	pbft_count(r->inst, PBFT_STAT_TX_NO_KEY);
	return false;
}

/* Append the authenticator: an entry for each replica, our own zero. */
static void append_vector(const struct route *r, void *msg, u32 len)
{
	u8 *entry = (u8 *)msg + len;
	struct pbft_peer *peer;
	struct pbft_key *key;
	u32 i;

	for (i = 0; i < r->nodes->n; i++, entry += PBFT_MAC_LEN) {
		memset(entry, 0, PBFT_MAC_LEN);
		peer = r->nodes->replica[i];
		if (!peer)
			continue;
		key = pbft_key_find(peer->tx, r->key_id);
		if (!key || pbft_mac(key, msg, len, entry))
			pbft_count(r->inst, PBFT_STAT_TX_NO_KEY);
	}
}

static u32 auth_len(const struct pbft_tx *tx, u32 n)
{
	switch (tx->auth) {
	case PBFT_AUTH_MAC:
		return PBFT_MAC_LEN;
	case PBFT_AUTH_VECTOR:
		return n * PBFT_MAC_LEN;
	}
	return 0;
}

/* ---- in one datagram ----------------------------------------------------------- */

static void send_small(const struct route *r, struct pbft_peer *peer,
		       const struct pbft_tx *tx, const void *vector, u32 auth)
{
	struct pbft_buf *buf = tx->buf;
	struct sk_buff *skb;
	void *msg;

	skb = pbft_skb_alloc(buf->len + auth);
	if (!skb) {
		pbft_count(r->inst, PBFT_STAT_TX_NOMEM);
		return;
	}
	msg = skb_put(skb, buf->len + auth);
	memcpy(msg, buf->data, buf->len);
	if (tx->auth != PBFT_AUTH_NONE)
		set_key_id(msg, r->key_id);
	if (vector) {
		memcpy((u8 *)msg + buf->len, vector, auth);
	} else if (tx->auth == PBFT_AUTH_MAC &&
		   !append_mac(r, peer, msg, buf->len)) {
		kfree_skb(skb);
		return;
	}
	pbft_xmit(r->inst, r->sock, peer, skb);
}

/* ---- in fragments ---------------------------------------------------------------- */

static void send_fragments(const struct route *r, struct pbft_peer *peer,
			   const void *msg, u32 len)
{
	struct pbft_instance *inst = r->inst;
	u32 mtu = inst->conf.mtu, count = pbft_frag_count(mtu, len), i, size;
	u64 id = pbft_frag_id(msg, len);
	struct sk_buff *skb;
	void *frag;

	for (i = 0; i < count; i++) {
		skb = pbft_skb_alloc(mtu);
		if (!skb) {
			pbft_count(inst, PBFT_STAT_TX_NOMEM);
			return;
		}
		frag = skb_tail_pointer(skb);
		size = pbft_frag_build(frag, mtu, &inst->wire,
				       inst->conf.self.self, msg, len, id, i);
		set_key_id(frag, r->key_id);
		skb_put(skb, size + PBFT_MAC_LEN);
		if (!append_mac(r, peer, frag, size)) {
			kfree_skb(skb);
			return;
		}
		pbft_xmit(inst, r->sock, peer, skb);
	}
}

/* The whole message as the receiver will put it together; once per MAC. */
static struct pbft_buf *whole_message(const struct route *r,
				      const struct pbft_tx *tx, u32 auth)
{
	struct pbft_buf *whole = pbft_buf_alloc(tx->buf->len + auth);

	if (!whole) {
		pbft_count(r->inst, PBFT_STAT_TX_NOMEM);
		return NULL;
	}
	memcpy(whole->data, tx->buf->data, tx->buf->len);
	whole->len = tx->buf->len + auth;
	if (tx->auth != PBFT_AUTH_NONE)
		set_key_id(whole->data, r->key_id);
	if (tx->auth == PBFT_AUTH_VECTOR)
		append_vector(r, whole->data, tx->buf->len);
	return whole;
}

/* ---- to whom it concerns ------------------------------------------------------- */

static void send_one(const struct route *r, struct pbft_peer *peer,
		     const struct pbft_tx *tx, struct pbft_buf *whole, u32 auth)
{
	const struct pbft_hdr *hdr = (const void *)tx->buf->data;
	u32 len = tx->buf->len;

	pbft_trace_message(r->inst, true, peer->id, hdr->type,
			   le64_to_cpu(hdr->view), le64_to_cpu(hdr->seq),
			   len + auth);
	if (!whole) {
		send_small(r, peer, tx, NULL, auth);
		return;
	}
	if (whole->len <= r->inst->conf.mtu) {	/* one authenticator for all */
		send_small(r, peer, tx, whole->data + len, auth);
		return;
	}
	if (tx->auth != PBFT_AUTH_MAC || append_mac(r, peer, whole->data, len))
		send_fragments(r, peer, whole->data, whole->len);
}

static void send_to_set(const struct route *r, const struct pbft_tx *tx,
			struct pbft_buf *whole, u32 auth)
{
	struct pbft_peer *peer;
	u32 i;

	for (i = 0; i < r->nodes->n; i++) {
		peer = r->nodes->replica[i];
		if (peer && tx->to & BIT_ULL(i))
			send_one(r, peer, tx, whole, auth);
	}
}

void pbft_transmit(struct pbft_instance *inst, struct socket *sock,
		   const struct pbft_nodes *nodes, const struct pbft_tx *tx)
{
	const struct route r = {
		.inst = inst,
		.sock = sock,
		.nodes = nodes,
		.key_id = READ_ONCE(inst->key_id),
	};
	u32 auth = auth_len(tx, nodes->n), len = tx->buf->len + auth;
	struct pbft_buf *whole = NULL;
	struct pbft_peer *peer;

	/* A whole copy first: to cut it up, or to make its authenticator once. */
	if (len > inst->conf.mtu || tx->auth == PBFT_AUTH_VECTOR) {
		whole = whole_message(&r, tx, auth);
		if (!whole)
			return;
	}
	if (tx->client) {
		peer = pbft_peer_find(nodes, tx->client);
		if (peer)
			send_one(&r, peer, tx, whole, auth);
		else
			pbft_count(inst, PBFT_STAT_TX_NO_ADDRESS);
	} else {
		send_to_set(&r, tx, whole, auth);
	}
	pbft_buf_put(whole);
}

/* ---- daemons' datagrams ---------------------------------------------------------- */

u32 pbft_peer_mtu(const struct pbft_instance *inst)
{
	return inst->conf.mtu - sizeof(struct pbft_peer_data) - PBFT_MAC_LEN;
}

int pbft_tx_peer_data(struct pbft_instance *inst, u32 id, const void *data,
		      u32 len)
{
	struct route r = { .inst = inst, .key_id = READ_ONCE(inst->key_id) };
	u32 size = sizeof(struct pbft_peer_data) + len;
	struct pbft_peer_data *msg;
	struct pbft_peer *peer;
	struct sk_buff *skb;
	int err = 0;

	local_bh_disable();
	rcu_read_lock();
	r.sock = rcu_dereference(inst->sock);
	r.nodes = rcu_dereference(inst->nodes);
	peer = id < r.nodes->n ? r.nodes->replica[id] : NULL;
	if (!peer || !r.sock) {
		err = peer ? -ENETDOWN : -EDESTADDRREQ;
		goto out;
	}
	skb = pbft_skb_alloc(size + PBFT_MAC_LEN);
	if (!skb) {
		err = -ENOMEM;
		goto out;
	}
	msg = skb_put(skb, size + PBFT_MAC_LEN);
	pbft_wire_header(&msg->hdr, &inst->wire, PBFT_PEER_DATA, size,
			 inst->conf.self.self, 0, 0);
	memcpy(msg->data, data, len);
	set_key_id(msg, r.key_id);
	if (append_mac(&r, peer, msg, size)) {
		pbft_xmit(inst, r.sock, peer, skb);
		pbft_count(inst, PBFT_STAT_PEER_SENT);
	} else {
		kfree_skb(skb);
	}
out:
	rcu_read_unlock();
	local_bh_enable();
	return err;
}
