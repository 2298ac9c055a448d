// SPDX-License-Identifier: BSD-3-Clause
#pragma once
// Images under windows, and the search for rough shifts, in the memory of the device that this file is compiled for.
#include <bit>
#include <map>

#include "align/band_here.cuh"
#include "align/image_stack.hpp"
#include "align/patches_cuda.cuh"
#include "align/search.hpp"
#include "core/device_fft.hpp"

namespace cryolith::CRYOLITH_DEVICE {

template <class Array>
const Wave* waves(const Array& spectrum) {
  return reinterpret_cast<const Wave*>(spectrum.data());
}

// An image on the device. `frame` has its extents, what it is and the weights of its pixels, and none of the pixels.
struct FrameHere {
  Frame frame;
  const float* pixels = nullptr;
  Room<float> own;
  struct Binned {
    Room<float> values;
    bool made = false;
  };
  std::map<index_t, Binned> small;  // by binning; memory is kept from image to image
  void forget() {
    for (auto& [binning, binned] : small) binned.made = false;
  }
};

class Patches {
 public:
  // Takes an image of the host's memory, or one that lies on the device, and bins it (0: not at all).
  void see(const PlacedImage& image, index_t binning, FrameHere& out) {
    const index_t ny = image.pixels.extent[0], nx = image.pixels.extent[1];
    out.pixels = image.resident ? image.pixels.data : upload(image.pixels.data, ny * nx, out);
    out.frame = Frame();
    out.frame.image = {nullptr, {ny, nx}};
    out.forget();
    const unsigned facts = bin(out, binning);
    out.frame.counts = (facts & SeeImage::kNoCount) == 0;
    if ((facts & SeeImage::kNotFinite) != 0) fill(image, binning, out);
  }
  // The image by that binning.
  const float* binned(FrameHere& frame, index_t binning) {
    if (!frame.small[binning].made) bin(frame, binning);
    return frame.small[binning].values.data();
  }

  // The patch in the corner of `out` (py, px), `pixels` being the first of the image's rows; returns the part of
  // coefficients that are independent.
  double window(const float* pixels, index_t row, const Patch& patch, bool counts, index_t py, index_t px, float* out) {
    const WindowSums sums(patch);
    const index_t ny = patch.ny(), nx = patch.nx();
    const float* weight =
        patch.weight == nullptr ? nullptr : weight_.of(std::vector<float>(patch.weight, patch.weight + ny * nx)).data();
    const PatchPixels there{pixels + patch.y * row + patch.x,
                            static_cast<int>(row),
                            static_cast<int>(ny),
                            static_cast<int>(nx),
                            wy_.of(patch.wy).data(),
                            wx_.of(patch.wx).data(),
                            weight,
                            counts};
    const index_t rows = (ny + sums.apart - 1) / sums.apart;
    DeviceArray<double>& of_rows = row_sums_.of(rows);
    launch({static_cast<unsigned>(rows)}, kSumBytes, SumPatchRows{there, static_cast<int>(sums.apart), of_rows.data()});
    double sum = 0;
    const std::vector<double> found = read_first(of_rows, rows);
    for (index_t k = 0; k < rows; ++k)
      sum +=
          static_cast<double>(patch.wy[static_cast<std::size_t>(k * sums.apart)]) * found[static_cast<std::size_t>(k)];
    const auto mean = static_cast<float>(sums.weights > 0 ? sum / sums.weights : 0);
    launch({blocks_for(px, WindowPatch::kThreads), static_cast<unsigned>(py)}, 0,
           WindowPatch{there, mean, static_cast<int>(px), out});
    return sums.independent(static_cast<double>(py) * static_cast<double>(px));
  }

  // Sum of the squares of the first nx numbers of each row.
  double squares(const float* in, index_t row, index_t ny, index_t nx) {
    DeviceArray<double>& of_rows = row_sums_.of(ny);
    launch({static_cast<unsigned>(ny)}, kSumBytes,
           SquareRows{in, static_cast<int>(row), static_cast<int>(nx), of_rows.data()});
    double sum = 0;
    for (double s : read_first(of_rows, ny)) sum += s;
    return sum;
  }

 private:
  static constexpr index_t kSumBytes = kSumWarps * sizeof(double);

  static const float* upload(const float* from, index_t count, FrameHere& out) {
    DeviceArray<float>& own = out.own.of(count);
    own.write(0, from, count);
    return own.data();
  }

  // Returns what is not true of all pixels.
  unsigned bin(FrameHere& of, index_t binning) {
    const index_t ny = of.frame.image.extent[0], nx = of.frame.image.extent[1], each = std::max<index_t>(1, binning);
    const unsigned across = blocks_for(nx, each * SeeImage::kThreads), down = blocks_for(ny, each);
    DeviceArray<unsigned>& facts = facts_.of(index_t{across} * down * (SeeImage::kThreads / kWarp));
    float* small = nullptr;
    if (binning > 0) {
      small = of.small[binning].values.of((ny / binning) * (nx / binning)).data();
      of.small[binning].made = true;
    }
    launch(
        {across, down}, 0,
        SeeImage{of.pixels, static_cast<int>(ny), static_cast<int>(nx), static_cast<int>(each), small, facts.data()});
    unsigned all = 0;
    for (unsigned f : read_first(facts, index_t{across} * down * (SeeImage::kThreads / kWarp))) all |= f;
    return all;
  }

  // Missing pixels are rare: the host fills them.
  void fill(const PlacedImage& image, index_t binning, FrameHere& out) {
    View2<const float> host = image.pixels;
    const index_t count = host.size(), bytes = count * index_t{sizeof(float)};
    std::vector<float> copy(static_cast<std::size_t>(image.resident ? count : 0));
    if (image.resident) {
      Memory(const_cast<float*>(host.data), bytes).read(0, copy.data(), bytes);
      host.data = copy.data();
    }
    Frame seen = look(host, 0);
    out.pixels = upload(seen.image.data, count, out);
    out.frame.counts = seen.counts;
    out.frame.weight = std::move(seen.weight);
    out.forget();
    bin(out, binning);
  }

  Room<unsigned> facts_;
  Room<float> wy_, wx_, weight_;
  Room<double> row_sums_;
};

// What CopyTops copied of a place.
struct NineCells {
  const float* cells;
  CRYOLITH_HD float operator()(index_t j, index_t i) const { return cells[3 * (j + 1) + i + 1]; }
};

// An image as the search keeps it.
struct CoarseHere {
  Room<float> spectrum;
  CoarseRings rings;
};

class SearchHere {
 public:
  explicit SearchHere(const Search& search)
      : search_(search),
        band_(search.band()),
        transform_({search.band().py, search.band().px}, 1),
        map_(search.band().py * search.band().px),
        cross_(2 * search.band().py * terms()) {}

  const Search& search() const { return search_; }
  // small: the image, binned for this search.
  void load(Patches& patches, const float* small, CoarseHere& out) {
    const Band& band = search_.band();
    const index_t ny = search_.ny(), nx = search_.nx();
    const double independent = patches.window(small, nx, search_.patch(), false, band.py, band.px, map_.data());
    const double kept = patches.squares(map_.data(), band.px, ny, nx), all = patches.squares(small, nx, ny, nx);
    transform_.forward(map_, out.spectrum.of(2 * band.py * terms()));
    out.rings = search_.rings(band_.ring_power(of(out)), kept, all, independent);
  }

  Peaks correlate(const CoarseHere& a, const CoarseHere& b) {
    band_.cross(band_.part(Part(search_.band())), of(a), of(b), search_.weights(a.rings, b.rings), false,
                reinterpret_cast<Wave*>(cross_.data()));
    transform_.inverse(cross_, map_);
    const ShiftMap map{map_.data(), static_cast<int>(search_.band().py), static_cast<int>(search_.band().px),
                       static_cast<int>(search_.reach_y()), static_cast<int>(search_.reach_x())};
    DeviceArray<float>& rows = of_rows_.of(map.rows());
    launch({blocks_for(map.rows(), LargestOfRows::kRows)}, 0, LargestOfRows{map, rows.data()});
    float best = 0;
    for (float top : read_first(rows, map.rows())) best = std::max(best, top);
    PeakList list(best, search_.binning());
    look(map, marked(map, list.least(), best), list);
    return list.peaks();
  }

 private:
  index_t terms() const { return search_.band().px / 2 + 1; }
  // The band is the whole spectrum.
  Coefficients of(const CoarseHere& frame) const { return band_.in_spectrum(waves(frame.spectrum)); }

  // (y, x) of all marks, in raster order.
  std::vector<int> marked(const ShiftMap& map, float least, float best) {
    const int words = (map.columns() + kWarp - 1) / kWarp;
    const index_t count = index_t{map.rows()} * words;
    DeviceArray<unsigned>& marks = marks_.of(count);
    launch({blocks_for(map.rows(), MarkTops::kRows)}, 0, MarkTops{map, least, best, words, marks.data()});
    const std::vector<unsigned> found = read_first(marks, count);
    std::vector<int> out;
    for (std::size_t k = 0; k < found.size(); ++k)
      for (unsigned word = found[k]; word != 0; word &= word - 1) {
        out.push_back(static_cast<int>(k) / words - map.reach_y);
        out.push_back(static_cast<int>(k) % words * kWarp + std::countr_zero(word) - map.reach_x);
      }
    return out;
  }
  void look(const ShiftMap& map, const std::vector<int>& places, PeakList& list) {
    if (places.empty()) return;
    const auto count = static_cast<index_t>(places.size() / 2), cells = count * CopyTops::kCells;
    DeviceArray<float>& around = around_.of(cells);
    launch({blocks_for(cells, CopyTops::kThreads)}, 0,
           CopyTops{map, places_.of(places).data(), static_cast<int>(count), around.data()});
    const std::vector<float> found = read_first(around, cells);
    for (std::size_t k = 0; k < places.size() / 2; ++k)
      list.look(places[2 * k], places[2 * k + 1], NineCells{found.data() + CopyTops::kCells * k});
  }

  const Search& search_;
  BandHere band_;
  DeviceFft transform_;
  DeviceArray<float> map_, cross_;
  Room<float> of_rows_, around_;
  Room<unsigned> marks_;
  Room<int> places_;
};

}  // namespace cryolith::CRYOLITH_DEVICE
