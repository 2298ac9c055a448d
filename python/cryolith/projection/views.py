# SPDX-License-Identifier: BSD-3-Clause
"""The numbers that say how images see a volume, and what the projectors take of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import Self

from ..datamodel import LocalShifts
from ..errors import InputError
from .rotations import cos_sin, rotation_matrix

__all__ = ["Float64", "Views"]

Float64 = npt.NDArray[np.float64]
MAX_SHIFT_PX = 1e6
# Magnifications and voxel edges beyond these factors are a unit mistaken for another.
MAX_SCALE = 1e3
# Largest y component of a beam that counts as none: 1e-3 px at the far end of the largest volume.
IN_PLANE = 1e-9


@dataclass(frozen=True, kw_only=True, eq=False)
class Views:
    """The attributes of :class:`Geometry`, checked, and the matrices that follow from them."""

    angles_deg: Float64
    tilt_axis_deg: float
    shifts_px: Float64
    rotations_deg: Float64
    x_tilts_deg: Float64
    magnifications: Float64
    axis_offset_px: float
    centre_px: Float64
    sampling: float
    local: LocalShifts | None = None

    def __post_init__(self) -> None:
        n = len(self.angles_deg)
        shapes: dict[str, tuple[int, ...]] = {"shifts_px": (n, 2), "centre_px": (3,)}
        shapes |= dict.fromkeys(("rotations_deg", "x_tilts_deg", "magnifications"), (n,))
        for name, shape in shapes.items():
            value = getattr(self, name)
            if value.shape != shape:
                raise InputError(f"{name}: found shape {value.shape}, expected {shape}")
        if self.local is not None:
            self._check_local(self.local)
        for name in (*shapes, "angles_deg", "tilt_axis_deg", "axis_offset_px", "sampling"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name}: found NaN or infinity, expected finite numbers")
        for name in ("shifts_px", "axis_offset_px", "centre_px"):
            largest = float(np.abs(getattr(self, name)).max())
            if largest > MAX_SHIFT_PX:
                raise InputError(
                    f"{name}: found {largest:g} px, expected at most {MAX_SHIFT_PX:g} px"
                )
        for name in ("magnifications", "sampling"):
            for value in np.atleast_1d(getattr(self, name)):
                if not 1 / MAX_SCALE <= value <= MAX_SCALE:
                    raise InputError(
                        f"{name}: found {value:g}, expected {1 / MAX_SCALE:g} to {MAX_SCALE:g}"
                    )

    def _check_local(self, local: LocalShifts) -> None:
        if len(local.good) != len(self):
            raise InputError(
                f"local: found {len(local.good)} entries, expected {len(self)}, one a tilt"
            )
        for name in ("points_px", "shifts_px"):
            if not np.isfinite(getattr(local, name)[local.good]).all():
                raise InputError(
                    f"local.{name}: found NaN or infinity at a good point, expected finite numbers"
                )

    def __len__(self) -> int:
        return len(self.angles_deg)

    def rotations(self) -> Float64:
        """Return (n_tilts, 3, 3): (beam, row, column) = rotation (z, y, x), before magnification and shift."""
        psi = self.tilt_axis_deg + self.rotations_deg
        angles = zip(self.x_tilts_deg, self.angles_deg, psi, strict=True)
        return np.array([rotation_matrix(x_deg=x, y_deg=y, z_deg=z) for x, y, z in angles])

    def matrices(self) -> Float64:
        """Return (n_tilts, 2, 4): (row, column) from the image's centre = m (z, y, x, 1), voxels from the volume's."""
        out = np.empty((len(self), 2, 4))
        seen = self.magnifications[:, None, None] * self.rotations()[:, 1:]
        out[:, :, :3] = self.sampling * seen
        out[:, :, 3] = self._origins() + seen @ self.centre_px
        return out

    def weights(self) -> Float64:
        """Return (n_tilts,): what a voxel of value 1 adds to the sum of an image, ``sampling^3 magnification^2``.

        A projection is the line integral of the density, in pixels of the specimen frame; a voxel holds
        sampling^3 of them, and an image pixel is 1 / magnification wide.
        """
        return np.asarray(self.sampling**3 * self.magnifications**2)

    @property
    def crosses_y(self) -> bool:
        """False where all rays are perpendicular to the volume's y: what the fast projector needs."""
        return _cross_y(self.rotations())

    def poses(self) -> Float64:
        """Return (n_tilts, 8) for rays perpendicular to the volume's y: what :class:`ProjectionPlan` takes.

        cos, sin of the tilt, of the axis, shift row, column (of the volume's centre), axis offset, scale: detector
        pixels per voxel.

        Raises
        ------
        InputError
            Rays that cross y: take :meth:`matrices`.
        """
        rotations, scale = self.rotations(), self.magnifications
        if _cross_y(rotations):
            raise InputError(
                "geometry: found rays that are not perpendicular to the volume's y, expected a common tilt axis "
                "along it; use matrices()"
            )
        out = np.empty((len(self), 8))
        out[:, 0], out[:, 1] = rotations[:, 0, 0], -rotations[:, 0, 2]
        out[:, 2], out[:, 3] = rotations[:, 1, 1], -rotations[:, 2, 1]
        out[:, 4:6] = self.shifts_px + scale[:, None] * (rotations[:, 1:] @ self.centre_px)
        out[:, 6] = scale * self.axis_offset_px
        out[:, 7] = scale * self.sampling
        return out

    def _origins(self) -> Float64:
        """Return (n_tilts, 2): where each image sees the specimen's origin, from the image's centre [px]."""
        psi = [cos_sin(a) for a in self.tilt_axis_deg + self.rotations_deg]
        along_u = np.array([(s, c) for c, s in psi])
        return np.asarray(
            self.shifts_px + self.axis_offset_px * self.magnifications[:, None] * along_u
        )

    def moved_to_shifts(self) -> Self:
        """Return the same geometry with the axis offset and the volume's centre put into the shifts."""
        return replace(
            self,
            shifts_px=self.matrices()[:, :, 3],
            axis_offset_px=0.0,
            centre_px=np.zeros(3),
        )

    def subset(self, index: Sequence[int] | slice | npt.NDArray[Any]) -> Self:
        """Return the geometry of some images: indices, a slice or a mask, as in NumPy."""
        chosen = np.atleast_1d(np.arange(len(self))[index])
        if not len(chosen):
            raise InputError("index: found no tilt, expected at least one")
        names = ("angles_deg", "shifts_px", "rotations_deg", "x_tilts_deg", "magnifications")
        local = None if self.local is None else self.local.subset(chosen)
        return replace(self, **{name: getattr(self, name)[chosen] for name in names}, local=local)


def _cross_y(rotations: Float64) -> bool:
    return bool(np.abs(rotations[:, 0, 1]).max() > IN_PLANE)
