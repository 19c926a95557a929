// SPDX-License-Identifier: GPL-2.0
/*
 * vm-agent: the host's hand inside a test VM.
 *
 *   vm-agent serve PORT   run commands the host asks for, many at a time
 *   vm-agent run PORT     run the one command in /vm/argv, then end the VM
 *   vm-agent probe        say a line on the console and end the VM
 *
 * It is PID 1 once the init script has set the guest up, so it reaps whatever
 * is orphaned and never exits. PORT is a virtio port or a serial line; on it
 * frames go both ways (see frames.py for the other end):
 *
 *   u32 length of the payload, u16 channel, u8 type, u8 zero   (little endian)
 *
 * "run" only ever writes. That keeps a VM under -icount free of host input,
 * and thus identical from run to run.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#define DEBUG_EXIT_PORT	0x501	/* QEMU's isa-debug-exit, see qemu.py */
#define FRAME_MAX	32768
#define CHANNELS	64
#define ARGS_MAX	256
#define STDIN_WINDOW	65536	/* the host never has more in flight */

enum frame_type {
	F_HELLO = 1,	/* to host: ready */
	F_EXEC,		/* to guest: u8 tty, u16 rows, u16 cols, argv as C strings */
	F_STDIN,	/* to guest: bytes, or none for end of file */
	F_STDOUT,
	F_STDERR,
	F_EXIT,		/* to host: u32 status as a shell would give it */
	F_KILL,		/* to guest: kill the channel's process group */
	F_WINSZ,	/* to guest: u16 rows, u16 cols */
	F_CREDIT,	/* to host: u32 bytes of stdin were taken */
};

struct frame_hdr {
	uint32_t len;
	uint16_t chan;
	uint8_t type;
	uint8_t zero;
} __attribute__((packed));

struct chan {
	int used, tty;
	uint16_t id;
	pid_t pid;
	int in, out, err;	/* -1 when closed */
	uint8_t *inbuf;
	size_t inlen;
	int ineof;
};

static struct chan chans[CHANNELS];
static int port = -1;
static int one_shot;
static int one_status = -1;

static void end_vm(void)
{
	sync();
	if (!ioperm(DEBUG_EXIT_PORT, 2, 1))
		outb(0, DEBUG_EXIT_PORT);
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

static void die(const char *what)
{
	/* Exiting as PID 1 panics the kernel, which the host reports as a crash. */
	fprintf(stderr, "vm-agent: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void port_write(const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		ssize_t n = write(port, p, len);

		if (n > 0) {
			p += n;
			len -= n;
		} else if (errno != EINTR && errno != EAGAIN) {
			die("write to host");
		} else {
			poll(&(struct pollfd){ .fd = port, .events = POLLOUT }, 1, 100);
		}
	}
}

static void send_frame(uint16_t chan, uint8_t type, const void *data, size_t len)
{
	static uint8_t buf[sizeof(struct frame_hdr) + FRAME_MAX];
	struct frame_hdr h = { .len = len, .chan = chan, .type = type };

	memcpy(buf, &h, sizeof(h));
	memcpy(buf + sizeof(h), data, len);
	port_write(buf, sizeof(h) + len);
}

static void send_u32(uint16_t chan, uint8_t type, uint32_t v)
{
	send_frame(chan, type, &v, sizeof(v));
}

static void say(uint16_t chan, const char *fmt, ...)
{
	char line[256];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	send_frame(chan, F_STDERR, line, n);
}

static struct chan *chan_find(uint16_t id)
{
	for (int i = 0; i < CHANNELS; i++)
		if (chans[i].used && chans[i].id == id)
			return &chans[i];
	return NULL;
}

static struct chan *chan_new(uint16_t id)
{
	for (int i = 0; i < CHANNELS; i++) {
		struct chan *c = &chans[i];

		if (c->used)
			continue;
		*c = (struct chan){ .used = 1, .id = id, .in = -1, .out = -1, .err = -1 };
		c->inbuf = malloc(STDIN_WINDOW);
		if (!c->inbuf)
			die("malloc");
		return c;
	}
	return NULL;
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void chan_end(struct chan *c, uint32_t status)
{
	if (c->out == c->in)	/* the one pty descriptor serves both ways */
		c->in = -1;
	close_fd(&c->in);
	close_fd(&c->out);
	close_fd(&c->err);
	free(c->inbuf);
	c->used = 0;
	send_u32(c->id, F_EXIT, status);
	if (one_shot)
		one_status = status;
}

/* Forward one buffer of output. Returns 0 when there is no more for now. */
static int pump_out(struct chan *c, int *fd, uint8_t type)
{
	uint8_t buf[FRAME_MAX];
	ssize_t n;

	if (*fd < 0)
		return 0;
	n = read(*fd, buf, sizeof(buf));
	if (n > 0) {
		send_frame(c->id, type, buf, n);
		return 1;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* End of file, or EIO from a pty nobody holds open. */
	if (*fd == c->in)
		c->in = -1;
	close_fd(fd);
	return 0;
}

static void pump_in(struct chan *c)
{
	ssize_t n = 0;

	if (c->in >= 0 && c->inlen) {
		n = write(c->in, c->inbuf, c->inlen);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n < 0 && !c->tty)
			close_fd(&c->in);
	}
	if (c->in < 0 || n < 0)	/* nobody reads: swallow it, the host must not stall */
		n = c->inlen;
	if (n) {
		memmove(c->inbuf, c->inbuf + n, c->inlen - n);
		c->inlen -= n;
		send_u32(c->id, F_CREDIT, n);
	}
	if (!c->inlen && c->ineof && !c->tty)
		close_fd(&c->in);
}

static void child_exec(char **argv)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (chdir("/root"))
		perror("/root");
	execvp(argv[0], argv);
	fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
	_exit(errno == ENOENT ? 127 : 126);
}

static int spawn_pipes(struct chan *c, char **argv, int null_stdin)
{
	int in[2] = { -1, -1 }, out[2], err[2];

	if (null_stdin)
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	else if (pipe2(in, O_CLOEXEC))
		return -errno;
	if (pipe2(out, O_CLOEXEC) || pipe2(err, O_CLOEXEC))
		return -errno;
	c->pid = fork();
	if (c->pid < 0)
		return -errno;
	if (!c->pid) {
		setsid();
		dup2(in[0], 0);
		dup2(out[1], 1);
		dup2(err[1], 2);
		child_exec(argv);
	}
	close(in[0]);
	close(out[1]);
	close(err[1]);
	c->in = in[1];
	c->out = out[0];
	c->err = err[0];
	if (c->in >= 0)
		fcntl(c->in, F_SETFL, O_NONBLOCK);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	fcntl(c->err, F_SETFL, O_NONBLOCK);
	return 0;
}

static int spawn_tty(struct chan *c, char **argv, struct winsize *ws)
{
	c->pid = forkpty(&c->out, NULL, NULL, ws);
	if (c->pid < 0)
		return -errno;
	if (!c->pid)
		child_exec(argv);
	fcntl(c->out, F_SETFD, FD_CLOEXEC);
	fcntl(c->out, F_SETFL, O_NONBLOCK);
	c->in = c->out;
	return 0;
}

/* Split a run of C strings; the vector points into data. */
static int split_args(char *data, size_t len, char **argv)
{
	int argc = 0;

	for (size_t i = 0; i < len && argc < ARGS_MAX - 1; i += strlen(data + i) + 1)
		argv[argc++] = data + i;
	argv[argc] = NULL;
	return argc;
}

static void do_exec(uint16_t id, char *data, size_t len)
{
	uint16_t rows, cols;
	struct winsize ws = { 0 };
	char *argv[ARGS_MAX];
	struct chan *c;
	int err, tty;

	if (len < 6 || data[len - 1] || !split_args(data + 5, len - 5, argv)) {
		say(id, "vm-agent: bad request\n");
		send_u32(id, F_EXIT, 125);
		return;
	}
	tty = data[0];
	memcpy(&rows, data + 1, 2);
	memcpy(&cols, data + 3, 2);
	ws.ws_row = rows;
	ws.ws_col = cols;
	c = chan_new(id);
	if (!c) {
		say(id, "vm-agent: more than %d commands at once\n", CHANNELS);
		send_u32(id, F_EXIT, 125);
		return;
	}
	c->tty = tty;
	err = tty ? spawn_tty(c, argv, &ws) : spawn_pipes(c, argv, one_shot);
	if (err) {
		say(id, "vm-agent: cannot start: %s\n", strerror(-err));
		chan_end(c, 125);
	}
}

static void set_winsize(struct chan *c, const uint8_t *data)
{
	struct winsize ws = { 0 };

	memcpy(&ws.ws_row, data, 2);
	memcpy(&ws.ws_col, data + 2, 2);
	ioctl(c->out, TIOCSWINSZ, &ws);
}

static void on_frame(struct frame_hdr *h, uint8_t *data)
{
	struct chan *c = chan_find(h->chan);

	if (h->type == F_EXEC && !c)
		do_exec(h->chan, (char *)data, h->len);
	if (!c)
		return;		/* it ended while the frame was on its way */
	switch (h->type) {
	case F_STDIN:
		if (!h->len) {
			c->ineof = 1;
			if (c->tty && c->in >= 0 && write(c->in, "\004", 1) < 0)
				c->in = -1;
		} else if (h->len <= STDIN_WINDOW - c->inlen) {
			memcpy(c->inbuf + c->inlen, data, h->len);
			c->inlen += h->len;
		}
		pump_in(c);
		break;
	case F_KILL:
		kill(-c->pid, SIGKILL);
		break;
	case F_WINSZ:
		if (c->tty && h->len == 4)
			set_winsize(c, data);
		break;
	}
}

static void read_port(void)
{
	static uint8_t buf[2 * (sizeof(struct frame_hdr) + FRAME_MAX)];
	static size_t have;
	size_t at = 0;
	ssize_t n;

	n = read(port, buf + have, sizeof(buf) - have);
	if (n <= 0) {
		if (!n)		/* the host is away; it comes back or kills us */
			usleep(50000);
		return;
	}
	have += n;
	while (have - at >= sizeof(struct frame_hdr)) {
		struct frame_hdr h;

		memcpy(&h, buf + at, sizeof(h));
		if (h.len > FRAME_MAX) {
			errno = EPROTO;
			die("frame from host");
		}
		if (have - at < sizeof(h) + h.len)
			break;
		on_frame(&h, buf + at + sizeof(h));
		at += sizeof(h) + h.len;
	}
	memmove(buf, buf + at, have - at);
	have -= at;
}

static void reap(int sigfd)
{
	struct signalfd_siginfo si;
	int status;
	pid_t pid;

	while (read(sigfd, &si, sizeof(si)) > 0)
		;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		for (int i = 0; i < CHANNELS; i++) {
			struct chan *c = &chans[i];

			if (!c->used || c->pid != pid)
				continue;
			/* What it wrote is in the pipes by now. Children it left
			 * behind may hold them open, so do not wait for the end.
			 */
			while (pump_out(c, &c->out, F_STDOUT))
				;
			while (pump_out(c, &c->err, F_STDERR))
				;
			chan_end(c, WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
							  WEXITSTATUS(status));
		}
	}
}

static void add_poll(struct pollfd *p, int *n, int fd, short events)
{
	if (fd >= 0)
		p[(*n)++] = (struct pollfd){ .fd = fd, .events = events };
}

static void loop(int sigfd)
{
	struct pollfd p[2 + 3 * CHANNELS];
	int n = 0;

	add_poll(p, &n, sigfd, POLLIN);
	if (!one_shot)
		add_poll(p, &n, port, POLLIN);
	for (int i = 0; i < CHANNELS; i++) {
		struct chan *c = &chans[i];

		if (!c->used)
			continue;
		add_poll(p, &n, c->out, POLLIN);
		add_poll(p, &n, c->err, POLLIN);
		add_poll(p, &n, c->inlen ? c->in : -1, POLLOUT);
	}
	if (poll(p, n, -1) < 0)
		return;
	if (!one_shot && p[1].revents)
		read_port();
	for (int i = 0; i < CHANNELS; i++) {
		struct chan *c = &chans[i];

		if (!c->used)
			continue;
		pump_out(c, &c->out, F_STDOUT);
		pump_out(c, &c->err, F_STDERR);
		if (c->inlen)
			pump_in(c);
	}
	if (p[0].revents)
		reap(sigfd);
}

static void open_port(const char *path)
{
	struct termios t;

	port = open(path, O_RDWR | O_CLOEXEC | O_NOCTTY);
	if (port < 0)
		die(path);
	if (!tcgetattr(port, &t)) {
		cfmakeraw(&t);
		t.c_cflag |= CLOCAL;
		tcsetattr(port, TCSANOW, &t);
	}
}

static void start_one_shot(void)
{
	static char args[FRAME_MAX];
	int fd = open("/vm/argv", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		die("/vm/argv");
	memset(args, 0, 5);	/* no tty */
	n = read(fd, args + 5, sizeof(args) - 5);
	if (n <= 0)
		die("/vm/argv");
	close(fd);
	do_exec(0, args, 5 + n);
}

int main(int argc, char **argv)
{
	sigset_t mask;
	int sigfd;

	if (argc == 2 && !strcmp(argv[1], "probe")) {
		printf("vm-probe-ok\n");
		fflush(stdout);
		end_vm();
	}
	if (argc != 3) {
		fprintf(stderr, "usage: vm-agent serve|run PORT\n");
		return 2;
	}
	one_shot = !strcmp(argv[1], "run");
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	sigfd = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
	if (sigfd < 0)
		die("signalfd");
	open_port(argv[2]);
	send_frame(0, F_HELLO, "", 0);
	if (one_shot)
		start_one_shot();
	while (one_status < 0)
		loop(sigfd);
	tcdrain(port);
	end_vm();
}
