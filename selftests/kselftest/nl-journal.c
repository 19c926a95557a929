// SPDX-License-Identifier: GPL-2.0
/*
 * What will not do as a journal, by error and sentence, and that a refused
 * instance is down afterwards. usage: nl-journal INSTANCE FILE; the instance is
 * down, FILE is made. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "libpbft/journal_file.h"
#include "libpbft/nl_priv.h"
#include "../unit/tap.h"

static struct pbft_nl *nl;
static const char *instance;

/* @mode U32_MAX: not said. @fd -1: none is given. */
static int up(int fd, u32 mode)
{
	struct nl_msg *msg = pbft_nl_msg(nl, PBFT_CMD_UP, NLM_F_ACK, 256);

	if (!msg)
		return -ENOMEM;
	nla_put_string(msg, PBFT_A_NAME, instance);
	nla_put_flag(msg, PBFT_A_GENESIS);
	if (fd >= 0)
		nla_put_u32(msg, PBFT_A_JOURNAL_FD, fd);
	if (mode != U32_MAX)
		nla_put_u32(msg, PBFT_A_JOURNAL_MODE, mode);
	return pbft_nl_transact(nl, msg, NULL, NULL);
}

static void refused(const char *what, int fd, u32 mode, int err, const char *text)
{
	int rc = up(fd, mode);

	if (!ok(rc == err && !strcmp(pbft_nl_error(nl), text), "%s: %s", what, text))
		diag("%s, \"%s\"", rc ? strerror(-rc) : "accepted",
		     rc ? pbft_nl_error(nl) : "");
	if (!rc)
		pbft_nl_down(nl, instance);
}

static void refused_file(const char *what, const char *path, int flags, int err,
			 const char *text)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		ok(false, "%s: open: %s", what, strerror(errno));
	else
		refused(what, fd, PBFT_JOURNAL_SYNC, err, text);
	close(fd);
}

static void test_descriptors(const char *path)
{
	static const char kind[] = "the journal must be a regular file or a block device";
	static const char rw[] = "the journal must be open for reading and writing";
	static const char append[] = "the journal must not be open with O_APPEND or O_DIRECT";
	int fds[2];

	refused("no descriptor of ours", 900, PBFT_JOURNAL_SYNC, -EBADF,
		"PBFT_A_JOURNAL_FD is not an open file of the caller");
	if (pipe2(fds, O_CLOEXEC))
		ok(false, "pipe: %s", strerror(errno));
	refused("a pipe", fds[0], PBFT_JOURNAL_SYNC, -EINVAL, kind);
	refused("a socket", pbft_nl_fd(nl), PBFT_JOURNAL_SYNC, -EINVAL, kind);
	refused_file("a directory", "/", O_RDONLY | O_DIRECTORY, -EINVAL, kind);
	refused_file("a character device", "/dev/null", O_RDWR, -EINVAL, kind);
	refused_file("a file to read", path, O_RDONLY, -EBADF, rw);
	refused_file("a file to write", path, O_WRONLY, -EBADF, rw);
	refused_file("a file to append to", path, O_RDWR | O_APPEND, -EINVAL, append);
}

static void test_modes(int fd)
{
	refused("a mode without a journal", -1, PBFT_JOURNAL_SYNC, -EINVAL,
		"PBFT_A_JOURNAL_FD is missing: where the journal is");
	refused("a journal without a mode", fd, PBFT_JOURNAL_NONE, -EINVAL,
		"a journal in mode none is none: leave it away");
	refused("a mode that there is not", fd, 3, -ERANGE,
		"the journal's mode: integer out of range");
}

static void test_contents(int fd, const char *path)
{
	static const char text[8] = "precious";

	if (ftruncate(fd, PBFT_JOURNAL_MIN - 1))
		ok(false, "ftruncate: %s", strerror(errno));
	refused("a file that is too small", fd, U32_MAX, -ENOSPC,
		"the journal is too small: it takes 16 MB, and twice the window in full batches");
	if (ftruncate(fd, PBFT_JOURNAL_MIN) || pwrite(fd, text, 8, 0) != 8)
		ok(false, "%s: %s", path, strerror(errno));
	refused("a file with something else in it", fd, U32_MAX, -EMEDIUMTYPE,
		"something else than a journal is stored here: zero it to use it");
	if (ftruncate(fd, 0) || ftruncate(fd, PBFT_JOURNAL_MIN))
		ok(false, "ftruncate: %s", strerror(errno));
	ok(!up(fd, U32_MAX), "an empty one of the least size will do, in mode sync");
	ok(up(fd, U32_MAX) == -EALREADY, "but once");
	ok(!pbft_nl_down(nl, instance), "and down");
	ok(!up(fd, PBFT_JOURNAL_ASYNC), "the same in mode async");
	ok(!pbft_nl_down(nl, instance), "and down again");
	ok(!up(-1, PBFT_JOURNAL_NONE) && !pbft_nl_down(nl, instance),
	   "mode none needs no journal");
}

int main(int argc, char **argv)
{
	char err[256];
	int fd;

	if (argc != 3) {
		fprintf(stderr, "usage: nl-journal INSTANCE FILE\n");
		return 2;
	}
	instance = argv[1];
	fd = open(argv[2], O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || pbft_nl_open(&nl, err, sizeof(err))) {
		ok(false, "%s", fd < 0 ? strerror(errno) : err);
		return done_testing();
	}
	test_descriptors(argv[2]);
	test_modes(fd);
	test_contents(fd, argv[2]);
	close(fd);
	pbft_nl_close(nl);
	return done_testing();
}
