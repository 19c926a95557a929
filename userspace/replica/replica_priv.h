/* SPDX-License-Identifier: GPL-2.0 */
/* The userspace replica: what its files share. */
#ifndef PBFT_REPLICA_PRIV_H
#define PBFT_REPLICA_PRIV_H

#include "core/frag.h"
#include "core/gate.h"
#include "libpbft/crypto.h"
#include "libpbft/journal_file.h"
#include "libpbft/udp.h"
#include "replica.h"

#define RX_BATCH	64	/* packets of one recvmmsg() */
#define TX_BATCH	256	/* datagrams of one sendmmsg() */
#define TX_ARENA	(256 * 1024)	/* bytes of MACs and fragments in one batch */

struct rep_key {
	struct pbft_mac_key key;
	u8 id;
};

/* Another node: a replica or a client. */
struct rep_peer {
	u32 id;
	const u8 *public_key;
	bool have_shared;	/* derived at first use: an X25519 for each */
	bool bad_key;		/* ... which failed */
	u8 shared[32];
	struct rep_key tx;
	struct rep_key rx[2];	/* in use, and the one before for a while */
	u64 rx_old_until;
	union pbft_udp_addr addr;	/* of replicas from the cluster file */
	socklen_t addr_len;	/* 0: unknown */
	u64 session, hello;	/* client: of the HELLO that set the address */
	struct pbft_reasm *reasm;	/* made with the first fragment */
};

struct rep_tx {
	struct pbft_udp_tx udp;
	u32 arena_used;
	struct pbft_buf *held[TX_BATCH];	/* references until sent */
	u8 *arena;
	u8 *whole;		/* one complete message above the MTU */
};

struct rep_disk {
	u32 mode;		/* enum pbft_journal_mode; 0: there is no journal */
	int fd;
	bool damaged;		/* had lost records, and was begun anew */
	bool failed;		/* nothing but events passes any more */
	int io_err;		/* of the file, the first */
	bool io_sync;		/* ... from making durable */
	struct pbft_journal_io file;
	struct pbft_gate gate;
	struct pbft_journal journal;
};

struct pbft_replica {
	struct pbft_core *core;
	struct pbft_wire_id wire;
	u32 self;
	u32 mtu;
	enum pbft_mac_kind mac;
	u8 private_key[32], public_key[32];
	u8 key_id;		/* generation of what we send */
	u64 view;		/* as far as the outbox told: for HELLO-ACK */
	const struct pbft_replica_ops *ops;
	void *arg;
	int fd;
	u64 busy_poll;
	bool offload;		/* let the kernel cut and join packets */
	u64 now;		/* of this round */
	u64 wall_at;		/* when the wall clock was last looked at */
	bool in_poll;		/* sends wait for the end of the round */
	bool draining;
	bool applied;		/* since the last settle() */
	struct rep_peer replicas[PBFT_N_MAX];
	u32 n_clients;
	struct rep_peer *clients;
	u32 map_mask;
	u32 *map;		/* client id to index + 1, open addressing */
	struct pbft_replica_stats stats;
	struct rep_disk disk;
	struct pbft_udp_rx rx;
	struct rep_tx tx;
};

u64 rep_now(void);

/* peers.c */
int rep_peers_init(struct pbft_replica *r, const struct pbft_cluster *c);
void rep_peers_free(struct pbft_replica *r);
struct rep_peer *rep_peer(struct pbft_replica *r, u32 id);	/* NULL: unknown, or self */
/* The key for what we send to @p; NULL when its public key is none. */
const struct pbft_mac_key *rep_tx_key(struct pbft_replica *r, struct rep_peer *p);
/* Does @mac hold for a message of @p under its generation @key_id? */
enum pbft_drop rep_authentic(struct pbft_replica *r, struct rep_peer *p, u8 key_id,
			     const void *data, u32 len, const u8 *mac);

/* send.c */
int rep_tx_init(struct pbft_replica *r);
void rep_tx_free(struct pbft_replica *r);
/* An entry of the outbox; its references stay with the caller. */
void rep_send(struct pbft_replica *r, const struct pbft_out *out);
/* A message of one MAC to one node. */
void rep_send_to(struct pbft_replica *r, struct rep_peer *p, struct pbft_buf *msg);
void rep_flush(struct pbft_replica *r);

/* receive.c */
/* One batch. Return datagrams, or -errno; *@more: there may be more. */
int rep_receive(struct pbft_replica *r, bool *more);

/* journal.c; @why is a sentence on failure */
int rep_disk_open(struct pbft_replica *r, const struct pbft_replica_config *cfg,
		  const char **why);
/* 1: the core has resumed; 0: it is of no use; -errno */
int rep_disk_replay(struct pbft_replica *r, const char **why);
/* Ready for the outputs of the core. */
int rep_disk_start(struct pbft_replica *r, const char **why);
void rep_disk_close(struct pbft_replica *r);
/* True: @out has to wait, or is never to pass; its references are taken over. */
bool rep_disk_holds(struct pbft_replica *r, struct pbft_out *out);
/* The next that may pass now. */
bool rep_disk_next(struct pbft_replica *r, struct pbft_out *out);
/* Write what is to be on record, and act on what waited for it. */
void rep_disk_commit(struct pbft_replica *r);
/* The application is gone: what waits for it is void. */
void rep_disk_unbind(struct pbft_replica *r);

/* May the core be given a message, or time? If not, commit first. */
static inline bool rep_disk_ready(const struct pbft_replica *r)
{
	return !r->disk.mode || pbft_gate_open(&r->disk.gate);
}

/* replica.c: act on the outbox until it is empty. */
void rep_drain(struct pbft_replica *r);

#endif /* PBFT_REPLICA_PRIV_H */
