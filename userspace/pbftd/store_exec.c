// SPDX-License-Identifier: GPL-2.0
/*
 * Executing batches: sessions first, then the operation, then the reply that is
 * kept. A function of the state and the batch alone: every replica must reach
 * the same bytes, on malformed operations too.
 */
#include <errno.h>
#include <stdio.h>
#include "libpbft/kv.h"
#include "store.h"

#define LABEL_VALUE	"pbft state value v1"

void pbft_value_digest(struct pbft_digest *out, const void *data, u32 len)
{
	const struct pbft_iov iov[] = {
		{ LABEL_VALUE, sizeof(LABEL_VALUE) - 1 },
		{ data, len },
	};

	pbft_hash(out, iov, ARRAY_SIZE(iov));
}

void pbft_leaf_key(struct pbft_leaf_key *k, u32 page, const void *key, u32 klen)
{
	pbft_be16(k->b, page);
	memcpy(k->b + 2, key, klen);
	k->len = 2 + klen;
}

/* ---- results ------------------------------------------------------------------ */

void pbft_store_results_free(struct pbft_store_results *res)
{
	free(res->buf);
	free(res->r);
	memset(res, 0, sizeof(*res));
}

/* Room for one more result of any size; its bytes go to buf + len. */
static int results_room(struct pbft_store_results *res)
{
	if (res->cap - res->len < PBFT_OP_MAX) {
		size_t cap = res->cap * 2 + 4 * PBFT_OP_MAX;
		u8 *p = realloc(res->buf, cap);

		if (!p)
			return -ENOMEM;
		res->buf = p;
		res->cap = cap;
	}
	if (res->count == res->room) {
		u32 room = res->room * 2 + 64;
		struct pbft_store_result *r = realloc(res->r, room * sizeof(*r));

		if (!r)
			return -ENOMEM;
		res->r = r;
		res->room = room;
	}
	return 0;
}

static void results_add(struct pbft_store_results *res, u8 status, u32 len)
{
	struct pbft_store_result *r = &res->r[res->count++];

	r->status = status;
	r->len = len;
	r->off = res->len;
	res->len += len;
}

/* ---- operations ------------------------------------------------------------ */

struct exec {
	struct pbft_store *st;
	struct pbft_kv_parsed op;
	struct pbft_kv_writer w;	/* the result */
};

static void put_code(struct exec *x, enum pbft_kv_code code)
{
	/* There is always room: an empty result buffer takes PBFT_OP_MAX. */
	pbft_kv_write_u8(&x->w, code);
}

static int write_value(struct exec *x)
{
	struct pbft_store *st = x->st;
	u32 page = pbft_tree_page_of(PBFT_SPACE_KV, x->op.key, x->op.klen);
	struct pbft_leaf leaf = { .vlen = cpu_to_le32(x->op.vlen) };
	struct pbft_leaf_key lk;
	struct pbft_digest vhash;
	int err;

	pbft_value_digest(&vhash, x->op.value, x->op.vlen);
	memcpy(leaf.vhash, vhash.b, sizeof(leaf.vhash));
	pbft_leaf_key(&lk, page, x->op.key, x->op.klen);
	err = pbft_store_put(st, st->kv, x->op.key, x->op.klen, x->op.value,
			     x->op.vlen);
	if (!err)
		err = pbft_store_put(st, st->leaf, lk.b, lk.len, &leaf,
				     sizeof(leaf));
	__set_bit(page, st->dirty);
	return err;
}

static int exec_put(struct exec *x)
{
	put_code(x, PBFT_KV_OK);
	return write_value(x);
}

static int exec_get(struct exec *x)
{
	MDB_val v;
	int err = pbft_store_get(x->st, x->st->txn, x->st->kv, x->op.key,
				 x->op.klen, &v);

	if (err && err != -ENOENT)
		return err;
	put_code(x, err ? PBFT_KV_NOT_FOUND : PBFT_KV_OK);
	if (!err)
		pbft_kv_write_string(&x->w, v.mv_data, v.mv_size);
	return 0;
}

static int exec_delete(struct exec *x)
{
	struct pbft_store *st = x->st;
	u32 page = pbft_tree_page_of(PBFT_SPACE_KV, x->op.key, x->op.klen);
	struct pbft_leaf_key lk;
	MDB_val v;
	int err = pbft_store_get(st, st->txn, st->kv, x->op.key, x->op.klen, &v);

	if (err && err != -ENOENT)
		return err;
	put_code(x, err ? PBFT_KV_NOT_FOUND : PBFT_KV_OK);
	if (err)
		return 0;
	pbft_leaf_key(&lk, page, x->op.key, x->op.klen);
	__set_bit(page, st->dirty);
	return pbft_store_del(st, st->kv, x->op.key, x->op.klen) ?:
	       pbft_store_del(st, st->leaf, lk.b, lk.len);
}

static int exec_cas(struct exec *x)
{
	MDB_val v;
	int err = pbft_store_get(x->st, x->st->txn, x->st->kv, x->op.key,
				 x->op.klen, &v);
	bool have = !err;

	if (err && err != -ENOENT)
		return err;
	if (have == x->op.have_old &&
	    (!have || (v.mv_size == x->op.olen &&
		       !memcmp(v.mv_data, x->op.old, x->op.olen)))) {
		put_code(x, PBFT_KV_OK);
		return write_value(x);
	}
	put_code(x, PBFT_KV_CONFLICT);
	pbft_kv_write_u8(&x->w, have);
	if (have)
		pbft_kv_write_string(&x->w, v.mv_data, v.mv_size);
	return 0;
}

static bool key_before(const void *a, u32 alen, const void *b, u32 blen)
{
	return pbft_key_cmp(a, alen, b, blen) < 0;
}

static bool has_prefix(const MDB_val *k, const void *prefix, u32 len)
{
	return k->mv_size >= len && !memcmp(k->mv_data, prefix, len);
}

static bool put_pair(struct exec *x, const MDB_val *k, const MDB_val *v)
{
	if (x->w.cap - x->w.len < 8 + k->mv_size + v->mv_size)
		return false;
	pbft_kv_write_string(&x->w, k->mv_data, k->mv_size);
	pbft_kv_write_string(&x->w, v->mv_data, v->mv_size);
	return true;
}

static int exec_list(struct exec *x)
{
	const struct pbft_kv_parsed *op = &x->op;
	bool from = key_before(op->key, op->klen, op->from, op->flen);
	MDB_val k = { from ? op->flen : op->klen,
		      (void *)(from ? op->from : op->key) };
	u32 count = 0;
	MDB_cursor *cur;
	MDB_val v;
	int rc;

	put_code(x, PBFT_KV_OK);
	pbft_kv_write_u8(&x->w, 0);
	rc = mdb_cursor_open(x->st->txn, x->st->kv, &cur);
	if (rc)
		return pbft_store_fail(x->st, "list keys", rc);
	for (rc = mdb_cursor_get(cur, &k, &v, k.mv_size ? MDB_SET_RANGE : MDB_FIRST);
	     !rc && has_prefix(&k, op->key, op->klen);
	     rc = mdb_cursor_get(cur, &k, &v, MDB_NEXT)) {
		if (!key_before(op->from, op->flen, k.mv_data, k.mv_size))
			continue;
		if (count == op->limit || !put_pair(x, &k, &v)) {
			x->w.out[1] = 1;
			break;
		}
		count++;
	}
	mdb_cursor_close(cur);
	return rc && rc != MDB_NOTFOUND ?
		       pbft_store_fail(x->st, "list keys", rc) : 0;
}

static int exec_echo(struct exec *x)
{
	put_code(x, PBFT_KV_OK);
	memset(x->w.out + x->w.len, 0, x->op.limit);
	x->w.len += x->op.limit;
	return 0;
}

static int execute(struct exec *x, const void *op, u32 len, u8 *status)
{
	*status = PBFT_ST_OK;
	if (pbft_kv_parse(&x->op, op, len)) {
		*status = PBFT_ST_APP_ERROR;
		put_code(x, PBFT_KV_INVALID);
		return 0;
	}
	switch (x->op.op) {
	case PBFT_KV_PUT:
		return exec_put(x);
	case PBFT_KV_GET:
		return exec_get(x);
	case PBFT_KV_DELETE:
		return exec_delete(x);
	case PBFT_KV_CAS:
		return exec_cas(x);
	case PBFT_KV_LIST:
		return exec_list(x);
	default:
		return exec_echo(x);
	}
}

/* ---- sessions ------------------------------------------------------------------- */

static int load_session(struct pbft_store *st, u32 client,
			struct pbft_session *s, bool *known)
{
	const struct pbft_session_rec *rec;
	u8 key[4];
	MDB_val v;
	int err;

	pbft_be32(key, client);
	memset(s, 0, sizeof(*s));
	err = pbft_store_get(st, st->txn, st->session, key, sizeof(key), &v);
	*known = !err;
	if (err)
		return err == -ENOENT ? 0 : err;
	rec = v.mv_data;
	if (v.mv_size != sizeof(*rec)) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database is damaged: the session of client %u is malformed",
			 st->opts.dir, client);
		return -EIO;
	}
	s->session = le64_to_cpu(rec->session);
	s->next = le64_to_cpu(rec->next);
	return 0;
}

static int save_session(struct pbft_store *st, u32 client,
			const struct pbft_session *s, bool known)
{
	struct pbft_session_rec rec = {
		.session = cpu_to_le64(s->session),
		.next = cpu_to_le64(s->next),
	};
	struct pbft_leaf_key lk;
	u8 key[4];
	u32 page;
	int err = 0;

	pbft_be32(key, client);
	page = pbft_tree_page_of(PBFT_SPACE_SESSION, key, sizeof(key));
	__set_bit(page, st->dirty);
	if (!known) {
		pbft_leaf_key(&lk, page, key, sizeof(key));
		err = pbft_store_put(st, st->leaf, lk.b, lk.len, "", 0);
	}
	return err ?: pbft_store_put(st, st->session, key, sizeof(key), &rec,
				     sizeof(rec));
}

/* A new session: what the old one would still have been told is forgotten. */
static int drop_replies(struct pbft_store *st, u32 client)
{
	u8 key[5];
	u64 t;
	int err = 0;

	for (t = 0; !err && t < PBFT_CLIENT_WINDOW; t++) {
		pbft_reply_key(key, client, t);
		err = pbft_store_del(st, st->reply, key, sizeof(key));
	}
	return err;
}

static int keep_reply(struct pbft_store *st, u32 client, u64 t, u8 status,
		      const void *data, u32 len)
{
	MDB_val v = { sizeof(struct pbft_reply_rec) + len, NULL };
	struct pbft_reply_rec *rec;
	struct pbft_digest digest;
	u8 key[5];
	int err;

	pbft_reply_key(key, client, t);
	err = pbft_store_reserve(st, st->reply, key, sizeof(key), &v);
	if (err)
		return err;
	rec = v.mv_data;
	rec->t = cpu_to_le64(t);
	rec->status = cpu_to_le32(status);
	pbft_value_digest(&digest, data, len);
	memcpy(rec->digest, digest.b, sizeof(rec->digest));
	memcpy(rec->data, data, len);
	return 0;
}

static int repeat_reply(struct pbft_store *st, u32 client, u64 t,
			struct pbft_store_results *res)
{
	const struct pbft_reply_rec *rec;
	MDB_val v;
	u8 key[5];
	u32 len;
	int err;

	pbft_reply_key(key, client, t);
	err = pbft_store_get(st, st->txn, st->reply, key, sizeof(key), &v);
	if (err && err != -ENOENT)
		return err;
	rec = v.mv_data;
	if (err || v.mv_size < sizeof(*rec) ||
	    v.mv_size - sizeof(*rec) > PBFT_OP_MAX || le64_to_cpu(rec->t) != t) {
		snprintf(st->err, sizeof(st->err),
			 "%s: the database is damaged: reply %llu of client %u is missing",
			 st->opts.dir, (unsigned long long)t, client);
		return -EIO;
	}
	len = v.mv_size - sizeof(*rec);
	memcpy(res->buf + res->len, rec->data, len);
	results_add(res, le32_to_cpu(rec->status), len);
	return 0;
}

static int execute_req(struct pbft_store *st, const struct pbft_store_req *req,
		       struct pbft_store_results *res)
{
	struct exec x = { .st = st, .w = { res->buf + res->len, PBFT_OP_MAX, 0 } };
	struct pbft_session s, old;
	bool known;
	u8 status;
	int err = load_session(st, req->client, &s, &known);

	if (err)
		return err;
	old = s;
	switch (pbft_session_check(&s, req->session, req->t)) {
	case PBFT_SESSION_EXECUTE:
		break;
	case PBFT_SESSION_REPEAT:
		return repeat_reply(st, req->client, req->t, res);
	case PBFT_SESSION_STALE:
		results_add(res, PBFT_ST_STALE, 0);
		return 0;
	case PBFT_SESSION_OUT_OF_ORDER:
		results_add(res, PBFT_ST_OUT_OF_ORDER, 0);
		return 0;
	}
	if (known && s.session != old.session)
		err = drop_replies(st, req->client);
	if (!err)
		err = execute(&x, req->op, req->op_len, &status);
	if (!err)
		err = keep_reply(st, req->client, req->t, status, x.w.out,
				 x.w.len);
	if (err)
		return err;
	results_add(res, status, x.w.len);
	pbft_session_advance(&s);
	return save_session(st, req->client, &s, known);
}

int pbft_store_apply(struct pbft_store *st, const struct pbft_log_head *head,
		     const struct pbft_store_req *reqs, u32 count,
		     struct pbft_store_results *res)
{
	u32 i;
	int err;

	if (head->seq != st->head.seq + 1) {
		snprintf(st->err, sizeof(st->err),
			 "%s: batch %llu does not follow the state at %llu",
			 st->opts.dir, (unsigned long long)head->seq,
			 (unsigned long long)st->head.seq);
		return -EINVAL;
	}
	err = pbft_store_begin(st);
	for (i = 0; !err && i < count; i++) {
		err = results_room(res);
		if (err)
			snprintf(st->err, sizeof(st->err), "out of memory for results");
		else
			err = execute_req(st, &reqs[i], res);
	}
	if (!err)
		st->head = *head;
	return err;
}
