// SPDX-License-Identifier: GPL-2.0
/*
 * Reassembly: fragments of a few messages, genuine or altered, in any order, to
 * one peer's places. What comes out of genuine ones only is what went in; what a
 * peer can make us hold is its quota.
 */
#include <stdlib.h>
#include "fuzz.h"
#include "core/frag.h"

#define MESSAGES	6
#define PLACE_MAX	(PBFT_REASM_SLOTS * sizeof(struct pbft_buf))

#define BYTES_MAX	(PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN)
#define ID_WHOLE_MAX	8192	/* above, an id that is cheaper to have */

struct msg {
	const u8 *data;
	u32 len, mtu;
	u64 id;
};

static u8 pattern[BYTES_MAX + MESSAGES * 41];

struct run {
	struct fuzz_in in;
	struct pbft_wire_id wire;
	struct msg msg[MESSAGES];
	struct pbft_reasm reasm;
	u32 max;
	bool lied;		/* an altered fragment was taken */
};

static void make_messages(struct run *r)
{
	u32 i;

	for (i = 0; i < MESSAGES; i++) {
		struct msg *m = &r->msg[i];
		u16 b = fuzz_u16(&r->in);

		m->mtu = PBFT_MTU_MIN + (b & 0xff) * (i & 1 ? 1 : 40);
		m->len = 1 + (b >> 8) * (i & 2 ? 37 : 997);
		if (i == MESSAGES - 1 && b & 1)
			m->len = BYTES_MAX;
		m->data = pattern + i * 41;
		m->id = m->len > ID_WHOLE_MAX ? m->len * 64 + i :
						pbft_frag_id(m->data, m->len);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	u32 i;

	for (i = 0; i < sizeof(pattern); i++)
		pattern[i] = i * 7 + (i >> 8);
	return 0;
}

/* A field of the fragment, by bytes. */
static void alter(struct run *r, struct pbft_fragment *f)
{
	u8 kind = fuzz_u8(&r->in);
	u32 v = kind & 0x80 ? fuzz_u64(&r->in) : fuzz_u8(&r->in) * PBFT_FRAG_ALIGN;

	switch (kind & 7) {
	case 0:
		f->total = cpu_to_le32(v);
		break;
	case 1:
		f->offset = cpu_to_le32(v);
		break;
	case 2:
		f->size = cpu_to_le32(v);
		break;
	case 3:
		f->id = cpu_to_le64(fuzz_u8(&r->in));
		break;
	case 4:
		f->data[0] ^= kind | 1;
		break;
	case 5:		/* one that is whole: any size there is room for */
		f->size = cpu_to_le32(ALIGN(v, PBFT_FRAG_ALIGN));
		f->offset = 0;
		f->total = cpu_to_le32(le32_to_cpu(f->hdr.length) - sizeof(*f));
		break;
	default:
		f->total = cpu_to_le32(v);
		f->size = cpu_to_le32(512);
		f->offset = cpu_to_le32((v / 512 - (v % 512 == 0)) * 512);
		f->hdr.length = cpu_to_le32(sizeof(*f) + (v % 512 ? v % 512 : 512));
	}
}

static void done(struct run *r, struct pbft_buf *whole, const struct pbft_fragment *f)
{
	u32 i;

	fuzz_check(whole->len == le32_to_cpu(f->total), "a whole message of %u bytes, not %u",
		   whole->len, le32_to_cpu(f->total));
	fuzz_check(whole->len <= r->max, "%u bytes, %u allowed", whole->len, r->max);
	for (i = 0; !r->lied && i < MESSAGES; i++)
		if (le64_to_cpu(f->id) == r->msg[i].id && whole->len == r->msg[i].len)
			fuzz_check(!memcmp(whole->data, r->msg[i].data, whole->len),
				   "message %u came out as another", i);
	pbft_buf_put(whole);
}

static void deliver(struct run *r, const void *data, u32 len, bool altered)
{
	struct pbft_head head;
	enum pbft_drop drop;
	struct pbft_buf *whole;
	u8 *copy = malloc(len + PBFT_MAC_LEN);

	memcpy(copy, data, len);
	memset(copy + len, 0, PBFT_MAC_LEN);
	if (pbft_wire_check(&r->wire, copy, len + PBFT_MAC_LEN, &head) == PBFT_OK) {
		r->lied |= altered;
		whole = pbft_reasm_add(&r->reasm, (const void *)copy, r->max, &drop);
		fuzz_check(!whole || drop == PBFT_OK, "both a message and a refusal");
		if (whole)
			done(r, whole, (const void *)copy);
	} else {
		fuzz_check(altered, "a genuine fragment is refused");
	}
	free(copy);
}

static void one(struct run *r, u8 op)
{
	const struct msg *m = &r->msg[op % MESSAGES];
	u8 *frag = malloc(m->mtu);
	u32 count = DIV_ROUND_UP(m->len, pbft_frag_size(m->mtu)), i, len;
	/* all of it, all but one, or one */
	u32 from = op & 0x40 ? 0 : fuzz_u16(&r->in) % count;
	u32 to = op & 0x40 ? count - (op >> 5 & 1) : from + 1;

	for (i = from; i < to; i++) {
		len = pbft_frag_build(frag, m->mtu, &r->wire, 1, m->data, m->len,
				      m->id, i);
		fuzz_check(len + PBFT_MAC_LEN <= m->mtu, "a fragment of %u bytes for mtu %u",
			   len, m->mtu);
		if (op & 0x80 && i == from) {
			struct pbft_fragment *f = (void *)frag;

			alter(r, f);
			len = min(len, le32_to_cpu(f->hdr.length));
			deliver(r, frag, len, true);
			continue;
		}
		deliver(r, frag, len, false);
	}
	free(frag);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct run r;
	size_t base = fuzz_heap();
	u32 i;

	memset(&r, 0, sizeof(r));
	r.in.p = data;
	r.in.left = size;
	r.wire = (struct pbft_wire_id){ .cluster = 9, .epoch = 1, .n = 4 };
	r.max = fuzz_u8(&r.in) & 1 ? PBFT_OP_MAX + 4096 :
				     BYTES_MAX;
	make_messages(&r);
	for (i = 0; i < 64 && r.in.left; i++) {
		one(&r, fuzz_u8(&r.in));
		fuzz_check(fuzz_heap() - base <= PBFT_REASM_SLOTS * (u64)r.max + PLACE_MAX,
			   "a peer makes us hold %zu bytes", fuzz_heap() - base);
	}
	pbft_reasm_free(&r.reasm);
	fuzz_check(fuzz_heap() == base, "%zu bytes are left behind", fuzz_heap() - base);
	return 0;
}
