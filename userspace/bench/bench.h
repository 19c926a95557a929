/* SPDX-License-Identifier: GPL-2.0 */
/* pbft-bench: what its files share. */
#ifndef PBFT_BENCH_H
#define PBFT_BENCH_H

#include <stdio.h>
#include <time.h>

#include "hist.h"
#include "libpbft/client.h"
#include "libpbft/crypto.h"
#include "libpbft/kv.h"

#define NSEC_PER_SEC	1000000000ull

enum workload {
	LOAD_ECHO,		/* requests and replies of a given size */
	LOAD_PUT,
	LOAD_GET,
	LOAD_MIX,		/* PUT and GET */
};

struct config {
	const char *cluster, *keys, *json, *history;
	u32 first, last;	/* client ids */
	u32 depth;		/* operations outstanding for each client */
	enum workload workload;
	const char *workload_name;
	u32 request_len, reply_len;	/* LOAD_ECHO: payload bytes */
	u32 key_space, value_len, read_percent;
	u64 ops;		/* measured operations; 0: as the time allows */
	u64 seconds, warmup;	/* ns */
	u64 interval;		/* ns; 0: no lines in between */
	double rate;		/* arrivals a second, open loop; 0: closed loop */
	u64 timeout;		/* ns, for one operation */
	bool one_socket;	/* for all clients */
	bool no_offload;	/* the kernel neither cuts nor joins its packets */
};

struct bench;
struct bench_client;

struct bench_op {
	struct bench_client *client;
	bool busy;
	bool measured;
	bool read;
	u64 due;		/* when it should have started: open loop */
	u64 invoked;
	u32 key;
	u64 number;		/* PUT: of the value, unique for the client */
};

struct bench_client {
	struct bench *bench;
	struct pbft_client *client;
	u32 id;
	u32 busy;
	u64 rng;
	u64 number;
	struct bench_op *ops;	/* config.depth */
};

enum phase {
	PHASE_WARMUP,
	PHASE_MEASURE,
	PHASE_DRAIN,
};

struct bench {
	struct config cfg;
	struct pbft_cluster cluster;
	struct pbft_transport *transport;	/* NULL: each client has its own */
	struct bench_client *clients;
	u32 count;
	enum phase phase;
	u64 run;		/* makes values unique over runs */
	u64 measure_start, measure_end;
	u64 issued, completed;	/* measured operations */
	u64 errors, errors_warmup;
	u64 result_bytes;
	u64 arrivals_start, arrivals;	/* open loop */
	u32 next_client;
	u64 at_interval, since_interval;
	u64 cpu_start;
	double cpu_seconds;
	u64 *timeline;		/* completed in each interval */
	u32 intervals;
	FILE *history;
	struct hist hist;
};

static inline u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* "pbft-bench: " and the sentence, on stderr. */
void complain(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* options.c: 0 to go on, else exit status + 1 */
int parse_options(int argc, char **argv, struct config *cfg);

/* workload.c */
int workload_encode(struct bench *b, struct bench_op *op, void *out, size_t cap);
/* Is this a sane answer to @op? Also writes the history; err as in pbft_done_fn. */
bool workload_result(struct bench *b, const struct bench_op *op, u64 now, int err,
		     u8 status, const void *data, u32 len);
bool history_open(struct bench *b);
bool history_close(struct bench *b);

/* run.c */
bool bench_run(struct bench *b);
u64 cpu_ns(void);

/* report.c */
void report_table(const struct bench *b, FILE *out);
bool report_json(const struct bench *b, const char *path);

#endif /* PBFT_BENCH_H */
