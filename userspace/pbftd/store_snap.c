// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints: the digest of the state, and copies of the state as it was.
 *
 * A copy costs nothing when it is made: LMDB is copy on write, and a read
 * transaction keeps the pages it can see from being used again. For the next
 * process, which begins without these transactions, there is the undo log.
 */
#include <errno.h>
#include <stdio.h>
#include "store.h"

/* The digest tree for the state: only pages that changed are computed. */
static int update_tree(struct pbft_store *st, struct pbft_tree *tree,
		       bool changed[PBFT_TREE_MIDS])
{
	u32 i;
	int err;

	memset(changed, 0, PBFT_TREE_MIDS * sizeof(*changed));
	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		if (!test_bit(i, st->dirty))
			continue;
		err = pbft_page_compute(st, NULL, i, &tree->page[i]);
		if (err)
			return err;
		changed[i / PBFT_TREE_FANOUT] = true;
	}
	pbft_tree_build(tree, changed);
	return 0;
}

int pbft_store_refresh(struct pbft_store *st)
{
	bool changed[PBFT_TREE_MIDS];
	u32 mid;
	int err = pbft_store_begin(st);

	if (!err)
		err = update_tree(st, &st->tree, changed);
	for (mid = 0; !err && mid < PBFT_TREE_MIDS; mid++)
		if (changed[mid])
			err = pbft_store_write_tree(st, mid);
	if (!err)
		memset(st->dirty, 0, sizeof(st->dirty));
	return err;
}

int pbft_store_root(struct pbft_store *st, struct pbft_digest *root)
{
	struct pbft_tree *tree = malloc(sizeof(*tree));
	bool changed[PBFT_TREE_MIDS], mine = !st->txn;
	int err;

	if (!tree) {
		snprintf(st->err, sizeof(st->err), "out of memory");
		return -ENOMEM;
	}
	*tree = st->tree;
	err = pbft_store_begin(st);
	if (!err)
		err = update_tree(st, tree, changed);
	if (mine)
		pbft_store_abort(st);
	*root = tree->root.digest;
	free(tree);
	return err;
}

void pbft_store_drop(struct pbft_store *st, u32 i)
{
	pbft_view_close(&st->snapshots[i]->view);
	free(st->snapshots[i]);
	st->n_snapshots--;
	memmove(&st->snapshots[i], &st->snapshots[i + 1],
		(st->n_snapshots - i) * sizeof(st->snapshots[0]));
}

/* Copies that the one at st->head takes the place of. */
static void make_room(struct pbft_store *st)
{
	while (st->n_snapshots &&
	       st->snapshots[st->n_snapshots - 1]->seq >= st->head.seq)
		pbft_store_drop(st, st->n_snapshots - 1);
	if (st->n_snapshots == PBFT_SNAPSHOTS_MAX)
		pbft_store_drop(st, 0);
}

/* The state at st->head is committed and its tree up to date. */
static int take_snapshot(struct pbft_store *st)
{
	struct pbft_snapshot *s = calloc(1, sizeof(*s));
	int rc;

	if (!s) {
		snprintf(st->err, sizeof(st->err), "out of memory for a snapshot");
		return -ENOMEM;
	}
	s->seq = st->head.seq;
	s->tree = st->tree;
	rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &s->view.txn);
	if (rc) {
		free(s);
		return pbft_store_fail(st, "keep a snapshot", rc);
	}
	st->snapshots[st->n_snapshots++] = s;
	return 0;
}

int pbft_store_checkpoint(struct pbft_store *st, struct pbft_digest *root)
{
	int err = pbft_store_refresh(st);

	if (err)
		return err;
	make_room(st);
	err = pbft_undo_checkpoint(st, st->n_snapshots ? st->snapshots[0]->seq :
							 st->head.seq) ?:
	      pbft_store_commit(st) ?: take_snapshot(st);
	if (!err)
		*root = st->tree.root.digest;
	return err;
}

void pbft_store_discard(struct pbft_store *st, u64 seq)
{
	while (st->n_snapshots > 2 && st->snapshots[0]->seq < seq)
		pbft_store_drop(st, 0);
}

struct pbft_snapshot *pbft_store_snapshot(struct pbft_store *st, u64 seq,
					  const struct pbft_digest *root)
{
	u32 i;

	for (i = 0; i < st->n_snapshots; i++) {
		struct pbft_snapshot *s = st->snapshots[i];

		if (s->seq == seq && pbft_digest_eq(&s->tree.root.digest, root))
			return s;
	}
	return NULL;
}
