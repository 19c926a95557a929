// SPDX-License-Identifier: GPL-2.0
/* Messages that no correct replica would send, field by field. */
#include <stdio.h>
#include <stdlib.h>
#include "internal.h"
#include "scenario.h"

static u64 space[64 * 1024 / 8];

static void *begin(u32 from, u8 type, u32 len, u64 view, u64 seq)
{
	memset(space, 0, len);
	pbft_wire_header((void *)space, &scene.sim->id, type, len, from, view, seq);
	return space;
}

static void set_len(u32 len)
{
	((struct pbft_hdr *)space)->length = cpu_to_le32(len);
}

/* ---- PRE-PREPARE: ops=c0.1,c1.1 [bare] ---------------------------------------- */

/* The client's request as it would have been sent: its number in session 1. */
static struct pbft_buf *request(const struct sim_op *op)
{
	u8 bytes[PBFT_OP_MAX];
	struct kv_op k = {
		.kind = op->kind, .key = op->key, .want = cpu_to_le16(op->want),
		.a = cpu_to_le64(op->a), .b = cpu_to_le64(op->b),
	};

	memcpy(bytes, &k, sizeof(k));
	memset(bytes + sizeof(k), 0x5a, op->len - sizeof(k));
	return client_request(scene.sim, op->client, op->session, op->t, bytes, op->len, 0, 0);
}

/* @bare: it names the requests, and does not bring them. */
static const char *forge_pre_prepare(u32 from, u64 view, u64 seq, const char *ops, bool bare)
{
	struct pbft_pre_prepare *m = begin(from, PBFT_PRE_PREPARE, sizeof(*m), view, seq);
	struct pbft_digest reqs[16];
	u32 len = sizeof(*m), count = 0, req_len, c, t;
	int used;

	m->time = cpu_to_le64(SIM_EPOCH);
	while (ops && sscanf(ops, "c%u.%u%n", &c, &t, &used) == 2 && count < 16) {
		struct pbft_entry *e = (void *)((u8 *)space + len);
		struct sim_op *op;
		struct pbft_buf *req;

		if (c >= scene.sim->client_count)
			return "no such client in ops=";
		op = client_op(scene.sim, PBFT_CLIENT_ID_MIN + c, 1, t);
		if (!op)
			return "no such operation in ops=";
		req = request(op);
		req_len = bare ? 0 : req->len;
		memset(e, 0, sizeof(*e) + ALIGN(req_len, 8));
		e->len = cpu_to_le32(req_len);
		e->client = cpu_to_le32(op->client);
		e->session = cpu_to_le64(op->session);
		e->t = cpu_to_le64(op->t);
		e->digest = op->digest;
		memcpy(e->request, req->data, req_len);
		len += sizeof(*e) + ALIGN(req_len, 8);
		pbft_buf_put(req);
		reqs[count++] = op->digest;
		ops += used + (ops[used] == ',');
	}
	m->count = cpu_to_le32(count);
	pbft_batch_digest(&m->digest, seq, SIM_EPOCH, reqs, count);
	set_len(len);
	return NULL;
}

/* ---- VIEW-CHANGE: c=0:genesis,4:F p=1:A:0 q=1:A:0,2:B:1 ------------------------ */

/* SEQ:DIGEST of a checkpoint; "genesis" is the one all are born with. Return: characters. */
static int parse_checkpoint(const char *s, struct pbft_vc_c *out)
{
	struct pbft_digest none = { { 0 } };
	unsigned long long seq;
	char name[32];
	int used = 0;

	if (sscanf(s, "%llu:%31[^,]%n", &seq, name, &used) != 2)
		return 0;
	out->seq = cpu_to_le64(seq);
	if (!strcmp(name, "genesis"))
		pbft_checkpoint_digest(&out->digest, &scene.sim->id, 0, &none, &none, 0);
	else if (!parse_digest(name, &out->digest))
		return 0;
	return used;
}

static u8 *put_c(u8 *p, const char *s, __le32 *count)
{
	struct pbft_vc_c e;
	int used;

	for (; *s; s += used + (s[used] == ',')) {
		used = parse_checkpoint(s, &e);
		if (!used)
			return NULL;
		memcpy(p, &e, sizeof(e));
		p += sizeof(e);
		*count = cpu_to_le32(le32_to_cpu(*count) + 1);
	}
	return p;
}

static u8 *put_pq(u8 *p, const char *s, __le32 *count)
{
	while (s && *s) {
		struct pbft_vc_pq e;
		char name[32];
		unsigned long long seq, view;
		int used = 0;

		if (sscanf(s, "%llu:%31[^:]:%llu%n", &seq, name, &view, &used) != 3 ||
		    !parse_digest(name, &e.digest))
			return NULL;
		e.seq = cpu_to_le64(seq);
		e.view = cpu_to_le64(view);
		memcpy(p, &e, sizeof(e));
		p += sizeof(e);
		*count = cpu_to_le32(le32_to_cpu(*count) + 1);
		s += used + (s[used] == ',');
	}
	return p;
}

static const char *forge_view_change(u32 from, u64 view, char **args, u32 count)
{
	struct pbft_view_change *m = begin(from, PBFT_VIEW_CHANGE, sizeof(*m), view, 0);
	const char *c = arg_value(args, count, "c");
	u8 *p = m->body;

	m->h = cpu_to_le64(arg_number(args, count, "h", 0));
	p = put_c(p, c ? c : "0:genesis", &m->c_count);
	if (!p)
		return "c= is a list of SEQ:DIGEST";
	p = put_pq(p, arg_value(args, count, "p"), &m->p_count);
	if (p)
		p = put_pq(p, arg_value(args, count, "q"), &m->q_count);
	if (!p)
		return "p= and q= are lists of SEQ:DIGEST:VIEW";
	set_len(p - (u8 *)space);
	pbft_vc_digest(&scene.forged, m);
	return NULL;
}

/* ---- NEW-VIEW: base=0:genesis v=r1,r2,r3:C x=A,null ------------------------------------------ */

/* The latest VIEW-CHANGE that @origin sent for @view. */
static const struct ghost_vc *vc_of(u32 origin, u64 view)
{
	struct ghost *g = scene.sim->ghost;
	u32 i;

	for (i = g->vc_count; i--; )
		if (g->vcs[i].from == origin && le64_to_cpu(g->vcs[i].m->hdr.view) == view)
			return &g->vcs[i];
	return NULL;
}

/*
 * "r1,r2:C,r3": named with the digest of its VIEW-CHANGE for this view, or with any
 * other. In the order given, as often as given.
 */
static const char *put_v(u8 **p, const char *v, u64 view, __le32 *count)
{
	while (*v) {
		const struct ghost_vc *vc;
		struct pbft_nv_v e = { 0 };
		char name[32] = "";
		u32 origin;
		int used = 0;

		if (sscanf(v, "r%u%n", &origin, &used) != 1)
			return "v= takes replicas, as in r1,r2,r3:C";
		e.origin = cpu_to_le32(origin);
		v += used;
		used = 0;
		vc = vc_of(origin, view);
		if (*v == ':' && sscanf(v, ":%31[^,]%n", name, &used) == 1) {
			if (!parse_digest(name, &e.digest))
				return "v= takes digests of the transcript";
		} else if (vc) {
			e.digest = vc->dv;
		} else {
			return "v= names a replica that sent no VIEW-CHANGE for that view";
		}
		v += used;
		v += *v == ',';
		memcpy(*p, &e, sizeof(e));
		*p += sizeof(e);
		*count = cpu_to_le32(le32_to_cpu(*count) + 1);
	}
	return NULL;
}

static const char *forge_new_view(u32 from, u64 view, char **args, u32 count)
{
	struct pbft_new_view *m = begin(from, PBFT_NEW_VIEW, sizeof(*m), view, 0);
	const char *v = arg_value(args, count, "v"), *x = arg_value(args, count, "x");
	const char *base = arg_value(args, count, "base"), *wrong;
	struct pbft_digest d;
	struct pbft_vc_c c;
	u8 *p = m->body;
	char name[32];
	int used;

	if (!parse_checkpoint(base ? base : "0:genesis", &c))
		return "base= takes SEQ:DIGEST";
	m->base = c.seq;
	m->base_digest = c.digest;
	wrong = put_v(&p, v ? v : "", view, &m->v_count);
	if (wrong)
		return wrong;
	for (; x && sscanf(x, "%31[^,]%n", name, &used) == 1; x += used + (x[used] == ',')) {
		if (!parse_digest(name, &d))
			return "x= takes digests of the transcript";
		memcpy(p, &d, sizeof(d));
		p += sizeof(d);
		m->x_count = cpu_to_le32(le32_to_cpu(m->x_count) + 1);
	}
	set_len(p - (u8 *)space);
	return NULL;
}

/* ---- small ones -------------------------------------------------------------------------- */

static const char *forge_vote(u32 from, u8 type, u64 view, u64 seq, const char *d)
{
	struct pbft_vote *m = begin(from, type, sizeof(*m), view, seq);

	return d && parse_digest(d, &m->digest) ? NULL : "d= takes a digest of the transcript";
}

static const char *forge_ack(u32 from, u64 view, char **args, u32 count)
{
	struct pbft_vc_ack *m = begin(from, PBFT_VIEW_CHANGE_ACK, sizeof(*m), view, 0);
	u32 origin = arg_number(args, count, "origin", 0);
	const char *d = arg_value(args, count, "d");
	const struct ghost_vc *vc = vc_of(origin, view);

	m->origin = cpu_to_le32(origin);
	if (!d && vc)
		m->digest = vc->dv;
	else if (!d || !parse_digest(d, &m->digest))
		return "d= takes a digest of the transcript";
	return NULL;
}

static const char *forge_checkpoint(u32 from, u64 seq, char **args, u32 count)
{
	struct pbft_checkpoint *m = begin(from, PBFT_CHECKPOINT, sizeof(*m), 0, seq);

	m->app.b[0] = arg_number(args, count, "app", 0);
	m->flags = cpu_to_le32(arg_number(args, count, "stable", 0));
	pbft_checkpoint_digest(&m->digest, &scene.sim->id, seq, &m->app, &m->chain, 0);
	return NULL;
}

static const char *forge_committed(u32 from, u64 seq, const char *d)
{
	struct pbft_committed *m = begin(from, PBFT_COMMITTED,
					 sizeof(*m) + sizeof(m->digests[0]), 0, seq);

	m->count = cpu_to_le32(1);
	return d && parse_digest(d, &m->digests[0]) ? NULL :
	       "d= takes a digest of the transcript";
}

/* An answer to the question that @to asked last. */
static const char *forge_reply_stable(u32 from, u64 to, u64 view, u64 seq, u64 prepared)
{
	struct pbft_reply_stable *m = begin(from, PBFT_REPLY_STABLE, sizeof(*m), view, seq);
	struct sim_node *node = &scene.sim->nodes[__ffs64(to)];

	if (!node->up)
		return "that replica asks nothing";
	m->nonce = cpu_to_le64(node->core->rec.nonce);
	m->prepared = cpu_to_le64(prepared);
	return NULL;
}

/* What was forged, as if @as had sent it, passed on by @from: no MAC of it holds. */
static const char *wrap(u32 from, const char *as)
{
	struct pbft_hdr *inner = (void *)space;
	u32 len = le32_to_cpu(inner->length), auth = pbft_wire_auth_len(inner->type,
									scene.sim->id.n);
	u64 set;

	if (inner->type != PBFT_VIEW_CHANGE || !parse_replicas(as, &set) ||
	    hweight64(set) != 1)
		return "as= takes a replica, and goes with VIEW-CHANGE";
	inner->sender = cpu_to_le32(__ffs64(set));
	pbft_vc_digest(&scene.forged, (void *)space);
	memmove((u8 *)space + sizeof(struct pbft_relay), space, len);
	memset((u8 *)space + sizeof(struct pbft_relay) + len, 0, auth);
	memset(space, 0, sizeof(struct pbft_relay));
	pbft_wire_header((void *)space, &scene.sim->id, PBFT_RELAY,
			 sizeof(struct pbft_relay) + len + auth, from, 0, 0);
	return NULL;
}

/* Send what was forged; the entries of its authenticator for @bad do not hold. */
static void send_forged(u32 from, u64 to, u64 bad)
{
	const struct pbft_hdr *h = (void *)space;

	for (; to; to &= to - 1) {
		struct pbft_buf *buf = auth_seal(scene.sim, space, from, __ffs64(to));
		u64 b = pbft_wire_auth(h->type) == PBFT_AUTH_VECTOR ? bad : 0;

		for (; b; b &= b - 1)
			buf->data[buf->len - (scene.sim->id.n - __ffs64(b)) * PBFT_MAC_LEN] ^= 1;
		replica_send(&scene.sim->nodes[from], __ffs64(to), buf);
	}
}

const char *scene_forge(u32 from, u64 to, const char *type, char **args, u32 count)
{
	u64 view = arg_number(args, count, "view", 0), seq = arg_number(args, count, "seq", 0);
	const char *d = arg_value(args, count, "d"), *as = arg_value(args, count, "as");
	const char *bad = arg_value(args, count, "bad"), *wrong;
	u64 bad_set = 0;

	if (bad && !parse_replicas(bad, &bad_set))
		return "bad= takes replicas, as in r0,r2";
	if (!strcmp(type, "PRE-PREPARE"))
		wrong = forge_pre_prepare(from, view, seq, arg_value(args, count, "ops"),
					  arg_flag(args, count, "bare"));
	else if (!strcmp(type, "PREPARE"))
		wrong = forge_vote(from, PBFT_PREPARE, view, seq, d);
	else if (!strcmp(type, "COMMIT"))
		wrong = forge_vote(from, PBFT_COMMIT, view, seq, d);
	else if (!strcmp(type, "VIEW-CHANGE"))
		wrong = forge_view_change(from, view, args, count);
	else if (!strcmp(type, "NEW-VIEW"))
		wrong = forge_new_view(from, view, args, count);
	else if (!strcmp(type, "VIEW-CHANGE-ACK"))
		wrong = forge_ack(from, view, args, count);
	else if (!strcmp(type, "CHECKPOINT"))
		wrong = forge_checkpoint(from, seq, args, count);
	else if (!strcmp(type, "COMMITTED"))
		wrong = forge_committed(from, seq, d);
	else if (!strcmp(type, "REPLY-STABLE"))
		wrong = forge_reply_stable(from, to, view, seq,
					   arg_number(args, count, "prepared", 0));
	else
		wrong = "this type cannot be forged here";
	if (!wrong && as)
		wrong = wrap(from, as);
	if (!wrong)
		send_forged(from, to, bad_set);
	return wrong;
}
