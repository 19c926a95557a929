/* SPDX-License-Identifier: GPL-2.0 */
/* Keys and MACs in userspace, on libcrypto; see kmod/core/kdf.h for the rules. */
#ifndef PBFT_CRYPTO_H
#define PBFT_CRYPTO_H

#include "siphash.h"
#include "core/types.h"
#include "core/hash.h"
#include "core/wire.h"

#define PBFT_CURVE_KEY_LEN	32
#define PBFT_KEY_TEXT_LEN	44	/* base64 of a key, without NUL */

void pbft_key_to_text(char text[PBFT_KEY_TEXT_LEN + 1], const u8 key[32]);
/* false: not the base64 of 32 bytes, in canonical form */
bool pbft_key_from_text(u8 key[32], const char *text);

/* A fresh private key, clamped. Return 0 or -errno. */
int pbft_genkey(u8 private_key[32]);
int pbft_pubkey(u8 public_key[32], const u8 private_key[32]);

/*
 * Read a private key file: one line of base64, '#' comments allowed. Refuses a
 * regular file that others may read (mode & 077) unless @lax. On failure
 * @errbuf holds a sentence that names the file. Return 0 or -errno.
 */
int pbft_key_load(const char *path, bool lax, u8 private_key[32],
		  char *errbuf, size_t errlen);

#define PBFT_MAC_DEFAULT	PBFT_SIPHASH_NAME
/* For a person: the names that pbft_mac_by_name() knows. */
#define PBFT_MAC_NAMES		PBFT_SIPHASH_NAME " and hmac(sha256)"

enum pbft_mac_kind {
	PBFT_MAC_SIPHASH,
	PBFT_MAC_HMAC_SHA256,
};

/* By the name in the cluster file. false: userspace has none of that name. */
bool pbft_mac_by_name(enum pbft_mac_kind *kind, const char *name);

/*
 * One direction of one pair, ready to use: of HMAC-SHA256 inner and outer state
 * are precomputed, so that a MAC costs no key schedule and no allocation.
 */
struct pbft_mac_key {
	union {
		struct pbft_siphash_key sip;
		u8 hmac[2 * 112];	/* two SHA256_CTX: after ipad, after opad */
	};
	u8 kind;		/* enum pbft_mac_kind */
	bool valid;
};

/* For SipHash @len is PBFT_SIPHASH_KEY_LEN at least, of which no more is taken. */
void pbft_mac_key_set(struct pbft_mac_key *k, enum pbft_mac_kind kind,
		      const u8 *key, size_t len);
void pbft_mac(const struct pbft_mac_key *k, const void *data, size_t len,
	      u8 mac[PBFT_MAC_LEN]);
/* Constant time. */
bool pbft_mac_ok(const struct pbft_mac_key *k, const void *data, size_t len,
		 const u8 mac[PBFT_MAC_LEN]);

struct pbft_pair_id {
	u64 cluster;
	u32 epoch;
	u32 self, peer;		/* node ids */
	enum pbft_mac_kind mac;
};

/* X25519. -EKEYREJECTED for a public key of low order. */
int pbft_shared_secret(u8 shared[32], const u8 own_private[32],
		       const u8 peer_public[32]);

/*
 * The key of one direction between us (id->self) and id->peer: of what we send
 * if @tx, else of what the peer sends. @key_id is the sender's key generation.
 * From the shared secret a key costs two short hashes, so it may be derived
 * for a generation seen in a packet that nobody has authenticated yet.
 */
void pbft_pair_key_shared(const struct pbft_pair_id *id, const u8 shared[32],
			  const u8 own_public[32], const u8 peer_public[32],
			  u8 key_id, bool tx, struct pbft_mac_key *out);

/* Both steps at once. Return 0, or an error of pbft_shared_secret(). */
int pbft_pair_key(const struct pbft_pair_id *id, const u8 own_private[32],
		  const u8 own_public[32], const u8 peer_public[32],
		  u8 key_id, bool tx, struct pbft_mac_key *out);

#endif /* PBFT_CRYPTO_H */
