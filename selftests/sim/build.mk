# SPDX-License-Identifier: GPL-2.0
# pbft-sim and pbft-scenario: the core on a virtual network.

sim-world := $(addprefix selftests/sim/,alloc.c app.c auth.c byz.c byz-lies.c \
	chaos.c check.c client.c disk.c event.c ghost.c hash.c linear.c net.c oracle.c \
	plan.c replica.c run.c trace.c)
# malloc and its family go through alloc.c, which counts and fails
sim-wrap := -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=free

progs += pbft-sim
pbft-sim-src := $(core-src) $(sim-world) selftests/sim/main.c
pbft-sim-lib := $(sim-wrap)
$(foreach f,$(sim-world) selftests/sim/main.c,$(eval $(f:.c=)-cflags := -Ikmod/core))

