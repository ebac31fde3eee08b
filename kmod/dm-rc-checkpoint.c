// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints: markers, holds and their verdicts.
 *
 * Invariants: a marker, the end of its era and the beginning of its hold are one step under group->lock, with the next
 * era already stored. Of `held n` and `void n` exactly one follows marker n, before the first completion that the hold
 * withheld and before the record that ends the stream; room for it is kept. `held` is written only on the agent's order,
 * so it says that nothing was let go before. A hold ends by the kernel's own timer, at a suspend of any of the
 * group's volumes, and with its agent, whichever comes first; all of these are `void`. What differs for a checkpoint that
 * was armed is in dm-rc-arm.c: its verdict comes after the end of its hold.
 */
#include "dm-rc.h"

int dmrc_group_raise_ceiling(struct dmrc_group *g, u64 era)
{
	struct dmrc_vol *v;
	int r = 0, one;

	lockdep_assert_held(&g->mutex);
	if (dmrc_mutant("era_not_stored"))
		return 0;
	list_for_each_entry(v, &g->volumes, link) {
		if (!v->active || !v->primary || v->meta_failed || READ_ONCE(v->ceiling) >= era)
			continue;
		one = dmrc_meta_raise_ceiling(v, era);
		if (one)
			r = one;
	}
	return r;
}

static bool dmrc_ceiling_low(struct dmrc_group *g, u64 era)
{
	struct dmrc_vol *v;

	list_for_each_entry(v, &g->volumes, link)
		if (v->active && v->primary && READ_ONCE(v->ceiling) < era)
			return true;
	return false;
}

void dmrc_hold_release(struct dmrc_group *g)
{
	if (g->hold_seq == DMRC_NO_LIMIT)
		return;
	g->hold_us = (ktime_get_ns() - g->hold_began_ns) / NSEC_PER_USEC;
	spin_lock(&g->hold_lock);
	g->hold_seq = DMRC_NO_LIMIT;
	dmrc_hold_update_limit(g);
	spin_unlock(&g->hold_lock);
	/* Many completions may follow: not here. */
	queue_work(dmrc_hold_wq, &g->lift_work);
}

/* The record stands before anything that it withheld can be completed. */
void dmrc_hold_verdict(struct dmrc_group *g, u32 type)
{
	struct dmrc_record rec = { .type = type, .era = g->hold_era };
	struct dmrc_reservation r;

	if (!WARN_ON_ONCE(!dmrc_ring_reserve(g, 0, 0, 1 + g->copies, &r)))
		dmrc_ring_put(g, &r, &rec);
	g->cut = DMRC_CUT_NONE;
	dmrc_hold_release(g);
}

void dmrc_hold_void(struct dmrc_group *g)
{
	lockdep_assert_held(&g->lock);
	if (g->cut == DMRC_CUT_ARMED && !dmrc_arm_spoil(g))
		return;
	if (g->cut != DMRC_CUT_NONE)
		dmrc_hold_verdict(g, DMRC_VOID);
}

void dmrc_cut_at(struct dmrc_group *g, u64 mono_ns)
{
	lockdep_assert_held(&g->lock);
	g->cut_timer_ns = mono_ns;
	hrtimer_start(&g->hold_timer, ns_to_ktime(mono_ns), HRTIMER_MODE_ABS);
}

/* group->lock held. */
static void dmrc_cut_next(struct dmrc_group *g)
{
	if (g->cut == DMRC_CUT_ARMED)
		dmrc_arm_due(g);
	else if (g->cut == DMRC_CUT_HOLDING && g->cut_armed)
		dmrc_arm_held(g);
	else
		dmrc_hold_void(g);
}

static enum hrtimer_restart dmrc_hold_timer(struct hrtimer *timer)
{
	struct dmrc_group *g = container_of(timer, struct dmrc_group, hold_timer);
	unsigned long flags;

	spin_lock_irqsave(&g->lock, flags);
	/* A checkpoint that began after the timer had fired has its own time. */
	if (ktime_get_ns() >= g->cut_timer_ns)
		dmrc_cut_next(g);
	spin_unlock_irqrestore(&g->lock, flags);
	dmrc_ring_wake(g);
	return HRTIMER_NORESTART;
}

static void dmrc_lift_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, lift_work);

	dmrc_ring_wake(g);
	dmrc_hold_sweep(g);
}

void dmrc_hold_end(struct dmrc_group *g)
{
	spin_lock_irq(&g->lock);
	dmrc_hold_void(g);
	spin_unlock_irq(&g->lock);
}

int dmrc_lift(struct dmrc_group *g, u64 n)
{
	int r = 0;

	spin_lock_irq(&g->lock);
	if (!n || n > DMRC_ERA_N(g->hold_era))
		r = -EINVAL;
	else if (g->cut != DMRC_CUT_HOLDING || g->cut_armed || n != DMRC_ERA_N(g->hold_era))
		r = -ESTALE;
	else
		dmrc_hold_verdict(g, DMRC_HELD);
	spin_unlock_irq(&g->lock);
	if (!r)
		flush_work(&g->lift_work);
	return r;
}

void dmrc_checkpoint_init(struct dmrc_group *g)
{
	g->hold_seq = DMRC_NO_LIMIT;
	g->armed.due_ns = DMRC_NO_LIMIT;
	hrtimer_init(&g->hold_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
	g->hold_timer.function = dmrc_hold_timer;
	INIT_WORK(&g->lift_work, dmrc_lift_work);
}

void dmrc_checkpoint_exit(struct dmrc_group *g)
{
	hrtimer_cancel(&g->hold_timer);
	cancel_work_sync(&g->lift_work);
}

void dmrc_hold_begin(struct dmrc_group *g, u64 marker_seq, u64 end_ns)
{
	g->cut = DMRC_CUT_HOLDING;
	g->hold_began_ns = ktime_get_ns();
	spin_lock(&g->hold_lock);
	g->hold_seq = marker_seq;
	dmrc_hold_update_limit(g);
	spin_unlock(&g->hold_lock);
	dmrc_cut_at(g, end_ns);
}

bool dmrc_marker_put(struct dmrc_group *g, u64 era, u64 epoch, struct dmrc_reservation *r)
{
	struct dmrc_record marker = { .type = DMRC_MARKER, .era = era, .sector = epoch };

	lockdep_assert_held(&g->lock);
	if (!dmrc_ring_reserve(g, 0, 0, 2 + g->copies, r))
		return false;
	dmrc_ring_put(g, r, &marker);
	g->era = era + 1;
	g->hold_era = era;
	return true;
}

/* group->lock held. Marker n, the end of the era, and the verdict `held n` or the beginning of the hold in one step. */
static int dmrc_put_marker(struct dmrc_group *g, u64 era, struct dmrc_checkpoint *c)
{
	struct dmrc_record held = { .type = DMRC_HELD, .era = era };
	struct dmrc_reservation r;

	if (!g->capturing)
		return -ENOLINK;
	if (g->cut != DMRC_CUT_NONE)
		return -EBUSY;
	dmrc_ring_reclaim(g);
	if (!dmrc_marker_put(g, era, c->epoch, &r))
		return -EAGAIN;
	c->n = DMRC_ERA_N(era);
	c->marker_seq = r.seq;
	c->time_ns = r.time_ns;
	c->era = g->era;
	g->cut_armed = false;
	if (c->max_hold_us)
		dmrc_hold_begin(g, r.seq, ktime_get_ns() + c->max_hold_us * NSEC_PER_USEC);
	else if (!WARN_ON_ONCE(!dmrc_ring_reserve(g, 0, 0, 1 + g->copies, &r)))
		dmrc_ring_put(g, &r, &held);
	return 0;
}

/* A suspend must not wait for a hold. */
bool dmrc_suspending(struct dmrc_group *g)
{
	struct dmrc_vol *v;

	list_for_each_entry(v, &g->volumes, link)
		if (v->active && v->primary && READ_ONCE(v->stopping))
			return true;
	return false;
}

int dmrc_checkpoint(struct dmrc_group *g, struct dmrc_checkpoint *c)
{
	u64 era, next;
	int r;

	lockdep_assert_held(&g->mutex);
	if (c->max_hold_us > DMRC_HOLD_MAX_US)
		return -EINVAL;
	if (!g->primaries)
		return -EROFS;
	if (c->max_hold_us && dmrc_suspending(g))
		return -EBUSY;
	/* The era changes only under the mutex, or by what was armed under it. */
	spin_lock_irq(&g->lock);
	era = g->era;
	r = !g->capturing ? -ENOLINK : g->cut != DMRC_CUT_NONE ? -EBUSY : 0;
	spin_unlock_irq(&g->lock);
	if (r)
		return r;
	if (c->n && (c->n < DMRC_ERA_N(era) || c->n >= DMRC_ERA_N_MAX))
		return -EINVAL;
	if (c->n)
		era = DMRC_ERA(DMRC_ERA_GENERATION(era), c->n);
	next = era + 1;
	/* A number that a power cut could take back must not be used: n+1 is stored before marker n is put. */
	dmrc_group_raise_ceiling(g, next);

	spin_lock_irq(&g->lock);
	r = dmrc_put_marker(g, era, c);
	spin_unlock_irq(&g->lock);
	if (!r) {
		dmrc_ring_wake(g);
		/* A suspend that began meanwhile saw no hold to end; one of the two sees the other. */
		if (c->max_hold_us && dmrc_suspending(g))
			dmrc_hold_end(g);
		if (dmrc_ceiling_low(g, next + DMRC_CEILING_LOW))
			queue_work(dmrc_lazy_wq, &g->ceiling_work);
	}
	return r;
}
