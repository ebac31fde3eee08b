/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * dm-remotecopy: what the kernel and user space share.
 *
 * One open file of /dev/remotecopy is attached to one group. Its mapping shows the group's ring:
 * an info page and the rings (read-only) and one consumer page (the only writable one). The kernel
 * trusts nothing in the consumer page: it reads `freed` (clamped to what may be freed) and the
 * wake-up request, and keeps private copies of everything else.
 *
 * A record is identical in the ring, on the wire and in a journal; only `data_pos` is local to the
 * place where the record is stored. All integers are little-endian; reserved fields are zero and
 * checked. docs/ring.md is the specification, with the table of barriers.
 */
#ifndef _LINUX_DM_REMOTECOPY_H
#define _LINUX_DM_REMOTECOPY_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define DMRC_ABI_VERSION 1
#define DMRC_DEVICE_NAME "remotecopy"
#define DMRC_NAME_BYTES 64 /* group name, with its terminating NUL */
#define DMRC_SECTOR_BYTES 512
#define DMRC_PAGE_BYTES 4096

/*
 * Era: (generation, n) in one number that compares like the pair. Checkpoint n ends era n. The upper
 * four bits are zero. DMRC_ERA_OPEN (a region whose era is not settled) compares above every era.
 */
#define DMRC_ERA_N_BITS 40
#define DMRC_ERA_GENERATION_BITS 20
#define DMRC_ERA_N_MAX ((1ULL << DMRC_ERA_N_BITS) - 1)
#define DMRC_ERA_GENERATION_MAX ((1ULL << DMRC_ERA_GENERATION_BITS) - 1)
#define DMRC_ERA(generation, n) (((__u64)(generation) << DMRC_ERA_N_BITS) | (__u64)(n))
#define DMRC_ERA_GENERATION(era) ((__u64)(era) >> DMRC_ERA_N_BITS)
#define DMRC_ERA_N(era) ((__u64)(era) & DMRC_ERA_N_MAX)
#define DMRC_ERA_OPEN (~0ULL)

enum dmrc_record_type {
	DMRC_INVALID = 0, /* zeroed space is never a record */
	DMRC_WRITE = 1, /* data of a host's write */
	DMRC_DISCARD = 2, /* carried out as write-zeroes that may unmap; no data */
	DMRC_ZEROES = 3, /* write-zeroes; no data */
	DMRC_COPY = 4, /* data that was there before; `tag` says for whom */
	DMRC_FAILED = 5, /* the backing write of record seq == data_pos failed; no data */
	DMRC_MARKER = 6, /* checkpoint n = DMRC_ERA_N(era): era n ends here */
	DMRC_HELD = 7, /* verdict: the hold of checkpoint `era` was kept */
	DMRC_VOID = 8, /* verdict: it was not */
	DMRC_END_OF_COPYING = 9, /* all copy records of `tag` precede */
	DMRC_SEAL = 10, /* the stream ends here, whole */
	DMRC_LOSS = 11, /* the stream ends here, records were lost after it */
};

#define DMRC_F_FUA (1 << 0) /* the host asked for FUA */
#define DMRC_F_UNMAP (1 << 1) /* zeroes: the host allows to unmap */
#define DMRC_F_COPY_SLOT (1 << 2) /* ring only: data_pos is an offset in the copy area */
#define DMRC_F_ZERO (1 << 4) /* wire and journal: a copy record's data is all zero and not carried */
#define DMRC_F_ELIDED (1 << 3) /* wire and journal: a copy record's data was not for this site */

struct dmrc_record {
	__u8 type; /* enum dmrc_record_type */
	__u8 flags; /* DMRC_F_* */
	__u16 volume; /* number in the group; 0 for records of the group */
	__u32 stream; /* low 32 bits of the stream id, never 0 */
	__u32 length; /* bytes, a multiple of 512; 0 for records of the group */
	__u32 tag; /* copy, end of copying: set of links (bits) they are for; else 0 */
	__u64 seq; /* 1, 2, 3... in the stream. In the ring stored last: slot seq & mask committed */
	__u64 time_ns; /* CLOCK_REALTIME, never decreasing with seq in a group */
	__u64 sector; /* first 512-byte sector on the volume; marker: the epoch it was asked for with */
	__u64 era; /* era the record belongs to; marker and verdict: the era that ends */
	__u64 data_pos; /* where the data lies, local to the place of storage (failed: see there) */
	__u32 data_crc; /* CRC-32C of the data, 0 without data; 0 in the ring */
	__u32 header_crc; /* CRC-32C of this header with data_pos and header_crc 0; 0 in the ring */
};

/* First page of the mapping, read-only: written by the kernel. */
struct dmrc_info_page {
	__u32 abi_version;
	__u32 flags; /* DMRC_STATE_*; a hint, DMRC_IOC_STATE is the truth */
	__u64 stream; /* id of the running stream, 0 when none */
	__u64 reserved; /* highest seq given out: records up to it are or soon will be committed */
	__u64 zero[509];
};

/* Second page, the only writable one: written by the agent, distrusted by the kernel. */
struct dmrc_consumer_page {
	__u64 freed; /* all records with seq <= freed may be overwritten */
	__u32 need_wakeup; /* non-zero: poll sleepers want a wake-up */
	__u32 wake_records; /* ... once so many records wait, or 1 ms after the first of them */
	__u64 read; /* all records with seq <= read were read: poll says readable when read + 1 is there */
	__u64 zero[509];
};

#define DMRC_STATE_STREAM (1 << 0) /* writes are captured into the ring */
#define DMRC_STATE_LOST (1 << 1) /* the stream ended by overflow: region map only */
#define DMRC_STATE_SYNC (1 << 2) /* writes wait for DMRC_IOC_ACK */
#define DMRC_STATE_ALONE (1 << 3) /* the deadline passed: they no longer wait */
#define DMRC_STATE_THROTTLED (1 << 5) /* writes wait for room in the ring, or did within the last second */
#define DMRC_STATE_HOLDING (1 << 6) /* a hold withholds completions */
#define DMRC_STATE_PROTECTED (1 << 7) /* host writes fail (DMRC_IOC_PROTECT) */
#define DMRC_STATE_ARMED (1 << 8) /* a checkpoint is armed, or was and has no verdict yet */
#define DMRC_STATE_PRIMARY (1 << 4) /* the group's volumes are primary (else secondary) */

/*
 * Attach this file to a group. Errors: ENOENT no such group, EBUSY another file has it,
 * EPROTONOSUPPORT another ABI version, EALREADY this file is attached.
 */
struct dmrc_attach {
	__u32 abi_version; /* in: DMRC_ABI_VERSION; out: the kernel's */
	__u32 state; /* out: DMRC_STATE_* */
	char group[DMRC_NAME_BYTES]; /* in */
	__u64 stream; /* out: running stream or 0 */
	__u64 freed; /* out: where to read on: the next record to read is freed + 1 */
	__u64 era; /* out: current era */
	__u64 map_bytes; /* out: length of the whole mapping */
	__u64 consumer_offset; /* out: of struct dmrc_consumer_page */
	__u64 control_offset; /* out: of slot 0 */
	__u64 data_offset; /* out: data ring, mapped twice in a row: no record wraps */
	__u64 copy_offset; /* out: copy slots */
	__u64 data_bytes; /* out: of the data ring, a power of two; data_pos % data_bytes */
	__u32 slots; /* out: control slots, a power of two */
	__u32 copy_slots; /* out */
	__u32 copy_slot_bytes; /* out */
	__u32 region_sectors; /* out: region size of the group */
	__u64 ended_stream; /* out: the stream that a loss has ended (its rest may still be read), or 0 */
	__u64 zero[3];
};

/* Start a new stream (primary, no stream running, ring wholly freed). Errors: EBUSY, EROFS. */
struct dmrc_start {
	__u64 stream; /* in: random id, low 32 bits not 0 */
	__u64 era; /* out: current era */
	__u64 zero[2];
};

/*
 * Records up to `acked` are on stable storage at the sync site. Until the clock CLOCK_BOOTTIME
 * reads alone_after_ns no write completes without its acknowledgement (sync mode); the agent hands a later
 * deadline over with every acknowledgement and with every answered challenge.
 */
struct dmrc_ack {
	__u64 acked;
	__u64 alone_after_ns; /* 0: keep the last one */
};

#define DMRC_SYNC_OFF 0
#define DMRC_SYNC_WAIT 1
#define DMRC_FENCE_GO 0 /* after the deadline: go on alone */
#define DMRC_FENCE_STOP 1 /* after the deadline: writes fail */

/* Switch waiting for acknowledgements; also leaves the state `alone`. */
struct dmrc_sync {
	__u32 mode; /* DMRC_SYNC_* */
	__u32 fence; /* DMRC_FENCE_* */
	__u64 alone_after_ns; /* CLOCK_BOOTTIME */
	__u64 since_seq; /* out: writes with a higher seq wait */
	__u64 zero;
};

/*
 * What a full ring does. max_wait_ms 0 (so it begins): the stream ends, writes only mark the region map. Else a write
 * without room waits for it, in order, and the stream ends when one has waited so long. Stays set when the file is
 * closed. Errors: EINVAL longer than 300 s.
 */
struct dmrc_throttle {
	__u32 max_wait_ms;
	__u32 zero;
};

/*
 * Put marker n and end era n; n must be the current n or above. max_hold_us 0: a copyset of one group,
 * marker and verdict `held` in one step; else completions of later writes are withheld
 * until DMRC_IOC_LIFT, and at most so long (10 s at most). Errors: EINVAL n too low or hold too long, ENOLINK no
 * stream, EAGAIN the ring has no room for marker and verdict (free some), EBUSY a hold is on, or (for a hold) a
 * volume is suspended.
 */
struct dmrc_checkpoint {
	__u64 n; /* in: 0 means the current n; out: the n that was put */
	__u64 max_hold_us;
	__u64 marker_seq; /* out */
	__u64 era; /* out: the era that begins */
	__u64 time_ns; /* out: stamp of the marker */
	__u64 epoch; /* of the copyset's table, 0 without: the marker carries it in `sector` */
	__u64 zero[2];
};

/*
 * DMRC_IOC_LIFT takes the number of the checkpoint whose hold ends: record `held`, then the completions. Errors:
 * ESTALE that hold has ended by itself (record `void`) or was never there, EINVAL no such checkpoint yet.
 */

/*
 * Arm checkpoint n for the time at_ns on CLOCK_REALTIME, the clock of time_ns: its marker stands before the first record
 * with a later stamp, or is put then when there is none, and completions of later writes are withheld until that clock
 * reads at_ns + hold_ns. All that is the kernel's, whatever the agent does. Then DMRC_IOC_CONFIRM within confirm_us
 * makes it `held`; else, and when a volume is suspended, the file is closed, the stream ends or the clock is set, it
 * is `void`. From here to its verdict no other checkpoint can be put or armed. n+1 is on stable storage first. Errors:
 * EINVAL n below the current one, hold_ns 0 or longer than 10 s, confirm_us likewise, at_ns more than 300 s ahead,
 * ETIME at_ns has passed (or a record has a later stamp), EBUSY another is armed, a hold is on or a volume is
 * suspended, ENOLINK no stream, EAGAIN the ring has no room, EROFS no primary volume.
 */
struct dmrc_arm {
	__u64 n;
	__u64 at_ns;
	__u64 hold_ns;
	__u64 confirm_us;
	__u64 epoch; /* as in struct dmrc_checkpoint */
	__u64 zero[1];
};

/*
 * DMRC_IOC_CONFIRM takes the number of the armed checkpoint: the differences to the other members' clocks, measured
 * again after the hold, were below hold_ns. Record `held`. Errors: EBUSY its hold is not over, ESTALE it was void or never
 * armed (also: void by this call, since the clock was set), EINVAL no such checkpoint yet.
 * DMRC_IOC_DISARM takes that number too: before its marker nothing is put and n is not used, after it the hold ends and the
 * record is `void`. Errors: ESTALE it has its verdict or was never armed.
 */

/*
 * Queue one read of [sector, sector + sectors) into a copy slot; it appears as a copy record with the era
 * of its region (or as a `failed` record with this tag and data_pos 0 when it can't be read).
 * Errors: EAGAIN no copy slot free, EINVAL crosses a region, ENOLINK no stream, EBUSY volume suspended.
 */
struct dmrc_copy {
	__u64 sector;
	__u32 sectors;
	__u32 tag;
	__u16 volume;
	__u16 zero16;
	__u32 zero;
};

/*
 * Put a record of the agent's: end of copying or seal. A seal ends the stream. Errors: ENOLINK no stream,
 * EAGAIN the ring has no room, or (end of copying) copies with this tag are still being read.
 */
struct dmrc_put {
	__u32 type;
	__u32 tag;
	__u64 seq; /* out */
};

struct dmrc_extent {
	__u64 sector;
	__u64 sectors;
	__u64 era; /* dirty: highest era in it, DMRC_ERA_OPEN when open; settle: the era to close with */
};

/*
 * Extents of a volume whose regions are open or have an era > since. Adjacent regions are merged when
 * their eras are equal. Call again with start_sector = next_sector until it is ~0.
 */
struct dmrc_dirty {
	__u64 since; /* an era; 0 and not ever written regions (era 0) are never reported */
	__u64 start_sector;
	__u64 extents; /* pointer to struct dmrc_extent[max_extents] */
	__u32 max_extents;
	__u32 nr_extents; /* out */
	__u64 next_sector; /* out */
	__u16 volume;
	__u16 zero16;
	__u32 zero;
};

/*
 * mark: open the regions on stable storage. settle: flush the backing device, then close them. A region
 * that a crash left open is closed only by an extent that covers it whole, or with DMRC_REGIONS_REDONE:
 * the agent has redone the interrupted apply from its start, so no part of it is missing.
 */
#define DMRC_REGIONS_REDONE (1 << 0)
struct dmrc_regions {
	__u64 extents; /* pointer to struct dmrc_extent[nr_extents] */
	__u32 nr_extents;
	__u16 volume;
	__u16 flags; /* settle: DMRC_REGIONS_*; mark: 0 */
};

/* Persistent flag: a must-complete apply is under way; promotion is refused until it is cleared. */
struct dmrc_update {
	__u16 volume;
	__u16 in_progress;
	__u32 zero;
	__u64 era; /* of the release that is being applied */
};

#define DMRC_VOLUME_PRIMARY (1 << 0)
#define DMRC_VOLUME_UPDATE (1 << 1) /* update in progress */
#define DMRC_VOLUME_ALONE (1 << 2) /* durable note: completed writes alone since alone_since */
#define DMRC_VOLUME_META_FAILED (1 << 3) /* the meta device failed: every era is infinite */
#define DMRC_VOLUME_SUSPENDED (1 << 4)

struct dmrc_volume {
	__u16 volume; /* in: lowest number to report; out: its number */
	__u16 zero16;
	__u32 flags; /* out: DMRC_VOLUME_* */
	__u32 major; /* out: of the dm device */
	__u32 minor;
	__u64 sectors; /* out */
	__u64 generation; /* out */
	__u64 alone_since; /* out: era */
	__u64 zero[2];
};

struct dmrc_state {
	__u32 state; /* out: DMRC_STATE_* */
	__u32 volumes; /* out: how many */
	__u64 stream; /* out */
	__u64 reserved; /* out: highest seq given out */
	__u64 committed; /* out: all up to it are committed */
	__u64 written; /* out: all up to it ended on the backing devices */
	__u64 freed; /* out */
	__u64 acked; /* out */
	__u64 era; /* out: current */
	__u64 data_used; /* out: bytes of the data ring in use */
	__u64 lost_at; /* out: seq of the loss record, 0 without */
	__u64 alone_since; /* out: era, 0 when not alone */
	__u64 throttled; /* out: writes so far that have waited for room */
	__u64 hold_us; /* out: how long the last hold that ended was */
	__u64 armed; /* out: n of the checkpoint that is armed or has no verdict yet, else 0 */
	__u64 alone_after_ns; /* out: while writes wait for DMRC_IOC_ACK: their deadline, CLOCK_BOOTTIME; else 0 */
};

#define DMRC_IOC_MAGIC 0xDB
#define DMRC_IOC_ATTACH _IOWR(DMRC_IOC_MAGIC, 1, struct dmrc_attach)
#define DMRC_IOC_START _IOWR(DMRC_IOC_MAGIC, 2, struct dmrc_start)
#define DMRC_IOC_STOP _IO(DMRC_IOC_MAGIC, 3) /* end the stream: region map only from here */
#define DMRC_IOC_ACK _IOW(DMRC_IOC_MAGIC, 4, struct dmrc_ack)
#define DMRC_IOC_SYNC _IOWR(DMRC_IOC_MAGIC, 5, struct dmrc_sync)
#define DMRC_IOC_CHECKPOINT _IOWR(DMRC_IOC_MAGIC, 6, struct dmrc_checkpoint)
#define DMRC_IOC_LIFT _IOW(DMRC_IOC_MAGIC, 7, __u64)
#define DMRC_IOC_COPY _IOW(DMRC_IOC_MAGIC, 8, struct dmrc_copy)
#define DMRC_IOC_PUT _IOWR(DMRC_IOC_MAGIC, 9, struct dmrc_put)
#define DMRC_IOC_DIRTY _IOWR(DMRC_IOC_MAGIC, 10, struct dmrc_dirty)
#define DMRC_IOC_MARK _IOW(DMRC_IOC_MAGIC, 11, struct dmrc_regions)
#define DMRC_IOC_SETTLE _IOW(DMRC_IOC_MAGIC, 12, struct dmrc_regions)
#define DMRC_IOC_UPDATE _IOW(DMRC_IOC_MAGIC, 13, struct dmrc_update)
#define DMRC_IOC_VOLUME _IOWR(DMRC_IOC_MAGIC, 14, struct dmrc_volume)
#define DMRC_IOC_STATE _IOR(DMRC_IOC_MAGIC, 15, struct dmrc_state)
#define DMRC_IOC_THROTTLE _IOW(DMRC_IOC_MAGIC, 16, struct dmrc_throttle)
/*
 * 1: write-protect the group's primaries: from here host writes get EIO, none has a record after this call. 0: no
 * longer. Reads go on; stays set when the file is closed. Errors: EINVAL, EROFS no primary volume.
 */
#define DMRC_IOC_PROTECT _IOW(DMRC_IOC_MAGIC, 17, __u32)
#define DMRC_IOC_ARM _IOW(DMRC_IOC_MAGIC, 18, struct dmrc_arm)
#define DMRC_IOC_CONFIRM _IOW(DMRC_IOC_MAGIC, 19, __u64)
#define DMRC_IOC_DISARM _IOW(DMRC_IOC_MAGIC, 20, __u64)

#ifdef __cplusplus
#define DMRC_ABI_ASSERT static_assert
#else
#define DMRC_ABI_ASSERT _Static_assert
#endif
DMRC_ABI_ASSERT(sizeof(struct dmrc_record) == 64, "record");
DMRC_ABI_ASSERT(__builtin_offsetof(struct dmrc_record, seq) == 16, "record.seq");
DMRC_ABI_ASSERT(__builtin_offsetof(struct dmrc_record, era) == 40, "record.era");
DMRC_ABI_ASSERT(__builtin_offsetof(struct dmrc_record, data_pos) == 48, "record.data_pos");
DMRC_ABI_ASSERT(__builtin_offsetof(struct dmrc_record, header_crc) == 60, "record.header_crc");
DMRC_ABI_ASSERT(sizeof(struct dmrc_info_page) == 4096, "info page");
DMRC_ABI_ASSERT(sizeof(struct dmrc_consumer_page) == 4096, "consumer page");
DMRC_ABI_ASSERT(sizeof(struct dmrc_attach) == 192, "attach");
DMRC_ABI_ASSERT(sizeof(struct dmrc_start) == 32, "start");
DMRC_ABI_ASSERT(sizeof(struct dmrc_ack) == 16, "ack");
DMRC_ABI_ASSERT(sizeof(struct dmrc_sync) == 32, "sync");
DMRC_ABI_ASSERT(sizeof(struct dmrc_throttle) == 8, "throttle");
DMRC_ABI_ASSERT(sizeof(struct dmrc_checkpoint) == 64, "checkpoint");
DMRC_ABI_ASSERT(sizeof(struct dmrc_arm) == 48, "arm");
DMRC_ABI_ASSERT(sizeof(struct dmrc_copy) == 24, "copy");
DMRC_ABI_ASSERT(sizeof(struct dmrc_put) == 16, "put");
DMRC_ABI_ASSERT(sizeof(struct dmrc_extent) == 24, "extent");
DMRC_ABI_ASSERT(sizeof(struct dmrc_dirty) == 48, "dirty");
DMRC_ABI_ASSERT(sizeof(struct dmrc_regions) == 16, "regions");
DMRC_ABI_ASSERT(sizeof(struct dmrc_update) == 16, "update");
DMRC_ABI_ASSERT(sizeof(struct dmrc_volume) == 56, "volume");
DMRC_ABI_ASSERT(sizeof(struct dmrc_state) == 120, "state");

#endif
