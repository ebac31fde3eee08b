// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/block.hpp"

#include "base/crc32c.hpp"

#include <algorithm>
#include <set>

namespace rc::causal {
namespace {

constexpr std::uint64_t block_magic = 0x314c535541434352ULL; // "RCCAUSL1"
constexpr std::uint16_t block_version = 1;
constexpr std::size_t crc_at = 8;

struct Header {
  std::uint64_t magic;
  std::uint32_t crc; // of the block without this field
  std::uint32_t bytes;
  std::uint64_t run;
  std::uint64_t seed;
  std::uint16_t version;
  std::uint16_t hosts;
  std::uint16_t lanes;
  std::uint16_t devices;
  std::uint32_t lane;
  std::uint32_t number;
  std::uint32_t device;
  std::uint32_t slot;
  std::uint32_t span;
  std::uint16_t sizes;
  std::uint16_t reserved0;
  std::uint64_t order;
  std::uint64_t issued_ns;
  std::uint64_t reserved1[2];
};
static_assert(sizeof(Header) == 96 && std::has_unique_object_representations_v<Header>);

struct Tag {
  std::uint64_t run;
  std::uint32_t lane;
  std::uint32_t number;
};
static_assert(sizeof(Tag) == 16);
static_assert(sizeof(Header) + max_lanes * sizeof(std::uint32_t) + sizeof(Tag) == sector_bytes);

std::uint32_t crc_of(ByteView block) {
  return crc32c(block.subspan(crc_at + sizeof(std::uint32_t)), crc32c(block.first(crc_at)));
}

Tag tag_of(ByteView bytes, std::size_t sector) {
  return load<Tag>(bytes.data() + (sector + 1) * sector_bytes - sizeof(Tag));
}

std::string name(WriteId id) {
  return "lane " + std::to_string(id.lane) + " number " + std::to_string(id.number);
}

std::string name(Place place) {
  return "device " + std::to_string(place.device) + " block " + std::to_string(place.slot);
}

// Which writes the sectors say they belong to.
std::string torn_story(const Shape& shape, ByteView bytes) {
  std::set<std::pair<std::uint32_t, std::uint32_t>> writes;
  std::size_t other = 0;
  for (std::size_t sector = 0; sector < bytes.size() / sector_bytes; sector++) {
    const Tag tag = tag_of(bytes, sector);
    if (tag.run == shape.run)
      writes.insert({tag.lane, tag.number});
    else
      other++;
  }
  std::string story = "sectors of";
  for (const auto& [lane, number] : writes)
    story += " [" + name(WriteId{lane, number}) + "]";
  if (other > 0)
    story += " and " + std::to_string(other) + " sectors of other content";
  if (writes.size() == 1 && other == 0)
    story += " alone, with a wrong checksum";
  return story;
}

} // namespace

BlockMaker::BlockMaker(const Shape& shape, Payload payload) : payload_(payload), pool_(shape.stride()) {
  for (std::size_t at = 0; at < pool_.size(); at += 8)
    store(pool_.data() + at, mix(shape.seed ^ ~std::uint64_t{at}));
}

void BlockMaker::make(const Block& block, MutableByteView to) const {
  const Shape& shape = block.shape;
  RC_ASSERT(to.size() == shape.size_at(block.place.slot) && block.clock.size() == shape.lane_total());
  const std::uint64_t key = mix(shape.run ^ mix((std::uint64_t{block.id.lane} << 32) | block.id.number));
  for (std::size_t at = 0; at < to.size(); at += 8)
    store(to.data() + at, payload_ == Payload::Random ? load<std::uint64_t>(pool_.data() + at) ^ key : key);

  const Header header{
      .magic = block_magic,
      .crc = 0,
      .bytes = static_cast<std::uint32_t>(to.size()),
      .run = shape.run,
      .seed = shape.seed,
      .version = block_version,
      .hosts = shape.hosts,
      .lanes = shape.lanes,
      .devices = shape.devices,
      .lane = block.id.lane,
      .number = block.id.number,
      .device = block.place.device,
      .slot = block.place.slot,
      .span = shape.span,
      .sizes = shape.sizes,
      .reserved0 = 0,
      .order = block.order,
      .issued_ns = block.issued_ns,
      .reserved1 = {0, 0},
  };
  store(to.data(), header);
  std::memcpy(to.data() + sizeof header, block.clock.data(), block.clock.size() * sizeof block.clock[0]);
  const Tag tag{shape.run, block.id.lane, block.id.number};
  for (std::size_t end = sector_bytes; end <= to.size(); end += sector_bytes)
    store(to.data() + end - sizeof tag, tag);
  store(to.data() + crc_at, crc_of(to));
}

std::optional<Block> decode(ByteView bytes) {
  if (bytes.size() < sector_bytes || load<std::uint64_t>(bytes.data()) != block_magic)
    return {};
  const auto header = load<Header>(bytes.data());
  if (header.version != block_version || header.bytes < sector_bytes || header.bytes > bytes.size() ||
      crc_of(bytes.first(header.bytes)) != header.crc)
    return {};
  Block block{.shape = {header.run, header.seed, header.hosts, header.lanes, header.devices, header.sizes,
                        header.span},
              .id = {header.lane, header.number},
              .place = {header.device, header.slot},
              .order = header.order,
              .issued_ns = header.issued_ns,
              .clock = {}};
  if (!block.shape.valid() || header.lane >= block.shape.lane_total() || header.number == 0 ||
      header.slot >= header.span || header.bytes != block.shape.size_at(header.slot))
    return {};
  block.clock.resize(block.shape.lane_total());
  std::memcpy(block.clock.data(), bytes.data() + sizeof header, block.clock.size() * sizeof block.clock[0]);
  if (block.clock[header.lane] != header.number - 1)
    return {};
  return block;
}

Finding examine(const Shape& shape, Place place, ByteView bytes) {
  RC_ASSERT(bytes.size() == shape.size_at(place.slot));
  std::optional<Block> block = decode(bytes);
  if (block && block->shape.run == shape.run) {
    if (block->shape == shape && block->place == place && shape.place_of(block->id) == place)
      return {Found::Whole, std::move(*block), {}};
    std::string story = block->shape == shape
                            ? name(block->id) + ", which belongs at " + name(block->place)
                            : name(block->id) + " of a run with the same id but another shape";
    return {Found::Misplaced, std::move(*block), std::move(story)};
  }
  for (std::size_t sector = 0; sector < bytes.size() / sector_bytes; sector++)
    if (tag_of(bytes, sector).run == shape.run)
      return {Found::Torn, {}, torn_story(shape, bytes)};
  if (load<std::uint64_t>(bytes.data()) == block_magic && load<Header>(bytes.data()).run == shape.run)
    return {Found::Torn, {}, "a header of this run with a wrong checksum"};
  return {};
}

} // namespace rc::causal
