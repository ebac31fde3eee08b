// SPDX-License-Identifier: GPL-2.0-or-later
// Superblock: 96 bytes of fixed fields, the group state, then zeroes to the end of the block; the CRC (last
// of the fixed fields) covers everything else up to the end of the state.
#include "format/journal_layout.hpp"

#include "base/crc32c.hpp"
#include "format/group_state_codec.hpp"

#include <algorithm>

namespace rc::format {
namespace {

constexpr std::uint64_t superblock_magic = 0x4c4e524a59504352; // "RCPYJRNL"
constexpr std::size_t fixed_bytes = 96;
constexpr std::size_t crc_at = 92;

std::uint64_t down_to_block(std::uint64_t bytes) { return bytes / journal_block_bytes * journal_block_bytes; }

std::uint32_t superblock_crc(ByteView used) {
  return crc32c(used.subspan(fixed_bytes), crc32c(used.first(crc_at)));
}

Error corrupt(const std::string& why) { return Error{ErrorCode::Corrupt, "superblock: " + why, ""}; }

} // namespace

Result<JournalGeometry> geometry_for(std::uint64_t journal_bytes) {
  if (journal_bytes < journal_bytes_min)
    return Error{ErrorCode::Usage,
                 "a journal of " + std::to_string(journal_bytes) + " bytes is too small (at least " +
                     std::to_string(journal_bytes_min) + ")",
                 "give it a larger file or device"};
  JournalGeometry geometry;
  const std::uint64_t room = down_to_block(journal_bytes) - control_area_offset;
  const std::uint64_t control = down_to_block(room / 32);
  geometry.control_slots = control / sizeof(Record);
  geometry.data_offset = control_area_offset + control;
  geometry.data_bytes = room - control;
  return geometry;
}

Status check_geometry(const JournalGeometry& geometry) {
  const bool good = geometry.control_slots > 0 && geometry.control_slots < (1ULL << 40) &&
                    geometry.control_bytes() % journal_block_bytes == 0 && geometry.data_bytes > 0 &&
                    geometry.data_bytes % journal_block_bytes == 0 && geometry.data_bytes < (1ULL << 60) &&
                    geometry.data_offset == control_area_offset + geometry.control_bytes();
  if (!good)
    return corrupt("its areas do not fit together");
  return {};
}

Result<Bytes> encode_superblock(const Superblock& superblock) {
  const Bytes state = encode_group_state(superblock.state);
  if (fixed_bytes + state.size() > superblock_slot_bytes)
    return Error{ErrorCode::Full,
                 "the group's state needs " + std::to_string(state.size()) +
                     " bytes, a superblock slot has room for " +
                     std::to_string(superblock_slot_bytes - fixed_bytes),
                 ""};
  Bytes bytes;
  bytes.reserve(superblock_slot_bytes);
  append(bytes, superblock_magic);                         // 0
  append(bytes, journal_version);                          // 8
  append(bytes, static_cast<std::uint32_t>(state.size())); // 12
  append(bytes, superblock.serial);                        // 16
  append(bytes, superblock.journal_id);                    // 24
  append(bytes, superblock.geometry.control_slots);        // 32
  append(bytes, superblock.geometry.data_offset);          // 40
  append(bytes, superblock.geometry.data_bytes);           // 48
  append(bytes, superblock.out_slot);                      // 56
  append(bytes, superblock.out_data);                      // 64
  append(bytes, superblock.checked_slot);                  // 72
  bytes.resize(fixed_bytes);                               // 80: zero, 92: CRC
  append_bytes(bytes, state);
  store(bytes.data() + crc_at, superblock_crc(bytes));
  bytes.resize((bytes.size() + journal_block_bytes - 1) / journal_block_bytes * journal_block_bytes);
  return bytes;
}

std::size_t superblock_stored_bytes(ByteView first_block) {
  RC_ASSERT(first_block.size() == journal_block_bytes);
  const std::size_t bytes = fixed_bytes + load<std::uint32_t>(first_block.data() + 12);
  return std::min<std::size_t>((bytes + journal_block_bytes - 1) / journal_block_bytes * journal_block_bytes,
                               superblock_slot_bytes);
}

Result<Superblock> decode_superblock(ByteView slot) {
  RC_ASSERT(slot.size() >= journal_block_bytes);
  if (std::all_of(slot.begin(), slot.begin() + journal_block_bytes,
                  [](std::byte b) { return b == std::byte{0}; }))
    return Error{ErrorCode::NotFound, "superblock: never written", ""};
  if (load<std::uint64_t>(slot.data()) != superblock_magic)
    return corrupt("wrong magic: this is no journal");
  if (const auto version = load<std::uint32_t>(slot.data() + 8); version != journal_version)
    return corrupt("version " + std::to_string(version) + " is not known here");
  const std::size_t state_bytes = load<std::uint32_t>(slot.data() + 12);
  if (state_bytes > slot.size() - fixed_bytes)
    return corrupt("its state is longer than a slot");
  const ByteView used = slot.first(fixed_bytes + state_bytes);
  if (superblock_crc(used) != load<std::uint32_t>(slot.data() + crc_at))
    return corrupt("wrong CRC");
  const auto number = [&](std::size_t at) { return load<std::uint64_t>(slot.data() + at); };
  Superblock superblock;
  superblock.serial = number(16);
  superblock.journal_id = number(24);
  superblock.geometry.control_slots = number(32);
  superblock.geometry.data_offset = number(40);
  superblock.geometry.data_bytes = number(48);
  superblock.out_slot = number(56);
  superblock.out_data = number(64);
  superblock.checked_slot = number(72);
  if (number(80) != 0 || load<std::uint32_t>(slot.data() + 88) != 0)
    return corrupt("reserved bits are set");
  if (Status good = check_geometry(superblock.geometry); !good)
    return good.error();
  auto state = decode_group_state(used.subspan(fixed_bytes));
  if (!state)
    return state.error().because("superblock");
  superblock.state = std::move(*state);
  const auto& segments = superblock.state.segments;
  if (superblock.checked_slot < superblock.out_slot)
    return corrupt("its marks contradict each other");
  for (std::size_t i = 0; i < segments.size(); i++) {
    const bool first = i == 0;
    if (segments[i].stream.value == 0 || segments[i].first == 0 ||
        segments[i].first_slot < (first ? superblock.out_slot : segments[i - 1].first_slot) ||
        segments[i].first_data < (first ? superblock.out_data : segments[i - 1].first_data))
      return corrupt("its segments contradict each other");
  }
  return superblock;
}

} // namespace rc::format
