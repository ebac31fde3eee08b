// SPDX-License-Identifier: GPL-2.0-or-later
// rcctl as a whole, from words to exit code, against a fake agent on a real socket.
#include "ctl/verb.hpp"

#include "tests/support/fake_agent.hpp"

#include <gtest/gtest.h>
#include <sstream>

using namespace rc;
using control::Json;

namespace {

struct Outcome {
  int code = -1;
  std::string out, err;
};

Outcome rcctl_at(const std::string& socket, std::vector<std::string> words) {
  words.insert(words.end(), {"--socket", socket});
  std::ostringstream out, err;
  ctl::Terminal terminal{out, err, false, 100};
  const int code = ctl::run(words, terminal);
  return {code, out.str(), err.str()};
}

control::StatusReply report(control::PairState state, std::optional<double> lag = 0.5) {
  control::PairStatus pair;
  pair.group = "bank";
  pair.source = "pa";
  pair.target = "sy";
  pair.target_site = "near";
  pair.mode = control::Mode::Sync;
  pair.state = state;
  pair.link = control::LinkState::Up;
  pair.sync =
      state == control::PairState::Duplex ? control::SyncState::Current : control::SyncState::NotCurrent;
  pair.lag_seconds = lag;
  pair.lag_bytes = 0;
  if (state != control::PairState::Duplex) {
    pair.reason = "the copy is being made";
    pair.next_action = "wait";
    pair.progress = control::ProgressStatus{4 << 20, 1 << 20, 1 << 20, 1.0};
  }
  control::GroupStatus group;
  group.name = "bank";
  group.role = control::Role::Primary;
  group.state = control::GroupState::Active;
  group.generation = 3;
  group.lag_seconds = lag;
  group.volumes.push_back({"data", 0, 1ULL << 30, "/dev/mapper/bank-data", "/dev/vg/data", false, ""});
  group.pairs.push_back(pair);
  control::StatusReply whole;
  whole.node = "pa";
  whole.site = "near";
  whole.time = "2026-11-20T10:00:00.000Z";
  whole.groups.push_back(group);
  return whole;
}

struct Rcctl : ::testing::Test {
  test::FakeAgent agent;
  void SetUp() override {
    agent.reports.push_back(report(control::PairState::Duplex));
    ASSERT_TRUE(agent.start());
  }
  Outcome rcctl(std::vector<std::string> words) { return rcctl_at(agent.socket(), std::move(words)); }
  std::string last_call() { return agent.calls().empty() ? "" : agent.calls().back(); }
};

const std::vector<std::string> pair_create{"pair",   "create",   "bank",       "--to",     "sy",
                                           "--mode", "sync",     "--journal",  "/dev/j",   "--journal-size",
                                           "2G",     "--volume", "data=/d,/m", "--volume", "log=/e,/n"};

} // namespace

TEST(RcctlAlone, without_an_agent_says_so_with_exit_3) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"status"},
                                                {"list"},
                                                {"watch"},
                                                {"events", "--follow"},
                                                {"wait", "--for", "synced"},
                                                {"takeover", "bank"},
                                                {"node", "add", "sy", "--address", "sy:7700"}}) {
    const Outcome outcome = rcctl_at("/nonexistent/rcagent.sock", words);
    EXPECT_EQ(outcome.code, 3) << words[0];
    EXPECT_EQ(outcome.out, "");
    EXPECT_NE(outcome.err.find("next: see 'systemctl status rcagent'"), std::string::npos) << outcome.err;
  }
  const Outcome json = rcctl_at("/nonexistent/rcagent.sock", {"--json", "status"});
  EXPECT_EQ(Json::parse(json.out)["error"]["code"], "unreachable");
  EXPECT_EQ(rcctl_at("/nonexistent/rcagent.sock", {"version"}).code, 0);
}

TEST(RcctlAlone, wrong_usage_is_exit_2_and_needs_no_agent) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"bogus"},
        {"pair"},
        {"pair", "create"},
        {"pair", "create", "bank", "--to", "sy"},
        {"pair", "create", "bank", "--to", "sy", "--mode", "semi", "--journal", "/j", "--volume", "a=/b,/c"},
        {"pair", "create", "bank", "--to", "sy", "--mode", "sync", "--journal", "/j", "--volume", "a"},
        {"pair", "create", "bank", "--to", "sy", "--mode", "sync", "--journal", "/j"},
        {"node", "add", "a b", "--address", "sy:7700"},
        {"node", "add", "sy", "--address", "sy"},
        {"node", "add", "sy", "--address", "sy:1", "--address", "sy:2"},
        {"group", "create", "a-b", "--journal", "/j"},
        {"group", "create", "g", "--journal", "/j", "--journal-size", "12X"},
        {"group", "create", "g", "--journal", "/j", "--ring-mib", "-3"},
        {"volume", "create", "g", "v", "--device", "/d", "--meta", "/d"},
        {"node", "remove"},
        {"node", "remove", "a b"},
        {"volume", "delete", "g"},
        {"volume", "delete", "g", "v", "--force"},
        {"group", "delete", "a-b"},
        {"status", "a", "b"},
        {"status", "--bogus"},
        {"--bogus", "status"},
        {"list", "planets"},
        {"wait", "--for", "lag"},
        {"wait"},
        {"watch", "--interval", "soon"},
        {"events", "--limit", "0"},
        {"takeover"},
        {"takeover", "bank", "--forc"}}) {
    const Outcome outcome = rcctl_at("/nonexistent/rcagent.sock", words);
    EXPECT_EQ(outcome.code, 2) << words[0] << " " << outcome.err;
    EXPECT_EQ(outcome.err.substr(0, 7), "rcctl: ");
    EXPECT_NE(outcome.err.find("  next: "), std::string::npos) << outcome.err;
  }
}

TEST(RcctlAlone, help_knows_every_verb_and_every_option) {
  const Outcome all = rcctl_at("/nonexistent", {"help"});
  std::ostringstream out, err;
  ctl::Terminal terminal{out, err, false, 100};
  EXPECT_EQ(ctl::run({}, terminal), 2);
  EXPECT_EQ(ctl::run({"--help"}, terminal), 0);
  for (const ctl::Verb& verb : ctl::verbs()) {
    if (verb.hidden)
      continue;
    EXPECT_NE(out.str().find(verb.path), std::string::npos) << verb.path;
    std::ostringstream one;
    ctl::Terminal to_one{one, err, false, 100};
    std::vector<std::string> words;
    std::istringstream path(verb.path);
    for (std::string word; path >> word;)
      words.push_back(word);
    words.push_back("--help");
    EXPECT_EQ(ctl::run(words, to_one), 0) << verb.path;
    for (const ctl::Option& option : verb.options)
      EXPECT_NE(one.str().find("--" + std::string(option.name)), std::string::npos) << verb.path;
  }
}

TEST_F(Rcctl, pair_create_sends_what_was_said) {
  const Outcome outcome = rcctl(pair_create);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "created: pair.create\n");
  const std::string call = last_call();
  ASSERT_EQ(call.substr(0, 12), "pair.create ");
  const Json sent = Json::parse(call.substr(12));
  EXPECT_EQ(sent["mode"], "sync");
  EXPECT_EQ(sent["journal_bytes"], 2ULL << 30);
  EXPECT_EQ(sent["volumes"][1]["name"], "log");
  EXPECT_EQ(sent["volumes"][1]["meta"], "/n");
  EXPECT_EQ(sent["force"], false);
}

TEST_F(Rcctl, says_whether_a_repeated_command_changed_anything) {
  EXPECT_EQ(rcctl({"node", "add", "sy", "--address", "sy:7700", "--site", "near"}).out,
            "created: node.add\n");
  EXPECT_EQ(rcctl({"node", "add", "sy", "--address", "sy:7700", "--site", "near"}).out,
            "already so: node.add\n");
  const Outcome json = rcctl({"node", "add", "sy", "--address", "sy:7700", "--site", "near", "--json"});
  EXPECT_EQ(Json::parse(json.out)["outcome"], "unchanged");
}

TEST_F(Rcctl, switches_and_relative_paths_reach_the_agent) {
  EXPECT_EQ(rcctl({"volume", "create", "bank", "data", "--device", "vg/data", "--meta", "/m", "--keep-data",
                   "--dry-run"})
                .code,
            0);
  const Json sent = Json::parse(last_call().substr(14));
  EXPECT_EQ(sent["device"], (std::filesystem::current_path() / "vg/data").string());
  EXPECT_EQ(sent["keep_data"], true);
  EXPECT_EQ(sent["force"], false);
  EXPECT_EQ(sent["dry_run"], true);
  EXPECT_EQ(rcctl({"pair", "suspend", "bank", "--to", "sy"}).code, 0);
  EXPECT_NE(last_call().find(R"("action":"suspend")"), std::string::npos);
}

TEST_F(Rcctl, in_place_is_a_word_of_its_own) {
  EXPECT_EQ(rcctl({"pair", "resync", "bank", "--in-place"}).code, 0);
  Json sent = Json::parse(last_call().substr(12));
  EXPECT_EQ(sent["in_place"], true);
  EXPECT_EQ(sent["force"], false);
  EXPECT_EQ(rcctl({"pair", "suspend", "bank", "--in-place"}).code, 2);
}

TEST_F(Rcctl, settings_that_are_not_named_stay) {
  EXPECT_EQ(rcctl({"group", "set", "bank", "--on-full", "throttle"}).code, 0);
  EXPECT_EQ(
      last_call(),
      R"(group.set {"ack_timeout_ms":0,"checkpoint_ms":0,"fence":null,"name":"bank","on_full":"throttle"})");
  EXPECT_EQ(rcctl({"group", "set", "bank", "--checkpoint-interval", "500ms", "--ack-timeout", "2s"}).code, 0);
  EXPECT_EQ(
      last_call(),
      R"(group.set {"ack_timeout_ms":2000,"checkpoint_ms":500,"fence":null,"name":"bank","on_full":null})");
  const std::size_t calls = agent.calls().size();
  EXPECT_EQ(rcctl({"group", "set", "bank"}).code, 2);
  EXPECT_EQ(rcctl({"group", "set", "bank", "--ack-timeout", "10ms"}).code, 2);
  EXPECT_EQ(agent.calls().size(), calls);
}

TEST_F(Rcctl, what_is_taken_away_is_sent_by_name) {
  EXPECT_EQ(rcctl({"node", "remove", "sy"}).code, 0);
  EXPECT_EQ(last_call(), R"(node.remove {"name":"sy"})");
  EXPECT_EQ(rcctl({"volume", "delete", "bank", "data"}).code, 0);
  EXPECT_EQ(last_call(), R"(volume.delete {"group":"bank","name":"data"})");
  EXPECT_EQ(rcctl({"group", "delete", "bank"}).code, 0);
  EXPECT_EQ(last_call(), R"(group.delete {"name":"bank"})");
  EXPECT_EQ(rcctl({"pair", "delete", "bank", "--force"}).code, 0);
  const Json sent = Json::parse(last_call().substr(12));
  EXPECT_EQ(sent["action"], "delete");
  EXPECT_EQ(sent["force"], true);
  EXPECT_EQ(sent["to"], "");
}

TEST_F(Rcctl, a_refusal_to_take_away_is_exit_6_with_what_stands_on_it) {
  agent.on_thread([&] {
    agent.refuse = Error{ErrorCode::Refused, "group bank has pairs", "delete them first"};
  });
  const Outcome outcome = rcctl({"group", "delete", "bank"});
  EXPECT_EQ(outcome.code, 6);
  EXPECT_EQ(outcome.err, "rcctl: group bank has pairs\n  next: delete them first\n");
}

TEST_F(Rcctl, each_class_of_error_has_its_exit_code) {
  const std::vector<std::pair<ErrorCode, int>> table{
      {ErrorCode::Failed, 1},     {ErrorCode::Usage, 2},
      {ErrorCode::NotFound, 4},   {ErrorCode::NotPermitted, 4},
      {ErrorCode::Refused, 6},    {ErrorCode::Timeout, 5},
      {ErrorCode::Corrupt, 1},    {ErrorCode::Full, 1},
      {ErrorCode::Unreachable, 1}}; // a peer that the agent can't reach is not "no agent"
  for (const auto& [code, exit] : table) {
    agent.on_thread([&] { agent.refuse = Error{code, "the reason", "the action"}; });
    const Outcome outcome = rcctl({"confirm", "bank"});
    EXPECT_EQ(outcome.code, exit) << to_string(code);
    EXPECT_EQ(outcome.err, "rcctl: the reason\n  next: the action\n");
    const Outcome json = rcctl({"confirm", "bank", "--json"});
    EXPECT_EQ(json.code, exit);
    EXPECT_EQ(Json::parse(json.out)["error"]["reason"], "the reason");
    EXPECT_EQ(Json::parse(json.out)["error"]["next_action"], "the action");
  }
}

TEST_F(Rcctl, status_shows_lag_first_and_why_and_next_of_what_is_not_well) {
  agent.on_thread([&] { agent.reports[0] = report(control::PairState::InitialCopy, std::nullopt); });
  const Outcome outcome = rcctl({"status"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_NE(outcome.out.find("group bank: lag unknown, primary, active, generation 3"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("lag unknown  to sy (near)  sync  initial_copy"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("75.0 %, 1.0 MiB left, 1.0 MiB/s, 1.0 s to go"), std::string::npos)
      << outcome.out;
  EXPECT_NE(outcome.out.find("why: the copy is being made"), std::string::npos);
  EXPECT_NE(outcome.out.find("next: wait"), std::string::npos);
  EXPECT_EQ(outcome.out.find('#'), std::string::npos); // a bar only on a terminal
}

TEST_F(Rcctl, status_as_json_is_the_documented_schema) {
  const Outcome outcome = rcctl({"status", "bank", "--json"});
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["schema"], "remotecopy.status/1");
  EXPECT_EQ(json["groups"][0]["pairs"][0]["lag_seconds"], 0.5);
  EXPECT_EQ(Json::parse(last_call().substr(7))["group"], "bank");
}

TEST_F(Rcctl, watch_shows_every_report_and_ends_when_the_agent_dies) {
  agent.on_thread([&] {
    agent.reports = {report(control::PairState::InitialCopy), report(control::PairState::Duplex)};
    agent.report_every = std::chrono::milliseconds(1);
  });
  std::thread stopper([&] {
    while (agent.calls().empty())
      std::this_thread::yield();
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    agent.stop();
  });
  const Outcome outcome = rcctl({"watch", "bank", "--json"});
  stopper.join();
  EXPECT_EQ(outcome.code, 3);
  std::istringstream lines(outcome.out);
  std::vector<Json> reports;
  for (std::string line; std::getline(lines, line);)
    reports.push_back(Json::parse(line));
  ASSERT_GE(reports.size(), 3u); // two reports and the error
  EXPECT_EQ(reports[0]["groups"][0]["pairs"][0]["state"], "initial_copy");
  EXPECT_EQ(reports[1]["groups"][0]["pairs"][0]["state"], "duplex");
  EXPECT_EQ(reports.back()["error"]["code"], "unreachable");
}

TEST_F(Rcctl, events_come_one_on_a_line_and_a_dash_ends_what_was_stored) {
  agent.on_thread([&] {
    agent.stored.push_back({7, "2026-11-20T10:00:00.000Z", control::Severity::Warning,
                            control::EventKind::Change, "pair bank@sy", "bank", "suspended: link lost",
                            "check the network"});
    agent.coming.push_back({8, "2026-11-20T10:00:01.000Z", control::Severity::Info,
                            control::EventKind::Change, "pair bank@sy", "bank", "duplex", ""});
  });
  EXPECT_EQ(rcctl({"events"}).out,
            "2026-11-20T10:00:00.000Z  warning  change  pair bank@sy: suspended: link lost (next: "
            "check the network)\n");
  const Outcome follow = rcctl({"events", "--follow"});
  EXPECT_EQ(follow.code, 0);
  EXPECT_NE(follow.out.find("network)\n-\n2026-11-20T10:00:01.000Z  info"), std::string::npos) << follow.out;
  const Outcome json = rcctl({"events", "--follow", "--json"});
  std::istringstream lines(json.out);
  std::string one, two, three;
  std::getline(lines, one);
  std::getline(lines, two);
  std::getline(lines, three);
  EXPECT_EQ(Json::parse(one)["id"], 7);
  EXPECT_EQ(two, R"({"dump_complete":true})");
  EXPECT_EQ(Json::parse(three)["id"], 8);
}

TEST_F(Rcctl, wait_returns_when_the_pair_is_synced) {
  agent.on_thread([&] {
    agent.reports = {report(control::PairState::InitialCopy), report(control::PairState::InitialCopy),
                     report(control::PairState::Duplex)};
  });
  const Outcome outcome = rcctl({"wait", "bank", "--for", "synced", "--timeout", "30"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "synced\n");
}

TEST_F(Rcctl, wait_gives_up_after_its_time_and_says_what_was_missing) {
  agent.on_thread([&] { agent.reports = {report(control::PairState::InitialCopy)}; });
  const Outcome outcome = rcctl({"wait", "bank", "--for", "synced", "--timeout", "50ms", "--json"});
  EXPECT_EQ(outcome.code, 5);
  EXPECT_EQ(Json::parse(outcome.out)["error"]["code"], "timeout");
  EXPECT_NE(outcome.err.find("pair bank@sy is initial_copy: the copy is being made"), std::string::npos)
      << outcome.err;
}

TEST_F(Rcctl, wait_gives_up_in_time_when_the_agent_says_nothing) {
  agent.on_thread([&] {
    agent.reports = {report(control::PairState::InitialCopy)};
    agent.silent = true;
  });
  EXPECT_EQ(rcctl({"wait", "--for", "synced", "--timeout", "50ms"}).code, 5);
}

TEST_F(Rcctl, wait_goes_on_when_the_agent_is_restarted) {
  agent.on_thread([&] { agent.reports = {report(control::PairState::InitialCopy)}; });
  std::thread restarter([&] {
    while (agent.calls().empty())
      std::this_thread::yield();
    agent.stop();
    agent.reports = {report(control::PairState::Duplex)};
    ASSERT_TRUE(agent.start());
  });
  const Outcome outcome = rcctl({"wait", "--for", "synced", "--timeout", "20s"});
  restarter.join();
  EXPECT_EQ(outcome.code, 0) << outcome.err;
}

TEST_F(Rcctl, takeover_shows_plan_and_loss_and_follows_the_steps) {
  agent.on_thread([&] {
    agent.plan.group = "bank";
    agent.plan.allowed = true;
    agent.plan.forecast.lost_seconds = 2.5;
    agent.plan.forecast.lost_bytes = 3 << 20;
    agent.plan.sites.push_back({"near", "pa", false, "", {}});
    agent.plan.steps = {{"as", "close the stream", control::StepState::Planned, ""},
                        {"as", "release checkpoint 1.17", control::StepState::Planned, ""}};
    control::TakeoverReply step = agent.plan;
    step.steps[0].state = control::StepState::Done;
    step.steps[1].state = control::StepState::Running;
    agent.progress.push_back(step);
    step.steps[1].state = control::StepState::Done;
    step.complete = true;
    step.devices = {"/dev/mapper/bank-data"};
    agent.progress.push_back(step);
  });
  const Outcome outcome = rcctl({"takeover", "bank", "--force", "--accept-loss-of", "pa"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  for (const char* part :
       {"loss: 2.5 s, 3.0 MiB", "site near (node pa): not reachable: what it holds is unknown",
        "1  planned  as  close the stream", "step 1 of 2 on as: done: close the stream",
        "step 2 of 2 on as: running", "step 2 of 2 on as: done", "done: group bank is primary here",
        "hosts use: /dev/mapper/bank-data"})
    EXPECT_NE(outcome.out.find(part), std::string::npos) << part << "\n" << outcome.out;
  ASSERT_EQ(agent.calls().size(), 2u);
  EXPECT_NE(agent.calls()[0].find(R"("dry_run":true)"), std::string::npos);
  const Json sent = Json::parse(agent.calls()[1].substr(9));
  EXPECT_EQ(sent["dry_run"], false);
  EXPECT_EQ(sent["force"], true);
  EXPECT_EQ(sent["accept_loss_of"], Json::array({"pa"}));
}

TEST_F(Rcctl, a_takeover_of_what_is_primary_here_changes_nothing) {
  agent.on_thread([&] {
    agent.plan.group = "bank";
    agent.plan.complete = true;
    agent.plan.devices = {"/dev/mapper/bank-data"};
  });
  const Outcome outcome = rcctl({"takeover", "bank"});
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out, "already so: group bank is primary here\n  hosts use: /dev/mapper/bank-data\n");
  EXPECT_EQ(agent.calls().size(), 1u);
}

TEST_F(Rcctl, a_takeover_that_is_refused_does_nothing_and_is_exit_6) {
  agent.on_thread([&] {
    agent.plan.group = "bank";
    agent.plan.needs_force = true;
    agent.plan.refusal = "the primary pa still answers";
    agent.plan.steps = {{"as", "close the stream", control::StepState::Planned, ""}};
  });
  for (const bool dry : {false, true}) {
    std::vector<std::string> words{"takeover", "bank"};
    if (dry)
      words.push_back("--dry-run");
    const Outcome outcome = rcctl(words);
    EXPECT_EQ(outcome.code, 6);
    EXPECT_NE(outcome.err.find("the primary pa still answers"), std::string::npos);
    EXPECT_NE(outcome.out.find("close the stream"), std::string::npos); // what was refused was shown
  }
  const Outcome json = rcctl({"takeover", "bank", "--json"});
  EXPECT_EQ(json.code, 6);
  EXPECT_EQ(Json::parse(json.out)["refusal"], "the primary pa still answers");
  for (const std::string& call : agent.calls())
    EXPECT_NE(call.find(R"("dry_run":true)"), std::string::npos) << call;
}

TEST_F(Rcctl, a_takeover_that_stops_half_way_is_a_failure_with_the_step) {
  agent.on_thread([&] {
    agent.plan.group = "bank";
    agent.plan.allowed = true;
    agent.plan.steps = {{"as", "store the lineage", control::StepState::Planned, ""}};
    control::TakeoverReply step = agent.plan;
    step.steps[0].state = control::StepState::Failed;
    step.steps[0].reason = "journal: I/O error";
    agent.progress.push_back(step);
  });
  const Outcome outcome = rcctl({"takeover", "bank"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_NE(outcome.err.find("store the lineage: journal: I/O error"), std::string::npos) << outcome.err;
}

TEST_F(Rcctl, list_and_show_find_what_is_asked_for) {
  agent.on_thread([&] {
    agent.topology.nodes.push_back({"pa", "near", "pa:7700", true, control::LinkState::Up, ""});
    agent.topology.groups.push_back({"bank", control::Role::Primary, "pa", "/dev/j", 1 << 30, 64});
    agent.topology.volumes.push_back({"bank", "data", 0, "pa", 1 << 30, "/d", "/m", "/dev/mapper/bank-data"});
    agent.topology.pairs.push_back(
        {"bank", "pa", "sy", control::Mode::Sync, control::PairState::Duplex, "/dev/j"});
  });
  EXPECT_NE(rcctl({"list"}).out.find("bank@sy  pa    sync  duplex"), std::string::npos)
      << rcctl({"list"}).out;
  EXPECT_EQ(rcctl({"list", "nodes"}).out, "NODE  SITE  ADDRESS  LINK\npa    near  pa:7700  this node\n");
  EXPECT_NE(rcctl({"show", "bank/data"}).out.find("/dev/mapper/bank-data"), std::string::npos);
  EXPECT_EQ(Json::parse(rcctl({"show", "bank@sy", "--json"}).out)["pairs"].size(), 1u);
  const Outcome nothing = rcctl({"show", "shop"});
  EXPECT_EQ(nothing.code, 4);
}

TEST_F(Rcctl, copyset_create_takes_all_groups_that_are_named) {
  EXPECT_EQ(rcctl({"copyset", "create", "money", "bank", "audit", "shop"}).code, 0);
  EXPECT_EQ(Json::parse(last_call().substr(15)),
            (Json{{"name", "money"}, {"groups", {"bank", "audit", "shop"}}}));
  EXPECT_EQ(rcctl({"copyset", "create", "money", "bank"}).code, 2);
}

TEST_F(Rcctl, copysets_are_listed_and_shown_with_who_leads) {
  EXPECT_NE(rcctl({"copyset", "list"}).out.find("no copyset"), std::string::npos);
  agent.topology.copysets = {
      {"money", 3, {{"bank", "home", "pa", true, false}, {"audit", "away", "a2", false, true}}}};
  const auto list = rcctl({"copyset", "list"});
  EXPECT_NE(list.out.find("money    3      bank@home audit@away"), std::string::npos) << list.out;
  auto whole = report(control::PairState::Duplex);
  control::CopysetStatus seat;
  seat.name = "money";
  seat.epoch = 3;
  seat.step = "marks checkpoint 1.9";
  seat.waits = "audit@home";
  seat.checkpoint = control::CheckpointStatus{1, 8, "", {}};
  seat.checkpoints = 7;
  seat.voids = 1;
  seat.hold_seconds = 0.0031;
  whole.groups[0].copyset = seat;
  agent.reports = {whole};
  const auto show = rcctl({"copyset", "show", "money"});
  EXPECT_EQ(show.code, 0) << show.err;
  for (const char* part :
       {"bank@home", "leads its site", "audit@away", "registrar",
        "group bank here: epoch 3, leads its site: marks checkpoint 1.9, waits for audit@home, "
        "last common checkpoint 1.8 (7 made, 1 not held), writes held for 3.1 ms"})
    EXPECT_NE(show.out.find(part), std::string::npos) << part << "\n" << show.out;
  EXPECT_NE(rcctl({"status"}).out.find("copyset money: epoch 3"), std::string::npos);
  EXPECT_EQ(rcctl({"copyset", "show", "other"}).code, 4);
}

TEST_F(Rcctl, version_tells_all_three) {
  EXPECT_NE(rcctl({"version"}).out.find("dm-remotecopy 1.0.0, ABI 1"), std::string::npos);
  EXPECT_EQ(Json::parse(rcctl({"version", "--json"}).out)["agent"]["node"], "pa");
}
