/* SPDX-License-Identifier: GPL-2.0 */
#ifndef PBFT_SHIM_LINUX_STRING_H
#define PBFT_SHIM_LINUX_STRING_H

#include_next <linux/string.h>
#include <string.h>

#endif
