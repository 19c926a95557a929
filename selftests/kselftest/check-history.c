// SPDX-License-Identifier: GPL-2.0
/*
 * check-history FILE: is a history of pbft-bench --history linearizable?
 *
 * Every value is put once, so that each get names the put it read. Then the
 * question is decided exactly and in little time (Gibbons and Korach, "Testing
 * shared memories", 1997): the operations of one value on one key make a zone,
 * from the first return to the last invocation of them. Where the return comes
 * first, the value was in the register all that time (a forward zone); otherwise
 * one instant between them is enough (a backward zone). A history can be ordered
 * if and only if no two forward zones overlap, no backward zone lies inside a
 * forward one, and no value was read before its put was made.
 *
 * A put without an answer may take effect at any time after it was sent, or
 * never: it counts from the first get that saw it.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/types.h"

#define WORD	80
#define NEVER	U64_MAX

struct zone {			/* one value of one key */
	char key[WORD], value[WORD];
	u64 put, put_done;	/* the put's invocation and return */
	u64 first_done, last_invoked;
	u32 reads;
	bool known;		/* it was put, or is the initial nil */
};

struct history {
	struct zone *zones;
	u32 count, cap;
	u32 ops, unknown;
	char why[400];
};

static bool fail(struct history *h, const char *fmt, const struct zone *a,
		 const struct zone *b)
{
	snprintf(h->why, sizeof(h->why), fmt, a->key, a->value, b ? b->value : "");
	return false;
}

static struct zone *zone_of(struct history *h, const char *key, const char *value)
{
	struct zone *z;

	for (u32 i = h->count; i-- > 0;)	/* recent ones are asked for most */
		if (!strcmp(h->zones[i].value, value) && !strcmp(h->zones[i].key, key))
			return &h->zones[i];
	if (h->count == h->cap) {
		h->cap = h->cap * 2 + 256;
		h->zones = realloc(h->zones, h->cap * sizeof(*h->zones));
		if (!h->zones) {
			perror("check-history");
			exit(2);
		}
	}
	z = &h->zones[h->count++];
	memset(z, 0, sizeof(*z));
	strcpy(z->key, key);
	strcpy(z->value, value);
	z->first_done = NEVER;
	if (!strcmp(value, "nil")) {
		z->known = true;
		z->first_done = 0;
	}
	return z;
}

static void add(struct zone *z, u64 invoked, u64 done)
{
	z->first_done = min(z->first_done, done);
	z->last_invoked = max(z->last_invoked, invoked);
}

static bool add_op(struct history *h, const char *op, const char *key,
		   const char *arg, const char *result, u64 invoked, u64 done)
{
	bool put = !strcmp(op, "put");
	struct zone *z;

	h->ops++;
	h->unknown += done == NEVER;
	if (!put && done == NEVER)
		return true;
	z = zone_of(h, key, put ? arg : result);
	if (done != NEVER && put == !!strcmp(result, "ok"))
		return fail(h, "%s: an answer makes no sense: %s%s", z, NULL);
	if (put && z->known)
		return fail(h, "%s: the value %s was put twice%s", z, NULL);
	if (put) {
		z->known = true;
		z->put = invoked;
		z->put_done = done;
	}
	z->reads += !put;
	add(z, invoked, done);
	return true;
}

static int by_key(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;
	u64 p = min(x->first_done, x->last_invoked), q = min(y->first_done, y->last_invoked);
	int rc = strcmp(x->key, y->key);

	return rc ? rc : p < q ? -1 : p > q;
}

static bool forward(const struct zone *z)
{
	return z->first_done < z->last_invoked;
}

/* Zones of one key, by where they begin. */
static bool check_key(struct history *h, const struct zone *z, u32 count)
{
	const struct zone *open = NULL;		/* the forward zone that ends last */

	for (u32 i = 0; i < count; i++) {
		const struct zone *x = &z[i];

		if (open && open->last_invoked > min(x->first_done, x->last_invoked) &&
		    (forward(x) || open->last_invoked > x->first_done))
			return fail(h, "%s: the values %s and %s cannot be ordered", x, open);
		if (forward(x) && (!open || x->last_invoked > open->last_invoked))
			open = x;
	}
	return true;
}

static bool check(struct history *h)
{
	u32 kept = 0, from = 0;

	for (u32 i = 0; i < h->count; i++) {
		struct zone *z = &h->zones[i];

		if (!z->known)
			return fail(h, "%s: the value %s was read, but never put%s", z, NULL);
		if (z->reads && z->first_done < z->put)
			return fail(h, "%s: the value %s was read before it was put%s", z, NULL);
		if (z->reads || (z->put_done && z->put_done != NEVER))
			h->zones[kept++] = *z;
	}
	h->count = kept;
	qsort(h->zones, kept, sizeof(*h->zones), by_key);
	for (u32 i = 1; i <= kept; i++) {
		if (i < kept && !strcmp(h->zones[i].key, h->zones[from].key))
			continue;
		if (!check_key(h, h->zones + from, i - from))
			return false;
		from = i;
	}
	return true;
}

static bool read_history(struct history *h, FILE *f)
{
	char line[512], returned[32], op[8], key[WORD], arg[WORD], result[WORD];
	unsigned long long invoked;

	while (fgets(line, sizeof(line), f)) {
		if (*line == '#')
			continue;
		if (sscanf(line, "%*u %llu %31s %7s %79s %79s %79s", &invoked, returned,
			   op, key, arg, result) != 6) {
			snprintf(h->why, sizeof(h->why), "not a line of a history: %.200s", line);
			return false;
		}
		if (!add_op(h, op, key, arg, result, invoked,
			    *returned == '-' ? NEVER : strtoull(returned, NULL, 10)))
			return false;
	}
	return true;
}

/* ---- is this checker one? ---------------------------------------------------- */

static const struct {
	const char *what, *text;
	bool good;
} examples[] = {
	{ "one after the other", "1 1 2 put k a ok\n1 3 4 get k - a\n", true },
	{ "nil before the first put", "1 1 2 get k - nil\n1 3 4 put k a ok\n", true },
	{ "nil after a put", "1 1 2 put k a ok\n1 3 4 get k - nil\n", false },
	{ "nil during a put", "1 1 9 put k a ok\n1 3 4 get k - nil\n", true },
	{ "of two keys", "1 1 2 put k a ok\n1 3 4 get l - nil\n", true },
	{ "an old value", "1 1 2 put k a ok\n1 3 4 put k b ok\n2 5 6 get k - a\n", false },
	{ "either of two at once", "1 1 4 put k a ok\n1 2 5 put k b ok\n2 6 7 get k - a\n", true },
	{ "both of two at once",
	  "1 1 4 put k a ok\n2 2 5 put k b ok\n3 6 7 get k - a\n3 8 9 get k - b\n", false },
	{ "new, then old",
	  "1 1 2 put k a ok\n2 3 9 put k b ok\n3 4 5 get k - b\n3 6 7 get k - a\n", false },
	{ "old, then new",
	  "1 1 2 put k a ok\n2 3 9 put k b ok\n3 4 5 get k - a\n3 6 7 get k - b\n", true },
	{ "a put without an answer, seen",
	  "1 1 - put k a unknown\n2 5 6 get k - nil\n2 7 8 get k - a\n", true },
	{ "and gone again",
	  "1 1 - put k a unknown\n2 5 6 get k - a\n2 7 8 get k - nil\n", false },
	{ "a put without an answer, never seen", "1 1 - put k a unknown\n2 5 6 get k - nil\n", true },
	{ "read before it was put", "1 1 2 get k - a\n2 3 4 put k a ok\n", false },
	{ "read, never put", "1 1 2 get k - a\n", false },
	{ "a lost put", "1 1 2 put k a ok\n1 3 4 put k b ok\n1 5 6 put k c ok\n2 7 8 get k - b\n",
	  false },
	{ "a backward zone inside a forward one",
	  "1 1 2 put k a ok\n2 3 4 put k b ok\n1 5 6 get k - a\n", false },
};

static int self_test(void)
{
	int bad = 0;

	for (u32 i = 0; i < ARRAY_SIZE(examples); i++) {
		struct history h = { 0 };
		FILE *f = fmemopen((void *)examples[i].text, strlen(examples[i].text), "r");
		bool good = read_history(&h, f) && check(&h);

		fclose(f);
		free(h.zones);
		if (good == examples[i].good)
			continue;
		bad++;
		printf("%s: found %slinearizable %s\n", examples[i].what, good ? "" : "not ",
		       h.why);
	}
	printf("%zu examples, %d judged wrongly\n", ARRAY_SIZE(examples), bad);
	return bad ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct history h = { 0 };
	FILE *f;

	if (argc == 2 && !strcmp(argv[1], "--self-test"))
		return self_test();
	if (argc != 2) {
		fprintf(stderr, "usage: check-history FILE | --self-test\n");
		return 2;
	}
	f = fopen(argv[1], "re");
	if (!f) {
		fprintf(stderr, "check-history: %s: %s\n", argv[1], strerror(errno));
		return 2;
	}
	if (!read_history(&h, f) || !check(&h)) {
		printf("not linearizable: %s\n", h.why);
		return 1;
	}
	fclose(f);
	printf("linearizable: %u operations, %u without an answer\n", h.ops, h.unknown);
	free(h.zones);
	return h.ops ? 0 : 1;
}
