// SPDX-License-Identifier: GPL-2.0
/*
 * A replica in userspace: its life, its turns, and what becomes of the core's
 * outbox. Without a journal the core asks for nothing to be kept, and a replica that
 * starts again is one that has forgotten, as the core assumes of it.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "replica_priv.h"

#define OUT_BATCH	64
#define SOCKET_BUFFER	(4 << 20)
#define WALL_INTERVAL	(1000000000ull)
/* Datagrams taken in one poll before the deadline is looked at again. */
#define ROUND_MAX	(16 * RX_BATCH)

static u64 clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

u64 rep_now(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

/* ---- the outbox -------------------------------------------------------------- */

static void act(struct pbft_replica *r, struct pbft_out *out)
{
	const struct pbft_replica_ops *ops = r->ops;

	switch (out->type) {
	case PBFT_OUT_SEND:
		rep_send(r, out);
		break;
	case PBFT_OUT_APPLY:
		r->applied = true;
		r->view = out->view;
		if (ops->apply)
			ops->apply(r->arg, &out->head, out->batch);
		break;
	case PBFT_OUT_SNAPSHOT:
		if (ops->snapshot)
			ops->snapshot(r->arg, out->head.seq);
		break;
	case PBFT_OUT_DISCARD:
		if (ops->discard)
			ops->discard(r->arg, out->head.seq);
		break;
	case PBFT_OUT_FETCH_STATE:
		if (ops->fetch_state)
			ops->fetch_state(r->arg, &out->head, &out->digest,
					 out->to);
		break;
	case PBFT_OUT_EVENT:
		if (out->code == PBFT_EV_NEW_VIEW)
			r->view = out->view;
		if (ops->event)
			ops->event(r->arg, out);
		break;
	case PBFT_OUT_PERSIST:	/* it is durable */
		break;
	}
	pbft_out_release(out);
}

void rep_drain(struct pbft_replica *r)
{
	struct pbft_out out[OUT_BATCH];
	unsigned int n, i;

	/* A callback that calls back in leaves its outputs to the outer turn. */
	if (r->draining)
		return;
	r->draining = true;
	do {
		while ((n = pbft_ready(r->core, out, OUT_BATCH)))
			for (i = 0; i < n; i++)
				if (!rep_disk_holds(r, &out[i]))
					act(r, &out[i]);
		for (i = 0; rep_disk_next(r, &out[0]); i++)
			act(r, &out[0]);
	} while (i);
	r->draining = false;
}

/* Let the application commit what was applied, as often as there is something. */
static void finish(struct pbft_replica *r)
{
	rep_disk_commit(r);
	rep_flush(r);
	while (r->applied && r->ops->settle) {
		r->applied = false;
		r->ops->settle(r->arg);
		rep_drain(r);
		rep_disk_commit(r);
		rep_flush(r);
	}
}

/* After a call into the core; from outside of poll this is a turn of its own. */
static void settle(struct pbft_replica *r)
{
	rep_drain(r);
	if (r->in_poll || r->draining)
		return;
	r->in_poll = true;
	finish(r);
	r->in_poll = false;
}

/* The core proposes wall-clock time; the clock may be set while we run. */
static void look_at_wall(struct pbft_replica *r)
{
	if (r->wall_at && r->now - r->wall_at < WALL_INTERVAL)
		return;
	r->wall_at = r->now;
	pbft_set_wall_offset(r->core, (s64)(clock_ns(CLOCK_REALTIME) - r->now));
}

/* ---- creation ------------------------------------------------------------------ */

static int open_socket(struct pbft_replica *r, const struct pbft_node *self,
		       int buffer, char *err, size_t errlen)
{
	char where[PBFT_ENDPOINT_TEXT_LEN];
	int size = buffer ? buffer : SOCKET_BUFFER;

	if (!self->endpoint_len) {
		snprintf(err, errlen, "replica %u has no endpoint", r->self);
		return -EDESTADDRREQ;
	}
	pbft_endpoint_to_text(where, &self->endpoint);
	r->fd = socket(self->endpoint.ss_family,
		       SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (r->fd < 0) {
		snprintf(err, errlen, "cannot open a UDP socket: %s",
			 strerror(errno));
		return -errno;
	}
	/* With the privilege beyond the limit, without it as far as allowed. */
	if (setsockopt(r->fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)))
		setsockopt(r->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (setsockopt(r->fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)))
		setsockopt(r->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (bind(r->fd, (const void *)&self->endpoint, self->endpoint_len)) {
		snprintf(err, errlen, "cannot listen on %s: %s", where,
			 strerror(errno));
		return -errno;
	}
	return 0;
}

static int check_key(struct pbft_replica *r, const struct pbft_node *self,
		     char *err, size_t errlen)
{
	int rc = pbft_pubkey(r->public_key, r->private_key);

	if (rc) {
		snprintf(err, errlen, "the private key can not be used");
		return rc;
	}
	if (memcmp(r->public_key, self->public_key, sizeof(r->public_key))) {
		snprintf(err, errlen,
			 "the private key is not the one of replica %u in the cluster file",
			 r->self);
		return -EKEYREJECTED;
	}
	return 0;
}

static int make_core(struct pbft_replica *r, const struct pbft_replica_config *cfg,
		     bool genesis, bool restore, char *err, size_t errlen)
{
	struct pbft_config core = cfg->cluster->cfg;
	u32 i;
	int rc;

	core.self = cfg->self;
	core.genesis = genesis;
	core.restore = restore;
	core.journal = cfg->journal_mode != PBFT_JOURNAL_NONE;
	r->core = pbft_core_create(&core, r->now);
	if (!r->core) {
		snprintf(err, errlen, "out of memory for the replica");
		return -ENOMEM;
	}
	look_at_wall(r);
	for (i = 0; i < cfg->cluster->n_clients; i++) {
		rc = pbft_client_add(r->core, cfg->cluster->clients[i].id);
		if (rc) {
			snprintf(err, errlen, "client %u cannot be added: %s",
				 cfg->cluster->clients[i].id, strerror(-rc));
			return rc;
		}
	}
	return 0;
}

/*
 * A core that takes up what the journal says. One that says nothing is new, and
 * the replica begins as it is told to; one that has lost records makes it one
 * that has forgotten.
 */
static int remember(struct pbft_replica *r, const struct pbft_replica_config *cfg,
		    char *err, size_t errlen)
{
	const char *why;
	int rc = rep_disk_open(r, cfg, &why);

	if (rc)
		goto out_why;
	rc = make_core(r, cfg, false, true, err, errlen);
	if (rc)
		return rc;
	rc = rep_disk_replay(r, &why);
	if (rc < 0)
		goto out_why;
	if (!rc) {
		pbft_core_destroy(r->core);
		rc = make_core(r, cfg, cfg->genesis && !r->disk.damaged, false, err,
			       errlen);
		if (rc)
			return rc;
	}
	rc = rep_disk_start(r, &why);
	if (!rc)
		return 0;
out_why:
	snprintf(err, errlen, "%s (%s)", why, strerror(-rc));
	return rc;
}

static int create_core(struct pbft_replica *r,
		       const struct pbft_replica_config *cfg, char *err,
		       size_t errlen)
{
	struct pbft_config core = cfg->cluster->cfg;
	const char *why;

	core.self = cfg->self;
	why = pbft_config_check(&core);
	if (why) {
		snprintf(err, errlen, "the cluster's configuration is refused: %s",
			 why);
		return -EINVAL;
	}
	r->now = rep_now();
	if (cfg->journal_mode != PBFT_JOURNAL_NONE)
		return remember(r, cfg, err, errlen);
	return make_core(r, cfg, cfg->genesis, false, err, errlen);
}

static int create(struct pbft_replica *r, const struct pbft_replica_config *cfg,
		  char *err, size_t errlen)
{
	const struct pbft_cluster *c = cfg->cluster;
	int rc;

	if (cfg->self >= c->n_replicas) {
		snprintf(err, errlen, "the cluster has no replica %u", cfg->self);
		return -ENOENT;
	}
	if (!pbft_mac_by_name(&r->mac, c->mac)) {
		snprintf(err, errlen,
			 "the userspace replica has no MAC \"%s\", only " PBFT_MAC_NAMES,
			 c->mac);
		return -EOPNOTSUPP;
	}
	rc = check_key(r, &c->replicas[cfg->self], err, errlen);
	if (rc)
		return rc;
	/* First the address, which nobody else has, then what the journal says. */
	rc = open_socket(r, &c->replicas[cfg->self], cfg->socket_buffer, err, errlen);
	if (rc)
		return rc;
	if (rep_peers_init(r, c) || rep_tx_init(r) ||
	    pbft_udp_rx_init(&r->rx, r->fd, RX_BATCH, r->mtu, r->offload)) {
		snprintf(err, errlen, "out of memory for the replica");
		return -ENOMEM;
	}
	return create_core(r, cfg, err, errlen);
}

int pbft_replica_create(struct pbft_replica **out,
			const struct pbft_replica_config *cfg, char *err,
			size_t errlen)
{
	static const struct pbft_replica_ops none;
	const struct pbft_cluster *c = cfg->cluster;
	struct pbft_replica *r = calloc(1, sizeof(*r));
	int rc;

	if (!r) {
		snprintf(err, errlen, "out of memory for the replica");
		return -ENOMEM;
	}
	r->fd = -1;
	r->self = cfg->self;
	r->wire.cluster = c->cfg.cluster;
	r->wire.epoch = c->cfg.epoch;
	r->wire.n = c->n_replicas;
	r->mtu = c->mtu;
	r->busy_poll = cfg->busy_poll;
	r->offload = !cfg->no_offload;
	r->ops = cfg->ops ? cfg->ops : &none;
	r->arg = cfg->arg;
	memcpy(r->private_key, cfg->private_key, sizeof(r->private_key));
	rc = create(r, cfg, err, errlen);
	if (rc) {
		pbft_replica_destroy(r);
		return rc;
	}
	*out = r;
	/* a crash from here on finds on record that the replica exists */
	settle(r);
	return 0;
}

void pbft_replica_destroy(struct pbft_replica *r)
{
	struct pbft_out out;

	if (!r)
		return;
	if (r->core) {
		while (pbft_ready(r->core, &out, 1))
			pbft_out_release(&out);
		pbft_core_destroy(r->core);
	}
	rep_disk_close(r);
	rep_tx_free(r);
	pbft_udp_rx_free(&r->rx);
	rep_peers_free(r);
	if (r->fd >= 0)
		close(r->fd);
	explicit_bzero(r->private_key, sizeof(r->private_key));
	free(r);
}

/* ---- turns ----------------------------------------------------------------------- */

static void tick(struct pbft_replica *r)
{
	if (pbft_next_deadline(r->core) > r->now)
		return;
	look_at_wall(r);
	if (!rep_disk_ready(r))
		rep_disk_commit(r);
	pbft_tick(r->core, r->now);
	rep_drain(r);
}

static int round_of_datagrams(struct pbft_replica *r)
{
	int total = 0, n;
	bool more;

	r->in_poll = true;
	r->now = rep_now();
	look_at_wall(r);
	do {
		n = rep_receive(r, &more);
		if (n > 0)
			total += n;
	} while (more && total < ROUND_MAX);
	tick(r);
	finish(r);
	r->in_poll = false;
	return n < 0 ? n : total;
}

static void sleep_for(struct pbft_replica *r, u64 ns)
{
	struct pollfd p = { .fd = r->fd, .events = POLLIN };
	struct timespec ts = {
		.tv_sec = ns / 1000000000u, .tv_nsec = ns % 1000000000u,
	};

	r->stats.polls++;
	ppoll(&p, 1, &ts, NULL);
}

int pbft_replica_poll(struct pbft_replica *r, u64 wait)
{
	u64 start, due, left;
	int n = round_of_datagrams(r);

	if (n || !wait)
		return n;
	start = r->now;
	/* Spin first, if asked to: a wake-up costs more than a few empty looks. */
	while (rep_now() - start < min(wait, r->busy_poll)) {
		n = round_of_datagrams(r);
		if (n)
			return n;
	}
	due = pbft_next_deadline(r->core);
	r->now = rep_now();
	left = wait > r->now - start ? wait - (r->now - start) : 0;
	if (due <= r->now)
		left = 0;
	else
		left = min(left, due - r->now);
	if (left)
		sleep_for(r, left);
	return round_of_datagrams(r);
}

int pbft_replica_fd(const struct pbft_replica *r)
{
	return r->fd;
}

u64 pbft_replica_deadline(const struct pbft_replica *r)
{
	return pbft_next_deadline(r->core);
}

/* ---- the application's side ---------------------------------------------------- */

static void enter(struct pbft_replica *r)
{
	if (!r->in_poll && !r->draining) {
		r->now = rep_now();
		look_at_wall(r);
	}
}

int pbft_replica_bind(struct pbft_replica *r, const struct pbft_log_head *head)
{
	int rc;

	enter(r);
	rc = pbft_bind(r->core, r->now, head);
	settle(r);
	return rc;
}

void pbft_replica_unbind(struct pbft_replica *r)
{
	enter(r);
	rep_disk_unbind(r);
	pbft_unbind(r->core);
	settle(r);
}

int pbft_replica_executed(struct pbft_replica *r, u64 seq,
			  const struct pbft_result *results, u32 count)
{
	int rc;

	enter(r);
	rc = pbft_executed(r->core, r->now, seq, results, count);
	settle(r);
	return rc;
}

int pbft_replica_checkpointed(struct pbft_replica *r, u64 seq,
			      const struct pbft_digest *app)
{
	int rc;

	enter(r);
	rc = pbft_checkpointed(r->core, r->now, seq, app);
	settle(r);
	return rc;
}

int pbft_replica_state_installed(struct pbft_replica *r, u64 seq,
				 const struct pbft_digest *app)
{
	int rc;

	enter(r);
	rc = pbft_state_installed(r->core, r->now, seq, app);
	settle(r);
	return rc;
}

u32 pbft_replica_peer_mtu(const struct pbft_replica *r)
{
	return r->mtu - sizeof(struct pbft_peer_data) - PBFT_MAC_LEN;
}

int pbft_replica_peer_send(struct pbft_replica *r, u32 peer, const void *data,
			   u32 len)
{
	struct pbft_peer_data *m;
	struct pbft_buf *buf;

	if (peer >= r->wire.n || peer == r->self)
		return -EINVAL;
	if (len > pbft_replica_peer_mtu(r))
		return -EMSGSIZE;
	buf = pbft_buf_alloc(sizeof(*m) + len);
	if (!buf)
		return -ENOMEM;
	m = (void *)buf->data;
	buf->len = sizeof(*m) + len;
	pbft_wire_header(&m->hdr, &r->wire, PBFT_PEER_DATA, buf->len, r->self, 0,
			 0);
	memcpy(m->data, data, len);
	rep_send_to(r, &r->replicas[peer], buf);
	pbft_buf_put(buf);
	if (!r->in_poll && !r->draining)
		rep_flush(r);
	return 0;
}

int pbft_replica_set_key(struct pbft_replica *r, u8 key_id)
{
	/* What is queued is authenticated already, under the generation before. */
	rep_flush(r);
	r->key_id = key_id;
	return 0;
}

void pbft_replica_stop(struct pbft_replica *r, const char *reason)
{
	pbft_stop(r->core, reason);
	settle(r);
}

void pbft_replica_status(const struct pbft_replica *r, struct pbft_status *st)
{
	pbft_status_get(r->core, st);
}

const struct pbft_counters *pbft_replica_counters(const struct pbft_replica *r)
{
	return pbft_counters_get(r->core);
}

void pbft_replica_stats(const struct pbft_replica *r, struct pbft_replica_stats *st)
{
	const struct pbft_udp_stats *rx = &r->rx.stats, *tx = &r->tx.udp.stats;

	*st = r->stats;
	st->rx_packets = rx->datagrams;
	st->rx_bytes = rx->bytes;
	st->rx_calls = rx->calls;
	st->rx_joined = rx->datagrams - rx->packets;
	st->tx_packets = tx->datagrams;
	st->tx_bytes = tx->bytes;
	st->tx_calls = tx->calls;
	st->tx_joined = tx->datagrams - tx->packets;
	st->tx_apart = tx->refused;
	st->tx_errors += tx->errors;
	st->gso = r->tx.udp.gso;
	st->gro = r->rx.gro;
}

const struct pbft_core *pbft_replica_core(const struct pbft_replica *r)
{
	return r->core;
}
