# SPDX-License-Identifier: BSD-3-Clause
"""How good an alignment is: errors, held-out tilts, and the tilts that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .joint import Model, Pose, Solution, dot, refine, solve

__all__ = [
    "AxisFit",
    "compared_over_angles",
    "fit_axis",
    "hold_out",
    "misfit_cost",
    "misfits",
    "outliers",
    "relative_residuals",
    "unevenness",
    "unfitting",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# The projector turns images beyond 7.1 deg: misfits of a slab jump there by 4 to 5 %. Images turned by less than
# 1.3 deg (128 px; 2.5 deg of 64 px) are blurred the less the smaller the turn. Between the two either way will do.
_LEAST_TURNED_DEG = 4.5
# Parabolas of the last step beyond the first: each turns by up to 1.5 steps.
_MORE_TURNS = 4
_OUTLIER_SIGMAS = 6.0
_LEAST_KEPT = 5
_LEAST_OUTLIER = 4.0  # times the usual residual: a flagged tilt must also be plainly worse


@dataclass(frozen=True, kw_only=True)
class AxisFit:
    """The pose with the axis at the least misfit, and whether the misfit has a minimum there."""

    pose: Pose
    found: bool


def _round_window(model: Model) -> Float32:
    """1 inside the circle that the images hold: a turn about their centre then changes no pixel count."""
    height, width = model.images.shape[1:]
    y, x = np.mgrid[:height, :width].astype(np.float64)
    inside = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2) <= min(height, width) / 2
    return np.asarray(model.weights * inside.astype(np.float32))


def compared_over_angles(model: Model, pose: Pose) -> Model:
    """Return the model whose misfits can be compared between angles of the axis near that of ``pose``.

    Each angle sees the same number of pixels and goes the same way through the projector: sampled directly or turned,
    of which the second blurs more, but for the smallest turns.
    """
    return replace(
        model, weights=_round_window(model), turned=_off_image_axes(pose) > _LEAST_TURNED_DEG
    )


def _off_image_axes(pose: Pose) -> float:
    """Angle [deg] between the tilt axis and the nearest axis of the image."""
    return abs((pose.tilt_axis_deg + 45.0) % 90.0 - 45.0)


def misfit_cost(model: Model, solution: Solution) -> float:
    r = solution.residual
    ridge = model.ridge * len(model.images) * dot(solution.density, solution.density)
    return dot(r, model.compared(r)) + ridge


def fit_axis(
    model: Model,
    pose: Pose,
    steps_deg: tuple[float, ...],
    iterations: int,
    free: Mapping[str, Float64],
) -> AxisFit:
    """Find the angle of least misfit: parabolas through three angles, one for each step, the last until it holds it.

    Shifts, and what else is ``free``, are so at each angle.
    The object follows a wrong axis, so that Gauss-Newton steps of the angle are slow; the cost itself is smooth.
    Where no minimum was held it is not ``found``.
    """
    limited = compared_over_angles(model, pose)
    found = _Turn(pose=pose, move=90.0, bent=False)
    for step in steps_deg:
        if step == steps_deg[0] and abs(found.move) < step / 2:
            continue  # the minimum lies well inside: go on to the finer step
        found = _turned(limited, found.pose, step, iterations, free)
    for _ in range(_MORE_TURNS):
        if abs(found.move) <= step:
            break
        found = _turned(limited, found.pose, step, iterations, free)
    return AxisFit(pose=found.pose, found=found.bent and abs(found.move) <= step)


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """A pose with the axis turned by ``move`` [deg] to the minimum of a parabola, or towards it if not ``bent``."""

    pose: Pose
    move: float
    bent: bool


def _turned(
    model: Model, pose: Pose, step: float, iterations: int, free: Mapping[str, Float64]
) -> _Turn:
    """Turn the axis to the minimum of the parabola through three angles ``step`` [deg] apart, or towards it."""
    costs, poses = [], []
    for turn in (-step, 0.0, step):
        start = replace(pose, tilt_axis_deg=pose.tilt_axis_deg + turn)
        found, solution = refine(model, start, rounds=1, iterations=iterations, free=free)
        costs.append(misfit_cost(model, solution))
        poses.append(found)
    bend = costs[0] - 2 * costs[1] + costs[2]
    best = int(np.argmin(costs))
    move = 0.5 * (costs[0] - costs[2]) / bend if bend > 0 else 1.5 * (best - 1)
    move = step * float(np.clip(move, -1.5, 1.5))
    turned = replace(poses[best], tilt_axis_deg=pose.tilt_axis_deg + move)
    return _Turn(pose=turned, move=move, bent=bend > 0)


def unevenness(residual: Float32, softness: float) -> float:
    """Amplitude of residuals at the lower half of the frequencies in the pass band over that at the upper half."""
    height, width = residual.shape[1:]
    f = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    power = np.mean([np.abs(np.fft.rfft2(image)) ** 2 for image in residual], axis=0)
    edge = 0.5 / softness
    low, high = power[f <= edge / 2].mean(), power[(f > edge / 2) & (f <= edge)].mean()
    return float(np.sqrt(low / max(high, 1e-30)))


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
    first = solve(
        replace(model, weights=weights.astype(np.float32), intensities=None), pose, None, iterations
    )
    density = first.density
    if model.intensities:
        density = solve(
            replace(model, weights=weights.astype(np.float32)), pose, density, iterations
        ).density
    left = model.images - model.operator(pose).project(density)
    top, bottom = (
        np.einsum("nij,nij->n", a, model.compared(a), dtype=np.float64)
        for a in (left, model.images)
    )
    return float(np.sqrt(top / np.maximum(bottom, 1e-30))[held].mean())


def unfitting(images: Float32, residual: Float32) -> npt.NDArray[np.bool_]:
    """Return which tilts leave a residual far above that of the others, in itself or against their image."""
    ones = np.ones_like(residual[:1]) / np.sqrt(residual[0].size)
    return outliers(relative_residuals(ones, residual)) | outliers(
        relative_residuals(images, residual)
    )


def misfits(model: Model, pose: Pose, solution: Solution, iterations: int) -> npt.NDArray[np.bool_]:
    """Return which tilts do not fit, where predictions of the others gain from leaving them out."""
    bad = unfitting(model.images, solution.residual)
    if not bad.any() or (~bad).sum() < _LEAST_KEPT:
        return np.zeros(len(bad), bool)
    held = ~bad & (np.cumsum(~bad) % 4 == 0)

    def held_out(used: npt.NDArray[np.bool_]) -> float:
        weights = np.where(used[:, None, None], model.weights, np.float32(0)).astype(np.float32)
        density = solve(replace(model, weights=weights), pose, None, iterations).density
        left = model.images - model.operator(pose).project(density)
        return float(relative_residuals(model.images[held], left[held]).mean())

    return bad if held_out(~held & ~bad) < held_out(~held) else np.zeros(len(bad), bool)


def outliers(values: Float64) -> npt.NDArray[np.bool_]:
    """Return which values stand far above the others: 6 robust sigmas and four times the median."""
    middle = float(np.median(values))
    spread = 1.4826 * float(np.median(np.abs(values - middle)))
    return np.asarray(
        values > np.maximum(middle + _OUTLIER_SIGMAS * spread, _LEAST_OUTLIER * middle)
    )
