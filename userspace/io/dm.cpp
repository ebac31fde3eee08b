// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/dm.hpp"

#include "base/log.hpp"

#include <cerrno>
#include <chrono>
#include <cstdarg>
#include <cstdio>
#include <libdevmapper.h>
#include <memory>
#include <mutex>
#include <thread>

namespace rc::io::dm {
namespace {

std::mutex library; // libdevmapper keeps global state
thread_local std::string last_message;

// libdevmapper reports errors as text; the last one explains why a task failed.
void keep_message(int level, const char*, int, int, const char* format, ...) {
  if (level > 4) // info and debug of the library
    return;
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  last_message = text;
}

struct TaskEnd {
  void operator()(dm_task* task) const { dm_task_destroy(task); }
};
using Task = std::unique_ptr<dm_task, TaskEnd>;

Error failure(const std::string& what, dm_task* task) {
  const int number = task ? dm_task_get_errno(task) : errno;
  Error error = number != 0 ? errno_error(what, number) : Error{ErrorCode::Failed, what, ""};
  if (number == ENXIO || number == ENOENT)
    error.code = ErrorCode::NotFound;
  if (number == EBUSY)
    error.code = ErrorCode::Refused;
  if (!last_message.empty())
    error.what += " (device-mapper: " + last_message + ")";
  error.next =
      number == EBUSY ? "find who uses it: lsof, dmsetup ls --tree" : "look at the kernel's log: dmesg";
  return error;
}

Result<Task> make_task(int type, const std::string& name) {
  dm_log_with_errno_init(keep_message);
  last_message.clear();
  Task task(dm_task_create(type));
  if (!task || (!name.empty() && !dm_task_set_name(task.get(), name.c_str())))
    return failure("device-mapper task for " + name, task.get());
  return task;
}

// Runs a task that changes what udev sees, and waits until udev has seen it.
Status run_with_udev(dm_task* task, const std::string& what, bool hidden) {
  std::uint32_t cookie = 0;
  const std::uint16_t flags = hidden ? DM_UDEV_DISABLE_SUBSYSTEM_RULES_FLAG |
                                           DM_UDEV_DISABLE_DISK_RULES_FLAG | DM_UDEV_DISABLE_OTHER_RULES_FLAG
                                     : 0;
  if (!dm_task_set_cookie(task, &cookie, flags))
    return failure(what, task);
  const int done = dm_task_run(task);
  Status status;
  if (!done)
    status = failure(what, task);
  dm_udev_wait(cookie);
  return status;
}

Status add_table(dm_task* task, const std::string& name, const std::vector<Target>& table) {
  for (const auto& target : table)
    if (!dm_task_add_target(task, target.start, target.sectors, target.type.c_str(), target.params.c_str()))
      return failure("table of " + name, task);
  return {};
}

Status simple(int type, const std::string& name, const std::string& what, bool udev, bool hidden) {
  auto task = make_task(type, name);
  if (!task)
    return task.error();
  if (udev)
    return run_with_udev(task->get(), what, hidden);
  if (!dm_task_run(task->get()))
    return failure(what, task->get());
  return {};
}

Status load_table(const std::string& name, const std::vector<Target>& table) {
  auto task = make_task(DM_DEVICE_RELOAD, name);
  if (!task)
    return task.error();
  if (Status added = add_table(task->get(), name, table); !added)
    return added;
  if (!dm_task_run(task->get()))
    return failure("load table of " + name, task->get());
  return {};
}

Result<std::optional<Info>> info_of(const std::string& name) {
  auto task = make_task(DM_DEVICE_INFO, name);
  if (!task)
    return task.error();
  dm_info found{};
  if (!dm_task_run(task->get()) || !dm_task_get_info(task->get(), &found))
    return failure("info of " + name, task->get());
  if (!found.exists)
    return std::optional<Info>();
  Info info;
  info.name = name;
  const char* uuid = dm_task_get_uuid(task->get());
  info.uuid = uuid ? uuid : "";
  info.major = found.major;
  info.minor = found.minor;
  info.suspended = found.suspended;
  info.live_table = found.live_table;
  info.inactive_table = found.inactive_table;
  info.open_count = found.open_count;
  return std::optional(info);
}

Result<std::vector<Target>> targets_of(int type, const std::string& name) {
  auto task = make_task(type, name);
  if (!task)
    return task.error();
  if (!dm_task_run(task->get()))
    return failure("table of " + name, task->get());
  std::vector<Target> targets;
  void* next = nullptr;
  do {
    std::uint64_t start = 0;
    std::uint64_t sectors = 0;
    char* target_type = nullptr;
    char* params = nullptr;
    next = dm_get_next_target(task->get(), next, &start, &sectors, &target_type, &params);
    if (target_type)
      targets.push_back({start, sectors, target_type, params ? params : ""});
  } while (next);
  return targets;
}

} // namespace

Status create(const std::string& name, const std::string& uuid, const std::vector<Target>& table,
              bool hidden) {
  const std::lock_guard lock(library);
  auto task = make_task(DM_DEVICE_CREATE, name);
  if (!task)
    return task.error();
  const std::string whole_uuid = uuid_prefix + uuid;
  if (!dm_task_set_uuid(task->get(), whole_uuid.c_str()))
    return failure("uuid of " + name, task->get());
  if (Status added = add_table(task->get(), name, table); !added)
    return added;
  // With a table, CREATE loads and resumes too; what it made is removed again when that fails.
  return run_with_udev(task->get(), "create device " + name, hidden);
}

Status reload(const std::string& name, const std::vector<Target>& table, bool hidden) {
  const std::lock_guard lock(library);
  if (Status loaded = load_table(name, table); !loaded)
    return loaded;
  Status suspended = simple(DM_DEVICE_SUSPEND, name, "suspend " + name, false, hidden);
  if (!suspended) {
    const Status cleared = simple(DM_DEVICE_CLEAR, name, "clear the new table of " + name, false, hidden);
    if (!cleared)
      log::warning(cleared.error().text());
    return suspended;
  }
  return simple(DM_DEVICE_RESUME, name, "resume " + name, true, hidden);
}

Status suspend(const std::string& name, bool no_flush) {
  const std::lock_guard lock(library);
  auto task = make_task(DM_DEVICE_SUSPEND, name);
  if (!task)
    return task.error();
  if (no_flush && !dm_task_no_flush(task->get()))
    return failure("suspend " + name, task->get());
  if (!dm_task_run(task->get()))
    return failure("suspend " + name, task->get());
  return {};
}

Status resume(const std::string& name) {
  const std::lock_guard lock(library);
  return simple(DM_DEVICE_RESUME, name, "resume " + name, true, false);
}

Status remove(const std::string& name) {
  auto info = dm::info(name);
  // udev looks at a device for a moment after its last user closed it for writing.
  for (int look = 0; look < 10 && info && *info && (*info)->open_count > 0; look++) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    info = dm::info(name);
  }
  if (!info)
    return info.error();
  if (!*info)
    return Error{ErrorCode::NotFound, "there is no device " + name, ""};
  const std::lock_guard lock(library);
  if ((*info)->open_count > 0)
    return Error{ErrorCode::Refused,
                 "device " + name + " is open (" + std::to_string((*info)->open_count) + " times)",
                 "unmount it, or find who uses it: lsof /dev/mapper/" + name};
  return simple(DM_DEVICE_REMOVE, name, "remove device " + name, true, false);
}

Result<std::optional<Info>> info(const std::string& name) {
  const std::lock_guard lock(library);
  return info_of(name);
}

Result<std::vector<Target>> table(const std::string& name) {
  const std::lock_guard lock(library);
  return targets_of(DM_DEVICE_TABLE, name);
}

Result<std::vector<Target>> status(const std::string& name) {
  const std::lock_guard lock(library);
  return targets_of(DM_DEVICE_STATUS, name);
}

Result<std::string> message(const std::string& name, std::uint64_t sector, const std::string& text) {
  const std::lock_guard lock(library);
  auto task = make_task(DM_DEVICE_TARGET_MSG, name);
  if (!task)
    return task.error();
  if (!dm_task_set_sector(task->get(), sector) || !dm_task_set_message(task->get(), text.c_str()) ||
      !dm_task_run(task->get()))
    return failure("message \"" + text + "\" to " + name, task->get());
  const char* answer = dm_task_get_message_response(task->get());
  return std::string(answer ? answer : "");
}

Result<std::vector<Info>> list() {
  const std::lock_guard lock(library);
  auto task = make_task(DM_DEVICE_LIST, "");
  if (!task)
    return task.error();
  if (!dm_task_run(task->get()))
    return failure("list of devices", task->get());
  std::vector<Info> all;
  const dm_names* names = dm_task_get_names(task->get());
  if (!names || names->dev == 0)
    return all;
  for (;;) {
    auto info = info_of(names->name);
    if (!info)
      return info.error();
    if (*info && (*info)->uuid.starts_with(uuid_prefix))
      all.push_back(std::move(**info));
    if (names->next == 0)
      return all;
    names = reinterpret_cast<const dm_names*>(reinterpret_cast<const char*>(names) + names->next);
  }
}

Result<std::optional<std::string>> target_version(const std::string& type) {
  const std::lock_guard lock(library);
  auto task = make_task(DM_DEVICE_LIST_VERSIONS, "");
  if (!task)
    return task.error();
  if (!dm_task_run(task->get()))
    return failure("list of device-mapper targets", task->get());
  const dm_versions* target = dm_task_get_versions(task->get());
  for (;;) {
    if (type == target->name)
      return std::optional(std::to_string(target->version[0]) + "." + std::to_string(target->version[1]) +
                           "." + std::to_string(target->version[2]));
    if (target->next == 0)
      return std::optional<std::string>();
    target = reinterpret_cast<const dm_versions*>(reinterpret_cast<const char*>(target) + target->next);
  }
}

} // namespace rc::io::dm
