# SPDX-License-Identifier: BSD-3-Clause
"""The evidence for holes of each size at each vertex of a layer: a matched filter on its surface."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._curvature import tangents
from ._edges import SHARPEST
from ._gaussian_blobs import add_blobs, centred_blob
from ._inputs import Float32, Float64
from ._layer_model import Response, bilinear, spline_coefficients, spline_values
from ._spectrum import Spectra, floored
from ._surface_distance import need

__all__ = ["HoleFilter", "make_hole_filter", "transfer_of"]

_BLOB = 0.7  # px, the Gaussian that the imaging is probed with
_KINDS = 40  # places whose norms stand for those of all with normals like theirs
_BACKGROUND = 0.5  # slow background is one more noise, as for blobs: for waves of 4 pi times the largest radius
_CELL = 0.35  # px of the tables of products in a disc's plane


class HoleFilter(NamedTuple):
    """A matched filter for the absence of a layer within a radius of a vertex.

    Attributes
    ----------
    spectra : Spectra
    shown, weight : (nz, ny, nx // 2 + 1) float32
        R and R / P: what a volume's spectrum is multiplied by, R the imaging and P the noise.
    radii : (n_radii,) float64 [px]
    depths : (n_depths,) float64 [px]
        Samples across the layer, along the normal from each vertex.
    near : list of n_radii (3,) tuples
        Rows (ascending), columns and shares of the vertices within each radius.
    seen : (n,) float64
        Share of waves along each normal that the volume shows.
    norm : (n, n_radii) float64
        Squared signal-to-noise of a hole for a contrast of 1.
    """

    spectra: Spectra
    shown: Float32
    weight: Float32
    radii: Float64
    depths: Float64
    near: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Float64]]
    norm: Float64
    points: Float64
    normals: Float64
    areas: Float64
    seen: Float64

    def weighted(self, rest: Float32) -> Float32:
        """Return the volume whose products with patterns are the patterns' own with ``rest``, over the noise."""
        return self.spectra.inverse(self.spectra.forward(rest) * self.weight)

    def autocorrelation(self) -> Float32:
        """Return the product of two voxels of a pattern by their lag, which repeats."""
        return self.spectra.inverse((self.weight * self.shown).astype(np.complex64))

    def score(self, rest: Float32) -> Float64:
        """Return (n, n_radii): minus the product of what is left of a volume with each hole's template."""
        table = spline_coefficients(self.spectra, rest, self.weight, SHARPEST)
        value = np.zeros(len(self.points))
        for depth in self.depths:
            value -= spline_values(table, self.points + depth * self.normals)
        value *= self.areas * _step(self.depths)
        out = np.empty((len(value), len(self.radii)))
        for k, (row, column, share) in enumerate(self.near):
            out[:, k] = np.bincount(row, value[column] * share, len(value))
        return out


def _step(depths: Float64) -> float:
    return float(depths[1] - depths[0])


def make_hole_filter(
    spectra: Spectra,
    response: Response,
    power: Float32,
    points: Float64,
    normals: Float64,
    areas: Float64,
    thickness: float,
    radii: Float64,
) -> HoleFilter:
    """Make the filter for holes in a layer of ``thickness`` [px] about ``points``."""
    shown = transfer_of(spectra, response)
    corner = (_BACKGROUND / float(radii[-1])) ** 2
    square = spectra.squared_frequency()
    square[0, 0, 0] = np.inf
    noise = floored(power) * (1 + (np.float32(corner) / square) ** 2)
    weight = (shown / noise).astype(np.float32)
    weight[0, 0, 0] = 0.0
    count = max(2, math.ceil(thickness))
    half = thickness * (count - 1) / (2 * count)
    depths = np.linspace(-half, half, count)
    seen = seen_along(spectra, shown, normals)
    near = _within(points, normals, radii)
    norm = _norms(spectra, weight * shown, points, normals, areas, depths, near)
    return HoleFilter(
        spectra, shown, weight, radii, depths, near, norm, points, normals, areas, seen
    )


def seen_along(spectra: Spectra, shown: Float32, normals: Float64) -> Float64:
    """Return the mean share that is shown of waves of 4 to 12 px along each normal; 0 to 1."""
    total = np.zeros(len(normals))
    lengths = 2 * np.pi / np.linspace(4.0, 12.0, 9)
    for k in lengths:
        turned = normals * np.where(normals[:, 2:] < 0, -1, 1)
        index = [
            np.rint(k * turned[:, i] * n / (2 * np.pi)).astype(np.int64)
            for i, n in enumerate(spectra.shape)
        ]
        total += shown[index[0] % spectra.shape[0], index[1] % spectra.shape[1], index[2]]
    return np.clip(total / len(lengths), 0, 1)


def transfer_of(spectra: Spectra, response: Response) -> Float32:
    """Return how much of each wave the volume shows: of a narrow blob in its middle."""
    if not response.projected:
        return np.ones(spectra.terms, np.float32)
    blob = np.zeros(spectra.shape, np.float32)
    add_blobs(centred_blob(spectra.shape, _BLOB), blob, spectra)
    shown = spectra.forward(np.fft.ifftshift(response.show(blob))).real
    whole = spectra.gaussian(_BLOB**2) * np.float32((2 * np.pi) ** 1.5 * _BLOB**3)
    gain = response.pixel_gain(spectra)
    assert gain is not None
    out: Float32 = np.clip(shown / whole * gain, 0.0, 1.5).astype(np.float32)
    return out


def _within(
    points: Float64, normals: Float64, radii: Float64
) -> list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Float64]]:
    """Return which vertices lie within each radius, softly over a pixel; not those of the other side of a thin body."""
    tree = need("scipy.spatial").cKDTree(points)
    pairs = tree.sparse_distance_matrix(tree, float(radii[-1]) + 0.5, output_type="coo_matrix")
    row, column, away = pairs.row.astype(np.int64), pairs.col.astype(np.int64), pairs.data
    same = np.einsum("ni,ni->n", normals[row], normals[column]) > 0
    row, column, away = row[same], column[same], away[same]
    order = np.argsort(row, kind="stable")
    row, column, away = row[order], column[order], away[order]
    out = []
    for radius in radii:
        share = np.clip(radius - away + 0.5, 0, 1)
        used = share > 0
        out.append((row[used], column[used], share[used]))
    return out


def _norms(
    spectra: Spectra,
    spectrum: Float32,
    points: Float64,
    normals: Float64,
    areas: Float64,
    depths: Float64,
    near: list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Float64]],
) -> Float64:
    """Return the templates' products with themselves, from the inverse transform of R^2 / P."""
    twice = math.sqrt(2) * SHARPEST
    table = spline_coefficients(spectra, _delta(spectra), spectrum, twice)
    row, column, share = near[-1]
    # Not at the rim of an open surface, where discs are cut.
    around = np.bincount(row, areas[column] * share, len(points))
    whole = np.flatnonzero(around >= 0.9 * np.median(around))
    chosen = whole[np.unique(np.linspace(0, len(whole) - 1, _KINDS).astype(np.int64))]
    kind = need("scipy.spatial").cKDTree(normals[chosen]).query(normals)[1]
    across = (np.subtract.outer(depths, depths)).ravel()
    lags, counts = np.unique(np.round(across, 6).astype(np.float64), return_counts=True)
    starts = np.searchsorted(row, np.arange(len(points) + 1))
    out = np.empty((len(chosen), len(near)))
    for i, vertex in enumerate(chosen):
        disc = column[starts[vertex] : starts[vertex + 1]]
        kernel = _kernel_over(table, points[disc], normals[vertex], lags, counts)
        kernel *= _step(depths) ** 2
        for k, (r, c, s) in enumerate(near):
            weight = np.zeros(len(points))
            mine = slice(*np.searchsorted(r, [vertex, vertex + 1]))
            weight[c[mine]] = s[mine]
            w = weight[disc] * areas[disc]
            out[i, k] = w @ kernel @ w
    norm: Float64 = np.maximum(out, 1e-30)[kind]
    return norm


def _kernel_over(
    table: Float32,
    disc: Float64,
    normal: Float64,
    lags: Float64,
    counts: npt.NDArray[np.int64],
) -> Float64:
    """Return (n, n) products of columns across the layer at the points of a disc, from a table in its plane.

    A point's place along the normal is left out: 0.9 px at the rim of a disc of 8 px on a ball of 37.
    """
    first, second = (a[0] for a in tangents(normal[None]))
    n = math.ceil(max(np.ptp(disc @ first), np.ptp(disc @ second)) / _CELL) + 1
    grid = (np.arange(2 * n + 1) - n) * _CELL
    plane = grid[:, None, None] * first + grid[None, :, None] * second
    cells = np.zeros(plane.shape[:2])
    for lag, times in zip(lags, counts, strict=True):
        cells += times * spline_values(table, plane + lag * normal)
    u, v = (np.subtract.outer(disc @ a, disc @ a) / _CELL + n for a in (first, second))
    return bilinear(cells.astype(np.float32), u, v)


def _delta(spectra: Spectra) -> Float32:
    out = np.zeros(spectra.shape, np.float32)
    out[0, 0, 0] = 1.0
    return out
