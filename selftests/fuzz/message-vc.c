// SPDX-License-Identifier: GPL-2.0
/* Made-up VIEW-CHANGEs, and NEW-VIEWs, right or wrong, that rest on them. */
#include "world.h"
#include "core/decide.h"

#define C_MAX	4
#define PQ_MAX	24	/* sequence numbers; 15 in a VIEW-CHANGE */

struct parts {
	u32 nc, np, nq;
	struct pbft_vc_c c[C_MAX];
	struct pbft_vc_pq p[PQ_MAX], q[PQ_MAX * PBFT_Q_RING];
};

static void put_pq(struct pbft_vc_pq *e, u64 seq, u64 view,
		   const struct pbft_digest *d)
{
	e->seq = cpu_to_le64(seq);
	e->view = cpu_to_le64(view);
	e->digest = *d;
}

static u64 below(u64 view, u32 by)
{
	return view > by ? view - 1 - by : 0;
}

/* Checkpoints from @h: mostly those that the core has, or will have. */
static void pick_c(struct fuzz_world *w, struct parts *a, u64 h, u8 bits)
{
	struct pbft_log_head head;
	struct pbft_digest app;
	u32 i;

	for (i = 0; i < C_MAX; i++) {
		u64 seq = h + (u64)i * w->k;

		if (!(bits >> i & 1))
			continue;
		world_head(w, seq, &head);
		world_app(&head, &app);
		a->c[a->nc].seq = cpu_to_le64(seq);
		if (seq)
			pbft_checkpoint_digest(&a->c[a->nc].digest, &w->id, seq, &app,
					       &head.chain, head.time);
		else
			a->c[a->nc].digest = w->genesis_d;
		if (bits & 0x80)
			a->c[a->nc].digest = *world_digest(w);
		a->nc++;
	}
}

/* Claims at one sequence number: a P with its Q, and further Qs below it. */
static void pick_slot(struct fuzz_world *w, struct parts *a, u64 seq, u64 view)
{
	u8 b = fuzz_u8(&w->in);
	const struct pbft_digest *d;
	u32 n = 1 + (b >> 1) % PBFT_Q_RING, i;

	if (!(b & 1))
		return;
	d = world_digest(w);
	if (b & 8)
		put_pq(&a->p[a->np++], seq, below(view, b >> 6), d);
	put_pq(&a->q[a->nq++], seq, below(view, b >> 7), d);
	for (i = 1; i < n; i++)
		put_pq(&a->q[a->nq++], seq, below(view, (b >> 7) + i), world_digest(w));
}

static struct pbft_buf *encode(struct fuzz_world *w, const struct parts *a,
			       u32 sender, u64 view, u64 h)
{
	u32 len = sizeof(struct pbft_view_change) + a->nc * sizeof(a->c[0]) +
		  (a->np + a->nq) * sizeof(a->p[0]);
	struct pbft_buf *buf = world_buf(w, PBFT_VIEW_CHANGE, len, sender, view, 0);
	struct pbft_view_change *m;
	u8 *p;

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->h = cpu_to_le64(h);
	m->c_count = cpu_to_le32(a->nc);
	m->p_count = cpu_to_le32(a->np);
	m->q_count = cpu_to_le32(a->nq);
	p = m->body;
	memcpy(p, a->c, a->nc * sizeof(a->c[0]));
	p += a->nc * sizeof(a->c[0]);
	memcpy(p, a->p, a->np * sizeof(a->p[0]));
	p += a->np * sizeof(a->p[0]);
	memcpy(p, a->q, a->nq * sizeof(a->q[0]));
	return buf;
}

struct pbft_buf *world_view_change(struct fuzz_world *w, u32 sender)
{
	u8 shape = fuzz_u8(&w->in), cs = fuzz_u8(&w->in);
	u64 view = world_view(w), h = w->h;
	struct parts a = {};
	struct pbft_buf *buf;
	u32 i;

	if (shape & 0x80)
		h = world_seq(w);
	if (!(shape & 0x40))
		h -= h % w->k;
	if (!(shape & 0x20) && view == w->view)
		view++;
	pick_c(w, &a, h, cs ? cs : 1);
	for (i = 0; i < (shape & 15u); i++)
		pick_slot(w, &a, h + 1 + i, view);
	buf = encode(w, &a, sender, view, h);
	if (buf) {
		struct pbft_digest d;

		world_keep(&w->vc[sender], buf->data, buf->len);
		pbft_vc_digest(&d, (const void *)buf->data);
		world_know(w, &d);
	}
	return buf;
}

/* ---- NEW-VIEW ------------------------------------------------------------ */

static void vc_set(struct fuzz_world *w, u64 view, u64 leave_out, struct pbft_vcset *s)
{
	u32 i;

	s->n = w->id.n;
	s->f = w->f;
	s->q = pbft_quorum(s->n, s->f);
	s->k = w->k;
	s->l = w->l;
	s->count = 0;
	for (i = 0; i < s->n; i++) {
		const struct pbft_view_change *vc;

		if (!w->vc[i] || leave_out >> i & 1)
			continue;
		vc = (const void *)w->vc[i]->data;
		if (le64_to_cpu(vc->hdr.view) == view && pbft_vc_valid(vc, w->k, w->l))
			s->vc[s->count++] = vc;
	}
}

/* As a correct primary decides; what is undecided, the bytes do. */
static u32 decide_x(struct fuzz_world *w, const struct pbft_vcset *s, u64 base,
		    struct pbft_digest *x)
{
	u32 i, count = 0;

	for (i = 0; i < w->l && i < PQ_MAX; i++) {
		switch (pbft_decide(s, base + 1 + i, NULL, NULL, &x[i])) {
		case PBFT_DECIDE_NULL:
			x[i] = w->null_d;
			break;
		case PBFT_DECIDE_BATCH:
			count = i + 1;
			break;
		case PBFT_UNDECIDED:
			x[i] = *world_digest(w);
			break;
		}
	}
	return count;
}

struct pbft_buf *world_new_view(struct fuzz_world *w, u32 sender)
{
	u8 lies = fuzz_u8(&w->in);
	u64 view = world_view(w), base = w->h;
	struct pbft_digest x[PQ_MAX] = {}, base_d = w->genesis_d;
	struct pbft_new_view *m;
	struct pbft_vcset s;
	struct pbft_buf *buf;
	struct pbft_nv_v *v;
	u32 nx, i;

	vc_set(w, view, lies >> 4, &s);
	pbft_decide_base(&s, &base, &base_d);
	nx = decide_x(w, &s, base, x);
	if (lies & 1)
		base = world_seq(w);
	if (lies & 2)
		nx = fuzz_below(&w->in, min_t(u32, w->l + 1, PQ_MAX) + 1);
	for (i = 0; lies & 4 && i < min_t(u32, nx, PQ_MAX); i++)
		x[i] = *world_digest(w);
	nx = min_t(u32, nx, PQ_MAX);
	buf = world_buf(w, PBFT_NEW_VIEW, sizeof(*m) + s.count * sizeof(*v) +
			nx * sizeof(x[0]), lies & 8 ? sender : view % w->id.n, view, 0);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->base = cpu_to_le64(base);
	m->base_digest = base_d;
	m->v_count = cpu_to_le32(s.count);
	m->x_count = cpu_to_le32(nx);
	v = (void *)m->body;
	for (i = 0; i < s.count; i++) {
		v[i].origin = s.vc[i]->hdr.sender;
		pbft_vc_digest(&v[i].digest, s.vc[i]);
	}
	memcpy(&v[i], x, nx * sizeof(x[0]));
	world_keep(&w->nv, buf->data, buf->len);
	return buf;
}
