// SPDX-License-Identifier: GPL-2.0
/*
 * The undo log: what leads back from the state to its copies at checkpoints, for
 * a process that begins without the read transactions that are these copies.
 *
 * A table has, for each copy, the digest of its root and then, in chunks, what
 * every change of the state since found in its place. It is written in the
 * transactions that make the changes, so it fits the state after any crash.
 * store_past.c reads it.
 */
#include <errno.h>
#include <stdio.h>
#include "store.h"

/* LMDB must find so much free space in one piece. */
#define CHUNK	(32u << 10)

static void undo_key(u8 key[PBFT_UNDO_KEY], u64 seq, u32 part)
{
	pbft_be32(key, seq >> 32);
	pbft_be32(key + 4, seq);
	pbft_be32(key + 8, part);
}

/* ---- collecting ---------------------------------------------------------------- */

static int room(struct pbft_store *st, size_t len)
{
	struct pbft_undo *u = &st->undo;
	size_t cap = max(u->cap, (size_t)2 * CHUNK);
	u8 *p;

	if (u->cap - u->len >= len)
		return 0;
	while (cap - u->len < len)
		cap *= 2;
	p = realloc(u->buf, cap);
	if (!p) {
		snprintf(st->err, sizeof(st->err), "out of memory for the undo log");
		return -ENOMEM;
	}
	u->buf = p;
	u->cap = cap;
	return 0;
}

/* @old NULL: there was nothing. */
static int record(struct pbft_store *st, enum pbft_table table, const MDB_val *k,
		  const MDB_val *old)
{
	struct pbft_undo *u = &st->undo;
	const size_t vlen = old ? old->mv_size : 0;
	const size_t len = sizeof(struct pbft_undo_rec) + k->mv_size + vlen;
	struct pbft_undo_rec *rec;

	if (room(st, len))
		return -ENOMEM;
	rec = (void *)(u->buf + u->len);
	rec->table = table;
	rec->absent = !old;
	rec->klen = cpu_to_le16(k->mv_size);
	rec->vlen = cpu_to_le32(vlen);
	memcpy(rec->key, k->mv_data, k->mv_size);
	if (vlen)
		memcpy(rec->key + k->mv_size, old->mv_data, vlen);
	u->len += len;
	return 0;
}

/*
 * The transaction's cursor of a table: what is looked for to see what was there
 * is written in the same place, and is not searched for twice.
 */
static int cursor(struct pbft_store *st, enum pbft_table table, MDB_dbi dbi,
		  MDB_cursor **cur)
{
	MDB_cursor **c = &st->undo.cursor[table];
	int rc = *c ? 0 : mdb_cursor_open(st->txn, dbi, c);

	if (rc) {
		*cur = *c = NULL;
		return pbft_store_fail(st, "open a cursor", rc);
	}
	*cur = *c;
	return st->undo.len >= CHUNK ? pbft_undo_flush(st) : 0;
}

int pbft_undo_put(struct pbft_store *st, enum pbft_table table, MDB_dbi dbi,
		  MDB_val *k, MDB_val *v, unsigned int flags)
{
	MDB_val old = *v;
	MDB_cursor *cur;
	int err = cursor(st, table, dbi, &cur), rc;

	if (err)
		return err;
	rc = mdb_cursor_put(cur, k, &old, flags | MDB_NOOVERWRITE);
	if (rc == MDB_KEYEXIST) {
		if (!flags && old.mv_size == v->mv_size &&
		    (!v->mv_size || !memcmp(old.mv_data, v->mv_data, v->mv_size)))
			return 0;
		err = record(st, table, k, &old);
		if (err)
			return err;
		rc = mdb_cursor_put(cur, k, v, flags);
	} else if (!rc) {
		*v = old;
		err = record(st, table, k, NULL);
	}
	return rc ? pbft_store_fail(st, "write a record", rc) : err;
}

int pbft_undo_del(struct pbft_store *st, enum pbft_table table, MDB_dbi dbi, MDB_val *k)
{
	MDB_cursor *cur;
	MDB_val old;
	int err = cursor(st, table, dbi, &cur), rc;

	if (err)
		return err;
	rc = mdb_cursor_get(cur, k, &old, MDB_SET);
	if (rc == MDB_NOTFOUND)
		return 0;
	if (!rc) {
		err = record(st, table, k, &old);
		if (err)
			return err;
		rc = mdb_cursor_del(cur, 0);
	}
	return rc ? pbft_store_fail(st, "delete a record", rc) : 0;
}

int pbft_undo_flush(struct pbft_store *st)
{
	struct pbft_undo *u = &st->undo;
	u8 key[PBFT_UNDO_KEY];
	MDB_val k = { sizeof(key), key };
	struct pbft_undo_chunk *chunk;
	MDB_val v = { sizeof(*chunk) + u->len, NULL };
	int rc;

	if (!u->len)
		return 0;
	undo_key(key, u->pos.seq, u->pos.part);
	rc = mdb_put(st->txn, u->dbi, &k, &v, MDB_RESERVE);
	if (rc)
		return pbft_store_fail(st, "write the undo log", rc);
	chunk = v.mv_data;
	chunk->head = cpu_to_le64(st->head.seq);
	memcpy(chunk->recs, u->buf, u->len);
	u->len = 0;
	u->pos.part++;
	return 0;
}

/* ---- checkpoints ------------------------------------------------------------------ */

/* Is the newest copy of this very state? */
static int same_copy(struct pbft_store *st, bool *same)
{
	const struct pbft_undo_pos *pos = &st->undo.pos;
	u8 key[PBFT_UNDO_KEY];
	MDB_val v;
	int err;

	*same = false;
	if (!pos->on || pos->seq != st->head.seq)
		return 0;
	undo_key(key, pos->seq, 0);
	err = pbft_store_get(st, st->txn, st->undo.dbi, key, sizeof(key), &v);
	if (err)
		return err == -ENOENT ? 0 : err;
	*same = v.mv_size == PBFT_DIGEST_LEN &&
		!memcmp(v.mv_data, st->tree.root.digest.b, PBFT_DIGEST_LEN);
	return 0;
}

/* Copies before @oldest, with all that is only theirs. */
static int prune(struct pbft_store *st, u64 oldest)
{
	u8 limit[PBFT_UNDO_KEY];
	MDB_cursor *cur;
	MDB_val k, v;
	int rc = mdb_cursor_open(st->txn, st->undo.dbi, &cur);

	if (rc)
		return pbft_store_fail(st, "shorten the undo log", rc);
	undo_key(limit, oldest, 0);
	while (!(rc = mdb_cursor_get(cur, &k, &v, MDB_FIRST)) &&
	       pbft_key_cmp(k.mv_data, k.mv_size, limit, sizeof(limit)) < 0) {
		rc = mdb_cursor_del(cur, 0);
		if (rc)
			break;
	}
	mdb_cursor_close(cur);
	return rc && rc != MDB_NOTFOUND ?
		       pbft_store_fail(st, "shorten the undo log", rc) : 0;
}

/* What is there does not lead to this state. */
static int begin_anew(struct pbft_store *st)
{
	int rc = mdb_drop(st->txn, st->undo.dbi, 0);

	return rc ? pbft_store_fail(st, "empty the undo log", rc) : 0;
}

int pbft_undo_checkpoint(struct pbft_store *st, u64 oldest)
{
	struct pbft_undo_pos *pos = &st->undo.pos;
	u8 key[PBFT_UNDO_KEY];
	bool same;
	int err = same_copy(st, &same);

	if (err)
		return err;
	if (same)
		return prune(st, oldest);
	if (pos->seq >= st->head.seq)
		pbft_undo_stop(st);
	/* The head is a part of the copy, so this is the last change before it. */
	err = pbft_store_write_head(st);
	if (!err)
		err = pos->on ? pbft_undo_flush(st) ?: prune(st, oldest) :
				begin_anew(st);
	if (err)
		return err;
	undo_key(key, st->head.seq, 0);
	pos->on = true;
	pos->seq = st->head.seq;
	pos->part = 1;
	return pbft_store_put(st, st->undo.dbi, key, sizeof(key),
			      st->tree.root.digest.b, PBFT_DIGEST_LEN);
}

void pbft_undo_stop(struct pbft_store *st)
{
	st->undo.pos.on = false;
	st->undo.len = 0;
}

void pbft_undo_ended(struct pbft_store *st, bool committed)
{
	struct pbft_undo *u = &st->undo;

	memset(u->cursor, 0, sizeof(u->cursor));	/* LMDB has closed them */
	if (committed) {
		u->committed = u->pos;
	} else {
		u->pos = u->committed;
		u->len = 0;
	}
}
