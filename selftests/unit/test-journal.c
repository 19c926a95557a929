// SPDX-License-Identifier: GPL-2.0
/*
 * The journal's format on a medium in memory: what is written comes back, over
 * the end of the ring and over compactions; an end that is not whole is cut; what
 * was durable and is gone is noticed; what is somebody else's is left alone.
 */
#include <stdlib.h>
#include "core/journal.h"
#include "core/record.h"
#include "tap.h"

#define BLOCK	PBFT_JOURNAL_BLOCK
#define SIZE	(2u << 20)
#define BODY	3000

static const struct pbft_wire_id id = { .cluster = 7, .epoch = 2, .n = 4 };
static const u8 nonce[PBFT_JOURNAL_NONCE] = { 1, 2, 3 };
static const u8 nonce2[PBFT_JOURNAL_NONCE] = { 4, 5, 6 };

static u8 *medium;
static u32 writes, fail_after;

static int m_read(void *arg, u64 off, void *buf, u32 len)
{
	if (off + len > SIZE)
		return -EIO;
	memcpy(buf, medium + off, len);
	return 0;
}

static int m_write(void *arg, u64 off, const void *buf, u32 len)
{
	if (off + len > SIZE || (fail_after && ++writes > fail_after))
		return -EIO;
	memcpy(medium + off, buf, len);
	return 0;
}

static int m_sync(void *arg)
{
	return 0;
}

static const struct pbft_journal_io io = { m_read, m_write, m_sync, NULL };

/* ---- records that can be told apart --------------------------------------- */

static struct pbft_out make(u64 i)
{
	struct pbft_out out = {
		.type = PBFT_OUT_PERSIST, .code = PBFT_REC_VIEW_CHANGE, .view = i,
	};
	u32 j;

	out.head.seq = 2 * i;
	out.head.time = 3 * i;
	out.digest.b[5] = i;
	out.head.chain.b[6] = i;
	if (i % 3 == 0)
		return out;
	out.buf = pbft_buf_alloc(BODY);
	out.buf->len = BODY - i % 7;
	for (j = 0; j < out.buf->len; j++)
		out.buf->data[j] = i + j;
	/* a header that is no RELAY's */
	((struct pbft_hdr *)out.buf->data)->type = PBFT_VIEW_CHANGE;
	return out;
}

static int append(struct pbft_journal *j, u64 i)
{
	struct pbft_out out = make(i);
	int err = pbft_journal_append(j, &out);

	pbft_out_release(&out);
	return err;
}

static int append_sync(struct pbft_journal *j, u64 from, u64 to)
{
	int err = 0;

	for (; !err && from < to; from++)
		err = append(j, from) ?: pbft_journal_sync(j);
	return err;
}

struct told {
	u64 next;
	bool wrong;
};

static int tell(void *arg, const struct pbft_record *rec)
{
	struct told *t = arg;
	struct pbft_out out;

	if (rec->code == PBFT_REC_FORGOT)
		return 0;
	out = make(t->next);

	t->wrong |= rec->code != out.code || rec->view != out.view ||
		    rec->head.seq != out.head.seq || rec->head.time != out.head.time ||
		    !pbft_digest_eq(&rec->digest, &out.digest) ||
		    !pbft_digest_eq(&rec->head.chain, &out.head.chain) ||
		    !rec->buf != !out.buf ||
		    (rec->buf && (rec->buf->len != out.buf->len ||
				  memcmp(rec->buf->data, out.buf->data, out.buf->len)));
	pbft_out_release(&out);
	t->next++;
	return 0;
}

static int open_it(struct pbft_journal *j, const u8 *fresh)
{
	const char *why;

	return pbft_journal_open(j, &id, 1, &io, SIZE, fresh, &why);
}

/* Close, open, read: are they the records from @from to before @to? */
static bool holds(struct pbft_journal *j, u64 from, u64 to, int want)
{
	struct told t = { .next = from };
	const char *why = "";
	int err;

	pbft_journal_close(j);
	err = open_it(j, NULL);
	if (!err)
		err = pbft_journal_replay(j, tell, &t, &why);
	if (err != want || t.wrong || t.next != to)
		diag("returns %d (%s), next %llu%s", err, why, (unsigned long long)t.next,
		     t.wrong ? ", wrong records" : "");
	return err == want && !t.wrong && t.next == to;
}

static void blank(void)
{
	memset(medium, 0, SIZE);
	fail_after = 0;
	writes = 0;
}

static void begin(struct pbft_journal *j)
{
	struct told t = { .next = 0 };
	const char *why;

	blank();
	if (open_it(j, nonce) || pbft_journal_replay(j, tell, &t, &why))
		abort();
}

/* ---- tests ------------------------------------------------------------------- */

static void test_new(void)
{
	struct pbft_journal j;
	const char *why;

	blank();
	ok(open_it(&j, NULL) == -ENODATA, "a blank medium is no journal unless one is to be made");
	pbft_journal_close(&j);
	begin(&j);
	ok(holds(&j, 0, 0, 0), "a new journal is empty");
	pbft_journal_close(&j);
	ok(pbft_journal_open(&j, &id, 2, &io, SIZE, nonce, &why) == -EXDEV,
	   "another replica's is refused: %s", why);
	pbft_journal_close(&j);
	ok(pbft_journal_open(&j, &id, 1, &io, SIZE / 2, nonce, &why) == -EBADMSG,
	   "one larger than its medium is refused: %s", why);
	pbft_journal_close(&j);
	ok(pbft_journal_open(&j, &id, 1, &io, 2 * BLOCK, nonce, &why) == -ENOSPC,
	   "a tiny medium is refused: %s", why);
	pbft_journal_close(&j);
	blank();
	memset(medium + 100, 0x77, 50);
	ok(pbft_journal_open(&j, &id, 1, &io, SIZE, nonce, &why) == -EMEDIUMTYPE,
	   "what is not a journal is not overwritten: %s", why);
	pbft_journal_close(&j);
	ok(medium[120] == 0x77 && !medium[0], "... indeed");
}

static void test_superblocks(void)
{
	struct pbft_journal j;

	begin(&j);
	append_sync(&j, 0, 5);
	memset(medium + 16, 0xee, 8);
	ok(holds(&j, 0, 5, 0), "one damaged superblock does no harm");
	pbft_journal_close(&j);
	begin(&j);
	memset(medium + 16, 0xee, 8);
	memset(medium + BLOCK + 16, 0xee, 8);
	pbft_journal_close(&j);
	ok(open_it(&j, nonce) == -EBADMSG, "two do");
	pbft_journal_close(&j);
}

static void test_records(void)
{
	struct pbft_journal j;
	u64 i;

	begin(&j);
	for (i = 0; i < 40; i++)
		append(&j, i);
	ok(holds(&j, 0, 0, 0), "what was not flushed is not there");
	pbft_journal_close(&j);
	begin(&j);
	for (i = 0; i < 40; i++)
		append(&j, i);
	pbft_journal_sync(&j);
	ok(j.stats.frames == 1 && j.stats.syncs == 1, "forty records, one frame, one sync");
	ok(holds(&j, 0, 40, 0), "they come back");
	append_sync(&j, 40, 60);
	ok(holds(&j, 0, 60, 0), "and the twenty that came later, each in its frame");
	ok(!j.torn, "its end was whole");
	pbft_journal_close(&j);
}

/* The last frame is there in part; it had not been waited for. */
static void test_torn(void)
{
	struct pbft_journal j;
	u64 end, cut;
	u32 good = 0, n = 0;

	for (cut = 0; cut < 2 * BODY; cut += 512, n++) {
		begin(&j);
		append_sync(&j, 0, 10);
		end = j.end;
		append(&j, 10);
		append(&j, 11);
		append(&j, 12);
		pbft_journal_flush(&j);
		memset(medium + 2 * BLOCK + end + cut, 0, j.end - end - cut);
		good += holds(&j, 0, 10, 0) && !append_sync(&j, 10, 14) &&
			holds(&j, 0, 14, 0);
		pbft_journal_close(&j);
	}
	ok(good == n && n, "a frame cut off at any of its %u sectors is left out, and writing goes on there", n);
}

/* Of two frames under way the first is lost and then written anew, with something else. */
static void test_left_over(void)
{
	struct pbft_journal j;
	const char *why;
	struct told t = { .next = 0 };
	u64 end;

	begin(&j);
	append_sync(&j, 0, 2);
	end = j.end;
	append(&j, 2);
	pbft_journal_flush(&j);
	append(&j, 3);
	pbft_journal_flush(&j);
	memset(medium + 2 * BLOCK + end, 0, BLOCK);
	ok(holds(&j, 0, 2, 0) && j.torn, "the first of two frames is lost, the second goes with it");
	append_sync(&j, 4, 5);
	pbft_journal_close(&j);
	if (open_it(&j, NULL))
		abort();
	pbft_journal_replay(&j, tell, &t, &why);
	ok(j.replayed == 3, "... and does not come back behind what was written in its stead: %llu records",
	   (unsigned long long)j.replayed);
	pbft_journal_close(&j);
}

static void test_lost(void)
{
	struct pbft_journal j;
	u64 at;

	begin(&j);
	append_sync(&j, 0, 10);
	at = j.end;
	append_sync(&j, 10, 12);
	memset(medium + 2 * BLOCK + at + 40, 0xff, 8);
	ok(holds(&j, 0, 10, -EUCLEAN), "a durable frame that is damaged is missed, if another follows");
	ok(!pbft_journal_reset(&j, nonce2) && holds(&j, 0, 0, 0) && j.replayed == 1,
	   "made anew, it says that it has forgotten");
	append_sync(&j, 0, 3);
	ok(holds(&j, 0, 3, 0), "the old journal's frames further on are not its own");
	pbft_journal_close(&j);
}

/* Round the ring several times, in compactions of ten records each. */
static void test_ring(void)
{
	u64 i = 0, first = 0, marked = 0;
	bool good = true, wanted = true;
	struct pbft_journal j;

	begin(&j);
	while (j.end < 5ull * SIZE && good) {
		good = !append_sync(&j, i, i + 1);
		i++;
		if (!pbft_journal_wants_compaction(&j))
			continue;
		marked = i;
		good = good && !pbft_journal_mark(&j) && !append_sync(&j, i, i + 10);
		i += 10;
		good = good && holds(&j, first, i, 0);	/* the power fails before the reclaim */
		wanted = wanted && pbft_journal_wants_compaction(&j);
		good = good && !pbft_journal_mark(&j);
		marked = i;
		good = good && !append_sync(&j, i, i + 10) && !pbft_journal_reclaim(&j);
		i += 10;
		first = marked;
		good = good && holds(&j, first, i, 0);
	}
	ok(good && first, "five times round, %llu records", (unsigned long long)i);
	ok(wanted, "a compaction that a crash cut short is wanted again");
	pbft_journal_close(&j);
}

static void test_full(void)
{
	struct pbft_journal j;
	u64 i = 0;
	int err;

	begin(&j);
	do
		err = append_sync(&j, i, i + 1);
	while (!err && ++i);
	ok(err == -ENOSPC, "a ring that nobody reclaims is full at last");
	ok(holds(&j, 0, i, 0), "... with everything in it");
	pbft_journal_close(&j);
	begin(&j);
	fail_after = 3;
	ok(append_sync(&j, 0, 5) == -EIO, "what the medium says is passed on");
	fail_after = 0;
	ok(holds(&j, 0, 3, 0), "... and what was before it stands");
	pbft_journal_close(&j);
}

/* Any byte of the medium may be anything: no crash, no wrong record. */
static void test_bytes(void)
{
	u64 seed = 1, i, wrong = 0;
	struct pbft_journal j;
	const char *why;

	for (i = 0; i < 2000; i++) {
		struct told t = { .next = 0 };
		u32 at;

		if (i % 50 == 0) {
			begin(&j);
			append_sync(&j, 0, 12);
			pbft_journal_close(&j);
		}
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		at = (seed >> 33) % (14 * BLOCK);
		medium[at] ^= 1 + (seed >> 20 & 0x7f);
		if (!open_it(&j, NULL))
			pbft_journal_replay(&j, tell, &t, &why);
		wrong += t.wrong;
		pbft_journal_close(&j);
	}
	ok(!wrong, "two thousand flipped bytes, and never a record that was not written");
}

int main(void)
{
	medium = malloc(SIZE);
	test_new();
	test_superblocks();
	test_records();
	test_torn();
	test_left_over();
	test_lost();
	test_ring();
	test_full();
	test_bytes();
	free(medium);
	return done_testing();
}
