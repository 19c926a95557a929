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
 * Drivers: lock step (default), all correct replicas finish a view before any
 * goes on; -DINTERLEAVED, every replica goes at its own pace.
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

#define F	1
#define CORRECT	3		/* n - f */

#define NONE	0
#define NULL_D	1		/* the null batch; 2 .. DIGESTS are others */
#define FREE	15		/* decided null by B: the primary may propose anew */

/* ---- state --------------------------------------------------------------- */

typedef Memory {		/* of a replica, over views: section 5.1 */
	byte pd, pv;		/* P: digest and view, NONE if it has none */
	byte qv[DIGESTS + 1]	/* Q: latest view of each digest, 0 if not in the ring */
}

typedef ViewChange {
	bool sent;
	byte pd, pv, alt;
	byte qv[DIGESTS + 1]
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

/* Used within one d_step only, hence no part of the state */
hidden byte k, n, m, victim;

/* ---- quorums -------------------------------------------------------------- */

#define SUM(test, a, b) (test(0, a, b) + test(1, a, b) + test(2, a, b))

/* The faulty replica votes for whatever is wanted; its vote adds up with any. */
#define IS_QUORUM(count) ((count) + F >= QUORUM)

#define PREPARED_BY(i, d, v)	(prepare[AT(v, i)] == (d))
#define COMMITTED_BY(i, d, v)	(commit[AT(v, i)] == (d))

#ifdef MIXED_PREPARES
#define PREPARES(d, v)	(((prepare_ever[0] >> (d)) & 1) + \
			 ((prepare_ever[1] >> (d)) & 1) + \
			 ((prepare_ever[2] >> (d)) & 1))
#else
#define PREPARES(d, v)	SUM(PREPARED_BY, d, v)
#endif

#ifdef MIXED_COMMITS
#define COMMITS(d, v)	(((commit_ever[0] >> (d)) & 1) + \
			 ((commit_ever[1] >> (d)) & 1) + \
			 ((commit_ever[2] >> (d)) & 1))
#else
#define COMMITS(d, v)	SUM(COMMITTED_BY, d, v)
#endif

/*
 * PRE-PREPARE and q - 1 PREPAREs of backups. The primary's word is in its
 * PRE-PREPARE and is not counted twice: q replicas have pre-prepared @d. That
 * is q - f correct ones, the primary faulty or not.
 */
#define PREPARED(d, v)	IS_QUORUM(PREPARES(d, v))
#define COMMITTED(d, v)	IS_QUORUM(COMMITS(d, v))

/* ---- the decision: section 5.5 --------------------------------------------
 *
 * V is all VIEW-CHANGEs that correct replicas have sent and one of the faulty
 * replica, made for the occasion. More members never make A1, A2 or B false, so
 * what a smaller V justifies is justified by this one.
 */

#define VC(i, v)	vc[AT(v, i)]

/* A1: q members prepared nothing later than @w, nor anything else in it. */
#ifdef A1_SAME_VIEW
#define A1_BY(i, v, d, w) (VC(i, v).sent && VC(i, v).pv <= (w))
#else
#define A1_BY(i, v, d, w) (VC(i, v).sent && \
	(VC(i, v).pv < (w) || (VC(i, v).pv == (w) && VC(i, v).pd == (d))))
#endif
#ifdef NO_A1
#define A1(v, d, w)	true
#else
#define A1(v, d, w)	(A1_BY(0, v, d, w) + A1_BY(1, v, d, w) + \
			 A1_BY(2, v, d, w) + F >= QUORUM)
#endif

/* A2: f + 1 members pre-prepared @d at @w or later, or two digests since @w. */
#ifdef NO_ALT
#define ALT_BY(i, v, w)	false
#else
#define ALT_BY(i, v, w)	(VC(i, v).alt >= (w))
#endif
#define A2_BY(i, v, d, w) (VC(i, v).sent && \
	(VC(i, v).qv[d] >= (w) || ALT_BY(i, v, w)))
#define A2_COUNT(v, d, w) (A2_BY(0, v, d, w) + A2_BY(1, v, d, w) + A2_BY(2, v, d, w))
#ifdef A2_ENTRIES
#define A2_FAULTY	(F + 1)	/* it repeats one entry as often as needed */
#else
#define A2_FAULTY	F
#endif
#ifdef NO_A2
#define A2(v, d, w)	true
#else
#define A2(v, d, w)	(A2_COUNT(v, d, w) + A2_FAULTY >= F + 1)
#endif

/*
 * Some claim (@d, @w) in P, w < v, satisfies A1 and A2. The faulty replica can
 * always be the one who claims it: P = (d, w) with its Q counts for A1 and A2.
 */
#define CLAIM(v, d, w)	((w) < (v) && A1(v, d, w) && A2(v, d, w))
#define SUPPORTED(v, d)	(CLAIM(v, d, 1) || CLAIM(v, d, 2) || CLAIM(v, d, 3) || \
			 CLAIM(v, d, 4) || CLAIM(v, d, 5))

/*
 * u: the (f + 1)-th largest alt. The faulty replica can say v - 2, views being
 * below v and two digests in two views, and no correct one has more: so u is
 * the largest alt of a correct member.
 */
#define MAX(a, b)	((a) > (b) -> (a) : (b))
#define ALT(i, v)	(VC(i, v).sent -> VC(i, v).alt : 0)
#ifdef U_LARGEST
#define U(v)		((v) > 2 -> (v) - 2 : 0)
#else
#define U(v)		MAX(ALT(0, v), MAX(ALT(1, v), ALT(2, v)))
#endif

/* B: q members prepared nothing, or nothing since u. */
#define B_BY(i, v, u)	(VC(i, v).sent && (VC(i, v).pd == NONE || VC(i, v).pv < (u)))
#ifdef B_WEAK
#define B_NEEDS		(F + 1)
#else
#define B_NEEDS		QUORUM
#endif
#define B(v, u)		(B_BY(0, v, u) + B_BY(1, v, u) + B_BY(2, v, u) + F >= B_NEEDS)
#define DECIDED_NULL(v)	B(v, U(v))

/* V has q members. */
#define SENT(i, v, x)	(VC(i, v).sent)
#define V_COMPLETE(v)	IS_QUORUM(SUM(SENT, v, 0))

/* Can a primary decide with the VIEW-CHANGEs of correct replicas alone? */
