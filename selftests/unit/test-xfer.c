// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer between stores: peers 1..3 serve one state, peer 0 fetches it,
 * over a network that loses, doubles and delays, from peers that lie.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kvstore.h"
#include "libpbft/kv.h"
#include "pbftd/xfer.h"
#include "tap.h"

#define MTU	900
#define QUEUE	4096
#define MS	1000000ull

struct datagram {
	u32 from, to, len;
	u64 at;
	u8 data[MTU];
};

struct peer {
	u32 id;
	struct pbft_xfer *x;
};

enum mischief {
	LIES_PAGE = 1,		/* a byte of every page is another */
	LIES_NODE = 2,		/* ... of every interior node */
	LIES_SHORT = 4,		/* chunks of the wrong length */
	SILENT = 8,
};

static struct datagram *queue;
static u32 queued;
static struct peer peers[4];
static u64 now, rng;
static u32 loss, doubling;	/* percent */
static u32 mischief[4];
static u32 asked[4];		/* datagrams from 0 to each */
static u64 installed_seq;
static struct pbft_digest installed_root;

static u32 percent(void)
{
	rng = rng * 6364136223846793005ull + 1442695040888963407ull;
	return (rng >> 33) % 100;
}

static void misbehave(struct datagram *d)
{
	struct pbft_xfer_hdr *h = (void *)d->data;

	if (h->type != PBFT_XFER_DATA)
		return;
	if ((mischief[d->from] & LIES_PAGE && h->level >= PBFT_TREE_PAGE_LEVEL) ||
	    (mischief[d->from] & LIES_NODE && h->level < PBFT_TREE_PAGE_LEVEL))
		d->data[d->len - 1] ^= 1;
	if (mischief[d->from] & LIES_SHORT) {
		d->len--;
		h->len = cpu_to_le32(le32_to_cpu(h->len) - 1);
	}
}

static void enqueue(u32 from, u32 to, const void *data, u32 len)
{
	struct datagram *d = &queue[queued];

	if (queued == QUEUE || len > MTU)
		return;
	d->from = from;
	d->to = to;
	d->len = len;
	d->at = now + (1 + percent() % 5) * MS;
	memcpy(d->data, data, len);
	misbehave(d);
	queued++;
}

static void net_send(void *arg, u32 to, const void *data, u32 len)
{
	struct peer *p = arg;

	if (to > 3)
		return;
	asked[to] += !p->id;
	if (mischief[p->id] & SILENT || percent() < loss)
		return;
	enqueue(p->id, to, data, len);
	if (percent() < doubling)
		enqueue(p->id, to, data, len);
}

static void net_installed(void *arg, u64 seq, const struct pbft_digest *root)
{
	installed_seq = seq;
	installed_root = *root;
}

static const struct pbft_xfer_ops net_ops = { .send = net_send, .installed = net_installed };

/* Deliver what is due; return false when the fetch is over. */
static bool step(void)
{
	struct datagram d;
	u32 i;

	now += MS;
	for (i = 0; i < queued;) {
		if (queue[i].at > now) {
			i++;
			continue;
		}
		d = queue[i];
		queue[i] = queue[--queued];
		if (pbft_xfer_recv(peers[d.to].x, now, d.from, d.data, d.len))
			return false;
	}
	if (pbft_xfer_deadline(peers[0].x) <= now &&
	    pbft_xfer_tick(peers[0].x, now))
		return false;
	return pbft_xfer_active(peers[0].x);
}

static void network(struct pbft_store *source, struct pbft_store *sink)
{
	u32 i;

	for (i = 0; i < 4; i++) {
		pbft_xfer_destroy(peers[i].x);
		peers[i].id = i;
		peers[i].x = pbft_xfer_create(i ? source : sink, MTU, &net_ops,
					      &peers[i]);
	}
	memset(mischief, 0, sizeof(mischief));
	queued = 0;
	loss = 0;
	doubling = 0;
	installed_seq = 0;
}

static bool fetch(struct pbft_store *source, struct pbft_store *sink, u64 limit)
{
	u64 end = now + limit;

	if (pbft_xfer_fetch(peers[0].x, now, &source->head,
			    &source->tree.root.digest, 0xe)) {
		diag("%s", sink->err);
		return false;
	}
	while (now < end && step())
		;
	return !pbft_xfer_active(peers[0].x) &&
	       installed_seq == source->head.seq &&
	       pbft_digest_eq(&installed_root, &source->tree.root.digest);
}

static bool same_state(struct pbft_store *a, struct pbft_store *b)
{
	struct pbft_digest ra, rb;

	return a->head.seq == b->head.seq && a->head.time == b->head.time &&
	       pbft_digest_eq(&a->head.chain, &b->head.chain) &&
	       !pbft_store_root(a, &ra) && !pbft_store_root(b, &rb) &&
	       pbft_digest_eq(&ra, &rb) && !pbft_store_verify(b);
}

static void tell(const char *what)
{
	const struct pbft_xfer_stats *s = pbft_xfer_stats(peers[0].x);

	diag("%s: %llu pages, %llu nodes, %llu kept, %llu bytes, %llu timeouts, %llu bad, %llu unexpected",
	     what, (unsigned long long)s->pages, (unsigned long long)s->nodes,
	     (unsigned long long)s->pages_kept, (unsigned long long)s->bytes,
	     (unsigned long long)s->timeouts, (unsigned long long)s->bad,
	     (unsigned long long)s->unexpected);
}

/* After a transfer both must go on alike, from the sessions too. */
static bool go_on_alike(struct pbft_store *a, struct pbft_store *b)
{
	struct pbft_store_results ra = { 0 }, rb = { 0 };
	u64 seq = a->head.seq;
	bool same;
	u32 i;

	for (i = 1; i <= 10; i++)
		if (test_apply(a, seq + i, &ra) || test_apply(b, seq + i, &rb))
			return false;
	same = ra.count == rb.count && ra.len == rb.len &&
	       !memcmp(ra.buf, rb.buf, ra.len);
	for (i = 0; same && i < ra.count; i++)
		same = ra.r[i].status == rb.r[i].status;
	pbft_store_results_free(&ra);
	pbft_store_results_free(&rb);
	return same && !pbft_store_commit(a) && !pbft_store_commit(b) &&
	       same_state(a, b);
}

static void test_honest(struct pbft_store *src)
{
	struct pbft_store *empty = test_store("x-empty", 1);
	struct pbft_store *old = test_store("x-old", 1);

	network(src, empty);
	ok(fetch(src, empty, 60000 * MS) && same_state(src, empty),
	   "an empty store gets the state: %s", empty->err);
	tell("empty");
	pbft_store_close(empty);
	empty = test_store("x-empty", 1);
	ok(same_state(src, empty), "and still has it after a restart");
	pbft_store_close(empty);

	test_fill(old, src->head.seq - 12, 5);
	network(src, old);
	ok(fetch(src, old, 60000 * MS) && same_state(src, old),
	   "a store that is a little behind gets the state: %s", old->err);
	tell("behind");
	ok(pbft_xfer_stats(peers[0].x)->pages < 400 &&
	   pbft_xfer_stats(peers[0].x)->pages_kept > 1600,
	   "and fetches only what differs");
	pbft_store_close(old);
}

/* Watch a fetch. @first: when its numbers are first known. */
static bool progresses(struct pbft_store *src, struct pbft_xfer_progress *first)
{
	struct pbft_xfer_progress p, last = { 0 };
	u64 end = now + 60000 * MS;
	bool known = false, partly = false;

	memset(first, 0, sizeof(*first));
	if (pbft_xfer_progress(peers[0].x, &p) ||
	    pbft_xfer_fetch(peers[0].x, now, &src->head, &src->tree.root.digest, 0xe))
		return false;
	while (now < end && step()) {
		if (!pbft_xfer_progress(peers[0].x, &p)) {
			if (known)
				return false;
			continue;
		}
		if (!known)
			*first = p;
		known = true;
		if (p.seq != src->head.seq || p.total != first->total || p.done < last.done ||
		    p.done > p.total)
			return false;
		partly |= p.done > first->done && p.done < p.total;
		last = p;
	}
	return known && partly && !pbft_xfer_progress(peers[0].x, &p);
}

static void test_progress(struct pbft_store *src)
{
	struct pbft_store *empty = test_store("x-progress-empty", 1);
	struct pbft_store *old = test_store("x-progress-old", 1);
	struct pbft_xfer_progress first;
	u64 whole;

	network(src, empty);
	ok(progresses(src, &first) && same_state(src, empty),
	   "how much is here is known, and grows");
	ok(first.done < first.total / 2, "from little in an empty store: %llu of %llu",
	   (unsigned long long)first.done, (unsigned long long)first.total);
	whole = first.total;
	pbft_store_close(empty);

	test_fill(old, src->head.seq - 12, 5);
	network(src, old);
	ok(progresses(src, &first) && same_state(src, old),
	   "and in one that is a little behind");
	ok(first.total == whole && first.done > whole / 2,
	   "where most of the same bytes were here: %llu of %llu",
	   (unsigned long long)first.done, (unsigned long long)whole);
	pbft_store_close(old);
}

static void test_network(struct pbft_store *src)
{
	struct pbft_store *st = test_store("x-lossy", 1);

	network(src, st);
	loss = 20;
	doubling = 20;
	ok(fetch(src, st, 600000 * MS) && same_state(src, st),
	   "with a fifth of all datagrams lost and a fifth doubled");
	tell("lossy");
	pbft_store_close(st);

	st = test_store("x-away", 1);
	network(src, st);
	mischief[1] = SILENT;
	mischief[2] = SILENT;
	ok(fetch(src, st, 600000 * MS) && same_state(src, st),
	   "with two of three peers away");
	tell("away");
	pbft_store_close(st);
}

static void test_liars(struct pbft_store *src)
{
	static const struct {
		u32 kind;
		const char *what;
	} lies[] = {
		{ LIES_PAGE, "two peers lie about pages" },
		{ LIES_NODE, "two peers lie about the tree" },
		{ LIES_SHORT, "two peers answer with too few bytes" },
	};
	char name[16];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		struct pbft_store *st;
		const struct pbft_xfer_stats *s;

		snprintf(name, sizeof(name), "x-liar%u", i);
		st = test_store(name, 1);
		network(src, st);
		mischief[2] = lies[i].kind;
		mischief[3] = lies[i].kind;
		ok(fetch(src, st, 600000 * MS) && same_state(src, st), "%s",
		   lies[i].what);
		s = pbft_xfer_stats(peers[0].x);
		ok(s->bad + s->unexpected > 0, "... which is noticed and counted");
		tell(name);
		pbft_store_close(st);
	}

	{
		struct pbft_store *st = test_store("x-all", 1);

		network(src, st);
		mischief[1] = mischief[2] = mischief[3] = LIES_PAGE;
		ok(!fetch(src, st, 20000 * MS) && st->head.seq == 0 &&
		   installed_seq == 0,
		   "nothing is installed while every peer lies");
		mischief[3] = 0;
		while (step())
			;
		ok(same_state(src, st), "and all of it once one of them does not");
		pbft_store_close(st);
	}
}

static void test_retarget(struct pbft_store *src)
{
	struct pbft_store *st = test_store("x-moving", 1);
	struct pbft_digest root, first = src->tree.root.digest;
	u64 pages;

	network(src, st);
	pbft_xfer_fetch(peers[0].x, now, &src->head, &first, 0xe);
	while (pbft_xfer_stats(peers[0].x)->pages < 150 && step())
		;
	ok(st->head.seq == 0 && !st->n_snapshots &&
	   pbft_xfer_stats(peers[0].x)->pages > 100,
	   "half a state is neither the state nor served");
	pages = pbft_xfer_stats(peers[0].x)->pages;
	pbft_store_commit(st);
	pbft_store_close(st);
	st = test_store("x-moving", 1);

	test_fill(src, src->head.seq + 8, 3);
	pbft_store_checkpoint(src, &root);
	network(src, st);
	ok(fetch(src, st, 60000 * MS) && same_state(src, st),
	   "a newer target, after a restart: the state at the newer one");
	ok(pbft_xfer_stats(peers[0].x)->pages < 2048 - pages / 2,
	   "and what was fetched for the first is used");
	tell("retarget");
	ok(go_on_alike(src, st), "both go on alike");
	pbft_store_checkpoint(src, &root);
	pbft_store_close(st);
}

/* Another state of the source, whose fetch is looked at. */
static bool next_state(struct pbft_store *src, struct pbft_store *st)
{
	struct pbft_digest root;

	test_fill(src, src->head.seq + 6, 2);
	pbft_store_checkpoint(src, &root);
	memset(asked, 0, sizeof(asked));
	return fetch(src, st, 60000 * MS);
}

/* A peer serves another state than before. */
static void serves(u32 id, struct pbft_store *source)
{
	pbft_xfer_destroy(peers[id].x);
	peers[id].x = pbft_xfer_create(source, MTU, &net_ops, &peers[id]);
}

/* What is known of a silent peer outlives the target. */
static void test_silent(struct pbft_store *src)
{
	struct pbft_store *st = test_store("x-silent", 1), *none = test_store("x-none", 1);
	u32 i;

	network(src, st);
	mischief[1] = SILENT;
	ok(fetch(src, st, 60000 * MS), "a state, with one peer silent");
	for (i = 0; i < 3; i++) {
		u64 began = now;

		if (!next_state(src, st) || now - began > 400 * MS || asked[1] > 2)
			break;
	}
	ok(i == 3, "others come without waiting for it: %u questions", asked[1]);
	mischief[1] = 0;
	serves(1, none);
	now += 60000 * MS;
	next_state(src, st);
	serves(1, src);
	next_state(src, st);
	ok(asked[1] > 10 && same_state(src, st),
	   "when it has answered, if only that it has none, it is asked like others");
	pbft_store_close(st);
	serves(1, src);
	pbft_store_close(none);
}

static void test_overtaken(struct pbft_store *src)
{
	struct pbft_store *st = test_store("x-log", 1);
	struct pbft_digest root;
	u32 i;

	network(src, st);
	test_fill(st, src->head.seq - 3, 9);
	pbft_xfer_fetch(peers[0].x, now, &src->head, &src->tree.root.digest, 0xe);
	for (i = 0; i < 5; i++)
		step();
	ok(!pbft_xfer_cancel(peers[0].x), "a fetch is given up");
	test_fill(st, src->head.seq, 1);
	for (i = 0; i < 100; i++)
		step();
	ok(!pbft_xfer_active(peers[0].x) && installed_seq == 0 &&
	   same_state(src, st), "and the log goes on from where the state was");
	test_fill(st, src->head.seq + 5, 1);
	network(src, st);
	ok(fetch(src, st, 60000 * MS) && same_state(src, st),
	   "a target behind a wrong state replaces it");

	mischief[1] = mischief[2] = mischief[3] = SILENT;
	test_fill(src, src->head.seq + 3, 1);
	pbft_store_checkpoint(src, &root);
	pbft_xfer_fetch(peers[0].x, now, &src->head, &src->tree.root.digest, 0xe);
	ok(pbft_xfer_deadline(peers[0].x) != U64_MAX, "without peers it waits");
	pbft_store_close(st);
}

static void test_noise(struct pbft_store *src)
{
	struct pbft_store *st = test_store("x-noise", 1);
	u8 junk[MTU];
	u32 i, k;

	network(src, st);
	pbft_xfer_fetch(peers[0].x, now, &src->head, &src->tree.root.digest, 0xe);
	for (i = 0; i < 20000; i++) {
		u32 len = percent() * 9;
		struct pbft_xfer_hdr *h = (void *)junk;

		for (k = 0; k < len; k++)
			junk[k] = percent();
		if (percent() < 80 && len >= sizeof(*h)) {
			h->magic = cpu_to_le32(PBFT_XFER_MAGIC);
			h->version = PBFT_XFER_VERSION;
			h->type = 1 + percent() % 3;
			h->level = percent() % 6;
			h->index = cpu_to_le32(percent());
			h->rid = cpu_to_le32(percent() % 10);
			h->seq = cpu_to_le64(src->head.seq);
			h->offset = cpu_to_le64(percent() % 2 ? 0 : (u64)percent() << 57);
		}
		pbft_xfer_recv(peers[percent() % 2].x, now, percent(), junk, len);
		if (i % 100 == 0)
			step();
	}
	ok(true, "noise is survived");
	while (step())
		;
	ok(same_state(src, st), "and the state arrives all the same");
	tell("noise");
	pbft_store_close(st);
}

/* Values of 1500 bytes: pages of several chunks. @from..@to - 1, as of @version. */
static void fill_large(struct pbft_store *st, u32 from, u32 to, u8 version)
{
	static struct pbft_store_results res;
	static u8 op[2048], value[1500];
	u32 i;

	for (i = from; i < to; i++) {
		struct pbft_log_head head = { .seq = st->head.seq + 1 };
		struct pbft_store_req req = { 500, 1, head.seq, op, 0 };
		char key[16];
		int klen = snprintf(key, sizeof(key), "large-%u", i), len;

		memset(value, i, sizeof(value));
		value[7] = version;
		len = version ? pbft_kv_put(op, sizeof(op), key, klen, value,
					    sizeof(value)) :
				pbft_kv_delete(op, sizeof(op), key, klen);
		req.op_len = len;
		head.chain.b[0] = head.seq;
		if (pbft_store_apply(st, &head, &req, 1, &res))
			diag("%s", st->err);
		res.len = 0;
		res.count = 0;
	}
	pbft_store_results_free(&res);
}

static void test_delta(void)
{
	struct pbft_store *src = test_store("x-large", 0);
	struct pbft_store *st = test_store("x-delta", 1);
	const struct pbft_xfer_stats *s;
	struct pbft_digest root;

	fill_large(src, 0, 5000, 1);
	pbft_store_checkpoint(src, &root);
	network(src, st);
	ok(fetch(src, st, 600000 * MS) && same_state(src, st), "a larger state");
	tell("large");

	fill_large(src, 100, 200, 2);	/* changed */
	fill_large(src, 300, 400, 0);	/* gone */
	fill_large(src, 6000, 6100, 1);	/* new */
	pbft_store_checkpoint(src, &root);
	network(src, st);
	mischief[2] = LIES_PAGE;
	ok(fetch(src, st, 600000 * MS) && same_state(src, st),
	   "300 of its values change: the state arrives, liar or not");
	tell("delta");
	s = pbft_xfer_stats(peers[0].x);
	ok(s->indexes > 200 && s->bytes < 200 * 1500 * 2 &&
	   s->bytes_kept > 2 * s->bytes,
	   "and little more than what changed was fetched");
	pbft_store_close(st);

	st = test_store("x-delta2", 1);
	network(src, st);
	pbft_xfer_fetch(peers[0].x, now, &src->head, &src->tree.root.digest, 0xe);
	while (pbft_xfer_stats(peers[0].x)->pages < 150 && step())
		;
	fill_large(src, 0, 5000, 3);
	fill_large(src, 0, 4900, 2);
	fill_large(src, 0, 4800, 1);
	pbft_store_checkpoint(src, &root);
	loss = 10;
	ok(fetch(src, st, 600000 * MS) && same_state(src, st),
	   "a target that moves while the state is fetched");
	tell("moved");
	s = pbft_xfer_stats(peers[0].x);
	ok(s->indexes > 20 && s->bytes_kept > 20 * 1500, "and what was staged for the first is used");
	pbft_store_close(st);
	pbft_store_close(src);
}

int main(void)
{
	struct pbft_store *src;
	struct pbft_digest root;
	u32 i;

	test_begin();
	src = test_store("x-src", 0);
	queue = calloc(QUEUE, sizeof(*queue));
	now = 1000 * MS;
	test_fill(src, 640, 16);
	pbft_store_checkpoint(src, &root);
	test_honest(src);
	test_progress(src);
	test_network(src);
	test_liars(src);
	test_retarget(src);
	test_silent(src);
	test_overtaken(src);
	pbft_store_checkpoint(src, &root);
	test_noise(src);
	test_delta();
	for (i = 0; i < 4; i++)
		pbft_xfer_destroy(peers[i].x);
	free(queue);
	pbft_store_close(src);
	return done_testing();
}
