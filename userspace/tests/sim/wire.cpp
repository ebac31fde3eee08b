// SPDX-License-Identifier: GPL-2.0-or-later
#include "tests/sim/wire.hpp"

#include <algorithm>

namespace rc::sim {

namespace {
std::uint64_t size_of(const Packet& packet) {
  const auto* records = std::get_if<std::shared_ptr<const format::RecordsMessage>>(&packet);
  std::uint64_t bytes = 200;
  if (records)
    for (const auto& record : (*records)->records)
      bytes += sizeof record + format::data_bytes(record);
  return bytes;
}
} // namespace

Wire::Wire(int a, int b, Time delay, double bytes_per_second, Scheduler& scheduler, Random& random,
           Hooks hooks)
    : hosts_{a, b}, delay_(delay), bytes_per_ns_(bytes_per_second / 1e9), scheduler_(scheduler),
      random_(random), hooks_(std::move(hooks)) {}

bool Wire::connectable() const {
  const Time now = scheduler_.now();
  return idle() && std::all_of(ends_, ends_ + 2, [now](const End& end) {
           return end.down_since + second <= now && end.stalled_until <= now;
         });
}

void Wire::connect() {
  ++connection_;
  for (int n = 0; n < 2; ++n) {
    End& end = ends_[n];
    end.up = true;
    end.closing = false;
    end.sent = end.arrived = 0;
    end.on_the_way.clear();
    end.keep = ~std::uint64_t{0};
    end.busy_until = 0;
    end.last_arrival = scheduler_.now() + delay_ + random_.below(delay_ + 1);
    scheduler_.at(end.last_arrival, [this, n, connection = connection_] {
      if (connection == connection_ && ends_[n].up)
        hooks_.up(hosts_[n], hosts_[1 - n]);
    });
  }
}

void Wire::post(int to, Time arrival, std::function<void()> what) {
  End& end = ends_[to];
  end.last_arrival = std::max(arrival, end.last_arrival + 1);
  end.on_the_way.push_back({end.last_arrival, ++end.sent, std::move(what)});
  scheduler_.at(end.last_arrival, [this, to, connection = connection_] { pump(to, connection); });
}

void Wire::pump(int to, std::uint64_t connection) {
  End& end = ends_[to];
  while (connection == connection_ && end.up && !end.on_the_way.empty() &&
         end.on_the_way.front().arrival <= scheduler_.now()) {
    if (scheduler_.now() < end.stalled_until) {
      scheduler_.at(end.stalled_until, [this, to, connection] { pump(to, connection); });
      return;
    }
    const auto packet = std::move(end.on_the_way.front());
    end.on_the_way.pop_front();
    if (packet.number > end.keep)
      continue;
    end.arrived = packet.number;
    packet.what();
  }
}

void Wire::send(int from, Packet packet) {
  End& own = ends_[which(from)];
  if (!own.up || own.closing)
    return;
  const int to = 1 - which(from);
  if (damage_[to]) {
    damage_[to] = false;
    packet = Damaged{};
  }
  const auto transmit =
      static_cast<Time>(static_cast<double>(size_of(packet)) / (bytes_per_ns_ * speed_factor_));
  own.busy_until = std::max(own.busy_until, scheduler_.now()) + transmit;
  const Time arrival = own.busy_until + delay_ + random_.below(delay_ / 8 + 1);
  post(to, arrival,
       [this, to, packet = std::move(packet)] { hooks_.arrive(hosts_[to], hosts_[1 - to], packet); });
}

void Wire::end_down(int n, const std::string& reason) {
  End& end = ends_[n];
  if (!end.up)
    return;
  end.up = false;
  end.down_since = scheduler_.now();
  hooks_.down(hosts_[n], hosts_[1 - n], reason);
}

void Wire::down_later(int n, Time delay, const std::string& reason) {
  scheduler_.after(delay, [this, n, reason, connection = connection_] {
    if (connection == connection_)
      end_down(n, reason);
  });
}

void Wire::lose_some(int n) {
  End& end = ends_[n];
  end.keep = std::min(end.keep, end.arrived + random_.below(end.sent - end.arrived + 1));
}

void Wire::close(int from, const std::string& reason) {
  const int own = which(from);
  if (!ends_[own].up || ends_[own].closing)
    return;
  ends_[own].closing = true;
  const int peer = 1 - own;
  post(peer, ends_[own].busy_until + delay_,
       [this, peer, reason] { end_down(peer, "closed by the peer: " + reason); });
  down_later(own, random_.below(3 * delay_), "closed: " + reason);
}

void Wire::stall(int towards, Time duration) {
  End& end = ends_[which(towards)];
  end.stalled_until = std::max(end.stalled_until, scheduler_.now() + duration);
  if (!ends_[0].up || !ends_[1].up)
    return;
  // Keep-alives are missed: the end that hears nothing gives up after a while, the other one later.
  const Time patience = 2 * second + random_.below(3 * second);
  if (duration > patience) {
    const int deaf = which(towards);
    scheduler_.after(patience, [this, deaf, connection = connection_] {
      if (connection != connection_ || !ends_[deaf].up)
        return;
      lose_some(1 - deaf);
      end_down(deaf, "nothing heard");
      down_later(1 - deaf, delay_ + random_.below(5 * second), "reset by the peer");
    });
  }
}

void Wire::break_off() {
  if (!ends_[0].up && !ends_[1].up)
    return;
  for (int n = 0; n < 2; ++n) {
    lose_some(n);
    down_later(n, random_.chance(0.5) ? random_.below(20 * ms) : random_.below(4 * second),
               "connection broke");
  }
}

void Wire::set_speed(double factor) {
  speed_factor_ = factor;
  const Time late = scheduler_.now() + second;
  if (ends_[0].busy_until > late || ends_[1].busy_until > late)
    break_off();
}

void Wire::agent_died(int host, bool power) {
  const int own = which(host);
  if (!ends_[own].up)
    return;
  const int peer = 1 - own;
  ends_[own].up = false;
  ends_[own].down_since = scheduler_.now();
  lose_some(peer);
  if (power)
    down_later(peer, second + random_.below(4 * second), "nothing heard");
  else
    down_later(peer,
               delay_ + std::max(ends_[peer].stalled_until, scheduler_.now()) - scheduler_.now() +
                   random_.below(delay_),
               "reset by the peer");
}

} // namespace rc::sim
