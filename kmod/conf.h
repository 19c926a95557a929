/* SPDX-License-Identifier: GPL-2.0 */
/* The scalar part of a configuration: attributes and their places. */
#ifndef PBFT_CONF_H
#define PBFT_CONF_H

#include <net/genetlink.h>
#include "instance.h"

void pbft_conf_default(struct pbft_conf *conf);
/* Take over what @info gives, check nothing. Return what keys depend on. */
void pbft_conf_parse(struct pbft_conf *conf, struct genl_info *info);
/* Limits, and does it fit together? Return 0 or a refusal. */
int pbft_conf_check(const struct pbft_conf *conf, struct genl_info *info);
/* The first thing in which they differ and must not while up, or NULL. */
const char *pbft_conf_differs(const struct pbft_conf *a,
			      const struct pbft_conf *b);
/* Do the keys of one serve the other? */
bool pbft_identity_eq(const struct pbft_identity *a,
		      const struct pbft_identity *b);
int pbft_conf_put(struct sk_buff *skb, const struct pbft_conf *conf);

#endif /* PBFT_CONF_H */
