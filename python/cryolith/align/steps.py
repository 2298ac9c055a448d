# SPDX-License-Identifier: BSD-3-Clause
"""The steps of ``align_tilt_series``: a first pose, its refinement from coarse to fine, and the gauge."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import Cancelled
from .axis import moved_along, nearest_turn, search_isolated, search_slab
from .coarse import across_along, correlate_outward, frame
from .images import reduce_images, resample_images
from .joint import Model, Pose, Solution, dot, refine, solve
from .quality import fit_axis, hold_out, misfits, relative_residuals, shift_errors
from .settings import AlignSettings
from .specimen import Prepared

__all__ = [
    "Fit",
    "Job",
    "centred_gauge",
    "coarse_misfits",
    "extent",
    "first_pose",
    "refined",
    "with_ridge",
]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_ITERATIONS = 30
_AXIS_ITERATIONS = 20
# Cut-off of the images to fit, as a fraction of Nyquist: 1 / 2.5. With more, interpolation between rotated lattices
# pulled the axis towards the lattice: -0.7 deg at 30 deg with 1, -0.3 with 1.5, -0.07 with 2.5 (a simulated needle).
_SOFTNESS = 2.5
# The last images are twice as fine as what they show: then interpolation does not pull the axis, and all that the
# coarser images could not show of a needle's grains counts (0.1 instead of 0.46 px along the axis).
_LAST_SOFTNESS = 2.0
_COARSE_TURNS_DEG = (3.0, 3.0, 1.5)
_FINE_TURNS_DEG = (0.8,)
# A drift along the axis of a slab keeps 0.85 of its error in a round; rounds on the coarsest images are cheap.
_SLAB_ROUNDS = 4
_TINY_EDGE, _SMALL_EDGE = 16, 64
_RIDGE = 0.01
_RIDGE_RANGE = (0.003, 1.0)
_SLAB_THICKNESS = 0.15
_SUPPORT_MARGIN = 1.15
# Angles are compared on every second image of a long series: half the time, and 30 images tell enough.
_MANY_TILTS = 48


@dataclass(frozen=True, kw_only=True)
class Job:
    """Images at hand (those not excluded), and how to run."""

    keep: npt.NDArray[np.int64]
    angles_deg: Float64
    nominal: float | None
    settings: AlignSettings
    threads: int
    cancel: _core.CancelToken | None
    progress: Callable[[float], None] | None

    def tell(self, fraction: float) -> None:
        if self.cancel is not None and self.cancel.cancelled:
            raise Cancelled("cancelled by the caller")
        if self.progress is not None:
            self.progress(fraction)


def first_pose(job: Job, ready: Prepared) -> tuple[Pose, list[str]]:
    """Shifts by correlation and the direction of the axis, in raw pixels."""
    settings, cancel, threads = job.settings, job.cancel, job.threads
    binning = ready.binning
    edge = max(ready.images.shape[1:])
    reach = (settings.max_shift or 0.5 * edge * binning) / binning
    notes = list(ready.notes)
    given = settings.tilt_axis
    coarser = max(1, round(edge / 32))
    tiny = reduce_images(ready.images, coarser, threads, cancel, softness=_SOFTNESS)
    if ready.isolated:
        shifts, _ = correlate_outward(ready.images, job.angles_deg, None, reach, threads, cancel)
        notes.append("cosine stretch: none (an isolated specimen does not scale with tilt)")
        axis, at, how = search_isolated(
            tiny, job.angles_deg, shifts / coarser, given, threads, cancel
        )
        shifts = at * coarser
    else:
        axis, _, _, how = search_slab(tiny, job.angles_deg, given, reach / coarser, threads, cancel)
        shifts, _ = correlate_outward(ready.images, job.angles_deg, axis, reach, threads, cancel)
        notes.append("cosine stretch: yes (a slab shrinks with the cosine of the tilt)")
    notes.append(how)
    if given is not None:
        notes.append("axis direction: as given")
    elif job.nominal is not None:
        axis = nearest_turn(axis, job.nominal)
        notes.append(f"axis direction: the half turn nearest to the nominal {job.nominal:g} deg")
    else:
        axis = nearest_turn(axis, 0.0)
        notes.append(
            "axis direction: not known; taken from -90 to 90 deg, the volume may be mirrored"
        )
    return Pose(
        shifts_px=shifts * binning, tilt_axis_deg=axis, rotations_deg=np.zeros(len(shifts))
    ), notes


@dataclass(frozen=True, kw_only=True)
class Fit:
    """What the refinement found: the pose in raw pixels, the rest in those of the last reduced images."""

    pose: Pose
    model: Model
    solution: Solution
    binning: int
    sigma_axis_deg: float
    sigma_shifts_px: Float64
    holdout: float
    notes: tuple[str, ...]


def _ladder(edge: int, finest: int, isolated: bool) -> list[int]:
    """Binnings to refine at, coarse to fine; what a slab shows is small, nothing is left of it on tiny images."""
    least = _TINY_EDGE if isolated else _SMALL_EDGE
    return [b for b in (4 * finest, 2 * finest) if edge // b >= least] + [finest]


def refined(job: Job, ready: Prepared, pose: Pose, finest: int) -> Fit:
    """Axis and shifts from coarse to fine; pose in and out in raw pixels."""
    s = job.settings
    ladder = _ladder(min(ready.images.shape[1:]) * ready.binning, finest, ready.isolated)
    notes: list[str] = []
    sigma_axis = float("nan")
    for level, binning in enumerate(ladder):
        first, last = level == 0, binning == finest
        scaled = replace(pose, shifts_px=pose.shifts_px / binning)
        model, solution = _level(job, ready, scaled, binning, last)
        scaled, solution = refine(
            model, scaled, rounds=min(2, s.iterations), iterations=_ITERATIONS, axis=False
        )
        if first and ready.isolated:
            gains = _gains(model.images, solution)
            ready = replace(ready, images=ready.images / gains[:, None, None])
            model = replace(model, images=model.images / gains[:, None, None])
            notes.append(f"intensity: images scaled to the reconstruction (sd {gains.std():.2%})")
        if s.refine_axis and s.iterations and (first or last):
            steps = (_COARSE_TURNS_DEG if first else ()) + (_FINE_TURNS_DEG if last else ())
            part = slice(None, None, 2 if first and len(job.keep) >= _MANY_TILTS else 1)
            fit = fit_axis(model.subset(part), scaled.subset(part), steps, _AXIS_ITERATIONS)
            scaled = replace(scaled, tilt_axis_deg=fit.pose.tilt_axis_deg)
            sigma_axis = fit.sigma_deg
        rounds = s.iterations * (_SLAB_ROUNDS if first and not ready.isolated else 1)
        scaled, solution = refine(model, scaled, rounds=rounds, iterations=_ITERATIONS, axis=False)
        pose = replace(scaled, shifts_px=scaled.shifts_px * binning)
        job.tell(0.3 + 0.5 * (level + 1) / len(ladder))
    if s.refine_axis and s.iterations:
        notes.append("axis angle: least misfit of the reconstruction, shifts free at each angle")
    sigma = shift_errors(model, scaled, solution, _ITERATIONS) * finest
    job.tell(0.9)
    holdout = hold_out(model, scaled, _ITERATIONS)
    if s.refine_rotation and s.iterations:
        scaled, solution, holdout, note = _turned(model, scaled, solution, holdout)
        notes.append(note)
    return Fit(
        pose=replace(scaled, shifts_px=scaled.shifts_px * finest),
        model=model,
        solution=solution,
        binning=finest,
        sigma_axis_deg=sigma_axis,
        sigma_shifts_px=sigma,
        holdout=holdout,
        notes=tuple(notes),
    )


def coarse_misfits(
    job: Job, ready: Prepared, pose: Pose, finest: int
) -> tuple[npt.NDArray[np.bool_], Float64]:
    """Return which tilts do not fit on the coarsest images, and the relative residual of each."""
    binning = _ladder(min(ready.images.shape[1:]) * ready.binning, finest, ready.isolated)[0]
    scaled = replace(pose, shifts_px=pose.shifts_px / binning)
    model, _ = _level(job, ready, scaled, binning, last=False)
    scaled, solution = refine(model, scaled, rounds=2, iterations=_ITERATIONS, axis=False)
    residuals = relative_residuals(model.images, solution.residual)
    return misfits(model, scaled, solution, _ITERATIONS), residuals


def _level(
    job: Job, ready: Prepared, pose: Pose, binning: int, last: bool
) -> tuple[Model, Solution]:
    """Reduced images, and a first density with the ridge that its noise asks for."""
    softness = (_LAST_SOFTNESS if last else _SOFTNESS) if ready.isolated else 1.0
    factor = max(1, round(binning / ready.binning))
    images = reduce_images(ready.images, factor, job.threads, job.cancel, softness=softness)
    model = replace(_model(job, ready, images, pose), softness=softness)
    return with_ridge(model, pose)


def _turned(
    model: Model, pose: Pose, solution: Solution, holdout: float
) -> tuple[Pose, Solution, float, str]:
    """Let each image turn in its plane; keep that only if held-out tilts are predicted better."""
    turned, found = refine(
        model, pose, rounds=2, iterations=_ITERATIONS, axis=False, rotations=True
    )
    score = hold_out(model, turned, _ITERATIONS)
    told = f"held-out residual {holdout:.4g} without, {score:.4g} with"
    if score < holdout:
        return turned, found, score, f"rotation of each image: kept ({told})"
    return pose, solution, holdout, f"rotation of each image: dropped ({told})"


def with_ridge(model: Model, pose: Pose) -> tuple[Model, Solution]:
    """Set the ridge to the variance of the noise over that of the density, from a first solution."""
    first = solve(model, pose, None, _AXIS_ITERATIONS)
    noise = dot(first.residual, first.residual) / first.residual.size
    voxels = float(model.support.sum()) * model.shape[1]
    signal = dot(first.density, first.density) / max(voxels, 1.0)
    ratio = noise / max(signal, 1e-30) / len(model.images)
    return replace(model, ridge=float(np.clip(ratio, *_RIDGE_RANGE))), first


def _gains(images: Float32, solution: Solution) -> npt.NDArray[np.float32]:
    """Intensity of each image against the reconstruction's projection, with mean 1."""
    predicted = images - solution.residual
    top = np.einsum("nij,nij->n", predicted, images, dtype=np.float64)
    bottom = np.einsum("nij,nij->n", predicted, predicted, dtype=np.float64)
    gains = np.clip(top / np.maximum(bottom, 1e-30), 0.25, 4.0)
    return np.asarray(gains / gains.mean(), np.float32)


def _model(job: Job, ready: Prepared, images: Float32, pose: Pose) -> Model:
    """The volume and its support for reduced images and a pose in their pixels."""
    n, height, width = images.shape
    psi = np.deg2rad(pose.tilt_axis_deg)
    c, s = abs(np.cos(psi)), abs(np.sin(psi))
    along, across = width * s + height * c, width * c + height * s
    ny = int(np.ceil(along + moved_along(pose.shifts_px, pose.tilt_axis_deg))) + 4
    if ready.isolated:
        diameter = min(extent(images, pose, job.threads), across)
        nz = nx = int(np.ceil(diameter)) + 2
        z, x = np.mgrid[:nz, :nx] - (nx - 1) / 2
        support = np.hypot(z, x) <= diameter / 2
    else:
        steepest = max(0.4, float(np.cos(np.deg2rad(np.abs(job.angles_deg).max()))))
        nz = max(4, int(np.ceil(_SLAB_THICKNESS * max(height, width))))
        nx = int(np.ceil((across + nz) / steepest))
        support = np.ones((nz, nx), bool)
    return Model(
        images=images,
        angles_deg=job.angles_deg,
        shape=(nz, ny, nx),
        support=support.astype(np.float32)[:, None],
        weights=np.ones((n, 1, 1), np.float32),
        ridge=_RIDGE,
        threads=job.threads,
        cancel=job.cancel,
    )


def extent(images: Float32, pose: Pose, threads: int) -> float:
    """Diameter [px] of the cylinder about the axis that holds an isolated specimen."""
    size = 2 * max(images.shape[1:])
    turned = resample_images(
        images, frame(pose.tilt_axis_deg), pose.shifts_px, (size, size), 0.0, threads
    )
    profile = turned.sum(axis=1, dtype=np.float64)
    bright = profile > 0.05 * profile.max(axis=1, keepdims=True)
    u = np.abs(np.arange(size) - (size - 1) / 2)
    reach = np.where(bright, u, 0).max(axis=1)
    return float(2 * _SUPPORT_MARGIN * np.percentile(reach, 90) + 4)


def centred_gauge(job: Job, ready: Prepared, fit: Fit) -> Pose:
    """Put the specimen in the middle of the volume: its centre of mass across the axis and in depth.

    Along the axis an isolated specimen that ends inside the images is centred too; any other keeps the median
    shift at zero, so that the volume shows what the images show.
    """
    density = np.maximum(fit.solution.density, 0).astype(np.float64)
    nz, ny, nx = density.shape
    mass = density.sum(axis=(0, 2))
    whole = (
        ready.isolated and max(mass[: ny // 8].max(), mass[-(ny // 8) :].max()) < 0.1 * mass.max()
    )
    total = max(float(mass.sum()), 1e-30)
    z0 = (
        float((density.sum(axis=(1, 2)) * (np.arange(nz) - (nz - 1) / 2)).sum() / total)
        * fit.binning
    )
    x0 = (
        float((density.sum(axis=(0, 1)) * (np.arange(nx) - (nx - 1) / 2)).sum() / total)
        * fit.binning
    )
    vu = across_along(fit.pose.shifts_px, fit.pose.tilt_axis_deg)
    t = np.deg2rad(job.angles_deg)
    if not ready.isolated:
        x0 = -float(vu[np.argmin(np.abs(t)), 1])
    y0 = -float(np.median(vu[:, 0]))
    if whole:
        y0 = float((mass * (np.arange(ny) - (ny - 1) / 2)).sum() / total) * fit.binning
    vu += np.c_[np.full(len(t), y0), x0 * np.cos(t) + z0 * np.sin(t)]
    return replace(fit.pose, shifts_px=vu @ frame(fit.pose.tilt_axis_deg).T)
