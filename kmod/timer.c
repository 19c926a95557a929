// SPDX-License-Identifier: GPL-2.0
/*
 * One timer serves the whole core. Most messages move the core's deadline away;
 * then the timer is left alone, fires early, and is set anew: cheaper than
 * setting it with every message.
 */
#include <linux/ktime.h>
#include "compat.h"
#include "disk.h"

/* However short the core's deadline: leave the processor to others as well. */
#define TIMER_MIN_NS	20000

static enum hrtimer_restart timer_fires(struct hrtimer *timer)
{
	struct pbft_instance *inst = container_of(timer, struct pbft_instance,
						  timer);
	struct pbft_core *core;
	u64 now;

	core = pbft_enter(inst, &now);
	inst->armed = 0;
	if (core && pbft_disk_ready(inst)) {
		/* The wall clock may have been set since. */
		pbft_set_wall_offset(core, ktime_get_real_ns() - now);
		pbft_tick(core, now);
	}
	pbft_leave(inst);	/* which sets the timer again */
	return HRTIMER_NORESTART;
}

void pbft_timer_init(struct pbft_instance *inst)
{
	pbft_compat_hrtimer_setup(&inst->timer, timer_fires);
}

void pbft_timer_update(struct pbft_instance *inst, u64 now)
{
	u64 deadline = pbft_next_deadline(inst->core);

	/* With the journal behind there are no ticks; when it has room, we are called. */
	if (inst->stopped || !pbft_disk_ready(inst))
		return;
	deadline = max(deadline, now + TIMER_MIN_NS);
	if (inst->armed && inst->armed <= deadline)
		return;
	if (deadline > KTIME_MAX)
		return;
	inst->armed = deadline;
	hrtimer_start(&inst->timer, ns_to_ktime(deadline),
		      HRTIMER_MODE_ABS_SOFT);
}

void pbft_timer_stop(struct pbft_instance *inst)
{
	/* inst->core is NULL: a timer that fires now does not set itself. */
	hrtimer_cancel(&inst->timer);
	inst->armed = 0;
}
