// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer, asking: from a certified root down to the pages that differ.
 *
 * A node is fetched in chunks from one peer and verified as a whole against its
 * parent, so a wrong one is that peer's fault: it is not asked again while
 * another is left. Verified pages are staged in the store; when none is missing
 * they are installed together.
 */
#include <errno.h>
#include <stdio.h>
#include "xfer_priv.h"

#define MSEC		1000000ull
#define TIMEOUT		(200 * MSEC)	/* doubled on each in a row */
#define PEER_PAUSE	(500 * MSEC)	/* likewise, for a peer that has no answer */

enum xfer_chunk {
	CHUNK_TODO,
	CHUNK_ASKED,
	CHUNK_GOT,
	CHUNK_HERE,	/* never asked for */
};

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
	return x;
}

static void job_free(struct pbft_xfer *x, struct xfer_job *j)
{
	x->inflight -= j->inflight;
	x->job_bytes -= j->size;
	free(j->buf);
	free(j->state);
	memset(j, 0, sizeof(*j));
}

static void stop_jobs(struct pbft_xfer *x)
{
	u32 i;

	for (i = 0; i < XFER_JOBS; i++)
		job_free(x, &x->jobs[i]);
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

/* ---- asking ---------------------------------------------------------------- */

static u32 chunk_len(const struct pbft_xfer *x, const struct xfer_job *j, u32 chunk)
{
	u32 max = xfer_chunk_max(x);

	return min((u64)max, j->size - (u64)chunk * max);
}

static void ask(struct pbft_xfer *x, const struct xfer_job *j, u32 chunk)
{
	struct pbft_xfer_hdr *h = (void *)x->packet;

	memset(h, 0, sizeof(*h));
	h->magic = cpu_to_le32(PBFT_XFER_MAGIC);
	h->version = PBFT_XFER_VERSION;
	h->type = PBFT_XFER_GET;
	h->level = j->level;
	h->rid = cpu_to_le32(j->rid);
	h->index = cpu_to_le32(j->index);
	h->seq = cpu_to_le64(x->head.seq);
	h->offset = cpu_to_le64((u64)chunk * xfer_chunk_max(x));
	h->len = cpu_to_le32(chunk_len(x, j, chunk));
	memcpy(h->data, x->target.root.digest.b, PBFT_DIGEST_LEN);
	x->ops->send(x->arg, j->peer, h, sizeof(*h) + PBFT_DIGEST_LEN);
}

/* Every node may ask for one chunk, however many are in flight. */
static void ask_more(struct pbft_xfer *x, struct xfer_job *j)
{
	for (; j->next < j->chunks; j->next++) {
		if (j->state[j->next] != CHUNK_TODO)
			continue;
		if (j->inflight && x->inflight >= x->flight_max)
			break;
		j->state[j->next] = CHUNK_ASKED;
		j->inflight++;
		x->inflight++;
		ask(x, j, j->next);
	}
}

/* Ask for what was asked for and did not come, and for all that did not yet. */
static void ask_again(struct pbft_xfer *x, struct xfer_job *j)
{
	u32 i;

	for (i = 0; i < j->chunks; i++)
		if (j->state[i] == CHUNK_ASKED)
			j->state[i] = CHUNK_TODO;
	x->inflight -= j->inflight;
	j->inflight = 0;
	j->next = 0;
	ask_more(x, j);
}

/* The next of the peers that is not known to lie or to be away; -1: none. */
static int pick_peer(struct pbft_xfer *x, u64 now)
{
	u32 i, p;

	if (!(x->peers & ~x->blamed))
		x->blamed = 0;
	for (i = 1; i <= PBFT_N_MAX; i++) {
		p = (x->last_peer + i) % PBFT_N_MAX;
		if (!((x->peers & ~x->blamed) & BIT_ULL(p)) ||
		    x->absent_until[p] > now)
			continue;
		x->last_peer = p;
		return p;
	}
	return -1;
}

static void peer_pause(struct pbft_xfer *x, u32 peer, u64 now)
{
	if (x->absent_until[peer] > now)
		return;
	x->absent_until[peer] = now + (PEER_PAUSE << x->strikes[peer]);
	if (x->strikes[peer] < 5)
		x->strikes[peer]++;
}

/* Ask another peer for the node, from its first byte: one peer, one verdict. */
static void job_restart(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	int peer = pick_peer(x, now);
	u32 i;

	if (peer < 0) {
		x->retry = min(x->retry, now + TIMEOUT);
		job_free(x, j);
		return;
	}
	j->peer = peer;
	j->rid = ++x->last_rid;
	j->timeouts = 0;
	j->got = 0;
	for (i = 0; i < j->chunks; i++) {
		if (j->state[i] == CHUNK_HERE)
			j->got++;
		else
			j->state[i] = CHUNK_TODO;
	}
	j->deadline = now + TIMEOUT;
	ask_again(x, j);
}

/* Memory for the node that @j is to fetch. */
static int job_room(struct pbft_xfer *x, struct xfer_job *j)
{
	const struct pbft_tree_node *page = &x->target.page[j->index];
	u32 first;

	if (j->level == PBFT_TREE_PAGE_LEVEL)
		j->size = page->size;
	else if (j->level == PBFT_TREE_INDEX_LEVEL)
		j->size = page->index;
	else
		j->size = pbft_tree_children(j->level, j->index, &first) *
			  sizeof(struct pbft_tree_child);
	x->job_bytes += j->size;
	j->chunks = DIV_ROUND_UP(j->size, xfer_chunk_max(x));
	j->buf = malloc(j->size + 1);
	j->state = calloc(1, j->chunks + 1);
	if (j->buf && j->state)
		return 0;
	snprintf(x->st->err, sizeof(x->st->err),
		 "out of memory for a page of %llu bytes",
		 (unsigned long long)j->size);
	job_free(x, j);
	return -ENOMEM;
}

/* Is there anything here that a large page may have in common with the target? */
static bool worth_an_index(const struct pbft_xfer *x, u32 page)
{
	const struct pbft_tree_node *want = &x->target.page[page];

	return want->size > 4 * xfer_chunk_max(x) &&
	       want->index < want->size / 2 &&
	       (x->st->tree.page[page].size || x->st->staged[page]);
}

static int job_start(struct pbft_xfer *x, u64 now, u32 level, u32 index)
{
	struct xfer_job *j = x->jobs;
	int err;

	while (j->used)
		j++;
	j->used = true;
	j->level = level;
	j->index = index;
	if (level == PBFT_TREE_PAGE_LEVEL && worth_an_index(x, index))
		j->level = PBFT_TREE_INDEX_LEVEL;
	err = job_room(x, j);
	if (!err)
		job_restart(x, j, now);
	return err;
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
static void adopt_known(struct pbft_xfer *x, u32 level, u32 index)
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
		adopt_known(x, level + 1, i);
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
				err = job_start(x, now, level, i);
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
static int advance(struct pbft_xfer *x, u64 now)
{
	u32 missing;
	int err;

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
		x->retry = now + TIMEOUT;
	return err;
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
	x->active = true;
	x->head = *head;
	x->peers = peers;
	memset(x->known, 0, sizeof(x->known));
	memset(x->absent_until, 0, sizeof(x->absent_until));
	memset(x->strikes, 0, sizeof(x->strikes));
	x->target.root.digest = *root;
	x->stats.fetches++;
	err = pbft_store_refresh(x->st) ?: pbft_store_commit(x->st);
	if (err)
		return err;
	adopt_known(x, 0, 0);
	return advance(x, now);
}

void pbft_xfer_stop(struct pbft_xfer *x)
{
	stop_jobs(x);
	x->active = false;
}

int pbft_xfer_cancel(struct pbft_xfer *x)
{
	if (!x->active)
		return 0;
	pbft_xfer_stop(x);
	return pbft_store_unstage(x->st);
}

/* ---- answers ------------------------------------------------------------------ */

static struct xfer_job *find_job(struct pbft_xfer *x, u32 peer,
				 const struct pbft_xfer_hdr *h)
{
	u32 i;

	for (i = 0; i < XFER_JOBS; i++) {
		struct xfer_job *j = &x->jobs[i];

		if (j->used && j->peer == peer && j->rid == le32_to_cpu(h->rid) &&
		    j->level == h->level && j->index == le32_to_cpu(h->index) &&
		    x->head.seq == le64_to_cpu(h->seq))
			return j;
	}
	return NULL;
}

static int take_interior(struct pbft_xfer *x, struct xfer_job *j)
{
	u32 first, n, i;

	if (!pbft_tree_decode(&x->target, j->level, j->index, j->buf, j->size))
		return 1;
	x->known[j->level][j->index] = true;
	n = pbft_tree_children(j->level, j->index, &first);
	for (i = first; i < first + n; i++)
		adopt_known(x, j->level + 1, i);
	x->stats.nodes++;
	return 0;
}

static int take_page(struct pbft_xfer *x, struct xfer_job *j)
{
	const struct pbft_tree_node *want = &x->target.page[j->index];
	int err = pbft_page_verify(j->index, want, j->buf, j->size);

	if (err == -EBADMSG)
		return 1;
	if (!err)
		err = pbft_store_stage(x->st, j->index, want, j->buf);
	x->stats.pages += !err;
	if (!err && ++x->staged % XFER_STAGE_GROUP == 0)
		err = pbft_store_commit(x->st);
	return err;
}

struct missing {
	struct xfer_job *job;
	u32 max;
};

static void mark_missing(void *arg, u64 off, u64 len)
{
	struct missing *m = arg;
	u64 i;

	for (i = off / m->max; i <= (off + len - 1) / m->max; i++)
		m->job->state[i] = CHUNK_TODO;
}

/* The index is right: go on with those chunks of its page that are not here. */
static int take_index(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	const struct pbft_tree_node *want = &x->target.page[j->index];
	struct missing m = { j, xfer_chunk_max(x) };
	u8 *index = j->buf;
	u32 i;
	int err;

	if (!pbft_page_index_ok(j->index, want, index, j->size))
		return 1;
	x->stats.indexes++;
	free(j->state);
	x->job_bytes -= j->size;
	j->level = PBFT_TREE_PAGE_LEVEL;
	err = job_room(x, j);
	if (!err) {
		memset(j->state, CHUNK_HERE, j->chunks);
		err = pbft_page_prefill(x->st, j->index, want, index, j->buf,
					mark_missing, &m);
	}
	free(index);
	if (err)
		return err;
	for (i = 0; i < j->chunks; i++)
		if (j->state[i] == CHUNK_HERE)
			x->stats.bytes_kept += chunk_len(x, j, i);
	job_restart(x, j, now);
	return 0;
}

/* Whole: verify it. Return 0; 1: it is not what its parent says; -errno. */
static int take_node(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	int ret;

	if (j->level < PBFT_TREE_PAGE_LEVEL)
		return take_interior(x, j);
	if (j->level == PBFT_TREE_PAGE_LEVEL)
		return take_page(x, j);
	ret = take_index(x, j, now);
	/* All of it may be here: entries that only went away. */
	if (!ret && j->used && j->got == j->chunks)
		ret = take_page(x, j);
	return ret;
}

static int recv_data(struct pbft_xfer *x, u64 now, struct xfer_job *j,
		     const struct pbft_xfer_hdr *h, u32 len)
{
	u64 off = le64_to_cpu(h->offset);
	u32 max = xfer_chunk_max(x), chunk = off / max;
	int ret;

	if (off % max || off / max >= j->chunks ||
	    len != chunk_len(x, j, chunk) || len != le32_to_cpu(h->len)) {
		x->stats.unexpected++;
		return 0;
	}
	if (j->state[chunk] != CHUNK_ASKED)
		return 0;	/* a double */
	memcpy(j->buf + off, h->data, len);
	j->state[chunk] = CHUNK_GOT;
	j->inflight--;
	x->inflight--;
	if (x->flight_max < XFER_FLIGHT_MAX && chunk % 4 == 0)
		x->flight_max++;
	j->got++;
	j->timeouts = 0;
	j->deadline = now + TIMEOUT;
	x->strikes[j->peer] = 0;
	x->stats.bytes += len;
	if (j->got < j->chunks) {
		ask_more(x, j);
		return 0;
	}
	ret = take_node(x, j, now);
	if (ret < 0)
		return ret;
	if (ret) {
		x->stats.bad++;
		x->blamed |= BIT_ULL(j->peer);
		job_restart(x, j, now);
		return 0;
	}
	/* After its index a page is still to come. */
	if (j->used && j->got == j->chunks)
		job_free(x, j);
	return advance(x, now);
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
	j = x->active ? find_job(x, peer, h) : NULL;
	if (j && h->type == PBFT_XFER_DATA)
		return recv_data(x, now, j, h, len - sizeof(*h));
	if (j && h->type == PBFT_XFER_NONE) {
		peer_pause(x, peer, now);
		job_restart(x, j, now);
		return 0;
	}
	x->stats.unexpected++;
	return 0;
}

/* ---- time ------------------------------------------------------------------------ */

static void job_timeout(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	x->stats.timeouts++;
	if (now - x->shrunk_at > TIMEOUT) {
		x->shrunk_at = now;
		x->flight_max = max(x->flight_max / 2, (u32)XFER_FLIGHT_MIN);
	}
	if (++j->timeouts > 2) {
		peer_pause(x, j->peer, now);
		job_restart(x, j, now);
		return;
	}
	j->deadline = now + (TIMEOUT << j->timeouts);
	ask_again(x, j);
}

int pbft_xfer_tick(struct pbft_xfer *x, u64 now)
{
	u32 i;

	if (!x->active)
		return 0;
	for (i = 0; i < XFER_JOBS; i++)
		if (x->jobs[i].used && x->jobs[i].deadline <= now)
			job_timeout(x, &x->jobs[i], now);
	if (x->retry <= now)
		x->retry = U64_MAX;
	return advance(x, now);
}

u64 pbft_xfer_deadline(const struct pbft_xfer *x)
{
	u64 t = x->retry;
	u32 i;

	if (!x->active)
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

const struct pbft_xfer_stats *pbft_xfer_stats(const struct pbft_xfer *x)
{
	return &x->stats;
}
