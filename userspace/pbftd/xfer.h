/* SPDX-License-Identifier: GPL-2.0 */
/*
 * State transfer between daemons: asking for a certified state piece by piece,
 * and answering those who ask. Documentation/state-transfer.rst is the protocol.
 *
 * A pure state machine on a store: datagrams and time go in, datagrams come out
 * by a callback. Datagrams may be lost, doubled, reordered; each is authentic
 * from its peer, and a peer may lie. Times are nanoseconds, monotonic.
 */
#ifndef PBFTD_XFER_H
#define PBFTD_XFER_H

#include "store.h"

#define PBFT_XFER_MAGIC		0x53464250u	/* "PBFS" */
#define PBFT_XFER_VERSION	1

enum pbft_xfer_type {
	PBFT_XFER_GET = 1,	/* part of a node's encoding, please */
	PBFT_XFER_DATA,
	PBFT_XFER_NONE,		/* I do not have that state */
};

struct pbft_xfer_hdr {
	__le32 magic;
	u8 version;
	u8 type;
	u8 level;
	u8 reserved;
	__le32 rid;		/* of the request; DATA and NONE repeat the header */
	__le32 index;
	__le64 seq;		/* the state after this batch */
	__le64 offset;
	__le32 len;		/* bytes wanted, or that follow */
	__le32 reserved2;
	u8 data[];		/* GET: root digest; DATA: bytes */
} __packed __aligned(8);

struct pbft_xfer_stats {
	u64 fetches;		/* targets */
	u64 installed;
	u64 nodes;		/* interior nodes fetched */
	u64 pages;		/* fetched, wholly or in part */
	u64 indexes;		/* of pages that were mostly here */
	u64 pages_kept;		/* had already, at the time of installation */
	u64 bytes;		/* received */
	u64 bytes_kept;		/* of fetched pages, that were here */
	u64 timeouts;
	u64 bad;		/* answers that failed verification */
	u64 unexpected;		/* datagrams malformed, or nobody asked for them */
	u64 served;		/* chunks */
	u64 served_none;
	u64 throttled;		/* requests above a peer's budget */
};

struct pbft_xfer_ops {
	void (*send)(void *arg, u32 peer, const void *data, u32 len);
	/* The state asked for by pbft_xfer_fetch() is installed. */
	void (*installed)(void *arg, u64 seq, const struct pbft_digest *root);
	/* The page asked for by pbft_xfer_page(), verified. Return 0 or the store's error. */
	int (*page)(void *arg, u32 page, const void *data, u64 len);
};

struct pbft_xfer;

/* @mtu: most bytes of one datagram, at least 512. NULL when memory is short. */
struct pbft_xfer *pbft_xfer_create(struct pbft_store *st, u32 mtu,
				   const struct pbft_xfer_ops *ops, void *arg);
void pbft_xfer_destroy(struct pbft_xfer *x);

/*
 * The functions below return 0, or the store's error when it can not go on;
 * pbft_store.err says what it was. No misdeed of a peer is an error.
 */

/**
 * pbft_xfer_fetch() - get the state with digest @root at @head
 * @peers: replicas that have it, as far as is known
 *
 * The target may also be behind the local state, which then is a wrong one.
 * Replaces an earlier target; what was fetched for that one and is the same in
 * this one is not fetched again. No results may be uncommitted.
 */
int pbft_xfer_fetch(struct pbft_xfer *x, u64 now,
		    const struct pbft_log_head *head,
		    const struct pbft_digest *root, u64 peers);
/**
 * pbft_xfer_page() - get one page of a state that is not to be installed
 * @seq: the state after this batch, with digest @root
 * @want: the page's node in it
 * @peers: replicas that have that state, as far as is known
 *
 * Not while a state is fetched; a fetch puts an end to it. It goes on until the page
 * is here or pbft_xfer_page_stop().
 */
int pbft_xfer_page(struct pbft_xfer *x, u64 now, u64 seq, const struct pbft_digest *root,
		   u32 page, const struct pbft_tree_node *want, u64 peers);
void pbft_xfer_page_stop(struct pbft_xfer *x);
/* The target is given up: the log goes on from where the state is. */
int pbft_xfer_cancel(struct pbft_xfer *x);
/* Fetch nothing until asked again; keep what has been fetched. */
void pbft_xfer_stop(struct pbft_xfer *x);
int pbft_xfer_recv(struct pbft_xfer *x, u64 now, u32 peer, const void *data,
		   u32 len);
int pbft_xfer_tick(struct pbft_xfer *x, u64 now);
u64 pbft_xfer_deadline(const struct pbft_xfer *x);	/* U64_MAX: none */
bool pbft_xfer_active(const struct pbft_xfer *x);
void pbft_xfer_discarded(struct pbft_xfer *x);	/* snapshots were closed */
/* Of the state after batch @seq, which is being fetched: bytes that are here, verified. */
struct pbft_xfer_progress {
	u64 seq, done, total;
};

/* Return: false while they are not known, or nothing is fetched. */
bool pbft_xfer_progress(const struct pbft_xfer *x, struct pbft_xfer_progress *p);
const struct pbft_xfer_stats *pbft_xfer_stats(const struct pbft_xfer *x);

#endif /* PBFTD_XFER_H */
