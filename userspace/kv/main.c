// SPDX-License-Identifier: GPL-2.0
/* pbft-kv: a client of the key-value service. Options and the table of commands. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include "tool.h"

struct command {
	const char *name;
	int min, max;		/* arguments */
	int (*run)(struct tool *t, int argc, char **argv);
	const char *args, *help;
};

static const struct command commands[] = {
	{ "put", 2, 2, cmd_put, "KEY VALUE", "store a value" },
	{ "get", 1, 1, cmd_get, "KEY", "print it; with -0 without a newline" },
	{ "del", 1, 1, cmd_del, "KEY", "delete it" },
	{ "cas", 3, 3, cmd_cas, "KEY OLD|- NEW",
	  "store NEW if the value is OLD (-: if there is none)" },
	{ "list", 0, 1, cmd_list, "[PREFIX]", "print the keys, in order" },
	{ "dump", 0, 1, cmd_dump, "[PREFIX]", "print records, as load reads them" },
	{ "load", 1, 1, cmd_load, "FILE|-",
	  "store every record: KEY tab VALUE newline; with -0 KEY NUL VALUE NUL" },
	{ "verify", 1, 1, cmd_verify, "FILE|-",
	  "read every record back and compare; with --acked only those keys" },
	{ "load-dpkg", 0, 1, cmd_load_dpkg, "[FILE]",
	  "store every package of a dpkg status file, as package:arch" },
	{ "verify-dpkg", 0, 1, cmd_verify_dpkg, "[FILE]", "read them back and compare" },
};

void complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("pbft-kv: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
}

static void help(FILE *out)
{
	u32 i;

	fputs("usage: pbft-kv -c FILE -i ID -k FILE [OPTION...] COMMAND ...\n"
	      "A first argument that begins with '-' needs a \"--\" before it.\n\n", out);
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(out, "  %-11s %-14s %s\n", commands[i].name,
			commands[i].args, commands[i].help);
	fputs("\n"
	      "  -c, --cluster FILE   the cluster file\n"
	      "  -i, --id ID          which of its clients we are\n"
	      "  -k, --key FILE       our private key\n"
	      "  -t, --timeout SEC    for one operation; default 60, 0: for ever\n"
	      "  -0, --null           records and keys end with NUL instead of newline\n"
	      "      --acked FILE     load: append every acknowledged key;\n"
	      "                       verify: check only the keys in it\n"
	      "  -q, --quiet          no progress\n"
	      "  -h, --help\n"
	      "\n"
	      "Exit status: 0 done; 1 the answer is no (not found, conflict, differs);\n"
	      "2 wrong arguments or files; 3 no usable answer from the cluster.\n",
	      out);
}

static bool parse_number(const char *text, double max, double *out)
{
	char *end;

	errno = 0;
	*out = strtod(text, &end);
	return end != text && !*end && !errno && *out >= 0 && *out <= max;
}

struct options {
	const char *cluster, *key;
	u32 id;
};

static const struct option long_options[] = {
	{ "cluster", required_argument, NULL, 'c' },
	{ "id", required_argument, NULL, 'i' },
	{ "key", required_argument, NULL, 'k' },
	{ "timeout", required_argument, NULL, 't' },
	{ "null", no_argument, NULL, '0' },
	{ "acked", required_argument, NULL, 'A' },
	{ "quiet", no_argument, NULL, 'q' },
	{ "help", no_argument, NULL, 'h' },
	{ 0 }
};

/* Return 0 to go on, else the exit status + 1. */
static int take_option(int opt, struct tool *t, struct options *o)
{
	double number;

	switch (opt) {
	case 'c':
		o->cluster = optarg;
		return 0;
	case 'k':
		o->key = optarg;
		return 0;
	case 'i':
		if (!parse_number(optarg, PBFT_CLIENT_ID_MAX, &number) ||
		    number < PBFT_CLIENT_ID_MIN || number != (u32)number) {
			complain("the client id \"%s\" is not a number from %u to %u",
				 optarg, PBFT_CLIENT_ID_MIN, PBFT_CLIENT_ID_MAX);
			return 1 + EXIT_USAGE;
		}
		o->id = number;
		return 0;
	case 't':
		if (!parse_number(optarg, 1e9, &number)) {
			complain("the timeout \"%s\" is not a number of seconds", optarg);
			return 1 + EXIT_USAGE;
		}
		t->timeout = number * 1e9;
		return 0;
	case '0':
		t->nul = true;
		return 0;
	case 'A':
		t->acked = optarg;
		return 0;
	case 'q':
		t->quiet = true;
		return 0;
	case 'h':
		help(stdout);
		return 1 + EXIT_DONE;
	default:
		complain("try pbft-kv --help");
		return 1 + EXIT_USAGE;
	}
}

static const struct command *find_command(const char *name, int args)
{
	u32 i;

	if (!name) {
		complain("no command: try pbft-kv --help");
		return NULL;
	}
	for (i = 0; i < ARRAY_SIZE(commands); i++) {
		const struct command *cmd = &commands[i];

		if (strcmp(cmd->name, name))
			continue;
		if (args >= cmd->min && args <= cmd->max)
			return cmd;
		complain("usage: pbft-kv ... %s %s", cmd->name, cmd->args);
		return NULL;
	}
	complain("there is no command \"%s\": try pbft-kv --help", name);
	return NULL;
}

static bool open_client(struct tool *t, const struct options *o,
			struct pbft_cluster *cluster)
{
	char err[512];
	u8 key[32];
	int ret;

	if (!o->cluster || !o->key || !o->id) {
		complain("-c, -i and -k are needed: the cluster file, a client id and its private key");
		return false;
	}
	if (pbft_cluster_load(cluster, o->cluster, err, sizeof(err))) {
		complain("%s", err);
		return false;
	}
	if (pbft_key_load(o->key, false, key, err, sizeof(err))) {
		complain("%s", err);
		pbft_cluster_free(cluster);
		return false;
	}
	ret = pbft_client_open(&t->client, cluster, o->id, key);
	explicit_bzero(key, sizeof(key));
	if (!ret)
		return true;
	complain("client %u of %s: %s", o->id, o->cluster, pbft_client_strerror(ret));
	pbft_cluster_free(cluster);
	return false;
}

/* Options before the command, and between it and its arguments. */
static int take_options(int argc, char **argv, struct tool *t, struct options *o)
{
	int opt, ret;

	/* "+": an argument further on may look like an option */
	while ((opt = getopt_long(argc, argv, "+c:i:k:t:0qh", long_options, NULL)) != -1) {
		ret = take_option(opt, t, o);
		if (ret)
			return ret;
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct tool tool = { .timeout = 60 * 1000000000ull };
	struct options options = { 0 };
	const struct command *cmd;
	struct pbft_cluster cluster;
	const char *name;
	int ret;

	ret = take_options(argc, argv, &tool, &options);
	if (ret)
		return ret - 1;
	name = argv[optind];
	if (name) {
		argc -= optind;
		argv += optind;
		optind = 0;	/* start over, behind the command */
		ret = take_options(argc, argv, &tool, &options);
		if (ret)
			return ret - 1;
	}
	argc -= optind;
	argv += optind;
	cmd = find_command(name, argc);
	if (!cmd || !open_client(&tool, &options, &cluster))
		return EXIT_USAGE;
	signal(SIGPIPE, SIG_IGN);
	ret = cmd->run(&tool, argc, argv);
	pbft_client_close(tool.client);
	pbft_cluster_free(&cluster);
	if (fflush(stdout) || ferror(stdout)) {
		complain("cannot write the output: %s", strerror(errno));
		ret = ret ?: EXIT_CLUSTER;
	}
	return ret;
}
