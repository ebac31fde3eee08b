// SPDX-License-Identifier: GPL-2.0-or-later
// See two_groups.hpp.
#include "two_groups.hpp"

#include <cstring>
#include <unistd.h>

namespace kt {

std::vector<dmrc_record> drain(Agent& agent) {
  // A record behind one that a writer is still filling can't be read yet, though its call has returned.
  const uint64_t given_out = agent.state().reserved;
  std::vector<dmrc_record> records;
  await(10, "all records that have a number", [&] {
    while (const dmrc_record* r = agent.next())
      records.push_back(*r);
    return agent.read_seq() >= given_out;
  });
  agent.free_read();
  return records;
}

uint64_t count(const std::vector<dmrc_record>& records, uint8_t type) {
  uint64_t n = 0;
  for (const auto& r : records)
    n += r.type == type;
  return n;
}

std::string text_of(const std::vector<dmrc_record>& records) {
  std::string text;
  for (const auto& r : records)
    text += std::to_string(r.seq) + ":" + std::to_string(r.type) + " ";
  return text;
}

void until_on_disk(Agent& agent, uint64_t seq) {
  await(5, "record " + std::to_string(seq) + " is on disk", [&] { return agent.state().written >= seq; });
}

namespace {

// What one group's stream says of the chain up to the verdict, and frees it.
struct Look {
  uint64_t newest = 0, in_cut = 0; // writes of the chain

  void at(Agent& agent) {
    bool marked = false;
    for (bool judged = false; !judged;) {
      const dmrc_record* r = agent.next();
      if (!r)
        continue; // numbered already, and soon committed
      judged = r->type == DMRC_HELD || r->type == DMRC_VOID;
      marked |= r->type == DMRC_MARKER;
      uint64_t value = 0;
      if (r->type == DMRC_WRITE)
        memcpy(&value, agent.data(*r), sizeof(value));
      newest = std::max(newest, value);
      if (!marked)
        in_cut = newest;
    }
    agent.free_read();
  }
};

} // namespace

void cut_two_groups(int rounds, const std::function<bool(Agent& a, Agent& b)>& cut) {
  Rig a("cut-a");
  zero(data_disk(1), kVolumeBytes);
  zero(meta_disk(1), kMiB);
  Device b("cut-b-0", kVolumeSectors, "remotecopy", params(data_disk(1), meta_disk(1), "cut-b", 0));
  Agent agent_a("cut-a"), agent_b("cut-b");
  agent_a.start();
  agent_b.start();
  std::jthread chain([&](std::stop_token stop) {
    Disk disks[] = {Disk(a.device().path()), Disk(b.path())};
    Buffer buffer(4096);
    for (uint64_t i = 1; !stop.stop_requested(); i++) {
      memcpy(buffer.data(), &i, sizeof(i));
      disks[i % 2].write(buffer.data(), 4096, 0);
      if (i % 32 == 0)
        usleep(500); // the rings are read between two rounds only
    }
  });
  std::string wrong;
  Look of_a, of_b;
  for (int round = 0; round < rounds && wrong.empty(); round++) {
    of_a.in_cut = of_b.in_cut = 0;
    bool valid = cut(agent_a, agent_b);
    of_a.at(agent_a);
    of_b.at(agent_b);
    // Odd numbers are in b (disks[1]), even ones in a: with k the cut must hold k - 1.
    uint64_t high = std::max(of_a.in_cut, of_b.in_cut), low = std::min(of_a.in_cut, of_b.in_cut);
    if (valid && low && high != low + 1)
      wrong = "the cut holds " + std::to_string(high) + " and lacks what it depends on: " + std::to_string(low) +
              " is the other's newest";
    usleep(1000);
  }
  check(wrong.empty(), wrong);
  uint64_t links = std::max(of_a.newest, of_b.newest);
  check(links > 100, "only " + std::to_string(links) + " writes: too few to judge");
}

} // namespace kt
