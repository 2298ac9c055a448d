# SPDX-License-Identifier: BSD-3-Clause
"""Surfaces as triangle meshes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._inputs import Float64

__all__ = ["Surface"]

Int64 = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Surface:
    """A triangle mesh whose faces turn counter-clockwise when seen from outside.

    Attributes
    ----------
    vertices : (n, 3) float64 [nm]
        (z, y, x) from the centre of the volume; in px where the pixel size is not known.
    faces : (m, 3) int64
        Indices of vertices.
    fields : mapping of str to (n,) array
        One number per vertex; the unit is in the name.
    pixel_size : float or None [angstrom]
        Edge of a voxel.
    shape : (int, int, int)
        (nz, ny, nx) of the volume that it lies in.
    """

    vertices: Float64
    faces: Int64
    shape: tuple[int, int, int]
    fields: Mapping[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    pixel_size: float | None = None

    def __post_init__(self) -> None:
        for name, width in (("vertices", 3), ("faces", 3)):
            value = getattr(self, name)
            if value.ndim != 2 or value.shape[1] != width:
                raise InputError(f"{name}: found shape {value.shape}, expected (n, {width})")
        if len(self.faces) and not (
            self.faces.min() >= 0 and self.faces.max() < len(self.vertices)
        ):
            raise InputError(
                f"faces: found indices {self.faces.min()} to {self.faces.max()}, expected 0 to "
                f"{len(self.vertices) - 1}, those of the vertices"
            )
        for name, value in self.fields.items():
            if value.shape != (len(self.vertices),):
                raise InputError(
                    f"fields: found shape {value.shape} of {name!r}, expected ({len(self.vertices)},), one per vertex"
                )

    @property
    def unit(self) -> str:
        """nm, or px where the pixel size is not known."""
        return "px" if self.pixel_size is None else "nm"

    @property
    def pixel(self) -> float:
        """Edge of a voxel in that unit."""
        return 1.0 if self.pixel_size is None else self.pixel_size / 10.0

    def voxels(self) -> Float64:
        """Return the vertices as (z, y, x) indices of voxels."""
        out: Float64 = self.vertices / self.pixel + (np.array(self.shape) - 1) / 2
        return out
