# SPDX-License-Identifier: BSD-3-Clause
"""From linked voxels to surfaces: places between voxels, smoothed along their own normals, and an area."""

from __future__ import annotations

import math

import numpy as np

from ._inputs import Float64
from ._oriented_bank import OrientedBank
from ._oriented_links import Index, Ridges
from ._oriented_objects import Traced

__all__ = ["trace_sheet"]

_PASSES = 3  # of smoothing: each takes the mean over neighbours


def trace_sheet(
    bank: OrientedBank, ridges: Ridges, members: Index, edges: Index, low: float, group: int
) -> Traced:
    """Return the surface through one component.

    Each column of voxels along the axis nearest to the normal holds one, which stands for 1 / cos of the angle between
    both. The rim is where the response falls to half (or to the linking level ``low`` where that is more).
    """
    heights = np.abs(ridges.heights[members])
    top = int(heights.argmax())
    plateau = math.sqrt(max(heights[top] ** 2 - 5, 1.0))
    inside = heights >= max(0.5 * plateau, low)
    members, heights = members[inside], heights[inside]
    top = int(heights.argmax())
    axes = ridges.axes[members].copy()
    axes *= np.where(axes @ axes[top] < 0, -1.0, 1.0)[:, None]
    nodes, normals = _surface(ridges, members, axes, edges)
    cosine = np.take_along_axis(np.abs(normals), np.abs(axes).argmax(axis=1)[:, None], 1)[:, 0]
    shares = 1 / np.maximum(cosine, 0.5)
    width = float(np.median(ridges.widths[members]))
    share = max(0.5, low / plateau)
    area, sigma = bank.inverted_area(axes[top], width, float(shares.sum()), plateau, share)
    gain = float(bank.at(bank.wide_response, axes[[top]], np.array([width]))[0])
    return Traced(
        nodes=nodes,
        axes=normals,
        shares=shares * (area / shares.sum()),
        width=width,
        heights=heights,
        sign=int(np.sign(ridges.heights[members].sum())),
        peak=float(heights[top]),
        place=nodes[top],
        axis=axes[top],
        extent=area,
        sigma_extent=sigma,
        amplitudes=np.full(len(nodes), plateau / gain),
        group=group,
    )


def _surface(
    ridges: Ridges, members: Index, axes: Float64, edges: Index
) -> tuple[Float64, Float64]:
    """Return places and normals of some voxels' surface."""
    index = np.full(len(ridges.voxels), -1, np.intp)
    index[members] = np.arange(len(members))
    inner = index[edges]
    nodes = ridges.voxels[members] + ridges.offsets[members]
    return _smoothed(nodes, axes, inner[(inner >= 0).all(axis=1)])


def _smoothed(nodes: Float64, axes: Float64, edges: Index) -> tuple[Float64, Float64]:
    """Return places moved along their axes to the mean of their neighbours', and normals of planes through these."""
    a, b = np.concatenate([edges, edges[:, ::-1]]).T
    count = np.bincount(a, minlength=len(nodes))[:, None]

    def mean(values: Float64) -> Float64:
        total = values.copy()
        np.add.at(total, a, values[b])
        out: Float64 = total / (count + 1).reshape(-1, *(1,) * (values.ndim - 1))
        return out

    for _ in range(_PASSES):
        gap = mean(nodes) - nodes
        nodes = nodes + (gap * axes).sum(axis=1)[:, None] * axes
    middle = mean(mean(nodes))
    square = mean(mean(nodes[:, :, None] * nodes[:, None, :]))
    spread = square - middle[:, :, None] * middle[:, None, :]
    values, vectors = np.linalg.eigh(spread)
    normals = vectors[:, :, 0]
    normals = normals * np.where((normals * axes).sum(axis=1) < 0, -1.0, 1.0)[:, None]
    flat = (values[:, 1] > 3 * np.maximum(values[:, 0], 1e-9)) & (count[:, 0] >= 4)
    return nodes, np.where(flat[:, None], normals, axes)
