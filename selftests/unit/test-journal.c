// SPDX-License-Identifier: GPL-2.0
/*
 * The journal's format on a medium in memory: what is written comes back, over
 * the end of the ring and over compactions; an end that is not whole is cut; what
 * was durable and is gone is noticed; what is somebody else's is left alone.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/record.h"
#include "alloc.h"
#include "journals.h"
#include "tap.h"

#define BLOCK	JOURNALS_BLOCK
#define RING	JOURNALS_RING
#define SIZE	JOURNALS_SIZE

/* ---- tests ------------------------------------------------------------------- */

/* Opening it is refused with @want, and a sentence. */
static void refused(u32 self, u64 bytes, int want, const char *what)
{
	const char *why = NULL;
	struct pbft_journal j;
	int err = pbft_journal_open(&j, &journals_id, self, &medium_io, bytes,
				    journals_nonce[0], &why);

	pbft_journal_close(&j);
	ok(err == want && why, "%s: %s", what, why);
}

static void test_new(void)
{
	struct pbft_journal j;

	medium_blank();
	ok(journals_open(&j, NULL) == -ENODATA,
	   "a blank medium is no journal unless one is to be made");
	pbft_journal_close(&j);
	journals_begin(&j);
	ok(journals_holds(&j, 0, 0, 0), "a new journal is empty");
	pbft_journal_close(&j);
	refused(JOURNALS_SELF + 1, SIZE, -EXDEV, "another replica's is refused");
	refused(JOURNALS_SELF, SIZE / 2, -EBADMSG, "one larger than its medium is refused");
	refused(JOURNALS_SELF, 2 * BLOCK, -ENOSPC, "a tiny medium is refused");
	medium.data[JOURNALS_SUPER_VERSION] = 2;
	medium.data[BLOCK + JOURNALS_SUPER_VERSION] = 2;
	journals_sign_super(0);
	journals_sign_super(1);
	refused(JOURNALS_SELF, SIZE, -EMEDIUMTYPE, "one of a later version is refused");
	medium_blank();
	memset(medium.data + 100, 0x77, 50);
	refused(JOURNALS_SELF, SIZE, -EMEDIUMTYPE, "what is not a journal is not overwritten");
	ok(medium.data[120] == 0x77 && !medium.data[0], "... indeed");
}

static void test_superblocks(void)
{
	struct pbft_journal j;

	journals_begin(&j);
	journals_append_sync(&j, 0, 5);
	memset(medium.data + 16, 0xee, 8);
	ok(journals_holds(&j, 0, 5, 0), "one damaged superblock does no harm");
	pbft_journal_close(&j);
	journals_begin(&j);
	memset(medium.data + 16, 0xee, 8);
	memset(medium.data + BLOCK + 16, 0xee, 8);
	pbft_journal_close(&j);
	ok(journals_open(&j, journals_nonce[0]) == -EBADMSG, "two do");
	pbft_journal_close(&j);
}

/* ---- who only looks ------------------------------------------------------------ */

static struct pbft_wire_id seen;
static u32 seen_self;

static void peek(int want, const char *what)
{
	const char *why = NULL;
	int err = pbft_journal_peek(&medium_io, &seen, &seen_self, &why);

	ok(err == want && why, "%s%s%s", what, err ? ": " : "", err ? why : "");
}

/* The newer superblock, which counts: as @n replicas. */
static void set_n(u32 n)
{
	__le32 v = cpu_to_le32(n);

	memcpy(medium.data + JOURNALS_SUPER_N, &v, sizeof(v));
	journals_sign_super(0);
}

static void test_peek(void)
{
	struct pbft_journal j;

	seen_self = 77;
	medium_blank();
	peek(-ENODATA, "a look at a blank medium");
	journals_begin(&j);
	pbft_journal_close(&j);
	medium.fail_at = 1;
	peek(-EIO, "at one that cannot be read");
	medium_heal();
	alloc_fail(1);
	peek(-ENOMEM, "without memory");
	alloc_fail(0);
	set_n(PBFT_N_MAX + 1);
	peek(-EBADMSG, "at a cluster of 65");
	set_n(JOURNALS_SELF);
	peek(-EBADMSG, "at replica 1 of 1");
	ok(seen_self == 77 && !seen.n && !seen.cluster, "nothing is told in all these cases");
	set_n(PBFT_N_MAX);
	peek(0, "64 replicas can be");
	set_n(journals_id.n);
	medium.data[JOURNALS_SUPER_N]++;
	peek(0, "one superblock is damaged");
	ok(seen.cluster == journals_id.cluster && seen.epoch == journals_id.epoch &&
	   seen.n == journals_id.n && seen_self == JOURNALS_SELF, "... and it is told whose it is");
	medium.data[BLOCK + JOURNALS_SUPER_N]++;
	peek(-EBADMSG, "both are");
}

static void test_no_memory(void)
{
	struct pbft_journal j;

	medium_blank();
	alloc_fail(1);
	refused(JOURNALS_SELF, SIZE, -ENOMEM, "no memory");
	journals_begin(&j);
	journals_append_sync(&j, 0, 3);
	alloc_fail(2);		/* behind the journal's own; record 0 needs none */
	ok(journals_holds(&j, 0, 1, -ENOMEM), "no memory for a record's message");
	alloc_fail(0);
	ok(journals_holds(&j, 0, 3, 0), "... which is there the next time");
	pbft_journal_close(&j);
}

/* ---- one record ------------------------------------------------------------------ */

struct bad_record {
	const char *what;
	size_t off;		/* a __le32, or the code */
	u32 value;
	u32 cut;		/* bytes less than there are */
};

#define FIELD(field)	offsetof(struct pbft_record_disk, field)

static void test_record_get(void)
{
	static const struct bad_record bad[] = {
		{ "half a header", FIELD(len), 0, JOURNALS_BODY + 50 },
		{ "one cut short", FIELD(len), 0, 1 },
		{ "no length", FIELD(len), 0, 0 },
		{ "a length below its header's", FIELD(len), 8, 0 },
		{ "a length beyond its end", FIELD(len), 1 << 20, 0 },
		{ "a length of 4 GB", FIELD(len), U32_MAX, 0 },
		{ "a message longer than the record", FIELD(msg_len), JOURNALS_BODY + 8, 0 },
		{ "a message of 4 GB", FIELD(msg_len), U32_MAX, 0 },
		{ "a message shorter than the record", FIELD(msg_len), 8, 0 },
		{ "an unknown code", FIELD(code), PBFT_REC_MAX, 0 },
	};
	struct pbft_out out = journals_record(1);
	u32 size = pbft_record_size(&journals_id, &out), i, refused_count = 0;
	struct pbft_record rec = {};
	u8 *data = malloc(size);

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		__le32 v = cpu_to_le32(bad[i].value);
		int err;

		pbft_record_put(data, &journals_id, JOURNALS_SELF, &out);
		if (!bad[i].cut)
			memcpy(data + bad[i].off, &v, bad[i].off == FIELD(code) ? 1 : 4);
		err = pbft_record_get(&journals_id, data, size - bad[i].cut, &rec);
		if (err == -EBADMSG && !rec.buf)
			refused_count++;
		else
			diag("%s: %d", bad[i].what, err);
	}
	ok(refused_count == ARRAY_SIZE(bad), "%u of %zu bad records are refused", refused_count,
	   ARRAY_SIZE(bad));
	pbft_record_put(data, &journals_id, JOURNALS_SELF, &out);
	alloc_fail(1);
	ok(pbft_record_get(&journals_id, data, size, &rec) == -ENOMEM && !rec.buf,
	   "a good one, but no memory");
	alloc_fail(0);
	ok(pbft_record_get(&journals_id, data, size, &rec) == (int)size && rec.buf &&
	   rec.buf->len == out.buf->len &&
	   rec.buf->cap == out.buf->len + journals_id.n * PBFT_MAC_LEN,
	   "a good one, with room for an authenticator");
	pbft_buf_put(rec.buf);
	pbft_out_release(&out);
	free(data);
}

static void test_names(void)
{
	u32 code, other, good = 0;

	for (code = 0; code < PBFT_REC_MAX; code++) {
		const char *name = pbft_record_name(code);

		for (other = 0; name && other < code; other++)
			if (!strcmp(name, pbft_record_name(other)))
				name = NULL;
		good += name && strcmp(name, "unknown");
	}
	ok(good == PBFT_REC_MAX, "%u kinds of record have names of their own", good);
	ok(!strcmp(pbft_record_name(PBFT_REC_MAX), "unknown") &&
	   !strcmp(pbft_record_name(255), "unknown"), "others are unknown");
}

/* ---- many -------------------------------------------------------------------------- */

static void test_records(void)
{
	struct pbft_journal j;
	u64 i;

	journals_begin(&j);
	for (i = 0; i < 40; i++)
		journals_append(&j, i);
	ok(journals_holds(&j, 0, 0, 0), "what was not flushed is not there");
	pbft_journal_close(&j);
	journals_begin(&j);
	for (i = 0; i < 40; i++)
		journals_append(&j, i);
	pbft_journal_sync(&j);
	ok(j.stats.frames == 1 && j.stats.syncs == 1, "forty records, one frame, one sync");
	ok(journals_holds(&j, 0, 40, 0), "they come back");
	journals_append_sync(&j, 40, 60);
	ok(journals_holds(&j, 0, 60, 0), "and the twenty that came later, each in its frame");
	ok(!j.torn, "its end was whole");
	pbft_journal_close(&j);
}

/* The last frame is there in part; it had not been waited for. */
static void test_torn(void)
{
	struct pbft_journal j;
	u64 end, cut;
	u32 good = 0, n = 0;

	for (cut = 0; cut < 2 * JOURNALS_BODY; cut += 512, n++) {
		journals_begin(&j);
		journals_append_sync(&j, 0, 10);
		end = j.end;
		journals_append(&j, 10);
		journals_append(&j, 11);
		journals_append(&j, 12);
		pbft_journal_flush(&j);
		memset(medium.data + RING + end + cut, 0, j.end - end - cut);
		good += journals_holds(&j, 0, 10, 0) && !journals_append_sync(&j, 10, 14) &&
			journals_holds(&j, 0, 14, 0);
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

	journals_begin(&j);
	journals_append_sync(&j, 0, 2);
	end = j.end;
	journals_append(&j, 2);
	pbft_journal_flush(&j);
	journals_append(&j, 3);
	pbft_journal_flush(&j);
	memset(medium.data + RING + end, 0, BLOCK);
	ok(journals_holds(&j, 0, 2, 0) && j.torn,
	   "the first of two frames is lost, the second goes with it");
	journals_append_sync(&j, 4, 5);
	pbft_journal_close(&j);
	if (journals_open(&j, NULL))
		abort();
	pbft_journal_replay(&j, journals_told, &t, &why);
	ok(j.replayed == 3, "... and does not come back behind what was written in its stead: %llu records",
	   (unsigned long long)j.replayed);
	pbft_journal_close(&j);
}

static void test_lost(void)
{
	struct pbft_journal j;
	u64 at;

	journals_begin(&j);
	journals_append_sync(&j, 0, 10);
	at = j.end;
	journals_append_sync(&j, 10, 12);
	memset(medium.data + RING + at + 40, 0xff, 8);
	ok(journals_holds(&j, 0, 10, -EUCLEAN),
	   "a durable frame that is damaged is missed, if another follows");
	ok(!pbft_journal_reset(&j, journals_nonce[1]) && journals_holds(&j, 0, 0, 0) &&
	   j.replayed == 1,
	   "made anew, it says that it has forgotten");
	journals_append_sync(&j, 0, 3);
	ok(journals_holds(&j, 0, 3, 0), "the old journal's frames further on are not its own");
	pbft_journal_close(&j);
}

/* Round the ring several times, in compactions of ten records each. */
static void test_ring(void)
{
	u64 i = 0, first = 0, marked = 0;
	bool good = true, wanted = true;
	struct pbft_journal j;

	journals_begin(&j);
	while (j.end < 5ull * SIZE && good) {
		good = !journals_append_sync(&j, i, i + 1);
		i++;
		if (!pbft_journal_wants_compaction(&j))
			continue;
		marked = i;
		good = good && !pbft_journal_mark(&j) && !journals_append_sync(&j, i, i + 10);
		i += 10;
		good = good && journals_holds(&j, first, i, 0);	/* the power fails before the reclaim */
		wanted = wanted && pbft_journal_wants_compaction(&j);
		good = good && !pbft_journal_mark(&j);
		marked = i;
		good = good && !journals_append_sync(&j, i, i + 10) && !pbft_journal_reclaim(&j);
		i += 10;
		first = marked;
		good = good && journals_holds(&j, first, i, 0);
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

	journals_begin(&j);
	do
		err = journals_append_sync(&j, i, i + 1);
	while (!err && ++i);
	ok(err == -ENOSPC, "a ring that nobody reclaims is full at last");
	ok(journals_holds(&j, 0, i, 0), "... with everything in it");
	pbft_journal_close(&j);
	journals_begin(&j);
	medium.fail_write_at = 4;
	ok(journals_append_sync(&j, 0, 5) == -EIO, "what the medium says is passed on");
	medium_heal();
	ok(journals_holds(&j, 0, 3, 0), "... and what was before it stands");
	pbft_journal_close(&j);
}

static int third_is_wrong(void *arg, const struct pbft_record *rec)
{
	return rec->view == 2 ? -EILSEQ : 0;
}

/* Reading it ends with @want after @count records. */
static void ends(int want, u64 count, const char *what)
{
	const char *why = NULL;
	struct pbft_journal j;
	int err;

	if (journals_open(&j, NULL))
		abort();
	err = pbft_journal_replay(&j, third_is_wrong, NULL, &why);
	ok(err == want && j.replayed == count && why, "%s: %s", what, why);
	pbft_journal_close(&j);
}

static void test_refused_record(void)
{
	struct pbft_journal j;

	journals_begin(&j);
	journals_append_sync(&j, 0, 5);
	pbft_journal_close(&j);
	ends(-EILSEQ, 2, "who reads may refuse a record");
	/* the chain goes on from another digest then: it is the last one */
	medium.data[RING + JOURNALS_FRAME_RECORDS + FIELD(code)] = PBFT_REC_MAX;
	journals_sign_frame(RING);
	ends(-EBADMSG, 0, "a whole frame with a record that is none");
}

/* The last frame of the ring says that it goes on beyond its end. */
static void test_beyond_end(void)
{
	const __le32 len = cpu_to_le32(2 * BLOCK);
	struct pbft_journal j;
	u64 i = 0, at;

	journals_begin(&j);
	while (j.end + BLOCK < j.size && !journals_append_sync(&j, i, i + 1))
		i++;
	at = j.end;
	ok(at == j.size - BLOCK && !journals_append_sync(&j, i, i + 1) && j.end == j.size,
	   "a ring is full to its last block");
	memcpy(medium.data + RING + at + JOURNALS_FRAME_LEN, &len, sizeof(len));
	ok(journals_holds(&j, 0, i, 0) && j.end == at,
	   "a frame there which would cross its end is none");
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
			journals_begin(&j);
			journals_append_sync(&j, 0, 12);
			pbft_journal_close(&j);
		}
		seed = seed * 6364136223846793005ull + 1442695040888963407ull;
		at = (seed >> 33) % (14 * BLOCK);
		medium.data[at] ^= 1 + (seed >> 20 & 0x7f);
		if (!journals_open(&j, NULL))
			pbft_journal_replay(&j, journals_told, &t, &why);
		wrong += t.wrong;
		pbft_journal_close(&j);
	}
	ok(!wrong, "two thousand flipped bytes, and never a record that was not written");
}

int main(void)
{
	medium_begin();
	test_new();
	test_superblocks();
	test_peek();
	test_no_memory();
	test_record_get();
	test_names();
	test_records();
	test_torn();
	test_left_over();
	test_lost();
	test_ring();
	test_full();
	test_refused_record();
	test_beyond_end();
	test_bytes();
	medium_end();
	return done_testing();
}
