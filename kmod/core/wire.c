// SPDX-License-Identifier: GPL-2.0
/*
 * Decoding: is a datagram a well-formed message? Everything that later code may
 * take for granted about lengths, counts and indexes is checked here, and only
 * here. Digests of wire objects stand in digest.c.
 */
#include "wire.h"

struct type_info {
	const char *name;
	u8 auth;		/* enum pbft_auth */
	bool from_client;
	bool from_any;		/* a replica or a client */
	bool retained;
	u32 min, max;		/* bytes of header and body */
};

/* One whose length is that of its struct, and one that goes on after that. */
#define FIXED(_type, _name, _auth, _struct, ...) \
	[_type] = { .name = _name, .auth = _auth, .min = sizeof(struct _struct), \
		    .max = sizeof(struct _struct), __VA_ARGS__ }
#define OPEN(_type, _name, _auth, _struct, ...) \
	[_type] = { .name = _name, .auth = _auth, .min = sizeof(struct _struct), \
		    .max = PBFT_MSG_MAX, __VA_ARGS__ }

static const struct type_info types[PBFT_TYPE_MAX + 1] = {
	OPEN(PBFT_REQUEST, "REQUEST", PBFT_AUTH_VECTOR, pbft_request,
	     .from_client = true, .retained = true),
	OPEN(PBFT_REPLY, "REPLY", PBFT_AUTH_MAC, pbft_reply),
	OPEN(PBFT_PRE_PREPARE, "PRE-PREPARE", PBFT_AUTH_MAC, pbft_pre_prepare,
	     .retained = true),
	FIXED(PBFT_PREPARE, "PREPARE", PBFT_AUTH_MAC, pbft_vote),
	FIXED(PBFT_COMMIT, "COMMIT", PBFT_AUTH_MAC, pbft_vote),
	FIXED(PBFT_CHECKPOINT, "CHECKPOINT", PBFT_AUTH_MAC, pbft_checkpoint),
	OPEN(PBFT_VIEW_CHANGE, "VIEW-CHANGE", PBFT_AUTH_VECTOR, pbft_view_change,
	     .retained = true),
	FIXED(PBFT_VIEW_CHANGE_ACK, "VIEW-CHANGE-ACK", PBFT_AUTH_MAC, pbft_vc_ack),
	OPEN(PBFT_NEW_VIEW, "NEW-VIEW", PBFT_AUTH_VECTOR, pbft_new_view,
	     .retained = true),
	OPEN(PBFT_STATUS, "STATUS", PBFT_AUTH_MAC, pbft_status_msg),
	OPEN(PBFT_COMMITTED, "COMMITTED", PBFT_AUTH_MAC, pbft_committed),
	FIXED(PBFT_FETCH, "FETCH", PBFT_AUTH_MAC, pbft_fetch),
	OPEN(PBFT_BATCH, "BATCH", PBFT_AUTH_MAC, pbft_pre_prepare, .retained = true),
	OPEN(PBFT_RELAY, "RELAY", PBFT_AUTH_MAC, pbft_relay, .retained = true),
	FIXED(PBFT_QUERY_STABLE, "QUERY-STABLE", PBFT_AUTH_MAC, pbft_query_stable),
	FIXED(PBFT_REPLY_STABLE, "REPLY-STABLE", PBFT_AUTH_MAC, pbft_reply_stable),
	FIXED(PBFT_REJOIN, "REJOIN", PBFT_AUTH_MAC, pbft_rejoin),
	OPEN(PBFT_NACK, "NACK", PBFT_AUTH_MAC, pbft_nack),
	FIXED(PBFT_ENDORSE, "ENDORSE", PBFT_AUTH_MAC, pbft_endorse),
	OPEN(PBFT_FRAGMENT, "FRAGMENT", PBFT_AUTH_MAC, pbft_fragment, .from_any = true),
	OPEN(PBFT_PEER_DATA, "PEER-DATA", PBFT_AUTH_MAC, pbft_peer_data),
	FIXED(PBFT_HELLO, "HELLO", PBFT_AUTH_MAC, pbft_hello, .from_client = true),
	FIXED(PBFT_HELLO_ACK, "HELLO-ACK", PBFT_AUTH_MAC, pbft_hello_ack),
};

static const char * const drop_names[PBFT_DROP_MAX] = {
	[PBFT_OK] = "ok",
	[PBFT_DROP_SHORT] = "short",
	[PBFT_DROP_MAGIC] = "magic",
	[PBFT_DROP_VERSION] = "version",
	[PBFT_DROP_TYPE] = "type",
	[PBFT_DROP_LENGTH] = "length",
	[PBFT_DROP_CLUSTER] = "cluster",
	[PBFT_DROP_EPOCH] = "epoch",
	[PBFT_DROP_SENDER] = "sender",
	[PBFT_DROP_KEY] = "key",
	[PBFT_DROP_MAC] = "mac",
	[PBFT_DROP_MALFORMED] = "malformed",
	[PBFT_DROP_QUOTA] = "quota",
	[PBFT_DROP_NOMEM] = "nomem",
	[PBFT_DROP_STOPPED] = "stopped",
	[PBFT_DROP_JOURNAL] = "journal",
};

/* NULL: there is no such type. */
static const struct type_info *type_info(u8 type)
{
	return type <= PBFT_TYPE_MAX && types[type].name ? &types[type] : NULL;
}

static u32 auth_len(enum pbft_auth auth, u32 n)
{
	return auth == PBFT_AUTH_VECTOR ? n * PBFT_MAC_LEN : PBFT_MAC_LEN;
}

const char *pbft_type_name(u8 type)
{
	const struct type_info *info = type_info(type);

	return info ? info->name : "unknown";
}

const char *pbft_drop_name(enum pbft_drop drop)
{
	return (unsigned int)drop < PBFT_DROP_MAX ? drop_names[drop] : "unknown";
}

enum pbft_auth pbft_wire_auth(u8 type)
{
	const struct type_info *info = type_info(type);

	return info ? info->auth : PBFT_AUTH_MAC;
}

u32 pbft_wire_auth_len(u8 type, u32 n)
{
	return auth_len(pbft_wire_auth(type), n);
}

bool pbft_wire_retained(u8 type)
{
	const struct type_info *info = type_info(type);

	return info && info->retained;
}

void pbft_wire_header(struct pbft_hdr *hdr, const struct pbft_wire_id *id,
		      u8 type, u32 len, u32 sender, u64 view, u64 seq)
{
	hdr->magic = cpu_to_le32(PBFT_MAGIC);
	hdr->version = PBFT_VERSION;
	hdr->type = type;
	hdr->key_id = 0;
	hdr->flags = 0;
	hdr->length = cpu_to_le32(len);
	hdr->sender = cpu_to_le32(sender);
	hdr->cluster = cpu_to_le64(id->cluster);
	hdr->epoch = cpu_to_le32(id->epoch);
	hdr->reserved = 0;
	hdr->view = cpu_to_le64(view);
	hdr->seq = cpu_to_le64(seq);
}

static bool sender_in_range(const struct type_info *info, u32 sender, u32 n)
{
	if (sender < n)
		return !info->from_client;
	return (info->from_client || info->from_any) &&
	       sender >= PBFT_CLIENT_ID_MIN && sender <= PBFT_CLIENT_ID_MAX;
}

static enum pbft_drop check_header(const struct pbft_wire_id *id,
				   const struct pbft_hdr *h, u32 len,
				   struct pbft_head *head)
{
	const struct type_info *info;
	u32 body;

	if (len < sizeof(*h))
		return PBFT_DROP_SHORT;
	if (le32_to_cpu(h->magic) != PBFT_MAGIC)
		return PBFT_DROP_MAGIC;
	if (h->version != PBFT_VERSION)
		return PBFT_DROP_VERSION;
	info = type_info(h->type);
	if (!info)
		return PBFT_DROP_TYPE;
	if (le64_to_cpu(h->cluster) != id->cluster)
		return PBFT_DROP_CLUSTER;
	if (le32_to_cpu(h->epoch) != id->epoch)
		return PBFT_DROP_EPOCH;

	body = le32_to_cpu(h->length);
	if (body < info->min || body > info->max ||
	    len != body + auth_len(info->auth, id->n))
		return PBFT_DROP_LENGTH;

	head->type = h->type;
	head->key_id = h->key_id;
	head->len = body;
	head->sender = le32_to_cpu(h->sender);
	head->view = le64_to_cpu(h->view);
	head->seq = le64_to_cpu(h->seq);
	if (!sender_in_range(info, head->sender, id->n))
		return PBFT_DROP_SENDER;
	/* later code adds windows to them, and compares them as s64 */
	if (h->flags || h->reserved || head->view > S64_MAX || head->seq > S64_MAX)
		return PBFT_DROP_MALFORMED;
	return PBFT_OK;
}

static bool check_request(const struct pbft_request *m, const struct pbft_head *head)
{
	u32 op_len = le32_to_cpu(m->op_len);

	return op_len <= PBFT_OP_MAX && head->len == sizeof(*m) + op_len &&
	       !m->reserved && head->seq && m->session && !head->view;
}

static bool check_reply(const struct pbft_reply *m, const struct pbft_head *head)
{
	u32 result_len = le32_to_cpu(m->result_len);

	return result_len <= PBFT_OP_MAX &&
	       head->len == sizeof(*m) + result_len &&
	       le32_to_cpu(m->full_len) <= PBFT_OP_MAX && !m->reserved;
}

/* One request inside another message: whole, and of this cluster. */
static bool check_inner(const struct pbft_wire_id *id, const void *data, u32 len,
			u8 type, struct pbft_head *head)
{
	return check_header(id, data, len, head) == PBFT_OK &&
	       head->type == type &&
	       (type != PBFT_REQUEST || check_request(data, head));
}

static bool check_batch(const struct pbft_wire_id *id,
			const struct pbft_pre_prepare *m,
			const struct pbft_head *head)
{
	u32 count = le32_to_cpu(m->count), left = head->len - sizeof(*m), i;
	const u8 *p = m->entries;

	/* agreed time moves on from this one by adding to it */
	if (count > PBFT_BATCH_MAX || m->reserved || le64_to_cpu(m->time) > S64_MAX)
		return false;
	for (i = 0; i < count; i++) {
		const struct pbft_entry *e = (const void *)p;
		struct pbft_head inner;
		u32 len, padded;

		if (left < sizeof(*e))
			return false;
		left -= sizeof(*e);
		len = le32_to_cpu(e->len);
		if (len > left)
			return false;
		padded = ALIGN(len, 8);
		if (padded > left)
			return false;
		if (!len && head->type == PBFT_BATCH)
			return false;
		if (len) {
			if (!check_inner(id, e->request, len, PBFT_REQUEST, &inner))
				return false;
			if (inner.sender != le32_to_cpu(e->client) ||
			    inner.seq != le64_to_cpu(e->t) ||
			    ((const struct pbft_request *)e->request)->session != e->session)
				return false;
		}
		left -= padded;
		p += sizeof(*e) + padded;
	}
	return !left;
}

static bool check_view_change(const struct pbft_view_change *m,
			      const struct pbft_head *head)
{
	u64 len = sizeof(*m) +
		  (u64)le32_to_cpu(m->c_count) * sizeof(struct pbft_vc_c) +
		  (u64)le32_to_cpu(m->p_count) * sizeof(struct pbft_vc_pq) +
		  (u64)le32_to_cpu(m->q_count) * sizeof(struct pbft_vc_pq);

	return len == head->len && !m->reserved;
}

static bool check_new_view(const struct pbft_new_view *m, u32 n,
			   const struct pbft_head *head)
{
	u64 len = sizeof(*m) +
		  (u64)le32_to_cpu(m->v_count) * sizeof(struct pbft_nv_v) +
		  (u64)le32_to_cpu(m->x_count) * sizeof(struct pbft_digest);
	const struct pbft_nv_v *v = (const void *)m->body;
	u32 i;

	if (len != head->len || le32_to_cpu(m->v_count) > n)
		return false;
	for (i = 0; i < le32_to_cpu(m->v_count); i++)
		if (le32_to_cpu(v[i].origin) >= n)
			return false;
	return true;
}

static bool check_status(const struct pbft_status_msg *m,
			 const struct pbft_head *head)
{
	u32 bits = le32_to_cpu(m->bits);

	return bits <= PBFT_STATUS_BITS_MAX &&
	       head->len == sizeof(*m) + ALIGN(DIV_ROUND_UP(bits, 4), 8);
}

static bool check_committed(const struct pbft_committed *m,
			    const struct pbft_head *head)
{
	u32 count = le32_to_cpu(m->count);

	return count && count <= PBFT_COMMITTED_MAX && !m->reserved &&
	       head->seq &&
	       head->len == sizeof(*m) + count * sizeof(struct pbft_digest);
}

static bool check_relay(const struct pbft_wire_id *id,
			const struct pbft_relay *m, const struct pbft_head *head)
{
	u32 len = head->len - sizeof(*m);
	struct pbft_head inner;

	if (check_inner(id, m->inner, len, PBFT_REQUEST, &inner))
		return true;
	if (check_inner(id, m->inner, len, PBFT_VIEW_CHANGE, &inner))
		return check_view_change((const void *)m->inner, &inner);
	return check_inner(id, m->inner, len, PBFT_NEW_VIEW, &inner) &&
	       check_new_view((const void *)m->inner, id->n, &inner);
}

static bool check_nack(const struct pbft_nack *m, const struct pbft_head *head)
{
	u32 count = le32_to_cpu(m->count);

	return count <= PBFT_BATCH_MAX && !m->reserved &&
	       head->len == sizeof(*m) + ALIGN(count * sizeof(__le32), 8);
}

static bool check_fragment(const struct pbft_fragment *m,
			   const struct pbft_head *head)
{
	u32 total = le32_to_cpu(m->total), off = le32_to_cpu(m->offset);
	u32 size = le32_to_cpu(m->size), len = head->len - sizeof(*m);

	return size >= 512 && size % PBFT_FRAG_ALIGN == 0 && !m->reserved &&
	       total <= PBFT_MSG_MAX + PBFT_N_MAX * PBFT_MAC_LEN &&
	       off < total && off % size == 0 && len == min(size, total - off);
}

enum pbft_drop pbft_wire_check(const struct pbft_wire_id *id, const void *data,
			       u32 len, struct pbft_head *head)
{
	enum pbft_drop drop = check_header(id, data, len, head);
	bool ok = true;

	if (drop != PBFT_OK)
		return drop;
	switch (head->type) {
	case PBFT_REQUEST:
		ok = check_request(data, head);
		break;
	case PBFT_REPLY:
		ok = check_reply(data, head);
		break;
	case PBFT_PRE_PREPARE:
	case PBFT_BATCH:
		ok = check_batch(id, data, head);
		break;
	case PBFT_VIEW_CHANGE:
		ok = check_view_change(data, head);
		break;
	case PBFT_NEW_VIEW:
		ok = check_new_view(data, id->n, head);
		break;
	case PBFT_STATUS:
		ok = check_status(data, head);
		break;
	case PBFT_CHECKPOINT:
		ok = le64_to_cpu(((const struct pbft_checkpoint *)data)->time) <= S64_MAX;
		break;
	case PBFT_COMMITTED:
		ok = check_committed(data, head);
		break;
	case PBFT_RELAY:
		ok = check_relay(id, data, head);
		break;
	case PBFT_NACK:
		ok = check_nack(data, head);
		break;
	case PBFT_VIEW_CHANGE_ACK:
		ok = le32_to_cpu(((const struct pbft_vc_ack *)data)->origin) < id->n;
		break;
	case PBFT_FRAGMENT:
		ok = check_fragment(data, head);
		break;
	case PBFT_HELLO:
		ok = ((const struct pbft_hello *)data)->session != 0;
		break;
	}
	return ok ? PBFT_OK : PBFT_DROP_MALFORMED;
}

/* ---- messages inside messages --------------------------------------- */

static void inner_head(struct pbft_inner *it)
{
	const struct pbft_hdr *h = (const void *)it->data;

	it->head.type = h->type;
	it->head.key_id = h->key_id;
	it->head.len = le32_to_cpu(h->length);
	it->head.sender = le32_to_cpu(h->sender);
	it->head.view = le64_to_cpu(h->view);
	it->head.seq = le64_to_cpu(h->seq);
}

/* The entry at it->off, if the body reaches that far. */
static bool inner_entry(const void *data, struct pbft_inner *it)
{
	const struct pbft_hdr *h = data;
	const struct pbft_entry *e;

	if (it->off >= le32_to_cpu(h->length))
		return false;
	e = (const void *)((const u8 *)data + it->off);
	it->len = le32_to_cpu(e->len);
	it->data = it->len ? e->request : NULL;
	if (it->data)
		inner_head(it);
	return true;
}

bool pbft_inner_first(const void *data, u32 len, u32 n, struct pbft_inner *it)
{
	const struct pbft_hdr *h = data;

	switch (h->type) {
	case PBFT_RELAY:
		*it = (struct pbft_inner){
			.data = ((const struct pbft_relay *)data)->inner,
			.len = le32_to_cpu(h->length) - sizeof(struct pbft_relay),
			.off = le32_to_cpu(h->length),
		};
		inner_head(it);
		return true;
	case PBFT_PRE_PREPARE:
	case PBFT_BATCH:
		*it = (struct pbft_inner){ .off = sizeof(struct pbft_pre_prepare) };
		return inner_entry(data, it);
	}
	return false;
}

bool pbft_inner_next(const void *data, u32 len, u32 n, struct pbft_inner *it)
{
	const struct pbft_hdr *h = data;

	it->index++;
	if (h->type == PBFT_RELAY)
		return false;
	it->off += sizeof(struct pbft_entry) + ALIGN(it->len, 8);
	return inner_entry(data, it);
}
