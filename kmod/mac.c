// SPDX-License-Identifier: GPL-2.0
/*
 * MACs: SipHash of our own, or whatever the kernel's crypto API has, by one
 * transform for each peer and direction. Either is keyed once, so that a MAC on
 * the data path allocates nothing and sleeps never.
 */
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/string.h>
#include "compat.h"
#include "instance.h"
#include "mac.h"

static bool is_siphash(const char *name)
{
	return !strcmp(name, PBFT_SIPHASH_NAME);
}

/*
 * Only constructions that are a PRF for messages of any length: a bare
 * "cbcmac(aes)" or "ghash" would take our key and be forgeable.
 */
static const char * const families[] = { "hmac(", "cmac(", "blake2" };

static bool family_known(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(families); i++) {
		if (!strncmp(name, families[i], strlen(families[i])))
			return true;
	}
	return false;
}

int pbft_mac_check(const char *name, const char **why)
{
	static const u8 probe[PBFT_KEY_LEN];
	struct pbft_key *key;

	if (is_siphash(name))
		return 0;
	if (!family_known(name)) {
		*why = "the MAC must be siphash128, hmac(...), cmac(...) or blake2...";
		return -EINVAL;
	}
	key = pbft_key_new(name, 0, probe);
	if (IS_ERR(key)) {
		if (PTR_ERR(key) == -ENOMEM) {
			*why = "no memory for a MAC key";
			return -ENOMEM;
		}
		*why = "this kernel cannot make MACs by the algorithm of that name";
		return -EINVAL;
	}
	pbft_key_free(key);
	return 0;
}

static struct crypto_shash *tfm_new(const char *mac, const u8 *bytes)
{
	struct crypto_shash *tfm = crypto_alloc_shash(mac, 0, 0);
	int err = -EINVAL;

	if (IS_ERR(tfm))
		return tfm;
	if (crypto_shash_digestsize(tfm) >= PBFT_MAC_LEN)
		err = crypto_shash_setkey(tfm, bytes, PBFT_KEY_LEN);
	if (!err)
		return tfm;
	crypto_free_shash(tfm);
	return ERR_PTR(err);
}

struct pbft_key *pbft_key_new(const char *mac, u8 id, const u8 *bytes)
{
	struct pbft_key *key;
	int err;

	key = kzalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	key->id = id;
	if (is_siphash(mac)) {
		pbft_siphash_key_set(&key->sip, bytes);
		return key;
	}
	key->tfm = tfm_new(mac, bytes);
	if (!IS_ERR(key->tfm))
		return key;
	err = PTR_ERR(key->tfm);
	kfree(key);
	return ERR_PTR(err);
}

void pbft_key_free(struct pbft_key *key)
{
	if (!key)
		return;
	if (key->tfm)
		crypto_free_shash(key->tfm);	/* wipes the key */
	kfree_sensitive(key);
}

static void free_work_fn(struct work_struct *work)
{
	pbft_key_free(container_of(to_rcu_work(work), struct pbft_key, free_work));
}

void pbft_key_free_rcu(struct pbft_key *key)
{
	if (!key)
		return;
	/* Crypto transforms are not to be freed in a softirq. */
	INIT_RCU_WORK(&key->free_work, free_work_fn);
	queue_rcu_work(pbft_wq, &key->free_work);
}

/* With its large stack frame apart: SipHash does not pay for it. */
static noinline int mac_by_tfm(const struct pbft_key *key, const void *data,
			       u32 len, u8 mac[PBFT_MAC_LEN])
{
	SHASH_DESC_ON_STACK(desc, key->tfm);
	u8 full[HASH_MAX_DIGESTSIZE];
	int err;

	desc->tfm = key->tfm;
	err = crypto_shash_digest(desc, data, len, full);
	if (!err)
		memcpy(mac, full, PBFT_MAC_LEN);
	shash_desc_zero(desc);
	return err;
}

int pbft_mac(const struct pbft_key *key, const void *data, u32 len,
	     u8 mac[PBFT_MAC_LEN])
{
	BUILD_BUG_ON(PBFT_SIPHASH_LEN != PBFT_MAC_LEN);

	if (key->tfm)
		return mac_by_tfm(key, data, len, mac);
	pbft_siphash(&key->sip, data, len, mac);
	return 0;
}

bool pbft_mac_ok(const struct pbft_key *key, const void *data, u32 len,
		 const u8 mac[PBFT_MAC_LEN])
{
	u8 want[PBFT_MAC_LEN];

	return !pbft_mac(key, data, len, want) &&
	       !crypto_memneq(want, mac, PBFT_MAC_LEN);
}
