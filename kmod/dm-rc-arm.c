// SPDX-License-Identifier: GPL-2.0
/*
 * Checkpoints armed for a time T of the clock, with a hold of E (order `clock`).
 *
 * The marker stands before the first record with a stamp above T; a timer puts it when there is none. Completions of
 * what follows it are withheld until the clock reads T + E. All of that needs no agent. `held` does: only the agent
 * can know that the members' clocks differed by less than E, and only by measuring again after the hold. So the hold
 * ends by itself and the verdict follows: `held` by CONFIRM, else `void`.
 * T is a time of CLOCK_REALTIME, since records are stamped with it and the members' clocks agree in it. The timers run on
 * CLOCK_MONOTONIC: a clock that is set can neither shorten nor lengthen a hold; it makes the checkpoint void.
 * Invariant: until the verdict, room for marker and verdict is there: nothing else may take it (DMRC_RESERVED_SLOTS).
 */
#include "dm-rc.h"

/* Both clocks run at one rate, also while it is being corrected: the difference changes only when the clock is set. */
static s64 dmrc_clock_offset(void)
{
	return ktime_to_ns(ktime_mono_to_any(0, TK_OFFS_REAL));
}

static bool dmrc_clock_was_set(struct dmrc_group *g)
{
	return dmrc_clock_offset() != g->armed.clock_offset && !dmrc_mutant("clock_unwatched");
}

/* After T by one: a record with the stamp T is before the marker. */
static u64 dmrc_arm_timer_ns(struct dmrc_group *g)
{
	u64 late = dmrc_mutant("marker_by_timer_only") ? 20 * NSEC_PER_MSEC : 1;

	return g->armed.at_ns - g->armed.clock_offset + late;
}

static u64 dmrc_armed_n(struct dmrc_group *g)
{
	return g->cut_armed && g->cut != DMRC_CUT_NONE ? DMRC_ERA_N(g->armed.era) : 0;
}

bool dmrc_arm_spoil(struct dmrc_group *g)
{
	struct dmrc_reservation r;
	bool put;

	g->armed.due_ns = DMRC_NO_LIMIT;
	put = !WARN_ON_ONCE(!dmrc_marker_put(g, g->armed.era, g->armed.epoch, &r));
	g->cut = put ? DMRC_CUT_UNCONFIRMED : DMRC_CUT_NONE;
	return put;
}

void dmrc_arm_due(struct dmrc_group *g)
{
	struct dmrc_armed *a = &g->armed;
	struct dmrc_reservation r;

	lockdep_assert_held(&g->lock);
	a->due_ns = DMRC_NO_LIMIT;
	if (dmrc_clock_was_set(g)) {
		dmrc_hold_void(g);
		return;
	}
	if (WARN_ON_ONCE(!dmrc_marker_put(g, a->era, a->epoch, &r))) {
		g->cut = DMRC_CUT_NONE;
		return;
	}
	dmrc_hold_begin(g, r.seq, a->at_ns + a->hold_ns - a->clock_offset);
	/* It wakes the reader; a write is on its way here and can't. */
	queue_work(dmrc_hold_wq, &g->lift_work);
}

void dmrc_arm_held(struct dmrc_group *g)
{
	lockdep_assert_held(&g->lock);
	g->cut = DMRC_CUT_UNCONFIRMED;
	if (!dmrc_mutant("hold_until_verdict"))
		dmrc_hold_release(g);
	if (dmrc_clock_was_set(g))
		dmrc_hold_verdict(g, DMRC_VOID);
	else if (dmrc_mutant("held_unconfirmed"))
		dmrc_hold_verdict(g, DMRC_HELD);
	else
		dmrc_cut_at(g, ktime_get_ns() + g->armed.confirm_ns);
}

/* group->lock held. */
static int dmrc_arm_check(struct dmrc_group *g, const struct dmrc_arm *a)
{
	u64 now = ktime_get_real_ns();

	if (!g->capturing)
		return -ENOLINK;
	if (g->cut != DMRC_CUT_NONE)
		return -EBUSY;
	/* Stamps don't step back with the clock: what was stamped is before the marker. */
	if (a->at_ns <= max(now, g->time_ns))
		return -ETIME;
	if (a->at_ns - now > DMRC_WAIT_MAX_NS)
		return -EINVAL;
	return dmrc_ring_room_for(g, 0, 0, 2 + g->copies) ? 0 : -EAGAIN;
}

/* group->lock held. */
static void dmrc_arm_set(struct dmrc_group *g, const struct dmrc_arm *a, u64 era)
{
	g->armed.era = era;
	g->armed.epoch = a->epoch;
	g->armed.at_ns = a->at_ns;
	g->armed.due_ns = a->at_ns;
	g->armed.hold_ns = a->hold_ns;
	g->armed.confirm_ns = a->confirm_us * NSEC_PER_USEC;
	g->armed.clock_offset = dmrc_clock_offset();
	g->cut = DMRC_CUT_ARMED;
	g->cut_armed = true;
	dmrc_cut_at(g, dmrc_arm_timer_ns(g));
}

int dmrc_arm(struct dmrc_group *g, const struct dmrc_arm *a)
{
	u64 era;
	int r;

	lockdep_assert_held(&g->mutex);
	if (!a->hold_ns || a->hold_ns > DMRC_HOLD_MAX_US * NSEC_PER_USEC || !a->confirm_us ||
	    a->confirm_us > DMRC_HOLD_MAX_US)
		return -EINVAL;
	if (!g->primaries)
		return -EROFS;
	if (dmrc_suspending(g))
		return -EBUSY;
	spin_lock_irq(&g->lock);
	r = dmrc_arm_check(g, a);
	era = g->era;
	spin_unlock_irq(&g->lock);
	if (r)
		return r;
	if (a->n < DMRC_ERA_N(era) || a->n >= DMRC_ERA_N_MAX)
		return -EINVAL;
	/* With the mutex held nobody else can end this era meanwhile. */
	era = DMRC_ERA(DMRC_ERA_GENERATION(era), a->n);
	dmrc_group_raise_ceiling(g, era + 1);

	spin_lock_irq(&g->lock);
	r = dmrc_arm_check(g, a);
	if (!r)
		dmrc_arm_set(g, a, era);
	spin_unlock_irq(&g->lock);
	/* A suspend that began meanwhile saw nothing armed; one of the two sees the other. */
	if (!r && dmrc_suspending(g))
		dmrc_hold_end(g);
	return r;
}

int dmrc_confirm(struct dmrc_group *g, u64 n)
{
	int r = 0;

	spin_lock_irq(&g->lock);
	if (n && n == dmrc_armed_n(g)) {
		if (g->cut != DMRC_CUT_UNCONFIRMED) {
			r = -EBUSY;
		} else if (dmrc_clock_was_set(g)) {
			dmrc_hold_void(g);
			r = -ESTALE;
		} else {
			dmrc_hold_verdict(g, DMRC_HELD);
		}
	} else {
		r = !n || n > DMRC_ERA_N(g->hold_era) ? -EINVAL : -ESTALE;
	}
	spin_unlock_irq(&g->lock);
	dmrc_ring_wake(g);
	return r;
}

int dmrc_disarm(struct dmrc_group *g, u64 n)
{
	int r = 0;

	spin_lock_irq(&g->lock);
	if (!n || n != dmrc_armed_n(g)) {
		r = -ESTALE;
	} else if (g->cut == DMRC_CUT_ARMED) {
		g->armed.due_ns = DMRC_NO_LIMIT;
		g->cut = DMRC_CUT_NONE;
	} else {
		dmrc_hold_void(g);
	}
	spin_unlock_irq(&g->lock);
	dmrc_ring_wake(g);
	return r;
}
