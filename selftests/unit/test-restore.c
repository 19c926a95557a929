// SPDX-License-Identifier: GPL-2.0
/*
 * Remembering: a core that is told its records has the promises of the one that
 * made them, told twice or in short as well; what no core of this configuration
 * can have said is refused; no memory is an error and never a gap.
 */
#include <errno.h>
#include <stdlib.h>
#include "core/record.h"
#include "alloc.h"
#include "core-peers.h"
#include "tap.h"

#define TAPE_MAX	128

/* Records as they come out of a journal. */
struct tape {
	struct pbft_record rec[TAPE_MAX];
	u32 count;
};

static struct peers p;

/* ---- tapes ------------------------------------------------------------------------- */

static void tape_add(struct tape *t, const struct pbft_out *out)
{
	u32 size = pbft_record_size(&p.id, out);
	void *data = malloc(size);

	if (!data || t->count == TAPE_MAX)
		abort();
	pbft_record_put(data, &p.id, p.cfg.self, out);
	if (pbft_record_get(&p.id, data, size, &t->rec[t->count++]) != (int)size)
		abort();
	free(data);
}

/* What the core has said by now. */
static void tape_run(struct tape *t)
{
	struct pbft_out out;

	while (pbft_ready(p.core, &out, 1)) {
		if (out.type == PBFT_OUT_PERSIST)
			tape_add(t, &out);
		pbft_out_release(&out);
	}
}

static void hush(void)
{
	struct pbft_out out;

	while (pbft_ready(p.core, &out, 1))
		pbft_out_release(&out);
}

static void tape_end(struct tape *t)
{
	while (t->count)
		pbft_buf_put(t->rec[--t->count].buf);
}

static bool same(const struct pbft_record *a, const struct pbft_record *b)
{
	return a->code == b->code && a->view == b->view && a->head.seq == b->head.seq &&
	       a->head.time == b->head.time &&
	       pbft_digest_eq(&a->head.chain, &b->head.chain) &&
	       pbft_digest_eq(&a->digest, &b->digest) && !a->buf == !b->buf &&
	       (!a->buf || (a->buf->len == b->buf->len &&
			    !memcmp(a->buf->data, b->buf->data, a->buf->len)));
}

static bool tapes_equal(const struct tape *a, const struct tape *b)
{
	u32 i;

	for (i = 0; i < min(a->count, b->count); i++)
		if (!same(&a->rec[i], &b->rec[i]))
			break;
	if (i < a->count || i < b->count)
		diag("%u and %u records, unlike from %u on", a->count, b->count, i);
	return a->count == b->count && i == a->count;
}

/* Everything the core must not forget: equal promises, equal tapes. */
static struct tape promises(void)
{
	struct tape t = {};

	pbft_persist_all(p.core);
	tape_run(&t);
	return t;
}

/* ---- lives ------------------------------------------------------------------------- */

/* A core that has been told nothing yet in the place of the one there is. */
static void reborn(void)
{
	pbft_core_destroy(p.core);
	p.cfg.restore = true;
	p.core = pbft_core_create(&p.cfg, p.now);
	if (!p.core)
		abort();
	pbft_client_add(p.core, PEERS_CLIENT);
	peers_forget(&p);
}

static int tell(const struct tape *t, u32 count)
{
	int err = 0;
	u32 i;

	for (i = 0; !err && i < count; i++)
		err = pbft_restore(p.core, &t->rec[i]);
	return err;
}

/*
 * Views 0 and 1 with a batch prepared in each, a checkpoint of our own and one
 * of others that is stable, a NEW-VIEW with its base, and a promise of view 2.
 */
static struct tape live(bool leave)
{
	struct peers_batch b5 = peers_one(5, 2), b6 = peers_one(6, 3);
	struct pbft_digest d = peers_batch_digest(&b5);
	struct tape t = {};
	u32 i;

	peers_start(&p, true);
	p.keep = true;
	tape_run(&t);
	peers_request(&p, PEERS_CLIENT, 1, 8);
	tape_run(&t);
	for (i = 1; i < PEERS_N; i++)
		peers_checkpoint(&p, i, 4, 'c');
	tape_run(&t);
	peers_enter(&p, 1, 4, 'c');
	tape_run(&t);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b5, true);
	peers_vote(&p, PBFT_PREPARE, 2, 1, 5, &d);
	peers_vote(&p, PBFT_PREPARE, 3, 1, 5, &d);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &b6, true);
	tape_run(&t);
	if (leave) {
		struct peers_vc vc = { .h = 4, .c = 4, .c_app = 'c' }, all[3] = { vc, vc, vc };

		peers_view_changes(&p, 2, all);
		tape_run(&t);
	}
	return t;
}

static void stop(struct tape *t)
{
	tape_end(t);
	peers_stop(&p);
}

/* ---- promises ---------------------------------------------------------------------- */

static u32 count_of(const struct tape *t, u8 code)
{
	u32 i, n = 0;

	for (i = 0; i < t->count; i++)
		n += t->rec[i].code == code;
	return n;
}

/* Told @t, and @again once more: the promises are @want, the place is @st. */
static bool resumes(const struct tape *t, const struct tape *again, const struct tape *want,
		    const struct pbft_status *st)
{
	struct pbft_status now;
	struct tape got;
	bool good;

	reborn();
	good = !tell(t, t->count) && (!again || !tell(again, again->count));
	now = peers_status(&p);
	good &= now.view == st->view && now.pending == st->pending && now.h == st->h;
	pbft_restored(p.core, p.now);
	good &= pbft_remembers(p.core);
	hush();
	got = promises();
	good &= tapes_equal(&got, want);
	tape_end(&got);
	return good;
}

static void test_promises(bool leave)
{
	const char *where = leave ? "between views" : "in a view";
	struct tape t = live(leave), want = promises();
	struct pbft_status st = peers_status(&p);

	ok(st.view == 1u + leave && st.pending == leave && st.h == 4 &&
	   count_of(&t, PBFT_REC_PRE_PREPARED) == 3 && count_of(&t, PBFT_REC_PREPARED) == 1 &&
	   count_of(&t, PBFT_REC_STABLE) == 1 && count_of(&t, PBFT_REC_BASE) == 0 &&
	   count_of(&t, PBFT_REC_NEW_VIEW) == 1 &&
	   count_of(&t, PBFT_REC_VIEW_CHANGE) == 1u + leave, "%u records of a life, %s", t.count,
	   where);
	ok(resumes(&t, NULL, &want, &st), "told them, a core has the same promises");
	ok(resumes(&want, NULL, &want, &st), "told them in short as well");
	ok(resumes(&t, &want, &want, &st), "and told both, as by a crash in a compaction");
	tape_end(&want);
	stop(&t);
}

/* What was voted for in this view stays; what was not may be. */
/* A batch that comes back in a later view is the youngest of its number. */
static void test_order(void)
{
	struct peers_batch a = peers_one(1, 1), b = peers_one(1, 2);
	struct pbft_digest da = peers_batch_digest(&a), db = peers_batch_digest(&b);
	struct tape t, again;
	u32 i, at = 0;

	peers_start(&p, true);
	for (i = 1; i <= 3; i++) {
		peers_enter(&p, i, 0, 0);
		peers_batch(&p, PBFT_PRE_PREPARE, i, i, i == 2 ? &b : &a, true);
	}
	t = promises();
	while (at < t.count && t.rec[at].code != PBFT_REC_PRE_PREPARED)
		at++;
	ok(count_of(&t, PBFT_REC_PRE_PREPARED) == 2 && t.rec[at].view == 2 &&
	   pbft_digest_eq(&t.rec[at].digest, &db) && t.rec[at + 1].view == 3 &&
	   pbft_digest_eq(&t.rec[at + 1].digest, &da),
	   "of two batches at one number the one that came last is told last");
	reborn();
	ok(!tell(&t, t.count), "told so");
	pbft_restored(p.core, p.now);
	hush();
	again = promises();
	ok(tapes_equal(&t, &again), "a core says the same again");
	tape_end(&again);
	stop(&t);
}

static void test_votes(void)
{
	struct peers_batch other = peers_one(6, 9), next = peers_one(7, 4);
	struct tape t = live(false);

	reborn();
	tell(&t, t.count);
	pbft_restored(p.core, p.now);
	p.keep = false;
	peers_drain(&p);
	peers_forget(&p);
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &other, true);
	ok(!p.sent[PBFT_PREPARE] && !p.out[PBFT_OUT_PERSIST],
	   "another batch in the place of one voted for gets no vote");
	peers_batch(&p, PBFT_PRE_PREPARE, 1, 1, &next, true);
	ok(p.sent[PBFT_PREPARE] == 1, "the next one does");
	stop(&t);
}

static void test_forgot(void)
{
	struct pbft_record forgot = { .code = PBFT_REC_FORGOT };
	struct pbft_record remembers = { .code = PBFT_REC_REMEMBERS };
	struct tape t = live(false);

	reborn();
	ok(!tell(&t, t.count) && !pbft_restore(p.core, &forgot), "a last record: FORGOT");
	pbft_restored(p.core, p.now);
	ok(!pbft_remembers(p.core) && peers_status(&p).mute, "who has forgotten is mute");
	ok(pbft_restore(p.core, &remembers) == -EBADMSG, "and is told nothing any more");
	reborn();
	pbft_restore(p.core, &forgot);
	pbft_restore(p.core, &remembers);
	pbft_restored(p.core, p.now);
	ok(pbft_remembers(p.core), "what is said last counts: REMEMBERS");
	stop(&t);
}

/* ---- what is behind ------------------------------------------------------------------ */

static struct pbft_record claim(u8 code, u64 seq, char app)
{
	struct pbft_record r = { .code = code, .head.seq = seq, .digest = peers_digest(app) };

	return r;
}

/* Promises about what is stable say nothing any more. */
static void test_behind(void)
{
	static const u8 codes[] = { PBFT_REC_PRE_PREPARED, PBFT_REC_PREPARED,
				    PBFT_REC_CHECKPOINT, PBFT_REC_BASE, PBFT_REC_STABLE,
				    PBFT_REC_RAISED };
	struct tape t = live(false), want = promises(), got;
	u32 i, taken = 0;

	reborn();
	tell(&t, t.count);
	for (i = 0; i < ARRAY_SIZE(codes); i++) {
		struct pbft_record r = claim(codes[i], 2, 'x');

		taken += !pbft_restore(p.core, &r);
	}
	pbft_restored(p.core, p.now);
	hush();
	got = promises();
	ok(taken == i && tapes_equal(&got, &want),
	   "records of what is below h are taken and change nothing");
	tape_end(&got);
	tape_end(&want);
	stop(&t);
}

/* ---- refusals ------------------------------------------------------------------------- */

static struct pbft_hdr *hdr_of(struct pbft_record *r)
{
	return (void *)r->buf->data;
}

static void no_message(struct pbft_record *r)
{
	pbft_buf_put(r->buf);
	r->buf = NULL;
}

static void half_header(struct pbft_record *r)
{
	r->buf->len = sizeof(struct pbft_hdr) / 2;
}

static void long_message(struct pbft_record *r)
{
	hdr_of(r)->length = cpu_to_le32(r->buf->len + 8);
}

static void huge_message(struct pbft_record *r)
{
	hdr_of(r)->length = cpu_to_le32(U32_MAX);
}

static void short_message(struct pbft_record *r)
{
	hdr_of(r)->length = cpu_to_le32(sizeof(struct pbft_hdr));
}

static void no_room(struct pbft_record *r)
{
	r->buf->cap = le32_to_cpu(hdr_of(r)->length) + PBFT_MAC_LEN - 1;
}

static void other_type(struct pbft_record *r)
{
	hdr_of(r)->type = PBFT_COMMIT;
}

static void other_cluster(struct pbft_record *r)
{
	hdr_of(r)->cluster++;
}

static void other_sender(struct pbft_record *r)
{
	hdr_of(r)->sender = cpu_to_le32(2);
}

static void other_view(struct pbft_record *r)
{
	r->view++;
}

static void other_seq(struct pbft_record *r)
{
	r->head.seq++;
}

static void other_digest(struct pbft_record *r)
{
	r->digest.b[0] ^= 1;
}

static void far_seq(struct pbft_record *r)
{
	r->head.seq = 100;
}

static void huge_seq(struct pbft_record *r)
{
	r->head.seq = ~1ull;
}

static void huge_view(struct pbft_record *r)
{
	r->view = 1ull << 63;
}

static void unknown(struct pbft_record *r)
{
	r->code = PBFT_REC_MAX;
}

/* A view that is older than the one we are in. */
static void past_view(struct pbft_record *r)
{
	r->view = 0;
	hdr_of(r)->view = 0;
	hdr_of(r)->sender = 0;
}

/* One member of V less than a quorum. */
static void few_members(struct pbft_record *r)
{
	struct pbft_new_view *m = (void *)r->buf->data;

	m->v_count = cpu_to_le32(le32_to_cpu(m->v_count) - 1);
	m->hdr.length = cpu_to_le32(le32_to_cpu(m->hdr.length) - sizeof(struct pbft_nv_v));
	r->buf->len -= sizeof(struct pbft_nv_v);
}

struct bad {
	u8 code;	/* of the record that is changed, the last of its kind */
	void (*change)(struct pbft_record *r);
	const char *what;
};

#define BAD(code, change) { PBFT_REC_##code, change, #code ": " #change }

static const struct bad bad[] = {
	BAD(PRE_PREPARED, no_message), BAD(PRE_PREPARED, half_header),
	BAD(PRE_PREPARED, long_message), BAD(PRE_PREPARED, huge_message),
	BAD(PRE_PREPARED, short_message), BAD(PRE_PREPARED, no_room),
	BAD(PRE_PREPARED, other_type), BAD(PRE_PREPARED, other_cluster),
	BAD(PRE_PREPARED, other_seq), BAD(PRE_PREPARED, other_digest),
	BAD(PRE_PREPARED, far_seq), BAD(PRE_PREPARED, unknown),
	BAD(PREPARED, other_seq), BAD(PREPARED, other_digest), BAD(PREPARED, far_seq),
	BAD(VIEW_CHANGE, half_header), BAD(VIEW_CHANGE, long_message),
	BAD(VIEW_CHANGE, huge_message), BAD(VIEW_CHANGE, short_message),
	BAD(VIEW_CHANGE, no_room), BAD(VIEW_CHANGE, other_type),
	BAD(VIEW_CHANGE, other_cluster), BAD(VIEW_CHANGE, other_sender),
	BAD(VIEW_CHANGE, other_view), BAD(VIEW_CHANGE, huge_view),
	BAD(VIEW_CHANGE, past_view),
	BAD(NEW_VIEW, no_message), BAD(NEW_VIEW, half_header), BAD(NEW_VIEW, long_message),
	BAD(NEW_VIEW, huge_message), BAD(NEW_VIEW, short_message), BAD(NEW_VIEW, no_room),
	BAD(NEW_VIEW, other_type), BAD(NEW_VIEW, other_cluster), BAD(NEW_VIEW, other_sender),
	BAD(NEW_VIEW, other_view), BAD(NEW_VIEW, past_view), BAD(NEW_VIEW, few_members),
	BAD(STABLE, other_seq), BAD(STABLE, huge_seq),
	BAD(CHECKPOINT, other_seq), BAD(CHECKPOINT, huge_seq),
};

/* A record of its own, with as much room. */
static struct pbft_record copy(const struct pbft_record *r)
{
	struct pbft_record new = *r;

	if (!r->buf)
		return new;
	new.buf = pbft_buf_alloc(r->buf->cap);
	if (!new.buf)
		abort();
	new.buf->len = r->buf->len;
	memcpy(new.buf->data, r->buf->data, r->buf->cap);
	return new;
}

static int last_of(const struct tape *t, u8 code)
{
	int i = t->count;

	while (i-- && t->rec[i].code != code)
		;
	return i;
}

static bool refused(const struct tape *t, const struct bad *b)
{
	int at = last_of(t, b->code), err;
	struct pbft_record r = copy(&t->rec[at]);
	u32 cap = r.buf ? r.buf->cap : 0;

	b->change(&r);
	reborn();
	err = tell(t, at);
	if (err) {
		diag("%s: %d of what comes before it", b->what, err);
	} else {
		err = pbft_restore(p.core, &r);
		if (err != -EBADMSG)
			diag("%s: %d", b->what, err);
	}
	if (r.buf)
		r.buf->cap = cap;
	pbft_buf_put(r.buf);
	return err == -EBADMSG;
}

static void test_refusals(void)
{
	struct tape t = live(true);
	u32 i, count = 0;

	for (i = 0; i < ARRAY_SIZE(bad); i++)
		count += refused(&t, &bad[i]);
	ok(count == ARRAY_SIZE(bad), "%u of %zu records are refused that no core can have said",
	   count, ARRAY_SIZE(bad));
	stop(&t);
}

/* A NEW-VIEW comes twice, with the promise before it or without. */
static void test_twice(void)
{
	struct tape t = live(false);
	int at = last_of(&t, PBFT_REC_NEW_VIEW);

	reborn();
	ok(!tell(&t, at) && peers_status(&p).view == 1 && peers_status(&p).pending,
	   "a promise, and no NEW-VIEW yet");
	ok(!pbft_restore(p.core, &t.rec[at]) && !peers_status(&p).pending, "a NEW-VIEW");
	ok(!pbft_restore(p.core, &t.rec[at]) && peers_status(&p).view == 1 &&
	   !peers_status(&p).pending && pbft_counters_get(p.core)->new_views == 1,
	   "the same again is not entered again");
	reborn();
	ok(!pbft_restore(p.core, &t.rec[at]) && peers_status(&p).view == 1 &&
	   !peers_status(&p).pending, "without a promise of ours it begins its view too");
	stop(&t);
}

/* ---- no memory, no sense ---------------------------------------------------------------- */

static void test_memory(void)
{
	struct tape t = live(true);
	u32 nth, failed = 0, other = 0;
	int err;

	for (nth = 1; nth < 100; nth++) {
		reborn();
		alloc_fail(nth);
		err = tell(&t, t.count);
		if (!alloc_failed())
			break;
		failed += err == -ENOMEM;
		other += err != -ENOMEM;
	}
	alloc_fail(0);
	ok(failed && !other && !err, "at each of %u allocations no memory: an error, no gap",
	   failed);
	stop(&t);
}

static u64 random_from(u64 *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return *seed >> 33;
}

/* A whole record with a byte changed. Return: it could be read at all. */
static bool garble(struct pbft_record *r, u64 *seed)
{
	struct pbft_out out = { .code = r->code, .view = r->view, .head = r->head,
				.digest = r->digest, .buf = r->buf };
	u32 size = pbft_record_size(&p.id, &out);
	u8 *data = malloc(size);
	int err;

	pbft_record_put(data, &p.id, p.cfg.self, &out);
	data[random_from(seed) % size] ^= 1 + random_from(seed) % 255;
	err = pbft_record_get(&p.id, data, size, r);
	free(data);
	return err >= 0;
}

static void test_garbled(u64 seed)
{
	struct tape t = live(true);
	u32 i, taken = 0, refusals = 0, strange = 0;

	for (i = 0; i < 3000; i++) {
		u32 at = random_from(&seed) % t.count;
		struct pbft_record r = t.rec[at];
		int err;

		if (!garble(&r, &seed))
			continue;
		reborn();
		tell(&t, at);
		err = pbft_restore(p.core, &r);
		pbft_buf_put(r.buf);
		taken += !err;
		/* no memory is also said of a batch whose digest is not its own */
		refusals += err == -EBADMSG || err == -ENOMEM;
		strange += err && err != -EBADMSG && err != -ENOMEM;
		if (!err)
			tell(&t, t.count);	/* whatever it makes of the rest */
		pbft_restored(p.core, p.now);
		pbft_tick(p.core, p.now + PEERS_MS);
		hush();
	}
	ok(taken && refusals && !strange, "garbled records: %u taken, %u refused", taken, refusals);
	stop(&t);
}

int main(int argc, char **argv)
{
	u64 seed = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;

	diag("seed %llu: unit-restore SEED", (unsigned long long)seed);
	test_promises(false);
	test_promises(true);
	test_order();
	test_votes();
	test_forgot();
	test_behind();
	test_refusals();
	test_twice();
	test_memory();
	test_garbled(seed);
	return done_testing();
}
