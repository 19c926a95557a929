// SPDX-License-Identifier: GPL-2.0
/* The command line: what there is, and what goes together. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include "libpbft/journal_file.h"
#include "linux/pbft.h"
#include "options.h"

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
"      --genesis             this cluster has never run before; a journal with\n"
"                            records knows better\n"
"      --journal PATH        keeps what the replica has promised, so that it goes on\n"
"                            after a crash: a file, made if missing, or block device\n"
"      --journal-mode MODE   sync (default), async or none\n"
"      --journal-size SIZE   of a new file; default 64M\n"
"      --busy-poll USEC      spin so long before sleeping; default 0\n"
"      --no-offload          the kernel neither cuts nor joins packets of several\n"
"                            datagrams\n"
"      --status FILE         keep a status file, JSON, four times a second\n"
"      --generation N        of our keys, if a database is gone that knew it\n"
"      --lax-key             accept a key file that others may read\n"
"\n"
"  -d, --db DIR            the database; created if there is none\n"
"      --sync checkpoint   durable at checkpoints, the log has the rest; the default\n"
"      --sync always       durable before results are returned\n"
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
	OPT_FOREGROUND, OPT_DUMP_HEAD, OPT_GENERATION, OPT_JOURNAL, OPT_JOURNAL_MODE, OPT_JOURNAL_SIZE,
	OPT_NO_OFFLOAD,
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
	{ "no-offload", no_argument, NULL, OPT_NO_OFFLOAD },
	{ "status", required_argument, NULL, OPT_STATUS },
	{ "lax-key", no_argument, NULL, OPT_LAX_KEY },
	{ "sync", required_argument, NULL, OPT_SYNC },
	{ "map-size", required_argument, NULL, OPT_MAP_SIZE },
	{ "check", no_argument, NULL, OPT_CHECK },
	{ "service", required_argument, NULL, OPT_SERVICE },
	{ "null-reply", required_argument, NULL, OPT_NULL_REPLY },
	{ "pidfile", required_argument, NULL, OPT_PIDFILE },
	{ "foreground", no_argument, NULL, OPT_FOREGROUND },
	{ "generation", required_argument, NULL, OPT_GENERATION },
	{ "journal", required_argument, NULL, OPT_JOURNAL },
	{ "journal-mode", required_argument, NULL, OPT_JOURNAL_MODE },
	{ "journal-size", required_argument, NULL, OPT_JOURNAL_SIZE },
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
	case OPT_GENERATION:
		if (!number(text, false, 255, &v))
			return bad_usage("--generation is 0 to 255", text);
		o->user.generation = v;
		return 0;
	case OPT_JOURNAL_SIZE:
		if (pbft_journal_size_from_text(&o->user.journal_size, text))
			return bad_usage("--journal-size is 16M or more", text);
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
	} else if (opt == OPT_JOURNAL_MODE) {
		if (pbft_journal_mode_from_text(&o->user.journal_mode, text))
			return bad_usage("--journal-mode is none, async or sync", text);
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

/* Where the value of an option of words goes, or NULL. */
static const char **string_option(struct options *o, int opt)
{
	switch (opt) {
	case 'i':
		return &o->instance;
	case 'c':
		return &o->user.cluster_path;
	case 'k':
		return &o->user.key_path;
	case 'd':
		return &o->db;
	case OPT_JOURNAL:
		return &o->user.journal;
	case OPT_STATUS:
		return &o->status;
	case OPT_PIDFILE:
		return &o->pidfile;
	default:
		return NULL;
	}
}

static bool *flag_option(struct options *o, int opt)
{
	switch (opt) {
	case 'u':
		return &o->userspace;
	case 'v':
		return &o->verbose;
	case OPT_GENESIS:
		return &o->user.genesis;
	case OPT_LAX_KEY:
		return &o->user.lax_key;
	case OPT_NO_OFFLOAD:
		return &o->user.no_offload;
	case OPT_CHECK:
		return &o->store.check;
	case OPT_DUMP_HEAD:
		return &o->dump_head;
	case OPT_FOREGROUND:
		return &o->foreground;
	default:
		return NULL;
	}
}

/* Return -1 to go on, or an exit status. */
static int set_option(struct options *o, int opt, const char *arg)
{
	const char **string = string_option(o, opt);
	bool *flag = flag_option(o, opt);

	if (string)
		*string = arg;
	if (flag)
		*flag = true;
	if (string || flag)
		return -1;
	switch (opt) {
	case 's':
	case OPT_BUSY_POLL:
	case OPT_GENERATION:
	case OPT_JOURNAL_SIZE:
	case OPT_MAP_SIZE:
	case OPT_NULL_REPLY:
		return set_number(o, opt, arg) ?: -1;
	case OPT_SYNC:
	case OPT_JOURNAL_MODE:
	case OPT_SERVICE:
		return set_word(o, opt, arg) ?: -1;
	case 'h':
		fputs(usage_text, stdout);
		return EXIT_OK;
	default:
		return bad_usage("an option is unknown or lacks its value", NULL);
	}
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
			    u->genesis || u->busy_poll || u->no_offload || u->journal ||
			    u->generation || o->status))
		return bad_usage("-i NAME has its configuration, keys, journal and status in the kernel: see pbftctl",
				 NULL);
	if (o->null_service == !!o->db)
		return bad_usage(o->db ? "--service null has no state: no --db" :
					 "--db is missing", NULL);
	return -1;
}

int pbft_options_parse(struct options *o, int argc, char **argv)
{
	int opt, rc;

	o->user.self = -1;
	o->user.journal_mode = PBFT_JOURNAL_SYNC;
	o->user.journal_size = PBFT_JOURNAL_SIZE_DEFAULT;
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
