// SPDX-License-Identifier: GPL-2.0
/*
 * PBFT_CMD_GET. One instance in one message, its clients without their
 * counters; or, as a dump, in as many messages as it takes: first what the
 * instance is and does, then its nodes, each message naming the instance. Keys
 * are never among it, save the public ones.
 */
#include <linux/mm.h>
#include "conf.h"
#include "disk.h"
#include "netlink.h"

/* Of one node with all its counters, of one without, of everything else. */
#define NODE_SIZE	1024
#define CLIENT_SIZE	88
#define REST_SIZE	8192

static int instance_put(struct sk_buff *skb, struct pbft_instance *inst)
{
	struct pbft_counters counters = {};
	struct pbft_state_now state;
	struct pbft_disk_now disk;
	struct pbft_core *core;
	u64 now;
	int err;

	core = pbft_enter(inst, &now);
	pbft_state_take(inst, core, &state);
	if (core) {
		counters = *pbft_counters_get(core);
		pbft_disk_show(inst, &disk);
	}
	pbft_leave(inst);

	err = pbft_state_put(skb, inst, &state) ?:
	      pbft_conf_put(skb, &inst->conf) ?:
	      pbft_stats_put(skb, PBFT_A_COUNTER, inst->stats);
	if (!err && core)
		err = pbft_core_counters_put(skb, PBFT_A_COUNTER, &counters) ?:
		      pbft_disk_put(skb, &disk);
	return err;
}

static int addr_put(struct sk_buff *skb, const union pbft_addr *addr)
{
	switch (addr->family) {
	case AF_INET:
		return nla_put(skb, PBFT_NODE_A_ENDPOINT, sizeof(addr->in),
			       &addr->in);
	case AF_INET6:
		return nla_put(skb, PBFT_NODE_A_ENDPOINT, sizeof(addr->in6),
			       &addr->in6);
	}
	return 0;
}

static int peer_put(struct sk_buff *skb, struct pbft_peer *peer, bool counters)
{
	union pbft_addr addr = pbft_peer_addr(peer);

	if (peer->derived && nla_put(skb, PBFT_NODE_A_PUBLIC_KEY, PBFT_KEY_LEN,
				     peer->public_key))
		return -EMSGSIZE;
	/* The generation it has proved: without derived keys SET says which it is. */
	if (peer->derived &&
	    nla_put_u8(skb, PBFT_NODE_A_KEY_ID, READ_ONCE(peer->rx_gen)))
		return -EMSGSIZE;
	/* A client's is where its last HELLO came from. */
	if (addr_put(skb, &addr))
		return -EMSGSIZE;
	return counters ? pbft_peer_stats_put(skb, PBFT_NODE_A_COUNTER,
					      &peer->stats) : 0;
}

static int self_put(struct sk_buff *skb, const struct pbft_conf *conf)
{
	if (conf->self.has_key &&
	    nla_put(skb, PBFT_NODE_A_PUBLIC_KEY, PBFT_KEY_LEN,
		    conf->self.public_key))
		return -EMSGSIZE;
	return addr_put(skb, &conf->listen);
}

/* @peer NULL: ourselves. */
static int node_put(struct sk_buff *skb, struct pbft_instance *inst, u32 id,
		    struct pbft_peer *peer, bool counters)
{
	bool replica = id < inst->conf.core.n;
	struct nlattr *nest;
	int err;

	nest = nla_nest_start(skb, replica ? PBFT_A_REPLICA : PBFT_A_CLIENT);
	if (!nest)
		return -EMSGSIZE;
	err = nla_put_u32(skb, PBFT_NODE_A_ID, id);
	if (!err)
		err = peer ? peer_put(skb, peer, counters) :
			     self_put(skb, &inst->conf);
	if (err) {
		nla_nest_cancel(skb, nest);
		return err;
	}
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * The nodes from id *@next on, as many as fit; *@next is then the first that
 * did not. Return 0 when all did.
 */
static int nodes_put(struct sk_buff *skb, struct pbft_instance *inst,
		     unsigned long *next, bool client_counters)
{
	struct pbft_nodes *nodes = pbft_instance_nodes(inst);
	struct pbft_peer *peer;
	unsigned long id;
	int err;

	for (; *next < nodes->n; (*next)++) {
		err = node_put(skb, inst, *next, nodes->replica[*next], true);
		if (err)
			return err;
	}
	xa_for_each_start(&nodes->clients, id, peer, *next) {
		*next = id;
		err = node_put(skb, inst, id, peer, client_counters);
		if (err)
			return err;
	}
	*next = ULONG_MAX;
	return 0;
}

/* ---- one -------------------------------------------------------------------------- */

static int get(struct genl_info *info, struct pbft_instance *inst)
{
	struct pbft_nodes *nodes = pbft_instance_nodes(inst);
	unsigned long next = 0;
	struct sk_buff *msg;
	void *hdr;

	msg = genlmsg_new(REST_SIZE + nodes->n * NODE_SIZE +
			  nodes->n_clients * CLIENT_SIZE, GFP_KERNEL);
	if (!msg)
		return pbft_refuse(info->extack, NULL, -ENOMEM,
				   "no memory for the answer");
	hdr = genlmsg_put_reply(msg, info, &pbft_genl_family, 0, PBFT_CMD_GET);
	if (!hdr || instance_put(msg, inst) ||
	    nodes_put(msg, inst, &next, false)) {
		nlmsg_free(msg);
		return pbft_refuse(info->extack, NULL, -EMSGSIZE,
				   "the answer does not fit into one message: dump it");
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

int pbft_nl_get(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_net *pn = pbft_pernet(genl_info_net(info));
	struct pbft_instance *inst;
	int err;

	mutex_lock(&pn->mutex);
	inst = pbft_nl_instance(info, &err);
	if (inst)
		err = get(info, inst);
	mutex_unlock(&pn->mutex);
	return err;
}

/* ---- many ------------------------------------------------------------------------- */

/* Where a dump goes on; cb->ctx. */
struct dump_at {
	unsigned long id;	/* of the instance */
	unsigned long next;	/* its node */
	bool only;		/* this one instance */
	bool nodes;		/* what comes before its nodes is out */
};

#define DUMP_AT(cb) ((struct dump_at *)(cb)->ctx)

int pbft_nl_get_start(struct netlink_callback *cb)
{
	struct pbft_net *pn = pbft_pernet(sock_net(cb->skb->sk));
	struct dump_at *at = DUMP_AT(cb);
	struct pbft_instance *inst;
	struct nlattr *name;

	BUILD_BUG_ON(sizeof(*at) > sizeof(cb->ctx));
	memset(at, 0, sizeof(*at));
	cb->min_dump_alloc = REST_SIZE;
	name = nlmsg_find_attr(cb->nlh, GENL_HDRLEN, PBFT_A_NAME);
	if (!name)
		return 0;
	mutex_lock(&pn->mutex);
	inst = pbft_instance_find(sock_net(cb->skb->sk), nla_data(name));
	if (inst) {
		at->id = inst->id;
		at->only = true;
	}
	mutex_unlock(&pn->mutex);
	return inst ? 0 : pbft_refuse(cb->extack, name, -ENOENT,
				      "no instance has the name '%s'",
				      (const char *)nla_data(name));
}

static void *dump_begin(struct sk_buff *skb, struct netlink_callback *cb)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				cb->nlh->nlmsg_seq, &pbft_genl_family,
				NLM_F_MULTI, PBFT_CMD_GET);

	if (hdr)
		genl_dump_check_consistent(cb, hdr);
	return hdr;
}

static int dump_head(struct sk_buff *skb, struct netlink_callback *cb,
		     struct pbft_instance *inst)
{
	void *hdr = dump_begin(skb, cb);

	if (!hdr)
		return -EMSGSIZE;
	if (instance_put(skb, inst)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	return 0;
}

/* One message of nodes. 0: the last one. */
static int dump_nodes(struct sk_buff *skb, struct netlink_callback *cb,
		      struct pbft_instance *inst)
{
	struct dump_at *at = DUMP_AT(cb);
	unsigned long first = at->next;
	void *hdr = dump_begin(skb, cb);
	int err;

	if (!hdr)
		return -EMSGSIZE;
	if (nla_put_string(skb, PBFT_A_NAME, inst->name) ||
	    nla_put_u32(skb, PBFT_A_ID, inst->id)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	err = nodes_put(skb, inst, &at->next, true);
	if (err && at->next == first)
		genlmsg_cancel(skb, hdr);
	else
		genlmsg_end(skb, hdr);
	return err;
}

static int dump_one(struct sk_buff *skb, struct netlink_callback *cb,
		    struct pbft_instance *inst)
{
	struct dump_at *at = DUMP_AT(cb);
	int err;

	if (!at->nodes) {
		err = dump_head(skb, cb, inst);
		if (err)
			return err;
		at->nodes = true;
		at->next = 0;
	}
	return dump_nodes(skb, cb, inst);
}

int pbft_nl_get_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct pbft_net *pn = pbft_pernet(sock_net(skb->sk));
	struct dump_at *at = DUMP_AT(cb);
	struct pbft_instance *inst;
	unsigned long id;
	int err = 0;

	mutex_lock(&pn->mutex);
	cb->seq = pn->generation;
	xa_for_each_start(&pn->instances, id, inst, at->id) {
		if (at->only && id != at->id)
			break;
		if (id != at->id) {
			at->id = id;
			at->nodes = false;
		}
		err = dump_one(skb, cb, inst);
		if (err)
			break;
		at->id = id + 1;
		at->nodes = false;
		if (at->only) {
			at->id = ULONG_MAX;
			break;
		}
	}
	mutex_unlock(&pn->mutex);
	/* Nothing fitted: an error. Something did: it goes on later. */
	return skb->len ?: err;
}
