/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SHA-256, provided by each shell (kernel crypto, libcrypto). The one service
 * that the core asks of its surroundings besides memory.
 */
#ifndef PBFT_CORE_HASH_H
#define PBFT_CORE_HASH_H

#include "types.h"

struct pbft_iov {
	const void *base;
	size_t len;
};

/**
 * pbft_hash() - SHA-256 over the concatenation of @cnt pieces
 *
 * Context: any in which the shell calls the core, softirq included; does not
 * sleep and cannot fail.
 */
void pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
	       unsigned int cnt);

#endif /* PBFT_CORE_HASH_H */
