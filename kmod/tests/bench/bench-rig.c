// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The bench's own two dm targets; nobody loads them but the bench.
 *
 * copy-floor <dev>: what no capture can be faster than: each write is copied once into a buffer, nothing else, and goes on
 * to the device. The buffer is of the kind that the ring has (2 MiB pieces of the direct map).
 * bench-load <dev>: an in-kernel load without system calls: the message `write <bytes> <count>` writes to random places
 * and answers with the nanoseconds that it took.
 */
#include <linux/atomic.h>
#include <linux/bio.h>
#include <linux/device-mapper.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/slab.h>

#define CHUNK_SHIFT	21
#define CHUNKS		32
#define LOAD_PAGES	16

/* -- copy-floor ------------------------------------------------------------------------------------------- */

struct copy_floor {
	struct dm_dev *dev;
	atomic64_t at;
	void *chunks[CHUNKS];
};

static void floor_free(struct dm_target *ti, struct copy_floor *f)
{
	int i;

	for (i = 0; i < CHUNKS; i++)
		free_pages((unsigned long)f->chunks[i], CHUNK_SHIFT - PAGE_SHIFT);
	if (f->dev)
		dm_put_device(ti, f->dev);
	kfree(f);
}

static int floor_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct copy_floor *f = kzalloc(sizeof(*f), GFP_KERNEL);
	int i, r = -ENOMEM;

	if (!f)
		return r;
	for (i = 0; i < CHUNKS; i++) {
		f->chunks[i] = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, CHUNK_SHIFT - PAGE_SHIFT);
		if (!f->chunks[i])
			goto bad;
	}
	r = argc == 1 ? dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &f->dev) : -EINVAL;
	if (!r)
		r = dm_set_target_max_io_len(ti, 2048);
	if (r)
		goto bad;
	ti->private = f;
	ti->num_flush_bios = 1;
	return 0;
bad:
	ti->error = "copy-floor <dev>, and 64 MiB of memory";
	floor_free(ti, f);
	return r;
}

static void floor_dtr(struct dm_target *ti)
{
	floor_free(ti, ti->private);
}

static int floor_map(struct dm_target *ti, struct bio *bio)
{
	struct copy_floor *f = ti->private;
	struct bvec_iter iter;
	struct bio_vec bv;
	u64 at;

	bio_set_dev(bio, f->dev->bdev);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	if (bio_op(bio) != REQ_OP_WRITE)
		return DM_MAPIO_REMAPPED;
	at = atomic64_add_return(bio->bi_iter.bi_size, &f->at) - bio->bi_iter.bi_size;
	bio_for_each_segment(bv, bio, iter) {
		char *from = bvec_kmap_local(&bv);
		u32 done = 0;

		while (done < bv.bv_len) {
			u32 offset = at & ((1U << CHUNK_SHIFT) - 1);
			u32 len = min(bv.bv_len - done, (1U << CHUNK_SHIFT) - offset);

			memcpy(f->chunks[(at >> CHUNK_SHIFT) % CHUNKS] + offset, from + done, len);
			done += len;
			at += len;
		}
		kunmap_local(from);
	}
	return DM_MAPIO_REMAPPED;
}

static int floor_iterate(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct copy_floor *f = ti->private;

	return fn(ti, f->dev, 0, ti->len, data);
}

static struct target_type floor_target = {
	.name = "copy-floor",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = floor_ctr,
	.dtr = floor_dtr,
	.map = floor_map,
	.iterate_devices = floor_iterate,
};

/* -- bench-load ------------------------------------------------------------------------------------------- */

struct load {
	struct dm_dev *dev;
	void *pages;
};

static int load_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct load *l = kzalloc(sizeof(*l), GFP_KERNEL);
	int r = -EINVAL;

	if (!l)
		return -ENOMEM;
	l->pages = (void *)__get_free_pages(GFP_KERNEL | __GFP_ZERO, ilog2(LOAD_PAGES));
	if (l->pages && argc == 1)
		r = dm_get_device(ti, argv[0], dm_table_get_mode(ti->table), &l->dev);
	if (r) {
		ti->error = "bench-load <dev>";
		free_pages((unsigned long)l->pages, ilog2(LOAD_PAGES));
		kfree(l);
		return r;
	}
	ti->private = l;
	return 0;
}

static void load_dtr(struct dm_target *ti)
{
	struct load *l = ti->private;

	dm_put_device(ti, l->dev);
	free_pages((unsigned long)l->pages, ilog2(LOAD_PAGES));
	kfree(l);
}

static int load_map(struct dm_target *ti, struct bio *bio)
{
	return DM_MAPIO_KILL;
}

/* One write after the other. */
static int load_write(struct dm_target *ti, u32 bytes, u32 count, u64 *ns)
{
	struct load *l = ti->private;
	u64 places = (ti->len << SECTOR_SHIFT) / bytes, x = 1, begin = ktime_get_ns();
	int r = 0;

	for (; count && !r; count--) {
		struct bio_vec bv;
		struct bio bio;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		bio_init(&bio, l->dev->bdev, &bv, 1, REQ_OP_WRITE);
		bio.bi_iter.bi_sector = (x >> 33) % places * (bytes >> SECTOR_SHIFT);
		__bio_add_page(&bio, virt_to_page(l->pages), bytes, 0);
		r = submit_bio_wait(&bio);
		bio_uninit(&bio);
	}
	*ns = ktime_get_ns() - begin;
	return r;
}

static int load_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	u32 bytes, count;
	u64 ns;
	int r;

	if (argc != 3 || strcmp(argv[0], "write") || kstrtou32(argv[1], 10, &bytes) || kstrtou32(argv[2], 10, &count) ||
	    !bytes || bytes % 512 || bytes > LOAD_PAGES * PAGE_SIZE)
		return -EINVAL;
	r = load_write(ti, bytes, count, &ns);
	if (r)
		return r;
	snprintf(result, maxlen, "%llu", ns);
	return 1;
}

static struct target_type load_target = {
	.name = "bench-load",
	.version = { 1, 0, 0 },
	.module = THIS_MODULE,
	.ctr = load_ctr,
	.dtr = load_dtr,
	.map = load_map,
	.message = load_message,
};

static int __init rig_init(void)
{
	int r = dm_register_target(&floor_target);

	if (r)
		return r;
	r = dm_register_target(&load_target);
	if (r)
		dm_unregister_target(&floor_target);
	return r;
}

static void __exit rig_exit(void)
{
	dm_unregister_target(&load_target);
	dm_unregister_target(&floor_target);
}

module_init(rig_init);
module_exit(rig_exit);

MODULE_DESCRIPTION("rig of the remote copy target's bench");
MODULE_LICENSE("GPL");
