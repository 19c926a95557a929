# SPDX-License-Identifier: GPL-2.0
# Fuzz targets: `make fuzz`. They have objects of their own, since all of the
# code they test is compiled for the fuzzer and the sanitizers too.

FUZZ_CC ?= clang
FUZZ_TIME ?= 60
FUZZ_JOBS ?= $(shell nproc)
FUZZ_B := $(B)/fuzz
FUZZ_SAN := address,undefined
FUZZ_CFLAGS = $(filter-out -O2,$(CFLAGS_ALL)) -O1 -fno-omit-frame-pointer \
	-fsanitize=fuzzer-no-link,$(FUZZ_SAN) -fno-sanitize-recover=all -Iselftests/fuzz

fuzz-comma := ,
fuzz-dir := selftests/fuzz
fuzz-common := $(addprefix $(fuzz-dir)/,common.c)
fuzz-world := $(addprefix $(fuzz-dir)/,hash.c touch.c world.c message.c \
	message-batch.c message-vc.c)
fuzz-progs := wire frag step client config kv keys db xfer
fuzz-wire-src := $(fuzz-common) $(fuzz-world) $(addprefix kmod/core/,wire.c digest.c decide.c)
fuzz-frag-src := $(fuzz-common) $(fuzz-dir)/hash.c $(addprefix kmod/core/,wire.c frag.c)
fuzz-step-src := $(fuzz-common) $(fuzz-world) $(core-src) \
	$(addprefix $(fuzz-dir)/,step-app.c step-check.c alloc.c)
fuzz-step-lib := -Wl,--wrap=malloc,--wrap=calloc

fuzz-client-src := $(fuzz-common) $(fuzz-dir)/client-env.c $(libpbft-client-src)
fuzz-client-lib := $(libpbft-client-lib) $(addprefix -Wl$(fuzz-comma)--wrap=,recvmmsg \
	sendmmsg clock_gettime getrandom pbft_pubkey pbft_shared_secret pbft_mac pbft_mac_ok)

fuzz-config-src := $(fuzz-common) $(libpbft-client-src)
fuzz-config-lib := $(libpbft-client-lib)
fuzz-kv-src := $(fuzz-common) userspace/libpbft/kv.c kmod/core/session.c
fuzz-keys-src := $(fuzz-common) $(addprefix userspace/libpbft/,keytext.c crypto.c hash.c) \
	kmod/siphash.c
fuzz-keys-lib := -lcrypto
fuzz-db-src := $(fuzz-common) $(fuzz-dir)/db.c $(pbftd-store-src) $(libpbft-client-src)
fuzz-db-lib := $(pbftd-store-lib) $(libpbft-client-lib) -Wl,--wrap=pbft_store_precheck
fuzz-xfer-src := $(fuzz-db-src)
fuzz-xfer-lib := $(fuzz-db-lib)
# LMDB aligns what it hands out to two bytes.
$(foreach f,$(pbftd-store-src),$(eval $(FUZZ_B)/$(f:.c=)-cflags := -fno-sanitize=alignment))

define fuzz-rules
$(FUZZ_B)/bin/fuzz-$(1): $$(patsubst %.c,$(FUZZ_B)/obj/%.o,$$(sort $$(fuzz-dir)/fuzz-$(1).c $$(fuzz-$(1)-src)))
	@mkdir -p $$(@D)
	$$(FUZZ_CC) $$(FUZZ_CFLAGS) -fsanitize=fuzzer,$(FUZZ_SAN) -o $$@ $$^ $$(fuzz-$(1)-lib)
-include $$(patsubst %.c,$(FUZZ_B)/obj/%.d,$$(fuzz-dir)/fuzz-$(1).c $$(fuzz-$(1)-src))
endef
$(foreach p,$(fuzz-progs),$(eval $(call fuzz-rules,$(p))))

$(FUZZ_B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(FUZZ_CFLAGS) $($*-cflags) $($(FUZZ_B)/$*-cflags) -MMD -MP -MT $@ -c -o $@ $<

.PHONY: fuzz-build fuzz prove
fuzz-build: $(fuzz-progs:%=$(FUZZ_B)/bin/fuzz-%)

fuzz: fuzz-build
	B=$(B) selftests/fuzz/run.sh -t $(FUZZ_TIME) -j $(FUZZ_JOBS) $(FUZZ)

prove:
	B=$(B) selftests/fuzz/prove.sh $(PROVE)
