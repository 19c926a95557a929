// SPDX-License-Identifier: GPL-2.0
/*
 * The shell around one core, as the kernel module and the userspace replica are
 * shells: checks what arrives, feeds the core, does what comes out. A liar has
 * the same shell, except that its SENDs go through byz.c.
 */
#include <stdlib.h>
#include "sim.h"

#define OUT_MAX 32

u64 replica_now(const struct sim_node *node)
{
	return node->sim->now + node->mono;
}

u64 replica_enter(struct sim_node *node)
{
	sim_alloc.owner = node->id + 1;
	sim_alloc.fail_ppm = node->sim->now < node->nomem_until ? 100000 : 0;
	return replica_now(node);
}

static void set_timer(struct sim_node *node)
{
	struct sim *sim = node->sim;
	u64 deadline = pbft_next_deadline(node->core), at;

	if (deadline == U64_MAX || deadline > replica_now(node) + 3600 * SEC)
		return;
	at = deadline > node->mono ? deadline - node->mono : 0;
	at = max(at, sim->now + 1000);
	if (node->timer_at > sim->now && node->timer_at <= at)
		return;
	node->timer_at = at;
	sim_event_add(sim, at, SIM_EV_TIMER, node->id)->gen = node->life;
}

static void send_fragments(struct sim_node *node, u32 to, const struct pbft_buf *whole)
{
	struct sim *sim = node->sim;
	u32 i, mtu = sim->plan.mtu, count = pbft_frag_count(mtu, whole->len);
	u64 frag_id = pbft_frag_id(whole->data, whole->len);

	for (i = 0; i < count; i++) {
		struct pbft_buf *part = sim_buf(mtu);

		part->len = pbft_frag_build(part->data, mtu, &sim->id, node->id,
					    whole->data, whole->len, frag_id, i);
		net_send(sim, node->id, to, auth_seal(sim, part->data, node->id, to));
		pbft_buf_put(part);
	}
}

/* Takes the reference. */
void replica_send(struct sim_node *node, u32 to, struct pbft_buf *sealed)
{
	struct sim *sim = node->sim;

	sim->hash = prng_mix(sim->hash ^ sim_hash64(sealed->data + sealed->len - PBFT_MAC_LEN,
						    PBFT_MAC_LEN) ^ to);
	ghost_sent(sim, node->id, to, sealed->data, sealed->len);
	if (sim->tracing) {
		char text[200];

		trace_message(sealed->data, text, sizeof(text));
		trace(sim, "%s -> %s %s", trace_end(node->id), trace_end(to), text);
	}
	if (sim->plan.mtu && sealed->len > sim->plan.mtu && to < PBFT_N_MAX &&
	    !sim->intercept) {
		send_fragments(node, to, sealed);
		pbft_buf_put(sealed);
		return;
	}
	net_send(sim, node->id, to, sealed);
}

static void send_one(struct sim_node *node, const struct pbft_out *out, u32 to)
{
	struct sim *sim = node->sim;

	if (out->auth == PBFT_AUTH_NONE)
		replica_send(node, to, pbft_buf_get(out->buf));
	else
		replica_send(node, to, auth_seal(sim, out->buf->data, node->id, to));
}

static void do_send(struct sim_node *node, struct pbft_out *out)
{
	u64 to = out->to;

	if (node->byz) {
		byz_send(node, out);
		return;
	}
	if (out->client) {
		send_one(node, out, out->client);
		return;
	}
	for (; to; to &= to - 1)
		send_one(node, out, __ffs64(to));
}

static const char * const event_names[] = {
	[PBFT_EV_VIEW_CHANGE] = "VIEW-CHANGE",
	[PBFT_EV_NEW_VIEW] = "NEW-VIEW",
	[PBFT_EV_STABLE] = "STABLE",
	[PBFT_EV_QUORUM_LOST] = "QUORUM-LOST",
	[PBFT_EV_BEHIND] = "BEHIND",
	[PBFT_EV_SYNCED] = "SYNCED",
	[PBFT_EV_RECOVERED] = "RECOVERED",
	[PBFT_EV_EVIDENCE] = "EVIDENCE",
	[PBFT_EV_STOPPED] = "STOPPED",
};

static void do_event(struct sim_node *node, const struct pbft_out *out)
{
	struct sim *sim = node->sim;

	trace(sim, "%s event %s view %llu seq %llu", trace_end(node->id),
	      event_names[out->code], (unsigned long long)out->view,
	      (unsigned long long)out->head.seq);
	if (out->code == PBFT_EV_RECOVERED)
		sim->stats.recovered++;
}

static void do_out(struct sim_node *node, struct pbft_out *out)
{
	if (!node->byz)
		ghost_out(node, out);
	switch (out->type) {
	case PBFT_OUT_SEND:
		do_send(node, out);
		break;
	case PBFT_OUT_PERSIST:
		break;
	case PBFT_OUT_EVENT:
		do_event(node, out);
		break;
	default:
		app_take(node, out);
		break;
	}
	pbft_out_release(out);
}

void replica_pass(struct sim_node *node)
{
	struct pbft_out out;

	while (pbft_gate_next(&node->disk.gate, &out))
		do_out(node, &out);
}

static void take_out(struct sim_node *node, struct pbft_out *out)
{
	if (!node->disk.on)
		do_out(node, out);
	else if (!pbft_gate_put(&node->disk.gate, out))
		sim_violation(node->sim, "journal: the gate of replica %u overflows", node->id);
}

void replica_leave(struct sim_node *node)
{
	struct pbft_out outs[OUT_MAX];
	unsigned int i, count;

	if (!node->byz)
		tables_look(node);
	while ((count = pbft_ready(node->core, outs, OUT_MAX))) {
		for (i = 0; i < count; i++) {
			sim_alloc.owner = 0;
			take_out(node, &outs[i]);
		}
		replica_enter(node);
	}
	sim_alloc.owner = 0;
	if (node->disk.on) {
		replica_pass(node);
		disk_kick(node);
	}
	set_timer(node);
	if (!node->byz)
		ghost_check(node);
}

/* Which of the requests inside are authentic for us? */
static void check_inner(struct sim_node *node, const struct pbft_buf *buf,
			struct pbft_verdict *verdict)
{
	struct sim *sim = node->sim;
	struct pbft_inner it;
	bool more;

	memset(verdict, 0, sizeof(*verdict));
	for (more = pbft_inner_first(buf->data, buf->len, sim->id.n, &it); more;
	     more = pbft_inner_next(buf->data, buf->len, sim->id.n, &it)) {
		if (!it.data || it.index >= PBFT_BATCH_MAX)
			continue;
		if (it.head.type == PBFT_REQUEST &&
		    it.head.sender >= PBFT_CLIENT_ID_MIN + sim->client_count)
			continue;
		if (auth_check(sim, it.data, it.len, node->id))
			__set_bit(it.index, verdict->inner_ok);
	}
}

static void receive_fragment(struct sim_node *node, const struct pbft_head *head,
			     const struct pbft_buf *buf)
{
	struct pbft_buf *whole;
	enum pbft_drop drop;
	struct pbft_head inner;

	whole = pbft_reasm_add(&node->reasm[head->sender], (const void *)buf->data,
			       PBFT_MSG_MAX, &drop);
	if (!whole)
		return;
	if (pbft_wire_check(&node->sim->id, whole->data, whole->len, &inner) == PBFT_OK &&
	    inner.sender == head->sender && inner.type != PBFT_FRAGMENT)
		replica_receive(node, head->sender, whole);
	else
		pbft_buf_put(whole);
}

static void step(struct sim_node *node, const struct pbft_head *head, struct pbft_buf *buf)
{
	struct pbft_packet pkt = {
		.data = buf->data, .len = buf->len, .head = *head, .buf = buf,
	};
	struct pbft_verdict verdict;
	u64 now;

	if (node->disk.on && !pbft_gate_open(&node->disk.gate))
		return;
	check_inner(node, buf, &verdict);
	if (!node->byz)
		ghost_hears(node, head);
	now = replica_enter(node);
	pbft_step(node->core, now, &pkt, &verdict);
	replica_leave(node);
}

/* Takes the reference. */
void replica_receive(struct sim_node *node, u32 from, struct pbft_buf *buf)
{
	struct sim *sim = node->sim;
	struct pbft_head head;

	if (!node->up ||
	    pbft_wire_check(&sim->id, buf->data, buf->len, &head) != PBFT_OK ||
	    (head.sender >= PBFT_CLIENT_ID_MIN &&
	     head.sender >= PBFT_CLIENT_ID_MIN + sim->client_count) ||
	    !auth_check(sim, buf->data, buf->len, node->id))
		goto out;
	sim->hash = prng_mix(sim->hash ^ sim->now ^ ((u64)node->id << 56));
	if (node->byz && from < PBFT_N_MAX && node->silent >> from & 1)
		goto out;
	switch (head.type) {
	case PBFT_FRAGMENT:
		receive_fragment(node, &head, buf);
		break;
	case PBFT_REPLY:
	case PBFT_PEER_DATA:
	case PBFT_HELLO:
	case PBFT_HELLO_ACK:
		break;
	default:
		step(node, &head, buf);
		break;
	}
out:
	pbft_buf_put(buf);
}

void replica_timer(struct sim_node *node)
{
	struct sim *sim = node->sim;
	u64 now;

	if (sim->now < node->timer_at)
		return;
	node->timer_at = 0;
	if (pbft_next_deadline(node->core) <= replica_now(node)) {
		node->storm = sim->now < node->storm_at + MS ? node->storm + 1 : 0;
		if (!node->storm)
			node->storm_at = sim->now;
		if (node->storm > 200 && !node->byz)
			sim_violation(sim, "timer: replica %u wants 200 ticks in a millisecond",
				      node->id);
		if (node->disk.on && !pbft_gate_open(&node->disk.gate))
			return;	/* the journal's next sync asks again */
		now = replica_enter(node);
		pbft_tick(node->core, now);
		replica_leave(node);
	} else {
		set_timer(node);
	}
}

/* A core that knows the clients, but not yet what it may remember. */
void replica_make(struct sim_node *node, const struct pbft_config *cfg)
{
	struct sim *sim = node->sim;
	u32 i;

	node->core = NULL;
	sim_alloc.owner = node->id + 1;
	sim_alloc.fail_ppm = 0;
	node->core = pbft_core_create(cfg, replica_now(node));
	if (!node->core)
		abort();
	for (i = 0; i < sim->client_count; i++)
		if (pbft_client_add(node->core, PBFT_CLIENT_ID_MIN + i))
			sim_violation(sim, "replica %u refuses client %u", node->id, i);
	pbft_set_wall_offset(node->core, (s64)(SIM_EPOCH - node->mono) + node->wall_skew);
	sim_alloc.owner = 0;
}

void replica_start(struct sim_node *node, bool genesis)
{
	struct sim *sim = node->sim;
	struct pbft_config cfg = sim->plan.cfg;
	bool remembers = genesis;

	cfg.self = node->id;
	cfg.genesis = genesis;
	node->life++;
	node->up = true;
	node->timer_at = 0;
	node->nomem_until = 0;
	node->mono = prng_below(&sim->rng_app, 1000000 * SEC);
	node->reasm = calloc(sim->id.n, sizeof(*node->reasm));
	if (node->disk.on && genesis)
		disk_born(node);
	if (node->disk.on && !genesis)
		remembers = disk_start(node, &cfg);
	else
		replica_make(node, &cfg);
	if (node->disk.on && pbft_gate_init(&node->disk.gate, node->core))
		abort();
	node->memory += !remembers;
	if (!node->byz)
		ghost_born(node, remembers);
	trace(sim, "%s starts%s, life %u", trace_end(node->id),
	      genesis ? ", genesis" : remembers ? " and remembers" : " without memory",
	      node->life);
	replica_leave(node);
	/* a new replica is up when that is on record; before, it has said nothing */
	if (node->disk.on && genesis)
		disk_synced(node);
	app_bind(node);
}

void replica_stop(struct sim_node *node)
{
	struct sim *sim = node->sim;
	u32 i;

	if (!node->up)
		return;
	trace(sim, "%s crashes", trace_end(node->id));
	node->up = false;
	app_unbind(node, false);
	disk_stop(node);
	pbft_core_destroy(node->core);
	node->core = NULL;
	for (i = 0; i < sim->id.n; i++)
		pbft_reasm_free(&node->reasm[i]);
	free(node->reasm);
	node->reasm = NULL;
}
