// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/disk.hpp"

#include <cstdlib>
#include <new>

namespace rc::io {

AlignedBuffer::AlignedBuffer(std::size_t bytes) : size_((bytes + 4095) / 4096 * 4096) {
  auto* memory = static_cast<std::byte*>(std::aligned_alloc(4096, size_ ? size_ : 4096));
  if (!memory)
    throw std::bad_alloc(); // as any other allocation that fails: the process ends
  memory_.reset(memory);
}

void AlignedBuffer::Free::operator()(std::byte* memory) const { std::free(memory); }

} // namespace rc::io
