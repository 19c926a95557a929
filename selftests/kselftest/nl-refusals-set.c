// SPDX-License-Identifier: GPL-2.0
/* What PBFT_CMD_SET refuses: of a new instance, one that is down, one that is up. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>

#include "nl-refusals.h"

#define R(_what, _err, _text, ...) \
	{ .what = _what, .cmd = PBFT_CMD_SET, .err = _err, .text = _text, \
	  .edits = { __VA_ARGS__ } }

static const u8 zero_key[32], some_key[32] = { 9 }, short_key[31] = { 9 };

static const struct sockaddr_in no_port = {
	.sin_family = AF_INET,
	.sin_addr.s_addr = 0x0100007f,
};

static const struct sockaddr_in multicast = {
	.sin_family = AF_INET,
	.sin_port = 0x581b,
	.sin_addr.s_addr = 0x010000e0,
};

static const struct sockaddr_in other_family = {
	.sin_family = AF_UNIX,
	.sin_port = 0x581b,
};

static const struct sockaddr_in replica1 = {	/* 127.0.0.2:7000, as in the fixture */
	.sin_family = AF_INET,
	.sin_port = 0x581b,
	.sin_addr.s_addr = 0x0200007f,
};

static const struct sockaddr_in6 six = {
	.sin6_family = AF_INET6,
	.sin6_port = 0x581b,
	.sin6_addr = { { { 0xfd, [15] = 1 } } },
};

static const u8 long_address[20] = { 2 };

const struct refusal set_new[] = {
	R("no name", -EINVAL,
	  "the name must be 1 to 31 printable characters without '/'",
	  NO(TOP, PBFT_A_NAME)),
	R("an empty name", -EINVAL,
	  "the name must be 1 to 31 printable characters without '/'",
	  STR(TOP, PBFT_A_NAME, "")),
	R("a name with a slash", -EINVAL,
	  "the name must be 1 to 31 printable characters without '/'",
	  STR(TOP, PBFT_A_NAME, "a/b")),
	R("a name with a blank", -EINVAL,
	  "the name must be 1 to 31 printable characters without '/'",
	  STR(TOP, PBFT_A_NAME, "a b")),
	R("a name of 32 bytes", -EINVAL, "the name: Attribute failed policy validation",
	  STR(TOP, PBFT_A_NAME, "abcdefghijklmnopqrstuvwxyzabcdef")),
	R("no replicas", -EINVAL, "a new instance needs its replicas",
	  NO(TOP, PBFT_A_REPLICA)),
	R("cluster id 0", -EINVAL, "the cluster id must not be 0",
	  U64(TOP, PBFT_A_CLUSTER, 0)),
	R("two faults of four replicas", -EINVAL,
	  "faults must be at least 1, and replicas at least 3 * faults + 1",
	  U32(TOP, PBFT_A_FAULTS, 2)),
	R("self out of range", -EINVAL,
	  "our own replica id must be one of the cluster's",
	  U32(TOP, PBFT_A_SELF, 4)),
	R("checkpoint interval 0", -EINVAL,
	  "the checkpoint interval must be from 1 to 1024",
	  U32(TOP, PBFT_A_CHECKPOINT_INTERVAL, 0)),
	R("a window that is no multiple", -EINVAL,
	  "the window must be a multiple of the checkpoint interval, 2 to 32 times it, at most 1024",
	  U32(TOP, PBFT_A_WINDOW, 100)),
	R("pipeline 0", -EINVAL, "the pipeline must be from 1 to the window",
	  U32(TOP, PBFT_A_PIPELINE, 0)),
	R("257 requests in a batch", -EINVAL,
	  "the batch limit must be from 1 to 256 requests",
	  U32(TOP, PBFT_A_BATCH_MAX, 257)),
	R("tiny batches", -EINVAL, "the batch size must be from 1024 to 262144 bytes",
	  U32(TOP, PBFT_A_BATCH_BYTES, 1023)),
	R("an inline limit above half a batch", -EINVAL,
	  "the inline limit must be at most half the batch size",
	  U32(TOP, PBFT_A_INLINE_MAX, 20000)),
	R("timeout 0", -EINVAL, "the timeout must be from 1 ms to 1 h",
	  U64(TOP, PBFT_A_TIMEOUT, 0)),
	R("a largest timeout below the first", -EINVAL,
	  "the largest timeout must be from the first timeout to 24 h",
	  U64(TOP, PBFT_A_TIMEOUT_MAX, 1)),
	R("status interval 0", -EINVAL,
	  "the status interval must be from 1 ms to 60 s",
	  U64(TOP, PBFT_A_STATUS_INTERVAL, 0)),
	R("heartbeat 0", -EINVAL, "the heartbeat must be from 1 ms to 10 min",
	  U64(TOP, PBFT_A_HEARTBEAT, 0)),
	R("a clock skew of ages", -EINVAL, "the clock skew must be at most a year",
	  U64(TOP, PBFT_A_CLOCK_SKEW, ~0ull)),
	R("a recovery interval of less than a second", -EINVAL,
	  "the recovery interval must be 0 or from 1 s to 366 days",
	  U64(TOP, PBFT_A_RECOVERY_INTERVAL, 999999999)),
	R("a recovery interval of ages", -EINVAL,
	  "the recovery interval must be 0 or from 1 s to 366 days",
	  U64(TOP, PBFT_A_RECOVERY_INTERVAL, ~0ull)),
	R("an MTU of 1023", -EINVAL, "the MTU must be from 1024 to 65000 bytes",
	  U32(TOP, PBFT_A_MTU, 1023)),
	R("an MTU of 65001", -EINVAL, "the MTU must be from 1024 to 65000 bytes",
	  U32(TOP, PBFT_A_MTU, 65001)),
	R("an unknown service", -EINVAL, "2 is no service",
	  U32(TOP, PBFT_A_SERVICE, 2)),
	R("a huge null reply", -EINVAL,
	  "the null service's reply must be at most 61440 bytes",
	  U32(TOP, PBFT_A_NULL_REPLY, 61441)),
	R("a MAC that is none", -EINVAL,
	  "the MAC must be siphash128, hmac(...), cmac(...) or blake2...",
	  STR(TOP, PBFT_A_MAC, "sha256")),
	R("a MAC the kernel does not know", -EINVAL,
	  "this kernel cannot make MACs by the algorithm of that name",
	  STR(TOP, PBFT_A_MAC, "hmac(nothing)")),
	R("a number of the wrong size", -EINVAL,
	  "Epoch: invalid attribute length",
	  U64(TOP, PBFT_A_EPOCH, 1)),
	R("a private key of 31 bytes", -ERANGE,
	  "the private key: binary attribute size out of range",
	  RAW(TOP, PBFT_A_PRIVATE_KEY, short_key)),
	R("the key of another replica", -EKEYREJECTED,
	  "the private key is not that of replica 0",
	  RAW(TOP, PBFT_A_PRIVATE_KEY, some_key)),
	R("public keys without a private key", -ENOKEY,
	  "replica 0 has a public key, but we have no private key",
	  NO(TOP, PBFT_A_PRIVATE_KEY)),

	R("a replica without an id", -EINVAL, "a replica without an id",
	  NO(2, PBFT_NODE_A_ID)),
	R("a replica id out of range", -ERANGE,
	  "replica 4: 4 replicas have the ids 0 to 3",
	  U32(3, PBFT_NODE_A_ID, 4)),
	R("a replica that is there twice", -EEXIST, "replica 1 is there twice",
	  U32(3, PBFT_NODE_A_ID, 1)),
	R("ourselves twice", -EEXIST, "replica 0 is there twice",
	  U32(3, PBFT_NODE_A_ID, 0), NO(3, PBFT_NODE_A_PUBLIC_KEY)),
	R("a replica without a key", -ENOKEY, "replica 2 has no key",
	  NO(2, PBFT_NODE_A_PUBLIC_KEY)),
	R("a public key of low order", -EKEYREJECTED,
	  "replica 2: the public key is not usable",
	  RAW(2, PBFT_NODE_A_PUBLIC_KEY, zero_key)),
	R("one raw key", -EINVAL,
	  "replica 2: raw keys go in pairs, one for each direction",
	  NO(2, PBFT_NODE_A_PUBLIC_KEY), RAW(2, PBFT_NODE_A_KEY_TX, some_key)),
	R("raw keys and a public key", -EINVAL,
	  "replica 2: a public key or raw keys, not both",
	  RAW(2, PBFT_NODE_A_KEY_TX, some_key), RAW(2, PBFT_NODE_A_KEY_RX, some_key)),
	R("a replica without an endpoint", -EINVAL, "replica 2 has no endpoint",
	  NO(2, PBFT_NODE_A_ENDPOINT)),
	R("an endpoint of no known family", -EINVAL,
	  "replica 2: the endpoint is no IPv4 or IPv6 address with a port",
	  RAW(2, PBFT_NODE_A_ENDPOINT, other_family)),
	R("an endpoint of no known length", -EINVAL,
	  "replica 2: the endpoint is no IPv4 or IPv6 address with a port",
	  RAW(2, PBFT_NODE_A_ENDPOINT, long_address)),
	R("an endpoint without a port", -EINVAL,
	  "replica 2: the endpoint is no IPv4 or IPv6 address with a port",
	  RAW(2, PBFT_NODE_A_ENDPOINT, no_port)),
	R("a multicast endpoint", -EINVAL,
	  "replica 2: the endpoint is no unicast address",
	  RAW(2, PBFT_NODE_A_ENDPOINT, multicast)),
	R("an endpoint that is another's", -EINVAL,
	  "replicas 1 and 2 have the same endpoint",
	  RAW(2, PBFT_NODE_A_ENDPOINT, replica1)),
	R("an endpoint of another family", -EAFNOSUPPORT,
	  "replica 2: all endpoints must be of our own address family",
	  RAW(2, PBFT_NODE_A_ENDPOINT, six)),
	R("a client id below 64", -ERANGE,
	  "client 63: clients' ids are 64 to 2147483647",
	  U32(CLIENT, PBFT_NODE_A_ID, 63)),
	R("a client id above 31 bits", -ERANGE,
	  "client 2147483648: clients' ids are 64 to 2147483647",
	  U32(CLIENT, PBFT_NODE_A_ID, 0x80000000)),
	R("a client with an endpoint", -EINVAL,
	  "client 100: its address comes from its HELLO only",
	  RAW(CLIENT, PBFT_NODE_A_ENDPOINT, replica1)),
	R("a client without a key", -ENOKEY, "client 100 has no key",
	  NO(CLIENT, PBFT_NODE_A_PUBLIC_KEY)),
	R("a client's key of low order", -EKEYREJECTED,
	  "client 100: the public key is not usable",
	  RAW(CLIENT, PBFT_NODE_A_PUBLIC_KEY, zero_key)),
	{ 0 }
};

const struct refusal set_down[] = {
	R("the epoch without the nodes", -EINVAL,
	  "what keys depend on changes: give all nodes again",
	  U32(TOP, PBFT_A_EPOCH, 5), NO(TOP, PBFT_A_REPLICA), NO(TOP, PBFT_A_CLIENT)),
	R("clients without the replicas", -EINVAL,
	  "the number of replicas must be from 4 to 64", NO(TOP, PBFT_A_REPLICA)),
	R("another private key alone", -EINVAL,
	  "what keys depend on changes: give all nodes again",
	  RAW(TOP, PBFT_A_PRIVATE_KEY, some_key),
	  NO(TOP, PBFT_A_REPLICA), NO(TOP, PBFT_A_CLIENT)),
	{ 0 }
};

const struct refusal set_up[] = {
	R("the window, while up", -EBUSY,
	  "the window cannot change while up: bring it down first",
	  U32(TOP, PBFT_A_WINDOW, 512)),
	R("the MTU, while up", -EBUSY,
	  "the MTU cannot change while up: bring it down first",
	  U32(TOP, PBFT_A_MTU, 1500)),
	R("the timeout, while up", -EBUSY,
	  "the timeout cannot change while up: bring it down first",
	  U64(TOP, PBFT_A_TIMEOUT, 123456789)),
	R("our own endpoint, while up", -EBUSY,
	  "our own endpoint cannot change while up: bring it down first",
	  RAW(0, PBFT_NODE_A_ENDPOINT, ((const struct sockaddr_in[]){ {
		.sin_family = AF_INET, .sin_port = 0x591b,
		.sin_addr.s_addr = 0x0100007f } }))),
	R("a replica's key, while up", -EBUSY,
	  "replica 2: its keys cannot change while up: bring it down first",
	  RAW(2, PBFT_NODE_A_PUBLIC_KEY, some_key)),
	{ 0 }
};
