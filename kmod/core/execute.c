// SPDX-License-Identifier: GPL-2.0
/*
 * The application's side: batches out in order, results in, and what happens
 * when the application is elsewhere than the log: replay from the slots if they
 * reach back far enough, state transfer if not.
 */
#include "internal.h"

static void apply(struct pbft_core *c, struct pbft_slot *s)
{
	struct pbft_log_head *head = &c->delivered;
	struct pbft_out *out;

	head->seq = s->seq;
	pbft_chain_next(&head->chain, s->seq, &s->cd);
	/* agreed time: what was proposed, but always forward; null batches have none */
	if (s->cbatch)
		head->time = max(head->time + 1, s->cbatch->time);
	s->head = *head;
	s->delivered = true;
	out = pbft_emit(c, PBFT_OUT_APPLY);
	if (!out)
		return;
	out->head = *head;
	out->view = c->view;
	out->digest = s->cd;
	if (s->cbatch)
		out->batch = pbft_batch_get(s->cbatch);
}

void pbft_deliver(struct pbft_core *c)
{
	while (c->bound && !c->fetching && !c->stopped &&
	       c->delivered.seq < c->last_committed) {
		struct pbft_slot *s = pbft_slot(c, c->delivered.seq + 1);

		if (!s || !s->committed ||
		    (!s->cbatch && !pbft_digest_eq(&s->cd, &c->null_d)))
			break;
		if (c->executed.seq == c->delivered.seq)
			c->app_progress = c->now;	/* it was idle */
		apply(c, s);
		if (s->seq % c->cfg.k == 0)
			pbft_ask(c, PBFT_OUT_SNAPSHOT, s->seq);
	}
}

int pbft_executed(struct pbft_core *c, u64 now, u64 seq,
		  const struct pbft_result *results, u32 count)
{
	struct pbft_slot *s = pbft_slot(c, seq);
	u32 i;

	if (now > c->now)
		c->now = now;
	if (c->stopped)
		return 0;
	if (!c->bound || seq != c->answered + 1 || seq > c->delivered.seq)
		return -EINVAL;
	c->answered = seq;
	c->app_progress = c->now;
	/* overtaken by the window: a state transfer will replace what it did */
	if (!s || !s->delivered || seq != c->executed.seq + 1)
		return 0;
	if (count != pbft_batch_count(s->cbatch))
		return -EINVAL;
	for (i = 0; i < count; i++)
		if (results[i].len > PBFT_OP_MAX)
			return -EINVAL;
	c->executed = s->head;
	for (i = 0; i < count; i++)
		pbft_client_executed(c, &s->cbatch->items[i],
				     &s->cbatch->digests[i], seq, &results[i]);
	pbft_propose(c);
	return 0;
}

int pbft_checkpointed(struct pbft_core *c, u64 now, u64 seq,
		      const struct pbft_digest *app)
{
	struct pbft_slot *s = pbft_slot(c, seq);
	const struct pbft_log_head *head;

	if (now > c->now)
		c->now = now;
	if (c->stopped)
		return 0;
	if (!c->bound || !seq || seq % c->cfg.k || seq > c->answered)
		return -EINVAL;
	if (seq > c->executed.seq)
		return 0;	/* overtaken: see pbft_executed() */
	if (seq == c->executed.seq)
		head = &c->executed;
	else if (s && s->delivered)
		head = &s->head;
	else
		return 0;	/* too old to be of use */
	pbft_own_checkpoint(c, seq, app, head);
	return 0;
}

/* ---- asking for a state -------------------------------------------------- */

static void ask_state(struct pbft_core *c)
{
	struct pbft_out *out;

	if (!c->bound || c->fetch_asked)
		return;
	c->fetch_asked = true;
	c->fetch_since = c->now;
	c->fetch_patience = min(2 * max(c->fetch_patience, c->cfg.t_base), c->cfg.t_max);
	out = pbft_emit(c, PBFT_OUT_FETCH_STATE);
	if (!out)
		return;
	out->digest = c->fetch.app;
	/* those who vouched may have lost it since, others may have it by now */
	out->to = pbft_others(c);
	out->head.seq = c->fetch.seq;
	out->head.time = c->fetch.time;
	out->head.chain = c->fetch.chain;
}

/* ---- binding ---------------------------------------------------------- */

int pbft_bind(struct pbft_core *c, u64 now, const struct pbft_log_head *head)
{
	static const struct pbft_digest zero;
	struct pbft_slot *s = pbft_slot(c, head->seq);
	struct pbft_ck_own *own;

	if (now > c->now)
		c->now = now;
	if (c->bound)
		return -EEXIST;
	/* a cluster that has never run cannot have an application that has */
	if (c->cfg.genesis && head->seq > max(c->last_committed, c->fetch.seq))
		return -ESTALE;
	if (!head->seq && !pbft_digest_eq(&head->chain, &zero))
		return -EBADMSG;
	if (s && s->delivered && !pbft_digest_eq(&s->head.chain, &head->chain))
		return -EBADMSG;
	c->bound = true;
	c->delivered = *head;
	c->executed = *head;
	c->answered = head->seq;
	pbft_committed_from(c, head->seq);
	c->app_progress = c->now;
	/* of an earlier life we may have the word, but no copy of the state */
	own = pbft_own_find(c, head->seq);
	if (head->seq && head->seq % c->cfg.k == 0 && (!own || own->old))
		pbft_ask(c, PBFT_OUT_SNAPSHOT, head->seq);
	c->fetch_asked = false;
	if (c->fetching && head->seq >= c->fetch.seq)
		c->fetching = false;
	pbft_check_behind(c);
	if (c->fetching)
		ask_state(c);	/* the one before may have died with the question */
	pbft_advance_committed(c);
	return 0;
}

void pbft_unbind(struct pbft_core *c)
{
	c->bound = false;
	c->fetch_asked = false;
}

/* ---- state transfer ------------------------------------------------------ */

/* The certified state @target is to replace ours. A newer target replaces an older. */
void pbft_want_state(struct pbft_core *c, const struct pbft_ck_claim *target)
{
	if (c->fetching && target->seq <= c->fetch.seq) {
		ask_state(c);
		return;
	}
	c->fetching = true;
	c->fetch = *target;
	c->fetch_asked = false;
	c->cnt.state_fetches++;
	pbft_event(c, PBFT_EV_BEHIND, target->seq, 0);
	ask_state(c);
}

int pbft_state_installed(struct pbft_core *c, u64 now, u64 seq,
			 const struct pbft_digest *app)
{
	if (now > c->now)
		c->now = now;
	if (c->stopped)
		return 0;
	if (!c->bound || !c->fetching || seq > c->fetch.seq)
		return -EINVAL;
	if (seq < c->fetch.seq)
		return 0;	/* an earlier target; the newer one is on its way */
	if (!pbft_digest_eq(app, &c->fetch.app))
		return -EINVAL;
	c->fetching = false;
	c->fetch_asked = false;
	c->fetch_patience = 0;
	c->behind_since = 0;
	c->app_progress = c->now;
	c->delivered.seq = seq;
	c->delivered.time = c->fetch.time;
	c->delivered.chain = c->fetch.chain;
	c->executed = c->delivered;
	c->answered = seq;
	pbft_committed_from(c, seq);
	pbft_clients_forget(c);
	pbft_event(c, PBFT_EV_SYNCED, seq, 0);
	pbft_own_checkpoint(c, seq, app, &c->executed);
	pbft_advance_committed(c);
	pbft_propose(c);
	return 0;
}
