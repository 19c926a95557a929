// SPDX-License-Identifier: GPL-2.0
/*
 * load and verify: files of records into the cluster, and proof that they are
 * there.
 *
 * A key appended to the file of --acked has been acknowledged by f + 1
 * replicas: whatever happens to replicas afterwards, verify --acked must find
 * it. Where a key comes several times, the value found must be that of the last
 * record acknowledged, or of a later one whose acknowledgement was not seen.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "tool.h"

#define DPKG_STATUS	"/var/lib/dpkg/status"
#define REPORT_MAX	20	/* keys that are named one by one */

static bool service_answer(u8 status, const void *data, u32 len,
			   struct pbft_kv_reader *rest, u8 *code)
{
	pbft_kv_read_init(rest, data, len);
	if (status == PBFT_ST_OK && !pbft_kv_read_u8(rest, code) &&
	    *code < PBFT_KV_INVALID)
		return true;
	complain("the cluster's answer is not one of the key-value service: does it run another?");
	return false;
}

/* ---- load ----------------------------------------------------------- */

struct load {
	struct records records;
	int acked_fd;		/* -1: none */
};

static int load_encode(struct pipeline *p, u64 i, void *out, size_t cap)
{
	struct load *l = p->arg;
	const struct record *r = &l->records.v[i];

	return pbft_kv_put(out, cap, r->key, r->klen, r->value, r->vlen);
}

/* One write() for each: what was acknowledged stands there even if we die. */
static bool note_acked(struct pipeline *p, const struct record *r)
{
	struct load *l = p->arg;
	char end = p->tool->nul ? '\0' : '\n';
	struct iovec iov[2] = { { (void *)r->key, r->klen }, { &end, 1 } };

	if (l->acked_fd < 0)
		return true;
	if (writev(l->acked_fd, iov, 2) == (ssize_t)r->klen + 1)
		return true;
	complain("%s: cannot append: %s", p->tool->acked, strerror(errno));
	return false;
}

static bool load_result(struct pipeline *p, u64 i, u8 status, const void *data,
			u32 len)
{
	struct load *l = p->arg;
	struct pbft_kv_reader rest;
	u8 code;

	if (!service_answer(status, data, len, &rest, &code))
		return false;
	if (code != PBFT_KV_OK) {
		complain("the key-value service did not store \"%.*s\"",
			 (int)l->records.v[i].klen, l->records.v[i].key);
		return false;
	}
	return note_acked(p, &l->records.v[i]);
}

static bool open_acked(struct tool *t, struct load *l)
{
	l->acked_fd = -1;
	if (!t->acked)
		return true;
	l->acked_fd = open(t->acked, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
	if (l->acked_fd >= 0)
		return true;
	complain("%s: %s", t->acked, strerror(errno));
	return false;
}

static int load(struct tool *t, struct load *l)
{
	struct pipeline p = {
		.tool = t,
		.verb = "acknowledged",
		.total = l->records.count,
		.arg = l,
		.encode = load_encode,
		.result = load_result,
	};
	int ret = EXIT_USAGE;

	if (open_acked(t, l)) {
		ret = pipeline_run(&p) ? EXIT_DONE : EXIT_CLUSTER;
		printf("%llu of %llu records acknowledged\n",
		       (unsigned long long)p.done, (unsigned long long)p.total);
	}
	if (l->acked_fd >= 0)
		close(l->acked_fd);
	records_free(&l->records);
	return ret;
}

int cmd_load(struct tool *t, int argc, char **argv)
{
	struct load l;

	return records_load(&l.records, argv[0], t->nul) ? load(t, &l) : EXIT_USAGE;
}

int cmd_load_dpkg(struct tool *t, int argc, char **argv)
{
	struct load l;

	return records_load_dpkg(&l.records, argc ? argv[0] : DPKG_STATUS) ?
	       load(t, &l) : EXIT_USAGE;
}

/* ---- verify --------------------------------------------------------- */

/* One key: any of these records' values is right. */
struct expect {
	const struct record *first;
	u32 count;
};

struct verify {
	struct records records, acked;
	struct expect *v;
	u64 count;
	u64 missing, wrong;
};

static int verify_encode(struct pipeline *p, u64 i, void *out, size_t cap)
{
	struct verify *v = p->arg;
	const struct record *r = v->v[i].first;

	return pbft_kv_get(out, cap, r->key, r->klen);
}

static bool expected(const struct expect *e, const u8 *value, u32 len)
{
	u32 i;

	for (i = 0; i < e->count; i++)
		if (e->first[i].vlen == len &&
		    (!len || !memcmp(e->first[i].value, value, len)))
			return true;
	return false;
}

static void report(const struct verify *v, const char *what, const struct record *r)
{
	if (v->missing + v->wrong <= REPORT_MAX)
		complain("%s: %.*s", what, (int)r->klen, r->key);
	else if (v->missing + v->wrong == REPORT_MAX + 1)
		complain("and more, not shown");
}

static bool verify_result(struct pipeline *p, u64 i, u8 status, const void *data,
			  u32 len)
{
	struct verify *v = p->arg;
	const struct record *r = v->v[i].first;
	struct pbft_kv_reader rest;
	const u8 *value;
	u32 vlen;
	u8 code;

	if (!service_answer(status, data, len, &rest, &code))
		return false;
	if (code != PBFT_KV_OK) {
		v->missing++;
		report(v, "missing", r);
	} else if (pbft_kv_read_string(&rest, &value, &vlen)) {
		complain("the key-value service's answer ends early");
		return false;
	} else if (!expected(&v->v[i], value, vlen)) {
		v->wrong++;
		report(v, "differs", r);
	}
	return true;
}

/* How often was @r's key acknowledged? @at walks the sorted list along. */
static u32 times_acked(const struct verify *v, const struct record *r, u32 *at)
{
	u32 times = 0;

	while (*at < v->acked.count && record_key_cmp(&v->acked.v[*at], r) < 0)
		(*at)++;
	while (*at < v->acked.count && !record_key_cmp(&v->acked.v[*at], r)) {
		(*at)++;
		times++;
	}
	return times;
}

/* Group the records by key, and drop keys never acknowledged. */
static bool expectations(struct tool *t, struct verify *v)
{
	u32 i, count, acked, at = 0;

	records_sort(&v->records);
	records_sort(&v->acked);
	v->v = calloc(v->records.count + 1, sizeof(*v->v));
	if (!v->v) {
		complain("out of memory");
		return false;
	}
	for (i = 0; i < v->records.count; i += count) {
		const struct record *r = &v->records.v[i];

		for (count = 1; i + count < v->records.count; count++)
			if (record_key_cmp(r, &v->records.v[i + count]))
				break;
		acked = t->acked ? times_acked(v, r, &at) : count;
		if (!acked)
			continue;
		if (acked > count)
			acked = count;
		v->v[v->count].first = r + acked - 1;
		v->v[v->count].count = count - (acked - 1);
		v->count++;
	}
	return true;
}

static int run_verify(struct tool *t, struct verify *v)
{
	struct pipeline p = {
		.tool = t,
		.verb = "verified",
		.total = v->count,
		.arg = v,
		.encode = verify_encode,
		.result = verify_result,
	};

	if (!pipeline_run(&p))
		return EXIT_CLUSTER;
	printf("%llu keys verified: %llu right, %llu missing, %llu different\n",
	       (unsigned long long)p.done,
	       (unsigned long long)(p.done - v->missing - v->wrong),
	       (unsigned long long)v->missing, (unsigned long long)v->wrong);
	return v->missing || v->wrong ? EXIT_NO : EXIT_DONE;
}

static int verify(struct tool *t, struct verify *v)
{
	int ret = EXIT_USAGE;

	if ((!t->acked || records_load_keys(&v->acked, t->acked, t->nul)) &&
	    expectations(t, v))
		ret = run_verify(t, v);
	free(v->v);
	records_free(&v->acked);
	records_free(&v->records);
	return ret;
}

int cmd_verify(struct tool *t, int argc, char **argv)
{
	struct verify v = { 0 };

	return records_load(&v.records, argv[0], t->nul) ? verify(t, &v) : EXIT_USAGE;
}

int cmd_verify_dpkg(struct tool *t, int argc, char **argv)
{
	struct verify v = { 0 };

	return records_load_dpkg(&v.records, argc ? argv[0] : DPKG_STATUS) ?
	       verify(t, &v) : EXIT_USAGE;
}
