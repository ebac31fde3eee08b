// SPDX-License-Identifier: GPL-2.0
/*
 * Memory of a group's ring: what it consists of, where it lies in the mapping, copying a bio into it.
 *
 * The data area is made of physically contiguous chunks, so that a record of at most 1 MiB is a handful of bio
 * vectors and the kernel copies through the direct map. Allocated by the constructor of the group's first primary
 * volume, freed with the group: nothing here runs between suspend and resume.
 */
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include "dm-rc.h"

static void dmrc_chunk_free(void *chunk, unsigned int order)
{
	unsigned int i;

	/* Page by page: a page that is still mapped lives until its last user has gone. */
	for (i = 0; chunk && i < (1U << order); i++)
		__free_page(virt_to_page(chunk + i * PAGE_SIZE));
}

static void *dmrc_chunk_alloc(unsigned int order)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN;
	struct page *page;

	if (order > DMRC_CHUNK_ORDER_MIN)
		gfp |= __GFP_NORETRY;
	page = alloc_pages(gfp, order);
	if (!page)
		return NULL;
	split_page(page, order);
	return page_address(page);
}

void dmrc_ring_free(struct dmrc_ring *ring)
{
	u32 i;

	if (!ring)
		return;
	for (i = 0; ring->chunks && i < ring->nr_chunks; i++)
		dmrc_chunk_free(ring->chunks[i], ring->chunk_shift - PAGE_SHIFT);
	for (i = 0; i < DMRC_COPY_SLOTS; i++)
		dmrc_chunk_free(ring->copy_area[i], ring->copy_order);
	kvfree(ring->chunks);
	kvfree(ring->slots);
	vfree(ring->records);
	kfree(ring);
}

static int dmrc_ring_alloc_chunks(struct dmrc_ring *ring, unsigned int order)
{
	u32 i;

	ring->chunk_shift = order + PAGE_SHIFT;
	ring->nr_chunks = ring->data_bytes >> ring->chunk_shift;
	ring->chunks = kvcalloc(ring->nr_chunks, sizeof(void *), GFP_KERNEL);
	if (!ring->chunks)
		return -ENOMEM;
	for (i = 0; i < ring->nr_chunks; i++) {
		ring->chunks[i] = dmrc_chunk_alloc(order);
		if (!ring->chunks[i])
			goto bad;
		cond_resched();
	}
	return 0;
bad:
	while (i--)
		dmrc_chunk_free(ring->chunks[i], order);
	kvfree(ring->chunks);
	ring->chunks = NULL;
	return -ENOMEM;
}

static struct dmrc_ring *dmrc_ring_alloc(u32 ring_mib, u32 region_sectors)
{
	struct dmrc_ring *ring = kzalloc(sizeof(*ring), GFP_KERNEL);
	unsigned int order;
	int i;

	if (!ring)
		return NULL;
	ring->data_bytes = (u64)ring_mib << 20;
	ring->nr_slots = ring->data_bytes / 1024;
	ring->copy_slot_bytes = min_t(u32, region_sectors, DMRC_MAX_IO_SECTORS) << DMRC_SECTOR_SHIFT;
	ring->copy_order = get_order(ring->copy_slot_bytes);
	ring->records = vmalloc_user(ring->nr_slots * sizeof(struct dmrc_record));
	ring->slots = kvcalloc(ring->nr_slots, sizeof(struct dmrc_slot), GFP_KERNEL);
	if (!ring->records || !ring->slots)
		goto bad;
	/* A ring of 1 MiB is smaller than the largest chunk. */
	order = min_t(unsigned int, DMRC_CHUNK_ORDER_MAX, ilog2(ring->data_bytes) - PAGE_SHIFT);
	for (; dmrc_ring_alloc_chunks(ring, order); order--)
		if (order == DMRC_CHUNK_ORDER_MIN)
			goto bad;
	for (i = 0; i < DMRC_COPY_SLOTS; i++) {
		ring->copy_area[i] = dmrc_chunk_alloc(ring->copy_order);
		if (!ring->copy_area[i])
			goto bad;
	}
	return ring;
bad:
	dmrc_ring_free(ring);
	return NULL;
}

int dmrc_ring_make(struct dmrc_group *g, u32 ring_mib, char **error)
{
	struct dmrc_ring *ring = READ_ONCE(g->ring);

	if (!ring) {
		ring = dmrc_ring_alloc(ring_mib, g->region_sectors);
		if (!ring) {
			*error = "Cannot allocate the ring: not enough contiguous memory; use a smaller ring_mib";
			return -ENOMEM;
		}
		mutex_lock(&g->mutex);
		if (!g->ring) {
			/* who finds the ring without the mutex (poll) finds it complete */
			smp_store_release(&g->ring, ring);
			ring = NULL;
		}
		mutex_unlock(&g->mutex);
		dmrc_ring_free(ring);
	}
	if (g->ring->data_bytes != (u64)ring_mib << 20) {
		*error = "ring_mib differs from that of the group's other volumes";
		return -EINVAL;
	}
	return 0;
}

void dmrc_ring_layout(struct dmrc_group *g, struct dmrc_attach *a)
{
	struct dmrc_ring *ring = g->ring;

	a->consumer_offset = PAGE_SIZE;
	a->control_offset = 2 * PAGE_SIZE;
	a->map_bytes = 2 * PAGE_SIZE;
	a->data_offset = a->map_bytes;
	a->copy_offset = a->map_bytes;
	a->region_sectors = g->region_sectors;
	if (!ring)
		return;
	a->slots = ring->nr_slots;
	a->data_bytes = ring->data_bytes;
	a->copy_slots = DMRC_COPY_SLOTS;
	a->copy_slot_bytes = ring->copy_slot_bytes;
	a->data_offset = a->control_offset + (u64)ring->nr_slots * sizeof(struct dmrc_record);
	a->copy_offset = a->data_offset + 2 * ring->data_bytes;
	a->map_bytes = a->copy_offset + (u64)DMRC_COPY_SLOTS * ring->copy_slot_bytes;
}

struct page *dmrc_ring_page(struct dmrc_group *g, u64 offset)
{
	struct dmrc_ring *ring = g->ring;
	struct dmrc_attach a = {};

	dmrc_ring_layout(g, &a);
	if (offset < a.consumer_offset)
		return vmalloc_to_page(g->info);
	if (offset < a.control_offset)
		return vmalloc_to_page(g->consumer);
	if (offset >= a.map_bytes)
		return NULL;
	if (offset < a.data_offset)
		return vmalloc_to_page((void *)ring->records + (offset - a.control_offset));
	if (offset < a.copy_offset) {
		u64 pos = (offset - a.data_offset) & (ring->data_bytes - 1);

		return virt_to_page(ring->chunks[pos >> ring->chunk_shift] + (pos & ((1UL << ring->chunk_shift) - 1)));
	}
	offset -= a.copy_offset;
	return virt_to_page(ring->copy_area[offset / ring->copy_slot_bytes] + offset % ring->copy_slot_bytes);
}

/* The address of a data position, and how many bytes follow it in its chunk. */
static void *dmrc_ring_at(struct dmrc_ring *ring, u64 pos, u32 *room)
{
	u64 at = pos & (ring->data_bytes - 1);
	u32 in_chunk = at & ((1UL << ring->chunk_shift) - 1);

	*room = (1U << ring->chunk_shift) - in_chunk;
	return ring->chunks[at >> ring->chunk_shift] + in_chunk;
}

void dmrc_ring_capture(struct dmrc_ring *ring, u64 pos, struct bio *bio, struct bio_vec *bvecs)
{
	u32 left = bio->bi_iter.bi_size, room, n = 0;
	struct bvec_iter iter;
	struct bio_vec bv;
	u64 at = pos;

	bio_for_each_segment(bv, bio, iter) {
		char *from = bvec_kmap_local(&bv);
		u32 done = 0;

		while (done < bv.bv_len) {
			void *to = dmrc_ring_at(ring, at, &room);
			u32 len = min(bv.bv_len - done, room);

			memcpy(to, from + done, len);
			done += len;
			at += len;
		}
		kunmap_local(from);
	}
	if (dmrc_mutant("submit_original"))
		return;
	/* One truth: from here the bio is the ring's copy. A dm clone owns no vector, so none is lost. */
	for (at = pos; left && !WARN_ON_ONCE(n == DMRC_MAX_BVECS); n++) {
		void *from = dmrc_ring_at(ring, at, &room);
		u32 len = min(left, room);

		bvecs[n].bv_page = virt_to_page(from);
		bvecs[n].bv_offset = offset_in_page(from);
		bvecs[n].bv_len = len;
		at += len;
		left -= len;
	}
	bio->bi_io_vec = bvecs;
	bio->bi_vcnt = n;
	bio->bi_iter.bi_idx = 0;
	bio->bi_iter.bi_bvec_done = 0;
}
