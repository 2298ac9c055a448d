# SPDX-License-Identifier: BSD-3-Clause
"""Volumes larger than the memory: read where they are looked at, with plain reads in place of a map."""

from __future__ import annotations

import os

from .._stored import StoredArray
from ..datamodel import Volume
from .findings import Notes
from .image_file import open_image
from .volume import _cubic, _first_voxel, assemble_volume, is_zarr, volume_of

__all__ = ["open_volume"]


def open_volume(path: str | os.PathLike[str]) -> Volume:
    """Open a volume as :func:`read_volume` does, but with data that are read slice by slice.

    Of plain MRC files the data are a :class:`StoredArray`: nothing of the file is mapped, so that a limit of the system
    on the process's addresses (``RLIMIT_AS``) holds for files of any size. All other files are read as ever.

    Raises
    ------
    FileFormatError
        As :func:`read_volume`.
    """
    notes = Notes(os.fspath(path))
    volume = _opened(path, notes)
    notes.tell()
    return volume


def _opened(path: str | os.PathLike[str], notes: Notes) -> Volume:
    if is_zarr(path):
        return assemble_volume(path, notes)
    file = open_image(path, notes)
    mrc = file.mrc
    plain = mrc is not None and mrc.opened.kind == "raw" and not mrc.header.packed
    if mrc is None or not plain or mrc.header.axes != (0, 1, 2) or mrc.header.volumes > 1:
        return assemble_volume(path, Notes(os.fspath(path)))
    header = mrc.header
    data = StoredArray(os.open(path, os.O_RDONLY), header.shape, header.dtype, header.offset)
    return volume_of(data, _cubic(mrc, notes), _first_voxel(mrc, notes), notes)  # type: ignore[arg-type]
