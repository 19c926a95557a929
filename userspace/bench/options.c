// SPDX-License-Identifier: GPL-2.0
/* pbft-bench: the command line. */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include "bench.h"

static const char help[] =
"usage: pbft-bench -c FILE --keys DIR --clients FIRST[-LAST] [OPTION...]\n"
"\n"
"  -c, --cluster FILE      the cluster file\n"
"      --keys DIR          private keys: DIR/client-ID.key\n"
"      --clients A[-B]     client ids, each in the cluster file\n"
"  -w, --workload W        A/B: requests of A and replies of B bytes (default 0/0);\n"
"                          put, get, mix: the key-value service\n"
"  -d, --depth N           operations outstanding for each client, 1 to 64; default 1\n"
"  -r, --rate N            open loop: N operations a second in all, evenly spaced;\n"
"                          latency counts from when each was due\n"
"  -s, --seconds S         measure for so long; default 10\n"
"  -n, --ops N             measure so many operations instead\n"
"      --warmup S          before measuring; default 1\n"
"      --key-space N       keys of put, get and mix; default 1000\n"
"      --value-size N      bytes; default 100\n"
"      --read-percent N    of mix; default 50\n"
"  -t, --timeout S         for one operation; default 60\n"
"      --one-socket        one for all clients, not one for each\n"
"      --no-offload        with --one-socket: the kernel neither cuts nor joins\n"
"                          packets of several datagrams\n"
"  -I, --interval S        print the throughput this often\n"
"  -j, --json FILE         results as JSON; - is standard output\n"
"  -H, --history FILE      put, get, mix: every operation as a line\n"
"                          CLIENT INVOKED RETURNED OP KEY ARGUMENT RESULT\n"
"                          (ns; RETURNED - and RESULT unknown: no answer in time)\n"
"  -h, --help\n"
"\n"
"Exit status: 0 done; 1 some operations failed; 2 wrong arguments or files;\n"
"3 nothing could be measured.\n";

enum {
	OPT_KEYS = 256,
	OPT_CLIENTS,
	OPT_WARMUP,
	OPT_KEY_SPACE,
	OPT_VALUE_SIZE,
	OPT_READ_PERCENT,
	OPT_ONE_SOCKET,
	OPT_NO_OFFLOAD,
};

static const struct option options[] = {
	{ "cluster", required_argument, NULL, 'c' },
	{ "keys", required_argument, NULL, OPT_KEYS },
	{ "clients", required_argument, NULL, OPT_CLIENTS },
	{ "workload", required_argument, NULL, 'w' },
	{ "depth", required_argument, NULL, 'd' },
	{ "rate", required_argument, NULL, 'r' },
	{ "seconds", required_argument, NULL, 's' },
	{ "ops", required_argument, NULL, 'n' },
	{ "warmup", required_argument, NULL, OPT_WARMUP },
	{ "key-space", required_argument, NULL, OPT_KEY_SPACE },
	{ "value-size", required_argument, NULL, OPT_VALUE_SIZE },
	{ "read-percent", required_argument, NULL, OPT_READ_PERCENT },
	{ "timeout", required_argument, NULL, 't' },
	{ "one-socket", no_argument, NULL, OPT_ONE_SOCKET },
	{ "no-offload", no_argument, NULL, OPT_NO_OFFLOAD },
	{ "interval", required_argument, NULL, 'I' },
	{ "json", required_argument, NULL, 'j' },
	{ "history", required_argument, NULL, 'H' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

static bool number(const char *what, const char *text, u64 min, u64 max, u64 *out)
{
	char *end;

	errno = 0;
	*out = strtoull(text, &end, 10);
	if (*text >= '0' && *text <= '9' && !*end && !errno && *out >= min &&
	    *out <= max)
		return true;
	complain("the %s \"%s\" is not a whole number from %llu to %llu", what,
		 text, (unsigned long long)min, (unsigned long long)max);
	return false;
}

static bool number32(const char *what, const char *text, u32 min, u32 max, u32 *out)
{
	u64 v;

	if (!number(what, text, min, max, &v))
		return false;
	*out = v;
	return true;
}

static bool real(const char *what, const char *text, double max, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(text, &end);
	if (end != text && !*end && !errno && *out >= 0 && *out <= max)
		return true;
	complain("the %s \"%s\" is not a number from 0 to %.0f", what, text, max);
	return false;
}

static bool seconds(const char *what, const char *text, u64 *ns)
{
	double s;

	if (!real(what, text, 1e6, &s))
		return false;
	*ns = s * 1e9;
	return true;
}

static bool clients(const char *text, struct config *cfg)
{
	char *copy = strdup(text), *dash = copy ? strchr(copy, '-') : NULL;
	bool good;

	if (!copy)
		return false;
	if (dash)
		*dash++ = '\0';
	good = number32("first client", copy, PBFT_CLIENT_ID_MIN,
			PBFT_CLIENT_ID_MAX, &cfg->first);
	cfg->last = cfg->first;
	if (good && dash)
		good = number32("last client", dash, cfg->first,
				PBFT_CLIENT_ID_MAX, &cfg->last);
	free(copy);
	if (good && cfg->last - cfg->first >= PBFT_CLUSTER_CLIENTS_MAX) {
		complain("--clients %s: a cluster has at most %d clients", text,
			 PBFT_CLUSTER_CLIENTS_MAX);
		return false;
	}
	return good;
}

static bool workload(const char *text, struct config *cfg)
{
	char *copy, *slash;
	bool good;

	cfg->workload_name = text;
	if (!strcmp(text, "put"))
		cfg->workload = LOAD_PUT;
	else if (!strcmp(text, "get"))
		cfg->workload = LOAD_GET;
	else if (!strcmp(text, "mix"))
		cfg->workload = LOAD_MIX;
	else
		cfg->workload = LOAD_ECHO;
	if (cfg->workload != LOAD_ECHO)
		return true;
	if (!strchr(text, '/')) {
		complain("there is no workload \"%s\": REQUEST/REPLY bytes, put, get or mix", text);
		return false;
	}
	copy = strdup(text);
	if (!copy)
		return false;
	slash = strchr(copy, '/');
	*slash++ = '\0';
	good = number32("request size", copy, 0, PBFT_KV_ECHO_MAX, &cfg->request_len) &&
	       number32("reply size", slash, 0, PBFT_KV_ECHO_MAX, &cfg->reply_len);
	free(copy);
	return good;
}

static bool take(int opt, const char *arg, struct config *cfg)
{
	switch (opt) {
	case 'c':
		cfg->cluster = arg;
		return true;
	case OPT_KEYS:
		cfg->keys = arg;
		return true;
	case 'j':
		cfg->json = arg;
		return true;
	case 'H':
		cfg->history = arg;
		return true;
	case OPT_CLIENTS:
		return clients(arg, cfg);
	case 'w':
		return workload(arg, cfg);
	case 'd':
		return number32("depth", arg, 1, PBFT_CLIENT_WINDOW, &cfg->depth);
	case 'r':
		return real("rate", arg, 1e9, &cfg->rate);
	case 's':
		return seconds("time", arg, &cfg->seconds);
	case 'n':
		return number("number of operations", arg, 1, 1ull << 40, &cfg->ops);
	case OPT_WARMUP:
		return seconds("warm-up", arg, &cfg->warmup);
	case 't':
		return seconds("timeout", arg, &cfg->timeout);
	case 'I':
		return seconds("interval", arg, &cfg->interval);
	case OPT_ONE_SOCKET:
		return cfg->one_socket = true;
	case OPT_NO_OFFLOAD:
		return cfg->no_offload = true;
	case OPT_KEY_SPACE:
		return number32("number of keys", arg, 1, 1u << 30, &cfg->key_space);
	case OPT_VALUE_SIZE:
		return number32("value size", arg, 0, PBFT_KV_VALUE_MAX, &cfg->value_len);
	case OPT_READ_PERCENT:
		return number32("percentage", arg, 0, 100, &cfg->read_percent);
	default:
		complain("try pbft-bench --help");
		return false;
	}
}

static bool complete(const struct config *cfg)
{
	if (!cfg->cluster || !cfg->keys || !cfg->first)
		complain("-c, --keys and --clients are needed: the cluster file, the keys' directory and client ids");
	else if (cfg->history && cfg->workload == LOAD_ECHO)
		complain("--history needs the workload put, get or mix");
	else if (!cfg->ops && !cfg->seconds)
		complain("nothing to measure: --seconds is 0 and there is no --ops");
	else if (cfg->interval && cfg->interval < 1000000)
		complain("--interval must be at least a millisecond");
	else if (cfg->no_offload && !cfg->one_socket)
		complain("--no-offload needs --one-socket: clients with a socket of their own have none");
	else
		return true;
	return false;
}

int parse_options(int argc, char **argv, struct config *cfg)
{
	int opt;

	*cfg = (struct config){
		.depth = 1,
		.workload_name = "0/0",
		.seconds = 10 * NSEC_PER_SEC,
		.warmup = NSEC_PER_SEC,
		.timeout = 60 * NSEC_PER_SEC,
		.key_space = 1000,
		.value_len = 100,
		.read_percent = 50,
	};
	while ((opt = getopt_long(argc, argv, "c:w:d:r:s:n:t:I:j:H:h", options,
				  NULL)) != -1) {
		if (opt == 'h') {
			fputs(help, stdout);
			return 1;
		}
		if (!take(opt, optarg, cfg))
			return 1 + 2;
	}
	if (optind < argc) {
		complain("\"%s\" is not an option: try pbft-bench --help", argv[optind]);
		return 1 + 2;
	}
	return complete(cfg) ? 0 : 1 + 2;
}
