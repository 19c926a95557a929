// SPDX-License-Identifier: GPL-2.0
/*
 * Pages of which most is here already. A page's index names its entries by key
 * and digest; with it, values that have not changed are taken from the local
 * state, or from what was staged for an earlier target, and only the others need
 * to come from a peer. Without this a replica could never catch up with a state
 * of which a little of every page changes all the time.
 */
#include <errno.h>
#include <stdio.h>
#include "libpbft/kv.h"
#include "store.h"

int pbft_page_index(struct pbft_store *st, const struct pbft_view *v, u32 page,
		    u8 **out, u64 *len)
{
	struct pbft_tree_node node;
	const u8 *index;
	int err = pbft_page_compute(st, v, page, &node);

	if (err)
		return err;
	index = pbft_page_sum_index(&st->sum, len);
	*out = malloc(*len + 1);
	if (!*out) {
		snprintf(st->err, sizeof(st->err), "out of memory for a page");
		return -ENOMEM;
	}
	memcpy(*out, index, *len);
	return 0;
}

/* One entry of an index. */
struct index_entry {
	const u8 *key;
	u32 klen, vlen;
	struct pbft_digest vhash;
};

static int next_index(struct pbft_kv_reader *r, struct index_entry *e)
{
	if (pbft_kv_read_end(r))
		return 0;
	if (pbft_kv_read_u32(r, &e->klen) || pbft_kv_read_u32(r, &e->vlen) ||
	    (u64)(r->end - r->p) < (u64)e->klen + PBFT_DIGEST_LEN)
		return -EBADMSG;
	e->key = r->p;
	memcpy(e->vhash.b, r->p + e->klen, PBFT_DIGEST_LEN);
	r->p += e->klen + PBFT_DIGEST_LEN;
	return 1;
}

/* An encoded page to take values from, walked by ascending key. */
struct base {
	u8 *buf;
	struct pbft_kv_reader r;
	struct pbft_page_entry prev, at;
	bool have;		/* @at is an entry */
};

static void base_next(struct base *b, u32 page)
{
	b->have = pbft_page_next(&b->r, page, &b->prev, &b->at) > 0;
}

static void base_start(struct base *b, u32 page, u8 *buf, u64 len)
{
	memset(b, 0, sizeof(*b));
	b->buf = buf;
	pbft_kv_read_init(&b->r, buf, len);
	base_next(b, page);
}

static int open_bases(struct pbft_store *st, u32 page, struct base b[2])
{
	u8 key[2], *buf = NULL;
	u64 len = 0;
	MDB_val v;
	int err = pbft_store_begin(st);

	if (!err)
		err = pbft_page_encode(st, NULL, page, &buf, &len);
	if (err)
		return err;
	base_start(&b[0], page, buf, len);
	if (!st->staged[page])
		return 0;
	pbft_be16(key, page);
	err = pbft_store_get(st, st->txn, st->stage, key, sizeof(key), &v);
	if (err)
		return err == -ENOENT ? 0 : err;
	if (v.mv_size < sizeof(struct pbft_tree_child))
		return 0;
	len = v.mv_size - sizeof(struct pbft_tree_child);
	buf = malloc(len + 1);
	if (!buf)
		return 0;	/* the other base will do */
	memcpy(buf, (u8 *)v.mv_data + sizeof(struct pbft_tree_child), len);
	base_start(&b[1], page, buf, len);
	return 0;
}

/* The value that @e wants, if @b has it. */
static const u8 *find(struct base *b, u32 page, const struct index_entry *e)
{
	struct pbft_digest vhash;

	while (b->have &&
	       pbft_key_cmp(b->at.key, b->at.klen, e->key, e->klen) < 0)
		base_next(b, page);
	if (!b->have || b->at.vlen != e->vlen ||
	    pbft_key_cmp(b->at.key, b->at.klen, e->key, e->klen) ||
	    pbft_page_entry_digest(page, &b->at, &vhash) ||
	    !pbft_digest_eq(&vhash, &e->vhash))
		return NULL;
	return b->at.value;
}

static void put_le32(u8 *p, u32 v)
{
	const __le32 le = cpu_to_le32(v);

	memcpy(p, &le, sizeof(le));
}

static int fill(u32 page, const struct pbft_tree_node *want, const void *index,
		u8 *buf, struct base b[2],
		void (*missing)(void *arg, u64 off, u64 len), void *arg)
{
	struct pbft_kv_reader r;
	struct index_entry e;
	const u8 *value;
	u64 off = 0;
	int ret;

	pbft_kv_read_init(&r, index, want->index);
	while ((ret = next_index(&r, &e)) > 0) {
		if (want->size - off < 8 + (u64)e.klen + e.vlen)
			return -EBADMSG;
		put_le32(buf + off, e.klen);
		memcpy(buf + off + 4, e.key, e.klen);
		put_le32(buf + off + 4 + e.klen, e.vlen);
		off += 8 + e.klen;
		value = find(&b[0], page, &e);
		if (!value && b[1].buf)
			value = find(&b[1], page, &e);
		if (value)
			memcpy(buf + off, value, e.vlen);
		else if (e.vlen)
			missing(arg, off, e.vlen);
		off += e.vlen;
	}
	return ret || off == want->size ? ret : -EBADMSG;
}

int pbft_page_prefill(struct pbft_store *st, u32 page,
		      const struct pbft_tree_node *want, const void *index,
		      u8 *buf, void (*missing)(void *arg, u64 off, u64 len),
		      void *arg)
{
	struct base b[2];
	int err;

	memset(b, 0, sizeof(b));
	err = open_bases(st, page, b);
	if (!err)
		err = fill(page, want, index, buf, b, missing, arg);
	free(b[0].buf);
	free(b[1].buf);
	if (err == -EBADMSG) {
		snprintf(st->err, sizeof(st->err),
			 "the certified state is malformed: page %u and its index do not fit",
			 page);
		err = -EIO;
	}
	return err;
}
