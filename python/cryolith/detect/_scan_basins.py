# SPDX-License-Identifier: BSD-3-Clause
"""Basins of a volume in a file: the water's level found slab by slab until no slab lowers another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._stored import StoredArray
from ._inputs import Float32, Mask
from ._scan import Block, Scan
from .components import label

__all__ = ["fill"]


def fill(
    scan: Scan,
    smoothed: StoredArray,
    inside: Callable[[Block], Mask],
    out: StoredArray,
    slices: int,
) -> None:
    """Write for each voxel the lowest level at which water runs off, as ``_core.fill_basins`` finds it in one piece.

    The level is the least, over all ways out, of the highest value on the way. Slabs of ``slices`` are flooded in turn,
    the levels of the slices next to them being further outlets, infinite before they are known. Then slabs are gone
    through up and down, and where a neighbour's level has become lower than a basin's own, that basin is flooded anew.
    Levels only fall, and in the end each is the higher of its voxel's value and the least level next to it: along any
    way out that holds for every step, so none is above the least, and none was ever below. Comparisons alone: the bits
    are those of one piece.
    """
    slabs = list(scan.blocks(slices))
    for slab in slabs:
        _flood(scan, smoothed, inside, slab, out)
    forth, changed = False, True
    while changed:
        changed = False
        for slab in slabs if forth else slabs[::-1]:
            scan.stop_if_cancelled()
            changed |= _lower(scan, smoothed, slab, out)
        forth = not forth


def _flood(
    scan: Scan,
    smoothed: StoredArray,
    inside: Callable[[Block], Mask],
    slab: Block,
    out: StoredArray,
) -> None:
    """Find the levels in a slab, with those of the slice before it known and those of the slice behind it not."""
    first, last = max(slab[0] - 1, 0), min(slab[1] + 1, scan.shape[0])
    values = smoothed.box((first, last))
    outlet = ~inside((first, last))
    if first < slab[0]:
        values[0], outlet[0] = out[first], True
    if last > slab[1]:
        values[-1], outlet[-1] = np.inf, True
    filled = np.empty_like(values)
    _core.fill_basins(values, outlet.view(np.uint8), filled, scan.cancel)
    out.put(slab[0], filled[slab[0] - first : slab[1] - first])


def _lower(scan: Scan, smoothed: StoredArray, slab: Block, out: StoredArray) -> bool:
    """Flood those basins of a slab anew that a level next to the slab lowers; return whether there are any."""
    before = out[slab[0] - 1] if slab[0] > 0 else None
    behind = out[slab[1]] if slab[1] < scan.shape[0] else None
    ends = []
    for face, level in ((slab[0], before), (slab[1] - 1, behind)):
        if level is None:
            ends.append(np.zeros(scan.shape[1:], bool))
        else:
            ends.append(np.maximum(smoothed[face], level) < out[face])
    if not (ends[0].any() or ends[1].any()):
        return False
    values, levels = smoothed.box(slab), out.box(slab)
    # What falls lies under water, and so does all between it and where it falls from.
    basins, count = label(levels > values, 6, dtype=np.int32, threads=scan.threads)
    falls = np.zeros(count + 1, bool)
    falls[basins[0][ends[0]]] = falls[basins[-1][ends[1]]] = True
    chosen = falls[basins]
    del basins
    _flood_anew(scan, values, levels, chosen, before, behind)
    out.put(slab[0], levels)
    return True


def _flood_anew(
    scan: Scan,
    values: Float32,
    levels: Float32,
    chosen: Mask,
    before: Float32 | None,
    behind: Float32 | None,
) -> None:
    """Change the levels of the chosen voxels of a slab; all others and the slices next to the slab hold theirs."""
    box = _around(chosen)
    rows = box[1:]
    inner = np.where(chosen[box], values[box], levels[box])
    parts, dry = [inner], [~chosen[box]]
    for at, level, edge in (
        (0, before, box[0].start == 0),
        (1, behind, box[0].stop == len(values)),
    ):
        if edge and level is not None:
            parts.insert(at * len(parts), level[rows][None])
            dry.insert(at * len(dry), np.ones_like(dry[0][:1]))
    water = np.concatenate(parts)
    filled = np.empty_like(water)
    _core.fill_basins(water, np.concatenate(dry).view(np.uint8), filled, scan.cancel)
    first = 1 if box[0].start == 0 and before is not None else 0
    np.copyto(levels[box], filled[first : first + len(inner)], where=chosen[box])


def _around(mask: npt.NDArray[Any]) -> tuple[slice, slice, slice]:
    """Return the box of a mask with a voxel around it, which holds its level or is the slice next to the slab."""
    out = []
    for axis, n in enumerate(mask.shape):
        hit = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        out.append(slice(max(int(hit[0]) - 1, 0), min(int(hit[-1]) + 2, n)))
    return out[0], out[1], out[2]
