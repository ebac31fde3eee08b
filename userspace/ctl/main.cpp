// SPDX-License-Identifier: GPL-2.0-or-later
// rcctl: words in, exit code out. Everything else is in the verb table.
#include "ctl/verb.hpp"

#include <cstdlib>
#include <iostream>
#include <sys/ioctl.h>
#include <unistd.h>

namespace {

int columns_of_terminal() {
  if (const char* given = std::getenv("COLUMNS"))
    if (const int columns = std::atoi(given); columns > 0)
      return columns;
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 100;
}

} // namespace

int main(int argc, char** argv) {
  rc::ctl::Terminal terminal{std::cout, std::cerr, isatty(STDOUT_FILENO) == 1, columns_of_terminal()};
  const int code = rc::ctl::run({argv + 1, argv + argc}, terminal);
  std::cout.flush();
  if (!std::cout && code == 0) {
    std::cerr << "rcctl: cannot write the output\n";
    return rc::ctl::Exit::failed;
  }
  return code;
}
