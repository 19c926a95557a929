// SPDX-License-Identifier: GPL-2.0
/* Made-up requests, and the PRE-PREPAREs and BATCHes that carry them. */
#include "world.h"

#define OP_BIG	2000	/* above batch_bytes of the cores that are fuzzed */

static u64 near_t(struct fuzz_world *w, u32 client)
{
	u8 b = fuzz_u8(&w->in);

	if (b < 0xf0)
		return 1 + b % 24;
	if (b < 0xf8)
		return PBFT_CLIENT_WINDOW + b % 8;
	return b < 0xfc ? U64_MAX - b % 4 : fuzz_u64(&w->in);
}

static void pick_req(struct fuzz_world *w, struct world_req *r)
{
	u8 b = fuzz_u8(&w->in);

	r->client = PBFT_CLIENT_ID_MIN + b % WORLD_CLIENTS;
	r->session = 1 + (b >> 2) % 3;
	r->t = near_t(w, r->client);
	r->fill = fuzz_u8(&w->in);
	r->flags = r->fill & PBFT_REQ_READ_ONLY;
	r->replier = b & 0x40 ? PBFT_REPLIER_ALL : b >> 7;
	switch (r->fill >> 4) {
	case 0 ... 11:
		r->op_len = r->fill & 15;
		break;
	case 12 ... 14:
		r->op_len = 64 + r->fill;
		break;
	default:
		r->op_len = OP_BIG * (r->fill & 1 ? 1 : 28);
	}
}

static u32 req_len(const struct fuzz_world *w, const struct world_req *r)
{
	return sizeof(struct pbft_request) + r->op_len + w->id.n * PBFT_MAC_LEN;
}

/* Header, body and authenticator to @out, which is req_len() bytes of zeros. */
static void put_request(struct fuzz_world *w, const struct world_req *r, void *out)
{
	struct pbft_request *m = out;

	pbft_wire_header(&m->hdr, &w->id, PBFT_REQUEST, sizeof(*m) + r->op_len,
			 r->client, 0, r->t);
	m->session = cpu_to_le64(r->session);
	m->flags = r->flags;
	m->replier = r->replier;
	m->op_len = cpu_to_le32(r->op_len);
	memset(m->op, r->fill, r->op_len);
}

struct pbft_buf *world_request(struct fuzz_world *w)
{
	struct pbft_buf *buf;
	struct world_req r;

	/* half of them are requests that some batch has */
	if (fuzz_u8(&w->in) & 1) {
		struct world_recipe *rec = &w->recipe[fuzz_below(&w->in, WORLD_RECIPES)];

		r = rec->req[fuzz_below(&w->in, WORLD_REQS)];
		if (!r.client)
			pick_req(w, &r);
	} else {
		pick_req(w, &r);
	}
	buf = pbft_buf_alloc(req_len(w, &r));
	if (!buf)
		return NULL;
	buf->len = buf->cap;
	memset(buf->data, 0, buf->len);
	put_request(w, &r, buf->data);
	return buf;
}

static u64 near_time(struct fuzz_world *w)
{
	u8 b = fuzz_u8(&w->in);

	return b < 0xf0 ? w->wall + b : fuzz_u64(&w->in);
}

static struct world_recipe *new_recipe(struct fuzz_world *w)
{
	struct world_recipe *r = &w->recipe[w->next_recipe++ % WORLD_RECIPES];
	u32 i;

	memset(r, 0, sizeof(*r));
	r->seq = world_seq(w);
	r->time = near_time(w);
	r->count = fuzz_below(&w->in, WORLD_REQS + 1);
	for (i = 0; i < r->count; i++)
		pick_req(w, &r->req[i]);
	return r;
}

static struct world_recipe *old_recipe(struct fuzz_world *w)
{
	return &w->recipe[(w->next_recipe - 1 - fuzz_below(&w->in, WORLD_RECIPES)) %
			  WORLD_RECIPES];
}

static void req_digest(const struct world_req *r, struct pbft_digest *d)
{
	static u8 op[OP_BIG * 28];

	memset(op, r->fill, r->op_len);
	pbft_request_digest(d, r->client, r->session, r->t, op, r->op_len);
}

/* @refs: the requests that go by reference, by index. */
static struct pbft_buf *encode(struct fuzz_world *w, const struct world_recipe *r,
			       u8 type, u32 sender, u64 view, u8 refs, u8 lies)
{
	struct pbft_digest d[WORLD_REQS], whole;
	struct pbft_pre_prepare *m;
	u32 size = sizeof(*m), i;
	struct pbft_buf *buf;
	u8 *p;

	for (i = 0; i < r->count; i++)
		size += sizeof(struct pbft_entry) +
			(refs >> i & 1 ? 0 : ALIGN(req_len(w, &r->req[i]), 8));
	buf = world_buf(w, type, size, sender, view, r->seq);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	p = m->entries;
	for (i = 0; i < r->count; i++) {
		const struct world_req *q = &r->req[i];
		struct pbft_entry *e = (void *)p;
		u32 len = refs >> i & 1 ? 0 : req_len(w, q);

		req_digest(q, &d[i]);
		e->len = cpu_to_le32(len);
		e->client = cpu_to_le32(q->client);
		e->session = cpu_to_le64(q->session);
		e->t = cpu_to_le64(q->t);
		e->digest = d[i];
		if (len)
			put_request(w, q, e->request);
		p += sizeof(*e) + ALIGN(len, 8);
	}
	pbft_batch_digest(&whole, r->seq, r->time, d, r->count);
	m->digest = lies & 1 ? *world_digest(w) : whole;
	m->time = cpu_to_le64(r->time);
	m->count = cpu_to_le32(r->count);
	world_know(w, &whole);
	return buf;
}

struct pbft_buf *world_pre_prepare(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	struct world_recipe *r = b & 0x80 ? old_recipe(w) : new_recipe(w);
	u8 refs = b & 0x40 ? fuzz_u8(&w->in) : 0;
	u64 view = world_view(w);

	return encode(w, r, PBFT_PRE_PREPARE, b & 0x20 ? sender : view % w->id.n,
		      view, refs, (b & 0x1f) == 0x1f);
}

struct pbft_buf *world_batch(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	struct world_recipe *r = b & 0x80 ? new_recipe(w) : old_recipe(w);

	return encode(w, r, PBFT_BATCH, sender, 0, 0, (b & 0x1f) == 0x1f);
}
