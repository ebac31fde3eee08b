// SPDX-License-Identifier: GPL-2.0-or-later
#include "agent/copyset_json.hpp"

namespace rc::agent {
namespace {

using nlohmann::json;

std::string text(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

std::uint64_t number(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_number_unsigned()
             ? found->get<std::uint64_t>()
             : 0;
}

bool flag(const json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_boolean() && found->get<bool>();
}

// The list of that name; an empty one when there is none.
const json& list(const json& object, const char* key) {
  static const json none = json::array();
  const auto found = object.is_object() ? object.find(key) : object.end();
  return object.is_object() && found != object.end() && found->is_array() ? *found : none;
}

json seat_to_json(const format::Seat& seat) { return {{"group", seat.group}, {"site", seat.site}}; }
format::Seat seat_from_json(const json& seat) { return {text(seat, "group"), text(seat, "site")}; }

json seats_to_json(const std::vector<format::Seat>& seats) {
  json all = json::array();
  for (const format::Seat& seat : seats)
    all.push_back(seat_to_json(seat));
  return all;
}

std::vector<format::Seat> seats_from_json(const json& seats) {
  std::vector<format::Seat> all;
  for (const json& seat : seats)
    all.push_back(seat_from_json(seat));
  return all;
}

} // namespace

json table_to_json(const format::CopysetTable& table) {
  json memberships = json::array();
  for (const format::Membership& membership : table.memberships)
    memberships.push_back({{"since", membership.since.value}, {"groups", membership.groups}});
  return {{"name", table.name},
          {"epoch", table.epoch.value},
          {"registrar", seat_to_json(table.registrar)},
          {"seats", seats_to_json(table.seats)},
          {"masters", seats_to_json(table.masters)},
          {"memberships", std::move(memberships)}};
}

format::CopysetTable table_from_json(const json& told) {
  format::CopysetTable table;
  table.name = text(told, "name");
  table.epoch = Epoch{number(told, "epoch")};
  if (told.is_object() && told.contains("registrar"))
    table.registrar = seat_from_json(told["registrar"]);
  table.seats = seats_from_json(list(told, "seats"));
  table.masters = seats_from_json(list(told, "masters"));
  for (const json& one : list(told, "memberships")) {
    format::Membership membership{Epoch{number(one, "since")}, {}};
    for (const json& group : list(one, "groups"))
      if (group.is_string())
        membership.groups.push_back(group.get<std::string>());
    table.memberships.push_back(std::move(membership));
  }
  return table;
}

json holders_to_json(const std::vector<core::SeatHolder>& holders) {
  json all = json::array();
  for (const core::SeatHolder& holder : holders) {
    json one = seat_to_json(holder.seat);
    one["node"] = holder.node;
    all.push_back(std::move(one));
  }
  return all;
}

std::vector<core::SeatHolder> holders_from_json(const json& told) {
  std::vector<core::SeatHolder> all;
  if (told.is_array())
    for (const json& one : told)
      all.push_back({seat_from_json(one), text(one, "node")});
  return all;
}

json survey_to_json(const core::GroupSurvey& survey) {
  json copies = json::array();
  for (const auto& copy : survey.copies)
    copies.push_back({{"node", copy.node}, {"site", copy.site}, {"sync", copy.sync}});
  json told = {{"group", survey.group},       {"node", survey.node},        {"site", survey.site},
               {"primary", survey.primary},   {"trouble", survey.trouble},  {"generation", survey.generation},
               {"epoch", survey.epoch.value}, {"copies", std::move(copies)}};
  if (survey.table) {
    told["table"] = table_to_json(*survey.table);
    told["holders"] = holders_to_json(survey.holders);
  }
  return told;
}

core::GroupSurvey survey_from_json(const json& told) {
  core::GroupSurvey survey;
  survey.group = text(told, "group");
  survey.node = text(told, "node");
  survey.site = text(told, "site");
  survey.primary = flag(told, "primary");
  survey.trouble = text(told, "trouble");
  survey.generation = number(told, "generation");
  survey.epoch = Epoch{number(told, "epoch")};
  for (const json& copy : list(told, "copies"))
    survey.copies.push_back({text(copy, "node"), text(copy, "site"), flag(copy, "sync")});
  if (told.is_object() && told.contains("table")) {
    survey.table = table_from_json(told["table"]);
    survey.holders = holders_from_json(list(told, "holders"));
  }
  return survey;
}

} // namespace rc::agent
