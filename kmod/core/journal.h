/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The journal on its medium, a file or a block device: the same for the kernel
 * module, the userspace replica, the simulator and the tool that reads one.
 *
 *	0	superblock		PBFT_JOURNAL_BLOCK bytes
 *	1	superblock		the newer of the two counts
 *	2...	a ring of frames
 *
 * A frame is what one write brings: records, and the digest of all of it and of
 * the frame before, so that frames form a chain. Positions count the bytes ever
 * written and never wrap; a frame does not cross the end of the ring but begins
 * it anew. The superblock says where to begin reading.
 *
 * The end of the chain is where writing stopped. A frame beyond it which says
 * that more had been durable shows that the medium has lost what it had
 * acknowledged: what was promised is not all on record then.
 *
 * Old records are not picked out one by one. When half of the ring is used,
 * everything that must be remembered is written once more (pbft_persist_all()),
 * and reading begins there from then on.
 *
 * Process context, may sleep; one caller at a time.
 */
#ifndef PBFT_CORE_JOURNAL_H
#define PBFT_CORE_JOURNAL_H

#include "core.h"

#define PBFT_JOURNAL_BLOCK	4096
/* Shells refuse less: a window of full batches must fit twice. */
#define PBFT_JOURNAL_MIN	(16ull << 20)
#define PBFT_JOURNAL_NONCE	16

/* The medium. All return 0 or -errno, and do all or nothing that can be told. */
struct pbft_journal_io {
	int (*read)(void *arg, u64 off, void *buf, u32 len);
	int (*write)(void *arg, u64 off, const void *buf, u32 len);
	int (*sync)(void *arg);		/* what was written is durable */
	void *arg;
};

struct pbft_journal_stats {
	u64 records, frames, syncs;
	u64 bytes;		/* written, frames only */
	u64 compactions;
	u64 used;		/* of the ring */
	u64 size;		/* of the ring */
};

struct pbft_journal {
	struct pbft_journal_io io;
	struct pbft_wire_id id;
	u32 self;
	u8 nonce[PBFT_JOURNAL_NONCE];
	u64 size;		/* of the ring */
	u64 generation;		/* of the superblock */
	u64 start;		/* where reading begins */
	struct pbft_digest start_chain;	/* of the frame before */
	u64 end;		/* where the next frame goes */
	u64 synced;		/* everything before is durable */
	struct pbft_digest chain;	/* of the last frame */
	u64 mark;		/* a compaction began here, 0: none does */
	struct pbft_digest mark_chain;
	u8 *frame;		/* being made */
	u32 used;		/* bytes of it */
	u64 replayed;		/* records, by pbft_journal_replay() */
	bool torn;		/* ... and a frame at the end was not whole */
	struct pbft_journal_stats stats;
};

/**
 * pbft_journal_open() - find the journal on a medium, or make one
 * @j: not initialised; pbft_journal_close() it in any case
 * @bytes: of the medium
 * @nonce: random bytes for a new one; NULL: do not make one
 * @why: set to a sentence on failure
 *
 * A blank medium (two superblocks of zeroes, or none yet) becomes a new journal.
 *
 * Return: 0; -ENOSPC: @bytes are too few; -ENODATA: blank, and no @nonce;
 * -EXDEV: the journal of another replica or cluster; -EMEDIUMTYPE: something
 * else is stored here; -EBADMSG: both superblocks are damaged; -ENOMEM; or
 * what the medium says.
 */
int pbft_journal_open(struct pbft_journal *j, const struct pbft_wire_id *id, u32 self,
		      const struct pbft_journal_io *io, u64 bytes, const u8 *nonce,
		      const char **why);
void pbft_journal_close(struct pbft_journal *j);

/*
 * Whose journal is this? For who looks at one offline. Return: 0, or as above
 * with a sentence in *@why.
 */
int pbft_journal_peek(const struct pbft_journal_io *io, struct pbft_wire_id *id, u32 *self,
		      const char **why);

/**
 * pbft_journal_replay() - read all records, oldest first; once, after open
 * @fn: called for each; what it returns, if not 0, ends it
 *
 * Afterwards the journal is ready to be written. Return: 0; -EUCLEAN: records
 * that were durable are missing, the journal must be made anew and the replica
 * has forgotten; -ENOMEM; or what @fn or the medium says.
 */
int pbft_journal_replay(struct pbft_journal *j,
			int (*fn)(void *arg, const struct pbft_record *rec), void *arg,
			const char **why);

/* Begin anew; all it says is that there was more: FORGOT. Return: 0 or -errno. */
int pbft_journal_reset(struct pbft_journal *j, const u8 *nonce);

/*
 * Append a PERSIST. Written when a frame is full or by pbft_journal_flush(),
 * durable after pbft_journal_sync(). Return: 0; -ENOSPC: the ring is full; or what the
 * medium says: nothing more may be written to it after that.
 */
int pbft_journal_append(struct pbft_journal *j, const struct pbft_out *out);
int pbft_journal_flush(struct pbft_journal *j);
int pbft_journal_sync(struct pbft_journal *j);	/* flushes first */

/* Half of the ring is used: time for pbft_journal_mark() and pbft_persist_all(). */
bool pbft_journal_wants_compaction(const struct pbft_journal *j);
/* What is appended from here on says everything again. Flushes. */
int pbft_journal_mark(struct pbft_journal *j);
/* ... and has, and is durable: what came before the mark can go. */
int pbft_journal_reclaim(struct pbft_journal *j);

#endif /* PBFT_CORE_JOURNAL_H */
