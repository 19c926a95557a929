// SPDX-License-Identifier: GPL-2.0
/* pbftctl genkey: a new private key. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "pbftctl.h"

static int run(const struct command *cmd, int argc, char **argv)
{
	char text[PBFT_KEY_TEXT_LEN + 1];
	const char *path = NULL;
	struct stat st;
	u8 key[32];
	int rc;

	if (parse_args(cmd, argc, argv, NULL, 0, &path, 0, 1))
		return EXIT_USAGE;
	rc = pbft_genkey(key);
	if (rc)
		return failed(cmd, "no random numbers: %s", strerror(-rc));
	if (path) {
		rc = write_key_file(cmd, path, key);
		if (!rc)
			rc = sync_keys(cmd, path);
	} else {
		if (!fstat(1, &st) && S_ISREG(st.st_mode) && (st.st_mode & 077))
			fprintf(stderr,
				"pbftctl genkey: warning: others may read this file\n");
		pbft_key_to_text(text, key);
		rc = puts(text) < 0 || fflush(stdout) ?
		     failed(cmd, "standard output cannot be written") : 0;
		explicit_bzero(text, sizeof(text));
	}
	explicit_bzero(key, sizeof(key));
	return rc;
}

const struct command cmd_genkey = {
	.name = "genkey",
	.args = "[FILE]",
	.summary = "Make a private key.",
	.help = "Writes it to the new file FILE, mode 0600, or to standard output.\n",
	.run = run,
};
