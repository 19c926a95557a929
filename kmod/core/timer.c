// SPDX-License-Identifier: GPL-2.0
/*
 * Time. One deadline serves the whole core; every timer is a comparison in
 * tick(). Timeouts and their back-off: Documentation/protocol.rst, "Timers".
 */
#include "internal.h"

/* T(v): doubles with each view since the last one that ordered for real. */
u64 pbft_timeout(const struct pbft_core *c, u64 view)
{
	u64 t = c->cfg.t_base, i;

	for (i = c->v_progress; i < view && t < c->cfg.t_max; i++)
		t *= 2;
	return min(t, c->cfg.t_max);
}

/* Everything that the water marks allow is committed: only checkpoints can help. */
static bool window_full(const struct pbft_core *c)
{
	return max(c->last_committed, c->h) >= pbft_high(c);
}

/*
 * Have we heard from enough others lately for a view change to make sense? One
 * that is cut off, or up before the others, would leave the view alone, and
 * could not come back.
 */
static bool in_company(const struct pbft_core *c)
{
	u64 lately = max(2 * c->cfg.t_base, 16 * c->cfg.t_status);
	u32 i, count = 1;

	for (i = 0; i < c->n; i++)
		if (i != c->self && pbft_within(c, c->peers[i].heard, lately))
			count++;
	return count >= c->q;
}

static struct pbft_client *oldest_waiting(const struct pbft_core *c)
{
	if (list_empty(&c->waiting))
		return NULL;
	return list_first_entry(&c->waiting, struct pbft_client, wait_node);
}

/*
 * Is it our own side that is slow: application or state transfer? Not for ever; nor,
 * however much the application has to do, at the cost of a client that the primary
 * neglects meanwhile.
 */
static bool busy_here(const struct pbft_core *c)
{
	struct pbft_client *cl = oldest_waiting(c);

	return (c->fetching || c->executed.seq < c->last_committed) &&
	       pbft_within(c, c->app_progress, c->cfg.t_max) &&
	       (!cl || c->now - cl->wait_since < c->cfg.t_max);
}

/* When the current view is given up, if nothing happens: U64_MAX for never. */
static u64 view_deadline(const struct pbft_core *c)
{
	u64 t = pbft_timeout(c, c->view), at = U64_MAX;
	struct pbft_client *cl = oldest_waiting(c);

	if (c->pending)
		return c->vc_timer ? c->vc_timer + t : U64_MAX;
	if (window_full(c))
		return U64_MAX;
	/* without an application nothing executes here, whoever leads */
	if (cl && c->bound)
		at = min(at, cl->wait_since + t);
	if (c->vc_timer)
		at = min(at, c->vc_timer + t);
	/* an idle cluster notices a dead primary by its missing heartbeat */
	if (!pbft_is_primary(c))
		at = min(at, max(c->primary_life, c->commit_progress) +
			     2 * c->cfg.t_heartbeat + t);
	return at;
}

/* The new view works: it ordered something new, or there is nothing to order. */
static void settle_view(struct pbft_core *c)
{
	if (!c->pending && c->vc_timer &&
	    (c->view_batches ||
	     (c->last_committed >= c->nv_max && list_empty(&c->waiting))))
		c->vc_timer = 0;
}

static void tick_view(struct pbft_core *c)
{
	settle_view(c);
	if (c->pending) {
		if (c->vc[c->self].view != c->view)
			pbft_start_vc(c, c->view);	/* memory was short, or it was mute */
		else if (!pbft_within(c, c->vc_resend, 4 * c->cfg.t_status)) {
			c->vc_resend = c->now;
			pbft_send(c, pbft_others(c), PBFT_AUTH_VECTOR,
				  pbft_buf_get(c->vc[c->self].body.buf));
		}
		pbft_vc_timer(c);
	}
	if (!c->pending)
		pbft_clients_remind(c);
	if (c->now < view_deadline(c))
		return;
	if (!c->pending && (busy_here(c) || !in_company(c)))
		return;
	if (!c->pending)
		pbft_clients_expired(c, pbft_timeout(c, c->view));
	pbft_start_vc(c, c->view + 1);
}

static void tick_primary(struct pbft_core *c)
{
	u64 done = max(c->last_committed, c->h);
	bool idle = c->next_seq - 1 <= done;

	if (c->pending || !pbft_is_primary(c))
		return;
	pbft_clients_rescan(c, false);
	pbft_propose(c);
	if (idle && !pbft_within(c, c->last_pp, c->cfg.t_heartbeat))
		pbft_propose_null(c);
	if (!idle && !c->quorum_lost &&
	    !pbft_within(c, max(c->commit_progress, c->last_pp),
			 pbft_timeout(c, c->view))) {
		c->quorum_lost = true;
		pbft_event(c, PBFT_EV_QUORUM_LOST, c->next_seq - 1, 0);
	}
}

/* Often while something is missing, seldom while all is well. */
static u64 status_interval(const struct pbft_core *c)
{
	bool quiet = !c->pending && !c->rec.active && !c->want_count &&
		     !c->held_count && !c->fetching &&
		     c->max_seen <= c->last_committed && !c->behind_since;

	return c->cfg.t_status * (quiet ? 8 : 1);
}

/* When the next STATUS is due: soon if something showed that we lag. */
static u64 status_due(const struct pbft_core *c)
{
	u64 at = c->status_at + status_interval(c);

	return c->status_soon ? min(at, c->status_at + c->cfg.t_resend) : at;
}

static void tick_status(struct pbft_core *c)
{
	if (c->now < status_due(c))
		return;
	c->status_soon = false;
	c->status_at = c->now;
	pbft_send_status(c);
}

void pbft_tick(struct pbft_core *c, u64 now)
{
	if (now > c->now)
		c->now = now;
	if (c->stopped)
		return;
	tick_view(c);
	tick_primary(c);
	tick_status(c);
	pbft_fetch_tick(c);
	pbft_check_behind(c);
	pbft_recover_tick(c);
}

u64 pbft_next_deadline(const struct pbft_core *c)
{
	u64 at = status_due(c);

	if (c->stopped)
		return U64_MAX;
	if (c->want_count)
		at = min(at, c->now + c->cfg.t_resend);
	if (!c->pending && pbft_is_primary(c))
		at = min(at, c->last_pp + c->cfg.t_heartbeat);
	at = min(at, view_deadline(c));
	if (!c->pending && oldest_waiting(c))
		at = min(at, oldest_waiting(c)->wait_since + c->cfg.t_base / 2);
	/* what is due already has been looked at: no busy loop */
	return max(at, c->now + c->cfg.t_resend / 4);
}
