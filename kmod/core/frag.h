/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Fragments: messages above one datagram, cut and put together.
 *
 * Every fragment is a message of its own with one MAC, checked before it comes
 * here. The id is derived from the message's bytes, so that fragments of a
 * retransmission complete an earlier attempt. Each peer has PBFT_REASM_SLOTS
 * places, the oldest is given up for a new message: what a peer can make us
 * hold is bounded by its own quota and costs nobody else.
 */
#ifndef PBFT_CORE_FRAG_H
#define PBFT_CORE_FRAG_H

#include "buf.h"
#include "wire.h"

#define PBFT_REASM_SLOTS	4
/* A datagram's payload limits: configuration refuses others. */
#define PBFT_MTU_MIN		1024
#define PBFT_MTU_MAX		65000
#define PBFT_MTU_DEFAULT	1400
#define PBFT_FRAGS_MAX		(PBFT_MSG_MAX / 512 + 2)

struct pbft_reasm_slot {
	struct pbft_buf *buf;
	u64 id;
	u32 total;
	u32 size;
	u32 got;		/* fragments */
	u64 used;		/* age, in calls */
	unsigned long map[BITS_TO_LONGS(PBFT_FRAGS_MAX)];
};

struct pbft_reasm {
	u64 calls;
	struct pbft_reasm_slot slot[PBFT_REASM_SLOTS];
};

/* Payload bytes per fragment for this MTU (datagram payload in bytes). */
u32 pbft_frag_size(u32 mtu);

/* Fragments that a message of @len bytes needs; 1 = send it whole. */
u32 pbft_frag_count(u32 mtu, u32 len);

/* The id of a complete message, authentication included. */
u64 pbft_frag_id(const void *msg, u32 len);

/**
 * pbft_frag_build() - write fragment @index of a complete message, without MAC
 * @out: at least @mtu bytes
 * Return: bytes written (header and body; the caller appends one MAC).
 */
u32 pbft_frag_build(void *out, u32 mtu, const struct pbft_wire_id *id,
		    u32 sender, const void *msg, u32 len, u64 frag_id, u32 index);

/**
 * pbft_reasm_add() - take one authenticated fragment from the peer owning @r
 * @max: largest message this peer may send, in bytes
 *
 * Return: the whole message, a reference the caller owns, when this fragment
 * completed it; else NULL with @drop saying PBFT_OK (stored, or had it) or why
 * it was refused. The result has not been checked in any way. The caller
 * serialises calls on one @r.
 */
struct pbft_buf *pbft_reasm_add(struct pbft_reasm *r,
				const struct pbft_fragment *frag, u32 max,
				enum pbft_drop *drop);
void pbft_reasm_free(struct pbft_reasm *r);

#endif /* PBFT_CORE_FRAG_H */
