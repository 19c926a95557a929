// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints (section 4.3 of the paper): what others claim, what we hold, and
 * h. A checkpoint (n, D) is stable by q matching CHECKPOINTs, or by f + 1 whose
 * senders say they have that proof. f + 1 matching ones are enough to fetch the
 * state by: one of them is from a correct replica.
 *
 * Claims within the window have one place for each sender and checkpoint; above
 * it, two for each sender, the highest and the highest it calls stable: the latter
 * is what moves the window, the former can lie beyond what becomes stable without
 * us. Nobody can make us hold more.
 */
#include "internal.h"

static struct pbft_ck_claim *claim_at(const struct pbft_core *c, u64 seq, u32 from)
{
	return &c->claims[seq / c->cfg.k % c->ck_ring * c->n + from];
}

static struct pbft_ck_claim *claim_high(const struct pbft_core *c, u32 from, bool stable)
{
	return &c->claims_high[stable ? c->n + from : from];
}

/* What @from says about @seq, wherever it is kept. */
static struct pbft_ck_claim *claim_of(const struct pbft_core *c, u64 seq, u32 from)
{
	struct pbft_ck_claim *cl;

	if (seq <= pbft_high(c)) {
		cl = claim_at(c, seq, from);
	} else {
		cl = claim_high(c, from, true);
		if (cl->seq != seq)
			cl = claim_high(c, from, false);
	}
	return cl->seq == seq && seq ? cl : NULL;
}

/* The base of a NEW-VIEW has the word of f + 1 members of V. */
static bool is_base(const struct pbft_core *c, u64 seq, const struct pbft_digest *d)
{
	u32 i;

	for (i = 0; i < c->own_count; i++)
		if (c->own[i].seq == seq && !c->own[i].held &&
		    pbft_digest_eq(&c->own[i].d, d))
			return true;
	return false;
}

/*
 * f + 1 say so. Of a base one is enough: others that held it may have lost it since,
 * and nothing below it is voted on any more.
 */
bool pbft_claim_certified(const struct pbft_core *c, u64 seq,
			  const struct pbft_digest *d, struct pbft_ck_claim *out,
			  u64 *who)
{
	u32 i, count = 0;

	*who = 0;
	for (i = 0; i < c->n; i++) {
		const struct pbft_ck_claim *cl = claim_of(c, seq, i);

		if (!cl || !pbft_digest_eq(&cl->d, d))
			continue;
		*out = *cl;
		*who |= BIT_ULL(i);
		count++;
	}
	return count >= c->f + 1 || (count && is_base(c, seq, d));
}

struct pbft_ck_own *pbft_own_find(struct pbft_core *c, u64 seq)
{
	u32 i;

	for (i = 0; i < c->own_count; i++)
		if (c->own[i].seq == seq && c->own[i].held)
			return &c->own[i];
	return NULL;
}

/* Insert by sequence number; a held one replaces the word of others. */
static void own_add(struct pbft_core *c, const struct pbft_ck_own *e)
{
	u32 i = 0;

	while (i < c->own_count && c->own[i].seq < e->seq)
		i++;
	if (i < c->own_count && c->own[i].seq == e->seq) {
		if (e->held || !c->own[i].held)
			c->own[i] = *e;
		return;
	}
	if (c->own_count == c->own_cap) {
		if (!e->held || c->own[c->own_count - 1].held || i == c->own_count)
			return;
		c->own_count--;
	}
	memmove(&c->own[i + 1], &c->own[i], (c->own_count - i) * sizeof(*e));
	c->own[i] = *e;
	c->own_count++;
}

static void own_prune(struct pbft_core *c)
{
	u32 i = 0;

	while (i < c->own_count && c->own[i].seq < c->h)
		i++;
	c->own_count -= i;
	memmove(&c->own[0], &c->own[i], c->own_count * sizeof(c->own[0]));
}

/* The base of a NEW-VIEW we accepted joins our C: see newview.c. */
void pbft_add_base(struct pbft_core *c, u64 seq, const struct pbft_digest *d)
{
	struct pbft_ck_own e = { .seq = seq, .d = *d };

	if (seq >= c->h)
		own_add(c, &e);
}

struct pbft_buf *pbft_checkpoint_message(struct pbft_core *c,
					 const struct pbft_ck_own *own)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_CHECKPOINT,
					sizeof(struct pbft_checkpoint), c->view,
					own->seq);
	struct pbft_checkpoint *m;
	bool stable = own->seq == c->h && c->stable.seq == c->h &&
		      pbft_digest_eq(&c->stable.d, &own->d);

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->digest = own->d;
	m->app = own->app;
	m->chain = own->chain;
	m->time = cpu_to_le64(own->time);
	m->flags = cpu_to_le32(stable ? PBFT_CK_STABLE : 0);
	m->reserved = 0;
	return buf;
}

/* ---- on record -------------------------------------------------------------- */

/* A checkpoint whose state has digest @app; it takes no memory and cannot fail. */
static void persist_claim(struct pbft_core *c, u8 code, u64 seq, u64 time,
			  const struct pbft_digest *chain, const struct pbft_digest *app)
{
	struct pbft_out *out = pbft_emit(c, PBFT_OUT_PERSIST);

	if (!out)
		return;
	out->code = code;
	out->view = c->view;
	out->again = c->again;
	out->digest = *app;
	out->head.seq = seq;
	out->head.time = time;
	out->head.chain = *chain;
}

static void persist_h(struct pbft_core *c)
{
	if (c->stable.seq == c->h)
		persist_claim(c, PBFT_REC_STABLE, c->h, c->stable.time,
			      &c->stable.chain, &c->stable.app);
	else
		pbft_persist(c, PBFT_REC_RAISED, c->h, c->view, NULL, NULL, NULL);
}

static void persist_own(struct pbft_core *c, const struct pbft_ck_own *own)
{
	if (own->held)
		persist_claim(c, PBFT_REC_CHECKPOINT, own->seq, own->time, &own->chain,
			      &own->app);
	else
		pbft_persist(c, PBFT_REC_BASE, own->seq, c->view, &own->d, NULL, NULL);
}

void pbft_persist_checkpoints(struct pbft_core *c)
{
	u32 i;

	if (c->h)
		persist_h(c);
	for (i = 0; i < c->own_count; i++)
		persist_own(c, &c->own[i]);
}

/* A checkpoint of an earlier life: the claim stands, the copy of the state is gone. */
void pbft_own_restore(struct pbft_core *c, const struct pbft_ck_claim *claim)
{
	struct pbft_ck_own e = {
		.seq = claim->seq, .held = true, .old = true, .d = claim->d,
		.app = claim->app, .chain = claim->chain, .time = claim->time,
	};

	if (e.seq < c->h)
		return;
	own_add(c, &e);
	if (e.seq && e.seq <= pbft_high(c))
		*claim_at(c, e.seq, c->self) = *claim;
}

/* ---- stability ----------------------------------------------------------- */

/* Claims above the old window may be inside the new one. */
static void resettle_high(struct pbft_core *c)
{
	u32 i;

	for (i = 0; i < 2 * c->n; i++) {
		struct pbft_ck_claim *hi = &c->claims_high[i];

		if (!hi->seq || hi->seq > pbft_high(c))
			continue;
		if (hi->seq >= c->h)
			*claim_at(c, hi->seq, i % c->n) = *hi;
		hi->seq = 0;
	}
}

/* State of our own that differs from a certified one is repaired, not used. */
static void check_own(struct pbft_core *c, const struct pbft_ck_claim *proof)
{
	struct pbft_ck_own *own = pbft_own_find(c, proof->seq);

	if (!own || pbft_digest_eq(&own->d, &proof->d))
		return;
	own->held = false;
	own->d = proof->d;
	pbft_want_state(c, proof);
}

void pbft_raise_h(struct pbft_core *c, u64 seq, const struct pbft_ck_claim *proof)
{
	u64 old = c->h, n;

	if (seq <= old) {
		if (seq == old && proof && c->stable.seq != seq) {
			c->stable = *proof;
			persist_h(c);
		}
		return;
	}
	c->h = seq;
	if (proof)
		c->stable = *proof;
	for (n = old + 1; n <= min(seq, old + c->cfg.l); n++) {
		struct pbft_slot *s = pbft_slot(c, n);

		if (!s)
			continue;
		pbft_slot_leave_view(c, s);
		pbft_slot_drop_pq(s);
	}
	own_prune(c);
	resettle_high(c);
	c->next_seq = max(c->next_seq, seq + 1);
	c->quorum_lost = false;
	c->cnt.stable++;
	persist_h(c);
	/* a window longer, for peers that fetch one of them */
	if (seq > c->cfg.l)
		pbft_ask(c, PBFT_OUT_DISCARD, seq - c->cfg.l);
	pbft_event(c, PBFT_EV_STABLE, seq, 0);
	if (proof)
		check_own(c, proof);
	pbft_check_behind(c);
	pbft_take_entries(c);
	pbft_try_new_view(c);
	pbft_recover_check(c);
	pbft_advance_committed(c);
}

static void check_stable(struct pbft_core *c, const struct pbft_ck_claim *claim)
{
	u32 i, count = 0, stable = 0;

	for (i = 0; i < c->n; i++) {
		const struct pbft_ck_claim *cl = claim_of(c, claim->seq, i);

		if (!cl || !pbft_digest_eq(&cl->d, &claim->d))
			continue;
		count++;
		stable += cl->stable;
	}
	if (count >= c->q || stable >= c->f + 1) {
		struct pbft_ck_claim proof = *claim;

		pbft_raise_h(c, proof.seq, &proof);
	}
}

/*
 * The last claim counts, also after another one: it may be that of a replica
 * which has repaired its state. A quorum needs f + 1 correct replicas at any time,
 * so a liar that changes its mind gains nothing it could not say to another.
 */
static void add_claim(struct pbft_core *c, u32 from, const struct pbft_ck_claim *claim)
{
	struct pbft_ck_claim *at;

	if (claim->seq < c->h || !claim->seq)
		return;
	if (claim->seq > pbft_high(c)) {
		at = claim_high(c, from, claim->stable);
		if (claim->seq < at->seq)
			return;
	} else {
		at = claim_at(c, claim->seq, from);
	}
	if (at->seq == claim->seq && pbft_digest_eq(&at->d, &claim->d)) {
		at->stable |= claim->stable;
	} else {
		if (at->seq == claim->seq)
			pbft_evidence(c, from);
		*at = *claim;
	}
	check_stable(c, claim);
}

void pbft_own_checkpoint(struct pbft_core *c, u64 seq,
			 const struct pbft_digest *app,
			 const struct pbft_log_head *head)
{
	struct pbft_ck_own e = {
		.seq = seq, .held = true, .app = *app, .chain = head->chain,
		.time = head->time,
	};
	struct pbft_ck_claim claim = {
		.seq = seq, .app = *app, .chain = head->chain, .time = head->time,
	}, *mine;

	pbft_checkpoint_digest(&e.d, &c->wire, seq, app, &head->chain, head->time);
	claim.d = e.d;
	if (seq < c->h)
		return;
	if (seq == c->h && c->stable.seq == seq &&
	    !pbft_digest_eq(&c->stable.d, &e.d)) {
		pbft_want_state(c, &c->stable);
		return;
	}
	c->cnt.checkpoints++;
	own_add(c, &e);
	persist_own(c, &e);
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, pbft_checkpoint_message(c, &e));
	/* repaired state replaces what we said of it before */
	mine = claim_of(c, seq, c->self);
	if (mine)
		mine->seq = 0;
	add_claim(c, c->self, &claim);
}

void pbft_on_checkpoint(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_checkpoint *m = pkt->data;
	struct pbft_ck_claim claim = {
		.seq = pkt->head.seq,
		.stable = le32_to_cpu(m->flags) & PBFT_CK_STABLE,
		.d = m->digest, .app = m->app, .chain = m->chain,
		.time = le64_to_cpu(m->time),
	};
	struct pbft_digest d;

	if (claim.seq % c->cfg.k)
		return;
	pbft_checkpoint_digest(&d, &c->wire, claim.seq, &claim.app, &claim.chain,
			       claim.time);
	if (!pbft_digest_eq(&d, &m->digest))
		return;
	add_claim(c, pkt->head.sender, &claim);
	pbft_check_behind(c);
}

/* ---- behind ------------------------------------------------------------------ */

/* The highest checkpoint above what is executed that f + 1 replicas vouch for. */
static bool best_target(const struct pbft_core *c, struct pbft_ck_claim *best)
{
	struct pbft_ck_claim out;
	bool found = false;
	u64 who, seq;
	u32 i;

	for (i = 0; i < 2 * c->n; i++) {
		const struct pbft_ck_claim *cl = &c->claims_high[i];

		if (cl->seq > c->executed.seq && (!found || cl->seq > best->seq) &&
		    pbft_claim_certified(c, cl->seq, &cl->d, &out, &who)) {
			*best = out;
			found = true;
		}
	}
	for (seq = pbft_high(c); !found && seq >= c->h && seq > c->executed.seq;
	     seq -= c->cfg.k) {
		for (i = 0; i < c->n && !found; i++) {
			const struct pbft_ck_claim *cl = claim_of(c, seq, i);

			if (cl && pbft_claim_certified(c, seq, &cl->d, best, &who))
				found = true;
		}
	}
	return found;
}

/*
 * Fetch state when the log cannot bring us there: the checkpoint is a window
 * ahead of what we executed, so that peers no longer keep the batches between;
 * or it is ahead and nothing has committed here for a while.
 */
void pbft_check_behind(struct pbft_core *c)
{
	u64 patience = 2 * c->cfg.t_base;
	struct pbft_ck_claim best;
	bool gone;

	if (!c->bound || c->stopped)
		return;
	if (!best_target(c, &best)) {
		c->behind_since = 0;
		return;
	}
	if (c->fetching) {
		/*
		 * Peers drop states a window below their stable checkpoint, which we
		 * may not have heard of.
		 */
		if (c->fetch.seq + c->cfg.l <= c->h ||
		    !pbft_within(c, c->fetch_since, c->fetch_patience))
			pbft_want_state(c, &best);
		return;
	}
	/* what the application needs next, or has yet to answer, has left the ring */
	gone = c->executed.seq < c->last_committed &&
	       !pbft_slot(c, c->executed.seq + 1);
	if (!gone && best.seq <= c->last_committed) {
		c->behind_since = 0;
		return;
	}
	if (!c->behind_since)
		c->behind_since = c->now;
	if (!gone && best.seq < c->last_committed + c->cfg.l &&
	    (pbft_within(c, c->behind_since, patience) ||
	     pbft_within(c, c->commit_progress, patience)))
		return;
	pbft_want_state(c, &best);
}
