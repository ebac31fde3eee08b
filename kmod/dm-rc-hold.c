// SPDX-License-Identifier: GPL-2.0
/*
 * Withheld completions: what lets them wait, how they go, and the deadline of sync mode.
 *
 * A write whose backing I/O is done waits in group->waiting, by seq, while its seq is above group->limit. With
 * sync mode the limit is what the sync site has acknowledged; a hold (dm-rc-checkpoint.c) is one more bound on it.
 * Invariant: no write completes alone before the deadline that the agent last handed over and before the note is stored.
 * Every wait ends by the kernel's own timer, whether an agent lives or not.
 */
#include "dm-rc.h"

void dmrc_hold_update_limit(struct dmrc_group *g)
{
	u64 limit = DMRC_NO_LIMIT;

	if (g->sync_mode == DMRC_SYNC_WAIT && !g->alone)
		limit = max(g->acked, g->since_seq);
	if (!dmrc_mutant("no_hold"))
		limit = min(limit, g->hold_seq);
	WRITE_ONCE(g->limit, limit);
}

/*
 * hold_lock held. The seq by which a write is ordered. One that the running stream does not carry came before it:
 * a copy that gets this stream got the write with its resync. So it counts like what was numbered when waiting
 * for that copy began, and as never acknowledged before.
 */
static u64 dmrc_hold_key(struct dmrc_group *g, struct dmrc_io *io)
{
	if (io->seq && io->epoch == g->epoch)
		return io->seq;
	return READ_ONCE(g->capturing) ? g->before_seq : DMRC_NO_LIMIT;
}

static bool dmrc_hold_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct dmrc_io, wait_node)->seq < rb_entry(b, struct dmrc_io, wait_node)->seq;
}

bool dmrc_hold_write(struct dmrc_group *g, struct dmrc_io *io, blk_status_t *error)
{
	unsigned long flags;
	bool held = false;
	u64 seq;

	/*
	 * A write reserved after the limit was lowered sees it: both are done under group->lock, and the bio's
	 * way to its end orders the rest.
	 */
	if (likely(READ_ONCE(g->limit) == DMRC_NO_LIMIT))
		return false;
	spin_lock_irqsave(&g->hold_lock, flags);
	seq = dmrc_hold_key(g, io);
	if (seq <= g->limit) {
		held = false;
	} else if (g->stopped) {
		*error = BLK_STS_IOERR;
	} else if (READ_ONCE(io->target->volume->push_back)) {
		*error = BLK_STS_DM_REQUEUE;
	} else {
		io->seq = seq;
		io->state = DMRC_IO_WAITING;
		rb_add_cached(&io->wait_node, &g->waiting, dmrc_hold_less);
		held = true;
	}
	spin_unlock_irqrestore(&g->hold_lock, flags);
	return held;
}

void dmrc_hold_complete(struct list_head *list, blk_status_t status)
{
	struct dmrc_io *io, *next;

	list_for_each_entry_safe(io, next, list, range.entry) {
		struct bio *bio = dm_bio_from_per_bio_data(io, sizeof(*io));

		list_del(&io->range.entry);
		io->state = DMRC_IO_FINAL;
		if (status)
			bio->bi_status = status;
		bio_endio(bio);
	}
}

/* hold_lock held. Take out all that `limit` lets go, in seq order. */
static void dmrc_hold_take(struct dmrc_group *g, u64 limit, struct dmrc_vol *v, struct list_head *list)
{
	struct rb_node *node = rb_first_cached(&g->waiting), *next;

	for (; node; node = next) {
		struct dmrc_io *io = rb_entry(node, struct dmrc_io, wait_node);

		if (io->seq > limit)
			break;
		next = rb_next(node);
		if (v && io->target->volume != v)
			continue;
		rb_erase_cached(node, &g->waiting);
		list_add_tail(&io->range.entry, list);
	}
}

void dmrc_hold_sweep(struct dmrc_group *g)
{
	LIST_HEAD(done);
	LIST_HEAD(failed);

	spin_lock_irq(&g->hold_lock);
	dmrc_hold_take(g, g->limit, NULL, &done);
	if (g->stopped)
		dmrc_hold_take(g, DMRC_NO_LIMIT, NULL, &failed);
	spin_unlock_irq(&g->hold_lock);
	dmrc_hold_complete(&done, BLK_STS_OK);
	dmrc_hold_complete(&failed, BLK_STS_IOERR);
}

void dmrc_hold_push_back(struct dmrc_group *g, struct dmrc_vol *v)
{
	LIST_HEAD(list);

	spin_lock_irq(&g->hold_lock);
	v->push_back = true;
	dmrc_hold_take(g, DMRC_NO_LIMIT, v, &list);
	spin_unlock_irq(&g->hold_lock);
	dmrc_hold_complete(&list, BLK_STS_DM_REQUEUE);
}

/* hold_lock held. Writes that no stream carries wait for no more than what is numbered by now. */
static void dmrc_hold_adopt(struct dmrc_group *g)
{
	struct rb_node *node;

	g->before_seq = g->reserved;
	for (node = rb_last(&g->waiting.rb_root); node; node = rb_prev(node)) {
		struct dmrc_io *io = rb_entry(node, struct dmrc_io, wait_node);

		if (io->seq != DMRC_NO_LIMIT)
			break;
		io->seq = g->before_seq; /* the order of the tree stays: no seq is higher yet */
	}
}

/* -- sync mode and its deadline ------------------------------------------------------------------------ */

static enum hrtimer_restart dmrc_deadline(struct hrtimer *timer)
{
	struct dmrc_group *g = container_of(timer, struct dmrc_group, deadline);

	queue_work(dmrc_hold_wq, &g->alone_work);
	return HRTIMER_NORESTART;
}

/* hold_lock held. */
static void dmrc_set_deadline(struct dmrc_group *g, u64 at)
{
	g->alone_after_ns = min(at, ktime_get_boottime_ns() + DMRC_WAIT_MAX_NS);
	hrtimer_start(&g->deadline, ns_to_ktime(g->alone_after_ns), HRTIMER_MODE_ABS);
}

/* hold_lock held. The deadline has passed and nobody has moved it. */
static bool dmrc_deadline_passed(struct dmrc_group *g)
{
	return g->sync_mode == DMRC_SYNC_WAIT && !g->alone && !g->stopped &&
	       ktime_get_boottime_ns() >= g->alone_after_ns;
}

/* group->mutex held. Store or take back the note; how many volumes have stored it. */
static unsigned int dmrc_note_alone(struct dmrc_group *g, u64 era)
{
	struct dmrc_vol *v;
	unsigned int stored = 0;

	list_for_each_entry(v, &g->volumes, link) {
		bool noted;

		if (!v->active || !v->primary || v->meta_failed)
			continue;
		mutex_lock(&v->meta);
		noted = v->super.flags & DMRC_SB_ALONE;
		if (era && !noted) {
			v->super.flags |= DMRC_SB_ALONE;
			v->super.alone_since = era;
		} else if (!era && noted) {
			v->super.flags &= ~DMRC_SB_ALONE;
			v->super.alone_since = 0;
		}
		if (!!era == noted || !dmrc_meta_write_super(v))
			stored++;
		mutex_unlock(&v->meta);
	}
	return stored;
}

static void dmrc_go_on(struct dmrc_group *g, u64 era)
{
	bool noted = dmrc_note_alone(g, era), alone = false, late;

	spin_lock_irq(&g->hold_lock);
	/* While the note was stored the agent may have handed over a later deadline: then nothing has happened. */
	late = !dmrc_deadline_passed(g);
	if (!late && noted) {
		g->alone = alone = true;
		g->alone_since = era;
	} else if (!late) {
		g->stopped = true;
	}
	dmrc_hold_update_limit(g);
	spin_unlock_irq(&g->hold_lock);
	if (late)
		dmrc_note_alone(g, 0);
	else if (alone)
		DMWARN("%s: no acknowledgement before the deadline: writes complete alone since era %llu:%llu",
		       g->name, DMRC_ERA_GENERATION(era), DMRC_ERA_N(era));
	else
		DMERR("%s: no acknowledgement before the deadline, and no metadata device could store the note: writes fail",
		      g->name);
}

static void dmrc_alone_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, alone_work);
	bool passed, stop;
	u64 era;

	mutex_lock(&g->mutex);
	spin_lock_irq(&g->lock);
	era = g->era;
	spin_unlock_irq(&g->lock);
	spin_lock_irq(&g->hold_lock);
	passed = dmrc_deadline_passed(g);
	stop = passed && g->fence == DMRC_FENCE_STOP;
	if (stop)
		g->stopped = true;
	spin_unlock_irq(&g->hold_lock);
	if (stop)
		DMERR("%s: no acknowledgement before the deadline: writes fail (fence stop)", g->name);
	else if (passed)
		dmrc_go_on(g, era);
	mutex_unlock(&g->mutex);
	if (passed)
		dmrc_group_changed(g);
	dmrc_hold_sweep(g);
}

void dmrc_hold_init(struct dmrc_group *g)
{
	spin_lock_init(&g->hold_lock);
	g->waiting = RB_ROOT_CACHED;
	g->limit = DMRC_NO_LIMIT;
	hrtimer_init(&g->deadline, CLOCK_BOOTTIME, HRTIMER_MODE_ABS);
	g->deadline.function = dmrc_deadline;
	INIT_WORK(&g->alone_work, dmrc_alone_work);
}

int dmrc_hold_ack(struct dmrc_group *g, const struct dmrc_ack *ack)
{
	u64 reserved = READ_ONCE(g->info->reserved);
	int r = 0;

	spin_lock_irq(&g->hold_lock);
	if (ack->acked > reserved)
		r = -EINVAL;
	else
		g->acked = max(g->acked, ack->acked);
	/* The deadline only moves on: one that has been handed over stands. */
	if (!r && g->sync_mode == DMRC_SYNC_WAIT && ack->alone_after_ns > g->alone_after_ns)
		dmrc_set_deadline(g, ack->alone_after_ns);
	dmrc_hold_update_limit(g);
	spin_unlock_irq(&g->hold_lock);
	dmrc_hold_sweep(g);
	return r;
}

int dmrc_hold_sync(struct dmrc_group *g, struct dmrc_sync *sync)
{
	bool was_alone;

	lockdep_assert_held(&g->mutex);
	spin_lock_irq(&g->lock);
	if (sync->mode == DMRC_SYNC_WAIT && !g->capturing) {
		spin_unlock_irq(&g->lock);
		return -ENOLINK;
	}
	spin_lock(&g->hold_lock);
	was_alone = g->alone;
	/*
	 * Writes numbered so far complete freely; what waits already goes on waiting. A repeated call changes
	 * fence and deadline only.
	 */
	if (sync->mode == DMRC_SYNC_WAIT && (g->sync_mode != DMRC_SYNC_WAIT || g->alone || g->stopped))
		g->since_seq = g->reserved;
	if (sync->mode == DMRC_SYNC_WAIT)
		dmrc_hold_adopt(g);
	g->sync_mode = sync->mode;
	g->fence = sync->fence;
	g->alone = false;
	g->stopped = false;
	g->alone_since = 0;
	if (sync->mode == DMRC_SYNC_WAIT)
		dmrc_set_deadline(g, sync->alone_after_ns);
	else
		hrtimer_try_to_cancel(&g->deadline);
	dmrc_hold_update_limit(g);
	sync->since_seq = g->since_seq;
	spin_unlock(&g->hold_lock);
	spin_unlock_irq(&g->lock);
	dmrc_note_alone(g, 0);
	if (was_alone)
		DMINFO("%s: no longer alone", g->name);
	dmrc_group_changed(g);
	dmrc_hold_sweep(g);
	return 0;
}

/* group->lock held. Acknowledgements of the old stream say nothing about the new one. */
void dmrc_hold_new_stream(struct dmrc_group *g)
{
	struct rb_node *node;

	spin_lock(&g->hold_lock);
	for (node = rb_first_cached(&g->waiting); node; node = rb_next(node))
		rb_entry(node, struct dmrc_io, wait_node)->seq = DMRC_NO_LIMIT;
	g->acked = 0;
	g->since_seq = 0;
	g->before_seq = DMRC_NO_LIMIT;
	dmrc_hold_update_limit(g);
	spin_unlock(&g->hold_lock);
}
