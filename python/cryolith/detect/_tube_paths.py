# SPDX-License-Identifier: BSD-3-Clause
"""From linked voxels to centre lines: the longest path, then branches; places between voxels; where a line ends."""

from __future__ import annotations

import heapq
import math
from dataclasses import replace

import numpy as np

from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_links import Index, Ridges
from ._oriented_objects import Traced
from ._oriented_peaks import climb
from ._sphere import frames
from ._tube_fit import BeadFields, LineFit, best_piece, fit_line, likeliest
from ._tube_starts import chord, hopeful, lengthened, spaced, swung_piece, worst_way

__all__ = ["as_traced", "paths_in", "refitted", "trace_tube"]

_SMOOTH = 2.0  # px, along a path of voxels
_NODES = 0.5  # px, along a fitted line


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


def trace_tube(beads: BeadFields, ridges: Ridges, path: Index, group: int) -> Traced | None:
    """Return the centre line along one path, or None where nothing is left of it."""
    bank, field = beads.bank, beads.field
    sign = int(np.sign(ridges.heights[path].sum()))
    middle = path[np.abs(ridges.heights[path]).argmax()]
    width = float(ridges.widths[middle])
    at = (ridges.voxels[path] + ridges.offsets[path]).astype(float)
    places = spaced(_smoothed(at), 1.0)
    if len(places) < 3:  # one or two voxels: along the filter that saw them
        places = ridges.voxels[middle] + np.outer(np.arange(-2.0, 2.5), ridges.axes[middle])
    axes = _tangents(places)
    for _ in range(2):
        ways = np.stack(frames(axes), axis=1)
        places, axes = climb(bank, field, places, axes, np.full(len(places), width), ways)
    straight = chord(at, ridges.axes[middle])
    fit = _fitted_line(beads, [_smoothed(places), straight], straight, width, sign)
    return None if fit is None else as_traced(bank, field, fit, width, sign, group)


def _fitted_line(
    beads: BeadFields, lines: list[Float64], straight: Float64, width: float, sign: int
) -> LineFit | None:
    """Return the best fit that starts from lines, which are lengthened first, or from where a straight one may lie."""
    row = beads.of(width)
    axis = (straight[-1] - straight[0]) / np.linalg.norm(straight[-1] - straight[0])
    way = worst_way(beads.bank.metric_at(axis, width)[0], axis)
    starts = [best_piece(row, lengthened(line, row.length), sign) for line in lines]
    starts.append(swung_piece(row, straight, way, sign))
    return likeliest([fit_line(row, piece, sign) for piece in hopeful(starts)])


def as_traced(
    bank: OrientedBank, field: Float32, fit: LineFit, width: float, sign: int, group: int
) -> Traced:
    """Return a fitted line as an object."""
    nodes, axes, shares = fit.points(_NODES)
    heights = sign * bank.sample(field, nodes, axes, np.full(len(nodes), width))
    top = int(heights.argmax())
    return Traced(
        nodes=nodes,
        axes=axes,
        shares=shares,
        width=width,
        heights=heights,
        sign=sign,
        peak=float(heights[top]),
        place=nodes[top],
        axis=axes[top],
        extent=fit.length,
        sigma_extent=fit.sigma_length,
        amplitudes=np.full(len(nodes), fit.amplitude),
        group=group,
        knots=fit.knots,
    )


def refitted(beads: BeadFields, found: Traced) -> Traced:
    """Return an object fitted again in another volume; its significance stays."""
    straight = chord(found.nodes, found.axis)
    fit = _fitted_line(beads, [found.nodes], straight, found.width, found.sign)
    if fit is None:
        return found
    new = as_traced(beads.bank, beads.field, fit, found.width, found.sign, found.group)
    return replace(new, peak=found.peak)


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


def _tangents(places: Float64) -> Float64:
    """Return unit vectors along a line, by differences over a few steps."""
    n = len(places)
    reach = 3
    index = np.arange(n)
    step = places[np.minimum(index + reach, n - 1)] - places[np.maximum(index - reach, 0)]
    out: Float64 = step / np.linalg.norm(step, axis=1)[:, None]
    return out
