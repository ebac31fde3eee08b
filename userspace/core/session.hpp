// SPDX-License-Identifier: GPL-2.0-or-later
// One end of a session of a group on a link: when do both ends mean the same session? Each opening has a
// number of its own, and says which opening of the other end it has heard; an end is up when the other one
// has heard its latest. So what was sent in an older session never counts in a newer one, whatever crosses on
// the way. docs/wire.md, "Sessions of a group". Pure; the link delivers in order or breaks (then both ends
// reset).
#pragma once

#include <cstdint>

namespace rc::core {

class Session {
public:
  struct Open {              // as it is sent
    std::uint64_t own = 0;   // never 0, never twice on a link
    std::uint64_t heard = 0; // the other end's opening; 0: none
  };
  struct Heard {
    bool down = false;  // the other end began anew: what stood until now is over
    bool reply = false; // send current() first ...
    bool up = false;    // ... then this session stands
  };

  // This end opens: not while opened(). The caller sends what is returned.
  Open begin(std::uint64_t number);
  // Before begin() an opening is only remembered.
  Heard heard(Open theirs);
  // The session is void (closed by either end, or the link broke). Was it up?
  bool reset();

  bool opened() const { return own_ != 0; }
  bool up() const { return up_; }
  Open current() const { return {own_, theirs_}; }

private:
  std::uint64_t own_ = 0;    // 0: not opened
  std::uint64_t theirs_ = 0; // 0: not heard
  bool up_ = false;
};

} // namespace rc::core
