// SPDX-License-Identifier: GPL-2.0
/* The result: a table for people, JSON for programs. */
#include <errno.h>
#include <json-c/json.h>

#include "bench.h"

static const struct {
	const char *name;
	double q;
} quantiles[] = {
	{ "p50", 0.5 }, { "p90", 0.9 }, { "p99", 0.99 }, { "p99.9", 0.999 },
};

static double measured_seconds(const struct bench *b)
{
	return (b->measure_end - b->measure_start) / 1e9;
}

static double throughput(const struct bench *b)
{
	double s = measured_seconds(b);

	return s > 0 ? b->completed / s : 0;
}

static struct pbft_client_stats total_stats(const struct bench *b)
{
	struct pbft_client_stats sum = { 0 }, st;
	u32 i;

	for (i = 0; i < b->count; i++) {
		pbft_client_stats(b->clients[i].client, &st);
		sum.submitted += st.submitted;
		sum.completed += st.completed;
		sum.retransmits += st.retransmits;
		sum.stale += st.stale;
		sum.out_of_order += st.out_of_order;
		sum.replies += st.replies;
		sum.replies_bad += st.replies_bad;
		if (st.view > sum.view)
			sum.view = st.view;
	}
	return sum;
}

/* ---- table ---------------------------------------------------------- */

static void print_ns(FILE *out, const char *name, double ns)
{
	if (ns < 1e6)
		fprintf(out, "  %-8s %10.1f us\n", name, ns / 1e3);
	else
		fprintf(out, "  %-8s %10.2f ms\n", name, ns / 1e6);
}

static const char *sockets(const struct bench *b)
{
	struct pbft_transport_stats st;

	if (!b->transport)
		return b->count == 1 ? "one socket" : "a socket for each client";
	pbft_transport_stats(b->transport, &st);
	if (st.gso && st.gro)
		return "one socket, the kernel cuts and joins packets";
	if (st.gso || st.gro)
		return st.gso ? "one socket, the kernel cuts packets" :
				"one socket, the kernel joins packets";
	return "one socket, a packet for each datagram";
}

void report_table(const struct bench *b, FILE *out)
{
	struct pbft_client_stats st = total_stats(b);
	u32 i;

	fprintf(out, "workload %s, %u client%s", b->cfg.workload_name, b->count,
		b->count == 1 ? "" : "s");
	if (b->cfg.rate)
		fprintf(out, ", %.0f operations a second wanted\n", b->cfg.rate);
	else
		fprintf(out, ", %u outstanding each\n", b->cfg.depth);
	fprintf(out, "  %s\n", sockets(b));
	fprintf(out, "  %llu operations in %.2f s: %.0f a second\n",
		(unsigned long long)b->completed, measured_seconds(b),
		throughput(b));
	if (b->hist.count) {
		fputs("latency\n", out);
		print_ns(out, "min", b->hist.min);
		print_ns(out, "mean", hist_mean(&b->hist));
		for (i = 0; i < ARRAY_SIZE(quantiles); i++)
			print_ns(out, quantiles[i].name,
				 hist_quantile(&b->hist, quantiles[i].q));
		print_ns(out, "max", b->hist.max);
	}
	fprintf(out, "errors %llu, retransmissions %llu, bad replies %llu, out of order %llu, view %llu\n",
		(unsigned long long)(b->errors + b->errors_warmup),
		(unsigned long long)st.retransmits,
		(unsigned long long)st.replies_bad,
		(unsigned long long)st.out_of_order,
		(unsigned long long)st.view);
}

/* ---- JSON ----------------------------------------------------------- */

static void add_u64(json_object *o, const char *name, u64 v)
{
	json_object_object_add(o, name, json_object_new_uint64(v));
}

static void add_double(json_object *o, const char *name, double v)
{
	json_object *d = json_object_new_double(v);

	json_object_set_serializer(d, json_object_double_to_json_string,
				   (void *)"%.3f", NULL);
	json_object_object_add(o, name, d);
}

/* Long lists of numbers in one line. */
static void add_compact(json_object *o, const char *name, json_object *list)
{
	char *text = strdup(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN));

	json_object_set_serializer(list, json_object_userdata_to_json_string, text,
				   json_object_free_userdata);
	json_object_object_add(o, name, list);
}

static json_object *latency(const struct bench *b)
{
	json_object *o = json_object_new_object();
	u32 i;

	add_u64(o, "min", b->hist.min);
	add_double(o, "mean", hist_mean(&b->hist));
	for (i = 0; i < ARRAY_SIZE(quantiles); i++)
		add_u64(o, quantiles[i].name,
			hist_quantile(&b->hist, quantiles[i].q));
	add_u64(o, "max", b->hist.max);
	return o;
}

/* Pairs of upper bound and count, of the buckets that hold something. */
static json_object *histogram(const struct bench *b)
{
	json_object *list = json_object_new_array();
	u32 i;

	for (i = 0; i < HIST_BUCKETS; i++) {
		json_object *pair;

		if (!b->hist.bucket[i])
			continue;
		pair = json_object_new_array();
		json_object_array_add(pair, json_object_new_uint64(hist_upper(i)));
		json_object_array_add(pair,
				      json_object_new_uint64(b->hist.bucket[i]));
		json_object_array_add(list, pair);
	}
	return list;
}

static json_object *timeline(const struct bench *b)
{
	json_object *list = json_object_new_array();
	u32 i;

	for (i = 0; i < b->intervals; i++)
		json_object_array_add(list, json_object_new_uint64(b->timeline[i]));
	return list;
}

static json_object *transport(const struct bench *b)
{
	json_object *o = json_object_new_object();
	struct pbft_transport_stats st;

	pbft_transport_stats(b->transport, &st);
	json_object_object_add(o, "gso", json_object_new_boolean(st.gso));
	json_object_object_add(o, "gro", json_object_new_boolean(st.gro));
	add_u64(o, "tx_calls", st.tx_calls);
	add_u64(o, "tx_packets", st.tx_packets);
	add_u64(o, "tx_datagrams", st.tx_datagrams);
	add_u64(o, "rx_calls", st.rx_calls);
	add_u64(o, "rx_packets", st.rx_packets);
	add_u64(o, "rx_datagrams", st.rx_datagrams);
	add_u64(o, "strangers", st.strangers);
	return o;
}

static json_object *result(const struct bench *b)
{
	struct pbft_client_stats st = total_stats(b);
	json_object *o = json_object_new_object();

	json_object_object_add(o, "workload",
			       json_object_new_string(b->cfg.workload_name));
	add_u64(o, "replicas", b->cluster.n_replicas);
	add_u64(o, "clients", b->count);
	add_u64(o, "depth", b->cfg.depth);
	add_double(o, "rate", b->cfg.rate);
	add_double(o, "seconds", measured_seconds(b));
	add_u64(o, "operations", b->completed);
	add_u64(o, "errors", b->errors);
	add_u64(o, "errors_warmup", b->errors_warmup);
	add_double(o, "throughput", throughput(b));
	json_object_object_add(o, "latency_ns", latency(b));
	add_double(o, "result_bytes",
		   b->completed ? (double)b->result_bytes / b->completed : 0);
	add_u64(o, "retransmits", st.retransmits);
	add_u64(o, "replies", st.replies);
	add_u64(o, "replies_bad", st.replies_bad);
	add_u64(o, "out_of_order", st.out_of_order);
	add_u64(o, "view", st.view);
	add_double(o, "client_cpu_seconds", b->cpu_seconds);
	add_u64(o, "sockets", b->transport ? 1 : b->count);
	if (b->transport)
		json_object_object_add(o, "transport", transport(b));
	if (b->cfg.interval) {
		add_double(o, "interval", b->cfg.interval / 1e9);
		add_compact(o, "timeline", timeline(b));
	}
	add_compact(o, "histogram_ns", histogram(b));
	return o;
}

bool report_json(const struct bench *b, const char *path)
{
	json_object *o = result(b);
	FILE *f = strcmp(path, "-") ? fopen(path, "we") : stdout;
	bool good = f;

	if (f) {
		fputs(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PRETTY |
							JSON_C_TO_STRING_SPACED |
							JSON_C_TO_STRING_NOSLASHESCAPE), f);
		fputc('\n', f);
		good = !ferror(f);
		if ((f == stdout ? fflush(f) : fclose(f)) != 0)
			good = false;
	}
	if (!good)
		complain("%s: %s", path, strerror(errno));
	json_object_put(o);
	return good;
}
