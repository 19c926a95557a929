// SPDX-License-Identifier: GPL-2.0
/* pbftctl setconf: create or replace an instance from a cluster file. */
#include <stdio.h>
#include <string.h>

#include "pbftctl.h"

struct setconf_args {
	const char *pos[2];	/* NAME CLUSTERFILE */
	const char *key, *self, *service, *null_reply;
};

static int get_self(const struct command *cmd, const struct setconf_args *a,
		    const struct pbft_cluster *c, const u8 public_key[32],
		    u32 *self)
{
	const struct pbft_node *node;
	u64 id;

	if (a->self && strcmp(a->self, "auto")) {
		if (!pbft_number_from_text(&id, a->self, PBFT_N_MAX - 1))
			return misused(cmd, "--self %s: not a replica id or \"auto\"",
				       a->self);
		*self = id;
		return 0;
	}
	node = pbft_cluster_by_key(c, public_key);
	if (!node)
		return failed(cmd, "%s: the key of %s belongs to no replica there",
			      a->pos[1], a->key);
	if (node->id >= PBFT_CLIENT_ID_MIN)
		return failed(cmd, "%s: the key of %s is that of client %u",
			      a->pos[1], a->key, node->id);
	*self = node->id;
	return 0;
}

static int get_service(const struct command *cmd, const struct setconf_args *a,
		       struct pbft_nl_setup *setup)
{
	u64 n;

	if (!a->service || !strcmp(a->service, "daemon"))
		setup->service = PBFT_SERVICE_DAEMON;
	else if (!strcmp(a->service, "null"))
		setup->service = PBFT_SERVICE_NULL;
	else
		return misused(cmd, "--service %s: neither daemon nor null",
			       a->service);
	if (!a->null_reply)
		return 0;
	if (setup->service != PBFT_SERVICE_NULL)
		return misused(cmd, "--null-reply goes with --service null");
	if (!pbft_number_from_text(&n, a->null_reply, PBFT_OP_MAX))
		return misused(cmd, "--null-reply %s: not a number of bytes up to %u",
			       a->null_reply, PBFT_OP_MAX);
	setup->null_reply = n;
	return 0;
}

static int apply(const struct command *cmd, const struct setconf_args *a,
		 struct pbft_nl_setup *setup, const struct pbft_cluster *c)
{
	u8 private_key[32], public_key[32];
	struct pbft_nl *nl;
	int rc;

	if (load_key(cmd, private_key, public_key, a->key))
		return EXIT_FAILED;
	setup->cluster = c;
	setup->private_key = private_key;
	rc = get_self(cmd, a, c, public_key, &setup->self);
	if (!rc)
		rc = open_netlink(cmd, &nl);
	if (!rc) {
		if (pbft_nl_set(nl, a->pos[0], setup))
			rc = set_failed(cmd, nl, a->pos[0]);
		pbft_nl_close(nl);
	}
	explicit_bzero(private_key, sizeof(private_key));
	return rc;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	struct setconf_args a = { 0 };
	const struct opt opts[] = {
		{ .name = "key", .value = &a.key },
		{ .name = "self", .value = &a.self },
		{ .name = "service", .value = &a.service },
		{ .name = "null-reply", .value = &a.null_reply },
	};
	struct pbft_nl_setup setup = { 0 };
	struct pbft_cluster c;
	int rc;

	if (parse_args(cmd, argc, argv, opts, ARRAY_SIZE(opts), a.pos, 2, 2) ||
	    get_service(cmd, &a, &setup))
		return EXIT_USAGE;
	if (!a.key)
		return misused(cmd, "--key FILE is missing");
	if (load_cluster(cmd, &c, a.pos[1]))
		return EXIT_FAILED;
	rc = apply(cmd, &a, &setup, &c);
	pbft_cluster_free(&c);
	return rc;
}

const struct command cmd_setconf = {
	.name = "setconf",
	.args = "NAME CLUSTERFILE --key FILE [--self ID|auto] [--service daemon|null [--null-reply BYTES]]",
	.summary = "Create or reconfigure an instance from a cluster file.",
	.help =
	"  --key FILE          our private key; only we may read the file\n"
	"  --self ID|auto      which replica we are; auto, the default: by our key\n"
	"  --service daemon    the application is a daemon that binds (default)\n"
	"  --service null      the kernel itself answers, for measuring\n"
	"  --null-reply BYTES  size of its answers, default 0\n"
	"The instance takes part after `pbftctl up`.\n",
	.run = run,
};
