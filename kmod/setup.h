/* SPDX-License-Identifier: GPL-2.0 */
/* A configuration in the making: what PBFT_CMD_SET's two files share. */
#ifndef PBFT_SETUP_H
#define PBFT_SETUP_H

#include <net/genetlink.h>
#include "instance.h"

/* What changes in a peer that stays. New peers are made complete. */
struct pbft_change {
	struct pbft_peer *peer;
	union pbft_addr addr;
	struct pbft_key *tx, *rx;	/* raw keys to put in place, or NULL */
};

struct pbft_setup {
	struct genl_info *info;
	struct pbft_instance *inst;	/* NULL: to be created */
	struct pbft_conf conf;
	struct pbft_nodes *nodes;	/* NULL: they stay as they are */
	bool same_identity;		/* keys of the old nodes remain good */
	struct pbft_change *change;
	u32 n_changes;
};

/* How many nodes of each kind the message has. */
void pbft_setup_count(const struct pbft_setup *s, u32 *replicas, u32 *clients);
/* Make the table of them; s->conf is checked. Return 0 or a refusal. */
int pbft_setup_nodes(struct pbft_setup *s, u32 count);

#endif /* PBFT_SETUP_H */
