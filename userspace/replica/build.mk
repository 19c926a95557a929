# SPDX-License-Identifier: GPL-2.0

# The replica as a library: sources, with the whole core, beside libpbft's.
replica-src = $(wildcard userspace/replica/*.c) $(core-src)
