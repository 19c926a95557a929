// SPDX-License-Identifier: GPL-2.0
/*
 * pbft-scenario: run scenario files and compare what happens with what they say.
 *
 * A file is comments (#), and commands each followed by a line "----" and what
 * it is expected to bring about, up to an empty line. --rewrite writes down what
 * really happened instead of complaining.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "scenario.h"

#define RULE "----\n"

static u32 tests, failures;

static char *read_file(const char *path)
{
	FILE *f = fopen(path, "r");
	char *text;
	long size;

	if (!f)
		return NULL;
	fseek(f, 0, SEEK_END);
	size = ftell(f);
	rewind(f);
	text = calloc(1, size + 2);
	if (fread(text, 1, size, f) != (size_t)size)
		text[0] = 0;
	fclose(f);
	return text;
}

/* Run one command; what it brings about is in scene.out. */
static void run(const char *line)
{
	char copy[1024];
	const char *wrong;

	snprintf(copy, sizeof(copy), "%s", line);
	scene.out_len = 0;
	scene.out[0] = 0;
	scene.line_count = 0;
	wrong = scene_command(copy);
	scene_flush();
	if (wrong)
		scene_print("error: %s\n", wrong);
	else if (scene.sim && sim_failed(scene.sim))
		scene_print("VIOLATION %s\n", scene.sim->violation);
	if (!scene.out_len)
		scene_print("ok\n");
}

static const char *line_end(const char *s)
{
	const char *e = strchr(s, '\n');

	return e ? e + 1 : s + strlen(s);
}

static char fresh[1024 * 1024];	/* the file as it would be now */
static size_t fresh_len;

static void add(const char *s, size_t len)
{
	len = min(len, sizeof(fresh) - 1 - fresh_len);
	memcpy(fresh + fresh_len, s, len);
	fresh_len += len;
	fresh[fresh_len] = 0;
}

static void complain(const char *line, const char *want, const char *end)
{
	const char *next;

	printf("# after: %s\n# expected:\n", line);
	for (; want < end; want = next) {
		next = line_end(want);
		printf("#   %.*s", (int)(next - want), want);
	}
	printf("# happened:\n");
	for (want = scene.out; *want; want = next) {
		next = line_end(want);
		printf("#   %.*s", (int)(next - want), want);
	}
}

/* Return: is all as expected? What it is goes to fresh. */
static bool play(const char *text, bool quiet)
{
	bool same = true;

	scene_end();
	fresh_len = 0;
	while (*text) {
		const char *next = line_end(text), *want;
		char line[1024];

		if (*text == '#' || *text == '\n') {
			add(text, next - text);
			text = next;
			continue;
		}
		snprintf(line, sizeof(line), "%.*s", (int)(next - text), text);
		line[strcspn(line, "\n")] = 0;
		run(line);
		add(line, strlen(line));
		add("\n" RULE, 1 + strlen(RULE));
		add(scene.out, scene.out_len);
		text = next;
		if (!strncmp(text, RULE, strlen(RULE)))
			text += strlen(RULE);
		for (want = text; *text && *text != '\n'; text = line_end(text))
			;
		if (same && ((size_t)(text - want) != scene.out_len ||
			     memcmp(want, scene.out, scene.out_len))) {
			same = false;
			if (!quiet)
				complain(line, want, text);
		}
	}
	scene_end();
	return same;
}

static void test_file(const char *path, bool rewrite)
{
	char *text = read_file(path);
	bool same;
	FILE *f;

	tests++;
	same = text && play(text, rewrite);
	if (!text)
		printf("# %s: %s\n", path, strerror(errno));
	if (rewrite && text && strcmp(fresh, text)) {
		f = fopen(path, "w");
		same = f && fwrite(fresh, 1, fresh_len, f) == fresh_len;
		if (f)
			fclose(f);
	}
	failures += !same;
	printf("%s %u - %s\n", same ? "ok" : "not ok", tests, path);
	free(text);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(a, b);
}

#define FILES_MAX 256

static void test_path(const char *path, bool rewrite)
{
	static char names[FILES_MAX][1024];
	DIR *dir = opendir(path);
	struct dirent *d;
	u32 i, n = 0;

	if (!dir) {
		test_file(path, rewrite);
		return;
	}
	while (n < FILES_MAX && (d = readdir(dir))) {
		size_t len = strlen(d->d_name);

		if (len > 4 && !strcmp(d->d_name + len - 4, ".txt") &&
		    snprintf(names[n], sizeof(names[n]), "%s/%s", path, d->d_name) <
		    (int)sizeof(names[n]))
			n++;
	}
	closedir(dir);
	qsort(names, n, sizeof(names[0]), by_name);
	for (i = 0; i < n; i++)
		test_file(names[i], rewrite);
}

int main(int argc, char **argv)
{
	bool rewrite = argc > 1 && !strcmp(argv[1], "--rewrite");
	int i = rewrite ? 2 : 1;

	if (i >= argc) {
		fprintf(stderr, "usage: pbft-scenario [--rewrite] FILE|DIRECTORY...\n");
		return 2;
	}
	scene.out = malloc(OUTPUT_MAX);
	for (; i < argc; i++)
		test_path(argv[i], rewrite);
	free(scene.out);
	printf("1..%u\n", tests);
	return failures != 0;
}
