// SPDX-License-Identifier: GPL-2.0
/*
 * SipHash-2-4-128: the MAC of short messages that needs no tables, no vector
 * registers and no object of a crypto library, so that it costs the same in a
 * softirq as in a process. Neither time nor memory accesses depend on the key.
 */
#include <asm/byteorder.h>
#include <linux/bitops.h>
#include <linux/string.h>
#include "siphash.h"

static __always_inline u64 load(const u8 *p)
{
	__le64 word;

	memcpy(&word, p, sizeof(word));
	return le64_to_cpu(word);
}

static __always_inline void store(u8 *p, u64 value)
{
	__le64 word = cpu_to_le64(value);

	memcpy(p, &word, sizeof(word));
}

static __always_inline void sip_round(u64 v[4])
{
	v[0] += v[1];
	v[2] += v[3];
	v[1] = rol64(v[1], 13) ^ v[0];
	v[3] = rol64(v[3], 16) ^ v[2];
	v[0] = rol64(v[0], 32) + v[3];
	v[2] += v[1];
	v[3] = rol64(v[3], 21) ^ v[0];
	v[1] = rol64(v[1], 17) ^ v[2];
	v[2] = rol64(v[2], 32);
}

static __always_inline void absorb(u64 v[4], u64 word)
{
	v[3] ^= word;
	sip_round(v);
	sip_round(v);
	v[0] ^= word;
}

static __always_inline u64 squeeze(u64 v[4])
{
	sip_round(v);
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void pbft_siphash_key_set(struct pbft_siphash_key *key, const u8 *bytes)
{
	key->k[0] = load(bytes);
	key->k[1] = load(bytes + 8);
}

/* The bytes after the last whole word, below the low byte of the length. */
static __always_inline u64 last_word(const u8 *p, size_t len)
{
	u64 word = (u64)len << 56;
	unsigned int i;

	for (i = 0; i < len % 8; i++)
		word |= (u64)p[i] << 8 * i;
	return word;
}

void pbft_siphash(const struct pbft_siphash_key *key, const void *data,
		  size_t len, u8 out[PBFT_SIPHASH_LEN])
{
	const u8 *p = data, *end = p + (len & ~(size_t)7);
	/* "somepseudorandomlygeneratedbytes"; 0xee marks the longer output */
	u64 v[4] = {
		key->k[0] ^ 0x736f6d6570736575,
		key->k[1] ^ 0x646f72616e646f6d ^ 0xee,
		key->k[0] ^ 0x6c7967656e657261,
		key->k[1] ^ 0x7465646279746573,
	};

	for (; p < end; p += 8)
		absorb(v, load(p));
	absorb(v, last_word(p, len));
	v[2] ^= 0xee;
	store(out, squeeze(v));
	v[1] ^= 0xdd;
	store(out + 8, squeeze(v));
}
