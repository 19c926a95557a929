/* SPDX-License-Identifier: GPL-2.0 */
/* A history of batches and checkpoints, and what every state of it must be. */
#ifndef PBFT_TEST_COPIES_H
#define PBFT_TEST_COPIES_H

#include "kvstore.h"

#define K	8u		/* batches from checkpoint to checkpoint */
#define L	24u		/* how long copies are needed */
#define SEQ_MAX	400u

extern struct pbft_store *twin;		/* is never closed */
extern struct pbft_digest roots[SEQ_MAX + 1];	/* of every state */
extern u64 rng;

u32 below(u32 n);

/* The next batch. */
int apply(struct pbft_store *st);
/* Up to @seq, with checkpoints; and commits in between, some @often. */
bool go(struct pbft_store *st, u64 seq, u32 often);
/* The twin goes to @seq at least: what others must reach is known in advance. */
void prepare(u64 seq);
void forget_history(void);

/* Is every copy of @st what it was, and each from @first to @last there? */
bool copies_right(struct pbft_store *st, u64 first, u64 last);
/* The same of all that are needed at @st's state, and the state. */
bool all_right(struct pbft_store *st);

#endif /* PBFT_TEST_COPIES_H */
