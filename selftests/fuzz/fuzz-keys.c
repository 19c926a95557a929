// SPDX-License-Identifier: GPL-2.0
/*
 * Keys as text, and the file that holds a private key: one spelling a key, and
 * nothing of a refused one is left in the caller's memory.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "fuzz.h"
#include "libpbft/crypto.h"

static bool all_zero(const u8 key[32])
{
	static const u8 zero[32];

	return !memcmp(key, zero, sizeof(zero));
}

static void check_text(const char *text)
{
	char again[PBFT_KEY_TEXT_LEN + 1];
	u8 key[32] = {};

	if (!pbft_key_from_text(key, text)) {
		fuzz_check(all_zero(key), "a refused key is left behind");
		return;
	}
	fuzz_check(strlen(text) == PBFT_KEY_TEXT_LEN, "a key of %zu characters", strlen(text));
	pbft_key_to_text(again, key);
	fuzz_check(!strcmp(again, text), "'%s' is also '%s'", text, again);
}

static void check_bytes(const u8 *data)
{
	char text[PBFT_KEY_TEXT_LEN + 1];
	u8 key[32];

	pbft_key_to_text(text, data);
	fuzz_check(pbft_key_from_text(key, text) && !memcmp(key, data, 32),
		   "'%s' is another key", text);
}

static void check_file(const u8 *data, size_t size)
{
	int fd = memfd_create("key", MFD_CLOEXEC), ret;
	char path[32], err[256];
	u8 key[32] = {};

	fuzz_check(fd >= 0, "memfd_create: %m");
	fuzz_check(write(fd, data, size) == (ssize_t)size, "write: %m");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	ret = pbft_key_load(path, true, key, err, sizeof(err));
	if (ret) {
		fuzz_check(ret < 0 && !strncmp(err, path, strlen(path)),
			   "error %d '%s' names no file", ret, err);
		fuzz_check(all_zero(key), "a refused key is left behind");
	} else {
		fuzz_check(size >= PBFT_KEY_TEXT_LEN, "a key from %zu bytes", size);
	}
	/* a memfd has mode 0777: others may read it */
	ret = pbft_key_load(path, false, key, err, sizeof(err));
	fuzz_check(ret == -EACCES, "a file that others may read: %d", ret);
	close(fd);
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	char *text = malloc(size + 1);

	memcpy(text, data, size);
	text[size] = '\0';
	check_text(text);
	if (size >= 32)
		check_bytes(data);
	check_file(data, size);
	free(text);
	return 0;
}
