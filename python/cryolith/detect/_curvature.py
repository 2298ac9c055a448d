# SPDX-License-Identifier: BSD-3-Clause
"""Curvatures of a surface from quadrics through the neighbours of each vertex."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float64

__all__ = ["Curvatures", "curvatures", "tangents"]


class Curvatures(NamedTuple):
    """Per vertex, in the reciprocal of the vertices' unit: positive where the surface bends away from its normal."""

    mean: Float64
    gaussian: Float64
    height: Float64  # of the quadric over the vertex, along the normal


def tangents(normals: Float64) -> tuple[Float64, Float64]:
    """Return two unit vectors across each normal."""
    least = np.abs(normals).argmin(axis=1)
    first = np.cross(normals, np.eye(3)[least])
    first /= np.linalg.norm(first, axis=1)[:, None]
    return first, np.cross(normals, first)


def curvatures(vertices: Float64, normals: Float64, near: npt.NDArray[np.int64]) -> Curvatures:
    """Fit h = a + b u + c v + (d u^2 + 2 e u v + f v^2) / 2 to the neighbours ``near`` (n, k) of each vertex.

    The curvatures are those of the graph of h at the vertex (do Carmo, Differential Geometry, section 3-3, example 5).
    """
    first, second = tangents(normals)
    away = vertices[near] - vertices[:, None]
    u, v, h = (np.einsum("nki,ni->nk", away, axis) for axis in (first, second, normals))
    scale = np.sqrt((u**2 + v**2).mean(axis=1))[:, None]
    u, v, h = u / scale, v / scale, h / scale
    design = np.stack([np.ones_like(u), u, v, u * u / 2, u * v, v * v / 2], axis=2)
    normal = np.einsum("nki,nkj->nij", design, design) + 1e-9 * near.shape[1] * np.eye(6)
    fitted = np.linalg.solve(normal, np.einsum("nki,nk->ni", design, h)[:, :, None])[:, :, 0]
    a, b, c, d, e, f = fitted.T
    steep = 1 + b * b + c * c
    gaussian = (d * f - e * e) / steep**2
    mean = ((1 + b * b) * f - 2 * b * c * e + (1 + c * c) * d) / (2 * steep**1.5)
    length = scale[:, 0]
    return Curvatures(-mean / length, gaussian / length**2, a * length)
