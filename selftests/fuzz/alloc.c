// SPDX-License-Identifier: GPL-2.0
/* malloc and calloc that fail when told to (linked with --wrap). */
#include <stdlib.h>
#include "step.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static u32 countdown;

void fuzz_alloc_fail(u32 nth)
{
	countdown = nth;
}

u32 fuzz_alloc_pause(void)
{
	u32 state = countdown;

	countdown = 0;
	return state;
}

static bool fails(void)
{
	return countdown && !--countdown;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}
