# SPDX-License-Identifier: GPL-2.0
# kpbft: see `make help`

MAKEFLAGS += --no-builtin-rules
B ?= build
CC ?= gcc
# The kernel the module is built for, and that the test machines boot.
KVER ?= $(shell scripts/vm/kernel-version 2>/dev/null || uname -r)
KDIR ?= /lib/modules/$(KVER)/build

WARN := -Wall -Wextra -Werror -Wshadow -Wmissing-prototypes -Wstrict-prototypes \
	-Wno-unused-parameter -Wno-address-of-packed-member
OPT ?= -O2 -g
CFLAGS_ALL = -std=gnu11 $(OPT) $(WARN) -D_GNU_SOURCE -fno-strict-aliasing \
	-Iuserspace/include -Iuapi -Ikmod -Iuserspace $(CFLAGS)

# A program: progs += NAME, NAME-src := sources, NAME-lib := libraries.
# A fragment of the build lives beside its sources.
progs :=
core-src := $(wildcard kmod/core/*.c)
include $(wildcard userspace/*/build.mk selftests/*/build.mk)

.PHONY: all modules check demo bench sim install dkms-install clean help
.DEFAULT_GOAL := all

all: userspace modules

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
	$(CC) $(CFLAGS_ALL) $($*-cflags) -MMD -MP -c -o $@ $<

.PHONY: userspace
userspace:

# The module is built in a copy made of links, so that sources stay clean and
# several kernels can be built for side by side.
modules:
	@mkdir -p $(B)/kmod/$(KVER)
	cp -asuf $(CURDIR)/kmod/. $(B)/kmod/$(KVER)/
	$(MAKE) -C $(KDIR) M=$(CURDIR)/$(B)/kmod/$(KVER) PBFT_TOP=$(CURDIR) $(KFLAGS) modules

clean:
	rm -rf $(B)
