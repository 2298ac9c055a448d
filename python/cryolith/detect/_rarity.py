# SPDX-License-Identifier: BSD-3-Clause
"""How rare an extremum is among those that noise makes of its size."""

from __future__ import annotations

import numpy as np

from ._filter_bank import FLOOR, FilterBank
from ._inputs import Float64

__all__ = ["Rarity"]

_HIGHEST = 12.0  # standard deviations: no level is sought beyond
_STEP = 0.005


class Rarity:
    """A ranking of extrema of all sizes that treats every step of the ladder alike.

    Noise makes extrema in proportion to size^-3: with one level for all sizes nearly all false calls are of the
    smallest size, and large blobs are held to a level that has nothing to do with them. An extremum's rarity is the log
    of the number that noise alone makes as high or higher at its step of the ladder. Weights of hypotheses that add up
    to their number keep Benjamini & Hochberg's rate (Genovese, Roeder & Wasserman, Biometrika 93 (2006) 509): here
    every step gets the same share of the false calls, as far as it has that many beyond ``FLOOR``.
    """

    def __init__(self, bank: FilterBank, voxels: int) -> None:
        self.bank, self.voxels = bank, voxels
        levels = np.arange(FLOOR, _HIGHEST + _STEP / 2, _STEP)
        self._levels, self._table = levels, bank.log_expected_by_size(levels, voxels)
        self.at_floor: float = float(np.exp(self._table[0]).sum())

    def of(self, heights: Float64, log_sizes: Float64) -> Float64:
        """Return the rarity of extrema, the lower the rarer: linear in log size between the ladder's steps."""
        by_size = self.bank.log_expected_by_size(np.abs(heights), self.voxels)
        steps = self.bank.log_sizes
        place = np.interp(log_sizes, steps, np.arange(len(steps)))
        left = np.minimum(place.astype(np.intp), len(steps) - 2)
        rows = np.arange(len(place))
        t = place - left
        out: Float64 = (1 - t) * by_size[rows, left] + t * by_size[rows, left + 1]
        return out

    def expected(self, rarity: Float64) -> Float64:
        """Return how many extrema that rare or rarer noise alone makes."""
        each = np.minimum(np.asarray(rarity)[..., None], self._table[0])
        out: Float64 = np.exp(each).sum(axis=-1)
        return out

    def for_expected(self, expected: float) -> float:
        """Return the rarity beyond which noise alone makes ``expected`` extrema."""
        tries = np.linspace(self._table[-1].min(), self._table[0].max(), 4001)
        return float(np.interp(expected, self.expected(tries), tries))

    def levels(self, rarity: float) -> Float64:
        """Return (n_scales,) the heights of extrema of that rarity, ``FLOOR`` at least."""
        out: Float64 = np.array(
            [np.interp(-rarity, -column, self._levels) for column in self._table.T]
        )
        return out
