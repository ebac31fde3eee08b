// SPDX-License-Identifier: GPL-2.0-or-later
// Programs in the machine under test, and the copy that follows what they write.
#include "programs.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace kt {

int run_program(const std::vector<std::string>& words, std::string* output) {
  std::vector<char*> argv;
  for (const auto& w : words)
    argv.push_back(const_cast<char*>(w.c_str()));
  argv.push_back(nullptr);
  char path[] = "PATH=/bin";
  char* environment[] = {path, nullptr};
  int ends[2];
  if (pipe2(ends, O_CLOEXEC))
    fail_errno("pipe");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
  posix_spawn_file_actions_adddup2(&actions, ends[1], 2);
  pid_t pid;
  int error = posix_spawn(&pid, ("/bin/" + words[0]).c_str(), &actions, nullptr, argv.data(), environment);
  posix_spawn_file_actions_destroy(&actions);
  close(ends[1]);
  char text[4096];
  for (ssize_t n; !error && (n = read(ends[0], text, sizeof(text))) > 0;)
    if (output)
      output->append(text, n);
  close(ends[0]);
  if (error)
    fail("cannot run " + words[0] + ": " + strerror(error));
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR)
      fail_errno("waitpid");
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void must_run(const std::vector<std::string>& words) {
  std::string output;
  if (int status = run_program(words, &output))
    fail(words[0] + " ended with " + std::to_string(status) + ": " +
         output.substr(output.size() < 1500 ? 0 : output.size() - 1500));
}

Copied::Copied(const std::string& group, const std::string& data, const std::string& meta, uint64_t sectors)
    : sectors_(sectors), volume_((zero(meta, kMiB), group + "-0"), sectors, "remotecopy",
                                 params(data, meta, group, 0, "ring_mib 16 region_kib 64")),
      agent_(group) {
  agent_.start();
  dmrc_throttle wait{10000, 0};
  check(!agent_.try_ioctl(DMRC_IOC_THROTTLE, &wait), "throttle");
  copies_[0] = Replica(sectors * kSector);
  reader_ = std::make_unique<Reader>(agent_, copies_, [this](const dmrc_record& r) { look(r); });
}

void Copied::look(const dmrc_record& r) {
  check(r.type != DMRC_LOSS, "the stream was lost");
  writes_ += r.type == DMRC_WRITE;
  zeroes_ += r.type == DMRC_DISCARD || r.type == DMRC_ZEROES;
  if (r.type == DMRC_MARKER)
    at_markers_.push_back(copies_[0]);
}

void Copied::finish() {
  reader_->stop();
  check(!(agent_.state().state & DMRC_STATE_LOST), "the stream was lost");
  auto disk = Disk(path()).content(sectors_ * kSector);
  uint64_t wrong = 0, first = 0;
  for (uint64_t s = 0; s < sectors_; s++)
    if (memcmp(&disk[s * kSector], &copy()[s * kSector], kSector) && !wrong++)
      first = s;
  check(!wrong, std::to_string(wrong) + " sectors of the copy differ from the disk, the first is " +
                    std::to_string(first));
}

} // namespace kt
