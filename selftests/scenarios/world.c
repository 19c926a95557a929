// SPDX-License-Identifier: GPL-2.0
/*
 * The cluster of a scenario: packets wait until they are delivered or dropped,
 * and what happens is written down as a person would: equal messages to several
 * replicas on one line, digests by letters in the order they appear.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "scenario.h"

struct scenario scene;

/* ---- transcript ------------------------------------------------------- */

void scene_print(const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(scene.out + scene.out_len, OUTPUT_MAX - scene.out_len, fmt, ap);
	va_end(ap);
	scene.out_len = min_t(size_t, scene.out_len + n, OUTPUT_MAX - 1);
}

static const char *name_of(const char *hex)
{
	u32 i;

	for (i = 0; i < scene.name_count; i++)
		if (!memcmp(scene.names[i].hex, hex, 8))
			return scene.names[i].name;
	if (i == NAMES_MAX)
		return "?";
	memcpy(scene.names[i].hex, hex, 8);
	snprintf(scene.names[i].name, sizeof(scene.names[i].name), "%c%.0u",
		 'A' + (i - 1) % 26, (i - 1) / 26);
	scene.name_count++;
	return scene.names[i].name;
}

const char *scene_digest(const struct pbft_digest *d)
{
	char hex[16];

	snprintf(hex, sizeof(hex), "%08x", short_digest(d));
	return name_of(hex);
}

/* Eight hexadecimal digits in a row are a digest. */
static void put_named(const char *s)
{
	while (*s) {
		size_t n = strspn(s, "0123456789abcdef");

		if (n == 8) {
			scene_print("%s", name_of(s));
			s += 8;
			continue;
		}
		n = n ? n : 1;
		scene_print("%.*s", (int)n, s);
		s += n;
	}
}

void scene_flush(void)
{
	if (!scene.held_text[0])
		return;
	scene_print("%s -> %s ", scene.held_from, scene.held_to);
	put_named(scene.held_text);
	scene_print("\n");
	scene.held_text[0] = 0;
}

void scene_line(struct sim *sim, const char *line)
{
	char from[16], to[16];
	int at = 0;

	/* they say little and are many */
	if (strstr(line, " STATUS view ") && !scene.show_status)
		return;
	if (sscanf(line, "%15s -> %15s %n", from, to, &at) != 2 || !at) {
		scene_flush();
		put_named(line);
		scene_print("\n");
		return;
	}
	if (scene.held_text[0] && !strcmp(scene.held_from, from) &&
	    !strcmp(scene.held_text, line + at) && !strstr(scene.held_to, to) &&
	    strlen(scene.held_to) + strlen(to) + 2 < sizeof(scene.held_to)) {
		strcat(scene.held_to, " ");
		strcat(scene.held_to, to);
		return;
	}
	scene_flush();
	strcpy(scene.held_from, from);
	strcpy(scene.held_to, to);
	snprintf(scene.held_text, sizeof(scene.held_text), "%s", line + at);
}

/* ---- packets -------------------------------------------------------------- */

static bool cut(u32 end)
{
	return end < PBFT_N_MAX && scene.isolated >> end & 1;
}

/* Takes the reference, always. */
bool scene_packet(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf)
{
	bool silent = from < PBFT_N_MAX && scene.silent >> from & 1 &&
		      scene.forging != from + 1;

	if (cut(from) || cut(to) || silent || scene.count == WAITING_MAX) {
		pbft_buf_put(buf);
		return true;
	}
	scene.waiting[scene.count].from = from;
	scene.waiting[scene.count].to = to;
	scene.waiting[scene.count++].buf = buf;
	return true;
}

static struct waiting take(u32 index)
{
	struct waiting w = scene.waiting[index];

	scene.count--;
	memmove(&scene.waiting[index], &scene.waiting[index + 1],
		(scene.count - index) * sizeof(w));
	return w;
}

void scene_deliver(u32 index)
{
	struct waiting w = take(index);

	if (w.to < PBFT_N_MAX)
		replica_receive(&scene.sim->nodes[w.to], w.from, w.buf);
	else
		client_receive(&scene.sim->clients[w.to - PBFT_CLIENT_ID_MIN], w.buf);
	scene_run(0);
}

void scene_drop(u32 index)
{
	pbft_buf_put(take(index).buf);
}

/* ---- time --------------------------------------------------------------------- */

/*
 * Let @ns pass. Daemons work in no time: what they have to do is done also when
 * none passes.
 */
void scene_run(u64 ns)
{
	struct sim *sim = scene.sim;
	u64 end = sim->now + ns;
	struct sim_event ev;

	while (sim->events.count && !sim_failed(sim)) {
		u64 at = sim->events.heap[0].at;
		u8 type = sim->events.pool[sim->events.heap[0].index].type;
		bool daemon = type == SIM_EV_APP || type == SIM_EV_STATE_REQ ||
			      type == SIM_EV_STATE_RESP;

		if (at > end && (!daemon || at > sim->now + MS))
			break;
		sim_event_next(sim, &ev);
		sim_dispatch(sim, &ev);
	}
	sim->now = max(sim->now, end);
}

void scene_start(const struct sim_plan *plan)
{
	struct pbft_digest null_d;

	scene_end();
	scene.sim = calloc(1, sizeof(*scene.sim));
	scene.sim->tracing = true;
	scene.sim->intercept = scene_packet;
	/* how a cluster is born is no news */
	sim_init(scene.sim, 1, plan);
	scene.sim->on_line = scene_line;
	pbft_null_digest(&null_d);
	snprintf(scene.names[0].hex, sizeof(scene.names[0].hex), "%08x",
		 short_digest(&null_d));
	strcpy(scene.names[0].name, "null");
	scene.name_count = 1;
}

void scene_end(void)
{
	if (!scene.sim)
		return;
	scene.sim->on_line = NULL;
	while (scene.count)
		scene_drop(scene.count - 1);
	sim_free(scene.sim);
	free(scene.sim);
	scene.sim = NULL;
	scene.isolated = 0;
	scene.silent = 0;
	scene.name_count = 0;
}
