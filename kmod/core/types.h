/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Basic types and the arithmetic of quorums.
 *
 * The core is written as kernel code. In userspace the same headers come from
 * userspace/include, a thin set of shims.
 */
#ifndef PBFT_CORE_TYPES_H
#define PBFT_CORE_TYPES_H

#include <linux/types.h>
#include <asm/byteorder.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <linux/errno.h>
#include <linux/bitops.h>
#include <linux/list.h>
#include <linux/slab.h>
#ifdef __KERNEL__
#include <linux/mm.h>
#endif
#include <linux/refcount.h>

#define PBFT_N_MIN		4
#define PBFT_N_MAX		64	/* replica sets are one u64 */
#define PBFT_DIGEST_LEN		32	/* SHA-256 */
#define PBFT_MAC_LEN		16	/* MACs are truncated to 128 bits */
#define PBFT_KEY_LEN		32

/* Replicas are 0..n-1; every id from here up is a client. */
#define PBFT_CLIENT_ID_MIN	PBFT_N_MAX
#define PBFT_CLIENT_ID_MAX	0x7fffffffu

/* Requests one client may have outstanding; also the replies kept for it. */
#define PBFT_CLIENT_WINDOW	64

#define PBFT_BATCH_MAX		256	/* requests in one batch */
/* Bytes of one operation or result: one netlink attribute holds it. */
#define PBFT_OP_MAX		(60 * 1024)
/* Largest message before fragmentation, header to trailer, in bytes. */
#define PBFT_MSG_MAX		(1024 * 1024)

#define PBFT_Q_RING		4	/* pre-prepared digests remembered per sequence number */

struct pbft_digest {
	u8 b[PBFT_DIGEST_LEN];
} __aligned(8);

static inline bool pbft_digest_eq(const struct pbft_digest *a,
				  const struct pbft_digest *b)
{
	return !memcmp(a->b, b->b, PBFT_DIGEST_LEN);
}

/**
 * pbft_quorum() - size of a quorum certificate
 * @n: replicas, @f: faults tolerated
 *
 * ceil((n + f + 1) / 2): any two quorums share f + 1 replicas. 2f + 1 is only
 * right for n = 3f + 1 and is unsafe for larger n.
 */
static inline unsigned int pbft_quorum(unsigned int n, unsigned int f)
{
	return (n + f) / 2 + 1;
}

/* Acks that certify another replica's VIEW-CHANGE at the new primary. */
static inline unsigned int pbft_ack_quorum(unsigned int f)
{
	return f ? 2 * f - 1 : 0;
}

static inline unsigned int pbft_max_faults(unsigned int n)
{
	return (n - 1) / 3;
}

#endif /* PBFT_CORE_TYPES_H */
