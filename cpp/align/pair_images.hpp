// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include <functional>
#include <memory>

#include "align/pair_spectra.hpp"
#include "align/register.hpp"
#include "align/search.hpp"

namespace cryolith {

// Two images of one scene, wherever they lie, binned as for the first search: whole arrays are looked at by those who
// hold them, what is decided from them is the same code everywhere (register.cpp).
class PairImages {
 public:
  virtual ~PairImages() = default;
  // Of the images as they are binned now.
  virtual std::unique_ptr<PairSpectra> binned(const PairPlan& plan) = 0;
  virtual std::unique_ptr<PairSpectra> whole(const PairPlan& plan) = 0;
  // The highest maxima of the correlation of the images, binned for that search; flat: one has no contrast.
  virtual Peaks find(const Search& search, bool& flat) = 0;
};

// Pair `pair`, binned. Plans and searches that are handed to it live as long as all pairs.
using MakeImages = std::function<std::unique_ptr<PairImages>(index_t pair, index_t binning)>;

// register_pairs for n pairs of images (ny, nx) that `make` holds.
void register_images(const Cpu& cpu, index_t n, index_t ny, index_t nx, double max_shift, const MakeImages& make,
                     View2<double> out);

}  // namespace cryolith
