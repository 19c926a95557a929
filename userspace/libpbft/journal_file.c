// SPDX-License-Identifier: GPL-2.0
/*
 * Journal files: made, locked, read and written. Whoever hosts a replica opens
 * its journal here, and so does who passes the descriptor to the kernel.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <linux/fs.h>

#include "libpbft/journal_file.h"
#include "linux/pbft.h"

static int failed(char *err, size_t errlen, const char *path, const char *what)
{
	int rc = -errno;

	snprintf(err, errlen, "%s: %s: %s", path, what, strerror(errno));
	return rc;
}

/* The name of a new file survives a power cut. */
static int sync_dir(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	int rc = fd < 0 || fsync(fd) ? -1 : 0, kept = errno;

	if (fd >= 0)
		close(fd);
	free(copy);
	errno = kept;
	return rc;
}

static int allocate(int fd, const char *path, u64 size, char *err, size_t errlen)
{
	int rc;

	errno = posix_fallocate(fd, 0, size);
	if (errno) {
		rc = failed(err, errlen, path, "cannot allocate the journal");
		/* the next attempt finds it as it was */
		return ftruncate(fd, 0) ? -errno : rc;
	}
	if (fsync(fd) || sync_dir(path))
		return failed(err, errlen, path, "cannot make the new journal durable");
	return 0;
}

/* Ours alone, and of some size: a file that was made and not allocated has none. */
static int prepare(int fd, const char *path, u64 size, char *err, size_t errlen)
{
	struct stat st;

	if (flock(fd, LOCK_EX | LOCK_NB)) {
		if (errno != EWOULDBLOCK)
			return failed(err, errlen, path, "cannot lock the journal");
		snprintf(err, errlen, "%s: another replica uses this journal", path);
		return -EBUSY;
	}
	if (fstat(fd, &st))
		return failed(err, errlen, path, "cannot look at the journal");
	if (!S_ISREG(st.st_mode) && !S_ISBLK(st.st_mode)) {
		snprintf(err, errlen,
			 "%s: the journal must be a regular file or a block device", path);
		return -EINVAL;
	}
	if (S_ISBLK(st.st_mode) || st.st_size)
		return 0;
	return allocate(fd, path, size, err, errlen);
}

int pbft_journal_file_open(const char *path, u64 size, char *err, size_t errlen)
{
	int fd, rc;

	if (size < PBFT_JOURNAL_MIN) {
		snprintf(err, errlen, "%s: a journal of less than %llu MB is too small", path,
			 PBFT_JOURNAL_MIN >> 20);
		return -EINVAL;
	}
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);
	if (fd < 0)
		return failed(err, errlen, path, "cannot open the journal");
	rc = prepare(fd, path, size, err, errlen);
	if (!rc)
		return fd;
	close(fd);
	return rc;
}

int pbft_journal_file_look(const char *path, char *err, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	return fd < 0 ? failed(err, errlen, path, "cannot open the journal") : fd;
}

int pbft_journal_file_size(int fd, u64 *bytes)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*bytes = st.st_size;
	if (S_ISBLK(st.st_mode) && ioctl(fd, BLKGETSIZE64, bytes))
		return -errno;
	return 0;
}

/* ---- input and output --------------------------------------------------------- */

static int file_read(void *arg, u64 off, void *buf, u32 len)
{
	int fd = *(const int *)arg;
	ssize_t n;

	while (len) {
		n = pread(fd, buf, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int file_write(void *arg, u64 off, const void *buf, u32 len)
{
	int fd = *(const int *)arg;
	ssize_t n;

	while (len) {
		n = pwrite(fd, buf, len, off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		buf += n;
		off += n;
		len -= n;
	}
	return 0;
}

static int file_sync(void *arg)
{
	return fdatasync(*(const int *)arg) ? -errno : 0;
}

struct pbft_journal_io pbft_journal_file_io(const int *fd)
{
	return (struct pbft_journal_io) {
		.read = file_read, .write = file_write, .sync = file_sync,
		.arg = (void *)fd,
	};
}

static int look_write(void *arg, u64 off, const void *buf, u32 len)
{
	return -EROFS;
}

/* What was read need not be durable to be looked at. */
static int look_sync(void *arg)
{
	return 0;
}

struct pbft_journal_io pbft_journal_file_io_look(const int *fd)
{
	return (struct pbft_journal_io) {
		.read = file_read, .write = look_write, .sync = look_sync,
		.arg = (void *)fd,
	};
}

/* ---- modes ------------------------------------------------------------------------- */

static const char *const modes[] = {
	[PBFT_JOURNAL_NONE] = "none",
	[PBFT_JOURNAL_ASYNC] = "async",
	[PBFT_JOURNAL_SYNC] = "sync",
};

const char *pbft_journal_mode_name(u32 mode)
{
	return mode < ARRAY_SIZE(modes) ? modes[mode] : "unknown";
}

int pbft_journal_mode_from_text(u32 *mode, const char *text)
{
	for (*mode = 0; *mode < ARRAY_SIZE(modes); (*mode)++)
		if (!strcmp(modes[*mode], text))
			return 0;
	return -EINVAL;
}

int pbft_journal_size_from_text(u64 *size, const char *text)
{
	static const char units[] = "KMG";
	const char *unit;
	char *end;
	u32 shift;

	if (text[0] < '0' || text[0] > '9')
		return -EINVAL;
	errno = 0;
	*size = strtoull(text, &end, 10);
	unit = *end ? strchr(units, *end) : NULL;
	shift = unit ? 10 * (unit - units + 1) : 0;
	if (errno || *size > (u64)S64_MAX >> shift)
		return -EINVAL;
	*size <<= shift;
	return (*end && (!unit || end[1])) || *size < PBFT_JOURNAL_MIN ? -EINVAL : 0;
}
