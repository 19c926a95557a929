// SPDX-License-Identifier: GPL-2.0
/*
 * Judging one correct replica: everything it puts into its outbox, in order,
 * and its state after every event. Looks into the core directly, where going
 * through pbft_status_get() at each event would cost more than the event.
 */
#include "ghost.h"
#include "internal.h"

static struct ghost_node *ghost_of(struct sim_node *node)
{
	return &node->sim->ghost->nodes[node->id];
}

/* ---- what it committed ------------------------------------------------------ */

/* What the core holds as committed at @seq, if anything. */
static void check_committed(struct sim_node *node, u64 seq)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_slot *s;
	struct pbft_digest d;

	if (pbft_committed_digest(node->core, seq, &d))
		return;
	s = ghost_slot(g, seq);
	if (!s->committed) {
		s->committed = true;
		s->d = d;
		s->first = node->id;
		g->highest = max(g->highest, seq);
		trace(g->sim, "%s commits %llu %08x first", trace_end(node->id),
		      llu(seq), short_digest(&d));
		aim_at(node, SIM_AT_COMMITTED);
	} else if (!pbft_digest_eq(&s->d, &d)) {
		sim_violation(g->sim, "1 agreement: %llu is %08x at replica %u and %08x at replica %u",
			      llu(seq), short_digest(&s->d), s->first,
			      short_digest(&d), node->id);
	}
	if (!s->locked || !pbft_digest_eq(&s->lock_d, &d))
		sim_violation(g->sim, "1 agreement: replica %u commits %08x at %llu, which no quorum did",
			      node->id, short_digest(&d), llu(seq));
}

/* Something may have committed at @seq: it is looked at when the event is over. */
static void touched(struct ghost_node *gn, u64 seq)
{
	if (gn->touched_count < GHOST_TOUCHED)
		gn->touched[gn->touched_count] = seq;
	gn->touched_count++;
}

/*
 * A number commits by a COMMIT for it, by a vote of the replica's own for it, or
 * by a proof, which is counted. A replica that may not vote records no votes.
 */
static void learn_committed(struct sim_node *node)
{
	struct ghost_node *gn = ghost_of(node);
	const struct pbft_core *c = node->core;
	const struct pbft_counters *cnt = &c->cnt;
	bool all = gn->proofs != cnt->proofs || gn->touched_count > GHOST_TOUCHED ||
		   node->sim->stats.events % 256 == 0 ||
		   (c->rec.active && gn->touched_count);
	u64 seq;
	u32 i;

	for (i = 0; !all && i < gn->touched_count; i++)
		check_committed(node, gn->touched[i]);
	gn->touched_count = 0;
	gn->proofs = cnt->proofs;
	if (!all)
		return;
	seq = c->h > c->cfg.l ? c->h - c->cfg.l : 0;
	while (seq++ < pbft_high(c))
		check_committed(node, seq);
}

void ghost_hears(struct sim_node *node, const struct pbft_head *head)
{
	if (head->type == PBFT_COMMIT || head->type == PBFT_PRE_PREPARE ||
	    head->type == PBFT_BATCH)
		touched(ghost_of(node), head->seq);
}

/* ---- what it sends -------------------------------------------------------- */

static void check_window(struct sim_node *node, u64 seq, const char *what)
{
	const struct pbft_core *c = node->core;
	struct ghost_node *gn = ghost_of(node);

	/* h may have risen in the same step, after the message was made */
	if (seq <= gn->h || seq > pbft_high(c))
		sim_violation(node->sim, "10 window: replica %u sends %s for %llu, window (%llu, %llu]",
			      node->id, what, llu(seq), llu(gn->h), llu(pbft_high(c)));
}

static void sent_vote(struct sim_node *node, const struct pbft_hdr *h,
		      const struct pbft_digest *d, u8 kind, const char *what)
{
	struct ghost *g = node->sim->ghost;
	u64 view = le64_to_cpu(h->view), seq = le64_to_cpu(h->seq);
	struct ghost_vote *v = ghost_vote(g, node->id, kind, view, seq);

	if (!v->node || !pbft_digest_eq(&v->d, d))
		sim_violation(g->sim, "7 journal: replica %u sends %s %08x for %llu in view %llu that it did not record",
			      node->id, what, short_digest(d), llu(seq), llu(view));
	if (view < ghost_of(node)->vc_sent)
		sim_violation(g->sim, "8 promise: replica %u sends %s for view %llu after VIEW-CHANGE for %llu",
			      node->id, what, llu(view), llu(ghost_of(node)->vc_sent));
	check_window(node, seq, what);
}

static void checkpoint_taken(struct sim_node *node, u64 seq, const struct pbft_digest *d)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_slot *s = ghost_slot(g, seq);

	if (ghost_maybe_corrupt(g, node->id, seq) &&
	    (!s->checkpointed || !pbft_digest_eq(&s->ck, d)))
		return;
	if (!s->checkpointed) {
		s->checkpointed = true;
		s->ck = *d;
	} else if (!pbft_digest_eq(&s->ck, d)) {
		sim_violation(g->sim, "13 checkpoint: replica %u has another state at %llu",
			      node->id, llu(seq));
	}
	s->ck_by |= 1ull << node->id;
}

static void sent_checkpoint(struct sim_node *node, const struct pbft_checkpoint *m)
{
	struct sim *sim = node->sim;
	u64 seq = le64_to_cpu(m->hdr.seq);
	struct pbft_digest d;

	pbft_checkpoint_digest(&d, &sim->id, seq, &m->app, &m->chain,
			       le64_to_cpu(m->time));
	if (!pbft_digest_eq(&d, &m->digest))
		sim_violation(sim, "13 checkpoint: replica %u sends one for %llu whose digest is not of its parts",
			      node->id, llu(seq));
	if (!seq || ghost_maybe_corrupt(sim->ghost, node->id, seq))
		return;
	if (!(ghost_slot(sim->ghost, seq)->ck_by >> node->id & 1))
		sim_violation(sim, "7 journal: replica %u sends a CHECKPOINT for %llu it did not record",
			      node->id, llu(seq));
	checkpoint_taken(node, seq, &d);
}

static void sent_reply(struct sim_node *node, const struct pbft_reply *m)
{
	struct sim *sim = node->sim;
	u32 client = le32_to_cpu(m->client);
	struct pbft_digest d;
	struct sim_op *op;
	u8 bytes[4096];

	if (client >= PBFT_CLIENT_ID_MIN + sim->client_count ||
	    sim->clients[client - PBFT_CLIENT_ID_MIN].byz ||
	    m->status == PBFT_ST_STALE || m->status == PBFT_ST_OUT_OF_ORDER)
		return;
	op = client_op(sim, client, le64_to_cpu(m->session), le64_to_cpu(m->t));
	if (op && ghost_maybe_corrupt(sim->ghost, node->id, op->exec_seq))
		return;
	if (!op || !op->exec_seq) {
		sim_violation(sim, "4 reply: replica %u answers request %u %llu.%llu that did not execute",
			      node->id, client, llu(le64_to_cpu(m->session)),
			      llu(le64_to_cpu(m->t)));
		return;
	}
	kv_result_bytes(&op->exec, bytes);
	pbft_result_digest(&d, op->exec.status, bytes, op->exec.len);
	if (!pbft_digest_eq(&d, &m->result_digest) || m->status != op->exec.status)
		sim_violation(sim, "4 reply: replica %u sends a wrong reply to %u %llu.%llu",
			      node->id, client, llu(op->session), llu(op->t));
}

static void sent_committed(struct sim_node *node, const struct pbft_committed *m)
{
	struct ghost *g = node->sim->ghost;
	u64 seq = le64_to_cpu(m->hdr.seq);
	u32 i;

	for (i = 0; i < le32_to_cpu(m->count); i++) {
		struct ghost_slot *s;

		check_committed(node, seq + i);
		s = ghost_slot(g, seq + i);

		if (!s->committed || !pbft_digest_eq(&s->d, &m->digests[i]))
			sim_violation(g->sim, "1 agreement: replica %u vouches for %08x at %llu",
				      node->id, short_digest(&m->digests[i]), llu(seq + i));
	}
}

void check_send(struct sim_node *node, const struct pbft_out *out)
{
	const struct pbft_hdr *h = (const void *)out->buf->data;
	struct ghost_node *gn = ghost_of(node);
	const struct pbft_vote *vote = (const void *)h;
	struct pbft_head head;
	u32 len = le32_to_cpu(h->length);
	enum pbft_drop drop;

	/* it must be well-formed once authenticated: check it with room for that */
	if (out->auth != PBFT_AUTH_NONE &&
	    (out->buf->len != len || pbft_wire_auth(h->type) != out->auth))
		sim_violation(node->sim, "wire: replica %u sends %s of %u bytes, header says %u",
			      node->id, pbft_type_name(h->type), out->buf->len, len);
	drop = pbft_wire_check(&node->sim->id, h, len + pbft_wire_auth_len(h->type, node->sim->id.n),
			       &head);
	if (drop != PBFT_OK || head.sender != node->id)
		sim_violation(node->sim, "wire: replica %u sends a malformed %s (%s)",
			      node->id, pbft_type_name(h->type), pbft_drop_name(drop));
	switch (h->type) {
	case PBFT_PRE_PREPARE:
		sent_vote(node, h, &((const struct pbft_pre_prepare *)h)->digest,
			  GHOST_Q, "PRE-PREPARE");
		break;
	case PBFT_PREPARE:
		sent_vote(node, h, &vote->digest, GHOST_Q, "PREPARE");
		break;
	case PBFT_COMMIT:
		sent_vote(node, h, &vote->digest, GHOST_P, "COMMIT");
		break;
	case PBFT_CHECKPOINT:
		sent_checkpoint(node, (const void *)h);
		break;
	case PBFT_VIEW_CHANGE:
		if (gn->vc_persisted < head.view)
			sim_violation(node->sim, "7 journal: replica %u sends VIEW-CHANGE %llu unrecorded",
				      node->id, llu(head.view));
		break;
	case PBFT_NEW_VIEW:
		if (gn->nv_persisted < head.view)
			sim_violation(node->sim, "7 journal: replica %u sends NEW-VIEW %llu unrecorded",
				      node->id, llu(head.view));
		break;
	case PBFT_REPLY:
		sent_reply(node, (const void *)h);
		break;
	case PBFT_COMMITTED:
		sent_committed(node, (const void *)h);
		break;
	}
}

/* ---- what it hands to its application ----------------------------------------- */

void check_apply(struct sim_node *node, const struct pbft_out *out)
{
	struct ghost *g = node->sim->ghost;
	struct ghost_node *gn = ghost_of(node);
	u64 seq = out->head.seq;
	struct ghost_slot *s;
	u32 count = out->batch ? pbft_batch_count(out->batch) : 0;

	if (seq != gn->apply_next) {
		sim_violation(g->sim, "2 execution: replica %u applies %llu, next is %llu",
			      node->id, llu(seq), llu(gn->apply_next));
		return;
	}
	check_committed(node, seq);
	s = ghost_slot(g, seq);
	if (!s->committed) {
		sim_violation(g->sim, "2 execution: replica %u applies %llu, which it did not commit",
			      node->id, llu(seq));
		return;
	}
	pbft_chain_next(&gn->apply_chain, seq, &s->d);
	if (!pbft_digest_eq(&gn->apply_chain, &out->head.chain))
		sim_violation(g->sim, "2 execution: replica %u has another chain at %llu",
			      node->id, llu(seq));
	if (out->head.time < gn->apply_time)
		sim_violation(g->sim, "time runs backwards at replica %u, batch %llu",
			      node->id, llu(seq));
	if (!s->applied) {
		s->applied = true;
		s->time = out->head.time;
		s->count = count;
	} else if (s->time != out->head.time || s->count != count) {
		sim_violation(g->sim, "2 execution: replica %u applies batch %llu with another time or size",
			      node->id, llu(seq));
	}
	gn->apply_next++;
	gn->apply_time = out->head.time;
}

/* ---- the outbox ----------------------------------------------------------------- */

/* A NEW-VIEW may have come inside a RELAY, and is kept in its buffer. */
static const void *unwrap(const u8 *msg)
{
	const struct pbft_hdr *h = (const void *)msg;

	return h->type == PBFT_RELAY ? ((const struct pbft_relay *)msg)->inner : msg;
}

/*
 * What a replica has prepared, q replicas have pre-prepared, each for itself and
 * in this view: whom it counted must have said so, and never the primary again.
 */
static void check_certificate(struct sim_node *node, const struct pbft_out *out)
{
	struct sim *sim = node->sim;
	u64 seq = out->head.seq, said = 0;
	struct pbft_core *c = node->core;
	const struct pbft_slot *s = pbft_slot(c, seq);
	u64 counted = s && c->view == out->view ? s->prep_ok : 0;
	u32 primary = out->view % sim->id.n, i, q = pbft_quorum(sim->id.n, sim->plan.cfg.f);

	for (i = 0; i < sim->id.n; i++) {
		struct ghost_vote *v = ghost_vote(sim->ghost, i, GHOST_Q, out->view, seq);

		if (sim_correct(sim, i) && v->node && pbft_digest_eq(&v->d, &out->digest))
			said |= 1ull << i;
	}
	/* the NEW-VIEW is its primary's word */
	if (c->nv_in.view == out->view && seq <= c->nv_max && sim_correct(sim, primary))
		said |= 1ull << primary;
	if (hweight64(said) + hweight64(sim->plan.byz) < q)
		sim_violation(sim, "16 certificate: replica %u prepares %08x at %llu in view %llu by the word of %u correct replicas",
			      node->id, short_digest(&out->digest), llu(seq), llu(out->view),
			      hweight64(said));
	if (counted & ~said & ~sim->plan.byz || counted >> primary & 1)
		sim_violation(sim, "16 certificate: replica %u prepares %08x at %llu in view %llu by %llx, who said so are %llx",
			      node->id, short_digest(&out->digest), llu(seq), llu(out->view),
			      llu(counted), llu(said));
}

/* Where the NEW-VIEW has decided, nothing else is pre-prepared in its view. */
static void check_decided(struct sim_node *node, const struct pbft_out *out)
{
	const struct pbft_core *c = node->core;
	const struct pbft_new_view *m = c->nv_in.nv;
	const struct pbft_digest *x;
	u64 base;

	if (!m || c->nv_in.view != out->view)
		return;
	base = le64_to_cpu(m->base);
	x = (const void *)(m->body + le32_to_cpu(m->v_count) * sizeof(struct pbft_nv_v));
	if (out->head.seq <= base)
		sim_violation(node->sim, "10 window: replica %u pre-prepares %llu in view %llu, whose base is %llu",
			      node->id, llu(out->head.seq), llu(out->view), llu(base));
	else if (out->head.seq <= base + le32_to_cpu(m->x_count) &&
		 !pbft_digest_eq(&x[out->head.seq - base - 1], &out->digest))
		sim_violation(node->sim, "12 NEW-VIEW: replica %u pre-prepares %08x at %llu in view %llu, whose NEW-VIEW has another there",
			      node->id, short_digest(&out->digest), llu(out->head.seq),
			      llu(out->view));
}

static void recorded(struct sim_node *node, const struct pbft_out *out)
{
	struct ghost_node *gn = ghost_of(node);
	struct pbft_digest d;

	if (out->again)
		return;
	switch (out->code) {
	case PBFT_REC_PRE_PREPARED:
		if (out->head.seq > pbft_high(node->core))
			check_window(node, out->head.seq, "(Q)");
		ghost_preprepared(node, out->view, out->head.seq, &out->digest);
		check_decided(node, out);
		touched(gn, out->head.seq);
		break;
	case PBFT_REC_PREPARED:
		/* from here on its COMMIT counts, whether memory sufficed to send it or not */
		ghost_prepared(node, out->view, out->head.seq, &out->digest);
		ghost_commit(node, out->view, out->head.seq, &out->digest);
		check_certificate(node, out);
		aim_at(node, SIM_AT_PREPARED);
		touched(gn, out->head.seq);
		break;
	case PBFT_REC_CHECKPOINT:
		pbft_checkpoint_digest(&d, &node->sim->id, out->head.seq, &out->digest,
				       &out->head.chain, out->head.time);
		checkpoint_taken(node, out->head.seq, &d);
		break;
	case PBFT_REC_VIEW_CHANGE:
		if (out->view <= gn->vc_sent && gn->remembers)
			sim_violation(node->sim, "9 views: replica %u leaves for %llu after %llu",
				      node->id, llu(out->view), llu(gn->vc_sent));
		gn->vc_sent = max(gn->vc_sent, out->view);
		gn->vc_persisted = out->view;
		if (out->buf)
			oracle_view_change(node, (const void *)out->buf->data);
		break;
	case PBFT_REC_NEW_VIEW:
		if (out->buf)
			oracle_new_view(node, unwrap(out->buf->data));
		gn->nv_persisted = out->view;
		aim_at(node, SIM_AT_NEW_VIEW);
		break;
	case PBFT_REC_STABLE:
	case PBFT_REC_RAISED:
		gn->h_persisted = max(gn->h_persisted, out->head.seq);
		break;
	}
}

static void happened(struct sim_node *node, const struct pbft_out *out)
{
	struct sim *sim = node->sim;

	switch (out->code) {
	case PBFT_EV_STOPPED:
		sim_violation(sim, "replica %u stops: %s", node->id, node->core->reason);
		break;
	case PBFT_EV_EVIDENCE:
		/* who says something else of its state when that is repaired lied before */
		if (out->client >= sim->id.n ||
		    (sim_correct(sim, out->client) &&
		     !sim->ghost->nodes[out->client].corrupt_seq))
			sim_violation(sim, "replica %u accuses correct replica %u",
				      node->id, out->client);
		break;
	case PBFT_EV_VIEW_CHANGE:
		sim->stats.view_changes++;
		break;
	}
}

void ghost_survived(struct sim_node *node, const struct pbft_record *rec)
{
	struct pbft_out out = {
		.type = PBFT_OUT_PERSIST, .code = rec->code, .again = rec->again,
		.view = rec->view, .head = rec->head, .digest = rec->digest,
		.buf = rec->buf,
	};

	recorded(node, &out);
}

void ghost_out(struct sim_node *node, const struct pbft_out *out)
{
	switch (out->type) {
	case PBFT_OUT_SEND:
		check_send(node, out);
		break;
	case PBFT_OUT_APPLY:
		check_apply(node, out);
		break;
	case PBFT_OUT_PERSIST:
		recorded(node, out);
		break;
	case PBFT_OUT_EVENT:
		happened(node, out);
		break;
	}
}

/* ---- state after an event ---------------------------------------------------------- */

/*
 * A checkpoint is stable if q replicas, liars among them, can prove it, and with
 * it all that is below: h may be learnt from a VIEW-CHANGE without the proof.
 */
static void check_stable(struct sim_node *node, u64 h)
{
	struct sim *sim = node->sim;
	u32 q = pbft_quorum(sim->id.n, sim->plan.cfg.f), there = 0;
	u64 seq, by;
	u32 i;

	for (seq = h; seq && there < q && seq <= sim->ghost->highest; seq += sim->plan.cfg.k) {
		by = ghost_slot(sim->ghost, seq)->ck_by | sim->plan.byz;
		for (i = 0; i < sim->id.n; i++)
			by |= (u64)ghost_maybe_corrupt(sim->ghost, i, seq) << i;
		there = hweight64(by);
	}
	if (h && there < q)
		sim_violation(sim, "10 stable: replica %u has h = %llu, only %u correct replicas were there",
			      node->id, llu(h), hweight64(ghost_slot(sim->ghost, h)->ck_by));
}

static void grows(struct sim_node *node, u64 *was, u64 is, const char *what)
{
	if (is < *was)
		sim_violation(node->sim, "9 monotone: %s of replica %u falls from %llu to %llu",
			      what, node->id, llu(*was), llu(is));
	*was = is;
}

void ghost_check(struct sim_node *node)
{
	struct ghost_node *gn = ghost_of(node);
	struct pbft_core *c = node->core;

	/* what is not on record has not happened yet */
	if (node->disk.on && node->disk.gate.head < node->disk.gate.tail)
		return;
	if (node->disk.on ? pbft_remembers(c) : pbft_may_vote(c))
		node->sim->forgetful &= ~(1ull << node->id);
	grows(node, &gn->view, c->view, "view");
	if (c->h != gn->h) {
		grows(node, &gn->h, c->h, "h");
		check_stable(node, c->h);
		aim_at(node, SIM_AT_STABLE);
	}
	grows(node, &gn->committed, c->last_committed, "last_committed");
	if (c->bound)
		grows(node, &gn->exec, c->executed.seq, "last_exec");
	learn_committed(node);
	if (c->executed.seq > c->last_committed && c->executed.seq > c->h + c->cfg.l)
		sim_violation(node->sim, "2 execution: replica %u executed %llu, committed %llu",
			      node->id, llu(c->executed.seq), llu(c->last_committed));
	if (node->sim->stats.events % 1024 == 0)
		tables_audit(node);
}
