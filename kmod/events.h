/* SPDX-License-Identifier: GPL-2.0 */
/* Multicast of what happens to instances, in the order in which it happens. */
#ifndef PBFT_EVENTS_H
#define PBFT_EVENTS_H

#include "instance.h"

int pbft_events_init(struct pbft_instance *inst);
/* Send what is queued, then free. May sleep. */
void pbft_events_exit(struct pbft_instance *inst);

enum pbft_nl_event pbft_event_of_core(u8 code);
/*
 * Queue one, with the status as it is now. @core NULL: the instance is down.
 * With @core under inst->lock. @peer: the replica it is about, if any.
 */
void pbft_event_add(struct pbft_instance *inst, struct pbft_core *core,
		    enum pbft_nl_event event, u32 peer);
/* The same from outside of inst->lock. */
void pbft_event_now(struct pbft_instance *inst, enum pbft_nl_event event);

#endif /* PBFT_EVENTS_H */
