// SPDX-License-Identifier: GPL-2.0
/*
 * The decision procedure of view changes: the cases that other implementations
 * got wrong, and random sets against a second version written without its
 * tricks. Digests are single letters; views and sequence numbers are small.
 */
#include <stdlib.h>
#include "core/decide.h"
#include "tap.h"

#define K 8
#define L 16

struct claim {			/* one line of a VIEW-CHANGE */
	char kind;		/* 'C', 'P', 'Q', 0: end */
	u64 seq, view;
	char d;			/* '0': null */
};

static struct pbft_digest digest(char name)
{
	struct pbft_digest d;

	if (name == '0')
		pbft_null_digest(&d);
	else
		memset(&d, name, sizeof(d));
	return d;
}

/* Claims must come in the order C, P, Q, as on the wire. */
static struct pbft_view_change *vc(u32 sender, u64 view, u64 h, const struct claim *c)
{
	struct pbft_view_change *m = calloc(1, 4096);
	u8 *p = m->body;

	m->hdr.sender = cpu_to_le32(sender);
	m->hdr.view = cpu_to_le64(view);
	m->h = cpu_to_le64(h);
	for (; c->kind; c++) {
		struct pbft_vc_c e = { cpu_to_le64(c->seq), digest(c->d) };
		struct pbft_vc_pq pq = { cpu_to_le64(c->seq), cpu_to_le64(c->view),
					 digest(c->d) };

		if (c->kind == 'C') {
			memcpy(p, &e, sizeof(e));
			p += sizeof(e);
			m->c_count = cpu_to_le32(le32_to_cpu(m->c_count) + 1);
			continue;
		}
		memcpy(p, &pq, sizeof(pq));
		p += sizeof(pq);
		if (c->kind == 'P')
			m->p_count = cpu_to_le32(le32_to_cpu(m->p_count) + 1);
		else
			m->q_count = cpu_to_le32(le32_to_cpu(m->q_count) + 1);
	}
	m->hdr.length = cpu_to_le32(p - (u8 *)m);
	return m;
}

#define VC(sender, view, h, ...) \
	vc(sender, view, h, (const struct claim[]){ __VA_ARGS__, { 0 } })
#define C0 { 'C', 0, 0, 'z' }

static struct pbft_vcset set_of(u32 n, u32 f)
{
	struct pbft_vcset s = { .n = n, .f = f, .q = pbft_quorum(n, f), .k = K, .l = L };

	return s;
}

static void put(struct pbft_vcset *s, struct pbft_view_change *m)
{
	s->vc[s->count++] = m;
}

static void empty(struct pbft_vcset *s)
{
	while (s->count)
		free((void *)s->vc[--s->count]);
}

/* The decision as a letter: '?' undecided. */
static char decided(const struct pbft_vcset *s, u64 seq)
{
	struct pbft_digest d, null_d = digest('0');

	switch (pbft_decide(s, seq, NULL, NULL, &d)) {
	case PBFT_DECIDE_NULL:
		return '0';
	case PBFT_DECIDE_BATCH:
		return pbft_digest_eq(&d, &null_d) ? '0' : d.b[0];
	default:
		return '?';
	}
}

/* ---- what is a valid VIEW-CHANGE ------------------------------------------- */

static bool valid(struct pbft_view_change *m)
{
	bool v = pbft_vc_valid(m, K, L);

	free(m);
	return v;
}

/* Well-formed, but for their number. */
static struct pbft_view_change *many_p(u32 count)
{
	struct claim c[L + 3] = { { 'C', 0, 0, 'z' } };
	u32 i;

	for (i = 1; i <= count; i++)
		c[i] = (struct claim){ 'P', i, 2, 'a' };
	return vc(1, 3, 0, c);
}

static void test_valid(void)
{
	ok(valid(VC(1, 3, 0, C0, { 'P', 1, 2, 'a' }, { 'Q', 1, 2, 'a' }, { 'Q', 1, 1, 'b' })),
	   "a good one");
	ok(!valid(VC(1, 0, 0, C0)), "not for view 0");
	ok(!valid(VC(1, 3, 0, C0, { 'P', 1, 3, 'a' }, { 'Q', 1, 3, 'a' })), "P from the future");
	ok(!valid(VC(1, 3, 0, C0, { 'Q', 1, 3, 'a' })), "Q from the future");
	ok(!valid(VC(1, 3, 0, C0, { 'P', 1, 2, 'a' })), "P without Q");
	ok(!valid(VC(1, 3, 0, C0, { 'P', 1, 2, 'a' }, { 'Q', 1, 1, 'a' })), "P later than Q");
	ok(!valid(VC(1, 3, 0, C0, { 'P', L + 1, 2, 'a' }, { 'Q', L + 1, 2, 'a' })),
	   "P above the window");
	ok(!valid(VC(1, 3, 8, { 'C', 8, 0, 'z' }, { 'P', 8, 2, 'a' }, { 'Q', 8, 2, 'a' })),
	   "P at h");
	ok(!valid(VC(1, 3, 0, C0, { 'P', 1, 2, 'a' }, { 'P', 1, 1, 'b' }, { 'Q', 1, 2, 'a' },
		     { 'Q', 1, 1, 'b' })), "two P at one number");
	ok(!valid(VC(1, 3, 0, C0, { 'Q', 1, 2, 'a' }, { 'Q', 1, 1, 'a' })),
	   "one digest twice in Q");
	ok(!valid(VC(1, 9, 0, C0, { 'Q', 1, 7, 'a' }, { 'Q', 1, 6, 'b' }, { 'Q', 1, 5, 'c' },
		     { 'Q', 1, 4, 'd' }, { 'Q', 1, 3, 'e' })), "five digests in Q");
	ok(!valid(many_p(L + 1)), "more P than the window has numbers");
	ok(!valid(VC(1, 3, 0, C0, { 'Q', 2, 1, 'a' }, { 'Q', 1, 1, 'a' })), "Q not in order");
	ok(!valid(VC(1, 3, 4, { 'C', 8, 0, 'z' })), "h between checkpoints");
	ok(!valid(VC(1, 3, 0, { 'C', 3, 0, 'z' })), "C between checkpoints");
	ok(!valid(VC(1, 3, 16, { 'C', 8, 0, 'z' })), "C below h");
	ok(!valid(VC(1, 3, 1ull << 63, C0)), "h beyond all numbers");
}

/* ---- the base ------------------------------------------------------------------- */

static s64 base_of(const struct pbft_vcset *s)
{
	struct pbft_digest d;
	u64 seq;

	return pbft_decide_base(s, &seq, &d) ? (s64)seq : -1;
}

static void test_base(void)
{
	struct pbft_vcset s = set_of(4, 1);

	put(&s, VC(0, 1, 0, C0));
	put(&s, VC(1, 1, 0, C0));
	ok(base_of(&s) == -1, "two are no quorum");
	put(&s, VC(2, 1, 0, C0));
	ok(base_of(&s) == 0, "genesis");
	empty(&s);

	put(&s, VC(0, 1, 0, C0, { 'C', 8, 0, 'x' }));
	put(&s, VC(1, 1, 0, C0, { 'C', 8, 0, 'x' }));
	put(&s, VC(2, 1, 0, C0));
	ok(base_of(&s) == 8, "f + 1 hold it, a quorum reaches it, member or not");
	empty(&s);

	put(&s, VC(0, 1, 0, C0, { 'C', 8, 0, 'x' }));
	put(&s, VC(1, 1, 0, C0, { 'C', 8, 0, 'y' }));
	put(&s, VC(2, 1, 0, C0));
	ok(base_of(&s) == 0, "one of two differing checkpoints is a lie");
	empty(&s);

	put(&s, VC(0, 1, 8, { 'C', 8, 0, 'x' }));
	put(&s, VC(1, 1, 0, C0, { 'C', 8, 0, 'x' }));
	put(&s, VC(2, 1, 16, { 'C', 16, 0, 'q' }));
	ok(base_of(&s) == -1, "a liar's h excludes a base until another speaks");
	put(&s, VC(3, 1, 0, C0, { 'C', 8, 0, 'x' }));
	ok(base_of(&s) == 8, "... who lets it through");
	empty(&s);
}

/* ---- the slots --------------------------------------------------------------------- */

static void test_equivocation(void)
{
	struct pbft_vcset s = set_of(4, 1);

	/* 0 showed a to 1 and 2, b to 3; 2 committed a and is away */
	put(&s, VC(1, 1, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	put(&s, VC(3, 1, 0, C0, { 'Q', 1, 0, 'b' }));
	put(&s, VC(0, 1, 0, C0, { 'Q', 1, 0, 'b' }));
	ok(decided(&s, 1) == '?', "B1: equivocate and lie: undecided without 2");
	put(&s, VC(2, 1, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	ok(decided(&s, 1) == 'a', "B1: a with it");
	empty(&s);

	/* a committed in view 0; 3 invents a later certificate, with Q many times over */
	put(&s, VC(1, 5, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	put(&s, VC(2, 5, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	put(&s, VC(3, 5, 0, C0, { 'P', 1, 4, 'b' }, { 'Q', 1, 4, 'b' }, { 'Q', 1, 4, 'b' }));
	ok(decided(&s, 1) == '?', "B2: an invented P is not chosen, messages count, not entries");
	put(&s, VC(0, 5, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	ok(decided(&s, 1) == 'a', "B2: nor does it keep a from being chosen");
	empty(&s);
}

static void test_null(void)
{
	struct pbft_vcset s = set_of(4, 1);

	/* 0 alone prepared a in view 0; view 1 chose null, and 2 committed that */
	put(&s, VC(0, 2, 0, C0, { 'P', 1, 0, 'a' }, { 'Q', 1, 0, 'a' }));
	put(&s, VC(1, 2, 0, C0, { 'P', 1, 1, '0' }, { 'Q', 1, 1, '0' }, { 'Q', 1, 0, 'a' }));
	put(&s, VC(3, 2, 0, C0, { 'Q', 1, 0, 'a' }));
	ok(decided(&s, 1) == '?', "B3: not a, and not yet null, with 3 silent about null");
	put(&s, VC(2, 2, 0, C0, { 'P', 1, 1, '0' }, { 'Q', 1, 1, '0' }));
	ok(decided(&s, 1) == '0', "B3: null with 2");
	empty(&s);

	put(&s, VC(0, 1, 0, C0));
	put(&s, VC(1, 1, 0, C0));
	put(&s, VC(2, 1, 0, C0));
	ok(decided(&s, 1) == '0', "nobody prepared anything: null");
	ok(pbft_decide_null(&s, 1) && pbft_decide_null(&s, L), "so is the tail");
	empty(&s);

	/* n = 7: a voter beyond n does not answer for it */
	s = set_of(7, 2);
	put(&s, VC(0, 1, 0, C0));
	put(&s, VC(2, 1, 0, C0));
	put(&s, VC(4, 1, 8, { 'C', 8, 0, 'x' }));
	put(&s, VC(5, 1, 0, C0));
	put(&s, VC(6, 1, 0, C0));
	ok(decided(&s, 3) == '?', "B5: who has collected n does not vote it null");
	empty(&s);
}

/* Many failed views, each with a batch of its own: the ring forgets, alt does not. */
static void test_churn(void)
{
	struct pbft_vcset s = set_of(4, 1);

	put(&s, VC(0, 9, 0, C0, { 'P', 1, 1, 'a' }, { 'Q', 1, 1, 'a' }));
	put(&s, VC(1, 9, 0, C0, { 'Q', 1, 8, 'h' }, { 'Q', 1, 7, 'g' }, { 'Q', 1, 6, 'f' },
		   { 'Q', 1, 5, 'e' }));
	put(&s, VC(2, 9, 0, C0, { 'Q', 1, 8, 'h' }, { 'Q', 1, 7, 'g' }, { 'Q', 1, 6, 'f' },
		   { 'Q', 1, 5, 'e' }));
	ok(decided(&s, 1) != '?', "B4: there is a decision although two rings forgot a");
	empty(&s);
}

/* ---- against a plain second version -------------------------------------------------- */

static const struct pbft_vc_pq *p_at(const struct pbft_view_change *m, u64 n)
{
	u32 i;

	for (i = 0; i < le32_to_cpu(m->p_count); i++)
		if (le64_to_cpu(pbft_vc_ps(m)[i].seq) == n)
			return &pbft_vc_ps(m)[i];
	return NULL;
}

static s64 nth_view(const struct pbft_view_change *m, u64 n, u32 nth)
{
	u32 i;

	for (i = 0; i < le32_to_cpu(m->q_count); i++)
		if (le64_to_cpu(pbft_vc_qs(m)[i].seq) == n && !nth--)
			return le64_to_cpu(pbft_vc_qs(m)[i].view);
	return -1;
}

static bool q_has(const struct pbft_view_change *m, u64 n, const struct pbft_digest *d, s64 v)
{
	u32 i;

	for (i = 0; i < le32_to_cpu(m->q_count); i++) {
		const struct pbft_vc_pq *q = &pbft_vc_qs(m)[i];

		if (le64_to_cpu(q->seq) == n && pbft_digest_eq(&q->digest, d) &&
		    (s64)le64_to_cpu(q->view) >= v)
			return true;
	}
	return false;
}

static bool plain_supports(const struct pbft_vcset *s, u64 n, const struct pbft_digest *d)
{
	u32 i, j;

	for (i = 0; i < s->count; i++) {
		const struct pbft_vc_pq *c = p_at(s->vc[i], n);
		u32 a1 = 0, a2 = 0;
		s64 v;

		if (!c || le64_to_cpu(s->vc[i]->h) >= n || !pbft_digest_eq(&c->digest, d))
			continue;
		v = le64_to_cpu(c->view);
		for (j = 0; j < s->count; j++) {
			const struct pbft_vc_pq *p = p_at(s->vc[j], n);

			if (le64_to_cpu(s->vc[j]->h) >= n)
				continue;
			a1 += !p || (s64)le64_to_cpu(p->view) < v ||
			      ((s64)le64_to_cpu(p->view) == v && pbft_digest_eq(&p->digest, d));
			a2 += q_has(s->vc[j], n, d, v) || nth_view(s->vc[j], n, 1) >= v;
		}
		if (a1 >= s->q && a2 >= s->f + 1)
			return true;
	}
	return false;
}

static bool plain_null(const struct pbft_vcset *s, u64 n)
{
	u32 count = 0, j;
	s64 u;

	/* the largest u that f + 1 reach with two digests */
	for (u = 20; u >= 0; u--) {
		u32 reach = 0;

		for (j = 0; j < s->count; j++)
			reach += le64_to_cpu(s->vc[j]->h) < n && nth_view(s->vc[j], n, 1) >= u;
		if (reach > s->f)
			break;
	}
	for (j = 0; j < s->count; j++) {
		const struct pbft_vc_pq *p = p_at(s->vc[j], n);

		count += le64_to_cpu(s->vc[j]->h) < n && (!p || (s64)le64_to_cpu(p->view) < u);
	}
	return count >= s->q;
}

static struct pbft_view_change *random_vc(u32 sender)
{
	struct claim c[16] = { C0 };
	u32 n = 1, i, q = rand() % 5;
	u64 view = 12, p_view = 0;
	char pd = 0, last = 'a';
	struct claim qs[4];

	/* up to four digests with falling views; P is one of them, not later */
	for (i = 0; i < q && i < 4; i++) {
		view -= 1 + rand() % 3;
		qs[i] = (struct claim){ 'Q', 5, view, last };
		last += 1 + rand() % 2;
	}
	q = i;
	if (q && rand() % 3) {
		i = rand() % q;
		pd = rand() % 4 ? qs[i].d : '0';
		if (pd == '0')
			qs[i].d = '0';
		p_view = qs[i].view - rand() % (qs[i].view + 1) % 2;
	}
	if (pd)
		c[n++] = (struct claim){ 'P', 5, p_view, pd };
	for (i = 0; i < q; i++)
		c[n++] = qs[i];
	c[n].kind = 0;
	return vc(sender, 13, rand() % 6 ? 0 : 8, c);
}

static void test_random(void)
{
	static const struct { u8 n, f; } sizes[] = { { 4, 1 }, { 5, 1 }, { 6, 1 }, { 7, 2 } };
	u32 round, i, bad = 0, yes = 0, none = 0, invalid = 0;
	char name;

	srand(1);
	for (round = 0; round < 40000; round++) {
		u32 at = round % ARRAY_SIZE(sizes);
		struct pbft_vcset s = set_of(sizes[at].n, sizes[at].f);
		u32 count = s.q + rand() % (s.n - s.q + 1);

		for (i = 0; i < count; i++) {
			put(&s, random_vc(i));
			invalid += le64_to_cpu(s.vc[i]->h) == 0 &&
				   !pbft_vc_valid(s.vc[i], K, L);
		}
		for (name = 'a'; name <= 'j'; name++) {
			struct pbft_digest d = digest(name == 'j' ? '0' : name);
			bool want = plain_supports(&s, 5, &d);

			yes += want;
			bad += want != pbft_decide_supports(&s, 5, &d);
		}
		bad += plain_null(&s, 5) != pbft_decide_null(&s, 5);
		none += decided(&s, 5) == '?';
		empty(&s);
	}
	ok(!bad, "40000 random sets: A1 and A2, and B, as a second version has them");
	ok(!invalid, "the sets are of valid VIEW-CHANGEs");
	ok(yes > 1000 && none > 1000, "and are of all sorts (%u supported, %u undecided)",
	   yes, none);
}

/* ---- h --------------------------------------------------------------------------- */

/* The h that V proves, if its members claim these. */
static u64 h_of(u32 n, u32 f, u32 count, const u64 *h)
{
	struct pbft_vcset s = set_of(n, f);
	u64 result;
	u32 i;

	for (i = 0; i < count; i++)
		put(&s, VC(i, 1, h[i], C0));
	result = pbft_decide_h(&s);
	empty(&s);
	return result;
}

static void test_h(void)
{
	static const u64 rising[] = { 0, 8, 16, 24 }, mixed[] = { 8, 24, 0, 16 };
	static const u64 lie[] = { 8, 8, 8000, 0 }, seven[] = { 40, 8, 32, 16, 24, 0, 8 };

	ok(h_of(4, 1, 4, rising) == 16 && h_of(4, 1, 4, mixed) == 16,
	   "h is the (f + 1)-th largest, in whatever order");
	ok(h_of(4, 1, 3, lie) == 8, "a liar alone does not raise it");
	ok(h_of(7, 2, 7, seven) == 24 && h_of(7, 2, 5, seven) == 24, "nor do f of more");
	ok(h_of(4, 1, 1, rising + 3) == 0 && h_of(4, 1, 2, rising + 2) == 16,
	   "f claims prove nothing, one more the lowest of them");
}

int main(void)
{
	test_valid();
	test_base();
	test_equivocation();
	test_null();
	test_churn();
	test_random();
	test_h();
	return done_testing();
}
