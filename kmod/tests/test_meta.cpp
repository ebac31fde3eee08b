// SPDX-License-Identifier: GPL-2.0-or-later
// The metadata device and the secondary: mark, settle, update, refusals, damage, growing, failure.
#include "debug.hpp"
#include "harness.hpp"
#include "meta_image.hpp"

#include <cerrno>
#include <cstring>

using namespace kt;

namespace {

const std::string kSecondary = std::string(kArgs) + " role secondary";

void write_one(const std::string& path, uint64_t region, uint8_t fill = 1) {
  Disk disk(path);
  Buffer buffer(4096);
  memset(buffer.data(), fill, 4096);
  disk.write(buffer.data(), 4096, region * 65536);
}

// era per region as `dirty` says it
std::map<uint64_t, uint64_t> eras(Agent& agent, uint64_t since = 0, uint16_t volume = 0) {
  std::map<uint64_t, uint64_t> all;
  for (const auto& e : agent.dirty(volume, since, 3))
    for (uint64_t s = e.sector; s < e.sector + e.sectors; s += 128)
      all[s / 128] = e.era;
  return all;
}

dmrc_extent extent(uint64_t region, uint64_t era, uint64_t regions = 1) {
  return {region * 128, regions * 128, era};
}

MetaImage image(unsigned disk = 0) {
  auto meta = parse_meta(Disk(meta_disk(disk)).content(kMiB));
  check(meta.has_value(), "no superblock on the metadata device");
  return *meta;
}

} // namespace

KT_TEST(eras_are_exact_and_survive_a_reload) {
  Rig rig("eras");
  {
    Agent agent("eras");
    uint64_t era = agent.start();
    write_one(rig.device().path(), 3);
    check(eras(agent)[3] == DMRC_ERA_OPEN, "a region just written is not open");
    agent.checkpoint();
    write_one(rig.device().path(), 5);
    agent.checkpoint();
    agent.checkpoint();
    write_one(rig.device().path(), 9);
    rig.device().message("close");
    await(5, "idle regions close", [&] { return eras(agent)[9] != DMRC_ERA_OPEN; });
    std::map<uint64_t, uint64_t> want{{3, era}, {5, era + 1}, {9, era + 3}};
    check(eras(agent) == want, "eras of closed regions");
    check(eras(agent, era) == (std::map<uint64_t, uint64_t>{{5, era + 1}, {9, era + 3}}), "dirty since an era");
    write_one(rig.device().path(), 3);
    rig.device().suspend(); // closes
    rig.device().resume();
    want[3] = era + 3;
    check(eras(agent) == want, "eras after a suspend");
    check(image().era(3) == era + 3 && !image().open(3), "era on the metadata device");
    check(image().ceiling > era + 3, "the ceiling");
    agent.stop();
  }
  rig.device().remove();
  rig.devices[0] = std::make_unique<Device>("eras-0", rig.sectors, "remotecopy", rig.params_of());
  Agent agent("eras");
  auto after = eras(agent);
  check(after.size() == 3 && after[3] == after[9], "eras after a new start");
  check(agent.start() > after[9], "an era begins again");
}

KT_TEST(secondary_refuses_all_host_io) {
  Rig rig("second", 1, kSecondary);
  Disk disk(rig.device().path());
  Buffer buffer(4096);
  expect_errno(disk.try_read(buffer.data(), 4096, 0), EIO, "a read");
  expect_errno(disk.try_write(buffer.data(), 4096, 0), EIO, "a write");
  check(rig.device().status().rfind("secondary", 0) == 0, rig.device().status());
  Agent agent("second");
  check(!(agent.state().state & DMRC_STATE_PRIMARY) && agent.attached().data_bytes == 0, "state of a secondary");
  expect_errno(agent.try_start(1), EROFS, "a stream of a secondary");
  expect_errno(agent.try_copy(0, 0, 128), EROFS, "a copy from a secondary");
}

KT_TEST(mark_settle_and_update_persist) {
  Rig rig("apply", 1, kSecondary);
  uint64_t e1 = DMRC_ERA(1, 10), e2 = DMRC_ERA(1, 20), low = DMRC_ERA(1, 3);
  {
    Agent agent("apply");
    check(!agent.update(0, true, e1), "update in progress");
    check(!agent.regions(DMRC_IOC_MARK, 0, {extent(1, 0), {5 * 128 + 8, 8, 0}, extent(7, 0, 2)}), "mark");
    for (uint64_t r : {1, 5, 7, 8})
      check(image().open(r), "a marked region is not open on stable storage");
    check(!agent.regions(DMRC_IOC_SETTLE, 0, {extent(1, e1), {5 * 128 + 8, 8, e1}}), "settle");
    check(!image().open(1) && image().era(1) == e1 && image().era(5) == e1 && image().open(7), "settled regions");
    // a partial extent never lowers an era, a whole one (a copy) does
    check(!agent.regions(DMRC_IOC_MARK, 0, {extent(1, 0), extent(5, 0)}), "mark again");
    check(!agent.regions(DMRC_IOC_SETTLE, 0, {extent(1, low), {5 * 128, 8, low}}), "settle with an older era");
    check(image().era(1) == low && image().era(5) == e1, "eras of whole and partial extents");
    expect_errno(agent.regions(DMRC_IOC_MARK, 0, {{rig.sectors, 8, 0}}), EINVAL, "mark beyond the end");
    expect_errno(agent.regions(DMRC_IOC_SETTLE, 0, {extent(1, DMRC_ERA_OPEN)}), EINVAL, "settle with no era");
  }
  rig.device().remove(); // as after a crash in the middle of an apply: 7 and 8 are open
  expect_errno(errno_of_device("apply-0", rig.sectors, "remotecopy", params(data_disk(0), meta_disk(0), "apply", 0)),
               EUCLEAN, "promotion during an update");
  rig.devices[0] = std::make_unique<Device>("apply-0", rig.sectors, "remotecopy", rig.params_of());
  Agent agent("apply");
  check(agent.volume(0).flags & DMRC_VOLUME_UPDATE, "the flag is gone");
  check(word(rig.device().status(), 4) == "update", rig.device().status());
  check(eras(agent)[7] == DMRC_ERA_OPEN && eras(agent)[1] == low, "the map after a reload");
  check(!agent.regions(DMRC_IOC_SETTLE, 0, {{7 * 128, 8, e2}, extent(8, e2)}), "settle after a crash");
  check(eras(agent)[7] == DMRC_ERA_OPEN, "part of an extent closed a region that a crash had left open");
  check(eras(agent)[8] == e2, "a whole extent did not close it");
  check(!agent.regions(DMRC_IOC_SETTLE, 0, {{7 * 128, 8, e2}}, DMRC_REGIONS_REDONE), "settle after a redo");
  check(eras(agent)[7] == e2, "a redone apply did not close it");
  check(!agent.update(0, false, 0), "end of the update");
  // Now it may become primary, in a higher generation: above all that it has.
  rig.device().reload("remotecopy", rig.params_of(0, std::string(kArgs) + " generation 2"));
  check(agent.state().era >= DMRC_ERA(2, 1), "the era of the new generation");
  expect_errno(agent.update(0, true, e2), EPERM, "an update of a primary");
  expect_errno(agent.regions(DMRC_IOC_MARK, 0, {extent(1, 0)}), EPERM, "mark at a primary");
  write_one(rig.device().path(), 2);
  rig.device().reload("remotecopy", rig.params_of());
  expect_errno(Disk(rig.device().path()).try_write(Buffer(4096).data(), 4096, 0), EIO, "a write after the demotion");
  // A table of an older generation is stale.
  rig.device().remove();
  expect_errno(errno_of_device("apply-0", rig.sectors, "remotecopy",
                               params(data_disk(0), meta_disk(0), "apply", 0, std::string(kArgs) + " generation 1")),
               ESTALE, "an older generation");
}

// Someone keeps the device open and has read it before: after demotion, apply and promotion he reads what was applied.
static void promote_with_a_reader() {
  Rig rig("stale");
  write_one(rig.device().path(), 0, 0xAA);
  Disk reader(rig.device().path(), false, false);
  uint8_t seen[4096];
  reader.read(seen, 4096, 0);
  check(seen[0] == 0xAA, "the first read");
  rig.device().reload("remotecopy", rig.params_of(0, kSecondary));
  {
    Agent agent("stale");
    check(!agent.regions(DMRC_IOC_MARK, 0, {extent(0, 0)}), "mark");
    write_one(data_disk(0), 0, 0xBB);
    check(!agent.regions(DMRC_IOC_SETTLE, 0, {extent(0, DMRC_ERA(0, 9))}), "settle");
  }
  rig.device().reload("remotecopy", rig.params_of(0, std::string(kArgs) + " generation 1"));
  reader.read(seen, 4096, 0);
  check(seen[0] == 0xBB, "the old page is served after the promotion");
}

KT_TEST(promotion_drops_stale_pages) {
  promote_with_a_reader();
  must_be_caught("keep_pages", 1, promote_with_a_reader);
}

// A table that was refused at resume leaves the volume to the next one, whatever that is.
KT_TEST(refused_resume_leaves_a_usable_volume) {
  Rig rig("again2");
  {
    Agent agent("again2");
    agent.start();
    write_one(rig.device().path(), 7);
  }
  rig.device().reload("remotecopy", rig.params_of(0, std::string(kArgs) + " generation 4"));
  rig.device().load("remotecopy", rig.params_of(0, std::string(kArgs) + " generation 0"));
  rig.device().suspend();
  expect_errno(rig.device().try_resume(), ESTALE, "a stale table");
  expect_errno(rig.device().try_resume(), ESTALE, "the stale table again");
  Agent agent("again2");
  check(agent.state().volumes == 0 && !(agent.state().state & DMRC_STATE_PRIMARY), "a refused volume is still active");
  rig.device().load("remotecopy", rig.params_of());
  rig.device().resume();
  check(agent.volume(0).generation == 4 && eras(agent).count(7), "the volume after the refusal");
  write_one(rig.device().path(), 8);
  check(eras(agent)[8] == DMRC_ERA_OPEN, "a write after the refusal");
}

KT_TEST(wrong_metadata_is_refused) {
  Rig rig("fore");
  rig.device().remove();
  auto with = [&](const std::string& p, uint64_t sectors = kVolumeSectors) {
    return errno_of_device("fore-x", sectors, "remotecopy", p);
  };
  std::string data = data_disk(0), meta = meta_disk(0);
  expect_errno(with(params(data, meta, "other", 0)), EINVAL, "another group");
  expect_errno(with(params(data, meta, "fore", 1)), EINVAL, "another volume");
  expect_errno(with(params(data, meta, "fore", 0, "ring_mib 4 region_kib 128")), EINVAL, "another region size");
  expect_errno(with(params(data, meta, "fore", 0), kVolumeSectors / 2), EINVAL, "a smaller volume");
  expect_errno(with(params(data, data, "fore", 0)), EINVAL, "one device for both");
  expect_errno(with(params(data, meta, "fore", 0, "ring_mib 3")), EINVAL, "a ring of 3 MiB");
  expect_errno(with(params(data, meta, "fore", 0, "ring_mib 4 color red")), EINVAL, "an unknown argument");
  expect_errno(with(params(data, meta, std::string(64, 'g'), 0)), EINVAL, "a long name");
  Device tiny("tiny", 40, "linear", meta + " 0"); // 16 KiB and 4 KiB: 496 regions
  expect_errno(with(params(data, tiny.path(), "fore", 0), 497 * 128), EINVAL, "a metadata device too small");
  check(with(params(data, meta, "fore", 0)) == 0, "the right one");

  Disk disk(meta);
  Buffer block(4096), junk(4096);
  memset(junk.data(), 0xA5, 4096);
  disk.read(block.data(), 4096, 0);
  disk.write(junk.data(), 4096, 0);
  check(with(params(data, meta, "fore", 0)) == 0, "one damaged superblock");
  disk.write(junk.data(), 4096, 0);
  disk.write(junk.data(), 4096, 4096);
  expect_errno(with(params(data, meta, "fore", 0)), EINVAL, "two damaged superblocks");
  block.data()[8] = 2; // version; CRC made right again
  memset(block.data() + 12, 0, 4);
  uint32_t crc = crc32c(block.data(), 512);
  memcpy(block.data() + 12, &crc, 4);
  disk.write(block.data(), 4096, 0);
  expect_errno(with(params(data, meta, "fore", 0)), EINVAL, "another version");
}

// A place that can't be read (and can be written, as disks do) leaves the other; a device that can't be read is not
// blank.
KT_TEST_THAT(one_unreadable_superblock_is_no_loss, Needs::BadBlocks) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device meta("dusty", kMiB / kSector, "dust", meta_disk(0) + " 0 4096");
  auto line = params(data_disk(0), meta.path(), "dust", 0);
  auto bad = [&](std::initializer_list<int> blocks) {
    for (int block : blocks)
      meta.message("addbadblock " + std::to_string(block));
    meta.message("enable");
  };
  auto start = [&] { return errno_of_device("dust-0", kVolumeSectors, "remotecopy", line); };
  bad({3});
  expect_errno(start(), EIO, "a blank device of which a block can't be read");
  check(Disk(meta_disk(0)).content(kMiB) == std::vector<uint8_t>(kMiB), "it was written");
  meta.message("removebadblock 3");
  expect_errno(start(), 0, "a blank device");
  const uint64_t ceiling = image().ceiling;
  for (int block : {0, 1}) {
    bad({block});
    Buffer buffer(4096);
    expect_errno(Disk(meta.path()).try_read(buffer.data(), 4096, block * 4096), EIO, "a bad block");
    kernel_log();
    expect_errno(start(), 0, "one unreadable superblock");
    std::string log = kernel_log();
    check(log.find("cannot read block " + std::to_string(block)) != std::string::npos, "no warning: " + log);
    Disk(meta.path()).read(buffer.data(), 4096, block * 4096); // written again
    check(image().ceiling >= ceiling, "the ceiling");
  }
  bad({2}); // reserved
  expect_errno(start(), 0, "an unreadable reserved block");
  bad({0, 1});
  expect_errno(start(), EIO, "two unreadable superblocks");
}

KT_TEST(damaged_map_sectors_count_as_open) {
  Rig rig("torn");
  write_one(rig.device().path(), 100);
  rig.device().remove();
  Disk disk(meta_disk(0));
  Buffer block(4096);
  disk.read(block.data(), 4096, 16384);
  block.data()[512 + 40] ^= 1; // regions 62 to 123
  disk.write(block.data(), 4096, 16384);
  rig.devices[0] = std::make_unique<Device>("torn-0", rig.sectors, "remotecopy",
                                            rig.params_of(0, kSecondary));
  Agent agent("torn");
  auto map = eras(agent);
  check(map.size() == 62 && map.begin()->first == 62 && map[100] == DMRC_ERA_OPEN, "regions of the damaged sector");
}

KT_TEST(volume_grows_online) {
  Rig rig("grow");
  Agent agent("grow");
  uint64_t era = agent.start();
  write_one(rig.device().path(), 2);
  rig.device().message("close");
  await(5, "the region closes", [&] { return eras(agent)[2] == era; });
  zero(data_disk(0), 2 * kVolumeBytes);
  rig.device().reload("remotecopy", rig.params_of(), 2 * kVolumeSectors - 64);
  auto map = eras(agent);
  check(map[2] == era && map.size() == 257 && map[256] > era && map[511] > era, "the map of the larger volume");
  check(agent.volume(0).sectors == 2 * kVolumeSectors - 64, "its size");
  write_one(rig.device().path(), 400);
  check(eras(agent)[400] == DMRC_ERA_OPEN, "a write to the new part");
  expect_errno(rig.device().try_load("remotecopy", rig.params_of(), kVolumeSectors), 0, "load");
  rig.device().suspend();
  expect_errno(rig.device().try_resume(), EINVAL, "shrinking");
  rig.device().load("remotecopy", rig.params_of(), 2 * kVolumeSectors - 64);
  rig.device().resume();
  check(agent.volume(0).sectors == 2 * kVolumeSectors - 64, "its size after the refusal");
}

// The metadata device dies: I/O goes on, the stream ends, everything is dirty, also after a restart.
KT_TEST(metadata_failure_is_an_infinite_era) {
  zero(data_disk(0), kVolumeBytes);
  zero(meta_disk(0), kMiB);
  Device meta("meta-dev", kMiB / kSector, "linear", meta_disk(0) + " 0");
  auto line = params(data_disk(0), meta.path(), "mfail", 0);
  {
    Device volume("mfail-0", kVolumeSectors, "remotecopy", line);
    Agent agent("mfail");
    agent.start();
    write_one(volume.path(), 1);
    meta.reload("error", "");
    write_one(volume.path(), 1); // hot: no metadata
    check(agent.state().state & DMRC_STATE_STREAM, "a hot write ended the stream");
    write_one(volume.path(), 2);
    dmrc_state s = agent.state();
    check(s.state & DMRC_STATE_LOST, "the stream goes on without map");
    check(agent.volume(0).flags & DMRC_VOLUME_META_FAILED, "the flag");
    check(word(volume.status(), 4) == "failed", volume.status());
    check(eras(agent).size() == 256 && eras(agent)[200] == DMRC_ERA_OPEN, "not everything is dirty");
    uint8_t last = 0;
    while (const dmrc_record* r = agent.next())
      last = r->type;
    check(last == DMRC_LOSS, "no loss record");
    agent.free_read();
    expect_errno(agent.try_start(9), EIO, "a stream without map");
    meta.reload("linear", meta_disk(0) + " 0"); // it works again: the note gets stored
    volume.message("close");
    await(5, "the note of the failure", [&] { return image().flags & 4; });
  }
  Device volume("mfail-0", kVolumeSectors, "remotecopy", line);
  Agent agent("mfail");
  check(!(agent.volume(0).flags & DMRC_VOLUME_META_FAILED), "the map is still failed");
  check(eras(agent).size() == 256, "a restart forgot that everything is dirty");
  agent.start();
}
