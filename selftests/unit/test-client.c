// SPDX-License-Identifier: GPL-2.0
/*
 * The client against scripted replicas: what it believes, what it does not, and
 * how it gets its answer in the end.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "fake-cluster.h"
#include "libpbft/client.h"
#include "tap.h"

#define MS	1000000ull
#define SEC	(1000 * MS)
/* Nothing here takes a second; the machine may be busy with something else. */
#define PATIENCE	(20 * SEC)

struct op {
	u32 calls;
	int err;
	u8 status;
	u32 len;
	u8 *result;
};

static struct fake fk;
static struct pbft_client *client;

static u64 now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * SEC + ts.tv_nsec;
}

static void op_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	struct op *op = arg;

	op->calls++;
	op->err = err;
	op->status = status;
	op->len = len;
	free(op->result);
	op->result = malloc(len ?: 1);
	if (len)
		memcpy(op->result, result, len);
}

static void start_with(const char *mac)
{
	fake_init(&fk, false, mac);
	if (pbft_client_open(&client, &fk.cluster, FAKE_CLIENT, fk.client_private))
		abort();
}

static void start(void)
{
	start_with(PBFT_MAC_DEFAULT);
}

static void finish(void)
{
	pbft_client_close(client);
	fake_exit(&fk);
}

/*
 * Client and cluster take turns until @count ops have come back, or @for_ns.
 * The client never waits itself, so that a busy machine cannot make it time out
 * between a request and the replies it already has.
 */
static void turns(const struct op *ops, u32 count, u64 for_ns)
{
	static const struct timespec pause = { .tv_nsec = 100000 };
	u64 end = now_ns() + for_ns;
	u32 i, done;

	do {
		if (!pbft_client_poll(client, 0))
			nanosleep(&pause, NULL);
		fake_serve(&fk);
		for (i = 0, done = 0; i < count; i++)
			done += ops[i].calls > 0;
	} while ((!count || done < count) && now_ns() < end);
}

static bool result_is(const struct op *op, const void *sent, u32 len)
{
	static u8 want[PBFT_OP_MAX + 64];
	u32 want_len = fake_result(&fk, sent, len, want);

	return op->calls == 1 && !op->err && op->status == fk.status &&
	       op->len == want_len && !memcmp(op->result, want, want_len);
}

/* Submit one, wait, and say whether the right result came. */
static bool do_op(const char *text)
{
	struct op op = { 0 };
	bool good;

	if (pbft_client_submit(client, text, strlen(text), 0, op_done, &op))
		return false;
	turns(&op, 1, PATIENCE);
	good = result_is(&op, text, strlen(text));
	free(op.result);
	return good;
}

static struct pbft_client_stats stats(void)
{
	struct pbft_client_stats st;

	pbft_client_stats(client, &st);
	return st;
}

static u32 sum_requests(void)
{
	return fk.r[0].requests + fk.r[1].requests + fk.r[2].requests +
	       fk.r[3].requests;
}

static u32 sum_malformed(void)
{
	return fk.r[0].malformed + fk.r[1].malformed + fk.r[2].malformed +
	       fk.r[3].malformed;
}

/* ---- the common case ------------------------------------------------ */

static void test_plain(void)
{
	u32 i, good = 0;

	start();
	ok(pbft_client_deadline(client) == U64_MAX, "an idle client has no deadline");
	ok(do_op("hello"), "an operation and its result");
	for (i = 0; i < 200; i++) {
		char text[16];

		snprintf(text, sizeof(text), "op %u", i);
		good += do_op(text);
	}
	ok(good == 200, "two hundred more, past the window");
	ok(do_op(""), "an empty operation");
	ok(fk.r[0].hellos && fk.r[1].hellos && fk.r[2].hellos && fk.r[3].hellos,
	   "every replica got a HELLO");
	ok(!fk.r[1].requests && !fk.r[2].requests && !fk.r[3].requests,
	   "small requests go to the primary only");
	ok(!sum_malformed(), "every replica's entry of every authenticator holds");
	ok(stats().completed == 202 && !stats().replies_bad && stats().rtt,
	   "the statistics agree");
	fk.status = PBFT_ST_APP_ERROR;
	ok(do_op("x"), "the application's refusal is a result");
	finish();
}

static void test_ipv6(void)
{
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_addr = in6addr_loopback };
	int fd = socket(AF_INET6, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (void *)&in6, sizeof(in6))) {
		ok(true, "both address families in one cluster # SKIP no IPv6 here");
		if (fd >= 0)
			close(fd);
		return;
	}
	close(fd);
	fake_init(&fk, true, PBFT_MAC_DEFAULT);
	if (pbft_client_open(&client, &fk.cluster, FAKE_CLIENT, fk.client_private))
		abort();
	fk.r[0].way = FAKE_SILENT;
	fk.r[1].way = FAKE_LIE;
	ok(do_op("mixed") && fk.r[3].hellos, "both address families in one cluster");
	finish();
}

/* As by SipHash, which all other tests have: whole, in fragments, new keys, a liar. */
static void test_hmac(void)
{
	char big[8000];

	memset(big, 'h', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	start_with("hmac(sha256)");
	fk.r[2].way = FAKE_BAD_MAC;
	ok(do_op("hmac") && do_op(big), "the same with HMAC-SHA256");
	ok(!sum_malformed() && stats().replies_bad, "and only bad MACs are refused");
	fk.r[0].key_id++;
	fk.r[1].key_id++;
	ok(do_op("new keys"), "with new keys, too");
	finish();
}

/* ---- whom to believe ------------------------------------------------ */

static void test_liars(void)
{
	u32 i, good;

	for (i = 0; i < FAKE_N; i++) {
		start();
		fk.r[i].way = FAKE_LIE;
		fk.reverse = i & 1;
		good = do_op("a") + do_op("b") + do_op("c") + do_op("d");
		ok(good == 4, "replica %u lies, nobody believes it", i);
		finish();
	}
	start();
	fk.r[2].way = FAKE_BAD_BODY;
	ok(do_op("a") && do_op("b"), "a result that does not match its digest");
	finish();
	start();
	fk.r[0].way = FAKE_LIE;
	fk.r[1].way = FAKE_SILENT;
	ok(do_op("a"), "one liar, one silent: two honest ones are enough");
	finish();
}

static void test_too_few(void)
{
	struct op op = { 0 };

	start();
	fk.r[1].way = FAKE_SILENT;
	fk.r[2].way = FAKE_SILENT;
	fk.r[3].way = FAKE_LIE;
	pbft_client_submit(client, "x", 1, 300 * MS, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(op.calls == 1 && op.err == -ETIMEDOUT,
	   "one honest reply and one lie decide nothing");
	free(op.result);
	finish();
}

static void test_wrong_mac(void)
{
	struct op op = { 0 };

	start();
	fk.r[0].way = FAKE_BAD_MAC;
	fk.r[1].way = FAKE_GARBAGE;
	ok(do_op("a") && do_op("b"), "a wrong MAC and noise are no replies");
	ok(stats().replies_bad >= 4, "and are counted");
	fk.r[1].way = FAKE_BAD_MAC;
	fk.r[2].way = FAKE_BAD_MAC;
	pbft_client_submit(client, "x", 1, 200 * MS, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(op.err == -ETIMEDOUT, "three wrong MACs and one right decide nothing");
	free(op.result);
	finish();
}

static void test_tentative(void)
{
	struct op op = { 0 };
	u32 i;

	start();
	fk.r[0].way = FAKE_TENTATIVE;
	fk.r[1].way = FAKE_TENTATIVE;
	fk.r[2].way = FAKE_SILENT;
	fk.r[3].way = FAKE_SILENT;
	pbft_client_submit(client, "x", 1, 200 * MS, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(op.err == -ETIMEDOUT, "f + 1 tentative replies are too few");
	free(op.result);
	finish();

	start();
	for (i = 0; i < 3; i++)
		fk.r[i].way = FAKE_TENTATIVE;
	fk.r[3].way = FAKE_SILENT;
	ok(do_op("x"), "a quorum of tentative replies in one view is enough");
	fk.r[2].view = 4;
	memset(&op, 0, sizeof(op));
	pbft_client_submit(client, "y", 1, 200 * MS, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(op.err == -ETIMEDOUT, "but not from two views");
	free(op.result);
	finish();
}

/* Results too large for everybody to send: one does, the others vouch. */
static void test_replier(void)
{
	u32 i, good = 0;

	start();
	fk.result_len = 1000;
	for (i = 0; i < 8; i++)
		good += do_op("large");
	ok(good == 8 && !stats().retransmits,
	   "the replier's result, the others' digests");
	finish();

	start();
	fk.result_len = 1000;
	fk.r[2].way = FAKE_SILENT;
	for (i = 0, good = 0; i < 4; i++)
		good += do_op("large");
	ok(good == 4 && stats().retransmits,
	   "a silent replier: everybody is asked for the result");
	for (i = 0, good = 0; i < 40; i++)
		good += do_op("large");
	ok(good == 40 && stats().retransmits <= 4,
	   "and it is not asked again for a while");
	finish();

	start();
	fk.result_len = 1000;
	fk.r[1].way = FAKE_LIE;
	for (i = 0, good = 0; i < 4; i++)
		good += do_op("large");
	ok(good == 4, "a lying replier: the same");
	finish();
}

/* ---- loss ----------------------------------------------------------- */

static void test_loss(void)
{
	start();
	fk.r[0].lose_datagrams = 1;
	ok(do_op("a"), "the first transmission is lost");
	ok(stats().retransmits == 1 && sum_requests() == FAKE_N &&
	   fk.r[3].to_all == 1,
	   "the second goes to all, and asks all for the result");
	ok(do_op("b") && fk.r[3].requests == 1, "then to the primary alone again");
	fk.r[0].lose_datagrams = 2;
	fk.r[1].lose_datagrams = 1;
	fk.r[2].lose_datagrams = 1;
	fk.r[3].lose_datagrams = 1;
	ok(do_op("c") && stats().retransmits >= 3, "lost twice");
	finish();

	start();
	fk.r[1].lose_hellos = 1;
	fk.r[2].lose_hellos = 1;
	fk.r[3].lose_hellos = 1;
	ok(do_op("a"), "HELLO is lost: nobody knew our address, then they do");
	finish();
}

static void test_timeout(void)
{
	struct op op[2] = { { 0 }, { 0 } };
	u32 i;

	start();
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].way = FAKE_SILENT;
	fk.r[0].lose_datagrams = 1;
	pbft_client_submit(client, "a", 1, 100 * MS, op_done, &op[0]);
	turns(op, 1, PATIENCE);
	ok(op[0].calls == 1 && op[0].err == -ETIMEDOUT, "nobody answers: timeout");
	ok(pbft_client_outstanding(client) == 0, "its callback is made");
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].way = 0;
	pbft_client_submit(client, "b", 1, 0, op_done, &op[1]);
	turns(op + 1, 1, PATIENCE);
	ok(result_is(&op[1], "b", 1) && fk.executed == 2,
	   "it is executed before the next one all the same");
	turns(NULL, 0, 20 * MS);
	ok(op[0].calls == 1, "and not called back twice");
	free(op[0].result);
	free(op[1].result);
	finish();
}

/* ---- views ---------------------------------------------------------- */

static void test_views(void)
{
	u64 timeout;
	u32 i, before;

	fake_init(&fk, false, PBFT_MAC_DEFAULT);
	/* However slow the machine, the answers come before the client gives up. */
	timeout = fk.cluster.cfg.t_base;
	fk.cluster.cfg.t_base = 10 * PATIENCE;
	if (pbft_client_open(&client, &fk.cluster, FAKE_CLIENT, fk.client_private))
		abort();
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].view = 6;
	fk.only_primary = true;
	fk.r[1].way = FAKE_SILENT;
	ok(do_op("a") && !fk.r[0].requests && !stats().retransmits,
	   "the answers to HELLO say who is primary");
	fk.cluster.cfg.t_base = timeout;
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].view = 7;
	fk.r[1].way = 0;
	ok(do_op("a"), "another primary than believed");
	ok(stats().view == 7, "the replies say which");
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].view = 10;
	do_op("a");
	before = fk.r[3].requests;
	ok(do_op("b") && fk.r[3].requests == before && stats().view == 10,
	   "the next request goes there at once");
	fk.r[3].view = 1000000001;
	for (i = 0; i < 20; i++)
		do_op("c");
	ok(stats().view == 10, "one replica alone does not move us up");
	fk.r[3].view = 0;
	for (i = 0; i < 20; i++)
		do_op("c");
	ok(stats().view == 10, "nor down");
	finish();
}

/* ---- large messages ------------------------------------------------- */

static void test_fragments(void)
{
	static u8 big[PBFT_OP_MAX];
	struct op op = { 0 };
	u32 i;

	for (i = 0; i < sizeof(big); i++)
		big[i] = i * 7 + i / 251;
	start();
	fk.result_len = PBFT_OP_MAX;
	pbft_client_submit(client, big, sizeof(big), 0, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(result_is(&op, big, sizeof(big)), "the largest operation, the largest result");
	ok(fk.r[0].fragments && fk.r[3].fragments && !sum_malformed(),
	   "in fragments, to every replica");
	free(op.result);
	finish();

	start();
	memset(&op, 0, sizeof(op));
	fk.result_len = 5000;
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].lose_datagrams = 3;
	pbft_client_submit(client, big, 20000, 0, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(result_is(&op, big, 20000), "some fragments lost");
	free(op.result);
	ok(pbft_client_submit(client, big, PBFT_OP_MAX + 1, 0, op_done, &op) ==
	   -EMSGSIZE, "an operation above the limit is refused");
	finish();
}

static void test_large_window(void)
{
	static u8 big[20000];
	struct op ops[40] = { { 0 } };
	u32 i, good = 0;

	start();
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		pbft_client_submit(client, big, sizeof(big), 0, op_done, &ops[i]);
	turns(ops, ARRAY_SIZE(ops), PATIENCE);
	for (i = 0; i < ARRAY_SIZE(ops); i++) {
		good += result_is(&ops[i], big, sizeof(big));
		free(ops[i].result);
	}
	ok(good == ARRAY_SIZE(ops), "forty large operations at once");
	finish();
}

/* ---- many outstanding ----------------------------------------------- */

static u32 run_window(u32 count)
{
	struct op ops[PBFT_CLIENT_WINDOW] = { { 0 } };
	char text[PBFT_CLIENT_WINDOW][16];
	u32 i, good = 0;

	for (i = 0; i < count; i++) {
		snprintf(text[i], sizeof(text[i]), "n%u", i);
		pbft_client_submit(client, text[i], strlen(text[i]), 0, op_done,
				   &ops[i]);
	}
	turns(ops, count, PATIENCE);
	for (i = 0; i < count; i++) {
		good += result_is(&ops[i], text[i], strlen(text[i]));
		free(ops[i].result);
	}
	return good;
}

static void test_window(void)
{
	struct op op = { 0 };
	u32 i;

	start();
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		pbft_client_submit(client, "w", 1, 0, op_done, &op);
	ok(pbft_client_submit(client, "w", 1, 0, op_done, &op) == -EAGAIN &&
	   pbft_client_outstanding(client) == PBFT_CLIENT_WINDOW,
	   "the window is as large as it says");
	pbft_client_close(client);
	ok(op.calls == PBFT_CLIENT_WINDOW && op.err == -ECANCELED,
	   "close calls all of them back");
	free(op.result);
	fake_exit(&fk);

	start();
	ok(run_window(PBFT_CLIENT_WINDOW) == PBFT_CLIENT_WINDOW &&
	   run_window(50) == 50, "a full window, and another");
	fk.reverse = true;
	ok(run_window(PBFT_CLIENT_WINDOW) == PBFT_CLIENT_WINDOW,
	   "replies in reverse order");
	finish();
}

static void test_out_of_order(void)
{
	start();
	fk.say_out_of_order = true;
	ok(run_window(3) == 3 && !stats().out_of_order, "in order: nothing to say");
	fk.r[0].lose_datagrams = 1;
	ok(run_window(20) == 20, "the first of twenty is lost");
	ok(stats().out_of_order > 0 && !fk.r[3].to_all,
	   "OUT_OF_ORDER brings it back before any timeout");
	fk.r[3].way = FAKE_LIE;
	fk.reverse = true;
	fk.r[0].lose_datagrams = 2;
	ok(run_window(20) == 20, "again, with a liar and reversed replies");
	finish();
}

/* ---- sessions and keys ---------------------------------------------- */

static void test_stale(void)
{
	struct op op = { 0 };

	start();
	fk.r[3].way = FAKE_STALE;
	ok(do_op("a"), "one replica alone cannot call our session stale");
	fk.r[2].way = FAKE_STALE;
	fk.r[1].way = FAKE_SILENT;
	pbft_client_submit(client, "x", 1, 0, op_done, &op);
	turns(&op, 1, PATIENCE);
	ok(op.err == -ESTALE, "f + 1 can");
	ok(pbft_client_submit(client, "y", 1, 0, op_done, &op) == -ESTALE,
	   "and that is the end of the session");
	free(op.result);
	finish();
}

static void test_key_change(void)
{
	u32 i;

	start();
	ok(do_op("a"), "under the first keys");
	for (i = 0; i < FAKE_N; i++)
		fk.r[i].key_id = 7 + i;
	ok(do_op("b") && !stats().replies_bad, "replicas changed theirs");
	fk.r[1].key_id = 0;
	ok(do_op("c") && !stats().replies_bad, "a message under the old one comes late");
	finish();
}

static void test_open(void)
{
	struct pbft_client *c = NULL;
	u8 other[32], zero[32] = { 0 };

	fake_init(&fk, false, PBFT_MAC_DEFAULT);
	pbft_genkey(other);
	ok(pbft_client_open(&c, &fk.cluster, FAKE_CLIENT + 1, fk.client_private) ==
	   -ENOENT, "a client that is not in the cluster");
	ok(pbft_client_open(&c, &fk.cluster, FAKE_CLIENT, other) == -EKEYREJECTED,
	   "a key that is not the client's");
	memcpy(other, fk.cluster.replicas[2].public_key, 32);
	memcpy(fk.cluster.replicas[2].public_key, zero, 32);
	ok(pbft_client_open(&c, &fk.cluster, FAKE_CLIENT, fk.client_private) ==
	   -EKEYREJECTED, "a replica's public key of low order");
	memcpy(fk.cluster.replicas[2].public_key, other, 32);
	strcpy(fk.cluster.mac, "cmac(aes)");
	ok(pbft_client_open(&c, &fk.cluster, FAKE_CLIENT, fk.client_private) ==
	   -EPROTONOSUPPORT, "a MAC we do not have");
	strcpy(fk.cluster.mac, PBFT_MAC_DEFAULT);
	fk.cluster.replicas[1].endpoint.ss_family = 0;
	ok(pbft_client_open(&c, &fk.cluster, FAKE_CLIENT, fk.client_private) ==
	   -EDESTADDRREQ, "a replica without an endpoint");
	fake_exit(&fk);
}

int main(void)
{
	test_plain();
	test_ipv6();
	test_hmac();
	test_liars();
	test_too_few();
	test_wrong_mac();
	test_tentative();
	test_replier();
	test_loss();
	test_timeout();
	test_views();
	test_fragments();
	test_large_window();
	test_window();
	test_out_of_order();
	test_stale();
	test_key_change();
	test_open();
	return done_testing();
}
