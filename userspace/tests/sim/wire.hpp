// SPDX-License-Identifier: GPL-2.0-or-later
// The connection of two hosts: delay, bandwidth, stalls in one or both directions, breaks. Nothing overtakes
// anything inside a connection; what was under way at a break is lost from some point on; each end learns of
// a break in its own time, so packets may still arrive at an end whose peer has long given up.
#pragma once

#include "format/messages.hpp"
#include "tests/sim/random.hpp"
#include "tests/sim/scheduler.hpp"

#include <deque>
#include <functional>
#include <string>
#include <variant>

namespace rc::sim {

struct Damaged {};
using Packet = std::variant<format::GroupMessage, std::shared_ptr<const format::RecordsMessage>, Damaged>;

class Wire {
public:
  struct Hooks { // towards the hosts: runs as the agent's event there
    std::function<void(int host, int peer)> up;
    std::function<void(int host, int peer, std::string reason)> down;
    std::function<void(int host, int peer, Packet packet)> arrive;
  };
  Wire(int a, int b, Time delay, double bytes_per_second, Scheduler& scheduler, Random& random, Hooks hooks);

  int end(int which) const { return hosts_[which]; }
  bool joins(int a, int b) const {
    return (hosts_[0] == a && hosts_[1] == b) || (hosts_[0] == b && hosts_[1] == a);
  }
  bool connected() const { return ends_[0].up && ends_[1].up; }
  bool idle() const { return !ends_[0].up && !ends_[1].up; }
  // Both ends are down long enough and the path is free.
  bool connectable() const;
  void connect();

  void send(int from, Packet packet);
  void close(int from, const std::string& reason); // after what was sent before
  void damage_next(int towards) { damage_[which(towards)] = true; }

  // faults
  void stall(int towards, Time duration); // what goes there waits; long ones break the connection
  void break_off();                       // both ends learn of it in their own time
  void agent_died(int host, bool power);  // power: the peer hears nothing, it must find out
  void heal() {
    ends_[0].stalled_until = ends_[1].stalled_until = 0;
    set_speed(1);
  }
  void set_speed(double factor); // what waits for a slow line does not wait on when it is fast again

private:
  struct OnTheWay {
    Time arrival;
    std::uint64_t number;
    std::function<void()> what;
  };
  struct End {
    bool up = false;
    bool closing = false; // this end has closed: it sends nothing more, what is on its way still arrives
    Time down_since = 0;
    Time last_arrival = 0;  // into this end
    Time busy_until = 0;    // out of this end
    Time stalled_until = 0; // into this end
    std::uint64_t sent = 0; // packets towards this end in this connection
    std::uint64_t arrived = 0;
    std::uint64_t keep = ~std::uint64_t{0}; // of them only the first so many arrive
    std::deque<OnTheWay> on_the_way;
  };
  int which(int host) const { return host == hosts_[0] ? 0 : 1; }
  void end_down(int which, const std::string& reason);
  void lose_some(int which); // of what is on its way to this end
  void down_later(int which, Time delay, const std::string& reason);
  void post(int to, Time arrival, std::function<void()> what);
  void pump(int to, std::uint64_t connection);

  int hosts_[2];
  Time delay_;
  double bytes_per_ns_;
  double speed_factor_ = 1;
  Scheduler& scheduler_;
  Random& random_;
  Hooks hooks_;
  End ends_[2];
  bool damage_[2] = {false, false};
  std::uint64_t connection_ = 0;
};

} // namespace rc::sim
