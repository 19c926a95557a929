// SPDX-License-Identifier: GPL-2.0
#include "decide.h"

/* ---- one VIEW-CHANGE -------------------------------------------------- */

/* First entry of @pq at or above @seq. */
static u32 lower_bound(const struct pbft_vc_pq *pq, u32 count, u64 seq)
{
	u32 lo = 0, hi = count;

	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (le64_to_cpu(pq[mid].seq) < seq)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const struct pbft_vc_pq *find_p(const struct pbft_view_change *vc, u64 seq)
{
	const struct pbft_vc_pq *p = pbft_vc_ps(vc);
	u32 count = le32_to_cpu(vc->p_count), i = lower_bound(p, count, seq);

	return i < count && le64_to_cpu(p[i].seq) == seq ? &p[i] : NULL;
}

/* The entries of Q at @seq, latest view first. */
static const struct pbft_vc_pq *find_q(const struct pbft_view_change *vc,
				       u64 seq, u32 *n)
{
	const struct pbft_vc_pq *q = pbft_vc_qs(vc);
	u32 count = le32_to_cpu(vc->q_count), i = lower_bound(q, count, seq);

	for (*n = 0; i + *n < count && le64_to_cpu(q[i + *n].seq) == seq;)
		(*n)++;
	return &q[i];
}

/* Second latest view at @seq in which a digest was pre-prepared, or -1. */
static s64 alt_view(const struct pbft_view_change *vc, u64 seq)
{
	const struct pbft_vc_pq *q;
	u32 n;

	q = find_q(vc, seq, &n);
	return n < 2 ? -1 : (s64)le64_to_cpu(q[1].view);
}

static bool cs_valid(const struct pbft_view_change *vc, u32 k, u32 l)
{
	const struct pbft_vc_c *cs = pbft_vc_cs(vc);
	u32 count = le32_to_cpu(vc->c_count), i;
	u64 h = le64_to_cpu(vc->h);

	if (count > l / k + 2)
		return false;
	for (i = 0; i < count; i++) {
		u64 seq = le64_to_cpu(cs[i].seq);

		if (seq < h || seq > U64_MAX / 2 || seq % k ||
		    (i && seq <= le64_to_cpu(cs[i - 1].seq)))
			return false;
	}
	return true;
}

static bool ps_valid(const struct pbft_view_change *vc, u32 l)
{
	const struct pbft_vc_pq *p = pbft_vc_ps(vc), *q;
	u32 count = le32_to_cpu(vc->p_count), i, j, nq;
	u64 h = le64_to_cpu(vc->h);

	if (count > l)
		return false;
	for (i = 0; i < count; i++) {
		u64 seq = le64_to_cpu(p[i].seq);

		if (seq <= h || seq > h + l ||
		    le64_to_cpu(p[i].view) >= le64_to_cpu(vc->hdr.view) ||
		    (i && seq <= le64_to_cpu(p[i - 1].seq)))
			return false;
		q = find_q(vc, seq, &nq);
		for (j = 0; j < nq; j++)
			if (pbft_digest_eq(&q[j].digest, &p[i].digest) &&
			    le64_to_cpu(q[j].view) >= le64_to_cpu(p[i].view))
				break;
		if (j == nq)
			return false;
	}
	return true;
}

static bool qs_valid(const struct pbft_view_change *vc, u32 l)
{
	const struct pbft_vc_pq *q = pbft_vc_qs(vc);
	u32 count = le32_to_cpu(vc->q_count), i, j, run = 0;
	u64 h = le64_to_cpu(vc->h);

	if (count > l * PBFT_Q_RING)
		return false;
	for (i = 0; i < count; i++) {
		u64 seq = le64_to_cpu(q[i].seq), view = le64_to_cpu(q[i].view);

		if (seq <= h || seq > h + l ||
		    view >= le64_to_cpu(vc->hdr.view))
			return false;
		if (!i || seq > le64_to_cpu(q[i - 1].seq)) {
			run = 1;
			continue;
		}
		/* one digest per view: views fall strictly, digests differ */
		if (seq < le64_to_cpu(q[i - 1].seq) || ++run > PBFT_Q_RING ||
		    view >= le64_to_cpu(q[i - 1].view))
			return false;
		for (j = i + 1 - run; j < i; j++)
			if (pbft_digest_eq(&q[j].digest, &q[i].digest))
				return false;
	}
	return true;
}

bool pbft_vc_valid(const struct pbft_view_change *vc, u32 k, u32 l)
{
	u64 view = le64_to_cpu(vc->hdr.view), h = le64_to_cpu(vc->h);

	/* views are compared as s64 with -1 for "none" */
	return view && view <= S64_MAX && h % k == 0 && h <= U64_MAX / 2 &&
	       cs_valid(vc, k, l) && qs_valid(vc, l) && ps_valid(vc, l);
}

/* ---- the base --------------------------------------------------------- */

static bool base_ok(const struct pbft_vcset *s, u64 seq,
		    const struct pbft_digest *d)
{
	u32 reach = 0, hold = 0, i, j;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_c *cs = pbft_vc_cs(s->vc[i]);

		/* over all of the set, not only those that hold it */
		if (le64_to_cpu(s->vc[i]->h) <= seq)
			reach++;
		for (j = 0; j < le32_to_cpu(s->vc[i]->c_count); j++)
			if (le64_to_cpu(cs[j].seq) == seq &&
			    pbft_digest_eq(&cs[j].digest, d))
				hold++;
	}
	return reach >= s->q && hold >= s->f + 1;
}

bool pbft_decide_base(const struct pbft_vcset *s, u64 *seq,
		      struct pbft_digest *d)
{
	bool found = false;
	u32 i, j;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_c *cs = pbft_vc_cs(s->vc[i]);

		for (j = 0; j < le32_to_cpu(s->vc[i]->c_count); j++) {
			u64 n = le64_to_cpu(cs[j].seq);

			if ((found && n <= *seq) || !base_ok(s, n, &cs[j].digest))
				continue;
			found = true;
			*seq = n;
			*d = cs[j].digest;
		}
	}
	return found;
}

/* ---- one sequence number ----------------------------------------------- */

/* Sn: the members that still answer for @seq. */
static bool in_sn(const struct pbft_view_change *vc, u64 seq)
{
	return le64_to_cpu(vc->h) < seq;
}

/* A1: a quorum prepared nothing later, nor anything else as late. */
static bool cond_a1(const struct pbft_vcset *s, u64 seq,
		    const struct pbft_digest *d, u64 view)
{
	u32 i, count = 0;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *p;
		u64 v;

		if (!in_sn(s->vc[i], seq))
			continue;
		p = find_p(s->vc[i], seq);
		v = p ? le64_to_cpu(p->view) : 0;
		if (!p || v < view ||
		    (v == view && pbft_digest_eq(&p->digest, d)))
			count++;
	}
	return count >= s->q;
}

/*
 * A2: f + 1 messages (messages, not entries) say that @d was pre-prepared at
 * @view or later, or, by two digests since @view, that nothing committed below.
 */
static bool cond_a2(const struct pbft_vcset *s, u64 seq,
		    const struct pbft_digest *d, u64 view)
{
	u32 i, j, n, count = 0;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *q;
		bool says = false;

		if (!in_sn(s->vc[i], seq))
			continue;
		q = find_q(s->vc[i], seq, &n);
		for (j = 0; j < n && !says; j++)
			says = le64_to_cpu(q[j].view) >= view &&
			       pbft_digest_eq(&q[j].digest, d);
		if (says || alt_view(s->vc[i], seq) >= (s64)view)
			count++;
	}
	return count >= s->f + 1;
}

/* The (f + 1)-th largest of alt: claims below it cannot have committed. */
static s64 alt_bound(const struct pbft_vcset *s, u64 seq)
{
	s64 top[PBFT_N_MAX], a;
	u32 i, j, n = 0;

	for (i = 0; i < s->count; i++) {
		if (!in_sn(s->vc[i], seq))
			continue;
		a = alt_view(s->vc[i], seq);
		for (j = n++; j > 0 && top[j - 1] < a; j--)
			top[j] = top[j - 1];
		top[j] = a;
	}
	return n > s->f ? top[s->f] : -1;
}

bool pbft_decide_null(const struct pbft_vcset *s, u64 seq)
{
	s64 u = alt_bound(s, seq);
	u32 i, count = 0;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *p;

		if (!in_sn(s->vc[i], seq))
			continue;
		p = find_p(s->vc[i], seq);
		if (!p || (s64)le64_to_cpu(p->view) < u)
			count++;
	}
	return count >= s->q;
}

bool pbft_decide_vouched(const struct pbft_vcset *s, u64 seq,
			 const struct pbft_digest *d)
{
	u32 i, j, n, count = 0;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *q;

		if (!in_sn(s->vc[i], seq))
			continue;
		q = find_q(s->vc[i], seq, &n);
		for (j = 0; j < n; j++)
			if (pbft_digest_eq(&q[j].digest, d))
				break;
		count += j < n;
	}
	return count >= s->f + 1;
}

bool pbft_decide_supports(const struct pbft_vcset *s, u64 seq,
			  const struct pbft_digest *d)
{
	u32 i;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *p;
		u64 view;

		if (!in_sn(s->vc[i], seq))
			continue;
		p = find_p(s->vc[i], seq);
		if (!p || !pbft_digest_eq(&p->digest, d))
			continue;
		view = le64_to_cpu(p->view);
		if (cond_a1(s, seq, d, view) && cond_a2(s, seq, d, view))
			return true;
	}
	return false;
}

/* Claims in P from the highest view down; @last and @at remember where we are. */
static const struct pbft_vc_pq *next_claim(const struct pbft_vcset *s, u64 seq,
					   const struct pbft_vc_pq *last,
					   u32 *at)
{
	const struct pbft_vc_pq *best = NULL;
	u32 i, best_i = 0;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *p;
		u64 v;

		if (!in_sn(s->vc[i], seq))
			continue;
		p = find_p(s->vc[i], seq);
		if (!p)
			continue;
		v = le64_to_cpu(p->view);
		if (last && (v > le64_to_cpu(last->view) ||
			     (v == le64_to_cpu(last->view) && i <= *at)))
			continue;
		if (!best || v > le64_to_cpu(best->view)) {
			best = p;
			best_i = i;
		}
	}
	*at = best_i;
	return best;
}

enum pbft_decision pbft_decide(const struct pbft_vcset *s, u64 seq,
			       bool (*body)(void *arg, u64 seq,
					    const struct pbft_digest *d,
					    bool vouched),
			       void *arg, struct pbft_digest *out)
{
	const struct pbft_vc_pq *p = NULL;
	u32 at = 0;

	while ((p = next_claim(s, seq, p, &at))) {
		u64 view = le64_to_cpu(p->view);

		if (!cond_a1(s, seq, &p->digest, view) ||
		    !cond_a2(s, seq, &p->digest, view))
			continue;
		if (body && !body(arg, seq, &p->digest,
				  pbft_decide_vouched(s, seq, &p->digest)))
			continue;
		*out = p->digest;
		return PBFT_DECIDE_BATCH;
	}
	return pbft_decide_null(s, seq) ? PBFT_DECIDE_NULL : PBFT_UNDECIDED;
}

u64 pbft_decide_h(const struct pbft_vcset *s)
{
	u64 top[PBFT_N_MAX], h;
	u32 i, j;

	for (i = 0; i < s->count; i++) {
		h = le64_to_cpu(s->vc[i]->h);
		for (j = i; j > 0 && top[j - 1] < h; j--)
			top[j] = top[j - 1];
		top[j] = h;
	}
	return s->count > s->f ? top[s->f] : 0;
}
