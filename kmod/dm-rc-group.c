// SPDX-License-Identifier: GPL-2.0
/*
 * Registry and life of groups and volumes, and telling the world of state changes.
 *
 * A group lives while a volume or an attached file holds it; a volume while a target or a copy under way holds it.
 * Must not: wait for I/O.
 */
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include "dm-rc.h"

static DEFINE_MUTEX(dmrc_groups_mutex);
static LIST_HEAD(dmrc_groups);

/* Dm events wake who waits in dmsetup wait; poll tells the agent; the log tells people of a loss. */
static void dmrc_event_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, event_work);
	struct dmrc_vol *v;
	const char *why;

	mutex_lock(&g->mutex);
	WRITE_ONCE(g->info->flags, dmrc_group_flags(g));
	list_for_each_entry(v, &g->volumes, link)
		if (v->active)
			dm_table_event(v->active->ti->table);
	mutex_unlock(&g->mutex);
	spin_lock_irq(&g->lock);
	why = g->lost_why;
	g->lost_why = NULL;
	spin_unlock_irq(&g->lock);
	if (why)
		DMWARN("%s: the stream has ended: %s; writes only mark the region map until a new stream begins",
		       g->name, why);
	wake_up_interruptible_poll(&g->wait, EPOLLIN | EPOLLRDNORM | EPOLLPRI);
}

static void dmrc_ceiling_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, ceiling_work);
	u64 era;

	mutex_lock(&g->mutex);
	spin_lock_irq(&g->lock);
	era = g->era;
	spin_unlock_irq(&g->lock);
	dmrc_group_raise_ceiling(g, era + DMRC_CEILING_LOW);
	mutex_unlock(&g->mutex);
}

void dmrc_group_changed(struct dmrc_group *g)
{
	WRITE_ONCE(g->changes, READ_ONCE(g->changes) + 1);
	queue_work(dmrc_lazy_wq, &g->event_work);
}

static void dmrc_group_free(struct dmrc_group *g)
{
	dmrc_ring_free(g->ring);
	vfree(g->info);
	vfree(g->consumer);
	kfree(g->copy);
	kfree(g);
}

static struct dmrc_group *dmrc_group_alloc(const char *name, u32 region_sectors)
{
	struct dmrc_group *g = kzalloc(sizeof(*g), GFP_KERNEL);

	if (!g)
		return NULL;
	g->info = vmalloc_user(PAGE_SIZE);
	g->consumer = vmalloc_user(PAGE_SIZE);
	if (!g->info || !g->consumer || dmrc_copy_init(g)) {
		dmrc_group_free(g);
		return NULL;
	}
	kref_init(&g->ref);
	strscpy(g->name, name, sizeof(g->name));
	g->region_sectors = region_sectors;
	mutex_init(&g->mutex);
	INIT_LIST_HEAD(&g->volumes);
	spin_lock_init(&g->lock);
	init_waitqueue_head(&g->wait);
	hrtimer_init(&g->wake_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	g->wake_timer.function = dmrc_wake_timer;
	INIT_WORK(&g->event_work, dmrc_event_work);
	INIT_WORK(&g->ceiling_work, dmrc_ceiling_work);
	INIT_WORK(&g->failed_work, dmrc_failed_work);
	INIT_LIST_HEAD(&g->failed);
	dmrc_hold_init(g);
	dmrc_checkpoint_init(g);
	dmrc_throttle_init(g);
	g->info->abi_version = DMRC_ABI_VERSION;
	return g;
}

/* dmrc_groups_mutex held. */
static struct dmrc_group *dmrc_group_lookup(const char *name)
{
	struct dmrc_group *g;

	list_for_each_entry(g, &dmrc_groups, link) {
		if (!strcmp(g->name, name)) {
			kref_get(&g->ref);
			return g;
		}
	}
	return NULL;
}

struct dmrc_group *dmrc_group_find(const char *name)
{
	struct dmrc_group *g;

	mutex_lock(&dmrc_groups_mutex);
	g = dmrc_group_lookup(name);
	mutex_unlock(&dmrc_groups_mutex);
	return g;
}

struct dmrc_group *dmrc_group_get(const char *name, u32 region_sectors, char **error)
{
	struct dmrc_group *made = dmrc_group_alloc(name, region_sectors), *g;

	if (!made) {
		*error = "Cannot allocate the group";
		return ERR_PTR(-ENOMEM);
	}
	mutex_lock(&dmrc_groups_mutex);
	g = dmrc_group_lookup(name);
	if (!g) {
		list_add_tail(&made->link, &dmrc_groups);
		mutex_unlock(&dmrc_groups_mutex);
		return made;
	}
	mutex_unlock(&dmrc_groups_mutex);
	dmrc_group_free(made);
	if (g->region_sectors != region_sectors) {
		*error = "region_kib differs from that of the group's other volumes";
		dmrc_group_put(g);
		return ERR_PTR(-EINVAL);
	}
	return g;
}

static void dmrc_group_release(struct kref *ref)
{
	struct dmrc_group *g = container_of(ref, struct dmrc_group, ref);

	list_del(&g->link);
	mutex_unlock(&dmrc_groups_mutex);
	hrtimer_cancel(&g->wake_timer);
	hrtimer_cancel(&g->deadline);
	dmrc_checkpoint_exit(g);
	dmrc_throttle_exit(g);
	cancel_work_sync(&g->alone_work);
	cancel_work_sync(&g->failed_work);
	cancel_work_sync(&g->ceiling_work);
	cancel_work_sync(&g->event_work);
	dmrc_group_free(g);
}

void dmrc_group_put(struct dmrc_group *g)
{
	kref_put_mutex(&g->ref, dmrc_group_release, &dmrc_groups_mutex);
}

/* -- volumes ------------------------------------------------------------------------------------------ */

static struct dmrc_vol *dmrc_volume_alloc(struct dmrc_group *g, u16 number, struct mapped_device *md)
{
	struct dmrc_vol *v = kzalloc(sizeof(*v), GFP_KERNEL);

	if (!v)
		return NULL;
	kref_init(&v->ref);
	v->number = number;
	v->md = md;
	v->devt = disk_devt(dm_disk(md));
	v->region_sectors = g->region_sectors;
	v->region_shift = ilog2(g->region_sectors);
	spin_lock_init(&v->lock);
	v->inflight = RB_ROOT_CACHED;
	INIT_LIST_HEAD(&v->deferred);
	INIT_LIST_HEAD(&v->ready);
	INIT_LIST_HEAD(&v->cold);
	INIT_LIST_HEAD(&v->copies_waiting);
	init_waitqueue_head(&v->idle);
	mutex_init(&v->meta);
	init_completion(&v->meta_done);
	INIT_WORK(&v->work, dmrc_volume_work);
	INIT_DELAYED_WORK(&v->close_work, dmrc_close_work);
	v->stopping = true;
	v->suspended = true;
	/* Its own queue and rescuer: a dead metadata device must not block the other volumes' writes. */
	v->wq = alloc_workqueue("dm-rc-%s-%u", WQ_MEM_RECLAIM | WQ_HIGHPRI | WQ_UNBOUND, 1, g->name, number);
	if (!v->wq || dmrc_meta_alloc(v)) {
		if (v->wq)
			destroy_workqueue(v->wq);
		kfree(v);
		return NULL;
	}
	kref_get(&g->ref);
	v->group = g;
	return v;
}

static void dmrc_volume_free(struct dmrc_vol *v)
{
	cancel_delayed_work_sync(&v->close_work);
	destroy_workqueue(v->wq);
	dmrc_meta_free(v);
	dmrc_map_free(&v->map);
	dmrc_group_put(v->group);
	kfree(v);
}

static void dmrc_volume_release(struct kref *ref)
{
	struct dmrc_vol *v = container_of(ref, struct dmrc_vol, ref);

	list_del(&v->link);
	mutex_unlock(&v->group->mutex);
	dmrc_volume_free(v);
}

void dmrc_volume_put(struct dmrc_vol *v)
{
	kref_put_mutex(&v->ref, dmrc_volume_release, &v->group->mutex);
}

struct dmrc_vol *dmrc_volume_get(struct dmrc_group *g, u16 number, struct mapped_device *md, char **error)
{
	struct dmrc_vol *v, *made = dmrc_volume_alloc(g, number, md);

	if (!made) {
		*error = "Cannot allocate the volume";
		return ERR_PTR(-ENOMEM);
	}
	mutex_lock(&g->mutex);
	list_for_each_entry(v, &g->volumes, link) {
		if (v->number != number)
			continue;
		if (v->md != md) {
			*error = "This volume number of the group is in use by another device";
			v = ERR_PTR(-EBUSY);
		} else {
			kref_get(&v->ref);
		}
		mutex_unlock(&g->mutex);
		dmrc_volume_free(made);
		return v;
	}
	list_add_tail(&made->link, &g->volumes);
	mutex_unlock(&g->mutex);
	return made;
}

struct dmrc_vol *dmrc_volume_find(struct dmrc_group *g, u16 number)
{
	struct dmrc_vol *v;

	lockdep_assert_held(&g->mutex);
	list_for_each_entry(v, &g->volumes, link)
		if (v->number == number && v->active)
			return v;
	return NULL;
}

bool dmrc_is_ours(struct block_device *bdev)
{
	struct dmrc_group *g;
	struct dmrc_vol *v;
	bool ours = false;

	mutex_lock(&dmrc_groups_mutex);
	list_for_each_entry(g, &dmrc_groups, link) {
		mutex_lock(&g->mutex);
		list_for_each_entry(v, &g->volumes, link)
			ours |= v->devt == disk_devt(bdev->bd_disk);
		mutex_unlock(&g->mutex);
	}
	mutex_unlock(&dmrc_groups_mutex);
	return ours;
}
