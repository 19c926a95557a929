// SPDX-License-Identifier: GPL-2.0
/*
 * pbft_floor.ko: what a replicated operation cannot be faster than, measured on
 * pbft.ko's own ways in and out of the kernel, encap_rcv and the UDP tunnel
 * helpers with a cached route, but with no protocol: a datagram that bounces
 * between two namespaces, an unreplicated request/reply service, and MACs.
 *
 * One socket for each namespace, told what to do by /proc/net/pbft_floor:
 *	open ADDRESS PORT REPLY		answer requests by so many bytes
 *	bounce ADDRESS PORT HOPS SIZE	to another such socket and back; HOPS even
 *	mac NAME SIZE COUNT		siphash128, or one of the crypto API
 * Reading it gives the result of the last command, "NANOSECONDS COUNT", or a
 * sentence why there is none. For test machines only: it answers anybody.
 */
#include <crypto/hash.h>
#include <linux/completion.h>
#include <linux/inet.h>
#include <linux/ip.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/udp.h>
#include <net/dst_cache.h>
#include <net/ip.h>
#include <net/net_namespace.h>
#include <net/netns/generic.h>
#include <net/route.h>
#include "compat.h"
#include "siphash.c"	/* the module's own object is part of another module */

#define HEADROOM	ALIGN(LL_MAX_HEADER + sizeof(struct iphdr) + \
			      sizeof(struct udphdr), 8)
#define SIZE_MAX_BYTES	8192u
#define COUNT_MAX	10000000u
#define MAC_KEY_LEN	32
#define BALL_SECONDS	120
#define BALL_MAGIC	0x62616c6cu
#define FILE_NAME	"pbft_floor"

/* Every datagram begins so; a request's own bytes come back in its reply. */
struct floor_msg {
	__be32 magic;		/* BALL_MAGIC, or anything else: a request */
	__be32 left;		/* ball: hops it still has to go */
} __packed;

struct floor_net {
	struct net *net;
	struct mutex lock;	/* commands, one at a time */
	struct socket *sock;
	__be32 addr;
	__be16 port;
	u32 reply_len;
	struct dst_cache dst;
	__be32 dst_addr;	/* whom the cache is for */
	struct completion done;	/* the ball is back */
	u64 finished;
	const char *error;
	u64 ns, count;
};

static unsigned int floor_id __read_mostly;

/* ---- datagrams ------------------------------------------------------------------- */

/* BH off: the cache is this processor's. */
static struct rtable *route(struct floor_net *fn, struct sock *sk,
			    struct flowi4 *fl)
{
	struct rtable *rt = NULL;

	if (READ_ONCE(fn->dst_addr) == fl->daddr)
		rt = dst_cache_get_ip4(&fn->dst, &fl->saddr);
	if (rt)
		return rt;
	rt = ip_route_output_flow(fn->net, fl, sk);
	if (IS_ERR(rt))
		return NULL;
	if (READ_ONCE(fn->dst_addr) != fl->daddr) {
		dst_cache_reset(&fn->dst);
		WRITE_ONCE(fn->dst_addr, fl->daddr);
		return rt;
	}
	dst_cache_set_ip4(&fn->dst, &rt->dst, fl->saddr);
	return rt;
}

static bool send_msg(struct floor_net *fn, struct sock *sk, __be32 to,
		     __be16 port, const struct floor_msg *msg, u32 len)
{
	struct flowi4 fl = {
		.saddr = fn->addr,
		.daddr = to,
		.fl4_sport = fn->port,
		.fl4_dport = port,
		.flowi4_proto = IPPROTO_UDP,
	};
	struct rtable *rt;
	struct sk_buff *skb;

	len = max_t(u32, len, sizeof(*msg));
	skb = alloc_skb(HEADROOM + len, GFP_ATOMIC);
	if (!skb)
		return false;
	skb_reserve(skb, HEADROOM);
	skb_put_zero(skb, len);
	memcpy(skb->data, msg, sizeof(*msg));
	skb->ignore_df = 1;
	rt = route(fn, sk, &fl);
	if (!rt) {
		kfree_skb(skb);
		return false;
	}
	pbft_compat_xmit4(rt, sk, skb, &fl, ip4_dst_hoplimit(&rt->dst));
	return true;
}

static int receive(struct sock *sk, struct sk_buff *skb)
{
	struct floor_net *fn = rcu_dereference_sk_user_data(sk);
	struct floor_msg msg;
	__be32 from;
	__be16 port;
	u32 len, left;

	if (!fn || !pskb_may_pull(skb, sizeof(struct udphdr) + sizeof(msg)))
		goto out;
	memcpy(&msg, skb->data + sizeof(struct udphdr), sizeof(msg));
	from = ip_hdr(skb)->saddr;
	port = udp_hdr(skb)->source;
	len = skb->len - sizeof(struct udphdr);
	if (msg.magic != htonl(BALL_MAGIC)) {
		send_msg(fn, sk, from, port, &msg, fn->reply_len);
		goto out;
	}
	left = ntohl(msg.left);
	if (left) {
		msg.left = htonl(left - 1);
		send_msg(fn, sk, from, port, &msg, len);
	} else {
		fn->finished = ktime_get_ns();
		complete(&fn->done);
	}
out:
	consume_skb(skb);
	return 0;
}

/* ---- commands -------------------------------------------------------------------------- */

static const char *do_open(struct floor_net *fn, __be32 addr, u32 port, u32 reply)
{
	struct udp_tunnel_sock_cfg tunnel = {
		.sk_user_data = fn,
		.encap_type = 1,
		.encap_rcv = receive,
	};
	struct udp_port_cfg cfg = {
		.family = AF_INET,
		.local_ip.s_addr = addr,
		.local_udp_port = htons(port),
		.use_udp_checksums = true,
	};
	struct socket *sock;

	if (fn->sock)
		return "the socket of this namespace is open already";
	if (udp_sock_create(fn->net, &cfg, &sock))
		return "no socket can be bound to that address and port";
	fn->addr = addr;
	fn->port = cfg.local_udp_port;
	fn->reply_len = reply;
	sock->sk->sk_allocation = GFP_ATOMIC;
	fn->sock = sock;
	pbft_compat_tunnel_setup(fn->net, sock, &tunnel);
	return NULL;
}

static const char *do_bounce(struct floor_net *fn, __be32 addr, u32 port,
			     u32 hops, u32 size)
{
	struct floor_msg msg = {
		.magic = htonl(BALL_MAGIC),
		.left = htonl(hops - 1),
	};
	u64 started;
	bool sent;

	if (!fn->sock)
		return "the socket of this namespace is not open";
	if (!hops || hops % 2)
		return "the number of hops must be even: the ball comes back";
	reinit_completion(&fn->done);
	local_bh_disable();
	rcu_read_lock();
	started = ktime_get_ns();
	sent = send_msg(fn, fn->sock->sk, addr, htons(port), &msg, size);
	rcu_read_unlock();
	local_bh_enable();
	if (!sent)
		return "the ball cannot be sent: no route or no memory";
	if (!wait_for_completion_timeout(&fn->done, BALL_SECONDS * HZ))
		return "the ball was lost";
	fn->ns = fn->finished - started;
	fn->count = hops;
	return NULL;
}

static bool tfm_macs(struct crypto_shash *tfm, const void *data, u32 size,
		     u32 count)
{
	u8 mac[HASH_MAX_DIGESTSIZE];
	u32 i;

	for (i = 0; i < count; i++) {
		SHASH_DESC_ON_STACK(desc, tfm);

		desc->tfm = tfm;
		if (crypto_shash_digest(desc, data, size, mac))
			return false;
		cond_resched();
	}
	return true;
}

static void siphash_macs(const struct pbft_siphash_key *sip, u8 *data, u32 size,
			 u32 count)
{
	u8 mac[PBFT_SIPHASH_LEN];
	u32 i;

	for (i = 0; i < count; i++) {
		pbft_siphash(sip, data, size, mac);
		data[0] = mac[0];	/* each depends on the one before */
		cond_resched();
	}
}

static const char *do_mac(struct floor_net *fn, const char *name, u32 size,
			  u32 count)
{
	static const u8 key[MAC_KEY_LEN] = { 1 };
	const char *error = "a MAC failed";
	struct crypto_shash *tfm = NULL;
	struct pbft_siphash_key sip;
	u64 started;
	void *data;

	if (strcmp(name, PBFT_SIPHASH_NAME))
		tfm = crypto_alloc_shash(name, 0, 0);
	if (IS_ERR(tfm))
		return "this kernel has no MAC of that name";
	pbft_siphash_key_set(&sip, key);
	data = kzalloc(size + 1, GFP_KERNEL);
	if (!data || (tfm && crypto_shash_setkey(tfm, key, sizeof(key))))
		goto out;
	started = ktime_get_ns();
	if (!tfm)
		siphash_macs(&sip, data, size, count);
	else if (!tfm_macs(tfm, data, size, count))
		goto out;
	fn->ns = ktime_get_ns() - started;
	fn->count = count;
	error = NULL;
out:
	kfree(data);
	if (tfm)
		crypto_free_shash(tfm);
	return error;
}

static const char *command(struct floor_net *fn, const char *text)
{
	char address[16], name[32];
	__be32 addr = 0;
	u32 a, b, c;

	if (sscanf(text, "mac %31s %u %u", name, &a, &b) == 3)
		return a > SIZE_MAX_BYTES || !b || b > COUNT_MAX ?
			"mac: at most 8192 bytes, 1 to 10000000 times" :
			do_mac(fn, name, a, b);
	if (sscanf(text, "open %15s %u %u", address, &a, &b) == 3) {
		if (!in4_pton(address, -1, (u8 *)&addr, -1, NULL) || !a ||
		    a > 65535 || b > SIZE_MAX_BYTES)
			return "open: an IPv4 address, a port, at most 8192 bytes";
		return do_open(fn, addr, a, b);
	}
	if (sscanf(text, "bounce %15s %u %u %u", address, &a, &b, &c) == 4) {
		if (!in4_pton(address, -1, (u8 *)&addr, -1, NULL) || !a ||
		    a > 65535 || b > COUNT_MAX || c > SIZE_MAX_BYTES)
			return "bounce: an IPv4 address, a port, at most 10000000 hops, at most 8192 bytes";
		return do_bounce(fn, addr, a, b, c);
	}
	return "no such command: open, bounce or mac, each with its numbers";
}

static int on_write(struct file *file, char *text, size_t len)
{
	struct floor_net *fn = net_generic(seq_file_single_net(file->private_data),
					   floor_id);

	mutex_lock(&fn->lock);
	fn->ns = 0;
	fn->count = 0;
	fn->error = command(fn, text);
	mutex_unlock(&fn->lock);
	return fn->error ? -EINVAL : 0;
}

static int on_show(struct seq_file *seq, void *unused)
{
	struct floor_net *fn = net_generic(seq_file_single_net(seq), floor_id);

	mutex_lock(&fn->lock);
	if (fn->error)
		seq_printf(seq, "%s\n", fn->error);
	else
		seq_printf(seq, "%llu %llu\n", fn->ns, fn->count);
	mutex_unlock(&fn->lock);
	return 0;
}

/* ---- life ---------------------------------------------------------------------------------- */

static int __net_init floor_net_init(struct net *net)
{
	struct floor_net *fn = net_generic(net, floor_id);
	int err;

	fn->net = net;
	mutex_init(&fn->lock);
	init_completion(&fn->done);
	err = dst_cache_init(&fn->dst, GFP_KERNEL);
	if (err)
		return err;
	if (proc_create_net_single_write(FILE_NAME, 0600, net->proc_net, on_show,
					 on_write, NULL))
		return 0;
	dst_cache_destroy(&fn->dst);
	return -ENOMEM;
}

static void __net_exit floor_net_exit(struct net *net)
{
	struct floor_net *fn = net_generic(net, floor_id);

	remove_proc_entry(FILE_NAME, net->proc_net);
	if (fn->sock) {
		rcu_assign_sk_user_data(fn->sock->sk, NULL);
		synchronize_net();
		pbft_compat_tunnel_release(fn->sock);
	}
	dst_cache_destroy(&fn->dst);
}

static struct pernet_operations floor_net_ops = {
	.init = floor_net_init,
	.exit = floor_net_exit,
	.id = &floor_id,
	.size = sizeof(struct floor_net),
};

static int __init floor_init(void)
{
	return register_pernet_device(&floor_net_ops);
}

static void __exit floor_exit(void)
{
	unregister_pernet_device(&floor_net_ops);
}

module_init(floor_init);
module_exit(floor_exit);
MODULE_DESCRIPTION("measures what agreement cannot be faster than");
MODULE_LICENSE("GPL");
