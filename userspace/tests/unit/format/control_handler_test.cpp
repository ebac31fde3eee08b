// SPDX-License-Identifier: GPL-2.0-or-later
#include "format/control_handler.hpp"

#include "format/control_check.hpp"
#include "format/control_wire.hpp"

#include <gtest/gtest.h>

using namespace rc;
using namespace rc::control;

namespace {

struct Answer {
  Json parameters;
  bool continues = false;
  std::optional<Error> error;
};

class RecordingSink : public ReplySink {
public:
  explicit RecordingSink(std::vector<Answer>& answers) : answers_(answers) {}
  void send(Json parameters, bool continues) override {
    answers_.push_back({std::move(parameters), continues, {}});
  }
  void fail(const Error& error) override { answers_.push_back({{}, false, error}); }
  std::size_t backlog() const override { return 0; }

private:
  std::vector<Answer>& answers_;
};

// Answers some at once, keeps the reply of `status`, drops that of `takeover`.
class Handler : public ControlHandler {
public:
  std::optional<Reply<StatusReply>> kept;
  std::string seen;

  void version(const VersionRequest&, Reply<VersionReply> reply) override {
    reply(VersionReply{"1", "pa", "near", 1, "", ""});
  }
  void node_add(const NodeAddRequest& request, Reply<ChangeReply> reply) override {
    seen = request.name;
    reply(ChangeReply{Outcome::Created});
  }
  void node_remove(const NodeRemoveRequest& request, Reply<ChangeReply> reply) override {
    seen = request.name;
    reply(ChangeReply{Outcome::Removed});
  }
  void group_set(const GroupSetRequest& request, Reply<ChangeReply> reply) override {
    seen = request.name;
    reply(ChangeReply{Outcome::Changed});
  }
  void group_delete(const GroupDeleteRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
  void volume_delete(const VolumeDeleteRequest& request, Reply<ChangeReply> reply) override {
    seen = request.group + "/" + request.name;
    reply(ChangeReply{Outcome::Removed});
  }
  void group_create(const GroupCreateRequest&, Reply<ChangeReply> reply) override {
    reply(Error{ErrorCode::Refused, "not blank", "--force"});
  }
  void volume_create(const VolumeCreateRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
  void pair_create(const PairCreateRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
  void pair_action(const PairActionRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
  void copyset_create(const CopysetCreateRequest&, Reply<ChangeReply> reply) override {
    reply(ChangeReply{});
  }
  void list(const ListRequest&, Reply<ListReply> reply) override { reply(ListReply{}); }
  void status(const StatusRequest&, Reply<StatusReply> reply) override { kept = reply; }
  void events(const EventsRequest&, Reply<EventsReply> reply) override { reply(EventsReply{}); }
  void takeover(const TakeoverRequest&, Reply<TakeoverReply>) override {}
  void confirm(const ConfirmRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
  void copy_prepare(const CopyPrepareRequest&, Reply<ChangeReply> reply) override { reply(ChangeReply{}); }
};

struct Dispatched : ::testing::Test {
  Handler handler;
  std::vector<Answer> answers;
  std::shared_ptr<PendingCall> call(const char* method, const Json& parameters, bool more = false,
                                    Caller caller = Caller::LocalRoot) {
    return dispatch(handler, caller, method, parameters, more, std::make_shared<RecordingSink>(answers));
  }
};

} // namespace

TEST_F(Dispatched, a_call_reaches_its_method_with_decoded_values) {
  call("node.add", {{"name", "sy"}, {"address", "sy:7700"}});
  EXPECT_EQ(handler.seen, "sy");
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].parameters["outcome"], "created");
}

TEST_F(Dispatched, what_is_taken_away_is_named_in_full) {
  call("volume.delete", {{"group", "bank"}, {"name", "data"}});
  EXPECT_EQ(handler.seen, "bank/data");
  call("node.remove", {{"name", "sy"}});
  EXPECT_EQ(handler.seen, "sy");
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_EQ(answers[1].parameters["outcome"], "removed");
}

TEST_F(Dispatched, nonsense_never_reaches_the_handler) {
  call("node.add", {{"name", "../etc"}, {"address", "sy:7700"}});
  call("node.add", {{"name", "sy"}, {"address", "sy"}});
  call("node.add", {{"name", 7}});
  call("volume.create", {{"group", "g"}, {"name", "v"}, {"device", "/a"}, {"meta", "/a"}});
  call("node.remove", Json::object());
  call("node.remove", {{"name", "../etc"}});
  call("volume.delete", {{"group", "g"}});
  call("volume.delete", {{"group", "g"}, {"name", "a b"}});
  call("group.delete", {{"name", "a-b"}});
  EXPECT_EQ(handler.seen, "");
  ASSERT_EQ(answers.size(), 9u);
  for (const Answer& answer : answers)
    EXPECT_EQ(answer.error->code, ErrorCode::Usage);
}

TEST_F(Dispatched, an_unknown_method_is_not_found) {
  call("node.explode", Json::object());
  EXPECT_EQ(answers.at(0).error->code, ErrorCode::NotFound);
}

TEST_F(Dispatched, only_a_peer_prepares_a_copy) {
  const Json parameters = to_json(CopyPrepareRequest{"bank",
                                                     "pa",
                                                     "near",
                                                     "pa:7700",
                                                     Mode::Sync,
                                                     "/j",
                                                     0,
                                                     64,
                                                     OnFull::Throttle,
                                                     Fence::Stop,
                                                     1000,
                                                     5000,
                                                     3,
                                                     {{"data", 0, 4096, "/d", "/m"}}});
  call("copy.prepare", parameters);
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error->code, ErrorCode::NotPermitted);
  call("copy.prepare", parameters, false, Caller::Peer);
  ASSERT_EQ(answers.size(), 2u);
  EXPECT_FALSE(answers[1].error);
}

TEST_F(Dispatched, an_error_is_answered_with_what_and_next) {
  call("group.create", {{"name", "g"}, {"journal", "/j"}});
  EXPECT_EQ(answers.at(0).error->what, "not blank");
  EXPECT_EQ(answers.at(0).error->next, "--force");
}

TEST_F(Dispatched, a_stream_continues_until_its_last_answer) {
  call("status", Json::object(), true);
  ASSERT_TRUE(handler.kept);
  EXPECT_TRUE(handler.kept->wants_more());
  handler.kept->progress(StatusReply{});
  handler.kept->progress(StatusReply{});
  (*handler.kept)(StatusReply{});
  (*handler.kept)(StatusReply{}); // one too many: not sent
  handler.kept->progress(StatusReply{});
  ASSERT_EQ(answers.size(), 3u);
  EXPECT_TRUE(answers[0].continues);
  EXPECT_FALSE(answers[2].continues);
  EXPECT_FALSE(handler.kept->open());
}

TEST_F(Dispatched, a_caller_that_wants_one_answer_gets_one) {
  call("status", Json::object(), false);
  handler.kept->progress(StatusReply{});
  EXPECT_TRUE(answers.empty());
  (*handler.kept)(StatusReply{});
  EXPECT_EQ(answers.size(), 1u);
}

TEST_F(Dispatched, a_dropped_request_is_answered_with_an_error) {
  call("takeover", {{"group", "bank"}}).reset();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_EQ(answers[0].error->code, ErrorCode::Failed);
}

TEST_F(Dispatched, a_caller_that_hangs_up_is_told_of_once_and_gets_nothing_more) {
  auto pending = call("status", Json::object(), true);
  int gone = 0;
  handler.kept->on_gone([&] { ++gone; });
  pending->hang_up();
  pending->hang_up();
  handler.kept->progress(StatusReply{});
  EXPECT_EQ(gone, 1);
  EXPECT_TRUE(answers.empty());
  handler.kept->on_gone([&] { ++gone; }); // too late: told at once
  EXPECT_EQ(gone, 2);
}

TEST_F(Dispatched, hanging_up_after_the_answer_tells_nobody) {
  auto pending = call("status", Json::object(), false);
  int gone = 0;
  handler.kept->on_gone([&] { ++gone; });
  (*handler.kept)(StatusReply{});
  pending->hang_up();
  EXPECT_EQ(gone, 0);
}

TEST(ControlCheck, a_device_serves_one_purpose) {
  PairCreateRequest request{"bank", "sy", Mode::Sync, "/j", 0, {{"data", "/d", "/m"}, {"log", "/e", "/n"}}};
  EXPECT_TRUE(check(request));
  request.volumes[1].meta = "/d";
  EXPECT_FALSE(check(request));
  request.volumes[1].meta = "/j";
  EXPECT_FALSE(check(request));
  request.volumes[1].meta = "/n";
  request.volumes[1].name = "data";
  EXPECT_FALSE(check(request));
  request.volumes.clear();
  EXPECT_FALSE(check(request));
}

TEST(ControlCheck, limits) {
  EXPECT_TRUE(check(GroupCreateRequest{"g", "/j", 0, 0}));
  EXPECT_TRUE(check(GroupCreateRequest{"g", "/j", 16 << 20, 64}));
  EXPECT_FALSE(check(GroupCreateRequest{"g", "/j", 1 << 20, 64}));
  for (std::uint32_t mib : {1u, 3u, 8192u})
    EXPECT_FALSE(check(GroupCreateRequest{"g", "/j", 0, mib})) << mib;
  EXPECT_FALSE(check(GroupCreateRequest{"g-h", "/j"}));
  EXPECT_TRUE(check(GroupSetRequest{"g", OnFull::Throttle}));
  EXPECT_TRUE(check(GroupSetRequest{"g", {}, {}, 100, 300000}));
  EXPECT_FALSE(check(GroupSetRequest{"g"})) << "no setting";
  EXPECT_FALSE(check(GroupSetRequest{"g", {}, {}, 99}));
  EXPECT_FALSE(check(GroupSetRequest{"g", {}, {}, 0, 300001}));
  GroupCreateRequest times{"g", "/j"};
  EXPECT_TRUE(check(times)) << "0 stands for the default";
  times.checkpoint_ms = 100;
  times.ack_timeout_ms = 300000;
  EXPECT_TRUE(check(times));
  for (const auto& [checkpoint_ms, ack_timeout_ms] :
       std::vector<std::pair<std::uint32_t, std::uint32_t>>{{99, 0}, {60001, 0}, {0, 999}, {0, 300001}}) {
    times.checkpoint_ms = checkpoint_ms;
    times.ack_timeout_ms = ack_timeout_ms;
    EXPECT_FALSE(check(times)) << checkpoint_ms << " " << ack_timeout_ms;
  }
  EXPECT_TRUE(check(VolumeDeleteRequest{"g", "v"}));
  EXPECT_FALSE(check(VolumeDeleteRequest{"g", ""}));
  EXPECT_FALSE(check(GroupDeleteRequest{"g-h"}));
  EXPECT_TRUE(check(CopysetCreateRequest{"money", {"bank", "audit"}}));
  EXPECT_FALSE(check(CopysetCreateRequest{"money", {"bank"}}));
  EXPECT_FALSE(check(CopysetCreateRequest{"money", {"bank", "bank"}}));
  EXPECT_FALSE(check(CopysetCreateRequest{"mo-ney", {"bank", "audit"}}));
  EXPECT_FALSE(check(NodeRemoveRequest{""}));
  EXPECT_FALSE(check(StatusRequest{"", 0.0}));
  EXPECT_FALSE(check(EventsRequest{"", -1, 0}));
  EXPECT_FALSE(check(TakeoverRequest{"g", false, false, {"bad name"}}));
  CopyPrepareRequest prepare{"g",
                             "pa",
                             "",
                             "",
                             Mode::Sync,
                             "/j",
                             0,
                             64,
                             OnFull::Suspend,
                             Fence::Go,
                             0,
                             0,
                             31,
                             {{"data", 0, 4096, "/d", "/m"}}};
  EXPECT_FALSE(check(prepare));
  prepare.link_slot = 30;
  EXPECT_TRUE(check(prepare));
  prepare.volumes[0].bytes = 100;
  EXPECT_FALSE(check(prepare));
}
