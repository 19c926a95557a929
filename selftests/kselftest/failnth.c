// SPDX-License-Identifier: GPL-2.0
/* Allocations that fail, by /proc/thread-self/fail-nth. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "failnth.h"

static int fail_fd;

static void give_up(void)
{
	perror("# /proc/thread-self/fail-nth");
	exit(1);
}

void failnth_open(void)
{
	fail_fd = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	if (fail_fd < 0)
		give_up();
}

void failnth_arm(int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%d", nth);

	if (pwrite(fail_fd, text, len, 0) != len)
		give_up();
}

int failnth_left(void)
{
	char text[16] = "";

	if (pread(fail_fd, text, sizeof(text) - 1, 0) <= 0)
		give_up();
	return atoi(text);
}

bool failnth_disarm(void)
{
	bool failed = failnth_left() == 0;

	failnth_arm(0);
	return failed;
}

/* ENFILE is what the kernel says when there is no memory for a socket. */
bool failnth_shortage(int err)
{
	return !err || err == -ENOMEM || err == -ENOBUFS || err == -EAGAIN || err == -ENFILE;
}
