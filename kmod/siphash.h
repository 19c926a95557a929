/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SipHash-2-4 with 128 bits of output (Aumasson and Bernstein, INDOCRYPT 2012,
 * and their reference implementation for this length): one source for kernel
 * and userspace. The kernel's own siphash() gives 64 bits.
 */
#ifndef PBFT_SIPHASH_H
#define PBFT_SIPHASH_H

#include <linux/types.h>

#define PBFT_SIPHASH_NAME	"siphash128"	/* as in a cluster's file */
#define PBFT_SIPHASH_KEY_LEN	16
#define PBFT_SIPHASH_LEN	16

struct pbft_siphash_key {
	u64 k[2];
};

/* The first PBFT_SIPHASH_KEY_LEN bytes of @bytes become the key. */
void pbft_siphash_key_set(struct pbft_siphash_key *key, const u8 *bytes);

/* Any context, any alignment. */
void pbft_siphash(const struct pbft_siphash_key *key, const void *data,
		  size_t len, u8 out[PBFT_SIPHASH_LEN]);

#endif /* PBFT_SIPHASH_H */
