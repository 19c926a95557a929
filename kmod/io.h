/* SPDX-License-Identifier: GPL-2.0 */
/* Datagrams: the socket, the way in and the way out. */
#ifndef PBFT_IO_H
#define PBFT_IO_H

#include "instance.h"

/* ---- socket.c ----------------------------------------------------------------- */

/* Bind and receive from now on. Return 0, or -errno with a sentence in *@why. */
int pbft_socket_open(struct pbft_instance *inst, const char **why);
/* When it returns, no receiver and no sender uses the socket. May sleep. */
void pbft_socket_close(struct pbft_instance *inst);

/* An skb with room for headers and @len bytes; the data area is empty. */
struct sk_buff *pbft_skb_alloc(u32 len);
/* To the peer's address; takes the skb in any case. RCU, BH off. */
void pbft_xmit(struct pbft_instance *inst, struct socket *sock,
	       struct pbft_peer *peer, struct sk_buff *skb);

/* ---- receive.c ------------------------------------------------------------------ */

/* One datagram from the socket, at its UDP header. Takes the skb. RCU, BH off. */
void pbft_receive_skb(struct pbft_instance *inst, struct sk_buff *skb);

/* A message with all that is known about it. */
struct pbft_rx {
	const u8 *data;		/* 8-byte aligned */
	u32 len;
	struct pbft_head head;
	struct pbft_peer *peer;	/* who sent it */
	struct pbft_buf *buf;	/* holds data from its start, or NULL */
	struct sk_buff *skb;	/* the datagram, or NULL */
};

/*
 * Is this a well-formed authentic message of our cluster? Fills head and peer;
 * peer may be set, and is then worth counting for, on failure too. RCU.
 */
enum pbft_drop pbft_rx_check(struct pbft_instance *inst, struct pbft_rx *rx);
/* Where the MAC meant for us stands in a well-formed message. */
const u8 *pbft_rx_mac(const struct pbft_instance *inst, const u8 *data,
		      const struct pbft_head *head);
/* To the core. RCU. */
enum pbft_drop pbft_rx_step(struct pbft_instance *inst, struct pbft_rx *rx);

/* ---- queue.c: what is rare and heavy, in one work item ------------------------ */

enum pbft_queued {
	PBFT_QUEUED_CHECKED,	/* authentic */
	PBFT_QUEUED_WHOLE,	/* put together of authentic fragments */
	PBFT_QUEUED_UNKNOWN_KEY,	/* may prove a new key */
};

/* Take up a message of the queue. @sender: whose fragments made it. */
void pbft_receive_queued(struct pbft_instance *inst, struct pbft_rx *rx,
			 enum pbft_queued how, u32 sender);
void pbft_queue_init(struct pbft_instance *inst);
/* Copies, or refers to rx->buf. Charged to rx->peer. Any context. */
enum pbft_drop pbft_queue_add(struct pbft_instance *inst,
			      const struct pbft_rx *rx, enum pbft_queued how);
/* The instance is down: nothing is added any more. */
void pbft_queue_stop(struct pbft_instance *inst);

/* ---- send.c ---------------------------------------------------------------------- */

/* One SEND of the core. */
struct pbft_tx {
	struct pbft_buf *buf;	/* a reference */
	u64 to;
	u32 client;
	u8 auth;
};

/* BH off. Does not take the reference. */
void pbft_transmit(struct pbft_instance *inst, struct socket *sock,
		   const struct pbft_nodes *nodes, const struct pbft_tx *tx);
/* One daemon's datagram. Return 0 or -errno. Process context. */
int pbft_tx_peer_data(struct pbft_instance *inst, u32 peer,
		      const void *data, u32 len);
u32 pbft_peer_mtu(const struct pbft_instance *inst);

#endif /* PBFT_IO_H */
