# SPDX-License-Identifier: BSD-3-Clause
"""Where a sheet ends: its surface as a quadric, and a rim within which its model looks as large as the data do."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank
from ._oriented_links import Index, components
from ._oriented_objects import Traced
from ._sheet_patches import faces_between
from ._sphere import frames

__all__ = ["with_rim"]

_OFF, _MOST_OFF = (
    1.5,
    0.35,
)  # px from the quadric, and the share of nodes that may lie farther: past the rim they fan out
_ROUNDS = 4
_HALF = 0.5  # of the response: what is compared
_STRETCH = 2.0  # of an area, at most, in one step


class _Laid(NamedTuple):
    """A grid of points a pixel apart on a smooth surface: places, normals, areas, and (n, 2) rows and columns."""

    nodes: Float64
    normals: Float64
    shares: Float64
    cells: Index


def with_rim(
    bank: OrientedBank, field: Float32, own: Float32, found: Traced, low: float, most: float
) -> Traced:
    """Return a sheet on a smooth surface, as large as it has to be to look as it does.

    ``field`` is the filtered volume without all other objects, ``own`` what ``found``, of even amplitude, makes of it.
    Both are read with the normals of the surface: the highest response over directions fans out at the rim. The next
    area is that of the model, times the area where the data are half as high or more, over that where the model is:
    what the wedge and the sheet's shape do is in both. It is at most ``most``, the area that was traced, which holds
    the fan and what smears add: beside misfits of neighbours it would grow. A sheet that is no graph of a quadric stays
    as it was traced.
    """
    laid = _laid(bank, found)
    if laid is None:
        return found
    width = np.full(len(laid.nodes), found.width)
    data, model = (
        found.sign * bank.sample(f, laid.nodes, laid.normals, width) for f in (field, own)
    )
    top = float(data.max())
    plateau = math.sqrt(max(top**2 - 5, 1.0))
    share = max(_HALF, low / plateau)
    shown, seen = (_within(laid, h, share * t) for h, t in ((data, plateau), (model, model.max())))
    if not seen.any() or not shown.any() or share >= 1:
        return found
    drawn = float(found.shares.sum())
    change = drawn / float(laid.shares[seen].sum())
    area = float(laid.shares[shown].sum()) * min(max(change, 1 / _STRETCH), _STRETCH)
    area = min(area, most)
    # The places of the highest response, as many as that area holds.
    order = np.argsort(-data, kind="stable")
    part = order[: max(4, int(np.searchsorted(np.cumsum(laid.shares[order]), area)))]
    inside = np.zeros(len(data), bool)
    inside[part] = True
    return _cut(bank, laid, inside, data, replace(found, extent=area), plateau, share)


def _cut(
    bank: OrientedBank,
    laid: _Laid,
    inside: npt.NDArray[np.bool_],
    heights: Float64,
    found: Traced,
    plateau: float,
    share: float,
) -> Traced:
    """Return the part of a surface that is inside, as the object."""
    nodes, normals, cells = laid.nodes[inside], laid.normals[inside], laid.cells[inside]
    shares = laid.shares[inside]
    _, sigma = bank.inverted_area(found.axis, found.width, found.extent, plateau, share)
    voxels = np.concatenate([np.zeros((len(cells), 1), np.intp), cells], axis=1)
    amplitude = float(np.average(found.amplitudes, weights=found.shares))
    return replace(
        found,
        nodes=nodes,
        axes=normals,
        shares=shares * (found.extent / shares.sum()),
        heights=heights[inside],
        sigma_extent=sigma,
        amplitudes=np.full(len(nodes), amplitude),
        faces=faces_between(voxels, np.zeros(len(cells), np.intp), nodes, normals),
    )


def _laid(bank: OrientedBank, found: Traced) -> _Laid | None:
    """Return a surface through the nodes and a filter's length beyond, or None where a quadric does not fit."""
    axes = found.axes * np.where(found.axes @ found.axis < 0, -1.0, 1.0)[:, None]
    axis = np.average(axes, axis=0, weights=np.maximum(found.heights, 0) ** 2 + 1e-12)
    axis /= np.linalg.norm(axis)
    first, second = (f[0] for f in frames(axis[None]))
    middle = found.nodes.mean(axis=0)
    u, v, w = ((found.nodes - middle) @ way for way in (first, second, axis))
    use = np.ones(len(u), bool)
    for _ in range(_ROUNDS):
        if use.sum() < 12:
            return None
        curve = np.linalg.lstsq(_quadric(u, v)[use], w[use], rcond=None)[0]
        use = np.abs(w - _quadric(u, v) @ curve) < _OFF
    if (~use).mean() > _MOST_OFF:
        return None
    rows, columns = (
        np.arange(t[use].min() - bank.length, t[use].max() + bank.length + 1) for t in (u, v)
    )
    cells = np.stack(np.meshgrid(*(np.arange(len(t)) for t in (rows, columns)), indexing="ij"), -1)
    cells = cells.reshape(-1, 2)
    u, v = rows[cells[:, 0]], columns[cells[:, 1]]
    slope_u = curve[1] + 2 * curve[3] * u + curve[4] * v
    slope_v = curve[2] + curve[4] * u + 2 * curve[5] * v
    normals = axis - slope_u[:, None] * first - slope_v[:, None] * second
    shares = np.linalg.norm(normals, axis=1)
    height = _quadric(u, v) @ curve
    nodes = middle + np.outer(u, first) + np.outer(v, second) + np.outer(height, axis)
    inner = ((nodes >= 0) & (nodes <= np.array(bank.spectra.shape) - 1)).all(axis=1)
    return _Laid(
        nodes[inner],
        (normals / shares[:, None])[inner],
        shares[inner],
        cells[inner].astype(np.intp),
    )


def _quadric(u: Float64, v: Float64) -> Float64:
    return np.stack([np.ones_like(u), u, v, u * u, u * v, v * v], axis=1)


def _within(laid: _Laid, heights: Float64, level: float) -> npt.NDArray[np.bool_]:
    """Return which points are beyond a level, and joined to the highest by others that are."""
    high = heights >= level
    if not high.any():
        return high
    index = np.full(laid.cells.max(axis=0) + 2, -1, np.intp)
    index[tuple(laid.cells[high].T)] = np.flatnonzero(high)
    pairs = [
        np.stack([a.ravel(), b.ravel()], axis=1)
        for a, b in ((index[:-1], index[1:]), (index[:, :-1], index[:, 1:]))
    ]
    edges = np.concatenate(pairs)
    part = components(len(heights), edges[(edges >= 0).all(axis=1)])
    return np.asarray(high & (part == part[int(np.argmax(heights))]))
