// SPDX-License-Identifier: GPL-2.0
/*
 * The key-value store of pbftd: operations, sessions, the same digest however
 * batches are grouped, restart, and what it refuses to open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kvstore.h"
#include "libpbft/kv.h"
#include "tap.h"

static struct pbft_store_results res;

/* ---- operations and sessions --------------------------------------------------- */

static struct pbft_store *one;

/* Execute one operation alone; the result stays valid until the next. */
static u8 run(u32 client, u64 session, u64 t, const u8 *op, int len,
	      const u8 **data, u32 *dlen)
{
	struct pbft_store_req req = { client, session, t, op, len };
	struct pbft_log_head head = { .seq = one->head.seq + 1 };

	res.count = 0;
	res.len = 0;
	if (pbft_store_apply(one, &head, &req, 1, &res) || res.count != 1) {
		diag("%s", one->err);
		return 255;
	}
	*data = res.buf + res.r[0].off;
	*dlen = res.r[0].len;
	return res.r[0].status;
}

static bool is(u8 status, const u8 *data, u32 len, const char *want, u32 wlen)
{
	return status == PBFT_ST_OK && len == wlen && !memcmp(data, want, wlen);
}

static void test_operations(void)
{
	const u8 *d;
	u8 op[512];
	u32 n;
	u8 s;

	one = test_store("ops", 0);
	s = run(100, 1, 1, op, pbft_kv_get(op, 512, "a", 1), &d, &n);
	ok(is(s, d, n, "\1", 1), "GET of what is not there");
	s = run(100, 1, 2, op, pbft_kv_put(op, 512, "a", 1, "one", 3), &d, &n);
	ok(is(s, d, n, "\0", 1), "PUT");
	s = run(100, 1, 3, op, pbft_kv_get(op, 512, "a", 1), &d, &n);
	ok(is(s, d, n, "\0\3\0\0\0one", 8), "GET of what was put");
	s = run(100, 1, 4, op,
		pbft_kv_cas(op, 512, "a", 1, "two", 3, true, "x", 1), &d, &n);
	ok(is(s, d, n, "\2\1\3\0\0\0one", 9), "CAS refused tells the value");
	s = run(100, 1, 5, op,
		pbft_kv_cas(op, 512, "a", 1, "one", 3, true, "two", 3), &d, &n);
	ok(is(s, d, n, "\0", 1), "CAS with the right old value");
	s = run(100, 1, 6, op,
		pbft_kv_cas(op, 512, "b", 1, "one", 3, true, "x", 1), &d, &n);
	ok(is(s, d, n, "\2\0", 2), "CAS on a key that is not there");
	s = run(100, 1, 7, op,
		pbft_kv_cas(op, 512, "b", 1, NULL, 0, false, "", 0), &d, &n);
	ok(is(s, d, n, "\0", 1), "CAS only if absent");
	s = run(100, 1, 8, op, pbft_kv_list(op, 512, "", 0, "", 0, 1), &d, &n);
	ok(is(s, d, n, "\0\1\1\0\0\0a\3\0\0\0two", 14), "LIST says there is more");
	s = run(100, 1, 9, op, pbft_kv_list(op, 512, "", 0, "a", 1, 9), &d, &n);
	ok(is(s, d, n, "\0\0\1\0\0\0b\0\0\0\0", 11), "LIST goes on behind a key");
	s = run(100, 1, 10, op, pbft_kv_list(op, 512, "c", 1, "", 0, 9), &d, &n);
	ok(is(s, d, n, "\0\0", 2), "LIST of nothing");
	s = run(100, 1, 11, op, pbft_kv_delete(op, 512, "a", 1), &d, &n);
	ok(is(s, d, n, "\0", 1), "DELETE");
	s = run(100, 1, 12, op, pbft_kv_delete(op, 512, "a", 1), &d, &n);
	ok(is(s, d, n, "\1", 1), "DELETE of what is gone");
	s = run(100, 1, 13, op, pbft_kv_echo(op, 512, 3, 5), &d, &n);
	ok(is(s, d, n, "\0\0\0\0\0\0", 6), "ECHO");
	s = run(100, 1, 14, (const u8 *)"\77", 1, &d, &n);
	ok(s == PBFT_ST_APP_ERROR && n == 1 && d[0] == PBFT_KV_INVALID,
	   "a malformed operation is refused, and counts as executed");
}

static void test_sessions(void)
{
	struct pbft_store *st = one;
	const u8 *d;
	u8 op[512], s;
	u32 n;
	u64 t;

	s = run(100, 1, 3, op, pbft_kv_delete(op, 512, "b", 1), &d, &n);
	ok(is(s, d, n, "\0\3\0\0\0one", 8),
	   "a repeated t brings the stored reply, whatever it asks");
	s = run(100, 1, 16, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(s == PBFT_ST_OUT_OF_ORDER && !n, "a t too high is out of order");
	s = run(101, 5, 2, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(s == PBFT_ST_OUT_OF_ORDER && !n, "a session begins with t = 1");
	for (t = 15; t < 90; t++)
		s = run(100, 1, t, op, pbft_kv_put(op, 512, "k", 1, &t, 8), &d, &n);
	ok(s == PBFT_ST_OK, "many more");
	s = run(100, 1, 25, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(s == PBFT_ST_STALE, "a reply older than the window is gone");
	s = run(100, 1, 26, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(is(s, d, n, "\0", 1), "the oldest in the window is there");
	s = run(100, 2, 1, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(s == PBFT_ST_OK, "a newer session replaces the old one");
	s = run(100, 1, 90, op, pbft_kv_get(op, 512, "b", 1), &d, &n);
	ok(s == PBFT_ST_STALE, "the old one is closed");
	ok(!pbft_store_commit(st) && !pbft_store_verify(st),
	   "the database verifies: %s", st->err);
	{
		struct pbft_log_head far = { .seq = st->head.seq + 2 };

		ok(pbft_store_apply(st, &far, NULL, 0, &res) == -EINVAL,
		   "a batch that does not follow is refused");
	}
	pbft_store_close(one);
}

/* ---- determinism and restart --------------------------------------------------- */

static void test_determinism(void)
{
	struct pbft_store *a = test_store("a", 0), *b = test_store("b", 1);
	struct pbft_store *c = test_store("c", 2);
	struct pbft_digest ra, rb, rc, before;

	test_fill(a, 64, 1);
	test_fill(b, 64, 7);
	test_fill(c, 30, 64);
	ok(!pbft_store_checkpoint(c, &rc), "a checkpoint in between");
	test_fill(c, 64, 64);
	ok(!pbft_store_checkpoint(a, &ra) && !pbft_store_checkpoint(b, &rb) &&
	   !pbft_store_checkpoint(c, &rc), "checkpoints are taken");
	ok(pbft_digest_eq(&ra, &rb) && pbft_digest_eq(&ra, &rc),
	   "the digest does not depend on how batches were grouped");
	ok(pbft_store_snapshot(a, 64, &ra) && !pbft_store_snapshot(a, 63, &ra) &&
	   !pbft_store_snapshot(a, 64, &(struct pbft_digest){ 0 }),
	   "a snapshot is found by sequence number and digest");

	test_fill(a, 100, 3);
	test_fill(b, 90, 3);
	ok(test_apply(b, 91, &res) == 0, "a batch is applied and not committed");
	pbft_store_close(b);
	b = test_store("b", 1);
	ok(b->head.seq == 90, "after a restart the head is the committed one");
	ok(!pbft_store_root(b, &before) && !pbft_digest_eq(&before, &rb),
	   "the digest can be told between checkpoints");
	test_fill(b, 100, 50);
	ok(!pbft_store_checkpoint(a, &ra) && !pbft_store_checkpoint(b, &rb) &&
	   pbft_digest_eq(&ra, &rb),
	   "pages changed before a restart are in the next digest");
	ok(!pbft_store_verify(a) && !pbft_store_verify(b),
	   "both verify: %s%s", a->err, b->err);

	test_fill(a, 128, 3);
	pbft_store_checkpoint(a, &ra);
	pbft_store_discard(a, 128);
	ok(a->n_snapshots == 2 && a->snapshots[0]->seq == 100,
	   "the last two snapshots stay");
	pbft_store_close(a);
	pbft_store_close(b);
	pbft_store_close(c);
}

/* ---- refusals -------------------------------------------------------------------- */

static void refused(const char *name, u64 cluster, u32 epoch, u32 self, bool check,
		    const char *sentence, const char *what)
{
	char err[PBFT_ERR_MAX];
	struct pbft_store *st;
	int rc = test_open(&st, name, cluster, epoch, self, check, err);

	ok(rc < 0 && strstr(err, sentence), "%s", what);
	diag("%s", rc ? err : "it was opened");
	if (!rc)
		pbft_store_close(st);
}

static void patch_file(const char *path, const char *find, const char *with)
{
	int fd = open(path, O_RDWR);
	struct stat sb;
	u8 *buf, *p;

	fstat(fd, &sb);
	buf = malloc(sb.st_size);
	if (pread(fd, buf, sb.st_size, 0) != sb.st_size)
		diag("short read");
	for (p = buf; (p = memmem(p, sb.st_size - (p - buf), find, strlen(find)));
	     p++)
		if (pwrite(fd, with, strlen(with), p - buf) < 0)
			diag("no write");
	free(buf);
	close(fd);
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	fputs(text, f);
	fclose(f);
}

/* As after a power cut: another boot, and no clean end. */
static void fake_crash(const char *name)
{
	struct pbft_store *st = test_store(name, 0);
	struct pbft_run_rec run = { .boot_id = "another boot" };

	pbft_store_begin(st);
	pbft_store_put(st, st->meta, "run", 3, &run, sizeof(run));
	pbft_store_commit(st);
	st->opts.read_only = true;	/* so that closing leaves the record */
	pbft_store_close(st);
}

static void test_refusals(void)
{
	char err[PBFT_ERR_MAX];
	struct pbft_store *st;

	refused("a", 0x99, 1, 0, false, "belongs to cluster 0x1234",
		"another cluster's");
	refused("a", TEST_CLUSTER, 2, 0, false, "in epoch 1", "another epoch's");
	refused("a", TEST_CLUSTER, 1, 3, false, "belongs to replica 0",
		"another replica's");
	st = test_store("a", 0);
	refused("a", TEST_CLUSTER, 1, 0, false, "another pbftd", "one in use");
	pbft_store_close(st);

	mkdir(test_path("other"), 0700);
	write_file(test_path("other/notes.txt"), "mine\n");
	refused("other", TEST_CLUSTER, 1, 0, false, "holds other files",
		"a directory with other files");
	mkdir(test_path("text"), 0700);
	write_file(test_path("text/data.mdb"), "this is no database");
	refused("text", TEST_CLUSTER, 1, 0, false, "damaged", "a text file");

	ok(!test_open(&st, "a", TEST_CLUSTER, 1, 0, true, err),
	   "--check passes a good one: %s", err);
	pbft_store_close(st);
	fake_crash("a");
	ok(!test_open(&st, "a", TEST_CLUSTER, 1, 0, false, err),
	   "a good one is opened after a crash of the machine: %s", err);
	pbft_store_close(st);

	fake_crash("a");
	patch_file(test_path("a/data.mdb"), "key/0123", "key/0X23");
	refused("a", TEST_CLUSTER, 1, 0, false, "damaged",
		"one that changed, after a crash of the machine");
	refused("a", TEST_CLUSTER, 1, 0, true, "damaged",
		"one that changed, with --check");
	if (truncate(test_path("c/data.mdb"), 16384))
		diag("not truncated");
	refused("c", TEST_CLUSTER, 1, 2, true, "damaged", "a truncated one");
	patch_file(test_path("b/data.mdb"), "PBFTKVDB\1", "PBFTKVDB\7");
	refused("b", TEST_CLUSTER, 1, 1, false, "format 7", "an unknown format");
}

int main(void)
{
	test_begin();
	test_operations();
	test_sessions();
	test_determinism();
	test_refusals();
	pbft_store_results_free(&res);
	return done_testing();
}
