// SPDX-License-Identifier: GPL-2.0
/*
 * A medium that fails at any read, write or sync of a journal's life, and then
 * loses what was not synced: each error is passed on, and what comes back holds
 * everything that was durable, in order, and nothing that was never written.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/journal.h"
#include "journals.h"
#include "tap.h"

#define CALLS_MAX	4000	/* of one life; far more than there are */

static u64 seed;

static const char * const losses[] = { "all", "none", "some" };

/* What a journal was told, and what it promised. */
struct life {
	struct pbft_journal j;
	u64 first;	/* the oldest that must be there */
	u64 oldest;	/* the oldest that may */
	u64 durable;	/* all before must be there */
	u64 next;	/* nothing from here on can be */
};

/* ---- a life ------------------------------------------------------------------------ */

static int append(struct life *l, u32 count)
{
	int err = 0;

	while (!err && count--)
		err = journals_append(&l->j, l->next++);
	return err;
}

static int make_durable(struct life *l)
{
	int err = pbft_journal_sync(&l->j);

	if (!err)
		l->durable = l->next;
	return err;
}

static int append_each(struct life *l, u32 count)
{
	int err = 0;

	while (!err && count--)
		err = append(l, 1) ?: make_durable(l);
	return err;
}

/* With records under way when it begins, and when it ends. */
static int compact(struct life *l)
{
	int err = append(l, 3);
	u64 marked = l->next;

	err = err ?: pbft_journal_mark(&l->j) ?: append(l, 10);
	if (err)
		return err;
	l->first = marked;	/* if an error follows, it is one or the other */
	err = pbft_journal_reclaim(&l->j);
	if (err)
		return err;
	l->oldest = marked;
	l->durable = l->next;
	return 0;
}

static int open_and_read(struct life *l)
{
	struct told t = { .any = true };
	const char *why = NULL;
	int err = pbft_journal_open(&l->j, &journals_id, JOURNALS_SELF, &medium_io, JOURNALS_SIZE,
				    journals_nonce[0], &why);

	if (!err)
		err = pbft_journal_replay(&l->j, journals_told, &t, &why);
	if (err && !why)
		diag("error %d without a sentence", err);
	return err && !why ? -ENOMSG : err;
}

/* More than a frame holds, round the end of the ring, twice through compaction. */
static int live(struct life *l)
{
	int err = open_and_read(l) ?: append_each(l, 5) ?: append(l, 600) ?:
		  make_durable(l) ?: compact(l) ?: append(l, 300) ?: make_durable(l);

	if (err)
		return err;
	pbft_journal_close(&l->j);
	return open_and_read(l) ?: compact(l) ?: append_each(l, 4);
}

/* ---- the next one -------------------------------------------------------------------- */

static bool keeps_promises(struct life *l)
{
	const u8 *nonce = journals_nonce[1];
	struct told t = { .any = true };
	struct pbft_journal j;
	const char *why = "";
	bool good;
	int err;

	err = journals_open(&j, nonce);
	if (!err)
		err = pbft_journal_replay(&j, journals_told, &t, &why);
	good = !err && !t.wrong && !t.forgot;
	if (t.count)
		good &= t.first >= l->oldest && t.first <= l->first && t.next >= l->durable &&
			t.next <= l->next;
	else
		good &= !l->durable;
	/* and it can be written */
	if (good)
		good = !journals_append_sync(&j, t.next, t.next + 3) &&
		       journals_holds(&j, t.first, t.next + 3, 0);
	if (!good)
		diag("%d (%s): %llu to %llu, %u forgot%s; durable %llu to %llu", err, why,
		     (unsigned long long)t.first, (unsigned long long)t.next, t.forgot,
		     t.wrong ? ", wrong records" : "", (unsigned long long)l->first,
		     (unsigned long long)l->durable);
	pbft_journal_close(&j);
	return good;
}

static void test_each_call(enum medium_loss how)
{
	u32 k, good = 0;
	int err = -EIO;

	for (k = 1; err && k < CALLS_MAX; k++) {
		struct life l = {};

		medium_blank();
		medium.fail_at = k;
		err = live(&l);
		if (err && err != -EIO) {
			diag("call %u fails: %d", k, err);
			pbft_journal_close(&l.j);
			break;
		}
		pbft_journal_close(&l.j);
		medium_crash(how, &seed);
		if (keeps_promises(&l))
			good++;
		else
			diag("... when call %u fails", k);
	}
	ok(!err && good == k - 1 && k > 30,
	   "each of %u calls fails, and of what was not synced %s is lost: promises are kept",
	   k - 2, losses[how]);
}

/* ---- begun anew ------------------------------------------------------------------------ */

/*
 * A journal that has lost a durable record, the last but one. What shows it is the
 * last frame; @first: it lies at the ring's beginning, where a new one will write.
 */
static void damaged(bool first)
{
	struct pbft_journal j;
	u64 at, i = 300;

	journals_begin(&j);
	journals_append_sync(&j, 0, i);
	pbft_journal_mark(&j);
	pbft_journal_reclaim(&j);
	for (; first && j.end < j.size; i++)
		journals_append_sync(&j, i, i + 1);
	at = j.end - JOURNALS_BLOCK;
	if (!first) {
		at = j.end;
		journals_append_sync(&j, i, i + 1);
		i++;
	}
	journals_append_sync(&j, i, i + 1);
	memset(medium.data + JOURNALS_RING + at + JOURNALS_FRAME_RECORDS, 0xff, 8);
	pbft_journal_close(&j);
	memcpy(medium.durable, medium.data, JOURNALS_SIZE);
}

static int begin_anew(void)
{
	struct told t = { .any = true };
	struct pbft_journal j;
	const char *why;
	int err = journals_open(&j, NULL);

	if (!err)
		err = pbft_journal_replay(&j, journals_told, &t, &why);
	if (err == -EUCLEAN)
		err = pbft_journal_reset(&j, journals_nonce[1]);
	pbft_journal_close(&j);
	return err;
}

/* It never looks whole, and never new: what is lost was promised. */
static bool knows(void)
{
	struct told t = { .any = true };
	struct pbft_journal j;
	const char *why;
	bool good;
	int err = journals_open(&j, NULL);

	if (!err)
		err = pbft_journal_replay(&j, journals_told, &t, &why);
	good = err == -EUCLEAN || err == -EBADMSG || (!err && t.forgot == 1 && !t.count);
	if (!good)
		diag("%d, %u forgot, %u others", err, t.forgot, t.count);
	pbft_journal_close(&j);
	return good;
}

static void test_reset(enum medium_loss how, bool first)
{
	u32 k, good = 0;
	int err = -EIO;

	for (k = 1; err && k < CALLS_MAX; k++) {
		damaged(first);
		medium.fail_at = k;
		err = begin_anew();
		if (err && err != -EIO)
			break;
		medium_crash(how, &seed);
		good += knows();
	}
	ok(!err && good == k - 1 && k > 10,
	   "a damaged one begun anew, each of %u calls fails, %s lost: it knows that it forgot",
	   k - 2, losses[how]);
}

int main(int argc, char **argv)
{
	enum medium_loss how;

	seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
	diag("seed %llu: unit-journal-io SEED", (unsigned long long)seed);
	medium_begin();
	for (how = LOSE_ALL; how <= LOSE_SOME; how++)
		test_each_call(how);
	/* one throw of the dice misses much */
	test_each_call(LOSE_SOME);
	test_each_call(LOSE_SOME);
	for (how = LOSE_ALL; how <= LOSE_SOME; how++)
		test_reset(how, false);
	for (how = LOSE_ALL; how <= LOSE_SOME; how++)
		test_reset(how, true);
	medium_end();
	return done_testing();
}
