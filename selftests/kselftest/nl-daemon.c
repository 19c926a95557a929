// SPDX-License-Identifier: GPL-2.0
/*
 * nl-daemon: an application whose state is a hash of all it was told to do, bound
 * to an instance by a socket that holds next to nothing and that it reads when it
 * feels like it. Whatever the kernel had to wait for, each batch must come once and
 * in order: it stops at the first that does not. On SIGTERM it prints what it did.
 *
 * nl-daemon INSTANCE [RCVBUF [PAUSE_US]]
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/session.h"
#include "libpbft/nl.h"

#define CLIENT_FIRST	100
#define CLIENTS		10

struct app {
	struct pbft_nl *nl;
	u64 seq, batches, ops, repeated, stale, out_of_order;
	struct pbft_digest state, chain;
	struct pbft_session session[CLIENTS];
	unsigned int pause_us;
	char err[200];
};

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

/* Return the status of the result. */
static u8 execute(struct app *app, const struct pbft_nl_op *op)
{
	struct pbft_session *s = &app->session[(op->client - CLIENT_FIRST) % CLIENTS];
	const struct pbft_iov iov[] = {
		{ &app->state, sizeof(app->state) },
		{ &op->client, sizeof(op->client) },
		{ &op->session, sizeof(op->session) },
		{ &op->t, sizeof(op->t) },
		{ op->op, op->op_len },
	};

	switch (pbft_session_check(s, op->session, op->t)) {
	case PBFT_SESSION_EXECUTE:
		pbft_hash(&app->state, iov, ARRAY_SIZE(iov));
		pbft_session_advance(s);
		app->ops++;
		return PBFT_ST_OK;
	case PBFT_SESSION_REPEAT:	/* all have the same result */
		app->repeated++;
		return PBFT_ST_OK;
	case PBFT_SESSION_STALE:
		app->stale++;
		return PBFT_ST_STALE;
	default:
		app->out_of_order++;
		return PBFT_ST_OUT_OF_ORDER;
	}
}

static void on_apply(void *arg, u32 id, const struct pbft_nl_head *head,
		     const struct pbft_nl_op *ops, u32 count)
{
	static const u8 done;
	static struct pbft_result results[PBFT_BATCH_MAX];
	struct app *app = arg;

	if (head->seq != app->seq + 1)
		snprintf(app->err, sizeof(app->err), "batch %llu came after %llu",
			 (unsigned long long)head->seq, (unsigned long long)app->seq);
	app->seq = head->seq;
	memcpy(app->chain.b, head->chain, sizeof(app->chain.b));
	app->batches++;
	for (u32 i = 0; i < count; i++) {
		results[i].status = execute(app, &ops[i]);
		results[i].len = results[i].status == PBFT_ST_OK;
		results[i].data = &done;
	}
	if (pbft_nl_executed(app->nl, id, head->seq, results, count))
		snprintf(app->err, sizeof(app->err), "%.150s", pbft_nl_error(app->nl));
	if (app->pause_us)
		usleep(app->pause_us);
}

static void on_snapshot(void *arg, u32 id, u64 seq)
{
	struct app *app = arg;

	if (seq != app->seq)
		snprintf(app->err, sizeof(app->err), "asked for the state at %llu, at %llu",
			 (unsigned long long)seq, (unsigned long long)app->seq);
	pbft_nl_checkpointed(app->nl, id, seq, app->state.b);
}

static void on_fetch(void *arg, u32 id, const struct pbft_nl_head *head,
		     const u8 digest[PBFT_DIGEST_LEN], u64 peers)
{
	struct app *app = arg;

	snprintf(app->err, sizeof(app->err), "told to fetch the state at %llu, at %llu",
		 (unsigned long long)head->seq, (unsigned long long)app->seq);
}

static void on_refused(void *arg, u32 cmd, int err, const char *text)
{
	struct app *app = arg;

	snprintf(app->err, sizeof(app->err), "command %u was refused: %.150s", cmd, text);
}

static const struct pbft_nl_daemon_ops ops = {
	.apply = on_apply, .snapshot = on_snapshot, .fetch_state = on_fetch,
	.refused = on_refused,
};

static void run(struct app *app)
{
	struct pollfd p = { .fd = pbft_nl_fd(app->nl), .events = POLLIN };
	int rc;

	while (!stop && !*app->err) {
		rc = pbft_nl_dispatch(app->nl, &ops, app, 1);
		if (rc < 0)
			snprintf(app->err, sizeof(app->err), "%.150s",
				 pbft_nl_error(app->nl));
		else if (!rc)
			poll(&p, 1, 100);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	static const struct pbft_nl_head head;
	struct pbft_nl_bound bound;
	struct app app = { 0 };
	char err[256];
	int size;

	if (argc < 2)
		return 2;
	if (pbft_nl_open(&app.nl, err, sizeof(err))) {
		fprintf(stderr, "nl-daemon: %s\n", err);
		return 1;
	}
	if (argc > 2) {
		size = atoi(argv[2]);
		setsockopt(pbft_nl_fd(app.nl), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	}
	app.pause_us = argc > 3 ? atoi(argv[3]) : 0;
	sigaction(SIGTERM, &sa, NULL);
	if (pbft_nl_bind(app.nl, argv[1], &head, &bound)) {
		fprintf(stderr, "nl-daemon: %s\n", pbft_nl_error(app.nl));
		return 1;
	}
	run(&app);
	if (*app.err) {
		printf("failed: %s\n", app.err);
		return 1;
	}
	printf("operations %llu\nrepeated %llu, stale %llu, out of order %llu\n",
	       (unsigned long long)app.ops, (unsigned long long)app.repeated,
	       (unsigned long long)app.stale, (unsigned long long)app.out_of_order);
	printf("batches %llu of %llu\nstate ", (unsigned long long)app.batches,
	       (unsigned long long)app.seq);
	for (u32 i = 0; i < PBFT_DIGEST_LEN; i++)
		printf("%02x", app.state.b[i]);
	printf("\n");
	pbft_nl_close(app.nl);
	return 0;
}
