# SPDX-License-Identifier: BSD-3-Clause
"""Ridges of oriented filters: voxels that are the highest across their direction, and which of them belong together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64
from ._oriented_bank import Kind, OrientedBank, Response
from ._sphere import frames

__all__ = ["Ridges", "components", "link", "ridges_of"]

Index = npt.NDArray[np.intp]
_OFFSETS = np.array([(z, y, x) for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1)])[14:]
_BEND = 0.5  # cosine between axes of neighbours on one object, at least


class Ridges(NamedTuple):
    """Voxels on ridges, in raster order.

    Attributes
    ----------
    voxels : (n, 3) intp
    heights : (n,) float64
        Signed.
    axes : (n, 3) float64
    widths : (n,) float64
    offsets : (n, 3) float64
        From the voxel to the ridge, across the direction.
    """

    voxels: Index
    heights: Float64
    axes: Float64
    widths: Float64
    offsets: Float64

    def pick(self, index: Index) -> Ridges:
        """Return some of them."""
        return Ridges(
            self.voxels[index],
            self.heights[index],
            self.axes[index],
            self.widths[index],
            self.offsets[index],
        )


def ridges_of(bank: OrientedBank, response: Response, margin: int, level: float) -> Ridges:
    """Return the voxels beyond ``level`` that lie nearest to a ridge, as parabolas across it have it.

    Across a tube a ridge is the highest along four lines. Across a sheet it is so along the axis of the volume that its
    normal is nearest to: each column of voxels holds one.
    """
    inner = (slice(margin, -margin),) * 3
    voxels = np.argwhere(np.abs(response.value[inner]) > level) + margin
    heights = response.value[tuple(voxels.T)].astype(np.float64)
    which = response.which[tuple(voxels.T)]
    axes = bank.axes[which % len(bank.axes)]
    sign = np.sign(heights)
    offsets, kept = np.zeros((len(voxels), 3)), np.ones(len(voxels), bool)
    # Two pairs of lines across a tube: each place across is measured twice, and values between voxels blur a little.
    share, reach = (1.0, 0.5) if bank.kind == "sheets" else (0.5, 0.75)
    for line in _lines(axes, bank.kind):
        up, down = (sign * trilinear(response.value, voxels + way * line) for way in (1.0, -1.0))
        bend = up + down - 2 * np.abs(heights)
        step = np.where(bend < 0, (down - up) / (2 * np.minimum(bend, -1e-12)), 1.0)
        kept &= np.abs(step) <= reach
        offsets += np.clip(step, -1, 1)[:, None] * line * share
    widths = bank.widths[which // len(bank.axes)]
    return Ridges(voxels[kept], heights[kept], axes[kept], widths[kept], offsets[kept])


def _lines(axes: Float64, kind: Kind) -> list[Float64]:
    if kind == "sheets":
        return [np.eye(3)[np.abs(axes).argmax(axis=1)]]
    first, second = frames(axes)
    root = np.sqrt(0.5)
    return [first, second, root * (first + second), root * (first - second)]


def trilinear(volume: Float32, places: Float64) -> Float64:
    """Return values between voxels; places outside are those of the face."""
    shape = np.array(volume.shape)
    low = np.clip(np.floor(places).astype(np.intp), 0, shape - 2)
    share = np.clip(places - low, 0.0, 1.0)
    out = np.zeros(len(places))
    for corner in np.ndindex(2, 2, 2):
        c = np.array(corner)
        weight = np.prod(np.where(c == 1, share, 1 - share), axis=1)
        out += weight * volume[tuple((low + c).T)]
    return out


def link(ridges: Ridges, shape: tuple[int, ...]) -> tuple[Index, Index]:
    """Return the (m, 2) pairs of neighbours of one sign and a like direction, and each voxel's component, from 0."""
    n = len(ridges.voxels)
    index = np.full(shape, -1, np.int32)
    index[tuple(ridges.voxels.T)] = np.arange(n)
    pairs = []
    for offset in _OFFSETS:
        to = ridges.voxels + offset
        inside = np.flatnonzero(((to >= 0) & (to < np.array(shape))).all(axis=1))
        other = index[tuple(to[inside].T)]
        pairs.append(np.stack([inside, other], axis=1)[other >= 0])
    edges = np.concatenate(pairs).astype(np.intp)
    a, b = edges.T
    same = np.sign(ridges.heights[a]) == np.sign(ridges.heights[b])
    like = np.abs((ridges.axes[a] * ridges.axes[b]).sum(axis=1)) > _BEND
    edges = edges[same & like]
    return edges, components(n, edges)


def components(n: int, edges: Index) -> Index:
    """Return the smallest index of each vertex's component, by halving of paths."""
    parent = np.arange(n)
    while True:
        low = np.minimum(parent[edges[:, 0]], parent[edges[:, 1]])
        new = parent.copy()
        for end in edges.T:
            np.minimum.at(new, parent[end], low)
            np.minimum.at(new, end, low)
        new = new[new]
        if (new == parent).all():
            return parent
        parent = new
