// SPDX-License-Identifier: GPL-2.0
/*
 * The path of a bio: order among overlapping writes, capture, end.
 *
 * Order of the steps for a write, all that can wait before the sequence number exists:
 *   1. it meets a range in flight: wait for that one (work queue, never in map)
 *   2. a region isn't open on stable storage: the volume's worker opens it
 *   3. number, time, era, space and the regions' eras in one step under the group's lock; no room: the stream
 *      ends, or the write waits (dm-rc-throttle.c)
 *   4. copy and commit outside the locks; the backing write is submitted from the ring
 * Invariant: two writes in flight never overlap, so disk and stream have one order.
 * Must not: sleep in map (the bio waited for may sit on current->bio_list).
 */
#include <linux/interval_tree_generic.h>
#include <linux/sched/mm.h>
#include "dm-rc.h"

#define DMRC_RANGE_START(r)	((r)->start)
#define DMRC_RANGE_LAST(r)	((r)->last)
INTERVAL_TREE_DEFINE(struct dmrc_range, node, sector_t, subtree_last, DMRC_RANGE_START, DMRC_RANGE_LAST,
		     static inline, dmrc_range)

struct dmrc_range *dmrc_inflight_first(struct dmrc_vol *v, sector_t start, sector_t last)
{
	return dmrc_range_iter_first(&v->inflight, start, last);
}

bool dmrc_inflight_behind(struct dmrc_vol *v, const struct dmrc_range *range)
{
	struct dmrc_range *other = dmrc_range_iter_first(&v->inflight, range->start, range->last);

	for (; other; other = dmrc_range_iter_next(other, range->start, range->last))
		if (other->serial < range->serial)
			return true;
	return false;
}

void dmrc_inflight_add(struct dmrc_vol *v, struct dmrc_range *range)
{
	range->serial = ++v->serial;
	dmrc_range_insert(range, &v->inflight);
}

bool dmrc_inflight_remove(struct dmrc_vol *v, struct dmrc_range *range)
{
	bool kick = !list_empty(&range->waiters) || !list_empty(&v->copies_waiting);

	dmrc_range_remove(range, &v->inflight);
	list_splice_tail_init(&range->waiters, &v->deferred);
	list_splice_tail_init(&v->copies_waiting, &v->deferred);
	return kick;
}

static struct bio *dmrc_io_bio(struct dmrc_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(*io));
}

/* Data positions: pages for whole pages, so that disks and O_DIRECT readers of the ring get aligned memory. */
static u32 dmrc_data_align(struct dmrc_vol *v, u32 bytes)
{
	return IS_ALIGNED(bytes, PAGE_SIZE) ? PAGE_SIZE : max_t(u32, 512, bdev_logical_block_size(v->data));
}

static void dmrc_fill_record(struct dmrc_vol *v, struct bio *bio, const struct dmrc_reservation *r,
			     struct dmrc_record *rec)
{
	memset(rec, 0, sizeof(*rec));
	switch (bio_op(bio)) {
	case REQ_OP_DISCARD:
		rec->type = DMRC_DISCARD;
		rec->flags = DMRC_F_UNMAP;
		break;
	case REQ_OP_WRITE_ZEROES:
		rec->type = DMRC_ZEROES;
		rec->flags = bio->bi_opf & REQ_NOUNMAP ? 0 : DMRC_F_UNMAP;
		break;
	default:
		rec->type = DMRC_WRITE;
		rec->data_pos = r->data_pos;
		break;
	}
	if (bio->bi_opf & REQ_FUA)
		rec->flags |= DMRC_F_FUA;
	rec->volume = v->number;
	rec->length = bio->bi_iter.bi_size;
	rec->sector = bio->bi_iter.bi_sector;
	rec->era = r->era;
}

static bool dmrc_has_data(struct bio *bio)
{
	return bio_op(bio) != REQ_OP_DISCARD && bio_op(bio) != REQ_OP_WRITE_ZEROES;
}

static u32 dmrc_data_bytes(struct bio *bio)
{
	return dmrc_has_data(bio) ? bio->bi_iter.bi_size : 0;
}

/* group->lock held. Slots that a write leaves. Writes that wait for room would take all that copies could get. */
static u32 dmrc_kept_slots(struct dmrc_group *g)
{
	return DMRC_RESERVED_SLOTS + (g->throttle_ns ? DMRC_COPY_SLOTS : g->copies);
}

bool dmrc_write_has_room(struct dmrc_io *io)
{
	struct dmrc_vol *v = io->target->volume;
	u32 bytes = dmrc_data_bytes(dmrc_io_bio(io));

	return dmrc_ring_room_for(v->group, bytes, dmrc_data_align(v, bytes), dmrc_kept_slots(v->group));
}

enum dmrc_step {
	DMRC_STEP_SUBMIT,	/* captured: submit the bio now */
	DMRC_STEP_LATER,	/* on a list of the volume, that starts it anew */
	DMRC_STEP_NO_ROOM,	/* in group->throttled */
	DMRC_STEP_REFUSED,	/* write-protected: end it with an error */
};

/*
 * Step 3; volume->lock held. r->seq is 0 when the write only marks the map. `turn`: it has waited for room and is the
 * first of those. Any step but DMRC_STEP_SUBMIT: nothing was reserved.
 */
static enum dmrc_step dmrc_reserve_write(struct dmrc_vol *v, struct dmrc_io *io, struct bio *bio, bool turn,
			       struct dmrc_reservation *r)
{
	struct dmrc_group *g = v->group;
	u32 bytes = dmrc_data_bytes(bio);

	r->seq = 0;
	spin_lock(&g->lock);
	/* Under the lock that orders writes and markers: what follows the switch has no write before it. */
	if (unlikely(g->write_protected)) {
		spin_unlock(&g->lock);
		return DMRC_STEP_REFUSED;
	}
	if (g->capturing &&
	    ((!turn && dmrc_throttle_queued(g)) ||
	     !dmrc_ring_reserve(g, bytes, dmrc_data_align(v, bytes), dmrc_kept_slots(g), r))) {
		if (dmrc_throttle_wait(g, io, turn)) {
			spin_unlock(&g->lock);
			return DMRC_STEP_NO_ROOM;
		}
		dmrc_ring_lose(g, io->throttled_ns ? "the ring stayed full for as long as writes may wait" :
						     "the ring is full");
	}
	dmrc_regions_write(v, io->range.start, io->range.last, g->era);
	io->seq = r->seq;
	io->epoch = g->epoch;
	spin_unlock(&g->lock);
	return DMRC_STEP_SUBMIT;
}

/* Steps 1 to 4. */
static enum dmrc_step dmrc_write_step(struct dmrc_vol *v, struct dmrc_io *io, struct bio *bio, bool turn)
{
	struct dmrc_range *range = &io->range, *other;
	struct dmrc_reservation r;
	struct dmrc_record rec;
	enum dmrc_step step;
	unsigned long flags;

	spin_lock_irqsave(&v->lock, flags);
	other = dmrc_inflight_first(v, range->start, range->last);
	if (other && !dmrc_mutant("no_overlap")) {
		list_add_tail(&range->entry, &other->waiters);
		spin_unlock_irqrestore(&v->lock, flags);
		return DMRC_STEP_LATER;
	}
	if (!dmrc_regions_open(v, range->start, range->last)) {
		list_add_tail(&range->entry, &v->cold);
		spin_unlock_irqrestore(&v->lock, flags);
		queue_work(v->wq, &v->work);
		return DMRC_STEP_LATER;
	}
	step = dmrc_reserve_write(v, io, bio, turn, &r);
	if (step != DMRC_STEP_SUBMIT) {
		spin_unlock_irqrestore(&v->lock, flags);
		return step;
	}
	dmrc_inflight_add(v, range);
	spin_unlock_irqrestore(&v->lock, flags);

	if (r.seq) {
		dmrc_fill_record(v, bio, &r, &rec);
		if (dmrc_has_data(bio))
			dmrc_ring_capture(v->group->ring, r.data_pos, bio, io->bvecs);
		dmrc_ring_commit(v->group, &r, &rec);
	}
	/* A discard is carried out as zeroes that may unmap: what is read later is the same on every copy. */
	if (bio_op(bio) == REQ_OP_DISCARD)
		bio->bi_opf = (bio->bi_opf & ~REQ_OP_MASK) | REQ_OP_WRITE_ZEROES;
	return DMRC_STEP_SUBMIT;
}

/* A write without a number that is in no tree and on no list. */
static void dmrc_refuse(struct dmrc_io *io)
{
	io->state = DMRC_IO_FINAL;
	bio_io_error(dmrc_io_bio(io));
}

bool dmrc_write_turn(struct dmrc_io *io)
{
	struct dmrc_vol *v = io->target->volume;
	enum dmrc_step step = dmrc_write_step(v, io, dmrc_io_bio(io), true);

	if (step == DMRC_STEP_SUBMIT) {
		/* The volume's own queue submits: that may wait for its disk. */
		spin_lock_irq(&v->lock);
		list_add_tail(&io->range.entry, &v->ready);
		queue_work(v->wq, &v->work);
		spin_unlock_irq(&v->lock);
	} else if (step == DMRC_STEP_REFUSED) {
		dmrc_refuse(io);
	}
	return step != DMRC_STEP_NO_ROOM;
}

int dmrc_map(struct dm_target *ti, struct bio *bio)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_io *io = dm_per_bio_data(bio, sizeof(*io));

	io->state = DMRC_IO_PASS;
	if (unlikely(!t->primary))
		return DM_MAPIO_KILL;
	bio_set_dev(bio, t->data->bdev);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	if (!op_is_write(bio_op(bio)) || !bio_sectors(bio))
		return DM_MAPIO_REMAPPED;

	/* The backing device has given up zeroing since the limits were set: refuse before anything is recorded. */
	if (unlikely(!dmrc_has_data(bio)) && !bdev_write_zeroes_sectors(t->data->bdev)) {
		bio->bi_status = BLK_STS_NOTSUPP;
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	/* What would only wait and be pushed back needn't be captured again until dm has stopped. */
	if (unlikely(READ_ONCE(t->volume->push_back)) &&
	    (READ_ONCE(t->volume->group->limit) != DMRC_NO_LIMIT || READ_ONCE(t->volume->group->throttling)))
		return DM_MAPIO_REQUEUE;

	io->state = DMRC_IO_TRACKED;
	io->target = t;
	io->throttled_ns = 0;
	io->range.start = bio->bi_iter.bi_sector;
	io->range.last = bio_end_sector(bio) - 1;
	io->range.is_copy = false;
	INIT_LIST_HEAD(&io->range.waiters);
	/*
	 * The backing device may not refuse a captured write for want of a request: the record is out. Waiting
	 * for one is short; waiting for user space or metadata never happens here.
	 */
	bio->bi_opf &= ~REQ_NOWAIT;
	switch (dmrc_write_step(t->volume, io, bio, false)) {
	case DMRC_STEP_SUBMIT:
		return DM_MAPIO_REMAPPED;
	case DMRC_STEP_REFUSED:
		io->state = DMRC_IO_FINAL;
		return DM_MAPIO_KILL;
	default:
		return DM_MAPIO_SUBMITTED;
	}
}

int dmrc_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct dmrc_io *io = dm_per_bio_data(bio, sizeof(*io));
	struct dmrc_vol *v;
	struct dmrc_group *g;
	unsigned long flags;
	bool kick;

	if (io->state != DMRC_IO_TRACKED)
		return DM_ENDIO_DONE;
	v = io->target->volume;
	g = v->group;

	spin_lock_irqsave(&v->lock, flags);
	if (unlikely(*error) && io->seq)
		dmrc_regions_stick(v, io->range.start, io->range.last);
	kick = dmrc_inflight_remove(v, &io->range);
	spin_unlock_irqrestore(&v->lock, flags);
	if (kick)
		queue_work(v->wq, &v->work);
	if (io->seq)
		dmrc_ring_done(g, io->seq);

	if (unlikely(*error) && io->seq) {
		/* The application hears of it when the `failed` record is out. */
		io->state = DMRC_IO_WAITING;
		spin_lock_irqsave(&g->hold_lock, flags);
		list_add_tail(&io->range.entry, &g->failed);
		spin_unlock_irqrestore(&g->hold_lock, flags);
		queue_work(dmrc_hold_wq, &g->failed_work);
		return DM_ENDIO_INCOMPLETE;
	}
	if (!*error && dmrc_hold_write(g, io, error))
		return DM_ENDIO_INCOMPLETE;
	io->state = DMRC_IO_FINAL;
	return DM_ENDIO_DONE;
}

static void dmrc_put_failed(struct dmrc_io *io)
{
	struct dmrc_group *g = io->target->volume->group;
	struct dmrc_record rec = {
		.type = DMRC_FAILED,
		.volume = io->target->volume->number,
		.sector = io->range.start,
		.length = (io->range.last - io->range.start + 1) << DMRC_SECTOR_SHIFT,
		.data_pos = io->seq,
	};
	struct dmrc_reservation r;

	spin_lock_irq(&g->lock);
	if (g->capturing && io->epoch == g->epoch) {
		if (dmrc_ring_reserve(g, 0, 0, DMRC_RESERVED_SLOTS + g->copies, &r)) {
			rec.era = r.era;
			dmrc_ring_put(g, &r, &rec);
		} else {
			dmrc_ring_lose(g, "no room to report a failed write");
		}
	}
	spin_unlock_irq(&g->lock);
}

/* Backing writes that failed after their records were out: say so in the stream, then to the application. */
void dmrc_failed_work(struct work_struct *work)
{
	struct dmrc_group *g = container_of(work, struct dmrc_group, failed_work);
	struct dmrc_io *io, *next;
	LIST_HEAD(list);

	spin_lock_irq(&g->hold_lock);
	list_splice_init(&g->failed, &list);
	spin_unlock_irq(&g->hold_lock);
	list_for_each_entry_safe(io, next, &list, range.entry) {
		dmrc_put_failed(io);
		DMERR_LIMIT("%s/%u: a write of %llu sectors at %llu failed on the backing device; its region stays open until it is copied again",
			    g->name, io->target->volume->number,
			    (unsigned long long)(io->range.last - io->range.start + 1),
			    (unsigned long long)io->range.start);
	}
	dmrc_ring_wake(g);
	list_for_each_entry_safe(io, next, &list, range.entry) {
		list_del(&io->range.entry);
		io->state = DMRC_IO_FINAL;
		bio_endio(dmrc_io_bio(io));
	}
}

static void dmrc_submit_ready(struct list_head *ready)
{
	struct dmrc_io *io, *next;

	list_for_each_entry_safe(io, next, ready, range.entry) {
		list_del(&io->range.entry);
		dm_submit_bio_remap(dmrc_io_bio(io), NULL);
	}
}

static void dmrc_run_deferred(struct dmrc_vol *v, struct list_head *todo)
{
	struct dmrc_range *range, *next;

	list_for_each_entry_safe(range, next, todo, entry) {
		list_del(&range->entry);
		if (range->is_copy) {
			dmrc_copy_run(container_of(range, struct dmrc_copy_slot, range));
		} else {
			struct dmrc_io *io = container_of(range, struct dmrc_io, range);
			struct bio *bio = dmrc_io_bio(io);

			enum dmrc_step step = dmrc_write_step(v, io, bio, false);

			if (step == DMRC_STEP_SUBMIT)
				dm_submit_bio_remap(bio, NULL);
			else if (step == DMRC_STEP_REFUSED)
				dmrc_refuse(io);
		}
	}
}

/*
 * Deferred writes and the metadata writes they wait for. Swap may sit on this volume: the worker may use the
 * memory reserves, as the task that submitted the write could.
 */
void dmrc_volume_work(struct work_struct *work)
{
	struct dmrc_vol *v = container_of(work, struct dmrc_vol, work);
	unsigned int noreclaim = memalloc_noreclaim_save();
	LIST_HEAD(ready);
	LIST_HEAD(todo);
	bool cold;

	do {
		spin_lock_irq(&v->lock);
		list_splice_init(&v->ready, &ready);
		list_splice_init(&v->deferred, &todo);
		cold = !list_empty(&v->cold);
		spin_unlock_irq(&v->lock);
		dmrc_submit_ready(&ready);
		dmrc_run_deferred(v, &todo);
		if (cold)
			dmrc_regions_open_cold(v);
		spin_lock_irq(&v->lock);
		cold = !list_empty(&v->cold) || !list_empty(&v->deferred) || !list_empty(&v->ready);
		spin_unlock_irq(&v->lock);
	} while (cold);
	memalloc_noreclaim_restore(noreclaim);
}
