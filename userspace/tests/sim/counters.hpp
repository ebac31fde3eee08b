// SPDX-License-Identifier: GPL-2.0-or-later
// How often each fault and each transition happened, over all histories of a run. A run in which an expected
// one never happened proves nothing about it, and fails.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace rc::sim {

class Counters {
public:
  void add(const std::string& name, std::uint64_t count = 1) { counts_[name] += count; }
  std::uint64_t of(const std::string& name) const {
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }
  void add(const Counters& other) {
    for (const auto& [name, count] : other.counts_)
      counts_[name] += count;
  }
  const std::map<std::string, std::uint64_t>& all() const { return counts_; }

private:
  std::map<std::string, std::uint64_t> counts_;
};

// What every run of enough random histories must have seen.
const std::vector<std::string>& expected_counters();
const std::vector<std::string>& expected_of_copysets();

} // namespace rc::sim
