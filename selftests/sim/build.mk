# SPDX-License-Identifier: GPL-2.0
# pbft-sim and pbft-scenario: the core on a virtual network.

sim-world := $(addprefix selftests/sim/,aim.c alloc.c app.c auth.c byz.c byz-choose.c byz-lies.c \
	chaos.c check.c client.c disk.c event.c feature.c ghost.c hash.c linear.c net.c oracle.c \
	plan.c replica.c run.c tables.c trace.c)
# malloc and its family go through alloc.c, which counts and fails
sim-wrap := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free

progs += pbft-sim
sim-own := $(addprefix selftests/sim/,main.c shrink.c)
pbft-sim-src := $(core-src) $(sim-world) $(sim-own)
pbft-sim-lib := $(sim-wrap)
$(foreach f,$(sim-world) $(sim-own),$(eval $(f:.c=)-cflags := -Ikmod/core))

