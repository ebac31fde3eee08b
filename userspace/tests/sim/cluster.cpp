// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/cluster.hpp"

#include "core/lineage.hpp"
#include "tests/sim/fleet.hpp"

#include <algorithm>

namespace rc::sim {

namespace {
constexpr Time converge_within = 120 * second;
constexpr Time check_every = 100 * ms;
} // namespace

Cluster::Cluster(std::uint64_t seed, ClusterSettings settings, Random random, Counters& counters,
                 bool tracing, std::optional<Place> place)
    : seed_(seed), settings_(settings), random_(random), counters_(counters), tracing_(tracing),
      place_(place), lines_(place ? place->lines : own_lines_),
      scheduler_(place ? place->scheduler : own_scheduler_), faults_(*this) {
  for (int n = 0; n < settings_.hosts; ++n) {
    Host::Settings own;
    own.name = std::string("PSDEFGH").substr(static_cast<std::size_t>(n), 1);
    if (place_)
      own.name += std::to_string(place_->group);
    own.clock_rate = 0.9955 + 0.009 * random_.unit();
    own.real_offset =
        static_cast<std::int64_t>(random_.below(4 * second)) - static_cast<std::int64_t>(2 * second);
    own.journal_bytes = n == 0 ? settings_.spill_bytes : settings_.journal_bytes;
    own.journal_slots = settings_.journal_slots;
    own.target = {settings_.shape, settings_.ring_bytes, settings_.slots, settings_.copy_slots,
                  settings_.close_every};
    Image content{};
    if (settings_.old_data || n != 0)
      for (std::uint32_t v = 0; v < settings_.shape.volumes; ++v)
        for (std::uint32_t b = 0; b < settings_.shape.blocks(); ++b)
          content[block_index(v, b)] = next_value();
    hosts_.push_back(std::make_unique<Host>(n, own, *this, content));
    applications_.push_back(std::make_unique<Application>(*hosts_.back()));
  }
  const Wire::Hooks hooks{
      [this](int to, int peer) { host(to).agent_later(0, [this, to, peer] { link_up(to, peer); }); },
      [this](int to, int peer, const std::string& why) {
        host(to).agent_later(0, [this, to, peer, why] { link_down(to, peer, why); });
      },
      [this](int to, int peer, const Packet& packet) {
        host(to).agent_later(0, [this, to, peer, packet] { arrive(to, peer, packet); });
      }};
  for (int a = 0; a < settings_.hosts; ++a)
    for (int b = a + 1; b < settings_.hosts; ++b) {
      const bool near = a == 0 && b == 1;
      wires_.push_back(std::make_unique<Wire>(a, b, near ? settings_.near_delay : settings_.far_delay,
                                              near ? 100e6 : settings_.far_speed, scheduler_, random_,
                                              hooks));
    }
}

Cluster::~Cluster() = default;

Wire& Cluster::wire(int a, int b) {
  for (auto& wire : wires_)
    if (wire->joins(a, b))
      return *wire;
  throw Violation("contract", "the core talks to a host that is not there");
}

// ---- configuration

Time Cluster::tick_time() { return settings_.tick * 3 / 4 + random_.below(settings_.tick / 4); }

core::SourceConfig Cluster::source_config(int number) const {
  core::SourceConfig config;
  config.group = "bank";
  config.site = hosts_[static_cast<std::size_t>(number)]->name();
  config.volume_sectors.assign(settings_.shape.volumes, settings_.shape.sectors());
  config.checkpoint_interval_ms = settings_.checkpoint_ms;
  config.fence = settings_.fence_stop ? core::Fence::Stop : core::Fence::Go;
  config.drain_ms = settings_.drain_ms;
  config.throttle = settings_.throttle;
  config.copyset = fleet() != nullptr;
  for (int peer = 0; peer < settings_.hosts; ++peer) {
    if (peer == number)
      continue;
    core::LinkConfig link;
    link.link = static_cast<core::LinkSlot>(peer);
    link.peer = link.site = hosts_[static_cast<std::size_t>(peer)]->name();
    link.mode = settings_.sync && peer + number == 1 ? core::LinkMode::Sync : core::LinkMode::Async;
    link.window_bytes = settings_.window_bytes;
    link.ack_timeout_ms = settings_.ack_timeout_ms;
    config.links.push_back(link);
  }
  return config;
}

// Every host has the group's settings.
void Cluster::change_fence() {
  settings_.fence_stop = !settings_.fence_stop;
  for (int number = 0; number < hosts(); ++number)
    if (auto* agent = dynamic_cast<SourceAgent*>(host(number).agent()))
      agent->settings_changed();
}

core::TargetConfig Cluster::target_config(int number) const {
  core::TargetConfig config;
  config.group = "bank";
  const Host& own = *hosts_[static_cast<std::size_t>(number)];
  config.site = own.name();
  config.source = hosts_[static_cast<std::size_t>(own.source)]->name();
  config.link = static_cast<core::LinkSlot>(number);
  config.volume_sectors.assign(settings_.shape.volumes, settings_.shape.sectors());
  config.lease_ns =
      settings_.sync && own.source + number == 1 ? core::lease_for(settings_.ack_timeout_ms) : 0;
  config.in_place_allowed = settings_.in_place_allowed;
  config.copyset = fleet() != nullptr;
  return config;
}

format::Seat Cluster::seat(int number) const {
  return {"g" + std::to_string(this->number()),
          hosts_[static_cast<std::size_t>(number)]->name().substr(0, 1)};
}

format::GroupState Cluster::blank_state() const {
  format::GroupState state;
  if (fleet()) {
    state.table = fleet()->first_table();
    state.epoch = state.table->epoch;
  }
  return state;
}

// ---- events

void Cluster::trace(int number, const std::string& what) {
  if (!tracing_)
    return;
  char time[32];
  std::snprintf(time, sizeof time, "%10.4f ", static_cast<double>(scheduler_.now()) / 1e9);
  lines_.push_back(time + (number >= 0 ? host(number).name() : std::string("-")) + " " + what);
}

void Cluster::moment(Moment what, Host& at) { faults_.at(what, at); }

void Cluster::link_up(int number, int peer) {
  Host& own = host(number);
  if (!own.running())
    return;
  trace(number, "link up to " + host(peer).name());
  own.agent()->link_up(peer);
  const bool both = dynamic_cast<SourceAgent*>(own.agent()) && dynamic_cast<SourceAgent*>(host(peer).agent());
  if (both) // two primaries tell each other their generations
    wire(number, peer)
        .send(number,
              format::GroupMessage(format::GenerationMessage{own.journal().state().position.lineage, true}));
}

void Cluster::link_down(int number, int peer, const std::string& reason) {
  if (!host(number).running())
    return;
  trace(number, "link down to " + host(peer).name() + ": " + reason);
  host(number).agent()->link_down(peer, reason);
}

void Cluster::arrive(int number, int peer, const Packet& packet) {
  if (!host(number).running())
    return;
  host(number).agent()->arrive(peer, packet);
}

void Cluster::seen_message(Host& from, int to, const format::GroupMessage& message) {
  struct Name {
    const char* operator()(const format::HelloMessage&) const { return "Hello"; }
    const char* operator()(const format::ResumeMessage&) const { return "Resume"; }
    const char* operator()(const format::ResyncMessage&) const { return "Resync"; }
    const char* operator()(const format::ResyncReadyMessage&) const { return "ResyncReady"; }
    const char* operator()(const format::AttachMessage&) const { return "Attach"; }
    const char* operator()(const format::CurrentMessage&) const { return "Current"; }
    const char* operator()(const format::CurrentStoredMessage&) const { return "CurrentStored"; }
    const char* operator()(const format::NotCurrentMessage&) const { return "NotCurrent"; }
    const char* operator()(const format::GenerationMessage&) const { return "Generation"; }
    const char* operator()(const format::RefusedMessage&) const { return "Refused"; }
    const char* operator()(const format::ChallengeMessage&) const { return nullptr; }
    const char* operator()(const format::ChallengeAnswerMessage&) const { return nullptr; }
    const char* operator()(const format::WatermarksMessage&) const { return nullptr; }
    const char* operator()(const format::RecordsMessage&) const { return nullptr; }
  };
  if (const char* name = std::visit(Name{}, message)) {
    counters_.add(std::string("message ") + name);
    trace(from.number(), std::string("says ") + name + " to " + host(to).name());
  }
  if (const auto* attach = std::get_if<format::AttachMessage>(&message)) {
    counters_.add(attach->full         ? "resync of everything"
                  : attach->keep_draft ? "draft resumed"
                                       : "resync by delta");
    moment(Moment::Attach, from);
    moment(Moment::Attach, host(to));
  }
  if (std::holds_alternative<format::CurrentMessage>(message))
    moment(Moment::Current, host(to));
  if (std::holds_alternative<format::CurrentStoredMessage>(message))
    counters_.add("became current");
  if (const auto* not_current = std::get_if<format::NotCurrentMessage>(&message);
      not_current && not_current->reason.find("lease ended") != std::string::npos)
    counters_.add("lease ended");
}

// ---- roles

void Cluster::volumes_live(Host& at) {
  trace(at.number(), "volumes are primary in generation " + std::to_string(at.target().generation()));
  if (!stop_writing_)
    application(at.number()).start();
}

void Cluster::takeover_begins(Host& at) {
  counters_.add("takeover begun");
  check_current(at);
}

void Cluster::takeover_refused(Host& at, const std::string& reason) {
  trace(at.number(), "takeover refused: " + reason);
  counters_.add("takeover refused");
  const auto& state = at.journal().state();
  if (at.shown && at.fed && !(state.draft && state.draft->in_place) &&
      reason.find("journal") == std::string::npos)
    throw Violation("12", at.name() + " had a restartable image and refuses a takeover: " + reason);
}

void Cluster::takeover_complete(Host& at, std::uint64_t generation) {
  trace(at.number(), "takeover complete, generation " + std::to_string(generation));
  counters_.add("takeover");
  const auto& state = at.journal().state();
  if (state.role != format::Role::Primary || state.position.lineage.empty() ||
      state.position.lineage.back().generation != generation)
    throw Violation("11", at.name() + " becomes primary before its lineage entry is on stable storage");
  new_active(at);
  const auto id = state.position.lineage.back().id;
  at.target().load_primary(generation, id, [this, &at, life = at.life()](const std::string& error) {
    if (!error.empty())
      throw Violation("9", at.name() + " can't be promoted: " + error);
    volumes_live(at);
    if (at.life() == life)
      at.restart_agent(ms);
  });
}

void Cluster::promoted_at_load(Host& at, std::uint64_t generation) {
  if (!fleet() || generation <= 1)
    return;
  fleet()->promoted(at, generation);
  found_primary(at);
}

void Cluster::found_primary(Host& at) {
  if (at.journal().state().takeover)
    return; // not before the word that all have stored it
  const auto newest = [](const Host& host) {
    return core::newest_generation(host.journal().state().position.lineage);
  };
  if (at.source < 0 || newest(at) <= newest(host(active_)))
    return;
  counters_.add("takeover");
  new_active(at);
}

// The takeover is stored: what it shows is looked at before any host may write.
void Cluster::new_active(Host& at) {
  if (fleet())
    fleet()->promoted(at, at.journal().state().position.lineage.back().generation);
  check_takeover_image(at);
  at.source = -1;
  at.shown.reset();
  const auto newest = [](const Host& host) {
    return core::newest_generation(host.journal().state().position.lineage);
  };
  if (at.number() != active_ && host(active_).journal().state().role == format::Role::Primary &&
      newest(at) <= newest(host(active_))) {
    trace(at.number(), "is a rival of " + host(active_).name() + ", which is newer");
    counters_.add("rival takeover");
    return;
  }
  active_ = at.number();
  for (int peer = 0; peer < hosts(); ++peer)
    if (peer != at.number())
      scheduler_.after(50 * ms + random_.below(3 * second), [this, peer, source = at.number()] {
        if (active_ == source)
          point_to(peer, source);
      });
}

void Cluster::point_to(int number, int source) {
  Host& own = host(number);
  if (own.source == source || own.journal().state().role == format::Role::Primary ||
      own.journal().state().takeover)
    return;
  trace(number, "is to copy " + host(source).name());
  own.source = source;
  if (own.running())
    own.restart_agent(10 * ms);
}

void Cluster::demote(Host& at) {
  format::GroupState state = at.journal().state();
  if (state.role != format::Role::Primary || at.number() == active_ || state.takeover)
    return;
  // An operator sees the newer generation also where the agent died before it could load its volumes.
  if (core::newest_generation(state.position.lineage) >
      core::newest_generation(host(active_).journal().state().position.lineage))
    return;
  trace(at.number(), "becomes a copy of " + host(active_).name() + " by command");
  at.kill_agent();
  application(at.number()).stop();
  const Host& source = host(active_);
  const auto& lineage = source.journal().state().position.lineage;
  const format::LineageEntry& own = state.position.lineage.back();
  const Era last = ghost_.last_checkpoint(own.id);
  format::GroupState copy = blank_state();
  copy.table = state.table;
  copy.position.lineage = state.position.lineage;
  copy.position.applied = last.value ? last : own.base;
  copy.epoch = state.epoch;
  for (std::uint32_t v = 0; v < settings_.shape.volumes; ++v)
    copy.image_volumes.push_back(static_cast<VolumeNumber>(v));
  const bool rival = !core::may_feed({lineage, Era::open()}, copy.position).allowed;
  at.journal().wipe();
  at.journal().format(rival ? blank_state() : copy);
  at.released = {};
  counters_.add(rival ? "rival made anew" : "old primary returned");
  at.shown.reset();
  at.fed = false;
  at.source = active_;
  ghost_.forget_promises(at.number());
  if (at.powered()) {
    at.target().load_secondary();
    at.start_agent();
  }
}

// ---- the course of a history

bool Cluster::wanted(int a, int b) {
  Host& one = host(a);
  Host& other = host(b);
  if (!one.running() || !other.running() || one.paused() || other.paused())
    return false;
  const bool source_a = dynamic_cast<SourceAgent*>(one.agent()) != nullptr;
  const bool source_b = dynamic_cast<SourceAgent*>(other.agent()) != nullptr;
  if (source_a && source_b)
    return true;
  return (source_a && other.source == a) || (source_b && one.source == b);
}

void Cluster::connect_wires() {
  for (auto& wire : wires_)
    if (wire->connectable() && wanted(wire->end(0), wire->end(1)) && random_.chance(0.5)) {
      counters_.add("connected");
      wire->connect();
    }
  scheduler_.after(100 * ms, [this] { connect_wires(); });
}

void Cluster::check_regularly() {
  check_all();
  scheduler_.after(check_every, [this] { check_regularly(); });
}

void Cluster::begin() {
  format::GroupState primary = blank_state();
  primary.role = format::Role::Primary;
  primary.position.lineage = {{1, host(0).name(), random_.next() | 1, Era{}}};
  primary.position.applied = Era::open();
  primary.confirmed = true;
  host(0).journal().format(primary);
  for (int n = 1; n < hosts(); ++n)
    host(n).source = 0;
  for (auto& host : hosts_)
    host->boot();
  dynamic_cast<SourceAgent&>(*host(0).agent()).force();
  connect_wires();
  check_regularly();
}

void Cluster::go(Time duration) {
  const Time until = scheduler_.now() + duration;
  while (scheduler_.step(until)) {
  }
}

void Cluster::run() {
  begin();
  faults_.start();
  go(settings_.length);
  heal_and_converge();
}

void Cluster::heal() {
  healing_ = true;
  faults_.stop();
  trace(-1, "faults stop");
  for (auto& wire : wires_)
    wire->heal();
  for (auto& host : hosts_)
    host->heal();
}

// What an operator does until everything is in order again.
void Cluster::operate() {
  for (auto& host : hosts_) {
    host->boot();
    host->start_agent();
    if (host->journal().state().role == format::Role::Primary && host->number() != active_)
      demote(*host);
    else
      point_to(host->number(), active_);
  }
  Host& source = host(active_);
  auto* agent = dynamic_cast<SourceAgent*>(source.agent());
  if (!agent)
    return;
  if (agent->status().state == "waiting for confirmation" && !source.journal().state().takeover)
    agent->force();
  for (int peer = 0; peer < hosts(); ++peer)
    if (peer != active_)
      agent->resume(peer);
  recreate_rivals();
}

// A copy of another branch of the same age is of no use: its pair is made anew.
void Cluster::recreate_rivals() {
  const auto& lineage = host(active_).journal().state().position.lineage;
  for (auto& copy : hosts_) {
    const auto& state = copy->journal().state();
    if (copy->number() == active_ || state.role == format::Role::Primary || state.takeover ||
        state.position.lineage.empty() || core::may_feed({lineage, Era::open()}, state.position).allowed)
      continue;
    trace(copy->number(), "holds a rival branch: its pair is made anew");
    counters_.add("rival made anew");
    copy->kill_agent();
    copy->journal().wipe();
    copy->released = {};
    copy->shown.reset();
    copy->fed = false;
    copy->target().forget_update();
    ghost_.forget_promises(copy->number());
    copy->start_agent();
  }
}

void Cluster::heal_and_converge() {
  heal();
  const Time began = scheduler_.now();
  std::string why;
  const auto operating = [&](Time most, auto&& condition) {
    const Time end = scheduler_.now() + most;
    while (scheduler_.now() < end) {
      operate();
      if (go_until(second, condition))
        return true;
    }
    return condition();
  };
  // The application goes on for a while: copies must catch up under load, too.
  operating(2 * second + random_.below(4 * second), [] { return false; });
  stop_writing();
  if (!operating(converge_within, [&] { return converged(why); }))
    throw Violation(why.find("differs") != std::string::npos ? "3" : "13",
                    "no convergence within " + std::to_string((scheduler_.now() - began) / second) +
                        " s: " + why);
  check_all();
}

void Cluster::stop_writing() {
  stop_writing_ = true;
  for (auto& application : applications_)
    application->stop();
}

bool Cluster::converged(std::string& why) {
  Host& source = host(active_);
  const auto* agent = dynamic_cast<SourceAgent*>(source.agent());
  if (!agent) {
    why = source.name() + " is not the source";
    return false;
  }
  const core::SourceStatus status = agent->status();
  if (status.state != "running") {
    why = source.name() + " is " + status.state + ": " + status.reason;
    return false;
  }
  const Image content = source.target().disk().content();
  for (const core::LinkStatus& link : status.links) {
    Host& copy = host(link.link);
    const auto& state = copy.journal().state();
    const bool synchronous = link.mode == core::LinkMode::Sync;
    if (link.state != core::PairState::Duplex || state.draft || state.position.lineage != status.lineage ||
        (synchronous && link.sync != core::SyncPhase::Current)) {
      why = copy.name() + " is " + core::to_string(link.state) +
            (synchronous ? std::string(", sync ") + core::to_string(link.sync) : "") + ": " + link.reason +
            " (sent " + std::to_string(link.sent) + ", durable " + std::to_string(link.durable) + ", read " +
            std::to_string(status.read) + ", freed " + std::to_string(status.freed) +
            (status.spilling ? ", spilling" : "") + (link.from_spill ? ", from spill" : "") +
            (link.connected ? "" : ", not connected") + (link.attached ? "" : ", not attached") +
            ", complete " + to_string(link.complete) + ", copied " + std::to_string(link.copy_done_bytes) +
            " of " + std::to_string(link.copy_total_bytes) + ", its journal " +
            std::to_string(link.peer_journal_used) + ")";
      return false;
    }
    if (link.complete < Era{status.era.value - 2}) {
      why = copy.name() + " has no new checkpoint: complete " + to_string(link.complete) + " of " +
            to_string(status.era);
      return false;
    }
    if (copy.target().disk().content() != content) {
      why = copy.name() + " differs: " + to_string(copy.target().disk().content(), settings_.shape) +
            " instead of " + to_string(content, settings_.shape);
      return false;
    }
  }
  return true;
}

} // namespace rc::sim
