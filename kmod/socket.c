// SPDX-License-Identifier: GPL-2.0
/*
 * One kernel UDP socket for each instance, IPv4 or IPv6, bound to the endpoint
 * that the configuration names as ours. Datagrams come in by encap_rcv in
 * softirq and leave by the tunnel helpers, with the route cached per peer.
 */
#include <linux/inet.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_route.h>
#include <net/route.h>
#include "compat.h"
#include "io.h"

/* Headers that will be pushed, rounded so that the payload stays aligned. */
#define HEADROOM	ALIGN(LL_MAX_HEADER + sizeof(struct ipv6hdr) + \
			      sizeof(struct udphdr), 8)

static int encap_rcv(struct sock *sk, struct sk_buff *skb)
{
	struct pbft_instance *inst = rcu_dereference_sk_user_data(sk);

	if (likely(inst))
		pbft_receive_skb(inst, skb);
	else
		kfree_skb(skb);	/* going down */
	return 0;
}

static void port_cfg(struct udp_port_cfg *cfg, const union pbft_addr *listen)
{
	memset(cfg, 0, sizeof(*cfg));
	cfg->family = listen->family;
	cfg->use_udp_checksums = true;
#if IS_ENABLED(CONFIG_IPV6)
	if (cfg->family == AF_INET6) {
		cfg->local_ip6 = listen->in6.sin6_addr;
		cfg->local_udp_port = listen->in6.sin6_port;
		cfg->bind_ifindex = listen->in6.sin6_scope_id;
		cfg->use_udp6_tx_checksums = true;
		cfg->use_udp6_rx_checksums = true;
		cfg->ipv6_v6only = true;
		return;
	}
#endif
	cfg->local_ip = listen->in.sin_addr;
	cfg->local_udp_port = listen->in.sin_port;
}

static const char *open_error(int err)
{
	switch (err) {
	case -EADDRINUSE:
		return "our own endpoint is in use by another socket";
	case -EADDRNOTAVAIL:
		return "our own endpoint is not an address of this namespace";
	case -EAFNOSUPPORT:
	case -EPFNOSUPPORT:
		return "this kernel lacks the address family of our own endpoint";
	case -ENODEV:
		return "the interface of our own endpoint does not exist";
	case -ENOMEM:
		return "no memory for the socket";
	}
	return "the socket for our own endpoint cannot be opened";
}

int pbft_socket_open(struct pbft_instance *inst, const char **why)
{
	struct udp_tunnel_sock_cfg tunnel = {
		.sk_user_data = inst,
		.encap_type = 1,
		.encap_rcv = encap_rcv,
	};
	struct udp_port_cfg port;
	struct socket *sock;
	int err;

	port_cfg(&port, &inst->conf.listen);
	err = udp_sock_create(inst->net, &port, &sock);
	if (err) {
		*why = open_error(err);
		return err;
	}
	sock->sk->sk_allocation = GFP_ATOMIC;
	rcu_assign_pointer(inst->sock, sock);
	pbft_compat_tunnel_setup(inst->net, sock, &tunnel);
	return 0;
}

void pbft_socket_close(struct pbft_instance *inst)
{
	struct socket *sock = rcu_dereference_protected(inst->sock, true);

	if (!sock)
		return;
	/* First senders: after the grace period nobody has the pointer. */
	RCU_INIT_POINTER(inst->sock, NULL);
	rcu_assign_sk_user_data(sock->sk, NULL);
	synchronize_net();
	/* ... and receivers, who found the instance by the socket. */
	pbft_compat_tunnel_release(sock);
}

struct sk_buff *pbft_skb_alloc(u32 len)
{
	struct sk_buff *skb = alloc_skb(HEADROOM + len, GFP_ATOMIC);

	if (skb)
		skb_reserve(skb, HEADROOM);
	return skb;
}

static bool xmit4(struct pbft_instance *inst, struct sock *sk,
		  struct dst_cache *cache, const struct sockaddr_in *to,
		  struct sk_buff *skb)
{
	const struct sockaddr_in *from = &inst->conf.listen.in;
	struct flowi4 fl = {
		.saddr = from->sin_addr.s_addr,
		.daddr = to->sin_addr.s_addr,
		.fl4_sport = from->sin_port,
		.fl4_dport = to->sin_port,
		.flowi4_proto = IPPROTO_UDP,
	};
	struct rtable *rt;

	rt = dst_cache_get_ip4(cache, &fl.saddr);
	if (!rt) {
		security_sk_classify_flow(sk, flowi4_to_flowi_common(&fl));
		rt = ip_route_output_flow(inst->net, &fl, sk);
		if (IS_ERR(rt))
			return false;
		dst_cache_set_ip4(cache, &rt->dst, fl.saddr);
	}
	pbft_compat_xmit4(rt, sk, skb, &fl, ip4_dst_hoplimit(&rt->dst));
	return true;
}

static bool xmit6(struct pbft_instance *inst, struct sock *sk,
		  struct dst_cache *cache, const struct sockaddr_in6 *to,
		  struct sk_buff *skb)
{
#if IS_ENABLED(CONFIG_IPV6)
	const struct sockaddr_in6 *from = &inst->conf.listen.in6;
	struct flowi6 fl = {
		.saddr = from->sin6_addr,
		.daddr = to->sin6_addr,
		.fl6_sport = from->sin6_port,
		.fl6_dport = to->sin6_port,
		.flowi6_oif = to->sin6_scope_id,
		.flowi6_proto = IPPROTO_UDP,
	};
	struct dst_entry *dst;

	dst = dst_cache_get_ip6(cache, &fl.saddr);
	if (!dst) {
		security_sk_classify_flow(sk, flowi6_to_flowi_common(&fl));
		dst = pbft_compat_route6(inst->net, sk, &fl);
		if (IS_ERR(dst))
			return false;
		dst_cache_set_ip6(cache, dst, &fl.saddr);
	}
	pbft_compat_xmit6(dst, sk, skb, &fl, ip6_dst_hoplimit(dst));
	return true;
#else
	return false;
#endif
}

void pbft_xmit(struct pbft_instance *inst, struct socket *sock,
	       struct pbft_peer *peer, struct sk_buff *skb)
{
	union pbft_addr to = pbft_peer_addr(peer);
	enum pbft_stat stat = PBFT_STAT_TX_NO_ADDRESS;
	u32 len = skb->len;
	bool sent = false;

	/* The path's own limit is dealt with rather than told to nobody. */
	skb->ignore_df = 1;
	if (to.family && to.family == inst->conf.listen.family) {
		stat = PBFT_STAT_TX_NO_ROUTE;
		if (to.family == AF_INET)
			sent = xmit4(inst, sock->sk, &peer->dst, &to.in, skb);
		else
			sent = xmit6(inst, sock->sk, &peer->dst, &to.in6, skb);
	}
	if (!sent) {
		kfree_skb(skb);
		pbft_count(inst, stat);
		return;
	}
	pbft_count(inst, PBFT_STAT_TX_PACKETS);
	pbft_count_add(inst, PBFT_STAT_TX_BYTES, len);
	atomic_long_inc(&peer->stats.tx);
}
