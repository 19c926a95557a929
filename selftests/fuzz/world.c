// SPDX-License-Identifier: GPL-2.0
/* What the made-up peers know, and how bytes choose values near it. */
#include "world.h"

void world_init(struct fuzz_world *w, const struct pbft_wire_id *id, u32 f,
		u32 k, u32 l, u32 self)
{
	static const struct pbft_digest zero;

	w->id = *id;
	w->f = f;
	w->k = k;
	w->l = l;
	w->self = self;
	pbft_null_digest(&w->null_d);
	pbft_checkpoint_digest(&w->genesis_d, id, 0, &zero, &zero, 0);
}

void world_free(struct fuzz_world *w)
{
	u32 i;

	for (i = 0; i < PBFT_N_MAX; i++)
		pbft_buf_put(w->vc[i]);
	pbft_buf_put(w->nv);
}

void world_know(struct fuzz_world *w, const struct pbft_digest *d)
{
	w->digest[w->next_digest++ % WORLD_DIGESTS] = *d;
}

void world_learn_head(struct fuzz_world *w, const struct pbft_log_head *head)
{
	w->head[head->seq % WORLD_HEADS] = *head;
}

void world_head(const struct fuzz_world *w, u64 seq, struct pbft_log_head *out)
{
	const struct pbft_log_head *known = &w->head[seq % WORLD_HEADS];

	if (known->seq == seq) {
		*out = *known;
		return;
	}
	memset(out, 0, sizeof(*out));
	out->seq = seq;
	out->time = seq;
	memset(out->chain.b, 0xc0 + seq % 32, sizeof(out->chain.b));
}

void world_app(const struct pbft_log_head *head, struct pbft_digest *out)
{
	struct pbft_iov iov = { head->chain.b, sizeof(head->chain.b) };

	memset(out, 0, sizeof(*out));
	if (head->seq)
		pbft_hash(out, &iov, 1);
}

/* Keep a copy, for messages that carry or name it later. */
void world_keep(struct pbft_buf **at, const void *msg, u32 len)
{
	struct pbft_buf *copy = pbft_buf_alloc(len);

	if (!copy)
		return;
	memcpy(copy->data, msg, len);
	copy->len = len;
	pbft_buf_put(*at);
	*at = copy;
}

u64 world_seq(struct fuzz_world *w)
{
	u8 b = fuzz_u8(&w->in);
	u64 delta = b >> 4;

	switch (b & 15) {
	case 0 ... 5:
		return w->committed + 1 + (delta & 7);
	case 6 ... 8:
		return w->h + delta;
	case 9:
		return w->h + w->l - 3 + delta;
	case 10:
		return w->executed - 2 + delta;
	case 11:
		return w->h - delta;
	case 12:
		return (w->h / w->k + delta) * w->k;
	case 13:
		return fuzz_u16(&w->in);
	case 14:
		return (delta & 1 ? U64_MAX : U64_MAX / 2) - (delta >> 1);
	default:
		return fuzz_u64(&w->in);
	}
}

u64 world_view(struct fuzz_world *w)
{
	u8 b = fuzz_u8(&w->in);

	switch (b & 15) {
	case 0 ... 9:
		return w->view;
	case 10:
	case 11:
		return w->view + 1;
	case 12:
		return w->view + 2 + (b >> 4);
	case 13:
		return w->view - 1 - (b >> 6);
	case 14:
		return (b & 16 ? U64_MAX : S64_MAX) - (b >> 5);
	default:
		return fuzz_u64(&w->in);
	}
}

const struct pbft_digest *world_digest(struct fuzz_world *w)
{
	static const struct pbft_digest zero;
	u8 b = fuzz_u8(&w->in);

	if (b < 0xc0)
		return &w->digest[(w->next_digest - 1 - b / 12) % WORLD_DIGESTS];
	if (b < 0xe0)
		return &w->null_d;
	return b < 0xf0 ? &w->genesis_d : &zero;
}

struct pbft_buf *world_buf(struct fuzz_world *w, u8 type, u32 len, u32 sender,
			   u64 view, u64 seq)
{
	u32 whole = len + pbft_wire_auth_len(type, w->id.n);
	struct pbft_buf *buf = pbft_buf_alloc(whole);

	if (!buf)
		return NULL;
	memset(buf->data, 0, whole);
	buf->len = whole;
	pbft_wire_header((struct pbft_hdr *)buf->data, &w->id, type, len, sender,
			 view, seq);
	return buf;
}
