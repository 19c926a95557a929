/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The simulated world: replicas of the real core on a virtual network and
 * clock, a small service behind each, clients, and a ghost that remembers what
 * correct replicas did and judges it. One seed decides everything.
 *
 * Endpoints are numbered as on the wire: replicas 0..n-1, clients from
 * PBFT_CLIENT_ID_MIN.
 */
#ifndef SIM_H
#define SIM_H

#include "core.h"
#include "frag.h"
#include "gate.h"
#include "journal.h"
#include "session.h"
#include "prng.h"

#define MS 1000000ull
#define SEC (1000 * MS)

#define SIM_CLIENTS_MAX	8
#define SIM_ENDS_MAX	(PBFT_N_MAX + SIM_CLIENTS_MAX)
#define SIM_EPOCH	(1700000000ull * SEC)	/* wall clock at virtual time 0 */

struct sim;

/* ---- alloc.c --------------------------------------------------------- */

struct sim_alloc {
	u32 owner;		/* whose core runs: replica + 1, or 0 */
	u32 fail_ppm;
	u64 failed;
	struct prng rng;
	u64 live[PBFT_N_MAX + 1], high[PBFT_N_MAX + 1];
};

extern struct sim_alloc sim_alloc;

/* ---- hash.c ---------------------------------------------------------- */

u64 sim_hash64(const void *data, u32 len);

/* ---- event.c: what happens when --------------------------------------- */

enum sim_event_type {
	SIM_EV_PACKET,		/* buf arrives at @end from @from */
	SIM_EV_TIMER,		/* replica's core */
	SIM_EV_APP,		/* replica's daemon goes on */
	SIM_EV_STATE_REQ,	/* daemon @from asks daemon @end for state @arg */
	SIM_EV_STATE_RESP,	/* ... and is answered: @ptr */
	SIM_EV_STATE_RETRY,
	SIM_EV_DISK,		/* a sync is through */
	SIM_EV_CLIENT,		/* client's timer */
	SIM_EV_CHAOS,		/* a fault begins */
	SIM_EV_CORRUPT,		/* a daemon's state changes by itself */
	SIM_EV_REPAIR,		/* fault @arg of @end ends */
	SIM_EV_BYZ,		/* a faulty replica or client acts unprovoked */
	SIM_EV_PHASE,		/* the run's own clock */
};

struct sim_event {
	u64 at;
	u32 end, from;
	u32 gen;
	u8 type;
	u64 arg;
	union {
		struct pbft_buf *buf;
		void *ptr;
	};
};

struct sim_heap_item {
	u64 at;
	union {
		struct {
			u64 index : 24, order : 40;
		};
		u64 rank;	/* by order; no two have the same */
	};
};

struct sim_events {
	struct sim_event *pool;
	u32 *free_list;
	u32 free_count, pool_size;
	struct sim_heap_item *heap;
	u32 count, cap;
	u64 order;
	u32 high;
};

void sim_events_init(struct sim_events *e);
void sim_events_free(struct sim_events *e);
/* The caller fills the event in; valid until the next call. */
struct sim_event *sim_event_add(struct sim *sim, u64 at, u8 type, u32 end);
bool sim_event_next(struct sim *sim, struct sim_event *out);
void sim_event_release(struct sim_event *ev);

/* ---- plan.c: what the seed decides ------------------------------------ */

enum sim_fault {
	SIM_F_PARTITION, SIM_F_ISOLATE, SIM_F_ONE_WAY, SIM_F_STAR,
	SIM_F_LOSSY, SIM_F_SLOW_LINK, SIM_F_LARGE_LOSS,
	SIM_F_CRASH, SIM_F_WIPE, SIM_F_PAUSE, SIM_F_CLOCK,
	SIM_F_DAEMON_DIES, SIM_F_DAEMON_SLOW, SIM_F_NOMEM, SIM_F_CLIENT_REBOOT,
	SIM_F_DRAWN,		/* those above come by the clock, those below at moments */
	SIM_F_AT_PREPARED = SIM_F_DRAWN, SIM_F_AT_COMMITTED, SIM_F_AT_STABLE,
	SIM_F_AT_NEW_VIEW,
	SIM_F_BLACKOUT, SIM_F_ROT,	/* by the clock, to replicas with journals */
	SIM_F_MAX
};

#define SIM_F_DISK	((1u << SIM_F_BLACKOUT) | (1u << SIM_F_ROT))
#define SIM_F_ALL	((1u << SIM_F_MAX) - 1)
#define SIM_F_MEMORY	((1u << SIM_F_CRASH) | (1u << SIM_F_WIPE))

struct sim_options {		/* from the command line */
	u32 n;			/* 0: by seed */
	u32 faults;		/* kinds allowed */
	bool byzantine;
	bool byz_clients;
	bool short_run;
	u64 without;		/* features left out: feature.c */
	u64 until;		/* ms after which all heals; 0: by seed */
	u32 ops, clients;	/* at most; 0: by seed */
};

struct sim_plan {
	struct pbft_config cfg;
	u64 byz;		/* replicas that lie; never more than f */
	u32 no_traits;		/* ways of lying that are switched off */
	u32 clients, byz_clients;
	u32 window;		/* operations a client keeps outstanding */
	u32 ops;		/* per client, at most */
	u64 think;		/* ns between operations, on average */
	u32 big_ppm;		/* operations above the inline limit */
	u32 keys;
	u32 mtu;		/* 0: datagrams of any size */
	u64 delay_min, delay_max;
	u32 loss, dup, reorder, replay, corrupt, large_loss;	/* ppm */
	u32 large;		/* bytes from which a message is large */
	u64 app_delay;
	u32 journal;		/* bytes of each replica's; 0: none has one */
	u64 sync_delay;		/* ns a sync takes at most */
	u32 durable_ppm;	/* executions after which the daemon's database is synced */
	u32 faults;		/* kinds that occur */
	u64 corrupt_every;	/* ns between corruptions of a daemon's state; 0: none */
	u64 chaos, chaos_every;	/* ns */
	u64 settle;		/* ns after which, healed, all must be done */
};

void sim_plan(struct sim_plan *plan, u64 seed, const struct sim_options *opt);
void sim_plan_print(const struct sim_plan *plan, u64 seed);

/* feature.c: what can be left out, by name */
u32 feature_count(void);
const char *feature_name(u32 i);
const char *feature_parse(const char *list, u64 *set);
void feature_print(u64 set);
void feature_apply(struct sim_plan *p, const struct sim_options *opt);

/* ---- app.c: the service behind a replica ------------------------------ */

#define KV_KEYS		24	/* the last KV_WILD of them are for faulty clients */
#define KV_WILD		4

enum kv_kind { KV_GET, KV_PUT, KV_CAS, KV_KINDS };

struct kv_op {			/* filler follows */
	u8 kind, key;
	__le16 want;		/* bytes of result asked for */
	__le32 reserved;
	__le64 a, b;
} __packed __aligned(8);

struct kv_result {		/* filler follows, up to want */
	__le64 value;		/* before the operation */
	__le64 done;		/* CAS: 1 = replaced */
} __packed __aligned(8);

struct kv_answer {		/* a result, kept small: the rest is filler */
	u64 value;
	u8 status, done;
	u16 len;
	u32 reserved;
};

struct kv_client {
	struct pbft_session s;
	struct kv_answer answers[PBFT_CLIENT_WINDOW];
	bool hashed;		/* not part of the digest: is that below up to date? */
	struct pbft_digest digest;
};

struct kv_state {
	struct pbft_log_head head;	/* not part of the digest: the core adds it */
	bool corrupt;		/* nor is this: it is what nobody knows */
	u64 values[KV_KEYS];
	struct kv_client clients[SIM_CLIENTS_MAX];
};

struct app_item {
	u8 type;		/* enum pbft_out_type */
	struct pbft_log_head head;
	struct pbft_digest digest;
	u64 to;
	struct pbft_batch *batch;
};

#define APP_QUEUE	512
#define APP_SNAPSHOTS	64

struct sim_app {
	bool bound;
	u32 gen;		/* of events on the way */
	u64 slow_until;
	struct kv_state state, durable;
	struct kv_state *snapshots[APP_SNAPSHOTS];	/* by seq */
	u32 snapshot_count;
	struct app_item queue[APP_QUEUE];
	u32 q_head, q_tail;
	bool working;		/* an SIM_EV_APP is on its way */
	bool fetching;		/* queue's head is a FETCH_STATE under way */
	struct app_item fetch;
	u32 fetch_try;
	u64 last_apply;		/* seq handed out since the bind */
};

struct sim_node;

void app_reset(struct sim_node *node, bool wipe);
void app_corrupt(struct sim_node *node);
void app_forget_copies(struct sim_node *node);
void app_bind(struct sim_node *node);
void app_unbind(struct sim_node *node, bool lose_tail);
void app_take(struct sim_node *node, struct pbft_out *out);
void app_work(struct sim_node *node);
void app_state_req(struct sim_node *node, u32 from, u64 seq);
void app_state_resp(struct sim_node *node, struct kv_state *state);
void app_state_retry(struct sim_node *node, u64 seq);
void app_digest(struct kv_state *state, struct pbft_digest *out);
void kv_result_bytes(const struct kv_answer *a, u8 *out);
void app_free(struct sim_node *node);

/* ---- disk.c: the journal --------------------------------------------- */

#define SIM_DISK_MAX	(6u << 20)

struct sim_disk {
	bool on;
	u8 *media, *cache, *dirty;	/* dirty: of each sector */
	u32 dirty_from, dirty_to;	/* none but between these */
	u32 size;
	struct pbft_journal journal;
	struct pbft_gate gate;
	bool early;		/* a superblock was written before its frames were durable */
	bool busy;		/* a sync is under way ... */
	u64 upto;		/* ... for what was taken up to here */
	u64 compacted;		/* what was said again ends here */
	u64 synced;		/* the journal, when the power failed */
	u64 top;		/* nothing was ever written from here on */
	u64 group;		/* where the frames begin that were synced last */
};

void disk_init(struct sim_node *node);
void disk_free(struct sim_node *node);
void disk_wipe(struct sim_node *node);
void disk_rot(struct sim_node *node);
void disk_kick(struct sim_node *node);
void disk_synced(struct sim_node *node);
void disk_born(struct sim_node *node);
bool disk_start(struct sim_node *node, struct pbft_config *cfg);
void disk_stop(struct sim_node *node);

/* ---- replica.c: the shell around one core ----------------------------- */

struct sim_node {
	struct sim *sim;
	u32 id;
	bool byz, up, wiped;
	u32 life;		/* how often created */
	struct pbft_core *core;
	u64 mono;		/* local clock minus virtual time */
	s64 wall_skew;
	u64 paused_until;
	u64 nomem_until;
	u64 timer_at;
	u64 storm_at;
	u32 storm;		/* ticks at this very time */
	struct pbft_reasm *reasm;	/* by sender */
	struct sim_app app;
	struct sim_disk disk;
	u32 memory;		/* how often it began without */
	u64 silent;		/* byz: replicas it ignores just now */
};

void replica_start(struct sim_node *node, bool genesis);
void replica_stop(struct sim_node *node);
/* Both take the reference. */
void replica_receive(struct sim_node *node, u32 from, struct pbft_buf *buf);
void replica_send(struct sim_node *node, u32 to, struct pbft_buf *sealed);
void replica_timer(struct sim_node *node);
/* Around every call into the core; replica_leave() does what comes out. */
u64 replica_enter(struct sim_node *node);
void replica_leave(struct sim_node *node);
/* Do what the journal allows by now. */
void replica_pass(struct sim_node *node);
void replica_make(struct sim_node *node, const struct pbft_config *cfg);
u64 replica_now(const struct sim_node *node);

/* ---- auth.c: who can make which MAC ----------------------------------- */

/* Never NULL; the length is the capacity. */
struct pbft_buf *sim_buf(u32 len);
/* Authentication appended for @to (the wire's way for the type); len grows. */
struct pbft_buf *auth_seal(struct sim *sim, const void *msg, u32 from, u32 to);
bool auth_check(struct sim *sim, const void *msg, u32 len, u32 to);

/* ---- net.c ------------------------------------------------------------- */

#define SIM_ARCHIVE 256

struct sim_old {
	struct pbft_buf *buf;
	u32 from, to;
};

struct sim_net {
	u64 cut[SIM_ENDS_MAX];		/* replicas that what this one sends cannot reach */
	u64 lossy[SIM_ENDS_MAX], slow[SIM_ENDS_MAX];
	u32 loss, dup, reorder, replay, corrupt, large_loss;
	u64 delay_min, delay_max;
	struct sim_old archive[SIM_ARCHIVE];
	u64 sent, delivered, lost;
};

/* Takes the reference. */
void net_send(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf);
bool net_pass(struct sim *sim, u32 from, u32 to, u32 len, u64 *delay);
void net_heal(struct sim *sim);
void net_free(struct sim *sim);
u32 net_index(u32 end);

/* ---- client.c ---------------------------------------------------------- */

struct sim_op {			/* history: one operation of a correct client */
	u32 client;
	u8 kind, key;
	u64 session, t, a, b;
	u64 invoke, done;	/* virtual time; done 0: never answered */
	u64 value;		/* result */
	u8 status, cas_done;
	u16 want;
	u32 len;		/* of the operation */
	struct pbft_digest digest;
	/* as executed, by the ghost */
	u64 exec_seq;
	u32 exec_index;
	struct kv_answer exec;
};

struct client_vote {
	bool have;
	u8 status;
	u64 view;
	struct pbft_digest digest;
};

struct client_slot {
	bool busy;
	u64 t;
	u32 op;			/* in sim->ops */
	u64 resend_at, resend_after;
	u64 full_mask;		/* who sent the whole result ... */
	struct pbft_digest full_digest;	/* ... with this digest, the last of them */
	struct kv_answer full;
	struct client_vote votes[PBFT_N_MAX];
};

struct sim_client {
	struct sim *sim;
	u32 id;
	bool byz;
	u64 session, next_t;
	u32 session_op;		/* first operation of the session */
	u32 quota;		/* operations to issue, all in all */
	u32 issued, completed, abandoned;
	u64 view;
	u64 next_issue;
	u64 timer_at;
	u32 outstanding;
	struct client_slot slots[PBFT_CLIENT_WINDOW];
	u32 *ops;		/* every operation, in order of (session, t) */
	u32 op_count;
};

void client_init(struct sim_client *c, u32 id, bool byz);
void client_timer(struct sim_client *c);
void client_receive(struct sim_client *c, struct pbft_buf *buf);
void client_reboot(struct sim_client *c);
bool client_done(const struct sim_client *c);
void client_byz_act(struct sim_client *c);
/* The REQUEST with its authenticator. @bad: replicas whose entry is wrong */
struct pbft_buf *client_request(struct sim *sim, u32 client, u64 session, u64 t,
				const void *op, u32 len, u8 replier, u64 bad);
struct sim_op *client_op(struct sim *sim, u32 client, u64 session, u64 t);

/* ---- byz.c: the lying mouth ------------------------------------------- */

struct byz_variant {		/* a PRE-PREPARE with two faces, known to all liars */
	u64 view, seq;
	struct pbft_digest d, d2;
	u64 group;		/* who is shown d2 */
};

#define BYZ_VARIANTS	64
#define BYZ_DIGESTS	64

struct sim_byz {
	u32 traits;
	u32 rate;		/* ppm of messages meddled with at random */
	struct byz_variant variants[BYZ_VARIANTS];
	struct pbft_digest digests[BYZ_DIGESTS];	/* seen in this run ... */
	u64 digest_seqs[BYZ_DIGESTS];			/* ... at these numbers */
	u32 digest_count;
};

void byz_init(struct sim *sim);
void byz_send(struct sim_node *node, struct pbft_out *out);
void byz_act(struct sim_node *node);

/* ---- ghost.c, check.c --------------------------------------------------- */

struct ghost;
struct ghost_view;

struct ghost *ghost_new(struct sim *sim);
void ghost_free(struct ghost *g);
/* A correct replica's outbox entry, in order, before it is acted on. */
void ghost_out(struct sim_node *node, const struct pbft_out *out);
/* What any replica sends, as it really leaves it (liars included). */
void ghost_sent(struct sim *sim, u32 from, u32 to, const void *msg, u32 len);
/* A message goes into a correct replica's core. */
void ghost_hears(struct sim_node *node, const struct pbft_head *head);
/* After every event on a correct replica. */
void ghost_check(struct sim_node *node);
void ghost_born(struct sim_node *node, bool remembers);
/* A record is on disk which nobody had waited for. */
void ghost_survived(struct sim_node *node, const struct pbft_record *rec);
void ghost_bound(struct sim_node *node, const struct pbft_log_head *head);
void ghost_executed(struct sim_node *node, const struct pbft_log_head *head,
		    u32 count, const struct kv_answer *answers);
/* The daemon's state at @seq and before is not what it should be. */
void ghost_corrupted(struct sim_node *node, u64 seq);
/* Is this what correct replicas have there, as far as that is known? */
bool ghost_same_state(struct sim *sim, const struct pbft_log_head *head,
		      const struct pbft_digest *app);
void ghost_request(struct sim_node *node, u64 seq, u32 index,
		   const struct pbft_batch_req *req, const struct kv_answer *a,
		   bool executed);
void ghost_installed(struct sim_node *node, const struct pbft_log_head *head,
		     const struct pbft_digest *app);
u64 ghost_committed(const struct sim *sim);	/* highest sequence number */

/* ---- linear.c ------------------------------------------------------------ */

void linear_check(struct sim *sim);

/* ---- trace.c -------------------------------------------------------------- */

void trace_line(struct sim *sim, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
#define trace(sim, ...) \
	do { if ((sim)->tracing) trace_line(sim, __VA_ARGS__); } while (0)
void trace_message(const void *msg, char *out, size_t size);
void trace_ring_each(struct sim *sim, u32 lines, void (*fn)(const char *line));
const char *trace_end(u32 end);

/* ---- run.c ----------------------------------------------------------------- */

enum sim_phase { SIM_CHAOS, SIM_SETTLE, SIM_CONVERGE, SIM_QUIET, SIM_DONE };

/* ---- tables.c: what is bounded, and how far it is used ------------------ */

enum sim_table {
	SIM_T_MEMORY, SIM_T_BATCHES, SIM_T_OUTBOX, SIM_T_PENDING, SIM_T_HELD,
	SIM_T_WANTED, SIM_T_SLOTS, SIM_T_Q, SIM_T_CLAIMS, SIM_T_OWN, SIM_T_CLIENTS,
	SIM_T_REPLIES, SIM_T_GUARDED, SIM_TABLES
};

struct sim_full {
	u64 high, bound;
};

const char *table_name(enum sim_table t);
/* Before a correct replica's outbox is emptied. */
void tables_look(struct sim_node *node);
void tables_audit(struct sim_node *node);

struct sim_stats {
	struct sim_full full[SIM_TABLES];
	u64 events, batches, ops, virtual_ns, view, view_changes, crashes;
	u64 memory;		/* most bytes one core held */
	u64 memory_bound;
	u64 state_transfers, recovered, nulls, resumed, compactions;
};

struct sim {
	u64 seed;
	struct sim_plan plan;
	struct pbft_wire_id id;
	u64 now;
	struct sim_events events;
	struct prng rng_net, rng_app, rng_client, rng_chaos, rng_byz, rng_aim, rng_disk,
		rng_corrupt;
	struct sim_node *nodes;
	struct sim_client *clients;
	u32 client_count;
	struct sim_net net;
	struct sim_byz byz;
	struct ghost *ghost;
	struct sim_op *ops;
	u32 op_count, op_cap;
	enum sim_phase phase;
	u64 phase_end;
	u64 quiet_view, quiet_since;	/* CONVERGE: the number all must reach */
	u64 forgetful;		/* replicas down, or up and not safe to vote yet */
	u64 corrupt;		/* replicas whose daemon's state is not what it should be */
	u64 crashed_ever;
	bool healed;
	u64 hash;		/* of everything that happened */
	struct sim_stats stats;
	bool tracing;
	bool trace_now;		/* print as it goes */
	char (*ring)[256];
	u32 ring_pos;
	char violation[512];
	/* the scenario runner takes packets out of the network's hands */
	bool (*intercept)(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf);
	void (*on_line)(struct sim *sim, const char *line);
};

void sim_init(struct sim *sim, u64 seed, const struct sim_plan *plan);
void sim_free(struct sim *sim);
void sim_run(struct sim *sim);
void sim_dispatch(struct sim *sim, struct sim_event *ev);
/* Keeps the first. */
void sim_violation(struct sim *sim, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
static inline bool sim_failed(const struct sim *sim)
{
	return sim->violation[0];
}

/* chaos.c */
void chaos_begin(struct sim *sim);
void chaos_act(struct sim *sim);
void chaos_corrupt(struct sim *sim);
void chaos_repair(struct sim *sim, u32 end, u32 fault);
void chaos_heal(struct sim *sim);

/* aim.c: in the order of SIM_F_AT_* */
enum sim_moment { SIM_AT_PREPARED, SIM_AT_COMMITTED, SIM_AT_STABLE, SIM_AT_NEW_VIEW };

void aim_at(struct sim_node *node, enum sim_moment what);

static inline struct sim_node *sim_correct(struct sim *sim, u32 i)
{
	return sim->plan.byz >> i & 1 ? NULL : &sim->nodes[i];
}

#endif /* SIM_H */
