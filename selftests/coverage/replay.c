// SPDX-License-Identifier: GPL-2.0
/*
 * A fuzz target without its fuzzer: replays the files of the directories named.
 * The target's own checks hold here too.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include "../fuzz/fuzz.h"

#define INPUT_MAX	(1u << 20)

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

static int replay(const char *dir, const char *name)
{
	static u8 buf[INPUT_MAX];
	char path[512];
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (!f) {
		fprintf(stderr, "%s: %m\n", path);
		return -1;
	}
	len = fread(buf, 1, sizeof(buf), f);
	fclose(f);
	LLVMFuzzerTestOneInput(buf, len);
	return 0;
}

static int replay_all(const char *path)
{
	struct dirent *e;
	DIR *dir = opendir(path);
	int count = 0;

	if (!dir) {
		fprintf(stderr, "%s: %m\n", path);
		return -1;
	}
	while ((e = readdir(dir))) {
		if (e->d_name[0] == '.')
			continue;
		if (replay(path, e->d_name)) {
			closedir(dir);
			return -1;
		}
		count++;
	}
	closedir(dir);
	return count;
}

int main(int argc, char **argv)
{
	int i, n, total = 0;

	LLVMFuzzerInitialize(&argc, &argv);
	for (i = 1; i < argc; i++) {
		n = replay_all(argv[i]);
		if (n < 0)
			return 1;
		total += n;
	}
	printf("%d inputs replayed\n", total);
	return 0;
}
