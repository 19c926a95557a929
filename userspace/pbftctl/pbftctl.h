/* SPDX-License-Identifier: GPL-2.0 */
/* pbftctl: what its subcommands share. */
#ifndef PBFTCTL_H
#define PBFTCTL_H

#include <json-c/json.h>

#include "libpbft/cluster.h"
#include "libpbft/crypto.h"
#include "libpbft/nl.h"

enum exit_status {
	EXIT_OK = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_TIMEOUT = 3,
};

struct command {
	const char *name;
	const char *args;		/* as in a usage line */
	const char *summary;		/* one line */
	const char *help;		/* the rest; may be NULL */
	int (*run)(const struct command *cmd, int argc, char **argv);
};

extern const struct command cmd_check, cmd_del, cmd_down, cmd_genconf,
	cmd_genkey, cmd_journal, cmd_monitor, cmd_pubkey, cmd_recover, cmd_rotate_key, cmd_setconf,
	cmd_show, cmd_showconf, cmd_syncconf, cmd_up, cmd_wait;

/* ---- util.c ------------------------------------------------------------ */

/* "pbftctl CMD: " and a sentence on stderr. Return EXIT_FAILED. */
int failed(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* The same with the usage line. Return EXIT_USAGE. */
int misused(const struct command *cmd, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* One --name, with a value unless it is a flag. */
struct opt {
	const char *name;
	const char **value;
	bool *flag;
	struct values *values;		/* may stand several times */
};

#define VALUES_MAX	32

struct values {
	int count;
	const char *v[VALUES_MAX];
};

#define OPTS_MAX	12

/*
 * Options anywhere, @min to @max other words into @pos (the rest stays NULL).
 * Return 0 or EXIT_USAGE; --help prints and exits.
 */
int parse_args(const struct command *cmd, int argc, char **argv,
	       const struct opt *opts, int n_opts, const char **pos, int min,
	       int max);

/* What nearly every command begins with: the socket, a cluster file, a key. */
int open_netlink(const struct command *cmd, struct pbft_nl **nl);
int load_cluster(const struct command *cmd, struct pbft_cluster *c,
		 const char *path);
int load_key(const struct command *cmd, u8 private_key[32], u8 public_key[32],
	     const char *path);
/* Exactly one instance. */
int get_instance(const struct command *cmd, struct pbft_nl *nl,
		 const char *name, struct pbft_nl_instance **in);
int set_failed(const struct command *cmd, struct pbft_nl *nl, const char *name);

/* Write @key as text to a new file that only we can read. */
int write_key_file(const struct command *cmd, const char *path,
		   const u8 key[32]);
/* Whatever was written where @path is survives a power cut. */
int sync_keys(const struct command *cmd, const char *path);

/* ---- wait.c --------------------------------------------------------------- */

/* Until no recovery is under way. @timeout: as --timeout takes it, or NULL. */
int wait_recovered(const struct command *cmd, const char *name,
		   const char *timeout);

/* ---- status.c: an instance for people and for programs ------------------- */

void print_status_line(FILE *f, const struct pbft_nl_status *st);
/* Of the state being fetched; st->fetch_total is not 0. */
unsigned int fetch_percent(const struct pbft_nl_status *st);
/* Of st->recovery, which is not none. */
void print_recovery(FILE *f, const struct pbft_nl_status *st);
struct json_object *status_json(const struct pbft_nl_status *st);
struct json_object *counters_json(const struct pbft_nl_counters *cs);
void put_json(struct json_object *o, const char *key, struct json_object *v);
void put_u64(struct json_object *o, const char *key, u64 v);
void put_string(struct json_object *o, const char *key, const char *v);
void hex_text(char *out, const u8 *bytes, size_t len);	/* 2 * len + 1 chars */

#endif /* PBFTCTL_H */
