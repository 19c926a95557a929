/* SPDX-License-Identifier: GPL-2.0 */
/* What the tests of the store share: databases in a directory of their own. */
#ifndef PBFT_TEST_KVSTORE_H
#define PBFT_TEST_KVSTORE_H

#include "pbftd/store.h"

#define TEST_CLUSTER	0x1234ull

/* First of all. */
void test_begin(void);

/* A path in the test's own directory, which is removed at exit. */
const char *test_path(const char *name);

int test_open(struct pbft_store **st, const char *name, u64 cluster, u32 epoch,
	      u32 self, bool check, char *err);
/* Open or create; the test ends if that fails. */
struct pbft_store *test_store(const char *name, u32 self);

/* A batch of @count operations of @client, pseudo-random from @seed. */
struct test_batch {
	struct pbft_store_req reqs[PBFT_BATCH_MAX];
	u8 ops[PBFT_BATCH_MAX][512];
	u32 count;
};

void test_batch(struct test_batch *b, u64 seed, u32 count);

/* Apply the batch of @seq that follows from its number alone. */
int test_apply(struct pbft_store *st, u64 seq, struct pbft_store_results *res);

/* ... up to and including @seq, with a commit after every @group batches. */
void test_fill(struct pbft_store *st, u64 seq, u32 group);

#endif /* PBFT_TEST_KVSTORE_H */
