// SPDX-License-Identifier: GPL-2.0
/*
 * Memory that runs out at one allocation which chance seldom meets: what was to
 * be done is not done by half, and is done when there is memory again.
 */
#include "core-peers.h"
#include "tap.h"

static struct peers p;

static void test_no_new_view(void)
{
	struct peers_vc all[3] = {};

	peers_start(&p, true);
	p.fail_type = PBFT_VIEW_CHANGE_ACK;
	p.fail_nth = 2;		/* the first is for the decisions */
	peers_view_changes(&p, 4, all);
	ok(!p.sent[PBFT_NEW_VIEW] && peers_status(&p).pending,
	   "a view of ours, but no memory for its NEW-VIEW");
	p.fail_type = 0;
	peers_view_changes(&p, 4, all);
	ok(p.sent[PBFT_NEW_VIEW] == 1 && !peers_status(&p).pending,
	   "when there is, it begins");
	peers_stop(&p);
}

/* A batch with a request that is not authentic here is held. */
static void test_no_nack(void)
{
	struct peers_batch b = { .seq = 1, .time = 1, .session = 1, .t = 1, .count = 1,
				 .op_len = 8 };
	struct pbft_digest d = peers_batch_digest(&b);

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	peers_forget(&p);
	p.fail_type = PBFT_PRE_PREPARE;
	p.fail_nth = 2;		/* the first is for the batch */
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, false);
	ok(!p.sent[PBFT_NACK] && !p.sent[PBFT_PREPARE],
	   "a batch is held, but no memory for a NACK");
	peers_relay(&p, 2, PEERS_CLIENT, 1, 8);
	ok(p.sent[PBFT_PREPARE] == 1, "its request comes from elsewhere: a PREPARE");
	peers_vote(&p, PBFT_PREPARE, 2, 1, 1, &d);
	ok(p.sent[PBFT_COMMIT] == 1, "... and a COMMIT");
	peers_stop(&p);
}

/* Is the client's request proposed at once, although f + 1 replicas cannot tell it? */
static bool proposed(u8 fail_type)
{
	struct peers_batch b = { .seq = 1, .time = 1, .session = 1, .t = 1, .count = 1,
				 .op_len = 8 };
	bool yes;

	peers_start(&p, true);
	p.fail_type = fail_type;
	peers_nack(&p, 1, 0, &b);
	peers_nack(&p, 2, 0, &b);
	p.fail_type = 0;
	peers_request(&p, PEERS_CLIENT, 1, 8);
	yes = p.sent[PBFT_PRE_PREPARE];
	peers_stop(&p);
	return yes;
}

static void test_no_guard(void)
{
	ok(!proposed(0), "a guarded client's request waits for others' word");
	ok(proposed(PBFT_NACK), "a client to be guarded, but no memory: it is served as before");
}

int main(void)
{
	test_no_new_view();
	test_no_nack();
	test_no_guard();
	return done_testing();
}
