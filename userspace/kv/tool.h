/* SPDX-License-Identifier: GPL-2.0 */
/* pbft-kv: what its files share. */
#ifndef PBFT_KV_TOOL_H
#define PBFT_KV_TOOL_H

#include <stdio.h>

#include "libpbft/client.h"
#include "libpbft/crypto.h"
#include "libpbft/kv.h"

enum exit_code {
	EXIT_DONE = 0,
	EXIT_NO = 1,		/* the answer is no: not found, conflict, differs */
	EXIT_USAGE = 2,		/* wrong arguments, files or keys */
	EXIT_CLUSTER = 3,	/* no answer, or none that can be used */
};

struct tool {
	struct pbft_client *client;
	u64 timeout;		/* ns for one operation; 0: wait for ever */
	bool nul;		/* records end with NUL, not newline */
	bool quiet;
	const char *acked;	/* file of acknowledged keys, or NULL */
};

/* "pbft-kv: " and the sentence, on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- records.c: input ------------------------------------------------ */

struct record {
	const u8 *key, *value;
	u32 klen, vlen;
	u32 index;		/* place in the input */
};

struct records {
	u8 *data;		/* the whole input; records point into it */
	size_t len;
	u8 *keys;		/* or into this, where keys had to be made up */
	struct record *v;
	u32 count, cap;
};

/* false after complaining. "-" is standard input. */
bool records_load(struct records *r, const char *path, bool nul);
bool records_load_dpkg(struct records *r, const char *path);
/* Keys alone, one a line (or NUL-terminated). */
bool records_load_keys(struct records *r, const char *path, bool nul);
void records_free(struct records *r);

/* Order by key, equal keys by place in the input. */
void records_sort(struct records *r);
int record_key_cmp(const struct record *a, const struct record *b);

/* ---- pipeline.c: many operations at a time ---------------------------- */

struct pipeline {
	struct tool *tool;
	const char *verb;	/* "loaded", for the progress line */
	u64 total;
	void *arg;
	/* Write operation @i; bytes, or -errno. */
	int (*encode)(struct pipeline *p, u64 i, void *out, size_t cap);
	/* Its result, in any order. false stops the pipeline. */
	bool (*result)(struct pipeline *p, u64 i, u8 status, const void *data,
		       u32 len);
	u64 next, done;
	bool failed;
};

/* Run all operations; false if one failed, after complaining. */
bool pipeline_run(struct pipeline *p);

/* ---- commands --------------------------------------------------------- */

int cmd_put(struct tool *t, int argc, char **argv);
int cmd_get(struct tool *t, int argc, char **argv);
int cmd_del(struct tool *t, int argc, char **argv);
int cmd_cas(struct tool *t, int argc, char **argv);
int cmd_list(struct tool *t, int argc, char **argv);
int cmd_dump(struct tool *t, int argc, char **argv);
int cmd_load(struct tool *t, int argc, char **argv);
int cmd_verify(struct tool *t, int argc, char **argv);
int cmd_load_dpkg(struct tool *t, int argc, char **argv);
int cmd_verify_dpkg(struct tool *t, int argc, char **argv);

#endif /* PBFT_KV_TOOL_H */
