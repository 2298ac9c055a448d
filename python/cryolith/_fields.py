# SPDX-License-Identifier: BSD-3-Clause
"""Arrays that are worked on in parts: in memory, or on disk where they would not fit."""

from __future__ import annotations

import contextlib
import functools
import itertools
import math
import mmap
import os
import sys
import tempfile
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import numpy.typing as npt

__all__ = [
    "Field",
    "FileField",
    "MemoryField",
    "Shape3",
    "Window",
    "doubled",
    "fresh",
    "scratch_field",
    "side_by_side",
]

# Threads that copy between files and memory: what the solvers' threads leave idle while a slab is read or written.
HANDS = 2
WORTH_IT = 1 << 20

Float32 = npt.NDArray[np.float32]
Shape3 = tuple[int, int, int]
Window = tuple[int, int, int, int]
"""First row, last row, first column, last column."""


class Field(Protocol):
    """float32 (layers, rows, columns), read and written in layers or in windows of all layers.

    A part that was read may be changed; it counts once it is put back. Parts are C-ordered.
    """

    @property
    def shape(self) -> Shape3:
        """(layers, rows, columns)."""

    def window(self, window: Window, into: Float32 | None = None) -> Float32:
        """Return these rows and columns of all layers; what is read from a file goes ``into`` an array of their shape.

        New memory costs ten times what reading from the system's cache does.
        """

    def piece(self, first: int, window: Window, into: Float32) -> Float32:
        """Return these rows and columns of layers from ``first`` on, as many as ``into`` has."""

    def put_window(self, window: Window, part: Float32) -> None:
        """Write these rows and columns of all layers."""

    def layers(self, first: int, last: int) -> Float32:
        """Return (last - first, rows, columns)."""

    def put_layers(self, first: int, part: Float32) -> None:
        """Write layers ``first`` to ``first + len(part)``."""

    def whole(self) -> Float32:
        """Return all of it: the array itself, or a memory map of the file."""


class MemoryField:
    """A field that is an array; the whole of it is handed out as it is, without a copy."""

    def __init__(self, array: Float32) -> None:
        self._array = array

    @property
    def shape(self) -> Shape3:
        """(layers, rows, columns)."""
        layers, rows, columns = self._array.shape
        return layers, rows, columns

    def window(self, window: Window, into: Float32 | None = None) -> Float32:
        """Return these rows and columns of all layers: the array itself where that is possible."""
        top, bottom, left, right = window
        return np.ascontiguousarray(self._array[:, top:bottom, left:right])

    def piece(self, first: int, window: Window, into: Float32) -> Float32:
        """Return these rows and columns of some layers."""
        top, bottom, left, right = window
        into[:] = self._array[first : first + len(into), top:bottom, left:right]
        return into

    def put_window(self, window: Window, part: Float32) -> None:
        """Write these rows and columns of all layers."""
        if not np.may_share_memory(part, self._array):
            top, bottom, left, right = window
            self._array[:, top:bottom, left:right] = part

    def layers(self, first: int, last: int) -> Float32:
        """Return these layers."""
        return self._array[first:last]

    def put_layers(self, first: int, part: Float32) -> None:
        """Write these layers."""
        if not np.may_share_memory(part, self._array):
            self._array[first : first + len(part)] = part

    def whole(self) -> Float32:
        """Return the array."""
        return self._array


class FileField:
    """A field in an open file, little-endian, from ``offset`` on.

    Plain reads and writes rather than a memory map: what is mapped counts as the process's memory.

    Parameters
    ----------
    descriptor : int
        Of a file open for reading and writing; it stays the caller's to close.
    shape : (layers, rows, columns)
    offset : int [bytes]
    turned : bool
        The columns of a layer lie one after the other in the file, as is quick for windows that are tall and narrow.
    mapped : bool
        Whether :meth:`whole` may map the file, which counts as this process's address space.
    """

    def __init__(
        self,
        descriptor: int,
        shape: Shape3,
        offset: int = 0,
        *,
        turned: bool = False,
        mapped: bool = True,
    ) -> None:
        self._mapped = mapped
        self._descriptor, self._shape = descriptor, shape
        self._offset, self._turned = offset, turned
        layers, rows, columns = shape
        self._stored = (layers, columns, rows) if turned else shape

    @property
    def shape(self) -> Shape3:
        """(layers, rows, columns)."""
        return self._shape

    def window(self, window: Window, into: Float32 | None = None) -> Float32:
        """Read these rows and columns of all layers."""
        top, bottom, left, right = window
        part = fresh((self._shape[0], bottom - top, right - left)) if into is None else into
        return self._take(part, 0, window)

    def piece(self, first: int, window: Window, into: Float32) -> Float32:
        """Read these rows and columns of some layers."""
        return self._take(into, first, window)

    def put_window(self, window: Window, part: Float32) -> None:
        """Write these rows and columns of all layers."""
        self._put(part, 0, window)

    def layers(self, first: int, last: int) -> Float32:
        """Read these layers."""
        _, rows, columns = self._shape
        return self._take(fresh((last - first, rows, columns)), first, (0, rows, 0, columns))

    def put_layers(self, first: int, part: Float32) -> None:
        """Write these layers."""
        _, rows, columns = self._shape
        self._put(part, first, (0, rows, 0, columns))

    def whole(self) -> Float32:
        """Map the file; no layer of it where that is not allowed."""
        if not self._mapped:
            return np.empty((0, *self._shape[1:]), np.float32)
        stored = np.frombuffer(
            mmap.mmap(self._descriptor, 0), "<f4", math.prod(self._stored), self._offset
        ).reshape(self._stored)
        return stored.transpose(0, 2, 1) if self._turned else stored

    def _take(self, part: Float32, layer: int, window: Window) -> Float32:
        """Read a window of the layers from ``layer`` on; lines of :data:`HANDS` layers are in memory besides."""
        first, last, begin, end = self._as_stored(window)
        as_it_is = not self._turned and end - begin == self._stored[2]

        def take(some: range) -> None:
            lines = None if as_it_is else fresh((1, last - first, self._stored[2]))[0]
            for i in some:
                self._read(part[i] if lines is None else lines, layer + i, first)
                if lines is not None:
                    part[i] = self._turn(lines[:, begin:end])

        side_by_side(take, len(part), part.nbytes)
        return part

    def _put(self, part: Float32, layer: int, window: Window) -> None:
        """Write a window of the layers from ``layer`` on, likewise."""
        first, last, begin, end = self._as_stored(window)
        whole_lines = end - begin == self._stored[2]
        as_it_is = not self._turned and whole_lines

        def put(some: range) -> None:
            lines = None if as_it_is else fresh((1, last - first, self._stored[2]))[0]
            for i in some:
                if lines is not None:
                    if not whole_lines:
                        self._read(lines, layer + i, first)
                    lines[:, begin:end] = self._turn(part[i])
                self._write(part[i] if lines is None else lines, layer + i, first)

        side_by_side(put, len(part), part.nbytes)

    def _as_stored(self, window: Window) -> Window:
        top, bottom, left, right = window
        return (left, right, top, bottom) if self._turned else window

    def _turn(self, image: Float32) -> Float32:
        return image.T if self._turned else image

    def _place(self, layer: int, row: int) -> int:
        return self._offset + 4 * self._stored[2] * (layer * self._stored[1] + row)

    def _read(self, part: Float32, layer: int, row: int) -> None:
        view, place = part.data.cast("B"), self._place(layer, row)
        while view.nbytes:
            count = os.preadv(self._descriptor, [view], place)
            if count == 0:
                raise OSError(f"file: ended after {place} bytes")
            view, place = view[count:], place + count
        if sys.byteorder == "big":
            part.byteswap(inplace=True)

    def _write(self, part: Float32, layer: int, row: int) -> None:
        view, place = np.ascontiguousarray(part, "<f4").data.cast("B"), self._place(layer, row)
        while view.nbytes:
            count = os.pwrite(self._descriptor, view, place)
            view, place = view[count:], place + count


def side_by_side(work: Callable[[range], None], count: int, size: int) -> None:
    """Do ``work`` on all of ``count`` layers, in :data:`HANDS` threads where ``size`` [bytes] is worth it."""
    if count < HANDS or size < WORTH_IT:
        work(range(count))
        return
    ends = [k * count // HANDS for k in range(HANDS + 1)]
    for done in [_hands().submit(work, range(a, b)) for a, b in itertools.pairwise(ends)]:
        done.result()


@functools.cache
def _hands() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(HANDS, thread_name_prefix="cryolith-fields")


if hasattr(os, "register_at_fork"):  # a child has none of its parent's threads
    os.register_at_fork(after_in_child=_hands.cache_clear)


def fresh(shape: Shape3) -> Float32:
    """Return an array of zeros whose memory goes back to the system with it.

    What the C library has handed out of its heap it often keeps: slab after slab the process would grow. Private pages,
    huge ones where the system has them, cost 0.3 ms for 8 MB; shared ones, the default of ``mmap``, 5.7 ms.
    """
    size = 4 * math.prod(shape)
    private = getattr(mmap, "MAP_PRIVATE", 0) | getattr(mmap, "MAP_ANONYMOUS", 0)
    memory = mmap.mmap(-1, size, flags=private) if private else mmap.mmap(-1, size)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them
            memory.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(memory, np.float32).reshape(shape)


def doubled(part: Float32) -> npt.NDArray[np.float64]:
    """Return a copy in float64, likewise."""
    out: npt.NDArray[np.float64] = fresh((2, 1, part.size)).reshape(-1).view(np.float64)
    np.copyto(out, part.reshape(-1))
    return out.reshape(part.shape)


def scratch_field(
    shape: Shape3,
    folder: str | os.PathLike[str] | None,
    *,
    turned: bool = False,
    mapped: bool = True,
) -> FileField:
    """Return a field of zeros in a file without a name: it is gone when the process is, however that ends."""
    descriptor = _nameless(tempfile.gettempdir() if folder is None else os.fspath(folder))
    field = FileField(descriptor, shape, turned=turned, mapped=mapped)
    weakref.finalize(field, os.close, descriptor)
    os.ftruncate(descriptor, 4 * math.prod(shape))
    return field


def _nameless(folder: str) -> int:
    """Open a new file that has no name, where the file system knows such files, or loses it at once."""
    try:
        return os.open(folder, os.O_RDWR | os.O_TMPFILE, 0o600)
    except (AttributeError, OSError):
        descriptor, name = tempfile.mkstemp(dir=folder)
        os.unlink(name)
        return descriptor
