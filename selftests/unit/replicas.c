// SPDX-License-Identifier: GPL-2.0
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "replicas.h"

u64 test_now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* Ports that were free just now; all held until the last is known. */
static bool free_ports(u16 *ports, u32 n)
{
	struct sockaddr_in addr;
	int fds[TEST_N_MAX];
	bool good = true;
	u32 i;

	for (i = 0; i < n; i++) {
		socklen_t len = sizeof(addr);

		memset(&addr, 0, sizeof(addr));
		addr.sin_family = AF_INET;
		addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		fds[i] = socket(AF_INET, SOCK_DGRAM, 0);
		good &= fds[i] >= 0 &&
			!bind(fds[i], (void *)&addr, sizeof(addr)) &&
			!getsockname(fds[i], (void *)&addr, &len);
		ports[i] = ntohs(addr.sin_port);
	}
	for (i = 0; i < n; i++)
		close(fds[i]);
	return good;
}

static bool new_key(u8 private_key[32], char text[PBFT_KEY_TEXT_LEN + 1])
{
	u8 public_key[32];

	if (pbft_genkey(private_key) || pbft_pubkey(public_key, private_key))
		return false;
	pbft_key_to_text(text, public_key);
	return true;
}

bool test_cluster_make(struct test_cluster *tc, u32 n, const char *options)
{
	char key[PBFT_KEY_TEXT_LEN + 1], err[256];
	char *p = tc->text, *end = p + sizeof(tc->text);
	u16 ports[TEST_N_MAX];
	u32 i;

	memset(tc, 0, sizeof(*tc));
	tc->n = n;
	if (!free_ports(ports, n))
		return false;
	p += snprintf(p, end - p, "[Cluster]\nId = 0x5eed\n%s\n", options);
	for (i = 0; i < n; i++) {
		if (!new_key(tc->keys[i], key))
			return false;
		p += snprintf(p, end - p,
			      "[Replica]\nId = %u\nPublicKey = %s\nEndpoint = 127.0.0.1:%u\n",
			      i, key, ports[i]);
	}
	for (i = 0; i < TEST_CLIENTS; i++) {
		if (!new_key(tc->client_keys[i], key))
			return false;
		p += snprintf(p, end - p, "[Client]\nId = %u\nPublicKey = %s\n",
			      TEST_CLIENT + i, key);
	}
	if (pbft_cluster_parse(&tc->cluster, "test", tc->text, err, sizeof(err))) {
		printf("# %s\n", err);
		return false;
	}
	return true;
}
