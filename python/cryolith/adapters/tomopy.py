# SPDX-License-Identifier: BSD-3-Clause
"""tomopy: (angle, slice, column) projections, radians, the axis counted from the left edge of the detector.

Its slice (x, y) is our (z, x): a point projects to column = center - 1/2 + y cos(theta) - x sin(theta), which is ours
with the negative angle.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles
from ..errors import InputError
from ..projection import Geometry
from .arrays import Array, Float64, as_view

__all__ = ["from_geometry", "from_stack", "from_volume", "to_geometry", "to_stack", "to_volume"]


def from_geometry(theta: npt.ArrayLike, width: int, center: float | None = None) -> Geometry:
    """Return the geometry of tomopy's angles and rotation axis.

    Parameters
    ----------
    theta : (n_tilts,) [rad]
    width : int
        Columns of the detector.
    center : float, optional [px]
        Rotation axis, counted from the left edge of column 0 as tomopy does; default the middle, width / 2.
    """
    offset = 0.0 if center is None else float(center) - width / 2
    if not math.isfinite(offset):
        raise InputError(f"center: found {center}, expected one finite column")
    return Geometry.single_axis(-np.rad2deg(as_angles(theta, "theta")), axis_offset_px=offset)


def to_geometry(geometry: Geometry, width: int) -> tuple[Float64, float]:
    """Return ``theta`` [rad] and ``center`` [px] for tomopy.

    Raises
    ------
    InputError
        An axis that is not along the image's y, or a shift per image: tomopy takes aligned images.
    """
    if geometry.tilt_axis_deg != 0.0 or geometry.rotations_deg.any() or geometry.shifts_px.any():
        raise InputError(
            "geometry: found a turned axis or shifts, expected none; align the images first"
        )
    return -np.deg2rad(geometry.angles_deg), width / 2 + geometry.axis_offset_px


def from_stack(tomo: npt.ArrayLike, *, sinogram_order: bool = False) -> Array:
    """Return ``tomo`` as a stack (n_tilts, height, width): a view. With ``sinogram_order`` the slice comes first."""
    a = as_view(tomo, "tomo", ("angle", "slice", "column"))
    return a.swapaxes(0, 1) if sinogram_order else a


def to_stack(stack: npt.ArrayLike, *, sinogram_order: bool = False) -> Array:
    """Return a stack as ``tomo``, the inverse of :func:`from_stack`: a view."""
    return from_stack(stack, sinogram_order=sinogram_order)


def from_volume(recon: npt.ArrayLike) -> Array:
    """Return tomopy's (slice, x, y) as a volume (nz, ny, nx): a view."""
    return as_view(recon, "recon", ("slice", "x", "y")).swapaxes(0, 1)


def to_volume(volume: npt.ArrayLike) -> Array:
    """Return a volume (nz, ny, nx) as tomopy's (slice, x, y): a view."""
    return from_volume(volume)
