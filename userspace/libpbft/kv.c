// SPDX-License-Identifier: GPL-2.0
/*
 * The key-value service's bytes: encoding and bounds-checked decoding.
 *
 * Replicas feed operations from Byzantine clients to pbft_kv_parse(), and every
 * correct replica must reach the same verdict on them: decoding accepts exactly
 * what the encoders produce and nothing else.
 */
#include <errno.h>
#include "libpbft/kv.h"

static int write_bytes(struct pbft_kv_writer *w, const void *data, size_t len)
{
	if (len > w->cap - w->len)
		return -EMSGSIZE;
	if (len)
		memcpy(w->out + w->len, data, len);
	w->len += len;
	return 0;
}

int pbft_kv_write_u8(struct pbft_kv_writer *w, u8 v)
{
	return write_bytes(w, &v, sizeof(v));
}

static int write_u32(struct pbft_kv_writer *w, u32 v)
{
	__le32 le = cpu_to_le32(v);

	return write_bytes(w, &le, sizeof(le));
}

int pbft_kv_write_string(struct pbft_kv_writer *w, const void *s, u32 len)
{
	if (sizeof(__le32) + len > w->cap - w->len)
		return -EMSGSIZE;
	write_u32(w, len);
	return write_bytes(w, s, len);
}

/* An operation is never longer than what the cluster accepts. */
static struct pbft_kv_writer op_writer(void *out, size_t cap)
{
	struct pbft_kv_writer w = { out, cap < PBFT_OP_MAX ? cap : PBFT_OP_MAX, 0 };

	return w;
}

static bool key_ok(u32 len)
{
	return len >= 1 && len <= PBFT_KV_KEY_MAX;
}

int pbft_kv_put(void *out, size_t cap, const void *key, u32 klen,
		const void *value, u32 vlen)
{
	struct pbft_kv_writer w = op_writer(out, cap);

	if (!key_ok(klen) || vlen > PBFT_KV_VALUE_MAX)
		return -EINVAL;
	if (pbft_kv_write_u8(&w, PBFT_KV_PUT) ||
	    pbft_kv_write_string(&w, key, klen) ||
	    pbft_kv_write_string(&w, value, vlen))
		return -EMSGSIZE;
	return w.len;
}

static int encode_key(u8 op, void *out, size_t cap, const void *key, u32 klen)
{
	struct pbft_kv_writer w = op_writer(out, cap);

	if (!key_ok(klen))
		return -EINVAL;
	if (pbft_kv_write_u8(&w, op) || pbft_kv_write_string(&w, key, klen))
		return -EMSGSIZE;
	return w.len;
}

int pbft_kv_get(void *out, size_t cap, const void *key, u32 klen)
{
	return encode_key(PBFT_KV_GET, out, cap, key, klen);
}

int pbft_kv_delete(void *out, size_t cap, const void *key, u32 klen)
{
	return encode_key(PBFT_KV_DELETE, out, cap, key, klen);
}

int pbft_kv_cas(void *out, size_t cap, const void *key, u32 klen,
		const void *old, u32 olen, bool have_old,
		const void *value, u32 vlen)
{
	struct pbft_kv_writer w = op_writer(out, cap);

	if (!key_ok(klen) || vlen > PBFT_KV_VALUE_MAX ||
	    (have_old && olen > PBFT_KV_VALUE_MAX))
		return -EINVAL;
	if (pbft_kv_write_u8(&w, PBFT_KV_CAS) ||
	    pbft_kv_write_string(&w, key, klen) ||
	    pbft_kv_write_u8(&w, have_old) ||
	    (have_old && pbft_kv_write_string(&w, old, olen)) ||
	    pbft_kv_write_string(&w, value, vlen))
		return -EMSGSIZE;
	return w.len;
}

int pbft_kv_list(void *out, size_t cap, const void *prefix, u32 plen,
		 const void *from, u32 flen, u32 limit)
{
	struct pbft_kv_writer w = op_writer(out, cap);

	if (plen > PBFT_KV_KEY_MAX || flen > PBFT_KV_KEY_MAX)
		return -EINVAL;
	if (pbft_kv_write_u8(&w, PBFT_KV_LIST) ||
	    pbft_kv_write_string(&w, prefix, plen) ||
	    pbft_kv_write_string(&w, from, flen) || write_u32(&w, limit))
		return -EMSGSIZE;
	return w.len;
}

int pbft_kv_echo(void *out, size_t cap, u32 payload_len, u32 reply_len)
{
	struct pbft_kv_writer w = op_writer(out, cap);

	if (payload_len > PBFT_KV_ECHO_MAX || reply_len > PBFT_KV_ECHO_MAX)
		return -EINVAL;
	if (pbft_kv_write_u8(&w, PBFT_KV_ECHO) || write_u32(&w, reply_len) ||
	    write_u32(&w, payload_len) || payload_len > w.cap - w.len)
		return -EMSGSIZE;
	memset(w.out + w.len, 0, payload_len);
	return w.len + payload_len;
}

int pbft_kv_read_u8(struct pbft_kv_reader *r, u8 *v)
{
	if (r->p == r->end)
		return -EBADMSG;
	*v = *r->p++;
	return 0;
}

int pbft_kv_read_u32(struct pbft_kv_reader *r, u32 *v)
{
	__le32 le;

	if (r->end - r->p < (ptrdiff_t)sizeof(le))
		return -EBADMSG;
	memcpy(&le, r->p, sizeof(le));
	r->p += sizeof(le);
	*v = le32_to_cpu(le);
	return 0;
}

int pbft_kv_read_string(struct pbft_kv_reader *r, const u8 **s, u32 *len)
{
	struct pbft_kv_reader at = *r;
	u32 n;

	if (pbft_kv_read_u32(&at, &n) || n > (size_t)(at.end - at.p))
		return -EBADMSG;
	*s = at.p;
	*len = n;
	r->p = at.p + n;
	return 0;
}

static int read_key(struct pbft_kv_reader *r, struct pbft_kv_parsed *p)
{
	if (pbft_kv_read_string(r, &p->key, &p->klen) || !key_ok(p->klen))
		return -EBADMSG;
	return 0;
}

static int read_value(struct pbft_kv_reader *r, const u8 **value, u32 *len)
{
	if (pbft_kv_read_string(r, value, len) || *len > PBFT_KV_VALUE_MAX)
		return -EBADMSG;
	return 0;
}

static int parse_cas(struct pbft_kv_reader *r, struct pbft_kv_parsed *p)
{
	u8 have;

	if (read_key(r, p) || pbft_kv_read_u8(r, &have) || have > 1)
		return -EBADMSG;
	p->have_old = have;
	if (have && read_value(r, &p->old, &p->olen))
		return -EBADMSG;
	return read_value(r, &p->value, &p->vlen);
}

static int parse_list(struct pbft_kv_reader *r, struct pbft_kv_parsed *p)
{
	if (pbft_kv_read_string(r, &p->key, &p->klen) ||
	    p->klen > PBFT_KV_KEY_MAX ||
	    pbft_kv_read_string(r, &p->from, &p->flen) ||
	    p->flen > PBFT_KV_KEY_MAX)
		return -EBADMSG;
	return pbft_kv_read_u32(r, &p->limit);
}

static int parse_echo(struct pbft_kv_reader *r, struct pbft_kv_parsed *p)
{
	if (pbft_kv_read_u32(r, &p->limit) || p->limit > PBFT_KV_ECHO_MAX ||
	    pbft_kv_read_string(r, &p->value, &p->vlen) ||
	    p->vlen > PBFT_KV_ECHO_MAX)
		return -EBADMSG;
	return 0;
}

static int parse_fields(struct pbft_kv_reader *r, struct pbft_kv_parsed *p)
{
	switch (p->op) {
	case PBFT_KV_PUT:
		return read_key(r, p) ?: read_value(r, &p->value, &p->vlen);
	case PBFT_KV_GET:
	case PBFT_KV_DELETE:
		return read_key(r, p);
	case PBFT_KV_CAS:
		return parse_cas(r, p);
	case PBFT_KV_LIST:
		return parse_list(r, p);
	case PBFT_KV_ECHO:
		return parse_echo(r, p);
	default:
		return -EBADMSG;
	}
}

int pbft_kv_parse(struct pbft_kv_parsed *p, const void *op, u32 len)
{
	struct pbft_kv_reader r;

	memset(p, 0, sizeof(*p));
	if (len > PBFT_OP_MAX)
		return -EBADMSG;
	pbft_kv_read_init(&r, op, len);
	if (pbft_kv_read_u8(&r, &p->op) || parse_fields(&r, p) ||
	    !pbft_kv_read_end(&r))
		return -EBADMSG;
	return 0;
}
