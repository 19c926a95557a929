// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer, asking: one node, in chunks, from one peer, verified as a whole
 * against its parent. A wrong one is that peer's fault: it is not asked again
 * while another is left.
 */
#include <errno.h>
#include <stdio.h>
#include "xfer_priv.h"

#define MSEC		1000000ull
#define PATIENCE_MAX	(1600 * MSEC)
#define PEER_PAUSE	(500 * MSEC)	/* likewise, for a peer that has no answer */

enum xfer_chunk {
	CHUNK_TODO,
	CHUNK_ASKED,
	CHUNK_GOT,
	CHUNK_HERE,	/* never asked for */
};

void pbft_xfer_job_free(struct pbft_xfer *x, struct xfer_job *j)
{
	x->inflight -= j->inflight;
	x->job_bytes -= j->size;
	free(j->buf);
	free(j->state);
	memset(j, 0, sizeof(*j));
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

static bool asking(const struct pbft_xfer *x, u32 peer)
{
	u32 i;

	for (i = 0; i < XFER_JOBS; i++)
		if (x->jobs[i].used && x->jobs[i].inflight && x->jobs[i].peer == peer)
			return true;
	return false;
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
		/* one question tells whether it is there again */
		if (x->silent & BIT_ULL(p) && asking(x, p))
			continue;
		x->last_peer = p;
		return p;
	}
	return -1;
}

/* Leave @peer alone for a while, longer each time in a row. */
static void peer_pause(struct pbft_xfer *x, u32 peer, u64 now)
{
	if (x->absent_until[peer] > now)
		return;
	x->absent_until[peer] = now + (PEER_PAUSE << x->strikes[peer]);
	if (x->strikes[peer] < 5)
		x->strikes[peer]++;
}

/* Ask another peer for the node, from its first byte: one peer, one verdict. */
void pbft_xfer_job_restart(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	int peer = pick_peer(x, now);
	u32 i;

	if (peer < 0) {
		x->retry = min(x->retry, now + XFER_TIMEOUT);
		pbft_xfer_job_free(x, j);
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
	j->deadline = now + x->patience;
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
	pbft_xfer_job_free(x, j);
	return -ENOMEM;
}

/*
 * Is there anything here that a large page may have in common with the target? Of
 * one that is fetched since it is damaged here, nothing is taken for granted.
 */
static bool worth_an_index(const struct pbft_xfer *x, u32 page)
{
	const struct pbft_tree_node *want = &x->target.page[page];

	return !x->single && want->size > 4 * xfer_chunk_max(x) &&
	       want->index < want->size / 2 &&
	       (x->st->tree.page[page].size || x->st->staged[page]);
}

int pbft_xfer_job_start(struct pbft_xfer *x, u64 now, u32 level, u32 index)
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
		pbft_xfer_job_restart(x, j, now);
	return err;
}

/* ---- answers ------------------------------------------------------------------ */

struct xfer_job *pbft_xfer_job_find(struct pbft_xfer *x, u32 peer,
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
		pbft_xfer_adopt(x, j->level + 1, i);
	x->stats.nodes++;
	return 0;
}

/* What is done with it may be to ask for another one: nothing is left of this. */
static int deliver_page(struct pbft_xfer *x, struct xfer_job *j)
{
	u8 *data = j->buf;
	u64 len = j->size;
	int err;

	j->buf = NULL;
	pbft_xfer_job_free(x, j);
	x->single = false;
	x->stats.pages++;
	err = x->ops->page(x->arg, x->page, data, len);
	free(data);
	return err;
}

static int take_page(struct pbft_xfer *x, struct xfer_job *j)
{
	const struct pbft_tree_node *want = &x->target.page[j->index];
	int err = pbft_page_verify(j->index, want, j->buf, j->size);

	if (err == -EBADMSG)
		return 1;
	if (!err && x->single)
		return deliver_page(x, j);
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
	pbft_xfer_job_restart(x, j, now);
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

int pbft_xfer_job_recv(struct pbft_xfer *x, u64 now, struct xfer_job *j,
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
	x->patience -= (x->patience - XFER_TIMEOUT) / 64;
	j->deadline = now + x->patience;
	x->strikes[j->peer] = 0;
	x->silent &= ~BIT_ULL(j->peer);
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
		pbft_xfer_job_restart(x, j, now);
		return 0;
	}
	/* After its index a page is still to come. */
	if (j->used && j->got == j->chunks)
		pbft_xfer_job_free(x, j);
	return pbft_xfer_advance(x, now);
}

void pbft_xfer_job_timeout(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	x->stats.timeouts++;
	if (now - x->shrunk_at > x->patience) {
		x->shrunk_at = now;
		x->patience = min(x->patience * 2, PATIENCE_MAX);
		x->flight_max = max(x->flight_max / 2, (u32)XFER_FLIGHT_MIN);
	}
	if (++j->timeouts > 2 || x->silent & BIT_ULL(j->peer)) {
		x->silent |= BIT_ULL(j->peer);
		peer_pause(x, j->peer, now);
		pbft_xfer_job_restart(x, j, now);
		return;
	}
	j->deadline = now + (x->patience << j->timeouts);
	ask_again(x, j);
}

void pbft_xfer_job_none(struct pbft_xfer *x, struct xfer_job *j, u64 now)
{
	x->silent &= ~BIT_ULL(j->peer);
	peer_pause(x, j->peer, now);
	pbft_xfer_job_restart(x, j, now);
}
