// SPDX-License-Identifier: GPL-2.0
/*
 * The generic netlink family "pbft": its table of commands, what each of them
 * accepts, and the short ones of administration. All of it needs CAP_NET_ADMIN
 * in the user namespace that owns the network namespace.
 */
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/mm.h>
#include "apply.h"
#include "compat.h"
#include "netlink.h"

#define NAME_POLICY { .type = NLA_NUL_STRING, .len = PBFT_NAME_MAX }

static const struct nla_policy set_policy[PBFT_A_MAX + 1] = {
	[PBFT_A_NAME] = NAME_POLICY,
	[PBFT_A_CLUSTER] = { .type = NLA_U64 },
	[PBFT_A_EPOCH] = { .type = NLA_U32 },
	[PBFT_A_FAULTS] = { .type = NLA_U32 },
	[PBFT_A_SELF] = { .type = NLA_U32 },
	[PBFT_A_PRIVATE_KEY] = NLA_POLICY_EXACT_LEN(PBFT_KEY_LEN),
	[PBFT_A_MAC] = { .type = NLA_NUL_STRING, .len = PBFT_MAC_NAME_MAX },
	[PBFT_A_MTU] = { .type = NLA_U32 },
	[PBFT_A_CHECKPOINT_INTERVAL] = { .type = NLA_U32 },
	[PBFT_A_WINDOW] = { .type = NLA_U32 },
	[PBFT_A_PIPELINE] = { .type = NLA_U32 },
	[PBFT_A_BATCH_MAX] = { .type = NLA_U32 },
	[PBFT_A_BATCH_BYTES] = { .type = NLA_U32 },
	[PBFT_A_INLINE_MAX] = { .type = NLA_U32 },
	[PBFT_A_TIMEOUT] = { .type = NLA_U64 },
	[PBFT_A_TIMEOUT_MAX] = { .type = NLA_U64 },
	[PBFT_A_STATUS_INTERVAL] = { .type = NLA_U64 },
	[PBFT_A_HEARTBEAT] = { .type = NLA_U64 },
	[PBFT_A_CLOCK_SKEW] = { .type = NLA_U64 },
	[PBFT_A_REPLICA] = { .type = NLA_NESTED },
	[PBFT_A_CLIENT] = { .type = NLA_NESTED },
	[PBFT_A_SERVICE] = { .type = NLA_U32 },
	[PBFT_A_NULL_REPLY] = { .type = NLA_U32 },
	[PBFT_A_KEY_ID] = { .type = NLA_U8 },
	[PBFT_A_RECOVERY_INTERVAL] = { .type = NLA_U64 },
};

static const struct nla_policy name_policy[PBFT_A_NAME + 1] = {
	[PBFT_A_NAME] = NAME_POLICY,
};

static const struct nla_policy up_policy[PBFT_A_JOURNAL_MODE + 1] = {
	[PBFT_A_NAME] = NAME_POLICY,
	[PBFT_A_GENESIS] = { .type = NLA_FLAG },
	[PBFT_A_JOURNAL_FD] = { .type = NLA_U32 },
	[PBFT_A_JOURNAL_MODE] = NLA_POLICY_MAX(NLA_U32, PBFT_JOURNAL_SYNC),
};

static const struct nla_policy set_key_policy[PBFT_A_KEY_ID + 1] = {
	[PBFT_A_NAME] = NAME_POLICY,
	[PBFT_A_KEY_ID] = { .type = NLA_U8 },
};

static const struct nla_policy bind_policy[PBFT_A_HEAD + 1] = {
	[PBFT_A_NAME] = NAME_POLICY,
	[PBFT_A_HEAD] = NLA_POLICY_EXACT_LEN(sizeof(struct pbft_nl_head)),
};

static const struct nla_policy executed_policy[PBFT_A_RESULT + 1] = {
	[PBFT_A_ID] = { .type = NLA_U32 },
	[PBFT_A_SEQ] = { .type = NLA_U64 },
	[PBFT_A_RESULT] = NLA_POLICY_MIN_LEN(sizeof(struct pbft_nl_result)),
};

static const struct nla_policy digest_policy[PBFT_A_DIGEST + 1] = {
	[PBFT_A_ID] = { .type = NLA_U32 },
	[PBFT_A_SEQ] = { .type = NLA_U64 },
	[PBFT_A_DIGEST] = NLA_POLICY_EXACT_LEN(PBFT_DIGEST_LEN),
};

static const struct nla_policy peer_send_policy[PBFT_A_DATA + 1] = {
	[PBFT_A_ID] = { .type = NLA_U32 },
	[PBFT_A_PEER_ID] = { .type = NLA_U32 },
	[PBFT_A_DATA] = { .type = NLA_BINARY, .len = PBFT_MTU_MAX },
};

static const struct nla_policy progress_policy[PBFT_A_FETCH_TOTAL + 1] = {
	[PBFT_A_ID] = { .type = NLA_U32 },
	[PBFT_A_SEQ] = { .type = NLA_U64 },
	[PBFT_A_FETCH_DONE] = { .type = NLA_U64 },
	[PBFT_A_FETCH_TOTAL] = { .type = NLA_U64 },
};

static const struct nla_policy recovery_nest_policy[PBFT_RECOVERY_A_REPAIRED + 1] = {
	[PBFT_RECOVERY_A_STATE] = NLA_POLICY_RANGE(NLA_U32, PBFT_RECOVERY_RUNNING,
						   PBFT_RECOVERY_GIVEN_UP),
	[PBFT_RECOVERY_A_SCHEDULED] = { .type = NLA_FLAG },
	[PBFT_RECOVERY_A_TOTAL] = { .type = NLA_U32 },
	[PBFT_RECOVERY_A_CHECKED] = { .type = NLA_U32 },
	[PBFT_RECOVERY_A_DAMAGED] = { .type = NLA_U32 },
	[PBFT_RECOVERY_A_REPAIRED] = { .type = NLA_U32 },
};

static const struct nla_policy recovery_policy[PBFT_A_RECOVERY + 1] = {
	[PBFT_A_ID] = { .type = NLA_U32 },
	[PBFT_A_SEQ] = { .type = NLA_U64 },
	[PBFT_A_RECOVERY] = NLA_POLICY_NESTED(recovery_nest_policy),
};

struct pbft_instance *pbft_nl_instance(struct genl_info *info, int *err)
{
	struct nlattr *name = info->attrs[PBFT_A_NAME];
	struct pbft_instance *inst;

	if (!name) {
		*err = pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_NAME is missing: which instance");
		return NULL;
	}
	inst = pbft_instance_find(genl_info_net(info), nla_data(name));
	if (!inst)
		*err = pbft_refuse(info->extack, name, -ENOENT,
				   "no instance has the name '%s'",
				   (const char *)nla_data(name));
	return inst;
}

/* ---- commands of administration ------------------------------------------------ */

static int do_del(struct genl_info *info, struct pbft_instance *inst)
{
	pbft_instance_delete(inst);
	return 0;
}

/* The descriptor is the caller's: we are in its context. up->journal is to be put. */
static int journal_get(struct genl_info *info, struct pbft_up *up)
{
	struct nlattr *mode = info->attrs[PBFT_A_JOURNAL_MODE];
	struct nlattr *fd = info->attrs[PBFT_A_JOURNAL_FD];

	up->mode = fd ? PBFT_JOURNAL_SYNC : PBFT_JOURNAL_NONE;
	if (mode)
		up->mode = nla_get_u32(mode);
	if (!fd && up->mode == PBFT_JOURNAL_NONE)
		return 0;
	if (!fd)
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_JOURNAL_FD is missing: where the journal is");
	if (up->mode == PBFT_JOURNAL_NONE)
		return pbft_refuse(info->extack, mode, -EINVAL,
				   "a journal in mode none is none: leave it away");
	/*
	 * Going down waits for the file, and others wait for a namespace to go:
	 * no file that its owner can stall, as with FUSE, may be in the way.
	 */
	if (!capable(CAP_NET_ADMIN))
		return pbft_refuse(info->extack, fd, -EPERM,
				   "a journal needs CAP_NET_ADMIN in the initial user namespace");
	up->journal = fget(nla_get_u32(fd));
	if (!up->journal)
		return pbft_refuse(info->extack, fd, -EBADF,
				   "PBFT_A_JOURNAL_FD is not an open file of the caller");
	return 0;
}

static int do_up(struct genl_info *info, struct pbft_instance *inst)
{
	struct pbft_up up = { .genesis = info->attrs[PBFT_A_GENESIS] };
	const char *why;
	int err;

	if (inst->up)
		return pbft_refuse(info->extack, NULL, -EALREADY,
				   "the instance is up already");
	err = journal_get(info, &up);
	if (err)
		return err;
	err = pbft_instance_up(inst, &up, &why);
	if (up.journal)
		fput(up.journal);
	return err ? pbft_refuse_text(info->extack, NULL, err, why) : 0;
}

static int do_down(struct genl_info *info, struct pbft_instance *inst)
{
	if (!inst->up)
		return pbft_refuse(info->extack, NULL, -EALREADY,
				   "the instance is down already");
	pbft_instance_down(inst);
	return 0;
}

static int do_set_key(struct genl_info *info, struct pbft_instance *inst)
{
	struct nlattr *attr = info->attrs[PBFT_A_KEY_ID];
	u32 peer;
	int err;
	u8 id;

	if (!attr)
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_KEY_ID is missing");
	id = nla_get_u8(attr);
	if (id == inst->key_id)
		return 0;
	if (!pbft_key_newer(id, inst->key_id))
		return pbft_refuse(info->extack, attr, -EINVAL,
				   "key generation %u is older than %u: others would refuse it",
				   id, inst->key_id);
	err = pbft_rekey(inst, id, &peer);
	if (err == -ENOKEY)
		return pbft_refuse(info->extack, attr, err,
				   "node %u has no raw key of generation %u",
				   peer, id);
	if (err)
		return pbft_refuse(info->extack, attr, err,
				   "no key of generation %u for node %u (error %d)",
				   id, peer, -err);
	inst->conf.key_id = id;
	return 0;
}

static int do_recover(struct genl_info *info, struct pbft_instance *inst)
{
	int err;

	if (inst->conf.service != PBFT_SERVICE_DAEMON)
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "this instance runs the null service, which has no state to recover");
	err = pbft_recovery_ask(inst);
	switch (err) {
	case -ENETDOWN:
		return pbft_refuse(info->extack, NULL, err,
				   "the instance is down: bring it up first");
	case -ESHUTDOWN:
		return pbft_refuse(info->extack, NULL, err,
				   "the instance has stopped");
	case -ENOTCONN:
		return pbft_refuse(info->extack, NULL, err,
				   "no daemon is bound to this instance: there is nobody to check the state");
	case -EALREADY:
		return pbft_refuse(info->extack, NULL, err,
				   "a recovery is under way already");
	}
	return err;
}

typedef int (*command_fn)(struct genl_info *info, struct pbft_instance *inst);

static int administer(struct genl_info *info, command_fn command)
{
	struct pbft_net *pn = pbft_pernet(genl_info_net(info));
	struct pbft_instance *inst;
	int err;

	mutex_lock(&pn->mutex);
	inst = pbft_nl_instance(info, &err);
	if (inst)
		err = command(info, inst);
	mutex_unlock(&pn->mutex);
	return err;
}

static int nl_del(struct sk_buff *skb, struct genl_info *info)
{
	return administer(info, do_del);
}

static int nl_up(struct sk_buff *skb, struct genl_info *info)
{
	return administer(info, do_up);
}

static int nl_down(struct sk_buff *skb, struct genl_info *info)
{
	return administer(info, do_down);
}

static int nl_set_key(struct sk_buff *skb, struct genl_info *info)
{
	return administer(info, do_set_key);
}

static int nl_recover(struct sk_buff *skb, struct genl_info *info)
{
	return administer(info, do_recover);
}

/* ---- the family -------------------------------------------------------------------- */

#define OP(_cmd, _doit, _policy) { \
	.cmd = _cmd, \
	.flags = GENL_UNS_ADMIN_PERM, \
	.doit = _doit, \
	.policy = _policy, \
	.maxattr = ARRAY_SIZE(_policy) - 1, \
}

static const struct genl_ops ops[] = {
	OP(PBFT_CMD_SET, pbft_nl_set, set_policy),
	{
		.cmd = PBFT_CMD_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = pbft_nl_get,
		.start = pbft_nl_get_start,
		.dumpit = pbft_nl_get_dump,
		.policy = name_policy,
		.maxattr = ARRAY_SIZE(name_policy) - 1,
	},
	OP(PBFT_CMD_DEL, nl_del, name_policy),
	OP(PBFT_CMD_UP, nl_up, up_policy),
	OP(PBFT_CMD_DOWN, nl_down, name_policy),
	OP(PBFT_CMD_SET_KEY, nl_set_key, set_key_policy),
	OP(PBFT_CMD_BIND, pbft_nl_bind, bind_policy),
	OP(PBFT_CMD_EXECUTED, pbft_nl_executed, executed_policy),
	OP(PBFT_CMD_CHECKPOINTED, pbft_nl_checkpointed, digest_policy),
	OP(PBFT_CMD_STATE_INSTALLED, pbft_nl_state_installed, digest_policy),
	OP(PBFT_CMD_PEER_SEND, pbft_nl_peer_send, peer_send_policy),
	OP(PBFT_CMD_FETCH_PROGRESS, pbft_nl_fetch_progress, progress_policy),
	OP(PBFT_CMD_RECOVER, nl_recover, name_policy),
	OP(PBFT_CMD_RECOVERY, pbft_nl_recovery, recovery_policy),
};

static const struct genl_multicast_group groups[] = {
	{
		.name = PBFT_GENL_MCGRP_EVENTS,
		.flags = PBFT_COMPAT_MCGRP_FLAGS,
	},
};

struct genl_family pbft_genl_family __ro_after_init = {
	.name = PBFT_GENL_NAME,
	.version = PBFT_GENL_VERSION,
	.netnsok = true,
	.parallel_ops = true,	/* our own locks suffice: a slow SET holds up no daemon */
	.module = THIS_MODULE,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
};

int __init pbft_netlink_init(void)
{
	return genl_register_family(&pbft_genl_family);
}

void pbft_netlink_exit(void)
{
	genl_unregister_family(&pbft_genl_family);
}
