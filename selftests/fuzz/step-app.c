// SPDX-License-Identifier: GPL-2.0
/*
 * The application beside the core: answers what it is asked, in order and right,
 * or as wrong as the bytes say.
 */
#include "step.h"

static void drop_first(struct step_run *r)
{
	pbft_batch_put(r->apply[r->apply_first].batch);
	r->apply_first = (r->apply_first + 1) % STEP_APPLIES;
	r->apply_count--;
}

static void drop_all(struct step_run *r)
{
	while (r->apply_count)
		drop_first(r);
	r->snapshot = 0;
	r->fetch_seq = 0;
}

void app_output(struct step_run *r, const struct pbft_out *out)
{
	struct step_apply *a;

	switch (out->type) {
	case PBFT_OUT_APPLY:
		fuzz_check(r->apply_count < STEP_APPLIES, "more APPLYs than a window holds");
		a = &r->apply[(r->apply_first + r->apply_count++) % STEP_APPLIES];
		a->seq = out->head.seq;
		a->batch = out->batch ? pbft_batch_get(out->batch) : NULL;
		r->head = out->head;
		world_learn_head(&r->w, &out->head);
		break;
	case PBFT_OUT_SNAPSHOT:
		r->snapshot = out->head.seq;
		break;
	case PBFT_OUT_FETCH_STATE:
		r->fetch_seq = out->head.seq;
		r->fetch_d = out->digest;
		r->fetch_head = out->head;
		break;
	}
}

static void fill_results(struct step_run *r, struct pbft_result *res, u32 count)
{
	static const u8 zeros[3000];
	u32 i;

	for (i = 0; i < count; i++) {
		u8 b = fuzz_u8(&r->w.in);

		res[i].status = b & 7 ? PBFT_ST_OK : (b >> 3) & 3;
		res[i].len = b >> 6 == 3 ? sizeof(zeros) : b >> 3;
		res[i].data = zeros;
	}
}

/* Execute what has been handed out, up to @batches. */
void app_run(struct step_run *r, u32 batches)
{
	struct pbft_result res[PBFT_BATCH_MAX];

	while (r->apply_count && batches--) {
		const struct step_apply *a = &r->apply[r->apply_first];
		u32 count = pbft_batch_count(a->batch);
		int err;

		fill_results(r, res, count);
		err = pbft_executed(r->core, r->now, a->seq, res, count);
		fuzz_check(!err, "a right answer to APPLY %llu is refused: %d",
			   (unsigned long long)a->seq, err);
		drop_first(r);
	}
}

void app_snapshot(struct step_run *r, bool right)
{
	struct pbft_log_head head;
	struct pbft_digest app;
	u64 seq = r->snapshot;
	int err;

	/* it is taken when all before it is executed */
	if (!seq || (right && r->apply_count && r->apply[r->apply_first].seq <= seq))
		return;
	world_head(&r->w, seq, &head);
	world_app(&head, &app);
	if (!right)
		app = *world_digest(&r->w);
	else
		r->snapshot = 0;
	err = pbft_checkpointed(r->core, r->now, seq, &app);
	fuzz_check(!right || !err, "a right answer to SNAPSHOT %llu is refused: %d",
		   (unsigned long long)seq, err);
}

void app_install(struct step_run *r, bool right)
{
	struct pbft_digest d = r->fetch_d;
	u64 seq = r->fetch_seq;
	int err;

	if (!seq)
		return;
	if (!right) {
		seq = world_seq(&r->w);
		d = *world_digest(&r->w);
	}
	r->moved = true;
	err = pbft_state_installed(r->core, r->now, seq, &d);
	fuzz_check(!right || !err, "the state asked for at %llu is refused: %d",
		   (unsigned long long)seq, err);
	if (err || r->st.stopped || seq != r->fetch_seq)
		return;
	/* what was handed out before is of a past that did not happen */
	drop_all(r);
	r->head = r->fetch_head;
	world_learn_head(&r->w, &r->head);
}

void app_bind(struct step_run *r)
{
	u8 b = fuzz_u8(&r->w.in);
	struct pbft_log_head head;
	int err;

	switch (b & 3) {
	case 0:
		world_head(&r->w, 0, &head);
		memset(&head, 0, sizeof(head));
		break;
	case 1:
		/* its own database is where a daemon has this from: no peer can say it */
		world_head(&r->w, world_seq(&r->w) & S64_MAX / 2, &head);
		break;
	default:
		world_head(&r->w, r->w.executed, &head);
		if (!r->w.executed)
			memset(&head, 0, sizeof(head));
	}
	if (b == 0xff)
		head.chain = *world_digest(&r->w);
	r->moved = true;
	err = pbft_bind(r->core, r->now, &head);
	fuzz_check(!err || err == -EEXIST || err == -ESTALE || err == -EBADMSG,
		   "bind: %d", err);
	fuzz_check((err == -EEXIST) == r->bound, "bind: %d while %sbound", err,
		   r->bound ? "" : "not ");
	if (err)
		return;
	r->bound = true;
	r->head = head;
	world_learn_head(&r->w, &head);
}

void app_unbind(struct step_run *r)
{
	pbft_unbind(r->core);
	r->bound = false;
	drop_all(r);
}

/* Results for another batch, or too many: the shell stops the core for those. */
static void wrong_results(struct step_run *r, u64 seq, const struct pbft_result *res,
			  u32 count)
{
	const struct step_apply *a = &r->apply[r->apply_first];
	bool due = r->apply_count && seq == a->seq;

	if (due)
		count = pbft_batch_count(a->batch) + 1;
	if (count > 8)
		return;
	if (pbft_executed(r->core, r->now, seq, res, count) == -EINVAL && due)
		pbft_stop(r->core, "the application answers wrong");
	else if (due)
		drop_first(r);
}

/* Answers that nobody asked for: refused, or without effect. */
void app_nonsense(struct step_run *r)
{
	u8 b = fuzz_u8(&r->w.in);
	struct pbft_result res[8];
	u64 seq = world_seq(&r->w);
	u32 count = b >> 5;

	fill_results(r, res, count);
	if (b & 16 && count)
		res[0].len = PBFT_OP_MAX + 1;
	switch (b & 3) {
	case 0:
		wrong_results(r, seq, res, count);
		break;
	case 1:
		pbft_checkpointed(r->core, r->now, seq, world_digest(&r->w));
		break;
	case 2:
		app_install(r, false);
		break;
	default:
		app_snapshot(r, false);
	}
}
