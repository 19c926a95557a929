/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Scenarios: a cluster in the simulator whose every packet waits for a word.
 * runner.c reads the files and compares, world.c keeps packets and transcript,
 * commands.c knows the commands, forge.c makes a liar's messages.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#include "../sim/ghost.h"

#define WAITING_MAX	20000
#define OUTPUT_MAX	(256 * 1024)
#define NAMES_MAX	200

struct waiting {
	u32 from, to;
	struct pbft_buf *buf;
};

struct scenario {
	struct sim *sim;	/* first: the hooks find us by it */
	struct waiting waiting[WAITING_MAX];
	u32 count;
	u64 isolated;		/* nothing to or from these replicas */
	u64 silent;		/* what their cores want to say is not sent */
	bool show_status;	/* STATUS messages in the transcript */
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

/* commands.c. Return: NULL, or what is wrong with the line. */
const char *scene_command(char *line);

/* forge.c */
const char *scene_forge(u32 from, u64 to, const char *type, char **args, u32 count);

/* Helpers of parsing, commands.c */
const char *arg_value(char **args, u32 count, const char *name);
u64 arg_number(char **args, u32 count, const char *name, u64 otherwise);
bool parse_replicas(const char *s, u64 *set);
bool parse_digest(const char *s, struct pbft_digest *d);

#endif /* SCENARIO_H */
