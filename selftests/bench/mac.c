// SPDX-License-Identifier: GPL-2.0
/*
 * bench-mac MAC SIZE COUNT: what a MAC costs the userspace replica. Prints nanoseconds
 * and count, as pbft_floor.ko does for the kernel's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "libpbft/crypto.h"

#define SIZE_MAX_BYTES	8192

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	static u8 data[SIZE_MAX_BYTES], mac[PBFT_MAC_LEN];
	static const u8 bytes[32] = { 1 };
	enum pbft_mac_kind kind;
	struct pbft_mac_key key;
	unsigned long size, count, i;
	u64 started;

	size = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	count = argc == 4 ? strtoul(argv[3], NULL, 10) : 0;
	if (!size || size > SIZE_MAX_BYTES || !count) {
		fprintf(stderr, "usage: bench-mac MAC SIZE COUNT, SIZE up to %d\n",
			SIZE_MAX_BYTES);
		return 2;
	}
	if (!pbft_mac_by_name(&kind, argv[1])) {
		fprintf(stderr, "bench-mac: there is no MAC \"%s\", only %s\n", argv[1],
			PBFT_MAC_NAMES);
		return 2;
	}
	pbft_mac_key_set(&key, kind, bytes, sizeof(bytes));
	started = now_ns();
	for (i = 0; i < count; i++) {
		pbft_mac(&key, data, size, mac);
		data[0] = mac[0];	/* each depends on the one before */
	}
	printf("%llu %lu\n", (unsigned long long)(now_ns() - started), count);
	return 0;
}
