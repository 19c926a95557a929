// SPDX-License-Identifier: GPL-2.0
/*
 * mod-failnth FILE NAME: load the module NAME from FILE, again and again; the first time
 * the last allocation on the way fails, then the one before, and so on as far back as
 * the module itself makes them. What comes earlier is the kernel's, some of which is
 * given to complaining. What fails, fails for want of memory and leaves no module behind;
 * what is loaded all the same can be unloaded. What the module depends on is loaded
 * already. Prints TAP.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "failnth.h"
#include "../unit/tap.h"

#define TRACING	"/sys/kernel/tracing/"

static const char *name;
static int fd;

static int load(void)
{
	return syscall(SYS_finit_module, fd, "", 0) ? -errno : 0;
}

static int unload(void)
{
	return syscall(SYS_delete_module, name, O_NONBLOCK) ? -errno : 0;
}

static bool is_there(void)
{
	char path[256];

	snprintf(path, sizeof(path), "/sys/module/%s", name);
	return access(path, F_OK) == 0;
}

static int open_or_exit(const char *path, int flags)
{
	int at = open(path, flags | O_CLOEXEC);

	if (at < 0) {
		perror(path);
		exit(1);
	}
	return at;
}

/* ---- whose turn it was, by the trace event on the way from the kernel to the module ---- */

static void trace_loading(void)
{
	int at = open_or_exit(TRACING "events/module/module_load/enable", O_WRONLY);

	if (write(at, "1", 1) != 1) {
		perror("module_load");
		exit(1);
	}
	close(at);
}

static void forget_trace(void)
{
	close(open_or_exit(TRACING "trace", O_WRONLY | O_TRUNC));
}

/* Did the module's own initialisation begin? */
static bool began(void)
{
	static char text[65536];
	char event[128];
	size_t len = 0;
	int at = open_or_exit(TRACING "trace", O_RDONLY);
	ssize_t n;

	while (len < sizeof(text) - 1 &&
	       (n = read(at, text + len, sizeof(text) - 1 - len)) > 0)
		len += n;
	close(at);
	text[len] = 0;
	snprintf(event, sizeof(event), "module_load: %s", name);
	return strstr(text, event);
}

/* ---- attempts ---------------------------------------------------------------------------- */

/* Of a load at which none fails; 0: it does not work. */
static int count_allocations(void)
{
	int err, left;

	failnth_arm(FAILNTH_MAX);
	err = load();
	left = failnth_left();
	failnth_disarm();
	return err || unload() ? 0 : FAILNTH_MAX - left;
}

/* Return what is wrong with how it ended, or NULL. */
static const char *attempt(int nth, int *err)
{
	bool hit;

	forget_trace();
	failnth_arm(nth);
	*err = load();
	hit = failnth_disarm();
	if (*err && !hit)
		return "it fails though no allocation does";
	if (!failnth_shortage(*err))
		return "the error is not one for want of memory";
	if (*err)
		return is_there() ? "what could not be loaded is there" : NULL;
	return unload() ? "it cannot be unloaded" : NULL;
}

int main(int argc, char **argv)
{
	int total, nth, err = 0, own = 0, failed = 0;
	const char *wrong = NULL;

	if (argc != 3) {
		fprintf(stderr, "usage: mod-failnth FILE NAME\n");
		return 2;
	}
	name = argv[2];
	fd = open_or_exit(argv[1], O_RDONLY);
	failnth_open();
	trace_loading();
	total = count_allocations();
	ok(total > 0 && total < FAILNTH_MAX, "the module is loaded and unloaded");
	for (nth = total; nth > 0; nth--) {
		wrong = attempt(nth, &err);
		if (wrong || !began())
			break;
		own++;
		failed += !!err;
	}
	printf("# %d allocations, the last %d of them the module's, %d of these needed\n",
	       total, own, failed);
	ok(!wrong && failed, "any allocation of its own may fail");
	if (wrong)
		printf("# allocation %d: %s (%s)\n", nth, wrong, strerror(-err));
	ok(count_allocations() > 0, "and it is loaded when none does");
	close(fd);
	return done_testing();
}
