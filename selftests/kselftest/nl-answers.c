// SPDX-License-Identifier: GPL-2.0
/*
 * nl-answers CLUSTER KEY SELF [fail]: the daemon of a replica that loses answers. The
 * kernel notices with the next one, and the daemon can bind again and go on. With fail,
 * answers meet failing allocations: the first of a kind its first one, the next its
 * second, and so on until none is left to fail. An answer that was refused for want of
 * memory is given again and must be taken then. Nothing may stop the instance.
 *
 * The other replicas have the null service, and this daemon does as that does: it has
 * no state, and its results are NULL_REPLY zero bytes. Prints TAP.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "libpbft/crypto.h"
#include "libpbft/nl.h"
#include "failnth.h"
#include "../unit/tap.h"

#define NAME		"r"
#define NULL_REPLY	8
/* Answers of one kind differ in what they need: so many in a row must need no more. */
#define QUIET		24
#define QUIET_INSTALLED	3

/* What the kernel wants of us, in its order: an answer is due to each. */
struct due {
	u8 cmd;			/* of the answer */
	u64 seq;
	u32 count;
	u8 digest[PBFT_DIGEST_LEN];
	struct pbft_nl_head head;	/* of a batch */
};

static struct pbft_nl *nl;
static struct pbft_cluster cluster;
static u8 private_key[32];
static struct pbft_nl_bound bound;
static struct due queue[256];	/* more than the kernel sends ahead of answers */
static unsigned int queue_head, queue_tail;
static int refusal;		/* of the last answer, -errno */
static char refusal_text[256];

static u64 deadline_s(void)
{
	const char *text = getenv("DEADLINE");

	return text ? strtoull(text, NULL, 10) : 120;
}

static time_t uptime(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* ---- from the kernel ------------------------------------------------------------- */

static struct due *due(u8 cmd, u64 seq)
{
	struct due *d = &queue[queue_tail++ % ARRAY_SIZE(queue)];

	if (queue_tail - queue_head > ARRAY_SIZE(queue)) {
		printf("Bail out! the kernel sends more than it has credit for\n");
		exit(1);
	}
	memset(d, 0, sizeof(*d));
	d->cmd = cmd;
	d->seq = seq;
	return d;
}

static void on_apply(void *arg, u32 id, const struct pbft_nl_head *head,
		     const struct pbft_nl_op *ops, u32 count)
{
	struct due *d = due(PBFT_CMD_EXECUTED, head->seq);

	d->head = *head;
	d->count = count;
}

static void on_snapshot(void *arg, u32 id, u64 seq)
{
	due(PBFT_CMD_CHECKPOINTED, seq);
}

static void on_fetch_state(void *arg, u32 id, const struct pbft_nl_head *head,
			   const u8 *digest, u64 peers)
{
	struct due *d = due(PBFT_CMD_STATE_INSTALLED, head->seq);

	memcpy(d->digest, digest, sizeof(d->digest));
}

static void on_refused(void *arg, u32 cmd, int err, const char *text)
{
	refusal = err;
	snprintf(refusal_text, sizeof(refusal_text), "%s", text);
}

static const struct pbft_nl_daemon_ops ops = {
	.apply = on_apply,
	.snapshot = on_snapshot,
	.fetch_state = on_fetch_state,
	.refused = on_refused,
};

static int dispatch(void)
{
	int rc = pbft_nl_dispatch(nl, &ops, NULL, 0);

	if (rc < 0)
		printf("# the binding: %s\n", pbft_nl_error(nl));
	return rc < 0 ? rc : 0;
}

/* ---- to the kernel ----------------------------------------------------------------- */

static int send_answer(const struct due *d)
{
	static const u8 zero[NULL_REPLY];
	static struct pbft_result results[PBFT_BATCH_MAX];
	u32 i;

	switch (d->cmd) {
	case PBFT_CMD_EXECUTED:
		for (i = 0; i < d->count; i++) {
			results[i].status = PBFT_ST_OK;
			results[i].data = zero;
			results[i].len = sizeof(zero);
		}
		return pbft_nl_executed(nl, bound.id, d->seq, results, d->count);
	case PBFT_CMD_CHECKPOINTED:
		return pbft_nl_checkpointed(nl, bound.id, d->seq, d->digest);
	case PBFT_CMD_STATE_INSTALLED:
		return pbft_nl_state_installed(nl, bound.id, d->seq, d->digest);
	}
	return pbft_nl_fetch_progress(nl, bound.id, d->seq, 1, 2);
}

/* The kernel has refused it, if it does, before it lets us go on. */
static int outcome(int rc)
{
	refusal = 0;
	if (rc) {
		snprintf(refusal_text, sizeof(refusal_text), "%s", pbft_nl_error(nl));
		return rc;
	}
	return dispatch() ?: refusal;
}

static int answer(const struct due *d)
{
	return outcome(send_answer(d));
}

/* What is due next, of any kind. */
static int next(struct due *d)
{
	struct pollfd p = { .fd = pbft_nl_fd(nl), .events = POLLIN };
	time_t end = uptime() + deadline_s();
	int rc = dispatch();

	while (!rc && queue_head == queue_tail) {
		if (uptime() >= end) {
			printf("# nothing came\n");
			return -ETIMEDOUT;
		}
		poll(&p, 1, 1000);
		rc = dispatch();
	}
	if (!rc)
		*d = queue[queue_head++ % ARRAY_SIZE(queue)];
	return rc;
}

/* The next that an answer of kind @cmd is due to; what comes before is answered. */
static int await(u8 cmd, struct due *d)
{
	int rc, tries;

	for (tries = 0; tries < FAILNTH_MAX; tries++) {
		rc = next(d);
		if (rc || d->cmd == cmd)
			return rc;
		rc = answer(d);
		if (rc) {
			printf("# waiting for command %u: %s\n", cmd, refusal_text);
			return rc;
		}
	}
	return -ETIMEDOUT;
}

/* ---- the states that answers are given in ------------------------------------------- */

/* A socket of its own for each binding: what ends one is told to its socket. */
static int reopen(void)
{
	char err[256];
	int rc;

	queue_head = queue_tail;
	pbft_nl_close(nl);
	rc = pbft_nl_open(&nl, err, sizeof(err));
	if (rc)
		printf("# %s\n", err);
	return rc;
}

static int bind_at(const struct pbft_nl_head *head)
{
	int rc = reopen() ?: pbft_nl_bind(nl, NAME, head, &bound);

	if (rc && nl)
		printf("# cannot bind: %s\n", pbft_nl_error(nl));
	return rc;
}

/* Up, as a replica of a new cluster or as one that has forgotten, and bound. */
static int start(bool genesis)
{
	static const struct pbft_nl_head nothing_yet;
	const struct pbft_nl_up how = { .genesis = genesis };
	int rc = pbft_nl_up(nl, NAME, &how);

	if (rc)
		printf("# cannot come up: %s\n", pbft_nl_error(nl));
	return rc ?: bind_at(&nothing_yet);
}

static int is_next(struct due *d)
{
	return await(PBFT_CMD_EXECUTED, d);
}

static int is_checkpoint(struct due *d)
{
	return await(PBFT_CMD_CHECKPOINTED, d);
}

/* Of any state: it is only for show. */
static int is_progress(struct due *d)
{
	int rc = is_next(d) ?: answer(d);

	d->cmd = PBFT_CMD_FETCH_PROGRESS;
	return rc;
}

static int has_forgotten(struct due *d)
{
	int rc = reopen() ?: pbft_nl_down(nl, NAME);

	if (rc) {
		printf("# cannot go down: %s\n", nl ? pbft_nl_error(nl) : "no socket");
		return rc;
	}
	return start(false) ?: await(PBFT_CMD_STATE_INSTALLED, d);
}

/* @reach brings about a moment at which the answer is due. */
static void exhaust(const char *what, int (*reach)(struct due *d), int quiet)
{
	int nth = 1, failed = 0, misses = 0, tries, err = 0;
	struct due d;

	for (tries = 0; misses < quiet && tries < FAILNTH_MAX; tries++) {
		err = reach(&d);
		if (err)
			break;
		failnth_arm(nth);
		err = send_answer(&d);
		misses++;
		if (failnth_disarm()) {
			nth++;
			misses = 0;
		}
		err = outcome(err);
		if (!err)
			continue;
		failed++;
		if (!failnth_shortage(err)) {
			printf("# allocation %d: %s (%s)\n", nth - 1, refusal_text,
			       strerror(-err));
			break;
		}
		err = answer(&d);
		if (err) {
			printf("# after allocation %d, again: %s (%s)\n", nth - 1,
			       refusal_text, strerror(-err));
			break;
		}
	}
	printf("# %s: %d allocations, %d of them needed, %d answers\n", what, nth - 1,
	       failed, tries);
	ok(!err && failed && misses == quiet, "%s: any allocation may fail", what);
}

static bool is_well(void)
{
	struct pbft_nl_instance *list = NULL;
	bool well = false;
	struct due d;
	int i;

	for (i = 0; i < 40; i++)
		if (is_next(&d) || answer(&d))
			return false;
	if (!pbft_nl_get(nl, NAME, &list) && list) {
		well = list->st.state == PBFT_STATE_UP;
		printf("# %s %s\n", pbft_nl_state_name(list->st.state), list->st.reason);
	}
	pbft_nl_instance_free(list);
	return well;
}

/* ---- answers that are lost ------------------------------------------------------------ */

/* @lost was executed and its answer did not arrive; that to @d is the next to do so. */
static void check_missed(const char *what, const struct due *lost, const struct due *d)
{
	const struct pbft_nl_head *head = d->cmd == PBFT_CMD_EXECUTED ? &d->head : &lost->head;
	int err = answer(d);

	ok(err == -ENOTCONN &&
	   !strcmp(refusal_text, "an answer before this one was lost: bind again"),
	   "%s is refused, an answer before it was lost", what);
	if (err != -ENOTCONN) {
		printf("# %d, \"%s\"\n", err, refusal_text);
		return;
	}
	ok(!bind_at(head) && is_well(), "and the daemon binds again and goes on");
}

/* Two batches with nothing between them, no checkpoint and no state to fetch. */
static int two_batches(struct due *first, struct due *second)
{
	int rc, tries;

	for (tries = 0; tries < FAILNTH_MAX; tries++) {
		rc = is_next(first) ?: next(second);
		if (rc || (second->cmd == PBFT_CMD_EXECUTED && second->seq == first->seq + 1))
			return rc;
		rc = answer(first) ?: answer(second);
		if (rc)
			return rc;
	}
	return -ETIMEDOUT;
}

static void test_lost(void)
{
	struct due lost, d;

	ok(!two_batches(&lost, &d), "an answer is not sent");
	check_missed("EXECUTED", &lost, &d);
	do {
		if (!is_next(&lost) && lost.seq % cluster.cfg.k && answer(&lost))
			break;
	} while (lost.seq % cluster.cfg.k);
	ok(!next(&d) && d.cmd == PBFT_CMD_CHECKPOINTED && d.seq == lost.seq,
	   "nor is that before a checkpoint");
	check_missed("CHECKPOINTED", &lost, &d);
}

static void test_failing(void)
{
	failnth_open();
	exhaust("EXECUTED", is_next, QUIET);
	exhaust("CHECKPOINTED", is_checkpoint, QUIET);
	exhaust("FETCH_PROGRESS", is_progress, QUIET);
	exhaust("STATE_INSTALLED", has_forgotten, QUIET_INSTALLED);
	ok(is_well(), "and all is well afterwards");
}

int main(int argc, char **argv)
{
	struct pbft_nl_setup setup = {
		.cluster = &cluster, .private_key = private_key,
		.service = PBFT_SERVICE_DAEMON,
	};
	char err[256];

	if (argc < 4 || argc > 5 || (argc == 5 && strcmp(argv[4], "fail"))) {
		fprintf(stderr, "usage: nl-answers CLUSTER KEY SELF [fail]\n");
		return 2;
	}
	setup.self = strtoul(argv[3], NULL, 10);
	if (pbft_cluster_load(&cluster, argv[1], err, sizeof(err)) ||
	    pbft_key_load(argv[2], true, private_key, err, sizeof(err)) ||
	    pbft_nl_open(&nl, err, sizeof(err))) {
		fprintf(stderr, "nl-answers: %s\n", err);
		return 1;
	}
	if (pbft_nl_set(nl, NAME, &setup)) {
		fprintf(stderr, "nl-answers: %s\n", pbft_nl_error(nl));
		return 1;
	}
	ok(!start(true), "a daemon that has lived nowhere is bound");
	if (argc == 5)
		test_failing();
	else
		test_lost();
	pbft_nl_close(nl);
	pbft_cluster_free(&cluster);
	return done_testing();
}
