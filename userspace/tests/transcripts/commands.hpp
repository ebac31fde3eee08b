// SPDX-License-Identifier: GPL-2.0-or-later
// The command words of transcripts. An unknown word or argument is printed as an error (so the story fails).
#pragma once

#include "transcripts/world.hpp"

namespace rc::story {

void obey(World& world, const std::string& line);

} // namespace rc::story
