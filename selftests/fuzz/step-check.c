// SPDX-License-Identifier: GPL-2.0
/*
 * What must hold of one core however many of its peers lie: its outputs are
 * well-formed, it never says two things where it may say one, nothing leaves
 * before it is durable, and its memory is bounded. And a second run is the same.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "step.h"
#include "core/decide.h"

#define fail_unless(cond, fmt, ...) \
	fuzz_check(cond, "call %" PRIu64 ": " fmt, r->calls, ##__VA_ARGS__)

/* ---- what was said before -------------------------------------------------- */

static struct claim *claim_find(struct step_run *r, u8 kind, u64 view, u64 seq)
{
	u64 i = (view * 1000003 + seq * 31 + kind) % STEP_CLAIMS;

	while (r->claim[i].kind != CLAIM_NONE &&
	       (r->claim[i].kind != kind || r->claim[i].view != view ||
		r->claim[i].seq != seq))
		i = (i + 1) % STEP_CLAIMS;
	return &r->claim[i];
}

/* Set, over an earlier one too. When the table is full, later ones go unchecked. */
static void claim_set(struct step_run *r, u8 kind, u64 view, u64 seq,
		      const struct pbft_digest *d)
{
	struct claim *c = claim_find(r, kind, view, seq);

	if (c->kind == CLAIM_NONE && r->claims >= STEP_CLAIMS * 3 / 4)
		return;
	r->claims += c->kind == CLAIM_NONE;
	*c = (struct claim){ kind, view, seq, *d };
}

/* @kind is said of (@view, @seq): the same as before, if it was before. */
static void claim_once(struct step_run *r, u8 kind, u64 view, u64 seq,
		       const struct pbft_digest *d, const char *what)
{
	const struct claim *c = claim_find(r, kind, view, seq);

	fail_unless(c->kind == CLAIM_NONE || pbft_digest_eq(&c->d, d),
		    "a second %s in view %" PRIu64 ", sequence number %" PRIu64
		    ", with another digest", what, view, seq);
	claim_set(r, kind, view, seq, d);
}

static void need_durable(struct step_run *r, u8 kind, u64 view, u64 seq,
			 const struct pbft_digest *d, const char *what)
{
	const struct claim *c = claim_find(r, kind, view, seq);

	if (r->claims >= STEP_CLAIMS * 3 / 4)
		return;
	fail_unless(c->kind != CLAIM_NONE && pbft_digest_eq(&c->d, d),
		    "%s of view %" PRIu64 ", sequence number %" PRIu64
		    " leaves before it is durable", what, view, seq);
}

/* ---- SEND ---------------------------------------------------------------------- */

static void check_promise(struct step_run *r, const struct pbft_head *head)
{
	struct pbft_status st;

	fail_unless(head->view >= r->promised,
		    "a %s of view %" PRIu64 " after a VIEW-CHANGE for view %" PRIu64,
		    pbft_type_name(head->type), head->view, r->promised);
	if (r->cfg.genesis)
		return;
	/* an amnesiac: only what it cannot have contradicted in its past */
	pbft_status_get(r->core, &st);
	fail_unless(st.recover_view && head->view >= st.recover_view,
		    "a %s of view %" PRIu64 " while mute below view %" PRIu64,
		    pbft_type_name(head->type), head->view, st.recover_view);
	if (head->seq)
		fail_unless(head->seq > st.recover_point,
			    "a %s of sequence number %" PRIu64 " while mute up to %" PRIu64,
			    pbft_type_name(head->type), head->seq, st.recover_point);
}

static void check_vote(struct step_run *r, const struct pbft_head *head, const void *msg)
{
	const struct pbft_digest *d = &((const struct pbft_vote *)msg)->digest;

	check_promise(r, head);
	switch (head->type) {
	case PBFT_PRE_PREPARE:
		fail_unless(head->view % r->cfg.n == r->cfg.self,
			    "a PRE-PREPARE in another's view %" PRIu64, head->view);
		d = &((const struct pbft_pre_prepare *)msg)->digest;
		fallthrough;
	case PBFT_PREPARE:
		claim_once(r, CLAIM_PROPOSED, head->view, head->seq, d, "PREPARE");
		need_durable(r, CLAIM_DURABLE_Q, head->view, head->seq, d, "a PREPARE");
		break;
	case PBFT_COMMIT:
		claim_once(r, CLAIM_COMMIT, head->view, head->seq, d, "COMMIT");
		need_durable(r, CLAIM_DURABLE_P, head->view, head->seq, d, "a COMMIT");
		break;
	}
	world_know(&r->w, d);
}

static void check_view_change(struct step_run *r, const struct pbft_head *head,
			      const struct pbft_view_change *vc, u32 len)
{
	struct pbft_digest d;

	fail_unless(pbft_vc_valid(vc, r->cfg.k, r->cfg.l),
		    "our own VIEW-CHANGE for view %" PRIu64 " is not valid", head->view);
	pbft_vc_digest(&d, vc);
	check_promise(r, head);
	claim_once(r, CLAIM_VIEW_CHANGE, head->view, 0, &d, "VIEW-CHANGE");
	need_durable(r, CLAIM_DURABLE_VC, head->view, 0, &d, "a VIEW-CHANGE");
	r->promised = head->view;
	world_know(&r->w, &d);
	world_keep(&r->w.vc[r->cfg.self], vc, len);
}

static void check_new_view(struct step_run *r, const struct pbft_head *head,
			   const void *msg, u32 len)
{
	struct pbft_iov iov = { (const u8 *)msg + sizeof(struct pbft_hdr),
				head->len - sizeof(struct pbft_hdr) };
	struct pbft_digest d;

	pbft_hash(&d, &iov, 1);
	fail_unless(head->view % r->cfg.n == r->cfg.self,
		    "a NEW-VIEW for another's view %" PRIu64, head->view);
	claim_once(r, CLAIM_NEW_VIEW, head->view, 0, &d, "NEW-VIEW");
	world_keep(&r->w.nv, msg, len);
}

static void check_destination(struct step_run *r, const struct pbft_out *out)
{
	u64 all = BIT_ULL(r->cfg.n) - 1;

	if (out->client)
		fail_unless(!out->to && out->client >= PBFT_CLIENT_ID_MIN &&
			    out->client < PBFT_CLIENT_ID_MIN + WORLD_CLIENTS,
			    "a SEND to client %u", out->client);
	else
		fail_unless(out->to && !(out->to & ~all) &&
			    !(out->to & BIT_ULL(r->cfg.self)),
			    "a SEND to replicas 0x%" PRIx64, out->to);
}

bool step_at_edge(const struct step_run *r)
{
	struct pbft_status st;

	pbft_status_get(r->core, &st);
	return st.view > STEP_EDGE || st.high > STEP_EDGE || st.last_committed > STEP_EDGE;
}

static void check_send(struct step_run *r, const struct pbft_out *out)
{
	static const struct pbft_head none;
	struct pbft_head head = none;
	enum pbft_drop drop;
	u32 auth, len;
	u8 *msg;

	fail_unless(out->buf && out->buf->len >= sizeof(struct pbft_hdr) &&
		    out->buf->len <= out->buf->cap, "a SEND without a message");
	fail_unless(!r->stopped, "a SEND after it stopped");
	if (step_at_edge(r))
		return;
	check_destination(r, out);
	head.type = ((const struct pbft_hdr *)out->buf->data)->type;
	fail_unless(out->auth == pbft_wire_auth(head.type), "a %s with authentication %u",
		    pbft_type_name(head.type), out->auth);
	auth = pbft_wire_auth_len(head.type, r->cfg.n);
	len = out->buf->len + auth;
	msg = malloc(len);
	memcpy(msg, out->buf->data, out->buf->len);
	memset(msg + out->buf->len, 0, auth);
	drop = pbft_wire_check(&r->w.id, msg, len, &head);
	step_trace("  out %s to 0x%" PRIx64 "/%u, view %" PRIu64 ", seq %" PRIu64 "\n",
		   pbft_type_name(head.type), out->to, out->client, head.view, head.seq);
	fail_unless(drop == PBFT_OK, "a %s that is %s", pbft_type_name(head.type),
		    pbft_drop_name(drop));
	fail_unless(head.sender == r->cfg.self, "a SEND as sender %u", head.sender);
	step_record(r, fuzz_touch(&r->w.id, msg, len, &head));
	switch (head.type) {
	case PBFT_PRE_PREPARE:
	case PBFT_PREPARE:
	case PBFT_COMMIT:
		check_vote(r, &head, msg);
		break;
	case PBFT_VIEW_CHANGE:
		check_view_change(r, &head, (const void *)msg, len);
		break;
	case PBFT_NEW_VIEW:
		check_new_view(r, &head, msg, len);
		break;
	case PBFT_QUERY_STABLE:
		r->w.nonce = le64_to_cpu(((const struct pbft_query_stable *)msg)->nonce);
		break;
	case PBFT_CHECKPOINT:
		world_know(&r->w, &((const struct pbft_checkpoint *)msg)->digest);
		break;
	}
	free(msg);
}

/* ---- the other outputs ------------------------------------------------------------ */

static void check_apply(struct step_run *r, const struct pbft_out *out)
{
	struct pbft_digest chain = r->head.chain, d;
	u32 count = pbft_batch_count(out->batch), i;

	fail_unless(r->bound, "an APPLY while nothing is bound");
	fail_unless(out->head.seq == r->head.seq + 1,
		    "APPLY %" PRIu64 " after %" PRIu64, out->head.seq, r->head.seq);
	pbft_chain_next(&chain, out->head.seq, &out->digest);
	fail_unless(pbft_digest_eq(&chain, &out->head.chain),
		    "the chain at %" PRIu64 " is broken", out->head.seq);
	fail_unless(out->batch ? out->head.time > r->head.time :
				 out->head.time == r->head.time,
		    "agreed time goes from %" PRIu64 " to %" PRIu64, r->head.time,
		    out->head.time);
	for (i = 0; i < count; i++) {
		struct pbft_batch_req q;

		pbft_batch_req(out->batch, i, &q);
		pbft_request_digest(&d, q.client, q.session, q.t, q.op, q.op_len);
		fail_unless(pbft_digest_eq(&d, &q.digest),
			    "request %u of batch %" PRIu64 " has another's digest", i,
			    out->head.seq);
		step_record(r, fuzz_hash(q.client ^ q.session ^ q.t, &d, sizeof(d)));
	}
	if (!count)
		fail_unless(pbft_digest_eq(&out->digest, &r->w.null_d),
			    "a null batch without the null digest");
	claim_once(r, CLAIM_APPLY, 0, out->head.seq, &out->digest, "APPLY");
}

static void check_persist(struct step_run *r, const struct pbft_out *out)
{
	struct pbft_digest d;

	switch (out->code) {
	case PBFT_REC_PRE_PREPARED:
		claim_once(r, CLAIM_DURABLE_Q, out->view, out->head.seq, &out->digest,
			   "PRE_PREPARED record");
		break;
	case PBFT_REC_PREPARED:
		claim_once(r, CLAIM_DURABLE_P, out->view, out->head.seq, &out->digest,
			   "PREPARED record");
		break;
	case PBFT_REC_VIEW_CHANGE:
		pbft_vc_digest(&d, (const void *)out->buf->data);
		claim_once(r, CLAIM_DURABLE_VC, out->view, 0, &d, "VIEW_CHANGE record");
		break;
	case PBFT_REC_NEW_VIEW:
		fail_unless(out->buf, "a NEW_VIEW record without the message");
		break;
	case PBFT_REC_CHECKPOINT:
	case PBFT_REC_BASE:
	case PBFT_REC_STABLE:
	case PBFT_REC_RAISED:
	case PBFT_REC_REMEMBERS:
	case PBFT_REC_FORGOT:
		break;
	default:
		fail_unless(false, "a PERSIST of kind %u", out->code);
	}
}

static u64 out_hash(const struct pbft_out *out)
{
	u64 h = fuzz_hash(out->type | out->auth << 8 | out->code << 16, &out->client,
			  sizeof(out->client));

	h = fuzz_hash(h, &out->to, sizeof(out->to));
	h = fuzz_hash(h, &out->view, sizeof(out->view));
	h = fuzz_hash(h, &out->head.seq, sizeof(out->head.seq));
	h = fuzz_hash(h, &out->head.time, sizeof(out->head.time));
	h = fuzz_hash(h, &out->head.chain, sizeof(out->head.chain));
	h = fuzz_hash(h, &out->digest, sizeof(out->digest));
	return out->buf ? fuzz_hash(h, out->buf->data, out->buf->len) : h;
}

void step_output(struct step_run *r, const struct pbft_out *out)
{
	static const char * const names[] = {
		"SEND", "APPLY", "SNAPSHOT", "DISCARD", "FETCH_STATE", "PERSIST", "EVENT",
	};

	step_record(r, out_hash(out));
	if (out->type && out->type < ARRAY_SIZE(names))
		step_trace("  out %s %u, view %" PRIu64 ", seq %" PRIu64 "\n",
			   names[out->type], out->code, out->view, out->head.seq);
	switch (out->type) {
	case PBFT_OUT_SEND:
		check_send(r, out);
		break;
	case PBFT_OUT_APPLY:
		check_apply(r, out);
		break;
	case PBFT_OUT_SNAPSHOT:
		fail_unless(r->bound && out->head.seq % r->cfg.k == 0 && out->head.seq,
			    "SNAPSHOT %" PRIu64, out->head.seq);
		break;
	case PBFT_OUT_FETCH_STATE:
		fail_unless(r->bound, "FETCH_STATE while nothing is bound");
		fail_unless(out->to && !(out->to & BIT_ULL(r->cfg.self)),
			    "FETCH_STATE from replicas 0x%" PRIx64, out->to);
		world_know(&r->w, &out->digest);
		break;
	case PBFT_OUT_DISCARD:
		break;
	case PBFT_OUT_PERSIST:
		check_persist(r, out);
		break;
	case PBFT_OUT_EVENT:
		fail_unless(out->code <= PBFT_EV_STOPPED, "event %u", out->code);
		r->stopped |= out->code == PBFT_EV_STOPPED;
		break;
	default:
		fail_unless(false, "an output of type %u", out->type);
	}
	app_output(r, out);
}

/* ---- the state -------------------------------------------------------------------- */

void step_record(struct step_run *r, u64 hash)
{
	struct step_log *log = r->log;

	if (r->compare) {
		fail_unless(r->at < log->count && log->h[r->at] == hash,
			    "the second run differs at output %zu", r->at);
		r->at++;
		return;
	}
	if (log->count == log->cap) {
		log->cap = log->cap ? 2 * log->cap : 1024;
		log->h = realloc(log->h, log->cap * sizeof(*log->h));
		fuzz_check(log->h, "no memory for the log");
	}
	log->h[log->count++] = hash;
}

void step_state(struct step_run *r)
{
	struct pbft_status st;
	u64 bound = pbft_config_memory(&r->cfg);

	pbft_status_get(r->core, &st);
	fail_unless(st.view >= r->st.view, "the view goes from %" PRIu64 " to %" PRIu64,
		    r->st.view, st.view);
	fail_unless(st.h >= r->st.h, "h goes from %" PRIu64 " to %" PRIu64, r->st.h, st.h);
	/* further down is what an application needs that came back from further down */
	fail_unless(st.last_committed >= (r->moved ? st.last_exec : r->st.last_committed),
		    "last_committed goes from %" PRIu64 " to %" PRIu64,
		    r->st.last_committed, st.last_committed);
	fail_unless(st.stopped >= r->st.stopped, "it runs again after it stopped");
	fail_unless(!st.stopped || st.reason, "it stopped without a reason");
	fail_unless(st.bound == r->bound, "bound: %d", st.bound);
	fail_unless(st.memory <= bound, "%" PRIu64 " bytes of requests and batches, %"
		    PRIu64 " allowed", st.memory, bound);
	step_record(r, st.view ^ st.h << 16 ^ st.last_committed << 32 ^ st.last_exec << 48);
	step_record(r, st.memory ^ (u64)st.pending_requests << 40);
	step_record(r, pbft_next_deadline(r->core));
	r->st = st;
	r->moved = false;
	r->w.view = st.view;
	r->w.h = st.h;
	r->w.committed = st.last_committed;
	r->w.executed = st.last_exec;
}
