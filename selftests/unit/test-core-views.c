// SPDX-License-Identifier: GPL-2.0
/*
 * The corners of the view change that a cluster seldom or never sees: more faulty
 * replicas than there may be, digests with one voucher, Q full, a new view's base that
 * few have.
 */
#include "core-peers.h"
#include "tap.h"

static struct peers p;

/* Condition A3: d has one voucher; A2 holds by another's two later digests. */
static void decide(bool have, bool authentic, u64 seq)
{
	struct pbft_digest d, x = peers_digest('x'), y = peers_digest('y');
	struct peers_batch b = peers_one(seq, 1);
	u64 base = seq > 4 ? 4 : 0;
	char app = base ? 'c' : 0;
	struct peers_vc all[3] = {
		{ .h = base, .c = base, .c_app = app, .seq = seq, .p = &d, .p_view = 1,
		  .q = { &d }, .q_view = { 1 } },
		{ .h = base, .c = base, .c_app = app, .seq = seq, .q = { &x, &y },
		  .q_view = { 2, 1 } },
		/* so far ahead that it says nothing of seq */
		{ .h = base + 4, .c = base + 4, .c_app = 'e' },
	};

	peers_start(&p, true);
	d = peers_batch_digest(&b);
	if (have) {
		peers_committed(&p, 1, seq, &d);
		peers_committed(&p, 2, seq, &d);
		peers_batch(&p, PBFT_BATCH, 1, 0, &b, authentic);
	}
	peers_view_changes(&p, 4, all);
}

static void test_a3(void)
{
	struct peers_batch b = peers_one(1, 1);

	decide(true, true, 1);
	ok(p.sent[PBFT_NEW_VIEW] == 1, "a batch with one voucher, which we have: NEW-VIEW");
	peers_stop(&p);
	decide(true, false, 1);
	ok(!p.sent[PBFT_NEW_VIEW] && peers_status(&p).pending,
	   "one that is not authentic here: none");
	peers_stop(&p);
	decide(false, false, 1);
	ok(!p.sent[PBFT_NEW_VIEW] && p.sent[PBFT_FETCH], "one that is not here: it is fetched");
	peers_batch(&p, PBFT_BATCH, 1, 0, &b, true);
	ok(p.sent[PBFT_NEW_VIEW] == 1, "when it is: NEW-VIEW");
	peers_stop(&p);
	decide(false, false, 5);
	ok(!p.sent[PBFT_NEW_VIEW] && !p.sent[PBFT_FETCH], "one above our window: neither");
	peers_stop(&p);
}

static void test_two_batches(void)
{
	struct pbft_digest null;
	struct peers_vc vc = { .seq = 1, .p = &null, .p_view = 1, .q = { &null },
			       .q_view = { 1 } }, all[3] = { vc, vc, vc };

	pbft_null_digest(&null);
	peers_start(&p, true);
	peers_run_to(&p, 1);
	peers_view_changes(&p, 2, all);
	peers_new_view(&p, 2, 0, 0, &null);
	ok(peers_status(&p).stopped && strstr(peers_status(&p).reason, "another batch"),
	   "a NEW-VIEW that proposes another batch than the one committed stops us");
	ok(p.event[PBFT_EV_STOPPED] == 1, "and says so");
	peers_stop(&p);
}

/* Others committed by another NEW-VIEW of the same primary in the same view: its lie. */
static void test_two_new_views(void)
{
	struct pbft_digest null, other = peers_digest('o');
	struct peers_vc vc = { .seq = 1, .p = &null, .p_view = 0, .q = { &null } },
			all[3] = { vc, vc, vc };

	pbft_null_digest(&null);
	peers_start(&p, true);
	peers_view_changes(&p, 2, all);
	peers_committed(&p, 1, 1, &other);
	peers_committed(&p, 3, 1, &other);
	peers_new_view(&p, 2, 0, 0, &null);
	ok(peers_status(&p).view == 2 && !peers_status(&p).pending && !peers_status(&p).stopped,
	   "a NEW-VIEW that proposes another batch than others committed in its view does not");
	peers_stop(&p);
}

/* h may be known from a VIEW-CHANGE only: who has not executed as much is told again. */
static void test_claim_at_h(void)
{
	struct pbft_status_msg m = { .h = cpu_to_le64(2), .nonce = cpu_to_le64(1) };
	struct pbft_digest app = peers_digest('a');

	peers_start(&p, true);
	peers_run_to(&p, 2);
	ok(!pbft_checkpointed(p.core, p.now, 2, &app), "a checkpoint");
	peers_checkpoint(&p, 1, 2, 'x');
	peers_drain(&p);
	peers_forget(&p);
	peers_send(&p, PBFT_STATUS, 1, 1, 0, (u8 *)&m + sizeof(m.hdr),
		   sizeof(m) - sizeof(m.hdr));
	ok(p.sent[PBFT_CHECKPOINT] == 1, "is told to who says that it is stable, but is not there");
	peers_forget(&p);
	m.nonce = cpu_to_le64(2);
	p.now += p.cfg.t_status;
	peers_send(&p, PBFT_STATUS, 2, 1, 2, (u8 *)&m + sizeof(m.hdr),
		   sizeof(m) - sizeof(m.hdr));
	ok(!p.sent[PBFT_CHECKPOINT], "not to who is");
	peers_stop(&p);
}

static void test_repeated_v(void)
{
	struct peers_vc all[3] = { { .h = 0 } };

	peers_start(&p, true);
	p.repeat_v = true;
	peers_view_changes(&p, 1, all);
	peers_new_view(&p, 1, 0, 0, NULL);
	ok(pbft_counters_get(p.core)->new_views_bad == 1 && peers_status(&p).view == 2,
	   "a NEW-VIEW that counts one VIEW-CHANGE twice: on to the next view");
	peers_stop(&p);
}

static void test_ring(void)
{
	static const u64 views[] = { 1, 2, 3, 5, 6, 7 };
	u32 i;

	peers_start(&p, true);
	for (i = 0; i < ARRAY_SIZE(views); i++) {
		struct peers_batch b = peers_one(1, 1 + i);

		peers_enter(&p, views[i], 0, 0);
		peers_batch(&p, PBFT_PRE_PREPARE, views[i] % PEERS_N, views[i], &b, true);
	}
	ok(p.sent[PBFT_PREPARE] == ARRAY_SIZE(views) && p.vc_q == PBFT_Q_RING,
	   "%u digests at a sequence number: Q remembers %u", p.sent[PBFT_PREPARE], p.vc_q);
	peers_stop(&p);
}

/*
 * What is prepared stays in Q, or nobody would take our VIEW-CHANGE. That takes a null
 * batch which later views do not know of: they leave its number free, and it stays.
 */
static void test_pinned(void)
{
	static const u64 views[] = { 2, 3, 5, 6, 7, 9 };
	struct peers_batch null = { .seq = 1 };
	struct pbft_digest d;
	u32 i;

	pbft_null_digest(&d);
	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &null, true);
	peers_vote(&p, PBFT_PREPARE, 2, 1, 1, &d);
	peers_vote(&p, PBFT_PREPARE, 3, 1, 1, &d);
	ok(p.sent[PBFT_COMMIT] == 1, "a null batch is prepared");
	for (i = 0; i < ARRAY_SIZE(views); i++) {
		struct peers_batch b = peers_one(1, 1 + i);

		peers_enter(&p, views[i], 0, 0);
		peers_batch(&p, PBFT_PRE_PREPARE, views[i] % PEERS_N, views[i], &b, true);
	}
	ok(p.sent[PBFT_PREPARE] == 1 + ARRAY_SIZE(views) && p.vc_q == PBFT_Q_RING,
	   "in later views %u other batches at its number", p.sent[PBFT_PREPARE] - 1);
	ok(p.vc_valid, "Q still has what is prepared");
	peers_stop(&p);
}

/*
 * A lying primary of view 3 has prepared, it says, a batch that no correct replica has
 * seen. A1 and A2 hold, the latter by the two digests that another has at its number.
 */
static void test_unvouched(void)
{
	struct pbft_digest d, x = peers_digest('x'), y = peers_digest('y');
	struct peers_batch b = peers_one(1, 1);
	struct peers_vc all[3] = {
		{ .seq = 1, .q = { &x, &y }, .q_view = { 1, 0 } },
		{ .h = 0 },
		{ .seq = 1, .p = &d, .q = { &d } },
	};

	peers_start(&p, true);
	d = peers_batch_digest(&b);
	peers_view_changes(&p, 3, all);
	peers_new_view(&p, 3, 0, 0, &d);
	ok(peers_status(&p).view == 3 && !peers_status(&p).pending && p.sent[PBFT_FETCH],
	   "a NEW-VIEW with a batch that nobody but its primary vouches for");
	peers_batch(&p, PBFT_BATCH, 3, 0, &b, false);
	ok(!p.sent[PBFT_PREPARE], "is not voted for, if its requests may be invented");
	peers_stop(&p);
}

/* Of two that held a base, one has lost it: the word of the other is enough to fetch it. */
static void test_base_fetched(void)
{
	peers_start(&p, true);
	peers_checkpoint(&p, 3, 4, 'b');
	ok(!p.fetch, "a checkpoint by the word of one is not fetched");
	peers_enter(&p, 1, 4, 'b');
	ok(p.fetch == 4, "... unless it is the base of a NEW-VIEW");
	peers_stop(&p);

	peers_start(&p, true);
	peers_enter(&p, 1, 4, 'b');
	peers_checkpoint(&p, 3, 4, 'x');
	ok(!p.fetch, "another digest than the base's is the word of one");
	peers_checkpoint(&p, 2, 4, 'b');
	ok(p.fetch == 4, "the base's is fetched when it comes");
	peers_stop(&p);
}

/* Bases of others' that fill C give way to a checkpoint of our own. */
static void test_bases(void)
{
	static const u64 views[] = { 1, 2, 3, 5, 6 };
	struct pbft_digest app = peers_digest('a');
	struct pbft_log_head head = { .seq = 2 };
	u32 i;

	peers_start(&p, false);
	for (i = 0; i < ARRAY_SIZE(views); i++)
		peers_enter(&p, views[i], 4 + 2 * i, 'b');
	ok(peers_status(&p).view == 6 && !peers_status(&p).pending, "views with other bases");
	ok(!pbft_bind(p.core, p.now, &head), "an application at one below");
	peers_drain(&p);
	ok(p.snapshot == 2 && !pbft_checkpointed(p.core, p.now, 2, &app) &&
	   peers_status(&p).checkpoint == 2, "its checkpoint has a place");
	peers_stop(&p);
}

/* No NEW-VIEW is entered without our own VIEW-CHANGE, memory or not. */
static void test_no_promise(void)
{
	struct peers_vc all[3] = { { .h = 0 } };

	peers_start(&p, true);
	p.fail_type = PBFT_VIEW_CHANGE;
	peers_view_changes(&p, 1, all);
	p.fail_type = 0;
	ok(peers_status(&p).view == 1 && !p.sent[PBFT_VIEW_CHANGE],
	   "a view change without memory for the VIEW-CHANGE");
	peers_new_view(&p, 1, 0, 0, NULL);
	ok(peers_status(&p).pending, "its NEW-VIEW waits");
	p.now += p.cfg.t_base;
	pbft_tick(p.core, p.now);
	peers_drain(&p);
	ok(p.sent[PBFT_VIEW_CHANGE] == 1 && !peers_status(&p).pending,
	   "until the VIEW-CHANGE is out");
	peers_stop(&p);
}

int main(void)
{
	test_a3();
	test_two_batches();
	test_two_new_views();
	test_claim_at_h();
	test_repeated_v();
	test_ring();
	test_pinned();
	test_unvouched();
	test_base_fetched();
	test_bases();
	test_no_promise();
	return done_testing();
}
