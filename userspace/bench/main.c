// SPDX-License-Identifier: GPL-2.0
/* pbft-bench: load on a cluster, and how it bears it. Setting up and tearing down. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/resource.h>

#include "bench.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_ERRORS = 1,	/* some operations failed */
	EXIT_USAGE = 2,
	EXIT_NOTHING = 3,	/* nothing could be measured */
};

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pbft-bench: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

/* A socket for every client. */
static void raise_file_limit(u32 clients)
{
	struct rlimit rl;

	if (getrlimit(RLIMIT_NOFILE, &rl) || rl.rlim_cur >= clients + 64)
		return;
	rl.rlim_cur = clients + 64 < rl.rlim_max ? clients + 64 : rl.rlim_max;
	setrlimit(RLIMIT_NOFILE, &rl);
}

static bool open_client(struct bench *b, struct bench_client *c, u32 id)
{
	char path[4096], err[512];
	u8 key[32];
	int ret;

	c->bench = b;
	c->id = id;
	c->ops = calloc(b->cfg.depth, sizeof(*c->ops));
	if (!c->ops || getrandom(&c->rng, sizeof(c->rng), 0) != sizeof(c->rng)) {
		complain("client %u: out of memory or random numbers", id);
		return false;
	}
	if (snprintf(path, sizeof(path), "%s/client-%u.key", b->cfg.keys, id) >=
	    (int)sizeof(path)) {
		complain("--keys %s: the path is too long", b->cfg.keys);
		return false;
	}
	if (pbft_key_load(path, false, key, err, sizeof(err))) {
		complain("%s", err);
		return false;
	}
	ret = b->transport ?
		pbft_client_open_on(&c->client, b->transport, id, key) :
		pbft_client_open(&c->client, &b->cluster, id, key);
	explicit_bzero(key, sizeof(key));
	if (ret)
		complain("client %u of %s: %s", id, b->cfg.cluster,
			 pbft_client_strerror(ret));
	return !ret;
}

static bool open_transport(struct bench *b)
{
	u32 flags = b->cfg.no_offload ? PBFT_TRANSPORT_PLAIN : 0;
	int ret;

	if (!b->cfg.one_socket)
		return true;
	ret = pbft_transport_open(&b->transport, &b->cluster, flags);
	if (ret)
		complain("a socket for the clients of %s: %s", b->cfg.cluster,
			 pbft_client_strerror(ret));
	return !ret;
}

static bool open_clients(struct bench *b)
{
	u32 i;

	b->count = b->cfg.last - b->cfg.first + 1;
	b->clients = calloc(b->count, sizeof(*b->clients));
	if (!b->clients) {
		complain("out of memory for %u clients", b->count);
		return false;
	}
	if (!open_transport(b))
		return false;
	if (!b->transport)
		raise_file_limit(b->count);
	for (i = 0; i < b->count; i++)
		if (!open_client(b, &b->clients[i], b->cfg.first + i))
			return false;
	return true;
}

static void close_clients(struct bench *b)
{
	u32 i;

	for (i = 0; b->clients && i < b->count; i++) {
		pbft_client_close(b->clients[i].client);
		free(b->clients[i].ops);
	}
	b->count = 0;
	free(b->clients);
	pbft_transport_close(b->transport);
}

static int report(struct bench *b)
{
	/* a table on standard output would spoil the JSON there */
	bool json_out = b->cfg.json && !strcmp(b->cfg.json, "-");

	report_table(b, json_out ? stderr : stdout);
	if (b->cfg.json && !report_json(b, b->cfg.json))
		return EXIT_USAGE;
	if (!b->completed)
		return EXIT_NOTHING;
	return b->errors || b->errors_warmup ? EXIT_ERRORS : EXIT_DONE;
}

static int run(struct bench *b)
{
	int ret = EXIT_USAGE;

	if (open_clients(b) && history_open(b))
		ret = bench_run(b) ? report(b) : EXIT_NOTHING;
	/* what is canceled by closing belongs to the history, too */
	close_clients(b);
	if (!history_close(b))
		ret = EXIT_USAGE;
	free(b->timeline);
	return ret;
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct timespec ts;
	char err[512];
	int ret;

	ret = parse_options(argc, argv, &b.cfg);
	if (ret)
		return ret - 1;
	if (pbft_cluster_load(&b.cluster, b.cfg.cluster, err, sizeof(err))) {
		complain("%s", err);
		return EXIT_USAGE;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	b.run = (u64)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
	ret = run(&b);
	pbft_cluster_free(&b.cluster);
	return ret;
}
