// SPDX-License-Identifier: GPL-2.0
/*
 * Writes that find the ring full and may wait for room (on_full=throttle).
 *
 * They wait in one list of the group, in the order in which they came, outside the overlap tree and without a
 * number, so nothing waits for them. While the list isn't empty later writes queue behind: a large write isn't
 * starved by small ones. The agent frees space by a store to its page, which interrupts nobody: a timer looks every
 * millisecond, and a worker takes through what has room. A volume's queue submits them, so a slow disk holds up only
 * its own volume.
 * Every wait ends by the kernel's own timer: a write that has waited for throttle_ns ends the stream (overflow).
 * Must not: sleep with a write in hand.
 */
#include "dm-rc.h"

#define DMRC_THROTTLE_LOOK_NS	NSEC_PER_MSEC
/* how long after the last wait the group still counts as throttled */
#define DMRC_THROTTLE_CALM_NS	NSEC_PER_SEC

static struct dmrc_io *dmrc_throttle_first(struct dmrc_group *g)
{
	return list_first_entry_or_null(&g->throttled, struct dmrc_io, range.entry);
}

static bool dmrc_throttle_overdue(struct dmrc_group *g, struct dmrc_io *io, u64 now)
{
	return now - io->throttled_ns >= g->throttle_ns;
}

bool dmrc_throttle_queued(struct dmrc_group *g)
{
	lockdep_assert_held(&g->lock);
	return g->throttle_ns && !list_empty(&g->throttled) && !dmrc_mutant("throttled_in_any_order");
}

bool dmrc_throttle_wait(struct dmrc_group *g, struct dmrc_io *io, bool turn)
{
	u64 now = ktime_get_ns();

	lockdep_assert_held(&g->lock);
	if (!g->throttle_ns)
		return false;
	if (!io->throttled_ns) {
		io->throttled_ns = now;
		g->nr_throttled++;
	}
	if (dmrc_throttle_overdue(g, io, now))
		return false;
	if (list_empty(&g->throttled))
		hrtimer_start(&g->throttle_timer, ns_to_ktime(DMRC_THROTTLE_LOOK_NS), HRTIMER_MODE_REL);
	if (turn)
		list_add(&io->range.entry, &g->throttled);
	else
		list_add_tail(&io->range.entry, &g->throttled);
	g->last_throttled_ns = now;
	if (!g->throttling) {
		WRITE_ONCE(g->throttling, true);
		dmrc_group_changed(g);
	}
	return true;
}

void dmrc_throttle_kick(struct dmrc_group *g)
{
	lockdep_assert_held(&g->lock);
	if (!list_empty(&g->throttled))
		queue_work(dmrc_hold_wq, &g->throttle_work);
}

/* group->lock held. The first write can go on, or has waited for too long. */
static bool dmrc_throttle_due(struct dmrc_group *g, struct dmrc_io *io, u64 now)
{
	return !g->capturing || dmrc_throttle_overdue(g, io, now) || dmrc_write_has_room(io);
}

static enum hrtimer_restart dmrc_throttle_timer(struct hrtimer *timer)
{
	struct dmrc_group *g = container_of(timer, struct dmrc_group, throttle_timer);
	u64 now = ktime_get_ns(), again = DMRC_THROTTLE_LOOK_NS;
	struct dmrc_io *first;
	unsigned long flags;

	spin_lock_irqsave(&g->lock, flags);
	first = dmrc_throttle_first(g);
	if (first) {
		if (dmrc_throttle_due(g, first, now))
			queue_work(dmrc_hold_wq, &g->throttle_work);
	} else if (now - g->last_throttled_ns < DMRC_THROTTLE_CALM_NS) {
		again = DMRC_THROTTLE_CALM_NS;
	} else {
		WRITE_ONCE(g->throttling, false);
		dmrc_group_changed(g);
		again = 0;
	}
	if (again)
		hrtimer_start(timer, ns_to_ktime(again), HRTIMER_MODE_REL);
	spin_unlock_irqrestore(&g->lock, flags);
	return HRTIMER_NORESTART;
}

static void dmrc_throttle_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, throttle_work);
	struct dmrc_io *io;

	do {
		spin_lock_irq(&g->lock);
		io = dmrc_throttle_first(g);
		if (io)
			list_del(&io->range.entry);
		spin_unlock_irq(&g->lock);
	} while (io && dmrc_write_turn(io));
}

void dmrc_throttle_push_back(struct dmrc_group *g, struct dmrc_vol *v)
{
	struct dmrc_io *io, *next;
	LIST_HEAD(list);

	spin_lock_irq(&g->lock);
	list_for_each_entry_safe(io, next, &g->throttled, range.entry)
		if (io->target->volume == v)
			list_move_tail(&io->range.entry, &list);
	spin_unlock_irq(&g->lock);
	dmrc_hold_complete(&list, BLK_STS_DM_REQUEUE);
}

int dmrc_throttle_set(struct dmrc_group *g, u32 max_wait_ms)
{
	if (max_wait_ms > DMRC_WAIT_MAX_NS / NSEC_PER_MSEC)
		return -EINVAL;
	spin_lock_irq(&g->lock);
	g->throttle_ns = max_wait_ms * (u64)NSEC_PER_MSEC;
	dmrc_throttle_kick(g);
	spin_unlock_irq(&g->lock);
	return 0;
}

void dmrc_throttle_init(struct dmrc_group *g)
{
	INIT_LIST_HEAD(&g->throttled);
	INIT_WORK(&g->throttle_work, dmrc_throttle_work);
	hrtimer_init(&g->throttle_timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL);
	g->throttle_timer.function = dmrc_throttle_timer;
}

void dmrc_throttle_exit(struct dmrc_group *g)
{
	hrtimer_cancel(&g->throttle_timer);
	cancel_work_sync(&g->throttle_work);
}
