// SPDX-License-Identifier: GPL-2.0
/*
 * Reading all of a checked message, field by field and count by count, the way
 * the core, the shells and the client library read it. What pbft_wire_check()
 * lets through and this cannot read without leaving the buffer is a bug of the
 * former.
 */
#include "fuzz.h"
#include "core/decide.h"

static u64 sum_bytes(const void *data, size_t len)
{
	const u8 *p = data;
	u64 sum = 0;

	while (len--)
		sum = sum * 31 + *p++;
	return sum;
}

static u64 touch_request(const struct pbft_request *m, u32 len)
{
	u32 op_len = le32_to_cpu(m->op_len);
	struct pbft_digest d;

	fuzz_check(op_len <= PBFT_OP_MAX, "an operation of %u bytes", op_len);
	fuzz_check(sizeof(*m) + op_len <= len, "an operation beyond its message");
	fuzz_check(m->session && m->hdr.seq, "a request without session or number");
	pbft_request_digest(&d, le32_to_cpu(m->hdr.sender),
			    le64_to_cpu(m->session), le64_to_cpu(m->hdr.seq),
			    m->op, op_len);
	return sum_bytes(m->op, op_len) + m->flags + m->replier + d.b[0];
}

u64 fuzz_touch_vc(const struct pbft_view_change *vc, u32 len)
{
	u32 nc = le32_to_cpu(vc->c_count), np = le32_to_cpu(vc->p_count);
	u32 nq = le32_to_cpu(vc->q_count), i;
	const struct pbft_vc_c *cs = pbft_vc_cs(vc);
	const struct pbft_vc_pq *p = pbft_vc_ps(vc), *q = pbft_vc_qs(vc);
	const u8 *end = (const u8 *)vc + len;
	struct pbft_digest d;
	u64 sum = 0;

	for (i = 0; i < nc; i++)
		sum += le64_to_cpu(cs[i].seq) + cs[i].digest.b[31];
	for (i = 0; i < np; i++)
		sum += le64_to_cpu(p[i].seq) ^ le64_to_cpu(p[i].view) ^ p[i].digest.b[31];
	for (i = 0; i < nq; i++)
		sum += le64_to_cpu(q[i].seq) ^ le64_to_cpu(q[i].view) ^ q[i].digest.b[31];
	fuzz_check((const u8 *)&q[nq] <= end, "Q ends beyond the VIEW-CHANGE");
	pbft_vc_digest(&d, vc);
	return sum + le64_to_cpu(vc->h) + d.b[0];
}

static u64 touch_new_view(const struct pbft_new_view *m, u32 n)
{
	const struct pbft_nv_v *v = (const void *)m->body;
	u32 nv = le32_to_cpu(m->v_count), nx = le32_to_cpu(m->x_count), i;
	const struct pbft_digest *x = (const void *)(v + nv);
	u64 sum = le64_to_cpu(m->base) + m->base_digest.b[31];

	fuzz_check(nv <= n, "a NEW-VIEW with %u VIEW-CHANGEs of %u replicas", nv, n);
	for (i = 0; i < nv; i++) {
		fuzz_check(le32_to_cpu(v[i].origin) < n, "a VIEW-CHANGE of replica %u of %u",
			   le32_to_cpu(v[i].origin), n);
		sum += v[i].digest.b[31];
	}
	for (i = 0; i < nx; i++)
		sum += x[i].b[0] ^ x[i].b[31];
	return sum;
}

/* What is inside: the header again, the request or whole message, its MACs. */
static u64 touch_inner(const struct pbft_wire_id *id, const void *data, u32 len)
{
	u64 sum = 0;
	struct pbft_inner in;
	bool more;
	u32 count = 0;

	for (more = pbft_inner_first(data, len, id->n, &in); more;
	     more = pbft_inner_next(data, len, id->n, &in)) {
		fuzz_check(in.index == count++, "inner message %u after %u", in.index, count);
		fuzz_check(count <= PBFT_BATCH_MAX, "more inner messages than a batch holds");
		if (!in.data)
			continue;
		fuzz_check(in.head.len + pbft_wire_auth_len(in.head.type, id->n) == in.len,
			   "an inner message whose length is wrong");
		sum += sum_bytes(in.data, in.len);
		switch (in.head.type) {
		case PBFT_REQUEST:
			sum += touch_request((const void *)in.data, in.head.len);
			break;
		case PBFT_VIEW_CHANGE:
			sum += fuzz_touch_vc((const void *)in.data, in.head.len);
			break;
		case PBFT_NEW_VIEW:
			sum += touch_new_view((const void *)in.data, id->n);
			break;
		default:
			fuzz_check(false, "type %u inside a message", in.head.type);
		}
	}
	return sum;
}

static u64 touch_batch(const struct pbft_wire_id *id,
		       const struct pbft_pre_prepare *m, u32 len, u8 type)
{
	u32 count = le32_to_cpu(m->count), i = 0;
	struct pbft_inner in;
	bool more;
	u64 sum = 0;

	for (more = pbft_inner_first(m, len, id->n, &in); more;
	     more = pbft_inner_next(m, len, id->n, &in), i++) {
		const struct pbft_entry *e = (const void *)((const u8 *)m + in.off);

		fuzz_check(in.data || type == PBFT_PRE_PREPARE, "a BATCH by reference");
		sum += le32_to_cpu(e->client) + le64_to_cpu(e->session) +
		       le64_to_cpu(e->t) + e->digest.b[31];
	}
	fuzz_check(i == count, "a batch of %u has %u entries", count, i);
	return sum + m->digest.b[31] + le64_to_cpu(m->time);
}

static u64 touch_status(const struct pbft_status_msg *m)
{
	u32 bits = le32_to_cpu(m->bits), i;
	u64 sum = 0;

	for (i = 0; i < bits; i++)
		sum += m->map[i / 4] >> (i % 4 * 2) & 3;
	return sum + le64_to_cpu(m->h) + le64_to_cpu(m->nonce) + le32_to_cpu(m->flags);
}

static u64 touch_committed(const struct pbft_committed *m)
{
	u32 count = le32_to_cpu(m->count), i;
	u64 sum = 0;

	fuzz_check(le64_to_cpu(m->hdr.seq) + count - 1 >= le64_to_cpu(m->hdr.seq),
		   "COMMITTED beyond the last sequence number");
	for (i = 0; i < count; i++)
		sum += m->digests[i].b[0] ^ m->digests[i].b[31];
	return sum;
}

static u64 touch_nack(const struct pbft_nack *m)
{
	u32 count = le32_to_cpu(m->count), i;
	u64 sum = m->digest.b[31];

	for (i = 0; i < count; i++)
		sum += le32_to_cpu(m->clients[i]);
	return sum;
}

static u64 touch_fragment(const struct pbft_fragment *m, u32 len)
{
	u32 total = le32_to_cpu(m->total), off = le32_to_cpu(m->offset);
	u32 size = le32_to_cpu(m->size), part = min(size, total - off);

	fuzz_check(sizeof(*m) + part == len, "a fragment of the wrong length");
	fuzz_check(off < total && off % size == 0, "a fragment at the wrong place");
	return sum_bytes(m->data, part);
}

static u64 touch_reply(const struct pbft_reply *m)
{
	return sum_bytes(m->result, le32_to_cpu(m->result_len)) + m->status +
	       m->flags + le64_to_cpu(m->session) + le64_to_cpu(m->t) +
	       m->result_digest.b[31] + le32_to_cpu(m->full_len);
}

u64 fuzz_touch(const struct pbft_wire_id *id, const void *data, u32 len,
	       const struct pbft_head *head)
{
	u64 sum = sum_bytes((const u8 *)data + head->len,
			    pbft_wire_auth_len(head->type, id->n));

	fuzz_check(head->len + pbft_wire_auth_len(head->type, id->n) == len,
		   "a message whose length is wrong");
	sum += touch_inner(id, data, len);
	switch (head->type) {
	case PBFT_REQUEST:
		return sum + touch_request(data, head->len);
	case PBFT_REPLY:
		return sum + touch_reply(data);
	case PBFT_PRE_PREPARE:
	case PBFT_BATCH:
		return sum + touch_batch(id, data, len, head->type);
	case PBFT_VIEW_CHANGE:
		return sum + fuzz_touch_vc(data, head->len);
	case PBFT_NEW_VIEW:
		return sum + touch_new_view(data, id->n);
	case PBFT_STATUS:
		return sum + touch_status(data);
	case PBFT_COMMITTED:
		return sum + touch_committed(data);
	case PBFT_NACK:
		return sum + touch_nack(data);
	case PBFT_FRAGMENT:
		return sum + touch_fragment(data, head->len);
	case PBFT_VIEW_CHANGE_ACK:
		fuzz_check(le32_to_cpu(((const struct pbft_vc_ack *)data)->origin) < id->n,
			   "an ack for nobody's VIEW-CHANGE");
	}
	/* the others are their struct, no more */
	return sum + sum_bytes(data, head->len);
}
