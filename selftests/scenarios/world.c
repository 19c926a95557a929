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

/* Is @word, @len long, one of the words of @line? "^r1": its first, the sender. */
static bool has_word(const char *line, const char *word, size_t len)
{
	static const char stops[] = " ()";
	size_t n;

	if (*word == '^')
		return !strncmp(line, word + 1, len - 1) && line[len - 1] == ' ';
	for (; *line; line += n) {
		line += strspn(line, stops);
		n = strcspn(line, stops);
		if (n == len && !strncmp(line, word, len))
			return true;
	}
	return false;
}

/* "A B+C": does @line have the word A, or both B and C? */
bool scene_has_words(const char *line, const char *words)
{
	bool all = true;
	size_t n;

	for (; *words; words += n) {
		n = strcspn(words, "+ ");
		if (n && !has_word(line, words, n))
			all = false;
		if (words[n] == '+') {
			n++;
			continue;
		}
		if (n && all)
			return true;
		all = true;
		n += words[n] == ' ';
	}
	return false;
}

/* What a silenced core thinks, or would like to say, did not happen. */
static bool unsaid(const char *line)
{
	u32 i;

	return sscanf(line, "r%u ", &i) == 1 && i < PBFT_N_MAX &&
	       scene.silent >> i & 1 && scene.forging != i + 1;
}

/* With "show once": was this line there before, in this command? */
static bool repeated(const char *line)
{
	u64 hash = sim_hash64(line, strlen(line));
	u32 i;

	for (i = 0; scene.once && i < scene.line_count; i++)
		if (scene.lines[i] == hash)
			return true;
	if (scene.once && scene.line_count < ARRAY_SIZE(scene.lines))
		scene.lines[scene.line_count++] = hash;
	return false;
}

void scene_line(struct sim *sim, const char *line)
{
	char from[16], to[16];
	int at = 0;

	if (unsaid(line))
		return;

	if (scene.awaited[0] && scene_has_words(line, scene.awaited))
		scene.seen = true;
	/* they say little and are many */
	if (strstr(line, " STATUS view ") && !scene.show_status)
		return;
	if ((scene.shown[0] && !scene_has_words(line, scene.shown)) || repeated(line))
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

/* A faulty client's request: its MACs for some replicas are wrong. Takes the reference. */
static struct pbft_buf *spoil(struct sim *sim, u32 from, struct pbft_buf *buf)
{
	u64 bad = from < PBFT_CLIENT_ID_MIN ? 0 : scene.spoiled[from - PBFT_CLIENT_ID_MIN];
	struct pbft_buf *copy;

	if (!bad)
		return buf;
	copy = sim_buf(buf->len);
	memcpy(copy->data, buf->data, buf->len);
	pbft_buf_put(buf);
	for (; bad; bad &= bad - 1)
		copy->data[copy->len - (sim->id.n - __ffs64(bad)) * PBFT_MAC_LEN] ^= 1;
	return copy;
}

static bool in_rules(const struct rules *rules, const struct waiting *w)
{
	u32 i;

	for (i = 0; i < rules->count; i++)
		if (scene_wanted(w, (char **)rules->rule[i].args, rules->rule[i].count))
			return true;
	return false;
}

/* Must it wait until it is named? Or its receiver is not there to take it. */
bool scene_held(const struct waiting *w)
{
	return in_rules(&scene.held, w) ||
	       (w->to < PBFT_N_MAX && scene.sim->now < scene.sim->nodes[w->to].paused_until);
}

/* Takes the reference, always. */
bool scene_packet(struct sim *sim, u32 from, u32 to, struct pbft_buf *buf)
{
	bool silent = from < PBFT_N_MAX && scene.silent >> from & 1 &&
		      scene.forging != from + 1;
	struct waiting w = { .from = from, .to = to, .buf = buf };

	if (scene.count == WAITING_MAX)
		sim_violation(sim, "more than %u packets wait", WAITING_MAX);
	if (cut(from) || cut(to) || silent || scene.count == WAITING_MAX ||
	    in_rules(&scene.lost, &w)) {
		pbft_buf_put(buf);
		return true;
	}
	w.buf = spoil(sim, from, buf);
	scene.waiting[scene.count++] = w;
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

/* The last ones delivered stay here, for replay. */
static void remember(const struct waiting *w)
{
	struct waiting *old = &scene.old[scene.old_count++ % OLD_MAX];

	pbft_buf_put(old->buf);
	*old = *w;
	pbft_buf_get(old->buf);
}

void scene_deliver(u32 index)
{
	struct waiting w = take(index);

	remember(&w);
	if (w.to < PBFT_N_MAX)
		replica_receive(&scene.sim->nodes[w.to], w.from, w.buf);
	else
		client_receive(&scene.sim->clients[w.to - PBFT_CLIENT_ID_MIN], w.buf);
	scene_run(0);
}

/* State passes between daemons unless one is cut off, or stalls. */
void scene_cut_daemons(void)
{
	u32 i, n = scene.sim->id.n;

	for (i = 0; i < n; i++)
		scene.sim->net.cut[i] = scene.stalled[i] |
			(scene.isolated >> i & 1 ? ~0ull : scene.isolated);
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
	u32 i;

	if (!scene.sim)
		return;
	scene.sim->on_line = NULL;
	while (scene.count)
		scene_drop(scene.count - 1);
	for (i = 0; i < OLD_MAX; i++)
		pbft_buf_put(scene.old[i].buf);
	sim_free(scene.sim);
	free(scene.sim);
	memset(&scene.old, 0, sizeof(scene.old));
	scene.old_count = 0;
	memset(&scene.stalled, 0, sizeof(scene.stalled));
	memset(&scene.spoiled, 0, sizeof(scene.spoiled));
	scene.sim = NULL;
	scene.isolated = 0;
	scene.silent = 0;
	scene.held.count = 0;
	scene.lost.count = 0;
	scene.shown[0] = 0;
	scene.once = false;
	scene.name_count = 0;
}
