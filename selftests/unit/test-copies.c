// SPDX-License-Identifier: GPL-2.0
/*
 * Copies of states at checkpoints outlive the process that made them, however it
 * ends: each is byte for byte what it was, the state is not touched by it, and
 * execution goes on as in a store that was never closed.
 *
 * What lives and dies here are child processes with the store "main". The parent
 * has a store of its own, "twin", whose copies it looks at before any of them is
 * needed. SEED in the environment repeats a random run.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "copies.h"
#include "tap.h"

/* ---- dying ------------------------------------------------------------------------ */

int __real_mdb_txn_commit(struct MDB_txn *txn);
int __wrap_mdb_txn_commit(struct MDB_txn *txn);

static u32 commits, die_at;	/* 0: never */
static bool die_before;
static pid_t mortal;		/* and none of its children */

int __wrap_mdb_txn_commit(struct MDB_txn *txn)
{
	bool die = getpid() == mortal && ++commits == die_at;
	int rc;

	if (die && die_before)
		_exit(77);
	rc = __real_mdb_txn_commit(txn);
	if (die)
		_exit(77);
	return rc;
}

/* ---- lives ------------------------------------------------------------------------ */

enum end { CLOSE, DIE, DIE_IN_BATCH };

struct life {
	const char *name;
	u64 seed, until;
	u32 often;
	enum end end;
	enum pbft_sync sync;
	u32 die_at;		/* with a commit */
	bool die_before, check;
};

static int open_as(struct pbft_store **st, const char *name, enum pbft_sync sync,
		   bool check, bool read_only, char *err)
{
	struct pbft_store_opts opts = {
		.dir = test_path(name), .cluster = TEST_CLUSTER, .epoch = 1,
		.sync = sync, .check = check, .map_size = 1u << 30,
		.read_only = read_only,
	};

	err[0] = 0;
	return pbft_store_open(st, &opts, err, PBFT_ERR_MAX);
}

static int live(const struct life *l)
{
	char err[PBFT_ERR_MAX];
	struct pbft_store *st;

	rng = l->seed;
	commits = 0;
	mortal = getpid();
	die_at = l->die_at;
	die_before = l->die_before;
	if (open_as(&st, l->name, l->sync, l->check, false, err)) {
		diag("%s", err);
		return 1;
	}
	if (st->lost[0]) {
		diag("%s", st->lost);
		return 1;
	}
	if (!all_right(st) || !go(st, l->until, l->often) || pbft_store_settle(st) ||
	    !all_right(st)) {
		diag("at %llu: %s", (unsigned long long)st->head.seq, st->err);
		return 1;
	}
	if (l->end == DIE_IN_BATCH && apply(st))
		return 1;
	if (l->end == CLOSE)
		pbft_store_close(st);
	return 0;
}

/* Return its exit status; 77: it died as it was told to. */
static int run(const struct life *l)
{
	int status;
	pid_t pid;

	fflush(NULL);
	pid = fork();
	if (!pid) {
		status = live(l);
		fflush(stdout);
		_exit(status);
	}
	if (pid < 0 || waitpid(pid, &status, 0) < 0)
		return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void copy_database(const char *from, const char *to)
{
	char command[300];

	snprintf(command, sizeof(command), "rm -rf %s && mkdir %s && cp %s/data.mdb %s/",
		 test_path(to), test_path(to), test_path(from), test_path(to));
	if (system(command))
		diag("%s failed", command);
}

static void test_ends(void)
{
	prepare(6 * K);
	ok(!run(&(struct life){ .name = "main", .until = 3 * K + 5 }),
	   "a store with three copies is closed");
	ok(!run(&(struct life){ .name = "main", .until = 3 * K + 5 }),
	   "they are there when it is opened again");
	ok(!run(&(struct life){ .name = "main", .until = 4 * K + 3, .end = DIE, .often = 2 }),
	   "execution goes on, and ends without a close");
	ok(!run(&(struct life){ .name = "main", .until = 4 * K, .end = DIE_IN_BATCH }),
	   "nothing is missing; it ends between two batches");
	ok(!run(&(struct life){ .name = "main", .until = 5 * K + 1, .check = true,
				.sync = PBFT_SYNC_ALWAYS, .end = DIE }),
	   "the whole database verifies; it goes on, durable at once, and ends");
	ok(!run(&(struct life){ .name = "main", .until = 6 * K }), "all is there again");
}

static void test_random(void)
{
	struct life l = { .name = "main" };
	u64 at = 6 * K;
	u32 i, failed = 0;

	for (i = 0; i < 16 && !failed; i++) {
		u64 state = rng;

		at += below(3 * K);
		l.until = at;
		l.often = below(6);
		l.end = below(3);
		l.sync = below(2) ? PBFT_SYNC_ALWAYS : PBFT_SYNC_CHECKPOINT;
		l.check = !below(4);
		l.seed = state;
		prepare(at + 1);
		failed = run(&l);
		if (failed)
			diag("life %u, to %llu, often %u, end %u, sync %u", i,
			     (unsigned long long)at, l.often, l.end, l.sync);
	}
	ok(!failed, "lives of any length, with any end");
}

/* Killed at each commit, before and after, of opening and of a few checkpoints. */
static void test_commits(void)
{
	u64 begin = 3 * K + 3, end = 5 * K + 2;
	u32 i, died = 0, failed = 0;

	prepare(end);
	run(&(struct life){ .name = "base", .until = begin, .end = DIE, .often = 2 });
	for (i = 0; !failed; i++) {
		struct life l = { .name = "killed", .seed = 1, .until = end, .often = 3,
				  .die_at = 1 + i / 2, .die_before = i % 2 };
		int status;

		copy_database("base", "killed");
		status = run(&l);
		if (!status)
			break;
		died++;
		l.die_at = 0;
		failed = status != 77 || run(&l);
		if (failed)
			diag("%s commit %u", l.die_before ? "before" : "after", 1 + i / 2);
	}
	ok(!failed && died > 8, "killed before and after each of %u commits", died / 2);
}

/* ---- what else may be in a database ------------------------------------------------ */

static struct pbft_store *reopen(struct pbft_store *st, const char *name)
{
	char err[PBFT_ERR_MAX];

	pbft_store_close(st);
	if (open_as(&st, name, PBFT_SYNC_CHECKPOINT, false, false, err)) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	return st;
}

static struct pbft_store *made(const char *name, u64 seq)
{
	struct pbft_store *st;
	char err[PBFT_ERR_MAX];

	prepare(seq);
	if (open_as(&st, name, PBFT_SYNC_CHECKPOINT, false, false, err) ||
	    !go(st, seq, 0) || pbft_store_commit(st)) {
		printf("Bail out! %s\n", err);
		exit(1);
	}
	return st;
}

/* As a version without undo log leaves it. */
static void test_older(void)
{
	struct pbft_store *st = made("older", 2 * K + 2);
	char err[PBFT_ERR_MAX];

	pbft_store_begin(st);
	ok(!mdb_drop(st->txn, st->undo.dbi, 1), "a database of an earlier version");
	mdb_txn_commit(st->txn);
	st->txn = NULL;
	st->opts.read_only = true;
	pbft_store_close(st);
	ok(!open_as(&st, "older", PBFT_SYNC_CHECKPOINT, true, true, err) &&
	   st->head.seq == 2 * K + 2, "can be read: %s", err);
	st = reopen(st, "older");
	ok(!st->n_snapshots && !st->lost[0] && go(st, 4 * K + 1, 0),
	   "and used: it has no copies, and then makes some");
	pbft_store_commit(st);
	st = reopen(st, "older");
	ok(copies_right(st, 3 * K, 4 * K) && st->n_snapshots == 2,
	   "which outlive the process");

	/* the earlier version again: it changes the state, and no more */
	st->undo.pos.on = false;
	go(st, 4 * K + 3, 0);
	pbft_store_commit(st);
	st = reopen(st, "older");
	ok(!st->n_snapshots && strstr(st->lost, "an earlier version"),
	   "copies that an earlier version has lost the way to are gone: %s", st->lost);
	ok(go(st, 6 * K, 0), "the state is not affected");
	st = reopen(st, "older");
	ok(!st->lost[0] && copies_right(st, 5 * K, 6 * K) && st->n_snapshots == 2,
	   "and there are new ones");
	pbft_store_close(st);
}

enum damage { CUT, TABLE, ROOT, MISSING, KEY, LENGTH };

/* Damage chunk @part of the copy at @seq, or its root. */
static void damage(struct pbft_store *st, enum damage what, u64 seq, u32 part)
{
	u8 key[PBFT_UNDO_KEY + 1] = { [6] = seq >> 8, [7] = seq, [11] = part };
	struct pbft_undo_chunk *chunk;
	MDB_val v;
	u8 *bytes;

	pbft_store_begin(st);
	if (pbft_store_get(st, st->txn, st->undo.dbi, key, PBFT_UNDO_KEY, &v)) {
		diag("no chunk %u of %llu", part, (unsigned long long)seq);
		return;
	}
	bytes = malloc(v.mv_size);
	memcpy(bytes, v.mv_data, v.mv_size);
	chunk = (void *)bytes;
	if (what == TABLE)
		chunk->recs[0] = PBFT_TABLES;
	else if (what == ROOT)
		bytes[3] ^= 1;
	else if (what == LENGTH)
		((struct pbft_undo_rec *)chunk->recs)->vlen = cpu_to_le32(U32_MAX);
	if (what == MISSING)
		pbft_store_del(st, st->undo.dbi, key, PBFT_UNDO_KEY);
	else
		pbft_store_put(st, st->undo.dbi, key, PBFT_UNDO_KEY + (what == KEY),
			       bytes, v.mv_size - (what == CUT));
	free(bytes);
	pbft_store_commit(st);
}

static void test_damage(void)
{
	static const struct {
		enum damage what;
		u32 part;
		u64 left;	/* the first copy that is not lost */
		const char *text;
	} cases[] = {
		{ CUT, 1, 4 * K, "a chunk that is cut off" },
		{ TABLE, 1, 4 * K, "a change of no table" },
		{ LENGTH, 1, 4 * K, "a value that is too long" },
		{ MISSING, 1, 4 * K, "a chunk that is missing" },
		{ MISSING, 0, 4 * K, "a root that is missing" },
		{ ROOT, 0, 4 * K, "another root" },
		{ CUT, 0, 4 * K, "a root that is cut off" },
		{ KEY, 1, 4 * K, "a key that is none" },
	};
	struct pbft_store *st = made("good", 5 * K + 3);
	char err[PBFT_ERR_MAX];
	const char *said;
	u32 i;

	pbft_store_close(st);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		copy_database("good", "bad");
		open_as(&st, "bad", PBFT_SYNC_CHECKPOINT, false, false, err);
		damage(st, cases[i].what, 3 * K, cases[i].part);
		st = reopen(st, "bad");
		said = "damaged";
		if (cases[i].what == ROOT)
			said = "lead there";
		ok(strstr(st->lost, said) && st->n_snapshots == 2 && st->snapshots[0]->seq == cases[i].left &&
		   copies_right(st, 4 * K, 5 * K), "%s costs the copies before it: %s",
		   cases[i].text, st->lost);
		pbft_store_close(st);
		ok(open_as(&st, "bad", PBFT_SYNC_CHECKPOINT, true, false, err) == -EIO &&
		   strstr(err, "damaged"), "and is refused with --check: %s", err);
		open_as(&st, "bad", PBFT_SYNC_CHECKPOINT, false, false, err);
		ok(go(st, 6 * K + 1, 0) && !pbft_store_commit(st), "the state goes on");
		st = reopen(st, "bad");
		ok(!st->lost[0] && copies_right(st, 4 * K, 6 * K), "and its copies");
		pbft_store_close(st);
	}
}

/* Stage @s of the twin; its last page differs from what it should be if @bad. */
static void stage(struct pbft_store *st, struct pbft_snapshot *s, bool bad)
{
	u32 i, last = 0;

	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		u8 *data = NULL;
		u64 len = 0;

		if (pbft_store_has(st, i, &s->tree.page[i]))
			continue;
		pbft_page_encode(twin, &s->view, i, &data, &len);
		pbft_store_stage(st, i, &s->tree.page[i], data);
		free(data);
		last = i;
	}
	if (bad) {
		u8 key[2], *bytes;
		MDB_val v;

		pbft_be16(key, last);
		pbft_store_get(st, st->txn, st->stage, key, sizeof(key), &v);
		bytes = malloc(v.mv_size);
		memcpy(bytes, v.mv_data, v.mv_size);
		bytes[v.mv_size - 1] ^= 1;
		pbft_store_put(st, st->stage, key, sizeof(key), bytes, v.mv_size);
		free(bytes);
	}
}

static void test_install(void)
{
	struct pbft_store *st = made("installed", 3 * K + 1);
	struct pbft_log_head head = { 0 };
	struct pbft_snapshot *s;

	prepare(12 * K);
	s = pbft_store_snapshot(twin, twin->head.seq / K * K, &roots[twin->head.seq / K * K]);
	pbft_store_refresh(st);
	stage(st, s, true);
	head.seq = s->seq;
	head.time = s->seq * 1000;
	head.chain.b[0] = s->seq;
	ok(pbft_store_install(st, &s->tree, &head) == -EAGAIN && st->head.seq == 3 * K + 1 &&
	   go(st, 4 * K + 2, 0), "a state that cannot be installed leaves the old one");
	pbft_store_commit(st);
	st = reopen(st, "installed");
	ok(!st->lost[0] && all_right(st), "and the copies");
	pbft_store_unstage(st);
	pbft_store_refresh(st);
	stage(st, s, false);
	ok(!pbft_store_install(st, &s->tree, &head), "it is installed: %s", st->err);
	ok(st->n_snapshots > 4 && copies_right(st, K, 4 * K),
	   "older copies stay with the process");
	st = reopen(st, "installed");
	ok(!st->lost[0] && st->n_snapshots == 1 && copies_right(st, s->seq, s->seq),
	   "the copy of the installed state outlives it");
	prepare(s->seq + 2 * K + 1);
	ok(go(st, s->seq + 2 * K + 1, 2), "the log goes on from there");
	pbft_store_commit(st);
	st = reopen(st, "installed");
	ok(!st->lost[0] && st->n_snapshots == 3 &&
	   copies_right(st, s->seq, s->seq + 2 * K), "with copies, each as it was");
	pbft_store_close(st);
}

/* Back to a state that has been passed; the same checkpoint twice; very many. */
static void test_numbers(void)
{
	struct pbft_store *st = made("numbers", 5 * K);
	struct pbft_snapshot *s;
	struct pbft_digest root;
	struct pbft_log_head head = { 0 };
	u32 i;

	st = reopen(st, "numbers");
	ok(copies_right(st, 2 * K, 5 * K), "a state that is at a checkpoint has its copy");
	ok(!pbft_store_checkpoint(st, &root) && pbft_digest_eq(&root, &roots[5 * K]),
	   "a checkpoint is asked for again");
	ok(go(st, 5 * K + 2, 0), "and the state goes on");
	pbft_store_commit(st);
	st = reopen(st, "numbers");
	ok(all_right(st), "nothing is lost");

	s = twin->snapshots[0];
	prepare(s->seq + K + 1);
	pbft_store_close(st);
	st = made("numbers2", s->seq + K + 1);
	pbft_store_refresh(st);
	stage(st, s, false);
	head.seq = s->seq;
	head.time = s->seq * 1000;
	head.chain.b[0] = s->seq;
	ok(!pbft_store_install(st, &s->tree, &head), "back to an older state: %s", st->err);
	st = reopen(st, "numbers2");
	ok(st->n_snapshots == 1 && copies_right(st, s->seq, s->seq) && st->head.seq == s->seq,
	   "whose copy is the only one then");
	pbft_store_close(st);

	st = made("back", 3 * K);
	st->head.seq = 2 * K + 1;
	ok(!pbft_store_checkpoint(st, &root), "a state that is not ahead of the last copy");
	st = reopen(st, "back");
	ok(!st->lost[0] && st->n_snapshots == 1 && st->snapshots[0]->seq == 2 * K + 1,
	   "replaces all copies");
	pbft_store_close(st);

	st = test_store("many", 0);
	for (i = 0; i < PBFT_SNAPSHOTS_MAX + 10; i++)
		if (apply(st) || pbft_store_checkpoint(st, &root))
			break;
	pbft_store_close(st);
	st = made("many", 0);
	ok(st->n_snapshots == PBFT_SNAPSHOTS_MAX && st->snapshots[0]->seq == 11 && !st->lost[0],
	   "of very many copies the last ones are kept");
	for (i = 0; i < st->n_snapshots; i++)
		if (!pbft_digest_eq(&st->snapshots[i]->tree.root.digest,
				    &roots[st->snapshots[i]->seq]))
			break;
	ok(i == st->n_snapshots, "as they were");
	pbft_store_close(st);
}

/* Writes that fail in the middle of a batch, or of a chunk. */
static void test_full(void)
{
	struct pbft_store_opts opts = {
		.cluster = TEST_CLUSTER, .epoch = 1, .sync = PBFT_SYNC_ALWAYS,
		.map_size = 1 << 20,
	};
	char err[PBFT_ERR_MAX] = "";
	bool right = true;
	u64 at = 0;
	u32 full = 0;

	prepare(10 * K);
	while (right && at < 10 * K) {
		struct pbft_store *st;

		opts.dir = test_path("full");
		opts.map_size += 256 << 10;
		if (pbft_store_open(&st, &opts, err, sizeof(err))) {
			right = strstr(err, "full at");
			continue;
		}
		right = !st->lost[0] && all_right(st);
		if (right && !go(st, 10 * K, 1)) {
			right = strstr(st->err, "full at");
			full++;
		}
		at = st->head.seq;
		pbft_store_close(st);
	}
	ok(right && full > 4, "a database that is full %u times, at last with room: %s", full,
	   err);
}

int main(void)
{
	const char *env = getenv("SEED");

	rng = env ? strtoull(env, NULL, 0) : (u64)time(NULL) * 1000 + getpid();
	diag("SEED=%llu", (unsigned long long)rng);
	test_begin();
	twin = test_store("twin", 0);
	test_ends();
	test_random();
	test_commits();
	test_older();
	test_damage();
	test_install();
	test_numbers();
	test_full();
	forget_history();
	return done_testing();
}
