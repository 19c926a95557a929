// SPDX-License-Identifier: GPL-2.0
/*
 * The way of a datagram to the core: format, sender, MAC, all outside of any
 * lock on the processor it came in on, and before anything is allocated. Then
 * by type: what agreement needs goes to the core at once, what is rare and
 * heavy to the work item, daemons' datagrams to the daemon, fragments to the
 * sender's own places.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>
#include <net/ipv6.h>
#include "apply.h"
#include "io.h"
#include "disk.h"
#include "trace.h"

void pbft_drop(struct pbft_instance *inst, struct pbft_peer *peer, u32 sender,
	       u8 type, enum pbft_drop reason)
{
	this_cpu_inc(inst->stats->drop[reason]);
	if (peer)
		atomic_long_inc(&peer->stats.drop[reason]);
	trace_pbft_drop(inst, sender, type, reason);
}

static void count_drop(struct pbft_instance *inst, const struct pbft_rx *rx,
		       enum pbft_drop reason)
{
	pbft_drop(inst, rx->peer, rx->head.sender, rx->head.type, reason);
}

/* Our MAC of a message: the only one, or the authenticator's entry for us. */
const u8 *pbft_rx_mac(const struct pbft_instance *inst, const u8 *data,
		      const struct pbft_head *head)
{
	const u8 *auth = data + head->len;

	if (pbft_wire_auth(head->type) == PBFT_AUTH_VECTOR)
		auth += inst->conf.self.self * PBFT_MAC_LEN;
	return auth;
}

enum pbft_drop pbft_rx_check(struct pbft_instance *inst, struct pbft_rx *rx)
{
	enum pbft_drop drop;
	struct pbft_key *key;

	drop = pbft_wire_check(&inst->wire, rx->data, rx->len, &rx->head);
	if (drop != PBFT_OK)
		return drop;
	rx->peer = pbft_peer_find(rcu_dereference(inst->nodes), rx->head.sender);
	if (!rx->peer)
		return PBFT_DROP_SENDER;
	key = pbft_key_find(rx->peer->rx, rx->head.key_id);
	if (!key)
		return PBFT_DROP_KEY;
	if (!pbft_mac_ok(key, rx->data, rx->head.len,
			 pbft_rx_mac(inst, rx->data, &rx->head)))
		return PBFT_DROP_MAC;
	atomic_long_inc(&rx->peer->stats.rx);
	pbft_key_proved(inst, rx->peer, rx->head.key_id);
	return PBFT_OK;
}

/* ---- to the core ---------------------------------------------------------- */

/* Is a message inside another one authentic for us, from who it says? */
static bool inner_ok(struct pbft_instance *inst, const struct pbft_inner *it)
{
	struct pbft_peer *peer;
	struct pbft_key *key;

	peer = pbft_peer_find(rcu_dereference(inst->nodes), it->head.sender);
	if (!peer)
		return false;
	key = pbft_key_find(peer->rx, it->head.key_id);
	return key && pbft_mac_ok(key, it->data, it->head.len,
				  pbft_rx_mac(inst, it->data, &it->head));
}

static void check_inner(struct pbft_instance *inst, const struct pbft_rx *rx,
			struct pbft_verdict *verdict)
{
	u32 n = inst->wire.n;
	struct pbft_inner it;
	bool more;

	memset(verdict, 0, sizeof(*verdict));
	for (more = pbft_inner_first(rx->data, rx->len, n, &it);
	     more && it.index < PBFT_BATCH_MAX;
	     more = pbft_inner_next(rx->data, rx->len, n, &it)) {
		if (!it.data)
			continue;
		if (inner_ok(inst, &it))
			__set_bit(it.index, verdict->inner_ok);
		else
			pbft_count(inst, PBFT_STAT_INNER_BAD);
	}
}

static void trace_rx(const struct pbft_instance *inst, const struct pbft_rx *rx)
{
	pbft_trace_message(inst, false, rx->head.sender, rx->head.type,
			   rx->head.view, rx->head.seq, rx->len);
}

/* What the core keeps it keeps in a buffer; the datagram's skb goes its way. */
static struct pbft_buf *copy_to_buf(const struct pbft_rx *rx)
{
	struct pbft_buf *buf = pbft_buf_alloc(rx->len);

	if (!buf)
		return NULL;
	memcpy(buf->data, rx->data, rx->len);
	buf->len = rx->len;
	return buf;
}

enum pbft_drop pbft_rx_step(struct pbft_instance *inst, struct pbft_rx *rx)
{
	struct pbft_packet pkt = {
		.data = rx->data,
		.len = rx->len,
		.head = rx->head,
		.buf = rx->buf,
	};
	enum pbft_drop drop = PBFT_OK;
	struct pbft_buf *copy = NULL;
	struct pbft_verdict verdict;
	struct pbft_core *core;
	u64 now;

	check_inner(inst, rx, &verdict);
	if (!pkt.buf && pbft_wire_retained(rx->head.type)) {
		copy = copy_to_buf(rx);
		if (!copy)
			return PBFT_DROP_NOMEM;
		pkt.buf = copy;
		pkt.data = copy->data;
	}
	trace_rx(inst, rx);
	core = pbft_enter(inst, &now);
	if (!core || inst->stopped)
		drop = PBFT_DROP_STOPPED;
	else if (!pbft_disk_ready(inst))
		drop = PBFT_DROP_JOURNAL;
	else
		pbft_step(core, now, &pkt, &verdict);
	pbft_leave(inst);
	pbft_buf_put(copy);
	return drop;
}

/* ---- by type ---------------------------------------------------------------- */

static bool source_addr(const struct sk_buff *skb, union pbft_addr *addr)
{
	memset(addr, 0, sizeof(*addr));
	if (skb->protocol == htons(ETH_P_IP)) {
		addr->in.sin_family = AF_INET;
		addr->in.sin_addr.s_addr = ip_hdr(skb)->saddr;
		addr->in.sin_port = udp_hdr(skb)->source;
		return true;
	}
	if (skb->protocol == htons(ETH_P_IPV6)) {
		addr->in6.sin6_family = AF_INET6;
		addr->in6.sin6_addr = ipv6_hdr(skb)->saddr;
		addr->in6.sin6_port = udp_hdr(skb)->source;
		addr->in6.sin6_scope_id =
			ipv6_iface_scope_id(&ipv6_hdr(skb)->saddr,
					    skb->skb_iif);
		return true;
	}
	return false;
}

/*
 * The one message that moves an address, and only that of the client it comes
 * from. Strictly newer than the last: an old one played back moves nothing.
 */
static enum pbft_drop rx_hello(struct pbft_instance *inst, struct pbft_rx *rx)
{
	u64 session = le64_to_cpu(((const struct pbft_hello *)rx->data)->session);
	struct pbft_peer *peer = rx->peer;
	union pbft_addr addr;
	bool newer;

	if (!rx->skb || !source_addr(rx->skb, &addr))
		return PBFT_DROP_MALFORMED;
	spin_lock_bh(&peer->lock);
	newer = session > peer->hello_session ||
		(session == peer->hello_session &&
		 rx->head.seq > peer->hello_seq);
	if (newer) {
		peer->hello_session = session;
		peer->hello_seq = rx->head.seq;
		if (!pbft_addr_eq(&peer->addr, &addr)) {
			peer->addr = addr;
			dst_cache_reset(&peer->dst);
		}
	}
	spin_unlock_bh(&peer->lock);
	if (!newer) {
		pbft_count(inst, PBFT_STAT_HELLO_STALE);
		return PBFT_OK;
	}
	return pbft_rx_step(inst, rx);
}

/* Does it wait for the work item? Agreement itself never does. */
static bool heavy(const struct pbft_rx *rx)
{
	switch (rx->head.type) {
	case PBFT_VIEW_CHANGE:
	case PBFT_VIEW_CHANGE_ACK:
	case PBFT_NEW_VIEW:
	case PBFT_STATUS:
	case PBFT_FETCH:
	case PBFT_BATCH:
	case PBFT_QUERY_STABLE:
	case PBFT_REPLY_STABLE:
	case PBFT_REJOIN:
		return true;
	case PBFT_RELAY:
		return ((const struct pbft_hdr *)
			((const struct pbft_relay *)rx->data)->inner)->type !=
		       PBFT_REQUEST;
	}
	return false;
}

static enum pbft_drop rx_fragment(struct pbft_instance *inst,
				  struct pbft_rx *rx);

/* An authentic message, by its type. RCU. */
static enum pbft_drop rx_deliver(struct pbft_instance *inst, struct pbft_rx *rx,
				 bool queued)
{
	switch (rx->head.type) {
	case PBFT_REPLY:
	case PBFT_HELLO_ACK:
		return PBFT_DROP_TYPE;	/* those are for clients */
	case PBFT_FRAGMENT:
		return rx_fragment(inst, rx);
	case PBFT_PEER_DATA:
		return pbft_daemon_peer_recv(inst, rx->peer,
					     rx->data + sizeof(struct pbft_peer_data),
					     rx->head.len - sizeof(struct pbft_peer_data));
	case PBFT_HELLO:
		return rx_hello(inst, rx);
	}
	if (!queued && heavy(rx))
		return pbft_queue_add(inst, rx, PBFT_QUEUED_CHECKED);
	return pbft_rx_step(inst, rx);
}

/* A message made of @sender's fragments: nothing about it is known yet. */
static enum pbft_drop rx_whole(struct pbft_instance *inst, struct pbft_rx *rx,
			       u32 sender, bool queued)
{
	enum pbft_drop drop = pbft_rx_check(inst, rx);

	if (drop != PBFT_OK)
		return drop;
	if (rx->head.sender != sender)
		return PBFT_DROP_SENDER;
	if (rx->head.type == PBFT_FRAGMENT)
		return PBFT_DROP_MALFORMED;
	return rx_deliver(inst, rx, queued);
}

static struct pbft_buf *reassemble(struct pbft_instance *inst,
				   struct pbft_rx *rx, enum pbft_drop *drop)
{
	struct pbft_peer *peer = rx->peer;
	struct pbft_buf *whole = NULL;

	*drop = PBFT_DROP_NOMEM;
	spin_lock_bh(&peer->lock);
	if (!peer->reasm)
		peer->reasm = kzalloc(sizeof(*peer->reasm), GFP_ATOMIC);
	if (peer->reasm)
		whole = pbft_reasm_add(peer->reasm, (const void *)rx->data,
				       pbft_peer_msg_max(peer, inst->wire.n),
				       drop);
	spin_unlock_bh(&peer->lock);
	return whole;
}

static enum pbft_drop rx_fragment(struct pbft_instance *inst, struct pbft_rx *rx)
{
	struct pbft_rx whole = {};
	enum pbft_drop drop;
	u8 type;

	whole.buf = reassemble(inst, rx, &drop);
	if (!whole.buf)
		return drop;
	whole.data = whole.buf->data;
	whole.len = whole.buf->len;
	type = whole.len < sizeof(struct pbft_hdr) ? 0 :
	       ((const struct pbft_hdr *)whole.data)->type;
	if (type == PBFT_REQUEST || type == PBFT_PRE_PREPARE) {
		drop = rx_whole(inst, &whole, rx->head.sender, false);
	} else {
		whole.peer = rx->peer;
		drop = pbft_queue_add(inst, &whole, PBFT_QUEUED_WHOLE);
	}
	pbft_buf_put(whole.buf);
	return drop;
}

/* ---- ways in -------------------------------------------------------------------- */

/* The payload in one piece and aligned: as it lies, or in the scratch buffer. */
static const u8 *payload(struct pbft_instance *inst, const struct sk_buff *skb)
{
	void *scratch;

	if (!skb_is_nonlinear(skb) && IS_ALIGNED((unsigned long)skb->data, 8))
		return skb->data;
	if (skb->len > inst->scratch_size)
		return NULL;
	scratch = *this_cpu_ptr(inst->scratch);
	return skb_copy_bits(skb, 0, scratch, skb->len) ? NULL : scratch;
}

void pbft_receive_skb(struct pbft_instance *inst, struct sk_buff *skb)
{
	struct pbft_rx rx = { .skb = skb };
	enum pbft_drop drop = PBFT_DROP_SHORT;

	pbft_count(inst, PBFT_STAT_RX_PACKETS);
	if (unlikely(!pskb_may_pull(skb, sizeof(struct udphdr))))
		goto out;
	__skb_pull(skb, sizeof(struct udphdr));
	pbft_count_add(inst, PBFT_STAT_RX_BYTES, skb->len);

	drop = PBFT_DROP_LENGTH;
	rx.len = skb->len;
	rx.data = payload(inst, skb);
	if (unlikely(!rx.data))
		goto out;
	drop = pbft_rx_check(inst, &rx);
	if (likely(drop == PBFT_OK))
		drop = rx_deliver(inst, &rx, false);
	else if (drop == PBFT_DROP_KEY &&
		 pbft_key_worth_learning(rx.peer, rx.head.key_id))
		drop = pbft_queue_add(inst, &rx, PBFT_QUEUED_UNKNOWN_KEY);
out:
	if (drop != PBFT_OK) {
		count_drop(inst, &rx, drop);
		kfree_skb(skb);
	} else {
		consume_skb(skb);
	}
}

void pbft_receive_queued(struct pbft_instance *inst, struct pbft_rx *rx,
			 enum pbft_queued how, u32 sender)
{
	enum pbft_drop drop;

	rcu_read_lock();
	if (how == PBFT_QUEUED_WHOLE)
		drop = rx_whole(inst, rx, sender, true);
	else
		drop = pbft_rx_check(inst, rx) ?: rx_deliver(inst, rx, true);
	if (drop != PBFT_OK)
		count_drop(inst, rx, drop);
	rcu_read_unlock();
}
