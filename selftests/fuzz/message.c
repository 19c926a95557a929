// SPDX-License-Identifier: GPL-2.0
/* Made-up messages of the small types, and the way to those of all. */
#include "world.h"

static struct pbft_buf *vote(struct fuzz_world *w, u8 type, u32 sender)
{
	u64 view = world_view(w), seq = world_seq(w);
	struct pbft_buf *buf = world_buf(w, type, sizeof(struct pbft_vote), sender,
					 view, seq);

	if (buf)
		((struct pbft_vote *)buf->data)->digest = *world_digest(w);
	return buf;
}

static struct pbft_buf *checkpoint(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	u64 seq = b & 0x10 ? world_seq(w) : (w->h / w->k + 1 + (b & 15)) * w->k;
	struct pbft_log_head head;
	struct pbft_checkpoint *m;
	struct pbft_buf *buf;

	world_head(w, seq, &head);
	buf = world_buf(w, PBFT_CHECKPOINT, sizeof(*m), sender, w->view, seq);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	world_app(&head, &m->app);
	if (b & 0x20)
		m->app = *world_digest(w);
	m->chain = head.chain;
	m->time = cpu_to_le64(head.time);
	m->flags = cpu_to_le32(b & 0x40 ? PBFT_CK_STABLE : 0);
	pbft_checkpoint_digest(&m->digest, &w->id, seq, &m->app, &m->chain, head.time);
	world_know(w, &m->digest);
	if (b == 0xff)
		m->digest = *world_digest(w);
	return buf;
}

static struct pbft_buf *vc_ack(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	/* from all, each for another: a round of them certifies every VIEW-CHANGE */
	u32 origin = (b + sender) % w->id.n;
	u64 view = world_view(w);
	struct pbft_vc_ack *m;
	struct pbft_buf *buf = world_buf(w, PBFT_VIEW_CHANGE_ACK, sizeof(*m), sender,
					 view, 0);

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->origin = cpu_to_le32(b & 0x80 ? fuzz_u8(&w->in) : origin);
	if (w->vc[origin] && !(b & 0x40))
		pbft_vc_digest(&m->digest, (const void *)w->vc[origin]->data);
	else
		m->digest = *world_digest(w);
	return buf;
}

static struct pbft_buf *status(struct fuzz_world *w, u32 sender)
{
	u64 view = world_view(w), seq = world_seq(w);
	u32 bits = fuzz_below(&w->in, 40), size;
	struct pbft_status_msg *m;
	struct pbft_buf *buf;

	if (bits == 39)
		bits = PBFT_STATUS_BITS_MAX;
	size = ALIGN(DIV_ROUND_UP(bits, 4), 8);
	buf = world_buf(w, PBFT_STATUS, sizeof(*m) + size, sender, view, seq);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->h = cpu_to_le64(world_seq(w));
	m->nonce = cpu_to_le64(w->wall + fuzz_u8(&w->in));
	m->vc_have = cpu_to_le64(fuzz_u8(&w->in));
	m->vc_need = cpu_to_le64(fuzz_u8(&w->in));
	m->flags = cpu_to_le32(fuzz_u8(&w->in));
	m->bits = cpu_to_le32(bits);
	fuzz_bytes(&w->in, m->map, min_t(u32, size, 8));
	return buf;
}

static struct pbft_buf *committed(struct fuzz_world *w, u32 sender)
{
	u64 seq = world_seq(w);
	u32 count = 1 + fuzz_below(&w->in, PBFT_COMMITTED_MAX), i;
	struct pbft_committed *m;
	struct pbft_buf *buf = world_buf(w, PBFT_COMMITTED, sizeof(*m) +
					 count * sizeof(struct pbft_digest), sender,
					 w->view, seq);

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->count = cpu_to_le32(count);
	for (i = 0; i < count; i++)
		m->digests[i] = *world_digest(w);
	return buf;
}

/* What others pass on: what they have from third parties, or made up. */
static struct pbft_buf *relay(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	struct pbft_buf *in, *buf;

	switch (b & 7) {
	case 0 ... 2:
		in = world_request(w);
		break;
	case 3:
	case 4:
		in = world_view_change(w, (b >> 3) % w->id.n);
		break;
	case 5:
		in = world_new_view(w, (b >> 3) % w->id.n);
		break;
	case 6:
		in = w->vc[(b >> 3) % w->id.n];
		in = in ? pbft_buf_get(in) : NULL;
		break;
	default:
		in = w->nv ? pbft_buf_get(w->nv) : NULL;
	}
	if (!in)
		return NULL;
	buf = world_buf(w, PBFT_RELAY, sizeof(struct pbft_relay) + in->len, sender,
			w->view, 0);
	if (buf)
		memcpy(((struct pbft_relay *)buf->data)->inner, in->data, in->len);
	pbft_buf_put(in);
	return buf;
}

static struct pbft_buf *reply_stable(struct fuzz_world *w, u32 sender)
{
	u64 view = world_view(w), seq = world_seq(w);
	struct pbft_reply_stable *m;
	struct pbft_buf *buf;
	u8 b = fuzz_u8(&w->in);

	if (!(b & 1))
		seq -= seq % w->k;
	buf = world_buf(w, PBFT_REPLY_STABLE, sizeof(*m), sender, view, seq);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->nonce = cpu_to_le64(b & 2 ? fuzz_u64(&w->in) : w->nonce);
	m->prepared = cpu_to_le64(world_seq(w));
	return buf;
}

static struct pbft_buf *nack(struct fuzz_world *w, u32 sender)
{
	u8 b = fuzz_u8(&w->in);
	u32 count = b == 0xff ? PBFT_BATCH_MAX : b & 3, i;
	struct pbft_nack *m;
	struct pbft_buf *buf = world_buf(w, PBFT_NACK, sizeof(*m) +
					 ALIGN(count * sizeof(__le32), 8), sender,
					 world_view(w), world_seq(w));

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->digest = *world_digest(w);
	m->count = cpu_to_le32(count);
	for (i = 0; i < count; i++)
		m->clients[i] = cpu_to_le32(PBFT_CLIENT_ID_MIN +
					    (b >> 2) % WORLD_CLIENTS + i);
	return buf;
}

/* Of a request that some batch has, as a rule. */
static struct pbft_buf *endorse(struct fuzz_world *w, u32 sender)
{
	struct pbft_buf *req = world_request(w), *buf;
	const struct pbft_request *r;
	struct pbft_endorse *m;

	if (!req)
		return NULL;
	r = (const void *)req->data;
	buf = world_buf(w, PBFT_ENDORSE, sizeof(*m), sender, w->view, 0);
	if (buf) {
		m = (void *)buf->data;
		m->client = r->hdr.sender;
		m->session = r->session;
		m->t = r->hdr.seq;
		pbft_request_digest(&m->digest, le32_to_cpu(r->hdr.sender),
				    le64_to_cpu(r->session), le64_to_cpu(r->hdr.seq),
				    r->op, le32_to_cpu(r->op_len));
		if (fuzz_u8(&w->in) == 0xff)
			m->digest = *world_digest(w);
	}
	pbft_buf_put(req);
	return buf;
}

static struct pbft_buf *hello(struct fuzz_world *w)
{
	u8 b = fuzz_u8(&w->in);
	struct pbft_buf *buf = world_buf(w, PBFT_HELLO, sizeof(struct pbft_hello),
					 PBFT_CLIENT_ID_MIN + b % WORLD_CLIENTS, 0,
					 fuzz_u8(&w->in));

	if (buf)
		((struct pbft_hello *)buf->data)->session = cpu_to_le64(b >> 2);
	return buf;
}

/* A header, 16 more bytes at most: FETCH, QUERY-STABLE, REJOIN, HELLO-ACK and REPLY. */
static struct pbft_buf *plain(struct fuzz_world *w, u8 type, u32 sender)
{
	u32 len = type == PBFT_FETCH ? sizeof(struct pbft_fetch) :
		  type == PBFT_REPLY ? sizeof(struct pbft_reply) :
				       sizeof(struct pbft_query_stable);
	u64 view = world_view(w), seq = world_seq(w);
	struct pbft_buf *buf = world_buf(w, type, len, sender, view, seq);

	if (!buf)
		return NULL;
	if (type == PBFT_FETCH)
		((struct pbft_fetch *)buf->data)->digest = *world_digest(w);
	else if (type == PBFT_REJOIN)
		((struct pbft_rejoin *)buf->data)->h = cpu_to_le64(world_seq(w));
	return buf;
}

struct pbft_buf *world_message(struct fuzz_world *w, u8 type, u32 sender)
{
	switch (type) {
	case PBFT_REQUEST:
		return world_request(w);
	case PBFT_PRE_PREPARE:
		return world_pre_prepare(w, sender);
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		return vote(w, type, sender);
	case PBFT_CHECKPOINT:
		return checkpoint(w, sender);
	case PBFT_VIEW_CHANGE:
		return world_view_change(w, sender);
	case PBFT_VIEW_CHANGE_ACK:
		return vc_ack(w, sender);
	case PBFT_NEW_VIEW:
		return world_new_view(w, sender);
	case PBFT_STATUS:
		return status(w, sender);
	case PBFT_COMMITTED:
		return committed(w, sender);
	case PBFT_BATCH:
		return world_batch(w, sender);
	case PBFT_RELAY:
		return relay(w, sender);
	case PBFT_REPLY_STABLE:
		return reply_stable(w, sender);
	case PBFT_NACK:
		return nack(w, sender);
	case PBFT_ENDORSE:
		return endorse(w, sender);
	case PBFT_HELLO:
		return hello(w);
	case PBFT_FETCH:
	case PBFT_QUERY_STABLE:
	case PBFT_REJOIN:
	case PBFT_REPLY:
	case PBFT_HELLO_ACK:
		return plain(w, type, sender);
	}
	return NULL;
}
