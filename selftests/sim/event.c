// SPDX-License-Identifier: GPL-2.0
/*
 * The virtual clock's agenda: a heap with four children each over a pool. Events at the same
 * time happen in the order they were added.
 */
#include <stdlib.h>
#include "sim.h"

#define WAYS 4

void sim_events_init(struct sim_events *e)
{
	memset(e, 0, sizeof(*e));
}

void sim_event_release(struct sim_event *ev)
{
	if (ev->type == SIM_EV_PACKET)
		pbft_buf_put(ev->buf);
	else if (ev->type == SIM_EV_STATE_RESP)
		free(ev->ptr);
}

void sim_events_free(struct sim_events *e)
{
	u32 i;

	for (i = 0; i < e->count; i++)
		sim_event_release(&e->pool[e->heap[i].index]);
	free(e->pool);
	free(e->free_list);
	free(e->heap);
	memset(e, 0, sizeof(*e));
}

static bool before(const struct sim_heap_item *a, const struct sim_heap_item *b)
{
	/* without a jump: it could not be predicted */
	return (a->at < b->at) | ((a->at == b->at) & (a->rank < b->rank));
}

static void grow(struct sim_events *e)
{
	u32 i, cap = e->cap ? 2 * e->cap : 1024;

	e->pool = realloc(e->pool, cap * sizeof(*e->pool));
	e->heap = realloc(e->heap, cap * sizeof(*e->heap));
	e->free_list = realloc(e->free_list, cap * sizeof(*e->free_list));
	if (!e->pool || !e->heap || !e->free_list)
		abort();
	for (i = cap; i > e->cap; i--)
		e->free_list[e->free_count++] = i - 1;
	e->cap = cap;
}

struct sim_event *sim_event_add(struct sim *sim, u64 at, u8 type, u32 end)
{
	struct sim_events *e = &sim->events;
	struct sim_heap_item item;
	struct sim_event *ev;
	u32 i;

	if (!e->free_count)
		grow(e);
	item.at = at < sim->now ? sim->now : at;
	item.order = e->order++;
	item.index = e->free_list[--e->free_count];
	for (i = e->count++; i; i = (i - 1) / WAYS) {
		if (!before(&item, &e->heap[(i - 1) / WAYS]))
			break;
		e->heap[i] = e->heap[(i - 1) / WAYS];
	}
	e->heap[i] = item;
	e->high = max(e->high, e->count);

	ev = &e->pool[item.index];
	memset(ev, 0, sizeof(*ev));
	ev->at = item.at;
	ev->type = type;
	ev->end = end;
	return ev;
}

bool sim_event_next(struct sim *sim, struct sim_event *out)
{
	struct sim_events *e = &sim->events;
	struct sim_heap_item last;
	u32 i, child, first, end;

	if (!e->count)
		return false;
	*out = e->pool[e->heap[0].index];
	e->free_list[e->free_count++] = e->heap[0].index;
	last = e->heap[--e->count];
	for (i = 0; (first = WAYS * i + 1) < e->count; i = child) {
		end = min(first + WAYS, e->count);
		for (child = first++; first < end; first++)
			if (before(&e->heap[first], &e->heap[child]))
				child = first;
		if (!before(&e->heap[child], &last))
			break;
		e->heap[i] = e->heap[child];
	}
	e->heap[i] = last;
	return true;
}
