// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: format, sender, MAC, and only then the message's own business.
 *
 * Buffers come from a fixed set. What the core keeps of a small message is a
 * copy of the right size; a large one is handed over with its buffer, which is
 * replaced.
 */
#include <errno.h>
#include "replica_priv.h"

/* Up to here a copy is cheaper, and holds less memory, than the buffer. */
#define RX_COPY		768

int rep_rx_init(struct pbft_replica *r)
{
	struct rep_rx *rx = &r->rx;
	u32 i;

	for (i = 0; i < RX_BATCH; i++) {
		rx->bufs[i] = pbft_buf_alloc(r->mtu);
		if (!rx->bufs[i])
			return -ENOMEM;
		rx->iov[i].iov_base = rx->bufs[i]->data;
		rx->iov[i].iov_len = r->mtu;
		rx->msgs[i].msg_hdr.msg_iov = &rx->iov[i];
		rx->msgs[i].msg_hdr.msg_iovlen = 1;
		rx->msgs[i].msg_hdr.msg_name = &rx->from[i];
	}
	return 0;
}

void rep_rx_free(struct pbft_replica *r)
{
	u32 i;

	for (i = 0; i < RX_BATCH; i++)
		pbft_buf_put(r->rx.bufs[i]);
}

/* ---- authenticity -------------------------------------------------------- */

/* Our MAC of a message: the only one, or the authenticator's entry for us. */
static const u8 *our_mac(const struct pbft_replica *r, const u8 *data,
			 const struct pbft_head *head)
{
	data += head->len;
	if (pbft_wire_auth(head->type) == PBFT_AUTH_VECTOR)
		data += r->self * PBFT_MAC_LEN;
	return data;
}

static enum pbft_drop check(struct pbft_replica *r, const void *data, u32 len,
			    struct pbft_head *head, struct rep_peer **from)
{
	enum pbft_drop drop = pbft_wire_check(&r->wire, data, len, head);

	if (drop != PBFT_OK)
		return drop;
	*from = rep_peer(r, head->sender);
	if (!*from)
		return PBFT_DROP_SENDER;
	return rep_authentic(r, *from, head->key_id, data, head->len,
			     our_mac(r, data, head));
}

static void check_inner(struct pbft_replica *r, const void *data, u32 len,
			struct pbft_verdict *verdict)
{
	struct rep_peer *from;
	struct pbft_inner it;
	bool more;

	memset(verdict, 0, sizeof(*verdict));
	for (more = pbft_inner_first(data, len, r->wire.n, &it);
	     more && it.index < PBFT_BATCH_MAX;
	     more = pbft_inner_next(data, len, r->wire.n, &it)) {
		if (!it.data)
			continue;
		from = rep_peer(r, it.head.sender);
		if (from && rep_authentic(r, from, it.head.key_id, it.data,
					  it.head.len,
					  our_mac(r, it.data, &it.head)) == PBFT_OK)
			__set_bit(it.index, verdict->inner_ok);
		else
			r->stats.inner_bad++;
	}
}

/* ---- by type --------------------------------------------------------------- */

static bool carries_others(u8 type)
{
	return type == PBFT_PRE_PREPARE || type == PBFT_BATCH ||
	       type == PBFT_RELAY;
}

static void step(struct pbft_replica *r, struct pbft_buf *buf,
		 const struct pbft_head *head)
{
	struct pbft_packet pkt = {
		.data = buf->data, .len = buf->len, .head = *head, .buf = buf,
	};
	bool others = carries_others(head->type);
	struct pbft_verdict verdict;

	if (others)
		check_inner(r, buf->data, buf->len, &verdict);
	if (!rep_disk_ready(r))
		rep_disk_commit(r);
	pbft_step(r->core, r->now, &pkt, others ? &verdict : NULL);
	rep_drain(r);
}

/* Where a client's replies go is what its newest HELLO says, nothing else. */
static void hello(struct pbft_replica *r, struct rep_peer *from,
		  const struct pbft_hello *m, const union rep_addr *addr,
		  socklen_t addr_len)
{
	u64 session = le64_to_cpu(m->session), seq = le64_to_cpu(m->hdr.seq);
	struct pbft_hello_ack *ack;
	struct pbft_buf *buf;

	if (session < from->session ||
	    (session == from->session && seq <= from->hello)) {
		r->stats.hellos_old++;
		return;
	}
	from->session = session;
	from->hello = seq;
	from->addr = *addr;
	from->addr_len = addr_len;
	r->stats.hellos++;

	buf = pbft_buf_alloc(sizeof(*ack));
	if (!buf)
		return;
	ack = (void *)buf->data;
	pbft_wire_header(&ack->hdr, &r->wire, PBFT_HELLO_ACK, sizeof(*ack),
			 r->self, r->view, seq);
	ack->session = m->session;
	buf->len = sizeof(*ack);
	rep_send_to(r, from, buf);
	pbft_buf_put(buf);
}

static enum pbft_drop dispatch(struct pbft_replica *r, struct rep_peer *from,
			       struct pbft_buf *buf, const struct pbft_head *head,
			       const union rep_addr *addr, socklen_t addr_len);

static enum pbft_drop fragment(struct pbft_replica *r, struct rep_peer *from,
			       const struct pbft_fragment *frag,
			       const union rep_addr *addr, socklen_t addr_len)
{
	bool client = from->id >= PBFT_CLIENT_ID_MIN;
	u32 largest = client ? sizeof(struct pbft_request) + PBFT_OP_MAX :
			       PBFT_MSG_MAX;
	struct pbft_head head;
	struct rep_peer *sender;
	struct pbft_buf *whole;
	enum pbft_drop drop;

	if (!from->reasm) {
		from->reasm = calloc(1, sizeof(*from->reasm));
		if (!from->reasm)
			return PBFT_DROP_NOMEM;
	}
	whole = pbft_reasm_add(from->reasm, frag,
			       largest + r->wire.n * PBFT_MAC_LEN, &drop);
	if (!whole)
		return drop;
	drop = check(r, whole->data, whole->len, &head, &sender);
	/* Only what it may send in one piece may it send in several. */
	if (drop == PBFT_OK && (sender != from || head.type == PBFT_FRAGMENT))
		drop = PBFT_DROP_MALFORMED;
	if (drop == PBFT_OK)
		drop = dispatch(r, from, whole, &head, addr, addr_len);
	pbft_buf_put(whole);
	return drop;
}

static enum pbft_drop dispatch(struct pbft_replica *r, struct rep_peer *from,
			       struct pbft_buf *buf, const struct pbft_head *head,
			       const union rep_addr *addr, socklen_t addr_len)
{
	switch (head->type) {
	case PBFT_FRAGMENT:
		return fragment(r, from, (const void *)buf->data, addr, addr_len);
	case PBFT_HELLO:
		hello(r, from, (const void *)buf->data, addr, addr_len);
		return PBFT_OK;
	case PBFT_PEER_DATA:
		if (r->ops->peer_recv)
			r->ops->peer_recv(r->arg, from->id,
					  buf->data + sizeof(struct pbft_peer_data),
					  head->len - sizeof(struct pbft_peer_data));
		return PBFT_OK;
	case PBFT_REPLY:
	case PBFT_HELLO_ACK:
		return PBFT_DROP_TYPE;	/* for clients */
	default:
		step(r, buf, head);
		return PBFT_OK;
	}
}

/* ---- datagrams --------------------------------------------------------------- */

/* The core may keep @type: give it a buffer that the next datagram leaves alone. */
static struct pbft_buf *small_copy(const struct pbft_buf *buf)
{
	struct pbft_buf *copy = pbft_buf_alloc(buf->len);

	if (!copy)
		return NULL;
	memcpy(copy->data, buf->data, buf->len);
	copy->len = buf->len;
	return copy;
}

static void renew(struct pbft_replica *r, u32 i)
{
	struct pbft_buf *fresh;

	if (likely(refcount_read(&r->rx.bufs[i]->refs) == 1)) {
		r->rx.iov[i].iov_base = r->rx.bufs[i]->data;
		return;
	}
	fresh = pbft_buf_alloc(r->mtu);
	if (!fresh) {
		/*
		 * The core holds the old one and reads it: receive less at a
		 * time rather than into that. rep_receive() tries again.
		 */
		r->rx.iov[i].iov_base = NULL;
		return;
	}
	pbft_buf_put(r->rx.bufs[i]);
	r->rx.bufs[i] = fresh;
	r->rx.iov[i].iov_base = fresh->data;
}

static enum pbft_drop datagram(struct pbft_replica *r, u32 i)
{
	const struct msghdr *h = &r->rx.msgs[i].msg_hdr;
	struct pbft_buf *buf = r->rx.bufs[i], *copy;
	struct rep_peer *from;
	struct pbft_head head;
	enum pbft_drop drop;

	if (h->msg_flags & MSG_TRUNC)
		return PBFT_DROP_LENGTH;
	buf->len = r->rx.msgs[i].msg_len;
	drop = check(r, buf->data, buf->len, &head, &from);
	if (drop != PBFT_OK)
		return drop;
	if (pbft_wire_retained(head.type) && buf->len <= RX_COPY) {
		copy = small_copy(buf);
		if (!copy)
			return PBFT_DROP_NOMEM;
		drop = dispatch(r, from, copy, &head, &r->rx.from[i],
				h->msg_namelen);
		pbft_buf_put(copy);
		return drop;
	}
	drop = dispatch(r, from, buf, &head, &r->rx.from[i], h->msg_namelen);
	renew(r, i);
	return drop;
}

/* Buffers that may be received into, from the first on. */
static u32 ready_buffers(struct pbft_replica *r)
{
	u32 i;

	for (i = 0; i < RX_BATCH; i++) {
		if (unlikely(!r->rx.iov[i].iov_base))
			renew(r, i);
		if (!r->rx.iov[i].iov_base)
			break;
		r->rx.msgs[i].msg_hdr.msg_namelen = sizeof(r->rx.from[i]);
	}
	return i;
}

int rep_receive(struct pbft_replica *r)
{
	u32 room = ready_buffers(r);
	enum pbft_drop drop;
	int n, i;

	if (!room) {
		r->stats.drops[PBFT_DROP_NOMEM]++;
		return 0;
	}
	n = recvmmsg(r->fd, r->rx.msgs, room, MSG_DONTWAIT, NULL);
	r->stats.rx_calls++;
	if (n < 0)
		return errno == EAGAIN || errno == EINTR || errno == ENOMEM ||
		       errno == ENOBUFS ? 0 : -errno;
	for (i = 0; i < n; i++) {
		r->stats.rx_packets++;
		r->stats.rx_bytes += r->rx.msgs[i].msg_len;
		drop = datagram(r, i);
		r->stats.drops[drop]++;
	}
	return n;
}
