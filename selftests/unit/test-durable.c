// SPDX-License-Identifier: GPL-2.0
/*
 * Userspace replicas with journals, in one process: all die at once in mid-load
 * and resume; a torn end is cut; lost records are recognised and make a replica
 * one that has forgotten, which recovers by itself; so does a crash in mode
 * async, though not a restart in good order. The ring is compacted.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libpbft/journal_file.h"
#include "replica/replica.h"
#include "replicas.h"
#include "tap.h"

#define MS	1000000ull
#define N	4u
#define LIMIT	(120000 * MS)
#define RING_AT	(2 * PBFT_JOURNAL_BLOCK)

/* The state of a node is durable: what a database with --sync always would be. */
struct node {
	u32 id;
	struct pbft_replica *r;
	int fd;
	u32 mode;
	struct pbft_log_head head;
	struct pbft_digest state;	/* hash over all executed, in order */
	u64 ops;
	bool forgot;			/* when it started, and has not recovered */
};

static struct test_cluster tc;
static struct node nodes[N];
static struct pbft_client *client;
static char dir[] = "/tmp/pbft-durable-XXXXXX";

/* ---- the service ------------------------------------------------------------------ */

static void apply(void *arg, const struct pbft_log_head *head,
		  struct pbft_batch *batch)
{
	u32 count = batch ? pbft_batch_count(batch) : 0, i;
	struct pbft_result results[PBFT_BATCH_MAX];
	static struct pbft_digest kept[PBFT_BATCH_MAX];
	struct node *n = arg;

	for (i = 0; i < count; i++) {
		struct pbft_batch_req req;
		struct pbft_iov iov[2];

		pbft_batch_req(batch, i, &req);
		iov[0].base = &n->state;
		iov[0].len = sizeof(n->state);
		iov[1].base = req.op;
		iov[1].len = req.op_len;
		pbft_hash(&n->state, iov, 2);
		kept[i] = n->state;
		results[i].status = PBFT_ST_OK;
		results[i].data = &kept[i];
		results[i].len = sizeof(kept[i]);
		n->ops++;
	}
	n->head = *head;
	if (pbft_replica_executed(n->r, head->seq, results, count))
		diag("replica %u refuses results of %llu", n->id,
		     (unsigned long long)head->seq);
}

static void snapshot(void *arg, u64 seq)
{
	struct node *n = arg;

	pbft_replica_checkpointed(n->r, seq, &n->state);
}

/* The state is its own digest; log heads come with the target. */
static void fetch_state(void *arg, const struct pbft_log_head *head,
			const struct pbft_digest *app, u64 peers)
{
	struct node *n = arg;

	n->state = *app;
	n->head = *head;
	pbft_replica_state_installed(n->r, head->seq, app);
}

static void event(void *arg, const struct pbft_out *ev)
{
	struct node *n = arg;

	if (ev->code == PBFT_EV_RECOVERED)
		n->forgot = false;
}

static const struct pbft_replica_ops ops = {
	.apply = apply, .snapshot = snapshot, .fetch_state = fetch_state, .event = event,
};

/* ---- the cluster -------------------------------------------------------------------- */

static const char *path_of(u32 i)
{
	static char path[sizeof(dir) + 16];

	snprintf(path, sizeof(path), "%s/j%u", dir, i);
	return path;
}

/* With what is durable: the journal, and the application's state. */
static bool start(u32 i, bool genesis)
{
	struct node *n = &nodes[i];
	struct pbft_replica_config cfg = {
		.cluster = &tc.cluster, .self = i, .private_key = tc.keys[i],
		.genesis = genesis, .ops = &ops, .arg = n, .journal_mode = n->mode,
	};
	char err[256];

	n->id = i;
	n->fd = pbft_journal_file_open(path_of(i), PBFT_JOURNAL_MIN, err, sizeof(err));
	cfg.journal_fd = n->fd;
	if (n->fd < 0 || pbft_replica_create(&n->r, &cfg, err, sizeof(err))) {
		diag("replica %u: %s", i, err);
		return false;
	}
	n->forgot = !pbft_remembers(pbft_replica_core(n->r));
	return !pbft_replica_bind(n->r, &n->head);
}

static void crash(u32 i)
{
	pbft_replica_destroy(nodes[i].r);
	nodes[i].r = NULL;
	close(nodes[i].fd);
}

static bool down(u32 i)
{
	int rc = pbft_replica_down(nodes[i].r);

	crash(i);
	return !rc;
}

static bool start_all(u32 mode, bool genesis)
{
	bool good = true;
	u32 i;

	for (i = 0; i < N; i++) {
		nodes[i].mode = mode;
		good &= start(i, genesis);
	}
	return good;
}

/* A new cluster with new journals. */
static bool make(u32 mode)
{
	u32 i;

	memset(nodes, 0, sizeof(nodes));
	for (i = 0; i < N; i++)
		unlink(path_of(i));
	return test_cluster_make(&tc, N, "Timeout = 2s\nHeartbeat = 200ms\n"
				 "CheckpointInterval = 16\nWindow = 64\n") &&
	       start_all(mode, true) &&
	       !pbft_client_open(&client, &tc.cluster, TEST_CLIENT, tc.client_keys[0]);
}

static void end(void)
{
	u32 i;

	pbft_client_close(client);
	for (i = 0; i < N; i++)
		if (nodes[i].r)
			crash(i);
	pbft_cluster_free(&tc.cluster);
}

static void turn(void)
{
	u32 i;

	for (i = 0; i < N; i++)
		if (nodes[i].r)
			pbft_replica_poll(nodes[i].r, 0);
	pbft_client_poll(client, 0);
}

/* Turn until @done. */
static bool run(bool (*done)(void))
{
	u64 limit = test_now() + LIMIT;

	while (!done()) {
		if (test_now() > limit)
			return false;
		turn();
	}
	return true;
}

static struct pbft_status status(u32 i)
{
	struct pbft_status st;

	pbft_replica_status(nodes[i].r, &st);
	return st;
}

static struct pbft_replica_journal journal(u32 i)
{
	struct pbft_replica_journal j;

	pbft_replica_journal(nodes[i].r, &j);
	return j;
}

static bool none_forgot(void)
{
	u32 i;

	for (i = 0; i < N; i++)
		if (nodes[i].r && nodes[i].forgot)
			return false;
	return true;
}

static bool all_even(void)
{
	u32 i;

	for (i = 1; i < N; i++)
		if (nodes[i].head.seq != nodes[0].head.seq ||
		    !pbft_digest_eq(&nodes[i].head.chain, &nodes[0].head.chain) ||
		    !pbft_digest_eq(&nodes[i].state, &nodes[0].state))
			return false;
	return true;
}

/* ---- the client ---------------------------------------------------------------------- */

static u32 sent, answered, failed, enough;

static void on_done(void *arg, int err, u8 st, const void *result, u32 len)
{
	failed += err || st != PBFT_ST_OK;
	answered++;
}

static bool some_answered(void)
{
	static u8 op[500];

	while (sent < answered + 50) {
		memcpy(op, &sent, sizeof(sent));
		if (pbft_client_submit(client, op, sizeof(op), LIMIT, on_done, NULL))
			break;
		sent++;
	}
	return answered >= enough;
}

static bool all_answered(void)
{
	return answered == sent;
}

/* Operations, and more of them on their way when it returns. */
static bool load(u32 count)
{
	enough = answered + count;
	return run(some_answered);
}

static bool finish_load(void)
{
	return run(all_answered) && !failed && run(all_even);
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_crash_of_all(void)
{
	u64 view, before;
	u32 i;

	ok(make(PBFT_JOURNAL_SYNC), "four replicas with journals start");
	ok(load(500), "500 operations");
	view = status(1).view;
	before = journal(0).stats.records;
	ok(before > journal(0).stats.syncs, "%llu records took %llu flushes",
	   (unsigned long long)before, (unsigned long long)journal(0).stats.syncs);
	for (i = 0; i < N; i++)
		crash(i);
	/* a boot script says genesis each time */
	ok(start_all(PBFT_JOURNAL_SYNC, true), "all crash in mid-load and start again");
	ok(none_forgot(), "none has forgotten");
	ok(status(0).view == view && status(3).view == view, "all in the same view");
	ok(journal(2).replayed && !(journal(2).flags & PBFT_JF_DAMAGED),
	   "records were replayed");
	ok(load(100), "work goes on");
	ok(finish_load(), "every operation is answered, all states are equal");
	/* this service has no sessions: what is sent again, is executed again */
	ok(nodes[0].ops >= sent, "each operation was executed");
	ok(status(0).view == view, "in that view");
}

/* Position in the file of the last frame, by its own header. */
static bool last_frame(u32 i, u64 *at)
{
	u8 block[PBFT_JOURNAL_BLOCK];
	bool found = false;
	u64 pos, frame_pos, best = 0;

	for (pos = RING_AT; pread(nodes[i].fd, block, sizeof(block), pos) == sizeof(block);
	     pos += sizeof(block)) {
		if (memcmp(block, "PFRM", 4))
			continue;
		memcpy(&frame_pos, block + 8, sizeof(frame_pos));
		if (found && frame_pos < best)
			continue;
		best = frame_pos;
		*at = pos;
		found = true;
	}
	return found;
}

static bool overwrite(u32 i, u64 at, u8 with, u32 len)
{
	u8 *junk = malloc(len);
	int fd = open(path_of(i), O_RDWR | O_CLOEXEC);
	bool good;

	memset(junk, with, len);
	good = fd >= 0 && pwrite(fd, junk, len, at) == len;
	close(fd);
	free(junk);
	return good;
}

static void test_torn(void)
{
	u64 at;

	ok(load(100) && last_frame(3, &at), "a replica crashes");
	crash(3);
	/*
	 * As one that was begun when the power failed, of which nobody was
	 * promised anything.
	 */
	ok(overwrite(3, at + 64, 0xa5, 16), "and its last frame is not whole");
	ok(start(3, false), "it starts");
	ok(!nodes[3].forgot, "and has not forgotten");
	ok(load(100) && finish_load(), "work goes on");
}

static void test_damaged(void)
{
	ok(load(100), "a replica crashes");
	crash(2);
	ok(overwrite(2, RING_AT + 3 * PBFT_JOURNAL_BLOCK, 0xa5, 4 * PBFT_JOURNAL_BLOCK),
	   "and loses records that were durable");
	ok(start(2, true), "it starts, told that it is new");
	ok(journal(2).flags & PBFT_JF_DAMAGED, "it knows that its journal is damaged");
	ok(nodes[2].forgot, "and that it has forgotten");
	ok(load(500) && run(none_forgot), "it gets back to voting while work goes on");
	ok(finish_load(), "and all states are equal");
	crash(2);
	ok(start(2, false) && !nodes[2].forgot, "the next crash does it no harm");
	crash(1);
	ok(overwrite(1, 64, 0xa5, 16) && overwrite(1, PBFT_JOURNAL_BLOCK + 64, 0xa5, 16),
	   "another loses both superblocks");
	ok(start(1, true) && nodes[1].forgot, "it has forgotten as well");
	ok(load(500) && run(none_forgot) && finish_load(), "and recovers");
	end();
}

static void test_async(void)
{
	u32 i;

	ok(make(PBFT_JOURNAL_ASYNC), "four replicas with journals in mode async");
	ok(load(300) && finish_load(), "300 operations");
	for (i = 0; i < N; i++)
		if (!down(i))
			ok(false, "replica %u goes down", i);
	ok(start_all(PBFT_JOURNAL_ASYNC, false) && none_forgot(),
	   "after a restart in good order none has forgotten");
	ok(load(100) && finish_load(), "work goes on");
	crash(3);
	ok(start(3, false) && nodes[3].forgot, "after a crash a replica has");
	ok(load(300) && run(none_forgot), "and recovers");
	crash(3);
	ok(start(3, false) && nodes[3].forgot, "after the next one too");
	ok(load(300) && run(none_forgot) && finish_load(), "and recovers again");
	end();
}

static bool compacted(void)
{
	some_answered();
	return journal(0).stats.compactions && journal(3).stats.compactions;
}

static void test_compaction(void)
{
	u32 i;

	ok(make(PBFT_JOURNAL_SYNC), "four new replicas");
	ok(run(compacted), "work until the journals were compacted");
	ok(load(50), "and some more");
	for (i = 0; i < N; i++)
		crash(i);
	ok(start_all(PBFT_JOURNAL_SYNC, false) && none_forgot(), "all crash and resume");
	ok(load(100) && finish_load(), "work goes on");
	ok(journal(0).stats.used < journal(0).stats.size / 2 + (1 << 20),
	   "less than about half of the ring is used");
	end();
}

static void test_use(void)
{
	char err[256], other[sizeof(dir) + 16];

	ok(make(PBFT_JOURNAL_SYNC), "four new replicas");
	ok(pbft_journal_file_open(path_of(0), PBFT_JOURNAL_MIN, err, sizeof(err)) == -EBUSY,
	   "a journal serves one replica: %s", err);
	ok(pbft_journal_file_open(path_of(9), 4096, err, sizeof(err)) == -EINVAL,
	   "and has a size: %s", err);
	crash(0);
	crash(1);
	snprintf(other, sizeof(other), "%s", path_of(1));
	ok(!rename(other, path_of(0)) && !start(0, true), "and that one only");
	close(nodes[0].fd);
	end();
}

int main(void)
{
	u32 i;

	if (!mkdtemp(dir)) {
		ok(false, "%s: %s", dir, strerror(errno));
		return done_testing();
	}
	test_crash_of_all();
	test_torn();
	test_damaged();
	test_async();
	test_compaction();
	test_use();
	for (i = 0; i < N; i++)
		unlink(path_of(i));
	rmdir(dir);
	return done_testing();
}
