# SPDX-License-Identifier: BSD-3-Clause
"""From fitted blobs to a table with p- and q-values, the check of the null, and what could have been found."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from ._blob_fit import Errors
from ._blob_search import Outcome, Search
from ._calls import benjamini_hochberg
from ._filter_bank import FLOOR
from ._injection import FITTED, Calibration
from ._inputs import Float64, Table, unit_of
from ._levels import Levels

__all__ = [
    "PLACES",
    "Detectability",
    "NullCheck",
    "agree",
    "blob_table",
    "detectability",
    "null_check",
]

_LEVELS = np.array([4.0, 4.25, 4.5, 4.75, 5.0])
_AGREE = 2.0  # decoys over expected, or its inverse, beyond which no q-values are given
PLACES = 9
_FWHM = 2 * math.sqrt(2 * math.log(2))


@dataclass(frozen=True, kw_only=True, eq=False)
class NullCheck:
    """Extrema of noise counted against their expectation.

    Attributes
    ----------
    levels : (n,) float64
        In standard deviations.
    expected : (n,) float64
        Extrema of either sign beyond each level that Gaussian noise of the spectrum makes (Euler characteristic).
    observed : (n,) int64
        Those of the decoys (the difference of the halves without the blobs' own, or planned noise); without decoys
        those of the volume without its blobs, counted below the lowest level that was fitted.
    source : {"decoys", "rest"}
    spread : (n_scales,) float64
        Robust standard deviation of what is left at each scale, 1 where the noise is as strong as thought.
    passed : bool
        Observed and expected agree within a factor of 2 and two standard deviations at the lowest level.
    """

    levels: Float64
    expected: Float64
    observed: npt.NDArray[np.int64]
    source: str
    spread: Float64
    passed: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class Detectability:
    """How well blobs could have been found in this volume.

    Attributes
    ----------
    sizes : (n,) float64 [px]
    unit_significance : (n,) float64
        Significance of a blob of each size and peak value 1 where noise is as strong as on average.
    level : (n,) float64
        Significance from which on blobs of each size are in the table.
    noise : (m,) float64
        Strength of the noise over its average, at m places that stand for equal parts of the volume.
    """

    sizes: Float64
    unit_significance: Float64
    level: Float64
    noise: Float64

    def recall(self, contrast: npt.ArrayLike) -> Float64:
        """Return (n_contrasts, n_sizes): the chance to find a blob of a peak value anywhere, away from others.

        The mean over ``noise`` of Phi(sqrt(d^2 + 4) - level), d = contrast x unit significance / noise, Phi the normal
        distribution function: the fit of place and size adds 4 to the square of a significance.
        """
        height = np.abs(np.atleast_1d(np.asarray(contrast, dtype=np.float64)))
        over_noise = np.divide.outer(height, self.noise)
        square = np.multiply.outer(over_noise, self.unit_significance) ** 2
        excess = np.sqrt(square + FITTED) - self.level
        phi = np.frompyfunc(lambda x: 0.5 * math.erfc(-x / math.sqrt(2)), 1, 1)
        out: Float64 = phi(excess).astype(np.float64).mean(axis=1)
        return out

    def contrast_for(self, recall: float = 0.5) -> Float64:
        """Return (n_sizes,) the peak values found with chance ``recall``, in noise of middle strength."""
        wanted = self.level + NormalDist().inv_cdf(recall)
        out: Float64 = np.sqrt(np.maximum(wanted**2 - FITTED, 0.0)) / self.unit_significance
        out *= np.median(self.noise)
        return out


def null_check(search: Search, outcome: Outcome) -> NullCheck:
    """Count extrema of noise, or of what is left, against their expectation."""
    levels = _LEVELS
    if outcome.decoys is None:
        levels = np.linspace(FLOOR, search.rarity.levels(search.fitted).max(), 5)[:-1]
        by_size = np.exp(search.bank.log_expected_by_size(levels, search.voxels))
        expected = np.maximum(by_size - np.exp(search.fitted), 0).sum(axis=1)
        counted = outcome.rest[~search.stand_out(*outcome.rest.T)]
    else:
        expected = search.bank.expected_maxima(levels, search.voxels)
        counted = outcome.decoys
    heights = np.abs(counted[:, 0])
    observed = np.array([np.count_nonzero(heights > u) for u in levels], dtype=np.int64)
    return NullCheck(
        levels=levels,
        expected=expected,
        observed=observed,
        source="rest" if outcome.decoys is None else "decoys",
        spread=outcome.spread,
        passed=agree(int(observed[0]), float(expected[0])),
    )


def agree(observed: int, expected: float) -> bool:
    """Return whether a count and its expectation differ by less than a factor of 2 and two standard deviations."""
    slack = 2 * math.sqrt(expected)
    return expected / _AGREE - slack <= observed <= expected * _AGREE + slack


def q_values(search: Search, outcome: Outcome) -> Float64:
    """Return the false-discovery rate of a table that ends with each blob."""
    rarity = search.rarity.of(outcome.z, np.log(outcome.blobs.sizes))
    at_floor = search.rarity.at_floor
    p = np.minimum(search.rarity.expected(rarity) / at_floor, 1.0)
    q = benjamini_hochberg(p, len(p) + len(outcome.rest))
    if outcome.decoys is None:
        return q
    return np.minimum(q * max(1.0, len(outcome.decoys) / at_floor), 1.0)


def blob_table(
    search: Search,
    outcome: Outcome,
    null: NullCheck,
    errors: Errors,
    calibration: Calibration | None,
    levels: Levels | None,
    fdr: float,
    pixel_size: float | None,
) -> Table:
    """Return the table of the blobs that stay at ``fdr``; by family-wise p-values where the null check failed."""
    rarity = search.rarity.of(outcome.z, np.log(outcome.blobs.sizes))
    p = -np.expm1(-search.rarity.expected(rarity))
    q = q_values(search, outcome)
    kept = np.flatnonzero((q if null.passed else p) <= fdr)
    kept = kept[np.argsort(-np.abs(outcome.z[kept]), kind="stable")]
    unit, pixel = unit_of(pixel_size)
    blobs = outcome.blobs
    if calibration is not None:
        blobs, errors = calibration.applied(blobs, errors)
    blobs = blobs.pick(kept)
    level = np.ones(len(kept)) if levels is None else levels.at(blobs.places)
    table: Table = {}
    if unit == "nm":
        centre = (np.array(search.bank.spectra.shape) - 1) / 2
        for i, axis in enumerate("zyx"):
            table[f"{axis}_nm"] = (blobs.places[:, i] - centre[i]) * pixel
            table[f"sigma_{axis}_nm"] = errors.places[kept, i] * pixel
    for i, axis in enumerate("zyx"):
        table[f"{axis}_px"] = blobs.places[:, i] - search.beyond[i]
        table[f"sigma_{axis}_px"] = errors.places[kept, i]
    spread = errors.log_sizes[kept]
    for name, factor in (("size", pixel), ("diameter", _FWHM * pixel)):
        table[f"{name}_{unit}"] = blobs.sizes * factor
        table[f"sigma_{name}_{unit}"] = blobs.sizes * factor * spread
    table["amplitude"] = blobs.heights * level
    table["sigma_amplitude"] = errors.heights[kept] * level
    table["sign"] = np.sign(blobs.heights).astype(np.int64)
    table["significance"] = np.abs(outcome.z[kept])
    table["p_value"] = p[kept]
    table["q_value"] = q[kept] if null.passed else np.full(len(kept), np.nan)
    table["coverage"] = search.bank.coverage(blobs.sizes)
    return table


def detectability(
    search: Search,
    outcome: Outcome,
    null: NullCheck,
    table: Table,
    levels: Levels | None,
    fdr: float,
) -> Detectability:
    """Return the map for the level at which q-values pass ``fdr`` in this volume, or p-values where there are none."""
    bank, expected = search.bank, fdr
    if null.passed:
        tests = len(outcome.blobs) + len(outcome.rest) + 1  # the blob asked about is one more
        expected = fdr * search.rarity.at_floor * (len(table["significance"]) + 1) / tests
    return Detectability(
        sizes=bank.fine,
        unit_significance=bank.response(bank.sizes, bank.fine).max(axis=0),
        level=np.interp(
            np.log(bank.fine),
            bank.log_sizes,
            search.rarity.levels(search.rarity.for_expected(expected)),
        ),
        noise=np.ones(1) if levels is None else levels.frequent(search.margins, PLACES),
    )
