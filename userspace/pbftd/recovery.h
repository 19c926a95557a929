/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Proactive recovery: new keys, then the state page by page against the newest copy
 * that is certified, then what is damaged from a peer. All of it a little at a time,
 * between batches, and on its own: nobody waits for it. Documentation/recovery.rst
 * says what it is good for.
 *
 * Times are nanoseconds, monotonic, unless they are agreed.
 */
#ifndef PBFTD_RECOVERY_H
#define PBFTD_RECOVERY_H

#include "linux/pbft.h"
#include "schedule.h"
#include "xfer.h"

struct pbft_recovery_report {
	u32 state;		/* enum pbft_recovery_state */
	bool scheduled;
	u64 seq;		/* the checkpoint it has come to; 0: none yet */
	u32 total, checked, damaged, repaired;	/* pages */
};

struct pbft_recovery_ops {
	/* Up to where checkpoints are stable, as far as is known. */
	u64 (*stable)(void *arg);
	/* To the next generation of keys. Return 0, or the store's error. */
	int (*rotate)(void *arg);
	/* Something has changed that is worth showing. */
	void (*report)(void *arg, const struct pbft_recovery_report *r);
};

struct pbft_recovery;

/* NULL when memory is short. */
struct pbft_recovery *pbft_recovery_create(struct pbft_store *st,
					   const struct pbft_recovery_ops *ops,
					   void *arg);
void pbft_recovery_destroy(struct pbft_recovery *r);
/* Where pages come from, and the schedule to go by from here on. */
void pbft_recovery_bind(struct pbft_recovery *r, struct pbft_xfer *x,
			const struct pbft_schedule *s);

/*
 * The functions below return 0, or the store's error when it can not go on;
 * pbft_store.err says what it was.
 */

/* Begin, unless it has begun already. */
int pbft_recovery_start(struct pbft_recovery *r, u64 now, bool scheduled);
/* All that was agreed on is executed, for the moment: does the schedule want anything? */
int pbft_recovery_clock(struct pbft_recovery *r, u64 now);
/* The next little bit of work, if it is time for it. */
int pbft_recovery_tick(struct pbft_recovery *r, u64 now);
/* A page that was asked for has come, verified. */
int pbft_recovery_page(struct pbft_recovery *r, u64 now, u32 page, const void *data,
		       u64 len);
u64 pbft_recovery_deadline(const struct pbft_recovery *r);	/* U64_MAX: none */

/* The state is being replaced by another: what was found of it is void. */
void pbft_recovery_restart(struct pbft_recovery *r, u64 now);
/* It is a state at another place of the log: no slot has begun by that. */
void pbft_recovery_moved(struct pbft_recovery *r);
/* End it, however far it is. */
void pbft_recovery_give_up(struct pbft_recovery *r);

const struct pbft_recovery_report *pbft_recovery_report(const struct pbft_recovery *r);

#endif /* PBFTD_RECOVERY_H */
