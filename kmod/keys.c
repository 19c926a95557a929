// SPDX-License-Identifier: GPL-2.0
/*
 * Pairwise keys from Curve25519 key pairs, as core/kdf.h defines them, and the
 * slots that hold them. A peer's generations advance by its own messages alone:
 * slots hold the newest generation it has proved and the one after, so that a
 * change of keys loses nothing; receive.c handles longer jumps. Old generations
 * never come back.
 */
#include <linux/err.h>
#include <linux/slab.h>
#include <linux/string.h>
#include "core/kdf.h"
#include "core/hash.h"
#include "compat.h"
#include "peer.h"

#define HMAC_BLOCK 64

bool pbft_curve_available(void)
{
#ifdef HAVE_CURVE25519
	return true;
#else
	return false;
#endif
}

bool pbft_public_key(u8 public_key[PBFT_KEY_LEN],
		     const u8 private_key[PBFT_KEY_LEN])
{
#ifdef HAVE_CURVE25519
	u8 secret[PBFT_KEY_LEN];
	bool ok;

	memcpy(secret, private_key, sizeof(secret));
	curve25519_clamp_secret(secret);
	ok = curve25519_generate_public(public_key, secret);
	memzero_explicit(secret, sizeof(secret));
	return ok;
#else
	return false;
#endif
}

static bool shared_secret(u8 shared[PBFT_KEY_LEN],
			  const u8 private_key[PBFT_KEY_LEN],
			  const u8 public_key[PBFT_KEY_LEN])
{
#ifdef HAVE_CURVE25519
	u8 secret[PBFT_KEY_LEN];
	bool ok;

	memcpy(secret, private_key, sizeof(secret));
	curve25519_clamp_secret(secret);
	ok = curve25519(shared, secret, public_key);
	memzero_explicit(secret, sizeof(secret));
	return ok;
#else
	return false;
#endif
}

/* HMAC-SHA256 with a key no longer than a block; only for derivation. */
static void hmac_sha256(struct pbft_digest *out, const u8 key[PBFT_KEY_LEN],
			const void *data, size_t len)
{
	u8 pad[HMAC_BLOCK];
	struct pbft_digest inner;
	struct pbft_iov iov[2] = { { pad, sizeof(pad) }, { data, len } };
	unsigned int i;

	memset(pad, 0x36, sizeof(pad));
	for (i = 0; i < PBFT_KEY_LEN; i++)
		pad[i] ^= key[i];
	pbft_hash(&inner, iov, 2);

	memset(pad, 0x5c, sizeof(pad));
	for (i = 0; i < PBFT_KEY_LEN; i++)
		pad[i] ^= key[i];
	iov[1].base = &inner;
	iov[1].len = sizeof(inner);
	pbft_hash(out, iov, 2);

	memzero_explicit(pad, sizeof(pad));
	memzero_explicit(&inner, sizeof(inner));
}

struct pbft_key *pbft_derive_key(const struct pbft_peer *peer,
				 const struct pbft_identity *id, u8 key_id,
				 bool tx)
{
	struct pbft_digest bytes;
	struct pbft_key *key;
	struct pbft_kdf kdf;

	if (tx)
		pbft_kdf_fill(&kdf, id->cluster, id->epoch,
			      id->self, id->public_key,
			      peer->id, peer->public_key, key_id);
	else
		pbft_kdf_fill(&kdf, id->cluster, id->epoch,
			      peer->id, peer->public_key,
			      id->self, id->public_key, key_id);
	hmac_sha256(&bytes, peer->shared, &kdf, sizeof(kdf));
	key = pbft_key_new(id->mac, key_id, bytes.b);
	memzero_explicit(&bytes, sizeof(bytes));
	return key;
}

int pbft_peer_derive(struct pbft_peer *peer, const struct pbft_identity *id,
		     const u8 public_key[PBFT_KEY_LEN], u8 tx_id)
{
	struct pbft_key *key;
	u8 i;

	if (!shared_secret(peer->shared, id->private_key, public_key))
		return -EKEYREJECTED;
	memcpy(peer->public_key, public_key, PBFT_KEY_LEN);
	peer->derived = true;

	/* Not published yet: whatever is set is freed with the peer. */
	key = pbft_derive_key(peer, id, tx_id, true);
	if (IS_ERR(key))
		return PTR_ERR(key);
	RCU_INIT_POINTER(peer->tx[0], key);
	for (i = 0; i < 2; i++) {
		key = pbft_derive_key(peer, id, i, false);
		if (IS_ERR(key))
			return PTR_ERR(key);
		RCU_INIT_POINTER(peer->rx[i], key);
	}
	return 0;
}

struct pbft_key *pbft_key_find(struct pbft_key __rcu * const slots[2], u8 id)
{
	struct pbft_key *key;
	int i;

	for (i = 0; i < 2; i++) {
		key = rcu_dereference_check(slots[i], rcu_read_lock_bh_held());
		if (key && key->id == id)
			return key;
	}
	return NULL;
}

struct pbft_key *pbft_key_install(struct pbft_key __rcu *slots[2],
				  struct pbft_key *key, u8 keep)
{
	struct pbft_key *old[2];
	int i, slot;

	/* Callers hold the key_mutex of the instance, or own an unpublished peer. */
	for (i = 0; i < 2; i++)
		old[i] = rcu_dereference_protected(slots[i], true);
	if (old[0] && old[0]->id == key->id)
		slot = 0;
	else if (old[1] && old[1]->id == key->id)
		slot = 1;
	else if (!old[0] || !old[1])
		slot = old[0] ? 1 : 0;
	else
		slot = old[0]->id == keep ? 1 : 0;
	rcu_assign_pointer(slots[slot], key);
	return old[slot];
}
