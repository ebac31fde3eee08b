// SPDX-License-Identifier: GPL-2.0
/*
 * The ioctls of an attached file: copy the arguments, check them, call the part that knows, copy the results.
 * An answer that can't be stored is found out before the call has an effect: dmrc_get stores back what it has fetched.
 *
 * Invariant: user memory is touched and memory allocated only outside group->mutex (a page fault may need a write
 * that waits for a holder of it). Reserved fields must be zero, so that later versions can use them.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "dm-rc.h"

#define DMRC_EXTENTS_MAX	65536	/* in one mark or settle */
#define DMRC_DIRTY_MAX		4096	/* in one answer */

/* The arguments of a call that has an answer in the same place. */
static int dmrc_get(void *to, void __user *from, size_t size)
{
	return copy_from_user(to, from, size) || copy_to_user(from, to, size) ? -EFAULT : 0;
}

static int dmrc_ioc_start(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_start s;
	int r;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (!(u32)s.stream || memchr_inv(s.zero, 0, sizeof(s.zero)))
		return -EINVAL;
	/* The whole answer first: a stream of which nobody was told would run. Its era changes only with the volumes. */
	do {
		mutex_lock(&g->mutex);
		r = dmrc_stream_may_start(g, &s.era);
		mutex_unlock(&g->mutex);
		if (r)
			return r;
		if (copy_to_user(arg, &s, sizeof(s)))
			return -EFAULT;
		mutex_lock(&g->mutex);
		r = dmrc_stream_start(g, s.stream, s.era);
		mutex_unlock(&g->mutex);
	} while (r == -ESTALE);
	return r;
}

static int dmrc_ioc_stop(struct dmrc_group *g)
{
	mutex_lock(&g->mutex);
	dmrc_stream_stop(g);
	mutex_unlock(&g->mutex);
	return 0;
}

static int dmrc_ioc_ack(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_ack a;

	return copy_from_user(&a, arg, sizeof(a)) ? -EFAULT : dmrc_hold_ack(g, &a);
}

static int dmrc_ioc_sync(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_sync s;
	int r;

	if (dmrc_get(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.mode > DMRC_SYNC_WAIT || s.fence > DMRC_FENCE_STOP || s.zero)
		return -EINVAL;
	mutex_lock(&g->mutex);
	r = dmrc_hold_sync(g, &s);
	mutex_unlock(&g->mutex);
	return r ?: copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

static int dmrc_ioc_throttle(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_throttle t;

	if (copy_from_user(&t, arg, sizeof(t)))
		return -EFAULT;
	return t.zero ? -EINVAL : dmrc_throttle_set(g, t.max_wait_ms);
}

static int dmrc_ioc_protect(struct dmrc_group *g, void __user *arg)
{
	int r = 0;
	u32 on;

	if (copy_from_user(&on, arg, sizeof(on)))
		return -EFAULT;
	if (on > 1)
		return -EINVAL;
	mutex_lock(&g->mutex);
	spin_lock_irq(&g->lock);
	if (!g->primaries) {
		r = -EROFS;
	} else {
		g->write_protected = on;
		dmrc_throttle_kick(g);
		dmrc_group_changed(g);
	}
	spin_unlock_irq(&g->lock);
	mutex_unlock(&g->mutex);
	return r;
}

static int dmrc_ioc_checkpoint(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_checkpoint c;
	int r;

	if (dmrc_get(&c, arg, sizeof(c)))
		return -EFAULT;
	if (memchr_inv(c.zero, 0, sizeof(c.zero)))
		return -EINVAL;
	mutex_lock(&g->mutex);
	r = dmrc_checkpoint(g, &c);
	mutex_unlock(&g->mutex);
	return r ?: copy_to_user(arg, &c, sizeof(c)) ? -EFAULT : 0;
}

static int dmrc_ioc_lift(struct dmrc_group *g, void __user *arg)
{
	u64 n;

	return copy_from_user(&n, arg, sizeof(n)) ? -EFAULT : dmrc_lift(g, n);
}

static int dmrc_ioc_arm(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_arm a;
	int r;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	if (memchr_inv(a.zero, 0, sizeof(a.zero)))
		return -EINVAL;
	mutex_lock(&g->mutex);
	r = dmrc_arm(g, &a);
	mutex_unlock(&g->mutex);
	return r;
}

static int dmrc_ioc_confirm(struct dmrc_group *g, void __user *arg)
{
	u64 n;

	return copy_from_user(&n, arg, sizeof(n)) ? -EFAULT : dmrc_confirm(g, n);
}

static int dmrc_ioc_disarm(struct dmrc_group *g, void __user *arg)
{
	u64 n;

	return copy_from_user(&n, arg, sizeof(n)) ? -EFAULT : dmrc_disarm(g, n);
}

static int dmrc_ioc_copy(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_copy_slot *slot;
	struct dmrc_vol *v;
	struct dmrc_copy c;
	int r = -ENODEV;

	if (copy_from_user(&c, arg, sizeof(c)))
		return -EFAULT;
	/* A tag tells a failed copy from a failed write. */
	if (c.zero16 || c.zero || !c.tag)
		return -EINVAL;
	mutex_lock(&g->mutex);
	v = dmrc_volume_find(g, c.volume);
	if (v)
		r = dmrc_copy_start(g, v, &c, &slot);
	mutex_unlock(&g->mutex);
	if (!r)
		dmrc_copy_run(slot);
	return r;
}

static int dmrc_ioc_put(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_put p;
	int r;

	if (dmrc_get(&p, arg, sizeof(p)))
		return -EFAULT;
	if (p.type != DMRC_END_OF_COPYING && p.type != DMRC_SEAL)
		return -EINVAL;
	mutex_lock(&g->mutex);
	r = dmrc_stream_put(g, p.type, p.tag, &p.seq);
	mutex_unlock(&g->mutex);
	return r ?: copy_to_user(arg, &p, sizeof(p)) ? -EFAULT : 0;
}

static int dmrc_ioc_dirty(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_extent *extents;
	struct dmrc_vol *v;
	struct dmrc_dirty d;
	u32 max;
	int r = 0;

	if (copy_from_user(&d, arg, sizeof(d)))
		return -EFAULT;
	if (d.zero16 || d.zero || !d.max_extents)
		return -EINVAL;
	max = min_t(u32, d.max_extents, DMRC_DIRTY_MAX);
	extents = kvcalloc(max, sizeof(*extents), GFP_KERNEL);
	if (!extents)
		return -ENOMEM;
	mutex_lock(&g->mutex);
	v = dmrc_volume_find(g, d.volume);
	if (!v)
		r = -ENODEV;
	else if (d.start_sector > v->sectors)
		r = -EINVAL;
	else
		dmrc_regions_dirty(v, d.since, d.start_sector, extents, max, &d.nr_extents, &d.next_sector);
	mutex_unlock(&g->mutex);
	if (!r && (copy_to_user(u64_to_user_ptr(d.extents), extents, d.nr_extents * sizeof(*extents)) ||
		   copy_to_user(arg, &d, sizeof(d))))
		r = -EFAULT;
	kvfree(extents);
	return r;
}

static int dmrc_ioc_regions(struct dmrc_group *g, unsigned int cmd, void __user *arg)
{
	struct dmrc_extent *extents;
	struct dmrc_regions m;
	struct dmrc_vol *v;
	int r;

	if (copy_from_user(&m, arg, sizeof(m)))
		return -EFAULT;
	if (m.nr_extents > DMRC_EXTENTS_MAX || (m.flags & ~(cmd == DMRC_IOC_SETTLE ? DMRC_REGIONS_REDONE : 0)))
		return -EINVAL;
	extents = vmemdup_user(u64_to_user_ptr(m.extents), m.nr_extents * sizeof(*extents));
	if (IS_ERR(extents))
		return PTR_ERR(extents);
	mutex_lock(&g->mutex);
	v = dmrc_volume_find(g, m.volume);
	if (!v)
		r = -ENODEV;
	else if (v->primary)
		r = -EPERM;
	else if (cmd == DMRC_IOC_MARK)
		r = dmrc_regions_mark(v, extents, m.nr_extents);
	else
		r = dmrc_regions_settle(v, extents, m.nr_extents, m.flags);
	mutex_unlock(&g->mutex);
	kvfree(extents);
	return r;
}

static int dmrc_ioc_update(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_vol *v;
	struct dmrc_update u;
	int r = 0;

	if (copy_from_user(&u, arg, sizeof(u)))
		return -EFAULT;
	if (u.zero || u.in_progress > 1 || !dmrc_is_era(u.era))
		return -EINVAL;
	mutex_lock(&g->mutex);
	v = dmrc_volume_find(g, u.volume);
	if (!v)
		r = -ENODEV;
	else if (v->primary)
		r = -EPERM;
	if (!r) {
		mutex_lock(&v->meta);
		if (u.in_progress)
			v->super.flags |= DMRC_SB_UPDATE;
		else
			v->super.flags &= ~DMRC_SB_UPDATE;
		v->super.update_era = u.in_progress ? u.era : 0;
		r = dmrc_meta_write_super(v);
		mutex_unlock(&v->meta);
		dmrc_group_changed(g);
	}
	mutex_unlock(&g->mutex);
	return r;
}

/* group->mutex held. */
static void dmrc_describe(struct dmrc_vol *v, struct dmrc_volume *i)
{
	memset(i, 0, sizeof(*i));
	i->volume = v->number;
	if (v->primary)
		i->flags |= DMRC_VOLUME_PRIMARY;
	if (v->super.flags & DMRC_SB_UPDATE)
		i->flags |= DMRC_VOLUME_UPDATE;
	if (v->super.flags & DMRC_SB_ALONE)
		i->flags |= DMRC_VOLUME_ALONE;
	if (v->meta_failed)
		i->flags |= DMRC_VOLUME_META_FAILED;
	if (v->suspended)
		i->flags |= DMRC_VOLUME_SUSPENDED;
	i->major = MAJOR(v->devt);
	i->minor = MINOR(v->devt);
	i->sectors = v->sectors;
	i->generation = v->super.generation;
	i->alone_since = v->super.alone_since;
}

static int dmrc_ioc_volume(struct dmrc_group *g, void __user *arg)
{
	struct dmrc_vol *v, *found = NULL;
	struct dmrc_volume i;

	if (copy_from_user(&i, arg, sizeof(i)))
		return -EFAULT;
	mutex_lock(&g->mutex);
	list_for_each_entry(v, &g->volumes, link)
		if (v->active && v->number >= i.volume && (!found || v->number < found->number))
			found = v;
	if (found)
		dmrc_describe(found, &i);
	mutex_unlock(&g->mutex);
	if (!found)
		return -ENOENT;
	return copy_to_user(arg, &i, sizeof(i)) ? -EFAULT : 0;
}

static int dmrc_ioc_state(struct dmrc_file *f, struct dmrc_group *g, void __user *arg)
{
	struct dmrc_state s = {};
	struct dmrc_vol *v;

	WRITE_ONCE(f->changes, READ_ONCE(g->changes));
	mutex_lock(&g->mutex);
	dmrc_ring_state(g, &s);
	s.state = dmrc_group_flags(g);
	list_for_each_entry(v, &g->volumes, link)
		s.volumes += !!v->active;
	spin_lock_irq(&g->hold_lock);
	s.acked = g->acked;
	s.alone_since = g->alone_since;
	s.alone_after_ns = g->sync_mode == DMRC_SYNC_WAIT ? g->alone_after_ns : 0;
	spin_unlock_irq(&g->hold_lock);
	mutex_unlock(&g->mutex);
	return copy_to_user(arg, &s, sizeof(s)) ? -EFAULT : 0;
}

long dmrc_group_ioctl(struct dmrc_file *f, struct dmrc_group *g, unsigned int cmd, void __user *arg)
{
	switch (cmd) {
	case DMRC_IOC_START:
		return dmrc_ioc_start(g, arg);
	case DMRC_IOC_STOP:
		return dmrc_ioc_stop(g);
	case DMRC_IOC_ACK:
		return dmrc_ioc_ack(g, arg);
	case DMRC_IOC_SYNC:
		return dmrc_ioc_sync(g, arg);
	case DMRC_IOC_THROTTLE:
		return dmrc_ioc_throttle(g, arg);
	case DMRC_IOC_PROTECT:
		return dmrc_ioc_protect(g, arg);
	case DMRC_IOC_CHECKPOINT:
		return dmrc_ioc_checkpoint(g, arg);
	case DMRC_IOC_LIFT:
		return dmrc_ioc_lift(g, arg);
	case DMRC_IOC_ARM:
		return dmrc_ioc_arm(g, arg);
	case DMRC_IOC_CONFIRM:
		return dmrc_ioc_confirm(g, arg);
	case DMRC_IOC_DISARM:
		return dmrc_ioc_disarm(g, arg);
	case DMRC_IOC_COPY:
		return dmrc_ioc_copy(g, arg);
	case DMRC_IOC_PUT:
		return dmrc_ioc_put(g, arg);
	case DMRC_IOC_DIRTY:
		return dmrc_ioc_dirty(g, arg);
	case DMRC_IOC_MARK:
	case DMRC_IOC_SETTLE:
		return dmrc_ioc_regions(g, cmd, arg);
	case DMRC_IOC_UPDATE:
		return dmrc_ioc_update(g, arg);
	case DMRC_IOC_VOLUME:
		return dmrc_ioc_volume(g, arg);
	case DMRC_IOC_STATE:
		return dmrc_ioc_state(f, g, arg);
	default:
		return -ENOTTY;
	}
}
