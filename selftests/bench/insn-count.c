// SPDX-License-Identifier: GPL-2.0
/*
 * bench-insn: counting what the core asks of its surroundings, in front of the
 * real thing (linked with --wrap). How many instructions memory and hashes take
 * is the C library's and the processor's affair; how often they are asked is ours.
 */
#include <stdlib.h>
#include "core/hash.h"
#include "insn.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_memcpy(void *to, const void *from, size_t len);
void *__real_memmove(void *to, const void *from, size_t len);
void *__real_memset(void *to, int c, size_t len);
int __real_memcmp(const void *a, const void *b, size_t len);
void __real_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
		      unsigned int cnt);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t len);
void *__wrap_memmove(void *to, const void *from, size_t len);
void *__wrap_memset(void *to, int c, size_t len);
int __wrap_memcmp(const void *a, const void *b, size_t len);
void __wrap_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
		      unsigned int cnt);

void *__wrap_malloc(size_t size)
{
	work.allocations++;
	return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	work.allocations++;
	return __real_calloc(n, size);
}

static void count_copy(size_t len)
{
	work.copies++;
	work.copied_bytes += len;
}

void *__wrap_memcpy(void *to, const void *from, size_t len)
{
	count_copy(len);
	return __real_memcpy(to, from, len);
}

void *__wrap_memmove(void *to, const void *from, size_t len)
{
	count_copy(len);
	return __real_memmove(to, from, len);
}

void *__wrap_memset(void *to, int c, size_t len)
{
	count_copy(len);
	return __real_memset(to, c, len);
}

int __wrap_memcmp(const void *a, const void *b, size_t len)
{
	count_copy(len);
	return __real_memcmp(a, b, len);
}

void __wrap_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
		      unsigned int cnt)
{
	unsigned int i;

	work.hashes++;
	for (i = 0; i < cnt; i++)
		work.hashed_bytes += iov[i].len;
	__real_pbft_hash(out, iov, cnt);
}
