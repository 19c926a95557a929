// SPDX-License-Identifier: GPL-2.0
/* pbftctl showconf: the cluster file of a running instance. */
#include <stdio.h>

#include "pbftctl.h"

static int run(const struct command *cmd, int argc, char **argv)
{
	struct pbft_nl_instance *in;
	const char *name = NULL;
	struct pbft_nl *nl;
	int rc;

	if (parse_args(cmd, argc, argv, NULL, 0, &name, 1, 1))
		return EXIT_USAGE;
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	rc = get_instance(cmd, nl, name, &in);
	if (!rc) {
		pbft_cluster_print(stdout, &in->cluster);
		pbft_nl_instance_free(in);
	}
	pbft_nl_close(nl);
	return rc;
}

const struct command cmd_showconf = {
	.name = "showconf",
	.args = "NAME",
	.summary = "Print the cluster file of an instance, as setconf would take it.",
	.help = "Private keys never come out of the kernel.\n",
	.run = run,
};
