// SPDX-License-Identifier: GPL-2.0-or-later
// All groups of this node: opens their journals, gives each the runtime of its stored role, routes sessions
// and frames to them, replaces a target by a source when a takeover completed. Main thread.
#pragma once

#include "agent/source_runtime.hpp"
#include "agent/target_runtime.hpp"

#include <map>
#include <set>

namespace rc::agent {

class Groups {
public:
  Groups(Context& context, Peers& peers, Sessions& sessions, CopysetPort& copysets,
         std::function<void(const std::string&)> changed);

  // Begins every group of the inventory. `settled` is called once, when each has begun or failed.
  void start(std::function<void()> settled);
  // Begins (or begins anew) one group of the inventory, e.g. after its creation.
  void begin(const std::string& group);
  // After a change of the inventory: rows of a group that runs.
  void rows_changed(const std::string& group);
  // Settings of a group that this node has: stored, and taken over by what runs. True: they were others.
  Result<bool> take_settings(const control::GroupSetRequest& settings);
  // Ends its work and forgets it; the volumes stay loaded. Its journal, which closes when the last who works
  // with it has ended.
  std::weak_ptr<io::Journal> stop_group(const std::string& group);

  // The group's first volume is about to be made: nothing that any copy may still hold of the group counts
  // any more. Its history begins with a new lineage, so that the numbers of a former one are never met again.
  void begin_history(const std::string& group, std::function<void(Status)> then);

  bool runs(const std::string& group) const { return groups_.contains(group); }
  SourceRuntime* source(const std::string& group); // null: not a source here
  TargetRuntime* target(const std::string& group);
  void fill_status(const std::string& group, control::GroupStatus& status);
  std::vector<format::LineageEntry> lineage(const std::string& group) const;
  const std::shared_ptr<io::Journal>& journal(const std::string& group) const;

  void session_up(const std::string& group, const std::string& peer);
  void session_down(const std::string& group, const std::string& peer, const std::string& reason);
  bool accept_session(const std::string& group, const std::string& role);
  std::string role_text(const std::string& group);
  void frame(const std::string& peer, io::ReceivedFrame frame);
  void of_copyset(const std::string& group, const core::copyset::Action& action);
  void tick();

private:
  struct Group {
    std::shared_ptr<io::Journal> journal;
    std::shared_ptr<SourceRuntime> source;
    std::shared_ptr<TargetRuntime> target;
    std::string failure; // it could not begin
    std::string failure_next;
    GroupRuntime* runtime() const {
      return source ? static_cast<GroupRuntime*>(source.get()) : static_cast<GroupRuntime*>(target.get());
    }
  };
  struct Rows { // of one group, from the inventory
    io::GroupRow group;
    VolumeSet volumes;
    std::vector<io::PairRow> pairs_from_here;
    std::vector<io::PairRow> pairs_to_here;
    std::map<std::string, std::string> sites;
  };
  Result<Rows> rows_of(const std::string& group);
  void opened(const std::string& name, Result<std::shared_ptr<io::Journal>> journal);
  void make_runtime(const std::string& name, const Rows& rows, bool took_over = false);
  void become_primary(const std::string& name);
  // In the journal this node is the primary: the inventory says so, too.
  Result<Rows> note_takeover(const std::string& name);
  void failed(const std::string& name, const Error& error);
  void one_settled();
  RuntimeServices services();
  Group* find(const std::string& name);

  Context& context_;
  Peers& peers_;
  Sessions& sessions_;
  CopysetPort& copysets_;
  std::function<void(const std::string&)> changed_;
  std::map<std::string, Group> groups_;
  std::map<std::uint32_t, std::string> by_channel_;
  std::function<void()> settled_;
  std::size_t settling_ = 0;
};

} // namespace rc::agent
