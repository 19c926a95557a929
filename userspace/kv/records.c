// SPDX-License-Identifier: GPL-2.0
/*
 * Records from files: KEY tab VALUE lines, NUL-separated pairs, keys alone, and
 * the packages of a dpkg status file. Everything is read into memory once and
 * checked before the first operation is sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "tool.h"

/* ---- memory --------------------------------------------------------- */

static bool read_fd(struct records *r, int fd, const char *path)
{
	size_t cap = 0;

	for (;;) {
		ssize_t n;

		if (r->len == cap) {
			u8 *data = realloc(r->data, cap = cap ? 2 * cap : 65536);

			if (!data) {
				complain("%s: out of memory", path);
				return false;
			}
			r->data = data;
		}
		n = read(fd, r->data + r->len, cap - r->len);
		if (!n)
			return true;
		if (n > 0) {
			r->len += n;
		} else if (errno != EINTR) {
			complain("%s: %s", path, strerror(errno));
			return false;
		}
	}
}

static bool read_file(struct records *r, const char *path)
{
	int fd = STDIN_FILENO;
	bool good;

	memset(r, 0, sizeof(*r));
	if (strcmp(path, "-"))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		complain("%s: %s", path, strerror(errno));
		return false;
	}
	good = read_fd(r, fd, path);
	if (fd != STDIN_FILENO)
		close(fd);
	return good;
}

void records_free(struct records *r)
{
	free(r->data);
	free(r->keys);
	free(r->v);
	memset(r, 0, sizeof(*r));
}

static bool add(struct records *r, const char *path, const u8 *key, size_t klen,
		const u8 *value, size_t vlen)
{
	struct record *v;

	if (!klen || klen > PBFT_KV_KEY_MAX) {
		complain("%s: the key of record %u has %zu bytes: 1 to %d are allowed",
			 path, r->count + 1, klen, PBFT_KV_KEY_MAX);
		return false;
	}
	if (vlen > PBFT_KV_VALUE_MAX) {
		complain("%s: the value of key \"%.*s\" has %zu bytes: at most %d are allowed",
			 path, (int)klen, key, vlen, PBFT_KV_VALUE_MAX);
		return false;
	}
	if (r->count == r->cap) {
		u32 cap = r->cap ? 2 * r->cap : 1024;

		v = realloc(r->v, cap * sizeof(*v));
		if (!v) {
			complain("%s: out of memory", path);
			return false;
		}
		r->v = v;
		r->cap = cap;
	}
	v = &r->v[r->count];
	*v = (struct record){ key, value, klen, vlen, r->count };
	r->count++;
	return true;
}

/* ---- our own formats ------------------------------------------------ */

/* The field that starts at @p; *@next is behind its terminator. */
static size_t field(const struct records *r, const u8 *p, char end, const u8 **next)
{
	const u8 *stop = r->data + r->len, *q = memchr(p, end, stop - p);

	*next = q ? q + 1 : stop;
	return (q ?: stop) - p;
}

static bool parse_lines(struct records *r, const char *path)
{
	const u8 *p = r->data, *next, *tab;
	u32 line = 0;
	size_t len;

	for (; p < r->data + r->len; p = next) {
		line++;
		len = field(r, p, '\n', &next);
		if (!len)
			continue;
		tab = memchr(p, '\t', len);
		if (!tab) {
			complain("%s: line %u has no tab between key and value",
				 path, line);
			return false;
		}
		if (!add(r, path, p, tab - p, tab + 1, p + len - tab - 1))
			return false;
	}
	return true;
}

static bool parse_pairs(struct records *r, const char *path)
{
	const u8 *p = r->data, *value, *next;
	size_t klen, vlen;

	for (; p < r->data + r->len; p = next) {
		klen = field(r, p, '\0', &value);
		if (p + klen == r->data + r->len) {
			complain("%s: the last key, of record %u, has no value", path,
				 r->count + 1);
			return false;
		}
		vlen = field(r, value, '\0', &next);
		if (!add(r, path, p, klen, value, vlen))
			return false;
	}
	return true;
}

static bool finish(struct records *r, bool good)
{
	if (!good)
		records_free(r);
	return good;
}

bool records_load(struct records *r, const char *path, bool nul)
{
	return finish(r, read_file(r, path) &&
			 (nul ? parse_pairs(r, path) : parse_lines(r, path)));
}

static bool parse_keys(struct records *r, const char *path, char end)
{
	const u8 *p = r->data, *next;
	size_t len;

	for (; p < r->data + r->len; p = next) {
		len = field(r, p, end, &next);
		if (len && !add(r, path, p, len, NULL, 0))
			return false;
	}
	return true;
}

bool records_load_keys(struct records *r, const char *path, bool nul)
{
	return finish(r, read_file(r, path) &&
			 parse_keys(r, path, nul ? '\0' : '\n'));
}

/* ---- dpkg status ---------------------------------------------------- */

/* The value of "Name: value" in the record, without a continuation. */
static const u8 *dpkg_field(const u8 *rec, size_t len, const char *name, size_t *out)
{
	size_t n = strlen(name);
	const u8 *p = rec, *end = rec + len, *eol;

	for (; p < end; p = eol + 1) {
		eol = memchr(p, '\n', end - p) ?: end;
		if ((size_t)(eol - p) <= n || memcmp(p, name, n) || p[n] != ':')
			continue;
		for (p += n + 1; p < eol && (*p == ' ' || *p == '\t'); p++)
			;
		while (eol > p && (eol[-1] == ' ' || eol[-1] == '\t'))
			eol--;
		*out = eol - p;
		return p;
	}
	return NULL;
}

/* @key: where to write "package:arch"; it needs no more room than the record. */
static bool add_package(struct records *r, const char *path, u8 **key,
			const u8 *rec, size_t len)
{
	const u8 *package, *arch;
	size_t plen, alen;
	u8 *at = *key;

	package = dpkg_field(rec, len, "Package", &plen);
	arch = dpkg_field(rec, len, "Architecture", &alen);
	if (!package || !arch) {
		complain("%s: record %u has no %s field", path, r->count + 1,
			 package ? "Architecture" : "Package");
		return false;
	}
	*key = mempcpy(*key, package, plen);
	*(*key)++ = ':';
	*key = mempcpy(*key, arch, alen);
	return add(r, path, at, *key - at, rec, len);
}

static bool parse_dpkg(struct records *r, const char *path)
{
	const u8 *p = r->data, *end = r->data + r->len, *stop;
	u8 *key;

	r->keys = malloc(r->len + 1);
	if (!r->keys) {
		complain("%s: out of memory", path);
		return false;
	}
	for (key = r->keys; p < end; p = stop) {
		if (*p == '\n') {
			stop = p + 1;
			continue;
		}
		stop = memmem(p, end - p, "\n\n", 2);
		stop = stop ? stop + 1 : end;
		if (!add_package(r, path, &key, p, stop - p))
			return false;
	}
	return true;
}

bool records_load_dpkg(struct records *r, const char *path)
{
	return finish(r, read_file(r, path) && parse_dpkg(r, path));
}

/* ---- order ---------------------------------------------------------- */

int record_key_cmp(const struct record *a, const struct record *b)
{
	int c = memcmp(a->key, b->key, a->klen < b->klen ? a->klen : b->klen);

	return c ?: (a->klen > b->klen) - (a->klen < b->klen);
}

static int by_key_and_index(const void *a, const void *b)
{
	const struct record *x = a, *y = b;

	return record_key_cmp(x, y) ?: (x->index > y->index) - (x->index < y->index);
}

void records_sort(struct records *r)
{
	if (r->count)
		qsort(r->v, r->count, sizeof(*r->v), by_key_and_index);
}
