// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl syncconf: bring a running instance to what a cluster file says,
 * without its private key: clients and endpoints may change while it runs.
 */
#include <stdio.h>
#include <string.h>

#include "pbftctl.h"

static bool same_node(const struct pbft_node *a, const struct pbft_node *b)
{
	if (memcmp(a->public_key, b->public_key, sizeof(a->public_key)))
		return false;
	/* a client's is not configured: it is where it was last heard from */
	return a->id >= PBFT_CLIENT_ID_MIN ||
	       (a->endpoint_len == b->endpoint_len &&
		!memcmp(&a->endpoint, &b->endpoint, a->endpoint_len));
}

/* Both lists ascend by id. */
static u32 diff_nodes(const char *what, const struct pbft_node *old, u32 n_old,
		      const struct pbft_node *new, u32 n_new)
{
	u32 i = 0, j = 0, changes = 0;

	while (i < n_old || j < n_new) {
		if (j == n_new || (i < n_old && old[i].id < new[j].id)) {
			printf("- %s %u\n", what, old[i++].id);
			changes++;
		} else if (i == n_old || new[j].id < old[i].id) {
			printf("+ %s %u\n", what, new[j++].id);
			changes++;
		} else {
			if (!same_node(&old[i], &new[j])) {
				printf("~ %s %u\n", what, new[j].id);
				changes++;
			}
			i++;
			j++;
		}
	}
	return changes;
}

static u32 diff(const struct pbft_cluster *old, const struct pbft_cluster *new)
{
	/* all but the lists of nodes, compared as they would be printed */
	struct pbft_cluster a = *old, b = *new;
	char *x = NULL, *y = NULL;
	size_t xl = 0, yl = 0;
	u32 changes = 0;
	FILE *f;

	a.n_replicas = 0;
	b.n_replicas = 0;
	a.n_clients = 0;
	b.n_clients = 0;
	f = open_memstream(&x, &xl);
	if (f) {
		pbft_cluster_print(f, &a);
		fclose(f);
	}
	f = open_memstream(&y, &yl);
	if (f) {
		pbft_cluster_print(f, &b);
		fclose(f);
	}
	if (!x || !y || strcmp(x, y)) {
		printf("~ cluster\n");
		changes++;
	}
	free(x);
	free(y);
	return changes + diff_nodes("replica", old->replicas, old->n_replicas,
				    new->replicas, new->n_replicas) +
	       diff_nodes("client", old->clients, old->n_clients, new->clients,
			  new->n_clients);
}

static int sync_to(const struct command *cmd, const char *name,
		   const struct pbft_cluster *c, bool dry_run)
{
	struct pbft_nl_instance *in;
	struct pbft_nl_setup setup;
	struct pbft_nl *nl;
	int rc;

	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	rc = get_instance(cmd, nl, name, &in);
	if (rc) {
		pbft_nl_close(nl);
		return rc;
	}
	setup = (struct pbft_nl_setup){
		.cluster = c,
		.self = in->st.self,
		.service = in->service,
		.null_reply = in->null_reply,
	};
	if (diff(&in->cluster, c) && !dry_run && pbft_nl_set(nl, name, &setup))
		rc = set_failed(cmd, nl, name);
	pbft_nl_instance_free(in);
	pbft_nl_close(nl);
	return rc;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	bool dry_run = false;
	const struct opt opts[] = { { .name = "dry-run", .flag = &dry_run } };
	const char *pos[2] = { 0 };
	struct pbft_cluster c;
	int rc;

	if (parse_args(cmd, argc, argv, opts, 1, pos, 2, 2))
		return EXIT_USAGE;
	if (load_cluster(cmd, &c, pos[1]))
		return EXIT_FAILED;
	rc = sync_to(cmd, pos[0], &c, dry_run);
	pbft_cluster_free(&c);
	return rc;
}

const struct command cmd_syncconf = {
	.name = "syncconf",
	.args = "NAME CLUSTERFILE [--dry-run]",
	.summary = "Apply changed clients and endpoints to a running instance.",
	.help =
	"  --dry-run  only print what would change\n"
	"Prints a line for each change: + added, - removed, ~ changed. The kernel\n"
	"refuses, wholly, a change that a running instance cannot take.\n",
	.run = run,
};
