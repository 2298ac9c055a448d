# SPDX-License-Identifier: BSD-3-Clause
"""Rims of sheets by likelihood: the outline within which what the reconstruction shows of a sheet fits best.

As lines are rows of beads (``_tube_fit.py``), a sheet is a square grid of them, on a quadric over its mean plane and
within an outline that is a Fourier series of the angle. With weights w_i (1 inside, 0 outside), B the filter's output
for a bead and K its response to another, the log likelihood over no sheet is (w B)^2 / (2 w K w).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float64
from ._oriented_peaks import newton_step
from ._tube_fit import Beads

__all__ = ["Patch", "fit_patch"]

_FEWEST, _MOST = 12, 2500  # traced nodes; beads
_BEAD = 1.2  # widths between them, at most
_MOVE, _FAR = 0.5, 4.0  # px: of differences; moves, the farthest that one round goes
_ROUNDS, _SETTLED = 8, 0.02
_TURNS = 2  # of heights and outline
# Of the traced outline: its fit starts from the likeliest.
_SCALES = (0.5, 0.65, 0.8, 0.9, 1.0, 1.1)
# Harmonics of outlines: of all, and of those to which more bring as much as this log likelihood.
_HARMONICS, _MORE = 2, 4
_WAVE = 8.0
# Traced nodes that lie farther [px] from a quadric are none of its, but of their squared significances such a share has
# to be; rounds of leaving out.
_OFF, _SHARE, _TRIMS = 3.0, 0.7, 4
_STEEP = 0.5  # cosine between a normal and that of the mean plane, at least,
_FEW = 0.1  # but for so many
_KNOWN = 0.02  # log likelihood: no move of the outline is known worse than to 5 px


class Patch(NamedTuple):
    """A fitted sheet.

    Attributes
    ----------
    nodes, normals : (n, 3) float64
    shares : (n,) float64
        Area of each [px^2].
    squares : (m, 4) int64
        Nodes of each square of the grid, in turn.
    area, sigma_area : float
        [px^2]
    amplitude : float
        Positive.
    """

    nodes: Float64
    normals: Float64
    shares: Float64
    squares: npt.NDArray[np.int64]
    area: float
    sigma_area: float
    amplitude: float


class _Grid:
    """A square grid over the mean plane of a traced sheet, and the quadric on which its beads lie."""

    def __init__(self, nodes: Float64, weights: Float64, step: float, reach: float) -> None:
        self.step = step
        self.middle = np.average(nodes, axis=0, weights=weights)
        away = nodes - self.middle
        moments = (away * weights[:, None]).T @ away
        self.frame = np.linalg.eigh(moments)[1].T  # the normal is the first
        self.scale = reach
        height, *flat = self.frame @ away.T
        root = np.sqrt(weights)
        terms = self._powers(np.array(flat))
        # In terms that are of 1 px and independent over the traced nodes: Newton steps then go straight.
        upper = np.linalg.qr(terms * root[:, None])[1]
        self.basis = np.linalg.inv(upper) * math.sqrt(float(weights.sum()))
        self.bend = (weights * height) @ terms @ self.basis / weights.sum()
        self.traced = np.array(flat)
        n = math.ceil(reach / step)
        ticks = step * np.arange(-n, n + 1)
        self.flat = np.stack(np.meshgrid(ticks, ticks, indexing="ij")).reshape(2, -1)
        self.flat = self.flat[:, np.hypot(*self.flat) <= reach]
        self.radius, self.angle = np.hypot(*self.flat), np.arctan2(self.flat[1], self.flat[0])

    def _powers(self, flat: Float64) -> Float64:
        u, v = flat / self.scale
        return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)

    def off(self, nodes: Float64) -> Float64:
        """Return how far (n,) nodes lie above the quadric."""
        height, *flat = self.frame @ (nodes - self.middle).T
        return np.asarray(height - self._powers(np.array(flat)) @ self.basis @ self.bend)

    def places(self, bend: Float64) -> Float64:
        """Return (n, 3) places of the beads."""
        height = self._powers(self.flat) @ self.basis @ bend
        return np.asarray(self.middle + np.vstack([height, self.flat]).T @ self.frame)

    def normals(self) -> Float64:
        """Return (n, 3) vectors along the normals, as long as the surface over a unit of the plane."""
        u, v = self.flat / self.scale
        b = self.basis @ self.bend / self.scale
        slope = np.stack([b[1] + 2 * b[3] * u + b[4] * v, b[2] + b[4] * u + 2 * b[5] * v])
        return np.asarray(np.vstack([np.ones_like(u), -slope]).T @ self.frame)

    def weights(self, outline: Float64) -> Float64:
        """Return (n,) shares of the beads that lie within an outline."""
        edge = waves(self.angle, len(outline)) @ outline
        return np.asarray(np.clip((edge - self.radius) / self.step + 0.5, 0.0, 1.0))


def waves(angle: Float64, count: int) -> Float64:
    """Return (n, count): 1, cos, sin, cos 2, sin 2 and so on of angles."""
    m = np.arange(1, count // 2 + 1)
    both = np.stack([np.cos(np.outer(angle, m)), np.sin(np.outer(angle, m))], axis=2)
    return np.hstack([np.ones((len(angle), 1)), both.reshape(len(angle), -1)])


def fit_patch(
    beads: Beads, nodes: Float64, normals: Float64, heights: Float64, sign: int
) -> Patch | None:
    """Return the sheet that fits best, from the nodes of a traced one, their normals and significances.

    None where it is no quadric over its mean plane, of fewer than 12 nodes or more than 2500 beads, reaches out of the
    volume, or is of the other sign.
    """
    reach = 1.3 * float(np.linalg.norm(nodes - nodes.mean(axis=0), axis=1).max()) + beads.width
    step = max(1.0, math.sqrt(math.pi * reach**2 / _MOST))
    if step > _BEAD * beads.width:
        return None
    weights, near = heights**2, np.ones(len(nodes), bool)
    for _ in range(_TRIMS):
        if near.sum() < _FEWEST or weights[near].sum() < _SHARE * weights.sum():
            return None
        grid = _Grid(nodes[near], weights[near], step, reach)
        near = np.abs(grid.off(nodes)) < _OFF
    if (np.abs(normals[near] @ grid.frame[0]) < _STEEP).mean() > _FEW:
        return None
    outline = _traced_outline(grid)
    for turn in range(_TURNS):
        grid.bend = _settled_heights(beads, grid, outline, sign)
        rim = _Rim(beads, grid, sign)
        if turn == 0:
            outline = max([s * outline for s in _SCALES], key=rim.gain)
        outline, gain = rim.climbed(outline)
    wavy, more = rim.climbed(np.concatenate([outline, np.zeros(2 * (_MORE - _HARMONICS))]))
    if more > gain + _WAVE:
        outline = wavy
    if not gain > 0:
        return None
    return _measured(grid, rim, outline)


def _traced_outline(grid: _Grid) -> Float64:
    """Return the outline through the outermost of the traced nodes in each of 16 directions."""
    angle, radius = np.arctan2(grid.traced[1], grid.traced[0]), np.hypot(*grid.traced)
    sector = np.floor((angle + math.pi) / (2 * math.pi) * 16).astype(int) % 16
    far = np.array([radius[sector == s].max(initial=0.0) for s in range(16)])
    at = (np.arange(16) + 0.5) / 16 * 2 * math.pi - math.pi
    return np.asarray(np.linalg.lstsq(waves(at, 2 * _HARMONICS + 1), far, rcond=None)[0])


def _settled_heights(beads: Beads, grid: _Grid, outline: Float64, sign: int) -> Float64:
    """Return the quadric that fits best within an outline, as if its overlap with itself stayed the same.

    Moved or tilted it does; a sheet bent to a radius of two filter lengths comes out a fifth too flat.
    """
    weight = grid.weights(outline)

    def value(bend: Float64) -> float:
        return sign * float(weight @ beads.signal(grid.places(bend)))

    bend = grid.bend
    now = value(bend)
    for _ in range(_ROUNDS):
        trial = bend + _uphill(value, bend)
        then = value(trial)
        if not then > now * (1 + 1e-4):
            break
        bend, now = trial, then
    return np.asarray(bend)


def _uphill(value: Callable[[Float64], float], at: Float64) -> Float64:
    """Return a Newton step of a function of lengths [px]."""

    def near(step: Float64) -> Float64:
        return np.array([value(at + _MOVE * step[0])])

    return np.asarray(_MOVE * np.clip(newton_step(near, 1, len(at))[0], -_FAR, _FAR))


class _Rim:
    """How likely outlines are on a grid whose beads lie still."""

    def __init__(self, beads: Beads, grid: _Grid, sign: int) -> None:
        places = grid.places(grid.bend)
        self.grid, self.sign = grid, sign
        self.signal, self.gram = beads.signal(places), beads.gram(places)
        self.inside = beads.inside(places)
        self.normals = grid.normals()
        self.element = grid.step**2 * np.linalg.norm(self.normals, axis=1)

    def shares(self, outline: Float64) -> Float64:
        """Return the area (n,) within an outline that each bead stands for."""
        return np.asarray(self.grid.weights(outline) * self.element)

    def sums(self, outline: Float64) -> tuple[float, float]:
        """Return S and Q: their ratio is the amplitude."""
        weight = self.shares(outline)
        return float(weight @ self.signal), max(float(weight @ self.gram @ weight), 1e-30)

    def gain(self, outline: Float64) -> float:
        """Return the log likelihood over no sheet; negative where it would be of the other sign."""
        total, power = self.sums(outline)
        return self.sign * total * abs(total) / (2 * power)

    def climbed(self, outline: Float64) -> tuple[Float64, float]:
        """Return an outline and its log likelihood after Newton steps uphill."""
        now = self.gain(outline)
        for _ in range(_ROUNDS):
            step = _uphill(self.gain, outline)
            trials = [outline + shorter * step for shorter in (1.0, 0.5, 0.2)]
            trial = next((t for t in trials if self.gain(t) > now), None)
            if trial is None:
                break
            gained, outline = self.gain(trial) - now, trial
            now += gained
            if gained < _SETTLED:
                break
        return outline, now


def _measured(grid: _Grid, rim: _Rim, outline: Float64) -> Patch | None:
    """Return the sheet within an outline, its error from the likelihood's curvature."""
    shares = rim.shares(outline)
    kept = np.flatnonzero(shares > 0)
    if len(kept) < 3 or not rim.inside[kept].all():
        return None
    p = len(outline)
    unit = _MOVE * np.eye(p)
    curve = np.empty((p, p))
    middle = rim.gain(outline)
    up, down = ([rim.gain(outline + way * e) for e in unit] for way in (1, -1))
    for i in range(p):
        curve[i, i] = up[i] + down[i] - 2 * middle
        for j in range(i):
            both = rim.gain(outline + unit[i] + unit[j])
            curve[i, j] = curve[j, i] = both - up[i] - up[j] + middle
    values, vectors = np.linalg.eigh(-curve)
    slope = [(rim.shares(outline + e) - rim.shares(outline - e)).sum() / 2 for e in unit]
    variance = (vectors.T @ np.array(slope)) ** 2 / np.maximum(values, _KNOWN * _MOVE**2)
    total, power = rim.sums(outline)
    return Patch(
        nodes=grid.places(grid.bend)[kept],
        normals=rim.normals[kept] * grid.step**2 / rim.element[kept, None],
        shares=shares[kept],
        squares=_squares(grid, kept),
        area=float(shares.sum()),
        sigma_area=math.sqrt(float(variance.sum())),
        amplitude=abs(total) / power,
    )


def _squares(grid: _Grid, kept: npt.NDArray[np.intp]) -> npt.NDArray[np.int64]:
    """Return the squares whose corners are all kept."""
    at = np.rint(grid.flat[:, kept] / grid.step).astype(np.int64)
    at -= at.min(axis=1)[:, None]
    index = np.full(at.max(axis=1) + 2, -1, np.int64)
    index[tuple(at)] = np.arange(len(kept))
    corners = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
    square = np.stack([c.ravel() for c in corners], axis=1)
    return np.asarray(square[(square >= 0).all(axis=1)])
