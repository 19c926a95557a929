/* SPDX-License-Identifier: GPL-2.0 */
/* Refcounted, immutable once shared, message buffers. */
#ifndef PBFT_CORE_BUF_H
#define PBFT_CORE_BUF_H

#include "types.h"

struct pbft_buf {
	refcount_t refs;
	u32 len;	/* bytes used */
	u32 cap;	/* bytes there are */
	u8 data[] __aligned(8);
};

/* NULL when memory is short: the message is then lost, as on a network. */
static inline struct pbft_buf *pbft_buf_alloc(u32 cap)
{
	struct pbft_buf *b = kmalloc(sizeof(*b) + cap, GFP_ATOMIC);

	if (!b)
		return NULL;
	refcount_set(&b->refs, 1);
	b->len = 0;
	b->cap = cap;
	return b;
}

static inline struct pbft_buf *pbft_buf_get(struct pbft_buf *b)
{
	refcount_inc(&b->refs);
	return b;
}

static inline void pbft_buf_put(struct pbft_buf *b)
{
	if (b && refcount_dec_and_test(&b->refs))
		kfree(b);
}

#endif /* PBFT_CORE_BUF_H */
