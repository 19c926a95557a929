// SPDX-License-Identifier: GPL-2.0
/*
 * Copies of states that an earlier process made: the state as it is now, seen
 * through the undo log.
 *
 * Of a record that has changed since a copy, the first change after it tells what
 * the copy has. So nothing is written to get a copy back: changes are sorted by
 * record, and looked up before the state is. They stay where LMDB has them: all
 * copies share one read transaction, which also pins the state they are to be
 * applied to, and what the process changes later is none of their business.
 */
#include <errno.h>
#include <stdio.h>
#include "store.h"

struct past_change {
	const struct pbft_undo_rec *rec;
	u32 order;		/* of happening */
};

struct pbft_past {
	MDB_txn *txn;
	u32 users;		/* copies */
	u32 n, cap;
	struct past_change *c;	/* by table, key, order */
};

/* ---- looking up ----------------------------------------------------------------- */

static const u8 *rec_value(const struct pbft_undo_rec *r)
{
	return r->key + le16_to_cpu(r->klen);
}

static int rec_cmp(const struct pbft_undo_rec *r, enum pbft_table table,
		   const void *key, u32 klen)
{
	if (r->table != table)
		return r->table < table ? -1 : 1;
	return pbft_key_cmp(r->key, le16_to_cpu(r->klen), key, klen);
}

static int change_cmp(const void *a, const void *b)
{
	const struct past_change *x = a, *y = b;
	int c = rec_cmp(x->rec, y->rec->table, y->rec->key, le16_to_cpu(y->rec->klen));

	return c ? c : x->order < y->order ? -1 : x->order > y->order;
}

/* The first change of a record, or of one behind it, that is not before @since. */
static u32 lower_bound(const struct pbft_past *p, u32 since, enum pbft_table table,
		       const void *key, u32 klen)
{
	u32 low = 0, high = p->n, mid;
	int c;

	while (low < high) {
		mid = low + (high - low) / 2;
		c = rec_cmp(p->c[mid].rec, table, key, klen);
		if (c < 0 || (!c && p->c[mid].order < since))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int pbft_view_get(struct pbft_store *st, const struct pbft_view *v, MDB_dbi dbi,
		  const void *key, size_t klen, MDB_val *val)
{
	enum pbft_table table;
	u32 i;

	if (v && v->past) {
		table = pbft_store_table(st, dbi, key, klen);
		i = lower_bound(v->past, v->since, table, key, klen);
		if (i < v->past->n && !rec_cmp(v->past->c[i].rec, table, key, klen)) {
			const struct pbft_undo_rec *r = v->past->c[i].rec;

			val->mv_size = le32_to_cpu(r->vlen);
			val->mv_data = (void *)rec_value(r);
			return r->absent ? -ENOENT : 0;
		}
	}
	return pbft_store_get(st, v ? v->txn : st->txn, dbi, key, klen, val);
}

/* ---- along a page ---------------------------------------------------------------- */

int pbft_walk_start(struct pbft_store *st, const struct pbft_view *v, u32 page,
		    struct pbft_leaf_walk *w)
{
	int rc;

	memset(w, 0, sizeof(*w));
	w->page = page;
	pbft_be16(w->prefix, page);
	if (v)
		w->view = *v;
	else
		w->view.txn = st->txn;
	if (w->view.past)
		w->at = lower_bound(w->view.past, 0, PBFT_TABLE_LEAF, w->prefix,
				    sizeof(w->prefix));
	rc = mdb_cursor_open(w->view.txn, st->leaf, &w->cur);
	return rc ? pbft_store_fail(st, "read a page", rc) : 0;
}

void pbft_walk_end(struct pbft_leaf_walk *w)
{
	mdb_cursor_close(w->cur);
}

/* Bring the cursor to a leaf that was not looked at yet, or to the page's end. */
static int fetch(struct pbft_store *st, struct pbft_leaf_walk *w)
{
	const bool first = w->state == PBFT_WALK_FIRST;
	int rc;

	if (w->state != PBFT_WALK_FIRST && w->state != PBFT_WALK_NEXT)
		return 0;
	if (first) {
		w->ckey.mv_size = sizeof(w->prefix);
		w->ckey.mv_data = w->prefix;
	}
	rc = mdb_cursor_get(w->cur, &w->ckey, &w->cval,
			    first ? MDB_SET_RANGE : MDB_NEXT);
	if (rc && rc != MDB_NOTFOUND)
		return pbft_store_fail(st, "read a page", rc);
	w->state = rc || w->ckey.mv_size < sizeof(w->prefix) ||
		   memcmp(w->ckey.mv_data, w->prefix, sizeof(w->prefix)) ?
			   PBFT_WALK_END : PBFT_WALK_AT;
	return 0;
}

/* The next leaf of the page that has changed since the copy; NULL: no more. */
static const struct pbft_undo_rec *past_leaf(struct pbft_leaf_walk *w)
{
	const struct pbft_past *p = w->view.past;

	for (; p && w->at < p->n; w->at++) {
		const struct pbft_undo_rec *r = p->c[w->at].rec;

		if (r->table != PBFT_TABLE_LEAF ||
		    le16_to_cpu(r->klen) < sizeof(w->prefix) ||
		    memcmp(r->key, w->prefix, sizeof(w->prefix)))
			break;
		if (p->c[w->at].order >= w->view.since)
			return r;
	}
	return NULL;
}

/* Later changes of the same leaf do not count. */
static void past_leaf_done(struct pbft_leaf_walk *w, const struct pbft_undo_rec *r)
{
	const struct pbft_past *p = w->view.past;

	while (w->at < p->n &&
	       !rec_cmp(p->c[w->at].rec, r->table, r->key, le16_to_cpu(r->klen)))
		w->at++;
}

static int next_leaf(struct pbft_store *st, struct pbft_leaf_walk *w)
{
	const struct pbft_undo_rec *r;
	int err, c;

	for (;;) {
		err = fetch(st, w);
		if (err)
			return err;
		r = past_leaf(w);
		if (!r && w->state == PBFT_WALK_END)
			return 0;
		c = !r ? 1 : w->state == PBFT_WALK_END ? -1 :
		    rec_cmp(r, PBFT_TABLE_LEAF, w->ckey.mv_data, w->ckey.mv_size);
		if (c >= 0)
			w->state = PBFT_WALK_NEXT;
		if (c > 0) {
			w->key = w->ckey;
			w->val = w->cval;
			return 1;
		}
		past_leaf_done(w, r);
		if (r->absent)
			continue;
		w->key.mv_size = le16_to_cpu(r->klen);
		w->key.mv_data = (void *)r->key;
		w->val.mv_size = le32_to_cpu(r->vlen);
		w->val.mv_data = (void *)rec_value(r);
		return 1;
	}
}

int pbft_walk_next(struct pbft_store *st, struct pbft_leaf_walk *w)
{
	bool session = pbft_tree_page_space(w->page) == PBFT_SPACE_SESSION;
	int ret = next_leaf(st, w);

	if (ret <= 0)
		return ret;
	if (w->key.mv_size > PBFT_LEAF_KEY_MAX ||
	    (session ? w->key.mv_size != 2 + 4 :
		       w->key.mv_size < 3 ||
		       w->val.mv_size != sizeof(struct pbft_leaf)))
		return pbft_store_damaged(st, "a page's index is malformed");
	return 1;
}

/* ---- from the log ----------------------------------------------------------------- */

struct restore {
	struct pbft_store *st;
	struct pbft_past *past;
	u32 n;			/* copies, ascending */
	struct found {
		u64 seq;
		u32 since;
		struct pbft_digest root;
	} found[PBFT_SNAPSHOTS_MAX];
	u32 part;		/* the last one's, of the last copy */
	u64 head;		/* the state that the log leads back from */
};

static int past_add(struct restore *re, const struct pbft_undo_rec *rec)
{
	struct pbft_past *p = re->past;

	if (p->n == p->cap) {
		u32 cap = p->cap * 2 + 1024;
		void *c = p->cap < U32_MAX / 4 ? realloc(p->c, cap * sizeof(*p->c)) : NULL;

		if (!c) {
			snprintf(re->st->err, sizeof(re->st->err),
				 "out of memory for the undo log");
			return -ENOMEM;
		}
		p->c = c;
		p->cap = cap;
	}
	p->c[p->n].rec = rec;
	p->c[p->n].order = p->n;
	p->n++;
	return 0;
}

static int add_chunk(struct restore *re, const MDB_val *v)
{
	const struct pbft_undo_chunk *chunk = v->mv_data;
	const struct pbft_undo_rec *r;
	size_t at = sizeof(*chunk), len;
	int err;

	if (v->mv_size <= at)
		return -EBADMSG;
	for (; at < v->mv_size; at += len) {
		r = (const void *)((const u8 *)v->mv_data + at);
		if (v->mv_size - at < sizeof(*r))
			return -EBADMSG;
		len = sizeof(*r) + le16_to_cpu(r->klen) + (size_t)le32_to_cpu(r->vlen);
		if (v->mv_size - at < len || !r->table || r->table >= PBFT_TABLES ||
		    r->absent > 1 || (r->absent && r->vlen))
			return -EBADMSG;
		err = past_add(re, r);
		if (err)
			return err;
	}
	re->head = le64_to_cpu(chunk->head);
	re->part++;
	return 0;
}

static int add_copy(struct restore *re, u64 seq, const MDB_val *v)
{
	struct found *f;

	if (v->mv_size != PBFT_DIGEST_LEN)
		return -EBADMSG;
	if (re->n == PBFT_SNAPSHOTS_MAX)
		memmove(re->found, re->found + 1, --re->n * sizeof(re->found[0]));
	f = &re->found[re->n++];
	f->seq = seq;
	f->since = re->past->n;
	memcpy(f->root.b, v->mv_data, PBFT_DIGEST_LEN);
	re->part = 0;
	re->head = seq;
	return 0;
}

static u64 be64_get(const u8 *p)
{
	return (u64)pbft_be32_get(p) << 32 | pbft_be32_get(p + 4);
}

static int add_record(struct restore *re, const MDB_val *k, const MDB_val *v)
{
	const u8 *key = k->mv_data;
	u32 part;

	if (k->mv_size != PBFT_UNDO_KEY)
		return -EBADMSG;
	part = pbft_be32_get(key + 8);
	if (!part)
		return add_copy(re, be64_get(key), v);
	if (!re->n || re->found[re->n - 1].seq != be64_get(key) ||
	    part != re->part + 1)
		return -EBADMSG;
	return add_chunk(re, v);
}

static void tell_lost(struct pbft_store *st, const char *why, bool damaged)
{
	snprintf(st->lost, sizeof(st->lost), "%s: copies of earlier states are lost: %s",
		 st->opts.dir, why);
	st->undo.damaged = damaged;
}

/* No way leads back beyond what is damaged: only copies after it are left. */
static void begin_anew(struct restore *re)
{
	tell_lost(re->st, "the undo log is damaged", true);
	re->n = 0;
	re->past->n = 0;
}

static int read_log(struct restore *re)
{
	struct pbft_store *st = re->st;
	MDB_cursor *cur;
	MDB_val k, v;
	int err = 0, rc = mdb_cursor_open(re->past->txn, st->undo.dbi, &cur);

	if (rc)
		return pbft_store_fail(st, "read the undo log", rc);
	while (!err && !(rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT))) {
		err = add_record(re, &k, &v);
		if (err == -EBADMSG) {
			begin_anew(re);
			err = 0;
		}
	}
	mdb_cursor_close(cur);
	if (!err && rc != MDB_NOTFOUND)
		err = pbft_store_fail(st, "read the undo log", rc);
	return err;
}

void pbft_view_close(struct pbft_view *v)
{
	struct pbft_past *p = v->past;

	if (p && --p->users)
		return;
	mdb_txn_abort(v->txn);
	if (p)
		free(p->c);
	free(p);
}

/* 0: it is what its checkpoint was; -EBADMSG: it is not. */
static int check_copy(struct pbft_store *st, struct pbft_snapshot *s,
		      const struct found *f)
{
	struct pbft_log_head head;
	int err = pbft_store_load_head(st, &s->view, &head, NULL) ?:
		  pbft_store_load_tree(st, &s->view, &s->tree);

	if (err == -EINVAL)
		return -EBADMSG;
	if (err)
		return err;
	return head.seq == f->seq &&
	       pbft_digest_eq(&s->tree.root.digest, &f->root) ? 0 : -EBADMSG;
}

static int take_copy(struct restore *re, const struct found *f)
{
	struct pbft_store *st = re->st;
	struct pbft_snapshot *s = calloc(1, sizeof(*s));
	int err;

	if (!s) {
		snprintf(st->err, sizeof(st->err), "out of memory for a snapshot");
		return -ENOMEM;
	}
	s->seq = f->seq;
	s->view.txn = re->past->txn;
	s->view.past = re->past;
	s->view.since = f->since;
	err = check_copy(st, s, f);
	if (err) {
		free(s);
		return err;
	}
	re->past->users++;
	memmove(st->snapshots + 1, st->snapshots,
		st->n_snapshots++ * sizeof(st->snapshots[0]));
	st->snapshots[0] = s;
	return 0;
}

/* From the newest on: each is a longer way back. */
static int take_copies(struct restore *re)
{
	struct pbft_store *st = re->st;
	u32 i;
	int err = 0;

	if (!re->n)
		return 0;
	if (re->head != st->head.seq) {
		tell_lost(st, "an earlier version of pbftd has changed the state since",
			  false);
		return 0;
	}
	if (re->past->n)
		qsort(re->past->c, re->past->n, sizeof(re->past->c[0]), change_cmp);
	for (i = re->n; !err && i--; )
		err = take_copy(re, &re->found[i]);
	if (err == -EBADMSG) {
		st->err[0] = 0;
		tell_lost(st, "the undo log does not lead there", true);
		err = 0;
	}
	if (!st->n_snapshots)
		return err;
	st->undo.pos.on = true;
	st->undo.pos.seq = st->snapshots[st->n_snapshots - 1]->seq;
	st->undo.pos.part = re->part + 1;
	st->undo.committed = st->undo.pos;
	return err;
}

int pbft_past_restore(struct pbft_store *st)
{
	struct pbft_past *past;
	struct pbft_view v = { 0 };
	struct restore re = { .st = st };
	int err, rc;

	if (!st->undo.dbi)
		return 0;	/* an earlier version's, and only read */
	past = calloc(1, sizeof(*past));
	if (!past) {
		snprintf(st->err, sizeof(st->err), "out of memory for the undo log");
		return -ENOMEM;
	}
	rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &past->txn);
	if (rc) {
		free(past);
		return pbft_store_fail(st, "begin a transaction", rc);
	}
	past->users = 1;	/* we */
	v.txn = past->txn;
	v.past = past;
	re.past = past;
	err = read_log(&re) ?: take_copies(&re);
	pbft_view_close(&v);
	return err;
}
