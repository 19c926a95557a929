// SPDX-License-Identifier: GPL-2.0
/*
 * What a malicious replica makes of the messages of its honest core, on their
 * way out: receivers fall into two faces, changing with view and number, and
 * the second one is told something else, the same whenever it is said again.
 */
#include "evil.h"

static struct pbft_hdr *hdr(void *msg)
{
	return msg;
}

static bool second_face(const struct evil *ev, const struct pbft_hdr *h, u32 to)
{
	u64 x = ev->seed ^ prng_mix(le64_to_cpu(h->view) << 32 ^ le64_to_cpu(h->seq));

	return (prng_mix(x) ^ to) & 1;
}

static struct pbft_buf *copy_of(const struct pbft_buf *msg)
{
	struct pbft_buf *copy = pbft_buf_alloc(msg->len);

	if (copy) {
		memcpy(copy->data, msg->data, msg->len);
		copy->len = msg->len;
	}
	return copy;
}

/* ---- two batches under one number ---------------------------------------------- */

static u32 entry_len(const struct pbft_entry *e)
{
	return sizeof(*e) + ALIGN(le32_to_cpu(e->len), 8);
}

static void renew_digest(struct pbft_pre_prepare *m)
{
	static struct pbft_digest reqs[PBFT_BATCH_MAX];
	u32 count = le32_to_cpu(m->count);
	const u8 *p = m->entries;

	for (u32 i = 0; i < count; i++) {
		const struct pbft_entry *e = (const void *)p;

		reqs[i] = e->digest;
		p += entry_len(e);
	}
	if (count)
		pbft_batch_digest(&m->digest, le64_to_cpu(m->hdr.seq),
				  le64_to_cpu(m->time), reqs, count);
	else
		pbft_null_digest(&m->digest);
}

/* Another batch, as well-formed as the first: without a request, or of another time. */
static void other_batch(struct pbft_buf *buf)
{
	struct pbft_pre_prepare *m = (void *)buf->data;
	struct pbft_entry *first = (void *)m->entries;
	u32 count = le32_to_cpu(m->count);

	if (count > 1) {
		u32 cut = entry_len(first);

		memmove(first, (u8 *)first + cut, buf->len - sizeof(*m) - cut);
		m->count = cpu_to_le32(count - 1);
		buf->len -= cut;
		m->hdr.length = cpu_to_le32(buf->len);
	} else if (count) {
		m->time = cpu_to_le64(le64_to_cpu(m->time) + 1);
	}
	renew_digest(m);
}

static struct evil_variant *variant_of(struct evil *ev, const struct pbft_hdr *h)
{
	return &ev->variant[le64_to_cpu(h->seq) % EVIL_VARIANTS];
}

static bool lie_pre_prepare(struct evil *ev, struct pbft_buf *buf)
{
	struct pbft_pre_prepare *m = (void *)buf->data;
	struct evil_variant *v = variant_of(ev, &m->hdr);

	v->was = m->digest;
	other_batch(buf);
	v->view = le64_to_cpu(m->hdr.view);
	v->seq = le64_to_cpu(m->hdr.seq);
	v->other = m->digest;
	return !pbft_digest_eq(&v->was, &v->other);
}

/* To the second face a vote for the other batch, or for none that there is. */
static bool lie_vote(struct evil *ev, struct pbft_buf *buf)
{
	struct pbft_vote *m = (void *)buf->data;
	struct evil_variant *v = variant_of(ev, &m->hdr);

	if (v->view == le64_to_cpu(m->hdr.view) && v->seq == le64_to_cpu(m->hdr.seq))
		m->digest = v->other;
	else
		m->digest.b[0] ^= 1;
	return true;
}

static bool equivocate(struct evil *ev, struct pbft_buf *buf)
{
	switch (hdr(buf->data)->type) {
	case PBFT_PRE_PREPARE:
		return lie_pre_prepare(ev, buf);
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		return lie_vote(ev, buf);
	}
	return false;
}

/* ---- two faces about views and checkpoints --------------------------------------- */

/* Forget what was prepared, so that a NEW-VIEW might leave it out. */
static bool lie_view_change(struct pbft_buf *buf)
{
	struct pbft_view_change *m = (void *)buf->data;

	buf->len = sizeof(*m) + le32_to_cpu(m->c_count) * sizeof(struct pbft_vc_c);
	m->p_count = 0;
	m->q_count = 0;
	m->hdr.length = cpu_to_le32(buf->len);
	return true;
}

static bool lie_new_view(struct pbft_buf *buf)
{
	struct pbft_new_view *m = (void *)buf->data;
	u32 x = le32_to_cpu(m->x_count);

	if (!x)
		return false;
	buf->len -= sizeof(struct pbft_digest);
	m->x_count = cpu_to_le32(x - 1);
	m->hdr.length = cpu_to_le32(buf->len);
	return true;
}

static bool lie_checkpoint(struct evil *ev, struct pbft_buf *buf)
{
	struct pbft_checkpoint *m = (void *)buf->data;

	m->app.b[0] ^= 1;
	m->flags |= cpu_to_le32(PBFT_CK_STABLE);
	pbft_checkpoint_digest(&m->digest, &ev->mouth.wire, le64_to_cpu(m->hdr.seq),
			       &m->app, &m->chain, le64_to_cpu(m->time));
	return true;
}

static bool lie_status(struct evil *ev, struct pbft_buf *buf)
{
	struct pbft_status_msg *m = (void *)buf->data;

	m->vc_need = cpu_to_le64(prng_u64(&ev->rng));
	m->flags ^= cpu_to_le32(1u << prng_below(&ev->rng, 3));
	m->h = cpu_to_le64(le64_to_cpu(m->h) + prng_below(&ev->rng, 64));
	return true;
}

static bool two_faced(struct evil *ev, struct pbft_buf *buf)
{
	switch (hdr(buf->data)->type) {
	case PBFT_VIEW_CHANGE:
		return lie_view_change(buf);
	case PBFT_NEW_VIEW:
		return lie_new_view(buf);
	case PBFT_CHECKPOINT:
		return lie_checkpoint(ev, buf);
	case PBFT_STATUS:
		return lie_status(ev, buf);
	}
	return false;
}

/* ---- MACs, and what was said before ------------------------------------------------ */

/* By our own mouth, with a MAC that is wrong for this receiver or for others. */
static bool spoil(struct evil *ev, u32 to, const struct pbft_buf *msg)
{
	u32 len;

	if (!prng_chance(&ev->rng, 400000) || msg->len > PBFT_MSG_MAX)
		return false;
	memcpy(ev->scratch, msg->data, msg->len);
	len = mouth_seal(&ev->mouth, ev->scratch, to, prng_u64(&ev->rng) | 1ull << to);
	mouth_send(&ev->mouth, to, ev->scratch, len, ev->mouth.cluster->mtu);
	return true;
}

static void archive(struct evil *ev, u32 to, const struct pbft_buf *msg)
{
	struct evil_old *old = &ev->old[ev->archived % EVIL_ARCHIVE];

	if (msg->len + PBFT_N_MAX * PBFT_MAC_LEN > sizeof(old->data))
		return;
	memcpy(old->data, msg->data, msg->len);
	old->len = mouth_seal(&ev->mouth, old->data, to, 0);
	old->to = to;
	ev->archived++;
}

static void replay(struct evil *ev)
{
	u64 have = min_t(u64, ev->archived, EVIL_ARCHIVE);
	const struct evil_old *old;

	for (int i = 0; have && i < 3; i++) {
		old = &ev->old[prng_below(&ev->rng, have)];
		mouth_send(&ev->mouth, old->to, old->data, old->len,
			   ev->mouth.cluster->mtu);
		ev->lies[EVIL_REPLAY]++;
	}
}

/* ---- unasked ------------------------------------------------------------------------- */

static void *begin(struct evil *ev, u8 type, u32 len, u64 view, u64 seq)
{
	memset(ev->scratch, 0, len);
	pbft_wire_header((void *)ev->scratch, &ev->mouth.wire, type, len,
			 ev->mouth.self, view, seq);
	return ev->scratch;
}

static void random_digest(struct evil *ev, struct pbft_digest *d)
{
	u64 word[4];

	for (u32 i = 0; i < ARRAY_SIZE(word); i++)
		word[i] = prng_u64(&ev->rng);
	memcpy(d->b, word, sizeof(d->b));
}

static void make_one(struct evil *ev, u64 view, u64 seq)
{
	struct pbft_query_stable *query;
	struct pbft_status_msg *status;
	struct pbft_fetch *fetch;
	struct pbft_vote *vote;

	seq += prng_below(&ev->rng, 40);
	switch (prng_below(&ev->rng, 5)) {
	case 0:
	case 1:
		vote = begin(ev, prng_chance(&ev->rng, 500000) ? PBFT_PREPARE : PBFT_COMMIT,
			     sizeof(*vote), view, seq);
		random_digest(ev, &vote->digest);
		break;
	case 2:
		fetch = begin(ev, PBFT_FETCH, sizeof(*fetch), 0, seq);
		random_digest(ev, &fetch->digest);
		break;
	case 3:
		query = begin(ev, PBFT_QUERY_STABLE, sizeof(*query), 0, 0);
		query->nonce = cpu_to_le64(prng_u64(&ev->rng));
		break;
	case 4:
		status = begin(ev, PBFT_STATUS, sizeof(*status), view, 0);
		status->nonce = cpu_to_le64(prng_u64(&ev->rng) >> 1);
		break;
	}
}

void evil_burst(struct evil *ev, u64 view, u64 seq)
{
	u32 to = prng_below(&ev->rng, ev->mouth.wire.n), len;

	if (to == ev->mouth.self)
		return;
	for (int i = 0; i < 16; i++) {
		make_one(ev, view, seq);
		len = mouth_seal(&ev->mouth, ev->scratch, to, 0);
		mouth_datagram(&ev->mouth, to, ev->scratch, len);
		ev->lies[EVIL_FLOOD]++;
	}
}

/* ---- the way out ----------------------------------------------------------------------- */

static struct pbft_buf *lie(struct evil *ev, u32 to, struct pbft_buf *msg)
{
	struct pbft_buf *copy;
	enum evil_trait trait = EVIL_TRAITS;

	if (!second_face(ev, hdr(msg->data), to))
		return msg;
	copy = copy_of(msg);
	if (!copy)
		return msg;
	if (evil_is(ev, EVIL_EQUIVOCATE) && equivocate(ev, copy))
		trait = EVIL_EQUIVOCATE;
	else if (evil_is(ev, EVIL_VIEWS) && two_faced(ev, copy))
		trait = EVIL_VIEWS;
	if (trait != EVIL_TRAITS) {
		ev->lies[trait]++;
		return copy;
	}
	pbft_buf_put(copy);
	return msg;
}

struct pbft_buf *evil_filter(void *arg, u32 to, struct pbft_buf *msg)
{
	struct evil *ev = arg;
	struct pbft_buf *out;

	/* its results are lies already, and its mouth has replicas' keys only */
	if (to >= ev->mouth.wire.n)
		return msg;
	out = lie(ev, to, msg);
	if (evil_is(ev, EVIL_REPLAY)) {
		archive(ev, to, out);
		replay(ev);
	}
	if (evil_is(ev, EVIL_MACS) && spoil(ev, to, out)) {
		ev->lies[EVIL_MACS]++;
		if (out != msg)
			pbft_buf_put(out);
		return NULL;
	}
	return out;
}
