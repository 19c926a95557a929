// SPDX-License-Identifier: GPL-2.0
/*
 * nl-failnth CLUSTER KEY JOURNAL: the commands of the netlink family, again and
 * again; the first time its first allocation in the kernel fails, then its second,
 * and so on until none is left to fail. An error must be one that says so, and what
 * failed must leave the instance as it was or as it was asked to be. JOURNAL is a
 * file for one, made anew. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "libpbft/crypto.h"
#include "libpbft/nl.h"
#include "failnth.h"
#include "../unit/tap.h"

#define NAME		"f"
#define JOURNAL_SIZE	(16 << 20)

static struct pbft_nl *nl;
static struct pbft_cluster cluster;
static u8 private_key[32];
static u32 all_clients, service = PBFT_SERVICE_NULL;
static struct pbft_nl_bound bound;
static int journal_fd;

static int set(void)
{
	struct pbft_nl_setup setup = {
		.cluster = &cluster,
		.private_key = private_key,
		.service = service,
		.null_reply = service == PBFT_SERVICE_NULL ? 8 : 0,
	};

	return pbft_nl_set(nl, NAME, &setup);
}

static int set_fewer(void)
{
	int err;

	cluster.n_clients = all_clients - 5;
	err = set();
	cluster.n_clients = all_clients;
	return err;
}

static int del(void)
{
	return pbft_nl_del(nl, NAME);
}

static const struct pbft_nl_up genesis = { .genesis = true };

static int up(void)
{
	return pbft_nl_up(nl, NAME, &genesis);
}

static int up_with_journal(void)
{
	struct pbft_nl_up journal = {
		.genesis = true, .journal_mode = PBFT_JOURNAL_SYNC, .journal_fd = journal_fd,
	};

	return pbft_nl_up(nl, NAME, &journal);
}

static int down(void)
{
	return pbft_nl_down(nl, NAME);
}

static int next_key(void)
{
	static u8 id;

	return pbft_nl_set_key(nl, NAME, ++id);
}

static int get_one(void)
{
	struct pbft_nl_instance *list = NULL;
	int err = pbft_nl_get(nl, NAME, &list);

	pbft_nl_instance_free(list);
	return err;
}

static int get_all(void)
{
	struct pbft_nl_instance *list = NULL;
	int err = pbft_nl_get(nl, NULL, &list);

	pbft_nl_instance_free(list);
	return err;
}

static int bind_daemon(void)
{
	static const struct pbft_nl_head nothing_yet;

	return pbft_nl_bind(nl, NAME, &nothing_yet, &bound);
}

/* Nobody waits for what a daemon sends: what is refused, is told later. */
static int peer_send(void)
{
	return pbft_nl_peer_send(nl, bound.id, 1, "to replica 1", 12);
}

/* A socket that lost an answer may get it later: each attempt has its own. */
static int reopen(void)
{
	char err[256];
	int rc;

	pbft_nl_close(nl);
	rc = pbft_nl_open(&nl, err, sizeof(err));
	if (rc)
		printf("# %s\n", err);
	return rc;
}

/*
 * @before brings about the state that @command starts from, and must work:
 * also when the attempt before has failed half way, or at its very end.
 */
static void exhaust(const char *what, int (*before)(void), int (*command)(void))
{
	int nth, err = 0, failed = 0;
	bool hit = true;

	for (nth = 1; hit && nth < FAILNTH_MAX; nth++) {
		if (before()) {
			printf("# before allocation %d: %s\n", nth, pbft_nl_error(nl));
			break;
		}
		failnth_arm(nth);
		err = command();
		hit = failnth_disarm();
		if (err)
			failed++;
		if (hit && !failnth_shortage(err)) {
			printf("# allocation %d: %s (%s)\n", nth, pbft_nl_error(nl),
			       strerror(-err));
			break;
		}
		if (reopen())
			break;
	}
	printf("# %s: %d allocations, %d of them needed\n", what, nth - 2, failed);
	ok(!hit && !err, "%s: any allocation may fail", what);
}

static int gone(void)
{
	del();
	return reopen();
}

static int is_down(void)
{
	set();
	down();
	return reopen();
}

static int is_up(void)
{
	set();
	up();
	return reopen();
}

static int is_down_with_journal(void)
{
	int err = is_down();

	if (ftruncate(journal_fd, 0) || ftruncate(journal_fd, JOURNAL_SIZE))
		return -errno;
	return err;
}

/* The service of what is up cannot be changed. */
static int is_up_for_daemon(void)
{
	down();
	return is_down() ?: up() ?: reopen();
}

static int is_bound(void)
{
	return is_up_for_daemon() ?: bind_daemon();
}

int main(int argc, char **argv)
{
	char err[256];

	if (argc != 4) {
		fprintf(stderr, "usage: nl-failnth CLUSTER KEY JOURNAL\n");
		return 2;
	}
	if (pbft_cluster_load(&cluster, argv[1], err, sizeof(err)) ||
	    pbft_key_load(argv[2], true, private_key, err, sizeof(err)) ||
	    pbft_nl_open(&nl, err, sizeof(err))) {
		fprintf(stderr, "nl-failnth: %s\n", err);
		return 1;
	}
	all_clients = cluster.n_clients;
	failnth_open();
	journal_fd = open(argv[3], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (journal_fd < 0) {
		perror(argv[3]);
		return 1;
	}
	exhaust("SET, a new instance", gone, set);
	exhaust("SET, of what is there", is_down, set);
	exhaust("SET, with fewer clients", is_down, set_fewer);
	exhaust("UP", is_down, up);
	exhaust("SET, while up", is_up, set_fewer);
	exhaust("SET_KEY", is_up, next_key);
	exhaust("GET", is_up, get_one);
	exhaust("GET, all", is_up, get_all);
	exhaust("DOWN", is_up, down);
	exhaust("DEL", is_up, del);
	exhaust("UP, with a journal", is_down_with_journal, up_with_journal);
	service = PBFT_SERVICE_DAEMON;
	exhaust("BIND", is_up_for_daemon, bind_daemon);
	exhaust("PEER_SEND", is_bound, peer_send);
	service = PBFT_SERVICE_NULL;
	ok(gone() == 0 && set() == 0 && up() == 0, "and all is well afterwards");
	del();
	pbft_nl_close(nl);
	pbft_cluster_free(&cluster);
	return done_testing();
}
