/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PBFT_SHIM_LINUX_BITOPS_H
#define PBFT_SHIM_LINUX_BITOPS_H

#include <linux/types.h>
#include <limits.h>

#define BITS_PER_LONG ((int)(sizeof(long) * CHAR_BIT))
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits) unsigned long name[BITS_TO_LONGS(bits)]
#ifndef BIT
#define BIT(n) (1UL << (n))
#endif
#define BIT_ULL(n) (1ULL << (n))

static inline void __set_bit(unsigned long nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] |= 1UL << (nr % BITS_PER_LONG);
}

static inline void __clear_bit(unsigned long nr, unsigned long *map)
{
	map[nr / BITS_PER_LONG] &= ~(1UL << (nr % BITS_PER_LONG));
}

static inline bool __test_and_set_bit(unsigned long nr, unsigned long *map)
{
	unsigned long mask = 1UL << (nr % BITS_PER_LONG), *word = &map[nr / BITS_PER_LONG];
	bool was = *word & mask;

	*word |= mask;
	return was;
}

static inline bool test_bit(unsigned long nr, const unsigned long *map)
{
	return map[nr / BITS_PER_LONG] >> (nr % BITS_PER_LONG) & 1;
}

static inline unsigned int hweight64(u64 x)
{
	return __builtin_popcountll(x);
}

static inline unsigned int __ffs64(u64 x)
{
	return __builtin_ctzll(x);
}

static inline u64 rol64(u64 x, unsigned int shift)
{
	return x << (shift & 63) | x >> (-shift & 63);
}

#endif
