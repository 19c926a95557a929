// SPDX-License-Identifier: GPL-2.0
/* The backend that is the application of an instance in the kernel. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include "app.h"
#include "libpbft/nl.h"
#include "log.h"

/* Datagrams taken in one turn before what they brought is committed. */
#define TURN_MAX	64

struct kernel {
	struct pbft_backend b;
	char name[PBFT_NAME_MAX + 1];
	struct pbft_nl *nl;
	struct pbft_nl *admin;	/* for what is answered; NULL: not needed yet */
	struct pbft_nl_bound bound;
	struct pbft_store_req reqs[PBFT_BATCH_MAX];
};

static struct kernel *to_kernel(struct pbft_backend *b)
{
	return container_of(b, struct kernel, b);
}

static int nl_failed(struct kernel *k, const char *what, int rc)
{
	if (rc < 0)
		snprintf(k->b.err, sizeof(k->b.err), "instance %s: %s: %s", k->name,
			 what, pbft_nl_error(k->nl));
	return rc;
}

/*
 * An answer that could not be sent. Only one that is too large is wrong in
 * itself; after anything else the kernel replays from where the state stands.
 */
static int post_failed(struct kernel *k, const char *what, int rc)
{
	if (rc < 0 && rc != -EMSGSIZE) {
		pbft_log(LOG_WARNING, "instance %s: %s: %s", k->name, what,
			 pbft_nl_error(k->nl));
		k->b.lost = true;
		return 0;
	}
	return nl_failed(k, what, rc);
}

/* ---- from the kernel ------------------------------------------------------------ */

static void head_from_nl(struct pbft_log_head *head, const struct pbft_nl_head *nl)
{
	head->seq = nl->seq;
	head->time = nl->time;
	memcpy(head->chain.b, nl->chain, sizeof(head->chain.b));
}

static void on_apply(void *arg, u32 id, const struct pbft_nl_head *nl_head,
		     const struct pbft_nl_op *ops, u32 count)
{
	struct kernel *k = arg;
	struct pbft_log_head head;
	u32 i;

	for (i = 0; i < count && i < PBFT_BATCH_MAX; i++) {
		k->reqs[i].client = ops[i].client;
		k->reqs[i].session = ops[i].session;
		k->reqs[i].t = ops[i].t;
		k->reqs[i].op = ops[i].op;
		k->reqs[i].op_len = ops[i].op_len;
	}
	head_from_nl(&head, nl_head);
	pbft_app_apply(k->b.app, &head, k->reqs, count);
}

static void on_snapshot(void *arg, u32 id, u64 seq)
{
	pbft_app_snapshot(((struct kernel *)arg)->b.app, seq);
}

static void on_discard(void *arg, u32 id, u64 seq)
{
	pbft_app_discard(((struct kernel *)arg)->b.app, seq);
}

static void on_fetch_state(void *arg, u32 id, const struct pbft_nl_head *nl_head,
			   const u8 digest[PBFT_DIGEST_LEN], u64 peers)
{
	struct kernel *k = arg;
	struct pbft_log_head head;
	struct pbft_digest root;

	head_from_nl(&head, nl_head);
	memcpy(root.b, digest, sizeof(root.b));
	pbft_log(LOG_NOTICE, "behind: fetching the state at %llu",
		 (unsigned long long)head.seq);
	pbft_app_fetch_state(k->b.app, &head, &root, peers);
}

static void on_peer_recv(void *arg, u32 id, u32 peer, const void *data, u32 len)
{
	pbft_app_peer_recv(((struct kernel *)arg)->b.app, peer, data, len);
}

static void on_revalidate(void *arg, u32 id)
{
	pbft_app_revalidate(((struct kernel *)arg)->b.app);
}

static void on_refused(void *arg, u32 cmd, int err, const char *text)
{
	struct kernel *k = arg;

	/* A datagram to a peer may always be lost, and what is only for show. */
	if (cmd == PBFT_CMD_PEER_SEND || (cmd == PBFT_CMD_FETCH_PROGRESS && err == -ENOMEM))
		return;
	if (err == -ENOTCONN || err == -ENOMEM || err == -ENOENT) {
		pbft_log(LOG_WARNING, "instance %s: %s", k->name,
			 text && text[0] ? text : strerror(-err));
		k->b.lost = true;
		return;
	}
	if (!k->b.err[0])
		snprintf(k->b.err, sizeof(k->b.err),
			 "instance %s: the kernel refuses an answer: %s (%s)",
			 k->name, text && text[0] ? text : "no reason given",
			 strerror(-err));
}

static const struct pbft_nl_daemon_ops daemon_ops = {
	.apply = on_apply,
	.snapshot = on_snapshot,
	.discard = on_discard,
	.fetch_state = on_fetch_state,
	.peer_recv = on_peer_recv,
	.revalidate = on_revalidate,
	.refused = on_refused,
};

/* ---- to the kernel ---------------------------------------------------------------- */

/* Which cluster's state this instance wants. */
static int identify(struct kernel *k, struct pbft_backend *who, char *err,
		    size_t errlen)
{
	struct pbft_nl_instance *inst = NULL;
	int rc = pbft_nl_get(k->nl, k->name, &inst);

	if (rc || !inst) {
		snprintf(err, errlen, "instance %s: %s", k->name,
			 rc ? pbft_nl_error(k->nl) : "there is none");
		return rc ? rc : -ENOENT;
	}
	who->cluster = inst->cluster.cfg.cluster;
	who->epoch = inst->cluster.cfg.epoch;
	who->self = inst->st.self;
	who->generation = inst->st.key_id;
	who->schedule = (struct pbft_schedule){
		.interval = inst->cluster.recovery, .n = inst->cluster.cfg.n,
		.f = inst->cluster.cfg.f, .self = inst->st.self,
	};
	pbft_nl_instance_free(inst);
	return 0;
}

/* A binding ends with its socket, and so does all that was under way on it. */
static int new_socket(struct kernel *k)
{
	struct pbft_backend now;
	int rc;

	pbft_nl_close(k->nl);
	k->nl = NULL;
	rc = pbft_nl_open(&k->nl, k->b.err, sizeof(k->b.err));
	if (!rc)
		rc = identify(k, &now, k->b.err, sizeof(k->b.err));
	if (rc)
		return rc == -ENETDOWN ? -ENODEV : rc;
	if (now.cluster != k->b.cluster || now.epoch != k->b.epoch ||
	    now.self != k->b.self) {
		snprintf(k->b.err, sizeof(k->b.err),
			 "instance %s has become another replica, cluster or epoch: its state is another too",
			 k->name);
		return -ESTALE;
	}
	k->b.generation = now.generation;
	k->b.schedule = now.schedule;
	return 0;
}

static int kernel_bind(struct pbft_backend *b, const struct pbft_log_head *head)
{
	struct kernel *k = to_kernel(b);
	struct pbft_nl_head nl_head = { .seq = head->seq, .time = head->time };
	int rc = new_socket(k);

	if (rc)
		return rc;
	b->err[0] = 0;
	memcpy(nl_head.chain, head->chain.b, sizeof(nl_head.chain));
	return nl_failed(k, "cannot bind",
			 pbft_nl_bind(k->nl, k->name, &nl_head, &k->bound));
}

static int kernel_executed(struct pbft_backend *b, u64 seq,
			   const struct pbft_result *results, u32 count)
{
	struct kernel *k = to_kernel(b);

	return post_failed(k, "cannot send results",
			   pbft_nl_executed(k->nl, k->bound.id, seq, results,
					    count));
}

static int kernel_checkpointed(struct pbft_backend *b, u64 seq,
			       const struct pbft_digest *root)
{
	struct kernel *k = to_kernel(b);

	return post_failed(k, "cannot send a checkpoint's digest",
			   pbft_nl_checkpointed(k->nl, k->bound.id, seq, root->b));
}

static int kernel_state_installed(struct pbft_backend *b, u64 seq,
				  const struct pbft_digest *root)
{
	struct kernel *k = to_kernel(b);

	pbft_log(LOG_NOTICE, "caught up: the state at %llu is installed",
		 (unsigned long long)seq);
	return post_failed(k, "cannot tell that the state is installed",
			   pbft_nl_state_installed(k->nl, k->bound.id, seq,
						   root->b));
}

/* For show only: if it is lost, the next one comes soon. */
static int kernel_progress(struct pbft_backend *b, const struct pbft_xfer_progress *p)
{
	struct kernel *k = to_kernel(b);

	pbft_nl_fetch_progress(k->nl, k->bound.id, p->seq, p->done, p->total);
	return 0;
}

static int kernel_recovery(struct pbft_backend *b, const struct pbft_recovery_report *r)
{
	const struct pbft_nl_recovery nl = {
		.state = r->state, .scheduled = r->scheduled, .seq = r->seq,
		.total = r->total, .checked = r->checked, .damaged = r->damaged,
		.repaired = r->repaired,
	};
	struct kernel *k = to_kernel(b);

	return post_failed(k, "cannot tell how far the recovery is",
			   pbft_nl_recovery(k->nl, k->bound.id, &nl));
}

/* The bound socket does not wait for answers. */
static int open_admin(struct kernel *k)
{
	return k->admin ? 0 : pbft_nl_open(&k->admin, k->b.err, sizeof(k->b.err));
}

/* The instance as it is now, to be freed; NULL: it cannot be told, and need not be. */
static struct pbft_nl_instance *look(struct kernel *k)
{
	struct pbft_nl_instance *inst = NULL;

	if (open_admin(k) || pbft_nl_get(k->admin, k->name, &inst))
		inst = NULL;
	k->b.err[0] = 0;
	return inst;
}

static u64 kernel_stable(struct pbft_backend *b)
{
	struct pbft_nl_instance *inst = look(to_kernel(b));
	u64 stable = inst ? inst->st.stable : 0;

	pbft_nl_instance_free(inst);
	return stable;
}

static void kernel_look_at_keys(struct pbft_backend *b)
{
	struct pbft_nl_instance *inst = look(to_kernel(b));

	if (inst)
		b->generation = inst->st.key_id;
	pbft_nl_instance_free(inst);
}

static int kernel_set_key(struct pbft_backend *b, u8 generation)
{
	struct kernel *k = to_kernel(b);
	int rc = open_admin(k);

	if (!rc && pbft_nl_set_key(k->admin, k->name, generation)) {
		snprintf(b->err, sizeof(b->err), "instance %s: %s", k->name,
			 pbft_nl_error(k->admin));
		rc = -EIO;
	}
	return rc;
}

static void kernel_peer_send(struct pbft_backend *b, u32 peer, const void *data,
			     u32 len)
{
	struct kernel *k = to_kernel(b);

	pbft_nl_peer_send(k->nl, k->bound.id, peer, data, len);
}

static u32 kernel_peer_mtu(struct pbft_backend *b)
{
	return to_kernel(b)->bound.peer_mtu;
}

static int kernel_fd(struct pbft_backend *b)
{
	return pbft_nl_fd(to_kernel(b)->nl);
}

static u64 kernel_deadline(struct pbft_backend *b)
{
	return U64_MAX;
}

static int kernel_poll(struct pbft_backend *b)
{
	struct kernel *k = to_kernel(b);
	int n = pbft_nl_dispatch(k->nl, &daemon_ops, k, TURN_MAX);

	if (n == -ENETDOWN || n == -ENOBUFS) {
		pbft_log(LOG_WARNING, "instance %s: %s", k->name,
			 pbft_nl_error(k->nl));
		b->lost = true;
		return 0;
	}
	if (n < 0)
		return nl_failed(k, "the binding is lost", n);
	pbft_app_settle(b->app);
	return b->err[0] ? -EPROTO : n;
}

static void kernel_close(struct pbft_backend *b)
{
	struct kernel *k = to_kernel(b);

	pbft_nl_close(k->admin);
	pbft_nl_close(k->nl);
	free(k);
}

static const struct pbft_backend_ops kernel_ops = {
	.bind = kernel_bind,
	.executed = kernel_executed,
	.checkpointed = kernel_checkpointed,
	.state_installed = kernel_state_installed,
	.progress = kernel_progress,
	.recovery = kernel_recovery,
	.stable = kernel_stable,
	.look_at_keys = kernel_look_at_keys,
	.set_key = kernel_set_key,
	.peer_send = kernel_peer_send,
	.peer_mtu = kernel_peer_mtu,
	.fd = kernel_fd,
	.deadline = kernel_deadline,
	.poll = kernel_poll,
	.close = kernel_close,
};

int pbft_backend_kernel(struct pbft_backend **out, const char *name, char *err,
			size_t errlen)
{
	struct kernel *k;
	int rc;

	if (!name[0] || strlen(name) > PBFT_NAME_MAX) {
		snprintf(err, errlen, "an instance's name has 1 to %d bytes",
			 PBFT_NAME_MAX);
		return -EINVAL;
	}
	k = calloc(1, sizeof(*k));
	if (!k) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	strcpy(k->name, name);
	k->b.ops = &kernel_ops;
	rc = pbft_nl_open(&k->nl, err, errlen);
	if (!rc)
		rc = identify(k, &k->b, err, errlen);
	if (rc) {
		kernel_close(&k->b);
		return rc;
	}
	*out = &k->b;
	return 0;
}
