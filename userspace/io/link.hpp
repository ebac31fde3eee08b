// SPDX-License-Identifier: GPL-2.0-or-later
// The authenticated connection between two nodes; carries frames of many groups in order. Decides nothing,
// and resends nothing: when it is down, what was queued is gone, and the protocol above says Hello again.
//
// Threads: every link has a thread of its own that encrypts, decrypts, frames, and checks the CRCs of
// records, so that the owner's thread only moves pointers. All calls from the owner's thread; all callbacks
// posted to its executor. A peer whose certificate is not of our CA or whose name is not allowed is refused
// before anything it says is read.
#pragma once

#include "format/records_codec.hpp"
#include "io/compress.hpp"
#include "io/executor.hpp"
#include "io/tls.hpp"

#include <functional>

namespace rc::io {

struct LinkOptions {
  std::uint32_t connect_timeout_ms = 5000;    // TCP and TLS handshake
  std::uint32_t keep_alive_ms = 1000;         // a keep-alive frame when nothing else was sent for so long
  std::uint32_t dead_after_ms = 6000;         // nothing heard for so long: down
  std::size_t drained_below_bytes = 1 << 20;  // `drained` when the queue falls below
  std::size_t unhandled_bytes_max = 64 << 20; // received and not yet handled by the owner: reading pauses
  std::uint32_t retry_min_ms = 100;           // connector: first pause; doubles, with jitter, up to
  std::uint32_t retry_max_ms = 5000;
};

struct ReceivedFrame {
  format::FrameType type{};
  std::uint32_t channel = 0;
  Bytes body;                     // Node, Message
  format::RecordsMessage records; // Records: decoded, all CRCs verified, contiguous
  std::size_t unpacked_more = 0;  // bytes that it takes beyond those that came over the wire
};

struct LinkCounters {
  std::uint64_t sent_bytes = 0; // of frames, before encryption
  std::uint64_t received_bytes = 0;
  std::uint64_t sent_frames = 0;
  std::uint64_t received_frames = 0;
  std::uint64_t packed_frames = 0; // sent compressed
  std::uint64_t saved_bytes = 0;   // by that
};

struct LinkCallbacks {
  std::function<void(std::vector<ReceivedFrame>)> frames;
  std::function<void()> drained;   // the queue has fallen below drained_below_bytes
  std::function<void(Error)> down; // once; nothing after it
};

class Link {
public:
  virtual ~Link() = default;                      // closes; no callback after it
  virtual const std::string& peer() const = 0;    // name in its certificate
  virtual const std::string& address() const = 0; // host:port, for people
  virtual const std::string& cipher() const = 0;
  virtual bool outgoing() const = 0; // we connected

  // Nothing is read before start().
  virtual void start(LinkCallbacks callbacks) = 0;
  // Too large a body is a programmer's error. After down: dropped. In order, but Copyset frames go before
  // what is queued: writes of hosts wait for them.
  virtual void send(format::FrameType type, std::uint32_t channel, Bytes body) = 0;
  virtual void send_records(std::uint32_t channel, format::OutgoingRecords records) = 0;
  // Off until then. The peer must have said that it understands packed records.
  virtual void compress(Compress when) = 0;
  virtual std::size_t queued_bytes() const = 0; // not yet handed to the socket
  virtual LinkCounters counters() const = 0;
  virtual std::uint32_t round_trip_us() const = 0; // TCP's estimate, 0 when unknown
  // Sends what is queued (at most a second), then goes down with this reason.
  virtual void close(const std::string& reason) = 0;
};

// Somebody who was not let in: for the event history.
struct RefusedPeer {
  std::string address;
  std::string name; // when its certificate was good
  Error error;
};

class Listener {
public:
  // `on_link`: a peer was let in; start() the link. Error: address in use, unparsable.
  static Result<std::unique_ptr<Listener>>
  create(const std::string& address, std::uint16_t port, std::shared_ptr<TlsContext> context,
         std::shared_ptr<PeerNames> allowed, Executor executor, LinkOptions options,
         std::function<void(std::unique_ptr<Link>)> on_link, std::function<void(RefusedPeer)> on_refused);
  virtual ~Listener() = default;
  virtual std::uint16_t port() const = 0; // the real one, when 0 was asked for
};

// Keeps trying to reach one node, with back-off; makes one link at a time: when that is down, it tries again.
class Connector {
public:
  // `expected`: the name that the peer's certificate must have. Empty: any node of the CA (`node add`, first
  // contact).
  static std::unique_ptr<Connector> create(const std::string& host, std::uint16_t port,
                                           const std::string& expected, std::shared_ptr<TlsContext> context,
                                           Executor executor, LinkOptions options,
                                           std::function<void(std::unique_ptr<Link>)> on_link,
                                           std::function<void(Error)> on_failed); // each failed attempt
  virtual ~Connector() = default;
};

} // namespace rc::io
