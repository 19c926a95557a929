/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The gate between the core's outbox and the world, for shells with a journal:
 * nothing passes before every PERSIST that came out ahead of it is durable. So
 * no vote, no delivery, no reply depends on what a crash could undo, and a
 * replica's own vote counts for others, and for its own application, only once
 * it is on record, although the core counts it at once.
 *
 * Under the shell's lock, all of it.
 */
#ifndef PBFT_CORE_GATE_H
#define PBFT_CORE_GATE_H

#include "core.h"

struct pbft_gate {
	struct pbft_out *ring;
	u32 cap;
	/* Free-running; head <= durable, head <= taken <= tail. */
	u64 head;		/* oldest not passed */
	u64 durable;		/* PERSISTs before it are on record */
	u64 taken;		/* PERSISTs before it are with the writer */
	u64 tail;
};

/* Room for what two full outboxes hold. Return: 0 or -ENOMEM. May sleep. */
int pbft_gate_init(struct pbft_gate *g, const struct pbft_core *core);
/* Drops what is in it. */
void pbft_gate_exit(struct pbft_gate *g);

/*
 * May the core be called? What it then puts out fits. If not, the journal is
 * behind, and input is to be dropped as a network would.
 */
bool pbft_gate_open(const struct pbft_gate *g);

/*
 * Takes over the references of @out. A SEND may be lost when there is no room.
 * False: something else was, the instance must stop.
 */
bool pbft_gate_put(struct pbft_gate *g, struct pbft_out *out);
/*
 * The next that may pass, in order; its references are the caller's. PERSISTs
 * pass too, when they are durable. False: none may.
 */
bool pbft_gate_next(struct pbft_gate *g, struct pbft_out *out);

/*
 * PERSISTs to be written, in order, with references of the caller's. Return how
 * many. @upto: to be given to pbft_gate_durable() once they are on record, if
 * fewer than @max; or take more.
 */
u32 pbft_gate_take(struct pbft_gate *g, struct pbft_out *outs, u32 max, u64 *upto);
void pbft_gate_durable(struct pbft_gate *g, u64 upto);
/* The application is gone: what waits for it is void. With pbft_unbind(). */
void pbft_gate_unbind(struct pbft_gate *g);
static inline bool pbft_gate_empty(const struct pbft_gate *g)
{
	return g->head == g->tail;
}

/* Is there something to write? */
static inline bool pbft_gate_waits(const struct pbft_gate *g)
{
	return g->taken < g->tail;
}

#endif /* PBFT_CORE_GATE_H */
