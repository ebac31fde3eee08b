// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/fleet.hpp"

#include "core/copyset_table.hpp"

#include <algorithm>

namespace rc::sim {

namespace {
constexpr Time check_every = 100 * ms;
constexpr Time converge_within = 180 * second;
constexpr Time current_within = 60 * second;
const char* const site_names[] = {"P", "S", "D", "E"};
} // namespace

Fleet::Fleet(std::uint64_t seed, ClusterSettings settings, Random random, Counters& counters, bool tracing)
    : settings_(settings), random_(random), counters_(counters) {
  for (int n = 0; n < settings_.groups; ++n)
    groups_.push_back(std::make_unique<Cluster>(seed, settings_, Random(random_.next()), counters_, tracing,
                                                Cluster::Place{this, n, scheduler_, lines_}));
}
Fleet::~Fleet() = default;

format::CopysetTable Fleet::first_table() const {
  format::CopysetTable table;
  table.name = "bank";
  table.epoch = Epoch{1};
  format::Membership all{Epoch{1}, {}};
  for (int g = 0; g < settings_.groups; ++g) {
    all.groups.push_back("g" + std::to_string(g));
    for (int site = 0; site < settings_.hosts; ++site)
      table.seats.push_back({all.groups.back(), site_names[site]});
  }
  table.memberships = {all};
  for (int site = 0; site < settings_.hosts; ++site)
    table.masters.push_back({"g" + std::to_string(site % settings_.groups), site_names[site]});
  table.registrar = table.masters.back();
  return table;
}

// ---- the net between seats

Host* Fleet::find(const format::Seat& seat) {
  for (auto& cluster : groups_)
    for (int n = 0; n < cluster->hosts(); ++n)
      if (cluster->seat(n) == seat)
        return &cluster->host(n);
  return nullptr;
}

Fleet::Path& Fleet::path(const Host& from, const Host& to) { return paths_[{&from, &to}]; }

// Connections: nothing overtakes, what is under way at a cut or at the end of either process is lost.
void Fleet::send(Host& from, const format::CopysetMessage& message) {
  Host* to = find(message.to);
  if (!to)
    throw Violation("contract", "the core talks to a seat that is not there");
  Path& way = path(from, *to);
  if (scheduler_.now() < way.cut_until || !to->running() || random_.chance(stopped_ ? 0 : 0.005)) {
    counters_.add("copyset message lost");
    return;
  }
  const bool near = message.from.site == message.to.site;
  const Time added = scheduler_.now() < way.slow_until ? way.slow_by : 0;
  const Time delay = added + (near ? 50 * us + random_.below(2 * ms)
                                   : settings_.far_delay / 2 + random_.below(settings_.far_delay));
  way.last_arrival = std::max(way.last_arrival + 1, scheduler_.now() + delay);
  scheduler_.at(way.last_arrival, [to, message, life = to->life(), &way, this] {
    if (to->life() != life || scheduler_.now() < way.cut_until)
      return;
    to->agent_later(0, [to, message] { to->agent()->copyset_message(message); });
  });
}

void Fleet::cut(Time duration) {
  Cluster& one = group(static_cast<int>(random_.below(static_cast<std::uint64_t>(groups()))));
  Host& host = one.host(static_cast<int>(random_.below(static_cast<std::uint64_t>(one.hosts()))));
  const bool one_way = random_.chance(0.4);
  const bool isolated = random_.chance(0.4);
  for (auto& cluster : groups_)
    for (int n = 0; n < cluster->hosts(); ++n) {
      Host& other = cluster->host(n);
      if (&other == &host || (!isolated && random_.chance(0.5)))
        continue;
      path(host, other).cut_until = scheduler_.now() + duration;
      if (!one_way)
        path(other, host).cut_until = scheduler_.now() + duration;
    }
}

// The copies of a sync site can talk late or not at all, and the link or pair of one of them fails: whatever
// the others do not hear of yet, nobody may go on alone before they have closed.
void Fleet::part_sync_site() {
  const int site = active() == 0 ? 1 : 0;
  const auto any = [&] { return static_cast<int>(random_.below(static_cast<std::uint64_t>(groups()))); };
  const int failing = any();
  const bool cut_off = random_.chance(0.5);
  const Time lasts = second + random_.below(6 * second);
  for (auto& from : groups_)
    for (auto& to : groups_) {
      Path& way = path(from->host(site), to->host(site));
      if (from == to || (!cut_off && random_.chance(0.5)))
        continue;
      (cut_off ? way.cut_until : way.slow_until) = scheduler_.now() + lasts;
      way.slow_by = 100 * ms + random_.below(500 * ms);
    }
  scheduler_.after(random_.below(cut_off ? 500 * ms : lasts),
                   [this, failing, site, suspends = random_.chance(0.4)] {
                     Cluster& one = group(failing);
                     const int primary = one.active();
                     if (stopped_ || primary == site)
                       return;
                     auto* agent = dynamic_cast<SourceAgent*>(one.host(primary).agent());
                     if (!suspends || !agent) {
                       one.wire(primary, site).stall(site, 2 * second + random_.below(6 * second));
                       one.wire(primary, site).stall(primary, 2 * second + random_.below(6 * second));
                       return;
                     }
                     agent->suspend(site);
                     scheduler_.after(second + random_.below(4 * second), [this, &one, primary, site] {
                       if (auto* later = dynamic_cast<SourceAgent*>(one.host(primary).agent()))
                         later->resume(site);
                     });
                   });
}

// ---- what happens to sites

void Fleet::begin_a_seat_anew() {
  Cluster& one = group(static_cast<int>(random_.below(static_cast<std::uint64_t>(groups()))));
  Host& host = one.host(static_cast<int>(random_.below(static_cast<std::uint64_t>(one.hosts()))));
  if (!host.running())
    return;
  counters_.add("seat begins anew");
  host.agent_later(0, [&host] { host.agent()->begin_seat_anew(); });
}

void Fleet::plan() {
  scheduler_.after(random_.below(4 * settings_.fault_every), [this] {
    if (stopped_)
      return;
    strike();
    plan();
  });
}

void Fleet::strike() {
  switch (random_.below(settings_.sync ? 9 : 7)) {
  case 0:
  case 1:
  case 2:
    counters_.add("seats cut off");
    cut(100 * ms + random_.below(random_.chance(0.5) ? second : 8 * second));
    break;
  case 3:
    counters_.add("site burns");
    disaster();
    break;
  case 4:
    counters_.add("site takeover by command");
    take_over(1 + static_cast<int>(random_.below(static_cast<std::uint64_t>(settings_.hosts - 1))));
    break;
  case 5:
    bring_home();
    break;
  case 6:
    begin_a_seat_anew();
    break;
  case 7:
  case 8:
    counters_.add("copies of a sync site parted");
    part_sync_site();
    break;
  }
}

// The hosts of the primary site go one after the other; then another site takes over.
void Fleet::disaster() {
  const int site = active();
  for (auto& cluster : groups_)
    scheduler_.after(random_.below(random_.chance(0.5) ? 10 * ms : 3 * second), [this, &cluster, site] {
      if (stopped_)
        return;
      cluster->host(site).power_cut(false);
      scheduler_.after(4 * second + random_.below(20 * second),
                       [&cluster, site] { cluster->host(site).boot(); });
    });
  const int other =
      (site + 1 + static_cast<int>(random_.below(static_cast<std::uint64_t>(settings_.hosts - 1)))) %
      settings_.hosts;
  scheduler_.after(random_.below(5 * second), [this, other] { take_over(other); });
}

// One takeover at a time: an operator who starts a second one elsewhere before the first is over makes a
// rival.
void Fleet::take_over(int site) {
  if (stopped_ || site == active())
    return;
  if (taking_over_ >= 0 && taking_over_ != site)
    for (auto& cluster : groups_) {
      const auto& state = cluster->host(taking_over_).journal().state();
      if (state.takeover || (cluster->active() == taking_over_) != (active() == taking_over_))
        return;
    }
  Host* master = find(*core::master_of(first_table(), site_names[site]));
  auto* agent = dynamic_cast<TargetAgent*>(master->agent());
  if (!agent || master->journal().state().role == format::Role::Primary)
    return;
  taking_over_ = site;
  agent->take_over_site();
}

bool Fleet::taking_over(int site) {
  return std::any_of(groups_.begin(), groups_.end(), [&](auto& cluster) {
    return cluster->host(site).journal().state().takeover.has_value();
  });
}

// Old primaries become copies, by command.
void Fleet::bring_home() {
  for (auto& cluster : groups_)
    for (int n = 0; n < cluster->hosts(); ++n)
      if (n != cluster->active() && cluster->active() == active() &&
          cluster->host(n).journal().state().role == format::Role::Primary &&
          !cluster->host(n).journal().state().takeover)
        cluster->demote(cluster->host(n));
}

void Fleet::promoted(Host& host, std::uint64_t generation) {
  if (promoted_[{host.number(), generation}])
    return;
  for (auto& cluster : groups_) {
    const auto& state = cluster->host(host.number()).journal().state();
    const bool stored = state.role == format::Role::Primary && !state.position.lineage.empty() &&
                        state.position.lineage.back().generation >= generation;
    if (!stored)
      throw Violation("11", host.name() + " may write before " + cluster->host(host.number()).name() +
                                " has stored the takeover");
  }
  promoted_[{host.number(), generation}] = true;
  counters_.add("site takeover");
  check_image(host.number(), "takeover");
}

// ---- 10: who goes on alone, and who calls itself current

bool Fleet::in_term(int site) {
  const Era since = group(0).host(site).journal().state().current_since;
  return since.value != 0 && std::all_of(groups_.begin(), groups_.end(), [&](auto& cluster) {
           const auto& state = cluster->host(site).journal().state();
           return state.role == format::Role::Secondary && state.current.value != 0 &&
                  state.current_since == since && state.closed != state.current;
         });
}

void Fleet::check_alone(const Host& primary) {
  for (auto& cluster : groups_)
    for (int site = 0; site < settings_.hosts; ++site) {
      Host& copy = cluster->host(site);
      const auto* agent = dynamic_cast<TargetAgent*>(copy.agent());
      if (!agent || copy.paused() || copy.source != primary.number() || !agent->status().current)
        continue;
      throw Violation("10", copy.name() + " of group " + std::to_string(cluster->number()) +
                                " calls itself current, " + primary.name() +
                                " of another group completes alone");
    }
}

// ---- 1: the images of a site belong together

// All copies stand still: complete, reset, no step under way.
bool Fleet::whole(int site) {
  return std::all_of(groups_.begin(), groups_.end(), [&](auto& cluster) {
    Host& host = cluster->host(site);
    const auto& state = host.journal().state();
    const bool in_closed_term = state.current.value != 0 && state.closed == state.current;
    if (in_closed_term || state.sealed_since.value != 0)
      return false; // one copy may have its seal before the others: they belong together
    return state.role == format::Role::Secondary && !state.release && !host.target().update_in_progress() &&
           !(state.draft && state.draft->in_place) && host.shown && !host.position_behind;
  });
}

// Of two groups a and b: no write of a that b's image depends on is missing in a's.
void Fleet::check_image(int site, const char* when) {
  for (auto& a : groups_)
    for (auto& b : groups_) {
      const auto& shows_a = a->host(site).shown;
      const auto& shows_b = b->host(site).shown;
      if (a == b || !shows_a || !shows_b)
        continue;
      const GhostStream& of_a = *a->ghost().stream(shows_a->stream);
      const GhostStream& of_b = *b->ghost().stream(shows_b->stream);
      if (of_a.generation != of_b.generation || of_a.host != of_b.host) {
        counters_.add("images of different lives");
        continue;
      }
      const auto holds = [](const GhostStream& stream, Seq seq, const Dated& write) {
        if (write.stream_order != stream.order)
          return write.stream_order < stream.order;
        return write.seq != 0 && write.seq <= seq;
      };
      const Dated* latest = nullptr;
      for (const Dated& write : b->ghost().dates())
        if (write.generation == of_b.generation && write.host == of_b.host &&
            holds(of_b, shows_b->seq, write) && (!latest || write.issued > latest->issued))
          latest = &write;
      if (!latest)
        continue;
      counters_.add("images compared");
      for (const Dated& write : a->ghost().dates())
        if (write.generation == of_a.generation && write.host == of_a.host && write.completed != 0 &&
            write.completed < latest->issued && !holds(of_a, shows_a->seq, write))
          throw Violation("1", std::string(when) + " at site " + site_names[site] + ": the image of group " +
                                   std::to_string(b->number()) + " holds record " +
                                   std::to_string(latest->seq) + ", issued after record " +
                                   std::to_string(write.seq) + " of group " + std::to_string(a->number()) +
                                   " had completed, which is missing (its image ends at " +
                                   std::to_string(shows_a->seq) + ")");
    }
}

// 9: what one copy has released every copy of the site can still reach.
void Fleet::check_reach(int site) {
  for (auto& a : groups_)
    for (auto& b : groups_) {
      Host &ahead = a->host(site), &behind = b->host(site);
      const auto& state = behind.journal().state();
      if (ahead.released <= behind.released || behind.released.value == 0 ||
          ahead.released.generation() != behind.released.generation() || !ahead.shown || !behind.shown ||
          state.role == format::Role::Primary || ahead.journal().state().role == format::Role::Primary ||
          a->ghost().stream(ahead.shown->stream)->host != b->ghost().stream(behind.shown->stream)->host)
        continue;
      counters_.add("copies of a site at two checkpoints");
      const core::JournalIndex index = behind.journal().index();
      const StreamId stream = index.last_segment() ? index.last_segment()->stream : StreamId{};
      if (!index.find(ahead.released, 0, behind.journal().durable(stream)))
        throw Violation("9", ahead.name() + " has released checkpoint " + to_string(ahead.released) + ", " +
                                 behind.name() + " has " + to_string(behind.released) +
                                 " and can't reach it");
    }
}

void Fleet::check_regularly() {
  for (int site = 0; site < settings_.hosts; ++site) {
    check_reach(site);
    if (whole(site))
      check_image(site, "at rest");
  }
  scheduler_.after(check_every, [this] { check_regularly(); });
}

// ---- the course of a history

void Fleet::run() {
  for (auto& cluster : groups_)
    cluster->begin();
  check_regularly();
  for (auto& cluster : groups_)
    cluster->faults().start();
  plan();
  while (scheduler_.step(settings_.length)) {
  }
  heal_and_converge();
}

bool Fleet::converged(std::string& why) {
  for (auto& cluster : groups_) {
    if (cluster->active() != active()) {
      why = "the groups are primary at different sites";
      return false;
    }
    if (!cluster->converged(why))
      return false;
  }
  for (int site = 0; site < settings_.hosts; ++site) {
    if (site == active())
      continue;
    if (!whole(site)) {
      why = std::string("the copies of site ") + site_names[site] + " do not stand at one checkpoint";
      return false;
    }
    check_image(site, "at the end");
  }
  return true;
}

// The other one of the sync pair; -1: the primaries are at neither.
int Fleet::sync_site() { return !settings_.sync || active() > 1 ? -1 : 1 - active(); }

bool Fleet::resynchronises() {
  return std::any_of(groups_.begin(), groups_.end(), [&](auto& cluster) {
    const auto& state = cluster->host(sync_site()).journal().state();
    return state.draft || state.position.lineage.empty();
  });
}

bool Fleet::all_current() {
  const int site = sync_site();
  return site < 0 || std::all_of(groups_.begin(), groups_.end(), [&](auto& cluster) {
           const auto* copy = dynamic_cast<TargetAgent*>(cluster->host(site).agent());
           return cluster->active() == active() && copy && copy->status().current;
         });
}

std::string Fleet::masters_in_words() {
  std::string text;
  for (const format::Seat& seat : first_table().masters) {
    Host* host = find(seat);
    const auto* copyset = host && host->agent() ? host->agent()->copyset() : nullptr;
    if (!copyset)
      continue;
    const core::CopysetStatus status = copyset->status(host->clock());
    text += "; " + host->name() + (status.master ? " " : " (no master) ") + status.step +
            (status.waits.empty() ? "" : ", waits for " + status.waits);
  }
  return text;
}

void Fleet::heal_and_converge() {
  stopped_ = true;
  for (auto& [ends, way] : paths_)
    way.cut_until = 0;
  for (auto& cluster : groups_)
    cluster->heal();
  std::string why;
  const Time began = scheduler_.now();
  const auto operating = [&](Time most, auto&& condition) {
    const Time end = scheduler_.now() + most;
    while (scheduler_.now() < end) {
      for (auto& cluster : groups_)
        cluster->operate();
      const Time next = scheduler_.now() + second;
      while (scheduler_.step(next)) {
      }
      if (condition())
        return true;
    }
    return condition();
  };
  operating(2 * second + random_.below(4 * second), [] { return false; });
  // A resync that live writes outrun ends when they do; else the site becomes current while they go on.
  Time calm_since = scheduler_.now();
  const auto too_long = [&] { return scheduler_.now() - calm_since >= current_within; };
  operating(converge_within, [&] {
    if (sync_site() >= 0 && resynchronises())
      calm_since = scheduler_.now();
    return all_current() || too_long();
  });
  if (!all_current() && too_long())
    throw Violation("13", "the sync site is not current although nothing fails and writes go on" +
                              masters_in_words());
  for (auto& cluster : groups_)
    cluster->stop_writing();
  if (!operating(converge_within, [&] { return converged(why); }))
    throw Violation(why.find("differs") != std::string::npos ? "3" : "13",
                    "no convergence within " + std::to_string((scheduler_.now() - began) / second) +
                        " s: " + why + masters_in_words());
}

} // namespace rc::sim
