# SPDX-License-Identifier: BSD-3-Clause
"""scikit-image: (position, angle) sinograms of one slice, degrees, centres on pixel n // 2.

Its image (row, column) is our (z, x) with the negative angle. Its centres lie half a pixel beyond ours along every even
extent, which becomes a shift of each image.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles
from ..errors import InputError
from ..projection import Geometry
from .arrays import Array, Float64, as_view

__all__ = ["from_geometry", "from_stack", "from_volume", "to_geometry", "to_stack", "to_volume"]


def from_geometry(theta: npt.ArrayLike, positions: int, size: int | None = None) -> Geometry:
    """Return the geometry of ``radon(image, theta)`` and ``iradon(sinogram, theta)``.

    Parameters
    ----------
    theta : (n_tilts,) [deg]
    positions : int
        Rows of the sinogram.
    size : int, optional
        Edge of the image, rows and columns; default ``positions`` (``circle=True``). With ``circle=False`` the
        edge of the image, or ``output_size`` of ``iradon``.
    """
    if positions < 1 or (size is not None and size < 1):
        raise InputError(f"positions, size: found {positions}, {size}, expected at least one pixel")
    angles = -as_angles(theta, "theta")
    shifts = np.zeros((len(angles), 2))
    shifts[:, 1] = _centre_shift(angles, positions, positions if size is None else size)
    return Geometry.single_axis(angles, shifts_px=shifts)


def to_geometry(geometry: Geometry, positions: int, size: int | None = None) -> Float64:
    """Return ``theta`` [deg] for scikit-image.

    Raises
    ------
    InputError
        Shifts other than those of :func:`from_geometry`, or a turned axis: it takes aligned images.
    """
    edge = positions if size is None else size
    shift = _centre_shift(geometry.angles_deg, positions, edge)
    rest = geometry.shifts_px - np.stack([np.zeros_like(shift), shift], axis=1)
    turned = geometry.tilt_axis_deg != 0.0 or geometry.rotations_deg.any()
    if turned or np.abs(rest).max() > 1e-6 or geometry.axis_offset_px != 0.0:
        raise InputError(
            "geometry: found a turned axis or shifts of its own, expected centres at n // 2; align the images first"
        )
    return -geometry.angles_deg


def from_stack(sinogram: npt.ArrayLike) -> Array:
    """Return a sinogram (position, angle) as a stack (n_tilts, 1, width): a view."""
    return as_view(sinogram, "sinogram", ("position", "angle")).T[:, None]


def to_stack(stack: npt.ArrayLike) -> Array:
    """Return a stack of one row (n_tilts, 1, width) as a sinogram (position, angle): a view."""
    return _one_row(as_view(stack, "stack", ("n_tilts", "1", "width")), "stack").T


def from_volume(image: npt.ArrayLike) -> Array:
    """Return an image (row, column) as a volume (nz, 1, nx): a view."""
    return as_view(image, "image", ("row", "column"))[:, None]


def to_volume(volume: npt.ArrayLike) -> Array:
    """Return a volume of one slice (nz, 1, nx) as an image (row, column): a view."""
    return _one_row(as_view(volume, "volume", ("nz", "1", "nx")), "volume")


def _one_row(a: Array, name: str) -> Array:
    if a.shape[1] != 1:
        raise InputError(
            f"{name}: found {a.shape[1]} rows along the axis, expected 1; pass one slice"
        )
    return a[:, 0]


def _centre_shift(angles_deg: Float64, positions: int, size: int) -> Float64:
    """Return the shift of the detector that moves both centres from (n - 1) / 2 to n // 2 [px]."""
    detector, image = (n // 2 - (n - 1) / 2 for n in (positions, size))
    theta = np.deg2rad(angles_deg)
    return np.asarray(detector - image * (np.cos(theta) + np.sin(theta)))
