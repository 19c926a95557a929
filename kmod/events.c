// SPDX-License-Identifier: GPL-2.0
/*
 * Events: queued where they happen, with the status of that moment, and
 * multicast by a work item in the same order. Listeners that need every event
 * watch for an overrun of their own socket; a queue that overflows here is
 * counted, and the status of the next event says what it has come to.
 */
#include <linux/slab.h>
#include "events.h"
#include "netlink.h"

#define EVENTS_MAX	64	/* a power of two */

struct pbft_event_rec {
	enum pbft_nl_event event;
	u32 peer;
	struct pbft_state_now now;
};

enum pbft_nl_event pbft_event_of_core(u8 code)
{
	static const u8 map[] = {
		[PBFT_EV_VIEW_CHANGE] = PBFT_NL_EV_VIEW_CHANGE,
		[PBFT_EV_NEW_VIEW] = PBFT_NL_EV_NEW_VIEW,
		[PBFT_EV_STABLE] = PBFT_NL_EV_STABLE,
		[PBFT_EV_QUORUM_LOST] = PBFT_NL_EV_QUORUM_LOST,
		[PBFT_EV_BEHIND] = PBFT_NL_EV_BEHIND,
		[PBFT_EV_SYNCED] = PBFT_NL_EV_SYNCED,
		[PBFT_EV_RECOVERED] = PBFT_NL_EV_RECOVERED,
		[PBFT_EV_EVIDENCE] = PBFT_NL_EV_EVIDENCE,
		[PBFT_EV_STOPPED] = PBFT_NL_EV_STOPPED,
	};

	return code < ARRAY_SIZE(map) ? map[code] : PBFT_NL_EV_SNAPSHOT;
}

void pbft_event_add(struct pbft_instance *inst, struct pbft_core *core,
		    enum pbft_nl_event event, u32 peer)
{
	struct pbft_event_rec *rec;

	spin_lock_bh(&inst->event_lock);
	if (inst->event_tail - inst->event_head >= EVENTS_MAX) {
		pbft_count(inst, PBFT_STAT_EVENTS_LOST);
	} else {
		rec = &inst->event[inst->event_tail++ % EVENTS_MAX];
		rec->event = event;
		rec->peer = peer;
		pbft_state_take(inst, core, &rec->now);
	}
	spin_unlock_bh(&inst->event_lock);
	queue_work(pbft_wq, &inst->event_work);
}

void pbft_event_now(struct pbft_instance *inst, enum pbft_nl_event event)
{
	struct pbft_core *core;
	u64 now;

	core = pbft_enter(inst, &now);
	pbft_event_add(inst, core, event, 0);
	pbft_leave(inst);
}

static int event_send(struct pbft_instance *inst,
		      const struct pbft_event_rec *rec)
{
	struct sk_buff *skb;
	void *hdr;

	skb = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	if (!skb)
		return -ENOMEM;
	hdr = genlmsg_put(skb, 0, 0, &pbft_genl_family, 0, PBFT_CMD_EVENT);
	if (!hdr || nla_put_u32(skb, PBFT_A_EVENT, rec->event) ||
	    (rec->event == PBFT_NL_EV_EVIDENCE &&
	     nla_put_u32(skb, PBFT_A_PEER_ID, rec->peer)) ||
	    pbft_state_put(skb, inst, &rec->now)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	/* That nobody listens is no error. */
	genlmsg_multicast_netns(&pbft_genl_family, inst->net, skb, 0, 0,
				GFP_KERNEL);
	return 0;
}

static void event_work(struct work_struct *work)
{
	struct pbft_instance *inst = container_of(work, struct pbft_instance,
						  event_work);
	struct pbft_event_rec *rec;

	for (;;) {
		spin_lock_bh(&inst->event_lock);
		rec = inst->event_head == inst->event_tail ? NULL :
			&inst->event[inst->event_head % EVENTS_MAX];
		spin_unlock_bh(&inst->event_lock);
		if (!rec)
			break;
		/* The place is ours until head moves on. */
		if (event_send(inst, rec))
			pbft_count(inst, PBFT_STAT_EVENTS_LOST);
		spin_lock_bh(&inst->event_lock);
		inst->event_head++;
		spin_unlock_bh(&inst->event_lock);
	}
}

int pbft_events_init(struct pbft_instance *inst)
{
	spin_lock_init(&inst->event_lock);
	INIT_WORK(&inst->event_work, event_work);
	inst->event = kvcalloc(EVENTS_MAX, sizeof(*inst->event), GFP_KERNEL);
	return inst->event ? 0 : -ENOMEM;
}

void pbft_events_exit(struct pbft_instance *inst)
{
	flush_work(&inst->event_work);
	kvfree(inst->event);
}
