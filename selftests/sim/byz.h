/* SPDX-License-Identifier: GPL-2.0 */
/* What the liars' files share: byz.c decides when and to whom, byz-lies.c how. */
#ifndef SIM_BYZ_H
#define SIM_BYZ_H

#include "sim.h"

enum byz_trait {
	BYZ_EQUIVOCATE,		/* two PRE-PREPAREs for one number */
	BYZ_FIELDS,		/* header fields and digests a little off */
	BYZ_SILENT,		/* some messages never reach some peers */
	BYZ_DEAF,		/* ignores some peers for a while */
	BYZ_VIEW_CHANGE,	/* two-faced VIEW-CHANGEs with invented P and Q */
	BYZ_NEW_VIEW,
	BYZ_MAC,		/* MACs that only some receivers can verify */
	BYZ_CHECKPOINT,
	BYZ_PROOF,		/* COMMITTED, BATCH, acks */
	BYZ_REPLY,
	BYZ_STATUS,
	BYZ_RECOVERY,		/* answers to replicas that have forgotten */
	BYZ_INJECT,		/* messages out of the blue */
	BYZ_FORGE,		/* requests that no client made */
	BYZ_EAGER,		/* votes with its PRE-PREPARE; VIEW-CHANGEs ahead of time */
	BYZ_CHOOSE,		/* NEW-VIEWs on VIEW-CHANGEs chosen to decide otherwise ... */
	BYZ_FORGE_VC,		/* ... one of which nobody sent */
	BYZ_REOPEN,		/* PRE-PREPAREs against its own NEW-VIEW */
	BYZ_DENY,		/* VIEW-CHANGEs that know of nothing */
	BYZ_VANISH,		/* votes, but is gone when a view changes */
	BYZ_TRAITS
};

#define BYZ_LIE_MAX (256 * 1024)

/* Words for the command line, to go without one of them. */
extern const char * const byz_trait_names[BYZ_TRAITS];

struct byz_lie {
	struct sim *sim;
	struct sim_node *node;
	struct prng rng;	/* the same for the same message and face */
	u32 face;		/* 0: the plausible one, 1: the other */
	u8 *msg;		/* BYZ_LIE_MAX bytes, header and body */
};

static inline struct pbft_hdr *byz_hdr(struct byz_lie *l)
{
	return (void *)l->msg;
}

static inline bool byz_has(const struct sim *sim, enum byz_trait t)
{
	return sim->byz.traits >> t & 1;
}

struct byz_variant *byz_variant(struct sim *sim, u64 view, u64 seq);
const struct pbft_digest *byz_known_digest(struct sim *sim, struct prng *r);
void byz_learn(struct sim *sim, u64 seq, const struct pbft_digest *d);
/* Seal it in @node's name, perhaps badly, and send it. */
void byz_say(struct sim_node *node, const void *msg, u32 to);

void lie_pre_prepare(struct byz_lie *l);
void lie_view_change(struct byz_lie *l);
void lie_new_view(struct byz_lie *l);
/* byz-choose.c. Return: false if there was no other choice. */
bool lie_choose_new_view(struct byz_lie *l, u32 to);
void lie_checkpoint(struct byz_lie *l);
void lie_committed(struct byz_lie *l);
void lie_reply(struct byz_lie *l);
void lie_status(struct byz_lie *l);
void lie_ack(struct byz_lie *l);
void lie_reply_stable(struct byz_lie *l);
void lie_fields(struct byz_lie *l);

#endif /* SIM_BYZ_H */
