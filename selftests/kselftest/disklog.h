/* SPDX-License-Identifier: GPL-2.0 */
/* The log of the kernel's dm-log-writes target: every write of a disk, in order. */
#ifndef PBFT_DISKLOG_H
#define PBFT_DISKLOG_H

#include <stdbool.h>

#include "core/types.h"

#define DISK_SECTOR	512	/* what a disk writes whole or not at all */

struct disklog {
	const char *path;
	int fd;
	u64 size;		/* of the log's device */
	u32 unit;		/* its sectors, in bytes */
	u64 count;		/* of entries */
	u64 done;		/* entries read */
	u64 off;		/* of the next one */
};

struct disklog_entry {
	u64 index;
	u64 at, len;		/* bytes of the disk */
	u64 data;		/* where they are in the log */
	bool flush;		/* what came before is durable */
	bool fua;		/* it is durable itself */
	bool discard;		/* zeroes, and no data in the log */
};

/* All print a sentence about what is wrong, and return -1. */
int disklog_open(struct disklog *log, const char *path);
/* Marks are left out. Return: 1; 0: there are no more. */
int disklog_next(struct disklog *log, struct disklog_entry *e);
/* @len bytes of what @e wrote, from its byte @from on. */
int disklog_read(const struct disklog *log, const struct disklog_entry *e, u64 from, void *buf,
		 u64 len);
void disklog_close(struct disklog *log);

/* Numbers that repeat from a seed. */
static inline u64 disklog_random(u64 *state)
{
	u64 z = *state += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

#endif /* PBFT_DISKLOG_H */
