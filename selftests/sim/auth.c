// SPDX-License-Identifier: GPL-2.0
/*
 * Message authentication without cryptography. A MAC is a function of sender,
 * receiver, key generation and every byte of header and body; nobody but this
 * file's callers can compute one, and liars call it in their own name only.
 */
#include <stdlib.h>
#include "sim.h"

struct pbft_buf *sim_buf(u32 len)
{
	struct pbft_buf *buf = pbft_buf_alloc(len);

	if (!buf)
		abort();
	buf->len = len;
	return buf;
}

/* @content: hash of header and body */
static void make_mac(const struct pbft_hdr *h, u64 content, u32 from, u32 to, u8 *out)
{
	u64 pair = prng_mix(((u64)from << 32 | to) ^ (u64)h->key_id << 24);
	u64 w[2] = { prng_mix(content ^ pair), prng_mix(content + pair) };

	memcpy(out, w, PBFT_MAC_LEN);
}

struct pbft_buf *auth_seal(struct sim *sim, const void *msg, u32 from, u32 to)
{
	const struct pbft_hdr *h = msg;
	u32 len = le32_to_cpu(h->length), i;
	struct pbft_buf *buf = sim_buf(len + pbft_wire_auth_len(h->type, sim->id.n));
	u64 content = sim_hash64(msg, len);

	memcpy(buf->data, msg, len);
	if (pbft_wire_auth(h->type) == PBFT_AUTH_MAC) {
		make_mac(h, content, from, to, buf->data + len);
		return buf;
	}
	for (i = 0; i < sim->id.n; i++)
		make_mac(h, content, from, i, buf->data + len + i * PBFT_MAC_LEN);
	return buf;
}

bool auth_check(struct sim *sim, const void *msg, u32 len, u32 to)
{
	const struct pbft_hdr *h = msg;
	u32 body = le32_to_cpu(h->length);
	const u8 *mac = (const u8 *)msg + body;
	u8 want[PBFT_MAC_LEN];

	if (pbft_wire_auth(h->type) == PBFT_AUTH_VECTOR)
		mac += to * PBFT_MAC_LEN;
	if (mac + PBFT_MAC_LEN > (const u8 *)msg + len)
		return false;
	make_mac(h, sim_hash64(msg, body), le32_to_cpu(h->sender), to, want);
	return !memcmp(mac, want, PBFT_MAC_LEN);
}
