# SPDX-License-Identifier: GPL-2.0
# libpbft is a list of sources: every program is linked from the objects.

libpbft-src = $(wildcard userspace/libpbft/*.c) kmod/siphash.c $(libpbft-core-src)
libpbft-lib = -lcrypto -linih -lnl-genl-3 -lnl-3

# What a client needs: all of it but netlink.
libpbft-client-src = $(filter-out userspace/libpbft/nl%,$(libpbft-src))
libpbft-client-lib = -lcrypto -linih

# The parts of the core that both sides of the wire share.
libpbft-core-src = $(addprefix kmod/core/,config.c digest.c frag.c session.c wire.c)

libnl-cflags := $(shell pkg-config --cflags libnl-genl-3.0 2>/dev/null || \
	echo -I/usr/include/libnl3)
$(foreach f,$(wildcard userspace/libpbft/nl*.c),$(eval $(f:.c=)-cflags := $(libnl-cflags)))
