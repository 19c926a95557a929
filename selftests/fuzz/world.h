/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The peers of one core, as arbitrary bytes make them: well-formed messages
 * whose fields lie near the values that matter where the core stands. The bytes
 * decide everything; what they say is right often enough to get far.
 */
#ifndef PBFT_FUZZ_WORLD_H
#define PBFT_FUZZ_WORLD_H

#include "fuzz.h"

#define WORLD_DIGESTS	16
#define WORLD_RECIPES	8
#define WORLD_HEADS	64
#define WORLD_REQS	6
#define WORLD_CLIENTS	4	/* ids from PBFT_CLIENT_ID_MIN; the last is not registered */

/* A request by what it is made of: the same recipe is the same bytes. */
struct world_req {
	u32 client;
	u64 session, t;
	u8 flags, replier, fill;
	u32 op_len;
};

struct world_recipe {
	u64 seq, time;
	u32 count;
	struct world_req req[WORLD_REQS];
};

struct fuzz_world {
	struct fuzz_in in;
	struct pbft_wire_id id;
	u32 f, k, l, self;

	/* where the core stands */
	u64 view, h, committed, executed, wall;
	u64 nonce;			/* of its last QUERY-STABLE */

	/* digests seen or made, latest first from next_digest - 1 */
	struct pbft_digest digest[WORLD_DIGESTS];
	u32 next_digest;
	struct pbft_digest null_d, genesis_d;

	struct world_recipe recipe[WORLD_RECIPES];
	u32 next_recipe;

	/* log heads that the core told of, by seq % WORLD_HEADS */
	struct pbft_log_head head[WORLD_HEADS];

	struct pbft_buf *vc[PBFT_N_MAX];	/* last VIEW-CHANGE of each replica */
	struct pbft_buf *nv;			/* last NEW-VIEW */
};

void world_init(struct fuzz_world *w, const struct pbft_wire_id *id, u32 f,
		u32 k, u32 l, u32 self);
void world_free(struct fuzz_world *w);

void world_know(struct fuzz_world *w, const struct pbft_digest *d);
void world_learn_head(struct fuzz_world *w, const struct pbft_log_head *head);
/* The log head at @seq, true or made up; the same each time. */
void world_head(const struct fuzz_world *w, u64 seq, struct pbft_log_head *out);
/* The application's state there. */
void world_app(const struct pbft_log_head *head, struct pbft_digest *out);
void world_keep(struct pbft_buf **at, const void *msg, u32 len);

u64 world_seq(struct fuzz_world *w);
u64 world_view(struct fuzz_world *w);
const struct pbft_digest *world_digest(struct fuzz_world *w);

/**
 * world_message() - build one message of @type from @sender, authentication included
 *
 * A client's id follows from the bytes whatever @sender is. Not always one that
 * pbft_wire_check() accepts. Return: NULL when memory is short, or the type has
 * no body of its own here.
 */
struct pbft_buf *world_message(struct fuzz_world *w, u8 type, u32 sender);

/* message-vc.c */
struct pbft_buf *world_view_change(struct fuzz_world *w, u32 sender);
struct pbft_buf *world_new_view(struct fuzz_world *w, u32 sender);

/* message-batch.c */
struct pbft_buf *world_request(struct fuzz_world *w);
struct pbft_buf *world_pre_prepare(struct fuzz_world *w, u32 sender);
struct pbft_buf *world_batch(struct fuzz_world *w, u32 sender);

/* A buffer with header and room for body and authentication, zeroed. */
struct pbft_buf *world_buf(struct fuzz_world *w, u8 type, u32 len, u32 sender,
			   u64 view, u64 seq);

#endif /* PBFT_FUZZ_WORLD_H */
