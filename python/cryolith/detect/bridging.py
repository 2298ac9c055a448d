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
from ._mesh import areas_and_normals
from ._surface_distance import need
from .surfaces import Surface

__all__ = ["bridged"]

_PASSES = 3
_REWEIGHTED = 6
_CUT = 4.0  # robust standard deviations from where on a neighbour does not count (Tukey's biweight)
_MOST = 120  # neighbours that are looked at
_LEAST_SPREAD = 0.25  # px


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
        The same faces, each vertex moved along the mean normal of its neighbourhood; no fields.

    Raises
    ------
    InputError
        A radius of less than 3 px.

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
    placed = (points - (np.array(surface.shape) - 1) / 2) * surface.pixel
    return replace(surface, vertices=placed, fields={})


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
        normal = np.einsum("nki,nk,nkj->nij", design, weight, design)
        right = np.einsum("nki,nk,nk->ni", design, weight, h)
        fitted = np.linalg.solve(normal, right[:, :, None])[:, :, 0]
        rest = h - np.einsum("nki,ni->nk", design, fitted)
    out: Float64 = fitted[:, 0]
    return out
