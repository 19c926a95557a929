// SPDX-License-Identifier: GPL-2.0
/*
 * The store's life: opening what is ours, refusing what is not, transactions.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "store.h"

#define FORMAT_MAGIC	"PBFTKVDB"
#define FORMAT_VERSION	1
#define LOCK_NAME	"pbftd.lock"

struct id_rec {
	char magic[8];
	__le32 version;
	__le32 epoch;
	__le64 cluster;
	__le32 self;
	__le32 reserved;
} __packed;

struct head_rec {
	__le64 seq;
	__le64 time;
	u8 chain[PBFT_DIGEST_LEN];
	__le64 dirty[PBFT_TREE_PAGES / 64];
} __packed;

int pbft_store_fail(struct pbft_store *st, const char *what, int rc)
{
	if (rc == MDB_MAP_FULL) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database is full at %zu bytes: restart with a larger --map-size",
			 st->opts.dir, st->opts.map_size);
		return -ENOSPC;
	}
	snprintf(st->err, sizeof(st->err), "%s: cannot %s: %s", st->opts.dir, what,
		 mdb_strerror(rc));
	return rc == ENOMEM ? -ENOMEM : rc == ENOSPC ? -ENOSPC : -EIO;
}

int pbft_store_damaged(struct pbft_store *st, const char *what)
{
	snprintf(st->err, sizeof(st->err), "%s: the database is damaged: %s",
		 st->opts.dir, what);
	return -EIO;
}

void pbft_boot_id(char out[40])
{
	int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	memset(out, 0, 40);
	if (fd < 0)
		return;
	if (read(fd, out, 36) != 36)
		out[0] = 0;
	close(fd);
}

/* ---- transactions ----------------------------------------------------- */

int pbft_store_begin(struct pbft_store *st)
{
	int rc;

	if (st->txn)
		return 0;
	rc = mdb_txn_begin(st->env, NULL, st->opts.read_only ? MDB_RDONLY : 0,
			   &st->txn);
	if (rc) {
		st->txn = NULL;
		return pbft_store_fail(st, "begin a transaction", rc);
	}
	return 0;
}

void pbft_store_abort(struct pbft_store *st)
{
	if (!st->txn)
		return;
	mdb_txn_abort(st->txn);
	st->txn = NULL;
	pbft_undo_ended(st, false);
}

static int end_txn(struct pbft_store *st)
{
	int rc = mdb_txn_commit(st->txn);

	st->txn = NULL;
	pbft_undo_ended(st, !rc);
	return rc ? pbft_store_fail(st, "commit", rc) : 0;
}

/* Which of the state's tables is it? All that is written passes here. */
enum pbft_table pbft_store_table(const struct pbft_store *st, MDB_dbi dbi,
				 const void *key, size_t klen)
{
	if (dbi == st->kv)
		return PBFT_TABLE_KV;
	if (dbi == st->leaf)
		return PBFT_TABLE_LEAF;
	if (dbi == st->session)
		return PBFT_TABLE_SESSION;
	if (dbi == st->reply)
		return PBFT_TABLE_REPLY;
	if (dbi == st->tree_db)
		return PBFT_TABLE_TREE;
	if (dbi == st->meta && klen == 4 && !memcmp(key, "head", 4))
		return PBFT_TABLE_HEAD;
	return PBFT_TABLE_NONE;
}

static int put(struct pbft_store *st, MDB_dbi dbi, const void *key, size_t klen,
	       MDB_val *v, unsigned int flags)
{
	enum pbft_table table = pbft_store_table(st, dbi, key, klen);
	MDB_val k = { klen, (void *)key };
	int rc;

	if (table && st->undo.pos.on)
		return pbft_undo_put(st, table, dbi, &k, v, flags);
	rc = mdb_put(st->txn, dbi, &k, v, flags);
	return rc ? pbft_store_fail(st, "write a record", rc) : 0;
}

int pbft_store_put(struct pbft_store *st, MDB_dbi dbi, const void *key,
		   size_t klen, const void *val, size_t vlen)
{
	MDB_val v = { vlen, (void *)val };

	return put(st, dbi, key, klen, &v, 0);
}

int pbft_store_reserve(struct pbft_store *st, MDB_dbi dbi, const void *key,
		       size_t klen, MDB_val *val)
{
	return put(st, dbi, key, klen, val, MDB_RESERVE);
}

int pbft_store_get(struct pbft_store *st, MDB_txn *txn, MDB_dbi dbi,
		   const void *key, size_t klen, MDB_val *val)
{
	MDB_val k = { klen, (void *)key };
	int rc = mdb_get(txn, dbi, &k, val);

	if (rc == MDB_NOTFOUND)
		return -ENOENT;
	return rc ? pbft_store_fail(st, "read a record", rc) : 0;
}

int pbft_store_del(struct pbft_store *st, MDB_dbi dbi, const void *key,
		   size_t klen)
{
	enum pbft_table table = pbft_store_table(st, dbi, key, klen);
	MDB_val k = { klen, (void *)key };
	int rc;

	if (table && st->undo.pos.on)
		return pbft_undo_del(st, table, dbi, &k);
	rc = mdb_del(st->txn, dbi, &k, NULL);
	return rc && rc != MDB_NOTFOUND ?
		       pbft_store_fail(st, "delete a record", rc) : 0;
}

static u64 dirty_word(const struct pbft_store *st, u32 i)
{
	if (sizeof(st->dirty[0]) == sizeof(u64))
		return st->dirty[i];
	return st->dirty[2 * i] | (u64)st->dirty[2 * i + 1] << 32;
}

int pbft_store_write_head(struct pbft_store *st)
{
	struct head_rec rec = {
		.seq = cpu_to_le64(st->head.seq),
		.time = cpu_to_le64(st->head.time),
	};
	u32 i;

	memcpy(rec.chain, st->head.chain.b, sizeof(rec.chain));
	for (i = 0; i < ARRAY_SIZE(rec.dirty); i++)
		rec.dirty[i] = cpu_to_le64(dirty_word(st, i));
	return pbft_store_put(st, st->meta, "head", 4, &rec, sizeof(rec));
}

int pbft_store_write_tree(struct pbft_store *st, u32 mid)
{
	u8 key[2], buf[PBFT_TREE_NODE_MAX] __aligned(8);
	u32 len = pbft_tree_encode(&st->tree, PBFT_TREE_PAGE_LEVEL - 1, mid, buf);

	pbft_be16(key, mid);
	return pbft_store_put(st, st->tree_db, key, sizeof(key), buf, len);
}

int pbft_store_commit(struct pbft_store *st)
{
	if (!st->txn)
		return 0;
	return pbft_store_write_head(st) ?: pbft_undo_flush(st) ?: end_txn(st);
}

int pbft_store_settle(struct pbft_store *st)
{
	return st->opts.sync == PBFT_SYNC_ALWAYS ? pbft_store_commit(st) : 0;
}

/* ---- reading what is there ------------------------------------------------ */

static int refuse(struct pbft_store *st, int err, const char *why)
{
	snprintf(st->err, sizeof(st->err), "%s: %s", st->opts.dir, why);
	return err;
}

static int check_identity(struct pbft_store *st)
{
	const struct pbft_store_opts *o = &st->opts;
	const struct id_rec *rec;
	MDB_val v;
	int err = pbft_store_get(st, st->txn, st->meta, "id", 2, &v);

	if (err && err != -ENOENT)
		return err;
	rec = v.mv_data;
	if (err || v.mv_size != sizeof(*rec) ||
	    memcmp(rec->magic, FORMAT_MAGIC, sizeof(rec->magic)))
		return refuse(st, -EINVAL, "this is not a database of pbftd");
	if (le32_to_cpu(rec->version) != FORMAT_VERSION) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database has format %u, this program knows format %u",
			 o->dir, le32_to_cpu(rec->version), FORMAT_VERSION);
		return -EINVAL;
	}
	if (!o->cluster)
		return 0;
	if (le64_to_cpu(rec->cluster) != o->cluster) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database belongs to cluster 0x%llx, not to 0x%llx",
			 o->dir, (unsigned long long)le64_to_cpu(rec->cluster),
			 (unsigned long long)o->cluster);
		return -EINVAL;
	}
	if (le32_to_cpu(rec->epoch) != o->epoch ||
	    le32_to_cpu(rec->self) != o->self) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database belongs to replica %u in epoch %u, not to replica %u in epoch %u",
			 o->dir, le32_to_cpu(rec->self), le32_to_cpu(rec->epoch),
			 o->self, o->epoch);
		return -EINVAL;
	}
	return 0;
}

int pbft_store_load_head(struct pbft_store *st, const struct pbft_view *v,
			 struct pbft_log_head *head, unsigned long *dirty)
{
	const struct head_rec *rec;
	MDB_val val;
	u32 i;
	int err = pbft_view_get(st, v, st->meta, "head", 4, &val);

	if (err && err != -ENOENT)
		return err;
	if (err || val.mv_size != sizeof(*rec))
		return refuse(st, -EINVAL, "the database is damaged: it has no log head");
	rec = val.mv_data;
	head->seq = le64_to_cpu(rec->seq);
	head->time = le64_to_cpu(rec->time);
	memcpy(head->chain.b, rec->chain, sizeof(rec->chain));
	for (i = 0; dirty && i < PBFT_TREE_PAGES; i++)
		if (le64_to_cpu(rec->dirty[i / 64]) & BIT_ULL(i % 64))
			__set_bit(i, dirty);
	return 0;
}

int pbft_store_load_tree(struct pbft_store *st, const struct pbft_view *v,
			 struct pbft_tree *tree)
{
	struct pbft_tree_child c[PBFT_TREE_FANOUT];
	MDB_val val;
	u32 mid, i;
	u8 key[2];
	int err;

	for (mid = 0; mid < PBFT_TREE_MIDS; mid++) {
		pbft_be16(key, mid);
		err = pbft_view_get(st, v, st->tree_db, key, 2, &val);
		if (err && err != -ENOENT)
			return err;
		if (err || val.mv_size != sizeof(c))
			return refuse(st, -EINVAL,
				      "the database is damaged: its digest tree is incomplete");
		memcpy(c, val.mv_data, sizeof(c));
		for (i = 0; i < PBFT_TREE_FANOUT; i++) {
			struct pbft_tree_node *p =
				&tree->page[mid * PBFT_TREE_FANOUT + i];

			memcpy(&p->digest, &c[i].digest, sizeof(p->digest));
			p->size = le64_to_cpu(c[i].size);
			p->index = le64_to_cpu(c[i].index);
		}
	}
	pbft_tree_build(tree, NULL);
	return 0;
}

/* Pages that an interrupted state transfer left. */
static int load_stage(struct pbft_store *st)
{
	MDB_cursor *cur;
	MDB_val k, v;
	int rc = mdb_cursor_open(st->txn, st->stage, &cur);

	if (rc)
		return pbft_store_fail(st, "read the staged pages", rc);
	while (!(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
		const struct pbft_tree_child *c = v.mv_data;
		const u8 *b = k.mv_data;
		u32 page = k.mv_size == 2 ? b[0] << 8 | b[1] : PBFT_TREE_PAGES;

		if (page >= PBFT_TREE_PAGES || v.mv_size < sizeof(*c) ||
		    le64_to_cpu(c->size) != v.mv_size - sizeof(*c)) {
			mdb_cursor_close(cur);
			return refuse(st, -EINVAL,
				      "the database is damaged: a staged page is malformed");
		}
		st->staged[page] = true;
		memcpy(&st->stage_node[page].digest, &c->digest,
		       sizeof(c->digest));
		st->stage_node[page].size = le64_to_cpu(c->size);
		st->stage_node[page].index = le64_to_cpu(c->index);
	}
	mdb_cursor_close(cur);
	return rc == MDB_NOTFOUND ? 0 :
				    pbft_store_fail(st, "read the staged pages", rc);
}

/* ---- opening ------------------------------------------------------------------ */

static int open_dbis(struct pbft_store *st, bool create)
{
	const struct {
		const char *name;
		MDB_dbi *dbi;
	} dbs[] = {
		{ "meta", &st->meta }, { "kv", &st->kv }, { "leaf", &st->leaf },
		{ "session", &st->session }, { "reply", &st->reply },
		{ "tree", &st->tree_db }, { "stage", &st->stage },
	};
	u32 i;
	int rc;

	for (i = 0; i < ARRAY_SIZE(dbs); i++) {
		rc = mdb_dbi_open(st->txn, dbs[i].name, create ? MDB_CREATE : 0,
				  dbs[i].dbi);
		if (rc == MDB_NOTFOUND)
			return refuse(st, -EINVAL, "this is not a database of pbftd");
		if (rc)
			return pbft_store_fail(st, "open a table", rc);
	}
	/* Earlier versions did not have it, and need not find it. */
	rc = mdb_dbi_open(st->txn, "undo", st->opts.read_only ? 0 : MDB_CREATE,
			  &st->undo.dbi);
	if (rc == MDB_NOTFOUND && st->opts.read_only)
		return 0;
	return rc ? pbft_store_fail(st, "open a table", rc) : 0;
}

static int write_fresh(struct pbft_store *st)
{
	struct id_rec rec = {
		.magic = FORMAT_MAGIC,
		.version = cpu_to_le32(FORMAT_VERSION),
		.epoch = cpu_to_le32(st->opts.epoch),
		.cluster = cpu_to_le64(st->opts.cluster),
		.self = cpu_to_le32(st->opts.self),
	};
	u32 mid;
	int err;

	pbft_tree_init(&st->tree);
	err = pbft_store_put(st, st->meta, "id", 2, &rec, sizeof(rec));
	for (mid = 0; !err && mid < PBFT_TREE_MIDS; mid++)
		err = pbft_store_write_tree(st, mid);
	return err;
}

static int write_run(struct pbft_store *st, bool clean)
{
	struct pbft_run_rec rec = { .clean = clean, .sync = st->opts.sync };

	pbft_boot_id(rec.boot_id);
	return pbft_store_put(st, st->meta, "run", 3, &rec, sizeof(rec));
}

static int load(struct pbft_store *st, bool fresh)
{
	int err = pbft_store_begin(st);

	if (!err)
		err = open_dbis(st, fresh);
	if (!err)
		err = fresh ? write_fresh(st) : check_identity(st);
	if (!err && !fresh)
		err = pbft_store_load_head(st, NULL, &st->head, st->dirty) ?:
		      pbft_store_load_tree(st, NULL, &st->tree) ?:
		      load_stage(st);
	if (err)
		goto abort;
	if (st->opts.read_only) {
		/* LMDB keeps table handles only of transactions that commit. */
		err = end_txn(st);
	} else {
		err = write_run(st, false) ?: pbft_store_commit(st);
	}
	if (!err)
		return pbft_past_restore(st);

abort:
	pbft_store_abort(st);
	return err;
}

static int open_env(struct pbft_store *st)
{
	unsigned int flags = MDB_NOTLS;
	int rc = mdb_env_create(&st->env);

	if (rc) {
		st->env = NULL;
		return pbft_store_fail(st, "create an LMDB environment", rc);
	}
	if (st->opts.read_only)
		flags |= MDB_RDONLY;
	mdb_env_set_maxdbs(st->env, 16);
	mdb_env_set_maxreaders(st->env, PBFT_SNAPSHOTS_MAX + 24);
	rc = mdb_env_set_mapsize(st->env, st->opts.map_size);
	if (!rc)
		rc = mdb_env_open(st->env, st->opts.dir, flags, 0600);
	if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH ||
	    rc == MDB_CORRUPTED || rc == MDB_PAGE_NOTFOUND)
		return refuse(st, -EINVAL, "data.mdb is damaged, or not an LMDB database");
	return rc ? pbft_store_fail(st, "open the database", rc) : 0;
}

/* One daemon for one database: its tree and log head are in memory too. */
static int take_lock(struct pbft_store *st)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/" LOCK_NAME, st->opts.dir) >=
	    (int)sizeof(path))
		return refuse(st, -ENAMETOOLONG, "the name is too long");
	st->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (st->lock_fd < 0)
		return refuse(st, -errno, strerror(errno));
	if (flock(st->lock_fd, LOCK_EX | LOCK_NB))
		return refuse(st, -EBUSY, "another pbftd uses this database");
	return 0;
}

/* Return 1: there is a database, 0: an empty or new directory, or -errno. */
static int look_at_dir(struct pbft_store *st)
{
	const char *dir = st->opts.dir;
	bool data = false, other = false;
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d && errno == ENOENT && !st->opts.read_only) {
		if (mkdir(dir, 0700))
			return refuse(st, -errno, strerror(errno));
		return 0;
	}
	if (!d)
		return refuse(st, -errno, strerror(errno));
	while ((e = readdir(d))) {
		if (!strcmp(e->d_name, "data.mdb"))
			data = true;
		else if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..") &&
			 strcmp(e->d_name, "lock.mdb") &&
			 strcmp(e->d_name, LOCK_NAME))
			other = true;
	}
	closedir(d);
	if (data)
		return 1;
	if (other || st->opts.read_only)
		return refuse(st, -EINVAL, other ?
			      "the directory holds other files and no database" :
			      "there is no database");
	return 0;
}

static int open_parts(struct pbft_store *st)
{
	int exists = look_at_dir(st), err;

	if (exists < 0)
		return exists;
	if (!st->opts.read_only) {
		err = take_lock(st);
		if (err)
			return err;
		if (exists) {
			err = pbft_store_precheck(&st->opts, st->err,
						  sizeof(st->err));
			if (err)
				return err;
		}
	}
	err = open_env(st);
	if (err)
		return err;
	err = load(st, !exists);
	if (err)
		return err;
	return 0;
}

static void free_store(struct pbft_store *st)
{
	while (st->n_snapshots)
		pbft_store_drop(st, st->n_snapshots - 1);
	pbft_store_abort(st);
	free(st->undo.buf);
	if (st->env)
		mdb_env_close(st->env);
	if (st->lock_fd >= 0)
		close(st->lock_fd);
	pbft_page_sum_free(&st->sum);
	free(st);
}

int pbft_store_open(struct pbft_store **out, const struct pbft_store_opts *opts,
		    char *err, size_t errlen)
{
	struct pbft_store *st = calloc(1, sizeof(*st));
	int rc;

	if (!st) {
		snprintf(err, errlen, "%s: out of memory", opts->dir);
		return -ENOMEM;
	}
	st->opts = *opts;
	st->lock_fd = -1;
	if (!st->opts.map_size)
		st->opts.map_size = PBFT_STORE_MAP_DEFAULT;
	rc = open_parts(st);
	if (rc) {
		snprintf(err, errlen, "%s", st->err);
		free_store(st);
		return rc;
	}
	*out = st;
	return 0;
}

void pbft_store_close(struct pbft_store *st)
{
	if (!st)
		return;
	pbft_store_abort(st);
	if (!st->opts.read_only && !pbft_store_begin(st) && !write_run(st, true)) {
		/* If it fails this was no clean end. */
		end_txn(st);
	}
	free_store(st);
}
