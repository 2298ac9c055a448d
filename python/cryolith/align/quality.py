# SPDX-License-Identifier: BSD-3-Clause
"""How good an alignment is: errors, held-out tilts, and the tilts that do not fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .coarse import across_along, frame
from .joint import Model, Pose, Solution, dot, refine, solve

__all__ = [
    "AxisFit",
    "fit_axis",
    "hold_out",
    "outliers",
    "relative_residuals",
    "shift_errors",
    "without_gauge",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_AXIS_STEPS_DEG = (3.0, 3.0, 1.5)
# Error of the angle beside noise (interpolation between rotated lattices, limits of the support): root mean square
# over the simulated series of design/004-alignment.md, where noise alone would give 0.02 to 0.04 deg.
_AXIS_MODEL_DEG = 0.2
_STRIPE_PX = 4
_SPLIT_ROUNDS = 3
_OUTLIER_SIGMAS = 6.0
_LEAST_OUTLIER = 4.0  # times the usual residual: a flagged tilt must also be plainly worse


@dataclass(frozen=True, kw_only=True)
class AxisFit:
    """The axis at the least misfit, its error, and the pose there."""

    pose: Pose
    sigma_deg: float


def _round_window(model: Model) -> Float32:
    """1 inside the circle that the images hold: a turn about their centre then changes no pixel count."""
    height, width = model.images.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= min(height, width) / 2
    return np.asarray(model.weights * inside.astype(np.float32))


def _cost(model: Model, solution: Solution) -> float:
    r = solution.residual
    return dot(r, r) + model.ridge * len(model.images) * dot(solution.density, solution.density)


def fit_axis(model: Model, pose: Pose, iterations: int) -> AxisFit:
    """Find the angle of least misfit: parabolas through three angles, the shifts free at each.

    The object follows a wrong axis, so that Gauss-Newton steps of the angle are slow; the cost itself is smooth.
    sigma: the angle at which the cost over the noise variance has risen by one, with the model's own error.
    """
    limited = replace(model, weights=_round_window(model))
    sigma = float("nan")
    moved = 90.0
    for step in _AXIS_STEPS_DEG:
        if step == _AXIS_STEPS_DEG[0] and moved < step / 2:
            continue  # the minimum lies well inside: go on to the finer step
        costs, poses, solutions = [], [], []
        for turn in (-step, 0.0, step):
            start = replace(pose, tilt_axis_deg=pose.tilt_axis_deg + turn)
            found, solution = refine(limited, start, rounds=1, iterations=iterations, axis=False)
            costs.append(_cost(limited, solution))
            poses.append(found)
            solutions.append(solution)
        bend = costs[0] - 2 * costs[1] + costs[2]
        best = int(np.argmin(costs))
        move = 0.5 * (costs[0] - costs[2]) / bend if bend > 0 else float(best - 1)
        move = step * float(np.clip(move, -1.5, 1.5))
        moved = abs(move)
        noise = dot(solutions[best].residual, solutions[best].residual) / max(
            1.0, float(limited.weights.sum())
        )
        noisy = step * float(np.sqrt(2 * noise / bend)) if bend > 0 else float("inf")
        sigma = float(np.hypot(noisy, _AXIS_MODEL_DEG))
        pose = replace(poses[best], tilt_axis_deg=pose.tilt_axis_deg + move)
    return AxisFit(pose=pose, sigma_deg=sigma)


def without_gauge(shifts: Float64, angles_deg: Float64, axis_deg: float) -> Float64:
    """Return shifts (n, 2) as (v, u), less what moving the specimen does: a cos + b sin across, constant along."""
    vu = across_along(shifts, axis_deg)
    t = np.deg2rad(angles_deg)
    basis = np.c_[np.cos(t), np.sin(t)]
    vu[:, 1] -= basis @ np.linalg.lstsq(basis, vu[:, 1], rcond=None)[0]
    vu[:, 0] -= vu[:, 0].mean()
    return vu


def shift_errors(model: Model, pose: Pose, iterations: int) -> Float64:
    """Standard deviations (n, 2) of the (row, column) shifts [px], from two halves of the pixels.

    The images are split into stripes across the tilt axis; different stripes see different parts of the
    specimen, so the two halves measure each shift independently. Half the difference of their answers, gauge
    removed, is one sample of the error of the whole; it is averaged over the tilts.
    """
    n, height, width = model.images.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    middle = np.stack([y - (height - 1) / 2, x - (width - 1) / 2], axis=-1)
    halves = []
    for parity in (0, 1):
        weights = np.empty(model.images.shape, np.float32)
        for i in range(n):
            v = (middle - pose.shifts_px[i]) @ frame(pose.tilt_axis_deg)[:, 0]
            weights[i] = np.floor(v / _STRIPE_PX) % 2 == parity
        half = replace(model, weights=model.weights * weights)
        found, _ = refine(
            half, pose, rounds=_SPLIT_ROUNDS, iterations=iterations, axis=False, tolerance=0.0
        )
        halves.append(found.shifts_px)
    difference = without_gauge(halves[0] - halves[1], model.angles_deg, pose.tilt_axis_deg) / 2
    lost = np.array([1.0, 2.0])  # gauge parameters along and across
    variance = (difference**2).sum(axis=0) / np.maximum(n - lost, 1)
    turn = frame(pose.tilt_axis_deg)
    covariance = turn @ np.diag(variance) @ turn.T
    return np.tile(np.sqrt(np.diag(covariance)), (n, 1))


def relative_residuals(images: Float32, residual: Float32) -> Float64:
    """|residual| / |image| of each image."""
    top = np.sqrt(np.einsum("nij,nij->n", residual, residual, dtype=np.float64))
    bottom = np.sqrt(np.einsum("nij,nij->n", images, images, dtype=np.float64))
    return np.asarray(top / np.maximum(bottom, 1e-30))


def hold_out(model: Model, pose: Pose, iterations: int) -> float:
    """Mean relative residual of every fourth tilt, predicted from a density that the other tilts made."""
    n = len(model.images)
    held = np.arange(n) % 4 == (2 if n > 2 else 0)
    if held.all() or not held.any():
        return float("nan")
    weights = np.where(held[:, None, None], np.float32(0), model.weights)
    solution = solve(replace(model, weights=weights.astype(np.float32)), pose, None, iterations)
    predicted = model.operator(pose).project(solution.density)
    residuals = relative_residuals(model.images[held], model.images[held] - predicted[held])
    return float(residuals.mean())


def outliers(values: Float64) -> npt.NDArray[np.bool_]:
    """Return which values stand far above the others: 6 robust sigmas and four times the median."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.asarray(
        values > np.maximum(middle + _OUTLIER_SIGMAS * spread, _LEAST_OUTLIER * middle)
    )
