// SPDX-License-Identifier: GPL-2.0
/*
 * Counters as netlink attributes. The names are part of the interface: they
 * are never changed, only added to.
 */
#include <net/netlink.h>
#include <linux/pbft.h>
#include "counters.h"

static const char * const stat_names[PBFT_STAT_MAX] = {
	[PBFT_STAT_RX_PACKETS] = "rx_packets",
	[PBFT_STAT_RX_BYTES] = "rx_bytes",
	[PBFT_STAT_TX_PACKETS] = "tx_packets",
	[PBFT_STAT_TX_BYTES] = "tx_bytes",
	[PBFT_STAT_TX_NO_ROUTE] = "tx_no_route",
	[PBFT_STAT_TX_NO_ADDRESS] = "tx_no_address",
	[PBFT_STAT_TX_NO_KEY] = "tx_no_key",
	[PBFT_STAT_TX_NOMEM] = "tx_nomem",
	[PBFT_STAT_HELLO_STALE] = "hello_stale",
	[PBFT_STAT_INNER_BAD] = "inner_bad",
	[PBFT_STAT_KEY_CHANGES] = "key_changes",
	[PBFT_STAT_DAEMON_MESSAGES] = "daemon_messages",
	[PBFT_STAT_DAEMON_STALLS] = "daemon_stalls",
	[PBFT_STAT_PEER_SENT] = "peer_sent",
	[PBFT_STAT_PEER_RECEIVED] = "peer_received",
	[PBFT_STAT_PEER_LOST] = "peer_lost",
	[PBFT_STAT_EVENTS_LOST] = "events_lost",
};

#define CORE_COUNTER(_field) \
	{ #_field, offsetof(struct pbft_counters, _field) }

static const struct {
	const char *name;
	size_t offset;
} core_counters[] = {
	CORE_COUNTER(requests),
	CORE_COUNTER(requests_dup),
	CORE_COUNTER(pre_prepares),
	CORE_COUNTER(prepares),
	CORE_COUNTER(commits),
	CORE_COUNTER(votes_ignored),
	CORE_COUNTER(batches),
	CORE_COUNTER(batches_null),
	CORE_COUNTER(ops),
	CORE_COUNTER(replies),
	CORE_COUNTER(view_changes),
	CORE_COUNTER(new_views),
	CORE_COUNTER(new_views_bad),
	CORE_COUNTER(checkpoints),
	CORE_COUNTER(stable),
	CORE_COUNTER(fetches),
	CORE_COUNTER(proofs),
	CORE_COUNTER(state_fetches),
	CORE_COUNTER(evidence),
	CORE_COUNTER(out_dropped),
	CORE_COUNTER(held),
	CORE_COUNTER(clock_refused),
};

int pbft_counter_put(struct sk_buff *skb, int attr, const char *prefix,
		     const char *name, u64 value)
{
	struct nlattr *nest;
	char full[32];

	nest = nla_nest_start(skb, attr);
	if (!nest)
		return -EMSGSIZE;
	snprintf(full, sizeof(full), "%s%s", prefix, name);
	if (nla_put_string(skb, PBFT_COUNTER_A_NAME, full) ||
	    nla_put_u64_64bit(skb, PBFT_COUNTER_A_VALUE, value,
			      PBFT_COUNTER_A_PAD)) {
		nla_nest_cancel(skb, nest);
		return -EMSGSIZE;
	}
	nla_nest_end(skb, nest);
	return 0;
}

static u64 percpu_sum(const struct pbft_stats __percpu *stats, size_t offset)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu) {
		const char *base = (const char *)per_cpu_ptr(stats, cpu);

		sum += READ_ONCE(*(const unsigned long *)(base + offset));
	}
	return sum;
}

int pbft_stats_put(struct sk_buff *skb, int attr,
		   const struct pbft_stats __percpu *stats)
{
	size_t offset;
	int err, i;

	for (i = 0; i < PBFT_STAT_MAX; i++) {
		offset = offsetof(struct pbft_stats, stat) +
			 i * sizeof(unsigned long);
		err = pbft_counter_put(skb, attr, "", stat_names[i],
				       percpu_sum(stats, offset));
		if (err)
			return err;
	}
	for (i = PBFT_OK + 1; i < PBFT_DROP_MAX; i++) {
		offset = offsetof(struct pbft_stats, drop) +
			 i * sizeof(unsigned long);
		err = pbft_counter_put(skb, attr, "drop_", pbft_drop_name(i),
				       percpu_sum(stats, offset));
		if (err)
			return err;
	}
	return 0;
}

int pbft_core_counters_put(struct sk_buff *skb, int attr,
			   const struct pbft_counters *c)
{
	unsigned int i;
	u64 value;
	int err;

	for (i = 0; i < ARRAY_SIZE(core_counters); i++) {
		value = *(const u64 *)((const char *)c + core_counters[i].offset);
		err = pbft_counter_put(skb, attr, "", core_counters[i].name,
				       value);
		if (err)
			return err;
	}
	return 0;
}

static int nonzero_put(struct sk_buff *skb, int attr, const char *prefix,
		       const char *name, const atomic_long_t *value)
{
	unsigned long v = atomic_long_read(value);

	return v ? pbft_counter_put(skb, attr, prefix, name, v) : 0;
}

int pbft_peer_stats_put(struct sk_buff *skb, int attr,
			const struct pbft_peer_stats *stats)
{
	int err, i;

	err = nonzero_put(skb, attr, "", "rx", &stats->rx) ?:
	      nonzero_put(skb, attr, "", "tx", &stats->tx);
	for (i = PBFT_OK + 1; !err && i < PBFT_DROP_MAX; i++)
		err = nonzero_put(skb, attr, "drop_", pbft_drop_name(i),
				  &stats->drop[i]);
	return err;
}
