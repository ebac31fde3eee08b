// SPDX-License-Identifier: GPL-2.0-or-later
// File systems on a volume: created, renamed, synced, truncated, punched, discarded, from several threads. The copy is
// identical at the end, and at a marker in the middle it is a file system that recovers like after a power cut.
#include "programs.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace kt;

namespace {

constexpr uint64_t kBytes = 64 * kMiB;
const std::string kMount = "/tmp/mount";

class Mount {
public:
  Mount(const std::string& device, const std::string& type, const char* options = "", const std::string& at = kMount)
      : at_(at) {
    mkdir(at_.c_str(), 0700);
    if (mount(device.c_str(), at_.c_str(), type.c_str(), 0, options))
      fail_errno("mount of " + type);
  }
  void unmount() {
    mounted_ = false;
    if (umount(at_.c_str()))
      fail_errno("unmount");
  }
  ~Mount() {
    if (mounted_)
      umount2(at_.c_str(), MNT_DETACH);
  }

private:
  std::string at_;
  bool mounted_ = true;
};

// What one thread does to the files of its own folder and to one that all share.
class Torturer {
public:
  explicit Torturer(unsigned number) : random_(number), own_(kMount + "/" + std::to_string(number)) {
    mkdir(own_.c_str(), 0700);
    mkdir((kMount + "/shared").c_str(), 0700);
  }
  void run(unsigned steps) {
    for (unsigned i = 0; i < steps; i++)
      step();
  }

private:
  // Others may take a shared file away at any time, and the disk may be full: nothing else may fail.
  static void good(int result, const char* what) {
    if (result < 0 && errno != ENOENT && errno != EEXIST && errno != ENOSPC)
      fail_errno(what);
  }
  std::string name() { return (random_() % 3 ? own_ : kMount + "/shared") + "/f" + std::to_string(random_() % 24); }

  void step() {
    unsigned what = random_() % 10;
    if (what == 0)
      return good(rename(name().c_str(), name().c_str()), "rename");
    if (what == 1)
      return good(unlink(name().c_str()), "unlink");
    if (what == 2)
      return good(link(name().c_str(), name().c_str()), "link");
    int fd = open(name().c_str(), O_RDWR | O_CREAT, 0600);
    good(fd, "open");
    if (fd < 0)
      return;
    if (what == 3)
      good(ftruncate(fd, random_() % 300000), "truncate");
    else if (what == 4)
      good(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, random_() % 200000, random_() % 100000 + 1),
           "punch");
    else if (what == 5)
      good(fallocate(fd, FALLOC_FL_ZERO_RANGE, random_() % 200000, random_() % 50000 + 1), "zero range");
    else
      write_some(fd);
    if (random_() % 8 == 0)
      good(fsync(fd), "fsync");
    close(fd);
  }

  void write_some(int fd) {
    std::vector<uint64_t> data(random_() % 8192 + 1);
    for (auto& word : data)
      word = random_();
    good(pwrite(fd, data.data(), data.size() * 8, random_() % 200000), "write");
  }

  std::mt19937_64 random_;
  std::string own_;
};

void torture(unsigned threads, unsigned steps) {
  std::vector<std::future<void>> all;
  for (unsigned t = 0; t < threads; t++)
    all.push_back(std::async(std::launch::async, [=] { Torturer(t + 1).run(steps); }));
  for (auto& one : all)
    one.get();
}

void trim() {
  int fd = open(kMount.c_str(), O_RDONLY | O_DIRECTORY);
  fstrim_range range{0, ~0ULL, 0};
  if (fd < 0 || ioctl(fd, FITRIM, &range))
    fail_errno("trim of the file system");
  close(fd);
}

// Each file below a folder, with size and checksum; reading them all finds what is unreadable.
void list_files(const std::string& folder, std::map<std::string, std::string>& all) {
  DIR* dir = opendir(folder.c_str());
  if (!dir)
    fail_errno(folder);
  while (dirent* d = readdir(dir)) {
    std::string path = folder + "/" + d->d_name;
    struct stat st;
    if (d->d_name[0] == '.' || lstat(path.c_str(), &st))
      continue;
    if (S_ISDIR(st.st_mode)) {
      list_files(path, all);
      continue;
    }
    std::string content = read_file(path);
    check(content.size() == static_cast<uint64_t>(st.st_size), "cannot read all of " + path);
    all[path] = std::to_string(st.st_size) + " " + std::to_string(std::hash<std::string>()(content));
  }
  closedir(dir);
}

struct Kind {
  std::string type;
  std::vector<std::string> make, check;
};
const Kind kExt4{"ext4", {"mkfs.ext4", "-q", "-F", "-E", "nodiscard"}, {"e2fsck", "-f", "-n"}};
// mkfs.xfs gives up small file systems unless it is told that nobody will rely on them.
const Kind kXfs{"xfs", {"mkfs.xfs", "-q", "-f", "-K", "--unsupported"}, {"xfs_repair", "-n"}};

void run_on(std::vector<std::string> words, const std::string& device) {
  words.push_back(device);
  must_run(words);
}

// The copy on a disk of its own: mounts, which recovers it, holds readable files and is clean.
std::map<std::string, std::string> files_of_copy(const Kind& kind, const Replica& copy, bool was_unmounted) {
  Loop loop(kBytes);
  std::map<std::string, std::string> files;
  {
    Disk disk(loop.path(), false);
    disk.write(copy.data(), copy.size(), 0);
    disk.flush();
  }
  if (was_unmounted)
    run_on(kind.check, loop.path());
  Mount mount(loop.path(), kind.type);
  list_files(kMount, files);
  mount.unmount();
  run_on(kind.check, loop.path());
  return files;
}

void torture_file_system(const Kind& kind) {
  std::map<std::string, std::string> files;
  std::vector<Replica> copies;
  {
    // tmpfs can't zero without giving up blocks, as mkfs asks for; the loop device of 6.12 then offers no zeroes, and
    // no discards, from there on.
    run_on(kExt4.make, data_disk(3));
    Mount home(data_disk(3), "ext4", "", "/tmp/home");
    Loop loop(kBytes, "/tmp/home");
    Copied volume(kind.type, loop.path(), meta_disk(0), kBytes / kSector);
    run_on(kind.make, volume.path());
    Mount mount(volume.path(), kind.type, "discard");
    torture(3, 300);
    auto more = std::async(std::launch::async, [] { torture(3, 400); });
    // In the middle of the work: what the copy holds then is what a power cut would leave.
    await(60, "writes while files change", [&] {
      return volume.writes() > 50 && more.wait_for(std::chrono::milliseconds(20)) != std::future_status::deferred;
    });
    volume.agent().checkpoint();
    more.get();
    trim();
    list_files(kMount, files);
    mount.unmount();
    run_on(kind.check, volume.path());
    volume.finish();
    check(volume.writes() > 100 && volume.zeroes() > 5,
          "only " + std::to_string(volume.writes()) + " writes and " + std::to_string(volume.zeroes()) + " discards");
    printf("  %zu files, %llu writes, %llu discards\n", files.size(), static_cast<unsigned long long>(volume.writes()),
           static_cast<unsigned long long>(volume.zeroes()));
    copies = volume.at_markers();
    copies.push_back(volume.copy());
  }
  check(files.size() > 20, "hardly a file was made");
  check(!files_of_copy(kind, copies.at(0), false).empty(), "no file in the copy of the middle");
  check(files_of_copy(kind, copies.at(1), true) == files, "the copy holds other files");
}

} // namespace

KT_TEST_PROGRAMS(ext4_survives_torture_and_so_does_its_copy) { torture_file_system(kExt4); }
KT_TEST_PROGRAMS(xfs_survives_torture_and_so_does_its_copy) { torture_file_system(kXfs); }

// The control: a copy that lacks one run of records is noticed.
KT_TEST_PROGRAMS(a_copy_without_some_writes_is_noticed) {
  Loop loop(kBytes);
  Copied volume("ext4less", loop.path(), meta_disk(0), kBytes / kSector);
  run_on(kExt4.make, volume.path());
  Mount mount(volume.path(), "ext4");
  Disk(volume.path()).flush();
  volume.agent().stop(); // what follows has no record
  torture(1, 100);
  mount.unmount();
  bool noticed = false;
  try {
    volume.finish();
  } catch (const Failure& e) {
    printf("  noticed: %s\n", e.what());
    noticed = true;
  }
  check(noticed, "a copy that lacks writes passed for identical");
}
