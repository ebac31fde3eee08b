// SPDX-License-Identifier: GPL-2.0
/*
 * The dm target: table line, life with suspend and resume, limits, status, messages. docs/target.md describes it.
 *
 * A constructor for a volume runs while the volume's old table is live: it allocates and checks, and touches
 * neither metadata nor the shared volume. The volume changes hands in preresume, with no I/O under way.
 */
#include <linux/module.h>
#include "dm-rc.h"

#define DMRC_REGION_KIB_DEFAULT	1024
#define DMRC_RING_MIB_DEFAULT	32
#define DMRC_DISCARD_SECTORS	(128U << (20 - DMRC_SECTOR_SHIFT))

/* -- table line ----------------------------------------------------------------------------------------- */

static int dmrc_parse_power(const char *value, u32 min, u32 max, u32 *result)
{
	return kstrtou32(value, 10, result) || *result < min || *result > max || !is_power_of_2(*result) ?
	       -EINVAL : 0;
}

static int dmrc_parse_arg(struct dmrc_target *t, const char *name, const char *value)
{
	char **error = &t->ti->error;

	if (!strcmp(name, "role")) {
		t->primary = !strcmp(value, "primary");
		if (t->primary || !strcmp(value, "secondary"))
			return 0;
		*error = "role must be primary or secondary";
	} else if (!strcmp(name, "generation")) {
		t->has_generation = true;
		if (!kstrtou64(value, 10, &t->generation) && t->generation <= DMRC_ERA_GENERATION_MAX)
			return 0;
		*error = "generation must be a number below 2^20";
	} else if (!strcmp(name, "ring_mib")) {
		if (!dmrc_parse_power(value, 1, 4096, &t->ring_mib))
			return 0;
		*error = "ring_mib must be a power of two between 1 and 4096";
	} else if (!strcmp(name, "region_kib")) {
		if (!dmrc_parse_power(value, 64, 65536, &t->region_kib))
			return 0;
		*error = "region_kib must be a power of two between 64 and 65536";
	} else {
		*error = "Unknown argument: role, generation, ring_mib and region_kib are known";
	}
	return -EINVAL;
}

static int dmrc_parse_args(struct dmrc_target *t, struct dm_arg_set *as)
{
	static const struct dm_arg arg = { 0, 8, "Invalid number of arguments" };
	unsigned int n;
	int r;

	t->primary = true;
	t->ring_mib = DMRC_RING_MIB_DEFAULT;
	t->region_kib = DMRC_REGION_KIB_DEFAULT;
	if (!as->argc)
		return 0;
	r = dm_read_arg_group(&arg, as, &n, &t->ti->error);
	if (r)
		return r;
	if (n % 2 || as->argc != n) {
		t->ti->error = "Arguments come in pairs of name and value, and nothing follows them";
		return -EINVAL;
	}
	for (; n; n -= 2) {
		const char *name = dm_shift_arg(as);

		r = dmrc_parse_arg(t, name, dm_shift_arg(as));
		if (r)
			return r;
	}
	if ((u64)t->ring_mib * 1024 < 4ULL * min_t(u32, t->region_kib, 1024)) {
		t->ti->error = "ring_mib is too small: a ring holds at least four regions (or 4 MiB)";
		return -EINVAL;
	}
	return 0;
}

static int dmrc_check_devices(struct dmrc_target *t)
{
	struct dm_target *ti = t->ti;

	if (t->data->bdev == t->meta->bdev)
		ti->error = "Data and metadata device are the same";
	else if (dmrc_is_ours(t->meta->bdev))
		ti->error = "The metadata device is itself a remotecopy volume";
	else if (bdev_is_zoned(t->data->bdev))
		ti->error = "Zoned devices are not supported";
	else if (bdev_nr_bytes(t->meta->bdev) < dmrc_meta_bytes(t->spare.nr_blocks))
		ti->error = "Metadata device is too small: 16 KiB and 4 KiB for each 496 regions are needed";
	else
		return 0;
	return -EINVAL;
}

static int dmrc_open_devices(struct dmrc_target *t, struct dm_arg_set *as)
{
	struct dm_target *ti = t->ti;
	int r;

	r = dm_get_device(ti, dm_shift_arg(as), dm_table_get_mode(ti->table), &t->data);
	if (r) {
		ti->error = "Cannot open the data device";
		return r;
	}
	r = dm_get_device(ti, dm_shift_arg(as), dm_table_get_mode(ti->table), &t->meta);
	if (r)
		ti->error = "Cannot open the metadata device";
	return r;
}

static int dmrc_join(struct dmrc_target *t, const char *name, u16 number)
{
	struct dm_target *ti = t->ti;
	struct dmrc_group *g;
	int r;

	g = dmrc_group_get(name, t->region_kib * 2, &ti->error);
	if (IS_ERR(g))
		return PTR_ERR(g);
	t->volume = dmrc_volume_get(g, number, dm_table_get_md(ti->table), &ti->error);
	dmrc_group_put(g);
	if (IS_ERR(t->volume)) {
		r = PTR_ERR(t->volume);
		t->volume = NULL;
		return r;
	}
	return t->primary ? dmrc_ring_make(t->volume->group, t->ring_mib, &ti->error) : 0;
}

static void dmrc_target_free(struct dmrc_target *t)
{
	if (t->volume)
		dmrc_volume_put(t->volume);
	if (t->meta)
		dm_put_device(t->ti, t->meta);
	if (t->data)
		dm_put_device(t->ti, t->data);
	dmrc_map_free(&t->spare);
	kfree(t);
}

static void dmrc_set_features(struct dmrc_target *t)
{
	struct dm_target *ti = t->ti;
	bool zeroes = bdev_write_zeroes_sectors(t->data->bdev);

	ti->num_flush_bios = 1;
	ti->num_write_zeroes_bios = 1;
	/* A discard is carried out as write-zeroes, so it is offered only where that exists. */
	ti->num_discard_bios = zeroes;
	ti->discards_supported = zeroes;
	ti->num_secure_erase_bios = 0;
	ti->per_io_data_size = sizeof(struct dmrc_io);
	ti->accounts_remapped_io = true;
	ti->limit_swap_bios = true;
}

/* <dev> <meta_dev> <group> <volume> [<#args> <args>] */
static int dmrc_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set devices = { .argc = argc, .argv = argv }, as = devices;
	struct dmrc_target *t;
	const char *name;
	u16 number;
	int r = -EINVAL;

	if (argc < 4) {
		ti->error = "Usage: <dev> <meta_dev> <group> <volume> [<#args> <args>]";
		return -EINVAL;
	}
	dm_consume_args(&as, 2);
	name = dm_shift_arg(&as);
	if (!*name || strlen(name) >= DMRC_NAME_BYTES || strchr(name, ' ')) {
		ti->error = "The group's name must have 1 to 63 characters";
		return -EINVAL;
	}
	if (kstrtou16(dm_shift_arg(&as), 10, &number)) {
		ti->error = "The volume must be a number between 0 and 65535";
		return -EINVAL;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "Cannot allocate the target";
		return -ENOMEM;
	}
	t->ti = ti;
	r = dmrc_parse_args(t, &as);
	if (!r)
		r = dmrc_map_alloc(&t->spare, ti->len, t->region_kib * 2);
	if (!r)
		r = dmrc_open_devices(t, &devices);
	if (!r)
		r = dmrc_check_devices(t);
	if (!r)
		r = dmrc_join(t, name, number);
	if (!r)
		r = dm_set_target_max_io_len(ti, min_t(u32, t->region_kib * 2, DMRC_MAX_IO_SECTORS));
	if (r) {
		if (!ti->error)
			ti->error = "Cannot allocate the region map";
		dmrc_target_free(t);
		return r;
	}
	dmrc_set_features(t);
	ti->private = t;
	return 0;
}

/* group->mutex held. Write-protection belongs to one life of the group as primary. */
static void dmrc_set_primary(struct dmrc_vol *v, bool primary)
{
	struct dmrc_group *g = v->group;

	spin_lock_irq(&g->lock);
	g->primaries += primary - v->primary;
	if (!g->primaries)
		g->write_protected = false;
	spin_unlock_irq(&g->lock);
	v->primary = primary;
}

/* group->mutex held, no I/O under way. Whoever brings the volume back reads its metadata again. */
static void dmrc_leave(struct dmrc_vol *v)
{
	struct dmrc_group *g = v->group;

	v->active = NULL;
	v->loaded = false;
	dmrc_set_primary(v, false);
	dmrc_group_changed(g);
}

static void dmrc_dtr(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;
	struct dmrc_group *g = v->group;

	mutex_lock(&g->mutex);
	if (v->active == t)
		dmrc_leave(v);
	mutex_unlock(&g->mutex);
	dmrc_target_free(t);
}

/* -- suspend and resume ----------------------------------------------------------------------------------- */

static void dmrc_presuspend(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;

	if (READ_ONCE(v->active) != t)
		return;
	spin_lock_irq(&v->lock);
	v->stopping = true;
	spin_unlock_irq(&v->lock);
	/*
	 * A hold ends here. Without flush dm takes writes back, so those that wait for user space need not be waited
	 * for. With flush they end by their acknowledgement or at the deadline, which the kernel enforces.
	 */
	cancel_delayed_work_sync(&v->close_work);
	dmrc_hold_end(v->group);
	flush_work(&v->group->lift_work);
	if (dm_noflush_suspending(ti)) {
		dmrc_hold_push_back(v->group, v);
		dmrc_throttle_push_back(v->group, v);
	}
}

static void dmrc_run(struct dmrc_vol *v)
{
	spin_lock_irq(&v->group->hold_lock);
	v->push_back = false;
	spin_unlock_irq(&v->group->hold_lock);
	spin_lock_irq(&v->lock);
	v->stopping = false;
	spin_unlock_irq(&v->lock);
	queue_delayed_work(dmrc_lazy_wq, &v->close_work, msecs_to_jiffies(dmrc_close_ms));
}

static void dmrc_presuspend_undo(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;

	if (READ_ONCE(t->volume->active) == t)
		dmrc_run(t->volume);
}

static void dmrc_postsuspend(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;

	if (READ_ONCE(v->active) != t)
		return;
	wait_event(v->idle, !READ_ONCE(v->copies));
	flush_workqueue(v->wq);
	dmrc_regions_close_all(v);
	v->suspended = true;
}

/* group->mutex held. The era that this volume's past allows to begin with. */
static u64 dmrc_start_era(struct dmrc_vol *v, struct dmrc_target *t)
{
	u64 era = max3(v->super.ceiling, dmrc_regions_max_era(v) + 1, DMRC_ERA(v->super.generation, 1));

	if (t->has_generation && t->generation > DMRC_ERA_GENERATION(era))
		era = DMRC_ERA(t->generation, DMRC_ERA_N(era));
	return era;
}

/* group->mutex held. The highest era that the group may begin without storing it first. */
static u64 dmrc_promised_era(struct dmrc_group *g)
{
	u64 era;

	spin_lock_irq(&g->lock);
	era = g->cut == DMRC_CUT_ARMED ? max(g->era, g->armed.era + 1) : g->era;
	spin_unlock_irq(&g->lock);
	return era;
}

/* group->mutex held. Eras of group and volume meet: neither may use a number that the other has used. */
static int dmrc_join_era(struct dmrc_vol *v, struct dmrc_target *t)
{
	struct dmrc_group *g = v->group;
	u64 era = dmrc_start_era(v, t);

	if (era > g->era) {
		int r = dmrc_group_raise_ceiling(g, era);

		if (r)
			return r;
		spin_lock_irq(&g->lock);
		/* Its number would no longer be above all that were used; voiding it ends its own era. */
		if (g->cut == DMRC_CUT_ARMED && era > g->armed.era)
			dmrc_hold_void(g);
		g->era = max(g->era, era);
		spin_unlock_irq(&g->lock);
	}
	return 0;
}

/* No I/O under way. The words go into the map that has the right size: a new one from the constructor, or the old. */
static int dmrc_take_map(struct dmrc_vol *v, struct dmrc_target *t)
{
	u64 need = DIV_ROUND_UP_ULL(t->ti->len, v->region_sectors);

	spin_lock_irq(&v->lock);
	if (v->map.nr_regions != need)
		swap(v->map, t->spare);
	v->sectors = t->ti->len;
	spin_unlock_irq(&v->lock);
	if (v->map.nr_regions == need) {
		dmrc_map_clear(&v->map);
		return 0;
	}
	DMERR("%s/%u: this table was resumed before and failed: load it again", v->group->name, v->number);
	return -EINVAL;
}

/* group->mutex and v->meta held. Read the metadata device unless its map is in memory. */
static int dmrc_load(struct dmrc_vol *v, struct dmrc_target *t)
{
	int r;

	v->meta_bdev = t->meta->bdev;
	if (v->loaded && v->loaded_from == t->meta->bdev->bd_dev && !v->meta_failed && v->sectors == t->ti->len)
		return 0;
	v->loaded = false;
	v->adopted = false;
	r = dmrc_take_map(v, t);
	if (!r)
		r = dmrc_meta_load(v);
	if (r)
		return r;
	v->loaded = true;
	v->loaded_from = t->meta->bdev->bd_dev;
	return 0;
}

static int dmrc_check_role(struct dmrc_vol *v, struct dmrc_target *t)
{
	struct dmrc_group *g = v->group;

	if (t->primary && (v->super.flags & DMRC_SB_UPDATE)) {
		DMERR("%s/%u: an apply (era %llu:%llu) must be completed first: the volume can't be primary while an update is in progress",
		      g->name, v->number, DMRC_ERA_GENERATION(v->super.update_era), DMRC_ERA_N(v->super.update_era));
		return -EUCLEAN;
	}
	if (t->has_generation && t->generation < v->super.generation) {
		DMERR("%s/%u: the metadata device knows generation %llu, the table says %llu: this table is stale",
		      g->name, v->number, v->super.generation, t->generation);
		return -ESTALE;
	}
	return 0;
}

/* group->mutex held. */
static int dmrc_activate(struct dmrc_vol *v, struct dmrc_target *t)
{
	struct dmrc_group *g = v->group;
	bool was_primary = v->active && v->primary;
	int r;

	mutex_lock(&v->meta);
	r = dmrc_load(v, t);
	if (!r)
		r = dmrc_check_role(v, t);
	mutex_unlock(&v->meta);
	if (!r && t->primary)
		r = dmrc_join_era(v, t);
	if (r)
		return r;

	mutex_lock(&v->meta);
	if (!v->adopted || was_primary != t->primary)
		dmrc_regions_adopt(v, t->primary, g->era);
	v->adopted = true;
	if (t->has_generation)
		v->super.generation = t->generation;
	if (t->primary)
		v->super.ceiling = max(v->super.ceiling, dmrc_promised_era(g) + 2 * DMRC_CEILING_LOW);
	r = dmrc_meta_write_super(v);
	mutex_unlock(&v->meta);
	if (r)
		return r;

	/* What the secondary's agent wrote below us must not hide behind pages of an earlier life. */
	if (t->primary && !was_primary && !dmrc_mutant("keep_pages"))
		invalidate_bdev(dm_disk(v->md)->part0);
	dmrc_set_primary(v, t->primary);
	v->active = t;
	v->data = t->data->bdev;
	return 0;
}

static int dmrc_preresume(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;
	int r;

	mutex_lock(&v->group->mutex);
	r = dmrc_activate(v, t);
	/* dm has given the old table up already: after a failure nobody has the volume. */
	if (r && v->active)
		dmrc_leave(v);
	mutex_unlock(&v->group->mutex);
	dmrc_group_changed(v->group);
	return r;
}

static void dmrc_resume(struct dm_target *ti)
{
	struct dmrc_target *t = ti->private;

	t->volume->suspended = false;
	dmrc_run(t->volume);
}

/* -- limits ----------------------------------------------------------------------------------------------- */

static int dmrc_iterate_devices(struct dm_target *ti, iterate_devices_callout_fn fn, void *data)
{
	struct dmrc_target *t = ti->private;

	return fn(ti, t->data, 0, ti->len, data);
}

static void dmrc_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct dmrc_target *t = ti->private;
	unsigned int zeroes = min(bdev_write_zeroes_sectors(t->data->bdev), DMRC_DISCARD_SECTORS);

	limits->max_write_zeroes_sectors = zeroes;
	limits->max_discard_sectors = zeroes;
	limits->max_hw_discard_sectors = zeroes;
	limits->discard_granularity = max(limits->discard_granularity, limits->logical_block_size);
}

/* -- status and messages ------------------------------------------------------------------------------------ */

static const char *dmrc_role_word(struct dmrc_target *t, u32 flags)
{
	if (!t->primary)
		return "secondary";
	return flags & DMRC_STATE_PROTECTED ? "protected" : "primary";
}

static const char *dmrc_stream_word(u32 flags)
{
	if (flags & DMRC_STATE_STREAM)
		return flags & DMRC_STATE_HOLDING ? "held" : flags & DMRC_STATE_THROTTLED ? "throttled" : "stream";
	return flags & DMRC_STATE_LOST ? "lost" : "none";
}

static const char *dmrc_sync_word(struct dmrc_group *g, u32 flags)
{
	if (!(flags & DMRC_STATE_SYNC))
		return "async";
	return flags & DMRC_STATE_ALONE ? "alone" : READ_ONCE(g->stopped) ? "stopped" : "sync";
}

static const char *dmrc_meta_word(struct dmrc_vol *v)
{
	if (READ_ONCE(v->meta_failed))
		return "failed";
	return READ_ONCE(v->super.flags) & DMRC_SB_UPDATE ? "update" : "ok";
}

static void dmrc_status(struct dm_target *ti, status_type_t type, unsigned int status_flags, char *result,
			unsigned int maxlen)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;
	struct dmrc_group *g = v->group;
	u32 flags = dmrc_group_flags(g);
	u64 era, reserved, freed, used, throttled;
	unsigned int sz = 0;

	switch (type) {
	case STATUSTYPE_INFO:
		spin_lock_irq(&g->lock);
		era = g->era;
		reserved = g->reserved;
		freed = g->freed;
		used = g->data_head - g->data_tail;
		throttled = g->nr_throttled;
		spin_unlock_irq(&g->lock);
		DMEMIT("%s %llu:%llu %s %s %s %llu/%llu %u %llu/%llu %llu %llu %llu",
		       dmrc_role_word(t, flags), DMRC_ERA_GENERATION(era), DMRC_ERA_N(era),
		       dmrc_stream_word(flags), dmrc_sync_word(g, flags), dmrc_meta_word(v),
		       READ_ONCE(v->nr_open), READ_ONCE(v->map.nr_regions), v->region_sectors,
		       used >> 10, g->ring ? g->ring->data_bytes >> 10 : 0, reserved, freed, throttled);
		break;
	case STATUSTYPE_TABLE:
		DMEMIT("%s %s %s %u %u role %s ring_mib %u region_kib %u", t->data->name, t->meta->name, g->name,
		       v->number, t->has_generation ? 8 : 6, t->primary ? "primary" : "secondary", t->ring_mib,
		       t->region_kib);
		if (t->has_generation)
			DMEMIT(" generation %llu", t->generation);
		break;
	case STATUSTYPE_IMA:
		DMEMIT_TARGET_NAME_VERSION(ti->type);
		DMEMIT(",data_device=%s,meta_device=%s,group=%s,volume=%u,role=%s,ring_mib=%u,region_kib=%u;",
		       t->data->name, t->meta->name, g->name, v->number, t->primary ? "primary" : "secondary",
		       t->ring_mib, t->region_kib);
		break;
	}
}

static int dmrc_message(struct dm_target *ti, unsigned int argc, char **argv, char *result, unsigned int maxlen)
{
	struct dmrc_target *t = ti->private;
	struct dmrc_vol *v = t->volume;

	if (argc == 1 && !strcasecmp(argv[0], "close")) {
		WRITE_ONCE(v->close_now, true);
		if (!READ_ONCE(v->stopping))
			mod_delayed_work(dmrc_lazy_wq, &v->close_work, 0);
		return 0;
	}
	DMWARN("unknown message; `close` is known: close the regions that no write is using");
	return -EINVAL;
}

static struct target_type dmrc_target_type = {
	.name = "remotecopy",
	.version = { 1, 0, 0 },
	.features = DM_TARGET_SINGLETON | DM_TARGET_NOWAIT,
	.module = THIS_MODULE,
	.ctr = dmrc_ctr,
	.dtr = dmrc_dtr,
	.map = dmrc_map,
	.end_io = dmrc_end_io,
	.presuspend = dmrc_presuspend,
	.presuspend_undo = dmrc_presuspend_undo,
	.postsuspend = dmrc_postsuspend,
	.preresume = dmrc_preresume,
	.resume = dmrc_resume,
	.status = dmrc_status,
	.message = dmrc_message,
	.iterate_devices = dmrc_iterate_devices,
	.io_hints = dmrc_io_hints,
};

int dmrc_target_init(void)
{
	return dm_register_target(&dmrc_target_type);
}

void dmrc_target_exit(void)
{
	dm_unregister_target(&dmrc_target_type);
}
