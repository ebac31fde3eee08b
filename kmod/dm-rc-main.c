// SPDX-License-Identifier: GPL-2.0
/*
 * Module: parameters, init and exit. Nothing else.
 */
#include <linux/module.h>
#include "dm-rc.h"

#ifdef __BIG_ENDIAN
#error "records are little-endian in shared memory; this module is for little-endian machines"
#endif

unsigned int dmrc_close_ms = 2000;
module_param_named(close_ms, dmrc_close_ms, uint, 0644);
MODULE_PARM_DESC(close_ms, "How often idle regions are looked for; one closes after one to two times as long");

#ifdef DMRC_TEST_MUTATIONS
static char *dmrc_mutation = "";
module_param_named(mutation, dmrc_mutation, charp, 0644);
MODULE_PARM_DESC(mutation, "Test build only: a deliberate fault");

bool dmrc_mutant(const char *name)
{
	return !strcmp(dmrc_mutation, name);
}
#endif

struct workqueue_struct *dmrc_hold_wq;
struct workqueue_struct *dmrc_lazy_wq;

static int __init dmrc_init(void)
{
	int r = -ENOMEM;

	dmrc_hold_wq = alloc_workqueue("dm-rc-hold", WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_UNBOUND, 0);
	if (!dmrc_hold_wq)
		return r;
	dmrc_lazy_wq = alloc_workqueue("dm-rc-lazy", WQ_UNBOUND, 0);
	if (!dmrc_lazy_wq)
		goto out_with_hold;
	r = dmrc_chardev_init();
	if (r)
		goto out_with_lazy;
	r = dmrc_target_init();
	if (r)
		goto out_with_chardev;
	return 0;

out_with_chardev:
	dmrc_chardev_exit();
out_with_lazy:
	destroy_workqueue(dmrc_lazy_wq);
out_with_hold:
	destroy_workqueue(dmrc_hold_wq);
	return r;
}

static void __exit dmrc_exit(void)
{
	dmrc_target_exit();
	dmrc_chardev_exit();
	destroy_workqueue(dmrc_lazy_wq);
	destroy_workqueue(dmrc_hold_wq);
}

module_init(dmrc_init);
module_exit(dmrc_exit);

MODULE_DESCRIPTION(DM_NAME " remote copy target");
MODULE_AUTHOR("dm-remotecopy developers");
MODULE_LICENSE("GPL");
