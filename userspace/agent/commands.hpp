// SPDX-License-Identifier: GPL-2.0-or-later
// The agent's side of the control protocol: each request becomes checks, changes of the inventory, and work
// of groups and other nodes. Every command may be asked on any node of a pair (it is forwarded to the one
// that can do it), is idempotent, and says what it did. Main thread; what blocks runs on the worker.
#pragma once

#include "agent/copyset_creation.hpp"
#include "agent/groups.hpp"
#include "agent/primary_news.hpp"
#include "agent/site_takeover.hpp"
#include "agent/status_board.hpp"
#include "format/control_handler.hpp"

namespace rc::agent {

inline std::string pair_object(const std::string& group, const std::string& node) {
  return "pair " + group + "@" + node;
}

class Commands : public control::ControlHandler {
public:
  Commands(Context& context, Peers& peers, NodeCalls& calls, Groups& groups, Copysets& copysets,
           StatusBoard& board, PrimaryNews& news);

  void version(const control::VersionRequest& request, control::Reply<control::VersionReply> reply) override;
  void node_add(const control::NodeAddRequest& request, control::Reply<control::ChangeReply> reply) override;
  void node_remove(const control::NodeRemoveRequest& request,
                   control::Reply<control::ChangeReply> reply) override;
  void group_create(const control::GroupCreateRequest& request,
                    control::Reply<control::ChangeReply> reply) override;
  void group_set(const control::GroupSetRequest& request,
                 control::Reply<control::ChangeReply> reply) override;
  void group_delete(const control::GroupDeleteRequest& request,
                    control::Reply<control::ChangeReply> reply) override;
  void volume_create(const control::VolumeCreateRequest& request,
                     control::Reply<control::ChangeReply> reply) override;
  void volume_delete(const control::VolumeDeleteRequest& request,
                     control::Reply<control::ChangeReply> reply) override;
  void pair_create(const control::PairCreateRequest& request,
                   control::Reply<control::ChangeReply> reply) override;
  void pair_action(const control::PairActionRequest& request,
                   control::Reply<control::ChangeReply> reply) override;
  void copyset_create(const control::CopysetCreateRequest& request,
                      control::Reply<control::ChangeReply> reply) override;
  void list(const control::ListRequest& request, control::Reply<control::ListReply> reply) override;
  void status(const control::StatusRequest& request, control::Reply<control::StatusReply> reply) override;
  void events(const control::EventsRequest& request, control::Reply<control::EventsReply> reply) override;
  void takeover(const control::TakeoverRequest& request,
                control::Reply<control::TakeoverReply> reply) override;
  void confirm(const control::ConfirmRequest& request, control::Reply<control::ChangeReply> reply) override;
  void copy_prepare(const control::CopyPrepareRequest& request,
                    control::Reply<control::ChangeReply> reply) override;

  // Takeovers that a stop of the agent interrupted go on. Called once, after the groups have begun.
  void resume_plans();

private:
  struct Takeover;
  Result<io::GroupRow> group_row(const std::string& group);
  VolumeSet volume_set(const io::GroupRow& group);
  // The command concerns the primary of the group; when that is another node it is sent there. True: it was.
  template <typename Answer, typename Request>
  bool forwarded(const io::GroupRow& group, const Request& request, const control::Reply<Answer>& reply);
  // Calls `then` when `ready` says so or the time is over (its argument: ready?).
  void wait_until(std::function<bool()> ready, std::chrono::milliseconds most,
                  std::function<void(bool)> then);

  void copy_prepared(const control::CopyPrepareRequest& request, control::Reply<control::ChangeReply> reply);
  void store_pair(const control::PairCreateRequest& request, const io::PairRow& pair,
                  control::ChangeReply at_target, control::Reply<control::ChangeReply> reply);
  void pair_resync(const control::PairActionRequest& request, const io::PairRow& pair,
                   control::Reply<control::ChangeReply> reply);
  // pair delete: at the primary; on the copy's node; and what either does to the copy's node.
  void pair_delete(const control::PairActionRequest& request, io::PairRow pair,
                   control::Reply<control::ChangeReply> reply);
  void pair_delete_at_copy(const control::PairActionRequest& request, const io::GroupRow& group,
                           control::Reply<control::ChangeReply> reply);
  void forget_pair(const io::PairRow& pair, control::ChangeReply answer,
                   control::Reply<control::ChangeReply> reply);
  void serve_forget();
  void serve_settings();
  // group set: shorten the lease of the sync copies and wait until none holds a longer one; then store, tell.
  void shorten_leases(const io::GroupRow& from, const io::GroupRow& to, std::function<void(Status)> then);
  void store_settings(const control::GroupSetRequest& request, control::Reply<control::ChangeReply> reply);
  // Unloads the copy's volumes, frees journal and meta devices. What it says: where the data is.
  using Forgotten = std::function<void(Result<std::vector<std::string>>)>;
  void forget_copy(const std::string& group, const std::string& why, Forgotten then);
  void give_up_copy(const io::GroupRow& row, const core::TargetStatus& copy, const std::string& why,
                    Forgotten then);
  // After the runtime of a group ended: `then` once nothing of it writes to its journal any more.
  void when_released(std::weak_ptr<io::Journal> journal, std::function<void()> then);
  std::string in_use_by_pairs(const std::string& group);
  void volume_removed(const io::VolumeRow& row, control::Reply<control::ChangeReply> reply);
  // A group as if it were on its own.
  void take_over_group(const control::TakeoverRequest& request, control::Reply<control::TakeoverReply> reply);
  void plan_group(const control::TakeoverRequest& request, const SiteTakeover::Answered& answered);
  void serve_knowledge();
  void gather_knowledge(std::shared_ptr<Takeover> work);
  void plan(std::shared_ptr<Takeover> work);
  void execute(std::shared_ptr<Takeover> work);
  void follow_takeover(std::shared_ptr<Takeover> work);
  void finish_takeover(const std::shared_ptr<Takeover>& work, const std::optional<Error>& error);
  void end_takeover(const std::shared_ptr<Takeover>& work, const std::optional<Error>& error);

  Context& context_;
  Peers& peers_;
  NodeCalls& calls_;
  Groups& groups_;
  StatusBoard& board_;
  PrimaryNews& news_;
  Copysets& copysets_;
  CopysetCreation copyset_creation_;
  SiteTakeover site_takeover_;
};

} // namespace rc::agent
