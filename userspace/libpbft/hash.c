// SPDX-License-Identifier: GPL-2.0
/* The core's hash service on libcrypto. */
#define OPENSSL_SUPPRESS_DEPRECATED	/* no EVP object, no allocation per hash */
#include <openssl/sha.h>

#include "core/hash.h"

void pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
	       unsigned int cnt)
{
	SHA256_CTX ctx;
	unsigned int i;

	SHA256_Init(&ctx);
	for (i = 0; i < cnt; i++)
		SHA256_Update(&ctx, iov[i].base, iov[i].len);
	SHA256_Final(out->b, &ctx);
}
