// SPDX-License-Identifier: GPL-2.0
/*
 * What the clients ask for, whether the answers make sense, and the history
 * that a linearizability checker can read.
 *
 * Every value put is unique: client, run and number. A GET in the history thus
 * names the one PUT it read.
 */
#include <errno.h>

#include "bench.h"

#define TAG_MAX	64

static u64 random_next(struct bench_client *c)
{
	u64 z = c->rng += 0x9e3779b97f4a7c15ull;	/* splitmix64 */

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

static int key_text(u32 key, char text[TAG_MAX])
{
	return snprintf(text, TAG_MAX, "bench-%u", key);
}

static int tag_text(const struct bench_op *op, char text[TAG_MAX])
{
	return snprintf(text, TAG_MAX, "%u.%llx.%llu", op->client->id,
			(unsigned long long)op->client->bench->run,
			(unsigned long long)op->number);
}

static int encode_put(struct bench *b, struct bench_op *op, void *out, size_t cap)
{
	static u8 value[PBFT_KV_VALUE_MAX + TAG_MAX];
	char key[TAG_MAX], tag[TAG_MAX];
	int klen = key_text(op->key, key), tlen;
	u32 vlen = b->cfg.value_len;

	op->number = ++op->client->number;
	tlen = tag_text(op, tag);
	memset(value, ' ', sizeof(value));
	memcpy(value, tag, tlen);
	return pbft_kv_put(out, cap, key, klen, value, max(vlen, (u32)tlen));
}

int workload_encode(struct bench *b, struct bench_op *op, void *out, size_t cap)
{
	char key[TAG_MAX];

	if (b->cfg.workload == LOAD_ECHO)
		return pbft_kv_echo(out, cap, b->cfg.request_len, b->cfg.reply_len);
	op->key = random_next(op->client) % b->cfg.key_space;
	op->read = b->cfg.workload == LOAD_GET ||
		   (b->cfg.workload == LOAD_MIX &&
		    random_next(op->client) % 100 < b->cfg.read_percent);
	if (!op->read)
		return encode_put(b, op, out, cap);
	return pbft_kv_get(out, cap, key, key_text(op->key, key));
}

/* ---- answers -------------------------------------------------------- */

/* The text a GET found, up to its padding; NULL if the answer is malformed. */
static const char *read_tag(const void *data, u32 len, char tag[TAG_MAX])
{
	struct pbft_kv_reader r;
	const u8 *value;
	u32 vlen, n;
	u8 code;

	pbft_kv_read_init(&r, data, len);
	if (pbft_kv_read_u8(&r, &code))
		return NULL;
	if (code == PBFT_KV_NOT_FOUND)
		return "nil";
	if (code != PBFT_KV_OK || pbft_kv_read_string(&r, &value, &vlen))
		return NULL;
	for (n = 0; n < vlen && n < TAG_MAX - 1 && value[n] > ' ' && value[n] < 127; n++)
		tag[n] = value[n];
	tag[n] = '\0';
	return n ? tag : "?";
}

static const char *answer(struct bench *b, const struct bench_op *op, int err,
			  u8 status, const void *data, u32 len, char tag[TAG_MAX])
{
	if (err)
		return "unknown";
	if (status != PBFT_ST_OK)
		return NULL;
	if (b->cfg.workload == LOAD_ECHO)
		return "ok";	/* the null service answers what it likes */
	if (op->read)
		return read_tag(data, len, tag);
	return len == 1 && *(const u8 *)data == PBFT_KV_OK ? "ok" : NULL;
}

static void history_line(struct bench *b, const struct bench_op *op, u64 now,
			 int err, const char *result)
{
	char key[TAG_MAX], tag[TAG_MAX] = "-", returned[24] = "-";

	key_text(op->key, key);
	if (!op->read)
		tag_text(op, tag);
	if (!err)
		snprintf(returned, sizeof(returned), "%llu", (unsigned long long)now);
	fprintf(b->history, "%u %llu %s %s %s %s %s\n", op->client->id,
		(unsigned long long)op->invoked, returned,
		op->read ? "get" : "put", key, tag, result);
}

bool workload_result(struct bench *b, const struct bench_op *op, u64 now, int err,
		     u8 status, const void *data, u32 len)
{
	char tag[TAG_MAX];
	const char *result = answer(b, op, err, status, data, len, tag);

	if (b->history)
		history_line(b, op, now, err, result ?: "malformed");
	return result && !err;
}

/* ---- history -------------------------------------------------------- */

bool history_open(struct bench *b)
{
	if (!b->cfg.history)
		return true;
	b->history = fopen(b->cfg.history, "we");
	if (!b->history) {
		complain("%s: %s", b->cfg.history, strerror(errno));
		return false;
	}
	fputs("# client invoked returned op key argument result\n", b->history);
	return true;
}

bool history_close(struct bench *b)
{
	bool good;

	if (!b->history)
		return true;
	good = !ferror(b->history);
	if (fclose(b->history) || !good) {
		complain("%s: cannot write the history: %s", b->cfg.history,
			 strerror(errno));
		return false;
	}
	return true;
}
