// SPDX-License-Identifier: GPL-2.0
/*
 * The group's ring: sequence, commit, freeing, wake-ups, streams.
 *
 * Control area: slots of 64 bytes; the record with number seq lies in slot seq & (slots - 1) and is committed
 * when the slot carries seq, stored last with release order. Data area: positions that only grow, modulo its size.
 * Invariant: space is given out again only when the agent has freed the record, the record is committed and
 * its backing write has ended. Between reserve and commit nothing here sleeps, allocates or fails.
 * Heads, tail and sizes are private: of the shared pages only `freed` (clamped) and the wake-up wishes are read.
 */
#include "dm-rc.h"

static struct dmrc_slot *dmrc_slot(struct dmrc_ring *ring, u64 seq)
{
	return &ring->slots[seq & (ring->nr_slots - 1)];
}

static u32 dmrc_ring_free_slots(struct dmrc_group *g)
{
	return g->ring->nr_slots - (u32)(g->reserved - g->tail);
}

void dmrc_ring_reclaim(struct dmrc_group *g)
{
	struct dmrc_ring *ring = g->ring;
	u64 freed = READ_ONCE(g->consumer->freed);

	lockdep_assert_held(&g->lock);
	/* A value out of range is the agent's mistake: it frees nothing that isn't there, and takes nothing back. */
	if (freed > g->freed)
		g->freed = min(freed, g->reserved);
	while (g->tail < g->freed) {
		struct dmrc_slot *slot = dmrc_slot(ring, g->tail + 1);

		/* pairs with the store in dmrc_ring_done (D) */
		if (!smp_load_acquire(&slot->done))
			break;
		g->tail++;
		g->data_tail = slot->data_end;
	}
}

static bool dmrc_ring_has_room(struct dmrc_group *g, u64 pos, u32 bytes, u32 keep)
{
	if (dmrc_ring_free_slots(g) <= keep)
		return false;
	return !bytes || pos + bytes - g->data_tail <= g->ring->data_bytes;
}

static u64 dmrc_ring_pos(struct dmrc_group *g, u32 bytes, u32 align)
{
	return bytes ? ALIGN(g->data_head, align) : g->data_head;
}

bool dmrc_ring_room_for(struct dmrc_group *g, u32 bytes, u32 align, u32 keep)
{
	lockdep_assert_held(&g->lock);
	dmrc_ring_reclaim(g);
	return dmrc_ring_has_room(g, dmrc_ring_pos(g, bytes, align), bytes, keep);
}

void dmrc_ring_stamp(struct dmrc_group *g)
{
	lockdep_assert_held(&g->lock);
	/* The clock may step back, the order may not. */
	g->time_ns = max(g->time_ns, ktime_get_real_ns());
	if (unlikely(g->time_ns > g->armed.due_ns) && !dmrc_mutant("marker_by_timer_only"))
		dmrc_arm_due(g);
}

bool dmrc_ring_reserve(struct dmrc_group *g, u32 bytes, u32 align, u32 keep, struct dmrc_reservation *r)
{
	struct dmrc_ring *ring = g->ring;
	struct dmrc_slot *slot;
	u64 pos;

	lockdep_assert_held(&g->lock);
	dmrc_ring_stamp(g);
	pos = dmrc_ring_pos(g, bytes, align);
	/* Walking only beyond half full makes it cheap: many records are taken off at a time. */
	if (pos + bytes - g->data_tail > ring->data_bytes / 2 ||
	    dmrc_ring_free_slots(g) < ring->nr_slots / 2)
		dmrc_ring_reclaim(g);
	if (!dmrc_ring_has_room(g, pos, bytes, keep))
		return false;

	r->seq = ++g->reserved;
	r->epoch = g->epoch;
	r->data_pos = bytes ? pos : 0;
	r->era = g->era;
	r->stream = (u32)g->stream;
	r->time_ns = g->time_ns;
	if (bytes)
		g->data_head = pos + bytes;
	slot = dmrc_slot(ring, r->seq);
	slot->data_end = g->data_head;
	WRITE_ONCE(slot->done, 0);
	WRITE_ONCE(g->info->reserved, r->seq);
	return true;
}

static void dmrc_ring_store(struct dmrc_group *g, const struct dmrc_reservation *r, const struct dmrc_record *rec)
{
	struct dmrc_record *slot = &g->ring->records[r->seq & (g->ring->nr_slots - 1)];

	slot->type = rec->type;
	slot->flags = rec->flags;
	slot->volume = rec->volume;
	slot->stream = r->stream;
	slot->length = rec->length;
	slot->tag = rec->tag;
	slot->time_ns = r->time_ns;
	slot->sector = rec->sector;
	slot->era = rec->era;
	slot->data_pos = rec->data_pos;
	slot->data_crc = 0;
	slot->header_crc = 0;
	/* A: the reader that sees seq sees the record and its data; pairs with its load-acquire (B) */
	smp_store_release(&slot->seq, r->seq);
}

void dmrc_ring_wake(struct dmrc_group *g)
{
	if (wq_has_sleeper(&g->wait))
		wake_up_interruptible_poll(&g->wait, EPOLLIN | EPOLLRDNORM);
}

enum hrtimer_restart dmrc_wake_timer(struct hrtimer *timer)
{
	struct dmrc_group *g = container_of(timer, struct dmrc_group, wake_timer);

	/* First disarm, then wake: a record committed after this arms the timer again. */
	clear_bit(0, &g->wake_armed);
	/* pairs with test_and_set_bit in dmrc_ring_notify */
	smp_mb__after_atomic();
	dmrc_ring_wake(g);
	return HRTIMER_NORESTART;
}

static void dmrc_ring_notify(struct dmrc_group *g, u64 seq)
{
	struct dmrc_consumer_page *c = g->consumer;

	/* C: slot->seq is stored before need_wakeup is read; the agent does it the other way round */
	smp_mb();
	if (!READ_ONCE(c->need_wakeup))
		return;
	if (seq - READ_ONCE(c->read) >= READ_ONCE(c->wake_records) ||
	    (READ_ONCE(g->sync_mode) == DMRC_SYNC_WAIT && seq > READ_ONCE(g->limit)))
		dmrc_ring_wake(g);
	else if (!test_bit(0, &g->wake_armed) && !test_and_set_bit(0, &g->wake_armed))
		hrtimer_start(&g->wake_timer, ns_to_ktime(NSEC_PER_MSEC), HRTIMER_MODE_REL);
}

void dmrc_ring_commit(struct dmrc_group *g, const struct dmrc_reservation *r, const struct dmrc_record *rec)
{
	dmrc_ring_store(g, r, rec);
	dmrc_ring_notify(g, r->seq);
}

void dmrc_ring_done(struct dmrc_group *g, u64 seq)
{
	/* D: the disk has read the data before its space may be given out again */
	smp_store_release(&dmrc_slot(g->ring, seq)->done, 1);
}

void dmrc_ring_put(struct dmrc_group *g, const struct dmrc_reservation *r, struct dmrc_record *rec)
{
	dmrc_ring_store(g, r, rec);
	dmrc_ring_done(g, r->seq);
}

/* group->lock held. From here writes only mark the map. */
static void dmrc_stream_end(struct dmrc_group *g, bool lost)
{
	g->capturing = false;
	g->lost = lost;
	g->stream = 0;
	WRITE_ONCE(g->info->stream, 0);
	dmrc_throttle_kick(g);
	dmrc_group_changed(g);
}

void dmrc_ring_lose(struct dmrc_group *g, const char *why)
{
	struct dmrc_record rec = { .type = DMRC_LOSS };
	struct dmrc_reservation r;

	lockdep_assert_held(&g->lock);
	if (!g->capturing)
		return;
	dmrc_hold_void(g);
	if (!WARN_ON_ONCE(!dmrc_ring_reserve(g, 0, 0, 0, &r))) {
		rec.era = r.era;
		dmrc_ring_put(g, &r, &rec);
		g->lost_at = r.seq;
	}
	g->ended_stream = g->stream;
	g->lost_why = why;
	dmrc_stream_end(g, true);
}

bool dmrc_ring_readable(struct dmrc_group *g)
{
	struct dmrc_ring *ring = READ_ONCE(g->ring);
	u64 next = max(READ_ONCE(g->consumer->read), READ_ONCE(g->freed)) + 1;

	if (!ring || next > READ_ONCE(g->info->reserved))
		return false;
	/* B, for the agent */
	return smp_load_acquire(&ring->records[next & (ring->nr_slots - 1)].seq) == next;
}

/* -- streams ------------------------------------------------------------------------------------------ */

int dmrc_stream_may_start(struct dmrc_group *g, u64 *era)
{
	struct dmrc_vol *v;
	int r = 0;

	lockdep_assert_held(&g->mutex);
	if (!g->primaries)
		return -EROFS;
	list_for_each_entry(v, &g->volumes, link)
		if (v->active && v->meta_failed)
			return -EIO;
	spin_lock_irq(&g->lock);
	dmrc_ring_reclaim(g);
	if (g->capturing || g->tail != g->reserved || g->copies)
		r = -EBUSY;
	*era = g->era;
	spin_unlock_irq(&g->lock);
	return r;
}

int dmrc_stream_start(struct dmrc_group *g, u64 stream, u64 era)
{
	u64 now;
	int r = dmrc_stream_may_start(g, &now);

	if (!r && now != era)
		r = -ESTALE;
	if (r)
		return r;

	/*
	 * Nobody stores to a slot while no stream runs (START and the end of copies are under the mutex), and
	 * numbers begin at 1 again: what is left in the slots must not look committed.
	 */
	memset(g->ring->records, 0, (size_t)g->ring->nr_slots * sizeof(struct dmrc_record));
	WRITE_ONCE(g->consumer->freed, 0);
	WRITE_ONCE(g->consumer->read, 0);

	spin_lock_irq(&g->lock);
	g->epoch++;
	g->reserved = 0;
	g->tail = 0;
	g->data_head = 0;
	g->data_tail = 0;
	g->freed = 0;
	g->committed = 0;
	g->written = 0;
	g->lost = false;
	g->lost_at = 0;
	g->ended_stream = 0;
	g->stream = stream;
	WRITE_ONCE(g->info->reserved, 0);
	WRITE_ONCE(g->info->stream, stream);
	dmrc_hold_new_stream(g);
	g->capturing = true;
	dmrc_group_changed(g);
	spin_unlock_irq(&g->lock);
	return 0;
}

void dmrc_stream_stop(struct dmrc_group *g)
{
	spin_lock_irq(&g->lock);
	if (g->capturing) {
		dmrc_hold_void(g);
		dmrc_stream_end(g, false);
	}
	spin_unlock_irq(&g->lock);
}

/* group->lock and mutex held. A read for this tag has no record yet. */
static bool dmrc_copies_under_way(struct dmrc_group *g, u32 tag)
{
	unsigned int i;

	for (i = 0; i < DMRC_COPY_SLOTS; i++)
		if (g->copy[i].state == DMRC_COPY_BUSY && (g->copy[i].tag & tag))
			return true;
	return false;
}

int dmrc_stream_put(struct dmrc_group *g, u32 type, u32 tag, u64 *seq)
{
	struct dmrc_record rec = { .type = type, .tag = tag };
	struct dmrc_reservation r;
	u32 keep = type == DMRC_SEAL ? 0 : DMRC_RESERVED_SLOTS + g->copies;
	int ret = 0;

	spin_lock_irq(&g->lock);
	if (type == DMRC_SEAL)
		dmrc_hold_void(g);
	if (!g->capturing) {
		ret = -ENOLINK;
	} else if (type == DMRC_END_OF_COPYING && dmrc_copies_under_way(g, tag)) {
		ret = -EAGAIN;
	} else if (!dmrc_ring_reserve(g, 0, 0, keep, &r)) {
		ret = -EAGAIN;
	} else {
		rec.era = r.era;
		dmrc_ring_put(g, &r, &rec);
		*seq = r.seq;
		if (type == DMRC_SEAL)
			dmrc_stream_end(g, false);
	}
	spin_unlock_irq(&g->lock);
	dmrc_ring_wake(g);
	return ret;
}

void dmrc_ring_state(struct dmrc_group *g, struct dmrc_state *s)
{
	struct dmrc_ring *ring = g->ring;

	spin_lock_irq(&g->lock);
	if (ring) {
		dmrc_ring_reclaim(g);
		/* What was freed and reused is certainly committed and written. */
		g->committed = max(g->committed, g->tail);
		g->written = max(g->written, g->tail);
		while (g->committed < g->reserved &&
		       READ_ONCE(ring->records[(g->committed + 1) & (ring->nr_slots - 1)].seq) == g->committed + 1)
			g->committed++;
		while (g->written < g->reserved && READ_ONCE(dmrc_slot(ring, g->written + 1)->done))
			g->written++;
	}
	s->stream = g->stream;
	s->reserved = g->reserved;
	s->committed = g->committed;
	s->written = g->written;
	s->freed = g->freed;
	s->era = g->era;
	s->data_used = g->data_head - g->data_tail;
	s->lost_at = g->lost_at;
	s->throttled = g->nr_throttled;
	s->hold_us = g->hold_us;
	if (g->cut_armed && g->cut != DMRC_CUT_NONE)
		s->armed = DMRC_ERA_N(g->armed.era);
	spin_unlock_irq(&g->lock);
}
