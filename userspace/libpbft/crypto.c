// SPDX-License-Identifier: GPL-2.0
/*
 * Key pairs, pairwise MAC keys and MACs, on libcrypto; SipHash is our own.
 *
 * HMACs use the low-level SHA-256 functions although OpenSSL 3 calls them
 * deprecated: a context is plain memory that can be copied, so a HMAC starts
 * from the precomputed state of its key, with no object to fetch or allocate.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <sys/random.h>

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>

#include "core/kdf.h"
#include "libpbft/crypto.h"

#define HMAC_BLOCK	64

_Static_assert(2 * sizeof(SHA256_CTX) == sizeof(((struct pbft_mac_key *)0)->hmac),
	       "struct pbft_mac_key holds two SHA256_CTX");
_Static_assert(PBFT_SIPHASH_LEN == PBFT_MAC_LEN, "SipHash gives a whole MAC");

/* ---- MACs ----------------------------------------------------------- */

bool pbft_mac_by_name(enum pbft_mac_kind *kind, const char *name)
{
	if (!strcmp(name, PBFT_SIPHASH_NAME))
		*kind = PBFT_MAC_SIPHASH;
	else if (!strcmp(name, "hmac(sha256)"))
		*kind = PBFT_MAC_HMAC_SHA256;
	else
		return false;
	return true;
}

static void pad_state(u8 *state, const u8 key[HMAC_BLOCK], u8 pad)
{
	u8 block[HMAC_BLOCK];
	SHA256_CTX ctx;
	int i;

	for (i = 0; i < HMAC_BLOCK; i++)
		block[i] = key[i] ^ pad;
	SHA256_Init(&ctx);
	SHA256_Update(&ctx, block, sizeof(block));
	memcpy(state, &ctx, sizeof(ctx));
	explicit_bzero(block, sizeof(block));
	explicit_bzero(&ctx, sizeof(ctx));
}

static void hmac_key_set(struct pbft_mac_key *k, const u8 *key, size_t len)
{
	u8 block[HMAC_BLOCK] = { 0 };

	if (len > sizeof(block))
		SHA256(key, len, block);
	else
		memcpy(block, key, len);
	pad_state(k->hmac, block, 0x36);
	pad_state(k->hmac + sizeof(SHA256_CTX), block, 0x5c);
	explicit_bzero(block, sizeof(block));
}

static void hmac(const struct pbft_mac_key *k, const void *data, size_t len,
		 u8 out[SHA256_DIGEST_LENGTH])
{
	SHA256_CTX ctx;

	memcpy(&ctx, k->hmac, sizeof(ctx));
	SHA256_Update(&ctx, data, len);
	SHA256_Final(out, &ctx);
	memcpy(&ctx, k->hmac + sizeof(ctx), sizeof(ctx));
	SHA256_Update(&ctx, out, SHA256_DIGEST_LENGTH);
	SHA256_Final(out, &ctx);
}

void pbft_mac_key_set(struct pbft_mac_key *k, enum pbft_mac_kind kind,
		      const u8 *key, size_t len)
{
	if (kind == PBFT_MAC_SIPHASH)
		pbft_siphash_key_set(&k->sip, key);
	else
		hmac_key_set(k, key, len);
	k->kind = kind;
	k->valid = true;
}

void pbft_mac(const struct pbft_mac_key *k, const void *data, size_t len,
	      u8 mac[PBFT_MAC_LEN])
{
	u8 full[SHA256_DIGEST_LENGTH];

	if (k->kind == PBFT_MAC_SIPHASH) {
		pbft_siphash(&k->sip, data, len, mac);
		return;
	}
	hmac(k, data, len, full);
	memcpy(mac, full, PBFT_MAC_LEN);
}

bool pbft_mac_ok(const struct pbft_mac_key *k, const void *data, size_t len,
		 const u8 mac[PBFT_MAC_LEN])
{
	u8 want[PBFT_MAC_LEN];

	if (!k->valid)
		return false;
	pbft_mac(k, data, len, want);
	return !CRYPTO_memcmp(want, mac, PBFT_MAC_LEN);
}

/* ---- Curve25519 ----------------------------------------------------- */

int pbft_genkey(u8 private_key[32])
{
	size_t got = 0;

	while (got < PBFT_CURVE_KEY_LEN) {
		ssize_t n = getrandom(private_key + got, PBFT_CURVE_KEY_LEN - got, 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0)
			got += n;
	}
	private_key[0] &= 248;
	private_key[31] = (private_key[31] & 127) | 64;
	return 0;
}

static EVP_PKEY *load_private(const u8 private_key[32])
{
	return EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, private_key,
					    PBFT_CURVE_KEY_LEN);
}

int pbft_pubkey(u8 public_key[32], const u8 private_key[32])
{
	EVP_PKEY *own = load_private(private_key);
	size_t len = PBFT_CURVE_KEY_LEN;
	int ret = -ENOMEM;

	if (own && EVP_PKEY_get_raw_public_key(own, public_key, &len) == 1)
		ret = 0;
	EVP_PKEY_free(own);
	ERR_clear_error();
	return ret;
}

static bool derive(EVP_PKEY_CTX *ctx, EVP_PKEY *peer, u8 shared[32])
{
	size_t len = PBFT_CURVE_KEY_LEN;

	return EVP_PKEY_derive_init(ctx) == 1 &&
	       EVP_PKEY_derive_set_peer(ctx, peer) == 1 &&
	       EVP_PKEY_derive(ctx, shared, &len) == 1 &&
	       len == PBFT_CURVE_KEY_LEN;
}

int pbft_shared_secret(u8 shared[32], const u8 own_private[32],
		       const u8 peer_public[32])
{
	static const u8 zero[32];
	EVP_PKEY *own = load_private(own_private);
	EVP_PKEY *peer = EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL,
						     peer_public,
						     PBFT_CURVE_KEY_LEN);
	EVP_PKEY_CTX *ctx = own ? EVP_PKEY_CTX_new(own, NULL) : NULL;
	int ret = -ENOMEM;

	if (ctx && peer) {
		/* libcrypto refuses points of low order; do not depend on it */
		if (derive(ctx, peer, shared) && CRYPTO_memcmp(shared, zero, 32))
			ret = 0;
		else
			ret = -EKEYREJECTED;
	}
	if (ret)
		explicit_bzero(shared, 32);
	EVP_PKEY_CTX_free(ctx);
	EVP_PKEY_free(peer);
	EVP_PKEY_free(own);
	ERR_clear_error();
	return ret;
}

/* ---- pairwise keys -------------------------------------------------- */

void pbft_pair_key_shared(const struct pbft_pair_id *id, const u8 shared[32],
			  const u8 own_public[32], const u8 peer_public[32],
			  u8 key_id, bool tx, struct pbft_mac_key *out)
{
	u8 key[SHA256_DIGEST_LENGTH];
	struct pbft_mac_key secret;
	struct pbft_kdf kdf;

	if (tx)
		pbft_kdf_fill(&kdf, id->cluster, id->epoch, id->self, own_public,
			      id->peer, peer_public, key_id);
	else
		pbft_kdf_fill(&kdf, id->cluster, id->epoch, id->peer, peer_public,
			      id->self, own_public, key_id);
	hmac_key_set(&secret, shared, PBFT_CURVE_KEY_LEN);
	hmac(&secret, &kdf, sizeof(kdf), key);
	pbft_mac_key_set(out, id->mac, key, sizeof(key));
	explicit_bzero(key, sizeof(key));
	explicit_bzero(&secret, sizeof(secret));
}

int pbft_pair_key(const struct pbft_pair_id *id, const u8 own_private[32],
		  const u8 own_public[32], const u8 peer_public[32],
		  u8 key_id, bool tx, struct pbft_mac_key *out)
{
	u8 shared[32];
	int ret = pbft_shared_secret(shared, own_private, peer_public);

	if (ret)
		return ret;
	pbft_pair_key_shared(id, shared, own_public, peer_public, key_id, tx, out);
	explicit_bzero(shared, sizeof(shared));
	return 0;
}
