// SPDX-License-Identifier: GPL-2.0
/* pbftctl pubkey: the public key of a private key. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pbftctl.h"

static int run(const struct command *cmd, int argc, char **argv)
{
	char text[PBFT_KEY_TEXT_LEN + 1], err[512];
	const char *path = NULL;
	u8 key[32], public_key[32];
	int rc;

	if (parse_args(cmd, argc, argv, NULL, 0, &path, 0, 1))
		return EXIT_USAGE;
	/* not every system has links for it in /dev */
	if (!path)
		path = access("/dev/stdin", R_OK) ? "/proc/self/fd/0" : "/dev/stdin";
	/* nothing is trusted on the secrecy of a key that is only looked at */
	if (pbft_key_load(path, true, key, err, sizeof(err)))
		return failed(cmd, "%s", err);
	rc = pbft_pubkey(public_key, key);
	explicit_bzero(key, sizeof(key));
	if (rc)
		return failed(cmd, "%s: no public key of it: %s", path,
			      strerror(-rc));
	pbft_key_to_text(text, public_key);
	puts(text);
	return EXIT_OK;
}

const struct command cmd_pubkey = {
	.name = "pubkey",
	.args = "[FILE]",
	.summary = "Print the public key of a private key.",
	.help = "Reads the private key from FILE, or from standard input.\n",
	.run = run,
};
