// SPDX-License-Identifier: GPL-2.0-or-later
// What one seat (a group at a site) does for its copyset, next to its Source or Target: it marks and lifts,
// or reports and releases, as its site's master says; it may be that master, and it may be the registrar
// (docs/copyset.md). Pure: events in, actions out.
//
// A checkpoint n is valid if and only if the streams of all groups that were members under its epoch carry
// marker n and `held n`. A copy is released to n only when all copies of the site have it on stable storage;
// so whatever a host sees there, on whichever nodes, is one whole checkpoint.
//
// Orders and reports say all that is wanted, or is so, and are said again until they are answered: each may
// be lost, doubled, late or overtaken.
//
// A restart is a new Copyset with the stored table: promises and terms are gone with the process.
#pragma once

#include "core/copyset_events.hpp"

#include <memory>

namespace rc::core {

struct CopysetConfig {
  format::Seat self;
  std::uint64_t checkpoint_interval_ms = 1000;
  std::uint64_t max_hold_ms = 500; // the kernel lifts by itself after it
  bool operator==(const CopysetConfig&) const = default;
};

struct CopysetStatus {
  bool master = false;
  bool registrar = false;
  Epoch epoch{};
  std::string step;  // what the master is doing, in words; empty: not the master
  std::string waits; // for whom, in words; empty: for nobody
  Era last_valid{};  // master of the primary site: the last checkpoint that all have lifted in time
  std::uint64_t checkpoints = 0; // of them, in this life
  std::uint64_t voids = 0;       // rounds that were given up or lifted too late
};

class Copyset {
public:
  Copyset(CopysetConfig config, format::CopysetTable table);
  ~Copyset();
  Copyset(Copyset&&) noexcept;
  Copyset& operator=(Copyset&&) noexcept;

  copyset::Actions step(const copyset::Event& event, Now now);
  CopysetStatus status(Now now) const;
  const format::CopysetTable& table() const;

private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

} // namespace rc::core
