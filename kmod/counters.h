/* SPDX-License-Identifier: GPL-2.0 */
/* What an instance and its peers count, and under which names netlink shows it. */
#ifndef PBFT_COUNTERS_H
#define PBFT_COUNTERS_H

#include <linux/atomic.h>
#include <linux/percpu.h>
#include "core/core.h"

struct sk_buff;

enum pbft_stat {
	PBFT_STAT_RX_PACKETS,	/* datagrams received */
	PBFT_STAT_RX_BYTES,	/* of UDP payload */
	PBFT_STAT_TX_PACKETS,
	PBFT_STAT_TX_BYTES,
	PBFT_STAT_TX_NO_ROUTE,
	PBFT_STAT_TX_NO_ADDRESS,	/* a client that has not said HELLO, or is gone */
	PBFT_STAT_TX_NO_KEY,
	PBFT_STAT_TX_NOMEM,
	PBFT_STAT_HELLO_STALE,	/* HELLO not newer than the last */
	PBFT_STAT_INNER_BAD,	/* requests carried by others whose MAC for us fails */
	PBFT_STAT_KEY_CHANGES,	/* peers seen to use a new key generation */
	PBFT_STAT_DAEMON_MESSAGES,	/* delivered to the daemon */
	PBFT_STAT_DAEMON_STALLS,	/* its socket was full, or memory short */
	PBFT_STAT_PEER_SENT,	/* datagrams for other daemons */
	PBFT_STAT_PEER_RECEIVED,
	PBFT_STAT_PEER_LOST,	/* dropped: queue full or nobody bound */
	PBFT_STAT_EVENTS_LOST,
	PBFT_STAT_MAX
};

struct pbft_stats {
	unsigned long stat[PBFT_STAT_MAX];
	unsigned long drop[PBFT_DROP_MAX];
};

struct pbft_peer_stats {
	atomic_long_t rx;	/* authentic messages */
	atomic_long_t tx;
	atomic_long_t drop[PBFT_DROP_MAX];
};

/* Every counter is a pair of PBFT_COUNTER_A_NAME and _VALUE in a nest @attr. */
int pbft_counter_put(struct sk_buff *skb, int attr, const char *prefix,
		     const char *name, u64 value);
int pbft_stats_put(struct sk_buff *skb, int attr,
		   const struct pbft_stats __percpu *stats);
int pbft_core_counters_put(struct sk_buff *skb, int attr,
			   const struct pbft_counters *c);
/* Zeros are left out: there may be thousands of peers. */
int pbft_peer_stats_put(struct sk_buff *skb, int attr,
			const struct pbft_peer_stats *stats);

#endif /* PBFT_COUNTERS_H */
