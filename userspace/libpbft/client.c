// SPDX-License-Identifier: GPL-2.0
/*
 * The client's public face: opening and closing a session, submitting, and what
 * comes of it.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "libpbft/client_priv.h"

/* ---- opening -------------------------------------------------------- */

static int open_peer(struct pbft_client *c, u32 i, const u8 private_key[32])
{
	const struct pbft_node *node = &c->cluster->replicas[i];
	struct pbft_pair_id pair = {
		c->wire.cluster, c->wire.epoch, c->id, i, c->mac
	};
	struct peer *p = &c->peers[i];
	int ret;

	memcpy(p->public_key, node->public_key, sizeof(p->public_key));
	ret = pbft_shared_secret(p->shared, private_key, p->public_key);
	if (ret)
		return ret;
	pbft_pair_key_shared(&pair, p->shared, c->public_key, p->public_key, 0,
			     true, &p->tx);
	pbft_pair_key_shared(&pair, p->shared, c->public_key, p->public_key, 0,
			     false, &p->rx[0].key);
	return 0;
}

static int open_buffers(struct pbft_client *c)
{
	u32 i;

	c->votes = calloc((size_t)PBFT_CLIENT_WINDOW * c->n, sizeof(*c->votes));
	if (!c->votes)
		return -ENOMEM;
	for (i = 0; i < PBFT_CLIENT_WINDOW; i++)
		c->slots[i].votes = c->votes + (size_t)i * c->n;
	return 0;
}

static int open_session(struct pbft_client *c, const u8 private_key[32])
{
	int ret = open_buffers(c);
	u32 i;

	if (ret)
		return ret;
	for (i = 0; i < c->n; i++) {
		ret = open_peer(c, i, private_key);
		if (ret)
			return ret;
	}
	if (getrandom(&c->rng, sizeof(c->rng), 0) != sizeof(c->rng))
		return -EIO;
	c->oldest = 1;
	c->first_unsent = 1;
	c->next_t = 1;
	c->hello_first = 1;
	pbft_client_timer_init(c, clock_ns(CLOCK_MONOTONIC));
	pbft_client_hello(c, c->hello_wait);
	return 0;
}

int pbft_client_open_on(struct pbft_client **client, struct pbft_transport *t,
			u32 id, const u8 private_key[32])
{
	const struct pbft_cluster *cluster = t->cluster;
	const struct pbft_node *self = pbft_cluster_client(cluster, id);
	struct pbft_client *c;
	int ret;

	if (!self)
		return -ENOENT;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	INIT_LIST_HEAD(&c->active);
	c->cluster = cluster;
	c->id = id;
	c->n = cluster->n_replicas;
	c->f = cluster->cfg.f;
	c->q = pbft_quorum(c->n, c->f);
	c->wire = t->wire;
	c->peers = calloc(c->n, sizeof(*c->peers));
	ret = pbft_mac_by_name(&c->mac, cluster->mac) ? 0 : -EPROTONOSUPPORT;
	if (!ret)
		ret = c->peers ? pbft_pubkey(c->public_key, private_key) : -ENOMEM;
	if (!ret && memcmp(c->public_key, self->public_key, sizeof(c->public_key)))
		ret = -EKEYREJECTED;
	if (!ret)
		ret = pbft_transport_attach(t, c);
	if (!ret)
		ret = open_session(c, private_key);
	if (ret) {
		pbft_client_close(c);
		return ret;
	}
	*client = c;
	return 0;
}

int pbft_client_open(struct pbft_client **client,
		     const struct pbft_cluster *cluster, u32 id,
		     const u8 private_key[32])
{
	struct pbft_transport *t;
	int ret = pbft_transport_open(&t, cluster, PBFT_TRANSPORT_ALONE);

	if (ret)
		return ret;
	ret = pbft_client_open_on(client, t, id, private_key);
	/* from here on it ends with the client, or at once if there is none */
	pbft_transport_close(t);
	return ret;
}

static void cancel_all(struct pbft_client *c)
{
	u64 t;

	c->stale = true;	/* no more submissions from the callbacks */
	for (t = c->oldest; t < c->next_t; t++) {
		struct slot *s = slot_of(c, t);

		if (s->t == t && s->state != SLOT_FREE)
			pbft_slot_finish(c, s, -ECANCELED, 0, NULL, 0);
	}
}

static void free_buffers(struct pbft_client *c)
{
	u32 i, j;

	for (i = 0; i < PBFT_CLIENT_WINDOW; i++) {
		free(c->slots[i].msg.data);
		for (j = 0; j < BODIES; j++)
			free(c->slots[i].body[j].bytes.data);
	}
	for (i = 0; c->peers && i < c->n; i++)
		pbft_reasm_free(&c->peers[i].reasm);
	free(c->votes);
}

void pbft_client_close(struct pbft_client *c)
{
	if (!c)
		return;
	cancel_all(c);
	if (c->transport)
		pbft_transport_detach(c);
	free_buffers(c);
	if (c->peers)
		explicit_bzero(c->peers, c->n * sizeof(*c->peers));
	free(c->peers);
	free(c);
}

const char *pbft_client_strerror(int err)
{
	switch (err) {
	case -ENOENT:
		return "this client is not in the cluster file";
	case -EEXIST:
		return "this transport has a client of this id already";
	case -EKEYREJECTED:
		return "the private key is not this client's, or a replica's public key is no Curve25519 key";
	case -EPROTONOSUPPORT:
		return "the cluster's MAC is none of those that this library has: " PBFT_MAC_NAMES;
	case -EDESTADDRREQ:
		return "a replica in the cluster file has no endpoint";
	case -ETIMEDOUT:
		return "no answer from the cluster in time; the operation may still execute";
	case -ESTALE:
		return "the cluster knows a newer session of this client: it runs elsewhere, or this clock went back";
	case -ECANCELED:
		return "canceled; the operation may still execute";
	case -EMSGSIZE:
		return "the operation is larger than a request may be";
	default:
		return strerror(-err);
	}
}

/* ---- operations ----------------------------------------------------- */

int pbft_client_submit(struct pbft_client *c, const void *op, u32 len,
		       u64 timeout, pbft_done_fn done, void *arg)
{
	struct slot *s = slot_of(c, c->next_t);

	if (len > PBFT_OP_MAX)
		return -EMSGSIZE;
	if (c->stale)
		return -ESTALE;
	if (c->next_t >= c->oldest + PBFT_CLIENT_WINDOW)
		return -EAGAIN;
	/* from a callback: what is collected may point into this very slot */
	pbft_client_settle(c, s);
	if (!bytes_reserve(&s->msg, sizeof(struct pbft_request) + len +
				    c->n * PBFT_MAC_LEN))
		return -ENOMEM;
	s->t = c->next_t++;
	s->state = SLOT_QUEUED;
	s->owed = true;
	s->to_all = false;
	s->out_of_order = 0;
	s->expires = timeout ? clock_ns(CLOCK_MONOTONIC) + timeout : 0;
	s->done = done;
	s->arg = arg;
	s->body[0].used = false;
	s->body[1].used = false;
	memset(s->votes, 0, c->n * sizeof(*s->votes));
	pbft_client_build(c, s, op, len);
	c->owed++;
	c->stats.submitted++;
	client_activate(c);
	return 0;
}

static void call_back(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len)
{
	if (!s->owed)
		return;
	s->owed = false;
	c->owed--;
	c->called++;
	c->transport->called++;
	c->transport->calling = true;
	s->done(s->arg, err, status, result, len);
	c->transport->calling = false;
}

/*
 * The operation is decided: its place in the window is free before the callback
 * runs, which may submit the next one. A timeout is no decision.
 */
void pbft_slot_finish(struct pbft_client *c, struct slot *s, int err, u8 status,
		      const void *result, u32 len)
{
	if (err != -ETIMEDOUT) {
		if (s->state == SLOT_SENT)
			c->flight -= slot_bytes(c, s);
		s->state = SLOT_FREE;
		while (c->oldest < c->next_t &&
		       slot_of(c, c->oldest)->state == SLOT_FREE)
			c->oldest++;
		if (c->first_unsent < c->oldest)
			c->first_unsent = c->oldest;
	}
	if (!err)
		c->stats.completed++;
	call_back(c, s, err, status, result, len);
}

/* ---- the loop ------------------------------------------------------- */

int pbft_client_fd(const struct pbft_client *c)
{
	return c->transport->fd;
}

u64 pbft_client_deadline(const struct pbft_client *c)
{
	u64 at = U64_MAX, t;

	if (c->oldest == c->next_t)
		return U64_MAX;
	if (c->held)
		return c->held_until;
	if (c->first_unsent < c->next_t &&
	    pbft_client_may_send(c, &c->slots[c->first_unsent % PBFT_CLIENT_WINDOW]))
		return 0;
	if (c->hello_at < at)
		at = c->hello_at;
	for (t = c->oldest; t < c->next_t; t++) {
		const struct slot *s = &c->slots[t % PBFT_CLIENT_WINDOW];

		if (s->state == SLOT_SENT && s->resend_at < at)
			at = s->resend_at;
		if (s->state != SLOT_FREE && s->owed && s->expires &&
		    s->expires < at)
			at = s->expires;
	}
	return at;
}

int pbft_client_poll(struct pbft_client *c, u64 wait)
{
	return pbft_transport_run(c->transport, wait, &c->called);
}

u32 pbft_client_outstanding(const struct pbft_client *c)
{
	return c->owed;
}

void pbft_client_stats(const struct pbft_client *c, struct pbft_client_stats *st)
{
	*st = c->stats;
	st->view = c->view;
	st->rtt = c->srtt;
}

/* ---- one operation, waited for --------------------------------------- */

struct call {
	bool done;
	int err;
	u8 status;
	void *result;
	u32 len;
};

static void call_done(void *arg, int err, u8 status, const void *result, u32 len)
{
	struct call *call = arg;

	call->done = true;
	call->err = err;
	call->status = status;
	if (err || !len)
		return;
	call->result = malloc(len);
	if (!call->result) {
		call->err = -ENOMEM;
		return;
	}
	memcpy(call->result, result, len);
	call->len = len;
}

int pbft_client_call(struct pbft_client *c, const void *op, u32 len,
		     u64 timeout, u8 *status, void **result, u32 *result_len)
{
	struct call call = { 0 };
	int ret;

	if (c->transport->calling)
		return -EBUSY;
	ret = pbft_client_submit(c, op, len, timeout, call_done, &call);
	if (ret)
		return ret;
	while (!call.done)
		pbft_client_poll(c, U64_MAX);
	*status = call.status;
	*result = call.result;
	*result_len = call.len;
	return call.err;
}
