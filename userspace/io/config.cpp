// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/config.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <toml++/toml.h>

namespace rc::io {
namespace {

constexpr std::size_t config_bytes_max = 1 << 20;

struct Reader {
  const toml::table& table;
  const std::string& file;
  std::optional<Error> wrong = {};

  Error at(const toml::source_position& place, const std::string& what, const std::string& next) const {
    return {ErrorCode::Usage,
            file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) + ": " + what, next};
  }

  // Takes text; `check` says what is wrong with it (an Error without place).
  template <typename Check> void text(const char* key, bool required, std::string& to, Check&& check) {
    if (wrong)
      return;
    const toml::node* node = table.get(key);
    if (!node) {
      if (required)
        wrong = Error{ErrorCode::Usage, file + ": '" + key + "' is missing",
                      "see docs/configuration.md for an example"};
      return;
    }
    const auto* value = node->as_string();
    if (!value) {
      wrong = at(node->source().begin, std::string("'") + key + "' must be text", "put it in double quotes");
      return;
    }
    if (Status good = check(value->get()); !good)
      wrong = at(node->source().begin, std::string("'") + key + "': " + good.error().what, good.error().next);
    else
      to = value->get();
  }
};

constexpr std::array<const char*, 10> keys{"compress", "node", "site",      "listen", "certificate",
                                           "key",      "ca",   "state_dir", "socket", "log_level"};

std::string all_keys() {
  std::string text;
  for (const char* key : keys)
    text += (text.empty() ? "" : ", ") + std::string(key);
  return text;
}

std::optional<log::Level> level_from(std::string_view word) {
  if (word == "error")
    return log::Level::Error;
  if (word == "warning")
    return log::Level::Warning;
  if (word == "notice")
    return log::Level::Notice;
  if (word == "info")
    return log::Level::Info;
  if (word == "debug")
    return log::Level::Debug;
  return std::nullopt;
}

} // namespace

Result<Config> parse_config(std::string_view text, const std::string& file) {
  toml::table table;
  try {
    table = toml::parse(text);
  } catch (const toml::parse_error& error) {
    const auto place = error.source().begin;
    return Error{ErrorCode::Usage,
                 file + ":" + std::to_string(place.line) + ":" + std::to_string(place.column) + ": " +
                     std::string(error.description()),
                 "correct the line"};
  }
  Reader reader{table, file};
  for (const auto& [key, node] : table)
    if (std::find(keys.begin(), keys.end(), key.str()) == keys.end())
      return reader.at(key.source().begin, "unknown key '" + std::string(key.str()) + "'",
                       "known are: " + all_keys());

  Config config;
  std::string listen, level;
  const auto path = [](const char* what) {
    return [what](const std::string& v) { return control::check_path(what, v); };
  };
  reader.text("node", true, config.node, [](const std::string& v) { return control::check_name("node", v); });
  reader.text("site", false, config.site,
              [](const std::string& v) { return control::check_name("site", v); });
  reader.text("listen", false, listen, [&](const std::string& v) -> Status {
    const auto address = control::parse_address(v);
    if (!address)
      return address.error();
    config.listen = *address;
    return {};
  });
  reader.text("certificate", true, config.certificate, path("the certificate"));
  reader.text("key", true, config.key, path("the key"));
  reader.text("ca", true, config.ca, path("the CA's certificate"));
  reader.text("state_dir", false, config.state_dir, path("the directory"));
  reader.text("socket", false, config.socket, path("the socket"));
  reader.text("log_level", false, level, [&](const std::string& v) -> Status {
    const auto found = level_from(v);
    if (!found)
      return Error{ErrorCode::Usage, "\"" + v + "\" is no level",
                   "use error, warning, notice, info or debug"};
    config.log_level = *found;
    return {};
  });
  std::string compress;
  reader.text("compress", false, compress, [&](const std::string& v) -> Status {
    if (v != "off" && v != "auto" && v != "always")
      return Error{ErrorCode::Usage, "\"" + v + "\" is not possible", "use off, auto or always"};
    config.compress = v == "off" ? Compress::Off : v == "auto" ? Compress::Auto : Compress::Always;
    return {};
  });
  if (reader.wrong)
    return *reader.wrong;
  if (config.site.empty())
    config.site = config.node;
  return config;
}

Result<Config> read_config(const std::string& path) {
  std::FILE* file = std::fopen(path.c_str(), "re");
  if (!file)
    return errno_error("cannot read " + path).then("docs/configuration.md has an example of ten lines");
  std::string text;
  std::array<char, 4096> chunk;
  std::size_t size;
  while ((size = std::fread(chunk.data(), 1, chunk.size(), file)) > 0 && text.size() <= config_bytes_max)
    text.append(chunk.data(), size);
  const bool failed = std::ferror(file) != 0;
  const int number = errno;
  std::fclose(file);
  if (failed)
    return errno_error("cannot read " + path, number);
  if (text.size() > config_bytes_max)
    return Error{ErrorCode::Usage, path + " is larger than 1 MiB",
                 "it has ten lines: see docs/configuration.md"};
  return parse_config(text, path);
}

} // namespace rc::io
