// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/check.hpp"

#include <algorithm>

namespace rc::causal {
namespace {

// frontier[lane] = the highest number of the lane that some write in the image is, or depends on;
// witness[lane] = the place of such a write.
struct Frontier {
  std::vector<std::uint32_t> number;
  std::vector<Place> witness;
};

Frontier frontier_of(const Image& image) {
  const Shape& shape = image.shape();
  Frontier frontier{std::vector<std::uint32_t>(shape.lane_total()), std::vector<Place>(shape.lane_total())};
  for (Place place; place.device < shape.device_total(); place.device++)
    for (place.slot = 0; place.slot < shape.span; place.slot++) {
      if (image.content(place) != Content::Whole)
        continue;
      const auto clock = image.clock(place);
      for (std::uint32_t lane = 0; lane < clock.size(); lane++)
        if (clock[lane] > frontier.number[lane]) {
          frontier.number[lane] = clock[lane];
          frontier.witness[lane] = place;
        }
    }
  return frontier;
}

void judge_dependencies(const Image& image, const Frontier& frontier, Verdict& verdict) {
  const Shape& shape = image.shape();
  for (std::uint32_t lane = 0; lane < shape.lane_total(); lane++)
    // 64 bits: a frontier may be the largest 32-bit number.
    for (std::uint64_t number = 1; number <= frontier.number[lane]; number++) {
      const WriteId id{lane, static_cast<std::uint32_t>(number)};
      const Place place = shape.place_of(id);
      if (image.content(place) == Content::Unread) {
        verdict.unread++;
      } else if (image.covers(place, id)) {
        verdict.contained++;
      } else {
        verdict.missing++;
        const Place witness = frontier.witness[lane];
        if (verdict.first_missing.size() < shown_max)
          verdict.first_missing.push_back({id, place, image.version(witness), witness});
      }
    }
}

void judge_acknowledged(const Image& image, const AckLog& log, std::uint64_t until_ns, Verdict& verdict) {
  const Shape& shape = image.shape();
  std::uint64_t newest_ns = log.started_ns;
  std::uint64_t whole_until_ns = log.started_ns; // newest completion before which nothing is lost
  std::uint64_t first_lost_ns = ~0ULL;
  for (const Completion& done : log.completions) {
    if (done.done_ns > until_ns)
      break;
    if (image.content(done.place) == Content::Unread)
      continue;
    verdict.acknowledged++;
    newest_ns = std::max(newest_ns, done.done_ns);
    if (image.covers(done.place, done.id)) {
      if (done.done_ns < first_lost_ns)
        whole_until_ns = std::max(whole_until_ns, done.done_ns);
      continue;
    }
    verdict.lost++;
    verdict.lost_bytes += shape.size_at(done.place.slot);
    first_lost_ns = std::min(first_lost_ns, done.done_ns);
    if (verdict.first_lost.size() < shown_max)
      verdict.first_lost.push_back(done);
  }
  if (verdict.lost > 0)
    verdict.rpo_s = static_cast<double>(newest_ns - whole_until_ns) * 1e-9;
}

} // namespace

Verdict check(const Image& image, const AckLog* log, std::uint64_t until_ns) {
  Verdict verdict;
  Frontier frontier = frontier_of(image);
  judge_dependencies(image, frontier, verdict);
  if (log) {
    RC_ASSERT(log->shape == image.shape());
    judge_acknowledged(image, *log, until_ns, verdict);
    // The newest write of a lane may be in the image without having completed; what it depends on may not.
    for (std::uint32_t lane = 0; lane < frontier.number.size(); lane++)
      if (frontier.number[lane] > std::uint64_t{log->acked[lane]} + 1)
        verdict.log_behind += frontier.number[lane] - log->acked[lane] - 1;
  }
  verdict.frontier = std::move(frontier.number);
  return verdict;
}

} // namespace rc::causal
