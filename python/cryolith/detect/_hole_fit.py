# SPDX-License-Identifier: BSD-3-Clause
"""A layer drawn with its holes, and their places and radii fitted to what the volume shows."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._curvature import tangents
from ._edges import SHARPEST, normal_cdf
from ._hole_filter import HoleFilter
from ._inputs import Float32, Float64
from ._known import Known
from ._layer_model import body
from ._surface_distance import signed_distance

__all__ = ["Hole", "HoledLayer", "fitted_holes"]

_STEPS = 3  # of Gauss-Newton
_LONGEST = 1.0  # px that a place or a radius moves in one
_SMALLEST = 0.5  # px, a radius
# px: radii of holes whose noise was small, less the truth, rms: mostly too small (design/023-surfaces.md).
_MODEL = 0.1


@dataclass(frozen=True)
class Hole:
    """A round hole through a layer: its middle [voxels], the layer's normal there, its radius [px] and errors."""

    place: Float64
    normal: Float64
    radius: float
    significance: float
    p_value: float
    sigma_radius: float = math.inf
    sigma_place: float = math.inf
    missing: float = 1.0  # share of the layer


class _Plug(NamedTuple):
    """What a hole takes out of the drawn layer, and how that changes: rows of values at voxels."""

    at: npt.NDArray[np.int64]  # (n, 3)
    taken: Float64  # (n,)
    by: Float64  # (3, n): with the place along two tangents, and the radius
    along: tuple[Float64, Float64]


class HoledLayer:
    """A layer that can be drawn with holes."""

    def __init__(
        self,
        known: Known,
        points: Float64,
        normals: Float64,
        thickness: float,
        contrast: float,
        inside: float,
        blur: float,
    ) -> None:
        self.known, self.rim = known, math.hypot(SHARPEST, blur)
        level = signed_distance(
            known.spectra.shape, points, normals, thickness / 2 + 4, known.spectra.threads
        )
        below = body(level, -thickness / 2, blur)
        self.inside: Float32 = np.float32(inside) * below
        self.layer: Float32 = np.float32(contrast) * (body(level, thickness / 2, blur) - below)
        self.at = np.argwhere(self.layer != 0)

    def plug(self, hole: Hole) -> _Plug:
        """Return what a hole takes out of the layer."""
        away = self.at - hole.place
        depth = away @ hole.normal
        near = (np.abs(depth) < hole.radius + 12) & (
            (away**2).sum(axis=1) < (hole.radius + 20) ** 2
        )
        at, away, depth = self.at[near], away[near], depth[near]
        across = np.sqrt(np.maximum((away**2).sum(axis=1) - depth**2, 1e-12))
        near = across < hole.radius + 3
        at, away, across = at[near], away[near], across[near]
        layer = self.layer[tuple(at.T)].astype(np.float64)
        x = (across - hole.radius) / self.rim
        rim = -layer * np.exp(-0.5 * x * x) / (self.rim * math.sqrt(2 * math.pi))
        axes = tuple(a[0] for a in tangents(hole.normal[None]))
        moves = [rim * (away @ a) / across for a in axes]
        return _Plug(at, layer * normal_cdf(-x), np.stack([*moves, rim]), (axes[0], axes[1]))

    def shown(self, holes: list[Hole]) -> Float32:
        """Return what the volume shows of the layer with holes, as a detector's pixels have it."""
        drawn = self.layer + self.inside
        for hole in holes:
            plug = self.plug(hole)
            drawn[tuple(plug.at.T)] -= plug.taken.astype(np.float32)
        spectra, gain = self.known.spectra, self.known.response.pixel_gain(self.known.spectra)
        shown = self.known.response.show(drawn)
        if gain is None:
            return shown
        return spectra.inverse(spectra.forward(shown) * gain)


def fitted_holes(
    layer: HoledLayer, matched: HoleFilter, holes: list[Hole], misfit: float
) -> list[Hole]:
    """Return holes with places and radii of least squares, their errors, and the share of the layer that is missing.

    Gauss-Newton on the whole volume, each hole for itself: they lie apart, and the rest is drawn anew for each step.
    ``misfit``: root of chi squared over what the noise alone would make it, by which errors are widened.
    """
    kernel = matched.autocorrelation()
    for _ in range(_STEPS):
        rest = matched.weighted(layer.known.data - layer.shown(holes))
        moved = [_stepped(layer.plug(h), h, rest, kernel) for h in holes]
        done = max(np.linalg.norm(a.place - b.place) + abs(a.radius - b.radius)
                   for a, b in zip(moved, holes, strict=True)) < 0.02  # fmt: skip
        holes = moved
        if done:
            break
    rest = matched.weighted(layer.known.data - layer.shown(holes))
    return [_judged(layer.plug(h), h, rest, kernel, misfit) for h in holes]


def _stepped(plug: _Plug, hole: Hole, rest: Float32, kernel: Float32) -> Hole:
    gram = _products(plug.at, plug.by, kernel)
    step = np.linalg.solve(
        gram + 1e-9 * np.trace(gram) * np.eye(3), plug.by @ rest[tuple(plug.at.T)]
    )
    step = np.clip(step, -_LONGEST, _LONGEST)
    place = hole.place + step[0] * plug.along[0] + step[1] * plug.along[1]
    return replace(hole, place=place, radius=max(hole.radius + float(step[2]), _SMALLEST))


def _judged(plug: _Plug, hole: Hole, rest: Float32, kernel: Float32, misfit: float) -> Hole:
    """Return a fitted hole with its errors and how much of it is there."""
    rows = np.concatenate([plug.by, -plug.taken[None]])
    gram = _products(plug.at, rows, kernel)
    error = np.hypot(misfit * np.sqrt(np.diag(np.linalg.inv(gram[:3, :3]))), _MODEL)
    missing = 1 + float(rows[3] @ rest[tuple(plug.at.T)]) / float(gram[3, 3])
    return replace(
        hole,
        sigma_radius=float(error[2]),
        sigma_place=float(np.sqrt((error[:2] ** 2).mean())),
        missing=missing,
        significance=missing * math.sqrt(float(gram[3, 3])) / misfit,
    )


def _products(at: npt.NDArray[np.int64], rows: Float64, kernel: Float32) -> Float64:
    """Return the products of what the volume shows of patterns (n, cells), over the noise."""
    flat, shape = kernel.ravel(), np.array(kernel.shape)
    out = np.zeros((len(rows), len(rows)))
    for i, cell in enumerate(at):
        lag = (at - cell) % shape
        seen = flat[(lag[:, 0] * shape[1] + lag[:, 1]) * shape[2] + lag[:, 2]]
        out += np.outer(rows[:, i], rows @ seen)
    return (out + out.T) / 2
