/* SPDX-License-Identifier: GPL-2.0 */
/* The generic netlink family, and what its files share. */
#ifndef PBFT_NETLINK_H
#define PBFT_NETLINK_H

#include <net/genetlink.h>
#include "instance.h"

extern struct genl_family pbft_genl_family;

int pbft_netlink_init(void);
void pbft_netlink_exit(void);

/*
 * Refuse, in a sentence for a person. @attr: what it is about, or NULL. Returns
 * @err, so that a refusal is one statement. (refuse.c)
 */
__printf(4, 5)
int pbft_refuse(struct netlink_ext_ack *extack, const struct nlattr *attr,
		int err, const char *fmt, ...);

/* The same with a sentence as it is, of any length, which lives for ever. */
int pbft_refuse_text(struct netlink_ext_ack *extack, const struct nlattr *attr,
		     int err, const char *text);

/* PBFT_A_NAME names this instance; NULL when refused. Under pbft_net.mutex. */
struct pbft_instance *pbft_nl_instance(struct genl_info *info, int *err);

/* netlink.c: administration; setup.c: configuration */
int pbft_nl_set(struct sk_buff *skb, struct genl_info *info);

/* daemon.c: what a daemon says */
int pbft_nl_bind(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_executed(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_checkpointed(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_state_installed(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_peer_send(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_fetch_progress(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_recovery(struct sk_buff *skb, struct genl_info *info);

/* dump.c: GET */
int pbft_nl_get(struct sk_buff *skb, struct genl_info *info);
int pbft_nl_get_start(struct netlink_callback *cb);
int pbft_nl_get_dump(struct sk_buff *skb, struct netlink_callback *cb);

/* ---- status.c: attributes that GET and EVENT share ----------------------- */

struct pbft_state_now {
	u32 state;		/* enum pbft_state */
	u8 key_id;
	bool genesis;
	struct pbft_status st;	/* zero when down */
	struct pbft_fetch_progress progress;	/* of st.fetch_target; total 0: not told */
	struct pbft_recovery recovery;
};

/* With @core (not NULL: the instance is up) under inst->lock. */
void pbft_state_take(const struct pbft_instance *inst,
		     const struct pbft_core *core, struct pbft_state_now *now);
int pbft_state_put(struct sk_buff *skb, const struct pbft_instance *inst,
		   const struct pbft_state_now *now);

static inline struct pbft_nl_head pbft_nl_head_of(const struct pbft_log_head *h)
{
	struct pbft_nl_head head = { .seq = h->seq, .time = h->time };

	memcpy(head.chain, h->chain.b, sizeof(head.chain));
	return head;
}

#endif /* PBFT_NETLINK_H */
