// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/application.hpp"

#include "tests/sim/cluster.hpp"

namespace rc::sim {

void Application::start() {
  ++run_;
  for (int n = 0; n < host_.cluster().settings().writers; ++n)
    think(run_, host_.random().below(10 * ms));
}

void Application::think(std::uint64_t run, Time pause) {
  host_.later(pause, [this, run] {
    if (run == run_ && host_.target().accepts_writes())
      write_something(run, true);
  });
}

HostWritePtr Application::make(std::uint32_t volume, std::uint32_t block, std::uint32_t blocks,
                               format::RecordType type) {
  auto write = std::make_shared<HostWrite>();
  write->volume = volume;
  write->block = block;
  write->blocks = blocks;
  write->type = type;
  if (type == format::RecordType::Write)
    for (std::uint32_t b = 0; b < blocks; ++b)
      write->payload.values[b] = host_.cluster().next_value();
  return write;
}

void Application::write(std::uint32_t volume, std::uint32_t block, std::uint32_t blocks) {
  host_.target().submit(make(volume, block, blocks, format::RecordType::Write));
}

void Application::write_something(std::uint64_t run, bool then_think) {
  Random& random = host_.random();
  const ClusterSettings& settings = host_.cluster().settings();
  std::uint32_t volume = last_volume_, block = last_block_, blocks = 1;
  if (!random.chance(settings.repeat)) {
    volume = static_cast<std::uint32_t>(random.below(settings.shape.volumes));
    block = static_cast<std::uint32_t>(random.below(settings.shape.blocks()));
  }
  if (random.chance(0.1)) {
    blocks = region_blocks;
    block -= block % region_blocks;
  }
  last_volume_ = volume;
  last_block_ = block;
  const double kind = random.unit();
  auto write = make(volume, block, blocks,
                    kind < 0.92   ? format::RecordType::Write
                    : kind < 0.96 ? format::RecordType::Zeroes
                                  : format::RecordType::Discard);
  if (then_think)
    write->completed = [this, run, mean = settings.think](bool ok) {
      // Exponential would be finer; a wide uniform pause has quiet times, too.
      const Time pause = ok ? host_.random().below(2 * mean) : 200 * ms;
      think(run, pause);
    };
  host_.target().submit(write);
}

void Application::burst(unsigned writes) {
  if (!host_.target().accepts_writes())
    return;
  for (unsigned n = 0; n < writes; ++n)
    host_.later(n * 300 * us, [this, run = run_] {
      if (run == run_ && host_.target().accepts_writes())
        write_something(run, false);
    });
}

} // namespace rc::sim
