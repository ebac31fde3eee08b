// SPDX-License-Identifier: GPL-2.0-or-later
// Inside of links: a Link over a connection whose handshake is done. `ended`: called when the Link is
// destroyed, on the destroying thread.
#pragma once

#include "io/link.hpp"
#include "io/tls_connection.hpp"

namespace rc::io {

std::unique_ptr<Link> make_link(std::unique_ptr<TlsConnection> connection, std::string address, bool outgoing,
                                Executor executor, LinkOptions options, std::function<void()> ended);

} // namespace rc::io
