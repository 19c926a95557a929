// SPDX-License-Identifier: GPL-2.0
/*
 * What prove.sh proves of pbft_wire_check(), by bounded model checking: for any
 * bytes in a buffer of any length up to LEN_MAX, in a cluster of any size up to
 * N_MAX, it reads nothing outside the buffer, overflows nothing and ends; and
 * for what it accepts the same holds of the walk over inner messages and of the
 * first and last byte that each count and length leads to.
 *
 * TYPE is the message's type, 0 for all that none has. One run a type keeps the
 * formulas small.
 */
#include "wire.h"
#include "decide.h"

#ifndef TYPE
#define TYPE 0
#endif
#ifndef LEN_MAX
#define LEN_MAX 512
#endif
#ifndef N_MAX
#define N_MAX 5
#endif
/* Of a PRE-PREPARE or BATCH: more entries than it may have, or up to this many. */
#ifndef COUNT_MAX
#define COUNT_MAX 2
#endif

u32 nondet_u32(void);
u64 nondet_u64(void);

/* Reading is enough: the checker proves that each byte is inside. */
static void touch(const void *data, u32 off, u32 len)
{
	const u8 *p = (const u8 *)data + off;

	if (len) {
		u8 first = p[0], last = p[len - 1];

		(void)first;
		(void)last;
	}
}

static void touch_vc(const void *data, u32 len)
{
	const struct pbft_view_change *vc = data;
	u32 nc = le32_to_cpu(vc->c_count), np = le32_to_cpu(vc->p_count);
	u32 nq = le32_to_cpu(vc->q_count);

	touch(pbft_vc_cs(vc), 0, nc * sizeof(struct pbft_vc_c));
	touch(pbft_vc_ps(vc), 0, np * sizeof(struct pbft_vc_pq));
	touch(pbft_vc_qs(vc), 0, nq * sizeof(struct pbft_vc_pq));
	__CPROVER_assert((const u8 *)(pbft_vc_qs(vc) + nq) == (const u8 *)vc + len,
			 "C, P and Q fill the VIEW-CHANGE");
}

static void touch_nv(const void *data, u32 n)
{
	const struct pbft_new_view *m = data;
	const struct pbft_nv_v *v = (const void *)m->body;
	u32 nv = le32_to_cpu(m->v_count), nx = le32_to_cpu(m->x_count);

	__CPROVER_assert(nv <= n, "V has an entry for each replica at most");
	touch(v, 0, nv * sizeof(*v));
	touch(v + nv, 0, nx * sizeof(struct pbft_digest));
}

static void touch_request(const void *data, u32 len)
{
	const struct pbft_request *m = data;
	u32 op_len = le32_to_cpu(m->op_len);

	__CPROVER_assert(op_len <= PBFT_OP_MAX, "the operation is not too long");
	__CPROVER_assert(sizeof(*m) + op_len == len, "the operation fills the REQUEST");
	touch(m->op, 0, op_len);
}

static void touch_inner(const struct pbft_wire_id *id, const void *data, u32 len)
{
	struct pbft_inner in;
	u32 count = 0;
	bool more;

	for (more = pbft_inner_first(data, len, id->n, &in); more;
	     more = pbft_inner_next(data, len, id->n, &in)) {
		__CPROVER_assert(in.index == count++, "indexes are consecutive");
		__CPROVER_assert(in.index < PBFT_BATCH_MAX, "an index fits the verdict");
		if (!in.data)
			continue;
		touch(in.data, 0, in.len);
		__CPROVER_assert(in.head.len + pbft_wire_auth_len(in.head.type, id->n) == in.len,
				 "an inner message has its authenticator");
		if (in.head.type == PBFT_REQUEST)
			touch_request(in.data, in.head.len);
		else if (in.head.type == PBFT_VIEW_CHANGE)
			touch_vc(in.data, in.head.len);
		else if (in.head.type == PBFT_NEW_VIEW)
			touch_nv(in.data, id->n);
		else
			__CPROVER_assert(0, "only these are carried inside");
	}
	if (TYPE == PBFT_PRE_PREPARE || TYPE == PBFT_BATCH)
		__CPROVER_assert(count == le32_to_cpu(((const struct pbft_pre_prepare *)data)->count),
				 "a batch has as many entries as it says");
}

static void touch_accepted(const struct pbft_wire_id *id, const void *data, u32 len,
			   const struct pbft_head *head)
{
	touch(data, 0, len);
	touch_inner(id, data, len);
	switch (TYPE) {
	case PBFT_REQUEST:
		touch_request(data, head->len);
		break;
	case PBFT_REPLY:
		touch(((const struct pbft_reply *)data)->result, 0,
		      le32_to_cpu(((const struct pbft_reply *)data)->result_len));
		break;
	case PBFT_VIEW_CHANGE:
		touch_vc(data, head->len);
		break;
	case PBFT_NEW_VIEW:
		touch_nv(data, id->n);
		break;
	case PBFT_STATUS:
		touch(((const struct pbft_status_msg *)data)->map, 0,
		      (le32_to_cpu(((const struct pbft_status_msg *)data)->bits) + 3) / 4);
		break;
	case PBFT_COMMITTED:
		touch(((const struct pbft_committed *)data)->digests, 0,
		      le32_to_cpu(((const struct pbft_committed *)data)->count) *
		      sizeof(struct pbft_digest));
		break;
	case PBFT_NACK:
		touch(((const struct pbft_nack *)data)->clients, 0,
		      le32_to_cpu(((const struct pbft_nack *)data)->count) * sizeof(__le32));
		break;
	case PBFT_VIEW_CHANGE_ACK:
		__CPROVER_assert(le32_to_cpu(((const struct pbft_vc_ack *)data)->origin) < id->n,
				 "an ack names a replica");
		break;
	case PBFT_FRAGMENT: {
		const struct pbft_fragment *m = data;
		u32 total = le32_to_cpu(m->total), off = le32_to_cpu(m->offset);
		u32 size = le32_to_cpu(m->size);

		__CPROVER_assert(size >= 512 && off < total && off % size == 0,
				 "a fragment has its place in the whole");
		touch(m->data, 0, min(size, total - off));
		break;
	}
	}
}

int main(void)
{
	struct pbft_wire_id id = {
		.cluster = nondet_u64(), .epoch = nondet_u32(), .n = nondet_u32(),
	};
	u32 len = nondet_u32();
	struct pbft_head head;
	u8 *data;

	__CPROVER_assume(id.n >= PBFT_N_MIN && id.n <= N_MAX);
	__CPROVER_assume(len <= LEN_MAX);
	data = __CPROVER_allocate(len, 0);
	if (len >= sizeof(struct pbft_hdr)) {
		u8 type = ((const struct pbft_hdr *)data)->type;

		if (TYPE)
			__CPROVER_assume(type == TYPE);
		else
			__CPROVER_assume(!type || type > PBFT_TYPE_MAX);
	}
	if ((TYPE == PBFT_PRE_PREPARE || TYPE == PBFT_BATCH) &&
	    len >= sizeof(struct pbft_pre_prepare)) {
		u32 count = le32_to_cpu(((const struct pbft_pre_prepare *)data)->count);

		__CPROVER_assume(count <= COUNT_MAX || count > PBFT_BATCH_MAX);
	}
	if (pbft_wire_check(&id, data, len, &head) == PBFT_OK) {
		__CPROVER_assert(TYPE, "an unknown type is refused");
		__CPROVER_assert(head.len + pbft_wire_auth_len(head.type, id.n) == len,
				 "the length is the datagram's");
		__CPROVER_assert(head.sender < id.n ||
				 (head.sender >= PBFT_CLIENT_ID_MIN &&
				  head.sender <= PBFT_CLIENT_ID_MAX), "the sender is a node");
		touch_accepted(&id, data, len, &head);
		/* must fail, or what is said above of what is accepted is said of nothing */
		__CPROVER_assert(0, "witness: none is accepted");
	}
	return 0;
}
