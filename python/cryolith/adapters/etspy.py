# SPDX-License-Identifier: BSD-3-Clause
"""ETSpy (and HyperSpy): (tilt, y, x) stacks whose tilt axis runs along x, (x, thickness, y) reconstructions.

Its tilt axis is at -90 degrees in our sense, with its angles as they are: that keeps the hand of its volumes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from ..errors import InputError
from ..projection import Geometry
from .arrays import Array, as_view

__all__ = [
    "from_geometry",
    "from_stack",
    "from_volume",
    "to_geometry",
    "to_stack",
    "to_volume",
]

AXIS_DEG = -90.0


def from_geometry(tilts: Any, shifts: Any = None) -> Geometry:
    """Return the geometry of an ETSpy stack.

    Parameters
    ----------
    tilts : (n_tilts,) or (n_tilts, 1) [deg], or ``stack.tilts``
    shifts : (n_tilts, 2) [px] (y, x), or ``stack.shifts``, optional
        Those that ETSpy would apply but that are *not* in the images handed over. An aligned stack, whose
        ``shifts`` say what was done to it, needs none.

    Returns
    -------
    Geometry
        ETSpy moves an image by its shift to align it; here the shift says where the image lies, its negative.
    """
    angles = as_angles(np.asarray(_data(tilts)).ravel(), "tilts")
    moved = None
    if shifts is not None:
        moved = -as_core(_data(shifts), "shifts", ("n_tilts", "2"), np.float64)
    return Geometry.single_axis(angles, tilt_axis_deg=AXIS_DEG, shifts_px=moved)


def to_geometry(geometry: Geometry) -> tuple[Array, Array]:
    """Return ``tilts`` (n_tilts,) [deg] and the ``shifts`` (n_tilts, 2) [px] that ETSpy has to apply.

    Raises
    ------
    InputError
        A tilt axis that is not at -90 degrees.
    """
    axis = geometry.tilt_axis_deg + geometry.rotations_deg
    turn = np.abs((axis - AXIS_DEG + 180.0) % 360.0 - 180.0)
    if turn.max() > 1e-6:
        raise InputError(
            f"geometry: found a tilt axis at {axis[turn.argmax()]:g} deg, expected -90; rotate the images, and for "
            "one at 90 turn the specimen by 180 degrees about z, which negates the angles"
        )
    shifts = -geometry.shifts_px
    shifts[:, 0] += geometry.axis_offset_px
    return geometry.angles_deg.copy(), shifts


def from_stack(stack: Any) -> Array:
    """Return a ``TomoStack``, or its ``data``, as a stack (n_tilts, height, width): the same memory."""
    return as_view(_data(stack), "stack", ("tilt", "y", "x"))


def to_stack(stack: npt.ArrayLike) -> Array:
    """Return a stack as the ``data`` of a ``TomoStack``: the same memory."""
    return from_stack(stack)


def from_volume(rec: Any) -> Array:
    """Return a ``RecStack``, or its ``data`` (x, thickness, y), as a volume (nz, ny, nx): a view."""
    return as_view(_data(rec), "rec", ("x", "thickness", "y")).swapaxes(0, 1)[:, :, ::-1]


def to_volume(volume: npt.ArrayLike) -> Array:
    """Return a volume (nz, ny, nx) as the ``data`` (x, thickness, y) of a ``RecStack``: a view."""
    return as_view(volume, "volume", ("nz", "ny", "nx"))[:, :, ::-1].swapaxes(0, 1)


def _data(signal: Any) -> Any:
    """Return the array of a HyperSpy signal; a NumPy array's own ``data`` is its memory, not the array."""
    return signal if isinstance(signal, np.ndarray) else getattr(signal, "data", signal)
