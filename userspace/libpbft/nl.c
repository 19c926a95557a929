// SPDX-License-Identifier: GPL-2.0
/*
 * Netlink: sockets, exchanges, errors and events.
 *
 * libnl builds and parses; sending and receiving is done here, since an answer,
 * the kernel's sentence on an error (extack) and a message to the daemon may
 * come in one stream and none of them may be lost.
 */
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/errno.h>

#include "libpbft/nl_priv.h"

/* A batch of the largest size and the attributes around it fit. */
#define RECV_CAP	(PBFT_MSG_MAX + 64 * 1024)
/* Results of the largest batch fit; the kernel grants it to administrators. */
#define SOCKET_BUFFER	(18 * 1024 * 1024)
#define ANSWER_MS	30000

struct nl_stash {
	struct nl_stash *next;
	struct nlmsghdr nlh[];
};

int pbft_nl_fail(struct pbft_nl *nl, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(nl->error, sizeof(nl->error), fmt, ap);
	va_end(ap);
	return rc;
}

const char *pbft_nl_error(const struct pbft_nl *nl)
{
	return nl->error;
}

int pbft_nl_fd(const struct pbft_nl *nl)
{
	return nl->fd;
}

bool pbft_nl_u32(const struct nlattr *a, u32 *v)
{
	return pbft_nl_bytes(a, v, sizeof(*v));
}

bool pbft_nl_u64(const struct nlattr *a, u64 *v)
{
	return pbft_nl_bytes(a, v, sizeof(*v));
}

bool pbft_nl_bytes(const struct nlattr *a, void *out, size_t len)
{
	if ((size_t)nla_len(a) != len)
		return false;
	memcpy(out, nla_data(a), len);
	return true;
}

/* ---- opening ---------------------------------------------------------- */

static void set_buffer(int fd, int force, int plain)
{
	int size = SOCKET_BUFFER;

	if (setsockopt(fd, SOL_SOCKET, force, &size, sizeof(size)))
		setsockopt(fd, SOL_SOCKET, plain, &size, sizeof(size));
}

static int resolve(struct pbft_nl *nl)
{
	int rc;

	rc = genl_connect(nl->sk);
	if (rc < 0)
		return pbft_nl_fail(nl, -EPROTONOSUPPORT,
				    "no generic netlink here: %s",
				    nl_geterror(rc));
	nl->family = genl_ctrl_resolve(nl->sk, PBFT_GENL_NAME);
	/* libnl says the same when the kernel had no memory to answer */
	if (nl->family == -NLE_OBJ_NOTFOUND)
		return pbft_nl_fail(nl, -ENOENT,
				    "netlink family \"%s\" cannot be found: is the module loaded?",
				    PBFT_GENL_NAME);
	if (nl->family < 0)
		return pbft_nl_fail(nl, -EIO,
				    "netlink family \"%s\" cannot be resolved: %s",
				    PBFT_GENL_NAME, nl_geterror(nl->family));
	return 0;
}

static int prepare(struct pbft_nl *nl)
{
	int one = 1, rc;

	nl->stash_tail = &nl->stash;
	nl->sk = nl_socket_alloc();
	nl->cap = RECV_CAP;
	nl->buf = malloc(nl->cap);
	if (!nl->sk || !nl->buf)
		return pbft_nl_fail(nl, -ENOMEM, "out of memory");
	rc = resolve(nl);
	if (rc)
		return rc;
	nl->fd = nl_socket_get_fd(nl->sk);
	set_buffer(nl->fd, SO_SNDBUFFORCE, SO_SNDBUF);
	set_buffer(nl->fd, SO_RCVBUFFORCE, SO_RCVBUF);
	/* Without these the errors merely lack words or carry our own back. */
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	return 0;
}

static int open_common(struct pbft_nl **out, bool events, char *err,
		       size_t errlen)
{
	struct pbft_nl *nl = calloc(1, sizeof(*nl));
	int rc, group;

	*out = NULL;
	if (!nl) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	rc = prepare(nl);
	if (!rc && events) {
		group = genl_ctrl_resolve_grp(nl->sk, PBFT_GENL_NAME,
					      PBFT_GENL_MCGRP_EVENTS);
		if (group < 0)
			rc = pbft_nl_fail(nl, -ENOENT,
					  "netlink group \"%s\" cannot be resolved: %s",
					  PBFT_GENL_MCGRP_EVENTS,
					  nl_geterror(group));
		else if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP,
				    &group, sizeof(group)))
			rc = pbft_nl_fail(nl, -errno,
					  "cannot subscribe to events: %s",
					  strerror(errno));
	}
	if (rc) {
		snprintf(err, errlen, "%s", nl->error);
		pbft_nl_close(nl);
		return rc;
	}
	/* Who wants an answer says so: one not wanted may overrun a daemon's socket. */
	nl_socket_disable_auto_ack(nl->sk);
	*out = nl;
	return 0;
}

int pbft_nl_open(struct pbft_nl **nl, char *err, size_t errlen)
{
	return open_common(nl, false, err, errlen);
}

int pbft_nl_events_open(struct pbft_nl **nl, char *err, size_t errlen)
{
	return open_common(nl, true, err, errlen);
}

void pbft_nl_close(struct pbft_nl *nl)
{
	if (!nl)
		return;
	while (nl->stash) {
		struct nl_stash *s = nl->stash;

		nl->stash = s->next;
		free(s);
	}
	if (nl->sk)
		nl_socket_free(nl->sk);
	free(nl->buf);
	free(nl);
}

/* ---- exchanges ------------------------------------------------------------ */

struct nl_msg *pbft_nl_msg(struct pbft_nl *nl, u8 cmd, int flags, size_t room)
{
	struct nl_msg *msg = nlmsg_alloc_size(NLMSG_HDRLEN + GENL_HDRLEN + room);

	if (!msg || !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0,
				 flags, cmd, PBFT_GENL_VERSION)) {
		nlmsg_free(msg);
		pbft_nl_fail(nl, -ENOMEM, "out of memory");
		return NULL;
	}
	return msg;
}

/* Return the sequence number it went out with, or 0 with *@rc set. */
static u32 send_msg(struct pbft_nl *nl, struct nl_msg *msg, int *rc)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct nlmsghdr *nlh;
	ssize_t n;

	nl_complete_msg(nl->sk, msg);
	nlh = nlmsg_hdr(msg);
	nlh->nlmsg_flags |= NLM_F_REQUEST;
	nl->posted[nlh->nlmsg_seq % NL_POSTED] = nl_cmd(nlh);
	do {
		n = sendto(nl->fd, nlh, nlh->nlmsg_len, 0,
			   (struct sockaddr *)&kernel, sizeof(kernel));
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*rc = 0;
		return nlh->nlmsg_seq;
	}
	*rc = -errno;
	pbft_nl_fail(nl, *rc, "%s", pbft_nl_plain_error(*rc));
	return 0;
}

int pbft_nl_post(struct pbft_nl *nl, struct nl_msg *msg)
{
	int rc;

	send_msg(nl, msg, &rc);
	nlmsg_free(msg);
	return rc;
}

/* One datagram of the kernel's into nl->buf. Return its length or -errno. */
static int receive_datagram(struct pbft_nl *nl, int flags)
{
	struct sockaddr_nl from;
	socklen_t fromlen;
	ssize_t n;

	do {
		fromlen = sizeof(from);
		n = recvfrom(nl->fd, nl->buf, nl->cap, flags | MSG_TRUNC,
			     (struct sockaddr *)&from, &fromlen);
		/* only the kernel is port 0 */
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.nl_pid));
	if (n < 0 && errno == ENOBUFS)
		return pbft_nl_fail(nl, -ENOBUFS,
				    "the socket overran: messages were lost");
	if (n < 0 && errno == ENETDOWN)
		return pbft_nl_fail(nl, -ENETDOWN, "the instance went down");
	if (n < 0)
		return pbft_nl_fail(nl, -errno, "receiving: %s",
				    strerror(errno));
	if ((size_t)n > nl->cap)
		return pbft_nl_fail(nl, -EMSGSIZE,
				    "a message of %zd bytes from the kernel, more than %zu",
				    n, nl->cap);
	return n;
}

static int wait_readable(struct pbft_nl *nl)
{
	struct pollfd p = { .fd = nl->fd, .events = POLLIN };
	int n;

	do {
		n = poll(&p, 1, ANSWER_MS);
	} while (n < 0 && errno == EINTR);
	if (n > 0)
		return 0;
	return pbft_nl_fail(nl, n ? -errno : -ETIMEDOUT,
			    "the kernel did not answer");
}

static int stash(struct pbft_nl *nl, const struct nlmsghdr *nlh)
{
	struct nl_stash *s = malloc(sizeof(*s) + nlh->nlmsg_len);

	if (!s)
		return pbft_nl_fail(nl, -ENOMEM, "out of memory");
	memcpy(s->nlh, nlh, nlh->nlmsg_len);
	s->next = NULL;
	*nl->stash_tail = s;
	nl->stash_tail = &s->next;
	return 0;
}

static bool is_ours(const struct pbft_nl *nl, const struct nlmsghdr *nlh)
{
	return nlh->nlmsg_type == nl->family &&
	       nlmsg_datalen(nlh) >= (int)GENL_HDRLEN;
}

#define ANSWER_MORE	1	/* the exchange goes on */

static int answer(struct pbft_nl *nl, const struct nlmsghdr *sent,
		  struct nlmsghdr *nlh, nl_message_fn fn, void *arg)
{
	int rc;

	if (nlh->nlmsg_seq != sent->nlmsg_seq) {
		rc = stash(nl, nlh);
		return rc ? rc : ANSWER_MORE;
	}
	if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
		return pbft_nl_fail(nl, -EAGAIN,
				    "instances changed while they were listed");
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE)
		return pbft_nl_error_of(nlh, sent, nl->error, sizeof(nl->error));
	if (is_ours(nl, nlh) && fn) {
		rc = fn(arg, nlh);
		return rc < 0 ? rc : ANSWER_MORE;
	}
	return ANSWER_MORE;
}

/* After an early error, what is left of the exchange must not be met later. */
static void drain(struct pbft_nl *nl, u32 seq)
{
	struct nlmsghdr *nlh;
	int len;

	while ((len = receive_datagram(nl, MSG_DONTWAIT)) >= 0)
		for (nlh = (struct nlmsghdr *)nl->buf; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len))
			if (nlh->nlmsg_seq != seq)
				stash(nl, nlh);
}

/* Until the answer is complete. */
static int await(struct pbft_nl *nl, const struct nlmsghdr *sent,
		 nl_message_fn fn, void *arg)
{
	int rc = ANSWER_MORE;

	while (rc == ANSWER_MORE) {
		struct nlmsghdr *nlh;
		int len;

		rc = wait_readable(nl);
		if (rc)
			return rc;
		len = receive_datagram(nl, MSG_DONTWAIT);
		if (len < 0)
			return len;
		rc = ANSWER_MORE;
		/* whatever else the datagram holds is looked at to its end */
		for (nlh = (struct nlmsghdr *)nl->buf; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len)) {
			int r = answer(nl, sent, nlh, fn, arg);

			if (r != ANSWER_MORE && rc == ANSWER_MORE)
				rc = r;
		}
	}
	return rc;
}

int pbft_nl_transact(struct pbft_nl *nl, struct nl_msg *msg, nl_message_fn fn,
		     void *arg)
{
	char kept[sizeof(nl->error)];
	u32 seq;
	int rc;

	seq = send_msg(nl, msg, &rc);
	if (!rc)
		rc = await(nl, nlmsg_hdr(msg), fn, arg);
	nlmsg_free(msg);
	if (rc && seq) {
		strcpy(kept, nl->error);
		drain(nl, seq);
		strcpy(nl->error, kept);
	}
	return rc;
}

static int hand_out(struct pbft_nl *nl, struct nlmsghdr *nlh, nl_message_fn fn,
		    void *arg)
{
	if (nlh->nlmsg_type != NLMSG_ERROR && !is_ours(nl, nlh))
		return 0;
	return fn(arg, nlh);
}

static int receive_stash(struct pbft_nl *nl, nl_message_fn fn, void *arg)
{
	while (nl->stash) {
		struct nl_stash *s = nl->stash;
		int rc;

		nl->stash = s->next;
		if (!nl->stash)
			nl->stash_tail = &nl->stash;
		rc = hand_out(nl, s->nlh, fn, arg);
		free(s);
		if (rc < 0)
			return rc;
	}
	return 0;
}

int pbft_nl_receive(struct pbft_nl *nl, unsigned int max, nl_message_fn fn,
		    void *arg)
{
	struct nlmsghdr *nlh;
	unsigned int got = 0;
	int len, rc;

	rc = receive_stash(nl, fn, arg);
	while (!rc && (!max || got < max)) {
		len = receive_datagram(nl, MSG_DONTWAIT);
		if (len == -EAGAIN)
			break;
		if (len < 0)
			return len;
		got++;
		for (nlh = (struct nlmsghdr *)nl->buf; nlmsg_ok(nlh, len);
		     nlh = nlmsg_next(nlh, &len)) {
			rc = hand_out(nl, nlh, fn, arg);
			if (rc < 0)
				return rc;
		}
	}
	return rc < 0 ? rc : (int)got;
}

/* ---- events --------------------------------------------------------------- */

struct event_arg {
	struct pbft_nl *nl;
	pbft_nl_event_fn fn;
	void *arg;
	int count;
};

static int on_event(void *arg, struct nlmsghdr *nlh)
{
	struct event_arg *ea = arg;
	struct pbft_nl_status st = { 0 };
	const struct nlattr *a;
	u32 event;

	if (nlh->nlmsg_type == NLMSG_ERROR || nl_cmd(nlh) != PBFT_CMD_EVENT)
		return 0;
	a = nlmsg_find_attr(nlh, GENL_HDRLEN, PBFT_A_EVENT);
	if (!a || !pbft_nl_u32(a, &event) || !pbft_nl_status_parse(&st, nlh))
		return pbft_nl_fail(ea->nl, -EBADMSG,
				    "the kernel sent a malformed event");
	ea->fn(ea->arg, event, &st);
	ea->count++;
	return 0;
}

int pbft_nl_events_recv(struct pbft_nl *nl, pbft_nl_event_fn fn, void *arg)
{
	struct event_arg ea = { .nl = nl, .fn = fn, .arg = arg };
	int rc = pbft_nl_receive(nl, 0, on_event, &ea);

	return rc < 0 ? rc : ea.count;
}

const char *pbft_nl_event_name(u32 event)
{
	static const char *const names[] = {
		[PBFT_NL_EV_SNAPSHOT] = "snapshot",
		[PBFT_NL_EV_VIEW_CHANGE] = "view-change",
		[PBFT_NL_EV_NEW_VIEW] = "new-view",
		[PBFT_NL_EV_STABLE] = "stable",
		[PBFT_NL_EV_QUORUM_LOST] = "quorum-lost",
		[PBFT_NL_EV_BEHIND] = "behind",
		[PBFT_NL_EV_SYNCED] = "synced",
		[PBFT_NL_EV_RECOVERED] = "recovered",
		[PBFT_NL_EV_EVIDENCE] = "evidence",
		[PBFT_NL_EV_STOPPED] = "stopped",
		[PBFT_NL_EV_CREATED] = "created",
		[PBFT_NL_EV_DELETED] = "deleted",
		[PBFT_NL_EV_UP] = "up",
		[PBFT_NL_EV_DOWN] = "down",
		[PBFT_NL_EV_BOUND] = "bound",
		[PBFT_NL_EV_UNBOUND] = "unbound",
		[PBFT_NL_EV_RECOVERY_BEGUN] = "recovery-begun",
		[PBFT_NL_EV_RECOVERY_ENDED] = "recovery-ended",
	};

	return event < ARRAY_SIZE(names) ? names[event] : "unknown";
}

const char *pbft_nl_state_name(u32 state)
{
	static const char *const names[] = {
		[PBFT_STATE_DOWN] = "down",
		[PBFT_STATE_UP] = "up",
		[PBFT_STATE_STOPPED] = "stopped",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}

const char *pbft_nl_recovery_name(u32 state)
{
	static const char *const names[] = {
		[PBFT_RECOVERY_NONE] = "none",
		[PBFT_RECOVERY_RUNNING] = "running",
		[PBFT_RECOVERY_DONE] = "done",
		[PBFT_RECOVERY_GIVEN_UP] = "given-up",
	};

	return state < ARRAY_SIZE(names) ? names[state] : "unknown";
}
