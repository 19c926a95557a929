/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The other nodes of a cluster: replicas by id, clients in a map. A table is
 * built whole, then published; what it held before is freed when the last
 * reader is gone. A node whose identity stays is the same object in both.
 */
#ifndef PBFT_PEER_H
#define PBFT_PEER_H

#include <linux/in6.h>
#include <linux/spinlock.h>
#include <linux/xarray.h>
#include <net/dst_cache.h>
#include "core/frag.h"
#include "counters.h"
#include "mac.h"

/* One message a peer can make us keep for later is charged to it. */
#define PBFT_PEER_QUEUE_MAX	32
#define PBFT_PEER_QUEUE_BYTES	(2 * PBFT_MSG_MAX)

union pbft_addr {
	sa_family_t family;	/* AF_UNSPEC: none */
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

bool pbft_addr_eq(const union pbft_addr *a, const union pbft_addr *b);

/* Who we are, as far as keys depend on it. */
struct pbft_identity {
	u64 cluster;
	u32 epoch;
	u32 self;
	u8 private_key[PBFT_KEY_LEN];
	u8 public_key[PBFT_KEY_LEN];
	bool has_key;
	char mac[PBFT_MAC_NAME_MAX + 1];
};

struct pbft_peer {
	u32 id;
	refcount_t refs;

	/*
	 * Two generations each way. Readers use RCU; slots change under the
	 * instance's key_mutex.
	 */
	struct pbft_key __rcu *rx[2];
	struct pbft_key __rcu *tx[2];
	u8 rx_gen;		/* the newest its messages have proved */
	bool rx_known;		/* ... and they have proved one */
	bool rx_moved;		/* rx_gen has changed: the next key is due */
	unsigned long learn_after;	/* jiffies: no earlier another attempt */

	bool derived;		/* keys come from shared; else they are raw */
	u8 public_key[PBFT_KEY_LEN];	/* of a derived one */
	u8 shared[PBFT_KEY_LEN];

	spinlock_t lock;	/* what follows, up to dst */
	union pbft_addr addr;
	u64 hello_session, hello_seq;	/* a client's last, which set addr */
	struct pbft_reasm *reasm;	/* allocated with the first fragment */
	struct dst_cache dst;	/* per CPU; bottom halves off */

	atomic_t queued, queued_bytes;	/* waiting for the work item */
	atomic_t daemon_queued;	/* datagrams waiting for the daemon */
	struct pbft_peer_stats stats;
};

struct pbft_nodes {
	u32 n;
	u32 n_clients;
	struct pbft_peer *replica[PBFT_N_MAX];	/* NULL: ourselves */
	struct xarray clients;
};

/* May sleep. NULL: no memory. */
struct pbft_peer *pbft_peer_new(u32 id);
static inline struct pbft_peer *pbft_peer_get(struct pbft_peer *peer)
{
	refcount_inc(&peer->refs);
	return peer;
}

/* The last reference goes in process context, after readers are gone. */
void pbft_peer_put(struct pbft_peer *peer);

struct pbft_nodes *pbft_nodes_new(u32 n);
/* Takes over the caller's reference on success. -EEXIST: that id is there. */
int pbft_nodes_add(struct pbft_nodes *nodes, struct pbft_peer *peer);
void pbft_nodes_free(struct pbft_nodes *nodes);
/* The node of that id or NULL. RCU, or whatever keeps @nodes alive. */
struct pbft_peer *pbft_peer_find(const struct pbft_nodes *nodes, u32 id);

void pbft_peer_set_addr(struct pbft_peer *peer, const union pbft_addr *addr);
union pbft_addr pbft_peer_addr(struct pbft_peer *peer);
/* Largest message it may send in fragments, in bytes. */
u32 pbft_peer_msg_max(const struct pbft_peer *peer, u32 n);

/* ---- keys ---------------------------------------------------------------- */

/* Public key of a private one. false: unusable, or no Curve25519 here. */
bool pbft_public_key(u8 public_key[PBFT_KEY_LEN],
		     const u8 private_key[PBFT_KEY_LEN]);
bool pbft_curve_available(void);

/*
 * Make the peer's shared secret and its first keys: generation @tx_id out,
 * generations 0 and 1 in. Return 0; -EKEYREJECTED: @public_key is unusable.
 */
int pbft_peer_derive(struct pbft_peer *peer, const struct pbft_identity *id,
		     const u8 public_key[PBFT_KEY_LEN], u8 tx_id);
/* One key of a derived peer. May sleep. ERR_PTR. */
struct pbft_key *pbft_derive_key(const struct pbft_peer *peer,
				 const struct pbft_identity *id, u8 key_id,
				 bool tx);

/* The key of this generation or NULL. RCU. */
struct pbft_key *pbft_key_find(struct pbft_key __rcu * const slots[2], u8 id);
/*
 * Put @key into a slot: that of its generation, a free one, or the one that
 * does not hold generation @keep. Return the key that was there; it may be freed
 * after a grace period. Under key_mutex.
 */
struct pbft_key *pbft_key_install(struct pbft_key __rcu *slots[2],
				  struct pbft_key *key, u8 keep);

/* Generations wrap around: is @a later than @b? */
static inline bool pbft_key_newer(u8 a, u8 b)
{
	return (s8)(a - b) > 0;
}

#endif /* PBFT_PEER_H */
