// SPDX-License-Identifier: GPL-2.0
/* Refusals that take more than an edit of the one message: many of a kind, raw keys. */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>

#include "nl-refusals.h"

#define CLIENTS		1030	/* more than the room there is by default */

static const u8 raw_key[32] = { 7 };

static void refused(struct fixture *fx, int err, int wanted, const char *text,
		    const char *what)
{
	bool good = err == wanted && !strcmp(pbft_nl_error(fx->nl), text);

	if (err)
		note_refusal(pbft_nl_error(fx->nl));
	if (!point(good, "%s: %s", what, text))
		remark("%d, \"%s\"", err, pbft_nl_error(fx->nl));
}

static void put_raw_client(struct nl_msg *msg, u32 id)
{
	struct nlattr *nest = nla_nest_start(msg, PBFT_A_CLIENT | NLA_F_NESTED);

	nla_put_u32(msg, PBFT_NODE_A_ID, id);
	nla_put(msg, PBFT_NODE_A_KEY_TX, 32, raw_key);
	nla_put(msg, PBFT_NODE_A_KEY_RX, 32, raw_key);
	nla_nest_end(msg, nest);
}

static void put_replicas(struct nl_msg *msg, const struct fixture *fx)
{
	for (u32 id = 0; id < 4; id++) {
		struct nlattr *nest = nla_nest_start(msg, PBFT_A_REPLICA | NLA_F_NESTED);
		struct sockaddr_in in = {
			.sin_family = AF_INET,
			.sin_port = htons(7000),
			.sin_addr.s_addr = htonl(INADDR_LOOPBACK + id),
		};

		nla_put_u32(msg, PBFT_NODE_A_ID, id);
		nla_put(msg, PBFT_NODE_A_PUBLIC_KEY, 32, fx->public_key[id]);
		nla_put(msg, PBFT_NODE_A_ENDPOINT, sizeof(in), &in);
		nla_nest_end(msg, nest);
	}
}

/* SET with the four replicas and @clients that have raw keys. */
static int set_raw(struct fixture *fx, u32 clients)
{
	struct nl_msg *msg = pbft_nl_msg(fx->nl, PBFT_CMD_SET, NLM_F_ACK,
					 8192 + clients * 128);

	if (!msg)
		return -ENOMEM;
	nla_put_string(msg, PBFT_A_NAME, fx->name);
	put_replicas(msg, fx);
	for (u32 i = 0; i < clients; i++)
		put_raw_client(msg, 100 + i);
	return pbft_nl_transact(fx->nl, msg, NULL, NULL);
}

static int many_results(struct fixture *fx)
{
	struct nl_msg *msg = pbft_nl_msg(fx->nl, PBFT_CMD_EXECUTED, NLM_F_ACK, 8192);
	const struct pbft_nl_result none = { 0 };

	if (!msg)
		return -ENOMEM;
	nla_put_u32(msg, PBFT_A_ID, fx->id);
	nla_put_u64(msg, PBFT_A_SEQ, 1);
	for (u32 i = 0; i <= PBFT_BATCH_MAX; i++)
		nla_put(msg, PBFT_A_RESULT, sizeof(none), &none);
	return pbft_nl_transact(fx->nl, msg, NULL, NULL);
}

void test_many(struct fixture *fx)
{
	refused(fx, many_results(fx), -E2BIG, "more results than a batch has requests",
		"EXECUTED with 257 results");
	refused(fx, set_raw(fx, CLIENTS), -ENOSPC,
		"more clients than there is room for while up: bring it down first",
		"1030 clients, while up");
}

void test_raw_keys(struct fixture *fx)
{
	int err = set_raw(fx, 1);

	if (!point(!err, "a client with raw keys"))
		remark("%s", pbft_nl_error(fx->nl));
	refused(fx, pbft_nl_set_key(fx->nl, fx->name, 1), -ENOKEY,
		"node 100 has no raw key of generation 1", "SET_KEY beyond the raw keys");
}

static const struct pbft_nl_up genesis = { .genesis = true };

/* An endpoint on a link that is not there. */
void test_interface(struct fixture *fx)
{
	static struct sockaddr_in6 far[4];
	struct refusal far_links = { .cmd = PBFT_CMD_SET };
	int err;

	for (u32 i = 0; i < ARRAY_SIZE(far); i++) {
		far[i].sin6_family = AF_INET6;
		far[i].sin6_port = htons(7000);
		far[i].sin6_addr.s6_addr[0] = 0xfe;
		far[i].sin6_addr.s6_addr[1] = 0x80;
		far[i].sin6_addr.s6_addr[15] = 1 + i;
		far[i].sin6_scope_id = 9999;
		far_links.edits[i] = (struct edit)RAW(i, PBFT_NODE_A_ENDPOINT, far[i]);
	}
	err = send_refusal(fx, &far_links);
	if (!point(!err, "endpoints on a link"))
		remark("%s", pbft_nl_error(fx->nl));
	refused(fx, pbft_nl_up(fx->nl, fx->name, &genesis), -ENODEV,
		"the interface of our own endpoint does not exist", "UP without that link");
}
