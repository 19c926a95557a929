/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Whose turn it is to recover, by agreed time alone. An interval is divided into
 * slots, one for each group of f replicas by their ids; in each slot one group
 * recovers. Every replica works out the same from the same log, so never more than
 * f of them are at it in one slot.
 */
#ifndef PBFTD_SCHEDULE_H
#define PBFTD_SCHEDULE_H

#include "core/types.h"

struct pbft_schedule {
	u64 interval;		/* ns in which each recovers once; 0: none does */
	u32 n, f, self;		/* f is not 0 unless the interval is */
};

static inline u32 pbft_schedule_groups(const struct pbft_schedule *s)
{
	return DIV_ROUND_UP(s->n, s->f);
}

/* The slot that @time, ns since the epoch, is in. */
static inline u64 pbft_schedule_slot(const struct pbft_schedule *s, u64 time)
{
	return time / (s->interval / pbft_schedule_groups(s));
}

static inline bool pbft_schedule_turn(const struct pbft_schedule *s, u64 slot)
{
	return s->self / s->f == slot % pbft_schedule_groups(s);
}

#endif /* PBFTD_SCHEDULE_H */
