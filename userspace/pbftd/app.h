/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The application: between a backend, which says what was agreed, and a
 * service, which does it - the key-value store with its state transfer, or
 * nothing at all, for measuring.
 *
 * Batches are executed as they come and committed together when the backend has
 * no more at the moment; results go back after the commit, never before.
 */
#ifndef PBFTD_APP_H
#define PBFTD_APP_H

#include "backend.h"
#include "xfer.h"

struct pbft_app;

/* @st NULL: the null service, with results of @null_reply bytes. */
struct pbft_app *pbft_app_create(struct pbft_store *st, u32 null_reply);
void pbft_app_destroy(struct pbft_app *app);

/*
 * Bind to @b where the state stands, also when the binding before was lost: what
 * it brought and was not answered is void. Return 0; -ENETDOWN: try again later;
 * -errno with pbft_app_error().
 */
int pbft_app_bind(struct pbft_app *app, struct pbft_backend *b);

/* From the backend. */
void pbft_app_apply(struct pbft_app *app, const struct pbft_log_head *head,
		    const struct pbft_store_req *reqs, u32 count);
void pbft_app_settle(struct pbft_app *app);
void pbft_app_snapshot(struct pbft_app *app, u64 seq);
void pbft_app_discard(struct pbft_app *app, u64 seq);
void pbft_app_fetch_state(struct pbft_app *app, const struct pbft_log_head *head,
			  const struct pbft_digest *root, u64 peers);
void pbft_app_revalidate(struct pbft_app *app);
void pbft_app_peer_recv(struct pbft_app *app, u32 peer, const void *data,
			u32 len);

/* Time: state transfer, recovery. */
void pbft_app_tick(struct pbft_app *app);
u64 pbft_app_deadline(const struct pbft_app *app);

/* NULL, or the sentence why the application can not go on. */
const char *pbft_app_error(const struct pbft_app *app);
/* As pbft_xfer_progress(). */
bool pbft_app_progress(const struct pbft_app *app, struct pbft_xfer_progress *p);
/* NULL: the null service has nothing to recover. */
const struct pbft_recovery_report *pbft_app_recovery(const struct pbft_app *app);
const struct pbft_xfer_stats *pbft_app_xfer_stats(const struct pbft_app *app);
u64 pbft_now(void);		/* CLOCK_MONOTONIC, ns */

#endif /* PBFTD_APP_H */
