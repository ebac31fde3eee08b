// SPDX-License-Identifier: GPL-2.0-or-later
// How listener and connector make links of established sessions.
#pragma once

#include "io/link.hpp"
#include "io/tls_session.hpp"

namespace rc::io {

std::unique_ptr<Link> make_link(std::unique_ptr<TlsSession> session, std::string address, Executor executor,
                                const LinkOptions& options);

} // namespace rc::io
