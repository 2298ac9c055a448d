# SPDX-License-Identifier: BSD-3-Clause
"""Read and write volumes: MRC and OME-Zarr, chosen by the suffix of the name."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..datamodel import Source, Volume
from ..errors import InputError
from .findings import Notes, fail
from .image_file import open_image
from .mrc_read import MrcFile
from .mrc_write import OWN_LABEL, open_mrc_slabs, write_mrc
from .ome_zarr import (
    open_ome_zarr,
    open_zarr_slabs,
    read_ome_zarr,
    write_ome_zarr,
    zarr_attributes,
)
from .opening import suffix_of

__all__ = [
    "SlabWriter",
    "assemble_volume",
    "check_place",
    "describe_volume",
    "first_of",
    "is_mrc",
    "is_zarr",
    "open_slabs",
    "placed",
    "read_volume",
    "volume_of",
    "write_volume",
]

_MRC_SUFFIXES = (".mrc", ".rec", ".map", ".st")
_SAME_EDGE = 0.01  # of the voxel size


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a volume from MRC (plain, .gz or .bz2), OME-Zarr or multi-page TIFF.

    Plain MRC and uncompressed TIFF are read-only memory maps; the rest is decoded into memory. The
    array is (z, y, x) whatever axis order the file has.

    Raises
    ------
    FileFormatError
        The file is damaged or holds no single volume.

    Warns
    -----
    CryolithWarning
        A value is suspect and work can go on, for example voxels that are no cubes.
    """
    notes = Notes(os.fspath(path))
    volume = assemble_volume(path, notes)
    notes.tell()
    return volume


def assemble_volume(path: str | os.PathLike[str], notes: Notes) -> Volume:
    """As :func:`read_volume`, leaving the warnings in ``notes``."""
    if is_zarr(path):
        head = open_ome_zarr(path, notes)
        return volume_of(read_ome_zarr(head, notes), head.pixel_size, head.first_voxel, notes)
    file = open_image(path, notes)
    if file.mrc is None:
        pixel = file.tiff.pixel_size if file.tiff else None
        notes.facts["pixel_size"] = "ImageJ's unit" if pixel else "not told by the file"
        return volume_of(file.load(notes), pixel, None, notes)
    if file.mrc.header.volumes > 1:
        found = f"a stack of {file.mrc.header.volumes} volumes"
        fail(notes.path, "ispg", found, "one volume", "split the file first")
    pixel = _cubic(file.mrc, notes)
    return volume_of(file.load(notes), pixel, _first_voxel(file.mrc, notes), notes)


def is_zarr(path: str | os.PathLike[str]) -> bool:
    """Whether ``path`` is a folder that is, or claims to be, a Zarr."""
    folder = Path(path)
    names = (".zgroup", ".zarray", "zarr.json")
    try:
        named = folder.suffix.lower() == ".zarr" or any((folder / n).exists() for n in names)
        return folder.is_dir() and named
    except (OSError, ValueError):  # a name that is too long or holds NUL: no folder
        return False


def describe_volume(path: str | os.PathLike[str], notes: Notes) -> dict[str, Any]:
    """Return the facts of an OME-Zarr for :func:`info`."""
    head = open_ome_zarr(path, notes)
    return {
        "path": notes.path,
        "format": "OME-Zarr",
        "shape": list(head.shape),
        "dtype": head.dtype.name,
        "pixel_size_angstrom": head.pixel_size,
        "labels": list(head.labels),
        "facts": dict(notes.facts),
        "warnings": list(notes.warning_lines),
        "problems": [],
    }


def volume_of(
    data: npt.NDArray[Any], pixel: float | None, first: npt.NDArray[np.float64] | None, notes: Notes
) -> Volume:
    """Return a volume from its voxels and the place (z, y, x) of the first one [angstrom]."""
    centre = (np.array(data.shape) - 1) / 2 * (pixel or 0.0)
    return Volume(
        data=data,
        pixel_size=pixel,
        origin=np.zeros(3) if first is None else first + centre,
        source=Source(path=notes.path, facts=dict(notes.facts), warnings=notes.warning_lines),
    )


def _cubic(mrc: MrcFile, notes: Notes) -> float | None:
    header, voxel = mrc.header, mrc.header.voxel
    if any(header.cell_angles) and header.cell_angles != (90.0, 90.0, 90.0):
        notes.warn(
            "cell angles",
            ", ".join(f"{a:g}" for a in header.cell_angles),
            "90, 90, 90",
            "the axes are not at right angles; lengths across them will be wrong",
        )
    if voxel is None:
        notes.facts["pixel_size"] = "not told by the header"
        return None
    notes.facts["pixel_size"] = "header"
    if max(voxel) - min(voxel) > _SAME_EDGE * voxel[0]:
        notes.warn(
            "voxel size",
            " x ".join(f"{v:.6g}" for v in voxel) + " A",
            "cubes",
            "the value along x is taken; resample the volume to cubes",
        )
    return voxel[0]


def _first_voxel(mrc: MrcFile, notes: Notes) -> npt.NDArray[np.float64] | None:
    """Position (z, y, x) of the first voxel [angstrom]; None where the header leaves it unset."""
    header = mrc.header
    own = any(label.startswith(OWN_LABEL) for label in header.labels)
    if own or any(header.origin):
        notes.facts["origin"] = "header"
        return np.array(header.origin[::-1])
    if any(header.start) and header.voxel is not None:
        notes.facts["origin"] = "nxstart, nystart, nzstart"
        along = np.argsort(header.axes)  # from columns, rows, sections to x, y, z
        steps = np.array(header.start)[along]
        return np.asarray((steps * np.array(header.voxel))[::-1], np.float64)
    notes.facts["origin"] = "not set in the header; the centre of the array was taken"
    return None


def check_place(volume: Volume) -> None:
    """Refuse a pixel size or origin that no file can hold."""
    pixel = volume.pixel_size
    if pixel is not None and not (math.isfinite(pixel) and pixel > 0):
        raise InputError(f"pixel_size: found {pixel}, expected a positive finite length or None")
    if np.shape(volume.origin) != (3,) or not np.isfinite(volume.origin).all():
        raise InputError(f"origin: found {volume.origin}, expected three finite lengths (z, y, x)")


def write_volume(
    path: str | os.PathLike[str],
    volume: Volume | npt.NDArray[Any],
    *,
    labels: Sequence[str] = (),
    chunks: tuple[int, int, int] = (64, 64, 64),
) -> None:
    """Write a volume to ``path``, whole or not at all; the suffix chooses the format.

    ``.mrc .rec .map .st``: MRC2014 with pixel size, origin, statistics and labels. float32 is mode
    2, int16 mode 1, uint16 mode 6, float16 mode 12, int8 and bool mode 0 (signed); uint8 is written
    as uint16, float64 rounded to float32, wider integers as int16, uint16 or float32, whichever
    holds them exactly. ``.zarr``: OME-Zarr 0.4 with chunks, scale and translation in angstrom, in
    the array's own type.

    The same volume and labels give the same bytes on every run.

    Parameters
    ----------
    path : path
        Its folder must exist. An existing file is replaced in one step.
    volume : Volume or (nz, ny, nx) array
        Any strides and byte order.
    labels : sequence of str
        Provenance, ASCII; in MRC at most ten lines of 80 characters, with ``cryolith <version>``
        put first.
    chunks : (3,) int [voxels]
        Chunk edges (z, y, x) of OME-Zarr.

    Raises
    ------
    InputError
        Unknown suffix, complex or other values that cannot be written, a pixel size or origin that
        is not finite.
    FileFormatError
        The folder is missing or not writable, or the disk is too full.
    """
    given = volume if isinstance(volume, Volume) else Volume(data=np.asarray(volume))
    data = np.asarray(given.data)
    if data.dtype.kind not in "biuf":
        raise InputError(
            f"data: found dtype {data.dtype}, expected real numbers; "
            "write real and imaginary parts apart"
        )
    check_place(given)
    if 0 in data.shape:
        raise InputError(f"data: found shape {data.shape}, expected at least one voxel per axis")
    first = first_of(data.shape, given)
    if is_mrc(path):
        write_mrc(path, data, pixel_size=given.pixel_size, first_voxel=first, labels=labels)
    else:
        write_ome_zarr(path, data, given.pixel_size, first, labels, chunks)


def placed(
    shape: tuple[int, int, int], pixel_size: float | None, origin: npt.ArrayLike
) -> npt.NDArray[np.float64]:
    """Return the position (z, y, x) [angstrom] of the first voxel of a volume written in parts, or refuse it."""
    if len(shape) != 3 or min(shape) < 1:
        raise InputError(f"shape: found {shape}, expected three positive numbers of voxels")
    place = Volume(
        data=np.broadcast_to(np.float32(0), shape),
        pixel_size=pixel_size,
        origin=np.asarray(origin, np.float64),
    )
    check_place(place)
    return first_of(shape, place)


class SlabWriter(Protocol):
    """What takes a volume slab by slab."""

    def write(self, first: int, slab: npt.NDArray[np.float32], /) -> None:
        """Write rows ``first`` to ``first + slab.shape[1]`` of a slab (nz, rows, nx)."""


@contextmanager
def open_slabs(
    path: str | os.PathLike[str],
    shape: tuple[int, int, int],
    *,
    pixel_size: float | None = None,
    origin: npt.ArrayLike = (0.0, 0.0, 0.0),
    labels: Sequence[str] = (),
    chunks: tuple[int, int, int] = (64, 64, 64),
) -> Iterator[SlabWriter]:
    """Write a float32 volume that is larger than the memory, some of its rows (y) at a time.

    The file appears under its name when the block is left, and then has the bytes that :func:`write_volume`
    would have given it; on any exception nothing is left.

    Parameters
    ----------
    path, labels, chunks
        As in :func:`write_volume`. Slabs of a ``.zarr`` begin at multiples of ``chunks[1]``.
    shape : (int, int, int)
        (nz, ny, nx) of the whole volume.
    pixel_size : float, optional [angstrom]
    origin : (3,) [angstrom]
        As in :class:`cryolith.Volume`.

    Yields
    ------
    SlabWriter
        Its ``write(first, slab)`` takes each row once, in any order.

    Raises
    ------
    InputError
        As in :func:`write_volume`; rows that lie outside, twice or not at all.
    FileFormatError
        The folder is missing or not writable, or the disk is too full.
    """
    first = placed(shape, pixel_size, origin)
    opened: AbstractContextManager[SlabWriter] = (
        open_mrc_slabs(path, shape, pixel_size=pixel_size, first_voxel=first, labels=labels)
        if is_mrc(path)
        else open_zarr_slabs(
            path, shape, np.dtype("f4"), chunks, zarr_attributes(pixel_size, first, labels)
        )
    )
    with opened as slabs:
        checked = _Checked(slabs, shape, 1 if is_mrc(path) else min(chunks[1], shape[1]))
        yield checked
        checked.require_all()


class _Checked:
    """Refuses slabs that do not fit, and knows which rows are still missing."""

    def __init__(self, inner: SlabWriter, shape: tuple[int, int, int], edge: int) -> None:
        self._inner, self._shape, self._edge = inner, shape, edge
        self._written = np.zeros(shape[1], bool)

    def write(self, first: int, slab: npt.NDArray[np.float32]) -> None:
        nz, ny, nx = self._shape
        rows = slab.shape[1] if slab.ndim == 3 else 0
        last = first + rows
        if slab.shape != (nz, rows, nx) or not (0 <= first < last <= ny):
            raise InputError(
                f"slab: found shape {slab.shape} at row {first}, expected ({nz}, rows, {nx}) within {ny} rows"
            )
        if first % self._edge or (last % self._edge and last != ny):
            raise InputError(
                f"slab: found rows {first} to {last}, expected multiples of the chunk's {self._edge} rows"
            )
        if self._written[first:last].any():
            raise InputError(
                f"slab: rows {first} to {last} were written before, expected each once"
            )
        self._inner.write(first, slab)
        self._written[first:last] = True

    def require_all(self) -> None:
        """Raise unless every row has been written."""
        missing = int((~self._written).sum())
        if missing:
            raise InputError(f"slab: found {missing} rows that were never written, expected none")


def is_mrc(path: str | os.PathLike[str]) -> bool:
    """Whether the suffix asks for MRC and not OME-Zarr; any other is refused."""
    return suffix_of(path, (*_MRC_SUFFIXES, ".zarr")) != ".zarr"


def first_of(shape: tuple[int, ...], volume: Volume) -> npt.NDArray[np.float64]:
    """Position (z, y, x) of the first voxel [angstrom]."""
    centre = (np.array(shape) - 1) / 2 * (volume.pixel_size or 0.0)
    return np.asarray(volume.origin, np.float64) - centre
