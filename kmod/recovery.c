// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery, as far as it is the kernel's: that the daemon is asked for one, what it
 * says of it, and that there is one at a time. The daemon does the rest: it moves
 * the keys on by SET_KEY when the new generation is on record, and checks its
 * state. The core knows nothing of it.
 */
#include <linux/ktime.h>
#include "apply.h"
#include "events.h"

static void ended(struct pbft_instance *inst, struct pbft_core *core)
{
	inst->daemon.recovery.ended = ktime_get_real_ns();
	pbft_event_add(inst, core, PBFT_NL_EV_RECOVERY_ENDED, 0);
}

void pbft_recovery_lost(struct pbft_instance *inst, struct pbft_core *core)
{
	struct pbft_daemon *d = &inst->daemon;

	d->revalidate = false;
	if (d->recovery.state != PBFT_RECOVERY_RUNNING)
		return;
	d->recovery.state = PBFT_RECOVERY_GIVEN_UP;
	ended(inst, core);
}

void pbft_recovery_told(struct pbft_instance *inst, struct pbft_core *core,
			const struct pbft_recovery *r)
{
	struct pbft_recovery *was = &inst->daemon.recovery;
	bool ran = was->state == PBFT_RECOVERY_RUNNING;

	*was = *r;
	if (r->state != PBFT_RECOVERY_RUNNING)
		ended(inst, core);
	else if (!ran)
		pbft_event_add(inst, core, PBFT_NL_EV_RECOVERY_BEGUN, 0);
}

int pbft_recovery_ask(struct pbft_instance *inst)
{
	static const struct pbft_recovery begun = { .state = PBFT_RECOVERY_RUNNING };
	struct pbft_daemon *d = &inst->daemon;
	struct pbft_core *core;
	int err = 0;
	u64 now;

	core = pbft_enter(inst, &now);
	if (!core)
		err = -ENETDOWN;
	else if (inst->stopped)
		err = -ESHUTDOWN;
	else if (!d->portid)
		err = -ENOTCONN;
	else if (d->recovery.state == PBFT_RECOVERY_RUNNING)
		err = -EALREADY;
	if (!err) {
		/* from now on, not from the daemon's word on: who waits may look at once */
		pbft_recovery_told(inst, core, &begun);
		d->revalidate = true;
		queue_delayed_work(pbft_wq, &d->work, 0);
	}
	pbft_leave(inst);
	return err;
}
