/* SPDX-License-Identifier: GPL-2.0 */
/* Messages that the kernel must refuse: how they are described and sent. */
#ifndef PBFT_NL_REFUSALS_H
#define PBFT_NL_REFUSALS_H

#include "libpbft/nl_priv.h"
#include "nl-spec.h"

#define TOP		-1	/* an edit of the message's own attributes */
#define CLIENT		4	/* entries 0 to 3 are the replicas, 4 the client */
#define EDITS_MAX	4

enum edit_op {
	KEEP,
	OMIT,
	SET,			/* instead of what would stand there, or besides */
};

/* One departure from a message that would be accepted. */
struct edit {
	int entry;
	int attr;
	enum edit_op op;
	const void *data;
	size_t len;
};

#define NO(entry, attr)		{ entry, attr, OMIT, NULL, 0 }
#define U8(entry, attr, v)	{ entry, attr, SET, (const u8[]){ v }, 1 }
#define U32(entry, attr, v)	{ entry, attr, SET, (const u32[]){ v }, 4 }
#define U64(entry, attr, v)	{ entry, attr, SET, (const u64[]){ v }, 8 }
#define STR(entry, attr, v)	{ entry, attr, SET, v, sizeof(v) }
#define RAW(entry, attr, v)	{ entry, attr, SET, &(v), sizeof(v) }

struct refusal {
	const char *what;
	u8 cmd;
	int err;
	const char *text;
	struct edit edits[EDITS_MAX];
};

/* The four replicas and one client that every message starts from. */
struct fixture {
	struct pbft_nl *nl;
	u8 private_key[5][32], public_key[5][32];
	const char *name;	/* the instance that messages are about */
	u32 id;			/* for the daemon's messages */
};

/* Send @r's message. Return the kernel's error; its words by pbft_nl_error(). */
int send_refusal(struct fixture *fx, const struct refusal *r);

/* Some are more than an edit; @fx->name is up. */
void test_many(struct fixture *fx);
/* ... and these need it down, and leave it so. */
void test_raw_keys(struct fixture *fx);
void test_interface(struct fixture *fx);
/* nl-refusals-journal.c: with instances of its own */
void test_journal(struct fixture *fx);

/* ---- nl-refusals-texts.c: is there a sentence of the source that never came? --- */

struct extack_text {
	const char *where, *format;
};

extern const struct extack_text extack_texts[];	/* made from the source; ended by NULL */

void note_refusal(const char *text);
void test_all_texts(void);

/* ---- nl-refusals.c: TAP, of which there is one count ------------------------- */

bool point(bool good, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void remark(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ---- nl-refusals-set.c, nl-refusals-cmd.c: tables, ended by an empty one --- */

extern const struct refusal set_new[], set_down[], set_up[];
extern const struct refusal commands[], commands_down[], commands_up[];
/* By a socket that is not bound, and by the one that is. */
extern const struct refusal stranger_commands[], daemon_commands[];

#endif /* PBFT_NL_REFUSALS_H */
