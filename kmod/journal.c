// SPDX-License-Identifier: GPL-2.0
/*
 * Writing an instance's journal. What the core wants on record, and everything
 * that came out after it, waits in the gate (core/gate.h); one work item takes
 * all records there are, writes them, makes them durable at once, and lets pass
 * what waited: the more is in flight, the fewer flushes each of it costs.
 *
 * In mode async only records are in the gate, for the work item; nothing else
 * waits. A crash may then lose records that others rely on, so the journal says,
 * from the start on, that something is missing, and only a clean down takes that
 * back.
 *
 * A medium that is slow makes the gate fill up and the instance deaf until there
 * is room. One that fails stops the instance for good: what it did not keep
 * must not pass, and what a second flush says of it cannot be believed.
 *
 * The work item is cancelled when nothing enters the core any more; whoever
 * does that has the journal for itself afterwards.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include "disk.h"

static struct workqueue_struct *disk_wq;

/* ---- what must wait, under inst->lock ---------------------------------------- */

bool pbft_disk_holds(struct pbft_instance *inst, struct pbft_core *core,
		     struct pbft_out *out)
{
	struct pbft_disk *disk = inst->disk;

	if (!disk)
		return false;
	if (disk->failed) {
		/* Whoever listens is still to hear of it. */
		if (out->type == PBFT_OUT_EVENT)
			return false;
		pbft_out_release(out);
		return true;
	}
	if (out->type != PBFT_OUT_PERSIST &&
	    (disk->mode == PBFT_JOURNAL_ASYNC || pbft_gate_empty(&disk->gate)))
		return false;
	if (!pbft_gate_put(&disk->gate, out))
		pbft_stop(core, "more waits for the journal than the window allows");
	return true;
}

bool pbft_disk_next(struct pbft_instance *inst, struct pbft_out *out)
{
	struct pbft_disk *disk = inst->disk;

	while (disk && pbft_gate_next(&disk->gate, out)) {
		if (!disk->failed || out->type == PBFT_OUT_EVENT)
			return true;
		pbft_out_release(out);
	}
	return false;
}

void pbft_disk_kick(struct pbft_instance *inst)
{
	struct pbft_disk *disk = inst->disk;

	if (disk && !disk->failed && pbft_gate_waits(&disk->gate))
		queue_work(disk_wq, &disk->work);
}

void pbft_disk_settle(struct pbft_instance *inst)
{
	if (inst->disk)
		flush_work(&inst->disk->work);
}

void pbft_disk_unbind(struct pbft_instance *inst)
{
	if (inst->disk)
		pbft_gate_unbind(&inst->disk->gate);
}

/* ---- writing --------------------------------------------------------------------- */

/* Return how many PERSISTs are in disk->outs now. */
static u32 take(struct pbft_disk *disk)
{
	struct pbft_instance *inst = disk->inst;
	u64 now;
	u32 n;

	pbft_enter(inst, &now);
	n = pbft_gate_take(&disk->gate, disk->outs, PBFT_TAKE_MAX, &disk->upto);
	if (disk->mode == PBFT_JOURNAL_ASYNC)
		pbft_gate_durable(&disk->gate, disk->upto);
	pbft_leave(inst);
	return n;
}

static int append(struct pbft_disk *disk, u32 n)
{
	struct pbft_out *out;
	int err = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		out = &disk->outs[i];
		/* What is not waited for cannot be vouched for. */
		if (disk->mode == PBFT_JOURNAL_ASYNC &&
		    out->code == PBFT_REC_REMEMBERS)
			out->code = PBFT_REC_FORGOT;
		if (!err)
			err = pbft_journal_append(&disk->journal, out);
		pbft_out_release(out);
	}
	return err;
}

static int write_all(struct pbft_disk *disk)
{
	int err;
	u32 n;

	do {
		n = take(disk);
		err = append(disk, n);
		cond_resched();
	} while (!err && n == PBFT_TAKE_MAX);
	if (err)
		return err;
	return disk->mode == PBFT_JOURNAL_SYNC ?
	       pbft_journal_sync(&disk->journal) :
	       pbft_journal_flush(&disk->journal);
}

/* All that was taken is on record. */
static void pass(struct pbft_disk *disk)
{
	struct pbft_instance *inst = disk->inst;
	u64 now;

	pbft_enter(inst, &now);
	pbft_gate_durable(&disk->gate, disk->upto);
	disk->shown = disk->journal.stats;
	disk->shown.used = disk->journal.end - disk->journal.start;
	disk->shown.size = disk->journal.size;
	pbft_leave(inst);
}

/*
 * Everything once more, behind a mark. What was put out before must be ahead of
 * the mark: it is taken under the same lock. The work item runs again for what
 * comes out here, and when that is durable, what is ahead of the mark can go.
 */
static int compact(struct pbft_disk *disk)
{
	struct pbft_instance *inst = disk->inst;
	struct pbft_core *core;
	bool begun = false;
	u32 n = 0;
	u64 now;
	int err;

	core = pbft_enter(inst, &now);
	if (core && !inst->stopped && pbft_gate_open(&disk->gate)) {
		n = pbft_gate_take(&disk->gate, disk->outs, PBFT_TAKE_MAX,
				   &disk->upto);
		begun = n < PBFT_TAKE_MAX;
		if (begun)
			pbft_persist_all(core);
	}
	pbft_leave(inst);
	err = append(disk, n);
	if (!err && begun)
		err = pbft_journal_mark(&disk->journal);
	if (n)
		queue_work(disk_wq, &disk->work);
	return err;
}

/* ---- failing ----------------------------------------------------------------------- */

static const char *failure(const struct pbft_disk *disk, int err)
{
	if (!disk->io_err)
		return err == -ENOSPC ?
		       "the journal failed: it is full, a larger one is needed" :
		       "the journal failed: a record could not be written";
	if (disk->io_sync)
		return "the journal failed: what was written could not be made durable";
	switch (disk->io_err) {
	case -ENOSPC:
	case -EDQUOT:
		return "the journal failed: no space left where its file is stored";
	case -EIO:
		return "the journal failed: input/output error";
	case -EROFS:
		return "the journal failed: its file system has become read-only";
	}
	return "the journal failed: it could not be written";
}

static void fail(struct pbft_disk *disk, int err)
{
	struct pbft_instance *inst = disk->inst;
	const char *why = failure(disk, err);
	struct pbft_core *core;
	u64 now;

	core = pbft_enter(inst, &now);
	disk->failed = true;
	/* Not to be acted on, but to be cleared away. */
	pbft_gate_durable(&disk->gate, disk->gate.tail);
	if (core)
		pbft_stop(core, why);
	pbft_leave(inst);
	pr_err("instance %s: %s (error %d)\n", inst->name, why, -err);
}

static void disk_work(struct work_struct *work)
{
	struct pbft_disk *disk = container_of(work, struct pbft_disk, work);
	int err;

	if (disk->failed)
		return;
	err = write_all(disk);
	if (!err && disk->journal.mark)
		err = pbft_journal_reclaim(&disk->journal);
	if (!err)
		pass(disk);
	if (!err && pbft_journal_wants_compaction(&disk->journal))
		err = compact(disk);
	if (err)
		fail(disk, err);
}

/* ---- life ---------------------------------------------------------------------------- */

/* Durable at once. Nobody else uses the journal. */
static int note(struct pbft_disk *disk, u8 code)
{
	struct pbft_out out = { .type = PBFT_OUT_PERSIST, .code = code };

	return pbft_journal_append(&disk->journal, &out) ?:
	       pbft_journal_sync(&disk->journal);
}

static int tell(void *core, const struct pbft_record *rec)
{
	return pbft_restore(core, rec);
}

int pbft_disk_replay(struct pbft_disk *disk, struct pbft_core *core,
		     const char **why)
{
	struct pbft_journal *j = &disk->journal;
	u8 nonce[PBFT_JOURNAL_NONCE];
	int err;

	if (disk->damaged)
		return 0;
	err = pbft_journal_replay(j, tell, core, why);
	disk->replayed = j->replayed;
	disk->torn = j->torn;
	if (!err && j->replayed) {
		pbft_restored(core, ktime_get_ns());
		return 1;
	}
	if (err != -EUCLEAN)
		return err;
	pr_warn("instance %s: %s: it begins anew as one that has forgotten\n",
		disk->inst->name, *why);
	disk->damaged = true;
	get_random_bytes(nonce, sizeof(nonce));
	*why = "the journal cannot be begun anew";
	return pbft_journal_reset(j, nonce);
}

int pbft_disk_start(struct pbft_disk *disk, const struct pbft_core *core,
		    const char **why)
{
	*why = "no memory for what waits for the journal";
	if (pbft_gate_init(&disk->gate, core))
		return -ENOMEM;
	disk->shown.size = disk->journal.size;
	/*
	 * Before anything else, so that no crash finds an empty journal, which
	 * a new cluster may begin with.
	 */
	*why = "the journal cannot be written";
	if (disk->damaged || disk->mode == PBFT_JOURNAL_ASYNC)
		return note(disk, PBFT_REC_FORGOT);
	return 0;
}

/* What a crash would have lost is written, and the promise to keep it kept. */
static void finish(struct pbft_disk *disk, const struct pbft_core *core)
{
	int err;

	if (disk->failed)
		return;
	err = write_all(disk);
	if (!err && disk->mode == PBFT_JOURNAL_ASYNC && pbft_remembers(core))
		err = note(disk, PBFT_REC_REMEMBERS);
	if (!err)
		err = pbft_journal_sync(&disk->journal);
	if (err)
		pr_err("instance %s: %s (error %d)\n", disk->inst->name,
		       failure(disk, err), -err);
}

void pbft_disk_close(struct pbft_instance *inst, const struct pbft_core *core,
		     bool clean)
{
	struct pbft_disk *disk = inst->disk;

	if (!disk)
		return;
	cancel_work_sync(&disk->work);
	if (core && clean)
		finish(disk, core);
	inst->disk = NULL;
	pbft_gate_exit(&disk->gate);
	pbft_journal_close(&disk->journal);
	pbft_medium_close(disk);
	kvfree(disk);
}

int pbft_disk_open(struct pbft_instance *inst, struct file *file, u32 mode,
		   const char **why)
{
	u8 nonce[PBFT_JOURNAL_NONCE];
	struct pbft_disk *disk;
	int err;

	*why = "no memory for the journal";
	disk = kvzalloc(sizeof(*disk), GFP_KERNEL);
	if (!disk)
		return -ENOMEM;
	disk->inst = inst;
	disk->mode = mode;
	INIT_WORK(&disk->work, disk_work);
	err = pbft_medium_open(disk, file, why);
	if (err)
		goto out_free;
	get_random_bytes(nonce, sizeof(nonce));
	err = pbft_journal_open(&disk->journal, &inst->wire,
				inst->conf.self.self, &disk->io,
				pbft_medium_size(file), nonce, why);
	if (err == -EBADMSG) {
		pr_warn("instance %s: %s: it begins anew as one that has forgotten\n",
			inst->name, *why);
		disk->damaged = true;
		*why = "the journal cannot be begun anew";
		err = pbft_journal_reset(&disk->journal, nonce);
	}
	if (err)
		goto out_medium;
	inst->disk = disk;
	return 0;

out_medium:
	pbft_journal_close(&disk->journal);
	pbft_medium_close(disk);
out_free:
	kvfree(disk);
	return err;
}

int __init pbft_journal_init(void)
{
	disk_wq = alloc_workqueue("pbft-journal", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return disk_wq ? 0 : -ENOMEM;
}

void pbft_journal_exit(void)
{
	destroy_workqueue(disk_wq);
}
