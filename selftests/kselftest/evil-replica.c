// SPDX-License-Identifier: GPL-2.0
/*
 * evil-replica: a member of the cluster that is not to be trusted. An honest
 * core, so that it is in the midst of everything, behind a mouth that lies
 * (evil-lies.c) and an application that makes its results up.
 *
 * Runs until it is told to stop, then prints how often it lied, by trait.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "evil.h"
#include "replica/replica.h"

static const char * const trait_names[EVIL_TRAITS] = {
	[EVIL_EQUIVOCATE] = "equivocate",
	[EVIL_MACS] = "macs",
	[EVIL_REPLAY] = "replay",
	[EVIL_FLOOD] = "flood",
	[EVIL_VIEWS] = "views",
};

static struct evil evil;
static struct pbft_replica *replica;
static volatile sig_atomic_t stop;

static void on_signal(int sig)
{
	stop = 1;
}

/* ---- the application: results that are nobody's --------------------------------- */

static void on_apply(void *arg, const struct pbft_log_head *head,
		     struct pbft_batch *batch)
{
	static struct pbft_result results[PBFT_BATCH_MAX];
	static u8 code;
	u32 count = batch ? pbft_batch_count(batch) : 0;

	for (u32 i = 0; i < count; i++) {
		code = prng_below(&evil.rng, 4);
		results[i].status = PBFT_ST_OK;
		results[i].data = &code;
		results[i].len = 1;
	}
	pbft_replica_executed(replica, head->seq, results, count);
}

static void on_snapshot(void *arg, u64 seq)
{
	struct pbft_digest lie = { { 0xe1 } };

	pbft_replica_checkpointed(replica, seq, &lie);
}

/* The others' state is not ours: we say that we have it, and go on. */
static void on_fetch_state(void *arg, const struct pbft_log_head *head,
			   const struct pbft_digest *app, u64 peers)
{
	pbft_replica_state_installed(replica, head->seq, app);
}

static const struct pbft_replica_ops ops = {
	.apply = on_apply,
	.snapshot = on_snapshot,
	.fetch_state = on_fetch_state,
	.filter = evil_filter,
};

/* ---- setting up ------------------------------------------------------------------ */

static bool set_traits(const char *list)
{
	char *copy = strdup(list), *rest = copy, *word;
	bool good = true;

	while (good && (word = strsep(&rest, ","))) {
		u32 i;

		for (i = 0; i < EVIL_TRAITS; i++)
			if (!strcmp(word, trait_names[i]))
				break;
		if (!strcmp(word, "all"))
			evil.traits = (1u << EVIL_TRAITS) - 1;
		else if (i < EVIL_TRAITS)
			evil.traits |= 1u << i;
		else
			good = false;
	}
	free(copy);
	return good;
}

static int start(const struct pbft_cluster *cluster, u32 self, const char *key_path,
		 char *err, size_t errlen)
{
	struct pbft_replica_config cfg = {
		.cluster = cluster, .self = self, .genesis = true,
		.ops = &ops, .arg = &evil,
	};
	static const struct pbft_log_head head;
	u8 key[32];
	int rc = mouth_open_file(&evil.mouth, cluster, self, key_path, err, errlen);

	if (rc)
		return rc;
	evil.scratch = malloc(MOUTH_MAX);
	rc = pbft_key_load(key_path, false, key, err, errlen);
	cfg.private_key = key;
	if (!rc)
		rc = pbft_replica_create(&replica, &cfg, err, errlen);
	explicit_bzero(key, sizeof(key));
	return rc ?: pbft_replica_bind(replica, &head);
}

static int usage(void)
{
	fprintf(stderr, "usage: evil-replica -c FILE -k FILE -s ID [-S SEED] -t TRAIT,...\n"
			"traits: equivocate macs replay flood views all\n");
	return 2;
}

static void run(void)
{
	struct pbft_status st;
	bool told = false;

	while (!stop) {
		pbft_replica_poll(replica, evil_is(&evil, EVIL_FLOOD) ? 0 : 20000000);
		pbft_replica_status(replica, &st);
		if (st.stopped && !told)
			printf("its own core has stopped: %s\n", st.reason);
		told = st.stopped;
		if (evil_is(&evil, EVIL_FLOOD))
			evil_burst(&evil, st.view, st.h + 1);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	const char *path = NULL, *key_path = NULL;
	struct pbft_cluster cluster;
	u32 self = PBFT_N_MAX;
	char err[512] = "";
	int opt;

	evil.seed = 1;
	while ((opt = getopt(argc, argv, "c:k:s:S:t:")) != -1) {
		switch (opt) {
		case 'c':
			path = optarg;
			break;
		case 'k':
			key_path = optarg;
			break;
		case 's':
			self = atoi(optarg);
			break;
		case 'S':
			evil.seed = strtoull(optarg, NULL, 0);
			break;
		case 't':
			if (!set_traits(optarg))
				return usage();
			break;
		default:
			return usage();
		}
	}
	if (!path || !key_path || !evil.traits)
		return usage();
	prng_seed(&evil.rng, evil.seed, 0);
	if (pbft_cluster_load(&cluster, path, err, sizeof(err)) ||
	    start(&cluster, self, key_path, err, sizeof(err))) {
		fprintf(stderr, "evil-replica: %s\n", err);
		return 1;
	}
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("seed %llu\n", (unsigned long long)evil.seed);
	run();
	for (u32 i = 0; i < EVIL_TRAITS; i++)
		printf("lies %s %llu\n", trait_names[i], (unsigned long long)evil.lies[i]);
	pbft_replica_destroy(replica);
	mouth_close(&evil.mouth);
	pbft_cluster_free(&cluster);
	return 0;
}
