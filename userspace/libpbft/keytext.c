// SPDX-License-Identifier: GPL-2.0
/*
 * Keys as text: canonical base64, and the file that holds a private key.
 *
 * A key has one spelling only, so that equal keys are equal text. Encoding and
 * decoding do not branch on, or index by, the bytes of the key.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "libpbft/crypto.h"

#define KEY_FILE_MAX	4096	/* a key and some comment */

/* All ones if lo <= v <= hi, else 0; for values below 2^15. */
static int in_range(int v, int lo, int hi)
{
	return ((lo - 1 - v) & (v - hi - 1)) >> 31;
}

static char sextet_char(int v)
{
	int c = 'A' + v;

	c += in_range(v, 26, 51) & ('a' - 'A' - 26);
	c += in_range(v, 52, 61) & ('0' - 'A' - 52);
	c += in_range(v, 62, 62) & ('+' - 'A' - 62);
	c += in_range(v, 63, 63) & ('/' - 'A' - 63);
	return c;
}

/* -1 for what is not base64. */
static int char_sextet(unsigned char c)
{
	int v = -1;

	v += in_range(c, 'A', 'Z') & (c - 'A' + 1);
	v += in_range(c, 'a', 'z') & (c - 'a' + 26 + 1);
	v += in_range(c, '0', '9') & (c - '0' + 52 + 1);
	v += in_range(c, '+', '+') & (62 + 1);
	v += in_range(c, '/', '/') & (63 + 1);
	return v;
}

void pbft_key_to_text(char text[PBFT_KEY_TEXT_LEN + 1], const u8 key[32])
{
	int i, j;

	for (i = 0; i < 33; i += 3) {
		u32 v = (u32)key[i] << 16 | (u32)key[i + 1] << 8 |
			(i + 2 < 32 ? key[i + 2] : 0);

		for (j = 0; j < 4; j++)
			*text++ = sextet_char(v >> (18 - 6 * j) & 63);
	}
	text[-1] = '=';
	*text = '\0';
}

bool pbft_key_from_text(u8 key[32], const char *text)
{
	u32 v = 0;
	int i, s, bad = 0, out = 0;

	if (strnlen(text, PBFT_KEY_TEXT_LEN + 1) != PBFT_KEY_TEXT_LEN ||
	    text[PBFT_KEY_TEXT_LEN - 1] != '=')
		return false;
	for (i = 0; i < PBFT_KEY_TEXT_LEN; i++) {
		s = i < PBFT_KEY_TEXT_LEN - 1 ? char_sextet(text[i]) : 0;
		bad |= s;
		v = v << 6 | (s & 63);
		if (i % 4 != 3)
			continue;
		key[out++] = v >> 16;
		key[out++] = v >> 8;
		if (out < 32)
			key[out++] = v;
		else
			bad |= -(int)(v & 0xff);	/* spare bits must be 0 */
		v = 0;
	}
	if (bad >= 0)
		return true;
	explicit_bzero(key, 32);
	return false;
}

/* Cut comment and surrounding blanks off a line, in place. */
static char *strip(char *line)
{
	size_t len = strcspn(line, "#");

	while (len && strchr(" \t\r", line[len - 1]))
		len--;
	line[len] = '\0';
	return line + strspn(line, " \t\r");
}

/* Exactly one line that is not blank, and it is a key. */
static const char *parse_file(char *text, u8 key[32])
{
	char *line, *rest = text;
	bool found = false;

	while ((line = strsep(&rest, "\n"))) {
		line = strip(line);
		if (!*line)
			continue;
		if (found)
			return "has more than one line";
		if (!pbft_key_from_text(key, line))
			return "does not hold the base64 of 32 bytes";
		found = true;
	}
	return found ? NULL : "holds no key";
}

static ssize_t read_all(int fd, char *buf, size_t cap)
{
	size_t len = 0;

	while (len < cap) {
		ssize_t n = read(fd, buf + len, cap - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		len += n;
	}
	return len;
}

static int load_fd(int fd, const char *path, bool lax, u8 key[32],
		   char *errbuf, size_t errlen)
{
	char text[KEY_FILE_MAX + 1];
	const char *wrong;
	struct stat st;
	ssize_t len;

	if (fstat(fd, &st))
		return -errno;
	if (!lax && S_ISREG(st.st_mode) && (st.st_mode & 077)) {
		snprintf(errbuf, errlen,
			 "%s: others may read this private key (mode %03o): chmod 600 it",
			 path, st.st_mode & 0777);
		return -EACCES;
	}
	len = read_all(fd, text, sizeof(text));
	if (len < 0)
		return len;
	if (len > KEY_FILE_MAX) {
		wrong = "is too long for a private key file";
	} else {
		text[len] = '\0';
		wrong = strlen(text) == (size_t)len ? parse_file(text, key) :
						      "is not text";
	}
	explicit_bzero(text, sizeof(text));
	if (!wrong)
		return 0;
	explicit_bzero(key, 32);
	snprintf(errbuf, errlen, "%s: the private key file %s", path, wrong);
	return -EINVAL;
}

int pbft_key_load(const char *path, bool lax, u8 private_key[32],
		  char *errbuf, size_t errlen)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY), ret;

	*errbuf = '\0';
	if (fd < 0) {
		ret = -errno;
	} else {
		ret = load_fd(fd, path, lax, private_key, errbuf, errlen);
		close(fd);
	}
	if (ret && !*errbuf)
		snprintf(errbuf, errlen, "%s: cannot read the private key: %s",
			 path, strerror(-ret));
	return ret;
}
