// SPDX-License-Identifier: GPL-2.0
/*
 * A lying primary that knows the rules: of the VIEW-CHANGEs there are it takes
 * those that decide otherwise than all of them do, if need be with one in a
 * correct replica's name that this never sent, and makes the NEW-VIEW that
 * follows from them. With the core's own decision procedure, so that whoever
 * takes the VIEW-CHANGEs for true must enter.
 */
#include "byz.h"
#include "ghost.h"
#include "decide.h"

#define TRIES 12

static u8 forged[BYZ_LIE_MAX] __aligned(8);

struct choice {
	struct pbft_vcset set;
	struct pbft_nv_v v[PBFT_N_MAX];
	u64 base;
	struct pbft_digest base_d, x[1024];
	u32 nx;
	const struct pbft_view_change *fake;
};

/* One of the VIEW-CHANGEs that @origin sent for @view: liars sent several. */
static const struct ghost_vc *one_of(struct byz_lie *l, u32 origin, u64 view)
{
	const struct ghost *g = l->sim->ghost;
	const struct ghost_vc *found = NULL;
	u32 i, n = 0;

	for (i = 0; i < g->vc_count; i++)
		if (g->vcs[i].from == origin && le64_to_cpu(g->vcs[i].m->hdr.view) == view &&
		    !prng_below(&l->rng, ++n))
			found = &g->vcs[i];
	return found;
}

static const struct pbft_view_change *forge(struct byz_lie *l, const struct pbft_view_change *m)
{
	struct byz_lie other = { .sim = l->sim, .node = l->node, .rng = l->rng, .face = 1,
				 .msg = forged };

	memcpy(forged, m, le32_to_cpu(m->hdr.length));
	lie_view_change(&other);
	l->rng = other.rng;
	return (const void *)forged;
}

static void choose(struct byz_lie *l, u64 view, struct choice *c)
{
	const struct sim *sim = l->sim;
	u32 i, n = sim->id.n, skip = prng_below(&l->rng, n);
	u32 fake = byz_has(l->sim, BYZ_FORGE_VC) ? prng_below(&l->rng, n) : n;

	c->set = (struct pbft_vcset){
		.n = n, .f = sim->plan.cfg.f, .q = pbft_quorum(n, sim->plan.cfg.f),
		.k = sim->plan.cfg.k, .l = sim->plan.cfg.l,
	};
	c->fake = NULL;
	for (i = 0; i < n; i++) {
		const struct ghost_vc *vc = one_of(l, i, view);
		struct pbft_nv_v *v = &c->v[c->set.count];
		const struct pbft_view_change *m;

		if (!vc || !pbft_vc_valid(vc->m, c->set.k, c->set.l) ||
		    (i == skip && prng_chance(&l->rng, 700000)))
			continue;
		m = vc->m;
		v->origin = cpu_to_le32(i);
		v->reserved = 0;
		v->digest = vc->dv;
		if (i == fake && i != l->node->id) {
			m = forge(l, m);
			if (!pbft_vc_valid(m, c->set.k, c->set.l))
				continue;
			c->fake = m;
			pbft_vc_digest(&v->digest, m);
		}
		c->set.vc[c->set.count++] = m;
	}
}

static bool decide(struct choice *c)
{
	u32 i;

	c->nx = 0;
	if (c->set.count < c->set.q || c->set.l > ARRAY_SIZE(c->x) ||
	    !pbft_decide_base(&c->set, &c->base, &c->base_d))
		return false;
	for (i = 0; i < c->set.l; i++) {
		switch (pbft_decide(&c->set, c->base + 1 + i, NULL, NULL, &c->x[i])) {
		case PBFT_UNDECIDED:
			return false;
		case PBFT_DECIDE_NULL:
			pbft_null_digest(&c->x[i]);
			break;
		case PBFT_DECIDE_BATCH:
			c->nx = i + 1;
			break;
		}
	}
	return true;
}

static bool differs(const struct choice *c, const struct pbft_new_view *m)
{
	const struct pbft_digest *x = (const void *)
		(m->body + le32_to_cpu(m->v_count) * sizeof(struct pbft_nv_v));

	return c->fake || c->base != le64_to_cpu(m->base) || c->nx != le32_to_cpu(m->x_count) ||
	       memcmp(c->x, x, c->nx * sizeof(*x));
}

static void rewrite(const struct choice *c, struct pbft_new_view *m)
{
	u32 vs = c->set.count * sizeof(c->v[0]), xs = c->nx * sizeof(c->x[0]);

	m->base = cpu_to_le64(c->base);
	m->base_digest = c->base_d;
	m->v_count = cpu_to_le32(c->set.count);
	m->x_count = cpu_to_le32(c->nx);
	memcpy(m->body, c->v, vs);
	memcpy(m->body + vs, c->x, xs);
	m->hdr.length = cpu_to_le32(sizeof(*m) + vs + xs);
}

/* The forged VIEW-CHANGE with an authenticator that nobody can verify. */
static void pass_on(struct byz_lie *l, const struct pbft_view_change *vc, u32 to)
{
	u32 len = le32_to_cpu(vc->hdr.length), n = l->sim->id.n;
	u32 inner = len + pbft_wire_auth_len(PBFT_VIEW_CHANGE, n);
	struct pbft_buf *buf = sim_buf(sizeof(struct pbft_relay) + inner);
	struct pbft_relay *m = (void *)buf->data;

	memset(m, 0, buf->len);
	pbft_wire_header(&m->hdr, &l->sim->id, PBFT_RELAY, buf->len, l->node->id, 0, 0);
	memcpy(m->inner, vc, len);
	byz_say(l->node, m, to);
	pbft_buf_put(buf);
}

bool lie_choose_new_view(struct byz_lie *l, u32 to)
{
	struct pbft_new_view *m = (void *)l->msg;
	static struct choice c;
	u32 i;

	for (i = 0; i < TRIES; i++) {
		choose(l, le64_to_cpu(m->hdr.view), &c);
		if (!decide(&c) || !differs(&c, m))
			continue;
		rewrite(&c, m);
		if (c.fake)
			pass_on(l, c.fake, to);
		return true;
	}
	return false;
}
