// SPDX-License-Identifier: GPL-2.0
/*
 * The allocator under everything in the simulator (the linker sends malloc and
 * its family here): counts the bytes that each replica's core holds, and fails
 * on request. With that the core's own kmalloc() can be made to fail anywhere
 * and its memory is measured, not estimated.
 */
#include <stdlib.h>
#include "sim.h"

struct sim_alloc sim_alloc;

struct chunk {
	union {
		u64 size;
		struct chunk *next;	/* on a free list */
	};
	u32 owner;	/* replica + 1; 0: the simulator */
	u32 magic;
};

#define CHUNK_MAGIC 0x5ca1ab1eu

/*
 * Small chunks are kept by size when they are freed, and serve again. Not under
 * a sanitizer, which is to see every use after a free.
 */
#ifdef __SANITIZE_ADDRESS__
#define CLASSES		0
#else
#define CLASSES		64
#endif
#define CLASS_BYTES	64

static struct chunk *spare[CLASSES + 1];

void *__real_malloc(size_t n);
void __real_free(void *p);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);

static size_t size_class(size_t n)
{
	return (n + CLASS_BYTES - 1) / CLASS_BYTES;
}

static struct chunk *take(size_t n)
{
	size_t class = size_class(n);
	struct chunk *c;

	if (class >= CLASSES)
		return __real_malloc(sizeof(*c) + n);
	c = spare[class];
	if (!c)
		return __real_malloc(sizeof(*c) + class * CLASS_BYTES);
	spare[class] = c->next;
	return c;
}

static void give_back(struct chunk *c, size_t n)
{
	size_t class = size_class(n);

	if (class >= CLASSES) {
		__real_free(c);
		return;
	}
	c->next = spare[class];
	spare[class] = c;
}

static bool must_fail(void)
{
	struct sim_alloc *a = &sim_alloc;

	if (!a->owner || !a->fail_ppm || !prng_chance(&a->rng, a->fail_ppm))
		return false;
	a->failed++;
	return true;
}

void *__wrap_malloc(size_t n)
{
	struct sim_alloc *a = &sim_alloc;
	struct chunk *c;

	if (must_fail())
		return NULL;
	c = take(n);
	if (!c)
		return NULL;
	c->size = n;
	c->owner = a->owner;
	c->magic = CHUNK_MAGIC;
	a->live[c->owner] += n;
	if (a->live[c->owner] > a->high[c->owner])
		a->high[c->owner] = a->live[c->owner];
	return c + 1;
}

void *__wrap_calloc(size_t n, size_t size)
{
	void *p;

	if (size && n > SIZE_MAX / 2 / size)
		return NULL;
	p = __wrap_malloc(n * size);
	if (p)
		memset(p, 0, n * size);
	return p;
}

void __wrap_free(void *p)
{
	struct chunk *c = p;

	if (!p)
		return;
	c--;
	if (c->magic != CHUNK_MAGIC)
		abort();
	c->magic = 0;
	sim_alloc.live[c->owner] -= c->size;
	give_back(c, c->size);
}

void *__wrap_realloc(void *p, size_t n)
{
	struct chunk *c = p;
	void *fresh = __wrap_malloc(n);

	if (!fresh || !p)
		return fresh;
	c--;
	memcpy(fresh, p, min_t(size_t, n, c->size));
	__wrap_free(p);
	return fresh;
}
