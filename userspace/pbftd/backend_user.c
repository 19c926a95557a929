// SPDX-License-Identifier: GPL-2.0
/* The backend that hosts a replica in this process. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "app.h"
#include "libpbft/crypto.h"
#include "libpbft/journal_file.h"
#include "log.h"
#include "replica/replica.h"

struct user {
	struct pbft_backend b;
	struct pbft_cluster cluster;
	struct pbft_replica *replica;
	struct pbft_replica_stats stats;
	int journal_fd;
	struct pbft_store_req reqs[PBFT_BATCH_MAX];
};

static struct user *to_user(struct pbft_backend *b)
{
	return container_of(b, struct user, b);
}

/* ---- from the replica --------------------------------------------------------- */

static void on_apply(void *arg, const struct pbft_log_head *head,
		     struct pbft_batch *batch)
{
	u32 count = batch ? pbft_batch_count(batch) : 0, i;
	struct user *u = arg;

	for (i = 0; i < count && i < PBFT_BATCH_MAX; i++) {
		struct pbft_batch_req req;

		pbft_batch_req(batch, i, &req);
		u->reqs[i].client = req.client;
		u->reqs[i].session = req.session;
		u->reqs[i].t = req.t;
		u->reqs[i].op = req.op;
		u->reqs[i].op_len = req.op_len;
	}
	pbft_app_apply(u->b.app, head, u->reqs, count);
}

static void on_snapshot(void *arg, u64 seq)
{
	pbft_app_snapshot(((struct user *)arg)->b.app, seq);
}

static void on_discard(void *arg, u64 seq)
{
	pbft_app_discard(((struct user *)arg)->b.app, seq);
}

static void on_fetch_state(void *arg, const struct pbft_log_head *head,
			   const struct pbft_digest *root, u64 peers)
{
	pbft_app_fetch_state(((struct user *)arg)->b.app, head, root, peers);
}

static void on_settle(void *arg)
{
	pbft_app_settle(((struct user *)arg)->b.app);
}

static void on_peer_recv(void *arg, u32 peer, const void *data, u32 len)
{
	pbft_app_peer_recv(((struct user *)arg)->b.app, peer, data, len);
}

static void log_event(const struct user *u, const struct pbft_out *ev)
{
	unsigned long long view = ev->view, seq = ev->head.seq;
	struct pbft_status st;

	switch (ev->code) {
	case PBFT_EV_VIEW_CHANGE:
		pbft_log(LOG_NOTICE, "left for view %llu", view);
		break;
	case PBFT_EV_NEW_VIEW:
		pbft_log(LOG_NOTICE, "entered view %llu", view);
		break;
	case PBFT_EV_STABLE:
		pbft_log(LOG_DEBUG, "checkpoint %llu is stable", seq);
		break;
	case PBFT_EV_QUORUM_LOST:
		pbft_log(LOG_WARNING, "as primary: batches do not commit, the quorum is lost");
		break;
	case PBFT_EV_BEHIND:
		pbft_log(LOG_NOTICE, "behind: fetching the state at %llu", seq);
		break;
	case PBFT_EV_SYNCED:
		pbft_log(LOG_NOTICE, "caught up: the state at %llu is installed", seq);
		break;
	case PBFT_EV_RECOVERED:
		pbft_log(LOG_NOTICE, "recovered: taking part in votes again");
		break;
	case PBFT_EV_EVIDENCE:
		pbft_log(LOG_WARNING, "replica %u is provably faulty", ev->client);
		break;
	case PBFT_EV_STOPPED:
		pbft_replica_status(u->replica, &st);
		pbft_log(LOG_ERR, "stopped: %s", st.reason ? st.reason : "?");
		break;
	}
}

static void on_event(void *arg, const struct pbft_out *event)
{
	struct user *u = arg;

	u->b.changed = true;
	log_event(u, event);
}

static const struct pbft_replica_ops replica_ops = {
	.apply = on_apply,
	.snapshot = on_snapshot,
	.discard = on_discard,
	.fetch_state = on_fetch_state,
	.settle = on_settle,
	.peer_recv = on_peer_recv,
	.event = on_event,
};

/* ---- to the replica ------------------------------------------------------------ */

static int refused(struct user *u, const char *what, u64 seq, int rc)
{
	if (rc)
		snprintf(u->b.err, sizeof(u->b.err),
			 "the replica refuses %s %llu: %s", what,
			 (unsigned long long)seq, strerror(-rc));
	return rc;
}

static int user_bind(struct pbft_backend *b, const struct pbft_log_head *head)
{
	struct user *u = to_user(b);
	int rc = pbft_replica_bind(u->replica, head);

	if (rc == -ESTALE)
		snprintf(b->err, sizeof(b->err),
			 "--genesis begins a new cluster, but the database stands at batch %llu: start without --genesis",
			 (unsigned long long)head->seq);
	else if (rc == -EBADMSG)
		snprintf(b->err, sizeof(b->err),
			 "the state at batch %llu is not one of this cluster's log",
			 (unsigned long long)head->seq);
	else
		refused(u, "the state at", head->seq, rc);
	return rc;
}

static int user_executed(struct pbft_backend *b, u64 seq,
			 const struct pbft_result *results, u32 count)
{
	return refused(to_user(b), "the results of batch", seq,
		       pbft_replica_executed(to_user(b)->replica, seq, results,
					     count));
}

static int user_checkpointed(struct pbft_backend *b, u64 seq,
			     const struct pbft_digest *root)
{
	return refused(to_user(b), "the checkpoint at", seq,
		       pbft_replica_checkpointed(to_user(b)->replica, seq, root));
}

static int user_state_installed(struct pbft_backend *b, u64 seq,
				const struct pbft_digest *root)
{
	return refused(to_user(b), "the installed state at", seq,
		       pbft_replica_state_installed(to_user(b)->replica, seq,
						    root));
}

static u64 user_stable(struct pbft_backend *b)
{
	struct pbft_status st;

	pbft_replica_status(to_user(b)->replica, &st);
	return st.h;
}

static int user_set_key(struct pbft_backend *b, u8 generation)
{
	return pbft_replica_set_key(to_user(b)->replica, generation);
}

static void user_peer_send(struct pbft_backend *b, u32 peer, const void *data,
			   u32 len)
{
	pbft_replica_peer_send(to_user(b)->replica, peer, data, len);
}

static u32 user_peer_mtu(struct pbft_backend *b)
{
	return pbft_replica_peer_mtu(to_user(b)->replica);
}

static int user_fd(struct pbft_backend *b)
{
	return pbft_replica_fd(to_user(b)->replica);
}

static u64 user_deadline(struct pbft_backend *b)
{
	return pbft_replica_deadline(to_user(b)->replica);
}

static int user_poll(struct pbft_backend *b)
{
	int n = pbft_replica_poll(to_user(b)->replica, 0);

	if (n < 0)
		snprintf(b->err, sizeof(b->err), "the socket failed: %s",
			 strerror(-n));
	return n;
}

static void user_status(struct pbft_backend *b, struct pbft_status *st)
{
	pbft_replica_status(to_user(b)->replica, st);
}

static const struct pbft_replica_stats *user_stats(struct user *u)
{
	pbft_replica_stats(u->replica, &u->stats);
	return &u->stats;
}

static void user_counters(struct pbft_backend *b,
			  void (*put)(void *arg, const char *name, u64 value),
			  void *arg)
{
	const struct pbft_counters *c = pbft_replica_counters(to_user(b)->replica);
	const struct pbft_replica_stats *s = user_stats(to_user(b));
	const struct {
		const char *name;
		u64 value;
	} list[] = {
#define CORE(field) { #field, c->field }
		CORE(requests), CORE(requests_dup), CORE(pre_prepares),
		CORE(prepares), CORE(commits), CORE(votes_ignored),
		CORE(batches), CORE(batches_null), CORE(ops), CORE(replies),
		CORE(view_changes), CORE(new_views), CORE(new_views_bad),
		CORE(checkpoints), CORE(stable), CORE(fetches), CORE(proofs),
		CORE(state_fetches), CORE(evidence), CORE(out_dropped),
		CORE(held),
#undef CORE
		{ "rx_packets", s->rx_packets }, { "rx_bytes", s->rx_bytes },
		{ "tx_packets", s->tx_packets }, { "tx_bytes", s->tx_bytes },
		{ "rx_calls", s->rx_calls }, { "rx_joined", s->rx_joined },
		{ "tx_calls", s->tx_calls }, { "tx_joined", s->tx_joined },
		{ "tx_apart", s->tx_apart },
		{ "gso", s->gso }, { "gro", s->gro },
		{ "tx_errors", s->tx_errors },
		{ "tx_no_address", s->tx_no_address },
		{ "hellos", s->hellos }, { "hello_stale", s->hellos_old },
		{ "inner_bad", s->inner_bad },
	};
	char name[32];
	u32 i;

	for (i = 0; i < ARRAY_SIZE(list); i++)
		put(arg, list[i].name, list[i].value);
	for (i = PBFT_OK + 1; i < PBFT_DROP_MAX; i++) {
		snprintf(name, sizeof(name), "drop_%s", pbft_drop_name(i));
		put(arg, name, s->drops[i]);
	}
}

static void user_journal(struct pbft_backend *b, struct pbft_replica_journal *j)
{
	pbft_replica_journal(to_user(b)->replica, j);
}

static int user_down(struct pbft_backend *b)
{
	int rc = pbft_replica_down(to_user(b)->replica);

	if (rc)
		snprintf(b->err, sizeof(b->err), "the journal could not be completed: %s",
			 strerror(-rc));
	return rc;
}

static void user_close(struct pbft_backend *b)
{
	struct user *u = to_user(b);

	pbft_replica_destroy(u->replica);
	if (u->journal_fd >= 0)
		close(u->journal_fd);
	pbft_cluster_free(&u->cluster);
	free(u);
}

static const struct pbft_backend_ops user_ops = {
	.bind = user_bind,
	.executed = user_executed,
	.checkpointed = user_checkpointed,
	.state_installed = user_state_installed,
	.stable = user_stable,
	.set_key = user_set_key,
	.peer_send = user_peer_send,
	.peer_mtu = user_peer_mtu,
	.fd = user_fd,
	.deadline = user_deadline,
	.poll = user_poll,
	.status = user_status,
	.counters = user_counters,
	.journal = user_journal,
	.down = user_down,
	.close = user_close,
};

static int whose_key(struct user *u, const struct pbft_user_opts *opts,
		     const u8 key[32], u32 *self, char *err, size_t errlen)
{
	const struct pbft_node *node;
	u8 public_key[32];
	int rc;

	if (opts->self >= 0) {
		*self = opts->self;
		return 0;
	}
	rc = pbft_pubkey(public_key, key);
	node = rc ? NULL : pbft_cluster_by_key(&u->cluster, public_key);
	if (!node || node->id >= PBFT_N_MAX) {
		snprintf(err, errlen, "%s: the key is not one of a replica in %s",
			 opts->key_path, opts->cluster_path);
		return -EKEYREJECTED;
	}
	*self = node->id;
	return 0;
}

static int open_journal(struct user *u, const struct pbft_user_opts *opts,
			struct pbft_replica_config *cfg, char *err, size_t errlen)
{
	if (!opts->journal || opts->journal_mode == PBFT_JOURNAL_NONE)
		return 0;
	u->journal_fd = pbft_journal_file_open(opts->journal, opts->journal_size, err,
					       errlen);
	if (u->journal_fd < 0)
		return u->journal_fd;
	cfg->journal_fd = u->journal_fd;
	cfg->journal_mode = opts->journal_mode;
	return 0;
}

static void log_journal(const struct user *u)
{
	struct pbft_replica_journal j;

	pbft_replica_journal(u->replica, &j);
	if (!j.mode)
		return;
	pbft_log(LOG_INFO, "journal in mode %s: %llu records replayed",
		 pbft_journal_mode_name(j.mode), (unsigned long long)j.replayed);
	if (j.flags & PBFT_JF_DAMAGED)
		pbft_log(LOG_WARNING, "the journal had lost records: it begins anew, as a replica that has forgotten");
}

int pbft_backend_user(struct pbft_backend **out, const struct pbft_user_opts *opts,
		      char *err, size_t errlen)
{
	struct user *u = calloc(1, sizeof(*u));
	struct pbft_replica_config cfg = {
		.genesis = opts->genesis,
		.busy_poll = opts->busy_poll,
		.no_offload = opts->no_offload,
		.ops = &replica_ops,
		.arg = u,
	};
	u8 key[32];
	int rc;

	if (!u) {
		snprintf(err, errlen, "out of memory");
		return -ENOMEM;
	}
	u->journal_fd = -1;
	rc = pbft_cluster_load(&u->cluster, opts->cluster_path, err, errlen);
	if (rc) {
		free(u);
		return rc;
	}
	cfg.cluster = &u->cluster;
	cfg.private_key = key;
	rc = pbft_key_load(opts->key_path, opts->lax_key, key, err, errlen);
	if (!rc)
		rc = whose_key(u, opts, key, &cfg.self, err, errlen);
	if (!rc)
		rc = open_journal(u, opts, &cfg, err, errlen);
	if (!rc)
		rc = pbft_replica_create(&u->replica, &cfg, err, errlen);
	explicit_bzero(key, sizeof(key));
	if (rc) {
		user_close(&u->b);
		return rc;
	}
	log_journal(u);
	u->b.ops = &user_ops;
	u->b.cluster = u->cluster.cfg.cluster;
	u->b.epoch = u->cluster.cfg.epoch;
	u->b.self = cfg.self;
	u->b.generation = opts->generation;
	pbft_replica_set_key(u->replica, opts->generation);
	u->b.schedule = (struct pbft_schedule){
		.interval = u->cluster.recovery, .n = u->cluster.cfg.n,
		.f = u->cluster.cfg.f, .self = cfg.self,
	};
	*out = &u->b;
	return 0;
}
