// SPDX-License-Identifier: GPL-2.0
/*
 * The other nodes of the cluster: finding them, and the keys shared with them.
 *
 * A node may go to its next key generation from one message to the other. It is
 * followed by authentic messages only, and forwards only; the generation before
 * holds a little longer for what is still under way.
 */
#include <errno.h>
#include "replica_priv.h"

#define KEY_GRACE	(5 * 1000000000ull)

static u32 hash_id(u32 id)
{
	return id * 0x9e3779b1u;
}

static void map_client(struct pbft_replica *r, u32 index)
{
	u32 slot = hash_id(r->clients[index].id) & r->map_mask;

	while (r->map[slot])
		slot = (slot + 1) & r->map_mask;
	r->map[slot] = index + 1;
}

struct rep_peer *rep_peer(struct pbft_replica *r, u32 id)
{
	u32 slot;

	if (id < r->wire.n)
		return id == r->self ? NULL : &r->replicas[id];
	if (!r->n_clients)
		return NULL;
	for (slot = hash_id(id) & r->map_mask; r->map[slot];
	     slot = (slot + 1) & r->map_mask) {
		struct rep_peer *p = &r->clients[r->map[slot] - 1];

		if (p->id == id)
			return p;
	}
	return NULL;
}

int rep_peers_init(struct pbft_replica *r, const struct pbft_cluster *c)
{
	u32 size = 4, i;

	for (i = 0; i < c->n_replicas; i++) {
		struct rep_peer *p = &r->replicas[i];

		p->id = i;
		p->public_key = c->replicas[i].public_key;
		memcpy(&p->addr, &c->replicas[i].endpoint,
		       min(sizeof(p->addr), sizeof(c->replicas[i].endpoint)));
		p->addr_len = c->replicas[i].endpoint_len;
	}
	while (size < c->n_clients * 2)
		size *= 2;
	r->clients = calloc(c->n_clients + 1, sizeof(*r->clients));
	r->map = calloc(size, sizeof(*r->map));
	if (!r->clients || !r->map)
		return -ENOMEM;
	r->map_mask = size - 1;
	r->n_clients = c->n_clients;
	for (i = 0; i < c->n_clients; i++) {
		r->clients[i].id = c->clients[i].id;
		r->clients[i].public_key = c->clients[i].public_key;
		map_client(r, i);
	}
	return 0;
}

static void peer_free(struct rep_peer *p)
{
	if (p->reasm) {
		pbft_reasm_free(p->reasm);
		free(p->reasm);
	}
	explicit_bzero(p, sizeof(*p));
}

void rep_peers_free(struct pbft_replica *r)
{
	u32 i;

	for (i = 0; i < PBFT_N_MAX; i++)
		peer_free(&r->replicas[i]);
	for (i = 0; i < r->n_clients; i++)
		peer_free(&r->clients[i]);
	free(r->clients);
	free(r->map);
}

static bool have_shared(struct pbft_replica *r, struct rep_peer *p)
{
	if (p->have_shared || p->bad_key)
		return p->have_shared;
	if (pbft_shared_secret(p->shared, r->private_key, p->public_key))
		p->bad_key = true;
	else
		p->have_shared = true;
	return p->have_shared;
}

static void derive(struct pbft_replica *r, struct rep_peer *p, u8 key_id, bool tx,
		   struct rep_key *out)
{
	const struct pbft_pair_id id = {
		r->wire.cluster, r->wire.epoch, r->self, p->id, r->mac
	};

	out->id = key_id;
	pbft_pair_key_shared(&id, p->shared, r->public_key, p->public_key, key_id,
			     tx, &out->key);
}

const struct pbft_mac_key *rep_tx_key(struct pbft_replica *r, struct rep_peer *p)
{
	if (likely(p->tx.key.valid && p->tx.id == r->key_id))
		return &p->tx.key;
	if (!have_shared(r, p))
		return NULL;
	derive(r, p, r->key_id, true, &p->tx);
	return &p->tx.key;
}

static bool newer(u8 id, u8 than)
{
	return (s8)(id - than) > 0;
}

/* A generation not met before: its key is kept only if the MAC holds. */
static enum pbft_drop learn(struct pbft_replica *r, struct rep_peer *p, u8 key_id,
			    const void *data, u32 len, const u8 *mac)
{
	struct rep_key fresh;

	if (!have_shared(r, p))
		return PBFT_DROP_KEY;
	if (p->rx[0].key.valid && !newer(key_id, p->rx[0].id))
		return PBFT_DROP_KEY;
	derive(r, p, key_id, false, &fresh);
	if (!pbft_mac_ok(&fresh.key, data, len, mac))
		return PBFT_DROP_MAC;
	p->rx[1] = p->rx[0];
	p->rx[0] = fresh;
	p->rx_old_until = r->now + KEY_GRACE;
	return PBFT_OK;
}

enum pbft_drop rep_authentic(struct pbft_replica *r, struct rep_peer *p, u8 key_id,
			     const void *data, u32 len, const u8 *mac)
{
	const struct rep_key *k = &p->rx[0];

	if (unlikely(!k->key.valid || k->id != key_id)) {
		k = &p->rx[1];
		if (!k->key.valid || k->id != key_id ||
		    p->rx_old_until < r->now)
			return learn(r, p, key_id, data, len, mac);
	}
	return pbft_mac_ok(&k->key, data, len, mac) ? PBFT_OK : PBFT_DROP_MAC;
}
