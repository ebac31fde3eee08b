// SPDX-License-Identifier: GPL-2.0-or-later
// What a set of devices or image files holds of one run: at each place, which write. Reads only.
// Invariant: a place is Unread until a device was read that covers it; the checker must not judge it before.
#pragma once

#include "causal/block.hpp"

#include <optional>
#include <vector>

namespace rc::causal {

enum class Content : std::uint8_t { Unread, Old, Whole, Torn };

struct Fault {
  Place place;
  std::string story;
};

class Image {
public:
  explicit Image(const Shape& shape);

  const Shape& shape() const { return shape_; }

  void put(Place place, const Finding& finding);

  Content content(Place place) const { return content_[shape_.place_index(place)]; }
  // Of a Whole place only.
  WriteId version(Place place) const;
  // Does the place hold this write or one that came after it there? Writes to one place never overlap in
  // time, so the later one's clock covers the earlier one. `id` must be a write to this place.
  bool covers(Place place, WriteId id) const;
  // The clock of what a Whole place holds, its own number included: the writes that must be in the image.
  // lane_total() entries.
  std::span<const std::uint32_t> clock(Place place) const;

  std::uint64_t whole() const { return whole_; }
  std::uint64_t read() const { return read_; }
  const std::vector<Fault>& torn() const { return torn_; }
  const std::vector<Fault>& misplaced() const { return misplaced_; }

private:
  Shape shape_;
  std::vector<Content> content_;
  std::vector<std::uint32_t> clock_at_; // per place: index into clocks_ and ids_
  std::vector<std::uint32_t> clocks_;
  std::vector<WriteId> ids_;
  std::uint64_t whole_ = 0;
  std::uint64_t read_ = 0;
  std::vector<Fault> torn_;
  std::vector<Fault> misplaced_;
};

// Reads the places of device `device` from `path`. Usage: the file holds blocks of another device only (the
// devices were given in another order). Failed: unreadable, or smaller than the run's span.
Status read_device(const std::string& path, std::uint32_t device, Image& image);

// The shape of run `run`, from any block of it on these devices; run 0: of the run whose block was issued
// last.
Result<Shape> discover(const std::vector<std::string>& paths, std::uint64_t run);

} // namespace rc::causal
