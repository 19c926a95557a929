/* SPDX-License-Identifier: GPL-2.0 */
/*
 * libpbft: a client of a PBFT cluster.
 *
 * Sends authenticated requests, several outstanding, accepts a result on f + 1
 * matching replies, retransmits with back-off and follows the view. One thread
 * per struct pbft_client; no hidden threads, no signals. Embed it in an event
 * loop by pbft_client_fd(), pbft_client_deadline(), pbft_client_poll().
 */
#ifndef PBFT_CLIENT_H
#define PBFT_CLIENT_H

#include "cluster.h"

struct pbft_client;

struct pbft_client_stats {
	u64 submitted, completed, retransmits, stale, out_of_order;
	u64 replies, replies_bad;	/* bad: MAC, format, or contradicting f + 1 */
	u64 view;			/* believed */
};

/**
 * pbft_client_open() - a new session of client @id
 * @cluster: must outlive the client
 * @private_key: of client @id
 *
 * The session number is taken from the wall clock, so that it rises over
 * restarts. Return 0 or -errno; -ENOENT: @id is not in the cluster;
 * -EKEYREJECTED: the key is not the one in the cluster file.
 */
int pbft_client_open(struct pbft_client **client,
		     const struct pbft_cluster *cluster, u32 id,
		     const u8 private_key[32]);
void pbft_client_close(struct pbft_client *client);

typedef void (*pbft_done_fn)(void *arg, int err, u8 status,
			     const void *result, u32 len);

/**
 * pbft_client_submit() - one operation, ordered after all submitted before
 * @done: called from pbft_client_poll(), once. err is 0 and status and result
 *	hold what f + 1 replicas agree on, or -ETIMEDOUT (outcome unknown: the
 *	operation may still execute) or -ECANCELED by close.
 * @timeout: ns; 0 waits for ever
 *
 * Return 0; -EAGAIN: PBFT_CLIENT_WINDOW are outstanding; -EMSGSIZE.
 */
int pbft_client_submit(struct pbft_client *client, const void *op, u32 len,
		       u64 timeout, pbft_done_fn done, void *arg);

int pbft_client_fd(const struct pbft_client *client);
u64 pbft_client_deadline(const struct pbft_client *client);	/* CLOCK_MONOTONIC ns */
/* Receive, retransmit, call back. @wait ns: 0 does not block. Return callbacks made. */
int pbft_client_poll(struct pbft_client *client, u64 wait);
u32 pbft_client_outstanding(const struct pbft_client *client);
void pbft_client_stats(const struct pbft_client *client,
		       struct pbft_client_stats *st);

/* Submit and wait. *@result is malloc'd. Return 0 or -errno. */
int pbft_client_call(struct pbft_client *client, const void *op, u32 len,
		     u64 timeout, u8 *status, void **result, u32 *result_len);

#endif /* PBFT_CLIENT_H */
