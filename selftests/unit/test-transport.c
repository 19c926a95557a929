// SPDX-License-Identifier: GPL-2.0
/*
 * Several clients on one transport, against replicas in this process whose service
 * gives back what it is given: everybody gets his own answers, with and without the
 * kernel cutting and joining packets, when it refuses to, under loss, with forged,
 * misdirected and foreign datagrams, and when clients come and go.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "replica/replica.h"
#include "replicas.h"
#include "tap.h"

#define MS		1000000ull
#define PATIENCE	(60000 * MS)
#define N		4
#define CLIENTS		3u
#define OPS		120u		/* of each client */
#define LARGE		6000u		/* bytes: several fragments */

/* Whatever its headers call them. */
#define OPT_SEGMENT	103
#define OPT_GRO		104

int __real_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len);
int __real_sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags);
int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags);

/* How the kernel behaves. */
static bool old_kernel;		/* knows neither option */
static bool refuses;		/* ... to cut packets, after all */

/* How the replicas do. */
static u32 lose_percent;
static u32 misdirect_to;	/* a client that replica 0 names in all replies */

struct user {
	u32 id;
	struct pbft_client *client;
	u32 submitted, right, wrong, failed;
	int last_err;
};

static struct test_cluster tc;
static struct pbft_replica *replicas[N];
static struct pbft_transport *transport;
static struct user users[CLIENTS];
static bool joins;		/* this kernel cuts and joins packets */

/* ---- the kernel ------------------------------------------------------- */

int __wrap_setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (old_kernel && level == SOL_UDP && (name == OPT_SEGMENT || name == OPT_GRO)) {
		errno = ENOPROTOOPT;
		return -1;
	}
	return __real_setsockopt(fd, level, name, value, len);
}

int __wrap_sendmmsg(int fd, struct mmsghdr *msg, unsigned int n, int flags)
{
	unsigned int i;

	for (i = 0; refuses && i < n; i++)
		if (msg[i].msg_hdr.msg_controllen)
			break;
	if (refuses && !i) {
		errno = EINVAL;
		return -1;
	}
	return __real_sendmmsg(fd, msg, refuses ? i : n, flags);
}

/* ---- the service ------------------------------------------------------- */

static void apply(void *arg, const struct pbft_log_head *head,
		  struct pbft_batch *batch)
{
	u32 count = batch ? pbft_batch_count(batch) : 0, i;
	struct pbft_result results[PBFT_BATCH_MAX];
	struct pbft_replica **r = arg;

	for (i = 0; i < count; i++) {
		struct pbft_batch_req req;

		pbft_batch_req(batch, i, &req);
		results[i].status = PBFT_ST_OK;
		results[i].data = req.op;
		results[i].len = req.op_len;
	}
	pbft_replica_executed(*r, head->seq, results, count);
}

static void snapshot(void *arg, u64 seq)
{
	static const struct pbft_digest none;

	pbft_replica_checkpointed(*(struct pbft_replica **)arg, seq, &none);
}

static void fetch_state(void *arg, const struct pbft_log_head *head,
			const struct pbft_digest *app, u64 peers)
{
	pbft_replica_state_installed(*(struct pbft_replica **)arg, head->seq, app);
}

/* What goes to clients gets lost, or names another one. */
static struct pbft_buf *to_clients(void *arg, u32 to, struct pbft_buf *msg)
{
	struct pbft_hdr *h = (void *)msg->data;
	struct pbft_buf *other;

	if (to < PBFT_CLIENT_ID_MIN)
		return msg;
	if ((u32)rand() % 100 < lose_percent)
		return NULL;
	if (!misdirect_to || h->type != PBFT_REPLY || arg != &replicas[0])
		return msg;
	other = pbft_buf_alloc(msg->len);
	memcpy(other->data, msg->data, msg->len);
	other->len = msg->len;
	((struct pbft_reply *)other->data)->client = cpu_to_le32(misdirect_to);
	return other;
}

static const struct pbft_replica_ops ops = {
	.apply = apply,
	.snapshot = snapshot,
	.fetch_state = fetch_state,
	.filter = to_clients,
};

/* ---- the cluster ------------------------------------------------------- */

static bool open_user(u32 i)
{
	users[i] = (struct user){ .id = TEST_CLIENT + i };
	return !pbft_client_open_on(&users[i].client, transport, users[i].id,
				    tc.client_keys[i]);
}

static bool start(bool offload)
{
	static const struct pbft_log_head none;
	struct pbft_replica_config cfg = {
		.cluster = &tc.cluster, .genesis = true, .ops = &ops,
		.no_offload = !offload,
	};
	bool good = test_cluster_make(&tc, N, "Timeout = 300ms\nHeartbeat = 100ms\n");
	char err[256];
	u32 i;

	for (i = 0; good && i < N; i++) {
		cfg.self = i;
		cfg.private_key = tc.keys[i];
		cfg.arg = &replicas[i];
		good = !pbft_replica_create(&replicas[i], &cfg, err, sizeof(err));
		if (!good)
			diag("%s", err);
		good = good && !pbft_replica_bind(replicas[i], &none);
	}
	good = good && !pbft_transport_open(&transport, &tc.cluster,
					    offload ? 0 : PBFT_TRANSPORT_PLAIN);
	for (i = 0; good && i < CLIENTS; i++)
		good = open_user(i);
	return good;
}

static void stop(void)
{
	u32 i;

	for (i = 0; i < CLIENTS; i++)
		pbft_client_close(users[i].client);
	pbft_transport_close(transport);
	for (i = 0; i < N; i++) {
		pbft_replica_destroy(replicas[i]);
		replicas[i] = NULL;
	}
	pbft_cluster_free(&tc.cluster);
}

static void turn(void)
{
	u32 i;

	for (i = 0; i < N; i++)
		pbft_replica_poll(replicas[i], 0);
	pbft_transport_poll(transport, 0);
}

/* ---- the load ---------------------------------------------------------- */

struct op {
	struct user *user;
	u32 number, len;
};

/* Nobody else's, and not another of the same client's. */
static void fill(const struct op *op, u8 *out)
{
	u32 i;

	for (i = 0; i < op->len; i++)
		out[i] = op->user->id * 31 + op->number * 7 + i;
	memcpy(out, &op->user->id, sizeof(op->user->id));
	memcpy(out + 4, &op->number, sizeof(op->number));
}

static void on_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	static u8 want[LARGE];
	struct op *op = arg;
	struct user *u = op->user;

	fill(op, want);
	if (err)
		u->failed++;
	else if (status == PBFT_ST_OK && len == op->len && !memcmp(result, want, len))
		u->right++;
	else
		u->wrong++;
	u->last_err = err;
	free(op);
}

static bool submit(struct user *u, u32 len)
{
	static u8 data[LARGE];
	struct op *op = malloc(sizeof(*op));

	*op = (struct op){ u, u->submitted, len };
	fill(op, data);
	if (pbft_client_submit(u->client, data, len, 0, on_done, op)) {
		free(op);
		return false;
	}
	u->submitted++;
	return true;
}

static u32 length(u32 number, bool large)
{
	return large && number % 8 == 3 ? LARGE : 8 + number % 5 * 40;
}

/* All users' operations, to the end. */
static bool load(u32 count, bool large)
{
	u64 end = test_now() + PATIENCE;
	u32 i, done, right[CLIENTS], first[CLIENTS];
	bool good = true;

	for (i = 0; i < CLIENTS; i++) {
		first[i] = users[i].submitted;
		right[i] = users[i].right;
	}
	do {
		for (i = 0, done = 0; i < CLIENTS; i++) {
			struct user *u = &users[i];

			while (u->client && u->submitted < first[i] + count &&
			       submit(u, length(u->submitted, large)))
				;
			done += !u->client || u->right + u->wrong + u->failed ==
						      first[i] + count;
		}
		turn();
	} while (done < CLIENTS && test_now() < end);
	for (i = 0; i < CLIENTS; i++)
		good &= !users[i].client || users[i].right == right[i] + count;
	return good;
}

static struct pbft_transport_stats stats(void)
{
	struct pbft_transport_stats st;

	pbft_transport_stats(transport, &st);
	return st;
}

static u64 replies_bad(u32 i)
{
	struct pbft_client_stats st;

	pbft_client_stats(users[i].client, &st);
	return st.replies_bad;
}

static struct pbft_replica_stats replica_stats(u32 i)
{
	struct pbft_replica_stats st;

	pbft_replica_stats(replicas[i], &st);
	return st;
}

static u64 drops(void)
{
	u64 sum = 0;
	u32 i, k;

	for (i = 0; i < N; i++)
		for (k = PBFT_OK + 1; k < PBFT_DROP_MAX; k++)
			sum += replica_stats(i).drops[k];
	return sum;
}

/* ---- tests ------------------------------------------------------------- */

static void test_shared(void)
{
	struct pbft_transport_stats st;

	ok(start(true), "three clients on one transport");
	ok(pbft_client_fd(users[0].client) == pbft_transport_fd(transport) &&
	   pbft_client_fd(users[2].client) == pbft_transport_fd(transport),
	   "they have one socket");
	ok(load(OPS, false), "small operations: everybody gets his own answers");
	ok(load(OPS, true), "and large ones, in fragments");
	st = stats();
	ok(!st.strangers && !replies_bad(0) && !replies_bad(1) && !replies_bad(2),
	   "nothing went to the wrong one");
	ok(!drops(), "nor did replicas drop anything");
	joins = st.gso && st.gro;
	if (!joins) {
		ok(true, "datagrams share packets # SKIP this kernel has no UDP_SEGMENT or UDP_GRO");
	} else {
		ok(st.tx_packets < st.tx_datagrams && st.rx_packets < st.rx_datagrams &&
		   replica_stats(0).rx_joined && replica_stats(0).tx_joined,
		   "datagrams share packets: %llu in %llu out, %llu in %llu in",
		   (unsigned long long)st.tx_datagrams,
		   (unsigned long long)st.tx_packets,
		   (unsigned long long)st.rx_datagrams,
		   (unsigned long long)st.rx_packets);
	}
	stop();
}

static void test_plain(void)
{
	struct pbft_transport_stats st;

	ok(start(false) && load(OPS, true), "the same with one packet for each datagram");
	st = stats();
	ok(!st.gso && !st.gro && st.tx_packets == st.tx_datagrams &&
	   st.rx_packets == st.rx_datagrams && !replica_stats(0).rx_joined &&
	   !replica_stats(0).tx_joined && !replica_stats(0).gso,
	   "as the counters say");
	stop();
}

static void test_old_kernel(void)
{
	old_kernel = true;
	ok(start(true) && load(OPS, true), "the same on a kernel that knows neither option");
	ok(!stats().gso && !stats().gro && !replica_stats(0).gso && !replica_stats(0).gro,
	   "and it is told");
	old_kernel = false;
	stop();
}

static void test_refusal(void)
{
	if (!joins) {
		ok(true, "a kernel that refuses to cut # SKIP this one has no UDP_SEGMENT");
		return;
	}
	refuses = true;
	ok(start(true) && load(OPS, true), "the same on a kernel that refuses to cut a packet");
	ok(replica_stats(0).tx_apart && !replica_stats(0).tx_errors && !drops(),
	   "whose datagrams went one by one, and none was lost");
	ok(replica_stats(0).tx_apart < 10, "and it is not asked each time");
	refuses = false;
	stop();
}

static void test_loss(void)
{
	ok(start(true), "again");
	lose_percent = 25;
	ok(load(OPS, true), "a quarter of all that comes from replicas is lost: no answer is");
	lose_percent = 0;
	stop();
}

static void throw(const void *data, u32 len)
{
	struct sockaddr_in to;
	socklen_t to_len = sizeof(to);
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	getsockname(pbft_transport_fd(transport), (void *)&to, &to_len);
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	sendto(fd, data, len, 0, (void *)&to, to_len);
	close(fd);
}

/* A well-formed reply from nobody we know, with a MAC of zeros. */
static void throw_reply(u32 client)
{
	struct pbft_wire_id id = { 0x5eed, tc.cluster.cfg.epoch, N };
	u8 msg[sizeof(struct pbft_reply) + PBFT_MAC_LEN] __aligned(8) = { 0 };
	struct pbft_reply *m = (void *)msg;

	pbft_wire_header(&m->hdr, &id, PBFT_REPLY, sizeof(*m), 1, 0, 1);
	m->client = cpu_to_le32(client);
	throw(msg, sizeof(msg));
}

static void throw_fragment(u32 offset, u32 client)
{
	struct pbft_wire_id id = { 0x5eed, tc.cluster.cfg.epoch, N };
	u8 msg[sizeof(struct pbft_fragment) + 512 + PBFT_MAC_LEN] __aligned(8) = { 0 };
	struct pbft_fragment *m = (void *)msg;

	pbft_wire_header(&m->hdr, &id, PBFT_FRAGMENT, sizeof(*m) + 512, 1, 0, 0);
	m->id = cpu_to_le64(12345);
	m->total = cpu_to_le32(2048);
	m->offset = cpu_to_le32(offset);
	m->size = cpu_to_le32(512);
	((struct pbft_reply *)m->data)->client = cpu_to_le32(client);
	throw(msg, sizeof(msg));
}

static void test_foreign(void)
{
	u8 junk[2000] = "PBFT";
	u64 bad, before;
	u32 i;

	ok(start(true) && load(10, false), "again");
	bad = replies_bad(0) + replies_bad(1) + replies_bad(2);
	before = stats().strangers;
	for (i = 0; i < 100; i++) {
		throw(junk, i * 20);
		throw_reply(TEST_CLIENT + CLIENTS);
		throw_reply(0);
		throw_fragment(512, users[0].id);
		throw_fragment(0, TEST_CLIENT + CLIENTS);
		turn();
	}
	ok(load(10, true), "noise and others' replies disturb nobody");
	ok(stats().strangers == before + 500, "and are counted");
	ok(bad == replies_bad(0) + replies_bad(1) + replies_bad(2), "as nobody's");
	bad = replies_bad(1);
	for (i = 0; i < 100; i++) {
		throw_fragment(0, users[1].id);
		turn();
	}
	/* the forged one has opened the way for no other */
	before = stats().strangers;
	throw_fragment(512, users[1].id);
	ok(load(10, true) && replies_bad(1) >= bad + 100 &&
	   stats().strangers == before + 1, "forged fragments are refused one by one");
	stop();
}

static void test_misdirected(void)
{
	u64 bad;

	ok(start(true) && load(10, false), "again");
	bad = replies_bad(1);
	misdirect_to = users[1].id;
	ok(load(OPS, true), "a replica that names one client in all replies deceives nobody");
	misdirect_to = 0;
	ok(replies_bad(1) > bad, "the one it names finds them not authentic");
	stop();
}

static void test_same_id(void)
{
	struct pbft_transport *other;
	struct user twin = { .id = users[1].id };
	u64 end = test_now() + PATIENCE;

	ok(start(true) && load(10, false), "again");
	ok(pbft_client_open_on(&twin.client, transport, twin.id, tc.client_keys[1]) ==
	   -EEXIST && pbft_client_strerror(-EEXIST) != strerror(EEXIST),
	   "a transport has a client once");
	ok(load(10, false), "and the one it has goes on");
	ok(!pbft_transport_open(&other, &tc.cluster, 0) &&
	   !pbft_client_open_on(&twin.client, other, twin.id, tc.client_keys[1]),
	   "on another transport it begins a new session");
	submit(&twin, 8);
	while (pbft_client_outstanding(twin.client) && test_now() < end) {
		turn();
		pbft_transport_poll(other, 0);
	}
	ok(twin.right == 1, "that gets its answers");
	pbft_client_close(users[1].client);
	users[1].client = NULL;
	ok(load(10, true), "and no other client is disturbed by it");
	pbft_transport_close(other);
	pbft_client_close(twin.client);
	stop();
}

static void test_come_and_go(void)
{
	u32 i;

	ok(start(true) && load(10, false), "again");
	for (i = 0; i < 20; i++)
		submit(&users[0], LARGE);
	turn();
	pbft_client_close(users[0].client);
	users[0].client = NULL;
	ok(users[0].failed && users[0].last_err == -ECANCELED,
	   "one closes with work outstanding");
	ok(load(10, true), "the others go on");
	ok(open_user(0) && load(10, true), "it comes back, and all do");
	pbft_client_close(users[2].client);
	ok(open_user(2) && load(10, false), "another does, at once");
	pbft_transport_close(transport);
	ok(load(10, true), "a transport that was closed lives while it has clients");
	for (i = 0; i < CLIENTS - 1; i++) {
		pbft_client_close(users[i].client);
		users[i].client = NULL;
	}
	ok(load(10, false), "to the last one");
	transport = NULL;
	stop();
}

int main(void)
{
	unsigned int seed = getenv("SEED") ? atoi(getenv("SEED")) : (int)getpid();

	diag("SEED=%u", seed);
	srand(seed);
	test_shared();
	test_plain();
	test_old_kernel();
	test_refusal();
	test_loss();
	test_foreign();
	test_misdirected();
	test_same_id();
	test_come_and_go();
	return done_testing();
}
