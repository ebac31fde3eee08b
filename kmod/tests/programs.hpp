// SPDX-License-Identifier: GPL-2.0-or-later
// Work that comes from programs and file systems, not from the tests' own writers: a volume whose stream is replayed
// into a copy all the while, and running a program.
#pragma once

#include "harness.hpp"

namespace kt {

// Runs a program and waits; its exit status (128 + signal when killed). What it printed is added to `output`.
int run_program(const std::vector<std::string>& words, std::string* output = nullptr);
// Throws with what it printed when it fails.
void must_run(const std::vector<std::string>& words);

// One volume of a group of its own with an agent that lets writes wait for room, so that nothing is ever lost.
class Copied {
public:
  Copied(const std::string& group, const std::string& data, const std::string& meta, uint64_t sectors);
  Copied(const Copied&) = delete;
  const std::string& path() const { return volume_.path(); }
  Agent& agent() { return agent_; }
  // Replays what is left; throws when the stream was lost or the disk and the copy differ.
  void finish();
  const Replica& copy() const { return copies_.at(0); }
  // Copies as of each marker.
  const std::vector<Replica>& at_markers() const { return at_markers_; }
  uint64_t writes() const { return writes_; }
  uint64_t zeroes() const { return zeroes_; }

private:
  void look(const dmrc_record& record);
  uint64_t sectors_;
  Device volume_;
  Agent agent_;
  Replicas copies_;
  std::vector<Replica> at_markers_;
  std::atomic<uint64_t> writes_{0}, zeroes_{0};
  std::unique_ptr<Reader> reader_;
};

} // namespace kt
