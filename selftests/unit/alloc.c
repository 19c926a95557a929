// SPDX-License-Identifier: GPL-2.0
/* malloc() and calloc() of a test program, one of which can be made to fail. */
#include <stdlib.h>
#include "alloc.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);

static u32 countdown;
static bool failed;

void alloc_fail(u32 nth)
{
	countdown = nth;
	failed = false;
}

bool alloc_failed(void)
{
	return failed;
}

static bool now(void)
{
	if (!countdown || --countdown)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return now() ? NULL : __real_calloc(n, size);
}
