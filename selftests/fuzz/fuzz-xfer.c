// SPDX-License-Identifier: GPL-2.0
/*
 * State transfer among lying peers. One store is behind another; its requests go
 * to the other, and come back right, altered, or not at all; datagrams that
 * nobody asked for come between. Nothing a peer says may be an error here, what
 * is installed must be the state that was asked for, and a peer that answers
 * right in the end brings it about.
 */
#include <stdlib.h>
#include "db.h"
#include "pbftd/xfer.h"

#define BEHIND		20
#define AHEAD		75
#define QUEUE		256
#define MTU	1400
#define MS		1000000ull
#define FINISH_ROUNDS	4000	/* ticks in which right answers must suffice */

struct datagram {
	u32 peer, len;
	u8 data[MTU];
};

struct side {
	struct pbft_store *st;
	struct pbft_xfer *x;
	/* what it sent and nobody has received yet; the oldest give way */
	struct datagram *queue;
	u32 first, count;
};

struct run {
	struct fuzz_in in;
	struct side fetcher, server;
	struct pbft_log_head head;
	struct pbft_digest root;
	u64 now;
	u32 installed;
};

static struct fuzz_db behind, ahead;
static struct datagram fetcher_queue[QUEUE], server_queue[QUEUE];
static struct pbft_store *source;	/* open all the time: serving changes nothing */
static struct pbft_digest source_root;

static struct pbft_store *open_store(const struct fuzz_db *db)
{
	struct pbft_store_opts opts = db_options(db, false, false);
	char err[PBFT_ERR_MAX];
	struct pbft_store *st;

	db_restore(db);
	fuzz_check(!pbft_store_open(&st, &opts, err, sizeof(err)), "%s", err);
	return st;
}

static void close_source(void)
{
	pbft_store_close(source);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	db_make(&behind, BEHIND);
	db_make(&ahead, AHEAD);
	source = open_store(&ahead);
	fuzz_check(!pbft_store_checkpoint(source, &source_root), "%s", source->err);
	atexit(close_source);
	return 0;
}

static void on_send(void *arg, u32 peer, const void *data, u32 len)
{
	struct side *s = arg;
	struct datagram *d;

	fuzz_check(peer < PBFT_N_MAX, "a datagram to peer %u", peer);
	fuzz_check(len <= sizeof(d->data), "a datagram of %u bytes", len);
	if (s->count == QUEUE) {
		s->first = (s->first + 1) % QUEUE;
		s->count--;
	}
	d = &s->queue[(s->first + s->count++) % QUEUE];
	d->peer = peer;
	d->len = len;
	memcpy(d->data, data, len);
}

static struct datagram *take(struct side *s)
{
	struct datagram *d = &s->queue[s->first];

	if (!s->count)
		return NULL;
	s->first = (s->first + 1) % QUEUE;
	s->count--;
	return d;
}

static struct run *the_run;

static void on_installed(void *arg, u64 seq, const struct pbft_digest *root)
{
	struct run *r = the_run;

	fuzz_check(seq == r->head.seq && pbft_digest_eq(root, &r->root),
		   "another state is installed than was asked for");
	r->installed++;
}

static const struct pbft_xfer_ops ops = { .send = on_send, .installed = on_installed };

static void recv_at(struct run *r, struct side *s, u32 peer, const u8 *data, u32 len)
{
	/* in a buffer of its length, aligned as a socket's is */
	u8 *copy = aligned_alloc(8, ALIGN(len, 8) + 8);
	int err;

	memcpy(copy, data, len);
	err = pbft_xfer_recv(s->x, r->now, peer, copy, len);
	fuzz_check(!err, "a peer's datagram is an error here: %d, %s", err, s->st->err);
	free(copy);
}

/* The request that was sent longest ago reaches its peer. */
static void serve(struct run *r)
{
	struct datagram *d = take(&r->fetcher);

	if (d)
		recv_at(r, &r->server, d->peer, d->data, d->len);
}

/* The answer given longest ago comes back, as it is or with other bytes. */
static void answer(struct run *r, bool lie)
{
	struct datagram *d = take(&r->server);
	u32 n = lie ? 1 + fuzz_below(&r->in, 3) : 0;

	if (!d)
		return;
	while (n--) {
		u8 b = fuzz_u8(&r->in);
		u32 at = b & 0x80 ? fuzz_u16(&r->in) : b & 0x3f;

		if (b & 0x40)
			d->len = min(d->len, at);
		else if (d->len)
			d->data[at % d->len] ^= 1 + fuzz_u8(&r->in) % 255;
	}
	recv_at(r, &r->fetcher, d->peer, d->data, d->len);
}

/* From nothing, but for the first bytes of the header. */
static void stray(struct run *r, struct side *s)
{
	struct datagram d = { .peer = fuzz_below(&r->in, 5) };
	struct pbft_xfer_hdr *h = (void *)d.data;
	u8 b = fuzz_u8(&r->in);

	d.len = fuzz_bytes(&r->in, d.data, b);
	if (d.len >= sizeof(*h)) {
		h->magic = cpu_to_le32(PBFT_XFER_MAGIC);
		h->version = PBFT_XFER_VERSION;
		h->type = 1 + h->type % 3;
		h->level %= 6;
		if (b & 1)
			h->seq = cpu_to_le64(r->head.seq);
		if (d.len == sizeof(*h) + PBFT_DIGEST_LEN)
			memcpy(h->data, &r->root, PBFT_DIGEST_LEN);
	}
	recv_at(r, s, d.peer, d.data, d.len);
}

static void tick(struct run *r, u64 ms)
{
	int err;

	r->now += ms * MS;
	err = pbft_xfer_tick(r->fetcher.x, r->now);
	fuzz_check(!err, "time is an error: %d, %s", err, r->fetcher.st->err);
}

static void fetch(struct run *r)
{
	struct pbft_digest root = r->root;
	struct pbft_log_head head = r->head;
	u64 peers = fuzz_u8(&r->in) & 0x1e;
	int err;

	err = pbft_xfer_fetch(r->fetcher.x, r->now, &head, &root, peers ? peers : 2);
	fuzz_check(!err, "fetching is an error: %d, %s", err, r->fetcher.st->err);
}

static void call(struct run *r, u8 op)
{
	u32 n = 1 + op / 16;

	switch (op & 15) {
	case 0 ... 3:
		while (n--)
			serve(r);
		break;
	case 4 ... 7:
		while (n--)
			answer(r, false);
		break;
	case 8:
	case 9:
		answer(r, true);
		break;
	case 10:
		stray(r, &r->fetcher);
		break;
	case 11:
		stray(r, &r->server);
		break;
	case 12:
		take(op & 16 ? &r->fetcher : &r->server);
		break;
	case 13:
		tick(r, fuzz_u16(&r->in) % 5000);
		break;
	case 14:
		fetch(r);
		break;
	default:
		if (op & 16)
			fuzz_check(!pbft_xfer_cancel(r->fetcher.x), "%s", r->fetcher.st->err);
	}
}

/* From here on everybody is honest: it must come to an end. */
static void finish(struct run *r)
{
	u32 round = 0;

	if (!r->installed && !pbft_xfer_active(r->fetcher.x))
		fetch(r);
	while (pbft_xfer_active(r->fetcher.x)) {
		fuzz_check(round++ < FINISH_ROUNDS, "right answers do not bring it to an end");
		while (r->fetcher.count)
			serve(r);
		while (r->server.count)
			answer(r, false);
		tick(r, 20);
	}
}

static void check_end(struct run *r)
{
	struct pbft_digest root;

	fuzz_check(r->fetcher.st->head.seq == r->head.seq, "the state is at %llu",
		   (unsigned long long)r->fetcher.st->head.seq);
	fuzz_check(!pbft_store_root(r->fetcher.st, &root) && pbft_digest_eq(&root, &r->root),
		   "the state installed has another digest");
}

static void side_start(struct side *s, struct pbft_store *st, struct datagram *queue, u32 mtu)
{
	s->st = st;
	s->x = pbft_xfer_create(st, mtu, &ops, s);
	fuzz_check(s->x, "no memory for a transfer");
	s->queue = queue;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct run r = { .in = { data, size }, .now = 1000 * MS };
	u32 mtu = fuzz_u8(&r.in) & 1 ? 512 : MTU, i;

	the_run = &r;
	side_start(&r.fetcher, open_store(&behind), fetcher_queue, mtu);
	side_start(&r.server, source, server_queue, mtu);
	r.root = source_root;
	r.head = source->head;
	fetch(&r);
	for (i = 0; i < 256 && r.in.left; i++)
		call(&r, fuzz_u8(&r.in));
	finish(&r);
	check_end(&r);
	pbft_xfer_destroy(r.server.x);
	pbft_xfer_destroy(r.fetcher.x);
	pbft_store_close(r.fetcher.st);
	return 0;
}
