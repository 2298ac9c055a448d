# SPDX-License-Identifier: BSD-3-Clause
"""From sums over regions to columns with units and errors."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._crofton import FACES, area_errors, area_weights
from ._inputs import Float64, Table

__all__ = ["Pixel", "Sums", "as_pixel", "contact_table", "pointing", "region_table"]

Int64 = npt.NDArray[np.int64]
_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))  # of the squares: zz yy xx zy zx yx
_BLOCK = 1 << 14  # regions whose axes are found at a time


@dataclass(frozen=True)
class Pixel:
    """The size of a voxel along z, y, x, and its unit: nm, or px if it is not known."""

    unit: str
    size: Float64

    @property
    def volume(self) -> float:
        return float(self.size.prod())

    @property
    def edge(self) -> float:
        """Edge of a cube of the same volume."""
        return float(np.cbrt(self.volume))


def as_pixel(pixel_size: float | npt.ArrayLike | None) -> Pixel:
    """Return the voxel of ``pixel_size`` [angstrom]: one length, or one for each of z, y, x."""
    if pixel_size is None:
        return Pixel("px", np.ones(3))
    size = np.asarray(pixel_size, np.float64)
    if size.shape not in ((), (3,)) or not (np.isfinite(size).all() and (size > 0).all()):
        raise InputError(
            f"pixel_size: found {pixel_size}, expected a positive length in angstrom, or three (z, y, x)"
        )
    return Pixel("nm", np.broadcast_to(size / 10, 3).copy())


@dataclass
class Sums:
    """Sums over each of n regions; what was not asked for is None. Columns: cpp/detect/region_table.hpp."""

    extent: Int64
    moments: Int64 | None = None
    exits: Int64 | None = None
    euler: Int64 | None = None
    intensity: Float64 | None = None

    @classmethod
    def empty(cls, n: int, *, moments: bool, exits: bool, euler: bool, intensity: bool) -> Sums:
        return cls(
            np.empty((n, 7), np.int64),
            np.empty((n, 9), np.int64) if moments else None,
            np.empty((n, 16), np.int64) if exits else None,
            np.empty(n, np.int64) if euler else None,
            np.empty((n, 5), np.float64) if intensity else None,
        )

    def columns(self) -> _core.RegionColumns:
        return _core.RegionColumns(
            self.extent, self.moments, self.exits, self.euler, self.intensity
        )

    def only(self, rows: npt.NDArray[np.bool_]) -> Sums:
        """Return the sums of some of the regions."""
        parts = (self.extent, self.moments, self.exits, self.euler, self.intensity)
        return Sums(*(None if p is None else p[rows] for p in parts))  # type: ignore[arg-type]


def region_table(
    names: Int64, sums: Sums, shape: tuple[int, ...], pixel: Pixel, edge_sigma_px: float
) -> Table:
    """Return the columns of :func:`cryolith.detect.regions`; groups of sums are let go as they are used."""
    if not (math.isfinite(edge_sigma_px) and edge_sigma_px >= 0):
        raise InputError(f"edge_sigma_px: found {edge_sigma_px}, expected a length of 0 or more")
    voxels = sums.extent[:, 0].copy()
    table: Table = {"label": names, "voxels": voxels}
    volume: Float64 = voxels.astype(np.float64) * pixel.volume
    diameter: Float64 = np.cbrt(6 * volume / math.pi)
    table[f"volume_{pixel.unit}3"] = volume
    table[f"diameter_{pixel.unit}"] = diameter
    if sums.exits is not None:
        table |= _surfaces(sums.exits, volume, diameter, pixel, edge_sigma_px)
        sums.exits = None
    if sums.moments is not None:
        table |= _places(sums.moments, voxels, shape, pixel)
    for k, end in ((1, 0), (4, 1)):
        for i, name in enumerate("zyx"):
            table[f"{name}{end}"] = sums.extent[:, k + i] + end
    if sums.moments is not None:
        table |= _axes(sums.moments, sums.extent, pixel)
        sums.moments = None
    if sums.intensity is not None:
        table |= _intensities(names, voxels, sums.intensity)
    edge = np.array([n if n > 1 else -1 for n in shape])
    low, high = sums.extent[:, 1:4], sums.extent[:, 4:7]
    table["touches_border"] = (((low == 0) & (edge > 0)) | (high == edge - 1)).any(axis=1)
    return table


def _surfaces(
    exits: Int64, volume: Float64, diameter: Float64, pixel: Pixel, edge_sigma_px: float
) -> Table:
    surface = exits[:, :13] @ area_weights(pixel.size)
    sigma = surface * edge_sigma_px * pixel.edge
    faces = pixel.volume / pixel.size
    return {
        f"sigma_volume_{pixel.unit}3": sigma,
        f"sigma_diameter_{pixel.unit}": diameter * sigma / (3 * volume),
        f"surface_{pixel.unit}2": surface,
        "sphericity": math.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface,
        f"border_{pixel.unit}2": exits[:, 13:] @ faces,
    }


def _places(moments: Int64, voxels: Int64, shape: tuple[int, ...], pixel: Pixel) -> Table:
    table: Table = {}
    centroid = moments[:, :3] / voxels[:, None]
    if pixel.unit == "nm":
        for i, name in enumerate("zyx"):
            table[f"{name}_nm"] = (centroid[:, i] - (shape[i] - 1) / 2) * pixel.size[i]
    for i, name in enumerate("zyx"):
        table[f"{name}_px"] = centroid[:, i].copy()
    return table


def _axes(moments: Int64, extent: Int64, pixel: Pixel) -> Table:
    names = [f"axis{k}_{pixel.unit}" for k in (1, 2, 3)]
    names += [f"axis{k}_{name}" for k in (1, 2, 3) for name in "zyx"]
    columns = np.empty((len(names), len(extent)))
    for at in range(0, len(extent), _BLOCK):  # what lies in between stays in the caches
        rows = slice(at, at + _BLOCK)
        spread, vectors = np.linalg.eigh(_covariance(moments[rows], extent[rows], pixel))
        # A solid ellipsoid of semi-axis a has the second moment a^2 / 5 along it.
        columns[:3, rows] = 2 * np.sqrt(5 * np.maximum(spread, 0))[:, ::-1].T
        for k in range(3):
            columns[3 + 3 * k : 6 + 3 * k, rows] = pointing(vectors[:, :, 2 - k]).T
    return dict(zip(names, columns, strict=True))


def _covariance(moments: Int64, extent: Int64, pixel: Pixel) -> Float64:
    n = extent[:, 0]
    # Shifted to the corner of the box in integers first: exact, and no digits are lost far from the origin.
    low, total = extent[:, 1:4], moments[:, :3]
    first = total - n[:, None] * low
    covariance = np.empty((len(n), 3, 3))
    for k, (i, j) in enumerate(_PAIRS):
        square = moments[:, 3 + k] - low[:, i] * total[:, j] - low[:, j] * total[:, i]
        square += n * low[:, i] * low[:, j]
        value = square / n - (first[:, i] / n) * (first[:, j] / n) + (i == j) / 12
        covariance[:, i, j] = covariance[:, j, i] = value * (pixel.size[i] * pixel.size[j])
    return covariance


def pointing(vectors: Float64) -> Float64:
    """Turn unit vectors so that their largest component is positive."""
    largest = np.abs(vectors).argmax(axis=1)
    sign = np.sign(np.take_along_axis(vectors, largest[:, None], axis=1))
    out: Float64 = vectors * sign
    return out


def _intensities(names: Int64, voxels: Int64, sums: Float64) -> Table:
    bad = names[~np.isfinite(sums[:, 2])]
    if bad.size:
        raise InputError(
            f"intensity: found NaN or infinite voxels in {bad.size} regions, the first of them {bad[0]}, "
            "expected finite numbers; replace them (numpy.nan_to_num) or leave them out of the regions"
        )
    centre, mean = sums[:, 0], sums[:, 1] / voxels
    return {
        "intensity_mean": centre + mean,
        "intensity_sd": np.sqrt(np.maximum(sums[:, 2] / voxels - mean**2, 0)),
        "intensity_min": sums[:, 3].copy(),
        "intensity_max": sums[:, 4].copy(),
        "intensity_sum": sums[:, 1] + voxels * centre,
    }


def contact_table(found: tuple[Any, ...], names: npt.NDArray[Any], pixel: Pixel) -> Table:
    """Return the columns of :func:`cryolith.detect.contacts` from what the core found: pairs and counts."""
    pairs, counts = found
    # A line that crosses the surface of a region ends in it once and begins once: here both are counted.
    lines = counts / 2
    return {
        "label": names[pairs[:, 0] - 1],
        "other": names[pairs[:, 1] - 1],
        "faces": counts[:, FACES].sum(axis=1),
        f"contact_{pixel.unit}2": lines @ area_weights(pixel.size),
        f"sigma_contact_{pixel.unit}2": area_errors(lines, pixel.size),
    }
