// SPDX-License-Identifier: GPL-2.0
/*
 * Proactive recovery, step by step.
 *
 * What is compared with must be certified: a copy of the state at a checkpoint that
 * is stable, which a quorum has vouched for. If ours had another digest there, the
 * core would have asked for the state of the others (FETCH_STATE), and all that was
 * found would be void. Which copy it is may change from page to page: each page is
 * checked against the newest one, or an older one that still is kept.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "log.h"
#include "recovery.h"
#include "scrub.h"

#define MSEC		1000000ull
#define PAUSE		(2 * MSEC)	/* between two steps: executing goes first */
#define STEP_PAGES	16
#define STEP_BYTES	(256u << 10)
#define STEP_STRAYS	256
#define LOOK_AGAIN	(100 * MSEC)	/* while there is nothing to be done but to wait */
#define FETCH_MAX	(10000 * MSEC)	/* for one page, then of a newer copy */
#define PATIENCE	(300000 * MSEC)	/* without any progress */

enum phase {
	PHASE_IDLE,
	PHASE_PAGES,
	PHASE_STRAYS,
	PHASE_REPAIR,
};

struct pbft_recovery {
	struct pbft_store *st;
	struct pbft_xfer *x;
	const struct pbft_recovery_ops *ops;
	void *arg;
	struct pbft_schedule schedule;
	u64 slot;		/* of the state, when it was looked at last */

	enum phase phase;
	struct pbft_recovery_report report;
	u64 next;		/* when to go on */
	u64 progress;		/* when there was some last */
	u64 stable, asked;	/* what is known to be, and when we asked */
	u64 seq;		/* the copy that is compared with, and its root; 0: none */
	struct pbft_digest root;
	u32 page;		/* the next one to be checked, or fetched now */
	u64 fetch_since;	/* 0: nothing is being fetched */
	struct pbft_scrub_walk walk;
	DECLARE_BITMAP(bad, PBFT_TREE_PAGES);	/* found damaged */
	DECLARE_BITMAP(todo, PBFT_TREE_PAGES);	/* ... and not right again yet */
	DECLARE_BITMAP(lost, PBFT_TREE_PAGES);	/* ... nor will they be */
	u64 after[PBFT_TREE_PAGES];	/* look at it in copies after this one */
};

struct pbft_recovery *pbft_recovery_create(struct pbft_store *st,
					   const struct pbft_recovery_ops *ops, void *arg)
{
	struct pbft_recovery *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->st = st;
	r->ops = ops;
	r->arg = arg;
	r->next = U64_MAX;
	return r;
}

void pbft_recovery_destroy(struct pbft_recovery *r)
{
	free(r);
}

void pbft_recovery_bind(struct pbft_recovery *r, struct pbft_xfer *x,
			const struct pbft_schedule *s)
{
	r->x = x;
	r->schedule = *s;
	pbft_recovery_moved(r);
}

const struct pbft_recovery_report *pbft_recovery_report(const struct pbft_recovery *r)
{
	return &r->report;
}

u64 pbft_recovery_deadline(const struct pbft_recovery *r)
{
	return r->next;
}

/* ---- beginning and end ------------------------------------------------------------------ */

static void stop_fetching(struct pbft_recovery *r)
{
	if (r->fetch_since)
		pbft_xfer_page_stop(r->x);
	r->fetch_since = 0;
}

/* From the first page on, with nothing found. */
static void begin(struct pbft_recovery *r, u64 now)
{
	const bool scheduled = r->report.scheduled;

	stop_fetching(r);
	r->report = (struct pbft_recovery_report){
		.state = PBFT_RECOVERY_RUNNING, .scheduled = scheduled,
		.total = PBFT_TREE_PAGES,
	};
	r->phase = PHASE_PAGES;
	r->next = now;
	r->progress = now;
	r->asked = 0;
	r->seq = 0;
	r->page = 0;
	memset(&r->walk, 0, sizeof(r->walk));
	memset(r->bad, 0, sizeof(r->bad));
	memset(r->todo, 0, sizeof(r->todo));
	memset(r->lost, 0, sizeof(r->lost));
	memset(r->after, 0, sizeof(r->after));
	r->ops->report(r->arg, &r->report);
}

static void end(struct pbft_recovery *r, u32 state)
{
	const struct pbft_recovery_report *p = &r->report;

	stop_fetching(r);
	r->phase = PHASE_IDLE;
	r->next = U64_MAX;
	r->report.state = state;
	if (p->damaged > p->repaired)
		pbft_log(LOG_ERR, "recovery: %u of %u damaged pages are not repaired: move the database away and start with an empty one, the other replicas have the state",
			 p->damaged - p->repaired, p->damaged);
	pbft_log(state == PBFT_RECOVERY_DONE ? LOG_NOTICE : LOG_WARNING,
		 "recovery %s: %u of %u pages checked, %u damaged, %u repaired",
		 state == PBFT_RECOVERY_DONE ? "done" : "given up", p->checked,
		 p->total, p->damaged, p->repaired);
	r->ops->report(r->arg, &r->report);
}

int pbft_recovery_start(struct pbft_recovery *r, u64 now, bool scheduled)
{
	int err;

	if (r->phase != PHASE_IDLE)
		return 0;
	err = r->ops->rotate(r->arg);
	if (err)
		return err;
	pbft_log(LOG_NOTICE, "recovery begins%s", scheduled ? ", by schedule" : "");
	pbft_scrub_cool(r->st);
	r->report.scheduled = scheduled;
	begin(r, now);
	return 0;
}

void pbft_recovery_restart(struct pbft_recovery *r, u64 now)
{
	if (r->phase != PHASE_IDLE)
		begin(r, now);
}

void pbft_recovery_give_up(struct pbft_recovery *r)
{
	if (r->phase != PHASE_IDLE)
		end(r, PBFT_RECOVERY_GIVEN_UP);
}

/* ---- the schedule ------------------------------------------------------------------------ */

void pbft_recovery_moved(struct pbft_recovery *r)
{
	if (r->schedule.interval)
		r->slot = pbft_schedule_slot(&r->schedule, r->st->head.time);
}

int pbft_recovery_clock(struct pbft_recovery *r, u64 now)
{
	const u64 slot = r->slot;

	pbft_recovery_moved(r);
	if (!r->schedule.interval || r->slot == slot)
		return 0;
	if (r->report.scheduled)
		pbft_recovery_give_up(r);
	return pbft_schedule_turn(&r->schedule, r->slot) ?
		       pbft_recovery_start(r, now, true) : 0;
}

/* ---- copies ------------------------------------------------------------------------------- */

/* Ask for what is stable if there is a copy that this could make certified. */
static void ask_stable(struct pbft_recovery *r, u64 now)
{
	const struct pbft_store *st = r->st;

	if (!st->n_snapshots || st->snapshots[st->n_snapshots - 1]->seq <= r->stable ||
	    (r->asked && now - r->asked < LOOK_AGAIN))
		return;
	r->asked = now;
	r->stable = r->ops->stable(r->arg);
}

static const struct pbft_snapshot *newest(struct pbft_recovery *r, u64 now)
{
	const struct pbft_store *st = r->st;
	u32 i;

	ask_stable(r, now);
	for (i = st->n_snapshots; i > 0; i--)
		if (st->snapshots[i - 1]->seq <= r->stable)
			return st->snapshots[i - 1];
	return NULL;
}

/* The copy to compare with: @newer, or that of the step before. NULL: wait for one. */
static const struct pbft_snapshot *take_copy(struct pbft_recovery *r, u64 now, bool newer)
{
	const struct pbft_snapshot *s = NULL;

	if (r->seq)
		s = pbft_store_snapshot(r->st, r->seq, &r->root);
	if (!s || newer)
		s = newest(r, now);
	if (!s || (s->seq == r->seq && pbft_digest_eq(&s->tree.root.digest, &r->root)))
		return s;
	if (!pbft_scrub_tree(s))
		return NULL;
	r->seq = s->seq;
	r->root = s->tree.root.digest;
	r->report.seq = s->seq;
	return s;
}

/* ---- looking ------------------------------------------------------------------------------- */

static void found(struct pbft_recovery *r, u32 page)
{
	if (!test_bit(page, r->bad))
		r->report.damaged++;
	__set_bit(page, r->bad);
}

static void right_again(struct pbft_recovery *r, u32 page, u64 now)
{
	__clear_bit(page, r->todo);
	r->report.repaired++;
	r->progress = now;
}

static int step_pages(struct pbft_recovery *r, const struct pbft_snapshot *s)
{
	u64 bytes, sum = 0;
	u32 i;
	int bad;

	for (i = 0; i < STEP_PAGES && sum < STEP_BYTES && r->page < PBFT_TREE_PAGES; i++) {
		bytes = 0;
		bad = pbft_scrub_page(r->st, s, r->page, &bytes);
		if (bad < 0)
			return bad;
		r->report.checked++;
		if (bad) {
			found(r, r->page);
			__set_bit(r->page, r->todo);
		}
		sum += bytes;
		r->page++;
	}
	if (r->page == PBFT_TREE_PAGES)
		r->phase = PHASE_STRAYS;
	return 0;
}

static void found_stray(void *arg, u32 page, bool repaired)
{
	struct pbft_recovery *r = arg;
	bool known = test_bit(page, r->bad);

	found(r, page);
	if (repaired) {
		/* one that is damaged besides is counted when that is right again */
		r->report.repaired += !known;
	} else if (!test_bit(page, r->lost)) {
		__set_bit(page, r->lost);
		r->report.repaired -= known && !test_bit(page, r->todo);
		__clear_bit(page, r->todo);
	}
}

static int step_strays(struct pbft_recovery *r, const struct pbft_snapshot *s)
{
	int ret = pbft_scrub_strays(r->st, s, &r->walk, STEP_STRAYS, found_stray, r);

	if (!ret)
		r->phase = PHASE_REPAIR;
	return min(ret, 0);
}

/* ---- repairing ----------------------------------------------------------------------------- */

/* With the page as it should be. */
static int repair_with(struct pbft_recovery *r, u64 now, const struct pbft_snapshot *s,
		       u32 page, const void *data, u64 len)
{
	int ret = pbft_scrub_repair(r->st, s, page, data, len);

	if (ret < 0)
		return ret;
	if (ret)
		right_again(r, page, now);
	else
		r->after[page] = s->seq;
	return 0;
}

static int fetch_page(struct pbft_recovery *r, u64 now, const struct pbft_snapshot *s,
		      u32 page)
{
	const struct pbft_tree_node *want = &s->tree.page[page];
	u64 peers = (r->schedule.n < 64 ? BIT_ULL(r->schedule.n) : 0) - 1;

	if (!want->size)
		return pbft_page_verify(page, want, NULL, 0) ? 0 :
		       repair_with(r, now, s, page, NULL, 0);
	r->page = page;
	r->fetch_since = now;
	return pbft_xfer_page(r->x, now, s->seq, &s->tree.root.digest, page, want,
			      peers & ~BIT_ULL(r->schedule.self));
}

static int repair_page(struct pbft_recovery *r, u64 now, const struct pbft_snapshot *s,
		       u32 page)
{
	u64 bytes;
	int bad = pbft_scrub_page(r->st, s, page, &bytes);

	if (bad < 0)
		return bad;
	if (!bad) {		/* written anew since, by executing or by us */
		right_again(r, page, now);
		return 0;
	}
	if (bad == PBFT_SCRUB_NODE) {
		bad = pbft_scrub_repair_node(r->st, page);
		if (!bad)
			right_again(r, page, now);
		return bad;
	}
	return fetch_page(r, now, s, page);
}

static int step_repair(struct pbft_recovery *r, u64 now, const struct pbft_snapshot *s)
{
	u32 page;

	if (r->report.damaged == r->report.repaired) {
		end(r, PBFT_RECOVERY_DONE);
		return 0;
	}
	for (page = 0; page < PBFT_TREE_PAGES; page++)
		if (test_bit(page, r->todo) && r->after[page] < s->seq)
			return repair_page(r, now, s, page);
	for (page = 0; page < PBFT_TREE_PAGES; page++)
		if (test_bit(page, r->todo)) {
			r->next = now + LOOK_AGAIN;
			return 0;
		}
	end(r, PBFT_RECOVERY_DONE);	/* what is left cannot be repaired */
	return 0;
}

int pbft_recovery_page(struct pbft_recovery *r, u64 now, u32 page, const void *data,
		       u64 len)
{
	struct pbft_snapshot *s;

	if (r->phase != PHASE_REPAIR || !r->fetch_since || page != r->page)
		return 0;
	r->fetch_since = 0;
	r->next = now;
	s = pbft_store_snapshot(r->st, r->seq, &r->root);
	return s ? repair_with(r, now, s, page, data, len) : 0;
}

/* ---- time ----------------------------------------------------------------------------------- */

/* A page is on its way, from a copy that others have still, it seems. */
static bool wait_for_page(struct pbft_recovery *r, u64 now)
{
	if (r->fetch_since && now - r->fetch_since < FETCH_MAX &&
	    pbft_store_snapshot(r->st, r->seq, &r->root))
		return true;
	stop_fetching(r);
	return false;
}

static int step(struct pbft_recovery *r, u64 now)
{
	const struct pbft_snapshot *s = NULL;

	if (!wait_for_page(r, now))
		s = take_copy(r, now, r->phase == PHASE_REPAIR);
	if (!s) {
		r->next = now + LOOK_AGAIN;
		return 0;
	}
	if (r->phase == PHASE_REPAIR)
		return step_repair(r, now, s);
	r->progress = now;
	return r->phase == PHASE_PAGES ? step_pages(r, s) : step_strays(r, s);
}

int pbft_recovery_tick(struct pbft_recovery *r, u64 now)
{
	u32 state;
	int err;

	if (r->phase == PHASE_IDLE || now < r->next)
		return 0;
	if (pbft_xfer_active(r->x)) {
		r->progress = now;
		r->next = now + LOOK_AGAIN;
		return 0;
	}
	if (now - r->progress > PATIENCE) {
		state = r->phase == PHASE_REPAIR ? PBFT_RECOVERY_DONE :
						   PBFT_RECOVERY_GIVEN_UP;
		end(r, state);
		return 0;
	}
	r->next = now + PAUSE;
	err = step(r, now);
	if (!err && r->phase != PHASE_IDLE)
		r->ops->report(r->arg, &r->report);
	return err;
}
