/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Inside the core: its state, and who offers what to whom.
 *
 *	core.c		life, dispatch, outbox
 *	timer.c		tick: everything that happens because time passed
 *	agree.c		PRE-PREPARE, PREPARE, COMMIT
 *	client.c	requests waiting, replies kept
 *	guard.c		clients whose authenticators do not hold everywhere
 *	execute.c	delivery in order, results, state transfer's ends
 *	checkpoint.c	own and others' checkpoints, stability
 *	viewchange.c	leaving a view; VIEW-CHANGEs and acks
 *	newview.c	making, checking and entering a NEW-VIEW
 *	decide.c	what a set of VIEW-CHANGEs decides (pure)
 *	status.c	STATUS, and answering it: all retransmission
 *	fetch.c		batches that are named but not held
 *	recover.c	a replica that has forgotten its promises
 *	restore.c	a replica that is told of them
 *	log.c, batch.c	slots with their P and Q; batches
 *
 * Section numbers in comments are those of Documentation/protocol.rst.
 */
#ifndef PBFT_CORE_INTERNAL_H
#define PBFT_CORE_INTERNAL_H

#include "core.h"
#include "decide.h"

/* ---- batches -------------------------------------------------------- */

struct pbft_batch_item {
	const struct pbft_request *msg;	/* NULL: not here yet */
	u32 msg_len;			/* authenticator included */
	u32 client;
	u64 session;
	u64 t;
	struct pbft_buf *buf;		/* holds msg, if the batch's own does not */
	bool authentic;			/* authenticated by this replica itself */
	u64 vouched;			/* replicas that endorsed it, while held here */
};

struct pbft_batch {
	refcount_t refs;
	u64 seq;
	u64 time;		/* as proposed */
	u32 count;
	u32 missing;		/* items without their request */
	struct pbft_digest digest;
	struct pbft_buf *buf;	/* the message it came in */
	struct pbft_digest *digests;	/* D(request) of each item */
	struct pbft_batch_item items[];
};

/* ---- clients ---------------------------------------------------------- */

struct pbft_pending {
	struct pbft_buf *buf;	/* REQUEST; NULL: place free */
	const struct pbft_request *msg;
	u32 msg_len;
	u64 t;
	u64 arrived;
	u64 relayed;		/* when passed on last; 0 never */
	u64 endorsed;		/* when we vouched for it last, its client under guard */
	struct pbft_digest digest;
};

struct pbft_endorsement {
	u64 session, t;
	u64 by;			/* set of replicas */
	struct pbft_digest digest;
};

struct pbft_client {
	struct pbft_client *hash_next;
	u32 id;
	/* executed, as far as this core saw it; session 0: not known */
	u64 session, next;
	bool unsure;		/* they may be further: not all was executed here */
	/* waiting, all of one session, t in place t % W */
	u64 pend_session;
	u32 pend_count;
	u64 pend_low;		/* lowest t waiting */
	struct pbft_pending pending[PBFT_CLIENT_WINDOW];
	/* running its request timer: on core->waiting, oldest first */
	struct list_head wait_node;
	u64 wait_since;
	u64 reminded;		/* the primary, by us, last */
	u64 repeated;		/* an executed request, for a backup, last */
	/* to be proposed: on core->proposable, round robin */
	struct list_head prop_node;
	u64 prop_session, prop_next;
	u64 prop_seq;		/* last batch proposed with a request of this client */
	/* replies kept, t in place t % W */
	struct {
		u64 session, t;
		struct pbft_buf *buf;	/* REPLY with its result in full */
	} replies[PBFT_CLIENT_WINDOW];
	/* guarded: not all replicas can authenticate its requests; see guard.c */
	bool guarded;
	u64 nacked_by;
	u32 outlasted;		/* views that ended while its request waited */
	u32 probation;		/* operations until it is trusted, once guarded */
	u32 probation_left;
	struct pbft_endorsement *endorse;	/* W places, allocated when guarded */
};

/* ---- the log ---------------------------------------------------------- */

struct pbft_qent {
	bool used;
	u64 view;		/* latest in which it was pre-prepared */
	struct pbft_digest d;
	struct pbft_batch *batch;	/* NULL for the null digest */
};

#define PBFT_VIEW_UNKNOWN	U64_MAX

struct pbft_slot {
	u64 seq;		/* 0: unused */

	/* in the current view */
	bool pp;		/* PRE-PREPARE accepted: d, batch */
	bool voted;		/* our PREPARE (or, primary, PRE-PREPARE) is out */
	bool prepared;		/* q - 1 PREPAREs match */
	u64 nacked;		/* when we said that we hold it, last */
	struct pbft_digest d;
	struct pbft_batch *batch;
	u64 prep_seen, prep_ok;	/* who voted; who of them for d */
	u64 commit_seen, commit_ok;
	struct pbft_digest *prep, *commit;	/* [n] */
	bool held;		/* a PRE-PREPARE that cannot be accepted yet */
	struct pbft_digest held_d;
	struct pbft_batch *held_batch;

	/* over views */
	bool p_set;
	u64 p_view;
	struct pbft_digest p_d;
	struct pbft_qent q[PBFT_Q_RING];

	u64 active;		/* when we last voted or committed here */

	/* decided */
	bool committed;
	u64 c_view;			/* in which we saw it; PBFT_VIEW_UNKNOWN */
	struct pbft_digest cd;
	struct pbft_batch *cbatch;	/* NULL: null, or body not here yet */
	u64 proof_seen;			/* COMMITTED from these */
	struct pbft_digest *proof;	/* [n] */
	struct pbft_log_head head;	/* after it; valid once delivered */
	bool delivered;

	/* a body we look for */
	bool want;
	struct pbft_digest want_d;
	u64 want_asked;
	u32 want_turn;
	struct pbft_batch *spare;	/* fetched, for a NEW-VIEW in the making */
};

/* ---- checkpoints ------------------------------------------------------ */

struct pbft_ck_claim {
	u64 seq;		/* 0: none */
	bool stable;
	struct pbft_digest d, app, chain;
	u64 time;
};

/* A checkpoint of our own, or the base of a NEW-VIEW we accepted (C). */
struct pbft_ck_own {
	u64 seq;
	struct pbft_digest d;
	bool held;		/* we have the state, not only the word of others */
	bool old;		/* ... or had it, in an earlier life */
	struct pbft_digest app, chain;	/* if held */
	u64 time;
};

/* ---- view changes ------------------------------------------------------ */

/* A VIEW-CHANGE with its authenticator, somewhere inside a buffer. */
struct pbft_vc_body {
	struct pbft_buf *buf;	/* NULL: none */
	const struct pbft_view_change *vc;
	u32 len;
};

/* The latest one that we authenticated from this replica. */
struct pbft_vc_rec {
	struct pbft_vc_body body;
	u64 view;
	struct pbft_digest dv;
};

struct pbft_ack_rec {
	u64 view;
	struct pbft_digest dv;
};

struct pbft_nv_rec {
	struct pbft_buf *buf;	/* holds nv; NULL: none */
	const struct pbft_new_view *nv;
	u32 len;		/* authenticator included, if it came from another */
	u64 view;
	bool bad;		/* provably invalid */
	u64 proven;		/* bodies that are their origin's: see newview.c */
	struct pbft_vc_body vc[PBFT_N_MAX];	/* by origin, matching V's digests */
};

struct pbft_recovery {
	bool active;		/* may not vote yet */
	bool estimated;
	u64 nonce;
	u64 point;		/* H_M */
	u64 min_view;		/* V_M + 2 */
	u64 heard;		/* peers that answered */
	u64 c[PBFT_N_MAX];	/* least checkpoint reported */
	u64 p[PBFT_N_MAX];	/* highest prepared reported */
	u64 v[PBFT_N_MAX];	/* least view reported */
	u64 asked;		/* when last */
};

struct pbft_peer {
	u64 status_at;		/* last STATUS answered */
	u64 status_nonce;
	u64 nv_sent;		/* NEW-VIEW and its VIEW-CHANGEs passed on last */
	u64 fetch_from;		/* start of its current fetch interval */
	u64 fetch_bytes;	/* BATCHes sent to it in that */
	u64 heard;		/* last message from it */
	u64 rejoin_from;	/* start of its current rejoin interval */
	u64 rejoin_asked;	/* it asked us to move on, last */
	u64 rejoin_interval;	/* grows with use; see recover.c */
	u64 rejoin_view;	/* in which it asked last */
	u32 rejoin_views;	/* in how many, this interval */
	u64 ahead_view;		/* pending there, beyond our view ... */
	u64 ahead_since;	/* ... since */
};

#define PBFT_CLIENT_BUCKETS	256

struct pbft_core {
	struct pbft_config cfg;
	struct pbft_wire_id wire;
	u32 n, f, q, self;
	u64 now;
	s64 wall_offset;
	bool stopped;
	const char *reason;
	bool restoring;		/* nothing comes out: it has been said before */
	bool again;		/* what is persisted has been before */
	bool remembers;		/* restoring: nothing promised is missing so far */

	u64 view;
	u32 primary;		/* ... of the view */
	bool pending;
	u64 low;		/* base of the current view */
	u64 h;
	u64 next_seq;		/* primary: next to propose */
	u64 max_seen;		/* highest sequence number pre-prepared or committed */

	u32 ring;		/* slots: 2 L */
	struct pbft_slot *slots;
	struct pbft_digest *votes;	/* backing of prep, commit, proof */
	struct pbft_digest null_d;
	u32 held_count;
	u32 want_count;

	u64 last_committed;	/* contiguous, bodies here */
	bool bound;
	struct pbft_log_head delivered;	/* handed to the application */
	struct pbft_log_head executed;	/* answered by it */
	u64 answered;		/* = executed.seq, unless the window has overtaken that */
	u64 app_progress;	/* when it last answered */
	bool fetching;
	bool fetch_asked;	/* FETCH_STATE is with the application */
	u64 fetch_since, fetch_patience;	/* ... and a newer one may wait so long */
	struct pbft_ck_claim fetch;
	u64 behind_since;	/* a certified checkpoint is ahead of us since; 0 */

	u32 ck_ring;		/* L / K + 1 */
	struct pbft_ck_claim *claims;	/* [ck_ring][n], within (h, h + L] */
	struct pbft_ck_claim *claims_high;	/* [2][n], above: highest, and highest stable */
	struct pbft_ck_own *own;	/* ascending */
	u32 own_count, own_cap;
	struct pbft_ck_claim stable;	/* proof of h, if we know its digest */

	struct pbft_client *clients[PBFT_CLIENT_BUCKETS];
	u32 client_count;
	u32 pending_total;
	u64 client_memory;	/* bytes of requests waiting and replies kept */
	struct list_head waiting;
	struct list_head proposable;

	struct pbft_vc_rec *vc;		/* [n] */
	struct pbft_ack_rec *acks;	/* [origin][acker] */
	struct pbft_nv_rec nv;		/* NEW-VIEW being checked */
	struct pbft_nv_rec nv_in;	/* the one that was entered last */
	u64 nv_done;		/* entries of the current NEW-VIEW taken up to here */
	u64 nv_max;		/* ... and its last */
	u64 vc_timer;		/* start of T(v); 0: not running */
	u64 vc_resend;
	u64 v_progress;		/* last view that ordered for real */
	u32 view_batches;	/* ordered in this view, not null */
	u64 primary_life;	/* last sign of it */
	u64 last_pp;		/* primary: when it proposed last */
	u64 commit_progress;	/* when last_committed or h last moved */
	bool quorum_lost;
	u64 pad_until;

	/* what the batch in the making takes; only within one proposal */
	u32 picked;
	struct pbft_client *pick_client[PBFT_BATCH_MAX];
	struct pbft_pending *pick_req[PBFT_BATCH_MAX];
	struct pbft_digest pick_digest[PBFT_BATCH_MAX];

	u64 status_at;		/* sent last */
	u64 status_nonce;
	bool status_soon;
	struct pbft_peer *peers;	/* [n] */
	struct pbft_recovery rec;

	struct pbft_out *outbox;	/* ring */
	u32 out_cap, out_head, out_len;

	struct pbft_counters cnt;
};

static inline u32 pbft_primary(const struct pbft_core *c, u64 view)
{
	/* nearly always asked of the current one: a division saved */
	return view == c->view ? c->primary : view % c->n;
}

static inline bool pbft_is_primary(const struct pbft_core *c)
{
	return c->primary == c->self;
}

static inline u64 pbft_others(const struct pbft_core *c)
{
	u64 all = c->n == 64 ? ~0ULL : BIT_ULL(c->n) - 1;

	return all & ~BIT_ULL(c->self);
}

static inline u64 pbft_high(const struct pbft_core *c)
{
	return c->h + c->cfg.l;
}

static inline bool pbft_in_window(const struct pbft_core *c, u64 seq)
{
	return seq > c->h && seq <= pbft_high(c);
}

/* Before time t has passed since @since? */
static inline bool pbft_within(const struct pbft_core *c, u64 since, u64 t)
{
	return since && c->now - since < t;
}

/*
 * core.c: the outbox. pbft_emit() gives a place in it, all zero but for the type, to
 * be filled before anything else is emitted; or NULL: it is lost, or not wanted.
 */
struct pbft_out *pbft_emit(struct pbft_core *c, u8 type);
void pbft_send(struct pbft_core *c, u64 to, u8 auth, struct pbft_buf *buf);
void pbft_send_client(struct pbft_core *c, u32 client, struct pbft_buf *buf);
void pbft_event(struct pbft_core *c, u8 code, u64 seq, u32 who);
void pbft_ask(struct pbft_core *c, u8 type, u64 seq);	/* SNAPSHOT, DISCARD */
void pbft_persist(struct pbft_core *c, u8 code, u64 seq, u64 view,
		  const struct pbft_digest *d, struct pbft_batch *batch,
		  struct pbft_buf *buf);
/* A message of ours: header filled, @len bytes, NULL when memory is short. */
struct pbft_buf *pbft_msg(struct pbft_core *c, u8 type, u32 len, u64 view, u64 seq);
void pbft_evidence(struct pbft_core *c, u32 who);
void pbft_violated(struct pbft_core *c, const char *what);

/* timer.c */
u64 pbft_timeout(const struct pbft_core *c, u64 view);	/* T(v) */

/* batch.c */
struct pbft_batch *pbft_batch_parse(struct pbft_core *c,
				    const struct pbft_packet *pkt,
				    const struct pbft_verdict *verdict);
struct pbft_batch *pbft_batch_own(struct pbft_core *c, const struct pbft_packet *pkt);
bool pbft_batch_fill(struct pbft_core *c, struct pbft_batch *b);
void pbft_batch_inherit(struct pbft_batch *b, const struct pbft_batch *from);
bool pbft_batch_sane(const struct pbft_batch *b);
u32 pbft_batch_wire_size(const struct pbft_batch *b);
void pbft_batch_write(void *dst, const struct pbft_wire_id *id, u8 type, u32 sender,
		      u64 view, const struct pbft_batch *b);
struct pbft_buf *pbft_batch_message(struct pbft_core *c, u8 type, u64 view,
				    const struct pbft_batch *b);
u64 pbft_batch_memory(const struct pbft_batch *b);

/* log.c */
struct pbft_slot *pbft_slot(struct pbft_core *c, u64 seq);	/* NULL: not remembered */
struct pbft_slot *pbft_slot_get(struct pbft_core *c, u64 seq);	/* made if in reach */
void pbft_slot_clear(struct pbft_core *c, struct pbft_slot *s);
void pbft_slot_leave_view(struct pbft_core *c, struct pbft_slot *s);
void pbft_slot_drop_pq(struct pbft_slot *s);
bool pbft_slot_agrees(const struct pbft_slot *s, const struct pbft_digest *d);
void pbft_slot_unhold(struct pbft_core *c, struct pbft_slot *s);
void pbft_q_add(struct pbft_slot *s, const struct pbft_digest *d, u64 view,
		struct pbft_batch *batch);
/* The batch with digest @d at this slot, wherever we have it; complete ones only. */
struct pbft_batch *pbft_slot_body(const struct pbft_slot *s,
				  const struct pbft_digest *d);

/* agree.c */
bool pbft_may_vote(const struct pbft_core *c);
void pbft_propose(struct pbft_core *c);
bool pbft_propose_null(struct pbft_core *c);
void pbft_on_pre_prepare(struct pbft_core *c, const struct pbft_packet *pkt,
			 const struct pbft_verdict *verdict);
void pbft_on_prepare(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_commit(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_accept(struct pbft_core *c, struct pbft_slot *s,
		 const struct pbft_digest *d, struct pbft_batch *batch,
		 struct pbft_buf *pre_prepare);
/* Is every request of @b its client's, as far as we, or one correct replica, can tell? */
bool pbft_authentic(struct pbft_core *c, const struct pbft_slot *s,
		    const struct pbft_batch *b);
void pbft_try_held(struct pbft_core *c, struct pbft_slot *s);
void pbft_try_all_held(struct pbft_core *c);
void pbft_commit_slot(struct pbft_core *c, struct pbft_slot *s,
		      const struct pbft_digest *d, u64 view);
void pbft_fill_committed(struct pbft_core *c, struct pbft_slot *s);
void pbft_advance_committed(struct pbft_core *c);
void pbft_committed_from(struct pbft_core *c, u64 seq);

/* client.c */
struct pbft_client *pbft_client_find(const struct pbft_core *c, u32 id);
void pbft_on_request(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_request_add(struct pbft_core *c, struct pbft_buf *buf,
		      const struct pbft_request *msg, u32 msg_len, bool relayed);
void pbft_on_hello(struct pbft_core *c, const struct pbft_packet *pkt);
struct pbft_pending *pbft_pending_find(struct pbft_client *cl, u64 session, u64 t);
void pbft_client_executed(struct pbft_core *c, const struct pbft_batch_item *it,
			  const struct pbft_digest *d, u64 seq,
			  const struct pbft_result *res);
void pbft_client_wait(struct pbft_core *c, struct pbft_client *cl);
void pbft_clients_expired(struct pbft_core *c, u64 timeout);
void pbft_clients_new_view(struct pbft_core *c);
void pbft_clients_forget(struct pbft_core *c);
void pbft_clients_remind(struct pbft_core *c);
void pbft_clients_rescan(struct pbft_core *c, bool all);
void pbft_clients_proposed(struct pbft_core *c, const struct pbft_batch *b, u64 seq);
void pbft_client_proposable(struct pbft_core *c, struct pbft_client *cl);
u32 pbft_reply_wanted(const struct pbft_core *c, u8 replier, u32 len);

/* guard.c */
void pbft_on_nack(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_endorse(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_guard_hold(struct pbft_core *c, struct pbft_slot *s);
void pbft_guard_request(struct pbft_core *c, struct pbft_client *cl,
			struct pbft_pending *p, bool pass_on);
bool pbft_guard_counts(struct pbft_core *c, struct pbft_client *cl,
		       const struct pbft_pending *p);
void pbft_guard_answered(struct pbft_core *c, const struct pbft_request *msg);
void pbft_guard_executed(struct pbft_core *c, struct pbft_client *cl);
void pbft_guard_expired(struct pbft_core *c, struct pbft_client *cl);
bool pbft_guard_endorsed(struct pbft_core *c, const struct pbft_batch_item *it,
			 const struct pbft_digest *d);

/* execute.c */
void pbft_deliver(struct pbft_core *c);
void pbft_want_state(struct pbft_core *c, const struct pbft_ck_claim *target);

/* checkpoint.c */
void pbft_on_checkpoint(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_own_checkpoint(struct pbft_core *c, u64 seq,
			 const struct pbft_digest *app,
			 const struct pbft_log_head *head);
void pbft_add_base(struct pbft_core *c, u64 seq, const struct pbft_digest *d);
void pbft_raise_h(struct pbft_core *c, u64 seq, const struct pbft_ck_claim *proof);
bool pbft_claim_certified(const struct pbft_core *c, u64 seq,
			  const struct pbft_digest *d, struct pbft_ck_claim *out,
			  u64 *who);
void pbft_check_behind(struct pbft_core *c);
struct pbft_buf *pbft_checkpoint_message(struct pbft_core *c,
					 const struct pbft_ck_own *own);
struct pbft_ck_own *pbft_own_find(struct pbft_core *c, u64 seq);
void pbft_own_restore(struct pbft_core *c, const struct pbft_ck_claim *claim);
void pbft_persist_checkpoints(struct pbft_core *c);

/* viewchange.c */
void pbft_start_vc(struct pbft_core *c, u64 view);
void pbft_on_view_change(struct pbft_core *c, const struct pbft_vc_body *body,
			 bool authentic, u32 from);
void pbft_vc_body_set(struct pbft_vc_body *at, const struct pbft_vc_body *body);
void pbft_leave_view(struct pbft_core *c, u64 view);
void pbft_vc_timer(struct pbft_core *c);
unsigned int pbft_ack_count(const struct pbft_core *c, u32 origin, u64 view,
			    const struct pbft_digest *dv);
void pbft_on_vc_ack(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_send_ack(struct pbft_core *c, u32 origin, u64 to);
bool pbft_vc_certified(const struct pbft_core *c, u32 origin);
unsigned int pbft_vc_count(const struct pbft_core *c, u64 view);
void pbft_join(struct pbft_core *c);

/* newview.c */
void pbft_try_new_view(struct pbft_core *c);
void pbft_on_new_view(struct pbft_core *c, struct pbft_buf *buf,
		      const struct pbft_new_view *m, u32 len);
void pbft_offer_vc(struct pbft_core *c, const struct pbft_vc_body *body,
		   const struct pbft_digest *dv);
void pbft_check_new_view(struct pbft_core *c);
void pbft_take_entries(struct pbft_core *c);
int pbft_new_view_restore(struct pbft_core *c, struct pbft_buf *buf);
u64 pbft_new_view_need(const struct pbft_core *c);
void pbft_nv_release(struct pbft_nv_rec *nv);

/* status.c */
void pbft_send_status(struct pbft_core *c);
void pbft_on_status(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_committed(struct pbft_core *c, const struct pbft_packet *pkt);

/* fetch.c */
bool pbft_answer_budget(struct pbft_core *c, u32 from, u32 bytes);
void pbft_want(struct pbft_core *c, struct pbft_slot *s, const struct pbft_digest *d,
	       bool at_once);
void pbft_unwant(struct pbft_core *c, struct pbft_slot *s);
void pbft_on_fetch(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_batch(struct pbft_core *c, const struct pbft_packet *pkt,
		   const struct pbft_verdict *verdict);
void pbft_fetch_tick(struct pbft_core *c);

/* recover.c */
void pbft_recover_start(struct pbft_core *c);
void pbft_recover_tick(struct pbft_core *c);
void pbft_recover_check(struct pbft_core *c);
void pbft_on_query_stable(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_reply_stable(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_on_rejoin(struct pbft_core *c, const struct pbft_packet *pkt);
void pbft_help_ahead(struct pbft_core *c, u32 from, u64 view, bool pending);
bool pbft_may_promise(const struct pbft_core *c, u64 view);

#endif /* PBFT_CORE_INTERNAL_H */
