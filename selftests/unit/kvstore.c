// SPDX-License-Identifier: GPL-2.0
/* Databases in a directory of their own, and batches that follow from a number. */
#include <ftw.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvstore.h"
#include "libpbft/kv.h"

static char top[64];
static int remove_one(const char *path, const struct stat *sb, int type,
		      struct FTW *ftw)
{
	return remove(path);
}

static void remove_top(void)
{
	if (top[0])
		nftw(top, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

const char *test_path(const char *name)
{
	static char path[4][128];
	static int turn;

	turn = (turn + 1) % 4;
	snprintf(path[turn], sizeof(path[turn]), "%s/%s", top, name);
	return path[turn];
}

void test_begin(void)
{
	snprintf(top, sizeof(top), "/tmp/pbft-kvstore-XXXXXX");
	if (!mkdtemp(top)) {
		printf("Bail out! cannot make %s\n", top);
		exit(1);
	}
	atexit(remove_top);
}

int test_open(struct pbft_store **st, const char *name, u64 cluster, u32 epoch,
	      u32 self, bool check, char *err)
{
	struct pbft_store_opts opts = {
		.dir = test_path(name), .cluster = cluster, .epoch = epoch,
		.self = self, .check = check, .map_size = 1u << 30,
	};

	err[0] = 0;
	return pbft_store_open(st, &opts, err, PBFT_ERR_MAX);
}

struct pbft_store *test_store(const char *name, u32 self)
{
	char err[PBFT_ERR_MAX];
	struct pbft_store *st;

	if (test_open(&st, name, TEST_CLUSTER, 1, self, false, err)) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	/* opts.dir pointed at the caller's rotating buffer. */
	st->opts.dir = "test store";
	return st;
}

/* ---- batches -------------------------------------------------------------------- */

static u64 rnd(u64 *s)
{
	*s ^= *s << 13;
	*s ^= *s >> 7;
	*s ^= *s << 17;
	return *s;
}

static int random_op(u8 *op, size_t cap, u64 *s)
{
	u8 value[200];
	char key[32];
	int klen = snprintf(key, sizeof(key), "key/%04u", (u32)(rnd(s) % 3000));
	u32 vlen = rnd(s) % sizeof(value), i;

	for (i = 0; i < vlen; i++)
		value[i] = rnd(s);
	switch (rnd(s) % 10) {
	case 0:
		return pbft_kv_delete(op, cap, key, klen);
	case 1:
		return pbft_kv_get(op, cap, key, klen);
	case 2:
		return pbft_kv_cas(op, cap, key, klen, NULL, 0, false, value, vlen);
	case 3:
		return pbft_kv_list(op, cap, "key/00", 6, NULL, 0, 5);
	case 4:
		op[0] = rnd(s);	/* malformed, mostly */
		return 1;
	default:
		return pbft_kv_put(op, cap, key, klen, value, vlen);
	}
}

/* Each client's t follows from @seed; a hundred of them make a session. */
void test_batch(struct test_batch *b, u64 seed, u32 count)
{
	u64 s = seed * 0x9e3779b97f4a7c15ull + 1;
	u32 i;

	b->count = count;
	for (i = 0; i < count; i++) {
		struct pbft_store_req *r = &b->reqs[i];

		r->client = 100 + i;
		r->session = 1000 + seed / 100;
		r->t = seed % 100 + 1;
		if (i == count - 1 && seed % 5 == 4)
			r->t -= rnd(&s) % 4;	/* a retransmission */
		r->op = b->ops[i];
		r->op_len = random_op(b->ops[i], sizeof(b->ops[i]), &s);
	}
}

int test_apply(struct pbft_store *st, u64 seq, struct pbft_store_results *out)
{
	struct pbft_log_head head = { .seq = seq, .time = seq * 1000 };
	static struct test_batch b;

	head.chain.b[0] = seq;
	if (seq % 7 == 0)
		return pbft_store_apply(st, &head, NULL, 0, out);
	test_batch(&b, seq - 1 - seq / 7, 10);
	return pbft_store_apply(st, &head, b.reqs, b.count, out);
}

void test_fill(struct pbft_store *st, u64 seq, u32 group)
{
	struct pbft_store_results res = { 0 };
	u32 n = 0;

	while (st->head.seq < seq) {
		if (test_apply(st, st->head.seq + 1, &res) ||
		    (++n % group == 0 && pbft_store_commit(st))) {
			printf("Bail out! %s\n", st->err);
			exit(1);
		}
	}
	if (pbft_store_commit(st)) {
		printf("Bail out! %s\n", st->err);
		exit(1);
	}
	pbft_store_results_free(&res);
}
