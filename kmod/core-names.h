/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The core compiles in userspace too and uses words that the kernel has taken
 * for its own. Included before each of the core's files: whoever declares these
 * names has done so, and from here on they are the core's.
 */
#ifndef PBFT_CORE_NAMES_H
#define PBFT_CORE_NAMES_H

#include <linux/completion.h>
#include <linux/spinlock.h>
#include "core/types.h"

#undef guard
#define guard pbft_core_guard
#define complete pbft_core_complete

#endif /* PBFT_CORE_NAMES_H */
