// SPDX-License-Identifier: GPL-2.0
/*
 * pbftd: the daemon that owns the application's state.
 *
 * This file makes a store, a service and a backend of the options, and goes round
 * between them until it is told to stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "app.h"
#include "log.h"
#include "options.h"
#include "status.h"

#define NSEC_PER_SEC	1000000000ull
#define STATUS_INTERVAL	(250 * 1000000ull)
#define BIND_INTERVAL	200	/* ms between two attempts */
#define SIGNAL_INTERVAL	(10 * 1000000ull)
#define BUSY		16	/* datagrams in one turn: look again at once */
#define STATUS_MIN	(50 * 1000000ull)	/* between two that events cause */

struct daemon {
	struct options o;
	struct pbft_store *store;
	struct pbft_backend *backend;
	struct pbft_app *app;
	int sigfd;
	u64 status_at;		/* of the last status file */
	char err[PBFT_ERR_MAX + 256];
};

/* ---- --dump-head --------------------------------------------------------------------- */

static void print_digest(const char *what, const struct pbft_digest *d)
{
	u32 i;

	printf("%s ", what);
	for (i = 0; i < PBFT_DIGEST_LEN; i++)
		printf("%02x", d->b[i]);
	printf("\n");
}

static int dump_head(const struct options *o)
{
	struct pbft_store_opts opts = o->store;
	struct pbft_digest root;
	struct pbft_store *st;
	char err[PBFT_ERR_MAX];

	opts.read_only = true;
	if (pbft_store_open(&st, &opts, err, sizeof(err))) {
		pbft_log(LOG_ERR, "%s", err);
		return EXIT_FAILED;
	}
	if (pbft_store_root(st, &root)) {
		pbft_log(LOG_ERR, "%s", st->err);
		pbft_store_close(st);
		return EXIT_FAILED;
	}
	printf("seq %llu\n", (unsigned long long)st->head.seq);
	print_digest("chain", &st->head.chain);
	print_digest("root", &root);
	pbft_store_close(st);
	return EXIT_OK;
}

/* ---- the surroundings ------------------------------------------------------------- */

/* Tell the service manager that we are up, if it asked to be told. */
static void notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	static const char ready[] = "READY=1";
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (!len || len >= sizeof(addr.sun_path))
		return;
	memcpy(addr.sun_path, path, len);
	if (addr.sun_path[0] == '@')
		addr.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, ready, strlen(ready), MSG_NOSIGNAL, (void *)&addr,
		   offsetof(struct sockaddr_un, sun_path) + len) < 0)
		pbft_log(LOG_WARNING, "cannot notify %s: %s", path,
			 strerror(errno));
	close(fd);
}

static int write_pidfile(struct daemon *d)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d\n", (int)getpid()), fd;

	if (!d->o.pidfile)
		return 0;
	fd = open(d->o.pidfile, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd < 0 || write(fd, text, len) != len) {
		snprintf(d->err, sizeof(d->err), "%s: %s", d->o.pidfile,
			 strerror(errno));
		if (fd >= 0)
			close(fd);
		return -EIO;
	}
	close(fd);
	return 0;
}

static int open_signals(struct daemon *d)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	d->sigfd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (d->sigfd < 0)
		snprintf(d->err, sizeof(d->err), "cannot receive signals: %s",
			 strerror(errno));
	return d->sigfd < 0 ? -errno : 0;
}

/* ---- the life of the daemon ----------------------------------------------------- */

static int start(struct daemon *d)
{
	struct options *o = &d->o;
	int rc = open_signals(d);

	if (rc)
		return rc;
	rc = o->userspace ?
		pbft_backend_user(&d->backend, &o->user, d->err, sizeof(d->err)) :
		pbft_backend_kernel(&d->backend, o->instance, d->err,
				    sizeof(d->err));
	if (rc)
		return rc;
	if (o->db) {
		o->store.cluster = d->backend->cluster;
		o->store.epoch = d->backend->epoch;
		o->store.self = d->backend->self;
		rc = pbft_store_open(&d->store, &o->store, d->err, sizeof(d->err));
		if (rc)
			return rc;
		if (d->store->lost[0])
			pbft_log(LOG_WARNING, "%s", d->store->lost);
	}
	d->app = pbft_app_create(d->store, o->null_reply);
	if (!d->app) {
		snprintf(d->err, sizeof(d->err), "out of memory");
		return -ENOMEM;
	}
	return write_pidfile(d);
}

static void stop(struct daemon *d)
{
	if (d->app)
		pbft_app_settle(d->app);
	/* What was executed since the checkpoint need not be executed again. */
	if (d->app && d->store && !pbft_app_error(d->app) && pbft_store_commit(d->store))
		pbft_log(LOG_ERR, "%s", d->store->err);
	if (d->backend && d->backend->ops->down && d->backend->ops->down(d->backend))
		pbft_log(LOG_ERR, "%s", d->backend->err);
	if (d->backend)
		d->backend->ops->close(d->backend);
	pbft_app_destroy(d->app);
	pbft_store_close(d->store);
	if (d->sigfd >= 0)
		close(d->sigfd);
	if (d->o.pidfile)
		unlink(d->o.pidfile);
}

static void keep_status(struct daemon *d, u64 now)
{
	u64 since = now - d->status_at;
	int rc;

	if (!d->o.status ||
	    since < (d->backend->changed ? STATUS_MIN : STATUS_INTERVAL))
		return;
	d->status_at = now;
	d->backend->changed = false;
	rc = pbft_status_write(d->o.status, d->backend, d->app);
	if (rc)
		pbft_log(LOG_WARNING, "%s: cannot write the status: %s",
			 d->o.status, strerror(-rc));
}

static u64 next_deadline(struct daemon *d, u64 now)
{
	u64 t = min(d->backend->ops->deadline(d->backend),
		    pbft_app_deadline(d->app));

	if (d->o.status)
		t = min(t, d->status_at + (d->backend->changed ? STATUS_MIN :
								 STATUS_INTERVAL));
	return max(t, now);
}

/* Wait for something to do. Return true when told to stop. */
static bool wait_for_work(struct daemon *d, u64 ns)
{
	struct pollfd p[2] = {
		{ .fd = d->backend->ops->fd(d->backend), .events = POLLIN },
		{ .fd = d->sigfd, .events = POLLIN },
	};
	struct timespec ts = { ns / NSEC_PER_SEC, ns % NSEC_PER_SEC };

	ppoll(p, 2, ns == U64_MAX ? NULL : &ts, NULL);
	return p[1].revents;
}

/* Bind, for the first time or again. Return 0; 1: told to stop; -errno. */
static int bind_backend(struct daemon *d)
{
	struct pollfd p = { .fd = d->sigfd, .events = POLLIN };
	bool told = false;
	int rc;

	while ((rc = pbft_app_bind(d->app, d->backend)) == -ENETDOWN) {
		if (!told)
			pbft_log(LOG_NOTICE, "%s: waiting for it", d->backend->err);
		told = true;
		if (poll(&p, 1, BIND_INTERVAL) > 0)
			return 1;
	}
	if (rc) {
		snprintf(d->err, sizeof(d->err), "%s", pbft_app_error(d->app));
		return rc;
	}
	pbft_log(LOG_INFO, "replica %u of cluster 0x%llx: ready at batch %llu",
		 d->backend->self, (unsigned long long)d->backend->cluster,
		 (unsigned long long)(d->store ? d->store->head.seq : 0));
	return 0;
}

static int go_round(struct daemon *d)
{
	u64 now = pbft_now(), busy_until = 0, waited = 0, t;
	const char *err;
	int n;

	for (;;) {
		n = d->backend->ops->poll(d->backend);
		pbft_app_tick(d->app);
		err = pbft_app_error(d->app);
		if (!err && n < 0)
			err = d->backend->err;
		if (err) {
			snprintf(d->err, sizeof(d->err), "%s", err);
			return -EIO;
		}
		if (d->backend->lost) {
			n = bind_backend(d);
			if (n)
				return min(n, 0);
		}
		now = pbft_now();
		keep_status(d, now);
		if (n > 0)
			busy_until = now + d->o.user.busy_poll;
		/* More is waiting, probably: but a signal must not wait for ever. */
		if ((n >= BUSY || now < busy_until) && now - waited < SIGNAL_INTERVAL)
			continue;
		t = next_deadline(d, now);
		t = t == U64_MAX ? t : t - now;
		if (wait_for_work(d, now < busy_until ? 0 : t))
			return 0;
		waited = now;
	}
}

int main(int argc, char **argv)
{
	struct daemon d = { .sigfd = -1 };
	int rc = pbft_options_parse(&d.o, argc, argv);

	if (rc >= 0)
		return rc;
	pbft_log_verbose(d.o.verbose);
	if (d.o.dump_head)
		return dump_head(&d.o);
	rc = start(&d);
	if (!rc)
		rc = bind_backend(&d);
	if (!rc) {
		notify_ready();
		rc = go_round(&d);
	}
	if (rc < 0)
		pbft_log(LOG_ERR, "%s", d.err);
	else
		pbft_log(LOG_INFO, "stopped");
	stop(&d);
	return rc < 0 ? EXIT_FAILED : EXIT_OK;
}
