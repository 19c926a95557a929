// SPDX-License-Identifier: GPL-2.0
/*
 * Messages for process context: those that are rare and heavy for the core,
 * those put together of many fragments, those that may prove a new key. One
 * work item for each instance takes them in order. Each peer has a quota of its
 * own, so that none can crowd out another.
 */
#include <linux/slab.h>
#include "io.h"

struct queue_item {
	struct list_head list;
	struct pbft_peer *peer;		/* charged; a reference */
	struct pbft_buf *buf;
	u32 charge;			/* bytes */
	struct pbft_head head;		/* as far as it was known */
	u8 how;				/* enum pbft_queued */
};

static bool charge(struct pbft_peer *peer, u32 bytes)
{
	if (atomic_inc_return(&peer->queued) > PBFT_PEER_QUEUE_MAX)
		goto out_count;
	if (atomic_add_return(bytes, &peer->queued_bytes) > PBFT_PEER_QUEUE_BYTES)
		goto out_bytes;
	return true;

out_bytes:
	atomic_sub(bytes, &peer->queued_bytes);
out_count:
	atomic_dec(&peer->queued);
	return false;
}

static void item_free(struct queue_item *item)
{
	atomic_sub(item->charge, &item->peer->queued_bytes);
	atomic_dec(&item->peer->queued);
	pbft_peer_put(item->peer);
	pbft_buf_put(item->buf);
	kfree(item);
}

enum pbft_drop pbft_queue_add(struct pbft_instance *inst,
			      const struct pbft_rx *rx, enum pbft_queued how)
{
	struct queue_item *item;

	if (!charge(rx->peer, rx->len))
		return PBFT_DROP_QUOTA;
	item = kmalloc(sizeof(*item), GFP_ATOMIC);
	if (!item) {
		atomic_sub(rx->len, &rx->peer->queued_bytes);
		atomic_dec(&rx->peer->queued);
		return PBFT_DROP_NOMEM;
	}
	item->peer = pbft_peer_get(rx->peer);
	item->charge = rx->len;
	item->head = rx->head;
	item->how = how;
	item->buf = rx->buf ? pbft_buf_get(rx->buf) : pbft_buf_alloc(rx->len);
	if (!item->buf) {
		item_free(item);
		return PBFT_DROP_NOMEM;
	}
	if (!rx->buf) {
		memcpy(item->buf->data, rx->data, rx->len);
		item->buf->len = rx->len;
	}
	spin_lock_bh(&inst->queue_lock);
	list_add_tail(&item->list, &inst->queue);
	spin_unlock_bh(&inst->queue_lock);
	queue_work(pbft_wq, &inst->queue_work);
	return PBFT_OK;
}

static struct queue_item *queue_take(struct pbft_instance *inst)
{
	struct queue_item *item;

	spin_lock_bh(&inst->queue_lock);
	item = list_first_entry_or_null(&inst->queue, struct queue_item, list);
	if (item)
		list_del(&item->list);
	spin_unlock_bh(&inst->queue_lock);
	return item;
}

static void item_do(struct pbft_instance *inst, struct queue_item *item)
{
	struct pbft_rx rx = {
		.data = item->buf->data,
		.len = item->buf->len,
		.buf = item->buf,
		.peer = item->peer,
		.head = item->head,
	};
	enum pbft_drop drop;
	const u8 *mac;

	switch (item->how) {
	case PBFT_QUEUED_CHECKED:
		rcu_read_lock();
		drop = pbft_rx_step(inst, &rx);
		if (drop != PBFT_OK)
			pbft_drop(inst, rx.peer, rx.head.sender, rx.head.type,
				  drop);
		rcu_read_unlock();
		return;
	case PBFT_QUEUED_UNKNOWN_KEY:
		mac = pbft_rx_mac(inst, rx.data, &rx.head);
		if (!pbft_key_learn(inst, item->peer, rx.head.key_id, rx.data,
				    rx.head.len, mac)) {
			pbft_drop(inst, rx.peer, rx.head.sender, rx.head.type,
				  PBFT_DROP_KEY);
			return;
		}
		break;
	}
	pbft_receive_queued(inst, &rx, item->how, item->peer->id);
}

static void queue_work_fn(struct work_struct *work)
{
	struct pbft_instance *inst = container_of(work, struct pbft_instance,
						  queue_work);
	struct queue_item *item;

	while ((item = queue_take(inst))) {
		item_do(inst, item);
		item_free(item);
		cond_resched();
	}
}

void pbft_queue_init(struct pbft_instance *inst)
{
	spin_lock_init(&inst->queue_lock);
	INIT_LIST_HEAD(&inst->queue);
	INIT_WORK(&inst->queue_work, queue_work_fn);
}

void pbft_queue_stop(struct pbft_instance *inst)
{
	struct queue_item *item;

	/*
	 * The socket is closed. The work item may still add what it puts
	 * together itself; it is done with that when it has ended.
	 */
	cancel_work_sync(&inst->queue_work);
	while ((item = queue_take(inst)))
		item_free(item);
}
