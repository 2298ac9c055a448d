# SPDX-License-Identifier: BSD-3-Clause
"""How much memory a detection takes, and how it is cut where it may not take so much."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ._scan import BLOCK, CHUNK

__all__ = ["DetectNeeds", "detect_needs"]

# Measured with benchmarks/memory.py: voids hold most, layers and particles a little less.
_WHOLE = 40  # bytes a voxel, the volume's own 4 included
_BLOCK = 32  # bytes a voxel of a block: values, labels, levels and what lies between
_FLOOD, _FLOOD_SHARE = 28, 0.9  # bytes a voxel that is flooded; of the memory allowed
_RUNS = 0.05  # bytes a voxel for the runs of components: a dense noise has ten times as many


@dataclass(frozen=True)
class DetectNeeds:
    """Needs of a detection.

    Attributes
    ----------
    bytes_memory : int
        At its peak.
    in_blocks : bool
        The volume is gone through block by block, with files beside it.
    layers_binned, blobs_binned : int
        How many voxels along each axis are averaged before layers and blobs are looked for; 1: none.
    block : int
        Voxels of a block, which is at least a slice.
    flooded : int
        Voxels of a slab whose basins are filled.
    bytes_scratch : int
        On disk, in files without a name.
    """

    bytes_memory: int
    in_blocks: bool = False
    layers_binned: int = 1
    blobs_binned: int = 1
    block: int = BLOCK
    flooded: int = BLOCK
    bytes_scratch: int = 0


def detect_needs(
    shape: tuple[int, int, int],
    *,
    layers: bool = True,
    blobs: bool = False,
    max_memory: int | None = None,
) -> DetectNeeds:
    """Plan a detection in a volume of ``shape`` within ``max_memory`` bytes; what cannot be cut so far says more.

    It depends on the shape, on what is looked for and on ``max_memory`` alone.
    """
    voxels = math.prod(shape)
    if max_memory is None or _WHOLE * voxels <= max_memory:
        return DetectNeeds(_WHOLE * voxels)
    plane = shape[1] * shape[2]
    block = min(BLOCK, max_memory // (4 * _BLOCK))
    chunk = min(CHUNK, shape[0]) * plane
    # A mask of the chunk, its bits and runs; or labels and values of a chunk; beside a block's own arrays.
    flooded = min(int(_FLOOD_SHARE * max_memory / _FLOOD), voxels)
    found = max(
        _BLOCK * max(block, plane) + int(max(chunk + (1 / 8 + _RUNS) * voxels, 8 * chunk)),
        _FLOOD * max(flooded, 3 * plane),
    )
    binned = 1
    while _WHOLE * voxels / binned**3 > max_memory and binned < min(n for n in shape):
        binned += 1
    least = max(found, int(_WHOLE * voxels / binned**3)) if layers or blobs else found
    return DetectNeeds(
        bytes_memory=least,
        in_blocks=True,
        layers_binned=binned if layers else 1,
        blobs_binned=binned if blobs else 1,
        block=block,
        flooded=flooded,
        bytes_scratch=4 * 4 * voxels + 3 * voxels,
    )
