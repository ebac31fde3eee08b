// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/packer.hpp"

#include <algorithm>
#include <zstd.h>

namespace rc::io {
namespace {

constexpr int level = 1;
constexpr unsigned pass_least = 15; // frames after one that did not get smaller; doubles while none does
constexpr unsigned pass_most = 255;
constexpr std::size_t smallest = 2048; // a smaller frame is one packet either way

} // namespace

struct Packer::Contexts {
  ZSTD_CCtx* pack = nullptr; // made when first needed: most links never do
  ZSTD_DCtx* unpack = nullptr;
  Contexts() = default;
  Contexts(const Contexts&) = delete;
  Contexts& operator=(const Contexts&) = delete;
  ~Contexts() {
    ZSTD_freeCCtx(pack);
    ZSTD_freeDCtx(unpack);
  }
};

Packer::Packer() : contexts_(std::make_unique<Contexts>()), next_pass_(pass_least) {}
Packer::~Packer() = default;

std::optional<Bytes> Packer::pack(const format::OutgoingRecords& records) {
  const std::size_t whole = records.body_bytes();
  if (whole < smallest)
    return std::nullopt;
  if (pass_ > 0) {
    pass_--;
    return std::nullopt;
  }
  if (!contexts_->pack) {
    contexts_->pack = ZSTD_createCCtx();
    RC_ASSERT(contexts_->pack);
    ZSTD_CCtx_setParameter(contexts_->pack, ZSTD_c_compressionLevel, level);
  }
  ZSTD_CCtx_reset(contexts_->pack, ZSTD_reset_session_only);
  ZSTD_CCtx_setPledgedSrcSize(contexts_->pack, whole);
  Bytes head;
  format::append_records_head(records, head);
  Bytes body;
  format::append_packed_head(static_cast<std::uint32_t>(whole), body);
  body.resize(whole - whole / 16);
  ZSTD_outBuffer out{body.data(), body.size(), format::packed_head_bytes};
  // The output never grows: with no room left it does not pay.
  const auto feed = [&](ByteView bytes, bool last) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      const std::size_t left =
          ZSTD_compressStream2(contexts_->pack, &out, &in, last ? ZSTD_e_end : ZSTD_e_continue);
      if (ZSTD_isError(left) || out.pos == out.size)
        return false;
      if (last ? left == 0 : in.pos == in.size)
        return true;
    }
  };
  bool pays = feed(head, records.pieces.empty());
  for (std::size_t i = 0; pays && i < records.pieces.size(); i++)
    pays = feed(records.pieces[i].view(), i + 1 == records.pieces.size());
  if (!pays) {
    pass_ = next_pass_;
    next_pass_ = std::min(2 * next_pass_ + 1, pass_most);
    return std::nullopt;
  }
  next_pass_ = pass_least;
  body.resize(out.pos);
  return body;
}

Result<Bytes> Packer::unpack(ByteView body) {
  const auto whole = format::parse_packed_head(body);
  if (!whole)
    return whole.error();
  if (!contexts_->unpack) {
    contexts_->unpack = ZSTD_createDCtx();
    RC_ASSERT(contexts_->unpack);
  }
  const ByteView packed = body.subspan(format::packed_head_bytes);
  Bytes unpacked(*whole);
  const std::size_t size =
      ZSTD_decompressDCtx(contexts_->unpack, unpacked.data(), unpacked.size(), packed.data(), packed.size());
  if (ZSTD_isError(size) || size != unpacked.size())
    return Error{ErrorCode::Corrupt, "records frame: what is packed in it is damaged", ""};
  return unpacked;
}

} // namespace rc::io
