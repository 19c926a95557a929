/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulator's one source of chance: xoshiro256** seeded by splitmix64.
 * Streams for different purposes are derived from the seed, so that drawing
 * more in one place does not change what another place sees.
 */
#ifndef SIM_PRNG_H
#define SIM_PRNG_H

#include <linux/types.h>

struct prng {
	u64 s[4];
};

static inline u64 prng_mix(u64 x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

static inline void prng_seed(struct prng *r, u64 seed, u64 stream)
{
	u64 x = prng_mix(seed) ^ prng_mix(stream * 0xd1342543de82ef95ull + 1);
	int i;

	for (i = 0; i < 4; i++) {
		x = prng_mix(x);
		r->s[i] = x;
	}
}

static inline u64 prng_rotl(u64 x, int k)
{
	return (x << k) | (x >> (64 - k));
}

static inline u64 prng_u64(struct prng *r)
{
	u64 *s = r->s, out = prng_rotl(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = prng_rotl(s[3], 45);
	return out;
}

/* 0 .. n - 1; n > 0 */
static inline u64 prng_below(struct prng *r, u64 n)
{
	return (u64)(((__uint128_t)prng_u64(r) * n) >> 64);
}

static inline u64 prng_range(struct prng *r, u64 lo, u64 hi)
{
	return lo + prng_below(r, hi - lo + 1);
}

/* @ppm parts per million */
static inline bool prng_chance(struct prng *r, u32 ppm)
{
	return ppm && prng_below(r, 1000000) < ppm;
}

#endif /* SIM_PRNG_H */
