/* SPDX-License-Identifier: GPL-2.0 */
/* SHA-256 for the core: core/hash.h is what it offers, this is its life. */
#ifndef PBFT_HASH_H
#define PBFT_HASH_H

int pbft_hash_init(void);
void pbft_hash_exit(void);

#endif /* PBFT_HASH_H */
