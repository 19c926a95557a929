// SPDX-License-Identifier: GPL-2.0
/* Fragments: every order, repeated, mixed up, and from a peer that means harm. */
#include <stdlib.h>
#include "core/frag.h"
#include "tap.h"

#define MTU	1100
#define MSG	5000

static const struct pbft_wire_id id = { .cluster = 77, .epoch = 3, .n = 4 };
static u8 message[MSG];

static struct pbft_fragment *part(u64 frag_id, u32 index, u32 *len)
{
	static u64 buf[PBFT_MTU_MAX / 8];

	*len = pbft_frag_build(buf, MTU, &id, 1, message, MSG, frag_id, index);
	return (void *)buf;
}

static struct pbft_buf *give(struct pbft_reasm *r, u64 frag_id, u32 index,
			     enum pbft_drop *drop)
{
	u32 len;
	struct pbft_fragment *f = part(frag_id, index, &len);
	struct pbft_fragment *copy = malloc(len);
	struct pbft_buf *whole;

	memcpy(copy, f, len);
	whole = pbft_reasm_add(r, copy, PBFT_MSG_MAX, drop);
	free(copy);
	return whole;
}

static bool is_message(struct pbft_buf *whole)
{
	bool same = whole && whole->len == MSG && !memcmp(whole->data, message, MSG);

	pbft_buf_put(whole);
	return same;
}

static void test_sizes(void)
{
	bool fit = true, align = true, all = true;
	u32 mtu, len, i;

	for (mtu = PBFT_MTU_MIN; mtu <= PBFT_MTU_MAX; mtu += 97) {
		u32 size = pbft_frag_size(mtu);

		fit &= size + sizeof(struct pbft_fragment) + PBFT_MAC_LEN <= mtu;
		align &= size && size % PBFT_FRAG_ALIGN == 0;
		for (len = mtu - 2; len < mtu + 3 * size; len += size / 3)
			all &= pbft_frag_count(mtu, len) == (len <= mtu ? 1 : DIV_ROUND_UP(len, size));
	}
	ok(fit, "a fragment and its MAC fit the MTU");
	ok(align, "fragments are aligned");
	ok(all, "as many as needed, and one only for what fits");
	ok(pbft_frag_count(PBFT_MTU_MIN, PBFT_MSG_MAX) <= PBFT_FRAGS_MAX,
	   "the largest message can be sent at the smallest MTU");
	for (i = 0; i < pbft_frag_count(MTU, MSG); i++) {
		struct pbft_head head;
		u64 buf[MTU / 8 + 8];

		len = pbft_frag_build(buf, MTU, &id, 1, message, MSG, 5, i);
		if (pbft_wire_check(&id, buf, len + PBFT_MAC_LEN, &head) != PBFT_OK)
			break;
	}
	ok(i == pbft_frag_count(MTU, MSG), "every fragment is a well-formed message");
}

static void test_orders(void)
{
	struct pbft_reasm r = { 0 };
	u32 n = pbft_frag_count(MTU, MSG), i, round;
	bool good = true, early = false, dup = true;
	enum pbft_drop drop;
	struct pbft_buf *b;

	for (round = 0; round < n; round++) {
		for (i = 0; i < n; i++) {
			u32 at = round % 2 ? n - 1 - i : (i + round) % n;

			b = give(&r, 5, at, &drop);
			early |= b && i < n - 1;
			if (i == n - 1)
				good &= is_message(b);
			else
				dup &= !give(&r, 5, at, &drop) && drop == PBFT_OK;
		}
	}
	ok(good, "whole, whatever order the fragments come in");
	ok(!early, "and not before the last");
	ok(dup, "a repeated fragment changes nothing");
	pbft_reasm_free(&r);
}

static void test_mixed(void)
{
	struct pbft_reasm r = { 0 };
	u32 n = pbft_frag_count(MTU, MSG), i;
	enum pbft_drop drop;
	bool good = true;
	u64 m;

	for (i = 0; i < n - 1; i++)
		for (m = 1; m <= PBFT_REASM_SLOTS; m++)
			good &= !give(&r, m, i, &drop);
	for (m = 1; m <= PBFT_REASM_SLOTS; m++)
		good &= is_message(give(&r, m, n - 1, &drop));
	ok(good, "as many messages at once as there are places");

	for (i = 0; i < n - 1; i++)
		give(&r, 1, i, &drop);
	for (m = 2; m <= PBFT_REASM_SLOTS + 1; m++)
		give(&r, m, 0, &drop);
	ok(!give(&r, 1, n - 1, &drop), "one more takes the place of the oldest");
	pbft_reasm_free(&r);
}

static void test_hostile(void)
{
	struct pbft_reasm r = { 0 };
	struct pbft_fragment *f;
	enum pbft_drop drop;
	struct pbft_buf *b;
	bool good = true;
	u32 len, i;

	f = part(5, 0, &len);
	ok(!pbft_reasm_add(&r, f, MSG - 1, &drop) && drop == PBFT_DROP_QUOTA,
	   "larger than the peer may send");
	f = part(5, 0, &len);
	f->total = cpu_to_le32(0xffffffff);
	ok(!pbft_reasm_add(&r, f, PBFT_MSG_MAX, &drop) && drop == PBFT_DROP_QUOTA,
	   "larger than anything");

	/* same id, other cut: must not be counted together */
	for (i = 0; i < pbft_frag_count(MTU, MSG) - 1; i++)
		give(&r, 5, i, &drop);
	f = part(5, 0, &len);
	f->size = cpu_to_le32(512);
	f->offset = cpu_to_le32(512);
	b = pbft_reasm_add(&r, f, PBFT_MSG_MAX, &drop);
	ok(!b, "another cut under the same id does not complete it");
	ok(is_message(give(&r, 5, i, &drop)), "nor spoil it");

	for (i = 0; i < 10000; i++) {
		f = part(i, i % 5, &len);
		b = pbft_reasm_add(&r, f, PBFT_MSG_MAX, &drop);
		good &= !b && drop == PBFT_OK;
	}
	ok(good, "ten thousand beginnings hold no more than the places there are");
	pbft_reasm_free(&r);
}

int main(void)
{
	u32 i;

	for (i = 0; i < MSG; i++)
		message[i] = i * 7 + i / 256;
	test_sizes();
	test_orders();
	test_mixed();
	test_hostile();
	return done_testing();
}
