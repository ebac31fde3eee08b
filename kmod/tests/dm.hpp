// SPDX-License-Identifier: GPL-2.0-or-later
// Device-mapper by its own ioctls, and block devices, for the tests of the kernel target.
// Every failure throws Failure with a sentence; a Device removes itself.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

namespace kt {

struct Failure : std::runtime_error {
  using std::runtime_error::runtime_error;
};

[[noreturn]] void fail(const std::string& what);
[[noreturn]] void fail_errno(const std::string& what);
inline void check(bool good, const std::string& what) {
  if (!good)
    fail(what);
}

constexpr uint64_t kSector = 512;
constexpr uint64_t kMiB = 1 << 20;

// What went wrong in destructors since the last call.
std::string cleanup_failures();

struct Segment {
  uint64_t start, sectors;
  std::string target, params;
};

// One dm device: made on construction, removed by the destructor (a failure to remove goes to cleanup_failures()).
class Device {
public:
  Device(std::string name, uint64_t sectors, const std::string& target, const std::string& params);
  ~Device();
  Device(const Device&) = delete;

  const std::string& path() const { return path_; }
  uint64_t sectors() const { return sectors_; }
  // Loads a table; errno of the failure is returned, 0 when it was loaded.
  int try_load(const std::string& target, const std::string& params, uint64_t sectors = 0);
  void load(const std::string& target, const std::string& params, uint64_t sectors = 0);
  int try_resume();
  void resume();
  // Seconds that it took.
  double suspend(bool noflush = false, bool lockfs = false);
  // Suspend, load, resume.
  void reload(const std::string& target, const std::string& params, uint64_t sectors = 0, bool noflush = false);
  void clear(); // forgets a table that was loaded and not resumed
  // Reload with a table of several lines; empty ones are left out.
  void reload_segments(const std::vector<Segment>& segments);
  void message(const std::string& text);
  int try_message(const std::string& text);
  std::string ask(const std::string& text); // a message with an answer
  std::string status() const { return table_status(false); }
  std::string table() const { return table_status(true); }
  uint32_t event_nr() const;
  int try_remove();
  void remove();

private:
  std::string table_status(bool table) const;
  std::string name_, path_;
  uint64_t sectors_;
  bool removed_ = false;
};

// Makes a device whose first resume is expected to fail; returns the errno of load or resume, 0 when it came up.
int errno_of_device(const std::string& name, uint64_t sectors, const std::string& target,
                    const std::string& params);

class Disk {
public:
  explicit Disk(const std::string& path, bool direct = true, bool write = true);
  ~Disk();
  Disk(const Disk&) = delete;
  int fd() const { return fd_; }
  uint64_t bytes() const;
  // errno or 0; offset and length in bytes
  int try_write(const void* data, uint64_t length, uint64_t offset);
  int try_read(void* data, uint64_t length, uint64_t offset);
  void write(const void* data, uint64_t length, uint64_t offset);
  void read(void* data, uint64_t length, uint64_t offset);
  void flush();
  std::vector<uint8_t> content(uint64_t length);

private:
  int fd_;
};

// A loop device over a sparse file, in memory unless told otherwise: it has write-zeroes and a write cache. One at a
// time.
class Loop {
public:
  explicit Loop(uint64_t bytes, const std::string& folder = "/tmp");
  ~Loop();
  Loop(const Loop&) = delete;
  std::string path() const { return "/dev/loop0"; }

private:
  std::string file_;
  int fd_;
};

// Memory aligned for O_DIRECT.
class Buffer {
public:
  explicit Buffer(uint64_t bytes);
  ~Buffer();
  Buffer(const Buffer&) = delete;
  uint8_t* data() { return data_; }
  uint64_t bytes() const { return bytes_; }

private:
  uint8_t* data_;
  uint64_t bytes_;
};

void zero(const std::string& path, uint64_t bytes);
double now_s();
uint64_t boottime_ns();
void write_file(const std::string& path, const std::string& text);
void write_new(const std::string& path, const std::string& text); // makes or replaces the file
std::string read_file(const std::string& path);
void sleep_ms(int ms);
// Waits up to `seconds` for the condition, looking every millisecond; a failure names `what`.
template <class F> void await(double seconds, const std::string& what, F condition) {
  for (double end = now_s() + seconds; !condition(); sleep_ms(1))
    if (now_s() > end)
      fail("not within " + std::to_string(seconds) + " s: " + what);
}

} // namespace kt
