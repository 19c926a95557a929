// SPDX-License-Identifier: GPL-2.0
/*
 * A second opinion on view changes, written apart from the core's decision
 * procedure and without its tricks: is what a correct replica says in its
 * VIEW-CHANGE true, and does a NEW-VIEW it enters follow from the VIEW-CHANGEs
 * that were really sent?
 */
#include "ghost.h"

struct said {			/* one VIEW-CHANGE, taken apart */
	u64 h;
	u32 cs, ps, qs;
	const struct pbft_vc_c *c;
	const struct pbft_vc_pq *p, *q;
};

static void take_apart(const struct pbft_view_change *m, struct said *s)
{
	s->h = le64_to_cpu(m->h);
	s->cs = le32_to_cpu(m->c_count);
	s->ps = le32_to_cpu(m->p_count);
	s->qs = le32_to_cpu(m->q_count);
	s->c = (const void *)m->body;
	s->p = (const void *)(s->c + s->cs);
	s->q = s->p + s->ps;
}

static const struct pbft_vc_pq *said_p(const struct said *s, u64 n)
{
	u32 i;

	for (i = 0; i < s->ps; i++)
		if (le64_to_cpu(s->p[i].seq) == n)
			return &s->p[i];
	return NULL;
}

/* Latest view in which @d is said to be pre-prepared at @n, or -1. */
static s64 said_q(const struct said *s, u64 n, const struct pbft_digest *d)
{
	s64 view = -1;
	u32 i;

	for (i = 0; i < s->qs; i++)
		if (le64_to_cpu(s->q[i].seq) == n && pbft_digest_eq(&s->q[i].digest, d))
			view = max(view, (s64)le64_to_cpu(s->q[i].view));
	return view;
}

/* Second highest view among the digests at @n; @top: the highest. */
static s64 said_alt(const struct said *s, u64 n, s64 *top)
{
	s64 first = -1, second = -1, v;
	u32 i;

	for (i = 0; i < s->qs; i++) {
		if (le64_to_cpu(s->q[i].seq) != n)
			continue;
		v = le64_to_cpu(s->q[i].view);
		if (v > first) {
			second = first;
			first = v;
		} else if (v > second) {
			second = v;
		}
	}
	*top = first;
	return second;
}

/* ---- is it true what a correct replica says? ------------------------------ */

static void true_p(struct sim_node *node, const struct said *s, const struct ghost_pq *pq)
{
	const struct pbft_vc_pq *p = said_p(s, pq->seq);

	if (!p) {
		if (pq->has_p && !pq->p_pruned)
			sim_violation(node->sim, "14 P: VIEW-CHANGE of replica %u hides %08x prepared at %llu in view %llu",
				      node->id, short_digest(&pq->p.d), llu(pq->seq),
				      llu(pq->p.view));
		return;
	}
	if (!pq->has_p || le64_to_cpu(p->view) != pq->p.view ||
	    !pbft_digest_eq(&p->digest, &pq->p.d))
		sim_violation(node->sim, "14 P: VIEW-CHANGE of replica %u claims %08x prepared at %llu in view %llu",
			      node->id, short_digest(&p->digest), llu(pq->seq),
			      llu(le64_to_cpu(p->view)));
	if (said_q(s, pq->seq, &p->digest) < (s64)le64_to_cpu(p->view))
		sim_violation(node->sim, "14 P in Q: VIEW-CHANGE of replica %u at %llu",
			      node->id, llu(pq->seq));
}

static void true_q(struct sim_node *node, const struct said *s, const struct ghost_pq *pq)
{
	s64 top, first = -1, second = -1, alt = said_alt(s, pq->seq, &top);
	u32 i;

	for (i = 0; i < pq->q_count; i++) {
		s64 v = pq->q[i].view;

		if (v > first) {
			second = first;
			first = v;
		} else if (v > second) {
			second = v;
		}
	}
	if (top != first || alt != second)
		sim_violation(node->sim, "14 Q: VIEW-CHANGE of replica %u at %llu: highest views %lld, %lld; true are %lld, %lld",
			      node->id, llu(pq->seq), (long long)top, (long long)alt,
			      (long long)first, (long long)second);
	for (i = 0; i < s->qs; i++) {
		u32 j;

		if (le64_to_cpu(s->q[i].seq) != pq->seq)
			continue;
		for (j = 0; j < pq->q_count; j++)
			if (pbft_digest_eq(&pq->q[j].d, &s->q[i].digest) &&
			    pq->q[j].view == le64_to_cpu(s->q[i].view))
				break;
		if (j == pq->q_count)
			sim_violation(node->sim, "14 Q: VIEW-CHANGE of replica %u claims %08x pre-prepared at %llu in view %llu",
				      node->id, short_digest(&s->q[i].digest), llu(pq->seq),
				      llu(le64_to_cpu(s->q[i].view)));
	}
}

void oracle_view_change(struct sim_node *node, const struct pbft_view_change *m)
{
	struct ghost *g = node->sim->ghost;
	struct said s;
	u64 n;
	u32 i;

	ghost_vc_seen(g, node->id, m);
	take_apart(m, &s);
	for (n = s.h + 1; n <= s.h + g->sim->plan.cfg.l; n++) {
		const struct ghost_pq *pq = ghost_pq(g, node, n);

		true_p(node, &s, pq);
		true_q(node, &s, pq);
	}
	for (i = 0; i < s.cs; i++) {
		struct ghost_slot *slot = ghost_slot(g, le64_to_cpu(s.c[i].seq));
		bool zero = !le64_to_cpu(s.c[i].seq);

		if (ghost_maybe_corrupt(g, node->id, le64_to_cpu(s.c[i].seq)))
			continue;
		if (!zero && (!slot->checkpointed || !pbft_digest_eq(&slot->ck, &s.c[i].digest)))
			sim_violation(g->sim, "13 C: VIEW-CHANGE of replica %u names a checkpoint at %llu that no correct replica had",
				      node->id, llu(le64_to_cpu(s.c[i].seq)));
	}
}

/* ---- does the NEW-VIEW follow? ------------------------------------------------ */

struct opinion {
	struct sim *sim;
	u32 count, q, f;
	struct said s[PBFT_N_MAX];
};

static bool a1(const struct opinion *o, u64 n, const struct pbft_digest *d, s64 v)
{
	u32 i, ok = 0;

	for (i = 0; i < o->count; i++) {
		const struct pbft_vc_pq *p = said_p(&o->s[i], n);
		s64 pv = p ? (s64)le64_to_cpu(p->view) : -1;

		if (o->s[i].h < n &&
		    (pv < v || (pv == v && pbft_digest_eq(&p->digest, d))))
			ok++;
	}
	return ok >= o->q;
}

static bool a2(const struct opinion *o, u64 n, const struct pbft_digest *d, s64 v)
{
	u32 i, ok = 0;
	s64 top;

	for (i = 0; i < o->count; i++)
		if (o->s[i].h < n && (said_q(&o->s[i], n, d) >= v ||
				      said_alt(&o->s[i], n, &top) >= v))
			ok++;
	return ok > o->f;
}

static bool supported(const struct opinion *o, u64 n, const struct pbft_digest *d)
{
	u32 i;

	for (i = 0; i < o->count; i++) {
		const struct pbft_vc_pq *p = said_p(&o->s[i], n);
		s64 v;

		if (!p || o->s[i].h >= n || !pbft_digest_eq(&p->digest, d))
			continue;
		v = le64_to_cpu(p->view);
		if (a1(o, n, d, v) && a2(o, n, d, v))
			return true;
	}
	return false;
}

static bool may_be_null(const struct opinion *o, u64 n)
{
	u32 i, j, ok = 0, above;
	s64 top, u = -1;

	/* u: the highest view that f + 1 members' alt reach */
	for (i = 0; i < o->count; i++) {
		s64 a = said_alt(&o->s[i], n, &top);

		for (j = above = 0; j < o->count; j++)
			above += o->s[j].h < n && said_alt(&o->s[j], n, &top) >= a;
		if (o->s[i].h < n && above > o->f)
			u = max(u, a);
	}
	for (i = 0; i < o->count; i++) {
		const struct pbft_vc_pq *p = said_p(&o->s[i], n);

		if (o->s[i].h < n && (!p || (s64)le64_to_cpu(p->view) < u))
			ok++;
	}
	return ok >= o->q;
}

static bool base_follows(const struct opinion *o, u64 k, const struct pbft_digest *d)
{
	u32 i, j, reach = 0, hold = 0;

	for (i = 0; i < o->count; i++) {
		reach += o->s[i].h <= k;
		for (j = 0; j < o->s[i].cs; j++)
			if (le64_to_cpu(o->s[i].c[j].seq) == k &&
			    pbft_digest_eq(&o->s[i].c[j].digest, d)) {
				hold++;
				break;
			}
	}
	return reach >= o->q && hold > o->f;
}

static bool gather(struct sim_node *node, const struct pbft_new_view *m, struct opinion *o)
{
	struct ghost *g = node->sim->ghost;
	const struct pbft_nv_v *v = (const void *)m->body;
	u64 seen = 0;
	u32 i, k;

	o->sim = node->sim;
	o->f = g->sim->plan.cfg.f;
	o->q = pbft_quorum(g->sim->id.n, o->f);
	for (i = 0; i < le32_to_cpu(m->v_count); i++) {
		u32 origin = le32_to_cpu(v[i].origin);

		for (k = g->vc_count; k--; )
			if (g->vcs[k].from == origin &&
			    pbft_digest_eq(&g->vcs[k].dv, &v[i].digest) &&
			    g->vcs[k].m->hdr.view == m->hdr.view)
				break;
		if (k > g->vc_count || seen >> origin & 1) {
			sim_violation(g->sim, "12 NEW-VIEW: view %llu, entered by replica %u, stands on a VIEW-CHANGE that %u never sent",
				      llu(le64_to_cpu(m->hdr.view)), node->id, origin);
			return false;
		}
		seen |= 1ull << origin;
		take_apart(g->vcs[k].m, &o->s[o->count++]);
	}
	if (o->count < o->q)
		sim_violation(g->sim, "12 NEW-VIEW: view %llu, entered by replica %u, stands on %u VIEW-CHANGEs",
			      llu(le64_to_cpu(m->hdr.view)), node->id, o->count);
	return true;
}

/* 11: whatever may have committed in an earlier view is in it, or below. */
static void keeps_committed(struct sim_node *node, u64 view, u64 base,
			    const struct pbft_digest *x, u32 count)
{
	struct ghost *g = node->sim->ghost;
	struct pbft_digest null_d;
	u64 n;

	pbft_null_digest(&null_d);
	for (n = base + 1; n <= base + g->sim->plan.cfg.l && n < g->slot_count; n++) {
		const struct pbft_digest *d = n - base <= count ? &x[n - base - 1] : &null_d;
		struct ghost_slot *s = ghost_slot(g, n);

		if (s->locked && s->lock_view < view && !pbft_digest_eq(d, &s->lock_d))
			sim_violation(g->sim, "11 post-commit: NEW-VIEW %llu, entered by replica %u, has %08x at %llu, where %08x may have committed in view %llu",
				      llu(view), node->id, short_digest(d), llu(n),
				      short_digest(&s->lock_d), llu(s->lock_view));
	}
}

static void prune(struct sim_node *node, u64 view, u64 base,
		  const struct pbft_digest *x, u32 count)
{
	struct ghost *g = node->sim->ghost;
	struct pbft_digest null_d;
	u64 n;

	pbft_null_digest(&null_d);
	for (n = base + 1; n <= base + g->sim->plan.cfg.l; n++) {
		const struct pbft_digest *d = n - base <= count ? &x[n - base - 1] : &null_d;
		struct ghost_pq *pq = ghost_pq(g, node, n);

		if (pq->has_p && pq->p.view < view && !pbft_digest_eq(d, &pq->p.d))
			pq->p_pruned = true;
	}
}

void oracle_new_view(struct sim_node *node, const struct pbft_new_view *m)
{
	struct sim *sim = node->sim;
	struct opinion o = { .count = 0 };
	u64 view = le64_to_cpu(m->hdr.view), base = le64_to_cpu(m->base), n;
	u32 vs = le32_to_cpu(m->v_count), xs = le32_to_cpu(m->x_count);
	const struct pbft_digest *x = (const void *)(m->body + vs * sizeof(struct pbft_nv_v));
	struct pbft_digest null_d;

	pbft_null_digest(&null_d);
	keeps_committed(node, view, base, x, xs);
	prune(node, view, base, x, xs);
	if (!gather(node, m, &o))
		return;
	if (xs > sim->plan.cfg.l || !base_follows(&o, base, &m->base_digest)) {
		sim_violation(sim, "12 NEW-VIEW: base %llu of view %llu, entered by replica %u, does not follow",
			      llu(base), llu(view), node->id);
		return;
	}
	for (n = base + 1; n <= base + sim->plan.cfg.l; n++) {
		const struct pbft_digest *d = n - base <= xs ? &x[n - base - 1] : &null_d;
		bool is_null = pbft_digest_eq(d, &null_d);

		if (!supported(&o, n, d) && !(is_null && may_be_null(&o, n)))
			sim_violation(sim, "12 NEW-VIEW: %08x at %llu in view %llu, entered by replica %u, does not follow",
				      short_digest(d), llu(n), llu(view), node->id);
	}
}
