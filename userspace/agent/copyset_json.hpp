// SPDX-License-Identifier: GPL-2.0-or-later
// What nodes tell each other about seats of copysets, as JSON of node calls (docs/wire.md). Decoding is
// total: what is missing or of another kind is left at its default; what a table says is checked by the core.
#pragma once

#include "core/copyset_founding.hpp"

#include <nlohmann/json.hpp>

namespace rc::agent {

nlohmann::json table_to_json(const format::CopysetTable& table);
format::CopysetTable table_from_json(const nlohmann::json& json);

nlohmann::json holders_to_json(const std::vector<core::SeatHolder>& holders);
std::vector<core::SeatHolder> holders_from_json(const nlohmann::json& json);

nlohmann::json survey_to_json(const core::GroupSurvey& survey);
core::GroupSurvey survey_from_json(const nlohmann::json& json);

} // namespace rc::agent
