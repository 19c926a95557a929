// SPDX-License-Identifier: GPL-2.0
/*
 * A violation that the simulator found, kept as a scenario: pbft-sim --shrink
 * prints it in these words. The seed decides what happens, not a person; a change
 * to what the simulator draws from a seed makes another run of it.
 */
#include <stdlib.h>
#include "scenario.h"

#define TAIL 40

static void say(const char *line)
{
	scene_print("%s\n", line);
}

/* SEED [replicas=] [clients=] [ops=] [until=ms] [without=F,...] [benign|honest-clients] [quick] */
const char *cmd_simulate(char **args, u32 count)
{
	struct sim_options opt = {
		.faults = SIM_F_ALL,
		.n = arg_number(args, count, "replicas", 0),
		.clients = arg_number(args, count, "clients", 0),
		.ops = arg_number(args, count, "ops", 0),
		.until = arg_number(args, count, "until", 0),
		.byzantine = !arg_flag(args, count, "benign"),
		.byz_clients = !arg_flag(args, count, "benign") &&
			       !arg_flag(args, count, "honest-clients"),
		.short_run = arg_flag(args, count, "quick"),
	};
	const char *without = arg_value(args, count, "without");
	struct sim_plan plan;
	struct sim *sim;
	char *end;
	u64 seed;

	if (!count)
		return "simulate takes a seed";
	seed = strtoull(args[0], &end, 0);
	if (*end)
		return "simulate: a seed is a number";
	if (opt.n > 63 || opt.clients > SIM_CLIENTS_MAX)
		return "simulate: so many there cannot be";
	if (without && feature_parse(without, &opt.without))
		return "simulate without=: no such feature, see pbft-sim --features";
	scene_end();	/* one world at a time */
	sim = calloc(1, sizeof(*sim));
	sim_plan(&plan, seed, &opt);
	sim->tracing = true;
	sim_init(sim, seed, &plan);
	sim_run(sim);
	if (sim_failed(sim))
		trace_ring_each(sim, TAIL, say);
	else
		scene_print("clean\n");
	sim_free(sim);
	free(sim);
	return NULL;
}
