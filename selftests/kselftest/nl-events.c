// SPDX-License-Identifier: GPL-2.0
/*
 * Events of the netlink family: what happens to an instance is told in order,
 * on the socket that subscribed and on no other, and an overrun is noticed.
 * The instance named by the argument is down. Prints TAP.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "libpbft/nl.h"
#include "../unit/tap.h"

static const struct pbft_nl_up genesis = { .genesis = true };

#define WAIT_S	60

struct seen {
	const char *name;
	u32 count;
	u32 event[64];		/* of administration and daemons */
	u32 state[64];
};

static void on_event(void *arg, enum pbft_nl_event event,
		     const struct pbft_nl_status *st)
{
	struct seen *seen = arg;

	/* what the protocol does meanwhile is another matter */
	if (event < PBFT_NL_EV_CREATED || strcmp(st->name, seen->name) ||
	    seen->count == ARRAY_SIZE(seen->event))
		return;
	seen->event[seen->count] = event;
	seen->state[seen->count++] = st->state;
}

/* Until @count events have come; false when they do not. */
static bool receive(struct pbft_nl *events, struct seen *seen, u32 count)
{
	struct pollfd p = { .fd = pbft_nl_fd(events), .events = POLLIN };
	time_t end = time(NULL) + WAIT_S;
	int rc;

	while (seen->count < count && time(NULL) < end) {
		poll(&p, 1, 1000);
		rc = pbft_nl_events_recv(events, on_event, seen);
		if (rc < 0) {
			diag("%s", pbft_nl_error(events));
			return false;
		}
	}
	return seen->count >= count;
}

/* Until this event has come, whatever comes before it. */
static bool receive_one(struct pbft_nl *events, struct seen *seen, u32 event)
{
	do {
		seen->count = 0;
		if (!receive(events, seen, 1))
			return false;
	} while (seen->event[seen->count - 1] != event);
	return true;
}

static void test_order(struct pbft_nl *admin, struct pbft_nl *events,
		       const char *name)
{
	static const u32 wanted[][2] = {
		{ PBFT_NL_EV_UP, PBFT_STATE_UP },
		{ PBFT_NL_EV_BOUND, PBFT_STATE_UP },
		{ PBFT_NL_EV_UNBOUND, PBFT_STATE_UP },
		{ PBFT_NL_EV_DOWN, PBFT_STATE_DOWN },
		{ PBFT_NL_EV_DELETED, PBFT_STATE_DOWN },
	};
	static const struct pbft_nl_daemon_ops ops;
	static const struct pbft_nl_head head;
	struct seen seen = { .name = name };
	struct pbft_nl_bound bound;
	struct pbft_nl *daemon;
	char err[256] = "";
	bool good;

	ok(!pbft_nl_up(admin, name, &genesis), "UP");
	ok(!pbft_nl_open(&daemon, err, sizeof(err)) &&
	   !pbft_nl_bind(daemon, name, &head, &bound), "BIND%s", err);
	pbft_nl_close(daemon);
	if (!ok(receive(events, &seen, 3), "the end of a socket is told"))
		diag("%u events", seen.count);
	ok(!pbft_nl_down(admin, name) && !pbft_nl_del(admin, name), "DOWN, DEL");
	ok(receive(events, &seen, ARRAY_SIZE(wanted)), "every step is told");
	good = seen.count == ARRAY_SIZE(wanted);
	for (u32 i = 0; i < seen.count; i++) {
		diag("%s, %s", pbft_nl_event_name(seen.event[i]),
		     pbft_nl_state_name(seen.state[i]));
		good = good && seen.event[i] == wanted[i][0] &&
		       seen.state[i] == wanted[i][1];
	}
	ok(good, "once, in order, with the state it led to");
	ok(!pbft_nl_dispatch(admin, &ops, NULL, 0),
	   "the socket of administration received none of it");
}

/* A socket that holds next to nothing, and nobody who reads it. */
static void test_overrun(struct pbft_nl *admin, struct pbft_nl *events,
			 const char *name)
{
	struct seen seen = { .name = name };
	int one = 1, rc = 0;

	setsockopt(pbft_nl_fd(events), SOL_SOCKET, SO_RCVBUF, &one, sizeof(one));
	for (int i = 0; i < 40 && !rc; i++) {
		rc = pbft_nl_up(admin, name, &genesis);
		if (!rc)
			rc = pbft_nl_down(admin, name);
	}
	ok(!rc, "forty times UP and DOWN");
	rc = pbft_nl_events_recv(events, on_event, &seen);
	if (!ok(rc == -ENOBUFS, "the overrun is noticed: %s",
		rc < 0 ? pbft_nl_error(events) : ""))
		diag("%d", rc);
	while ((rc = pbft_nl_events_recv(events, on_event, &seen)) > 0)
		;
	ok(!rc, "what is left can be read");
	/* events are told after the answer to the command: the last DOWN may come yet */
	ok(!pbft_nl_up(admin, name, &genesis) &&
	   receive_one(events, &seen, PBFT_NL_EV_UP), "and events go on");
	ok(!pbft_nl_down(admin, name) &&
	   receive_one(events, &seen, PBFT_NL_EV_DOWN), "DOWN");
}

int main(int argc, char **argv)
{
	struct pbft_nl *admin, *events;
	struct pbft_nl_instance *in;
	char err[256];

	if (argc != 2) {
		fprintf(stderr, "usage: nl-events INSTANCE\n");
		return 2;
	}
	if (pbft_nl_open(&admin, err, sizeof(err)) ||
	    pbft_nl_events_open(&events, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	if (!ok(!pbft_nl_get(admin, argv[1], &in), "GET"))
		diag("%s", pbft_nl_error(admin));
	pbft_nl_instance_free(in);
	test_overrun(admin, events, argv[1]);
	pbft_nl_close(events);
	if (!ok(!pbft_nl_events_open(&events, err, sizeof(err)), "subscribe"))
		return 1;
	test_order(admin, events, argv[1]);
	pbft_nl_close(events);
	pbft_nl_close(admin);
	return done_testing();
}
