// SPDX-License-Identifier: GPL-2.0
/*
 * journal-crash: is a journal whole after a power cut at any write? The writes come
 * from a log of dm-log-writes. After each of them the medium is judged as it would
 * be with all of them there, and as often as told with sectors missing that no
 * completed flush covers, chosen by a seed. The judge is what a replica reads its
 * journal with. It must find a journal, no lost record, and every record that was
 * there when only what the last flush covers was.
 *
 * A long log takes long: on request not every write is judged that comes late in it
 * and far from one to a superblock.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/journal.h"
#include "core/record.h"
#include "disklog.h"

struct sector {
	u64 at;
	u8 new[DISK_SECTOR], old[DISK_SECTOR];
	bool there;
};

/* What the judge found. */
struct verdict {
	int rc;
	const char *why;
	u64 end, records;
};

struct crash {
	struct disklog log;
	u8 *medium;		/* what is durable */
	u64 base, size;		/* where it is on the disk */
	struct sector *late;	/* what no flush covers, in order */
	u64 count, cap;
	struct verdict durable;
	u64 random, subsets;
	u64 all, every;		/* the first writes, and of the others one in so many */
	u64 *supers, supers_count;	/* entries that write to a superblock */
	bool liar;		/* flushes cover nothing */
	u64 writes, flushes, judged, shorter, most;
};

#define NEAR	40	/* entries around one that writes to a superblock */

/* ---- hashing once -------------------------------------------------------------------- */

/*
 * Most of a medium is as it was the last time, and comparing costs less than
 * hashing, by far where the processor is an emulated one.
 */
struct hashed {
	u8 *data;
	u64 len;
	struct pbft_digest digest;
};

void __real_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov, u32 n);
void __wrap_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov, u32 n);

/* The only one of two parts is a frame's: its head, which has its position, and the rest. */
static struct hashed *slot_of(const struct pbft_iov *iov)
{
	static struct hashed slots[8192];
	u64 pos;

	memcpy(&pos, iov[0].base + 8, sizeof(pos));
	return &slots[pos / PBFT_JOURNAL_BLOCK % ARRAY_SIZE(slots)];
}

static bool known(const struct hashed *h, const struct pbft_iov *iov)
{
	return h->data && h->len == iov[0].len + iov[1].len &&
	       !memcmp(h->data, iov[0].base, iov[0].len) &&
	       !memcmp(h->data + iov[0].len, iov[1].base, iov[1].len);
}

void __wrap_pbft_hash(struct pbft_digest *out, const struct pbft_iov *iov, u32 n)
{
	struct hashed *h;

	if (n != 2 || iov[0].len < 16)
		return __real_pbft_hash(out, iov, n);
	h = slot_of(iov);
	if (!known(h, iov)) {
		free(h->data);
		h->len = iov[0].len + iov[1].len;
		h->data = malloc(h->len);
		__real_pbft_hash(&h->digest, iov, n);
		if (h->data) {
			memcpy(h->data, iov[0].base, iov[0].len);
			memcpy(h->data + iov[0].len, iov[1].base, iov[1].len);
		}
	}
	*out = h->digest;
}

/* ---- judging ---------------------------------------------------------------------- */

static int medium_read(void *arg, u64 off, void *buf, u32 len)
{
	const struct crash *c = arg;

	if (off > c->size || len > c->size - off)
		return -EIO;
	memcpy(buf, c->medium + off, len);
	return 0;
}

static int medium_write(void *arg, u64 off, const void *buf, u32 len)
{
	return -EROFS;
}

static int medium_sync(void *arg)
{
	return 0;
}

static int on_record(void *arg, const struct pbft_record *rec)
{
	return 0;
}

static struct verdict judge(struct crash *c)
{
	struct pbft_journal_io io = { medium_read, medium_write, medium_sync, c };
	struct pbft_wire_id id = { 0 };
	struct pbft_journal j = { 0 };
	struct verdict v = { 0 };
	u32 self;

	v.rc = pbft_journal_peek(&io, &id, &self, &v.why);
	if (!v.rc)
		v.rc = pbft_journal_open(&j, &id, self, &io, c->size, NULL, &v.why);
	if (!v.rc)
		v.rc = pbft_journal_replay(&j, on_record, NULL, &v.why);
	v.end = j.end;
	v.records = j.replayed;
	pbft_journal_close(&j);
	return v;
}

/* As if the sectors that are @there had arrived. */
static struct verdict judge_with(struct crash *c)
{
	struct verdict v;
	u64 i;

	for (i = 0; i < c->count; i++) {
		u8 *p = c->medium + c->late[i].at;

		memcpy(c->late[i].old, p, DISK_SECTOR);
		if (c->late[i].there)
			memcpy(p, c->late[i].new, DISK_SECTOR);
	}
	v = judge(c);
	while (i-- > 0)
		memcpy(c->medium + c->late[i].at, c->late[i].old, DISK_SECTOR);
	c->judged++;
	c->shorter += v.end < c->most;
	return v;
}

static bool good(const struct crash *c, const struct verdict *v)
{
	/* a journal that was not there yet need not be */
	if (v->rc == -ENODATA)
		return c->durable.rc == -ENODATA;
	return !v->rc && (c->durable.rc || v->end >= c->durable.end);
}

static int complain(const struct crash *c, const struct disklog_entry *e,
		    const struct verdict *v, const char *which)
{
	fprintf(stderr, "journal-crash: power cut after entry %" PRIu64 ", %s: %s\n", e->index,
		which, v->rc ? v->why : "records are missing that a flush had covered");
	fprintf(stderr, "  read to %" PRIu64 " (%" PRIu64 " records), durable to %" PRIu64 "\n",
		v->end, v->records, c->durable.end);
	for (u64 i = 0; i < c->count; i++)
		fprintf(stderr, "  sector at %" PRIu64 " %s\n", c->late[i].at,
			c->late[i].there ? "arrived" : "did not arrive");
	return -1;
}

static int judge_all(struct crash *c, const struct disklog_entry *e)
{
	struct verdict v;
	u64 i, k;

	for (i = 0; i < c->count; i++)
		c->late[i].there = true;
	v = judge_with(c);
	c->most = v.end > c->most ? v.end : c->most;
	if (!good(c, &v))
		return complain(c, e, &v, "all there");
	for (k = 0; c->count && k < c->subsets; k++) {
		for (i = 0; i < c->count; i++)
			c->late[i].there = disklog_random(&c->random) & 1;
		v = judge_with(c);
		if (!good(c, &v))
			return complain(c, e, &v, "sectors missing");
	}
	return 0;
}

/* ---- the writes -------------------------------------------------------------------- */

static int settle(struct crash *c, const struct disklog_entry *e)
{
	struct verdict before = c->durable;
	u64 i;

	for (i = 0; i < c->count; i++)
		c->late[i].there = true;
	c->durable = judge_with(c);
	for (i = 0; i < c->count; i++)
		if (!c->liar || disklog_random(&c->random) & 1)
			memcpy(c->medium + c->late[i].at, c->late[i].new, DISK_SECTOR);
	c->count = 0;
	c->flushes++;
	if (c->durable.rc && (c->durable.rc != -ENODATA || !before.rc))
		return complain(c, e, &c->durable, "flushed");
	return 0;
}

/* Durable by itself: what was in the cache for this sector is of no account. */
static void put_now(struct crash *c, u64 at, const u8 *data)
{
	u64 i, kept = 0;

	for (i = 0; i < c->count; i++)
		if (c->late[i].at != at)
			c->late[kept++] = c->late[i];
	c->count = kept;
	memcpy(c->medium + at, data, DISK_SECTOR);
}

static int put_late(struct crash *c, u64 at, const u8 *data)
{
	if (c->count == c->cap) {
		c->cap = c->cap * 2 + 64;
		c->late = realloc(c->late, c->cap * sizeof(*c->late));
		if (!c->late)
			return -1;
	}
	c->late[c->count].at = at;
	memcpy(c->late[c->count++].new, data, DISK_SECTOR);
	return 0;
}

/* Return: has any of it been the journal's? -1: failed */
static int take(struct crash *c, const struct disklog_entry *e)
{
	u8 data[DISK_SECTOR];
	int any = 0;

	for (u64 i = 0; i < e->len; i += DISK_SECTOR) {
		u64 at = e->at + i;

		if (at < c->base || at - c->base >= c->size)
			continue;
		any = 1;
		if (disklog_read(&c->log, e, i, data, DISK_SECTOR))
			return -1;
		if (e->fua)
			put_now(c, at - c->base, data);
		else if (put_late(c, at - c->base, data))
			return -1;
	}
	return any;
}

static bool near_super(const struct crash *c, u64 index)
{
	for (u64 i = 0; i < c->supers_count; i++)
		if (index + NEAR >= c->supers[i] && index <= c->supers[i] + NEAR)
			return true;
	return false;
}

static bool chosen(const struct crash *c, const struct disklog_entry *e)
{
	return c->writes < c->all || c->writes % c->every == 0 || near_super(c, e->index);
}

static int find_supers(struct crash *c)
{
	struct disklog log = c->log;
	struct disklog_entry e;
	int rc;

	c->supers = calloc(log.count, sizeof(*c->supers));
	if (!c->supers)
		return -1;
	while ((rc = disklog_next(&log, &e)) > 0)
		if (e.len && e.at < c->base + 2 * PBFT_JOURNAL_BLOCK && e.at + e.len > c->base)
			c->supers[c->supers_count++] = e.index;
	return rc;
}

static int walk(struct crash *c)
{
	struct disklog_entry e;
	int rc;

	c->durable = judge(c);
	while ((rc = disklog_next(&c->log, &e)) > 0) {
		int any;

		if (e.flush && settle(c, &e))
			return -1;
		any = take(c, &e);
		if (any < 0 || (any && chosen(c, &e) && judge_all(c, &e)))
			return -1;
		c->writes += any;
	}
	return rc;
}

/* ---- the command line ----------------------------------------------------------------- */

static int load(struct crash *c, const char *path)
{
	FILE *f = fopen(path, "re");

	c->medium = malloc(c->size);
	if (!f || !c->medium || fseeko(f, c->base, SEEK_SET) ||
	    fread(c->medium, 1, c->size, f) != c->size) {
		fprintf(stderr, "journal-crash: %s: cannot be read as far as %" PRIu64 "\n", path,
			c->base + c->size);
		return -1;
	}
	fclose(f);
	return 0;
}

static int usage(void)
{
	fputs("usage: journal-crash [-s SEED] [-r SUBSETS] [-a FIRST -e EVERY] [-l]\n"
	      "                     OFFSET SIZE LOG BASE\n"
	      "\n"
	      "Judged are all of the FIRST writes, all near one to a superblock, and one of\n"
	      "EVERY others; default 1. With -l the disk has lied about its flushes.\n"
	      "The journal is SIZE bytes at OFFSET of a disk, which BASE is an image of from\n"
	      "before LOG.\n", stderr);
	return 2;
}

int main(int argc, char **argv)
{
	struct crash c = { .random = 1, .subsets = 2, .every = 1 };
	int opt;

	while ((opt = getopt(argc, argv, "s:r:a:e:l")) != -1) {
		if (opt == 's')
			c.random = strtoull(optarg, NULL, 10);
		else if (opt == 'r')
			c.subsets = strtoull(optarg, NULL, 10);
		else if (opt == 'l')
			c.liar = true;
		else if (opt == 'a')
			c.all = strtoull(optarg, NULL, 10);
		else if (opt == 'e')
			c.every = strtoull(optarg, NULL, 10);
		else
			return usage();
	}
	if (argc - optind != 4 || !c.every)
		return usage();
	c.base = strtoull(argv[optind], NULL, 10);
	c.size = strtoull(argv[optind + 1], NULL, 10);
	if (load(&c, argv[optind + 3]) || disklog_open(&c.log, argv[optind + 2]) ||
	    find_supers(&c) || walk(&c))
		return 1;
	if (!c.writes || c.durable.rc) {
		fprintf(stderr, "journal-crash: %s: no journal was written\n", argv[optind + 2]);
		return 1;
	}
	printf("%" PRIu64 " writes, %" PRIu64 " of them to superblocks, %" PRIu64 " flushes; %"
	       PRIu64 " media judged, %" PRIu64 " of them cut short; read to %" PRIu64 "\n", c.writes,
	       c.supers_count, c.flushes, c.judged, c.shorter,
	       c.most);
	return 0;
}
