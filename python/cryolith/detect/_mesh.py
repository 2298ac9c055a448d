# SPDX-License-Identifier: BSD-3-Clause
"""Areas, normals and neighbourhoods of a triangle mesh, in voxels."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ._inputs import Float64
from ._layer_model import Patches
from ._surface_distance import need

__all__ = ["areas_and_normals", "patches_of", "patches_owner", "relaxed"]

Int64 = npt.NDArray[np.int64]
_MOST_POINTS = 30  # of a patch whose profiles are averaged


def areas_and_normals(vertices: Float64, faces: Int64) -> tuple[Float64, Float64]:
    """Return (n,) areas, a third of the faces around each vertex, and (n, 3) unit normals, weighted by area."""
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    # (z, y, x) is left-handed where (x, y, z) is right-handed.
    twice = -np.cross(b - a, c - a)
    area = np.linalg.norm(twice, axis=1) / 2
    total, normal = np.zeros(len(vertices)), np.zeros((len(vertices), 3))
    for i in range(3):
        np.add.at(total, faces[:, i], area / 3)
        np.add.at(normal, faces[:, i], twice)
    length = np.linalg.norm(normal, axis=1)
    normal /= np.where(length > 0, length, 1)[:, None]
    return total, normal


def patches_of(
    vertices: Float64,
    normals: Float64,
    areas: Float64,
    radius: float,
    inside: npt.NDArray[np.bool_],
) -> tuple[Patches, Int64]:
    """Return the patches of :func:`patches_owner`, thinned out, and each vertex's own, or -1."""
    owner, count = patches_owner(vertices, normals, areas, radius, inside)
    return _sampled(vertices, normals, areas, owner, count), owner


def patches_owner(
    vertices: Float64,
    normals: Float64,
    areas: Float64,
    radius: float,
    inside: npt.NDArray[np.bool_],
) -> tuple[Int64, int]:
    """Part the vertices ``inside`` into compact patches of some pi radius^2; return each vertex's, or -1, and how many.

    Seeds are spread evenly over the vertices and moved to the middle of what is nearest to them (Lloyd). A normal's
    direction counts too, so that the two sides of a thin body make patches of their own.
    """
    spatial = need("scipy.spatial")
    used = np.flatnonzero(inside & (areas > 0))
    owner = np.full(len(vertices), -1, np.int64)
    if not len(used):
        return owner, 0
    at = np.concatenate([vertices[used], radius * normals[used]], axis=1)
    seeds = _spread(spatial, at, radius)
    for _ in range(3):
        nearest = spatial.cKDTree(seeds).query(at)[1]
        size = np.bincount(nearest, areas[used], len(seeds))
        sums = [np.bincount(nearest, areas[used] * at[:, i], len(seeds)) for i in range(6)]
        seeds = np.stack(sums, axis=1)[size > 0] / size[size > 0, None]
    nearest = spatial.cKDTree(seeds).query(at)[1]
    size = np.bincount(nearest, areas[used], len(seeds))
    keep = size > 0.4 * np.pi * radius**2
    owner[used] = np.where(keep, np.cumsum(keep) - 1, -1)[nearest]
    return owner, int(keep.sum())


def _spread(spatial: object, at: Float64, radius: float) -> Float64:
    """Return points of ``at`` no two of which are nearer than 1.5 radii, taken in a fixed order."""
    order = np.random.default_rng(0).permutation(len(at))
    near = spatial.cKDTree(at)  # type: ignore[attr-defined]
    free = np.ones(len(at), bool)
    chosen = []
    for i in order:
        if free[i]:
            chosen.append(i)
            free[near.query_ball_point(at[i], 1.5 * radius)] = False
    return at[chosen]


def _sampled(
    vertices: Float64, normals: Float64, areas: Float64, owner: Int64, count: int
) -> Patches:
    """Return at most ``_MOST_POINTS`` vertices of each patch, evenly chosen, weighted by area."""
    order = np.argsort(owner, kind="stable")
    order = order[owner[order] >= 0]
    size = np.bincount(owner[order], minlength=count)
    chosen = []
    for start, n in zip(np.cumsum(size) - size, size, strict=True):
        take = np.unique(np.linspace(0, n - 1, min(n, _MOST_POINTS)).astype(int))
        chosen.append(order[start : start + n][take])
    index = np.concatenate(chosen) if chosen else np.zeros(0, np.int64)
    total = np.bincount(owner[index], areas[index], count)
    weights = areas[index] / total[owner[index]]
    return Patches(vertices[index], normals[index], weights, owner[index], count)


def relaxed(vertices: Float64, faces: Int64, rounds: int = 8) -> Float64:
    """Return vertices smoothed without shrinking: towards the mean of their neighbours, and a little more back."""
    pairs = np.unique(
        np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1),
        axis=0,
    )
    count = np.maximum(np.bincount(pairs.ravel(), minlength=len(vertices)), 1)[:, None]
    out = vertices.copy()
    for factor in (0.5, -0.53) * rounds:
        mean = np.zeros_like(out)
        for i in range(3):
            mean[:, i] = np.bincount(pairs[:, 0], out[pairs[:, 1], i], len(out))
            mean[:, i] += np.bincount(pairs[:, 1], out[pairs[:, 0], i], len(out))
        out += factor * (mean / count - out)
    return out
