// SPDX-License-Identifier: GPL-2.0
/*
 * Guidance by coverage, where the kernel has KCOV: each message that took the module
 * along a branch that none before it took is kept, and variations of those are sent
 * among the messages that nl-fuzz-make.c makes. A command runs to its end in sendmsg(),
 * so what KCOV tells of this task is what the message did.
 */
#include <linux/kcov.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "nl-fuzz.h"

#define COVER_WORDS	(1u << 18)	/* places that one message may come by */
#define BRANCH_BITS	(1u << 16)
#define KEPT_MAX	512
#define KEPT_LEN	8192
#define HEADERS		(NLMSG_HDRLEN + GENL_HDRLEN)

struct kept {
	u8 *msg;
	u32 len;
	u8 cmd;
};

static unsigned long *cover;		/* their number, then the places; NULL: no KCOV */
static u64 taken[BRANCH_BITS / 64];
static struct kept kept[KEPT_MAX];
static u32 kept_count, branches, varied, varied_new;
static bool is_variation;

/* ---- what a message reached ----------------------------------------------------- */

bool cover_open(int fd)
{
	void *map;

	if (ioctl(fd, KCOV_INIT_TRACE, (unsigned long)COVER_WORDS))
		return false;
	map = mmap(NULL, COVER_WORDS * sizeof(*cover), PROT_READ | PROT_WRITE, MAP_SHARED,
		   fd, 0);
	if (map == MAP_FAILED || ioctl(fd, KCOV_ENABLE, KCOV_TRACE_PC))
		return false;
	cover = map;
	return true;
}

void cover_begin(void)
{
	if (cover)
		__atomic_store_n(&cover[0], 0, __ATOMIC_RELAXED);
}

/* How many branches were taken for the first time? */
static u32 count_new(void)
{
	u64 n = __atomic_load_n(&cover[0], __ATOMIC_RELAXED), from = 0, to;
	u32 count = 0, bit;

	for (u64 i = 1; i <= n && i < COVER_WORDS; i++) {
		to = cover[i];
		bit = prng_mix(to ^ from << 20) % BRANCH_BITS;
		from = to;
		count += !(taken[bit / 64] >> bit % 64 & 1);
		taken[bit / 64] |= 1ull << bit % 64;
	}
	return count;
}

static void keep(struct fuzz *fz)
{
	struct kept *k = &kept[kept_count < KEPT_MAX ? kept_count : pick(fz, KEPT_MAX)];
	u8 *msg = malloc(fz->len);

	if (!msg)
		return;
	memcpy(msg, fz->msg, fz->len);
	free(k->msg);
	*k = (struct kept){ .msg = msg, .len = fz->len, .cmd = fz->cmd };
	kept_count = min_t(u32, kept_count + 1, KEPT_MAX);
}

void cover_end(struct fuzz *fz)
{
	u32 fresh;

	if (!cover)
		return;
	fresh = count_new();
	branches += fresh;
	varied += is_variation;
	varied_new += is_variation && fresh;
	if (fresh && fz->whole && fz->len >= HEADERS && fz->len <= KEPT_LEN)
		keep(fz);
}

/* ---- variations ------------------------------------------------------------------- */

static struct nlattr *attr_at(u8 *msg, u32 off)
{
	return (struct nlattr *)(msg + off);
}

static u32 attr_end(u8 *msg, u32 len, u32 off)
{
	u32 end = off + NLA_ALIGN(max_t(u32, attr_at(msg, off)->nla_len, NLA_HDRLEN));

	return min_t(u32, end, len);
}

/* Where one of the attributes begins, 0 if there is none. */
static u32 pick_attr(struct fuzz *fz, u8 *msg, u32 len)
{
	u32 chosen = 0, seen = 0;

	for (u32 off = HEADERS; off + NLA_HDRLEN <= len; off = attr_end(msg, len, off))
		if (!pick(fz, ++seen))
			chosen = off;
	return chosen;
}

/* One attribute of @msg goes to the end of the message that is made. */
static void append_from(struct fuzz *fz, u8 *msg, u32 len)
{
	u32 off = pick_attr(fz, msg, len), size;

	if (!off)
		return;
	size = attr_end(msg, len, off) - off;
	if (NLA_ALIGN(fz->len) + size > KEPT_LEN)
		return;
	memset(fz->msg + fz->len, 0, NLA_ALIGN(fz->len) - fz->len);
	fz->len = NLA_ALIGN(fz->len);
	memmove(fz->msg + fz->len, msg + off, size);
	fz->len += size;
}

static void remove_attr(struct fuzz *fz)
{
	u32 off = pick_attr(fz, fz->msg, fz->len), end;

	if (!off)
		return;
	end = attr_end(fz->msg, fz->len, off);
	memmove(fz->msg + off, fz->msg + end, fz->len - end);
	fz->len -= end - off;
}

/* A number becomes its neighbour, or one at the edge of what there is. */
static void bend_number(struct fuzz *fz)
{
	static const u64 edges[] = { 0, 1, 255, 65535, 0x7fffffff, U32_MAX, S64_MAX, U64_MAX };
	u32 off = pick_attr(fz, fz->msg, fz->len), size;
	u64 v = 0;

	if (!off)
		return;
	size = attr_end(fz->msg, fz->len, off) - off - NLA_HDRLEN;
	size = min_t(u32, size, sizeof(v));
	memcpy(&v, fz->msg + off + NLA_HDRLEN, size);
	v = pick(fz, 2) ? v + pick(fz, 5) - 2 : edges[pick(fz, ARRAY_SIZE(edges))];
	memcpy(fz->msg + off + NLA_HDRLEN, &v, size);
}

static void change(struct fuzz *fz)
{
	struct kept *other = &kept[pick(fz, kept_count)];
	struct genlmsghdr *gen = (void *)(fz->msg + NLMSG_HDRLEN);

	switch (pick(fz, 6)) {
	case 0:
		if (fz->len > HEADERS)
			fz->msg[HEADERS + pick(fz, fz->len - HEADERS)] ^= 1u << pick(fz, 8);
		break;
	case 1:
		remove_attr(fz);
		break;
	case 2:
		append_from(fz, fz->msg, fz->len);
		break;
	case 3:
		append_from(fz, other->msg, other->len);
		break;
	case 4:
		bend_number(fz);
		break;
	case 5:
		gen->cmd = other->cmd;
		fz->cmd = other->cmd;
		break;
	}
}

/* Instances have come and gone since: most variations are about one that is there. */
static void bring_up_to_date(struct fuzz *fz)
{
	const struct fuzz_instance *in = &fz->inst[pick(fz, FUZZ_REPLICAS)];
	struct nlattr *a;

	for (u32 off = HEADERS; off + NLA_HDRLEN <= fz->len;
	     off = attr_end(fz->msg, fz->len, off)) {
		a = attr_at(fz->msg, off);
		if (a->nla_type == PBFT_A_ID && a->nla_len == NLA_HDRLEN + sizeof(u32) &&
		    off + a->nla_len <= fz->len)
			memcpy((u8 *)a + NLA_HDRLEN, &in->id, sizeof(in->id));
	}
}

bool cover_vary(struct fuzz *fz)
{
	struct kept *k;

	is_variation = kept_count && !pick(fz, 3);
	if (!is_variation)
		return false;
	k = &kept[pick(fz, kept_count)];
	memcpy(fz->msg, k->msg, k->len);
	fz->len = k->len;
	fz->cmd = k->cmd;
	fz->whole = true;
	for (u32 i = 1 + pick(fz, 4); i > 0; i--)
		change(fz);
	if (pick(fz, 8))
		bring_up_to_date(fz);
	fuzz_nlh(fz)->nlmsg_len = fz->len;
	fuzz_nlh(fz)->nlmsg_seq = ++fz->seq;
	return true;
}

struct cover_sums cover_sums(void)
{
	return (struct cover_sums){
		.branches = branches, .kept = kept_count,
		.varied = varied, .varied_new = varied_new,
	};
}
