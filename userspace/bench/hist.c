// SPDX-License-Identifier: GPL-2.0
/* Latency histogram; see hist.h. */
#include <math.h>

#include "hist.h"

static u32 bucket_of(u64 value)
{
	u32 shift;

	if (value < HIST_STEPS)
		return value;
	shift = 63 - __builtin_clzll(value) - HIST_BITS;
	return (shift + 1) * HIST_STEPS + (value >> shift) - HIST_STEPS;
}

u64 hist_upper(u32 bucket)
{
	u32 shift;

	if (bucket < HIST_STEPS)
		return bucket;
	shift = bucket / HIST_STEPS - 1;
	return ((u64)(bucket % HIST_STEPS + HIST_STEPS) << shift) +
	       ((1ull << shift) - 1);
}

void hist_add(struct hist *h, u64 value)
{
	h->bucket[bucket_of(value)]++;
	if (!h->count || value < h->min)
		h->min = value;
	if (value > h->max)
		h->max = value;
	h->sum += value;
	h->count++;
}

u64 hist_quantile(const struct hist *h, double q)
{
	u64 rank = ceil(q * h->count), seen = 0;
	u32 i;

	if (!rank)
		rank = 1;
	for (i = 0; i < HIST_BUCKETS; i++) {
		seen += h->bucket[i];
		if (seen >= rank)
			return min(hist_upper(i), h->max);
	}
	return h->max;
}
