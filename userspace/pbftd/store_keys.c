// SPDX-License-Identifier: GPL-2.0
/*
 * The generation of our keys, on record before it is used: a replica that came back
 * with an older one would be heard by nobody.
 */
#include <errno.h>
#include "store.h"

#define NAME "generation"

int pbft_store_generation(struct pbft_store *st, u8 *generation)
{
	MDB_val v;
	int err = pbft_store_begin(st) ?:
		  pbft_store_get(st, st->txn, st->meta, NAME, sizeof(NAME) - 1, &v);

	if (!err && v.mv_size == 1)
		*generation = *(const u8 *)v.mv_data;
	return !err && v.mv_size != 1 ? -ENOENT : err;
}

int pbft_store_set_generation(struct pbft_store *st, u8 generation)
{
	return pbft_store_begin(st) ?:
	       pbft_store_put(st, st->meta, NAME, sizeof(NAME) - 1, &generation, 1) ?:
	       pbft_store_commit(st);
}
