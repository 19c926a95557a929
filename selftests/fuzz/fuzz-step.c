// SPDX-License-Identifier: GPL-2.0
/*
 * One core under a stream of authenticated but hostile messages, answers of its
 * application, time, and failing allocations. The bytes choose all of it: first
 * the configuration, then call after call. Each stream runs twice, in two cores,
 * and must give the same outputs byte for byte. With FUZZ_TRACE set a replay
 * says what goes in and what comes out.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "step.h"

#define MS 1000000ull
#define CALLS_MAX	400

/* What a call is, by the first of its bytes; the frequent ones more than once. */
static const u8 types[] = {
	PBFT_REQUEST, PBFT_REQUEST, PBFT_REQUEST, PBFT_PRE_PREPARE,
	PBFT_PRE_PREPARE, PBFT_PRE_PREPARE, PBFT_PREPARE, PBFT_PREPARE,
	PBFT_PREPARE, PBFT_COMMIT, PBFT_COMMIT, PBFT_COMMIT, PBFT_CHECKPOINT,
	PBFT_CHECKPOINT, PBFT_VIEW_CHANGE, PBFT_VIEW_CHANGE, PBFT_VIEW_CHANGE_ACK,
	PBFT_VIEW_CHANGE_ACK, PBFT_NEW_VIEW, PBFT_NEW_VIEW, PBFT_STATUS,
	PBFT_COMMITTED, PBFT_FETCH, PBFT_BATCH, PBFT_RELAY, PBFT_RELAY,
	PBFT_QUERY_STABLE, PBFT_REPLY_STABLE, PBFT_REJOIN, PBFT_NACK, PBFT_ENDORSE,
	PBFT_HELLO, PBFT_REPLY, PBFT_HELLO_ACK,
};

enum call {
	CALL_TICK = ARRAY_SIZE(types),
	CALL_DEADLINE,
	CALL_RUN,
	CALL_SNAPSHOT,
	CALL_ALL,		/* the whole application side, right */
	CALL_INSTALL,
	CALL_BIND,
	CALL_UNBIND,
	CALL_NONSENSE,
	CALL_CLIENT,
	CALL_WALL,
	CALL_FAIL,
	CALL_LOOK,
	CALL_STOP,
	CALLS
};

/* Bytes from here on are rounds: many messages for one byte, to get far. */
#define ROUNDS_FROM	0xf0

static bool tracing;

void step_trace(const char *fmt, ...)
{
	va_list ap;

	if (!tracing)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
}

static void drain(struct step_run *r)
{
	u32 failing = fuzz_alloc_pause();
	struct pbft_out out[16];
	unsigned int n, i;

	while ((n = pbft_ready(r->core, out, ARRAY_SIZE(out)))) {
		for (i = 0; i < n; i++) {
			step_output(r, &out[i]);
			pbft_out_release(&out[i]);
		}
	}
	fuzz_alloc_resume(failing);
}

/* Once in a while a byte that the message's own rules did not foresee. */
static void damage(struct step_run *r, struct pbft_buf *buf)
{
	u32 off = fuzz_u16(&r->w.in) % buf->len;

	buf->data[off] = fuzz_u8(&r->w.in);
}

static void fill_verdict(struct step_run *r, struct pbft_verdict *v)
{
	u8 b = fuzz_u8(&r->w.in);

	memset(v, 0, sizeof(*v));
	if (b & 0x80)
		v->inner_ok[0] = b & 0x3f;
	else
		memset(v, 0xff, sizeof(*v));
}

static void deliver(struct step_run *r, struct pbft_buf *buf, const struct pbft_verdict *v)
{
	struct pbft_packet pkt = { .data = buf->data, .len = buf->len, .buf = buf };

	if (pbft_wire_check(&r->w.id, buf->data, buf->len, &pkt.head) != PBFT_OK)
		return;
	step_trace("  in  %s from %u, view %llu, seq %llu\n", pbft_type_name(pkt.head.type),
		   pkt.head.sender, (unsigned long long)pkt.head.view,
		   (unsigned long long)pkt.head.seq);
	pbft_step(r->core, r->now, &pkt, v);
}

/* One message, the same from each replica of a set. */
static void call_message(struct step_run *r, u8 type)
{
	u8 who = fuzz_u8(&r->w.in);
	struct fuzz_in from = r->w.in;
	u32 i;

	for (i = 0; i < r->cfg.n; i++) {
		struct pbft_verdict v;
		struct pbft_buf *buf;

		if (!(who >> i & 1) && (i || who & 15))
			continue;
		r->w.in = from;
		fill_verdict(r, &v);
		buf = world_message(&r->w, type, i);
		if (!buf)
			return;
		if (who >= 0xf0)
			damage(r, buf);
		deliver(r, buf, &v);
		pbft_buf_put(buf);
		drain(r);
		/* requests come from a client, whoever the bytes name here */
		if (type == PBFT_REQUEST || type == PBFT_HELLO)
			return;
	}
}

static void call_tick(struct step_run *r)
{
	static const u32 steps[] = { 0, 1, 13, 25, 50, 100, 500, 1000, 2000, 10000, 60000 };
	u8 b = fuzz_u8(&r->w.in);

	r->now += b < 0xf0 ? steps[b % ARRAY_SIZE(steps)] * MS : fuzz_u16(&r->w.in) * MS;
	pbft_tick(r->core, r->now);
}

static void call_deadline(struct step_run *r)
{
	u64 at = pbft_next_deadline(r->core);

	if (at == U64_MAX)
		return;
	fuzz_check(at > r->now || r->st.stopped, "a deadline that has passed already");
	r->now = max(at, r->now);
	pbft_tick(r->core, r->now);
}

static void call_client(struct step_run *r)
{
	u8 b = fuzz_u8(&r->w.in);
	u32 id = PBFT_CLIENT_ID_MIN + (b >> 1) % WORLD_CLIENTS;
	int err;

	if (b & 1) {
		pbft_client_del(r->core, id);
		return;
	}
	err = pbft_client_add(r->core, id);
	fuzz_check(!err || err == -EEXIST || err == -ENOSPC || err == -ENOMEM,
		   "adding client %u: %d", id, err);
}

static void call_look(struct step_run *r)
{
	const struct pbft_counters *cnt = pbft_counters_get(r->core);
	struct pbft_digest d;

	if (!pbft_committed_digest(r->core, world_seq(&r->w), &d))
		step_record(r, fuzz_hash(0, &d, sizeof(d)));
	step_record(r, fuzz_hash(0, cnt, sizeof(*cnt)));
}

/* ---- rounds: what correct peers would say --------------------------------------- */

#define EVERYONE	0xef	/* five of eight at most; below 0xf0: undamaged */
#define NEXT_VIEW	10	/* to world_view() */
#define ABOVE_H		0x16	/* to world_seq(); 0: the next to be committed */

/* The message that these bytes describe; then the run's own go on. */
static void scripted(struct step_run *r, u8 type, const u8 *bytes, size_t len)
{
	struct fuzz_in own = r->w.in;

	r->w.in = (struct fuzz_in){ bytes, len };
	call_message(r, type);
	r->w.in = own;
}

#define script(r, type, ...)						\
	scripted(r, type, (const u8[]){ __VA_ARGS__ },			\
		 sizeof((const u8[]){ __VA_ARGS__ }))

/* One more batch, of a request or null, up to its execution. */
static void round_commit(struct step_run *r)
{
	u8 b = fuzz_u8(&r->w.in);
	/* clients take turns, each in its order */
	u8 client = r->rounds % WORLD_CLIENTS, t = r->rounds / WORLD_CLIENTS;
	u8 seq = r->w.committed < r->w.h ? ABOVE_H : 0;

	r->rounds++;
	if (r->w.view % r->cfg.n == r->cfg.self)
		script(r, PBFT_REQUEST, 1, 0, 0, client, t, b & 0x7f);
	else
		script(r, PBFT_PRE_PREPARE, 1, 0, 0, seq, b % 0xf0, b != 0, client, t,
		       b & 0x7f, 0);
	script(r, PBFT_PREPARE, EVERYONE, 0, 0, seq, 0);
	script(r, PBFT_COMMIT, EVERYONE, 0, 0, seq, 0);
	app_run(r, STEP_APPLIES);
}

static void round_stable(struct step_run *r)
{
	app_snapshot(r, true);
	drain(r);
	script(r, PBFT_CHECKPOINT, EVERYONE, 0, 0);
}

/* Into the next view; nobody has prepared anything, or so they say. */
static void round_view(struct step_run *r)
{
	u8 i;

	script(r, PBFT_VIEW_CHANGE, EVERYONE, 0, 0, 1, 0);
	for (i = 1; i < r->cfg.n; i++)
		script(r, PBFT_VIEW_CHANGE_ACK, EVERYONE, 0, i, NEXT_VIEW);
	script(r, PBFT_NEW_VIEW, 1, 0, 0, NEXT_VIEW);
}

static void call_round(struct step_run *r, u8 which)
{
	static void (* const rounds[])(struct step_run *r) = {
		round_commit, round_commit, round_stable, round_view,
	};

	step_trace("call %llu: round %u\n", (unsigned long long)r->calls, which & 3);
	rounds[which & 3](r);
}

static void call(struct step_run *r, u8 op)
{
	static const char * const names[] = {
		"tick", "deadline", "run", "snapshot", "all", "install", "bind",
		"unbind", "nonsense", "client", "wall", "fail", "look", "stop",
	};

	if (op >= ROUNDS_FROM) {
		call_round(r, op);
		return;
	}
	op %= CALLS;
	step_trace("call %llu: %s\n", (unsigned long long)r->calls,
		   op < ARRAY_SIZE(types) ? pbft_type_name(types[op]) :
					    names[op - ARRAY_SIZE(types)]);
	if (op < ARRAY_SIZE(types)) {
		call_message(r, types[op]);
		return;
	}
	switch ((enum call)op) {
	case CALL_TICK:
		call_tick(r);
		break;
	case CALL_DEADLINE:
		call_deadline(r);
		break;
	case CALL_RUN:
		app_run(r, 1 + fuzz_below(&r->w.in, 4));
		break;
	case CALL_SNAPSHOT:
		app_snapshot(r, true);
		break;
	case CALL_ALL:
		app_run(r, STEP_APPLIES);
		drain(r);
		app_snapshot(r, true);
		break;
	case CALL_INSTALL:
		app_install(r, true);
		break;
	case CALL_BIND:
		app_bind(r);
		break;
	case CALL_UNBIND:
		app_unbind(r);
		break;
	case CALL_NONSENSE:
		app_nonsense(r);
		break;
	case CALL_CLIENT:
		call_client(r);
		break;
	case CALL_WALL:
		r->w.wall = (u64)fuzz_u16(&r->w.in) * 1000 * MS;
		pbft_set_wall_offset(r->core, r->w.wall - r->now);
		break;
	case CALL_FAIL:
		fuzz_alloc_fail(fuzz_u8(&r->w.in) & 31);
		break;
	case CALL_LOOK:
		call_look(r);
		break;
	case CALL_STOP:
		if (fuzz_u8(&r->w.in) == 0xff)
			pbft_stop(r->core, "the fuzzer says so");
		break;
	default:
		break;
	}
}

static void configure(struct step_run *r)
{
	static const u8 windows[][2] = { { 2, 4 }, { 1, 2 }, { 2, 8 }, { 4, 8 }, { 3, 6 }, { 1, 16 } };
	struct pbft_config *cfg = &r->cfg;
	u8 a = fuzz_u8(&r->w.in), b = fuzz_u8(&r->w.in);
	struct pbft_wire_id id;
	const char *wrong;

	pbft_config_default(cfg);
	cfg->cluster = 0x123456789abcdef0ull;
	cfg->epoch = 3;
	cfg->n = a & 0x80 ? 5 + (a >> 5 & 3) : 4;
	cfg->f = pbft_max_faults(cfg->n);
	cfg->self = (a & 15) % cfg->n;
	cfg->genesis = !(a & 0x10);
	cfg->k = windows[b % ARRAY_SIZE(windows)][0];
	cfg->l = windows[b % ARRAY_SIZE(windows)][1];
	cfg->pipeline = b & 0x80 ? cfg->l : 1;
	cfg->batch_max = b & 0x40 ? 2 : PBFT_BATCH_MAX;
	cfg->batch_bytes = 1024;
	cfg->inline_max = 64;
	cfg->clients_max = WORLD_CLIENTS - 1;
	wrong = pbft_config_check(cfg);
	fuzz_check(!wrong, "%s", wrong);
	id = (struct pbft_wire_id){ cfg->cluster, cfg->epoch, cfg->n };
	world_init(&r->w, &id, cfg->f, cfg->k, cfg->l, cfg->self);
}

static void start(struct step_run *r)
{
	static const struct pbft_log_head zero;
	u32 i;

	r->now = 5000 * MS;
	r->core = pbft_core_create(&r->cfg, r->now);
	fuzz_check(r->core, "no core");
	r->w.wall = 1000 * r->now;
	pbft_set_wall_offset(r->core, r->w.wall - r->now);
	for (i = 0; i < r->cfg.clients_max; i++)
		pbft_client_add(r->core, PBFT_CLIENT_ID_MIN + i);
	if (!pbft_bind(r->core, r->now, &zero))
		r->bound = true;
	pbft_tick(r->core, r->now);
	drain(r);
	pbft_status_get(r->core, &r->st);
	step_state(r);
}

/* What the made-up peers and the log hold is not the core's. */
static u64 world_bytes(const struct step_run *r)
{
	u64 sum = 0;
	u32 i;

	for (i = 0; i < r->cfg.n; i++)
		sum += r->w.vc[i] ? sizeof(*r->w.vc[i]) + r->w.vc[i]->cap : 0;
	sum += r->w.nv ? sizeof(*r->w.nv) + r->w.nv->cap : 0;
	return sum + (r->compare ? 0 : r->log->cap * sizeof(u64));
}

static void run(struct step_run *r, const u8 *data, size_t size, struct step_log *log)
{
	size_t before;

	memset(r, 0, sizeof(*r));
	r->log = log;
	r->compare = log->count > 0;
	r->w.in.p = data;
	r->w.in.left = size;
	configure(r);
	before = fuzz_heap() - (r->compare ? 0 : log->cap * sizeof(u64));
	start(r);
	while (r->w.in.left && r->calls < CALLS_MAX && !step_at_edge(r)) {
		r->calls++;
		call(r, fuzz_u8(&r->w.in));
		drain(r);
		step_state(r);
		fuzz_check(fuzz_heap() - before - world_bytes(r) <=
			   pbft_config_memory(&r->cfg),
			   "call %llu: the core holds %zu bytes",
			   (unsigned long long)r->calls, fuzz_heap() - before);
	}
	fuzz_alloc_fail(0);
	app_unbind(r);
	pbft_core_destroy(r->core);
	world_free(&r->w);
	before += r->compare ? 0 : log->cap * sizeof(u64);
	/* threads of the fuzzer's own may have freed something meanwhile */
	fuzz_check(fuzz_heap() <= before, "%zu bytes are left after it is destroyed",
		   fuzz_heap() - before);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	static struct step_run r;
	static struct step_log log;

	tracing = getenv("FUZZ_TRACE");
	log.count = 0;
	run(&r, data, size, &log);
	run(&r, data, size, &log);
	fuzz_check(r.at == log.count, "the second run ends early: %zu outputs of %zu",
		   r.at, log.count);
	return 0;
}
