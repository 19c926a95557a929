# SPDX-License-Identifier: GPL-2.0
progs += pbftctl
pbftctl-src = $(wildcard userspace/pbftctl/*.c) $(libpbft-src)
pbftctl-lib = -ljson-c $(libpbft-lib)
