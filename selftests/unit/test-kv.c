// SPDX-License-Identifier: GPL-2.0
/* The key-value service's bytes: round trips, limits, and malformed input. */
#include <errno.h>
#include <stdlib.h>

#include "libpbft/kv.h"
#include "tap.h"

static u8 big[PBFT_OP_MAX];

static bool same(const u8 *p, u32 len, const char *want)
{
	return len == strlen(want) && !memcmp(p, want, len);
}

static void test_round_trips(void)
{
	struct pbft_kv_parsed p;
	u8 op[512];
	int len;

	len = pbft_kv_put(op, sizeof(op), "key", 3, "value", 5);
	ok(len == 1 + 4 + 3 + 4 + 5, "PUT takes the bytes it should");
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_PUT &&
	   same(p.key, p.klen, "key") && same(p.value, p.vlen, "value"),
	   "PUT comes back");
	len = pbft_kv_put(op, sizeof(op), "k", 1, NULL, 0);
	ok(len > 0 && !pbft_kv_parse(&p, op, len) && p.vlen == 0,
	   "an empty value is a value");
	len = pbft_kv_get(op, sizeof(op), "a\0b", 3);
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_GET && p.klen == 3 &&
	   !memcmp(p.key, "a\0b", 3), "GET of a key with a NUL in it");
	len = pbft_kv_delete(op, sizeof(op), "x", 1);
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_DELETE &&
	   same(p.key, p.klen, "x"), "DELETE");
	len = pbft_kv_cas(op, sizeof(op), "k", 1, "old", 3, true, "new", 3);
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_CAS && p.have_old &&
	   same(p.old, p.olen, "old") && same(p.value, p.vlen, "new"),
	   "CAS with an old value");
	len = pbft_kv_cas(op, sizeof(op), "k", 1, NULL, 0, false, "new", 3);
	ok(!pbft_kv_parse(&p, op, len) && !p.have_old && !p.old &&
	   same(p.value, p.vlen, "new"), "CAS if absent");
	len = pbft_kv_list(op, sizeof(op), "pre", 3, "from", 4, 17);
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_LIST &&
	   same(p.key, p.klen, "pre") && same(p.from, p.flen, "from") &&
	   p.limit == 17, "LIST");
	len = pbft_kv_list(op, sizeof(op), NULL, 0, NULL, 0, 0xffffffff);
	ok(!pbft_kv_parse(&p, op, len) && !p.klen && !p.flen &&
	   p.limit == 0xffffffff, "LIST of everything");
	len = pbft_kv_echo(op, sizeof(op), 10, 20);
	ok(!pbft_kv_parse(&p, op, len) && p.op == PBFT_KV_ECHO && p.vlen == 10 &&
	   p.limit == 20, "ECHO");
}

static void test_encoder_limits(void)
{
	static u8 value[PBFT_KV_VALUE_MAX + 1];
	u8 key[PBFT_KV_KEY_MAX + 1] = "k", small[8];
	struct pbft_kv_parsed p;
	int len;

	ok(pbft_kv_get(big, sizeof(big), key, 0) == -EINVAL, "no empty key");
	ok(pbft_kv_get(big, sizeof(big), key, sizeof(key)) == -EINVAL,
	   "no key above the limit");
	ok(pbft_kv_get(big, sizeof(big), key, PBFT_KV_KEY_MAX) > 0,
	   "a key of exactly the limit");
	ok(pbft_kv_put(big, sizeof(big), key, 1, value, sizeof(value)) == -EINVAL,
	   "no value above the limit");
	len = pbft_kv_put(big, sizeof(big), key, PBFT_KV_KEY_MAX, value,
			  PBFT_KV_VALUE_MAX);
	ok(len > 0 && !pbft_kv_parse(&p, big, len),
	   "the largest key with the largest value fits an operation");
	ok(pbft_kv_cas(big, sizeof(big), key, 1, value, PBFT_KV_VALUE_MAX, true,
		       value, PBFT_KV_VALUE_MAX) == -EMSGSIZE,
	   "a CAS of two of the largest values does not");
	ok(pbft_kv_put(small, sizeof(small), key, 1, value, 10) == -EMSGSIZE,
	   "the room given is respected");
	ok(pbft_kv_put(small, 0, key, 1, NULL, 0) == -EMSGSIZE, "even no room");
	ok(pbft_kv_echo(big, sizeof(big), PBFT_KV_ECHO_MAX + 1, 0) == -EINVAL &&
	   pbft_kv_echo(big, sizeof(big), 0, PBFT_KV_ECHO_MAX + 1) == -EINVAL,
	   "ECHO has limits both ways");
	ok(pbft_kv_echo(big, sizeof(big), PBFT_KV_ECHO_MAX, 0) > 0,
	   "ECHO of exactly the limit");
}

struct bad {
	const char *what;
	u32 len;
	const char *bytes;
};

static const struct bad bad[] = {
	{ "nothing", 0, "" },
	{ "opcode 0", 1, "\0" },
	{ "an unknown opcode", 6, "\x07\1\0\0\0k" },
	{ "GET without a key", 1, "\2" },
	{ "GET with half a length", 3, "\2\1\0" },
	{ "GET of an empty key", 5, "\2\0\0\0\0" },
	{ "GET of a key longer than the operation", 6, "\2\2\0\0\0k" },
	{ "a length near 2^32", 6, "\2\xff\xff\xff\xffk" },
	{ "GET with a byte left over", 7, "\2\1\0\0\0kx" },
	{ "PUT without a value", 6, "\1\1\0\0\0k" },
	{ "PUT whose value ends early", 11, "\1\1\0\0\0k\2\0\0\0v" },
	{ "CAS with have_old 2", 15, "\4\1\0\0\0k\2\0\0\0\0\0\0\0\0" },
	{ "CAS without the new value", 12, "\4\1\0\0\0k\1\1\0\0\0o" },
	{ "LIST without a limit", 9, "\5\0\0\0\0\0\0\0\0" },
	{ "ECHO of too long a reply", 9, "\6\xff\xff\xff\xff\0\0\0\0" },
	{ "ECHO whose payload ends early", 9, "\6\0\0\0\0\1\0\0\0" },
};

static void test_malformed(void)
{
	struct pbft_kv_parsed p;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		/* from the heap, so that tools see a read past the end */
		u8 *copy = malloc(bad[i].len ?: 1);

		memcpy(copy, bad[i].bytes, bad[i].len);
		ok(pbft_kv_parse(&p, copy, bad[i].len) == -EBADMSG,
		   "refused: %s", bad[i].what);
		free(copy);
	}
	ok(pbft_kv_parse(&p, big, PBFT_OP_MAX + 1) == -EBADMSG,
	   "refused: longer than any operation");
}

/* Every prefix of a good operation is bad, and so is every flipped length. */
static void test_truncation(void)
{
	struct pbft_kv_parsed p;
	u8 op[64];
	int len = pbft_kv_cas(op, sizeof(op), "key", 3, "old", 3, true, "new", 3);
	int i, accepted = 0;

	for (i = 0; i < len; i++) {
		u8 *copy = malloc(i ?: 1);

		memcpy(copy, op, i);
		accepted += !pbft_kv_parse(&p, copy, i);
		free(copy);
	}
	ok(!accepted, "no prefix of an operation is an operation");
}

static void test_results(void)
{
	struct pbft_kv_writer w = { big, 16, 0 };
	struct pbft_kv_reader r;
	const u8 *s;
	u32 len;
	u8 code;

	ok(!pbft_kv_write_u8(&w, PBFT_KV_OK) &&
	   !pbft_kv_write_string(&w, "value", 5), "a result is written");
	ok(pbft_kv_write_string(&w, "xyz", 3) == -EMSGSIZE && w.len == 10,
	   "what does not fit is not begun");
	pbft_kv_read_init(&r, big, w.len);
	ok(!pbft_kv_read_u8(&r, &code) && code == PBFT_KV_OK &&
	   !pbft_kv_read_string(&r, &s, &len) && same(s, len, "value") &&
	   pbft_kv_read_end(&r), "and read");
	ok(pbft_kv_read_u8(&r, &code) == -EBADMSG &&
	   pbft_kv_read_string(&r, &s, &len) == -EBADMSG,
	   "nothing is read past the end");
	pbft_kv_read_init(&r, big, w.len - 1);
	pbft_kv_read_u8(&r, &code);
	ok(pbft_kv_read_string(&r, &s, &len) == -EBADMSG,
	   "nor a string that ends early");
}

int main(void)
{
	test_round_trips();
	test_encoder_limits();
	test_malformed();
	test_truncation();
	test_results();
	return done_testing();
}
