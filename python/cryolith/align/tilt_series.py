# SPDX-License-Identifier: BSD-3-Clause
"""``align_tilt_series``: from a raw tilt series to its geometry, on beads where there are some."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits

from .. import _core
from .._arrays import as_angles, let_go
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from .beads_pose import BeadPose, pose_on_beads
from .copies import (
    FINE_EDGE,
    AlignNeeds,
    align_needs,
    averaged_series,
    in_full_pixels,
    settings_of_copy,
)
from .images import CHUNK_BYTES
from .joint import Pose
from .levelling import levelled, turned
from .lie import Lie, rough_lie
from .local import localised
from .quality import relative_residuals, unfitting
from .refinement import Fit, centred_gauge, coarse_misfits, judged, refined
from .settings import AlignSettings
from .specimen import Prepared, prepare
from .steps import Job, first_pose

__all__ = ["align_tilt_series"]

Float64 = npt.NDArray[np.float64]

_LEAST_EDGE = 16
_LEAST_TILTS = 5
_MISFIT_ROUNDS = 4
_LEAST_RANGE_DEG = 5.0
_LEAST_CONTRAST = 0.05


def align_tilt_series(
    series: TiltSeries | npt.ArrayLike,
    angles_deg: npt.ArrayLike | None = None,
    *,
    settings: AlignSettings | None = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Alignment:
    """Align a tilt series: shift of each image, direction of the tilt axis, with their errors.

    Parameters
    ----------
    series : TiltSeries or (n_tilts, ny, nx) array_like of real numbers
        Raw images, read one chunk at a time; NaN is a missing pixel. Never written to.
    angles_deg : (n_tilts,) array_like, optional [deg]
        Stage tilt of each image, in any order; needed with an array, replaces those of a series.
    settings : AlignSettings, optional
    max_memory : int, optional [bytes]
        First fewer images are read at a time, with the same result; where that is not enough the series is aligned on a
        copy of averaged pixels, which ``method`` then says (:func:`align_needs`).
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
       to fine (:mod:`cryolith.align.joint`), with magnifications and rotations of the images where held-out tilts
       gain from them. 4. Local shifts where patches ask for them (:mod:`cryolith.align.local`). Where enough beads
       are found, 2 to 4 are a bundle adjustment on them (:mod:`cryolith.align.beads_series`).
       design/004-alignment.md, 013-joint-alignment.md, 015 and 017 have the reasons and the measured errors.

    References
    ----------
    Common lines and moments: S. Helgason, The Radon Transform (1980), ch. 1, sec. 2. Variable projection:
    G. H. Golub and V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413.
    """
    settings = settings or AlignSettings()
    series = _as_series(series, angles_deg)
    n, height, width = series.images.shape
    needs = align_needs((n, height, width), settings, max_memory)
    # BLAS sums in another order on another number of threads; the time it takes is too short to be measured.
    with threadpool_limits(1, user_api="blas"):
        if needs.binned == 1:
            return _aligned(series, settings, needs, threads, cancel, progress)
        copy = averaged_series(series, needs.binned, threads, cancel)
        smaller = settings_of_copy(settings, needs.binned)
        found = _aligned(copy, smaller, needs, threads, cancel, progress)
        return in_full_pixels(found, needs.binned, series)


def _aligned(
    series: TiltSeries,
    settings: AlignSettings,
    needs: AlignNeeds,
    threads: int,
    cancel: _core.CancelToken | None,
    progress: Callable[[float], None] | None,
) -> Alignment:
    """Do :func:`align_tilt_series` on images that are read as they are."""
    flags = _excluded(settings, len(series))
    job = _job(series, settings, flags, threads, cancel, progress)
    job.tell(0.0)
    height, width = series.images.shape[1:]
    fine = settings.binning or max(1, round(max(height, width) / FINE_EDGE))
    fine = min(fine, max(1, min(height, width) // _LEAST_EDGE))
    ready = prepare(
        _Chosen(series.images, job.keep, needs.chunk_bytes < CHUNK_BYTES),
        job.angles_deg,
        fine,
        settings.specimen,
        threads,
        cancel,
        needs.chunk_bytes,
    )
    job, ready = _without_blanks(job, ready, flags)
    job.tell(0.1)
    beads, why = pose_on_beads(job, series)
    if beads is not None:
        alignment = _on_beads(job, ready, beads, fine, series, flags, why)
    else:
        job, ready, pose, notes = _begun(job, ready, fine, flags)
        lie, pose = _lie(job, ready, pose, fine)
        job, series = lie.laid(job), _laid(series, lie)
        job.tell(0.3)
        fit = localised(job, ready, refined(job, ready, pose, fine))
        job.tell(0.97)
        alignment = _described(job, ready, fit, series, flags, [*notes, *fit.notes, *why])
        alignment = _level(job, ready, alignment, lie)
    job.tell(1.0)
    return alignment


def _on_beads(
    job: Job,
    ready: Prepared,
    beads: BeadPose,
    fine: int,
    series: TiltSeries,
    flags: dict[int, str],
    notes: list[str],
) -> Alignment:
    """The result of the beads' pose as it is, with the scores that a pose without beads has."""
    for i in np.flatnonzero(~beads.shown):
        flags[int(job.keep[i])] = "fewer than two beads were found in it"
    job, ready = _chosen(job, ready, beads.shown)
    lie, _ = _lie(job, ready, beads.pose, fine)
    job, series, beads = lie.laid(job), _laid(series, lie), beads.laid(lie)
    fit = judged(job, ready, beads.pose, fine, beads.covariance)
    described = _described(job, ready, fit, series, flags, [*ready.notes, *notes])
    return _level(job, ready, beads.completed(described), lie)


def _lie(job: Job, ready: Prepared, pose: Pose, fine: int) -> tuple[Lie, Pose]:
    """How a slab lies in the holder, roughly, and the pose with the axis that goes with it."""
    if ready.isolated or not job.settings.iterations:
        return Lie(), pose
    return rough_lie(job, ready, pose, fine)


def _laid(series: TiltSeries, lie: Lie) -> TiltSeries:
    return replace(series, angles_deg=series.angles_deg + lie.tilt_offset_deg)


def _level(job: Job, ready: Prepared, alignment: Alignment, lie: Lie) -> Alignment:
    """Lay a slab level, or leave every specimen as it lies in the holder."""
    if ready.isolated or job.settings.level == "no":
        return turned(alignment, Lie(-lie.tilt_offset_deg), 0.0)
    return levelled(job, ready, alignment, lie)


def _job(
    series: TiltSeries,
    settings: AlignSettings,
    flags: dict[int, str],
    threads: int,
    cancel: _core.CancelToken | None,
    progress: Callable[[float], None] | None,
) -> Job:
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
    return Job(
        keep=keep,
        angles_deg=angles,
        nominal=series.tilt_axis_deg,
        settings=settings,
        threads=threads,
        cancel=cancel,
        progress=progress,
    )


def _without_blanks(job: Job, ready: Prepared, flags: dict[int, str]) -> tuple[Job, Prepared]:
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
    return _chosen(job, ready, ~blank)


def _begun(
    job: Job, ready: Prepared, finest: int, flags: dict[int, str]
) -> tuple[Job, Prepared, Pose, list[str]]:
    """Find a first pose, without tilts that do not fit the others, before they spoil the alignment of those.

    Such a tilt spoils the search of the axis too: it is made anew without it.
    """
    pose, notes = first_pose(job, ready)
    for _ in range(_MISFIT_ROUNDS if job.settings.iterations else 0):
        bad, residuals = coarse_misfits(job, ready, pose, finest)
        if not bad.any():
            break
        for i in np.flatnonzero(bad):
            flags[int(job.keep[i])] = (
                f"residual {residuals[i]:.3g} against {np.median(residuals):.3g} of the other tilts: does not fit; "
                "held-out tilts are predicted better without it"
            )
        job, ready = _chosen(job, ready, ~bad)
        pose, notes = first_pose(job, ready)
    return job, ready, pose, notes


def _chosen(job: Job, ready: Prepared, part: npt.NDArray[np.bool_]) -> tuple[Job, Prepared]:
    """Job and images of some of the tilts."""
    kept = replace(
        ready,
        images=ready.images[part],
        replaced=ready.replaced[part],
        contrast=ready.contrast[part],
    )
    return replace(job, keep=job.keep[part], angles_deg=job.angles_deg[part]), kept


def _described(
    job: Job,
    ready: Prepared,
    fit: Fit,
    series: TiltSeries,
    flags: dict[int, str],
    notes: list[str],
) -> Alignment:
    """The result for all images of the series, those left out included, with the gauge fixed."""
    n, keep = len(series), job.keep
    pose = centred_gauge(job, ready, fit)
    moved = pose.shifts_px - fit.pose.shifts_px
    errors = fit.covariance.recentred(fit.pose, job.angles_deg, moved)
    sigma = errors.sigma_shifts_px
    residuals = relative_residuals(fit.model.images, fit.solution.residual)
    for i in np.flatnonzero(unfitting(fit.model.images, fit.solution.residual)):
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
    local = None
    if pose.local is not None:
        local = pose.local.counted_from(pose.shifts_px - fit.pose.shifts_px).spread(keep, n)
    magnifications = None
    if (pose.magnifications != 1).any():
        magnifications = np.nan_to_num(spread(pose.magnifications), nan=1.0)
    covariance = errors.named(keep)
    turned = "rotations_deg" in errors.others
    rotations = covariance.sigma("rotation_deg", n) if turned else None
    return Alignment(
        angles_deg=series.angles_deg.copy(),
        tilt_axis_deg=pose.tilt_axis_deg,
        sigma_tilt_axis_deg=fit.sigma_axis_deg,
        axis_offset_px=0.0,
        sigma_axis_offset_px=float(np.sqrt((sigma**2).sum(axis=1).mean() / max(1, len(keep) - 3))),
        shifts_px=shifts,
        sigma_shifts_px=spread(sigma),
        covariance=covariance,
        rotations_deg=np.nan_to_num(spread(pose.rotations_deg)),
        sigma_rotations_deg=rotations,
        magnifications=magnifications,
        local=local,
        residuals=spread(residuals),
        flags=dict(sorted(flags.items())),
        holdout_residual=fit.holdout,
        method=tuple(notes),
        source=series.source,
    )


class _Chosen:
    """The images to use of a series, read only where they are looked at."""

    def __init__(
        self, images: npt.NDArray[Any], keep: npt.NDArray[np.int64], sparing: bool
    ) -> None:
        self.images, self.keep, self._sparing = images, keep, sparing
        self.shape = (len(keep), *images.shape[1:])

    def __len__(self) -> int:
        return len(self.keep)

    def __getitem__(self, part: slice) -> npt.NDArray[Any]:
        found = np.stack([np.asarray(self.images[int(i)], np.float32) for i in self.keep[part]])
        if self._sparing:
            let_go(self.images)
        return found


def _as_series(series: TiltSeries | npt.ArrayLike, angles_deg: npt.ArrayLike | None) -> TiltSeries:
    if isinstance(series, TiltSeries):
        given = series.angles_deg if angles_deg is None else angles_deg
        return replace(series, angles_deg=as_angles(given, "angles_deg", len(series)))
    images = np.asarray(series)
    if images.ndim != 3 or images.dtype.kind not in "biuf" or 0 in images.shape:
        raise InputError(
            f"series: found {images.dtype} {images.shape}, expected real (n_tilts, ny, nx)"
        )
    if angles_deg is None:
        raise InputError(
            "angles_deg: found None, expected a tilt in degrees for each image of the array"
        )
    return TiltSeries(images=images, angles_deg=as_angles(angles_deg, "angles_deg", len(images)))


def _excluded(settings: AlignSettings, n: int) -> dict[int, str]:
    beyond = [i for i in settings.exclude if i >= n]
    if beyond:
        raise InputError(f"exclude: found image {beyond[0]}, expected 0 to {n - 1}")
    return {i: "excluded by the settings" for i in settings.exclude}
