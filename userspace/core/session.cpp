// SPDX-License-Identifier: GPL-2.0-or-later
// Each opening that is new to this end is answered once, with one that says that it was heard: no answer
// answers an answer, so the talk ends.
#include "core/session.hpp"

#include "base/assert.hpp"

#include <utility>

namespace rc::core {

Session::Open Session::begin(std::uint64_t number) {
  RC_ASSERT(number != 0 && !opened());
  own_ = number;
  return current();
}

Session::Heard Session::heard(Open theirs) {
  Heard result;
  const bool is_new = theirs.own != theirs_;
  if (is_new) {
    result.down = std::exchange(up_, false);
    theirs_ = theirs.own;
  }
  if (!opened())
    return result;
  result.reply = is_new;
  result.up = !up_ && theirs.heard == own_;
  up_ |= result.up;
  return result;
}

bool Session::reset() {
  own_ = theirs_ = 0;
  return std::exchange(up_, false);
}

} // namespace rc::core
