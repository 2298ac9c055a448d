# SPDX-License-Identifier: BSD-3-Clause
"""Where a growing volume lies: an MRC file, or a folder of OME-Zarr chunks."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from .._core import available_threads
from .._fields import FileField
from .atomic import check_space, sha256
from .disk import reserve, start_writing, write_at
from .findings import fail
from .mrc_header import HEADER_BYTES
from .mrc_write import check_sizes, label_lines, mrc_header
from .ome_zarr import write_zarr_metadata, zarr_attributes, zarr_bytes, zarr_levels
from .statistics import Statistics

__all__ = ["BAND", "About", "MrcStore", "Store", "ZarrStore", "mrc_digest", "zarr_digest"]

BAND = 16  # rows: slabs of a projection plan begin at multiples of it
_PIECE = 4 << 20  # bytes read at once
_HASHERS = 4  # threads of 1.1 GB/s each: more than disks take

Float32 = npt.NDArray[np.float32]
Check = Callable[[], None] | None
About = tuple[float | None, npt.NDArray[np.float64], tuple[str, ...]]
"""Pixel size, place (z, y, x) of the first voxel, labels."""


class Store(Protocol):
    """Takes slabs and says what they are."""

    edge: int

    def write(self, first: int, slab: Float32) -> dict[str, str]:
        """Write rows from ``first`` on; return the digests of their parts by name."""

    def names(self, first: int, last: int) -> Iterator[str]:
        """Return the names of the parts that these rows fill."""

    def digest(self, name: str) -> str:
        """Read a part and return its digest."""

    def finish(self, digests: Mapping[str, str], statistics: Statistics) -> str:
        """Write what is left once all rows are there; return the volume's digest."""

    def close(self) -> None:
        """Let go of what is open."""


class MrcStore:
    """Bands of rows of every section, in one file that has its full size from the start."""

    edge = BAND

    def __init__(self, path: Path, shape: tuple[int, int, int], about: About, *, new: bool) -> None:
        target = os.fspath(path)
        check_sizes(shape, target)
        self._path, self._shape, self._about = path, shape, about
        self._lines = label_lines(about[2], target)
        size = HEADER_BYTES + 4 * math.prod(shape)
        if new:
            path.unlink(missing_ok=True)
            check_space(path, size)
        flags = os.O_RDWR | (os.O_CREAT | os.O_EXCL if new else 0)
        self._descriptor = os.open(path, flags, 0o666)
        try:
            if new:
                reserve(self._descriptor, size)
            found = os.fstat(self._descriptor).st_size
            if found != size:
                expected = f"{size} for {' x '.join(map(str, shape))} voxels"
                fail(path, "size", f"{found} bytes", expected, "begin the volume anew")
        except BaseException:
            self.close()
            raise
        self._field = FileField(self._descriptor, shape, HEADER_BYTES)

    def write(self, first: int, slab: Float32) -> dict[str, str]:
        last = first + slab.shape[1]
        names = list(self.names(first, last))
        bands = (slab[:, i : i + BAND] for i in range(0, last - first, BAND))
        with ThreadPoolExecutor(min(_HASHERS, available_threads())) as hashers:
            digests = hashers.map(_band_digest, bands)  # while the slab is written
            self._field.put_window((first, last, 0, slab.shape[2]), slab)
            start_writing(self._descriptor)
            return dict(zip(names, digests, strict=True))

    def names(self, first: int, last: int) -> Iterator[str]:
        return (str(row) for row in range(first, last, BAND))

    def digest(self, name: str) -> str:
        first, nx = int(name), self._shape[2]
        last = min(first + BAND, self._shape[1])
        return _band_digest(self._field.window((first, last, 0, nx)))

    def finish(self, digests: Mapping[str, str], statistics: Statistics) -> str:
        pixel, first, _ = self._about
        header = mrc_header(self._shape, np.dtype("<f4"), statistics, pixel, first, self._lines)
        write_at(self._descriptor, header, 0)
        bands = (bytes.fromhex(digests[name]) for name in self.names(0, self._shape[1]))
        return _of_mrc(header, bands)

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor = -1


def _band_digest(band: Float32) -> str:
    """Of the rows of all sections, section by section."""
    digest = hashlib.sha256()
    for section in band:
        digest.update(np.ascontiguousarray(section, "<f4").data)
    return digest.hexdigest()


def _of_mrc(header: bytes, bands: Iterator[bytes]) -> str:
    whole = hashlib.sha256(header)
    for band in bands:
        whole.update(band)
    return whole.hexdigest()


def mrc_digest(path: Path, check: Check) -> str | None:
    """Return the digest of a file as this package writes it, of any mode; None for another."""
    with open(path, "rb", buffering=0) as file:
        header = file.read(HEADER_BYTES)
        layout = _layout(header, os.fstat(file.fileno()).st_size)
        if layout is None:
            return None
        sections, row_bytes, rows = layout
        bands = [hashlib.sha256() for _ in range(0, rows, BAND)]
        at_once = max(1, _PIECE // (BAND * row_bytes)) * BAND * row_bytes
        buffer = memoryview(bytearray(min(at_once, rows * row_bytes)))
        for _ in range(sections):
            place = 0
            while place < rows * row_bytes:
                piece = buffer[: min(len(buffer), rows * row_bytes - place)]
                _fill(file, piece)
                first = place // (BAND * row_bytes)
                for i, start in enumerate(range(0, len(piece), BAND * row_bytes)):
                    bands[first + i].update(piece[start : start + BAND * row_bytes])
                place += len(piece)
                if check is not None:
                    check()
    return _of_mrc(header, (band.digest() for band in bands))


def _fill(file: Any, piece: memoryview) -> None:
    while piece.nbytes:
        count = file.readinto(piece)
        if not count:
            raise OSError(f"{file.name}: ended while it was read")
        piece = piece[count:]


def _layout(header: bytes, size: int) -> tuple[int, int, int] | None:
    """Sections, bytes of a row, and rows; None for a file that is not exactly a header and voxels."""
    words = np.frombuffer(header.ljust(HEADER_BYTES, b"\0"), "<i4")
    nx, ny, nz, mode = (int(v) for v in words[:4])
    item = {0: 1, 1: 2, 2: 4, 6: 2, 12: 2}.get(mode)
    if item is None or min(nx, ny, nz) < 1 or size != HEADER_BYTES + nx * ny * nz * item:
        return None
    return nz, nx * item, ny


class ZarrStore:
    """Chunk files in a folder."""

    def __init__(
        self,
        path: Path,
        shape: tuple[int, int, int],
        about: About,
        chunks: tuple[int, int, int],
        *,
        new: bool,
    ) -> None:
        self._levels = zarr_levels(path, shape, np.dtype("f4"), chunks)
        self._attributes = zarr_attributes(*about)
        self.edge = self._levels.edges[1]
        if new:
            if path.exists():
                shutil.rmtree(path)
            check_space(path, zarr_bytes(self._levels))
            path.mkdir()
            write_zarr_metadata(self._levels, self._attributes)
        found = json.loads((path / "0" / ".zarray").read_bytes())
        if found != self._levels.metadata(0):
            sizes = f"{found.get('shape')} voxels in chunks of {found.get('chunks')}"
            expected = f"{list(shape)} in chunks of {list(self._levels.edges)}"
            fail(path, "size", sizes, expected, "begin the volume anew")

    def write(self, first: int, slab: Float32) -> dict[str, str]:
        digests: dict[str, str] = {}

        def note(name: str, raw: Any) -> None:
            digests[name] = hashlib.sha256(raw).hexdigest()

        self._levels.write(first, slab, note)
        return digests

    def names(self, first: int, last: int) -> Iterator[str]:
        return self._levels.names(first, last)

    def digest(self, name: str) -> str:
        return sha256(self._levels.folder / name)

    def finish(self, digests: Mapping[str, str], statistics: Statistics) -> str:
        all_digests = dict(digests)

        def note(name: str, raw: Any) -> None:
            all_digests[name] = hashlib.sha256(raw).hexdigest()

        self._levels.finish(digests.keys(), note)
        for name, raw in write_zarr_metadata(self._levels, self._attributes).items():
            note(name, raw)
        return _of_files(all_digests)

    def close(self) -> None:
        """Nothing stays open."""


def _of_files(digests: Mapping[str, str]) -> str:
    whole = hashlib.sha256()
    for name in sorted(digests):
        whole.update(os.fsencode(name) + b"\0" + bytes.fromhex(digests[name]))
    return whole.hexdigest()


def zarr_digest(folder: Path, check: Check) -> str:
    """Return the digest of an image: of all its files but the label images inside, which come and go."""
    files = (p for p in folder.rglob("*") if p.is_file())
    named = ((p.relative_to(folder).as_posix(), p) for p in files)
    kept = itertools.filterfalse(lambda item: item[0].startswith("labels/"), named)
    return _of_files({name: sha256(path, check=check) for name, path in kept})
