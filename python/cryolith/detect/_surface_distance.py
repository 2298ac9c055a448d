# SPDX-License-Identifier: BSD-3-Clause
"""The signed distance of voxels from a surface given by points and normals."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError
from ._inputs import Float32, Float64, Mask
from .components import label
from .distances import distance

__all__ = ["need", "signed_distance"]


def need(module: str) -> Any:
    """Import a module of the extra ``surfaces`` or say what to install."""
    import importlib

    try:
        return importlib.import_module(module)
    except ImportError:
        raise InputError(
            f"{module.partition('.')[0]}: found no such package, expected it for meshes; "
            "install the extra: pip install 'cryolith[surfaces]'"
        ) from None


def signed_distance(
    shape: tuple[int, int, int], points: Float64, normals: Float64, reach: float, threads: int
) -> Float32:
    """Return (nz, ny, nx) distances [px] along the normals, cut at -+ ``reach``; positive where the normals point.

    Near the surface: the distance from the tangent plane of the nearest point. Farther off only the side counts, taken
    from the voxels next to it.
    """
    near = _tube(shape, points, reach, threads)
    at = np.argwhere(near)
    tree = need("scipy.spatial").cKDTree(points)
    index = tree.query(at)[1]
    found = np.einsum("ni,ni->n", at - points[index], normals[index])
    out = np.zeros(shape, np.float32)
    out[near] = np.clip(found, -reach, reach)
    _fill_sides(out, near, reach, threads)
    return out


def _tube(shape: tuple[int, int, int], points: Float64, reach: float, threads: int) -> Mask:
    cell = np.rint(points).astype(np.int64)
    cell = cell[((cell >= 0) & (cell < shape)).all(axis=1)]
    if not len(cell):
        raise InputError(
            "surface: found no point inside of the volume, expected some; are the units the same?"
        )
    free = np.ones(shape, bool)
    free[tuple(cell.T)] = False
    out: Mask = distance(free, threads=threads) <= reach + 1.5
    return out


def _fill_sides(level: Float32, near: Mask, reach: float, threads: int) -> None:
    """Give each connected part outside of the tube the sign that its neighbours in the tube have."""
    parts, count = label(~near, 6, dtype=np.int32, threads=threads)
    votes = np.zeros(count + 1)
    for axis in range(3):
        one, other = (np.moveaxis(a, axis, 0) for a in (parts, level))
        for p, v in ((one[1:], other[:-1]), (one[:-1], other[1:])):
            votes += np.bincount(p.ravel(), v.ravel(), count + 1)
    signs = np.where(votes < 0, -reach, reach).astype(np.float32)
    level[~near] = signs[parts[~near]]
