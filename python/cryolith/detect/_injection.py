# SPDX-License-Identifier: BSD-3-Clause
"""Errors put to the test: blobs like those found are added where none is, and measured again."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ._blob_fit import Errors
from ._blob_search import SURE, Outcome, Search
from ._gaussian_blobs import Blobs
from ._inputs import Float64, Mask
from ._spectrum import Complex64

__all__ = ["FITTED", "Calibration", "calibrate"]

_LEVEL = 0.95
_GAUSSIAN = 1.959964  # the two-sided 95 % point
_APART = 3.0  # sum of two blobs' sizes between their centres
# Gauss-Newton steps beyond the first. They start from the truth: with three of them weak blobs (significance 6 to 8,
# 128^3, +-60 degrees) came out 4.7 % small, with six 5.2 %, with thirteen 5.7 %.
_ROUNDS = 6
# Mean errors go as the variance from this significance on; weaker blobs wander, and say nothing of stronger ones.
_EXPANDS = 6.0
_OFF = 2.0  # of its size: a fit that ends farther from its blob has found something else
_BATCHES = 8
_TRIES = 12  # places drawn for each blob
_SURE_ENOUGH = 10
FITTED = 4.0  # place and size: each adds 1 to the square of a significance
_COUNTED = 0.8  # of the blobs asked for: some are lost to noise
_ENOUGH = 40  # injected blobs, fewer of which tell no 95 % point


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What injected blobs say about measured ones.

    Attributes
    ----------
    factors : (5,) float64
        To closed-form errors of z, y, x, log size and log height, so that 1.96 of them hold 95 % of the injected blobs.
    bias : (2,) float64
        Mean errors of log size and log height, in units of their closed-form variance: a likelihood's bias goes as the
        inverse square of the significance.
    count : int
        Injected blobs that were found again.
    """

    factors: Float64
    bias: Float64
    count: int

    def applied(self, blobs: Blobs, errors: Errors) -> tuple[Blobs, Errors]:
        """Return blobs without the bias and with the calibrated errors."""
        relative = errors.heights / np.abs(blobs.heights)
        sizes = blobs.sizes * np.exp(-self.bias[0] * errors.log_sizes**2)
        shrink = np.exp(-self.bias[1] * relative**2)
        calibrated = Errors(
            places=errors.places * self.factors[:3],
            log_sizes=errors.log_sizes * self.factors[3],
            heights=errors.heights * shrink * self.factors[4],
        )
        return replace(blobs, sizes=sizes, heights=blobs.heights * shrink), calibrated


def calibrate(search: Search, outcome: Outcome, count: int, seed: int) -> Calibration | None:
    """Return the calibration from about ``count`` injected blobs, or None where fewer than 40 were to be had.

    Split conformal prediction: a factor is the quantile (n + 1) 0.95 / n of |error| / (1.96 sigma) (Lei et al., J. Am.
    Stat. Assoc. 113 (2018) 1094, algorithm 2), here of errors less their mean trend.
    """
    if not len(outcome.blobs) or count <= 0:
        return None
    rng = np.random.default_rng(seed)
    rest = search.bank.scratch()
    rest[...] = search.fit.without(search.fit.base, outcome.blobs)
    batches: list[Float64] = []
    for _ in range(_BATCHES):
        truth = _placed(search, outcome, count - sum(map(len, batches)), rng)
        if len(truth):
            batches.append(_measured(search, rest, truth))
        if sum(map(len, batches)) >= _COUNTED * count:
            break
    rows = np.concatenate(batches) if batches else np.empty((0, 11))
    if len(rows) < _ENOUGH:
        return None
    error, sigma, z = rows[:, :5], rows[:, 5:10], rows[:, 10]
    variance = sigma[:, 3:] ** 2
    known = z > _EXPANDS
    if np.count_nonzero(known) < _ENOUGH:
        known[:] = True
    products, squares = error[known, 3:] * variance[known], variance[known] ** 2
    bias = products.sum(axis=0) / squares.sum(axis=0)
    error[:, 3:] -= bias * variance
    share = min(1.0, _LEVEL * (len(rows) + 1) / len(rows))
    factors = np.quantile(np.abs(error / sigma), share, axis=0) / _GAUSSIAN
    return Calibration(factors=factors, bias=bias, count=len(rows))


def _measured(search: Search, rest: Complex64, truth: Blobs) -> Float64:
    """Return (n, 11): errors of z, y, x, log size, log height, their closed-form standard deviations, significance.

    Of blobs that stand out and were found where they are.
    """
    fit = search.fit.by_templates()
    # At the truth the model takes its own blobs away: the residual is what was left before they came.
    now = fit.step(truth, fit.without(rest, Blobs.none()))
    for _ in range(_ROUNDS):
        if now.settled:
            break
        now = fit.step(now.blobs, fit.without(rest, now.blobs.joined(truth.negative())))
    found = now.blobs
    sigma = fit.errors(found)
    rows = np.column_stack(
        [
            found.places - truth.places,
            np.log(found.sizes / truth.sizes),
            np.log(found.heights / truth.heights),
            sigma.places,
            sigma.log_sizes,
            sigma.heights / np.abs(found.heights),
            np.abs(now.z),
        ]
    )
    near = np.linalg.norm(rows[:, :3], axis=1) < _OFF * truth.sizes
    out: Float64 = rows[near & search.stand_out(now.z, np.log(found.sizes))]
    return out


def _placed(search: Search, outcome: Outcome, count: int, rng: np.random.Generator) -> Blobs:
    """Return up to ``count`` blobs like found ones, apart from those and from each other.

    A size is that of a blob found beyond doubt, a significance that of any, less what the fit of four more numbers than
    the height has added to it: sizes and heights of weak blobs are biased together, and are what is to be tested.
    """
    found, z = outcome.blobs, outcome.z
    pool = np.flatnonzero(np.abs(z) > SURE)
    if len(pool) < _SURE_ENOUGH:
        pool = np.arange(len(found))
    tries = _TRIES * count
    size, like = found.sizes[rng.choice(pool, tries)], rng.integers(len(found), size=tries)
    low = np.array(search.margins) + 1
    high = np.array(search.bank.spectra.shape) - low - 1
    place = rng.uniform(low, high, (tries, 3))
    free = np.arange(tries)
    chosen: list[int] = []
    for at, own in zip(found.places, found.sizes, strict=True):
        free = free[_apart(place[free], size[free], at, own)]
    while len(free) and len(chosen) < count:
        chosen.append(int(free[0]))
        free = free[_apart(place[free], size[free], place[free[0]], size[free[0]])]
    new = np.array(chosen, dtype=np.intp)
    of = like[new]
    significance = np.sign(found.heights[of]) * np.sqrt(np.maximum(z[of] ** 2 - FITTED, 1.0))
    heights = significance / search.fit.unit_significance(size[new])
    return Blobs(places=place[new], sizes=size[new], heights=heights)


def _apart(places: Float64, sizes: Float64, place: Float64, size: float) -> Mask:
    """Return which places are far enough from another one."""
    gap = np.linalg.norm(places - place, axis=1)
    out: Mask = gap > _APART * (sizes + size)
    return out
