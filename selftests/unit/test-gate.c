// SPDX-License-Identifier: GPL-2.0
/*
 * The gate: nothing overtakes a PERSIST that is not durable, what is lost for
 * lack of room are SENDs only, and what waits for an application that is gone
 * does not reach the next one.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/gate.h"
#include "alloc.h"
#include "core-peers.h"
#include "tap.h"

static struct peers p;
static struct pbft_gate g;

static void start(void)
{
	peers_start(&p, true);
	if (pbft_gate_init(&g, p.core))
		abort();
}

static void stop(void)
{
	pbft_gate_exit(&g);
	peers_stop(&p);
}

/* Entries are told apart by their view; all but EVENTs hold a buffer. */
static bool put(u8 type, u64 view)
{
	struct pbft_out out = { .type = type, .view = view };

	if (type != PBFT_OUT_EVENT)
		out.buf = pbft_buf_alloc(8);
	return pbft_gate_put(&g, &out);
}

/* What passes, as its views; 0 when nothing may. */
static u64 next(void)
{
	struct pbft_out out;

	if (!pbft_gate_next(&g, &out))
		return 0;
	pbft_out_release(&out);
	return out.view;
}

/* Take up to @max PERSISTs, and give their references back. */
static u32 take(u32 max, u64 *upto)
{
	struct pbft_out outs[8];
	u32 n = pbft_gate_take(&g, outs, max, upto), i;

	for (i = 0; i < n; i++)
		pbft_out_release(&outs[i]);
	return n;
}

static void test_order(void)
{
	u64 upto;

	start();
	ok(pbft_gate_empty(&g) && pbft_gate_open(&g) && !pbft_gate_waits(&g) && !next(),
	   "a new gate is empty");
	put(PBFT_OUT_SEND, 1);
	put(PBFT_OUT_PERSIST, 2);
	put(PBFT_OUT_SEND, 3);
	put(PBFT_OUT_PERSIST, 4);
	put(PBFT_OUT_PERSIST, 5);
	put(PBFT_OUT_EVENT, 6);
	ok(next() == 1 && !next(), "what came before a PERSIST passes, the PERSIST does not");
	ok(pbft_gate_waits(&g) && take(2, &upto) == 2, "two of three are with the writer");
	ok(!next(), "... which is not enough");
	pbft_gate_durable(&g, upto);
	ok(next() == 2 && next() == 3 && next() == 4 && !next(),
	   "durable, they pass, with what waited for the first");
	ok(take(2, &upto) == 1 && !pbft_gate_waits(&g), "the third is with the writer");
	pbft_gate_durable(&g, upto);
	pbft_gate_durable(&g, upto - 3);
	ok(next() == 5 && next() == 6 && !next() && pbft_gate_empty(&g),
	   "durable once, durable for ever: all is through");
	stop();
}

/* The journal is behind until nothing more fits. */
static void test_room(void)
{
	u64 view = 0, upto, lossy;
	bool open = true, good;

	start();
	for (good = true; good && g.cap - (g.tail - g.head) >= g.cap / 8; ) {
		open &= pbft_gate_open(&g) == (g.tail - g.head <= g.cap / 2);
		good = put(PBFT_OUT_PERSIST, ++view);
	}
	ok(good && open && !pbft_gate_open(&g), "a gate that is half full is not open");
	lossy = g.tail;
	ok(put(PBFT_OUT_SEND, 1) && g.tail == lossy, "a SEND is lost when little room is left");
	while (g.tail - g.head < g.cap)
		good &= put(PBFT_OUT_PERSIST, ++view);
	ok(good, "a PERSIST is not while there is any");
	ok(put(PBFT_OUT_SEND, 1) && !put(PBFT_OUT_PERSIST, 1) && !put(PBFT_OUT_APPLY, 1),
	   "without any, a SEND is lost, and anything else is an error");
	ok(!next(), "nothing of it is durable");
	while (take(8, &upto) == 8)
		pbft_gate_durable(&g, upto);
	pbft_gate_durable(&g, upto);
	for (lossy = 1; next() == lossy; )
		lossy++;
	ok(lossy == view + 1 && pbft_gate_empty(&g), "all %llu that were taken pass in order",
	   (unsigned long long)view);
	put(PBFT_OUT_PERSIST, 7);
	put(PBFT_OUT_APPLY, 8);
	stop();		/* drops them */
}

/* A batch that the core wants to be persisted; its reference is the caller's. */
static struct pbft_batch *some_batch(void)
{
	struct pbft_batch *found = NULL;
	struct pbft_out out;

	p.keep = true;
	peers_request(&p, PEERS_CLIENT, 1, 8);
	while (pbft_ready(p.core, &out, 1)) {
		if (out.type == PBFT_OUT_PERSIST && out.batch && !found)
			found = pbft_batch_get(out.batch);
		pbft_out_release(&out);
	}
	if (!found)
		abort();
	return found;
}

static void test_unbind(void)
{
	static const u8 types[] = {
		PBFT_OUT_APPLY, PBFT_OUT_PERSIST, PBFT_OUT_SNAPSHOT, PBFT_OUT_SEND,
		PBFT_OUT_FETCH_STATE, PBFT_OUT_EVENT, PBFT_OUT_DISCARD, PBFT_OUT_APPLY,
	};
	struct pbft_out apply = { .type = PBFT_OUT_APPLY, .view = 9 }, out;
	struct pbft_buf *held = pbft_buf_alloc(8);
	u64 upto;
	u32 i;

	start();
	apply.batch = some_batch();
	apply.buf = pbft_buf_get(held);
	pbft_gate_put(&g, &apply);
	for (i = 0; i < ARRAY_SIZE(types); i++)
		put(types[i], 10 + i);
	pbft_gate_unbind(&g);
	ok(refcount_read(&held->refs) == 1, "what waits for an application is let go with it");
	pbft_buf_put(held);
	ok(!next(), "a PERSIST that is not durable still bars the way");
	ok(take(8, &upto) == 1, "the writer gets it, and nothing that is void");
	pbft_gate_durable(&g, upto);
	ok(pbft_gate_next(&g, &out) && out.type == PBFT_OUT_PERSIST && out.view == 11,
	   "the PERSIST passes");
	pbft_out_release(&out);
	ok(pbft_gate_next(&g, &out) && out.type == PBFT_OUT_SEND && out.view == 13,
	   "so does the SEND");
	pbft_out_release(&out);
	ok(next() == 15, "and the EVENT");
	put(PBFT_OUT_APPLY, 20);
	ok(next() == 20 && !next() && pbft_gate_empty(&g),
	   "of the next application's, everything");
	stop();
}

/* The writer has it already, and its references, when the application goes. */
static void test_taken(void)
{
	struct pbft_out persist = { .type = PBFT_OUT_PERSIST, .view = 1 }, taken;
	u64 upto;

	start();
	persist.batch = some_batch();
	persist.buf = pbft_buf_alloc(8);
	pbft_gate_put(&g, &persist);
	ok(!persist.batch && !persist.buf, "the gate takes references over");
	ok(pbft_gate_take(&g, &taken, 1, &upto) == 1 && taken.batch && taken.buf,
	   "the writer has its own");
	pbft_gate_exit(&g);
	ok(refcount_read(&taken.buf->refs) == 1 && pbft_batch_count(taken.batch) == 1,
	   "... which last when the gate is gone");
	pbft_out_release(&taken);
	stop();
}

static void test_memory(void)
{
	peers_start(&p, true);
	alloc_fail(1);
	ok(pbft_gate_init(&g, p.core) == -ENOMEM, "no memory: no gate");
	alloc_fail(0);
	stop();
}

int main(void)
{
	test_order();
	test_room();
	test_unbind();
	test_taken();
	test_memory();
	return done_testing();
}
