# SPDX-License-Identifier: GPL-2.0
kst := selftests/kselftest
kst-progs := nl-refusals nl-events check-history evil-replica nl-fuzz udp-fuzz \
	nl-daemon nl-userns nl-failnth nl-answers mod-failnth disk-log journal-crash
progs += $(kst-progs)

nl-refusals-src = $(wildcard $(kst)/nl-refusals*.c) $(B)/gen/extack-texts.c \
	$(libpbft-src)
nl-refusals-lib = $(libpbft-lib)

nl-events-src = $(kst)/nl-events.c $(libpbft-src)
nl-events-lib = $(libpbft-lib)

nl-daemon-src = $(kst)/nl-daemon.c $(libpbft-src)
nl-daemon-lib = $(libpbft-lib)

nl-userns-src = $(kst)/nl-userns.c $(libpbft-src)
nl-userns-lib = $(libpbft-lib)

nl-failnth-src = $(kst)/nl-failnth.c $(kst)/failnth.c $(libpbft-src)
nl-failnth-lib = $(libpbft-lib)

nl-answers-src = $(kst)/nl-answers.c $(kst)/failnth.c $(libpbft-src)
nl-answers-lib = $(libpbft-lib)

mod-failnth-src = $(kst)/mod-failnth.c $(kst)/failnth.c

check-history-src = $(kst)/check-history.c

disk-log-src = $(kst)/disk-log.c $(kst)/disklog.c

journal-crash-src = $(kst)/journal-crash.c $(kst)/disklog.c userspace/libpbft/hash.c $(core-src)
kst-comma := ,
journal-crash-lib = -lcrypto -Wl$(kst-comma)--wrap=pbft_hash

evil-replica-src = $(kst)/evil-replica.c $(kst)/evil-lies.c $(kst)/mouth.c \
	$(sort $(replica-src) $(libpbft-client-src))
evil-replica-lib = $(libpbft-client-lib)

# The fuzz targets' messages, with the real hash.
udp-fuzz-src = $(kst)/udp-fuzz.c $(kst)/mouth.c kmod/core/decide.c \
	$(addprefix selftests/fuzz/,world.c message.c message-batch.c message-vc.c) \
	$(libpbft-src)
udp-fuzz-lib = $(libpbft-lib)

# Tables from the specification and from the module's source.
$(B)/gen/nl-spec.c: $(kst)/nl-spec.awk Documentation/netlink/specs/pbft.yaml
	@mkdir -p $(@D)
	awk -f $^ > $@.tmp && mv $@.tmp $@
$(B)/gen/extack-texts.c: $(kst)/extack-texts.awk $(wildcard kmod/*.c) kmod/core/config.c
	@mkdir -p $(@D)
	awk -f $^ > $@.tmp && mv $@.tmp $@
$(B)/gen/nl-spec-cflags := -I$(kst)
$(B)/gen/extack-texts-cflags := -I$(kst) $(libnl-cflags)

nl-fuzz-src = $(addprefix $(kst)/,nl-fuzz.c nl-fuzz-make.c nl-fuzz-cover.c) \
	$(B)/gen/nl-spec.c $(libpbft-src)
nl-fuzz-lib = $(libpbft-lib)

$(foreach f,nl-refusals nl-refusals-set nl-refusals-cmd \
	nl-refusals-more nl-refusals-journal nl-refusals-texts nl-fuzz nl-fuzz-make \
	nl-fuzz-cover nl-userns,\
	$(eval $(kst)/$(f)-cflags := $(libnl-cflags)))

# The power fails everywhere, over and over; VMS=1: on four VMs.
LOOPS ?= 50
.PHONY: blackouts
blackouts: userspace modules
	scripts/deps.sh vm
	scripts/blackouts --loops $(LOOPS) $(if $(VMS),--vms) $(if $(SEED),--seed $(SEED))
