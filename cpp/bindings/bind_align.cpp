// SPDX-License-Identifier: BSD-3-Clause
#include "bindings/stages.hpp"

namespace cryolith::bind {

void add_align(pybind11::module_&) {}

}  // namespace cryolith::bind
