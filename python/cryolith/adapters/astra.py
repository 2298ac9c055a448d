# SPDX-License-Identifier: BSD-3-Clause
"""ASTRA toolbox: parallel-beam geometries in two and three dimensions, (v, angle, u) data, (z, y, x) volumes.

ASTRA's frame is ours turned by 90 degrees about x: its (x, y, z) is our (x, -z, y). Its tilt axis z is our y, its y
points against our z, and so its angle is the negative of our tilt.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from .._arrays import as_core
from ..errors import InputError
from ..projection import Geometry
from .arrays import Array, Float64, as_view

__all__ = [
    "from_geometry",
    "from_stack",
    "from_volume",
    "to_geometry",
    "to_stack",
    "to_volume",
    "to_volume_geometry",
]

# (z, y, x) of ours from (x, y, z) of ASTRA: z = -y, y = z, x = x.
OURS_FROM_ASTRA = np.array([[0.0, -1.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]])
TOLERANCE = 1e-6


def from_geometry(proj_geom: Mapping[str, Any]) -> Geometry:
    """Return the geometry of an ASTRA projection geometry.

    Parameters
    ----------
    proj_geom : dict
        Of type ``parallel3d``, ``parallel3d_vec``, ``parallel`` or ``parallel_vec``, as ``astra.create_proj_geom``
        and ``astra.geom_2vec`` make it, in units of a voxel's edge.

    Returns
    -------
    Geometry
        For :func:`from_stack` of its data and :func:`from_volume` of a volume centred on the origin (ASTRA's
        default). Two-dimensional geometries have one detector row, as high as it is wide.

    Raises
    ------
    InputError
        Another type (fan and cone beams), a ray in the detector's plane, or detector pixels that seen along the
        ray are not square.
    """
    vectors = _vectors(proj_geom)
    views, shifts = np.empty((len(vectors), 2, 3)), np.empty((len(vectors), 2))
    for i, (ray, centre, u, v) in enumerate(vectors.reshape(-1, 4, 3)):
        basis = np.stack([v, u, ray], axis=1)
        if abs(np.linalg.det(basis)) <= TOLERANCE * np.prod(np.linalg.norm(basis, axis=0)):
            raise InputError(
                f"proj_geom: found a ray in the detector's plane at view {i}, expected it to cross; mend its vectors"
            )
        # p = centre + row v + column u + t ray, solved for (row, column)
        to_detector = np.linalg.inv(basis)[:2]
        views[i] = to_detector @ OURS_FROM_ASTRA.T
        shifts[i] = -to_detector @ centre
    return Geometry.from_poses(views, shifts_px=shifts)


def to_geometry(geometry: Geometry, image_shape: tuple[int, int]) -> dict[str, Any]:
    """Return a ``parallel3d_vec`` geometry for ``astra``, the inverse of :func:`from_geometry`.

    Parameters
    ----------
    geometry : Geometry
        ASTRA's unit is the edge of a voxel: where ``sampling`` is not 1 its projections come out divided by it.
    image_shape : (int, int)
        (height, width) of the images.
    """
    vectors = np.empty((len(geometry), 4, 3))
    for i, seen in enumerate(geometry.matrices()):
        (row, column), (row_shift, column_shift) = seen[:, :3], seen[:, 3]
        scale = row @ row  # steps along the detector are the reciprocals of its rows
        middle = -(row_shift * row + column_shift * column) / scale
        beam = np.cross(row, column) / scale  # column x row in (x, y, z) order
        vectors[i] = np.stack([beam, middle, column / scale, row / scale]) @ OURS_FROM_ASTRA
    return {
        "type": "parallel3d_vec",
        "DetectorRowCount": int(image_shape[0]),
        "DetectorColCount": int(image_shape[1]),
        "Vectors": vectors.reshape(-1, 12),
    }


def to_volume_geometry(shape: tuple[int, int, int]) -> dict[str, Any]:
    """Return the ``vol_geom`` of a volume (nz, ny, nx): ASTRA's rows (y) are our nz, its slices (z) our ny."""
    nz, ny, nx = shape
    edges = {"X": nx / 2, "Y": nz / 2, "Z": ny / 2}
    return {
        "GridRowCount": int(nz),
        "GridColCount": int(nx),
        "GridSliceCount": int(ny),
        "option": {
            f"Window{end}{axis}": sign * half
            for axis, half in edges.items()
            for end, sign in (("Min", -1), ("Max", 1))
        },
    }


def from_stack(data: npt.ArrayLike) -> Array:
    """Return (v, angle, u) or (angle, u) data as a stack (n_tilts, height, width): a view."""
    a = as_view(data, "data", ("v", "angle", "u"), ("angle", "u"))
    return a.swapaxes(0, 1) if a.ndim == 3 else a[:, None]


def to_stack(stack: npt.ArrayLike) -> Array:
    """Return a stack (n_tilts, height, width) as (v, angle, u) data: a view; one row of it is 2-D data."""
    return as_view(stack, "stack", ("n_tilts", "height", "width")).swapaxes(0, 1)


def from_volume(data: npt.ArrayLike) -> Array:
    """Return a volume (z, y, x), or a slice whose row 0 is at the top, as (nz, ny, nx): a view."""
    a = as_view(data, "data", ("z", "y", "x"), ("y", "x"))
    return a.swapaxes(0, 1)[::-1] if a.ndim == 3 else a[:, None]


def to_volume(volume: npt.ArrayLike) -> Array:
    """Return a volume (nz, ny, nx) as ASTRA's (z, y, x): a view. ``volume[:, j]`` is its 2-D slice as it is."""
    return as_view(volume, "volume", ("nz", "ny", "nx"))[::-1].swapaxes(0, 1)


def _vectors(proj_geom: Mapping[str, Any]) -> Float64:
    """Return (n_views, 12): ray, centre of the detector, steps along u and v, as in ``parallel3d_vec``."""
    kind = proj_geom.get("type")
    if kind == "parallel3d_vec":
        return _table(proj_geom["Vectors"], 12)
    if kind == "parallel_vec":
        flat = _table(proj_geom["Vectors"], 6)
        out = np.zeros((len(flat), 4, 3))
        out[:, :3, :2] = flat.reshape(-1, 3, 2)
        out[:, 3, 2] = np.linalg.norm(out[:, 2], axis=1)
        return out.reshape(-1, 12)
    if kind not in ("parallel", "parallel3d"):
        raise InputError(
            f"proj_geom: found type {kind!r}, expected parallel3d, parallel3d_vec, parallel or parallel_vec"
        )
    angles = as_core(proj_geom["ProjectionAngles"], "ProjectionAngles", ("n",), np.float64)
    width = float(proj_geom["DetectorWidth" if kind == "parallel" else "DetectorSpacingX"])
    height = width if kind == "parallel" else float(proj_geom["DetectorSpacingY"])
    c, s = np.cos(angles), np.sin(angles)
    out = np.zeros((len(angles), 4, 3))
    out[:, 0, 0], out[:, 0, 1] = s, -c
    out[:, 2, 0], out[:, 2, 1] = width * c, width * s
    out[:, 3, 2] = height
    return out.reshape(-1, 12)


def _table(vectors: npt.ArrayLike, columns: int) -> Float64:
    table: Float64 = as_core(vectors, "Vectors", ("n_views", str(columns)), np.float64)
    if table.shape[1] != columns or not np.isfinite(table).all():
        raise InputError(
            f"Vectors: found shape {table.shape}, expected ({len(table)}, {columns}) finite numbers"
        )
    return table
