// SPDX-License-Identifier: GPL-2.0
/*
 * The service behind a replica: registers with compare-and-swap, client
 * sessions beside them, snapshots at checkpoints, and state transfer between
 * daemons. It works off what the core hands it one item at a time, as slowly as
 * the plan says, and may die and come back with an older database.
 */
#include <stdlib.h>
#include "sim.h"

#define RESULT_MAX 2000

void app_digest(struct kv_state *state, struct pbft_digest *out)
{
	struct pbft_iov iov[1 + SIM_CLIENTS_MAX] = { { state->values, sizeof(state->values) } };
	u32 i;

	for (i = 0; i < SIM_CLIENTS_MAX; i++) {
		struct kv_client *c = &state->clients[i];
		struct pbft_iov all = { c, offsetof(struct kv_client, hashed) };

		if (!c->hashed)
			pbft_hash(&c->digest, &all, 1);
		c->hashed = true;
		iov[1 + i] = (struct pbft_iov){ &c->digest, sizeof(c->digest) };
	}
	pbft_hash(out, iov, 1 + SIM_CLIENTS_MAX);
}

static struct app_item *queue_head(struct sim_app *app)
{
	return app->q_head == app->q_tail ? NULL : &app->queue[app->q_head % APP_QUEUE];
}

static void queue_pop(struct sim_app *app)
{
	pbft_batch_put(queue_head(app)->batch);
	app->q_head++;
}

static void schedule(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_app *app = &node->app;
	u64 delay = prng_range(&sim->rng_app, 1000, sim->plan.app_delay);
	struct sim_event *ev;

	if (app->working || !queue_head(app))
		return;
	if (sim->now < app->slow_until)
		delay = prng_range(&sim->rng_app, 10 * MS, sim->plan.cfg.t_base / 2);
	app->working = true;
	ev = sim_event_add(sim, sim->now + delay, SIM_EV_APP, node->id);
	ev->gen = app->gen;
}

/* A paused daemon is behind with its reading: of such items only the last matters. */
static void supersede(struct sim_app *app, u8 type)
{
	u32 i, to = app->q_head;

	if ((type != PBFT_OUT_FETCH_STATE && type != PBFT_OUT_DISCARD) ||
	    app->q_tail - app->q_head < APP_QUEUE / 2)
		return;
	for (i = app->q_head; i != app->q_tail; i++)
		if (app->queue[i % APP_QUEUE].type != type)
			app->queue[to++ % APP_QUEUE] = app->queue[i % APP_QUEUE];
	app->q_tail = to;
}

void app_take(struct sim_node *node, struct pbft_out *out)
{
	struct sim_app *app = &node->app;
	struct app_item *it;

	if (!app->bound)
		return;
	supersede(app, out->type);
	it = &app->queue[app->q_tail % APP_QUEUE];
	if (app->q_tail - app->q_head == APP_QUEUE) {
		sim_violation(node->sim, "application queue of replica %u overflows", node->id);
		return;
	}
	app->q_tail++;
	it->type = out->type;
	it->head = out->head;
	it->digest = out->digest;
	it->to = out->to;
	it->batch = out->batch;
	out->batch = NULL;
	schedule(node);
}

/* ---- execution -------------------------------------------------------- */

void kv_result_bytes(const struct kv_answer *a, u8 *out)
{
	struct kv_result r = { cpu_to_le64(a->value), cpu_to_le64(a->done) };

	if (!a->len)
		return;
	memcpy(out, &r, sizeof(r));
	memset(out + sizeof(r), (u8)a->value, a->len - sizeof(r));
}

static void execute(struct sim *sim, struct kv_state *s, u32 client,
		    const struct pbft_batch_req *req, struct kv_answer *a)
{
	bool wild = client >= sim->plan.clients - sim->plan.byz_clients;
	struct kv_op op;

	memset(a, 0, sizeof(*a));
	a->status = PBFT_ST_APP_ERROR;
	if (req->op_len < sizeof(op))
		return;
	memcpy(&op, req->op, sizeof(op));
	if (op.kind >= KV_KINDS || op.key >= KV_KEYS ||
	    wild != (op.key >= KV_KEYS - KV_WILD) ||
	    le16_to_cpu(op.want) > RESULT_MAX)
		return;
	a->status = PBFT_ST_OK;
	a->value = s->values[op.key];
	a->len = max_t(u32, le16_to_cpu(op.want), sizeof(struct kv_result));
	if (op.kind == KV_PUT) {
		s->values[op.key] = le64_to_cpu(op.a);
	} else if (op.kind == KV_CAS && a->value == le64_to_cpu(op.a)) {
		s->values[op.key] = le64_to_cpu(op.b);
		a->done = 1;
	}
}

static void one_request(struct sim_node *node, struct kv_state *s, u64 seq, u32 i,
			const struct pbft_batch_req *req, struct kv_answer *a)
{
	struct sim *sim = node->sim;
	u32 client = req->client - PBFT_CLIENT_ID_MIN;
	struct kv_client *c = &s->clients[client];
	u64 before = c->s.session;
	bool run = false;

	memset(a, 0, sizeof(*a));
	if (client >= sim->client_count) {
		sim_violation(sim, "batch %llu holds a request of unknown client %u",
			      (unsigned long long)seq, req->client);
		return;
	}
	c->hashed = false;
	switch (pbft_session_check(&c->s, req->session, req->t)) {
	case PBFT_SESSION_EXECUTE:
		if (c->s.session != before)
			memset(c->answers, 0, sizeof(c->answers));
		execute(sim, s, client, req, a);
		c->answers[req->t % PBFT_CLIENT_WINDOW] = *a;
		pbft_session_advance(&c->s);
		run = true;
		break;
	case PBFT_SESSION_REPEAT:
		*a = c->answers[req->t % PBFT_CLIENT_WINDOW];
		break;
	case PBFT_SESSION_STALE:
		a->status = PBFT_ST_STALE;
		break;
	case PBFT_SESSION_OUT_OF_ORDER:
		a->status = PBFT_ST_OUT_OF_ORDER;
		break;
	}
	if (!node->byz && !s->corrupt)
		ghost_request(node, seq, i, req, a, run);
}

/* Of a state that differs from what it should be, the faults are its own. */
static void judge_corrupt(struct sim_node *node)
{
	if (node->app.state.corrupt) {
		node->sim->corrupt |= 1ull << node->id;
		if (!node->byz)
			ghost_corrupted(node, node->app.state.head.seq);
	} else {
		node->sim->corrupt &= ~(1ull << node->id);
	}
}

/* One bit of a register; in the database, too, or only in what is in memory. */
void app_corrupt(struct sim_node *node)
{
	struct prng *r = &node->sim->rng_corrupt;
	struct sim_app *app = &node->app;
	u32 key = prng_below(r, node->sim->plan.keys);
	u64 bit = 1ull << prng_below(r, 64);

	app->state.values[key] ^= bit;
	app->state.corrupt = true;
	if (prng_chance(r, 500000)) {
		app->durable.values[key] ^= bit;
		app->durable.corrupt = true;
	}
	trace(node->sim, "%s daemon's state is corrupted at %llu", trace_end(node->id),
	      (unsigned long long)app->state.head.seq);
	judge_corrupt(node);
}

static void apply(struct sim_node *node, struct app_item *it)
{
	static u8 bytes[PBFT_BATCH_MAX * RESULT_MAX];
	static struct pbft_result results[PBFT_BATCH_MAX];
	static struct kv_answer answers[PBFT_BATCH_MAX];
	struct sim *sim = node->sim;
	struct kv_state *s = &node->app.state;
	u32 i, count = it->batch ? pbft_batch_count(it->batch) : 0, used = 0;
	u64 now;
	int err;

	if (it->head.seq != s->head.seq + 1)
		sim_violation(sim, "replica %u: application at %llu is to apply %llu",
			      node->id, (unsigned long long)s->head.seq,
			      (unsigned long long)it->head.seq);
	for (i = 0; i < count; i++) {
		struct pbft_batch_req req;

		pbft_batch_req(it->batch, i, &req);
		one_request(node, s, it->head.seq, i, &req, &answers[i]);
		kv_result_bytes(&answers[i], bytes + used);
		results[i].status = answers[i].status;
		results[i].len = answers[i].len;
		results[i].data = bytes + used;
		used += answers[i].len;
	}
	s->head = it->head;
	judge_corrupt(node);
	if (!node->byz)
		ghost_executed(node, &s->head, count, answers);
	if (prng_chance(&sim->rng_app, sim->plan.durable_ppm))
		node->app.durable = *s;

	now = replica_enter(node);
	err = pbft_executed(node->core, now, it->head.seq, results, count);
	replica_leave(node);
	if (err)
		sim_violation(sim, "replica %u: executed(%llu) returns %d", node->id,
			      (unsigned long long)it->head.seq, err);
}

/* ---- snapshots ---------------------------------------------------------- */

static void snapshot_drop(struct sim_app *app, u32 i)
{
	free(app->snapshots[i]);
	app->snapshots[i] = app->snapshots[--app->snapshot_count];
}

static void snapshots_drop(struct sim_app *app, u64 below, u64 above)
{
	u32 i;

	for (i = app->snapshot_count; i--; )
		if (app->snapshots[i]->head.seq < below || app->snapshots[i]->head.seq > above)
			snapshot_drop(app, i);
}

static u32 snapshot_oldest(const struct sim_app *app)
{
	u32 i, oldest = 0;

	for (i = 1; i < app->snapshot_count; i++)
		if (app->snapshots[i]->head.seq < app->snapshots[oldest]->head.seq)
			oldest = i;
	return oldest;
}

static struct kv_state *snapshot_find(struct sim_app *app, u64 seq)
{
	u32 i;

	for (i = 0; i < app->snapshot_count; i++)
		if (app->snapshots[i]->head.seq == seq)
			return app->snapshots[i];
	return NULL;
}

static void snapshot_keep(struct sim_node *node)
{
	struct sim_app *app = &node->app;
	struct kv_state *copy = snapshot_find(app, app->state.head.seq);

	if (!copy) {
		/* as pbftd does: only one that fetches state after state gets there */
		if (app->snapshot_count == APP_SNAPSHOTS)
			snapshot_drop(app, snapshot_oldest(app));
		copy = malloc(sizeof(*copy));
		app->snapshots[app->snapshot_count++] = copy;
	}
	*copy = app->state;
}

static void snapshot(struct sim_node *node, const struct app_item *it)
{
	struct sim *sim = node->sim;
	struct pbft_digest d;
	u64 now;
	int err;

	/* before it is said to be there; what lies below may be forgotten then */
	if (node->disk.on)
		node->app.durable = node->app.state;
	if (it->head.seq != node->app.state.head.seq)
		sim_violation(sim, "replica %u: snapshot of %llu asked at %llu", node->id,
			      (unsigned long long)it->head.seq,
			      (unsigned long long)node->app.state.head.seq);
	snapshot_keep(node);
	app_digest(&node->app.state, &d);
	/* what was damaged has been overwritten since */
	if (node->app.state.corrupt && ghost_same_state(node->sim, &node->app.state.head, &d)) {
		node->app.state.corrupt = false;
		node->app.durable = node->app.state;
		judge_corrupt(node);
	}
	now = replica_enter(node);
	err = pbft_checkpointed(node->core, now, it->head.seq, &d);
	replica_leave(node);
	if (err)
		sim_violation(sim, "replica %u: checkpointed(%llu) returns %d", node->id,
			      (unsigned long long)it->head.seq, err);
}

/* ---- state transfer ------------------------------------------------------ */

static void fetch_ask(struct sim_node *node)
{
	struct sim *sim = node->sim;
	struct sim_app *app = &node->app;
	u32 k = app->fetch.to ? app->fetch_try++ % hweight64(app->fetch.to) : 0;
	u64 to = app->fetch.to, delay;
	struct sim_event *ev;

	while (k--)
		to &= to - 1;
	if (to && net_pass(sim, node->id, __ffs64(to), 100, &delay)) {
		ev = sim_event_add(sim, sim->now + delay, SIM_EV_STATE_REQ, __ffs64(to));
		ev->from = node->id;
		ev->arg = app->fetch.head.seq;
	}
	ev = sim_event_add(sim, sim->now + 4 * sim->plan.delay_max + 20 * MS,
			   SIM_EV_STATE_RETRY, node->id);
	ev->gen = app->gen;
	ev->arg = app->fetch.head.seq;
}

static void fetch_begin(struct sim_node *node, const struct app_item *it)
{
	struct sim_app *app = &node->app;

	trace(node->sim, "%s fetches state %llu", trace_end(node->id),
	      (unsigned long long)it->head.seq);
	app->fetch = *it;
	app->fetch.batch = NULL;
	app->fetching = true;
	app->fetch_try = node->id;
	fetch_ask(node);
}

void app_state_retry(struct sim_node *node, u64 seq)
{
	if (node->app.fetching && node->app.fetch.head.seq == seq)
		fetch_ask(node);
}

void app_state_req(struct sim_node *node, u32 from, u64 seq)
{
	struct sim *sim = node->sim;
	struct kv_state *s = node->up ? snapshot_find(&node->app, seq) : NULL, *copy;
	struct sim_event *ev;
	u64 delay;

	if (!s || !net_pass(sim, node->id, from, sizeof(*s), &delay))
		return;
	copy = malloc(sizeof(*copy));
	*copy = *s;
	if (node->byz && prng_chance(&sim->rng_byz, 500000))
		copy->values[prng_below(&sim->rng_byz, KV_KEYS)] ^= 1;
	ev = sim_event_add(sim, sim->now + delay, SIM_EV_STATE_RESP, from);
	ev->from = node->id;
	ev->ptr = copy;
}

void app_state_resp(struct sim_node *node, struct kv_state *state)
{
	struct sim_app *app = &node->app;
	struct sim *sim = node->sim;
	struct pbft_digest d;
	u64 now;
	u32 i;
	int err;

	if (!node->up || !app->bound || !app->fetching ||
	    state->head.seq != app->fetch.head.seq)
		return;
	/* another's word for its parts is not taken */
	for (i = 0; i < SIM_CLIENTS_MAX; i++)
		state->clients[i].hashed = false;
	app_digest(state, &d);
	if (!pbft_digest_eq(&d, &app->fetch.digest))
		return;
	app->state = *state;
	app->state.corrupt = false;
	app->state.head = app->fetch.head;
	app->durable = app->state;
	app->fetching = false;
	snapshot_keep(node);
	sim->stats.state_transfers++;
	judge_corrupt(node);
	if (!node->byz)
		ghost_installed(node, &app->state.head, &d);
	now = replica_enter(node);
	err = pbft_state_installed(node->core, now, app->state.head.seq, &d);
	replica_leave(node);
	if (err)
		sim_violation(sim, "replica %u: state_installed(%llu) returns %d", node->id,
			      (unsigned long long)app->state.head.seq, err);
	schedule(node);
}

/* ---- the daemon's life ----------------------------------------------------- */

void app_work(struct sim_node *node)
{
	struct sim_app *app = &node->app;
	struct app_item *it = queue_head(app), item;

	app->working = false;
	if (!it)
		return;
	if (app->fetching && it->type != PBFT_OUT_FETCH_STATE && it->type != PBFT_OUT_DISCARD)
		return;		/* goes on when the state is there */
	item = *it;
	it->batch = NULL;
	queue_pop(app);
	switch (item.type) {
	case PBFT_OUT_APPLY:
		apply(node, &item);
		break;
	case PBFT_OUT_SNAPSHOT:
		snapshot(node, &item);
		break;
	case PBFT_OUT_DISCARD:
		snapshots_drop(app, item.head.seq, U64_MAX);
		break;
	case PBFT_OUT_FETCH_STATE:
		fetch_begin(node, &item);
		break;
	}
	pbft_batch_put(item.batch);
	schedule(node);
}

void app_bind(struct sim_node *node)
{
	struct sim_app *app = &node->app;
	u64 now;
	int err;

	if (app->bound || !node->up)
		return;
	trace(node->sim, "%s daemon binds at %llu", trace_end(node->id),
	      (unsigned long long)app->state.head.seq);
	app->bound = true;
	if (!node->byz)
		ghost_bound(node, &app->state.head);
	now = replica_enter(node);
	err = pbft_bind(node->core, now, &app->state.head);
	replica_leave(node);
	if (err)
		sim_violation(node->sim, "replica %u: bind at %llu returns %d", node->id,
			      (unsigned long long)app->state.head.seq, err);
}

void app_unbind(struct sim_node *node, bool lose_tail)
{
	struct sim_app *app = &node->app;

	if (app->bound) {
		trace(node->sim, "%s daemon dies", trace_end(node->id));
		app->bound = false;
		app->gen++;
		app->working = false;
		app->fetching = false;
		while (queue_head(app))
			queue_pop(app);
		if (node->up) {
			replica_enter(node);
			pbft_unbind(node->core);
			if (node->disk.on)
				pbft_gate_unbind(&node->disk.gate);
			replica_leave(node);
		}
	}
	if (lose_tail) {
		app->state = app->durable;
		snapshots_drop(app, 0, app->state.head.seq);
		judge_corrupt(node);
	}
}

/* As a daemon does whose copies live as long as its process. */
void app_forget_copies(struct sim_node *node)
{
	snapshots_drop(&node->app, 1, 0);
}

void app_reset(struct sim_node *node, bool wipe)
{
	struct sim_app *app = &node->app;

	if (!wipe)
		return;
	memset(&app->state, 0, sizeof(app->state));
	memset(&app->durable, 0, sizeof(app->durable));
	app_forget_copies(node);
	judge_corrupt(node);
}

void app_free(struct sim_node *node)
{
	struct sim_app *app = &node->app;

	while (queue_head(app))
		queue_pop(app);
	app_forget_copies(node);
}
