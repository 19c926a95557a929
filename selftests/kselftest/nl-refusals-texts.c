// SPDX-License-Identifier: GPL-2.0
/*
 * Is every sentence of the module's source among those that came? The source's list
 * is made when this is built; what cannot be provoked here stands below, with why.
 */
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "nl-refusals.h"

#define MEMORY	"takes an allocation that fails: fault injection"
#define UNSET	"netlink does not set it"
#define GUARD	"the checks before it leave no such case"
#define KERNEL	"takes a kernel without it"
#define MEDIUM	"takes a medium that fails: journal.sh"
#define USERNS	"takes a user namespace that is not the first"
#define RACE	"takes a race with another command"
#define BATCHES	"takes a cluster that works: lost_answer.sh"

static const struct {
	const char *text, *why;
} excused[] = {
	{ "no memory for *", MEMORY },
	{ "*: its keys cannot be made (error %d)", MEMORY },
	{ "no key of generation %u for node %u (error %d)", MEMORY },
	{ "the client limit must be *", UNSET },
	{ "the resend interval must be *", UNSET },
	{ "the rejoin interval must be *", UNSET },
	{ "replica %u, which we are, is missing", GUARD },
	{ "replica %u is missing", GUARD },
	{ "the core refuses *", GUARD },
	{ "the private key is not usable", GUARD },	/* clamped, it always is */
	{ "the socket for our own endpoint cannot be opened", GUARD },
	{ "this kernel has no Curve25519: *", KERNEL },
	{ "this kernel lacks the address family *", KERNEL },
	{ "the answer does not fit into one message: dump it", RACE },
	{ "the instance is down", RACE },
	{ "an answer before this one was lost: bind again", BATCHES },
	{ "the journal failed: *", MEDIUM },
	{ "the journal cannot be written", MEDIUM },
	{ "the journal cannot be begun anew", MEDIUM },
	{ "what holds the journal cannot be read and written by the kernel", GUARD },
	{ "a journal needs CAP_NET_ADMIN in the initial user namespace", USERNS },
};

static char **came;
static size_t count;

void note_refusal(const char *text)
{
	char **more = realloc(came, (count + 1) * sizeof(*came));

	if (!more)
		abort();
	came = more;
	came[count++] = strdup(text);
}

/* A format as a pattern of the sentences it makes. */
static void to_pattern(char *out, size_t cap, const char *format)
{
	size_t n = 0;

	for (; *format && n + 3 < cap; format++) {
		if (*format == '%' && format[1]) {
			out[n++] = '*';
			while (format[1] == 'l')
				format++;
			format++;
			continue;
		}
		if (strchr("*?[\\", *format))
			out[n++] = '\\';
		out[n++] = *format;
	}
	out[n] = '\0';
}

static bool was_provoked(const char *format)
{
	char pattern[256];

	to_pattern(pattern, sizeof(pattern), format);
	for (size_t i = 0; i < count; i++)
		if (!fnmatch(pattern, came[i], 0))
			return true;
	return false;
}

/* fnmatch() with the excuse as the pattern: some stand for several. */
static const char *excuse(const char *format)
{
	for (u32 i = 0; i < ARRAY_SIZE(excused); i++)
		if (!fnmatch(excused[i].text, format, 0))
			return excused[i].why;
	return NULL;
}

void test_all_texts(void)
{
	u32 provoked = 0, other = 0;

	for (const struct extack_text *t = extack_texts; t->format; t++) {
		const char *why = excuse(t->format);

		if (was_provoked(t->format)) {
			provoked++;
		} else if (why) {
			other++;
			remark("not provoked: %s: \"%s\": %s", t->where, t->format, why);
		} else {
			point(false, "provoked: %s: \"%s\"", t->where, t->format);
		}
	}
	point(provoked > 60, "%u of the source's sentences were provoked, %u excused",
	   provoked, other);
}
