// SPDX-License-Identifier: GPL-2.0
/* pbft-sim: the command line; many seeds over several processes, or one in full. */
#include <getopt.h>
#include <malloc.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "shrink.h"

struct args {
	struct sim_options opt;
	u64 start, seeds;
	u32 jobs, tail, stop;
	bool one, trace, check, verbose, shrink;
};

struct result {
	u64 seed, hash;
	struct sim_stats stats;
	char violation[512];
};

static void say(const char *line)
{
	puts(line);
}

static void run_seed(const struct args *a, u64 seed, bool tracing, bool now,
		     struct result *r)
{
	struct sim_plan plan;
	struct sim *sim = calloc(1, sizeof(*sim));

	sim_plan(&plan, seed, &a->opt);
	sim->tracing = tracing;
	sim->trace_now = now;
	sim_init(sim, seed, &plan);
	sim_run(sim);
	if (tracing && !now && sim_failed(sim))
		trace_ring_each(sim, a->tail, say);
	sim_free(sim);
	memset(r, 0, sizeof(*r));
	r->seed = seed;
	r->hash = prng_mix(sim->hash ^ sim->stats.events);
	r->stats = sim->stats;
	memcpy(r->violation, sim->violation, sizeof(r->violation));
	free(sim);
}

/* ---- totals ------------------------------------------------------------- */

struct totals {
	struct sim_stats sum;
	u64 seeds, violations;
	struct sim_full full[SIM_TABLES];
	u64 full_seed[SIM_TABLES];
	u64 most_views, most_views_seed;
};

/* Of each table the run that came nearest to its bound. */
static void add_tables(struct totals *t, const struct result *r)
{
	u32 i;

	for (i = 0; i < SIM_TABLES; i++) {
		const struct sim_full *f = &r->stats.full[i];
		bool first = !t->full[i].bound;

		if (!f->bound || (!first && (double)f->high / (double)f->bound <=
				  (double)t->full[i].high / (double)t->full[i].bound))
			continue;
		t->full[i] = *f;
		t->full_seed[i] = r->seed;
	}
}

static void print_tables(const struct totals *t)
{
	u32 i;

	printf("nearest to their bounds at one replica:\n");
	for (i = 0; i < SIM_TABLES; i++)
		if (t->full[i].bound)
			printf("  %-30s %10llu of %10llu (seed %llu)\n", table_name(i),
			       (unsigned long long)t->full[i].high,
			       (unsigned long long)t->full[i].bound,
			       (unsigned long long)t->full_seed[i]);
}

static void add(struct totals *t, const struct result *r)
{
	const struct sim_stats *s = &r->stats;

	t->seeds++;
	t->violations += r->violation[0] != 0;
	t->sum.events += s->events;
	t->sum.batches += s->batches;
	t->sum.ops += s->ops;
	t->sum.virtual_ns += s->virtual_ns;
	t->sum.view_changes += s->view_changes;
	t->sum.crashes += s->crashes;
	t->sum.recovered += s->recovered;
	t->sum.resumed += s->resumed;
	t->sum.compactions += s->compactions;
	t->sum.state_transfers += s->state_transfers;
	t->sum.nulls += s->nulls;
	add_tables(t, r);
	if (s->view > t->most_views) {
		t->most_views = s->view;
		t->most_views_seed = r->seed;
	}
}

static void print_totals(const struct totals *t, double seconds, double cpu)
{
	double hours = (double)t->sum.virtual_ns / 3600e9;

	seconds = seconds > 0.001 ? seconds : 0.001;
	cpu = cpu > 0.001 ? cpu : 0.001;
	printf("%llu events in %.1f s (%.0f/s), %llu batches committed (%.0f/s, %llu null), %llu operations\n",
	       (unsigned long long)t->sum.events, seconds,
	       (double)t->sum.events / seconds, (unsigned long long)t->sum.batches,
	       (double)t->sum.batches / seconds, (unsigned long long)t->sum.nulls,
	       (unsigned long long)t->sum.ops);
	printf("%.2f simulated hours: %.0f an hour of this machine, %.0f an hour of one processor's time\n",
	       hours, hours * 3600 / seconds, hours * 3600 / cpu);
	printf("%llu view changes, %llu crashes, %llu resumed by journal (%llu compactions), %llu recoveries, %llu state transfers\n",
	       (unsigned long long)t->sum.view_changes, (unsigned long long)t->sum.crashes,
	       (unsigned long long)t->sum.resumed,
	       (unsigned long long)t->sum.compactions,
	       (unsigned long long)t->sum.recovered,
	       (unsigned long long)t->sum.state_transfers);
	print_tables(t);
	printf("highest view %llu (seed %llu)\n", (unsigned long long)t->most_views,
	       (unsigned long long)t->most_views_seed);
	printf("sim: %llu seeds, %llu violations\n", (unsigned long long)t->seeds,
	       (unsigned long long)t->violations);
}

/* The least that still does it, with the end of its transcript. */
static void show_small(const struct args *a, const struct result *r)
{
	struct args less = *a;
	struct sim_plan plan;
	struct result again;
	u32 runs = shrink(&less.opt, r->seed, r->violation);

	printf("---- shrunk in %u runs; again by\n", runs);
	shrink_command(&less.opt, r->seed);
	sim_plan(&plan, r->seed, &less.opt);
	sim_plan_print(&plan, r->seed);
	printf("---- as a scenario:\n");
	shrink_scenario(&less.opt, r->seed);
	run_seed(&less, r->seed, true, false, &again);
	printf("---- VIOLATION, shrunk: %s\n", again.violation);
}

/* A violation is replayed here, so that its transcript can be shown. */
static void show(const struct args *a, const struct result *r)
{
	struct sim_plan plan;
	struct result again;

	printf("---- VIOLATION, seed %llu: %s\n", (unsigned long long)r->seed, r->violation);
	if (a->tail) {
		sim_plan(&plan, r->seed, &a->opt);
		sim_plan_print(&plan, r->seed);
		run_seed(a, r->seed, true, false, &again);
		if (memcmp(again.violation, r->violation, sizeof(r->violation)))
			printf("NOT REPRODUCED: %s\n", again.violation[0] ? again.violation :
			       "no violation");
		else if (a->shrink)
			show_small(a, r);
	}
	fflush(stdout);
}

/* ---- many seeds -------------------------------------------------------------- */

/* What the processes share: which seed comes next, which one each is at. */
struct shared {
	u64 next;
	u64 at[64];
};

static void child(const struct args *a, u32 job, int fd, struct shared *sh)
{
	struct result r, again;
	u64 i;

	while ((i = __atomic_fetch_add(&sh->next, 1, __ATOMIC_RELAXED)) < a->seeds) {
		sh->at[job] = a->start + i;
		run_seed(a, a->start + i, false, false, &r);
		if (a->check) {
			run_seed(a, a->start + i, false, false, &again);
			if (again.hash != r.hash && !r.violation[0])
				snprintf(r.violation, sizeof(r.violation),
					 "22 determinism: two runs differ");
		}
		if (write(fd, &r, sizeof(r)) != sizeof(r))
			_exit(1);
	}
	_exit(0);
}

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Of this process and the children it has waited for. */
static double cpu_s(void)
{
	struct rusage own, all;

	getrusage(RUSAGE_SELF, &own);
	getrusage(RUSAGE_CHILDREN, &all);
	return (double)(own.ru_utime.tv_sec + own.ru_stime.tv_sec +
			all.ru_utime.tv_sec + all.ru_stime.tv_sec) +
	       (double)(own.ru_utime.tv_usec + own.ru_stime.tv_usec +
			all.ru_utime.tv_usec + all.ru_stime.tv_usec) / 1e6;
}

#define PROGRESS_S 10

/* Said now and then, beside the results: what runs for an hour shows that it runs. */
static void progress(const struct args *a, const struct totals *t, double begin, double *said)
{
	double now = now_s();

	if (now - *said < PROGRESS_S)
		return;
	*said = now;
	fprintf(stderr, "sim: %llu of %llu seeds, %llu violations, %.0f s, about %.0f s to go\n",
		(unsigned long long)t->seeds, (unsigned long long)a->seeds,
		(unsigned long long)t->violations, now - begin,
		(now - begin) / (double)t->seeds * (double)(a->seeds - t->seeds));
}

/* Results are smaller than PIPE_BUF: whole records arrive. */
static int run_many(const struct args *a)
{
	struct totals t = { .seeds = 0 };
	double begin = now_s(), said = begin;
	struct result r;
	int fds[2], status, crashed = 0;
	struct shared *sh;
	pid_t pids[64];
	u32 j;

	sh = mmap(NULL, sizeof(*sh), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sh == MAP_FAILED || pipe(fds)) {
		perror("pbft-sim: cannot start processes");
		return 2;
	}
	fflush(stdout);
	for (j = 0; j < a->jobs; j++) {
		pids[j] = fork();
		if (!pids[j]) {
			close(fds[0]);
			child(a, j, fds[1], sh);
		}
	}
	close(fds[1]);
	while (read(fds[0], &r, sizeof(r)) == sizeof(r)) {
		add(&t, &r);
		if (r.violation[0])
			show(a, &r);
		else if (a->verbose)
			printf("seed %llu hash %016llx events %llu view %llu\n",
			       (unsigned long long)r.seed, (unsigned long long)r.hash,
			       (unsigned long long)r.stats.events,
			       (unsigned long long)r.stats.view);
		progress(a, &t, begin, &said);
		if (a->stop && t.violations >= a->stop)
			break;
	}
	close(fds[0]);
	for (j = 0; j < a->jobs; j++) {
		if (a->stop && t.violations >= a->stop)
			kill(pids[j], SIGTERM);
		waitpid(pids[j], &status, 0);
		if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM) {
			printf("---- CRASH, seed %llu: signal %d\n",
			       (unsigned long long)sh->at[j], WTERMSIG(status));
			crashed++;
		}
	}
	if (crashed) {
		t.violations += crashed;
	} else if (!a->stop && t.seeds != a->seeds) {
		printf("pbft-sim: only %llu seeds ran\n", (unsigned long long)t.seeds);
		t.violations++;
	}
	print_totals(&t, now_s() - begin, cpu_s());
	return t.violations ? 1 : 0;
}

static int run_one(const struct args *a)
{
	struct totals t = { .seeds = 0 };
	double begin = now_s();
	struct sim_plan plan;
	struct result r;

	sim_plan(&plan, a->start, &a->opt);
	sim_plan_print(&plan, a->start);
	run_seed(a, a->start, a->trace || a->tail, a->trace, &r);
	add(&t, &r);
	if (r.violation[0])
		printf("---- VIOLATION, seed %llu: %s\n", (unsigned long long)r.seed,
		       r.violation);
	if (r.violation[0] && a->shrink)
		show_small(a, &r);
	printf("hash %016llx\n", (unsigned long long)r.hash);
	print_totals(&t, now_s() - begin, cpu_s());
	return t.violations ? 1 : 0;
}

/* ---- the command line ----------------------------------------------------------- */

static const char * const help =
"usage: pbft-sim [options]\n"
"  --seed S        run one seed; with --trace print everything that happens\n"
"  --seeds N       run N seeds (default 200)\n"
"  --start S       first seed (default 1)\n"
"  --replicas N    fix the number of replicas; 0: the seed chooses\n"
"  --jobs J        processes (default 2)\n"
"  --check         run every seed twice and compare\n"
"  --benign        no Byzantine replicas or clients\n"
"  --honest-clients  no Byzantine clients\n"
"  --no-memory-loss  no replica restarts without its memory\n"
"  --calm          no faults but the network's own\n"
"  --quick         short runs\n"
"  --tail N        lines of transcript shown of a violation (default 40)\n"
"  --stop V        stop after V violations\n"
"  --shrink        make each violation as small as it goes, say how to repeat that\n"
"  --without F,... leave out what --features lists, as --shrink found unneeded\n"
"  --until MS      all heals after so long\n"
"  --ops N, --clients N  at most so many operations of each client, so many clients\n"
"  --features      what may go wrong, by name\n"
"  --verbose       a line for every seed\n";

enum {
	O_SEED = 256, O_SEEDS, O_START, O_REPLICAS, O_JOBS, O_TRACE, O_CHECK, O_BENIGN,
	O_HONEST, O_NO_MEMORY_LOSS, O_CALM, O_QUICK, O_TAIL, O_STOP, O_VERBOSE, O_HELP,
	O_SHRINK, O_WITHOUT, O_UNTIL, O_OPS, O_CLIENTS, O_FEATURES
};

static const struct option options[] = {
	{ "seed", 1, NULL, O_SEED }, { "seeds", 1, NULL, O_SEEDS },
	{ "start", 1, NULL, O_START }, { "replicas", 1, NULL, O_REPLICAS },
	{ "jobs", 1, NULL, O_JOBS }, { "trace", 0, NULL, O_TRACE },
	{ "check", 0, NULL, O_CHECK }, { "benign", 0, NULL, O_BENIGN },
	{ "honest-clients", 0, NULL, O_HONEST },
	{ "no-memory-loss", 0, NULL, O_NO_MEMORY_LOSS }, { "calm", 0, NULL, O_CALM },
	{ "quick", 0, NULL, O_QUICK }, { "tail", 1, NULL, O_TAIL },
	{ "stop", 1, NULL, O_STOP }, { "verbose", 0, NULL, O_VERBOSE },
	{ "shrink", 0, NULL, O_SHRINK }, { "without", 1, NULL, O_WITHOUT },
	{ "until", 1, NULL, O_UNTIL }, { "ops", 1, NULL, O_OPS },
	{ "clients", 1, NULL, O_CLIENTS }, { "features", 0, NULL, O_FEATURES },
	{ "help", 0, NULL, O_HELP }, { NULL, 0, NULL, 0 }
};

static u64 number(const char *name, const char *s, u64 lo, u64 hi)
{
	char *end;
	unsigned long long v = strtoull(s, &end, 0);

	if (!*s || *end || v < lo || v > hi) {
		fprintf(stderr, "pbft-sim: --%s must be a number from %llu to %llu\n", name,
			(unsigned long long)lo, (unsigned long long)hi);
		exit(2);
	}
	return v;
}

static void without(const char *list, u64 *set)
{
	const char *bad = feature_parse(list, set);

	if (bad) {
		fprintf(stderr, "pbft-sim: there is no feature '%s'; see --features\n", bad);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct args a = {
		.opt = { .faults = SIM_F_ALL, .byzantine = true, .byz_clients = true },
		.start = 1, .seeds = 200, .jobs = 2, .tail = 40,
	};
	int o;

	/* memory of one seed serves the next: no page faults but the first */
	mallopt(M_MMAP_THRESHOLD, 1 << 30);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 16 << 20);
	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case O_SEED:
			a.one = true;
			a.start = number("seed", optarg, 0, U64_MAX);
			break;
		case O_SEEDS:
			a.seeds = number("seeds", optarg, 1, 1000000000);
			break;
		case O_START:
			a.start = number("start", optarg, 0, U64_MAX);
			break;
		case O_REPLICAS:
			a.opt.n = number("replicas", optarg, 0, 63);
			break;
		case O_JOBS:
			a.jobs = number("jobs", optarg, 1, 64);
			break;
		case O_TRACE:
			a.trace = true;
			break;
		case O_CHECK:
			a.check = true;
			break;
		case O_BENIGN:
			a.opt.byzantine = false;
			a.opt.byz_clients = false;
			break;
		case O_HONEST:
			a.opt.byz_clients = false;
			break;
		case O_NO_MEMORY_LOSS:
			a.opt.faults &= ~SIM_F_MEMORY;
			break;
		case O_CALM:
			a.opt.faults = 0;
			break;
		case O_QUICK:
			a.opt.short_run = true;
			break;
		case O_TAIL:
			a.tail = number("tail", optarg, 0, 4000);
			break;
		case O_STOP:
			a.stop = number("stop", optarg, 1, 1000000);
			break;
		case O_VERBOSE:
			a.verbose = true;
			break;
		case O_SHRINK:
			a.shrink = true;
			break;
		case O_WITHOUT:
			without(optarg, &a.opt.without);
			break;
		case O_UNTIL:
			a.opt.until = number("until", optarg, 1, 1000000000);
			break;
		case O_OPS:
			a.opt.ops = number("ops", optarg, 1, 1000000);
			break;
		case O_CLIENTS:
			a.opt.clients = number("clients", optarg, 1, SIM_CLIENTS_MAX);
			break;
		case O_FEATURES:
			feature_print((1ull << feature_count()) - 1);
			putchar('\n');
			return 0;
		default:
			fputs(help, o == O_HELP ? stdout : stderr);
			return o == O_HELP ? 0 : 2;
		}
	}
	if (optind < argc) {
		fprintf(stderr, "pbft-sim: what is '%s'? See --help\n", argv[optind]);
		return 2;
	}
	return a.one ? run_one(&a) : run_many(&a);
}
