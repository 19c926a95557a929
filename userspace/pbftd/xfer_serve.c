// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer, answering: pieces of retained snapshots, and of nothing else.
 *
 * One request brings at most one datagram, and a peer only so many a second.
 */
#include <errno.h>
#include "xfer_priv.h"

#define BUDGET_RATE	20000u		/* requests a second from one peer */
#define BUDGET_BURST	2000u
#define NSEC_PER_TOKEN	(1000000000ull / BUDGET_RATE)

static bool within_budget(struct pbft_xfer *x, u64 now, u32 peer)
{
	struct xfer_budget *b = &x->budget[peer];
	u64 earned = (now - b->at) / NSEC_PER_TOKEN;

	if (!b->at || earned >= BUDGET_BURST) {
		b->tokens = BUDGET_BURST;
		b->at = now;
	} else if (earned) {
		b->tokens = min(b->tokens + (u32)earned, BUDGET_BURST);
		b->at += earned * NSEC_PER_TOKEN;
	}
	if (!b->tokens)
		return false;
	b->tokens--;
	return true;
}

static void cached_free(struct pbft_xfer *x, struct xfer_cached *c)
{
	x->cache_bytes -= c->len;
	free(c->buf);
	memset(c, 0, sizeof(*c));
}

void pbft_xfer_cache_free(struct pbft_xfer *x)
{
	u32 i;

	for (i = 0; i < XFER_CACHE; i++)
		cached_free(x, &x->cache[i]);
}

/* The place of what was used longest ago; more of that if it is too much. */
static struct xfer_cached *make_room(struct pbft_xfer *x)
{
	struct xfer_cached *oldest;
	u32 i;

	do {
		oldest = NULL;
		for (i = 0; i < XFER_CACHE; i++) {
			struct xfer_cached *c = &x->cache[i];

			if (x->cache_bytes > XFER_CACHE_BYTES && !c->used)
				continue;
			if (!oldest || c->used < oldest->used)
				oldest = c;
		}
		cached_free(x, oldest);
	} while (x->cache_bytes > XFER_CACHE_BYTES);
	return oldest;
}

static int encode(struct pbft_xfer *x, const struct pbft_snapshot *s,
		  struct xfer_cached *c)
{
	if (c->level == PBFT_TREE_INDEX_LEVEL)
		return pbft_page_index(x->st, &s->view, c->page, &c->buf, &c->len);
	return pbft_page_encode(x->st, &s->view, c->page, &c->buf, &c->len);
}

/*
 * A page of a snapshot, encoded, or its index: a large one is asked for in many
 * chunks.
 */
static struct xfer_cached *cached_page(struct pbft_xfer *x,
				       const struct pbft_snapshot *s, u8 level,
				       u32 page)
{
	struct xfer_cached *c;
	u32 i;

	for (i = 0; i < XFER_CACHE; i++) {
		c = &x->cache[i];
		if (c->used && c->seq == s->seq && c->page == page &&
		    c->level == level) {
			c->used = ++x->cache_clock;
			return c;
		}
	}
	c = make_room(x);
	c->page = page;
	c->level = level;
	if (encode(x, s, c))
		return NULL;
	x->cache_bytes += c->len;
	c->seq = s->seq;
	c->used = ++x->cache_clock;
	return c;
}

static void answer(struct pbft_xfer *x, u32 peer, const struct pbft_xfer_hdr *req,
		   enum pbft_xfer_type type, const void *data, u32 len)
{
	struct pbft_xfer_hdr *h = (void *)x->packet;

	*h = *req;
	h->type = type;
	h->len = cpu_to_le32(len);
	if (len)
		memcpy(h->data, data, len);
	x->ops->send(x->arg, peer, h, sizeof(*h) + len);
}

void pbft_xfer_serve(struct pbft_xfer *x, u64 now, u32 peer,
		     const struct pbft_xfer_hdr *req, u32 len)
{
	u8 node[PBFT_TREE_NODE_MAX] __aligned(8);
	u64 total, off = le64_to_cpu(req->offset);
	u32 index = le32_to_cpu(req->index), want = le32_to_cpu(req->len);
	struct pbft_snapshot *s;
	struct pbft_digest root;
	const u8 *bytes = node;

	if (len != sizeof(*req) + PBFT_DIGEST_LEN ||
	    index >= pbft_tree_count(req->level == PBFT_TREE_INDEX_LEVEL ?
				     PBFT_TREE_PAGE_LEVEL : req->level)) {
		x->stats.unexpected++;
		return;
	}
	if (!within_budget(x, now, peer)) {
		x->stats.throttled++;
		return;
	}
	memcpy(root.b, req->data, sizeof(root.b));
	s = pbft_store_snapshot(x->st, le64_to_cpu(req->seq), &root);
	if (!s) {
		x->stats.served_none++;
		answer(x, peer, req, PBFT_XFER_NONE, NULL, 0);
		return;
	}
	if (req->level < PBFT_TREE_PAGE_LEVEL) {
		total = pbft_tree_encode(&s->tree, req->level, index, node);
	} else {
		struct xfer_cached *c = cached_page(x, s, req->level, index);

		if (!c)
			return;
		bytes = c->buf;
		total = c->len;
	}
	if (off >= total) {
		x->stats.unexpected++;
		return;
	}
	want = min(want, xfer_chunk_max(x));
	x->stats.served++;
	answer(x, peer, req, PBFT_XFER_DATA, bytes + off,
	       (u32)min((u64)want, total - off));
}
