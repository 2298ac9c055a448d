# SPDX-License-Identifier: BSD-3-Clause
"""Weighted (filtered) back-projection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast, overload

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_output
from ..errors import InputError
from ..projection import Geometry
from ..projection.operators import Precision, is_fixed16, make_plan
from .filters import Filter, Window, filter_gains, sirt_steps
from .halves import SPLITS, Halves, Split, dose_before, frame_stacks, split_tilts
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .missing import fill_missing
from .settings import ITERATIONS
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
    """
    fixed16 = is_fixed16(precision)
    window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
    jobs = _jobs(stack, angles_deg, thickness, shape, background, halves, dose)
    whole = jobs[0].whole
    volume = as_output(out, whole.shape)
    plan = make_plan(whole.geometry, whole.shape, whole.stack.shape[1:])
    gains, lengths = row_gains(plan, whole.geometry, whole.shape, window)
    targets = [volume] if halves is None else [np.empty_like(volume) for _ in jobs]
    if progress:
        progress(0.0)
    for done, (job, target) in enumerate(zip(jobs, targets, strict=True), start=1):
        if halves in ("tilts", "dose"):
            geometry = whole.geometry.subset(job.index)
            plan = make_plan(geometry, whole.shape, whole.stack.shape[1:])
        else:
            geometry = whole.geometry
        images = fill_missing(job.images(), geometry, threads, cancel)
        own = [lengths[i] for i in job.index]
        _core.wbp(plan, images, gains[job.index], own, target, threads, cancel, fixed16)
        if progress:
            progress(done / len(jobs))
    if halves is None:
        return volume
    np.add(targets[0], targets[1], out=volume)
    index = (whole.index[jobs[0].index], whole.index[jobs[1].index])
    return Halves(first=targets[0], second=targets[1], full=volume, split=halves, index=index)


def row_gains(
    plan: _core.ProjectionPlan, geometry: Geometry, shape: tuple[int, int, int], window: Window
) -> tuple[Float32, list[int]]:
    """Return the spectra that filter the stretched rows of each tilt, as :func:`filter_gains`, and their lengths."""
    lengths = _core.filter_lengths(plan)
    spacings = np.array([plan.spacing(i) for i in range(len(geometry))])
    steps = sirt_steps(geometry.angles_deg, float(shape[0]), float(shape[2]))
    return filter_gains(
        spacings, tilt_weights(geometry.angles_deg), lengths, window, steps
    ), lengths


@dataclass(frozen=True, kw_only=True, eq=False)
class _Job:
    """The images of one back-projection among those of the whole problem."""

    whole: Problem
    index: npt.NDArray[np.int64]

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
        return [_Job(whole=p, index=np.arange(len(p.stack))) for p in problems]
    suffered = dose_before(stack, dose, problems[0].index)
    index = split_tilts(problems[0].geometry.angles_deg, halves, dose=suffered)
    return [_Job(whole=problems[0], index=i) for i in index]
