/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PBFT_SHIM_LINUX_REFCOUNT_H
#define PBFT_SHIM_LINUX_REFCOUNT_H

#include <linux/types.h>

typedef struct {
	int v;
} refcount_t;

static inline void refcount_set(refcount_t *r, int v)
{
	__atomic_store_n(&r->v, v, __ATOMIC_RELAXED);
}

static inline int refcount_read(const refcount_t *r)
{
	return __atomic_load_n(&r->v, __ATOMIC_RELAXED);
}

static inline void refcount_inc(refcount_t *r)
{
	__atomic_fetch_add(&r->v, 1, __ATOMIC_RELAXED);
}

static inline bool refcount_dec_and_test(refcount_t *r)
{
	return __atomic_sub_fetch(&r->v, 1, __ATOMIC_ACQ_REL) == 0;
}

#endif
