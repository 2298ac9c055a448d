# SPDX-License-Identifier: BSD-3-Clause
"""What the solvers accept, made into one form: a float32 stack and its geometry."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from ..datamodel import Alignment, TiltSeries
from ..errors import InputError
from ..projection import Geometry

__all__ = ["Float32", "Problem", "ProjectionsLike", "ViewsLike", "as_problem"]

Float32 = npt.NDArray[np.float32]
ProjectionsLike = npt.ArrayLike | TiltSeries
ViewsLike = npt.ArrayLike | Geometry | Alignment | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Problem:
    """Images that belong together with how they look at the specimen.

    Attributes
    ----------
    stack : (n_tilts, height, width) float32
        May hold NaN; may be the caller's own array, so it is never written into.
    geometry : Geometry
    shape : (int, int, int)
        (nz, ny, nx) of the volume.
    index : (n_tilts,) int
        Which of the given images these are: flagged tilts of an alignment are left out.
    """

    stack: Float32
    geometry: Geometry
    shape: tuple[int, int, int]
    index: npt.NDArray[np.int64]


def as_problem(
    data: ProjectionsLike,
    views: ViewsLike,
    *,
    thickness: int | None,
    shape: tuple[int, int, int] | None,
    background: npt.ArrayLike | None = None,
) -> Problem:
    """Return the problem that a stack or tilt series with angles, geometry or alignment describes.

    Parameters
    ----------
    data : (n_tilts, height, width) array_like or TiltSeries
    views : (n_tilts,) angles [deg], Geometry, Alignment or None
        None takes angles and axis from the tilt series.
    thickness, shape
        Of the volume [px]; ``shape`` wins. Without either the volume is as thick as it is wide.
    background : (n_tilts,), optional
        Subtracted from each image.
    """
    images = data.images if isinstance(data, TiltSeries) else np.asarray(data)
    geometry, index = _geometry(data, views, len(images) if images.ndim else 0)
    if len(index) != len(images):
        images = images[index]
    stack: Float32 = as_core(images, "stack", ("n_tilts", "height", "width"))
    if len(stack) != len(geometry):
        raise InputError(f"stack: found {len(stack)} images, expected {len(geometry)}, one a tilt")
    if background is not None:
        level = as_angles(background, "background")
        level = level[index] if len(level) != len(stack) else level
        if len(level) != len(stack):
            raise InputError(f"background: found {len(level)} values, expected {len(stack)}")
        stack = stack - level.astype(np.float32)[:, None, None]
    if shape is None:
        height, width = stack.shape[1:]
        nx = geometry.volume_shape((height, width), 1)[2]
        shape = geometry.volume_shape((height, width), nx if thickness is None else thickness)
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape: found {shape}, expected three positive numbers of voxels")
    return Problem(stack=stack, geometry=geometry, shape=shape, index=index)


def _geometry(
    data: ProjectionsLike, views: ViewsLike, count: int
) -> tuple[Geometry, npt.NDArray[np.int64]]:
    index = np.arange(count)
    if isinstance(views, Geometry):
        return views, index
    if isinstance(views, Alignment):
        if len(views.angles_deg) != count:
            raise InputError(
                f"alignment: found {len(views.angles_deg)} tilts, expected {count}, one per image"
            )
        return Geometry.from_alignment(views), index[views.kept]
    if views is not None:
        return Geometry.single_axis(as_angles(views, "angles_deg", count)), index
    if isinstance(data, TiltSeries):
        axis = data.tilt_axis_deg or 0.0
        return Geometry.single_axis(data.angles_deg, tilt_axis_deg=axis), index
    raise InputError("angles_deg: found None, expected one angle per image, or a Geometry")
