// SPDX-License-Identifier: GPL-2.0
/*
 * Datagrams in bulk; see udp.h.
 *
 * Whether the kernel knows the two options is asked of the socket. Knowing them
 * is not all: a route whose device cannot do checksums, or a datagram above its
 * MTU, makes it refuse a packet that it would have sent in pieces. Such a packet
 * goes apart, and for a while all others do, too.
 */
#include <errno.h>
#include <netinet/udp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "libpbft/udp.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT	103
#endif
#ifndef UDP_GRO
#define UDP_GRO		104
#endif

#define SEGMENTS_MAX	64	/* of one packet: the kernel's UDP_MAX_SEGMENTS */
#define PACKET_MAX	65000	/* bytes: with headers below 64 KiB */
#define LOOK_BACK	8	/* packets that a datagram may be added to */
#define HOLD		65536	/* datagrams after which packets are tried again */

#define RX_GRO		16	/* packets of several datagrams in one recvmmsg() */
#define GRO_SIZE	65536	/* bytes of one, at most */

#define TX_CONTROL	CMSG_SPACE(sizeof(u16))
#define RX_CONTROL	CMSG_SPACE(sizeof(int))

/* ---- sending --------------------------------------------------------- */

int pbft_udp_tx_init(struct pbft_udp_tx *tx, int fd, u32 room, int wait_ms,
		     bool offload)
{
	int none = 0;

	memset(tx, 0, sizeof(*tx));
	tx->fd = fd;
	tx->room = room;
	tx->wait_ms = wait_ms;
	tx->gso = offload &&
		  !setsockopt(fd, SOL_UDP, UDP_SEGMENT, &none, sizeof(none));
	tx->datagram = calloc(room, sizeof(*tx->datagram));
	tx->packet = calloc(room, sizeof(*tx->packet));
	tx->msg = calloc(room, sizeof(*tx->msg));
	tx->iov = calloc(room, 2 * sizeof(*tx->iov));
	tx->control = calloc(room, TX_CONTROL);
	return tx->datagram && tx->packet && tx->msg && tx->iov && tx->control ?
	       0 : -ENOMEM;
}

void pbft_udp_tx_free(struct pbft_udp_tx *tx)
{
	free(tx->datagram);
	free(tx->packet);
	free(tx->msg);
	free(tx->iov);
	free(tx->control);
}

static bool same_address(const struct pbft_udp_packet *p, const void *to,
			 socklen_t to_len)
{
	return p->to_len == to_len && (p->to == to || !memcmp(p->to, to, to_len));
}

/*
 * The packet that a datagram of @len bytes may join. Only the last one to that
 * address: what is to one address keeps its order.
 */
static struct pbft_udp_packet *find_packet(struct pbft_udp_tx *tx, const void *to,
					   socklen_t to_len, u32 len)
{
	u32 i, oldest = tx->packets > LOOK_BACK ? tx->packets - LOOK_BACK : 0;

	for (i = tx->packets; i > oldest; i--) {
		struct pbft_udp_packet *p = &tx->packet[i - 1];

		if (!same_address(p, to, to_len))
			continue;
		if (p->closed || len > p->size || p->count == SEGMENTS_MAX ||
		    p->bytes + len > PACKET_MAX)
			return NULL;
		return p;
	}
	return NULL;
}

void pbft_udp_tx_add(struct pbft_udp_tx *tx, const void *to, socklen_t to_len,
		     const struct iovec part[2])
{
	u32 i = tx->count++, len = part[0].iov_len + part[1].iov_len;
	struct pbft_udp_packet *p = NULL;

	tx->datagram[i].part[0] = part[0];
	tx->datagram[i].part[1] = part[1];
	if (tx->hold)
		tx->hold--;
	else if (tx->gso && len)
		p = find_packet(tx, to, to_len, len);
	if (p) {
		tx->datagram[p->last].next = i;
		p->last = i;
		p->count++;
		p->bytes += len;
		p->closed = len < p->size;
		return;
	}
	tx->packet[tx->packets++] = (struct pbft_udp_packet){
		.to = to, .to_len = to_len, .size = len, .bytes = len,
		.count = 1, .first = i, .last = i,
	};
}

static void set_segment(struct msghdr *h, void *control, u16 size)
{
	struct cmsghdr *c = control;

	h->msg_control = control;
	h->msg_controllen = TX_CONTROL;
	c->cmsg_level = SOL_UDP;
	c->cmsg_type = UDP_SEGMENT;
	c->cmsg_len = CMSG_LEN(sizeof(size));
	memcpy(CMSG_DATA(c), &size, sizeof(size));
}

/* The parts of a datagram, from @iov on. Return how many. */
static u32 put_parts(const struct pbft_udp_datagram *d, struct iovec *iov)
{
	iov[0] = d->part[0];
	iov[1] = d->part[1];
	return d->part[1].iov_len ? 2 : 1;
}

static void lay_out(struct pbft_udp_tx *tx)
{
	struct iovec *iov = tx->iov;
	u32 i, k, n, at;

	for (i = 0; i < tx->packets; i++) {
		const struct pbft_udp_packet *p = &tx->packet[i];
		struct msghdr *h = &tx->msg[i].msg_hdr;

		memset(h, 0, sizeof(*h));
		h->msg_name = (void *)p->to;
		h->msg_namelen = p->to_len;
		h->msg_iov = iov;
		for (k = 0, n = 0, at = p->first; k < p->count; k++) {
			n += put_parts(&tx->datagram[at], iov + n);
			at = tx->datagram[at].next;
		}
		h->msg_iovlen = n;
		iov += n;
		if (p->count > 1)
			set_segment(h, (u8 *)tx->control + i * TX_CONTROL, p->size);
	}
}

/* Return how many were sent; if not all, errno says what is the matter with the next. */
static u32 push(struct pbft_udp_tx *tx, struct mmsghdr *msg, u32 count)
{
	struct pollfd pfd = { .fd = tx->fd, .events = POLLOUT };
	u32 done = 0;
	int n;

	while (done < count) {
		n = sendmmsg(tx->fd, msg + done, count - done,
			     MSG_DONTWAIT | MSG_NOSIGNAL);
		tx->stats.calls++;
		if (n > 0) {
			done += n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN || !tx->wait_ms)
			break;
		if (poll(&pfd, 1, tx->wait_ms) <= 0) {
			errno = EAGAIN;
			break;
		}
	}
	return done;
}

/* The datagrams of a packet that the kernel would not cut. */
static void send_apart(struct pbft_udp_tx *tx, const struct pbft_udp_packet *p)
{
	struct mmsghdr msg[SEGMENTS_MAX] = { { .msg_len = 0 } };
	struct iovec iov[2 * SEGMENTS_MAX];
	u32 i, done = 0, at = p->first;

	tx->stats.refused++;
	tx->hold = HOLD;
	for (i = 0; i < p->count; i++) {
		struct msghdr *h = &msg[i].msg_hdr;

		h->msg_name = (void *)p->to;
		h->msg_namelen = p->to_len;
		h->msg_iov = iov + 2 * i;
		h->msg_iovlen = put_parts(&tx->datagram[at], h->msg_iov);
		at = tx->datagram[at].next;
	}
	while (done < p->count) {
		i = push(tx, msg + done, p->count - done);
		tx->stats.datagrams += i;
		tx->stats.packets += i;
		for (; i; i--)
			tx->stats.bytes += msg[done++].msg_len;
		if (done < p->count) {
			tx->stats.errors++;
			done++;
		}
	}
}

static bool will_not_cut(int err)
{
	return err == EINVAL || err == EIO || err == EMSGSIZE || err == EOPNOTSUPP;
}

void pbft_udp_tx_send(struct pbft_udp_tx *tx)
{
	u32 done = 0, sent;
	int err;

	if (!tx->count)
		return;
	lay_out(tx);
	while (done < tx->packets) {
		sent = push(tx, tx->msg + done, tx->packets - done);
		for (; sent; sent--, done++) {
			tx->stats.packets++;
			tx->stats.datagrams += tx->packet[done].count;
			tx->stats.bytes += tx->packet[done].bytes;
		}
		if (done == tx->packets)
			break;
		/* What fails is the first: the others get their chance. */
		err = errno;
		if (tx->packet[done].count > 1 && will_not_cut(err))
			send_apart(tx, &tx->packet[done]);
		else
			tx->stats.errors += tx->packet[done].count;
		done++;
		if (err == EAGAIN && tx->wait_ms)
			break;	/* waited long enough already */
	}
	for (; done < tx->packets; done++)
		tx->stats.errors += tx->packet[done].count;
	tx->count = 0;
	tx->packets = 0;
}

/* ---- receiving ------------------------------------------------------- */

int pbft_udp_rx_init(struct pbft_udp_rx *rx, int fd, u32 room, u32 mtu,
		     bool offload)
{
	int on = 1;
	u32 i;

	memset(rx, 0, sizeof(*rx));
	rx->fd = fd;
	rx->mtu = mtu;
	rx->gro = offload && !setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof(on));
	rx->room = rx->gro ? min(room, (u32)RX_GRO) : room;
	rx->size = rx->gro ? GRO_SIZE : ALIGN(mtu, 8);
	rx->msg = calloc(rx->room, sizeof(*rx->msg));
	rx->iov = calloc(rx->room, sizeof(*rx->iov));
	rx->from = calloc(rx->room, sizeof(*rx->from));
	rx->control = calloc(rx->room, RX_CONTROL);
	rx->data = malloc((size_t)rx->room * rx->size);
	rx->aligned = malloc(ALIGN(mtu, 8));
	if (!rx->msg || !rx->iov || !rx->from || !rx->control || !rx->data ||
	    !rx->aligned)
		return -ENOMEM;
	for (i = 0; i < rx->room; i++) {
		struct msghdr *h = &rx->msg[i].msg_hdr;

		rx->iov[i].iov_base = rx->data + (size_t)i * rx->size;
		rx->iov[i].iov_len = rx->size;
		h->msg_iov = &rx->iov[i];
		h->msg_iovlen = 1;
		h->msg_name = &rx->from[i];
		if (rx->gro)
			h->msg_control = (u8 *)rx->control + i * RX_CONTROL;
	}
	rx->used = rx->room;
	return 0;
}

void pbft_udp_rx_free(struct pbft_udp_rx *rx)
{
	free(rx->msg);
	free(rx->iov);
	free(rx->from);
	free(rx->control);
	free(rx->data);
	free(rx->aligned);
}

/* Bytes of each datagram in this packet; 0: it is one alone. */
static u32 segment_size(struct msghdr *h)
{
	struct cmsghdr *c;
	int size;

	for (c = CMSG_FIRSTHDR(h); c; c = CMSG_NXTHDR(h, c)) {
		if (c->cmsg_level != SOL_UDP || c->cmsg_type != UDP_GRO ||
		    c->cmsg_len < CMSG_LEN(sizeof(size)))
			continue;
		memcpy(&size, CMSG_DATA(c), sizeof(size));
		return size > 0 ? size : 0;
	}
	return 0;
}

static const void *align(struct pbft_udp_rx *rx, const u8 *data, u32 len)
{
	if (!((uintptr_t)data % 8))
		return data;
	return memcpy(rx->aligned, data, len);
}

/* Return the datagrams in packet @i. */
static u32 take_packet(struct pbft_udp_rx *rx, u32 i, pbft_udp_fn fn, void *arg)
{
	struct msghdr *h = &rx->msg[i].msg_hdr;
	const u8 *data = rx->iov[i].iov_base;
	u32 left = rx->msg[i].msg_len, count = 0, len;
	u32 size = rx->gro ? segment_size(h) : 0;

	rx->stats.bytes += left;
	if (h->msg_flags & MSG_TRUNC) {
		fn(arg, NULL, left, &rx->from[i], h->msg_namelen);
		return 1;
	}
	do {
		len = size ? min(size, left) : left;
		fn(arg, len <= rx->mtu ? align(rx, data, len) : NULL, len,
		   &rx->from[i], h->msg_namelen);
		data += len;
		left -= len;
		count++;
	} while (left);
	return count;
}

int pbft_udp_rx(struct pbft_udp_rx *rx, pbft_udp_fn fn, void *arg, bool *more)
{
	int total = 0, n, i;

	for (; rx->used; rx->used--) {
		struct msghdr *h = &rx->msg[rx->used - 1].msg_hdr;

		h->msg_namelen = sizeof(rx->from[0]);
		h->msg_controllen = rx->gro ? RX_CONTROL : 0;
	}
	n = recvmmsg(rx->fd, rx->msg, rx->room, MSG_DONTWAIT, NULL);
	rx->stats.calls++;
	*more = n == (int)rx->room;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOMEM ||
		       errno == ENOBUFS ? 0 : -errno;
	rx->used = n;
	for (i = 0; i < n; i++)
		total += take_packet(rx, i, fn, arg);
	rx->stats.packets += n;
	rx->stats.datagrams += total;
	return total;
}
