// SPDX-License-Identifier: GPL-2.0
/* Messages that no correct replica would send, field by field. */
#include <stdio.h>
#include <stdlib.h>
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

/* ---- PRE-PREPARE: ops=c0.1,c1.1 --------------------------------------------- */

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

static const char *forge_pre_prepare(u32 from, u64 view, u64 seq, const char *ops)
{
	struct pbft_pre_prepare *m = begin(from, PBFT_PRE_PREPARE, sizeof(*m), view, seq);
	struct pbft_digest reqs[16];
	u32 len = sizeof(*m), count = 0, c, t;
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
		memset(e, 0, sizeof(*e) + ALIGN(req->len, 8));
		e->len = cpu_to_le32(req->len);
		e->client = cpu_to_le32(op->client);
		e->session = cpu_to_le64(op->session);
		e->t = cpu_to_le64(op->t);
		e->digest = op->digest;
		memcpy(e->request, req->data, req->len);
		len += sizeof(*e) + ALIGN(req->len, 8);
		pbft_buf_put(req);
		reqs[count++] = op->digest;
		ops += used + (ops[used] == ',');
	}
	m->count = cpu_to_le32(count);
	pbft_batch_digest(&m->digest, seq, SIM_EPOCH, reqs, count);
	set_len(len);
	return NULL;
}

/* ---- VIEW-CHANGE: c=0:null p=1:A:0 q=1:A:0,2:B:1 ------------------------------- */

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
	struct pbft_vc_c zero = { 0 };
	u8 *p = m->body;

	m->h = cpu_to_le64(arg_number(args, count, "h", 0));
	if (!arg_value(args, count, "c")) {
		struct pbft_digest none = { { 0 } };

		/* the checkpoint all are born with */
		pbft_checkpoint_digest(&zero.digest, &scene.sim->id, 0, &none, &none, 0);
		memcpy(p, &zero, sizeof(zero));
		p += sizeof(zero);
		m->c_count = cpu_to_le32(1);
	}
	p = put_pq(p, arg_value(args, count, "p"), &m->p_count);
	if (p)
		p = put_pq(p, arg_value(args, count, "q"), &m->q_count);
	if (!p)
		return "p= and q= are lists of SEQ:DIGEST:VIEW";
	set_len(p - (u8 *)space);
	return NULL;
}

/* ---- NEW-VIEW: base=0 v=r1,r2,r3 x=A,null ------------------------------------------ */

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

static const char *forge_new_view(u32 from, u64 view, char **args, u32 count)
{
	struct pbft_new_view *m = begin(from, PBFT_NEW_VIEW, sizeof(*m), view, 0);
	const char *v = arg_value(args, count, "v"), *x = arg_value(args, count, "x");
	struct pbft_digest none = { { 0 } }, d;
	u8 *p = m->body;
	char name[32];
	int used;
	u64 set;
	u32 i;

	m->base = cpu_to_le64(arg_number(args, count, "base", 0));
	pbft_checkpoint_digest(&m->base_digest, &scene.sim->id, 0, &none, &none, 0);
	if (!v || !parse_replicas(v, &set))
		return "v= takes replicas, as in r1,r2,r3";
	for (i = 0; i < scene.sim->id.n; i++) {
		const struct ghost_vc *vc = set >> i & 1 ? vc_of(i, view) : NULL;
		struct pbft_nv_v e = { .origin = cpu_to_le32(i) };

		if (!(set >> i & 1))
			continue;
		if (!vc)
			return "v= names a replica that sent no VIEW-CHANGE for that view";
		e.digest = vc->dv;
		memcpy(p, &e, sizeof(e));
		p += sizeof(e);
		m->v_count = cpu_to_le32(le32_to_cpu(m->v_count) + 1);
	}
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

const char *scene_forge(u32 from, u64 to, const char *type, char **args, u32 count)
{
	u64 view = arg_number(args, count, "view", 0), seq = arg_number(args, count, "seq", 0);
	const char *d = arg_value(args, count, "d"), *wrong;

	if (!strcmp(type, "PRE-PREPARE"))
		wrong = forge_pre_prepare(from, view, seq, arg_value(args, count, "ops"));
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
	else
		wrong = "this type cannot be forged here";
	if (wrong)
		return wrong;
	for (; to; to &= to - 1)
		replica_send(&scene.sim->nodes[from], __ffs64(to),
			     auth_seal(scene.sim, space, from, __ffs64(to)));
	return NULL;
}
