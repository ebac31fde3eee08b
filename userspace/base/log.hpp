// SPDX-License-Identifier: GPL-2.0-or-later
// Log lines to stderr with the journal's "<N>" priority prefix (systemd reads it). May be called from any
// thread; one line is one write. Values of a line are "key=value" pairs in the text.
#pragma once

#include <string_view>

namespace rc::log {

enum class Level { Error = 3, Warning = 4, Notice = 5, Info = 6, Debug = 7 };

void set_level(Level most_verbose);
void line(Level level, std::string_view text);

inline void error(std::string_view text) { line(Level::Error, text); }
inline void warning(std::string_view text) { line(Level::Warning, text); }
inline void notice(std::string_view text) { line(Level::Notice, text); }
inline void info(std::string_view text) { line(Level::Info, text); }
inline void debug(std::string_view text) { line(Level::Debug, text); }

} // namespace rc::log
