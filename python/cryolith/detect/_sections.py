# SPDX-License-Identifier: BSD-3-Clause
"""Blobs as sections times profiles: where a reconstruction treats all rows alike, one row stands for a whole blob."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ..projection import Geometry
from ..reconstruct import sart, sirt, wbp
from ._gaussian_blobs import Blobs
from ._inputs import Float32, Float64
from ._reprojected import Reprojected

__all__ = ["blob_sections", "rows_alike", "spread_rows"]

_SOLVERS = (wbp, sirt, sart)  # linear in the images, each row by itself
_DRAWN = 5  # standard deviations that a blob is drawn to, as the core does in volumes


def rows_alike(geometry: Geometry, solve: Callable[..., Any]) -> bool:
    """Return whether each row (y) of the volume is projected to, and solved from, the image row of its own number.

    ``solve`` must be a solver without arrays among its bound options: a mask or weights may differ by row.
    """
    if isinstance(solve, Reprojected):
        solve = solve.solve
    given = solve.keywords if isinstance(solve, functools.partial) else {}
    solver = solve.func if isinstance(solve, functools.partial) else solve
    known = any(solver is one for one in _SOLVERS)
    plain = all(value is None or isinstance(value, int | float | str) for value in given.values())
    row = geometry.matrices()[:, 0]
    straight = geometry.local is None and bool((row == (0.0, 1.0, 0.0, 0.0)).all())
    return known and plain and straight


def _profiles(places: Float64, sizes: Float64, n: int) -> Float32:
    """Return (n_blobs, n): each blob along one axis."""
    apart = np.arange(n) - places[:, None]
    values = np.exp(-0.5 * (apart / sizes[:, None]) ** 2)
    values[np.abs(apart) > np.ceil(_DRAWN * sizes)[:, None] + 1] = 0
    out: Float32 = values.astype(np.float32)
    return out


def blob_sections(blobs: Blobs, nz: int, nx: int) -> Float32:
    """Return (nz, n_blobs, nx): each blob's section through its centre, at its full height."""
    z = _profiles(blobs.places[:, 0], blobs.sizes, nz) * blobs.heights[:, None].astype(np.float32)
    x = _profiles(blobs.places[:, 2], blobs.sizes, nx)
    return np.ascontiguousarray(z.T[:, :, None] * x[None])


def spread_rows(sections: Float32, blobs: Blobs, out: Float32) -> None:
    """Add (nz, n_blobs, nx) sections to (nz, ny, nx) ``out``, each over the rows that its blob reaches."""
    along = _profiles(blobs.places[:, 1], blobs.sizes, out.shape[1])
    for i, (y, size) in enumerate(zip(blobs.places[:, 1], blobs.sizes, strict=True)):
        reach = _DRAWN * size + 2
        rows = slice(max(0, math.floor(y - reach)), max(0, math.ceil(y + reach)))
        out[:, rows] += sections[:, i, None] * along[i, rows, None]
