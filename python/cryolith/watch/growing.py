# SPDX-License-Identifier: BSD-3-Clause
"""Image files that somebody else is still writing: how many images are whole, and one of them.

Read with plain reads and never mapped: of a map of a file that is cut short under it a page that is gone ends the
process.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FileFormatError
from ..files.findings import Notes, fail
from ..files.lazy import OffsetStack
from ..files.mrc_extended import Extended, parse_extended
from ..files.mrc_header import HEADER_BYTES, MrcHeader, parse_header
from ..files.mrc_read import MrcFile, unpack
from ..files.opening import look
from ..files.series import is_offset
from ..files.tiff import TiffHead, decode_page, read_tiff_head
from .folder import Stamp

__all__ = ["SUFFIXES", "GrowingFile", "look_at"]

SUFFIXES = (".mrc", ".mrcs", ".st", ".ali", ".tif", ".tiff")
_PROBE = 1 << 16  # bytes


@dataclass(frozen=True, kw_only=True)
class GrowingFile:
    """What a file holds at one moment.

    Attributes
    ----------
    shape : (int, int) [px]
        (height, width) of its images.
    whole : int
        Images that are all there.
    promised : int
        Images that its header speaks of.
    unwritten : int
        Images that have room in the file and hold only zeros: they are not counted as whole.
    extended : Extended or None
        Of the images that are whole.
    pixel_size : float or None [angstrom]
        Of the headers; 1 A is a default and tells nothing.
    stamp : Stamp
        Of the file when it was looked at.
    """

    path: str
    shape: tuple[int, int]
    whole: int
    promised: int
    extended: Extended | None
    pixel_size: float | None
    labels: tuple[str, ...]
    header: MrcHeader | None
    tiff: TiffHead | None
    unwritten: int = 0
    offset: bool = False
    stamp: Stamp = (0, 0, 0)

    def image(self, i: int) -> npt.NDArray[Any]:
        """Return image ``i`` (height, width) as stored, unsigned where an offset was taken off.

        Raises
        ------
        FileFormatError
            It is not there any more.
        """
        if self.tiff is not None:
            return self._page(self.tiff, i)
        assert self.header is not None
        h = self.header
        size = h.shape[1] * h.row_bytes
        raw = _read(self.path, h.offset + i * size, size)
        if h.packed:
            return np.asarray(unpack(raw.reshape(1, h.shape[1], h.row_bytes), h.shape[2])[0])
        stored: npt.NDArray[Any] = raw.view(h.dtype).reshape(self.shape)
        return np.asarray(OffsetStack(stored[None])[0] if self.offset else stored)

    def _page(self, head: TiffHead, i: int) -> npt.NDArray[Any]:
        if head.step is None:
            return decode_page(head, i)
        size = self.shape[0] * self.shape[1] * head.dtype.itemsize
        raw = _read(self.path, head.offset + i * head.step, size)
        page: npt.NDArray[Any] = raw.view(head.dtype).reshape(self.shape)
        return page


def _read(path: str, at: int, size: int) -> npt.NDArray[np.uint8]:
    try:
        with open(path, "rb") as file:
            file.seek(at)
            raw = file.read(size)
    except OSError as error:
        fail(path, "file", error.strerror or error, "a readable file", "see what became of it")
    if len(raw) < size:
        found = f"{len(raw)} of {size} bytes at {at}"
        fail(path, "image", found, "a whole image", "it was cut short while it was read")
    return np.frombuffer(raw, np.uint8)


def look_at(path: str | os.PathLike[str], *, preallocated: bool = False) -> GrowingFile:
    """Say what a file holds now.

    Parameters
    ----------
    path : path
    preallocated : bool
        Whether it was seen to have room for images that had not been written: its zeros at the end are such images.

    Raises
    ------
    FileFormatError
        Its header makes no sense (yet), or it is no image file.
    """
    opened = look(path)
    notes = Notes(opened.path)
    if opened.kind == "tiff":
        head = read_tiff_head(opened.path, opened.size, notes)
        n, height, width = head.shape
        return GrowingFile(
            path=opened.path,
            shape=(height, width),
            whole=n,
            promised=n,
            extended=None,
            pixel_size=head.pixel_size,
            labels=(),
            header=None,
            tiff=head,
        )
    if opened.kind != "raw":
        fail(opened.path, "file type", opened.kind, "a plain file", "compressed files do not grow")
    header = parse_header(opened.head, notes, None)
    if header.axes != (0, 1, 2):
        fail(opened.path, "mapc, mapr, maps", header.axes, "1, 2, 3", "images must be sections")
    size = header.shape[1] * header.row_bytes
    room = max(0, opened.size - header.offset) // size
    room = min(header.shape[0], room)
    whole = _written(opened.path, header, room, preallocated)
    known = replace(header, shape=(max(whole, 1), *header.shape[1:]))
    extended = parse_extended(_extended(opened.path, header), known, notes)
    voxel = header.voxel[0] if header.voxel else None
    made = GrowingFile(
        path=opened.path,
        shape=(header.shape[1], header.shape[2]),
        whole=whole,
        promised=header.shape[0],
        extended=extended,
        pixel_size=None if voxel == 1.0 else voxel,
        labels=header.labels,
        header=header,
        tiff=None,
        unwritten=room - whole,
    )
    return replace(made, offset=is_offset(MrcFile(opened, header, extended)))


def _extended(path: str, header: MrcHeader) -> bytes:
    try:
        return _read(path, HEADER_BYTES, header.extended_bytes).tobytes()
    except FileFormatError:
        return b""  # not written yet


def _written(path: str, header: MrcHeader, whole: int, preallocated: bool) -> int:
    """Leave out images at the end that have room in the file and were not written: more than one of zeros only.

    A single one may be a blanked beam on a detector that counts.
    """
    size = header.shape[1] * header.row_bytes
    zeros = 0
    while zeros < whole and _is_zero(path, header.offset + (whole - 1 - zeros) * size, size):
        zeros += 1
    return whole - zeros if zeros > 1 or preallocated else whole


def _is_zero(path: str, at: int, size: int) -> bool:
    """Whether the beginning, the middle and the end of an image hold nothing."""
    probe = min(size, _PROBE)
    places = (at, at + (size - probe) // 2, at + size - probe)
    return not any(_read(path, place, probe).any() for place in places)
