/* SPDX-License-Identifier: GPL-2.0 */
/* The command line of pbftd. */
#ifndef PBFTD_OPTIONS_H
#define PBFTD_OPTIONS_H

#include "backend.h"

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE,
};

struct options {
	const char *instance, *db, *status, *pidfile;
	struct pbft_user_opts user;
	struct pbft_store_opts store;
	bool userspace, dump_head, null_service, verbose;
	bool foreground;	/* always so; taken for those who say it */
	u32 null_reply;
};

/* Return -1 to go on, or the exit status: help was printed, or what is wrong. */
int pbft_options_parse(struct options *o, int argc, char **argv);

#endif /* PBFTD_OPTIONS_H */
