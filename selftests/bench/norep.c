// SPDX-License-Identifier: GPL-2.0
/*
 * bench-norep: an unreplicated service without any protocol, and its clients:
 * what the same exchange of bytes costs without agreement. As a server it answers
 * each datagram with one of a fixed size; as a load it keeps one request of each
 * client outstanding and prints what pbft-bench prints as JSON.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "bench/hist.h"

#define NSEC		1000000000ull
#define SIZE_MAX_BYTES	8192
#define CLIENTS_MAX	1024
#define RESEND_NS	(2 * NSEC)	/* a datagram may be lost */
#define BATCH		64

/* In front of requests and replies. */
struct tag {
	u32 zero;		/* not what a ball of pbft_floor.ko begins with */
	u32 number;
};

struct load {
	u32 request, clients;
	u64 warm_end, end;
	struct {
		int fd;
		u32 number;
		u64 sent;
	} client[CLIENTS_MAX];
	u64 resent;
	struct hist hist;
};

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC + ts.tv_nsec;
}

__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "bench-norep: %s: %s\n", what, strerror(errno));
	exit(1);
}

static u32 number(const char *what, const char *text, u32 most)
{
	char *end;
	unsigned long v = strtoul(text, &end, 10);

	if (*end || end == text || v > most) {
		fprintf(stderr, "bench-norep: the %s \"%s\" is not a number up to %u\n",
			what, text, most);
		exit(2);
	}
	return v;
}

static struct sockaddr_in endpoint(const char *address, const char *port)
{
	struct sockaddr_in to = { .sin_family = AF_INET };

	to.sin_port = htons(number("port", port, 65535));
	if (inet_pton(AF_INET, address, &to.sin_addr) != 1) {
		fprintf(stderr, "bench-norep: \"%s\" is no IPv4 address\n", address);
		exit(2);
	}
	return to;
}

/* ---- the service ------------------------------------------------------------------ */

/* Batches of system calls, as the userspace replica makes them. */
static int serve(const struct sockaddr_in *at, u32 reply)
{
	static u8 in[BATCH][SIZE_MAX_BYTES], out[BATCH][SIZE_MAX_BYTES];
	struct mmsghdr rx[BATCH], tx[BATCH];
	struct iovec rx_iov[BATCH], tx_iov[BATCH];
	struct sockaddr_in from[BATCH];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), size = 4 << 20, n, i;

	if (fd < 0 || bind(fd, (const void *)at, sizeof(*at)))
		die("cannot listen");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	reply = reply < sizeof(struct tag) ? sizeof(struct tag) : reply;
	for (;;) {
		for (i = 0; i < BATCH; i++) {
			rx_iov[i] = (struct iovec){ in[i], sizeof(in[i]) };
			rx[i].msg_hdr = (struct msghdr){ &from[i], sizeof(from[i]),
							 &rx_iov[i], 1, NULL, 0, 0 };
		}
		n = recvmmsg(fd, rx, BATCH, MSG_WAITFORONE, NULL);
		for (i = 0; i < n; i++) {
			memcpy(out[i], in[i], sizeof(struct tag));
			tx_iov[i] = (struct iovec){ out[i], reply };
			tx[i].msg_hdr = rx[i].msg_hdr;
			tx[i].msg_hdr.msg_iov = &tx_iov[i];
		}
		if (n > 0)
			sendmmsg(fd, tx, n, 0);
	}
}

/* ---- the load -------------------------------------------------------------------------- */

static void request(struct load *l, u32 i, u64 now)
{
	static u8 msg[SIZE_MAX_BYTES];
	struct tag tag = { 0, l->client[i].number };

	memcpy(msg, &tag, sizeof(tag));
	l->client[i].sent = now;
	send(l->client[i].fd, msg, l->request < sizeof(tag) ? sizeof(tag) : l->request, 0);
}

static void answered(struct load *l, u32 i)
{
	static u8 msg[SIZE_MAX_BYTES];
	struct tag tag;
	u64 now;

	if (recv(l->client[i].fd, msg, sizeof(msg), MSG_DONTWAIT) < (ssize_t)sizeof(tag))
		return;
	memcpy(&tag, msg, sizeof(tag));
	if (tag.number != l->client[i].number)
		return;
	now = now_ns();
	if (now >= l->warm_end && now < l->end)
		hist_add(&l->hist, now - l->client[i].sent);
	l->client[i].number++;
	request(l, i, now);
}

static void resend(struct load *l, u64 now)
{
	u32 i;

	for (i = 0; i < l->clients; i++) {
		if (now - l->client[i].sent < RESEND_NS)
			continue;
		l->resent++;
		request(l, i, now);
	}
}

static void report(const struct load *l)
{
	double seconds = (l->end - l->warm_end) / 1e9;
	const char *comma = "";
	u32 i;

	printf("{\"clients\": %u, \"operations\": %llu, \"seconds\": %.6f, \"throughput\": %.3f, \"errors\": 0, \"retransmits\": %llu, \"latency_ns\": {\"p50\": %llu, \"p99\": %llu, \"p99.9\": %llu}, \"histogram_ns\": [",
	       l->clients, (unsigned long long)l->hist.count, seconds,
	       l->hist.count / seconds, (unsigned long long)l->resent,
	       (unsigned long long)hist_quantile(&l->hist, 0.5),
	       (unsigned long long)hist_quantile(&l->hist, 0.99),
	       (unsigned long long)hist_quantile(&l->hist, 0.999));
	for (i = 0; i < HIST_BUCKETS; i++) {
		if (!l->hist.bucket[i])
			continue;
		printf("%s[%llu, %llu]", comma, (unsigned long long)hist_upper(i),
		       (unsigned long long)l->hist.bucket[i]);
		comma = ", ";
	}
	puts("]}");
}

static int load(struct load *l, const struct sockaddr_in *to, double warmup,
		double seconds)
{
	int ep = epoll_create1(0), n, k;
	struct epoll_event events[BATCH];
	u64 now = now_ns(), look = now + NSEC;
	u32 i;

	l->warm_end = now + (u64)(warmup * 1e9);
	l->end = l->warm_end + (u64)(seconds * 1e9);
	for (i = 0; i < l->clients; i++) {
		struct epoll_event ev = { .events = EPOLLIN, .data.u32 = i };
		int fd = socket(AF_INET, SOCK_DGRAM, 0);

		l->client[i].fd = fd;
		if (fd < 0 || connect(fd, (const void *)to, sizeof(*to)) ||
		    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &ev))
			die("cannot open a client");
		request(l, i, now_ns());
	}
	while (now < l->end) {
		n = epoll_wait(ep, events, BATCH, 100);
		for (k = 0; k < n; k++)
			answered(l, events[k].data.u32);
		now = now_ns();
		if (now < look)
			continue;
		resend(l, now);
		look = now + NSEC;
	}
	report(l);
	return l->hist.count ? 0 : 3;
}

int main(int argc, char **argv)
{
	static struct load l;
	struct sockaddr_in at;

	if (argc == 5 && !strcmp(argv[1], "serve")) {
		at = endpoint(argv[2], argv[3]);
		return serve(&at, number("reply size", argv[4], SIZE_MAX_BYTES));
	}
	if (argc == 8 && !strcmp(argv[1], "load")) {
		at = endpoint(argv[2], argv[3]);
		l.request = number("request size", argv[4], SIZE_MAX_BYTES);
		l.clients = number("number of clients", argv[5], CLIENTS_MAX);
		return load(&l, &at, atof(argv[6]), atof(argv[7]));
	}
	fputs("usage: bench-norep serve ADDRESS PORT REPLY\n"
	      "       bench-norep load ADDRESS PORT REQUEST CLIENTS WARMUP SECONDS\n",
	      stderr);
	return 2;
}
