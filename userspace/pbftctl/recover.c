// SPDX-License-Identifier: GPL-2.0
/*
 * pbftctl recover: have the daemon of an instance take new keys, check its state
 * and repair it; wait for the end and print what it found.
 */
#include <stdio.h>

#include "pbftctl.h"

/* What the last recovery came to, as a sentence and an exit status. */
static int report(const struct command *cmd, struct pbft_nl *nl, const char *name)
{
	struct pbft_nl_instance *in;
	const struct pbft_nl_recovery *r;
	int rc = EXIT_OK;

	if (get_instance(cmd, nl, name, &in))
		return EXIT_FAILED;
	r = &in->st.recovery;
	printf("%s: ", name);
	print_recovery(stdout, &in->st);
	printf(", key generation %u\n", in->st.key_id);
	if (r->damaged > r->repaired)
		rc = failed(cmd, "%s: %u damaged pages are not repaired: move the database away and start the daemon with an empty one, the other replicas have the state",
			    name, r->damaged - r->repaired);
	else if (r->state != PBFT_RECOVERY_DONE)
		rc = failed(cmd, "%s: the recovery was given up: its slot ended, or the daemon did", name);
	pbft_nl_instance_free(in);
	return rc;
}

static int recover(const struct command *cmd, const char *name, bool wait,
		   const char *timeout)
{
	struct pbft_nl *nl;
	int rc = EXIT_OK;

	if (open_netlink(cmd, &nl))
		return EXIT_FAILED;
	if (pbft_nl_recover(nl, name))
		rc = set_failed(cmd, nl, name);
	if (!rc && wait)
		rc = wait_recovered(cmd, name, timeout) ?: report(cmd, nl, name);
	pbft_nl_close(nl);
	return rc;
}

static int run(const struct command *cmd, int argc, char **argv)
{
	const char *name = NULL, *timeout = NULL;
	bool wait = false;
	const struct opt opts[] = {
		{ .name = "wait", .flag = &wait },
		{ .name = "timeout", .value = &timeout },
	};

	if (parse_args(cmd, argc, argv, opts, ARRAY_SIZE(opts), &name, 1, 1))
		return EXIT_USAGE;
	if (timeout && !wait)
		return misused(cmd, "--timeout without --wait");
	return recover(cmd, name, wait, timeout);
}

const struct command cmd_recover = {
	.name = "recover",
	.args = "NAME [--wait [--timeout SECONDS]]",
	.summary = "Take new keys, check the state page by page, repair it from the others.",
	.help =
	"The daemon moves to the next generation of keys and compares every page of its\n"
	"database with the digests that the replicas have agreed on, while it goes on\n"
	"executing; what is damaged comes from the others.\n"
	"  --wait             until it is done; print what was found. Exit status 1 if not\n"
	"                     all of it could be repaired\n"
	"  --timeout SECONDS  or 500ms, 2min; then exit status 3, and it goes on\n",
	.run = run,
};
