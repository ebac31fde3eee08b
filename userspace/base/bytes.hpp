// SPDX-License-Identifier: GPL-2.0-or-later
// Bytes and little-endian numbers. Loads and stores work at any alignment. BytesReader never reads beyond its
// end: it turns bad and yields zeroes, and the caller asks ok() once at the end.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace rc {

static_assert(std::endian::native == std::endian::little, "formats are stored as they lie in memory");

using Bytes = std::vector<std::byte>;
using ByteView = std::span<const std::byte>;
using MutableByteView = std::span<std::byte>;

template <typename T> T load(const std::byte* at) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

template <typename T> void store(std::byte* at, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  std::memcpy(at, &value, sizeof value);
}

inline ByteView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

inline std::string_view as_text(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

class BytesReader {
public:
  explicit BytesReader(ByteView bytes) : left_(bytes) {}

  template <typename T> T take() {
    const ByteView bytes = take_bytes(sizeof(T));
    return bytes.size() == sizeof(T) ? load<T>(bytes.data()) : T{};
  }
  ByteView take_bytes(std::size_t size) {
    if (size > left_.size()) {
      ok_ = false;
      left_ = {};
      return {};
    }
    const ByteView taken = left_.first(size);
    left_ = left_.subspan(size);
    return taken;
  }
  ByteView left() const { return left_; }
  bool ok() const { return ok_; }

private:
  ByteView left_;
  bool ok_ = true;
};

template <typename T> void append(Bytes& to, const T& value) {
  static_assert(std::is_trivially_copyable_v<T>);
  const auto bytes = std::as_bytes(std::span(&value, 1));
  to.insert(to.end(), bytes.begin(), bytes.end());
}

inline void append_bytes(Bytes& to, ByteView bytes) { to.insert(to.end(), bytes.begin(), bytes.end()); }

} // namespace rc
