// SPDX-License-Identifier: GPL-2.0-or-later
// Deliberate bugs, one for each decision that a test must be able to miss: the simulator and the transcripts
// run with each of them and must notice (docs/core.md lists them with the schedule that breaks). They exist
// only in the library that tests link (RC_TEST_BUILD, target rc_core_mutable); in the product mutated() is
// constexpr false and costs nothing.
#pragma once

namespace rc::core {

enum class Mutation {
  None,
  LateArrivalsCounted,      // records that arrive after the close are stored and counted
  SealOmittedOnNewStream,   // a current copy's stream ends: its journal beyond the checkpoint is dropped
  LeaseFromReceipt,         // the lease is counted from the receipt of an answer, not from the sending of its
                            // challenge
  KeepAnsweringWithoutAcks, // a source without acknowledgements goes on answering challenges
  TakeoverBeyondClosed,     // takeover applies the whole journal, also beyond the seq at which the stream was
                            // closed
  CurrentAfterLeaseEnd,     // the copy calls itself current although its lease ended
  OnlySourceMap,            // the set of a resync is only the source's map
  BareNumbers,              // positions are compared as numbers, not through the lineage
  GenerationWithoutId,      // two lineage entries of one generation are taken for the same
  BaseRoundedUp,  // the base of a takeover is the checkpoint in which the seal ends, not the last whole one
  LineageAtStart, // position and lineage are adopted when the resync starts
  PositionAtRelease,         // position is raised at release instead of complete
  ReckonBeforeAttach,        // the set is reckoned before the link is attached to the stream
  ReleaseBeforeEndOfCopying, // a draft is released by any checkpoint
  BreakExclusive,            // `>` instead of `>=` at the break of a draft
  ShippedNotReduced,         // regions that go again stay in the shipped set
  DraftAcrossSources,        // a draft is kept although the source's lineage or the agreed point differ
  NewStreamContiguous,       // a new stream is taken as going on where the old one ended
  LossDropped,               // a loss record does not end the stream
  ReportBeforeDurable,       // durable is reported when records are received
  ReleaseNotStored,          // the release is applied without having been stored
  // Of copysets of several groups.
  NoHold,               // marker and verdict in one step: the groups are cut one after the other
  LiftBeforeAllMarked,  // a member's hold is lifted when it has marked itself
  VoidUsed,             // a checkpoint whose hold ended by itself counts
  VerdictInImage,       // the image goes through the verdict, not the marker
  ReleaseForOneMember,  // a checkpoint is released that not all copies have
  FlagResetPerNode,     // update in progress is reset when the own apply is complete
  DiscardBeforeAsking,  // a resync drops what the other copies may have released
  TakeoverTakesMinimum, // a takeover doesn't roll forward to what one copy has released
  WriteBeforeLineage,   // a host may write when its own node has stored the takeover
  AloneAfterOwnClose,   // a source goes on alone when its own copy of a sync site has closed
  LeaseOfOwnSource,     // a copy of a sync site renews its lease when its own source has answered
  StampAtOwnChallenge,  // a source is challenged when its own copy has stamped the round
  StaggeredSync,        // a sync site calls itself current when one source waits
  SealOfOne,            // a takeover seals where not all copies of the site were current
  ReopenBeforePassed,   // a sync term is forgotten while its seal is still needed
  NoSealInTakeover,     // a takeover of a sync site shows its last checkpoint
  NoGate, // other links get records before the current site has acknowledged them (harmless: control)
};

// They need several groups to show: histories of a copyset notice them, stories of one group don't.
constexpr bool of_copysets(Mutation mutation) {
  return mutation >= Mutation::NoHold && mutation < Mutation::NoGate;
}

#ifdef RC_TEST_BUILD
// The mutation in force, for the whole process. Tests set it before they make a Source or Target.
inline Mutation mutation_in_force = Mutation::None;
inline void set_mutation(Mutation mutation) { mutation_in_force = mutation; }
inline bool mutated(Mutation mutation) { return mutation_in_force == mutation; }
#else
constexpr bool mutated(Mutation) { return false; }
#endif

const char* to_string(Mutation mutation);
Mutation mutation_from(const char* name); // None when unknown

} // namespace rc::core
