/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The generic netlink family "pbft" from userspace: see uapi/linux/pbft.h.
 *
 * Three kinds of socket, never mixed: pbft_nl_open() for administration and
 * for a daemon that binds, pbft_nl_events_open() for events. Every function
 * returns 0 or -errno; pbft_nl_error() then has a sentence, in the kernel's
 * own words (extack) where it gave any. Nothing here is thread safe per socket.
 */
#ifndef PBFT_NL_H
#define PBFT_NL_H

#include "cluster.h"
#include "linux/pbft.h"

struct pbft_nl;

/* Return 0, or -errno with a sentence in @err; -ENOENT: no pbft module here. */
int pbft_nl_open(struct pbft_nl **nl, char *err, size_t errlen);
void pbft_nl_close(struct pbft_nl *nl);	/* ends a binding; NULL is allowed */
int pbft_nl_fd(const struct pbft_nl *nl);
/* What went wrong in the last call that failed on @nl. */
const char *pbft_nl_error(const struct pbft_nl *nl);

/* ---- administration -------------------------------------------------- */

struct pbft_nl_setup {
	const struct pbft_cluster *cluster;
	u32 self;
	const u8 *private_key;		/* 32 bytes; NULL: keep the one there is */
	u32 service;			/* enum pbft_service */
	u32 null_reply;			/* bytes; PBFT_SERVICE_NULL */
};

int pbft_nl_set(struct pbft_nl *nl, const char *name,
		const struct pbft_nl_setup *setup);
int pbft_nl_del(struct pbft_nl *nl, const char *name);

struct pbft_nl_up {
	bool genesis;
	u32 journal_mode;		/* enum pbft_journal_mode */
	int journal_fd;			/* unless the mode is none */
};

int pbft_nl_up(struct pbft_nl *nl, const char *name, const struct pbft_nl_up *up);
int pbft_nl_down(struct pbft_nl *nl, const char *name);
/* MACs made here carry key generation @key_id from now on. */
int pbft_nl_set_key(struct pbft_nl *nl, const char *name, u8 key_id);
/* Have the daemon recover; how that goes is in the status. */
int pbft_nl_recover(struct pbft_nl *nl, const char *name);

/* Of the last recovery, or the one under way: pages of the state. */
struct pbft_nl_recovery {
	u32 state;			/* enum pbft_recovery_state */
	bool scheduled;
	u64 seq;			/* the checkpoint it has come to */
	u32 total, checked, damaged, repaired;
	u64 ended;			/* ns since the epoch */
};

struct pbft_nl_status {
	char name[PBFT_NAME_MAX + 1];
	u32 self;
	u32 state;			/* enum pbft_state */
	char reason[160];		/* PBFT_STATE_STOPPED: why */
	u64 view;
	u32 primary;
	u32 flags;			/* PBFT_F_* */
	u64 stable;			/* h */
	u64 committed;
	struct pbft_nl_head head;	/* executed */
	u64 checkpoint;
	u8 checkpoint_digest[PBFT_DIGEST_LEN];
	u64 fetch_target;
	u64 fetch_done, fetch_total;	/* bytes of its state; total 0: not known */
	u64 recover_point, recover_view;
	u32 pending;			/* requests waiting */
	u64 memory;			/* bytes */
	u8 key_id;
	struct pbft_nl_recovery recovery;
	u32 suspect;			/* PBFT_NL_EV_EVIDENCE: the replica proved faulty */
};

struct pbft_nl_counter {
	char name[32];
	u64 value;
};

struct pbft_nl_counters {
	u32 count;
	struct pbft_nl_counter *c;
};

struct pbft_nl_peer {
	u32 id;
	u8 key_id;			/* generation it has proved, if keys are derived */
	struct pbft_nl_counters counters;
};

struct pbft_nl_journal {
	u32 mode;			/* enum pbft_journal_mode */
	u32 flags;			/* PBFT_JF_* */
	u64 size, used;			/* bytes */
	u64 records, frames, syncs, bytes, compactions;	/* since up */
	u64 replayed;			/* records */
};

/* What PBFT_CMD_GET tells of one instance. */
struct pbft_nl_instance {
	struct pbft_nl_instance *next;
	struct pbft_nl_status st;
	struct pbft_cluster cluster;	/* cfg.self and cfg.genesis set too */
	u8 public_key[PBFT_PUBKEY_SIZE];
	u32 service, null_reply;
	struct pbft_nl_counters counters;
	struct pbft_nl_journal journal;	/* of one that is up */
	u32 n_peers;
	struct pbft_nl_peer *peers;	/* nodes that have a generation or counters */
};

/* @name NULL: all of this network namespace, as a list; none is no error. */
int pbft_nl_get(struct pbft_nl *nl, const char *name,
		struct pbft_nl_instance **out);
void pbft_nl_instance_free(struct pbft_nl_instance *list);

const char *pbft_nl_state_name(u32 state);	/* "down", "up", "stopped" */
const char *pbft_nl_recovery_name(u32 state);	/* "none", "running", "done", "given-up" */
const char *pbft_nl_event_name(u32 event);	/* "new-view", ... */

/* ---- a daemon ---------------------------------------------------------- */

struct pbft_nl_bound {
	u32 id;				/* of the instance, in what follows */
	u32 peer_mtu;			/* most bytes of one pbft_nl_peer_send() */
};

/**
 * pbft_nl_bind() - become the application of instance @name
 * @nl: from pbft_nl_open(); the binding ends with it
 * @name: of the instance
 * @out: filled in when 0 is returned
 * @head: where the application's state stands
 *
 * Waits for the kernel's answer. What the kernel already sent after it is kept
 * for pbft_nl_dispatch(): call that once before polling the descriptor.
 */
int pbft_nl_bind(struct pbft_nl *nl, const char *name,
		 const struct pbft_nl_head *head, struct pbft_nl_bound *out);

/*
 * The daemon's answers. They do not wait: a refusal comes back through
 * pbft_nl_daemon_ops.refused. -EMSGSIZE: larger than the socket takes.
 */
int pbft_nl_executed(struct pbft_nl *nl, u32 id, u64 seq,
		     const struct pbft_result *results, u32 count);
int pbft_nl_checkpointed(struct pbft_nl *nl, u32 id, u64 seq,
			 const u8 digest[PBFT_DIGEST_LEN]);
int pbft_nl_state_installed(struct pbft_nl *nl, u32 id, u64 seq,
			    const u8 digest[PBFT_DIGEST_LEN]);
/* Of the bytes of the state after batch @seq, for others to see. */
int pbft_nl_fetch_progress(struct pbft_nl *nl, u32 id, u64 seq, u64 done, u64 total);
/* How far our recovery is; @r's ended is the kernel's to say. */
int pbft_nl_recovery(struct pbft_nl *nl, u32 id, const struct pbft_nl_recovery *r);
int pbft_nl_peer_send(struct pbft_nl *nl, u32 id, u32 peer,
		      const void *data, u32 len);

struct pbft_nl_op {			/* one request of a batch */
	u32 client;
	u32 flags;			/* PBFT_REQ_* */
	u64 session;
	u64 t;
	const void *op;
	u32 op_len;
};

/*
 * Data is valid during the call. NULL members ignore their message. From within
 * only the daemon's answers may be sent on the same socket.
 */
struct pbft_nl_daemon_ops {
	/* @head includes this batch; @count 0: a null batch */
	void (*apply)(void *arg, u32 id, const struct pbft_nl_head *head,
		      const struct pbft_nl_op *ops, u32 count);
	void (*snapshot)(void *arg, u32 id, u64 seq);
	void (*discard)(void *arg, u32 id, u64 seq);
	void (*fetch_state)(void *arg, u32 id, const struct pbft_nl_head *head,
			    const u8 digest[PBFT_DIGEST_LEN], u64 peers);
	void (*peer_recv)(void *arg, u32 id, u32 peer, const void *data,
			  u32 len);
	void (*revalidate)(void *arg, u32 id);
	/* The kernel refused an answer: @cmd, -errno, its words. */
	void (*refused)(void *arg, u32 cmd, int err, const char *text);
};

/**
 * pbft_nl_dispatch() - hand out what has arrived, without waiting
 * @nl: a socket that is bound
 * @ops: what to call
 * @arg: for them
 * @max: at most this many datagrams; 0: until the socket is empty
 *
 * Return: messages handed out, or -errno; -EBADMSG names a message that the
 * kernel should not have sent; -ENOBUFS: messages were lost, bind again;
 * -ENETDOWN: the instance went down or was deleted, the binding has ended.
 */
int pbft_nl_dispatch(struct pbft_nl *nl, const struct pbft_nl_daemon_ops *ops,
		     void *arg, unsigned int max);

/* ---- events ------------------------------------------------------------ */

/* A socket that receives the multicast group "events" and nothing else. */
int pbft_nl_events_open(struct pbft_nl **nl, char *err, size_t errlen);

typedef void (*pbft_nl_event_fn)(void *arg, enum pbft_nl_event event,
				 const struct pbft_nl_status *st);

/**
 * pbft_nl_events_recv() - hand out the events that have arrived
 * @nl: from pbft_nl_events_open()
 * @fn: called for each
 * @arg: for it
 *
 * Subscribe first and ask for a snapshot with pbft_nl_get() on another socket
 * afterwards, then nothing is missed. Return: events handed out, or -errno;
 * -ENOBUFS: some were lost, take a new snapshot and go on.
 */
int pbft_nl_events_recv(struct pbft_nl *nl, pbft_nl_event_fn fn, void *arg);

#endif /* PBFT_NL_H */
