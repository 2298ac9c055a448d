# SPDX-License-Identifier: BSD-3-Clause
"""Weighted (filtered) back-projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._devices import load_fft_library
from .._fields import Field
from ..projection.detector import DetectorPlan
from ..projection.on_devices import Devices as Names
from ..projection.operators import Precision, is_fixed16, make_plan
from .cut import WHOLE, Cut
from .device import Devices
from .exact_filter import exact_filter
from .filters import Filter, Window
from .halves import with_halves
from .inputs import Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .missing import fill_missing
from .settings import ITERATIONS
from .setup import devices_of, volume_target
from .wbp_slabs import WbpSlabs, row_gains

__all__ = ["wbp"]


@with_halves(linear=True)
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
    out: Float32 | Field | None = None,
    precision: Precision = "float32",
    device: Names = "cpu",
    max_memory: int | None = None,
    cut: Cut = WHOLE,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
    progress: Callable[[float], None] | None = None,
) -> Float32:
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
        Return :class:`Halves`, the volumes of two halves of the data and their sum: ``tilts`` and ``dose`` divide the
        images as :func:`split_tilts` says, at the cost of one back-projection; ``frames`` takes a pair of stacks, sums
        of the odd and of the even frames of each image, at the cost of two. Every image keeps its weight in the full
        set.
    dose : (n_tilts,), optional
        For ``halves="dose"``, as in :func:`split_tilts`; default from the tilt series.
    out : (nz, ny, nx) float32, optional
        Where to put the (full) volume; every voxel is overwritten.
    precision : {"float32", "fixed16"}, default "float32"
        As in :func:`cryolith.projection.backproject`.
    device : str or sequence of str, default "cpu"
        "cuda", "cuda:1" ..., "emulated", or "auto": a card where there is one that takes these views. Several, as in
        "cuda:0,cuda:1", share the work. Equal to the CPU's result to rounding.
    max_memory : int, optional [bytes]
        Of each device, other than the CPU: the volume goes through in slabs of rows, which do not change its bits. By
        default what is free.
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
        A wrong shape, count or filter name; views or a precision that ``device`` does not take.
    DeviceError
        There is no such device, no FFT library for it, or it failed its self-test or this call; memory that does not
        even take the smallest slab, with what would fit.
    Cancelled
        ``cancel`` was set.

    References
    ----------
    Kak & Slaney, Principles of Computerized Tomographic Imaging, section 3.3; weights by the local tilt increment.
    For rays that are not perpendicular to the volume's y: Harauz & van Heel, Optik 73 (1986) 146 (exact_filter.py).
    """
    fixed16 = is_fixed16(precision)
    window = Window(filter=filter, n_iter=n_iter, cutoff=cutoff, order=order)
    problem = as_problem(stack, angles_deg, thickness=thickness, shape=shape, background=background)
    target = volume_target(out, problem.shape, cut)
    devices = devices_of(problem, device, max_memory)
    for name in devices.names:
        load_fft_library(name)
    if cut.on_disk:
        slabs = WbpSlabs(problem, window, replace(cut, devices=devices), fixed16)
        slabs.take_images(threads, cancel)
        for done, part in enumerate(slabs.pair.parts, start=1):
            part.put_rows(target, slabs.rows(part, threads, cancel))
            if progress:
                progress(done / len(slabs.pair.parts))
        return target.whole()
    if progress:
        progress(0.0)
    volume = target.whole()
    _backproject(problem, window, fixed16, devices, volume, threads, cancel)
    if progress:
        progress(1.0)
    return volume


def _backproject(
    problem: Problem,
    window: Window,
    fixed16: bool,
    devices: Devices,
    target: Float32,
    threads: int,
    cancel: _core.CancelToken | None,
) -> None:
    """Set ``target`` to the filtered back-projection of all images."""
    views, geometry = problem.views, problem.geometry
    images = fill_missing(problem.stack, geometry, threads, cancel)
    plan = make_plan(geometry, problem.shape, images.shape[1:], views.among)
    inner = plan.plan if isinstance(plan, DetectorPlan) else plan
    if isinstance(inner, _core.FreePlan):
        filtered = exact_filter(
            images,
            views.among,
            problem.shape,
            window,
            index=views.index,
            threads=threads,
            cancel=cancel,
        )
        filtered /= geometry.weights().astype(np.float32)[:, None, None]
        plan.backproject(filtered, target, threads, cancel, fixed16)
        return
    factor = 1.0
    if isinstance(plan, DetectorPlan):
        factor = 1.0 if plan.detector is None else plan.detector.factor
        images = plan.seen(images, threads, cancel)
    gains, lengths = row_gains(inner, views, problem.shape, window, factor)
    where = devices.pair(inner) if devices.names else inner
    _core.wbp(where, images, gains, lengths, target, threads, cancel, fixed16)
