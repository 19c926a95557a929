/* SPDX-License-Identifier: GPL-2.0 */
/* An instance's journal: the file it is on, and what waits for that. */
#ifndef PBFT_DISK_H
#define PBFT_DISK_H

#include "instance.h"
#include "core/gate.h"
#include "core/journal.h"

struct file;
struct sk_buff;

#define PBFT_TAKE_MAX	32	/* PERSISTs taken at once */

struct pbft_disk {
	/* Constant while the instance is up. */
	struct pbft_instance *inst;
	struct list_head node;		/* of the files in use */
	struct file *file;		/* a reference */
	u32 mode;			/* PBFT_JOURNAL_ASYNC or _SYNC */
	bool damaged;			/* had lost records, and was begun anew */
	u64 replayed;
	bool torn;

	/* Under inst->lock. */
	struct pbft_gate gate;
	bool failed;			/* nothing passes any more */
	struct pbft_journal_stats shown;

	/* Of the work item, and of who starts and ends it. */
	struct work_struct work;
	struct pbft_journal journal;
	struct pbft_out outs[PBFT_TAKE_MAX];
	struct pbft_journal_io io;
	u64 upto;			/* PERSISTs before it have been appended */
	int io_err;			/* of the file, the first */
	bool io_sync;			/* ... from making durable */
};

int pbft_journal_init(void);
void pbft_journal_exit(void);

/* ---- life; under pbft_net.mutex, may sleep ------------------------------------ */

/*
 * Open the journal in @file as inst->disk; takes a reference. Return 0, or
 * -errno with a sentence in *@why.
 */
int pbft_disk_open(struct pbft_instance *inst, struct file *file, u32 mode,
		   const char **why);
/*
 * Tell @core what is on record. Return: 1: it has resumed; 0: there is nothing,
 * or it cannot be trusted (disk->damaged), @core is of no use; -errno with a
 * sentence in *@why.
 */
int pbft_disk_replay(struct pbft_disk *disk, struct pbft_core *core,
		     const char **why);
/* Ready for the outputs of @core. The same returns as pbft_disk_open(). */
int pbft_disk_start(struct pbft_disk *disk, const struct pbft_core *core,
		    const char **why);
/*
 * Nothing enters @core any more. @clean: put on record that nothing is missing;
 * otherwise the file is left as a crash would leave it. @core may be NULL.
 */
void pbft_disk_close(struct pbft_instance *inst, const struct pbft_core *core,
		     bool clean);

/* ---- under inst->lock ---------------------------------------------------------- */

/* May the core be given a message, or time? */
static inline bool pbft_disk_ready(const struct pbft_instance *inst)
{
	return !inst->disk || pbft_gate_open(&inst->disk->gate);
}

/* True: @out has to wait, or is never to pass; its references are taken over. */
bool pbft_disk_holds(struct pbft_instance *inst, struct pbft_core *core,
		     struct pbft_out *out);
/* The next that may pass now. */
bool pbft_disk_next(struct pbft_instance *inst, struct pbft_out *out);
/* The outbox is empty: let the work item write what waits for it. */
void pbft_disk_kick(struct pbft_instance *inst);
/* Wait until what was put out so far is durable, or has failed. May sleep. */
void pbft_disk_settle(struct pbft_instance *inst);
/* The daemon is gone: what waits for it is void. */
void pbft_disk_unbind(struct pbft_instance *inst);

/* ---- the file (medium.c) --------------------------------------------------------- */

/* Will @file do? Then it is disk->file. The same returns as pbft_disk_open(). */
int pbft_medium_open(struct pbft_disk *disk, struct file *file, const char **why);
void pbft_medium_close(struct pbft_disk *disk);
u64 pbft_medium_size(const struct file *file);

/* ---- showing (journal-show.c) ---------------------------------------------------- */

struct pbft_disk_now {
	u32 mode;		/* enum pbft_journal_mode */
	u32 flags;		/* PBFT_JF_* */
	u64 replayed;
	struct pbft_journal_stats stats;
};

/* Under inst->lock. */
void pbft_disk_show(const struct pbft_instance *inst, struct pbft_disk_now *now);
int pbft_disk_put(struct sk_buff *skb, const struct pbft_disk_now *now);

#endif /* PBFT_DISK_H */
