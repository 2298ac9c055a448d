# SPDX-License-Identifier: BSD-3-Clause
"""Weighted (filtered) back-projection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .. import _core
from .._devices import load_fft_library
from .._fields import Field, fresh
from ..errors import InputError
from ..projection import Geometry
from ..projection.detector import DetectorPlan
from ..projection.on_devices import Devices as Names
from ..projection.operators import Precision, is_fixed16, make_plan
from .cut import WHOLE, Cut, Pair, Part
from .device import Devices
from .exact_filter import exact_filter
from .filters import Filter, Window, filter_gains, sirt_steps
from .halves import with_halves
from .inputs import Chosen, Float32, Problem, ProjectionsLike, ViewsLike, as_problem
from .missing import fill_missing
from .settings import ITERATIONS
from .setup import devices_of, volume_target
from .weights import tilt_weights

__all__ = ["row_gains", "wbp"]


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
        slabs = _Slabs(problem, window, replace(cut, devices=devices), fixed16)
        return slabs.backproject(target, threads, cancel, progress)
    if progress:
        progress(0.0)
    volume = target.whole()
    _backproject(problem, window, fixed16, devices, volume, threads, cancel)
    if progress:
        progress(1.0)
    return volume


class _Slabs:
    """Filtered back-projection slab by slab of the volume's rows."""

    def __init__(self, problem: Problem, window: Window, cut: Cut, fixed16: bool) -> None:
        tilts, height, width = problem.images.shape
        self.problem, self.fixed16 = problem, fixed16
        views = problem.views
        self.pair = Pair(problem.geometry, problem.shape, (height, width), cut, views.among)
        plan = self.pair.host_plan
        if not isinstance(plan, _core.ProjectionPlan):
            raise InputError(
                "cut: found views without a common tilt axis and scale, expected all in memory"
            )
        self.gains, self.lengths = row_gains(plan, views, problem.shape, window)
        self.images = cut.stack((tilts, height, width))

    def backproject(
        self,
        target: Field,
        threads: int,
        cancel: _core.CancelToken | None,
        progress: Callable[[float], None] | None,
    ) -> Float32:
        """Fill ``target`` and return all of it."""
        for i in range(self.images.shape[0]):
            self._take_image(i, threads, cancel)
        for done, part in enumerate(self.pair.parts, start=1):
            part.put_rows(target, self._slab(part, threads, cancel))
            if progress:
                progress(done / len(self.pair.parts))
        return target.whole()

    def _take_image(self, i: int, threads: int, cancel: _core.CancelToken | None) -> None:
        image, view = self.problem.images[i : i + 1], self.problem.geometry.subset([i])
        self.images.put_layers(i, fill_missing(image, view, threads, cancel))

    def _slab(self, part: Part, threads: int, cancel: _core.CancelToken | None) -> Float32:
        plan = self.pair.slab(part)
        top, bottom, left, right = plan.window
        images = self.images.window((top, bottom, left, right))
        rows = fresh(part.shape)
        how = (threads, cancel, self.fixed16)
        _core.wbp(plan, images, self.gains, self.lengths, rows, *how)
        return rows


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


def row_gains(
    plan: _core.ProjectionPlan,
    views: Chosen,
    shape: tuple[int, int, int],
    window: Window,
    factor: float = 1.0,
) -> tuple[Float32, list[int]]:
    """Return the spectra that filter the stretched rows of each tilt, as :func:`filter_gains`, and their lengths.

    ``factor`` is the width of the pixels that the plan sees, in pixels of the detector.
    """
    lengths = _core.filter_lengths(plan)
    spacings = np.array([plan.spacing(i) for i in range(len(views.index))])
    weights, steps = _weights_and_steps(views.among, shape)
    seen = views.geometry.magnifications / factor  # pixels of the plan per pixel of the specimen
    of_tilt = weights[views.index] * seen
    return filter_gains(spacings, of_tilt, lengths, window, steps[views.index] * seen), lengths


def _weights_and_steps(
    geometry: Geometry, shape: tuple[int, int, int]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return what :func:`tilt_weights` and :func:`sirt_steps` say of all views."""
    poses = geometry.poses()
    turned = geometry.x_tilts_deg.any()
    angles = np.rad2deg(np.arctan2(poses[:, 1], poses[:, 0])) if turned else geometry.angles_deg
    edges = [float(n) * geometry.sampling for n in (shape[0], shape[2])]
    return tilt_weights(angles), sirt_steps(angles, *edges)
