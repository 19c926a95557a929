# SPDX-License-Identifier: GPL-2.0
# pbft-scenario: the simulator's world, one packet at a time.

scenario-own := $(addprefix selftests/scenarios/,commands.c forge.c runner.c world.c)

progs += pbft-scenario
pbft-scenario-src = $(core-src) $(sim-world) $(scenario-own)
pbft-scenario-lib = $(sim-wrap)
$(foreach f,$(scenario-own),$(eval $(f:.c=)-cflags := -Ikmod/core))
