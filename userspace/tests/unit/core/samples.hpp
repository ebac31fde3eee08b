// SPDX-License-Identifier: GPL-2.0-or-later
// Small makers for the tests of core: records, lineages, and a way to ask which actions of a kind were given.
#pragma once

#include "core/source.hpp"
#include "core/target.hpp"

#include <variant>
#include <vector>

namespace rc::core {

constexpr StreamId test_stream{0x1234};
constexpr std::uint64_t test_region = 8; // sectors

inline Now at_ms(std::uint64_t time_ms) { return {10 * second + time_ms * ms, 1000 * second + time_ms * ms}; }

inline format::Record record(std::uint8_t type, Seq seq, Era era = Era::of(1, 1)) {
  format::Record it{};
  it.type = type;
  it.seq = seq;
  it.stream = static_cast<std::uint32_t>(test_stream.value);
  it.era = era.value;
  it.time_ns = 1000 * second + seq;
  return it;
}
inline format::Record write(Seq seq, std::uint64_t region = 0, Era era = Era::of(1, 1)) {
  format::Record it = record(DMRC_WRITE, seq, era);
  it.sector = region * test_region;
  it.length = test_region * DMRC_SECTOR_BYTES;
  return it;
}
inline format::Record copy(Seq seq, std::uint64_t region, std::uint32_t tag, Era era = Era::of(1, 1)) {
  format::Record it = write(seq, region, era);
  it.type = DMRC_COPY;
  it.tag = tag;
  return it;
}
inline format::Record end_of_copying(Seq seq, std::uint32_t tag) {
  format::Record it = record(DMRC_END_OF_COPYING, seq);
  it.tag = tag;
  return it;
}

inline std::vector<format::LineageEntry> lineage(std::initializer_list<format::LineageEntry> entries) {
  return entries;
}
inline format::LineageEntry first_entry() { return {1, "paris", 11, Era{}}; }

template <typename Kind, typename Actions> std::vector<Kind> of(const Actions& actions) {
  std::vector<Kind> found;
  for (const auto& action : actions)
    if (const Kind* it = std::get_if<Kind>(&action))
      found.push_back(*it);
  return found;
}
// The messages of one kind among the SendMessage actions.
template <typename Message, typename Send, typename Actions>
std::vector<Message> said(const Actions& actions) {
  std::vector<Message> found;
  for (const Send& send : of<Send>(actions))
    if (const Message* it = std::get_if<Message>(&send.message))
      found.push_back(*it);
  return found;
}

} // namespace rc::core
