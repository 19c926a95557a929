// SPDX-License-Identifier: GPL-2.0
/* The commands on one key, and on a range of keys read page by page. */
#include <errno.h>
#include <stdlib.h>

#include "tool.h"

#define PAGE_RECORDS	512	/* a result holds fewer if they are large */

static u8 op[PBFT_OP_MAX];

static bool encoded(int len)
{
	if (len == -EINVAL)
		complain("a key has 1 to %d bytes, a value at most %d",
			 PBFT_KV_KEY_MAX, PBFT_KV_VALUE_MAX);
	else if (len < 0)
		complain("old and new value together are too large");
	return len >= 0;
}

struct answer {
	void *data;
	u8 code;		/* enum pbft_kv_code */
	struct pbft_kv_reader rest;
};

/* Run one operation; false after complaining. free(a->data) afterwards. */
static bool ask(struct tool *t, int len, struct answer *a)
{
	u32 result_len;
	u8 status;
	int ret;

	a->data = NULL;
	ret = pbft_client_call(t->client, op, len, t->timeout, &status, &a->data,
			       &result_len);
	if (ret) {
		complain("%s", pbft_client_strerror(ret));
		return false;
	}
	pbft_kv_read_init(&a->rest, a->data, result_len);
	if (pbft_kv_read_u8(&a->rest, &a->code) || a->code > PBFT_KV_INVALID) {
		complain("the cluster's answer is not one of the key-value service: does it run another?");
		return false;
	}
	if (status == PBFT_ST_OK && a->code != PBFT_KV_INVALID)
		return true;
	complain("the key-value service refused the operation");
	return false;
}

static bool take_string(struct answer *a, const u8 **s, u32 *len)
{
	if (!pbft_kv_read_string(&a->rest, s, len))
		return true;
	complain("the key-value service's answer ends early");
	return false;
}

/* For answers that are a code alone. */
static int ask_code(struct tool *t, int len, const char *no)
{
	struct answer a;
	int ret = EXIT_CLUSTER;

	if (!encoded(len))
		return EXIT_USAGE;
	if (ask(t, len, &a)) {
		ret = a.code == PBFT_KV_OK ? EXIT_DONE : EXIT_NO;
		if (ret == EXIT_NO)
			complain("%s", no);
	}
	free(a.data);
	return ret;
}

int cmd_put(struct tool *t, int argc, char **argv)
{
	return ask_code(t, pbft_kv_put(op, sizeof(op), argv[0], strlen(argv[0]),
				       argv[1], strlen(argv[1])), "not stored");
}

int cmd_del(struct tool *t, int argc, char **argv)
{
	return ask_code(t, pbft_kv_delete(op, sizeof(op), argv[0],
					  strlen(argv[0])), "no such key");
}

int cmd_get(struct tool *t, int argc, char **argv)
{
	int len = pbft_kv_get(op, sizeof(op), argv[0], strlen(argv[0]));
	struct answer a;
	const u8 *value;
	u32 vlen;
	int ret = EXIT_CLUSTER;

	if (!encoded(len))
		return EXIT_USAGE;
	if (ask(t, len, &a)) {
		if (a.code != PBFT_KV_OK) {
			complain("no such key");
			ret = EXIT_NO;
		} else if (take_string(&a, &value, &vlen)) {
			fwrite(value, 1, vlen, stdout);
			if (!t->nul)
				putchar('\n');
			ret = EXIT_DONE;
		}
	}
	free(a.data);
	return ret;
}

static int report_conflict(struct answer *a)
{
	const u8 *value;
	u32 vlen;
	u8 have;

	if (pbft_kv_read_u8(&a->rest, &have)) {
		complain("the key-value service's answer ends early");
		return EXIT_CLUSTER;
	}
	if (!have) {
		complain("conflict: there is no such key");
		return EXIT_NO;
	}
	if (!take_string(a, &value, &vlen))
		return EXIT_CLUSTER;
	complain("conflict: the value is \"%.*s\"", (int)vlen, value);
	return EXIT_NO;
}

int cmd_cas(struct tool *t, int argc, char **argv)
{
	bool have_old = strcmp(argv[1], "-");
	int len = pbft_kv_cas(op, sizeof(op), argv[0], strlen(argv[0]), argv[1],
			      strlen(argv[1]), have_old, argv[2], strlen(argv[2]));
	struct answer a;
	int ret = EXIT_CLUSTER;

	if (!encoded(len))
		return EXIT_USAGE;
	if (ask(t, len, &a))
		ret = a.code == PBFT_KV_OK ? EXIT_DONE : report_conflict(&a);
	free(a.data);
	return ret;
}

/* ---- ranges --------------------------------------------------------- */

static bool has_byte(const u8 *s, u32 len, char c)
{
	return len && memchr(s, c, len);
}

static bool print_record(struct tool *t, bool values, const u8 *key, u32 klen,
			 const u8 *value, u32 vlen)
{
	char sep = t->nul ? '\0' : '\t', end = t->nul ? '\0' : '\n';

	if (has_byte(key, klen, end) ||
	    (values && (has_byte(key, klen, sep) || has_byte(value, vlen, end)))) {
		complain("the record of key \"%.*s\" contains %s", (int)klen, key,
			 t->nul ? "a NUL" : "a tab or newline: use -0");
		return false;
	}
	fwrite(key, 1, klen, stdout);
	if (values) {
		putchar(sep);
		fwrite(value, 1, vlen, stdout);
	}
	putchar(end);
	return true;
}

enum page {
	PAGE_MORE,
	PAGE_LAST,
	PAGE_BAD,		/* the answer makes no sense */
	PAGE_UNPRINTABLE,	/* in the format asked for */
};

/* Print one page and leave the last key in @last. */
static enum page print_page(struct tool *t, bool values, struct answer *a,
			    u8 *last, u32 *last_len)
{
	const u8 *key, *value;
	u32 klen, vlen;
	u8 more;

	if (pbft_kv_read_u8(&a->rest, &more) ||
	    (more && pbft_kv_read_end(&a->rest))) {
		complain("the key-value service's answer ends early");
		return PAGE_BAD;
	}
	while (!pbft_kv_read_end(&a->rest)) {
		if (!take_string(a, &key, &klen) || !take_string(a, &value, &vlen))
			return PAGE_BAD;
		if (klen > PBFT_KV_KEY_MAX) {
			complain("the key-value service gave a key that is too long");
			return PAGE_BAD;
		}
		if (!print_record(t, values, key, klen, value, vlen))
			return PAGE_UNPRINTABLE;
		memcpy(last, key, klen);
		*last_len = klen;
	}
	return more ? PAGE_MORE : PAGE_LAST;
}

static int print_range(struct tool *t, const char *prefix, bool values)
{
	u8 last[PBFT_KV_KEY_MAX];
	enum page page = PAGE_MORE;
	u32 last_len = 0;
	struct answer a;
	int len;

	/* an error of the output is reported by main() */
	while (page == PAGE_MORE && !ferror(stdout)) {
		len = pbft_kv_list(op, sizeof(op), prefix, strlen(prefix), last,
				   last_len, PAGE_RECORDS);
		if (!encoded(len))
			return EXIT_USAGE;
		page = ask(t, len, &a) ?
		       print_page(t, values, &a, last, &last_len) : PAGE_BAD;
		free(a.data);
	}
	if (page == PAGE_UNPRINTABLE)
		return EXIT_USAGE;
	return page == PAGE_BAD ? EXIT_CLUSTER : EXIT_DONE;
}

int cmd_list(struct tool *t, int argc, char **argv)
{
	return print_range(t, argc ? argv[0] : "", false);
}

int cmd_dump(struct tool *t, int argc, char **argv)
{
	return print_range(t, argc ? argv[0] : "", true);
}
