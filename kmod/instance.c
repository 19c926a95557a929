// SPDX-License-Identifier: GPL-2.0
/*
 * The life of instances. Up: everything is made, the socket last. Down and
 * delete go the other way round, and each step ends who could still use what
 * the next one frees: the core is taken away under the lock, so that nothing
 * enters it any more; the socket is closed, after which no packet arrives; then
 * timer and work items are waited for, the journal's last, which is then brought
 * to an end; then memory is freed.
 */
#include <linux/ktime.h>
#include <linux/slab.h>
#include "apply.h"
#include "events.h"
#include "io.h"
#include "disk.h"

#define NO_MEMORY "no memory for the instance"

struct pbft_instance *pbft_instance_find(struct net *net, const char *name)
{
	struct pbft_net *pn = pbft_pernet(net);
	struct pbft_instance *inst;
	unsigned long id;

	xa_for_each(&pn->instances, id, inst) {
		if (!strcmp(inst->name, name))
			return inst;
	}
	return NULL;
}

static void instance_init(struct pbft_instance *inst, struct net *net,
			  const char *name, const struct pbft_conf *conf)
{
	inst->net = net;
	strscpy(inst->name, name, sizeof(inst->name));
	inst->conf = *conf;
	inst->wire.cluster = conf->core.cluster;
	inst->wire.epoch = conf->core.epoch;
	inst->wire.n = conf->core.n;
	inst->key_id = conf->key_id;
	spin_lock_init(&inst->lock);
	pbft_timer_init(inst);
	pbft_queue_init(inst);
	pbft_rekey_init(inst);
	pbft_daemon_setup(inst);
}

struct pbft_instance *pbft_instance_new(struct net *net, const char *name,
					const struct pbft_conf *conf,
					struct pbft_nodes *nodes)
{
	struct pbft_net *pn = pbft_pernet(net);
	struct pbft_instance *inst;
	int err = -ENOMEM;

	inst = kzalloc(sizeof(*inst), GFP_KERNEL);
	if (!inst)
		return ERR_PTR(-ENOMEM);
	instance_init(inst, net, name, conf);
	inst->stats = alloc_percpu(struct pbft_stats);
	if (!inst->stats)
		goto out_free;
	err = pbft_events_init(inst);
	if (err)
		goto out_stats;
	RCU_INIT_POINTER(inst->nodes, nodes);
	/* Ids do not come back soon: a daemon may still hold an old one. */
	err = xa_alloc_cyclic(&pn->instances, &inst->id, inst,
			      XA_LIMIT(1, INT_MAX), &pn->next_id, GFP_KERNEL);
	if (err < 0)
		goto out_events;
	pn->generation++;
	return inst;

out_events:
	pbft_events_exit(inst);
out_stats:
	free_percpu(inst->stats);
out_free:
	kfree_sensitive(inst);
	return ERR_PTR(err);
}

/* ---- nodes ------------------------------------------------------------------------------ */

struct pbft_nodes *pbft_instance_swap_nodes(struct pbft_instance *inst,
					    struct pbft_nodes *nodes)
{
	struct pbft_nodes *old = pbft_instance_nodes(inst);

	rcu_assign_pointer(inst->nodes, nodes);
	pbft_pernet(inst->net)->generation++;
	synchronize_net();
	return old;
}

static int client_add(struct pbft_instance *inst, u32 id)
{
	struct pbft_core *core;
	u64 now;
	int err;

	core = pbft_enter(inst, &now);
	err = core ? pbft_client_add(core, id) : 0;
	pbft_leave(inst);
	return err;
}

static void client_del(struct pbft_instance *inst, u32 id)
{
	struct pbft_core *core;
	u64 now;

	core = pbft_enter(inst, &now);
	if (core)
		pbft_client_del(core, id);
	pbft_leave(inst);
}

int pbft_instance_change_clients(struct pbft_instance *inst,
				 struct pbft_nodes *nodes)
{
	struct pbft_nodes *old = pbft_instance_nodes(inst);
	struct pbft_peer *peer;
	unsigned long id, undo;
	int err;

	xa_for_each(&nodes->clients, id, peer) {
		if (xa_load(&old->clients, id))
			continue;
		err = client_add(inst, id);
		if (err)
			goto out_undo;
	}
	xa_for_each(&old->clients, id, peer) {
		if (!xa_load(&nodes->clients, id))
			client_del(inst, id);
	}
	return 0;

out_undo:
	xa_for_each(&nodes->clients, undo, peer) {
		if (undo >= id)
			break;
		if (!xa_load(&old->clients, undo))
			client_del(inst, undo);
	}
	return err;
}

/* ---- up ------------------------------------------------------------------------------------ */

static void scratch_free(struct pbft_instance *inst)
{
	int cpu;

	if (!inst->scratch)
		return;
	for_each_possible_cpu(cpu)
		kvfree(*per_cpu_ptr(inst->scratch, cpu));
	free_percpu(inst->scratch);
	inst->scratch = NULL;
}

static int scratch_init(struct pbft_instance *inst)
{
	void *buf;
	int cpu;

	/* A peer's datagram is no longer than ours, if configured the same. */
	inst->scratch_size = max_t(u32, inst->conf.mtu, PBFT_MTU_DEFAULT);
	inst->scratch = alloc_percpu(void *);
	if (!inst->scratch)
		return -ENOMEM;
	for_each_possible_cpu(cpu) {
		buf = kvmalloc_node(inst->scratch_size, GFP_KERNEL,
				    cpu_to_node(cpu));
		if (!buf) {
			scratch_free(inst);
			return -ENOMEM;
		}
		*per_cpu_ptr(inst->scratch, cpu) = buf;
	}
	return 0;
}

/* A core that knows its clients; nobody else sees it yet. */
static struct pbft_core *core_make(struct pbft_instance *inst, bool genesis,
				   bool restore)
{
	struct pbft_nodes *nodes = pbft_instance_nodes(inst);
	struct pbft_config *cfg = &inst->conf.core;
	u64 now = ktime_get_ns();
	struct pbft_core *core;
	struct pbft_peer *peer;
	unsigned long id;

	cfg->genesis = genesis;
	cfg->restore = restore;
	cfg->journal = inst->disk;
	core = pbft_core_create(cfg, now);
	if (!core)
		return NULL;
	pbft_set_wall_offset(core, ktime_get_real_ns() - now);
	xa_for_each(&nodes->clients, id, peer) {
		if (pbft_client_add(core, id)) {
			pbft_core_destroy(core);
			return NULL;
		}
		cond_resched();
	}
	return core;
}

/*
 * A core that takes up what the journal says. One that says nothing is new, and
 * the replica begins as it is told to; one that has lost records makes it one
 * that has forgotten.
 */
static int core_remember(struct pbft_instance *inst, const struct pbft_up *up,
			 struct pbft_core **core, const char **why)
{
	struct pbft_disk *disk;
	int err;

	err = pbft_disk_open(inst, up->journal, up->mode, why);
	if (err)
		return err;
	disk = inst->disk;
	*why = NO_MEMORY;
	*core = core_make(inst, false, true);
	if (!*core)
		return -ENOMEM;
	err = pbft_disk_replay(disk, *core, why);
	if (err < 0)
		return err;
	if (!err) {
		pbft_core_destroy(*core);
		*why = NO_MEMORY;
		*core = core_make(inst, up->genesis && !disk->damaged, false);
		if (!*core)
			return -ENOMEM;
	}
	return pbft_disk_start(disk, *core, why);
}

static int core_get(struct pbft_instance *inst, const struct pbft_up *up,
		    struct pbft_core **core, const char **why)
{
	if (up->journal)
		return core_remember(inst, up, core, why);
	*why = NO_MEMORY;
	*core = core_make(inst, up->genesis, false);
	return *core ? 0 : -ENOMEM;
}

static int resources_make(struct pbft_instance *inst)
{
	int err;

	err = scratch_init(inst);
	if (err)
		return err;
	err = pbft_daemon_init(inst);
	if (err)
		goto out_scratch;
	err = pbft_null_init(inst);
	if (err)
		goto out_daemon;
	return 0;

out_daemon:
	pbft_daemon_exit(inst);
out_scratch:
	scratch_free(inst);
	return err;
}

static void resources_free(struct pbft_instance *inst)
{
	pbft_null_exit(inst);
	pbft_daemon_exit(inst);
	scratch_free(inst);
}

/* Hand the core over to packets and timer, and start it. */
static int core_start(struct pbft_instance *inst, struct pbft_core *fresh)
{
	static const struct pbft_log_head nothing;
	struct pbft_core *core;
	int err = 0;
	u64 now;

	spin_lock_bh(&inst->lock);
	inst->core = fresh;
	inst->stopped = false;
	inst->armed = 0;
	spin_unlock_bh(&inst->lock);

	core = pbft_enter(inst, &now);
	if (inst->conf.service == PBFT_SERVICE_NULL)
		err = pbft_bind(core, now, &nothing);
	if (!err)
		pbft_tick(core, now);
	pbft_leave(inst);
	return err;
}

/* Nothing enters the core after this; return it for what still refers to it. */
static struct pbft_core *core_take(struct pbft_instance *inst)
{
	struct pbft_core *core;

	spin_lock_bh(&inst->lock);
	core = inst->core;
	inst->core = NULL;
	spin_unlock_bh(&inst->lock);
	return core;
}

static void instance_stop(struct pbft_instance *inst, bool clean)
{
	struct pbft_core *core = core_take(inst);

	pbft_daemon_down(inst, core);
	pbft_socket_close(inst);
	pbft_timer_stop(inst);
	pbft_queue_stop(inst);
	pbft_rekey_stop(inst);
	pbft_disk_close(inst, core, clean);
	resources_free(inst);
	pbft_core_destroy(core);
}

int pbft_instance_up(struct pbft_instance *inst, const struct pbft_up *up,
		     const char **why)
{
	struct pbft_core *core = NULL;
	int err;

	*why = NO_MEMORY;
	err = resources_make(inst);
	if (err)
		return err;
	err = core_get(inst, up, &core, why);
	if (err)
		goto out_core;
	err = core_start(inst, core);
	if (err) {
		*why = "the core refuses the null service";
		goto out_stop;
	}
	/* a crash from here on finds on record that the replica exists */
	pbft_disk_settle(inst);
	err = pbft_socket_open(inst, why);
	if (err)
		goto out_stop;
	inst->up = true;
	pbft_event_now(inst, PBFT_NL_EV_UP);
	return 0;

out_stop:
	instance_stop(inst, true);
	return err;
out_core:
	pbft_disk_close(inst, NULL, false);
	if (core)
		pbft_core_destroy(core);
	resources_free(inst);
	return err;
}

static void instance_down(struct pbft_instance *inst, bool clean)
{
	if (!inst->up)
		return;
	inst->up = false;
	instance_stop(inst, clean);
	pbft_event_now(inst, PBFT_NL_EV_DOWN);
}

void pbft_instance_down(struct pbft_instance *inst)
{
	instance_down(inst, true);
}

void pbft_instance_delete(struct pbft_instance *inst)
{
	struct pbft_net *pn = pbft_pernet(inst->net);

	instance_down(inst, false);
	/* From here on nobody finds it; who has found it is waited for. */
	xa_erase(&pn->instances, inst->id);
	pn->generation++;
	pbft_event_now(inst, PBFT_NL_EV_DELETED);
	synchronize_net();
	pbft_events_exit(inst);
	pbft_nodes_free(rcu_dereference_protected(inst->nodes, true));
	free_percpu(inst->stats);
	kfree_sensitive(inst);
}
