# SPDX-License-Identifier: BSD-3-Clause
"""``project`` and ``backproject``: exact adjoints of each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast, overload

import numpy as np
import numpy.typing as npt

from .. import _core
from .._arrays import as_core, as_output
from .._device_arrays import DeviceArray
from ..errors import InputError
from .detector import DetectorPlan, reduced
from .geometry import Geometry
from .local import Straightener, local_nodes
from .on_devices import Devices, SlabPlan, device_of, pair_on, there

__all__ = [
    "Precision",
    "ProjectorPair",
    "backproject",
    "finite_stack",
    "is_fixed16",
    "make_plan",
    "plan_slabs",
    "project",
]

Float32 = npt.NDArray[np.float32]
Precision = Literal["float32", "fixed16"]
ProjectorPair = _core.ProjectionPlan | _core.FreePlan | DetectorPlan


@overload
def project(
    volume: DeviceArray,
    geometry: Geometry,
    image_shape: tuple[int, int],
    *,
    out: DeviceArray | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> DeviceArray: ...
@overload
def project(
    volume: npt.ArrayLike,
    geometry: Geometry,
    image_shape: tuple[int, int],
    *,
    out: Float32 | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32: ...
def project(
    volume: npt.ArrayLike | DeviceArray,
    geometry: Geometry,
    image_shape: tuple[int, int],
    *,
    out: Float32 | DeviceArray | None = None,
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32 | DeviceArray:
    """Project a volume: its density integrated along the rays, in pixels of the specimen frame.

    Parameters
    ----------
    volume : (nz, ny, nx) array_like of real numbers, or DeviceArray of float32
        Finite density; its centre is the origin of the specimen frame. A :class:`cryolith.DeviceArray` stays where it
        is, whole, is not looked through for voxels that are not finite, and the result is one, too.
    geometry : Geometry
    image_shape : (int, int)
        (height, width) of the images.
    out : (n_tilts, height, width) float32, optional
        Where to put the result; every pixel is overwritten.
    device : str or sequence of str, optional
        "cuda" or "cuda:1" for a GPU, "emulated" for its code on the CPU, slowly, with every access checked
        (:func:`cryolith.devices`); several, as in "cuda:0,cuda:1", share the work. By default the one where the volume
        lies: "cpu" for the host's arrays. Equal to the CPU's result to rounding, float32's unit in the last place of a
        sum over the ray.
    max_memory : int, optional [bytes]
        Of each device: arrays of the host go through it in slabs (:func:`plan_slabs`). By default what is free.
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
        There is no such device, or it failed its self-test or this call; memory that does not even take the smallest
        slab, with what would fit.
    Cancelled
        ``cancel`` was set; ``out`` then holds part of the work.

    Notes
    -----
    The exact transpose of :func:`backproject`, whose definition is in design/003-projector.md.
    """
    names = device_of(device, volume, out)
    if isinstance(volume, DeviceArray):
        plan = _pair_there(names, geometry, volume.shape, image_shape, max_memory)
        found = there(out, "out", volume, (len(geometry), *image_shape))
        plan.project(volume.tensor, found.tensor, threads, cancel)
        return found
    v = as_core(volume, "volume", ("nz", "ny", "nx"))
    if _core.count_missing(v, threads, cancel):
        raise InputError("volume: found NaN or infinite voxels, expected finite ones; set them")
    images = as_output(cast("Float32 | None", out), (len(geometry), *image_shape))
    pair = pair_on(names, make_plan(geometry, v.shape, image_shape), max_memory)
    pair.project(v, images, threads, cancel)
    return images


@overload
def backproject(
    stack: DeviceArray,
    geometry: Geometry,
    shape: tuple[int, int, int],
    *,
    out: DeviceArray | None = None,
    precision: Precision = "float32",
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> DeviceArray: ...
@overload
def backproject(
    stack: npt.ArrayLike,
    geometry: Geometry,
    shape: tuple[int, int, int],
    *,
    out: Float32 | None = None,
    precision: Precision = "float32",
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32: ...
def backproject(
    stack: npt.ArrayLike | DeviceArray,
    geometry: Geometry,
    shape: tuple[int, int, int],
    *,
    out: Float32 | DeviceArray | None = None,
    precision: Precision = "float32",
    device: Devices = None,
    max_memory: int | None = None,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Float32 | DeviceArray:
    """Smear images back along their rays and sum them: the exact transpose of :func:`project`.

    Parameters
    ----------
    stack : (n_tilts, height, width) array_like of real numbers, or DeviceArray of float32
        NaN or infinite pixels are missing rays: they contribute nothing; a :class:`cryolith.DeviceArray` is not looked
        through for them.
    geometry : Geometry
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    out : (nz, ny, nx) float32, optional
        Where to put the result; every voxel is overwritten.
    precision : {"float32", "fixed16"}, default "float32"
        ``fixed16`` sums in 16-bit fixed point: faster, for previews and large jobs. Its rms error is 2e-4 of the
        result's for white noise and 2e-5 and less for specimens; a tilt adds at most 5.1e-4 of the largest sample
        that its eight volume rows see. The result is then not the exact transpose of :func:`project`.
    device, max_memory, threads, cancel
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
    names, fixed16 = device_of(device, stack, out), is_fixed16(precision)
    if isinstance(stack, DeviceArray):
        if fixed16:
            raise InputError("precision: found fixed16 for a DeviceArray, expected float32")
        plan = _pair_there(names, geometry, shape, stack.shape[1:], max_memory)
        found = there(out, "out", stack, shape)
        plan.backproject(stack.tensor, found.tensor, threads, cancel)
        return found
    images = as_core(stack, "stack", ("n_tilts", "height", "width"))
    if len(images) != len(geometry):
        raise InputError(f"stack: found {len(images)} images, expected {len(geometry)}, one a tilt")
    volume = as_output(cast("Float32 | None", out), shape)
    pair = pair_on(names, make_plan(geometry, shape, images.shape[1:]), max_memory)
    pair.backproject(finite_stack(images, threads, cancel), volume, threads, cancel, fixed16)
    return volume


def plan_slabs(
    geometry: Geometry,
    shape: tuple[int, int, int],
    image_shape: tuple[int, int],
    *,
    device: str | Sequence[str],
    max_memory: int | None = None,
) -> SlabPlan:
    """Tell how arrays of the host would go through devices: nothing is computed but, once, the devices' self-test.

    Parameters
    ----------
    geometry : Geometry
        Single-axis.
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    image_shape : (int, int)
        (height, width) of the images.
    device, max_memory
        As in :func:`project`; not the CPU.

    Returns
    -------
    SlabPlan

    Raises
    ------
    InputError, DeviceError
        As in :func:`project`.

    Notes
    -----
    Volume rows are independent of each other where the tilt axis lies along an image axis: 64 of them are the smallest
    slab. Near an image axis, and where images are turned, slabs share pixels; their projections are added in the order
    of the slabs.
    """
    pair = pair_on(device_of(device), make_plan(geometry, shape, image_shape), max_memory)
    if not isinstance(pair, _core.DevicePlan):
        raise InputError("device: found 'cpu', expected other devices: the CPU takes arrays whole")
    return SlabPlan.of(pair.slabs())


def _pair_there(
    names: list[str],
    geometry: Geometry,
    shape: tuple[int, ...],
    image_shape: tuple[int, ...],
    max_memory: int | None,
) -> _core.DevicePlan:
    """Return the pair for arrays that stay on a device."""
    if max_memory is not None:
        raise InputError(
            "max_memory: found one for a DeviceArray, expected none: it stays whole where it is"
        )
    if len(shape) != 3 or len(image_shape) != 2:
        raise InputError(
            f"array: found a volume of {len(shape)} axes and images of {len(image_shape)}, expected 3 and 2"
        )
    pair = pair_on(names, make_plan(geometry, shape, image_shape), None)
    return cast(_core.DevicePlan, pair)  # device_of names no CPU for arrays elsewhere


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
