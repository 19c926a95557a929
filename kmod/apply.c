// SPDX-License-Identifier: GPL-2.0
/*
 * What the core wants of the application, on its way to the daemon.
 *
 * Tasks go into a ring under the instance's lock, in order, and leave it by
 * unicast from one work item, one at a time, each removed only when the
 * daemon's socket has it. A full socket or a slow daemon stalls delivery and
 * loses nothing; the core holds every batch until it is answered, and tells a
 * daemon that binds anew what is to be repeated. Daemons' datagrams are lesser
 * goods: bounded for each peer, dropped when there is no room, and never in the
 * way of tasks. That it should recover is not the core's business: a word to the
 * daemon, at once.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <net/sock.h>
#include "apply.h"
#include "events.h"
#include "disk.h"
#include "netlink.h"

/* Batches that may be with the daemon and not answered. */
#define APPLY_CREDIT	64
/* Datagrams of one peer that wait for the daemon. */
#define PEER_RECV_MAX	64
/* Until a full socket is tried again. */
#define STALL_DELAY	max(1, HZ / 250)

struct pbft_task {
	u8 type;		/* enum pbft_out_type */
	u64 to;
	struct pbft_log_head head;
	struct pbft_digest digest;
	struct pbft_batch *batch;	/* a reference */
};

/* Of an skb in peer_recv: the peer it is charged to. */
struct peer_recv_cb {
	struct pbft_peer *peer;
};

#define PEER_RECV_CB(skb) ((struct peer_recv_cb *)(skb)->cb)

/* What the work item has in hand; whom it is for cannot change meanwhile. */
struct delivery {
	u32 portid;
	u32 generation;
	struct sock *sk;
	bool revalidate;
	struct pbft_task task;
	struct sk_buff *skb;
};

/* ---- the ring, under inst->lock --------------------------------------------- */

static struct pbft_task *ring_at(struct pbft_daemon *d, u32 i)
{
	return &d->task[i & d->mask];
}

static bool ring_empty(const struct pbft_daemon *d)
{
	return d->head == d->tail;
}

static void ring_pop(struct pbft_daemon *d)
{
	pbft_batch_put(ring_at(d, d->head)->batch);
	d->head++;
}

/* The latest of these makes those right before it pointless. */
static struct pbft_task *superseded(struct pbft_daemon *d, u8 type)
{
	struct pbft_task *last = ring_at(d, d->tail - 1);

	if (type != PBFT_OUT_DISCARD && type != PBFT_OUT_FETCH_STATE)
		return NULL;
	/* The first may be on its way already. */
	if (d->tail - d->head < 2 || last->type != type)
		return NULL;
	return last;
}

void pbft_task_add(struct pbft_instance *inst, struct pbft_core *core,
		   struct pbft_out *out)
{
	struct pbft_daemon *d = &inst->daemon;
	struct pbft_task *task;

	if (!d->portid)		/* unbound since: void */
		return;
	task = superseded(d, out->type);
	if (!task) {
		if (d->tail - d->head > d->mask) {
			pbft_stop(core, "more tasks for the daemon than the window allows");
			return;
		}
		task = ring_at(d, d->tail++);
	}
	task->type = out->type;
	task->to = out->to;
	task->head = out->head;
	task->digest = out->digest;
	task->batch = out->batch;
	out->batch = NULL;	/* the reference has passed on */
	queue_delayed_work(pbft_wq, &d->work, 0);
}

/* ---- messages ------------------------------------------------------------------- */

static size_t requests_size(const struct pbft_batch *batch)
{
	struct pbft_batch_req req;
	size_t size = 0;
	u32 i;

	for (i = 0; batch && i < pbft_batch_count(batch); i++) {
		pbft_batch_req(batch, i, &req);
		size += nla_total_size(sizeof(struct pbft_nl_request) + req.op_len);
	}
	return size;
}

static int requests_put(struct sk_buff *skb, const struct pbft_batch *batch)
{
	struct pbft_batch_req req;
	struct nlattr *attr;
	u32 i;

	for (i = 0; batch && i < pbft_batch_count(batch); i++) {
		struct pbft_nl_request nl = {};

		pbft_batch_req(batch, i, &req);
		nl.client = req.client;
		nl.flags = req.flags;
		nl.session = req.session;
		nl.t = req.t;
		attr = nla_reserve(skb, PBFT_A_REQUEST, sizeof(nl) + req.op_len);
		if (!attr)
			return -EMSGSIZE;
		memcpy(nla_data(attr), &nl, sizeof(nl));
		memcpy(nla_data(attr) + sizeof(nl), req.op, req.op_len);
	}
	return 0;
}

static int head_put(struct sk_buff *skb, const struct pbft_log_head *h)
{
	struct pbft_nl_head head = pbft_nl_head_of(h);

	return nla_put(skb, PBFT_A_HEAD, sizeof(head), &head);
}

static int seq_put(struct sk_buff *skb, const struct pbft_log_head *h)
{
	return nla_put_u64_64bit(skb, PBFT_A_SEQ, h->seq, PBFT_A_PAD);
}

static int task_put(struct sk_buff *skb, const struct pbft_task *task)
{
	switch (task->type) {
	case PBFT_OUT_APPLY:
		return head_put(skb, &task->head) ?:
		       requests_put(skb, task->batch);
	case PBFT_OUT_FETCH_STATE:
		return head_put(skb, &task->head) ?:
		       nla_put(skb, PBFT_A_DIGEST, PBFT_DIGEST_LEN, task->digest.b) ?:
		       nla_put_u64_64bit(skb, PBFT_A_PEERS, task->to, PBFT_A_PAD);
	}
	return seq_put(skb, &task->head);
}

static u8 task_cmd(const struct pbft_task *task)
{
	switch (task->type) {
	case PBFT_OUT_APPLY:
		return PBFT_CMD_APPLY;
	case PBFT_OUT_SNAPSHOT:
		return PBFT_CMD_SNAPSHOT;
	case PBFT_OUT_DISCARD:
		return PBFT_CMD_DISCARD;
	}
	return PBFT_CMD_FETCH_STATE;
}

/* Room for every attribute of a task but its requests. */
#define TASK_ROOM (nla_total_size(sizeof(u32)) + \
		   nla_total_size(sizeof(struct pbft_nl_head)) + \
		   nla_total_size(PBFT_DIGEST_LEN) + \
		   2 * nla_total_size_64bit(sizeof(u64)))

static struct sk_buff *task_message(struct pbft_instance *inst,
				    const struct delivery *dv)
{
	struct sk_buff *skb;
	void *hdr;

	skb = genlmsg_new(TASK_ROOM + requests_size(dv->task.batch), GFP_KERNEL);
	if (!skb)
		return NULL;
	hdr = genlmsg_put(skb, dv->portid, 0, &pbft_genl_family, 0,
			  task_cmd(&dv->task));
	if (!hdr || nla_put_u32(skb, PBFT_A_ID, inst->id) ||
	    task_put(skb, &dv->task)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, hdr);
	return skb;
}

static struct sk_buff *revalidate_message(struct pbft_instance *inst, u32 portid)
{
	struct sk_buff *skb;
	void *hdr;

	skb = genlmsg_new(nla_total_size(sizeof(u32)), GFP_KERNEL);
	if (!skb)
		return NULL;
	hdr = genlmsg_put(skb, portid, 0, &pbft_genl_family, 0, PBFT_CMD_REVALIDATE);
	if (!hdr || nla_put_u32(skb, PBFT_A_ID, inst->id)) {
		nlmsg_free(skb);
		return NULL;
	}
	genlmsg_end(skb, hdr);
	return skb;
}

/* ---- delivery ---------------------------------------------------------------------- */

/* Sending to a full socket would mark it as having lost messages: look first. */
static bool sock_full(const struct sock *sk, u32 bytes)
{
	u32 used = atomic_read(&sk->sk_rmem_alloc);

	return used && used + bytes > (u32)READ_ONCE(sk->sk_rcvbuf);
}

static void peer_recv_release(struct sk_buff *skb)
{
	struct pbft_peer *peer = PEER_RECV_CB(skb)->peer;

	atomic_dec(&peer->daemon_queued);
	pbft_peer_put(peer);
	memset(skb->cb, 0, sizeof(skb->cb));	/* netlink's from here */
}

/* What is next, or false: nothing now. Tasks go before datagrams. */
static bool delivery_take(struct pbft_instance *inst, struct delivery *dv)
{
	struct pbft_daemon *d = &inst->daemon;
	struct pbft_task *task;
	bool taken = true;

	memset(dv, 0, sizeof(*dv));
	spin_lock_bh(&inst->lock);
	if (!d->portid)
		goto none;
	dv->portid = d->portid;
	dv->generation = d->generation;
	dv->sk = d->sk;
	dv->revalidate = d->revalidate;
	if (dv->revalidate)
		goto out;
	task = ring_at(d, d->head);
	if (!ring_empty(d) &&
	    (task->type != PBFT_OUT_APPLY || d->unanswered < APPLY_CREDIT)) {
		dv->task = *task;
		if (task->batch)
			pbft_batch_get(task->batch);
		/* Counted first: the answer may be faster than we are. */
		if (task->type == PBFT_OUT_APPLY) {
			d->unanswered++;
			d->sent = task->head.seq;
		}
		goto out;
	}
	dv->skb = skb_dequeue(&d->peer_recv);
	if (dv->skb)
		goto out;
none:
	taken = false;
out:
	if (taken)
		sock_hold(dv->sk);
	spin_unlock_bh(&inst->lock);
	return taken;
}

/* The task in hand has arrived, or has not and stays first. */
static void delivery_done(struct pbft_instance *inst, struct delivery *dv,
			  bool arrived)
{
	struct pbft_daemon *d = &inst->daemon;

	spin_lock_bh(&inst->lock);
	if (d->generation == dv->generation) {
		if (arrived) {
			ring_pop(d);
		} else if (dv->task.type == PBFT_OUT_APPLY && d->unanswered) {
			d->unanswered--;
			d->sent--;
		}
	}
	spin_unlock_bh(&inst->lock);
	pbft_batch_put(dv->task.batch);
}

/* What can be made once more if it does not go out now. */
static int deliver(struct pbft_instance *inst, const struct delivery *dv,
		   struct sk_buff *skb)
{
	if (!skb)
		return -ENOMEM;
	if (sock_full(dv->sk, skb->truesize)) {
		nlmsg_free(skb);
		return -EAGAIN;
	}
	return genlmsg_unicast(inst->net, skb, dv->portid);
}

static int deliver_task(struct pbft_instance *inst, struct delivery *dv)
{
	int err = deliver(inst, dv, task_message(inst, dv));

	delivery_done(inst, dv, !err);
	return err;
}

static int deliver_revalidate(struct pbft_instance *inst, struct delivery *dv)
{
	int err = deliver(inst, dv, revalidate_message(inst, dv->portid));
	struct pbft_daemon *d = &inst->daemon;

	spin_lock_bh(&inst->lock);
	if (!err && d->generation == dv->generation)
		d->revalidate = false;
	spin_unlock_bh(&inst->lock);
	return err;
}

static int deliver_datagram(struct pbft_instance *inst, struct delivery *dv)
{
	struct pbft_daemon *d = &inst->daemon;
	int err;

	if (sock_full(dv->sk, dv->skb->truesize)) {
		/* Back to where it was. */
		skb_queue_head(&d->peer_recv, dv->skb);
		return -EAGAIN;
	}
	peer_recv_release(dv->skb);
	err = genlmsg_unicast(inst->net, dv->skb, dv->portid);
	pbft_count(inst, err ? PBFT_STAT_PEER_LOST : PBFT_STAT_PEER_RECEIVED);
	return err;
}

static void deliver_work(struct work_struct *work)
{
	struct pbft_instance *inst =
		container_of(to_delayed_work(work), struct pbft_instance,
			     daemon.work);
	struct delivery dv;
	int err = 0;

	mutex_lock(&inst->deliver_mutex);
	while (!err && delivery_take(inst, &dv)) {
		if (dv.revalidate)
			err = deliver_revalidate(inst, &dv);
		else
			err = dv.skb ? deliver_datagram(inst, &dv) :
				       deliver_task(inst, &dv);
		sock_put(dv.sk);
		if (!err)
			pbft_count(inst, PBFT_STAT_DAEMON_MESSAGES);
		cond_resched();
	}
	mutex_unlock(&inst->deliver_mutex);
	/* -ECONNREFUSED: the socket is gone, and the binding in a moment. */
	if (err == -EAGAIN || err == -ENOMEM || err == -ENOBUFS) {
		pbft_count(inst, PBFT_STAT_DAEMON_STALLS);
		queue_delayed_work(pbft_wq, &inst->daemon.work, STALL_DELAY);
	}
}

enum pbft_drop pbft_daemon_peer_recv(struct pbft_instance *inst,
				     struct pbft_peer *peer, const void *data,
				     u32 len)
{
	struct pbft_daemon *d = &inst->daemon;
	struct sk_buff *skb;
	u32 portid = READ_ONCE(d->portid);
	void *hdr;

	if (!portid || len > U16_MAX - NLA_HDRLEN) {
		pbft_count(inst, PBFT_STAT_PEER_LOST);
		return PBFT_OK;
	}
	if (atomic_inc_return(&peer->daemon_queued) > PEER_RECV_MAX) {
		atomic_dec(&peer->daemon_queued);
		pbft_count(inst, PBFT_STAT_PEER_LOST);
		return PBFT_DROP_QUOTA;
	}
	skb = genlmsg_new(2 * nla_total_size(sizeof(u32)) + nla_total_size(len),
			  GFP_ATOMIC);
	if (!skb)
		goto nomem;
	hdr = genlmsg_put(skb, portid, 0, &pbft_genl_family, 0,
			  PBFT_CMD_PEER_RECV);
	if (!hdr || nla_put_u32(skb, PBFT_A_ID, inst->id) ||
	    nla_put_u32(skb, PBFT_A_PEER_ID, peer->id) ||
	    nla_put(skb, PBFT_A_DATA, len, data))
		goto nomem;
	genlmsg_end(skb, hdr);
	PEER_RECV_CB(skb)->peer = pbft_peer_get(peer);
	skb_queue_tail(&d->peer_recv, skb);
	queue_delayed_work(pbft_wq, &d->work, 0);
	return PBFT_OK;

nomem:
	nlmsg_free(skb);
	atomic_dec(&peer->daemon_queued);
	return PBFT_DROP_NOMEM;
}

/* ---- the binding --------------------------------------------------------------------- */

static void peer_recv_purge(struct pbft_daemon *d)
{
	struct sk_buff *skb;

	while ((skb = skb_dequeue(&d->peer_recv))) {
		peer_recv_release(skb);
		kfree_skb(skb);
	}
}

/* Under inst->lock. Return the daemon's socket; its reference passes on. */
static struct sock *unbind(struct pbft_instance *inst, struct pbft_core *core)
{
	struct pbft_daemon *d = &inst->daemon;
	struct sock *sk = d->sk;

	WRITE_ONCE(d->portid, 0);
	d->sk = NULL;
	d->generation++;
	d->unanswered = 0;
	memset(&d->progress, 0, sizeof(d->progress));
	pbft_recovery_lost(inst, core);
	while (!ring_empty(d))
		ring_pop(d);
	peer_recv_purge(d);
	pbft_disk_unbind(inst);
	pbft_unbind(core);
	return sk;
}

int pbft_daemon_bind(struct pbft_instance *inst, u32 portid, struct sock *sk,
		     const struct pbft_log_head *head)
{
	struct pbft_daemon *d = &inst->daemon;
	struct sock *old = NULL;
	struct pbft_core *core;
	int err = -ENETDOWN;
	u64 now;

	core = pbft_enter(inst, &now);
	if (!core)
		goto out;
	err = -EBUSY;
	if (d->portid && d->portid != portid)
		goto out;
	if (d->portid)		/* the same one begins anew */
		old = unbind(inst, core);
	err = pbft_bind(core, now, head);
	if (err) {
		if (old)
			pbft_event_add(inst, core, PBFT_NL_EV_UNBOUND, 0);
		goto out;
	}
	sock_hold(sk);
	d->sk = sk;
	d->generation++;
	WRITE_ONCE(d->portid, portid);
	pbft_event_add(inst, core, PBFT_NL_EV_BOUND, 0);
out:
	pbft_leave(inst);
	if (old)
		sock_put(old);
	return err;
}

void pbft_daemon_unbind(struct pbft_instance *inst, u32 portid)
{
	struct sock *sk = NULL;
	struct pbft_core *core;
	u64 now;

	if (READ_ONCE(inst->daemon.portid) != portid)
		return;
	core = pbft_enter(inst, &now);
	if (core && inst->daemon.portid == portid) {
		sk = unbind(inst, core);
		pbft_event_add(inst, core, PBFT_NL_EV_UNBOUND, 0);
	}
	pbft_leave(inst);
	if (sk)
		sock_put(sk);
}

void pbft_daemon_answered(struct pbft_instance *inst)
{
	struct pbft_daemon *d = &inst->daemon;

	if (d->unanswered)
		d->unanswered--;
	if (!ring_empty(d))
		mod_delayed_work(pbft_wq, &d->work, 0);
}

int pbft_daemon_init(struct pbft_instance *inst)
{
	/*
	 * The core hands out no batch beyond its window, which state transfer
	 * may move once while a daemon is slow; checkpoints come in between.
	 */
	u32 places = roundup_pow_of_two(4 * inst->conf.core.l + 64);
	struct pbft_daemon *d = &inst->daemon;

	d->task = kvcalloc(places, sizeof(*d->task), GFP_KERNEL);
	if (!d->task)
		return -ENOMEM;
	d->mask = places - 1;
	d->head = 0;
	d->tail = 0;
	d->unanswered = 0;
	return 0;
}

/* Down under the daemon's feet: its next receive says so. */
static void tell_down(struct sock *sk)
{
	WRITE_ONCE(sk->sk_err, ENETDOWN);
	sk_error_report(sk);
	sock_put(sk);
}

void pbft_daemon_down(struct pbft_instance *inst, struct pbft_core *core)
{
	struct sock *sk = NULL;

	spin_lock_bh(&inst->lock);
	if (inst->daemon.portid)
		sk = unbind(inst, core);
	spin_unlock_bh(&inst->lock);
	if (sk) {
		tell_down(sk);
		pbft_event_now(inst, PBFT_NL_EV_UNBOUND);
	}
}

void pbft_daemon_exit(struct pbft_instance *inst)
{
	struct pbft_daemon *d = &inst->daemon;

	cancel_delayed_work_sync(&d->work);
	peer_recv_purge(d);
	kvfree(d->task);
	d->task = NULL;
}

void pbft_daemon_setup(struct pbft_instance *inst)
{
	mutex_init(&inst->deliver_mutex);
	skb_queue_head_init(&inst->daemon.peer_recv);
	INIT_DELAYED_WORK(&inst->daemon.work, deliver_work);
}
