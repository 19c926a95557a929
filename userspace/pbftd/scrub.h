/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Is the state in the database what was agreed on? Checked page by page, from the
 * bytes themselves, against a copy's digest tree whose root is certified; and set
 * right, entry by entry, from the page as a peer has it.
 *
 * The state is not changed by this: what it should be is known, and only what is
 * not so is written. When to look and whom to ask is recovery.c's business.
 */
#ifndef PBFTD_SCRUB_H
#define PBFTD_SCRUB_H

#include "store.h"

/* What is wrong with a page. */
enum pbft_scrub_bad {
	PBFT_SCRUB_BYTES = 1,	/* values, replies, sessions: not what their digests say */
	PBFT_SCRUB_DIGESTS = 2,	/* the digests that are stored beside them */
	PBFT_SCRUB_NODE = 4,	/* the page's own digest, as it is stored */
};

/* A record as it is in a copy. As pbft_store_get(). */
static inline int pbft_scrub_get(struct pbft_store *st, const struct pbft_snapshot *s,
				 MDB_dbi dbi, const void *key, size_t klen, MDB_val *val)
{
	return pbft_view_get(st, &s->view, dbi, key, klen, val);
}

/*
 * Write and delete records in the open transaction. What is put right is no change of
 * the state: these are not noted as one, wherever changes are.
 */
int pbft_scrub_put(struct pbft_store *st, MDB_dbi dbi, const void *key, size_t klen,
		   const void *val, size_t vlen);
int pbft_scrub_del(struct pbft_store *st, MDB_dbi dbi, const void *key, size_t klen);

/* Does the tree of @s hash to its root? */
bool pbft_scrub_tree(const struct pbft_snapshot *s);

/*
 * Check @page of @s. Return 0, a set of enum pbft_scrub_bad, or -ENOMEM with
 * st->err. *@bytes: how much there was to look at.
 */
int pbft_scrub_page(struct pbft_store *st, const struct pbft_snapshot *s, u32 page,
		    u64 *bytes);

enum pbft_scrub_table {
	PBFT_SCRUB_KEYS,
	PBFT_SCRUB_SESSIONS,
	PBFT_SCRUB_REPLIES,
	PBFT_SCRUB_TABLES,
};

/* A walk over what is stored, in search of entries that no page knows. */
struct pbft_scrub_walk {
	enum pbft_scrub_table table;
	u8 key[256];
	u32 klen;		/* 0: at the table's beginning */
};

/**
 * pbft_scrub_strays() - look at the next @max entries
 * @bad: told of the page of each stray
 *
 * A stray is taken out of the state at the head, if it is one there too. Return 1:
 * there is more, 0: the end, or -errno with st->err: the store can not go on.
 */
int pbft_scrub_strays(struct pbft_store *st, const struct pbft_snapshot *s,
		      struct pbft_scrub_walk *w, u32 max,
		      void (*bad)(void *arg, u32 page, bool repaired), void *arg);

/**
 * pbft_scrub_repair() - set right what is damaged of @page
 * @s: the copy in which it was found so
 * @data: the page's encoding, verified against @s's tree
 * @len: its bytes
 *
 * Where the page has changed since @s, only entries that have not. Return 1: all
 * of it is right; 0: not all of it could be told, look again at a later copy;
 * -errno with st->err: the store can not go on.
 */
int pbft_scrub_repair(struct pbft_store *st, const struct pbft_snapshot *s, u32 page,
		      const void *data, u64 len);
/* Write the stored nodes of @page and its siblings once more. Return 0 or -errno. */
int pbft_scrub_repair_node(struct pbft_store *st, u32 page);

/* Have what is read next come from the disk, as far as the kernel can be asked to. */
void pbft_scrub_cool(struct pbft_store *st);

#endif /* PBFTD_SCRUB_H */
