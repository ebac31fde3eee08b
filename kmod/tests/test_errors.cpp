// SPDX-License-Identifier: GPL-2.0-or-later
// Devices that fail at one step: closing, checkpoint, resume, settle, the note. Each ends in a known state with a way
// on.
#include "harness.hpp"

#include <cerrno>
#include <cstring>
#include <future>

using namespace kt;

namespace {

const std::string kSecondary = std::string(kArgs) + " role secondary";

// A volume whose two devices can be made to fail. The data device has a write cache, so that flushes reach it.
struct FrailRig {
  explicit FrailRig(const std::string& name, const std::string& args = kArgs)
      : group(name), arguments(args), loop(kVolumeBytes),
        data(name + "-data", kVolumeSectors, "linear", good(loop.path())),
        meta((zero(meta_disk(0), kMiB), name + "-meta"), kMiB / kSector, "linear", good(meta_disk(0))),
        volume(name + "-0", kVolumeSectors, "remotecopy", line()) {}

  static std::string good(const std::string& disk) { return disk + " 0"; }
  std::string line() const { return params(data.path(), meta.path(), group, 0, arguments); }
  // Writes and flushes fail.
  void break_data() { data.reload("flakey", loop.path() + " 0 0 60 1 error_writes"); }
  void repair_data() { data.reload("linear", good(loop.path())); }
  void break_meta() { meta.reload("flakey", meta_disk(0) + " 0 0 60 1 error_writes"); }
  void repair_meta() { meta.reload("linear", good(meta_disk(0))); }

  std::string group, arguments;
  Loop loop;
  Device data, meta, volume;
};

int write_region(const std::string& path, uint64_t region, uint8_t fill = 1) {
  Disk disk(path);
  Buffer buffer(4096);
  memset(buffer.data(), fill, 4096);
  return disk.try_write(buffer.data(), 4096, region * 65536);
}

uint64_t era_of(Agent& agent, uint64_t region) {
  for (const auto& e : agent.dirty(0, 0))
    if (e.sector <= region * 128 && region * 128 < e.sector + e.sectors)
      return e.era;
  return 0;
}

bool map_failed(Agent& agent) { return agent.volume(0).flags & DMRC_VOLUME_META_FAILED; }

} // namespace

KT_TEST(a_failed_flush_closes_no_region) {
  FrailRig rig("lazy");
  Agent agent("lazy");
  uint64_t era = agent.start();
  check(!write_region(rig.volume.path(), 4), "a write");
  rig.break_data();
  rig.volume.message("close");
  sleep_ms(200);
  check(era_of(agent, 4) == DMRC_ERA_OPEN, "closed without a flush");
  rig.volume.suspend(); // closes what it can
  rig.volume.resume();
  check(era_of(agent, 4) == DMRC_ERA_OPEN, "a suspend closed it without a flush");
  rig.repair_data();
  rig.volume.message("close");
  await(5, "the region closes", [&] { return era_of(agent, 4) == era; });
  check(agent.state().state & DMRC_STATE_STREAM, "the stream is gone");
}

KT_TEST(a_failed_map_write_at_closing_fails_the_map) {
  FrailRig rig("lazy2");
  Agent agent("lazy2");
  agent.start();
  check(!write_region(rig.volume.path(), 4), "a write");
  rig.break_meta();
  rig.volume.message("close");
  await(5, "the map fails", [&] { return map_failed(agent); });
  check(era_of(agent, 4) == DMRC_ERA_OPEN && era_of(agent, 100) == DMRC_ERA_OPEN, "a failed map that knows eras");
  check(agent.state().state & DMRC_STATE_LOST, "the stream goes on without map");
  check(!write_region(rig.volume.path(), 9), "a write without map");
  rig.repair_meta();
  rig.volume.reload("remotecopy", rig.line());
  check(!map_failed(agent) && era_of(agent, 100) == DMRC_ERA_OPEN, "after the repair not everything is dirty");
  agent.free_to(agent.state().reserved);
  agent.start(2);
}

// A marker whose next era isn't stored must not leave.
KT_TEST(a_checkpoint_needs_its_metadata) {
  FrailRig rig("mark2");
  Agent agent("mark2");
  uint64_t era = agent.start();
  check(agent.checkpoint() == DMRC_ERA_N(era), "a checkpoint");
  rig.break_meta();
  dmrc_checkpoint c{};
  c.n = DMRC_ERA_N(era) + 5000;
  expect_errno(agent.try_ioctl(DMRC_IOC_CHECKPOINT, &c), ENOLINK, "a checkpoint that can't be stored");
  dmrc_state s = agent.state();
  check(s.era == era + 1 && s.state & DMRC_STATE_LOST, "the state after it");
  uint8_t last = 0;
  while (const dmrc_record* r = agent.next()) {
    check(r->type != DMRC_MARKER || r->era == era, "a marker that isn't stored");
    last = r->type;
  }
  check(last == DMRC_LOSS, "no loss record");
}

KT_TEST(a_resume_needs_its_metadata) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device meta("pre-meta", kMiB / kSector, "flakey", meta_disk(0) + " 0 0 60 1 error_writes");
  auto line = params(data_disk(0), meta.path(), "pre", 0);
  auto attempt = [&] { return errno_of_device("pre-x", kVolumeSectors, "remotecopy", line); };
  expect_errno(attempt(), EIO, "format of a device that can't be written");
  meta.reload("linear", meta_disk(0) + " 0");
  check(attempt() == 0, "the same device when it can");
  meta.reload("flakey", meta_disk(0) + " 0 0 60 1 error_writes");
  expect_errno(attempt(), EIO, "a superblock that can't be written");
  meta.reload("error", "");
  expect_errno(attempt(), EIO, "a device that can't be read");
  for (uint64_t bad : {0, 8, 32}) { // sectors: both superblocks, the first block of the map
    meta.reload_segments({{0, bad, "linear", meta_disk(0) + " 0"},
                          {bad, 8, "error", ""},
                          {bad + 8, kMiB / kSector - bad - 8, "linear",
                           meta_disk(0) + " " + std::to_string(bad + 8)}});
    expect_errno(attempt(), EIO, "a bad sector at " + std::to_string(bad));
  }
  meta.reload("linear", meta_disk(0) + " 0");
  check(attempt() == 0, "the repaired device");
}

KT_TEST(a_failed_flush_settles_nothing) {
  FrailRig rig("settle", kSecondary);
  Agent agent("settle");
  uint64_t old = DMRC_ERA(1, 3), era = DMRC_ERA(1, 4);
  auto extent = [](uint64_t e) { return std::vector<dmrc_extent>{{128, 128, e}}; };
  check(!agent.regions(DMRC_IOC_MARK, 0, extent(0)) && !agent.regions(DMRC_IOC_SETTLE, 0, extent(old)), "a first one");
  check(!agent.regions(DMRC_IOC_MARK, 0, extent(0)), "mark");
  rig.break_data();
  expect_errno(agent.regions(DMRC_IOC_SETTLE, 0, extent(era)), EIO, "settle without a flush");
  check(era_of(agent, 1) == DMRC_ERA_OPEN, "it settled all the same");
  rig.repair_data();
  check(!agent.regions(DMRC_IOC_SETTLE, 0, extent(era)) && era_of(agent, 1) == era, "settle when the disk is back");
  rig.break_meta();
  expect_errno(agent.regions(DMRC_IOC_MARK, 0, extent(0)), EIO, "mark without a metadata write");
  check(map_failed(agent), "the map");
  expect_errno(agent.regions(DMRC_IOC_SETTLE, 0, extent(era)), EIO, "settle without a map");
  expect_errno(agent.update(0, true, era), EIO, "update without a metadata write");
}

// No metadata device can store that writes complete alone: then they don't.
KT_TEST(writes_do_not_go_alone_without_a_note) {
  FrailRig rig("note");
  Agent agent("note");
  agent.start();
  check(!write_region(rig.volume.path(), 0), "a write");
  agent.sync(DMRC_SYNC_WAIT, DMRC_FENCE_GO, boottime_ns() + 500000000);
  rig.break_meta();
  auto write = std::async(std::launch::async, [&] { return write_region(rig.volume.path(), 0); });
  expect_errno(write.get(), EIO, "a write after the deadline");
  check(word(rig.volume.status(), 3) == "stopped", rig.volume.status());
  check(!(agent.state().state & DMRC_STATE_ALONE), "alone without a note");
  agent.sync(DMRC_SYNC_OFF, DMRC_FENCE_GO, 0);
  check(!write_region(rig.volume.path(), 0), "a write after the end of waiting");
}

namespace {

// The metadata disk, all good but the block of 4 KiB at `bad`.
std::vector<Segment> meta_but(uint64_t bad, const std::string& target, const std::string& more) {
  auto place = [](uint64_t at) { return meta_disk(0) + " " + std::to_string(at); };
  return {{0, bad, "linear", place(0)},
          {bad, 8, target, place(bad) + more},
          {bad + 8, kMiB / kSector - bad - 8, "linear", place(bad + 8)}};
}
const std::string kNoWrites = " 0 60 1 error_writes"; // of flakey

} // namespace

// What can be read can't be written: both superblocks and the map, when a blank device is formatted, when a new
// generation is stored, and when the volume grows. Each attempt can be repeated.
KT_TEST(a_failed_metadata_write_at_any_place_can_be_repeated) {
  zero(data_disk(0), 2 * kVolumeBytes);
  for (uint64_t bad : {0, 8, 32}) { // sectors: both superblocks, the map
    zero(meta_disk(0), kMiB);
    std::string where = " with sector " + std::to_string(bad) + " read-only";
    Device meta("places", kMiB / kSector, "linear", meta_disk(0) + " 0");
    auto attempt = [&](unsigned generation, uint64_t sectors) {
      return errno_of_device("places-x", sectors, "remotecopy",
                             params(data_disk(0), meta.path(), "places", 0,
                                    "region_kib 64 generation " + std::to_string(generation)));
    };
    auto refuse = [&] { meta.reload_segments(meta_but(bad, "flakey", kNoWrites)); };
    auto accept = [&] { meta.reload("linear", meta_disk(0) + " 0"); };
    refuse();
    expect_errno(attempt(0, kVolumeSectors), EIO, "formatting" + where);
    accept();
    expect_errno(attempt(0, kVolumeSectors), 0, "formatting again");
    refuse();
    if (bad < 32) // a generation is stored in the superblocks alone
      expect_errno(attempt(1, kVolumeSectors), EIO, "a new generation" + where);
    accept();
    expect_errno(attempt(1, kVolumeSectors), 0, "a new generation again");
    refuse();
    if (bad < 32)
      expect_errno(attempt(1, 2 * kVolumeSectors), EIO, "growing" + where);
    accept();
    expect_errno(attempt(1, 2 * kVolumeSectors), 0, "growing again");
  }
}

// One block of the map can't be read: no resume, for an era that isn't known may not be guessed; all are there when it
// can be read again.
KT_TEST_THAT(an_unreadable_map_block_is_not_guessed, kt::Needs::BadBlocks) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device meta("dusty", kMiB / kSector, "dust", meta_disk(0) + " 0 4096");
  auto line = params(data_disk(0), meta.path(), "dusty", 0);
  uint64_t era;
  {
    Device volume("dusty-0", kVolumeSectors, "remotecopy", line);
    Agent agent("dusty");
    era = agent.start();
    check(!write_region(volume.path(), 5), "a write");
    volume.message("close");
    await(5, "the region closes", [&] { return era_of(agent, 5) == era; });
  }
  meta.message("addbadblock 4"); // the first block of the map
  Device volume("dusty-0", kVolumeSectors, "remotecopy", line); // the control: dust is off, the block is read
  volume.load("linear", data_disk(0) + " 0");
  volume.suspend();
  volume.resume();
  meta.message("enable");
  volume.load("remotecopy", line);
  volume.suspend();
  expect_errno(volume.try_resume(), EIO, "a map that can't be read");
  meta.message("disable");
  volume.load("remotecopy", line);
  volume.resume();
  Agent agent("dusty");
  check(era_of(agent, 5) == era && !era_of(agent, 6), "eras after the block came back");
}

// A bad sector of the backing device: its copy tells so and others go on; a write mends it, and the next copy holds it.
KT_TEST_THAT(bad_sectors_are_told_and_mended_by_a_write, kt::Needs::BadBlocks) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device data("bads-data", kVolumeSectors, "dust", data_disk(0) + " 0 4096");
  Device volume("bads", kVolumeSectors, "remotecopy", params(data.path(), meta_disk(0), "bads", 0));
  Agent agent("bads");
  agent.start();
  Replica replica(kVolumeBytes);
  dmrc_record last{};
  auto copy = [&](uint64_t region) {
    last = {};
    check(!agent.try_copy(0, region * 128, 128, 7), "a copy");
    await(5, "its record", [&] {
      while (const dmrc_record* r = agent.next()) {
        last = *r;
        if (r->type < DMRC_FAILED)
          apply(agent, *r, replica);
      }
      agent.free_read();
      return last.tag == 7;
    });
    return last.type;
  };
  check(!write_region(volume.path(), 2, 0x21), "a write");
  data.message("addbadblock 32"); // region 2
  check(copy(2) == DMRC_COPY, "the control: dust is off");
  data.message("enable");
  Buffer block(4096);
  expect_errno(Disk(volume.path()).try_read(block.data(), 4096, 2 * 65536), EIO, "a read of the bad block");
  check(copy(2) == DMRC_FAILED && last.sector == 256 && last.length == 65536, "the copy of a bad block");
  check(copy(3) == DMRC_COPY, "the copy of a good region");
  check(!write_region(volume.path(), 2, 0x22), "a write to the bad block");
  check(copy(2) == DMRC_COPY && replica[2 * 65536] == 0x22, "the copy of the mended block");
  check(Disk(volume.path()).content(kVolumeBytes) == replica, "disk and replica differ");
}

// The last closing of a suspend finds no metadata device: the suspend ends, the resume refuses until there is one, and
// the region that was open is so still.
KT_TEST(a_suspend_without_metadata_ends_and_forgets_nothing) {
  FrailRig rig("susp");
  Agent agent("susp");
  agent.start();
  check(!write_region(rig.volume.path(), 4), "a write");
  rig.break_meta();
  rig.volume.suspend();
  expect_errno(rig.volume.try_resume(), EIO, "a resume without metadata");
  check(agent.state().state & DMRC_STATE_LOST, "the stream goes on without map");
  rig.repair_meta();
  rig.volume.load("remotecopy", rig.line());
  rig.volume.resume();
  check(era_of(agent, 4) == DMRC_ERA_OPEN, "a region that couldn't be closed is closed");
  check(!write_region(rig.volume.path(), 5), "a write after the repair");
}
