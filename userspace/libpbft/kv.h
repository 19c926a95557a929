/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The key-value service: operations and results as bytes.
 *
 * A string is le32 length and bytes, in operations and results alike.
 * Operation: u8 opcode, then fields.
 *	PUT	key value
 *	GET	key
 *	DELETE	key
 *	CAS	key, u8 have_old, [old,] value	(no old: only if absent)
 *	LIST	prefix, from, le32 limit	(keys > from, in order)
 *	ECHO	le32 reply_len, payload		(no state; for benchmarks)
 * Result: u8 code, then
 *	GET done: value.  CAS refused: u8 have, [current value].
 *	LIST done: u8 more, then key value key value ...
 *	ECHO done: reply_len zero bytes.
 * key, old, value, prefix, from and payload are strings. An operation that
 * pbft_kv_parse() refuses has the result INVALID and changes nothing.
 */
#ifndef PBFT_KV_H
#define PBFT_KV_H

#include "core/types.h"

#define PBFT_KV_KEY_MAX		256	/* bytes; at least 1 */
#define PBFT_KV_VALUE_MAX	(PBFT_OP_MAX - 1024)
#define PBFT_KV_ECHO_MAX	(PBFT_OP_MAX - 16)	/* payload, and reply_len */

enum pbft_kv_op {
	PBFT_KV_PUT = 1,
	PBFT_KV_GET,
	PBFT_KV_DELETE,
	PBFT_KV_CAS,
	PBFT_KV_LIST,
	PBFT_KV_ECHO,
};

enum pbft_kv_code {
	PBFT_KV_OK = 0,
	PBFT_KV_NOT_FOUND = 1,
	PBFT_KV_CONFLICT = 2,	/* CAS: the current value differs */
	PBFT_KV_INVALID = 3,	/* malformed operation */
};

/*
 * Encoders: return bytes written into @out (cap @cap), or -EINVAL for a field
 * out of range (empty or long key, long value), -EMSGSIZE for lack of room. A
 * CAS whose old and new value together exceed PBFT_OP_MAX is -EMSGSIZE too.
 */
int pbft_kv_put(void *out, size_t cap, const void *key, u32 klen,
		const void *value, u32 vlen);
int pbft_kv_get(void *out, size_t cap, const void *key, u32 klen);
int pbft_kv_delete(void *out, size_t cap, const void *key, u32 klen);
int pbft_kv_cas(void *out, size_t cap, const void *key, u32 klen,
		const void *old, u32 olen, bool have_old,
		const void *value, u32 vlen);
int pbft_kv_list(void *out, size_t cap, const void *prefix, u32 plen,
		 const void *from, u32 flen, u32 limit);
int pbft_kv_echo(void *out, size_t cap, u32 payload_len, u32 reply_len);

/* A bounds-checked decoded operation; pointers into the operation's bytes. */
struct pbft_kv_parsed {
	u8 op;
	/* LIST: key is the prefix; ECHO: value is the payload */
	const u8 *key, *old, *value, *from;
	u32 klen, olen, vlen, flen;
	bool have_old;
	u32 limit;		/* LIST; ECHO: reply_len */
};

/* Return 0 or -EBADMSG: unknown opcode, field out of range, bytes left over. */
int pbft_kv_parse(struct pbft_kv_parsed *p, const void *op, u32 len);

/* Results: the one way to write a string, for the service. 0 or -EMSGSIZE. */
struct pbft_kv_writer {
	u8 *out;
	size_t cap, len;
};

int pbft_kv_write_u8(struct pbft_kv_writer *w, u8 v);
int pbft_kv_write_string(struct pbft_kv_writer *w, const void *s, u32 len);

/* ... and to read a result, for the client; pointers into the result's bytes. */
struct pbft_kv_reader {
	const u8 *p, *end;
};

static inline void pbft_kv_read_init(struct pbft_kv_reader *r,
				     const void *data, u32 len)
{
	r->p = data;
	r->end = r->p + len;
}

/* 0 or -EBADMSG when the result ends before the field does */
int pbft_kv_read_u8(struct pbft_kv_reader *r, u8 *v);
int pbft_kv_read_u32(struct pbft_kv_reader *r, u32 *v);
int pbft_kv_read_string(struct pbft_kv_reader *r, const u8 **s, u32 *len);

static inline bool pbft_kv_read_end(const struct pbft_kv_reader *r)
{
	return r->p == r->end;
}

#endif /* PBFT_KV_H */
