// SPDX-License-Identifier: GPL-2.0
/*
 * The decoder of datagrams. The first byte chooses the size of the cluster, the
 * second whether the rest is a datagram as it stands, one whose header is put
 * right first, or directions by which a well-formed one is built and then
 * damaged. Whatever passes is read to its last byte, in a buffer of its length.
 */
#include <stdlib.h>
#include "world.h"
#include "core/decide.h"
#include "core/frag.h"

#define CLUSTER	0x1122334455667788ull
#define EPOCH	7

static volatile u64 sink;

static void check_vc(const struct pbft_view_change *vc)
{
	static const u32 sizes[][2] = { { 1, 2 }, { 2, 4 }, { 4, 8 }, { 64, 256 }, { 1, 1 }, { 1024, 1024 } };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		sink += pbft_vc_valid(vc, sizes[i][0], sizes[i][1]);
}

static void check_inner_vcs(const struct pbft_wire_id *id, const void *data, u32 len)
{
	struct pbft_inner in;

	if (pbft_inner_first(data, len, id->n, &in) && in.data &&
	    in.head.type == PBFT_VIEW_CHANGE)
		check_vc((const void *)in.data);
}

static void check(const struct pbft_wire_id *id, const void *data, u32 len)
{
	void *copy = malloc(len);	/* exactly: the sanitizer sees one byte more */
	struct pbft_head head;
	enum pbft_drop drop;

	if (len)
		memcpy(copy, data, len);
	drop = pbft_wire_check(id, copy, len, &head);
	fuzz_check(drop < PBFT_DROP_MAX && pbft_drop_name(drop), "drop reason %d", drop);
	if (drop == PBFT_OK) {
		fuzz_check(strcmp(pbft_type_name(head.type), "unknown"),
			   "type %u passes", head.type);
		sink += fuzz_touch(id, copy, len, &head);
		if (head.type == PBFT_VIEW_CHANGE)
			check_vc(copy);
		else
			check_inner_vcs(id, copy, len);
	}
	free(copy);
}

static void fix_header(const struct pbft_wire_id *id, u8 *msg, u32 len)
{
	struct pbft_hdr *h = (void *)msg;
	u32 auth;

	if (len < sizeof(*h))
		return;
	h->magic = cpu_to_le32(PBFT_MAGIC);
	h->version = PBFT_VERSION;
	h->type = 1 + h->type % PBFT_TYPE_MAX;
	h->flags = 0;
	h->cluster = cpu_to_le64(CLUSTER);
	h->epoch = cpu_to_le32(EPOCH);
	h->reserved = 0;
	auth = pbft_wire_auth_len(h->type, id->n);
	if (len >= sizeof(*h) + auth)
		h->length = cpu_to_le32(len - auth);
	if (h->type == PBFT_REQUEST || h->type == PBFT_HELLO)
		h->sender = cpu_to_le32(PBFT_CLIENT_ID_MIN + le32_to_cpu(h->sender) % 4);
	else
		h->sender = cpu_to_le32(le32_to_cpu(h->sender) % id->n);
}

static void put_le32(struct pbft_buf *buf, u32 off, u32 value)
{
	__le32 v = cpu_to_le32(value);

	memcpy(buf->data + off, &v, min_t(u32, sizeof(v), buf->len - off));
}

/* The body ends earlier, and its length says so. */
static void cut(struct pbft_buf *buf, u32 by)
{
	struct pbft_hdr *h = (void *)buf->data;
	u32 len = le32_to_cpu(h->length);

	if (len < sizeof(*h) + by || buf->len < sizeof(*h) + by)
		return;
	h->length = cpu_to_le32(len - by);
	buf->len -= by;
}

static void damage_once(struct fuzz_in *in, struct pbft_buf *buf)
{
	u32 off = fuzz_u16(in) % buf->len;
	u8 kind = fuzz_u8(in), b = fuzz_u8(in);
	__le32 old = 0;

	switch (kind & 7) {
	case 0:
	case 1:
		buf->data[off] = b;
		break;
	case 2:
		put_le32(buf, off & ~3u, fuzz_u64(in));
		break;
	case 3:
		put_le32(buf, off & ~3u, b);
		break;
	case 4 ... 6:
		/* a count or length of the fixed part, a little more or less */
		off = sizeof(struct pbft_hdr) + off % 20 * 4;
		if (off + sizeof(old) > buf->len)
			break;
		memcpy(&old, buf->data + off, sizeof(old));
		put_le32(buf, off, le32_to_cpu(old) + (s8)b);
		break;
	default:
		cut(buf, b & 0x3f);
	}
}

static void damage(struct fuzz_in *in, struct pbft_buf *buf)
{
	u32 times = fuzz_below(in, 4);

	while (times--)
		damage_once(in, buf);
	if (fuzz_u8(in) == 0xff)
		buf->len -= fuzz_u8(in) % buf->len;
}

static void build(const struct pbft_wire_id *id, u8 type, const u8 *data, size_t size)
{
	static struct fuzz_world w;
	struct pbft_buf *buf;

	memset(&w, 0, sizeof(w));
	world_init(&w, id, pbft_max_faults(id->n), 2, 8, 0);
	w.in.p = data;
	w.in.left = size;
	/* a NEW-VIEW, or what passes one on, needs something to rest on */
	if (type == PBFT_NEW_VIEW || type == PBFT_RELAY) {
		u32 i, n = fuzz_below(&w.in, id->n);

		for (i = 0; i < n; i++)
			pbft_buf_put(world_view_change(&w, i));
	}
	buf = world_message(&w, type, fuzz_below(&w.in, id->n));
	if (buf) {
		damage(&w.in, buf);
		check(id, buf->data, buf->len);
		pbft_buf_put(buf);
	}
	world_free(&w);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static const u32 ns[] = { 4, 5, 7, 10, 13, 31, 64, PBFT_N_MIN };
	struct pbft_wire_id id = { .cluster = CLUSTER, .epoch = EPOCH };
	u8 *msg;

	if (size < 2 || size > PBFT_MSG_MAX)
		return 0;
	id.n = ns[data[0] % ARRAY_SIZE(ns)];
	if (data[1] >= 0xc0) {
		check(&id, data + 2, size - 2);
	} else if (data[1] >= 0x80) {
		msg = malloc(size);
		memcpy(msg, data + 2, size - 2);
		fix_header(&id, msg, size - 2);
		check(&id, msg, size - 2);
		free(msg);
	} else {
		build(&id, 1 + data[1] % PBFT_TYPE_MAX, data + 2, size - 2);
	}
	return 0;
}
