// SPDX-License-Identifier: GPL-2.0
/* How each type of message is falsified. Digests over the parts are made anew. */
#include "byz.h"
#include "ghost.h"

static bool flip(struct byz_lie *l, u32 ppm)
{
	return prng_chance(&l->rng, ppm);
}

static u64 pick(struct byz_lie *l, u64 n)
{
	return prng_below(&l->rng, n);
}

static void set_len(struct byz_lie *l, u32 len)
{
	byz_hdr(l)->length = cpu_to_le32(len);
}

/* ---- PRE-PREPARE ---------------------------------------------------------- */

static u32 entry_len(const struct pbft_entry *e)
{
	return sizeof(*e) + ALIGN(le32_to_cpu(e->len), 8);
}

/* A request in the name of an honest client, with MACs that are nobody's. */
static u32 forge_entry(struct byz_lie *l, struct pbft_entry *e)
{
	struct sim *sim = l->sim;
	u32 client = PBFT_CLIENT_ID_MIN + pick(l, sim->client_count);
	struct kv_op op = { .kind = KV_PUT, .key = 0, .a = cpu_to_le64(0xbad) };
	u64 t = 1 + pick(l, sim->plan.ops + 1);
	struct pbft_buf *buf;

	buf = client_request(sim, client, 1, t, &op, sizeof(op), 0, (1ull << sim->id.n) - 1);
	memset(e, 0, sizeof(*e) + ALIGN(buf->len, 8));
	e->len = cpu_to_le32(buf->len);
	e->client = cpu_to_le32(client);
	e->session = cpu_to_le64(1);
	e->t = cpu_to_le64(t);
	pbft_request_digest(&e->digest, client, 1, t, &op, sizeof(op));
	memcpy(e->request, buf->data, buf->len);
	pbft_buf_put(buf);
	return entry_len(e);
}

static void batch_digest(struct pbft_pre_prepare *m)
{
	static struct pbft_digest reqs[PBFT_BATCH_MAX];
	u32 i, count = le32_to_cpu(m->count);
	const struct pbft_entry *e = (const void *)m->entries;

	for (i = 0; i < count; i++) {
		reqs[i] = e->digest;
		e = (const void *)((const u8 *)e + entry_len(e));
	}
	pbft_batch_digest(&m->digest, le64_to_cpu(m->hdr.seq), le64_to_cpu(m->time),
			  reqs, count);
}

static void remember_variant(struct byz_lie *l, const struct pbft_digest *d)
{
	struct pbft_pre_prepare *m = (void *)l->msg;
	u64 seq = le64_to_cpu(m->hdr.seq);
	struct byz_variant *v = &l->sim->byz.variants[seq % BYZ_VARIANTS];

	v->view = le64_to_cpu(m->hdr.view);
	v->seq = seq;
	v->d = *d;
	v->d2 = m->digest;
	byz_learn(l->sim, seq, &m->digest);
}

void lie_pre_prepare(struct byz_lie *l)
{
	struct pbft_pre_prepare *m = (void *)l->msg;
	struct pbft_entry *first = (void *)m->entries, *end;
	u32 count = le32_to_cpu(m->count), len = le32_to_cpu(m->hdr.length), cut;
	struct pbft_digest was = m->digest;

	switch (pick(l, 6)) {
	case 0:			/* nothing at all */
		m->count = 0;
		set_len(l, sizeof(*m));
		break;
	case 1:			/* without the first request */
		if (!count)
			break;
		cut = entry_len(first);
		memmove(first, (u8 *)first + cut, len - sizeof(*m) - cut);
		m->count = cpu_to_le32(count - 1);
		set_len(l, len - cut);
		break;
	case 2:			/* another time */
		m->time = cpu_to_le64(le64_to_cpu(m->time) + 1 - pick(l, 3) * SEC);
		break;
	case 3:			/* the first request twice */
		if (!count || len + entry_len(first) > BYZ_LIE_MAX / 2)
			break;
		memcpy(l->msg + len, first, entry_len(first));
		m->count = cpu_to_le32(count + 1);
		set_len(l, len + entry_len(first));
		break;
	case 4:			/* a digest that is nobody's */
		m->digest.b[0] ^= 1;
		return;
	case 5:
		if (!byz_has(l->sim, BYZ_FORGE) || count >= PBFT_BATCH_MAX)
			break;
		end = (void *)(l->msg + len);
		set_len(l, len + forge_entry(l, end));
		m->count = cpu_to_le32(count + 1);
		break;
	}
	batch_digest(m);
	if (!pbft_digest_eq(&was, &m->digest))
		remember_variant(l, &was);
}

static void genesis_digest(struct sim *sim, struct pbft_digest *out)
{
	struct pbft_digest none;

	memset(&none, 0, sizeof(none));
	pbft_checkpoint_digest(out, &sim->id, 0, &none, &none, 0);
}

/* ---- VIEW-CHANGE ------------------------------------------------------------ */

#define PARTS 4200

static struct {
	struct pbft_vc_c c[64];
	struct pbft_vc_pq p[1100], q[PARTS];
	u32 cs, ps, qs;
} vc;

static void vc_parse(const struct pbft_view_change *m)
{
	const u8 *p = m->body;

	vc.cs = le32_to_cpu(m->c_count);
	vc.ps = le32_to_cpu(m->p_count);
	vc.qs = le32_to_cpu(m->q_count);
	memcpy(vc.c, p, vc.cs * sizeof(vc.c[0]));
	p += vc.cs * sizeof(vc.c[0]);
	memcpy(vc.p, p, vc.ps * sizeof(vc.p[0]));
	p += vc.ps * sizeof(vc.p[0]);
	memcpy(vc.q, p, vc.qs * sizeof(vc.q[0]));
}

static void vc_build(struct byz_lie *l)
{
	struct pbft_view_change *m = (void *)l->msg;
	u8 *p = m->body;

	m->c_count = cpu_to_le32(vc.cs);
	m->p_count = cpu_to_le32(vc.ps);
	m->q_count = cpu_to_le32(vc.qs);
	memcpy(p, vc.c, vc.cs * sizeof(vc.c[0]));
	p += vc.cs * sizeof(vc.c[0]);
	memcpy(p, vc.p, vc.ps * sizeof(vc.p[0]));
	p += vc.ps * sizeof(vc.p[0]);
	memcpy(p, vc.q, vc.qs * sizeof(vc.q[0]));
	p += vc.qs * sizeof(vc.q[0]);
	set_len(l, p - l->msg);
}

/* Replace what is said about @seq in a list; count 0 just removes. */
static u32 replace(struct pbft_vc_pq *list, u32 count, u64 seq,
		   const struct pbft_vc_pq *with, u32 with_count)
{
	u32 lo = 0, hi;

	while (lo < count && le64_to_cpu(list[lo].seq) < seq)
		lo++;
	for (hi = lo; hi < count && le64_to_cpu(list[hi].seq) == seq; hi++)
		;
	memmove(list + lo + with_count, list + hi, (count - hi) * sizeof(*list));
	if (with_count)
		memcpy(list + lo, with, with_count * sizeof(*with));
	return count - (hi - lo) + with_count;
}

/* Claim to have prepared something convenient, as late as possible. */
static void forge_p(struct byz_lie *l, u64 h, u64 view)
{
	const struct sim_byz *b = &l->sim->byz;
	u32 known = min_t(u32, b->digest_count, BYZ_DIGESTS), i = known ? pick(l, known) : 0;
	bool aimed = known && flip(l, 700000) && b->digest_seqs[i] > h &&
		     b->digest_seqs[i] <= h + l->sim->plan.cfg.l;
	u64 seq = aimed ? b->digest_seqs[i] : h + 1 + pick(l, l->sim->plan.cfg.l);
	struct pbft_vc_pq e = {
		.seq = cpu_to_le64(seq),
		.view = cpu_to_le64(view - 1 - pick(l, min_t(u64, view, 3))),
		.digest = *byz_known_digest(l->sim, &l->rng),
	}, twice[3];

	if (aimed && flip(l, 700000))
		e.digest = b->digests[i];
	for (i = 0; i < 3; i++)
		twice[i] = e;
	if (vc.ps > 1000 || vc.qs > 4000)
		return;
	vc.ps = replace(vc.p, vc.ps, seq, &e, 1);
	/* with its Q; or the same digest several times, to be counted as many */
	vc.qs = replace(vc.q, vc.qs, seq, twice, flip(l, 800000) ? 1 : 3);
}

static void deny(struct byz_lie *l)
{
	u64 seq;

	if (!vc.qs)
		return;
	seq = le64_to_cpu(vc.q[pick(l, vc.qs)].seq);
	vc.ps = replace(vc.p, vc.ps, seq, NULL, 0);
	if (flip(l, 700000))
		vc.qs = replace(vc.q, vc.qs, seq, NULL, 0);
}

static void forge_c(struct byz_lie *l, u64 h)
{
	u32 i;

	if (vc.cs && flip(l, 500000)) {
		i = pick(l, vc.cs);
		vc.c[i].digest.b[1] ^= flip(l, 500000);
		if (flip(l, 300000))
			vc.cs--;
		return;
	}
	if (vc.cs >= 60)
		return;
	vc.c[vc.cs].seq = cpu_to_le64((h / l->sim->plan.cfg.k + 1 + pick(l, 4)) *
				      l->sim->plan.cfg.k);
	memset(&vc.c[vc.cs].digest, 0x77, sizeof(vc.c[0].digest));
	vc.cs++;
}

/* Nothing happened, and a base below is as good as any. */
static u64 deny_all(struct byz_lie *l, u64 h)
{
	u64 k = l->sim->plan.cfg.k;
	struct ghost_slot *s;

	vc.ps = 0;
	vc.qs = 0;
	if (h < k || h - k >= l->sim->ghost->slot_count || vc.cs >= 60 || flip(l, 500000))
		return h;
	s = ghost_slot(l->sim->ghost, h - k);
	if (h > k && !s->checkpointed)
		return h;
	memmove(&vc.c[1], &vc.c[0], vc.cs++ * sizeof(vc.c[0]));
	vc.c[0].seq = cpu_to_le64(h - k);
	if (h > k)
		vc.c[0].digest = s->ck;
	else
		genesis_digest(l->sim, &vc.c[0].digest);
	return h - k;
}

void lie_view_change(struct byz_lie *l)
{
	struct pbft_view_change *m = (void *)l->msg;
	u64 h = le64_to_cpu(m->h), view = le64_to_cpu(m->hdr.view);
	u32 times = 1 + pick(l, 3);

	vc_parse(m);
	if (byz_has(l->sim, BYZ_DENY)) {
		h = deny_all(l, h);
		times = byz_has(l->sim, BYZ_VIEW_CHANGE) && flip(l, 300000);
	}
	while (times--) {
		switch (pick(l, 8)) {
		case 0:
			vc.ps = 0;
			break;
		case 1:
			vc.ps = 0;
			vc.qs = 0;
			break;
		case 2:
		case 3:
			forge_p(l, h, view);
			break;
		case 4:
			deny(l);
			break;
		case 5:
			forge_c(l, h);
			break;
		case 6:		/* stable where it is not */
			h += l->sim->plan.cfg.k * (1 + pick(l, 3));
			if (flip(l, 200000))
				h = 1ull << 62;
			break;
		case 7:
			h = h > l->sim->plan.cfg.k ? h - l->sim->plan.cfg.k : 0;
			break;
		}
	}
	m->h = cpu_to_le64(h);
	vc_build(l);
}

/* ---- NEW-VIEW ------------------------------------------------------------------ */

void lie_new_view(struct byz_lie *l)
{
	struct pbft_new_view *m = (void *)l->msg;
	u32 vs = le32_to_cpu(m->v_count), xs = le32_to_cpu(m->x_count);
	struct pbft_nv_v *v = (void *)m->body;
	struct pbft_digest *x = (void *)(m->body + vs * sizeof(*v));
	u32 len = le32_to_cpu(m->hdr.length);
	u64 k = l->sim->plan.cfg.k, base = le64_to_cpu(m->base);

	switch (pick(l, 7)) {
	case 0:			/* nothing happened here */
		if (xs)
			pbft_null_digest(&x[pick(l, xs)]);
		break;
	case 1:			/* something else did */
		if (xs)
			x[pick(l, xs)] = *byz_known_digest(l->sim, &l->rng);
		break;
	case 2:			/* the tail cut off */
		if (xs) {
			m->x_count = cpu_to_le32(xs - 1);
			set_len(l, len - sizeof(*x));
		}
		break;
	case 3:			/* the tail longer */
		x[xs] = *byz_known_digest(l->sim, &l->rng);
		m->x_count = cpu_to_le32(xs + 1);
		set_len(l, len + sizeof(*x));
		break;
	case 4:
		m->base = cpu_to_le64(flip(l, 500000) ? base + k : base >= k ? base - k : 0);
		break;
	case 5:			/* too few, or one of them twice */
		if (flip(l, 500000) && vs > 1) {
			v[vs - 1] = v[0];
		} else if (vs) {
			memmove(v, v + 1, (vs - 1) * sizeof(*v) + xs * sizeof(*x));
			m->v_count = cpu_to_le32(vs - 1);
			set_len(l, len - sizeof(*v));
		}
		break;
	case 6:
		if (vs)
			v[pick(l, vs)].digest.b[0] ^= 1;
		break;
	}
}

/* ---- the rest --------------------------------------------------------------------- */

void lie_checkpoint(struct byz_lie *l)
{
	struct pbft_checkpoint *m = (void *)l->msg;
	u64 seq = le64_to_cpu(m->hdr.seq);

	switch (pick(l, 4)) {
	case 0:
		m->app.b[0] ^= 1;
		break;
	case 1:
		m->flags ^= cpu_to_le32(PBFT_CK_STABLE);
		break;
	case 2:
		seq += l->sim->plan.cfg.k * (1 + pick(l, 3));
		m->hdr.seq = cpu_to_le64(seq);
		break;
	case 3:
		m->digest.b[3] ^= 1;
		return;
	}
	pbft_checkpoint_digest(&m->digest, &l->sim->id, seq, &m->app, &m->chain,
			       le64_to_cpu(m->time));
}

void lie_committed(struct byz_lie *l)
{
	struct pbft_committed *m = (void *)l->msg;

	if (l->face)
		m->digests[pick(l, le32_to_cpu(m->count))] =
			*byz_known_digest(l->sim, &l->rng);
}

void lie_reply(struct byz_lie *l)
{
	struct pbft_reply *m = (void *)l->msg;
	u32 len = le32_to_cpu(m->result_len);

	switch (pick(l, 4)) {
	case 0:
		if (len)
			m->result[pick(l, len)] ^= 1;
		pbft_result_digest(&m->result_digest, m->status, m->result, len);
		break;
	case 1:
		m->status = pick(l, 5);
		pbft_result_digest(&m->result_digest, m->status, m->result, len);
		break;
	case 2:
		m->hdr.view = cpu_to_le64(le64_to_cpu(m->hdr.view) + pick(l, 1000));
		break;
	case 3:
		m->t = cpu_to_le64(le64_to_cpu(m->t) + 1);
		break;
	}
}

void lie_status(struct byz_lie *l)
{
	struct pbft_status_msg *m = (void *)l->msg;

	/* not the same lie each time: a STATUS is never sent twice */
	prng_seed(&l->rng, prng_u64(&l->sim->rng_byz), 0);
	switch (pick(l, 6)) {
	case 0:
		m->h = cpu_to_le64(le64_to_cpu(m->h) + l->sim->plan.cfg.k * pick(l, 5));
		break;
	case 1:
		m->h = 0;
		m->hdr.seq = 0;
		break;
	case 2:
		m->hdr.view = cpu_to_le64(le64_to_cpu(m->hdr.view) + pick(l, 3));
		break;
	case 3:
		m->flags ^= cpu_to_le32(1u << pick(l, 3));
		break;
	case 4:
		m->vc_need = cpu_to_le64(prng_u64(&l->rng));
		m->vc_have = cpu_to_le64(prng_u64(&l->rng));
		break;
	case 5:
		memset(m->map, (int)pick(l, 256),
		       le32_to_cpu(m->hdr.length) - sizeof(*m));
		break;
	}
}

void lie_ack(struct byz_lie *l)
{
	struct pbft_vc_ack *m = (void *)l->msg;

	if (l->face)
		m->digest.b[0] ^= 1;
	else if (flip(l, 200000))
		m->origin = cpu_to_le32(pick(l, l->sim->id.n));
}

void lie_reply_stable(struct byz_lie *l)
{
	struct pbft_reply_stable *m = (void *)l->msg;
	u64 k = l->sim->plan.cfg.k;

	switch (pick(l, 4)) {
	case 0:
		m->hdr.seq = 0;
		m->prepared = 0;
		m->hdr.view = 0;
		break;
	case 1:
		m->hdr.seq = cpu_to_le64(k << pick(l, 40));
		m->prepared = cpu_to_le64(k << pick(l, 40));
		break;
	case 2:
		m->hdr.view = cpu_to_le64(1ull << pick(l, 40));
		break;
	case 3:
		m->prepared = 0;
		break;
	}
}

/* One small step off, in the manner of ByzzFuzz. */
void lie_fields(struct byz_lie *l)
{
	struct pbft_hdr *h = byz_hdr(l);
	struct prng *r = &l->sim->rng_byz;
	u64 step = prng_chance(r, 500000) ? 1 : -1ull;

	switch (prng_below(r, 4)) {
	case 0:
		h->view = cpu_to_le64(le64_to_cpu(h->view) + step);
		break;
	case 1:
		h->seq = cpu_to_le64(le64_to_cpu(h->seq) + step);
		break;
	case 2:
		if (h->type == PBFT_PREPARE || h->type == PBFT_COMMIT)
			((struct pbft_vote *)h)->digest = *byz_known_digest(l->sim, r);
		break;
	case 3:
		if (le32_to_cpu(h->length) > sizeof(*h))
			l->msg[prng_range(r, sizeof(*h), le32_to_cpu(h->length) - 1)] ^=
				1u << prng_below(r, 8);
		break;
	}
}
