// SPDX-License-Identifier: GPL-2.0
/* A medium in memory that fails on demand; records made of their number. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "core/hash.h"
#include "journals.h"

struct medium medium;

const struct pbft_wire_id journals_id = { .cluster = 7, .epoch = 2, .n = 4 };
const u8 journals_nonce[2][PBFT_JOURNAL_NONCE] = { { 1, 2, 3 }, { 4, 5, 6 } };

/* ---- the medium ------------------------------------------------------------------ */

static bool fails(void)
{
	return medium.fail_at && ++medium.calls >= medium.fail_at;
}

static int m_read(void *arg, u64 off, void *buf, u32 len)
{
	if (fails() || off + len > JOURNALS_SIZE)
		return -EIO;
	memcpy(buf, medium.data + off, len);
	return 0;
}

static int m_write(void *arg, u64 off, const void *buf, u32 len)
{
	if (off + len > JOURNALS_SIZE ||
	    (medium.fail_write_at && ++medium.writes >= medium.fail_write_at))
		return -EIO;
	/* one that fails may have got anywhere */
	memcpy(medium.data + off, buf, len);
	medium.low = min(medium.low, off);
	medium.high = max(medium.high, off + len);
	return fails() ? -EIO : 0;
}

static void settle(void)
{
	medium.low = JOURNALS_SIZE;
	medium.high = 0;
}

static int m_sync(void *arg)
{
	if (fails())
		return -EIO;
	if (medium.low < medium.high)
		memcpy(medium.durable + medium.low, medium.data + medium.low,
		       medium.high - medium.low);
	settle();
	return 0;
}

const struct pbft_journal_io medium_io = { m_read, m_write, m_sync, NULL };

void medium_begin(void)
{
	medium.data = malloc(JOURNALS_SIZE);
	medium.durable = malloc(JOURNALS_SIZE);
	if (!medium.data || !medium.durable)
		abort();
	medium_blank();
}

void medium_end(void)
{
	free(medium.data);
	free(medium.durable);
}

void medium_heal(void)
{
	medium.calls = 0;
	medium.fail_at = 0;
	medium.writes = 0;
	medium.fail_write_at = 0;
}

void medium_blank(void)
{
	memset(medium.data, 0, JOURNALS_SIZE);
	memset(medium.durable, 0, JOURNALS_SIZE);
	settle();
	medium_heal();
}

u64 journals_random(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

void medium_crash(enum medium_loss how, u64 *seed)
{
	u64 at;

	for (at = medium.low & ~511ull; at < medium.high; at += 512) {
		bool lost = how == LOSE_ALL || (how == LOSE_SOME && journals_random(seed) % 2);

		if (lost)
			memcpy(medium.data + at, medium.durable + at, 512);
		else
			memcpy(medium.durable + at, medium.data + at, 512);
	}
	settle();
	medium_heal();
}

/* ---- records --------------------------------------------------------------------- */

struct pbft_out journals_record(u64 i)
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
	out.buf = pbft_buf_alloc(JOURNALS_BODY);
	if (!out.buf)
		abort();
	out.buf->len = JOURNALS_BODY - i % 7;
	for (j = 0; j < out.buf->len; j++)
		out.buf->data[j] = i + j;
	/* a header that is no RELAY's */
	((struct pbft_hdr *)out.buf->data)->type = PBFT_VIEW_CHANGE;
	return out;
}

int journals_append(struct pbft_journal *j, u64 i)
{
	struct pbft_out out = journals_record(i);
	int err = pbft_journal_append(j, &out);

	pbft_out_release(&out);
	return err;
}

int journals_append_sync(struct pbft_journal *j, u64 from, u64 to)
{
	int err = 0;

	for (; !err && from < to; from++)
		err = journals_append(j, from) ?: pbft_journal_sync(j);
	return err;
}

static bool same(const struct pbft_record *rec, const struct pbft_out *out)
{
	return rec->code == out->code && rec->view == out->view &&
	       rec->head.seq == out->head.seq && rec->head.time == out->head.time &&
	       pbft_digest_eq(&rec->digest, &out->digest) &&
	       pbft_digest_eq(&rec->head.chain, &out->head.chain) &&
	       !rec->buf == !out->buf &&
	       (!rec->buf || (rec->buf->len == out->buf->len &&
			      !memcmp(rec->buf->data, out->buf->data, out->buf->len)));
}

int journals_told(void *arg, const struct pbft_record *rec)
{
	struct told *t = arg;
	struct pbft_out out;

	if (rec->code == PBFT_REC_FORGOT) {
		t->forgot++;
		return 0;
	}
	if (t->any && !t->count)
		t->next = rec->view;
	if (!t->count++)
		t->first = t->next;
	out = journals_record(t->next++);
	t->wrong |= !same(rec, &out);
	pbft_out_release(&out);
	return 0;
}

/* ---- journals --------------------------------------------------------------------- */

int journals_open(struct pbft_journal *j, const u8 *nonce)
{
	const char *why;

	return pbft_journal_open(j, &journals_id, JOURNALS_SELF, &medium_io, JOURNALS_SIZE,
				 nonce, &why);
}

void journals_begin(struct pbft_journal *j)
{
	struct told t = { .next = 0 };
	const char *why;

	medium_blank();
	if (journals_open(j, journals_nonce[0]) ||
	    pbft_journal_replay(j, journals_told, &t, &why))
		abort();
}

bool journals_holds(struct pbft_journal *j, u64 from, u64 to, int want)
{
	struct told t = { .next = from };
	const char *why = "";
	int err;

	pbft_journal_close(j);
	err = journals_open(j, NULL);
	if (!err)
		err = pbft_journal_replay(j, journals_told, &t, &why);
	if (err != want || t.wrong || t.next != to)
		printf("# returns %d (%s), next %llu%s\n", err, why, (unsigned long long)t.next,
		       t.wrong ? ", wrong records" : "");
	return err == want && !t.wrong && t.next == to;
}

void journals_sign_super(u32 which)
{
	u8 *block = medium.data + which * JOURNALS_BLOCK;
	struct pbft_iov iov = { block, JOURNALS_SUPER_DIGEST };

	pbft_hash((void *)(block + JOURNALS_SUPER_DIGEST), &iov, 1);
}

void journals_sign_frame(u64 at)
{
	u8 *frame = medium.data + at;
	struct pbft_iov iov[2] = {
		{ frame, JOURNALS_FRAME_DIGEST },
		{ frame + JOURNALS_FRAME_RECORDS, 0 },
	};
	__le32 len;

	memcpy(&len, frame + JOURNALS_FRAME_LEN, sizeof(len));
	iov[1].len = le32_to_cpu(len) - JOURNALS_FRAME_RECORDS;
	pbft_hash((void *)(frame + JOURNALS_FRAME_DIGEST), iov, 2);
}
