/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A histogram of latencies: 128 linear steps for every power of two, so that a
 * quantile is right to within 1 percent from nanoseconds to centuries.
 */
#ifndef PBFT_BENCH_HIST_H
#define PBFT_BENCH_HIST_H

#include "core/types.h"

#define HIST_BITS	7
#define HIST_STEPS	(1 << HIST_BITS)
#define HIST_BUCKETS	((64 - HIST_BITS + 1) * HIST_STEPS)

struct hist {
	u64 count, min, max;
	double sum;
	u64 bucket[HIST_BUCKETS];
};

void hist_add(struct hist *h, u64 value);
/* The value that a fraction @q (0..1) of all values do not exceed. */
u64 hist_quantile(const struct hist *h, double q);
/* The highest value that falls into a bucket. */
u64 hist_upper(u32 bucket);

static inline double hist_mean(const struct hist *h)
{
	return h->count ? h->sum / h->count : 0;
}

#endif /* PBFT_BENCH_HIST_H */
