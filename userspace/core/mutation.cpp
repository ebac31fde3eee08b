// SPDX-License-Identifier: GPL-2.0-or-later
// Names of the mutations, for the command lines of test programs.
#include "core/mutation.hpp"

#include <cstring>
#include <iterator>

namespace rc::core {
namespace {
struct Name {
  Mutation mutation;
  const char* name;
};
constexpr Name names[] = {
    {Mutation::None, "none"},
    {Mutation::LateArrivalsCounted, "late_arrivals_counted"},
    {Mutation::SealOmittedOnNewStream, "seal_omitted_on_new_stream"},
    {Mutation::LeaseFromReceipt, "lease_from_receipt"},
    {Mutation::KeepAnsweringWithoutAcks, "keep_answering_without_acks"},
    {Mutation::TakeoverBeyondClosed, "takeover_beyond_closed"},
    {Mutation::CurrentAfterLeaseEnd, "current_after_lease_end"},
    {Mutation::OnlySourceMap, "only_source_map"},
    {Mutation::BareNumbers, "bare_numbers"},
    {Mutation::GenerationWithoutId, "generation_without_id"},
    {Mutation::BaseRoundedUp, "base_rounded_up"},
    {Mutation::LineageAtStart, "lineage_at_start"},
    {Mutation::PositionAtRelease, "position_at_release"},
    {Mutation::ReckonBeforeAttach, "reckon_before_attach"},
    {Mutation::ReleaseBeforeEndOfCopying, "release_before_end_of_copying"},
    {Mutation::BreakExclusive, "break_exclusive"},
    {Mutation::ShippedNotReduced, "shipped_not_reduced"},
    {Mutation::DraftAcrossSources, "draft_across_sources"},
    {Mutation::NewStreamContiguous, "new_stream_contiguous"},
    {Mutation::LossDropped, "loss_dropped"},
    {Mutation::ReportBeforeDurable, "report_before_durable"},
    {Mutation::ReleaseNotStored, "release_not_stored"},
    {Mutation::NoHold, "no_hold"},
    {Mutation::LiftBeforeAllMarked, "lift_before_all_marked"},
    {Mutation::VoidUsed, "void_used"},
    {Mutation::VerdictInImage, "verdict_in_image"},
    {Mutation::ReleaseForOneMember, "release_for_one_member"},
    {Mutation::FlagResetPerNode, "flag_reset_per_node"},
    {Mutation::DiscardBeforeAsking, "discard_before_asking"},
    {Mutation::TakeoverTakesMinimum, "takeover_takes_minimum"},
    {Mutation::WriteBeforeLineage, "write_before_lineage"},
    {Mutation::AloneAfterOwnClose, "alone_after_own_close"},
    {Mutation::LeaseOfOwnSource, "lease_of_own_source"},
    {Mutation::StampAtOwnChallenge, "stamp_at_own_challenge"},
    {Mutation::StaggeredSync, "staggered_sync"},
    {Mutation::SealOfOne, "seal_of_one"},
    {Mutation::ReopenBeforePassed, "reopen_before_passed"},
    {Mutation::NoSealInTakeover, "no_seal_in_takeover"},
    {Mutation::NoGate, "no_gate"},
};
} // namespace

const char* to_string(Mutation mutation) {
  for (const Name& each : names)
    if (each.mutation == mutation)
      return each.name;
  return "?";
}

Mutation mutation_from(const char* name) {
  for (const Name& each : names)
    if (std::strcmp(each.name, name) == 0)
      return each.mutation;
  return Mutation::None;
}

} // namespace rc::core
