// SPDX-License-Identifier: GPL-2.0
/*
 * SHA-256 by the kernel's crypto API, which takes the processor's instructions
 * where there are any. One transform serves all: unkeyed, it has no state.
 */
#include <crypto/hash.h>
#include <linux/err.h>
#include "core/hash.h"
#include "hash.h"

static struct crypto_shash *sha256_tfm;

void pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
	       unsigned int cnt)
{
	SHASH_DESC_ON_STACK(desc, sha256_tfm);
	unsigned int i;
	int err;

	desc->tfm = sha256_tfm;
	err = crypto_shash_init(desc);
	for (i = 0; !err && i < cnt; i++) {
		if (iov[i].len)
			err = crypto_shash_update(desc, iov[i].base, iov[i].len);
	}
	if (!err)
		err = crypto_shash_final(desc, out->b);
	/*
	 * A synchronous unkeyed hash does not fail. If it ever did, a digest
	 * that equals nobody else's costs this replica its vote, not its safety.
	 */
	if (WARN_ON_ONCE(err))
		memset(out, 0xff, sizeof(*out));
}

int pbft_hash_init(void)
{
	sha256_tfm = crypto_alloc_shash("sha256", 0, 0);
	if (IS_ERR(sha256_tfm))
		return PTR_ERR(sha256_tfm);
	if (crypto_shash_digestsize(sha256_tfm) == PBFT_DIGEST_LEN)
		return 0;
	crypto_free_shash(sha256_tfm);
	return -EINVAL;
}

void pbft_hash_exit(void)
{
	crypto_free_shash(sha256_tfm);
}
