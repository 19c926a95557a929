/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A cluster that only pretends: scripted replicas on loopback, in the thread of
 * the test, that behave towards one client as told.
 */
#ifndef PBFT_FAKE_CLUSTER_H
#define PBFT_FAKE_CLUSTER_H

#include "core/frag.h"
#include "core/wire.h"
#include "libpbft/cluster.h"
#include "libpbft/crypto.h"

#define FAKE_N		4
#define FAKE_CLIENT	100
#define FAKE_QUEUE	1024

enum fake_way {
	FAKE_SILENT = 1 << 0,
	FAKE_LIE = 1 << 1,		/* another result, consistent in itself */
	FAKE_BAD_MAC = 1 << 2,
	FAKE_BAD_BODY = 1 << 3,		/* result and digest do not belong together */
	FAKE_TENTATIVE = 1 << 4,
	FAKE_STALE = 1 << 5,
	FAKE_GARBAGE = 1 << 6,		/* noise before every reply */
};

struct fake_replica {
	int fd;
	u8 private_key[32], public_key[32];
	struct pbft_mac_key rx, tx;
	struct pbft_reasm reasm;
	struct sockaddr_storage client;
	socklen_t client_len;
	u64 hello_seq;

	/* the script */
	unsigned int way;	/* enum fake_way */
	u64 view;
	u8 key_id;
	u32 lose_hellos, lose_datagrams;	/* so many of the next */

	/* what was seen */
	u32 hellos, requests, fragments, malformed, to_all;
};

struct fake_reply {
	u8 replica;
	u32 len;
	u8 *data;
};

struct fake {
	struct pbft_cluster cluster;
	struct pbft_wire_id wire;
	enum pbft_mac_kind mac;
	struct pbft_node client_node;
	u8 client_private[32];
	struct fake_replica r[FAKE_N];

	/* the script */
	bool say_out_of_order;	/* instead of waiting for what is missing */
	bool reverse;		/* replies leave in reverse order */
	bool only_primary;	/* backups ignore requests */
	u32 result_len;		/* of results; 0: "r:" and the operation */
	u8 status;

	/* one session, executed in order */
	u64 session, next, seq, highest_held;
	struct pbft_buf *held[PBFT_CLIENT_WINDOW];
	u32 executed;

	struct fake_reply queue[FAKE_QUEUE];
	u32 queued;
};

void fake_init(struct fake *fk, bool ipv6, const char *mac);
void fake_exit(struct fake *fk);
/* Serve what has arrived. */
void fake_serve(struct fake *fk);
/* The result a correct replica gives for @op; NUL-terminated text. */
u32 fake_result(const struct fake *fk, const void *op, u32 len, u8 *out);

#endif /* PBFT_FAKE_CLUSTER_H */
