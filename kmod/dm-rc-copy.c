// SPDX-License-Identifier: GPL-2.0
/*
 * Copy slots: reads of regions that become copy records.
 *
 * The read is exclusive with overlapping writes: its range enters the overlap tree when it is asked for, so that
 * later writes to it wait, and is read when the earlier ones have ended. The record is reserved only when the read is
 * done and the range still locked: base data and live writes have one order, and a slow disk delays no live record.
 * A control slot is promised to each copy under way, so its record always finds room.
 */
#include "dm-rc.h"

/* The range is unlocked first, then the slot may be taken again. */
static void dmrc_copy_end(struct dmrc_copy_slot *slot, struct dmrc_vol *v, u64 seq)
{
	bool kick;

	spin_lock_irq(&v->lock);
	kick = dmrc_inflight_remove(v, &slot->range);
	v->copies--;
	spin_lock(&v->group->lock);
	slot->seq = seq;
	slot->state = seq ? DMRC_COPY_PUT : DMRC_COPY_FREE;
	spin_unlock(&v->group->lock);
	spin_unlock_irq(&v->lock);
	if (kick)
		queue_work(v->wq, &v->work);
	wake_up(&v->idle);
	dmrc_volume_put(v);
}

/* volume->lock and group->lock held. The record of a finished read; false: its stream has ended. */
static bool dmrc_copy_reserve(struct dmrc_copy_slot *slot, struct dmrc_vol *v, struct dmrc_reservation *r,
			      struct dmrc_record *rec)
{
	struct dmrc_group *g = slot->group;

	g->copies--;
	if (!g->capturing || g->epoch != slot->epoch)
		return false;
	if (WARN_ON_ONCE(!dmrc_ring_reserve(g, 0, 0, 1 + g->copies, r)))
		return false;
	memset(rec, 0, sizeof(*rec));
	rec->volume = v->number;
	rec->tag = slot->tag;
	rec->sector = slot->range.start;
	rec->length = (slot->range.last - slot->range.start + 1) << DMRC_SECTOR_SHIFT;
	if (slot->bio.bi_status) {
		rec->type = DMRC_FAILED;
		rec->era = r->era;
	} else {
		rec->type = DMRC_COPY;
		rec->flags = DMRC_F_COPY_SLOT;
		rec->data_pos = (u64)slot->index * g->ring->copy_slot_bytes;
		rec->era = dmrc_regions_copied(v, slot->range.start, slot->range.last, r->era);
	}
	return true;
}

static void dmrc_copy_work(struct work_struct *work)
{
	struct dmrc_copy_slot *slot = container_of(work, struct dmrc_copy_slot, work);
	struct dmrc_vol *v = slot->volume;
	struct dmrc_group *g = slot->group;
	struct dmrc_reservation r;
	struct dmrc_record rec;
	bool put;

	if (slot->bio.bi_status)
		DMERR_LIMIT("%s/%u: cannot read %llu sectors at %llu for a copy (%d)", g->name, v->number,
			    (unsigned long long)(slot->range.last - slot->range.start + 1),
			    (unsigned long long)slot->range.start, blk_status_to_errno(slot->bio.bi_status));
	spin_lock_irq(&v->lock);
	spin_lock(&g->lock);
	put = dmrc_copy_reserve(slot, v, &r, &rec);
	spin_unlock(&g->lock);
	spin_unlock_irq(&v->lock);
	if (put) {
		dmrc_ring_commit(g, &r, &rec);
		dmrc_ring_done(g, r.seq);
	}
	dmrc_copy_end(slot, v, put ? r.seq : 0);
}

static void dmrc_copy_endio(struct bio *bio)
{
	struct dmrc_copy_slot *slot = container_of(bio, struct dmrc_copy_slot, bio);

	queue_work(dmrc_lazy_wq, &slot->work);
}

void dmrc_copy_run(struct dmrc_copy_slot *slot)
{
	struct dmrc_vol *v = slot->volume;
	void *area = slot->group->ring->copy_area[slot->index];

	spin_lock_irq(&v->lock);
	if (!slot->entered)
		dmrc_inflight_add(v, &slot->range);
	slot->entered = true;
	if (dmrc_inflight_behind(v, &slot->range)) {
		list_add_tail(&slot->range.entry, &v->copies_waiting);
		spin_unlock_irq(&v->lock);
		return;
	}
	spin_unlock_irq(&v->lock);

	bio_init(&slot->bio, v->data, &slot->bvec, 1, REQ_OP_READ);
	slot->bio.bi_iter.bi_sector = slot->range.start;
	slot->bio.bi_end_io = dmrc_copy_endio;
	__bio_add_page(&slot->bio, virt_to_page(area),
		       (slot->range.last - slot->range.start + 1) << DMRC_SECTOR_SHIFT, 0);
	submit_bio(&slot->bio);
}

/* group->lock held. A slot whose last record is freed, with a control slot for the next one; or NULL. */
static struct dmrc_copy_slot *dmrc_copy_take(struct dmrc_group *g)
{
	struct dmrc_copy_slot *slot;

	dmrc_ring_reclaim(g);
	if (g->ring->nr_slots - (g->reserved - g->tail) <= DMRC_RESERVED_SLOTS + g->copies)
		return NULL;
	for (slot = g->copy; slot < g->copy + DMRC_COPY_SLOTS; slot++) {
		if (slot->state == DMRC_COPY_BUSY)
			continue;
		if (slot->state == DMRC_COPY_PUT && slot->epoch == g->epoch && slot->seq > g->freed)
			continue;
		slot->state = DMRC_COPY_BUSY;
		slot->epoch = g->epoch;
		g->copies++;
		return slot;
	}
	return NULL;
}

int dmrc_copy_start(struct dmrc_group *g, struct dmrc_vol *v, const struct dmrc_copy *req,
		    struct dmrc_copy_slot **result)
{
	u64 last = req->sector + req->sectors - 1;
	struct dmrc_copy_slot *slot = NULL;
	u32 bytes = req->sectors << DMRC_SECTOR_SHIFT;
	int r = 0;

	lockdep_assert_held(&g->mutex);
	if (!v->primary)
		return -EROFS;
	if (v->suspended)
		return -EBUSY;
	if (!req->sectors || req->sectors > g->ring->copy_slot_bytes >> DMRC_SECTOR_SHIFT ||
	    last < req->sector || last >= v->sectors || req->sector >> v->region_shift != last >> v->region_shift ||
	    !IS_ALIGNED((req->sector << DMRC_SECTOR_SHIFT) | bytes, bdev_logical_block_size(v->data)))
		return -EINVAL;

	spin_lock_irq(&v->lock);
	if (v->stopping) {
		r = -EBUSY;
	} else {
		spin_lock(&g->lock);
		if (!g->capturing)
			r = -ENOLINK;
		else
			slot = dmrc_copy_take(g);
		spin_unlock(&g->lock);
		if (slot)
			v->copies++;
		else if (!r)
			r = -EAGAIN;
	}
	spin_unlock_irq(&v->lock);
	if (r)
		return r;
	kref_get(&v->ref);
	slot->volume = v;
	slot->tag = req->tag;
	slot->entered = false;
	slot->range.start = req->sector;
	slot->range.last = last;
	slot->range.is_copy = true;
	INIT_LIST_HEAD(&slot->range.waiters);
	*result = slot;
	return 0;
}

int dmrc_copy_init(struct dmrc_group *g)
{
	unsigned int i;

	g->copy = kcalloc(DMRC_COPY_SLOTS, sizeof(*g->copy), GFP_KERNEL);
	if (!g->copy)
		return -ENOMEM;
	for (i = 0; i < DMRC_COPY_SLOTS; i++) {
		g->copy[i].group = g;
		g->copy[i].index = i;
		INIT_WORK(&g->copy[i].work, dmrc_copy_work);
	}
	return 0;
}
