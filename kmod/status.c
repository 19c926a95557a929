// SPDX-License-Identifier: GPL-2.0
/* The status of an instance as attributes: the same in GET and in events. */
#include "netlink.h"

void pbft_state_take(const struct pbft_instance *inst,
		     const struct pbft_core *core, struct pbft_state_now *now)
{
	memset(now, 0, sizeof(*now));
	now->state = PBFT_STATE_DOWN;
	now->key_id = READ_ONCE(inst->key_id);
	if (!core)
		return;
	now->recovery = inst->daemon.recovery;
	pbft_status_get(core, &now->st);
	now->state = now->st.stopped ? PBFT_STATE_STOPPED : PBFT_STATE_UP;
	now->genesis = inst->conf.core.genesis;
	/* the daemon may not have heard yet that it is another state by now */
	if (now->st.fetching && inst->daemon.progress.seq == now->st.fetch_target)
		now->progress = inst->daemon.progress;
}

static u32 flags_of(const struct pbft_state_now *now)
{
	u32 flags = 0;

	if (now->st.pending)
		flags |= PBFT_F_PENDING;
	if (now->st.mute)
		flags |= PBFT_F_MUTE;
	if (now->st.bound)
		flags |= PBFT_F_BOUND;
	if (now->st.fetching)
		flags |= PBFT_F_FETCHING;
	if (now->genesis)
		flags |= PBFT_F_GENESIS;
	return flags;
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, PBFT_A_PAD);
}

static int running_put(struct sk_buff *skb, const struct pbft_state_now *now)
{
	const struct pbft_status *st = &now->st;
	struct pbft_nl_head head = pbft_nl_head_of(&st->head);

	if (put_u64(skb, PBFT_A_VIEW, st->view) ||
	    nla_put_u32(skb, PBFT_A_PRIMARY, st->primary) ||
	    put_u64(skb, PBFT_A_STABLE, st->h) ||
	    put_u64(skb, PBFT_A_COMMITTED, st->last_committed) ||
	    nla_put(skb, PBFT_A_HEAD, sizeof(head), &head) ||
	    put_u64(skb, PBFT_A_CHECKPOINT, st->checkpoint) ||
	    nla_put(skb, PBFT_A_CHECKPOINT_DIGEST, PBFT_DIGEST_LEN,
		    st->checkpoint_app.b) ||
	    nla_put_u32(skb, PBFT_A_PENDING, st->pending_requests) ||
	    put_u64(skb, PBFT_A_MEMORY, st->memory))
		return -EMSGSIZE;
	if (st->fetching &&
	    put_u64(skb, PBFT_A_FETCH_TARGET, st->fetch_target))
		return -EMSGSIZE;
	if (now->progress.total &&
	    (put_u64(skb, PBFT_A_FETCH_DONE, now->progress.done) ||
	     put_u64(skb, PBFT_A_FETCH_TOTAL, now->progress.total)))
		return -EMSGSIZE;
	if (st->mute &&
	    (put_u64(skb, PBFT_A_RECOVER_POINT, st->recover_point) ||
	     put_u64(skb, PBFT_A_RECOVER_VIEW, st->recover_view)))
		return -EMSGSIZE;
	return 0;
}

static int recovery_put(struct sk_buff *skb, const struct pbft_recovery *r)
{
	struct nlattr *nest;

	if (r->state == PBFT_RECOVERY_NONE)
		return 0;
	nest = nla_nest_start(skb, PBFT_A_RECOVERY);
	if (!nest || nla_put_u32(skb, PBFT_RECOVERY_A_STATE, r->state) ||
	    (r->scheduled && nla_put_flag(skb, PBFT_RECOVERY_A_SCHEDULED)) ||
	    nla_put_u64_64bit(skb, PBFT_RECOVERY_A_SEQ, r->seq,
			      PBFT_RECOVERY_A_PAD) ||
	    nla_put_u32(skb, PBFT_RECOVERY_A_TOTAL, r->total) ||
	    nla_put_u32(skb, PBFT_RECOVERY_A_CHECKED, r->checked) ||
	    nla_put_u32(skb, PBFT_RECOVERY_A_DAMAGED, r->damaged) ||
	    nla_put_u32(skb, PBFT_RECOVERY_A_REPAIRED, r->repaired) ||
	    nla_put_u64_64bit(skb, PBFT_RECOVERY_A_ENDED, r->ended,
			      PBFT_RECOVERY_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

int pbft_state_put(struct sk_buff *skb, const struct pbft_instance *inst,
		   const struct pbft_state_now *now)
{
	if (nla_put_string(skb, PBFT_A_NAME, inst->name) ||
	    nla_put_u32(skb, PBFT_A_ID, inst->id) ||
	    nla_put_u32(skb, PBFT_A_SELF, inst->conf.self.self) ||
	    nla_put_u32(skb, PBFT_A_STATE, now->state) ||
	    nla_put_u8(skb, PBFT_A_KEY_ID, now->key_id) ||
	    nla_put_u32(skb, PBFT_A_FLAGS, flags_of(now)))
		return -EMSGSIZE;
	if (now->state == PBFT_STATE_DOWN)
		return 0;
	if (now->st.reason &&
	    nla_put_string(skb, PBFT_A_REASON, now->st.reason))
		return -EMSGSIZE;
	return running_put(skb, now) ?: recovery_put(skb, &now->recovery);
}
