/* SPDX-License-Identifier: GPL-2.0 */
/* A malicious replica: what its files share. */
#ifndef PBFT_EVIL_H
#define PBFT_EVIL_H

#include "core/core.h"
#include "mouth.h"
#include "../sim/prng.h"

enum evil_trait {
	EVIL_EQUIVOCATE,	/* two batches, and votes for both, under one number */
	EVIL_MACS,		/* MACs that only some receivers can verify */
	EVIL_REPLAY,		/* what it said before, again and out of place */
	EVIL_FLOOD,		/* authentic messages as fast as it can */
	EVIL_VIEWS,		/* two-faced VIEW-CHANGEs, NEW-VIEWs, CHECKPOINTs */
	EVIL_TRAITS
};

#define EVIL_VARIANTS	256
#define EVIL_ARCHIVE	512
#define EVIL_OLD_MAX	2048	/* longer messages are not kept */

/* Two digests told under one number. */
struct evil_variant {
	u64 view, seq;
	struct pbft_digest was, other;
};

struct evil_old {
	u32 to, len;
	u8 data[EVIL_OLD_MAX] __aligned(8);
};

struct evil {
	struct mouth mouth;
	u32 traits;
	u64 seed;
	struct prng rng;
	struct evil_variant variant[EVIL_VARIANTS];
	struct evil_old old[EVIL_ARCHIVE];
	u64 archived;
	u64 lies[EVIL_TRAITS];
	u8 *scratch;		/* one sealed message */
};

static inline bool evil_is(const struct evil *ev, enum evil_trait t)
{
	return ev->traits >> t & 1;
}

/* The send filter of replica.h; @arg is a struct evil. */
struct pbft_buf *evil_filter(void *arg, u32 to, struct pbft_buf *msg);
/* Unasked: a burst of authentic messages around (@view, @seq). */
void evil_burst(struct evil *ev, u64 view, u64 seq);

#endif /* PBFT_EVIL_H */
