// SPDX-License-Identifier: GPL-2.0
/*
 * NEW-VIEW: the new primary makes it, backups check it, both enter.
 *
 * A backup believes a VIEW-CHANGE named in V if it authenticated it itself, or
 * if f + 1 others vouch for its digest: the primary by naming it, and f acks.
 * For the primary's own only the former will do. A NEW-VIEW is judged on V
 * alone, when all of V is in hand.
 */
#include "internal.h"

void pbft_nv_release(struct pbft_nv_rec *nv)
{
	u32 i;

	for (i = 0; i < PBFT_N_MAX; i++)
		pbft_buf_put(nv->vc[i].buf);
	pbft_buf_put(nv->buf);
	memset(nv, 0, sizeof(*nv));
}

static const struct pbft_nv_v *nv_vs(const struct pbft_new_view *m)
{
	return (const void *)m->body;
}

static const struct pbft_digest *nv_xs(const struct pbft_new_view *m)
{
	return (const void *)(nv_vs(m) + le32_to_cpu(m->v_count));
}

static void set_init(const struct pbft_core *c, struct pbft_vcset *s)
{
	s->n = c->n;
	s->f = c->f;
	s->q = c->q;
	s->k = c->cfg.k;
	s->l = c->cfg.l;
	s->count = 0;
}

/* V, as far as its VIEW-CHANGEs are in hand. */
static void set_of_v(const struct pbft_core *c, const struct pbft_nv_rec *nv,
		     struct pbft_vcset *s)
{
	u32 i;

	set_init(c, s);
	for (i = 0; i < c->n; i++)
		if (nv->vc[i].buf)
			s->vc[s->count++] = nv->vc[i].vc;
}

/* ---- entering ----------------------------------------------------------- */

/* Certificates that the NEW-VIEW's justification proves cannot commit. */
static void prune(struct pbft_core *c, const struct pbft_new_view *m)
{
	u64 base = le64_to_cpu(m->base), seq;
	u32 nx = le32_to_cpu(m->x_count);

	for (seq = max(base, c->h) + 1; seq <= min(base + c->cfg.l, pbft_high(c)); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);
		const struct pbft_digest *d = seq - base <= nx ?
					      &nv_xs(m)[seq - base - 1] : &c->null_d;

		if (s && s->p_set && s->p_view < c->view &&
		    !pbft_digest_eq(&s->p_d, d))
			s->p_set = false;
	}
}

static bool in_q(const struct pbft_slot *s, const struct pbft_digest *d)
{
	u32 i;

	for (i = 0; i < PBFT_Q_RING; i++)
		if (s->q[i].used && pbft_digest_eq(&s->q[i].d, d))
			return true;
	return false;
}

/*
 * May we pre-prepare an entry? A1 and A2 can hold for a batch that no correct replica
 * has seen, by the word of one liar and others' second digests, and its requests may
 * be invented. So a correct replica must have found them authentic: one of f + 1 in V
 * that pre-prepared it, ourselves, or one of f backups that prepare it now.
 */
static bool entry_authentic(struct pbft_core *c, const struct pbft_slot *s,
			    struct pbft_batch *b)
{
	struct pbft_vcset set;

	pbft_batch_fill(c, b);	/* by requests that came from their clients */
	if (s->committed || in_q(s, &b->digest) || pbft_authentic(c, s, b))
		return true;
	set_of_v(c, &c->nv_in, &set);
	return pbft_decide_vouched(&set, s->seq, &b->digest);
}

/*
 * The NEW-VIEW has another batch than the one committed here. After a quorum of
 * COMMITs in an earlier view that cannot be. In this view it can: a faulty primary
 * may have two NEW-VIEWs, both justified; and in a later one, if we are late.
 */
static void contradicted(struct pbft_core *c, const struct pbft_slot *s)
{
	if (s->c_view < c->view)
		pbft_violated(c, "a view proposes another batch than the one committed: more than f faulty replicas");
}

/*
 * Entries of the NEW-VIEW that the window and the bodies we hold allow: they are
 * pre-prepared by it. Called again when either grows. Votes are cast also for
 * what is executed here: others may need them.
 */
void pbft_take_entries(struct pbft_core *c)
{
	const struct pbft_new_view *m = c->nv_in.nv;
	u64 base, seq;

	if (c->pending || !m || c->nv_in.view != c->view || c->nv_done >= c->nv_max ||
	    c->restoring)
		return;
	base = le64_to_cpu(m->base);
	for (seq = max(c->nv_done, c->h) + 1;
	     seq <= min(c->nv_max, pbft_high(c)) && !c->stopped && !c->pending; seq++) {
		const struct pbft_digest *d = &nv_xs(m)[seq - base - 1];
		struct pbft_slot *s = pbft_slot_get(c, seq);
		struct pbft_batch *b;

		if (!s || s->pp)
			continue;
		if (!pbft_slot_agrees(s, d)) {
			contradicted(c, s);
			continue;
		}
		b = pbft_slot_body(s, d);
		if (!b && !pbft_digest_eq(d, &c->null_d))
			pbft_want(c, s, d, true);
		else if (!b || entry_authentic(c, s, b))
			pbft_accept(c, s, d, b, NULL);
	}
	while (c->nv_done < c->nv_max) {
		struct pbft_slot *s = pbft_slot(c, c->nv_done + 1);

		if (c->nv_done + 1 > c->h && (!s || !s->pp))
			break;
		c->nv_done++;
	}
}

static void enter(struct pbft_core *c, u64 h)
{
	const struct pbft_new_view *m = c->nv.nv;
	u64 base = le64_to_cpu(m->base);

	pbft_persist(c, PBFT_REC_NEW_VIEW, base, c->view, &m->base_digest, NULL,
		     c->nv.buf);
	/* a primary that forgot its NEW-VIEW might make another: durable first */
	if (pbft_is_primary(c))
		pbft_send(c, pbft_others(c), PBFT_AUTH_VECTOR, pbft_buf_get(c->nv.buf));
	pbft_nv_release(&c->nv_in);
	c->nv_in = c->nv;
	memset(&c->nv, 0, sizeof(c->nv));
	c->pending = false;
	c->low = base;
	c->nv_done = base;
	c->nv_max = base + le32_to_cpu(m->x_count);
	c->max_seen = max(c->max_seen, c->nv_max);
	c->primary_life = c->now;
	c->last_pp = c->now;
	c->status_soon = true;
	c->cnt.new_views++;
	/*
	 * Only what f + 1 have stable moves h. The base is a weak certificate: to
	 * let it move h can leave this replica the only one that excludes lower
	 * bases while its faulty voucher denies the higher one.
	 */
	prune(c, m);
	pbft_event(c, PBFT_EV_NEW_VIEW, 0, 0);
	pbft_clients_new_view(c);
	pbft_raise_h(c, h, NULL);
	pbft_add_base(c, base, &m->base_digest);
	c->next_seq = max(c->nv_max, c->h) + 1;
	pbft_take_entries(c);
	pbft_check_behind(c);
	pbft_propose(c);
}

/* ---- the new primary ------------------------------------------------------ */

static bool items_authentic(const struct pbft_batch *b)
{
	u32 i;

	for (i = 0; i < b->count; i++)
		if (!b->items[i].authentic)
			return false;
	return true;
}

/*
 * Condition A3. The NEW-VIEW counts as our pre-prepare of every entry, so we must
 * be able to remember each in Q at once: it is in our window and its batch is
 * here. Else a backup could prepare it with f liars' help, and with fewer than
 * f + 1 correct replicas to say so in the next view change, no view would ever
 * begin again. Vouched: f + 1 members list the digest in Q, so a correct one found
 * it authentic and holds the batch for all who ask. Else we must have pre-prepared
 * or authenticated it ourselves. What is stable here the next base will cover.
 */
static bool have_body(void *arg, u64 seq, const struct pbft_digest *d, bool vouched)
{
	struct pbft_core *c = arg;
	bool null = pbft_digest_eq(d, &c->null_d);
	struct pbft_slot *s;
	struct pbft_batch *b;

	if (seq <= c->h && (vouched || null))
		return true;
	s = pbft_slot_get(c, seq);
	if (!s || null)
		return s;
	b = pbft_slot_body(s, d);
	if (!b) {
		pbft_want(c, s, d, true);
		return false;
	}
	if (vouched)
		return true;
	return in_q(s, d) || items_authentic(b);
}

/* Decide every sequence number above @base into @x. Return: entries, or -1: wait. */
static int decide_all(struct pbft_core *c, const struct pbft_vcset *s, u64 base,
		      struct pbft_digest *x)
{
	int count = 0;
	u32 i;

	for (i = 0; i < c->cfg.l; i++) {
		switch (pbft_decide(s, base + 1 + i, have_body, c, &x[i])) {
		case PBFT_UNDECIDED:
			return -1;
		case PBFT_DECIDE_NULL:
			x[i] = c->null_d;
			break;
		case PBFT_DECIDE_BATCH:
			count = i + 1;
			break;
		}
	}
	return count;
}

static struct pbft_buf *build_nv(struct pbft_core *c, const struct pbft_vcset *s,
				 u64 base, const struct pbft_digest *base_d,
				 const struct pbft_digest *x, u32 nx)
{
	struct pbft_new_view *m;
	struct pbft_buf *buf;
	struct pbft_nv_v *v;
	u32 i;

	buf = pbft_msg(c, PBFT_NEW_VIEW, sizeof(*m) + s->count * sizeof(*v) +
		       nx * sizeof(*x), c->view, 0);
	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->base = cpu_to_le64(base);
	m->base_digest = *base_d;
	m->v_count = cpu_to_le32(s->count);
	m->x_count = cpu_to_le32(nx);
	v = (void *)m->body;
	for (i = 0; i < s->count; i++) {
		u32 origin = le32_to_cpu(s->vc[i]->hdr.sender);

		v[i].origin = cpu_to_le32(origin);
		v[i].reserved = 0;
		v[i].digest = c->vc[origin].dv;
	}
	memcpy(&v[i], x, nx * sizeof(*x));
	return buf;
}

/* S has grown, or a body has come: can the new view be decided? */
void pbft_try_new_view(struct pbft_core *c)
{
	struct pbft_digest base_d, *x;
	struct pbft_vcset s;
	struct pbft_buf *buf;
	u64 base, h;
	int nx;
	u32 i;

	if (!c->pending || c->stopped || !pbft_is_primary(c) ||
	    c->vc[c->self].view != c->view || !pbft_may_promise(c, c->view))
		return;
	set_init(c, &s);
	for (i = 0; i < c->n; i++)
		if (pbft_vc_certified(c, i))
			s.vc[s.count++] = c->vc[i].body.vc;
	if (s.count < c->q || !pbft_decide_base(&s, &base, &base_d))
		return;
	x = kmalloc(c->cfg.l * sizeof(*x), GFP_ATOMIC);
	if (!x)
		return;
	nx = decide_all(c, &s, base, x);
	buf = nx < 0 ? NULL : build_nv(c, &s, base, &base_d, x, nx);
	kfree(x);
	if (!buf)
		return;
	h = pbft_decide_h(&s);
	pbft_nv_release(&c->nv);
	c->nv.buf = buf;
	c->nv.nv = (void *)buf->data;
	c->nv.len = buf->len;
	c->nv.view = c->view;
	for (i = 0; i < s.count; i++) {
		u32 origin = le32_to_cpu(s.vc[i]->hdr.sender);

		pbft_vc_body_set(&c->nv.vc[origin], &c->vc[origin].body);
		c->nv.proven |= BIT_ULL(origin);
	}
	enter(c, h);
}

/* ---- backups ----------------------------------------------------------------- */

static const struct pbft_nv_v *nv_find_v(const struct pbft_new_view *m, u32 origin)
{
	u32 i;

	for (i = 0; i < le32_to_cpu(m->v_count); i++)
		if (le32_to_cpu(nv_vs(m)[i].origin) == origin)
			return &nv_vs(m)[i];
	return NULL;
}

/* A VIEW-CHANGE body passes by, authentic or not: is it one we look for? */
void pbft_offer_vc(struct pbft_core *c, const struct pbft_vc_body *body,
		   const struct pbft_digest *dv)
{
	u32 origin = le32_to_cpu(body->vc->hdr.sender);
	const struct pbft_nv_v *v;

	if (!c->nv.buf || c->nv.vc[origin].buf ||
	    le64_to_cpu(body->vc->hdr.view) != c->nv.view)
		return;
	v = nv_find_v(c->nv.nv, origin);
	if (v && pbft_digest_eq(&v->digest, dv))
		pbft_vc_body_set(&c->nv.vc[origin], body);
}

/* Origins in V whose body, or whose proof, is missing here. */
static u64 missing_vcs(struct pbft_core *c)
{
	const struct pbft_new_view *m = c->nv.nv;
	u32 primary = pbft_primary(c, c->nv.view), i;
	u64 missing = 0;

	for (i = 0; i < le32_to_cpu(m->v_count); i++) {
		u32 origin = le32_to_cpu(nv_vs(m)[i].origin);
		const struct pbft_digest *dv = &nv_vs(m)[i].digest;
		struct pbft_vc_rec *rec = &c->vc[origin];

		if (c->nv.proven & BIT_ULL(origin))
			continue;
		if (rec->body.buf && rec->view == c->nv.view &&
		    pbft_digest_eq(&rec->dv, dv)) {
			pbft_vc_body_set(&c->nv.vc[origin], &rec->body);
			c->nv.proven |= BIT_ULL(origin);
		} else if (c->nv.vc[origin].buf && origin != primary &&
			   pbft_ack_count(c, origin, c->nv.view, dv) >= c->f) {
			c->nv.proven |= BIT_ULL(origin);
		} else {
			missing |= BIT_ULL(origin);
		}
	}
	return missing;
}

u64 pbft_new_view_need(const struct pbft_core *c)
{
	const struct pbft_new_view *m = c->nv.nv;
	u64 need = 0;
	u32 i;

	for (i = 0; c->nv.buf && i < le32_to_cpu(m->v_count); i++)
		need |= BIT_ULL(le32_to_cpu(nv_vs(m)[i].origin));
	return need & ~c->nv.proven;
}

static bool well_formed(const struct pbft_core *c, const struct pbft_new_view *m)
{
	u32 nv = le32_to_cpu(m->v_count), i;

	if (nv < c->q || nv > c->n || le32_to_cpu(m->x_count) > c->cfg.l ||
	    le64_to_cpu(m->base) > U64_MAX / 2)
		return false;
	for (i = 0; i < nv; i++) {
		u32 origin = le32_to_cpu(nv_vs(m)[i].origin);

		if (origin >= c->n ||
		    (i && origin <= le32_to_cpu(nv_vs(m)[i - 1].origin)))
			return false;
	}
	return true;
}

/* Re-check base, every entry, the tail, and that nothing is added: on V only. */
static bool justified(const struct pbft_core *c, const struct pbft_vcset *s,
		      const struct pbft_new_view *m)
{
	u64 base = le64_to_cpu(m->base), want;
	u32 nx = le32_to_cpu(m->x_count), i;
	struct pbft_digest d;

	if (!pbft_decide_base(s, &want, &d) || want != base ||
	    !pbft_digest_eq(&d, &m->base_digest))
		return false;
	for (i = 0; i < c->cfg.l; i++) {
		u64 seq = base + 1 + i;

		if (i >= nx) {
			if (!pbft_decide_null(s, seq))
				return false;
			continue;
		}
		if (pbft_decide_supports(s, seq, &nv_xs(m)[i]))
			continue;
		if (i == nx - 1 || !pbft_digest_eq(&nv_xs(m)[i], &c->null_d) ||
		    !pbft_decide_null(s, seq))
			return false;
	}
	return true;
}

static void call_bad(struct pbft_core *c)
{
	c->nv.bad = true;
	c->cnt.new_views_bad++;
	pbft_evidence(c, pbft_primary(c, c->nv.view));
}

static void reject(struct pbft_core *c)
{
	if (!c->nv.bad)
		call_bad(c);
	if (c->view == c->nv.view && c->pending &&
	    pbft_vc_count(c, c->view) >= c->q)
		pbft_start_vc(c, c->view + 1);
}

/* Something a stored NEW-VIEW waits for may have come. */
void pbft_check_new_view(struct pbft_core *c)
{
	struct pbft_vcset s;

	if (!c->nv.buf || c->nv.view < c->view || c->stopped)
		return;
	if (!c->nv.bad) {
		if (missing_vcs(c))
			return;
		/* V's VIEW-CHANGEs make us join first: our own promise comes before */
		if (c->nv.view > c->view || !c->pending)
			return;
		if (pbft_may_promise(c, c->view) && c->vc[c->self].view != c->view)
			return;
	}
	set_of_v(c, &c->nv, &s);
	if (c->nv.bad || !justified(c, &s, c->nv.nv)) {
		reject(c);
		return;
	}
	enter(c, pbft_decide_h(&s));
}

void pbft_on_new_view(struct pbft_core *c, struct pbft_buf *buf,
		      const struct pbft_new_view *m, u32 len)
{
	u64 view = le64_to_cpu(m->hdr.view);

	/* one of our own that we have forgotten nobody can prove to us */
	if (le32_to_cpu(m->hdr.sender) != pbft_primary(c, view) ||
	    pbft_primary(c, view) == c->self || view > S64_MAX || view < c->view ||
	    (view == c->view && !c->pending))
		return;
	/*
	 * The first for the view we are waiting for stays. One for a later view
	 * has the place only until another comes: who makes it up gains nothing,
	 * and once f + 1 VIEW-CHANGEs have taken us there it is sent again.
	 */
	if (c->nv.buf && (c->nv.view == c->view || c->nv.view == view)) {
		pbft_check_new_view(c);
		return;
	}
	pbft_nv_release(&c->nv);
	c->nv.buf = pbft_buf_get(buf);
	c->nv.nv = m;
	c->nv.len = len;
	c->nv.view = view;
	if (!well_formed(c, m))
		call_bad(c);
	c->status_soon = true;
	pbft_check_new_view(c);
}

/* ---- an earlier life -------------------------------------------------------------- */

/* The NEW-VIEW of an earlier life, as it was persisted. */
int pbft_new_view_restore(struct pbft_core *c, struct pbft_buf *buf)
{
	const struct pbft_new_view *m = (const void *)buf->data;
	u64 view = le64_to_cpu(m->hdr.view);

	if (le32_to_cpu(m->hdr.sender) != pbft_primary(c, view) || view < c->view ||
	    !well_formed(c, m))
		return -EBADMSG;
	if (view == c->view && !c->pending)
		return 0;	/* said again */
	if (view > c->view)
		pbft_leave_view(c, view);
	pbft_nv_release(&c->nv);
	c->nv.buf = pbft_buf_get(buf);
	c->nv.nv = m;
	c->nv.len = buf->len;
	c->nv.view = view;
	enter(c, 0);	/* what it did to h has a record of its own */
	return 0;
}
