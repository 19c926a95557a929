// SPDX-License-Identifier: GPL-2.0
/* The journal's layout, writing and reading it: see journal.h. */
#include "journal.h"
#include "record.h"
#include "hash.h"

#define SUPER_MAGIC	0x4c4e524a54464250ull	/* "PBFTJRNL" */
#define FRAME_MAGIC	0x4d524650u		/* "PFRM" */
#define VERSION		1
#define RING_AT		(2ull * PBFT_JOURNAL_BLOCK)

struct super_disk {
	__le64 magic;
	__le32 version;
	__le32 self;
	__le64 cluster;
	__le32 epoch;
	__le32 n;
	__le64 generation;
	__le64 size;
	__le64 start;
	struct pbft_digest start_chain;
	u8 nonce[PBFT_JOURNAL_NONCE];
	struct pbft_digest digest;	/* of all before */
} __packed __aligned(8);

struct frame_disk {
	__le32 magic;
	__le32 len;		/* header and records */
	__le64 pos;
	__le64 synced;		/* durable when this was written */
	u8 nonce[PBFT_JOURNAL_NONCE];	/* an older journal's frames may lie about here */
	struct pbft_digest prev;
	struct pbft_digest digest;	/* of all but itself, records included */
	u8 records[];
} __packed __aligned(8);

#define FRAME_MAX	ALIGN(sizeof(struct frame_disk) + PBFT_RECORD_MAX, PBFT_JOURNAL_BLOCK)

static u64 place(const struct pbft_journal *j, u64 pos)
{
	return RING_AT + pos % j->size;
}

/* ---- superblocks ---------------------------------------------------------- */

static void super_digest(const struct super_disk *s, struct pbft_digest *out)
{
	struct pbft_iov iov = { s, offsetof(struct super_disk, digest) };

	pbft_hash(out, &iov, 1);
}

static int super_write(struct pbft_journal *j)
{
	struct super_disk *s = (void *)j->frame;
	int err;

	memset(s, 0, PBFT_JOURNAL_BLOCK);
	j->generation++;
	s->magic = cpu_to_le64(SUPER_MAGIC);
	s->version = cpu_to_le32(VERSION);
	s->self = cpu_to_le32(j->self);
	s->cluster = cpu_to_le64(j->id.cluster);
	s->epoch = cpu_to_le32(j->id.epoch);
	s->n = cpu_to_le32(j->id.n);
	s->generation = cpu_to_le64(j->generation);
	s->size = cpu_to_le64(j->size);
	s->start = cpu_to_le64(j->start);
	s->start_chain = j->start_chain;
	memcpy(s->nonce, j->nonce, sizeof(s->nonce));
	super_digest(s, &s->digest);
	err = j->io.write(j->io.arg, j->generation % 2 * PBFT_JOURNAL_BLOCK, s,
			  PBFT_JOURNAL_BLOCK);
	return err ?: j->io.sync(j->io.arg);
}

/* What the first frame has for the one before it: this journal, and no other. */
static void birth(struct pbft_journal *j, const u8 *nonce)
{
	struct pbft_iov iov = { nonce, PBFT_JOURNAL_NONCE };

	memcpy(j->nonce, nonce, PBFT_JOURNAL_NONCE);
	pbft_hash(&j->start_chain, &iov, 1);
	j->chain = j->start_chain;
}

/* Empty. Both superblocks: the older one must not be what is found some day. */
static int begin(struct pbft_journal *j)
{
	int err = super_write(j) ?: super_write(j);

	j->used = sizeof(struct frame_disk);
	return err;
}

/* Neither superblock is one any more, and nor is the medium blank: see super_find(). */
static int super_spoil(struct pbft_journal *j)
{
	struct super_disk *s = (void *)j->frame;

	memset(s, 0, 2 * PBFT_JOURNAL_BLOCK);
	s->magic = cpu_to_le64(SUPER_MAGIC);
	((struct super_disk *)(j->frame + PBFT_JOURNAL_BLOCK))->magic = s->magic;
	return j->io.write(j->io.arg, 0, s, 2 * PBFT_JOURNAL_BLOCK) ?: j->io.sync(j->io.arg);
}

int pbft_journal_reset(struct pbft_journal *j, const u8 *nonce)
{
	struct pbft_out forgot = { .type = PBFT_OUT_PERSIST, .code = PBFT_REC_FORGOT };
	int err;

	birth(j, nonce);
	j->start = 0;
	j->end = 0;
	j->synced = 0;
	j->mark = 0;
	j->used = sizeof(struct frame_disk);
	/*
	 * What shows the loss may lie where the new journal begins: until that is
	 * there, this is a damaged one. FORGOT is in place before the journal is: no
	 * crash may leave one that looks new.
	 */
	err = super_spoil(j) ?: pbft_journal_append(j, &forgot) ?: pbft_journal_sync(j);
	return err ?: begin(j);
}

static bool blank(const u8 *block)
{
	u32 i;

	for (i = 0; i < PBFT_JOURNAL_BLOCK; i++)
		if (block[i])
			return false;
	return true;
}

static int super_check(struct pbft_journal *j, const struct super_disk *s, u64 bytes,
		       const char **why)
{
	*why = "this is the journal of another replica or cluster";
	if (le64_to_cpu(s->cluster) != j->id.cluster || le32_to_cpu(s->epoch) != j->id.epoch ||
	    le32_to_cpu(s->n) != j->id.n || le32_to_cpu(s->self) != j->self)
		return -EXDEV;
	*why = "the journal is of a version that this program does not know";
	if (le32_to_cpu(s->version) != VERSION)
		return -EMEDIUMTYPE;
	*why = "the journal is larger than its medium: it has been cut off";
	if (!le64_to_cpu(s->size) || le64_to_cpu(s->size) % PBFT_JOURNAL_BLOCK ||
	    le64_to_cpu(s->size) > bytes - RING_AT)
		return -EBADMSG;
	j->generation = le64_to_cpu(s->generation);
	j->size = le64_to_cpu(s->size);
	j->start = le64_to_cpu(s->start);
	j->start_chain = s->start_chain;
	memcpy(j->nonce, s->nonce, sizeof(j->nonce));
	return 0;
}

/* The newer of the two that is whole. NULL: none is. */
static const struct super_disk *super_choose(const u8 *blocks)
{
	const struct super_disk *best = NULL;
	struct pbft_digest d;
	u32 i;

	for (i = 0; i < 2; i++) {
		const struct super_disk *s = (const void *)(blocks + i * PBFT_JOURNAL_BLOCK);

		if (le64_to_cpu(s->magic) != SUPER_MAGIC)
			continue;
		super_digest(s, &d);
		if (!pbft_digest_eq(&d, &s->digest))
			continue;
		if (!best || le64_to_cpu(s->generation) > le64_to_cpu(best->generation))
			best = s;
	}
	return best;
}

static int super_find(struct pbft_journal *j, u64 bytes, const u8 *nonce, const char **why)
{
	const struct super_disk *s;
	int err;

	*why = "the journal cannot be read";
	err = j->io.read(j->io.arg, 0, j->frame, 2 * PBFT_JOURNAL_BLOCK);
	if (err)
		return err;
	s = super_choose(j->frame);
	if (s)
		return super_check(j, s, bytes, why);
	if (!blank(j->frame) || !blank(j->frame + PBFT_JOURNAL_BLOCK)) {
		s = (const void *)j->frame;
		*why = "something else than a journal is stored here: zero it to use it";
		if (le64_to_cpu(s->magic) != SUPER_MAGIC)
			return -EMEDIUMTYPE;
		*why = "both superblocks of the journal are damaged";
		return -EBADMSG;
	}
	*why = "there is no journal here";
	if (!nonce)
		return -ENODATA;
	*why = "a new journal cannot be written";
	birth(j, nonce);
	return begin(j);
}

int pbft_journal_open(struct pbft_journal *j, const struct pbft_wire_id *id, u32 self,
		      const struct pbft_journal_io *io, u64 bytes, const u8 *nonce,
		      const char **why)
{
	memset(j, 0, sizeof(*j));
	j->io = *io;
	j->id = *id;
	j->self = self;
	*why = "the medium is too small for a journal";
	if (bytes < RING_AT + 2 * PBFT_JOURNAL_BLOCK)
		return -ENOSPC;
	/* of a new one, and of one made anew over damaged superblocks */
	j->size = (bytes - RING_AT) & ~(u64)(PBFT_JOURNAL_BLOCK - 1);
	*why = "no memory for the journal";
	j->frame = kvzalloc(FRAME_MAX, GFP_KERNEL);
	if (!j->frame)
		return -ENOMEM;
	return super_find(j, bytes, nonce, why);
}

static int peek(const struct pbft_journal_io *io, u8 *blocks, struct pbft_wire_id *id,
		u32 *self, const char **why)
{
	const struct super_disk *s;
	int err;

	*why = "the journal cannot be read";
	err = io->read(io->arg, 0, blocks, 2 * PBFT_JOURNAL_BLOCK);
	if (err)
		return err;
	*why = "there is no journal here";
	if (blank(blocks) && blank(blocks + PBFT_JOURNAL_BLOCK))
		return -ENODATA;
	*why = "this is no journal, or both its superblocks are damaged";
	s = super_choose(blocks);
	if (!s)
		return -EBADMSG;
	*why = "the journal's cluster is none";
	if (le32_to_cpu(s->n) > PBFT_N_MAX || le32_to_cpu(s->self) >= le32_to_cpu(s->n))
		return -EBADMSG;
	id->cluster = le64_to_cpu(s->cluster);
	id->epoch = le32_to_cpu(s->epoch);
	id->n = le32_to_cpu(s->n);
	*self = le32_to_cpu(s->self);
	return 0;
}

int pbft_journal_peek(const struct pbft_journal_io *io, struct pbft_wire_id *id, u32 *self,
		      const char **why)
{
	u8 *blocks = kvzalloc(2 * PBFT_JOURNAL_BLOCK, GFP_KERNEL);
	int err;

	*why = "no memory for the journal";
	if (!blocks)
		return -ENOMEM;
	err = peek(io, blocks, id, self, why);
	kvfree(blocks);
	return err;
}

void pbft_journal_close(struct pbft_journal *j)
{
	kvfree(j->frame);
	j->frame = NULL;
}

/* ---- frames --------------------------------------------------------------------- */

static void frame_digest(const struct frame_disk *f, struct pbft_digest *out)
{
	struct pbft_iov iov[2] = {
		{ f, offsetof(struct frame_disk, digest) },
		{ f->records, le32_to_cpu(f->len) - sizeof(*f) },
	};

	pbft_hash(out, iov, 2);
}

/* Where a frame of @len bytes goes: not across the end of the ring. */
static u64 frame_pos(const struct pbft_journal *j, u64 pos, u32 len)
{
	u64 left = j->size - pos % j->size;

	return len <= left ? pos : pos + left;
}

int pbft_journal_flush(struct pbft_journal *j)
{
	struct frame_disk *f = (void *)j->frame;
	u32 len = ALIGN(j->used, PBFT_JOURNAL_BLOCK);
	u64 pos = frame_pos(j, j->end, len);
	int err;

	if (j->used == sizeof(*f))
		return 0;
	if (pos + len - j->start > j->size)
		return -ENOSPC;
	memset(j->frame + j->used, 0, len - j->used);
	f->magic = cpu_to_le32(FRAME_MAGIC);
	f->len = cpu_to_le32(j->used);
	f->pos = cpu_to_le64(pos);
	f->synced = cpu_to_le64(j->synced);
	memcpy(f->nonce, j->nonce, sizeof(f->nonce));
	f->prev = j->chain;
	frame_digest(f, &f->digest);
	err = j->io.write(j->io.arg, place(j, pos), f, len);
	if (err)
		return err;
	j->chain = f->digest;
	j->end = pos + len;
	j->used = sizeof(*f);
	j->stats.frames++;
	j->stats.bytes += len;
	return 0;
}

int pbft_journal_append(struct pbft_journal *j, const struct pbft_out *out)
{
	u32 size = pbft_record_size(&j->id, out);
	int err;

	if (j->used + size > FRAME_MAX) {
		err = pbft_journal_flush(j);
		if (err)
			return err;
	}
	pbft_record_put(j->frame + j->used, &j->id, j->self, out);
	j->used += size;
	j->stats.records++;
	return 0;
}

int pbft_journal_sync(struct pbft_journal *j)
{
	int err = pbft_journal_flush(j);

	if (err || j->synced == j->end)
		return err;
	err = j->io.sync(j->io.arg);
	if (err)
		return err;
	j->synced = j->end;
	j->stats.syncs++;
	return 0;
}

/* ---- room ------------------------------------------------------------------------ */

bool pbft_journal_wants_compaction(const struct pbft_journal *j)
{
	return !j->mark && j->end - j->start > j->size / 2;
}

int pbft_journal_mark(struct pbft_journal *j)
{
	int err = pbft_journal_flush(j);

	if (err)
		return err;
	j->mark = j->end;
	j->mark_chain = j->chain;
	return 0;
}

int pbft_journal_reclaim(struct pbft_journal *j)
{
	int err = pbft_journal_sync(j);

	if (err)
		return err;
	j->start = j->mark;
	j->start_chain = j->mark_chain;
	j->mark = 0;
	j->stats.compactions++;
	err = super_write(j);
	j->used = sizeof(struct frame_disk);	/* its buffer was lent to it */
	return err;
}

/* ---- reading --------------------------------------------------------------------- */

/*
 * The frame at @pos, if there is one, into j->frame. Return: its length on the
 * medium; 0: none, or not whole.
 */
static int frame_read(struct pbft_journal *j, u64 pos)
{
	struct frame_disk *f = (void *)j->frame;
	struct pbft_digest d;
	u32 len, size;
	int err;

	err = j->io.read(j->io.arg, place(j, pos), f, PBFT_JOURNAL_BLOCK);
	if (err)
		return err;
	len = le32_to_cpu(f->len);
	if (le32_to_cpu(f->magic) != FRAME_MAGIC || le64_to_cpu(f->pos) != pos ||
	    memcmp(f->nonce, j->nonce, sizeof(f->nonce)) ||
	    len <= sizeof(*f) || len > FRAME_MAX)
		return 0;
	size = ALIGN(len, PBFT_JOURNAL_BLOCK);
	if (frame_pos(j, pos, size) != pos)
		return 0;
	if (size > PBFT_JOURNAL_BLOCK) {
		err = j->io.read(j->io.arg, place(j, pos) + PBFT_JOURNAL_BLOCK,
				 j->frame + PBFT_JOURNAL_BLOCK, size - PBFT_JOURNAL_BLOCK);
		if (err)
			return err;
	}
	frame_digest(f, &d);
	return pbft_digest_eq(&d, &f->digest) ? size : 0;
}

/* The next link of the chain: where the last frame ended, or where the ring begins anew. */
static int frame_next(struct pbft_journal *j)
{
	const struct frame_disk *f = (const void *)j->frame;
	u64 at[2] = { j->end, frame_pos(j, j->end, U32_MAX) };
	int size, i;

	for (i = 0; i < 2; i++) {
		if (at[i] - j->start >= j->size)
			continue;
		size = frame_read(j, at[i]);
		if (size < 0)
			return size;
		if (size && pbft_digest_eq(&f->prev, &j->chain)) {
			j->end = at[i];
			return size;
		}
	}
	return 0;
}

static int frame_records(struct pbft_journal *j,
			 int (*fn)(void *arg, const struct pbft_record *rec), void *arg)
{
	const struct frame_disk *f = (const void *)j->frame;
	u32 left = le32_to_cpu(f->len) - sizeof(*f);
	const u8 *p = f->records;
	struct pbft_record rec;
	int size, err;

	for (; left; left -= size, p += size) {
		size = pbft_record_get(&j->id, p, left, &rec);
		if (size < 0)
			return size;
		err = fn(arg, &rec);
		pbft_buf_put(rec.buf);
		if (err)
			return err;
		j->replayed++;
	}
	return 0;
}

/*
 * The chain has ended. Is there a frame further on which was written when more
 * had been durable than we can read? Older frames lie there too: theirs are
 * lower positions.
 */
static int lost_records(struct pbft_journal *j)
{
	const struct frame_disk *f = (const void *)j->frame;
	u64 pos;
	int size;

	for (pos = j->end; pos - j->start < j->size; pos += PBFT_JOURNAL_BLOCK) {
		size = frame_read(j, pos);
		if (size < 0)
			return size;
		if (!size)
			continue;
		if (le64_to_cpu(f->synced) > j->end)
			return -EUCLEAN;
		j->torn = true;
	}
	return 0;
}

int pbft_journal_replay(struct pbft_journal *j,
			int (*fn)(void *arg, const struct pbft_record *rec), void *arg,
			const char **why)
{
	int size, err;

	j->end = j->start;
	j->chain = j->start_chain;
	for (;;) {
		*why = "the journal cannot be read";
		size = frame_next(j);
		if (size <= 0)
			break;
		*why = "the journal holds a record that this replica cannot have written";
		err = frame_records(j, fn, arg);
		if (err)
			return err;
		j->chain = ((const struct frame_disk *)j->frame)->digest;
		j->end += size;
	}
	if (size < 0)
		return size;
	err = lost_records(j);
	j->used = sizeof(struct frame_disk);
	if (err == -EUCLEAN)
		*why = "records that were durable are missing from the journal";
	if (err)
		return err;
	/* what was read may still be on its way to the medium */
	*why = "the journal cannot be written";
	err = j->io.sync(j->io.arg);
	j->synced = j->end;
	return err;
}
