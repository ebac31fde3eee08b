// SPDX-License-Identifier: GPL-2.0-or-later
// Many: lives one after the other, volumes in a group, groups.
#include "debug.hpp"
#include "harness.hpp"
#include "meta_image.hpp"

#include <cstdio>
#include <cstring>
#include <sstream>

using namespace kt;

namespace {

// Volumes on slices of two RAM disks, each of `sectors`.
struct Slices {
  Slices(unsigned count, uint64_t sectors, const std::function<std::string(unsigned)>& group,
         const std::string& args) {
    const uint64_t meta_sectors = 64;
    zero(data_disk(0), count * sectors * kSector);
    zero(meta_disk(0), count * meta_sectors * kSector);
    for (unsigned i = 0; i < count; i++) {
      auto name = group(i) + "-" + std::to_string(i);
      data.push_back(std::make_unique<Device>(name + "-data", sectors, "linear",
                                              data_disk(0) + " " + std::to_string(i * sectors)));
      meta.push_back(std::make_unique<Device>(name + "-meta", meta_sectors, "linear",
                                              meta_disk(0) + " " + std::to_string(i * meta_sectors)));
      volumes.push_back(std::make_unique<Device>(
          name, sectors, "remotecopy", params(data.back()->path(), meta.back()->path(), group(i), i, args)));
    }
  }
  std::vector<std::unique_ptr<Device>> data, meta, volumes; // volumes go first
};

// A volume with an agent: loaded, written, read, copied, checkpointed and removed.
void one_life(unsigned i) {
  const uint64_t sectors = 2048;
  Device volume("life", sectors, "remotecopy",
                params(data_disk(0), meta_disk(0), "life", 0, "ring_mib 1 region_kib 64"));
  Agent agent("life");
  agent.start(i + 1);
  Disk disk(volume.path());
  Buffer block(4096);
  memset(block.data(), i, 4096);
  disk.write(block.data(), 4096, i % 256 * 4096);
  check(!agent.try_copy(0, 0, 128), "a copy");
  agent.checkpoint();
  if (i % 2)
    await(5, "the copy", [&] { return agent.state().committed == 4; });
  const dmrc_record* r = agent.next();
  check(r && agent.data(*r)[0] == static_cast<uint8_t>(i), "the write's record");
  if (i % 10 == 0)
    volume.reload("remotecopy", volume.table());
}

} // namespace

// What a life takes it gives back: objects in the kernel's caches and pages, counted over many lives. One CPU of a
// debug kernel gives exact counts; elsewhere the lists of the CPUs hide objects, and only pages are judged, roughly.
KT_TEST(lives_leave_nothing_behind) {
  const bool exact = has_fault_injection();
  const long lives = exact ? 1000 : 100, kib_of_a_life = exact ? 2 : 64;
  zero(data_disk(0), kMiB);
  zero(meta_disk(0), kMiB);
  for (long i = 0; i < 20; i++)
    one_life(i);
  auto objects = slab_objects();
  long pages = free_kib();
  for (long i = 0; i < lives; i++)
    one_life(i);
  for (const auto& [cache, now] : slab_objects())
    check(!exact || now - objects[cache] < lives / 2, std::to_string(lives) + " lives left " +
                                                          std::to_string(now - objects[cache]) + " objects in " +
                                                          cache);
  long kept = pages - free_kib();
  check(kept < lives * kib_of_a_life, std::to_string(lives) + " lives kept " + std::to_string(kept) + " KiB");
  printf("  %ld lives, %ld KiB fewer free than before\n", lives, kept);
}

KT_TEST(sixty_four_volumes_have_one_order) {
  const unsigned count = 64;
  const uint64_t sectors = 2048;
  Slices slices(count, sectors, [](unsigned) { return "crowd"; }, kArgs);
  Agent agent("crowd");
  agent.start();
  check(agent.state().volumes == count, "how many volumes");
  Replicas replicas;
  for (unsigned i = 0; i < count; i++)
    replicas[i] = Replica(sectors * kSector);
  std::map<uint16_t, uint64_t> seen;
  Reader reader(agent, replicas, [&](const dmrc_record& r) {
    check(r.type != DMRC_LOSS, "overflow");
    seen[r.volume]++;
  });
  std::vector<std::thread> threads;
  std::vector<std::string> errors(4);
  for (unsigned t = 0; t < 4; t++)
    threads.emplace_back([&, t] {
      try {
        std::mt19937_64 random(t);
        std::vector<std::unique_ptr<Disk>> disks;
        for (const auto& v : slices.volumes)
          disks.push_back(std::make_unique<Disk>(v->path()));
        Buffer buffer(8192);
        for (unsigned i = 0; i < 800; i++) {
          while (agent.state().data_used > 2 * kMiB)
            sleep_ms(1);
          for (unsigned w = 0; w < 1024; w++)
            reinterpret_cast<uint64_t*>(buffer.data())[w] = random();
          uint64_t length = (random() % 16 + 1) * kSector;
          disks[i % count]->write(buffer.data(), length, random() % (sectors - 16) * kSector);
        }
      } catch (const std::exception& e) {
        errors[t] = e.what();
      }
    });
  for (int i = 0; i < 5; i++) {
    agent.checkpoint();
    sleep_ms(20);
  }
  for (auto& t : threads)
    t.join();
  for (const auto& e : errors)
    check(e.empty(), e);
  reader.stop();
  for (unsigned i = 0; i < count; i++) {
    check(seen[i] >= 4 * (800 / count), "records of volume " + std::to_string(i));
    check(Disk(slices.volumes[i]->path()).content(sectors * kSector) == replicas[i],
          "volume " + std::to_string(i) + " and its replica differ");
  }
}

// Sparse: what is written to the data is thrown away, the metadata device is a file with the size that docs/target.md
// states. Loading reads all of it, since each sector's CRC is judged.
KT_TEST(sixteen_tebibytes_attach_in_time) {
  const uint64_t region_bytes = kMiB, bytes = 16 * kMiB * kMiB, regions = bytes / region_bytes;
  const uint64_t meta_bytes = 16384 + 4096 * ((regions + 495) / 496);
  Loop meta(meta_bytes);
  Device data("huge-data", bytes / kSector, "zero", "");
  auto line = params(data.path(), meta.path(), "huge", 0, "ring_mib 4 region_kib 1024");
  auto attach = [&](const char* what) {
    double begin = now_s();
    auto volume = std::make_unique<Device>("huge", bytes / kSector, "remotecopy", line);
    Agent agent("huge");
    agent.start();
    double took = now_s() - begin;
    printf("  %s: %.2f s\n", what, took);
    Buffer block(4096);
    Disk(volume->path()).write(block.data(), 4096, bytes - 4096);
    auto dirty = agent.dirty(0, 0);
    check(dirty.size() == 1 && dirty[0].sector == (bytes - region_bytes) / kSector, "the last region is not dirty");
    const dmrc_record* r = agent.next();
    check(r && r->sector == (bytes - 4096) / kSector, "a record of the last block");
    uint64_t kept = 0;
    std::string areas;
    std::istringstream lines(read_file("/proc/vmallocinfo"));
    for (std::string one; std::getline(lines, one);) {
      size_t pages = one.find(" pages=");
      if (one.find("dmrc_map_alloc") == std::string::npos || pages == std::string::npos)
        continue;
      kept += std::stoull(one.substr(pages + 7)) * 4096;
      areas += "\n" + one;
    }
    check(kept >= regions, "the map is not where it is looked for");
    // Eight bytes a region, and what vmalloc itself keeps: a pointer to each of their pages.
    check(kept <= 8 * regions + regions / 64,
          std::to_string(kept) + " bytes for " + std::to_string(regions) + " regions:" + areas);
    return took;
  };
  attach("formatting");
  // How fast is this machine just now? Emulated and loaded CPUs take tens of times as long as real ones.
  double begin = now_s();
  Buffer part(kMiB);
  Disk disk(meta.path());
  for (uint64_t at = 0; at + kMiB <= meta_bytes; at += kMiB) {
    disk.read(part.data(), kMiB, at);
    crc32c(part.data(), kMiB);
  }
  double own = now_s() - begin, took = attach("attaching");
  printf("  reading and checking it in this program: %.2f s\n", own);
  // That takes a real machine 0.35 s, and 2 s are what attaching may take there. KASAN slows the kernel down alone.
  check(took < (has_fault_injection() ? 20 : 6) * own, "attaching took " + std::to_string(took) + " s");
}

KT_TEST(groups_do_not_mix) {
  const unsigned count = 32;
  const uint64_t sectors = 2048;
  auto name = [](unsigned i) { return "g" + std::to_string(i); };
  Slices slices(count, sectors, name, "ring_mib 1 region_kib 64");
  std::vector<std::unique_ptr<Agent>> agents;
  for (unsigned i = 0; i < count; i++) {
    agents.push_back(std::make_unique<Agent>(name(i)));
    agents.back()->start(i + 1);
  }
  Buffer block(4096);
  for (unsigned i = 0; i < count; i++) {
    memset(block.data(), i + 1, 4096);
    Disk disk(slices.volumes[i]->path());
    for (unsigned n = 0; n <= i; n++)
      disk.write(block.data(), 4096, n * 4096);
  }
  for (unsigned i = 0; i < count; i++) {
    unsigned n = 0;
    for (; const dmrc_record* r = agents[i]->next(); n++)
      check(r->stream == i + 1 && r->volume == i && agents[i]->data(*r)[5] == i + 1, "a record of another group");
    check(n == i + 1, "records of group " + std::to_string(i));
  }
  agents[3]->checkpoint();
  check(agents[4]->state().reserved == 5, "a checkpoint in another group");
}
