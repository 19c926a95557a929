// SPDX-License-Identifier: GPL-2.0
/*
 * pbft_hash() for the targets that run the core: fast, and of the concatenated
 * bytes only. A fuzzer that found a collision of it would find no bug.
 */
#include "fuzz.h"

static u64 mix(u64 x)
{
	x ^= x >> 32;
	x *= 0xd6e8feb86659fd93ull;
	x ^= x >> 32;
	return x;
}

struct lanes {
	u64 a, b;
	u64 word;
	u64 total;
};

static void put_word(struct lanes *s, u64 word)
{
	s->a = mix(s->a ^ word);
	s->b = mix(s->b + word * 0x9e3779b97f4a7c15ull) ^ s->a;
}

static void put(struct lanes *s, const u8 *p, size_t len)
{
	for (; len >= 8 && s->total % 8 == 0; p += 8, len -= 8, s->total += 8) {
		__le64 word;

		memcpy(&word, p, sizeof(word));
		put_word(s, le64_to_cpu(word));
	}
	while (len--) {
		s->word |= (u64)*p++ << s->total % 8 * 8;
		if (++s->total % 8)
			continue;
		put_word(s, s->word);
		s->word = 0;
	}
}

void pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov,
	       unsigned int cnt)
{
	struct lanes s = { .a = 1, .b = 2 };
	u64 w[4];
	u32 i;

	for (i = 0; i < cnt; i++)
		put(&s, iov[i].base, iov[i].len);
	w[0] = mix(s.a ^ s.word ^ s.total);
	w[1] = mix(s.b + w[0]);
	w[2] = mix(w[0] + w[1] + s.word);
	w[3] = mix(w[2] ^ s.b);
	memcpy(out->b, w, sizeof(w));
}

u64 fuzz_hash(u64 seed, const void *data, size_t len)
{
	struct pbft_iov iov[2] = { { &seed, sizeof(seed) }, { data, len } };
	struct pbft_digest d;
	u64 w;

	pbft_hash(&d, iov, 2);
	memcpy(&w, d.b, sizeof(w));
	return w;
}
