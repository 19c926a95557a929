/* SPDX-License-Identifier: GPL-2.0 */
/* An allocation that fails when a test wants it to: link with --wrap=malloc,calloc. */
#ifndef PBFT_TEST_ALLOC_H
#define PBFT_TEST_ALLOC_H

#include <linux/types.h>

/* The @nth allocation from now fails; 0: none. */
void alloc_fail(u32 nth);
/* Has it failed? */
bool alloc_failed(void);

#endif /* PBFT_TEST_ALLOC_H */
