# SPDX-License-Identifier: BSD-3-Clause
"""``align_tilt_series``: from a raw tilt series to its geometry, without beads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_angles
from ..datamodel import Alignment, TiltSeries
from ..errors import Cancelled, InputError
from .axis import moved_along, nearest_turn, search_isolated, search_slab
from .coarse import across_along, correlate_outward, frame
from .images import reduce_images, resample_images
from .joint import Model, Pose, Solution, refine
from .quality import fit_axis, hold_out, outliers, relative_residuals, shift_errors
from .settings import AlignSettings
from .specimen import Prepared, prepare

__all__ = ["align_tilt_series"]

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

# Edge of the smallest reduced images: most of what isolated specimens tell about their shifts is there
# (design/004-alignment.md), and a round of refinement takes a second.
_FINE_EDGE = 64
_ITERATIONS = 30
_AXIS_ITERATIONS = 20
# Cut-off of the images to fit, as a fraction of Nyquist: 1 / 2.5. With more, interpolation between rotated lattices
# pulled the axis towards the lattice: -0.7 deg at 30 deg with 1, -0.3 with 1.5, -0.07 with 2.5 (a simulated needle).
_SOFTNESS = 2.5
_RIDGE = 0.01
_SLAB_THICKNESS = 0.15
_SUPPORT_MARGIN = 1.15
_LEAST_EDGE = 16
_LEAST_TILTS = 5
_LEAST_RANGE_DEG = 5.0
_LEAST_CONTRAST = 0.05
# Angles are compared on every second image of a long series: half the time, and 30 images tell enough.
_MANY_TILTS = 48


@dataclass(frozen=True, kw_only=True)
class _Job:
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


def align_tilt_series(
    series: TiltSeries | npt.ArrayLike,
    angles_deg: npt.ArrayLike | None = None,
    *,
    settings: AlignSettings | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Alignment:
    """Align a tilt series without beads: shift of each image, direction of the tilt axis, with their errors.

    Parameters
    ----------
    series : TiltSeries or (n_tilts, ny, nx) array_like of real numbers
        Raw images, read one chunk at a time; NaN is a missing pixel. Never written to.
    angles_deg : (n_tilts,) array_like, optional [deg]
        Stage tilt of each image, in any order; needed with an array, replaces those of a series.
    settings : AlignSettings, optional
    threads : int, default 0
        0 uses all processors of this process; the result has the same bits for any number.
    cancel : CancelToken, optional
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    Alignment
        Of all images; those that do not fit are in ``flags``. The specimen is in the middle of the volume across
        the axis and in depth (``axis_offset_px`` is 0); ``method`` says what was decided and why.

    Raises
    ------
    InputError
        No angles, too few usable images, a wrong shape or number, by name.
    Cancelled
        ``cancel`` was set.

    Notes
    -----
    1. Hot pixels out, vacuum level off, images reduced; the specimen's kind from its border and from the growth
       of its mass with tilt. 2. Isolated: shifts along the axis by common lines, across by the centre of mass,
       axis by the misfit of low-resolution reconstructions over half a turn. Slab: correlation outward from the
       lowest tilt with cosine stretch, axis where that correlates best. 3. Density and shifts together, coarse
       to fine (:mod:`cryolith.align.joint`). design/004-alignment.md has the reasons and the measured errors.

    References
    ----------
    Common lines and moments: S. Helgason, The Radon Transform (1980), ch. 1, sec. 2. Variable projection:
    G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413.
    """
    settings = settings or AlignSettings()
    series = _as_series(series, angles_deg)
    flags = _excluded(settings, len(series))
    job = _job(series, settings, flags, threads, cancel, progress)
    job.tell(0.0)
    height, width = series.images.shape[1:]
    fine = settings.binning or max(1, round(max(height, width) / _FINE_EDGE))
    fine = min(fine, max(1, min(height, width) // _LEAST_EDGE))
    ready = prepare(
        _Chosen(series.images, job.keep), job.angles_deg, max(1, fine // 2), settings.specimen, threads, cancel
    )
    job, ready = _without_blanks(job, ready, flags)
    job.tell(0.1)
    pose, notes = _start(job, ready)
    job.tell(0.3)
    fit = _refined(job, ready, pose, fine)
    job.tell(0.95)
    alignment = _described(job, ready, fit, series, flags, [*notes, *fit.notes])
    job.tell(1.0)
    return alignment


def _job(
    series: TiltSeries,
    settings: AlignSettings,
    flags: dict[int, str],
    threads: int,
    cancel: _core.CancelToken | None,
    progress: Callable[[float], None] | None,
) -> _Job:
    """The images to use, in the order of their tilts."""
    keep = np.setdiff1d(np.arange(len(series)), list(flags))
    keep = keep[np.argsort(series.angles_deg[keep], kind="stable")]
    angles = series.angles_deg[keep]
    if min(series.images.shape[1:]) < _LEAST_EDGE:
        raise InputError(
            f"images: found {series.images.shape[1:]} pixels, expected at least {_LEAST_EDGE} along each edge"
        )
    if len(keep) < _LEAST_TILTS:
        raise InputError(
            f"images: found {len(keep)} tilts to use, expected at least {_LEAST_TILTS}; check exclude"
        )
    if np.ptp(angles) < _LEAST_RANGE_DEG:
        raise InputError(
            f"angles_deg: found a range of {np.ptp(angles):g} deg, expected at least {_LEAST_RANGE_DEG:g}; "
            "for images of one view use register_stack"
        )
    return _Job(
        keep=keep,
        angles_deg=angles,
        nominal=series.tilt_axis_deg,
        settings=settings,
        threads=threads,
        cancel=cancel,
        progress=progress,
    )


def _without_blanks(job: _Job, ready: Prepared, flags: dict[int, str]) -> tuple[_Job, Prepared]:
    """Leave out images without contrast: nothing can be said about their shifts."""
    usual = float(np.median(ready.contrast))
    blank = ready.contrast <= _LEAST_CONTRAST * usual
    if usual == 0 or (~blank).sum() < _LEAST_TILTS:
        raise InputError(
            f"images: found {int((~blank).sum()) if usual else 0} images with contrast, expected at least "
            f"{_LEAST_TILTS}; look at the series"
        )
    for i in np.flatnonzero(blank):
        flags[int(job.keep[i])] = (
            f"blank: contrast (standard deviation) {ready.contrast[i]:.3g} against {usual:.3g} of the other tilts"
        )
    chosen = ready.replaced, ready.contrast
    kept = replace(ready, images=ready.images[~blank], replaced=chosen[0][~blank], contrast=chosen[1][~blank])
    return replace(job, keep=job.keep[~blank], angles_deg=job.angles_deg[~blank]), kept


@dataclass(frozen=True, kw_only=True)
class _Fit:
    """What the refinement found, in pixels of the last reduced images."""

    pose: Pose
    model: Model
    solution: Solution
    binning: int
    sigma_axis_deg: float
    sigma_shifts_px: Float64
    holdout: float
    notes: tuple[str, ...]


def _refined(job: _Job, ready: Prepared, pose: Pose, fine: int) -> _Fit:
    """Axis and shifts at twice the binning, then shifts at the last one; pose in and out in raw pixels."""
    s = job.settings
    coarse = 2 * fine if min(ready.images.shape[1:]) * ready.binning >= 32 * fine else fine
    coarse_images = _reduced(ready, coarse, job)
    scaled = replace(pose, shifts_px=pose.shifts_px / coarse)
    model = _model(job, ready, coarse_images, scaled)
    scaled, first = refine(model, scaled, rounds=min(2, s.iterations), iterations=_ITERATIONS, axis=False)
    notes = []
    if ready.isolated:
        gains = _gains(coarse_images, first)
        ready = replace(ready, images=ready.images / gains[:, None, None])
        coarse_images = _reduced(ready, coarse, job)
        model = replace(model, images=coarse_images)
        notes.append(f"intensity: images scaled to the reconstruction (sd {gains.std():.2%})")
    job.tell(0.4)
    sigma_axis = float("nan")
    if s.refine_axis and s.iterations:
        part = slice(None, None, 2 if len(job.keep) >= _MANY_TILTS else 1)
        fit = fit_axis(model.subset(part), scaled.subset(part), _AXIS_ITERATIONS)
        scaled = replace(scaled, tilt_axis_deg=fit.pose.tilt_axis_deg)
        sigma_axis = fit.sigma_deg
        notes.append("axis angle: least misfit of the reconstruction, shifts free at each angle")
    job.tell(0.6)
    scaled, _ = refine(model, scaled, rounds=s.iterations, iterations=_ITERATIONS, axis=False)
    model = _model(job, ready, coarse_images, scaled)
    sigma = shift_errors(model, scaled, _AXIS_ITERATIONS) * coarse
    job.tell(0.7)
    scaled = replace(scaled, shifts_px=scaled.shifts_px * coarse / fine)
    model = _model(job, ready, _reduced(ready, fine, job), scaled)
    scaled, solution = refine(model, scaled, rounds=min(2, s.iterations), iterations=_ITERATIONS, axis=False)
    job.tell(0.9)
    return _Fit(
        pose=replace(scaled, shifts_px=scaled.shifts_px * fine),
        model=model,
        solution=solution,
        binning=fine,
        sigma_axis_deg=sigma_axis,
        sigma_shifts_px=sigma,
        holdout=hold_out(model, scaled, _ITERATIONS),
        notes=tuple(notes),
    )


def _gains(images: Float32, solution: Solution) -> npt.NDArray[np.float32]:
    """Intensity of each image against the reconstruction's projection, with mean 1."""
    predicted = images - solution.residual
    top = np.einsum("nij,nij->n", predicted, images, dtype=np.float64)
    bottom = np.einsum("nij,nij->n", predicted, predicted, dtype=np.float64)
    gains = np.clip(top / np.maximum(bottom, 1e-30), 0.25, 4.0)
    return (gains / gains.mean()).astype(np.float32)


def _described(
    job: _Job,
    ready: Prepared,
    fit: _Fit,
    series: TiltSeries,
    flags: dict[int, str],
    notes: list[str],
) -> Alignment:
    """The result for all images of the series, those left out included, with the gauge fixed."""
    n, keep = len(series), job.keep
    pose = _centred_gauge(job, ready, fit)
    residuals = relative_residuals(fit.model.images, fit.solution.residual)
    for i in np.flatnonzero(outliers(residuals)):
        flags[int(keep[i])] = (
            f"residual {residuals[i]:.3g} against {np.median(residuals):.3g} of the other tilts: does not fit"
        )
    beyond = np.abs(pose.shifts_px) > np.array(series.images.shape[1:]) / 2
    for i in np.flatnonzero(beyond.any(axis=1)):
        flags.setdefault(int(keep[i]), "the specimen's centre is outside the image")

    def spread(values: Float64) -> Float64:
        out = np.full((n, *values.shape[1:]), np.nan)
        out[keep] = values
        return out

    shifts = spread(pose.shifts_px)
    for k in range(2):
        lost = np.isnan(shifts[:, k])
        shifts[lost, k] = np.interp(series.angles_deg[lost], job.angles_deg, pose.shifts_px[:, k])
    return Alignment(
        angles_deg=series.angles_deg.copy(),
        tilt_axis_deg=pose.tilt_axis_deg,
        sigma_tilt_axis_deg=fit.sigma_axis_deg,
        axis_offset_px=0.0,
        sigma_axis_offset_px=float(np.sqrt((fit.sigma_shifts_px**2).sum(axis=1).mean() / max(1, len(keep) - 3))),
        shifts_px=shifts,
        sigma_shifts_px=spread(fit.sigma_shifts_px),
        rotations_deg=np.zeros(n),
        sigma_rotations_deg=np.zeros(n),
        residuals=spread(residuals),
        flags=dict(sorted(flags.items())),
        holdout_residual=fit.holdout,
        method=tuple(notes),
        source=series.source,
    )


def _centred_gauge(job: _Job, ready: Prepared, fit: _Fit) -> Pose:
    """Put the specimen in the middle of the volume: its centre of mass across the axis and in depth.

    Along the axis an isolated specimen that ends inside the images is centred too; any other keeps the median
    shift at zero, so that the volume shows what the images show.
    """
    density = np.maximum(fit.solution.density, 0).astype(np.float64)
    nz, ny, nx = density.shape
    mass = density.sum(axis=(0, 2))
    whole = ready.isolated and max(mass[: ny // 8].max(), mass[-(ny // 8) :].max()) < 0.1 * mass.max()
    total = max(float(mass.sum()), 1e-30)
    z0 = float((density.sum(axis=(1, 2)) * (np.arange(nz) - (nz - 1) / 2)).sum() / total) * fit.binning
    x0 = float((density.sum(axis=(0, 1)) * (np.arange(nx) - (nx - 1) / 2)).sum() / total) * fit.binning
    vu = across_along(fit.pose.shifts_px, fit.pose.tilt_axis_deg)
    t = np.deg2rad(job.angles_deg)
    if not ready.isolated:
        x0 = -float(vu[np.argmin(np.abs(t)), 1])
    y0 = -float(np.median(vu[:, 0]))
    if whole:
        y0 = float((mass * (np.arange(ny) - (ny - 1) / 2)).sum() / total) * fit.binning
    vu += np.c_[np.full(len(t), y0), x0 * np.cos(t) + z0 * np.sin(t)]
    return replace(fit.pose, shifts_px=vu @ frame(fit.pose.tilt_axis_deg).T)


class _Chosen:
    """The images to use of a series, read only where they are looked at."""

    def __init__(self, images: npt.NDArray[Any], keep: npt.NDArray[np.int64]) -> None:
        self.images, self.keep = images, keep
        self.shape = (len(keep), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        return np.stack([np.asarray(self.images[int(i)], np.float32) for i in self.keep[part]])


def _as_series(series: TiltSeries | npt.ArrayLike, angles_deg: npt.ArrayLike | None) -> TiltSeries:
    if isinstance(series, TiltSeries):
        given = series.angles_deg if angles_deg is None else angles_deg
        return replace(series, angles_deg=as_angles(given, "angles_deg", len(series)))
    images = np.asarray(series)
    if images.ndim != 3 or images.dtype.kind not in "biuf" or 0 in images.shape:
        raise InputError(f"series: found {images.dtype} {images.shape}, expected real (n_tilts, ny, nx)")
    if angles_deg is None:
        raise InputError("angles_deg: found None, expected a tilt in degrees for each image of the array")
    return TiltSeries(images=images, angles_deg=as_angles(angles_deg, "angles_deg", len(images)))


def _excluded(settings: AlignSettings, n: int) -> dict[int, str]:
    beyond = [i for i in settings.exclude if i >= n]
    if beyond:
        raise InputError(f"exclude: found image {beyond[0]}, expected 0 to {n - 1}")
    return {i: "excluded by the settings" for i in settings.exclude}


def _reduced(ready: Prepared, binning: int, job: _Job) -> Float32:
    factor = max(1, round(binning / ready.binning))
    return reduce_images(ready.images, factor, job.threads, job.cancel, softness=_SOFTNESS)


def _start(job: _Job, ready: Prepared) -> tuple[Pose, list[str]]:
    """Shifts by correlation and the direction of the axis, in raw pixels."""
    settings, cancel, threads = job.settings, job.cancel, job.threads
    binning = ready.binning
    edge = max(ready.images.shape[1:])
    reach = (settings.max_shift or 0.5 * edge * binning) / binning
    notes = list(ready.notes)
    given = settings.tilt_axis
    coarser = max(1, round(edge / 32))
    tiny = reduce_images(ready.images, coarser, threads, cancel)
    if ready.isolated:
        shifts, peaks = correlate_outward(ready.images, job.angles_deg, None, reach, threads, cancel)
        notes.append("cosine stretch: none (an isolated specimen does not scale with tilt)")
        axis, at, how = search_isolated(tiny, job.angles_deg, shifts / coarser, given, threads, cancel)
        shifts = at * coarser
    else:
        axis, _, _, how = search_slab(tiny, job.angles_deg, given, reach / coarser, threads, cancel)
        shifts, peaks = correlate_outward(ready.images, job.angles_deg, axis, reach, threads, cancel)
        notes.append("cosine stretch: yes (a slab shrinks with the cosine of the tilt)")
    notes.append(how)
    if given is not None:
        notes.append("axis direction: as given")
    elif job.nominal is not None:
        axis = nearest_turn(axis, job.nominal)
        notes.append(f"axis direction: the half turn nearest to the nominal {job.nominal:g} deg")
    else:
        axis = nearest_turn(axis, 0.0)
        notes.append("axis direction: not known; taken from -90 to 90 deg, the volume may be mirrored")
    return Pose(shifts_px=shifts * binning, tilt_axis_deg=axis, rotations_deg=np.zeros(len(shifts))), notes


def _model(job: _Job, ready: Prepared, images: Float32, pose: Pose) -> Model:
    """The volume and its support for reduced images and a pose in their pixels."""
    n, height, width = images.shape
    psi = np.deg2rad(pose.tilt_axis_deg)
    c, s = abs(np.cos(psi)), abs(np.sin(psi))
    along, across = width * s + height * c, width * c + height * s
    ny = int(np.ceil(along + moved_along(pose.shifts_px, pose.tilt_axis_deg))) + 4
    if ready.isolated:
        diameter = min(_extent(images, pose, job.threads), across)
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


def _extent(images: Float32, pose: Pose, threads: int) -> float:
    """Diameter [px] of the cylinder about the axis that holds an isolated specimen."""
    size = 2 * max(images.shape[1:])
    turned = resample_images(images, frame(pose.tilt_axis_deg), pose.shifts_px, (size, size), 0.0, threads)
    profile = turned.sum(axis=1, dtype=np.float64)
    bright = profile > 0.05 * profile.max(axis=1, keepdims=True)
    u = np.abs(np.arange(size) - (size - 1) / 2)
    reach = np.where(bright, u, 0).max(axis=1)
    return float(2 * _SUPPORT_MARGIN * np.percentile(reach, 90) + 4)
