// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <complex>
#include <string>
#include <vector>

#include "core/view.hpp"
#include "detect/maxima.hpp"

namespace cryolith {

// Filters that differ by a Gaussian only, and where their extrema are sought: scale_space_maxima() says how.
struct DeviceScaleSpace {
  View3<const std::complex<float>> base;
  index_t nx;
  View1<const double> decays, gains;
  index_t margin;
  float threshold, middle;
};

// scale_space_maxima() on a device: to rounding, for the transforms differ. In its memory are the spectrum, three
// fields and the spectrum of one.
std::vector<detect::Peak> scale_space_maxima(const std::string& device, const DeviceScaleSpace& space,
                                             View1<double> share);

// On this thread's device.
namespace emulated {
std::vector<detect::Peak> scale_space_maxima(const DeviceScaleSpace& space, View1<double> share);
}
namespace cuda {
std::vector<detect::Peak> scale_space_maxima(const DeviceScaleSpace& space, View1<double> share);
}

}  // namespace cryolith
