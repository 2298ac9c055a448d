// SPDX-License-Identifier: BSD-3-Clause
#pragma once
#include "core/parallel.hpp"

namespace cryolith::detect {

// Costs of pairs of a row and a column: those of row i are entries begins[i] to begins[i + 1] of columns and costs.
// A pair that is not listed cannot be made.
struct PairCosts {
  View1<const index_t> begins;   // (rows + 1)
  View1<const index_t> columns;  // (pairs)
  View1<const double> costs;     // (pairs), of any sign
};

// Gives each row a column of its own or none, so that the sum of the costs of the pairs made and of alone[i] for each
// row without one is least. A column may stay without a row. Writes the column of each row to `partner`, -1 for none.
// Shortest augmenting paths with reduced costs: Jonker & Volgenant, Computing 38 (1987) 325, section 2, over the listed
// pairs with a heap. O(rows pairs log pairs) at worst, about O(pairs log pairs) where pairs are near each other only.
// One thread; equal costs are decided by the lower number of the column.
void assign(const Cpu& cpu, const PairCosts& pairs, View1<const double> alone, index_t n_columns,
            View1<index_t> partner);

}  // namespace cryolith::detect
