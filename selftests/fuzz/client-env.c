// SPDX-License-Identifier: GPL-2.0
/*
 * A client's surroundings (linked with --wrap): datagrams wait here until the
 * client receives them, time stands still unless the target moves it, and whether
 * a MAC holds is what its first byte says. The true ones have tests of their own;
 * here they would only keep the fuzzer from the code behind them.
 */
#include <errno.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include "client-env.h"
#include "libpbft/crypto.h"

#define QUEUE	64

int __real_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);
int __wrap_recvmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags,
		    struct timespec *timeout);
int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags);
ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags);
int __wrap_pbft_pubkey(u8 public_key[32], const u8 private_key[32]);
int __wrap_pbft_shared_secret(u8 shared[32], const u8 own[32], const u8 peer[32]);
void __wrap_pbft_mac(const struct pbft_mac_key *k, const void *data, size_t len,
		     u8 mac[PBFT_MAC_LEN]);
bool __wrap_pbft_mac_ok(const struct pbft_mac_key *k, const void *data, size_t len,
			const u8 mac[PBFT_MAC_LEN]);

struct client_env client_env;

static struct {
	u32 len;
	u8 data[2 * ENV_MTU];
} queue[QUEUE];
static u32 first, count;
static volatile u8 sink;

void env_reset(void)
{
	first = 0;
	count = 0;
	client_env.sent = 0;
}

void env_deliver(const void *data, u32 len)
{
	u32 i = (first + count) % QUEUE;

	fuzz_check(len <= sizeof(queue[i].data), "a datagram of %u bytes", len);
	if (count == QUEUE)
		first = (first + 1) % QUEUE;
	else
		count++;
	queue[i].len = len;
	memcpy(queue[i].data, data, len);
}

int __wrap_recvmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags,
		    struct timespec *timeout)
{
	unsigned int got = 0;

	for (; got < n && count; got++, count--) {
		struct iovec *iov = msg[got].msg_hdr.msg_iov;
		u32 len = min_t(size_t, queue[first].len, iov->iov_len);

		memcpy(iov->iov_base, queue[first].data, len);
		msg[got].msg_len = len;
		msg[got].msg_hdr.msg_flags = len < queue[first].len ? MSG_TRUNC : 0;
		first = (first + 1) % QUEUE;
	}
	if (got)
		return got;
	errno = EAGAIN;
	return -1;
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags)
{
	unsigned int i;
	size_t j, k;

	/* read it all: the sanitizer sees what is not there any more */
	for (i = 0; i < n; i++)
		for (j = 0; j < msg[i].msg_hdr.msg_iovlen; j++)
			for (k = 0; k < msg[i].msg_hdr.msg_iov[j].iov_len; k++)
				sink += ((const u8 *)msg[i].msg_hdr.msg_iov[j].iov_base)[k];
	client_env.sent += n;
	return n;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	u64 now = clock == CLOCK_REALTIME ? ENV_SESSION : client_env.now;

	if (!client_env.active)
		return __real_clock_gettime(clock, ts);
	ts->tv_sec = now / 1000000000;
	ts->tv_nsec = now % 1000000000;
	return 0;
}

ssize_t __wrap_getrandom(void *buf, size_t len, unsigned int flags)
{
	memset(buf, 0x3c, len);
	return len;
}

int __wrap_pbft_pubkey(u8 public_key[32], const u8 private_key[32])
{
	memcpy(public_key, private_key, 32);
	return 0;
}

int __wrap_pbft_shared_secret(u8 shared[32], const u8 own[32], const u8 peer[32])
{
	memset(shared, 1, 32);
	return 0;
}

void __wrap_pbft_mac(const struct pbft_mac_key *k, const void *data, size_t len,
		     u8 mac[PBFT_MAC_LEN])
{
	memset(mac, ENV_MAC_GOOD, PBFT_MAC_LEN);
}

bool __wrap_pbft_mac_ok(const struct pbft_mac_key *k, const void *data, size_t len,
			const u8 mac[PBFT_MAC_LEN])
{
	return mac[0] == ENV_MAC_GOOD;
}
