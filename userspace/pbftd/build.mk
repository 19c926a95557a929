# SPDX-License-Identifier: GPL-2.0

# The state machine, apart from who drives it: tests link it too.
pbftd-store-src = $(wildcard userspace/pbftd/store*.c userspace/pbftd/xfer*.c) \
	$(addprefix userspace/pbftd/,tree.c scrub.c scrub_repair.c recovery.c log.c)
pbftd-store-lib = -llmdb -lpthread

progs += pbftd
pbftd-src = $(filter-out $(pbftd-store-src),$(wildcard userspace/pbftd/*.c)) \
	$(pbftd-store-src) $(sort $(replica-src) $(libpbft-src))
pbftd-lib = $(pbftd-store-lib) -ljson-c $(libpbft-lib)
