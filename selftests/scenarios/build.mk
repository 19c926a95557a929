# SPDX-License-Identifier: GPL-2.0
# pbft-scenario: the simulator's world, one packet at a time.

scenario-own := $(addprefix selftests/scenarios/,commands.c faults.c forge.c runner.c \
	simulate.c traffic.c until.c world.c)

progs += pbft-scenario
pbft-scenario-src = $(core-src) $(sim-world) $(scenario-own)
pbft-scenario-lib = $(sim-wrap)
$(foreach f,$(scenario-own),$(eval $(f:.c=)-cflags := -Ikmod/core))

# The same with one bug in one file of the core, for prove.sh.
scenario-objs = $(patsubst %.c,$(B)/obj/%.o,$(pbft-scenario-src))

$(B)/prove/%/pbft-scenario: $(B)/bin/pbft-scenario FORCE
	@file=$$(selftests/scenarios/mutate.py $* $(@D)) && \
	$(CC) $(CFLAGS_ALL) -Wno-error -w -Ikmod/core -c -o $(@D)/mutant.o $(@D)/$$file && \
	$(CC) $(CFLAGS_ALL) $(LDFLAGS) -o $@ $(@D)/mutant.o \
		$$(printf '%s\n' $(scenario-objs) | grep -v "/core/$${file%.c}.o$$") \
		$(pbft-scenario-lib)

.PHONY: FORCE scenarios-prove
FORCE:

scenarios-prove: $(B)/bin/pbft-scenario
	selftests/scenarios/prove.sh
