// SPDX-License-Identifier: GPL-2.0-or-later
// pair delete. The primary closes a current copy first, then the copy's node unloads its volumes and frees
// journal and meta devices, then the primary forgets the pair. Invariant: unless forced, neither side forgets
// before the other did. Data on backing devices is never touched here.
#include "agent/commands.hpp"
#include "agent/forward.hpp"
#include "agent/journal_setup.hpp"
#include "base/log.hpp"

namespace rc::agent {

using namespace rc::control;

namespace {

constexpr auto patience = std::chrono::seconds(15); // above every deadline of a sync copy's acknowledgements
constexpr auto update_patience = std::chrono::seconds(60); // longer only with a failed disk

// Where the copy's data is afterwards, and what it is worth.
std::vector<std::string> remains(const VolumeSet& set, const core::TargetStatus& copy) {
  std::vector<std::string> lines;
  for (const auto& volume : set.volumes)
    lines.push_back("node " + volume.node + ": " + volume.device + " is free; it keeps " +
                    (copy.restartable && !copy.update_in_progress
                         ? "the image of checkpoint " + to_string(copy.position.applied) + " of volume " +
                               set.group + "/" + volume.name
                         : "parts of volume " + set.group + "/" + volume.name + ", no complete image"));
  return lines;
}

std::vector<std::string> texts(const Json& json, const char* key) {
  std::vector<std::string> lines;
  if (const auto list = json.find(key); list != json.end() && list->is_array())
    for (const auto& line : *list)
      if (line.is_string())
        lines.push_back(line.get<std::string>());
  return lines;
}

} // namespace

// ---- at the primary

void Commands::pair_delete(const PairActionRequest& request, io::PairRow pair, Reply<ChangeReply> reply) {
  const bool linked = peers_.link(pair.target) != nullptr;
  if (!linked && !request.force) {
    reply(Error{ErrorCode::Unreachable,
                "node " + pair.target + " can't be told that its copy is given up: there is no link (" +
                    peers_.status(pair.target).reason + ")",
                "bring the link back; or repeat with --force to forget the pair here alone"});
    return;
  }
  ChangeReply answer;
  answer.object = pair_object(pair.group, pair.target);
  answer.outcome = Outcome::Removed;
  if (!linked) {
    answer.warnings.push_back("node " + pair.target + " was not told; its devices stay in use there");
    answer.next_action = "when " + pair.target + " is back, free them there: rcctl pair delete " +
                         pair.group + " --to " + pair.target;
    forget_pair(pair, std::move(answer), reply);
    return;
  }
  // A current copy is closed before it goes: no write has to wait for its deadline.
  if (SourceRuntime* source = groups_.source(pair.group))
    source->suspend_pair(pair.target, "the pair is being deleted");
  const auto closed = [this, pair] {
    SourceRuntime* source = groups_.source(pair.group);
    if (source)
      for (const auto& link : source->core_status().links)
        if (link.peer == pair.target && link.state == core::PairState::Suspending)
          return false;
    return true;
  };
  wait_until(closed, patience, [this, pair, request, answer, reply](bool) mutable {
    calls_.call(
        pair.target, "copy.forget", {{"group", pair.group}},
        [this, pair, request, answer, reply](const Result<Json>& told) mutable {
          if (told) {
            answer.details = texts(*told, "details");
          } else if (request.force) {
            answer.warnings.push_back("node " + pair.target +
                                      " could not give up its copy: " + told.error().what);
            answer.next_action =
                "remove the cause, then there: rcctl pair delete " + pair.group + " --to " + pair.target;
          } else {
            if (SourceRuntime* source = groups_.source(pair.group); source && !pair.suspended)
              source->resume_pair(pair.target);
            reply(told.error()
                      .because("node " + pair.target + " could not give up its copy; the pair stays")
                      .then("remove the cause and repeat; or repeat with --force to forget the pair "
                            "here alone"));
            return;
          }
          forget_pair(pair, std::move(answer), reply);
        },
        std::chrono::seconds(100));
  });
}

void Commands::forget_pair(const io::PairRow& pair, ChangeReply answer, Reply<ChangeReply> reply) {
  if (SourceRuntime* running = groups_.source(pair.group))
    running->remove_pair(pair.target);
  if (const auto removed = context_.inventory.remove_pair(pair.group, pair.source, pair.target); !removed) {
    reply(removed.error());
    return;
  }
  if (const auto rows = context_.inventory.load())
    for (const auto& volume : rows->volumes)
      if (volume.group == pair.group && volume.node == pair.target)
        if (const auto removed = context_.inventory.remove_volume(volume.group, volume.node, volume.name);
            !removed)
          log::error("inventory: " + removed.error().text());
  answer.what = answer.warnings.empty() ? "the copy is given up" : "forgotten here";
  context_.events.add(answer.warnings.empty() ? Severity::Notice : Severity::Warning, EventKind::Destroy,
                      answer.object, pair.group,
                      answer.what + (answer.warnings.empty() ? "" : ": " + answer.warnings.front()),
                      answer.next_action);
  board_.changed();
  reply(answer);
}

// ---- at the copy

// Asked on the copy's own node: the primary does it. When it can't be asked, --force gives up this side; when
// it knows of no such pair, there is nothing to ask.
void Commands::pair_delete_at_copy(const PairActionRequest& request, const io::GroupRow& group,
                                   Reply<ChangeReply> reply) {
  PairActionRequest asked = request;
  if (asked.to.empty())
    asked.to = context_.config.node;
  const auto here = [this, asked, group, reply](const std::string& why) {
    forget_copy(group.name, why,
                [reply, object = pair_object(group.name, asked.to),
                 why](const Result<std::vector<std::string>>& done) {
                  if (!done) {
                    reply(done.error());
                    return;
                  }
                  ChangeReply answer;
                  answer.outcome = Outcome::Removed;
                  answer.object = object;
                  answer.what = "this node gave up its copy (" + why + ")";
                  answer.details = *done;
                  reply(answer);
                });
  };
  const bool of_this_node = asked.to == context_.config.node;
  calls_.call(
      group.primary_node, PairActionRequest::method, to_json(asked),
      [this, asked, group, here, of_this_node, reply](const Result<Json>& told) {
        const auto answer = told ? from_json<ChangeReply>(*told) : Result<ChangeReply>(told.error());
        if (answer && (!of_this_node || answer->outcome != Outcome::Unchanged || !groups_.runs(group.name)))
          reply(*answer);
        else if (answer)
          here("node " + group.primary_node + " knows of no such pair");
        else if (asked.force && of_this_node)
          here("node " + group.primary_node + " was not told");
        else
          reply(answer.error()
                    .because("primary node " + group.primary_node)
                    .then(of_this_node ? "to use the copy's data: rcctl takeover " + group.name +
                                             "; to give the copy up without the primary: repeat with --force"
                                       : answer.error().next));
      },
      std::chrono::seconds(120));
}

void Commands::serve_forget() {
  calls_.serve(
      "copy.forget", [this](const std::string& peer, const Json& parameters, NodeCalls::Answer answer) {
        const auto named = parameters.is_object() ? parameters.value("group", Json()) : Json();
        if (!named.is_string()) {
          answer(Error{ErrorCode::Usage, "copy.forget needs a group", ""});
          return;
        }
        const auto row = group_row(named.get<std::string>());
        if (!row || row->role == Role::Primary || row->primary_node != peer) {
          const std::string now = !row                         ? "does not know the group"
                                  : row->role == Role::Primary ? "is now its primary itself"
                                                               : "now copies node " + row->primary_node;
          answer(Json{{"forgotten", false},
                      {"details", Json::array({"node " + context_.config.node + " " + now +
                                               ": there was nothing to give up there"})}});
          return;
        }
        forget_copy(row->name, "node " + peer + " deleted the pair",
                    [answer](const Result<std::vector<std::string>>& done) {
                      if (done)
                        answer(Json{{"forgotten", true}, {"details", *done}});
                      else
                        answer(done.error());
                    });
      });
}

void Commands::forget_copy(const std::string& group, const std::string& why, Forgotten then) {
  const auto row = group_row(group);
  if (!row) {
    then(std::vector<std::string>{});
    return;
  }
  const auto status = [this, group] {
    TargetRuntime* target = groups_.target(group);
    return target ? target->core_status() : core::TargetStatus{};
  };
  if (status().taking_over) {
    then(Error{ErrorCode::Refused,
               "node " + context_.config.node + " is taking over group " + group + ": its copy is needed",
               "wait for the end of the takeover: rcctl status " + group});
    return;
  }
  // An update in progress must complete: what stays on the devices is then a whole image. (An initial copy
  // has none to keep.)
  const auto whole = [status] {
    const auto copy = status();
    return !copy.update_in_progress || copy.draft_in_place;
  };
  wait_until(whole, update_patience,
             [this, row = *row, why, status, then](bool) { give_up_copy(row, status(), why, then); });
}

void Commands::give_up_copy(const io::GroupRow& row, const core::TargetStatus& copy, const std::string& why,
                            Forgotten then) {
  const auto set = volume_set(row);
  const auto journal = groups_.stop_group(row.name);
  when_released(journal, [this, set, row, copy, why, then] {
    context_.in_background([set] { return unload(set); },
                           [this, set, row, copy, why, then](const Status& unloaded) {
                             if (!unloaded) {
                               groups_.begin(row.name);
                               then(unloaded.error());
                               return;
                             }
                             if (const auto removed = context_.inventory.remove_group(row.name); !removed) {
                               groups_.begin(row.name);
                               then(removed.error());
                               return;
                             }
                             auto lines = remains(set, copy);
                             context_.events.add(Severity::Notice, EventKind::Destroy,
                                                 pair_object(row.name, context_.config.node), row.name,
                                                 "the copy is given up (" + why + "); its devices are free");
                             board_.changed();
                             context_.in_background(
                                 [set, path = row.journal] {
                                   std::vector<std::string> trouble;
                                   if (Status done = release_journal(path); !done)
                                     trouble.push_back("journal " + path +
                                                       " was not blanked: " + done.error().text());
                                   for (const auto& volume : set.volumes)
                                     if (Status done = blank_meta(volume.meta, volume.bytes); !done)
                                       trouble.push_back("meta device " + volume.meta +
                                                         " was not blanked: " + done.error().text());
                                   return trouble;
                                 },
                                 [this, lines, then](const std::vector<std::string>& trouble) mutable {
                                   for (const auto& one : trouble) {
                                     log::warning(one);
                                     lines.push_back("node " + context_.config.node + ": " + one);
                                   }
                                   then(std::move(lines));
                                 });
                           });
  });
}

} // namespace rc::agent
