// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A module that does on purpose, when it is loaded, what the fast lane must notice: the control that KASAN, kmemleak,
 * lockdep and the check for sleeping in atomic context are awake. Nobody loads it but the tests.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *deed = "";
module_param(deed, charp, 0444);
MODULE_PARM_DESC(deed, "use_after_free, leak, lock_order or sleep_in_atomic");

/* None of the deeds is __init: their names must stand in reports that are printed later. */
static DEFINE_MUTEX(culprit_a);
static DEFINE_MUTEX(culprit_b);
static DEFINE_SPINLOCK(culprit_lock);

static noinline void use_after_free(void)
{
	char *p = kmalloc(128, GFP_KERNEL);

	if (!p)
		return;
	/* what the compiler knows of the pointer would let it refuse the build */
	OPTIMIZER_HIDE_VAR(p);
	kfree(p);
	WRITE_ONCE(p[5], 1);
}

static noinline void leak(void)
{
	unsigned int i;
	void *p;

	/* several, since a register or a stale word of a stack may still point to one */
	for (i = 0; i < 8; i++) {
		p = kmalloc(200, GFP_KERNEL);
		OPTIMIZER_HIDE_VAR(p);
	}
}

static noinline void lock_order(void)
{
	mutex_lock(&culprit_a);
	mutex_lock(&culprit_b);
	mutex_unlock(&culprit_b);
	mutex_unlock(&culprit_a);
	mutex_lock(&culprit_b);
	mutex_lock(&culprit_a);
	mutex_unlock(&culprit_a);
	mutex_unlock(&culprit_b);
}

static noinline void sleep_in_atomic(void)
{
	spin_lock(&culprit_lock);
	might_sleep();
	spin_unlock(&culprit_lock);
}

static int __init culprit_init(void)
{
	if (!strcmp(deed, "use_after_free"))
		use_after_free();
	else if (!strcmp(deed, "leak"))
		leak();
	else if (!strcmp(deed, "lock_order"))
		lock_order();
	else if (!strcmp(deed, "sleep_in_atomic"))
		sleep_in_atomic();
	else
		return -EINVAL;
	return 0;
}

static void __exit culprit_exit(void)
{
}

module_init(culprit_init);
module_exit(culprit_exit);

MODULE_DESCRIPTION("Deliberate faults for the tests of dm-remotecopy");
MODULE_LICENSE("GPL");
