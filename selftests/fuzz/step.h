/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One core among made-up peers: the run, its application, and what is demanded
 * of every output. fuzz-step.c turns bytes into calls.
 */
#ifndef PBFT_FUZZ_STEP_H
#define PBFT_FUZZ_STEP_H

#include "world.h"

#define STEP_APPLIES	256	/* batches handed out and not answered yet */
#define STEP_CLAIMS	4096	/* power of two */

/*
 * Views and sequence numbers end at 2^63 - 1 on the wire. More than f faulty
 * replicas can drag a core to where its own next one would be refused: there a
 * run is over.
 */
#define STEP_EDGE	(S64_MAX - (1ull << 32))

/* What the core has said, or made durable, once and for all. */
enum claim_kind {
	CLAIM_NONE,
	CLAIM_PROPOSED,		/* (view, seq): PRE-PREPARE or PREPARE */
	CLAIM_COMMIT,		/* (view, seq) */
	CLAIM_VIEW_CHANGE,	/* view */
	CLAIM_NEW_VIEW,		/* view */
	CLAIM_DURABLE_Q,	/* (view, seq) */
	CLAIM_DURABLE_P,	/* (view, seq) */
	CLAIM_DURABLE_VC,	/* view */
	CLAIM_APPLY,		/* seq: unless state was installed meanwhile */
};

struct claim {
	u8 kind;
	u64 view, seq;
	struct pbft_digest d;
};

struct step_apply {
	u64 seq;
	struct pbft_batch *batch;
};

/* Digests of the outputs, in order: a second run must give the same. */
struct step_log {
	u64 *h;
	size_t count, cap;
};

struct step_run {
	struct fuzz_world w;
	struct pbft_core *core;
	struct pbft_config cfg;
	u64 now;
	u64 calls;		/* into the core, for messages about failures */
	u32 rounds;		/* of agreement, with the help of correct peers */

	/* the application */
	bool bound;
	bool moved;			/* since the last look at the state: bound, or replaced */
	struct step_apply apply[STEP_APPLIES];
	u32 apply_first, apply_count;
	struct pbft_log_head head;	/* of the last APPLY, or where it was bound */
	u64 snapshot;			/* asked for, not answered; 0 none */
	u64 fetch_seq;			/* likewise */
	struct pbft_digest fetch_d;
	struct pbft_log_head fetch_head;

	struct claim claim[STEP_CLAIMS];
	u32 claims;
	u64 promised;		/* latest view of a VIEW-CHANGE sent */
	struct pbft_status st;	/* before the last call */
	bool stopped;

	struct step_log *log;	/* written, or compared with */
	bool compare;
	size_t at;
};

/* With FUZZ_TRACE set in the environment: what happens, for a person to read. */
__attribute__((format(printf, 1, 2)))
void step_trace(const char *fmt, ...);

/* step-check.c: one output, before it is released; the state after a call. */
void step_output(struct step_run *r, const struct pbft_out *out);
void step_state(struct step_run *r);
bool step_at_edge(const struct step_run *r);
void step_record(struct step_run *r, u64 hash);

/* step-app.c */
void app_output(struct step_run *r, const struct pbft_out *out);
void app_run(struct step_run *r, u32 batches);
void app_snapshot(struct step_run *r, bool right);
void app_install(struct step_run *r, bool right);
void app_bind(struct step_run *r);
void app_unbind(struct step_run *r);
void app_nonsense(struct step_run *r);

/* alloc.c: the @nth allocation from now fails, if not 0. */
void fuzz_alloc_fail(u32 nth);
/* Nothing fails between these two: what @state says goes on later. */
u32 fuzz_alloc_pause(void);
#define fuzz_alloc_resume(state) fuzz_alloc_fail(state)

#endif /* PBFT_FUZZ_STEP_H */
