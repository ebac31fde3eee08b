// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of links: TCP sockets, non-blocking, with words for what goes wrong.
#pragma once

#include "io/tls_connection.hpp"

#include <cstdint>
#include <string>

namespace rc::io {

Result<Fd> listen_tcp(const std::string& address, std::uint16_t port);
std::uint16_t local_port(int socket);
// Tries each address of the host in turn; stops early (Again) when the waker was woken.
Result<Fd> connect_tcp(const std::string& host, std::uint16_t port, std::chrono::milliseconds timeout,
                       const Waker& waker);
std::string peer_address(int socket); // "192.0.2.7:41000"

} // namespace rc::io
