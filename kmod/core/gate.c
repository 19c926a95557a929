// SPDX-License-Identifier: GPL-2.0
/* The gate: a ring of outputs that wait for the journal. See gate.h. */
#include "internal.h"
#include "gate.h"

static struct pbft_out *at(const struct pbft_gate *g, u64 i)
{
	return &g->ring[i % g->cap];
}

int pbft_gate_init(struct pbft_gate *g, const struct pbft_core *core)
{
	memset(g, 0, sizeof(*g));
	g->cap = 2 * core->out_cap;
	g->ring = kvcalloc(g->cap, sizeof(*g->ring), GFP_KERNEL);
	return g->ring ? 0 : -ENOMEM;
}

void pbft_gate_exit(struct pbft_gate *g)
{
	for (; g->ring && g->head < g->tail; g->head++)
		pbft_out_release(at(g, g->head));
	kvfree(g->ring);
	g->ring = NULL;
}

bool pbft_gate_open(const struct pbft_gate *g)
{
	return g->cap - (g->tail - g->head) >= g->cap / 2;
}

bool pbft_gate_put(struct pbft_gate *g, struct pbft_out *out)
{
	u32 room = g->cap - (g->tail - g->head);
	bool lossy = out->type == PBFT_OUT_SEND;

	if (!room || (lossy && room < g->cap / 8)) {
		pbft_out_release(out);
		return lossy;
	}
	*at(g, g->tail++) = *out;
	out->buf = NULL;
	out->batch = NULL;
	return true;
}

/* What pbft_gate_unbind() left: a SEND of nothing. */
static bool is_void(const struct pbft_out *o)
{
	return o->type == PBFT_OUT_SEND && !o->buf;
}

bool pbft_gate_next(struct pbft_gate *g, struct pbft_out *out)
{
	struct pbft_out *o;

	while (g->head < g->tail && is_void(at(g, g->head)))
		g->head++;
	o = at(g, g->head);
	if (g->head == g->tail ||
	    (o->type == PBFT_OUT_PERSIST && g->head >= g->durable))
		return false;
	*out = *o;
	g->head++;
	return true;
}

void pbft_gate_unbind(struct pbft_gate *g)
{
	u64 i;

	for (i = g->head; i < g->tail; i++) {
		struct pbft_out *o = at(g, i);

		switch (o->type) {
		case PBFT_OUT_APPLY:
		case PBFT_OUT_SNAPSHOT:
		case PBFT_OUT_DISCARD:
		case PBFT_OUT_FETCH_STATE:
			pbft_out_release(o);
			o->type = PBFT_OUT_SEND;
			break;
		}
	}
}

u32 pbft_gate_take(struct pbft_gate *g, struct pbft_out *outs, u32 max, u64 *upto)
{
	u32 n = 0;

	g->taken = max(g->taken, g->head);
	for (; g->taken < g->tail && n < max; g->taken++) {
		struct pbft_out *o = at(g, g->taken);

		if (o->type != PBFT_OUT_PERSIST)
			continue;
		outs[n] = *o;
		if (o->buf)
			pbft_buf_get(o->buf);
		if (o->batch)
			pbft_batch_get(o->batch);
		n++;
	}
	*upto = g->taken;
	return n;
}

void pbft_gate_durable(struct pbft_gate *g, u64 upto)
{
	g->durable = max(g->durable, upto);
}
