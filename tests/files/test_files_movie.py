# SPDX-License-Identifier: BSD-3-Clause
"""Movies, gain references and bad pixels from files."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile
from make_files import images, mdoc, mrc, tiff, write

from cryolith import files
from cryolith.errors import FileFormatError


def frames_of(movie):
    return np.stack([np.asarray(movie.frames[i]) for i in range(len(movie))])


@pytest.mark.parametrize("dtype", ["i1", "i2", "u2", "f4"])
def test_mrc_frames_are_those_of_the_file_and_stay_there(tmp_path, dtype):
    data = images(dtype)
    movie = files.open_movie(write(tmp_path / "a.mrcs", mrc(data)))
    assert np.array_equal(frames_of(movie), data)
    assert isinstance(movie.frames, np.memmap)
    assert movie.pixel_size == 2.0
    assert files.open_movie(tmp_path / "a.mrcs", pixel_size="0.31 nm").pixel_size == 3.1


def test_packed_pixels_are_unpacked_a_frame_at_a_time(tmp_path, rng):
    data = rng.integers(0, 16, (3, 4, 6), dtype=np.uint8)
    packed = data[..., 0::2] | data[..., 1::2] << 4
    raw = mrc(packed, mode=101, nx=6, mx=6)
    movie = files.open_movie(write(tmp_path / "a.mrc", raw))
    assert not isinstance(movie.frames, np.ndarray)
    assert np.array_equal(frames_of(movie), data)
    assert np.array_equal(movie.frames[-1], data[2])
    with pytest.raises(IndexError):
        movie.frames[3]


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "zstd"])
def test_tiff_pages_are_decoded_one_at_a_time(tmp_path, compression, rng):
    data = rng.integers(0, 200, (4, 30, 20), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression=compression, photometric="minisblack")
    movie = files.open_movie(path)
    assert movie.frames.shape == (4, 30, 20)
    assert np.array_equal(frames_of(movie), data)
    assert (compression is None) == isinstance(movie.frames, np.ndarray)
    assert movie.pixel_size is None


def test_damaged_pages_are_named_when_they_are_read(tmp_path, rng):
    data = rng.integers(0, 200, (3, 30, 20), dtype=np.uint8)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, data, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[1].dataoffsets[0]
    raw = bytearray(path.read_bytes())
    raw[at : at + 20] = b"\xff" * 20
    path.write_bytes(raw)
    movie = files.open_movie(path)
    assert np.array_equal(movie.frames[0], data[0])
    with pytest.raises(FileFormatError, match="TIFF data of page 1"):
        movie.frames[1]


@pytest.mark.parametrize(
    ("name", "raw", "words"),
    [
        ("a.mrc", mrc(images())[:-20], "2 of 3 sections complete"),
        ("a.mrc", mrc(images(), nz=0), "nz"),
        ("a.tif", b"II*\0\0\0\0\0", "TIFF pages: found none"),
        ("a.tif", tiff([np.zeros((4, 4), "u1"), np.zeros((4, 5), "u1")]), "TIFF page 1: found 5 x 4"),
        ("a.tif", tiff([np.zeros((4, 4), "u1")] * 2)[:200], "truncated"),
        ("a.eer", b"II+\0abc", "EER is not read yet"),
        ("a.mrc", b"", "empty file"),
    ],
)  # fmt: skip
def test_movies_that_cannot_be_read_have_one_clear_error(tmp_path, name, raw, words):
    with pytest.raises(FileFormatError, match=words) as error:
        files.open_movie(write(tmp_path / name, raw))
    assert name in str(error.value)


def test_a_gain_reference_is_turned_and_then_flipped(tmp_path, rng):
    gain = rng.uniform(0.5, 2, (1, 4, 6)).astype("f4")
    path = write(tmp_path / "gain.mrc", mrc(gain))
    image = gain[0]
    assert np.array_equal(files.read_gain(path), image)
    turned = np.array([[image[c, 5 - r] for c in range(4)] for r in range(6)])
    assert np.array_equal(files.read_gain(path, rotate=90), turned)
    assert np.array_equal(files.read_gain(path, rotate=90, flip="up-down"), turned[::-1])
    assert np.array_equal(files.read_gain(path, rotate=180, flip="left-right"), image[::-1])
    assert files.read_gain(path, rotate=270).flags.c_contiguous


def test_what_a_gain_reference_lacks_is_missing(tmp_path):
    gain = np.array([[[1.0, 0.0, np.nan], [np.inf, -1.0, 2.0]]], "f4")
    got = files.read_gain(write(tmp_path / "gain.mrc", mrc(gain, dmin=0.0, dmax=1.0, dmean=1.0)))
    assert np.array_equal(np.isnan(got), [[False, True, True], [True, True, False]])


def test_bad_pixels_from_a_list_and_from_a_map(tmp_path):
    expected = np.zeros((6, 8), bool)
    expected[2, 5] = expected[0:3, 1:3] = True
    (tmp_path / "list.txt").write_text("# x y w h\n5 2\n\n1, 0, 2, 3\n")
    assert np.array_equal(files.read_bad_pixels(tmp_path / "list.txt", (6, 8)), expected)
    tifffile.imwrite(tmp_path / "map.tif", expected.astype("u1") * 255, photometric="minisblack")
    assert np.array_equal(files.read_bad_pixels(tmp_path / "map.tif", (6, 8)), expected)
    write(tmp_path / "map.mrc", mrc(expected[None].astype("i2")))
    assert np.array_equal(files.read_bad_pixels(tmp_path / "map.mrc", (6, 8)), expected)


@pytest.mark.parametrize(
    "text", ["5", "5 2 1", "a b", "-1 2", "7 2 2 1", "1 5 1 2", "1 1 0 1", "1.5 2"]
)
def test_lines_that_are_no_bad_pixels_are_named(tmp_path, text):
    (tmp_path / "list.txt").write_text(f"0 0\n{text}\n")
    with pytest.raises(FileFormatError, match="defects, line 2"):
        files.read_bad_pixels(tmp_path / "list.txt", (6, 8))


def test_maps_and_gains_of_another_kind_are_named(tmp_path):
    path = write(tmp_path / "a.mrc", mrc(images("f4")))
    with pytest.raises(FileFormatError, match="found 3 x 5 x 6, expected 1 x 5 x 6"):
        files.read_bad_pixels(path, (5, 6))
    with pytest.raises(FileFormatError, match="expected one gain reference"):
        files.read_gain(path)
    path = write(tmp_path / "b.mrc", mrc(np.zeros((1, 4, 4), "f4")))
    with pytest.raises(FileFormatError, match="no positive value"):
        files.read_gain(path)


def test_an_mdoc_names_its_movies(tmp_path):
    extra = {0: {"SubFramePath": "X:\\d e\\a_1.tif"}, 1: {"SubFramePath": "/x/b.mrc"}}
    (tmp_path / "a.mdoc").write_text(mdoc([0, 3, 6], extra))
    assert files.read_mdoc(tmp_path / "a.mdoc").movies == ("a_1.tif", "b.mrc", "")
