// SPDX-License-Identifier: GPL-2.0
/*
 * The region map in memory: which regions are open, eras, opening, closing, marking, settling, `dirty`.
 *
 * Invariant: a region is open on stable storage before a write to it is captured, and it is closed (with the
 * era of its last write) only by a flush of the backing device that began after its writes were done.
 * All changes of words are under volume->lock; all writes of the map are under volume->meta.
 */
#include <linux/bitmap.h>
#include <linux/mm.h>
#include "dm-rc.h"

#define DMRC_OPEN_AHEAD	7	/* regions opened beyond a write that continues another one */
#define DMRC_DIRTY_STEP	4096	/* regions looked at in one go with interrupts off */

int dmrc_map_alloc(struct dmrc_map *map, sector_t sectors, u32 region_sectors)
{
	map->nr_regions = DIV_ROUND_UP_ULL(sectors, region_sectors);
	map->nr_blocks = DIV_ROUND_UP_ULL(map->nr_regions, DMRC_META_BLOCK_ERAS);
	map->words = kvcalloc(map->nr_regions, sizeof(u64), GFP_KERNEL);
	map->open_blocks = kvcalloc(BITS_TO_LONGS(map->nr_blocks), sizeof(long), GFP_KERNEL);
	map->dirty_blocks = kvcalloc(BITS_TO_LONGS(map->nr_blocks), sizeof(long), GFP_KERNEL);
	if (map->words && map->open_blocks && map->dirty_blocks)
		return 0;
	dmrc_map_free(map);
	return -ENOMEM;
}

void dmrc_map_clear(struct dmrc_map *map)
{
	memset(map->words, 0, map->nr_regions * sizeof(u64));
	bitmap_zero(map->open_blocks, map->nr_blocks);
	bitmap_zero(map->dirty_blocks, map->nr_blocks);
}

void dmrc_map_free(struct dmrc_map *map)
{
	kvfree(map->words);
	kvfree(map->open_blocks);
	kvfree(map->dirty_blocks);
	memset(map, 0, sizeof(*map));
}

bool dmrc_regions_open(struct dmrc_vol *v, sector_t start, sector_t last)
{
	u64 r;

	if (unlikely(v->meta_failed) || dmrc_mutant("capture_before_open"))
		return true;
	for (r = start >> v->region_shift; r <= last >> v->region_shift; r++)
		if (!(v->map.words[r] & DMRC_W_OPEN))
			return false;
	return true;
}

void dmrc_regions_write(struct dmrc_vol *v, sector_t start, sector_t last, u64 era)
{
	u64 r, w;

	for (r = start >> v->region_shift; r <= last >> v->region_shift; r++) {
		w = v->map.words[r];
		v->map.words[r] = (w & (DMRC_W_OPEN | DMRC_W_STICKY)) | DMRC_W_TOUCHED | max(w & DMRC_W_ERA, era);
	}
}

void dmrc_regions_stick(struct dmrc_vol *v, sector_t start, sector_t last)
{
	u64 r;

	for (r = start >> v->region_shift; r <= last >> v->region_shift; r++)
		v->map.words[r] |= DMRC_W_STICKY;
}

static bool dmrc_covers(struct dmrc_vol *v, u64 region, sector_t start, sector_t last)
{
	sector_t first = region << v->region_shift;
	sector_t end = min_t(sector_t, first + v->region_sectors, v->sectors);

	return start <= first && last >= end - 1;
}

u64 dmrc_regions_copied(struct dmrc_vol *v, sector_t start, sector_t last, u64 now)
{
	u64 r = start >> v->region_shift;
	u64 w = v->map.words[r];

	if ((w & DMRC_W_STICKY) && dmrc_covers(v, r, start, last)) {
		/* What the copy has since the failed write is told by this record, in this era. */
		w &= ~(DMRC_W_STICKY | DMRC_W_ERA);
		w |= DMRC_W_TOUCHED | now;
		v->map.words[r] = w;
	} else if (w & DMRC_W_STICKY) {
		return now;
	}
	return w & DMRC_W_ERA;
}

/* -- opening ------------------------------------------------------------------------------------------ */

/* volume->lock and meta held. The next map write opens these regions. */
static void dmrc_opening(struct dmrc_vol *v, u64 first, u64 last)
{
	u64 r;

	for (r = first; r <= last; r++) {
		if (v->map.words[r] & DMRC_W_OPEN)
			continue;
		v->map.words[r] |= DMRC_W_CLOSING;
		__set_bit(r / DMRC_META_BLOCK_ERAS, v->map.dirty_blocks);
	}
}

static void dmrc_opening_ahead(struct dmrc_vol *v, struct dmrc_range *range)
{
	u64 first = range->start >> v->region_shift, last = range->last >> v->region_shift;

	/* A write that goes on where another one was opens some neighbours in the same block for nothing. */
	if (first && (v->map.words[first - 1] & DMRC_W_OPEN)) {
		u64 block_end = roundup(last + 1, DMRC_META_BLOCK_ERAS) - 1;

		last = min3(last + DMRC_OPEN_AHEAD, block_end, v->map.nr_regions - 1);
	}
	dmrc_opening(v, first, last);
}

void dmrc_regions_open_cold(struct dmrc_vol *v)
{
	struct dmrc_range *range;
	LIST_HEAD(list);

	mutex_lock(&v->meta);
	spin_lock_irq(&v->lock);
	list_splice_init(&v->cold, &list);
	if (!v->meta_failed)
		list_for_each_entry(range, &list, entry)
			dmrc_opening_ahead(v, range);
	spin_unlock_irq(&v->lock);
	/* After a failure the map is failed and the writes go on without it. */
	dmrc_meta_write_dirty(v);
	mutex_unlock(&v->meta);

	spin_lock_irq(&v->lock);
	list_splice_tail(&list, &v->deferred);
	spin_unlock_irq(&v->lock);
}

/* -- lazy closing ------------------------------------------------------------------------------------- */

/* volume->lock held. Choose what a flush that begins now may close; others lose their `touched`. */
static unsigned int dmrc_pick_block(struct dmrc_vol *v, u64 block, bool now)
{
	u64 r = block * DMRC_META_BLOCK_ERAS, end = min(r + DMRC_META_BLOCK_ERAS, v->map.nr_regions);
	unsigned int open = 0, picked = 0;

	for (; r < end; r++) {
		u64 w = v->map.words[r];
		sector_t start = r << v->region_shift;

		if (!(w & DMRC_W_OPEN))
			continue;
		open++;
		if (w & DMRC_W_STICKY)
			continue;
		if ((w & DMRC_W_TOUCHED) && !now) {
			v->map.words[r] = w & ~DMRC_W_TOUCHED;
			continue;
		}
		if (dmrc_inflight_first(v, start, start + v->region_sectors - 1))
			continue;
		v->map.words[r] = (w & ~DMRC_W_TOUCHED) | DMRC_W_CLOSING;
		picked++;
	}
	if (!open)
		__clear_bit(block, v->map.open_blocks);
	return picked;
}

static unsigned long dmrc_pick(struct dmrc_vol *v, bool now)
{
	unsigned long picked = 0;
	u64 block;

	for_each_set_bit(block, v->map.open_blocks, v->map.nr_blocks) {
		spin_lock_irq(&v->lock);
		picked += dmrc_pick_block(v, block, now);
		spin_unlock_irq(&v->lock);
		cond_resched();
	}
	return picked;
}

/* Close (or, when the flush failed, leave open) what was picked and not written since. */
static void dmrc_finish_picked(struct dmrc_vol *v, bool flushed)
{
	u64 block, r, end;

	mutex_lock(&v->meta);
	for_each_set_bit(block, v->map.open_blocks, v->map.nr_blocks) {
		r = block * DMRC_META_BLOCK_ERAS;
		end = min(r + DMRC_META_BLOCK_ERAS, v->map.nr_regions);
		spin_lock_irq(&v->lock);
		for (; r < end; r++) {
			u64 w = v->map.words[r];

			if ((w & (DMRC_W_OPEN | DMRC_W_CLOSING)) != (DMRC_W_OPEN | DMRC_W_CLOSING))
				continue;
			w &= ~DMRC_W_CLOSING;
			if (flushed && !(w & DMRC_W_STICKY)) {
				w &= DMRC_W_ERA;
				v->nr_open--;
				__set_bit(block, v->map.dirty_blocks);
			}
			v->map.words[r] = w;
		}
		spin_unlock_irq(&v->lock);
		cond_resched();
	}
	if (flushed)
		dmrc_meta_write_dirty(v);
	mutex_unlock(&v->meta);
}

static void dmrc_close(struct dmrc_vol *v, bool now)
{
	int r = 0;

	if (!dmrc_pick(v, now))
		return;
	if (!dmrc_mutant("close_without_flush"))
		r = blkdev_issue_flush(v->data);
	if (r)
		DMERR_LIMIT("%s/%u: flush of the backing device failed (%d); regions stay open",
			    v->group->name, v->number, r);
	dmrc_finish_picked(v, !r);
}

void dmrc_close_work(struct work_struct *work)
{
	struct dmrc_vol *v = container_of(to_delayed_work(work), struct dmrc_vol, close_work);

	if (READ_ONCE(v->stopping))
		return;
	if (v->meta_failed) {
		/* Try to leave a word on the metadata device: what it says about regions is not true any more. */
		mutex_lock(&v->meta);
		if (!v->failure_noted)
			v->failure_noted = !dmrc_meta_write_super(v);
		mutex_unlock(&v->meta);
	} else if (v->primary) {
		dmrc_close(v, xchg(&v->close_now, false));
	}
	if (!READ_ONCE(v->stopping))
		queue_delayed_work(dmrc_lazy_wq, &v->close_work, msecs_to_jiffies(dmrc_close_ms));
}

void dmrc_regions_close_all(struct dmrc_vol *v)
{
	if (v->primary && !v->meta_failed)
		dmrc_close(v, true);
}

/* -- the secondary's agent ------------------------------------------------------------------------------ */

/* The regions of an extent; false: it is empty or lies outside. */
static bool dmrc_extent_regions(struct dmrc_vol *v, const struct dmrc_extent *e, u64 *first, u64 *last)
{
	if (!e->sectors || e->sector >= v->sectors || e->sectors > v->sectors - e->sector)
		return false;
	*first = e->sector >> v->region_shift;
	*last = (e->sector + e->sectors - 1) >> v->region_shift;
	return true;
}

int dmrc_regions_mark(struct dmrc_vol *v, const struct dmrc_extent *extents, u32 nr)
{
	u64 first, last;
	int r = 0;
	u32 i;

	for (i = 0; i < nr; i++)
		if (!dmrc_extent_regions(v, &extents[i], &first, &last))
			return -EINVAL;
	mutex_lock(&v->meta);
	if (v->meta_failed)
		r = -EIO;
	for (i = 0; !r && i < nr; i++) {
		dmrc_extent_regions(v, &extents[i], &first, &last);
		spin_lock_irq(&v->lock);
		dmrc_opening(v, first, last);
		spin_unlock_irq(&v->lock);
	}
	if (!r)
		r = dmrc_meta_write_dirty(v);
	mutex_unlock(&v->meta);
	return r;
}

/* volume->lock and meta held. TOUCHED: an extent of this call has met the region already. */
static void dmrc_settle_region(struct dmrc_vol *v, u64 r, const struct dmrc_extent *e, u32 flags)
{
	bool whole = dmrc_covers(v, r, e->sector, e->sector + e->sectors - 1);
	u64 w = v->map.words[r], era = e->era;

	/* Only a whole extent may lower an era (a copy brings that of its source). */
	if (!whole || (w & DMRC_W_TOUCHED))
		era = max(era, w & DMRC_W_ERA);
	if ((w & DMRC_W_STICKY) && !whole && !(flags & DMRC_REGIONS_REDONE)) {
		w &= DMRC_W_OPEN | DMRC_W_STICKY;
	} else {
		if (w & DMRC_W_OPEN)
			v->nr_open--;
		w = 0;
	}
	v->map.words[r] = w | era | DMRC_W_TOUCHED;
	__set_bit(r / DMRC_META_BLOCK_ERAS, v->map.dirty_blocks);
}

int dmrc_regions_settle(struct dmrc_vol *v, const struct dmrc_extent *extents, u32 nr, u32 flags)
{
	u64 first, last, n;
	int r;
	u32 i;

	for (i = 0; i < nr; i++)
		if (!dmrc_extent_regions(v, &extents[i], &first, &last) || !dmrc_is_era(extents[i].era))
			return -EINVAL;
	/* What was applied before this call is on stable storage before its regions say so. */
	r = dmrc_mutant("close_without_flush") ? 0 : blkdev_issue_flush(v->data);
	if (r)
		return r;
	mutex_lock(&v->meta);
	if (v->meta_failed)
		r = -EIO;
	for (i = 0; !r && i < nr; i++) {
		dmrc_extent_regions(v, &extents[i], &first, &last);
		spin_lock_irq(&v->lock);
		for (n = first; n <= last; n++)
			dmrc_settle_region(v, n, &extents[i], flags);
		spin_unlock_irq(&v->lock);
	}
	for (i = 0; !r && i < nr; i++) {
		dmrc_extent_regions(v, &extents[i], &first, &last);
		spin_lock_irq(&v->lock);
		for (n = first; n <= last; n++)
			v->map.words[n] &= ~DMRC_W_TOUCHED;
		spin_unlock_irq(&v->lock);
	}
	if (!r)
		r = dmrc_meta_write_dirty(v);
	mutex_unlock(&v->meta);
	return r;
}

/* -- questions ------------------------------------------------------------------------------------------ */

/* volume->lock held. */
static u64 dmrc_region_era(struct dmrc_vol *v, u64 r)
{
	u64 w = v->map.words[r];

	if (v->meta_failed || (w & (DMRC_W_OPEN | DMRC_W_CLOSING)))
		return DMRC_ERA_OPEN;
	return w & DMRC_W_ERA;
}

void dmrc_regions_dirty(struct dmrc_vol *v, u64 since, u64 start_sector, struct dmrc_extent *extents,
			u32 max, u32 *nr, u64 *next)
{
	u64 r = start_sector >> v->region_shift, end, era;
	struct dmrc_extent *e = NULL;

	*nr = 0;
	while (r < v->map.nr_regions) {
		end = min(r + DMRC_DIRTY_STEP, v->map.nr_regions);
		spin_lock_irq(&v->lock);
		for (; r < end; r++) {
			era = dmrc_region_era(v, r);
			if (!era || era <= since) {
				e = NULL;
				continue;
			}
			if (e && e->era == era) {
				e->sectors += v->region_sectors;
				continue;
			}
			if (*nr == max) {
				spin_unlock_irq(&v->lock);
				goto out;
			}
			e = &extents[(*nr)++];
			e->sector = r << v->region_shift;
			e->sectors = v->region_sectors;
			e->era = era;
		}
		spin_unlock_irq(&v->lock);
		cond_resched();
	}
out:
	/* The last region may be shorter than the others. */
	if (*nr) {
		e = &extents[*nr - 1];
		e->sectors = min_t(u64, e->sectors, v->sectors - e->sector);
	}
	*next = r < v->map.nr_regions ? r << v->region_shift : ~0ULL;
}

u64 dmrc_regions_max_era(struct dmrc_vol *v)
{
	u64 r, era = 0;

	for (r = 0; r < v->map.nr_regions; r++)
		era = max(era, v->map.words[r] & DMRC_W_ERA);
	return era;
}

void dmrc_regions_adopt(struct dmrc_vol *v, bool primary, u64 era)
{
	u64 block, r, end;

	for_each_set_bit(block, v->map.open_blocks, v->map.nr_blocks) {
		r = block * DMRC_META_BLOCK_ERAS;
		end = min(r + DMRC_META_BLOCK_ERAS, v->map.nr_regions);
		for (; r < end; r++) {
			u64 w = v->map.words[r];

			if (!(w & DMRC_W_OPEN))
				continue;
			/*
			 * Primary: what it holds now is what this generation begins with; no copy can have
			 * an agreed point at or above the era that begins, so any later delta ships it.
			 * Secondary: only the agent knows when the content is whole.
			 */
			v->map.words[r] = primary ? DMRC_W_OPEN | DMRC_W_TOUCHED | max(w & DMRC_W_ERA, era)
						  : w | DMRC_W_STICKY;
		}
	}
}
