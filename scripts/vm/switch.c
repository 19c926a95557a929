// SPDX-License-Identifier: GPL-2.0
/*
 * vm-switch: one flat Ethernet between the VMs of a cluster, with faults.
 *
 *   vm-switch SEED NAME=ID...
 *
 * Each VM is a QEMU "-netdev dgram" over unix datagram sockets in the current
 * directory: QEMU sends to NAME.sw and receives on NAME.net. A frame is taken
 * to the VM whose ID is the last byte of its destination MAC, or, for any other
 * address, to all. Per ordered pair of VMs a frame may be cut, lost with a
 * probability, and held back for a delay with jitter (which also reorders).
 *
 * switch.ctl (SOCK_SEQPACKET) takes one message of text lines, all or nothing:
 *
 *   set SRC DST cut 0|1          SRC and DST: a name or "all"
 *   set SRC DST loss PPM         parts in a million
 *   set SRC DST delay USEC
 *   set SRC DST jitter USEC      uniform, 0..USEC on top of the delay
 *   clear                        no faults
 *   show                         a line for each pair
 *
 * and answers "ok", the table, or "error: ...".
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define VMS_MAX		64
#define FRAME_MAX	65550	/* QEMU may hand over a whole GSO frame */
#define QUEUE_MAX	4096	/* frames on their way to one VM */
#define RETRY_NS	500000	/* a receiver that is full is asked again */
#define CTL_MAX		65536
#define NSEC_PER_SEC	1000000000ull

struct rule {
	int cut;
	uint32_t loss_ppm, delay_us, jitter_us;
};

struct pair {
	struct rule rule;
	uint64_t passed, cut, lost, overflow;
};

struct frame {
	uint64_t due_ns, order;
	uint16_t len;
	uint8_t *data;
};

struct vm {
	const char *name;
	uint8_t id;
	int fd;			/* what it sends arrives here */
	struct sockaddr_un addr;
	struct frame *heap;	/* earliest first, then in order of arrival */
	int queued;
};

static struct vm vms[VMS_MAX];
static int nvms;
static struct pair pairs[VMS_MAX][VMS_MAX];
static uint64_t rng;
static uint64_t order;

static void die(const char *what)
{
	fprintf(stderr, "vm-switch: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static uint32_t below(uint32_t limit)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	rng ^= rng << 17;
	return (rng >> 32) * limit >> 32;
}

static int earlier(const struct frame *a, const struct frame *b)
{
	return a->due_ns != b->due_ns ? a->due_ns < b->due_ns : a->order < b->order;
}

static void heap_push(struct vm *vm, struct frame f)
{
	int i = vm->queued++;

	while (i && earlier(&f, &vm->heap[(i - 1) / 2])) {
		vm->heap[i] = vm->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	vm->heap[i] = f;
}

static void heap_pop(struct vm *vm)
{
	struct frame last = vm->heap[--vm->queued];
	int i = 0, kid;

	while ((kid = 2 * i + 1) < vm->queued) {
		if (kid + 1 < vm->queued && earlier(&vm->heap[kid + 1], &vm->heap[kid]))
			kid++;
		if (!earlier(&vm->heap[kid], &last))
			break;
		vm->heap[i] = vm->heap[kid];
		i = kid;
	}
	vm->heap[i] = last;
}

/* Hand over what is due. Returns when to try again, 0 for never. */
static uint64_t deliver(struct vm *vm, uint64_t now)
{
	while (vm->queued) {
		struct frame *f = &vm->heap[0];

		if (f->due_ns > now)
			return f->due_ns;
		if (sendto(vm->fd, f->data, f->len, MSG_DONTWAIT,
			   (struct sockaddr *)&vm->addr, sizeof(vm->addr)) < 0 &&
		    (errno == EAGAIN || errno == ENOBUFS))
			return now + RETRY_NS;
		/* Any other error: the VM is off, and the frame is lost. */
		free(f->data);
		heap_pop(vm);
	}
	return 0;
}

static void forward(struct vm *src, struct vm *dst, const uint8_t *data, size_t len,
		    uint64_t now)
{
	struct pair *p = &pairs[src - vms][dst - vms];
	struct rule *r = &p->rule;
	struct frame f = { .due_ns = now, .order = order++, .len = len };

	if (r->cut) {
		p->cut++;
		return;
	}
	if (r->loss_ppm && below(1000000) < r->loss_ppm) {
		p->lost++;
		return;
	}
	f.data = dst->queued < QUEUE_MAX ? malloc(len) : NULL;
	if (!f.data) {
		p->overflow++;
		return;
	}
	memcpy(f.data, data, len);
	f.due_ns += 1000ull * r->delay_us;
	if (r->jitter_us)
		f.due_ns += 1000ull * below(r->jitter_us);
	heap_push(dst, f);
	p->passed++;
}

static struct vm *owner(const uint8_t *mac)
{
	if (mac[0] & 1)		/* multicast */
		return NULL;
	for (int i = 0; i < nvms; i++)
		if (!memcmp(mac, "\x52\x54\x00\x00\x00", 5) && mac[5] == vms[i].id)
			return &vms[i];
	return NULL;
}

static void receive(struct vm *src, uint64_t now)
{
	static uint8_t buf[FRAME_MAX];
	struct vm *to;
	ssize_t n;

	for (int burst = 0; burst < 64; burst++) {
		n = recv(src->fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n < 14)
			return;
		to = owner(buf);
		if (to && to != src)
			forward(src, to, buf, n, now);
		for (int i = 0; !to && i < nvms; i++)
			if (&vms[i] != src)
				forward(src, &vms[i], buf, n, now);
	}
}

/* ---- control ---- */

static int set_rule(struct rule *r, const char *key, uint32_t value)
{
	if (!strcmp(key, "cut") && value <= 1)
		r->cut = value;
	else if (!strcmp(key, "loss") && value <= 1000000)
		r->loss_ppm = value;
	else if (!strcmp(key, "delay"))
		r->delay_us = value;
	else if (!strcmp(key, "jitter"))
		r->jitter_us = value;
	else
		return -1;
	return 0;
}

static int is(const struct vm *vm, const char *name)
{
	return !strcmp(name, "all") || !strcmp(name, vm->name);
}

/* With apply 0 only check. Returns 0 if the line makes sense. */
static int ctl_line(const char *line, int apply)
{
	char src[32], dst[32], key[16];
	uint32_t value;
	int hits = 0;

	if (!strcmp(line, "clear")) {
		for (int i = 0; apply && i < nvms * VMS_MAX; i++)
			pairs[i / VMS_MAX][i % VMS_MAX].rule = (struct rule){ 0 };
		return 0;
	}
	if (sscanf(line, "set %31s %31s %15s %u", src, dst, key, &value) != 4 ||
	    set_rule(&(struct rule){ 0 }, key, value))
		return -1;
	for (int i = 0; i < nvms; i++) {
		for (int j = 0; j < nvms; j++) {
			if (!is(&vms[i], src) || !is(&vms[j], dst))
				continue;
			hits++;
			if (apply)
				set_rule(&pairs[i][j].rule, key, value);
		}
	}
	return hits ? 0 : -1;
}

static size_t ctl_show(char *out, size_t size)
{
	size_t at = 0;

	for (int i = 0; i < nvms; i++) {
		for (int j = 0; j < nvms; j++) {
			struct pair *p = &pairs[i][j];

			if (i == j || at > size - 256)
				continue;
			at += snprintf(out + at, size - at,
				       "%s %s cut=%d loss=%u delay=%u jitter=%u passed=%llu dropped=%llu lost=%llu overflow=%llu\n",
				       vms[i].name, vms[j].name, p->rule.cut, p->rule.loss_ppm,
				       p->rule.delay_us, p->rule.jitter_us,
				       (unsigned long long)p->passed, (unsigned long long)p->cut,
				       (unsigned long long)p->lost,
				       (unsigned long long)p->overflow);
		}
	}
	return at;
}

static void ctl_message(int fd, char *msg)
{
	static char out[CTL_MAX];
	char *copy = strdup(msg), *save, *line;
	size_t len;

	if (!copy)
		return;
	len = snprintf(out, sizeof(out), "ok\n");
	if (!strcmp(strtok_r(copy, "\n", &save) ?: "", "show")) {
		len = ctl_show(out, sizeof(out));
		goto answer;
	}
	for (int apply = 0; apply < 2; apply++) {
		strcpy(copy, msg);
		for (line = strtok_r(copy, "\n", &save); line;
		     line = strtok_r(NULL, "\n", &save)) {
			if (!ctl_line(line, apply))
				continue;
			len = snprintf(out, sizeof(out), "error: %.200s\n", line);
			goto answer;
		}
	}
answer:
	send(fd, out, len, MSG_NOSIGNAL);
	free(copy);
}

/* One client, one message, one answer; a client that is slow is left waiting. */
static void ctl_accept(int listener)
{
	static char msg[CTL_MAX];
	struct timeval patience = { .tv_usec = 200000 };
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	n = recv(fd, msg, sizeof(msg) - 1, 0);
	if (n > 0) {
		msg[n] = '\0';
		ctl_message(fd, msg);
	}
	close(fd);
}

/* ---- sockets ---- */

static struct sockaddr_un unix_addr(const char *name, const char *suffix)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	if ((size_t)snprintf(a.sun_path, sizeof(a.sun_path), "%s%s", name, suffix) >=
	    sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		die(name);
	}
	return a;
}

static int bind_unix(int type, const char *name, const char *suffix)
{
	struct sockaddr_un a = unix_addr(name, suffix);
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
	int bytes = 1 << 20;

	unlink(a.sun_path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)))
		die(a.sun_path);
	setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	return fd;
}

static void add_vm(char *arg)
{
	struct vm *vm = &vms[nvms];
	char *eq = strchr(arg, '=');

	if (nvms == VMS_MAX || !eq) {
		errno = EINVAL;
		die(arg);
	}
	*eq = '\0';
	vm->name = arg;
	vm->id = atoi(eq + 1);
	vm->fd = bind_unix(SOCK_DGRAM, arg, ".sw");
	vm->addr = unix_addr(arg, ".net");
	vm->heap = calloc(QUEUE_MAX, sizeof(*vm->heap));
	if (!vm->heap)
		die("calloc");
	nvms++;
}

static void arm(int timer, uint64_t when)
{
	struct itimerspec its = {
		.it_value = { when / NSEC_PER_SEC, when % NSEC_PER_SEC },
	};

	timerfd_settime(timer, TFD_TIMER_ABSTIME, &its, NULL);
}

int main(int argc, char **argv)
{
	struct pollfd p[2 + VMS_MAX];
	uint64_t ticks;
	int timer;

	if (argc < 3) {
		fprintf(stderr, "usage: vm-switch SEED NAME=ID...\n");
		return 2;
	}
	rng = strtoull(argv[1], NULL, 0) * 2654435761u + 88172645463325252ull;
	for (int i = 2; i < argc; i++)
		add_vm(argv[i]);
	p[0] = (struct pollfd){ bind_unix(SOCK_SEQPACKET, "switch", ".ctl"), POLLIN, 0 };
	if (listen(p[0].fd, 16))
		die("listen");
	timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (timer < 0)
		die("timerfd");
	p[1] = (struct pollfd){ timer, POLLIN, 0 };
	for (int i = 0; i < nvms; i++)
		p[2 + i] = (struct pollfd){ vms[i].fd, POLLIN, 0 };

	for (;;) {
		uint64_t now, next = 0;

		if (poll(p, 2 + nvms, -1) < 0 && errno != EINTR)
			die("poll");
		now = now_ns();
		if (p[0].revents)
			ctl_accept(p[0].fd);
		if (p[1].revents && read(timer, &ticks, sizeof(ticks)) < 0)
			continue;
		for (int i = 0; i < nvms; i++)
			if (p[2 + i].revents)
				receive(&vms[i], now);
		for (int i = 0; i < nvms; i++) {
			uint64_t t = deliver(&vms[i], now);

			if (t && (!next || t < next))
				next = t;
		}
		arm(timer, next);
	}
}
