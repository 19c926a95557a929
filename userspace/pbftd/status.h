/* SPDX-License-Identifier: GPL-2.0 */
/* The status file: what pbftctl show --json tells of a kernel instance. */
#ifndef PBFTD_STATUS_H
#define PBFTD_STATUS_H

#include "app.h"

/* Replace @path as a whole. Return 0 or -errno. */
int pbft_status_write(const char *path, struct pbft_backend *b,
		      const struct pbft_app *app);

#endif /* PBFTD_STATUS_H */
