// SPDX-License-Identifier: GPL-2.0
/*
 * A state that came from elsewhere: pages are staged as they arrive, verified,
 * and replace the local ones in one transaction together with the log head.
 * Until then the state served and executed on is the old one.
 */
#include <errno.h>
#include <stdio.h>
#include "store.h"

int pbft_store_stage(struct pbft_store *st, u32 page,
		     const struct pbft_tree_node *node, const void *data)
{
	struct pbft_tree_child c = {
		.digest = node->digest,
		.size = cpu_to_le64(node->size),
		.index = cpu_to_le64(node->index),
	};
	u8 key[2];
	MDB_val k = { sizeof(key), key }, v = { sizeof(c) + node->size, NULL };
	int err = pbft_store_begin(st), rc;

	if (err)
		return err;
	pbft_be16(key, page);
	rc = mdb_put(st->txn, st->stage, &k, &v, MDB_RESERVE);
	if (rc)
		return pbft_store_fail(st, "stage a page", rc);
	memcpy(v.mv_data, &c, sizeof(c));
	if (node->size)
		memcpy((u8 *)v.mv_data + sizeof(c), data, node->size);
	st->staged[page] = true;
	st->stage_node[page] = *node;
	return 0;
}

int pbft_store_unstage(struct pbft_store *st)
{
	int err = pbft_store_begin(st), rc;

	if (err)
		return err;
	rc = mdb_drop(st->txn, st->stage, 0);
	if (rc)
		return pbft_store_fail(st, "clear the staged pages", rc);
	memset(st->staged, 0, sizeof(st->staged));
	return 0;
}

bool pbft_store_has(const struct pbft_store *st, u32 page,
		    const struct pbft_tree_node *want)
{
	if (!test_bit(page, st->dirty) && pbft_tree_node_eq(&st->tree.page[page], want))
		return true;
	return st->staged[page] && pbft_tree_node_eq(&st->stage_node[page], want);
}

/*
 * A staged page was verified when it came, maybe in an earlier run: it is
 * verified again, for a disk may have changed it since.
 */
static int install_page(struct pbft_store *st, u32 page,
			const struct pbft_tree_node *want)
{
	const struct pbft_tree_child *c;
	u8 key[2], *copy;
	MDB_val v;
	int err;

	pbft_be16(key, page);
	err = pbft_store_get(st, st->txn, st->stage, key, sizeof(key), &v);
	if (err && err != -ENOENT)
		return err;
	if (err || v.mv_size != sizeof(*c) + want->size) {
		st->staged[page] = false;
		return -EAGAIN;
	}
	/* The bytes must outlive the writes that follow. */
	copy = malloc(want->size + 1);
	if (!copy) {
		snprintf(st->err, sizeof(st->err), "out of memory for a page");
		return -ENOMEM;
	}
	memcpy(copy, (const u8 *)v.mv_data + sizeof(*c), want->size);
	err = pbft_page_verify(page, want, copy, want->size);
	if (err == -EBADMSG) {
		st->staged[page] = false;
		err = -EAGAIN;
	}
	if (!err)
		err = pbft_page_install(st, page, copy, want->size);
	free(copy);
	return err;
}

static int install_pages(struct pbft_store *st, const struct pbft_tree *target)
{
	u32 i;
	int err;

	for (i = 0; i < PBFT_TREE_PAGES; i++)
		if (!pbft_store_has(st, i, &target->page[i]))
			return -EAGAIN;
	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		if (pbft_tree_node_eq(&st->tree.page[i], &target->page[i]))
			continue;
		err = install_page(st, i, &target->page[i]);
		if (err)
			return err;
		__set_bit(i, st->dirty);
	}
	return 0;
}

/* The caller's transaction is lost: go back to what is on disk. */
static void back_out(struct pbft_store *st, const struct pbft_tree *tree)
{
	pbft_store_abort(st);
	memset(st->dirty, 0, sizeof(st->dirty));
	st->tree = *tree;
}

int pbft_store_install(struct pbft_store *st, const struct pbft_tree *target,
		       const struct pbft_log_head *head)
{
	struct pbft_tree *before = malloc(sizeof(*before));
	struct pbft_log_head old = st->head;
	struct pbft_digest root;
	int err;

	if (!before) {
		snprintf(st->err, sizeof(st->err), "out of memory");
		return -ENOMEM;
	}
	/* So that backing out of what follows costs nothing else. */
	err = pbft_store_refresh(st) ?: pbft_store_commit(st) ?:
	      pbft_store_begin(st);
	*before = st->tree;
	if (!err) {
		pbft_undo_stop(st);
		err = install_pages(st, target);
	}
	if (!err)
		err = pbft_store_refresh(st);
	if (!err && !pbft_digest_eq(&st->tree.root.digest, &target->root.digest)) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the installed state has another digest than the pages it came from",
			 st->opts.dir);
		err = -EIO;
	}
	if (!err) {
		int rc = mdb_drop(st->txn, st->stage, 0);

		st->head = *head;
		err = rc ? pbft_store_fail(st, "clear the staged pages", rc) :
			   pbft_store_checkpoint(st, &root);
	}
	if (err) {
		back_out(st, before);
		st->head = old;
	} else {
		memset(st->staged, 0, sizeof(st->staged));
	}
	free(before);
	return err;
}
