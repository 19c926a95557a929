// SPDX-License-Identifier: GPL-2.0
/*
 * Checking pages of a copy. A page is sound if its bytes hash to what the tree
 * says, if the digests stored beside them do, and if its node is stored as it is in
 * memory: three things that rot separately. Nothing that was computed earlier is
 * believed but the tree, and that is recomputed up to its certified root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "libpbft/kv.h"
#include "scrub.h"

bool pbft_scrub_tree(const struct pbft_snapshot *s)
{
	struct pbft_tree *t = malloc(sizeof(*t));
	bool same;

	if (!t)
		return false;
	*t = s->tree;
	pbft_tree_build(t, NULL);
	same = pbft_digest_eq(&t->root.digest, &s->tree.root.digest);
	free(t);
	return same;
}

/* ---- one page --------------------------------------------------------------------- */

static int check_bytes(struct pbft_store *st, const struct pbft_snapshot *s, u32 page,
		       u64 *bytes)
{
	u8 *data = NULL;
	int err = pbft_page_encode(st, &s->view, page, &data, bytes);

	if (!err)
		err = pbft_page_verify(page, &s->tree.page[page], data, *bytes);
	free(data);
	return err;
}

static int check_digests(struct pbft_store *st, const struct pbft_snapshot *s, u32 page)
{
	struct pbft_tree_node node;
	int err = pbft_page_compute(st, &s->view, page, &node);

	return err ? err : pbft_tree_node_eq(&node, &s->tree.page[page]) ? 0 : -EBADMSG;
}

static int check_node(struct pbft_store *st, const struct pbft_snapshot *s, u32 page)
{
	u8 want[PBFT_TREE_NODE_MAX] __aligned(8), key[2];
	u32 mid = page / PBFT_TREE_FANOUT, at = page % PBFT_TREE_FANOUT;
	struct pbft_tree *tree = (struct pbft_tree *)&s->tree;	/* encoding only reads */
	const size_t one = sizeof(struct pbft_tree_child);
	MDB_val v;
	int err;

	pbft_be16(key, mid);
	err = pbft_scrub_get(st, s, st->tree_db, key, sizeof(key), &v);
	if (err)
		return err;
	pbft_tree_encode(tree, PBFT_TREE_PAGE_LEVEL - 1, mid, want);
	if (v.mv_size != sizeof(want) ||
	    memcmp((const u8 *)v.mv_data + at * one, want + at * one, one))
		return -EBADMSG;
	return 0;
}

int pbft_scrub_page(struct pbft_store *st, const struct pbft_snapshot *s, u32 page,
		    u64 *bytes)
{
	const int err[] = {
		check_bytes(st, s, page, bytes),
		check_digests(st, s, page),
		check_node(st, s, page),
	};
	int bad = 0;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(err); i++) {
		if (err[i] == -ENOMEM)
			return err[i];
		if (err[i])
			bad |= 1 << i;
	}
	if (bad)
		st->err[0] = 0;		/* it was about this page, and is told otherwise */
	return bad;
}

/* ---- entries that no page knows ------------------------------------------------------ */

static MDB_dbi table_of(const struct pbft_store *st, enum pbft_scrub_table table)
{
	return table == PBFT_SCRUB_KEYS ? st->kv :
	       table == PBFT_SCRUB_SESSIONS ? st->session : st->reply;
}

/* The page that an entry would be in; a reply belongs to its client's session. */
static u32 home_of(enum pbft_scrub_table table, const u8 *key, u32 klen)
{
	return pbft_tree_page_of(table == PBFT_SCRUB_KEYS ? PBFT_SPACE_KV :
							    PBFT_SPACE_SESSION,
				 key, table == PBFT_SCRUB_KEYS ? klen : min(klen, 4u));
}

/*
 * Does its page's index have it, as @txn sees both? Of a copy from an earlier run that is
 * a later state than its own, but entry and index are of one. 1, 0 or -errno.
 */
static int known(struct pbft_store *st, MDB_txn *txn, enum pbft_scrub_table table,
		 const u8 *key, u32 klen)
{
	struct pbft_leaf_key lk;
	MDB_val v;
	int err;

	if (!klen || klen > PBFT_KV_KEY_MAX ||
	    (table == PBFT_SCRUB_SESSIONS && klen != 4) ||
	    (table == PBFT_SCRUB_REPLIES && klen != 5))
		return 0;
	pbft_leaf_key(&lk, home_of(table, key, klen), key,
		      table == PBFT_SCRUB_KEYS ? klen : 4);
	err = pbft_store_get(st, txn, st->leaf, lk.b, lk.len, &v);
	return err == -ENOENT ? 0 : err ? err : 1;
}

/* In a transaction of its own: what was executed must not share its fate. */
static int own_txn(struct pbft_store *st)
{
	return pbft_store_commit(st) ?: pbft_store_begin(st);
}

/* Return 1: it is gone, or never was at the head; 0: it stays; -errno. */
static int drop_stray(struct pbft_store *st, enum pbft_scrub_table table,
		      const u8 *key, u32 klen)
{
	MDB_dbi dbi = table_of(st, table);
	MDB_val v;
	int ret = own_txn(st);

	if (ret)
		return ret;
	ret = known(st, st->txn, table, key, klen);
	if (ret)
		return ret;	/* it has come to be one of the state's since */
	ret = pbft_scrub_del(st, dbi, key, klen) ?:
	      pbft_store_get(st, st->txn, dbi, key, klen, &v);
	if (ret == -ENOENT)
		return pbft_store_commit(st) ?: 1;
	pbft_store_abort(st);
	return ret;
}

static void next_table(struct pbft_scrub_walk *w)
{
	w->table++;
	w->klen = 0;
}

/* Keys may be in no order where they are damaged: a step back would go on for ever. */
static bool ascends(const struct pbft_scrub_walk *w, const MDB_val *k)
{
	return k->mv_size && k->mv_size <= sizeof(w->key) &&
	       (!w->klen || pbft_key_cmp(w->key, w->klen, k->mv_data, k->mv_size) < 0);
}

static int walk_seek(MDB_cursor *cur, const struct pbft_scrub_walk *w, MDB_val *k)
{
	MDB_val v;
	int rc;

	k->mv_size = w->klen;
	k->mv_data = (void *)w->key;
	rc = mdb_cursor_get(cur, k, &v, w->klen ? MDB_SET_RANGE : MDB_FIRST);
	if (!rc && w->klen && k->mv_size == w->klen &&
	    !memcmp(k->mv_data, w->key, w->klen))
		rc = mdb_cursor_get(cur, k, &v, MDB_NEXT);
	return rc;
}

static int walk_entry(struct pbft_store *st, const struct pbft_snapshot *s,
		      struct pbft_scrub_walk *w,
		      void (*bad)(void *arg, u32 page, bool repaired), void *arg)
{
	int ret = known(st, s->view.txn, w->table, w->key, w->klen);

	if (ret)
		return min(ret, 0);
	ret = drop_stray(st, w->table, w->key, w->klen);
	/* -EIO: LMDB cannot find its way, which is no surprise */
	if (ret < 0 && ret != -EIO)
		return ret;
	bad(arg, home_of(w->table, w->key, w->klen), ret > 0);
	return 0;
}

int pbft_scrub_strays(struct pbft_store *st, const struct pbft_snapshot *s,
		      struct pbft_scrub_walk *w, u32 max,
		      void (*bad)(void *arg, u32 page, bool repaired), void *arg)
{
	MDB_cursor *cur;
	MDB_val k, v;
	int rc, err = 0;
	u32 i;

	rc = mdb_cursor_open(s->view.txn, table_of(st, w->table), &cur);
	if (rc)
		return pbft_store_fail(st, "look for strays", rc);
	rc = walk_seek(cur, w, &k);
	for (i = 0; !rc && !err && i < max; i++) {
		if (!ascends(w, &k)) {
			/* no page can be named for certain, none is repaired by this */
			bad(arg, home_of(w->table, w->key, w->klen), false);
			rc = MDB_NOTFOUND;
			break;
		}
		memcpy(w->key, k.mv_data, k.mv_size);
		w->klen = k.mv_size;
		err = walk_entry(st, s, w, bad, arg);
		rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT);
	}
	mdb_cursor_close(cur);
	if (err)
		return err;
	if (rc && rc != MDB_NOTFOUND)
		bad(arg, home_of(w->table, w->key, w->klen), false);
	if (rc)
		next_table(w);
	return w->table < PBFT_SCRUB_TABLES;
}

/* ---- the disk --------------------------------------------------------------------------- */

/* Where the file is mapped, by its inode: LMDB does not say. */
static void unmap_pages(ino_t ino)
{
	unsigned long from, to, inode;
	char line[4200];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &inode) == 3 &&
		    inode == ino)
			madvise((void *)from, to - from, MADV_DONTNEED);
	if (f)
		fclose(f);
}

/*
 * What the page cache holds would be checked in place of what the disk does. Pages
 * that are mapped stay in it, so they are unmapped first; those that were written
 * and are not on the disk yet stay, too.
 */
void pbft_scrub_cool(struct pbft_store *st)
{
	struct stat sb;
	int fd;

	if (mdb_env_get_fd(st->env, &fd) || fstat(fd, &sb))
		return;
	unmap_pages(sb.st_ino);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
