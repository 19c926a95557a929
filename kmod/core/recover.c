// SPDX-License-Identifier: GPL-2.0
/*
 * A replica without memory. It may have promised anything a replica at its place
 * could have promised, so it stays mute until nothing it can say now can
 * contradict that (Castro and Liskov 2002, section 4.3.2, "estimation"; the
 * bound on views is derived in Documentation/protocol.rst):
 *
 *	c_M	a checkpoint reported by a peer, such that n - q + f + 1 peers report
 *		none higher and f + 1 report having prepared that far
 *	H_M	= c_M + L: it has voted for nothing above
 *	V_M	the least view such that n - q + f + 1 peers report none higher: it
 *		has promised no view above V_M + 1
 *
 * It votes above H_M in views above V_M + 1, once H_M is stable. Meanwhile it
 * follows, executes, answers clients and takes checkpoints: those are facts, not
 * promises. Its peers help: the primary pads the log to H_M with null batches,
 * and replicas active in a lower view go on to the next one, so often and no
 * more. That costs a faulty replica's victims a bounded number of view changes.
 */
#include "internal.h"

/* View changes granted to one peer per rejoin interval: what one recovery takes. */
#define REJOIN_VIEWS	3
#define REJOIN_SLOWEST	360
/* V_M is at most one above the view that q - f correct replicas are in. */
#define REJOIN_AHEAD	3

void pbft_recover_start(struct pbft_core *c)
{
	u32 i;

	c->rec.active = true;
	c->rec.nonce = c->now + c->wall_offset;
	for (i = 0; i < PBFT_N_MAX; i++) {
		c->rec.c[i] = U64_MAX;
		c->rec.v[i] = U64_MAX;
	}
}

static void query(struct pbft_core *c)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_QUERY_STABLE,
					sizeof(struct pbft_query_stable), c->view, 0);

	if (buf)
		((struct pbft_query_stable *)buf->data)->nonce =
			cpu_to_le64(c->rec.nonce);
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

static void ask_to_rejoin(struct pbft_core *c)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_REJOIN, sizeof(struct pbft_rejoin),
					c->rec.min_view, c->rec.point);

	if (buf)
		((struct pbft_rejoin *)buf->data)->h = cpu_to_le64(c->h);
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

void pbft_recover_tick(struct pbft_core *c)
{
	if (!c->rec.active || pbft_within(c, c->rec.asked, c->cfg.t_status))
		return;
	pbft_recover_check(c);
	if (!c->rec.active)
		return;
	c->rec.asked = c->now;
	if (!c->rec.estimated || c->rec.heard != pbft_others(c))
		query(c);
	if (c->rec.estimated)
		ask_to_rejoin(c);
}

/* Safe to vote: from here on like any other. */
void pbft_recover_check(struct pbft_core *c)
{
	if (!c->rec.active || !c->rec.estimated || c->h < c->rec.point ||
	    c->view < c->rec.min_view || c->pending)
		return;
	c->rec.active = false;
	pbft_persist(c, PBFT_REC_REMEMBERS, 0, 0, NULL, NULL, NULL);
	pbft_event(c, PBFT_EV_RECOVERED, c->h, 0);
}

/* ---- estimation ----------------------------------------------------------- */

static bool checkpoint_estimate(const struct pbft_core *c, u64 *out)
{
	u32 need = c->n - c->q + c->f + 1, i, j;
	bool found = false;

	for (i = 0; i < c->n; i++) {
		u32 below = 0, prepared = 0;

		if (!(c->rec.heard & BIT_ULL(i)))
			continue;
		for (j = 0; j < c->n; j++) {
			if (!(c->rec.heard & BIT_ULL(j)))
				continue;
			below += c->rec.c[j] <= c->rec.c[i];
			prepared += c->rec.p[j] >= c->rec.c[i];
		}
		if (below >= need && prepared >= c->f + 1 &&
		    (!found || c->rec.c[i] < *out)) {
			*out = c->rec.c[i];
			found = true;
		}
	}
	return found;
}

static bool view_estimate(const struct pbft_core *c, u64 *out)
{
	u32 need = c->n - c->q + c->f + 1, i, j;
	bool found = false;

	for (i = 0; i < c->n; i++) {
		u32 below = 0;

		if (!(c->rec.heard & BIT_ULL(i)))
			continue;
		for (j = 0; j < c->n; j++)
			below += c->rec.heard & BIT_ULL(j) &&
				 c->rec.v[j] <= c->rec.v[i];
		if (below >= need && (!found || c->rec.v[i] < *out)) {
			*out = c->rec.v[i];
			found = true;
		}
	}
	return found;
}

void pbft_on_reply_stable(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_reply_stable *m = pkt->data;
	u32 i = pkt->head.sender;
	u64 ck, view;

	if (!c->rec.active || le64_to_cpu(m->nonce) != c->rec.nonce ||
	    pkt->head.seq % c->cfg.k || pkt->head.seq > U64_MAX / 2 ||
	    pkt->head.view > S64_MAX - 2)
		return;
	c->rec.heard |= BIT_ULL(i);
	c->rec.c[i] = min(c->rec.c[i], pkt->head.seq);
	c->rec.v[i] = min(c->rec.v[i], pkt->head.view);
	c->rec.p[i] = max(c->rec.p[i], le64_to_cpu(m->prepared));
	if (!checkpoint_estimate(c, &ck) || !view_estimate(c, &view))
		return;
	/*
	 * Each estimate is a bound on its own. The first may rest on a liar's
	 * answer; a lower one from more answers takes its place.
	 */
	if (!c->rec.estimated) {
		c->rec.estimated = true;
		c->rec.point = ck + c->cfg.l;
		c->rec.min_view = view + 2;
		c->status_soon = true;
	}
	c->rec.point = min(c->rec.point, ck + c->cfg.l);
	c->rec.min_view = min(c->rec.min_view, view + 2);
	pbft_recover_check(c);
}

static u64 last_prepared(struct pbft_core *c)
{
	u64 seq;

	for (seq = pbft_high(c); seq > c->h; seq--) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (s && s->p_set)
			return seq;
	}
	return max(c->h, c->last_committed);
}

/* Another has lost its memory. One that has too knows nothing worth telling. */
void pbft_on_query_stable(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_query_stable *q = pkt->data;
	struct pbft_reply_stable *m;
	struct pbft_buf *buf;
	u64 ck = c->h;

	if (!pbft_may_vote(c))
		return;
	if (c->own_count && c->own[c->own_count - 1].held)
		ck = max(ck, c->own[c->own_count - 1].seq);
	buf = pbft_msg(c, PBFT_REPLY_STABLE, sizeof(*m), c->view, ck);
	if (buf) {
		m = (void *)buf->data;
		m->nonce = q->nonce;
		m->prepared = cpu_to_le64(last_prepared(c));
	}
	pbft_send(c, BIT_ULL(pkt->head.sender), PBFT_AUTH_MAC, buf);
}

/* ---- helping ------------------------------------------------------------------ */

/*
 * The longest interval. Each of the others may be asked in turn, and takes all
 * along: there must be time between for views to come to rest.
 */
static u64 slowest(const struct pbft_core *c)
{
	return max(REJOIN_SLOWEST * c->cfg.t_rejoin,
		   4ull * REJOIN_VIEWS * c->n * c->cfg.t_max);
}

/*
 * A peer asks us to move on. Each interval in which it asks is twice as long as
 * the one before, up to slowest(), until it has asked nothing for twice as long,
 * and for longer than it takes to time out of f faulty primaries' views and its
 * own: a faulty replica disturbs less and less, an honest one has what one
 * recovery takes at once.
 */
static void asks(struct pbft_core *c, struct pbft_peer *p)
{
	u64 content = 2 * max(p->rejoin_interval, (c->f + 1) * c->cfg.t_max);
	bool fresh = !p->rejoin_interval || !pbft_within(c, p->rejoin_asked, content);

	p->rejoin_asked = c->now;
	if (fresh || !pbft_within(c, p->rejoin_from, p->rejoin_interval)) {
		p->rejoin_interval = fresh ? c->cfg.t_rejoin :
				     min(2 * p->rejoin_interval, slowest(c));
		p->rejoin_from = c->now;
		p->rejoin_views = 0;
		p->rejoin_view = U64_MAX;
	}
	/* a view it asks in counts, whoever of us moves on first */
	if (p->rejoin_view != c->view) {
		p->rejoin_view = c->view;
		p->rejoin_views++;
	}
}

/*
 * Only from a view we are active in, and only to the next: so it stays true that
 * whenever a correct replica is in view w, q - f are in w - 1 or later, which
 * the estimation of V_M rests on.
 */
static void grant(struct pbft_core *c, struct pbft_peer *p)
{
	if (p->rejoin_views <= REJOIN_VIEWS)
		pbft_start_vc(c, c->view + 1);
}

void pbft_on_rejoin(struct pbft_core *c, const struct pbft_packet *pkt)
{
	u64 point = pkt->head.seq, view = pkt->head.view;

	if (c->pending || !pbft_may_vote(c))
		return;
	if (pbft_is_primary(c) && point > c->h && point <= c->h + 2 * c->cfg.l)
		c->pad_until = max(c->pad_until, point);
	if (le64_to_cpu(((const struct pbft_rejoin *)pkt->data)->h) < point ||
	    view <= c->view || view > c->view + REJOIN_AHEAD)
		return;
	asks(c, &c->peers[pkt->head.sender]);
	grant(c, &c->peers[pkt->head.sender]);
}

/*
 * A peer that has left our view alone cannot come back: it promised. It is
 * correct but lost to us until we follow. So we do, after a while.
 */
void pbft_help_ahead(struct pbft_core *c, u32 from, u64 view, bool pending)
{
	struct pbft_peer *p = &c->peers[from];

	if (!pending || view <= c->view || c->pending || !pbft_may_vote(c)) {
		p->ahead_view = 0;
		return;
	}
	asks(c, p);
	if (p->ahead_view != view) {
		p->ahead_view = view;
		p->ahead_since = c->now;
		return;
	}
	if (!pbft_within(c, p->ahead_since, c->cfg.t_rejoin))
		grant(c, p);
}
