// SPDX-License-Identifier: GPL-2.0
/*
 * Is a database what it should be? Looked at before use, in a child process:
 * LMDB trusts its pages, and a damaged one may kill who reads it.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include "libpbft/kv.h"
#include "store.h"

/* Every key has its leaf, and the leaf its value's digest. */
static int check_values(struct pbft_store *st, u64 *count)
{
	struct pbft_digest vhash;
	struct pbft_leaf_key lk;
	const struct pbft_leaf *leaf;
	MDB_cursor *cur;
	MDB_val k, v, l;
	int err = 0, rc = mdb_cursor_open(st->txn, st->kv, &cur);

	if (rc)
		return pbft_store_fail(st, "read the keys", rc);
	while (!err && !(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
		if (k.mv_size > PBFT_KV_KEY_MAX || v.mv_size > PBFT_KV_VALUE_MAX) {
			err = pbft_store_damaged(st, "a key or value is too long");
			break;
		}
		pbft_leaf_key(&lk, pbft_tree_page_of(PBFT_SPACE_KV, k.mv_data,
						     k.mv_size),
			      k.mv_data, k.mv_size);
		err = pbft_store_get(st, st->txn, st->leaf, lk.b, lk.len, &l);
		if (err) {
			err = pbft_store_damaged(st, "a key is missing in the index");
			break;
		}
		leaf = l.mv_data;
		pbft_value_digest(&vhash, v.mv_data, v.mv_size);
		if (l.mv_size != sizeof(*leaf) ||
		    le32_to_cpu(leaf->vlen) != v.mv_size ||
		    memcmp(leaf->vhash, &vhash, sizeof(vhash)))
			err = pbft_store_damaged(st, "a value does not have its digest");
		(*count)++;
	}
	mdb_cursor_close(cur);
	if (!err && rc != MDB_NOTFOUND)
		err = pbft_store_fail(st, "read the keys", rc);
	return err;
}

static int check_replies(struct pbft_store *st)
{
	const struct pbft_reply_rec *rec;
	struct pbft_digest d;
	MDB_cursor *cur;
	MDB_val k, v;
	int err = 0, rc = mdb_cursor_open(st->txn, st->reply, &cur);

	if (rc)
		return pbft_store_fail(st, "read the replies", rc);
	while (!err && !(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
		rec = v.mv_data;
		if (v.mv_size < sizeof(*rec) ||
		    v.mv_size - sizeof(*rec) > PBFT_OP_MAX) {
			err = pbft_store_damaged(st, "a reply is malformed");
			break;
		}
		pbft_value_digest(&d, rec->data, v.mv_size - sizeof(*rec));
		if (memcmp(&d, rec->digest, sizeof(d)))
			err = pbft_store_damaged(st, "a reply does not have its digest");
	}
	mdb_cursor_close(cur);
	if (!err && rc != MDB_NOTFOUND)
		err = pbft_store_fail(st, "read the replies", rc);
	return err;
}

static int check_pages(struct pbft_store *st)
{
	struct pbft_tree_node node;
	u32 i;
	int err;

	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		err = pbft_page_compute(st, NULL, i, &node);
		if (err)
			return err;
		if (test_bit(i, st->dirty))
			continue;
		if (!pbft_tree_node_eq(&node, &st->tree.page[i]))
			return pbft_store_damaged(st, "a page does not have its digest");
	}
	return 0;
}

/* The pages of a copy that are others than the state's. */
static int check_copy(struct pbft_store *st, const struct pbft_snapshot *s)
{
	struct pbft_tree_node node;
	u32 i;
	int err;

	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		if (!test_bit(i, st->dirty) &&
		    pbft_digest_eq(&s->tree.page[i].digest, &st->tree.page[i].digest))
			continue;
		err = pbft_page_compute(st, &s->view, i, &node);
		if (err)
			return err;
		if (!pbft_digest_eq(&node.digest, &s->tree.page[i].digest))
			return pbft_store_damaged(st, "a copy of an earlier state does not have its digest");
	}
	return 0;
}

static int check_copies(struct pbft_store *st)
{
	u32 i;
	int err = 0;

	if (st->undo.damaged)
		return pbft_store_damaged(st, "the way back to copies of earlier states is broken");
	for (i = 0; !err && i < st->n_snapshots; i++)
		err = check_copy(st, st->snapshots[i]);
	return err;
}

int pbft_store_verify(struct pbft_store *st)
{
	MDB_stat leaves, sessions;
	u64 count = 0;
	bool mine = !st->txn;
	int err = pbft_store_begin(st);

	if (!err)
		err = check_values(st, &count) ?: check_replies(st) ?:
		      check_pages(st) ?: check_copies(st);
	if (!err && (mdb_stat(st->txn, st->leaf, &leaves) ||
		     mdb_stat(st->txn, st->session, &sessions) ||
		     leaves.ms_entries != count + sessions.ms_entries))
		err = pbft_store_damaged(st, "the index has entries without a key or session");
	if (mine)
		pbft_store_abort(st);
	return err;
}

/*
 * Without a flush at every commit LMDB may come out of a crash of the machine
 * with pages of several ages. A crash of the daemon alone is harmless.
 */
static int machine_crashed(struct pbft_store *st, bool *crashed)
{
	const struct pbft_run_rec *run;
	char now[40];
	MDB_val v;
	int err = pbft_store_begin(st);

	if (!err)
		err = pbft_store_get(st, st->txn, st->meta, "run", 3, &v);
	*crashed = true;
	if (!err && v.mv_size == sizeof(*run)) {
		run = v.mv_data;
		pbft_boot_id(now);
		*crashed = !run->clean && run->sync != PBFT_SYNC_ALWAYS &&
			   (!now[0] || memcmp(now, run->boot_id, sizeof(now)));
	}
	pbft_store_abort(st);
	return err == -ENOENT ? 0 : err;
}

static int look(const struct pbft_store_opts *opts, char *err, size_t errlen)
{
	struct pbft_store_opts ro = *opts;
	struct pbft_store *st;
	bool crashed = false;
	int rc;

	ro.read_only = true;
	rc = pbft_store_open(&st, &ro, err, errlen);
	if (rc)
		return rc;
	rc = machine_crashed(st, &crashed);
	if (!rc && (crashed || opts->check))
		rc = pbft_store_verify(st);
	if (rc)
		snprintf(err, errlen, "%s%s", st->err, crashed ?
			 " (the machine stopped while it was in use): move it away and start with an empty one, the other replicas have the state" : "");
	pbft_store_close(st);
	return rc;
}

static void child(const struct pbft_store_opts *opts, int fd)
{
	char err[PBFT_ERR_MAX + 160] = "";
	int rc = look(opts, err, sizeof(err));
	ssize_t n = 0;

	if (rc)
		n = write(fd, err, strlen(err));
	_exit(n < 0 ? 255 : -rc & 0xff);
}

int pbft_store_precheck(const struct pbft_store_opts *opts, char *err,
			size_t errlen)
{
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	if (pipe(fds)) {
		snprintf(err, errlen, "cannot make a pipe: %s", strerror(errno));
		return -errno;
	}
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		n = -errno;
		snprintf(err, errlen, "cannot fork: %s", strerror(errno));
		close(fds[0]);
		close(fds[1]);
		return n;
	}
	if (!pid) {
		close(fds[0]);
		child(opts, fds[1]);
	}
	close(fds[1]);
	n = read(fds[0], err, errlen - 1);
	close(fds[0]);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && !WEXITSTATUS(status))
		return 0;
	if (WIFEXITED(status) && n > 0) {
		err[n] = 0;
		return -WEXITSTATUS(status);
	}
	snprintf(err, errlen,
		 "%s: the database is damaged: reading it failed; move it away and start with an empty one, the other replicas have the state",
		 opts->dir);
	return -EIO;
}
