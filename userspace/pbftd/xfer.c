// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer, asking: from a certified root down to the pages that differ.
 * What is fetched by xfer_job.c is staged in the store; when nothing is missing
 * it is installed together.
 */
#include <errno.h>
#include <stdio.h>
#include "xfer_priv.h"

struct pbft_xfer *pbft_xfer_create(struct pbft_store *st, u32 mtu,
				   const struct pbft_xfer_ops *ops, void *arg)
{
	struct pbft_xfer *x = calloc(1, sizeof(*x));

	if (!x)
		return NULL;
	x->packet = aligned_alloc(8, ALIGN(mtu, 8));
	if (!x->packet) {
		free(x);
		return NULL;
	}
	x->st = st;
	x->mtu = mtu;
	x->ops = ops;
	x->arg = arg;
	x->retry = U64_MAX;
	x->flight_max = 2 * XFER_FLIGHT_MIN;
	x->patience = XFER_TIMEOUT;
	return x;
}

static void stop_jobs(struct pbft_xfer *x)
{
	u32 i;

	for (i = 0; i < XFER_JOBS; i++)
		pbft_xfer_job_free(x, &x->jobs[i]);
	x->retry = U64_MAX;
}

void pbft_xfer_destroy(struct pbft_xfer *x)
{
	if (!x)
		return;
	stop_jobs(x);
	pbft_xfer_cache_free(x);
	free(x->packet);
	free(x);
}

/* ---- what is missing -------------------------------------------------------- */

static bool busy(const struct pbft_xfer *x, u32 level, u32 index)
{
	u32 i;

	for (i = 0; i < XFER_JOBS; i++)
		if (x->jobs[i].used && x->jobs[i].index == index &&
		    min((u32)x->jobs[i].level, (u32)PBFT_TREE_PAGE_LEVEL) == level)
			return true;
	return false;
}

static bool slot_free(const struct pbft_xfer *x)
{
	u32 i;

	if (x->job_bytes > XFER_JOB_BYTES || x->inflight >= x->flight_max)
		return false;
	for (i = 0; i < XFER_JOBS; i++)
		if (!x->jobs[i].used)
			return true;
	return false;
}

/* Where a subtree is the one we have, all of it is known. */
void pbft_xfer_adopt(struct pbft_xfer *x, u32 level, u32 index)
{
	struct pbft_tree_node *want = pbft_tree_node(&x->target, level, index);
	struct pbft_tree *have = &x->st->tree;
	u32 first, n, i;

	if (level >= PBFT_TREE_PAGE_LEVEL ||
	    !pbft_digest_eq(&want->digest,
			    &pbft_tree_node(have, level, index)->digest))
		return;
	x->known[level][index] = true;
	n = pbft_tree_children(level, index, &first);
	for (i = first; i < first + n; i++) {
		*pbft_tree_node(&x->target, level + 1, i) =
			*pbft_tree_node(have, level + 1, i);
		pbft_xfer_adopt(x, level + 1, i);
	}
}

/* An empty page needs no peer. 0: it is staged. */
static int stage_empty(struct pbft_xfer *x, u32 page)
{
	const struct pbft_tree_node *want = &x->target.page[page];

	if (pbft_page_verify(page, want, NULL, 0)) {
		snprintf(x->st->err, sizeof(x->st->err),
			 "the certified state is malformed: page %u is empty but does not have that digest",
			 page);
		return -EIO;
	}
	return pbft_store_stage(x->st, page, want, NULL);
}

/* Start jobs for what is missing. *missing: nodes that are, with jobs or not. */
static int plan(struct pbft_xfer *x, u64 now, u32 *missing)
{
	u32 level, i, parents;
	int err = 0;

	*missing = 0;
	for (level = 0; level <= PBFT_TREE_PAGE_LEVEL; level++) {
		parents = level ? pbft_tree_count(level) /
				  pbft_tree_count(level - 1) : 1;
		for (i = 0; !err && i < pbft_tree_count(level); i++) {
			if (level && !x->known[level - 1][i / parents])
				continue;
			if (level < PBFT_TREE_PAGE_LEVEL ? x->known[level][i] :
			    pbft_store_has(x->st, i, &x->target.page[i]))
				continue;
			if (level == PBFT_TREE_PAGE_LEVEL &&
			    !x->target.page[i].size) {
				err = stage_empty(x, i);
				continue;
			}
			(*missing)++;
			if (x->retry == U64_MAX && slot_free(x) &&
			    !busy(x, level, i))
				err = pbft_xfer_job_start(x, now, level, i);
		}
	}
	return err;
}

static int finish(struct pbft_xfer *x)
{
	u64 seq = x->head.seq;
	u32 i, kept = 0;
	int err;

	for (i = 0; i < PBFT_TREE_PAGES; i++)
		kept += pbft_digest_eq(&x->st->tree.page[i].digest,
				       &x->target.page[i].digest);
	err = pbft_store_install(x->st, &x->target, &x->head);
	if (err)
		return err;
	stop_jobs(x);
	x->active = false;
	x->stats.installed++;
	x->stats.pages_kept += kept;
	x->ops->installed(x->arg, seq, &x->target.root.digest);
	return 0;
}

/* Go on: ask for what is missing, install when nothing is. */
int pbft_xfer_advance(struct pbft_xfer *x, u64 now)
{
	u32 missing;
	int err;

	if (x->single && x->retry == U64_MAX && !busy(x, PBFT_TREE_PAGE_LEVEL, x->page))
		return pbft_xfer_job_start(x, now, PBFT_TREE_PAGE_LEVEL, x->page);
	if (!x->active)
		return 0;
	err = plan(x, now, &missing);
	if (err || missing)
		return err;
	err = finish(x);
	if (err != -EAGAIN)
		return err;
	/* A staged page has spoilt on the disk. */
	err = plan(x, now, &missing);
	if (!err && !missing)
		x->retry = now + XFER_TIMEOUT;
	return err;
}

/* Who had nothing of the last target may have this one; who was silent still may be. */
static void forget_nones(struct pbft_xfer *x)
{
	u32 i;

	for (i = 0; i < PBFT_N_MAX; i++) {
		if (x->silent & BIT_ULL(i))
			continue;
		x->absent_until[i] = 0;
		x->strikes[i] = 0;
	}
}

int pbft_xfer_fetch(struct pbft_xfer *x, u64 now,
		    const struct pbft_log_head *head,
		    const struct pbft_digest *root, u64 peers)
{
	int err;

	if (x->active && x->head.seq == head->seq &&
	    pbft_digest_eq(&x->target.root.digest, root)) {
		x->peers = peers;
		return 0;
	}
	stop_jobs(x);
	x->single = false;
	x->active = true;
	x->head = *head;
	x->peers = peers;
	memset(x->known, 0, sizeof(x->known));
	forget_nones(x);
	x->target.root.digest = *root;
	x->stats.fetches++;
	err = pbft_store_refresh(x->st) ?: pbft_store_commit(x->st);
	if (err)
		return err;
	pbft_xfer_adopt(x, 0, 0);
	return pbft_xfer_advance(x, now);
}

int pbft_xfer_page(struct pbft_xfer *x, u64 now, u64 seq, const struct pbft_digest *root,
		   u32 page, const struct pbft_tree_node *want, u64 peers)
{
	if (x->active)
		return 0;
	stop_jobs(x);
	x->single = true;
	x->page = page;
	x->head = (struct pbft_log_head){ .seq = seq };
	x->peers = peers;
	forget_nones(x);
	x->target.root.digest = *root;
	x->target.page[page] = *want;
	return pbft_xfer_advance(x, now);
}

void pbft_xfer_page_stop(struct pbft_xfer *x)
{
	if (!x->single)
		return;
	stop_jobs(x);
	x->single = false;
}

void pbft_xfer_stop(struct pbft_xfer *x)
{
	stop_jobs(x);
	x->active = false;
	x->single = false;
}

int pbft_xfer_cancel(struct pbft_xfer *x)
{
	if (!x->active)
		return 0;
	pbft_xfer_stop(x);
	return pbft_store_unstage(x->st);
}

int pbft_xfer_recv(struct pbft_xfer *x, u64 now, u32 peer, const void *data,
		   u32 len)
{
	const struct pbft_xfer_hdr *h = data;
	struct xfer_job *j;

	if (peer >= PBFT_N_MAX || len < sizeof(*h) ||
	    le32_to_cpu(h->magic) != PBFT_XFER_MAGIC ||
	    h->version != PBFT_XFER_VERSION) {
		x->stats.unexpected++;
		return 0;
	}
	if (h->type == PBFT_XFER_GET) {
		pbft_xfer_serve(x, now, peer, h, len);
		return 0;
	}
	j = pbft_xfer_job_find(x, peer, h);
	if (j && h->type == PBFT_XFER_DATA)
		return pbft_xfer_job_recv(x, now, j, h, len - sizeof(*h));
	if (j && h->type == PBFT_XFER_NONE) {
		pbft_xfer_job_none(x, j, now);
		return 0;
	}
	x->stats.unexpected++;
	return 0;
}

/* ---- time ------------------------------------------------------------------------ */

static bool fetching(const struct pbft_xfer *x)
{
	return x->active || x->single;
}

int pbft_xfer_tick(struct pbft_xfer *x, u64 now)
{
	u32 i;

	if (!fetching(x))
		return 0;
	for (i = 0; i < XFER_JOBS; i++)
		if (x->jobs[i].used && x->jobs[i].deadline <= now)
			pbft_xfer_job_timeout(x, &x->jobs[i], now);
	if (x->retry <= now)
		x->retry = U64_MAX;
	return pbft_xfer_advance(x, now);
}

u64 pbft_xfer_deadline(const struct pbft_xfer *x)
{
	u64 t = x->retry;
	u32 i;

	if (!fetching(x))
		return U64_MAX;
	for (i = 0; i < XFER_JOBS; i++)
		if (x->jobs[i].used)
			t = min(t, x->jobs[i].deadline);
	return t;
}

bool pbft_xfer_active(const struct pbft_xfer *x)
{
	return x->active;
}

void pbft_xfer_discarded(struct pbft_xfer *x)
{
	pbft_xfer_cache_free(x);
}

/* The pages are known by digest and size once all nodes above them are. */
bool pbft_xfer_progress(const struct pbft_xfer *x, struct pbft_xfer_progress *p)
{
	u32 level, i;

	if (!x->active)
		return false;
	for (level = 0; level < PBFT_TREE_PAGE_LEVEL; level++)
		for (i = 0; i < pbft_tree_count(level); i++)
			if (!x->known[level][i])
				return false;
	*p = (struct pbft_xfer_progress){ .seq = x->head.seq };
	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		p->total += x->target.page[i].size;
		if (pbft_store_has(x->st, i, &x->target.page[i]))
			p->done += x->target.page[i].size;
	}
	return true;
}

const struct pbft_xfer_stats *pbft_xfer_stats(const struct pbft_xfer *x)
{
	return &x->stats;
}
