/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Where kernels differ, and nowhere else: the code is written against the
 * newest interface, which older kernels get here. HAVE_* macros come from
 * compat-probe.sh, which tries to compile what it asks for.
 */
#ifndef PBFT_COMPAT_H
#define PBFT_COMPAT_H

#include <linux/hrtimer.h>
#include <net/genetlink.h>
#include <net/udp_tunnel.h>
#include "compat-probed.h"

#ifdef HAVE_CRYPTO_UTILS_H
#include <crypto/utils.h>	/* crypto_memneq() */
#else
#include <crypto/algapi.h>
#endif

/* Distributions may leave the library out; then raw pairwise keys remain. */
#if IS_REACHABLE(CONFIG_CRYPTO_LIB_CURVE25519)
#define HAVE_CURVE25519 1
#include <crypto/curve25519.h>
#endif

static inline void pbft_compat_hrtimer_setup(struct hrtimer *timer,
					     enum hrtimer_restart (*fn)(struct hrtimer *))
{
#ifdef HAVE_HRTIMER_SETUP
	hrtimer_setup(timer, fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
#else
	hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
	timer->function = fn;
#endif
}

static inline void pbft_compat_tunnel_setup(struct net *net, struct socket *sock,
					    struct udp_tunnel_sock_cfg *cfg)
{
#ifdef HAVE_UDP_TUNNEL_SOCK_SK
	setup_udp_tunnel_sock(net, sock->sk, cfg);
#else
	setup_udp_tunnel_sock(net, sock, cfg);
#endif
}

static inline void pbft_compat_tunnel_release(struct socket *sock)
{
#ifdef HAVE_UDP_TUNNEL_RELEASE_SK
	udp_tunnel_sock_release(sock->sk);
#else
	udp_tunnel_sock_release(sock);
#endif
}

static inline void pbft_compat_xmit4(struct rtable *rt, struct sock *sk,
				     struct sk_buff *skb, struct flowi4 *fl,
				     u8 ttl)
{
#ifdef HAVE_UDP_TUNNEL_IPCB_FLAGS
	udp_tunnel_xmit_skb(rt, sk, skb, fl->saddr, fl->daddr, 0, ttl, 0,
			    fl->fl4_sport, fl->fl4_dport, false, false, 0);
#else
	udp_tunnel_xmit_skb(rt, sk, skb, fl->saddr, fl->daddr, 0, ttl, 0,
			    fl->fl4_sport, fl->fl4_dport, false, false);
#endif
}

#if IS_ENABLED(CONFIG_IPV6)
#ifndef HAVE_IPV6_STUB
#include <net/ipv6.h>
#endif

static inline struct dst_entry *pbft_compat_route6(struct net *net, struct sock *sk,
						   struct flowi6 *fl)
{
#ifdef HAVE_IPV6_STUB
	return ipv6_stub->ipv6_dst_lookup_flow(net, sk, fl, NULL);
#else
	return ip6_dst_lookup_flow(net, sk, fl, NULL);
#endif
}

static inline void pbft_compat_xmit6(struct dst_entry *dst, struct sock *sk,
				     struct sk_buff *skb, struct flowi6 *fl,
				     u8 ttl)
{
#ifdef HAVE_UDP_TUNNEL_IPCB_FLAGS
	udp_tunnel6_xmit_skb(dst, sk, skb, NULL, &fl->saddr, &fl->daddr, 0, ttl,
			     0, fl->fl6_sport, fl->fl6_dport, false, 0);
#else
	udp_tunnel6_xmit_skb(dst, sk, skb, NULL, &fl->saddr, &fl->daddr, 0, ttl,
			     0, fl->fl6_sport, fl->fl6_dport, false);
#endif
}
#endif

#ifdef HAVE_GENL_MCAST_CAP_NET_ADMIN
#define PBFT_COMPAT_MCGRP_FLAGS GENL_MCAST_CAP_NET_ADMIN
#else
#define PBFT_COMPAT_MCGRP_FLAGS GENL_UNS_ADMIN_PERM
#endif

#endif /* PBFT_COMPAT_H */
