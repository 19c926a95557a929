// SPDX-License-Identifier: GPL-2.0
/*
 * A history that is known in advance: what every state of it is, and, byte for byte,
 * what a peer gets of the copies at its checkpoints. It is made by a store that is
 * never closed.
 */
#include <stdio.h>

#include "copies.h"
#include "libpbft/kv.h"

#define LARGE	50000u		/* bytes: more than LMDB has in a page */

/* A copy, as a peer would get it. */
struct image {
	struct pbft_digest root;
	struct pbft_digest page[PBFT_TREE_PAGES], index[PBFT_TREE_PAGES];
};

struct pbft_store *twin;
struct pbft_digest roots[SEQ_MAX + 1];
u64 rng;

static struct image *images[SEQ_MAX + 1];
static struct pbft_store_results res;

/* ---- batches ---------------------------------------------------------------------- */

u32 below(u32 n)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (rng >> 33) % n;
}

/* A large value, by a client that begins a session each time. */
static int apply_large(struct pbft_store *st, const struct pbft_log_head *head)
{
	static u8 op[LARGE + 64], value[LARGE];
	struct pbft_store_req req = { 500, head->seq, 1, op, 0 };
	char key[16];
	int klen = snprintf(key, sizeof(key), "large-%u", (u32)(head->seq * 7 % 50 / 5));

	memset(value, head->seq, sizeof(value));
	req.op_len = head->seq % 35 ?
		pbft_kv_put(op, sizeof(op), key, klen, value, LARGE - head->seq * 50) :
		pbft_kv_delete(op, sizeof(op), key, klen);
	return pbft_store_apply(st, head, &req, 1, &res);
}

int apply(struct pbft_store *st)
{
	struct pbft_log_head head = { .seq = st->head.seq + 1 };
	static struct test_batch b;

	head.time = head.seq * 1000;
	head.chain.b[0] = head.seq;
	res.count = 0;
	res.len = 0;
	if (head.seq % 5 == 0)
		return apply_large(st, &head);
	if (head.seq % 9 == 1)
		return pbft_store_apply(st, &head, NULL, 0, &res);
	/* the clients' t must have no gaps */
	test_batch(&b, head.seq - 1 - head.seq / 5 - (head.seq + 8) / 9 +
		   (head.seq + 35) / 45, 10);
	return pbft_store_apply(st, &head, b.reqs, b.count, &res);
}

static bool checkpoint(struct pbft_store *st)
{
	struct pbft_digest root;

	if (pbft_store_checkpoint(st, &root))
		return false;
	if (st->head.seq > L)
		pbft_store_discard(st, st->head.seq - L);
	return st == twin || pbft_digest_eq(&root, &roots[st->head.seq]);
}

/* It ended between the batch and the checkpoint, which is then asked for again. */
static bool has_no_copy(struct pbft_store *st)
{
	return st->head.seq && st->head.seq % K == 0 &&
	       !pbft_store_snapshot(st, st->head.seq, &roots[st->head.seq]);
}

bool go(struct pbft_store *st, u64 seq, u32 often)
{
	if (has_no_copy(st) && !checkpoint(st))
		return false;
	while (st->head.seq < seq) {
		if (apply(st))
			return false;
		if (often && !below(often) && pbft_store_commit(st))
			return false;
		if (st->head.seq % K == 0 && !checkpoint(st))
			return false;
	}
	return true;
}

/* ---- looking at copies ------------------------------------------------------------- */

static void hash(struct pbft_digest *out, const void *data, u64 len)
{
	const struct pbft_iov iov = { data, len };

	pbft_hash(out, &iov, 1);
}

static bool take_image(struct pbft_store *st, struct pbft_snapshot *s,
		       struct image *im)
{
	u32 i;

	im->root = s->tree.root.digest;
	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		u8 *page = NULL, *index = NULL;
		u64 plen = 0, ilen = 0;

		if (pbft_page_encode(st, &s->view, i, &page, &plen) ||
		    pbft_page_index(st, &s->view, i, &index, &ilen) ||
		    pbft_page_verify(i, &s->tree.page[i], page, plen) ||
		    !pbft_page_index_ok(i, &s->tree.page[i], index, ilen)) {
			printf("# copy %llu, page %u: %s\n", (unsigned long long)s->seq, i, st->err);
			free(page);
			free(index);
			return false;
		}
		hash(&im->page[i], page, plen);
		hash(&im->index[i], index, ilen);
		free(page);
		free(index);
	}
	return true;
}

static bool same_image(const struct image *a, const struct image *b)
{
	return !memcmp(a, b, sizeof(*a));
}

void prepare(u64 seq)
{
	while (twin->head.seq < seq) {
		u64 next = twin->head.seq + 1;

		if (!go(twin, next, 0) || pbft_store_root(twin, &roots[next])) {
			printf("Bail out! %s\n", twin->err);
			exit(1);
		}
		if (next % K)
			continue;
		images[next] = malloc(sizeof(*images[0]));
		if (!take_image(twin, twin->snapshots[twin->n_snapshots - 1], images[next])) {
			printf("Bail out! %s\n", twin->err);
			exit(1);
		}
	}
}

bool copies_right(struct pbft_store *st, u64 first, u64 last)
{
	static struct image im;
	u64 want = first;
	u32 i;

	for (i = 0; i < st->n_snapshots; i++) {
		struct pbft_snapshot *s = st->snapshots[i];

		if (s->seq > st->head.seq || s->seq % K || !images[s->seq] ||
		    !take_image(st, s, &im) || !same_image(&im, images[s->seq])) {
			printf("# the copy of %llu is another\n", (unsigned long long)s->seq);
			return false;
		}
		if (s->seq == want)
			want += K;
	}
	if (want <= last)
		printf("# no copy of %llu, in a state at %llu\n", (unsigned long long)want,
		     (unsigned long long)st->head.seq);
	return want > last;
}

/* All that are needed at @st's state, and the state. */
bool all_right(struct pbft_store *st)
{
	u64 last = (st->head.seq - has_no_copy(st)) / K * K;
	u64 first = last > L + K ? last - L : K;
	struct pbft_digest root;

	if (st->head.seq && (pbft_store_root(st, &root) ||
			     !pbft_digest_eq(&root, &roots[st->head.seq]))) {
		printf("# the state at %llu is another\n", (unsigned long long)st->head.seq);
		return false;
	}
	return copies_right(st, first, last);
}

void forget_history(void)
{
	u32 i;

	for (i = 0; i <= SEQ_MAX; i++)
		free(images[i]);
	pbft_store_results_free(&res);
	pbft_store_close(twin);
}
