// SPDX-License-Identifier: GPL-2.0-or-later
// Little-endian, in the order of the fields; u32 counts before lists and strings; one byte for bool and
// optional (0 or 1).
#include "format/group_state_codec.hpp"

namespace rc::format {
namespace {

class Writer {
public:
  template <typename T> void number(T value) { append(bytes, value); }
  void flag(bool value) { number(static_cast<std::uint8_t>(value)); }
  void era(Era value) { number(value.value); }
  void text(const std::string& value) {
    number(static_cast<std::uint32_t>(value.size()));
    append_bytes(bytes, as_bytes(value));
  }
  template <typename T, typename F> void list(const std::vector<T>& values, F&& each) {
    number(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values)
      each(value);
  }
  void entry(const LineageEntry& value) {
    number(value.generation);
    text(value.site);
    number(value.id);
    era(value.base);
  }
  void lineage(const std::vector<LineageEntry>& entries) {
    list(entries, [&](const LineageEntry& each) { entry(each); });
  }
  void seats(const std::vector<Seat>& values) {
    list(values, [&](const Seat& value) { seat(value); });
  }
  void seat(const Seat& value) {
    text(value.group);
    text(value.site);
  }
  void table(const CopysetTable& value) {
    text(value.name);
    number(value.epoch.value);
    seat(value.registrar);
    seats(value.seats);
    seats(value.masters);
    list(value.memberships, [&](const Membership& membership) {
      number(membership.since.value);
      list(membership.groups, [&](const std::string& group) { text(group); });
    });
  }
  void extents(const std::vector<Extent>& values) {
    list(values, [&](const Extent& extent) {
      number(extent.volume);
      number(extent.sector);
      number(extent.sectors);
      era(extent.era);
    });
  }
  Bytes bytes;
};

class Reader {
public:
  explicit Reader(ByteView bytes) : reader_(bytes) {}
  template <typename T> T number() { return reader_.take<T>(); }
  bool flag() {
    const auto value = number<std::uint8_t>();
    good_ = good_ && value <= 1;
    return value == 1;
  }
  Era era() { return Era{number<std::uint64_t>()}; }
  std::string text() {
    const ByteView bytes = reader_.take_bytes(number<std::uint32_t>());
    return std::string(as_text(bytes));
  }
  // A count that the bytes left can't hold is refused before anything is allocated for it.
  template <typename T, typename F> std::vector<T> list(std::size_t least_bytes, F&& each) {
    const auto count = number<std::uint32_t>();
    std::vector<T> values;
    if (!ok() || count > reader_.left().size() / least_bytes) {
      good_ = false;
      return values;
    }
    values.reserve(count);
    for (std::uint32_t i = 0; i < count && ok(); i++)
      values.push_back(each());
    return values;
  }
  LineageEntry entry() {
    LineageEntry value;
    value.generation = number<std::uint64_t>();
    value.site = text();
    value.id = number<std::uint64_t>();
    value.base = era();
    return value;
  }
  std::vector<LineageEntry> lineage() {
    return list<LineageEntry>(28, [&] { return entry(); });
  }
  Seat seat() {
    Seat value;
    value.group = text();
    value.site = text();
    return value;
  }
  std::vector<Seat> seats() {
    return list<Seat>(8, [&] { return seat(); });
  }
  CopysetTable table() {
    CopysetTable value;
    value.name = text();
    value.epoch.value = number<std::uint64_t>();
    value.registrar = seat();
    value.seats = seats();
    value.masters = seats();
    value.memberships = list<Membership>(12, [&] {
      Membership membership;
      membership.since.value = number<std::uint64_t>();
      membership.groups = list<std::string>(4, [&] { return text(); });
      return membership;
    });
    return value;
  }
  std::vector<Extent> extents() {
    return list<Extent>(26, [&] {
      Extent extent;
      extent.volume = number<VolumeNumber>();
      extent.sector = number<std::uint64_t>();
      extent.sectors = number<std::uint64_t>();
      extent.era = era();
      return extent;
    });
  }
  bool ok() const { return good_ && reader_.ok(); }
  bool at_end() const { return reader_.left().empty(); }

private:
  BytesReader reader_;
  bool good_ = true;
};

} // namespace

Bytes encode_group_state(const GroupState& state) {
  Writer to;
  to.number(group_state_version);
  to.number(static_cast<std::uint8_t>(state.role));
  to.lineage(state.position.lineage);
  to.era(state.position.applied);
  to.number(state.applied_time_ns);
  to.list(state.image_volumes, [&](VolumeNumber volume) { to.number(volume); });
  to.flag(state.release.has_value());
  if (state.release) {
    to.number(state.release->stream.value);
    to.number(state.release->last);
    to.era(state.release->checkpoint);
    to.flag(state.release->seal);
    to.number(state.release->time_ns);
  }
  to.flag(state.draft.has_value());
  if (state.draft) {
    to.lineage(state.draft->source_lineage);
    to.era(state.draft->agreed);
    to.flag(state.draft->full);
    to.flag(state.draft->broken_at.has_value());
    if (state.draft->broken_at)
      to.era(*state.draft->broken_at);
    to.flag(state.draft->in_place);
    to.extents(state.draft->shipped);
    to.number(state.draft->from);
    to.flag(state.draft->copied);
  }
  to.lineage(state.source_lineage);
  to.list(state.segments, [&](const Segment& segment) {
    to.number(segment.stream.value);
    to.number(segment.first);
    to.number(segment.first_slot);
    to.number(segment.first_data);
  });
  to.number(state.epoch.value);
  to.number(state.current.value);
  to.number(state.closed.value);
  to.number(state.closed_at);
  to.flag(state.alone);
  to.era(state.alone_since);
  to.flag(state.takeover.has_value());
  if (state.takeover)
    to.entry(*state.takeover);
  to.flag(state.confirmed);
  to.flag(state.table.has_value());
  if (state.table)
    to.table(*state.table);
  to.era(state.current_since);
  to.era(state.sealed_since);
  return std::move(to.bytes);
}

Result<GroupState> decode_group_state(ByteView bytes) {
  Reader from(bytes);
  const auto corrupt = [](const std::string& why) {
    return Error{ErrorCode::Corrupt, "group state: " + why, ""};
  };
  const auto version = from.number<std::uint32_t>();
  if (version == 0 || version > group_state_version)
    return corrupt("version " + std::to_string(version) + " is not known here");
  GroupState state;
  const auto role = from.number<std::uint8_t>();
  if (role > static_cast<std::uint8_t>(Role::Primary))
    return corrupt("role " + std::to_string(role) + " is not known here");
  state.role = static_cast<Role>(role);
  state.position.lineage = from.lineage();
  state.position.applied = from.era();
  state.applied_time_ns = from.number<std::uint64_t>();
  state.image_volumes =
      from.list<VolumeNumber>(sizeof(VolumeNumber), [&] { return from.number<VolumeNumber>(); });
  if (from.flag()) {
    Release release;
    release.stream.value = from.number<std::uint64_t>();
    release.last = from.number<Seq>();
    release.checkpoint = from.era();
    release.seal = from.flag();
    release.time_ns = from.number<std::uint64_t>();
    state.release = release;
  }
  if (from.flag()) {
    Draft draft;
    draft.source_lineage = from.lineage();
    draft.agreed = from.era();
    draft.full = from.flag();
    if (from.flag())
      draft.broken_at = from.era();
    draft.in_place = from.flag();
    draft.shipped = from.extents();
    draft.from = from.number<Seq>();
    draft.copied = version >= 2 && from.flag();
    state.draft = std::move(draft);
  }
  state.source_lineage = from.lineage();
  state.segments = from.list<Segment>(32, [&] {
    Segment segment;
    segment.stream.value = from.number<std::uint64_t>();
    segment.first = from.number<Seq>();
    segment.first_slot = from.number<std::uint64_t>();
    segment.first_data = from.number<std::uint64_t>();
    return segment;
  });
  state.epoch.value = from.number<std::uint64_t>();
  state.current.value = from.number<std::uint64_t>();
  state.closed.value = from.number<std::uint64_t>();
  state.closed_at = from.number<Seq>();
  state.alone = from.flag();
  state.alone_since = from.era();
  if (from.flag())
    state.takeover = from.entry();
  state.confirmed = from.flag();
  if (version >= 2 && from.flag())
    state.table = from.table();
  if (version >= 3) {
    state.current_since = from.era();
    state.sealed_since = from.era();
  }
  if (!from.ok())
    return corrupt("it ends too early or holds an impossible value");
  if (!from.at_end())
    return corrupt("bytes are left over");
  return state;
}

} // namespace rc::format
