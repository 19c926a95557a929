// SPDX-License-Identifier: GPL-2.0
/*
 * What a client receives, and when it believes it.
 *
 * An operation is decided by f + 1 replicas that agree on status and result
 * digest, all committed; or, when some replied tentatively, by a quorum that
 * replied in one view (Castro and Liskov 2002, section 4.1). Only one replica
 * need send the result itself: anybody's that has the digest will do.
 */
#include <errno.h>
#include <stdlib.h>

#include "libpbft/client_priv.h"

#define REPLY_MAX	(sizeof(struct pbft_reply) + PBFT_OP_MAX + PBFT_MAC_LEN)

/* ---- authentication ------------------------------------------------- */

/*
 * A replica changes its key generation at will, and says which one in the
 * header. The key of an unknown one is derived on trial and kept only if the
 * MAC holds, together with the one before for packets still on their way.
 */
static bool authentic(struct pbft_client *c, const void *data,
		      const struct pbft_head *head)
{
	struct pbft_pair_id pair = {
		c->wire.cluster, c->wire.epoch, c->id, head->sender, c->mac
	};
	struct peer *p = &c->peers[head->sender];
	const u8 *mac = (const u8 *)data + head->len;
	struct rx_key fresh = { .id = head->key_id };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(p->rx); i++)
		if (p->rx[i].key.valid && p->rx[i].id == head->key_id)
			return pbft_mac_ok(&p->rx[i].key, data, head->len, mac);
	pbft_pair_key_shared(&pair, p->shared, c->public_key, p->public_key,
			     head->key_id, false, &fresh.key);
	if (!pbft_mac_ok(&fresh.key, data, head->len, mac))
		return false;
	p->rx[1] = p->rx[0];
	p->rx[0] = fresh;
	return true;
}

/*
 * The view that f + 1 replicas say they have reached, so that a correct one
 * has. Unlike the median of a certificate's f + 1 views, f liars move it in
 * neither direction.
 */
static void heard_view(struct pbft_client *c, u32 sender, u64 view)
{
	u32 i, j, reached;
	u64 best = 0;

	if (c->peers[sender].view == view)
		return;
	c->peers[sender].view = view;
	for (i = 0; i < c->n; i++) {
		for (j = 0, reached = 0; j < c->n; j++)
			reached += c->peers[j].view >= c->peers[i].view;
		if (reached > c->f && c->peers[i].view > best)
			best = c->peers[i].view;
	}
	c->view = best;
}

/* ---- results -------------------------------------------------------- */

static struct body *find_body(struct slot *s, const struct pbft_digest *digest)
{
	u32 i;

	for (i = 0; i < BODIES; i++)
		if (s->body[i].used && pbft_digest_eq(&s->body[i].digest, digest))
			return &s->body[i];
	return NULL;
}

static u32 count_votes(const struct pbft_client *c, const struct slot *s,
		       const struct pbft_digest *digest)
{
	u32 i, count = 0;

	for (i = 0; i < c->n; i++)
		count += s->votes[i].given &&
			 pbft_digest_eq(&s->votes[i].digest, digest);
	return count;
}

/* Does the result in this reply have the digest it claims? */
static bool body_ok(struct slot *s, const struct pbft_reply *m)
{
	u32 len = le32_to_cpu(m->result_len);
	struct pbft_digest claimed, real;
	struct body *known;

	memcpy(&claimed, &m->result_digest, sizeof(claimed));
	known = find_body(s, &claimed);
	/* comparing is cheaper than hashing, and mostly they are equal */
	if (known && known->bytes.len == len &&
	    (!len || !memcmp(known->bytes.data, m->result, len)))
		return true;
	pbft_result_digest(&real, m->status, m->result, len);
	return pbft_digest_eq(&real, &claimed);
}

/*
 * Keep a result until its digest is decided. Liars may send false ones: when
 * places run out, the result that fewest replicas claim makes room.
 */
static void keep_body(struct pbft_client *c, struct slot *s,
		      const struct pbft_reply *m, u32 sender)
{
	u32 len = le32_to_cpu(m->result_len), i, votes, fewest = U32_MAX;
	struct pbft_digest digest;
	struct body *to = NULL;

	memcpy(&digest, &m->result_digest, sizeof(digest));
	if (find_body(s, &digest))
		return;
	for (i = 0; i < BODIES; i++) {
		votes = s->body[i].used ?
			count_votes(c, s, &s->body[i].digest) : 0;
		if (votes < fewest) {
			fewest = votes;
			to = &s->body[i];
		}
	}
	if (to->used && fewest > count_votes(c, s, &digest))
		return;
	if (!bytes_reserve(&to->bytes, len))
		return;
	if (len)
		memcpy(to->bytes.data, m->result, len);
	to->bytes.len = len;
	to->digest = digest;
	to->sender = sender;
	to->used = true;
}

/* ---- deciding ------------------------------------------------------- */

static bool votes_match(const struct vote *a, const struct vote *b)
{
	return a->given && b->given && a->status == b->status &&
	       pbft_digest_eq(&a->digest, &b->digest) &&
	       (a->status != PBFT_ST_OUT_OF_ORDER || a->seq == b->seq);
}

static bool certified(const struct pbft_client *c, const struct slot *s,
		      const struct vote *v)
{
	u32 i, committed = 0, same_view = 0;

	for (i = 0; i < c->n; i++) {
		const struct vote *w = &s->votes[i];

		if (!votes_match(v, w))
			continue;
		committed += !w->tentative;
		same_view += w->view == v->view;
	}
	return committed > c->f || same_view >= c->q;
}

/* Is all known about it but the result itself? */
bool pbft_client_lacks_body(const struct pbft_client *c, struct slot *s)
{
	u32 i;

	for (i = 0; i < c->n; i++) {
		const struct vote *v = &s->votes[i];

		if (v->given && v->status != PBFT_ST_OUT_OF_ORDER &&
		    certified(c, s, v))
			return !find_body(s, &v->digest);
	}
	return false;
}

/*
 * f + 1 replicas skipped it because one before it was missing: send again what
 * was sent no later than this one, in order. Whatever is newer has been sent
 * again for the same reason already.
 */
static void out_of_order(struct pbft_client *c, struct slot *s, u64 seq, u64 now)
{
	u64 sent = s->last_sent, t;
	u32 i;

	c->stats.out_of_order++;
	c->resent_at = now;
	s->out_of_order = seq;
	for (i = 0; i < c->n; i++)
		if (s->votes[i].status == PBFT_ST_OUT_OF_ORDER)
			s->votes[i].given = false;
	for (t = c->oldest; t <= s->t; t++) {
		struct slot *u = slot_of(c, t);

		if (u->state == SLOT_SENT && u->last_sent <= sent)
			pbft_client_transmit(c, u, now);
	}
}

static void decided(struct pbft_client *c, struct slot *s, const struct vote *v,
		    const struct body *body, u64 now)
{
	u32 i;

	for (i = 0; i < c->n; i++)
		c->stats.replies_bad += s->votes[i].given &&
					!votes_match(v, &s->votes[i]);
	if (body->sender == s->replier)
		c->peers[s->replier].avoid_until = 0;
	pbft_client_decided(c, s, now);
	pbft_slot_finish(c, s, 0, v->status,
			 body->bytes.len ? body->bytes.data : NULL, body->bytes.len);
}

static void try_decide(struct pbft_client *c, struct slot *s,
		       const struct vote *v, u64 now)
{
	u64 soon = now + c->srtt + NSEC_PER_MSEC;
	struct body *body;

	if (!certified(c, s, v))
		return;
	switch (v->status) {
	case PBFT_ST_OUT_OF_ORDER:
		out_of_order(c, s, v->seq, now);
		break;
	case PBFT_ST_STALE:
		c->stats.stale++;
		c->stale = true;
		pbft_slot_finish(c, s, -ESTALE, 0, NULL, 0);
		break;
	default:
		body = find_body(s, &v->digest);
		if (body)
			decided(c, s, v, body, now);
		else if (!s->to_all && s->resend_at > soon)
			s->resend_at = soon;	/* the replier should be here by now */
	}
}

/* ---- messages ------------------------------------------------------- */

/* The slot this reply is about, if it is still undecided. */
static struct slot *reply_slot(struct pbft_client *c, const struct pbft_reply *m)
{
	u64 t = le64_to_cpu(m->t);
	struct slot *s = slot_of(c, t);

	if (le64_to_cpu(m->session) != c->session || t < c->oldest ||
	    t >= c->next_t || s->t != t || s->state != SLOT_SENT)
		return NULL;
	return s;
}

static bool reply_ok(struct slot *s, const struct pbft_reply *m)
{
	if (m->status > PBFT_ST_APP_ERROR)
		return false;
	if (m->flags & PBFT_REPLY_DIGEST_ONLY)
		return !m->result_len;
	return m->full_len == m->result_len && body_ok(s, m);
}

static void take_vote(struct pbft_client *c, struct slot *s,
		      const struct pbft_reply *m, const struct pbft_head *head,
		      u64 now)
{
	struct vote *v = &s->votes[head->sender];

	/* a replica that has executed it never takes that back */
	if (m->status == PBFT_ST_OUT_OF_ORDER &&
	    (head->seq <= s->out_of_order ||
	     (v->given && v->status != PBFT_ST_OUT_OF_ORDER)))
		return;
	v->given = true;
	v->tentative = m->flags & PBFT_REPLY_TENTATIVE;
	v->status = m->status;
	v->view = head->view;
	v->seq = head->seq;
	memcpy(&v->digest, &m->result_digest, sizeof(v->digest));
	if (!(m->flags & PBFT_REPLY_DIGEST_ONLY))
		keep_body(c, s, m, head->sender);
	try_decide(c, s, v, now);
}

/* Most replies are late, the operation decided: they cost no MAC. */
static bool handle_reply(struct pbft_client *c, const struct pbft_reply *m,
			 const struct pbft_head *head, u64 now)
{
	struct slot *s;

	c->stats.replies++;
	if (le32_to_cpu(m->client) != c->id)
		return false;
	s = reply_slot(c, m);
	if (!s)
		return true;
	if (!authentic(c, m, head) || !reply_ok(s, m))
		return false;
	heard_view(c, head->sender, head->view);
	take_vote(c, s, m, head, now);
	return true;
}

static bool handle_hello_ack(struct pbft_client *c,
			     const struct pbft_hello_ack *m,
			     const struct pbft_head *head, u64 now)
{
	if (!authentic(c, m, head))
		return false;
	if (le64_to_cpu(m->session) != c->session || head->seq < c->hello_first)
		return true;
	heard_view(c, head->sender, head->view);
	pbft_client_greeted(c, head->sender, now);
	return true;
}

static bool handle_fragment(struct pbft_client *c, const struct pbft_fragment *m,
			    const struct pbft_head *head, u64 now)
{
	struct pbft_head inner;
	enum pbft_drop drop;
	struct pbft_buf *buf;
	bool good;

	if (!authentic(c, m, head))
		return false;
	pbft_transport_owner(c, head->sender, le64_to_cpu(m->id));
	buf = pbft_reasm_add(&c->peers[head->sender].reasm, m, REPLY_MAX, &drop);
	if (!buf)
		return drop == PBFT_OK;
	good = pbft_wire_check(&c->wire, buf->data, buf->len, &inner) == PBFT_OK &&
	       inner.type == PBFT_REPLY && inner.sender == head->sender &&
	       handle_reply(c, (const void *)buf->data, &inner, now);
	pbft_buf_put(buf);
	return good;
}

bool pbft_client_handle(struct pbft_client *c, const void *data,
			const struct pbft_head *head, u64 now)
{
	client_activate(c);
	switch (head->type) {
	case PBFT_REPLY:
		return handle_reply(c, data, head, now);
	case PBFT_HELLO_ACK:
		return handle_hello_ack(c, data, head, now);
	case PBFT_FRAGMENT:
		/* clients may send fragments too, but not to us */
		return head->sender < c->n && handle_fragment(c, data, head, now);
	default:
		return false;
	}
}
