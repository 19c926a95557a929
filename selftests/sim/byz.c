// SPDX-License-Identifier: GPL-2.0
/*
 * Byzantine replicas: the real core behind a lying mouth. What the core wants
 * sent is changed on its way out, differently for the two halves into which
 * each view's receivers are split, and the same again when it is sent again.
 * All liars of a run conspire. Now and then they say something unasked.
 */
#include "byz.h"
#include "internal.h"

static u8 scratch[BYZ_LIE_MAX] __aligned(8);

const char * const byz_trait_names[BYZ_TRAITS] = {
	[BYZ_EQUIVOCATE] = "equivocate", [BYZ_FIELDS] = "fields", [BYZ_SILENT] = "silent",
	[BYZ_DEAF] = "deaf", [BYZ_VIEW_CHANGE] = "view-change", [BYZ_NEW_VIEW] = "new-view",
	[BYZ_MAC] = "bad-mac", [BYZ_CHECKPOINT] = "checkpoint", [BYZ_PROOF] = "proof",
	[BYZ_REPLY] = "reply", [BYZ_STATUS] = "status", [BYZ_RECOVERY] = "recovery",
	[BYZ_INJECT] = "inject", [BYZ_FORGE] = "forge", [BYZ_EAGER] = "eager",
	[BYZ_CHOOSE] = "choose", [BYZ_FORGE_VC] = "forge-vc", [BYZ_REOPEN] = "reopen",
	[BYZ_DENY] = "deny", [BYZ_VANISH] = "vanish",
};

void byz_init(struct sim *sim)
{
	struct prng *r = &sim->rng_byz;

	memset(&sim->byz, 0, sizeof(sim->byz));
	if (prng_chance(r, 250000))
		sim->byz.traits = (1u << BYZ_TRAITS) - 1;
	else
		sim->byz.traits = prng_u64(r) & prng_u64(r) & ((1u << BYZ_TRAITS) - 1);
	if (!sim->byz.traits)
		sim->byz.traits = 1u << prng_below(r, BYZ_TRAITS);
	sim->byz.traits &= ~sim->plan.no_traits;
	sim->byz.rate = prng_below(r, 3) ? prng_below(r, 100000) : prng_below(r, 1000000);
}

struct byz_variant *byz_variant(struct sim *sim, u64 view, u64 seq)
{
	struct byz_variant *v = &sim->byz.variants[seq % BYZ_VARIANTS];

	return v->seq == seq && v->view == view ? v : NULL;
}

const struct pbft_digest *byz_known_digest(struct sim *sim, struct prng *r)
{
	static struct pbft_digest null_d;
	u32 n = min_t(u32, sim->byz.digest_count, BYZ_DIGESTS);

	if (!n || prng_chance(r, 250000)) {
		pbft_null_digest(&null_d);
		return &null_d;
	}
	return &sim->byz.digests[prng_below(r, n)];
}

void byz_learn(struct sim *sim, u64 seq, const struct pbft_digest *d)
{
	u32 i = sim->byz.digest_count++ % BYZ_DIGESTS;

	sim->byz.digests[i] = *d;
	sim->byz.digest_seqs[i] = seq;
}

static void learn(struct sim *sim, const struct pbft_hdr *h)
{
	/* both begin with the digest */
	if (h->type == PBFT_PRE_PREPARE || h->type == PBFT_PREPARE)
		byz_learn(sim, le64_to_cpu(h->seq), &((const struct pbft_vote *)h)->digest);
}

/* Which face does this receiver see in this view? */
static u32 face(struct sim *sim, u64 view, u32 to)
{
	return prng_mix(sim->seed ^ prng_mix(view << 8 | to)) & 1;
}

/* Votes follow the variant shown to the receiver, whatever the core thinks. */
static void lie_vote(struct byz_lie *l)
{
	struct pbft_vote *m = (void *)l->msg;
	struct byz_variant *v = byz_variant(l->sim, le64_to_cpu(m->hdr.view),
					    le64_to_cpu(m->hdr.seq));

	if (v)
		m->digest = l->face ? v->d2 : v->d;
}

static void lie(struct byz_lie *l, u32 to)
{
	struct sim *sim = l->sim;

	switch (byz_hdr(l)->type) {
	case PBFT_PRE_PREPARE:
		if (byz_has(sim, BYZ_EQUIVOCATE) && l->face)
			lie_pre_prepare(l);
		break;
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		lie_vote(l);
		break;
	case PBFT_VIEW_CHANGE:
		if ((byz_has(sim, BYZ_VIEW_CHANGE) && l->face) || byz_has(sim, BYZ_DENY))
			lie_view_change(l);
		break;
	case PBFT_NEW_VIEW:
		if (byz_has(sim, BYZ_CHOOSE) && lie_choose_new_view(l, to))
			break;
		if (byz_has(sim, BYZ_NEW_VIEW) && l->face)
			lie_new_view(l);
		break;
	case PBFT_CHECKPOINT:
		if (byz_has(sim, BYZ_CHECKPOINT) && l->face)
			lie_checkpoint(l);
		break;
	case PBFT_COMMITTED:
		if (byz_has(sim, BYZ_PROOF))
			lie_committed(l);
		break;
	case PBFT_REPLY:
		if (byz_has(sim, BYZ_REPLY))
			lie_reply(l);
		break;
	case PBFT_STATUS:
		if (byz_has(sim, BYZ_STATUS))
			lie_status(l);
		break;
	case PBFT_VIEW_CHANGE_ACK:
		if (byz_has(sim, BYZ_PROOF))
			lie_ack(l);
		break;
	case PBFT_REPLY_STABLE:
		if (byz_has(sim, BYZ_RECOVERY))
			lie_reply_stable(l);
		break;
	}
	if (byz_has(sim, BYZ_FIELDS) && prng_chance(&sim->rng_byz, sim->byz.rate))
		lie_fields(l);
}

static void spoil_macs(struct sim *sim, struct pbft_buf *buf)
{
	struct prng *r = &sim->rng_byz;
	const struct pbft_hdr *h = (const void *)buf->data;
	u32 i, body = le32_to_cpu(h->length), macs = (buf->len - body) / PBFT_MAC_LEN;

	for (i = 0; i < macs; i++)
		if (prng_chance(r, 300000))
			buf->data[body + i * PBFT_MAC_LEN] ^= 1;
}

void byz_say(struct sim_node *node, const void *msg, u32 to)
{
	struct sim *sim = node->sim;
	struct pbft_buf *buf = auth_seal(sim, msg, node->id, to);

	if (byz_has(sim, BYZ_MAC) && prng_chance(&sim->rng_byz, sim->byz.rate))
		spoil_macs(sim, buf);
	replica_send(node, to, buf);
}

/*
 * What was just said, taken further at once: the primary votes for the batch it
 * shows, and the next view's primary has a VIEW-CHANGE before others have one.
 */
static void go_ahead(struct byz_lie *l, u32 to)
{
	struct pbft_hdr *h = byz_hdr(l);
	u32 len = le32_to_cpu(h->length) + pbft_wire_auth_len(h->type, l->sim->id.n);
	u64 view = le64_to_cpu(h->view);
	struct pbft_head head;
	struct pbft_vote m;

	if (pbft_wire_check(&l->sim->id, h, len, &head) != PBFT_OK)
		return;
	if (h->type == PBFT_PRE_PREPARE) {
		pbft_wire_header(&m.hdr, &l->sim->id, PBFT_PREPARE, sizeof(m), l->node->id,
				 view, le64_to_cpu(h->seq));
		m.digest = ((struct pbft_pre_prepare *)h)->digest;
		byz_say(l->node, &m, to);
		pbft_wire_header(&m.hdr, &l->sim->id, PBFT_COMMIT, sizeof(m), l->node->id,
				 view, le64_to_cpu(h->seq));
		byz_say(l->node, &m, to);
	} else if (h->type == PBFT_VIEW_CHANGE && (view + 1) % l->sim->id.n == to) {
		h->view = cpu_to_le64(view + 1);
		lie_view_change(l);
		byz_say(l->node, h, to);
	}
}

static bool vanishes(u8 type)
{
	return type == PBFT_VIEW_CHANGE || type == PBFT_VIEW_CHANGE_ACK ||
	       type == PBFT_NEW_VIEW || type == PBFT_BATCH || type == PBFT_RELAY ||
	       type == PBFT_COMMITTED;
}

static void send_to(struct sim_node *node, const struct pbft_out *out, u32 to)
{
	struct sim *sim = node->sim;
	const struct pbft_hdr *h = (const void *)out->buf->data;
	u64 view = le64_to_cpu(h->view), seq = le64_to_cpu(h->seq);
	struct byz_lie l = { .sim = sim, .node = node, .msg = scratch };

	if (byz_has(sim, BYZ_SILENT) &&
	    prng_mix(sim->seed ^ prng_mix((seq / 8) << 16 | h->type << 8 | to)) % 5 == 0)
		return;
	if (byz_has(sim, BYZ_VANISH) && vanishes(h->type))
		return;
	if (out->auth == PBFT_AUTH_NONE) {
		replica_send(node, to, pbft_buf_get(out->buf));
		return;
	}
	memcpy(scratch, h, le32_to_cpu(h->length));
	l.face = face(sim, view, to);
	prng_seed(&l.rng, sim->seed ^ prng_mix(view) ^ prng_mix(seq << 8 | h->type),
		  node->id << 1 | l.face);
	lie(&l, to);
	byz_say(node, scratch, to);
	if (byz_has(sim, BYZ_EAGER) && out->auth != PBFT_AUTH_NONE)
		go_ahead(&l, to);
}

void byz_send(struct sim_node *node, struct pbft_out *out)
{
	u64 to = out->to;

	learn(node->sim, (const void *)out->buf->data);
	if (out->client) {
		send_to(node, out, out->client);
		return;
	}
	for (; to; to &= to - 1)
		send_to(node, out, __ffs64(to));
}

/* ---- out of the blue ------------------------------------------------------ */

static u32 someone(struct sim_node *node)
{
	u32 to = prng_below(&node->sim->rng_byz, node->sim->id.n - 1);

	return to + (to >= node->id);
}

static void *begin(struct sim_node *node, u8 type, u32 len, u64 view, u64 seq)
{
	memset(scratch, 0, len);
	pbft_wire_header((void *)scratch, &node->sim->id, type, len, node->id, view, seq);
	return scratch;
}

static void say_vote(struct sim_node *node, const struct pbft_status *st)
{
	struct sim *sim = node->sim;
	struct prng *r = &sim->rng_byz;
	u64 view = st->view + prng_below(r, 3) - (st->view ? 1 : 0);
	u64 seq = st->last_committed + 1 + prng_below(r, 4);
	struct byz_variant *v = byz_variant(sim, view, seq);
	struct pbft_vote *m;

	m = begin(node, prng_chance(r, 500000) ? PBFT_PREPARE : PBFT_COMMIT, sizeof(*m),
		  view, seq);
	m->digest = v && prng_chance(r, 700000) ? v->d2 : *byz_known_digest(sim, r);
	byz_say(node, m, someone(node));
}

static void say_view_change(struct sim_node *node, const struct pbft_status *st)
{
	struct prng *r = &node->sim->rng_byz;
	static const u32 jump[] = { 1, 1, 2, 10, 1000000 };
	struct pbft_view_change *m;
	struct byz_lie l = { .sim = node->sim, .node = node, .msg = scratch, .face = 1 };
	u32 to = someone(node);

	m = begin(node, PBFT_VIEW_CHANGE, sizeof(*m),
		  st->view + jump[prng_below(r, ARRAY_SIZE(jump))], 0);
	m->h = cpu_to_le64(st->h);
	prng_seed(&l.rng, prng_u64(r), 0);
	lie_view_change(&l);
	byz_say(node, m, to);
}

static void say_checkpoint(struct sim_node *node, const struct pbft_status *st)
{
	struct prng *r = &node->sim->rng_byz;
	u32 k = node->sim->plan.cfg.k;
	u64 far = prng_chance(r, 300000) ? 1ull << prng_below(r, 62) : prng_below(r, 8);
	u64 seq = (st->h / k + far) * k;
	struct pbft_checkpoint *m = begin(node, PBFT_CHECKPOINT, sizeof(*m), 0, seq);

	m->app.b[0] = prng_below(r, 3);
	m->flags = cpu_to_le32(prng_chance(r, 500000) ? PBFT_CK_STABLE : 0);
	pbft_checkpoint_digest(&m->digest, &node->sim->id, seq, &m->app, &m->chain, 0);
	byz_say(node, m, someone(node));
}

static void say_committed(struct sim_node *node, const struct pbft_status *st)
{
	struct prng *r = &node->sim->rng_byz;
	u32 i, count = 1 + prng_below(r, 4);
	struct pbft_committed *m;

	m = begin(node, PBFT_COMMITTED, sizeof(*m) + count * sizeof(m->digests[0]), 0,
		  st->last_committed + 1 + prng_below(r, 3));
	m->count = cpu_to_le32(count);
	for (i = 0; i < count; i++)
		m->digests[i] = *byz_known_digest(node->sim, r);
	byz_say(node, m, someone(node));
}

static void say_guard(struct sim_node *node, const struct pbft_status *st)
{
	struct sim *sim = node->sim;
	struct prng *r = &sim->rng_byz;
	u32 client = PBFT_CLIENT_ID_MIN + prng_below(r, sim->client_count);

	if (prng_chance(r, 500000)) {
		struct pbft_nack *m = begin(node, PBFT_NACK, sizeof(*m) + 8, st->view,
					    st->last_committed + 1);

		m->digest = *byz_known_digest(sim, r);
		m->count = cpu_to_le32(1);
		m->clients[0] = cpu_to_le32(client);
	} else {
		struct pbft_endorse *m = begin(node, PBFT_ENDORSE, sizeof(*m), 0, 0);

		m->client = cpu_to_le32(client);
		m->session = cpu_to_le64(1);
		m->t = cpu_to_le64(1 + prng_below(r, sim->plan.ops));
		m->digest = *byz_known_digest(sim, r);
	}
	byz_say(node, scratch, someone(node));
}

static void say_recovery(struct sim_node *node, const struct pbft_status *st)
{
	struct prng *r = &node->sim->rng_byz;
	u64 wild = prng_chance(r, 300000) ? 1ull << prng_below(r, 63) : prng_below(r, 100);

	if (prng_chance(r, 300000)) {
		struct pbft_query_stable *m = begin(node, PBFT_QUERY_STABLE, sizeof(*m), 0, 0);

		m->nonce = cpu_to_le64(wild);
	} else if (prng_chance(r, 500000)) {
		struct pbft_fetch *m = begin(node, PBFT_FETCH, sizeof(*m), 0,
					     st->last_committed + prng_below(r, 3));

		m->digest = *byz_known_digest(node->sim, r);
	} else {
		struct pbft_rejoin *m = begin(node, PBFT_REJOIN, sizeof(*m),
					      st->view + wild, st->h + wild);

		m->h = cpu_to_le64(prng_below(r, st->h + 2));
	}
	byz_say(node, scratch, someone(node));
}

/* Something old: its own under a fresh MAC, or others' passed on. */
static void say_again(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_old *old = &sim->net.archive[prng_below(&sim->rng_byz, SIM_ARCHIVE)];
	const struct pbft_hdr *h;
	struct pbft_relay *m;

	if (!old->buf)
		return;
	h = (const void *)old->buf->data;
	if (old->from == node->id && le32_to_cpu(h->sender) == node->id &&
	    le32_to_cpu(h->length) < old->buf->len) {
		memcpy(scratch, h, le32_to_cpu(h->length));
		byz_say(node, scratch, someone(node));
		return;
	}
	if ((h->type != PBFT_REQUEST && h->type != PBFT_VIEW_CHANGE) ||
	    old->buf->len > BYZ_LIE_MAX / 2)
		return;
	m = begin(node, PBFT_RELAY, sizeof(*m) + old->buf->len, 0, 0);
	memcpy(m->inner, old->buf->data, old->buf->len);
	byz_say(node, m, someone(node));
}

/* As primary: another batch where the NEW-VIEW has decided. */
static void say_reopened(struct sim_node *node)
{
	const struct pbft_core *c = node->core;
	struct prng *r = &node->sim->rng_byz;
	struct pbft_pre_prepare *m;

	if (c->pending || c->view % c->n != node->id || c->nv_max <= c->low)
		return;
	m = begin(node, PBFT_PRE_PREPARE, sizeof(*m), c->view,
		  prng_range(r, c->low + 1, c->nv_max));
	pbft_null_digest(&m->digest);
	byz_say(node, m, someone(node));
}

void byz_act(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct prng *r = &sim->rng_byz;
	struct pbft_status st;

	if (byz_has(sim, BYZ_DEAF) && prng_chance(r, 50000))
		node->silent = prng_chance(r, 500000) ? prng_u64(r) & prng_u64(r) : 0;
	if (byz_has(sim, BYZ_REOPEN) && node->up)
		say_reopened(node);
	if (!byz_has(sim, BYZ_INJECT) || !node->up)
		return;
	pbft_status_get(node->core, &st);
	switch (prng_below(r, 8)) {
	case 0:
	case 1:
		say_vote(node, &st);
		break;
	case 2:
		say_view_change(node, &st);
		break;
	case 3:
		say_checkpoint(node, &st);
		break;
	case 4:
		say_committed(node, &st);
		break;
	case 5:
		say_guard(node, &st);
		break;
	case 6:
		say_recovery(node, &st);
		break;
	case 7:
		say_again(node);
		break;
	}
}
