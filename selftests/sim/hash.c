// SPDX-License-Identifier: GPL-2.0
/*
 * pbft_hash() for the simulator: 256 bits, fast, without secrets. No simulated
 * adversary searches for collisions, so mixing well is all it has to do; the
 * result depends on the concatenated bytes only, as SHA-256's does.
 */
#include "hash.h"
#include "sim.h"

struct mixer {
	u64 s[4];
	u64 total;
	u32 fill;
	union {
		u8 b[32];
		u64 w[4];
	} buf;
};

static u64 mum(u64 a, u64 b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (u64)m ^ (u64)(m >> 64);
}

static void mix_block(struct mixer *m, const u8 *p)
{
	u64 w[4], a, b;

	memcpy(w, p, sizeof(w));
	a = mum(m->s[0] ^ w[0] ^ 0xa0761d6478bd642full, m->s[1] ^ w[1] ^ 0xe7037ed1a0b428dbull);
	b = mum(m->s[2] ^ w[2] ^ 0x8ebc6af09c88c6e3ull, m->s[3] ^ w[3] ^ 0x589965cc75374cc3ull);
	m->s[0] = prng_rotl(m->s[0] + w[3], 23) ^ a;
	m->s[1] = prng_rotl(m->s[1] + w[2], 37) ^ b;
	m->s[2] = prng_rotl(m->s[2] + w[1], 17) ^ (a + 0x9e3779b97f4a7c15ull);
	m->s[3] = prng_rotl(m->s[3] + w[0], 41) ^ (b * 5 + 1);
}

static void mix_bytes(struct mixer *m, const u8 *p, size_t len)
{
	m->total += len;
	if (m->fill) {
		u32 part = min_t(size_t, len, 32 - m->fill);

		memcpy(m->buf.b + m->fill, p, part);
		m->fill += part;
		p += part;
		len -= part;
		if (m->fill < 32)
			return;
		mix_block(m, m->buf.b);
		m->fill = 0;
	}
	for (; len >= 32; len -= 32, p += 32)
		mix_block(m, p);
	if (len) {
		memcpy(m->buf.b, p, len);
		m->fill = len;
	}
}

void pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
	       unsigned int cnt)
{
	struct mixer m = { .s = { 1, 2, 3, 4 } };
	unsigned int i;
	u64 w[4];

	for (i = 0; i < cnt; i++)
		if (iov[i].len)
			mix_bytes(&m, iov[i].base, iov[i].len);
	memset(m.buf.b + m.fill, 0, 32 - m.fill);
	mix_block(&m, m.buf.b);
	for (i = 0; i < 4; i++)
		m.buf.w[i] = m.total + i;
	mix_block(&m, m.buf.b);
	for (i = 0; i < 4; i++)
		w[i] = prng_mix(m.s[i] + prng_mix(m.s[(i + 1) & 3]));
	memcpy(out->b, w, sizeof(w));
}

u64 sim_hash64(const void *data, u32 len)
{
	const u8 *p = data;
	u64 a = len ^ 0x589965cc75374cc3ull, b = 0x8ebc6af09c88c6e3ull, w[4];

	/* two at a time, neither waits for the other */
	for (; len >= 32; len -= 32, p += 32) {
		memcpy(w, p, 32);
		a = mum(a ^ w[0], w[1] ^ 0xe7037ed1a0b428dbull) + w[0];
		b = mum(b ^ w[2], w[3] ^ 0xa0761d6478bd642full) + w[2];
	}
	if (len >= 16) {
		memcpy(w, p, 16);
		a = mum(a ^ w[0], b ^ w[1] ^ 0xe7037ed1a0b428dbull) + b;
		b = prng_rotl(b, 29) ^ w[0];
		len -= 16;
		p += 16;
	}
	w[0] = 0;
	w[1] = 0;
	memcpy(w, p, len);
	return prng_mix(mum(a ^ w[0] ^ 0xa0761d6478bd642full, b ^ w[1]) + b);
}
