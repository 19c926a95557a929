# SPDX-License-Identifier: GPL-2.0
# What of kmod/core the tests reach: `make coverage`. With COVERAGE set the core
# is compiled for gcov, without optimisation; run.py does that in $(B)/coverage, with
# COVERAGE_UNITS.

COVERAGE_SEEDS ?= 80

.PHONY: coverage
coverage:
	B=$(B) selftests/coverage/run.py --seeds $(COVERAGE_SEEDS)

ifdef COVERAGE
coverage-replays := wire frag step
coverage-own := selftests/coverage/replay.c
coverage-progs := pbft-sim pbft-scenario $(COVERAGE_UNITS) $(coverage-replays:%=cover-%)
progs += $(coverage-replays:%=cover-%)
cover-wire-src = $(coverage-own) selftests/fuzz/fuzz-wire.c $(fuzz-wire-src)
cover-frag-src = $(coverage-own) selftests/fuzz/fuzz-frag.c $(fuzz-frag-src)
cover-step-src = $(coverage-own) selftests/fuzz/fuzz-step.c $(fuzz-step-src)
cover-wire-lib = -fsanitize=address $(fuzz-wire-lib)
cover-frag-lib = -fsanitize=address $(fuzz-frag-lib)
cover-step-lib = -fsanitize=address $(fuzz-step-lib)

$(foreach f,$(core-src),$(eval $(f:.c=)-cflags += --coverage))
# the simulator's processes end by _exit(), which writes no counts
LDFLAGS += --coverage -Wl,--wrap=_exit

.PHONY: coverage-build
coverage-build: $(coverage-progs:%=$(B)/bin/%)
$(coverage-progs:%=$(B)/bin/%): $(B)/obj/selftests/coverage/exit.o
endif
