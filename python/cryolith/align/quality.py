# SPDX-License-Identifier: BSD-3-Clause
"""How good an alignment is: errors, held-out tilts, and the tilts that do not fit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .coarse import across_along, frame
from .images import reduce_images
from .joint import Model, Pose, Solution, dot, refine, slope_power, solve

__all__ = [
    "AxisFit",
    "fit_axis",
    "hold_out",
    "misfits",
    "outliers",
    "relative_residuals",
    "shift_errors",
    "unevenness",
    "unfitting",
    "without_gauge",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Error of the angle beside noise (interpolation between rotated lattices, limits of the support): root mean square
# over the simulated series of design/004-alignment.md, where noise alone would give 0.02 to 0.04 deg.
_AXIS_MODEL_DEG = 0.2
# Errors as large as stated on simulated series of two doses (design/013-joint-alignment.md); with the ridge of the
# fit itself those stated were 0.6 of the true ones at the low dose.
_LOOSER = 16.0
_MOST_NOISE = 0.8
# Error of a shift beside noise, in pixels of the last reduced images: what is left at the high dose. Of a slab it is
# larger: its density leaves the images at the borders, and its thickness is not known.
_MODEL_PX, _SLAB_MODEL_PX = 0.01, 0.017
_NOISE_SAMPLES = 4
# Parabolas of the last step beyond the first: each turns by up to 1.5 steps.
_MORE_TURNS = 4
_NOISE_SEED = 20261127
_SMOOTH_TILTS = 2.0
_OUTLIER_SIGMAS = 6.0
_LEAST_KEPT = 5
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


def _costs(model: Model, solution: Solution) -> tuple[Float64, float]:
    """Misfit of each image, and what the ridge adds to their sum."""
    r = solution.residual
    ridge = model.ridge * len(model.images) * dot(solution.density, solution.density)
    return np.einsum("nij,nij->n", r, model.compared(r), dtype=np.float64), ridge


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
    sigma: the angle at which the cost over the noise variance has risen by one, or what the images' own slopes at the
    minimum tell if that is more (errors that an image has of its own and that are no white noise, as grains that
    flicker: P. J. Huber, Proc. 5th Berkeley Symp. 1 (1967) 221), with the model's own error. Where no minimum was
    held it is infinite.
    """
    limited = replace(model, weights=_round_window(model))
    found = _Turn(pose=pose, move=90.0, noisy=float("inf"))
    for step in steps_deg:
        if step == steps_deg[0] and abs(found.move) < step / 2:
            continue  # the minimum lies well inside: go on to the finer step
        found = _turned(limited, found.pose, step, iterations, free)
    for _ in range(_MORE_TURNS):
        if abs(found.move) <= step:
            break
        found = _turned(limited, found.pose, step, iterations, free)
    noisy = found.noisy if abs(found.move) <= step else float("inf")
    return AxisFit(pose=found.pose, sigma_deg=float(np.hypot(noisy, _AXIS_MODEL_DEG)))


@dataclass(frozen=True, kw_only=True)
class _Turn:
    """A pose with the axis turned by ``move`` [deg] to the minimum of a parabola, and the angle's noise [deg]."""

    pose: Pose
    move: float
    noisy: float


def _turned(
    model: Model, pose: Pose, step: float, iterations: int, free: Mapping[str, Float64]
) -> _Turn:
    """Turn the axis to the minimum of the parabola through three angles ``step`` [deg] apart, or towards it."""
    parts, costs, poses, solutions = [], [], [], []
    for turn in (-step, 0.0, step):
        start = replace(pose, tilt_axis_deg=pose.tilt_axis_deg + turn)
        found, solution = refine(model, start, rounds=1, iterations=iterations, free=free)
        part, ridge = _costs(model, solution)
        parts.append(part)
        costs.append(float(part.sum()) + ridge)
        poses.append(found)
        solutions.append(solution)
    bend = costs[0] - 2 * costs[1] + costs[2]
    best = int(np.argmin(costs))
    move = 0.5 * (costs[0] - costs[2]) / bend if bend > 0 else 1.5 * (best - 1)
    move = step * float(np.clip(move, -1.5, 1.5))
    share = model.intensities.share() if model.intensities else 1.0
    pixels = max(1.0, share * float(model.weights.sum()) / model.softness**2)
    noisy = float("inf")
    if bend > 0:
        slopes = (parts[2] - parts[0]) / 2 + (parts[0] - 2 * parts[1] + parts[2]) * move / step
        own = float(np.linalg.norm(slopes - slopes.mean())) / bend
        noisy = step * max(float(np.sqrt(2 * parts[best].sum() / pixels / bend)), own)
    return _Turn(
        pose=replace(poses[best], tilt_axis_deg=pose.tilt_axis_deg + move), move=move, noisy=noisy
    )


def without_gauge(shifts: Float64, angles_deg: Float64, axis_deg: float) -> Float64:
    """Return shifts (n, 2) as (v, u), less what moving the specimen does: a cos + b sin across, constant along."""
    vu = across_along(shifts, axis_deg)
    t = np.deg2rad(angles_deg)
    basis = np.c_[np.cos(t), np.sin(t)]
    vu[:, 1] -= basis @ np.linalg.lstsq(basis, vu[:, 1], rcond=None)[0]
    vu[:, 0] -= vu[:, 0].mean()
    return vu


def shift_errors(
    model: Model,
    pose: Pose,
    solution: Solution,
    free: Mapping[str, Float64],
    iterations: int,
    *,
    isolated: bool,
) -> Float64:
    """Standard deviations (n, 2) of the (row, column) shifts [px]: what noise like that of the images does to them.

    The solved density's projections get new noise, in the images' own pass band, and the shifts are solved for
    with the density free, held loosely (a ridge that shrinks the density hides errors that it makes). The variance
    of the noise grows with the signal as the residuals' does; its size is the one at which it leaves a residual as
    large as the images do, so that what the fit absorbs counts too. Noise in the density looks like slopes to
    follow but tells nothing: sigma grows by the share that it has in them.
    """
    loose = replace(model, ridge=model.ridge / _LOOSER)
    base = solve(loose, pose, solution.density, iterations)
    predicted = model.images - base.residual
    spread = np.sqrt(_noise_variance(predicted, base.residual))
    rng = np.random.default_rng(_NOISE_SEED)
    moves, densities, left = [], [], 0.0
    for _ in range(_NOISE_SAMPLES):
        noise = rng.standard_normal(predicted.shape, np.float32) * spread
        soft = reduce_images(noise, 1, model.threads, model.cancel, softness=model.softness)
        noisy = replace(loose, images=predicted + soft)
        found = solve(noisy, pose, base.density, iterations, free)
        moves.append(without_gauge(found.moves[:, :2], model.angles_deg, pose.tilt_axis_deg))
        densities.append(found.density)
        left += dot(found.residual, found.residual) / _NOISE_SAMPLES
    size = dot(base.residual, base.residual) / max(left, 1e-30)
    middle = np.mean(densities, axis=0)
    noisy_slopes = np.mean([slope_power(model, pose, x - middle) for x in densities], axis=0)
    noisy_slopes *= size * _NOISE_SAMPLES / (_NOISE_SAMPLES - 1)
    share = noisy_slopes / np.maximum(slope_power(model, pose, base.density), 1e-30)
    grown = 1 / (1 - np.minimum(share, _MOST_NOISE)) ** 2
    variance = np.var(moves, axis=0, ddof=1) * size * grown
    near = np.arange(len(variance))[:, None] - np.arange(len(variance))
    window = np.exp(-0.5 * (near / _SMOOTH_TILTS) ** 2)
    variance = window @ variance / window.sum(axis=1, keepdims=True)
    variance += (_MODEL_PX if isolated else _SLAB_MODEL_PX) ** 2
    turn = frame(pose.tilt_axis_deg)
    return np.asarray(np.sqrt(variance @ (turn**2).T))


def _noise_variance(predicted: Float32, residual: Float32) -> Float32:
    """Variance of each pixel: a constant and a part in proportion to the signal, fitted to the residuals."""
    p = np.maximum(predicted, 0).astype(np.float64).ravel()
    r2 = np.square(residual, dtype=np.float64).ravel()
    mean, spread = p.mean(), p.var()
    slope = max(0.0, float(((p - mean) * r2).mean()) / spread) if spread > 0 else 0.0
    floor = max(float(r2.mean()) - slope * mean, 0.05 * float(r2.mean()))
    return np.asarray(floor + slope * np.maximum(predicted, 0), np.float32)


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
