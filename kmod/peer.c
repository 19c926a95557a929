// SPDX-License-Identifier: GPL-2.0
/*
 * Peers and the table of them: lifetime, lookup, addresses. Addresses of
 * replicas come from configuration; a client's comes from its authenticated
 * HELLO (receive.c); nothing else moves one.
 */
#include <linux/slab.h>
#include <net/ipv6.h>
#include "peer.h"

bool pbft_addr_eq(const union pbft_addr *a, const union pbft_addr *b)
{
	if (a->family != b->family)
		return false;
	switch (a->family) {
	case AF_INET:
		return a->in.sin_addr.s_addr == b->in.sin_addr.s_addr &&
		       a->in.sin_port == b->in.sin_port;
	case AF_INET6:
		return ipv6_addr_equal(&a->in6.sin6_addr, &b->in6.sin6_addr) &&
		       a->in6.sin6_port == b->in6.sin6_port &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id;
	}
	return true;
}

struct pbft_peer *pbft_peer_new(u32 id)
{
	struct pbft_peer *peer;

	peer = kzalloc(sizeof(*peer), GFP_KERNEL);
	if (!peer)
		return NULL;
	if (dst_cache_init(&peer->dst, GFP_KERNEL)) {
		kfree(peer);
		return NULL;
	}
	peer->id = id;
	refcount_set(&peer->refs, 1);
	spin_lock_init(&peer->lock);
	peer->learn_after = jiffies;
	return peer;
}

static void peer_free(struct pbft_peer *peer)
{
	int i;

	for (i = 0; i < 2; i++) {
		pbft_key_free(rcu_dereference_protected(peer->rx[i], true));
		pbft_key_free(rcu_dereference_protected(peer->tx[i], true));
	}
	if (peer->reasm) {
		pbft_reasm_free(peer->reasm);
		kfree(peer->reasm);
	}
	dst_cache_destroy(&peer->dst);
	kfree_sensitive(peer);
}

void pbft_peer_put(struct pbft_peer *peer)
{
	if (peer && refcount_dec_and_test(&peer->refs))
		peer_free(peer);
}

struct pbft_nodes *pbft_nodes_new(u32 n)
{
	struct pbft_nodes *nodes;

	nodes = kzalloc(sizeof(*nodes), GFP_KERNEL);
	if (!nodes)
		return NULL;
	nodes->n = n;
	xa_init(&nodes->clients);
	return nodes;
}

int pbft_nodes_add(struct pbft_nodes *nodes, struct pbft_peer *peer)
{
	int err;

	if (peer->id < nodes->n) {
		if (nodes->replica[peer->id])
			return -EEXIST;
		nodes->replica[peer->id] = peer;
		return 0;
	}
	err = xa_insert(&nodes->clients, peer->id, peer, GFP_KERNEL);
	if (err)
		return err == -EBUSY ? -EEXIST : err;
	nodes->n_clients++;
	return 0;
}

void pbft_nodes_free(struct pbft_nodes *nodes)
{
	struct pbft_peer *peer;
	unsigned long id;
	u32 i;

	if (!nodes)
		return;
	for (i = 0; i < nodes->n; i++)
		pbft_peer_put(nodes->replica[i]);
	xa_for_each(&nodes->clients, id, peer)
		pbft_peer_put(peer);
	xa_destroy(&nodes->clients);
	kfree(nodes);
}

struct pbft_peer *pbft_peer_find(const struct pbft_nodes *nodes, u32 id)
{
	if (id < nodes->n)
		return nodes->replica[id];
	return xa_load((struct xarray *)&nodes->clients, id);
}

void pbft_peer_set_addr(struct pbft_peer *peer, const union pbft_addr *addr)
{
	spin_lock_bh(&peer->lock);
	if (!pbft_addr_eq(&peer->addr, addr)) {
		peer->addr = *addr;
		dst_cache_reset(&peer->dst);
	}
	spin_unlock_bh(&peer->lock);
}

union pbft_addr pbft_peer_addr(struct pbft_peer *peer)
{
	union pbft_addr addr;

	spin_lock_bh(&peer->lock);
	addr = peer->addr;
	spin_unlock_bh(&peer->lock);
	return addr;
}

u32 pbft_peer_msg_max(const struct pbft_peer *peer, u32 n)
{
	u32 auth = n * PBFT_MAC_LEN;

	if (peer->id < PBFT_CLIENT_ID_MIN)
		return PBFT_MSG_MAX + auth;
	return sizeof(struct pbft_request) + PBFT_OP_MAX + auth;
}
