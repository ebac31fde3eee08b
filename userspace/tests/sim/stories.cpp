// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/stories.hpp"

namespace rc::sim {

namespace {

// Quiet: three hosts, no sync, no faults but those of the story, the application writes what it is told.
ClusterSettings quiet(ClusterSettings drawn) {
  ClusterSettings s;
  s.hosts = 3;
  s.sync = false;
  s.shape = {volumes_max, volume_regions_max};
  s.copy_slots = 1;
  s.writers = 0;
  s.old_data = true;
  s.close_every = 100 * ms;
  s.far_speed = 20e3; // a resync takes seconds
  s.window_bytes = 16 << 10;
  s.mutation = drawn.mutation;
  s.check_gate = drawn.check_gate;
  return s;
}

void demand(bool condition, const char* what) {
  if (!condition)
    throw Violation("story", std::string("the story does not come to: ") + what);
}

bool in_duplex(Cluster& cluster, int copy) {
  const auto& state = cluster.host(copy).journal().state();
  return !state.position.lineage.empty() && !state.draft && !state.release &&
         !cluster.host(copy).target().update_in_progress();
}

void write_regions(Cluster& cluster, std::uint32_t from, std::uint32_t to) {
  const Shape& shape = cluster.settings().shape;
  for (std::uint32_t region = from; region < to; ++region)
    cluster.application(cluster.active())
        .write(region / shape.regions, region % shape.regions * region_blocks, region_blocks);
  cluster.go(100 * ms);
}

// Copy records with data in the newest stretch of a copy's journal.
std::size_t copied(Cluster& cluster, int copy) {
  std::size_t count = 0;
  const auto& segments = cluster.host(copy).journal().segments();
  if (!segments.empty())
    for (const auto& record : segments.back().records)
      count += record.type == DMRC_COPY && format::has_data(record);
  return count;
}

bool has_marker(Cluster& cluster, int copy) {
  const auto& segments = cluster.host(copy).journal().segments();
  return !segments.empty() && std::ranges::any_of(segments.back().records, [](const auto& record) {
    return record.type == DMRC_MARKER;
  });
}

void restart_source(Cluster& cluster) {
  cluster.host(cluster.active()).kill_agent();
  cluster.go(200 * ms);
  cluster.host(cluster.active()).start_agent();
}

// A pair that was suspended while everything was written: its resync has begun and is slow.
void begin_slow_resync(Cluster& cluster, int copy) {
  cluster.begin();
  demand(cluster.go_until(60 * second, [&] { return in_duplex(cluster, 1) && in_duplex(cluster, 2); }),
         "both copies in duplex");
  const std::uint32_t regions = cluster.settings().shape.volumes * cluster.settings().shape.regions;
  write_regions(cluster, 0, regions);
  cluster.go(12 * second);
  dynamic_cast<SourceAgent&>(*cluster.host(0).agent()).suspend(copy);
  cluster.go(2 * second);
  write_regions(cluster, 0, regions);
  cluster.go(2 * second);
  dynamic_cast<SourceAgent&>(*cluster.host(0).agent()).resume(copy);
}

// Nearly all is shipped, then written again; two breaks, the second one before all of that has gone again.
void draft_broken_twice(Cluster& cluster) {
  begin_slow_resync(cluster, 2);
  demand(cluster.go_until(60 * second, [&] { return copied(cluster, 2) >= 15; }), "fifteen regions shipped");
  cluster.host(0).kill_agent();
  write_regions(cluster, 0, 14);
  cluster.go(second); // closed again, with their eras
  cluster.host(0).start_agent();
  const Seq broken_stretch = cluster.host(2).journal().segments().back().first;
  demand(
      cluster.go_until(30 * second,
                       [&] { return cluster.host(2).journal().segments().back().first != broken_stretch; }),
      "the draft goes on");
  demand(cluster.go_until(30 * second, [&] { return copied(cluster, 2) >= 4; }), "some regions gone again");
  demand(cluster.go_until(5 * second, [&] { return has_marker(cluster, 2); }),
         "the copy has heard of a later era");
  demand(copied(cluster, 2) < 14, "not all regions have gone again");
  restart_source(cluster);
  cluster.heal_and_converge();
}

// The draft holds writes that the site which takes over never got.
void draft_of_a_lost_branch(Cluster& cluster) {
  begin_slow_resync(cluster, 2);
  demand(cluster.go_until(60 * second, [&] { return copied(cluster, 2) >= 2; }), "the resync has begun");
  // S hears nothing more; all is written once more and reaches D's draft with its copies.
  cluster.wire(0, 1).stall(1, 60 * second);
  cluster.wire(0, 1).stall(0, 60 * second);
  write_regions(cluster, 0, cluster.settings().shape.volumes * cluster.settings().shape.regions);
  cluster.go_until(6 * second, [&] { return copied(cluster, 2) >= 10; });
  cluster.host(0).power_cut(false);
  cluster.go(second);
  dynamic_cast<TargetAgent&>(*cluster.host(1).agent()).take_over();
  cluster.go(10 * second);
  cluster.heal_and_converge();
}

// An answer is late by more than the margin, and the last thing that the copy hears.
void answer_comes_late(Cluster& cluster) {
  cluster.begin();
  const auto current = [&] {
    const auto& state = cluster.host(1).journal().state();
    return state.current.value != 0 && state.closed != state.current;
  };
  demand(cluster.go_until(60 * second, current), "the copy is current");
  for (int round = 0; round < 12; ++round) {
    demand(cluster.go_until(30 * second, current), "the copy is current again");
    cluster.go(second + cluster.random().below(second));
    const Time lease = core::lease_for(cluster.settings().ack_timeout_ms);
    cluster.wire(0, 1).stall(
        1, lease * 2 / 3 + cluster.random().below(lease / 4)); // towards the copy: for less than the lease
    cluster.go(cluster.random().below(lease / 4));
    cluster.wire(0, 1).stall(0, 8 * second); // back: for long
    cluster.go(10 * second);
  }
  cluster.heal_and_converge();
}

// Any agent dies, any number at once, and starts again; no disk, link or host fails: nothing is
// resynchronised.
void agents_die(Cluster& cluster) {
  cluster.begin();
  const auto all_in_duplex = [&] { return in_duplex(cluster, 1) && in_duplex(cluster, 2); };
  demand(cluster.go_until(60 * second, all_in_duplex), "both copies in duplex");
  cluster.go(5 * second); // the primary has heard of it
  for (int round = 0; round < 40; ++round) {
    for (int host = 0; host < 3; ++host)
      if (cluster.random().chance(0.6)) {
        cluster.host(host).kill_agent();
        cluster.go(cluster.random().below(300 * ms));
        cluster.host(host).start_agent();
        if (cluster.random().chance(0.5))
          cluster.go(cluster.random().below(300 * ms));
      }
    cluster.go(cluster.random().below(2 * second));
    for (int copy : {1, 2})
      demand(!cluster.host(copy).journal().state().draft, "no resync after an agent died");
  }
  cluster.heal_and_converge();
}

ClusterSettings sync_pair(ClusterSettings drawn) {
  ClusterSettings s = quiet(drawn);
  s.sync = true;
  s.writers = 3;
  s.think = 40 * ms;
  s.far_speed = 10e6;
  s.ack_timeout_ms = 4000;
  return s;
}

ClusterSettings busy_pairs(ClusterSettings drawn) {
  ClusterSettings s = sync_pair(drawn);
  s.ack_timeout_ms = drawn.ack_timeout_ms;
  s.think = drawn.think;
  s.spill_bytes = s.journal_bytes = 64 << 20; // nothing is ever full
  s.journal_slots = 1 << 16;
  return s;
}

} // namespace

const std::vector<Story>& stories() {
  static const std::vector<Story> all = {
      {"draft_broken_twice", "what goes again leaves the shipped set before the next break",
       core::Mutation::ShippedNotReduced, quiet, draft_broken_twice},
      {"draft_of_a_lost_branch", "a draft of another source's is not kept",
       core::Mutation::DraftAcrossSources, quiet, draft_of_a_lost_branch},
      {"answer_comes_late", "the lease counts from the sending of the challenge",
       core::Mutation::LeaseFromReceipt, sync_pair, answer_comes_late},
      {"agents_die", "the death of agents alone leads to no resync", core::Mutation::None, busy_pairs,
       agents_die},
  };
  return all;
}

const Story* find_story(const std::string& name) {
  for (const Story& story : stories())
    if (name == story.name)
      return &story;
  return nullptr;
}

} // namespace rc::sim
