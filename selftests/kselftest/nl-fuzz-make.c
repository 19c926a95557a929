// SPDX-License-Identifier: GPL-2.0
/*
 * Making messages: of each command one that could be accepted, from the table of
 * the specification, and then up to three things wrong with it.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "nl-fuzz.h"

/* ---- bytes --------------------------------------------------------------------- */

static struct nlattr *put(struct fuzz *fz, u32 type, const void *data, u32 len)
{
	struct nlattr *a = (void *)(fz->msg + fz->len);

	if (fz->len + NLA_HDRLEN + NLA_ALIGN(len) + 64 > FUZZ_MSG)
		return a;
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memset((u8 *)a + NLA_HDRLEN, 0, NLA_ALIGN(len));
	if (len)
		memcpy((u8 *)a + NLA_HDRLEN, data, len);
	fz->len += NLA_HDRLEN + NLA_ALIGN(len);
	return a;
}

static void end_nest(struct fuzz *fz, struct nlattr *nest)
{
	u32 len = fz->msg + fz->len - (u8 *)nest;

	nest->nla_len = min_t(u32, len, 0xffff);
}

static void random_bytes(struct fuzz *fz, u8 *out, u32 len)
{
	for (u32 i = 0; i < len; i++)
		out[i] = prng_u64(&fz->rng);
}

static const struct spec_attr *spec_of(const struct spec_attr *set, u32 id)
{
	for (; set->name; set++)
		if (set->id == id)
			return set;
	return NULL;
}

/* ---- values that could be right ------------------------------------------------- */

static void put_u32(struct fuzz *fz, u32 type, u32 v)
{
	put(fz, type, &v, sizeof(v));
}

static void put_u64(struct fuzz *fz, u32 type, u64 v)
{
	put(fz, type, &v, sizeof(v));
}

/* Which of our instances is this message about? */
static void put_name(struct fuzz *fz, u32 who)
{
	char name[16];

	if (fz->live && !pick(fz, 12)) {
		put(fz, PBFT_A_NAME, fz->live, strlen(fz->live) + 1);
		return;
	}
	snprintf(name, sizeof(name), "f%u", who);
	put(fz, PBFT_A_NAME, name, strlen(name) + 1);
}

static void put_endpoint(struct fuzz *fz, u32 who)
{
	struct sockaddr_in in = {
		.sin_family = AF_INET,
		.sin_port = htons(fz->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + who),
	};

	put(fz, PBFT_NODE_A_ENDPOINT, &in, sizeof(in));
}

static void put_node(struct fuzz *fz, u32 type, u32 who)
{
	struct nlattr *nest = put(fz, type | NLA_F_NESTED, NULL, 0);
	bool client = type == PBFT_A_CLIENT;

	put_u32(fz, PBFT_NODE_A_ID, client ? 96 + who : who);
	put(fz, PBFT_NODE_A_PUBLIC_KEY, fz->public_key[client ? FUZZ_REPLICAS : who], 32);
	if (!client)
		put_endpoint(fz, who);
	end_nest(fz, nest);
}

/* The clients and the replicas, whole and in order, now and then with raw keys. */
static void put_nodes(struct fuzz *fz, u32 who)
{
	u32 clients = pick(fz, 16) ? 1 + pick(fz, 3) : pick(fz, 40);

	for (u32 i = 0; i < FUZZ_REPLICAS; i++)
		put_node(fz, PBFT_A_REPLICA, i);
	for (u32 i = 0; i < clients; i++)
		put_node(fz, PBFT_A_CLIENT, i);
	if (!pick(fz, 8)) {
		struct nlattr *nest = put(fz, PBFT_A_CLIENT | NLA_F_NESTED, NULL, 0);

		put_u32(fz, PBFT_NODE_A_ID, 90);
		put(fz, PBFT_NODE_A_KEY_TX, fz->raw_key, 32);
		put(fz, PBFT_NODE_A_KEY_RX, fz->raw_key, 32);
		end_nest(fz, nest);
	}
}

static void put_results(struct fuzz *fz, const struct fuzz_instance *in)
{
	struct pbft_nl_result result = { .status = 0 };

	for (u32 i = 0; i < in->requests; i++)
		put(fz, PBFT_A_RESULT, &result, sizeof(result));
}

static void put_recovery(struct fuzz *fz)
{
	struct nlattr *nest = put(fz, PBFT_A_RECOVERY | NLA_F_NESTED, NULL, 0);

	put_u32(fz, PBFT_RECOVERY_A_STATE, 1 + pick(fz, 3));
	put_u32(fz, PBFT_RECOVERY_A_TOTAL, 2048);
	put_u32(fz, PBFT_RECOVERY_A_CHECKED, pick(fz, 2048));
	if (!pick(fz, 3))
		put(fz, PBFT_RECOVERY_A_SCHEDULED, NULL, 0);
	end_nest(fz, nest);
}

static u64 seq_of(const struct fuzz *fz, const struct fuzz_instance *in)
{
	switch (fz->cmd) {
	case PBFT_CMD_CHECKPOINTED:
		return in->snapshot;
	case PBFT_CMD_STATE_INSTALLED:
	case PBFT_CMD_FETCH_PROGRESS:
		return in->fetch;
	default:
		return in->applied;
	}
}

/* Parameters of the protocol: what goes together, at a pace worth waiting for. */
static bool put_parameter(struct fuzz *fz, u32 id)
{
	static const struct {
		u32 id;
		u64 v;
	} good[] = {
		{ PBFT_A_CLUSTER, 42 }, { PBFT_A_EPOCH, 1 }, { PBFT_A_FAULTS, 1 },
		{ PBFT_A_MTU, 1400 }, { PBFT_A_CHECKPOINT_INTERVAL, 2 },
		{ PBFT_A_WINDOW, 8 }, { PBFT_A_PIPELINE, 4 },
		{ PBFT_A_BATCH_MAX, 16 }, { PBFT_A_BATCH_BYTES, 8192 },
		{ PBFT_A_INLINE_MAX, 512 }, { PBFT_A_TIMEOUT, 300000000 },
		{ PBFT_A_TIMEOUT_MAX, 2000000000 },
		{ PBFT_A_STATUS_INTERVAL, 20000000 }, { PBFT_A_HEARTBEAT, 5000000 },
		{ PBFT_A_CLOCK_SKEW, 0 }, { PBFT_A_SERVICE, PBFT_SERVICE_DAEMON },
		{ PBFT_A_NULL_REPLY, 0 }, { PBFT_A_FETCH_DONE, 1 },
		{ PBFT_A_FETCH_TOTAL, 2 }, { PBFT_A_RECOVERY_INTERVAL, 0 },
	};

	for (u32 i = 0; i < ARRAY_SIZE(good); i++) {
		if (good[i].id != id)
			continue;
		if (spec_of(spec_main, id)->type == SPEC_U64)
			put_u64(fz, id, good[i].v);
		else
			put_u32(fz, id, good[i].v);
		return true;
	}
	return false;
}

static void put_good(struct fuzz *fz, u32 id, u32 who)
{
	const struct fuzz_instance *in = &fz->inst[who];
	static const struct pbft_nl_head head;
	u8 data[256], key_id = pick(fz, 8) ? 0 : pick(fz, 4);

	switch (id) {
	case PBFT_A_NAME:
		put_name(fz, who);
		break;
	case PBFT_A_ID:
		put_u32(fz, id, in->id);
		break;
	case PBFT_A_SELF:
		put_u32(fz, id, who);
		break;
	case PBFT_A_PRIVATE_KEY:
		put(fz, id, fz->private_key[who], 32);
		break;
	case PBFT_A_MAC:
		if (pick(fz, 4))
			put(fz, id, "siphash128", 11);
		else
			put(fz, id, "hmac(sha256)", 13);
		break;
	case PBFT_A_REPLICA:
		put_nodes(fz, who);
		break;
	case PBFT_A_CLIENT:		/* has come with the replicas */
		break;
	case PBFT_A_KEY_ID:
		put(fz, id, &key_id, 1);
		break;
	case PBFT_A_GENESIS:
		put(fz, id, NULL, 0);
		break;
	case PBFT_A_HEAD:
		put(fz, id, &head, sizeof(head));
		break;
	case PBFT_A_SEQ:
		put_u64(fz, id, seq_of(fz, in));
		break;
	case PBFT_A_DIGEST:
		put(fz, id, in->digest, sizeof(in->digest));
		break;
	case PBFT_A_RESULT:
		put_results(fz, in);
		break;
	case PBFT_A_PEER_ID:
		put_u32(fz, id, (who + 1) % FUZZ_REPLICAS);
		break;
	case PBFT_A_RECOVERY:
		put_recovery(fz);
		break;
	case PBFT_A_DATA:
		random_bytes(fz, data, sizeof(data));
		put(fz, id, data, pick(fz, sizeof(data)));
		break;
	default:
		put_parameter(fz, id);
	}
}

/* ---- values that could not ------------------------------------------------------- */

static void put_wild_number(struct fuzz *fz, u32 id, u32 len)
{
	static const u64 edges[] = {
		0, 1, 3, 63, 64, 255, 256, 1023, 65535, 65536, 0x7fffffff, 0x80000000,
		0xffffffff, 1ull << 62, S64_MAX, 1ull << 63, U64_MAX,
	};
	u64 v = pick(fz, 3) ? edges[pick(fz, ARRAY_SIZE(edges))] : prng_u64(&fz->rng);

	put(fz, id, &v, len);
}

static void put_bytes(struct fuzz *fz, u32 id, u32 len)
{
	static u8 data[9000];

	len = min_t(u32, len, sizeof(data));
	random_bytes(fz, data, len);
	put(fz, id, data, len);
}

static u32 odd_length(struct fuzz *fz, const struct spec_attr *s)
{
	u32 right = s->exact ?: s->max ?: s->min ?: 8;

	switch (pick(fz, 6)) {
	case 0:
		return 0;
	case 1:
		return right - 1;
	case 2:
		return right + 1;
	case 3:
		return right + pick(fz, 8000);
	default:
		return pick(fz, 2 * right + 1);
	}
}

static void put_wild_nest(struct fuzz *fz, const struct spec_attr *set, u32 type,
			  u32 depth)
{
	u32 flag = pick(fz, 4) ? NLA_F_NESTED : pick(fz, 2) ? NLA_F_NET_BYTEORDER : 0;
	struct nlattr *nest = put(fz, type | flag, NULL, 0);

	for (u32 i = pick(fz, 6); i > 0; i--) {
		const struct spec_attr *s = &set[pick(fz, PBFT_NODE_A_MAX)];

		if (!s->name || !pick(fz, 5))
			put_wild_nest(fz, set, pick(fz, 12), depth ? depth - 1 : 0);
		else if (s->exact || s->min)
			put_bytes(fz, s->id, pick(fz, 2) ? s->exact ?: s->min :
							   odd_length(fz, s));
		else
			put_wild_number(fz, s->id, pick(fz, 3) ? 4 : pick(fz, 9));
		if (!depth)
			break;
	}
	end_nest(fz, nest);
	if (!pick(fz, 20))
		nest->nla_len += pick(fz, 64);
}

/* Any attribute, with any value. */
static void put_wild(struct fuzz *fz)
{
	const struct spec_attr *s = spec_of(spec_main, 1 + pick(fz, PBFT_A_MAX));

	switch (pick(fz, 8)) {
	case 0:
		put_bytes(fz, pick(fz, 80), pick(fz, 40));
		return;
	case 1:
		put_bytes(fz, prng_u64(&fz->rng), odd_length(fz, s));
		return;
	case 2:
		put_bytes(fz, s->id, odd_length(fz, s));
		return;
	}
	switch (s->type) {
	case SPEC_NEST:
		put_wild_nest(fz, s->nested, s->id, 1 + pick(fz, 4));
		break;
	case SPEC_U8:
		put_wild_number(fz, s->id, 1);
		break;
	case SPEC_U32:
		put_wild_number(fz, s->id, 4);
		break;
	case SPEC_U64:
		put_wild_number(fz, s->id, 8);
		break;
	default:
		put_bytes(fz, s->id, s->exact ?: pick(fz, 64));
	}
}

/* ---- messages ---------------------------------------------------------------------- */

static const struct spec_op *pick_op(struct fuzz *fz)
{
	static const u8 often[] = {
		PBFT_CMD_SET, PBFT_CMD_SET, PBFT_CMD_SET, PBFT_CMD_SET, PBFT_CMD_GET,
		PBFT_CMD_GET, PBFT_CMD_DEL, PBFT_CMD_UP, PBFT_CMD_UP, PBFT_CMD_UP,
		PBFT_CMD_UP, PBFT_CMD_UP, PBFT_CMD_DOWN, PBFT_CMD_SET_KEY,
		PBFT_CMD_BIND, PBFT_CMD_BIND, PBFT_CMD_BIND, PBFT_CMD_BIND,
		PBFT_CMD_EXECUTED, PBFT_CMD_EXECUTED, PBFT_CMD_EXECUTED,
		PBFT_CMD_EXECUTED, PBFT_CMD_CHECKPOINTED, PBFT_CMD_CHECKPOINTED,
		PBFT_CMD_STATE_INSTALLED, PBFT_CMD_PEER_SEND, PBFT_CMD_PEER_SEND,
		PBFT_CMD_FETCH_PROGRESS, PBFT_CMD_RECOVER, PBFT_CMD_RECOVERY,
	};
	u8 cmd = pick(fz, 40) ? often[pick(fz, sizeof(often))] :
				1 + pick(fz, PBFT_CMD_MAX);

	return &spec_ops[cmd - 1];
}

/*
 * An answer that is not due stops the instance: look for one to which it is, and
 * mostly bind another daemon if there is none.
 */
static const struct spec_op *answer_due(struct fuzz *fz, const struct spec_op *op,
					u32 *who)
{
	for (u32 i = 0; i < FUZZ_REPLICAS; i++) {
		const struct fuzz_instance *in = &fz->inst[(*who + i) % FUZZ_REPLICAS];

		if ((op->cmd == PBFT_CMD_EXECUTED && in->applied) ||
		    (op->cmd == PBFT_CMD_CHECKPOINTED && in->snapshot) ||
		    (op->cmd == PBFT_CMD_STATE_INSTALLED && in->fetch)) {
			*who = in - fz->inst;
			return op;
		}
	}
	return pick(fz, 8) ? &spec_ops[PBFT_CMD_BIND - 1] : op;
}

static void begin(struct fuzz *fz, u8 cmd)
{
	struct nlmsghdr *nlh = fuzz_nlh(fz);
	struct genlmsghdr *gen = (void *)(fz->msg + NLMSG_HDRLEN);

	memset(nlh, 0, NLMSG_HDRLEN + GENL_HDRLEN);
	nlh->nlmsg_type = fz->family;
	nlh->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
	nlh->nlmsg_seq = ++fz->seq;
	gen->cmd = cmd;
	gen->version = PBFT_GENL_VERSION;
	fz->cmd = cmd;
	fz->len = NLMSG_HDRLEN + GENL_HDRLEN;
	fz->whole = true;
}

/* Most parameters stay as they are. */
static bool wanted(struct fuzz *fz, u32 id)
{
	switch (id) {
	case PBFT_A_CHECKPOINT_INTERVAL:
	case PBFT_A_WINDOW:
	case PBFT_A_HEARTBEAT:
	case PBFT_A_STATUS_INTERVAL:
	case PBFT_A_TIMEOUT:
	case PBFT_A_CLUSTER:
		return true;
	case PBFT_A_KEY_ID:
		return fz->cmd != PBFT_CMD_SET || !pick(fz, 16);
	}
	return id > PBFT_A_CLOCK_SKEW || id <= PBFT_A_PRIVATE_KEY || !pick(fz, 8);
}

static void put_all(struct fuzz *fz, const struct spec_op *op, u32 who, bool bad)
{
	u32 skip = bad && !pick(fz, 3) ? pick(fz, 8) : U32_MAX;

	for (u32 i = 0; op->attrs[i]; i++) {
		if (i != skip && wanted(fz, op->attrs[i]))
			put_good(fz, op->attrs[i], who);
		if (bad && !pick(fz, 12))
			put_wild(fz);
		if (bad && !pick(fz, 30))
			put_good(fz, op->attrs[i], pick(fz, FUZZ_REPLICAS));
	}
	if (bad && !pick(fz, 3))
		put_wild(fz);
}

/* What is wrong with the frame, not with what it holds. */
static void spoil_frame(struct fuzz *fz)
{
	struct nlmsghdr *nlh = fuzz_nlh(fz);
	struct genlmsghdr *gen = (void *)(fz->msg + NLMSG_HDRLEN);

	switch (pick(fz, 8)) {
	case 0:			/* cut off */
		fz->len = pick(fz, fz->len + 1);
		nlh->nlmsg_len = fz->len;
		fz->whole = false;
		break;
	case 1:			/* a length that is not its own */
		nlh->nlmsg_len = pick(fz, 2 * fz->len);
		fz->whole = false;
		break;
	case 2:
		gen->cmd = prng_u64(&fz->rng);
		fz->cmd = gen->cmd <= PBFT_CMD_MAX ? gen->cmd : 0;
		break;
	case 3:
		gen->version = prng_u64(&fz->rng);
		break;
	case 4:
		nlh->nlmsg_flags |= prng_u64(&fz->rng) & 0x0f00;
		break;
	case 5:
		nlh->nlmsg_flags |= NLM_F_DUMP;
		break;
	case 6:			/* bits flipped anywhere behind the headers */
		for (u32 i = 0; i < 4 && fz->len > 24; i++)
			fz->msg[20 + pick(fz, fz->len - 20)] ^= 1u << pick(fz, 8);
		break;
	case 7:			/* the reserved bytes */
		gen->reserved = prng_u64(&fz->rng);
		break;
	}
}

void fuzz_make(struct fuzz *fz)
{
	const struct spec_op *op = pick_op(fz);
	u32 who = pick(fz, FUZZ_REPLICAS);
	bool bad = pick(fz, 2);

	if (op->cmd >= PBFT_CMD_EXECUTED && op->cmd <= PBFT_CMD_STATE_INSTALLED)
		op = answer_due(fz, op, &who);
	begin(fz, op->cmd);
	if (op->dump && pick(fz, 2)) {
		fuzz_nlh(fz)->nlmsg_flags |= NLM_F_DUMP;
		if (pick(fz, 2))
			goto out;
	}
	put_all(fz, op, who, bad);
out:
	fuzz_nlh(fz)->nlmsg_len = fz->len;
	if (bad && !pick(fz, 4))
		spoil_frame(fz);
}
