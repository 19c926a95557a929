/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The daemon's side: what the core wants of the application goes out in order
 * and none is lost; the binding says to whom.
 */
#ifndef PBFT_APPLY_H
#define PBFT_APPLY_H

#include "instance.h"

void pbft_daemon_setup(struct pbft_instance *inst);	/* once */
int pbft_daemon_init(struct pbft_instance *inst);	/* at up */
/* Going down: end the binding. @core still exists, but nobody else enters it. */
void pbft_daemon_down(struct pbft_instance *inst, struct pbft_core *core);
/* Down: wait for the work item, free. */
void pbft_daemon_exit(struct pbft_instance *inst);

/*
 * Make @sk, which is @portid, the application. Under deliver_mutex, which the
 * caller keeps until its answer is on the way. Return what pbft_bind() does,
 * or -ENETDOWN, -EBUSY: another one is bound.
 */
int pbft_daemon_bind(struct pbft_instance *inst, u32 portid, struct sock *sk,
		     const struct pbft_log_head *head);
/* The socket @portid is gone. RCU. */
void pbft_daemon_unbind(struct pbft_instance *inst, u32 portid);
/* Under inst->lock: one APPLY has been answered. */
void pbft_daemon_answered(struct pbft_instance *inst);
/* Under inst->lock: is @portid the daemon? */
static inline bool pbft_daemon_is(const struct pbft_instance *inst, u32 portid)
{
	return portid && inst->daemon.portid == portid;
}

/* A datagram from the daemon of @peer; may be dropped. RCU, any context. */
enum pbft_drop pbft_daemon_peer_recv(struct pbft_instance *inst,
				     struct pbft_peer *peer, const void *data,
				     u32 len);

/* ---- recovery.c ------------------------------------------------------------ */

/*
 * Have the daemon recover. Return 0, -ENETDOWN, -ESHUTDOWN: it has stopped,
 * -ENOTCONN: nobody is bound, or -EALREADY: it does so.
 */
int pbft_recovery_ask(struct pbft_instance *inst);
/* Under inst->lock: that is how far the daemon's recovery is. */
void pbft_recovery_told(struct pbft_instance *inst, struct pbft_core *core,
			const struct pbft_recovery *r);
/* Under inst->lock: the binding ends, and with it what the daemon was at. */
void pbft_recovery_lost(struct pbft_instance *inst, struct pbft_core *core);

#endif /* PBFT_APPLY_H */
