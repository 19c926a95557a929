// SPDX-License-Identifier: GPL-2.0
/*
 * MACs by the kernel's crypto API: one transform for each peer and direction,
 * keyed once, so that a MAC on the data path allocates nothing and sleeps never.
 */
#include <crypto/hash.h>
#include <linux/err.h>
#include <linux/string.h>
#include "compat.h"
#include "instance.h"
#include "mac.h"

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

	if (!family_known(name)) {
		*why = "the MAC must be hmac(...), cmac(...) or blake2...";
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

struct pbft_key *pbft_key_new(const char *mac, u8 id, const u8 *bytes)
{
	struct pbft_key *key;
	int err;

	key = kmalloc(sizeof(*key), GFP_KERNEL);
	if (!key)
		return ERR_PTR(-ENOMEM);
	key->id = id;
	key->tfm = crypto_alloc_shash(mac, 0, 0);
	if (IS_ERR(key->tfm)) {
		err = PTR_ERR(key->tfm);
		goto out_free;
	}
	err = -EINVAL;
	if (crypto_shash_digestsize(key->tfm) < PBFT_MAC_LEN)
		goto out_tfm;
	err = crypto_shash_setkey(key->tfm, bytes, PBFT_KEY_LEN);
	if (err)
		goto out_tfm;
	return key;

out_tfm:
	crypto_free_shash(key->tfm);
out_free:
	kfree(key);
	return ERR_PTR(err);
}

void pbft_key_free(struct pbft_key *key)
{
	if (!key)
		return;
	crypto_free_shash(key->tfm);	/* wipes the key */
	kfree(key);
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

int pbft_mac(const struct pbft_key *key, const void *data, u32 len,
	     u8 mac[PBFT_MAC_LEN])
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

bool pbft_mac_ok(const struct pbft_key *key, const void *data, u32 len,
		 const u8 mac[PBFT_MAC_LEN])
{
	u8 want[PBFT_MAC_LEN];

	return !pbft_mac(key, data, len, want) &&
	       !crypto_memneq(want, mac, PBFT_MAC_LEN);
}
