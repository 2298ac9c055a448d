# SPDX-License-Identifier: BSD-3-Clause
"""Thickness of a layer from profiles: all thicknesses and places on a grid, levels in closed form, likelihoods."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from ._inputs import Float64, Mask
from ._layer_model import Library

__all__ = [
    "STEP",
    "Grid",
    "LayerFits",
    "Prior",
    "chi_square",
    "fits_of",
    "make_grid",
    "minimum_of",
    "without_misfit",
]

Int64 = npt.NDArray[np.int64]
STEP = 0.25  # px between the offsets of the edges that are tried
_CHI2_95 = 3.8415  # 95 % point of chi squared with 1 degree of freedom


@dataclass(frozen=True)
class Prior:
    """What is known of the contrast beforehand: a normal distribution."""

    mean: float
    sigma: float


@dataclass(frozen=True)
class Grid:
    """Sums that any pair of edges needs, per patch, free of a level and a slope of the background.

    Attributes
    ----------
    offsets : (n,) float64 [px]
    gram : (n_patches, n, n) float64
        Whitened products of the profiles of the bodies below each two offsets.
    score : (n_patches, n) float64
        Their products with the data.
    square : (n_patches,) float64
        The data's own.
    """

    offsets: Float64
    gram: Float64
    score: Float64
    square: Float64
    inner: Int64
    outer: Int64
    thickness: Float64
    middle: Float64
    differ: bool  # the two sides of the layer: what lies below its inner edge then has a level of its own


def make_grid(
    library: Library,
    data: Float64,
    covariance: Float64,
    at: Float64,
    most: float,
    shift: float,
    differ: bool,
) -> Grid:
    """Whiten data and library and tabulate their products."""
    n = round((most / 2 + shift) / STEP)
    offsets = np.linspace(-n * STEP, n * STEP, 2 * n + 1)
    shapes = np.stack([library.at(e, at) for e in offsets], axis=1)  # (patches, offsets, samples)
    root = np.linalg.cholesky(covariance)
    ground = np.stack([np.ones_like(at), at / at[-1]], axis=0)
    every = np.concatenate(
        [shapes, data[:, None, :], np.broadcast_to(ground, (len(data), *ground.shape))], axis=1
    )
    white = np.linalg.solve(root, every.transpose(0, 2, 1))  # (patches, samples, columns)
    q, _ = np.linalg.qr(white[:, :, -2:])
    white = white[:, :, :-2] - q @ (q.transpose(0, 2, 1) @ white[:, :, :-2])
    products = white.transpose(0, 2, 1) @ white
    i, j = np.triu_indices(len(offsets), 1)
    thickness, middle = offsets[j] - offsets[i], (offsets[j] + offsets[i]) / 2
    use = (thickness <= most + 1e-9) & (np.abs(middle) <= shift + 1e-9)
    return Grid(
        offsets,
        products[:, :-1, :-1],
        products[:, :-1, -1],
        products[:, -1, -1],
        i[use],
        j[use],
        thickness[use],
        middle[use],
        differ,
    )


def chi_square(grid: Grid, prior: Prior | None) -> tuple[Float64, Float64]:
    """Return (n_patches, n_pairs) chi squares with the contrast at its best, and those contrasts.

    With a prior it is what the data and the prior agree on best; without it the contrast is free and 0 or more.
    """
    g, s = grid.gram, grid.score
    i, j = grid.inner, grid.outer
    norm = g[:, i, i] + g[:, j, j] - 2 * g[:, i, j]
    score = s[:, j] - s[:, i]
    square = grid.square[:, None]
    if grid.differ:
        below = g[:, i, i]
        shared = g[:, i, j] - below
        norm = norm - shared**2 / below
        score = score - shared * s[:, i] / below
        square = square - s[:, i] ** 2 / below
    if prior is None:
        contrast = np.maximum(score, 0) / norm
        return square - contrast * (2 * score - contrast * norm), contrast
    precision = 1 / max(prior.sigma, 1e-9 * abs(prior.mean)) ** 2
    contrast = (score + prior.mean * precision) / (norm + precision)
    misfit = square - contrast * (2 * score - contrast * norm)
    return misfit + precision * (contrast - prior.mean) ** 2, contrast


def without_misfit(grid: Grid, well: Mask, samples: int) -> Grid:
    """Return the grid with noise as large as the residuals of the best fits, where they are larger than the noise."""
    chi2, _ = chi_square(grid, None)
    free = samples - (6 if grid.differ else 5)  # level, slope, contrast, place, thickness
    factor = max(1.0, float(np.median(chi2[well].min(axis=1))) / free)
    return replace(
        grid, gram=grid.gram / factor, score=grid.score / factor, square=grid.square / factor
    )


def levels_below(grid: Grid, pair: Int64, contrast: Float64) -> Float64:
    """Return the level of what lies below the layer, per patch, for the chosen pairs of edges."""
    rows = np.arange(len(pair))
    i, j = grid.inner[pair], grid.outer[pair]
    below = grid.gram[rows, i, i]
    shared = grid.gram[rows, i, j] - below
    out: Float64 = (grid.score[rows, i] - contrast * shared) / below
    return out


@dataclass(frozen=True)
class LayerFits:
    """Best thickness, its interval and what goes with it, per patch [px]."""

    thickness: Float64
    low: Float64
    high: Float64
    sigma: Float64
    middle: Float64
    sigma_middle: Float64
    contrast: Float64
    inside: Float64
    closed: Mask  # the interval ends inside of what was tried


def fits_of(grid: Grid, chi2: Float64, contrast: Float64) -> LayerFits:
    """Read thicknesses off chi squares: least over place at each thickness, the parabola at the least of them."""
    values, best = _profile(chi2, np.rint(grid.thickness / STEP).astype(np.int64))
    t = np.linspace(STEP, values.shape[1] * STEP, values.shape[1])
    thickness, low, high, bend, closed = minimum_of(values, t)
    at = np.rint(grid.middle / STEP * 2).astype(np.int64)
    places, _ = _profile(chi2, at - at.min() + 1)
    m = np.linspace(at.min() * STEP / 2, at.max() * STEP / 2, places.shape[1])
    middle, m_low, m_high, m_bend, _ = minimum_of(places, m)
    rows = np.arange(len(chi2))
    pair = best[rows, values.argmin(axis=1)]
    return LayerFits(
        thickness,
        low,
        high,
        np.maximum((high - low) / (2 * 1.96), bend),
        middle,
        np.maximum((m_high - m_low) / (2 * 1.96), m_bend),
        contrast[rows, pair],
        levels_below(grid, pair, contrast[rows, pair]) if grid.differ else np.zeros(len(rows)),
        closed,
    )


def _profile(chi2: Float64, group: Int64) -> tuple[Float64, Int64]:
    """Return (n_patches, n_groups) the least chi square of each group 1, 2 ..., and which pair has it."""
    count = int(group.max())
    least = np.full((len(chi2), count), np.inf)
    where = np.zeros((len(chi2), count), np.int64)
    for k in range(count):
        mine = np.flatnonzero(group == k + 1)
        if len(mine):
            where[:, k] = mine[chi2[:, mine].argmin(axis=1)]
            least[:, k] = chi2[np.arange(len(chi2)), where[:, k]]
    return least, where


def minimum_of(values: Float64, t: Float64) -> tuple[Float64, Float64, Float64, Float64, Mask]:
    """Return the minimum (parabola), where the curve passes 3.84 above it on both sides, its sigma, and if both do."""
    n, m = values.shape
    rows = np.arange(n)
    k = np.clip(values.argmin(axis=1), 1, m - 2)
    a, b, c = values[rows, k - 1], values[rows, k], values[rows, k + 1]
    bend = a + c - 2 * b
    good = bend > 0
    step = t[1] - t[0]
    d = np.where(good, (a - c) / (2 * np.where(good, bend, 1)), 0.0)
    d = np.clip(d, -1, 1)
    best = t[k] + d * step
    floor = np.minimum(b - d * (a - c) / 4, values.min(axis=1))
    sigma = step * np.sqrt(2 / np.maximum(bend, 1e-12))
    low, high = np.full(n, t[0]), np.full(n, t[-1])
    closed = np.ones(n, bool)
    for row in range(n):
        rise = values[row] - floor[row] - _CHI2_95
        below = np.flatnonzero(rise <= 0)
        first, last = (below[0], below[-1]) if len(below) else (k[row], k[row])
        if first > 0:
            low[row] = t[first] - step * rise[first] / (rise[first] - rise[first - 1])
        if last < m - 1:
            high[row] = t[last] + step * rise[last] / (rise[last] - rise[last + 1])
        closed[row] = first > 0 and last < m - 1
    return best, low, high, np.where(good, sigma, np.inf), closed
