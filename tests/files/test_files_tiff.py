# SPDX-License-Identifier: BSD-3-Clause
"""TIFF stacks, good, odd and bad."""

from __future__ import annotations

import struct
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from make_files import images, tiff, write

from cryolith.errors import CryolithWarning, FileFormatError
from cryolith.files import check, info, read_tilt_series, read_volume

ANGLES = [-10.0, 0.0, 10.0]


def pages(dtype: str = "u2") -> list[np.ndarray]:
    return list(images(dtype))


def patched(**options: Any) -> Callable[[], bytes]:
    return lambda: tiff(pages(), **options)


def with_tag(tag: int, kind: int, count: int, value: int, page: int = 0) -> Callable[[], bytes]:
    return patched(override={page: {tag: (kind, count, value)}})


GOOD = tiff(pages())
CASES: list[tuple[str, Callable[[], bytes], tuple[str, ...]]] = [
    ("4 bytes", lambda: b"II*\0", ("TIFF header", "4 bytes")),
    ("header only", lambda: b"II*\0\0\0\0\0", ("TIFF pages", "none (a header only)")),
    ("BigTIFF, 8 bytes", lambda: b"II+\0\x08\0\0\0", ("TIFF header", "8 bytes")),
    (
        "directory outside",
        lambda: b"II*\0" + struct.pack("<I", 10**6),
        ("directory", "inside the 8"),
    ),
    ("a loop of one", patched(next_of={0: 0}), ("directories", "leads back", "a list that ends")),
    ("a loop of three", patched(next_of={2: 0}), ("directories", "page 3 leads back")),
    ("a loop in the middle", patched(next_of={2: 1}), ("directories", "leads back")),
    (
        "last page smaller",
        lambda: tiff([*pages()[:2], pages()[2][:4]]),
        ("TIFF page 2", "6 x 4 px"),
    ),
    (
        "first page a preview",
        lambda: tiff([pages()[0][:2, :2], *pages()]),
        ("TIFF page 1", "2 x 2 px"),
    ),
    ("another type", lambda: tiff([*pages()[:2], images("f4")[2]]), ("TIFF page 2", "float32")),
    ("cut in the directories", lambda: GOOD[:-30], ("TIFF", "inside the", "truncated")),
    ("pixels beyond the end", with_tag(273, 4, 1, 10**6, 1), ("TIFF page 1", "1000060")),
    ("too few bytes", with_tag(279, 4, 1, 59), ("TIFF page 0", "59 bytes", "60 bytes")),
    ("width 0", with_tag(256, 4, 1, 0), ("TIFF page 0", "0 x 5 px")),
    ("width of 2^32 - 1", with_tag(256, 4, 1, 2**32 - 1), ("TIFF page 0", "60 bytes of pixels")),
    ("height of 2^32 - 1", with_tag(257, 4, 1, 2**32 - 1), ("TIFF page 0", "60 bytes of pixels")),
    ("colour", with_tag(277, 3, 1, 3), ("TIFF page 0", "colour")),
    ("palette", with_tag(262, 3, 1, 3), ("TIFF page 0", "colour")),
    ("1 bit", with_tag(258, 3, 1, 1), ("TIFF page 0", "1 bits")),
    ("12 bits", with_tag(258, 3, 1, 12), ("TIFF page 0", "12 bits")),
    ("complex", with_tag(339, 3, 1, 6), ("TIFF page 0", "sample format 6")),
    ("no strips", with_tag(273, 4, 0, 0), ("TIFF page 0", "0 strips with 1 lengths")),
    ("a billion strips", with_tag(273, 4, 10**9, 8), ("TIFF tag 273", "1000000000 values")),
    ("strips outside", with_tag(273, 4, 1000, 8), ("TIFF tag 273", "inside the")),
    ("unknown type of number", with_tag(256, 99, 1, 6), ("TIFF tag 256", "type 99")),
    ("reals for a width", with_tag(256, 11, 1, 0x7FC00000), ("TIFF tag 256", "type 11")),
    ("text for a width", with_tag(256, 2, 1, 65), ("TIFF tag 256", "type 2")),
    ("unknown compression", with_tag(259, 3, 1, 60000), ("TIFF data", "decoded", "uncompressed")),
    ("LZW of noise", with_tag(259, 3, 1, 5), ("TIFF data", "uncompressed")),
    ("deflate of noise", with_tag(259, 3, 1, 8), ("TIFF data",)),
]


@pytest.mark.parametrize(("name", "build", "words"), CASES, ids=[c[0] for c in CASES])
def test_bad_tiff_is_one_error(
    tmp_path: Path, name: str, build: Callable[[], bytes], words: tuple[str, ...]
) -> None:
    path = write(tmp_path / "bad.tif", build())
    for read in (lambda: read_tilt_series(path, ANGLES), lambda: read_volume(path)):
        with pytest.raises(FileFormatError) as caught:
            read()
        text = str(caught.value)
        assert text.startswith(f"{path}: ")
        assert all(word in text for word in ("found ", "expected ", *words)), text
    assert check(path, ANGLES)[0].level == "error"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    size = {256: (4, 1, 2**20), 257: (4, 1, 2**20), 259: (3, 1, 8)}
    path = write(tmp_path / "a.tif", tiff(pages()[:1], override={0: size}))
    with pytest.raises(
        FileFormatError, match="size after decompression: found 2199023255552 bytes"
    ):
        read_volume(path)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_plain_pages_are_mapped(tmp_path: Path, dtype: str, order: str) -> None:
    data = images(dtype)
    for gaps in ((), (7, 7, 7), (0, 3, 0)):
        path = write(tmp_path / "a.tif", tiff(list(data), order, gaps))
        got = read_volume(path).data
        assert np.array_equal(got, data)
        assert got.dtype.newbyteorder("=") == data.dtype
        mapped = gaps != (0, 3, 0)
        assert isinstance(got.base, np.memmap) == mapped
        assert got.flags.writeable != mapped


WRITERS: list[tuple[str, dict[str, Any]]] = [
    ("contiguous", {}),
    ("BigTIFF", {"bigtiff": True}),
    ("zlib", {"compression": "zlib"}),
    ("lzw", {"compression": "lzw"}),
    ("lzw, predictor", {"compression": "lzw", "predictor": 2}),
    ("zlib, predictor", {"compression": "zlib", "predictor": 2}),
    ("strips", {"rowsperstrip": 2}),
    ("tiles", {"tile": (16, 16)}),
    ("ImageJ", {"imagej": True, "resolution": (1 / 3.36, 1 / 3.36), "metadata": {"unit": "nm"}}),
    ("big-endian", {"byteorder": ">"}),
    ("OME", {"ome": True}),
]


@pytest.mark.parametrize(("name", "options"), WRITERS, ids=[w[0] for w in WRITERS])
def test_tiffs_of_another_writer(tmp_path: Path, name: str, options: dict[str, Any]) -> None:
    data = images("u2", (3, 20, 17))
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, photometric="minisblack", **options)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        series = read_tilt_series(path, ANGLES)
    assert np.array_equal(series.images, data)
    known = name == "ImageJ"
    assert series.pixel_size == (33.6 if known else None)
    assert [("pixel size: found none" in str(w.message)) for w in told] == [True] * (not known)
    assert info(path)["shape"] == [3, 20, 17]


def test_pages_that_share_their_pixels_cost_no_memory(tmp_path: Path) -> None:
    """A thousand directories over one page of pixels; the builder writes none for empty pages."""
    empty = np.zeros((0, 300), "u2")
    shared = {
        256: (4, 1, 300), 257: (4, 1, 250), 273: (4, 1, 8), 278: (4, 1, 250), 279: (4, 1, 150_000),
    }  # fmt: skip
    whole = tiff(
        [np.zeros((250, 300), "u2")] + [empty] * 999, override=dict.fromkeys(range(1000), shared)
    )
    path = write(tmp_path / "a.tif", whole)
    with pytest.raises(FileFormatError, match="150000000 bytes, some pages share them"):
        read_volume(path)


def test_directories_that_overlap_end(tmp_path: Path) -> None:
    """Each directory starts 12 bytes after the last one and claims to run to the end of the file."""
    count = 3000
    content = bytearray(8 + 12 * count + 65535 * 12)
    content[:8] = b"II*\0" + struct.pack("<I", 8)
    entries = len(content) // 12 - count - 2
    for i in range(count):
        at = 8 + 12 * i
        struct.pack_into("<H", content, at, entries)
        struct.pack_into("<I", content, at + 2 + 12 * entries, at + 12)
    path = write(tmp_path / "a.tif", bytes(content))
    started = time.monotonic()
    with pytest.raises(FileFormatError):
        read_volume(path)
    assert time.monotonic() - started < 5


def test_white_is_zero_draws_a_warning(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tif", with_tag(262, 3, 1, 0)())
    with pytest.warns(CryolithWarning, match="PhotometricInterpretation: found 0"):
        assert np.array_equal(read_volume(path).data, images("u2"))


def imagej(images_declared: int, data: np.ndarray) -> bytes:
    """One directory, all pixels behind each other: what ImageJ writes beyond 4 GB."""
    text = f"ImageJ=1.54f\nimages={images_declared}\nslices={images_declared}\n".encode() + b"\0"
    whole = tiff([data.reshape(-1, data.shape[2])])
    override = {
        257: (4, 1, data.shape[1]),
        278: (4, 1, data.shape[1]),
        279: (4, 1, data[0].nbytes),
        270: (2, len(text), len(whole) + 12),
    }
    return tiff([data.reshape(-1, data.shape[2])], override={0: override}) + text


def test_imagej_stacks_of_one_directory(tmp_path: Path) -> None:
    data = images("u2")
    path = write(tmp_path / "a.tif", imagej(3, data))
    assert np.array_equal(read_volume(path).data, data)
    write(path, imagej(300, data))
    with pytest.raises(FileFormatError, match="ImageJ images: found 300 images of 60 bytes"):
        read_volume(path)


@pytest.mark.parametrize("seed", range(10))
def test_damaged_directories_never_crash_or_hang(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    path, start = tmp_path / "a.tif", 8 + 180
    for _ in range(30):
        content = bytearray(GOOD)
        for at in [*rng.integers(start, len(GOOD), 3), *rng.integers(0, 8, seed % 2)]:
            content[at] = rng.integers(0, 256)
        write(path, bytes(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                data = read_volume(path).data
            except FileFormatError:
                continue
        assert data.nbytes <= 64 << 20
        np.asarray(data).sum(dtype=np.float64)


def test_every_truncation_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    for length in range(4, len(GOOD), 16):
        write(path, GOOD[:length])
        with pytest.raises(FileFormatError):
            read_volume(path)
