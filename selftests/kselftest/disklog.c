// SPDX-License-Identifier: GPL-2.0
/* Reading the log of dm-log-writes: a sector each for its head and for every entry. */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "disklog.h"

#define LOG_MAGIC	0x6a736677736872ull
#define LOG_VERSION	1
#define LOG_FLUSH	1
#define LOG_FUA		2
#define LOG_DISCARD	4
#define LOG_MARK	8

struct log_head {
	u64 magic, version, count;
	u32 unit;
};

struct log_entry {
	u64 sector, sectors, flags, data_len;
};

static int wrong(const struct disklog *log, const char *what)
{
	fprintf(stderr, "%s: %s\n", log->path, what);
	return -1;
}

static int read_at(const struct disklog *log, u64 off, void *buf, u64 len)
{
	ssize_t n;

	for (; len; off += n, buf += n, len -= n) {
		n = pread(log->fd, buf, len, off);
		if (n <= 0)
			return wrong(log, n ? strerror(errno) : "the log ends too early");
	}
	return 0;
}

int disklog_open(struct disklog *log, const char *path)
{
	struct log_head head;
	off_t size;

	memset(log, 0, sizeof(*log));
	log->path = path;
	log->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (log->fd < 0)
		return wrong(log, strerror(errno));
	size = lseek(log->fd, 0, SEEK_END);
	if (size < 0)
		return wrong(log, strerror(errno));
	log->size = size;
	if (read_at(log, 0, &head, sizeof(head)))
		return -1;
	log->unit = le32toh(head.unit);
	log->count = le64toh(head.count);
	if (le64toh(head.magic) != LOG_MAGIC || le64toh(head.version) != LOG_VERSION ||
	    log->unit < DISK_SECTOR || log->unit > 4096 || log->unit & (log->unit - 1))
		return wrong(log, "this is no log of dm-log-writes");
	log->off = log->unit;
	return 0;
}

int disklog_next(struct disklog *log, struct disklog_entry *e)
{
	struct log_entry raw;
	u64 flags;

	do {
		if (log->done == log->count)
			return 0;
		if (read_at(log, log->off, &raw, sizeof(raw)))
			return -1;
		if (le64toh(raw.sectors) > UINT32_MAX || le64toh(raw.sector) > UINT32_MAX)
			return wrong(log, "an entry is of no disk");
		flags = le64toh(raw.flags);
		e->index = log->done++;
		e->at = le64toh(raw.sector) * log->unit;
		e->len = le64toh(raw.sectors) * log->unit;
		e->flush = flags & LOG_FLUSH;
		e->fua = flags & LOG_FUA;
		e->discard = flags & LOG_DISCARD;
		e->data = log->off + log->unit;
		log->off = e->data;
		if (!e->discard && !(flags & LOG_MARK))
			log->off += e->len;
		if (log->off > log->size)
			return wrong(log, "an entry is longer than the log");
	} while (flags & LOG_MARK);
	return 1;
}

int disklog_read(const struct disklog *log, const struct disklog_entry *e, u64 from, void *buf,
		 u64 len)
{
	if (e->discard) {
		memset(buf, 0, len);
		return 0;
	}
	return read_at(log, e->data + from, buf, len);
}

void disklog_close(struct disklog *log)
{
	if (log->fd >= 0)
		close(log->fd);
	log->fd = -1;
}
