// SPDX-License-Identifier: GPL-2.0-or-later
// Disk over a block device or a regular file, opened with O_DIRECT (a file whose file system refuses that:
// with O_DSYNC-free buffered I/O and fdatasync). Plus what a careful administrator looks at before
// overwriting something.
#pragma once

#include "io/disk.hpp"

namespace rc::io {

struct OpenOptions {
  bool writable = true;
  bool exclusive = false;         // block devices: fail when mounted or held by somebody (O_EXCL)
  std::uint64_t create_bytes = 0; // files: create with this size, space reserved; 0: must exist
};

Result<std::shared_ptr<Disk>> open_disk(const std::string& path, const OpenOptions& options = {});

// What is on a device or file (libblkid, low-level probe, no cache; our own formats too)?
struct ProbeResult {
  bool block_device = false;
  std::uint64_t bytes = 0;
  std::uint32_t logical_sector_bytes = 512;
  bool blank = false; // no signature known to libblkid, and the first and last 64 KiB are zeroes
  bool read_only = false;
  std::string
      content; // "ext4 'root' UUID=...", "LVM2_member", "partition table gpt"; empty when none is known
  std::string in_use;      // "mounted at /srv", "swap", "held by dm-3"; empty when free
  std::uint32_t major = 0; // of the device itself
  std::uint32_t minor = 0;
};
Result<ProbeResult> probe(const std::string& path);

} // namespace rc::io
