# SPDX-License-Identifier: BSD-3-Clause
"""The chunks of an OME-Zarr image and of its smaller copies, written slab by slab in one pass.

Each level halves the one below, and there are as many as it takes for the longest edge to be no longer than the
longest edge of a chunk: what a viewer shows first then costs it a few chunks. A voxel is the mean of the finite ones
among 2 x 2 x 2 (of what there is at a far edge); of labels and masks, whose means would be other labels, the first one.
"""

from __future__ import annotations

import itertools
import math
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .. import _core
from .disk import write_file

__all__ = ["Levels", "Note"]

# Labels shrink twenty-fold at the fastest level; float densities hardly shrink at any, so they stay
# raw.
_ZLIB_LEVEL = 1

Index = tuple[int, int, int]
Note = Callable[[str, Any], None]
"""Hears the name of each chunk's file, ``level/z/y/x``, and its bytes."""


@dataclass(frozen=True)
class Levels:
    """Where the chunks lie and what they hold.

    Attributes
    ----------
    folder : Path
        Of the image; level ``n`` is its sub-folder ``n``.
    shape : (nz, ny, nx)
        Of level 0.
    dtype : dtype
        Little-endian.
    edges : (3,) int
        Of a chunk, at most those of the volume.
    nearest : bool
        Labels: no means.
    """

    folder: Path
    shape: Index
    dtype: np.dtype[Any]
    edges: Index
    nearest: bool = False

    @property
    def shapes(self) -> list[Index]:
        """Of all levels."""
        shapes = [self.shape]
        while max(shapes[-1]) > max(self.edges):
            z, y, x = shapes[-1]
            shapes.append(((z + 1) // 2, (y + 1) // 2, (x + 1) // 2))
        return shapes

    @property
    def squeezed(self) -> bool:
        """Whether chunks are compressed."""
        return self.dtype.kind in "biu"

    @property
    def takes_first(self) -> bool:
        """Whether a voxel of an upper level is one of those below it, and not their mean."""
        return self.nearest or self.dtype.kind == "b"

    def sizes(self, level: int) -> Index:
        """Return the edges of a level's chunks."""
        z, y, x = map(min, self.edges, self.shapes[level])
        return z, y, x

    def metadata(self, level: int) -> dict[str, Any]:
        """Return what ``.zarray`` says of a level."""
        return {
            "chunks": list(self.sizes(level)),
            "compressor": {"id": "zlib", "level": _ZLIB_LEVEL} if self.squeezed else None,
            "dimension_separator": "/",
            "dtype": self.dtype.str,
            "fill_value": False if self.dtype.kind == "b" else 0,
            "filters": None,
            "order": "C",
            "shape": list(self.shapes[level]),
            "zarr_format": 2,
        }

    def write(self, first: int, slab: npt.NDArray[Any], note: Note, *, axis: int = 1) -> None:
        """Write rows (``axis`` 1) or slices (0) from ``first`` on, and the chunks above that they fill.

        Both ends lie on edges of chunks or of the volume. Chunks of upper levels that other slabs share are left to
        :meth:`finish`.
        """
        part, begin = slab, first
        for level, start, stop in self._filled(first, first + slab.shape[axis], axis):
            edge = self.sizes(level)[axis]
            if level:
                wanted = slice(2 * edge * start - begin, 2 * edge * stop - begin)
                part = self._halved(part[wanted] if axis == 0 else part[:, wanted])
            begin = edge * start
            place = (start, 0, 0) if axis == 0 else (0, start, 0)
            self._put(level, place, part, note)

    def names(self, first: int, last: int) -> Iterator[str]:
        """Return the names of the chunks that :meth:`write` writes for rows ``first`` to ``last - 1``."""
        for level, start, stop in self._filled(first, last, 1):
            counts = [
                math.ceil(n / c) for n, c in zip(self.shapes[level], self.sizes(level), strict=True)
            ]
            for index in itertools.product(range(counts[0]), range(start, stop), range(counts[2])):
                yield _name(level, index)

    def _filled(self, first: int, last: int, axis: int) -> Iterator[tuple[int, int, int]]:
        """For each level that these rows or slices fill chunks of: the first and the last but one along the axis."""
        for level, shape in enumerate(self.shapes):
            edge = self.sizes(level)[axis]
            step = 2 * edge if level else edge
            end = self.shapes[level - 1][axis] if level else shape[axis]
            start, stop = -(-first // step), -(-last // step) if last == end else last // step
            if start >= stop:
                return
            yield level, start, stop
            first, last = start * edge, min(stop * edge, shape[axis])

    def finish(self, done: Collection[str], note: Note) -> None:
        """Write the chunks of upper levels that are not ``done``, each from those below it."""
        for level in range(1, len(self.shapes)):
            shape, sizes = self.shapes[level], self.sizes(level)
            counts = [math.ceil(n / c) for n, c in zip(shape, sizes, strict=True)]
            for z, y, x in itertools.product(*map(range, counts)):
                if _name(level, (z, y, x)) not in done:
                    low = (2 * z * sizes[0], 2 * y * sizes[1], 2 * x * sizes[2])
                    block = self._region(level - 1, low, (2 * sizes[0], 2 * sizes[1], 2 * sizes[2]))
                    self._put(level, (z, y, x), self._halved(block), note)

    def _put(self, level: int, first: Index, data: npt.NDArray[Any], note: Note) -> None:
        """Write the chunks of ``data``, of which the first along z, y, x is number ``first``."""
        sizes = self.sizes(level)
        counts = [math.ceil(n / c) for n, c in zip(data.shape, sizes, strict=True)]
        block = np.empty(sizes, self.dtype)
        for index in itertools.product(*map(range, counts)):
            where = tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, sizes, strict=True))
            part = data[where]
            if part.shape != sizes:  # every chunk is whole, also at the far edges
                block[:] = 0
            block[tuple(slice(0, n) for n in part.shape)] = part
            raw = zlib.compress(block.data, _ZLIB_LEVEL) if self.squeezed else block.data
            z, y, x = (i + f for i, f in zip(index, first, strict=True))
            name = _name(level, (z, y, x))
            target = self.folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            write_file(target, raw)
            note(name, raw)

    def _region(self, level: int, low: Index, edges: Index) -> npt.NDArray[Any]:
        """Read a box of a level, cut at the volume's far edges."""
        sizes = self.sizes(level)
        high = [min(a + n, end) for a, n, end in zip(low, edges, self.shapes[level], strict=True)]
        out = np.empty([b - a for a, b in zip(low, high, strict=True)], self.dtype)
        chunks = [range(a // c, -(-b // c)) for a, b, c in zip(low, high, sizes, strict=True)]
        for index in itertools.product(*chunks):
            to, source = [], []
            for i, c, a, b in zip(index, sizes, low, high, strict=True):
                to.append(slice(max(i * c, a) - a, min((i + 1) * c, b) - a))
                source.append(slice(max(i * c, a) - i * c, min((i + 1) * c, b) - i * c))
            out[tuple(to)] = self._chunk(level, index)[tuple(source)]
        return out

    def _chunk(self, level: int, index: tuple[int, ...]) -> npt.NDArray[Any]:
        raw = (self.folder / _name(level, index)).read_bytes()
        raw = zlib.decompress(raw) if self.squeezed else raw
        return np.frombuffer(raw, self.dtype).reshape(self.sizes(level))

    def _halved(self, data: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if self.takes_first:
            return data[::2, ::2, ::2]
        z, y, x = data.shape
        kind: npt.DTypeLike = np.float32 if self.dtype.str[1:] in ("f2", "f4") else np.float64
        half = np.empty(((z + 1) // 2, (y + 1) // 2, (x + 1) // 2), kind)
        for i in range(len(half)):
            pair = np.ascontiguousarray(data[2 * i : 2 * i + 2], kind)
            _core.halve(pair, half[i : i + 1], 1)
        return (np.rint(half) if self.squeezed else half).astype(self.dtype, copy=False)


def _name(level: int, index: tuple[int, ...]) -> str:
    return "/".join(map(str, (level, *index)))
