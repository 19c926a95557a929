// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: what the kernel says when it refuses.
 *
 * The module's own sentences are passed on as they are. Those of netlink's
 * general checks ("integer out of range") do not say what they are about, only
 * where it stands in the message, so the attribute's name is put before them.
 */
#include <errno.h>
#include <stdio.h>

#include "libpbft/nl_priv.h"

const char *pbft_nl_plain_error(int err)
{
	switch (err) {
	case -EPERM:
		return "not permitted: this needs CAP_NET_ADMIN";
	case -EMSGSIZE:
		return "the message is too long for the socket";
	default:
		return strerror(-err);
	}
}

static const char *const attr_names[PBFT_A_MAX + 1] = {
	[PBFT_A_NAME] = "the name",
	[PBFT_A_CLUSTER] = "Id",
	[PBFT_A_EPOCH] = "Epoch",
	[PBFT_A_FAULTS] = "Faults",
	[PBFT_A_SELF] = "the replica's own id",
	[PBFT_A_PRIVATE_KEY] = "the private key",
	[PBFT_A_MAC] = "Mac",
	[PBFT_A_MTU] = "Mtu",
	[PBFT_A_CHECKPOINT_INTERVAL] = "CheckpointInterval",
	[PBFT_A_WINDOW] = "Window",
	[PBFT_A_PIPELINE] = "Pipeline",
	[PBFT_A_BATCH_MAX] = "BatchMax",
	[PBFT_A_BATCH_BYTES] = "BatchBytes",
	[PBFT_A_INLINE_MAX] = "InlineMax",
	[PBFT_A_TIMEOUT] = "Timeout",
	[PBFT_A_TIMEOUT_MAX] = "TimeoutMax",
	[PBFT_A_STATUS_INTERVAL] = "StatusInterval",
	[PBFT_A_HEARTBEAT] = "Heartbeat",
	[PBFT_A_CLOCK_SKEW] = "ClockSkew",
	[PBFT_A_RECOVERY_INTERVAL] = "Recovery",
	[PBFT_A_REPLICA] = "a replica",
	[PBFT_A_CLIENT] = "a client",
	[PBFT_A_SERVICE] = "the service",
	[PBFT_A_NULL_REPLY] = "the null service's reply size",
	[PBFT_A_KEY_ID] = "the key generation",
	[PBFT_A_HEAD] = "the application's log position",
	[PBFT_A_SEQ] = "the sequence number",
	[PBFT_A_DIGEST] = "the digest",
	[PBFT_A_RESULT] = "a result",
	[PBFT_A_PEER_ID] = "the peer's id",
	[PBFT_A_DATA] = "the data",
	[PBFT_A_JOURNAL_FD] = "the journal's descriptor",
	[PBFT_A_JOURNAL_MODE] = "the journal's mode",
	[PBFT_A_RECOVERY] = "the recovery",
};

static bool is_general(const char *text)
{
	static const char *const general[] = {
		"Attribute failed policy validation",
		"NLA_F_NESTED is missing",
		"NLA_F_NESTED not expected",
		"Unknown attribute type",
		"Unsupported attribute",
		"binary attribute size out of range",
		"integer out of range",
		"invalid attribute length",
		"reserved bit set",
	};

	for (size_t i = 0; i < ARRAY_SIZE(general); i++)
		if (!strcmp(text, general[i]))
			return true;
	return false;
}

/* The name of what stands @offset bytes into the message; NULL: no idea. */
static const char *name_at(const struct nlmsghdr *sent, u32 offset)
{
	const struct nlattr *a;
	int rem;

	nl_for_each(a, sent, rem) {
		u32 at = (const char *)a - (const char *)sent;

		if (offset < at || offset >= at + nla_total_size(nla_len(a)))
			continue;
		return nla_type(a) <= PBFT_A_MAX ? attr_names[nla_type(a)] : NULL;
	}
	return NULL;
}

/* NLMSG_ERROR echoes the request's header, and its rest unless capped. */
static int attrs_at(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = nlmsg_data(nlh);
	size_t at = sizeof(*e);

	if (nlh->nlmsg_type == NLMSG_DONE)
		return sizeof(int);
	if (!(nlh->nlmsg_flags & NLM_F_CAPPED) &&
	    e->msg.nlmsg_len > sizeof(e->msg))
		at += NLMSG_ALIGN(e->msg.nlmsg_len - sizeof(e->msg));
	return at < (size_t)nlmsg_datalen(nlh) ? (int)at : nlmsg_datalen(nlh);
}

static void read_extack(const struct nlmsghdr *nlh, const struct nlmsghdr *sent,
			char *text, size_t len)
{
	int at = attrs_at(nlh), rem;
	const struct nlattr *a;
	const char *name = NULL;
	char words[256] = "";
	u32 offset;

	nla_for_each_attr(a, (struct nlattr *)((char *)nlmsg_data(nlh) + at),
			  nlmsg_datalen(nlh) - at, rem) {
		if (nla_type(a) == NLMSGERR_ATTR_MSG)
			snprintf(words, sizeof(words), "%.*s", nla_len(a),
				 (const char *)nla_data(a));
		else if (nla_type(a) == NLMSGERR_ATTR_OFFS && sent &&
			 pbft_nl_u32(a, &offset))
			name = name_at(sent, offset);
	}
	if (!words[0])
		return;
	if (name && is_general(words))
		snprintf(text, len, "%s: %s", name, words);
	else
		snprintf(text, len, "%s", words);
}

int pbft_nl_error_of(const struct nlmsghdr *nlh, const struct nlmsghdr *sent,
		     char *text, size_t len)
{
	size_t need = nlh->nlmsg_type == NLMSG_DONE ? sizeof(int) :
		      sizeof(struct nlmsgerr);
	int err;

	if ((size_t)nlmsg_datalen(nlh) < need) {
		snprintf(text, len, "the kernel's answer is malformed");
		return -EBADMSG;
	}
	memcpy(&err, nlmsg_data(nlh), sizeof(err));
	if (err >= 0)
		return 0;
	snprintf(text, len, "%s", pbft_nl_plain_error(err));
	if (nlh->nlmsg_flags & NLM_F_ACK_TLVS)
		read_extack(nlh, sent, text, len);
	return err;
}
