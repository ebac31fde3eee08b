// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/dm.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <libdevmapper.h>
#include <memory>
#include <mutex>

namespace rc::io::dm {
namespace {

std::mutex& library() { // libdevmapper keeps process-wide state
  static std::mutex mutex;
  return mutex;
}

// The library's last words of a failed call, for the Error.
thread_local std::string last_words;

void take_words(int level, const char*, int, int, const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if ((level & 7) <= 3)
    last_words = text;
}

class Task {
public:
  Task(int type, const std::string& name) : lock_(library()), name_(name) {
    dm_log_with_errno_init(take_words);
    dm_udev_set_sync_support(1);
    last_words.clear();
    task_.reset(dm_task_create(type));
    ok_ = task_ && (name.empty() || dm_task_set_name(task_.get(), name.c_str()));
  }
  dm_task* get() { return task_.get(); }
  void require(int done) { ok_ = ok_ && done; }

  Status run(const char* what) {
    if (ok_ && dm_task_run(task_.get()))
      return {};
    return failure(what);
  }

  // Waits until udev has made or removed the nodes, whether the task worked or not.
  Status run_with_udev(const char* what, std::uint16_t flags) {
    std::uint32_t cookie = 0;
    if (!ok_ || !dm_task_set_cookie(task_.get(), &cookie, flags))
      return failure(what);
    const bool done = dm_task_run(task_.get());
    const Status result = done ? Status() : failure(what);
    if (!dm_udev_wait(cookie))
      log::warning("device " + name_ + ": udev did not confirm the change");
    return result;
  }

private:
  Error failure(const char* what) {
    const int number = task_ ? dm_task_get_errno(task_.get()) : ENOMEM;
    std::string text = "device " + name_ + ": " + what;
    Error error = number ? errno_error(text, number) : Error{ErrorCode::Failed, text, ""};
    if (!last_words.empty())
      error.what += " (" + last_words + ")";
    if (number == EBUSY)
      error = Error{ErrorCode::Refused, error.what, "it is open: unmount it or stop what uses it"};
    if (number == ENXIO)
      error.code = ErrorCode::NotFound;
    return error;
  }

  struct Destroy {
    void operator()(dm_task* task) const { dm_task_destroy(task); }
  };
  std::lock_guard<std::mutex> lock_;
  std::string name_;
  std::unique_ptr<dm_task, Destroy> task_;
  bool ok_ = false;
};

std::uint16_t udev_flags(bool hidden) {
  // Without these rules: no symlinks by content, no probing, no automatic activation of what lies on it.
  return hidden ? DM_UDEV_DISABLE_DISK_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG |
                      DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG
                : 0;
}

Status load(const std::string& name, const std::vector<Target>& table) {
  Task task(DM_DEVICE_RELOAD, name);
  for (const Target& target : table)
    task.require(dm_task_add_target(task.get(), target.start, target.sectors, target.type.c_str(),
                                    target.params.c_str()));
  return task.run("load of a table");
}

Status resume_hidden(const std::string& name, bool hidden) {
  Task task(DM_DEVICE_RESUME, name);
  return task.run_with_udev("resume", udev_flags(hidden));
}

Result<std::vector<Target>> targets(int type, const std::string& name, const char* what) {
  Task task(type, name);
  if (Status done = task.run(what); !done)
    return done.error();
  std::vector<Target> all;
  void* next = nullptr;
  do {
    std::uint64_t start = 0, sectors = 0;
    char* target_type = nullptr;
    char* params = nullptr;
    next = dm_get_next_target(task.get(), next, &start, &sectors, &target_type, &params);
    if (target_type)
      all.push_back({start, sectors, target_type, params ? params : ""});
  } while (next);
  return all;
}

} // namespace

Status create(const std::string& name, const std::string& uuid, const std::vector<Target>& table,
              bool hidden) {
  Task task(DM_DEVICE_CREATE, name);
  task.require(dm_task_set_uuid(task.get(), (uuid_prefix + uuid).c_str()));
  for (const Target& target : table)
    task.require(dm_task_add_target(task.get(), target.start, target.sectors, target.type.c_str(),
                                    target.params.c_str()));
  // CREATE with a table is create, load and resume; the library takes back what it had done when a step
  // fails.
  return task.run_with_udev("create", udev_flags(hidden));
}

Status reload(const std::string& name, const std::vector<Target>& table, bool hidden) {
  if (Status done = load(name, table); !done)
    return done;
  if (Status done = suspend(name, false); !done)
    return done;
  return resume_hidden(name, hidden);
}

Status suspend(const std::string& name, bool no_flush) {
  Task task(DM_DEVICE_SUSPEND, name);
  if (no_flush)
    task.require(dm_task_no_flush(task.get()) && dm_task_skip_lockfs(task.get()));
  return task.run("suspend");
}

Status resume(const std::string& name) { return resume_hidden(name, false); }

Status remove(const std::string& name) {
  Task task(DM_DEVICE_REMOVE, name);
  // udev may still be looking at it: the library tries again for a while.
  task.require(dm_task_retry_remove(task.get()));
  return task.run_with_udev("remove", 0);
}

Result<std::optional<Info>> info(const std::string& name) {
  Task task(DM_DEVICE_INFO, name);
  if (Status done = task.run("info"); !done) {
    if (done.error().code == ErrorCode::NotFound)
      return std::optional<Info>();
    return done.error();
  }
  dm_info raw{};
  if (!dm_task_get_info(task.get(), &raw))
    return Error{ErrorCode::Failed, "device " + name + ": info", ""};
  if (!raw.exists)
    return std::optional<Info>();
  Info info;
  info.name = name;
  if (const char* uuid = dm_task_get_uuid(task.get()))
    info.uuid = uuid;
  info.major = raw.major;
  info.minor = raw.minor;
  info.suspended = raw.suspended;
  info.live_table = raw.live_table;
  info.inactive_table = raw.inactive_table;
  info.open_count = raw.open_count;
  return std::optional<Info>(info);
}

Result<std::vector<Target>> table(const std::string& name) { return targets(DM_DEVICE_TABLE, name, "table"); }
Result<std::vector<Target>> status(const std::string& name) {
  return targets(DM_DEVICE_STATUS, name, "status");
}

Result<std::string> message(const std::string& name, std::uint64_t sector, const std::string& text) {
  Task task(DM_DEVICE_TARGET_MSG, name);
  task.require(dm_task_set_sector(task.get(), sector) && dm_task_set_message(task.get(), text.c_str()));
  if (Status done = task.run("message"); !done)
    return done.error();
  const char* answer = dm_task_get_message_response(task.get());
  return std::string(answer ? answer : "");
}

Result<std::vector<Info>> list() {
  std::vector<std::string> names;
  {
    Task task(DM_DEVICE_LIST, "");
    if (Status done = task.run("list"); !done)
      return done.error();
    const dm_names* entry = dm_task_get_names(task.get());
    for (std::uint32_t next = entry && entry->dev ? 1 : 0; next;) {
      names.emplace_back(entry->name);
      next = entry->next;
      entry = reinterpret_cast<const dm_names*>(reinterpret_cast<const char*>(entry) + next);
    }
  }
  std::vector<Info> ours;
  for (const std::string& name : names) {
    auto found = info(name);
    if (!found)
      return found.error();
    if (*found && (*found)->uuid.starts_with(uuid_prefix))
      ours.push_back(**found);
  }
  return ours;
}

Result<std::optional<std::string>> target_version(const std::string& type) {
  Task task(DM_DEVICE_LIST_VERSIONS, "");
  if (Status done = task.run("list of target types"); !done)
    return done.error();
  const dm_versions* entry = dm_task_get_versions(task.get());
  for (std::uint32_t next = entry ? 1 : 0; next;) {
    if (type == entry->name)
      return std::optional<std::string>(std::to_string(entry->version[0]) + "." +
                                        std::to_string(entry->version[1]) + "." +
                                        std::to_string(entry->version[2]));
    next = entry->next;
    entry = reinterpret_cast<const dm_versions*>(reinterpret_cast<const char*>(entry) + next);
  }
  return std::optional<std::string>();
}

} // namespace rc::io::dm
