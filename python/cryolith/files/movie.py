# SPDX-License-Identifier: BSD-3-Clause
"""Movies, decoded one frame at a time, and what a detector's frames are corrected with."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..datamodel import Source
from .angles import read_text, split_lines
from .findings import Notes, fail
from .image_file import ImageFile, open_image
from .lazy import OffsetStack
from .metadata import given_length
from .mrc_read import MrcFile, unpack
from .opening import look
from .series import is_offset
from .tiff import TiffHead, decode_page

__all__ = ["Movie", "open_movie", "read_bad_pixels", "read_gain"]

_IMAGE_KINDS = ("tiff", "gzip", "bzip2")


@dataclass(frozen=True, kw_only=True, eq=False)
class Movie:
    """Frames of one exposure.

    Attributes
    ----------
    frames : (n_frames, ny, nx)
        A memory map, or decoded where it is indexed; ``len``, ``shape``, ``dtype`` and indexing by a whole number.
    pixel_size : float or None [angstrom]
    source : Source
    """

    frames: Any
    pixel_size: float | None
    source: Source

    def __len__(self) -> int:
        return len(self.frames)


class _Decoded:
    """Frames that are decoded one at a time."""

    def __init__(
        self,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        decode: Callable[[int], npt.NDArray[Any]],
    ) -> None:
        self.shape, self.dtype, self.ndim = shape, dtype, 3
        self._decode = decode

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, i: int) -> npt.NDArray[Any]:
        if not -len(self) <= i < len(self):
            raise IndexError(i)
        return self._decode(int(i) % len(self))

    def __iter__(self) -> Iterator[npt.NDArray[Any]]:
        return (self[i] for i in range(len(self)))


def open_movie(path: str | os.PathLike[str], *, pixel_size: float | str | None = None) -> Movie:
    """Open a movie: MRC (any mode, 4-bit pixels too) or TIFF, told by its content.

    No frame is read: headers only. Frames of plain MRC and of plain or compressed TIFF are read where they are indexed;
    an MRC compressed as a whole (.gz, .bz2) is decoded into memory.

    Parameters
    ----------
    path : path
    pixel_size : float or str, optional [angstrom]
        Overrides the header's; a string takes a unit ("0.5 nm").

    Raises
    ------
    FileFormatError
        No such file, no frames, truncated, frames of different size, or EER, which is not read yet.

    Warns
    -----
    CryolithWarning
        A value is suspect and work can go on.
    """
    notes = Notes(os.fspath(path))
    if Path(path).suffix.lower() == ".eer":
        look(path, "a movie")
        fail(
            path,
            "file type",
            "EER (electron events)",
            "frames in MRC or TIFF",
            "EER is not read yet; convert it first",
        )
    size = given_length(pixel_size, "pixel_size")
    file = open_image(path, notes)
    frames = _frames(file, notes)
    told = size if size is not None else file.pixel_size
    notes.facts["pixel_size"] = (
        "given" if size is not None else "header" if told is not None else "not told by the file"
    )
    notes.tell()
    source = Source(path=notes.path, facts=dict(notes.facts), warnings=notes.warning_lines)
    return Movie(frames=frames, pixel_size=told, source=source)


def _frames(file: ImageFile, notes: Notes) -> Any:
    if file.tiff is not None and file.tiff.step is None:
        return _tiff_frames(file.tiff)
    mrc = file.mrc
    if mrc is not None and mrc.header.packed and file.opened.kind == "raw":
        return _packed_frames(mrc)
    data = file.load(notes)
    return OffsetStack(data) if mrc is not None and is_offset(mrc) else data


def _tiff_frames(head: TiffHead) -> _Decoded:
    return _Decoded(head.shape, head.dtype.newbyteorder("="), lambda i: decode_page(head, i))


def _packed_frames(mrc: MrcFile) -> _Decoded:
    header = mrc.header
    n, ny, nx = header.shape
    stored = np.memmap(
        mrc.opened.path,
        header.dtype,
        mode="r",
        offset=header.offset,
        shape=(n, ny, header.row_bytes),
    )
    return _Decoded((n, ny, nx), np.dtype(np.uint8), lambda i: unpack(stored[i : i + 1], nx)[0])


def read_gain(
    path: str | os.PathLike[str],
    *,
    rotate: Literal[0, 90, 180, 270] = 0,
    flip: Literal["none", "up-down", "left-right"] = "none",
) -> npt.NDArray[np.float32]:
    """Read a gain reference that frames are multiplied by, turned to lie as they do.

    Parameters
    ----------
    path : path
        One image, MRC or TIFF.
    rotate : 0, 90, 180 or 270 [deg]
        Counter-clockwise as the image is seen with its first row at the top (``numpy.rot90``).
    flip : "none", "up-down" or "left-right"
        After the rotation: rows or columns in reverse.

    Returns
    -------
    (ny, nx) float32
        NaN where the reference is not positive and finite: pixels that the detector does not have.

    Raises
    ------
    FileFormatError
        The file cannot be read, holds more than one image, or no positive value.
    """
    notes = Notes(os.fspath(path))
    file = open_image(path, notes)
    if file.shape[0] != 1:
        fail(path, "images", file.shape[0], "one gain reference", "give the file of the reference")
    gain = np.array(file.load(notes)[0], np.float32)
    gain[~(np.isfinite(gain) & (gain > 0))] = np.nan
    if np.isnan(gain).all():
        fail(path, "gain", "no positive value", "factors near 1", "give the file of the reference")
    gain = np.rot90(gain, rotate // 90)
    if flip != "none":
        gain = gain[::-1] if flip == "up-down" else gain[:, ::-1]
    return np.ascontiguousarray(gain)


def read_bad_pixels(path: str | os.PathLike[str], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Read which pixels of the raw frames are bad: a map, or a list.

    A map is an image, MRC or TIFF, not 0 where a pixel is bad. A list is a text file with a line for each rectangle:
    column and row of its first pixel, counted from 0, and, if it is more than one pixel, width and height.

    Raises
    ------
    FileFormatError
        The file cannot be read, a map of another size, or a line outside the frames.
    """
    if _is_image(path):
        notes = Notes(os.fspath(path))
        file = open_image(path, notes)
        if file.shape != (1, *shape):
            fail(
                path,
                "defect map",
                f"{file.shape[0]} x {file.shape[1]} x {file.shape[2]}",
                f"1 x {shape[0]} x {shape[1]}, as the frames",
                "give the map of this detector",
            )
        found: npt.NDArray[np.bool_] = np.asarray(file.load(notes)[0]) != 0
        return found
    bad = np.zeros(shape, bool)
    for number, line in enumerate(split_lines(read_text(path, "a list of defects")), 1):
        words = line.split("#", 1)[0].replace(",", " ").split()
        if words:
            x, y, width, height = _rectangle(path, number, words)
            if x + width > shape[1] or y + height > shape[0]:
                fail(
                    path,
                    f"defects, line {number}",
                    " ".join(words),
                    f"within {shape[1]} columns and {shape[0]} rows",
                    "give the list of this detector",
                )
            bad[y : y + height, x : x + width] = True
    return bad


def _is_image(path: str | os.PathLike[str]) -> bool:
    opened = look(path, "a defect map or list")
    return opened.kind in _IMAGE_KINDS or b"\0" in opened.head


def _rectangle(path: str | os.PathLike[str], number: int, words: list[str]) -> list[int]:
    try:
        values = [int(word) for word in words]
    except ValueError:
        values = []
    if len(values) == 2:
        values += [1, 1]
    if len(values) != 4 or min(values[:2]) < 0 or min(values[2:]) < 1:
        fail(
            path,
            f"defects, line {number}",
            " ".join(words)[:40],
            "column row [width height], whole numbers from 0",
            "mend that line",
        )
    return values
