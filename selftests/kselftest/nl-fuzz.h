/* SPDX-License-Identifier: GPL-2.0 */
/* The netlink fuzzer: what its files share. */
#ifndef PBFT_NL_FUZZ_H
#define PBFT_NL_FUZZ_H

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "core/types.h"
#include "nl-spec.h"
#include "../sim/prng.h"

#define FUZZ_REPLICAS	4	/* instances f0 to f3: one cluster, all here */
#define FUZZ_NODES	(FUZZ_REPLICAS + 1)	/* and a client */
#define FUZZ_MSG	65536

/* What is known of an instance, to be near the truth in what is sent to it. */
struct fuzz_instance {
	u32 id;				/* of BIND's reply; 0: none yet */
	u32 socket;			/* that bound it */
	u64 applied;			/* its daemon's next EXECUTED */
	u64 snapshot, fetch;		/* ... CHECKPOINTED and STATE_INSTALLED; 0: not due */
	u32 requests;			/* of the batch applied */
	u8 digest[PBFT_DIGEST_LEN];	/* of the state to fetch */
};

struct fuzz {
	struct prng rng;
	u16 family;
	u32 port;			/* of the cluster */
	const char *live;		/* an instance that has work; NULL: none */
	u8 private_key[FUZZ_NODES][32], public_key[FUZZ_NODES][32];
	u8 raw_key[32];
	struct fuzz_instance inst[FUZZ_REPLICAS];

	/* the message that is made */
	u8 msg[FUZZ_MSG] __attribute__((aligned(8)));
	u32 len;
	u32 seq;
	u8 cmd;
	bool whole;			/* framed rightly: it will be answered */
};

static inline struct nlmsghdr *fuzz_nlh(struct fuzz *fz)
{
	return (struct nlmsghdr *)fz->msg;
}

static inline u32 pick(struct fuzz *fz, u32 n)
{
	return prng_below(&fz->rng, n);
}

/* nl-fuzz-make.c: one message, right or wrong, into @fz. */
void fuzz_make(struct fuzz *fz);

/* nl-fuzz-cover.c: which messages took the module somewhere new. */
struct cover_sums {
	u32 branches, kept;
	u32 varied, varied_new;		/* variations sent; of them, such as were new again */
};

/* @fd: of debugfs' file kcov. False if it does not serve; without it all is silent. */
bool cover_open(int fd);
/* Before a message is sent, and after. */
void cover_begin(void);
void cover_end(struct fuzz *fz);
/* A variation of one that was kept, into @fz; false: make one. */
bool cover_vary(struct fuzz *fz);
struct cover_sums cover_sums(void);

#endif /* PBFT_NL_FUZZ_H */
