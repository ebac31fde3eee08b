// SPDX-License-Identifier: GPL-2.0-or-later
// Does a request make sense by itself: names, paths, addresses, duplicates? Said once, for whoever sends it;
// whether the named things exist is the handler's question. Every Error is Usage and says what to write
// instead.
#pragma once

#include "format/control_messages.hpp"

namespace rc::control {

Status check(const VersionRequest& request);
Status check(const NodeAddRequest& request);
Status check(const NodeRemoveRequest& request);
Status check(const GroupCreateRequest& request);
Status check(const GroupSetRequest& request);
Status check(const GroupDeleteRequest& request);
Status check(const VolumeCreateRequest& request);
Status check(const VolumeDeleteRequest& request);
Status check(const PairCreateRequest& request);
Status check(const PairActionRequest& request);
Status check(const CopysetCreateRequest& request);
Status check(const ListRequest& request);
Status check(const StatusRequest& request);
Status check(const EventsRequest& request);
Status check(const TakeoverRequest& request);
Status check(const ConfirmRequest& request);
Status check(const CopyPrepareRequest& request);

} // namespace rc::control
