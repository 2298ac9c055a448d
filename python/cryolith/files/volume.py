# SPDX-License-Identifier: BSD-3-Clause
"""Read and write volumes: MRC and OME-Zarr, chosen by the suffix of the name."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..datamodel import Source, Volume
from ..errors import InputError
from .findings import Notes, fail
from .image_file import open_image
from .mrc_read import MrcFile
from .mrc_write import OWN_LABEL, write_mrc
from .ome_zarr import open_ome_zarr, read_ome_zarr, write_ome_zarr

__all__ = ["assemble_volume", "describe_volume", "is_zarr", "read_volume", "write_volume"]

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
        return _volume(read_ome_zarr(head, notes), head.pixel_size, head.first_voxel, notes)
    file = open_image(path, notes)
    if file.mrc is None:
        pixel = file.tiff.pixel_size if file.tiff else None
        notes.facts["pixel_size"] = "ImageJ's unit" if pixel else "not told by the file"
        return _volume(file.load(notes), pixel, None, notes)
    if file.mrc.header.volumes > 1:
        found = f"a stack of {file.mrc.header.volumes} volumes"
        fail(notes.path, "ispg", found, "one volume", "split the file first")
    pixel = _cubic(file.mrc, notes)
    return _volume(file.load(notes), pixel, _first_voxel(file.mrc, notes), notes)


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


def _volume(
    data: npt.NDArray[Any], pixel: float | None, first: npt.NDArray[np.float64] | None, notes: Notes
) -> Volume:
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
        steps = np.array(header.start)[
            list(np.argsort(header.axes))
        ]  # columns, rows, sections to x, y, z
        return np.asarray((steps * np.array(header.voxel))[::-1], np.float64)
    notes.facts["origin"] = "not set in the header; the centre of the array was taken"
    return None


def _check_place(volume: Volume) -> None:
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
    _check_place(given)
    if 0 in data.shape:
        raise InputError(f"data: found shape {data.shape}, expected at least one voxel per axis")
    first = np.asarray(given.origin, np.float64) - (np.array(data.shape) - 1) / 2 * (
        given.pixel_size or 0.0
    )
    suffix = Path(path).suffix.lower()
    if suffix in _MRC_SUFFIXES:
        write_mrc(path, data, pixel_size=given.pixel_size, first_voxel=first, labels=labels)
    elif suffix == ".zarr":
        write_ome_zarr(path, data, given.pixel_size, first, labels, chunks)
    else:
        raise InputError(
            f"path: found suffix {suffix!r} in {os.fspath(path)}, expected one of "
            f"{', '.join(_MRC_SUFFIXES)} or .zarr"
        )
