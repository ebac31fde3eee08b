// SPDX-License-Identifier: GPL-2.0-or-later
// A message is a map: its name in "m", the seats in "from" and "to", the sender's epoch, and the body's
// fields.
#include "format/copyset_cbor.hpp"

#include "format/cbor_fields.hpp"
#include "format/messages_cbor.hpp"

namespace rc::format {
namespace {

using nlohmann::json;
using Fields = CborFields;

// ---- values to JSON

json to_json(const Seat& seat) { return json{{"group", seat.group}, {"site", seat.site}}; }
json to_json(const std::vector<Seat>& seats) {
  json list = json::array();
  for (const Seat& seat : seats)
    list.push_back(to_json(seat));
  return list;
}
json to_json(const Term& term) { return json{{"number", term.number}, {"id", term.id}}; }
json to_json(const CopysetTable& table) {
  json memberships = json::array();
  for (const Membership& membership : table.memberships)
    memberships.push_back(json{{"since", membership.since.value}, {"groups", membership.groups}});
  return json{{"name", table.name},
              {"epoch", table.epoch.value},
              {"registrar", to_json(table.registrar)},
              {"seats", to_json(table.seats)},
              {"masters", to_json(table.masters)},
              {"memberships", std::move(memberships)}};
}

json body_of(const CheckpointOrder& m) {
  return json{{"m", "checkpoint_order"},
              {"term", to_json(m.term)},
              {"step", static_cast<unsigned>(m.step)},
              {"n", m.n.value},
              {"max_hold_us", m.max_hold_us}};
}
json body_of(const CheckpointReport& m) {
  return json{{"m", "checkpoint_report"}, {"promised", to_json(m.promised)}, {"running", m.running},
              {"era", m.era.value},       {"marked", m.marked.value},        {"holding", m.holding},
              {"held", m.held},           {"awaiting", m.awaiting},          {"entry", to_json(m.entry)}};
}
json to_json(const SyncOrder& sync) {
  return json{{"lease_ns", sync.lease_ns},     {"stamp", sync.stamp},
              {"challenge", sync.challenge},   {"renew", sync.renew},
              {"current", sync.current.value}, {"confirmed", sync.confirmed.value},
              {"shut", sync.shut.value},       {"all_shut", sync.all_shut.value},
              {"seal", sync.seal.value},       {"reopen", sync.reopen.value}};
}
json to_json(const SyncReport& sync) {
  return json{{"lease_ns", sync.lease_ns}, {"stamped", sync.stamped},   {"answered", sync.answered},
              {"ready", sync.ready.value}, {"since", sync.since.value}, {"shut", sync.shut.value},
              {"passed", sync.passed}};
}

json body_of(const RendezvousOrder& m) {
  json body{{"m", "rendezvous_order"},
            {"term", to_json(m.term)},
            {"release", m.release.value},
            {"reset", m.reset.value},
            {"sync", to_json(m.sync)}};
  if (m.discard)
    body["discard"] = json{{"n", m.discard->value}};
  if (m.takeover)
    body["takeover"] =
        json{{"step", static_cast<unsigned>(m.takeover->step)}, {"entry", to_json(m.takeover->entry)}};
  return body;
}
json body_of(const RendezvousReport& m) {
  json held = json::array();
  for (const HeldRange& range : m.held)
    held.push_back(
        json{{"first", range.first.value}, {"last", range.last.value}, {"epoch", range.epoch.value}});
  json body{{"m", "rendezvous_report"},
            {"promised", to_json(m.promised)},
            {"held", std::move(held)},
            {"released", m.released.value},
            {"complete", m.complete.value},
            {"image", m.image},
            {"ending", m.ending},
            {"closed", m.closed},
            {"newest_generation", m.newest_generation},
            {"awaiting", m.awaiting},
            {"entry", to_json(m.entry)},
            {"sync", to_json(m.sync)}};
  if (m.takeover)
    body["takeover"] = to_json(*m.takeover);
  return body;
}
json body_of(const TableMessage& m) { return json{{"m", "table"}, {"table", to_json(m.table)}}; }
json body_of(const SwapMessage& m) {
  return json{{"m", "swap"}, {"expected", m.expected.value}, {"table", to_json(m.table)}};
}

// ---- JSON to values

Seat seat_of(Fields& f) { return {f.text("group"), f.text("site")}; }
Seat seat(Fields& f, const char* name) {
  Seat value;
  f.map(name, [&](Fields& inner) { value = seat_of(inner); });
  return value;
}
Term term(Fields& f, const char* name) {
  Term value;
  f.map(name, [&](Fields& inner) { value = {inner.number("number"), inner.number("id")}; });
  return value;
}
CopysetTable table(Fields& f) {
  CopysetTable value;
  f.map("table", [&](Fields& t) {
    value.name = t.text("name");
    value.epoch = t.epoch();
    value.registrar = seat(t, "registrar");
    value.seats = t.list<Seat>("seats", seat_of);
    value.masters = t.list<Seat>("masters", seat_of);
    value.memberships = t.list<Membership>("memberships", [](Fields& m) {
      return Membership{Epoch{m.number("since")}, m.texts("groups")};
    });
  });
  return value;
}
// A step that is not known here is an Error: what it asks for can't be guessed.
template <typename Step> Step step(Fields& f, Step least, Step most) {
  const std::uint64_t value = f.number("step");
  if (value < static_cast<std::uint64_t>(least) || value > static_cast<std::uint64_t>(most))
    f.refuse("step " + std::to_string(value) + " is not known here");
  return static_cast<Step>(value);
}

CheckpointOrder checkpoint_order(Fields& f) {
  using Step = CheckpointOrder::Step;
  return {term(f, "term"), step(f, Step::Ask, Step::Lift), f.era("n"), f.number("max_hold_us")};
}
CheckpointReport checkpoint_report(Fields& f) {
  return {term(f, "promised"), f.flag("running"), f.era("era"),       f.era("marked"),
          f.flag("holding"),   f.flag("held"),    f.flag("awaiting"), f.entry("entry")};
}
SyncOrder sync_order(Fields& f) {
  SyncOrder sync;
  sync.lease_ns = f.number("lease_ns");
  sync.stamp = f.number("stamp");
  sync.challenge = f.number("challenge");
  sync.renew = f.number("renew");
  sync.current = f.era("current");
  sync.confirmed = f.era("confirmed");
  sync.shut = f.era("shut");
  sync.all_shut = f.era("all_shut");
  sync.seal = f.era("seal");
  sync.reopen = f.era("reopen");
  return sync;
}
SyncReport sync_report(Fields& f) {
  SyncReport sync;
  sync.lease_ns = f.number("lease_ns");
  sync.stamped = f.number("stamped");
  sync.answered = f.number("answered");
  sync.ready = f.era("ready");
  sync.since = f.era("since");
  sync.shut = f.era("shut");
  sync.passed = f.flag("passed");
  return sync;
}
RendezvousOrder rendezvous_order(Fields& f) {
  using Step = TakeoverOrder::Step;
  RendezvousOrder order;
  order.term = term(f, "term");
  order.release = f.era("release");
  order.reset = f.era("reset");
  f.inside("discard", [&](Fields& inner) { order.discard = inner.era("n"); });
  f.inside("sync", [&](Fields& inner) { order.sync = sync_order(inner); });
  f.inside("takeover", [&](Fields& inner) {
    order.takeover = TakeoverOrder{step(inner, Step::Close, Step::GiveUp), inner.entry("entry")};
  });
  return order;
}
RendezvousReport rendezvous_report(Fields& f) {
  RendezvousReport report;
  report.promised = term(f, "promised");
  report.held = f.list<HeldRange>("held", [](Fields& range) {
    HeldRange value{range.era("first"), range.era("last"), range.epoch()};
    if (value.first > value.last)
      range.refuse("a range that ends before it begins");
    return value;
  });
  report.released = f.era("released");
  report.complete = f.era("complete");
  report.image = f.flag("image");
  report.ending = f.flag("ending");
  report.closed = f.flag("closed");
  f.inside("takeover", [&](Fields& inner) { report.takeover = inner.entry(); });
  report.newest_generation = f.number("newest_generation");
  report.awaiting = f.flag("awaiting");
  report.entry = f.entry("entry");
  f.inside("sync", [&](Fields& inner) { report.sync = sync_report(inner); });
  return report;
}

} // namespace

Bytes encode_copyset(const CopysetMessage& message) {
  json object = std::visit([](const auto& body) { return body_of(body); }, message.body);
  object["from"] = to_json(message.from);
  object["to"] = to_json(message.to);
  object["epoch"] = message.epoch.value;
  return encode_json(object);
}

Result<CopysetMessage> decode_copyset(ByteView bytes) {
  const auto decoded = decode_json(bytes);
  if (!decoded)
    return decoded.error().because("copyset message");
  Fields fields(*decoded, "copyset message");
  CopysetMessage message;
  message.from = seat(fields, "from");
  message.to = seat(fields, "to");
  message.epoch = fields.epoch();
  const std::string name = fields.text("m");
  if (name == "checkpoint_order")
    message.body = checkpoint_order(fields);
  else if (name == "checkpoint_report")
    message.body = checkpoint_report(fields);
  else if (name == "rendezvous_order")
    message.body = rendezvous_order(fields);
  else if (name == "rendezvous_report")
    message.body = rendezvous_report(fields);
  else if (name == "table")
    message.body = TableMessage{table(fields)};
  else if (name == "swap")
    message.body = SwapMessage{Epoch{fields.number("expected")}, table(fields)};
  else
    fields.refuse("'" + name.substr(0, 40) + "' is not known here");
  if (!fields.ok())
    return fields.error();
  return message;
}

} // namespace rc::format
