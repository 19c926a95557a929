// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl monitor: events as they happen, after a snapshot of what is.
 *
 * The subscription precedes the snapshot, so that nothing falls between them;
 * an event may therefore tell what the snapshot told already.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "pbftctl.h"

struct monitor {
	const struct command *cmd;
	const char *name;	/* NULL: all */
	bool json;
};

static void print_event(const struct monitor *m, enum pbft_nl_event event,
			const struct pbft_nl_status *st)
{
	struct json_object *o;
	struct timespec ts;

	if (m->name && strcmp(m->name, st->name))
		return;
	if (!m->json) {
		printf("%s %s: ", pbft_nl_event_name(event), st->name);
		if (event == PBFT_NL_EV_EVIDENCE)
			printf("replica %u is faulty; ", st->suspect);
		print_status_line(stdout, st);
		putchar('\n');
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	o = status_json(st);
	put_string(o, "event", pbft_nl_event_name(event));
	if (event == PBFT_NL_EV_EVIDENCE)
		put_u64(o, "suspect", st->suspect);
	put_u64(o, "received", ts.tv_sec * 1000000000ull + ts.tv_nsec);
	puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(o);
}

static void on_event(void *arg, enum pbft_nl_event event,
		     const struct pbft_nl_status *st)
{
	print_event(arg, event, st);
}

static int snapshot(const struct monitor *m, struct pbft_nl *nl)
{
	struct pbft_nl_instance *list, *in;

	/* all of them: an instance that is not there yet is no error */
	if (pbft_nl_get(nl, NULL, &list))
		return set_failed(m->cmd, nl, "snapshot");
	for (in = list; in; in = in->next)
		print_event(m, PBFT_NL_EV_SNAPSHOT, &in->st);
	pbft_nl_instance_free(list);
	return 0;
}

/* Until the reader of our output is gone, or something breaks. */
static int watch(struct monitor *m, struct pbft_nl *nl, struct pbft_nl *events)
{
	struct pollfd p = { .fd = pbft_nl_fd(events), .events = POLLIN };
	int rc = snapshot(m, nl);

	while (!rc) {
		if (fflush(stdout))
			return failed(m->cmd, "standard output: %s",
				      strerror(errno));
		if (poll(&p, 1, -1) < 0 && errno != EINTR)
			return failed(m->cmd, "poll: %s", strerror(errno));
		rc = pbft_nl_events_recv(events, on_event, m);
		if (rc < 0 && rc != -ENOBUFS)
			return failed(m->cmd, "%s", pbft_nl_error(events));
		if (rc == -ENOBUFS) {
			fprintf(stderr, "pbftctl monitor: events were lost, a new snapshot follows\n");
			rc = snapshot(m, nl);
		} else {
			rc = 0;
		}
	}
	return rc;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct monitor m = { .cmd = cmd };
	const struct opt opts[] = { { .name = "json", .flag = &m.json } };
	struct pbft_nl *nl, *events;
	char err[256];
	int rc;

	if (parse_args(cmd, argc, argv, opts, 1, &m.name, 0, 1))
		return EXIT_USAGE;
	if (pbft_nl_events_open(&events, err, sizeof(err)))
		return failed(cmd, "%s", err);
	rc = open_netlink(cmd, &nl);
	if (!rc) {
		rc = watch(&m, nl, events);
		pbft_nl_close(nl);
	}
	pbft_nl_close(events);
	return rc;
}

const struct command cmd_monitor = {
	.name = "monitor",
	.args = "[NAME] [--json]",
	.summary = "Print events as they happen, after a snapshot of all instances.",
	.help =
	"  --json  one JSON object a line\n"
	"When events come faster than they are read and some are lost, it says so on\n"
	"standard error and prints a new snapshot.\n",
	.run = run,
};
