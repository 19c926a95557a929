// SPDX-License-Identifier: GPL-2.0
/*
 * The application: executes, commits, answers.
 *
 * The first error stops it: from then on nothing is executed or answered, which
 * to the cluster is a replica that has crashed. The log keeps what it missed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "app.h"
#include "log.h"

/* Commit no later than after so many answers, or bytes of results. */
#define GROUP_MAX	512
#define GROUP_BYTES	(8u << 20)
#define PROGRESS_EVERY	(100 * 1000000ull)	/* ns: as often as anybody would look */

/* To be told to the backend, in this order: a batch's results, or a digest. */
struct app_answer {
	u64 seq;
	u32 count;		/* of results */
	bool checkpoint;
	struct pbft_digest root;
};

/* What was executed in one transaction. */
struct app_group {
	struct app_answer answers[GROUP_MAX];
	u32 count;
	struct pbft_store_results results;
};

struct app_fetch {
	bool wanted;
	struct pbft_log_head head;
	struct pbft_digest root;
	u64 peers;
};

struct pbft_app {
	struct pbft_backend *backend;
	struct pbft_store *st;
	struct pbft_xfer *xfer;
	struct app_group groups[2], *open;
	bool answering;		/* those of the other group are going out */
	struct app_fetch fetch;	/* to begin when all is answered */
	u64 progress_at;	/* when we said how far it is */
	struct pbft_recovery *recovery;
	bool recover;		/* somebody has asked for one */
	u64 recovery_at;	/* when we said how far it is, and what it was */
	u32 recovery_state;
	u8 *null_reply;
	struct pbft_result *results;	/* PBFT_BATCH_MAX, as the backend takes them */
	char err[PBFT_ERR_MAX];
};

u64 pbft_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static bool failed(const struct pbft_app *app)
{
	return app->err[0];
}

static void fail(struct pbft_app *app, const char *why)
{
	if (!failed(app))
		snprintf(app->err, sizeof(app->err), "%s",
			 why[0] ? why : "out of memory");
}

static void check_store(struct pbft_app *app, int rc)
{
	if (rc)
		fail(app, app->st->err);
}

static void check_backend(struct pbft_app *app, int rc)
{
	if (rc)
		fail(app, app->backend->err);
}

/* ---- state transfer ------------------------------------------------------------ */

static void xfer_send(void *arg, u32 peer, const void *data, u32 len)
{
	struct pbft_app *app = arg;

	app->backend->ops->peer_send(app->backend, peer, data, len);
}

static void xfer_installed(void *arg, u64 seq, const struct pbft_digest *root)
{
	struct pbft_app *app = arg;

	if (app->recovery)
		pbft_recovery_moved(app->recovery);
	check_backend(app, app->backend->ops->state_installed(app->backend, seq,
							      root));
}

static int xfer_page(void *arg, u32 page, const void *data, u64 len)
{
	struct pbft_app *app = arg;

	return pbft_recovery_page(app->recovery, pbft_now(), page, data, len);
}

static const struct pbft_xfer_ops xfer_ops = { xfer_send, xfer_installed, xfer_page };

/* ---- recovery ------------------------------------------------------------------ */

static u64 recovery_stable(void *arg)
{
	struct pbft_app *app = arg;

	return app->backend->ops->stable(app->backend);
}

/* To @generation; where there are no keys of it, those in use go on. */
static void use_generation(struct pbft_app *app, u8 generation)
{
	struct pbft_backend *b = app->backend;

	if (b->ops->set_key(b, generation))
		pbft_log(LOG_WARNING, "the keys stay at generation %u: %s",
			 b->generation, b->err);
	else
		b->generation = generation;
	b->err[0] = 0;
}

static int recovery_rotate(void *arg)
{
	struct pbft_app *app = arg;
	struct pbft_backend *b = app->backend;
	u8 next;
	int rc;

	if (b->ops->look_at_keys)
		b->ops->look_at_keys(b);
	next = b->generation + 1;
	rc = pbft_store_set_generation(app->st, next);
	if (!rc)
		use_generation(app, next);
	return rc;
}

/*
 * A replica that is made anew begins with generation 0, and others who know a later
 * one of it do not hear it. If it is another, somebody has told it.
 */
static void restore_generation(struct pbft_app *app)
{
	struct pbft_backend *b = app->backend;
	u8 now = b->generation, last = now;
	int rc = pbft_store_generation(app->st, &last);

	if (rc && rc != -ENOENT)
		check_store(app, rc);
	if (failed(app) || last == now)
		return;
	if (now && (s8)(now - last) > 0) {
		check_store(app, pbft_store_set_generation(app->st, now));
		return;
	}
	if ((u8)(last - now) > 127)
		use_generation(app, now + 127);	/* no step is longer */
	use_generation(app, last);
}

static void recovery_told(void *arg, const struct pbft_recovery_report *r)
{
	struct pbft_app *app = arg;
	struct pbft_backend *b = app->backend;
	u64 now = pbft_now();

	if (r->state == app->recovery_state && now - app->recovery_at < PROGRESS_EVERY)
		return;
	b->changed |= r->state != app->recovery_state;
	app->recovery_at = now;
	app->recovery_state = r->state;
	if (b->ops->recovery && !b->lost)
		check_backend(app, b->ops->recovery(b, r));
}

static const struct pbft_recovery_ops recovery_ops = {
	recovery_stable, recovery_rotate, recovery_told,
};

static void recover(struct pbft_app *app)
{
	u64 now = pbft_now();

	if (failed(app) || !app->recovery || app->backend->lost)
		return;
	check_store(app, pbft_recovery_clock(app->recovery, now));
	if (app->recover && !failed(app))
		check_store(app, pbft_recovery_start(app->recovery, now, false));
	app->recover = false;
	if (!failed(app) && pbft_recovery_deadline(app->recovery) <= now)
		check_store(app, pbft_recovery_tick(app->recovery, now));
}

void pbft_app_revalidate(struct pbft_app *app)
{
	app->recover = true;
}

/* ---- life ------------------------------------------------------------------------ */

struct pbft_app *pbft_app_create(struct pbft_store *st, u32 null_reply)
{
	struct pbft_app *app = calloc(1, sizeof(*app));

	if (!app)
		return NULL;
	app->st = st;
	app->open = &app->groups[0];
	app->results = calloc(PBFT_BATCH_MAX, sizeof(*app->results));
	app->null_reply = calloc(1, null_reply + 1);
	if (!app->results || !app->null_reply) {
		pbft_app_destroy(app);
		return NULL;
	}
	if (!st) {
		u32 i;

		for (i = 0; i < PBFT_BATCH_MAX; i++) {
			app->results[i].data = app->null_reply;
			app->results[i].len = null_reply;
		}
	}
	return app;
}

void pbft_app_destroy(struct pbft_app *app)
{
	if (!app)
		return;
	pbft_recovery_destroy(app->recovery);
	pbft_xfer_destroy(app->xfer);
	pbft_store_results_free(&app->groups[0].results);
	pbft_store_results_free(&app->groups[1].results);
	free(app->results);
	free(app->null_reply);
	free(app);
}

/* What is executed stays so; nobody waits for the answers any more. */
static int begin_anew(struct pbft_app *app)
{
	u32 i;

	if (!app->st)
		return 0;
	check_store(app, pbft_store_commit(app->st));
	if (failed(app))
		return -EIO;
	for (i = 0; i < ARRAY_SIZE(app->groups); i++) {
		app->groups[i].count = 0;
		app->groups[i].results.count = 0;
		app->groups[i].results.len = 0;
	}
	app->fetch.wanted = false;
	app->recover = false;
	if (app->recovery)
		pbft_recovery_give_up(app->recovery);
	if (app->xfer)
		pbft_xfer_stop(app->xfer);
	return 0;
}

int pbft_app_bind(struct pbft_app *app, struct pbft_backend *b)
{
	static const struct pbft_log_head beginning;
	int rc;

	app->backend = b;
	b->app = app;
	rc = begin_anew(app);
	if (rc)
		return rc;
	b->lost = false;
	rc = b->ops->bind(b, app->st ? &app->st->head : &beginning);
	if (rc == -ENETDOWN)
		return rc;
	check_backend(app, rc);
	if (!rc && app->st && !app->xfer) {
		app->xfer = pbft_xfer_create(app->st, b->ops->peer_mtu(b),
					     &xfer_ops, app);
		app->recovery = pbft_recovery_create(app->st, &recovery_ops, app);
		if (!app->xfer || !app->recovery)
			fail(app, "out of memory for state transfer");
	}
	if (!failed(app) && app->st) {
		restore_generation(app);
		pbft_recovery_bind(app->recovery, app->xfer, &b->schedule);
	}
	if (failed(app))
		return rc ? rc : -ENOMEM;
	pbft_app_settle(app);
	return 0;
}

/* ---- batches --------------------------------------------------------------------- */

static void answer_batch(struct pbft_app *app, const struct app_group *g,
			 const struct app_answer *a, u32 first)
{
	u32 i;

	for (i = 0; i < a->count; i++) {
		const struct pbft_store_result *r = &g->results.r[first + i];

		app->results[i].status = r->status;
		app->results[i].len = r->len;
		app->results[i].data = g->results.buf + r->off;
	}
	check_backend(app, app->backend->ops->executed(app->backend, a->seq,
						       app->results, a->count));
}

static void answer_group(struct pbft_app *app, struct app_group *g)
{
	struct pbft_backend *b = app->backend;
	u32 i, first = 0;

	for (i = 0; !failed(app) && i < g->count; i++) {
		const struct app_answer *a = &g->answers[i];

		if (a->checkpoint)
			check_backend(app, b->ops->checkpointed(b, a->seq,
								&a->root));
		else
			answer_batch(app, g, a, first);
		first += a->count;
	}
	g->count = 0;
	g->results.count = 0;
	g->results.len = 0;
}

bool pbft_app_progress(const struct pbft_app *app, struct pbft_xfer_progress *p)
{
	return app->xfer && pbft_xfer_progress(app->xfer, p);
}

static void tell_progress(struct pbft_app *app)
{
	struct pbft_backend *b = app->backend;
	struct pbft_xfer_progress p;
	u64 now;

	if (failed(app) || !b->ops->progress || !pbft_xfer_active(app->xfer))
		return;
	now = pbft_now();
	if (now - app->progress_at < PROGRESS_EVERY || !pbft_app_progress(app, &p))
		return;
	app->progress_at = now;
	check_backend(app, b->ops->progress(b, &p));
}

/* Begin a state transfer, now that nothing executed is left unanswered. */
static void begin_fetch(struct pbft_app *app)
{
	struct app_fetch f = app->fetch;

	if (failed(app) || !f.wanted || !app->xfer)
		return;
	app->fetch.wanted = false;
	pbft_recovery_restart(app->recovery, pbft_now());
	check_store(app, pbft_xfer_fetch(app->xfer, pbft_now(), &f.head, &f.root,
					 f.peers));
	tell_progress(app);
}

/*
 * Commit and answer what was executed. The backend may bring more batches while
 * it takes the answers: they make the next group, after this one.
 */
void pbft_app_settle(struct pbft_app *app)
{
	struct app_group *g;

	if (!app->st || app->answering)
		return;
	app->answering = true;
	while (!failed(app) && app->open->count) {
		g = app->open;
		check_store(app, pbft_store_settle(app->st));
		app->open = g == &app->groups[0] ? &app->groups[1] :
						   &app->groups[0];
		answer_group(app, g);
	}
	app->answering = false;
	begin_fetch(app);
}

static struct app_answer *next_answer(struct pbft_app *app, u64 seq)
{
	struct app_answer *a;

	if (app->open->count >= GROUP_MAX - 1 ||
	    app->open->results.len > GROUP_BYTES)
		pbft_app_settle(app);
	if (app->open->count == GROUP_MAX) {
		fail(app, "more batches came while answering than a window holds");
		return NULL;
	}
	a = &app->open->answers[app->open->count];
	memset(a, 0, sizeof(*a));
	a->seq = seq;
	return a;
}

static void null_apply(struct pbft_app *app, u64 seq, u32 count)
{
	check_backend(app, app->backend->ops->executed(app->backend, seq,
						       app->results, count));
}

void pbft_app_apply(struct pbft_app *app, const struct pbft_log_head *head,
		    const struct pbft_store_req *reqs, u32 count)
{
	struct app_answer *a;

	if (failed(app))
		return;
	if (count > PBFT_BATCH_MAX) {
		fail(app, "a batch has more requests than there can be");
		return;
	}
	if (!app->st) {
		null_apply(app, head->seq, count);
		return;
	}
	if (app->xfer && pbft_xfer_active(app->xfer))
		check_store(app, pbft_xfer_cancel(app->xfer));
	app->fetch.wanted = false;
	a = next_answer(app, head->seq);
	if (!a)
		return;
	check_store(app, pbft_store_apply(app->st, head, reqs, count,
					  &app->open->results));
	a->count = count;
	app->open->count++;
}

/* ---- checkpoints, state transfer --------------------------------------------- */

void pbft_app_snapshot(struct pbft_app *app, u64 seq)
{
	struct pbft_digest none = { 0 };	/* of no state: all zero */
	struct app_answer *a;

	if (failed(app))
		return;
	if (!app->st) {
		check_backend(app, app->backend->ops->checkpointed(app->backend,
								   seq, &none));
		return;
	}
	if (app->st->head.seq != seq) {
		fail(app, "a snapshot was asked for at another sequence number than the state's");
		return;
	}
	a = next_answer(app, seq);
	if (!a)
		return;
	check_store(app, pbft_store_checkpoint(app->st, &a->root));
	a->checkpoint = true;
	app->open->count++;
	pbft_app_settle(app);
}

void pbft_app_discard(struct pbft_app *app, u64 seq)
{
	if (!app->st)
		return;
	pbft_store_discard(app->st, seq);
	if (app->xfer)
		pbft_xfer_discarded(app->xfer);
}

void pbft_app_fetch_state(struct pbft_app *app, const struct pbft_log_head *head,
			  const struct pbft_digest *root, u64 peers)
{
	if (failed(app))
		return;
	if (!app->st) {
		xfer_installed(app, head->seq, root);
		return;
	}
	app->fetch.wanted = true;
	app->fetch.head = *head;
	app->fetch.root = *root;
	app->fetch.peers = peers;
	pbft_app_settle(app);
}

void pbft_app_peer_recv(struct pbft_app *app, u32 peer, const void *data,
			u32 len)
{
	if (failed(app) || !app->xfer)
		return;
	/* An installation must not overtake results that are still open. */
	pbft_app_settle(app);
	if (!failed(app))
		check_store(app, pbft_xfer_recv(app->xfer, pbft_now(), peer, data,
						len));
	tell_progress(app);
}

void pbft_app_tick(struct pbft_app *app)
{
	if (failed(app) || !app->xfer)
		return;
	if (pbft_xfer_deadline(app->xfer) <= pbft_now()) {
		pbft_app_settle(app);
		if (!failed(app))
			check_store(app, pbft_xfer_tick(app->xfer, pbft_now()));
	}
	recover(app);
}

u64 pbft_app_deadline(const struct pbft_app *app)
{
	if (!app->xfer)
		return U64_MAX;
	return min(pbft_xfer_deadline(app->xfer), pbft_recovery_deadline(app->recovery));
}

const struct pbft_recovery_report *pbft_app_recovery(const struct pbft_app *app)
{
	return app->recovery ? pbft_recovery_report(app->recovery) : NULL;
}

const char *pbft_app_error(const struct pbft_app *app)
{
	return failed(app) ? app->err : NULL;
}

const struct pbft_xfer_stats *pbft_app_xfer_stats(const struct pbft_app *app)
{
	static const struct pbft_xfer_stats none;

	return app->xfer ? pbft_xfer_stats(app->xfer) : &none;
}
