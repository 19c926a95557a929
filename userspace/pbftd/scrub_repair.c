// SPDX-License-Identifier: GPL-2.0
/*
 * Setting a page right from its certified encoding. The copy in which the damage
 * was found is older than the state at the head, which goes on: what is written
 * must be what the head would have if nothing had rotted. So where the page has not
 * changed since, all of it is made what it was; where it has, an entry is touched
 * only if it stands as it did in the copy, damage and all, for executing would have
 * replaced it.
 */
#include <errno.h>
#include <stdlib.h>
#include "libpbft/kv.h"
#include "scrub.h"

int pbft_scrub_put(struct pbft_store *st, MDB_dbi dbi, const void *key, size_t klen,
		   const void *val, size_t vlen)
{
	MDB_val k = { klen, (void *)key }, v = { vlen, (void *)val };
	int rc = mdb_put(st->txn, dbi, &k, &v, 0);

	return rc ? pbft_store_fail(st, "repair a record", rc) : 0;
}

int pbft_scrub_del(struct pbft_store *st, MDB_dbi dbi, const void *key, size_t klen)
{
	MDB_val k = { klen, (void *)key };
	int rc = mdb_del(st->txn, dbi, &k, NULL);

	return rc && rc != MDB_NOTFOUND ? pbft_store_fail(st, "repair a record", rc) : 0;
}

struct repair {
	struct pbft_store *st;
	const struct pbft_snapshot *s;
	u32 page;
	bool whole;		/* the page has not changed since */
};

static bool val_eq(const MDB_val *v, const void *data, size_t len)
{
	return v->mv_size == len && !memcmp(v->mv_data, data, len);
}

/* One record: as it is in the copy, and at the head. */
struct record {
	bool in_copy, at_head;
	bool right;		/* at the head it is what it should be */
	bool same;		/* ... what it is in the copy */
};

static int look(const struct repair *r, MDB_dbi dbi, const void *key, size_t klen,
		const void *want, size_t wlen, struct record *rec)
{
	MDB_val copy, head;
	int err = pbft_scrub_get(r->st, r->s, dbi, key, klen, &copy);

	rec->in_copy = !err;
	if (err && err != -ENOENT)
		return err;
	err = pbft_store_get(r->st, r->st->txn, dbi, key, klen, &head);
	rec->at_head = !err;
	if (err && err != -ENOENT)
		return err;
	rec->right = rec->at_head && val_eq(&head, want, wlen);
	rec->same = rec->in_copy == rec->at_head &&
		    (!rec->at_head || val_eq(&head, copy.mv_data, copy.mv_size));
	return 0;
}

static int put_wrong(const struct repair *r, const struct record *rec, MDB_dbi dbi,
		     const void *key, size_t klen, const void *want, size_t wlen)
{
	return rec->right ? 0 : pbft_scrub_put(r->st, dbi, key, klen, want, wlen);
}

/* ---- a key and its value -------------------------------------------------------------- */

static int repair_kv(const struct repair *r, const struct pbft_page_entry *e)
{
	struct record value, index;
	struct pbft_digest vhash;
	struct pbft_leaf leaf = { .vlen = cpu_to_le32(e->vlen) };
	struct pbft_leaf_key lk;
	int err;

	pbft_value_digest(&vhash, e->value, e->vlen);
	memcpy(leaf.vhash, vhash.b, sizeof(leaf.vhash));
	pbft_leaf_key(&lk, r->page, e->key, e->klen);
	err = look(r, r->st->kv, e->key, e->klen, e->value, e->vlen, &value) ?:
	      look(r, r->st->leaf, lk.b, lk.len, &leaf, sizeof(leaf), &index);
	if (err)
		return err;
	/* A put writes both, a deletion leaves neither. */
	if (!r->whole && (!value.same || !index.same ||
			  (!value.at_head && !index.at_head)))
		return 0;
	return put_wrong(r, &value, r->st->kv, e->key, e->klen, e->value, e->vlen) ?:
	       put_wrong(r, &index, r->st->leaf, lk.b, lk.len, &leaf, sizeof(leaf));
}

/* ---- a session and its replies ---------------------------------------------------------- */

static int repair_reply(const struct repair *r, u32 client, u64 t, u32 status,
			const void *data, u32 len)
{
	struct pbft_reply_rec *rec = malloc(sizeof(*rec) + len);
	struct pbft_digest digest;
	struct record now;
	u8 key[5];
	int err;

	if (!rec)
		return -ENOMEM;
	pbft_value_digest(&digest, data, len);
	rec->t = cpu_to_le64(t);
	rec->status = cpu_to_le32(status);
	memcpy(rec->digest, digest.b, sizeof(rec->digest));
	memcpy(rec->data, data, len);
	pbft_reply_key(key, client, t);
	err = look(r, r->st->reply, key, sizeof(key), rec, sizeof(*rec) + len, &now);
	if (!err && (r->whole || (now.same && now.at_head)))
		err = put_wrong(r, &now, r->st->reply, key, sizeof(key), rec,
				sizeof(*rec) + len);
	free(rec);
	return err;
}

struct reply_arg {
	const struct repair *r;
	u32 client;
};

static int each_reply(void *arg, u64 t, u32 status, const void *data, u32 len)
{
	const struct reply_arg *a = arg;

	return repair_reply(a->r, a->client, t, status, data, len);
}

/* Is the session at the head still the one that the replies belong to? */
static int same_session(const struct repair *r, const struct pbft_page_entry *e,
			const struct record *rec, bool *same)
{
	struct pbft_session_rec head, want;
	MDB_val v;
	int err;

	*same = r->whole || (rec->same && rec->at_head);
	if (*same || !rec->at_head)
		return 0;
	err = pbft_store_get(r->st, r->st->txn, r->st->session, e->key, 4, &v);
	if (err || v.mv_size != sizeof(head))
		return err;
	memcpy(&head, v.mv_data, sizeof(head));
	memcpy(&want, e->value, sizeof(want));
	*same = head.session == want.session &&
		le64_to_cpu(head.next) >= le64_to_cpu(want.next);
	return 0;
}

static int repair_session(const struct repair *r, const struct pbft_page_entry *e)
{
	struct reply_arg arg = { r, pbft_be32_get(e->key) };
	const size_t len = sizeof(struct pbft_session_rec);
	struct record session, index;
	struct pbft_leaf_key lk;
	bool same;
	int err;

	pbft_leaf_key(&lk, r->page, e->key, 4);
	err = look(r, r->st->session, e->key, 4, e->value, len, &session) ?:
	      look(r, r->st->leaf, lk.b, lk.len, "", 0, &index) ?:
	      same_session(r, e, &session, &same);
	if (err || !same)
		return err;
	if (r->whole || session.same)
		err = put_wrong(r, &session, r->st->session, e->key, 4, e->value, len);
	/* A session never goes: its place in the index is its for ever. */
	return err ?: put_wrong(r, &index, r->st->leaf, lk.b, lk.len, "", 0) ?:
	       pbft_page_each_reply(e, each_reply, &arg);
}

/* ---- what should not be there ------------------------------------------------------------ */

static bool in_page(u32 page, const void *data, u64 len, const u8 *key, u32 klen)
{
	struct pbft_page_entry e, prev = { 0 };
	struct pbft_kv_reader kr;

	pbft_kv_read_init(&kr, data, len);
	while (pbft_page_next(&kr, page, &prev, &e) > 0)
		if (!pbft_key_cmp(e.key, e.klen, key, klen))
			return true;
	return false;
}

/* The leaf after @k in the index of @page; k->len 0: the first. 1, 0 or -errno. */
static int next_leaf(struct pbft_store *st, u32 page, struct pbft_leaf_key *k)
{
	MDB_val key = { k->len, k->b }, val;
	MDB_cursor *cur;
	u8 prefix[2];
	int rc;

	pbft_be16(prefix, page);
	if (!k->len)
		key = (MDB_val){ sizeof(prefix), prefix };
	rc = mdb_cursor_open(st->txn, st->leaf, &cur);
	if (rc)
		return pbft_store_fail(st, "read a page", rc);
	rc = mdb_cursor_get(cur, &key, &val, MDB_SET_RANGE);
	if (!rc && k->len && !pbft_key_cmp(key.mv_data, key.mv_size, k->b, k->len))
		rc = mdb_cursor_get(cur, &key, &val, MDB_NEXT);
	if (!rc && key.mv_size >= 2 && key.mv_size <= sizeof(k->b) &&
	    !memcmp(key.mv_data, prefix, 2) &&
	    pbft_key_cmp(key.mv_data, key.mv_size, k->b, k->len) > 0) {
		memcpy(k->b, key.mv_data, key.mv_size);
		k->len = key.mv_size;
		mdb_cursor_close(cur);
		return 1;
	}
	mdb_cursor_close(cur);
	return !rc || rc == MDB_NOTFOUND ? 0 : pbft_store_fail(st, "read a page", rc);
}

/*
 * Entries of the index that the page does not have. One whose key is of another
 * page never can be right; what it names may well be that page's.
 */
static int drop_extra(const struct repair *r, const void *data, u64 len)
{
	bool session = pbft_tree_page_space(r->page) == PBFT_SPACE_SESSION;
	struct pbft_leaf_key lk;
	int ret;

	lk.len = 0;
	while ((ret = next_leaf(r->st, r->page, &lk)) > 0) {
		const u8 *key = lk.b + 2;
		u32 klen = lk.len - 2;
		bool ours = klen && (!session || klen == 4) &&
			    pbft_tree_page_of(pbft_tree_page_space(r->page), key,
					      klen) == r->page;

		if (in_page(r->page, data, len, key, klen) || (ours && !r->whole))
			continue;
		ret = pbft_scrub_del(r->st, r->st->leaf, lk.b, lk.len);
		if (!ret && ours)
			ret = pbft_scrub_del(r->st, session ? r->st->session :
						     r->st->kv, key, klen);
		if (ret)
			return ret;
	}
	return ret;
}

/* ---- the page ------------------------------------------------------------------------------ */

static int repair_entries(const struct repair *r, const void *data, u64 len)
{
	bool session = pbft_tree_page_space(r->page) == PBFT_SPACE_SESSION;
	struct pbft_page_entry e, prev = { 0 };
	struct pbft_kv_reader kr;
	int ret, err = 0;

	pbft_kv_read_init(&kr, data, len);
	while (!err && (ret = pbft_page_next(&kr, r->page, &prev, &e)) > 0)
		err = session ? repair_session(r, &e) : repair_kv(r, &e);
	return err;
}

static bool unchanged(const struct pbft_store *st, const struct pbft_snapshot *s,
		      u32 page)
{
	return !test_bit(page, st->dirty) &&
	       pbft_tree_node_eq(&st->tree.page[page], &s->tree.page[page]);
}

/* Is the page at the head now what @s says? */
static int verify_head(struct pbft_store *st, const struct pbft_snapshot *s, u32 page)
{
	const struct pbft_tree_node *want = &s->tree.page[page];
	struct pbft_tree_node node;
	u8 *data = NULL;
	u64 len = 0;
	int err = pbft_page_encode(st, NULL, page, &data, &len) ?:
		  pbft_page_verify(page, want, data, len) ?:
		  pbft_page_compute(st, NULL, page, &node);

	free(data);
	if (err == -ENOMEM)
		return err;
	return !err && pbft_tree_node_eq(&node, want);
}

/* The stored node of the page and its siblings, as it is in memory. */
static int write_node(struct pbft_store *st, u32 page)
{
	u8 key[2], node[PBFT_TREE_NODE_MAX] __aligned(8);
	u32 mid = page / PBFT_TREE_FANOUT;
	u32 len = pbft_tree_encode(&st->tree, PBFT_TREE_PAGE_LEVEL - 1, mid, node);

	pbft_be16(key, mid);
	return pbft_scrub_put(st, st->tree_db, key, sizeof(key), node, len);
}

int pbft_scrub_repair(struct pbft_store *st, const struct pbft_snapshot *s, u32 page,
		      const void *data, u64 len)
{
	struct repair r = { st, s, page, unchanged(st, s, page) };
	int ret;

	/* What was executed must not share the fate of a repair that fails. */
	ret = pbft_store_commit(st) ?: pbft_store_begin(st);
	if (ret)
		return ret;
	ret = drop_extra(&r, data, len) ?: repair_entries(&r, data, len) ?:
	      write_node(st, page);
	if (!ret)
		ret = r.whole ? verify_head(st, s, page) : 1;
	if (ret <= 0) {
		pbft_store_abort(st);
		/* -EIO: LMDB cannot find its way among damaged pages, which is no surprise */
		return ret == -EIO ? 0 : ret;
	}
	if (r.whole)
		return pbft_store_commit(st) ?: 1;
	/* The page is computed anew, from digests that are right now: then look again. */
	__set_bit(page, st->dirty);
	return pbft_store_commit(st);
}

int pbft_scrub_repair_node(struct pbft_store *st, u32 page)
{
	return pbft_store_begin(st) ?: write_node(st, page) ?: pbft_store_commit(st);
}
