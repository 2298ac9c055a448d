# SPDX-License-Identifier: BSD-3-Clause
"""``project`` and ``backproject``: exact adjoints of each other."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from ..errors import InputError
from .detector import DetectorPlan, reduced
from .geometry import Geometry
from .local import Straightener, local_nodes

__all__ = [
    "Precision",
    "ProjectorPair",
    "backproject",
    "finite_stack",
    "is_fixed16",
    "make_plan",
    "project",
]

Float32 = npt.NDArray[np.float32]
Precision = Literal["float32", "fixed16"]
ProjectorPair = _core.ProjectionPlan | _core.FreePlan | DetectorPlan


def project(
    volume: npt.ArrayLike,
    geometry: Geometry,
    image_shape: tuple[int, int],
    *,
    out: Float32 | None = None,
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Project a volume: its density integrated along the rays, in pixels of the specimen frame.

    Parameters
    ----------
    volume : (nz, ny, nx) array_like of real numbers
        Finite density; its centre is the origin of the specimen frame.
    geometry : Geometry
    image_shape : (int, int)
        (height, width) of the images.
    out : (n_tilts, height, width) float32, optional
        Where to put the result; every pixel is overwritten.
    device : str, default "cpu"
        "cuda" or "cuda:1" for a GPU, "emulated" for its code on the CPU, slowly, with every access checked
        (:func:`cryolith.devices`). Equal to the CPU's result to rounding, float32's unit in the last place of a sum
        over the ray.
    threads : int, default 0
        0 uses all processors of this process. The result has the same bits for any number.
    cancel : CancelToken, optional

    Returns
    -------
    (n_tilts, height, width) float32
        A slab of thickness T [px] and density 1 gives T / |cos| of the beam's angle with its normal. The sum of an
        image is that of the voxels times sampling^3 magnification^2.

    Raises
    ------
    InputError
        A wrong shape or dtype, or a voxel that is not finite; a geometry that ``device`` does not take.
    DeviceError
        There is no such device, or it failed its self-test or this call.
    Cancelled
        ``cancel`` was set; ``out`` then holds part of the work.

    Notes
    -----
    The exact transpose of :func:`backproject`, whose definition is in design/003-projector.md.
    """
    v = as_core(volume, "volume", ("nz", "ny", "nx"))
    if _core.count_missing(v, threads, cancel):
        raise InputError("volume: found NaN or infinite voxels, expected finite ones; set them")
    images = as_output(out, (len(geometry), *image_shape))
    plan = _plan_on(device, geometry, v.shape, image_shape)
    plan.project(v, images, threads, cancel)
    return images


def backproject(
    stack: npt.ArrayLike,
    geometry: Geometry,
    shape: tuple[int, int, int],
    *,
    out: Float32 | None = None,
    precision: Precision = "float32",
    device: str = "cpu",
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32:
    """Smear images back along their rays and sum them: the exact transpose of :func:`project`.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like of real numbers
        NaN or infinite pixels are missing rays: they contribute nothing.
    geometry : Geometry
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    out : (nz, ny, nx) float32, optional
        Where to put the result; every voxel is overwritten.
    precision : {"float32", "fixed16"}, default "float32"
        ``fixed16`` sums in 16-bit fixed point: faster, for previews and large jobs. Its rms error is 2e-4 of the
        result's for white noise and 2e-5 and less for specimens; a tilt adds at most 5.1e-4 of the largest sample
        that its eight volume rows see. The result is then not the exact transpose of :func:`project`.
    device, threads, cancel
        As in :func:`project`; "float32" only on a device other than the CPU.

    Returns
    -------
    (nz, ny, nx) float32

    Raises
    ------
    InputError
        A wrong shape or dtype; a geometry or precision that ``device`` does not take.
    DeviceError
        As in :func:`project`.
    Cancelled
        ``cancel`` was set; ``out`` then holds part of the work.
    """
    images = as_core(stack, "stack", ("n_tilts", "height", "width"))
    if len(images) != len(geometry):
        raise InputError(f"stack: found {len(images)} images, expected {len(geometry)}, one a tilt")
    volume = as_output(out, shape)
    plan = _plan_on(device, geometry, shape, images.shape[1:])
    fixed16 = is_fixed16(precision)
    plan.backproject(finite_stack(images, threads, cancel), volume, threads, cancel, fixed16)
    return volume


def _plan_on(
    device: str, geometry: Geometry, shape: tuple[int, ...], image_shape: tuple[int, ...]
) -> ProjectorPair | _core.DevicePlan:
    """Return the pair on a device; others than the CPU take the fast path only."""
    plan = make_plan(geometry, shape, image_shape)
    if device == "cpu":
        return plan
    if not isinstance(plan, _core.ProjectionPlan):
        raise InputError(
            f"device: found {device!r} for views at free poses, voxels of another size than pixels, or local shifts, "
            "expected 'cpu': other devices take single-axis geometries only"
        )
    return _core.DevicePlan(plan, device)


def is_fixed16(precision: str) -> bool:
    """Return whether sums are to be made in fixed point; refuse an unknown precision."""
    if precision not in ("float32", "fixed16"):
        raise InputError(f"precision: found {precision!r}, expected 'float32' or 'fixed16'")
    return precision == "fixed16"


def make_plan(
    geometry: Geometry,
    shape: tuple[int, ...],
    image_shape: tuple[int, ...],
    among: Geometry | None = None,
) -> ProjectorPair:
    """Return the projector pair of a geometry for one volume shape and one image shape: make once, run often.

    Rays perpendicular to the volume's y take the fast path, :class:`_core.ProjectionPlan`; any other
    :class:`_core.FreePlan`. Voxels or a magnification other than 1, and local shifts, go through a
    :class:`DetectorPlan`.

    ``among``: all views, where ``geometry`` is a subset of them that is to project as they do.
    """
    among = among or geometry
    detector, seen, pixels = reduced(geometry, image_shape, among)
    plan: _core.ProjectionPlan | _core.FreePlan
    if among.crosses_y:
        plan = _core.FreePlan(seen.matrices(), shape, pixels)
    else:
        series = among.poses()
        series[:, 7] /= 1.0 if detector is None else detector.factor
        plan = _core.ProjectionPlan(seen.poses(), shape, pixels, series)
    weights = geometry.weights()
    if detector is None and among.local is None and (among.weights() == 1.0).all():
        return plan
    local = None
    if geometry.local is not None:
        shape_px = (int(image_shape[0]), int(image_shape[1]))
        local = Straightener(*local_nodes(geometry.local, geometry.shifts_px, shape_px))
    return DetectorPlan(plan, detector, weights.astype(np.float32), pixels, local)


def finite_stack(images: Float32, threads: int, cancel: _core.CancelToken | None) -> Float32:
    """Return ``images`` with missing pixels set to 0; a copy only where there are any."""
    if not _core.count_missing(images, threads, cancel):
        return images
    return np.where(np.isfinite(images), images, np.float32(0))
