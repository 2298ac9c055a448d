// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <sstream>
#include <stdexcept>

namespace cryolith {

struct ArgumentError : std::invalid_argument {
  using invalid_argument::invalid_argument;
};  // -> ValueError
struct DeviceError : std::runtime_error {
  using runtime_error::runtime_error;
};  // -> cryolith.DeviceError
struct DeviceOutOfMemory : DeviceError {
  using DeviceError::DeviceError;
};
struct DeviceLost : DeviceError {
  using DeviceError::DeviceError;
};  // nothing more can be done on it in this process
struct Cancelled : std::runtime_error {
  Cancelled() : runtime_error("cancelled by the caller") {}
};  // -> cryolith.Cancelled

template <class... Args>
[[noreturn]] void fail(const Args&... message) {
  std::ostringstream out;
  (out << ... << message);
  throw ArgumentError(out.str());
}

// Throws ArgumentError with the message parts run together; say what was found and what was expected.
template <class... Args>
inline void require(bool ok, const Args&... message) {
  if (!ok) fail(message...);
}

}  // namespace cryolith
