// SPDX-License-Identifier: GPL-2.0
/* pbftctl up, down, del and rotate-key: one message each. */
#include <unistd.h>

#include "libpbft/journal_file.h"
#include "pbftctl.h"

struct journal_args {
	const char *path, *mode, *size;
	u64 bytes;
};

/* Return 0 with up->journal_mode set, or an exit status. */
static int check_journal(const struct command *cmd, struct journal_args *a,
			 struct pbft_nl_up *up)
{
	a->bytes = PBFT_JOURNAL_SIZE_DEFAULT;
	up->journal_mode = a->path ? PBFT_JOURNAL_SYNC : PBFT_JOURNAL_NONE;
	if (a->mode && pbft_journal_mode_from_text(&up->journal_mode, a->mode))
		return misused(cmd, "%s: the journal's mode is none, async or sync",
			       a->mode);
	if (a->size && pbft_journal_size_from_text(&a->bytes, a->size))
		return misused(cmd, "%s: the journal's size is 16M or more", a->size);
	if (!a->path && (up->journal_mode != PBFT_JOURNAL_NONE || a->size))
		return misused(cmd, "--journal is missing: where it is");
	return 0;
}

static int open_journal(const struct command *cmd, const struct journal_args *a,
			struct pbft_nl_up *up)
{
	char err[256];

	if (up->journal_mode == PBFT_JOURNAL_NONE)
		return 0;
	up->journal_fd = pbft_journal_file_open(a->path, a->bytes, err, sizeof(err));
	return up->journal_fd < 0 ? failed(cmd, "%s", err) : 0;
}

static int run_up(const struct command *cmd, int argc, char **argv)
{
	struct pbft_nl_up up = { .journal_fd = -1 };
	struct journal_args journal = { 0 };
	const struct opt opts[] = {
		{ .name = "genesis", .flag = &up.genesis },
		{ .name = "journal", .value = &journal.path },
		{ .name = "journal-mode", .value = &journal.mode },
		{ .name = "journal-size", .value = &journal.size },
	};
	const char *name = NULL;
	struct pbft_nl *nl;
	int rc;

	if (parse_args(cmd, argc, argv, opts, ARRAY_SIZE(opts), &name, 1, 1) ||
	    check_journal(cmd, &journal, &up))
		return EXIT_USAGE;
	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	rc = open_journal(cmd, &journal, &up);
	if (!rc && pbft_nl_up(nl, name, &up))
		rc = set_failed(cmd, nl, name);
	/* The kernel has its own hold on the file, and on the lock. */
	if (up.journal_fd >= 0)
		close(up.journal_fd);
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
	.args = "NAME [--genesis] [--journal PATH [--journal-mode MODE] [--journal-size SIZE]]",
	.summary = "Start taking part.",
	.help =
	"  --genesis  this cluster has never run before; without it the replica is\n"
	"             one that has lost its memory: it stays mute until voting is safe\n"
	"             again. Never use it on a replica that has taken part before and\n"
	"             has no journal. If the journal has records, they win\n"
	"  --journal PATH       a file or block device that keeps what the replica has\n"
	"             promised: it goes on after a crash or a restart. Made if missing\n"
	"  --journal-mode MODE  sync, the default: nothing leaves before it is durable;\n"
	"             async: that is not waited for, and after a crash, though not after\n"
	"             down, the replica is one that has lost its memory; none\n"
	"  --journal-size SIZE  of a new file, 16M or more; default 64M\n",
	.run = run_up,
};

const struct command cmd_down = {
	.name = "down",
	.args = "NAME",
	.summary = "Stop taking part; the configuration stays, and the journal, complete.",
	.help =
	"Without a journal all protocol state goes.\n",
	.run = run_down,
};

const struct command cmd_del = {
	.name = "del",
	.args = "NAME",
	.summary = "Delete an instance and its keys.",
	.help =
	"To one that is up this is what a crash would be: its journal is left as it is.\n",
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
