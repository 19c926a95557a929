// SPDX-License-Identifier: GPL-2.0
/*
 * The client's public face: opening and closing a session, submitting, and the
 * loop that drives sending, receiving and time.
 */
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "libpbft/client_priv.h"

#define RCVBUF_BYTES	(1024 * 1024)

/* ---- opening -------------------------------------------------------- */

/* One socket for both families: IPv4 addresses in their IPv6 form. */
static void map_to_ipv6(struct peer *p)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memcpy(&in, &p->addr, sizeof(in));
	in6.sin6_port = in.sin_port;
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6.sin6_addr.s6_addr + 12, &in.sin_addr, 4);
	memcpy(&p->addr, &in6, sizeof(in6));
	p->addr_len = sizeof(in6);
}

static int open_socket(struct pbft_client *c)
{
	int family = AF_INET, size = RCVBUF_BYTES, off = 0;
	u32 i;

	for (i = 0; i < c->n; i++) {
		if (c->peers[i].addr.ss_family == AF_INET6)
			family = AF_INET6;
		else if (c->peers[i].addr.ss_family != AF_INET)
			return -EDESTADDRREQ;
	}
	c->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return -errno;
	/* the system may grant less: then more is lost and sent again */
	setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (family == AF_INET)
		return 0;
	if (setsockopt(c->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	for (i = 0; i < c->n; i++)
		if (c->peers[i].addr.ss_family == AF_INET)
			map_to_ipv6(&c->peers[i]);
	return 0;
}

static int open_peer(struct pbft_client *c, u32 i, const u8 private_key[32])
{
	const struct pbft_node *node = &c->cluster->replicas[i];
	struct pbft_pair_id pair = {
		c->wire.cluster, c->wire.epoch, c->id, i, c->mac
	};
	struct peer *p = &c->peers[i];
	int ret;

	p->addr = node->endpoint;
	p->addr_len = node->endpoint_len;
	memcpy(p->public_key, node->public_key, sizeof(p->public_key));
	ret = pbft_shared_secret(p->shared, private_key, p->public_key);
	if (ret)
		return ret;
	pbft_pair_key_shared(&pair, p->shared, c->public_key, p->public_key, 0,
			     true, &p->tx);
	pbft_pair_key_shared(&pair, p->shared, c->public_key, p->public_key, 0,
			     false, &p->rx[0].key);
	return 0;
}

static int open_buffers(struct pbft_client *c)
{
	u32 i;

	c->rx.size = ALIGN(c->cluster->mtu, 8);
	c->rx.data = malloc((size_t)RX_VLEN * c->rx.size);
	c->votes = calloc((size_t)PBFT_CLIENT_WINDOW * c->n, sizeof(*c->votes));
	if (!c->rx.data || !c->votes)
		return -ENOMEM;
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		c->slots[i].votes = c->votes + (size_t)i * c->n;
	for (i = 0; i < RX_VLEN; i++) {
		c->rx.iov[i].iov_base = c->rx.data + (size_t)i * c->rx.size;
		c->rx.iov[i].iov_len = c->rx.size;
		c->rx.msg[i].msg_hdr.msg_iov = &c->rx.iov[i];
		c->rx.msg[i].msg_hdr.msg_iovlen = 1;
	}
	return 0;
}

static int open_session(struct pbft_client *c, const u8 private_key[32])
{
	int ret = open_buffers(c);
	u32 i;

	if (ret)
		return ret;
	for (i = 0; i < c->n; i++) {
		ret = open_peer(c, i, private_key);
		if (ret)
			return ret;
	}
	ret = open_socket(c);
	if (ret)
		return ret;
	if (getrandom(&c->rng, sizeof(c->rng), 0) != sizeof(c->rng))
		return -EIO;
	c->session = clock_ns(CLOCK_REALTIME);
	c->oldest = 1;
	c->first_unsent = 1;
	c->next_t = 1;
	c->hello_first = 1;
	pbft_client_timer_init(c, clock_ns(CLOCK_MONOTONIC));
	pbft_client_hello(c, c->hello_wait);
	return 0;
}

int pbft_client_open(struct pbft_client **client,
		     const struct pbft_cluster *cluster, u32 id,
		     const u8 private_key[32])
{
	const struct pbft_node *self = pbft_cluster_client(cluster, id);
	enum pbft_mac_kind mac;
	struct pbft_client *c;
	int ret;

	if (!self)
		return -ENOENT;
	if (!pbft_mac_by_name(&mac, cluster->mac))
		return -EPROTONOSUPPORT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->cluster = cluster;
	c->id = id;
	c->mac = mac;
	c->n = cluster->n_replicas;
	c->f = cluster->cfg.f;
	c->q = pbft_quorum(c->n, c->f);
	c->wire.cluster = cluster->cfg.cluster;
	c->wire.epoch = cluster->cfg.epoch;
	c->wire.n = c->n;
	c->fd = -1;
	c->peers = calloc(c->n, sizeof(*c->peers));
	ret = c->peers ? pbft_pubkey(c->public_key, private_key) : -ENOMEM;
	if (!ret && memcmp(c->public_key, self->public_key, sizeof(c->public_key)))
		ret = -EKEYREJECTED;
	if (!ret)
		ret = open_session(c, private_key);
	if (ret) {
		pbft_client_close(c);
		return ret;
	}
	*client = c;
	return 0;
}

static void cancel_all(struct pbft_client *c)
{
	u64 t;

	c->stale = true;	/* no more submissions from the callbacks */
	for (t = c->oldest; t < c->next_t; t++) {
		struct slot *s = slot_of(c, t);

		if (s->t == t && s->state != SLOT_FREE)
			pbft_slot_finish(c, s, -ECANCELED, 0, NULL, 0);
	}
}

static void free_buffers(struct pbft_client *c)
{
	u32 i, j;

	for (i = 0; i < PBFT_CLIENT_WINDOW; i++) {
		free(c->slots[i].msg.data);
		for (j = 0; j < BODIES; j++)
			free(c->slots[i].body[j].bytes.data);
	}
	for (i = 0; c->peers && i < c->n; i++)
		pbft_reasm_free(&c->peers[i].reasm);
	free(c->rx.data);
	free(c->tx.frag);
	free(c->votes);
}

void pbft_client_close(struct pbft_client *c)
{
	if (!c)
		return;
	cancel_all(c);
	if (c->fd >= 0)
		close(c->fd);
	free_buffers(c);
	if (c->peers)
		explicit_bzero(c->peers, c->n * sizeof(*c->peers));
	free(c->peers);
	free(c);
}

const char *pbft_client_strerror(int err)
{
	switch (err) {
	case -ENOENT:
		return "this client is not in the cluster file";
	case -EKEYREJECTED:
		return "the private key is not this client's, or a replica's public key is no Curve25519 key";
	case -EPROTONOSUPPORT:
		return "the cluster's MAC is none of those that this library has: " PBFT_MAC_NAMES;
	case -EDESTADDRREQ:
		return "a replica in the cluster file has no endpoint";
	case -ETIMEDOUT:
		return "no answer from the cluster in time; the operation may still execute";
	case -ESTALE:
		return "the cluster knows a newer session of this client: it runs elsewhere, or this clock went back";
	case -ECANCELED:
		return "canceled; the operation may still execute";
	case -EMSGSIZE:
		return "the operation is larger than a request may be";
	default:
		return strerror(-err);
	}
}

/* ---- operations ----------------------------------------------------- */

int pbft_client_submit(struct pbft_client *c, const void *op, u32 len,
		       u64 timeout, pbft_done_fn done, void *arg)
{
	struct slot *s = slot_of(c, c->next_t);

	if (len > PBFT_OP_MAX)
		return -EMSGSIZE;
	if (c->stale)
		return -ESTALE;
	if (c->next_t >= c->oldest + PBFT_CLIENT_WINDOW)
		return -EAGAIN;
	/* from a callback: what is collected may point into this very slot */
	pbft_client_flush(c);
	if (!bytes_reserve(&s->msg, sizeof(struct pbft_request) + len +
				    c->n * PBFT_MAC_LEN))
		return -ENOMEM;
	s->t = c->next_t++;
	s->state = SLOT_QUEUED;
	s->owed = true;
	s->to_all = false;
	s->out_of_order = 0;
	s->expires = timeout ? clock_ns(CLOCK_MONOTONIC) + timeout : 0;
	s->done = done;
	s->arg = arg;
	s->body[0].used = false;
	s->body[1].used = false;
	memset(s->votes, 0, c->n * sizeof(*s->votes));
	pbft_client_build(c, s, op, len);
	c->owed++;
	c->stats.submitted++;
	return 0;
}

static void call_back(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len)
{
	if (!s->owed)
		return;
	s->owed = false;
	c->owed--;
	c->called++;
	c->calling = true;
	s->done(s->arg, err, status, result, len);
	c->calling = false;
}

/*
 * The operation is decided: its place in the window is free before the callback
 * runs, which may submit the next one. A timeout is no decision.
 */
void pbft_slot_finish(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len)
{
	if (err != -ETIMEDOUT) {
		if (s->state == SLOT_SENT)
			c->flight -= slot_bytes(c, s);
		s->state = SLOT_FREE;
		while (c->oldest < c->next_t &&
		       slot_of(c, c->oldest)->state == SLOT_FREE)
			c->oldest++;
		if (c->first_unsent < c->oldest)
			c->first_unsent = c->oldest;
	}
	if (!err)
		c->stats.completed++;
	call_back(c, s, err, status, result, len);
}

/* ---- the loop ------------------------------------------------------- */

int pbft_client_fd(const struct pbft_client *c)
{
	return c->fd;
}

u64 pbft_client_deadline(const struct pbft_client *c)
{
	u64 at = U64_MAX, t;

	if (c->oldest == c->next_t)
		return U64_MAX;
	if (c->held)
		return c->held_until;
	if (c->first_unsent < c->next_t &&
	    pbft_client_may_send(c, &c->slots[c->first_unsent % PBFT_CLIENT_WINDOW]))
		return 0;
	if (c->hello_at < at)
		at = c->hello_at;
	for (t = c->oldest; t < c->next_t; t++) {
		const struct slot *s = &c->slots[t % PBFT_CLIENT_WINDOW];

		if (s->state == SLOT_SENT && s->resend_at < at)
			at = s->resend_at;
		if (s->state != SLOT_FREE && s->owed && s->expires &&
		    s->expires < at)
			at = s->expires;
	}
	return at;
}

static void wait_until(struct pbft_client *c, u64 until, u64 now)
{
	struct pollfd pfd = { .fd = c->fd, .events = POLLIN };
	u64 ns = until > now ? until - now : 0;
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	ppoll(&pfd, 1, &ts, NULL);
}

int pbft_client_poll(struct pbft_client *c, u64 wait)
{
	u64 now = clock_ns(CLOCK_MONOTONIC), deadline;
	u64 end = wait < U64_MAX - now ? now + wait : U64_MAX;

	if (c->calling)
		return 0;
	c->called = 0;
	for (;;) {
		pbft_client_pump(c, now);
		pbft_client_flush(c);
		pbft_client_receive(c, now);
		pbft_client_expire(c, now);
		pbft_client_pump(c, now);
		pbft_client_flush(c);
		if (c->called || now >= end)
			return c->called;
		deadline = pbft_client_deadline(c);
		wait_until(c, min(end, deadline), now);
		now = clock_ns(CLOCK_MONOTONIC);
	}
}

u32 pbft_client_outstanding(const struct pbft_client *c)
{
	return c->owed;
}

void pbft_client_stats(const struct pbft_client *c, struct pbft_client_stats *st)
{
	*st = c->stats;
	st->view = c->view;
	st->rtt = c->srtt;
}

/* ---- one operation, waited for --------------------------------------- */

struct call {
	bool done;
	int err;
	u8 status;
	void *result;
	u32 len;
};

static void call_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	struct call *call = arg;

	call->done = true;
	call->err = err;
	call->status = status;
	if (err || !len)
		return;
	call->result = malloc(len);
	if (!call->result) {
		call->err = -ENOMEM;
		return;
	}
	memcpy(call->result, result, len);
	call->len = len;
}

int pbft_client_call(struct pbft_client *c, const void *op, u32 len,
		     u64 timeout, u8 *status, void **result, u32 *result_len)
{
	struct call call = { 0 };
	int ret;

	if (c->calling)
		return -EBUSY;
	ret = pbft_client_submit(c, op, len, timeout, call_done, &call);
	if (ret)
		return ret;
	while (!call.done)
		pbft_client_poll(c, U64_MAX);
	*status = call.status;
	*result = call.result;
	*result_len = call.len;
	return call.err;
}
