// SPDX-License-Identifier: GPL-2.0
/*
 * What a client believes. Replies, greetings and fragments of replies, true,
 * false, damaged or made of any bytes, come from any set of replicas while
 * operations are outstanding and time passes. A result that is handed out must
 * have the authentic word of f + 1 replicas; every operation is called back once;
 * a client that has nothing to do now never asks to be woken now.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include "client-env.h"
#include "core/frag.h"
#include "libpbft/client.h"
#include "libpbft/crypto.h"

#define CLIENT	100
#define REPLICAS_MAX	7
#define OPS_MAX	48
#define CALLS_MAX	200
#define RESULTS	8
#define MS	1000000ull

struct op {
	u32 called;
	/* what each replica said of it with a good MAC: status * RESULTS + result */
	u32 said[REPLICAS_MAX];
};

struct run {
	struct fuzz_in in;
	struct pbft_cluster cluster;
	struct pbft_node node;
	struct pbft_client *c;
	u32 n, f, submitted, again;
	struct op op[OPS_MAX];
	u32 stale_by;
	u32 liars;	/* whose messages were altered: they may say anything */
};

static struct run run;
static const u32 lens[RESULTS] = { 0, 1, 64, 65, 1000, 3000, 9000, 40 };
static u8 result[RESULTS][9000];

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	u32 i;

	for (i = 0; i < RESULTS; i++)
		memset(result[i], 1 + i, lens[i]);
	return 0;
}

static u32 voices(const struct op *op, u32 bit)
{
	u32 i, count = 0;

	for (i = 0; i < run.n; i++)
		count += (run.liars >> i | op->said[i] >> bit) & 1;
	return count;
}

static void submit(u8 b);

static void done(void *arg, int err, u8 status, const void *data, u32 len)
{
	struct op *op = arg;
	u32 i;

	fuzz_check(!op->called++, "operation %td is called back twice", op - run.op + 1);
	fuzz_check(!((uintptr_t)data & 7), "a result that is not aligned");
	if (run.again) {
		run.again--;
		submit(fuzz_u8(&run.in));
	}
	if (err) {
		fuzz_check(err == -ETIMEDOUT || err == -ECANCELED || err == -ESTALE,
			   "operation %td ends with %d", op - run.op + 1, err);
		fuzz_check(err != -ESTALE || hweight64(run.stale_by | run.liars) > run.f,
			   "stale by the word of replicas 0x%x", run.stale_by);
		return;
	}
	for (i = 0; i < RESULTS; i++)
		if (lens[i] == len && (!len || !memcmp(result[i], data, len)))
			break;
	fuzz_check(i < RESULTS, "a result of %u bytes that nobody sent", len);
	fuzz_check(status == PBFT_ST_OK || status == PBFT_ST_APP_ERROR, "status %u", status);
	fuzz_check(voices(op, status * RESULTS + i) > run.f,
		   "result %u of operation %td has the word of %u", i, op - run.op + 1,
		   voices(op, status * RESULTS + i));
}

static void submit(u8 b)
{
	static const u32 sizes[] = { 0, 1, 100, 1300, 20000, 60000 };
	static const u64 timeouts[] = { 0, 1, 300 * MS, 5000 * MS };
	static u8 bytes[60000];
	struct op *op = &run.op[run.submitted];
	u64 timeout = timeouts[b >> 4 & 3];
	int ret;

	if (run.submitted == OPS_MAX)
		return;
	ret = pbft_client_submit(run.c, bytes, sizes[b % ARRAY_SIZE(sizes)], timeout,
				 done, op);
	if (!ret)
		run.submitted++;
	fuzz_check(!ret || ret == -EAGAIN || ret == -ESTALE, "submitting: %d", ret);
}

/* ---- what replicas say ----------------------------------------------------------- */

static void damage(u8 *msg, u32 len)
{
	u32 at = fuzz_u16(&run.in) % len;

	msg[at] ^= 1 + fuzz_u8(&run.in) % 255;
}

/* A datagram, or the fragments of what is too long for one; some may be missing. */
static void deliver(u32 from, u8 *msg, u32 len, u8 how)
{
	struct pbft_wire_id id = { run.cluster.cfg.cluster, run.cluster.cfg.epoch, run.n };
	u8 frag[ENV_MTU];
	u32 i, count, part;

	if (len <= ENV_MTU && !(how & 1)) {
		env_deliver(msg, len);
		return;
	}
	count = pbft_frag_count(ENV_MTU, len);
	if (len <= ENV_MTU)
		count = DIV_ROUND_UP(len, pbft_frag_size(ENV_MTU));
	for (i = how & 2 ? fuzz_u8(&run.in) % count : 0; i < count; i++) {
		part = pbft_frag_build(frag, ENV_MTU, &id, from, msg, len,
				       pbft_frag_id(msg, len), i);
		memset(frag + part, ENV_MAC_GOOD, PBFT_MAC_LEN);
		if (how & 4) {
			damage(frag, part + PBFT_MAC_LEN);
			run.liars |= 1u << from;
		}
		env_deliver(frag, part + PBFT_MAC_LEN);
	}
}

struct said {
	u32 op, result;
	u64 view, seq;
	u8 status, flags, how, key_id;
};

static void pick(struct said *s)
{
	u8 b = fuzz_u8(&run.in), d = fuzz_u8(&run.in);

	s->op = b % (run.submitted + 1);
	s->status = b & 0x80 ? d >> 4 & 3 : PBFT_ST_OK;
	s->result = d % RESULTS;
	s->flags = d & 0x40 ? PBFT_REPLY_DIGEST_ONLY : 0;
	s->flags |= d & 0x80 ? PBFT_REPLY_TENTATIVE : 0;
	b = fuzz_u8(&run.in);
	s->view = b & 7;
	s->seq = 1 + (b >> 3);
	s->how = fuzz_u8(&run.in);
	s->key_id = s->how & 0x20 ? fuzz_u8(&run.in) : 0;
}

static void reply(u32 from, const struct said *s)
{
	static u8 buf[sizeof(struct pbft_reply) + sizeof(result[0]) + PBFT_MAC_LEN]
		__aligned(8);
	struct pbft_wire_id id = { run.cluster.cfg.cluster, run.cluster.cfg.epoch, run.n };
	u32 full = lens[s->result], len = s->flags & PBFT_REPLY_DIGEST_ONLY ? 0 : full;
	struct pbft_reply *m = (void *)buf;
	u32 size = sizeof(*m) + len;

	memset(buf, 0, sizeof(*m));
	pbft_wire_header(&m->hdr, &id, PBFT_REPLY, size, from, s->view, s->seq);
	m->hdr.key_id = s->key_id;
	m->client = cpu_to_le32(CLIENT);
	m->status = s->status;
	m->flags = s->flags;
	m->session = cpu_to_le64(ENV_SESSION);
	m->t = cpu_to_le64(s->op + 1);
	pbft_result_digest(&m->result_digest, s->status, result[s->result], full);
	m->result_len = cpu_to_le32(len);
	m->full_len = cpu_to_le32(full);
	memcpy(m->result, result[s->result], len);
	memset(buf + size, s->how & 0x40 ? 0 : ENV_MAC_GOOD, PBFT_MAC_LEN);
	if ((s->how & 0x18) == 0x18) {
		damage(buf, size + PBFT_MAC_LEN);
		run.liars |= 1u << from;
	} else if (!(s->how & 0x40) && s->op < OPS_MAX) {
		run.op[s->op].said[from] |= 1u << (s->status * RESULTS + s->result);
		if (s->status == PBFT_ST_STALE)
			run.stale_by |= 1u << from;
	}
	deliver(from, buf, size + PBFT_MAC_LEN, s->how);
}

static void hello_ack(u32 from, u8 b)
{
	struct pbft_wire_id id = { run.cluster.cfg.cluster, run.cluster.cfg.epoch, run.n };
	u8 buf[sizeof(struct pbft_hello_ack) + PBFT_MAC_LEN] __aligned(8) = {};
	struct pbft_hello_ack *m = (void *)buf;

	pbft_wire_header(&m->hdr, &id, PBFT_HELLO_ACK, sizeof(*m), from, b & 15, b >> 4);
	m->session = cpu_to_le64(ENV_SESSION + (b == 0xff));
	memset(buf + sizeof(*m), ENV_MAC_GOOD, PBFT_MAC_LEN);
	env_deliver(buf, sizeof(buf));
}

/* Anything; with a header that passes, if the bytes say so. */
static void noise(void)
{
	u8 buf[2 * ENV_MTU] __aligned(8) = {}, b = fuzz_u8(&run.in);
	struct pbft_wire_id id = { run.cluster.cfg.cluster, run.cluster.cfg.epoch, run.n };
	u32 len = fuzz_bytes(&run.in, buf, b), from;
	struct pbft_hdr *h = (void *)buf;

	from = le32_to_cpu(h->sender) % run.n;
	if (b & 1 && len >= sizeof(*h) + PBFT_MAC_LEN) {
		pbft_wire_header(h, &id, h->type, len - PBFT_MAC_LEN,
				 from, le64_to_cpu(h->view), le64_to_cpu(h->seq));
		buf[len - PBFT_MAC_LEN] = ENV_MAC_GOOD;
		run.liars |= 1u << from;
	} else if (b == 0xfe) {
		len = sizeof(buf);
	}
	env_deliver(buf, len);
}

static void from_all(u8 kind)
{
	u8 who = fuzz_u8(&run.in), b = 0;
	struct said s = {};
	struct fuzz_in same;
	u32 i;

	if (kind)
		b = fuzz_u8(&run.in);
	else
		pick(&s);
	same = run.in;
	for (i = 0; i < run.n; i++) {
		if (!(who >> i & 1) && (i || who))
			continue;
		run.in = same;
		if (kind)
			hello_ack(i, b);
		else
			reply(i, &s);
	}
}

/* ---- a run ------------------------------------------------------------------------ */

static void advance(void)
{
	static const u32 steps[] = { 0, 1, 5, 20, 100, 500, 2000, 60000 };
	u64 at = pbft_client_deadline(run.c);
	u8 b = fuzz_u8(&run.in);

	if (b & 0x80 && at != U64_MAX && at > client_env.now)
		client_env.now = at;
	else
		client_env.now += steps[b % ARRAY_SIZE(steps)] * MS;
}

static void call(void)
{
	u8 b = fuzz_u8(&run.in);
	u64 at;

	switch (b & 7) {
	case 0:
		submit(fuzz_u8(&run.in));
		break;
	case 1 ... 3:
		from_all(0);
		break;
	case 4:
		from_all(1);
		break;
	case 5:
		advance();
		break;
	case 6:
		noise();
		break;
	default:
		run.again = b >> 6;
	}
	if (b & 8)
		return;		/* several wait when it is polled */
	pbft_client_poll(run.c, 0);
	at = pbft_client_deadline(run.c);
	fuzz_check(at > client_env.now, "polled, and again wants to be at %llu, now is %llu",
		   (unsigned long long)at, (unsigned long long)client_env.now);
}

static void configure(void)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(9) };
	u8 b = fuzz_u8(&run.in);
	u32 i;

	run.n = 4 + b % 4;
	run.f = pbft_max_faults(run.n);
	pbft_config_default(&run.cluster.cfg);
	run.cluster.cfg.cluster = 0x1234;
	run.cluster.cfg.epoch = 1;
	run.cluster.cfg.n = run.n;
	run.cluster.cfg.f = run.f;
	strcpy(run.cluster.mac, PBFT_MAC_DEFAULT);
	run.cluster.mtu = ENV_MTU;
	run.cluster.n_replicas = run.n;
	run.cluster.n_clients = 1;
	run.cluster.clients = &run.node;
	run.node.id = CLIENT;
	for (i = 0; i < run.n; i++) {
		run.cluster.replicas[i].id = i;
		memcpy(&run.cluster.replicas[i].endpoint, &in, sizeof(in));
		run.cluster.replicas[i].endpoint_len = sizeof(in);
	}
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	size_t before = fuzz_heap();
	static const u8 key[32];
	u32 calls, i;
	int ret;

	memset(&run, 0, sizeof(run));
	run.in = (struct fuzz_in){ data, size };
	env_reset();
	client_env.now = 5000 * MS;
	client_env.active = true;
	configure();
	ret = pbft_client_open(&run.c, &run.cluster, CLIENT, key);
	fuzz_check(!ret, "opening: %d", ret);
	for (calls = 0; run.in.left && calls < CALLS_MAX; calls++)
		call();
	run.again = 0;
	pbft_client_close(run.c);
	client_env.active = false;
	for (i = 0; i < run.submitted; i++)
		fuzz_check(run.op[i].called == 1, "operation %u is called back %u times",
			   i + 1, run.op[i].called);
	fuzz_check(fuzz_heap() == before, "%zd bytes are left", fuzz_heap() - before);
	return 0;
}
