# SPDX-License-Identifier: GPL-2.0
progs += nl-refusals
nl-refusals-src = $(wildcard selftests/kselftest/*.c) $(libpbft-src)
nl-refusals-lib = $(libpbft-lib)
$(foreach f,nl-refusals nl-refusals-set nl-refusals-cmd,\
	$(eval selftests/kselftest/$(f)-cflags := $(libnl-cflags)))
