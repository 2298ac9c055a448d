// SPDX-License-Identifier: BSD-3-Clause
// Arrays of any strides: one axis after the other, as many signals at once as there are lanes. Signals follow each
// other in the order of the smallest strides, so that neighbours in memory become neighbours in a vector.
#include <algorithm>
#include <numeric>

#include "core/fft_plan.hpp"

namespace cryolith::fft {
namespace {

constexpr index_t kMostSignals = 4096;  // of a task: two offsets each

// The signals along one axis of two arrays: all positions of the other dimensions, those of the smallest strides first.
struct Signals {
  struct Dimension {
    index_t extent, in, out;
  };
  std::vector<Dimension> dimensions;
  index_t count = 1;

  Signals(const std::vector<index_t>& shape, std::size_t axis, const std::vector<index_t>& in,
          const std::vector<index_t>& out) {
    for (std::size_t d = 0; d < shape.size(); ++d) {
      if (d == axis || shape[d] == 1) continue;
      dimensions.push_back({shape[d], in[d], out[d]});
      count *= shape[d];
    }
    const auto size = [](const Dimension& d) { return std::abs(d.in) + std::abs(d.out); };
    std::stable_sort(dimensions.begin(), dimensions.end(),
                     [&](const Dimension& a, const Dimension& b) { return size(a) < size(b); });
  }
  // Offsets of the signals [first, last).
  void offsets(index_t first, index_t last, std::vector<index_t>& in, std::vector<index_t>& out) const {
    std::vector<index_t> place;
    index_t rest = first, from = 0, to = 0;
    for (const Dimension& d : dimensions) {
      place.push_back(rest % d.extent);
      from += place.back() * d.in;
      to += place.back() * d.out;
      rest /= d.extent;
    }
    in.clear();
    out.clear();
    for (index_t i = first; i < last; ++i) {
      in.push_back(from);
      out.push_back(to);
      for (std::size_t k = 0; k < dimensions.size(); ++k) {
        const Dimension& d = dimensions[k];
        from += d.in;
        to += d.out;
        if (++place[k] < d.extent) break;
        from -= d.extent * d.in;
        to -= d.extent * d.out;
        place[k] = 0;
      }
    }
  }
};

template <class T>
void one_axis(const Workers<T>& workers, const Rows<T>& rows, const std::vector<index_t>& shape, std::size_t axis,
              const StridedCall<T>& call) {
  const Signals signals(shape, axis, call.in_strides, call.out_strides);
  const index_t group = rows.group(), fitting = std::min(kMostSignals, kBlockSamples / rows.table().n);
  workers.blocks(signals.count, std::max<index_t>(1, fitting / group) * group,
                 [&](index_t first, index_t last, const Scratch<T>& s) {
                   std::vector<index_t> in, out;
                   signals.offsets(first, last, in, out);
                   const Scatter scatter{in.data(), out.data(), call.in_strides[axis], call.out_strides[axis]};
                   rows.run({call.in, 0, call.out, 0, 0, last - first, call.inverse, call.scale, &scatter}, s);
                 });
}

// A call whose data are those of the last call's output.
template <class T>
StridedCall<T> within(T* data, const std::vector<index_t>& strides, bool inverse) {
  return {data, strides, data, strides, inverse, 1};
}

}  // namespace

template <class T>
void run_strided(const PlanData<T>& plan, const Cpu& cpu, const StridedCall<T>& call, Workspace& ws) {
  const std::vector<Rows<T>>& rows = plan.scattered();
  const auto axis = [&](std::size_t k) { return plan.shape.size() - 1 - k; };
  index_t work = 0;
  for (const Rows<T>& r : rows) work = std::max(work, r.work());
  const bool spectrum_first = plan.real() && call.inverse && rows.size() > 1;  // in scratch: the input is kept
  const auto samples = std::accumulate(plan.spectrum.begin(), plan.spectrum.end(), index_t{1}, std::multiplies<>());
  const std::size_t before =
      spectrum_first ? (sizeof(T) * 2 * static_cast<std::size_t>(samples) + 4095) / 4096 * 4096 : 0;
  const Workers<T> workers(cpu, samples, scratch_bytes<T>(work), ws, before);
  if (!spectrum_first) {
    one_axis(workers, rows[0], plan.spectrum, axis(0), call);
    for (std::size_t k = 1; k < rows.size(); ++k)
      one_axis(workers, rows[k], plan.spectrum, axis(k), within(call.out, call.out_strides, call.inverse));
    return;
  }
  const auto packed = real_strides(plan.spectrum, {}, 2);
  T* const spectrum = static_cast<T*>(workers.before());
  const StridedCall<T> first{call.in, call.in_strides, spectrum, packed, true, 1};
  for (std::size_t k = rows.size() - 1; k > 0; --k)
    one_axis(workers, rows[k], plan.spectrum, axis(k), k + 1 == rows.size() ? first : within(spectrum, packed, true));
  one_axis(workers, rows[0], plan.spectrum, axis(0), {spectrum, packed, call.out, call.out_strides, true, call.scale});
}

template void run_strided(const PlanData<float>&, const Cpu&, const StridedCall<float>&, Workspace&);
template void run_strided(const PlanData<double>&, const Cpu&, const StridedCall<double>&, Workspace&);

}  // namespace cryolith::fft
