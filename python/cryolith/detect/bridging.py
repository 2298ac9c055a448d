# SPDX-License-Identifier: BSD-3-Clause
"""A surface carried over its holes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ._curvature import tangents
from ._edge_refinement import mean_over
from ._inputs import Float64
from ._mesh import areas_and_normals, relaxed
from ._surface_distance import need, signed_distance
from .surfaces import Surface

__all__ = ["bridged"]

_PASSES = 3
_REWEIGHTED = 6
_CUT = 4.0  # robust standard deviations from where on a neighbour does not count (Tukey's biweight)
_MOST = 80  # neighbours that are looked at
_LEAST_SPREAD = 0.25  # px
_REACH = 3.0  # px that the distance is known on either side
_FARTHEST = 2.0  # px from the points that a surface is made of


def bridged(surface: Surface, radius_px: float = 12.0) -> Surface:
    """Return the surface carried smoothly over dips and bumps: over pinholes that it ran into.

    Parameters
    ----------
    surface : Surface
    radius_px : float, default 12
        Of the neighbourhood that a quadric is fitted to robustly; dips of up to half of that are bridged, and relief
        finer than it is lost.

    Returns
    -------
    Surface
        Meshed anew, one vertex a voxel or so, without fields: a dip's walls, laid flat, would be folded faces.

    Raises
    ------
    InputError
        A radius of less than 3 px.

    Notes
    -----
    Each vertex moves along the mean normal of its neighbourhood onto the quadric. Marching cubes then mesh the signed
    distance from the tangent planes there; faces farther than 2 px from all of them belong to no surface.

    References
    ----------
    Beaton & Tukey, Technometrics 16 (1974) 147 (biweight), by iteratively reweighted least squares.
    """
    if not radius_px >= 3:
        raise InputError(f"radius_px: found {radius_px}, expected 3 px or more")
    points = surface.voxels()
    for _ in range(_PASSES):
        _, normals = areas_and_normals(points, surface.faces)
        near = _around(points, normals, radius_px)
        mean = mean_over(near, normals)
        length = np.linalg.norm(mean, axis=1)
        mean /= np.where(length > 0, length, 1)[:, None]
        points = points + _robust_heights(points, mean, near)[:, None] * mean
    points, faces = _meshed(points, mean, surface.shape)
    placed = (points - (np.array(surface.shape) - 1) / 2) * surface.pixel
    return replace(surface, vertices=placed, faces=faces, fields={})


def _meshed(
    points: Float64, normals: Float64, shape: tuple[int, int, int]
) -> tuple[Float64, npt.NDArray[np.int64]]:
    """Return vertices and faces of the surface that has these points and normals."""
    level = signed_distance(shape, points, normals, _REACH, 1)
    measure = need("skimage.measure")
    vertices, faces, _, _ = measure.marching_cubes(-level, 0.0, gradient_direction="descent")
    faces = faces.astype(np.int64)
    vertices = relaxed(vertices.astype(np.float64), faces)
    away, _ = need("scipy.spatial").cKDTree(points).query(vertices)
    near = (away <= _FARTHEST)[faces].all(axis=1)
    used, faces = np.unique(faces[near], return_inverse=True)
    return vertices[used], faces.reshape(-1, 3).astype(np.int64)


def _around(points: Float64, normals: Float64, radius: float) -> npt.NDArray[np.int64]:
    """Return (n, k) vertices spread evenly over the neighbourhood within ``radius``."""
    tree = need("scipy.spatial").cKDTree(points)
    some = points[:: max(1, len(points) // 200)]
    k = int(np.median(tree.query_ball_point(some, radius, return_length=True)))
    chosen = np.unique(np.linspace(1, max(k, 7), min(max(k, 7), _MOST)).astype(np.int64))
    index = tree.query(points, k=chosen[chosen <= len(points)])[1]
    return np.asarray(index, np.int64)


def _robust_heights(points: Float64, normals: Float64, near: npt.NDArray[np.int64]) -> Float64:
    """Return the heights of robust quadrics over the vertices."""
    first, second = tangents(normals)
    away = points[near] - points[:, None]
    u, v, h = (np.einsum("nki,ni->nk", away, axis) for axis in (first, second, normals))
    scale = np.sqrt((u**2 + v**2).mean(axis=1))[:, None]
    u, v = u / scale, v / scale
    design = np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=2)
    weight = np.ones_like(h)
    # Start from the middle height, not from the mean: a third of the neighbours may lie in a dip.
    rest = h - np.median(h, axis=1)[:, None]
    for _ in range(_REWEIGHTED):
        spread = np.maximum(1.4826 * np.median(np.abs(rest), axis=1), _LEAST_SPREAD)[:, None]
        weight = np.maximum(1 - (rest / (_CUT * spread)) ** 2, 0) ** 2 + 1e-6
        weighted = (design * weight[:, :, None]).transpose(0, 2, 1)
        fitted = np.linalg.solve(weighted @ design, weighted @ h[:, :, None])
        rest = h - (design @ fitted)[:, :, 0]
    out: Float64 = fitted[:, 0, 0]
    return out
