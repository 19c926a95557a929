// SPDX-License-Identifier: GPL-2.0
/*
 * The key-value service's operations and results, and client sessions.
 *
 * The decoder of operations takes what the encoders produce and nothing else:
 * every operation that is taken is encoded again and compared. Sessions are
 * compared with a model that remembers all it has executed.
 */
#include <stdlib.h>
#include "fuzz.h"
#include "core/session.h"
#include "libpbft/kv.h"

static volatile u64 sink;

static void read_all(const u8 *p, u32 len)
{
	while (len--)
		sink += *p++;
}

static int encode(const struct pbft_kv_parsed *p, u8 *out, size_t cap)
{
	switch (p->op) {
	case PBFT_KV_PUT:
		return pbft_kv_put(out, cap, p->key, p->klen, p->value, p->vlen);
	case PBFT_KV_GET:
		return pbft_kv_get(out, cap, p->key, p->klen);
	case PBFT_KV_DELETE:
		return pbft_kv_delete(out, cap, p->key, p->klen);
	case PBFT_KV_CAS:
		return pbft_kv_cas(out, cap, p->key, p->klen, p->old, p->olen,
				   p->have_old, p->value, p->vlen);
	case PBFT_KV_LIST:
		return pbft_kv_list(out, cap, p->key, p->klen, p->from, p->flen,
				    p->limit);
	case PBFT_KV_ECHO:
		return pbft_kv_echo(out, cap, p->vlen, p->limit);
	}
	return -1;
}

static void check_op(const u8 *data, u32 size)
{
	struct pbft_kv_parsed p;
	u8 *out;
	int len;

	if (pbft_kv_parse(&p, data, size))
		return;
	read_all(p.key, p.klen);
	read_all(p.old, p.olen);
	read_all(p.value, p.vlen);
	read_all(p.from, p.flen);
	out = malloc(size);
	len = encode(&p, out, size);
	fuzz_check(len == (int)size, "%u bytes of operation %u encode to %d", size, p.op, len);
	/* an echo's payload is encoded as zeros */
	if (p.op == PBFT_KV_ECHO)
		memcpy(out + size - p.vlen, p.value, p.vlen);
	fuzz_check(!memcmp(out, data, size), "operation %u encodes to other bytes", p.op);
	free(out);
	if (size > 1) {
		out = malloc(size - 1);
		len = encode(&p, out, size - 1);
		fuzz_check(len < 0, "operation %u fits one byte less", p.op);
		free(out);
	}
}

/* A result, read by arbitrary directions. */
static void check_result(const u8 *data, u32 size)
{
	struct pbft_kv_reader r;
	const u8 *s;
	u32 len, v;
	u8 b;

	pbft_kv_read_init(&r, data, size);
	while (!pbft_kv_read_end(&r) && !pbft_kv_read_u8(&r, &b)) {
		if (b & 1 && !pbft_kv_read_string(&r, &s, &len))
			read_all(s, len);
		if (b & 2 && !pbft_kv_read_u32(&r, &v))
			sink += v;
	}
	fuzz_check(r.p <= r.end, "reading went beyond the result");
}

static void check_writer(struct fuzz_in *in)
{
	size_t cap = fuzz_u8(in);
	struct pbft_kv_writer w = { malloc(cap), cap, 0 };
	u32 i;

	for (i = 0; i < 16 && in->left; i++) {
		u32 len = min_t(size_t, fuzz_u8(in), in->left);
		size_t before = w.len;
		int ret = len & 1 ? pbft_kv_write_u8(&w, len) :
				    pbft_kv_write_string(&w, in->p, len);

		fuzz_check(w.len <= cap, "%zu bytes written of %zu", w.len, cap);
		fuzz_check(!ret || w.len == before, "a write that failed left something");
	}
	free(w.out);
}

/* ---- sessions ------------------------------------------------------------ */

/* Any number, but near those that decide. */
static u64 pick(struct fuzz_in *in, u64 near)
{
	u8 b = fuzz_u8(in);

	if (b < 0xc0)
		return near - 96 + b;
	return b < 0xe0 ? b - 0xc0 : fuzz_u64(in);
}

static enum pbft_session_verdict model(const struct pbft_session *s, u64 session, u64 t)
{
	if (session < s->session)
		return PBFT_SESSION_STALE;
	if (session > s->session)
		return t == 1 ? PBFT_SESSION_EXECUTE : PBFT_SESSION_OUT_OF_ORDER;
	if (t > s->next)
		return PBFT_SESSION_OUT_OF_ORDER;
	if (t == s->next)
		return PBFT_SESSION_EXECUTE;
	return s->next - t <= PBFT_CLIENT_WINDOW ? PBFT_SESSION_REPEAT : PBFT_SESSION_STALE;
}

static void check_sessions(struct fuzz_in *in)
{
	/* numbers on the wire are below 2^63, so is what follows from them */
	struct pbft_session s = { .session = pick(in, 96), .next = pick(in, 97) & S64_MAX };
	u32 i;

	for (i = 0; i < 256 && in->left; i++) {
		u64 session = pick(in, s.session), t = pick(in, s.next) & S64_MAX;
		enum pbft_session_verdict want = model(&s, session, t), got;
		struct pbft_session before = s;

		got = pbft_session_check(&s, session, t);
		fuzz_check(got == want, "session (%llu, next %llu), request (%llu, %llu): %d, not %d",
			   (unsigned long long)before.session,
			   (unsigned long long)before.next, (unsigned long long)session,
			   (unsigned long long)t, got, want);
		if (got == PBFT_SESSION_EXECUTE) {
			fuzz_check(s.session == session && s.next == t,
				   "executing another request than was asked for");
			pbft_session_advance(&s);
		} else {
			fuzz_check(s.session == before.session && s.next == before.next,
				   "a request that is not executed changes the session");
		}
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct fuzz_in in = { data, size };
	u8 *copy;

	switch (fuzz_u8(&in) & 3) {
	case 0:
	case 1:
		copy = malloc(in.left);
		fuzz_bytes(&in, copy, in.left);
		check_op(copy, size ? size - 1 : 0);
		check_result(copy, size ? size - 1 : 0);
		free(copy);
		break;
	case 2:
		check_writer(&in);
		break;
	default:
		check_sessions(&in);
	}
	return 0;
}
