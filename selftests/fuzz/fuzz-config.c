// SPDX-License-Identifier: GPL-2.0
/*
 * The cluster file, and the values in it. What is refused is refused with a
 * sentence that names the file; what is taken can be printed and read back to
 * the same, and is a configuration that the core accepts.
 */
#include <linux/pbft.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include "fuzz.h"
#include "libpbft/cluster.h"

#define NAME	"fuzzed.conf"

static char *print(const struct pbft_cluster *c)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	fuzz_check(f, "no memory for a stream");
	pbft_cluster_print(f, c);
	fuzz_check(!fclose(f), "printing failed");
	return text;
}

static void check_cluster(const struct pbft_cluster *c)
{
	struct pbft_config cfg = c->cfg;
	const char *wrong;
	u32 i;

	fuzz_check(c->n_replicas == cfg.n, "%u replicas, n = %u", c->n_replicas, cfg.n);
	for (i = 0; i < c->n_replicas; i++) {
		fuzz_check(c->replicas[i].id == i, "replica %u has id %u", i,
			   c->replicas[i].id);
		fuzz_check(c->replicas[i].endpoint_len, "replica %u has no endpoint", i);
		fuzz_check(pbft_cluster_by_key(c, c->replicas[i].public_key) ==
			   &c->replicas[i], "replica %u is not found by its key", i);
	}
	for (i = 0; i < c->n_clients; i++) {
		u32 id = c->clients[i].id;

		fuzz_check(id >= PBFT_CLIENT_ID_MIN && id <= PBFT_CLIENT_ID_MAX,
			   "a client with id %u", id);
		fuzz_check(!i || id > c->clients[i - 1].id, "client %u is out of order", id);
		fuzz_check(pbft_cluster_client(c, id) == &c->clients[i],
			   "client %u is not found", id);
	}
	cfg.self = 0;
	wrong = pbft_config_check(&cfg);
	fuzz_check(!wrong, "accepted, but %s", wrong);
	fuzz_check(c->mtu >= 1024 && c->mtu <= 65000, "an mtu of %u", c->mtu);
	fuzz_check(!c->recovery || (c->recovery >= PBFT_RECOVERY_MIN &&
				    c->recovery <= PBFT_RECOVERY_MAX),
		   "a recovery interval of %llu", (unsigned long long)c->recovery);
}

static void check_file(const char *text)
{
	static struct pbft_cluster c, again;
	char err[256] = "", *first, *second;
	int ret = pbft_cluster_parse(&c, NAME, text, err, sizeof(err));

	if (ret) {
		fuzz_check(ret < 0, "an error of %d", ret);
		fuzz_check(!strncmp(err, NAME, strlen(NAME)), "error '%s' names no file", err);
		return;
	}
	check_cluster(&c);
	first = print(&c);
	ret = pbft_cluster_parse(&again, NAME, first, err, sizeof(err));
	fuzz_check(!ret, "what was printed is refused: %s\n%s", err, first);
	second = print(&again);
	fuzz_check(!strcmp(first, second), "printed:\n%s\nread back:\n%s", first, second);
	free(first);
	free(second);
	pbft_cluster_free(&c);
	pbft_cluster_free(&again);
}

static void check_values(const char *text)
{
	char addr_text[PBFT_ENDPOINT_TEXT_LEN], time_text[PBFT_TIME_TEXT_LEN];
	struct sockaddr_storage addr, addr2;
	socklen_t len, len2;
	u64 v, w;

	if (pbft_time_from_text(&v, text)) {
		pbft_time_to_text(time_text, v);
		fuzz_check(pbft_time_from_text(&w, time_text) && v == w,
			   "'%s' prints as '%s'", text, time_text);
	}
	if (pbft_number_from_text(&v, text, 1000))
		fuzz_check(v <= 1000, "'%s' is %llu", text, (unsigned long long)v);
	if (pbft_number_from_text(&v, text, U64_MAX) && *text != '0') {
		snprintf(time_text, sizeof(time_text), "%llu", (unsigned long long)v);
		fuzz_check(!strcmp(time_text, text), "'%s' is read as '%s'", text, time_text);
	}
	if (!pbft_endpoint_from_text(&addr, &len, text)) {
		fuzz_check(addr.ss_family == AF_INET ? len == sizeof(struct sockaddr_in) :
			   addr.ss_family == AF_INET6 && len == sizeof(struct sockaddr_in6),
			   "'%s': family %u, %u bytes", text, addr.ss_family, len);
		pbft_endpoint_to_text(addr_text, &addr);
		fuzz_check(!pbft_endpoint_from_text(&addr2, &len2, addr_text) &&
			   len == len2 && !memcmp(&addr, &addr2, len),
			   "'%s' prints as '%s'", text, addr_text);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	check_file(text);
	if (size < 100)
		check_values(text);
	free(text);
	return 0;
}
