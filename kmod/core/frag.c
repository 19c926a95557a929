// SPDX-License-Identifier: GPL-2.0
#include "frag.h"

u32 pbft_frag_size(u32 mtu)
{
	u32 room = mtu - sizeof(struct pbft_fragment) - PBFT_MAC_LEN;

	return room - room % PBFT_FRAG_ALIGN;
}

u32 pbft_frag_count(u32 mtu, u32 len)
{
	return len <= mtu ? 1 : DIV_ROUND_UP(len, pbft_frag_size(mtu));
}

u64 pbft_frag_id(const void *msg, u32 len)
{
	struct pbft_iov iov = { msg, len };
	struct pbft_digest d;
	__le64 id;

	pbft_hash(&d, &iov, 1);
	memcpy(&id, d.b, sizeof(id));
	return le64_to_cpu(id);
}

u32 pbft_frag_build(void *out, u32 mtu, const struct pbft_wire_id *id,
		    u32 sender, const void *msg, u32 len, u64 frag_id, u32 index)
{
	u32 size = pbft_frag_size(mtu), off = index * size;
	u32 part = min(size, len - off);
	struct pbft_fragment *f = out;

	pbft_wire_header(&f->hdr, id, PBFT_FRAGMENT, sizeof(*f) + part, sender,
			 0, 0);
	f->id = cpu_to_le64(frag_id);
	f->total = cpu_to_le32(len);
	f->offset = cpu_to_le32(off);
	f->size = cpu_to_le32(size);
	f->reserved = 0;
	memcpy(f->data, (const u8 *)msg + off, part);
	return sizeof(*f) + part;
}

static void slot_clear(struct pbft_reasm_slot *s)
{
	pbft_buf_put(s->buf);
	memset(s, 0, sizeof(*s));
}

static struct pbft_reasm_slot *slot_find(struct pbft_reasm *r, u64 id,
					 u32 total, u32 size)
{
	struct pbft_reasm_slot *s, *oldest = &r->slot[0];
	u32 i;

	for (i = 0; i < PBFT_REASM_SLOTS; i++) {
		s = &r->slot[i];
		if (s->buf && s->id == id && s->total == total && s->size == size)
			return s;
		if (s->used < oldest->used)
			oldest = s;
	}
	slot_clear(oldest);
	oldest->buf = pbft_buf_alloc(total);
	if (!oldest->buf)
		return NULL;
	oldest->buf->len = total;
	oldest->id = id;
	oldest->total = total;
	oldest->size = size;
	return oldest;
}

struct pbft_buf *pbft_reasm_add(struct pbft_reasm *r,
				const struct pbft_fragment *frag, u32 max,
				enum pbft_drop *drop)
{
	u32 total = le32_to_cpu(frag->total), off = le32_to_cpu(frag->offset);
	u32 size = le32_to_cpu(frag->size), index = off / size;
	struct pbft_reasm_slot *s;
	struct pbft_buf *whole;

	*drop = PBFT_OK;
	if (total > max || DIV_ROUND_UP(total, size) > PBFT_FRAGS_MAX) {
		*drop = PBFT_DROP_QUOTA;
		return NULL;
	}
	s = slot_find(r, le64_to_cpu(frag->id), total, size);
	if (!s) {
		*drop = PBFT_DROP_NOMEM;
		return NULL;
	}
	s->used = ++r->calls;
	if (test_bit(index, s->map))
		return NULL;
	__set_bit(index, s->map);
	memcpy(s->buf->data + off, frag->data, min(size, total - off));
	if (++s->got < DIV_ROUND_UP(total, size))
		return NULL;
	whole = s->buf;
	s->buf = NULL;
	slot_clear(s);
	return whole;
}

void pbft_reasm_free(struct pbft_reasm *r)
{
	u32 i;

	for (i = 0; i < PBFT_REASM_SLOTS; i++)
		slot_clear(&r->slot[i]);
}
