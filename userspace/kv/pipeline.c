// SPDX-License-Identifier: GPL-2.0
/*
 * Many operations through one client: the window is kept full, results are
 * handed on as they come, progress is shown to a person who watches.
 */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define PROGRESS_NS	100000000ull

struct item {
	struct pipeline *p;
	u64 i;
	bool busy;
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

static void item_done(void *arg, int err, u8 status, const void *data, u32 len)
{
	struct item *item = arg;
	struct pipeline *p = item->p;

	item->busy = false;
	if (err) {
		if (!p->failed)
			complain("operation %llu of %llu: %s",
				 (unsigned long long)item->i + 1,
				 (unsigned long long)p->total,
				 pbft_client_strerror(err));
		p->failed = true;
		return;
	}
	p->done++;
	if (!p->result(p, item->i, status, data, len))
		p->failed = true;
}

static struct item *free_item(struct item *items)
{
	u32 i;

	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		if (!items[i].busy)
			return &items[i];
	return NULL;
}

/* Fill the window. */
static void submit(struct pipeline *p, struct item *items)
{
	static u8 op[PBFT_OP_MAX];
	struct item *item;
	int len, ret;

	while (p->next < p->total && !p->failed) {
		item = free_item(items);
		if (!item)
			return;
		len = p->encode(p, p->next, op, sizeof(op));
		if (len < 0) {
			complain("operation %llu is too large",
				 (unsigned long long)p->next + 1);
			p->failed = true;
			return;
		}
		item->p = p;
		item->i = p->next;
		ret = pbft_client_submit(p->tool->client, op, len,
					 p->tool->timeout, item_done, item);
		if (ret == -EAGAIN)
			return;
		if (ret) {
			complain("%s", pbft_client_strerror(ret));
			p->failed = true;
			return;
		}
		item->busy = true;
		p->next++;
	}
}

static void show(const struct pipeline *p, u64 since, bool last)
{
	double seconds = (now_ns() - since) / 1e9;

	fprintf(stderr, "\r%s %llu of %llu, %.0f a second ", p->verb,
		(unsigned long long)p->done, (unsigned long long)p->total,
		seconds > 0 ? p->done / seconds : 0);
	if (last)
		fputc('\n', stderr);
}

bool pipeline_run(struct pipeline *p)
{
	struct item items[PBFT_CLIENT_WINDOW] = { { 0 } };
	bool watched = !p->tool->quiet && isatty(STDERR_FILENO);
	u64 start = now_ns(), shown = 0;

	/* after a failure, what is on its way may still be acknowledged */
	while ((p->next < p->total && !p->failed) ||
	       pbft_client_outstanding(p->tool->client)) {
		submit(p, items);
		pbft_client_poll(p->tool->client, PROGRESS_NS);
		if (watched && now_ns() - shown > PROGRESS_NS) {
			show(p, start, false);
			shown = now_ns();
		}
	}
	if (watched)
		show(p, start, true);
	return !p->failed;
}
