// SPDX-License-Identifier: GPL-2.0
/*
 * udp-fuzz: the live port of kernel replicas under datagrams of a faulty replica
 * and a faulty client, whose keys it holds: every MAC that is theirs to make is
 * right, whatever the message says.
 *
 * The messages are those of the fuzz targets (selftests/fuzz/message*.c), made up
 * around where a replica really stands, which is asked of it by netlink in its
 * namespace. Then some are bent, cut into fragments, or their fragments bent.
 *
 * With --garbage no key is used: datagrams of a stranger, from noise to what looks
 * like a message, as fast as they can be sent.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/frag.h"
#include "libpbft/nl.h"
#include "mouth.h"
#include "../fuzz/world.h"
#include "../sim/prng.h"

#define LOOK_EVERY	20	/* messages between two looks at the replica */
#define PACE_EVERY	8	/* ... and between two rests */
#define PACE_NS		2000000

static struct {
	const char *cluster, *replica_key, *client_key, *netns, *instance;
	u32 replica, client;
	u64 seed, count;
	bool garbage;
} opt = { .seed = 1, .count = 2000, .client = PBFT_CLIENT_ID_MIN };

static struct pbft_cluster cluster;
static struct mouth replica, client;
static struct fuzz_world world;
static struct pbft_nl *watch;
static struct prng rng;
static u64 sent[PBFT_TYPE_MAX + 1];
static u8 msg[2 * MOUTH_MAX] __aligned(8);
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

static u32 pick(u32 n)
{
	return prng_below(&rng, n);
}

/* ---- where the fuzz targets take their decisions from -------------------------- */

u8 fuzz_u8(struct fuzz_in *in)
{
	return prng_u64(&rng);
}

u16 fuzz_u16(struct fuzz_in *in)
{
	return prng_u64(&rng);
}

u64 fuzz_u64(struct fuzz_in *in)
{
	return prng_u64(&rng);
}

size_t fuzz_bytes(struct fuzz_in *in, void *out, size_t max)
{
	for (size_t i = 0; i < max; i++)
		((u8 *)out)[i] = prng_u64(&rng);
	return max;
}

/* ---- where the cluster stands ----------------------------------------------------- */

/* A netlink socket of another namespace; ours stays. */
static int open_watch(char *err, size_t errlen)
{
	int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int other = open(opt.netns, O_RDONLY | O_CLOEXEC);
	int rc = -1;

	if (own < 0 || other < 0 || setns(other, CLONE_NEWNET))
		snprintf(err, errlen, "%s: %s", opt.netns, strerror(errno));
	else
		rc = pbft_nl_open(&watch, err, errlen);
	if (own >= 0 && setns(own, CLONE_NEWNET)) {
		snprintf(err, errlen, "cannot go back: %s", strerror(errno));
		rc = -1;
	}
	close(own);
	close(other);
	return rc;
}

static void look(void)
{
	struct pbft_nl_instance *in;
	struct pbft_log_head head;
	struct timespec ts;

	if (pbft_nl_get(watch, opt.instance, &in))
		return;
	clock_gettime(CLOCK_REALTIME, &ts);
	world.wall = ts.tv_sec * 1000000000ull + ts.tv_nsec;
	world.view = in->st.view;
	world.h = in->st.stable;
	world.committed = in->st.committed;
	world.executed = in->st.head.seq;
	head.seq = in->st.head.seq;
	head.time = in->st.head.time;
	memcpy(head.chain.b, in->st.head.chain, sizeof(head.chain.b));
	world_learn_head(&world, &head);
	pbft_nl_instance_free(in);
}

/* ---- bending -------------------------------------------------------------------------- */

static struct pbft_hdr *hdr(void)
{
	return (void *)msg;
}

static void set_len(u32 len)
{
	hdr()->length = cpu_to_le32(len);
}

/* Not the magic, the version and the cluster: what those do is soon known. */
static void bend(void)
{
	u32 len = le32_to_cpu(hdr()->length), at;

	switch (pick(6)) {
	case 0:
		hdr()->view = cpu_to_le64(le64_to_cpu(hdr()->view) + pick(3) - 1);
		break;
	case 1:
		hdr()->seq = cpu_to_le64(le64_to_cpu(hdr()->seq) + pick(3) - 1);
		break;
	case 2:			/* shorter, or longer by what happens to be there */
		set_len(sizeof(struct pbft_hdr) + pick(len));
		break;
	case 3:
		hdr()->type = 1 + pick(PBFT_TYPE_MAX + 2);
		break;
	default:
		if (len <= sizeof(struct pbft_hdr))
			break;
		for (u32 i = 1 + pick(4); i > 0; i--) {
			at = sizeof(struct pbft_hdr) + pick(len - sizeof(struct pbft_hdr));
			msg[at] = pick(2) ? prng_u64(&rng) : msg[at] ^ 1u << pick(8);
		}
	}
}

/* Requests inside that are our client's get the MACs that only it can make. */
static void seal_inner(void)
{
	u32 len = le32_to_cpu(hdr()->length), whole;
	struct pbft_inner it;
	struct pbft_head head;
	bool more;

	whole = len + pbft_wire_auth_len(hdr()->type, world.id.n);
	if (pbft_wire_check(&world.id, msg, whole, &head) != PBFT_OK)
		return;
	for (more = pbft_inner_first(msg, whole, world.id.n, &it); more;
	     more = pbft_inner_next(msg, whole, world.id.n, &it))
		if (it.data && it.head.type == PBFT_REQUEST &&
		    it.head.sender == opt.client)
			mouth_seal(&client, (u8 *)it.data, 0,
				   pick(6) ? 0 : prng_u64(&rng));
}

static void bend_fragment(struct pbft_fragment *f)
{
	switch (pick(6)) {
	case 0:
		f->offset = cpu_to_le32(prng_u64(&rng));
		break;
	case 1:
		f->offset = cpu_to_le32(le32_to_cpu(f->offset) + 64);
		break;
	case 2:
		f->total = cpu_to_le32(pick(2) ? prng_u64(&rng) : pick(1 << 21));
		break;
	case 3:
		f->size = cpu_to_le32(pick(2) ? prng_u64(&rng) : 64 * pick(40));
		break;
	case 4:
		f->data[0] ^= 1;
		break;
	case 5:
		f->id ^= cpu_to_le64(pick(3));
		break;
	}
}

/* In fragments that do not fit together, or not all of them. */
static void send_bent_fragments(struct mouth *m, u32 to, u32 len)
{
	static u8 frag[PBFT_MTU_MAX] __aligned(8);
	u32 mtu = PBFT_MTU_MIN + 64 * pick(6), count = pbft_frag_count(mtu, len);
	u64 id = pbft_frag_id(msg, len);

	for (u32 i = 0; i < count && i < 40; i++) {
		u32 which = pick(5) ? i : pick(count);

		pbft_frag_build(frag, mtu, &m->wire, m->self, msg, len, id, which);
		if (!pick(3))
			bend_fragment((void *)frag);
		if (pick(8))
			mouth_fragment(m, to, (void *)frag);
	}
}

/* ---- one message ------------------------------------------------------------------------ */

static bool clients(u8 type)
{
	return type == PBFT_REQUEST || type == PBFT_HELLO;
}

/* What the fuzz targets have no body for. */
static void make_other(u8 type)
{
	u32 len = sizeof(struct pbft_hdr) + pick(1200);

	memset(msg, 0, len);
	pbft_wire_header(hdr(), &world.id, type, len, opt.replica, world.view, 0);
	fuzz_bytes(NULL, msg + sizeof(struct pbft_hdr), len - sizeof(struct pbft_hdr));
}

static void make(u8 type)
{
	struct pbft_buf *buf = world_message(&world, type, opt.replica);

	if (buf && buf->len < MOUTH_MAX)
		memcpy(msg, buf->data, buf->len);
	else
		make_other(type);
	pbft_buf_put(buf);
}

static void say(struct mouth *m, u32 to)
{
	u32 len = mouth_seal(m, msg, to, 0);

	if (len > PBFT_MTU_MIN && !pick(4))
		send_bent_fragments(m, to, len);
	else
		mouth_send(m, to, msg, len,
			   pick(4) ? cluster.mtu : PBFT_MTU_MIN + 64 * pick(5));
}

static void one_message(void)
{
	u8 type = 1 + pick(PBFT_TYPE_MAX);
	struct mouth *m = clients(type) ? &client : &replica;
	u32 to = pick(2 * world.id.n);

	make(type);
	hdr()->sender = cpu_to_le32(clients(type) ? opt.client : opt.replica);
	sent[type]++;
	seal_inner();
	if (!pick(3))
		bend();
	for (u32 i = 0; i < world.id.n; i++)
		if (i != opt.replica && (to >= world.id.n || to == i))
			say(m, i);
}

static void one_garbage(void)
{
	u32 to = pick(world.id.n), len = pick(1400);

	switch (pick(3)) {
	case 0:
		fuzz_bytes(NULL, msg, len);
		break;
	default:		/* a message that only its MAC gives away */
		make(1 + pick(PBFT_TYPE_MAX));
		hdr()->sender = cpu_to_le32(pick(world.id.n));
		len = le32_to_cpu(hdr()->length) + 16;
	}
	mouth_datagram(&replica, to, msg, min_t(u32, len, cluster.mtu));
}

/* ---- the run ------------------------------------------------------------------------------ */

static void rest(u64 i)
{
	static const struct timespec pace = { .tv_nsec = PACE_NS };

	if (i % LOOK_EVERY == 0)
		look();
	if (i % PACE_EVERY == 0)
		nanosleep(&pace, NULL);
}

static void run(void)
{
	for (u64 i = 0; !stop && (!opt.count || i < opt.count); i++) {
		if (opt.garbage) {
			one_garbage();
			continue;
		}
		rest(i);
		one_message();
	}
}

static void report(void)
{
	printf("datagrams %llu, not taken by the socket %llu\n",
	       (unsigned long long)(replica.said + client.said),
	       (unsigned long long)(replica.lost + client.lost));
	for (u32 i = 1; i <= PBFT_TYPE_MAX && !opt.garbage; i++)
		printf("%s %llu\n", pbft_type_name(i), (unsigned long long)sent[i]);
}

static int start(char *err, size_t errlen)
{
	u8 nobody[32] = { 1 };
	int rc = pbft_cluster_load(&cluster, opt.cluster, err, errlen);

	if (rc)
		return rc;
	if (opt.garbage) {
		rc = mouth_open(&replica, &cluster, opt.replica, nobody);
		if (rc)
			snprintf(err, errlen, "%s", strerror(-rc));
	} else {
		rc = mouth_open_file(&replica, &cluster, opt.replica, opt.replica_key,
				     err, errlen) ?:
		     mouth_open_file(&client, &cluster, opt.client, opt.client_key,
				     err, errlen) ?: open_watch(err, errlen);
	}
	world_init(&world, &replica.wire, cluster.cfg.f, cluster.cfg.k, cluster.cfg.l,
		   opt.replica ? 0 : 1);
	return rc;
}

static int usage(void)
{
	fprintf(stderr, "usage: udp-fuzz --cluster FILE --replica ID --replica-key FILE\n"
			"                --client ID --client-key FILE --netns PATH\n"
			"                --instance NAME [--seed N] [--count N]\n"
			"       udp-fuzz --cluster FILE --garbage [--seed N] [--count N]\n"
			"--count 0: until it is told to stop\n");
	return 2;
}

static bool set_option(int o, const char *arg)
{
	const struct {
		char o;
		const char **text;
	} texts[] = {
		{ 'c', &opt.cluster }, { 'R', &opt.replica_key },
		{ 'L', &opt.client_key }, { 'N', &opt.netns }, { 'i', &opt.instance },
	};

	for (u32 i = 0; i < ARRAY_SIZE(texts); i++) {
		if (texts[i].o != o)
			continue;
		*texts[i].text = arg;
		return true;
	}
	if (o == 'r')
		opt.replica = atoi(arg);
	else if (o == 'l')
		opt.client = atoi(arg);
	else if (o == 's')
		opt.seed = strtoull(arg, NULL, 0);
	else if (o == 'n')
		opt.count = strtoull(arg, NULL, 0);
	else if (o == 'g')
		opt.garbage = true;
	else
		return false;
	return true;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "cluster", required_argument, NULL, 'c' },
		{ "replica", required_argument, NULL, 'r' },
		{ "replica-key", required_argument, NULL, 'R' },
		{ "client", required_argument, NULL, 'l' },
		{ "client-key", required_argument, NULL, 'L' },
		{ "netns", required_argument, NULL, 'N' },
		{ "instance", required_argument, NULL, 'i' },
		{ "seed", required_argument, NULL, 's' },
		{ "count", required_argument, NULL, 'n' },
		{ "garbage", no_argument, NULL, 'g' },
		{ 0 }
	};
	struct sigaction sa = { .sa_handler = on_signal };
	char err[512];
	int o;

	while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
		if (!set_option(o, optarg))
			return usage();
	if (!opt.cluster || (!opt.garbage && (!opt.replica_key || !opt.client_key ||
					      !opt.netns || !opt.instance)))
		return usage();
	if (start(err, sizeof(err))) {
		fprintf(stderr, "udp-fuzz: %s\n", err);
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	prng_seed(&rng, opt.seed, 0);
	printf("seed %llu\n", (unsigned long long)opt.seed);
	run();
	report();
	world_free(&world);
	mouth_close(&replica);
	if (!opt.garbage) {
		mouth_close(&client);
		pbft_nl_close(watch);
	}
	pbft_cluster_free(&cluster);
	return 0;
}
