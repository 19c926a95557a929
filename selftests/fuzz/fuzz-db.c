// SPDX-License-Identifier: GPL-2.0
/*
 * pbftd's database with arbitrary records in it: opening must refuse it with a
 * sentence or work, and what a full verification calls sound must go on working.
 *
 * The records are written through LMDB, so its pages are always right. Arbitrary
 * bytes as the file itself are not for this target: LMDB trusts its pages, and
 * eight changed bytes in a file of 100 KiB make it fail an assertion or fault in
 * every second case while it only reads. pbftd knows: pbft_store_precheck() reads
 * a database in a child process first.
 */
#include <stdlib.h>
#include "db.h"

static struct fuzz_db db;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	db_make(&db, 70);
	return 0;
}

/* ---- altering records ------------------------------------------------------------ */

/* A key that is there, or one by the bytes. */
static size_t pick_key(struct fuzz_in *in, MDB_txn *txn, MDB_dbi dbi, u8 *key)
{
	u32 skip = fuzz_u8(in), len = 0;
	MDB_cursor *cur;
	MDB_val k, v;

	if (skip >= 0xe0)
		return max_t(size_t, fuzz_bytes(in, key, skip & 15), 1);
	if (mdb_cursor_open(txn, dbi, &cur))
		return 1;
	while (!mdb_cursor_get(cur, &k, &v, MDB_NEXT)) {
		len = min_t(u32, k.mv_size, 300);
		memcpy(key, k.mv_data, len);
		if (!skip--)
			break;
	}
	mdb_cursor_close(cur);
	return len ? len : 1;
}

/* The record's value, altered: shorter, longer, other bytes. */
static void alter(struct fuzz_in *in, MDB_txn *txn, MDB_dbi dbi, u8 *key, size_t klen)
{
	static u8 value[70000];
	MDB_val k = { klen, key }, v = { 0, NULL };
	u8 how = fuzz_u8(in);
	size_t len = 0, at;
	u32 i;

	if (!mdb_get(txn, dbi, &k, &v)) {
		len = min(v.mv_size, sizeof(value) - 256);
		memcpy(value, v.mv_data, len);
	}
	switch (how & 7) {
	case 0:
		mdb_del(txn, dbi, &k, NULL);
		return;
	case 1:
		len = min_t(size_t, len, fuzz_u16(in));
		break;
	case 2:
		len += fuzz_bytes(in, value + len, how >> 3);
		break;
	case 3:
		len = fuzz_bytes(in, value, how >> 3);
		break;
	case 4:
		memset(value, 0xff, sizeof(value));
		len = how & 0x80 ? sizeof(value) : len;
		break;
	default:
		for (i = 0; len && i <= how >> 6; i++) {
			at = fuzz_u16(in) % len;
			value[at] = fuzz_u8(in);
		}
	}
	v.mv_data = value;
	v.mv_size = len;
	mdb_put(txn, dbi, &k, &v, 0);
}

static void alter_records(struct fuzz_in *in)
{
	static const char * const dbs[] = {
		"meta", "kv", "leaf", "session", "reply", "tree", "stage", "undo"
	};
	u32 edits = 1 + fuzz_below(in, 4);
	u8 key[512] = {};
	MDB_env *env;
	MDB_txn *txn;
	MDB_dbi dbi;

	fuzz_check(!mdb_env_create(&env), "no LMDB environment");
	mdb_env_set_maxdbs(env, 16);
	mdb_env_set_mapsize(env, DB_MAP_SIZE);
	fuzz_check(!mdb_env_open(env, db.dir, MDB_NOSYNC | MDB_NOTLS, 0600), "%s", db.dir);
	fuzz_check(!mdb_txn_begin(env, NULL, 0, &txn), "no transaction");
	while (edits--) {
		u8 b = fuzz_u8(in);

		if (mdb_dbi_open(txn, dbs[b % ARRAY_SIZE(dbs)], 0, &dbi))
			continue;
		if (b >= 0xf8)
			mdb_drop(txn, dbi, b & 1);
		else
			alter(in, txn, dbi, key, pick_key(in, txn, dbi, key));
	}
	fuzz_check(!mdb_txn_commit(txn), "commit");
	mdb_env_close(env);
}

/* ---- using it -------------------------------------------------------------------- */

/* Any operations of clients that are known or not. */
static int use(struct fuzz_in *in, struct pbft_store *st)
{
	struct pbft_store_req req[4];
	struct pbft_digest root;
	static u8 ops[4][256];
	u32 rounds = fuzz_below(in, 4), i;
	int err = 0;

	while (!err && rounds--) {
		u32 count = fuzz_below(in, 5);

		for (i = 0; i < count; i++) {
			u8 b = fuzz_u8(in);

			req[i].client = DB_CLIENT + b % 3;
			req[i].session = 1 + (b >> 2) % 2;
			/* 0 does not come this far: no batch with it is sane */
			req[i].t = b & 0x80 ? 1 + fuzz_u8(in) : 36;
			req[i].op = ops[i];
			req[i].op_len = fuzz_bytes(in, ops[i], fuzz_u8(in));
		}
		err = db_apply(st, req, count);
	}
	return err ?: pbft_store_checkpoint(st, &root);
}

static void encode_pages(struct pbft_store *st, const struct pbft_view *v)
{
	struct pbft_tree_node node;
	u8 *data;
	u64 len;
	u32 i;

	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		data = NULL;
		if (pbft_page_encode(st, v, i, &data, &len))
			continue;
		if (len && !pbft_page_compute(st, v, i, &node) && node.size == len)
			(void)!pbft_page_verify(i, &node, data, len);
		free(data);
	}
}

static void encode_all(struct pbft_store *st)
{
	u32 i;

	if (pbft_store_begin(st))
		return;
	encode_pages(st, NULL);
	pbft_store_abort(st);
	for (i = 0; i < st->n_snapshots; i++)
		encode_pages(st, &st->snapshots[i]->view);
}

static void open_and_use(struct fuzz_in *in)
{
	u8 how = fuzz_u8(in);
	struct pbft_store_opts opts = db_options(&db, false, how & 1);
	char err[PBFT_ERR_MAX] = "";
	struct pbft_digest root;
	struct pbft_store *st;
	bool sound = false;
	int ret = pbft_store_open(&st, &opts, err, sizeof(err));

	if (ret) {
		fuzz_check(ret < 0 && !strncmp(err, db.dir, strlen(db.dir)),
			   "error %d '%s' names no directory", ret, err);
		return;
	}
	if (how & 2) {
		sound = !pbft_store_verify(st);
		fuzz_check(sound || st->err[0], "refused without a sentence");
	}
	if (how & 4)
		encode_all(st);
	if (!(how & 1)) {
		ret = use(in, st);
		fuzz_check(!ret || st->err[0], "failed without a sentence");
		fuzz_check(!ret || !sound, "verified, and yet: %s", st->err);
	} else if (!pbft_store_begin(st)) {
		pbft_store_abort(st);
	}
	if (!ret && sound)
		fuzz_check(!pbft_store_root(st, &root), "verified, and yet: %s", st->err);
	pbft_store_close(st);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_in in = { data, size };

	db_restore(&db);
	alter_records(&in);
	open_and_use(&in);
	return 0;
}
