// SPDX-License-Identifier: GPL-2.0-or-later
// What the target costs, next to a bare copy and to dm-linear on the same disk. The devices that are compared take
// turns of a fraction of a second, so that whatever else the machine does meets them all; a figure is the median of
// several rounds, a ratio the median of the rounds' ratios. Prints one line per figure for scripts/run-kernel-bench,
// fields parted by tabs: "result", name, unit, ours, floor, linear, ours to floor, ours to linear ("-": not measured).
#include "../agent.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <memory>
#include <poll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

using namespace kt;

namespace {

struct Options {
  int rounds = 5;
  double seconds = 1; // of one device in one round
  std::string only;
  bool kernel_load = false;
} options;

constexpr int kTurns = 5; // of a device in one round
constexpr uint64_t kSpan = 48 * kMiB;
constexpr uint64_t kSectors = 64 * kMiB / kSector;

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v.empty() ? 0 : v[v.size() / 2];
}

// Writes of one size to random places of a disk, with so many in flight. Returns writes per second.
class Load {
public:
  Load(const std::string& path, uint64_t bytes, unsigned depth)
      : bytes_(bytes), depth_(depth), disk_(path), buffer_(bytes * depth) {
    memset(buffer_.data(), 0x5A, buffer_.bytes());
    if (syscall(SYS_io_setup, depth, &context_))
      fail_errno("io_setup");
    blocks_.resize(depth);
    for (unsigned i = 0; i < depth; i++) {
      iocb& b = blocks_[i];
      b.aio_lio_opcode = IOCB_CMD_PWRITE;
      b.aio_buf = reinterpret_cast<uint64_t>(buffer_.data() + i * bytes);
      b.aio_nbytes = bytes;
      b.aio_data = i;
    }
  }
  ~Load() { syscall(SYS_io_destroy, context_); }
  Load(const Load&) = delete;

  double run(double seconds) {
    uint64_t done = 0;
    double begin = now_s(), end = begin + seconds;
    std::vector<iocb*> batch;
    for (auto& b : blocks_)
      batch.push_back(next(b));
    unsigned flying = depth_;
    std::vector<io_event> events(depth_);
    for (bool more = true;;) {
      if (!batch.empty() && syscall(SYS_io_submit, context_, batch.size(), batch.data()) !=
                                static_cast<long>(batch.size()))
        fail_errno("io_submit");
      batch.clear();
      if (!flying)
        break;
      long n = syscall(SYS_io_getevents, context_, 1, depth_, events.data(), nullptr);
      if (n < 1)
        fail_errno("io_getevents");
      done += n;
      flying -= n;
      more = more && now_s() < end;
      for (long i = 0; i < n; i++) {
        if (events[i].res != static_cast<int64_t>(bytes_))
          fail("a write failed: " + std::to_string(events[i].res));
        if (more)
          batch.push_back(next(blocks_[events[i].data]));
      }
      flying += batch.size();
    }
    return done / (now_s() - begin);
  }

private:
  iocb* next(iocb& b) {
    x_ = x_ * 6364136223846793005ULL + 1442695040888963407ULL;
    b.aio_fildes = disk_.fd();
    b.aio_offset = (x_ >> 33) % (kSpan / bytes_) * bytes_;
    return &b;
  }

  uint64_t bytes_, depth_, x_ = 1;
  Disk disk_;
  Buffer buffer_;
  std::vector<iocb> blocks_;
  aio_context_t context_ = 0;
};

// Reads and frees all that is there, then sleeps until the kernel wakes it: 1 ms after the next record.
class Consumer {
public:
  explicit Consumer(const std::string& group) : agent_(group) {
    agent_.start(stream_);
    thread_ = std::jthread([this](std::stop_token stop) {
      while (!stop.stop_requested()) {
        while (agent_.next())
          ;
        agent_.free_read();
        agent_.wait(10, 1 << 30);
      }
    });
  }
  bool lost() { return agent_.state().state & DMRC_STATE_LOST; }

private:
  uint64_t stream_ = 1;
  Agent agent_;
  std::jthread thread_;
};

enum Which { Ours, Floor, Linear, kWhich };
constexpr const char* kNames[] = {"ours", "floor", "linear"};

std::string ours_params(const std::string& data, const std::string& meta, const std::string& group, unsigned volume) {
  return data + " " + meta + " " + group + " " + std::to_string(volume) + " 2 ring_mib 64";
}

// The same disk behind each of the three targets; with several volumes each has its slice of it, and what is written to
// is made of them in one line.
struct Rig {
  explicit Rig(const std::string& disk, unsigned volumes = 1, bool with_floor = true) {
    zero("/dev/ram1", 16 * kMiB);
    const uint64_t sectors = kSectors / volumes, meta_sectors = 16 * kMiB / kSector / volumes;
    std::vector<Segment> line[kWhich];
    for (unsigned i = 0; i < volumes; i++) {
      auto n = std::to_string(i);
      auto slice = [&](const std::string& name, const std::string& of, uint64_t length) {
        if (volumes == 1)
          return of;
        below.push_back(std::make_unique<Device>(name + n, length, "linear", of + " " + std::to_string(i * length)));
        return below.back()->path();
      };
      std::string data = slice("slice", disk, sectors), meta = slice("meta", "/dev/ram1", meta_sectors);
      auto add = [&](Which w, const std::string& target, const std::string& params) {
        devices.push_back(std::make_unique<Device>(kNames[w] + n, sectors, target, params));
        path[w] = devices.back()->path();
        line[w].push_back({i * sectors, sectors, "linear", path[w] + " 0"});
      };
      add(Ours, "remotecopy", ours_params(data, meta, "bench", i));
      if (with_floor)
        add(Floor, "copy-floor", data);
      add(Linear, "linear", data + " 0");
    }
    for (int w = 0; w < kWhich && volumes > 1; w++)
      if (!line[w].empty()) {
        devices.push_back(std::make_unique<Device>(std::string(kNames[w]) + "-line", kSectors, "error", ""));
        devices.back()->reload_segments(line[w]);
        path[w] = devices.back()->path();
      }
  }
  ~Rig() {
    while (!devices.empty())
      devices.pop_back(); // the lines go before what they are made of
  }
  Rig(const Rig&) = delete;
  std::vector<std::unique_ptr<Device>> below, devices;
  std::string path[kWhich];
};

using Round = std::vector<double>; // by Which; 0: not measured

void report(const std::string& name, const char* unit, const std::vector<Round>& rounds) {
  std::vector<double> of[kWhich], to_floor, to_linear;
  for (const auto& r : rounds) {
    for (int w = 0; w < kWhich; w++)
      of[w].push_back(r[w]);
    if (r[Floor] > 0)
      to_floor.push_back(r[Ours] / r[Floor]);
    if (r[Linear] > 0)
      to_linear.push_back(r[Ours] / r[Linear]);
  }
  auto text = [](double value) {
    char buffer[64];
    snprintf(buffer, sizeof(buffer), "%.4g", value);
    return value > 0 ? std::string(buffer) : std::string("-");
  };
  printf("result\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", name.c_str(), unit, text(median(of[Ours])).c_str(),
         text(median(of[Floor])).c_str(), text(median(of[Linear])).c_str(), text(median(to_floor)).c_str(),
         text(median(to_linear)).c_str());
}

bool wanted(const std::string& name) { return name.find(options.only) != std::string::npos; }

// `captured`: with a stream and a consumer; else writes only mark the map.
void compare(const std::string& name, const std::string& disk, uint64_t bytes, unsigned depth, bool captured,
             bool with_floor) {
  if (!wanted(name))
    return;
  const bool rate = bytes > 4096;
  for (int attempt = 1;; attempt++) {
    Rig rig(disk, 1, with_floor);
    std::vector<std::unique_ptr<Load>> loads(kWhich);
    for (int w = 0; w < kWhich; w++)
      if (!rig.path[w].empty())
        loads[w] = std::make_unique<Load>(rig.path[w], bytes, depth);
    std::unique_ptr<Consumer> consumer;
    if (captured)
      consumer = std::make_unique<Consumer>("bench");
    for (auto& load : loads)
      if (load)
        load->run(options.seconds / kTurns); // opens the regions, fills the caches
    std::vector<Round> rounds;
    for (int r = 0; r < options.rounds; r++) {
      Round round(kWhich);
      for (int turn = 0; turn < kTurns; turn++)
        for (int i = 0; i < kWhich; i++)
          if (int w = (i + turn) % kWhich; loads[w])
            round[w] += loads[w]->run(options.seconds / kTurns) / kTurns * (rate ? bytes / 1e6 : 1);
      rounds.push_back(round);
    }
    if (!consumer || !consumer->lost()) {
      report(name, rate ? "MB/s" : "IOPS", rounds);
      return;
    }
    // Without a stream it is another measurement.
    if (attempt == 3)
      fail(name + ": the reader is too slow for this machine: the ring overflowed three times");
  }
}

// Nanoseconds of one 4 KiB write, one after the other, without system calls and without a reader meanwhile.
void compare_in_kernel(const std::string& name, bool captured, unsigned volumes = 1) {
  if (!wanted(name))
    return;
  constexpr uint64_t kWrites = 4096; // a quarter of the ring
  Rig rig("/dev/ram0", volumes, volumes == 1);
  std::vector<std::unique_ptr<Device>> loads(kWhich);
  for (int w = 0; w < kWhich; w++)
    if (!rig.path[w].empty())
      loads[w] = std::make_unique<Device>(std::string("load-") + kNames[w], kSpan / kSector, "bench-load",
                                          rig.path[w]);
  Agent agent("bench");
  if (captured)
    agent.start();
  auto turn = [&](int w) {
    double ns = std::stod(loads[w]->ask("write 4096 " + std::to_string(kWrites)));
    while (agent.next())
      ;
    agent.free_read();
    return ns / kWrites;
  };
  for (int i = 0; i < 8 * kWhich; i++)
    if (loads[i % kWhich])
      turn(i % kWhich); // opens every region
  std::vector<Round> rounds;
  const int turns = std::max(5.0, options.seconds * 40);
  for (int r = 0; r < options.rounds; r++) {
    std::vector<double> of[kWhich];
    for (int i = 0; i < turns * kWhich; i++)
      if (int w = (i + i / kWhich) % kWhich; loads[w])
        of[w].push_back(turn(w));
    // The least disturbed ones: a disturbance only adds.
    Round round(kWhich);
    for (int w = 0; w < kWhich; w++) {
      std::sort(of[w].begin(), of[w].end());
      round[w] = of[w].empty() ? 0 : of[w][of[w].size() / 10];
    }
    rounds.push_back(round);
  }
  check(!captured || !(agent.state().state & DMRC_STATE_LOST), "the ring overflowed");
  report(name, "ns", rounds);
}

void run_all() {
  const std::string ram = "/dev/ram0", slow = "/dev/nullb0";
  if (options.kernel_load) {
    compare_in_kernel("in-kernel 4k", true);
    compare_in_kernel("in-kernel 4k map only", false);
    for (unsigned volumes : {2, 8, 64})
      compare_in_kernel("in-kernel 4k " + std::to_string(volumes) + " volumes", true, volumes);
    return;
  }
  for (unsigned depth : {1, 16, 64})
    compare("4k qd" + std::to_string(depth), ram, 4096, depth, true, true);
  compare("64k qd4", ram, 64 << 10, 4, true, true);
  compare("1M qd4", ram, kMiB, 4, true, true);
  compare("map only 4k qd1", ram, 4096, 1, false, false);
  compare("map only 4k qd16", ram, 4096, 16, false, false);
  compare("map only 64k qd4", ram, 64 << 10, 4, false, false);
  compare("1 ms disk 4k qd1", slow, 4096, 1, true, false);
  compare("1 ms disk 4k qd16", slow, 4096, 16, true, false);
}

} // namespace

// bench <rounds> <seconds> <part of a name or ""> [kernel]
int main(int argc, char** argv) try {
  setvbuf(stdout, nullptr, _IOLBF, 0);
  if (argc < 4)
    fail("bench <rounds> <seconds> <part of a name> [kernel]");
  options = {std::stoi(argv[1]), std::stod(argv[2]), argv[3], argc > 4};
  run_all();
  printf("bench-end\n");
} catch (const std::exception& e) {
  printf("bench-failed: %s\n", e.what());
  return 1;
}
