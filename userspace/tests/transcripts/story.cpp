// SPDX-License-Identifier: GPL-2.0-or-later
// Reads the blocks of a transcript, one World per file.
#include "transcripts/story.hpp"

#include "transcripts/commands.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>

namespace rc::story {

std::string play(const std::string& text) {
  World world;
  std::istringstream lines(text);
  std::string played;
  std::string output;
  std::string line;
  bool in_output = false;
  while (std::getline(lines, line)) {
    if (in_output) { // the expected output is replaced by the real one
      if (line.empty()) {
        in_output = false;
        played += '\n';
      }
      continue;
    }
    played += line + '\n';
    if (line == "----") {
      in_output = true;
      played += output;
      output.clear();
    } else if (!line.empty() && line.front() != '#') {
      world.out.clear();
      obey(world, line);
      output += world.out;
    }
  }
  return played;
}

std::vector<std::string> story_files() {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(STORY_FOLDER))
    if (entry.path().extension() == ".txt" && entry.path().filename() != "CMakeLists.txt")
      files.push_back(entry.path().string());
  std::sort(files.begin(), files.end());
  return files;
}

std::string read_text(const std::string& file) {
  std::ifstream in(file);
  std::ostringstream text;
  text << in.rdbuf();
  return text.str();
}

} // namespace rc::story
