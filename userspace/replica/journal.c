// SPDX-License-Identifier: GPL-2.0
/*
 * The replica's journal. What the core wants on record, and everything that came
 * out after it, waits in the gate (core/gate.h) until the end of a turn: then all
 * records there are get written, made durable by one flush, and what waited
 * goes out. The more arrives in one turn, the fewer flushes each of it costs.
 *
 * In mode async only records are in the gate, for the end of the turn; nothing else
 * waits. A crash may then lose records that others rely on, so the journal says, from
 * the start on, that something is missing, and only pbft_replica_down() takes that back.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/random.h>
#include "replica_priv.h"

#define TAKE_MAX	64

/* ---- what must wait ------------------------------------------------------------ */

bool rep_disk_holds(struct pbft_replica *r, struct pbft_out *out)
{
	struct rep_disk *d = &r->disk;

	if (!d->mode)
		return false;
	if (d->failed) {
		if (out->type == PBFT_OUT_EVENT)
			return false;
		pbft_out_release(out);
		return true;
	}
	if (out->type != PBFT_OUT_PERSIST &&
	    (d->mode == PBFT_JOURNAL_ASYNC || pbft_gate_empty(&d->gate)))
		return false;
	if (!pbft_gate_put(&d->gate, out))
		pbft_stop(r->core, "more waits for the journal than the window allows");
	return true;
}

bool rep_disk_next(struct pbft_replica *r, struct pbft_out *out)
{
	struct rep_disk *d = &r->disk;

	while (d->mode && pbft_gate_next(&d->gate, out)) {
		if (!d->failed || out->type == PBFT_OUT_EVENT)
			return true;
		pbft_out_release(out);
	}
	return false;
}

void rep_disk_unbind(struct pbft_replica *r)
{
	if (r->disk.mode)
		pbft_gate_unbind(&r->disk.gate);
}

/* ---- writing ---------------------------------------------------------------------- */

static int append(struct rep_disk *d, struct pbft_out *outs, u32 n)
{
	int rc = 0;
	u32 i;

	for (i = 0; i < n; i++) {
		/* What is not waited for cannot be vouched for. */
		if (d->mode == PBFT_JOURNAL_ASYNC &&
		    outs[i].code == PBFT_REC_REMEMBERS)
			outs[i].code = PBFT_REC_FORGOT;
		if (!rc)
			rc = pbft_journal_append(&d->journal, &outs[i]);
		pbft_out_release(&outs[i]);
	}
	return rc;
}

static int append_all(struct pbft_replica *r, u64 *upto)
{
	struct rep_disk *d = &r->disk;
	struct pbft_out outs[TAKE_MAX];
	int rc;
	u32 n;

	do {
		n = pbft_gate_take(&d->gate, outs, TAKE_MAX, upto);
		rc = append(d, outs, n);
	} while (!rc && n == TAKE_MAX);
	return rc;
}

static int write_all(struct pbft_replica *r)
{
	struct rep_disk *d = &r->disk;
	u64 upto;
	int rc = append_all(r, &upto);

	if (!rc)
		rc = d->mode == PBFT_JOURNAL_SYNC ? pbft_journal_sync(&d->journal) :
		     pbft_journal_flush(&d->journal);
	if (!rc)
		pbft_gate_durable(&d->gate, upto);
	return rc;
}

/*
 * Everything once more, behind a mark; when that is durable, what is ahead of
 * the mark can go. Nothing of this waits: it is a turn's work every half ring.
 */
static int compact(struct pbft_replica *r)
{
	struct rep_disk *d = &r->disk;
	int rc;

	rc = pbft_journal_mark(&d->journal);
	if (rc)
		return rc;
	pbft_persist_all(r->core);
	rep_drain(r);
	rc = write_all(r);
	return rc ? rc : pbft_journal_reclaim(&d->journal);
}

static const char *failure(const struct rep_disk *d, int rc)
{
	if (!d->io_err)
		return rc == -ENOSPC ?
		       "the journal failed: it is full, a larger one is needed" :
		       "the journal failed: a record could not be written";
	if (d->io_sync)
		return "the journal failed: what was written could not be made durable";
	switch (d->io_err) {
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

void rep_disk_commit(struct pbft_replica *r)
{
	struct rep_disk *d = &r->disk;
	int rc = 0;

	if (!d->mode || d->failed)
		return;
	/* What passes may have an answer at once, which is to be on record too. */
	while (!rc && pbft_gate_waits(&d->gate)) {
		rc = write_all(r);
		if (!rc)
			rep_drain(r);
	}
	if (!rc && pbft_journal_wants_compaction(&d->journal))
		rc = compact(r);
	if (rc) {
		d->failed = true;
		pbft_gate_durable(&d->gate, d->gate.tail);
		pbft_stop(r->core, failure(d, rc));
	}
	rep_drain(r);
}

/* ---- the medium ----------------------------------------------------------------------- */

static int medium_failed(struct rep_disk *d, int rc, bool sync)
{
	if (rc && !d->io_err) {
		d->io_err = rc;
		d->io_sync = sync;
	}
	return rc;
}

static int medium_read(void *arg, u64 off, void *buf, u32 len)
{
	struct rep_disk *d = arg;

	return medium_failed(d, d->file.read(d->file.arg, off, buf, len), false);
}

static int medium_write(void *arg, u64 off, const void *buf, u32 len)
{
	struct rep_disk *d = arg;

	return medium_failed(d, d->file.write(d->file.arg, off, buf, len), false);
}

static int medium_sync(void *arg)
{
	struct rep_disk *d = arg;

	return medium_failed(d, d->file.sync(d->file.arg), true);
}

/* ---- life -------------------------------------------------------------------------------- */

/* Durable at once. */
static int note(struct rep_disk *d, u8 code)
{
	struct pbft_out out = { .type = PBFT_OUT_PERSIST, .code = code };
	int rc = pbft_journal_append(&d->journal, &out);

	return rc ? rc : pbft_journal_sync(&d->journal);
}

static int tell(void *core, const struct pbft_record *rec)
{
	return pbft_restore(core, rec);
}

/* What was there cannot be trusted. */
static int begin_anew(struct rep_disk *d, const char **why)
{
	u8 nonce[PBFT_JOURNAL_NONCE];

	d->damaged = true;
	*why = "the journal cannot be begun anew";
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		return -EIO;
	return pbft_journal_reset(&d->journal, nonce);
}

int rep_disk_open(struct pbft_replica *r, const struct pbft_replica_config *cfg,
		  const char **why)
{
	struct rep_disk *d = &r->disk;
	struct pbft_journal_io io = {
		.read = medium_read, .write = medium_write, .sync = medium_sync,
		.arg = d,
	};
	const struct pbft_config *core = &cfg->cluster->cfg;
	u8 nonce[PBFT_JOURNAL_NONCE];
	u64 bytes;
	int rc;

	d->mode = cfg->journal_mode;
	d->fd = cfg->journal_fd;
	d->file = pbft_journal_file_io(&d->fd);
	*why = "the journal cannot be looked at";
	rc = pbft_journal_file_size(d->fd, &bytes);
	if (rc)
		return rc;
	*why = "the journal is too small: it takes 16 MB, and twice the window in full batches";
	if (bytes < max(PBFT_JOURNAL_MIN, 2ull * core->l * core->batch_bytes))
		return -ENOSPC;
	*why = "there are no random numbers";
	if (getrandom(nonce, sizeof(nonce), 0) != sizeof(nonce))
		return -EIO;
	rc = pbft_journal_open(&d->journal, &r->wire, r->self, &io, bytes, nonce, why);
	return rc == -EBADMSG ? begin_anew(d, why) : rc;
}

int rep_disk_replay(struct pbft_replica *r, const char **why)
{
	struct rep_disk *d = &r->disk;
	int rc;

	if (d->damaged)
		return 0;
	rc = pbft_journal_replay(&d->journal, tell, r->core, why);
	if (rc == -EUCLEAN)
		return begin_anew(d, why);
	if (rc || !d->journal.replayed)
		return rc;
	pbft_restored(r->core, r->now);
	return 1;
}

int rep_disk_start(struct pbft_replica *r, const char **why)
{
	struct rep_disk *d = &r->disk;

	*why = "out of memory for what waits for the journal";
	if (pbft_gate_init(&d->gate, r->core))
		return -ENOMEM;
	/*
	 * Before anything else, so that no crash finds an empty journal, which
	 * a new cluster may begin with.
	 */
	*why = "the journal cannot be written";
	if (d->damaged || d->mode == PBFT_JOURNAL_ASYNC)
		return note(d, PBFT_REC_FORGOT);
	return 0;
}

int pbft_replica_down(struct pbft_replica *r)
{
	struct rep_disk *d = &r->disk;
	int rc;

	if (!d->mode)
		return 0;
	rep_drain(r);
	rep_disk_commit(r);
	if (d->failed)
		return -EIO;
	rc = 0;
	if (d->mode == PBFT_JOURNAL_ASYNC && pbft_remembers(r->core))
		rc = note(d, PBFT_REC_REMEMBERS);
	if (!rc)
		rc = pbft_journal_sync(&d->journal);
	d->failed = true;	/* nothing passes after this */
	return rc;
}

void rep_disk_close(struct pbft_replica *r)
{
	struct rep_disk *d = &r->disk;

	if (!d->mode)
		return;
	pbft_gate_exit(&d->gate);
	pbft_journal_close(&d->journal);
}

void pbft_replica_journal(const struct pbft_replica *r,
			  struct pbft_replica_journal *out)
{
	const struct rep_disk *d = &r->disk;

	memset(out, 0, sizeof(*out));
	out->mode = d->mode;
	if (!d->mode)
		return;
	out->stats = d->journal.stats;
	out->stats.size = d->journal.size;
	out->stats.used = d->journal.end - d->journal.start;
	out->replayed = d->journal.replayed;
	out->flags = (d->journal.torn ? PBFT_JF_TORN : 0) |
		     (d->damaged ? PBFT_JF_DAMAGED : 0) |
		     (d->failed ? PBFT_JF_FAILED : 0);
}
