// SPDX-License-Identifier: GPL-2.0
/*
 * Clients written for the simulator: several operations outstanding, a result
 * accepted on f + 1 matching replies, retransmission to all with back-off, the
 * view followed. What a correct client did and saw becomes history for the
 * linearizability check.
 */
#include <stdlib.h>
#include "sim.h"

static u64 resend_first(const struct sim *sim)
{
	return sim->plan.cfg.t_base / 2;
}

static void wake_at(struct sim_client *c, u64 at)
{
	if (c->timer_at > c->sim->now && c->timer_at <= at)
		return;
	c->timer_at = at;
	sim_event_add(c->sim, at, SIM_EV_CLIENT, c->id);
}

void client_init(struct sim_client *c, u32 id, bool byz)
{
	c->id = id;
	c->byz = byz;
	c->session = 1;
	c->next_t = 1;
	c->quota = c->sim->plan.ops;
	c->ops = calloc(c->sim->plan.ops + 1, sizeof(*c->ops));
	c->next_issue = prng_below(&c->sim->rng_client, 100 * MS);
	if (!byz)
		wake_at(c, c->next_issue);
}

bool client_done(const struct sim_client *c)
{
	return c->byz || (!c->outstanding && c->issued >= c->quota);
}

struct sim_op *client_op(struct sim *sim, u32 client, u64 session, u64 t)
{
	struct sim_client *c = &sim->clients[client - PBFT_CLIENT_ID_MIN];
	u32 i;

	for (i = c->op_count; i--; ) {
		struct sim_op *op = &sim->ops[c->ops[i]];

		if (op->session < session)
			return NULL;
		if (op->session == session && op->t <= t)
			return op->t == t ? op : NULL;
	}
	return NULL;
}

/* ---- requests ----------------------------------------------------------- */

/* All of it: a liar who turns over bits of what it repeats would find a single one. */
static void spoil_mac(u8 *mac)
{
	u32 i;

	for (i = 0; i < PBFT_MAC_LEN; i++)
		mac[i] ^= 0xff;
}

struct pbft_buf *client_request(struct sim *sim, u32 client, u64 session, u64 t,
				const void *op, u32 len, u8 replier, u64 bad)
{
	struct pbft_buf *raw = sim_buf(sizeof(struct pbft_request) + len), *sealed;
	struct pbft_request *m = (void *)raw->data;

	memset(m, 0, sizeof(*m));
	pbft_wire_header(&m->hdr, &sim->id, PBFT_REQUEST, sizeof(*m) + len, client, 0, t);
	m->session = cpu_to_le64(session);
	m->replier = replier;
	m->op_len = cpu_to_le32(len);
	memcpy(m->op, op, len);
	sealed = auth_seal(sim, m, client, 0);
	pbft_buf_put(raw);
	for (; bad; bad &= bad - 1)
		spoil_mac(sealed->data + sealed->len -
			  (sim->id.n - __ffs64(bad)) * PBFT_MAC_LEN);
	return sealed;
}

static void op_bytes(const struct sim_op *op, u8 *out)
{
	struct kv_op k = {
		.kind = op->kind, .key = op->key, .want = cpu_to_le16(op->want),
		.a = cpu_to_le64(op->a), .b = cpu_to_le64(op->b),
	};

	memcpy(out, &k, sizeof(k));
	memset(out + sizeof(k), 0x5a, op->len - sizeof(k));
}

static void transmit(struct sim_client *c, struct client_slot *s, bool to_all)
{
	struct sim *sim = c->sim;
	struct sim_op *op = &sim->ops[s->op];
	static u8 bytes[PBFT_OP_MAX];
	u8 replier = to_all ? PBFT_REPLIER_ALL : (op->t + c->id) % sim->id.n;
	struct pbft_buf *buf;
	u32 i;

	op_bytes(op, bytes);
	buf = client_request(sim, c->id, op->session, op->t, bytes, op->len, replier, 0);
	trace(sim, "%s sends request %llu.%llu %s key %u%s", trace_end(c->id),
	      (unsigned long long)op->session, (unsigned long long)op->t,
	      op->kind == KV_GET ? "get" : op->kind == KV_PUT ? "put" : "cas", op->key,
	      to_all ? " to all" : "");
	if (to_all || op->len > sim->plan.cfg.inline_max)
		for (i = 0; i < sim->id.n; i++)
			net_send(sim, c->id, i, pbft_buf_get(buf));
	else
		net_send(sim, c->id, c->view % sim->id.n, pbft_buf_get(buf));
	pbft_buf_put(buf);
}

/* Values are never written twice, so that a history has few explanations. */
static void choose_op(struct sim_client *c, struct sim_op *op)
{
	struct sim *sim = c->sim;
	struct prng *r = &sim->rng_client;
	u32 i;

	op->key = prng_below(r, sim->plan.keys);
	op->kind = prng_below(r, 10) < 3 ? KV_GET : prng_below(r, 10) < 5 ? KV_PUT : KV_CAS;
	op->want = prng_chance(r, 200000) ? prng_below(r, 500) : 0;
	op->a = (u64)c->id << 32 | (c->issued + 1);
	if (op->kind == KV_CAS) {
		op->b = op->a;
		op->a = 0;
		for (i = c->op_count; i-- && !op->a; ) {
			const struct sim_op *old = &sim->ops[c->ops[i]];

			if (old->key == op->key && old->done)
				op->a = old->kind == KV_PUT ? old->a : old->value;
		}
	}
	op->len = sizeof(struct kv_op) + prng_below(r, 40);
	if (prng_chance(r, sim->plan.big_ppm))
		op->len += sim->plan.cfg.inline_max + prng_below(r, 2000);
}

static void issue(struct sim_client *c)
{
	struct sim *sim = c->sim;
	struct client_slot *s = &c->slots[c->next_t % PBFT_CLIENT_WINDOW];
	static u8 bytes[PBFT_OP_MAX];
	struct sim_op *op;

	if (sim->op_count == sim->op_cap) {
		sim->op_cap = sim->op_cap ? 2 * sim->op_cap : 256;
		sim->ops = realloc(sim->ops, sim->op_cap * sizeof(*sim->ops));
	}
	op = &sim->ops[sim->op_count];
	memset(op, 0, sizeof(*op));
	choose_op(c, op);
	op->client = c->id;
	op->session = c->session;
	op->t = c->next_t++;
	op->invoke = sim->now;
	op_bytes(op, bytes);
	pbft_request_digest(&op->digest, c->id, op->session, op->t, bytes, op->len);
	c->ops[c->op_count++] = sim->op_count;

	memset(s, 0, sizeof(*s));
	s->busy = true;
	s->t = op->t;
	s->op = sim->op_count++;
	s->resend_after = resend_first(sim);
	s->resend_at = sim->now + s->resend_after;
	c->issued++;
	c->outstanding++;
	transmit(c, s, false);
}

/* Room for one more: in number, and in the distance from the oldest open one. */
static bool may_issue(const struct sim_client *c)
{
	return c->issued < c->quota && c->outstanding < c->sim->plan.window &&
	       !c->slots[c->next_t % PBFT_CLIENT_WINDOW].busy;
}

void client_timer(struct sim_client *c)
{
	struct sim *sim = c->sim;
	u64 next = U64_MAX;
	u32 i;

	if (c->byz || sim->now < c->timer_at)
		return;
	c->timer_at = 0;
	if (sim->now >= c->next_issue && may_issue(c)) {
		issue(c);
		c->next_issue = sim->now + prng_below(&sim->rng_client, 2 * sim->plan.think + 1);
	}
	if (may_issue(c))
		next = c->next_issue;
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++) {
		struct client_slot *s = &c->slots[i];

		if (!s->busy)
			continue;
		if (sim->now >= s->resend_at) {
			s->resend_after = min(2 * s->resend_after, sim->plan.cfg.t_max);
			s->resend_at = sim->now + s->resend_after +
				       prng_below(&sim->rng_client, s->resend_after / 4);
			transmit(c, s, true);
		}
		next = min(next, s->resend_at);
	}
	if (next != U64_MAX)
		wake_at(c, max(next, sim->now + 1));
}

/* A rebooted client has forgotten its session and opens the next. */
void client_reboot(struct sim_client *c)
{
	if (c->byz)
		return;
	trace(c->sim, "%s reboots", trace_end(c->id));
	memset(c->slots, 0, sizeof(c->slots));
	c->abandoned += c->outstanding;
	c->outstanding = 0;
	c->session++;
	c->next_t = 1;
	c->view = 0;
	wake_at(c, c->sim->now + 1);
}

/* ---- replies --------------------------------------------------------------- */

static void complete(struct sim_client *c, struct client_slot *s, u8 status)
{
	struct sim *sim = c->sim;
	struct sim_op *op = &sim->ops[s->op];

	op->done = sim->now;
	op->status = status;
	op->value = s->full.value;
	op->cas_done = s->full.done;
	s->busy = false;
	c->outstanding--;
	c->completed++;
	trace(sim, "%s completes %llu.%llu status %u value %llx", trace_end(c->id),
	      (unsigned long long)op->session, (unsigned long long)op->t, status,
	      (unsigned long long)op->value);
	if (status != PBFT_ST_OK)
		sim_violation(sim, "client %u: operation %llu.%llu ends with status %u",
			      c->id, (unsigned long long)op->session,
			      (unsigned long long)op->t, status);
	wake_at(c, max(c->next_issue, sim->now + 1));
}

static int cmp_u64(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

/* f + 1 equal replies? Then this is the result, once somebody sent all of it. */
static void count_votes(struct sim_client *c, struct client_slot *s,
			const struct client_vote *v)
{
	struct sim *sim = c->sim;
	u64 views[PBFT_N_MAX];
	u32 i, same = 0;

	for (i = 0; i < sim->id.n; i++)
		if (s->votes[i].have && s->votes[i].status == v->status &&
		    pbft_digest_eq(&s->votes[i].digest, &v->digest))
			views[same++] = s->votes[i].view;
	if (same < sim->plan.cfg.f + 1)
		return;
	qsort(views, same, sizeof(views[0]), cmp_u64);
	c->view = views[same / 2];
	if (v->status == PBFT_ST_OUT_OF_ORDER) {
		s->resend_at = sim->now + 1;
		memset(s->votes, 0, sizeof(s->votes));
		wake_at(c, s->resend_at);
		return;
	}
	if (s->full_mask && pbft_digest_eq(&s->full_digest, &v->digest))
		complete(c, s, v->status);
}

static bool take_full(struct client_slot *s, const struct pbft_reply *m, u32 from)
{
	u32 len = le32_to_cpu(m->result_len);
	struct kv_result r;
	struct pbft_digest d;

	if (m->flags & PBFT_REPLY_DIGEST_ONLY)
		return true;
	pbft_result_digest(&d, m->status, m->result, len);
	if (!pbft_digest_eq(&d, &m->result_digest))
		return false;
	if (s->full_mask && pbft_digest_eq(&s->full_digest, &d))
		return true;
	memset(&r, 0, sizeof(r));
	memcpy(&r, m->result, min_t(u32, len, sizeof(r)));
	s->full_mask = 1ull << from;
	s->full_digest = d;
	s->full.value = le64_to_cpu(r.value);
	s->full.done = le64_to_cpu(r.done);
	return true;
}

static void take_reply(struct sim_client *c, const struct pbft_head *head,
		       const struct pbft_reply *m)
{
	struct client_slot *s = &c->slots[le64_to_cpu(m->t) % PBFT_CLIENT_WINDOW];
	struct client_vote *v = &s->votes[head->sender];

	if (le32_to_cpu(m->client) != c->id || le64_to_cpu(m->session) != c->session ||
	    !s->busy || s->t != le64_to_cpu(m->t) || m->flags & PBFT_REPLY_TENTATIVE)
		return;
	if (v->have && v->status != PBFT_ST_OUT_OF_ORDER &&
	    m->status == PBFT_ST_OUT_OF_ORDER)
		return;
	if (!take_full(s, m, head->sender))
		return;
	v->have = true;
	v->status = m->status;
	v->view = head->view;
	v->digest = m->result_digest;
	count_votes(c, s, v);
}

/* Takes the reference. */
void client_receive(struct sim_client *c, struct pbft_buf *buf)
{
	struct pbft_head head;

	if (!c->byz &&
	    pbft_wire_check(&c->sim->id, buf->data, buf->len, &head) == PBFT_OK &&
	    head.type == PBFT_REPLY && auth_check(c->sim, buf->data, buf->len, c->id))
		take_reply(c, &head, (const void *)buf->data);
	pbft_buf_put(buf);
}

/* ---- faulty clients ----------------------------------------------------------- */

/*
 * Different operations under one number for different replicas, entries of the
 * authenticator that only some can verify, gaps, and sessions that jump about.
 */
void client_byz_act(struct sim_client *c)
{
	struct sim *sim = c->sim;
	struct prng *r = &sim->rng_byz;
	u64 all = (1ull << sim->id.n) - 1, t = c->next_t, i;
	bool split = prng_chance(r, 400000);
	u64 bad = prng_chance(r, 500000) ? prng_u64(r) & all : 0;
	struct pbft_buf *buf[2];
	struct kv_op op[2];

	if (prng_chance(r, 200000))
		t += prng_below(r, 4);
	else if (prng_chance(r, 200000))
		t -= prng_below(r, min_t(u64, t, 4));
	if (prng_chance(r, 20000)) {
		c->session++;
		t = c->next_t = 1;
	}
	if (!t)
		t = 1;
	for (i = 0; i < 2; i++) {
		memset(&op[i], 0, sizeof(op[i]));
		op[i].kind = KV_PUT;
		op[i].key = KV_KEYS - 1 - prng_below(r, KV_WILD);
		op[i].a = cpu_to_le64(prng_u64(r));
		buf[i] = client_request(sim, c->id, c->session, t, &op[i],
					prng_chance(r, 50000) ? 3 : sizeof(op[i]),
					prng_below(r, sim->id.n), bad);
	}
	for (i = 0; i < sim->id.n; i++)
		if (prng_chance(r, 600000))
			net_send(sim, c->id, i,
				 pbft_buf_get(buf[split && prng_chance(r, 500000)]));
	pbft_buf_put(buf[0]);
	pbft_buf_put(buf[1]);
	if (prng_chance(r, 700000))
		c->next_t = t + 1;
}
