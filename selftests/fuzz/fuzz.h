/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the fuzz targets share: bytes as a source of decisions, a way to fail,
 * a fast hash, and the reading of every byte that a checked message promises.
 *
 * A target is one function, called with arbitrary bytes. It must behave the
 * same each time it is given the same ones, and leave nothing behind.
 */
#ifndef PBFT_FUZZ_H
#define PBFT_FUZZ_H

#include "core/core.h"

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);	/* optional */

/* Say what is wrong and abort: the fuzzer then keeps the input. */
__attribute__((noreturn, format(printf, 3, 4)))
void fuzz_fail(const char *file, int line, const char *fmt, ...);

#define fuzz_check(cond, ...)						\
	do {								\
		if (!(cond))						\
			fuzz_fail(__FILE__, __LINE__, __VA_ARGS__);	\
	} while (0)

/* The bytes of a run, used up from the front; zeros when there are no more. */
struct fuzz_in {
	const u8 *p;
	size_t left;
};

u8 fuzz_u8(struct fuzz_in *in);
u16 fuzz_u16(struct fuzz_in *in);
u64 fuzz_u64(struct fuzz_in *in);
/* Up to @max bytes, fewer if there are fewer; return how many. */
size_t fuzz_bytes(struct fuzz_in *in, void *out, size_t max);

/* 0..n-1 */
static inline u32 fuzz_below(struct fuzz_in *in, u32 n)
{
	return fuzz_u8(in) % n;
}

/* Heap bytes in use, as the address sanitizer counts them. */
size_t fuzz_heap(void);

/* 64 bits that depend on all of @data: for comparing two runs. */
u64 fuzz_hash(u64 seed, const void *data, size_t len);

/*
 * Read, by the accessors that the core and the shells use, every byte that they
 * may read of a message for which pbft_wire_check() returned PBFT_OK. @len:
 * authentication included. Return: a sum over what was read.
 */
u64 fuzz_touch(const struct pbft_wire_id *id, const void *data, u32 len,
	       const struct pbft_head *head);

/* Is this a VIEW-CHANGE's C, P and Q within the message? Aborts if not. */
u64 fuzz_touch_vc(const struct pbft_view_change *vc, u32 len);

#endif /* PBFT_FUZZ_H */
