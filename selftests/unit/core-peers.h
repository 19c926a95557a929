/* SPDX-License-Identifier: GPL-2.0 */
/*
 * One core, and messages made up for it: what its peers would need f + 1 liars,
 * or much patience, to bring about. Everything is authentic here.
 */
#ifndef PBFT_TEST_CORE_PEERS_H
#define PBFT_TEST_CORE_PEERS_H

#include "core/core.h"

#define PEERS_N		4
#define PEERS_CLIENT	100
#define PEERS_MS	1000000ull

struct peers {
	struct pbft_core *core;
	struct pbft_config cfg;
	struct pbft_wire_id id;
	u64 now;
	bool keep;		/* leave the outbox as it is */
	bool repeat_v;		/* NEW-VIEWs name one VIEW-CHANGE twice */
	u8 fail_type;		/* such messages find no memory ... */
	u32 fail_nth;		/* ... at this allocation; 1 if nothing is said */

	/* what came out, since peers_forget() */
	u32 out[PBFT_OUT_EVENT + 1];	/* by type */
	u32 sent[PBFT_TYPE_MAX + 1];
	u32 event[PBFT_EV_STOPPED + 1];
	struct pbft_log_head applied;	/* the last one */
	u32 applied_count;		/* its requests */
	u64 snapshot, fetch;
	u32 vc_q;			/* entries of Q in our last VIEW-CHANGE */
	bool vc_valid;			/* ... and would others take it? */
	struct pbft_digest fetch_app;
};

/* A digest made of a letter. */
struct pbft_digest peers_digest(char name);

/* n = 4, k = 2, l = 4, replica 0; a client, an application bound if @genesis. */
void peers_start(struct peers *p, bool genesis);
void peers_stop(struct peers *p);
void peers_forget(struct peers *p);
void peers_drain(struct peers *p);
struct pbft_status peers_status(const struct peers *p);

/* Any message: @body after its header, its authentication after that. */
void peers_send(struct peers *p, u8 type, u32 from, u64 view, u64 seq, const void *body,
		u32 len);
void peers_vote(struct peers *p, u8 type, u32 from, u64 view, u64 seq,
		const struct pbft_digest *d);
void peers_request(struct peers *p, u32 client, u64 t, u32 op_len);
/* The same, passed on by a replica. */
void peers_relay(struct peers *p, u32 from, u32 client, u64 t, u32 op_len);
void peers_checkpoint(struct peers *p, u32 from, u64 seq, char app);
void peers_committed(struct peers *p, u32 from, u64 seq, const struct pbft_digest *d);

/* A batch of requests t, t + 1 + skip ... of PEERS_CLIENT's. */
struct peers_batch {
	u64 seq, time, session, t;
	u64 skip;		/* -1: the same request over and over */
	u32 count, op_len;
	bool ref;		/* the requests are not in it */
};

/* One request of 8 bytes. */
struct peers_batch peers_one(u64 seq, u64 t);
struct pbft_digest peers_batch_digest(const struct peers_batch *b);
/* @authentic: this replica can tell that the request is the client's. */
void peers_batch(struct peers *p, u8 type, u32 from, u64 view, const struct peers_batch *b,
		 bool authentic);
/* @from can, or cannot, authenticate the batch's first request. */
void peers_endorse(struct peers *p, u32 from, const struct peers_batch *b);
void peers_nack(struct peers *p, u32 from, u64 view, const struct peers_batch *b);
/* Pre-prepared, prepared and committed by all others. Primary: another one. */
void peers_commit(struct peers *p, u64 view, const struct peers_batch *b);

/* The application's answer to a batch of one request: @len bytes. As pbft_executed(). */
int peers_execute(struct peers *p, u64 seq, u32 len);
/* In view 1: replica 1 is primary, we are a backup; batches 1 to @last are done. */
void peers_run_to(struct peers *p, u64 last);

/* What one VIEW-CHANGE claims: one checkpoint, one P, up to two Q at a number. */
struct peers_vc {
	u64 h, c;
	char c_app;		/* digest of the checkpoint; 0: genesis */
	u64 seq;		/* of P and Q; 0: neither */
	const struct pbft_digest *p;
	u64 p_view;
	const struct pbft_digest *q[2];	/* falling views */
	u64 q_view[2];
};

/* From the others 1 to 3, all authentic, each acknowledged by the rest. */
void peers_view_changes(struct peers *p, u64 view, const struct peers_vc vc[3]);
/* A NEW-VIEW of the VIEW-CHANGEs sent last: @x at base + 1, if not NULL. */
void peers_new_view(struct peers *p, u64 view, u64 base, char base_app,
		    const struct pbft_digest *x);
/* Into @view with nothing prepared and the checkpoint at @base. */
void peers_enter(struct peers *p, u64 view, u64 base, char app);

#endif /* PBFT_TEST_CORE_PEERS_H */
