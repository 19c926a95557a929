/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Databases of pbftd for the targets that need one: made once, put back to what
 * they were before each run.
 */
#ifndef PBFT_FUZZ_DB_H
#define PBFT_FUZZ_DB_H

#include "fuzz.h"
#include "pbftd/store.h"

#define DB_CLIENT	100u	/* and the next: the clients that have sessions */
#define DB_MAP_SIZE	(32u << 20)
#define DB_FILE_MAX	(8u << 20)
#define DB_INTERVAL	30u	/* batches from checkpoint to checkpoint */

struct fuzz_db {
	char dir[64];		/* below TMPDIR; goes when the program ends */
	u8 *bytes;		/* data.mdb as it was made */
	size_t len;
};

/* A new database, after @batches batches of one request each, and checkpoints. */
void db_make(struct fuzz_db *db, u32 batches);
void db_restore(const struct fuzz_db *db);

struct pbft_store_opts db_options(const struct fuzz_db *db, bool check, bool read_only);

/* The next batch; results are thrown away. Return pbft_store_apply()'s. */
int db_apply(struct pbft_store *st, const struct pbft_store_req *req, u32 count);
/* The batch that db_make() makes of sequence number @seq. */
int db_apply_usual(struct pbft_store *st, u64 seq);

#endif /* PBFT_FUZZ_DB_H */
