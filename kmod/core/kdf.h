/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Pairwise MAC keys from Curve25519 key pairs: the input of the derivation.
 *
 *   shared  = X25519(own private key, peer's public key)
 *   key     = HMAC-SHA256(shared, struct pbft_kdf)		32 bytes
 *   MAC     = first 16 bytes of the configured MAC (default HMAC-SHA256)
 *	       under key over header and body
 *
 * The two directions of a pair have different keys, so nothing can be
 * reflected; cluster, epoch and key generation are bound in. An all-zero shared
 * secret (a low order public key) is refused.
 */
#ifndef PBFT_CORE_KDF_H
#define PBFT_CORE_KDF_H

#include "types.h"

#define PBFT_KDF_LABEL	"pbft pair key v1"	/* 16 bytes, no NUL on the wire */

struct pbft_kdf {
	u8 label[16];
	__le64 cluster;
	__le32 epoch;
	__le32 from;		/* id of the node that sends under this key */
	__le32 to;		/* id of the node that receives */
	u8 key_id;		/* the sender's key generation, as in the header */
	u8 reserved[3];		/* 0 */
	u8 public_from[32];
	u8 public_to[32];
} __packed __aligned(8);

static inline void pbft_kdf_fill(struct pbft_kdf *k, u64 cluster, u32 epoch,
				 u32 from, const u8 *public_from, u32 to,
				 const u8 *public_to, u8 key_id)
{
	memset(k, 0, sizeof(*k));
	memcpy(k->label, PBFT_KDF_LABEL, sizeof(k->label));
	k->cluster = cpu_to_le64(cluster);
	k->epoch = cpu_to_le32(epoch);
	k->from = cpu_to_le32(from);
	k->to = cpu_to_le32(to);
	k->key_id = key_id;
	memcpy(k->public_from, public_from, 32);
	memcpy(k->public_to, public_to, 32);
}

#endif /* PBFT_CORE_KDF_H */
