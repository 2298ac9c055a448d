# SPDX-License-Identifier: BSD-3-Clause
"""The directories of a TIFF file: size, type and place of every page, checked against the file.

Walked here and not by a library, because a directory that points back at itself, pages of another
size and data beyond the end of the file must each be told by name. Source: TIFF 6.0 (1992) and
BigTIFF.
"""

from __future__ import annotations

import os
import re
import struct
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from ..errors import ConfigError
from ..units import parse_length
from .findings import fail

__all__ = ["Page", "tiff_pages"]

_MAX_PAGES = 100_000
_MAX_VALUES = 1 << 22  # strips of one page: a row each of an image four million rows high
_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 11: "f", 12: "d", 13: "I", 16: "Q"}
_WHOLE_TYPES = (1, 3, 4, 13, 16)
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_DESCRIPTION, _STRIPS, _SAMPLES, _STRIP_BYTES = 270, 273, 277, 279
_X_RESOLUTION, _FORMAT, _TILES, _TILE_BYTES = 282, 339, 324, 325
_WANTED = (
    _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _DESCRIPTION, _STRIPS, _SAMPLES,
    _STRIP_BYTES, _X_RESOLUTION, _FORMAT, _TILES, _TILE_BYTES,
)  # fmt: skip
_DTYPES = {
    (1, 8): "u1", (1, 16): "u2", (1, 32): "u4", (2, 8): "i1", (2, 16): "i2", (2, 32): "i4",
    (3, 16): "f2", (3, 32): "f4", (3, 64): "f8",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Page:
    """One page of a TIFF.

    Attributes
    ----------
    shape : (ny, nx)
    dtype : numpy dtype in the file's byte order
    offset : int or None [bytes]
        Start of the pixels when they lie uncompressed in one piece.
    compressed : bool
    pixel_size : float or None [angstrom]
        From ImageJ's unit and XResolution.
    declared_images : int
        ImageJ writes stacks beyond 4 GB as one page and says in its description how many images
        follow.
    """

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    offset: int | None
    compressed: bool
    white_is_zero: bool
    pixel_size: float | None
    declared_images: int

    @property
    def nbytes(self) -> int:
        """Bytes of the page's pixels."""
        return self.shape[0] * self.shape[1] * self.dtype.itemsize


class _Reader:
    """Reads numbers at places of a file, refusing places outside it."""

    def __init__(self, path: str, file: IO[bytes], size: int) -> None:
        self.path, self.file, self.size = path, file, size
        head = self.bytes_at(0, min(16, size), "header")
        self.order = "<" if head[:2] == b"II" else ">"
        self.big = head[2:4] in (b"+\0", b"\0+")
        if len(head) < (16 if self.big else 8):
            fail(
                path,
                "TIFF header",
                f"{len(head)} bytes",
                "a whole TIFF header",
                "the file is truncated",
            )
        self.first = self.unpack("Q", head[8:16]) if self.big else self.unpack("I", head[4:8])

    def bytes_at(self, at: int, count: int, what: str) -> bytes:
        if at < 0 or count < 0 or at + count > self.size:
            fail(
                self.path,
                f"TIFF {what}",
                f"bytes {at} to {at + count}",
                f"inside the {self.size} bytes of the file",
                "the file is truncated or damaged; save it again",
            )
        self.file.seek(at)
        return self.file.read(count)

    def unpack(self, code: str, raw: bytes) -> Any:
        return struct.unpack(self.order + code, raw)[0]

    def directory(self, at: int) -> tuple[dict[int, Any], int]:
        """The wanted tags of the directory at ``at`` and the place of the next one."""
        count_code, entry_size, word = ("Q", 20, 8) if self.big else ("H", 12, 4)
        width = struct.calcsize("<" + count_code)
        count = self.unpack(count_code, self.bytes_at(at, width, "directory"))
        raw = self.bytes_at(at + width, count * entry_size + word, "directory")
        tags: dict[int, Any] = {}
        for i in range(count):
            entry = raw[i * entry_size : (i + 1) * entry_size]
            tag = self.unpack("H", entry[:2])
            if tag in _WANTED:
                tags[tag] = self._value(tag, entry, word)
        following = self.unpack("Q" if self.big else "I", raw[count * entry_size :])
        return tags, int(following)

    def _value(self, tag: int, entry: bytes, word: int) -> Any:
        kind = self.unpack("H", entry[2:4])
        count = self.unpack("Q" if self.big else "I", entry[4 : 4 + word])
        code = _TYPES.get(kind)
        whole = tag not in (_DESCRIPTION, _X_RESOLUTION)
        if code is None or count > _MAX_VALUES or (whole and kind not in _WHOLE_TYPES):
            fail(
                self.path,
                f"TIFF tag {tag}",
                f"{count} values of type {kind}",
                "a known type and count",
                "the file is damaged; save it again",
            )
        size = count * struct.calcsize("<" + code)
        raw = entry[4 + word : 4 + word + size]
        if size > word:
            where = self.unpack("Q" if self.big else "I", entry[4 + word :])
            raw = self.bytes_at(where, size, f"tag {tag}")
        if code == "s":
            return raw.decode("latin-1").rstrip("\0")
        return struct.unpack(self.order + code * count, raw)


def tiff_pages(path: str) -> list[Page]:
    """Return all pages of a TIFF file without reading a pixel.

    Raises
    ------
    FileFormatError
        No page, a loop of directories, places outside the file, colour or unusual pixels.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        reader = _Reader(path, file, size)
        seen: set[int] = set()
        pages: list[Page] = []
        at = int(reader.first)
        while at:
            if at in seen or len(pages) >= _MAX_PAGES:
                fail(
                    path,
                    "TIFF directories",
                    f"page {len(pages)} leads back to an earlier one",
                    "a list that ends",
                    "the file is damaged; save it again",
                )
            seen.add(at)
            tags, at = reader.directory(at)
            pages.append(_page(reader, len(pages), tags))
    if not pages:
        fail(
            path,
            "TIFF pages",
            "none (a header only)",
            "at least one page",
            "save or copy the file again",
        )
    return pages


def _one(tags: dict[int, Any], tag: int, default: int) -> int:
    value = tags.get(tag, (default,))
    return int(value[0]) if value else default


def _page(reader: _Reader, index: int, tags: dict[int, Any]) -> Page:
    path, size, order = reader.path, reader.size, reader.order
    ny, nx = _one(tags, _HEIGHT, 0), _one(tags, _WIDTH, 0)
    if ny <= 0 or nx <= 0:
        fail(
            path,
            f"TIFF page {index}",
            f"{nx} x {ny} px",
            "a width and height of at least 1",
            "save the file again",
        )
    if _one(tags, _SAMPLES, 1) != 1 or _one(tags, _PHOTOMETRIC, 1) in (2, 3, 5, 6, 8):
        fail(
            path,
            f"TIFF page {index}",
            "colour",
            "one grey value per pixel",
            "convert it to greyscale first",
        )
    kind = (_one(tags, _FORMAT, 1), _one(tags, _BITS, 1))
    if kind not in _DTYPES:
        fail(
            path,
            f"TIFF page {index}",
            f"{kind[1]} bits of sample format {kind[0]}",
            "8, 16 or 32-bit integers or 16, 32 or 64-bit reals",
            "convert it first",
        )
    dtype = np.dtype(order + _DTYPES[kind])
    compressed = _one(tags, _COMPRESSION, 1) != 1
    places = tags.get(_STRIPS, ()) or tags.get(_TILES, ())
    counts = tags.get(_STRIP_BYTES, ()) or tags.get(_TILE_BYTES, ())
    need = ny * nx * dtype.itemsize
    _check_places(path, index, places, counts, size, 0 if compressed else need)
    whole = not compressed and _STRIPS in tags and _in_one_piece(places, counts)
    text = tags.get(_DESCRIPTION, "")
    text = text if isinstance(text, str) else ""
    return Page(
        shape=(ny, nx),
        dtype=dtype,
        offset=int(places[0]) if whole else None,
        compressed=compressed,
        white_is_zero=_one(tags, _PHOTOMETRIC, 1) == 0,
        pixel_size=_imagej_pixel(text, tags.get(_X_RESOLUTION, ())),
        declared_images=_imagej_images(text),
    )


def _check_places(path: str, index: int, places: Any, counts: Any, size: int, need: int) -> None:
    if not places or len(places) != len(counts):
        fail(
            path,
            f"TIFF page {index}",
            f"{len(places)} strips with {len(counts)} lengths",
            "the place and length of each strip",
            "the file is damaged; save it again",
        )
    end = max(int(p) + int(c) for p, c in zip(places, counts, strict=True))
    if end > size:
        fail(
            path,
            f"TIFF page {index}",
            f"pixels up to byte {end}",
            f"inside the {size} bytes of the file",
            "the file is truncated; copy it again",
        )
    have = sum(int(c) for c in counts)
    if have < need:
        fail(
            path,
            f"TIFF page {index}",
            f"{have} bytes of pixels",
            f"{need} bytes",
            "the file is damaged; save it again",
        )


def _in_one_piece(places: Any, counts: Any) -> bool:
    return all(places[i] + counts[i] == places[i + 1] for i in range(len(places) - 1))


def _imagej_images(text: str) -> int:
    match = (
        re.search(r"^images=(\d{1,9})\s*$", text, re.MULTILINE)
        if text.startswith("ImageJ=")
        else None
    )
    return int(match.group(1)) if match else 1


def _imagej_pixel(text: str, resolution: Any) -> float | None:
    """XResolution is pixels per unit; only ImageJ says which unit (dots per inch tell nothing)."""
    match = (
        re.search(r"^unit=(\S+)\s*$", text, re.MULTILINE) if text.startswith("ImageJ=") else None
    )
    if match is None or len(resolution) < 2 or not resolution[0] or not resolution[1]:
        return None
    unit = match.group(1).replace("\\u00B5", "µ").replace("micron", "um")
    try:
        return float(f"{parse_length(f'{resolution[1] / resolution[0]!r} {unit}'):.9g}")
    except ConfigError:  # pixels, inches or a unit of no length
        return None
