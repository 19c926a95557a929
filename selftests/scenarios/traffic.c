// SPDX-License-Identifier: GPL-2.0
/* Commands about packets: which arrive and when, which never do, what is shown. */
#include <stdio.h>
#include <stdlib.h>
#include "scenario.h"

/* "r1", "c0", "*" for any */
static bool end_matches(const char *s, u32 end)
{
	char name[16];

	if (!strcmp(s, "*"))
		return true;
	snprintf(name, sizeof(name), "%s", trace_end(end));
	while (*s) {
		size_t len = strcspn(s, ",");

		if (strlen(name) == len && !strncmp(s, name, len))
			return true;
		s += len + (s[len] == ',');
	}
	return false;
}

/* FROM->TO [TYPE] [seq=N] [view=N] */
bool scene_wanted(const struct waiting *w, char **args, u32 count)
{
	const struct pbft_hdr *h = (const void *)w->buf->data;
	u32 i;

	for (i = 0; i < count; i++) {
		char from[64], to[64], *arrow = strstr(args[i], "->");

		if (arrow) {
			snprintf(from, sizeof(from), "%.*s", (int)(arrow - args[i]), args[i]);
			snprintf(to, sizeof(to), "%s", arrow + 2);
			if (!end_matches(from, w->from) || !end_matches(to, w->to))
				return false;
		} else if (!strncmp(args[i], "seq=", 4)) {
			if (le64_to_cpu(h->seq) != strtoull(args[i] + 4, NULL, 0))
				return false;
		} else if (!strncmp(args[i], "view=", 5)) {
			if (le64_to_cpu(h->view) != strtoull(args[i] + 5, NULL, 0))
				return false;
		} else if (strcmp(args[i], "all") &&
			   strcmp(args[i], pbft_type_name(h->type))) {
			return false;
		}
	}
	return true;
}

/* What waits now and matches; with "all", also what that brings about. */
const char *cmd_deliver(char **args, u32 count)
{
	u32 i = 0, now = scene.count, taken = 0, most = 20000;
	bool all = arg_flag(args, count, "all");

	while (i < (all ? scene.count : now) && most-- && !sim_failed(scene.sim)) {
		if (!scene_wanted(&scene.waiting[i], args, count)) {
			i++;
			continue;
		}
		scene_deliver(i);
		taken++;
		now--;
		if (all)
			i = 0;
	}
	if (!taken)
		scene_line(scene.sim, "(nothing)");
	return NULL;
}

const char *cmd_drop(char **args, u32 count)
{
	u32 i = 0, dropped = 0;

	while (i < scene.count) {
		if (!scene_wanted(&scene.waiting[i], args, count)) {
			i++;
			continue;
		}
		scene_drop(i);
		dropped++;
	}
	scene_print("%u dropped\n", dropped);
	return NULL;
}

const char *cmd_waiting(char **args, u32 count)
{
	u32 i;

	for (i = 0; i < scene.count; i++) {
		const struct waiting *w = &scene.waiting[i];
		char text[200], line[256];

		if (!scene_wanted(w, args, count))
			continue;
		trace_message(w->buf->data, text, sizeof(text));
		snprintf(line, sizeof(line), "%s -> %s %s", trace_end(w->from),
			 trace_end(w->to), text);
		scene_line(scene.sim, line);
	}
	return NULL;
}

/* ---- rules that stand --------------------------------------------------- */

/* One more rule, or with no arguments none any more. */
static const char *add_rule(struct rules *rules, char **args, u32 count)
{
	struct rule *r = &rules->rule[rules->count];
	size_t at = 0;
	u32 i;

	if (!count) {
		rules->count = 0;
		return NULL;
	}
	if (rules->count == RULES_MAX || count > ARRAY_SIZE(r->args))
		return "too many rules, or words in one";
	for (i = 0; i < count; i++) {
		size_t len = strlen(args[i]) + 1;

		if (at + len > sizeof(r->text))
			return "the rule is too long";
		r->args[i] = memcpy(r->text + at, args[i], len);
		at += len;
	}
	r->count = count;
	rules->count++;
	return NULL;
}

const char *cmd_hold(char **args, u32 count)
{
	return add_rule(&scene.held, args, count);
}

/* Also what waits already. */
const char *cmd_lose(char **args, u32 count)
{
	u32 i = 0;

	while (count && i < scene.count) {
		if (scene_wanted(&scene.waiting[i], args, count))
			scene_drop(i);
		else
			i++;
	}
	return add_rule(&scene.lost, args, count);
}

static const char *set_mask(char **args, u32 count, u64 *mask, const char *usage)
{
	*mask = 0;
	return count && !parse_replicas(args[0], mask) ? usage : NULL;
}

const char *cmd_isolate(char **args, u32 count)
{
	const char *wrong = set_mask(args, count, &scene.isolated,
				     "isolate takes replicas, or nothing to end it");

	scene_cut_daemons();
	return wrong;
}

const char *cmd_silence(char **args, u32 count)
{
	return set_mask(args, count, &scene.silent,
			"silence takes replicas, or nothing to end it");
}

/* ---- once more -------------------------------------------------------------- */

/* What was delivered before and matches arrives again, each once. */
const char *cmd_replay(char **args, u32 count)
{
	u32 i, n = min_t(u32, scene.old_count, OLD_MAX), again = 0;

	for (i = 0; i < n; i++) {
		const struct waiting *w = &scene.old[i];

		if (w->to >= PBFT_N_MAX || !scene_wanted(w, args, count))
			continue;
		replica_receive(&scene.sim->nodes[w->to], w->from, pbft_buf_get(w->buf));
		scene_run(0);
		again++;
	}
	if (!again)
		return "nothing like that was delivered";
	return NULL;
}

/* ---- the transcript ----------------------------------------------------------- */

/*
 * Only lines with one of these words (A+B: with both); without words: all. "once":
 * what is said again and again in the course of one command is written down once.
 */
const char *cmd_show(char **args, u32 count)
{
	u32 i;

	scene.shown[0] = 0;
	scene.once = count && !strcmp(args[0], "once");
	for (i = scene.once; i < count; i++) {
		if (strlen(scene.shown) + strlen(args[i]) + 2 > sizeof(scene.shown))
			return "too many words";
		if (scene.shown[0])
			strcat(scene.shown, " ");
		strcat(scene.shown, args[i]);
	}
	return NULL;
}
