/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Datagrams in bulk over one UDP socket, for clients and replicas alike.
 *
 * Many leave by one sendmmsg() and arrive by one recvmmsg(). Where the kernel
 * can, several of one length to one address travel through its network stack as
 * one packet (UDP_SEGMENT, UDP_GRO), which is cut on the way or by the receiver.
 * On the wire, and for whoever calls this, each is a datagram of its own.
 */
#ifndef PBFT_UDP_H
#define PBFT_UDP_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core/types.h"

struct pbft_udp_stats {
	u64 calls;		/* of the system */
	u64 packets;		/* given to the kernel or got from it */
	u64 datagrams, bytes;
	u64 errors;		/* datagrams the socket did not take */
	u64 refused;		/* packets that went apart, one by one */
};

union pbft_udp_addr {
	struct sockaddr sa;
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
};

/* ---- sending --------------------------------------------------------- */

struct pbft_udp_datagram {
	struct iovec part[2];
	u32 next;		/* the next one of its packet */
};

/* One or more datagrams to one address: all of @size bytes, the last maybe of less. */
struct pbft_udp_packet {
	const struct sockaddr *to;
	socklen_t to_len;
	u32 size, bytes, count;
	u32 first, last;
	bool closed;		/* nothing may follow the last */
};

struct pbft_udp_tx {
	int fd;
	int wait_ms;		/* for a full socket */
	bool gso;		/* the kernel cuts packets into datagrams */
	u32 hold;		/* datagrams that go one by one, after a refusal */
	u32 room;		/* datagrams in a batch */
	u32 count, packets;	/* in this one */
	struct pbft_udp_datagram *datagram;
	struct pbft_udp_packet *packet;
	struct mmsghdr *msg;
	struct iovec *iov;
	void *control;
	struct pbft_udp_stats stats;
};

/**
 * pbft_udp_tx_init() - ready to send on @fd
 * @tx: to be made ready
 * @fd: a UDP socket
 * @room: datagrams of one batch
 * @wait_ms: how long to wait for a full socket; 0: what it does not take is lost
 * @offload: let the kernel cut packets, if it can
 *
 * Return 0 or -ENOMEM; pbft_udp_tx_free() in either case.
 */
int pbft_udp_tx_init(struct pbft_udp_tx *tx, int fd, u32 room, int wait_ms,
		     bool offload);
void pbft_udp_tx_free(struct pbft_udp_tx *tx);

static inline u32 pbft_udp_tx_left(const struct pbft_udp_tx *tx)
{
	return tx->room - tx->count;
}

/*
 * Queue a datagram of one or two parts; there must be room. Address and parts
 * stay as they are until pbft_udp_tx_send(). Those to one address keep their order.
 */
void pbft_udp_tx_add(struct pbft_udp_tx *tx, const void *to, socklen_t to_len,
		     const struct iovec part[2]);
/* Send all that is queued. Losses are counted, as on a network. */
void pbft_udp_tx_send(struct pbft_udp_tx *tx);

/* ---- receiving ------------------------------------------------------- */

struct pbft_udp_rx {
	int fd;
	bool gro;		/* packets of several datagrams may come */
	u32 room;		/* packets of one call */
	u32 used;		/* by the last one */
	u32 mtu, size;
	struct mmsghdr *msg;
	struct iovec *iov;
	union pbft_udp_addr *from;
	void *control;
	u8 *data;		/* room * size bytes */
	u8 *aligned;		/* a datagram that does not lie at a multiple of 8 */
	struct pbft_udp_stats stats;
};

/**
 * pbft_udp_rx_init() - ready to receive on @fd
 * @rx: to be made ready
 * @fd: a UDP socket
 * @room: packets of one call, at most
 * @mtu: bytes of the longest datagram that is welcome
 * @offload: let several datagrams come as one packet, if the kernel can: then
 *	every buffer has 64 KiB, of which mostly little is ever touched
 *
 * Return 0 or -ENOMEM; pbft_udp_rx_free() in either case.
 */
int pbft_udp_rx_init(struct pbft_udp_rx *rx, int fd, u32 room, u32 mtu,
		     bool offload);
void pbft_udp_rx_free(struct pbft_udp_rx *rx);

/*
 * One datagram: 8-byte aligned, valid during the call. @data is NULL for one
 * longer than the MTU.
 */
typedef void (*pbft_udp_fn)(void *arg, const void *data, u32 len,
			    const union pbft_udp_addr *from, socklen_t from_len);

/*
 * What has arrived, as far as one call of the system brings it. Return
 * datagrams, or -errno; *@more: there may be more.
 */
int pbft_udp_rx(struct pbft_udp_rx *rx, pbft_udp_fn fn, void *arg, bool *more);

#endif /* PBFT_UDP_H */
