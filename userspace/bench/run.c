// SPDX-License-Identifier: GPL-2.0
/*
 * The run: many clients in one epoll loop, through warm-up, measurement and the
 * wait for what is still outstanding.
 *
 * Closed loop: every client keeps its depth of operations outstanding. Open
 * loop: operations fall due at a fixed rate whatever the cluster does; one that
 * finds no free client waits, and its latency counts from when it was due.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include "bench.h"

#define SCAN_NS		2000000ull	/* timers of all clients are looked at this often */
#define EVENTS		256

static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop++;		/* the second time, do not wait for what is outstanding */
}

u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* ---- operations ----------------------------------------------------- */

static void op_done(void *arg, int err, u8 status, const void *data, u32 len);

static struct bench_op *free_op(struct bench_client *c)
{
	u32 i;

	for (i = 0; i < c->bench->cfg.depth; i++)
		if (!c->ops[i].busy)
			return &c->ops[i];
	return NULL;
}

/* One more operation of this client, if it can take one. */
static bool issue(struct bench_client *c, u64 due, u64 now)
{
	static u8 out[PBFT_OP_MAX];
	struct bench *b = c->bench;
	struct bench_op *op = free_op(c);
	int len;

	if (!op)
		return false;
	op->client = c;
	len = workload_encode(b, op, out, sizeof(out));
	if (len < 0 || pbft_client_submit(c->client, out, len, b->cfg.timeout,
					  op_done, op))
		return false;
	op->busy = true;
	op->due = due;
	op->invoked = now;
	op->measured = b->phase == PHASE_MEASURE;
	b->issued += op->measured;
	c->busy++;
	return true;
}

static bool may_issue(const struct bench *b)
{
	if (b->phase == PHASE_DRAIN)
		return false;
	return !b->cfg.ops || b->phase == PHASE_WARMUP || b->issued < b->cfg.ops;
}

static void count_result(struct bench *b, const struct bench_op *op, u64 now,
			 bool good, u32 len)
{
	b->since_interval += good;
	if (!good) {
		if (op->measured)
			b->errors++;
		else
			b->errors_warmup++;
		return;
	}
	/* throughput is what completes while we measure, whenever it began */
	if (b->cfg.ops ? !op->measured : b->phase != PHASE_MEASURE)
		return;
	b->completed++;
	b->result_bytes += len;
	hist_add(&b->hist, now - op->due);
	if (b->cfg.ops)
		b->measure_end = now;
}

static void op_done(void *arg, int err, u8 status, const void *data, u32 len)
{
	struct bench_op *op = arg;
	struct bench_client *c = op->client;
	struct bench *b = c->bench;
	u64 now = now_ns();
	bool good;

	op->busy = false;
	c->busy--;
	good = workload_result(b, op, now, err, status, data, len);
	if (err == -ECANCELED)
		return;
	count_result(b, op, now, good, len);
	if (!b->cfg.rate && may_issue(b))
		issue(c, now, now);
}

static void fill_client(struct bench_client *c, u64 now)
{
	while (c->busy < c->bench->cfg.depth && may_issue(c->bench))
		if (!issue(c, now, now))
			break;
}

/* Open loop: everything due by now, to whoever has room. */
static void arrive(struct bench *b, u64 now)
{
	double ns_each = NSEC_PER_SEC / b->cfg.rate;
	u32 tried = 0;

	while (may_issue(b) && tried < b->count) {
		u64 due = b->arrivals_start + (u64)(b->arrivals * ns_each);
		struct bench_client *c = &b->clients[b->next_client];

		if (due > now)
			return;
		b->next_client = (b->next_client + 1) % b->count;
		if (!issue(c, due, now)) {
			tried++;
			continue;
		}
		tried = 0;
		b->arrivals++;
		if (!b->transport)
			pbft_client_poll(c->client, 0);
	}
}

/* ---- phases --------------------------------------------------------- */

static void end_interval(struct bench *b, u64 now)
{
	u64 *more;

	if (!b->cfg.interval || now < b->at_interval)
		return;
	more = realloc(b->timeline, (b->intervals + 1) * sizeof(*more));
	if (more) {
		b->timeline = more;
		b->timeline[b->intervals++] = b->since_interval;
	}
	fprintf(stderr, "%8.2f s %10.0f ops/s\n",
		((double)b->at_interval - b->measure_start) / 1e9,
		b->since_interval * 1e9 / b->cfg.interval);
	b->since_interval = 0;
	b->at_interval += b->cfg.interval;
}

static bool drained(const struct bench *b)
{
	u32 i;

	for (i = 0; i < b->count; i++)
		if (b->clients[i].busy)
			return false;
	return true;
}

static bool measured_enough(const struct bench *b, u64 now)
{
	if (b->cfg.ops)
		return b->completed + b->errors >= b->cfg.ops;
	return now >= b->measure_start + b->cfg.seconds;
}

/* Return false when the run is over. */
static bool advance(struct bench *b, u64 now)
{
	end_interval(b, now);
	if (b->phase == PHASE_WARMUP && now >= b->measure_start) {
		b->phase = PHASE_MEASURE;
		b->measure_start = now;
		b->at_interval = now + b->cfg.interval;
		b->since_interval = 0;
		b->cpu_start = cpu_ns();
	}
	if (b->phase != PHASE_DRAIN &&
	    (stop || (b->phase == PHASE_MEASURE && measured_enough(b, now)))) {
		if (b->phase == PHASE_WARMUP)
			b->measure_start = now;
		else
			b->cpu_seconds = (cpu_ns() - b->cpu_start) / 1e9;
		b->phase = PHASE_DRAIN;
		if (!b->cfg.ops || !b->measure_end)
			b->measure_end = now;
	}
	return b->phase != PHASE_DRAIN || !(drained(b) || stop > 1);
}

/* ---- the loop ------------------------------------------------------- */

static int watch(int ep, int fd, u32 i)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };

	return epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev);
}

static int watch_clients(struct bench *b)
{
	int ep = epoll_create1(EPOLL_CLOEXEC);
	u32 i;

	if (ep < 0)
		return -errno;
	if (b->transport)
		return watch(ep, pbft_transport_fd(b->transport), 0) ? -errno : ep;
	for (i = 0; i < b->count; i++)
		if (watch(ep, pbft_client_fd(b->clients[i].client), i))
			return -errno;
	return ep;
}

static void take_turn(struct bench *b, u32 i)
{
	if (b->transport)
		pbft_transport_poll(b->transport, 0);
	else
		pbft_client_poll(b->clients[i].client, 0);
}

/* Let every client whose time has come act. */
static void scan(struct bench *b, u64 now)
{
	u32 i;

	for (i = 0; i < b->count; i++) {
		struct bench_client *c = &b->clients[i];

		if (!b->cfg.rate)
			fill_client(c, now);
		if (!b->transport && pbft_client_deadline(c->client) <= now)
			take_turn(b, i);
	}
}

/* What was submitted to clients on one socket goes out together. */
static void submit_all(struct bench *b, u64 now)
{
	if (b->transport && pbft_transport_deadline(b->transport) <= now)
		take_turn(b, 0);
}

/* Until the next look at the timers, or the next arrival. */
static struct timespec pause_for(const struct bench *b, u64 now, u64 scan_at)
{
	u64 until = scan_at, due;

	if (b->cfg.rate && b->phase != PHASE_DRAIN) {
		due = b->arrivals_start +
		      (u64)(b->arrivals * (NSEC_PER_SEC / b->cfg.rate));
		/* one that is overdue waits for a client, not for time */
		if (due > now && due < until)
			until = due;
	}
	until = until > now ? until - now : 0;
	return (struct timespec){ until / NSEC_PER_SEC, until % NSEC_PER_SEC };
}

static void loop(struct bench *b, int ep)
{
	struct epoll_event events[EVENTS];
	u64 now = now_ns(), scan_at = now;
	struct timespec wait;
	int got, i;

	while (advance(b, now)) {
		if (now >= scan_at) {
			scan(b, now);
			scan_at = now + SCAN_NS;
		}
		if (b->cfg.rate)
			arrive(b, now);
		submit_all(b, now);
		wait = pause_for(b, now, scan_at);
		got = epoll_pwait2(ep, events, EVENTS, &wait, NULL);
		for (i = 0; i < got; i++)
			take_turn(b, events[i].data.u32);
		now = now_ns();
	}
}

bool bench_run(struct bench *b)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int ep = watch_clients(b);
	u64 now = now_ns();

	if (ep < 0) {
		complain("cannot watch the clients' sockets: %s", strerror(-ep));
		return false;
	}
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	b->phase = PHASE_WARMUP;
	b->measure_start = now + b->cfg.warmup;
	b->at_interval = U64_MAX;
	b->arrivals_start = now;
	loop(b, ep);
	return true;
}
