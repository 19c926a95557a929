/* SPDX-License-Identifier: GPL-2.0 */
/* The netlink family as Documentation/netlink/specs/pbft.yaml has it, for C. */
#ifndef PBFT_NL_SPEC_H
#define PBFT_NL_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include "linux/pbft.h"

enum spec_type {
	SPEC_PAD, SPEC_FLAG, SPEC_U8, SPEC_U32, SPEC_U64, SPEC_STRING, SPEC_BINARY,
	SPEC_NEST,
};

struct spec_attr {
	const char *name;		/* NULL: the end */
	unsigned int id;
	enum spec_type type;
	const struct spec_attr *nested;
	unsigned int exact, min, max;	/* bytes; 0: not limited */
};

struct spec_op {
	const char *name;
	unsigned int cmd;
	bool request;			/* may be sent to the kernel */
	bool dump;
	unsigned int attrs[32];		/* of the request or event; ended by 0 */
};

extern const struct spec_attr spec_main[], spec_journal[], spec_recovery[], spec_node[], spec_counter[];
extern const struct spec_op spec_ops[];

/* Sent by a bound daemon, with PBFT_A_ID; what else is sent to the kernel has a name. */
static inline bool spec_from_daemon(unsigned int cmd)
{
	return (cmd >= PBFT_CMD_EXECUTED && cmd <= PBFT_CMD_PEER_SEND) ||
	       cmd == PBFT_CMD_FETCH_PROGRESS || cmd == PBFT_CMD_RECOVERY;
}

#endif /* PBFT_NL_SPEC_H */
