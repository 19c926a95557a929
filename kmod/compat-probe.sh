#!/bin/sh
# SPDX-License-Identifier: GPL-2.0
# Write a header of HAVE_* macros: what the kernel we build for offers, found
# out by compiling a few lines each. Distributions carry later names back, so a
# version number would not tell.
#
# usage: compat-probe.sh "COMPILER FLAGS" HEADER

compiler=$1
header=$2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

# compile FILE: as Kbuild would
compile()
{
	# shellcheck disable=SC2086 # the compiler's flags are many words
	$compiler '-DKBUILD_MODNAME="probe"' '-DKBUILD_BASENAME="probe"' -D__KBUILD_MODNAME=probe \
		-Werror=implicit-function-declaration -Werror=incompatible-pointer-types \
		-Werror=int-conversion -c -o "$work/probe.o" "$1"
}

# probe NAME: the program stands on standard input
probe()
{
	cat > "$work/probe.c"
	if compile "$work/probe.c" 2> /dev/null; then
		echo "#define $1 1"
	else
		echo "/* no $1 */"
	fi
}

{
echo '/* Written by compat-probe.sh. */'

# The base line: if this fails, the answers below mean nothing.
printf '#include <net/udp_tunnel.h>\n#include <net/genetlink.h>\n' > "$work/base.c"
compile "$work/base.c" || exit 1

probe HAVE_CRYPTO_UTILS_H <<END
#include <crypto/utils.h>
unsigned long f(const void *a, const void *b);
unsigned long f(const void *a, const void *b)
{
	return crypto_memneq(a, b, 16);
}
END

probe HAVE_HRTIMER_SETUP <<END
#include <linux/hrtimer.h>
void f(struct hrtimer *t, enum hrtimer_restart (*fn)(struct hrtimer *));
void f(struct hrtimer *t, enum hrtimer_restart (*fn)(struct hrtimer *))
{
	hrtimer_setup(t, fn, CLOCK_MONOTONIC, HRTIMER_MODE_ABS_SOFT);
}
END

probe HAVE_UDP_TUNNEL_SOCK_SK <<END
#include <net/udp_tunnel.h>
void f(struct net *net, struct sock *sk, struct udp_tunnel_sock_cfg *cfg);
void f(struct net *net, struct sock *sk, struct udp_tunnel_sock_cfg *cfg)
{
	setup_udp_tunnel_sock(net, sk, cfg);
}
END

probe HAVE_UDP_TUNNEL_RELEASE_SK <<END
#include <net/udp_tunnel.h>
void f(struct sock *sk);
void f(struct sock *sk)
{
	udp_tunnel_sock_release(sk);
}
END

probe HAVE_UDP_TUNNEL_IPCB_FLAGS <<END
#include <net/udp_tunnel.h>
void f(struct rtable *rt, struct sock *sk, struct sk_buff *skb);
void f(struct rtable *rt, struct sock *sk, struct sk_buff *skb)
{
	udp_tunnel_xmit_skb(rt, sk, skb, 0, 0, 0, 0, 0, 0, 0, false, false, 0);
}
END

probe HAVE_IPV6_STUB <<END
#include <net/ipv6_stubs.h>
struct dst_entry *f(struct net *net, struct sock *sk, struct flowi6 *fl);
struct dst_entry *f(struct net *net, struct sock *sk, struct flowi6 *fl)
{
	return ipv6_stub->ipv6_dst_lookup_flow(net, sk, fl, NULL);
}
END

probe HAVE_GENL_MCAST_CAP_NET_ADMIN <<END
#include <net/genetlink.h>
struct genl_multicast_group f = { .flags = GENL_MCAST_CAP_NET_ADMIN };
END

probe HAVE_EXTACK_BUFFER <<END
#include <linux/netlink.h>
char *f(struct netlink_ext_ack *e);
char *f(struct netlink_ext_ack *e)
{
	return e->_msg_buf;
}
END
} > "$work/header" || exit 1
mv "$work/header" "$header"
