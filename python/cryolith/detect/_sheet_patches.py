# SPDX-License-Identifier: BSD-3-Clause
"""From linked voxels to surfaces: places between voxels, smoothed along their own normals, and an area."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from ._inputs import Float64
from ._oriented_bank import OrientedBank
from ._oriented_links import Index, Ridges, components
from ._oriented_objects import Traced
from ._oriented_peaks import Peaks
from ._sheet_rim import Patch, fit_patch
from ._tube_fit import BeadFields

__all__ = ["facet", "trace_sheet"]

_JUMP = 3.0  # px: a triangle spans less along each axis
_PASSES = 3  # of smoothing: each takes the mean over neighbours
_BENT = math.cos(math.radians(30))  # planes that meet at more are two sheets
_ON = 2.0  # px: an extremum as near to a voxel is on its sheet


def facet(
    ridges: Ridges, members: Index, edges: Index, seed: Peaks, others: Peaks
) -> tuple[Index, Index]:
    """Return what belongs to ``seed`` of one component, and its edges.

    Filters see two planes that nearly touch as one surface with a bend. What holds another extremum of a normal more
    than 30 degrees off is shared out by normals.
    """
    apart = np.abs(others.axes @ seed.axes[0]) < _BENT
    apart &= np.sign(others.heights) == np.sign(seed.heights[0])
    rivals = others.pick(apart)
    gap = [np.linalg.norm(ridges.voxels[members] - p, axis=1).min() for p in rivals.places]
    rivals = rivals.pick(np.array(gap) < _ON) if len(rivals) else rivals
    if not len(rivals):
        return members, edges
    axes = ridges.axes[members]
    own = np.abs(axes @ seed.axes[0]) >= np.abs(axes @ rivals.axes.T).max(axis=1)
    if not own.any():
        return members, edges
    kept = np.zeros(len(ridges.voxels), bool)
    kept[members[own]] = True
    edges = edges[kept[edges].all(axis=1)]
    part = components(len(ridges.voxels), edges)
    nearest = members[own][
        np.linalg.norm(ridges.voxels[members[own]] - seed.places[0], axis=1).argmin()
    ]
    kept &= part == part[nearest]
    return np.flatnonzero(kept), edges[kept[edges].all(axis=1)]


def trace_sheet(
    beads: BeadFields, ridges: Ridges, members: Index, edges: Index, low: float, group: int
) -> Traced:
    """Return the surface through one component.

    Where it is about flat its rim is the likeliest. Else that is where the response falls to half (or to the linking
    level ``low`` where that is more).
    """
    found = _traced(beads.bank, ridges, members, edges, low, group)
    row = beads.of(found.width)
    patch = fit_patch(row, found.nodes, found.axes, found.heights, found.sign)
    return found if patch is None else _of_patch(beads, found, patch)


def _of_patch(beads: BeadFields, found: Traced, patch: Patch) -> Traced:
    """Return a traced sheet with the place and rim of a fitted one."""
    width = np.full(len(patch.nodes), found.width)
    heights = found.sign * beads.bank.sample(beads.field, patch.nodes, patch.normals, width)
    top = int(heights.argmax())
    halves = patch.squares[:, [0, 1, 2]], patch.squares[:, [0, 2, 3]]
    return replace(
        found,
        nodes=patch.nodes,
        axes=patch.normals,
        shares=patch.shares,
        heights=heights,
        peak=float(heights[top]),
        place=patch.nodes[top],
        axis=patch.normals[top],
        extent=patch.area,
        sigma_extent=patch.sigma_area,
        amplitudes=np.full(len(patch.nodes), patch.amplitude),
        faces=_turned(np.concatenate(halves), patch.nodes, patch.normals),
    )


def _traced(
    bank: OrientedBank, ridges: Ridges, members: Index, edges: Index, low: float, group: int
) -> Traced:
    """Return the surface through the voxels of one component that are at least half as high as its top.

    Each column of voxels along the axis nearest to the normal holds one, which stands for 1 / cos of the angle between
    both.
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
        faces=_faces(ridges.voxels[members], np.abs(axes).argmax(axis=1), nodes, normals),
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


def _faces(voxels: Index, along: Index, nodes: Float64, normals: Float64) -> npt.NDArray[np.int64]:
    """Return triangles between nodes of neighbouring columns; where the columns' axis changes there is a seam."""
    faces = [np.empty((0, 3), np.int64)]
    for axis in range(3):
        own = np.flatnonzero(along == axis)
        if not len(own):
            continue
        column = np.delete(voxels[own], axis, axis=1)
        column = column - column.min(axis=0)
        index = np.full(column.max(axis=0) + 2, -1, np.int64)
        index[tuple(column.T)] = own
        corners = index[:-1, :-1], index[1:, :-1], index[1:, 1:], index[:-1, 1:]
        square = np.stack([c.ravel() for c in corners], axis=1)
        whole, lacks = (square >= 0).all(axis=1), (square < 0).sum(axis=1) == 1
        faces += [square[whole][:, [0, 1, 2]], square[whole][:, [0, 2, 3]]]
        three = square[lacks]
        faces.append(three[three >= 0].reshape(-1, 3))
    found = _turned(np.concatenate(faces), nodes, normals)
    # Heights of neighbouring columns differ by little on one surface, by more between two.
    return np.asarray(found[np.ptp(nodes[found], axis=1).max(axis=1) < _JUMP])


def _turned(
    faces: npt.NDArray[np.int64], nodes: Float64, normals: Float64
) -> npt.NDArray[np.int64]:
    """Return triangles in the order in which they are counter-clockwise as seen from where their normals point to."""
    first, second, third = nodes[faces].transpose(1, 0, 2)
    # Counter-clockwise in x, y, z: the cross product of z, y, x has the other sign.
    turn = -(np.cross(second - first, third - first) * normals[faces[:, 0]]).sum(axis=1)
    return np.where(turn[:, None] < 0, faces[:, ::-1], faces)


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
