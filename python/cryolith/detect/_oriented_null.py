# SPDX-License-Identifier: BSD-3-Clause
"""How many extrema noise alone makes over place, direction and width."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ._inputs import Float64
from ._sphere import frames

__all__ = ["Null", "expected_extrema", "make_null"]

_PAIRS = ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))


class Null(NamedTuple):
    """Of each direction at one width: metrics of the normalised response to noise.

    Attributes
    ----------
    spatial : (n, 3, 3)
        Covariance of the slope over place.
    direction : (n, 3, 3)
        The same over a turn about either vector of ``frames(axes)`` [rad], and over log width.
    change : (n, 3, 3, 3)
        Of ``spatial`` with these three.
    """

    spatial: Float64
    direction: Float64
    change: Float64


def make_null(axes: Float64, kind: str, moments: Float64, width: float, length: float) -> Null:
    """Return the metrics from the moments (n, 28) of the noise behind each filter.

    A filter h changes as e h with e = -c . q / 2, where c is the change of A and q the products of k; so the metric is
    c Cov(q) c / 4 and the change of E(k k^T) is -c . Cov(q, k k^T).
    """
    mean, covariance = _products(moments)
    stretch = length**2 - width**2 if kind == "tubes" else width**2 - length**2
    own = axes[:, :, None] * axes[:, None, :]
    changes = [
        stretch * (e[:, :, None] * axes[:, None, :] + axes[:, :, None] * e[:, None, :])
        for e in frames(axes)
    ]
    across = np.eye(3) - own if kind == "tubes" else own
    changes.append(2 * width**2 * across)
    c = np.stack(
        [np.stack([m[:, i, j] * (1 if i == j else 2) for i, j in _PAIRS], axis=1) for m in changes],
        axis=1,
    )
    bent = -np.einsum("nai,nij->naj", c, covariance)
    return Null(
        spatial=_unpacked(mean),
        direction=np.einsum("nai,nij,nbj->nab", c, covariance, c) / 4,
        change=_unpacked(bent.reshape(-1, 6)).reshape(-1, 3, 3, 3),
    )


def expected_extrema(nulls: list[Null], widths: Float64, level: Float64, voxels: int) -> Float64:
    """Return how many extrema of either sign beyond ``level`` noise alone makes in ``voxels``.

    The expected Euler characteristic of a Gaussian field (Adler & Taylor, Random Fields and Geometry, 2007, theorem
    12.4.1) over place, direction and log width. With g the metric, N the dimensions and S the scalar curvature, the
    largest two Lipschitz-Killing curvatures are L_N = int g^(1/2) and L_(N-2) = int S g^(1/2) / (4 pi) (with a border's
    mean curvature). As the metric of place, G, depends on direction and width alone, partial integration leaves

        int S = int (tr(G^-1 dG)^2 / 4 - tr((G^-1 dG)^2) / 4 + 2 K) g^(1/2)

    without second derivatives; K, the curvature of the metric of direction, has the integral 2 pi over the half sphere.
    """
    u = np.maximum(np.asarray(level, float), math.sqrt(3 + math.sqrt(6)))
    sheets = [_curvatures(n, 2) for n in nulls]
    total = _densities(5, u, *sheets[0])
    if len(nulls) > 1:
        total = (total + _densities(5, u, *sheets[-1])) / 2
        t = np.log(widths)
        for low, high, step in zip(nulls[:-1], nulls[1:], np.diff(t), strict=True):
            ends = [_densities(6, u, *_curvatures(n, 3)) for n in (low, high)]
            total = total + step * (ends[0] + ends[1]) / 2
    out: Float64 = 2 * voxels * np.maximum(total, 0.0)
    return out


def _densities(dimensions: int, u: Float64, volume: float, curved: float) -> Float64:
    """Return L_N rho_N + L_(N-2) rho_(N-2), rho_d = (2 pi)^(-(d + 1) / 2) He_(d-1)(u) exp(-u^2 / 2)."""
    he = {
        3: u**3 - 3 * u,
        2: u**2 - 1,
        4: u**4 - 6 * u**2 + 3,
        5: u**5 - 10 * u**3 + 15 * u,
    }
    parts = [
        lkc * (2 * math.pi) ** (-(d + 1) / 2) * he[d - 1]
        for lkc, d in ((volume, dimensions), (curved, dimensions - 2))
    ]
    out: Float64 = (parts[0] + parts[1]) * np.exp(-(u**2) / 2)
    return out


def _curvatures(null: Null, parameters: int) -> tuple[float, float]:
    """Return L_N and L_(N-2) per voxel (and per unit of log width with three parameters)."""
    metric = null.direction[:, :parameters, :parameters]
    root = np.sqrt(np.linalg.det(null.spatial))
    area = np.sqrt(np.maximum(np.linalg.det(metric), 0.0))
    each = 2 * math.pi / len(root)  # of the half sphere
    inverse = np.linalg.inv(metric)
    relative = np.einsum("nij,najk->naik", np.linalg.inv(null.spatial), null.change[:, :parameters])
    trace = np.einsum("naii->na", relative)
    squares = np.einsum("na,nab,nb->n", trace, inverse, trace)
    products = np.einsum("naij,nbji,nab->n", relative, relative, inverse)
    bent = float((root * area * (squares - products) / 4).sum()) * each
    along = np.ones_like(root) if parameters == 2 else np.sqrt(np.maximum(metric[:, 2, 2], 0))
    own = 4 * math.pi * float((root * along).mean())
    return float((root * area).sum()) * each, (bent + own) / (4 * math.pi)


def _products(moments: Float64) -> tuple[Float64, Float64]:
    """Return the mean (n, 6) and the covariance (n, 6, 6) of the products of k."""
    share = moments[:, 1:] / moments[:, :1]
    mean = share[:, :6]
    square = np.empty((len(moments), 6, 6))
    at = np.triu_indices(6)
    square[:, at[0], at[1]] = square[:, at[1], at[0]] = share[:, 6:]
    return mean, square - mean[:, :, None] * mean[:, None, :]


def _unpacked(six: Float64) -> Float64:
    out = np.empty((len(six), 3, 3))
    for value, (i, j) in zip(six.T, _PAIRS, strict=True):
        out[:, i, j] = out[:, j, i] = value
    return out
