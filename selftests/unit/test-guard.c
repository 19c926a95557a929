// SPDX-License-Identifier: GPL-2.0
/*
 * Requests that only some replicas can authenticate: what a replica says of those
 * that others hold a batch for, and whose word it counts for its own.
 */
#include "core-peers.h"
#include "tap.h"

static struct peers p;

/* Another client's bytes for the same number make another request of it. */
static struct peers_batch batch(u32 op_len)
{
	return (struct peers_batch){ .seq = 1, .time = 1, .session = 1, .t = 1, .count = 1,
				     .op_len = op_len };
}

static void start(void)
{
	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	peers_forget(&p);
}

static void hold(const struct peers_batch *b)
{
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, b, false);
}

static void test_endorsed(void)
{
	struct peers_batch b = batch(8), other = batch(9);

	start();
	hold(&b);
	ok(!p.sent[PBFT_PREPARE] && p.sent[PBFT_NACK] == 1, "not authentic: held, and said");
	peers_endorse(&p, 2, &other);
	peers_endorse(&p, 3, &other);
	ok(!p.sent[PBFT_PREPARE], "the word of f + 1 on another request is none on this");
	peers_endorse(&p, 2, &b);
	peers_endorse(&p, 2, &b);
	ok(!p.sent[PBFT_PREPARE], "nor is that of one, twice");
	peers_endorse(&p, 3, &b);
	ok(p.sent[PBFT_PREPARE] == 1, "with that of f + 1 it is prepared");
	peers_stop(&p);
}

/* The client gave us another request of that number: our own word has its place. */
static void test_conflict(void)
{
	struct peers_batch b = batch(8);

	start();
	peers_nack(&p, 2, 1, &b);
	peers_nack(&p, 3, 1, &b);
	peers_request(&p, PEERS_CLIENT, 1, 9);
	ok(p.sent[PBFT_ENDORSE] == 1, "a client under guard: its request is vouched for");
	hold(&b);
	peers_endorse(&p, 2, &b);
	hold(&b);
	ok(!p.sent[PBFT_PREPARE], "another of that number, proposed, is held");
	peers_endorse(&p, 3, &b);
	ok(p.sent[PBFT_PREPARE] == 1, "and prepared by the word of f + 1, before and after it came again");
	peers_stop(&p);
}

static void test_repeats(void)
{
	struct peers_batch b = batch(8);

	start();
	hold(&b);
	hold(&b);
	ok(p.sent[PBFT_NACK] == 1, "a batch that comes twice is refused once");
	ok(pbft_counters_get(p.core)->held == 1, "and held once");
	p.now += p.cfg.t_resend;
	hold(&b);
	ok(p.sent[PBFT_NACK] == 2, "and once more when it comes later");
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(p.sent[PBFT_PREPARE] == 1, "with keys by which it is authentic it is prepared");
	peers_stop(&p);
}

/* One that names its requests comes again with them, and the other way round. */
static void test_in_full(void)
{
	struct peers_batch b = batch(8), bare = b;

	bare.ref = true;
	start();
	hold(&bare);
	peers_endorse(&p, 2, &b);
	peers_endorse(&p, 3, &b);
	ok(!p.sent[PBFT_PREPARE] && !p.sent[PBFT_NACK], "endorsed, but not here: it waits");
	hold(&b);
	ok(p.sent[PBFT_PREPARE] == 1, "until it comes in full");
	peers_stop(&p);

	start();
	hold(&b);
	hold(&bare);
	peers_endorse(&p, 2, &b);
	peers_endorse(&p, 3, &b);
	ok(p.sent[PBFT_PREPARE] == 1, "what came in full stays so");
	peers_stop(&p);
}

static void test_answers(void)
{
	struct peers_batch b = batch(8), other = batch(9), unknown = batch(8);
	u32 i, most;

	start();
	unknown.seq = 2;
	peers_nack(&p, 2, 1, &unknown);
	ok(!p.sent[PBFT_ENDORSE], "of a batch that is not here nothing can be said");
	hold(&b);
	peers_nack(&p, 2, 1, &b);
	ok(!p.sent[PBFT_ENDORSE], "nor of one that is not authentic here either");
	peers_nack(&p, 2, 1, &other);
	ok(!p.sent[PBFT_ENDORSE], "nor of another at its place");
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	peers_forget(&p);
	peers_nack(&p, 3, 1, &b);
	ok(p.sent[PBFT_ENDORSE] == 1, "of one that is, it is");
	most = 4 * PBFT_MSG_MAX / sizeof(struct pbft_endorse);
	for (i = 0; i < most; i++)
		peers_nack(&p, 3, 1, &b);
	ok(p.sent[PBFT_ENDORSE] > 2 && p.sent[PBFT_ENDORSE] < most,
	   "as often as a peer may ask, not more");
	peers_stop(&p);
}

int main(void)
{
	test_endorsed();
	test_conflict();
	test_repeats();
	test_in_full();
	test_answers();
	return done_testing();
}
