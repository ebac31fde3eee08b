// SPDX-License-Identifier: GPL-2.0-or-later
// A broken promise of design.md section 9, or of a contract between core and its executor: ends the history.
#pragma once

#include <stdexcept>
#include <string>

namespace rc::sim {

class Violation : public std::runtime_error {
public:
  // `rule`: number in section 9, or a word; first in the message so that counts by rule are easy.
  Violation(const std::string& rule, const std::string& what)
      : std::runtime_error("[" + rule + "] " + what) {}
};

} // namespace rc::sim
