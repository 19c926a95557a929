/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the netlink wrapper share: nl*.c. */
#ifndef PBFT_NL_PRIV_H
#define PBFT_NL_PRIV_H

#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/genl/genl.h>

#include "libpbft/nl.h"

struct nl_stash;

#define NL_POSTED	256

struct pbft_nl {
	struct nl_sock *sk;
	int fd;
	int family;
	u8 *buf;			/* one datagram */
	size_t cap;
	struct nl_stash *stash;		/* came while an answer was awaited */
	struct nl_stash **stash_tail;
	u8 posted[NL_POSTED];		/* command by sequence number: errors name only that */
	char error[320];
};

/* Called for one message; negative ends the exchange with that error. */
typedef int (*nl_message_fn)(void *arg, struct nlmsghdr *nlh);

/* Remember a sentence and return @rc. */
int pbft_nl_fail(struct pbft_nl *nl, int rc, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* A command with room for @room bytes of attributes; NULL: pbft_nl_fail()ed. */
struct nl_msg *pbft_nl_msg(struct pbft_nl *nl, u8 cmd, int flags, size_t room);

/* Both consume @msg. The first waits for the answer, the second does not. */
int pbft_nl_transact(struct pbft_nl *nl, struct nl_msg *msg, nl_message_fn fn,
		     void *arg);
int pbft_nl_post(struct pbft_nl *nl, struct nl_msg *msg);

/*
 * What has arrived, message by message, without waiting; at most @max
 * datagrams, 0 for all. Return their number or the first error.
 */
int pbft_nl_receive(struct pbft_nl *nl, unsigned int max, nl_message_fn fn,
		    void *arg);

/*
 * The kernel's words in an NLMSG_ERROR or NLMSG_DONE; its error as -errno.
 * @sent, the message it is about, tells which attribute was meant; NULL if gone.
 */
int pbft_nl_error_of(const struct nlmsghdr *nlh, const struct nlmsghdr *sent,
		     char *text, size_t len);
const char *pbft_nl_plain_error(int err);

/* Fill @st from the attributes of a GET or EVENT. false: malformed. */
bool pbft_nl_status_parse(struct pbft_nl_status *st, const struct nlmsghdr *nlh);

/* The value of an attribute, if its length is right. */
bool pbft_nl_u32(const struct nlattr *a, u32 *v);
bool pbft_nl_u64(const struct nlattr *a, u64 *v);
bool pbft_nl_bytes(const struct nlattr *a, void *out, size_t len);

#define nl_for_each(pos, nlh, rem) \
	nlmsg_for_each_attr(pos, nlh, GENL_HDRLEN, rem)

static inline u8 nl_cmd(const struct nlmsghdr *nlh)
{
	return ((const struct genlmsghdr *)nlmsg_data(nlh))->cmd;
}

#endif /* PBFT_NL_PRIV_H */
