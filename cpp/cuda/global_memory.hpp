// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <optional>
#include <string>

#include "cuda/emulate.hpp"
#include "cuda/shadow.hpp"

namespace cryolith::emulated {

// What is wrong with this access to global memory; nothing if it is in order.
std::optional<std::string> touch_memory(const void* p, index_t bytes, Access access, const Visit& now);

// A number of its own for each launch of the process, never 0.
std::uint32_t next_launch();

}  // namespace cryolith::emulated
