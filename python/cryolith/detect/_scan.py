# SPDX-License-Identifier: BSD-3-Clause
"""A volume gone through in blocks of slices, with what is made of it in files beside it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .._stored import StoredArray, scratch_array
from ..errors import Cancelled, InputError
from ._inputs import Float32, Float64, Mask
from ._numbers import InParts
from ._region_table import Sums
from ._smooth import convolve_padded, erode, gaussian_kernel
from .slabs import Components

__all__ = ["BLOCK", "CHUNK", "Scan"]

CHUNK = 32  # slices that components come in, and that intensities are summed over before the sums are added
BLOCK = 4 << 20  # voxels of a block at most, though at least a slice; more are no faster
Block = tuple[int, int]


class Scan:
    """A volume that is read block by block, and files of the same shape for what is found on the way.

    Parameters
    ----------
    source : (nz, ny, nx)
        An array or a :class:`StoredArray`, finite.
    folder : path, optional
        Where files without a name go; default the system's for temporary files.
    block : int [voxels]
        Of a block, which is at least a slice, and of a tile that is smoothed, with its halo.
    flooded : int, optional [voxels]
        Of a slab whose basins are filled; default ``block``.
    """

    def __init__(
        self,
        source: Any,
        folder: str | os.PathLike[str] | None,
        threads: int,
        cancel: _core.CancelToken | None,
        block: int = BLOCK,
        flooded: int | None = None,
    ) -> None:
        nz, ny, nx = source.shape
        self.source, self.shape = source, (int(nz), int(ny), int(nx))
        self.folder, self.threads, self.cancel = folder, threads, cancel
        self.block, self.flooded = block, block if flooded is None else flooded
        self.slices = max(1, block // (self.shape[1] * self.shape[2]))

    def scratch(self, dtype: npt.DTypeLike) -> StoredArray:
        """Return zeros of the volume's shape in a file."""
        return scratch_array(self.shape, dtype, self.folder)

    def blocks(self, slices: int | None = None) -> Iterator[Block]:
        """Yield the first slice of each block and the one behind its last."""
        step = slices or self.slices
        for z in range(0, self.shape[0], step):
            self.stop_if_cancelled()
            yield z, min(z + step, self.shape[0])

    def stop_if_cancelled(self) -> None:
        """Raise where the caller has cancelled."""
        if self.cancel is not None and self.cancel.cancelled:
            raise Cancelled("cancelled by the caller")

    def read(self, block: Block) -> Float32:
        """Return slices of the volume itself."""
        return np.require(self.source[block[0] : block[1]], np.float32, ["C", "A"])

    def numbers(self, values: Callable[[Block], npt.NDArray[Any]]) -> InParts:
        """Return the values of all blocks as numbers."""
        return InParts(lambda: (values(block) for block in self.blocks()))

    def require_finite(self) -> None:
        """Refuse NaN and infinity as every detector does."""
        bad = 0
        for block in self.blocks():
            part = self.read(block)
            bad += part.size - int(np.count_nonzero(np.isfinite(part)))
        if bad:
            raise InputError(
                f"volume: found {bad} NaN or infinite voxels, expected finite numbers; "
                "replace them (numpy.nan_to_num) or crop them away"
            )

    def smooth(self, source: Any, sigma: float, out: StoredArray) -> None:
        """Write ``source`` smoothed as :func:`cryolith.detect._smooth.smooth` does, to the bit, tile by tile."""
        kernel = gaussian_kernel(sigma)
        reach = [len(kernel) // 2 if n > 1 else 0 for n in self.shape]
        lines = max(self.block // self.shape[2], 1)
        edge = max(math.isqrt(lines) - 2 * max(reach), 4)
        nz, ny, _ = self.shape
        for z, end in self.blocks(edge):
            for y in range(0, ny, edge):
                rows = (y, min(y + edge, ny))
                tile = _padded(source, (z, end), rows, (reach[0], reach[1], nz, ny))
                for axis in (0, 1):
                    if reach[axis]:
                        tile = convolve_padded(tile, kernel, axis)
                if reach[2]:
                    tile = np.pad(tile, [(0, 0), (0, 0), (reach[2],) * 2], mode="edge")
                    tile = convolve_padded(tile, kernel, 2)
                out.put(z, tile, y)

    def erode(self, mask: Callable[[Block], Mask], steps: int, out: StoredArray) -> int:
        """Write a mask eroded along all axes and return how many voxels are left."""
        left, nz = 0, self.shape[0]
        for z, end in self.blocks():
            low, high = max(z - steps, 0), min(end + steps, nz)
            part = erode(mask((low, high)), steps, (0, 1, 2))[z - low : end - low]
            left += int(np.count_nonzero(part))
            out.put(z, part)
        return left

    def components(
        self,
        mask: Callable[[Block], Mask],
        connectivity: Any = 26,
        *,
        extents: bool = False,
    ) -> Components:
        """Find the components of a mask; with ``extents`` their table tells voxels and boxes."""
        measure: tuple[Any, ...] | None = () if extents else None
        return self._fed(Components(self.shape, connectivity, measure=measure), mask)

    def measured(self, mask: Callable[[Block], Mask]) -> Components:
        """Find the components (26) of a mask with all sums over their voxels."""
        return self._fed(Components(self.shape), mask)

    def _fed(self, found: Components, mask: Callable[[Block], Mask]) -> Components:
        for z, end in self.blocks(CHUNK):
            chunk = np.empty((end - z, *self.shape[1:]), bool)
            for at in range(z, end, self.slices):
                last = min(at + self.slices, end)
                chunk[at - z : last - z] = mask((at, last))
            found.add(chunk, threads=self.threads, cancel=self.cancel)
        return found

    def write_labels(
        self, found: Components, number: npt.NDArray[Any] | None, out: StoredArray
    ) -> None:
        """Write the labels of components, numbered anew where ``number`` says how."""
        for z, end in self.blocks():
            labels = found.labels(z, end, dtype=np.int32, threads=self.threads)
            out.put(z, labels if number is None else number[labels])

    def sums(
        self,
        labels: Callable[[Block], npt.NDArray[np.int32]],
        count: int,
        values: Callable[[Block], Float32],
        *,
        in_chunks: bool,
    ) -> Sums:
        """Sum ``values`` over each of ``count`` labels, as ``_core.region_sums`` does for the whole volume.

        Extents, smallest and largest values do not depend on the cut. Sums do, and have the same bits where they are
        made in its chunks of 32 slices.
        """
        total = _no_sums(count)
        for z, end in self.blocks(CHUNK if in_chunks else None):
            part = Sums.empty(count, moments=False, exits=False, euler=False, intensity=True)
            numbers = np.ascontiguousarray(labels((z, end)))
            columns = part.columns()
            _core.region_sums(
                numbers, count, values((z, end)), columns, False, threads=self.threads, cancel=self.cancel
            )  # fmt: skip
            _add_sums(total, part, z)
        return total


def _padded(source: Any, slices: Block, rows: Block, halo: tuple[int, int, int, int]) -> Float32:
    """Read a tile with its halo, continued beyond the volume by its last values."""
    along, across, nz, ny = halo
    z = (max(slices[0] - along, 0), min(slices[1] + along, nz))
    y = (max(rows[0] - across, 0), min(rows[1] + across, ny))
    part = source.box(z, y) if isinstance(source, StoredArray) else source[z[0] : z[1], y[0] : y[1]]
    beyond = [
        (z[0] - slices[0] + along, slices[1] + along - z[1]),
        (y[0] - rows[0] + across, rows[1] + across - y[1]),
        (0, 0),
    ]
    return np.pad(part.astype(np.float32, copy=False), beyond, mode="edge")


def _no_sums(count: int) -> Sums:
    sums = Sums.empty(count, moments=False, exits=False, euler=False, intensity=True)
    assert sums.intensity is not None
    far = np.iinfo(np.int64).max
    sums.extent[:] = (0, far, far, far, -1, -1, -1)
    sums.intensity[:] = (0, 0, 0, np.inf, -np.inf)
    return sums


def _add_sums(total: Sums, part: Sums, z: int) -> None:
    """Add sums over the next slices, from ``z`` on: RegionColumns::add of cpp/detect/region_table.cpp."""
    there = np.flatnonzero(part.extent[:, 0])
    own, known = part.extent[there], total.extent[there]
    assert total.intensity is not None
    assert part.intensity is not None
    values, sums = part.intensity[there], total.intensity[there]
    n = own[:, 0].astype(np.float64)
    sums[:, 0] = np.where(known[:, 0] == 0, values[:, 0], sums[:, 0])
    shift: Float64 = values[:, 0] - sums[:, 0]
    sums[:, 1] += values[:, 1] + n * shift
    sums[:, 2] += values[:, 2] + 2 * shift * values[:, 1] + n * shift * shift
    sums[:, 3] = np.minimum(sums[:, 3], values[:, 3])
    sums[:, 4] = np.maximum(sums[:, 4], values[:, 4])
    known[:, 0] += own[:, 0]
    own[:, (1, 4)] += z
    known[:, 1:4] = np.minimum(known[:, 1:4], own[:, 1:4])
    known[:, 4:] = np.maximum(known[:, 4:], own[:, 4:])
    total.intensity[there], total.extent[there] = sums, known
