# SPDX-License-Identifier: BSD-3-Clause
"""Where a segmentation puts its threshold, how well it knows it, and the masks made with it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal, NamedTuple, get_args

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._blocks import block_ranges, residual_of_blocks, sigma_of_blocks
from ._inputs import Float32, Float64, Mask, as_mask
from ._phases import Levels, blocks_of, find_levels
from ._student import student
from .local_threshold import hysteresis, local_threshold
from .thresholds import otsu
from .walker import random_walker

__all__ = ["Cut", "Masker", "Method", "Source", "fit_cut"]

Method = Literal["threshold", "hysteresis", "local", "random-walker"]
Source = Literal["levels", "otsu"]
METHODS: tuple[str, ...] = get_args(Method)
_DRAWS = 400  # of the bootstrap: cheap sums over blocks
_BINS = 256  # of the histograms of blocks, for Otsu's threshold
_PLAIN = 0.25  # of the contrast, from the threshold: seeds of "random-walker"
_STRONG = 0.75  # of the contrast: what an object of "hysteresis" has to reach somewhere


class Cut(NamedTuple):
    """A threshold with the levels of the phases, and the 95 % interval of the threshold.

    ``draws`` (3, n): by how much threshold and levels move when parts of the volume are drawn again, the same parts of
    every volume of one shape; NaN where a draw holds one phase only.
    """

    threshold: float
    levels: Levels
    draws: Float64
    interval: tuple[float, float]
    notes: tuple[str, ...]

    def covariance(self, other: Cut | None = None) -> Float64:
        """Return the covariance (3, 3) of threshold and levels, or of their differences from those of another."""
        draws = self.draws if other is None else self.draws - other.draws
        out: Float64 = np.cov(draws[:, np.isfinite(draws).all(axis=0)])
        return out


def fit_cut(
    values: Float32, valid: Mask, threshold: Source | float, seed: int, threads: int
) -> Cut:
    """Find threshold and levels, and draw them again from the parts of the volume (bootstrap over blocks).

    Parts are larger than what neighbouring voxels share, so that smooth noise and coarse structure are in the errors;
    what still goes on in the next part makes draws wider.
    """
    levels = find_levels(values, valid, threads)
    rng = np.random.default_rng(seed)
    blocks = len(levels.sums)
    taken = rng.multinomial(blocks, np.full(blocks, 1 / blocks), _DRAWS).astype(np.float64)
    sums = taken @ levels.sums
    whole = (sums[:, 0] > 0) & (sums[:, 2] > 0)  # draws that hold both phases
    # What depth was missing for the levels is an error of theirs that no bootstrap sees.
    doubts = np.array(levels.doubt)[:, None] * rng.standard_normal((2, _DRAWS))[:, whole]
    sums, taken = sums[whole], taken[whole]
    found = np.array([[levels.low], [levels.high]])
    shared = _shared(levels.sums, values.shape)
    drawn = np.stack([sums[:, 1] / sums[:, 0], sums[:, 3] / sums[:, 2]])
    drawn = found + shared[:, None] * (drawn - found) + doubts
    notes = [levels.note] if levels.note else []
    if threshold == "levels":
        at, cuts = levels.middle, drawn.mean(axis=0)
    elif threshold == "otsu":
        at, cuts = _otsu_draws(values, valid, taken)
        cuts = at + shared.mean() * (cuts - at)
    else:
        at, cuts = float(threshold), np.full(drawn.shape[1], float(threshold))
    draws = np.full((3, _DRAWS), np.nan)
    draws[:, whole] = [cuts - at, *drawn]  # a number that was given has exactly 0
    low, high = np.quantile(cuts, (0.025, 0.975))
    return Cut(at, levels, draws, (float(low), float(high)), tuple(notes))


def _shared(sums: Float64, shape: tuple[int, ...]) -> Float64:
    """Return by how much both levels are less certain than so many parts that know nothing of each other are.

    Neighbours share noise (Bartlett's weights), and a level may rest on few of the parts (Student's t).
    """
    parts = tuple(len(block_ranges(n)) for n in shape)
    out = np.ones(2)
    for i in range(2):
        _, residual = residual_of_blocks(
            sums[:, 2 * i + 1].reshape(*parts, 1), sums[:, 2 * i].reshape(parts)
        )
        alone = float(np.sqrt((residual**2).sum()))
        if alone > 0:
            few = sums[:, 2 * i].sum() ** 2 / (sums[:, 2 * i] ** 2).sum()
            near = float(sigma_of_blocks(residual)[0]) / alone
            # From two on, as a single part has no scatter to be widened.
            out[i] = max(1.0, near) * float(student(max(few - 1, 1)))
    return out


def _otsu_draws(values: Float32, valid: Mask, taken: Float64) -> tuple[float, Float64]:
    """Return Otsu's threshold of the whole and of each draw of blocks."""
    low, high = (float(v) for v in np.quantile(values[valid], (0.001, 0.999)))
    counts = []
    for block in blocks_of(values.shape):
        held = np.clip(values[block][valid[block]], low, high)
        counts.append(np.histogram(held, _BINS, (low, high))[0])
    histograms = taken @ np.array(counts, np.float64)
    edges = np.linspace(low, high, _BINS + 1)
    centres = (edges[1:] + edges[:-1]) / 2
    at, _ = otsu(values[valid], bins=_BINS)
    return at, np.array([_otsu_of(h, centres) for h in histograms])


def _otsu_of(weight: Float64, level: Float64) -> float:
    """Return the threshold of a histogram with the largest variance between two classes (Otsu 1979, eq. 18)."""
    below = np.cumsum(weight)[:-1]
    first = np.cumsum(weight * level)[:-1]
    total, whole = weight.sum(), weight @ level
    with np.errstate(divide="ignore", invalid="ignore"):
        between = (whole * below - total * first) ** 2 / (below * (total - below))
    best = int(np.nanargmax(between))
    return float((level[best] + level[best + 1]) / 2)


class Masker:
    """Makes masks by one method."""

    def __init__(
        self,
        method: Method | Callable[[Float32, float], npt.ArrayLike],
        radius: int,
        threads: int,
        cancel: _core.CancelToken | None,
    ) -> None:
        if not callable(method) and method not in METHODS:
            raise InputError(
                f"method: found {method!r}, expected one of {', '.join(METHODS)}, or a function"
            )
        self.method, self.radius = method, radius
        self.threads, self.cancel = threads, cancel

    def __call__(self, values: Float32, valid: Mask, threshold: float, levels: Levels) -> Mask:
        """Return the mask of the bright phase at this threshold."""
        if callable(self.method):
            made = self.method(values.copy(), threshold)
            return as_mask(made, "method", values.shape) & valid
        if self.method == "hysteresis":
            strong = max(levels.low + _STRONG * levels.contrast, threshold)
            held = np.where(valid, values, np.float32(math.nan))
            return hysteresis(held, threshold, strong, threads=self.threads, cancel=self.cancel)
        if self.method == "local":
            held = np.where(valid, values, np.float32(math.nan))
            local = local_threshold(held, self.radius)
            # The mean of a window is its threshold where the phases share it half and half.
            return (values > local + np.float32(threshold - levels.middle)) & valid
        if self.method == "random-walker":
            return self._walked(values, valid, threshold, levels)
        return (values > threshold) & valid

    def _walked(self, values: Float32, valid: Mask, threshold: float, levels: Levels) -> Mask:
        """Return what a walker finds from seeds that are plainly of one phase."""
        seeds = np.zeros(values.shape, np.int32)
        margin = np.float32(_PLAIN * levels.contrast)
        seeds[values < threshold - margin] = 1
        seeds[values > threshold + margin] = 2
        held = np.where(valid, values, np.float32(math.nan))
        found = random_walker(held, seeds, threads=self.threads, cancel=self.cancel)
        return np.asarray(found == 2, np.bool_)
