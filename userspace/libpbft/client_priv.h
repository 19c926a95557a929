/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The inside of a client and of its transport, shared by client*.c.
 *
 * Operation t of the session lives in slot t % PBFT_CLIENT_WINDOW from submit
 * until it is decided, together with its REQUEST and the replies to it. Buffers
 * stay with their slot and only grow: in steady state nothing is allocated.
 *
 *	oldest <= first_unsent <= next_t <= oldest + PBFT_CLIENT_WINDOW
 */
#ifndef PBFT_CLIENT_PRIV_H
#define PBFT_CLIENT_PRIV_H

#include <linux/list.h>
#include <sys/socket.h>
#include <time.h>

#include "core/frag.h"
#include "core/wire.h"
#include "libpbft/client.h"
#include "libpbft/crypto.h"
#include "libpbft/udp.h"

#define NSEC_PER_MSEC	1000000ull
#define NSEC_PER_SEC	1000000000ull

#define TX_FRAGS	16	/* different fragments in one batch of datagrams */
#define AVOID_NS	(5 * NSEC_PER_SEC)	/* a replier that failed us */
#define PBFT_TRANSPORT_ALONE	(1u << 31)	/* for one client, without offload */
#define BODIES		2	/* contradicting results kept for one operation */

struct bytes {
	u8 *data;
	u32 cap, len;
};

/* What one replica says about one operation. */
struct vote {
	bool given;
	bool tentative;
	u8 status;
	u64 view;
	u64 seq;
	struct pbft_digest digest;
};

/* A result in full, checked against its digest. */
struct body {
	bool used;
	u8 sender;
	struct pbft_digest digest;
	struct bytes bytes;
};

enum slot_state {
	SLOT_FREE,
	SLOT_QUEUED,	/* not sent yet */
	SLOT_SENT,
};

struct slot {
	u64 t;
	u8 state;		/* enum slot_state */
	bool owed;		/* the callback */
	bool to_all;		/* retransmitted: every replica gets it and answers in full */
	bool sealed;		/* authenticated as it stands */
	u64 batch;		/* of datagrams, that may hold this message */
	u8 replier;		/* asked for the result, or PBFT_REPLIER_ALL */
	struct bytes msg;	/* the REQUEST; len counts header and body */
	u64 first_sent, last_sent;
	u64 resend_at;
	u64 expires;		/* 0: never */
	u64 out_of_order;	/* highest batch known to have skipped it */
	pbft_done_fn done;
	void *arg;
	struct body body[BODIES];
	struct vote *votes;	/* by replica */
};

struct rx_key {
	u8 id;
	struct pbft_mac_key key;
};

struct peer {
	struct pbft_mac_key tx;
	struct rx_key rx[2];	/* by last use: [0] is the current generation */
	u8 shared[32];
	u8 public_key[32];
	u64 view;		/* last it said it is in */
	u64 avoid_until;	/* did not send a result it was asked for; 0: did */
	struct pbft_reasm reasm;
};

struct address {
	struct sockaddr_storage addr;
	socklen_t len;
};

/* Whose message a fragment of a replica belongs to, by the message's id. */
struct fragment_owner {
	u64 id;
	u32 client;		/* 0: none */
};

/* A socket, and the clients that share it. */
struct pbft_transport {
	const struct pbft_cluster *cluster;
	struct pbft_wire_id wire;
	int fd;
	bool shared;		/* made for several clients */
	bool closing;		/* ends with the last client */
	bool calling;		/* a callback runs */
	struct address *replicas;

	u32 count;		/* clients */
	struct list_head clients;
	struct list_head active;	/* those that something happened to */
	u64 look_at;		/* no client's deadline is earlier, of those not active */
	u64 last_session;
	u32 hash_mask;
	struct pbft_client **by_id, **by_session;
	struct fragment_owner *owners;	/* OWNERS for each replica; from the first on */
	int called;		/* callbacks made during pbft_transport_poll() */

	u64 batch;		/* number of the batch of datagrams */
	struct pbft_udp_tx tx;
	u8 (*mac)[PBFT_MAC_LEN];	/* for each datagram of the batch */
	struct pbft_hello hello;
	u8 *frag;		/* TX_FRAGS of mtu bytes; allocated when first needed */
	u32 frags;
	struct pbft_udp_rx rx;
	u64 strangers;		/* datagrams for none of the clients */
};

struct pbft_client {
	struct pbft_transport *transport;
	struct list_head entry;		/* in transport->clients */
	struct list_head active;	/* in transport->active, or alone */
	struct pbft_client *next_id, *next_session;	/* of the same hash */
	const struct pbft_cluster *cluster;
	struct pbft_wire_id wire;
	u32 id, n, f, q;
	enum pbft_mac_kind mac;
	u8 public_key[32];
	u64 session;
	bool stale;		/* the session has been replaced */

	u64 oldest;		/* lowest t not decided */
	u64 first_unsent;
	u64 next_t;
	u32 owed;		/* callbacks */
	int called;		/* callbacks made by this poll */
	struct slot slots[PBFT_CLIENT_WINDOW];
	struct peer *peers;
	struct vote *votes;

	u64 view;		/* believed */

	/* how fast the cluster is, and how much to have on the way */
	u64 srtt, rttvar;
	u32 backoff;		/* the timeout is doubled this often */
	u64 backoff_at;		/* no further step before */
	u64 resent_at;		/* last retransmission of any operation */
	u32 flight, window, threshold;	/* bytes of requests sent and not decided */
	u64 rng;

	u64 hello_seq;
	u64 hello_first;	/* lowest that an ACK may echo */
	u64 hello_wait;		/* replicas that have not answered */
	u64 hello_at;		/* next HELLO */
	u64 hello_interval;
	bool held;		/* requests wait until we know the view, or until ... */
	u64 held_until;

	struct pbft_client_stats stats;
};

static inline u64 clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static inline struct slot *slot_of(struct pbft_client *c, u64 t)
{
	return &c->slots[t % PBFT_CLIENT_WINDOW];
}

static inline bool bytes_reserve(struct bytes *b, u32 len)
{
	u32 cap = b->cap ?: 256;
	u8 *data;

	if (len <= b->cap)
		return true;
	while (cap < len)
		cap *= 2;
	data = realloc(b->data, cap);
	if (!data)
		return false;
	b->data = data;
	b->cap = cap;
	return true;
}

static inline u64 all_replicas(const struct pbft_client *c)
{
	return c->n == 64 ? U64_MAX : (1ull << c->n) - 1;
}

/* What this request puts on the wire to each replica. */
static inline u32 slot_bytes(const struct pbft_client *c, const struct slot *s)
{
	return s->msg.len + c->n * PBFT_MAC_LEN;
}

/* Something happened to it: it gets its part of this turn, or of the next. */
static inline void client_activate(struct pbft_client *c)
{
	if (list_empty(&c->active))
		list_add_tail(&c->active, &c->transport->active);
}

/* client.c */
void pbft_slot_finish(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len);

/* client_transport.c */
/* -EEXIST: it has a client of this id. Gives the client its session, too. */
int pbft_transport_attach(struct pbft_transport *t, struct pbft_client *c);
/* The transport may end by it. */
void pbft_transport_detach(struct pbft_client *c);
/* Turns, until one makes a callback that counts in *@called, or @wait ns are over. */
int pbft_transport_run(struct pbft_transport *t, u64 wait, int *called);
/* An authentic fragment says whose message it belongs to. */
void pbft_transport_owner(struct pbft_client *c, u32 sender, u64 frag_id);

/* client_send.c */
void pbft_client_build(struct pbft_client *c, struct slot *s, const void *op, u32 len);
void pbft_client_transmit(struct pbft_client *c, struct slot *s, u64 now);
void pbft_client_hello(struct pbft_client *c, u64 to);
void pbft_transport_flush(struct pbft_transport *t);
/* Before a message changes: an earlier copy of it may wait to be sent. */
void pbft_client_settle(struct pbft_client *c, const struct slot *s);

/* client_reply.c */
/* A well-formed message; true: authentic, as far as that was of interest. */
bool pbft_client_handle(struct pbft_client *c, const void *data,
			const struct pbft_head *head, u64 now);
bool pbft_client_lacks_body(const struct pbft_client *c, struct slot *s);

/* client_timer.c */
void pbft_client_timer_init(struct pbft_client *c, u64 now);
u64 pbft_client_timeout(struct pbft_client *c);
void pbft_client_pump(struct pbft_client *c, u64 now);
void pbft_client_expire(struct pbft_client *c, u64 now);
void pbft_client_decided(struct pbft_client *c, struct slot *s, u64 now);
void pbft_client_greeted(struct pbft_client *c, u32 replica, u64 now);
bool pbft_client_may_send(const struct pbft_client *c, const struct slot *s);

#endif /* PBFT_CLIENT_PRIV_H */
