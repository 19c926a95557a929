// SPDX-License-Identifier: GPL-2.0
/*
 * Makes a violation small: the same seed with whatever it does not need left
 * out, the fewest clients and operations, and the shortest time of faults that
 * still violates the same invariant.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "shrink.h"

struct shrink {
	u64 seed;
	char what[24];		/* the invariant */
	u32 runs;
	u64 hash;		/* of all that happened in the last run */
};

/* "at 12.5s: 11 post-commit: NEW-VIEW ...": the words after the time. */
static void invariant(const char *violation, char *out, size_t size)
{
	const char *p = strstr(violation, "s: ");

	p = p ? p + 3 : violation;
	snprintf(out, size, "%.*s", (int)min_t(size_t, strcspn(p, ":"), size - 1), p);
}

static bool still(struct shrink *s, const struct sim_options *opt)
{
	struct sim *sim = calloc(1, sizeof(*sim));
	struct sim_plan plan;
	char what[24];
	bool same;

	s->runs++;
	sim_plan(&plan, s->seed, opt);
	sim_init(sim, s->seed, &plan);
	sim_run(sim);
	sim_free(sim);
	invariant(sim->violation, what, sizeof(what));
	same = sim_failed(sim) && !strcmp(what, s->what);
	s->hash = prng_mix(sim->hash ^ sim->stats.events);
	free(sim);
	return same;
}

static bool leave_out(struct shrink *s, struct sim_options *opt)
{
	struct sim_options less;
	bool any = false;
	u64 was;
	u32 i;

	still(s, opt);
	was = s->hash;
	for (i = 0; i < feature_count(); i++) {
		if (opt->without >> i & 1)
			continue;
		less = *opt;
		less.without |= 1ull << i;
		/* what makes no difference was not there */
		if (!still(s, &less) || s->hash == was)
			continue;
		*opt = less;
		was = s->hash;
		any = true;
	}
	return any;
}

/* The least value of *@field, up to @most, that still does it. */
static void least(struct shrink *s, struct sim_options *opt, u64 most,
		  void (*set)(struct sim_options *opt, u64 value))
{
	u64 lo = 0, hi = most;

	while (hi - lo > most / 64 + 1) {
		struct sim_options less = *opt;
		u64 mid = lo + (hi - lo) / 2;

		set(&less, mid);
		if (mid && still(s, &less)) {
			*opt = less;
			hi = mid;
		} else {
			lo = mid;
		}
	}
}

static void set_until(struct sim_options *opt, u64 value)
{
	opt->until = value;
}

static void set_ops(struct sim_options *opt, u64 value)
{
	opt->ops = value;
}

static void set_clients(struct sim_options *opt, u64 value)
{
	opt->clients = value;
}

u32 shrink(struct sim_options *opt, u64 seed, const char *violation)
{
	struct shrink s = { .seed = seed };
	struct sim_plan plan;

	invariant(violation, s.what, sizeof(s.what));
	sim_plan(&plan, seed, opt);
	leave_out(&s, opt);
	least(&s, opt, plan.clients, set_clients);
	least(&s, opt, plan.chaos / MS, set_until);
	least(&s, opt, plan.ops, set_ops);
	while (s.runs < 400 && leave_out(&s, opt))
		;
	return s.runs;
}

static void options(const struct sim_options *opt, const char *mark, const char *is)
{
	if (opt->n)
		printf(" %sreplicas%s%u", mark, is, opt->n);
	if (!opt->byzantine)
		printf(" %sbenign", mark);
	else if (!opt->byz_clients)
		printf(" %shonest-clients", mark);
	if (opt->short_run)
		printf(" %squick", mark);
	if (opt->clients)
		printf(" %sclients%s%u", mark, is, opt->clients);
	if (opt->ops)
		printf(" %sops%s%u", mark, is, opt->ops);
	if (opt->until)
		printf(" %suntil%s%llu", mark, is, (unsigned long long)opt->until);
	if (opt->without) {
		printf(" %swithout%s", mark, is);
		feature_print(opt->without);
	}
}

void shrink_command(const struct sim_options *opt, u64 seed)
{
	printf("pbft-sim --seed %llu", (unsigned long long)seed);
	options(opt, "--", " ");
	printf(" --trace\n");
}

void shrink_scenario(const struct sim_options *opt, u64 seed)
{
	printf("simulate %llu", (unsigned long long)seed);
	options(opt, "", "=");
	printf("\n----\n");
}
