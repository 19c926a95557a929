// SPDX-License-Identifier: GPL-2.0
/*
 * The corners of the core that a cluster seldom or never sees: an application
 * that answers wrong or starts elsewhere, memory that runs out at birth, more
 * faulty replicas than there may be, tables that are full. The rest is proven by
 * the scenarios and the simulator.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/frag.h"
#include "alloc.h"
#include "core-peers.h"
#include "tap.h"

static struct peers p;

/* ---- configuration and life ---------------------------------------------------------- */

struct limit {
	const char *names;	/* what the sentence must mention */
	size_t off;
	bool wide;
	u64 bad;
};

#define L32(field, value, words) { words, offsetof(struct pbft_config, field), false, value }
#define L64(field, value, words) { words, offsetof(struct pbft_config, field), true, value }

static const struct limit limits[] = {
	L64(cluster, 0, "cluster id"), L32(n, 3, "number of replicas"),
	L32(n, 65, "number of replicas"), L32(f, 0, "faults"), L32(f, 2, "faults"),
	L32(self, 4, "replica id"), L32(k, 0, "checkpoint interval"),
	L32(k, 1025, "checkpoint interval"), L32(l, 2048, "window"),
	L32(l, 100, "window"), L32(l, 64, "window"), L32(pipeline, 0, "pipeline"),
	L32(pipeline, 257, "pipeline"), L32(batch_max, 0, "batch limit"),
	L32(batch_max, 257, "batch limit"), L32(batch_bytes, 1023, "batch size"),
	L32(batch_bytes, 262145, "batch size"), L32(inline_max, 16385, "inline limit"),
	L32(clients_max, 0, "client limit"), L32(clients_max, 65537, "client limit"),
	L64(t_base, 999999, "timeout"), L64(t_base, 3600000000001, "timeout"),
	L64(t_max, 999999999, "largest timeout"),
	L64(t_max, 86400000000001, "largest timeout"), L64(t_status, 999999, "status"),
	L64(t_status, 60000000001, "status"), L64(t_heartbeat, 999999, "heartbeat"),
	L64(t_heartbeat, 600000000001, "heartbeat"), L64(t_resend, 999999, "resend"),
	L64(t_resend, 60000000001, "resend"), L64(t_rejoin, 999999, "rejoin"),
	L64(t_rejoin, 86400000000001, "rejoin"), L64(clock_skew, 31536000000000001, "skew"),
};

static void test_config(void)
{
	struct pbft_config good = { .cluster = 1, .n = 4, .f = 1 };
	u32 i;

	pbft_config_default(&good);
	ok(!pbft_config_check(&good), "the defaults are a configuration");
	for (i = 0; i < ARRAY_SIZE(limits); i++) {
		struct pbft_config cfg = good;
		u32 narrow = limits[i].bad;
		const char *why;

		memcpy((u8 *)&cfg + limits[i].off,
		       limits[i].wide ? (void *)&limits[i].bad : (void *)&narrow,
		       limits[i].wide ? 8 : 4);
		why = pbft_config_check(&cfg);
		if (!why || !strstr(why, limits[i].names))
			break;
	}
	ok(i == ARRAY_SIZE(limits), "each limit is refused by its name: %u of %zu", i,
	   ARRAY_SIZE(limits));
}

static void test_birth(void)
{
	struct pbft_core *c = NULL;
	struct pbft_config cfg;
	u32 nth;

	peers_start(&p, true);
	cfg = p.cfg;
	for (nth = 1; !c && nth < 50; nth++) {
		alloc_fail(nth);
		c = pbft_core_create(&cfg, 0);
	}
	alloc_fail(0);
	ok(c && nth > 5, "no memory at birth, at each of %u allocations: no core", nth - 2);
	pbft_core_destroy(c);
	pbft_core_destroy(NULL);
	peers_stop(&p);
}

static void test_clients(void)
{
	peers_start(&p, true);
	alloc_fail(1);
	ok(pbft_client_add(p.core, 356) == -ENOMEM, "a client, but no memory");
	alloc_fail(0);
	ok(!pbft_client_add(p.core, 356), "a second client");
	ok(pbft_client_add(p.core, 357) == -ENOSPC, "a third, but there is room for two");
	pbft_client_del(p.core, PEERS_CLIENT);	/* behind the other in its bucket */
	peers_request(&p, PEERS_CLIENT, 1, 0);
	ok(!peers_status(&p).pending_requests, "a deleted client has no requests");
	peers_request(&p, 356, 1, 0);
	ok(p.sent[PBFT_PRE_PREPARE] == 1, "the other has");
	peers_stop(&p);
}

static void test_hello(void)
{
	const __le64 session = cpu_to_le64(1);

	peers_start(&p, true);
	peers_send(&p, PBFT_HELLO, PEERS_CLIENT + 1, 0, 1, &session, sizeof(session));
	ok(!p.sent[PBFT_HELLO_ACK], "a HELLO of a stranger");
	peers_send(&p, PBFT_HELLO, PEERS_CLIENT, 0, 1, &session, sizeof(session));
	ok(p.sent[PBFT_HELLO_ACK] == 1, "a HELLO is acknowledged");
	peers_stop(&p);
}

static void test_stopped(void)
{
	struct pbft_digest d = peers_digest('a');
	struct peers_batch b = peers_one(1, 1);

	peers_start(&p, true);
	p.keep = true;
	peers_request(&p, PEERS_CLIENT, 1, 8);	/* a PRE-PREPARE is in the outbox */
	pbft_stop(p.core, "first");
	pbft_stop(p.core, "second");
	ok(peers_status(&p).stopped && !strcmp(peers_status(&p).reason, "first"),
	   "who stops a core first has the last word");
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(!pbft_executed(p.core, p.now, 1, NULL, 0) &&
	   !pbft_checkpointed(p.core, p.now, 2, &d) &&
	   !pbft_state_installed(p.core, p.now, 2, &d), "answers are no errors then");
	peers_stop(&p);
}

/* ---- the application ------------------------------------------------------------------ */

static void test_answers(void)
{
	struct peers_batch b = peers_one(1, 1);

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	peers_commit(&p, 1, &b);
	ok(p.applied.seq == 1 && p.applied_count == 1, "a batch is applied");
	ok(peers_execute(&p, 2, 8) == -EINVAL, "an answer to another batch");
	ok(peers_execute(&p, 1, PBFT_OP_MAX + 1) == -EINVAL, "a result that is too long");
	ok(peers_execute(&p, 1, 8) == -EINVAL, "the answer was given");
	peers_stop(&p);

	peers_start(&p, true);
	peers_run_to(&p, 1);
	pbft_client_del(p.core, PEERS_CLIENT);
	b = peers_one(2, 2);
	peers_commit(&p, 1, &b);
	peers_forget(&p);
	ok(!peers_execute(&p, 2, 8) && !p.sent[PBFT_REPLY],
	   "a batch of a client that was deleted meanwhile: executed, no reply");
	peers_stop(&p);
}

/* The primary cannot propose a guarded client's repeat if who answered it says nothing. */
static void test_answered(void)
{
	peers_start(&p, true);
	peers_run_to(&p, 1);
	peers_forget(&p);
	peers_request(&p, PEERS_CLIENT, 1, 8);
	ok(p.sent[PBFT_REPLY] == 1 && !p.sent[PBFT_ENDORSE],
	   "a request that was answered, from its client: the answer");
	peers_relay(&p, 2, PEERS_CLIENT, 1, 8);
	ok(p.sent[PBFT_ENDORSE] == 1, "from a replica, which has it authenticated: we vouch for it");
	peers_stop(&p);
}

static void test_checkpoint_times(void)
{
	struct pbft_digest app = peers_digest('a');
	u64 seq;

	peers_start(&p, true);
	peers_run_to(&p, 3);
	ok(!pbft_checkpointed(p.core, p.now, 2, &app), "a snapshot taken late");
	peers_drain(&p);
	ok(p.sent[PBFT_CHECKPOINT] && peers_status(&p).checkpoint == 2, "is our checkpoint");
	for (seq = 4; seq <= 10; seq++) {
		struct peers_batch b = peers_one(seq, seq);
		u32 i;

		for (i = 1; i < PEERS_N && seq % 2; i++)
			peers_checkpoint(&p, i, seq - 1, 'c');
		peers_commit(&p, 1, &b);
		peers_execute(&p, seq, 8);
	}
	peers_forget(&p);
	ok(peers_status(&p).last_exec == 10 &&
	   !pbft_checkpointed(p.core, p.now, 2, &app), "a snapshot that nobody needs any more");
	peers_drain(&p);
	ok(!p.sent[PBFT_CHECKPOINT], "is no checkpoint");
	peers_stop(&p);
}

static void test_bind(void)
{
	struct pbft_log_head head = { .seq = 5 }, one;

	peers_start(&p, true);
	peers_run_to(&p, 1);
	one = p.applied;
	ok(pbft_bind(p.core, p.now, &one) == -EEXIST, "a second application");
	pbft_unbind(p.core);
	ok(pbft_bind(p.core, p.now, &head) == -ESTALE,
	   "one that has lived longer than this cluster");
	head.seq = 0;
	head.chain = peers_digest('x');
	ok(pbft_bind(p.core, p.now, &head) == -EBADMSG, "at 0, with a history");
	head.seq = 1;
	ok(pbft_bind(p.core, p.now, &head) == -EBADMSG, "with another history");
	ok(!pbft_bind(p.core, p.now, &one), "with ours");
	peers_stop(&p);
}

/* ---- state that differs ---------------------------------------------------------------- */

static void others_checkpoint(u64 seq, char app)
{
	u32 i;

	for (i = 1; i < PEERS_N; i++)
		peers_checkpoint(&p, i, seq, app);
}

static void test_differs(bool ours_first)
{
	struct pbft_digest mine = peers_digest('m'), theirs = peers_digest('t');
	struct pbft_log_head head;

	peers_start(&p, true);
	peers_run_to(&p, 2);
	if (ours_first)
		pbft_checkpointed(p.core, p.now, 2, &mine);
	others_checkpoint(2, 't');
	if (!ours_first)
		pbft_checkpointed(p.core, p.now, 2, &mine);
	peers_drain(&p);
	ok(p.fetch == 2 && peers_status(&p).fetching,
	   "a state that differs is fetched, ours %s", ours_first ? "first" : "last");
	pbft_checkpointed(p.core, p.now, 2, &mine);
	peers_drain(&p);
	ok(p.out[PBFT_OUT_FETCH_STATE] == 1, "asked for once");
	ok(pbft_state_installed(p.core, p.now, 4, &theirs) == -EINVAL &&
	   pbft_state_installed(p.core, p.now, 2, &mine) == -EINVAL &&
	   !pbft_state_installed(p.core, p.now, 1, &theirs) && peers_status(&p).fetching,
	   "another state than the one asked for");
	if (ours_first) {
		ok(!pbft_state_installed(p.core, p.now, 2, &p.fetch_app),
		   "the right one is installed");
	} else {
		head = (struct pbft_log_head){ .seq = 2 };
		pbft_unbind(p.core);
		ok(pbft_bind(p.core, p.now, &head) == -EBADMSG, "ours is not theirs");
		head.seq = 4;
		ok(pbft_bind(p.core, p.now, &head) == -ESTALE, "nor is one from nowhere");
	}
	peers_stop(&p);
}

/* Behind by a window, and meanwhile an application comes that is there already. */
static void test_bind_fetching(void)
{
	struct pbft_log_head head = { .seq = 8 };

	peers_start(&p, true);
	others_checkpoint(8, 't');
	ok(p.fetch == 8 && peers_status(&p).fetching, "a window behind: the state is fetched");
	pbft_unbind(p.core);
	ok(!pbft_bind(p.core, p.now, &head) && !peers_status(&p).fetching,
	   "an application that has it binds: nothing to fetch");
	peers_stop(&p);
}

/* ---- proposals and bodies --------------------------------------------------------------- */

static void test_insane(void)
{
	struct peers_batch b = peers_one(2, 0);

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	b.ref = true;
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	b = peers_one(3, 1);
	b.session = 0;
	b.ref = true;
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(!pbft_counters_get(p.core)->pre_prepares && !p.sent[PBFT_PREPARE],
	   "a request without number, one without session: no PREPARE");
	peers_stop(&p);
}

/* What pbft_batch_sane() marks alike, and what is alike. */
static void test_repeated_request(void)
{
	struct peers_batch b = peers_one(1, 1);

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	b.count = 3;
	b.skip = -1;
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(!pbft_counters_get(p.core)->pre_prepares && !p.sent[PBFT_PREPARE],
	   "one request three times: no PREPARE");
	b.count = PBFT_BATCH_MAX;
	b.skip = 4 * PBFT_BATCH_MAX - 1;
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(pbft_counters_get(p.core)->pre_prepares == 1 && p.sent[PBFT_PREPARE] == 1,
	   "256 requests with one mark: PREPARE");
	peers_stop(&p);
}

/* Requests that travelled apart, together more than any message may be. */
static void test_too_large(void)
{
	struct peers_batch b = peers_one(1, 1);
	u32 t;

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	b.count = PBFT_CLIENT_WINDOW;
	b.op_len = PBFT_OP_MAX;
	b.ref = true;
	for (t = 1; t <= b.count; t++)
		peers_request(&p, PEERS_CLIENT, t, b.op_len);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b, true);
	ok(pbft_counters_get(p.core)->held == 1 && !p.sent[PBFT_PREPARE],
	   "a batch that no BATCH could carry: no PREPARE");
	peers_stop(&p);
}

static void test_fetch_budget(void)
{
	struct peers_batch b = peers_one(1, 1);
	struct pbft_digest d;
	u32 i;

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	b.op_len = PBFT_OP_MAX;
	peers_commit(&p, 1, &b);
	d = peers_batch_digest(&b);
	for (i = 0; i < 64; i++)
		peers_vote(&p, PBFT_FETCH, 2, 1, 1, &d);
	ok(p.sent[PBFT_BATCH] > 1 && p.sent[PBFT_BATCH] < 40,
	   "who fetches the same for ever is answered %u times of 64", p.sent[PBFT_BATCH]);
	peers_vote(&p, PBFT_FETCH, 3, 1, 1, &d);
	i = p.sent[PBFT_BATCH];
	p.now += p.cfg.t_resend;
	peers_vote(&p, PBFT_FETCH, 2, 1, 1, &d);
	ok(p.sent[PBFT_BATCH] == i + 1, "and later again");
	peers_stop(&p);
}

/* The body of what is committed goes before one that is only proposed. */
static void test_want(void)
{
	struct pbft_digest a = peers_digest('a'), b = peers_digest('b'), c;
	struct peers_vc vc = { .seq = 1, .p = &b, .q = { &b } }, all[3] = { vc, vc, vc };
	struct peers_batch one = peers_one(1, 1);

	peers_start(&p, true);
	peers_committed(&p, 1, 1, &a);
	peers_committed(&p, 2, 1, &a);
	ok(p.sent[PBFT_FETCH] == 1, "a committed batch is fetched");
	peers_view_changes(&p, 1, all);
	peers_new_view(&p, 1, 0, 0, &b);
	ok(peers_status(&p).view == 1 && !peers_status(&p).pending && p.sent[PBFT_FETCH] == 1,
	   "another at its place, from a NEW-VIEW, is not");
	peers_stop(&p);

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	c = peers_batch_digest(&one);
	peers_committed(&p, 1, 1, &c);
	peers_committed(&p, 2, 1, &c);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &one, false);
	ok(p.applied.seq == 1 && !p.sent[PBFT_PREPARE],
	   "one that comes by a PRE-PREPARE of doubtful requests is applied, not voted for");
	peers_stop(&p);
}

static void test_reasm(void)
{
	struct pbft_wire_id id = { 5, 1, PEERS_N };
	static struct pbft_reasm r;
	static u8 msg[4000];
	u8 frag[1400] __aligned(8);
	enum pbft_drop drop;

	pbft_frag_build(frag, sizeof(frag), &id, 1, msg, sizeof(msg), 7, 0);
	alloc_fail(1);
	ok(!pbft_reasm_add(&r, (void *)frag, sizeof(msg), &drop) && drop == PBFT_DROP_NOMEM,
	   "a fragment, but no memory");
	alloc_fail(0);
	ok(!pbft_reasm_add(&r, (void *)frag, sizeof(msg), &drop) && drop == PBFT_OK,
	   "again, with memory");
	pbft_reasm_free(&r);
}

/* ---- no journal ------------------------------------------------------------------------------ */

static void start_without_journal(void)
{
	static const struct pbft_log_head zero;

	peers_start(&p, true);
	pbft_core_destroy(p.core);
	p.cfg.journal = false;
	p.core = pbft_core_create(&p.cfg, p.now);
	pbft_client_add(p.core, PEERS_CLIENT);
	pbft_bind(p.core, p.now, &zero);
	peers_enter(&p, 1, 0, 0);
}

static void test_no_journal(void)
{
	struct peers_batch b = peers_one(1, 1);

	start_without_journal();
	peers_commit(&p, 1, &b);
	ok(p.sent[PBFT_PREPARE] && p.sent[PBFT_COMMIT] && p.applied.seq == 1 &&
	   !p.out[PBFT_OUT_PERSIST], "without a journal nothing is to be persisted");
	peers_stop(&p);
}

/* ---- nobody takes what we say --------------------------------------------------------------- */

static void fill_outbox(void)
{
	struct pbft_digest a = peers_digest('a'), b = peers_digest('b');
	u32 i;

	p.keep = true;
	peers_vote(&p, PBFT_COMMIT, 2, 1, 4, &a);
	for (i = 0; i < 600; i++)
		peers_vote(&p, PBFT_COMMIT, 2, 1, 4, &b);	/* evidence, each time */
}

static bool stopped_by_outbox(void)
{
	struct pbft_status st = peers_status(&p);

	return st.stopped && strstr(st.reason, "outbox");
}

static void test_outbox(void)
{
	const __le64 session = cpu_to_le64(1);
	struct peers_batch batch1 = peers_one(1, 1);
	u64 lost;

	peers_start(&p, true);
	peers_enter(&p, 1, 0, 0);
	fill_outbox();
	lost = pbft_counters_get(p.core)->out_dropped;
	ok(!peers_status(&p).stopped && lost, "events that nobody takes are lost");
	peers_send(&p, PBFT_HELLO, PEERS_CLIENT, 0, 1, &session, sizeof(session));
	ok(pbft_counters_get(p.core)->out_dropped == lost + 1, "so is an answer to a client");
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &batch1, true);
	ok(stopped_by_outbox(), "a record that nobody takes stops us");
	peers_stop(&p);

	start_without_journal();
	fill_outbox();
	peers_commit(&p, 1, &batch1);
	ok(stopped_by_outbox(), "so does a batch to execute");
	peers_stop(&p);

	start_without_journal();
	fill_outbox();
	peers_checkpoint(&p, 1, 8, 'x');
	peers_checkpoint(&p, 2, 8, 'x');
	ok(stopped_by_outbox(), "so does a state to fetch");
	peers_stop(&p);
}

int main(void)
{
	test_config();
	test_birth();
	test_clients();
	test_hello();
	test_stopped();
	test_answers();
	test_answered();
	test_checkpoint_times();
	test_bind();
	test_differs(true);
	test_differs(false);
	test_bind_fetching();
	test_insane();
	test_repeated_request();
	test_too_large();
	test_fetch_budget();
	test_want();
	test_reasm();
	test_no_journal();
	test_outbox();
	return done_testing();
}
