// SPDX-License-Identifier: GPL-2.0-or-later
// Compresses the bodies of records frames (zstd) and takes them apart again: one small interface to the
// codec, for one thread. Gives up early on what does not get smaller, and then lets some frames pass before
// it tries again. What comes out of unpack() has only been decompressed: its CRCs are checked like those of
// any frame.
#pragma once

#include "format/records_codec.hpp"

#include <memory>
#include <optional>

namespace rc::io {

class Packer {
public:
  Packer();
  ~Packer();
  // The body of a Packed frame, at least a sixteenth smaller than that of the Records frame; else nothing.
  std::optional<Bytes> pack(const format::OutgoingRecords& records);
  // Corrupt: it is not what its head says. Never makes more than that.
  Result<Bytes> unpack(ByteView body);

private:
  struct Contexts;
  std::unique_ptr<Contexts> contexts_;
  unsigned pass_ = 0; // frames that are not tried
  unsigned next_pass_;
};

} // namespace rc::io
