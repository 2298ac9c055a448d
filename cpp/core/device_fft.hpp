// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <vector>

#include "core/device_array.hpp"

#if defined(__CUDACC__)
#include "core/cufft.hpp"
#else
#include "core/fft.hpp"
#endif

namespace cryolith::CRYOLITH_DEVICE {

// Real arrays <-> their half spectra (fft::Plan), `batch` of them in one array after the other. The inverse is not
// normalised, and may overwrite the spectra. For CUDA it is cuFFT that does it, for the emulation this package's FFT.
#if defined(__CUDACC__)
class DeviceFft {
 public:
  DeviceFft(const std::vector<index_t>& shape, index_t batch) : plan_(shape, batch) {}
  void forward(DeviceArray<float>& in, DeviceArray<float>& spectra) const {
    plan_.forward(in.data(), spectra.data(), current_stream());
  }
  void inverse(DeviceArray<float>& spectra, DeviceArray<float>& out) const {
    plan_.inverse(spectra.data(), out.data(), current_stream());
  }

 private:
  CufftPlan plan_;
};
#else
class DeviceFft {
 public:
  DeviceFft(std::vector<index_t> shape, index_t batch)
      : axes_(static_cast<int>(shape.size())), plan_(with(shape, batch), axes_, fft::Kind::real) {}
  void forward(DeviceArray<float>& in, DeviceArray<float>& spectra) const {
    std::vector<float> values(product(plan_.shape()));
    std::vector<std::complex<float> > found(product(plan_.spectrum()));
    in.read(0, values.data(), static_cast<index_t>(values.size()));
    fft::Workspace ws;
    plan_.forward(Cpu{1}, values.data(), found.data(), ws);
    spectra.write(0, reinterpret_cast<const float*>(found.data()), 2 * static_cast<index_t>(found.size()));
  }
  void inverse(DeviceArray<float>& spectra, DeviceArray<float>& out) const {
    std::vector<float> values(product(plan_.shape()));
    std::vector<std::complex<float> > given(product(plan_.spectrum()));
    spectra.read(0, reinterpret_cast<float*>(given.data()), 2 * static_cast<index_t>(given.size()));
    fft::Workspace ws;
    plan_.inverse(Cpu{1}, given.data(), values.data(), 1.0f, ws);
    out.write(0, values.data(), static_cast<index_t>(values.size()));
    // What cuFFT leaves there is nothing to read.
    given.assign(given.size(), {NAN, NAN});
    spectra.write(0, reinterpret_cast<const float*>(given.data()), 2 * static_cast<index_t>(given.size()));
  }

 private:
  static std::vector<index_t> with(std::vector<index_t> shape, index_t batch) {
    shape.insert(shape.begin(), batch);
    return shape;
  }
  static std::size_t product(const std::vector<index_t>& shape) {
    index_t n = 1;
    for (index_t extent : shape) n *= extent;
    return static_cast<std::size_t>(n);
  }
  int axes_;
  fft::Plan plan_;
};
#endif

}  // namespace cryolith::CRYOLITH_DEVICE
