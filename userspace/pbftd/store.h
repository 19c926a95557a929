/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The application state of one replica in an LMDB environment: key-value pairs,
 * client sessions with their replies, and the log position they belong to.
 *
 * What a batch changes is in one transaction with the log head after it, so the
 * database always stands exactly between two batches. Everything that enters
 * the digest is the same on every replica; page numbers, times and the order in
 * which batches were grouped into transactions are not in it.
 *
 * Not thread safe; one writer, which a lock file in the directory enforces.
 */
#ifndef PBFTD_STORE_H
#define PBFTD_STORE_H

#include <lmdb.h>
#include "core/core.h"
#include "core/session.h"
#include "tree.h"

enum pbft_sync {
	PBFT_SYNC_CHECKPOINT,	/* committed, and so durable, at checkpoints */
	PBFT_SYNC_ALWAYS,	/* ... and before results are returned */
};

struct pbft_store_opts {
	const char *dir;
	u64 cluster;		/* 0: any, for reading only */
	u32 epoch, self;
	enum pbft_sync sync;
	size_t map_size;	/* bytes of address space, the most the file may grow to */
	bool check;		/* verify everything before use */
	bool read_only;
};

#define PBFT_STORE_MAP_DEFAULT	(16ull << 30)
#define PBFT_SNAPSHOTS_MAX	40	/* more than L / K can ever ask for */
#define PBFT_ERR_MAX		256

struct pbft_past;

/*
 * A state to read: the one that @txn sees, or, with @past, the one before the
 * changes from number @since on, which @past knows.
 */
struct pbft_view {
	MDB_txn *txn;
	struct pbft_past *past;
	u32 since;
};

/* A state kept as it was after batch @seq: a read transaction pins its pages. */
struct pbft_snapshot {
	u64 seq;
	struct pbft_view view;
	struct pbft_tree tree;
};

/* The tables that make up the state, by the numbers they have in the undo log. */
enum pbft_table {
	PBFT_TABLE_NONE,
	PBFT_TABLE_HEAD,	/* of the meta data this record only */
	PBFT_TABLE_KV,
	PBFT_TABLE_LEAF,
	PBFT_TABLE_SESSION,
	PBFT_TABLE_REPLY,
	PBFT_TABLE_TREE,
	PBFT_TABLES,
};

/* What changes after a checkpoint, as it is written down (store_undo.c). */
struct pbft_undo {
	MDB_dbi dbi;
	struct pbft_undo_pos {
		bool on;	/* there is a copy that changes are kept for */
		u64 seq;	/* the newest one's */
		u32 part;	/* the next chunk's number */
	} pos, committed;
	struct MDB_cursor *cursor[PBFT_TABLES];	/* of the open transaction */
	u8 *buf;		/* a chunk, from its first record on */
	size_t len, cap;
	bool damaged;		/* as it was found */
};

struct pbft_store {
	MDB_env *env;
	MDB_dbi meta, kv, leaf, session, reply, tree_db, stage;
	struct pbft_undo undo;
	MDB_txn *txn;			/* the open write transaction, or NULL */
	int lock_fd;
	struct pbft_store_opts opts;
	struct pbft_log_head head;	/* what is in txn included */
	struct pbft_tree tree;		/* right where not dirty */
	DECLARE_BITMAP(dirty, PBFT_TREE_PAGES);
	struct pbft_page_sum sum;
	u32 n_snapshots;
	struct pbft_snapshot *snapshots[PBFT_SNAPSHOTS_MAX];	/* by seq, ascending */
	bool staged[PBFT_TREE_PAGES];
	struct pbft_tree_node stage_node[PBFT_TREE_PAGES];
	char err[PBFT_ERR_MAX];
	char lost[PBFT_ERR_MAX];	/* why copies of earlier states are gone, or "" */
};

/**
 * pbft_store_open() - open the database in opts->dir, create it if there is none
 *
 * Refuses, and never changes, a database of another cluster, epoch or replica,
 * of an unknown format, a damaged one, and a directory that holds other things.
 * Return 0, or -errno with a sentence in @err.
 */
int pbft_store_open(struct pbft_store **out, const struct pbft_store_opts *opts,
		    char *err, size_t errlen);
/* Commits nothing that is not committed. NULL is allowed. */
void pbft_store_close(struct pbft_store *st);

/* ---- executing (store_exec.c) ------------------------------------------ */

struct pbft_store_req {
	u32 client;
	u64 session, t;
	const void *op;
	u32 op_len;
};

/* Results of one or more batches, kept until they are committed. */
struct pbft_store_results {
	u8 *buf;
	size_t len, cap;
	struct pbft_store_result {
		u8 status;	/* enum pbft_reply_status */
		u32 len;
		size_t off;	/* in buf */
	} *r;
	u32 count, room;
};

void pbft_store_results_free(struct pbft_store_results *res);

/**
 * pbft_store_apply() - execute the batch that leads to @head
 * @res: one result for each request is appended
 *
 * Opens a transaction if none is; pbft_store_commit() ends it. @count 0 is a
 * null batch. Return 0; -EINVAL: not the next sequence number; -EIO, -ENOSPC,
 * -ENOMEM: st->err says what failed and the store is to be closed.
 */
int pbft_store_apply(struct pbft_store *st, const struct pbft_log_head *head,
		     const struct pbft_store_req *reqs, u32 count,
		     struct pbft_store_results *res);
/* Makes all that was applied durable. */
int pbft_store_commit(struct pbft_store *st);
/*
 * The same if opts.sync promises it before results are returned. If not, the
 * transaction stays open until the next checkpoint: a crash leaves the database
 * as it was at the last one, and the batches since are applied again.
 */
int pbft_store_settle(struct pbft_store *st);

/* ---- checkpoints (store_snap.c) ------------------------------------------ */

/*
 * Commit, compute the state's digest and keep a copy of the state at st->head.
 * Return 0 with *root, or -errno with st->err.
 */
int pbft_store_checkpoint(struct pbft_store *st, struct pbft_digest *root);
/* Copies of states before @seq are not needed; the last two stay anyway. */
void pbft_store_discard(struct pbft_store *st, u64 seq);
/* NULL when there is no copy at @seq with that root. */
struct pbft_snapshot *pbft_store_snapshot(struct pbft_store *st, u64 seq,
					  const struct pbft_digest *root);
/* The digest of the state at st->head, without changing anything. */
int pbft_store_root(struct pbft_store *st, struct pbft_digest *root);

/* ---- pages (store_page.c) ------------------------------------------------ */

/*
 * A page's entries, encoded as a peer gets them; *@out is malloc'd. Here and below
 * @v NULL is the state in the open transaction.
 */
int pbft_page_encode(struct pbft_store *st, const struct pbft_view *v, u32 page,
		     u8 **out, u64 *len);
/*
 * Is @data the encoding of @page with the digest and size in @want? Trusts
 * nothing. Return 0, -EBADMSG: it is not; -ENOMEM.
 */
int pbft_page_verify(u32 page, const struct pbft_tree_node *want,
		     const void *data, u64 len);
/* Replace @page by a verified encoding, in the open transaction. */
int pbft_page_install(struct pbft_store *st, u32 page, const void *data, u64 len);
/* Its index: le32 lengths of key and value, key, value's digest, each entry. */
int pbft_page_index(struct pbft_store *st, const struct pbft_view *v, u32 page,
		    u8 **out, u64 *len);
/**
 * pbft_page_prefill() - build a page's encoding from its index and what is here
 * @index: verified by pbft_page_index_ok() against @want
 * @buf: want->size bytes; all but the missing values are filled in
 * @missing: told of each range of bytes that neither the local state nor an
 *	earlier staged page has
 *
 * Return 0, or -errno with st->err.
 */
int pbft_page_prefill(struct pbft_store *st, u32 page,
		      const struct pbft_tree_node *want, const void *index,
		      u8 *buf, void (*missing)(void *arg, u64 off, u64 len),
		      void *arg);
/* Compute @page's node from its entries. */
int pbft_page_compute(struct pbft_store *st, const struct pbft_view *v, u32 page,
		      struct pbft_tree_node *out);

/* ---- state from elsewhere (store_install.c) --------------------------------- */

/* Bring st->tree up to date with the state at st->head, in a transaction. */
int pbft_store_refresh(struct pbft_store *st);
/* Keep a verified page for pbft_store_install(); survives a restart. */
int pbft_store_stage(struct pbft_store *st, u32 page,
		     const struct pbft_tree_node *node, const void *data);
/* Forget what is staged: the target is given up. */
int pbft_store_unstage(struct pbft_store *st);
/* Does @page already stand as @want says, in the state (refreshed) or staged? */
bool pbft_store_has(const struct pbft_store *st, u32 page,
		    const struct pbft_tree_node *want);
/**
 * pbft_store_install() - become the state @target at @head, in one transaction
 *
 * Return 0; -EAGAIN: pages are missing (the state moved on since they were
 * compared); -errno with st->err.
 */
int pbft_store_install(struct pbft_store *st, const struct pbft_tree *target,
		       const struct pbft_log_head *head);

/* ---- copies that outlive the process (store_undo.c, store_past.c) ----------- */

/* One change: what was there before it. */
struct pbft_undo_rec {
	u8 table;		/* enum pbft_table */
	u8 absent;		/* there was nothing */
	__le16 klen;
	__le32 vlen;
	u8 key[];		/* and the value */
} __packed;

/* Changes, in their order; @head is the log's when they were written down. */
struct pbft_undo_chunk {
	__le64 head;
	u8 recs[];
} __packed;

#define PBFT_UNDO_KEY	12	/* be64 copy, be32 part: 0 its root's digest, then chunks */

/* Write or delete a record of the state, and collect what was there. */
int pbft_undo_put(struct pbft_store *st, enum pbft_table table, MDB_dbi dbi,
		  MDB_val *k, MDB_val *v, unsigned int flags);
int pbft_undo_del(struct pbft_store *st, enum pbft_table table, MDB_dbi dbi, MDB_val *k);
/* Write down what has been collected. */
int pbft_undo_flush(struct pbft_store *st);
/* The state as it will be committed is a copy; none before @oldest is kept. */
int pbft_undo_checkpoint(struct pbft_store *st, u64 oldest);
/* The state is replaced: what leads back from it is not kept. */
void pbft_undo_stop(struct pbft_store *st);
/* The write transaction has ended. */
void pbft_undo_ended(struct pbft_store *st, bool committed);

/*
 * Find the copies that the database has of earlier states. That some are lost is no
 * error: st->lost says so.
 */
int pbft_past_restore(struct pbft_store *st);
void pbft_view_close(struct pbft_view *v);
int pbft_view_get(struct pbft_store *st, const struct pbft_view *v, MDB_dbi dbi,
		  const void *key, size_t klen, MDB_val *val);

/* Along the leaves of a page. */
struct pbft_leaf_walk {
	MDB_val key, val;	/* as stored: page in front of the key */
	MDB_cursor *cur;
	struct pbft_view view;
	u32 page, at;		/* the next of the past */
	u8 prefix[2];
	enum { PBFT_WALK_FIRST, PBFT_WALK_NEXT, PBFT_WALK_AT, PBFT_WALK_END } state;
	MDB_val ckey, cval;	/* where @cur is */
};

int pbft_walk_start(struct pbft_store *st, const struct pbft_view *v, u32 page,
		    struct pbft_leaf_walk *w);
/* 1: an entry, 0: no more, or -errno */
int pbft_walk_next(struct pbft_store *st, struct pbft_leaf_walk *w);
void pbft_walk_end(struct pbft_leaf_walk *w);

/* ---- keys (store_keys.c) ------------------------------------------------------ */

/* The generation of our keys that was used last. -ENOENT: not recorded. */
int pbft_store_generation(struct pbft_store *st, u8 *generation);
/* Durable on return. */
int pbft_store_set_generation(struct pbft_store *st, u8 generation);

/* ---- verification (store_check.c) ------------------------------------------ */

/* Everything against everything. Return 0, or -errno with st->err. */
int pbft_store_verify(struct pbft_store *st);
/*
 * Look at a database that exists, in a child process that may die of what it
 * finds. Return 0, or -errno with a sentence.
 */
int pbft_store_precheck(const struct pbft_store_opts *opts, char *err,
			size_t errlen);

/* ---- between the store's files ---------------------------------------------- */

#define PBFT_LEAF_KEY_MAX	(2 + 256)

struct pbft_leaf_key {
	u8 b[PBFT_LEAF_KEY_MAX];
	u32 len;
};

/* A leaf of the key-value space; those of sessions are only placed, empty. */
struct pbft_leaf {
	u8 vhash[PBFT_DIGEST_LEN];
	__le32 vlen;
} __packed;

struct pbft_session_rec {
	__le64 session;
	__le64 next;
} __packed;

/* In front of a stored reply's bytes. */
struct pbft_reply_rec {
	__le64 t;
	__le32 status;
	u8 digest[PBFT_DIGEST_LEN];	/* of the bytes */
	u8 data[];
} __packed;

static inline void pbft_be16(u8 *p, u32 v)
{
	p[0] = v >> 8;
	p[1] = v;
}

static inline void pbft_be32(u8 *p, u32 v)
{
	pbft_be16(p, v >> 16);
	pbft_be16(p + 2, v);
}

static inline u32 pbft_be32_get(const u8 *p)
{
	return (u32)p[0] << 24 | (u32)p[1] << 16 | (u32)p[2] << 8 | p[3];
}

/* Client and slot. */
static inline void pbft_reply_key(u8 key[5], u32 client, u64 t)
{
	pbft_be32(key, client);
	key[4] = t % PBFT_CLIENT_WINDOW;
}

void pbft_leaf_key(struct pbft_leaf_key *k, u32 page, const void *key, u32 klen);
void pbft_value_digest(struct pbft_digest *out, const void *data, u32 len);

/* One entry of an encoded page, and the walk over them by a kv reader. */
struct pbft_page_entry {
	const u8 *key, *value;
	u32 klen, vlen;
};

struct pbft_kv_reader;
/* 1: an entry; 0: the end; -EBADMSG. @prev begins as zero. */
int pbft_page_next(struct pbft_kv_reader *r, u32 page,
		   struct pbft_page_entry *prev, struct pbft_page_entry *e);
/* What stands for the value in the page's digest. 0 or -EBADMSG. */
int pbft_page_entry_digest(u32 page, const struct pbft_page_entry *e,
			   struct pbft_digest *vhash);

/* A verified session's replies, in order. Stops at what @fn returns if not 0. */
int pbft_page_each_reply(const struct pbft_page_entry *e,
			 int (*fn)(void *arg, u64 t, u32 status, const void *data,
				   u32 len), void *arg);

/* As LMDB orders keys. */
static inline int pbft_key_cmp(const void *a, u32 alen, const void *b, u32 blen)
{
	int c = memcmp(a, b, min(alen, blen));

	return c ? c : alen < blen ? -1 : alen > blen;
}

/* Where the stored replies of a session begin: t of the oldest. */
static inline u64 pbft_session_low(u64 next)
{
	return next > PBFT_CLIENT_WINDOW ? next - PBFT_CLIENT_WINDOW : 1;
}

/* Say what failed. Return -ENOSPC for a full map, -ENOMEM, else -EIO. */
int pbft_store_fail(struct pbft_store *st, const char *what, int rc);
int pbft_store_damaged(struct pbft_store *st, const char *what);	/* -EIO */
int pbft_store_begin(struct pbft_store *st);	/* no-op when one is open */
void pbft_store_abort(struct pbft_store *st);
int pbft_store_put(struct pbft_store *st, MDB_dbi dbi, const void *key,
		   size_t klen, const void *val, size_t vlen);
/* Put a record of val->mv_size bytes, which the caller fills in at once. */
int pbft_store_reserve(struct pbft_store *st, MDB_dbi dbi, const void *key,
		       size_t klen, MDB_val *val);
/* 0, -ENOENT or an error; *@val is valid until the next write. */
int pbft_store_get(struct pbft_store *st, MDB_txn *txn, MDB_dbi dbi,
		   const void *key, size_t klen, MDB_val *val);
int pbft_store_del(struct pbft_store *st, MDB_dbi dbi, const void *key,
		   size_t klen);	/* absent is no error */
void pbft_store_drop(struct pbft_store *st, u32 i);	/* the copy snapshots[i] */
int pbft_store_write_head(struct pbft_store *st);
int pbft_store_write_tree(struct pbft_store *st, u32 mid);
/* @dirty: NULL, or where pages are marked that the digest tree is not right about. */
int pbft_store_load_head(struct pbft_store *st, const struct pbft_view *v,
			 struct pbft_log_head *head, unsigned long *dirty);
int pbft_store_load_tree(struct pbft_store *st, const struct pbft_view *v,
			 struct pbft_tree *tree);
enum pbft_table pbft_store_table(const struct pbft_store *st, MDB_dbi dbi,
				 const void *key, size_t klen);
void pbft_boot_id(char out[40]);

/* The record in the meta database that a run leaves for the next one. */
struct pbft_run_rec {
	char boot_id[40];
	u8 clean;
	u8 sync;
	u8 reserved[6];
} __packed;

#endif /* PBFTD_STORE_H */
