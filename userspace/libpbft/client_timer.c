// SPDX-License-Identifier: GPL-2.0
/*
 * The client's sense of time: when to send, when to send again, how much to
 * have on the way.
 *
 * The timeout follows the measured latency as in RFC 6298, doubles while
 * nothing helps and comes back step by step with success. What is on the way is
 * bounded by a window of bytes, that grows with what is decided and halves on
 * loss: a burst of large operations must not overrun the replicas' sockets.
 */
#include "libpbft/client_priv.h"

#define MIN_TIMEOUT	(5 * NSEC_PER_MSEC)
#define WINDOW_START	(64 * 1024)
#define WINDOW_MIN	(16 * 1024)
#define WINDOW_MAX	(1024 * 1024)
#define BACKOFF_MAX	16
#define HELLO_INTERVAL	(10 * NSEC_PER_SEC)

void pbft_client_timer_init(struct pbft_client *c, u64 now)
{
	c->window = WINDOW_START;
	c->threshold = WINDOW_MAX;
	c->hello_wait = all_replicas(c);
	c->hello_interval = c->cluster->cfg.t_base;
	c->hello_at = now + c->hello_interval;
	c->held = true;
	c->held_until = now + c->cluster->cfg.t_base / 10;
}

/* ---- the timeout ---------------------------------------------------- */

static u64 random_below(struct pbft_client *c, u64 limit)
{
	u64 z = c->rng += 0x9e3779b97f4a7c15ull;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	z ^= z >> 31;
	return limit ? z % limit : 0;
}

static u64 timeout_max(const struct pbft_client *c)
{
	return min(c->cluster->cfg.t_max, 8 * c->cluster->cfg.t_base);
}

static u64 timeout_now(const struct pbft_client *c)
{
	u64 base = c->cluster->cfg.t_base, least = base / 32, t = base;

	if (least < MIN_TIMEOUT)
		least = MIN_TIMEOUT;
	if (c->srtt)
		t = max(c->srtt + 4 * c->rttvar, least);
	if (t >= timeout_max(c) >> c->backoff)
		return timeout_max(c);
	return t << c->backoff;
}

/* With up to an eighth more, so that clients do not stay in step. */
u64 pbft_client_timeout(struct pbft_client *c)
{
	u64 t = timeout_now(c);

	return t + random_below(c, t / 8);
}

static void measured(struct pbft_client *c, u64 rtt)
{
	u64 diff;

	if (!c->srtt) {
		c->srtt = rtt;
		c->rttvar = rtt / 2;
		return;
	}
	diff = rtt > c->srtt ? rtt - c->srtt : c->srtt - rtt;
	c->rttvar += diff / 4 - c->rttvar / 4;
	c->srtt += rtt / 8 - c->srtt / 8;
}

/* ---- success and failure -------------------------------------------- */

void pbft_client_decided(struct pbft_client *c, struct slot *s, u64 now)
{
	u32 bytes = slot_bytes(c, s);

	/*
	 * Of one sent twice nobody knows which copy was answered; and one that
	 * waited for the retransmission of another measures our timeout only.
	 */
	if (!s->to_all && s->first_sent > c->resent_at)
		measured(c, now - s->first_sent);
	if (c->backoff)
		c->backoff--;
	if (c->window >= c->threshold)
		bytes = (u64)bytes * WINDOW_MIN / c->window;
	c->window = min(c->window + bytes, (u32)WINDOW_MAX);
}

/* Time ran out: once per timeout, however many operations it concerns. */
static void step_back(struct pbft_client *c, u64 now)
{
	if (now < c->backoff_at)
		return;
	c->backoff_at = now + timeout_now(c);
	if (c->backoff < BACKOFF_MAX)
		c->backoff++;
	c->threshold = max(c->window / 2, (u32)WINDOW_MIN);
	c->window = c->threshold;
	/* they may have lost our address, or us theirs */
	pbft_client_hello(c, all_replicas(c));
}

/*
 * To everybody, for a full answer. When only the result is missing, that is the
 * replier's failure and nobody else's: no reason to go slower.
 */
static void send_again(struct pbft_client *c, struct slot *s, u64 now)
{
	if (!s->to_all && pbft_client_lacks_body(c, s)) {
		c->peers[s->replier].avoid_until = now + AVOID_NS;
	} else {
		step_back(c, now);
		c->resent_at = now;
	}
	c->stats.retransmits++;
	if (!s->to_all) {
		s->to_all = true;
		s->sealed = false;
	}
	pbft_client_transmit(c, s, now);
}

/* Everything whose time has come. Callbacks may submit meanwhile. */
void pbft_client_expire(struct pbft_client *c, u64 now)
{
	u64 t, end = c->next_t;

	for (t = c->oldest; t < end; t++) {
		struct slot *s = slot_of(c, t);

		if (s->t == t && s->state == SLOT_SENT && now >= s->resend_at)
			send_again(c, s, now);
		if (s->t == t && s->state != SLOT_FREE && s->owed &&
		    s->expires && now >= s->expires)
			pbft_slot_finish(c, s, -ETIMEDOUT, 0, NULL, 0);
	}
}

/* ---- greeting ------------------------------------------------------- */

void pbft_client_greeted(struct pbft_client *c, u32 replica, u64 now)
{
	c->hello_wait &= ~(1ull << replica);
	if (c->hello_wait)
		return;
	c->hello_interval = c->cluster->cfg.t_base;
	c->hello_at = now + HELLO_INTERVAL;
}

/*
 * While there is work: replicas that never answered a HELLO hear it again, and
 * all of them now and then, since one that restarted has forgotten us.
 */
static void greet(struct pbft_client *c, u64 now)
{
	if (c->oldest == c->next_t || now < c->hello_at)
		return;
	if (!c->hello_wait)
		c->hello_wait = all_replicas(c);
	pbft_client_hello(c, c->hello_wait);
	c->hello_at = now + c->hello_interval;
	c->hello_interval = min(2 * c->hello_interval, (u64)HELLO_INTERVAL);
}

/* ---- first transmission --------------------------------------------- */

bool pbft_client_may_send(const struct pbft_client *c, const struct slot *s)
{
	return !c->flight || c->flight + slot_bytes(c, s) <= c->window;
}

/*
 * The answers to HELLO say which replica is primary. Without them the first
 * request would go to that of view 0, and be late by a timeout if it is gone.
 */
static bool still_held(struct pbft_client *c, u64 now)
{
	if (c->held && (hweight64(c->hello_wait) <= c->f || now >= c->held_until))
		c->held = false;
	return c->held;
}

void pbft_client_pump(struct pbft_client *c, u64 now)
{
	greet(c, now);
	if (still_held(c, now))
		return;
	while (c->first_unsent < c->next_t) {
		struct slot *s = slot_of(c, c->first_unsent);

		if (!pbft_client_may_send(c, s))
			break;
		s->state = SLOT_SENT;
		s->first_sent = now;
		c->flight += slot_bytes(c, s);
		pbft_client_transmit(c, s, now);
		c->first_unsent++;
	}
}
