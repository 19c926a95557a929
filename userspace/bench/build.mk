# SPDX-License-Identifier: GPL-2.0
progs += pbft-bench
pbft-bench-src = $(wildcard userspace/bench/*.c) $(libpbft-client-src)
pbft-bench-lib = -ljson-c -lm $(libpbft-client-lib)
