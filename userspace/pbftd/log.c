// SPDX-License-Identifier: GPL-2.0
/* Lines to stderr. One write for each, so that lines of several processes stay whole. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include "log.h"

static bool verbose;

void pbft_log_verbose(bool on)
{
	verbose = on;
}

void pbft_log(int level, const char *fmt, ...)
{
	char line[512];
	va_list ap;

	if (level >= LOG_DEBUG && !verbose)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (getenv("JOURNAL_STREAM"))
		fprintf(stderr, "<%d>%s\n", level, line);
	else
		fprintf(stderr, "pbftd: %s\n", line);
}
