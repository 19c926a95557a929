// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl wait: until an instance is in a wanted state, with a deadline.
 *
 * Events wake it; what has no event of its own (executed batches) is looked at
 * every POLL_MS besides.
 */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "pbftctl.h"

#define POLL_MS		50
#define POLL_EVENTS_MS	1000	/* events tell of everything waited for */

struct wanted {
	const struct command *cmd;
	const char *name;
	bool active, voting, synced, recovered, has_view, has_seq, has_stable;
	bool progress, drawn;	/* a bar is wanted; there is one, on stderr's last line */
	u64 view, seq, stable;
	u64 deadline;		/* CLOCK_MONOTONIC ns; 0: none */
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static bool fulfilled(const struct wanted *w, const struct pbft_nl_status *st)
{
	if (st->state != PBFT_STATE_UP)
		return false;
	if ((w->active || w->has_view) && st->flags & PBFT_F_PENDING)
		return false;
	if (w->voting && st->flags & PBFT_F_MUTE)
		return false;
	if (w->synced && (st->flags & PBFT_F_FETCHING ||
			  st->head.seq < st->stable))
		return false;
	if (w->recovered && st->recovery.state == PBFT_RECOVERY_RUNNING)
		return false;
	return (!w->has_view || st->view >= w->view) &&
	       (!w->has_seq || st->head.seq >= w->seq) &&
	       (!w->has_stable || st->stable >= w->stable);
}

/* How much of the state is here: "r: state after 640 [#####     ]  52% of 1048576 bytes". */
static void draw(struct wanted *w, const struct pbft_nl_status *st)
{
	static const char full[] = "##############################";
	int width = sizeof(full) - 1, n;

	if (!(st->flags & PBFT_F_FETCHING) || !st->fetch_total)
		return;
	n = fetch_percent(st) * width / 100;
	fprintf(stderr, "\r%s: state after %" PRIu64 " [%.*s%*s] %3u%% of %" PRIu64 " bytes",
		w->name, (u64)st->fetch_target, n, full, width - n, "",
		fetch_percent(st), (u64)st->fetch_total);
	w->drawn = true;
}

static void end_bar(struct wanted *w)
{
	if (w->drawn)
		fputc('\n', stderr);
	w->drawn = false;
}

/* -1: not yet; else the exit status. */
static int look(struct wanted *w, struct pbft_nl *nl)
{
	struct pbft_nl_instance *in;
	int rc;

	if (get_instance(w->cmd, nl, w->name, &in))
		return EXIT_FAILED;
	rc = fulfilled(w, &in->st) ? EXIT_OK : -1;
	if (rc < 0 && w->progress)
		draw(w, &in->st);
	else
		end_bar(w);
	if (in->st.state == PBFT_STATE_STOPPED)
		rc = failed(w->cmd, "%s has stopped: %s", w->name,
			    in->st.reason);
	if (rc < 0 && w->deadline && now_ns() >= w->deadline) {
		end_bar(w);
		fprintf(stderr, "pbftctl %s: %s: timeout; it is ", w->cmd->name,
			w->name);
		print_status_line(stderr, &in->st);
		fputc('\n', stderr);
		rc = EXIT_TIMEOUT;
	}
	pbft_nl_instance_free(in);
	return rc;
}

static int pause_ms(const struct wanted *w)
{
	int ms = w->has_seq || w->synced ? POLL_MS : POLL_EVENTS_MS;
	u64 now = now_ns(), left;

	if (!w->deadline)
		return ms;
	if (now >= w->deadline)
		return 0;
	left = (w->deadline - now) / 1000000 + 1;
	return left < (u64)ms ? (int)left : ms;
}

/* That something happened is enough: look() asks for the state. */
static void on_event(void *arg, enum pbft_nl_event event,
		     const struct pbft_nl_status *st)
{
}

static int wait_for(struct wanted *w, struct pbft_nl *nl,
		    struct pbft_nl *events)
{
	struct pollfd p = { .fd = pbft_nl_fd(events), .events = POLLIN };
	int rc;

	while ((rc = look(w, nl)) < 0) {
		if (poll(&p, 1, pause_ms(w)) < 0 && errno != EINTR)
			return failed(w->cmd, "poll: %s", strerror(errno));
		rc = pbft_nl_events_recv(events, on_event, NULL);
		/* lost events lose nothing here */
		if (rc < 0 && rc != -ENOBUFS)
			return failed(w->cmd, "%s", pbft_nl_error(events));
	}
	return rc;
}

static int get_number(const struct wanted *w, const char *name, const char *text,
		      bool *has, u64 *value)
{
	if (!text)
		return 0;
	*has = true;
	if (pbft_number_from_text(value, text, U64_MAX))
		return 0;
	return misused(w->cmd, "--%s %s: not a number", name, text);
}

static int get_timeout(struct wanted *w, const char *text)
{
	u64 ns;

	if (!text)
		return 0;
	if (!pbft_time_from_text(&ns, text)) {
		if (!pbft_number_from_text(&ns, text, 1000000000))
			return misused(w->cmd, "--timeout %s: not a number of seconds",
				       text);
		ns *= 1000000000ull;
	}
	w->deadline = now_ns() + ns;
	return 0;
}

static int parse(struct wanted *w, int argc, char **argv)
{
	const char *view = NULL, *seq = NULL, *stable = NULL, *timeout = NULL;
	const struct opt opts[] = {
		{ .name = "active", .flag = &w->active },
		{ .name = "voting", .flag = &w->voting },
		{ .name = "synced", .flag = &w->synced },
		{ .name = "recovered", .flag = &w->recovered },
		{ .name = "progress", .flag = &w->progress },
		{ .name = "view", .value = &view },
		{ .name = "seq", .value = &seq },
		{ .name = "stable", .value = &stable },
		{ .name = "timeout", .value = &timeout },
	};

	if (parse_args(w->cmd, argc, argv, opts, ARRAY_SIZE(opts), &w->name, 1,
		       1) ||
	    get_number(w, "view", view, &w->has_view, &w->view) ||
	    get_number(w, "seq", seq, &w->has_seq, &w->seq) ||
	    get_number(w, "stable", stable, &w->has_stable, &w->stable) ||
	    get_timeout(w, timeout))
		return EXIT_USAGE;
	if (!w->active && !w->voting && !w->synced && !w->recovered &&
	    !w->has_view && !w->has_seq && !w->has_stable)
		return misused(w->cmd, "nothing to wait for");
	w->progress |= w->synced && isatty(STDERR_FILENO);
	return 0;
}

static int wait_now(struct wanted *w)
{
	struct pbft_nl *nl, *events;
	char err[256];
	int rc;

	if (pbft_nl_events_open(&events, err, sizeof(err)))
		return failed(w->cmd, "%s", err);
	rc = open_netlink(w->cmd, &nl);
	if (!rc) {
		rc = wait_for(w, nl, events);
		pbft_nl_close(nl);
	}
	pbft_nl_close(events);
	return rc;
}

int wait_recovered(const struct command *cmd, const char *name,
		   const char *timeout)
{
	struct wanted w = { .cmd = cmd, .name = name, .recovered = true };

	return get_timeout(&w, timeout) ? EXIT_USAGE : wait_now(&w);
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct wanted w = { .cmd = cmd };

	return parse(&w, argc, argv) ? EXIT_USAGE : wait_now(&w);
}

const struct command cmd_wait = {
	.name = "wait",
	.args = "NAME [--active] [--voting] [--synced] [--recovered] [--view V] [--seq N] [--stable N] [--progress] [--timeout SECONDS]",
	.summary = "Wait until an instance is up and in all the states named.",
	.help =
	"  --active           in a view, no view change pending\n"
	"  --voting           not mute: has not lost its memory, or has recovered\n"
	"  --synced           no state transfer under way, and executed up to the\n"
	"                     stable checkpoint\n"
	"  --recovered        no recovery under way\n"
	"  --view V           active in view V or a later one\n"
	"  --seq N            batch N is executed\n"
	"  --stable N         the stable checkpoint is N or later\n"
	"  --progress         show how much of a state being fetched is here; so does\n"
	"                     --synced on a terminal\n"
	"  --timeout SECONDS  or 500ms, 2min; then exit status 3. Default: none\n"
	"Fails at once when there is no such instance or it has stopped itself.\n",
	.run = run,
};
