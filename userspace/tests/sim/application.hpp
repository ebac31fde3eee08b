// SPDX-License-Identifier: GPL-2.0-or-later
// What runs on a host's volumes: a few writers, each of which waits for its write before it thinks of the
// next, on any volume; so writes depend on each other across volumes. Runs wherever volumes accept writes.
#pragma once

#include "tests/sim/sim_target.hpp"

namespace rc::sim {

class Host;

class Application {
public:
  explicit Application(Host& host) : host_(host) {}
  void start();           // the volumes are primary
  void stop() { ++run_; } // for good, until the next start()
  void burst(unsigned writes);
  void write(std::uint32_t volume, std::uint32_t block, std::uint32_t blocks); // one, now

private:
  void think(std::uint64_t run, Time pause);
  void write_something(std::uint64_t run, bool then_think);
  HostWritePtr make(std::uint32_t volume, std::uint32_t block, std::uint32_t blocks, format::RecordType type);

  Host& host_;
  std::uint64_t run_ = 0;
  std::uint32_t last_volume_ = 0, last_block_ = 0;
};

} // namespace rc::sim
