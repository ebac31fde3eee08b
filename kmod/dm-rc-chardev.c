// SPDX-License-Identifier: GPL-2.0
/*
 * /dev/remotecopy: open, attach, mmap, poll. The ioctls behind an attached file are in dm-rc-ioctl.c.
 *
 * One open file is attached to at most one group, one group to at most one file. Closing the file is the agent's
 * death or leave: the stream goes on, the next file continues at `freed`. Trusts nothing: only the consumer page
 * can be mapped writable, and what stands in it is checked where it is read.
 */
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include "dm-rc.h"
#include "dm-rc-compat.h"

u32 dmrc_group_flags(struct dmrc_group *g)
{
	u32 flags = 0;

	if (READ_ONCE(g->capturing))
		flags |= DMRC_STATE_STREAM;
	if (READ_ONCE(g->lost))
		flags |= DMRC_STATE_LOST;
	if (READ_ONCE(g->sync_mode) == DMRC_SYNC_WAIT)
		flags |= DMRC_STATE_SYNC;
	if (READ_ONCE(g->alone))
		flags |= DMRC_STATE_ALONE;
	if (READ_ONCE(g->hold_seq) != DMRC_NO_LIMIT)
		flags |= DMRC_STATE_HOLDING;
	if (READ_ONCE(g->cut_armed) && READ_ONCE(g->cut) != DMRC_CUT_NONE)
		flags |= DMRC_STATE_ARMED;
	if (READ_ONCE(g->write_protected))
		flags |= DMRC_STATE_PROTECTED;
	if (READ_ONCE(g->throttling))
		flags |= DMRC_STATE_THROTTLED;
	if (READ_ONCE(g->primaries))
		flags |= DMRC_STATE_PRIMARY;
	return flags;
}

static struct dmrc_group *dmrc_file_group(struct dmrc_file *f)
{
	/* pairs with the store at the end of dmrc_attach */
	return smp_load_acquire(&f->group);
}

static int dmrc_open(struct inode *inode, struct file *file)
{
	struct dmrc_file *f;

	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	f = kzalloc(sizeof(*f), GFP_KERNEL);
	if (!f)
		return -ENOMEM;
	/* misc_open leaves the misc device here */
	file->private_data = f;
	return nonseekable_open(inode, file);
}

/* group->mutex held. What the reader has freed stands, whoever reads on. */
static u64 dmrc_settle_consumer(struct dmrc_group *g)
{
	u64 freed;

	spin_lock_irq(&g->lock);
	if (g->ring)
		dmrc_ring_reclaim(g);
	freed = g->freed;
	spin_unlock_irq(&g->lock);
	WRITE_ONCE(g->consumer->need_wakeup, 0);
	WRITE_ONCE(g->consumer->read, freed);
	WRITE_ONCE(g->consumer->freed, freed);
	return freed;
}

static int dmrc_release(struct inode *inode, struct file *file)
{
	struct dmrc_file *f = file->private_data;
	struct dmrc_group *g = f->group;

	if (g) {
		mutex_lock(&g->mutex);
		dmrc_settle_consumer(g);
		g->owner = NULL;
		/* Who would lift it is gone. */
		dmrc_hold_end(g);
		mutex_unlock(&g->mutex);
		dmrc_group_put(g);
	}
	kfree(f);
	return 0;
}

static int dmrc_attach_group(struct file *file, struct dmrc_group *g, struct dmrc_attach *a)
{
	struct dmrc_file *f = file->private_data;
	int r = -EBUSY;

	mutex_lock(&g->mutex);
	if (!g->owner) {
		g->owner = file;
		a->freed = dmrc_settle_consumer(g);
		a->stream = g->stream;
		a->ended_stream = g->ended_stream;
		a->era = g->era;
		a->state = dmrc_group_flags(g);
		dmrc_ring_layout(g, a);
		f->changes = READ_ONCE(g->changes);
		f->map_bytes = a->map_bytes;
		r = 0;
	}
	mutex_unlock(&g->mutex);
	return r;
}

static int dmrc_attach(struct file *file, void __user *arg)
{
	struct dmrc_file *f = file->private_data;
	struct dmrc_attach a;
	struct dmrc_group *g;
	int r;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (a.abi_version != DMRC_ABI_VERSION) {
		a.abi_version = DMRC_ABI_VERSION;
		return copy_to_user(arg, &a, sizeof(a)) ? -EFAULT : -EPROTONOSUPPORT;
	}
	if (memchr_inv(a.zero, 0, sizeof(a.zero)) || strnlen(a.group, sizeof(a.group)) == sizeof(a.group))
		return -EINVAL;
	g = dmrc_group_find(a.group);
	if (!g)
		return -ENOENT;
	r = dmrc_attach_group(file, g, &a);
	if (!r && copy_to_user(arg, &a, sizeof(a))) {
		/* No call has found the group through this file yet: it has never been attached. */
		mutex_lock(&g->mutex);
		g->owner = NULL;
		mutex_unlock(&g->mutex);
		r = -EFAULT;
	}
	if (r) {
		dmrc_group_put(g);
		return r;
	}
	/* From here the file's other calls find the group complete. */
	smp_store_release(&f->group, g);
	return 0;
}

static long dmrc_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct dmrc_file *f = file->private_data;
	struct dmrc_group *g = dmrc_file_group(f);
	int r;

	if (cmd != DMRC_IOC_ATTACH)
		return g ? dmrc_group_ioctl(f, g, cmd, (void __user *)arg) : -ENOTCONN;
	/* Two threads with one file: one attaches. */
	if (test_and_set_bit(0, &f->attaching))
		return -EALREADY;
	r = dmrc_attach(file, (void __user *)arg);
	if (!f->group)
		clear_bit(0, &f->attaching);
	return r;
}

static __poll_t dmrc_poll(struct file *file, poll_table *wait)
{
	struct dmrc_file *f = file->private_data;
	struct dmrc_group *g = dmrc_file_group(f);
	__poll_t mask = 0;

	if (!g)
		return EPOLLERR;
	poll_wait(file, &g->wait, wait);
	if (dmrc_ring_readable(g))
		mask |= EPOLLIN | EPOLLRDNORM;
	if (READ_ONCE(g->changes) != READ_ONCE(f->changes))
		mask |= EPOLLPRI;
	return mask;
}

static int dmrc_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct dmrc_file *f = file->private_data;
	struct dmrc_group *g = dmrc_file_group(f);
	u64 offset = (u64)vma->vm_pgoff << PAGE_SHIFT;
	unsigned long size = vma->vm_end - vma->vm_start, done;
	bool consumer = offset == PAGE_SIZE && size == PAGE_SIZE;
	int r;

	if (!g)
		return -ENOTCONN;
	if (!(vma->vm_flags & VM_SHARED))
		return -EINVAL;
	if (offset >= f->map_bytes || size > f->map_bytes - offset)
		return -EINVAL;
	if (!consumer) {
		if (vma->vm_flags & VM_WRITE)
			return -EPERM;
		vm_flags_clear(vma, VM_MAYWRITE);
	}
	vm_flags_clear(vma, VM_MAYEXEC);
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP);
	for (done = 0; done < size; done += PAGE_SIZE) {
		/* Whole pages with a count: O_DIRECT straight from the ring works, and a page lives while mapped. */
		r = vm_insert_page(vma, vma->vm_start + done, dmrc_ring_page(g, offset + done));
		if (r)
			return r;
	}
	return 0;
}

static const struct file_operations dmrc_fops = {
	.owner = THIS_MODULE,
	.open = dmrc_open,
	.release = dmrc_release,
	.unlocked_ioctl = dmrc_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = dmrc_poll,
	.mmap = dmrc_mmap,
	.llseek = noop_llseek,
};

static struct miscdevice dmrc_misc = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = DMRC_DEVICE_NAME,
	.fops = &dmrc_fops,
	.mode = 0600,
};

int dmrc_chardev_init(void)
{
	return misc_register(&dmrc_misc);
}

void dmrc_chardev_exit(void)
{
	misc_deregister(&dmrc_misc);
}
