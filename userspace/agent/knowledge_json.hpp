// SPDX-License-Identifier: GPL-2.0-or-later
// What one node tells another about a group when a takeover is planned (call group.knowledge, docs/wire.md):
// the part of its status that the plan rests on. Decoding is total; what is missing or of a wrong type counts
// as not known.
#pragma once

#include "core/planner.hpp"
#include "format/control_json.hpp"

#include <nlohmann/json.hpp>

namespace rc::agent {

control::Json lineage_to_json(const std::vector<format::LineageEntry>& lineage);
std::vector<format::LineageEntry> lineage_from_json(const control::Json& json);

control::Json knowledge_to_json(const core::NodeKnowledge& knowledge);
core::NodeKnowledge knowledge_from_json(const control::Json& json);

} // namespace rc::agent
