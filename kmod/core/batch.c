// SPDX-License-Identifier: GPL-2.0
/*
 * Batches: what a PRE-PREPARE or BATCH message carries, taken apart once. Its
 * requests stay where they are, in the message; those that travelled apart are
 * taken from the queues of clients' requests.
 */
#include "internal.h"

struct pbft_batch *pbft_batch_get(struct pbft_batch *batch)
{
	refcount_inc(&batch->refs);
	return batch;
}

void pbft_batch_put(struct pbft_batch *batch)
{
	u32 i;

	if (!batch || !refcount_dec_and_test(&batch->refs))
		return;
	for (i = 0; i < batch->count; i++)
		pbft_buf_put(batch->items[i].buf);
	pbft_buf_put(batch->buf);
	kfree(batch);
}

u32 pbft_batch_count(const struct pbft_batch *batch)
{
	return batch ? batch->count : 0;
}

void pbft_batch_req(const struct pbft_batch *batch, u32 i,
		    struct pbft_batch_req *out)
{
	const struct pbft_batch_item *it = &batch->items[i];

	out->client = it->client;
	out->session = it->session;
	out->t = it->t;
	out->flags = it->msg->flags;
	out->op = it->msg->op;
	out->op_len = le32_to_cpu(it->msg->op_len);
	out->digest = batch->digests[i];
}

static struct pbft_batch *batch_alloc(u32 count)
{
	struct pbft_batch *b;
	size_t size = struct_size(b, items, count) +
		      count * sizeof(struct pbft_digest);

	b = kzalloc(size, GFP_ATOMIC);
	if (!b)
		return NULL;
	refcount_set(&b->refs, 1);
	b->count = count;
	b->digests = (struct pbft_digest *)&b->items[count];
	return b;
}

/*
 * Requests that are missing, or could not be authenticated, may have come from
 * their clients directly. Return: true if something changed.
 */
bool pbft_batch_fill(struct pbft_core *c, struct pbft_batch *b)
{
	bool changed = false;
	u32 i;

	for (i = 0; i < b->count; i++) {
		struct pbft_batch_item *it = &b->items[i];
		struct pbft_client *cl;
		struct pbft_pending *p;

		if (it->msg && it->authentic)
			continue;
		cl = pbft_client_find(c, it->client);
		p = cl ? pbft_pending_find(cl, it->session, it->t) : NULL;
		if (!p || !pbft_digest_eq(&p->digest, &b->digests[i]))
			continue;
		if (!it->msg) {
			it->msg = p->msg;
			it->msg_len = p->msg_len;
			it->buf = pbft_buf_get(p->buf);
			b->missing--;
		}
		it->authentic = true;
		changed = true;
	}
	return changed;
}

/* @b is @from once more: what was known of its requests stays so. */
void pbft_batch_inherit(struct pbft_batch *b, const struct pbft_batch *from)
{
	u32 i;

	for (i = 0; i < b->count; i++) {
		b->items[i].authentic |= from->items[i].authentic;
		b->items[i].vouched |= from->items[i].vouched;
	}
}

/* The parts of a message, with the digests that it states. NULL: memory is short. */
static struct pbft_batch *take_apart(struct pbft_core *c, const struct pbft_packet *pkt,
				     const struct pbft_verdict *verdict)
{
	const struct pbft_pre_prepare *m = pkt->data;
	struct pbft_batch *b = batch_alloc(le32_to_cpu(m->count));
	struct pbft_inner in;
	bool more;

	if (!b)
		return NULL;
	b->seq = pkt->head.seq;
	b->time = le64_to_cpu(m->time);
	b->digest = m->digest;
	b->buf = pbft_buf_get(pkt->buf);
	for (more = pbft_inner_first(pkt->data, pkt->len, c->n, &in); more;
	     more = pbft_inner_next(pkt->data, pkt->len, c->n, &in)) {
		struct pbft_batch_item *it = &b->items[in.index];
		const struct pbft_entry *e = (const void *)((const u8 *)pkt->data + in.off);

		it->client = le32_to_cpu(e->client);
		it->session = le64_to_cpu(e->session);
		it->t = le64_to_cpu(e->t);
		b->digests[in.index] = e->digest;
		if (!in.data) {
			b->missing++;
			continue;
		}
		it->msg = (const void *)in.data;
		it->msg_len = in.len;
		it->authentic = verdict && test_bit(in.index, verdict->inner_ok);
	}
	return b;
}

/*
 * The message's digest is computed from what it carries: the one it states must
 * agree, or the message is nobody's batch. NULL then, or when memory is short.
 */
struct pbft_batch *pbft_batch_parse(struct pbft_core *c,
				    const struct pbft_packet *pkt,
				    const struct pbft_verdict *verdict)
{
	const struct pbft_pre_prepare *m = pkt->data;
	struct pbft_batch *b = take_apart(c, pkt, verdict);
	u32 i;

	if (!b)
		return NULL;
	for (i = 0; i < b->count; i++) {
		const struct pbft_batch_item *it = &b->items[i];

		if (it->msg)
			pbft_request_digest(&b->digests[i], it->client, it->session,
					    it->t, it->msg->op,
					    le32_to_cpu(it->msg->op_len));
	}
	pbft_batch_digest(&b->digest, b->seq, b->time, b->digests, b->count);
	if (!pbft_digest_eq(&b->digest, &m->digest)) {
		pbft_batch_put(b);
		return NULL;
	}
	pbft_batch_fill(c, b);
	return b;
}

/* The same for a PRE-PREPARE that we have just made: what it states is so. */
struct pbft_batch *pbft_batch_own(struct pbft_core *c, const struct pbft_packet *pkt)
{
	struct pbft_batch *b = take_apart(c, pkt, NULL);

	if (b)
		pbft_batch_fill(c, b);
	return b;
}

/* Is item @i one of those before it? */
static bool repeats(const struct pbft_batch *b, u32 i)
{
	const struct pbft_batch_item *it = &b->items[i], *o;

	for (o = b->items; o < it; o++)
		if (o->t == it->t && o->client == it->client &&
		    o->session == it->session)
			return true;
	return false;
}

#define MARKS	(4 * PBFT_BATCH_MAX)

/*
 * A time that can be; no request twice; every client a number it may use. Equal
 * requests have equal marks, so one whose mark is new need not be compared.
 */
bool pbft_batch_sane(const struct pbft_batch *b)
{
	DECLARE_BITMAP(marks, MARKS) = {};
	u32 i;

	/* agreed time goes on from here: leave it room */
	if (b->time > S64_MAX)
		return false;
	for (i = 0; i < b->count; i++) {
		const struct pbft_batch_item *it = &b->items[i];

		if (!it->session || !it->t)
			return false;
		/* neighbours in number or in t, as clients are, get different marks */
		if (__test_and_set_bit((it->client + 97 * it->t) % MARKS, marks) &&
		    repeats(b, i))
			return false;
	}
	return true;
}

u32 pbft_batch_wire_size(const struct pbft_batch *b)
{
	u32 size = sizeof(struct pbft_pre_prepare), i;

	for (i = 0; i < b->count; i++)
		size += sizeof(struct pbft_entry) + ALIGN(b->items[i].msg_len, 8);
	return size;
}

/*
 * A PRE-PREPARE or BATCH with every request inline: pbft_batch_wire_size() bytes.
 * @b has no request missing.
 */
void pbft_batch_write(void *dst, const struct pbft_wire_id *id, u8 type, u32 sender,
		      u64 view, const struct pbft_batch *b)
{
	struct pbft_pre_prepare *m = dst;
	u8 *p = m->entries;
	u32 i;

	pbft_wire_header(&m->hdr, id, type, pbft_batch_wire_size(b), sender, view, b->seq);
	m->digest = b->digest;
	m->time = cpu_to_le64(b->time);
	m->count = cpu_to_le32(b->count);
	m->reserved = 0;
	for (i = 0; i < b->count; i++) {
		const struct pbft_batch_item *it = &b->items[i];
		struct pbft_entry *e = (void *)p;
		u32 padded = ALIGN(it->msg_len, 8);

		e->len = cpu_to_le32(it->msg_len);
		e->client = cpu_to_le32(it->client);
		e->session = cpu_to_le64(it->session);
		e->t = cpu_to_le64(it->t);
		e->digest = b->digests[i];
		memcpy(e->request, it->msg, it->msg_len);
		memset(e->request + it->msg_len, 0, padded - it->msg_len);
		p += sizeof(*e) + padded;
	}
}

/* NULL if a request is missing, or memory is short. */
struct pbft_buf *pbft_batch_message(struct pbft_core *c, u8 type, u64 view,
				    const struct pbft_batch *b)
{
	u32 size = pbft_batch_wire_size(b);
	struct pbft_buf *buf;

	if (b->missing)
		return NULL;
	buf = pbft_buf_alloc(size);
	if (!buf)
		return NULL;
	buf->len = size;
	pbft_batch_write(buf->data, &c->wire, type, c->self, view, b);
	return buf;
}

u64 pbft_batch_memory(const struct pbft_batch *b)
{
	u64 size = sizeof(*b) + (b->buf ? b->buf->cap : 0);
	u32 i;

	for (i = 0; i < b->count; i++)
		size += sizeof(b->items[i]) + sizeof(struct pbft_digest) +
			(b->items[i].buf ? b->items[i].buf->cap : 0);
	return size;
}
