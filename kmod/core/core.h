/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core: PBFT as one pure state machine, and the one header its shells know.
 *
 * Messages, time and results go in by the functions below; things to do come
 * out of pbft_ready(). No socket, clock, key, lock, thread: the shell
 * serialises all calls on one core (one spinlock in the kernel), and every call
 * returns without sleeping. Same inputs, same outputs, byte for byte.
 *
 * Times are nanoseconds. @now is monotonic and need not start at zero.
 */
#ifndef PBFT_CORE_H
#define PBFT_CORE_H

#include "types.h"
#include "buf.h"
#include "wire.h"

struct pbft_core;

/* Defaults and limits stand in config.c, which also checks them. */
struct pbft_config {
	u64 cluster;		/* the same on every replica and client */
	u32 epoch;
	u32 n, f, self;		/* n >= 3f + 1; self < n */
	u32 k;			/* checkpoint interval, sequence numbers */
	u32 l;			/* window; a multiple of k, at least 2k */
	u32 pipeline;		/* batches the primary keeps in flight */
	u32 batch_max;		/* requests in one batch */
	u32 batch_bytes;	/* bytes of requests inline in one batch */
	u32 inline_max;		/* larger operations travel apart from the batch, bytes */
	u32 clients_max;	/* clients that may be registered */
	bool genesis;		/* this cluster has never run before: no votes to remember */
	bool restore;		/* what was promised follows by pbft_restore() */
	bool journal;		/* PBFT_OUT_PERSIST is wanted; by default it is */
	u64 t_base;		/* first request and view-change timeout, ns */
	u64 t_max;		/* no timeout grows beyond this */
	u64 t_status;		/* STATUS interval */
	u64 t_heartbeat;	/* an idle primary orders a null batch this often */
	u64 t_resend;		/* least time between two copies of one message to one peer */
	u64 t_rejoin;		/* least time between view changes granted to a rejoining peer */
	u64 clock_skew;		/* accepted |proposed - local| time, ns; 0: any */
};

/* Fill in every field but cluster, epoch, n, f, self with its default. */
void pbft_config_default(struct pbft_config *cfg);

/**
 * pbft_config_check() - is this a configuration the core can run?
 * @cfg: wholly filled in
 * Return: NULL, or a sentence that names the field at fault.
 */
const char *pbft_config_check(const struct pbft_config *cfg);

/* Upper bound of the memory one core may hold, in bytes. */
u64 pbft_config_memory(const struct pbft_config *cfg);

/**
 * pbft_core_create() - a replica at sequence number 0 and view 0
 * @now: ns, of the clock that all calls use
 * @cfg: checked by pbft_config_check(); copied
 *
 * With cfg->genesis the replica votes at once. With cfg->restore it is told
 * what it promised in an earlier life, and is of no use before pbft_restored().
 * With neither it has forgotten: it stays mute until the estimation of its
 * peers' checkpoints and views makes voting safe (Castro and Liskov 2002,
 * section 4.3.2), by itself and however long that takes.
 *
 * Context: process, may sleep. Return: NULL when memory is short.
 */
struct pbft_core *pbft_core_create(const struct pbft_config *cfg, u64 now);
void pbft_core_destroy(struct pbft_core *core);

/*
 * Clients: unknown ones are refused by the shell already, which has their keys.
 * Context: any, under the shell's lock once the core is shared.
 */
int pbft_client_add(struct pbft_core *core, u32 id);	/* -EEXIST, -ENOSPC, -ENOMEM */
void pbft_client_del(struct pbft_core *core, u32 id);

/* Wall clock minus monotonic clock, ns: what the primary proposes as time. */
void pbft_set_wall_offset(struct pbft_core *core, s64 offset);

/* A place in the log; of an application: what its state includes. */
struct pbft_log_head {
	u64 seq;
	u64 time;			/* agreed time of that batch, ns since the epoch */
	struct pbft_digest chain;	/* chain_0 is all zero */
};

/* ---- an earlier life ------------------------------------------------- */

/* What PBFT_OUT_PERSIST once said. */
struct pbft_record {
	u8 code;		/* enum pbft_persist */
	bool again;		/* by pbft_persist_all() */
	u64 view;
	struct pbft_log_head head;
	struct pbft_digest digest;
	struct pbft_buf *buf;	/* PRE_PREPARED: the BATCH; else as in pbft_out */
};

/**
 * pbft_restore() - remember one record, oldest first
 * @core: new, created with cfg->restore
 * @rec: what was persisted; not kept
 *
 * After pbft_core_create() with cfg->restore, before anything else. Nothing
 * comes out of pbft_ready() for it. The core takes its own reference on buf.
 *
 * Return: 0; -EBADMSG: no core of this configuration said this; -ENOMEM: some of
 * it is not remembered. The core is then to be destroyed.
 */
int pbft_restore(struct pbft_core *core, const struct pbft_record *rec);

/**
 * pbft_restored() - all there is has been told: resume
 * @core: told by pbft_restore()
 * @now: ns
 *
 * In the same view, with the same promises. If the records do not say that the
 * replica remembered everything when they end, it goes on as one that has
 * forgotten.
 */
void pbft_restored(struct pbft_core *core, u64 now);

/* Is everything promised on record, if all that was persisted is? */
bool pbft_remembers(const struct pbft_core *core);

/**
 * pbft_persist_all() - PERSIST everything that must not be forgotten, once more
 * @core: whose outbox then holds the records
 *
 * What was persisted before is not needed once this is durable. The outbox must
 * be empty before, which makes room for it.
 */
void pbft_persist_all(struct pbft_core *core);

/* What the shell found out about the authentication of one message. */
struct pbft_verdict {
	/*
	 * The inner messages (pbft_inner_first()) whose authenticator entry for
	 * this replica holds, by index.
	 */
	DECLARE_BITMAP(inner_ok, PBFT_BATCH_MAX);
};

/* One message, authentic from its sender and passed by pbft_wire_check(). */
struct pbft_packet {
	const void *data;	/* 8-byte aligned */
	u32 len;		/* authentication included */
	struct pbft_head head;
	struct pbft_buf *buf;	/* holds @data from its start; needed if pbft_wire_retained() */
};

/**
 * pbft_step() - one authenticated message
 * @core: the replica
 * @now: ns
 * @pkt: the message; its data is read during the call only
 * @verdict: for messages that carry others; may be NULL otherwise
 *
 * The core takes its own references on pkt->buf where it keeps it.
 * Context: any, under the shell's lock.
 */
void pbft_step(struct pbft_core *core, u64 now, const struct pbft_packet *pkt,
	       const struct pbft_verdict *verdict);

/* Time passes. Calling early or often is harmless. */
void pbft_tick(struct pbft_core *core, u64 now);

/* When the core next wants pbft_tick(); changes with every call into the core. */
u64 pbft_next_deadline(const struct pbft_core *core);

/* ---- the application side ------------------------------------------- */

/**
 * pbft_bind() - an application takes over, with its state at @head
 * @core: the replica
 * @now: ns
 * @head: where that state stands
 *
 * Batches after head->seq follow as PBFT_OUT_APPLY. Every APPLY handed out
 * before and not yet answered is void; so are snapshots asked for.
 *
 * Return: 0; -EEXIST: bound already; -ESTALE: genesis, but the application has
 * lived before; -EBADMSG: the log's chain at head->seq is another one (state
 * and cluster do not belong together).
 */
int pbft_bind(struct pbft_core *core, u64 now, const struct pbft_log_head *head);
void pbft_unbind(struct pbft_core *core);

struct pbft_result {
	u8 status;		/* enum pbft_reply_status */
	u32 len;		/* <= PBFT_OP_MAX */
	const void *data;
};

/**
 * pbft_executed() - the application executed the batch at @seq
 * @core: the replica
 * @now: ns
 * @seq: of the batch
 * @count: requests in it
 * @results: one for each request of the batch, in order
 *
 * In the order of APPLY, each once. Return: 0; -EINVAL for anything else: the
 * shell stops the instance with pbft_stop().
 */
int pbft_executed(struct pbft_core *core, u64 now, u64 seq,
		  const struct pbft_result *results, u32 count);

/* Answers PBFT_OUT_SNAPSHOT: the digest of the state after @seq. */
int pbft_checkpointed(struct pbft_core *core, u64 now, u64 seq,
		      const struct pbft_digest *app);

/* Answers PBFT_OUT_FETCH_STATE: the state certified for @seq is installed. */
int pbft_state_installed(struct pbft_core *core, u64 now, u64 seq,
			 const struct pbft_digest *app);

/* Stop for good, for a reason a person can read (kept by pointer). */
void pbft_stop(struct pbft_core *core, const char *reason);

/* ---- batches, as the application sees them --------------------------- */

struct pbft_batch;

struct pbft_batch_req {
	u32 client;
	u64 session;
	u64 t;
	u8 flags;
	const void *op;
	u32 op_len;
	struct pbft_digest digest;
};

u32 pbft_batch_count(const struct pbft_batch *batch);
void pbft_batch_req(const struct pbft_batch *batch, u32 i,
		    struct pbft_batch_req *out);
struct pbft_batch *pbft_batch_get(struct pbft_batch *batch);
/* Any context, no lock needed: the count is atomic. NULL is allowed. */
void pbft_batch_put(struct pbft_batch *batch);

/* ---- the outbox ------------------------------------------------------- */

enum pbft_out_type {
	PBFT_OUT_SEND,		/* buf to the replicas in @to, or to @client */
	PBFT_OUT_APPLY,		/* execute batch at head.seq (NULL batch: null) */
	PBFT_OUT_SNAPSHOT,	/* state digest after head.seq; a copy of that state is to stay */
	PBFT_OUT_DISCARD,	/* copies of states before head.seq are not needed any more */
	PBFT_OUT_FETCH_STATE,	/* get the state @digest at head.seq from the replicas in @to */
	PBFT_OUT_PERSIST,	/* durable before any later SEND goes out */
	PBFT_OUT_EVENT,
};

enum pbft_persist {
	PBFT_REC_PRE_PREPARED,	/* Q: head.seq, view, digest, batch */
	PBFT_REC_PREPARED,	/* P: head.seq, view, digest */
	PBFT_REC_VIEW_CHANGE,	/* view, pending from here; buf: the VIEW-CHANGE, or NULL */
	PBFT_REC_NEW_VIEW,	/* view entered; buf: the NEW-VIEW, or a RELAY of it */
	PBFT_REC_CHECKPOINT,	/* own checkpoint at head, digest of the state */
	PBFT_REC_BASE,		/* others' word for checkpoint head.seq, digest D_ck */
	PBFT_REC_STABLE,	/* h = head.seq, proven for head and the state's digest */
	PBFT_REC_RAISED,	/* h = head.seq, by the word of others */
	PBFT_REC_REMEMBERS,	/* all promises up to here are on record */
	PBFT_REC_FORGOT,	/* there were promises that are not */
	PBFT_REC_MAX
};

enum pbft_event {
	PBFT_EV_VIEW_CHANGE,	/* left for view, pending */
	PBFT_EV_NEW_VIEW,	/* entered view */
	PBFT_EV_STABLE,		/* head.seq stable */
	PBFT_EV_QUORUM_LOST,	/* primary: its batches do not commit */
	PBFT_EV_BEHIND,		/* state transfer needed to head.seq */
	PBFT_EV_SYNCED,		/* state transfer to head.seq done */
	PBFT_EV_RECOVERED,	/* amnesia over: votes again */
	PBFT_EV_EVIDENCE,	/* replica @client is provably faulty: two votes */
	PBFT_EV_STOPPED,	/* pbft_status.reason says why */
};

struct pbft_out {
	u8 type;		/* enum pbft_out_type */
	u8 auth;		/* SEND: enum pbft_auth to append; SEND gives header and body */
	u8 code;		/* enum pbft_persist or pbft_event */
	bool again;		/* PERSIST: by pbft_persist_all() */
	u32 client;		/* SEND: client id, or 0 for replicas */
	u64 to;			/* SEND, FETCH_STATE: set of replicas, never self */
	u64 view;
	struct pbft_log_head head;	/* APPLY: chain and time including this batch */
	struct pbft_digest digest;
	struct pbft_buf *buf;	/* reference passes to the shell */
	struct pbft_batch *batch;	/* reference passes to the shell */
};

/**
 * pbft_ready() - take the things to do, in order
 * @core: the replica
 * @out: room for @max entries
 * @max: at most so many now
 *
 * Call until it returns 0 after each input, before giving up the lock; act on
 * them afterwards. SENDs may be lost or overtake one another; APPLY, SNAPSHOT
 * and FETCH_STATE must reach the application in order, or not at all after an
 * unbind.
 */
unsigned int pbft_ready(struct pbft_core *core, struct pbft_out *out,
			unsigned int max);

/* Drop the references an entry holds. */
void pbft_out_release(struct pbft_out *out);

/* ---- looking in --------------------------------------------------------- */

struct pbft_counters {
	u64 requests;		/* authentic, new */
	u64 requests_dup;
	u64 pre_prepares;	/* accepted */
	u64 prepares, commits;	/* received and counted */
	u64 votes_ignored;	/* wrong view or window, repeated */
	u64 batches;		/* committed */
	u64 batches_null;
	u64 ops;		/* requests in committed batches */
	u64 replies;
	u64 view_changes;	/* started here */
	u64 new_views;		/* entered */
	u64 new_views_bad;	/* provably invalid */
	u64 checkpoints;	/* own */
	u64 stable;
	u64 fetches;		/* batches asked for */
	u64 proofs;		/* sequence numbers committed by COMMITTED-PROOF */
	u64 state_fetches;
	u64 evidence;
	u64 out_dropped;	/* SENDs lost for lack of memory or room */
	u64 held;		/* PRE-PREPAREs held for bodies or authenticity */
	u64 clock_refused;	/* PRE-PREPAREs refused: their time is too far from ours */
};

struct pbft_status {
	u64 view;
	bool pending;		/* between VIEW-CHANGE and NEW-VIEW */
	bool mute;		/* recovering from amnesia */
	bool bound;
	bool stopped;
	bool fetching;		/* state transfer under way */
	const char *reason;	/* when stopped */
	u32 primary;
	u64 h;			/* stable checkpoint */
	u64 high;		/* H = h + L */
	u64 last_committed;	/* contiguous */
	u64 last_exec;		/* answered by the application */
	struct pbft_log_head head;	/* at last_exec */
	u64 checkpoint;		/* own latest checkpoint, its state digest below */
	struct pbft_digest checkpoint_app;
	u64 fetch_target;	/* when fetching */
	u64 recover_point;	/* mute: votes once this is stable; 0 while estimating */
	u64 recover_view;	/* ... and in views from here */
	u32 pending_requests;
	u64 memory;		/* bytes of requests and batches held now */
};

void pbft_status_get(const struct pbft_core *core, struct pbft_status *st);
const struct pbft_counters *pbft_counters_get(const struct pbft_core *core);

/*
 * What a replica has committed at @seq, if it still remembers.
 * For tests and tools. Return: 0, or -ENOENT.
 */
int pbft_committed_digest(const struct pbft_core *core, u64 seq,
			  struct pbft_digest *out);

#endif /* PBFT_CORE_H */
