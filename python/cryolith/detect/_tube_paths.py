# SPDX-License-Identifier: BSD-3-Clause
"""From linked voxels to centre lines: the longest path, then branches; places between voxels; where a line ends."""

from __future__ import annotations

import heapq
import math

import numpy as np

from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_links import Index, Ridges
from ._oriented_objects import Traced
from ._oriented_peaks import climb
from ._sphere import frames

__all__ = ["paths_in", "trace_tube"]

_SMOOTH = 2.0  # px, along a path of voxels
_BRANCH = 1.5  # filter lengths: shorter branches are no branches
_BEYOND = 2.5  # filter lengths that a line is followed straight on beyond its last voxel
_STEP = 0.25  # px, along it
_CORE = 0.75  # of the height along it


def paths_in(
    members: Index, edges: Index, ridges: Ridges, reach: float, shortest: float
) -> list[Index]:
    """Return the paths through one component, the longest first.

    The first joins the two voxels that lie farthest apart along the ridges; voxels within ``reach`` of a path are done,
    and what is left is searched again, down to paths of length ``shortest``.
    """
    near: dict[int, list[tuple[int, float]]] = {int(i): [] for i in members}
    gaps = np.linalg.norm(ridges.voxels[edges[:, 0]] - ridges.voxels[edges[:, 1]], axis=1)
    for (a, b), gap in zip(edges.tolist(), gaps.tolist(), strict=True):
        near[a].append((b, gap))
        near[b].append((a, gap))
    left = set(near)
    paths: list[Index] = []
    while left:
        start = min(left)
        far, _, seen = _farthest(near, left, start)
        end, before, _ = _farthest(near, left, far)
        path = [end]
        while path[-1] != far:
            path.append(before[path[-1]])
        at = ridges.voxels[path]
        length = np.linalg.norm(np.diff(at, axis=0), axis=1).sum()
        if paths and length < shortest:
            left -= set(seen)
            continue
        paths.append(np.array(path, np.intp))
        rest = np.array(sorted(left), np.intp)
        gap = np.full(len(rest), np.inf)
        for place in at:
            gap = np.minimum(gap, np.linalg.norm(ridges.voxels[rest] - place, axis=1))
        left = {int(i) for i in rest[gap > reach]}
    return paths


def _farthest(
    near: dict[int, list[tuple[int, float]]], allowed: set[int], start: int
) -> tuple[int, dict[int, int], list[int]]:
    """Return the voxel farthest from ``start`` along edges, the way back, and all that was reached."""
    distance, before = {start: 0.0}, {start: start}
    queue, order = [(0.0, start)], []
    while queue:
        d, at = heapq.heappop(queue)
        if d > distance[at]:
            continue
        order.append(at)
        for other, gap in near[at]:
            if other in allowed and d + gap < distance.get(other, math.inf):
                distance[other], before[other] = d + gap, at
                heapq.heappush(queue, (d + gap, other))
    return order[-1], before, order


def trace_tube(
    bank: OrientedBank, field: Float32, ridges: Ridges, path: Index, group: int
) -> Traced | None:
    """Return the centre line along one path, or None where nothing is left of it."""
    sign = int(np.sign(ridges.heights[path].sum()))
    middle = path[np.abs(ridges.heights[path]).argmax()]
    width = float(ridges.widths[middle])
    places = _spaced(_smoothed((ridges.voxels[path] + ridges.offsets[path]).astype(float)), 1.0)
    if len(places) < 3:  # one or two voxels: along the filter that saw them
        places = ridges.voxels[middle] + np.outer(np.arange(-2.0, 2.5), ridges.axes[middle])
    axes = _tangents(places)
    widths = np.full(len(places), width)
    for _ in range(2):
        ways = np.stack(frames(axes), axis=1)
        places, axes = climb(bank, field, places, axes, widths, ways)
    places = _core_of(bank, field, _spaced(_smoothed(places), 1.0), width, sign)
    if not len(places):
        return None
    return _with_ends(bank, field, places, width, sign, group)


def _core_of(
    bank: OrientedBank, field: Float32, places: Float64, width: float, sign: int
) -> Float64:
    """Return a line without its ends: what was found by following the highest response, noise and all, is too long.

    Nothing is left of a line along which the response is not of its sign.
    """
    heights = sign * bank.sample(field, places, _tangents(places), np.full(len(places), width))
    high = np.flatnonzero(heights > _CORE * _plateau(heights))
    if not len(high):
        return places[:0]
    low, last = int(high[0]), int(high[-1])
    if last - low < 2:
        low, last = max(low - 1, 0), min(last + 1, len(places) - 1)
    return places[low : last + 1]


def _plateau(heights: Float64) -> float:
    """Return how high a response is along an object, less what its highest point owes to noise."""
    top = float(heights.max())
    level = float(np.median(heights[heights >= _CORE * top])) if top > 0 else 1.0
    return min(level, math.sqrt(max(top**2 - 4, 1.0)))


def _with_ends(
    bank: OrientedBank, field: Float32, places: Float64, width: float, sign: int, group: int
) -> Traced | None:
    """Cut or lengthen a line to where its response falls to half."""
    longer = _lengthened(places, _BEYOND * bank.length)
    line = _spaced(longer, _STEP)
    axes = _tangents(line)
    heights = sign * bank.sample(field, line, axes, np.full(len(line), width))
    skip = round(_BEYOND * bank.length / _STEP)
    inside = heights[skip : max(len(heights) - skip, skip + 1)]
    top = skip + int(inside.argmax())
    plateau = _plateau(inside)
    low, high = _crossings(heights, top, plateau / 2)
    measured = (high - low) * _STEP
    length, sigma = bank.inverted_extent(axes[top], width, measured, plateau)
    lost = (measured - length) / 2 / _STEP  # what the filter adds at either end
    first = max(math.ceil(low + lost), 0)
    last = min(math.floor(high - lost), len(line) - 1)
    if last - first < 2:
        first, last = max(top - 2, 0), min(top + 2, len(line) - 1)
    kept = slice(first, last + 1, 2)
    gain = float(bank.at(bank.wide_response, axes[[top]], np.array([width]))[0])
    n = len(line[kept])
    return Traced(
        nodes=line[kept],
        axes=axes[kept],
        shares=np.full(n, length / n),
        width=width,
        heights=heights[kept],
        sign=sign,
        peak=float(heights[top]),
        place=line[top],
        axis=axes[top],
        extent=length,
        sigma_extent=sigma,
        amplitudes=np.full(n, max(plateau, 0.0) / gain),
        group=group,
    )


def _crossings(heights: Float64, top: int, level: float) -> tuple[float, float]:
    """Return where ``heights`` first falls to ``level`` on either side of ``top``: fractions of an index."""
    below = np.flatnonzero(heights < level)
    out = []
    for ends, way in ((below[below < top][-1:], 1), (below[below > top][:1], -1)):
        if not len(ends):
            out.append(0.0 if way == 1 else len(heights) - 1.0)
            continue
        i = int(ends[0])
        out.append(i + way * (level - heights[i]) / (heights[i + way] - heights[i]))
    return out[0], out[1]


def _smoothed(places: Float64) -> Float64:
    """Return a path smoothed along its index; its ends are mirrored, so that they stay."""
    n = len(places)
    if n < 3:
        return places
    reach = min(round(3 * _SMOOTH), n - 1)
    padded = np.concatenate(
        [2 * places[0] - places[reach:0:-1], places, 2 * places[-1] - places[-2 : -reach - 2 : -1]]
    )
    t = np.arange(-reach, reach + 1)
    weight = np.exp(-0.5 * (t / _SMOOTH) ** 2)
    weight /= weight.sum()
    return np.stack([np.convolve(padded[:, a], weight, "valid") for a in range(3)], axis=1)


def _spaced(places: Float64, step: float) -> Float64:
    """Return points of a polyline ``step`` apart, from its first on."""
    along = np.concatenate([[0.0], np.linalg.norm(np.diff(places, axis=0), axis=1).cumsum()])
    at = np.arange(0.0, along[-1] + 1e-9, step)
    return np.stack([np.interp(at, along, places[:, a]) for a in range(3)], axis=1)


def _lengthened(places: Float64, by: float) -> Float64:
    """Return a line with a straight piece at either end, along the mean of its last few steps."""
    n = min(6, len(places) - 1)
    start, end = places[0] - places[n], places[-1] - places[-1 - n]
    steps = np.arange(by, 0.0, -0.5)
    before = places[0] + np.outer(steps, start / np.linalg.norm(start))
    after = places[-1] + np.outer(steps[::-1], end / np.linalg.norm(end))
    return np.concatenate([before, places, after])


def _tangents(places: Float64) -> Float64:
    """Return unit vectors along a line, by differences over a few steps."""
    n = len(places)
    reach = 3
    index = np.arange(n)
    step = places[np.minimum(index + reach, n - 1)] - places[np.maximum(index - reach, 0)]
    out: Float64 = step / np.linalg.norm(step, axis=1)[:, None]
    return out
