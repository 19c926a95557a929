// SPDX-License-Identifier: GPL-2.0
/*
 * What a daemon says: that it is the application, what it has executed, the
 * digest of its state, how far it is with another one or with a recovery, and
 * datagrams for other daemons. A daemon that answers nonsense has lost its way,
 * and its state cannot be trusted any more: the instance stops, with a reason.
 */
#include <linux/slab.h>
#include "apply.h"
#include "io.h"
#include "netlink.h"
#include "trace.h"

/* ---- binding ------------------------------------------------------------------- */

static int refuse_bind(struct genl_info *info, int err)
{
	struct nlattr *head = info->attrs[PBFT_A_HEAD];

	switch (err) {
	case -ENETDOWN:
		return pbft_refuse(info->extack, NULL, err,
				   "the instance is down: bring it up first");
	case -EBUSY:
	case -EEXIST:
		return pbft_refuse(info->extack, NULL, -EBUSY,
				   "another daemon is bound to this instance");
	case -ESTALE:
		return pbft_refuse(info->extack, head, err,
				   "the instance came up as a new cluster, but this application has lived before");
	case -EBADMSG:
		return pbft_refuse(info->extack, head, err,
				   "the application's log is not this cluster's");
	}
	return pbft_refuse(info->extack, NULL, err, "the core refuses the application (error %d)",
			   -err);
}

static struct sk_buff *bind_reply(struct genl_info *info,
				  const struct pbft_instance *inst)
{
	struct sk_buff *msg = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);
	void *hdr;

	if (!msg)
		return NULL;
	hdr = genlmsg_put_reply(msg, info, &pbft_genl_family, 0, PBFT_CMD_BIND);
	if (!hdr || nla_put_u32(msg, PBFT_A_ID, inst->id) ||
	    nla_put_u32(msg, PBFT_A_PEER_MTU, pbft_peer_mtu(inst))) {
		nlmsg_free(msg);
		return NULL;
	}
	genlmsg_end(msg, hdr);
	return msg;
}

static int bind(struct sk_buff *skb, struct genl_info *info,
		struct pbft_instance *inst)
{
	struct pbft_log_head head;
	struct pbft_nl_head nl;
	struct sk_buff *reply;
	int err;

	if (inst->conf.service != PBFT_SERVICE_DAEMON)
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "this instance runs the null service, which needs no daemon");
	nla_memcpy(&nl, info->attrs[PBFT_A_HEAD], sizeof(nl));
	head.seq = nl.seq;
	head.time = nl.time;
	memcpy(head.chain.b, nl.chain, sizeof(head.chain.b));
	reply = bind_reply(info, inst);
	if (!reply)
		return pbft_refuse(info->extack, NULL, -ENOMEM,
				   "no memory for the answer");

	/* The answer comes before anything the binding sets going. */
	mutex_lock(&inst->deliver_mutex);
	err = pbft_daemon_bind(inst, info->snd_portid, NETLINK_CB(skb).sk, &head);
	if (err)
		nlmsg_free(reply);
	else
		genlmsg_reply(reply, info);
	mutex_unlock(&inst->deliver_mutex);
	return err ? refuse_bind(info, err) : 0;
}

int pbft_nl_bind(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_net *pn = pbft_pernet(genl_info_net(info));
	struct pbft_instance *inst;
	int err;

	if (!info->attrs[PBFT_A_HEAD])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_HEAD is missing: where the application stands");
	mutex_lock(&pn->mutex);
	inst = pbft_nl_instance(info, &err);
	if (inst)
		err = bind(skb, info, inst);
	mutex_unlock(&pn->mutex);
	return err;
}

/* ---- answers ---------------------------------------------------------------------- */

/* The instance that PBFT_A_ID names, or NULL. Under RCU. */
static struct pbft_instance *instance_by_id(struct genl_info *info)
{
	struct pbft_net *pn = pbft_pernet(genl_info_net(info));

	return xa_load(&pn->instances, nla_get_u32(info->attrs[PBFT_A_ID]));
}

struct answer {
	u8 cmd;
	u64 seq;
	struct pbft_digest digest;
	const struct pbft_result *results;
	u32 count;
	const struct pbft_fetch_progress *progress;
	const struct pbft_recovery *recovery;
};

static int answer_core(struct pbft_instance *inst, struct pbft_core *core,
		       u64 now, const struct answer *a)
{
	static const char * const nonsense[] = {
		[PBFT_CMD_EXECUTED] = "the daemon answered a batch that was not its next, or with a wrong number of results",
		[PBFT_CMD_CHECKPOINTED] = "the daemon gave a state digest that was not asked for",
		[PBFT_CMD_STATE_INSTALLED] = "the daemon installed a state that was not asked for",
	};
	int err = -EINVAL;

	switch (a->cmd) {
	case PBFT_CMD_EXECUTED:
		err = pbft_executed(core, now, a->seq, a->results, a->count);
		pbft_daemon_answered(inst);
		break;
	case PBFT_CMD_CHECKPOINTED:
		err = pbft_checkpointed(core, now, a->seq, &a->digest);
		break;
	case PBFT_CMD_STATE_INSTALLED:
		err = pbft_state_installed(core, now, a->seq, &a->digest);
		break;
	case PBFT_CMD_FETCH_PROGRESS:
		inst->daemon.progress = *a->progress;
		err = 0;
		break;
	case PBFT_CMD_RECOVERY:
		pbft_recovery_told(inst, core, a->recovery);
		err = 0;
		break;
	}
	trace_pbft_answer(inst, a->cmd, a->seq, err);
	if (err)
		pbft_stop(core, nonsense[a->cmd]);
	return err;
}

/*
 * Does this answer follow one that never came? Generic netlink drops a message that it
 * has no memory for, and the daemon may have sent the next one before it hears of that.
 * It has executed what it was told to: where its state stands it says when it binds again.
 */
static bool follows_lost(const struct pbft_daemon *d, const struct answer *a)
{
	u64 answered = d->sent - d->unanswered;

	if (!d->unanswered || a->seq > d->sent)
		return false;
	switch (a->cmd) {
	case PBFT_CMD_EXECUTED:
		return a->seq > answered + 1;
	case PBFT_CMD_CHECKPOINTED:
		return a->seq > answered;
	}
	return false;
}

/* Only the daemon's own socket may answer for it. */
static int answer(struct genl_info *info, const struct answer *a)
{
	struct pbft_instance *inst;
	struct pbft_core *core;
	int err = -ENOENT;
	u64 now;

	rcu_read_lock();
	inst = instance_by_id(info);
	if (inst) {
		core = pbft_enter(inst, &now);
		if (!core || !pbft_daemon_is(inst, info->snd_portid))
			err = -ENOTCONN;
		else if (inst->stopped)
			err = -ESHUTDOWN;
		else if (follows_lost(&inst->daemon, a))
			err = -ECONNRESET;
		else
			err = answer_core(inst, core, now, a);
		pbft_leave(inst);
		if (err == -ECONNRESET)
			pbft_daemon_unbind(inst, info->snd_portid);
	}
	rcu_read_unlock();

	switch (err) {
	case 0:
		return 0;
	case -ENOENT:
		return pbft_refuse(info->extack, info->attrs[PBFT_A_ID], err,
				   "no instance has this id");
	case -ENOTCONN:
		return pbft_refuse(info->extack, info->attrs[PBFT_A_ID], err,
				   "this socket is not bound to the instance");
	case -ECONNRESET:
		return pbft_refuse(info->extack, info->attrs[PBFT_A_SEQ], -ENOTCONN,
				   "an answer before this one was lost: bind again");
	case -ESHUTDOWN:
		return pbft_refuse(info->extack, NULL, err,
				   "the instance has stopped");
	}
	return pbft_refuse(info->extack, info->attrs[PBFT_A_SEQ], err,
			   "not the answer that was due: the instance stops");
}

/* Every answer names the instance and a sequence number. */
static int answer_head(struct genl_info *info, u8 cmd, struct answer *a)
{
	if (!info->attrs[PBFT_A_ID])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_ID is missing: the instance, from BIND's reply");
	if (!info->attrs[PBFT_A_SEQ])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_SEQ is missing");
	memset(a, 0, sizeof(*a));
	a->cmd = cmd;
	a->seq = nla_get_u64(info->attrs[PBFT_A_SEQ]);
	return 0;
}

static int result_parse(struct genl_info *info, const struct nlattr *attr,
			struct pbft_result *res)
{
	struct pbft_nl_result nl;

	/* The policy has seen to it that the fixed part is there. */
	memcpy(&nl, nla_data(attr), sizeof(nl));
	res->len = nla_len(attr) - sizeof(nl);
	res->data = nla_data(attr) + sizeof(nl);
	res->status = nl.status;
	if (nl.status > PBFT_ST_APP_ERROR)
		return pbft_refuse(info->extack, attr, -EINVAL,
				   "%u is no status of a result", nl.status);
	if (res->len > PBFT_OP_MAX)
		return pbft_refuse(info->extack, attr, -EMSGSIZE,
				   "a result of %u bytes; %u is the most",
				   res->len, PBFT_OP_MAX);
	return 0;
}

static int results_parse(struct genl_info *info, struct pbft_result *results,
			 u32 *count)
{
	struct nlattr *attr;
	int rem, err;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != PBFT_A_RESULT)
			continue;
		if (*count == PBFT_BATCH_MAX)
			return pbft_refuse(info->extack, attr, -E2BIG,
					   "more results than a batch has requests");
		err = result_parse(info, attr, &results[*count]);
		if (err)
			return err;
		(*count)++;
	}
	return 0;
}

/* A daemon that sends malformed results will not send better ones. */
static void stop_for(struct genl_info *info, const char *reason)
{
	struct pbft_instance *inst;
	struct pbft_core *core;
	u64 now;

	rcu_read_lock();
	inst = instance_by_id(info);
	if (inst) {
		core = pbft_enter(inst, &now);
		if (core && pbft_daemon_is(inst, info->snd_portid))
			pbft_stop(core, reason);
		pbft_leave(inst);
	}
	rcu_read_unlock();
}

int pbft_nl_executed(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_result *results;
	struct answer a;
	int err;

	err = answer_head(info, PBFT_CMD_EXECUTED, &a);
	if (err)
		return err;
	results = kvcalloc(PBFT_BATCH_MAX, sizeof(*results), GFP_KERNEL);
	if (!results)
		return pbft_refuse(info->extack, NULL, -ENOMEM,
				   "no memory for the results: send them again");
	err = results_parse(info, results, &a.count);
	a.results = results;
	if (err)
		stop_for(info, "the daemon sent results that no batch can have");
	else
		err = answer(info, &a);
	kvfree(results);
	return err;
}

static int answer_digest(struct genl_info *info, u8 cmd)
{
	struct answer a;
	int err;

	err = answer_head(info, cmd, &a);
	if (err)
		return err;
	if (!info->attrs[PBFT_A_DIGEST])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_DIGEST is missing");
	nla_memcpy(a.digest.b, info->attrs[PBFT_A_DIGEST], sizeof(a.digest.b));
	return answer(info, &a);
}

int pbft_nl_checkpointed(struct sk_buff *skb, struct genl_info *info)
{
	return answer_digest(info, PBFT_CMD_CHECKPOINTED);
}

int pbft_nl_state_installed(struct sk_buff *skb, struct genl_info *info)
{
	return answer_digest(info, PBFT_CMD_STATE_INSTALLED);
}

/* ---- progress ------------------------------------------------------------------------ */

/* For show only: what a daemon says wrongly here harms nobody, so it may go on. */
int pbft_nl_fetch_progress(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *done = info->attrs[PBFT_A_FETCH_DONE];
	struct nlattr *total = info->attrs[PBFT_A_FETCH_TOTAL];
	struct pbft_fetch_progress p;
	struct answer a;
	int err;

	err = answer_head(info, PBFT_CMD_FETCH_PROGRESS, &a);
	if (err)
		return err;
	if (!done || !total)
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_FETCH_DONE and PBFT_A_FETCH_TOTAL are both needed");
	p.seq = a.seq;
	p.done = nla_get_u64(done);
	p.total = nla_get_u64(total);
	if (p.done > p.total)
		return pbft_refuse(info->extack, done, -EINVAL,
				   "%llu bytes of %llu cannot be here", p.done, p.total);
	a.progress = &p;
	return answer(info, &a);
}

static u32 number(const struct nlattr *attr)
{
	return attr ? nla_get_u32(attr) : 0;
}

/* The policy has looked at each of them. */
static int recovery_parse(struct genl_info *info, struct pbft_recovery *r)
{
	struct nlattr *nest = info->attrs[PBFT_A_RECOVERY];
	struct nlattr *a[PBFT_RECOVERY_A_MAX + 1];
	int err = nla_parse_nested(a, PBFT_RECOVERY_A_MAX, nest, NULL, info->extack);

	if (err)
		return err;
	r->scheduled = a[PBFT_RECOVERY_A_SCHEDULED];
	r->state = number(a[PBFT_RECOVERY_A_STATE]);
	r->total = number(a[PBFT_RECOVERY_A_TOTAL]);
	r->checked = number(a[PBFT_RECOVERY_A_CHECKED]);
	r->damaged = number(a[PBFT_RECOVERY_A_DAMAGED]);
	r->repaired = number(a[PBFT_RECOVERY_A_REPAIRED]);
	if (!r->state)
		return pbft_refuse(info->extack, nest, -EINVAL,
				   "PBFT_RECOVERY_A_STATE is missing");
	if (r->checked > r->total || r->damaged > r->checked ||
	    r->repaired > r->damaged)
		return pbft_refuse(info->extack, nest, -EINVAL,
				   "%u pages repaired of %u damaged of %u checked of %u cannot be",
				   r->repaired, r->damaged, r->checked, r->total);
	return 0;
}

int pbft_nl_recovery(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_recovery r = {};
	struct answer a;
	int err;

	err = answer_head(info, PBFT_CMD_RECOVERY, &a);
	if (err)
		return err;
	if (!info->attrs[PBFT_A_RECOVERY])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_RECOVERY is missing");
	err = recovery_parse(info, &r);
	if (err)
		return err;
	r.seq = a.seq;
	a.recovery = &r;
	return answer(info, &a);
}

/* ---- datagrams between daemons ------------------------------------------------------ */

static int peer_send(struct genl_info *info, struct pbft_instance *inst)
{
	struct nlattr *data = info->attrs[PBFT_A_DATA];
	struct nlattr *id = info->attrs[PBFT_A_PEER_ID];
	int err;

	if (READ_ONCE(inst->daemon.portid) != info->snd_portid)
		return pbft_refuse(info->extack, info->attrs[PBFT_A_ID],
				   -ENOTCONN,
				   "this socket is not bound to the instance");
	if (nla_len(data) > pbft_peer_mtu(inst))
		return pbft_refuse(info->extack, data, -EMSGSIZE,
				   "a datagram of %d bytes; %u is the most",
				   nla_len(data), pbft_peer_mtu(inst));
	err = pbft_tx_peer_data(inst, nla_get_u32(id), nla_data(data),
				nla_len(data));
	switch (err) {
	case 0:
		return 0;
	case -EDESTADDRREQ:
		return pbft_refuse(info->extack, id, err,
				   "%u is not another replica of the cluster",
				   nla_get_u32(id));
	case -ENETDOWN:
		return pbft_refuse(info->extack, NULL, err,
				   "the instance is down");
	}
	return pbft_refuse(info->extack, NULL, err, "no memory for the datagram");
}

int pbft_nl_peer_send(struct sk_buff *skb, struct genl_info *info)
{
	struct pbft_instance *inst;
	int err;

	if (!info->attrs[PBFT_A_ID] || !info->attrs[PBFT_A_PEER_ID] ||
	    !info->attrs[PBFT_A_DATA])
		return pbft_refuse(info->extack, NULL, -EINVAL,
				   "PBFT_A_ID, PBFT_A_PEER_ID and PBFT_A_DATA are all needed");
	rcu_read_lock();
	inst = instance_by_id(info);
	err = inst ? peer_send(info, inst) :
		     pbft_refuse(info->extack, info->attrs[PBFT_A_ID], -ENOENT,
				 "no instance has this id");
	rcu_read_unlock();
	return err;
}
