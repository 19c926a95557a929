// SPDX-License-Identifier: GPL-2.0
/*
 * The Merkle tree over the application's state.
 *
 * Pure arithmetic on nodes: which page an entry belongs to, how nodes are
 * encoded and digested. Where pages come from is not known here.
 */
#include "tree.h"

#define LABEL_NODE	"pbft state node v1"
#define LABEL_PAGE	"pbft state page v1"
#define LABEL_KEY	"pbft state key v1"
#define PAGE_PREFIX	(sizeof(LABEL_PAGE) - 1 + 4)	/* and the page's number */

u32 pbft_tree_count(u32 level)
{
	static const u32 count[PBFT_TREE_LEVELS] = {
		1, PBFT_TREE_SPACES, PBFT_TREE_MIDS, PBFT_TREE_PAGES,
	};

	return level < PBFT_TREE_LEVELS ? count[level] : 0;
}

struct pbft_tree_node *pbft_tree_node(struct pbft_tree *t, u32 level, u32 index)
{
	switch (level) {
	case 0:
		return &t->root;
	case 1:
		return &t->space[index];
	case 2:
		return &t->mid[index];
	default:
		return &t->page[index];
	}
}

u32 pbft_tree_children(u32 level, u32 index, u32 *first)
{
	u32 n = pbft_tree_count(level + 1) / pbft_tree_count(level);

	*first = index * n;
	return n;
}

u32 pbft_tree_encode(struct pbft_tree *t, u32 level, u32 index, void *out)
{
	struct pbft_tree_child *c = out;
	u32 first, n, i;

	n = pbft_tree_children(level, index, &first);
	for (i = 0; i < n; i++) {
		const struct pbft_tree_node *node =
			pbft_tree_node(t, level + 1, first + i);

		c[i].digest = node->digest;
		c[i].size = cpu_to_le64(node->size);
		c[i].index = cpu_to_le64(node->index);
	}
	return n * sizeof(*c);
}

static void node_digest(struct pbft_digest *out, u32 level, u32 index,
			const void *data, size_t len)
{
	const __le32 where[2] = { cpu_to_le32(level), cpu_to_le32(index) };
	const struct pbft_iov iov[] = {
		{ LABEL_NODE, sizeof(LABEL_NODE) - 1 },
		{ where, sizeof(where) },
		{ data, len },
	};

	pbft_hash(out, iov, ARRAY_SIZE(iov));
}

bool pbft_tree_decode(struct pbft_tree *t, u32 level, u32 index,
		      const void *data, u64 len)
{
	const struct pbft_tree_node *self = pbft_tree_node(t, level, index);
	const struct pbft_tree_child *c = data;
	struct pbft_digest digest;
	u32 first, n, i;

	n = pbft_tree_children(level, index, &first);
	if (len != n * sizeof(*c))
		return false;
	node_digest(&digest, level, index, data, len);
	if (!pbft_digest_eq(&digest, &self->digest))
		return false;
	for (i = 0; i < n; i++) {
		struct pbft_tree_node *node =
			pbft_tree_node(t, level + 1, first + i);

		memcpy(&node->digest, &c[i].digest, sizeof(node->digest));
		node->size = le64_to_cpu(c[i].size);
		node->index = le64_to_cpu(c[i].index);
	}
	return true;
}

void pbft_tree_build(struct pbft_tree *t, const bool changed[PBFT_TREE_MIDS])
{
	u8 buf[PBFT_TREE_NODE_MAX] __aligned(8);
	int level;
	u32 i, len;

	for (level = PBFT_TREE_PAGE_LEVEL - 1; level >= 0; level--) {
		for (i = 0; i < pbft_tree_count(level); i++) {
			struct pbft_tree_node *node = pbft_tree_node(t, level, i);

			if (changed && level == PBFT_TREE_PAGE_LEVEL - 1 &&
			    !changed[i])
				continue;
			len = pbft_tree_encode(t, level, i, buf);
			node_digest(&node->digest, level, i, buf, len);
			node->size = len;
			node->index = 0;
		}
	}
}

void pbft_tree_init(struct pbft_tree *t)
{
	struct pbft_page_sum sum = { 0 };
	u32 i;

	for (i = 0; i < PBFT_TREE_PAGES; i++) {
		pbft_page_sum_start(&sum, i);
		pbft_page_sum_done(&sum, &t->page[i]);
	}
	pbft_page_sum_free(&sum);
	pbft_tree_build(t, NULL);
}

u32 pbft_tree_page_of(enum pbft_tree_space space, const void *key, u32 klen)
{
	const u8 tag = space;
	const struct pbft_iov iov[] = {
		{ LABEL_KEY, sizeof(LABEL_KEY) - 1 },
		{ &tag, 1 },
		{ key, klen },
	};
	struct pbft_digest d;

	pbft_hash(&d, iov, ARRAY_SIZE(iov));
	return space * PBFT_TREE_SPACE_PAGES +
	       (d.b[0] | (u32)d.b[1] << 8) % PBFT_TREE_SPACE_PAGES;
}

static u8 *sum_room(struct pbft_page_sum *s, size_t len)
{
	u8 *p;

	if (s->nomem)
		return NULL;
	if (s->len + len > s->cap) {
		size_t cap = max(s->cap * 2, s->len + len + 4096);

		p = realloc(s->buf, cap);
		if (!p) {
			s->nomem = true;
			return NULL;
		}
		s->buf = p;
		s->cap = cap;
	}
	p = s->buf + s->len;
	s->len += len;
	return p;
}

static void put_le32(u8 *p, u32 v)
{
	const __le32 le = cpu_to_le32(v);

	memcpy(p, &le, sizeof(le));
}

void pbft_page_sum_start(struct pbft_page_sum *s, u32 page)
{
	u8 *p;

	s->len = 0;
	s->size = 0;
	s->nomem = false;
	p = sum_room(s, PAGE_PREFIX);
	if (!p)
		return;
	memcpy(p, LABEL_PAGE, sizeof(LABEL_PAGE) - 1);
	put_le32(p + sizeof(LABEL_PAGE) - 1, page);
}

void pbft_page_sum_add(struct pbft_page_sum *s, const void *key, u32 klen,
		       u32 vlen, const struct pbft_digest *vhash)
{
	u8 *p = sum_room(s, 8 + klen + PBFT_DIGEST_LEN);

	if (!p)
		return;
	put_le32(p, klen);
	put_le32(p + 4, vlen);
	memcpy(p + 8, key, klen);
	memcpy(p + 8 + klen, vhash->b, PBFT_DIGEST_LEN);
	s->size += 8 + (u64)klen + vlen;
}

int pbft_page_sum_done(struct pbft_page_sum *s, struct pbft_tree_node *out)
{
	struct pbft_iov iov = { s->buf, s->len };

	if (s->nomem)
		return -ENOMEM;
	pbft_hash(&out->digest, &iov, 1);
	out->size = s->size;
	pbft_page_sum_index(s, &out->index);
	return 0;
}

const u8 *pbft_page_sum_index(const struct pbft_page_sum *s, u64 *len)
{
	*len = s->len - PAGE_PREFIX;
	return s->buf + PAGE_PREFIX;
}

bool pbft_page_index_ok(u32 page, const struct pbft_tree_node *want,
			const void *index, u64 len)
{
	u8 prefix[PAGE_PREFIX];
	const struct pbft_iov iov[] = {
		{ prefix, sizeof(prefix) },
		{ index, len },
	};
	struct pbft_digest d;

	memcpy(prefix, LABEL_PAGE, sizeof(LABEL_PAGE) - 1);
	put_le32(prefix + sizeof(LABEL_PAGE) - 1, page);
	pbft_hash(&d, iov, ARRAY_SIZE(iov));
	return len == want->index && pbft_digest_eq(&d, &want->digest);
}

void pbft_page_sum_free(struct pbft_page_sum *s)
{
	free(s->buf);
	memset(s, 0, sizeof(*s));
}
