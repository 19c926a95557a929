// SPDX-License-Identifier: GPL-2.0
/*
 * Who may command: CAP_NET_ADMIN in the user namespace that owns the network
 * namespace. An ordinary user makes both and has it; the same user without the
 * capability is refused every command, and so is one who has it only in a user
 * namespace that does not own the network namespace. Run as root; prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "libpbft/crypto.h"
#include "libpbft/nl_priv.h"
#include "nl-spec.h"
#include "../unit/tap.h"

#define SOMEBODY	1000

/* What a child found, by its exit status. */
enum { ALLOWED, REFUSED, SOMETHING_ELSE, BROKEN };

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool good = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return good;
}

/* Root of a user namespace of our own, with the given ones besides. */
static bool enter_userns(int flags)
{
	char map[32];

	if (setresgid(SOMEBODY, SOMEBODY, SOMEBODY) ||
	    setresuid(SOMEBODY, SOMEBODY, SOMEBODY))
		return false;
	prctl(PR_SET_DUMPABLE, 1);
	if (unshare(CLONE_NEWUSER | flags))
		return false;
	snprintf(map, sizeof(map), "0 %d 1", SOMEBODY);
	return write_file("/proc/self/setgroups", "deny") &&
	       write_file("/proc/self/uid_map", map) &&
	       write_file("/proc/self/gid_map", map);
}

/* The error of a command with nothing but a name. */
static int command(struct pbft_nl *nl, u8 cmd, int flags)
{
	struct nl_msg *msg = pbft_nl_msg(nl, cmd, NLM_F_ACK | flags, 256);

	if (!msg)
		return -ENOMEM;
	if (cmd <= PBFT_CMD_BIND || cmd == PBFT_CMD_RECOVER)
		nla_put_string(msg, PBFT_A_NAME, "x");
	return pbft_nl_transact(nl, msg, NULL, NULL);
}

static int outcome(int err)
{
	return err == -EPERM ? REFUSED : ALLOWED;
}

/* All commands have the same outcome? */
static int try_all(void)
{
	struct pbft_nl *nl;
	char err[256];
	int all = -1, one;

	if (pbft_nl_open(&nl, err, sizeof(err)))
		return BROKEN;
	for (u8 cmd = PBFT_CMD_SET; cmd <= PBFT_CMD_MAX; cmd++) {
		if (cmd > PBFT_CMD_BIND && cmd != PBFT_CMD_RECOVER && !spec_from_daemon(cmd))
			continue;
		one = outcome(command(nl, cmd, 0));
		if (all >= 0 && one != all)
			return SOMETHING_ELSE;
		all = one;
	}
	if (outcome(command(nl, PBFT_CMD_GET, NLM_F_DUMP)) != all)
		return SOMETHING_ELSE;
	return all;
}

static int as_root_of_both(void)
{
	return enter_userns(CLONE_NEWNET) ? try_all() : BROKEN;
}

/* Its capabilities are in a user namespace below the one that owns the network. */
static int as_root_below(void)
{
	if (!enter_userns(CLONE_NEWNET) || unshare(CLONE_NEWUSER))
		return BROKEN;
	return try_all();
}

static int as_root_of_another(void)
{
	return enter_userns(0) ? try_all() : BROKEN;
}

static int as_somebody(void)
{
	if (setresgid(SOMEBODY, SOMEBODY, SOMEBODY) ||
	    setresuid(SOMEBODY, SOMEBODY, SOMEBODY))
		return BROKEN;
	return try_all();
}

/* A whole life of an instance, by one who is root nowhere else. */
static int configure(void)
{
	char text[2048], key[PBFT_KEY_TEXT_LEN + 1], err[256];
	u8 private_key[4][32], public_key[32];
	struct pbft_cluster cluster;
	struct pbft_nl_setup setup = { .cluster = &cluster };
	struct pbft_nl *nl;
	int len = snprintf(text, sizeof(text), "[Cluster]\nId = 5\n");

	if (!enter_userns(CLONE_NEWNET) || pbft_nl_open(&nl, err, sizeof(err)))
		return BROKEN;
	for (u32 i = 0; i < 4; i++) {
		pbft_genkey(private_key[i]);
		pbft_pubkey(public_key, private_key[i]);
		pbft_key_to_text(key, public_key);
		len += snprintf(text + len, sizeof(text) - len,
				"[Replica]\nId = %u\nPublicKey = %s\nEndpoint = 127.0.0.%u:7000\n",
				i, key, 1 + i);
	}
	if (pbft_cluster_parse(&cluster, "test", text, err, sizeof(err)))
		return BROKEN;
	setup.private_key = private_key[0];
	if (pbft_nl_set(nl, "x", &setup) || pbft_nl_set_key(nl, "x", 1) ||
	    pbft_nl_down(nl, "x") != -EALREADY || pbft_nl_del(nl, "x"))
		return SOMETHING_ELSE;
	pbft_nl_close(nl);
	return ALLOWED;
}

static void check(int (*child)(void), int wanted, const char *what)
{
	static const char * const names[] = {
		"allowed", "refused", "something else", "the test itself failed",
	};
	int status = -1;
	pid_t pid = fork();

	if (!pid)
		_exit(child());
	waitpid(pid, &status, 0);
	if (!ok(WIFEXITED(status) && WEXITSTATUS(status) == wanted, "%s", what))
		diag("%s", WIFEXITED(status) ? names[WEXITSTATUS(status) & 3] : "killed");
}

int main(void)
{
	check(try_all, ALLOWED, "root: every command is looked at");
	check(as_somebody, REFUSED, "an ordinary user: every command is refused");
	check(as_root_of_both, ALLOWED,
	      "an ordinary user with user and network namespaces: every command is looked at");
	check(configure, ALLOWED, "and an instance lives there");
	check(as_root_of_another, REFUSED,
	      "root of a user namespace that does not own this one: every command is refused");
	check(as_root_below, REFUSED,
	      "root of a user namespace below the owner's: every command is refused");
	return done_testing();
}
