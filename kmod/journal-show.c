// SPDX-License-Identifier: GPL-2.0
/* What GET says of an instance's journal. */
#include "disk.h"
#include "netlink.h"

void pbft_disk_show(const struct pbft_instance *inst, struct pbft_disk_now *now)
{
	const struct pbft_disk *disk = inst->disk;

	memset(now, 0, sizeof(*now));
	now->mode = PBFT_JOURNAL_NONE;
	if (!disk)
		return;
	now->mode = disk->mode;
	now->replayed = disk->replayed;
	now->stats = disk->shown;
	if (disk->torn)
		now->flags |= PBFT_JF_TORN;
	if (disk->damaged)
		now->flags |= PBFT_JF_DAMAGED;
	if (disk->failed)
		now->flags |= PBFT_JF_FAILED;
}

static int put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, PBFT_JOURNAL_A_PAD);
}

static int stats_put(struct sk_buff *skb, const struct pbft_disk_now *now)
{
	const struct pbft_journal_stats *s = &now->stats;

	if (nla_put_u32(skb, PBFT_JOURNAL_A_MODE, now->mode))
		return -EMSGSIZE;
	if (now->mode == PBFT_JOURNAL_NONE)
		return 0;
	if (nla_put_u32(skb, PBFT_JOURNAL_A_FLAGS, now->flags) ||
	    put_u64(skb, PBFT_JOURNAL_A_SIZE, s->size) ||
	    put_u64(skb, PBFT_JOURNAL_A_USED, s->used) ||
	    put_u64(skb, PBFT_JOURNAL_A_RECORDS, s->records) ||
	    put_u64(skb, PBFT_JOURNAL_A_FRAMES, s->frames) ||
	    put_u64(skb, PBFT_JOURNAL_A_SYNCS, s->syncs) ||
	    put_u64(skb, PBFT_JOURNAL_A_BYTES, s->bytes) ||
	    put_u64(skb, PBFT_JOURNAL_A_COMPACTIONS, s->compactions) ||
	    put_u64(skb, PBFT_JOURNAL_A_REPLAYED, now->replayed))
		return -EMSGSIZE;
	return 0;
}

int pbft_disk_put(struct sk_buff *skb, const struct pbft_disk_now *now)
{
	struct nlattr *nest = nla_nest_start(skb, PBFT_A_JOURNAL);

	if (!nest)
		return -EMSGSIZE;
	if (stats_put(skb, now)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}
