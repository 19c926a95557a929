# SPDX-License-Identifier: GPL-2.0
progs += nl-refusals nl-events nl-journal

nl-refusals-src = $(wildcard selftests/kselftest/nl-refusals*.c) $(libpbft-src)
nl-refusals-lib = $(libpbft-lib)

nl-events-src = selftests/kselftest/nl-events.c $(libpbft-src)
nl-events-lib = $(libpbft-lib)

nl-journal-src = selftests/kselftest/nl-journal.c $(libpbft-src)
nl-journal-lib = $(libpbft-lib)

$(foreach f,nl-journal nl-refusals nl-refusals-set nl-refusals-cmd,\
	$(eval selftests/kselftest/$(f)-cflags := $(libnl-cflags)))
