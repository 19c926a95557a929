/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenarios: a cluster in the simulator whose every packet waits for a word.
 * runner.c reads the files and compares, world.c keeps packets and transcript,
 * commands.c knows the commands, traffic.c those about packets, faults.c those
 * about what breaks, until.c runs to a condition, forge.c makes a liar's messages, simulate.c runs a
 * seed of the simulator.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "../sim/ghost.h"

#define WAITING_MAX	20000
#define OUTPUT_MAX	(256 * 1024)
#define NAMES_MAX	200
#define RULES_MAX	16
#define OLD_MAX		4000

struct waiting {
	u32 from, to;
	struct pbft_buf *buf;
};

/* Words of one line: [FROM->TO] [TYPE] [view=] [seq=] */
struct rule {
	char text[200];
	char *args[8];
	u32 count;
};

struct rules {
	struct rule rule[RULES_MAX];
	u32 count;
};

struct scenario {
	struct sim *sim;	/* first: the hooks find us by it */
	struct waiting waiting[WAITING_MAX];
	u32 count;
	u64 isolated;		/* nothing to or from these replicas */
	u64 silent;		/* what their cores want to say is not sent */
	struct rules held;	/* waits until it is delivered by name */
	struct rules lost;	/* never arrives */
	struct waiting old[OLD_MAX];	/* delivered before, for replay */
	u32 old_count;
	u64 stalled[PBFT_N_MAX];	/* daemons that get no state from this one */
	u64 spoiled[SIM_CLIENTS_MAX];	/* replicas at which its MACs do not hold */
	bool show_status;	/* STATUS messages in the transcript */
	char shown[200];	/* lines with one of these words only; empty: all */
	bool once;		/* equal lines of one command once only */
	u64 lines[2000];	/* hashes of those of this command */
	u32 line_count;
	char awaited[32];	/* a word; seen: a line had it */
	bool seen;
	struct pbft_digest forged;	/* of the last VIEW-CHANGE that a liar made up */
	u32 forging;		/* replica whose forged message goes out, + 1 */
	char *out;
	size_t out_len;
	/* one line held back, to be merged with the next */
	char held_from[16], held_to[256], held_text[256];
	struct {
		char hex[9], name[16];
	} names[NAMES_MAX];
	u32 name_count;
};

extern struct scenario scene;

/* world.c */
bool scene_packet(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf);
void scene_line(struct sim *sim, const char *line);
void scene_flush(void);
void scene_print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void scene_start(const struct sim_plan *plan);
void scene_end(void);
void scene_run(u64 ns);
void scene_deliver(u32 index);
void scene_drop(u32 index);
const char *scene_digest(const struct pbft_digest *d);
bool scene_has_words(const char *line, const char *words);
bool scene_wanted(const struct waiting *w, char **args, u32 count);
bool scene_held(const struct waiting *w);
void scene_cut_daemons(void);

/* commands.c. Return: NULL, or what is wrong with the line. */
const char *scene_command(char *line);

/* traffic.c */
const char *cmd_deliver(char **args, u32 count);
const char *cmd_drop(char **args, u32 count);
const char *cmd_waiting(char **args, u32 count);
const char *cmd_hold(char **args, u32 count);
const char *cmd_lose(char **args, u32 count);
const char *cmd_replay(char **args, u32 count);
const char *cmd_show(char **args, u32 count);
const char *cmd_isolate(char **args, u32 count);
const char *cmd_silence(char **args, u32 count);

/* faults.c */
const char *cmd_crash(char **args, u32 count);
const char *cmd_restart(char **args, u32 count);
const char *cmd_daemon(char **args, u32 count);
const char *cmd_pause(char **args, u32 count);
const char *cmd_stall(char **args, u32 count);
const char *cmd_spoil(char **args, u32 count);
const char *cmd_corrupt(char **args, u32 count);

/* simulate.c */
const char *cmd_simulate(char **args, u32 count);

/* until.c */
const char *cmd_until(char **args, u32 count);

/* forge.c */
const char *scene_forge(u32 from, u64 to, const char *type, char **args, u32 count);

/* Helpers of parsing, commands.c */
const char *arg_value(char **args, u32 count, const char *name);
u64 arg_number(char **args, u32 count, const char *name, u64 otherwise);
bool arg_flag(char **args, u32 count, const char *name);
bool parse_replicas(const char *s, u64 *set);
bool parse_client(const char *s, u32 *index);
bool parse_time(const char *s, u64 *ns);
bool parse_digest(const char *s, struct pbft_digest *d);

#endif /* SCENARIO_H */
