/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The key-value service: operations and results as bytes.
 *
 * Operation: u8 opcode, then fields; a string is le32 length and bytes.
 *	PUT	key value
 *	GET	key
 *	DELETE	key
 *	CAS	key, u8 have_old, [old,] value	(no old: only if absent)
 *	LIST	prefix, from, le32 limit	(keys > from, in order)
 *	ECHO	le32 reply_len, payload		(no state; for benchmarks)
 * Result: u8 code, then
 *	GET: value.  CAS refused: u8 have, [current value].
 *	LIST: u8 more, then key value key value ...  ECHO: reply_len zero bytes.
 */
#ifndef PBFT_KV_H
#define PBFT_KV_H

#include "core/types.h"

#define PBFT_KV_KEY_MAX		256	/* bytes; at least 1 */
#define PBFT_KV_VALUE_MAX	(PBFT_OP_MAX - 1024)

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

/* Encoders: return bytes written into @out (cap @cap), or -EMSGSIZE / -EINVAL. */
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
	const u8 *key, *old, *value, *from;
	u32 klen, olen, vlen, flen;
	bool have_old;
	u32 limit;		/* LIST; ECHO: reply_len */
};

/* Return 0 or -EBADMSG. */
int pbft_kv_parse(struct pbft_kv_parsed *p, const void *op, u32 len);

#endif /* PBFT_KV_H */
