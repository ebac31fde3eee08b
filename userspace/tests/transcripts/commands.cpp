// SPDX-License-Identifier: GPL-2.0-or-later
// One small function per command word. After each command everything goes on that is not held back.
#include "transcripts/commands.hpp"

#include <algorithm>
#include <functional>
#include <sstream>

namespace rc::story {
namespace {

using Words = std::vector<std::string>;

std::uint64_t number(const Words& words, const std::string& name, std::uint64_t otherwise) {
  for (const std::string& word : words)
    if (word.rfind(name + "=", 0) == 0)
      return std::stoull(word.substr(name.size() + 1));
  return otherwise;
}

bool has(const Words& words, const std::string& word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::uint64_t duration(const std::string& text) {
  const std::uint64_t value = std::stoull(text);
  return text.size() > 2 && text.substr(text.size() - 2) == "ms" ? value * core::ms : value * core::second;
}

using Command = std::function<void(World&, const Words&)>;

const std::map<std::string, Command>& commands() {
  static const std::map<std::string, Command> all = {
      // primary NAME [regions=4] [volumes=1] [slots=1024] [spill=BYTES] [window=BYTES] [fence_stop] [manual]
      {"primary",
       [](World& world, const Words& words) {
         world.slots = number(words, "slots", 1024);
         world.spill_bytes = number(words, "spill", 1 << 20);
         world.window_bytes = number(words, "window", 8 << 20);
         world.fence = has(words, "fence_stop") ? core::Fence::Stop : core::Fence::Go;
         world.auto_checkpoints = !has(words, "manual");
         world.make_primary(words[1], number(words, "regions", 4), number(words, "volumes", 1));
       }},
      // copy NAME sync|async [timeout=MS]
      {"copy",
       [](World& world, const Words& words) {
         world.make_copy(words[1], words[2] == "sync" ? core::LinkMode::Sync : core::LinkMode::Async,
                         number(words, "timeout", 5000));
       }},
      // write VOLUME:REGION...
      {"write",
       [](World& world, const Words& words) {
         for (std::size_t i = 1; i < words.size(); ++i) {
           const auto colon = words[i].find(':');
           world.write(static_cast<VolumeNumber>(std::stoul(words[i])),
                       std::stoull(words[i].substr(colon + 1)));
         }
       }},
      {"checkpoint", [](World& world, const Words&) { world.checkpoint_now(); }},
      {"void",
       [](World& world, const Words&) {
         world.held_checkpoints = false;
         world.checkpoint_now();
         world.held_checkpoints = true;
       }},
      {"pass", [](World& world, const Words& words) { world.pass(duration(words[1])); }},
      // hold NODE flush|apply|in|out|spill...   let NODE ...
      {"hold", [](World& world,
                  const Words& words) { world.node(words[1]).held.insert(words.begin() + 2, words.end()); }},
      {"let",
       [](World& world, const Words& words) {
         for (std::size_t i = 2; i < words.size(); ++i)
           world.node(words[1]).held.erase(words[i]);
       }},
      {"cut", [](World& world, const Words& words) { world.cut(words[1]); }},
      {"heal", [](World& world, const Words& words) { world.heal(words[1]); }},
      {"power-cut", [](World& world, const Words& words) { world.power_cut(words[1]); }},
      {"kill", [](World& world, const Words& words) { world.kill_agent(words[1]); }},
      {"start", [](World& world, const Words& words) { world.start(words[1]); }},
      {"half-apply", [](World& world, const Words& words) { world.half_apply(words[1]); }},
      {"takeover", [](World& world, const Words& words) { world.takeover(words[1]); }},
      {"secondary", [](World& world, const Words& words) { world.make_secondary(words[1]); }},
      {"close-regions", [](World& world, const Words&) { world.primary().kernel.close_regions(); }},
      // fill N: N writes, over all regions of volume 0 in turn, without letting anything go on between
      {"fill",
       [](World& world, const Words& words) {
         for (std::uint64_t i = 0; i < std::stoull(words[1]); ++i)
           world.write(0, i % world.primary().kernel.volumes[0].size());
       }},
      // copies N|on: how many more regions the kernel reads
      {"copies",
       [](World& world, const Words& words) {
         world.primary().kernel.copies_left = words[1] == "on" ? ~0ULL : std::stoull(words[1]);
       }},
      {"suspend",
       [](World& world, const Words& words) {
         world.tell_source(core::source::SuspendRequested{world.node(words[1]).slot, "maintenance"});
       }},
      {"resume",
       [](World& world, const Words& words) {
         world.tell_source(core::source::ResumeRequested{world.node(words[1]).slot});
       }},
      {"confirm", [](World& world, const Words&) { world.tell_source(core::source::ForceConfirmed{}); }},
      // late NODE FIRST VALUE: a record that was still in a socket buffer arrives
      {"late",
       [](World& world, const Words& words) {
         Node& node = world.node(words[1]);
         auto message = std::make_shared<format::RecordsMessage>();
         message->stream = node.copy.journal.segments.back().stream;
         format::Record record{};
         record.type = DMRC_WRITE;
         record.stream = static_cast<std::uint32_t>(message->stream.value);
         record.seq = std::stoull(words[2]);
         record.length = region_sectors * DMRC_SECTOR_BYTES;
         record.data_crc = static_cast<std::uint32_t>(std::stoul(words[3]));
         record.era = Era::of(1, 900).value;
         message->records = {record};
         world.tell_target(words[1], core::target::RecordsArrived{message});
       }},
      {"trace",
       [](World& world, const Words& words) {
         world.traced = {words.begin() + 1, words.end()};
       }},
      {"show",
       [](World& world, const Words& words) {
         for (std::size_t i = 1; i < words.size(); ++i)
           world.out += world.show(words[i]);
       }},
      {"image",
       [](World& world, const Words& words) {
         for (std::size_t i = 1; i < words.size(); ++i)
           world.out += words[i] + ":" + world.image(words[i]) + "\n";
       }},
      {"compare",
       [](World& world, const Words& words) {
         for (std::size_t i = 1; i < words.size(); ++i)
           world.out += words[i] + ": " + world.compare(words[i]);
       }},
      {"lost", [](World& world, const Words& words) { world.out += words[1] + ": " + world.lost(words[1]); }},
      // what the application was told: by acknowledgement, alone, and what still waits
      {"completed",
       [](World& world, const Words& words) {
         const KernelModel& kernel = world.node(words.size() > 1 ? words[1] : world.primary().name).kernel;
         world.out += "acknowledged " + std::to_string(kernel.completed_acked.size()) + ", alone " +
                      std::to_string(kernel.completed_alone.size()) + ", waiting " +
                      std::to_string(kernel.waiting.size()) + "\n";
       }},
  };
  return all;
}

} // namespace

void obey(World& world, const std::string& line) {
  std::istringstream stream(line);
  Words words;
  for (std::string word; stream >> word;)
    words.push_back(word);
  const auto found = commands().find(words.front());
  if (found == commands().end()) {
    world.out += "unknown command " + words.front() + "\n";
    return;
  }
  found->second(world, words);
  world.run();
}

} // namespace rc::story
