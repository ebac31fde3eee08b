// SPDX-License-Identifier: GPL-2.0-or-later
// Map truth (invariant 7) after a power cut at any moment: data and metadata lie on one dm-log-writes device, whose log
// is what stable storage held. At every metadata write and every mark of the test: a region that the map calls closed
// holds exactly what the records had said by then and carries exactly the era of its last record; and the stored
// ceiling is above every checkpoint that was put.
#include "harness.hpp"
#include "meta_image.hpp"

#include <cstdio>
#include <cstring>

using namespace kt;

namespace {

constexpr uint64_t kBytes = 4 * kMiB, kRegion = 65536, kMetaBytes = 65536, kRegions = kBytes / kRegion;
constexpr uint64_t kFlush = 1, kFua = 2, kMark = 8;

struct Entry {
  uint64_t sector, sectors, flags;
  std::vector<uint8_t> data;
  std::string mark;
};

std::vector<Entry> read_log(const std::string& path) {
  Disk disk(path);
  Buffer buffer(kMiB);
  disk.read(buffer.data(), 4096, 0);
  uint64_t head[4];
  memcpy(head, buffer.data(), sizeof(head));
  check(head[0] == 0x6a736677736872ULL && static_cast<uint32_t>(head[3]) == 512, "no log of dm-log-writes");
  std::vector<Entry> entries;
  uint64_t at = 1;
  for (uint64_t i = 0; i < head[2]; i++) {
    disk.read(buffer.data(), 512, at++ * 512);
    uint64_t e[4];
    memcpy(e, buffer.data(), sizeof(e));
    Entry entry{e[0], e[1], e[2], {}, {}};
    if (e[2] & kMark)
      entry.mark.assign(reinterpret_cast<char*>(buffer.data()) + sizeof(e), e[3]);
    else if (e[1]) {
      entry.data.resize(e[1] * 512);
      disk.read(buffer.data(), entry.data.size(), at * 512);
      memcpy(entry.data.data(), buffer.data(), entry.data.size());
      at += e[1];
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

struct Record {
  uint8_t type;
  uint64_t sector, era;
  std::vector<uint8_t> data;
};

struct Moment {
  uint64_t out;      // records up to it were out before the mark
  uint64_t reserved; // those up to it may have been when the mark was in the log
};

struct History {
  std::vector<Record> records; // [seq - 1]
  std::vector<Moment> moments;
};

void drain(Agent& agent, History& history) {
  while (const dmrc_record* r = agent.next()) {
    Record copy{r->type, r->sector, r->era, {}};
    if (r->type == DMRC_WRITE)
      copy.data.assign(agent.data(*r), agent.data(*r) + r->length);
    check(r->type != DMRC_LOSS, "the ring overflowed");
    history.records.push_back(std::move(copy));
  }
  agent.free_read();
}

// Load, checkpoints and closings on top of the log; returns what was out when.
History record_history(int steps, unsigned seed) {
  zero(data_disk(0), kBytes + kMetaBytes);
  zero(data_disk(1), kMiB);
  History history;
  uint64_t all = (kBytes + kMetaBytes) / kSector;
  Device log("log", all, "log-writes", data_disk(0) + " " + data_disk(1));
  Device data("cut-data", kBytes / kSector, "linear", log.path() + " 0");
  Device meta("cut-meta", kMetaBytes / kSector, "linear", log.path() + " " + std::to_string(kBytes / kSector));
  Device volume("cut", kBytes / kSector, "remotecopy", params(data.path(), meta.path(), "cut", 0));
  Agent agent("cut");
  agent.start();
  Writers::Options o;
  o.threads = 2;
  o.span = kBytes;
  o.max_blocks = 8;
  o.pause_us = 2000;
  o.seed = seed;
  for (int i = 0; i < steps; i++) {
    if (i % 3 == 0) {
      // bursts in a part of the volume, so that regions fall idle, are closed and opened again
      o.seed = seed + i;
      o.span = kBytes >> (i % 4);
      Writers writers(volume.path(), o);
      sleep_ms(30);
      writers.stop();
    }
    agent.checkpoint(i % 5 ? 0 : DMRC_ERA_N(agent.state().era) + 20);
    volume.message("close");
    sleep_ms(3 + i % 7);
    drain(agent, history);
    Moment m{agent.read_seq(), 0};
    log.message("mark " + std::to_string(i));
    m.reserved = agent.state().reserved;
    history.moments.push_back(m);
  }
  drain(agent, history);
  return history;
}

struct Ghost {
  Replica content = Replica(kBytes);
  std::vector<uint64_t> eras = std::vector<uint64_t>(kRegions);
  uint64_t marker = 0, applied = 0;

  void advance(const History& h, uint64_t seq) {
    for (; applied < seq; applied++) {
      const Record& r = h.records[applied];
      if (r.type == DMRC_MARKER)
        marker = r.era;
      if (r.type != DMRC_WRITE)
        continue;
      memcpy(&content[r.sector * kSector], r.data.data(), r.data.size());
      for (uint64_t n = r.sector * kSector / kRegion; n <= (r.sector * kSector + r.data.size() - 1) / kRegion; n++)
        eras[n] = r.era;
    }
  }
};

// What stable storage says against what had left the host. `from`..`to`: records that may or may not have been.
void judge(const std::vector<uint8_t>& stable, const History& h, const Ghost& ghost, uint64_t to, uint64_t& closed) {
  auto meta = parse_meta(std::vector<uint8_t>(stable.begin() + kBytes, stable.end()));
  if (!meta)
    return check(ghost.applied == 0, "records were out before a superblock was stored"), void();
  check(!ghost.marker || meta->ceiling > ghost.marker, "checkpoint " + std::to_string(ghost.marker) +
                                                           " was put, the stored ceiling is " +
                                                           std::to_string(meta->ceiling));
  std::vector<bool> unsure(kRegions);
  for (uint64_t s = ghost.applied; s < to && s < h.records.size(); s++)
    if (h.records[s].type == DMRC_WRITE)
      unsure[h.records[s].sector * kSector / kRegion] = true;
  for (uint64_t r = 0; r < kRegions; r++) {
    if (meta->open(r) || unsure[r])
      continue;
    check(meta->era(r) == ghost.eras[r], "region " + std::to_string(r) + " is closed with era " +
                                             std::to_string(meta->era(r)) + ", its last record has " +
                                             std::to_string(ghost.eras[r]));
    check(!memcmp(&stable[r * kRegion], &ghost.content[r * kRegion], kRegion),
          "region " + std::to_string(r) + " is closed and holds other data than its records");
    closed += ghost.eras[r] != 0;
  }
}

// The kernel must read such an image as we do.
void reload_image(const std::vector<uint8_t>& stable) {
  auto meta = parse_meta(std::vector<uint8_t>(stable.begin() + kBytes, stable.end()));
  if (!meta)
    return;
  Buffer buffer(stable.size());
  memcpy(buffer.data(), stable.data(), stable.size());
  zero(meta_disk(2), kMiB);
  Disk(data_disk(2)).write(buffer.data(), kBytes, 0);
  Disk(meta_disk(2)).write(buffer.data() + kBytes, kMetaBytes, 0);
  Device volume("cut", kBytes / kSector, "remotecopy",
                params(data_disk(2), meta_disk(2), "cut", 0, "ring_mib 4 region_kib 64 role secondary"));
  Agent agent("cut");
  std::vector<uint64_t> said(kRegions);
  for (const auto& e : agent.dirty(0, 0, 7))
    for (uint64_t s = e.sector; s < e.sector + e.sectors; s += kRegion / kSector)
      said[s * kSector / kRegion] = e.era;
  for (uint64_t r = 0; r < kRegions; r++)
    check(said[r] == (meta->open(r) ? DMRC_ERA_OPEN : meta->era(r)),
          "dirty after the cut: region " + std::to_string(r));
}

void power_cuts(int steps, unsigned seed, bool reload) {
  History h = record_history(steps, seed);
  auto entries = read_log(data_disk(1));
  std::vector<uint8_t> stable(kBytes + kMetaBytes);
  Ghost ghost;
  size_t moment = 0;
  uint64_t judged = 0, closed = 0, reloaded = 0;
  for (const auto& e : entries) {
    bool look = false;
    if (e.flags & kMark) {
      if (moment == h.moments.size())
        break; // the mark that dm-log-writes puts at its end
      ghost.advance(h, h.moments.at(moment++).out);
      look = true;
    } else if (!e.data.empty()) {
      memcpy(&stable.at(e.sector * kSector), e.data.data(), e.data.size());
      look = e.sector >= kBytes / kSector;
    }
    if (!look)
      continue;
    uint64_t to = moment < h.moments.size() ? h.moments[moment].reserved : h.records.size();
    judge(stable, h, ghost, to, closed);
    judged++;
    if (reload && judged % 60 == 30) {
      reload_image(stable);
      reloaded++;
    }
  }
  check(moment == h.moments.size(), "a mark is missing in the log");
  check(!reload || (judged > 100 && closed > 200 && reloaded > 1), "too little happened: " + std::to_string(judged) +
                                                                       " cuts, " + std::to_string(closed) + " closed");
  if (reload)
    printf("  %zu log entries, %zu records, %llu cuts judged, %llu closed regions compared, %llu reloads\n",
           entries.size(), h.records.size(), static_cast<unsigned long long>(judged),
           static_cast<unsigned long long>(closed), static_cast<unsigned long long>(reloaded));
}

} // namespace

KT_TEST(power_cut_never_makes_the_map_lie) { power_cuts(60, 1, true); }

KT_TEST(map_mutants_are_caught) {
  must_be_caught("capture_before_open", 2, [] { power_cuts(15, 2, false); });
  must_be_caught("close_without_flush", 4, [] { power_cuts(15, 3, false); });
  must_be_caught("era_not_stored", 2, [] { power_cuts(15, 4, false); });
}
