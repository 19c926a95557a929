/* SPDX-License-Identifier: GPL-2.0 */
/*
 * pbft-vc.pml: agreement of PBFT over view changes with bounded P and Q.
 *
 * One sequence number, n = 4, f = 1; three correct replicas (0, 1, 2 here) and a
 * faulty one. Documentation/protocol.rst, "View change", is what is modelled,
 * kmod/core/decide.c and log.c are the code. README says what is left out and
 * why the simplifications lose no behaviour; in short:
 *
 * - The faulty replica has no process. Whatever counts votes or VIEW-CHANGEs
 *   counts those of correct replicas and adds what the faulty one can add.
 * - It is the primary of every view: it may send to each backup another
 *   PRE-PREPARE and another NEW-VIEW. A correct primary is one that does not.
 * - What was sent is in arrays that all may read, now, later or never: the
 *   network delays, loses, repeats and reorders.
 *
 * Views count from 1, so that 0 is "none" for a view as for a digest.
 *
 * By default all correct replicas finish a view before any goes on; with
 * -DINTERLEAVED each goes at its own pace. -DEXPLICIT enumerates the faulty
 * replica's VIEW-CHANGEs instead of reasoning about them. run.sh has the list of
 * conditions that can be removed.
 */

#ifndef VIEWS
#define VIEWS 3			/* the first, and two view changes */
#endif
#ifndef DIGESTS
#define DIGESTS 3		/* null and two batches */
#endif
#ifndef RING
#define RING 4			/* PBFT_Q_RING */
#endif
#ifndef QUORUM
#define QUORUM 3		/* q = (n + f) / 2 + 1 */
#endif

#if VIEWS > 6 || DIGESTS < 2 || DIGESTS > 5 || RING < 2
#error "the model knows at most 6 views, 2 to 5 digests, and a ring of 2 or more"
#endif
#if defined(EXPLICIT) && DIGESTS > 3
#error "VIEW-CHANGEs of the faulty replica are enumerated for at most 3 digests"
#endif

#define F	1
#define CORRECT	3		/* n - f */

#define NONE	0
#define NULL_D	1		/* the null batch; 2 .. DIGESTS are others */
#define FREE	15		/* B: null, and the primary may propose anew */

/* ---- state ----------------------------------------------------------------- */

typedef Memory {		/* of a replica, over views: section 5.1 */
	byte pd, pv;		/* P: digest and view, 0 if nothing prepared */
	byte qv[DIGESTS + 1]	/* Q: latest view of each digest, 0: not in it */
}

typedef ViewChange {		/* section 5.2 */
	bool sent;
	byte pd, pv;
	byte qv[DIGESTS + 1];
	byte alt		/* second highest view in Q, 0: fewer than two */
}

byte view[CORRECT];
byte chosen[CORRECT];		/* by the NEW-VIEW of view[i]; NONE: pending */
Memory mem[CORRECT];

/* Messages of correct replicas, by view and sender */
#define AT(v, i) ((v) * CORRECT + (i))
#define ALL	 ((VIEWS + 1) * CORRECT)
byte prepare[ALL];		/* digest pre-prepared: PRE-PREPARE or PREPARE */
byte commit[ALL];
ViewChange vc[ALL];

byte committed;			/* at some correct replica */
byte used = NULL_D;		/* highest digest ever proposed */

#if defined(MIXED_PREPARES) || defined(MIXED_COMMITS)
byte prepare_ever[CORRECT];	/* sets of digests, of whatever view */
byte commit_ever[CORRECT];
#endif

#ifdef EXPLICIT
ViewChange forged;		/* what the faulty replica says */
byte left_out = CORRECT;	/* a correct replica that V does without */
#endif

/* Used within one d_step only, hence no part of the state */
hidden byte k, n, victim;

/* ---- the three phases: section 3 ----------------------------------------- */

#define PREPARE_OF(i, d, v)	(prepare[AT(v, i)] == (d))
#define COMMIT_OF(i, d, v)	(commit[AT(v, i)] == (d))

#ifdef MIXED_PREPARES		/* votes for the digest in any view */
#define PREPARE_BY(i, d, v)	((prepare_ever[i] >> (d)) & 1)
#else
#define PREPARE_BY(i, d, v)	PREPARE_OF(i, d, v)
#endif
#ifdef MIXED_COMMITS
#define COMMIT_BY(i, d, v)	((commit_ever[i] >> (d)) & 1)
#else
#define COMMIT_BY(i, d, v)	COMMIT_OF(i, d, v)
#endif

#define VOTES(by, d, v)		(by(0, d, v) + by(1, d, v) + by(2, d, v))

/*
 * PRE-PREPARE and q - 1 PREPAREs of backups: q replicas, the primary among them,
 * have pre-prepared the digest. All but f of them are correct. COMMITs likewise.
 */
#define PREPARED(d, v)		(VOTES(PREPARE_BY, d, v) + F >= QUORUM)
#define COMMITTED(d, v)		(VOTES(COMMIT_BY, d, v) + F >= QUORUM)

/* ---- the decision: section 5.5 --------------------------------------------
 *
 * V: the VIEW-CHANGEs for view v of all correct replicas that have sent one, and
 * one of the faulty replica, made for the occasion. More members never make A1,
 * A2 or B false, so what a smaller V justifies is justified by this one.
 *
 * The last argument of A1, A2 and B is what the faulty member adds to the count.
 */

#define MAX(a, b)	((a) > (b) -> (a) : (b))
#define MIN(a, b)	((a) < (b) -> (a) : (b))

#ifdef EXPLICIT
#define IN_V(i, v)	(vc[AT(v, i)].sent && left_out != (i))
#else
#define IN_V(i, v)	(vc[AT(v, i)].sent)
#endif

#define MEMBERS(v)	(IN_V(0, v) + IN_V(1, v) + IN_V(2, v))

/* A1: q members prepared nothing later than w, nor anything else in w. */
#ifdef A1_SAME_VIEW
#define A1_SAYS(m, d, w) (m.pv <= (w))
#else
#define A1_SAYS(m, d, w) (m.pv < (w) || (m.pv == (w) && m.pd == (d)))
#endif
#define A1_BY(i, v, d, w) (IN_V(i, v) && A1_SAYS(vc[AT(v, i)], d, w))
#ifdef NO_A1
#define A1(v, d, w, x)	true
#else
#define A1(v, d, w, x)	(A1_BY(0, v, d, w) + A1_BY(1, v, d, w) + \
			 A1_BY(2, v, d, w) + (x) >= QUORUM)
#endif

/* A2: f + 1 members pre-prepared d in w or later, or two digests since w. */
#define A2_SAYS(m, d, w) (m.qv[d] >= (w) || m.alt >= (w))
#define A2_BY(i, v, d, w) (IN_V(i, v) && A2_SAYS(vc[AT(v, i)], d, w))
#ifdef NO_A2
#define A2(v, d, w, x)	true
#else
#define A2(v, d, w, x)	(A2_BY(0, v, d, w) + A2_BY(1, v, d, w) + \
			 A2_BY(2, v, d, w) + (x) >= F + 1)
#endif

/* B: q members prepared nothing, or nothing since u. */
#ifdef B_WEAK
#define B_QUORUM	(F + 1)
#else
#define B_QUORUM	QUORUM
#endif
#define B_SAYS(m, u)	(m.pd == NONE || m.pv < (u))
#define B_BY(i, v, u)	(IN_V(i, v) && B_SAYS(vc[AT(v, i)], u))
#define B(v, u, x)	(B_BY(0, v, u) + B_BY(1, v, u) + B_BY(2, v, u) + (x) >= B_QUORUM)

#define ALT(i, v)	(IN_V(i, v) -> vc[AT(v, i)].alt : 0)
#define ALT_LARGEST(v)	MAX(ALT(0, v), MAX(ALT(1, v), ALT(2, v)))
#define ALT_SECOND(v)	MAX(MIN(ALT(0, v), ALT(1, v)), \
			    MIN(MAX(ALT(0, v), ALT(1, v)), ALT(2, v)))

#ifdef EXPLICIT

#define CLAIM(m, v, d)	(m.pd == (d) && A1(v, d, m.pv, A1_SAYS(forged, d, m.pv)) && \
			 A2(v, d, m.pv, A2_SAYS(forged, d, m.pv)))
#define CLAIM_OF(i, v, d) (IN_V(i, v) && CLAIM(vc[AT(v, i)], v, d))
#define SUPPORTED(v, d)	(CLAIM_OF(0, v, d) || CLAIM_OF(1, v, d) || \
			 CLAIM_OF(2, v, d) || CLAIM(forged, v, d))

/* u: the (f + 1)-th largest alt */
#define U(v)		MAX(ALT_SECOND(v), MIN(ALT_LARGEST(v), forged.alt))
#define NOTHING(v)	B(v, U(v), B_SAYS(forged, U(v)))

#else

/*
 * Some claim (d, w) satisfies A1 and A2. The faulty replica can always be the one
 * who makes it: with P = (d, w) and the Q that goes with it, it counts for both.
 */
#ifdef A2_ENTRIES
#define A2_ADDS		(F + 1)	/* it repeats its entry in Q */
#else
#define A2_ADDS		F
#endif
#define CLAIM(v, d, w)	((w) < (v) && A1(v, d, w, F) && A2(v, d, w, A2_ADDS))
#define SUPPORTED(v, d)	(CLAIM(v, d, 1) || CLAIM(v, d, 2) || CLAIM(v, d, 3) || \
			 CLAIM(v, d, 4) || CLAIM(v, d, 5))

/*
 * u: the (f + 1)-th largest alt. The faulty replica can say v - 2, the most that
 * two digests in two views below v allow; so u can be the largest of a correct
 * one. To count for B at the same time, it says that it prepared nothing.
 */
#ifdef U_LARGEST
#define U(v)		MAX((v) - 2, 0)
#else
#define U(v)		ALT_LARGEST(v)
#endif
#define NOTHING(v)	B(v, U(v), F)

#endif /* EXPLICIT */

/* Can be decided by the VIEW-CHANGEs of the correct replicas, without another */
#define ALONE(i, v)	(A1(v, vc[AT(v, i)].pd, vc[AT(v, i)].pv, 0) && \
			 A2(v, vc[AT(v, i)].pd, vc[AT(v, i)].pv, 0))
#define HAS_P(i, v)	(vc[AT(v, i)].pd != NONE)
#define DECIDABLE(v)	((HAS_P(0, v) && ALONE(0, v)) || \
			 (HAS_P(1, v) && ALONE(1, v)) || \
			 (HAS_P(2, v) && ALONE(2, v)) || B(v, ALT_SECOND(v), 0))

/* ---- P and Q: section 5.1, kmod/core/log.c --------------------------------- */

#ifdef EVICT_P
#define PINNED(i, d)	false
#else
#define PINNED(i, d)	(mem[i].pd == (d))
#endif

/* The ring is full: the lowest view goes, but not P's digest. */
inline q_evict(i)
{
	n = 0;
	victim = NONE;
	for (k : 1 .. DIGESTS) {
		if
		:: mem[i].qv[k] != 0 ->
			n++;
			if
			:: !PINNED(i, k) && (victim == NONE ||
					     mem[i].qv[k] < mem[i].qv[victim]) ->
				victim = k
			:: else
			fi
		:: else
		fi
	}
	if
	:: n >= RING -> mem[i].qv[victim] = 0
	:: else
	fi
}

inline q_add(i, d)
{
	if
	:: mem[i].qv[d] == 0 -> q_evict(i)
	:: else
	fi;
	mem[i].qv[d] = view[i]
}

inline vc_alt(m)
{
	n = 0;
	m.alt = 0;
#ifndef NO_ALT
	for (k : 1 .. DIGESTS) {
		if
		:: m.qv[k] > n -> m.alt = n; n = m.qv[k]
		:: m.qv[k] <= n && m.qv[k] > m.alt -> m.alt = m.qv[k]
		:: else
		fi
	}
#endif
#ifdef ALT_FIRST
	m.alt = n;
#endif
}

/* ---- what a correct replica does ------------------------------------------- */

#define PENDING(i)	(chosen[i] == NONE)

#define MAY_VOTE(i)	(!PENDING(i) && prepare[AT(view[i], i)] == NONE)

/* The primary may propose what the NEW-VIEW says, else anything. */
#define ACCEPTABLE(i, d) (chosen[i] == (d) || chosen[i] == FREE)

#define MAY_PREPARE(i)	(commit[AT(view[i], i)] == NONE && \
			 prepare[AT(view[i], i)] != NONE && \
			 PREPARED(prepare[AT(view[i], i)], view[i]))

#define MAY_ENTER(i)	(PENDING(i) && MEMBERS(view[i]) + F >= QUORUM)

/* Batches are alike: it does not matter which of those never seen comes next. */
#define KNOWN(d)	((d) <= DIGESTS && (d) <= used + 1)

inline vote(i, d)
{
	d_step {
		prepare[AT(view[i], i)] = d;
		q_add(i, d);
		chosen[i] = FREE;	/* has served its purpose */
		used = MAX(used, d);
#ifdef MIXED_PREPARES
		prepare_ever[i] = prepare_ever[i] | (1 << d);
#endif
		printf("view %d: replica %d pre-prepares %d\n", view[i], i, d)
	}
}

inline vote_any(i)
{
	if
	:: ACCEPTABLE(i, 1) -> vote(i, 1)
	:: ACCEPTABLE(i, 2) && KNOWN(2) -> vote(i, 2)
#if DIGESTS > 2
	:: ACCEPTABLE(i, 3) && KNOWN(3) -> vote(i, 3)
#endif
#if DIGESTS > 3
	:: ACCEPTABLE(i, 4) && KNOWN(4) -> vote(i, 4)
#endif
#if DIGESTS > 4
	:: ACCEPTABLE(i, 5) && KNOWN(5) -> vote(i, 5)
#endif
	fi
}

/* COMMIT, and with it whoever collects a quorum of them; the property. */
inline prepared(i)
{
	d_step {
		k = prepare[AT(view[i], i)];
		commit[AT(view[i], i)] = k;
#ifdef NO_NULL_P
		if
		:: k != NULL_D ->
#endif
		mem[i].pd = k;
		mem[i].pv = view[i];
#ifdef NO_NULL_P
		:: else
		fi;
#endif
#ifdef MIXED_COMMITS
		commit_ever[i] = commit_ever[i] | (1 << k);
#endif
		printf("view %d: replica %d prepares %d\n", view[i], i, k);
		if
		:: COMMITTED(k, view[i]) ->
			printf("view %d: %d is committed\n", view[i], k);
			assert(committed == NONE || committed == k);
			committed = k
		:: else
		fi
	}
}

/* VIEW-CHANGE for view v: sent once, never changed */
inline promise(i, v)
{
	vc[AT(v, i)].sent = true;
	vc[AT(v, i)].pd = mem[i].pd;
	vc[AT(v, i)].pv = mem[i].pv;
	for (k : 1 .. DIGESTS) {
		vc[AT(v, i)].qv[k] = mem[i].qv[k]
	}
	vc_alt(vc[AT(v, i)]);
	/* what others would refuse: pbft_vc_valid(), P with its Q */
	assert(mem[i].pd == NONE || mem[i].qv[mem[i].pd] >= mem[i].pv)
}

inline leave(i)
{
	d_step {
		view[i] = view[i] + 1;
		chosen[i] = NONE;
		if
		:: !vc[AT(view[i], i)].sent -> promise(i, view[i])
		:: else
		fi
	}
}

/* Accept a NEW-VIEW; P is pruned of what it proves not committed (5.1). */
inline enter(i, d)
{
	d_step {
		chosen[i] = d;
		used = (d == FREE -> used : MAX(used, d));
#ifndef NO_PRUNE
		k = (d == FREE -> NULL_D : d);
		if
		:: mem[i].pd != NONE && mem[i].pd != k ->
			mem[i].pd = NONE;
			mem[i].pv = 0
		:: else
		fi;
#endif
		if
		:: d == FREE -> printf("view %d: replica %d enters, decided by B\n", view[i], i)
		:: else -> printf("view %d: replica %d enters, decided %d\n", view[i], i, d)
		fi
	}
}

inline enter_any(i)
{
	if
	:: NOTHING(view[i]) -> enter(i, FREE)
	:: SUPPORTED(view[i], 1) -> enter(i, 1)
	:: KNOWN(2) && SUPPORTED(view[i], 2) -> enter(i, 2)
#if DIGESTS > 2
	:: KNOWN(3) && SUPPORTED(view[i], 3) -> enter(i, 3)
#endif
#if DIGESTS > 3
	:: KNOWN(4) && SUPPORTED(view[i], 4) -> enter(i, 4)
#endif
#if DIGESTS > 4
	:: KNOWN(5) && SUPPORTED(view[i], 5) -> enter(i, 5)
#endif
	:: else
	fi
}

/* ---- what the faulty replica says, if that is enumerated -------------------- */

#ifdef EXPLICIT

#define FRESH_Q(d)	(forged.qv[d] == 0)

/* Any Q and P that pbft_vc_valid() lets pass: a digest a view, P with its Q. */
inline forge(v, w)
{
	for (w : 1 .. (v) - 1) {
		if
		:: FRESH_Q(1) -> forged.qv[1] = w
		:: FRESH_Q(2) -> forged.qv[2] = w
#if DIGESTS > 2
		:: FRESH_Q(3) -> forged.qv[3] = w
#endif
		:: true
		fi
	};
	skip;
	d_step { vc_alt(forged) };
	select(w : 0 .. (v) - 1);
	forged.pv = w;
	if
	:: w > 0 && forged.qv[1] >= w -> forged.pd = 1
	:: w > 0 && forged.qv[2] >= w -> forged.pd = 2
#if DIGESTS > 2
	:: w > 0 && forged.qv[3] >= w -> forged.pd = 3
#endif
	:: else -> forged.pv = 0
	fi;
	w = 0;
	select(left_out : 0 .. CORRECT)
}

inline unforge()
{
	d_step {
		left_out = CORRECT;
		forged.pd = NONE;
		forged.pv = 0;
		forged.alt = 0;
		for (k : 1 .. DIGESTS) {
			forged.qv[k] = 0
		}
	}
}

#else

inline forge(v, w) { skip }
inline unforge() { skip }

#endif

/* ---- drivers ------------------------------------------------------------------ */

/* Votes of view v can count no more: states that differ in them are one. */
inline forget_votes(v)
{
	for (k : 0 .. CORRECT - 1) {
		prepare[AT(v, k)] = NONE;
		commit[AT(v, k)] = NONE
	}
}

inline forget_choice()
{
	for (k : 0 .. CORRECT - 1) {
		chosen[k] = NONE
	}
}

inline forget_vcs(v)
{
	for (k : 0 .. CORRECT - 1) {
		vc[AT(v, k)].sent = false;
		vc[AT(v, k)].pd = NONE;
		vc[AT(v, k)].pv = 0;
		vc[AT(v, k)].alt = 0;
		for (n : 1 .. DIGESTS) {
			vc[AT(v, k)].qv[n] = 0
		}
	}
}

/* The mistake of sending a VIEW-CHANGE and voting on in the view before */
inline maybe_promise_early(i)
{
#ifdef VOTE_AFTER_VC
	if
	:: view[i] < VIEWS && !vc[AT(view[i] + 1, i)].sent ->
		d_step {
			promise(i, view[i] + 1);
			printf("view %d: replica %d sends VIEW-CHANGE and stays\n",
			       view[i], i)
		}
	:: true
	fi
#else
	skip
#endif
}

/*
 * Replicas are alike, and so are batches: states that differ in their names only
 * are one. Not where more than mem tells them apart, nor where a person is to
 * read the trail.
 */
#if defined(MIXED_PREPARES) || defined(MIXED_COMMITS) || defined(VOTE_AFTER_VC) || \
    defined(NO_SORT)

inline sort() { skip }

#else

#define ORDER(a, b)	n = (n != 0 || a == b -> n : (a < b -> 1 : 2))
#define SWAP(a, b)	k = a; a = b; b = k

inline sort_replicas(i, j)
{
	n = 0;			/* 1: in order, 2: not */
	ORDER(mem[i].pd, mem[j].pd);
	ORDER(mem[i].pv, mem[j].pv);
	for (victim : 1 .. DIGESTS) {
		ORDER(mem[i].qv[victim], mem[j].qv[victim])
	}
	if
	:: n == 2 ->
		SWAP(mem[i].pd, mem[j].pd);
		SWAP(mem[i].pv, mem[j].pv);
		for (victim : 1 .. DIGESTS) {
			SWAP(mem[i].qv[victim], mem[j].qv[victim])
		}
	:: else
	fi
}

/* How much is remembered of a batch, by whichever replicas */
#define NOTED(i, d)	(2 * mem[i].qv[d] + (mem[i].pd == d))
#define WEIGHT(d)	(NOTED(0, d) * NOTED(0, d) + NOTED(1, d) * NOTED(1, d) + \
			 NOTED(2, d) * NOTED(2, d) + 1000 * (committed == d))
#define RENAMED(x, a, b) (x == a -> b : (x == b -> a : x))

inline sort_batches(a, b)
{
	if
	:: WEIGHT(a) < WEIGHT(b) ->
		for (n : 0 .. CORRECT - 1) {
			SWAP(mem[n].qv[a], mem[n].qv[b]);
			mem[n].pd = RENAMED(mem[n].pd, a, b)
		}
		committed = RENAMED(committed, a, b)
	:: else
	fi
}

inline sort()
{
#if DIGESTS > 2
	sort_batches(2, 3);
#endif
#if DIGESTS > 3
	sort_batches(3, 4);
	sort_batches(2, 3);
#endif
#if DIGESTS > 4
	sort_batches(4, 5);
	sort_batches(3, 4);
	sort_batches(2, 3);
#endif
	/* one that all have forgotten is as good as new */
	do
	:: used > NULL_D && WEIGHT(used) == 0 -> used--
	:: else -> break
	od;
	sort_replicas(0, 1);
	sort_replicas(1, 2);
	sort_replicas(0, 1)
}

#endif

#define START(i)	view[i] = 1; chosen[i] = FREE

#ifdef INTERLEAVED

#define GONE(v)		(view[0] > (v) && view[1] > (v) && view[2] > (v))
#define DONE_WITH(i, v)	(view[i] > (v) || (view[i] == (v) && !PENDING(i)))

inline forget()
{
	d_step {
		for (victim : 1 .. VIEWS) {
			if
			:: GONE(victim) -> forget_votes(victim)
			:: else
			fi;
			if
			:: DONE_WITH(0, victim) && DONE_WITH(1, victim) &&
			   DONE_WITH(2, victim) -> forget_vcs(victim)
			:: else
			fi
		}
	}
}

proctype Replica(byte i)
{
	byte w;

end:	do
	:: atomic { MAY_ENTER(i) -> forge(view[i], w); enter_any(i); unforge(); forget() }
	:: atomic { MAY_VOTE(i) -> maybe_promise_early(i); vote_any(i) }
	:: atomic { MAY_PREPARE(i) -> maybe_promise_early(i); prepared(i) }
	:: atomic { view[i] < VIEWS -> leave(i); forget() }
	od
}

init
{
	atomic {
		START(0); START(1); START(2);
		run Replica(0); run Replica(1); run Replica(2)
	}
}

#else

/*
 * What is voted in a view depends on the VIEW-CHANGEs for it, on votes in it and
 * on nothing later: every run can be put in an order in which all replicas do one
 * thing after the other, each does it or leaves it out, and all send a
 * VIEW-CHANGE for every view.
 */
#ifdef FINE			/* other replicas' choices in states of their own */
#define PHASE
#define EACH	atomic
#define MORE	true
#else
#define PHASE	atomic
#define EACH
#define MORE	(view[0] < VIEWS)	/* in the last, who can act does */
#endif
#ifdef LAST_VC			/* look at the VIEW-CHANGEs for the last only */
#define STOP	(view[0] == VIEWS)
#else
#define STOP	false
#endif

inline step_vote(i, w)
{
	if
	:: MAY_ENTER(i) -> forge(view[i], w); enter_any(i); unforge()
	:: MORE || !MAY_ENTER(i) -> skip
	fi;
	maybe_promise_early(i);
	if
	:: MAY_VOTE(i) -> vote_any(i)
	:: MORE || !MAY_VOTE(i) -> skip
	fi
}

inline step_prepare(i)
{
	maybe_promise_early(i);
	if
	:: MAY_PREPARE(i) -> prepared(i)
	:: MORE || !MAY_PREPARE(i) -> skip
	fi
}

/* Liveness, as far as it is one: all correct VIEW-CHANGEs allow a decision. */
inline check_decidable()
{
#ifdef LIVE
	if
	:: DECIDABLE(view[0])
	:: else ->
		printf("view %d: no decision\n", view[0]);
		assert(false)
	fi
#else
	skip
#endif
}

init
{
	byte i, w;

	d_step { START(0); START(1); START(2) };
	do
	:: PHASE {
		for (i : 0 .. CORRECT - 1) {
			EACH { step_vote(i, w) }
		};
		skip;
		d_step {
			forget_vcs(view[0]);
			forget_choice();
			i = 0
		}
	   };
	   PHASE {
		for (i : 0 .. CORRECT - 1) {
			EACH { step_prepare(i) }
		};
		if
		:: view[0] == VIEWS -> break
		:: else
		fi;
		d_step {
			forget_votes(view[0]);
			sort();
			leave(0);
			leave(1);
			leave(2);
			check_decidable();
			i = 0
		};
		if
		:: STOP -> break
		:: else
		fi
	   }
	od
}

#endif
