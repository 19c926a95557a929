// SPDX-License-Identifier: GPL-2.0
/*
 * Was what the clients saw linearizable? Each key is a register with get, put
 * and compare-and-swap, checked on its own: Wing and Gong's search with Lowe's
 * memory of (set of operations taken, value) already tried. Operations without
 * an answer may have happened at any time after they were sent, or not at all.
 */
#include <stdlib.h>
#include "ghost.h"

#define WORDS		32	/* up to 2048 operations on a key */
#define STEPS_MAX	2000000

struct entry {			/* a call, or a return with match == NULL */
	struct entry *prev, *next, *match;
	const struct sim_op *op;
	u64 at;
	u32 id;
};

struct memo {
	u64 taken[WORDS];
	u64 value;
	bool used;
};

struct search {
	struct sim *sim;
	struct entry head;
	struct entry *entries;
	u32 count, words;
	u64 taken[WORDS];
	struct memo *memo;
	u32 memo_cap, memo_count;
	struct entry **stack;
	u64 *values;
	u64 steps;
};

static bool same_set(const struct search *s, const u64 *a, const u64 *b)
{
	return !memcmp(a, b, s->words * sizeof(u64));
}

static struct memo *memo_place(struct search *s, struct memo *t, u32 cap,
			       const u64 *taken, u64 value)
{
	u64 at = sim_hash64(taken, s->words * sizeof(u64)) ^ prng_mix(value);

	for (;; at++) {
		struct memo *m = &t[at & (cap - 1)];

		if (!m->used || (m->value == value && same_set(s, m->taken, taken)))
			return m;
	}
}

/* Return: false if this was tried before. */
static bool memo_add(struct search *s, u64 value)
{
	struct memo *m, *old = s->memo;
	u32 i, cap = s->memo_cap;

	if (2 * s->memo_count >= cap) {
		s->memo_cap = cap ? 2 * cap : 256;
		s->memo = calloc(s->memo_cap, sizeof(*s->memo));
		for (i = 0; i < cap; i++)
			if (old[i].used)
				*memo_place(s, s->memo, s->memo_cap, old[i].taken,
					    old[i].value) = old[i];
		free(old);
	}
	m = memo_place(s, s->memo, s->memo_cap, s->taken, value);
	if (m->used)
		return false;
	m->used = true;
	m->value = value;
	memcpy(m->taken, s->taken, s->words * sizeof(u64));
	s->memo_count++;
	return true;
}

/* Can @op take effect now, with what its client saw? */
static bool fits(const struct sim_op *op, u64 *value)
{
	u64 before = *value;
	bool done = false;

	if (op->kind == KV_PUT) {
		*value = op->a;
	} else if (op->kind == KV_CAS && before == op->a) {
		*value = op->b;
		done = true;
	}
	return !op->done || (op->value == before &&
			     (op->kind != KV_CAS || op->cas_done == done));
}

static void lift(struct entry *e)
{
	e->prev->next = e->next;
	e->next->prev = e->prev;
	e->match->prev->next = e->match->next;
	e->match->next->prev = e->match->prev;
}

static void unlift(struct entry *e)
{
	e->match->prev->next = e->match;
	e->match->next->prev = e->match;
	e->prev->next = e;
	e->next->prev = e;
}

static int cmp_entry(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	/* at one instant calls come first: that permits more orders */
	return (x->op == NULL) - (y->op == NULL);
}

/* 1: linearizable, 0: not, -1: gave up. */
static int search(struct search *s)
{
	struct entry *e = s->head.next;
	u64 value = 0, next;
	u32 depth = 0;

	while (s->head.next != &s->head) {
		if (++s->steps > STEPS_MAX)
			return -1;
		if (e != &s->head && e->op) {
			next = value;
			if (fits(e->op, &next)) {
				s->taken[e->id / 64] |= 1ull << e->id % 64;
				if (memo_add(s, next)) {
					s->stack[depth] = e;
					s->values[depth++] = value;
					value = next;
					lift(e);
					e = s->head.next;
					continue;
				}
				s->taken[e->id / 64] &= ~(1ull << e->id % 64);
			}
			e = e->next;
			continue;
		}
		/* a return (or only such are left that never came): go back */
		if (e == &s->head || e->at == U64_MAX)
			return 1;
		if (!depth)
			return 0;
		e = s->stack[--depth];
		value = s->values[depth];
		s->taken[e->id / 64] &= ~(1ull << e->id % 64);
		unlift(e);
		e = e->next;
	}
	return 1;
}

static void build(struct search *s, u8 key)
{
	struct sim *sim = s->sim;
	struct entry *prev = &s->head, *raw;
	u32 i, n = 0;

	raw = s->entries;
	for (i = 0; i < sim->op_count; i++) {
		const struct sim_op *op = &sim->ops[i];

		if (op->key != key || (!op->done && op->kind == KV_GET))
			continue;
		raw[n].op = op;
		raw[n].at = op->invoke;
		raw[n].id = n / 2;
		raw[n + 1].op = NULL;
		raw[n + 1].at = op->done ? op->done : U64_MAX;
		raw[n + 1].id = n / 2;
		n += 2;
	}
	s->count = n / 2;
	qsort(raw, n, sizeof(*raw), cmp_entry);
	for (i = 0; i < n; i++) {
		u32 j;

		raw[i].prev = prev;
		prev->next = &raw[i];
		prev = &raw[i];
		for (j = i + 1; raw[i].op && j < n; j++)
			if (!raw[j].op && raw[j].id == raw[i].id)
				raw[i].match = &raw[j];
	}
	prev->next = &s->head;
	s->head.prev = prev;
}

static void check_key(struct sim *sim, u8 key)
{
	struct search s = { .sim = sim };
	int ok;

	s.entries = calloc(2 * sim->op_count + 1, sizeof(*s.entries));
	build(&s, key);
	s.words = DIV_ROUND_UP(s.count + 1, 64);
	if (s.words <= WORDS) {
		s.stack = calloc(s.count + 1, sizeof(*s.stack));
		s.values = calloc(s.count + 1, sizeof(*s.values));
		ok = search(&s);
		if (!ok)
			sim_violation(sim, "18 history: the %u operations on key %u are not linearizable",
				      s.count, key);
		else if (ok < 0)
			sim->stats.undecided++;
	} else {
		sim->stats.undecided++;
	}
	free(s.entries);
	free(s.stack);
	free(s.values);
	free(s.memo);
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
		if (op->done && (op->value != op->exec.value || op->status != op->exec.status))
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
