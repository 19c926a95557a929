// SPDX-License-Identifier: GPL-2.0
/*
 * The three phases (Castro and Liskov 2002, section 4.3): PRE-PREPARE, PREPARE,
 * COMMIT, in the current view. Votes are counted in one view only; what they
 * establish lives on in P, Q and the committed slots.
 */
#include "internal.h"

/* An amnesiac follows, executes and answers, but makes no promises. */
bool pbft_may_vote(const struct pbft_core *c)
{
	return !c->rec.active ||
	       (c->rec.estimated && c->h >= c->rec.point &&
		c->view >= c->rec.min_view);
}

/* ---- votes ----------------------------------------------------------- */

static void send_vote(struct pbft_core *c, u8 type, struct pbft_slot *s)
{
	struct pbft_buf *buf = pbft_msg(c, type, sizeof(struct pbft_vote),
					c->view, s->seq);

	if (buf)
		((struct pbft_vote *)buf->data)->digest = s->d;
	s->active = c->now;
	pbft_send(c, pbft_others(c), PBFT_AUTH_MAC, buf);
}

/* Which of the votes seen are for the slot's digest? */
static u64 matching(const struct pbft_core *c, u64 seen,
		    const struct pbft_digest *votes, const struct pbft_digest *d)
{
	u64 ok = 0;
	u32 i;

	for (i = 0; i < c->n; i++)
		if (seen & BIT_ULL(i) && pbft_digest_eq(&votes[i], d))
			ok |= BIT_ULL(i);
	return ok;
}

static void check_committed(struct pbft_core *c, struct pbft_slot *s)
{
	u64 left = s->commit_seen;

	if (s->committed)
		return;
	if (s->pp && hweight64(s->commit_ok) >= c->q) {
		pbft_commit_slot(c, s, &s->d, c->view);
		return;
	}
	/*
	 * A quorum of COMMITs for one digest proves it without our own
	 * certificate: at least f + 1 correct replicas hold theirs.
	 */
	while (!s->pp && hweight64(left) >= c->q) {
		u32 i = __ffs64(left);
		u64 same = matching(c, left, s->commit, &s->commit[i]);

		if (hweight64(same) >= c->q) {
			struct pbft_digest d = s->commit[i];

			pbft_commit_slot(c, s, &d, c->view);
			return;
		}
		left &= ~same;
	}
}

static void check_prepared(struct pbft_core *c, struct pbft_slot *s)
{
	if (s->prepared || !s->voted || hweight64(s->prep_ok) < c->q - 1)
		return;
	s->prepared = true;
	s->p_set = true;
	s->p_view = c->view;
	s->p_d = s->d;
	pbft_persist(c, PBFT_REC_PREPARED, s->seq, c->view, &s->d, NULL, NULL);
	send_vote(c, PBFT_COMMIT, s);
	s->commit[c->self] = s->d;
	s->commit_seen |= BIT_ULL(c->self);
	s->commit_ok |= BIT_ULL(c->self);
	check_committed(c, s);
}

/* A vote in this view and window; the slot to count it in, or NULL. */
static struct pbft_slot *vote_slot(struct pbft_core *c,
				   const struct pbft_packet *pkt)
{
	if (pkt->head.view != c->view || pkt->head.seq <= c->low ||
	    !pbft_in_window(c, pkt->head.seq)) {
		c->cnt.votes_ignored++;
		if (pkt->head.view > c->view || pkt->head.seq > pbft_high(c))
			c->status_soon = true;
		return NULL;
	}
	return pbft_slot_get(c, pkt->head.seq);
}

/* First vote wins; a different second one is evidence. */
static bool record_vote(struct pbft_core *c, u32 from, u64 *seen,
			struct pbft_digest *votes, const struct pbft_digest *d)
{
	if (*seen & BIT_ULL(from)) {
		c->cnt.votes_ignored++;
		if (!pbft_digest_eq(&votes[from], d))
			pbft_evidence(c, from);
		return false;
	}
	*seen |= BIT_ULL(from);
	votes[from] = *d;
	return true;
}

void pbft_on_prepare(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_digest *d = &((const struct pbft_vote *)pkt->data)->digest;
	u32 from = pkt->head.sender;
	struct pbft_slot *s;

	/* the primary's vote is its PRE-PREPARE, and never counts twice */
	if (from == pbft_primary(c, pkt->head.view))
		return;
	s = vote_slot(c, pkt);
	if (!s || !record_vote(c, from, &s->prep_seen, s->prep, d))
		return;
	c->cnt.prepares++;
	if (s->pp && pbft_digest_eq(d, &s->d)) {
		s->prep_ok |= BIT_ULL(from);
		check_prepared(c, s);
	} else if (s->held) {
		pbft_try_held(c, s);
	} else if (pkt->head.seq <= c->nv_max) {
		pbft_take_entries(c);
	}
}

void pbft_on_commit(struct pbft_core *c, const struct pbft_packet *pkt)
{
	const struct pbft_digest *d = &((const struct pbft_vote *)pkt->data)->digest;
	u32 from = pkt->head.sender;
	struct pbft_slot *s = vote_slot(c, pkt);

	if (!s || !record_vote(c, from, &s->commit_seen, s->commit, d))
		return;
	c->cnt.commits++;
	if (s->pp && pbft_digest_eq(d, &s->d))
		s->commit_ok |= BIT_ULL(from);
	check_committed(c, s);
}

/* ---- accepting ----------------------------------------------------------- */

/*
 * Pre-prepared in this view, as backup or as primary, by PRE-PREPARE or by
 * NEW-VIEW. From here on our word is given. @pre_prepare: the primary's own, to
 * be sent once that is durable.
 */
void pbft_accept(struct pbft_core *c, struct pbft_slot *s,
		 const struct pbft_digest *d, struct pbft_batch *batch,
		 struct pbft_buf *pre_prepare)
{
	s->d = *d;
	s->batch = batch ? pbft_batch_get(batch) : NULL;
	s->pp = true;
	/* a proposal that nobody can accept is no sign of life */
	c->primary_life = c->now;
	pbft_slot_unhold(c, s);
	c->max_seen = max(c->max_seen, s->seq);
	s->prep_ok = matching(c, s->prep_seen, s->prep, d);
	s->commit_ok = matching(c, s->commit_seen, s->commit, d);
	if (pbft_may_vote(c)) {
		pbft_q_add(s, d, c->view, batch);
		s->voted = true;
		pbft_persist(c, PBFT_REC_PRE_PREPARED, s->seq, c->view, d, batch, NULL);
		s->active = c->now;
		if (pre_prepare)
			pbft_send(c, pbft_others(c), PBFT_AUTH_MAC,
				  pbft_buf_get(pre_prepare));
		if (pbft_is_primary(c)) {
			pbft_clients_proposed(c, batch, s->seq);
		} else {
			send_vote(c, PBFT_PREPARE, s);
			s->prep[c->self] = *d;
			s->prep_seen |= BIT_ULL(c->self);
			s->prep_ok |= BIT_ULL(c->self);
		}
	}
	check_prepared(c, s);
	check_committed(c, s);
	pbft_fill_committed(c, s);
}

static bool time_ok(const struct pbft_core *c, const struct pbft_batch *b)
{
	u64 here = c->now + c->wall_offset;

	if (!c->cfg.clock_skew || !b->count)
		return true;
	return b->time - here <= c->cfg.clock_skew ||
	       here - b->time <= c->cfg.clock_skew;
}

/* Did f other backups, hence one correct replica, find the batch authentic? */
static bool others_prepared(const struct pbft_core *c, const struct pbft_slot *s,
			    const struct pbft_digest *d)
{
	u64 ok = matching(c, s->prep_seen, s->prep, d);

	return hweight64(ok & pbft_others(c)) >= c->f;
}

bool pbft_authentic(struct pbft_core *c, const struct pbft_slot *s,
		    const struct pbft_batch *b)
{
	u32 i;

	for (i = 0; i < b->count; i++)
		if (!b->items[i].authentic &&
		    !pbft_guard_endorsed(c, &b->items[i], &b->digests[i]))
			return others_prepared(c, s, &b->digest);
	return true;
}

void pbft_try_held(struct pbft_core *c, struct pbft_slot *s)
{
	struct pbft_batch *b = s->held_batch;

	if (!s->held || c->pending || c->stopped)
		return;
	/* the votes of others have committed something else meanwhile */
	if (!pbft_slot_agrees(s, &s->held_d)) {
		pbft_slot_unhold(c, s);
		return;
	}
	pbft_batch_fill(c, b);
	if (b->missing)
		return;
	if (pbft_batch_wire_size(b) > PBFT_MSG_MAX) {
		pbft_slot_unhold(c, s);
		return;
	}
	if (!pbft_authentic(c, s, b)) {
		pbft_guard_hold(c, s);
		return;
	}
	if (s->want && pbft_digest_eq(&s->want_d, &b->digest))
		pbft_unwant(c, s);
	pbft_accept(c, s, &b->digest, b, NULL);
}

void pbft_try_all_held(struct pbft_core *c)
{
	u64 seq;

	for (seq = c->h + 1; c->held_count && seq <= pbft_high(c); seq++) {
		struct pbft_slot *s = pbft_slot(c, seq);

		if (s && s->held)
			pbft_try_held(c, s);
	}
}

/*
 * Hold it until it can be accepted: one for each sequence number. A repetition may
 * bring requests in full that the first had not, and takes over what is known of all.
 */
static void hold(struct pbft_core *c, struct pbft_slot *s, struct pbft_batch *b)
{
	struct pbft_batch *old = NULL;

	if (s->held && pbft_digest_eq(&s->held_d, &b->digest)) {
		old = s->held_batch;
		pbft_batch_inherit(b, old);
		pbft_batch_inherit(old, b);
	}
	if (old && old->missing <= b->missing) {
		pbft_batch_put(b);
	} else {
		pbft_slot_unhold(c, s);
		s->held = true;
		s->held_d = b->digest;
		s->held_batch = b;
		c->held_count++;
		c->cnt.held++;
	}
	/* large requests may still be on their way from their clients */
	if (s->held_batch->missing)
		pbft_want(c, s, &s->held_d, false);
}

void pbft_on_pre_prepare(struct pbft_core *c, const struct pbft_packet *pkt,
			 const struct pbft_verdict *verdict)
{
	const struct pbft_digest *digest =
		&((const struct pbft_pre_prepare *)pkt->data)->digest;
	u64 seq = pkt->head.seq;
	struct pbft_batch *b;
	struct pbft_slot *s;

	if (pkt->head.sender != pbft_primary(c, pkt->head.view))
		return;
	if (c->pending) {
		c->cnt.votes_ignored++;
		return;
	}
	s = vote_slot(c, pkt);
	if (!s)
		return;
	/* what the NEW-VIEW decided needs no PRE-PREPARE */
	if (s->pp || seq <= c->nv_max) {
		if (s->pp && !pbft_digest_eq(digest, &s->d))
			pbft_evidence(c, pkt->head.sender);
		return;
	}
	if (!pbft_slot_agrees(s, digest)) {
		c->cnt.votes_ignored++;
		return;
	}
	b = pbft_batch_parse(c, pkt, verdict);
	if (!b)
		return;
	if (!time_ok(c, b))
		c->cnt.clock_refused++;
	if (!pbft_batch_sane(b) || !time_ok(c, b)) {
		pbft_batch_put(b);
		return;
	}
	c->cnt.pre_prepares++;
	if (!b->count) {
		pbft_batch_put(b);
		pbft_accept(c, s, &c->null_d, NULL, NULL);
		return;
	}
	hold(c, s, b);
	pbft_try_held(c, s);
	pbft_fill_committed(c, s);
}

/* ---- committed ------------------------------------------------------------ */

/* The body of what is committed may come after the proof, in whatever message. */
void pbft_fill_committed(struct pbft_core *c, struct pbft_slot *s)
{
	struct pbft_batch *b;

	if (!s->committed || s->cbatch || pbft_digest_eq(&s->cd, &c->null_d))
		return;
	b = pbft_slot_body(s, &s->cd);
	if (!b)
		return;
	s->cbatch = pbft_batch_get(b);
	if (s->want && pbft_digest_eq(&s->want_d, &s->cd))
		pbft_unwant(c, s);
	pbft_advance_committed(c);
}

/* @view: where a quorum of COMMITs was seen; PBFT_VIEW_UNKNOWN: it is the word of others */
void pbft_commit_slot(struct pbft_core *c, struct pbft_slot *s,
		      const struct pbft_digest *d, u64 view)
{
	struct pbft_batch *b;

	if (s->committed) {
		if (!pbft_digest_eq(&s->cd, d))
			pbft_violated(c, "two different batches committed at one sequence number: more than f faulty replicas");
		return;
	}
	s->committed = true;
	s->c_view = view;
	s->active = c->now;
	s->cd = *d;
	c->max_seen = max(c->max_seen, s->seq);
	b = pbft_slot_body(s, d);
	if (b)
		s->cbatch = pbft_batch_get(b);
	else if (!pbft_digest_eq(d, &c->null_d))
		pbft_want(c, s, d, true);
	pbft_advance_committed(c);
}

static bool body_here(const struct pbft_core *c, const struct pbft_slot *s)
{
	return s && s->committed &&
	       (s->cbatch || pbft_digest_eq(&s->cd, &c->null_d));
}

void pbft_advance_committed(struct pbft_core *c)
{
	struct pbft_slot *s;

	while (body_here(c, (s = pbft_slot(c, c->last_committed + 1)))) {
		c->last_committed++;
		c->commit_progress = c->now;
		c->quorum_lost = false;
		c->cnt.batches++;
		if (!s->cbatch) {
			c->cnt.batches_null++;
			continue;
		}
		c->cnt.ops += s->cbatch->count;
		if (++c->view_batches == c->cfg.k)
			c->v_progress = c->view;
	}
	pbft_deliver(c);
}

/*
 * The application is at @seq. What counted as committed because it had once been
 * further, but is not here in this life, is asked for as if it had never been; if
 * that is no longer to be had, pbft_check_behind() fetches a state.
 */
void pbft_committed_from(struct pbft_core *c, u64 seq)
{
	u64 n;

	for (n = seq + 1; n <= c->last_committed; n++) {
		struct pbft_slot *s = pbft_slot_get(c, n);

		if (!s)
			break;
		if (!body_here(c, s)) {
			c->last_committed = n - 1;
			break;
		}
	}
	c->last_committed = max(c->last_committed, seq);
}

/* ---- the primary ------------------------------------------------------------ */

static bool may_propose(struct pbft_core *c)
{
	struct pbft_slot *s;

	if (c->pending || c->stopped || !pbft_is_primary(c) ||
	    !pbft_may_vote(c) || c->next_seq > pbft_high(c))
		return false;
	/* committed without us: a later view has begun, we only do not know it yet */
	s = pbft_slot(c, c->next_seq);
	return !s || !s->committed;
}

static u64 in_flight(const struct pbft_core *c)
{
	u64 done = max(c->last_committed, c->h);

	return c->next_seq - 1 > done ? c->next_seq - 1 - done : 0;
}

/* Bytes one request takes in a BATCH, and in a PRE-PREPARE of ours. */
static u32 whole_size(const struct pbft_pending *p)
{
	return sizeof(struct pbft_entry) + ALIGN(p->msg_len, 8);
}

static bool is_inline(const struct pbft_core *c, const struct pbft_pending *p)
{
	return le32_to_cpu(p->msg->op_len) <= c->cfg.inline_max;
}

static u32 entry_size(const struct pbft_core *c, const struct pbft_pending *p)
{
	return is_inline(c, p) ? whole_size(p) : sizeof(struct pbft_entry);
}

/*
 * Choose requests round robin among the clients, each client's in its order, as
 * many as fit. Return: bytes of entries.
 */
static u32 pick(struct pbft_core *c)
{
	u32 bytes = 0, total = 0;

	c->picked = 0;
	while (c->picked < c->cfg.batch_max && !list_empty(&c->proposable)) {
		struct pbft_client *cl = list_first_entry(&c->proposable,
							  struct pbft_client,
							  prop_node);
		struct pbft_pending *p = pbft_pending_find(cl, cl->prop_session,
							   cl->prop_next);

		/* by reference or not, a BATCH must be able to carry it all */
		if (bytes && (bytes + entry_size(c, p) > c->cfg.batch_bytes ||
			      total + whole_size(p) > PBFT_MSG_MAX / 2))
			break;
		bytes += entry_size(c, p);
		total += whole_size(p);
		c->pick_client[c->picked] = cl;
		c->pick_req[c->picked] = p;
		c->pick_digest[c->picked++] = p->digest;
		cl->prop_next++;
		cl->prop_seq = c->next_seq;
		list_del_init(&cl->prop_node);
		pbft_client_proposable(c, cl);
	}
	return bytes;
}

static void put_entry(struct pbft_entry *e, const struct pbft_client *cl,
		      const struct pbft_pending *p, bool inl)
{
	u32 len = inl ? p->msg_len : 0;

	e->len = cpu_to_le32(len);
	e->client = cpu_to_le32(cl->id);
	e->session = p->msg->session;
	e->t = cpu_to_le64(p->t);
	e->digest = p->digest;
	memcpy(e->request, p->msg, len);
	memset(e->request + len, 0, ALIGN(len, 8) - len);
}

/* Our own PRE-PREPARE is taken apart by the same code as anybody's, but not hashed again. */
static void pre_prepare(struct pbft_core *c, struct pbft_buf *buf)
{
	struct pbft_packet pkt = {
		.data = buf->data, .len = buf->len, .buf = buf,
		.head = { .type = PBFT_PRE_PREPARE, .len = buf->len,
			  .sender = c->self, .view = c->view,
			  .seq = c->next_seq },
	};
	struct pbft_slot *s = pbft_slot_get(c, c->next_seq);
	struct pbft_batch *b;

	if (!s)
		return;
	b = pbft_batch_own(c, &pkt);
	if (!b)
		return;
	c->next_seq++;
	c->last_pp = c->now;
	pbft_accept(c, s, &b->digest, b->count ? b : NULL, buf);
	pbft_batch_put(b);
}

static struct pbft_buf *begin_pre_prepare(struct pbft_core *c, u32 room)
{
	struct pbft_buf *buf = pbft_msg(c, PBFT_PRE_PREPARE,
					sizeof(struct pbft_pre_prepare) + room,
					c->view, c->next_seq);
	struct pbft_pre_prepare *m;

	if (!buf)
		return NULL;
	m = (void *)buf->data;
	m->time = cpu_to_le64(c->now + c->wall_offset);
	m->count = 0;
	m->reserved = 0;
	return buf;
}

static bool propose_one(struct pbft_core *c)
{
	u32 bytes = pick(c), i;
	struct pbft_buf *buf = begin_pre_prepare(c, bytes);
	struct pbft_pre_prepare *m;
	u8 *p;

	if (!buf) {
		pbft_clients_rescan(c, true);
		return false;
	}
	m = (void *)buf->data;
	m->count = cpu_to_le32(c->picked);
	p = m->entries;
	for (i = 0; i < c->picked; i++) {
		put_entry((void *)p, c->pick_client[i], c->pick_req[i],
			  is_inline(c, c->pick_req[i]));
		p += entry_size(c, c->pick_req[i]);
	}
	pbft_batch_digest(&m->digest, c->next_seq, le64_to_cpu(m->time),
			  c->pick_digest, c->picked);
	pre_prepare(c, buf);
	pbft_buf_put(buf);
	return c->picked > 0;
}

bool pbft_propose_null(struct pbft_core *c)
{
	struct pbft_buf *buf;

	if (!may_propose(c))
		return false;
	buf = begin_pre_prepare(c, 0);
	if (!buf)
		return false;
	((struct pbft_pre_prepare *)buf->data)->digest = c->null_d;
	pre_prepare(c, buf);
	pbft_buf_put(buf);
	return true;
}

/*
 * Propose while fewer batches than the pipeline holds are in flight: requests
 * that come meanwhile gather, so batches grow with the load and no timer waits.
 */
void pbft_propose(struct pbft_core *c)
{
	while (may_propose(c) && in_flight(c) < c->cfg.pipeline) {
		if (!list_empty(&c->proposable)) {
			if (!propose_one(c))
				break;
		} else if (c->next_seq <= c->pad_until) {
			if (!pbft_propose_null(c))
				break;
		} else {
			break;
		}
	}
}
