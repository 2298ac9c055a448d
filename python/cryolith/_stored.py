# SPDX-License-Identifier: BSD-3-Clause
"""Volumes in files that are read where they are looked at, without a map: a map counts as the process's memory."""

from __future__ import annotations

import math
import os
import tempfile
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from ._fields import Shape3

__all__ = ["StoredArray", "scratch_array"]


class StoredArray:
    """(nz, ny, nx) numbers in an open file, slices one after the other.

    It has what readers of a volume ask of an array: ``shape``, ``dtype``, ``ndim``, ``size``, ``len``, iteration over
    slices and indexing, which reads what it names; ``np.asarray`` reads everything. Its end closes the file.

    Parameters
    ----------
    descriptor : int
        Of a file open for reading, and for writing if anything is to be put.
    shape : (nz, ny, nx)
    dtype : dtype
        As stored, of any byte order.
    offset : int [bytes]
    """

    ndim = 3

    def __init__(
        self, descriptor: int, shape: Shape3, dtype: npt.DTypeLike, offset: int = 0
    ) -> None:
        self.shape, self._descriptor, self._offset = shape, descriptor, offset
        self._stored: np.dtype[Any] = np.dtype(dtype)
        self.dtype = self._stored.newbyteorder("=")
        weakref.finalize(self, os.close, descriptor)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all of it."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self.box((z, z + 1))[0] for z in range(len(self)))

    def box(self, slices: tuple[int, int], rows: tuple[int, int] | None = None) -> npt.NDArray[Any]:
        """Read rows first to last of slices first to last, ends excluded, at their whole length."""
        (first, last), (top, bottom) = slices, rows or (0, self.shape[1])
        out = np.empty((last - first, bottom - top, self.shape[2]), self._stored)
        if rows is None:
            self._read(out, self._place(first, 0))
        else:
            for i, part in enumerate(out):
                self._read(part, self._place(first + i, top))
        return out.astype(self.dtype, copy=False)

    def put(self, first: int, part: npt.NDArray[Any], top: int = 0) -> None:
        """Write rows from ``top`` on of slices from ``first`` on, at their whole length."""
        whole = part.shape[1] == self.shape[1]
        for i, rows in enumerate([part] if whole else part):
            data = np.ascontiguousarray(rows, self._stored)
            view, place = data.data.cast("B"), self._place(first + i, top)
            while view.nbytes:
                count = os.pwrite(self._descriptor, view, place)
                view, place = view[count:], place + count

    def __getitem__(self, key: Any) -> Any:
        keys = key if isinstance(key, tuple) else (key,)
        if isinstance(keys[0], (list, np.ndarray)):
            return np.stack([self[(int(z), *keys[1:])] for z in keys[0]])
        if len(keys) > 1 and isinstance(keys[0], slice) and len(range(len(self))[keys[0]]) > 1:
            # What is cut across the slices never has them all in memory.
            # A view would hold on to the slice that it is of.
            parts = [np.array(self[(z, *keys[1:])]) for z in range(len(self))[keys[0]]]
            return np.stack(parts)
        zs = range(len(self))[keys[0]]
        if isinstance(zs, int):
            if len(keys) > 1 and isinstance(keys[1], (int, np.integer)):
                y = range(self.shape[1])[keys[1]]
                return self.box((zs, zs + 1), (y, y + 1))[(0, 0, *keys[2:])]
            return self.box((zs, zs + 1))[(0, *keys[1:])]
        if len(zs) and zs.step == 1:
            return self.box((zs.start, zs.stop))[(slice(None), *keys[1:])]
        return np.stack([self[z] for z in zs]) if len(zs) else np.empty((0, *self.shape[1:]))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        if copy is False:
            raise ValueError(
                "StoredArray is read when asked for; it cannot be shared without a copy"
            )
        return self.box((0, len(self))).astype(self.dtype if dtype is None else dtype, copy=False)

    def __repr__(self) -> str:
        return f"StoredArray(shape={self.shape}, dtype={self.dtype})"

    def _place(self, z: int, y: int) -> int:
        return self._offset + self._stored.itemsize * self.shape[2] * (z * self.shape[1] + y)

    def _read(self, part: npt.NDArray[Any], place: int) -> None:
        view = part.data.cast("B")
        while view.nbytes:
            count = os.preadv(self._descriptor, [view], place)
            if count == 0:
                raise OSError(f"file: ended after {place} bytes")
            view, place = view[count:], place + count


def scratch_array(
    shape: Shape3, dtype: npt.DTypeLike, folder: str | os.PathLike[str] | None
) -> StoredArray:
    """Return zeros in a file without a name: it is gone when the process is, however that ends."""
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, math.prod(shape) * np.dtype(dtype).itemsize)
    return StoredArray(descriptor, shape, dtype)
