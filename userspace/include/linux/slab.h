/* SPDX-License-Identifier: GPL-2.0 */
/* Shim: the kernel's allocators on malloc. */
#ifndef PBFT_SHIM_LINUX_SLAB_H
#define PBFT_SHIM_LINUX_SLAB_H

#include <stdlib.h>
#include <linux/types.h>

#define GFP_KERNEL 0
#define GFP_ATOMIC 1

static inline void *kmalloc(size_t n, int gfp)
{
	(void)gfp;
	return malloc(n);
}

static inline void *kzalloc(size_t n, int gfp)
{
	(void)gfp;
	return calloc(1, n);
}

static inline void *kvcalloc(size_t n, size_t size, int gfp)
{
	(void)gfp;
	return calloc(n, size);
}

static inline void *kvzalloc(size_t n, int gfp)
{
	return kzalloc(n, gfp);
}

static inline void kfree(const void *p)
{
	free((void *)p);
}

static inline void kvfree(const void *p)
{
	free((void *)p);
}

#endif
