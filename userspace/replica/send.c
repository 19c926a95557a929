// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: datagrams are put together from a message and its authentication,
 * which lie where they are, and go out in batches by one sendmmsg().
 *
 * A message above the MTU is copied once, to be cut into fragments that have
 * each a MAC of their own. Datagrams that the socket does not take are lost, as
 * on a network: every message of the protocol is repeated until it is answered.
 */
#include <errno.h>
#include <netinet/in.h>
#include "replica_priv.h"

int rep_tx_init(struct pbft_replica *r)
{
	struct rep_tx *tx = &r->tx;
	u32 i;

	tx->arena = aligned_alloc(64, TX_ARENA);
	tx->whole = malloc(PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN);
	if (!tx->arena || !tx->whole)
		return -ENOMEM;
	for (i = 0; i < TX_BATCH; i++)
		tx->msgs[i].msg_hdr.msg_iov = tx->iov[i];
	return 0;
}

void rep_tx_free(struct pbft_replica *r)
{
	u32 i;

	for (i = 0; i < r->tx.count; i++)
		pbft_buf_put(r->tx.held[i]);
	free(r->tx.arena);
	free(r->tx.whole);
}

void rep_flush(struct pbft_replica *r)
{
	struct rep_tx *tx = &r->tx;
	u32 done = 0, i;
	int n;

	while (done < tx->count) {
		n = sendmmsg(r->fd, tx->msgs + done, tx->count - done,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		r->stats.tx_calls++;
		if (n > 0) {
			for (i = done; i < done + n; i++)
				r->stats.tx_bytes += tx->msgs[i].msg_len;
			r->stats.tx_packets += n;
			done += n;
		} else if (errno != EINTR) {
			/* What fails is the first: the others get their chance. */
			r->stats.tx_errors++;
			done++;
		}
	}
	for (i = 0; i < tx->count; i++)
		pbft_buf_put(tx->held[i]);
	tx->count = 0;
	tx->arena_used = 0;
}

/* Room for one more datagram and @bytes of its own. */
static void *reserve(struct pbft_replica *r, u32 bytes)
{
	struct rep_tx *tx = &r->tx;
	void *p;

	bytes = ALIGN(bytes, 8);
	if (tx->count == TX_BATCH || tx->arena_used + bytes > TX_ARENA)
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
	struct rep_tx *tx = &r->tx;
	struct msghdr *h = &tx->msgs[tx->count].msg_hdr;
	struct iovec *iov = tx->iov[tx->count];

	iov[0].iov_base = (void *)head;
	iov[0].iov_len = head_len;
	iov[1].iov_base = (void *)tail;
	iov[1].iov_len = tail_len;
	h->msg_iovlen = tail_len ? 2 : 1;
	h->msg_name = &p->addr;
	h->msg_namelen = p->addr_len;
	tx->held[tx->count++] = held;
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
