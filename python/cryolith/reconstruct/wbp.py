# SPDX-License-Identifier: BSD-3-Clause
"""Weighted (filtered) back-projection."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast, overload

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_output
from .._fields import Field, fresh
from ..errors import InputError
from ..projection import Geometry
from ..projection.detector import DetectorPlan
from ..projection.operators import Precision, ProjectorPair, is_fixed16, make_plan
from .cut import WHOLE, Cut, Pair, Part
from .exact_filter import exact_filter
from .filters import Filter, Window, filter_gains, sirt_steps
from .halves import SPLITS, Halves, Split, dose_before, frame_stacks, split_tilts
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .missing import fill_missing
from .settings import ITERATIONS
from .setup import volume_target
from .weights import tilt_weights

__all__ = ["row_gains", "wbp"]


@overload
def wbp(
    stack: ProjectionsLike,
    angles_deg: ViewsLike = None,
    *,
    thickness: int | None = None,
    filter: Filter = "hamming",
    n_iter: int = ITERATIONS["wbp"],
    cutoff: float = 0.25,
    order: int = 4,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
    halves: None = None,
    dose: npt.ArrayLike | None = None,
    out: Float32 | None = None,
    precision: Precision = "float32",
    cut: Cut = WHOLE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float32: ...
@overload
def wbp(
    stack: ProjectionsLike | Sequence[npt.ArrayLike],
    angles_deg: ViewsLike = None,
    *,
    thickness: int | None = None,
    filter: Filter = "hamming",
    n_iter: int = ITERATIONS["wbp"],
    cutoff: float = 0.25,
    order: int = 4,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
    halves: Split,
    dose: npt.ArrayLike | None = None,
    out: Float32 | None = None,
    precision: Precision = "float32",
    cut: Cut = WHOLE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Halves: ...
def wbp(
    stack: ProjectionsLike | Sequence[npt.ArrayLike],
    angles_deg: ViewsLike = None,
    *,
    thickness: int | None = None,
    filter: Filter = "hamming",
    n_iter: int = ITERATIONS["wbp"],
    cutoff: float = 0.25,
    order: int = 4,
    shape: tuple[int, int, int] | None = None,
    background: npt.ArrayLike | None = None,
    halves: Split | None = None,
    dose: npt.ArrayLike | None = None,
    out: Float32 | None = None,
    precision: Precision = "float32",
    cut: Cut = WHOLE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float32 | Halves:
    """Reconstruct by weighted back-projection.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like or TiltSeries
        Raw images: shifts and rotations are applied inside the projector. NaN is a missing pixel.
    angles_deg : (n_tilts,) [deg], Geometry or Alignment
        Angles alone mean a tilt axis along y through the centre. None takes them from the series.
    thickness : int, optional [px]
        nz; default as wide as the volume (a needle or particle).
    filter, n_iter, cutoff, order
        As in :func:`filter_projections`.
    shape : (int, int, int), optional
        (nz, ny, nx); overrides ``thickness``.
    background : (n_tilts,), optional
        Subtracted from each image.
    halves : {"tilts", "frames", "dose"}, optional
        Also return the volumes of two halves of the data: ``tilts`` and ``dose`` divide the images as
        :func:`split_tilts` says, at the cost of one back-projection; ``frames`` takes a pair of stacks, sums of
        the odd and of the even frames of each image, at the cost of two. Every image keeps its weight in the full set.
    dose : (n_tilts,), optional
        For ``halves="dose"``, as in :func:`split_tilts`; default from the tilt series.
    out : (nz, ny, nx) float32, optional
        Where to put the (full) volume; every voxel is overwritten.
    precision : {"float32", "fixed16"}, default "float32"
        As in :func:`cryolith.projection.backproject`.
    cut : Cut, default all
        What is in memory at once (:func:`plan` says it); the bytes of the result do not depend on it.
    threads, cancel
        As in :func:`cryolith.projection.project`.
    progress : callable, optional
        Called with the fraction done, 0 to 1.

    Returns
    -------
    (nz, ny, nx) float32
        In the units of density: from a full range of tilts, the specimen's own values. With ``halves``: Halves.

    Raises
    ------
    InputError
        A wrong shape, count or filter name.
    Cancelled
        ``cancel`` was set.

    References
    ----------
    Kak & Slaney, Principles of Computerized Tomographic Imaging, section 3.3; weights by the local tilt increment.
    For rays that are not perpendicular to the volume's y: Harauz & van Heel, Optik 73 (1986) 146 (exact_filter.py).
    """
    fixed16 = is_fixed16(precision)
    window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
    jobs = _jobs(stack, angles_deg, thickness, shape, background, halves, dose)
    whole = jobs[0].whole
    if cut.on_disk:
        if halves is not None:
            raise InputError("halves: cannot be cut to fit into memory; allow more memory")
        slabs = _Slabs(jobs[0], window, cut, fixed16)
        return slabs.backproject(volume_target(out, whole.shape, cut), threads, cancel, progress)
    volume = as_output(out, whole.shape)
    back = _filtered_backprojector(whole, window, fixed16)
    targets = [volume] if halves is None else [np.empty_like(volume) for _ in jobs]
    if progress:
        progress(0.0)
    for done, (job, target) in enumerate(zip(jobs, targets, strict=True), start=1):
        back(job, target, threads, cancel)
        if progress:
            progress(done / len(jobs))
    if halves is None:
        return volume
    np.add(targets[0], targets[1], out=volume)
    index = (whole.index[jobs[0].index], whole.index[jobs[1].index])
    return Halves(first=targets[0], second=targets[1], full=volume, split=halves, index=index)


class _Slabs:
    """Filtered back-projection slab by slab of the volume's rows."""

    def __init__(self, job: _Job, window: Window, cut: Cut, fixed16: bool) -> None:
        whole = job.whole
        tilts, height, width = whole.images.shape
        self.job, self.cut, self.fixed16 = job, cut, fixed16
        self.pair = Pair(whole.geometry, whole.shape, (height, width), cut)
        plan = self.pair.plan
        if not isinstance(plan, _core.ProjectionPlan):
            raise InputError(
                "cut: found views without a common tilt axis and scale, expected all in memory"
            )
        self.gains, self.lengths = row_gains(plan, whole.geometry, whole.shape, window)
        self.images = cut.stack((tilts, height, width))

    def backproject(
        self,
        target: Field,
        threads: int,
        cancel: _core.CancelToken | None,
        progress: Callable[[float], None] | None,
    ) -> Float32:
        """Fill ``target`` and return all of it."""
        whole = self.job.whole
        for i in range(self.images.shape[0]):
            image, view = whole.images.read(i, i + 1), whole.geometry.subset([i])
            self.images.put_layers(i, fill_missing(image, view, threads, cancel))
        for done, part in enumerate(self.pair.parts, start=1):
            part.put_rows(target, self._slab(part, threads, cancel))
            if progress:
                progress(done / len(self.pair.parts))
        return target.whole()

    def _slab(self, part: Part, threads: int, cancel: _core.CancelToken | None) -> Float32:
        plan = self.pair.slab(part)
        top, bottom, left, right = plan.window
        images = self.images.window((top, bottom, left, right))
        rows = fresh(part.shape)
        how = (threads, cancel, self.fixed16)
        _core.wbp(plan, images, self.gains, self.lengths, rows, *how)
        return rows


def _filtered_backprojector(whole: Problem, window: Window, fixed16: bool) -> Callable[..., None]:
    """Return the function that sets a target to the filtered back-projection of a job's images."""
    plan = make_plan(whole.geometry, whole.shape, whole.stack.shape[1:])
    inner = plan.plan if isinstance(plan, DetectorPlan) else plan
    if isinstance(inner, _core.FreePlan):
        return functools.partial(_backproject_exact, plan, window, fixed16)
    detector = plan.detector if isinstance(plan, DetectorPlan) else None
    factor = 1.0 if detector is None else detector.factor
    gains, lengths = row_gains(inner, whole.geometry, whole.shape, window, factor)
    return functools.partial(_backproject_rows, plan, gains, lengths, fixed16)


def _plan_of(job: _Job, plan: ProjectorPair) -> ProjectorPair:
    """Return the plan of a job's images, ``plan`` being that of all."""
    whole = job.whole
    if job.geometry is whole.geometry:
        return plan
    return make_plan(job.geometry, whole.shape, whole.images.shape[1:])


def _backproject_rows(
    plan: ProjectorPair,
    gains: Float32,
    lengths: list[int],
    fixed16: bool,
    job: _Job,
    target: Float32,
    threads: int,
    cancel: _core.CancelToken | None,
) -> None:
    plan = _plan_of(job, plan)
    images = fill_missing(job.images(), job.geometry, threads, cancel)
    if isinstance(plan, DetectorPlan):
        if plan.detector is not None:
            images = plan.detector.reduce(images, threads, cancel)
        plan = plan.plan
    own = [lengths[i] for i in job.index]
    rows = cast("_core.ProjectionPlan", plan)
    _core.wbp(rows, images, gains[job.index], own, target, threads, cancel, fixed16)


def _backproject_exact(
    plan: ProjectorPair,
    window: Window,
    fixed16: bool,
    job: _Job,
    target: Float32,
    threads: int,
    cancel: _core.CancelToken | None,
) -> None:
    whole, geometry = job.whole, job.geometry
    images = fill_missing(job.images(), geometry, threads, cancel)
    filtered = exact_filter(
        images, whole.geometry, whole.shape, window, index=job.index, threads=threads, cancel=cancel
    )
    filtered /= geometry.weights().astype(np.float32)[:, None, None]
    _plan_of(job, plan).backproject(filtered, target, threads, cancel, fixed16)


def row_gains(
    plan: _core.ProjectionPlan,
    geometry: Geometry,
    shape: tuple[int, int, int],
    window: Window,
    factor: float = 1.0,
) -> tuple[Float32, list[int]]:
    """Return the spectra that filter the stretched rows of each tilt, as :func:`filter_gains`, and their lengths.

    ``factor`` is the width of the pixels that the plan sees, in pixels of the detector.
    """
    lengths = _core.filter_lengths(plan)
    spacings = np.array([plan.spacing(i) for i in range(len(geometry))])
    poses = geometry.poses()
    turned = geometry.x_tilts_deg.any()
    angles = np.rad2deg(np.arctan2(poses[:, 1], poses[:, 0])) if turned else geometry.angles_deg
    seen = geometry.magnifications / factor  # pixels of the plan per pixel of the specimen frame
    edges = [float(n) * geometry.sampling for n in (shape[0], shape[2])]
    steps = sirt_steps(angles, *edges) * seen
    return filter_gains(spacings, tilt_weights(angles) * seen, lengths, window, steps), lengths


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """The images of one back-projection among those of the whole problem."""

    whole: Problem
    index: npt.NDArray[np.int64]

    @property
    def geometry(self) -> Geometry:
        whole = self.whole.geometry
        return whole if len(self.index) == len(whole) else whole.subset(self.index)

    def images(self) -> Float32:
        stack = self.whole.stack
        return stack if len(self.index) == len(stack) else stack[self.index]


def _jobs(
    stack: ProjectionsLike | Sequence[npt.ArrayLike],
    views: ViewsLike,
    thickness: int | None,
    shape: tuple[int, int, int] | None,
    background: npt.ArrayLike | None,
    halves: Split | None,
    dose: npt.ArrayLike | None,
) -> list[_Job]:
    if halves not in (None, *SPLITS):
        raise InputError(f"halves: found {halves!r}, expected one of {', '.join(SPLITS)}, or None")
    stacks = frame_stacks(stack) if halves == "frames" else (stack,)
    if background is not None:
        background = np.asarray(background, np.float64) / len(stacks)
    problems = [
        as_problem(
            cast("ProjectionsLike", s),
            views,
            thickness=thickness,
            shape=shape,
            background=background,
        )
        for s in stacks
    ]
    if halves not in ("tilts", "dose"):
        return [_Job(whole=p, index=np.arange(len(p.index))) for p in problems]
    suffered = dose_before(stack, dose, problems[0].index)
    index = split_tilts(problems[0].geometry.angles_deg, halves, dose=suffered)
    return [_Job(whole=problems[0], index=i) for i in index]
