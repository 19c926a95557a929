/* SPDX-License-Identifier: GPL-2.0 */
/* Lines to stderr, with the journal's priorities when it reads them. */
#ifndef PBFTD_LOG_H
#define PBFTD_LOG_H

#include <syslog.h>
#include <stdbool.h>

/* @level: LOG_ERR ... LOG_DEBUG of syslog.h; debug only when asked for. */
__attribute__((format(printf, 2, 3)))
void pbft_log(int level, const char *fmt, ...);
void pbft_log_verbose(bool on);

#endif /* PBFTD_LOG_H */
