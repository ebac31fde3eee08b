// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/fd_watch.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <fcntl.h>

namespace rc::io {
namespace {

class AsioFdWatch final : public FdWatch {
public:
  AsioFdWatch(const Executor& executor, int own_fd) : descriptor_(executor, own_fd) {}

  void arm(std::function<void()> readable) override {
    wait(boost::asio::posix::stream_descriptor::wait_read, std::move(readable));
  }
  void arm_urgent(std::function<void()> urgent) override {
    wait(boost::asio::posix::stream_descriptor::wait_error, std::move(urgent));
  }

private:
  void wait(boost::asio::posix::stream_descriptor::wait_type what, std::function<void()> function) {
    descriptor_.async_wait(what, [function = std::move(function), alive = std::weak_ptr<bool>(alive_)](
                                     const boost::system::error_code& error) {
      if (!error && alive.lock())
        function();
    });
  }

  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
  boost::asio::posix::stream_descriptor descriptor_;
};

} // namespace

Result<std::unique_ptr<FdWatch>> FdWatch::create(const Executor& executor, int fd) {
  const int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0)
    return errno_error("cannot duplicate a file descriptor");
  return std::unique_ptr<FdWatch>(std::make_unique<AsioFdWatch>(executor, own));
}

} // namespace rc::io
