// SPDX-License-Identifier: GPL-2.0
/*
 * Databases that are sound, to begin with. The look at a database in a child
 * process, before it is opened, is left out (linked with --wrap): what the child
 * would do the targets do themselves, where the fuzzer sees it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "db.h"
#include "libpbft/kv.h"

#define DBS_MAX	4

static struct fuzz_db *dbs[DBS_MAX];
static u32 db_count;

int __wrap_pbft_store_precheck(const struct pbft_store_opts *opts, char *err,
			       size_t errlen);

int __wrap_pbft_store_precheck(const struct pbft_store_opts *opts, char *err,
			       size_t errlen)
{
	return 0;
}

struct pbft_store_opts db_options(const struct fuzz_db *db, bool check, bool read_only)
{
	return (struct pbft_store_opts){
		.dir = db->dir, .cluster = 0x77, .epoch = 1, .self = 0,
		.sync = PBFT_SYNC_ALWAYS, .map_size = DB_MAP_SIZE,
		.check = check, .read_only = read_only,
	};
}

static void path_of(const struct fuzz_db *db, char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", db->dir, name);
}

static void remove_all(void)
{
	static const char * const names[] = { "data.mdb", "lock.mdb", "pbftd.lock" };
	char path[128];
	u32 i, j;

	for (i = 0; i < db_count; i++) {
		for (j = 0; j < ARRAY_SIZE(names); j++) {
			path_of(dbs[i], path, names[j]);
			unlink(path);
		}
		rmdir(dbs[i]->dir);
		free(dbs[i]->bytes);
	}
}

void db_restore(const struct fuzz_db *db)
{
	char path[128];
	int fd;

	path_of(db, path, "data.mdb");
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	fuzz_check(fd >= 0 && write(fd, db->bytes, db->len) == (ssize_t)db->len,
		   "%s: %m", path);
	close(fd);
}

static void read_back(struct fuzz_db *db)
{
	char path[128];
	ssize_t len;
	int fd;

	path_of(db, path, "data.mdb");
	fd = open(path, O_RDONLY);
	db->bytes = malloc(DB_FILE_MAX);
	len = fd < 0 ? -1 : read(fd, db->bytes, DB_FILE_MAX);
	fuzz_check(len > 0 && len < (ssize_t)DB_FILE_MAX, "%s: %m", path);
	db->len = len;
	close(fd);
}

int db_apply(struct pbft_store *st, const struct pbft_store_req *req, u32 count)
{
	struct pbft_log_head head = st->head;
	struct pbft_store_results res = {};
	int err;

	head.seq++;
	head.time += count;
	err = pbft_store_apply(st, &head, req, count, &res);
	if (!err)
		fuzz_check(res.count == count, "%u results for %u requests", res.count, count);
	pbft_store_results_free(&res);
	return err;
}

/* Two clients in turn, few keys, now and then a value of several datagrams. */
int db_apply_usual(struct pbft_store *st, u64 seq)
{
	static const u8 value[6000] = { 1, 2, 3 };
	static u8 op[6100];
	int len = pbft_kv_put(op, sizeof(op), &seq, 1 + seq % 3, value,
			      seq % 17 ? seq % 6 : sizeof(value));
	struct pbft_store_req req = {
		DB_CLIENT + seq % 2, 1, (seq + 1) / 2, op, len,
	};

	return db_apply(st, &req, 1);
}

void db_make(struct fuzz_db *db, u32 batches)
{
	struct pbft_store_opts opts;
	const char *tmp = getenv("TMPDIR");
	char err[PBFT_ERR_MAX];
	struct pbft_digest root;
	struct pbft_store *st;
	u64 seq;

	snprintf(db->dir, sizeof(db->dir), "%.40s/pbft-db.XXXXXX", tmp ? tmp : "/tmp");
	fuzz_check(mkdtemp(db->dir), "%s: %m", db->dir);
	if (!db_count)
		atexit(remove_all);
	fuzz_check(db_count < DBS_MAX, "too many databases");
	dbs[db_count++] = db;
	opts = db_options(db, false, false);
	fuzz_check(!pbft_store_open(&st, &opts, err, sizeof(err)), "%s", err);
	for (seq = 1; seq <= batches; seq++)
		fuzz_check(!db_apply_usual(st, seq) &&
			   (seq % DB_INTERVAL || !pbft_store_checkpoint(st, &root)),
			   "%s", st->err);
	fuzz_check(!pbft_store_checkpoint(st, &root), "%s", st->err);
	pbft_store_close(st);
	read_back(db);
}
