# SPDX-License-Identifier: GPL-2.0
progs += pbft-kv
pbft-kv-src = $(wildcard userspace/kv/*.c) $(libpbft-client-src)
pbft-kv-lib = $(libpbft-client-lib)
