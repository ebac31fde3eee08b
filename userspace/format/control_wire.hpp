// SPDX-License-Identifier: GPL-2.0-or-later
// Decoded forms of the messages on the control socket; apart from control_json.hpp because they hold whole
// JSON values (the full library header is slow to compile).
#pragma once

#include "format/control_json.hpp"

#include <nlohmann/json.hpp>

namespace rc::control {

struct CallMessage {
  std::string method;
  Json parameters; // an object, may be empty
  bool more = false;
};

struct ReplyMessage {
  Json parameters;
  bool continues = false;
  std::optional<Error> error; // when set it is the last reply and parameters are empty
};

} // namespace rc::control
