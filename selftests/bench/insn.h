/* SPDX-License-Identifier: GPL-2.0 */
/* bench-insn: the cluster, and what is counted about it. */
#ifndef PBFT_BENCH_INSN_H
#define PBFT_BENCH_INSN_H

#include "core/core.h"

#define QUEUE		65536		/* datagrams under way */
#define REPLICAS_MAX	31
#define CLIENTS_MAX	256

/* Of all replicas and clients together. */
struct work {
	u64 messages, bytes;		/* sent, authentication included */
	u64 macs_made, macs_checked;
	u64 hashes, hashed_bytes;
	u64 copies, copied_bytes;	/* memcpy, memset and the like, by call */
	u64 allocations;
};

extern struct work work;

struct packet {
	u32 to;
	struct pbft_buf *buf;
};

struct client {
	u64 t;
	u32 replies;
};

struct cluster {
	struct pbft_config cfg;
	struct pbft_wire_id wire;
	struct pbft_core *core[REPLICAS_MAX];
	struct client clients[CLIENTS_MAX];
	u32 n_clients, request;
	u64 now, seq_before;
	u64 issued, done, target;	/* operations */
	struct pbft_result results[PBFT_BATCH_MAX];
	u8 result[PBFT_OP_MAX];
	u32 head, tail;
	struct packet queue[QUEUE];
};

void bench_measured(u64 ops);

#endif /* PBFT_BENCH_INSN_H */
