# SPDX-License-Identifier: BSD-3-Clause
"""How the images of a tilt series look at the specimen."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_angles, as_core
from ..datamodel import Alignment
from ..errors import InputError

__all__ = ["Geometry"]

Float64 = npt.NDArray[np.float64]
MAX_SHIFT_PX = 1e6


@dataclass(frozen=True, kw_only=True, eq=False)
class Geometry:
    """Single-axis geometry: parallel rays, one tilt axis at any in-plane angle, a shift per image.

    Make it with :meth:`single_axis` or :meth:`from_alignment`. Image ``i`` sees the specimen point
    (x, y, z) [px from the volume's centre] at

        u = x cos(angle_i) + z sin(angle_i) + axis_offset_px,    v = y
        column = (width - 1)/2 + u cos(psi_i) - v sin(psi_i) + shifts_px[i, 1]
        row    = (height - 1)/2 + u sin(psi_i) + v cos(psi_i) + shifts_px[i, 0]

    with psi_i = tilt_axis_deg + rotations_deg[i] (docs/conventions.md).

    Attributes
    ----------
    angles_deg : (n_tilts,) [deg]
        Tilts, any order and any value; duplicates are allowed.
    tilt_axis_deg : float [deg]
        In-plane angle of the tilt axis, counter-clockwise from the image's +y.
    shifts_px : (n_tilts, 2) [px]
        (row, column) shift of each raw image.
    rotations_deg : (n_tilts,) [deg]
        In-plane rotation of each image against ``tilt_axis_deg``.
    axis_offset_px : float [px]
        Constant offset of the axis across itself.
    """

    angles_deg: Float64
    tilt_axis_deg: float
    shifts_px: Float64
    rotations_deg: Float64
    axis_offset_px: float = 0.0

    def __post_init__(self) -> None:
        n = len(self.angles_deg)
        for name, shape in (("shifts_px", (n, 2)), ("rotations_deg", (n,))):
            value = getattr(self, name)
            if value.shape != shape:
                raise InputError(f"{name}: found shape {value.shape}, expected {shape}")
        for name in ("angles_deg", "tilt_axis_deg", "shifts_px", "rotations_deg", "axis_offset_px"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name}: found NaN or infinity, expected finite numbers")
        largest = max(np.abs(self.shifts_px).max(), abs(self.axis_offset_px))
        if largest > MAX_SHIFT_PX:
            raise InputError(
                f"shifts_px: found a shift of {largest:g} px, expected at most {MAX_SHIFT_PX:g} px"
            )

    def __len__(self) -> int:
        return len(self.angles_deg)

    @classmethod
    def single_axis(
        cls,
        angles_deg: npt.ArrayLike,
        *,
        tilt_axis_deg: float = 0.0,
        shifts_px: npt.ArrayLike | None = None,
        rotations_deg: npt.ArrayLike | None = None,
        axis_offset_px: float = 0.0,
    ) -> Geometry:
        """Return the geometry of images tilted about one axis; what is not given is zero.

        Raises
        ------
        InputError
            A wrong shape or a number that is not finite, by name.
        """
        angles = as_angles(angles_deg, "angles_deg")
        n = len(angles)
        shifts = np.zeros((n, 2)) if shifts_px is None else shifts_px
        rotations = np.zeros(n) if rotations_deg is None else rotations_deg
        return cls(
            angles_deg=angles.copy(),
            tilt_axis_deg=float(tilt_axis_deg),
            shifts_px=as_core(shifts, "shifts_px", ("n_tilts", "2"), np.float64).copy(),
            rotations_deg=as_angles(rotations, "rotations_deg", n).copy(),
            axis_offset_px=float(axis_offset_px),
        )

    @classmethod
    def from_alignment(cls, alignment: Alignment, *, keep: bool = True) -> Geometry:
        """Return the geometry that an alignment describes.

        Parameters
        ----------
        alignment : Alignment
        keep : bool, default True
            Leave out flagged tilts (``images[alignment.kept]`` are the images that belong to the
            result); False keeps all.
        """
        geometry = cls.single_axis(
            alignment.angles_deg,
            tilt_axis_deg=alignment.tilt_axis_deg,
            shifts_px=alignment.shifts_px,
            rotations_deg=alignment.rotations_deg,
            axis_offset_px=alignment.axis_offset_px,
        )
        return geometry.subset(alignment.kept) if keep and alignment.flags else geometry

    def subset(self, index: Sequence[int] | slice | npt.NDArray[Any]) -> Geometry:
        """Return the geometry of some images: indices, a slice or a mask, as in NumPy."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        if not len(chosen):
            raise InputError("index: found no tilt, expected at least one")
        return replace(
            self,
            angles_deg=self.angles_deg[chosen],
            shifts_px=self.shifts_px[chosen],
            rotations_deg=self.rotations_deg[chosen],
        )

    def scaled(self, binning: float, image_shape: tuple[int, int] | None = None) -> Geometry:
        """Return the geometry of the same images binned by ``binning``.

        Parameters
        ----------
        binning : float
            Old pixels per new pixel along each edge.
        image_shape : (int, int), optional
            (height, width) before binning. Needed when it is not a multiple of ``binning`` and the
            remainder was dropped at the end: the centre of the binned image then lies elsewhere.
        """
        if not (math.isfinite(binning) and binning > 0):
            raise InputError(f"binning: found {binning}, expected a positive number")
        shifts = self.shifts_px / binning
        if image_shape is not None:
            full = np.array(image_shape, float) / binning
            shifts = shifts + (full - np.floor(full)) / 2
        return replace(self, shifts_px=shifts, axis_offset_px=self.axis_offset_px / binning)

    def volume_shape(self, image_shape: tuple[int, int], thickness: int) -> tuple[int, int, int]:
        """Return (nz, ny, nx) of the volume that the images look at: y along the tilt axis.

        With the axis nearer to the horizontal, ny is the images' width and nx their height.
        """
        height, width = image_shape
        c, s = _cos_sin(self.tilt_axis_deg)
        ny, nx = (height, width) if abs(c) >= abs(s) else (width, height)
        return (int(thickness), int(ny), int(nx))

    def poses(self) -> Float64:
        """Return (n_tilts, 7): cos, sin of the tilt, of the axis, shift row, column, axis offset."""
        out = np.empty((len(self), 7))
        for i, (angle, rotation) in enumerate(
            zip(self.angles_deg, self.rotations_deg, strict=True)
        ):
            out[i, 0:2] = _cos_sin(angle)
            out[i, 2:4] = _cos_sin(self.tilt_axis_deg + rotation)
        out[:, 4:6] = self.shifts_px
        out[:, 6] = self.axis_offset_px
        return out


def _cos_sin(degrees: float) -> tuple[float, float]:
    """Cosine and sine, exact at multiples of 90 degrees (where nothing needs interpolation)."""
    quarter = round(degrees / 90.0)
    rest = math.radians(degrees - 90.0 * quarter)
    c, s = math.cos(rest), math.sin(rest)
    return ((c, s), (-s, c), (-c, -s), (s, -c))[quarter % 4]
