// SPDX-License-Identifier: GPL-2.0
/* pbftctl up, down, del and rotate-key: one message each. */
#include "pbftctl.h"

static int run_up(const struct command *cmd, int argc, char **argv)
{
	bool genesis = false;
	const struct opt opts[] = { { .name = "genesis", .flag = &genesis } };
	const char *name = NULL;
	struct pbft_nl *nl;
	int rc = EXIT_OK;

	if (parse_args(cmd, argc, argv, opts, 1, &name, 1, 1))
		return EXIT_USAGE;
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	if (pbft_nl_up(nl, name, genesis))
		rc = set_failed(cmd, nl, name);
	pbft_nl_close(nl);
	return rc;
}

static int run_named(const struct command *cmd, int argc, char **argv,
		     int (*fn)(struct pbft_nl *nl, const char *name))
{
	const char *name = NULL;
	struct pbft_nl *nl;
	int rc = EXIT_OK;

	if (parse_args(cmd, argc, argv, NULL, 0, &name, 1, 1))
		return EXIT_USAGE;
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	if (fn(nl, name))
		rc = set_failed(cmd, nl, name);
	pbft_nl_close(nl);
	return rc;
}

static int run_down(const struct command *cmd, int argc, char **argv)
{
	return run_named(cmd, argc, argv, pbft_nl_down);
}

static int run_del(const struct command *cmd, int argc, char **argv)
{
	return run_named(cmd, argc, argv, pbft_nl_del);
}

static int run_rotate_key(const struct command *cmd, int argc, char **argv)
{
	const char *pos[2] = { 0 };
	struct pbft_nl *nl;
	int rc = EXIT_OK;
	u64 id;

	if (parse_args(cmd, argc, argv, NULL, 0, pos, 2, 2))
		return EXIT_USAGE;
	if (!pbft_number_from_text(&id, pos[1], 255))
		return misused(cmd, "%s: a key generation is a number from 0 to 255",
			       pos[1]);
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	if (pbft_nl_set_key(nl, pos[0], id))
		rc = set_failed(cmd, nl, pos[0]);
	pbft_nl_close(nl);
	return rc;
}

const struct command cmd_up = {
	.name = "up",
	.args = "NAME [--genesis]",
	.summary = "Start taking part.",
	.help =
	"  --genesis  this cluster has never run before; without it the replica is\n"
	"             one that has lost its memory: it stays mute until voting is safe\n"
	"             again. Never use it on a replica that has taken part before.\n",
	.run = run_up,
};

const struct command cmd_down = {
	.name = "down",
	.args = "NAME",
	.summary = "Stop taking part; the configuration stays, all protocol state goes.",
	.run = run_down,
};

const struct command cmd_del = {
	.name = "del",
	.args = "NAME",
	.summary = "Delete an instance and its keys.",
	.run = run_del,
};

const struct command cmd_rotate_key = {
	.name = "rotate-key",
	.args = "NAME GENERATION",
	.summary = "Send under the MAC keys of a newer generation from now on.",
	.help =
	"GENERATION is a number from 0 to 255, newer than the present one: up to 127\n"
	"ahead of it, counting on from 255 at 0. Receivers derive the new keys by\n"
	"themselves and accept old and new for a while; no message is lost when the\n"
	"generations follow one by one and not at once.\n",
	.run = run_rotate_key,
};
