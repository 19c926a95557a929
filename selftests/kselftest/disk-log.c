// SPDX-License-Identifier: GPL-2.0
/*
 * disk-log: what a disk may hold after a power cut. The kernel's dm-log-writes
 * target has logged each write to it and each flush; from that and from what was
 * there before, a disk is made again as of any write.
 *
 * What a completed flush or FUA covers is kept. What was written later sat in the
 * disk's volatile cache: all of it is kept, or none, or each sector is kept or lost
 * by itself, as a seed has it.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "disklog.h"

#define CHUNK	65536

enum keep { KEEP_ALL, KEEP_NONE, KEEP_SOME };

struct rebuild {
	struct disklog log;
	u8 *disk;
	u64 size;
	enum keep keep;
	u64 random;
	u64 upto;		/* entries there are */
	u64 flushed;		/* entries before it are durable */
	u64 writes, flushes, late, lost;	/* the last two in sectors */
};

static int failed(const char *path, const char *what)
{
	fprintf(stderr, "disk-log: %s: %s: %s\n", path, what, strerror(errno));
	return -1;
}

/* ---- copying ------------------------------------------------------------------- */

static bool zero(const u8 *p, size_t len)
{
	return !len || (!p[0] && !memcmp(p, p + 1, len - 1));
}

/* The next byte that may not be in a hole; devices have none. */
static off_t skip_hole(int fd, off_t at, off_t size)
{
	off_t data = lseek(fd, at, SEEK_DATA);

	return data >= 0 ? data : errno == ENXIO ? size : at;
}

/* Zeroes take no room. */
static int copy_data(int in, int out, const char *from, const char *to)
{
	off_t size = lseek(in, 0, SEEK_END), at;
	static u8 buf[CHUNK];
	ssize_t n;

	if (size < 0 || ftruncate(out, size))
		return failed(to, "cannot be made as long as the other");
	for (at = skip_hole(in, 0, size); at < size; at = skip_hole(in, at + n, size)) {
		n = pread(in, buf, sizeof(buf), at);
		if (n <= 0)
			return failed(from, "cannot read");
		for (ssize_t i = 0; i < n; i += 4096) {
			ssize_t len = n - i < 4096 ? n - i : 4096;

			if (!zero(buf + i, len) && pwrite(out, buf + i, len, at + i) != len)
				return failed(to, "cannot write");
		}
	}
	return 0;
}

static int copy(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out, rc;

	if (in < 0)
		return failed(from, "cannot open");
	out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	rc = out < 0 ? failed(to, "cannot create") : copy_data(in, out, from, to);
	if (out >= 0 && close(out))
		rc = failed(to, "cannot write");
	close(in);
	return rc;
}

/* ---- making it again ----------------------------------------------------------- */

/* What is on record, and which flush is the last. */
static int survey(struct rebuild *r)
{
	struct disklog log = r->log;
	struct disklog_entry e;
	int rc;

	while ((rc = disklog_next(&log, &e)) > 0 && e.index < r->upto) {
		r->writes += e.len > 0;
		r->flushes += e.flush;
		if (e.flush)
			r->flushed = e.index;
	}
	return rc < 0 ? -1 : 0;
}

/* One sector in the disk's cache. */
static bool survives(struct rebuild *r)
{
	r->late++;
	if (r->keep == KEEP_ALL || (r->keep == KEEP_SOME && disklog_random(&r->random) & 1))
		return true;
	r->lost++;
	return false;
}

static int apply(struct rebuild *r, const struct disklog_entry *e)
{
	u64 i;

	if (e->at > r->size || e->len > r->size - e->at) {
		fprintf(stderr, "disk-log: %s: a write beyond the disk's end\n", r->log.path);
		return -1;
	}
	if (e->index < r->flushed || e->fua)
		return disklog_read(&r->log, e, 0, r->disk + e->at, e->len);
	for (i = 0; i < e->len; i += DISK_SECTOR)
		if (survives(r) && disklog_read(&r->log, e, i, r->disk + e->at + i, DISK_SECTOR))
			return -1;
	return 0;
}

static int map(struct rebuild *r, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		return failed(path, "cannot open");
	r->size = st.st_size;
	r->disk = mmap(NULL, r->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return r->disk == MAP_FAILED ? failed(path, "cannot map") : 0;
}

static int rebuild(struct rebuild *r, const char *log, const char *base, const char *out)
{
	struct disklog_entry e;
	int rc;

	if (copy(base, out) || map(r, out) || disklog_open(&r->log, log) || survey(r))
		return -1;
	while ((rc = disklog_next(&r->log, &e)) > 0 && e.index < r->upto)
		if (apply(r, &e))
			return -1;
	if (rc < 0)
		return -1;
	printf("%" PRIu64 " writes, %" PRIu64 " flushes, then %" PRIu64 " sectors, %" PRIu64
	       " of them lost\n", r->writes, r->flushes, r->late, r->lost);
	return 0;
}

static int list(const char *path)
{
	struct disklog_entry e;
	struct disklog log;
	int rc;

	if (disklog_open(&log, path))
		return -1;
	while ((rc = disklog_next(&log, &e)) > 0)
		printf("%" PRIu64 " at %" PRIu64 " length %" PRIu64 "%s%s%s\n", e.index, e.at,
		       e.len, e.flush ? " flush" : "", e.fua ? " fua" : "",
		       e.discard ? " discard" : "");
	disklog_close(&log);
	return rc;
}

/* ---- the command line ------------------------------------------------------------ */

static int usage(void)
{
	fputs("usage: disk-log copy FROM TO\n"
	      "       disk-log list LOG\n"
	      "       disk-log rebuild [-u COUNT] [-n | -s SEED] LOG BASE OUT\n"
	      "\n"
	      "  -u COUNT  only entries before this one, as list numbers them\n"
	      "  -n        what no flush covers is lost\n"
	      "  -s SEED   of that, every sector is kept or lost by itself\n", stderr);
	return 2;
}

static int run_rebuild(int argc, char **argv)
{
	struct rebuild r = { .upto = UINT64_MAX };
	int opt;

	while ((opt = getopt(argc, argv, "u:ns:")) != -1) {
		switch (opt) {
		case 'u':
			r.upto = strtoull(optarg, NULL, 10);
			break;
		case 'n':
			r.keep = KEEP_NONE;
			break;
		case 's':
			r.keep = KEEP_SOME;
			r.random = strtoull(optarg, NULL, 10);
			break;
		default:
			return usage();
		}
	}
	if (argc - optind != 3)
		return usage();
	return rebuild(&r, argv[optind], argv[optind + 1], argv[optind + 2]) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "copy"))
		return copy(argv[2], argv[3]) ? 1 : 0;
	if (argc == 3 && !strcmp(argv[1], "list"))
		return list(argv[2]) ? 1 : 0;
	if (argc > 1 && !strcmp(argv[1], "rebuild"))
		return run_rebuild(argc - 1, argv + 1);
	return usage();
}
