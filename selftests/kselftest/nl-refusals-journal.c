// SPDX-License-Identifier: GPL-2.0
/* What will not do as a journal, and that a refused instance is down afterwards. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "libpbft/journal_file.h"
#include "nl-refusals.h"

static struct fixture *fix;

/* @mode U32_MAX: not said. @fd -1: none is given. */
static int up(int fd, u32 mode)
{
	struct nl_msg *msg = pbft_nl_msg(fix->nl, PBFT_CMD_UP, NLM_F_ACK, 256);
	int rc;

	if (!msg)
		return -ENOMEM;
	nla_put_string(msg, PBFT_A_NAME, fix->name);
	nla_put_flag(msg, PBFT_A_GENESIS);
	if (fd >= 0)
		nla_put_u32(msg, PBFT_A_JOURNAL_FD, fd);
	if (mode != U32_MAX)
		nla_put_u32(msg, PBFT_A_JOURNAL_MODE, mode);
	rc = pbft_nl_transact(fix->nl, msg, NULL, NULL);
	if (rc)
		note_refusal(pbft_nl_error(fix->nl));
	return rc;
}

static int down(void)
{
	return pbft_nl_down(fix->nl, fix->name);
}

static void refused(const char *what, int fd, u32 mode, int err, const char *text)
{
	int rc = up(fd, mode);

	if (!point(rc == err && !strcmp(pbft_nl_error(fix->nl), text), "%s: %s", what, text))
		remark("%s, \"%s\"", rc ? strerror(-rc) : "accepted",
		     rc ? pbft_nl_error(fix->nl) : "");
	if (!rc)
		down();
}

static void refused_file(const char *what, const char *path, int flags, int err,
			 const char *text)
{
	int fd = open(path, flags | O_CLOEXEC);

	if (fd < 0)
		point(false, "%s: open: %s", what, strerror(errno));
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
		point(false, "pipe: %s", strerror(errno));
	refused("a pipe", fds[0], PBFT_JOURNAL_SYNC, -EINVAL, kind);
	refused("a socket", pbft_nl_fd(fix->nl), PBFT_JOURNAL_SYNC, -EINVAL, kind);
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

/* Another instance, with the file of this one, which is up. */
static void test_in_use(int fd)
{
	struct fixture *first = fix, other = *fix;

	other.name = "journal-2";
	fix = &other;
	point(!send_refusal(&other, &(struct refusal){ .cmd = PBFT_CMD_SET }),
	      "another instance");
	refused("the journal of one that is up", fd, PBFT_JOURNAL_SYNC, -EBUSY,
		"another instance has its journal in this file or device");
	point(!pbft_nl_del(other.nl, other.name), "it is deleted");
	fix = first;
}

static void test_contents(int fd)
{
	static const char text[8] = "precious";

	if (ftruncate(fd, PBFT_JOURNAL_MIN - 1))
		point(false, "ftruncate: %s", strerror(errno));
	refused("a file that is too small", fd, U32_MAX, -ENOSPC,
		"the journal is too small: it takes 16 MB, and twice the window in full batches");
	if (ftruncate(fd, PBFT_JOURNAL_MIN) || pwrite(fd, text, 8, 0) != 8)
		point(false, "write: %s", strerror(errno));
	refused("a file with something else in it", fd, U32_MAX, -EMEDIUMTYPE,
		"something else than a journal is stored here: zero it to use it");
	if (ftruncate(fd, 0) || ftruncate(fd, PBFT_JOURNAL_MIN))
		point(false, "ftruncate: %s", strerror(errno));
	point(!up(fd, U32_MAX), "an empty one of the least size will do, in mode sync");
	point(up(fd, U32_MAX) == -EALREADY, "but once");
	test_in_use(fd);
	point(!down(), "and down");
	point(!up(fd, PBFT_JOURNAL_ASYNC), "the same in mode async");
	point(!down(), "and down again");
	point(!up(-1, PBFT_JOURNAL_NONE) && !down(),
	   "mode none needs no journal");
}

void test_journal(struct fixture *fx)
{
	struct fixture one = *fx;
	char path[40];
	int fd = memfd_create("journal", MFD_CLOEXEC);

	one.name = "journal-1";
	fix = &one;
	point(!send_refusal(&one, &(struct refusal){ .cmd = PBFT_CMD_SET }),
	      "an instance for journals");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	test_descriptors(path);
	test_modes(fd);
	test_contents(fd);
	point(!pbft_nl_del(one.nl, one.name), "it is deleted");
	close(fd);
}
