// SPDX-License-Identifier: GPL-2.0-or-later
#include "causal/options.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <functional>
#include <map>

namespace rc::causal {

const char* const help_text =
    R"(rc-causal: proves or refutes that a copy of several devices is consistent (docs/causal-checker.md)

rc-causal write --device PATH... --log PATH [options]
  --device PATH        a device or file to overwrite; repeat it, the order counts
  --log PATH           completion log: file, character device (virtio-serial port), or - for standard output
  --writers N          strands of the load (4);  --queue-depth N  writes in flight of each (1)
  --size BYTES[,...]   block sizes, powers of two from 512 to 1M (4096)
  --span BYTES         working set on each device (64M or the smallest device)
  --rate N             writes per second (as fast as possible)
  --seconds S  --count N   end after that; --min-writes N  exit 1 if fewer were acknowledged
  --fsync-every N      flush the device after every Nth write of a lane, before it counts as complete
  --seed N (1)  --run HEX (random)  --payload random|pattern  --buffered  --on-error stop|retry  --json
  several hosts: --hosts N --host I --run HEX on each, --listen unix:PATH|tcp:HOST:PORT  --peer ADDRESS...
rc-causal verify --device [NUMBER=]PATH... [--log PATH...] [options]
  --run HEX            which run (the last one in the log; without a log, the newest on the devices)
  --acknowledged-all   fail unless every logged write is there
  --until NS           completions after this CLOCK_REALTIME do not count as acknowledged
  --min-contained N    fail if the image holds fewer writes
  --log-offset BYTES   skip what was in the log's file before
  --json
rc-causal read-log PATH [--run HEX] [--log-offset BYTES] [--records] [--json]

exit: 0 good; 1 violated (write: too few writes); 2 usage; 3 cannot read, write or judge
)";

namespace {

Error usage(const std::string& what, const std::string& next = "rc-causal --help") {
  return {ErrorCode::Usage, what, next};
}

using Setter = std::function<Status(const std::string&)>;
struct Option {
  bool has_value;
  Setter set;
};
using Table = std::map<std::string, Option>;

template <typename T> Status parse_number(const std::string& text, T& to, int base = 10) {
  T value{};
  std::from_chars_result result{};
  if constexpr (std::is_floating_point_v<T>)
    result = std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
  else
    result = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (result.ec != std::errc() || result.ptr != text.data() + text.size() || !(value >= 0) ||
      (std::is_floating_point_v<T> && value > static_cast<T>(1e9)))
    return usage("\"" + text + "\" is no number in the range", "");
  to = value;
  return {};
}

Status parse_bytes(const std::string& text, std::uint64_t& to) {
  static const std::string units = "kmgt";
  std::string digits = text;
  std::size_t shift = 0;
  if (!digits.empty()) {
    const auto unit = units.find(static_cast<char>(digits.back() | 0x20));
    if (unit != std::string::npos) {
      shift = 10 * (unit + 1);
      digits.pop_back();
    }
  }
  std::uint64_t value = 0;
  if (const Status status = parse_number(digits, value); !status)
    return status;
  if (value > (~0ULL >> shift) >> 1)
    return usage("\"" + text + "\" is too large", "");
  to = value << shift;
  return {};
}

Status parse_sizes(const std::string& text, std::uint16_t& to) {
  std::uint32_t sizes = 0;
  for (std::size_t at = 0; at <= text.size();) {
    const std::size_t comma = std::min(text.find(',', at), text.size());
    std::uint64_t bytes = 0;
    if (const Status status = parse_bytes(text.substr(at, comma - at), bytes); !status)
      return status;
    if (!std::has_single_bit(bytes) || bytes < sector_bytes || bytes > max_block_bytes)
      return usage("block sizes are powers of two from 512 to 1M", "");
    sizes |= 1U << (std::bit_width(bytes) - 10);
    at = comma + 1;
  }
  to = static_cast<std::uint16_t>(sizes);
  return {};
}

template <typename T> Option number(T& to, int base = 10) {
  return {true, [&to, base](const std::string& text) { return parse_number(text, to, base); }};
}
Option bytes(std::uint64_t& to) {
  return {true, [&to](const std::string& text) { return parse_bytes(text, to); }};
}
Option word(std::string& to) {
  return {true, [&to](const std::string& text) {
            to = text;
            return Status();
          }};
}
Option words(std::vector<std::string>& to) {
  return {true, [&to](const std::string& text) {
            to.push_back(text);
            return Status();
          }};
}
Option flag(bool& to, bool value = true) {
  return {false, [&to, value](const std::string&) {
            to = value;
            return Status();
          }};
}
template <typename T> Option choice(T& to, std::map<std::string, T> values) {
  return {true, [&to, values](const std::string& text) {
            const auto found = values.find(text);
            if (found == values.end())
              return Status(usage("\"" + text + "\" is none of the choices"));
            to = found->second;
            return Status();
          }};
}

// `rest`: where arguments that are no options go; null: there are none.
Status parse_table(const std::vector<std::string>& arguments, const Table& table,
                   std::vector<std::string>* rest) {
  for (std::size_t i = 1; i < arguments.size(); i++) {
    std::string name = arguments[i];
    std::optional<std::string> value;
    if (!name.starts_with("--")) {
      if (!rest)
        return usage("unexpected argument " + name);
      rest->push_back(name);
      continue;
    }
    if (const std::size_t equals = name.find('='); equals != std::string::npos) {
      value = name.substr(equals + 1);
      name.resize(equals);
    }
    const auto option = table.find(name);
    if (option == table.end())
      return usage("unknown option " + name);
    if (option->second.has_value && !value) {
      if (++i == arguments.size())
        return usage(name + " needs a value");
      value = arguments[i];
    } else if (!option->second.has_value && value) {
      return usage(name + " takes no value");
    }
    if (const Status status = option->second.set(value.value_or("")); !status)
      return status.error().because(name);
  }
  return {};
}

Result<Options> parse_write(const std::vector<std::string>& arguments) {
  WriteOptions write;
  const Table table{
      {"--device", words(write.devices)},
      {"--log", word(write.log)},
      {"--run", number(write.run, 16)},
      {"--seed", number(write.seed)},
      {"--hosts", number(write.hosts)},
      {"--host", number(write.host)},
      {"--writers", number(write.writers)},
      {"--queue-depth", number(write.queue_depth)},
      {"--size", {true, [&](const std::string& text) { return parse_sizes(text, write.sizes); }}},
      {"--span", bytes(write.span_bytes)},
      {"--rate", number(write.rate)},
      {"--seconds", number(write.seconds)},
      {"--count", number(write.count)},
      {"--min-writes", number(write.min_writes)},
      {"--fsync-every", number(write.fsync_every)},
      {"--payload",
       choice<Payload>(write.payload, {{"random", Payload::Random}, {"pattern", Payload::Pattern}})},
      {"--buffered", flag(write.direct, false)},
      {"--on-error", choice<bool>(write.retry_errors, {{"stop", false}, {"retry", true}})},
      {"--listen", words(write.listen)},
      {"--peer", words(write.peers)},
      {"--json", flag(write.json)},
  };
  if (const Status status = parse_table(arguments, table, nullptr); !status)
    return status.error();
  if (write.devices.empty())
    return usage("no --device");
  if (write.log.empty())
    return usage("no --log: without it nobody knows what was acknowledged");
  if (write.host >= write.hosts)
    return usage("--host counts from 0 and must be below --hosts");
  if (write.hosts > 1 && write.run == 0)
    return usage("several hosts need one --run",
                 "give every host the same --run HEX, --seed, --size, --span");
  if (std::uint32_t{write.writers} * write.queue_depth > max_lanes)
    return usage("at most " + std::to_string(max_lanes) + " lanes (writers x queue depth, over all hosts)");
  return Options(write);
}

Result<Options> parse_verify(const std::vector<std::string>& arguments) {
  VerifyOptions verify;
  const auto device = [&](const std::string& text) {
    std::uint32_t index = verify.devices.empty() ? 0 : verify.devices.back().device + 1;
    std::string path = text;
    const std::size_t equals = text.find('=');
    if (equals != std::string::npos && parse_number(text.substr(0, equals), index))
      path = text.substr(equals + 1);
    for (const auto& other : verify.devices)
      if (other.device == index)
        return Status(usage("device " + std::to_string(index) + " is given twice"));
    verify.devices.push_back({index, path});
    return Status();
  };
  const Table table{
      {"--device", {true, device}},
      {"--log", words(verify.logs)},
      {"--log-offset", number(verify.log_offset)},
      {"--run", number(verify.run, 16)},
      {"--acknowledged-all", flag(verify.acknowledged_all)},
      {"--until", number(verify.until_ns)},
      {"--min-contained", number(verify.min_contained)},
      {"--json", flag(verify.json)},
  };
  if (const Status status = parse_table(arguments, table, nullptr); !status)
    return status.error();
  if (verify.devices.empty())
    return usage("no --device");
  if (verify.acknowledged_all && verify.logs.empty())
    return usage("--acknowledged-all needs a --log");
  return Options(verify);
}

Result<Options> parse_read_log(const std::vector<std::string>& arguments) {
  ReadLogOptions read;
  std::vector<std::string> paths;
  const Table table{{"--log-offset", number(read.log_offset)},
                    {"--run", number(read.run, 16)},
                    {"--records", flag(read.records)},
                    {"--json", flag(read.json)}};
  if (const Status status = parse_table(arguments, table, &paths); !status)
    return status.error();
  if (paths.size() != 1)
    return usage("read-log needs one PATH");
  read.path = paths[0];
  return Options(read);
}

} // namespace

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  const std::string verb = arguments.empty() ? "" : arguments[0];
  if (verb == "--help" || verb == "-h" || verb == "help" ||
      std::find(arguments.begin(), arguments.end(), "--help") != arguments.end())
    return Options(HelpOptions{});
  if (verb == "write")
    return parse_write(arguments);
  if (verb == "verify")
    return parse_verify(arguments);
  if (verb == "read-log")
    return parse_read_log(arguments);
  return usage(verb.empty() ? "no command" : "unknown command " + verb,
               "rc-causal write, verify or read-log; rc-causal --help");
}

} // namespace rc::causal
