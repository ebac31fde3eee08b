// SPDX-License-Identifier: GPL-2.0-or-later
// Takes a connection's bytes apart into frames, straight into the buffers that the frames keep: nothing is
// copied after decryption. Believes nothing before its check; a frame that fails one ends the link.
#pragma once

#include "io/link.hpp"
#include "io/packer.hpp"

#include <optional>

namespace rc::io {

class FrameReader {
public:
  FrameReader();
  // Where the next bytes belong; never empty.
  MutableByteView space();
  // So many bytes were put there. A whole frame, nothing yet, or Corrupt.
  Result<std::optional<ReceivedFrame>> filled(std::size_t bytes);

private:
  enum class Part { Header, Body, RecordsPrefix, RecordsHeaders, RecordsData };
  void begin(Part part, std::size_t size);
  Result<std::optional<ReceivedFrame>> part_done();
  Result<std::optional<ReceivedFrame>> frame_done();

  Part part_ = Part::Header;
  Bytes bytes_;                 // of the current part
  std::shared_ptr<Bytes> data_; // part RecordsData
  std::size_t at_ = 0;
  std::uint64_t expected_number_ = 1;
  format::FrameHeader header_;
  format::RecordsPrefix prefix_;
  Bytes record_headers_;
  Packer packer_;
};

} // namespace rc::io
