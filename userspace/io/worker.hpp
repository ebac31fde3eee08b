// SPDX-License-Identifier: GPL-2.0-or-later
// One thread that runs functions in order. For blocking calls (libdevmapper, blkid, opening journals) that
// the owner's thread must not wait for: run() the call, post() the result back.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>

namespace rc::io {

// Name of the calling thread (at most 15 characters); blocks all signals in it: signals are the main
// thread's.
void begin_thread(const std::string& name);

class Worker {
public:
  explicit Worker(std::string name);
  ~Worker(); // finishes what was queued
  void run(std::function<void()> function);

private:
  void loop();
  std::string name_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace rc::io
