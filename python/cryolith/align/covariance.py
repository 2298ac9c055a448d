# SPDX-License-Identifier: BSD-3-Clause
"""Covariance of a pose that was refined together with its density: how unevenly the images pull at it.

Seen along and across the axis every row of the specimen is a plane problem of its own, and the same one for all
rows. With the density left free, a field of variance ``rho`` (in units of that of the noise) within its support, the
slopes D of the images tell of the pose

    H = sum over rows of D' C^-1 D,    C = 1 + rho A A',

A the projector of one row. Each row pulls at the pose by g = D' r, r what the fit leaves of it. The pulls sum to zero,
and how far they scatter is what noise, and all that the model cannot follow, do to the pose:

    covariance = H^-1 (sum of g g') H^-1.

The size of the noise cancels. design/013-joint-alignment.md has the figures.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .images import reduce_images
from .joint import Model, Pose, Solution, dot, image_slopes, solve
from .pose_covariance import PoseCovariance, blind_to, turns_of
from .rows import (
    Row,
    RowsOf,
    Upright,
    damped,
    gauge_of,
    information,
    modes_of,
    pulls,
    reduced,
    slopes_of,
    upright,
    upright_frame,
)

__all__ = ["pose_covariance"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Edge of what pulls as one [px]: the low-pass reaches 3 px. Of an isolated specimen it is whole rows; a slab, which
# leaves the images on both sides, pulls differently there, and patches of its rows count.
_ROWS, _PATCH = 3, 4
_SMOOTH = 0.3  # in the logarithm of the number of half waves, to either side
_NOISE_SEED = 20261127
_MOST_NOISE = 0.8
_NOISE_ROWS = 4  # every so many rows tell the share of noise in the slopes


def pose_covariance(
    model: Model,
    pose: Pose,
    solution: Solution,
    free: Mapping[str, Float64],
    *,
    isolated: bool,
    axis: bool,
    iterations: int = 30,
) -> PoseCovariance:
    """Return the covariance of a refined pose, from its density and the residual that this leaves.

    Parameters
    ----------
    model, pose, solution
        Of the last reduced images, in their pixels.
    free : mapping of str to (n_tilts, m)
        What else than shifts was free, with the basis that it was held to.
    isolated : bool
        False for a slab, which leaves the images on both sides.
    axis : bool
        Whether the angle of the axis was free.
    iterations : int
        Of the solution for a density of noise alone: noise in the density makes slopes that tell nothing, and H
        shrinks by their share.

    Notes
    -----
    H is found on the side of the voxels, ``D' D - (A' D)' (A A' + 1 / rho)^-1 (A' D)``. The pulls of some twenty
    independent rows cannot fill the matrix: only their size is taken from them, for shifts along and across the axis
    by the number of half waves over the tilts, and the rest from H.

    References
    ----------
    P. J. Huber, Proc. 5th Berkeley Symp. 1 (1967) 221 (H^-1 V H^-1); K.-Y. Liang and S. L. Zeger, Biometrika 73
    (1986) 13 (sums over what hangs together); W. K. Newey and K. D. West, Econometrica 55 (1987) 703 (windows).
    """
    n = len(model.images)
    seen = _seen(model, pose, solution, tuple(free))
    row = Row.of(model, isolated, seen.slopes.shape[-1])
    modes = modes_of(n, free, axis=axis)
    told = modes.T @ information(row, seen.slopes, axis) @ modes
    share = _noise_share(model, pose, solution, row, seen, iterations)
    held = np.sqrt(1 - np.repeat(share, [n, n, len(told) - 2 * n]))
    told = damped(told * np.outer(held, held), 2 * n)
    gauge = gauge_of(model, pose, modes)
    pulled = _all_pulls(model, pose, seen, row, tuple(free), isolated=isolated, axis=axis) @ modes
    groups = (n, n, *([1] if axis else []), *(basis.shape[1] for basis in free.values()))
    runs = _runs(pulled.sum(axis=1), (_ROWS,)) if isolated else _runs(pulled, (_PATCH, _PATCH))
    sizes = _sizes(runs, told, gauge, groups)
    scatter = told * np.sqrt(np.outer(sizes, sizes))
    inverse = _inverse(told, gauge)
    spread = modes @ inverse @ scatter @ inverse @ modes.T
    return _in_images(spread, pose, axis, tuple(free))


def _all_pulls(
    model: Model,
    pose: Pose,
    seen: Upright,
    row: Row,
    others: tuple[str, ...],
    *,
    isolated: bool,
    axis: bool,
) -> Float64:
    """Pulls (rows, columns, parameters); at the axis those of the rows, where that is how it was found.

    The projector blurs less near the lattice of the pixels, and all rows pull there together.
    """
    out = pulls(seen, axis)
    if isolated and axis and model.intensities is None:
        at = 2 * len(model.images)
        out[..., at] = pulls(RowsOf.of(model, pose, row).seen(pose, others), axis)[..., at]
    return out


def _seen(model: Model, pose: Pose, solution: Solution, others: tuple[str, ...]) -> Upright:
    """Slopes and residual, of what the images hold; both turned upright in one way, which blurs both alike."""
    shape = upright_frame(model, pose.tilt_axis_deg)

    def turned(images: Float32) -> Float32:
        return upright(
            model.intensities.root(images) if model.intensities else images, model, pose, shape
        )

    held = upright(np.ones_like(model.images), model, pose, shape) > 0.999
    along_across = turns_of(pose).transpose(2, 0, 1)
    shifted = image_slopes(model, pose, solution.density, along_across).swapaxes(0, 1)
    images = (model.operator(pose).project(solution.density), *shifted)
    seen = [(turned(np.ascontiguousarray(image)) * held).astype(np.float64) for image in images]
    slopes = slopes_of(seen, pose.magnifications[:, None, None], others)
    parts = np.stack([*slopes, turned(solution.residual) * held]).astype(np.float32)
    whole = np.stack([reduced(part, model) for part in parts])
    return Upright(whole[:-1], whole[-1])


def _noise_share(
    model: Model, pose: Pose, solution: Solution, row: Row, seen: Upright, iterations: int
) -> Float64:
    """Share (3,) that noise in the density has in what slopes along, across and both seem to tell."""
    residual = solution.residual
    spread = np.sqrt(_noise_variance(model.images - residual, residual))
    rng = np.random.default_rng(_NOISE_SEED)
    noise = rng.standard_normal(residual.shape, np.float32) * spread
    soft = reduce_images(noise, 1, model.threads, model.cancel, softness=model.softness)
    alone = solve(replace(model, images=soft), pose, None, iterations)
    size = dot(residual, residual) / max(dot(alone.residual, alone.residual), 1e-30)
    n = len(residual)

    def told(slopes: Float64) -> Float64:
        h = np.diag(information(row, slopes[[0, 1, -1], :, ::_NOISE_ROWS], False))
        return np.array([h[:n].sum(), h[n:].sum(), h.sum()])

    noisy = told(_seen(model, pose, alone, ()).slopes)
    return np.minimum(_MOST_NOISE, size * noisy / np.maximum(told(seen.slopes), 1e-30))


def _noise_variance(predicted: Float32, residual: Float32) -> Float32:
    """Variance of each pixel: a constant and a part in proportion to the signal, fitted to the residuals."""
    p = np.maximum(predicted, 0).astype(np.float64).ravel()
    r2 = np.square(residual, dtype=np.float64).ravel()
    mean, spread = p.mean(), p.var()
    slope = max(0.0, float(((p - mean) * r2).mean()) / spread) if spread > 0 else 0.0
    floor = max(float(r2.mean()) - slope * mean, 0.05 * float(r2.mean()))
    return np.asarray(floor + slope * np.maximum(predicted, 0), np.float32)


def _runs(pulls: Float64, windows: tuple[int, ...]) -> Float64:
    """Sum ``pulls`` (..., parameters) over each window of the first axes, those that reach beyond an end included."""
    for axis, window in enumerate(windows):
        ends = [(0, 0)] * pulls.ndim
        ends[axis] = (window, window - 1)
        upto = np.moveaxis(np.cumsum(np.pad(pulls, ends), axis=axis), axis, 0)
        pulls = np.moveaxis(upto[window:] - upto[:-window], 0, axis)
    return np.asarray(pulls.reshape(-1, pulls.shape[-1]) / np.sqrt(np.prod(windows)))


def _sizes(runs: Float64, told: Float64, gauge: Float64, groups: tuple[int, ...]) -> Float64:
    """How much more ``runs`` (m, k) of pulls scatter than ``told`` says, smooth within groups of parameters.

    What moving the specimen does is taken out of both.
    """
    blind = blind_to(gauge, len(gauge))
    scatter = ((runs @ blind) ** 2).sum(axis=0)
    known = np.diag(blind @ told @ blind)
    out, first = np.empty(len(scatter)), 0
    for count in groups:
        part = slice(first, first + count)
        wave = np.log(np.arange(1, count + 1))
        near = np.exp(-0.5 * ((wave[:, None] - wave) / _SMOOTH) ** 2)
        out[part] = near @ scatter[part] / (near @ known[part])
        first += count
    return out


def _inverse(told: Float64, gauge: Float64) -> Float64:
    """Invert within what ``gauge`` leaves."""
    complement = np.linalg.qr(gauge, mode="complete")[0][:, gauge.shape[1] :]
    inner = np.linalg.inv(complement.T @ told @ complement)
    return np.asarray(complement @ inner @ complement.T)


def _in_images(matrix: Float64, pose: Pose, axis: bool, others: tuple[str, ...]) -> PoseCovariance:
    """Turn shifts along and across the axis into those of rows and columns, tilt by tilt."""
    n = len(pose.rotations_deg)
    turn = np.eye(len(matrix))
    turn[: 2 * n, : 2 * n] = 0
    turns, tilt = turns_of(pose), np.arange(n)
    for i in range(2):
        for j in range(2):
            turn[2 * tilt + i, j * n + tilt] = turns[:, i, j]
    turned = turn @ matrix @ turn.T
    return PoseCovariance(matrix=(turned + turned.T) / 2, n=n, axis=axis, others=others)
