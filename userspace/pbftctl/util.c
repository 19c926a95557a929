// SPDX-License-Identifier: GPL-2.0
/* pbftctl: words, arguments, and the files and sockets every command opens. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pbftctl.h"

static void say(const struct command *cmd, const char *fmt, va_list ap)
{
	fprintf(stderr, "pbftctl %s: ", cmd->name);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
}

int failed(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cmd, fmt, ap);
	va_end(ap);
	return EXIT_FAILED;
}

int misused(const struct command *cmd, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(cmd, fmt, ap);
	va_end(ap);
	fprintf(stderr, "usage: pbftctl %s %s\n", cmd->name, cmd->args);
	return EXIT_USAGE;
}

/* ---- arguments ----------------------------------------------------------- */

static void print_help(const struct command *cmd)
{
	printf("usage: pbftctl %s %s\n%s\n", cmd->name, cmd->args, cmd->summary);
	if (cmd->help)
		printf("\n%s", cmd->help);
	exit(EXIT_OK);
}

static int take_opt(const struct command *cmd, const struct opt *o,
		    const char *arg)
{
	if (o->flag) {
		*o->flag = true;
		return 0;
	}
	if (o->values) {
		if (o->values->count == VALUES_MAX)
			return misused(cmd, "--%s stands more than %d times",
				       o->name, VALUES_MAX);
		o->values->v[o->values->count++] = arg;
		return 0;
	}
	if (*o->value)
		return misused(cmd, "--%s stands twice", o->name);
	*o->value = arg;
	return 0;
}

int parse_args(const struct command *cmd, int argc, char **argv,
	       const struct opt *opts, int n_opts, const char **pos, int min,
	       int max)
{
	struct option longs[OPTS_MAX + 2] = { 0 };
	int i, c;

	for (i = 0; i < n_opts; i++) {
		longs[i].name = opts[i].name;
		longs[i].has_arg = opts[i].flag ? no_argument : required_argument;
		longs[i].val = 256 + i;
	}
	longs[n_opts].name = "help";
	longs[n_opts].val = 'h';
	opterr = 0;
	while ((c = getopt_long(argc, argv, ":h", longs, NULL)) != -1) {
		if (c == 'h')
			print_help(cmd);
		if (c == ':')
			return misused(cmd, "%s needs a value", argv[optind - 1]);
		if (c == '?')
			return misused(cmd, "unknown option %s",
				       argv[optind - 1]);
		if (take_opt(cmd, &opts[c - 256], optarg))
			return EXIT_USAGE;
	}
	if (argc - optind < min)
		return misused(cmd, "too few arguments");
	if (argc - optind > max)
		return misused(cmd, "too many arguments: %s",
			       argv[optind + max]);
	for (i = 0; i < argc - optind; i++)
		pos[i] = argv[optind + i];
	return 0;
}

/* ---- files and sockets ----------------------------------------------------- */

int open_netlink(const struct command *cmd, struct pbft_nl **nl)
{
	char err[256];

	if (pbft_nl_open(nl, err, sizeof(err)))
		return failed(cmd, "%s", err);
	return 0;
}

int load_cluster(const struct command *cmd, struct pbft_cluster *c,
		 const char *path)
{
	char err[512];

	if (pbft_cluster_load(c, path, err, sizeof(err)))
		return failed(cmd, "%s", err);
	return 0;
}

int load_key(const struct command *cmd, u8 private_key[32], u8 public_key[32],
	     const char *path)
{
	char err[512];
	int rc;

	if (pbft_key_load(path, false, private_key, err, sizeof(err)))
		return failed(cmd, "%s", err);
	rc = pbft_pubkey(public_key, private_key);
	if (rc)
		return failed(cmd, "%s: no public key of it: %s", path,
			      strerror(-rc));
	return 0;
}

int set_failed(const struct command *cmd, struct pbft_nl *nl, const char *name)
{
	return failed(cmd, "%s: %s", name, pbft_nl_error(nl));
}

int get_instance(const struct command *cmd, struct pbft_nl *nl,
		 const char *name, struct pbft_nl_instance **in)
{
	if (pbft_nl_get(nl, name, in))
		return set_failed(cmd, nl, name);
	if (!*in)
		return failed(cmd, "%s: the kernel told nothing of it", name);
	return 0;
}

int write_key_file(const struct command *cmd, const char *path,
		   const u8 key[32])
{
	char text[PBFT_KEY_TEXT_LEN + 2];
	size_t len;
	int fd, rc;

	pbft_key_to_text(text, key);
	strcat(text, "\n");
	len = strlen(text);
	/* O_EXCL: a key that is overwritten is lost for good */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		rc = failed(cmd, "%s: %s", path, strerror(errno));
	} else if (write(fd, text, len) != (ssize_t)len || close(fd)) {
		rc = failed(cmd, "%s: cannot be written: %s", path,
			    strerror(errno));
		unlink(path);
	} else {
		rc = 0;
	}
	explicit_bzero(text, sizeof(text));
	return rc;
}

int sync_keys(const struct command *cmd, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd))
		return failed(cmd, "%s: cannot be made durable: %s", path,
			      strerror(errno));
	close(fd);
	return 0;
}
