# SPDX-License-Identifier: BSD-3-Clause
"""The first look at a path: is it a regular file, may it be read, what do its first bytes say?"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError
from .findings import fail

__all__ = ["Opened", "look", "suffix_of"]

# Long enough for every signature below, short enough to be free.
_HEAD = 1024

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"version https://git-lfs", "a Git LFS pointer, not the data itself"),
    (b"\x89PNG\r\n\x1a\n", "a PNG picture"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\xff\xd8\xff", "a JPEG picture"),
    (b"%PDF", "a PDF document"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    (b"\xfd7zXZ\x00", "xz-compressed data"),
    (b"\x28\xb5\x2f\xfd", "zstd-compressed data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"II\x97\x01", "a file of FEI's TIA"),
    (b"\x93NUMPY", "a NumPy .npy file"),
    (b"\x1f\x8b\x08", "gzip"),
    (b"BZh", "bzip2"),
)
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ADVICE = {
    "a Git LFS pointer, not the data itself": "fetch the data with 'git lfs pull'",
    "an HTML page": "download the file again; a web page was saved under its name",
    "a zip archive": "unpack it first",
    "a 7z archive": "unpack it first",
    "xz-compressed data": "decompress it first",
    "zstd-compressed data": "decompress it first",
}


def suffix_of(path: str | os.PathLike[str], known: Sequence[str]) -> str:
    """Return the suffix of a name in small letters; one that says no form of ours is refused."""
    suffix = Path(path).suffix.lower()
    if suffix not in known:
        listed = " or ".join([", ".join(known[:-1]), known[-1]] if len(known) > 1 else known)
        raise InputError(f"path: found suffix {suffix!r} in {os.fspath(path)}, expected {listed}")
    return suffix


@dataclass(frozen=True)
class Opened:
    """A regular, readable, non-empty file.

    Attributes
    ----------
    path : str
        As given.
    size : int [bytes]
        Size on disk, compressed or not.
    kind : str
        "raw" (MRC and anything unknown), "tiff", "gzip" or "bzip2".
    head : bytes
        The first 1024 bytes, or fewer.
    """

    path: str
    size: int
    kind: str
    head: bytes


def look(path: str | os.PathLike[str], what: str = "an MRC or TIFF file") -> Opened:
    """Open ``path`` without ever blocking and say what it is; refuse all that cannot be ``what``.

    Raises
    ------
    FileFormatError
        Missing, not permitted, a folder, FIFO, socket or device, empty, or of a type that is told
        by name.
    """
    name = os.fspath(path)
    status = _stat(name)
    _require_regular(name, status.st_mode)
    if status.st_size == 0:
        fail(name, "file size", "0 bytes (an empty file)", what, "copy or record the file again")
    try:
        with open(name, "rb") as file:
            head = file.read(_HEAD)
    except OSError as error:
        fail(name, "file", error.strerror or error, "a readable file", "check its permissions")
    return Opened(name, status.st_size, _kind(name, head, status.st_size, what), head)


def _stat(name: str) -> os.stat_result:
    try:
        return os.stat(name)
    except FileNotFoundError:
        fail(name, "file", "no such file", "an existing file", "check the name and the folder")
    except (OSError, ValueError) as error:  # ValueError: NUL in the name
        reason = getattr(error, "strerror", None) or str(error)
        fail(name[:200], "file", reason, "a readable file", "check the name and the permissions")


def _require_regular(name: str, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    kinds = (
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a FIFO (named pipe)"),
        (stat.S_ISCHR, "a character device"),
        (stat.S_ISBLK, "a block device"),
        (stat.S_ISSOCK, "a socket"),
    )
    found = next((text for test, text in kinds if test(mode)), "a special file")
    fail(name, "file type", found, "a regular file", "give the name of a file on disk")


def _is_digital_micrograph(head: bytes, size: int) -> bool:
    """Version 3 or 4, the length of what follows, the byte order: no MRC has such sizes.

    A big-endian MRC that is 3 px wide starts with the same four bytes; there the length field
    would be its height, and the file far too short for it.
    """
    width = {b"\0\0\0\3": 4, b"\0\0\0\4": 8}.get(head[:4])
    if width is None:
        return False
    length = int.from_bytes(head[4 : 4 + width], "big")
    flag = int.from_bytes(head[4 + width : 8 + width], "big")
    return flag in (0, 1) and 0 <= size - length <= 64


def _kind(name: str, head: bytes, size: int, what: str) -> str:
    if head.startswith(_TIFF):
        return "tiff"
    text = head[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"<?xml") and "XML" in what:
        return "raw"
    if text.startswith((b"<!doctype html", b"<html", b"<?xml", b"<head")):
        found = "an XML file" if text.startswith(b"<?xml") else "an HTML page"
        fail(name, "file type", found, what, _ADVICE.get(found, "give the image file itself"))
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            if found in ("gzip", "bzip2"):
                return found
            fail(name, "file type", found, what, _ADVICE.get(found, "convert it first"))
    if _is_digital_micrograph(head, size):
        fail(name, "file type", "a DigitalMicrograph file", what, "save it as MRC or TIFF first")
    return "raw"
