// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/cbor_check.hpp"

#include <array>

namespace rc::format {
namespace {

enum Major { Unsigned = 0, Negative = 1, Binary = 2, Text = 3, Array = 4, Map = 5, Tag = 6, Simple = 7 };

Error corrupt(const std::string& why, std::size_t at) {
  return Error{ErrorCode::Corrupt, "CBOR: " + why + " at byte " + std::to_string(at), ""};
}

struct Level {
  std::uint64_t items_left = 0; // of a map: keys and values
  bool map = false;
};

struct Head {
  int major = 0;
  int info = 0;
  std::uint64_t value = 0;
};

// CBOR's numbers are big-endian.
bool take_head(BytesReader& from, Head& head) {
  const auto first = from.take<std::uint8_t>();
  head.major = first >> 5;
  head.info = first & 31;
  if (head.info < 24) {
    head.value = static_cast<std::uint64_t>(head.info);
    return from.ok();
  }
  if (head.info > 27)
    return false; // reserved, or indefinite length
  const ByteView number = from.take_bytes(std::size_t{1} << (head.info - 24));
  head.value = 0;
  for (const std::byte byte : number)
    head.value = head.value << 8 | std::to_integer<std::uint64_t>(byte);
  return from.ok();
}

bool supported_simple(const Head& head) { // false, true, null, floats
  return head.info == 20 || head.info == 21 || head.info == 22 || (head.info >= 25 && head.info <= 27);
}

} // namespace

Status check_cbor(ByteView bytes) {
  BytesReader from(bytes);
  std::array<Level, cbor_levels_max> levels;
  int depth = 0;
  const auto at = [&] { return bytes.size() - from.left().size(); };
  for (;;) {
    const std::size_t begin = at();
    Head head;
    if (!take_head(from, head))
      return corrupt("no item", begin);
    const bool key = depth > 0 && levels[depth - 1].map && levels[depth - 1].items_left % 2 == 0;
    if (key && head.major != Text)
      return corrupt("a key that is no text", begin);
    if (depth > 0)
      levels[depth - 1].items_left--;
    switch (head.major) {
    case Unsigned:
    case Negative:
      break;
    case Binary:
    case Text:
      if (head.value > from.left().size())
        return corrupt("a string that is longer than all the rest", begin);
      from.take_bytes(static_cast<std::size_t>(head.value));
      break;
    case Array:
    case Map: {
      const std::uint64_t least = head.major == Map ? 2 : 1; // bytes per entry
      if (head.value > from.left().size() / least)
        return corrupt("more items than bytes are left", begin);
      if (head.value > 0) {
        if (depth == cbor_levels_max)
          return corrupt("nested too deeply", begin);
        levels[depth++] = {head.value * least, head.major == Map};
      }
      break;
    }
    case Tag:
      return corrupt("a tag", begin);
    case Simple:
      if (!supported_simple(head))
        return corrupt("an unknown simple value", begin);
      break;
    }
    while (depth > 0 && levels[depth - 1].items_left == 0)
      depth--;
    if (depth == 0)
      break;
  }
  if (!from.left().empty())
    return corrupt("something behind the item", at());
  return {};
}

} // namespace rc::format
