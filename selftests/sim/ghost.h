/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the ghost remembers: everything that correct replicas committed, voted
 * and promised, over crashes and restarts. ghost.c keeps it, check.c judges
 * messages and state by it, oracle.c judges NEW-VIEWs.
 */
#ifndef SIM_GHOST_H
#define SIM_GHOST_H

#include "sim.h"

#define GHOST_DIGESTS	24	/* digests pre-prepared at one sequence number */
#define GHOST_TOUCHED	16
#define GHOST_RING	512	/* sequence numbers of P and Q remembered per replica */

struct ghost_pp {
	struct pbft_digest d;
	u64 view;		/* highest in which a correct replica pre-prepared d */
};

struct ghost_slot {		/* one sequence number */
	bool committed, applied, executed, checkpointed, locked;
	u32 first;		/* who committed it first */
	struct pbft_digest d;
	struct pbft_digest chain;
	u64 time;
	u32 count;
	u64 results;		/* hash of what executing it answered */
	/* q - byz correct replicas sent COMMIT for lock_d in lock_view */
	u64 lock_view;
	struct pbft_digest lock_d;
	struct pbft_digest ck;		/* D_ck */
	u64 ck_by;			/* correct replicas that sent it */
	struct ghost_pp pp[GHOST_DIGESTS];
	u32 pp_count;
};

enum ghost_kind { GHOST_Q, GHOST_P, GHOST_COMMITS, GHOST_PREPARED };

struct ghost_vote {
	u64 view, seq;
	u32 node;		/* + 1; 0: free */
	u8 kind;
	u64 by;			/* GHOST_COMMITS: correct senders */
	struct pbft_digest d;
};

struct ghost_pq {		/* one replica's P and Q at one number, as far as it remembers */
	u64 seq;
	u32 memory;
	bool has_p, p_pruned;
	struct ghost_pp p;
	struct ghost_pp q[GHOST_DIGESTS];
	u32 q_count;
};

struct ghost_node {
	u64 vc_sent;		/* highest view promised, over all lives */
	u64 voted_max;		/* highest number voted on, over all lives */
	u64 life_view, life_voted;	/* ... when this life began */
	bool remembers;		/* this life began with genesis */
	u64 vc_persisted, nv_persisted, h_persisted, nv_entered;
	/* of this life, for monotony */
	u64 view, h, exec, committed, checkpoint;
	bool pending;
	u64 proofs;		/* COMMITTED-PROOFs at the last look */
	u64 touched[GHOST_TOUCHED];	/* numbers that may have committed since */
	u32 touched_count;
	u64 apply_next;		/* the next APPLY, since bind or install */
	struct pbft_digest apply_chain;
	u64 apply_time;
	u64 corrupt_seq;	/* what it answered and certified up to here may be wrong */
	struct ghost_pq pq[GHOST_RING];
};

struct ghost_vc {		/* a VIEW-CHANGE that somebody sent */
	struct pbft_digest dv;
	u32 from;
	struct pbft_view_change *m;
};

struct ghost {
	struct sim *sim;
	struct ghost_slot *slots;
	u64 slot_count, highest;
	struct ghost_vote *votes;
	u32 vote_cap, vote_count;
	struct ghost_node *nodes;
	struct ghost_vc *vcs;
	u32 vc_count, vc_cap;
	bool corrupt_ever;	/* any of them */
};

struct ghost_slot *ghost_slot(struct ghost *g, u64 seq);
struct ghost_vote *ghost_vote(struct ghost *g, u32 node, u8 kind, u64 view, u64 seq);
struct ghost_pq *ghost_pq(struct ghost *g, struct sim_node *node, u64 seq);

/* ghost.c, for check.c */
void ghost_preprepared(struct sim_node *node, u64 view, u64 seq,
		       const struct pbft_digest *d);
void ghost_prepared(struct sim_node *node, u64 view, u64 seq,
		    const struct pbft_digest *d);
void ghost_commit(struct sim_node *node, u64 view, u64 seq,
		  const struct pbft_digest *d);
void ghost_vc_seen(struct ghost *g, u32 from, const struct pbft_view_change *m);

/* check.c */
void check_send(struct sim_node *node, const struct pbft_out *out);
void check_apply(struct sim_node *node, const struct pbft_out *out);

/* oracle.c */
void oracle_new_view(struct sim_node *node, const struct pbft_new_view *m);
void oracle_view_change(struct sim_node *node, const struct pbft_view_change *m);

/* What it says of its state at @seq it may have said when that was corrupt. */
static inline bool ghost_maybe_corrupt(const struct ghost *g, u32 node, u64 seq)
{
	return seq <= g->nodes[node].corrupt_seq && g->nodes[node].corrupt_seq;
}

static inline unsigned long long llu(u64 x)
{
	return x;
}

/* First bytes of a digest, as the transcript shows them. */
static inline u32 short_digest(const struct pbft_digest *d)
{
	return (u32)d->b[0] << 24 | d->b[1] << 16 | d->b[2] << 8 | d->b[3];
}

#endif /* SIM_GHOST_H */
