# SPDX-License-Identifier: GPL-2.0
# kpbft: see `make help`

MAKEFLAGS += --no-builtin-rules
B ?= build
CC ?= gcc
# The kernel the module is built for, and that the test machines boot.
KVER ?= $(shell scripts/vm/kernel-version 2>/dev/null || uname -r)
KDIR ?= $(firstword $(wildcard $(B)/vm/kernels/$(KVER)/lib/modules/$(KVER)/build) \
	/lib/modules/$(KVER)/build)

WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wno-unused-parameter -Wno-address-of-packed-member
OPT ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(OPT) $(WARN) -D_GNU_SOURCE -fno-strict-aliasing \
	-Iuserspace/include -Iuapi -Ikmod -Iuserspace $(CFLAGS)

# A program: progs += NAME, NAME-src := sources, NAME-lib := libraries.
# A fragment of the build lives beside its sources.
PREFIX ?= /usr/local
progs :=
core-src := $(wildcard kmod/core/*.c)
include $(wildcard userspace/*/build.mk selftests/*/build.mk scripts/*/build.mk)

.PHONY: all userspace modules check demo sim install modules_install \
	dkms-install deps clean help
.DEFAULT_GOAL := all

all: userspace modules

help:
	@echo 'make             userspace programs and pbft.ko, into $(B)/'
	@echo 'make demo        four VMs, one replicated log, a killed primary: the main job'
	@echo 'make check       all tests; installs what it needs; about 40 minutes'
	@echo 'make sim         the simulator: SEEDS=N START=S REPLICAS=n'
	@echo 'make fuzz        the fuzzers: FUZZ_TIME=seconds each (clang, libclang-rt-14-dev)'
	@echo 'make prove       no out-of-bounds read in the wire decoders (cbmc)'
	@echo 'make coverage    what of kmod/core the tests reach, and why not the rest'
	@echo 'make model       the view change, explored by spin'
	@echo 'make mutants     99 bugs planted in the core, one by one: MUTANT_SEEDS=N'
	@echo 'make bench       latency and throughput, as ratios; half an hour; BENCH_QUICK=1'
	@echo 'make bench-journal   only what journals and state transfer cost'
	@echo 'make bench-insn  instructions of the core, against committed figures'
	@echo 'make static      W=1, sparse, clang, checkpatch, coccinelle, kernel-doc, shellcheck'
	@echo 'make check-debug the kselftests on a kernel that complains: FLAVOUR=debug|lite|kcsan|uml'
	@echo 'make blackouts   power cuts of all replicas in mid-load: LOOPS=50, VMS=1 for four VMs'
	@echo 'make check-kernels   the module on the newest kernel there is'
	@echo 'make check-install   DKMS, signing, loading on demand'
	@echo 'make modules     pbft.ko for KVER=$(KVER)'
	@echo 'make install     programs, man pages and header below PREFIX=$(PREFIX)'
	@echo 'make modules_install   pbft.ko for the running kernel (or KVER=)'
	@echo 'make dkms-install      sources for DKMS, below $(PREFIX_SRC)'
	@echo 'make deps        Debian packages that are missing'

deps:
	scripts/deps.sh

check:
	scripts/check.sh $(STEPS)

demo:
	scripts/deps.sh
	$(MAKE) -s -j$(shell nproc) all
	scripts/demo

define prog-rules
$(B)/bin/$(1): $$(patsubst %.c,$(B)/obj/%.o,$$($(1)-src))
	@mkdir -p $$(@D)
	$$(CC) $$(CFLAGS_ALL) $$(LDFLAGS) -o $$@ $$^ $$($(1)-lib)
userspace: $(B)/bin/$(1)
-include $$(patsubst %.c,$(B)/obj/%.d,$$($(1)-src))
endef
$(foreach p,$(progs),$(eval $(call prog-rules,$(p))))

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_ALL) $($*-cflags) -MMD -MP -MT $@ -c -o $@ $<

userspace:

SEEDS ?= 1000
START ?= 1
# 0: the seed chooses
REPLICAS ?= 0
sim: $(B)/bin/pbft-sim
	$< --seeds $(SEEDS) --start $(START) --replicas $(REPLICAS) --jobs $(shell nproc)

# The module is built in a copy made of links, so that sources stay clean and
# several kernels can be built for side by side. Links to what is gone, go.
modules:
	@mkdir -p $(B)/kmod/$(KVER)
	cp -asuf $(CURDIR)/kmod/. $(B)/kmod/$(KVER)/
	find $(B)/kmod/$(KVER) -xtype l -delete
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(B)/kmod/$(KVER) PBFT_TOP=$(CURDIR) $(KFLAGS) modules

VERSION := $(shell sed -n 's/^MODULE_VERSION("\(.*\)");/\1/p' kmod/main.c)
PREFIX_SRC ?= /usr/src
RUNNING ?= $(if $(filter command line,$(origin KVER)),$(KVER),$(shell uname -r))
bindir = $(DESTDIR)$(PREFIX)/bin
mandir = $(DESTDIR)$(PREFIX)/share/man
srcdir = $(DESTDIR)$(PREFIX_SRC)/pbft-$(VERSION)

install: userspace
	install -d $(bindir) $(mandir)/man5 $(mandir)/man8 $(DESTDIR)$(PREFIX)/include/linux
	install $(addprefix $(B)/bin/,pbftctl pbftd pbft-kv pbft-bench) $(bindir)
	install -m 644 Documentation/man/*.5 $(mandir)/man5
	install -m 644 Documentation/man/*.8 $(mandir)/man8
	install -m 644 uapi/linux/pbft.h $(DESTDIR)$(PREFIX)/include/linux

modules_install:
	$(MAKE) modules KVER=$(RUNNING)
	$(MAKE) -C /lib/modules/$(RUNNING)/build M=$(CURDIR)/$(B)/kmod/$(RUNNING) \
		PBFT_TOP=$(CURDIR) INSTALL_MOD_DIR=updates modules_install

# After it: dkms install pbft/$(VERSION)
dkms-install:
	install -d $(srcdir)/core $(srcdir)/uapi/linux
	install -m 644 kmod/Kbuild kmod/*.c kmod/*.h kmod/*.sh $(srcdir)
	install -m 644 kmod/core/*.c kmod/core/*.h $(srcdir)/core
	install -m 644 uapi/linux/pbft.h $(srcdir)/uapi/linux
	sed 's/@VERSION@/$(VERSION)/' kmod/dkms.conf.in > $(srcdir)/dkms.conf

clean:
	rm -rf $(B)
