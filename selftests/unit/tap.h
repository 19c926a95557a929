/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Just enough TAP for unit tests: one line a test, the plan at the end.
 *
 *	ok(cond, "what holds when cond is true");
 *	...
 *	return done_testing();
 */
#ifndef PBFT_TAP_H
#define PBFT_TAP_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static unsigned int tap_run, tap_failed;

__attribute__((unused, format(printf, 1, 2)))
static void diag(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf("# ");
	vprintf(fmt, ap);
	printf("\n");
	va_end(ap);
	fflush(stdout);
}

__attribute__((format(printf, 4, 5)))
static bool tap_ok(bool cond, const char *file, int line, const char *fmt, ...)
{
	va_list ap;

	tap_run++;
	printf("%s %u - ", cond ? "ok" : "not ok", tap_run);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	if (!cond) {
		tap_failed++;
		printf("# failed at %s:%d\n", file, line);
	}
	fflush(stdout);
	return cond;
}

#define ok(cond, ...) tap_ok(cond, __FILE__, __LINE__, __VA_ARGS__)

static int done_testing(void)
{
	printf("1..%u\n", tap_run);
	return tap_failed ? 1 : 0;
}

#endif /* PBFT_TAP_H */
