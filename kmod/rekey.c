// SPDX-License-Identifier: GPL-2.0
/*
 * Generations of keys. A node that rotates its keys sends under the next
 * generation from one message to the other; receivers have that key already.
 * They follow by authentic messages only, forwards only, and give up the old
 * generation after a grace period for what is still under way. One who has not
 * heard from a node yet takes the first generation it hears, whichever it is.
 */
#include <linux/err.h>
#include "instance.h"

#define GRACE		(5 * HZ)
/* Between two attempts to learn an unexpected generation of one peer. */
#define LEARN_INTERVAL	(HZ / 5)

/* Is @id one that @peer may go to? */
static bool may_follow(const struct pbft_peer *peer, u8 id)
{
	return (peer->derived && !READ_ONCE(peer->rx_known)) ||
	       pbft_key_newer(id, READ_ONCE(peer->rx_gen));
}

void pbft_key_proved(struct pbft_instance *inst, struct pbft_peer *peer, u8 id)
{
	if (likely(id == READ_ONCE(peer->rx_gen))) {
		if (unlikely(!READ_ONCE(peer->rx_known)))
			WRITE_ONCE(peer->rx_known, true);
		return;
	}
	if (!may_follow(peer, id))
		return;
	WRITE_ONCE(peer->rx_gen, id);
	WRITE_ONCE(peer->rx_known, true);
	WRITE_ONCE(peer->rx_moved, true);
	pbft_count(inst, PBFT_STAT_KEY_CHANGES);
	queue_delayed_work(pbft_wq, &inst->key_work, GRACE);
}

bool pbft_key_worth_learning(struct pbft_peer *peer, u8 id)
{
	unsigned long after;

	if (!peer || !peer->derived || !may_follow(peer, id))
		return false;
	after = READ_ONCE(peer->learn_after);
	if (time_before(jiffies, after))
		return false;
	return cmpxchg(&peer->learn_after, after, jiffies + LEARN_INTERVAL) == after;
}

static void replace(struct pbft_instance *inst, struct pbft_key __rcu *slots[2],
		    struct pbft_key *key, u8 keep)
{
	struct pbft_key *old;

	mutex_lock(&inst->key_mutex);
	old = pbft_key_install(slots, key, keep);
	mutex_unlock(&inst->key_mutex);
	pbft_key_free_rcu(old);
}

bool pbft_key_learn(struct pbft_instance *inst, struct pbft_peer *peer, u8 id,
		    const void *msg, u32 len, const u8 *mac)
{
	struct pbft_key *key;

	if (!peer->derived || !may_follow(peer, id))
		return false;
	key = pbft_derive_key(peer, &inst->conf.self, id, false);
	if (IS_ERR(key))
		return false;
	if (!pbft_mac_ok(key, msg, len, mac)) {
		pbft_key_free(key);
		return false;
	}
	/* Keeps the generation in use, gives up the one thought to be next. */
	replace(inst, peer->rx, key, READ_ONCE(peer->rx_gen));
	return true;
}

static void prepare_next(struct pbft_instance *inst, struct pbft_peer *peer)
{
	u8 gen = READ_ONCE(peer->rx_gen);
	struct pbft_key *key;

	if (!peer->derived || !READ_ONCE(peer->rx_moved))
		return;
	WRITE_ONCE(peer->rx_moved, false);
	key = pbft_derive_key(peer, &inst->conf.self, gen + 1, false);
	if (IS_ERR(key)) {
		/* Short of memory: the old generation lives on until next time. */
		WRITE_ONCE(peer->rx_moved, true);
		queue_delayed_work(pbft_wq, &inst->key_work, GRACE);
		return;
	}
	replace(inst, peer->rx, key, gen);
}

static void key_work(struct work_struct *work)
{
	struct pbft_instance *inst =
		container_of(to_delayed_work(work), struct pbft_instance, key_work);
	unsigned long id = 0, i = 0;
	struct pbft_nodes *nodes;
	struct pbft_peer *peer;

	/* One at a time, each held by a reference: making keys sleeps. */
	for (;;) {
		rcu_read_lock();
		nodes = rcu_dereference(inst->nodes);
		while (i < nodes->n && !nodes->replica[i])
			i++;
		if (i < nodes->n) {
			peer = nodes->replica[i++];
		} else {
			peer = xa_find(&nodes->clients, &id, ULONG_MAX,
				       XA_PRESENT);
			id++;
		}
		if (peer)
			pbft_peer_get(peer);
		rcu_read_unlock();
		if (!peer)
			break;
		prepare_next(inst, peer);
		pbft_peer_put(peer);
		cond_resched();
	}
}

void pbft_rekey_init(struct pbft_instance *inst)
{
	mutex_init(&inst->key_mutex);
	INIT_DELAYED_WORK(&inst->key_work, key_work);
}

void pbft_rekey_stop(struct pbft_instance *inst)
{
	cancel_delayed_work_sync(&inst->key_work);
}

/* Make sure that we can send to @peer under generation @id. */
static int prepare_tx(struct pbft_instance *inst, struct pbft_peer *peer, u8 id)
{
	struct pbft_key *key;
	bool have;

	rcu_read_lock();
	have = pbft_key_find(peer->tx, id);
	rcu_read_unlock();
	if (have)
		return 0;
	if (!peer->derived)
		return -ENOKEY;
	key = pbft_derive_key(peer, &inst->conf.self, id, true);
	if (IS_ERR(key))
		return PTR_ERR(key);
	replace(inst, peer->tx, key, inst->key_id);
	return 0;
}

int pbft_rekey(struct pbft_instance *inst, u8 id, u32 *peer_id)
{
	struct pbft_nodes *nodes = pbft_instance_nodes(inst);
	struct pbft_peer *peer;
	unsigned long index;
	u32 i;
	int err;

	for (i = 0; i < nodes->n; i++) {
		*peer_id = i;
		err = nodes->replica[i] ?
			prepare_tx(inst, nodes->replica[i], id) : 0;
		if (err)
			return err;
	}
	xa_for_each(&nodes->clients, index, peer) {
		*peer_id = index;
		err = prepare_tx(inst, peer, id);
		if (err)
			return err;
		cond_resched();
	}
	/* From here on; who could follow has been made sure of above. */
	WRITE_ONCE(inst->key_id, id);
	return 0;
}
