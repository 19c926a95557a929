// SPDX-License-Identifier: GPL-2.0
/*
 * Recovery: peer 0 has a database in which bits turn over behind its back, peers 1
 * to 3 have the same state whole. What is damaged is found and repaired, what is not
 * is left alone, and the state goes on as if nothing had been.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvstore.h"
#include "libpbft/kv.h"
#include "pbftd/recovery.h"
#include "pbftd/scrub.h"
#include "tap.h"

#define MTU	900
#define QUEUE	4096
#define MS	1000000ull
#define SEQ	40

struct datagram {
	u32 from, to, len;
	u8 data[MTU];
};

struct peer {
	u32 id;
	struct pbft_xfer *x;
};

static struct datagram *queue;
static u32 queued;
static struct peer peers[4];
static struct pbft_store *me, *src;
static struct pbft_recovery *rec;
static u64 now = 1, stable, rotations, silent, liars;
static u32 turn;		/* so many pairs of stores */

#define bail(...) do { \
	printf("Bail out! "); \
	printf(__VA_ARGS__); \
	printf("\n"); \
	exit(1); \
} while (0)

/* ---- the surroundings ---------------------------------------------------------- */

static void net_send(void *arg, u32 to, const void *data, u32 len)
{
	struct peer *p = arg;
	struct datagram *d = &queue[queued];

	if (to > 3 || queued == QUEUE || len > MTU || silent & BIT_ULL(p->id))
		return;
	queued++;
	d->from = p->id;
	d->to = to;
	d->len = len;
	memcpy(d->data, data, len);
	if (liars & BIT_ULL(p->id))
		d->data[len - 1] ^= 1;
}

static int net_page(void *arg, u32 page, const void *data, u64 len)
{
	return pbft_recovery_page(rec, now, page, data, len);
}

static const struct pbft_xfer_ops net_ops = { .send = net_send, .page = net_page };

static u64 on_stable(void *arg)
{
	return stable;
}

static int on_rotate(void *arg)
{
	rotations++;
	return 0;
}

static void on_report(void *arg, const struct pbft_recovery_report *r)
{
	if (r->checked > r->total || r->damaged > r->checked || r->repaired > r->damaged)
		bail("%u repaired of %u damaged of %u checked", r->repaired, r->damaged,
		     r->checked);
}

static const struct pbft_recovery_ops rec_ops = { on_stable, on_rotate, on_report };

static void step(void)
{
	u32 i, n = queued;
	static struct datagram d;

	now += MS;
	for (i = 0; i < n; i++) {
		d = queue[0];
		queue[0] = queue[--queued];
		if (pbft_xfer_recv(peers[d.to].x, now, d.from, d.data, d.len))
			bail("%s", me->err);
	}
	if (pbft_xfer_deadline(peers[0].x) <= now && pbft_xfer_tick(peers[0].x, now))
		bail("%s", me->err);
	if (pbft_recovery_deadline(rec) <= now && pbft_recovery_tick(rec, now))
		bail("%s", me->err);
}

static const struct pbft_recovery_report *report(void)
{
	return pbft_recovery_report(rec);
}

static void checkpoint(void)
{
	struct pbft_digest a, b;

	if (pbft_store_checkpoint(me, &a) || pbft_store_checkpoint(src, &b))
		bail("%s %s", me->err, src->err);
}

static void connect(void)
{
	static const struct pbft_schedule s = { .n = 4, .f = 1 };
	u32 i;

	pbft_recovery_destroy(rec);
	queued = 0;
	rec = pbft_recovery_create(me, &rec_ops, NULL);
	for (i = 0; i < 4; i++) {
		pbft_xfer_destroy(peers[i].x);
		peers[i].id = i;
		peers[i].x = pbft_xfer_create(i ? src : me, MTU, &net_ops, &peers[i]);
	}
	pbft_recovery_bind(rec, peers[0].x, &s);
}

static const char *name_of(const char *whose)
{
	static char name[32];

	snprintf(name, sizeof(name), "%s-%u", whose, turn);
	return name;
}

/* Two stores with the same state, and a copy of it that is certified. */
static void begin(const char *name)
{
	diag("%s", name);
	pbft_store_close(me);
	pbft_store_close(src);
	turn++;
	me = test_store(name_of("me"), 0);
	src = test_store(name_of("src"), 1);
	test_fill(me, SEQ, 5);
	test_fill(src, SEQ, 5);
	checkpoint();
	stable = SEQ;
	silent = 0;
	liars = 0;
	connect();
}

/* The copy is one of an earlier run, and the state has gone on from it. */
static void begin_anew(const char *name)
{
	begin(name);
	test_fill(me, SEQ + 8, 1);
	test_fill(src, SEQ + 8, 1);
	pbft_store_close(me);
	me = test_store(name_of("me"), 0);
	if (me->n_snapshots != 1 || !me->snapshots[0]->view.past)
		bail("there is no copy of the earlier run");
	connect();
}

static void run_while(u64 limit)
{
	u64 until = now + limit;

	while (now < until && report()->state == PBFT_RECOVERY_RUNNING)
		step();
}

static bool run(void)
{
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(60000 * MS);
	return report()->state == PBFT_RECOVERY_DONE;
}

static bool came_to(u32 damaged, u32 repaired)
{
	const struct pbft_recovery_report *r = report();

	if (r->state == PBFT_RECOVERY_DONE && r->checked == 2048 &&
	    r->damaged == damaged && r->repaired == repaired)
		return true;
	diag("state %u: %u checked, %u damaged, %u repaired", r->state, r->checked,
	     r->damaged, r->repaired);
	return false;
}

static bool alike(void)
{
	struct pbft_digest a, b;

	if (pbft_store_root(me, &a) || pbft_store_root(src, &b) ||
	    !pbft_digest_eq(&a, &b) || me->head.seq != src->head.seq) {
		diag("the states differ");
		return false;
	}
	if (!pbft_store_verify(me))
		return true;
	diag("%s", me->err);
	return false;
}

/* ---- damage -------------------------------------------------------------------------- */

/* The lowest bit of the byte that LMDB has mapped at @p, in the file. */
static void flip(const void *p)
{
	unsigned long from, to, inode, at = (unsigned long)p;
	char line[512];
	struct stat sb;
	u8 byte;
	FILE *f = fopen("/proc/self/maps", "r");
	int fd;

	if (!f || mdb_env_get_fd(me->env, &fd) || fstat(fd, &sb))
		bail("no database file");
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3 &&
		    inode == sb.st_ino && at >= from && at < to)
			break;
	fclose(f);
	byte = *(const u8 *)p ^ 1;
	if (pwrite(fd, &byte, 1, at - from) != 1 || *(const volatile u8 *)p != byte)
		bail("the byte is not where it seems to be");
}

static MDB_txn *copy_txn(void)
{
	return me->snapshots[me->n_snapshots - 1]->view.txn;
}

/* An entry of a table with a value longer than @more. */
static void entry(MDB_dbi dbi, u32 skip, u32 more, MDB_val *k, MDB_val *v)
{
	MDB_cursor *cur;

	if (mdb_cursor_open(copy_txn(), dbi, &cur))
		bail("no cursor");
	do {
		if (mdb_cursor_get(cur, k, v, MDB_NEXT))
			bail("no such entry");
	} while (v->mv_size <= more || skip-- > 0);
	mdb_cursor_close(cur);
}

/* Byte @at of the value of an entry of @dbi; from the end if negative. */
static void flip_value(MDB_dbi dbi, u32 skip, int at)
{
	MDB_val k, v;

	entry(dbi, skip, at < 0 ? 60 : at, &k, &v);
	flip((u8 *)v.mv_data + (at < 0 ? (int)v.mv_size + at : at));
}

static void flip_key(MDB_dbi dbi, u32 skip)
{
	MDB_val k, v;

	entry(dbi, skip, 0, &k, &v);
	flip((u8 *)k.mv_data + k.mv_size - 1);
}

static u64 last_txn(void)
{
	MDB_envinfo info;

	mdb_env_info(me->env, &info);
	return info.me_last_txnid;
}

static void test_sound(void)
{
	u64 txn;

	begin("a sound database");
	txn = last_txn();
	rotations = 0;
	ok(run() && came_to(0, 0), "a sound database is found so");
	ok(rotations == 1, "the keys moved on, once");
	ok(last_txn() == txn, "and nothing was written");
	ok(report()->seq == SEQ, "at the stable checkpoint");
	ok(pbft_recovery_deadline(rec) == U64_MAX, "then there is nothing to do");
}

/* Entries that have come since are no strays, and those that went are not missing. */
static void test_earlier_run(void)
{
	const struct pbft_snapshot *copy;
	MDB_val k, v, same;
	u32 skip = 0;
	u64 txn;

	begin_anew("a copy of an earlier run");
	txn = last_txn();
	ok(run() && came_to(0, 0) && last_txn() == txn, "a sound database is found so");
	copy = me->snapshots[0];
	do {
		entry(me->kv, skip++, 0, &k, &v);
	} while (pbft_view_get(me, &copy->view, me->kv, k.mv_data, k.mv_size, &same) ||
		 same.mv_data != v.mv_data);
	flip(v.mv_data);
	ok(run() && came_to(1, 1), "a value that has not changed since is damaged: repaired");
	ok(alike(), "the state is what it was");
}

static void test_flips(void)
{
	const struct {
		const char *what;
		MDB_dbi dbi;
		int at;
	} flips[] = {
		{ "a value", 0, 0 },
		{ "the end of a value", 0, -1 },
		{ "the digest of a value", 1, 3 },
		{ "the length of a value", 1, 32 },
		{ "a session's number", 2, 0 },
		{ "a session's next", 2, 8 },
		{ "a reply's number", 3, 0 },
		{ "a reply's status", 3, 8 },
		{ "a reply's digest", 3, 20 },
		{ "a reply", 3, 44 },
		{ "a page's node", 4, 100 },
	};
	u32 i;

	for (i = 0; i < ARRAY_SIZE(flips); i++) {
		begin(flips[i].what);
		flip_value(((MDB_dbi[]){ me->kv, me->leaf, me->session, me->reply,
					 me->tree_db })[flips[i].dbi],
			   flips[i].dbi == 0 ? 17 : 0, flips[i].at);
		ok(run() && came_to(1, 1), "%s: damaged, and repaired", flips[i].what);
		ok(alike(), "%s: as it was", flips[i].what);
	}
}

static void test_keys(void)
{
	struct pbft_store_results ra = { 0 }, rb = { 0 };

	begin("a key");
	flip_key(me->kv, 11);
	ok(run() && came_to(2, 2) && alike(), "a key that has become another");
	begin("a key in the index");
	flip_key(me->leaf, 11);
	ok(run() && came_to(1, 1) && alike(), "a key of the index that has become another");
	ok(!test_apply(me, SEQ + 1, &ra) && !test_apply(src, SEQ + 1, &rb) &&
	   ra.len == rb.len && !memcmp(ra.buf, rb.buf, ra.len) && alike(),
	   "and both go on alike");
	pbft_store_results_free(&ra);
	pbft_store_results_free(&rb);
}

static void test_many(void)
{
	u32 i;

	begin("many");
	for (i = 0; i < 40; i++)
		flip_value(me->kv, 3 * i, 0);
	flip_value(me->reply, 9, -1);
	ok(run() && came_to(39, 39) && alike(), "many at once");
}

static u32 differing(void)
{
	const u8 *p;
	MDB_val k, v, w;
	MDB_cursor *cur;
	u32 n = 0;

	if (pbft_store_begin(me) || pbft_store_begin(src) ||
	    mdb_cursor_open(src->txn, src->kv, &cur))
		bail("no cursor");
	while (!mdb_cursor_get(cur, &k, &v, MDB_NEXT)) {
		p = v.mv_data;
		n += mdb_get(me->txn, me->kv, &k, &w) || w.mv_size != v.mv_size ||
		     memcmp(w.mv_data, p, v.mv_size);
	}
	mdb_cursor_close(cur);
	return n;
}

static bool set(struct pbft_store *st, const MDB_val *k, u8 fill)
{
	struct pbft_log_head head = { .seq = st->head.seq + 1 };
	struct pbft_store_results res = { 0 };
	u8 op[400], value[100];
	struct pbft_store_req req = { 900, 1, head.seq - SEQ, op, 0 };
	bool done;

	memset(value, fill, sizeof(value));
	req.op_len = pbft_kv_put(op, sizeof(op), k->mv_data, k->mv_size, value,
				 sizeof(value));
	head.chain.b[0] = head.seq;
	done = !pbft_store_apply(st, &head, &req, 1, &res);
	pbft_store_results_free(&res);
	return done;
}

/* Puts to some of the keys that are damaged, to others, and to new ones. */
static void go_on(void)
{
	u8 key[256];
	MDB_val k, v;
	u32 i;

	for (i = 0; i < 60; i++) {
		entry(me->kv, 3 * i, 0, &k, &v);
		memcpy(key, k.mv_data, k.mv_size);
		k.mv_data = key;
		key[0] ^= i % 7 ? 0 : 1;
		if (!set(me, &k, i) || !set(src, &k, i))
			bail("%s %s", me->err, src->err);
	}
	if (pbft_store_commit(me) || pbft_store_commit(src))
		bail("%s %s", me->err, src->err);
}

/* The state goes on between the copy and the repair. */
static void test_moving(void)
{
	u32 i, was;

	begin("the state goes on");
	for (i = 0; i < 60; i++)
		flip_value(me->kv, 2 * i, 0);
	flip_value(me->reply, 2, 20);
	go_on();
	was = differing();
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(2000 * MS);
	ok(was > 20 && differing() == 0,
	   "of %u values that are wrong at the head none is left", was);
	ok(report()->state == PBFT_RECOVERY_RUNNING &&
	   report()->repaired < report()->damaged,
	   "but it waits for a checkpoint to be sure: %u of %u", report()->repaired,
	   report()->damaged);
	checkpoint();
	ok(pbft_digest_eq(&me->tree.root.digest, &src->tree.root.digest),
	   "the state there is the one of the others");
	run_while(2000 * MS);
	ok(report()->state == PBFT_RECOVERY_RUNNING, "not one that is not stable yet");
	stable = me->head.seq;
	run_while(2000 * MS);
	ok(report()->damaged == report()->repaired && report()->seq == stable &&
	   report()->state == PBFT_RECOVERY_DONE, "then it is done");
	ok(alike(), "and the states are the same");
}

/*
 * Copies that another process finds: what has been repaired is right in them, too;
 * what was written over first is as it was.
 */
static void test_restart(void)
{
	u32 i, page, found, bad[2] = { 0 };
	u64 bytes;

	begin("another process");
	for (i = 0; i < 60; i++)
		flip_value(me->kv, 2 * i, 0);
	flip_value(me->tree_db, 0, 100);
	go_on();
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(2000 * MS);
	checkpoint();
	stable = me->head.seq;
	run_while(60000 * MS);
	ok(report()->state == PBFT_RECOVERY_DONE && report()->damaged > 40 &&
	   report()->damaged == report()->repaired, "repaired while the state goes on");
	found = report()->damaged;
	pbft_store_close(me);
	me = test_store(name_of("me"), 0);
	for (i = 0; i < me->n_snapshots && i < 2; i++)
		for (page = 0; page < PBFT_TREE_PAGES; page++)
			bad[i] += !!pbft_scrub_page(me, me->snapshots[i], page, &bytes);
	ok(me->n_snapshots == 2 && !bad[1], "the copy made since is sound in another process");
	ok(bad[0] < found / 2, "the one before, but for what was written over: %u of %u",
	   bad[0], found);
}

static void test_overwritten(void)
{
	MDB_val k, v;
	u8 key[256];

	begin("written over");
	entry(me->kv, 5, 0, &k, &v);
	memcpy(key, k.mv_data, k.mv_size);
	k.mv_data = key;
	flip(v.mv_data);
	ok(set(me, &k, 7) && set(src, &k, 7), "a damaged value is written over");
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(2000 * MS);
	ok(differing() == 0, "the new one stays");
	checkpoint();
	stable = me->head.seq;
	run_while(2000 * MS);
	ok(came_to(1, 1) && alike(), "and is found to be right");
}

static void test_peers(void)
{
	begin("a liar");
	flip_value(me->kv, 5, 0);
	liars = BIT_ULL(1) | BIT_ULL(2);
	ok(run() && came_to(1, 1) && alike(), "two of three others lie about a page");

	begin("nobody");
	flip_value(me->kv, 5, 0);
	silent = 0xe;
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(100000 * MS);
	ok(report()->state == PBFT_RECOVERY_RUNNING, "while nobody has the page it waits");
	run_while(400000 * MS);
	ok(came_to(1, 0), "and ends at last, with what it could not repair");
	silent = 0;
	ok(run() && came_to(1, 1) && alike(), "the next one can");

	begin("no copy");
	stable = SEQ - 1;
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	run_while(400000 * MS);
	ok(report()->state == PBFT_RECOVERY_GIVEN_UP && !report()->checked,
	   "without a certified copy there is nothing to compare with");
}

/* ---- the schedule ----------------------------------------------------------------- */

static bool never_more(u32 n, u32 f, u64 interval)
{
	struct pbft_schedule s = { .interval = interval, .n = n, .f = f };
	u32 groups = pbft_schedule_groups(&s), turns[64] = { 0 };
	u64 slot, first = pbft_schedule_slot(&s, 1700000000000000000ull);

	for (slot = first; slot < first + groups; slot++) {
		u32 at_it = 0;

		for (s.self = 0; s.self < n; s.self++)
			if (pbft_schedule_turn(&s, slot)) {
				at_it++;
				turns[s.self]++;
			}
		if (at_it > f || !at_it)
			return false;
	}
	for (s.self = 0; s.self < n; s.self++)
		if (turns[s.self] != 1)
			return false;
	return true;
}

static void test_arithmetic(void)
{
	static const u64 intervals[] = { 1000 * MS, 12000 * MS, 86400000 * MS + 7 };
	u32 n, f, i, bad = 0, count = 0;

	for (n = 4; n <= 64; n++)
		for (f = 1; 3 * f + 1 <= n; f++)
			for (i = 0; i < ARRAY_SIZE(intervals); i++) {
				bad += !never_more(n, f, intervals[i]);
				count++;
			}
	ok(!bad, "never more than f at once, each once: %u clusters", count);
}

static void at(u64 time)
{
	me->head.time = time;
	if (pbft_recovery_clock(rec, now))
		bail("%s", me->err);
}

static void test_schedule(void)
{
	const struct pbft_schedule s = { 40000 * MS, 4, 1, 2 };
	const u64 t = 4000000 * MS;		/* a round of the four begins */

	begin("the schedule");
	me->head.time = t;
	pbft_recovery_bind(rec, peers[0].x, &s);
	rotations = 0;
	at(t + 9999 * MS);
	at(t + 10000 * MS);
	at(t + 19999 * MS);
	ok(!rotations, "not in the slots of the others");
	at(t + 20001 * MS);
	ok(rotations == 1 && report()->scheduled, "in our own, once agreed time is in it");
	at(t + 29999 * MS);
	run_while(60000 * MS);
	ok(rotations == 1 && came_to(0, 0), "once, and to the end");
	at(t + 30000 * MS);
	at(t + 60000 * MS);
	ok(rotations == 2 && report()->state == PBFT_RECOVERY_RUNNING, "and in the next round");
	at(t + 70000 * MS);
	ok(report()->state == PBFT_RECOVERY_GIVEN_UP,
	   "what has not ended when the slot does is given up");
	me->head.time = t + 105000 * MS;
	pbft_recovery_moved(rec);
	at(t + 106000 * MS);
	ok(rotations == 2, "a state that was installed begins no slot");
	if (pbft_recovery_start(rec, now, false))
		bail("%s", me->err);
	at(t + 115000 * MS);
	ok(report()->state == PBFT_RECOVERY_RUNNING, "what somebody asked for goes on");
	pbft_recovery_restart(rec, now);
	ok(!report()->scheduled && rotations == 3, "begun anew, it stays what it is");
}

int main(void)
{
	test_begin();
	queue = calloc(QUEUE, sizeof(*queue));
	test_sound();
	test_earlier_run();
	test_flips();
	test_keys();
	test_many();
	test_moving();
	test_restart();
	test_overwritten();
	test_peers();
	test_arithmetic();
	test_schedule();
	return done_testing();
}
