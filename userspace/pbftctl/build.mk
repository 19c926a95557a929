# SPDX-License-Identifier: GPL-2.0
progs += pbftctl
pbftctl-src = $(wildcard userspace/pbftctl/*.c) $(sort $(libpbft-src) $(core-src))
pbftctl-lib = -ljson-c $(libpbft-lib)
