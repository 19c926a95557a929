// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: the daemon bound to an instance. Answers go out without waiting for
 * an acknowledgment; what the kernel sends is checked and handed out.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "libpbft/nl_priv.h"

/* ---- daemon to kernel ------------------------------------------------- */

struct bind_arg {
	struct pbft_nl_bound *out;
	bool id, mtu;
};

static int on_bound(void *arg, struct nlmsghdr *nlh)
{
	struct bind_arg *ba = arg;
	const struct nlattr *a;
	int rem;

	nl_for_each(a, nlh, rem) {
		if (nla_type(a) == PBFT_A_ID)
			ba->id = pbft_nl_u32(a, &ba->out->id);
		else if (nla_type(a) == PBFT_A_PEER_MTU)
			ba->mtu = pbft_nl_u32(a, &ba->out->peer_mtu);
	}
	return 0;
}

int pbft_nl_bind(struct pbft_nl *nl, const char *name,
		 const struct pbft_nl_head *head, struct pbft_nl_bound *out)
{
	struct bind_arg ba = { .out = out };
	struct nl_msg *msg;
	int rc;

	msg = pbft_nl_msg(nl, PBFT_CMD_BIND, NLM_F_ACK, 256 + strlen(name));
	if (!msg)
		return -ENOMEM;
	nla_put_string(msg, PBFT_A_NAME, name);
	nla_put(msg, PBFT_A_HEAD, sizeof(*head), head);
	rc = pbft_nl_transact(nl, msg, on_bound, &ba);
	if (rc)
		return rc;
	if (!ba.id || !ba.mtu)
		return pbft_nl_fail(nl, -EBADMSG,
				    "the kernel's answer to BIND is malformed");
	return 0;
}

static struct nl_msg *daemon_msg(struct pbft_nl *nl, u8 cmd, u32 id, size_t room)
{
	struct nl_msg *msg = pbft_nl_msg(nl, cmd, 0, room + 64);

	if (msg)
		nla_put_u32(msg, PBFT_A_ID, id);
	return msg;
}

static int put_result(struct nl_msg *msg, const struct pbft_result *r)
{
	struct pbft_nl_result *out;
	struct nlattr *a;

	a = nla_reserve(msg, PBFT_A_RESULT, sizeof(*out) + r->len);
	if (!a)
		return -EMSGSIZE;
	out = nla_data(a);
	out->status = r->status;
	if (r->len)
		memcpy(out->data, r->data, r->len);
	return 0;
}

int pbft_nl_executed(struct pbft_nl *nl, u32 id, u64 seq,
		     const struct pbft_result *results, u32 count)
{
	struct nl_msg *msg;
	size_t room = 0;

	for (u32 i = 0; i < count; i++) {
		if (results[i].len > PBFT_OP_MAX)
			return pbft_nl_fail(nl, -EMSGSIZE,
					    "a result of %u bytes, more than %u",
					    results[i].len, PBFT_OP_MAX);
		room += nla_total_size(sizeof(struct pbft_nl_result) +
				       results[i].len);
	}
	msg = daemon_msg(nl, PBFT_CMD_EXECUTED, id, room);
	if (!msg)
		return -ENOMEM;
	nla_put_u64(msg, PBFT_A_SEQ, seq);
	for (u32 i = 0; i < count; i++) {
		if (put_result(msg, &results[i])) {
			nlmsg_free(msg);
			return pbft_nl_fail(nl, -EMSGSIZE,
					    "the results do not fit in a message");
		}
	}
	return pbft_nl_post(nl, msg);
}

static int post_state(struct pbft_nl *nl, u8 cmd, u32 id, u64 seq,
		      const u8 digest[PBFT_DIGEST_LEN])
{
	struct nl_msg *msg = daemon_msg(nl, cmd, id, 64);

	if (!msg)
		return -ENOMEM;
	nla_put_u64(msg, PBFT_A_SEQ, seq);
	nla_put(msg, PBFT_A_DIGEST, PBFT_DIGEST_LEN, digest);
	return pbft_nl_post(nl, msg);
}

int pbft_nl_checkpointed(struct pbft_nl *nl, u32 id, u64 seq,
			 const u8 digest[PBFT_DIGEST_LEN])
{
	return post_state(nl, PBFT_CMD_CHECKPOINTED, id, seq, digest);
}

int pbft_nl_state_installed(struct pbft_nl *nl, u32 id, u64 seq,
			    const u8 digest[PBFT_DIGEST_LEN])
{
	return post_state(nl, PBFT_CMD_STATE_INSTALLED, id, seq, digest);
}

int pbft_nl_fetch_progress(struct pbft_nl *nl, u32 id, u64 seq, u64 done, u64 total)
{
	struct nl_msg *msg = daemon_msg(nl, PBFT_CMD_FETCH_PROGRESS, id, 64);

	if (!msg)
		return -ENOMEM;
	nla_put_u64(msg, PBFT_A_SEQ, seq);
	nla_put_u64(msg, PBFT_A_FETCH_DONE, done);
	nla_put_u64(msg, PBFT_A_FETCH_TOTAL, total);
	return pbft_nl_post(nl, msg);
}

int pbft_nl_recovery(struct pbft_nl *nl, u32 id, const struct pbft_nl_recovery *r)
{
	struct nl_msg *msg = daemon_msg(nl, PBFT_CMD_RECOVERY, id, 128);
	struct nlattr *nest;

	if (!msg)
		return -ENOMEM;
	nla_put_u64(msg, PBFT_A_SEQ, r->seq);
	nest = nla_nest_start(msg, PBFT_A_RECOVERY | NLA_F_NESTED);
	nla_put_u32(msg, PBFT_RECOVERY_A_STATE, r->state);
	if (r->scheduled)
		nla_put_flag(msg, PBFT_RECOVERY_A_SCHEDULED);
	nla_put_u32(msg, PBFT_RECOVERY_A_TOTAL, r->total);
	nla_put_u32(msg, PBFT_RECOVERY_A_CHECKED, r->checked);
	nla_put_u32(msg, PBFT_RECOVERY_A_DAMAGED, r->damaged);
	nla_put_u32(msg, PBFT_RECOVERY_A_REPAIRED, r->repaired);
	nla_nest_end(msg, nest);
	return pbft_nl_post(nl, msg);
}

int pbft_nl_peer_send(struct pbft_nl *nl, u32 id, u32 peer,
		      const void *data, u32 len)
{
	struct nl_msg *msg = daemon_msg(nl, PBFT_CMD_PEER_SEND, id, len + 64);

	if (!msg)
		return -ENOMEM;
	nla_put_u32(msg, PBFT_A_PEER_ID, peer);
	if (nla_put(msg, PBFT_A_DATA, len, data)) {
		nlmsg_free(msg);
		return pbft_nl_fail(nl, -EMSGSIZE,
				    "%u bytes for a peer do not fit in a message",
				    len);
	}
	return pbft_nl_post(nl, msg);
}

/* ---- kernel to daemon --------------------------------------------------- */

struct dispatch {
	struct pbft_nl *nl;
	const struct pbft_nl_daemon_ops *ops;
	void *arg;
	int count;
};

/* What any message to the daemon may hold; have: attributes seen, as bits. */
struct daemon_attrs {
	u64 have;
	u32 id, peer;
	u64 seq, peers;
	struct pbft_nl_head head;
	u8 digest[PBFT_DIGEST_LEN];
	const void *data;
	u32 data_len;
	u32 n_ops;
	struct pbft_nl_op ops[PBFT_BATCH_MAX];
};

static bool get_request(struct daemon_attrs *d, const struct nlattr *a)
{
	struct pbft_nl_request head;
	struct pbft_nl_op *op;

	if (d->n_ops == PBFT_BATCH_MAX || (size_t)nla_len(a) < sizeof(head))
		return false;
	memcpy(&head, nla_data(a), sizeof(head));
	op = &d->ops[d->n_ops++];
	op->client = head.client;
	op->flags = head.flags;
	op->session = head.session;
	op->t = head.t;
	op->op = (const char *)nla_data(a) + sizeof(head);
	op->op_len = nla_len(a) - sizeof(head);
	return true;
}

static bool get_attr(struct daemon_attrs *d, const struct nlattr *a)
{
	switch (nla_type(a)) {
	case PBFT_A_ID:
		return pbft_nl_u32(a, &d->id);
	case PBFT_A_SEQ:
		return pbft_nl_u64(a, &d->seq);
	case PBFT_A_HEAD:
		return pbft_nl_bytes(a, &d->head, sizeof(d->head));
	case PBFT_A_DIGEST:
		return pbft_nl_bytes(a, d->digest, sizeof(d->digest));
	case PBFT_A_PEERS:
		return pbft_nl_u64(a, &d->peers);
	case PBFT_A_PEER_ID:
		return pbft_nl_u32(a, &d->peer);
	case PBFT_A_DATA:
		d->data = nla_data(a);
		d->data_len = nla_len(a);
		return true;
	case PBFT_A_REQUEST:
		return get_request(d, a);
	default:
		return true;
	}
}

static bool get_attrs(struct daemon_attrs *d, const struct nlmsghdr *nlh)
{
	const struct nlattr *a;
	int rem;

	d->have = 0;
	d->n_ops = 0;
	nl_for_each(a, nlh, rem) {
		if (nla_type(a) > PBFT_A_MAX)
			continue;
		if (!get_attr(d, a))
			return false;
		d->have |= 1ull << nla_type(a);
	}
	return true;
}

#define HAS(attr) (1ull << (attr))

static u64 required(u8 cmd)
{
	static_assert(PBFT_A_MAX < 64, "attributes are bits of daemon_attrs.have");

	switch (cmd) {
	case PBFT_CMD_APPLY:
		return HAS(PBFT_A_ID) | HAS(PBFT_A_HEAD);
	case PBFT_CMD_SNAPSHOT:
	case PBFT_CMD_DISCARD:
		return HAS(PBFT_A_ID) | HAS(PBFT_A_SEQ);
	case PBFT_CMD_FETCH_STATE:
		return HAS(PBFT_A_ID) | HAS(PBFT_A_HEAD) | HAS(PBFT_A_DIGEST) |
		       HAS(PBFT_A_PEERS);
	case PBFT_CMD_PEER_RECV:
		return HAS(PBFT_A_ID) | HAS(PBFT_A_PEER_ID) | HAS(PBFT_A_DATA);
	case PBFT_CMD_REVALIDATE:
		return HAS(PBFT_A_ID);
	default:
		return 0;
	}
}

static void call(struct dispatch *dp, u8 cmd, const struct daemon_attrs *d)
{
	const struct pbft_nl_daemon_ops *ops = dp->ops;

	switch (cmd) {
	case PBFT_CMD_APPLY:
		if (ops->apply)
			ops->apply(dp->arg, d->id, &d->head, d->ops, d->n_ops);
		break;
	case PBFT_CMD_SNAPSHOT:
		if (ops->snapshot)
			ops->snapshot(dp->arg, d->id, d->seq);
		break;
	case PBFT_CMD_DISCARD:
		if (ops->discard)
			ops->discard(dp->arg, d->id, d->seq);
		break;
	case PBFT_CMD_FETCH_STATE:
		if (ops->fetch_state)
			ops->fetch_state(dp->arg, d->id, &d->head, d->digest,
					 d->peers);
		break;
	case PBFT_CMD_PEER_RECV:
		if (ops->peer_recv)
			ops->peer_recv(dp->arg, d->id, d->peer, d->data,
				       d->data_len);
		break;
	case PBFT_CMD_REVALIDATE:
		if (ops->revalidate)
			ops->revalidate(dp->arg, d->id);
		break;
	}
}

/* An answer of ours that the kernel refused. */
static void refused(struct dispatch *dp, const struct nlmsghdr *nlh)
{
	char text[256];
	int err = pbft_nl_error_of(nlh, NULL, text, sizeof(text));

	if (err && dp->ops->refused)
		dp->ops->refused(dp->arg,
				 dp->nl->posted[nlh->nlmsg_seq % NL_POSTED],
				 err, text);
}

static int on_message(void *arg, struct nlmsghdr *nlh)
{
	struct dispatch *dp = arg;
	struct daemon_attrs d;
	u64 need;

	if (nlh->nlmsg_type == NLMSG_ERROR) {
		refused(dp, nlh);
		dp->count++;
		return 0;
	}
	need = required(nl_cmd(nlh));
	if (!need)
		return 0;	/* not for a daemon */
	if (!get_attrs(&d, nlh) || (d.have & need) != need)
		return pbft_nl_fail(dp->nl, -EBADMSG,
				    "the kernel sent a malformed message (command %u)",
				    nl_cmd(nlh));
	call(dp, nl_cmd(nlh), &d);
	dp->count++;
	return 0;
}

int pbft_nl_dispatch(struct pbft_nl *nl, const struct pbft_nl_daemon_ops *ops,
		     void *arg, unsigned int max)
{
	struct dispatch dp = { .nl = nl, .ops = ops, .arg = arg };
	int rc = pbft_nl_receive(nl, max, on_message, &dp);

	return rc < 0 ? rc : dp.count;
}
