// SPDX-License-Identifier: GPL-2.0
/*
 * PBFT_CMD_SET: a whole new configuration is made beside the one there is,
 * checked to the end, and only then takes its place; a refusal has changed
 * nothing. Attributes that are absent keep their value. The nodes, if any is
 * given, are the complete list. While an instance is up only that list may
 * change: clients that come and go, replicas' endpoints, raw keys.
 */
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include "conf.h"
#include "events.h"
#include "netlink.h"
#include "setup.h"

/* ---- making ----------------------------------------------------------------------- */

static int private_key_check(struct pbft_setup *s)
{
	struct nlattr *attr = s->info->attrs[PBFT_A_PRIVATE_KEY];
	struct pbft_identity *id = &s->conf.self;

	if (!attr)
		return 0;
	if (!pbft_curve_available())
		return pbft_refuse(s->info->extack, attr, -EOPNOTSUPP,
				   "this kernel has no Curve25519: give raw keys for every node instead");
	if (!pbft_public_key(id->public_key, id->private_key))
		return pbft_refuse(s->info->extack, attr, -EKEYREJECTED,
				   "the private key is not usable");
	return 0;
}

static int mac_check(struct pbft_setup *s)
{
	struct nlattr *attr = s->info->attrs[PBFT_A_MAC];
	const char *why;
	int err;

	if (!attr && s->inst)
		return 0;
	err = pbft_mac_check(s->conf.self.mac, &why);
	return err ? pbft_refuse_text(s->info->extack, attr, err, why) : 0;
}

static int setup_identity(struct pbft_setup *s, bool nodes_given)
{
	int err = private_key_check(s) ?: mac_check(s);

	if (err)
		return err;
	s->same_identity = s->inst &&
		pbft_identity_eq(&s->inst->conf.self, &s->conf.self) &&
		s->inst->conf.key_id == s->conf.key_id;
	if (!nodes_given && s->inst && !s->same_identity)
		return pbft_refuse(s->info->extack, NULL, -EINVAL,
				   "what keys depend on changes: give all nodes again");
	return 0;
}

static int setup_parse(struct pbft_setup *s)
{
	struct pbft_conf *conf = &s->conf;
	u32 replicas, clients;
	int err;

	if (s->inst)
		*conf = s->inst->conf;
	else
		pbft_conf_default(conf);
	pbft_conf_parse(conf, s->info);
	pbft_setup_count(s, &replicas, &clients);
	if (!s->inst && !replicas)
		return pbft_refuse(s->info->extack, NULL, -EINVAL,
				   "a new instance needs its replicas");
	if (replicas || clients) {
		conf->core.n = replicas;
		if (!s->inst && !s->info->attrs[PBFT_A_FAULTS])
			conf->core.f = replicas ? pbft_max_faults(replicas) : 0;
		conf->core.clients_max = max(conf->core.clients_max, clients);
	}
	err = pbft_conf_check(conf, s->info) ?:
	      setup_identity(s, replicas || clients);
	if (!err && (replicas || clients))
		err = pbft_setup_nodes(s, replicas + clients);
	return err;
}

/* ---- taking its place ------------------------------------------------------------- */

static int setup_check_up(struct pbft_setup *s)
{
	const char *what;

	if (!s->inst || !s->inst->up)
		return 0;
	what = pbft_conf_differs(&s->inst->conf, &s->conf);
	if (!what)
		return 0;
	return pbft_refuse(s->info->extack, NULL, -EBUSY,
			   "%s cannot change while up: bring it down first",
			   what);
}

static void setup_free(struct pbft_setup *s)
{
	u32 i;

	for (i = 0; s->change && i < s->n_changes; i++) {
		pbft_key_free(s->change[i].tx);
		pbft_key_free(s->change[i].rx);
	}
	kvfree(s->change);
	pbft_nodes_free(s->nodes);
	memzero_explicit(&s->conf, sizeof(s->conf));
}

static void changes_commit(struct pbft_setup *s)
{
	struct pbft_instance *inst = s->inst;
	struct pbft_change *c;

	mutex_lock(&inst->key_mutex);
	for (c = s->change; c < s->change + s->n_changes; c++) {
		if (c->peer->id < s->conf.core.n)
			pbft_peer_set_addr(c->peer, &c->addr);
		if (!c->tx)
			continue;
		pbft_key_free_rcu(pbft_key_install(c->peer->tx, c->tx,
						   inst->key_id));
		pbft_key_free_rcu(pbft_key_install(c->peer->rx, c->rx,
						   c->peer->rx_gen));
		WRITE_ONCE(c->peer->rx_gen, c->rx->id);
		c->tx = NULL;
		c->rx = NULL;
	}
	mutex_unlock(&inst->key_mutex);
}

static int setup_commit(struct pbft_setup *s)
{
	struct pbft_instance *inst = s->inst;
	int err;

	if (inst->up && s->nodes) {
		err = pbft_instance_change_clients(inst, s->nodes);
		if (err)
			return pbft_refuse_text(s->info->extack, NULL, err,
						err == -ENOSPC ?
						"more clients than there is room for while up: bring it down first" :
						"no memory for the clients");
	}
	if (!inst->up) {
		inst->conf = s->conf;
		inst->wire.cluster = s->conf.core.cluster;
		inst->wire.epoch = s->conf.core.epoch;
		inst->wire.n = s->conf.core.n;
		inst->key_id = s->conf.key_id;
	}
	if (s->nodes) {
		changes_commit(s);
		s->nodes = pbft_instance_swap_nodes(inst, s->nodes);
	}
	return 0;
}

static int setup_create(struct pbft_setup *s, const char *name)
{
	s->inst = pbft_instance_new(genl_info_net(s->info), name, &s->conf,
				    s->nodes);
	if (IS_ERR(s->inst))
		return pbft_refuse(s->info->extack, NULL, PTR_ERR(s->inst),
				   "no memory for the instance");
	s->nodes = NULL;
	pbft_event_now(s->inst, PBFT_NL_EV_CREATED);
	return 0;
}

static bool name_valid(const char *name)
{
	if (!*name)
		return false;
	for (; *name; name++) {
		if (!isgraph(*name) || *name == '/')
			return false;
	}
	return true;
}

static int set(struct pbft_setup *s, const char *name)
{
	int err;

	s->inst = pbft_instance_find(genl_info_net(s->info), name);
	err = setup_parse(s) ?: setup_check_up(s);
	if (!err)
		err = s->inst ? setup_commit(s) : setup_create(s, name);
	setup_free(s);
	return err;
}

int pbft_nl_set(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_net *pn = pbft_pernet(genl_info_net(info));
	struct nlattr *attr = info->attrs[PBFT_A_NAME];
	struct pbft_setup *s;
	int err;

	if (!attr || !name_valid(nla_data(attr)))
		return pbft_refuse(info->extack, attr, -EINVAL,
				   "the name must be 1 to %u printable characters without '/'",
				   PBFT_NAME_MAX);
	s = kzalloc(sizeof(*s), GFP_KERNEL);
	if (!s)
		return -ENOMEM;
	s->info = info;
	mutex_lock(&pn->mutex);
	err = set(s, nla_data(attr));
	mutex_unlock(&pn->mutex);
	kfree(s);
	return err;
}
