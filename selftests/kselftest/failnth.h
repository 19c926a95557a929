/* SPDX-License-Identifier: GPL-2.0 */
/* Allocations of this process that fail in the kernel, the one that is chosen. */
#ifndef PBFT_FAILNTH_H
#define PBFT_FAILNTH_H

#include <stdbool.h>

/* More allocations than anything here makes. */
#define FAILNTH_MAX	5000

/* All of these end the process when the kernel does not let them. */
void failnth_open(void);
/* The @nth allocation from now on fails; 1 is the next. */
void failnth_arm(int nth);
/* How many allocations that one is away; 0: it has failed. */
int failnth_left(void);
/* Did it fail? Disarmed in either case. */
bool failnth_disarm(void);

/* May a command fail so, for want of memory? @err is 0 or -errno. */
bool failnth_shortage(int err);

#endif /* PBFT_FAILNTH_H */
