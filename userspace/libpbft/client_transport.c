// SPDX-License-Identifier: GPL-2.0
/*
 * The socket of one client or of many, and their turns at it.
 *
 * A reply names its client and a HELLO-ACK its session: that says whose it is, and
 * nothing more, until that client has found it authentic. A fragment names nobody.
 * The first of a message shows the reply's own header, and when it proves authentic,
 * the others of this message are of the same client.
 *
 * Only clients that something happened to have a part in a turn. The others are
 * looked at when the earliest of their deadlines may have come.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "libpbft/client_priv.h"

#define RX_ROUNDS	16	/* then give timers and other sockets a turn */
#define WAIT_MS		10	/* for a full socket */

/* Of a socket's buffer, and of one batch of datagrams. */
#define ALONE_BYTES	(1024 * 1024)
#define ALONE_RX	16
#define ALONE_TX	64
#define SHARED_BYTES	(8 * 1024 * 1024)
#define SHARED_RX	64
#define SHARED_TX	256

#define OWNERS		256	/* messages in fragments, of one replica at a time */

/* ---- opening and closing --------------------------------------------- */

/* One socket for both families: IPv4 addresses in their IPv6 form. */
static void map_to_ipv6(struct address *a)
{
	struct sockaddr_in in;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };

	memcpy(&in, &a->addr, sizeof(in));
	in6.sin6_port = in.sin_port;
	in6.sin6_addr.s6_addr[10] = 0xff;
	in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(in6.sin6_addr.s6_addr + 12, &in.sin_addr, 4);
	memcpy(&a->addr, &in6, sizeof(in6));
	a->len = sizeof(in6);
}

/* The system may grant less: then more is lost and sent again. */
static void set_buffer(const struct pbft_transport *t, int force, int option)
{
	int size = t->shared ? SHARED_BYTES : ALONE_BYTES;

	if (!t->shared || setsockopt(t->fd, SOL_SOCKET, force, &size, sizeof(size)))
		setsockopt(t->fd, SOL_SOCKET, option, &size, sizeof(size));
}

static int open_socket(struct pbft_transport *t)
{
	int family = AF_INET, off = 0;
	u32 i;

	for (i = 0; i < t->wire.n; i++) {
		struct address *a = &t->replicas[i];

		a->addr = t->cluster->replicas[i].endpoint;
		a->len = t->cluster->replicas[i].endpoint_len;
		if (a->addr.ss_family == AF_INET6)
			family = AF_INET6;
		else if (a->addr.ss_family != AF_INET)
			return -EDESTADDRREQ;
	}
	t->fd = socket(family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (t->fd < 0)
		return -errno;
	set_buffer(t, SO_RCVBUFFORCE, SO_RCVBUF);
	set_buffer(t, SO_SNDBUFFORCE, SO_SNDBUF);
	if (family == AF_INET)
		return 0;
	if (setsockopt(t->fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)))
		return -errno;
	for (i = 0; i < t->wire.n; i++)
		if (t->replicas[i].addr.ss_family == AF_INET)
			map_to_ipv6(&t->replicas[i]);
	return 0;
}

static int open_buffers(struct pbft_transport *t, bool offload)
{
	u32 room = t->shared ? SHARED_TX : ALONE_TX;
	int ret = pbft_udp_tx_init(&t->tx, t->fd, room, WAIT_MS, offload);

	if (!ret)
		ret = pbft_udp_rx_init(&t->rx, t->fd,
				       t->shared ? SHARED_RX : ALONE_RX,
				       t->cluster->mtu, offload);
	t->mac = malloc(room * sizeof(*t->mac));
	return t->mac ? ret : -ENOMEM;
}

static int open_tables(struct pbft_transport *t)
{
	u32 size = 1;

	while (t->shared && size < t->cluster->n_clients)
		size *= 2;
	t->hash_mask = size - 1;
	t->by_id = calloc(size, sizeof(struct pbft_client *));
	t->by_session = calloc(size, sizeof(struct pbft_client *));
	t->replicas = calloc(t->wire.n, sizeof(*t->replicas));
	return t->by_id && t->by_session && t->replicas ? 0 : -ENOMEM;
}

static void free_transport(struct pbft_transport *t)
{
	if (t->fd >= 0)
		close(t->fd);
	pbft_udp_tx_free(&t->tx);
	pbft_udp_rx_free(&t->rx);
	free(t->by_id);
	free(t->by_session);
	free(t->replicas);
	free(t->owners);
	free(t->mac);
	free(t->frag);
	free(t);
}

int pbft_transport_open(struct pbft_transport **transport,
			const struct pbft_cluster *cluster, u32 flags)
{
	struct pbft_transport *t = calloc(1, sizeof(*t));
	int ret;

	if (!t)
		return -ENOMEM;
	INIT_LIST_HEAD(&t->clients);
	INIT_LIST_HEAD(&t->active);
	t->cluster = cluster;
	t->wire.cluster = cluster->cfg.cluster;
	t->wire.epoch = cluster->cfg.epoch;
	t->wire.n = cluster->n_replicas;
	t->shared = !(flags & PBFT_TRANSPORT_ALONE);
	t->look_at = U64_MAX;
	t->batch = 1;
	t->fd = -1;
	ret = open_tables(t);
	if (!ret)
		ret = open_socket(t);
	if (!ret)
		ret = open_buffers(t, t->shared && !(flags & PBFT_TRANSPORT_PLAIN));
	if (ret) {
		free_transport(t);
		return ret;
	}
	*transport = t;
	return 0;
}

void pbft_transport_close(struct pbft_transport *t)
{
	if (!t)
		return;
	t->closing = true;
	if (!t->count)
		free_transport(t);
}

/* ---- clients ---------------------------------------------------------- */

static u32 hash(const struct pbft_transport *t, u64 key)
{
	return key * 0x9e3779b97f4a7c15ull >> 32 & t->hash_mask;
}

static struct pbft_client *client_by_id(const struct pbft_transport *t, u32 id)
{
	struct pbft_client *c = t->by_id[hash(t, id)];

	while (c && c->id != id)
		c = c->next_id;
	return c;
}

static struct pbft_client *client_by_session(const struct pbft_transport *t,
					     u64 session)
{
	struct pbft_client *c = t->by_session[hash(t, session)];

	while (c && c->session != session)
		c = c->next_session;
	return c;
}

int pbft_transport_attach(struct pbft_transport *t, struct pbft_client *c)
{
	struct pbft_client **at;

	if (client_by_id(t, c->id))
		return -EEXIST;
	/* no two clients have the same: it tells whose a HELLO-ACK is */
	t->last_session = max(clock_ns(CLOCK_REALTIME), t->last_session + 1);
	c->session = t->last_session;
	at = &t->by_id[hash(t, c->id)];
	c->next_id = *at;
	*at = c;
	at = &t->by_session[hash(t, c->session)];
	c->next_session = *at;
	*at = c;
	list_add_tail(&c->entry, &t->clients);
	t->count++;
	c->transport = t;
	return 0;
}

void pbft_transport_detach(struct pbft_client *c)
{
	struct pbft_transport *t = c->transport;
	struct pbft_client **at;

	/* what is queued lies in the client's memory */
	pbft_transport_flush(t);
	for (at = &t->by_id[hash(t, c->id)]; *at != c; at = &(*at)->next_id)
		;
	*at = c->next_id;
	for (at = &t->by_session[hash(t, c->session)]; *at != c;
	     at = &(*at)->next_session)
		;
	*at = c->next_session;
	list_del(&c->entry);
	list_del_init(&c->active);
	if (!--t->count && t->closing)
		free_transport(t);
}

/* ---- whose is it? ----------------------------------------------------- */

static struct fragment_owner *owner_of(struct pbft_transport *t, u32 sender, u64 id)
{
	return &t->owners[sender * OWNERS + id % OWNERS];
}

/* A replica can push out only what it sent itself. */
void pbft_transport_owner(struct pbft_client *c, u32 sender, u64 frag_id)
{
	struct pbft_transport *t = c->transport;

	if (!t->shared)
		return;
	if (!t->owners)
		t->owners = calloc((size_t)t->wire.n * OWNERS, sizeof(*t->owners));
	if (t->owners)
		*owner_of(t, sender, frag_id) =
			(struct fragment_owner){ frag_id, c->id };
}

static struct pbft_client *fragment_client(struct pbft_transport *t,
					   const struct pbft_fragment *m,
					   const struct pbft_head *head)
{
	const struct pbft_reply *reply = (const void *)m->data;
	const struct fragment_owner *owner;

	if (head->sender >= t->wire.n)
		return NULL;
	if (!m->offset && head->len >= sizeof(*m) + sizeof(*reply))
		return client_by_id(t, le32_to_cpu(reply->client));
	if (!t->owners)
		return NULL;
	owner = owner_of(t, head->sender, le64_to_cpu(m->id));
	return owner->id == le64_to_cpu(m->id) ? client_by_id(t, owner->client) : NULL;
}

static struct pbft_client *addressee(struct pbft_transport *t, const void *data,
				     const struct pbft_head *head)
{
	switch (head->type) {
	case PBFT_REPLY:
		return client_by_id(t, le32_to_cpu(((const struct pbft_reply *)data)->client));
	case PBFT_HELLO_ACK:
		return client_by_session(t, le64_to_cpu(((const struct pbft_hello_ack *)data)->session));
	case PBFT_FRAGMENT:
		return fragment_client(t, data, head);
	default:
		return NULL;
	}
}

struct arrival {
	struct pbft_transport *t;
	u64 now;
};

static void arrived(void *arg, const void *data, u32 len,
		    const union pbft_udp_addr *from, socklen_t from_len)
{
	struct arrival *a = arg;
	struct pbft_transport *t = a->t;
	struct pbft_client *c = NULL;
	struct pbft_head head;
	bool good;

	good = data && pbft_wire_check(&t->wire, data, len, &head) == PBFT_OK;
	/* the only one decides on its own what is for it */
	if (t->count == 1)
		c = list_first_entry(&t->clients, struct pbft_client, entry);
	else if (good)
		c = addressee(t, data, &head);
	if (!c)
		t->strangers++;
	else if (!good || !pbft_client_handle(c, data, &head, a->now))
		c->stats.replies_bad++;
}

/* ---- turns ------------------------------------------------------------ */

static void receive(struct pbft_transport *t, u64 now)
{
	struct arrival a = { t, now };
	bool more = true;
	u32 round;

	for (round = 0; round < RX_ROUNDS && more; round++)
		pbft_udp_rx(&t->rx, arrived, &a, &more);
}

static void pump(struct pbft_transport *t, u64 now)
{
	struct pbft_client *c;

	list_for_each_entry(c, &t->active, active)
		pbft_client_pump(c, now);
	pbft_transport_flush(t);
}

static void rest(struct pbft_transport *t)
{
	struct pbft_client *c, *next;

	list_for_each_entry_safe(c, next, &t->active, active) {
		t->look_at = min(t->look_at, pbft_client_deadline(c));
		list_del_init(&c->active);
	}
}

/* Send, receive, retransmit, call back, and send what came of it. */
static void turn(struct pbft_transport *t, u64 now)
{
	struct pbft_client *c;

	if (now >= t->look_at) {
		t->look_at = U64_MAX;
		list_for_each_entry(c, &t->clients, entry)
			client_activate(c);
	}
	pump(t, now);
	receive(t, now);
	list_for_each_entry(c, &t->active, active)
		pbft_client_expire(c, now);
	pump(t, now);
	rest(t);
}

static void wait_for(const struct pbft_transport *t, u64 until, u64 now)
{
	struct pollfd pfd = { .fd = t->fd, .events = POLLIN };
	u64 ns = min(until, pbft_transport_deadline(t));
	struct timespec ts;

	ns = ns > now ? ns - now : 0;
	ts.tv_sec = ns / NSEC_PER_SEC;
	ts.tv_nsec = ns % NSEC_PER_SEC;
	ppoll(&pfd, 1, &ts, NULL);
}

int pbft_transport_fd(const struct pbft_transport *t)
{
	return t->fd;
}

u64 pbft_transport_deadline(const struct pbft_transport *t)
{
	return list_empty(&t->active) ? t->look_at : 0;
}

int pbft_transport_run(struct pbft_transport *t, u64 wait, int *called)
{
	u64 now = clock_ns(CLOCK_MONOTONIC);
	u64 end = wait < U64_MAX - now ? now + wait : U64_MAX;

	if (t->calling)
		return 0;
	*called = 0;
	for (;;) {
		turn(t, now);
		if (*called || now >= end)
			return *called;
		wait_for(t, end, now);
		now = clock_ns(CLOCK_MONOTONIC);
	}
}

int pbft_transport_poll(struct pbft_transport *t, u64 wait)
{
	return pbft_transport_run(t, wait, &t->called);
}

void pbft_transport_stats(const struct pbft_transport *t,
			  struct pbft_transport_stats *st)
{
	*st = (struct pbft_transport_stats){
		.gso = t->tx.gso,
		.gro = t->rx.gro,
		.tx_calls = t->tx.stats.calls,
		.tx_packets = t->tx.stats.packets,
		.tx_datagrams = t->tx.stats.datagrams,
		.rx_calls = t->rx.stats.calls,
		.rx_packets = t->rx.stats.packets,
		.rx_datagrams = t->rx.stats.datagrams,
		.strangers = t->strangers,
	};
}
