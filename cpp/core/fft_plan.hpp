// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Owners of the tables that the tuned passes read; internal to the FFT.
#include <memory>
#include <vector>

#include "core/buffer.hpp"
#include "core/fft.hpp"
#include "core/fft_tables.hpp"

namespace cryolith::fft {

// Bytes of a scratch array of `work` samples of as many signals as there are lanes.
std::size_t scratch_bytes(index_t lanes, index_t work);

// A lane transform of length n, 1 <= n <= 2^30.
class Lanes {
 public:
  explicit Lanes(index_t n);
  const LaneTable& table() const { return table_; }

 private:
  void add_passes(const std::vector<int>& radices);
  void init_bluestein();
  const Complex* keep(std::vector<Complex> values);

  LaneTable table_{};
  std::vector<std::vector<Complex>> tables_;
  std::unique_ptr<Lanes> convolution_;
};

// Transforms of rows of n samples with `lanes` signals to a vector.
class Rows {
 public:
  Rows(index_t n, bool real, int lanes);
  const RowTable& table() const { return table_; }
  index_t group() const { return group_; }  // rows that are transformed at once; 1 when each is split
  index_t work() const;                     // samples of a scratch array

 private:
  RowTable table_{};
  std::unique_ptr<Lanes> lanes_;
  std::vector<float> split_, half_re_, half_im_;
  index_t group_;
};

// batch x n0 x n1 x n; n0 and n1 are 1 when not transformed.
struct PlanData {
  std::vector<index_t> shape, spectrum;
  index_t batch = 1, n0 = 1, n1 = 1, n = 1;
  index_t m = 1;                        // samples of a spectrum row
  std::unique_ptr<Lanes> axis0, axis1;  // null when not transformed
  std::unique_ptr<Rows> rows;
  std::size_t part = 0;  // bytes of one scratch array
};

}  // namespace cryolith::fft
