// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"
#include "core/view.hpp"

namespace cryolith {

// How much of the specimen's transform the views measure at each frequency of one view's central section: sets
// out[r][c] to the sum over views j of length[j] max(0, 1 - |slope[j][0] f_r + slope[j][1] f_c|), f_r the frequency of
// row r of `rows` (folded: above 1/2 negative), f_c that of column c of `columns` (half spectrum), cycles per pixel.
// slope[j] is length[j] times the components of beam j along the section's rows and columns: a section of a specimen
// `length` thick along the beam is 1 / length thick. Harauz & van Heel, Optik 73 (1986) 146. O(n_views out.size()).
void overlap_weights(const Cpu& cpu, View2<const double> slope, View1<const double> length, index_t columns,
                     View2<float> out);

}  // namespace cryolith
