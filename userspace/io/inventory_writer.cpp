// SPDX-License-Identifier: GPL-2.0-or-later
#include "io/inventory_writer.hpp"

#include "base/log.hpp"

namespace rc::io {

Result<std::unique_ptr<InventoryWriter>> InventoryWriter::start(const Inventory& inventory) {
  auto connection = inventory.another();
  if (!connection)
    return connection.error();
  const auto last = connection->last_event();
  if (!last)
    return last.error();
  return std::unique_ptr<InventoryWriter>(new InventoryWriter(std::move(*connection), *last));
}

InventoryWriter::~InventoryWriter() = default; // the worker finishes what was queued

void InventoryWriter::store(control::StatusReply status) {
  const std::lock_guard lock(mutex_);
  const bool asked = status_.has_value();
  status_ = std::move(status);
  if (!asked)
    worker_.run([this] { store_newest(); });
}

void InventoryWriter::store_newest() {
  std::optional<control::StatusReply> status;
  {
    const std::lock_guard lock(mutex_);
    status.swap(status_);
  }
  if (const Status stored = connection_.store_status(*status); !stored)
    log::error("cannot store the status in the inventory: " + stored.error().text());
}

void InventoryWriter::append(control::EventInfo event) {
  if (waiting_ >= events_max) {
    if (dropped_++ == 0)
      log::error("the inventory's disk is too slow: events are only logged");
    return;
  }
  if (dropped_ != 0)
    log::error(std::to_string(std::exchange(dropped_, 0)) + " events were not stored in the inventory");
  ++waiting_;
  worker_.run([this, event = std::move(event)] {
    --waiting_;
    if (const auto stored = connection_.append(event); !stored)
      log::error("event not stored: " + stored.error().text());
  });
}

void InventoryWriter::read_events(const std::string& group, std::int64_t after, std::uint32_t limit,
                                  std::function<void(Events)> then) {
  worker_.run(
      [this, group, after, limit, then = std::move(then)] { then(connection_.events(group, after, limit)); });
}

} // namespace rc::io
