// SPDX-License-Identifier: GPL-2.0
/*
 * The one way into the core: lock, call, take what it wants done, unlock, do
 * it. What must keep its order (the daemon's tasks, events) is put into queues
 * under the lock; messages to send are collected and go out after it, since
 * MACs and the network stack have no business inside.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include "events.h"
#include "instance.h"
#include "io.h"
#include "disk.h"
#include "trace.h"

#define SENDS_ON_STACK	12
#define SENDS_PER_CHUNK	64
#define OUTS_AT_ONCE	4

struct send_chunk {
	struct send_chunk *next;
	struct pbft_tx send[SENDS_PER_CHUNK];
};

/* Messages to send, in order: the first few on the stack, more in chunks. */
struct send_list {
	unsigned int count;
	struct pbft_tx first[SENDS_ON_STACK];
	struct send_chunk *chunks, **last;
};

static void sends_init(struct send_list *list)
{
	list->count = 0;
	list->chunks = NULL;
	list->last = &list->chunks;
}

/* Return a place for one more, or NULL: out of memory, the message is lost. */
static struct pbft_tx *sends_add(struct send_list *list)
{
	unsigned int i = list->count - SENDS_ON_STACK;
	struct send_chunk *chunk;

	if (list->count < SENDS_ON_STACK)
		return &list->first[list->count++];
	if (i % SENDS_PER_CHUNK == 0) {
		chunk = kmalloc(sizeof(*chunk), GFP_ATOMIC);
		if (!chunk)
			return NULL;
		chunk->next = NULL;
		*list->last = chunk;
		list->last = &chunk->next;
	} else {
		chunk = container_of(list->last, struct send_chunk, next);
	}
	list->count++;
	return &chunk->send[i % SENDS_PER_CHUNK];
}

static void take_send(struct pbft_instance *inst, struct send_list *list,
		      struct pbft_out *out)
{
	struct pbft_tx *send = sends_add(list);

	if (!send) {
		pbft_count(inst, PBFT_STAT_TX_NOMEM);
		return;
	}
	send->buf = out->buf;
	send->to = out->to;
	send->client = out->client;
	send->auth = out->auth;
	out->buf = NULL;	/* the reference has passed on */
}

static void take_event(struct pbft_instance *inst, struct pbft_core *core,
		       const struct pbft_out *out)
{
	if (out->code == PBFT_EV_STOPPED)
		inst->stopped = true;
	trace_pbft_event(inst, out->code, out->view, out->head.seq, out->client);
	pbft_event_add(inst, core, pbft_event_of_core(out->code), out->client);
}

static void act(struct pbft_instance *inst, struct pbft_core *core, u64 now,
		struct send_list *sends, struct pbft_out *out)
{
	switch (out->type) {
	case PBFT_OUT_SEND:
		take_send(inst, sends, out);
		break;
	case PBFT_OUT_EVENT:
		take_event(inst, core, out);
		break;
	case PBFT_OUT_PERSIST:	/* it is durable */
		break;
	default:
		trace_pbft_task(inst, out->type, out->head.seq);
		if (inst->conf.service == PBFT_SERVICE_NULL)
			pbft_null_do(inst, core, now, out);
		else
			pbft_task_add(inst, core, out);
	}
	pbft_out_release(out);
}

/*
 * Empty the core's outbox, and take what need not wait for the journal any more.
 * The null service answers at once, which may put more into the outbox: the loop
 * ends when the core has nothing left to say.
 */
static void take_all(struct pbft_instance *inst, struct pbft_core *core,
		     u64 now, struct send_list *sends)
{
	struct pbft_out outs[OUTS_AT_ONCE];
	unsigned int count, i;

	do {
		while ((count = pbft_ready(core, outs, ARRAY_SIZE(outs)))) {
			for (i = 0; i < count; i++) {
				if (!pbft_disk_holds(inst, core, &outs[i]))
					act(inst, core, now, sends, &outs[i]);
			}
		}
		for (i = 0; pbft_disk_next(inst, &outs[0]); i++)
			act(inst, core, now, sends, &outs[0]);
	} while (i);
	pbft_disk_kick(inst);
}

static void send_all(struct pbft_instance *inst, struct send_list *list)
{
	struct send_chunk *chunk, *next;
	const struct pbft_nodes *nodes;
	struct pbft_tx *send;
	struct socket *sock;
	unsigned int i = 0, j;

	rcu_read_lock();
	sock = rcu_dereference(inst->sock);
	nodes = rcu_dereference(inst->nodes);
	for (; i < min_t(unsigned int, list->count, SENDS_ON_STACK); i++) {
		send = &list->first[i];
		if (sock)
			pbft_transmit(inst, sock, nodes, send);
		pbft_buf_put(send->buf);
	}
	for (chunk = list->chunks; chunk; chunk = next) {
		for (j = 0; j < SENDS_PER_CHUNK && i < list->count; j++, i++) {
			send = &chunk->send[j];
			if (sock)
				pbft_transmit(inst, sock, nodes, send);
			pbft_buf_put(send->buf);
		}
		next = chunk->next;
		kfree(chunk);
	}
	rcu_read_unlock();
}

struct pbft_core *pbft_enter(struct pbft_instance *inst, u64 *now)
	__acquires(&inst->lock)
{
	local_bh_disable();
	spin_lock(&inst->lock);
	/* Read inside: time never goes back between two calls. */
	*now = ktime_get_ns();
	return inst->core;
}

void pbft_leave(struct pbft_instance *inst)
	__releases(&inst->lock)
{
	struct send_list sends;
	u64 now;

	sends_init(&sends);
	if (inst->core) {
		now = ktime_get_ns();
		take_all(inst, inst->core, now, &sends);
		pbft_timer_update(inst, now);
	}
	spin_unlock(&inst->lock);
	send_all(inst, &sends);
	local_bh_enable();
}
