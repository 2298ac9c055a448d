# SPDX-License-Identifier: BSD-3-Clause
"""Pinholes in a layer, and how much of a surface the layer covers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from ..datamodel import Volume
from ..errors import InputError
from ..metrics import NoisePower
from ..projection import Geometry
from ._hole_filter import HoleFilter, make_hole_filter
from ._hole_fit import Hole, HoledLayer, fitted_holes
from ._inputs import Float64, Table, unit_of
from ._known import Known, as_known, place_columns
from ._mesh import areas_and_normals
from ._search_inputs import HalvesLike
from ._surface_distance import need
from .surfaces import Surface

__all__ = ["Pinholes", "pinholes"]

_MARGIN = 6.0  # px from the faces of the volume that are not looked at
_LEAST_SEEN = 0.3  # of waves along the normal: as for layer_thickness
_UNSEEN_REACH = 6.0  # px from a vertex that is not seen: the surface is where noise put it, and its normals waver
_ROUNDS = 4
_RIM = 3.0  # px about a hole where no other is looked for
_LEAST_MISSING = 0.5  # of the layer within a fitted hole
_LEAST_RADIUS = 0.75  # of the smallest radius that is looked for, once fitted


@dataclass(frozen=True, kw_only=True, eq=False)
class Pinholes:
    """What :func:`pinholes` found, and what it could have found.

    Attributes
    ----------
    table : dict of str to (n,) array
        Its columns are those of :func:`pinholes`.
    coverage, sigma_coverage : float
        Share of the surface looked at that the layer covers.
    detectable : (n_vertices,) float64 [nm, or px]
        Radius of the smallest hole that would be found at each vertex with a chance of a half; infinite where even the
        largest would not, or where nothing was looked for.
    """

    table: Table
    coverage: float
    sigma_coverage: float
    detectable: Float64


def pinholes(
    volume: Volume | npt.ArrayLike | None,
    surface: Surface,
    thickness_px: float,
    contrast: float,
    *,
    inside: float = 0.0,
    halves: HalvesLike | None = None,
    noise: NoisePower | npt.ArrayLike | None = None,
    geometry: Geometry | None = None,
    image_shape: tuple[int, int] | None = None,
    solve: Callable[..., Any] | None = None,
    offset_px: float = 0.0,
    radii_px: npt.ArrayLike = (1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.5, 8.0),
    alpha: float = 0.05,
    blur_px: float = 0.0,
    pixel_size: float | None = None,
    seed: int = 0,
    threads: int = 0,
    cancel: _core.CancelToken | None = None,
) -> Pinholes:
    """Find places where a layer is missing.

    Parameters
    ----------
    volume, surface, halves, noise, geometry, image_shape, solve, offset_px, blur_px, pixel_size, seed, threads, cancel
        As for :func:`layer_thickness`.
    thickness_px, contrast : float
        Of the layer, in px and in the volume's units, as :func:`layer_thickness` measures them.
    inside : float, default 0
        Of what lies below the layer (against the normals), as ``contrast``.
    radii_px : (n_radii,) [px]
        Radii of holes to look for, ascending.
    alpha : float, default 0.05
        Chance that noise alone makes one hole or more on the surface (family-wise).

    Returns
    -------
    Pinholes
        One row of its table for each hole, the most significant first:

        - ``z_px``, ``y_px``, ``x_px`` (and ``z_nm``, ... from the centre): its middle, on the layer's; ``vertex``: the
          nearest one; ``sigma_place_nm``: along either direction of the surface;
        - ``radius_nm``, ``area_nm2`` with ``sigma_``: of the round hole that explains the missing layer best;
        - ``missing``: share of the layer that is missing within it, 1 for a hole that goes all the way through;
        - ``significance``: over the noise; ``p_value``: chance that noise alone makes such a hole anywhere.

    Raises
    ------
    InputError
        As for :func:`layer_thickness`; radii that do not ascend, an alpha outside of 0 to 1.

    Notes
    -----
    The layer without holes, as the volume would show it, is taken away from the volume. What is left is matched with
    what it would show of the missing disc, of each radius at each vertex; the best is taken for a hole. Places and
    radii of all holes are then fitted to the volume (Gauss-Newton), holes within which less than half of the layer
    turns out to be missing are given up, the layer is drawn with the others, and the rest is searched again. Noise
    alone makes E(z) holes beyond z: the expected Euler characteristic of a field on a surface, times the number of
    radii, with a roughness measured on the surface itself. Errors are widened by how much more the evidence varies
    over the surface than noise makes it. Nothing is looked for within 6 px of vertices whose normal the wedge hides,
    nor of the volume's faces.

    References
    ----------
    Worsley et al., Human Brain Mapping 4 (1996) 58, table 1 (two dimensions). design/023-surfaces.md.
    """
    radii = np.asarray(radii_px, np.float64)
    if radii.ndim != 1 or len(radii) < 3 or not (np.diff(radii) > 0).all() or not radii[0] >= 0.5:
        raise InputError(
            f"radii_px: found {radii_px!r}, expected three or more ascending radii of 0.5 px and more"
        )
    if not 0 < alpha < 1:
        raise InputError(f"alpha: found {alpha}, expected a number between 0 and 1")
    if not (math.isfinite(contrast) and contrast != 0):
        raise InputError(f"contrast: found {contrast}, expected a number other than 0")
    if not 0.5 <= thickness_px <= 40:
        raise InputError(f"thickness_px: found {thickness_px}, expected 0.5 to 40 px")
    known = as_known(
        volume, halves, noise, geometry, image_shape, solve, pixel_size or surface.pixel_size,
        seed, threads, cancel,
    )  # fmt: skip
    if surface.shape != known.data.shape:
        raise InputError(
            f"surface: found one of a volume of {surface.shape}, expected {known.data.shape}"
        )
    vertices = surface.voxels()
    areas, normals = areas_and_normals(vertices, surface.faces)
    points = vertices + offset_px * normals
    layer = HoledLayer(known, points, normals, thickness_px, contrast, inside, blur_px)
    matched = make_hole_filter(
        known.spectra, known.response, known.power, points, normals, areas, thickness_px, radii
    )
    looked = _looked_at(points, known.data.shape) & _seen_about(points, matched.seen)
    if not looked.any():
        raise InputError(
            "surface: found no vertex inside of the volume whose normal was seen, expected some"
        )
    holes, level = _search(known, layer, matched, contrast, looked, alpha)
    table = _table(holes, points, known)
    covered = _coverage(table, areas, looked, known.pixel_size)
    _, pixel = unit_of(known.pixel_size)
    smallest = np.maximum(_detectable(matched, contrast, level), radii[0])
    found = np.where(looked, smallest * pixel, np.inf)
    return Pinholes(table=table, coverage=covered[0], sigma_coverage=covered[1], detectable=found)


def _looked_at(points: Float64, shape: tuple[int, ...]) -> npt.NDArray[np.bool_]:
    inside = (points >= _MARGIN) & (points <= np.array(shape) - 1 - _MARGIN)
    return np.asarray(inside.all(axis=1))


def _seen_about(points: Float64, seen: Float64) -> npt.NDArray[np.bool_]:
    """Return where the surface is seen, and all of it nearby.

    In the wedge a mesh bulges by pixels, and some of its normals look well seen there: the layer is missing from such
    a place because it lies elsewhere.
    """
    unseen = seen < _LEAST_SEEN
    if not unseen.any():
        return ~unseen
    away, _ = need("scipy.spatial").cKDTree(points[unseen]).query(points)
    return np.asarray(away > _UNSEEN_REACH)


def _search(
    known: Known,
    layer: HoledLayer,
    matched: HoleFilter,
    contrast: float,
    looked: npt.NDArray[np.bool_],
    alpha: float,
) -> tuple[list[Hole], float]:
    """Return the holes, and the significance from which they are taken."""
    holes: list[Hole] = []
    refused: list[Hole] = []
    level = math.inf
    area = float(matched.areas[looked].sum())
    for _ in range(_ROUNDS):
        rest = known.data - layer.shown(holes)
        score = matched.score(rest) * math.copysign(1.0, contrast)
        score, z, spread = _against_itself(score, matched.norm, looked)
        rough = _roughness(z[looked], matched.points[looked])
        level = _level_of(alpha, area, rough)
        free = looked & _away_from([*holes, *refused], matched.points)
        new = _new_holes(score, z, matched, abs(contrast), free, level, area, rough)
        if not new:
            break
        every = fitted_holes(layer, matched, holes + new, float(np.median(spread)))
        smallest = _LEAST_RADIUS * float(matched.radii[0])
        good = [
            h.missing > _LEAST_MISSING and h.significance > level and h.radius > smallest
            for h in every
        ]
        holes = [h for h, ok in zip(every, good, strict=True) if ok]
        refused += [h for h, ok in zip(every, good, strict=True) if not ok]
    return sorted(holes, key=lambda h: -h.significance), level


def _against_itself(
    score: Float64, norm: Float64, looked: npt.NDArray[np.bool_]
) -> tuple[Float64, Float64, Float64]:
    """Return scores, significances against how those of the surface vary, and that over the noise, 1 or more.

    What is not in the model, other objects' side lobes and slow changes of the thickness, varies them too.
    """
    z = score / np.sqrt(norm)
    middle = np.median(z[looked], axis=0)
    spread = np.maximum(1.0, 1.4826 * np.median(np.abs(z[looked] - middle), axis=0))
    return score - middle * np.sqrt(norm), (z - middle) / spread, spread


def _away_from(holes: list[Hole], points: Float64) -> npt.NDArray[np.bool_]:
    """Return which points lie apart from holes: what is left about one is what its round shape misses."""
    out = np.ones(len(points), bool)
    for hole in holes:
        out &= np.linalg.norm(points - hole.place, axis=1) > hole.radius + _RIM
    return out


def _new_holes(
    score: Float64,
    z: Float64,
    matched: HoleFilter,
    contrast: float,
    free: npt.NDArray[np.bool_],
    level: float,
    area: float,
    rough: Float64,
) -> list[Hole]:
    """Return the best hole of each neighbourhood whose significance passes ``level``."""
    gain = 2 * contrast * score - contrast**2 * matched.norm
    best = gain.argmax(axis=1)
    rows = np.arange(len(z))
    height, explained = z[rows, best], gain[rows, best]
    found: list[Hole] = []
    # A gain above 0: a hole explains more than none does, which is half of the layer missing or more.
    candidates = np.flatnonzero(free & (height > level) & (explained > 0))
    for v in candidates[np.argsort(-explained[candidates])]:
        radius = float(matched.radii[best[v]])
        if any(
            np.linalg.norm(h.place - matched.points[v]) <= h.radius + radius + _RIM + 1
            for h in found
        ):
            continue
        p = min(1.0, float(_expected(height[v], area, rough)))
        found.append(Hole(matched.points[v], matched.normals[v], radius, float(height[v]), p))
    return found


def _roughness(z: Float64, points: Float64) -> Float64:
    """Return, per radius, the variance of the slope of z along the surface over that of z, robustly."""
    tree = need("scipy.spatial").cKDTree(points)
    away, index = tree.query(points, k=2)
    step = np.maximum(away[:, 1], 1e-6)[:, None]
    slope = (z[index[:, 1]] - z) / step
    scale = 1.4826 * np.median(np.abs(z - np.median(z, axis=0)), axis=0)
    out: Float64 = (1.4826 * np.median(np.abs(slope), axis=0) / np.maximum(scale, 1e-12)) ** 2
    return out


def _expected(z: Float64 | float, area: float, rough: Float64) -> Float64:
    """Return how many maxima above z noise makes on the surface, over all radii."""
    u = np.maximum(np.asarray(z, np.float64), 1.0)
    out: Float64 = area * rough.sum() * (2 * np.pi) ** -1.5 * u * np.exp(-(u**2) / 2)
    return out


def _level_of(alpha: float, area: float, rough: Float64) -> float:
    tried = np.linspace(1, 12, 1101)
    return float(tried[np.argmax(_expected(tried, area, rough) <= alpha)])


def _detectable(matched: HoleFilter, contrast: float, level: float) -> Float64:
    """Return the radius at which the expected significance reaches ``level``."""
    expected = abs(contrast) * np.sqrt(matched.norm)
    out = np.full(len(expected), np.inf)
    for k in range(len(matched.radii) - 1, -1, -1):
        good = expected[:, k] >= level
        below = expected[:, k - 1] if k else np.zeros(len(expected))
        start = matched.radii[k - 1] if k else 0.0
        share = (level - below) / np.maximum(expected[:, k] - below, 1e-12)
        out = np.where(good & (below < level), start + share * (matched.radii[k] - start), out)
    return out


def _table(holes: list[Hole], points: Float64, known: Known) -> Table:
    unit, pixel = unit_of(known.pixel_size)
    place = np.array([h.place for h in holes]).reshape(-1, 3)
    table = place_columns(place, known.data.shape, known.pixel_size)
    radius, sigma, along, missing, height, p = (
        np.array([getattr(h, name) for h in holes], np.float64)
        for name in (
            "radius", "sigma_radius", "sigma_place", "missing", "significance", "p_value"
        )
    )  # fmt: skip
    return table | {
        "vertex": np.asarray(need("scipy.spatial").cKDTree(points).query(place)[1], np.int64),
        f"sigma_place_{unit}": along * pixel,
        f"radius_{unit}": radius * pixel,
        f"sigma_radius_{unit}": sigma * pixel,
        f"area_{unit}2": np.pi * radius**2 * pixel**2,
        f"sigma_area_{unit}2": 2 * np.pi * radius * sigma * pixel**2,
        "missing": missing,
        "significance": height,
        "p_value": p,
    }


def _coverage(
    table: Table, areas: Float64, looked: npt.NDArray[np.bool_], pixel_size: float | None
) -> tuple[float, float]:
    unit, pixel = unit_of(pixel_size)
    total = float(areas[looked].sum()) * pixel**2
    missing, sigma = table[f"area_{unit}2"], table[f"sigma_area_{unit}2"]
    return 1 - float(missing.sum()) / total, float(np.sqrt((sigma**2).sum())) / total
