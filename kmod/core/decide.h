/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a set of VIEW-CHANGEs decides. Pure: messages in, decision out; the new
 * primary uses it to choose, backups to check. Documentation/protocol.rst,
 * "The decision", has the argument why it is safe and live.
 */
#ifndef PBFT_CORE_DECIDE_H
#define PBFT_CORE_DECIDE_H

#include "wire.h"

struct pbft_vcset {
	u32 n, f, q, k, l;
	u32 count;
	const struct pbft_view_change *vc[PBFT_N_MAX];	/* valid, distinct origins */
};

/**
 * pbft_vc_valid() - is this VIEW-CHANGE one that a correct replica could send?
 *
 * Counts within bounds; C, P, Q sorted and within (h, h + L]; views below the
 * one wanted; at most one P and PBFT_Q_RING distinct Qs per sequence number;
 * each P with its Q.
 */
bool pbft_vc_valid(const struct pbft_view_change *vc, u32 k, u32 l);

/**
 * pbft_decide_base() - the checkpoint from which the new view starts
 * Return: false if the set does not determine one yet.
 */
bool pbft_decide_base(const struct pbft_vcset *s, u64 *seq,
		      struct pbft_digest *d);

enum pbft_decision {
	PBFT_UNDECIDED,
	PBFT_DECIDE_NULL,	/* condition B: nothing can have committed */
	PBFT_DECIDE_BATCH,	/* conditions A1 and A2 hold for the digest */
};

/**
 * pbft_decide() - what to propose at @seq, above the base
 * @body: condition A3, the caller's: may this digest be proposed at @seq?
 *	Called for digests that satisfy A1 and A2, highest view first.
 *	NULL: always.
 *
 * The digest may be the null digest, if that is what was prepared.
 */
enum pbft_decision pbft_decide(const struct pbft_vcset *s, u64 seq,
			       bool (*body)(void *arg, u64 seq,
					    const struct pbft_digest *d,
					    bool vouched),
			       void *arg, struct pbft_digest *out);

/* Is some (@d, v) claimed at @seq that satisfies A1 and A2? */
bool pbft_decide_supports(const struct pbft_vcset *s, u64 seq,
			  const struct pbft_digest *d);

/*
 * Do f + 1 members list @d in Q at @seq, so that at least one correct replica found
 * its requests authentic? Unlike A2 this takes no second digest instead.
 */
bool pbft_decide_vouched(const struct pbft_vcset *s, u64 seq,
			 const struct pbft_digest *d);

/* Condition B at @seq. */
bool pbft_decide_null(const struct pbft_vcset *s, u64 seq);

/* The (f + 1)-th largest h of the set: at least one correct replica has it stable. */
u64 pbft_decide_h(const struct pbft_vcset *s);

/* Accessors of a VIEW-CHANGE's parts. */
static inline const struct pbft_vc_c *pbft_vc_cs(const struct pbft_view_change *vc)
{
	return (const void *)vc->body;
}

static inline const struct pbft_vc_pq *pbft_vc_ps(const struct pbft_view_change *vc)
{
	return (const void *)(pbft_vc_cs(vc) + le32_to_cpu(vc->c_count));
}

static inline const struct pbft_vc_pq *pbft_vc_qs(const struct pbft_view_change *vc)
{
	return pbft_vc_ps(vc) + le32_to_cpu(vc->p_count);
}

#endif /* PBFT_CORE_DECIDE_H */
