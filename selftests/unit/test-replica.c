// SPDX-License-Identifier: GPL-2.0
/*
 * Userspace replicas in one process, on loopback, with a service that hashes
 * what it executes: agreement, large operations, a primary that dies, one that
 * equivocates, datagrams between daemons, key generations, hostile datagrams.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "replica/replica.h"
#include "replicas.h"
#include "tap.h"

#define MS	1000000ull

struct node {
	u32 id;
	struct pbft_replica *r;
	struct pbft_log_head head;
	struct pbft_digest state;	/* hash over all executed, in order */
	u64 ops;
	u32 peer_from, peer_len;	/* the last datagram of a daemon */
	u8 peer_data[64];
	bool equivocate;
};

static struct test_cluster tc;
static struct node nodes[TEST_N_MAX];
static struct pbft_client *client;

/* ---- the service ------------------------------------------------------------------ */

static void apply(void *arg, const struct pbft_log_head *head,
		  struct pbft_batch *batch)
{
	u32 count = batch ? pbft_batch_count(batch) : 0, i;
	struct pbft_result results[PBFT_BATCH_MAX];
	static struct pbft_digest kept[PBFT_BATCH_MAX];
	struct node *n = arg;

	for (i = 0; i < count; i++) {
		struct pbft_batch_req req;
		struct pbft_iov iov[2];

		pbft_batch_req(batch, i, &req);
		iov[0].base = &n->state;
		iov[0].len = sizeof(n->state);
		iov[1].base = req.op;
		iov[1].len = req.op_len;
		pbft_hash(&n->state, iov, 2);
		kept[i] = n->state;
		results[i].status = PBFT_ST_OK;
		results[i].data = &kept[i];
		results[i].len = sizeof(kept[i]);
		n->ops++;
	}
	n->head = *head;
	if (pbft_replica_executed(n->r, head->seq, results, count))
		diag("replica %u refuses results of %llu", n->id,
		     (unsigned long long)head->seq);
}

static void snapshot(void *arg, u64 seq)
{
	struct node *n = arg;

	pbft_replica_checkpointed(n->r, seq, &n->state);
}

/* The state is its own digest; log heads come with the target. */
static void fetch_state(void *arg, const struct pbft_log_head *head,
			const struct pbft_digest *app, u64 peers)
{
	struct node *n = arg;

	n->state = *app;
	n->head = *head;
	pbft_replica_state_installed(n->r, head->seq, app);
}

static void peer_recv(void *arg, u32 peer, const void *data, u32 len)
{
	struct node *n = arg;

	n->peer_from = peer;
	n->peer_len = len;
	memcpy(n->peer_data, data, min(len, (u32)sizeof(n->peer_data)));
}

/* A primary that proposes another time, so another batch, to odd replicas. */
static struct pbft_buf *equivocate(void *arg, u32 to, struct pbft_buf *msg)
{
	const struct pbft_hdr *h = (const void *)msg->data;
	struct pbft_pre_prepare *pp;
	struct node *n = arg;
	struct pbft_buf *other;

	if (!n->equivocate || h->type != PBFT_PRE_PREPARE || !(to & 1))
		return msg;
	other = pbft_buf_alloc(msg->len);
	memcpy(other->data, msg->data, msg->len);
	other->len = msg->len;
	pp = (void *)other->data;
	pp->digest.b[0] ^= 1;
	return other;
}

static const struct pbft_replica_ops ops = {
	.apply = apply,
	.snapshot = snapshot,
	.fetch_state = fetch_state,
	.peer_recv = peer_recv,
	.filter = equivocate,
};

/* ---- the cluster -------------------------------------------------------------------- */

static bool start(u32 i, bool genesis)
{
	static const struct pbft_log_head none;
	struct pbft_replica_config cfg = {
		.cluster = &tc.cluster, .self = i, .private_key = tc.keys[i],
		.genesis = genesis, .ops = &ops, .arg = &nodes[i],
	};
	char err[256];

	memset(&nodes[i], 0, sizeof(nodes[i]));
	nodes[i].id = i;
	if (pbft_replica_create(&nodes[i].r, &cfg, err, sizeof(err))) {
		diag("%s", err);
		return false;
	}
	return !pbft_replica_bind(nodes[i].r, &none);
}

static void kill_replica(u32 i)
{
	pbft_replica_destroy(nodes[i].r);
	nodes[i].r = NULL;
}

static bool start_all(u32 n, const char *options)
{
	bool good = test_cluster_make(&tc, n, options);
	u32 i;

	for (i = 0; good && i < n; i++)
		good = start(i, true);
	return good && !pbft_client_open(&client, &tc.cluster, TEST_CLIENT,
					 tc.client_keys[0]);
}

static void stop_all(void)
{
	u32 i;

	pbft_client_close(client);
	for (i = 0; i < tc.n; i++)
		kill_replica(i);
	pbft_cluster_free(&tc.cluster);
}

static void turn(void)
{
	u32 i;

	for (i = 0; i < tc.n; i++)
		if (nodes[i].r)
			pbft_replica_poll(nodes[i].r, 0);
	pbft_client_poll(client, 0);
}

/* Turn until @done, at most @limit ns. */
static bool run(bool (*done)(void), u64 limit)
{
	u64 end = test_now() + limit;

	while (!done()) {
		if (test_now() > end)
			return false;
		turn();
	}
	return true;
}

/* ---- the client ---------------------------------------------------------------------- */

static u32 answered, failed, wanted;

static void on_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	if (err || status != PBFT_ST_OK || len != sizeof(struct pbft_digest))
		failed++;
	answered++;
}

static bool all_answered(void)
{
	return answered == wanted;
}

static bool submit(u32 count, u32 len, u64 limit)
{
	static u8 op[PBFT_OP_MAX];
	u64 end = test_now() + limit;
	u32 sent = 0, k;

	answered = 0;
	failed = 0;
	wanted = count;
	while (sent < count && test_now() < end) {
		for (k = 0; k < len; k++)
			op[k] = sent + k;
		if (!pbft_client_submit(client, op, len, limit, on_done, NULL))
			sent++;
		else
			turn();
	}
	return run(all_answered, limit) && !failed;
}

static bool all_even(void)
{
	struct node *first = NULL;
	u32 i;

	for (i = 0; i < tc.n; i++) {
		if (!nodes[i].r)
			continue;
		if (!first)
			first = &nodes[i];
		if (nodes[i].head.seq != first->head.seq ||
		    !pbft_digest_eq(&nodes[i].head.chain, &first->head.chain) ||
		    !pbft_digest_eq(&nodes[i].state, &first->state))
			return false;
	}
	return true;
}

/* ---- tests ------------------------------------------------------------------------------ */

static void test_agreement(void)
{
	struct pbft_status st;

	ok(start_all(4, "Timeout = 300ms\nHeartbeat = 100ms\n"),
	   "four replicas start");
	ok(submit(1, 10, 20000 * MS), "one operation");
	ok(submit(500, 100, 60000 * MS), "500 operations");
	ok(submit(20, 20000, 60000 * MS), "20 operations above the MTU");
	ok(submit(2, PBFT_OP_MAX, 60000 * MS), "two of the largest");
	ok(run(all_even, 20000 * MS), "all replicas reach the same state");
	ok(nodes[0].ops == 523 && nodes[3].ops == 523,
	   "each operation is executed once");
	pbft_replica_status(nodes[0].r, &st);
	ok(st.view == 0 && st.h > 0, "in view 0, with a stable checkpoint");
}

static void test_peer_data(void)
{
	u8 big[65536] = "state";
	u32 mtu = pbft_replica_peer_mtu(nodes[1].r), i;

	ok(!pbft_replica_peer_send(nodes[1].r, 2, big, mtu) &&
	   pbft_replica_peer_send(nodes[1].r, 2, big, mtu + 1) == -EMSGSIZE &&
	   pbft_replica_peer_send(nodes[1].r, 1, big, 1) == -EINVAL &&
	   pbft_replica_peer_send(nodes[1].r, 4, big, 1) == -EINVAL,
	   "daemons' datagrams have a size and a destination");
	for (i = 0; i < 100 && !nodes[2].peer_len; i++)
		turn();
	ok(nodes[2].peer_from == 1 && nodes[2].peer_len == mtu &&
	   !memcmp(nodes[2].peer_data, "state", 5), "and arrive");
}

static struct pbft_replica_stats stats(u32 i)
{
	struct pbft_replica_stats st;

	pbft_replica_stats(nodes[i].r, &st);
	return st;
}

static void test_keys(void)
{
	struct pbft_replica_stats before = stats(2), after;

	pbft_replica_set_key(nodes[1].r, 1);
	ok(submit(50, 100, 60000 * MS), "a replica goes to its next keys");
	pbft_replica_set_key(nodes[1].r, 2);
	ok(submit(50, 100, 60000 * MS) && run(all_even, 20000 * MS),
	   "and to the ones after that");
	after = stats(2);
	ok(before.drops[PBFT_DROP_KEY] == after.drops[PBFT_DROP_KEY] &&
	   before.drops[PBFT_DROP_MAC] == after.drops[PBFT_DROP_MAC],
	   "and no message is lost");
}

static void throw_at(u32 i, const void *data, u32 len)
{
	const struct pbft_node *n = &tc.cluster.replicas[i];
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	sendto(fd, data, len, 0, (const void *)&n->endpoint, n->endpoint_len);
	close(fd);
}

static void test_hostile(void)
{
	struct pbft_wire_id id = { 0x5eed, tc.cluster.cfg.epoch, 4 };
	struct pbft_replica_stats before = stats(3), after;
	u8 junk[1400] __aligned(8);
	u32 i, k;

	for (i = 0; i < 2000; i++) {
		u32 len = rand() % sizeof(junk);
		struct pbft_hdr *h = (void *)junk;

		for (k = 0; k < sizeof(junk); k++)
			junk[k] = rand();
		if (i % 2) {
			len = max(len, 200u);
			pbft_wire_header(h, &id, 1 + rand() % PBFT_TYPE_MAX,
					 len - PBFT_MAC_LEN * (1 + 3 * (rand() % 2)),
					 rand() % 2 ? (u32)rand() % 4 : TEST_CLIENT, 0, 1);
			h->key_id = rand() % 3;
		}
		throw_at(3, junk, len);
		turn();
	}
	for (i = 0; i < 20; i++)
		turn();
	after = stats(3);
	ok(after.drops[PBFT_DROP_MAGIC] - before.drops[PBFT_DROP_MAGIC] > 900,
	   "noise is dropped, and counted by reason");
	ok(after.drops[PBFT_DROP_MAC] > before.drops[PBFT_DROP_MAC],
	   "so are forgeries");
	ok(submit(20, 100, 60000 * MS), "and work goes on");
}

static bool view_moved(void)
{
	struct pbft_status st;

	pbft_replica_status(nodes[2].r, &st);
	return st.view > 0 && !st.pending;
}

static bool recovered(void)
{
	struct pbft_status st;

	pbft_replica_status(nodes[0].r, &st);
	return !st.mute && !st.pending && !st.fetching && all_even();
}

static void test_dead_primary(void)
{
	kill_replica(0);
	ok(submit(100, 100, 120000 * MS), "the primary dies: work goes on");
	ok(view_moved(), "in another view");
	ok(run(all_even, 20000 * MS), "the three others agree");
	ok(start(0, false), "it comes back, having forgotten everything");
	ok(submit(300, 100, 120000 * MS), "work goes on");
	ok(run(recovered, 120000 * MS),
	   "it catches up, and votes again when that is safe");
	stop_all();
}

static void test_equivocation(void)
{
	ok(start_all(4, "Timeout = 200ms\n"), "four replicas start");
	nodes[0].equivocate = true;
	ok(submit(50, 100, 120000 * MS) && view_moved(),
	   "a primary that sends two kinds of batches loses its place");
	nodes[0].equivocate = false;
	ok(submit(50, 100, 120000 * MS) && run(all_even, 60000 * MS),
	   "and all agree in the end");
	stop_all();
}

static void test_sizes(void)
{
	static const u32 sizes[] = { 5, 7, 13, 31 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		bool good = start_all(sizes[i], "Timeout = 5s\n") &&
			    submit(50, 200, 120000 * MS) &&
			    run(all_even, 60000 * MS);

		ok(good, "%u replicas agree", sizes[i]);
		stop_all();
	}
}

static bool heard_wrong_macs(void)
{
	return stats(3).drops[PBFT_DROP_MAC] > 10;
}

/* All by HMAC; then one who goes by the default while the others do not. */
static void test_hmac(void)
{
	ok(start_all(4, "Timeout = 5s\nMac = hmac(sha256)\n") &&
	   submit(50, 100, 60000 * MS) && submit(2, 20000, 60000 * MS) &&
	   run(all_even, 20000 * MS), "four replicas with HMAC-SHA256 agree");
	kill_replica(3);
	strcpy(tc.cluster.mac, PBFT_MAC_DEFAULT);
	ok(start(3, false) && run(heard_wrong_macs, 60000 * MS),
	   "one with another MAC hears nobody");
	ok(submit(20, 100, 60000 * MS), "and is not missed");
	stop_all();
}

static void test_refusals(void)
{
	struct pbft_replica_config cfg = { .cluster = &tc.cluster, .ops = &ops };
	struct pbft_replica *r, *twice;
	char err[256];

	test_cluster_make(&tc, 4, "");
	cfg.private_key = tc.keys[1];
	ok(pbft_replica_create(&r, &cfg, err, sizeof(err)) == -EKEYREJECTED,
	   "another's key is refused: %s", err);
	cfg.self = 9;
	ok(pbft_replica_create(&r, &cfg, err, sizeof(err)) == -ENOENT,
	   "an id beyond the cluster: %s", err);
	cfg.self = 1;
	strcpy(tc.cluster.mac, "cmac(aes)");
	ok(pbft_replica_create(&r, &cfg, err, sizeof(err)) == -EOPNOTSUPP,
	   "a MAC we do not have: %s", err);
	strcpy(tc.cluster.mac, PBFT_MAC_DEFAULT);
	ok(!pbft_replica_create(&r, &cfg, err, sizeof(err)), "the right one");
	ok(pbft_replica_create(&twice, &cfg, err, sizeof(err)) == -EADDRINUSE,
	   "an endpoint in use: %s", err);
	pbft_replica_destroy(r);
	pbft_cluster_free(&tc.cluster);
}

int main(void)
{
	test_refusals();
	test_agreement();
	test_peer_data();
	test_keys();
	test_hostile();
	test_dead_primary();
	test_equivocation();
	test_sizes();
	test_hmac();
	return done_testing();
}
