/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What drives the application: an instance in the kernel, or a replica in this
 * process. A backend calls the application's pbft_app_*() functions (app.h) from
 * its bind() and poll(), and is answered by the functions below.
 */
#ifndef PBFTD_BACKEND_H
#define PBFTD_BACKEND_H

#include "core/core.h"
#include "recovery.h"

struct pbft_app;
struct pbft_backend;
struct pbft_replica_journal;

/* Returns are 0 or -errno, and pbft_backend.err then is a sentence. */
struct pbft_backend_ops {
	/* -ENETDOWN: not now, try again later. */
	int (*bind)(struct pbft_backend *b, const struct pbft_log_head *head);
	int (*executed)(struct pbft_backend *b, u64 seq,
			const struct pbft_result *results, u32 count);
	int (*checkpointed)(struct pbft_backend *b, u64 seq,
			    const struct pbft_digest *root);
	int (*state_installed)(struct pbft_backend *b, u64 seq,
			       const struct pbft_digest *root);
	/* Optional: of the state that is being fetched, for others to see. */
	int (*progress)(struct pbft_backend *b, const struct pbft_xfer_progress *p);
	/* Likewise: how far a recovery is. */
	int (*recovery)(struct pbft_backend *b, const struct pbft_recovery_report *r);
	/* Up to where checkpoints are stable; 0: not known. */
	u64 (*stable)(struct pbft_backend *b);
	/* Look which generation of keys is in use: somebody may have moved it on. */
	void (*look_at_keys)(struct pbft_backend *b);
	/* Authenticate under this generation of keys from now on. */
	int (*set_key)(struct pbft_backend *b, u8 generation);
	/* May be lost, like any datagram. */
	void (*peer_send)(struct pbft_backend *b, u32 peer, const void *data,
			  u32 len);
	u32 (*peer_mtu)(struct pbft_backend *b);	/* bytes; after bind() */

	int (*fd)(struct pbft_backend *b);		/* readable: poll */
	u64 (*deadline)(struct pbft_backend *b);	/* U64_MAX: none */
	int (*poll)(struct pbft_backend *b);		/* does not block */

	/* Optional: what pbftd --status shows; pbftctl shows the kernel's. */
	void (*status)(struct pbft_backend *b, struct pbft_status *st);
	void (*counters)(struct pbft_backend *b,
			 void (*put)(void *arg, const char *name, u64 value),
			 void *arg);
	void (*journal)(struct pbft_backend *b, struct pbft_replica_journal *j);
	/* Optional: in good order; close() alone is what a crash would be. */
	int (*down)(struct pbft_backend *b);
	void (*close)(struct pbft_backend *b);
};

struct pbft_backend {
	const struct pbft_backend_ops *ops;
	struct pbft_app *app;
	u64 cluster;		/* known when the backend is open */
	u32 epoch, self;
	struct pbft_schedule schedule;	/* this one and the next: as of bind() */
	u8 generation;		/* of the keys that we use */
	bool changed;		/* an event: the status is worth a look */
	bool lost;		/* the binding is over, not for good: bind again */
	char err[PBFT_ERR_MAX];
};

struct pbft_user_opts {
	const char *cluster_path, *key_path;
	int self;		/* -1: whose key it is */
	bool genesis;
	const char *journal;	/* NULL: none */
	u32 journal_mode;	/* enum pbft_journal_mode */
	u64 journal_size;	/* of a new one */
	bool lax_key;		/* a key file that others may read will do */
	u64 busy_poll;		/* ns */
	bool no_offload;	/* one packet for each datagram */
	u8 generation;		/* of our keys, if the database knows no later one */
};

/* Return 0, or -errno with a sentence in @err. */
int pbft_backend_user(struct pbft_backend **out, const struct pbft_user_opts *opts,
		      char *err, size_t errlen);
int pbft_backend_kernel(struct pbft_backend **out, const char *name, char *err,
			size_t errlen);

#endif /* PBFTD_BACKEND_H */
