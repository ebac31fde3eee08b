// SPDX-License-Identifier: GPL-2.0-or-later
// Device-mapper ioctls and block devices; no policy.
#include "dm.hpp"

#include <cerrno>
#include <cstring>
#include <ctime>
#include <fcntl.h>
#include <fstream>
#include <linux/dm-ioctl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sstream>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <utility>

namespace kt {

void fail(const std::string& what) { throw Failure(what); }
void fail_errno(const std::string& what) { throw Failure(what + ": " + strerror(errno)); }

namespace {

int control() {
  static int fd = open("/dev/mapper/control", O_RDWR);
  if (fd < 0)
    fail_errno("/dev/mapper/control");
  return fd;
}

// One dm ioctl with its buffer.
struct Call {
  std::vector<char> memory = std::vector<char>(16384);
  dm_ioctl& head = *reinterpret_cast<dm_ioctl*>(memory.data());

  explicit Call(const std::string& name, uint32_t flags = 0) {
    head.version[0] = DM_VERSION_MAJOR;
    head.data_size = memory.size();
    head.data_start = sizeof(dm_ioctl);
    head.flags = flags;
    strncpy(head.name, name.c_str(), sizeof(head.name) - 1);
  }
  char* data() { return memory.data() + head.data_start; }
  int run(unsigned long command) { return ioctl(control(), command, &head) ? errno : 0; }
  void must(unsigned long command, const std::string& what) {
    if (int error = run(command))
      fail("dm " + what + " " + head.name + ": " + strerror(error));
  }
};

int load_table(const std::string& name, const std::vector<Segment>& segments) {
  Call call(name);
  char* at = call.data();
  for (const auto& segment : segments) {
    if (!segment.sectors)
      continue;
    auto* spec = reinterpret_cast<dm_target_spec*>(at);
    spec->sector_start = segment.start;
    spec->length = segment.sectors;
    strncpy(spec->target_type, segment.target.c_str(), sizeof(spec->target_type) - 1);
    strcpy(reinterpret_cast<char*>(spec + 1), segment.params.c_str());
    spec->next = (sizeof(*spec) + segment.params.size() + 8) & ~7U;
    at += spec->next;
    call.head.target_count++;
  }
  return call.run(DM_TABLE_LOAD);
}

int load_table(const std::string& name, uint64_t sectors, const std::string& target, const std::string& params) {
  return load_table(name, {{0, sectors, target, params}});
}

} // namespace

Device::Device(std::string name, uint64_t sectors, const std::string& target, const std::string& params)
    : name_(std::move(name)), sectors_(sectors) {
  Call call(name_);
  call.must(DM_DEV_CREATE, "create");
  path_ = "/dev/dm-" + std::to_string(minor(call.head.dev));
  int error = try_load(target, params, sectors);
  if (!error)
    error = try_resume();
  if (error) {
    try_remove();
    fail("dm device " + name_ + " (" + target + " " + params + "): " + strerror(error));
  }
}

static std::string failures_of_cleanup;

std::string cleanup_failures() { return std::exchange(failures_of_cleanup, {}); }

Device::~Device() {
  if (removed_)
    return;
  int error = 0;
  for (int i = 0; i < 200 && (error = try_remove()) == EBUSY; i++)
    sleep_ms(5);
  if (error)
    failures_of_cleanup += " dm remove " + name_ + ": " + strerror(error);
}

int Device::try_load(const std::string& target, const std::string& params, uint64_t sectors) {
  if (sectors)
    sectors_ = sectors;
  return load_table(name_, sectors_, target, params);
}

void Device::load(const std::string& target, const std::string& params, uint64_t sectors) {
  if (int error = try_load(target, params, sectors))
    fail("dm load " + name_ + " (" + params + "): " + strerror(error));
}

int Device::try_resume() { return Call(name_).run(DM_DEV_SUSPEND); }

void Device::resume() {
  if (int error = try_resume())
    fail("dm resume " + name_ + ": " + strerror(error));
}

double Device::suspend(bool noflush, bool lockfs) {
  double begin = now_s();
  uint32_t flags = DM_SUSPEND_FLAG | (noflush ? DM_NOFLUSH_FLAG : 0) | (lockfs ? 0 : DM_SKIP_LOCKFS_FLAG);
  Call(name_, flags).must(DM_DEV_SUSPEND, "suspend");
  return now_s() - begin;
}

void Device::reload(const std::string& target, const std::string& params, uint64_t sectors, bool noflush) {
  load(target, params, sectors);
  suspend(noflush);
  resume();
}

void Device::clear() { Call(name_).must(DM_TABLE_CLEAR, "clear"); }

void Device::reload_segments(const std::vector<Segment>& segments) {
  if (int error = load_table(name_, segments))
    fail("dm load " + name_ + ": " + strerror(error));
  suspend();
  resume();
}

int Device::try_message(const std::string& text) {
  Call call(name_);
  auto* message = reinterpret_cast<dm_target_msg*>(call.data());
  strcpy(message->message, text.c_str());
  return call.run(DM_TARGET_MSG);
}

std::string Device::ask(const std::string& text) {
  Call call(name_);
  auto* message = reinterpret_cast<dm_target_msg*>(call.data());
  strcpy(message->message, text.c_str());
  call.must(DM_TARGET_MSG, "message " + text);
  check(call.head.flags & DM_DATA_OUT_FLAG, "no answer to dm message " + text);
  return call.data();
}

void Device::message(const std::string& text) {
  if (int error = try_message(text))
    fail("dm message " + name_ + " " + text + ": " + strerror(error));
}

std::string Device::table_status(bool table) const {
  Call call(name_, DM_NOFLUSH_FLAG | (table ? DM_STATUS_TABLE_FLAG : 0));
  call.must(DM_TABLE_STATUS, "status");
  return call.data() + sizeof(dm_target_spec);
}

uint32_t Device::event_nr() const {
  Call call(name_);
  call.must(DM_DEV_STATUS, "info");
  return call.head.event_nr;
}

int Device::try_remove() {
  int error = Call(name_).run(DM_DEV_REMOVE);
  removed_ |= !error;
  return error;
}

void Device::remove() {
  if (int error = try_remove())
    fail("dm remove " + name_ + ": " + strerror(error));
}

int errno_of_device(const std::string& name, uint64_t sectors, const std::string& target,
                    const std::string& params) {
  Call(name).must(DM_DEV_CREATE, "create");
  int error = load_table(name, sectors, target, params);
  if (!error)
    error = Call(name).run(DM_DEV_SUSPEND);
  Call(name).must(DM_DEV_REMOVE, "remove");
  return error;
}

Disk::Disk(const std::string& path, bool direct, bool write)
    : fd_(open(path.c_str(), (write ? O_RDWR : O_RDONLY) | (direct ? O_DIRECT : 0))) {
  if (fd_ < 0)
    fail_errno("open " + path);
}

Disk::~Disk() { close(fd_); }

uint64_t Disk::bytes() const {
  uint64_t bytes = 0;
  if (ioctl(fd_, BLKGETSIZE64, &bytes))
    fail_errno("size of a disk");
  return bytes;
}

int Disk::try_write(const void* data, uint64_t length, uint64_t offset) {
  ssize_t done = pwrite(fd_, data, length, offset);
  return done == static_cast<ssize_t>(length) ? 0 : done < 0 ? errno : EIO;
}

int Disk::try_read(void* data, uint64_t length, uint64_t offset) {
  ssize_t done = pread(fd_, data, length, offset);
  return done == static_cast<ssize_t>(length) ? 0 : done < 0 ? errno : EIO;
}

void Disk::write(const void* data, uint64_t length, uint64_t offset) {
  if (int error = try_write(data, length, offset))
    fail("write of " + std::to_string(length) + " at " + std::to_string(offset) + ": " + strerror(error));
}

void Disk::read(void* data, uint64_t length, uint64_t offset) {
  if (int error = try_read(data, length, offset))
    fail("read of " + std::to_string(length) + " at " + std::to_string(offset) + ": " + strerror(error));
}

void Disk::flush() {
  if (fsync(fd_))
    fail_errno("fsync");
}

std::vector<uint8_t> Disk::content(uint64_t length) {
  Buffer buffer(kMiB);
  std::vector<uint8_t> all;
  for (uint64_t at = 0; at < length; at += kMiB) {
    uint64_t part = std::min(kMiB, length - at);
    read(buffer.data(), part, at);
    all.insert(all.end(), buffer.data(), buffer.data() + part);
  }
  return all;
}

Loop::Loop(uint64_t bytes, const std::string& folder) : file_(folder + "/loop"), fd_(open("/dev/loop0", O_RDWR)) {
  int file = open(file_.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (file < 0 || fd_ < 0 || ftruncate(file, bytes) || ioctl(fd_, LOOP_SET_FD, file))
    fail_errno("loop device");
  close(file);
}

Loop::~Loop() {
  ioctl(fd_, LOOP_CLR_FD);
  close(fd_);
  unlink(file_.c_str());
}

Buffer::Buffer(uint64_t bytes) : data_(static_cast<uint8_t*>(aligned_alloc(4096, bytes))), bytes_(bytes) {
  memset(data_, 0, bytes);
}

Buffer::~Buffer() { free(data_); }

void zero(const std::string& path, uint64_t bytes) {
  Disk disk(path);
  Buffer buffer(kMiB);
  for (uint64_t at = 0; at < bytes; at += kMiB)
    disk.write(buffer.data(), std::min(kMiB, bytes - at), at);
}

double now_s() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

uint64_t boottime_ns() {
  timespec t;
  clock_gettime(CLOCK_BOOTTIME, &t);
  return t.tv_sec * 1000000000ULL + t.tv_nsec;
}

void sleep_ms(int ms) { usleep(ms * 1000); }

void write_file(const std::string& path, const std::string& text) {
  int fd = open(path.c_str(), O_WRONLY);
  if (fd < 0 || ::write(fd, text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    int error = errno;
    if (fd >= 0)
      close(fd);
    errno = error;
    fail_errno("write " + path);
  }
  close(fd);
}

void write_new(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.flush();
  if (!file)
    fail("cannot write " + path);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

} // namespace kt
