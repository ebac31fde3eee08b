// SPDX-License-Identifier: GPL-2.0
/*
 * The metadata device: superblock, map blocks, loading, formatting. docs/meta-device.md is the specification.
 *
 * Invariant: what a function here reports as stored is on stable storage. A sector is believed only with its CRC,
 * which covers the format's id and the sector's number; what isn't believed counts as open, the safe side. The
 * superblock lies in two places, written one after the other: one of them is always whole.
 * All I/O uses bios and pages made by the constructor: nothing here allocates.
 */
#include <linux/crc32.h>
#include <linux/mm.h>
#include "dm-rc.h"

#define DMRC_SB_VERSION		1
#define DMRC_CEILING_AHEAD	64	/* eras stored ahead: one superblock write in so many checkpoints */
#define DMRC_DISK_OPEN		(1ULL << 63)

static const char dmrc_magic[8] = "DMRCMETA";

struct dmrc_disk_super {
	char magic[8];
	__le32 version;
	__le32 crc;
	__le64 sequence;
	__le32 flags;
	__le32 region_sectors;
	__u8 uuid[16];
	__le64 sectors;
	__le64 generation;
	__le64 ceiling;
	__le64 update_era;
	__le64 alone_since;
	__le16 volume;
	__le16 zero16;
	__le32 map_start;
	__le64 map_blocks;
	char group[DMRC_NAME_BYTES];
	__u8 zero[344];
} __packed;

struct dmrc_disk_sector {
	__le32 crc;
	__le32 zero;
	__le64 number;	/* of this sector in the map */
	__le64 eras[DMRC_META_SECTOR_ERAS];
} __packed;

static_assert(sizeof(struct dmrc_disk_super) == 512);
static_assert(sizeof(struct dmrc_disk_sector) == 512);

u64 dmrc_meta_bytes(u64 nr_blocks)
{
	return (DMRC_META_MAP_START + nr_blocks) * DMRC_META_BLOCK;
}

int dmrc_meta_alloc(struct dmrc_vol *v)
{
	int i;

	if (v->meta_io)
		return 0;
	v->meta_io = kcalloc(DMRC_META_BATCH, sizeof(*v->meta_io), GFP_KERNEL);
	if (!v->meta_io)
		return -ENOMEM;
	for (i = 0; i < DMRC_META_BATCH; i++) {
		v->meta_io[i].volume = v;
		v->meta_io[i].page = (void *)get_zeroed_page(GFP_KERNEL);
		if (!v->meta_io[i].page)
			goto bad;
	}
	return 0;
bad:
	dmrc_meta_free(v);
	return -ENOMEM;
}

void dmrc_meta_free(struct dmrc_vol *v)
{
	int i;

	for (i = 0; v->meta_io && i < DMRC_META_BATCH; i++)
		free_page((unsigned long)v->meta_io[i].page);
	kfree(v->meta_io);
	v->meta_io = NULL;
}

/* -- blocks ------------------------------------------------------------------------------------------- */

static void dmrc_meta_put_pending(struct dmrc_vol *v)
{
	if (atomic_dec_and_test(&v->meta_pending))
		complete(&v->meta_done);
}

static void dmrc_meta_endio(struct bio *bio)
{
	struct dmrc_meta_io *io = bio->bi_private;

	if (bio->bi_status)
		WRITE_ONCE(io->volume->meta_error, blk_status_to_errno(bio->bi_status));
	dmrc_meta_put_pending(io->volume);
}

static void dmrc_meta_begin(struct dmrc_vol *v)
{
	atomic_set(&v->meta_pending, 1);
	v->meta_error = 0;
	reinit_completion(&v->meta_done);
}

static void dmrc_meta_submit(struct dmrc_vol *v, unsigned int i, u64 block, blk_opf_t opf)
{
	struct dmrc_meta_io *io = &v->meta_io[i];

	bio_init(&io->bio, v->meta_bdev, &io->bvec, 1, opf | REQ_SYNC | REQ_META | REQ_PRIO);
	io->bio.bi_iter.bi_sector = block * (DMRC_META_BLOCK >> DMRC_SECTOR_SHIFT);
	io->bio.bi_end_io = dmrc_meta_endio;
	io->bio.bi_private = io;
	__bio_add_page(&io->bio, virt_to_page(io->page), DMRC_META_BLOCK, 0);
	atomic_inc(&v->meta_pending);
	submit_bio(&io->bio);
}

static int dmrc_meta_wait(struct dmrc_vol *v)
{
	dmrc_meta_put_pending(v);
	wait_for_completion_io(&v->meta_done);
	return READ_ONCE(v->meta_error);
}

static u32 dmrc_meta_crc(struct dmrc_vol *v, const struct dmrc_disk_sector *s)
{
	u32 crc = __crc32c_le(~0U, v->super.uuid.b, sizeof(v->super.uuid));

	return ~__crc32c_le(crc, (const u8 *)s + sizeof(s->crc), sizeof(*s) - sizeof(s->crc));
}

/* Write the words of one block as they are now into a page. */
static void dmrc_meta_snapshot(struct dmrc_vol *v, u64 block, void *page)
{
	struct dmrc_disk_sector *s = page;
	u64 r = block * DMRC_META_BLOCK_ERAS;
	unsigned int i, j;

	memset(page, 0, DMRC_META_BLOCK);
	spin_lock_irq(&v->lock);
	for (i = 0; i < 8; i++) {
		for (j = 0; j < DMRC_META_SECTOR_ERAS && r < v->map.nr_regions; j++, r++) {
			u64 w = v->map.words[r];

			s[i].eras[j] = cpu_to_le64((w & DMRC_W_ERA) |
						   (w & (DMRC_W_OPEN | DMRC_W_CLOSING) ? DMRC_DISK_OPEN : 0));
		}
	}
	__clear_bit(block, v->map.dirty_blocks);
	spin_unlock_irq(&v->lock);
	for (i = 0; i < 8; i++) {
		s[i].number = cpu_to_le64(block * 8 + i);
		s[i].crc = cpu_to_le32(dmrc_meta_crc(v, &s[i]));
	}
}

/* The block is stable: the regions that it opens are open. */
static void dmrc_meta_opened(struct dmrc_vol *v, u64 block)
{
	u64 r = block * DMRC_META_BLOCK_ERAS, end = min(r + DMRC_META_BLOCK_ERAS, v->map.nr_regions);

	spin_lock_irq(&v->lock);
	for (; r < end; r++) {
		if ((v->map.words[r] & (DMRC_W_OPEN | DMRC_W_CLOSING)) != DMRC_W_CLOSING)
			continue;
		v->map.words[r] ^= DMRC_W_OPEN | DMRC_W_CLOSING;
		/* The write that asked for it must find it open: the closer leaves it alone once. */
		if (v->primary)
			v->map.words[r] |= DMRC_W_TOUCHED;
		v->nr_open++;
		__set_bit(block, v->map.open_blocks);
	}
	spin_unlock_irq(&v->lock);
}

int dmrc_meta_write_dirty(struct dmrc_vol *v)
{
	u64 blocks[DMRC_META_BATCH], block;
	unsigned int i, n;
	int r;

	lockdep_assert_held(&v->meta);
	if (v->meta_failed)
		return -EIO;
	for (;;) {
		n = 0;
		for_each_set_bit(block, v->map.dirty_blocks, v->map.nr_blocks) {
			blocks[n++] = block;
			if (n == DMRC_META_BATCH)
				break;
		}
		if (!n)
			return 0;
		/* One block is written through; several share one flush. */
		dmrc_meta_begin(v);
		for (i = 0; i < n; i++) {
			dmrc_meta_snapshot(v, blocks[i], v->meta_io[i].page);
			dmrc_meta_submit(v, i, DMRC_META_MAP_START + blocks[i],
					 REQ_OP_WRITE | (n == 1 ? REQ_FUA : 0));
		}
		r = dmrc_meta_wait(v);
		if (!r && n > 1)
			r = blkdev_issue_flush(v->meta_bdev);
		if (r) {
			dmrc_meta_fail(v, r, "map");
			return r;
		}
		for (i = 0; i < n; i++)
			dmrc_meta_opened(v, blocks[i]);
	}
}

void dmrc_meta_fail(struct dmrc_vol *v, int error, const char *what)
{
	struct dmrc_group *g = v->group;

	v->super.flags |= DMRC_SB_FAILED;
	if (v->meta_failed)
		return;
	DMERR("%s/%u: write of the %s to metadata device %pg failed (%d): the volume goes on without region map and needs a full copy; replace the metadata device and reload",
	      g->name, v->number, what, v->meta_bdev, error);
	v->failure_noted = false;
	spin_lock_irq(&v->lock);
	v->meta_failed = true;
	spin_lock(&g->lock);
	/* A record of a region that isn't open may not leave: after a power cut nobody would know. */
	dmrc_ring_lose(g, "a metadata device failed");
	spin_unlock(&g->lock);
	spin_unlock_irq(&v->lock);
	dmrc_group_changed(g);
}

/* -- superblock --------------------------------------------------------------------------------------- */

static u32 dmrc_super_crc(const struct dmrc_disk_super *d)
{
	struct dmrc_disk_super copy = *d;

	copy.crc = 0;
	return ~__crc32c_le(~0U, (const u8 *)&copy, sizeof(copy));
}

static void dmrc_super_pack(struct dmrc_vol *v, struct dmrc_disk_super *d)
{
	const struct dmrc_super *s = &v->super;

	memset(d, 0, DMRC_META_BLOCK);
	memcpy(d->magic, dmrc_magic, sizeof(d->magic));
	d->version = cpu_to_le32(DMRC_SB_VERSION);
	d->sequence = cpu_to_le64(s->sequence);
	d->flags = cpu_to_le32(s->flags);
	d->region_sectors = cpu_to_le32(s->region_sectors);
	memcpy(d->uuid, s->uuid.b, sizeof(d->uuid));
	d->sectors = cpu_to_le64(s->sectors);
	d->generation = cpu_to_le64(s->generation);
	d->ceiling = cpu_to_le64(s->ceiling);
	d->update_era = cpu_to_le64(s->update_era);
	d->alone_since = cpu_to_le64(s->alone_since);
	d->volume = cpu_to_le16(v->number);
	d->map_start = cpu_to_le32(DMRC_META_MAP_START);
	d->map_blocks = cpu_to_le64(DIV_ROUND_UP_ULL(DIV_ROUND_UP_ULL(s->sectors, s->region_sectors),
						     DMRC_META_BLOCK_ERAS));
	strscpy(d->group, v->group->name, sizeof(d->group));
	d->crc = cpu_to_le32(dmrc_super_crc(d));
}

int dmrc_meta_write_super(struct dmrc_vol *v)
{
	unsigned int slot;
	int r = 0;

	lockdep_assert_held(&v->meta);
	v->super.sequence++;
	dmrc_super_pack(v, v->meta_io[0].page);
	for (slot = 0; !r && slot < 2; slot++) {
		dmrc_meta_begin(v);
		dmrc_meta_submit(v, 0, slot, REQ_OP_WRITE | REQ_FUA);
		r = dmrc_meta_wait(v);
	}
	if (r)
		dmrc_meta_fail(v, r, "superblock");
	else
		WRITE_ONCE(v->ceiling, v->super.ceiling);
	return r;
}

int dmrc_meta_raise_ceiling(struct dmrc_vol *v, u64 era)
{
	int r = 0;

	mutex_lock(&v->meta);
	if (v->super.ceiling < era) {
		v->super.ceiling = era + DMRC_CEILING_AHEAD;
		r = dmrc_meta_write_super(v);
	}
	mutex_unlock(&v->meta);
	return r;
}

/* -- loading ------------------------------------------------------------------------------------------ */

static int dmrc_meta_read(struct dmrc_vol *v, u64 block, unsigned int n)
{
	unsigned int i;

	dmrc_meta_begin(v);
	for (i = 0; i < n; i++)
		dmrc_meta_submit(v, i, block + i, REQ_OP_READ);
	return dmrc_meta_wait(v);
}

/*
 * The superblocks and the reserved blocks, each by itself: what can't be read is neither blank nor valid. Returns the
 * error of the last one of those.
 */
static int dmrc_meta_read_head(struct dmrc_vol *v)
{
	unsigned int i;
	int r = 0;

	for (i = 0; i < DMRC_META_MAP_START; i++) {
		int one;

		dmrc_meta_begin(v);
		dmrc_meta_submit(v, i, i, REQ_OP_READ);
		one = dmrc_meta_wait(v);
		if (!one)
			continue;
		DMWARN("%s/%u: cannot read block %u of metadata device %pg (%d)", v->group->name, v->number, i,
		       v->meta_bdev, one);
		memset(v->meta_io[i].page, 0xff, DMRC_META_BLOCK);
		r = one;
	}
	return r;
}

static bool dmrc_is_blank(const void *page)
{
	return !memchr_inv(page, 0, DMRC_META_BLOCK);
}

static int dmrc_meta_format(struct dmrc_vol *v)
{
	int r;

	memset(&v->super, 0, sizeof(v->super));
	uuid_gen(&v->super.uuid);
	v->super.sectors = v->sectors;
	v->super.region_sectors = v->region_sectors;
	v->super.ceiling = DMRC_ERA(0, 1);
	spin_lock_irq(&v->lock);
	bitmap_fill(v->map.dirty_blocks, v->map.nr_blocks);
	spin_unlock_irq(&v->lock);
	r = dmrc_meta_write_dirty(v);
	if (!r)
		r = blkdev_issue_flush(v->meta_bdev);
	if (!r)
		r = dmrc_meta_write_super(v);
	if (!r)
		DMINFO("%s/%u: formatted blank metadata device %pg for %llu sectors", v->group->name, v->number,
		       v->meta_bdev, (unsigned long long)v->sectors);
	return r;
}

static bool dmrc_super_valid(const struct dmrc_disk_super *d)
{
	return !memcmp(d->magic, dmrc_magic, sizeof(dmrc_magic)) && le32_to_cpu(d->crc) == dmrc_super_crc(d);
}

/* Why neither superblock will do. */
static int dmrc_super_refuse(struct dmrc_vol *v, const struct dmrc_disk_super *a, const struct dmrc_disk_super *b)
{
	bool ours = !memcmp(a->magic, dmrc_magic, sizeof(dmrc_magic)) ||
		    !memcmp(b->magic, dmrc_magic, sizeof(dmrc_magic));

	if (ours)
		DMERR("%s/%u: both superblocks of metadata device %pg are damaged; zero its first 16 KiB to give up the map (the volume then needs a full copy)",
		      v->group->name, v->number, v->meta_bdev);
	else
		DMERR("%s/%u: metadata device %pg is neither blank nor ours: something else may live there; zero its first 16 KiB if it is free",
		      v->group->name, v->number, v->meta_bdev);
	return -EINVAL;
}

static int dmrc_super_unpack(struct dmrc_vol *v, const struct dmrc_disk_super *d)
{
	struct dmrc_super *s = &v->super;

	if (le32_to_cpu(d->version) != DMRC_SB_VERSION) {
		DMERR("%s/%u: metadata device %pg has format version %u, this module knows version %u",
		      v->group->name, v->number, v->meta_bdev, le32_to_cpu(d->version), DMRC_SB_VERSION);
		return -EINVAL;
	}
	if (strncmp(d->group, v->group->name, sizeof(d->group)) || le16_to_cpu(d->volume) != v->number) {
		DMERR("%s/%u: metadata device %pg belongs to volume %.63s/%u", v->group->name, v->number,
		      v->meta_bdev, d->group, le16_to_cpu(d->volume));
		return -EINVAL;
	}
	s->sequence = le64_to_cpu(d->sequence);
	s->flags = le32_to_cpu(d->flags);
	memcpy(s->uuid.b, d->uuid, sizeof(d->uuid));
	s->sectors = le64_to_cpu(d->sectors);
	s->region_sectors = le32_to_cpu(d->region_sectors);
	s->generation = le64_to_cpu(d->generation);
	s->ceiling = le64_to_cpu(d->ceiling);
	s->update_era = le64_to_cpu(d->update_era);
	s->alone_since = le64_to_cpu(d->alone_since);
	if (s->region_sectors != v->region_sectors) {
		DMERR("%s/%u: metadata device %pg has regions of %u KiB, the table says %u KiB", v->group->name,
		      v->number, v->meta_bdev, s->region_sectors / 2, v->region_sectors / 2);
		return -EINVAL;
	}
	if (!s->sectors || s->sectors > v->sectors) {
		DMERR("%s/%u: metadata device %pg describes %llu sectors, the table only %llu: shrinking isn't supported",
		      v->group->name, v->number, v->meta_bdev, (unsigned long long)s->sectors,
		      (unsigned long long)v->sectors);
		return -EINVAL;
	}
	if (!dmrc_is_era(s->ceiling)) {
		DMERR("%s/%u: metadata device %pg: the era ceiling is no era", v->group->name, v->number, v->meta_bdev);
		return -EINVAL;
	}
	return 0;
}

/* One block of the map into the words; returns how many sectors weren't believed. */
static unsigned int dmrc_meta_unpack(struct dmrc_vol *v, u64 block, const void *page, u64 nr_regions)
{
	const struct dmrc_disk_sector *s = page;
	u64 r = block * DMRC_META_BLOCK_ERAS, era;
	unsigned int i, j, bad = 0;

	for (i = 0; i < 8 && r < nr_regions; i++) {
		bool good = le64_to_cpu(s[i].number) == block * 8 + i &&
			    le32_to_cpu(s[i].crc) == dmrc_meta_crc(v, &s[i]);

		bad += !good;
		for (j = 0; j < DMRC_META_SECTOR_ERAS && r < nr_regions; j++, r++) {
			era = good ? le64_to_cpu(s[i].eras[j]) : DMRC_DISK_OPEN;
			v->map.words[r] = era & DMRC_W_ERA;
			if (!(era & DMRC_DISK_OPEN))
				continue;
			v->map.words[r] |= DMRC_W_OPEN;
			v->nr_open++;
			__set_bit(block, v->map.open_blocks);
		}
	}
	return bad;
}

static int dmrc_meta_load_map(struct dmrc_vol *v)
{
	u64 nr_regions = DIV_ROUND_UP_ULL(v->super.sectors, v->region_sectors);
	u64 nr_blocks = DIV_ROUND_UP_ULL(nr_regions, DMRC_META_BLOCK_ERAS), block;
	unsigned int i, n, bad = 0;
	int r;

	for (block = 0; block < nr_blocks; block += n) {
		n = min_t(u64, DMRC_META_BATCH, nr_blocks - block);
		r = dmrc_meta_read(v, DMRC_META_MAP_START + block, n);
		if (r) {
			DMERR("%s/%u: cannot read the map on metadata device %pg (%d)", v->group->name, v->number,
			      v->meta_bdev, r);
			return r;
		}
		for (i = 0; i < n; i++)
			bad += dmrc_meta_unpack(v, block + i, v->meta_io[i].page, nr_regions);
		cond_resched();
	}
	if (bad)
		DMWARN("%s/%u: %u sectors of the map on metadata device %pg are damaged: their regions count as open",
		       v->group->name, v->number, bad, v->meta_bdev);
	return 0;
}

/* The volume has grown: the new regions, and a last one that was short, begin with the era ceiling. */
static int dmrc_meta_grow(struct dmrc_vol *v)
{
	u64 r = v->super.sectors >> v->region_shift;
	int ret;

	spin_lock_irq(&v->lock);
	for (; r < v->map.nr_regions; r++) {
		v->map.words[r] = (v->map.words[r] & ~DMRC_W_ERA) |
				  max(v->map.words[r] & DMRC_W_ERA, v->super.ceiling);
		__set_bit(r / DMRC_META_BLOCK_ERAS, v->map.dirty_blocks);
	}
	spin_unlock_irq(&v->lock);
	ret = dmrc_meta_write_dirty(v);
	if (ret)
		return ret;
	DMINFO("%s/%u: grown from %llu to %llu sectors", v->group->name, v->number,
	       (unsigned long long)v->super.sectors, (unsigned long long)v->sectors);
	v->super.sectors = v->sectors;
	return dmrc_meta_write_super(v);
}

static int dmrc_meta_open_all(struct dmrc_vol *v)
{
	u64 r;

	DMWARN("%s/%u: the metadata device had failed: all regions count as open (full copy)", v->group->name,
	       v->number);
	spin_lock_irq(&v->lock);
	for (r = 0; r < v->map.nr_regions; r++)
		if (!(v->map.words[r] & DMRC_W_OPEN))
			v->map.words[r] |= DMRC_W_CLOSING;
	bitmap_fill(v->map.dirty_blocks, v->map.nr_blocks);
	spin_unlock_irq(&v->lock);
	return dmrc_meta_write_dirty(v);
}

/* The superblock that counts, or NULL (and why). A store has ended in both places: one of them is enough. */
static const struct dmrc_disk_super *dmrc_super_choose(struct dmrc_vol *v, int unread, int *error)
{
	const struct dmrc_disk_super *a = v->meta_io[0].page, *b = v->meta_io[1].page, *good;

	good = dmrc_super_valid(a) ? a : dmrc_super_valid(b) ? b : NULL;
	if (good == a && dmrc_super_valid(b) && le64_to_cpu(b->sequence) > le64_to_cpu(a->sequence))
		good = b;
	if (good && unread) {
		DMWARN("%s/%u: going on with the other superblock of metadata device %pg; what could not be read is written again; check the device",
		       v->group->name, v->number, v->meta_bdev);
	} else if (!good && unread) {
		DMERR("%s/%u: no superblock of metadata device %pg can be read: repair the device, or replace it (the volume then needs a full copy)",
		      v->group->name, v->number, v->meta_bdev);
		*error = unread;
	} else if (!good) {
		*error = dmrc_super_refuse(v, a, b);
	}
	return good;
}

int dmrc_meta_load(struct dmrc_vol *v)
{
	const struct dmrc_disk_super *super;
	bool was_failed = v->meta_failed;
	int r = 0, unread;

	lockdep_assert_held(&v->meta);
	v->meta_failed = false;
	v->nr_open = 0;
	unread = dmrc_meta_read_head(v);
	if (dmrc_is_blank(v->meta_io[0].page) && dmrc_is_blank(v->meta_io[1].page) &&
	    dmrc_is_blank(v->meta_io[2].page) && dmrc_is_blank(v->meta_io[3].page)) {
		r = dmrc_meta_format(v);
		goto bad;
	}
	super = dmrc_super_choose(v, unread, &r);
	if (super)
		r = dmrc_super_unpack(v, super);
	if (!r)
		r = dmrc_meta_load_map(v);
	if (!r && v->super.sectors < v->sectors)
		r = dmrc_meta_grow(v);
	if (!r && (was_failed || (v->super.flags & DMRC_SB_FAILED))) {
		r = dmrc_meta_open_all(v);
		v->super.flags &= ~DMRC_SB_FAILED;
	}
bad:
	if (r)
		v->meta_failed = was_failed;
	return r;
}
