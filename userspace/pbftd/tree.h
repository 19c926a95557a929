/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The Merkle tree over the application's state: shape, encoding, digests.
 *
 *	level 0		root			2 children, one for each space
 *	level 1		2 spaces		32 children each
 *	level 2		64 interior nodes	32 pages each
 *	level 3		2048 pages		entries sorted by key
 *
 * The first space holds the keys of the key-value store, the second the client
 * sessions. An entry's page follows from SHA-256 of its space and key. A node is
 * named in its parent by digest and sizes, so whoever trusts the root knows of
 * every node how many bytes to expect before the first of them arrives.
 * Everything is a function of the entries alone: Documentation/state-transfer.rst
 * says it byte for byte.
 */
#ifndef PBFTD_TREE_H
#define PBFTD_TREE_H

#include "core/types.h"
#include "core/hash.h"

#define PBFT_TREE_FANOUT	32
#define PBFT_TREE_SPACE_PAGES	1024
#define PBFT_TREE_SPACES	2
#define PBFT_TREE_PAGES		(PBFT_TREE_SPACES * PBFT_TREE_SPACE_PAGES)
#define PBFT_TREE_MIDS		(PBFT_TREE_PAGES / PBFT_TREE_FANOUT)
#define PBFT_TREE_LEVELS	4
#define PBFT_TREE_PAGE_LEVEL	3
/* Not of the tree: the keys and value digests of a page, in state transfer. */
#define PBFT_TREE_INDEX_LEVEL	4

enum pbft_tree_space {
	PBFT_SPACE_KV,
	PBFT_SPACE_SESSION,
};

struct pbft_tree_node {
	struct pbft_digest digest;
	u64 size;		/* bytes of the node's encoding */
	u64 index;		/* pages: bytes of its index */
};

static inline bool pbft_tree_node_eq(const struct pbft_tree_node *a,
				     const struct pbft_tree_node *b)
{
	return a->size == b->size && a->index == b->index &&
	       pbft_digest_eq(&a->digest, &b->digest);
}

/* As nodes are encoded in their parent. */
struct pbft_tree_child {
	struct pbft_digest digest;
	__le64 size;
	__le64 index;
} __packed __aligned(8);

struct pbft_tree {
	struct pbft_tree_node root;
	struct pbft_tree_node space[PBFT_TREE_SPACES];
	struct pbft_tree_node mid[PBFT_TREE_MIDS];
	struct pbft_tree_node page[PBFT_TREE_PAGES];
};

/* The largest encoding of an interior node, in bytes. */
#define PBFT_TREE_NODE_MAX	(PBFT_TREE_FANOUT * sizeof(struct pbft_tree_child))

/* Nodes of @level, 0 for a level that is none. */
u32 pbft_tree_count(u32 level);
struct pbft_tree_node *pbft_tree_node(struct pbft_tree *t, u32 level, u32 index);

/* The children of interior node (@level, @index); @first is on level + 1. */
u32 pbft_tree_children(u32 level, u32 index, u32 *first);

/* Encode the children of an interior node; return bytes. */
u32 pbft_tree_encode(struct pbft_tree *t, u32 level, u32 index, void *out);

/*
 * Take the children of an interior node from their encoding, if it has the size
 * and digest that the node itself has in @t. false: it has not, nothing changes.
 */
bool pbft_tree_decode(struct pbft_tree *t, u32 level, u32 index,
		      const void *data, u64 len);

/*
 * Recompute the interior nodes above the pages: all of them, or those above the
 * level 2 nodes that are @changed.
 */
void pbft_tree_build(struct pbft_tree *t, const bool changed[PBFT_TREE_MIDS]);

/* A tree of empty pages. */
void pbft_tree_init(struct pbft_tree *t);

/* The page an entry belongs to, 0..PBFT_TREE_PAGES - 1. */
u32 pbft_tree_page_of(enum pbft_tree_space space, const void *key, u32 klen);

static inline enum pbft_tree_space pbft_tree_page_space(u32 page)
{
	return page / PBFT_TREE_SPACE_PAGES;
}

/* Collects the leaves of one page, in order of their keys, for its digest. */
struct pbft_page_sum {
	u8 *buf;
	size_t len, cap;
	u64 size;		/* bytes of the page's encoding so far */
	bool nomem;
};

/* Begin a page; keeps the memory of an earlier one. */
void pbft_page_sum_start(struct pbft_page_sum *s, u32 page);
void pbft_page_sum_add(struct pbft_page_sum *s, const void *key, u32 klen,
		       u32 vlen, const struct pbft_digest *vhash);
/* Return 0 or -ENOMEM. */
int pbft_page_sum_done(struct pbft_page_sum *s, struct pbft_tree_node *out);
void pbft_page_sum_free(struct pbft_page_sum *s);

/* What was added so far, encoded: the page's index. */
const u8 *pbft_page_sum_index(const struct pbft_page_sum *s, u64 *len);
/* Is @index the one of @page with that digest? */
bool pbft_page_index_ok(u32 page, const struct pbft_tree_node *want,
			const void *index, u64 len);

#endif /* PBFTD_TREE_H */
