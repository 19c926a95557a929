/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libpbft: a client of a PBFT cluster.
 *
 * Sends authenticated requests, several outstanding, accepts a result on f + 1
 * matching replies, retransmits with back-off and follows the view. One thread
 * per struct pbft_client, or per struct pbft_transport with all its clients; no
 * hidden threads, no signals. Embed it in an event loop by pbft_client_fd(),
 * pbft_client_deadline(), pbft_client_poll(): poll when the descriptor is readable
 * or the deadline has passed. All sending is done by pbft_client_poll(), so that
 * requests submitted together leave in one system call.
 */
#ifndef PBFT_CLIENT_H
#define PBFT_CLIENT_H

#include "cluster.h"

struct pbft_client;

struct pbft_client_stats {
	u64 submitted, completed, retransmits, stale, out_of_order;
	u64 replies, replies_bad;	/* bad: MAC, format, or contradicting f + 1 */
	u64 view;			/* believed */
	u64 rtt;			/* smoothed, ns; 0: not measured yet */
};

/**
 * pbft_client_open() - a new session of client @id
 * @client: set when 0 is returned; pbft_client_close() ends it
 * @id: of a client in @cluster
 * @cluster: must outlive the client
 * @private_key: of client @id
 *
 * The session number is taken from the wall clock, so that it rises over
 * restarts. Two programs must not be the same client at a time: the session
 * opened last wins.
 *
 * Return 0 or -errno; -ENOENT: @id is not in the cluster; -EKEYREJECTED: the
 * key is not the one in the cluster file, or a replica's public key is no good;
 * -EPROTONOSUPPORT: the cluster's MAC is neither siphash128 nor hmac(sha256);
 * -EDESTADDRREQ: a replica has no endpoint.
 */
int pbft_client_open(struct pbft_client **client,
		     const struct pbft_cluster *cluster, u32 id,
		     const u8 private_key[32]);

/* Not from within a callback. Operations outstanding end with -ECANCELED. */
void pbft_client_close(struct pbft_client *client);

/*
 * Many clients over one socket: a service that acts for many users needs no
 * socket for each, and what they send and receive at a time shares calls of the
 * system and, where the kernel can (UDP_SEGMENT, UDP_GRO), packets. Each client
 * keeps its own keys, session, window and timers, and believes only what is
 * authentic for itself. All of them belong to one thread.
 */
struct pbft_transport;

/* Have the kernel neither cut nor join packets. */
#define PBFT_TRANSPORT_PLAIN	(1u << 0)

struct pbft_transport_stats {
	bool gso, gro;		/* the kernel cuts and joins packets */
	u64 tx_calls, tx_packets, tx_datagrams;
	u64 rx_calls, rx_packets, rx_datagrams;
	u64 strangers;		/* datagrams for none of the clients */
};

/**
 * pbft_transport_open() - a socket for clients of @cluster
 * @transport: set when 0 is returned; pbft_transport_close() ends it
 * @cluster: must outlive the transport
 * @flags: PBFT_TRANSPORT_PLAIN or 0
 *
 * Without the privilege to exceed it, net.core.rmem_max bounds what all its
 * clients together have waiting to be received.
 *
 * Return 0 or -errno; -EDESTADDRREQ: a replica has no endpoint.
 */
int pbft_transport_open(struct pbft_transport **transport,
			const struct pbft_cluster *cluster, u32 flags);

/* With clients left, it ends with the last of them. NULL is allowed. */
void pbft_transport_close(struct pbft_transport *transport);

/*
 * A new session of client @id over @transport; as pbft_client_open() otherwise.
 * -EEXIST: @transport has a client @id already.
 */
int pbft_client_open_on(struct pbft_client **client,
			struct pbft_transport *transport, u32 id,
			const u8 private_key[32]);

/*
 * As of a client, for all clients of @transport at once. Polling one of them
 * does the work of all, but waits for a callback of that one.
 */
int pbft_transport_fd(const struct pbft_transport *transport);
u64 pbft_transport_deadline(const struct pbft_transport *transport);
int pbft_transport_poll(struct pbft_transport *transport, u64 wait);
void pbft_transport_stats(const struct pbft_transport *transport,
			  struct pbft_transport_stats *st);

/* A sentence for an error of pbft_client_open() or of an operation. */
const char *pbft_client_strerror(int err);

/*
 * May submit, may not poll or close. @result is valid during the call, 8-byte
 * aligned or NULL when @len is 0.
 */
typedef void (*pbft_done_fn)(void *arg, int err, u8 status,
			     const void *result, u32 len);

/**
 * pbft_client_submit() - one operation, ordered after all submitted before
 * @client: an open one
 * @len: bytes of @op
 * @arg: for @done
 * @op: copied
 * @done: called from pbft_client_poll(), once. err is 0 and status and result
 *	hold what f + 1 replicas agree on; or -ETIMEDOUT or -ESTALE (another
 *	session of this client has been opened): outcome unknown, the operation
 *	may have executed or still execute; or -ECANCELED by close.
 * @timeout: ns; 0 waits for ever
 *
 * The cluster executes a client's operations strictly in order. Therefore one
 * that timed out keeps its place in the window and is retransmitted until it
 * is decided: later ones can not overtake it.
 *
 * Return 0; -EAGAIN: the window of PBFT_CLIENT_WINDOW is full; -EMSGSIZE:
 * above PBFT_OP_MAX; -ESTALE; -ENOMEM.
 */
int pbft_client_submit(struct pbft_client *client, const void *op, u32 len,
		       u64 timeout, pbft_done_fn done, void *arg);

int pbft_client_fd(const struct pbft_client *client);
/* CLOCK_MONOTONIC ns; 0: there is something to send now; U64_MAX: nothing to do. */
u64 pbft_client_deadline(const struct pbft_client *client);
/*
 * Receive, retransmit, call back. @wait ns: 0 does not block. Return the
 * callbacks made, after at least one or when @wait has passed.
 */
int pbft_client_poll(struct pbft_client *client, u64 wait);
/* Operations whose callback has not been made yet. */
u32 pbft_client_outstanding(const struct pbft_client *client);
void pbft_client_stats(const struct pbft_client *client,
		       struct pbft_client_stats *st);

/*
 * Submit and wait; callbacks of other operations are made meanwhile. *@result
 * is malloc'd (NULL if empty) and the caller's. Return 0 or -errno.
 */
int pbft_client_call(struct pbft_client *client, const void *op, u32 len,
		     u64 timeout, u8 *status, void **result, u32 *result_len);

#endif /* PBFT_CLIENT_H */
