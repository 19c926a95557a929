// SPDX-License-Identifier: GPL-2.0
/* pbftctl: controls the replicas in this network namespace's kernel. */
#include <stdio.h>
#include <string.h>

#include "pbftctl.h"

static const struct command *const commands[] = {
	&cmd_genkey,
	&cmd_pubkey,
	&cmd_genconf,
	&cmd_check,
	&cmd_setconf,
	&cmd_syncconf,
	&cmd_showconf,
	&cmd_show,
	&cmd_up,
	&cmd_down,
	&cmd_del,
	&cmd_rotate_key,
	&cmd_recover,
	&cmd_wait,
	&cmd_monitor,
	&cmd_journal,
};

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

static void usage(FILE *f)
{
	fprintf(f, "usage: pbftctl COMMAND [ARGUMENTS]\n\n");
	for (size_t i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(f, "  %-11s %s\n", commands[i]->name,
			commands[i]->summary);
	fprintf(f, "\n`pbftctl COMMAND --help` says more.\n"
		   "Exit status: 0 done, 1 failed, 2 usage, 3 timeout.\n");
}

int main(int argc, char **argv)
{
	const struct command *cmd;

	if (argc < 2) {
		usage(stderr);
		return EXIT_USAGE;
	}
	if (!strcmp(argv[1], "help") || !strcmp(argv[1], "--help") ||
	    !strcmp(argv[1], "-h")) {
		char *help[] = { argc > 2 ? argv[2] : NULL, (char *)"--help", NULL };

		cmd = argc > 2 ? find(argv[2]) : NULL;
		if (cmd)
			return cmd->run(cmd, 2, help);
		usage(argc > 2 ? stderr : stdout);
		return argc > 2 ? EXIT_USAGE : EXIT_OK;
	}
	cmd = find(argv[1]);
	if (!cmd) {
		fprintf(stderr, "pbftctl: unknown command %s\n", argv[1]);
		usage(stderr);
		return EXIT_USAGE;
	}
	return cmd->run(cmd, argc - 1, argv + 1);
}
