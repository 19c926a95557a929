// SPDX-License-Identifier: GPL-2.0
/* Loading and unloading, and what every network namespace gets. */
#include <linux/module.h>
#include <linux/netlink.h>
#include <linux/notifier.h>
#include <net/net_namespace.h>
#include "apply.h"
#include "hash.h"
#include "disk.h"
#include "netlink.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

unsigned int pbft_net_id;
struct workqueue_struct *pbft_wq;

static int __net_init net_init(struct net *net)
{
	struct pbft_net *pn = pbft_pernet(net);

	mutex_init(&pn->mutex);
	pn->generation = 1;
	xa_init_flags(&pn->instances, XA_FLAGS_ALLOC1);
	return 0;
}

/*
 * Before devices go, so that no route and no socket of ours is left when they
 * do. No process is in the namespace any more: nothing new can come.
 */
static void __net_exit net_pre_exit(struct net *net)
{
	struct pbft_net *pn = pbft_pernet(net);
	struct pbft_instance *inst;
	unsigned long id;

	mutex_lock(&pn->mutex);
	xa_for_each(&pn->instances, id, inst)
		pbft_instance_delete(inst);
	mutex_unlock(&pn->mutex);
}

static void __net_exit net_exit(struct net *net)
{
	xa_destroy(&pbft_pernet(net)->instances);
}

static struct pernet_operations net_ops = {
	.init = net_init,
	.pre_exit = net_pre_exit,
	.exit = net_exit,
	.id = &pbft_net_id,
	.size = sizeof(struct pbft_net),
};

/* A binding ends with its socket, however that ends. */
static int netlink_event(struct notifier_block *nb, unsigned long event,
			 void *ptr)
{
	struct netlink_notify *n = ptr;
	struct pbft_instance *inst;
	unsigned long id;

	if (event != NETLINK_URELEASE || n->protocol != NETLINK_GENERIC ||
	    !n->portid)
		return NOTIFY_DONE;
	rcu_read_lock();
	xa_for_each(&pbft_pernet(n->net)->instances, id, inst)
		pbft_daemon_unbind(inst, n->portid);
	rcu_read_unlock();
	return NOTIFY_DONE;
}

static struct notifier_block netlink_notifier = {
	.notifier_call = netlink_event,
};

static int __init pbft_init(void)
{
	int err;

	err = pbft_hash_init();
	if (err)
		return err;
	err = -ENOMEM;
	pbft_wq = alloc_workqueue("pbft", WQ_UNBOUND, 0);
	if (!pbft_wq)
		goto out_hash;
	err = pbft_journal_init();
	if (err)
		goto out_wq;
	err = register_pernet_subsys(&net_ops);
	if (err)
		goto out_journal;
	err = netlink_register_notifier(&netlink_notifier);
	if (err)
		goto out_pernet;
	err = pbft_netlink_init();
	if (err)
		goto out_notifier;
	return 0;

out_notifier:
	netlink_unregister_notifier(&netlink_notifier);
out_pernet:
	unregister_pernet_subsys(&net_ops);
out_journal:
	pbft_journal_exit();
out_wq:
	destroy_workqueue(pbft_wq);
out_hash:
	pbft_hash_exit();
	return err;
}

static void __exit pbft_exit(void)
{
	/* First whoever could make something new, then what there is. */
	pbft_netlink_exit();
	netlink_unregister_notifier(&netlink_notifier);
	unregister_pernet_subsys(&net_ops);
	/* Keys on their way out: wait for the grace period, then for the work. */
	rcu_barrier();
	pbft_journal_exit();
	destroy_workqueue(pbft_wq);
	pbft_hash_exit();
}

module_init(pbft_init);
module_exit(pbft_exit);

MODULE_DESCRIPTION("Practical Byzantine fault tolerance: replicas in the kernel");
MODULE_AUTHOR("kpbft developers");
MODULE_VERSION("0.1.0");
MODULE_LICENSE("GPL");
MODULE_ALIAS_GENL_FAMILY(PBFT_GENL_NAME);
/* The fastest SHA-256 the processor has, rather than the first one found. */
MODULE_SOFTDEP("pre: crypto-sha256");
