# SPDX-License-Identifier: BSD-3-Clause
"""Extrema of oriented filters, brought from the nearest voxel and direction of the bank to where they lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import _core
from ._inputs import Float32, Float64
from ._oriented_bank import OrientedBank, Response
from ._sphere import frames

__all__ = ["Peaks", "climb", "find_peaks", "newton_step", "turned"]

_STEP, _FAR = 0.5, 1.0  # px: of differences, and the farthest that one round moves
_HOPE = (0.93, 0.98, 1.0)  # of the level: extrema that are lower after as many rounds are let go
_SLACK = 0.85  # what the voxel and direction of the bank show of an extremum, at least
_SAME = 0.5  # standard deviations of the slope: extrema nearer than this are one


@dataclass(frozen=True, kw_only=True, eq=False)
class Peaks:
    """Extrema: (n,) signed heights, (n, 3) places [voxel] and axes, (n,) widths [px]."""

    heights: Float64
    places: Float64
    axes: Float64
    widths: Float64

    def __len__(self) -> int:
        return len(self.heights)

    def pick(self, index: npt.NDArray[np.intp] | npt.NDArray[np.bool_]) -> Peaks:
        """Return some of them."""
        return Peaks(
            heights=self.heights[index],
            places=self.places[index],
            axes=self.axes[index],
            widths=self.widths[index],
        )


def turned(axes: Float64, angles: Float64) -> Float64:
    """Return axes turned by (n, 2) angles [rad] towards the vectors of their frames."""
    first, second = frames(axes)
    out = axes + angles[:, :1] * first + angles[:, 1:] * second
    length: Float64 = np.linalg.norm(out, axis=1)[:, None]
    return np.asarray(out / length)


def find_peaks(
    bank: OrientedBank, response: Response, field: Float32, margin: int, level: float
) -> Peaks:
    """Return the extrema beyond ``level``, the highest first, each once."""
    found = _core.volume_extrema(
        response.value, margin, _SLACK * level, bank.spectra.threads, bank.spectra.cancel
    )
    at = np.rint(found[:, 1:]).astype(np.intp)
    which = response.which[at[:, 0], at[:, 1], at[:, 2]]
    widths, axes = bank.widths[which // len(bank.axes)], bank.axes[which % len(bank.axes)]
    places, axes = found[:, 1:].copy(), axes.copy()
    for share in _HOPE:
        places, axes = climb(bank, field, places, axes, widths, np.eye(3)[None])
        heights = bank.sample(field, places, axes, widths)
        high = np.abs(heights) > share * level
        places, axes, widths, heights = places[high], axes[high], widths[high], heights[high]
    peaks = Peaks(heights=heights, places=places, axes=axes, widths=widths)
    peaks = peaks.pick(np.argsort(-np.abs(heights), kind="stable"))
    return peaks.pick(_distinct(bank, peaks))


def _distinct(bank: OrientedBank, peaks: Peaks) -> npt.NDArray[np.intp]:
    """Return the extrema that are not the same as a higher one: several voxels may lead to one."""
    kept: list[int] = []
    for i in range(len(peaks)):
        gap = peaks.places[kept] - peaks.places[i]
        cosine = np.abs(peaks.axes[kept] @ peaks.axes[i])
        spatial, angular = bank.metric_at(peaks.axes[i], peaks.widths[i])
        square = np.einsum("ni,ij,nj->n", gap, spatial, gap) + angular * (1 - cosine**2)
        if (square > _SAME**2).all():
            kept.append(i)
    return np.array(kept, np.intp)


def climb(
    bank: OrientedBank,
    field: Float32,
    places: Float64,
    axes: Float64,
    widths: Float64,
    ways: Float64,
) -> tuple[Float64, Float64]:
    """Return places and axes after one Newton step towards the extremum along ``ways`` and over direction.

    ``ways`` (n or 1, k, 3): unit vectors in space along which places may move.
    """
    if not len(places):
        return places, axes
    k = ways.shape[1]
    stretch = (bank.length**2 - widths**2) / (2 * widths * bank.length)
    size = np.concatenate(
        [np.full((len(places), k), _STEP), np.repeat(0.5 * _STEP / stretch[:, None], 2, axis=1)],
        axis=1,
    )
    ways = np.broadcast_to(ways, (len(places), k, 3))

    def moved(step: Float64) -> tuple[Float64, Float64]:
        by = step * size
        return places + np.einsum("nk,nki->ni", by[:, :k], ways), turned(axes, by[:, k:])

    step = newton_step(lambda s: bank.sample(field, *moved(s), widths), len(places), k + 2)
    return moved(np.clip(step, -_FAR / _STEP, _FAR / _STEP))


def newton_step(value: Callable[[Float64], Float64], count: int, dims: int) -> Float64:
    """Return (count, dims) steps to the extremum of the quadratic through values at unit distances; where that is none
    or far, along the slope."""
    unit = np.eye(dims)

    def at(step: Float64) -> Float64:
        return value(np.broadcast_to(step, (count, dims)))

    middle = at(np.zeros(dims))
    up, down = [at(e) for e in unit], [at(-e) for e in unit]
    slope = np.stack([(a - b) / 2 for a, b in zip(up, down, strict=True)], axis=1)
    bend = np.empty((count, dims, dims))
    for i in range(dims):
        bend[:, i, i] = up[i] + down[i] - 2 * middle
        for j in range(i):
            bend[:, i, j] = bend[:, j, i] = at(unit[i] + unit[j]) - up[i] - up[j] + middle
    sign = np.sign(middle)
    slope, bend = slope * sign[:, None], -bend * sign[:, None, None]
    values, vectors = np.linalg.eigh(bend)
    floor = 0.05 * np.abs(values).max(axis=1)[:, None] + 1e-12
    along = np.einsum("nij,ni->nj", vectors, slope) / np.maximum(values, floor)
    out: Float64 = np.einsum("nij,nj->ni", vectors, along)
    return out
