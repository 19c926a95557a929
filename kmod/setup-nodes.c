// SPDX-License-Identifier: GPL-2.0
/*
 * The nodes of a new configuration: endpoints, keys, and the table of peers. A
 * peer whose keys stay is the same object in the old table and the new one;
 * what changes in it is only noted here, and done when nothing can fail.
 */
#include <linux/err.h>
#include <linux/in.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/ipv6.h>
#include "netlink.h"
#include "setup.h"

static const struct nla_policy node_policy[PBFT_NODE_A_MAX + 1] = {
	[PBFT_NODE_A_ID] = { .type = NLA_U32 },
	[PBFT_NODE_A_PUBLIC_KEY] = NLA_POLICY_EXACT_LEN(PBFT_KEY_LEN),
	[PBFT_NODE_A_ENDPOINT] = NLA_POLICY_MIN_LEN(sizeof(struct sockaddr_in)),
	[PBFT_NODE_A_KEY_TX] = NLA_POLICY_EXACT_LEN(PBFT_KEY_LEN),
	[PBFT_NODE_A_KEY_RX] = NLA_POLICY_EXACT_LEN(PBFT_KEY_LEN),
	[PBFT_NODE_A_KEY_ID] = { .type = NLA_U8 },
};

/* One node as the message has it. */
struct node_spec {
	u32 id;
	bool replica;
	const struct nlattr *attr;	/* the nest, for extack */
	struct nlattr *a[PBFT_NODE_A_MAX + 1];
	union pbft_addr addr;
};

static bool is_node(const struct nlattr *attr)
{
	return nla_type(attr) == PBFT_A_REPLICA || nla_type(attr) == PBFT_A_CLIENT;
}

/* "replica" or "client", for sentences. */
static const char *kind(const struct node_spec *node)
{
	return node->replica ? "replica" : "client";
}

/* ---- endpoints -------------------------------------------------------------------- */

static bool addr_parse(const struct nlattr *attr, union pbft_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (nla_len(attr) == sizeof(addr->in)) {
		nla_memcpy(&addr->in, attr, sizeof(addr->in));
		memset(addr->in.sin_zero, 0, sizeof(addr->in.sin_zero));
		return addr->in.sin_family == AF_INET && addr->in.sin_port;
	}
	if (nla_len(attr) == sizeof(addr->in6)) {
		nla_memcpy(&addr->in6, attr, sizeof(addr->in6));
		addr->in6.sin6_flowinfo = 0;
		return addr->in6.sin6_family == AF_INET6 && addr->in6.sin6_port;
	}
	return false;
}

static bool addr_unicast(const union pbft_addr *addr, bool own)
{
	__be32 v4 = addr->in.sin_addr.s_addr;
	int type;

	if (addr->family == AF_INET)
		return !ipv4_is_multicast(v4) && !ipv4_is_lbcast(v4) &&
		       (own || !ipv4_is_zeronet(v4));
	type = ipv6_addr_type(&addr->in6.sin6_addr);
	if (type & (IPV6_ADDR_MULTICAST | IPV6_ADDR_MAPPED))
		return false;
	return own || type != IPV6_ADDR_ANY;
}

static int endpoint_parse(struct pbft_setup *s, struct node_spec *node)
{
	const struct nlattr *attr = node->a[PBFT_NODE_A_ENDPOINT];
	struct netlink_ext_ack *extack = s->info->extack;

	if (!node->replica)
		return attr ? pbft_refuse(extack, attr, -EINVAL,
					  "client %u: its address comes from its HELLO only",
					  node->id) : 0;
	if (!attr)
		return pbft_refuse(extack, node->attr, -EINVAL,
				   "replica %u has no endpoint", node->id);
	if (!addr_parse(attr, &node->addr))
		return pbft_refuse(extack, attr, -EINVAL,
				   "replica %u: the endpoint is no IPv4 or IPv6 address with a port",
				   node->id);
	if (!addr_unicast(&node->addr, node->id == s->conf.core.self))
		return pbft_refuse(extack, attr, -EINVAL,
				   "replica %u: the endpoint is no unicast address",
				   node->id);
	return 0;
}

/* ---- keys ----------------------------------------------------------------------------- */

static int key_error(struct pbft_setup *s, const struct node_spec *node, int err)
{
	if (err == -EKEYREJECTED)
		return pbft_refuse(s->info->extack,
				   node->a[PBFT_NODE_A_PUBLIC_KEY], err,
				   "%s %u: the public key is not usable",
				   kind(node), node->id);
	return pbft_refuse(s->info->extack, node->attr, err,
			   "%s %u: its keys cannot be made (error %d)",
			   kind(node), node->id, -err);
}

static bool has_raw(const struct node_spec *node)
{
	return node->a[PBFT_NODE_A_KEY_TX] || node->a[PBFT_NODE_A_KEY_RX];
}

static struct pbft_key *raw_key(const struct pbft_setup *s, const struct node_spec *node,
				int attr)
{
	const struct nlattr *id = node->a[PBFT_NODE_A_KEY_ID];

	return pbft_key_new(s->conf.self.mac, id ? nla_get_u8(id) : 0,
			    nla_data(node->a[attr]));
}

static int raw_keys_new(struct pbft_setup *s, const struct node_spec *node,
			struct pbft_key **tx, struct pbft_key **rx)
{
	*tx = raw_key(s, node, PBFT_NODE_A_KEY_TX);
	if (IS_ERR(*tx))
		return key_error(s, node, PTR_ERR(*tx));
	*rx = raw_key(s, node, PBFT_NODE_A_KEY_RX);
	if (IS_ERR(*rx)) {
		pbft_key_free(*tx);
		return key_error(s, node, PTR_ERR(*rx));
	}
	return 0;
}

static int keys_check(struct pbft_setup *s, const struct node_spec *node)
{
	struct netlink_ext_ack *extack = s->info->extack;
	bool tx = node->a[PBFT_NODE_A_KEY_TX], rx = node->a[PBFT_NODE_A_KEY_RX];

	if (tx != rx)
		return pbft_refuse(extack, node->attr, -EINVAL,
				   "%s %u: raw keys go in pairs, one for each direction",
				   kind(node), node->id);
	if (tx && node->a[PBFT_NODE_A_PUBLIC_KEY])
		return pbft_refuse(extack, node->attr, -EINVAL,
				   "%s %u: a public key or raw keys, not both",
				   kind(node), node->id);
	if (node->a[PBFT_NODE_A_PUBLIC_KEY] && !s->conf.self.has_key)
		return pbft_refuse(extack, node->attr, -ENOKEY,
				   "%s %u has a public key, but we have no private key",
				   kind(node), node->id);
	return 0;
}

/* ---- peers ------------------------------------------------------------------------------- */

/* The peer of before, if its keys serve this node too. */
static struct pbft_peer *peer_that_stays(struct pbft_setup *s,
					 const struct node_spec *node)
{
	const struct nlattr *pub = node->a[PBFT_NODE_A_PUBLIC_KEY];
	struct pbft_peer *peer;

	if (!s->inst || !s->same_identity)
		return NULL;
	peer = pbft_peer_find(pbft_instance_nodes(s->inst), node->id);
	if (!peer)
		return NULL;
	if (pub)
		return peer->derived && !memcmp(nla_data(pub), peer->public_key,
						PBFT_KEY_LEN) ? peer : NULL;
	return peer->derived ? NULL : peer;
}

static int peer_keep(struct pbft_setup *s, const struct node_spec *node,
		     struct pbft_peer *peer)
{
	struct pbft_change *c = &s->change[s->n_changes];
	int err;

	if (has_raw(node)) {
		err = raw_keys_new(s, node, &c->tx, &c->rx);
		if (err) {
			c->tx = NULL;
			c->rx = NULL;
			return err;
		}
	}
	c->peer = peer;
	c->addr = node->addr;
	s->n_changes++;
	pbft_peer_get(peer);
	return 0;
}

static int peer_make(struct pbft_setup *s, const struct node_spec *node,
		     struct pbft_peer *peer)
{
	const struct nlattr *pub = node->a[PBFT_NODE_A_PUBLIC_KEY];
	struct pbft_key *tx, *rx;
	int err;

	peer->addr = node->addr;
	if (pub) {
		err = pbft_peer_derive(peer, &s->conf.self, nla_data(pub),
				       s->conf.key_id);
		return err ? key_error(s, node, err) : 0;
	}
	if (!has_raw(node))
		return pbft_refuse(s->info->extack, node->attr, -ENOKEY,
				   "%s %u has no key", kind(node), node->id);
	err = raw_keys_new(s, node, &tx, &rx);
	if (err)
		return err;
	RCU_INIT_POINTER(peer->tx[0], tx);
	RCU_INIT_POINTER(peer->rx[0], rx);
	peer->rx_gen = rx->id;
	return 0;
}

static int peer_add(struct pbft_setup *s, const struct node_spec *node)
{
	struct pbft_peer *peer = peer_that_stays(s, node);
	int err;

	if (peer) {
		err = peer_keep(s, node, peer);
	} else if (s->inst && s->inst->up && node->replica) {
		return pbft_refuse(s->info->extack, node->attr, -EBUSY,
				   "replica %u: its keys cannot change while up: bring it down first",
				   node->id);
	} else {
		peer = pbft_peer_new(node->id);
		if (!peer)
			return pbft_refuse(s->info->extack, NULL, -ENOMEM,
					   "no memory for the nodes");
		err = peer_make(s, node, peer);
		if (err)
			pbft_peer_put(peer);
	}
	if (err)
		return err;
	err = pbft_nodes_add(s->nodes, peer);
	if (!err)
		return 0;
	pbft_peer_put(peer);
	if (err == -EEXIST)
		return pbft_refuse(s->info->extack, node->attr, err,
				   "%s %u is there twice", kind(node), node->id);
	return pbft_refuse(s->info->extack, NULL, err, "no memory for the nodes");
}

/* ---- nodes ------------------------------------------------------------------------------- */

static int node_parse(struct pbft_setup *s, const struct nlattr *attr,
		      struct node_spec *node)
{
	struct netlink_ext_ack *extack = s->info->extack;
	int err;

	memset(node, 0, sizeof(*node));
	node->attr = attr;
	node->replica = nla_type(attr) == PBFT_A_REPLICA;
	err = nla_parse_nested(node->a, PBFT_NODE_A_MAX, attr, node_policy,
			       extack);
	if (err)
		return err;
	if (!node->a[PBFT_NODE_A_ID])
		return pbft_refuse(extack, attr, -EINVAL, "a %s without an id",
				   kind(node));
	node->id = nla_get_u32(node->a[PBFT_NODE_A_ID]);
	if (node->replica && node->id >= s->conf.core.n)
		return pbft_refuse(extack, node->a[PBFT_NODE_A_ID], -ERANGE,
				   "replica %u: %u replicas have the ids 0 to %u",
				   node->id, s->conf.core.n, s->conf.core.n - 1);
	if (!node->replica && (node->id < PBFT_CLIENT_ID_MIN ||
			       node->id > PBFT_CLIENT_ID_MAX))
		return pbft_refuse(extack, node->a[PBFT_NODE_A_ID], -ERANGE,
				   "client %u: clients' ids are %u to %u",
				   node->id, PBFT_CLIENT_ID_MIN,
				   PBFT_CLIENT_ID_MAX);
	return endpoint_parse(s, node) ?: keys_check(s, node);
}

static int self_take(struct pbft_setup *s, const struct node_spec *node)
{
	const struct nlattr *pub = node->a[PBFT_NODE_A_PUBLIC_KEY];

	if (s->conf.listen.family)
		return pbft_refuse(s->info->extack, node->attr, -EEXIST,
				   "replica %u is there twice", node->id);
	if (pub && s->conf.self.has_key &&
	    memcmp(nla_data(pub), s->conf.self.public_key, PBFT_KEY_LEN))
		return pbft_refuse(s->info->extack, pub, -EKEYREJECTED,
				   "the private key is not that of replica %u",
				   node->id);
	s->conf.listen = node->addr;
	return 0;
}

void pbft_setup_count(const struct pbft_setup *s, u32 *replicas, u32 *clients)
{
	struct nlattr *attr;
	int rem;

	*replicas = 0;
	*clients = 0;
	nlmsg_for_each_attr(attr, s->info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) == PBFT_A_REPLICA)
			(*replicas)++;
		else if (nla_type(attr) == PBFT_A_CLIENT)
			(*clients)++;
	}
}

/* The table is full of distinct ids in range; what is left to compare. */
static int endpoints_check(struct pbft_setup *s)
{
	struct netlink_ext_ack *extack = s->info->extack;
	const union pbft_addr *addr[PBFT_N_MAX] = {};
	u32 i, j, k;

	for (i = 0; i < s->n_changes; i++) {
		if (s->change[i].peer->id < s->nodes->n)
			addr[s->change[i].peer->id] = &s->change[i].addr;
	}
	for (i = 0; i < s->nodes->n; i++) {
		if (i == s->conf.core.self)
			addr[i] = &s->conf.listen;
		else if (!addr[i])
			addr[i] = &s->nodes->replica[i]->addr;
		if (addr[i]->family != s->conf.listen.family)
			break;
		for (j = 0; j < i; j++) {
			if (pbft_addr_eq(addr[i], addr[j]))
				return pbft_refuse(extack, NULL, -EINVAL,
						   "replicas %u and %u have the same endpoint",
						   j, i);
		}
	}
	k = i;
	if (k < s->nodes->n)
		return pbft_refuse(extack, NULL, -EAFNOSUPPORT,
				   "replica %u: all endpoints must be of our own address family",
				   k);
	return 0;
}

static int nodes_complete(struct pbft_setup *s)
{
	u32 i, self = s->conf.core.self;

	if (!s->conf.listen.family)
		return pbft_refuse(s->info->extack, NULL, -EINVAL,
				   "replica %u, which we are, is missing", self);
	/* As many entries as ids, all in range and none twice: none is missing. */
	for (i = 0; i < s->nodes->n; i++) {
		if (i != self && !s->nodes->replica[i])
			return pbft_refuse(s->info->extack, NULL, -EINVAL,
					   "replica %u is missing", i);
	}
	return endpoints_check(s);
}

int pbft_setup_nodes(struct pbft_setup *s, u32 count)
{
	struct nlattr *attr;
	struct node_spec node;
	int rem, err;

	s->nodes = pbft_nodes_new(s->conf.core.n);
	s->change = kvcalloc(count, sizeof(*s->change), GFP_KERNEL);
	if (!s->nodes || !s->change)
		return pbft_refuse(s->info->extack, NULL, -ENOMEM,
				   "no memory for the nodes");
	memset(&s->conf.listen, 0, sizeof(s->conf.listen));
	nlmsg_for_each_attr(attr, s->info->nlhdr, GENL_HDRLEN, rem) {
		if (!is_node(attr))
			continue;
		err = node_parse(s, attr, &node);
		if (err)
			return err;
		err = node.replica && node.id == s->conf.core.self ?
			self_take(s, &node) : peer_add(s, &node);
		if (err)
			return err;
		cond_resched();
	}
	return nodes_complete(s);
}
