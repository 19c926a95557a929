# SPDX-License-Identifier: GPL-2.0
# Kernels that complain; see build.sh.

FLAVOUR ?= debug
karch = $(if $(filter uml,$(FLAVOUR)),um,x86)
debug-version = $(shell scripts/kernels/build.sh --version $(FLAVOUR))

# Kernels differ in what they instrument unasked: UML nothing with UBSAN, and none of
# these anything with KCOV, by which the netlink fuzzer is guided.
instrumented := UBSAN_SANITIZE=y KCOV_INSTRUMENT=y

.PHONY: debug-kernel debug-modules check-debug

debug-kernel:
	scripts/kernels/build.sh $(FLAVOUR)

# pbft.ko for it, and the module that plants bugs.
debug-modules:
	$(MAKE) modules KVER=$(debug-version) ARCH=$(karch) KFLAGS='$(instrumented)'
	@mkdir -p $(B)/kmod/$(debug-version)/plant
	cp -asuf $(CURDIR)/scripts/kernels/plant/. $(B)/kmod/$(debug-version)/plant/
	$(MAKE) -C $(B)/kernels/$(FLAVOUR) M=$(CURDIR)/$(B)/kmod/$(debug-version)/plant \
		ARCH=$(karch) $(instrumented) modules

check-debug:
	scripts/deps.sh kernels build vm
	$(MAKE) -s -j$(shell nproc) userspace
	scripts/kernels/check.sh $(FLAVOUR) $(TESTS)

.PHONY: static check-kernels check-install

static:
	scripts/deps.sh static build
	scripts/static.sh $(CHECKS)

check-kernels:
	scripts/deps.sh build vm
	$(MAKE) -s -j$(shell nproc) userspace
	scripts/check-kernels.sh $(TESTS)

check-install:
	scripts/deps.sh build vm install
	$(MAKE) -s -j$(shell nproc) userspace
	scripts/install-test.sh
