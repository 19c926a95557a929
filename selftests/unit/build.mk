# SPDX-License-Identifier: GPL-2.0

progs += unit-crypto unit-kv unit-client

unit-crypto-src = selftests/unit/test-crypto.c $(libpbft-client-src)
unit-crypto-lib = $(libpbft-client-lib)

unit-kv-src = selftests/unit/test-kv.c userspace/libpbft/kv.c

unit-client-src = selftests/unit/test-client.c selftests/unit/fake-cluster.c \
	$(libpbft-client-src)
unit-client-lib = $(libpbft-client-lib)

progs += unit-kvstore unit-xfer

unit-kvstore-src = selftests/unit/test-kvstore.c selftests/unit/kvstore.c \
	$(pbftd-store-src) $(libpbft-client-src)
unit-kvstore-lib = $(pbftd-store-lib) $(libpbft-client-lib)

progs += unit-copies
unit-copies-src = selftests/unit/test-copies.c selftests/unit/copies.c \
	selftests/unit/kvstore.c \
	$(pbftd-store-src) $(libpbft-client-src)
unit-copies-lib = $(pbftd-store-lib) $(libpbft-client-lib) -Wl,--wrap=mdb_txn_commit

unit-xfer-src = selftests/unit/test-xfer.c selftests/unit/kvstore.c \
	$(pbftd-store-src) $(libpbft-client-src)
unit-xfer-lib = $(pbftd-store-lib) $(libpbft-client-lib)

progs += unit-recovery
unit-recovery-src = selftests/unit/test-recovery.c selftests/unit/kvstore.c \
	$(pbftd-store-src) $(libpbft-client-src)
unit-recovery-lib = $(pbftd-store-lib) $(libpbft-client-lib)

progs += unit-cluster
unit-cluster-src = selftests/unit/test-cluster.c $(libpbft-client-src)
unit-cluster-lib = $(libpbft-client-lib)

progs += unit-replica

unit-replica-src = selftests/unit/test-replica.c selftests/unit/replicas.c \
	$(sort $(replica-src) $(libpbft-client-src))
unit-replica-lib = $(libpbft-client-lib)

progs += unit-transport

unit-transport-src = selftests/unit/test-transport.c selftests/unit/replicas.c \
	$(sort $(replica-src) $(libpbft-client-src))
unit-transport-lib = $(libpbft-client-lib) -Wl,--wrap=setsockopt,--wrap=sendmmsg

progs += unit-durable

unit-durable-src = selftests/unit/test-durable.c selftests/unit/replicas.c \
	$(sort $(replica-src) $(libpbft-client-src))
unit-durable-lib = $(libpbft-client-lib)

# Runs build/bin/pbftd, or the one named as its argument.
progs += unit-pbftd

unit-pbftd-src = selftests/unit/test-pbftd.c selftests/unit/replicas.c \
	$(libpbft-client-src)
unit-pbftd-lib = -ljson-c $(libpbft-client-lib)

progs += unit-wire unit-frag unit-decide
unit-wire-src = selftests/unit/test-wire.c userspace/libpbft/hash.c $(libpbft-core-src)
unit-wire-lib = -lcrypto
unit-frag-src = selftests/unit/test-frag.c userspace/libpbft/hash.c $(libpbft-core-src)
unit-frag-lib = -lcrypto
unit-decide-src = selftests/unit/test-decide.c userspace/libpbft/hash.c \
	kmod/core/decide.c $(libpbft-core-src)
unit-decide-lib = -lcrypto

# For who links alloc.c.
unit-alloc-wrap := -Wl,--wrap=malloc,--wrap=calloc

progs += unit-journal unit-journal-io
unit-journal-src = selftests/unit/test-journal.c selftests/unit/journals.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-journal-lib = -lcrypto $(unit-alloc-wrap)
unit-journal-io-src = selftests/unit/test-journal-io.c selftests/unit/journals.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-journal-io-lib = -lcrypto $(unit-alloc-wrap)

# All that test the core alone: for mutants and coverage, which ask for them by name.
.PHONY: core-units
core-units:
	@echo unit-wire unit-frag unit-decide unit-core unit-core-views unit-core-memory \
		unit-gate unit-guard unit-restore unit-journal unit-journal-io

progs += unit-core unit-core-views unit-core-memory unit-gate unit-guard unit-restore
unit-core-src = selftests/unit/test-core.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-core-lib = -lcrypto $(unit-alloc-wrap)
unit-core-views-src = selftests/unit/test-core-views.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-core-views-lib = -lcrypto $(unit-alloc-wrap)
unit-core-memory-src = selftests/unit/test-core-memory.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-core-memory-lib = -lcrypto $(unit-alloc-wrap)
unit-guard-src = selftests/unit/test-guard.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-guard-lib = -lcrypto $(unit-alloc-wrap)
unit-gate-src = selftests/unit/test-gate.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-gate-lib = -lcrypto $(unit-alloc-wrap)
unit-restore-src = selftests/unit/test-restore.c selftests/unit/core-peers.c \
	selftests/unit/alloc.c userspace/libpbft/hash.c $(core-src)
unit-restore-lib = -lcrypto $(unit-alloc-wrap)
