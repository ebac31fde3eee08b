// SPDX-License-Identifier: GPL-2.0-or-later
// One visitor of a variant made of a lambda for each alternative.
#pragma once

namespace rc {

template <typename... Ts> struct Overloaded : Ts... { using Ts::operator()...; };
template <typename... Ts> Overloaded(Ts...) -> Overloaded<Ts...>; // clang 14 does not find it by itself

} // namespace rc
