// SPDX-License-Identifier: GPL-2.0
/*
 * pbftd: the daemon that owns the application's state.
 *
 * This file turns the command line into a store, a service and a backend, and
 * goes round between them until it is told to stop.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
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
#include "status.h"

#define NSEC_PER_SEC	1000000000ull
#define STATUS_INTERVAL	(250 * 1000000ull)
#define BIND_INTERVAL	200	/* ms between two attempts */
#define SIGNAL_INTERVAL	(10 * 1000000ull)
#define BUSY		16	/* datagrams in one turn: look again at once */
#define STATUS_MIN	(50 * 1000000ull)	/* between two that events cause */

enum {
	EXIT_OK,
	EXIT_FAILED,
	EXIT_USAGE,
};

struct options {
	const char *instance, *db, *status, *pidfile;
	struct pbft_user_opts user;
	struct pbft_store_opts store;
	bool userspace, dump_head, null_service;
	u32 null_reply;
};

struct daemon {
	struct options o;
	struct pbft_store *store;
	struct pbft_backend *backend;
	struct pbft_app *app;
	int sigfd;
	u64 status_at;		/* of the last status file */
	char err[PBFT_ERR_MAX + 256];
};

/* ---- command line -------------------------------------------------------------- */

static const char usage_text[] =
"usage: pbftd -i NAME --db DIR [options]\n"
"       pbftd --userspace -c FILE -k FILE --db DIR [options]\n"
"       pbftd --dump-head --db DIR\n"
"\n"
"The application of a replica: a key-value store, or nothing for measuring.\n"
"\n"
"  -i, --instance NAME     be the application of this instance in the kernel\n"
"  -u, --userspace         host the replica in this process\n"
"  -c, --cluster FILE        the cluster file\n"
"  -k, --key FILE            our private key\n"
"  -s, --self ID             our replica id; default: whose key it is\n"
"      --genesis             this cluster has never run before\n"
"      --busy-poll USEC      spin so long before sleeping; default 0\n"
"      --status FILE         keep a status file, JSON, four times a second\n"
"      --lax-key             accept a key file that others may read\n"
"\n"
"  -d, --db DIR            the database; created if there is none\n"
"      --sync checkpoint   flush to disk at checkpoints; the default\n"
"      --sync always       flush before results are returned\n"
"      --map-size SIZE     the most the database may grow to; default 16G\n"
"      --check             verify the whole database first\n"
"      --service kv|null   default kv; null needs no database\n"
"      --null-reply BYTES  size of the null service's results; default 0\n"
"\n"
"      --pidfile FILE\n"
"      --foreground        the default, and the only way\n"
"  -v, --verbose\n"
"      --dump-head         print where the database stands, and its digest\n"
"  -h, --help\n";

enum {
	OPT_GENESIS = 256, OPT_BUSY_POLL, OPT_STATUS, OPT_LAX_KEY, OPT_SYNC,
	OPT_MAP_SIZE, OPT_CHECK, OPT_SERVICE, OPT_NULL_REPLY, OPT_PIDFILE,
	OPT_FOREGROUND, OPT_DUMP_HEAD,
};

static const struct option long_options[] = {
	{ "instance", required_argument, NULL, 'i' },
	{ "userspace", no_argument, NULL, 'u' },
	{ "cluster", required_argument, NULL, 'c' },
	{ "key", required_argument, NULL, 'k' },
	{ "self", required_argument, NULL, 's' },
	{ "db", required_argument, NULL, 'd' },
	{ "verbose", no_argument, NULL, 'v' },
	{ "help", no_argument, NULL, 'h' },
	{ "genesis", no_argument, NULL, OPT_GENESIS },
	{ "busy-poll", required_argument, NULL, OPT_BUSY_POLL },
	{ "status", required_argument, NULL, OPT_STATUS },
	{ "lax-key", no_argument, NULL, OPT_LAX_KEY },
	{ "sync", required_argument, NULL, OPT_SYNC },
	{ "map-size", required_argument, NULL, OPT_MAP_SIZE },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "service", required_argument, NULL, OPT_SERVICE },
	{ "null-reply", required_argument, NULL, OPT_NULL_REPLY },
	{ "pidfile", required_argument, NULL, OPT_PIDFILE },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "dump-head", no_argument, NULL, OPT_DUMP_HEAD },
	{ }
};

static int bad_usage(const char *what, const char *value)
{
	fprintf(stderr, "pbftd: %s%s%s\npbftd --help tells how it is used\n", what,
		value ? ": " : "", value ? value : "");
	return EXIT_USAGE;
}

/* A number up to @max, with K, M or G behind it if @suffix. */
static bool number(const char *text, bool suffix, u64 max, u64 *out)
{
	static const char units[] = "KMG";
	char *end;
	const char *unit;
	u64 v;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	v = strtoull(text, &end, 10);
	if (errno)
		return false;
	unit = suffix && *end ? strchr(units, *end) : NULL;
	if (unit) {
		u32 shift = 10 * (unit - units + 1);

		if (v > U64_MAX >> shift)
			return false;
		v <<= shift;
		end++;
	}
	*out = v;
	return !*end && v <= max;
}

static int set_number(struct options *o, int opt, const char *text)
{
	u64 v;

	switch (opt) {
	case 's':
		if (!number(text, false, PBFT_N_MAX - 1, &v))
			return bad_usage("--self is a replica's id", text);
		o->user.self = v;
		return 0;
	case OPT_BUSY_POLL:
		if (!number(text, false, 1000000, &v))
			return bad_usage("--busy-poll is 0 to 1000000 microseconds",
					 text);
		o->user.busy_poll = v * 1000;
		return 0;
	case OPT_MAP_SIZE:
		if (!number(text, true, 1ull << 46, &v) || v < 1u << 20)
			return bad_usage("--map-size is 1M or more", text);
		o->store.map_size = v & ~4095ull;
		return 0;
	default:
		if (!number(text, true, PBFT_OP_MAX, &v))
			return bad_usage("--null-reply is 0 to 61440 bytes", text);
		o->null_reply = v;
		return 0;
	}
}

static int set_word(struct options *o, int opt, const char *text)
{
	if (opt == OPT_SYNC) {
		if (!strcmp(text, "always"))
			o->store.sync = PBFT_SYNC_ALWAYS;
		else if (!strcmp(text, "checkpoint"))
			o->store.sync = PBFT_SYNC_CHECKPOINT;
		else
			return bad_usage("--sync is checkpoint or always", text);
	} else {
		if (!strcmp(text, "null"))
			o->null_service = true;
		else if (!strcmp(text, "kv"))
			o->null_service = false;
		else
			return bad_usage("--service is kv or null", text);
	}
	return 0;
}

/* Return -1 to go on, or an exit code. */
static int set_option(struct options *o, int opt, const char *arg)
{
	switch (opt) {
	case 'i': o->instance = arg; break;
	case 'u': o->userspace = true; break;
	case 'c': o->user.cluster_path = arg; break;
	case 'k': o->user.key_path = arg; break;
	case 'd': o->db = arg; break;
	case 'v': pbft_log_verbose(true); break;
	case OPT_GENESIS: o->user.genesis = true; break;
	case OPT_STATUS: o->status = arg; break;
	case OPT_LAX_KEY: o->user.lax_key = true; break;
	case OPT_CHECK: o->store.check = true; break;
	case OPT_PIDFILE: o->pidfile = arg; break;
	case OPT_FOREGROUND: break;
	case OPT_DUMP_HEAD: o->dump_head = true; break;
	case 's':
	case OPT_BUSY_POLL:
	case OPT_MAP_SIZE:
	case OPT_NULL_REPLY:
		return set_number(o, opt, arg) ?: -1;
	case OPT_SYNC:
	case OPT_SERVICE:
		return set_word(o, opt, arg) ?: -1;
	case 'h':
		fputs(usage_text, stdout);
		return EXIT_OK;
	default:
		return bad_usage("an option is unknown or lacks its value", NULL);
	}
	return -1;
}

static int check_options(const struct options *o)
{
	const struct pbft_user_opts *u = &o->user;

	if (o->dump_head)
		return o->db ? -1 : bad_usage("--dump-head needs --db", NULL);
	if (!!o->instance == o->userspace)
		return bad_usage("either -i NAME or --userspace", NULL);
	if (o->userspace && (!u->cluster_path || !u->key_path))
		return bad_usage("--userspace needs -c FILE and -k FILE", NULL);
	if (o->instance && (u->cluster_path || u->key_path || u->self >= 0 ||
			    u->genesis || u->busy_poll || o->status))
		return bad_usage("-i NAME has its configuration, keys and status in the kernel: see pbftctl",
				 NULL);
	if (o->null_service == !!o->db)
		return bad_usage(o->db ? "--service null has no state: no --db" :
					 "--db is missing", NULL);
	return -1;
}

static int parse_options(struct options *o, int argc, char **argv)
{
	int opt, rc;

	o->user.self = -1;
	while ((opt = getopt_long(argc, argv, "i:uc:k:s:d:vh", long_options,
				  NULL)) != -1) {
		rc = set_option(o, opt, optarg);
		if (rc >= 0)
			return rc;
	}
	if (optind < argc)
		return bad_usage("this argument means nothing here", argv[optind]);
	o->store.dir = o->db;
	return check_options(o);
}

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
	int rc = parse_options(&d.o, argc, argv);

	if (rc >= 0)
		return rc;
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
