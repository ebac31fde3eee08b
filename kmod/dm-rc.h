/* SPDX-License-Identifier: GPL-2.0 */
/*
 * dm-remotecopy: private structures, and what each file offers to the others with its calling context.
 *
 * Objects and life: a target (one dm table line) holds its volume, a volume holds its group, an attached
 * file holds the group. A volume outlives a table reload, a group outlives its last volume while a file is
 * attached or its ring is mapped.
 *
 * Locks, outermost first:
 *   group->mutex    control: list of volumes, attachment, streams, checkpoints, roles. Process context. Nothing
 *                   below it allocates or touches user memory, since writes may wait for a holder of it.
 *   volume->meta    metadata device: one writer at a time. Process context, nothing below it allocates.
 *   volume->lock    overlap tree, region words, deferred lists. irqs off (end_io runs in interrupts).
 *   group->lock     sequence, time, era, heads, tail, state. irqs off (it nests in volume->lock).
 *   group->hold_lock  completed writes that wait. irqs off; nests in group->lock only.
 */
#ifndef DM_RC_H
#define DM_RC_H

#include <linux/device-mapper.h>
#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/poll.h>
#include <linux/rbtree.h>
#include <linux/spinlock.h>
#include <linux/uuid.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/dm_remotecopy.h>

#define DM_MSG_PREFIX "remotecopy"

#define DMRC_SECTOR_SHIFT	9
#define DMRC_MAX_IO_SECTORS	2048	/* a record's data: at most 1 MiB */
#define DMRC_COPY_SLOTS		16
#define DMRC_CHUNK_ORDER_MAX	9	/* 2 MiB */
#define DMRC_CHUNK_ORDER_MIN	6	/* 256 KiB */
/* 1 MiB at any offset in chunks of 256 KiB or more */
#define DMRC_MAX_BVECS		5
/* never taken by writes and copies: marker, verdict, loss */
#define DMRC_RESERVED_SLOTS	3
#define DMRC_NO_LIMIT		U64_MAX
/* no wait for user space may be longer, whatever the agent asks for */
#define DMRC_WAIT_MAX_NS	(300ULL * NSEC_PER_SEC)
#define DMRC_HOLD_MAX_US	(10ULL * USEC_PER_SEC)

struct dmrc_group;
struct dmrc_vol;
struct dmrc_target;

/*
 * A range of sectors in flight: node of the volume's overlap tree. A write that meets another range waits on its
 * list; when that one leaves the tree, its waiters go to the volume's deferred list and start anew. A copy enters
 * the tree at once, so that later writes wait for it, and waits for the ranges that were there before.
 */
struct dmrc_range {
	struct rb_node node;
	sector_t start;
	sector_t last;
	sector_t subtree_last;
	struct list_head waiters;
	struct list_head entry;		/* on a waiters, deferred, cold or copies_waiting list */
	u64 serial;			/* order of entry into the tree */
	bool is_copy;
};

enum dmrc_io_state {
	DMRC_IO_PASS,		/* read or flush: nothing to do at its end */
	DMRC_IO_TRACKED,	/* a write: in the overlap tree or on the way there */
	DMRC_IO_WAITING,	/* on disk, completion withheld (group->waiting) */
	DMRC_IO_FINAL,		/* nothing more to do: let it complete */
};

/* Per-bio data. No other memory is needed for a write. */
struct dmrc_io {
	struct dmrc_range range;
	struct rb_node wait_node;	/* group->waiting, by seq */
	struct dmrc_target *target;
	u64 seq;			/* 0: not captured */
	u64 epoch;			/* of the stream that seq counts in */
	u64 throttled_ns;		/* since when it has waited for room, 0: never */
	enum dmrc_io_state state;
	struct bio_vec bvecs[DMRC_MAX_BVECS];
};

/* What the kernel keeps privately about each control slot; user space can't reach it. */
struct dmrc_slot {
	u64 data_end;		/* data position behind the record's data */
	u32 done;		/* the backing write has ended: the data may go */
};

/* Memory of a group's ring; made once, freed with the group. */
struct dmrc_ring {
	struct dmrc_record *records;	/* vmalloc_user */
	struct dmrc_slot *slots;
	u32 nr_slots;
	unsigned int chunk_shift;
	u64 data_bytes;
	void **chunks;			/* direct-map address of each chunk of the data area */
	u32 nr_chunks;
	void *copy_area[DMRC_COPY_SLOTS];
	u32 copy_slot_bytes;
	unsigned int copy_order;
};

enum dmrc_copy_state {
	DMRC_COPY_FREE,
	DMRC_COPY_BUSY,		/* waits for its range, reads, or reserves */
	DMRC_COPY_PUT,		/* its record is out: free again once freed >= seq */
};

struct dmrc_copy_slot {
	struct dmrc_range range;
	struct dmrc_group *group;
	struct dmrc_vol *volume;	/* while busy */
	enum dmrc_copy_state state;	/* group->lock */
	u64 epoch;
	u64 seq;
	u32 tag;
	bool entered;			/* its range is in the tree */
	unsigned int index;
	struct bio bio;
	struct bio_vec bvec;
	struct work_struct work;
};

/*
 * Where a checkpoint with a hold stands. One at a time:
 *
 *   NONE -> HOLDING (CHECKPOINT) -> NONE: `held` by LIFT, else `void`
 *   NONE -> ARMED (ARM) -> HOLDING (its time) -> UNCONFIRMED (end of its hold) -> NONE: `held` by CONFIRM, else `void`
 *
 * All ways to NONE but DISARM before the marker leave a verdict.
 */
enum dmrc_cut {
	DMRC_CUT_NONE,
	DMRC_CUT_ARMED,		/* no marker yet */
	DMRC_CUT_HOLDING,	/* marker out, completions withheld */
	DMRC_CUT_UNCONFIRMED,	/* nothing is withheld, the verdict is the agent's */
};

struct dmrc_armed {
	u64 era;
	u64 epoch;
	u64 at_ns;		/* CLOCK_REALTIME */
	u64 due_ns;		/* at_ns while DMRC_CUT_ARMED, else DMRC_NO_LIMIT: looked at for every record */
	u64 hold_ns;
	u64 confirm_ns;
	s64 clock_offset;	/* of CLOCK_REALTIME to CLOCK_MONOTONIC: a set clock changes it */
};

struct dmrc_group {
	struct kref ref;
	struct list_head link;		/* dmrc_groups */
	char name[DMRC_NAME_BYTES];
	u32 region_sectors;

	struct mutex mutex;
	struct list_head volumes;	/* mutex: volumes that have been active */
	struct file *owner;		/* mutex: the attached file */
	struct dmrc_ring *ring;		/* set once, by the first primary */

	struct dmrc_info_page *info;		/* vmalloc_user, one page */
	struct dmrc_consumer_page *consumer;	/* vmalloc_user, one page */

	spinlock_t lock ____cacheline_aligned_in_smp;
	bool capturing;
	bool lost;
	bool write_protected;		/* host writes fail */
	unsigned int primaries;		/* active primary volumes (also mutex) */
	unsigned int copies;		/* slots promised to copies under way */
	u64 stream;
	u64 epoch;			/* counts the starts of streams: seq is per epoch */
	u64 reserved;			/* highest seq given out */
	u64 time_ns;
	u64 era;
	u64 data_head;
	u64 tail;			/* all seq <= tail: freed, and off the ring */
	u64 data_tail;
	u64 freed;			/* last accepted value of consumer->freed */
	u64 committed;			/* walked for DMRC_IOC_STATE only */
	u64 written;			/* likewise */
	u64 lost_at;
	u64 ended_stream;		/* that lost_at belongs to */
	const char *lost_why;
	u64 hold_era;			/* of the newest marker */
	enum dmrc_cut cut;
	bool cut_armed;			/* the checkpoint that `cut` speaks of was armed */
	struct dmrc_armed armed;
	u64 hold_began_ns;
	u64 cut_timer_ns;		/* what hold_timer does is due then */
	u64 hold_us;			/* how long the last hold was */
	u64 throttle_ns;		/* longest wait for room; 0: a full ring ends the stream */
	struct list_head throttled;	/* writes without room, in order, by range.entry */
	u64 nr_throttled;
	u64 last_throttled_ns;
	bool throttling;		/* writes wait, or did a moment ago */
	struct dmrc_copy_slot *copy;	/* DMRC_COPY_SLOTS of them */

	spinlock_t hold_lock ____cacheline_aligned_in_smp;
	struct rb_root_cached waiting;	/* struct dmrc_io by seq */
	u64 limit;			/* writes with seq above it wait when complete; read without lock */
	u64 hold_seq;			/* also group->lock to change: marker of the hold, or no limit */
	u32 sync_mode;
	u32 fence;
	bool alone;
	bool stopped;			/* fence stop: the deadline has passed, writes fail */
	u64 since_seq;
	u64 before_seq;			/* how a write counts that the running stream does not carry */
	u64 acked;
	u64 alone_after_ns;
	u64 alone_since;
	struct hrtimer hold_timer;
	struct work_struct lift_work;
	struct hrtimer deadline;
	struct work_struct alone_work;

	struct list_head failed;	/* hold_lock: writes that failed on disk, by range.entry */
	struct work_struct failed_work;

	wait_queue_head_t wait;		/* poll */
	struct hrtimer wake_timer;
	unsigned long wake_armed;
	unsigned long changes;		/* state changes so far; read without lock */
	struct hrtimer throttle_timer;
	struct work_struct throttle_work;
	struct work_struct event_work;
	struct work_struct ceiling_work;
};

/*
 * A region's word: era of its last write below, flags above.
 *
 *   closed                    0            stable metadata says: closed with this era
 *   opening                   CLOSING      being opened: the next map block written says open
 *   (is) open                 OPEN         stable metadata says so: writes may be captured
 *   being closed              OPEN|CLOSING a flush runs; a write takes CLOSING away again
 */
#define DMRC_W_OPEN	(1ULL << 63)
#define DMRC_W_CLOSING	(1ULL << 62)
#define DMRC_W_TOUCHED	(1ULL << 61)	/* written since the last look of the closer */
#define DMRC_W_STICKY	(1ULL << 60)	/* only a whole copy (or a redo) can close it */
#define DMRC_W_ERA	((1ULL << 60) - 1)

/* Superblock in memory; docs/meta-device.md has the layout on disk. */
struct dmrc_super {
	u64 sequence;
	u32 flags;		/* DMRC_SB_* */
	uuid_t uuid;
	u64 sectors;
	u32 region_sectors;
	u64 generation;
	u64 ceiling;
	u64 update_era;
	u64 alone_since;
};

#define DMRC_SB_UPDATE	(1 << 0)
#define DMRC_SB_ALONE	(1 << 1)
#define DMRC_SB_FAILED	(1 << 2)	/* metadata writes were lost: all regions count as open */

/* eras stored ahead are renewed by a worker when fewer are left */
#define DMRC_CEILING_LOW	32

#define DMRC_META_BLOCK		4096
#define DMRC_META_SECTOR_ERAS	62
#define DMRC_META_BLOCK_ERAS	(8 * DMRC_META_SECTOR_ERAS)
#define DMRC_META_MAP_START	4	/* block: two superblocks, two reserved */
#define DMRC_META_BATCH		16	/* blocks written at once */

struct dmrc_meta_io {
	struct bio bio;
	struct bio_vec bvec;
	void *page;
	struct dmrc_vol *volume;
};

/* The words of a volume's regions, replaced as a whole when the volume grows. */
struct dmrc_map {
	u64 nr_regions;
	u64 nr_blocks;
	u64 *words;
	unsigned long *open_blocks;	/* a region of the block may be open */
	unsigned long *dirty_blocks;	/* to be written by the holder of volume->meta */
};

struct dmrc_vol {
	struct kref ref;
	struct dmrc_group *group;
	u16 number;
	struct mapped_device *md;	/* identity of the dm device; never dereferenced without a target */
	dev_t devt;
	struct list_head link;		/* group->volumes; group->mutex */
	bool listed;

	struct dmrc_target *active;	/* group->mutex and meta: the live target */
	struct block_device *data;	/* of the active target */
	struct block_device *meta_bdev;
	sector_t sectors;
	u32 region_sectors;
	unsigned int region_shift;
	bool primary;
	bool suspended;			/* group->mutex */
	bool loaded;			/* map is that of meta_bdev */
	dev_t loaded_from;
	bool adopted;			/* open regions were given the sense of the role */

	spinlock_t lock ____cacheline_aligned_in_smp;
	struct rb_root_cached inflight;
	struct list_head deferred;	/* ranges to start anew */
	struct list_head ready;		/* captured writes to submit */
	struct list_head cold;		/* writes whose regions are not open */
	struct list_head copies_waiting; /* copies in the tree behind earlier ranges */
	u64 serial;
	struct dmrc_map map;
	u64 nr_open;
	bool meta_failed;		/* every era is infinite; writes go on without map */
	bool failure_noted;		/* meta: the failure is in the superblock */
	bool push_back;			/* noflush suspend: waiting writes are pushed back */
	bool stopping;			/* no new copies, no lazy close */
	unsigned int copies;		/* copies under way */
	wait_queue_head_t idle;

	struct workqueue_struct *wq;	/* deferred writes, map writes */
	struct work_struct work;
	struct delayed_work close_work;
	bool close_now;			/* message `close`: also regions just written */

	struct mutex meta;
	struct dmrc_super super;	/* meta */
	u64 ceiling;			/* the stored one: eras up to it may be used */
	struct dmrc_meta_io *meta_io;	/* DMRC_META_BATCH of them */
	atomic_t meta_pending;
	int meta_error;
	struct completion meta_done;
};

struct dmrc_target {
	struct dm_target *ti;
	struct dmrc_vol *volume;
	struct dm_dev *data;
	struct dm_dev *meta;
	bool primary;
	bool has_generation;
	u64 generation;
	u32 ring_mib;
	u32 region_kib;
	bool resumed;			/* between resume and presuspend */
	struct dmrc_map spare;		/* made in ctr, swapped in at preresume */
};

struct dmrc_file {
	struct dmrc_group *group;	/* set once, with release order */
	unsigned long attaching;
	unsigned long changes;		/* of the group, when this file last asked for the state */
	u64 map_bytes;
};

static inline bool dmrc_is_era(u64 era)
{
	return !(era & ~DMRC_W_ERA);
}

/* -- dm-rc-group.c: registry and life ------------------------------------------------------------- */

/* May sleep. Finds or makes the group; checks that region size agrees. Returns a reference or ERR_PTR. */
struct dmrc_group *dmrc_group_get(const char *name, u32 region_sectors, char **error);
/* May sleep. Only finds; NULL when there is none. */
struct dmrc_group *dmrc_group_find(const char *name);
void dmrc_group_put(struct dmrc_group *g);
/* May sleep. Finds or makes volume `number` for this dm device. Returns a reference or ERR_PTR. */
struct dmrc_vol *dmrc_volume_get(struct dmrc_group *g, u16 number, struct mapped_device *md, char **error);
void dmrc_volume_put(struct dmrc_vol *v);
/* May sleep; group->mutex held. The active volume `number`, or NULL. */
struct dmrc_vol *dmrc_volume_find(struct dmrc_group *g, u16 number);
/* May sleep. True when bdev is one of our dm devices. */
bool dmrc_is_ours(struct block_device *bdev);
/* Any context. State changed: dm events, log, poll. */
void dmrc_group_changed(struct dmrc_group *g);

/* -- dm-rc-ring.c: memory, sequence, commit, freeing, wake-ups ------------------------------------ */

/* May sleep, allocates; group->mutex NOT held. Makes the ring or checks that its size agrees. */
int dmrc_ring_make(struct dmrc_group *g, u32 ring_mib, char **error);
void dmrc_ring_free(struct dmrc_ring *ring);
/* The page at a byte offset of the mapping, or NULL. */
struct page *dmrc_ring_page(struct dmrc_group *g, u64 offset);
void dmrc_ring_layout(struct dmrc_group *g, struct dmrc_attach *a);

struct dmrc_reservation {
	u64 seq;	/* 0: not captured */
	u64 epoch;
	u64 time_ns;
	u64 era;
	u64 data_pos;
	u32 stream;
};

/*
 * group->lock held. Reserve a slot and `bytes` of data space aligned to `align`, leaving `keep` slots
 * free. True and `r` filled, or false: no room.
 */
bool dmrc_ring_reserve(struct dmrc_group *g, u32 bytes, u32 align, u32 keep, struct dmrc_reservation *r);
/* group->lock held. Would dmrc_ring_reserve find room? */
bool dmrc_ring_room_for(struct dmrc_group *g, u32 bytes, u32 align, u32 keep);
/* group->lock held. Stamp of the next record; an armed marker whose time has come is put before it. */
void dmrc_ring_stamp(struct dmrc_group *g);
/* group->lock held. Take over consumer->freed and move the tail. */
void dmrc_ring_reclaim(struct dmrc_group *g);
/* group->lock held. End the stream by overflow: loss record, region map only from here. */
void dmrc_ring_lose(struct dmrc_group *g, const char *why);
/* Any context. Fill the slot of a reservation and commit it with release order; then wake as asked. */
void dmrc_ring_commit(struct dmrc_group *g, const struct dmrc_reservation *r, const struct dmrc_record *rec);
/* Any context. A record without data that concerns no disk: done as soon as committed. group->lock may be held. */
void dmrc_ring_put(struct dmrc_group *g, const struct dmrc_reservation *r, struct dmrc_record *rec);
/* Any context. The backing write of seq has ended. */
void dmrc_ring_done(struct dmrc_group *g, u64 seq);
/* Any context. Wake the reader now. */
void dmrc_ring_wake(struct dmrc_group *g);
/* Any context. Copy a bio's data into the ring and let the bio point to it. */
void dmrc_ring_capture(struct dmrc_ring *ring, u64 pos, struct bio *bio, struct bio_vec *bvecs);
/* Any context, no lock. A committed record beyond what was read waits. */
bool dmrc_ring_readable(struct dmrc_group *g);
/* group->mutex held. Can a stream begin, and in which era? */
int dmrc_stream_may_start(struct dmrc_group *g, u64 *era);
/* group->mutex held. Begin a stream (-ESTALE: this is not the era) / end it / fill in the state. */
int dmrc_stream_start(struct dmrc_group *g, u64 stream, u64 era);
void dmrc_stream_stop(struct dmrc_group *g);
int dmrc_stream_put(struct dmrc_group *g, u32 type, u32 tag, u64 *seq);
void dmrc_ring_state(struct dmrc_group *g, struct dmrc_state *s);
u32 dmrc_group_flags(struct dmrc_group *g);
enum hrtimer_restart dmrc_wake_timer(struct hrtimer *timer);

/* -- dm-rc-capture.c: the path of a bio ------------------------------------------------------------ */

int dmrc_map(struct dm_target *ti, struct bio *bio);
int dmrc_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);
void dmrc_volume_work(struct work_struct *work);
void dmrc_failed_work(struct work_struct *work);
/* group->lock held. Would a write that waits for room find it? */
bool dmrc_write_has_room(struct dmrc_io *io);
/*
 * Worker, no lock. The first of the writes that wait for room has its turn. False: it still has no room and is the
 * first again; else it is on its way.
 */
bool dmrc_write_turn(struct dmrc_io *io);

/* volume->lock held. The first range in flight that meets [start, last], or NULL. */
struct dmrc_range *dmrc_inflight_first(struct dmrc_vol *v, sector_t start, sector_t last);
/* volume->lock held. A range that entered the tree before this one meets it. */
bool dmrc_inflight_behind(struct dmrc_vol *v, const struct dmrc_range *range);
void dmrc_inflight_add(struct dmrc_vol *v, struct dmrc_range *range);
/* volume->lock held. Take the range out; true: there are deferred ranges now, queue v->work. */
bool dmrc_inflight_remove(struct dmrc_vol *v, struct dmrc_range *range);

/* -- dm-rc-region.c: which regions are open, eras ----------------------------------------------- */

/* May sleep, allocates. */
int dmrc_map_alloc(struct dmrc_map *map, sector_t sectors, u32 region_sectors);
void dmrc_map_free(struct dmrc_map *map);
/* No I/O and no question under way. */
void dmrc_map_clear(struct dmrc_map *map);
/* volume->lock held. All regions of the sectors are open on stable storage (or the map has failed). */
bool dmrc_regions_open(struct dmrc_vol *v, sector_t start, sector_t last);
/* volume->lock and group->lock held: set their era to at least `era`. */
void dmrc_regions_write(struct dmrc_vol *v, sector_t start, sector_t last, u64 era);
/* volume->lock held. The content is not what the record says: keep them open until copied whole. */
void dmrc_regions_stick(struct dmrc_vol *v, sector_t start, sector_t last);
/* volume->lock held. The copy record of these sectors is being put in era `now`: returns the era it carries. */
u64 dmrc_regions_copied(struct dmrc_vol *v, sector_t start, sector_t last, u64 now);
/* Worker. Open what the cold list needs on stable storage, then defer its writes again. */
void dmrc_regions_open_cold(struct dmrc_vol *v);
void dmrc_close_work(struct work_struct *work);
/* May sleep. Close what can be closed exactly; no I/O is in flight (postsuspend). */
void dmrc_regions_close_all(struct dmrc_vol *v);
/* May sleep; group->mutex held. */
int dmrc_regions_mark(struct dmrc_vol *v, const struct dmrc_extent *extents, u32 nr);
int dmrc_regions_settle(struct dmrc_vol *v, const struct dmrc_extent *extents, u32 nr, u32 flags);
/* Any process context. Fills extents, sets nr and next. */
void dmrc_regions_dirty(struct dmrc_vol *v, u64 since, u64 start_sector, struct dmrc_extent *extents,
			u32 max, u32 *nr, u64 *next);
/* volume->lock held or volume idle. What a start as primary (era != 0) or secondary makes of open regions. */
void dmrc_regions_adopt(struct dmrc_vol *v, bool primary, u64 era);
/* May sleep. Highest era in the map. */
u64 dmrc_regions_max_era(struct dmrc_vol *v);

/* -- dm-rc-meta.c: the metadata device ------------------------------------------------------------- */

/* May sleep, allocates (from ctr). */
int dmrc_meta_alloc(struct dmrc_vol *v);
void dmrc_meta_free(struct dmrc_vol *v);
/* Bytes that a map of this size needs. */
u64 dmrc_meta_bytes(u64 nr_blocks);
/* May sleep; volume->meta held. Load the superblock and the map of v->meta_bdev, or format a blank device. */
int dmrc_meta_load(struct dmrc_vol *v);
/* May sleep; volume->meta held. Store v->super. Failure makes the volume's map failed. */
int dmrc_meta_write_super(struct dmrc_vol *v);
/* May sleep; volume->meta held. Write all blocks in map.dirty_blocks as the words now say, stably. */
int dmrc_meta_write_dirty(struct dmrc_vol *v);
/* May sleep. Era `era` may be used in this volume's group from now on. */
int dmrc_meta_raise_ceiling(struct dmrc_vol *v, u64 era);
/* May sleep; volume->meta held. The map can't be trusted any more: end the stream, every era is infinite. */
void dmrc_meta_fail(struct dmrc_vol *v, int error, const char *what);

/* -- dm-rc-hold.c: withheld completions ----------------------------------------------------------- */

void dmrc_hold_init(struct dmrc_group *g);
/* Any context. True: the write is taken and completes later; false: complete it now (maybe with *error). */
bool dmrc_hold_write(struct dmrc_group *g, struct dmrc_io *io, blk_status_t *error);
/* Any process context. Complete what need not wait any more. */
void dmrc_hold_sweep(struct dmrc_group *g);
/* No lock held. Complete the writes of a list (by range.entry). */
void dmrc_hold_complete(struct list_head *list, blk_status_t status);
/* Process context (presuspend, noflush). Push the volume's waiting writes back to dm. */
void dmrc_hold_push_back(struct dmrc_group *g, struct dmrc_vol *v);
int dmrc_hold_ack(struct dmrc_group *g, const struct dmrc_ack *ack);
/* group->mutex held. */
int dmrc_hold_sync(struct dmrc_group *g, struct dmrc_sync *sync);
void dmrc_hold_new_stream(struct dmrc_group *g);
/* hold_lock held. What lets writes wait has changed. */
void dmrc_hold_update_limit(struct dmrc_group *g);

/* -- dm-rc-checkpoint.c: markers, holds, verdicts --------------------------------------------------- */

void dmrc_checkpoint_init(struct dmrc_group *g);
/* May sleep; no writes are left. */
void dmrc_checkpoint_exit(struct dmrc_group *g);
/* May sleep; group->mutex held. */
int dmrc_checkpoint(struct dmrc_group *g, struct dmrc_checkpoint *c);
/* May sleep. The order to lift the hold of checkpoint n; returns when its writes are completed. */
int dmrc_lift(struct dmrc_group *g, u64 n);
/* group->lock held. A hold ends without the order, or what is armed will not be valid: its checkpoint is void. */
void dmrc_hold_void(struct dmrc_group *g);
/* Process context, no lock. The same. */
void dmrc_hold_end(struct dmrc_group *g);
/* group->mutex held. Make `era` and some beyond it usable on all volumes. */
int dmrc_group_raise_ceiling(struct dmrc_group *g, u64 era);
/* group->mutex held. A volume is between presuspend and resume. */
bool dmrc_suspending(struct dmrc_group *g);
/* group->lock held. Put the marker that ends `era`; false: no room. Its seq and stamp go to `r`. */
bool dmrc_marker_put(struct dmrc_group *g, u64 era, u64 epoch, struct dmrc_reservation *r);
/* group->lock held. From here completions of writes after the marker wait, up to this time (CLOCK_MONOTONIC). */
void dmrc_hold_begin(struct dmrc_group *g, u64 marker_seq, u64 end_ns);
/* group->lock held. The verdict, then what was withheld. */
void dmrc_hold_verdict(struct dmrc_group *g, u32 type);
/* group->lock held. What was withheld goes on, by a worker. */
void dmrc_hold_release(struct dmrc_group *g);
/* group->lock held. Do what is next in the checkpoint's life at this time (CLOCK_MONOTONIC). */
void dmrc_cut_at(struct dmrc_group *g, u64 mono_ns);

/* -- dm-rc-arm.c: checkpoints armed for a time of the clock --------------------------------------------- */

/* May sleep; group->mutex held. */
int dmrc_arm(struct dmrc_group *g, const struct dmrc_arm *a);
/* Process context, no lock. */
int dmrc_confirm(struct dmrc_group *g, u64 n);
int dmrc_disarm(struct dmrc_group *g, u64 n);
/* group->lock held, DMRC_CUT_ARMED. Its time has come: marker and hold. */
void dmrc_arm_due(struct dmrc_group *g);
/* group->lock held, DMRC_CUT_ARMED. It will not be valid: marker, for the verdict that follows. False: no room for it. */
bool dmrc_arm_spoil(struct dmrc_group *g);
/* group->lock held, DMRC_CUT_HOLDING. The clock reads the end of the hold. */
void dmrc_arm_held(struct dmrc_group *g);

/* -- dm-rc-throttle.c: writes that wait for room ----------------------------------------------------- */

void dmrc_throttle_init(struct dmrc_group *g);
/* May sleep; no writes are left. */
void dmrc_throttle_exit(struct dmrc_group *g);
/* May sleep. 0 ms: a full ring ends the stream. */
int dmrc_throttle_set(struct dmrc_group *g, u32 max_wait_ms);
/* group->lock held. Writes wait for room: a new one queues behind them. */
bool dmrc_throttle_queued(struct dmrc_group *g);
/*
 * group->lock held. A write that has no room joins the list (at its head when it had its turn). False: writes don't
 * wait for room, or this one has waited for too long.
 */
bool dmrc_throttle_wait(struct dmrc_group *g, struct dmrc_io *io, bool turn);
/* group->lock held. What waits needs no room any more. */
void dmrc_throttle_kick(struct dmrc_group *g);
/* Process context (presuspend, noflush). Push the volume's writes that wait for room back to dm. */
void dmrc_throttle_push_back(struct dmrc_group *g, struct dmrc_vol *v);

/* -- dm-rc-copy.c ---------------------------------------------------------------------------------- */

/* Allocates; freed with the group (kfree of g->copy). */
int dmrc_copy_init(struct dmrc_group *g);
/* group->mutex held. Take a copy slot for a read; dmrc_copy_run follows without the mutex. */
int dmrc_copy_start(struct dmrc_group *g, struct dmrc_vol *v, const struct dmrc_copy *req,
		    struct dmrc_copy_slot **result);
/* Process context, no lock. Lock the range and read, or wait for the range. */
void dmrc_copy_run(struct dmrc_copy_slot *slot);

/* -- dm-rc-chardev.c, dm-rc-ioctl.c, dm-rc-target.c ---------------------------------------------------- */

/* May sleep, no lock held. */
long dmrc_group_ioctl(struct dmrc_file *f, struct dmrc_group *g, unsigned int cmd, void __user *arg);
int dmrc_chardev_init(void);
void dmrc_chardev_exit(void);
int dmrc_target_init(void);
void dmrc_target_exit(void);

/* Deliberate faults, compiled in only for the tests that must catch them. */
#ifdef DMRC_TEST_MUTATIONS
bool dmrc_mutant(const char *name);
#else
static inline bool dmrc_mutant(const char *name)
{
	return false;
}
#endif

extern unsigned int dmrc_close_ms;
/* What writes wait for (has a rescuer), and what may take its time: copies, events, closing. */
extern struct workqueue_struct *dmrc_hold_wq;
extern struct workqueue_struct *dmrc_lazy_wq;

#endif
