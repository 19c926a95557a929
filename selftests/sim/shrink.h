/* SPDX-License-Identifier: GPL-2.0 */
/* A violation made small, and the command that repeats it. */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "sim.h"

/* Changes *@opt to the least that still violates the same. Return: runs it took. */
u32 shrink(struct sim_options *opt, u64 seed, const char *violation);
void shrink_command(const struct sim_options *opt, u64 seed);
/* The same as the beginning of a file in selftests/scenarios; the transcript follows. */
void shrink_scenario(const struct sim_options *opt, u64 seed);

#endif /* SIM_SHRINK_H */
