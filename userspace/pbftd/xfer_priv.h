/* SPDX-License-Identifier: GPL-2.0 */
/* State transfer: what fetching (xfer.c) and serving (xfer_serve.c) share. */
#ifndef PBFTD_XFER_PRIV_H
#define PBFTD_XFER_PRIV_H

#include "xfer.h"

#define XFER_TIMEOUT	(200 * 1000000ull)	/* ns: the least patience */
#define XFER_JOBS	64	/* nodes being fetched at a time */
#define XFER_JOB_BYTES	(64ull << 20)	/* ... unless they are so large together */
#define XFER_FLIGHT_MIN	32	/* chunks asked for and not here: limits of the limit */
#define XFER_FLIGHT_MAX	512
#define XFER_CACHE	64	/* encoded pages kept for the chunks still to come */
#define XFER_CACHE_BYTES	(64ull << 20)	/* ... unless they are so large together */
#define XFER_STAGE_GROUP	64	/* pages staged in one transaction */

struct xfer_job {
	bool used;
	u8 level;
	u32 index;
	u32 rid;
	u32 peer;
	u32 timeouts;		/* in a row */
	u32 inflight;
	u32 next;		/* the chunks before were asked for */
	u32 chunks, got;
	u64 size;
	u64 deadline;
	u8 *buf;
	u8 *state;		/* of each chunk: enum xfer_chunk */
};

struct xfer_cached {
	u64 seq, used, len;
	u32 page;
	u8 level;		/* the page, or its index */
	u8 *buf;
};

struct xfer_budget {
	u64 at;
	u32 tokens;
};

struct pbft_xfer {
	struct pbft_store *st;
	u32 mtu;
	const struct pbft_xfer_ops *ops;
	void *arg;
	struct pbft_xfer_stats stats;
	u8 *packet;		/* mtu bytes to build one datagram in */

	/* fetching */
	bool active;
	bool single;		/* not a state, only the page @page of one */
	u32 page;
	struct pbft_log_head head;
	struct pbft_tree target;	/* nodes below a known one are right */
	bool known[PBFT_TREE_PAGE_LEVEL][PBFT_TREE_MIDS];
	u64 peers, blamed;
	u64 silent;		/* peers that did not answer, and have not since */
	u64 absent_until[PBFT_N_MAX];
	u8 strikes[PBFT_N_MAX];	/* times in a row that it had no answer */
	u32 last_peer, last_rid;
	u64 retry;		/* no peer to ask: look again then */
	u32 inflight, flight_max;	/* chunks; the limit follows the losses */
	u64 shrunk_at;		/* when it was lowered last */
	u64 patience;		/* ns for an answer: grows with timeouts, shrinks with answers */
	u64 job_bytes;
	u32 staged;		/* pages since the last commit */
	struct xfer_job jobs[XFER_JOBS];

	/* serving */
	struct xfer_cached cache[XFER_CACHE];
	u64 cache_clock, cache_bytes;
	struct xfer_budget budget[PBFT_N_MAX];
};

/* xfer.c */
/* Where the subtree at a node is the one we have, all of it is known. */
void pbft_xfer_adopt(struct pbft_xfer *x, u32 level, u32 index);
/* Go on: ask for what is missing, install when nothing is. */
int pbft_xfer_advance(struct pbft_xfer *x, u64 now);

/* xfer_job.c */
/* Fetch a node, in a place that is free. Return 0 or -ENOMEM. */
int pbft_xfer_job_start(struct pbft_xfer *x, u64 now, u32 level, u32 index);
/* Begin again, with another peer: one peer, one verdict. */
void pbft_xfer_job_restart(struct pbft_xfer *x, struct xfer_job *j, u64 now);
void pbft_xfer_job_free(struct pbft_xfer *x, struct xfer_job *j);
/* The job that asked @peer for this; NULL: none did. */
struct xfer_job *pbft_xfer_job_find(struct pbft_xfer *x, u32 peer,
				    const struct pbft_xfer_hdr *h);
/* @len bytes of @h's data. Return 0 or the store's error. */
int pbft_xfer_job_recv(struct pbft_xfer *x, u64 now, struct xfer_job *j,
		       const struct pbft_xfer_hdr *h, u32 len);
void pbft_xfer_job_none(struct pbft_xfer *x, struct xfer_job *j, u64 now);
void pbft_xfer_job_timeout(struct pbft_xfer *x, struct xfer_job *j, u64 now);

/* xfer_serve.c */
void pbft_xfer_serve(struct pbft_xfer *x, u64 now, u32 peer,
		     const struct pbft_xfer_hdr *req, u32 len);
void pbft_xfer_cache_free(struct pbft_xfer *x);

static inline u32 xfer_chunk_max(const struct pbft_xfer *x)
{
	return x->mtu - sizeof(struct pbft_xfer_hdr);
}

#endif /* PBFTD_XFER_PRIV_H */
