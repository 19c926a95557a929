// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: datagrams are put together from a message and its authentication,
 * which lie where they are, and go out in batches; see libpbft/udp.h.
 *
 * A message above the MTU is copied once, to be cut into fragments that have
 * each a MAC of their own. Datagrams that the socket does not take are lost, as
 * on a network: every message of the protocol is repeated until it is answered.
 */
#include <errno.h>
#include "replica_priv.h"

int rep_tx_init(struct pbft_replica *r)
{
	struct rep_tx *tx = &r->tx;

	tx->arena = aligned_alloc(64, TX_ARENA);
	tx->whole = malloc(PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN);
	if (!tx->arena || !tx->whole)
		return -ENOMEM;
	return pbft_udp_tx_init(&tx->udp, r->fd, TX_BATCH, 0, r->offload);
}

static void release(struct rep_tx *tx, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++)
		pbft_buf_put(tx->held[i]);
	tx->arena_used = 0;
}

void rep_tx_free(struct pbft_replica *r)
{
	release(&r->tx, r->tx.udp.count);
	pbft_udp_tx_free(&r->tx.udp);
	free(r->tx.arena);
	free(r->tx.whole);
}

void rep_flush(struct pbft_replica *r)
{
	u32 count = r->tx.udp.count;

	if (!count)
		return;
	pbft_udp_tx_send(&r->tx.udp);
	release(&r->tx, count);
}

/* Room for one more datagram and @bytes of its own. */
static void *reserve(struct pbft_replica *r, u32 bytes)
{
	struct rep_tx *tx = &r->tx;
	void *p;

	bytes = ALIGN(bytes, 8);
	if (!pbft_udp_tx_left(&tx->udp) || tx->arena_used + bytes > TX_ARENA)
		rep_flush(r);
	p = tx->arena + tx->arena_used;
	tx->arena_used += bytes;
	return p;
}

/* What was reserved last becomes, behind @head, a datagram to @p. */
static void queue(struct pbft_replica *r, struct rep_peer *p, const void *head,
		  u32 head_len, const void *tail, u32 tail_len,
		  struct pbft_buf *held)
{
	const struct iovec part[2] = {
		{ (void *)head, head_len }, { (void *)tail, tail_len },
	};
	struct rep_tx *tx = &r->tx;

	tx->held[tx->udp.count] = held;
	pbft_udp_tx_add(&tx->udp, &p->addr, p->addr_len, part);
}

/* ---- above the MTU --------------------------------------------------------- */

static void fragments_to(struct pbft_replica *r, struct rep_peer *p, u32 len,
			 u64 frag_id)
{
	const struct pbft_mac_key *key = rep_tx_key(r, p);
	u32 count = pbft_frag_count(r->mtu, len), i, n;
	u8 *frag;

	if (!key)
		return;
	for (i = 0; i < count; i++) {
		frag = reserve(r, r->mtu);
		n = pbft_frag_build(frag, r->mtu, &r->wire, r->self, r->tx.whole,
				    len, frag_id, i);
		((struct pbft_hdr *)frag)->key_id = r->key_id;
		pbft_mac(key, frag, n, frag + n);
		queue(r, p, frag, n + PBFT_MAC_LEN, NULL, 0, NULL);
	}
}

/* ---- by authentication ---------------------------------------------------- */

static void set_key_id(struct pbft_replica *r, struct pbft_buf *msg)
{
	struct pbft_hdr *h = (void *)msg->data;

	/* Ours alone until now, and the core does not look at this byte. */
	if (unlikely(h->key_id != r->key_id))
		h->key_id = r->key_id;
}

void rep_send_to(struct pbft_replica *r, struct rep_peer *p, struct pbft_buf *msg)
{
	const struct pbft_mac_key *key = rep_tx_key(r, p);
	u32 total = msg->len + PBFT_MAC_LEN;
	u8 *mac;

	if (!key || total > PBFT_MSG_MAX + PBFT_MAC_LEN) {
		r->stats.tx_errors++;
		return;
	}
	set_key_id(r, msg);
	if (likely(total <= r->mtu)) {
		mac = reserve(r, PBFT_MAC_LEN);
		pbft_mac(key, msg->data, msg->len, mac);
		queue(r, p, msg->data, msg->len, mac, PBFT_MAC_LEN,
		      pbft_buf_get(msg));
		return;
	}
	memcpy(r->tx.whole, msg->data, msg->len);
	pbft_mac(key, msg->data, msg->len, r->tx.whole + msg->len);
	fragments_to(r, p, total, pbft_frag_id(r->tx.whole, total));
}

/* The authenticator: one entry for each replica, ours stays zero. */
static void build_vector(struct pbft_replica *r, const struct pbft_buf *msg, u8 *out)
{
	const struct pbft_mac_key *key;
	u32 i;

	memset(out, 0, r->wire.n * PBFT_MAC_LEN);
	for (i = 0; i < r->wire.n; i++) {
		key = i == r->self ? NULL : rep_tx_key(r, &r->replicas[i]);
		if (key)
			pbft_mac(key, msg->data, msg->len, out + i * PBFT_MAC_LEN);
	}
}

/* A message complete with @auth, the same to all of @to. */
static void send_same(struct pbft_replica *r, u64 to, struct pbft_buf *msg,
		      const u8 *auth, u32 auth_len)
{
	u32 total = msg->len + auth_len, i;
	u64 frag_id = 0;
	bool large = total > r->mtu;

	if (total > PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN) {
		r->stats.tx_errors++;
		return;
	}
	if (large) {
		memcpy(r->tx.whole, msg->data, msg->len);
		if (auth_len)
			memcpy(r->tx.whole + msg->len, auth, auth_len);
		frag_id = pbft_frag_id(r->tx.whole, total);
	}
	for (i = 0; i < r->wire.n; i++) {
		u8 *own;

		if (!(to & BIT_ULL(i)) || i == r->self)
			continue;
		if (large) {
			fragments_to(r, &r->replicas[i], total, frag_id);
			continue;
		}
		/* A flush in between gives up the arena: each has its copy. */
		own = reserve(r, auth_len);
		if (auth_len)
			memcpy(own, auth, auth_len);
		queue(r, &r->replicas[i], msg->data, msg->len, own, auth_len,
		      pbft_buf_get(msg));
	}
}

static void send_replicas(struct pbft_replica *r, u64 to, u8 auth,
			  struct pbft_buf *msg)
{
	u8 vector[PBFT_N_MAX * PBFT_MAC_LEN];
	u32 i;

	switch (auth) {
	case PBFT_AUTH_MAC:
		for (i = 0; i < r->wire.n; i++)
			if (to & BIT_ULL(i) && i != r->self)
				rep_send_to(r, &r->replicas[i], msg);
		break;
	case PBFT_AUTH_VECTOR:
		set_key_id(r, msg);
		build_vector(r, msg, vector);
		send_same(r, to, msg, vector, r->wire.n * PBFT_MAC_LEN);
		break;
	default:
		send_same(r, to, msg, NULL, 0);
		break;
	}
}

/* For tests: each destination may get something else. */
static void send_filtered(struct pbft_replica *r, const struct pbft_out *out)
{
	struct rep_peer *client = out->client ? rep_peer(r, out->client) : NULL;
	struct pbft_buf *msg;
	u32 i;

	for (i = 0; i < (client ? 1 : r->wire.n); i++) {
		if (!client && (!(out->to & BIT_ULL(i)) || i == r->self))
			continue;
		msg = r->ops->filter(r->arg, client ? client->id : i, out->buf);
		if (!msg)
			continue;
		if (client)
			rep_send_to(r, client, msg);
		else
			send_replicas(r, BIT_ULL(i), out->auth, msg);
		if (msg != out->buf)
			pbft_buf_put(msg);
	}
}

void rep_send(struct pbft_replica *r, const struct pbft_out *out)
{
	struct rep_peer *client = NULL;

	if (out->client) {
		client = rep_peer(r, out->client);
		if (!client || !client->addr_len) {
			r->stats.tx_no_address++;
			return;
		}
	}
	if (unlikely(r->ops->filter))
		send_filtered(r, out);
	else if (client)
		rep_send_to(r, client, out->buf);
	else
		send_replicas(r, out->to, out->auth, out->buf);
}
