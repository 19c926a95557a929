/* SPDX-License-Identifier: GPL-2.0 */
/*
 * An instance: one replica of one cluster in one network namespace.
 *
 * Locks, outermost first:
 *	pbft_net.mutex	administration: who exists, configuration, up and down
 *	deliver_mutex	messages to the daemon, and who the daemon is
 *	key_mutex	key slots of the peers
 *	lock		the core and everything said to belong to it; BH
 *	pbft_peer.lock	a peer's address and fragments; BH
 * The data path takes the last two only and finds everything else by RCU.
 */
#ifndef PBFT_INSTANCE_H
#define PBFT_INSTANCE_H

#include <linux/hrtimer.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/skbuff.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <linux/pbft.h>
#include "core/core.h"
#include "core/frag.h"
#include "counters.h"
#include "peer.h"

struct file;
struct pbft_disk;
struct pbft_task;
struct pbft_event_rec;

struct pbft_net {
	struct mutex mutex;
	struct xarray instances;	/* by id; read under RCU too */
	u32 next_id;
	u32 generation;		/* rises when what a dump shows is another set */
};

extern unsigned int pbft_net_id;
extern struct workqueue_struct *pbft_wq;

static inline struct pbft_net *pbft_pernet(const struct net *net)
{
	return net_generic(net, pbft_net_id);
}

struct pbft_conf {
	struct pbft_config core;
	struct pbft_identity self;
	union pbft_addr listen;
	u32 mtu;		/* bytes of UDP payload */
	u32 service;		/* enum pbft_service */
	u32 null_reply;		/* bytes */
	u64 recovery;		/* ns in which each replica recovers once; 0: never */
	u8 key_id;		/* generation at the time of configuration */
};

/* How much of the state after batch @seq the daemon says it has. */
struct pbft_fetch_progress {
	u64 seq, done, total;	/* bytes */
};

/* What the daemon says of its last recovery. */
struct pbft_recovery {
	u32 state;		/* enum pbft_recovery_state */
	bool scheduled;
	u64 seq;		/* the checkpoint it has come to */
	u32 total, checked, damaged, repaired;	/* pages */
	u64 ended;		/* ns since the epoch */
};

/* The daemon's side: who is bound and what it has still to hear. */
struct pbft_daemon {
	/* Under inst->lock. */
	u32 portid;		/* 0: nobody bound */
	struct sock *sk;	/* its socket, a reference */
	u32 generation;		/* of the binding: tasks of an older one are void */
	struct pbft_task *task;	/* ring, places a power of two */
	u32 mask, head, tail;	/* free-running */
	u32 unanswered;		/* APPLYs sent, results not here yet */
	u64 sent;		/* the last of them */
	u32 room;		/* bytes its socket takes */
	struct pbft_fetch_progress progress;	/* total 0: not told */
	bool revalidate;	/* to be told that it should recover */
	struct pbft_recovery recovery;
	struct sk_buff_head peer_recv;	/* has a lock of its own, a leaf */
	struct delayed_work work;
};

struct pbft_instance {
	/* Constant in the instance's life. */
	struct net *net;
	char name[PBFT_NAME_MAX + 1];
	u32 id;
	struct pbft_stats __percpu *stats;

	/* Under pbft_net.mutex. While up, only nodes and key_id change. */
	struct pbft_conf conf;
	struct pbft_wire_id wire;
	struct pbft_nodes __rcu *nodes;
	bool up;
	u8 key_id;		/* generation of our own keys; read anywhere */

	struct mutex key_mutex;
	struct delayed_work key_work;

	/* Exist while up. */
	struct socket __rcu *sock;
	void * __percpu *scratch;	/* a datagram each */
	u32 scratch_size;

	spinlock_t lock;
	struct pbft_core *core;	/* NULL: down */
	bool stopped;		/* by itself; core says why */
	u64 armed;		/* when timer fires, 0: not */
	struct hrtimer timer;
	struct pbft_disk *disk;	/* its journal, NULL: none */
	struct pbft_result *null_results;	/* the null service's */
	void *null_reply;

	spinlock_t queue_lock;	/* a leaf */
	struct list_head queue;
	struct work_struct queue_work;

	struct mutex deliver_mutex;
	struct pbft_daemon daemon;

	spinlock_t event_lock;	/* a leaf */
	struct pbft_event_rec *event;	/* ring */
	u32 event_head, event_tail;
	struct work_struct event_work;
};

/* ---- lifetime (instance.c); all under pbft_net.mutex, may sleep ----------- */

/* Takes over @nodes on success. ERR_PTR. */
struct pbft_instance *pbft_instance_new(struct net *net, const char *name,
					const struct pbft_conf *conf,
					struct pbft_nodes *nodes);
/* Down as in a crash, out of every table, gone. */
void pbft_instance_delete(struct pbft_instance *inst);
struct pbft_instance *pbft_instance_find(struct net *net, const char *name);
/* Publish @nodes; return the table before, which no reader sees any more. */
struct pbft_nodes *pbft_instance_swap_nodes(struct pbft_instance *inst,
					    struct pbft_nodes *nodes);
/*
 * While up: let the core know which clients @nodes has that were not there, and
 * which are gone. Return 0, or -errno and nothing has changed.
 */
int pbft_instance_change_clients(struct pbft_instance *inst,
				 struct pbft_nodes *nodes);
static inline struct pbft_nodes *pbft_instance_nodes(struct pbft_instance *inst)
{
	return rcu_dereference_protected(inst->nodes,
					 lockdep_is_held(&pbft_pernet(inst->net)->mutex));
}

struct pbft_up {
	bool genesis;
	u32 mode;		/* enum pbft_journal_mode */
	struct file *journal;	/* NULL: none; the caller's reference */
};

/*
 * Start taking part; from where the journal says, if there is one and it says
 * anything. Return 0, or -errno with a sentence in *@why.
 */
int pbft_instance_up(struct pbft_instance *inst, const struct pbft_up *up,
		     const char **why);
/* In good order: a journal is complete afterwards. */
void pbft_instance_down(struct pbft_instance *inst);

/* ---- calls into the core (step.c) ------------------------------------------ */

/**
 * pbft_enter() - take the instance's lock, for calls into its core
 * @now: set to the time to call it with
 *
 * Return: the core, or NULL when the instance is down; pbft_leave() must
 * follow in both cases. Bottom halves are off in between and until the end
 * of pbft_leave(), which carries out what the core asked for.
 */
struct pbft_core *pbft_enter(struct pbft_instance *inst, u64 *now);
void pbft_leave(struct pbft_instance *inst);

/* One of these is called by step.c for each thing to do, under inst->lock. */
void pbft_task_add(struct pbft_instance *inst, struct pbft_core *core,
		   struct pbft_out *out);
void pbft_null_do(struct pbft_instance *inst, struct pbft_core *core, u64 now,
		  const struct pbft_out *out);

/* ---- the timer (timer.c) ----------------------------------------------------- */

void pbft_timer_init(struct pbft_instance *inst);
/* Under inst->lock: fire when the core next wants it. */
void pbft_timer_update(struct pbft_instance *inst, u64 now);
/* The instance is down: wait until it does not run. */
void pbft_timer_stop(struct pbft_instance *inst);

/* ---- the null service (null.c) ---------------------------------------------- */

int pbft_null_init(struct pbft_instance *inst);
void pbft_null_exit(struct pbft_instance *inst);

/* ---- generations of keys (rekey.c) ------------------------------------------ */

void pbft_rekey_init(struct pbft_instance *inst);
void pbft_rekey_stop(struct pbft_instance *inst);
/* A message under generation @id of @peer's keys was authentic. RCU. */
void pbft_key_proved(struct pbft_instance *inst, struct pbft_peer *peer, u8 id);
/*
 * May a message under an unknown generation be tried in process context? No
 * more often than a few times a second for each peer. RCU.
 */
bool pbft_key_worth_learning(struct pbft_peer *peer, u8 id);
/* Does @msg prove generation @id of @peer? Then it is known from now on. */
bool pbft_key_learn(struct pbft_instance *inst, struct pbft_peer *peer, u8 id,
		    const void *msg, u32 len, const u8 *mac);
/* Send under generation @id. Return 0 or -errno; *@peer_id: who has no key. */
int pbft_rekey(struct pbft_instance *inst, u8 id, u32 *peer_id);

/* ---- counting ------------------------------------------------------------------ */

static inline void pbft_count(struct pbft_instance *inst, enum pbft_stat stat)
{
	this_cpu_inc(inst->stats->stat[stat]);
}

static inline void pbft_count_add(struct pbft_instance *inst,
				  enum pbft_stat stat, unsigned long n)
{
	this_cpu_add(inst->stats->stat[stat], n);
}

/* @peer may be NULL: the sender is nobody we know. */
void pbft_drop(struct pbft_instance *inst, struct pbft_peer *peer, u32 sender,
	       u8 type, enum pbft_drop reason);

#endif /* PBFT_INSTANCE_H */
