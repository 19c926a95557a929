/* SPDX-License-Identifier: GPL-2.0 */
/* A cluster on loopback for tests: keys, free ports, the cluster file's text. */
#ifndef PBFT_TEST_REPLICAS_H
#define PBFT_TEST_REPLICAS_H

#include "libpbft/client.h"
#include "libpbft/crypto.h"

#define TEST_CLIENT	100u
#define TEST_CLIENTS	4u
#define TEST_N_MAX	31u

struct test_cluster {
	u32 n;
	u8 keys[TEST_N_MAX][32];
	u8 client_keys[TEST_CLIENTS][32];
	struct pbft_cluster cluster;
	char text[32 * 1024];
};

/* @options: more lines of [Cluster]. false: err on stdout as a diagnostic. */
bool test_cluster_make(struct test_cluster *tc, u32 n, const char *options);

u64 test_now(void);

#endif /* PBFT_TEST_REPLICAS_H */
