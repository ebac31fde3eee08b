// SPDX-License-Identifier: GPL-2.0-or-later
// What a device holds and who uses it, read from the device itself and from sysfs, never from a cache.
#include "format/journal_layout.hpp"
#include "io/block_device.hpp"

#include <algorithm>
#include <blkid/blkid.h>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <linux/fs.h>
#include <memory>
#include <span>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <vector>

namespace rc::io {
namespace {

constexpr std::uint64_t ends_bytes = 64 << 10;

struct Close {
  int fd;
  ~Close() {
    if (fd >= 0)
      close(fd);
  }
};

std::string value_of(blkid_probe probe, const char* name) {
  const char* text = nullptr;
  return blkid_probe_lookup_value(probe, name, &text, nullptr) == 0 && text ? text : "";
}

Result<std::string> content_of(const std::string& path, int fd) {
  const blkid_probe probe = blkid_new_probe();
  if (!probe)
    return Error{ErrorCode::Failed, path + ": libblkid cannot probe", ""};
  const std::unique_ptr<blkid_struct_probe, void (*)(blkid_probe)> free(probe, blkid_free_probe);
  if (blkid_probe_set_device(probe, fd, 0, 0) != 0)
    return errno_error(path + ": libblkid cannot probe");
  blkid_probe_enable_superblocks(probe, 1);
  blkid_probe_set_superblocks_flags(probe, BLKID_SUBLKS_TYPE | BLKID_SUBLKS_LABEL | BLKID_SUBLKS_UUID |
                                               BLKID_SUBLKS_BADCSUM);
  blkid_probe_enable_partitions(probe, 1);
  // 0: found; 1: nothing; -2: several, contradicting; -1: error
  const int found = blkid_do_safeprobe(probe);
  if (found == -1)
    return errno_error(path + ": libblkid cannot probe");
  if (found == -2)
    return std::string("several signatures that contradict each other");
  if (found == 1)
    return std::string();
  std::string text = value_of(probe, "TYPE");
  if (const std::string table = value_of(probe, "PTTYPE"); text.empty() && !table.empty())
    text = "partition table " + table;
  if (const std::string label = value_of(probe, "LABEL"); !label.empty())
    text += " '" + label + "'";
  if (const std::string uuid = value_of(probe, "UUID"); !uuid.empty())
    text += " UUID=" + uuid;
  return text.empty() ? std::string("an unnamed signature") : text;
}

Status read_at(const std::string& path, int fd, std::uint64_t offset, std::span<char> into) {
  while (!into.empty()) {
    const ssize_t got = pread(fd, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return errno_error(path + ": read", got == 0 ? EIO : errno);
    offset += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Result<bool> ends_are_zero(const std::string& path, int fd, std::uint64_t bytes) {
  std::vector<char> buffer(static_cast<std::size_t>(std::min(bytes, ends_bytes)));
  for (const std::uint64_t offset : {std::uint64_t{0}, bytes - buffer.size()}) {
    if (Status done = read_at(path, fd, offset, buffer); !done)
      return done.error();
    if (std::any_of(buffer.begin(), buffer.end(), [](char byte) { return byte != 0; }))
      return false;
  }
  return true;
}

// Formats of our own, which libblkid does not know: docs/journal.md, docs/meta-device.md.
Result<std::string> own_content(const std::string& path, int fd, std::uint64_t bytes) {
  struct Signature {
    std::uint64_t offset;
    std::string_view magic;
    const char* name;
  };
  static constexpr Signature signatures[] = {
      {0, "DMRCMETA", "a remotecopy meta device"},
      {4096, "DMRCMETA", "a remotecopy meta device"},
      {0, "RCPYJRNL", "a remotecopy journal"},
      {format::superblock_slot_bytes, "RCPYJRNL", "a remotecopy journal"}};
  char magic[8];
  for (const Signature& signature : signatures) {
    if (signature.offset + sizeof magic > bytes)
      continue;
    if (Status done = read_at(path, fd, signature.offset, magic); !done)
      return done.error();
    if (std::string_view(magic, sizeof magic) == signature.magic)
      return std::string(signature.name);
  }
  return std::string();
}

// mountinfo and swaps name devices as major:minor or path; a device can also be held by another one.
std::string mounted_at(const std::string& number) {
  std::ifstream mounts("/proc/self/mountinfo");
  for (std::string line; std::getline(mounts, line);) {
    std::istringstream fields(line);
    std::string id, parent, device, root, where;
    fields >> id >> parent >> device >> root >> where;
    if (device == number)
      return "mounted at " + where;
  }
  return {};
}

bool is_swap(dev_t device) {
  std::ifstream swaps("/proc/swaps");
  std::string line;
  std::getline(swaps, line); // heading
  while (std::getline(swaps, line)) {
    struct stat about;
    if (stat(line.substr(0, line.find(' ')).c_str(), &about) == 0 && S_ISBLK(about.st_mode) &&
        about.st_rdev == device)
      return true;
  }
  return false;
}

std::string user_of(dev_t device) {
  const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  if (std::string where = mounted_at(number); !where.empty())
    return where;
  if (is_swap(device))
    return "swap";
  std::error_code error;
  const std::filesystem::path sysfs = "/sys/dev/block/" + number;
  for (const auto& holder : std::filesystem::directory_iterator(sysfs / "holders", error))
    return "held by " + holder.path().filename().string();
  // A whole disk is in use when one of its partitions is.
  for (const auto& entry : std::filesystem::directory_iterator(sysfs, error)) {
    std::ifstream dev(entry.path() / "dev");
    unsigned part_major = 0, part_minor = 0;
    char colon = 0;
    if (!std::filesystem::exists(entry.path() / "partition", error) ||
        !(dev >> part_major >> colon >> part_minor))
      continue;
    if (std::string user = user_of(makedev(part_major, part_minor)); !user.empty())
      return entry.path().filename().string() + " is " + user;
  }
  return {};
}

} // namespace

Result<ProbeResult> probe(const std::string& path) {
  const Close fd{open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  struct stat about;
  if (fd.fd < 0 || fstat(fd.fd, &about) != 0)
    return errno_error("cannot open " + path);
  ProbeResult result;
  result.block_device = S_ISBLK(about.st_mode);
  if (!result.block_device && !S_ISREG(about.st_mode))
    return Error{ErrorCode::Usage, path + " is neither a block device nor a file",
                 "name a block device or a file"};
  if (result.block_device) {
    int sector = 512, read_only = 0;
    if (ioctl(fd.fd, BLKGETSIZE64, &result.bytes) != 0 || ioctl(fd.fd, BLKSSZGET, &sector) != 0 ||
        ioctl(fd.fd, BLKROGET, &read_only) != 0)
      return errno_error(path + ": cannot ask for its size");
    result.logical_sector_bytes = static_cast<std::uint32_t>(sector);
    result.read_only = read_only != 0;
    result.major = major(about.st_rdev);
    result.minor = minor(about.st_rdev);
    result.in_use = user_of(about.st_rdev);
  } else {
    result.bytes = static_cast<std::uint64_t>(about.st_size);
    result.read_only = access(path.c_str(), W_OK) != 0;
  }
  if (result.bytes == 0) {
    result.blank = true;
    return result;
  }
  auto content = content_of(path, fd.fd);
  if (!content)
    return content.error();
  if (content->empty())
    content = own_content(path, fd.fd, result.bytes);
  if (!content)
    return content.error();
  result.content = std::move(*content);
  auto zero = ends_are_zero(path, fd.fd, result.bytes);
  if (!zero)
    return zero.error();
  result.blank = result.content.empty() && *zero;
  return result;
}

} // namespace rc::io
