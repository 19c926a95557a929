// SPDX-License-Identifier: GPL-2.0
/*
 * A replica's disk, and the journal on it (kmod/core/journal.c, as every shell
 * uses it). What is written stays in a cache until a sync has had its time; a
 * power cut keeps some of the sectors written since and loses the others. Bit rot
 * takes what was durable, and the replica's memory with it.
 */
#include <stdlib.h>
#include "ghost.h"
#include "sim.h"

#define SECTOR		512
#define TAKE_MAX	64

/* ---- the medium ------------------------------------------------------------- */

static int disk_read(void *arg, u64 off, void *buf, u32 len)
{
	struct sim_disk *d = arg;

	if (off + len > d->size)
		return -EIO;
	memcpy(buf, d->cache + off, len);
	return 0;
}

static int disk_write(void *arg, u64 off, const void *buf, u32 len)
{
	struct sim_disk *d = arg;

	if (off + len > d->size || off % SECTOR || len % SECTOR)
		return -EIO;
	/* a superblock says that what it leads to is durable */
	if (off < 2 * PBFT_JOURNAL_BLOCK && d->dirty_from < d->dirty_to)
		d->early = true;
	memcpy(d->cache + off, buf, len);
	d->top = max(d->top, off + len);
	memset(d->dirty + off / SECTOR, 1, len / SECTOR);
	d->dirty_from = min_t(u32, d->dirty_from, off / SECTOR);
	d->dirty_to = max_t(u32, d->dirty_to, (off + len) / SECTOR);
	return 0;
}

static void all_clean(struct sim_disk *d)
{
	d->dirty_from = d->size / SECTOR;
	d->dirty_to = 0;
}

static int disk_sync(void *arg)
{
	struct sim_disk *d = arg;
	u32 i;

	for (i = d->dirty_from; i < d->dirty_to; i++) {
		if (!d->dirty[i])
			continue;
		memcpy(d->media + i * SECTOR, d->cache + i * SECTOR, SECTOR);
		d->dirty[i] = 0;
	}
	all_clean(d);
	return 0;
}

static const struct pbft_journal_io disk_io = {
	.read = disk_read, .write = disk_write, .sync = disk_sync,
};

/* Of what was not synced, each sector is there or not; or nothing is; or all. */
static void power_cut(struct sim_disk *d, struct prng *r)
{
	u32 i, keep = prng_below(r, 3) * 500000;

	for (i = d->dirty_from; i < d->dirty_to; i++) {
		if (!d->dirty[i])
			continue;
		if (prng_chance(r, keep))
			memcpy(d->media + i * SECTOR, d->cache + i * SECTOR, SECTOR);
		else
			memcpy(d->cache + i * SECTOR, d->media + i * SECTOR, SECTOR);
		d->dirty[i] = 0;
	}
	all_clean(d);
}

/* ---- disks ------------------------------------------------------------------- */

#define SPARES 64

/* Blank ones of earlier seeds: little of a disk is ever written, and blanking takes time. */
static struct sim_disk spares[SPARES];
static u32 spare_count;

static void blank(struct sim_disk *d)
{
	memset(d->media, 0, d->top);
	memset(d->cache, 0, d->top);
	memset(d->dirty, 0, d->top / SECTOR);
	d->top = 0;
}

void disk_init(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;

	d->on = node->sim->plan.journal && !node->byz;
	if (!d->on)
		return;
	d->size = node->sim->plan.journal;
	if (spare_count) {
		const struct sim_disk *s = &spares[--spare_count];

		d->media = s->media;
		d->cache = s->cache;
		d->dirty = s->dirty;
	} else {
		d->media = calloc(1, SIM_DISK_MAX);
		d->cache = calloc(1, SIM_DISK_MAX);
		d->dirty = calloc(1, SIM_DISK_MAX / SECTOR);
	}
	all_clean(d);
}

void disk_free(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;

	if (d->on && spare_count < SPARES) {
		blank(d);
		spares[spare_count++] = *d;
	} else {
		free(d->media);
		free(d->cache);
		free(d->dirty);
	}
	memset(d, 0, sizeof(*d));
}

void disk_wipe(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;

	if (!d->on)
		return;
	blank(d);
	d->group = 0;
}

/*
 * A durable frame becomes unreadable, but none of the last group written: what
 * is missing there could as well have been lost by a power cut.
 */
void disk_rot(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	struct prng *r = &node->sim->rng_disk;
	u64 at;

	if (!d->on || d->group <= d->journal.start)
		return;
	at = d->journal.start + prng_below(r, d->group - d->journal.start);
	at = 2 * PBFT_JOURNAL_BLOCK + at % d->journal.size;
	/* every sector of a block: one of them holds something */
	at -= at % PBFT_JOURNAL_BLOCK;
	memset(d->media + at, 0x5a, PBFT_JOURNAL_BLOCK);
	memset(d->cache + at, 0x5a, PBFT_JOURNAL_BLOCK);
	trace(node->sim, "%s bit rot at %llu", trace_end(node->id), llu(at));
}

/* ---- writing -------------------------------------------------------------------- */

static void journal_failed(struct sim_node *node, const char *what, int err)
{
	sim_violation(node->sim, "journal: %s of replica %u fails with %d", what, node->id, err);
}

static void append_all(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	struct pbft_out outs[TAKE_MAX];
	u32 i, n;
	int err = 0;

	do {
		n = pbft_gate_take(&d->gate, outs, TAKE_MAX, &d->upto);
		for (i = 0; i < n; i++) {
			err = err ?: pbft_journal_append(&d->journal, &outs[i]);
			pbft_out_release(&outs[i]);
		}
	} while (n == TAKE_MAX);
	err = err ?: pbft_journal_flush(&d->journal);
	if (err)
		journal_failed(node, "append", err);
}

/* Write all that waits; when the sync is through, disk_synced() goes on. */
void disk_kick(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	struct sim *sim = node->sim;

	if (d->busy || !pbft_gate_waits(&d->gate))
		return;
	append_all(node);
	d->busy = true;
	sim_event_add(sim, sim->now + prng_range(&sim->rng_disk, 20 * 1000,
						 sim->plan.sync_delay),
		      SIM_EV_DISK, node->id)->gen = node->life;
}

/* Say everything again, so that the ring has room. */
static void compact(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	int err;

	append_all(node);
	err = pbft_journal_mark(&d->journal);
	if (err)
		journal_failed(node, "mark", err);
	replica_enter(node);
	pbft_persist_all(node->core);
	replica_leave(node);
	append_all(node);
	/* the power may fail now: what was said again is there in part */
	d->compacted = d->upto;
	node->sim->stats.compactions++;
}

static bool crash_after(struct sim_node *node)
{
	struct sim *sim = node->sim;

	if (sim->phase != SIM_CHAOS || !(sim->plan.faults >> SIM_F_CRASH & 1))
		return false;
	sim->stats.crashes++;
	replica_stop(node);
	app_unbind(node, true);
	sim_event_add(sim, sim->now + prng_range(&sim->rng_disk, MS, sim->plan.cfg.t_base),
		      SIM_EV_REPAIR, node->id)->arg = SIM_F_CRASH;
	return true;
}

void disk_synced(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	bool reclaim = d->journal.mark && d->upto >= d->compacted;
	u64 was = d->journal.synced;
	int err = reclaim ? pbft_journal_reclaim(&d->journal) :
		  pbft_journal_sync(&d->journal);

	d->busy = false;
	if (err)
		journal_failed(node, "sync", err);
	if (d->journal.synced > was)
		d->group = was;
	if (d->early)
		sim_violation(node->sim, "7 journal: replica %u writes a superblock before the frames it leads to are durable",
			      node->id);
	pbft_gate_durable(&d->gate, d->upto);
	replica_enter(node);
	replica_leave(node);
	/* what is said again is what comes back, if the power fails soon after */
	if (reclaim && prng_chance(&node->sim->rng_disk, 100000) && crash_after(node))
		return;
	/* it is not wanted as often as it would find something to forget */
	if (pbft_journal_wants_compaction(&d->journal) ||
	    (!d->journal.mark && prng_chance(&node->sim->rng_disk, 10000)))
		compact(node);
	disk_kick(node);
}

/* ---- a life ------------------------------------------------------------------------ */

static int told(void *arg, const struct pbft_record *rec)
{
	struct sim_node *node = arg;
	struct sim_disk *d = &node->disk;

	/* what survived without having been waited for was promised to nobody yet */
	if (d->journal.end >= d->synced)
		ghost_survived(node, rec);
	return pbft_restore(node->core, rec);
}

/*
 * Make node->core, as it was if the disk remembers. Return: false: it has no
 * memory, or it is lost.
 */
bool disk_start(struct sim_node *node, struct pbft_config *cfg)
{
	struct sim_disk *d = &node->disk;
	struct pbft_journal_io io = disk_io;
	u8 nonce[PBFT_JOURNAL_NONCE];
	const char *why;
	u32 i;
	int err;

	for (i = 0; i < sizeof(nonce); i++)
		nonce[i] = prng_u64(&node->sim->rng_disk);
	io.arg = d;
	err = pbft_journal_open(&d->journal, &node->sim->id, node->id, &io, d->size, nonce,
				&why);
	if (err)
		sim_violation(node->sim, "journal: replica %u: %s (%d)", node->id, why, err);
	cfg->restore = true;
	replica_make(node, cfg);
	err = pbft_journal_replay(&d->journal, told, node, &why);
	if (!err && d->journal.replayed) {
		pbft_restored(node->core, replica_now(node));
		if (pbft_remembers(node->core))
			node->sim->stats.resumed++;
		return pbft_remembers(node->core);
	}
	if (err && err != -EUCLEAN)
		sim_violation(node->sim, "journal: replica %u: %s (%d)", node->id, why, err);
	if (!(node->sim->forgetful >> node->id & 1))
		sim_violation(node->sim, "7 journal: replica %u has lost its memory: %s",
			      node->id, err ? why : "empty");
	if (err)
		pbft_journal_reset(&d->journal, nonce);
	d->group = 0;
	pbft_core_destroy(node->core);
	cfg->restore = false;
	replica_make(node, cfg);
	return false;
}

/* The first life begins with an empty journal. */
void disk_born(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;
	struct pbft_journal_io io = disk_io;
	u8 nonce[PBFT_JOURNAL_NONCE] = { node->id };
	const char *why;
	int err;

	io.arg = d;
	err = pbft_journal_open(&d->journal, &node->sim->id, node->id, &io, d->size, nonce,
				&why);
	if (!err)
		err = pbft_journal_replay(&d->journal, told, node, &why);
	if (err)
		sim_violation(node->sim, "journal: replica %u: %s (%d)", node->id, why, err);
}

void disk_stop(struct sim_node *node)
{
	struct sim_disk *d = &node->disk;

	if (!d->on)
		return;
	d->synced = d->journal.synced;
	d->busy = false;
	pbft_gate_exit(&d->gate);
	pbft_journal_close(&d->journal);
	power_cut(d, &node->sim->rng_disk);
}
