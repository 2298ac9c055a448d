# SPDX-License-Identifier: BSD-3-Clause
"""MRC files, plain, gzip or bzip2: header first, data memory-mapped where the format allows.

Decoded at once, into memory: compressed files and packed 4-bit pixels. Everything else stays on
disk.
"""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from .._stored import StoredArray
from ..limits import fits_addresses
from .findings import Notes, fail
from .mrc_extended import Extended, parse_extended
from .mrc_header import HEADER_BYTES, MrcHeader, check_size, parse_header
from .opening import Opened

__all__ = ["MrcFile", "plain", "read_data", "read_head", "unpack"]

_CHUNK = 1 << 20
# A consistent header over a compressed run of zeros is how a bomb looks; recorded images compress
# 1-10 times.
_BOMB_RATIO = 200
_BOMB_FREE = 64 << 20


@dataclass(frozen=True)
class MrcFile:
    """A checked header with its extended facts; no pixel has been read yet."""

    opened: Opened
    header: MrcHeader
    extended: Extended | None


def read_head(opened: Opened, notes: Notes) -> MrcFile:
    """Read and check both headers, and that the file can hold the data they promise."""
    if opened.kind in ("gzip", "bzip2"):
        with _decompressor(opened) as stream:
            head = _take(opened, stream, HEADER_BYTES)
            _require_image_bytes(opened, head)
            header = parse_header(bytes(head), notes, None)
            _refuse_bomb(opened, header)
            extended = bytes(_take(opened, stream, header.extended_bytes))
    else:
        header = parse_header(opened.head, notes, opened.size)
        with open(opened.path, "rb") as file:
            file.seek(HEADER_BYTES)
            extended = file.read(header.extended_bytes)
    return MrcFile(opened, header, parse_extended(extended, header, notes))


def read_data(mrc: MrcFile, notes: Notes) -> npt.NDArray[Any]:
    """Return the data block as (z, y, x), whatever axis order the file has.

    A read-only memory map of the file, or an array in memory for compressed and packed files. Where the system limits
    the addresses of the process and a map would take too many, what is returned reads the file when it is indexed.
    """
    header = mrc.header
    nz, ny, nx = header.shape
    stored_shape = (nz, ny, header.row_bytes) if header.packed else header.shape
    stored: npt.NDArray[Any]
    if mrc.opened.kind in ("gzip", "bzip2"):
        stored = _decompress(mrc, notes).view(header.dtype).reshape(stored_shape)
    elif plain(mrc) and not fits_addresses(header.data_bytes):
        descriptor = os.open(mrc.opened.path, os.O_RDONLY)
        read = StoredArray(descriptor, header.shape, header.dtype, header.offset)
        return cast("npt.NDArray[Any]", read)
    else:
        stored = np.memmap(
            mrc.opened.path, header.dtype, mode="r", offset=header.offset, shape=stored_shape
        )
    if header.packed:
        stored = unpack(stored, nx)
    if header.axes == (0, 1, 2):
        return stored
    notes.facts["axes"] = (
        f"stored with mapc, mapr, maps = {tuple(a + 1 for a in header.axes)}; turned to (z, y, x)"
    )
    # Stored axes from slowest to fastest run along maps, mapr, mapc; z, y, x are 2, 1, 0.
    slow_to_fast = header.axes[::-1]
    return np.transpose(stored, [slow_to_fast.index(a) for a in (2, 1, 0)])


def plain(mrc: MrcFile) -> bool:
    """Whether slices lie in the file one after the other as they are read."""
    header = mrc.header
    return mrc.opened.kind == "raw" and not header.packed and header.axes == (0, 1, 2)


def unpack(stored: npt.NDArray[Any], nx: int) -> npt.NDArray[np.uint8]:
    """Return (n, ny, nx) from rows of 4-bit pixels, two in each byte, the first in the low half."""
    out = np.empty((*stored.shape[:2], nx), np.uint8)
    out[..., 0::2] = (stored & 15)[..., : (nx + 1) // 2]
    out[..., 1::2] = (stored >> 4)[..., : nx // 2]
    return out


def _decompressor(opened: Opened) -> gzip.GzipFile | bz2.BZ2File:
    return gzip.open(opened.path, "rb") if opened.kind == "gzip" else bz2.open(opened.path, "rb")


def _take(opened: Opened, stream: gzip.GzipFile | bz2.BZ2File, count: int) -> bytearray:
    """Read up to ``count`` bytes; memory grows with what comes, not with what a header promises."""
    taken = bytearray()
    try:
        while len(taken) < count and (part := stream.read(min(_CHUNK, count - len(taken)))):
            taken += part
    except (EOFError, OSError, zlib.error) as error:
        fail(
            opened.path,
            f"{opened.kind} stream",
            f"damaged or cut off after {len(taken)} bytes ({error})",
            "a whole compressed file",
            "copy the file again",
        )
    return taken


def _require_image_bytes(opened: Opened, head: bytearray) -> None:
    if not head:
        fail(
            opened.path,
            f"{opened.kind} stream",
            "0 bytes inside",
            "an MRC file",
            "compress it again",
        )


def _refuse_bomb(opened: Opened, header: MrcHeader) -> None:
    need = header.offset + header.data_bytes
    limit = _BOMB_FREE + _BOMB_RATIO * opened.size
    if need > limit:
        fail(
            opened.path,
            "size after decompression",
            f"{need} bytes by its header, from {opened.size} compressed",
            f"at most {limit} bytes",
            "decompress it yourself if you trust it",
        )


def _decompress(mrc: MrcFile, notes: Notes) -> npt.NDArray[np.uint8]:
    """The data block of a compressed file as bytes."""
    opened, header = mrc.opened, mrc.header
    with _decompressor(opened) as stream:
        _take(opened, stream, header.offset)
        data = _take(opened, stream, header.data_bytes)
        rest = len(_take(opened, stream, _CHUNK)) if len(data) == header.data_bytes else 0
    check_size(header, notes, header.offset + len(data) + rest)
    out = np.frombuffer(data, np.uint8)
    out.flags.writeable = False  # as a memory map is, so that no caller depends on the compression
    return out
