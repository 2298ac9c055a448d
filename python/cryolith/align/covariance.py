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
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from ..projection import Geometry
from .images import reduce_images, resample_images
from .joint import Model, Pose, Solution, dot, drifts, image_slopes, solve
from .levels import seen_edges
from .pose_covariance import PoseCovariance, blind_to, block_diagonal, translations, turns_of

__all__ = ["pose_covariance"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# The rows are looked at on images of half as many pixels: isolated specimens show no more on the last images, and
# what a slab shows beyond that is never the least sure.
_REDUCED = 2
# The fit's ridge compares noise with a density that it has shrunk: the likelihood of the images is largest for one 4
# (particle, slab; both doses) or 1 to 4 times (needle) looser.
_LOOSER = 4.0
# Edge of what pulls as one [px]: the low-pass reaches 3 px. Of an isolated specimen it is whole rows; a slab, which
# leaves the images on both sides, pulls differently there, and patches of its rows count.
_ROWS, _PATCH = 3, 4
_SMOOTH = 0.3  # in the logarithm of the number of half waves, to either side
_LEAST_TOLD = 1e-6  # of what a shift tells on the average
_NOISE_SEED = 20261127
_MOST_NOISE = 0.8
_NOISE_ROWS = 4  # every so many rows tell the share of noise in the slopes


@dataclass(frozen=True)
class _Frame:
    """Images of half as many pixels along and across the axis; ``slopes`` (k, n, rows, columns), the axis' last."""

    slopes: Float64
    residual: Float64


@dataclass(frozen=True)
class _Row:
    """The plane problem of one row: its projector (n, voxels, columns), and (A A' + 1 / rho)^-1 of its voxels."""

    projector: Float64
    inverse: Float64


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
    row = _row(model, isolated, seen.slopes.shape[-1])
    modes = _modes(n, free, axis=axis)
    told = modes.T @ _information(row, seen.slopes, axis) @ modes
    share = _noise_share(model, pose, solution, row, seen, iterations)
    held = np.sqrt(1 - np.repeat(share, [n, n, len(told) - 2 * n]))
    told = _damped(told * np.outer(held, held), 2 * n)
    gauge = np.zeros((len(told), 3))
    upright = replace(pose, tilt_axis_deg=0.0, rotations_deg=np.zeros(n))
    shifts = translations(upright, model.angles_deg).reshape(n, 2, 3)
    gauge[: 2 * n] = modes[: 2 * n, : 2 * n].T @ shifts.transpose(1, 0, 2).reshape(2 * n, 3)
    pulls = _pulls(seen, axis) @ modes
    groups = (n, n, *([1] if axis else []), *(basis.shape[1] for basis in free.values()))
    runs = _runs(pulls.sum(axis=1), (_ROWS,)) if isolated else _runs(pulls, (_PATCH, _PATCH))
    sizes = _sizes(runs, told, gauge, groups)
    scatter = told * np.sqrt(np.outer(sizes, sizes))
    inverse = _inverse(told, gauge)
    spread = modes @ inverse @ scatter @ inverse @ modes.T
    return _in_images(spread, pose, axis, tuple(free))


def _seen(model: Model, pose: Pose, solution: Solution, others: tuple[str, ...]) -> _Frame:
    """Slopes and residual, of what the images hold; both turned upright in one way, which blurs both alike."""
    edges = seen_edges((model.images.shape[1], model.images.shape[2]), pose.tilt_axis_deg)
    height, width = (int(np.ceil(edge / _REDUCED)) * _REDUCED for edge in edges)
    matrices = turns_of(pose) * pose.magnifications[:, None, None]

    def resample(images: Float32) -> Float32:
        return resample_images(
            images, matrices, pose.shifts_px, (height, width), 0.0, model.threads, model.cancel
        )

    def upright(images: Float32) -> Float32:
        return resample(model.intensities.root(images) if model.intensities else images)

    held = resample(np.ones_like(model.images)) > 0.999
    along_across = turns_of(pose).transpose(2, 0, 1)
    shifted = image_slopes(model, pose, solution.density, along_across).swapaxes(0, 1)
    images = (model.operator(pose).project(solution.density), *shifted)
    seen = [upright(np.ascontiguousarray(image)) * held for image in images]
    slopes = _slopes(seen, pose.magnifications.astype(np.float32)[:, None, None], others)
    parts = np.stack([*slopes, upright(solution.residual) * held])
    small = [reduce_images(part, _REDUCED, model.threads, model.cancel) for part in parts]
    whole = np.stack(small).astype(np.float64)
    return _Frame(whole[:-1], whole[-1])


def _slopes(seen: list[Float32], m: Float32, others: tuple[str, ...]) -> list[Float32]:
    """Change with the shift along and across the axis, each of ``others``, and the angle of the axis."""
    image, by_v, by_u = seen
    v, u = (np.arange(size, dtype=np.float32) - (size - 1) / 2 for size in image.shape[1:])
    v = v[:, None]
    turn = (by_v * u - by_u * v) * m * np.float32(np.pi / 180)
    size = by_v * v + by_u * u
    # What a change of intensity explains tells nothing of a magnification: intensities are set apart.
    share = (size * image).sum(axis=(1, 2)) / np.maximum((image * image).sum(axis=(1, 2)), 1e-30)
    size = size - share[:, None, None] * image
    kinds = {"rotations_deg": turn, "magnifications": size}
    return [np.asarray(a, np.float32) for a in (by_v, by_u, *(kinds[k] for k in others), turn)]


def _row(model: Model, isolated: bool, width: int) -> _Row:
    """Make the plane problem of a row from the projector: each voxel of a row is put into a row of its own."""
    nz, nx = (int(np.ceil(n / _REDUCED)) for n in model.support.shape[::2])
    z, x = np.mgrid[:nz, :nx] - (np.array([nz, nx])[:, None, None] - 1) / 2
    inside = np.ones((nz, nx), bool)
    if isolated:
        inside = np.hypot(z, x) <= np.sqrt(float(model.support.sum()) / np.pi) / _REDUCED
    at = np.nonzero(inside)
    count = len(at[0])
    single = np.zeros((nz, count, nx), np.float32)
    single[at[0], np.arange(count), at[1]] = 1
    geometry = Geometry.single_axis(model.angles_deg)
    projector = np.empty((len(model.angles_deg), count, width), np.float32)
    plan = _core.ProjectionPlan(geometry.poses(), single.shape, (count, width))
    plan.project(single, projector, model.threads, model.cancel)
    projector *= geometry.weights().astype(np.float32)[:, None, None]
    flat = projector.astype(np.float64).transpose(1, 0, 2).reshape(count, -1)
    # Per pixel of a reduced image noise has 1 / r^2 of the variance, a voxel 1 / r^3, and a ray counts r px in each.
    rho = _REDUCED * _LOOSER / (model.ridge * len(model.images))
    normal = flat @ flat.T
    normal[np.diag_indices(count)] += 1 / rho
    return _Row(np.asarray(projector, np.float64), np.asarray(np.linalg.inv(normal), np.float64))


def _modes(n: int, free: Mapping[str, Float64], *, axis: bool) -> Float64:
    """Columns that span the parameters: orthonormal cosines over the tilts for shifts, what is free in its basis."""
    waves = np.c_[np.full(n, np.sqrt(0.5)), drifts(n, n - 1)] * np.sqrt(2 / n)
    return block_diagonal(waves, waves, *([np.eye(1)] if axis else []), *free.values())


def _information(row: _Row, slopes: Float64, axis: bool) -> Float64:
    """H of all parameters: shifts along the axis of each tilt, across it, the axis, and each of the others."""
    k, _, rows, _ = slopes.shape
    flat = row.projector.transpose(1, 0, 2).reshape(len(row.inverse), -1)
    out = _own(slopes, axis)
    for r in range(rows):
        by_tilt = [np.einsum("nju,nu->jn", row.projector, slopes[a, :, r]) for a in range(k - 1)]
        turned = [flat @ slopes[-1, :, r].reshape(-1, 1)] if axis else []
        back = np.concatenate([*by_tilt[:2], *turned, *by_tilt[2:]], axis=1)
        out -= back.T @ (row.inverse @ back)
    return (out + out.T) / 2


def _own(slopes: Float64, axis: bool) -> Float64:
    """D' D: of the same tilt, and of all with the axis."""
    k, n = slopes.shape[:2]
    own = np.einsum("anvu,bnvu->abn", slopes, slopes)
    first = [0, n, *(2 * n + axis + a * n for a in range(k - 3))]
    out = np.zeros((first[-1] + n if k > 3 else 2 * n + axis,) * 2)
    tilt = np.arange(n)
    for a, at in enumerate(first):
        for b, to in enumerate(first):
            out[at + tilt, to + tilt] = own[a, b]
        if axis:
            out[at + tilt, 2 * n] = out[2 * n, at + tilt] = own[a, -1]
    if axis:
        out[2 * n, 2 * n] = own[-1, -1].sum()
    return out


def _damped(told: Float64, shifts: int) -> Float64:
    """Let an image that shows nothing of the specimen have errors that are large, not infinite."""
    size = np.diag(told).copy()
    size[:shifts] += size[:shifts].mean()
    return told + np.diag(_LEAST_TOLD * size + 1e-30)


def _noise_share(
    model: Model, pose: Pose, solution: Solution, row: _Row, seen: _Frame, iterations: int
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
        h = np.diag(_information(row, slopes[[0, 1, -1], :, ::_NOISE_ROWS], False))
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


def _pulls(seen: _Frame, axis: bool) -> Float64:
    """D' r of each pixel (rows, columns, parameters), in the order of ``_information``."""
    by_tilt = (seen.slopes * seen.residual).transpose(0, 2, 3, 1)
    turned = [by_tilt[-1].sum(axis=-1, keepdims=True)] if axis else []
    return np.concatenate([*by_tilt[:2], *turned, *by_tilt[2:-1]], axis=-1)


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
