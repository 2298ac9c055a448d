# SPDX-License-Identifier: BSD-3-Clause
"""MRC files that must be refused: each with one error that names file, field, found and expected."""

from __future__ import annotations

import bz2
import gzip
import struct
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from make_files import fei_2003, fei_new, images, mrc, serialem, write

from cryolith.errors import FileFormatError
from cryolith.files import check, read_tilt_series, read_volume

GOOD = mrc(images())
ANGLES = [-10.0, 0.0, 10.0]


def edited(**fields: object) -> Callable[[], bytes]:
    return lambda: mrc(images(), **fields)


def raw(content: bytes) -> Callable[[], bytes]:
    return lambda: content


def lying_gzip() -> bytes:
    """A gzip of a header that promises 4 GB, consistent with what a bomb would hold."""
    return gzip.compress(mrc(images(), nx=65536, ny=65536, nz=1), mtime=0)


def dm3() -> bytes:
    body = b"\0\0\0\1" + b"x" * 5000
    return b"\0\0\0\3" + struct.pack(">I", len(body) - 4) + body


def dm4() -> bytes:
    body = b"\0\0\0\1" + b"x" * 5000
    return b"\0\0\0\4" + struct.pack(">Q", len(body) - 4) + body


# name, content, words that the message must hold
CASES: list[tuple[str, Callable[[], bytes], tuple[str, ...]]] = [
    ("empty", raw(b""), ("file size", "0 bytes", "empty")),
    ("one byte", raw(b"\0"), ("header", "1 bytes", "1024")),
    ("header cut", raw(GOOD[:1023]), ("header", "1023 bytes", "1024")),
    ("header only", raw(GOOD[:1024]), ("file size", "header without data", "1204 bytes")),
    ("one byte short", raw(GOOD[:-1]), ("file size", "1203 bytes", "2 of 3 sections")),
    ("half a section", raw(GOOD[:1054]), ("file size", "0 of 3 sections", "truncated")),
    ("nz too large", edited(nz=4), ("file size", "1264 bytes", "4 x 5 x 12")),
    ("nx too large", edited(nx=7), ("file size", "1234 bytes")),
    ("nx negative", edited(nx=-6), ("nx", "-6", "at least 1")),
    ("ny negative", edited(ny=-5), ("ny", "-5", "at least 1")),
    ("nz negative", edited(nz=-3), ("nz", "-3", "at least 1")),
    ("nx zero", edited(nx=0), ("nx", "found 0", "at least 1")),
    ("ny zero", edited(ny=0), ("ny", "found 0", "at least 1")),
    ("nz zero", edited(nz=0), ("nz", "found 0", "at least 1")),
    ("nx largest int32", edited(nx=2**31 - 1), ("file size", "found 1204 bytes")),
    ("product beyond int32", edited(nx=65536, ny=65536, nz=1), ("file size", "8589935616")),
    (
        "product beyond int64",
        edited(nx=2**31 - 1, ny=2**31 - 1, nz=2**31 - 1),
        ("file size", "found 1204 bytes", str(2 * (2**31 - 1) ** 3 + 1024)),
    ),
    ("product wraps to the right size", edited(nx=2**16, ny=2**16, nz=2**16), ("file size",)),
    ("mode 3", edited(mode=3), ("mode", "complex int16", "convert")),
    ("mode 4", edited(mode=4), ("mode", "complex float32", "convert")),
    ("mode 16", edited(mode=16), ("mode", "RGB", "convert")),
    ("mode 5", edited(mode=5), ("mode", "found 5", "[0, 1, 2, 6, 12, 101]")),
    ("mode 7", edited(mode=7), ("mode", "found 7")),
    ("mode -1", edited(mode=-1), ("mode", "found -1")),
    ("mode 1000000", edited(mode=1000000), ("mode", "1000000")),
    ("mode claims 4 bytes", edited(mode=2), ("file size", "3 x 5 x 24")),
    ("nsymbt negative", edited(nsymbt=-1), ("nsymbt", "-1", "at least 0")),
    ("nsymbt most negative", edited(nsymbt=-(2**31)), ("nsymbt", "-2147483648")),
    ("nsymbt 2^31-1", edited(nsymbt=2**31 - 1), ("file size", "2147483647", "header without data")),
    ("nsymbt beyond the file", edited(nsymbt=181), ("file size", "header without data")),
    ("nsymbt eats the data", edited(nsymbt=100), ("file size", "1 of 3 sections")),
    ("axes 1 1 3", edited(mapr=1), ("mapc, mapr, maps", "1, 1, 3", "permutation")),
    ("axes 0 1 2", edited(mapc=0, mapr=1, maps=2), ("mapc, mapr, maps", "0, 1, 2")),
    ("axes 4 5 6", edited(mapc=4, mapr=5, maps=6), ("mapc, mapr, maps", "4, 5, 6")),
    ("axes negative", edited(mapr=-2), ("mapc, mapr, maps", "1, -2, 3")),
    ("big-endian, truncated", raw(mrc(images(), order=">")[:-2]), ("file size", "2 of 3")),
    ("big-endian, nz negative", raw(mrc(images(), order=">", nz=-1)), ("nz", "-1")),
    ("packed, truncated", raw(mrc(images("u1"), mode=101, nx=14)), ("file size", "3 x 5 x 7")),
    ("HTML", raw(b"<!DOCTYPE html><html><body>404</body></html>"), ("file type", "HTML page")),
    ("HTML, capitals and blanks", raw(b"\n\n  <HTML>" + b" " * 4000), ("file type", "HTML page")),
    ("HTML, byte-order mark", raw(b"\xef\xbb\xbf<html>"), ("file type", "HTML page", "download")),
    ("XML", raw(b'<?xml version="1.0"?><a/>'), ("file type", "XML file")),
    (
        "Git LFS pointer",
        raw(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 10224640\n"),
        ("file type", "Git LFS pointer", "git lfs pull"),
    ),
    ("PNG", raw(b"\x89PNG\r\n\x1a\n" + b"\0" * 3000), ("file type", "PNG")),
    ("JPEG", raw(b"\xff\xd8\xff\xe0" + b"\0" * 3000), ("file type", "JPEG")),
    ("PDF", raw(b"%PDF-1.7" + b"\0" * 3000), ("file type", "PDF")),
    ("zip", raw(b"PK\x03\x04" + b"\0" * 3000), ("file type", "zip", "unpack")),
    ("7z", raw(b"7z\xbc\xaf\x27\x1c" + b"\0" * 3000), ("file type", "7z", "unpack")),
    ("xz", raw(b"\xfd7zXZ\0" + b"\0" * 3000), ("file type", "xz", "decompress")),
    ("zstd", raw(b"\x28\xb5\x2f\xfd" + b"\0" * 3000), ("file type", "zstd", "decompress")),
    ("HDF5", raw(b"\x89HDF\r\n\x1a\n" + b"\0" * 3000), ("file type", "HDF5")),
    ("NumPy", raw(b"\x93NUMPY\x01\0" + b"\0" * 3000), ("file type", "NumPy")),
    ("TIA", raw(b"II\x97\x01" + b"\0" * 3000), ("file type", "TIA")),
    ("DM3", dm3, ("file type", "DigitalMicrograph")),
    ("DM4", dm4, ("file type", "DigitalMicrograph")),
    ("plain text", raw(b"these are not the data you look for\n" * 90), ("header", "no MRC file")),
    ("zeros", raw(b"\0" * 4096), ("header", "no 'MAP' id")),
    ("all ones", raw(b"\xff" * 4096), ("header", "no 'MAP' id")),
    (
        "random bytes",
        raw(np.random.default_rng(7).bytes(5000)),
        ("header", "no 'MAP' id", "no MRC file"),
    ),
    ("gzip of HTML", raw(gzip.compress(b"<html></html>")), ("header", "13 bytes", "1024")),
    ("gzip of text", raw(gzip.compress(b"no data here " * 200)), ("header", "no 'MAP' id")),
    ("gzip of nothing", raw(gzip.compress(b"")), ("gzip stream", "0 bytes inside")),
    ("gzip cut in the header", raw(gzip.compress(GOOD)[:40]), ("gzip stream", "cut off")),
    ("gzip cut at the end", raw(gzip.compress(GOOD)[:-9]), ("gzip stream", "cut off")),
    ("gzip cut to its magic", raw(b"\x1f\x8b\x08"), ("gzip stream", "cut off")),
    ("gzip of a truncated MRC", raw(gzip.compress(GOOD[:-1])), ("file size", "2 of 3 sections")),
    ("gzip of a header", raw(gzip.compress(GOOD[:1024])), ("file size", "header without data")),
    ("gzip that promises 8 GB", lying_gzip, ("size after decompression", "8589935616")),
    ("bzip2 cut", raw(bz2.compress(GOOD)[:-9]), ("bzip2 stream", "cut off")),
    ("bzip2 damaged", raw(bz2.compress(GOOD)[:20] + b"\0" * 200), ("bzip2 stream", "damaged")),
    ("bzip2 of a truncated MRC", raw(bz2.compress(GOOD[:-1])), ("file size", "2 of 3")),
]


@pytest.mark.parametrize(("name", "build", "words"), CASES, ids=[c[0] for c in CASES])
def test_bad_mrc_is_one_error(
    tmp_path: Path, name: str, build: Callable[[], bytes], words: tuple[str, ...]
) -> None:
    path = write(tmp_path / "bad.mrc", build())
    for read in (lambda: read_tilt_series(path, ANGLES), lambda: read_volume(path)):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            with pytest.raises(FileFormatError) as caught:
                read()
        message = str(caught.value)
        assert message.startswith(f"{path}: ")
        assert "found " in message
        assert ", expected " in message
        assert "; " in message
        for word in words:
            assert word in message
        assert told == []  # one error and nothing beside it
    assert [f.level for f in check(path, ANGLES)][:1] == ["error"]


@pytest.mark.parametrize("kind", ["plain", "big-endian", "gzip"])
def test_truncation_at_every_64_bytes_is_an_error(tmp_path: Path, kind: str) -> None:
    data = images(shape=(3, 12, 14))
    whole = mrc(data, order=">" if kind == "big-endian" else "<")
    path = tmp_path / "cut.mrc"
    for length in [*range(0, len(whole), 64), len(whole) - 1]:
        piece = whole[:length]
        write(path, gzip.compress(piece, mtime=0) if kind == "gzip" else piece)
        with pytest.raises(FileFormatError, match=r"found .*, expected .*; "):
            read_tilt_series(path, ANGLES)
    write(path, whole)
    assert np.array_equal(read_tilt_series(path, ANGLES).images, data)


KINDS = {
    "plain": GOOD,
    "FEI 2003": mrc(images(), ext=fei_2003(ANGLES)[: 128 * 3], nlabl=1, label=b"Fei Company"),
    "FEI1": mrc(images(), ext=fei_new("FEI1", ANGLES, dose=1.0, pixel=1e-9), exttyp=b"FEI1"),
    "SERI": mrc(images(), ext=serialem(ANGLES)[0], **serialem(ANGLES)[1]),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(5))
def test_damaged_headers_never_crash(tmp_path: Path, seed: int, kind: str) -> None:
    """Flip bytes at random: every outcome is a clean error or an array of the size of the file."""
    rng = np.random.default_rng(seed)
    path, whole = tmp_path / "flipped.mrc", KINDS[kind]
    for _ in range(40):
        content = bytearray(whole)
        for at in rng.integers(0, 224 if rng.random() < 0.5 else len(whole), 4):
            content[at] = rng.integers(0, 256)
        write(path, bytes(content))
        for read in (lambda: read_volume(path).data, lambda: read_tilt_series(path).images):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    data = np.asarray(read())
                except FileFormatError:
                    continue
            assert data.size <= 2 * len(whole)
            np.nansum(data, dtype=np.float64)
