// SPDX-License-Identifier: GPL-2.0
/*
 * Was what the clients saw linearizable? Each key is a register with get, put
 * and compare-and-swap, checked on its own; linearizability is local.
 *
 * No value is written twice and every answer tells the value before, so nothing
 * has to be searched for. All that saw one value, its write first, are one
 * group; a write that was answered names the group it follows at once. The
 * groups form chains: one from the initial value, and one from each put without
 * an answer whose value was seen. A chain is right if no group in it was
 * answered wholly or partly before one ahead of it was asked; what remains is an
 * order of the chains, of which there are few. Operations without an answer
 * whose value nobody saw need not have happened: leaving them out permits every
 * order that putting them in would.
 */
#include <stdlib.h>
#include "ghost.h"

struct group {			/* a value: who wrote it, and all that saw it */
	u64 value;
	const struct sim_op *by;	/* NULL: the initial value */
	struct group *next;
	bool follows;		/* some group's next */
	bool needed;		/* the write happened */
	u64 asked;		/* latest call in it */
	u64 answered;		/* earliest return in it */
};

struct chain {
	u64 asked, answered;
	bool placed;
};

struct history {
	struct sim *sim;
	u8 key;
	struct group *groups;	/* by value */
	u32 count;
	struct chain *chains;	/* the initial value's first */
	u32 chain_count;
};

static void not_linear(struct history *h, const struct sim_op *op, const char *why)
{
	sim_violation(h->sim, "18 history: key %u is not linearizable: request %u %llu.%llu %s",
		      h->key, op->client, llu(op->session), llu(op->t), why);
}

static bool writes(const struct sim_op *op)
{
	return op->kind == KV_PUT || (op->kind == KV_CAS && op->cas_done);
}

static u64 written(const struct sim_op *op)
{
	return op->kind == KV_PUT ? op->a : op->b;
}

static int cmp_group(const void *a, const void *b)
{
	const struct group *x = a, *y = b;

	return x->value < y->value ? -1 : x->value > y->value;
}

static struct group *find(struct history *h, u64 value)
{
	struct group want = { .value = value };

	return bsearch(&want, h->groups, h->count, sizeof(want), cmp_group);
}

/* Every value that may have been written, whether it was or not. */
static void collect(struct history *h)
{
	struct sim *sim = h->sim;
	u32 i;

	h->groups[h->count++] = (struct group){ .needed = true, .answered = U64_MAX };
	for (i = 0; i < sim->op_count; i++) {
		const struct sim_op *op = &sim->ops[i];

		if (op->key != h->key || op->kind == KV_GET || (op->done && !writes(op)))
			continue;
		h->groups[h->count++] = (struct group){
			.value = written(op), .by = op, .needed = op->done,
			.asked = op->invoke,
			.answered = op->done ? op->done : U64_MAX,
		};
	}
	qsort(h->groups, h->count, sizeof(*h->groups), cmp_group);
	for (i = 1; i < h->count; i++)
		if (h->groups[i].value == h->groups[i - 1].value)
			not_linear(h, h->groups[i].by, "writes a value a second time");
}

/* @op, which wrote, came at once after the value @before. */
static bool follow(struct history *h, u64 before, const struct sim_op *op)
{
	struct group *g = find(h, before), *mine = find(h, written(op));

	if (!g) {
		not_linear(h, op, "replaced a value that was never written");
		return false;
	}
	g->needed = true;
	if (g->next == mine)
		return false;
	if (g->next || mine->follows || g == mine) {
		not_linear(h, op, "replaced a value that was replaced already");
		return false;
	}
	g->next = mine;
	mine->follows = true;
	return true;
}

static void answered(struct history *h, const struct sim_op *op)
{
	struct group *g;

	if (op->kind == KV_CAS && op->cas_done != (op->value == op->a)) {
		not_linear(h, op, "compared wrongly");
		return;
	}
	if (writes(op)) {
		follow(h, op->value, op);
		return;
	}
	g = find(h, op->value);
	if (!g) {
		not_linear(h, op, "saw a value that was never written");
		return;
	}
	if (g->by && op->done < g->by->invoke)
		not_linear(h, op, "saw a value that was yet to be written");
	g->needed = true;
	g->asked = max(g->asked, op->invoke);
	g->answered = min(g->answered, op->done);
}

static void link_groups(struct history *h)
{
	struct sim *sim = h->sim;
	bool more = true;
	u32 i;

	for (i = 0; i < sim->op_count; i++)
		if (sim->ops[i].key == h->key && sim->ops[i].done)
			answered(h, &sim->ops[i]);
	/* a CAS without answer whose value was seen took place, and found what it wanted */
	while (more && !sim_failed(sim)) {
		more = false;
		for (i = 0; i < h->count; i++) {
			const struct group *g = &h->groups[i];

			if (g->needed && g->by && !g->by->done && g->by->kind == KV_CAS)
				more |= follow(h, g->by->a, g->by);
		}
	}
}

/* Return: groups in the chain that begins with @g. */
static u32 walk(struct history *h, const struct group *g)
{
	struct chain *c = &h->chains[h->chain_count++];
	u32 length = 0;

	c->asked = 0;
	c->answered = U64_MAX;
	for (; g; g = g->next) {
		if (g->answered < c->asked)
			not_linear(h, g->by, "or one that saw its value was answered before one ahead of it was made");
		c->asked = max(c->asked, g->asked);
		c->answered = min(c->answered, g->answered);
		length++;
	}
	return length;
}

/* May @c come before all that are not placed yet? */
static bool may_be_next(const struct history *h, const struct chain *c)
{
	u32 i;

	for (i = 0; i < h->chain_count; i++) {
		const struct chain *other = &h->chains[i];

		if (other != c && !other->placed && other->answered < c->asked)
			return false;
	}
	return true;
}

static bool place_chains(struct history *h)
{
	u32 i, left;

	if (!may_be_next(h, &h->chains[0]))
		return false;
	h->chains[0].placed = true;
	for (left = h->chain_count - 1; left; left--) {
		for (i = 1; i < h->chain_count; i++)
			if (!h->chains[i].placed && may_be_next(h, &h->chains[i]))
				break;
		if (i == h->chain_count)
			return false;
		h->chains[i].placed = true;
	}
	return true;
}

static void judge(struct history *h)
{
	u32 i, needed = 0, walked = 0;

	walked += walk(h, find(h, 0));
	for (i = 0; i < h->count; i++) {
		const struct group *g = &h->groups[i];

		needed += g->needed;
		if (g->needed && g->by && !g->follows)
			walked += walk(h, g);
	}
	if (sim_failed(h->sim))
		return;
	if (walked != needed)
		sim_violation(h->sim, "18 history: key %u is not linearizable: values follow one another in a circle",
			      h->key);
	else if (!place_chains(h))
		sim_violation(h->sim, "18 history: key %u is not linearizable: no order of its writes agrees with real time",
			      h->key);
}

static void check_key(struct sim *sim, u8 key)
{
	struct history h = { .sim = sim, .key = key };

	h.groups = calloc(sim->op_count + 1, sizeof(*h.groups));
	h.chains = calloc(sim->op_count + 1, sizeof(*h.chains));
	collect(&h);
	link_groups(&h);
	if (!sim_failed(sim))
		judge(&h);
	free(h.groups);
	free(h.chains);
}

static int cmp_exec(const void *a, const void *b)
{
	const struct sim_op *x = *(const struct sim_op *const *)a;
	const struct sim_op *y = *(const struct sim_op *const *)b;

	if (x->exec_seq != y->exec_seq)
		return x->exec_seq < y->exec_seq ? -1 : 1;
	return x->exec_index < y->exec_index ? -1 : x->exec_index > y->exec_index;
}

/* The order of execution itself must agree with real time, and the answers with it. */
static void check_witness(struct sim *sim)
{
	const struct sim_op **order = calloc(sim->op_count + 1, sizeof(*order));
	u64 latest = 0;
	u32 i, n = 0;

	for (i = 0; i < sim->op_count; i++) {
		const struct sim_op *op = &sim->ops[i];

		if (op->exec_seq)
			order[n++] = op;
		else if (op->done)
			sim_violation(sim, "18 history: request %u %llu.%llu was answered, but not executed",
				      op->client, llu(op->session), llu(op->t));
	}
	qsort(order, n, sizeof(*order), cmp_exec);
	for (i = 0; i < n; i++) {
		const struct sim_op *op = order[i];

		if (op->done && op->done < latest)
			sim_violation(sim, "18 history: request %u %llu.%llu was answered before one executed ahead of it was made",
				      op->client, llu(op->session), llu(op->t));
		if (op->done && (op->value != op->exec.value || op->status != op->exec.status ||
				 op->cas_done != op->exec.done))
			sim_violation(sim, "18 history: client %u accepted another result for %llu.%llu than was executed",
				      op->client, llu(op->session), llu(op->t));
		latest = max(latest, op->invoke);
	}
	free(order);
}

void linear_check(struct sim *sim)
{
	u32 key;

	check_witness(sim);
	for (key = 0; key < sim->plan.keys && !sim_failed(sim); key++)
		check_key(sim, key);
}
