/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * Generic netlink family "pbft": Byzantine fault-tolerant replication.
 *
 * An instance is one replica of one cluster in one network namespace. All
 * commands need CAP_NET_ADMIN in the user namespace of the network namespace.
 * Keys go in and never come out. Every refusal carries an extack sentence.
 * Documentation/netlink/specs/pbft.yaml is the specification.
 *
 * A daemon binds to an instance with PBFT_CMD_BIND and from then on receives,
 * by unicast on the socket that bound, PBFT_CMD_APPLY, PBFT_CMD_SNAPSHOT,
 * PBFT_CMD_DISCARD, PBFT_CMD_FETCH_STATE, PBFT_CMD_PEER_RECV and
 * PBFT_CMD_REVALIDATE; it answers with PBFT_CMD_EXECUTED, PBFT_CMD_CHECKPOINTED
 * and PBFT_CMD_STATE_INSTALLED, and may tell with PBFT_CMD_FETCH_PROGRESS and
 * PBFT_CMD_RECOVERY how far it is. The binding ends with the socket, or when the
 * instance goes down; the socket's next receive then reports ENETDOWN.
 */
#ifndef _UAPI_LINUX_PBFT_H
#define _UAPI_LINUX_PBFT_H

#include <linux/types.h>

#define PBFT_GENL_NAME		"pbft"
#define PBFT_GENL_VERSION	1
#define PBFT_GENL_MCGRP_EVENTS	"events"

#define PBFT_NAME_MAX		31	/* bytes of an instance's name, without NUL */
#define PBFT_PUBKEY_SIZE	32	/* Curve25519 */
#define PBFT_PAIR_KEY_SIZE	32	/* raw pairwise MAC key */
/* ns; of PBFT_A_RECOVERY_INTERVAL when it is not 0 */
#define PBFT_RECOVERY_MIN	1000000000ULL
#define PBFT_RECOVERY_MAX	(366 * 86400 * 1000000000ULL)

enum pbft_cmd {
	PBFT_CMD_UNSPEC,
	/* administration */
	PBFT_CMD_SET,		/* create or reconfigure: wholly or not at all */
	PBFT_CMD_GET,		/* one, or dump all */
	PBFT_CMD_DEL,
	PBFT_CMD_UP,		/* take part; PBFT_A_GENESIS: in a new cluster; PBFT_A_JOURNAL_FD */
	PBFT_CMD_DOWN,
	PBFT_CMD_SET_KEY,	/* PBFT_A_KEY_ID: our MACs use this key generation from now */
	/* daemon to kernel */
	PBFT_CMD_BIND,		/* PBFT_A_HEAD: where the application stands */
	PBFT_CMD_EXECUTED,	/* PBFT_A_SEQ, PBFT_A_RESULT... */
	PBFT_CMD_CHECKPOINTED,	/* PBFT_A_SEQ, PBFT_A_DIGEST */
	PBFT_CMD_STATE_INSTALLED,	/* PBFT_A_SEQ, PBFT_A_DIGEST */
	PBFT_CMD_PEER_SEND,	/* PBFT_A_PEER_ID, PBFT_A_DATA */
	/* kernel to daemon */
	PBFT_CMD_APPLY,		/* PBFT_A_HEAD (including this batch), PBFT_A_REQUEST... */
	PBFT_CMD_SNAPSHOT,	/* PBFT_A_SEQ */
	PBFT_CMD_DISCARD,	/* PBFT_A_SEQ */
	PBFT_CMD_FETCH_STATE,	/* PBFT_A_HEAD, PBFT_A_DIGEST, PBFT_A_PEERS */
	PBFT_CMD_PEER_RECV,	/* PBFT_A_PEER_ID, PBFT_A_DATA */
	/* multicast */
	PBFT_CMD_EVENT,		/* PBFT_A_EVENT and the instance's status */
	/* daemon to kernel, for GET to show: PBFT_A_SEQ, PBFT_A_FETCH_DONE, PBFT_A_FETCH_TOTAL */
	PBFT_CMD_FETCH_PROGRESS,
	/* administration: the daemon is to take new keys and to check its state */
	PBFT_CMD_RECOVER,
	/* kernel to daemon: what RECOVER says */
	PBFT_CMD_REVALIDATE,
	/* daemon to kernel, for GET to show: PBFT_A_SEQ, PBFT_A_RECOVERY */
	PBFT_CMD_RECOVERY,

	__PBFT_CMD_MAX,
	PBFT_CMD_MAX = __PBFT_CMD_MAX - 1
};

enum pbft_attr {
	PBFT_A_UNSPEC,
	PBFT_A_PAD,
	PBFT_A_NAME,		/* string: the instance, unique in its namespace */
	PBFT_A_ID,		/* u32: the instance in daemon messages, from BIND's reply */

	/* configuration: PBFT_CMD_SET, and reported by GET */
	PBFT_A_CLUSTER,		/* u64 */
	PBFT_A_EPOCH,		/* u32 */
	PBFT_A_FAULTS,		/* u32: f */
	PBFT_A_SELF,		/* u32: our replica id */
	PBFT_A_PRIVATE_KEY,	/* 32 bytes; write-only */
	PBFT_A_PUBLIC_KEY,	/* 32 bytes: of PBFT_A_PRIVATE_KEY; GET only */
	PBFT_A_MAC,		/* string: "siphash128" (default), or a crypto API name */
	PBFT_A_MTU,		/* u32: bytes of UDP payload */
	PBFT_A_CHECKPOINT_INTERVAL,	/* u32: K */
	PBFT_A_WINDOW,		/* u32: L */
	PBFT_A_PIPELINE,	/* u32: batches in flight */
	PBFT_A_BATCH_MAX,	/* u32: requests */
	PBFT_A_BATCH_BYTES,	/* u32 */
	PBFT_A_INLINE_MAX,	/* u32: bytes */
	PBFT_A_TIMEOUT,		/* u64 ns: first request and view-change timeout */
	PBFT_A_TIMEOUT_MAX,	/* u64 ns */
	PBFT_A_STATUS_INTERVAL,	/* u64 ns */
	PBFT_A_HEARTBEAT,	/* u64 ns */
	PBFT_A_CLOCK_SKEW,	/* u64 ns; 0: any */
	/* Of these two all, or none: then they stay as they are. */
	PBFT_A_REPLICA,		/* nested, repeated: PBFT_NODE_A_*; ids 0..n-1, each once */
	PBFT_A_CLIENT,		/* nested, repeated: PBFT_NODE_A_* */
	PBFT_A_SERVICE,		/* u32: enum pbft_service */
	PBFT_A_NULL_REPLY,	/* u32: bytes of the null service's results */
	PBFT_A_GENESIS,		/* flag, UP: this cluster has never run before */

	/* status: GET, EVENT */
	PBFT_A_STATE,		/* u32: enum pbft_state */
	PBFT_A_REASON,		/* string: why stopped */
	PBFT_A_VIEW,		/* u64 */
	PBFT_A_PRIMARY,		/* u32 */
	PBFT_A_FLAGS,		/* u32: PBFT_F_* */
	PBFT_A_STABLE,		/* u64: h */
	PBFT_A_COMMITTED,	/* u64: last, contiguous */
	PBFT_A_HEAD,		/* struct pbft_nl_head: executed, with time and log chain */
	PBFT_A_CHECKPOINT,	/* u64: own latest checkpoint */
	PBFT_A_CHECKPOINT_DIGEST,	/* 32 bytes: its application state digest */
	PBFT_A_FETCH_TARGET,	/* u64 */
	PBFT_A_RECOVER_POINT,	/* u64 */
	PBFT_A_RECOVER_VIEW,	/* u64 */
	PBFT_A_PENDING,		/* u32: requests waiting */
	PBFT_A_MEMORY,		/* u64: bytes of requests and batches held */
	PBFT_A_COUNTER,		/* nested, repeated: PBFT_COUNTER_A_* */
	PBFT_A_EVENT,		/* u32: enum pbft_nl_event */
	PBFT_A_KEY_ID,		/* u8: generation of our own keys; SET, SET_KEY, and status */

	/* daemon */
	PBFT_A_SEQ,		/* u64 */
	PBFT_A_DIGEST,		/* 32 bytes */
	PBFT_A_REQUEST,		/* struct pbft_nl_request and the operation; repeated */
	PBFT_A_RESULT,		/* struct pbft_nl_result and the result; repeated */
	PBFT_A_PEERS,		/* u64: set of replica ids */
	PBFT_A_PEER_ID,		/* u32 */
	PBFT_A_DATA,		/* bytes of one daemon datagram */
	PBFT_A_PEER_MTU,	/* u32: most bytes of PBFT_A_DATA; in BIND's reply */

	/* journal */
	PBFT_A_JOURNAL_FD,	/* u32, UP: a descriptor of the caller's, O_RDWR */
	PBFT_A_JOURNAL_MODE,	/* u32, UP: enum pbft_journal_mode; with a descriptor sync */
	PBFT_A_JOURNAL,		/* nested, GET of what is up: PBFT_JOURNAL_A_* */

	/* status while fetching, if the daemon has told: bytes of PBFT_A_FETCH_TARGET's state */
	PBFT_A_FETCH_DONE,	/* u64: ... that are here */
	PBFT_A_FETCH_TOTAL,	/* u64 */

	/* recovery */
	PBFT_A_RECOVERY_INTERVAL,	/* u64 ns, configuration: each replica once; 0: none */
	PBFT_A_RECOVERY,	/* nested, status of the last one: PBFT_RECOVERY_A_* */

	__PBFT_A_MAX,
	PBFT_A_MAX = __PBFT_A_MAX - 1
};

enum pbft_node_attr {
	PBFT_NODE_A_UNSPEC,
	PBFT_NODE_A_ID,		/* u32 */
	PBFT_NODE_A_PUBLIC_KEY,	/* 32 bytes */
	/* struct sockaddr_in or sockaddr_in6; of replicas; our own: where we listen */
	PBFT_NODE_A_ENDPOINT,
	/* raw key for what we send it, instead of the public key; write-only */
	PBFT_NODE_A_KEY_TX,
	PBFT_NODE_A_KEY_RX,	/* raw key for what it sends us; write-only */
	PBFT_NODE_A_COUNTER,	/* nested, repeated: per-peer counters; GET only */
	PBFT_NODE_A_KEY_ID,	/* u8: generation of the raw keys given, default 0 */

	__PBFT_NODE_A_MAX,
	PBFT_NODE_A_MAX = __PBFT_NODE_A_MAX - 1
};

enum pbft_counter_attr {
	PBFT_COUNTER_A_UNSPEC,
	PBFT_COUNTER_A_PAD,
	PBFT_COUNTER_A_NAME,	/* string */
	PBFT_COUNTER_A_VALUE,	/* u64 */

	__PBFT_COUNTER_A_MAX,
	PBFT_COUNTER_A_MAX = __PBFT_COUNTER_A_MAX - 1
};

enum pbft_journal_attr {
	PBFT_JOURNAL_A_UNSPEC,
	PBFT_JOURNAL_A_PAD,
	PBFT_JOURNAL_A_MODE,	/* u32: enum pbft_journal_mode; alone if none */
	PBFT_JOURNAL_A_FLAGS,	/* u32: PBFT_JF_* */
	PBFT_JOURNAL_A_SIZE,	/* u64: bytes of the ring */
	PBFT_JOURNAL_A_USED,	/* u64: ... that are needed still */
	PBFT_JOURNAL_A_RECORDS,	/* u64: written since up */
	PBFT_JOURNAL_A_FRAMES,	/* u64: writes that brought them */
	PBFT_JOURNAL_A_SYNCS,	/* u64 */
	PBFT_JOURNAL_A_BYTES,	/* u64 */
	PBFT_JOURNAL_A_COMPACTIONS,	/* u64 */
	PBFT_JOURNAL_A_REPLAYED,	/* u64: records found when it came up */

	__PBFT_JOURNAL_A_MAX,
	PBFT_JOURNAL_A_MAX = __PBFT_JOURNAL_A_MAX - 1
};

enum pbft_recovery_attr {
	PBFT_RECOVERY_A_UNSPEC,
	PBFT_RECOVERY_A_PAD,
	PBFT_RECOVERY_A_STATE,	/* u32: enum pbft_recovery_state */
	PBFT_RECOVERY_A_SCHEDULED,	/* flag: nobody asked for it but the schedule */
	PBFT_RECOVERY_A_SEQ,	/* u64: the checkpoint it has come to; status only */
	PBFT_RECOVERY_A_TOTAL,	/* u32: pages of the state */
	PBFT_RECOVERY_A_CHECKED,	/* u32: ... that were checked */
	PBFT_RECOVERY_A_DAMAGED,	/* u32: ... of these, that were not as they should be */
	PBFT_RECOVERY_A_REPAIRED,	/* u32: ... of these, that are again */
	PBFT_RECOVERY_A_ENDED,	/* u64: ns since the epoch; status only */

	__PBFT_RECOVERY_A_MAX,
	PBFT_RECOVERY_A_MAX = __PBFT_RECOVERY_A_MAX - 1
};

enum pbft_recovery_state {
	PBFT_RECOVERY_NONE,	/* since the instance exists */
	PBFT_RECOVERY_RUNNING,
	PBFT_RECOVERY_DONE,	/* to the end, whatever it found */
	PBFT_RECOVERY_GIVEN_UP,	/* its slot ended, or the daemon went */
};

enum pbft_journal_mode {
	PBFT_JOURNAL_NONE,	/* a restarted replica has forgotten */
	PBFT_JOURNAL_ASYNC,	/* ... if it crashed, not if it was brought down */
	PBFT_JOURNAL_SYNC,	/* ... never */
};

#define PBFT_JF_TORN	(1U << 0)	/* had an unfinished end when it came up */
#define PBFT_JF_DAMAGED	(1U << 1)	/* had lost records when it came up, and began anew */
#define PBFT_JF_FAILED	(1U << 2)	/* could not be written: the instance has stopped */

enum pbft_service {
	PBFT_SERVICE_DAEMON,	/* an application binds by netlink */
	PBFT_SERVICE_NULL,	/* results of a fixed size, in the kernel; for measuring */
};

enum pbft_state {
	PBFT_STATE_DOWN,
	PBFT_STATE_UP,
	PBFT_STATE_STOPPED,	/* stopped itself; PBFT_A_REASON says why */
};

#define PBFT_F_PENDING		(1U << 0)	/* between VIEW-CHANGE and NEW-VIEW */
#define PBFT_F_MUTE		(1U << 1)	/* recovering, does not vote */
#define PBFT_F_BOUND		(1U << 2)	/* a daemon is bound */
#define PBFT_F_FETCHING		(1U << 3)	/* state transfer under way */
#define PBFT_F_GENESIS		(1U << 4)

enum pbft_nl_event {
	PBFT_NL_EV_SNAPSHOT,	/* the state now, sent by whoever subscribes: see GET */
	PBFT_NL_EV_VIEW_CHANGE,
	PBFT_NL_EV_NEW_VIEW,
	PBFT_NL_EV_STABLE,
	PBFT_NL_EV_QUORUM_LOST,
	PBFT_NL_EV_BEHIND,
	PBFT_NL_EV_SYNCED,
	PBFT_NL_EV_RECOVERED,
	PBFT_NL_EV_EVIDENCE,
	PBFT_NL_EV_STOPPED,
	PBFT_NL_EV_CREATED,
	PBFT_NL_EV_DELETED,
	PBFT_NL_EV_UP,
	PBFT_NL_EV_DOWN,
	PBFT_NL_EV_BOUND,
	PBFT_NL_EV_UNBOUND,
	PBFT_NL_EV_RECOVERY_BEGUN,
	PBFT_NL_EV_RECOVERY_ENDED,
};

/* A position in the log. chain_0 is all zero. */
struct pbft_nl_head {
	__u64 seq;
	__u64 time;		/* agreed time, ns since the epoch */
	__u8 chain[32];
};

struct pbft_nl_request {
	__u32 client;
	__u32 flags;
	__u64 session;
	__u64 t;
	__u8 op[];
};

struct pbft_nl_result {
	__u32 status;		/* 0: executed; see Documentation/wire-format.rst */
	__u8 data[];
};

#endif /* _UAPI_LINUX_PBFT_H */
