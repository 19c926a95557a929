// SPDX-License-Identifier: GPL-2.0
/* Life of a core, dispatch of messages, the outbox, and looking in. */
#include "internal.h"

/* ---- the outbox ----------------------------------------------------- */

/* Kept free of SENDs, for what must not be lost. */
#define OUT_RESERVE(c)	(3 * (c)->cfg.l + 128)

static u32 out_index(const struct pbft_core *c, u32 i)
{
	u32 at = c->out_head + i;

	return at < c->out_cap ? at : at - c->out_cap;
}

struct pbft_out *pbft_emit(struct pbft_core *c, u8 type)
{
	u32 room = c->out_cap - c->out_len;
	struct pbft_out *out;

	if (c->restoring || (type == PBFT_OUT_PERSIST && !c->cfg.journal))
		return NULL;
	if (!room || (type == PBFT_OUT_SEND && room <= OUT_RESERVE(c))) {
		c->cnt.out_dropped++;
		if (!room && type != PBFT_OUT_SEND && type != PBFT_OUT_EVENT && !c->stopped)
			pbft_violated(c, "the outbox overflowed");
		return NULL;
	}
	out = &c->outbox[out_index(c, c->out_len++)];
	memset(out, 0, sizeof(*out));
	out->type = type;
	return out;
}

/* Takes over the reference on @buf; NULL (no memory) counts as a lost message. */
void pbft_send(struct pbft_core *c, u64 to, u8 auth, struct pbft_buf *buf)
{
	struct pbft_out *out;

	if (!buf) {
		c->cnt.out_dropped++;
		return;
	}
	to &= pbft_others(c);
	out = to && !c->stopped ? pbft_emit(c, PBFT_OUT_SEND) : NULL;
	if (!out) {
		pbft_buf_put(buf);
		return;
	}
	out->auth = auth;
	out->to = to;
	out->buf = buf;
}

void pbft_send_client(struct pbft_core *c, u32 client, struct pbft_buf *buf)
{
	struct pbft_out *out;

	if (!buf) {
		c->cnt.out_dropped++;
		return;
	}
	out = pbft_emit(c, PBFT_OUT_SEND);
	if (!out) {
		pbft_buf_put(buf);
		return;
	}
	out->auth = PBFT_AUTH_MAC;
	out->client = client;
	out->buf = buf;
}

void pbft_event(struct pbft_core *c, u8 code, u64 seq, u32 who)
{
	struct pbft_out *out = pbft_emit(c, PBFT_OUT_EVENT);

	if (!out)
		return;
	out->code = code;
	out->view = c->view;
	out->client = who;
	out->head.seq = seq;
}

void pbft_ask(struct pbft_core *c, u8 type, u64 seq)
{
	struct pbft_out *out = pbft_emit(c, type);

	if (out)
		out->head.seq = seq;
}

void pbft_persist(struct pbft_core *c, u8 code, u64 seq, u64 view,
		  const struct pbft_digest *d, struct pbft_batch *batch,
		  struct pbft_buf *buf)
{
	struct pbft_out *out = pbft_emit(c, PBFT_OUT_PERSIST);

	if (!out)
		return;
	out->code = code;
	out->view = view;
	out->again = c->again;
	out->head.seq = seq;
	if (d)
		out->digest = *d;
	if (batch)
		out->batch = pbft_batch_get(batch);
	if (buf)
		out->buf = pbft_buf_get(buf);
}

unsigned int pbft_ready(struct pbft_core *c, struct pbft_out *out,
			unsigned int max)
{
	unsigned int i;

	for (i = 0; i < max && c->out_len; i++) {
		out[i] = c->outbox[c->out_head];
		c->out_head = out_index(c, 1);
		c->out_len--;
	}
	return i;
}

void pbft_out_release(struct pbft_out *out)
{
	pbft_buf_put(out->buf);
	pbft_batch_put(out->batch);
	out->buf = NULL;
	out->batch = NULL;
}

struct pbft_buf *pbft_msg(struct pbft_core *c, u8 type, u32 len, u64 view, u64 seq)
{
	struct pbft_buf *buf = pbft_buf_alloc(len);

	if (!buf)
		return NULL;
	buf->len = len;
	pbft_wire_header((struct pbft_hdr *)buf->data, &c->wire, type, len,
			 c->self, view, seq);
	return buf;
}

void pbft_evidence(struct pbft_core *c, u32 who)
{
	c->cnt.evidence++;
	pbft_event(c, PBFT_EV_EVIDENCE, 0, who);
}

void pbft_stop(struct pbft_core *c, const char *reason)
{
	if (c->stopped)
		return;
	c->stopped = true;
	c->reason = reason;
	pbft_event(c, PBFT_EV_STOPPED, 0, 0);
}

/* Something that cannot be with at most f faults, or a bug: never go on. */
void pbft_violated(struct pbft_core *c, const char *what)
{
	pbft_stop(c, what);
}

/* ---- life ------------------------------------------------------------- */

static bool alloc_tables(struct pbft_core *c)
{
	u32 n = c->n, i;

	c->ring = 2 * c->cfg.l;
	c->ck_ring = c->cfg.l / c->cfg.k + 1;
	c->own_cap = c->ck_ring + 1;	/* what a VIEW-CHANGE may list */
	c->out_cap = 4 * OUT_RESERVE(c);
	c->slots = kvcalloc(c->ring, sizeof(*c->slots), GFP_KERNEL);
	c->votes = kvcalloc((size_t)c->ring * n * 3, sizeof(*c->votes), GFP_KERNEL);
	c->claims = kvcalloc(c->ck_ring * n, sizeof(*c->claims), GFP_KERNEL);
	c->claims_high = kvcalloc(2 * n, sizeof(*c->claims_high), GFP_KERNEL);
	c->own = kvcalloc(c->own_cap, sizeof(*c->own), GFP_KERNEL);
	c->vc = kvcalloc(n, sizeof(*c->vc), GFP_KERNEL);
	c->acks = kvcalloc(n * n, sizeof(*c->acks), GFP_KERNEL);
	c->peers = kvcalloc(n, sizeof(*c->peers), GFP_KERNEL);
	c->outbox = kvcalloc(c->out_cap, sizeof(*c->outbox), GFP_KERNEL);
	if (!c->slots || !c->votes || !c->claims || !c->claims_high || !c->own ||
	    !c->vc || !c->acks || !c->peers || !c->outbox)
		return false;
	for (i = 0; i < c->ring; i++) {
		struct pbft_slot *s = &c->slots[i];

		s->prep = c->votes + (size_t)i * n * 3;
		s->commit = s->prep + n;
		s->proof = s->commit + n;
	}
	return true;
}

/* The checkpoint that everyone is born with. */
static void genesis_checkpoint(struct pbft_core *c)
{
	struct pbft_ck_own *own = &c->own[0];

	memset(own, 0, sizeof(*own));
	pbft_checkpoint_digest(&own->d, &c->wire, 0, &own->app, &own->chain, 0);
	own->held = true;
	c->own_count = 1;
}

struct pbft_core *pbft_core_create(const struct pbft_config *cfg, u64 now)
{
	struct pbft_core *c = kvzalloc(sizeof(*c), GFP_KERNEL);

	if (!c)
		return NULL;
	c->cfg = *cfg;
	c->wire.cluster = cfg->cluster;
	c->wire.epoch = cfg->epoch;
	c->wire.n = cfg->n;
	c->n = cfg->n;
	c->f = cfg->f;
	c->q = pbft_quorum(cfg->n, cfg->f);
	c->self = cfg->self;
	c->now = now;
	INIT_LIST_HEAD(&c->waiting);
	INIT_LIST_HEAD(&c->proposable);
	if (!alloc_tables(c)) {
		pbft_core_destroy(c);
		return NULL;
	}
	pbft_null_digest(&c->null_d);
	c->next_seq = 1;
	c->primary_life = now;
	c->commit_progress = now;
	c->last_pp = now;
	/* spread over the interval, the same in every run */
	c->status_at = now + cfg->t_status * cfg->self / cfg->n;
	if (cfg->restore) {
		c->restoring = true;
		c->rec.active = true;
	} else if (cfg->genesis) {
		genesis_checkpoint(c);
		pbft_persist_all(c);
	} else {
		pbft_recover_start(c);
		pbft_persist(c, PBFT_REC_FORGOT, 0, 0, NULL, NULL, NULL);
	}
	return c;
}

void pbft_core_destroy(struct pbft_core *c)
{
	u32 i;

	if (!c)
		return;
	while (c->out_len) {
		pbft_out_release(&c->outbox[c->out_head]);
		c->out_head = out_index(c, 1);
		c->out_len--;
	}
	for (i = 0; i < PBFT_CLIENT_BUCKETS; i++)
		while (c->clients[i])
			pbft_client_del(c, c->clients[i]->id);
	for (i = 0; c->slots && c->votes && i < c->ring; i++)
		pbft_slot_clear(c, &c->slots[i]);
	for (i = 0; c->vc && i < c->n; i++)
		pbft_buf_put(c->vc[i].body.buf);
	pbft_nv_release(&c->nv);
	pbft_nv_release(&c->nv_in);
	kvfree(c->slots);
	kvfree(c->votes);
	kvfree(c->claims);
	kvfree(c->claims_high);
	kvfree(c->own);
	kvfree(c->vc);
	kvfree(c->acks);
	kvfree(c->peers);
	kvfree(c->outbox);
	kvfree(c);
}

void pbft_set_wall_offset(struct pbft_core *c, s64 offset)
{
	c->wall_offset = offset;
}

u64 pbft_config_memory(const struct pbft_config *cfg)
{
	u64 l = cfg->l, n = cfg->n, w = PBFT_CLIENT_WINDOW;
	u64 slots = 2 * l * (sizeof(struct pbft_slot) + 3 * n * sizeof(struct pbft_digest));
	/* a slot of the window: Q ring, accepted, held, spare, decided */
	u64 batches = l * (PBFT_Q_RING + 4) * PBFT_MSG_MAX + l * PBFT_MSG_MAX;
	u64 clients = (u64)cfg->clients_max *
		      (sizeof(struct pbft_client) +
		       w * (sizeof(struct pbft_endorsement) + 2ull * PBFT_OP_MAX));
	u64 vcs = n * (2 * PBFT_MSG_MAX + n * sizeof(struct pbft_ack_rec));

	return sizeof(struct pbft_core) + slots + batches + clients + vcs;
}

/* ---- dispatch ----------------------------------------------------------- */

static void on_relay(struct pbft_core *c, const struct pbft_packet *pkt,
		     const struct pbft_verdict *verdict)
{
	bool authentic = verdict && test_bit(0, verdict->inner_ok);
	struct pbft_vc_body body = { .buf = pkt->buf };
	struct pbft_inner in;

	if (!pbft_inner_first(pkt->data, pkt->len, c->n, &in))
		return;
	switch (in.head.type) {
	case PBFT_REQUEST:
		if (authentic)
			pbft_request_add(c, pkt->buf, (const void *)in.data,
					 in.len, true);
		break;
	case PBFT_VIEW_CHANGE:
		body.vc = (const void *)in.data;
		body.len = in.len;
		pbft_on_view_change(c, &body, authentic, pkt->head.sender);
		break;
	case PBFT_NEW_VIEW:
		if (authentic)
			pbft_on_new_view(c, pkt->buf, (const void *)in.data,
					 in.len);
		break;
	}
}

static void dispatch(struct pbft_core *c, const struct pbft_packet *pkt,
		     const struct pbft_verdict *verdict)
{
	struct pbft_vc_body body = { .buf = pkt->buf };

	switch (pkt->head.type) {
	case PBFT_REQUEST:
		pbft_on_request(c, pkt);
		break;
	case PBFT_PRE_PREPARE:
		pbft_on_pre_prepare(c, pkt, verdict);
		break;
	case PBFT_PREPARE:
		pbft_on_prepare(c, pkt);
		break;
	case PBFT_COMMIT:
		pbft_on_commit(c, pkt);
		break;
	case PBFT_CHECKPOINT:
		pbft_on_checkpoint(c, pkt);
		break;
	case PBFT_VIEW_CHANGE:
		body.vc = pkt->data;
		body.len = pkt->len;
		pbft_on_view_change(c, &body, true, pkt->head.sender);
		break;
	case PBFT_VIEW_CHANGE_ACK:
		pbft_on_vc_ack(c, pkt);
		break;
	case PBFT_NEW_VIEW:
		pbft_on_new_view(c, pkt->buf, pkt->data, pkt->len);
		break;
	case PBFT_STATUS:
		pbft_on_status(c, pkt);
		break;
	case PBFT_COMMITTED:
		pbft_on_committed(c, pkt);
		break;
	case PBFT_FETCH:
		pbft_on_fetch(c, pkt);
		break;
	case PBFT_BATCH:
		pbft_on_batch(c, pkt, verdict);
		break;
	case PBFT_RELAY:
		on_relay(c, pkt, verdict);
		break;
	case PBFT_QUERY_STABLE:
		pbft_on_query_stable(c, pkt);
		break;
	case PBFT_REPLY_STABLE:
		pbft_on_reply_stable(c, pkt);
		break;
	case PBFT_REJOIN:
		pbft_on_rejoin(c, pkt);
		break;
	case PBFT_NACK:
		pbft_on_nack(c, pkt);
		break;
	case PBFT_ENDORSE:
		pbft_on_endorse(c, pkt);
		break;
	case PBFT_HELLO:
		pbft_on_hello(c, pkt);
		break;
	}
}

/* Time never runs backwards for the core, whatever the shells' CPUs say. */
static void set_now(struct pbft_core *c, u64 now)
{
	if (now > c->now)
		c->now = now;
}

void pbft_step(struct pbft_core *c, u64 now, const struct pbft_packet *pkt,
	       const struct pbft_verdict *verdict)
{
	set_now(c, now);
	if (c->stopped || pkt->head.sender == c->self)
		return;
	if (pkt->head.sender < c->n)
		c->peers[pkt->head.sender].heard = c->now;
	dispatch(c, pkt, verdict);
	if (pbft_is_primary(c))
		pbft_propose(c);
}

/* ---- looking in ------------------------------------------------------------ */

static u64 memory_held(const struct pbft_core *c)
{
	u64 sum = c->client_memory;
	u32 i, j;

	for (i = 0; i < c->ring; i++) {
		const struct pbft_slot *s = &c->slots[i];

		if (s->cbatch)
			sum += pbft_batch_memory(s->cbatch);
		if (s->held_batch)
			sum += pbft_batch_memory(s->held_batch);
		if (s->spare)
			sum += pbft_batch_memory(s->spare);
		for (j = 0; j < PBFT_Q_RING; j++)
			if (s->q[j].batch && s->q[j].batch != s->cbatch)
				sum += pbft_batch_memory(s->q[j].batch);
	}
	return sum;
}

void pbft_status_get(const struct pbft_core *c, struct pbft_status *st)
{
	memset(st, 0, sizeof(*st));
	st->view = c->view;
	st->pending = c->pending;
	st->mute = !pbft_may_vote(c);
	st->bound = c->bound;
	st->stopped = c->stopped;
	st->fetching = c->fetching;
	st->reason = c->reason;
	st->primary = pbft_primary(c, c->view);
	st->h = c->h;
	st->high = pbft_high(c);
	st->last_committed = c->last_committed;
	st->last_exec = c->executed.seq;
	st->head = c->executed;
	if (c->own_count) {
		u32 i = c->own_count;

		while (i && !c->own[i - 1].held)
			i--;
		if (i) {
			st->checkpoint = c->own[i - 1].seq;
			st->checkpoint_app = c->own[i - 1].app;
		}
	}
	st->fetch_target = c->fetching ? c->fetch.seq : 0;
	st->recover_point = c->rec.point;
	st->recover_view = c->rec.min_view;
	st->pending_requests = c->pending_total;
	st->memory = memory_held(c);
}

const struct pbft_counters *pbft_counters_get(const struct pbft_core *c)
{
	return &c->cnt;
}

int pbft_committed_digest(const struct pbft_core *c, u64 seq,
			  struct pbft_digest *out)
{
	const struct pbft_slot *s = &c->slots[seq % c->ring];

	if (!seq || s->seq != seq || !s->committed)
		return -ENOENT;
	*out = s->cd;
	return 0;
}
