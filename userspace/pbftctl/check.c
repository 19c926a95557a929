// SPDX-License-Identifier: GPL-2.0
/* pbftctl check: is this a cluster file? Needs no kernel module. */
#include <inttypes.h>
#include <stdio.h>

#include "pbftctl.h"

static int run(const struct command *cmd, int argc, char **argv)
{
	const char *path = NULL;
	struct pbft_cluster c;

	if (parse_args(cmd, argc, argv, NULL, 0, &path, 1, 1))
		return EXIT_USAGE;
	if (load_cluster(cmd, &c, path))
		return EXIT_FAILED;
	printf("%s: cluster 0x%016" PRIx64 ", epoch %u: %u replicas, %u may be faulty, quorum %u, %u clients\n",
	       path, c.cfg.cluster, c.cfg.epoch, c.cfg.n, c.cfg.f,
	       pbft_quorum(c.cfg.n, c.cfg.f), c.n_clients);
	pbft_cluster_free(&c);
	return EXIT_OK;
}

const struct command cmd_check = {
	.name = "check",
	.args = "CLUSTERFILE",
	.summary = "Check a cluster file; needs no kernel module.",
	.help = "Names file and line of the first mistake.\n",
	.run = run,
};
