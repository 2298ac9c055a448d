# SPDX-License-Identifier: BSD-3-Clause
"""One image file, MRC or TIFF by its content: headers checked first, pixels only when asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from .findings import Notes
from .mrc_read import MrcFile, read_data, read_head
from .opening import Opened, look
from .tiff import TiffHead, read_tiff_data, read_tiff_head

__all__ = ["ImageFile", "open_image"]


@dataclass(frozen=True)
class ImageFile:
    """A file whose headers have been read and checked against its size; no pixel has been read.

    Exactly one of ``mrc`` and ``tiff`` is set.
    """

    opened: Opened
    mrc: MrcFile | None
    tiff: TiffHead | None

    @property
    def format(self) -> str:
        """For people: "MRC", "MRC (gzip)", "TIFF"."""
        if self.mrc is None:
            return "TIFF"
        return "MRC" if self.opened.kind == "raw" else f"MRC ({self.opened.kind})"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(z, y, x), whatever axis order the file has."""
        if self.tiff is not None:
            return self.tiff.shape
        assert self.mrc is not None
        header = self.mrc.header
        sizes = dict(zip(header.axes, header.shape[::-1], strict=True))
        return sizes[2], sizes[1], sizes[0]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stored values."""
        if self.tiff is not None:
            return self.tiff.dtype
        assert self.mrc is not None
        return self.mrc.header.dtype

    @property
    def pixel_size(self) -> float | None:
        """Of the headers alone, the nearer one first [angstrom]."""
        if self.tiff is not None:
            return self.tiff.pixel_size
        assert self.mrc is not None
        extended, voxel = self.mrc.extended, self.mrc.header.voxel
        if extended is not None and extended.pixel_size is not None:
            return extended.pixel_size
        return voxel[0] if voxel else None

    def load(self, notes: Notes) -> npt.NDArray[Any]:
        """Return the pixels (z, y, x), memory-mapped read-only where the format allows."""
        if self.tiff is not None:
            return read_tiff_data(self.tiff)
        assert self.mrc is not None
        return read_data(self.mrc, notes)


def open_image(path: str | os.PathLike[str], notes: Notes) -> ImageFile:
    """Look at a file and read its headers.

    Raises
    ------
    FileFormatError
        It is no regular readable file, no MRC or TIFF, or its headers do not fit the file.
    """
    opened = look(path)
    if opened.kind == "tiff":
        return ImageFile(opened, None, read_tiff_head(opened.path, opened.size, notes))
    return ImageFile(opened, read_head(opened, notes), None)
