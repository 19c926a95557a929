// SPDX-License-Identifier: GPL-2.0
/*
 * plant.ko bug=NAME: do one thing wrong when loaded, that the tests may see the
 * kernel complain. A detector that was left out, or has gone quiet, would let
 * every other test pass. Never load this outside of a test VM.
 */
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/timer.h>

static char *bug = "";
module_param(bug, charp, 0400);
MODULE_PARM_DESC(bug, "which bug: the names are in the table below");

static int shared;
static unsigned int bits = 40;
static int __rcu *published;

static noinline int use_after_free(void)
{
	char *p = kmalloc(32, GFP_KERNEL);

	if (!p)
		return -ENOMEM;
	kfree(p);
	return READ_ONCE(p[8]) & 0;
}

static noinline int lock_inversion(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

static noinline int leak(void)
{
	int i;

	/* Some may be found by chance, in a register or on an old stack. */
	for (i = 0; i < 16; i++)
		if (!kmalloc(200, GFP_KERNEL))
			return -ENOMEM;
	return 0;
}

static noinline int sleep_in_atomic(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	/* Long enough: on a slow machine a shorter one is over before it begins. */
	msleep(20);
	spin_unlock(&lock);
	return 0;
}

static noinline int rcu_unprotected(void)
{
	int *p = rcu_dereference(published);

	return p ? *p : 0;
}

static noinline int shift_too_far(void)
{
	return (1 << READ_ONCE(bits)) & 0;
}

static noinline int refcount_from_zero(void)
{
	refcount_t count = REFCOUNT_INIT(0);

	refcount_inc(&count);
	return 0;
}

static void nothing(struct timer_list *timer)
{
}

static noinline int free_live_timer(void)
{
	struct timer_list *timer = kmalloc(sizeof(*timer), GFP_KERNEL);

	if (!timer)
		return -ENOMEM;
	timer_setup(timer, nothing, 0);
	mod_timer(timer, jiffies + 1000 * HZ);
	kfree(timer);
	return 0;
}

static int count_up(void *unused)
{
	while (!kthread_should_stop()) {
		shared++;
		cond_resched();
	}
	return 0;
}

static noinline int count_together(void)
{
	struct task_struct *a = kthread_run(count_up, NULL, "plant-a");
	struct task_struct *b = kthread_run(count_up, NULL, "plant-b");

	msleep(3000);
	if (!IS_ERR(a))
		kthread_stop(a);
	if (!IS_ERR(b))
		kthread_stop(b);
	return 0;
}

static const struct {
	const char *name;
	int (*plant)(void);
} bugs[] = {
	{ "use-after-free", use_after_free },
	{ "lock-inversion", lock_inversion },
	{ "leak", leak },
	{ "sleep-in-atomic", sleep_in_atomic },
	{ "rcu-unprotected", rcu_unprotected },
	{ "shift-too-far", shift_too_far },
	{ "refcount-from-zero", refcount_from_zero },
	{ "free-live-timer", free_live_timer },
	{ "data-race", count_together },
};

static int __init plant_init(void)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(bugs); i++)
		if (!strcmp(bug, bugs[i].name))
			return bugs[i].plant();
	pr_err("plant: no bug is called \"%s\"\n", bug);
	return -EINVAL;
}

static void __exit plant_exit(void)
{
}

module_init(plant_init);
module_exit(plant_exit);
MODULE_DESCRIPTION("Bugs on demand, to test kernel debugging options");
MODULE_LICENSE("GPL");
