# SPDX-License-Identifier: BSD-3-Clause
"""Two phases of a volume: their levels, the edge between them, and objects measured without a bias by blur."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import _core
from ..errors import InputError
from ._blocks import block_ranges
from ._inputs import Float32, Float64, Mask, Table
from ._smooth import smooth
from .components import find_regions
from .distances import distance
from .thresholds import otsu

__all__ = ["Levels", "Measured", "Measurer", "blocks_of", "find_levels", "smoothed"]

_ROUNDS = 6
_WIDTHS = 2.5  # of the edge's blur: beyond it an edge has 0.6 % of the contrast left
_FEWEST = 64  # voxels that a level may rest on
Labels = npt.NDArray[np.int32]


class Levels(NamedTuple):
    """Levels of the dark and the bright phase, and how far from the boundary a voxel holds one of them alone.

    ``sums`` (n_blocks, 4): voxels and sum of values deep in the dark phase, and in the bright one. ``doubt``: error of
    the levels for want of depth, with a ``note`` about it.
    """

    low: float
    high: float
    reach: float
    sums: Float64
    doubt: tuple[float, float] = (0.0, 0.0)
    note: str = ""

    @property
    def middle(self) -> float:
        return (self.low + self.high) / 2

    @property
    def contrast(self) -> float:
        return self.high - self.low


def smoothed(data: Float32, valid: Mask, sigma: float) -> Float32:
    """Return ``data`` blurred by a Gaussian; voxels that are not valid have no weight, and get 0."""
    if valid.all():
        return smooth(data, sigma) if sigma else data
    held = np.where(valid, data, np.float32(0))
    if sigma:
        weight = smooth(valid.astype(np.float32), sigma)
        held = smooth(held, sigma) / np.where(valid, weight, np.float32(1))
        held[~valid] = 0
    return held


def blocks_of(shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Return the parts of a volume that the bootstrap draws from."""
    ranges = [[slice(*r) for r in block_ranges(n)] for n in shape]
    return list(itertools.product(*ranges))


def find_levels(values: Float32, valid: Mask, threads: int) -> Levels:
    """Find the levels of two phases from voxels too deep in one for the edge's blur, beginning at Otsu's threshold.

    The mean of what lies above a threshold is no level: noise is cut off at the threshold, and edges count. Depth is
    geometry, so the mean of deep voxels is free of both. Where nothing is deep, depth is halved until there is.
    """
    cut, _ = otsu(values[valid], bins=256)
    levels = None
    for _ in range(_ROUNDS):
        mask = (values > cut) & valid
        depth = _depth(mask, valid, threads)
        reach = 1.0 if levels is None else _reach(values, valid, depth, levels)
        levels = _deep_levels(values, valid, depth, reach)
        if abs(levels.middle - cut) < 1e-3 * levels.contrast:
            break
        cut = levels.middle
    assert levels is not None
    return levels._replace(reach=_reach(values, valid, depth, levels))


def _depth(mask: Mask, valid: Mask, threads: int) -> Float32:
    """Return how far inside of the mask a voxel's centre lies [px], negative outside; the edge is half way."""
    inside = int(np.count_nonzero(mask))
    if not inside or inside == np.count_nonzero(valid):
        raise InputError(
            "volume: found one phase only, expected values on both sides of the threshold; "
            "choose the threshold or crop the volume"
        )
    depth = distance(mask, signed=True, threads=threads)
    depth -= np.copysign(np.float32(0.5), depth)
    return depth


def _reach(values: Float32, valid: Mask, depth: Float32, levels: Levels) -> float:
    """Return how far the edge's blur reaches: the slope of a step of height h blurred by s is h / (s sqrt(2 pi))."""
    near = [np.abs(depth - side) < 0.25 for side in (0.5, -0.5)]  # voxels that share a face
    means = [float(values[n & valid].mean(dtype=np.float64)) for n in near]
    slope = max(means[0] - means[1], 1e-6 * levels.contrast)
    blur = levels.contrast / (slope * math.sqrt(2 * math.pi))
    return float(min(max(_WIDTHS * blur, 1.0), 12.0))


def _deep_levels(values: Float32, valid: Mask, depth: Float32, reach: float) -> Levels:
    """Return the levels of voxels deeper than ``reach``, or half, a quarter ... of it in a phase that is too thin."""
    rows, doubt, note = [], [], []
    for sign, name in ((-1, "low"), (1, "high")):
        deep = reach
        row = _deep_sums(values, valid, sign * depth, deep)
        while row[:, 0].sum() < _FEWEST and deep > 0.25:
            deep /= 2
            row = _deep_sums(values, valid, sign * depth, deep)
        rows.append(row)
        count, total = row.sum(axis=0)
        if not count:
            raise InputError("volume: found a phase without voxels, expected two phases")
        doubt.append(0.0)
        if deep < reach:
            nearer = _deep_sums(values, valid, sign * depth, deep / 2).sum(axis=0)
            doubt[-1] = abs(total / count - nearer[1] / nearer[0])
            note.append(
                f"the {name} level rests on voxels {deep:.1f} px from an edge, its blur reaches {reach:.1f} px"
            )
    sums = np.concatenate(rows, axis=1)
    total = sums.sum(axis=0)
    low, high = float(total[1] / total[0]), float(total[3] / total[2])
    if not high > low:
        raise InputError(
            f"volume: found levels {low:.4g} and {high:.4g} of the phases, expected two that differ"
        )
    return Levels(low, high, reach, sums, (doubt[0], doubt[1]), "; ".join(note))


def _deep_sums(values: Float32, valid: Mask, depth: Float32, reach: float) -> Float64:
    """Return count and sum of values of the voxels deeper than ``reach``, of each block (n_blocks, 2)."""
    rows = []
    for block in blocks_of(values.shape):
        deep = (depth[block] > reach) & valid[block]
        rows.append([np.count_nonzero(deep), values[block][deep].sum(dtype=np.float64)])
    return np.array(rows, np.float64)


class Measured(NamedTuple):
    """Numbers of one segmentation: of all of it, of each object, and the objects' labels."""

    totals: dict[str, float]
    table: Table
    labels: Labels


class Measurer:
    """Measures masks of one specimen, all in the same way.

    The volume of an object is 1 for each voxel deep inside and (v - low) / (high - low) within ``reach`` of the edge:
    linear in the values, so that neither blur nor noise of mean 0 shift it. What the blur carries out of the object is
    counted with the nearest one.
    """

    def __init__(
        self,
        valid: Mask,
        pixel_size: float | None,
        min_voxels: int,
        numbers: Mapping[str, Callable[[Mask], float]],
        threads: int,
        cancel: _core.CancelToken | None,
    ) -> None:
        self.valid, self.pixel_size, self.min_voxels = valid, pixel_size, min_voxels
        self.numbers, self.threads, self.cancel = numbers, threads, cancel

    def __call__(self, values: Float32, mask: Mask, levels: Levels) -> Measured:
        depth = _depth(mask, self.valid, self.threads)
        shell = (np.abs(depth) <= levels.reach) & self.valid
        share = np.where(shell, (values - levels.low) / levels.contrast, mask)
        found, table = find_regions(
            mask,
            None,
            26,
            pixel_size=self.pixel_size,
            measure=("axes", "surface"),
            threads=self.threads,
            cancel=self.cancel,
        )
        labels = found.labels(dtype=np.int32, threads=self.threads, cancel=self.cancel)
        keep = table["voxels"] >= self.min_voxels
        names = np.concatenate([[0], np.where(keep, np.cumsum(keep), 0)]).astype(np.int32)
        labels = names[labels]
        table = {k: v[keep] for k, v in table.items() if not k.startswith("sigma_")}
        table["label"] = np.arange(1, keep.sum() + 1)
        unit, edge = ("px", 1.0) if self.pixel_size is None else ("nm", self.pixel_size / 10)
        near = _grown(labels, shell & ~mask, math.ceil(levels.reach))
        voxels = np.bincount(near.ravel(), share.ravel(), keep.sum() + 1)[1:]
        table[f"volume_{unit}3"] = voxels * edge**3
        table[f"diameter_{unit}"] = np.cbrt(6 / math.pi * np.maximum(voxels, 0)) * edge
        whole = float(share.sum(dtype=np.float64))
        totals = {
            "volume_fraction": whole / float(np.count_nonzero(self.valid)),
            f"volume_{unit}3": whole * edge**3,
            f"surface_{unit}2": float(table[f"surface_{unit}2"].sum()),
            "components": float(keep.sum()),
        }
        kept = labels > 0
        for name, function in self.numbers.items():
            totals[name] = float(function(kept.copy()))
        return Measured(totals, table, labels)


def _grown(labels: Labels, where: Mask, steps: int) -> Labels:
    """Return labels grown into ``where`` by up to ``steps`` voxels; between two objects half way."""
    out = labels
    for _ in range(steps):
        padded: npt.NDArray[Any] = np.pad(out, 1)
        for axis in range(3):
            n = padded.shape[axis]
            a, b, c = (
                np.moveaxis(np.moveaxis(padded, axis, 0)[i : n - 2 + i], 0, axis) for i in range(3)
            )
            padded = np.maximum(np.maximum(a, b), c)
        out = np.where((out == 0) & where, padded, out)
    return out
