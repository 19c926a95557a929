// SPDX-License-Identifier: GPL-2.0
/* What the other commands refuse, of administrators and of daemons. */
#include <errno.h>

#include "nl-refusals.h"

#define C(_what, _cmd, _err, _text, ...) \
	{ .what = _what, .cmd = PBFT_CMD_##_cmd, .err = _err, .text = _text, \
	  .edits = { __VA_ARGS__ } }

static const struct pbft_nl_head head, lived = { .seq = 7 }, odd = { .chain = { 1 } };
static const u8 digest[PBFT_DIGEST_LEN], data[100], bad_status[4] = { 9 };
static const u8 huge_result[4 + PBFT_OP_MAX + 1];

/* What is in PBFT_A_RECOVERY: numbers, each an attribute. */
#define NUMBER(_type, _v)	{ { 8, _type }, _v }
#define NESTED_RECOVERY		(PBFT_A_RECOVERY | NLA_F_NESTED)

struct number {
	struct nlattr attr;
	u32 v;
};

static const struct number done[] = { NUMBER(PBFT_RECOVERY_A_STATE, PBFT_RECOVERY_DONE) };
static const struct number stateless[] = { NUMBER(PBFT_RECOVERY_A_TOTAL, 1) };
static const struct number too_many[] = {
	NUMBER(PBFT_RECOVERY_A_STATE, PBFT_RECOVERY_DONE), NUMBER(PBFT_RECOVERY_A_TOTAL, 4),
	NUMBER(PBFT_RECOVERY_A_CHECKED, 3), NUMBER(PBFT_RECOVERY_A_DAMAGED, 2),
	NUMBER(PBFT_RECOVERY_A_REPAIRED, 3),
};

#define NOBODY(_cmd, ...) \
	C(#_cmd " of an instance that is not there", _cmd, -ENOENT, \
	  "no instance has the name 'nobody'", \
	  STR(TOP, PBFT_A_NAME, "nobody"), ##__VA_ARGS__), \
	C(#_cmd " without a name", _cmd, -EINVAL, \
	  "PBFT_A_NAME is missing: which instance", \
	  NO(TOP, PBFT_A_NAME), ##__VA_ARGS__)

const struct refusal commands[] = {
	NOBODY(GET),
	NOBODY(DEL),
	NOBODY(UP),
	NOBODY(DOWN),
	NOBODY(SET_KEY, U8(TOP, PBFT_A_KEY_ID, 1)),
	NOBODY(BIND, RAW(TOP, PBFT_A_HEAD, head)),
	NOBODY(RECOVER),
	C("SET_KEY without a generation", SET_KEY, -EINVAL,
	  "PBFT_A_KEY_ID is missing"),
	C("SET_KEY to an older generation", SET_KEY, -EINVAL,
	  "key generation 255 is older than 0: others would refuse it",
	  U8(TOP, PBFT_A_KEY_ID, 255)),
	C("an attribute that is not for the command", DEL, -EINVAL,
	  "the key generation: Unknown attribute type",
	  U8(TOP, PBFT_A_KEY_ID, 1)),
	C("BIND without a position", BIND, -EINVAL,
	  "PBFT_A_HEAD is missing: where the application stands"),
	C("BIND with a position of the wrong size", BIND, -ERANGE,
	  "the application's log position: binary attribute size out of range",
	  RAW(TOP, PBFT_A_HEAD, digest)),
	{ 0 }
};

const struct refusal commands_down[] = {
	C("DOWN while down", DOWN, -EALREADY, "the instance is down already"),
	C("BIND while down", BIND, -ENETDOWN,
	  "the instance is down: bring it up first", RAW(TOP, PBFT_A_HEAD, head)),
	C("RECOVER while down", RECOVER, -ENETDOWN,
	  "the instance is down: bring it up first"),
	{ 0 }
};

const struct refusal commands_up[] = {
	C("UP while up", UP, -EALREADY, "the instance is up already"),
	C("BIND of an application that has lived, to a new cluster", BIND, -ESTALE,
	  "the instance came up as a new cluster, but this application has lived before",
	  RAW(TOP, PBFT_A_HEAD, lived)),
	C("RECOVER without a daemon", RECOVER, -ENOTCONN,
	  "no daemon is bound to this instance: there is nobody to check the state"),
	C("BIND with a past at the beginning of the log", BIND, -EBADMSG,
	  "the application's log is not this cluster's", RAW(TOP, PBFT_A_HEAD, odd)),
	{ 0 }
};

#define ANSWER(_cmd, ...) \
	C(#_cmd " without an id", _cmd, -EINVAL, \
	  "PBFT_A_ID is missing: the instance, from BIND's reply", \
	  NO(TOP, PBFT_A_ID)), \
	C(#_cmd " without a sequence number", _cmd, -EINVAL, \
	  "PBFT_A_SEQ is missing"), \
	C(#_cmd " to no instance", _cmd, -ENOENT, "no instance has this id", \
	  U32(TOP, PBFT_A_ID, 0x7ffffff0), U64(TOP, PBFT_A_SEQ, 1), ##__VA_ARGS__), \
	C(#_cmd " by a socket that is not bound", _cmd, -ENOTCONN, \
	  "this socket is not bound to the instance", U64(TOP, PBFT_A_SEQ, 1), \
	  ##__VA_ARGS__)

const struct refusal stranger_commands[] = {
	C("a second BIND", BIND, -EBUSY,
	  "another daemon is bound to this instance", RAW(TOP, PBFT_A_HEAD, head)),
	ANSWER(EXECUTED),
	ANSWER(CHECKPOINTED, RAW(TOP, PBFT_A_DIGEST, digest)),
	ANSWER(STATE_INSTALLED, RAW(TOP, PBFT_A_DIGEST, digest)),
	ANSWER(FETCH_PROGRESS, U64(TOP, PBFT_A_FETCH_DONE, 1),
	       U64(TOP, PBFT_A_FETCH_TOTAL, 2)),
	C("RECOVER once more", RECOVER, -EALREADY, "a recovery is under way already"),
	ANSWER(RECOVERY, RAW(TOP, NESTED_RECOVERY, done)),
	C("RECOVERY without one", RECOVERY, -EINVAL, "PBFT_A_RECOVERY is missing",
	  U64(TOP, PBFT_A_SEQ, 1)),
	C("RECOVERY without a state", RECOVERY, -EINVAL,
	  "PBFT_RECOVERY_A_STATE is missing", U64(TOP, PBFT_A_SEQ, 1),
	  RAW(TOP, NESTED_RECOVERY, stateless)),
	C("RECOVERY of more than was damaged", RECOVERY, -EINVAL,
	  "3 pages repaired of 2 damaged of 3 checked of 4 cannot be",
	  U64(TOP, PBFT_A_SEQ, 1), RAW(TOP, NESTED_RECOVERY, too_many)),
	C("FETCH_PROGRESS without a total", FETCH_PROGRESS, -EINVAL,
	  "PBFT_A_FETCH_DONE and PBFT_A_FETCH_TOTAL are both needed",
	  U64(TOP, PBFT_A_SEQ, 1), U64(TOP, PBFT_A_FETCH_DONE, 1)),
	C("FETCH_PROGRESS of more than there is", FETCH_PROGRESS, -EINVAL,
	  "3 bytes of 2 cannot be here", U64(TOP, PBFT_A_SEQ, 1),
	  U64(TOP, PBFT_A_FETCH_DONE, 3), U64(TOP, PBFT_A_FETCH_TOTAL, 2)),
	C("EXECUTED with a result of a status that is none", EXECUTED, -EINVAL,
	  "9 is no status of a result", U64(TOP, PBFT_A_SEQ, 1),
	  RAW(TOP, PBFT_A_RESULT, bad_status)),
	C("EXECUTED with a huge result", EXECUTED, -EMSGSIZE,
	  "a result of 61441 bytes; 61440 is the most", U64(TOP, PBFT_A_SEQ, 1),
	  RAW(TOP, PBFT_A_RESULT, huge_result)),
	C("CHECKPOINTED without a digest", CHECKPOINTED, -EINVAL,
	  "PBFT_A_DIGEST is missing", U64(TOP, PBFT_A_SEQ, 1)),
	C("PEER_SEND without data", PEER_SEND, -EINVAL,
	  "PBFT_A_ID, PBFT_A_PEER_ID and PBFT_A_DATA are all needed",
	  U32(TOP, PBFT_A_PEER_ID, 1)),
	C("PEER_SEND to no instance", PEER_SEND, -ENOENT, "no instance has this id",
	  U32(TOP, PBFT_A_ID, 0x7ffffff0), U32(TOP, PBFT_A_PEER_ID, 1),
	  RAW(TOP, PBFT_A_DATA, data)),
	C("PEER_SEND by a socket that is not bound", PEER_SEND, -ENOTCONN,
	  "this socket is not bound to the instance",
	  U32(TOP, PBFT_A_PEER_ID, 1), RAW(TOP, PBFT_A_DATA, data)),
	{ 0 }
};

static const u8 datagram[1400];

const struct refusal daemon_commands[] = {
	C("PEER_SEND of more than a datagram", PEER_SEND, -EMSGSIZE,
	  "a datagram of 1400 bytes; 1336 is the most",
	  U32(TOP, PBFT_A_PEER_ID, 1), RAW(TOP, PBFT_A_DATA, datagram)),
	C("PEER_SEND to ourselves", PEER_SEND, -EDESTADDRREQ,
	  "0 is not another replica of the cluster",
	  U32(TOP, PBFT_A_PEER_ID, 0), RAW(TOP, PBFT_A_DATA, data)),
	C("PEER_SEND to a client", PEER_SEND, -EDESTADDRREQ,
	  "100 is not another replica of the cluster",
	  U32(TOP, PBFT_A_PEER_ID, 100), RAW(TOP, PBFT_A_DATA, data)),
	/* after this one the instance is stopped */
	C("EXECUTED of a batch that was never sent", EXECUTED, -EINVAL,
	  "not the answer that was due: the instance stops",
	  U64(TOP, PBFT_A_SEQ, 1000)),
	C("anything to an instance that has stopped", CHECKPOINTED, -ESHUTDOWN,
	  "the instance has stopped", U64(TOP, PBFT_A_SEQ, 1),
	  RAW(TOP, PBFT_A_DIGEST, digest)),
	C("RECOVER of one that has stopped", RECOVER, -ESHUTDOWN,
	  "the instance has stopped"),
	{ 0 }
};
