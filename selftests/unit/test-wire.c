// SPDX-License-Identifier: GPL-2.0
/*
 * The ground floor of the core: arithmetic of quorums, decoders on bytes that
 * are wrong in every way there is, and what digests bind. Buffers are allocated
 * to the byte, so that a sanitizer sees any look beyond them.
 */
#include <stdlib.h>
#include "core/wire.h"
#include "tap.h"

#define N 4

static const struct pbft_wire_id id = { .cluster = 77, .epoch = 3, .n = N };

/* ---- quorums --------------------------------------------------------------- */

static void test_quorums(void)
{
	static const struct { u8 n, f, q; } known[] = {
		{ 4, 1, 3 }, { 5, 1, 4 }, { 6, 1, 4 }, { 7, 2, 5 }, { 8, 2, 6 },
		{ 9, 2, 6 }, { 10, 3, 7 }, { 13, 4, 9 }, { 31, 10, 21 }, { 64, 21, 43 },
	};
	bool share = true, live = true, least = true;
	u32 n, f, i;

	for (n = PBFT_N_MIN; n <= PBFT_N_MAX; n++) {
		for (f = 1; f <= pbft_max_faults(n); f++) {
			u32 q = pbft_quorum(n, f);

			share &= 2 * q >= n + f + 1;
			live &= q <= n - f;
			least &= 2 * (q - 1) < n + f + 1;
		}
	}
	ok(share, "two quorums share f + 1 replicas, n = 4..64");
	ok(live, "the correct replicas are a quorum");
	ok(least, "no smaller number would do");
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (pbft_quorum(known[i].n, known[i].f) != known[i].q)
			break;
	ok(i == ARRAY_SIZE(known), "known quorums");
	ok(pbft_max_faults(4) == 1 && pbft_max_faults(6) == 1 &&
	   pbft_max_faults(7) == 2 && pbft_max_faults(64) == 21, "faults by size");
	ok(pbft_ack_quorum(1) == 1 && pbft_ack_quorum(2) == 3 && !pbft_ack_quorum(0),
	   "acks that certify a VIEW-CHANGE");
}

/* ---- one valid message of each type ------------------------------------------ */

static u8 *grow(u8 *msg, u32 *len, u32 by)
{
	msg = realloc(msg, *len + by);
	memset(msg + *len, 0, by);
	*len += by;
	return msg;
}

static u8 *make_request(u32 client, u64 session, u64 t, u32 op_len, u32 *len)
{
	u32 body = sizeof(struct pbft_request) + op_len;
	struct pbft_request *m;

	*len = body + N * PBFT_MAC_LEN;
	m = calloc(1, *len);
	pbft_wire_header(&m->hdr, &id, PBFT_REQUEST, body, client, 0, t);
	m->session = cpu_to_le64(session);
	m->op_len = cpu_to_le32(op_len);
	return (u8 *)m;
}

/* A PRE-PREPARE or BATCH of two requests, the second by reference if @refs. */
static u8 *make_batch(u8 type, bool refs, u32 *len)
{
	struct pbft_pre_prepare *m;
	u32 i, used = sizeof(*m);
	u8 *msg = calloc(1, used);

	*len = used;
	for (i = 0; i < 2; i++) {
		u32 rlen, at = *len;
		u8 *req = make_request(PBFT_CLIENT_ID_MIN + i, 9, 5 + i, 3, &rlen);
		struct pbft_entry *e;

		if (refs && i)
			rlen = 0;
		msg = grow(msg, len, sizeof(*e) + ALIGN(rlen, 8));
		e = (void *)(msg + at);
		e->len = cpu_to_le32(rlen);
		e->client = cpu_to_le32(PBFT_CLIENT_ID_MIN + i);
		e->session = cpu_to_le64(9);
		e->t = cpu_to_le64(5 + i);
		memcpy(e->request, req, rlen);
		free(req);
	}
	m = (void *)msg;
	pbft_wire_header(&m->hdr, &id, type, *len, 1, 2, 8);
	m->count = cpu_to_le32(2);
	return grow(msg, len, PBFT_MAC_LEN);
}

static u8 *make_relay(u32 *len)
{
	u32 rlen;
	u8 *req = make_request(PBFT_CLIENT_ID_MIN, 1, 1, 20, &rlen), *msg;

	*len = sizeof(struct pbft_relay) + rlen;
	msg = calloc(1, *len + PBFT_MAC_LEN);
	pbft_wire_header((void *)msg, &id, PBFT_RELAY, *len, 2, 0, 0);
	memcpy(msg + sizeof(struct pbft_relay), req, rlen);
	*len += PBFT_MAC_LEN;
	free(req);
	return msg;
}

static u8 *make_plain(u8 type, u32 body, u32 sender, u64 seq, u32 *len)
{
	u8 *msg;

	*len = body + pbft_wire_auth_len(type, N);
	msg = calloc(1, *len);
	pbft_wire_header((void *)msg, &id, type, body, sender, 1, seq);
	return msg;
}

static u8 *make(u8 type, u32 *len)
{
	u8 *msg;

	switch (type) {
	case PBFT_REQUEST:
		return make_request(PBFT_CLIENT_ID_MIN, 1, 1, 11, len);
	case PBFT_REPLY:
		return make_plain(type, sizeof(struct pbft_reply), 0, 1, len);
	case PBFT_PRE_PREPARE:
		return make_batch(type, true, len);
	case PBFT_BATCH:
		return make_batch(type, false, len);
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		return make_plain(type, sizeof(struct pbft_vote), 0, 1, len);
	case PBFT_CHECKPOINT:
		return make_plain(type, sizeof(struct pbft_checkpoint), 0, 1, len);
	case PBFT_VIEW_CHANGE:
		msg = make_plain(type, sizeof(struct pbft_view_change) +
				 sizeof(struct pbft_vc_c) + 2 * sizeof(struct pbft_vc_pq),
				 0, 0, len);
		((struct pbft_view_change *)msg)->c_count = cpu_to_le32(1);
		((struct pbft_view_change *)msg)->p_count = cpu_to_le32(1);
		((struct pbft_view_change *)msg)->q_count = cpu_to_le32(1);
		return msg;
	case PBFT_NEW_VIEW:
		msg = make_plain(type, sizeof(struct pbft_new_view) +
				 3 * sizeof(struct pbft_nv_v) + sizeof(struct pbft_digest),
				 0, 0, len);
		((struct pbft_new_view *)msg)->v_count = cpu_to_le32(3);
		((struct pbft_new_view *)msg)->x_count = cpu_to_le32(1);
		return msg;
	case PBFT_VIEW_CHANGE_ACK:
		return make_plain(type, sizeof(struct pbft_vc_ack), 0, 0, len);
	case PBFT_STATUS:
		msg = make_plain(type, sizeof(struct pbft_status_msg) + 8, 0, 0, len);
		((struct pbft_status_msg *)msg)->bits = cpu_to_le32(30);
		return msg;
	case PBFT_COMMITTED:
		msg = make_plain(type, sizeof(struct pbft_committed) +
				 2 * sizeof(struct pbft_digest), 0, 4, len);
		((struct pbft_committed *)msg)->count = cpu_to_le32(2);
		return msg;
	case PBFT_FETCH:
		return make_plain(type, sizeof(struct pbft_fetch), 0, 4, len);
	case PBFT_RELAY:
		return make_relay(len);
	case PBFT_QUERY_STABLE:
		return make_plain(type, sizeof(struct pbft_query_stable), 0, 0, len);
	case PBFT_REPLY_STABLE:
		return make_plain(type, sizeof(struct pbft_reply_stable), 0, 4, len);
	case PBFT_REJOIN:
		return make_plain(type, sizeof(struct pbft_rejoin), 0, 4, len);
	case PBFT_NACK:
		msg = make_plain(type, sizeof(struct pbft_nack) + 8, 0, 4, len);
		((struct pbft_nack *)msg)->count = cpu_to_le32(1);
		return msg;
	case PBFT_ENDORSE:
		return make_plain(type, sizeof(struct pbft_endorse), 0, 0, len);
	case PBFT_FRAGMENT:
		msg = make_plain(type, sizeof(struct pbft_fragment) + 100, 0, 0, len);
		((struct pbft_fragment *)msg)->size = cpu_to_le32(512);
		((struct pbft_fragment *)msg)->total = cpu_to_le32(612);
		((struct pbft_fragment *)msg)->offset = cpu_to_le32(512);
		return msg;
	case PBFT_PEER_DATA:
		return make_plain(type, sizeof(struct pbft_peer_data) + 5, 0, 0, len);
	case PBFT_HELLO:
		msg = make_plain(type, sizeof(struct pbft_hello), PBFT_CLIENT_ID_MIN, 1, len);
		((struct pbft_hello *)msg)->session = cpu_to_le64(1);
		return msg;
	default:
		return make_plain(type, sizeof(struct pbft_hello_ack), 0, 1, len);
	}
}

/* Check a copy of exactly @len bytes, and walk what is inside if it passes. */
static enum pbft_drop check_walk(const u8 *msg, u32 len, bool *inside)
{
	u8 *copy = malloc(len ? len : 1);
	struct pbft_head head;
	struct pbft_inner it;
	enum pbft_drop drop;
	bool more;

	memcpy(copy, msg, len);
	drop = pbft_wire_check(&id, copy, len, &head);
	if (drop == PBFT_OK) {
		for (more = pbft_inner_first(copy, len, N, &it); more;
		     more = pbft_inner_next(copy, len, N, &it))
			if (it.data && (it.data < copy || it.data + it.len > copy + len ||
					it.index >= PBFT_BATCH_MAX))
				*inside = false;
	}
	free(copy);
	return drop;
}

static void test_type(u8 type)
{
	bool inside = true, cut = true, longer;
	u32 len, i, bit;
	u8 *msg = make(type, &len), *more;

	ok(check_walk(msg, len, &inside) == PBFT_OK, "%s: a valid one passes",
	   pbft_type_name(type));
	for (i = 0; i < len; i++)
		cut &= check_walk(msg, i, &inside) != PBFT_OK;
	ok(cut, "%s: none of its %u prefixes does", pbft_type_name(type), len);
	more = calloc(1, len + 8);
	memcpy(more, msg, len);
	for (longer = true, i = 1; i <= 8; i++)
		longer &= check_walk(more, len + i, &inside) != PBFT_OK;
	free(more);
	ok(longer, "%s: nor one with bytes after it", pbft_type_name(type));
	for (i = 0; i < len; i++) {
		for (bit = 0; bit < 8; bit++) {
			msg[i] ^= 1u << bit;
			check_walk(msg, len, &inside);
			msg[i] ^= 1u << bit;
		}
		msg[i] ^= 0xff;
		check_walk(msg, len, &inside);
		msg[i] ^= 0xff;
	}
	ok(inside, "%s: whatever bit is wrong, nothing is looked for outside",
	   pbft_type_name(type));
	free(msg);
}

/* ---- the header ---------------------------------------------------------------- */

static enum pbft_drop with(u8 type, u32 off, u8 value)
{
	bool inside = true;
	enum pbft_drop drop;
	u32 len;
	u8 *msg = make(type, &len);

	msg[off] = value;
	drop = check_walk(msg, len, &inside);
	free(msg);
	return drop;
}

#define HDR(field) offsetof(struct pbft_hdr, field)

static void test_header(void)
{
	ok(with(PBFT_COMMIT, HDR(magic), 0) == PBFT_DROP_MAGIC, "magic");
	ok(with(PBFT_COMMIT, HDR(version), 2) == PBFT_DROP_VERSION, "version");
	ok(with(PBFT_COMMIT, HDR(type), 0) == PBFT_DROP_TYPE &&
	   with(PBFT_COMMIT, HDR(type), PBFT_TYPE_MAX + 1) == PBFT_DROP_TYPE, "type");
	ok(with(PBFT_COMMIT, HDR(cluster), 1) == PBFT_DROP_CLUSTER, "cluster");
	ok(with(PBFT_COMMIT, HDR(epoch), 1) == PBFT_DROP_EPOCH, "epoch");
	ok(with(PBFT_COMMIT, HDR(length), 1) == PBFT_DROP_LENGTH, "length");
	ok(with(PBFT_COMMIT, HDR(sender), N) == PBFT_DROP_SENDER, "sender n");
	ok(with(PBFT_COMMIT, HDR(sender), PBFT_CLIENT_ID_MIN) == PBFT_DROP_SENDER,
	   "a client casts no vote");
	ok(with(PBFT_REQUEST, HDR(sender), 1) == PBFT_DROP_SENDER,
	   "a replica makes no request");
	ok(with(PBFT_COMMIT, HDR(flags), 1) == PBFT_DROP_MALFORMED, "flags");
	ok(with(PBFT_COMMIT, HDR(reserved), 1) == PBFT_DROP_MALFORMED, "reserved");
	ok(with(PBFT_COMMIT, HDR(key_id), 9) == PBFT_OK, "any key generation");
	ok(with(PBFT_VIEW_CHANGE_ACK, offsetof(struct pbft_vc_ack, origin), N) ==
	   PBFT_DROP_MALFORMED, "an ack for nobody");
}

/* ---- lengths and counts inside ---------------------------------------------------- */

static enum pbft_drop with32(u8 type, u32 off, u32 value)
{
	bool inside = true;
	enum pbft_drop drop;
	__le32 v = cpu_to_le32(value);
	u32 len;
	u8 *msg = make(type, &len);

	memcpy(msg + off, &v, sizeof(v));
	drop = check_walk(msg, len, &inside);
	free(msg);
	return inside ? drop : PBFT_OK;
}

static bool refuses(u8 type, u32 off)
{
	static const u32 bad[] = { 0x7fffffff, 0x80000000, 0xffffffff, 0xfffffff8,
				   0x10000, 1000, 200 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		if (with32(type, off, bad[i]) == PBFT_OK)
			return false;
	return true;
}

static void test_counts(void)
{
	u32 first = offsetof(struct pbft_pre_prepare, entries);

	ok(refuses(PBFT_REQUEST, offsetof(struct pbft_request, op_len)), "op_len");
	ok(refuses(PBFT_REPLY, offsetof(struct pbft_reply, result_len)), "result_len");
	ok(refuses(PBFT_BATCH, offsetof(struct pbft_pre_prepare, count)), "batch count");
	ok(refuses(PBFT_BATCH, first + offsetof(struct pbft_entry, len)), "entry length");
	ok(with32(PBFT_BATCH, first + offsetof(struct pbft_entry, client),
		  PBFT_CLIENT_ID_MIN + 3) != PBFT_OK, "an entry names its request's client");
	ok(with32(PBFT_BATCH, first + offsetof(struct pbft_entry, t), 6) != PBFT_OK,
	   "... its number");
	ok(with32(PBFT_BATCH, first + offsetof(struct pbft_entry, session), 6) != PBFT_OK,
	   "... and its session");
	ok(refuses(PBFT_VIEW_CHANGE, offsetof(struct pbft_view_change, c_count)) &&
	   refuses(PBFT_VIEW_CHANGE, offsetof(struct pbft_view_change, p_count)) &&
	   refuses(PBFT_VIEW_CHANGE, offsetof(struct pbft_view_change, q_count)),
	   "counts of a VIEW-CHANGE");
	ok(refuses(PBFT_NEW_VIEW, offsetof(struct pbft_new_view, v_count)) &&
	   refuses(PBFT_NEW_VIEW, offsetof(struct pbft_new_view, x_count)),
	   "counts of a NEW-VIEW");
	ok(refuses(PBFT_STATUS, offsetof(struct pbft_status_msg, bits)), "bits of a STATUS");
	ok(refuses(PBFT_COMMITTED, offsetof(struct pbft_committed, count)) &&
	   with32(PBFT_COMMITTED, offsetof(struct pbft_committed, count), 0) != PBFT_OK,
	   "count of a COMMITTED");
	ok(refuses(PBFT_NACK, offsetof(struct pbft_nack, count)), "count of a NACK");
	ok(refuses(PBFT_FRAGMENT, offsetof(struct pbft_fragment, offset)) &&
	   refuses(PBFT_FRAGMENT, offsetof(struct pbft_fragment, size)), "a fragment's place");
}

static void test_inner(void)
{
	struct pbft_inner it;
	u32 len;
	u8 *msg = make_batch(PBFT_PRE_PREPARE, true, &len);

	ok(pbft_inner_first(msg, len, N, &it) && it.data && it.index == 0 &&
	   it.head.sender == PBFT_CLIENT_ID_MIN && it.head.seq == 5,
	   "the first request inside");
	ok(pbft_inner_next(msg, len, N, &it) && !it.data && it.index == 1,
	   "the second is by reference");
	ok(!pbft_inner_next(msg, len, N, &it), "there is no third");
	((struct pbft_hdr *)msg)->type = PBFT_BATCH;
	ok(pbft_wire_check(&id, msg, len, &it.head) == PBFT_DROP_MALFORMED,
	   "a BATCH holds all its requests");
	free(msg);
	msg = make_batch(PBFT_BATCH, false, &len);
	((struct pbft_hdr *)msg)->length = cpu_to_le32(len - PBFT_MAC_LEN - 1);
	ok(pbft_wire_check(&id, msg, len - 1, &it.head) == PBFT_DROP_MALFORMED,
	   "a BATCH is padded to its end");
	free(msg);
	msg = make(PBFT_COMMIT, &len);
	ok(!pbft_inner_first(msg, len, N, &it), "a COMMIT holds none");
	free(msg);
	msg = make_relay(&len);
	((struct pbft_hdr *)(msg + sizeof(struct pbft_relay)))->type = PBFT_RELAY;
	ok(pbft_wire_check(&id, msg, len, &it.head) == PBFT_DROP_MALFORMED,
	   "a RELAY holds no RELAY");
	free(msg);
}

/* ---- digests ------------------------------------------------------------------------ */

static void test_digests(void)
{
	/* SHA-256 of "pbft-nul" begins with */
	static const u8 null_d[8] = { 0x71, 0x4f, 0xbb, 0xf3, 0x6e, 0x67, 0x01, 0x06 };
	struct pbft_digest r[2], a, b, chain = { { 0 } };
	struct pbft_view_change *vc;
	u32 len;

	pbft_request_digest(&r[0], 64, 1, 1, "abc", 3);
	pbft_request_digest(&r[1], 64, 1, 2, "abc", 3);
	ok(!pbft_digest_eq(&r[0], &r[1]), "D(request) binds t");
	pbft_request_digest(&a, 65, 1, 1, "abc", 3);
	pbft_request_digest(&b, 64, 2, 1, "abc", 3);
	ok(!pbft_digest_eq(&a, &r[0]) && !pbft_digest_eq(&b, &r[0]), "... client and session");
	pbft_batch_digest(&a, 5, 100, r, 2);
	pbft_batch_digest(&b, 6, 100, r, 2);
	ok(!pbft_digest_eq(&a, &b), "a batch's digest binds seq");
	pbft_batch_digest(&b, 5, 101, r, 2);
	ok(!pbft_digest_eq(&a, &b), "... time");
	pbft_batch_digest(&b, 5, 100, r, 1);
	ok(!pbft_digest_eq(&a, &b), "... and each request");
	pbft_null_digest(&a);
	pbft_batch_digest(&b, 5, 100, r, 0);
	ok(pbft_digest_eq(&a, &b), "an empty batch is the null batch, wherever it is");
	ok(!memcmp(a.b, null_d, sizeof(null_d)), "and its digest is the one other programs know");
	pbft_chain_next(&chain, 1, &r[0]);
	pbft_chain_next(&chain, 2, &r[1]);
	a = chain;
	memset(&chain, 0, sizeof(chain));
	pbft_chain_next(&chain, 1, &r[1]);
	pbft_chain_next(&chain, 2, &r[0]);
	ok(!pbft_digest_eq(&a, &chain), "the chain binds order");

	vc = (void *)make(PBFT_VIEW_CHANGE, &len);
	pbft_vc_digest(&a, vc);
	vc->hdr.key_id = 7;
	((u8 *)vc)[len - 1] ^= 1;
	pbft_vc_digest(&b, vc);
	ok(pbft_digest_eq(&a, &b), "dv is the same under other keys");
	vc->hdr.sender = cpu_to_le32(2);
	pbft_vc_digest(&b, vc);
	ok(!pbft_digest_eq(&a, &b), "dv binds the origin");
	free(vc);
}

int main(void)
{
	u8 type;

	test_quorums();
	for (type = 1; type <= PBFT_TYPE_MAX; type++)
		test_type(type);
	test_header();
	test_counts();
	test_inner();
	test_digests();
	return done_testing();
}
