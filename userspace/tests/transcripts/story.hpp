// SPDX-License-Identifier: GPL-2.0-or-later
// A transcript: a text file that opens with a sentence of intent; then blocks of commands, `----`, and the
// output they must have. play() runs it and gives the text back with the output that it really had. Commands:
// commands.cpp.
#pragma once

#include <string>
#include <vector>

namespace rc::story {

std::string play(const std::string& text);

std::vector<std::string> story_files(); // full names, sorted
std::string read_text(const std::string& file);

} // namespace rc::story
