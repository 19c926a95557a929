// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl genconf: keys and a cluster file for a new cluster, made on one
 * machine. Whoever does not trust one machine with all private keys makes them
 * with genkey, each on its own, and writes the file by hand.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pbftctl.h"

struct node_key {
	bool replica;
	u32 id;
	char endpoint[PBFT_ENDPOINT_TEXT_LEN + 16];
	u8 private_key[32];
	bool written;
};

struct genconf {
	const struct command *cmd;
	const char *replicas, *clients, *dir, *id;
	struct values set;	/* Key=Value of [Cluster] */
	struct node_key *nodes;
	u32 n_nodes;
	char *text;		/* of the cluster file */
	size_t len;
};

static struct node_key *add_node(struct genconf *g, bool replica, u32 id)
{
	struct node_key *n;

	n = reallocarray(g->nodes, g->n_nodes + 1, sizeof(*n));
	if (!n) {
		failed(g->cmd, "out of memory");
		exit(EXIT_FAILED);
	}
	g->nodes = n;
	n = &g->nodes[g->n_nodes++];
	memset(n, 0, sizeof(*n));
	n->replica = replica;
	n->id = id;
	return n;
}

/* ID=ADDRESS:PORT,... ; what the parser of the file checks is left to it. */
static int parse_replicas(struct genconf *g)
{
	const char *p = g->replicas;

	while (*p) {
		size_t len = strcspn(p, ",");
		const char *eq = memchr(p, '=', len);
		struct node_key *n;
		char id[16] = "";
		u64 v;

		if (eq && eq - p < (long)sizeof(id))
			memcpy(id, p, eq - p);
		if (!eq || !pbft_number_from_text(&v, id, PBFT_N_MAX - 1))
			return misused(g->cmd, "--replica %.*s: not ID=ADDRESS:PORT",
				       (int)len, p);
		n = add_node(g, true, v);
		if (len - (eq + 1 - p) >= sizeof(n->endpoint))
			return misused(g->cmd, "--replica %.*s: the endpoint is too long",
				       (int)len, p);
		memcpy(n->endpoint, eq + 1, len - (eq + 1 - p));
		p += len;
		if (*p == ',')
			p++;
	}
	return 0;
}

/* FIRST-LAST or one id */
static int parse_clients(struct genconf *g)
{
	const char *dash = strchr(g->clients, '-');
	u64 first, last;
	char text[16];

	snprintf(text, sizeof(text), "%.*s",
		 (int)(dash ? dash - g->clients : 15), g->clients);
	if (!pbft_number_from_text(&first, text, PBFT_CLIENT_ID_MAX) ||
	    !pbft_number_from_text(&last, dash ? dash + 1 : text,
				   PBFT_CLIENT_ID_MAX) || last < first)
		return misused(g->cmd, "--clients %s: not FIRST-LAST", g->clients);
	if (last - first >= PBFT_CLUSTER_CLIENTS_MAX)
		return misused(g->cmd, "--clients %s: more than %u", g->clients,
			       PBFT_CLUSTER_CLIENTS_MAX);
	for (u64 id = first; id <= last; id++)
		add_node(g, false, id);
	return 0;
}

static int make_keys(struct genconf *g)
{
	for (u32 i = 0; i < g->n_nodes; i++) {
		int rc = pbft_genkey(g->nodes[i].private_key);

		if (rc)
			return failed(g->cmd, "no random numbers: %s",
				      strerror(-rc));
	}
	return 0;
}

static int print_nodes(struct genconf *g, FILE *f)
{
	char text[PBFT_KEY_TEXT_LEN + 1];
	u8 public_key[32];

	for (u32 i = 0; i < g->n_nodes; i++) {
		const struct node_key *n = &g->nodes[i];
		int rc = pbft_pubkey(public_key, n->private_key);

		if (rc)
			return failed(g->cmd, "no public key: %s", strerror(-rc));
		pbft_key_to_text(text, public_key);
		fprintf(f, "\n[%s]\nId = %u\nPublicKey = %s\n",
			n->replica ? "Replica" : "Client", n->id, text);
		if (n->replica)
			fprintf(f, "Endpoint = %s\n", n->endpoint);
	}
	return 0;
}

/* The file as text; whether it is right, its own parser says. */
static int make_text(struct genconf *g)
{
	struct pbft_cluster c;
	char err[512];
	u64 id = 0;
	int rc = 0;
	FILE *f;

	f = open_memstream(&g->text, &g->len);
	if (!f)
		return failed(g->cmd, "out of memory");
	fprintf(f, "[Cluster]\n");
	if (g->id) {
		fprintf(f, "Id = %s\n", g->id);
	} else {
		while (!rc && !id)
			if (getrandom(&id, sizeof(id), 0) != sizeof(id))
				rc = failed(g->cmd, "no random numbers: %s",
					    strerror(errno));
		fprintf(f, "Id = 0x%016" PRIx64 "\n", id);
	}
	for (int i = 0; i < g->set.count; i++)
		fprintf(f, "%s\n", g->set.v[i]);
	if (!rc)
		rc = print_nodes(g, f);
	if (fclose(f) && !rc)
		rc = failed(g->cmd, "out of memory");
	if (rc)
		return rc;
	if (pbft_cluster_parse(&c, "the new cluster file", g->text, err,
			       sizeof(err)))
		return failed(g->cmd, "%s", err);
	pbft_cluster_free(&c);
	return 0;
}

static void key_path(const struct genconf *g, const struct node_key *n,
		     char *path, size_t len)
{
	snprintf(path, len, "%s/%s-%u.key", g->dir,
		 n->replica ? "replica" : "client", n->id);
}

/* All or none: those written before a failure are removed again. */
static int write_keys(struct genconf *g)
{
	char path[4096];
	int rc = 0;

	if (mkdir(g->dir, 0700) && errno != EEXIST)
		return failed(g->cmd, "%s: %s", g->dir, strerror(errno));
	for (u32 i = 0; i < g->n_nodes && !rc; i++) {
		key_path(g, &g->nodes[i], path, sizeof(path));
		rc = write_key_file(g->cmd, path, g->nodes[i].private_key);
		g->nodes[i].written = !rc;
	}
	if (!rc)
		rc = sync_keys(g->cmd, g->dir);
	for (u32 i = 0; i < g->n_nodes && rc; i++) {
		key_path(g, &g->nodes[i], path, sizeof(path));
		if (g->nodes[i].written)
			unlink(path);
	}
	return rc;
}

static int generate(struct genconf *g)
{
	if (parse_replicas(g) || (g->clients && parse_clients(g)))
		return EXIT_USAGE;
	if (make_keys(g) || make_text(g) || write_keys(g))
		return EXIT_FAILED;
	if (fwrite(g->text, 1, g->len, stdout) != g->len || fflush(stdout))
		return failed(g->cmd, "standard output: %s", strerror(errno));
	return EXIT_OK;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct genconf g = { .cmd = cmd };
	const struct opt opts[] = {
		{ .name = "replica", .value = &g.replicas },
		{ .name = "clients", .value = &g.clients },
		{ .name = "keys", .value = &g.dir },
		{ .name = "id", .value = &g.id },
		{ .name = "set", .values = &g.set },
	};
	int rc;

	if (parse_args(cmd, argc, argv, opts, ARRAY_SIZE(opts), NULL, 0, 0))
		return EXIT_USAGE;
	if (!g.replicas || !g.dir)
		return misused(cmd, "--replica and --keys are needed");
	rc = generate(&g);
	if (g.nodes)
		explicit_bzero(g.nodes, g.n_nodes * sizeof(*g.nodes));
	free(g.nodes);
	free(g.text);
	return rc;
}

const struct command cmd_genconf = {
	.name = "genconf",
	.args = "--replica ID=ADDRESS:PORT,... [--clients FIRST-LAST] --keys DIR [--id ID] [--set Key=Value]...",
	.summary = "Make keys and a cluster file for a new cluster.",
	.help =
	"  --replica ID=ADDRESS:PORT,...  every replica and where it listens\n"
	"  --clients FIRST-LAST           ids of clients, from 64\n"
	"  --keys DIR       writes replica-ID.key and client-ID.key there, mode 0600;\n"
	"                   never over a file that is there already\n"
	"  --id ID          the cluster's 64-bit id; default: random\n"
	"  --set Key=Value  a line of [Cluster]: Timeout=500ms; as often as needed\n"
	"The cluster file goes to standard output.\n",
	.run = run,
};
