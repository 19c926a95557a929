// SPDX-License-Identifier: GPL-2.0
/*
 * Pages: the entries of the database that hash to one place, as bytes for a
 * peer, as a digest, and from a peer's bytes back into the database.
 *
 * An encoded page is a row of entries by ascending key, each le32 length and
 * bytes of key and value. A session's value is le64 session, le64 next, then
 * every stored reply by ascending t: le64 t, le32 status, le32 length, bytes.
 */
#include <errno.h>
#include <stdio.h>
#include "libpbft/kv.h"
#include "store.h"

#define LABEL_SESSION	"pbft state session v1"

struct reply_head {
	__le64 t;
	__le32 status;
	__le32 len;
} __packed;

/* What a session's digest covers of one reply. */
struct reply_sum {
	struct reply_head head;
	u8 digest[PBFT_DIGEST_LEN];
} __packed;

struct session_sum {
	struct pbft_session_rec rec;
	struct reply_sum replies[PBFT_CLIENT_WINDOW];
	u32 count;
	u64 vlen;		/* bytes of the session's value */
};

static void session_sum_start(struct session_sum *s,
			      const struct pbft_session_rec *rec)
{
	s->rec = *rec;
	s->count = 0;
	s->vlen = sizeof(*rec);
}

static void session_sum_add(struct session_sum *s, const struct reply_head *head,
			    const u8 digest[PBFT_DIGEST_LEN])
{
	struct reply_sum *r = &s->replies[s->count++];

	r->head = *head;
	memcpy(r->digest, digest, sizeof(r->digest));
	s->vlen += sizeof(*head) + le32_to_cpu(head->len);
}

static void session_sum_done(const struct session_sum *s, struct pbft_digest *out)
{
	const struct pbft_iov iov[] = {
		{ LABEL_SESSION, sizeof(LABEL_SESSION) - 1 },
		{ &s->rec, sizeof(s->rec) },
		{ s->replies, s->count * sizeof(s->replies[0]) },
	};

	pbft_hash(out, iov, ARRAY_SIZE(iov));
}

/* ---- from the database ---------------------------------------------------------- */

static int load_reply(struct pbft_store *st, const struct pbft_view *v, u32 client,
		      u64 t, const struct pbft_reply_rec **rec, struct reply_head *head)
{
	MDB_val val;
	u8 key[5];
	int err;

	pbft_reply_key(key, client, t);
	err = pbft_view_get(st, v, st->reply, key, sizeof(key), &val);
	if (err && err != -ENOENT)
		return err;
	*rec = val.mv_data;
	if (err || val.mv_size < sizeof(**rec) ||
	    val.mv_size - sizeof(**rec) > PBFT_OP_MAX ||
	    le64_to_cpu((*rec)->t) != t)
		return pbft_store_damaged(st, "a stored reply is missing");
	head->t = (*rec)->t;
	head->status = (*rec)->status;
	head->len = cpu_to_le32(val.mv_size - sizeof(**rec));
	return 0;
}

static int load_session(struct pbft_store *st, const struct pbft_view *v, const u8 *key,
			struct pbft_session_rec *rec)
{
	MDB_val val;
	int err = pbft_view_get(st, v, st->session, key, 4, &val);

	if (err && err != -ENOENT)
		return err;
	if (err || val.mv_size != sizeof(*rec))
		return pbft_store_damaged(st, "a client session is missing");
	memcpy(rec, val.mv_data, sizeof(*rec));
	if (!rec->session || !rec->next)
		return pbft_store_damaged(st, "a client session is malformed");
	return 0;
}

static int sum_session(struct pbft_store *st, const struct pbft_view *v, const u8 *key,
		       struct session_sum *s)
{
	const struct pbft_reply_rec *reply;
	struct pbft_session_rec rec;
	struct reply_head head;
	u64 t;
	int err = load_session(st, v, key, &rec);

	if (err)
		return err;
	session_sum_start(s, &rec);
	for (t = pbft_session_low(le64_to_cpu(rec.next));
	     t < le64_to_cpu(rec.next); t++) {
		err = load_reply(st, v, pbft_be32_get(key), t, &reply, &head);
		if (err)
			return err;
		session_sum_add(s, &head, reply->digest);
	}
	return 0;
}

static int sum_entry(struct pbft_store *st, const struct pbft_view *v,
		     const struct pbft_leaf_walk *w, struct pbft_page_sum *sum)
{
	const u8 *key = (const u8 *)w->key.mv_data + 2;
	const struct pbft_leaf *leaf = w->val.mv_data;
	struct pbft_digest vhash;
	struct session_sum s;
	int err;

	if (pbft_tree_page_space(w->page) == PBFT_SPACE_KV) {
		memcpy(vhash.b, leaf->vhash, sizeof(vhash.b));
		pbft_page_sum_add(sum, key, w->key.mv_size - 2,
				  le32_to_cpu(leaf->vlen), &vhash);
		return 0;
	}
	err = sum_session(st, v, key, &s);
	if (err)
		return err;
	session_sum_done(&s, &vhash);
	pbft_page_sum_add(sum, key, 4, s.vlen, &vhash);
	return 0;
}

int pbft_page_compute(struct pbft_store *st, const struct pbft_view *v, u32 page,
		      struct pbft_tree_node *out)
{
	struct pbft_leaf_walk w;
	int ret = pbft_walk_start(st, v, page, &w);

	if (ret)
		return ret;
	pbft_page_sum_start(&st->sum, page);
	while ((ret = pbft_walk_next(st, &w)) > 0) {
		ret = sum_entry(st, v, &w, &st->sum);
		if (ret)
			break;
	}
	pbft_walk_end(&w);
	if (ret)
		return ret;
	ret = pbft_page_sum_done(&st->sum, out);
	if (ret)
		snprintf(st->err, sizeof(st->err), "out of memory for a page");
	return ret;
}

/* ---- encoding --------------------------------------------------------------- */

struct out {
	u8 *buf;
	u64 len, cap;
};

static int out_add(struct out *o, const void *data, u64 len)
{
	if (o->len + len > o->cap) {
		u64 cap = max(o->cap * 2, o->len + len + 4096);
		u8 *p = realloc(o->buf, cap);

		if (!p)
			return -ENOMEM;
		o->buf = p;
		o->cap = cap;
	}
	if (len)
		memcpy(o->buf + o->len, data, len);
	o->len += len;
	return 0;
}

static int out_le32(struct out *o, u32 v)
{
	__le32 le = cpu_to_le32(v);

	return out_add(o, &le, sizeof(le));
}

static int encode_kv(struct pbft_store *st, const struct pbft_view *v, const u8 *key,
		     u32 klen, struct out *o)
{
	MDB_val val;
	int err = pbft_view_get(st, v, st->kv, key, klen, &val);

	if (err == -ENOENT)
		return pbft_store_damaged(st, "a key in the index has no value");
	if (!err && val.mv_size > PBFT_KV_VALUE_MAX)
		return pbft_store_damaged(st, "a value is too long");
	return err ?: out_le32(o, val.mv_size) ?: out_add(o, val.mv_data, val.mv_size);
}

static int encode_session(struct pbft_store *st, const struct pbft_view *v,
			  const u8 *key, struct out *o)
{
	const struct pbft_reply_rec *reply;
	struct reply_head head;
	struct session_sum s;
	u32 i;
	int err = sum_session(st, v, key, &s);

	if (!err)
		err = out_le32(o, s.vlen) ?: out_add(o, &s.rec, sizeof(s.rec));
	for (i = 0; !err && i < s.count; i++) {
		err = load_reply(st, v, pbft_be32_get(key),
				 le64_to_cpu(s.replies[i].head.t), &reply, &head);
		if (!err)
			err = out_add(o, &head, sizeof(head)) ?:
			      out_add(o, reply->data, le32_to_cpu(head.len));
	}
	return err;
}

int pbft_page_encode(struct pbft_store *st, const struct pbft_view *v, u32 page,
		     u8 **out, u64 *len)
{
	struct out o = { 0 };
	struct pbft_leaf_walk w;
	int ret = pbft_walk_start(st, v, page, &w);

	if (ret)
		return ret;
	while ((ret = pbft_walk_next(st, &w)) > 0) {
		const u8 *key = (const u8 *)w.key.mv_data + 2;
		u32 klen = w.key.mv_size - 2;

		ret = out_le32(&o, klen) ?: out_add(&o, key, klen);
		if (!ret)
			ret = pbft_tree_page_space(page) == PBFT_SPACE_KV ?
				      encode_kv(st, v, key, klen, &o) :
				      encode_session(st, v, key, &o);
		if (ret)
			break;
	}
	pbft_walk_end(&w);
	if (ret) {
		free(o.buf);
		return ret;
	}
	*out = o.buf;
	*len = o.len;
	return 0;
}

/* ---- decoding --------------------------------------------------------------------- */

int pbft_page_next(struct pbft_kv_reader *r, u32 page,
		   struct pbft_page_entry *prev, struct pbft_page_entry *e)
{
	bool session = pbft_tree_page_space(page) == PBFT_SPACE_SESSION;

	if (pbft_kv_read_end(r))
		return 0;
	if (pbft_kv_read_string(r, &e->key, &e->klen) ||
	    pbft_kv_read_string(r, &e->value, &e->vlen))
		return -EBADMSG;
	if (session ? e->klen != 4 :
		      !e->klen || e->klen > PBFT_KV_KEY_MAX ||
		      e->vlen > PBFT_KV_VALUE_MAX)
		return -EBADMSG;
	if (pbft_tree_page_of(pbft_tree_page_space(page), e->key, e->klen) != page)
		return -EBADMSG;
	if (prev->key &&
	    pbft_key_cmp(prev->key, prev->klen, e->key, e->klen) >= 0)
		return -EBADMSG;
	*prev = *e;
	return 1;
}

/* The replies of a session, one by one: 1, 0 at the end, -EBADMSG. */
static int next_reply(struct pbft_kv_reader *r, u64 t, struct reply_head *head,
		      const u8 **data)
{
	if (pbft_kv_read_end(r))
		return 0;
	if ((size_t)(r->end - r->p) < sizeof(*head))
		return -EBADMSG;
	memcpy(head, r->p, sizeof(*head));
	r->p += sizeof(*head);
	if (le64_to_cpu(head->t) != t || le32_to_cpu(head->len) > PBFT_OP_MAX ||
	    le32_to_cpu(head->status) > 255 ||
	    (size_t)(r->end - r->p) < le32_to_cpu(head->len))
		return -EBADMSG;
	*data = r->p;
	r->p += le32_to_cpu(head->len);
	return 1;
}

typedef int (*reply_fn)(void *arg, const struct reply_head *head, const u8 *data);

/* Walk a session's value; every reply it must have is there, and no other. */
static int walk_session(const struct pbft_page_entry *e, struct pbft_session_rec *rec,
			reply_fn fn, void *arg)
{
	struct pbft_kv_reader r;
	struct reply_head head;
	const u8 *data;
	u64 t, next;
	int ret;

	if (e->vlen < sizeof(*rec))
		return -EBADMSG;
	memcpy(rec, e->value, sizeof(*rec));
	next = le64_to_cpu(rec->next);
	if (!rec->session || !next)
		return -EBADMSG;
	pbft_kv_read_init(&r, e->value + sizeof(*rec), e->vlen - sizeof(*rec));
	for (t = pbft_session_low(next); t < next; t++) {
		ret = next_reply(&r, t, &head, &data);
		if (ret <= 0)
			return -EBADMSG;
		ret = fn(arg, &head, data);
		if (ret)
			return ret;
	}
	return pbft_kv_read_end(&r) ? 0 : -EBADMSG;
}

static int sum_reply(void *arg, const struct reply_head *head, const u8 *data)
{
	struct pbft_digest d;

	pbft_value_digest(&d, data, le32_to_cpu(head->len));
	session_sum_add(arg, head, d.b);
	return 0;
}

int pbft_page_entry_digest(u32 page, const struct pbft_page_entry *e,
			   struct pbft_digest *vhash)
{
	struct pbft_session_rec rec;
	struct session_sum s;
	int err;

	if (pbft_tree_page_space(page) == PBFT_SPACE_KV) {
		pbft_value_digest(vhash, e->value, e->vlen);
	} else {
		memset(&rec, 0, sizeof(rec));
		session_sum_start(&s, &rec);
		err = walk_session(e, &s.rec, sum_reply, &s);
		if (err)
			return err;
		session_sum_done(&s, vhash);
	}
	return 0;
}

int pbft_page_verify(u32 page, const struct pbft_tree_node *want,
		     const void *data, u64 len)
{
	struct pbft_page_sum sum = { 0 };
	struct pbft_tree_node got;
	struct pbft_page_entry e, prev = { 0 };
	struct pbft_kv_reader r;
	struct pbft_digest vhash;
	int ret;

	if (len != want->size || len > U32_MAX)
		return -EBADMSG;
	pbft_kv_read_init(&r, data, len);
	pbft_page_sum_start(&sum, page);
	while ((ret = pbft_page_next(&r, page, &prev, &e)) > 0) {
		ret = pbft_page_entry_digest(page, &e, &vhash);
		if (ret)
			break;
		pbft_page_sum_add(&sum, e.key, e.klen, e.vlen, &vhash);
	}
	if (!ret)
		ret = pbft_page_sum_done(&sum, &got);
	pbft_page_sum_free(&sum);
	if (!ret && (got.index != want->index ||
		     !pbft_digest_eq(&got.digest, &want->digest)))
		ret = -EBADMSG;
	return ret;
}

/* ---- installing ----------------------------------------------------------------- */

static int remove_entry(struct pbft_store *st, u32 page, const u8 *key, u32 klen)
{
	u8 rk[5];
	u64 t;
	int err;

	if (pbft_tree_page_space(page) == PBFT_SPACE_KV)
		return pbft_store_del(st, st->kv, key, klen);
	err = pbft_store_del(st, st->session, key, klen);
	for (t = 0; !err && t < PBFT_CLIENT_WINDOW; t++) {
		pbft_reply_key(rk, pbft_be32_get(key), t);
		err = pbft_store_del(st, st->reply, rk, sizeof(rk));
	}
	return err;
}

static int clear_page(struct pbft_store *st, u32 page)
{
	struct pbft_leaf_key lk;
	struct pbft_leaf_walk w;
	int ret;

	for (;;) {
		ret = pbft_walk_start(st, NULL, page, &w);
		if (ret)
			return ret;
		ret = pbft_walk_next(st, &w);
		if (ret > 0) {
			lk.len = w.key.mv_size;
			memcpy(lk.b, w.key.mv_data, lk.len);
		}
		pbft_walk_end(&w);
		if (ret <= 0)
			return ret;
		ret = remove_entry(st, page, lk.b + 2, lk.len - 2) ?:
		      pbft_store_del(st, st->leaf, lk.b, lk.len);
		if (ret)
			return ret;
	}
}

struct install {
	struct pbft_store *st;
	u32 client;
};

static int install_reply(void *arg, const struct reply_head *head, const u8 *data)
{
	struct install *in = arg;
	u32 len = le32_to_cpu(head->len);
	MDB_val v = { sizeof(struct pbft_reply_rec) + len, NULL };
	struct pbft_reply_rec *rec;
	struct pbft_digest digest;
	u8 key[5];
	int err;

	pbft_reply_key(key, in->client, le64_to_cpu(head->t));
	err = pbft_store_reserve(in->st, in->st->reply, key, sizeof(key), &v);
	if (err)
		return err;
	rec = v.mv_data;
	rec->t = head->t;
	rec->status = head->status;
	pbft_value_digest(&digest, data, len);
	memcpy(rec->digest, digest.b, sizeof(rec->digest));
	memcpy(rec->data, data, len);
	return 0;
}

static int install_entry(struct pbft_store *st, u32 page, const struct pbft_page_entry *e)
{
	struct install in = { .st = st };
	struct pbft_session_rec rec;
	struct pbft_leaf_key lk;
	struct pbft_digest vhash;
	struct pbft_leaf leaf;
	int err;

	pbft_leaf_key(&lk, page, e->key, e->klen);
	if (pbft_tree_page_space(page) == PBFT_SPACE_KV) {
		pbft_value_digest(&vhash, e->value, e->vlen);
		memcpy(leaf.vhash, vhash.b, sizeof(leaf.vhash));
		leaf.vlen = cpu_to_le32(e->vlen);
		return pbft_store_put(st, st->kv, e->key, e->klen, e->value,
				      e->vlen) ?:
		       pbft_store_put(st, st->leaf, lk.b, lk.len, &leaf,
				      sizeof(leaf));
	}
	in.client = pbft_be32_get(e->key);
	err = walk_session(e, &rec, install_reply, &in);
	return err ?: pbft_store_put(st, st->session, e->key, 4, &rec,
				     sizeof(rec)) ?:
	       pbft_store_put(st, st->leaf, lk.b, lk.len, "", 0);
}

int pbft_page_install(struct pbft_store *st, u32 page, const void *data, u64 len)
{
	struct pbft_page_entry e, prev = { 0 };
	struct pbft_kv_reader r;
	int ret = clear_page(st, page);

	if (ret)
		return ret;
	pbft_kv_read_init(&r, data, len);
	while ((ret = pbft_page_next(&r, page, &prev, &e)) > 0) {
		ret = install_entry(st, page, &e);
		if (ret)
			break;
	}
	if (ret == -EBADMSG)
		return pbft_store_damaged(st, "a staged page is malformed");
	return ret;
}

/* ---- for repairs -------------------------------------------------------------------- */

struct each {
	int (*fn)(void *arg, u64 t, u32 status, const void *data, u32 len);
	void *arg;
};

static int each_reply(void *arg, const struct reply_head *head, const u8 *data)
{
	const struct each *e = arg;

	return e->fn(e->arg, le64_to_cpu(head->t), le32_to_cpu(head->status), data,
		     le32_to_cpu(head->len));
}

int pbft_page_each_reply(const struct pbft_page_entry *e,
			 int (*fn)(void *arg, u64 t, u32 status, const void *data,
				   u32 len), void *arg)
{
	struct each each = { fn, arg };
	struct pbft_session_rec rec;

	return walk_session(e, &rec, each_reply, &each);
}
