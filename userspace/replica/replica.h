/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A replica in userspace: the core (kmod/core) between a UDP socket and an
 * application's callbacks.
 *
 * One thread per struct pbft_replica, no hidden threads, no signals, nothing
 * global: a process may hold as many as it likes. Embed it in an event loop by
 * pbft_replica_fd(), pbft_replica_deadline(), pbft_replica_poll(). Times are
 * CLOCK_MONOTONIC nanoseconds.
 */
#ifndef PBFT_REPLICA_H
#define PBFT_REPLICA_H

#include "core/journal.h"
#include "libpbft/cluster.h"
#include "linux/pbft.h"

struct pbft_replica;

/*
 * Callbacks come from pbft_replica_poll() and pbft_replica_bind(), and may call
 * pbft_replica_executed(), _checkpointed(), _state_installed() and _peer_send()
 * on the spot, or later. NULL members ignore what they would be told, and the
 * first four are needed by who binds.
 */
struct pbft_replica_ops {
	/* @batch NULL: a null batch. Keep it with pbft_batch_get(). */
	void (*apply)(void *arg, const struct pbft_log_head *head,
		      struct pbft_batch *batch);
	void (*snapshot)(void *arg, u64 seq);
	void (*discard)(void *arg, u64 seq);
	void (*fetch_state)(void *arg, const struct pbft_log_head *head,
			    const struct pbft_digest *app, u64 peers);
	/* Everything received so far was applied: a good moment to commit. */
	void (*settle)(void *arg);
	/* A datagram of the daemon of replica @peer; @data is 8-byte aligned. */
	void (*peer_recv)(void *arg, u32 peer, const void *data, u32 len);
	void (*event)(void *arg, const struct pbft_out *event);
	/*
	 * For tests: what goes out to replica or client @to, before it is
	 * authenticated. Return @msg to send it, NULL to drop it, or another
	 * message (a reference that the callee gives away) instead. Makes
	 * sending slower.
	 */
	struct pbft_buf *(*filter)(void *arg, u32 to, struct pbft_buf *msg);
};

struct pbft_replica_config {
	const struct pbft_cluster *cluster;	/* must outlive the replica */
	u32 self;
	const u8 *private_key;		/* 32 bytes, copied */
	bool genesis;			/* the cluster has never run before */
	u32 journal_mode;		/* enum pbft_journal_mode */
	int journal_fd;			/* of pbft_journal_file_open(); outlives the replica */
	u64 busy_poll;			/* ns to spin before sleeping; 0: never */
	int socket_buffer;		/* bytes; 0: 4 MB */
	bool no_offload;		/* one packet for each datagram; see libpbft/udp.h */
	const struct pbft_replica_ops *ops;
	void *arg;
};

struct pbft_replica_stats {
	u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	u64 drops[PBFT_DROP_MAX];	/* by reason; [PBFT_OK]: accepted */
	u64 inner_bad;		/* requests in others' messages with a bad MAC for us */
	u64 tx_errors;		/* datagrams the socket did not take */
	u64 tx_no_address;	/* to clients that never said HELLO */
	u64 hellos, hellos_old;
	u64 polls, rx_calls, tx_calls;
	u64 rx_joined, tx_joined;	/* datagrams in the packet of another */
	u64 tx_apart;		/* packets that the kernel did not cut after all */
	bool gso, gro;		/* the kernel cuts packets of several, and brings such */
};

/**
 * pbft_replica_create() - a replica, listening on its endpoint
 *
 * It takes part in agreement at once; executing waits for pbft_replica_bind().
 * A journal with records wins over @cfg->genesis: the replica goes on where it
 * was. If acknowledged records are missing, it goes on as one that has forgotten.
 * Return 0, or -errno with a sentence in @err; -EKEYREJECTED: the key is not
 * the one of replica @self.
 */
int pbft_replica_create(struct pbft_replica **out,
			const struct pbft_replica_config *cfg, char *err,
			size_t errlen);
/* For a journal this is a crash, unless pbft_replica_down() came before. */
void pbft_replica_destroy(struct pbft_replica *r);	/* NULL is allowed */
/*
 * Take part no more, and make the journal complete: before destroying it in good
 * order. Return 0, or -errno: the journal could not be written.
 */
int pbft_replica_down(struct pbft_replica *r);

int pbft_replica_fd(const struct pbft_replica *r);	/* readable: poll */
u64 pbft_replica_deadline(const struct pbft_replica *r);
/*
 * Receive, let time pass, call back, send. @wait ns: at most so long for the
 * first datagram or the deadline; 0 does not block. Return datagrams received,
 * or -errno of a socket that fails for good.
 */
int pbft_replica_poll(struct pbft_replica *r, u64 wait);

/* The application's side: see core.h for what they mean and return. */
int pbft_replica_bind(struct pbft_replica *r, const struct pbft_log_head *head);
void pbft_replica_unbind(struct pbft_replica *r);
int pbft_replica_executed(struct pbft_replica *r, u64 seq,
			  const struct pbft_result *results, u32 count);
int pbft_replica_checkpointed(struct pbft_replica *r, u64 seq,
			      const struct pbft_digest *app);
int pbft_replica_state_installed(struct pbft_replica *r, u64 seq,
				 const struct pbft_digest *app);

/* Most bytes of one daemon datagram. */
u32 pbft_replica_peer_mtu(const struct pbft_replica *r);
/* 0; -EMSGSIZE; -EINVAL: no such peer. May be lost like any datagram. */
int pbft_replica_peer_send(struct pbft_replica *r, u32 peer, const void *data,
			   u32 len);

/* Authenticate what we send under key generation @key_id from now on. */
int pbft_replica_set_key(struct pbft_replica *r, u8 key_id);
/* Stop for good, for a reason a person can read (kept by pointer). */
void pbft_replica_stop(struct pbft_replica *r, const char *reason);

void pbft_replica_status(const struct pbft_replica *r, struct pbft_status *st);
const struct pbft_counters *pbft_replica_counters(const struct pbft_replica *r);
void pbft_replica_stats(const struct pbft_replica *r, struct pbft_replica_stats *st);

struct pbft_replica_journal {
	u32 mode;		/* enum pbft_journal_mode */
	u32 flags;		/* PBFT_JF_* */
	u64 replayed;		/* records found at the start */
	struct pbft_journal_stats stats;
};

void pbft_replica_journal(const struct pbft_replica *r,
			  struct pbft_replica_journal *out);
/* The core itself, for tests that look closer. */
const struct pbft_core *pbft_replica_core(const struct pbft_replica *r);

#endif /* PBFT_REPLICA_H */
