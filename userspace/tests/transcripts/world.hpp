// SPDX-License-Identifier: GPL-2.0-or-later
// A primary and its copies, driven by hand: real Source and Target, modelled disks, kernel and links. Nothing
// happens by itself: run() carries messages and finishes flushes and applies until nothing is left, except
// what a story holds back. Deterministic. After every step the invariants of the machine that stepped are
// checked.
#pragma once

#include "core/lineage.hpp"
#include "core/planner.hpp"
#include "core/source.hpp"
#include "core/target.hpp"
#include "transcripts/copy_model.hpp"

#include <memory>
#include <optional>
#include <set>
#include <string>

namespace rc::story {

struct Node {
  std::string name;
  core::LinkSlot slot = 0; // of the link primary -> this node
  core::LinkMode mode = core::LinkMode::Async;
  bool up = true;

  // as a copy
  CopyModel copy;
  std::unique_ptr<core::Target> target;
  std::optional<core::target::ApplyRecords> applying;
  bool flush_due = false;
  std::deque<core::target::Event> target_inbox;

  // as the primary (its region map and volumes live in `kernel` then)
  std::unique_ptr<core::Source> source;
  KernelModel kernel;
  Seq read = 0;
  bool reading = false; // the source knows of the ring: records are handed over
  std::deque<core::source::Event> source_inbox;
  JournalModel spill;
  bool spill_due = false;

  // the link from the primary: what is under way
  struct Frame {
    std::shared_ptr<const format::RecordsMessage> records;
    std::optional<format::GroupMessage> message;
    bool close = false;
  };
  std::deque<Frame> to_copy;
  std::deque<Frame> to_source;
  bool cable = true;
  bool link_up = false;
  std::uint64_t reconnect_ns = 0;

  std::set<std::string>
      held; // flush, apply, in (to the copy), out (from it), spill, answers (to the primary)
};

class World {
public:
  std::string out; // what the running command prints

  void make_primary(const std::string& name, std::uint64_t regions, std::uint64_t volumes);
  void make_copy(const std::string& name, core::LinkMode mode, std::uint64_t ack_timeout_ms);
  Node& node(const std::string& name);
  bool knows(const std::string& name) const { return nodes_.count(name) != 0; }
  Node& primary() { return node(primary_); }

  void run();
  void pass(std::uint64_t ns); // time goes by in ticks of 50 ms, running after each
  void write(VolumeNumber volume, std::uint64_t region);
  void checkpoint_now();
  void cut(const std::string& name);
  void heal(const std::string& name);
  void power_cut(const std::string& name);
  void kill_agent(const std::string& name);
  void start(const std::string& name);
  void half_apply(const std::string& name); // the apply under way is cut by a power cut in its middle
  void takeover(const std::string& name);
  void make_secondary(const std::string& name); // an old primary, by command
  void tell_source(const core::source::Event& event) { source_event(event); }
  void tell_target(const std::string& name, const core::target::Event& event) {
    target_event(node(name), event);
  }

  std::string show(const std::string& name);
  std::string image(const std::string& name) const;
  std::string compare(const std::string& name);
  std::string lost(const std::string& name); // writes acknowledged by the sync site that the copy lacks

  std::set<std::string> traced;
  std::uint64_t slots = 1024;
  std::uint64_t spill_bytes = 1 << 20;
  std::uint64_t window_bytes = 8 << 20;
  bool held_checkpoints = true;
  core::Fence fence = core::Fence::Go;
  bool auto_checkpoints = true;

private:
  void source_event(const core::source::Event& event);
  void source_action(const core::source::Action& action);
  void target_event(Node& node, const core::target::Event& event);
  void target_action(Node& node, const core::target::Action& action);
  void send_records(const core::source::SendRecords& action);
  bool pump_ring();
  bool pump_node(Node& node);
  bool pump_link(Node& node);
  void drop_link(Node& node, const std::string& reason);
  void make_source(bool live);
  void make_target(Node& node);
  core::Now now() const { return {boot_ns_, 1'000'000'000'000 + boot_ns_}; }
  Node* copy_of(core::LinkSlot slot);
  void trace(const Node& node, const std::string& text);

  std::map<std::string, Node> nodes_;
  std::vector<std::string> order_;
  std::string primary_;
  std::uint64_t ack_timeout_ms_ = 5000;
  std::uint64_t boot_ns_ = 1'000'000'000;
  std::uint32_t values_ = 0;
  std::uint64_t takeovers_ = 0;
};

std::string describe(const core::source::Action& action); // empty: not worth a line
std::string describe(const core::target::Action& action);

} // namespace rc::story
