// SPDX-License-Identifier: GPL-2.0
/*
 * bench-insn: a cluster of real cores on a network of memory, through a fixed
 * number of ordered operations, always the same way. Counts the work that an
 * operation causes outside of the core (messages, MACs, hashes, copies,
 * allocations) and prints it; under callgrind, which is told to look at
 * bench_measured() only, insn.py counts the instructions inside.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "insn.h"

#define FIRST_CLIENT	PBFT_CLIENT_ID_MIN
#define OUTS		64
#define STEP_NS		10000		/* from one delivery to the next */
#define START_NS	1000000000ull

struct work work;

static struct cluster cl;

__attribute__((noreturn)) static void die(const char *why)
{
	fprintf(stderr, "bench-insn: %s\n", why);
	exit(1);
}

/* ---- the network: one queue, in order ---------------------------------------- */

static void net_send(u32 to, struct pbft_buf *buf)
{
	struct packet *p = &cl.queue[cl.tail++ % QUEUE];

	if (cl.tail - cl.head > QUEUE)
		die("the network's queue is full");
	p->to = to;
	p->buf = buf;
	work.messages++;
	work.bytes += buf->len;
}

/*
 * Header and body with room for the authentication, which nobody looks at. This
 * copy is the network's, and not counted.
 */
static struct pbft_buf *sealed(const struct pbft_buf *msg)
{
	const struct pbft_hdr *h = (const void *)msg->data;
	u32 auth = pbft_wire_auth_len(h->type, cl.cfg.n);
	struct work before = work;
	struct pbft_buf *buf = pbft_buf_alloc(msg->len + auth);

	if (!buf)
		die("out of memory");
	memcpy(buf->data, msg->data, msg->len);
	memset(buf->data + msg->len, 0, auth);
	buf->len = msg->len + auth;
	work = before;
	return buf;
}

static void send_set(u64 to, u8 auth, struct pbft_buf *msg)
{
	if (auth == PBFT_AUTH_VECTOR)
		work.macs_made += cl.cfg.n - 1;
	for (; to; to &= to - 1) {
		work.macs_made += auth == PBFT_AUTH_MAC;
		net_send(__builtin_ctzll(to), auth == PBFT_AUTH_NONE ?
			 pbft_buf_get(msg) : sealed(msg));
	}
}

/* ---- replicas --------------------------------------------------------------------- */

static void answer(struct pbft_core *core, const struct pbft_out *out)
{
	u32 count = out->batch ? pbft_batch_count(out->batch) : 0;

	if (pbft_executed(core, cl.now, out->head.seq, cl.results, count))
		die("the core refuses a batch's results");
}

static void act(struct pbft_core *core, struct pbft_out *out)
{
	static const struct pbft_digest state;

	switch (out->type) {
	case PBFT_OUT_SEND:
		if (!out->client) {
			send_set(out->to, out->auth, out->buf);
			break;
		}
		work.macs_made++;
		net_send(out->client, sealed(out->buf));
		break;
	case PBFT_OUT_APPLY:
		answer(core, out);
		break;
	case PBFT_OUT_SNAPSHOT:
		if (pbft_checkpointed(core, cl.now, out->head.seq, &state))
			die("the core refuses a checkpoint");
		break;
	case PBFT_OUT_FETCH_STATE:
		die("a replica fell behind");
	case PBFT_OUT_EVENT:
		if (out->code != PBFT_EV_STABLE)
			die("an event that has no place here");
		break;
	}
	pbft_out_release(out);
}

static void drain(struct pbft_core *core)
{
	struct pbft_out outs[OUTS];
	unsigned int n, i;

	while ((n = pbft_ready(core, outs, OUTS)))
		for (i = 0; i < n; i++)
			act(core, &outs[i]);
	if (pbft_next_deadline(core) <= cl.now) {
		pbft_tick(core, cl.now);
		while ((n = pbft_ready(core, outs, OUTS)))
			for (i = 0; i < n; i++)
				act(core, &outs[i]);
	}
}

static void verdict_of(const struct pbft_buf *buf, struct pbft_verdict *verdict)
{
	u32 n = cl.cfg.n;
	struct pbft_inner it;
	bool more;

	memset(verdict, 0, sizeof(*verdict));
	for (more = pbft_inner_first(buf->data, buf->len, n, &it);
	     more && it.index < PBFT_BATCH_MAX;
	     more = pbft_inner_next(buf->data, buf->len, n, &it)) {
		if (!it.data)
			continue;
		work.macs_checked++;
		__set_bit(it.index, verdict->inner_ok);
	}
}

static void deliver(struct pbft_core *core, struct pbft_buf *buf)
{
	struct pbft_packet pkt = { .data = buf->data, .len = buf->len, .buf = buf };
	struct pbft_verdict verdict;

	if (pbft_wire_check(&cl.wire, buf->data, buf->len, &pkt.head) != PBFT_OK)
		die("a message is malformed");
	work.macs_checked++;
	verdict_of(buf, &verdict);
	pbft_step(core, cl.now, &pkt, &verdict);
	drain(core);
}

/* ---- clients ---------------------------------------------------------------------- */

static void submit(u32 i)
{
	struct work before = work;
	struct client *c = &cl.clients[i];
	struct pbft_buf *msg = pbft_buf_alloc(sizeof(struct pbft_request) + cl.request);
	struct pbft_request *m;

	if (!msg)
		die("out of memory");
	m = (void *)msg->data;
	msg->len = sizeof(*m) + cl.request;
	pbft_wire_header(&m->hdr, &cl.wire, PBFT_REQUEST, msg->len, FIRST_CLIENT + i,
			 0, ++c->t);
	m->session = cpu_to_le64(1);
	m->flags = 0;
	m->replier = (c->t + i) % cl.cfg.n;
	m->reserved = 0;
	m->op_len = cpu_to_le32(cl.request);
	memset(m->op, 'x', cl.request);
	work = before;
	c->replies = 0;
	/* as libpbft does: large operations go to every replica */
	send_set(cl.request > cl.cfg.inline_max ? BIT_ULL(cl.cfg.n) - 1 : 1,
		 PBFT_AUTH_VECTOR, msg);
	work.macs_made++;	/* a client has no entry of its own to leave out */
	pbft_buf_put(msg);
}

static void reply(u32 i, const struct pbft_buf *buf)
{
	const struct pbft_reply *m = (const void *)buf->data;
	struct client *c = &cl.clients[i];

	work.macs_checked++;
	if (m->hdr.type != PBFT_REPLY || m->status != PBFT_ST_OK)
		die("a client is told something else than its result");
	if (le64_to_cpu(m->t) != c->t || ++c->replies != cl.cfg.f + 1)
		return;
	cl.done++;
	if (cl.issued < cl.target) {
		cl.issued++;
		submit(i);
	}
}

/* ---- life -------------------------------------------------------------------------- */

static void setup(u32 n, u32 clients, u32 reply_len)
{
	static const struct pbft_log_head zero;
	const char *why;
	u32 i, j;

	pbft_config_default(&cl.cfg);
	cl.cfg.cluster = 5;
	cl.cfg.epoch = 1;
	cl.cfg.n = n;
	cl.cfg.f = pbft_max_faults(n);
	cl.cfg.genesis = true;
	cl.cfg.journal = false;
	cl.wire = (struct pbft_wire_id){ cl.cfg.cluster, cl.cfg.epoch, n };
	cl.now = START_NS;
	cl.n_clients = clients;
	for (i = 0; i < PBFT_BATCH_MAX; i++)
		cl.results[i] = (struct pbft_result){ PBFT_ST_OK, reply_len, cl.result };
	for (i = 0; i < n; i++) {
		cl.cfg.self = i;
		why = pbft_config_check(&cl.cfg);
		if (why)
			die(why);
		cl.core[i] = pbft_core_create(&cl.cfg, cl.now);
		if (!cl.core[i])
			die("out of memory");
		for (j = 0; j < clients; j++)
			pbft_client_add(cl.core[i], FIRST_CLIENT + j);
		pbft_set_wall_offset(cl.core[i], 0);
		pbft_bind(cl.core[i], cl.now, &zero);
		drain(cl.core[i]);
	}
}

static void run_until(u64 ops)
{
	u32 i;

	cl.target = ops;
	for (i = 0; i < cl.n_clients && cl.issued < cl.target; i++) {
		cl.issued++;
		submit(i);
	}
	while (cl.head != cl.tail) {
		struct packet p = cl.queue[cl.head++ % QUEUE];

		cl.now += STEP_NS;
		if (p.to < cl.cfg.n)
			deliver(cl.core[p.to], p.buf);
		else
			reply(p.to - FIRST_CLIENT, p.buf);
		pbft_buf_put(p.buf);
	}
	if (cl.done != ops)
		die("the cluster stands still");
}

/* What callgrind counts. */
__attribute__((noinline)) void bench_measured(u64 ops)
{
	run_until(cl.done + ops);
}

static void report(u64 ops)
{
	struct pbft_status st;
	u64 seq;

	pbft_status_get(cl.core[0], &st);
	seq = st.last_exec;
	pbft_status_get(cl.core[1], &st);
	if (st.view || st.last_exec != seq)
		die("the replicas do not agree in the end");
	printf("{\"operations\": %llu, \"batches\": %llu, \"messages\": %llu, \"bytes\": %llu, \"macs_made\": %llu, \"macs_checked\": %llu, \"hashes\": %llu, \"hashed_bytes\": %llu, \"copies\": %llu, \"copied_bytes\": %llu, \"allocations\": %llu}\n",
	       (unsigned long long)ops, (unsigned long long)(seq - cl.seq_before),
	       (unsigned long long)work.messages, (unsigned long long)work.bytes,
	       (unsigned long long)work.macs_made,
	       (unsigned long long)work.macs_checked,
	       (unsigned long long)work.hashes, (unsigned long long)work.hashed_bytes,
	       (unsigned long long)work.copies, (unsigned long long)work.copied_bytes,
	       (unsigned long long)work.allocations);
}

static u32 number(const char *text, u32 least, u32 most)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v < least || v > most) {
		fprintf(stderr, "bench-insn: \"%s\" is not a number from %u to %u\n",
			text, least, most);
		exit(2);
	}
	return v;
}

/* The options that were given, each a number. */
struct options {
	u32 n, clients, reply_len, ops;
};

static bool take(int opt, const char *arg, struct options *o)
{
	switch (opt) {
	case 'n':
		o->n = number(arg, PBFT_N_MIN, REPLICAS_MAX);
		return true;
	case 'c':
		o->clients = number(arg, 1, CLIENTS_MAX);
		return true;
	case 'q':
		cl.request = number(arg, 0, PBFT_OP_MAX);
		return true;
	case 'r':
		o->reply_len = number(arg, 0, PBFT_OP_MAX);
		return true;
	case 'o':
		o->ops = number(arg, 1, 1000000);
		return true;
	}
	return false;
}

int main(int argc, char **argv)
{
	struct options o = { .n = 4, .clients = 1, .ops = 1000 };
	struct pbft_status st;
	int opt;

	while ((opt = getopt(argc, argv, "n:c:q:r:o:")) != -1) {
		if (take(opt, optarg, &o))
			continue;
		fputs("usage: bench-insn [-n replicas] [-c clients] [-q request bytes] [-r reply bytes] [-o operations]\n",
		      stderr);
		return 2;
	}
	setup(o.n, o.clients, o.reply_len);
	run_until(o.ops / 4 + o.clients);	/* windows and sessions filled */
	memset(&work, 0, sizeof(work));
	pbft_status_get(cl.core[0], &st);
	cl.seq_before = st.last_exec;
	bench_measured(o.ops);
	report(o.ops);
	return 0;
}
