/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Journals on a medium in memory, and records that can be told apart by their
 * number. The medium can fail at any call, and lose what was not synced.
 */
#ifndef PBFT_TEST_JOURNALS_H
#define PBFT_TEST_JOURNALS_H

#include "core/journal.h"

#define JOURNALS_SIZE	(2u << 20)
#define JOURNALS_SELF	1
#define JOURNALS_BODY	3000	/* bytes of a record, about; every third has none */
#define JOURNALS_BLOCK	PBFT_JOURNAL_BLOCK
#define JOURNALS_RING	(2 * PBFT_JOURNAL_BLOCK)

/* Where things are in a superblock and in a frame. */
#define JOURNALS_SUPER_VERSION	8
#define JOURNALS_SUPER_N	28
#define JOURNALS_SUPER_DIGEST	104
#define JOURNALS_FRAME_LEN	4
#define JOURNALS_FRAME_DIGEST	72
#define JOURNALS_FRAME_RECORDS	104

struct medium {
	u8 *data;		/* as it reads */
	u8 *durable;		/* as it is when the power fails at its worst */
	u64 low, high;		/* where the two may differ */
	u32 calls;
	u32 fail_at;		/* this call, and all after it, are errors; 0: none */
	u32 fail_write_at;	/* ... this write */
	u32 writes;
};

extern struct medium medium;
extern const struct pbft_journal_io medium_io;
extern const struct pbft_wire_id journals_id;
extern const u8 journals_nonce[2][PBFT_JOURNAL_NONCE];

void medium_begin(void);
void medium_end(void);
void medium_blank(void);
void medium_heal(void);		/* no more errors */
/*
 * The power fails: of what was written and not synced nothing is there, or all,
 * or what the dice leave, sector by sector.
 */
enum medium_loss { LOSE_ALL, LOSE_NONE, LOSE_SOME };
void medium_crash(enum medium_loss how, u64 *seed);

u64 journals_random(u64 *seed);

/* The @i-th record as it goes in; pbft_out_release() it. */
struct pbft_out journals_record(u64 i);
int journals_append(struct pbft_journal *j, u64 i);
/* Those from @from to before @to, each durable when the next is made. */
int journals_append_sync(struct pbft_journal *j, u64 from, u64 to);

/* What comes back. */
struct told {
	bool any;	/* ... record may be the first; else it is @next */
	u64 first;	/* number of the first, if any came */
	u64 next;	/* number of the one after the last */
	u32 count;	/* FORGOT is not counted */
	u32 forgot;
	bool wrong;	/* a record that was not written, or not in this order */
};

int journals_told(void *arg, const struct pbft_record *rec);

/* @nonce: for a new one; NULL: none is to be made */
int journals_open(struct pbft_journal *j, const u8 *nonce);
/* A new and empty one on a blank medium. */
void journals_begin(struct pbft_journal *j);
/* Close, open and read: @want, and are they the records from @from to before @to? */
bool journals_holds(struct pbft_journal *j, u64 from, u64 to, int want);

/* Make the digest right of what was changed by hand. */
void journals_sign_super(u32 which);
void journals_sign_frame(u64 at);

#endif /* PBFT_TEST_JOURNALS_H */
