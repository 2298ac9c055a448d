# SPDX-License-Identifier: BSD-3-Clause
"""Where the edge lies along the normals of a mesh, by what the reconstruction shows of an edge."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64
from ._layer_fit import minimum_of
from ._layer_model import (
    Library,
    Patches,
    Response,
    make_library,
    profile_covariances,
    ridged,
    seen_share,
)
from ._spectrum import Spectra
from ._surface_distance import need, signed_distance

__all__ = ["Edges", "edges_along", "mean_over", "neighbours"]

Int64 = npt.NDArray[np.int64]
_WINDOW = 6.0  # px on either side
_REACH = 3.0  # px that an edge may lie from its vertex
_STEP = 0.25  # px between the offsets that are tried
_KINDS = 150  # places whose noise stands for that of all with normals like theirs
_BLOCK = 4096  # vertices that are fitted together


class Edges(NamedTuple):
    """Where edges are, per vertex [px]."""

    offset: Float64  # along the normal
    sigma: Float64
    contrast: Float64  # inside less outside
    seen: Float64  # share of a thin layer's own profile


def edges_along(
    spectra: Spectra,
    response: Response,
    data: Float32,
    power: Float32,
    vertices: Float64,
    normals: Float64,
    radius: float,
    blur: float,
) -> Edges:
    """Fit an edge to the mean profile about each vertex, over the neighbours within ``radius`` [px].

    Generalised least squares with level and contrast free, on a grid of offsets with a parabola through the least.
    """
    at = np.arange(-_WINDOW, _WINDOW + 0.5)
    near = neighbours(vertices, normals, radius)
    count = len(vertices)
    every = Patches(vertices, normals, np.ones(count), np.arange(count), count)
    level = signed_distance(spectra.shape, vertices, normals, _REACH + 2.0, spectra.threads)
    library = make_library(spectra, response, level, every, _WINDOW, _REACH, blur)
    shown = np.stack([mean_over(near, s) for s in library.shown])
    library = Library(library.nodes, library.fine, shown)
    profiles = mean_over(near, every.profiles(spectra, data, at))
    white, kind = _whitening(spectra, power, vertices, normals, near, at)
    offset, sigma, contrast = np.empty(count), np.empty(count), np.empty(count)
    for first in range(0, count, _BLOCK):
        part = slice(first, first + _BLOCK)
        mine = Library(library.nodes, library.fine, shown[:, part])
        offset[part], sigma[part], contrast[part] = _fit(
            mine, profiles[part], white[kind[part]], at
        )
    return Edges(offset, sigma, contrast, seen_share(library, at))


def _fit(library: Library, data: Float64, white: Float64, at: Float64) -> tuple[Float64, ...]:
    """Return offsets, sigmas and contrasts."""
    n = round(_REACH / _STEP)
    offsets = np.linspace(-_REACH, _REACH, 2 * n + 1)
    ground = white.sum(axis=2)
    ground /= np.linalg.norm(ground, axis=1)[:, None]

    def level_off(rows: Float64) -> Float64:
        moved = np.einsum("nij,nj->ni", white, rows)
        out: Float64 = moved - np.einsum("ni,ni->n", ground, moved)[:, None] * ground
        return out

    y = level_off(data)
    square = np.einsum("ni,ni->n", y, y)
    chi2, contrast = np.empty((len(data), len(offsets))), np.empty((len(data), len(offsets)))
    for k, offset in enumerate(offsets):
        edge = level_off(library.at(float(offset), at))
        norm = np.maximum(np.einsum("ni,ni->n", edge, edge), 1e-30)
        contrast[:, k] = np.maximum(np.einsum("ni,ni->n", edge, y), 0) / norm
        chi2[:, k] = square - contrast[:, k] ** 2 * norm
    best, _, _, sigma, _ = minimum_of(chi2, offsets)
    rows = np.arange(len(data))
    return best, sigma, contrast[rows, chi2.argmin(axis=1)]


def _whitening(
    spectra: Spectra, power: Float32, vertices: Float64, normals: Float64, near: Int64, at: Float64
) -> tuple[Float64, Int64]:
    """Return whitening matrices of some vertices' mean profiles, and which of them is each vertex's."""
    chosen = np.unique(np.linspace(0, len(vertices) - 1, _KINDS).astype(np.int64))
    kind = need("scipy.spatial").cKDTree(normals[chosen]).query(normals)[1]
    index = near[chosen].ravel()
    owner = np.repeat(np.arange(len(chosen)), near.shape[1])
    weights = np.full(len(index), 1 / near.shape[1])
    patches = Patches(vertices[index], normals[index], weights, owner, len(chosen))
    covariance = profile_covariances(spectra, power, patches, at)
    covariance = ridged(covariance)
    return np.linalg.inv(np.linalg.cholesky(covariance)), kind


def neighbours(vertices: Float64, normals: Float64, radius: float) -> Int64:
    """Return (n, k) nearest vertices, as many as lie within ``radius`` in the median.

    A turn of the normal counts as distance, so that the other side of a thin body is no neighbour.
    """
    at = np.concatenate([vertices, 2 * radius * normals], axis=1)
    tree: Any = need("scipy.spatial").cKDTree(at)
    some = at[:: max(1, len(at) // 500)]
    k = int(np.median(tree.query_ball_point(some, radius, return_length=True)))
    index: Int64 = tree.query(at, k=min(max(k, 1), len(at)))[1].reshape(len(at), -1)
    return index


def mean_over(near: Int64, values: Float64) -> Float64:
    """Return the mean of ``values`` (n, ...) over each vertex's neighbours."""
    out = np.zeros_like(values)
    for column in near.T:
        out += values[column]
    out /= near.shape[1]
    return out
