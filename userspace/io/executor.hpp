// SPDX-License-Identifier: GPL-2.0-or-later
// The one way in which io calls back: a function posted to the owner's executor (rcagent: its one io_context,
// one thread). Worker threads of io never call into the owner directly.
#pragma once

#include <utility> // before Boost.Asio 1.74: its awaitable.hpp uses std::exchange without it

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/post.hpp>

namespace rc::io {

using Executor = boost::asio::any_io_executor;

template <typename Function> void post(const Executor& executor, Function&& function) {
  boost::asio::post(executor, std::forward<Function>(function));
}

} // namespace rc::io
