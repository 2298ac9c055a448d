# SPDX-License-Identifier: BSD-3-Clause
"""What every detector asks of its input, said once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..datamodel import Volume
from ..errors import InputError

__all__ = [
    "AXES",
    "Float32",
    "Float64",
    "Margins",
    "Mask",
    "Table",
    "as_field",
    "as_mask",
    "as_volume",
    "inside",
    "unit_of",
]

AXES = ("nz", "ny", "nx")
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
Table = dict[str, npt.NDArray[Any]]
Margins = tuple[int, int, int]  # voxels at either face of z, y and x in which nothing is looked for


def inside(margins: Margins) -> tuple[slice, slice, slice]:
    """Return what cuts the margins off a volume."""
    z, y, x = (slice(margin, -margin) for margin in margins)
    return z, y, x


def as_volume(
    volume: Volume | npt.ArrayLike, pixel_size: float | None, name: str = "volume"
) -> tuple[Float32, float | None]:
    """Return (nz, ny, nx) float32 without NaN or infinity, and the pixel size [angstrom] if known."""
    if isinstance(volume, Volume):
        pixel_size = volume.pixel_size if pixel_size is None else pixel_size
        volume = volume.data
    data: Float32 = as_core(volume, name, AXES)
    bad = int(data.size - np.count_nonzero(np.isfinite(data)))
    if bad:
        raise InputError(
            f"{name}: found {bad} NaN or infinite voxels, expected finite numbers; "
            "replace them (numpy.nan_to_num) or crop them away"
        )
    if pixel_size is not None and not (math.isfinite(pixel_size) and pixel_size > 0):
        raise InputError(f"pixel_size: found {pixel_size}, expected a positive length in angstrom")
    return data, pixel_size


def as_field(
    intensity: Volume | npt.ArrayLike | None,
    pixel_size: float | Sequence[float] | None,
    shape: tuple[int, ...],
) -> tuple[Float32 | None, float | Sequence[float] | None]:
    """Return values (nz, ny, nx) float32 of voxels to be measured, if any, and the pixel size [angstrom] if known."""
    if intensity is None:
        return None, pixel_size
    if isinstance(intensity, Volume):
        pixel_size = intensity.pixel_size if pixel_size is None else pixel_size
        intensity = intensity.data
    values: Float32 = as_core(intensity, "intensity", AXES)
    if values.shape != shape:
        raise InputError(f"intensity: found shape {values.shape}, expected {shape} as in labels")
    return values, pixel_size


def as_mask(mask: npt.ArrayLike, name: str, shape: tuple[int, ...] | None = None) -> Mask:
    """Return (nz, ny, nx) bool from booleans or integers; fractions are refused."""
    a = np.asarray(mask)
    if a.dtype.kind not in "biu":
        raise InputError(
            f"{name}: found dtype {a.dtype}, expected bool or integers; "
            "compare the values with a threshold first"
        )
    out: Mask = as_core(a if a.dtype == bool else a != 0, name, AXES, np.bool_)
    if shape is not None and out.shape != shape:
        raise InputError(f"{name}: found shape {out.shape}, expected {shape}")
    return out


def unit_of(pixel_size: float | None) -> tuple[str, float]:
    """Return the unit of lengths in a table and the length of a pixel in it: nm, or px if unknown."""
    return ("px", 1.0) if pixel_size is None else ("nm", pixel_size / 10.0)
