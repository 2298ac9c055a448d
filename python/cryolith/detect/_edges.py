# SPDX-License-Identifier: BSD-3-Clause
"""Blurred steps in profiles: fits for many profiles at once, planes through their positions, errors by groups."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float64

__all__ = [
    "SHARPEST",
    "EdgeFit",
    "Plane",
    "fit_edges",
    "fit_plane",
    "fit_width",
    "groups_of",
    "normal_cdf",
]

_SQRT_2PI = math.sqrt(2 * math.pi)
SHARPEST = 1 / math.sqrt(12)  # px: the blur of a perfect edge by the pixel itself


def normal_cdf(x: Float64) -> Float64:
    """Return the normal distribution function to 1e-7 (Abramowitz & Stegun 26.2.17); NumPy has none."""
    t = 1 / (1 + 0.2316419 * np.abs(x))
    poly = t * (
        0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429)))
    )
    tail = np.exp(-0.5 * x * x) / _SQRT_2PI * poly
    out: Float64 = np.where(x > 0, 1 - tail, tail)
    return out


class EdgeFit(NamedTuple):
    """Fits of ``k`` edges in each of ``n`` profiles of ``m`` samples."""

    position: Float64  # (n, k), in the unit of the coordinates
    amplitude: Float64  # (n, k), step upwards
    residual: Float64  # (n, m)
    filter: Float64  # (n, k, m): how each position moves with each sample, to first order


def fit_edges(
    profiles: Float64, at: Float64, start: Float64, width: Float64, rounds: int = 12
) -> EdgeFit:
    """Fit c + sum_k a_k Phi((g - p_k) / w_k) to each profile, with the widths given (Gauss-Newton).

    Parameters
    ----------
    profiles, at : (n, m)
        Samples and their coordinates g.
    start : (n, k)
        First guess of the positions p, ascending.
    width : (k,)
        Standard deviation w of the blur of each edge.
    """
    position = start.copy()
    n, m = profiles.shape
    k = start.shape[1]
    for _ in range(rounds):
        design, solution, _ = _solve(profiles, at, position, width)
        # Variable projection: levels are linear and solved for exactly, positions step by Gauss-Newton.
        step = np.clip(solution[:, 1 + k :], -1.0, 1.0)
        position = position + step
        if np.abs(step).max(initial=0.0) < 1e-6:
            break
    design, solution, inverse = _solve(profiles, at, position, width)
    fitted = np.einsum("nmj,nj->nm", design[:, :, : 1 + k], solution[:, : 1 + k])
    rows = np.einsum("njl,nml->njm", inverse, design)[:, 1 + k :]
    return EdgeFit(position, solution[:, 1 : 1 + k], profiles - fitted, rows.reshape(n, k, m))


def _solve(
    profiles: Float64, at: Float64, position: Float64, width: Float64
) -> tuple[Float64, Float64, Float64]:
    """Return design (n, m, 1+2k), solution (n, 1+2k): level, steps, moves of the positions; inverse normal matrix."""
    x = (at[:, :, None] - position[:, None, :]) / width
    step = normal_cdf(x)
    ones = np.ones((*at.shape, 1))
    levels = np.concatenate([ones, step], axis=2)
    linear, _ = _least_squares(levels, profiles)
    slope = -linear[:, None, 1:] * np.exp(-0.5 * x * x) / (_SQRT_2PI * width)
    design = np.concatenate([levels, slope], axis=2)
    solution, inverse = _least_squares(design, profiles)
    return design, solution, inverse


def _least_squares(design: Float64, values: Float64) -> tuple[Float64, Float64]:
    normal = np.einsum("nmi,nmj->nij", design, design)
    diagonal = np.einsum("nii->ni", normal)
    # A ridge far below rounding of the data keeps a flat profile (no step, so no position) solvable.
    normal = normal + 1e-9 * np.eye(normal.shape[1]) * (diagonal.max(axis=1) + 1e-30)[:, None, None]
    inverse = np.linalg.inv(normal)
    solution = np.einsum("nij,nmj,nm->ni", inverse, design, values)
    return solution, inverse


def fit_width(profile: Float64, at: Float64, weight: Float64, start: float) -> float:
    """Return the standard deviation of the blur of the single edge at 0 in a profile aligned to it.

    Golden-section search of the weighted residual over the width; position and levels are free.
    """

    def misfit(width: float) -> float:
        x = at / width
        design = (
            np.stack([np.ones_like(at), normal_cdf(x), np.exp(-0.5 * x * x) / width], axis=1)
            * np.sqrt(weight)[:, None]
        )
        target = profile * np.sqrt(weight)
        solution = np.linalg.lstsq(design, target, rcond=None)[0]
        return float(((target - design @ solution) ** 2).sum())

    low, high = SHARPEST, max(start * 4, 1.0)
    golden = (math.sqrt(5) - 1) / 2
    a, b = high - golden * (high - low), low + golden * (high - low)
    fa, fb = misfit(a), misfit(b)
    while high - low > 1e-3:
        if fa <= fb:
            high, b, fb = b, a, fa
            a = high - golden * (high - low)
            fa = misfit(a)
        else:
            low, a, fa = a, b, fb
            b = low + golden * (high - low)
            fb = misfit(b)
    return (low + high) / 2


class Plane(NamedTuple):
    """position = offset + slope . (lateral - centre), through the points kept."""

    offset: float
    slope: Float64  # (2,)
    centre: Float64  # (2,)
    residual: Float64  # (n,) of all points
    kept: npt.NDArray[np.bool_]  # (n,)

    def at(self, lateral: Float64) -> Float64:
        """Return the position of the plane at lateral points (..., 2)."""
        out: Float64 = self.offset + (lateral - self.centre) @ self.slope
        return out


def fit_plane(lateral: Float64, position: Float64, use: npt.NDArray[np.bool_]) -> Plane:
    """Fit a plane to points (n, 2) -> (n,), leaving out those beyond 4 robust standard deviations."""
    kept = use.copy()
    for _ in range(10):
        centre = lateral[kept].mean(axis=0)
        slope, offset = _plane(lateral[kept] - centre, position[kept])
        residual = position - offset - (lateral - centre) @ slope
        spread = 1.4826 * float(np.median(np.abs(residual[kept])))
        good = use & (np.abs(residual) <= 4 * spread + 1e-6)
        if (good == kept).all() or good.sum() < 6:
            break
        kept = good
    return Plane(offset, slope, centre, residual, kept)


def _plane(lateral: Float64, position: Float64) -> tuple[Float64, float]:
    """Least squares about the centroid; a direction with no spread gets no slope."""
    offset = float(position.mean())
    slope = np.linalg.lstsq(lateral, position - offset, rcond=1e-6)[0]
    return slope.astype(np.float64), offset


def groups_of(lateral: Float64, count: int) -> npt.NDArray[np.int64]:
    """Part points (n, 2) into ``count`` (a power of 2) compact groups of equal size by halving the longer side."""
    group = np.zeros(len(lateral), np.int64)
    parts = 1
    while parts < count:
        new = np.zeros_like(group)
        for g in range(parts):
            member = np.flatnonzero(group == g)
            spread = np.ptp(lateral[member], axis=0) if len(member) else np.zeros(2)
            axis = int(spread.argmax())
            order = np.lexsort((lateral[member, 1 - axis], lateral[member, axis]))
            new[member[order[len(member) // 2 :]]] = 1
        group = 2 * group + new
        parts *= 2
    return group
