// SPDX-License-Identifier: GPL-2.0
/*
 * nl-fuzz: the netlink family under a stream of messages, right and wrong.
 *
 * Four instances of one cluster are made, brought up, bound, answered, taken
 * down and deleted over and over, by several sockets, with messages that
 * nl-fuzz-make.c makes. Demanded is that every message framed rightly is
 * answered, that what the kernel sends is well-formed, that no key comes out, and
 * that everything can be deleted in the end. Prints TAP; the same --seed makes the
 * same messages as long as the kernel answers the same.
 *
 * nl-fuzz [--seed N] [--count N] [--port P] [--live INSTANCE] [--shared]
 * With --shared several may run at a time, on the same instances, which are left.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libpbft/crypto.h"
#include "libpbft/nl_priv.h"
#include "nl-fuzz.h"
#include "../unit/tap.h"

#define SOCKETS		4
#define ANSWER_MS	60000
#define COMMANDS	(PBFT_CMD_MAX + 1)

static struct fuzz fz;
static int sockets[SOCKETS];
static u32 accepted[COMMANDS], refused[COMMANDS];
static u32 unanswered, malformed, leaked, overruns;

/* ---- what the kernel sends ------------------------------------------------------ */

static bool holds(const u8 *data, u32 len, const u8 key[32])
{
	return memmem(data, len, key, 32);
}

static void look_for_keys(const u8 *data, u32 len)
{
	bool found = holds(data, len, fz.raw_key);

	for (u32 i = 0; i < FUZZ_NODES; i++)
		found = found || holds(data, len, fz.private_key[i]);
	leaked += found;
}

static struct fuzz_instance *by_id(u32 id)
{
	for (u32 i = 0; i < FUZZ_REPLICAS; i++)
		if (fz.inst[i].id == id)
			return &fz.inst[i];
	return NULL;
}

/* A task for a daemon: remember what answer is due. */
static void learn_task(u8 cmd, struct nlattr **a)
{
	struct pbft_nl_head head = { 0 };
	struct fuzz_instance *in = a[PBFT_A_ID] ? by_id(nla_get_u32(a[PBFT_A_ID])) : NULL;

	if (!in)
		return;
	if (a[PBFT_A_HEAD])
		nla_memcpy(&head, a[PBFT_A_HEAD], sizeof(head));
	switch (cmd) {
	case PBFT_CMD_APPLY:
		in->applied = in->applied ?: head.seq;
		break;
	case PBFT_CMD_SNAPSHOT:
		in->snapshot = nla_get_u64(a[PBFT_A_SEQ]);
		break;
	case PBFT_CMD_FETCH_STATE:
		in->fetch = head.seq;
		nla_memcpy(in->digest, a[PBFT_A_DIGEST], sizeof(in->digest));
		break;
	}
}

static void family_message(const struct nlmsghdr *nlh)
{
	struct nlattr *a[PBFT_A_MAX + 1];

	if (nlmsg_parse((void *)nlh, GENL_HDRLEN, a, PBFT_A_MAX, NULL)) {
		malformed++;
		return;
	}
	if (a[PBFT_A_PRIVATE_KEY])
		leaked++;
	learn_task(nl_cmd(nlh), a);
}

/* An answer to what was sent last? Then its error, or 0. */
static bool is_answer(const struct nlmsghdr *nlh, int *err)
{
	if (nlh->nlmsg_seq != fz.seq ||
	    (nlh->nlmsg_type != NLMSG_ERROR && nlh->nlmsg_type != NLMSG_DONE))
		return false;
	*err = -*(const int *)nlmsg_data(nlh);
	return true;
}

/* What a command that was accepted means for the next. */
static void learn_answer(const struct nlmsghdr *nlh, u32 s, u32 who)
{
	struct nlattr *a[PBFT_A_MAX + 1];

	if (nlh->nlmsg_type != fz.family || nl_cmd(nlh) != PBFT_CMD_BIND ||
	    nlh->nlmsg_seq != fz.seq)
		return;
	if (nlmsg_parse((void *)nlh, GENL_HDRLEN, a, PBFT_A_MAX, NULL) || !a[PBFT_A_ID])
		return;
	fz.inst[who].id = nla_get_u32(a[PBFT_A_ID]);
	fz.inst[who].socket = s;
	fz.inst[who].applied = 0;
	fz.inst[who].snapshot = 0;
}

/* Whose instance was the message about that was sent last? */
static u32 about(void)
{
	struct nlattr *a[PBFT_A_MAX + 1];
	struct fuzz_instance *in;

	if (fz.len < NLMSG_HDRLEN + GENL_HDRLEN || !fz.whole ||
	    nlmsg_parse(fuzz_nlh(&fz), GENL_HDRLEN, a, PBFT_A_MAX, NULL))
		return 0;
	if (a[PBFT_A_ID] && nla_len(a[PBFT_A_ID]) == sizeof(u32)) {
		in = by_id(nla_get_u32(a[PBFT_A_ID]));
		return in ? in - fz.inst : 0;
	}
	if (!a[PBFT_A_NAME] || nla_len(a[PBFT_A_NAME]) < 3)
		return 0;
	return ((u8 *)nla_data(a[PBFT_A_NAME]))[1] % FUZZ_REPLICAS;
}

/* All that has arrived at socket @s. Return whether the answer was among it. */
static bool drain(u32 s, u32 who, int *err)
{
	static u8 buf[1 << 18] __attribute__((aligned(8)));
	const struct nlmsghdr *nlh;
	bool answered = false;
	ssize_t n;
	int len;

	for (;;) {
		n = recv(sockets[s], buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 0 && errno == ENOBUFS) {
			overruns++;
			continue;
		}
		if (n < 0 && errno != ENETDOWN)	/* its instance is gone: read on */
			return answered;
		look_for_keys(buf, max_t(ssize_t, n, 0));
		len = n;
		for (nlh = (void *)buf; n > 0 && NLMSG_OK(nlh, (u32)len);
		     nlh = NLMSG_NEXT(nlh, len)) {
			answered |= is_answer(nlh, err);
			learn_answer(nlh, s, who);
			if (nlh->nlmsg_type == fz.family)
				family_message(nlh);
		}
		malformed += n > 0 && len > 0;
	}
}

/* ---- sending ------------------------------------------------------------------------ */

static int open_socket(void)
{
	struct sockaddr_nl addr = { .nl_family = AF_NETLINK };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC), one = 1;

	if (fd < 0 || bind(fd, (void *)&addr, sizeof(addr))) {
		printf("Bail out! no netlink socket: %s\n", strerror(errno));
		exit(1);
	}
	/* errors without the request, which has keys in it */
	setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one));
	if (prng_below(&fz.rng, 2))
		setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one));
	return fd;
}

/* What is due after an exchange that succeeded. */
static void done_with(u32 who, int err)
{
	struct fuzz_instance *in = &fz.inst[who];

	if (err)
		return;
	switch (fz.cmd) {
	case PBFT_CMD_EXECUTED:
		in->applied++;
		break;
	case PBFT_CMD_CHECKPOINTED:
		in->snapshot = 0;
		break;
	case PBFT_CMD_BIND:
		in->fetch = 0;
		break;
	}
}

/* Read all sockets, and this one until the answer to its message has come. */
static bool receive(u32 s, u32 who, int *err)
{
	struct pollfd p = { .fd = sockets[s], .events = POLLIN };
	bool answered = false;

	for (u32 i = 0; i < SOCKETS; i++)
		answered |= drain(i, who, err);
	while (!answered && fz.whole && poll(&p, 1, ANSWER_MS) > 0)
		answered = drain(s, who, err);
	return answered;
}

static void one_message(void)
{
	u32 s = prng_below(&fz.rng, SOCKETS), who;
	bool answered;
	int err = 0;

	if (!prng_below(&fz.rng, 60)) {		/* a daemon dies */
		close(sockets[s]);
		sockets[s] = open_socket();
	}
	if (!cover_vary(&fz))
		fuzz_make(&fz);
	who = about();
	if (spec_from_daemon(fz.cmd) && prng_below(&fz.rng, 16))
		s = fz.inst[who].socket;
	cover_begin();
	if (send(sockets[s], fz.msg, fz.len, 0) < 0)
		return;
	cover_end(&fz);
	answered = receive(s, who, &err);
	if (fz.whole && !answered) {
		unanswered++;
		diag("no answer: seq %u, command %u", fz.seq, fz.cmd);
		return;
	}
	if (!answered)
		return;
	if (err)
		refused[fz.cmd]++;
	else
		accepted[fz.cmd]++;
	done_with(who, err);
}

/* ---- the run ------------------------------------------------------------------------ */

static void make_keys(void)
{
	for (u32 i = 0; i < FUZZ_NODES; i++) {
		for (u32 j = 0; j < 32; j++)
			fz.private_key[i][j] = prng_u64(&fz.rng);
		fz.private_key[i][0] &= 248;
		fz.private_key[i][31] = (fz.private_key[i][31] & 127) | 64;
		pbft_pubkey(fz.public_key[i], fz.private_key[i]);
	}
	for (u32 j = 0; j < 32; j++)
		fz.raw_key[j] = prng_u64(&fz.rng);
}

/* Every instance of the fuzzer's can be deleted, whatever was done to it. */
static void clean_up(struct pbft_nl *admin)
{
	struct pbft_nl_instance *list, *in;
	u32 left = 0;
	int err;

	for (u32 i = 0; i < FUZZ_REPLICAS; i++) {
		char name[8];

		snprintf(name, sizeof(name), "f%u", i);
		err = pbft_nl_del(admin, name);
		if (!ok(!err || err == -ENOENT, "%s can be deleted", name))
			diag("%s", pbft_nl_error(admin));
	}
	err = pbft_nl_get(admin, NULL, &list);
	if (!ok(!err, "what is left can be shown"))
		diag("%s", pbft_nl_error(admin));
	for (in = err ? NULL : list; in; in = in->next)
		left += in->st.name[0] == 'f' && strlen(in->st.name) == 2;
	if (!err)
		pbft_nl_instance_free(list);
	ok(!left, "and none of the fuzzer's is there");
}

static void report(u64 count, bool shared)
{
	u32 sum = 0;

	for (u32 i = 1; i < COMMANDS; i++)
		if (accepted[i] + refused[i]) {
			diag("%s: accepted %u, refused %u", spec_ops[i - 1].name,
			     accepted[i], refused[i]);
			sum += accepted[i] + refused[i];
		}
	diag("%llu messages, %u answered, %u overruns", (unsigned long long)count, sum,
	     overruns);
	ok(!unanswered, "every message framed rightly was answered");
	ok(!malformed, "what came was well-formed");
	ok(!leaked, "no key came out");
	for (u32 i = PBFT_CMD_SET; i <= (shared ? PBFT_CMD_BIND : PBFT_CMD_EXECUTED); i++)
		ok(accepted[i] && refused[i], "%s was accepted and refused",
		   spec_ops[i - 1].name);
}

static void report_cover(void)
{
	struct cover_sums sums = cover_sums();

	diag("%u branches taken; %u messages kept; of %u variations %u were new again",
	     sums.branches, sums.kept, sums.varied, sums.varied_new);
	ok(sums.kept, "the module tells which branches it takes");
	ok(sums.varied_new, "coverage led to what was not known");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' },
		{ "port", required_argument, NULL, 'p' },
		{ "live", required_argument, NULL, 'l' },
		{ "shared", no_argument, NULL, 'j' },
		{ "kcov", required_argument, NULL, 'k' },
		{ 0 }
	};
	u64 seed = 1, count = 2000;
	bool shared = false;
	struct pbft_nl *admin;
	int opt, kcov = -1;
	char err[256];

	fz.port = 7100;
	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == 's')
			seed = strtoull(optarg, NULL, 0);
		else if (opt == 'n')
			count = strtoull(optarg, NULL, 0);
		else if (opt == 'p')
			fz.port = atoi(optarg);
		else if (opt == 'l')
			fz.live = optarg;
		else if (opt == 'j')
			shared = true;
		else if (opt == 'k')
			kcov = atoi(optarg);
		else
			return 2;
	}
	if (pbft_nl_open(&admin, err, sizeof(err))) {
		printf("Bail out! %s\n", err);
		return 1;
	}
	diag("seed %llu", (unsigned long long)seed);
	/* several that share their instances share their keys, too */
	prng_seed(&fz.rng, shared ? 0 : seed, 0);
	make_keys();
	prng_seed(&fz.rng, seed, 1);
	fz.family = admin->family;
	for (u32 i = 0; i < SOCKETS; i++)
		sockets[i] = open_socket();
	if (kcov >= 0 && !cover_open(kcov)) {
		printf("Bail out! no coverage from descriptor %d: %s\n", kcov, strerror(errno));
		return 1;
	}
	for (u64 i = 0; i < count; i++)
		one_message();
	report(count, shared);
	if (kcov >= 0)
		report_cover();
	if (!shared)
		clean_up(admin);
	pbft_nl_close(admin);
	return done_testing();
}
