// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/result.hpp"

namespace rc {

const char* to_string(ErrorCode code) {
  switch (code) {
  case ErrorCode::Failed:
    return "failed";
  case ErrorCode::Usage:
    return "usage";
  case ErrorCode::NotFound:
    return "not_found";
  case ErrorCode::NotPermitted:
    return "not_permitted";
  case ErrorCode::Refused:
    return "refused";
  case ErrorCode::Unreachable:
    return "unreachable";
  case ErrorCode::Timeout:
    return "timeout";
  case ErrorCode::Corrupt:
    return "corrupt";
  case ErrorCode::Full:
    return "full";
  case ErrorCode::Again:
    return "again";
  }
  return "failed";
}

Error errno_error(const std::string& what, int number) {
  ErrorCode code = ErrorCode::Failed;
  switch (number) {
  case ENOSPC:
    code = ErrorCode::Full;
    break;
  case EAGAIN:
    code = ErrorCode::Again;
    break;
  case ENOENT:
    code = ErrorCode::NotFound;
    break;
  case EPERM:
  case EACCES:
    code = ErrorCode::NotPermitted;
    break;
  case ETIMEDOUT:
    code = ErrorCode::Timeout;
    break;
  case ECONNREFUSED:
  case EHOSTUNREACH:
  case ENETUNREACH:
    code = ErrorCode::Unreachable;
    break;
  default:
    break;
  }
  char text[128];
  return Error{code, what + ": " + strerror_r(number, text, sizeof text), ""};
}

} // namespace rc
