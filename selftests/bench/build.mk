# SPDX-License-Identifier: GPL-2.0
# bench-insn: the instructions of the core's hot path, for `make bench-insn`.

bench := selftests/bench

progs += bench-insn
bench-insn-src = $(bench)/insn.c $(bench)/insn-count.c userspace/libpbft/hash.c $(core-src)
bench-comma := ,
bench-insn-lib = -lcrypto $(addprefix -Wl$(bench-comma)--wrap=,malloc calloc memcpy memmove \
	memset memcmp pbft_hash)

progs += bench-mac
bench-mac-src = $(bench)/mac.c $(libpbft-client-src)
bench-mac-lib = $(libpbft-client-lib)

progs += bench-norep
bench-norep-src = $(bench)/norep.c userspace/bench/hist.c
bench-norep-lib = -lm

# UPDATE=1 writes the committed figures anew.
.PHONY: bench-insn
bench-insn: $(B)/bin/bench-insn
	B=$(B) CC="$(CC)" OPT="$(OPT)" $(bench)/insn.py $(if $(UPDATE),--update)

# The measuring module, built beside pbft.ko.
.PHONY: bench-module
bench-module: modules
	@mkdir -p $(B)/kmod/$(KVER)/floor
	cp -asuf $(CURDIR)/$(bench)/floor/. $(B)/kmod/$(KVER)/floor/
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(B)/kmod/$(KVER)/floor $(KFLAGS) modules

# Everything, unattended: about half an hour. BENCH_QUICK=1 is a smoke run.
bench-progs := pbftctl pbftd pbft-kv pbft-bench bench-norep bench-mac bench-insn

.PHONY: bench bench-journal
bench-journal: bench-args := --journal
bench bench-journal:
	scripts/deps.sh build vm bench
	$(MAKE) -s $(bench-progs:%=$(B)/bin/%)
	$(MAKE) -s bench-module
	B=$(B) CC="$(CC)" OPT="$(OPT)" $(bench)/run.py $(bench-args)
