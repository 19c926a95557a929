/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The inside of a client, shared by client*.c.
 *
 * Operation t of the session lives in slot t % PBFT_CLIENT_WINDOW from submit
 * until it is decided, together with its REQUEST and the replies to it. Buffers
 * stay with their slot and only grow: in steady state nothing is allocated.
 *
 *	oldest <= first_unsent <= next_t <= oldest + PBFT_CLIENT_WINDOW
 */
#ifndef PBFT_CLIENT_PRIV_H
#define PBFT_CLIENT_PRIV_H

#include <sys/socket.h>
#include <time.h>

#include "core/frag.h"
#include "core/wire.h"
#include "libpbft/client.h"
#include "libpbft/crypto.h"

#define NSEC_PER_MSEC	1000000ull
#define NSEC_PER_SEC	1000000000ull

#define RX_VLEN		16	/* datagrams per recvmmsg() */
#define TX_VLEN		64	/* datagrams per sendmmsg() */
#define TX_FRAGS	16	/* different fragments among them */
#define AVOID_NS	(5 * NSEC_PER_SEC)	/* a replier that failed us */
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
	struct sockaddr_storage addr;
	socklen_t addr_len;
	struct pbft_mac_key tx;
	struct rx_key rx[2];	/* by last use: [0] is the current generation */
	u8 shared[32];
	u8 public_key[32];
	u64 view;		/* last it said it is in */
	u64 avoid_until;	/* did not send a result it was asked for; 0: did */
	struct pbft_reasm reasm;
};

struct tx_batch {
	unsigned int count, frags;
	struct mmsghdr msg[TX_VLEN];
	struct iovec iov[TX_VLEN][2];
	u8 mac[TX_VLEN][PBFT_MAC_LEN];
	struct pbft_hello hello;
	u8 *frag;		/* TX_FRAGS of mtu bytes; allocated when first needed */
};

struct rx_batch {
	struct mmsghdr msg[RX_VLEN];
	struct iovec iov[RX_VLEN];
	u8 *data;
	u32 size;		/* bytes for each datagram */
};

struct pbft_client {
	const struct pbft_cluster *cluster;
	struct pbft_wire_id wire;
	u32 id, n, f, q;
	enum pbft_mac_kind mac;
	u8 public_key[32];
	int fd;
	u64 session;
	bool stale;		/* the session has been replaced */
	bool calling;		/* a callback runs */

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
	struct tx_batch tx;
	struct rx_batch rx;
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

/* client.c */
void pbft_slot_finish(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len);

/* client_send.c */
void pbft_client_build(struct pbft_client *c, struct slot *s, const void *op, u32 len);
void pbft_client_transmit(struct pbft_client *c, struct slot *s, u64 now);
void pbft_client_hello(struct pbft_client *c, u64 to);
void pbft_client_flush(struct pbft_client *c);

/* client_reply.c */
void pbft_client_receive(struct pbft_client *c, u64 now);
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
