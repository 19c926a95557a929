// SPDX-License-Identifier: GPL-2.0
/* Made-up peers of one core: building and delivering their messages. */
#include <stdio.h>
#include <stdlib.h>
#include "core/decide.h"
#include "alloc.h"
#include "core-peers.h"

static struct pbft_buf *last_vc[PEERS_N];

/* ---- life -------------------------------------------------------------------------- */

struct pbft_digest peers_digest(char name)
{
	struct pbft_digest d;

	memset(&d, name, sizeof(d));
	return d;
}

void peers_start(struct peers *p, bool genesis)
{
	static const struct pbft_log_head zero;

	memset(p, 0, sizeof(*p));
	pbft_config_default(&p->cfg);
	p->cfg.cluster = 5;
	p->cfg.epoch = 1;
	p->cfg.n = PEERS_N;
	p->cfg.f = 1;
	p->cfg.k = 2;
	p->cfg.l = 4;
	p->cfg.clients_max = 2;
	p->cfg.genesis = genesis;
	p->cfg.pipeline = 1;
	p->id = (struct pbft_wire_id){ 5, 1, PEERS_N };
	p->now = 1000 * PEERS_MS;
	p->fail_nth = 1;
	p->core = pbft_core_create(&p->cfg, p->now);
	pbft_client_add(p->core, PEERS_CLIENT);
	if (genesis)
		pbft_bind(p->core, p->now, &zero);
}

void peers_stop(struct peers *p)
{
	u32 i;

	pbft_core_destroy(p->core);
	for (i = 0; i < PEERS_N; i++) {
		pbft_buf_put(last_vc[i]);
		last_vc[i] = NULL;
	}
}

void peers_forget(struct peers *p)
{
	memset(p->out, 0, sizeof(p->out));
	memset(p->sent, 0, sizeof(p->sent));
	memset(p->event, 0, sizeof(p->event));
}

static void note(struct peers *p, const struct pbft_out *out)
{
	p->out[out->type]++;
	switch (out->type) {
	case PBFT_OUT_SEND:
		p->sent[((const struct pbft_hdr *)out->buf->data)->type]++;
		if (((const struct pbft_hdr *)out->buf->data)->type == PBFT_VIEW_CHANGE) {
			const struct pbft_view_change *vc = (const void *)out->buf->data;

			p->vc_q = le32_to_cpu(vc->q_count);
			p->vc_valid = pbft_vc_valid(vc, p->cfg.k, p->cfg.l);
		}
		break;
	case PBFT_OUT_EVENT:
		p->event[out->code]++;
		break;
	case PBFT_OUT_APPLY:
		p->applied = out->head;
		p->applied_count = pbft_batch_count(out->batch);
		break;
	case PBFT_OUT_SNAPSHOT:
		p->snapshot = out->head.seq;
		break;
	case PBFT_OUT_FETCH_STATE:
		p->fetch = out->head.seq;
		p->fetch_app = out->digest;
		break;
	}
}

void peers_drain(struct peers *p)
{
	struct pbft_out out;

	while (!p->keep && pbft_ready(p->core, &out, 1)) {
		note(p, &out);
		pbft_out_release(&out);
	}
}

struct pbft_status peers_status(const struct peers *p)
{
	struct pbft_status st;

	pbft_status_get(p->core, &st);
	return st;
}

/* ---- messages ------------------------------------------------------------------------ */

static struct pbft_buf *build(struct peers *p, u8 type, u32 from, u64 view, u64 seq,
			      const void *body, u32 len)
{
	u32 whole = sizeof(struct pbft_hdr) + len;
	u32 auth = pbft_wire_auth_len(type, PEERS_N);
	struct pbft_buf *buf = pbft_buf_alloc(whole + auth);

	buf->len = whole + auth;
	memset(buf->data, 0, buf->len);
	pbft_wire_header((void *)buf->data, &p->id, type, whole, from, view, seq);
	memcpy(buf->data + sizeof(struct pbft_hdr), body, len);
	return buf;
}

static void die(const char *what)
{
	printf("Bail out! %s\n", what);
	exit(1);
}

static void deliver(struct peers *p, struct pbft_buf *buf, bool authentic)
{
	struct pbft_packet pkt = { .data = buf->data, .len = buf->len, .buf = buf };
	struct pbft_verdict v;

	memset(&v, authentic ? 0xff : 0, sizeof(v));
	if (pbft_wire_check(&p->id, buf->data, buf->len, &pkt.head) != PBFT_OK)
		die("a message of the test's is refused");
	alloc_fail(pkt.head.type == p->fail_type ? p->fail_nth : 0);
	pbft_step(p->core, p->now, &pkt, &v);
	alloc_fail(0);
	pbft_buf_put(buf);
	peers_drain(p);
}

void peers_send(struct peers *p, u8 type, u32 from, u64 view, u64 seq, const void *body,
		u32 len)
{
	deliver(p, build(p, type, from, view, seq, body, len), true);
}

void peers_vote(struct peers *p, u8 type, u32 from, u64 view, u64 seq,
		const struct pbft_digest *d)
{
	peers_send(p, type, from, view, seq, d, sizeof(*d));
}

static void request_body(struct pbft_request *m, u64 session, u32 op_len)
{
	m->session = cpu_to_le64(session);
	m->op_len = cpu_to_le32(op_len);
}

void peers_request(struct peers *p, u32 client, u64 t, u32 op_len)
{
	struct pbft_request *m = calloc(1, sizeof(*m) + op_len);

	request_body(m, 1, op_len);
	peers_send(p, PBFT_REQUEST, client, 0, t, &m->session,
		   sizeof(*m) - sizeof(m->hdr) + op_len);
	free(m);
}

void peers_relay(struct peers *p, u32 from, u32 client, u64 t, u32 op_len)
{
	struct pbft_request *m = calloc(1, sizeof(*m) + op_len);
	struct pbft_buf *buf;

	request_body(m, 1, op_len);
	buf = build(p, PBFT_REQUEST, client, 0, t, &m->session,
		    sizeof(*m) - sizeof(m->hdr) + op_len);
	peers_send(p, PBFT_RELAY, from, 0, 0, buf->data, buf->len);
	pbft_buf_put(buf);
	free(m);
}

static void checkpoint_digest(const struct peers *p, u64 seq, char app,
			      struct pbft_digest *out)
{
	struct pbft_digest a = app ? peers_digest(app) : (struct pbft_digest){};
	static const struct pbft_digest zero;

	pbft_checkpoint_digest(out, &p->id, seq, &a, &zero, 0);
}

void peers_checkpoint(struct peers *p, u32 from, u64 seq, char app)
{
	struct pbft_checkpoint m = { .app = peers_digest(app) };

	checkpoint_digest(p, seq, app, &m.digest);
	peers_send(p, PBFT_CHECKPOINT, from, 0, seq, (u8 *)&m + sizeof(m.hdr),
		   sizeof(m) - sizeof(m.hdr));
}

void peers_committed(struct peers *p, u32 from, u64 seq, const struct pbft_digest *d)
{
	u8 body[8 + sizeof(*d)] = { 1 };	/* count, reserved */

	memcpy(body + 8, d, sizeof(*d));
	peers_send(p, PBFT_COMMITTED, from, 0, seq, body, sizeof(body));
}

/* ---- batches -------------------------------------------------------------------------- */

static u64 number(const struct peers_batch *b, u32 i)
{
	return b->t + i * (b->skip + 1);
}

static void request_digest(const struct peers_batch *b, u32 i, struct pbft_digest *d)
{
	u8 *op = calloc(1, b->op_len + 1);

	pbft_request_digest(d, PEERS_CLIENT, b->session, number(b, i), op, b->op_len);
	free(op);
}

struct peers_batch peers_one(u64 seq, u64 t)
{
	return (struct peers_batch){ .seq = seq, .time = seq, .session = 1, .t = t,
				     .count = 1, .op_len = 8 };
}

struct pbft_digest peers_batch_digest(const struct peers_batch *b)
{
	struct pbft_digest req[PBFT_BATCH_MAX], d;
	u32 i;

	for (i = 0; i < b->count; i++)
		request_digest(b, i, &req[i]);
	pbft_batch_digest(&d, b->seq, b->time, req, b->count);
	return d;
}

static void put_entry(struct peers *p, const struct peers_batch *b, u32 i,
		      struct pbft_entry *e, u32 len)
{
	struct pbft_request *r = (void *)e->request;

	e->len = cpu_to_le32(len);
	e->client = cpu_to_le32(PEERS_CLIENT);
	e->session = cpu_to_le64(b->session);
	e->t = cpu_to_le64(number(b, i));
	request_digest(b, i, &e->digest);
	if (!len)
		return;
	pbft_wire_header(&r->hdr, &p->id, PBFT_REQUEST, sizeof(*r) + b->op_len,
			 PEERS_CLIENT, 0, number(b, i));
	request_body(r, b->session, b->op_len);
}

void peers_batch(struct peers *p, u8 type, u32 from, u64 view, const struct peers_batch *b,
		 bool authentic)
{
	u32 len = b->ref ? 0 : sizeof(struct pbft_request) + b->op_len +
			       PEERS_N * PBFT_MAC_LEN;
	u32 each = sizeof(struct pbft_entry) + ALIGN(len, 8), i;
	u32 size = sizeof(struct pbft_pre_prepare) + b->count * each;
	struct pbft_pre_prepare *m = calloc(1, size);

	m->digest = peers_batch_digest(b);
	m->time = cpu_to_le64(b->time);
	m->count = cpu_to_le32(b->count);
	for (i = 0; i < b->count; i++)
		put_entry(p, b, i, (void *)(m->entries + i * each), len);
	deliver(p, build(p, type, from, view, b->seq, (u8 *)m + sizeof(m->hdr),
			 size - sizeof(m->hdr)), authentic);
	free(m);
}

void peers_endorse(struct peers *p, u32 from, const struct peers_batch *b)
{
	struct pbft_endorse m = { .client = cpu_to_le32(PEERS_CLIENT),
				  .session = cpu_to_le64(b->session),
				  .t = cpu_to_le64(b->t) };

	request_digest(b, 0, &m.digest);
	peers_send(p, PBFT_ENDORSE, from, 0, 0, (u8 *)&m + sizeof(m.hdr),
		   sizeof(m) - sizeof(m.hdr));
}

void peers_nack(struct peers *p, u32 from, u64 view, const struct peers_batch *b)
{
	struct {
		struct pbft_digest digest;
		__le32 count, reserved, clients[2];
	} m = { .digest = peers_batch_digest(b), .count = cpu_to_le32(1),
		.clients = { cpu_to_le32(PEERS_CLIENT) } };

	peers_send(p, PBFT_NACK, from, view, b->seq, (const u8 *)&m, sizeof(m));
}

void peers_commit(struct peers *p, u64 view, const struct peers_batch *b)
{
	struct pbft_digest d = peers_batch_digest(b);
	u32 i;

	peers_batch(p, PBFT_PRE_PREPARE, view % PEERS_N, view, b, true);
	for (i = 1; i < PEERS_N; i++)
		if (i != view % PEERS_N)
			peers_vote(p, PBFT_PREPARE, i, view, b->seq, &d);
	for (i = 1; i < PEERS_N; i++)
		peers_vote(p, PBFT_COMMIT, i, view, b->seq, &d);
}

/* ---- view changes ---------------------------------------------------------------------- */

static struct pbft_buf *build_vc(struct peers *p, u32 from, u64 view,
				 const struct peers_vc *vc)
{
	u32 np = vc->p ? 1 : 0, nq = !!vc->q[0] + !!vc->q[1], i;
	u32 size = sizeof(struct pbft_view_change) + sizeof(struct pbft_vc_c) +
		   (np + nq) * sizeof(struct pbft_vc_pq);
	struct pbft_view_change *m = calloc(1, size);
	struct pbft_vc_c *cs = (void *)m->body;
	struct pbft_vc_pq *e = (void *)&cs[1];
	struct pbft_buf *buf;

	m->h = cpu_to_le64(vc->h);
	m->c_count = cpu_to_le32(1);
	m->p_count = cpu_to_le32(np);
	m->q_count = cpu_to_le32(nq);
	cs->seq = cpu_to_le64(vc->c);
	checkpoint_digest(p, vc->c, vc->c_app, &cs->digest);
	for (i = 0; i < np + nq; i++, e++) {
		bool is_p = i < np;

		e->seq = cpu_to_le64(vc->seq);
		e->view = cpu_to_le64(is_p ? vc->p_view : vc->q_view[i - np]);
		e->digest = is_p ? *vc->p : *vc->q[i - np];
	}
	buf = build(p, PBFT_VIEW_CHANGE, from, view, 0, (u8 *)m + sizeof(m->hdr),
		    size - sizeof(m->hdr));
	free(m);
	return buf;
}

static void send_ack(struct peers *p, u32 from, u32 origin, u64 view)
{
	struct pbft_vc_ack m = { .origin = cpu_to_le32(origin) };

	pbft_vc_digest(&m.digest, (const void *)last_vc[origin]->data);
	peers_send(p, PBFT_VIEW_CHANGE_ACK, from, view, 0, (u8 *)&m + sizeof(m.hdr),
		   sizeof(m) - sizeof(m.hdr));
}

void peers_view_changes(struct peers *p, u64 view, const struct peers_vc vc[3])
{
	u32 i, j;

	for (i = 1; i < PEERS_N; i++) {
		struct pbft_buf *buf = build_vc(p, i, view, &vc[i - 1]);

		pbft_buf_put(last_vc[i]);
		last_vc[i] = pbft_buf_get(buf);
		deliver(p, buf, true);
	}
	for (i = 1; i < PEERS_N; i++)
		for (j = 1; j < PEERS_N; j++)
			if (i != j && j != view % PEERS_N)
				send_ack(p, j, i, view);
}

void peers_new_view(struct peers *p, u64 view, u64 base, char base_app,
		    const struct pbft_digest *x)
{
	u32 size = sizeof(struct pbft_new_view) + 3 * sizeof(struct pbft_nv_v) +
		   (x ? sizeof(*x) : 0), i;
	struct pbft_new_view *m = calloc(1, size);
	struct pbft_nv_v *v = (void *)m->body;

	m->base = cpu_to_le64(base);
	checkpoint_digest(p, base, base_app, &m->base_digest);
	m->v_count = cpu_to_le32(3);
	m->x_count = cpu_to_le32(x ? 1 : 0);
	for (i = 0; i < 3; i++) {
		u32 origin = p->repeat_v && i ? i : i + 1;

		v[i].origin = cpu_to_le32(origin);
		pbft_vc_digest(&v[i].digest, (const void *)last_vc[origin]->data);
	}
	if (x)
		memcpy(&v[3], x, sizeof(*x));
	peers_send(p, PBFT_NEW_VIEW, view % PEERS_N, view, 0, (u8 *)m + sizeof(m->hdr),
		   size - sizeof(m->hdr));
	free(m);
}

void peers_enter(struct peers *p, u64 view, u64 base, char app)
{
	struct peers_vc vc = { .c = base, .c_app = app }, all[3] = { vc, vc, vc };

	peers_view_changes(p, view, all);
	peers_new_view(p, view, base, app, NULL);
}

int peers_execute(struct peers *p, u64 seq, u32 len)
{
	static const u8 zeros[8];
	struct pbft_result r = { PBFT_ST_OK, len, zeros };

	return pbft_executed(p->core, p->now, seq, &r, 1);
}

void peers_run_to(struct peers *p, u64 last)
{
	u64 seq;

	peers_enter(p, 1, 0, 0);
	for (seq = 1; seq <= last; seq++) {
		struct peers_batch b = peers_one(seq, seq);

		peers_commit(p, 1, &b);
		peers_execute(p, seq, 8);
		peers_drain(p);
	}
}
